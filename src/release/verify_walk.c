// SPDX-License-Identifier: Apache-2.0
// Listing the parts of images, then checking each part once.
#include "release/verify_walk.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "release/tasks.h"
#include "release/verify_attached.h"
#include "util/map.h"

enum { NESTED_MAX = 4, PARTS_MAX = 50000, USES_MAX = 200000 };

enum part { PART_IMAGE, PART_ENTRY, PART_CONFIG, PART_LAYER };

static const char *const part_names[] = {
	[PART_IMAGE] = "image",
	[PART_ENTRY] = "list entry",
	[PART_CONFIG] = "config",
	[PART_LAYER] = "layer",
};

struct object {
	enum part part;
	struct repo *repo;
	struct digest digest;
	uint64_t size;
	bool may_miss; // a layer that by convention stays where its URLs point
	size_t *users; // roots, then what is attached to them
	size_t nusers, cap;
	struct err *failed; // NULL: it is good
};

struct job {
	struct verify_walk *w;
	pthread_mutex_t lock; // guards the rest while roots are walked
	struct map index;     // "b|m repository digest size" → object
	struct object **objects;
	size_t n, cap, uses;
};

// ---- parts

static struct verify_root *root_of(const struct job *j, size_t i)
{
	const struct verify_walk *w = j->w;

	return i < w->n ? &w->roots[i] : &w->attached[i - w->n];
}

static bool is_blob(enum part part)
{
	return part == PART_CONFIG || part == PART_LAYER;
}

static int too_much(struct err *e)
{
	return err_set(e, ERR_INPUT, "the release has more than %d parts", PARTS_MAX);
}

static struct object *object_new(enum part part, struct repo *repo, const struct descriptor *d)
{
	struct object *o = xcalloc(1, sizeof(*o));

	o->part = part;
	o->repo = repo;
	o->digest = d->digest;
	o->size = d->size;
	o->may_miss = part == PART_LAYER && media_type_is_foreign(d->media_type);
	return o;
}

// The object for D in REPO, as a part of root I.
static int intern(struct job *j, size_t i, enum part part, struct repo *repo,
		  const struct descriptor *d, struct object **ret, struct err *e)
{
	auto_free char *key = xasprintf("%c %s %s %" PRIu64, is_blob(part) ? 'b' : 'm', repo->name,
					d->digest.text, d->size);

	if (j->uses >= USES_MAX || j->n >= PARTS_MAX)
		return too_much(e);
	struct map_entry *en = map_put(&j->index, str_of(key), NULL);
	struct object *o = en->ptr;

	if (!o) {
		en->ptr = o = object_new(part, repo, d);
		vec_reserve(j->objects, j->n, j->cap);
		j->objects[j->n++] = o;
	}
	vec_reserve(o->users, o->nusers, o->cap);
	o->users[o->nusers++] = i;
	j->uses++;
	*ret = o;
	return 0;
}

// *ret NULL: root I has this part already.
static int note(struct job *j, size_t i, enum part part, struct repo *repo,
		const struct descriptor *d, struct object **ret, struct err *e)
{
	struct verify_root *root = root_of(j, i);
	bool new;

	*ret = NULL;
	map_put(&root->seen, str_of(d->digest.text), &new);
	if (!new)
		return 0;
	pthread_mutex_lock(&j->lock);
	int r = intern(j, i, part, repo, d, ret, e);

	pthread_mutex_unlock(&j->lock);
	return r;
}

// Only being stopped fails.
static int record(struct job *j, struct object *o, const struct err *why, struct err *e)
{
	if (why->kind == ERR_CANCELLED) {
		*e = *why;
		return -1;
	}
	pthread_mutex_lock(&j->lock);
	if (!o->failed)
		o->failed = xmemdup(why, sizeof(*why));
	pthread_mutex_unlock(&j->lock);
	return 0;
}

// ---- listing

// A folder with an index calls a manifest damaged whose file is gone.
static int refine(struct repo *repo, const struct digest *d, struct err *e)
{
	const struct descriptor any = {.media_type = "", .digest = *d, .artifact_type = ""};
	struct err why = {0};

	if (repo->place->kind != PLACE_STORE || e->kind != ERR_DIGEST)
		return -1;
	auto_of(stream_free) struct stream *stream = repo->ops->blob_open(repo, &any, 0, &why);

	if (!stream && why.kind == ERR_NOT_FOUND)
		*e = why;
	return -1;
}

static int read_manifest(struct repo *repo, const struct digest *d, struct manifest *ret,
			 uint64_t *ret_size, struct err *e)
{
	auto_manifest_bytes struct manifest_bytes bytes = {0};

	if (repo->ops->manifest_get(repo, d->text, &bytes, e) < 0)
		return refine(repo, d, e);
	*ret_size = bytes.bytes.n;
	return manifest_parse(ret, buf_str(&bytes.bytes), bytes.media_type, d->text, e);
}

static int list_parts(struct job *j, size_t i, struct repo *repo, const struct manifest *m,
		      unsigned depth, struct err *e);

static int list_entry(struct job *j, size_t i, struct repo *repo, const struct descriptor *d,
		      unsigned depth, struct err *e)
{
	auto_manifest struct manifest m = {0};
	struct object *o;
	struct err why;
	uint64_t size;

	if (depth > NESTED_MAX)
		return err_set(e, ERR_INPUT, "lists nested more than %d deep", NESTED_MAX);
	if (cancelled(j->w->req->cancel))
		return err_cancelled(e);
	if (note(j, i, PART_ENTRY, repo, d, &o, e) < 0)
		return -1;
	if (!o)
		return 0;
	if (read_manifest(repo, &d->digest, &m, &size, &why) < 0)
		return record(j, o, &why, e);
	return list_parts(j, i, repo, &m, depth, e);
}

static int list_image(struct job *j, size_t i, struct repo *repo, const struct manifest *m,
		      struct err *e)
{
	struct object *o;

	if (m->config.digest.text[0] != '\0' &&
	    note(j, i, PART_CONFIG, repo, &m->config, &o, e) < 0)
		return -1;
	for (size_t k = 0; k < m->nlayers; k++)
		if (note(j, i, PART_LAYER, repo, &m->layers[k], &o, e) < 0)
			return -1;
	return 0;
}

static int list_parts(struct job *j, size_t i, struct repo *repo, const struct manifest *m,
		      unsigned depth, struct err *e)
{
	if (m->kind == MANIFEST_SCHEMA1)
		return err_set(e, ERR_UNSUPPORTED, "schema 1 images are not supported");
	if (m->kind == MANIFEST_IMAGE)
		return list_image(j, i, repo, m, e);
	for (size_t k = 0; k < m->nmanifests; k++)
		if (list_entry(j, i, repo, &m->manifests[k], depth + 1, e) < 0)
			return -1;
	return 0;
}

// The first repository that knows the image, and what it knows.
static int find_image(const struct verify_root *root, struct repo **ret_repo, struct manifest *ret,
		      uint64_t *ret_size, struct err *e)
{
	struct err why;

	*ret_repo = root->own;
	if (read_manifest(root->own, &root->digest, ret, ret_size, e) == 0)
		return 0;
	for (size_t k = 0; k < root->nothers && e->kind == ERR_NOT_FOUND; k++) {
		int r = read_manifest(root->others[k], &root->digest, ret, ret_size, &why);

		if (r < 0 && why.kind == ERR_NOT_FOUND)
			continue;
		*ret_repo = root->others[k];
		if (r < 0)
			*e = why;
		return r;
	}
	return -1;
}

static int list_root(struct job *j, size_t i, struct err *e)
{
	struct verify_root *root = root_of(j, i);
	struct descriptor d = {.media_type = "", .digest = root->digest, .artifact_type = ""};
	auto_manifest struct manifest m = {0};
	struct object *o;
	struct repo *repo;
	struct err why;

	if (cancelled(j->w->req->cancel))
		return err_cancelled(e);
	int r = find_image(root, &repo, &m, &d.size, &why);

	if (note(j, i, PART_IMAGE, repo, &d, &o, e) < 0)
		return -1;
	assert(o); // nothing came before it
	return r < 0 ? record(j, o, &why, e) : list_parts(j, i, repo, &m, 1, e);
}

static void list_task(void *arg, size_t i)
{
	struct job *j = arg;
	struct err why = {0};

	if (list_root(j, i, &why) < 0)
		root_of(j, i)->stopped = why;
}

static void list_attached_task(void *arg, size_t i)
{
	const struct job *j = arg;

	list_task(arg, j->w->n + i);
}

// ---- what is attached

// "signature of cli"
static void name_attachment(const struct job *j, const struct object *o, const char *kind,
			    struct strlist *ret)
{
	for (size_t k = 0; k < o->nusers; k++) {
		const struct strlist *names = &root_of(j, o->users[k])->names;

		for (size_t m = 0; m < names->n; m++)
			strlist_addf(ret, "%s of %s", kind, names->v[m]);
	}
	strlist_sort(ret);
	strlist_unique(ret);
}

static void add_problem(struct verify_walk *w, enum verify_fault fault, const char *part,
			const struct digest *digest, struct strlist *images, const char *why)
{
	verify_problem_add(&w->problems, &w->nproblems, &w->cap, fault, part, digest, NULL, why);
	strlist_release(&w->problems[w->nproblems - 1].images);
	w->problems[w->nproblems - 1].images = *images;
	*images = (struct strlist){0};
}

static void add_attachment(struct job *j, const struct object *o,
			   const struct verify_attachment *found)
{
	struct verify_walk *w = j->w;
	struct strlist names = {0};

	name_attachment(j, o, found->kind, &names);
	if (found->tag) {
		auto_free char *key = verify_known_key(o->repo, found->tag);

		map_put(&w->manifests, str_of(key), NULL);
	}
	if (found->why.kind != ERR_NONE) {
		add_problem(w, verify_fault_of(o->repo, &found->why), "tag", NULL, &names,
			    found->why.text);
		return;
	}
	vec_reserve(w->attached, w->nattached, w->attached_cap);
	w->attached[w->nattached++] = (struct verify_root){
		.digest = found->digest, .own = o->repo, .names = names, .lists = found->lists};
}

static void take_found(struct job *j, const struct object *o, const struct verify_subject *s)
{
	struct strlist names = {0};

	for (size_t k = 0; k < s->n; k++)
		add_attachment(j, o, &s->found[k]);
	if (s->why.kind == ERR_NONE)
		return;
	name_attachment(j, o, "referrers", &names);
	add_problem(j->w, verify_fault_of(o->repo, &s->why), "list", NULL, &names, s->why.text);
}

// Looks at every manifest that could be read.
static int find_attached(struct job *j, struct err *e)
{
	struct verify_subject *subjects = xcalloc(j->n + 1, sizeof(*subjects));
	auto_free size_t *object = xcalloc(j->n + 1, sizeof(*object));
	size_t n = 0;

	for (size_t i = 0; i < j->n; i++) {
		const struct object *o = j->objects[i];

		if (is_blob(o->part) || o->failed)
			continue;
		object[n] = i;
		subjects[n++] = (struct verify_subject){.repo = o->repo, .digest = o->digest};
	}
	int r = verify_attached_find(j->w->req, subjects, n, e);

	for (size_t i = 0; r == 0 && i < n; i++)
		take_found(j, j->objects[object[i]], &subjects[i]);
	verify_subjects_release(subjects, n);
	return r;
}

// ---- checking

static int ask_registry(struct repo *repo, const struct descriptor *d, struct err *e)
{
	// Borrowed for the call: a reference that is only read.
	const struct reference ref = {.type = REF_REGISTRY,
				      .registry = (char *)repo->place->name,
				      .repository = (char *)repo->name,
				      .tag = (char *)""};
	auto_free char *wire = reference_wire_repository(&ref);
	uint64_t size;

	if (registry_blob_head(place_registry(repo->place), wire, &d->digest, &size, e) < 0)
		return -1;
	if (size != 0 && size != d->size)
		return err_set(e, ERR_DIGEST, "%" PRIu64 " bytes instead of %" PRIu64, size,
			       d->size);
	return 0;
}

static int hash_stream(const struct verify_request *req, struct stream *stream, struct hasher *h,
		       const struct descriptor *d, struct err *e)
{
	for (uint64_t n = 0;;) {
		auto_of(slab_free) struct slab *slab = stream_read(stream, e);

		if (cancelled(req->cancel))
			return err_cancelled(e);
		if (!slab && e->kind != ERR_NONE)
			return -1;
		if (slab)
			n += slab->n - slab->start;
		if (n > d->size || (!slab && n != d->size))
			return err_set(e, ERR_DIGEST, "%s%" PRIu64 " bytes instead of %" PRIu64,
				       slab ? "at least " : "", n, d->size);
		if (!slab)
			return 0;
		hasher_add(h, slab->data + slab->start, slab->n - slab->start);
		if (req->on_bytes)
			req->on_bytes(req->on_bytes_arg, slab->n - slab->start);
	}
}

static int read_blob(const struct verify_request *req, struct repo *repo,
		     const struct descriptor *d, struct err *e)
{
	auto_of(stream_free) struct stream *stream = repo->ops->blob_open(repo, d, 0, e);
	auto_of(hasher_free) struct hasher *h = hasher_new(d->digest.algo);
	struct digest got;

	if (!stream || hash_stream(req, stream, h, d, e) < 0)
		return -1;
	hasher_finish(h, &got);
	if (!digest_equal(&got, &d->digest))
		return err_set(e, ERR_DIGEST, "its bytes have the digest %s", got.text);
	return 0;
}

static int check_blob(const struct verify_request *req, const struct object *o, struct err *e)
{
	const struct descriptor d = {
		.media_type = "", .digest = o->digest, .size = o->size, .artifact_type = ""};

	if (cancelled(req->cancel))
		return err_cancelled(e);
	// Its word on the size comes before bytes that end too early.
	if (o->repo->place->kind == PLACE_REGISTRY && ask_registry(o->repo, &d, e) < 0)
		return -1;
	if (o->repo->place->kind == PLACE_REGISTRY && !req->deep)
		return 0;
	return read_blob(req, o->repo, &d, e);
}

static void check_task(void *arg, size_t i)
{
	struct job *j = arg;
	struct object *o = j->objects[i];
	struct err why = {0};

	if (!is_blob(o->part) || check_blob(j->w->req, o, &why) == 0)
		return;
	if (!o->may_miss || why.kind != ERR_NOT_FOUND)
		o->failed = xmemdup(&why, sizeof(why));
}

// ---- results

enum verify_fault verify_fault_of(const struct repo *repo, const struct err *why)
{
	if (why->kind == ERR_NOT_FOUND)
		return VERIFY_MISSING;
	// What a disk does not give is gone; what a registry does not, may come back.
	if (repo->place->kind != PLACE_REGISTRY || why->kind == ERR_DIGEST ||
	    why->kind == ERR_INPUT || why->kind == ERR_UNSUPPORTED)
		return VERIFY_DAMAGED;
	return VERIFY_UNKNOWN;
}

void verify_problem_add(struct verify_problem **v, size_t *n, size_t *cap, enum verify_fault fault,
			const char *part, const struct digest *digest, const char *image,
			const char *why)
{
	vec_reserve(*v, *n, *cap);
	struct verify_problem *p = &(*v)[(*n)++];

	*p = (struct verify_problem){
		.fault = fault,
		.part = part,
		.digest = xstrdup(digest ? digest->text : ""),
		.why = xstrdup(why),
	};
	if (image)
		strlist_add(&p->images, image);
}

void verify_problems_release(struct verify_problem *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(v[i].digest);
		strlist_release(&v[i].images);
		free(v[i].why);
	}
	free(v);
}

char *verify_known_key(const struct repo *repo, const char *what)
{
	return xasprintf("%s %s", repo->name, what);
}

static void add_failed(const struct job *j, const struct object *o)
{
	struct verify_walk *w = j->w;

	verify_problem_add(&w->problems, &w->nproblems, &w->cap,
			   verify_fault_of(o->repo, o->failed), part_names[o->part], &o->digest,
			   NULL, o->failed->text);
	struct strlist *images = &w->problems[w->nproblems - 1].images;

	for (size_t k = 0; k < o->nusers; k++) {
		const struct strlist *names = &root_of(j, o->users[k])->names;

		for (size_t m = 0; m < names->n; m++)
			strlist_add(images, names->v[m]);
	}
	strlist_sort(images);
	strlist_unique(images);
}

static int by_image(const void *a, const void *b)
{
	const struct verify_problem *x = a, *y = b;
	int r = strcmp(x->images.n ? x->images.v[0] : "", y->images.n ? y->images.v[0] : "");

	if (r == 0)
		r = strcmp(x->part, y->part);
	return r ? r : strcmp(x->digest, y->digest);
}

static void count(struct job *j, const struct object *o, struct map *blobs)
{
	struct verify_walk *w = j->w;
	bool is_attached = o->users[0] >= w->n, new; // roots come first

	if (!is_blob(o->part)) {
		auto_free char *key = verify_known_key(o->repo, o->digest.text);

		map_put(&w->manifests, str_of(key), NULL);
		if (is_attached && !(o->part == PART_IMAGE && root_of(j, o->users[0])->lists))
			w->attachments++;
		return;
	}
	if (is_attached)
		return;
	map_put(blobs, str_of(o->digest.text), &new);
	if (!new)
		return;
	w->blobs++;
	w->bytes += o->size;
}

static int collect(struct job *j, struct err *e)
{
	auto_map struct map blobs = {0};
	struct verify_walk *w = j->w;

	for (size_t i = 0; i < j->n; i++) {
		const struct object *o = j->objects[i];

		if (o->failed && o->failed->kind == ERR_CANCELLED) {
			*e = *o->failed;
			return -1;
		}
		count(j, o, &blobs);
		if (o->failed)
			add_failed(j, o);
	}
	for (size_t i = 0; i < w->n + w->nattached; i++) {
		const struct verify_root *root = root_of(j, i);

		if (root->stopped.kind != ERR_NONE)
			verify_problem_add(&w->problems, &w->nproblems, &w->cap, VERIFY_DAMAGED,
					   part_names[PART_IMAGE], &root->digest,
					   root->names.n ? root->names.v[0] : NULL,
					   root->stopped.text);
	}
	if (w->nproblems > 1)
		qsort(w->problems, w->nproblems, sizeof(*w->problems), by_image);
	return 0;
}

static void job_release(struct job *j)
{
	for (size_t i = 0; i < j->n; i++) {
		free(j->objects[i]->users);
		free(j->objects[i]->failed);
		free(j->objects[i]);
	}
	free(j->objects);
	map_release(&j->index);
	pthread_mutex_destroy(&j->lock);
}

// The first of the roots [FROM, TO) that was interrupted.
static int check_cancelled(const struct job *j, size_t from, size_t to, struct err *e)
{
	for (size_t i = from; i < to; i++)
		if (root_of(j, i)->stopped.kind == ERR_CANCELLED) {
			*e = root_of(j, i)->stopped;
			return -1;
		}
	return 0;
}

static int run(struct job *j, struct err *e)
{
	struct verify_walk *w = j->w;

	tasks_run(w->n, w->req->parallel, list_task, j);
	if (check_cancelled(j, 0, w->n, e) < 0 || find_attached(j, e) < 0)
		return -1;
	tasks_run(w->nattached, w->req->parallel, list_attached_task, j);
	if (check_cancelled(j, w->n, w->n + w->nattached, e) < 0)
		return -1;
	tasks_run(j->n, w->req->parallel, check_task, j);
	return collect(j, e);
}

int verify_walk_run(struct verify_walk *w, struct err *e)
{
	struct job j = {.w = w, .lock = PTHREAD_MUTEX_INITIALIZER};
	int r = run(&j, e);

	job_release(&j);
	return r;
}

static void roots_release(struct verify_root *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		strlist_release(&v[i].names);
		map_release(&v[i].seen);
	}
	free(v);
}

void verify_walk_release(struct verify_walk *w)
{
	roots_release(w->roots, w->n);
	roots_release(w->attached, w->nattached);
	map_release(&w->manifests);
	verify_problems_release(w->problems, w->nproblems);
	*w = (struct verify_walk){0};
}
