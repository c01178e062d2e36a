// SPDX-License-Identifier: Apache-2.0
// Finding the releases of a folder or of a repository.
#include "release/verify_find.h"

#include <stdlib.h>
#include <string.h>

#include "release/tasks.h"
#include "release/verify_walk.h"

#define LABEL      "io.openshift.release"
#define CONFIG_MAX ((size_t)8 << 20)

enum { TAGS_MAX = 1000000, ENTRIES_MAX = 16 };

void verify_find_release(struct verify_find *f)
{
	for (size_t i = 0; i < f->nrepos; i++)
		reference_release(&f->refs[i]);
	for (size_t i = 0; i < f->n; i++)
		reference_release(&f->v[i].ref);
	free(f->refs);
	free(f->repos);
	free(f->tag);
	free(f->v);
	*f = (struct verify_find){0};
}

// ---- repositories

// Takes what is in REF.
static int add_repository(struct verify_find *f, struct reference *ref, struct err *e)
{
	struct repo *repo = places_repo(f->req->places, ref, false, e);

	if (!repo)
		return -1;
	f->refs[f->nrepos] = *ref;
	f->repos[f->nrepos++] = repo;
	*ref = (struct reference){0};
	return 0;
}

static int open_registry(struct verify_find *f, struct err *e)
{
	auto_reference struct reference ref = {0};

	if (reference_parse(&ref, f->req->repository, 0, e) < 0)
		return -1;
	if (ref.type != REF_REGISTRY)
		return err_set(e, ERR_USAGE,
			       "'%s' is not REGISTRY/REPOSITORY; folders are named by --dir",
			       f->req->repository);
	if (ref.has_digest || *ref.tag)
		f->tag = xstrdup(ref.has_digest ? ref.digest.text : ref.tag);
	ref.has_digest = false;
	ref.tag[0] = '\0';
	f->refs = xcalloc(1, sizeof(*f->refs));
	f->repos = xcalloc(1, sizeof(struct repo *));
	return add_repository(f, &ref, e);
}

static int list_folder(struct verify_find *f, struct strlist *ret, struct err *e)
{
	auto_reference struct reference any = {0};

	if (reference_parse(&any, "file://openshift/release", 0, e) < 0)
		return -1;
	struct repo *repo = places_repo(f->req->places, &any, false, e);
	struct store *store = repo ? place_store(repo->place) : NULL;

	if (!store || store_repositories(store, ret, e) < 0)
		return -1;
	strlist_sort(ret);
	strlist_unique(ret);
	return 0;
}

static int open_folder(struct verify_find *f, struct err *e)
{
	auto_strlist struct strlist names = {0};

	if (list_folder(f, &names, e) < 0)
		return -1;
	f->refs = xcalloc(names.n + 1, sizeof(*f->refs));
	f->repos = xcalloc(names.n + 1, sizeof(struct repo *));
	for (size_t i = 0; i < names.n; i++) {
		auto_free char *text = xasprintf("file://%s", names.v[i]);
		auto_reference struct reference ref = {0};
		struct err ignored;

		// A folder that no reference can name holds nothing that ferry put there.
		if (reference_parse(&ref, text, 0, &ignored) < 0)
			continue;
		if (add_repository(f, &ref, e) < 0)
			return -1;
	}
	return 0;
}

int verify_find_open(struct verify_find *f, const struct verify_request *req, struct err *e)
{
	f->req = req;
	return req->repository ? open_registry(f, e) : open_folder(f, e);
}

// ---- by name

static struct verify_candidate *add(struct verify_find *f, const struct reference *ref,
				    struct repo *repo)
{
	vec_reserve(f->v, f->n, f->cap);
	struct verify_candidate *c = &f->v[f->n++];

	*c = (struct verify_candidate){.repo = repo};
	reference_copy(&c->ref, ref);
	return c;
}

static void set_tag(struct reference *ref, const char *tag)
{
	free(ref->tag);
	ref->tag = xstrdup(tag);
}

// *ret_found: REPO has WHAT, a tag or a digest.
static int try_name(struct verify_find *f, const struct reference *repository, struct repo *repo,
		    const char *what, bool *ret_found, struct err *e)
{
	struct manifest_stat st;
	struct err why, ignored;

	if (repo->ops->manifest_stat(repo, what, &st, &why) < 0) {
		// What is there under its digest and damaged is found, and told later.
		if (why.kind == ERR_NOT_FOUND)
			return 0;
		if (why.kind != ERR_DIGEST || digest_parse(&st.digest, what, &ignored) < 0) {
			*e = why;
			return -1;
		}
	}
	struct verify_candidate *c = add(f, repository, repo);

	if (strchr(what, ':')) {
		c->ref.has_digest = true;
		c->ref.digest = st.digest;
	} else {
		set_tag(&c->ref, what);
	}
	c->digest = st.digest;
	c->has_digest = c->is_release = true;
	*ret_found = true;
	return 0;
}

// A version stands for its tags of all architectures.
static int try_version(struct verify_find *f, size_t i, const char *version, bool *ret_found,
		       struct err *e)
{
	static const char *const arches[] = {"x86_64", "aarch64", "ppc64le", "s390x", "multi"};

	if (!payload_is_version(version))
		return 0;
	for (size_t k = 0; k < ARRAY_SIZE(arches); k++) {
		auto_free char *tag = xasprintf("%s-%s", version, arches[k]);

		if (tag_valid(tag) && try_name(f, &f->refs[i], f->repos[i], tag, ret_found, e) < 0)
			return -1;
	}
	return 0;
}

static int find_spec(struct verify_find *f, const char *text, bool *ret_found, struct err *e)
{
	auto_reference struct reference ref = {0};

	if (reference_parse(&ref, text, 0, e) < 0)
		return -1;
	if (!ref.has_digest && !*ref.tag)
		return err_set(e, ERR_USAGE,
			       "the release image must be named by tag or digest: '%s'", text);
	if ((ref.type == REF_REGISTRY) != (f->req->repository != NULL))
		return err_set(e, ERR_USAGE, "'%s' is not in %s", text,
			       f->req->repository ? f->req->repository : "the folder");
	struct repo *repo = places_repo(f->req->places, &ref, false, e);
	auto_free char *what = xstrdup(ref.has_digest ? ref.digest.text : ref.tag);

	if (!repo)
		return -1;
	ref.has_digest = false;
	ref.tag[0] = '\0';
	return try_name(f, &ref, repo, what, ret_found, e);
}

static int find_named(struct verify_find *f, const char *text, struct err *e)
{
	struct digest digest;
	struct err ignored;
	bool found = false;

	if (!strchr(text, '/') && !tag_valid(text) && digest_parse(&digest, text, &ignored) < 0)
		return err_set(e, ERR_USAGE, "'%s' is neither a tag nor a digest", text);
	if (strchr(text, '/')) {
		if (find_spec(f, text, &found, e) < 0)
			return -1;
	} else {
		for (size_t i = 0; i < f->nrepos; i++)
			if (try_name(f, &f->refs[i], f->repos[i], text, &found, e) < 0 ||
			    try_version(f, i, text, &found, e) < 0)
				return -1;
	}
	if (found)
		return 0;
	return err_set(e, ERR_NOT_FOUND, "there is no release '%s' in %s", text,
		       f->req->repository ? f->req->repository : "the folder");
}

int verify_find_wanted(struct verify_find *f, struct err *e)
{
	if (f->tag && find_named(f, f->tag, e) < 0)
		return -1;
	for (size_t i = 0; i < f->req->nwanted; i++)
		if (find_named(f, f->req->wanted[i], e) < 0)
			return -1;
	return 0;
}

// ---- all tags

static void add_tags(struct verify_find *f, size_t i, const struct strlist *tags)
{
	const char *base = NULL;

	for (size_t k = 0; k < tags->n; k++) {
		struct verify_candidate *c = add(f, &f->refs[i], f->repos[i]);

		set_tag(&c->ref, tags->v[k]);
		c->is_longer =
			base && starts_with(tags->v[k], base) && tags->v[k][strlen(base)] == '-';
		if (!c->is_longer)
			base = tags->v[k];
	}
}

static void stat_task(void *arg, size_t i)
{
	struct verify_find *f = arg;
	struct verify_candidate *c = &f->v[i];
	struct manifest_stat st;

	if (cancelled(f->req->cancel)) {
		err_cancelled(&c->why);
	} else if (c->repo->ops->manifest_stat(c->repo, c->ref.tag, &st, &c->why) == 0) {
		c->digest = st.digest;
		c->has_digest = true;
	}
}

// The first candidate that was interrupted.
static int check_cancelled(const struct verify_find *f, struct err *e)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i].why.kind == ERR_CANCELLED) {
			*e = f->v[i].why;
			return -1;
		}
	return 0;
}

int verify_find_tags(struct verify_find *f, struct err *e)
{
	for (size_t i = 0; i < f->nrepos; i++) {
		auto_strlist struct strlist tags = {0};

		if (f->repos[i]->ops->tags(f->repos[i], &tags, e) < 0)
			return -1;
		if (tags.n > TAGS_MAX - f->n)
			return err_set(e, ERR_INPUT, "more than %d tags: name the releases",
				       TAGS_MAX);
		strlist_sort(&tags);
		strlist_unique(&tags);
		add_tags(f, i, &tags);
	}
	tasks_run(f->n, f->req->parallel, stat_task, f);
	return check_cancelled(f, e);
}

// ---- what a tag names

static int read_config(struct repo *repo, const struct descriptor *d, struct buf *ret,
		       struct err *e)
{
	auto_of(stream_free) struct stream *stream = repo->ops->blob_open(repo, d, 0, e);
	struct digest got;

	if (!stream)
		return -1;
	for (e->kind = ERR_NONE;;) {
		auto_of(slab_free) struct slab *slab = stream_read(stream, e);

		if (!slab && e->kind != ERR_NONE)
			return -1;
		if (!slab)
			break;
		if (buf_add(ret, slab->data + slab->start, slab->n - slab->start, e) < 0)
			return -1;
	}
	digest_of(&got, d->digest.algo, ret->p, ret->n);
	return digest_check(&d->digest, &got, "blob", e);
}

static bool has_label(struct str config)
{
	auto_json struct json_doc doc = {0};
	struct err ignored;

	// The configuration of something else may be anything.
	if (json_parse(&doc, config, JSON_LIMITS(CONFIG_MAX), 0, &ignored) < 0)
		return false;
	struct json root = json_root(&doc), inner = json_member(&root, "config");
	struct json labels = json_member(&inner, "Labels"), label = json_member(&labels, LABEL);

	return *json_as_text(&label) != '\0';
}

static int look_at_image(struct repo *repo, const struct manifest *m, bool *ret, struct err *e)
{
	auto_buf struct buf config = BUF_INIT(CONFIG_MAX);

	*ret = false;
	if (m->kind != MANIFEST_IMAGE || m->config.size > CONFIG_MAX)
		return 0;
	if (read_config(repo, &m->config, &config, e) < 0)
		return -1;
	*ret = has_label(buf_str(&config));
	return 0;
}

static int get(struct repo *repo, const struct digest *d, struct manifest *ret, bool *ret_known,
	       struct err *e)
{
	auto_manifest_bytes struct manifest_bytes bytes = {0};
	struct err ignored;

	if (repo->ops->manifest_get(repo, d->text, &bytes, e) < 0)
		return -1;
	// Something of a kind that ferry does not know is no release.
	*ret_known = manifest_parse(ret, buf_str(&bytes.bytes), bytes.media_type, d->text,
				    &ignored) == 0;
	return 0;
}

// The first entry that can be read tells what the list is.
static int look_at_list(struct repo *repo, const struct manifest *list, bool *ret, struct err *e)
{
	*ret = false;
	e->kind = ERR_NONE;
	for (size_t i = 0; i < list->nmanifests && i < ENTRIES_MAX; i++) {
		auto_manifest struct manifest m = {0};
		bool known = false;

		if (get(repo, &list->manifests[i].digest, &m, &known, e) == 0 &&
		    (!known || look_at_image(repo, &m, ret, e) == 0))
			return 0;
		if (e->kind == ERR_CANCELLED)
			break;
	}
	return e->kind == ERR_NONE ? 0 : -1;
}

static int look(struct verify_candidate *c, struct err *e)
{
	auto_manifest struct manifest m = {0};
	bool known = false;

	if (get(c->repo, &c->digest, &m, &known, e) < 0)
		return -1;
	if (!known)
		return 0;
	return m.kind == MANIFEST_INDEX ? look_at_list(c->repo, &m, &c->is_release, e)
					: look_at_image(c->repo, &m, &c->is_release, e);
}

static void look_task(void *arg, size_t i)
{
	struct verify_find *f = arg;
	struct verify_candidate *c = &f->v[i];
	struct err why;

	if (!c->has_digest || c->is_longer != f->longer)
		return;
	auto_free char *key = verify_known_key(c->repo, c->digest.text);

	if (map_find(f->known, str_of(key)))
		return;
	if (cancelled(f->req->cancel))
		err_cancelled(&c->why);
	else if (look(c, &why) < 0)
		c->why = why;
}

int verify_find_look(struct verify_find *f, bool longer, const struct map *known, struct err *e)
{
	f->known = known;
	f->longer = longer;
	tasks_run(f->n, f->req->parallel, look_task, f);
	return check_cancelled(f, e);
}
