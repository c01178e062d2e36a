// SPDX-License-Identifier: Apache-2.0
// A place in memory: content in maps, failures on demand.
#include "repo/memory.h"

#include "repo/names.h"
#include "util/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// One object of a repository. Its bytes never change once a stream may read them, and live until
// the place is freed.
struct memory_object {
	unsigned char *data;
	size_t n;
	char *media_type; // of manifests
	struct memory_object *next;
};

struct memory_repo {
	struct repo base;
	struct map blobs, manifests; // digest → object
	struct map tags;             // tag → digest text
	bool fresh;
};

struct failure {
	enum memory_call call;
	size_t at;        // the count at which it happens; 0: always
	char *repository; // NULL: any
	struct err why;
	struct failure *next;
};

struct memory_place {
	struct place base;
	struct repo_names names;
	struct slab_pool *pool;
	struct limiter *limiter;
	bool refuse_mounts, list_referrers;
	uint64_t free_space;
	void (*hook)(void *arg, struct repo *r, enum memory_call call, const char *ref);
	void *hook_arg;
	pthread_mutex_t lock;
	// guarded by lock, as is the content of the repos
	size_t calls[MEMORY_CALLS];
	struct failure *failures;
	struct strlist log;
	struct memory_object *objects;
};

static const char *const call_names[MEMORY_CALLS] = {
	[MEMORY_MANIFEST_GET] = "manifest_get",
	[MEMORY_MANIFEST_STAT] = "manifest_stat",
	[MEMORY_MANIFEST_PUT] = "manifest_put",
	[MEMORY_BLOB_STAT] = "blob_stat",
	[MEMORY_BLOB_OPEN] = "blob_open",
	[MEMORY_BLOB_READ] = "blob_read",
	[MEMORY_BLOB_PUT] = "blob_put",
	[MEMORY_BLOB_MOUNT] = "blob_mount",
	[MEMORY_TAGS] = "tags",
	[MEMORY_REFERRERS] = "referrers",
	[MEMORY_PROBE] = "probe",
	[MEMORY_SYNC] = "sync",
};

static struct memory_place *place_of(struct place *p)
{
	return (struct memory_place *)p;
}

static struct memory_repo *repo_of(struct repo *r)
{
	return (struct memory_repo *)r;
}

// Counts and notes the call, and fails when this one was chosen to.
static int called(struct memory_place *m, struct repo *r, enum memory_call call, const char *ref,
		  struct err *e)
{
	const char *name = r ? r->name : "";
	int status = 0;

	if (m->hook)
		m->hook(m->hook_arg, r, call, ref);
	pthread_mutex_lock(&m->lock);
	size_t nth = ++m->calls[call];

	if (call != MEMORY_BLOB_READ)
		strlist_addf(&m->log, "%s %s %s", call_names[call], name, ref);
	for (struct failure *f = m->failures; f && status == 0; f = f->next) {
		if (f->call != call || (f->at != 0 && f->at != nth))
			continue;
		if (f->repository && strcmp(f->repository, name) != 0)
			continue;
		*e = f->why;
		status = -1;
	}
	pthread_mutex_unlock(&m->lock);
	return status;
}

// Takes DATA. Called locked.
static struct memory_object *object_new(struct memory_place *m, unsigned char *data, size_t n,
					const char *media_type)
{
	struct memory_object *o = xcalloc(1, sizeof(*o));

	o->data = data;
	o->n = n;
	o->media_type = media_type ? xstrdup(media_type) : NULL;
	o->next = m->objects;
	m->objects = o;
	return o;
}

static struct memory_object *find(struct memory_place *m, struct map *in, const char *key)
{
	pthread_mutex_lock(&m->lock);
	struct memory_object *o = map_get(in, key);

	pthread_mutex_unlock(&m->lock);
	return o;
}

// The manifest that REF, a tag or a digest, names; *ret is its digest.
static struct memory_object *find_manifest(struct repo *r, const char *ref, struct digest *ret,
					   struct err *e)
{
	struct memory_place *m = place_of(r->place);
	struct memory_repo *repo = repo_of(r);

	pthread_mutex_lock(&m->lock);
	const char *text = map_get(&repo->tags, ref);
	struct memory_object *o = map_get(&repo->manifests, text ? text : ref);

	pthread_mutex_unlock(&m->lock);
	if (!o) {
		err_set(e, ERR_NOT_FOUND, "manifest unknown: manifest unknown");
		e->http = 404;
		return NULL;
	}
	return digest_parse(ret, text ? text : ref, e) < 0 ? NULL : o;
}

static int manifest_get(struct repo *r, const char *ref, struct manifest_bytes *ret, struct err *e)
{
	struct digest got, want;

	if (called(place_of(r->place), r, MEMORY_MANIFEST_GET, ref, e) < 0)
		return -1;
	struct memory_object *o = find_manifest(r, ref, &want, e);

	if (!o)
		return -1;
	digest_of(&got, want.algo, o->data, o->n);
	if (digest_check(&want, &got, "manifest", e) < 0)
		return -1;
	*ret = (struct manifest_bytes){.bytes = BUF_INIT(MANIFEST_MAX), .digest = want};
	if (buf_add(&ret->bytes, o->data, o->n, e) < 0)
		return -1;
	ret->media_type = o->media_type ? xstrdup(o->media_type) : NULL;
	return 0;
}

static int manifest_stat(struct repo *r, const char *ref, struct manifest_stat *ret, struct err *e)
{
	struct digest d;

	if (called(place_of(r->place), r, MEMORY_MANIFEST_STAT, ref, e) < 0)
		return -1;
	struct memory_object *o = find_manifest(r, ref, &d, e);

	if (!o)
		return -1;
	*ret = (struct manifest_stat){.digest = d, .size = o->n};
	snprintf(ret->media_type, sizeof(ret->media_type), "%s",
		 o->media_type ? o->media_type : "");
	return 0;
}

static void keep_manifest(struct repo *r, struct str bytes, const char *media_type,
			  const struct digest *d, const char *tag)
{
	struct memory_place *m = place_of(r->place);
	struct memory_repo *repo = repo_of(r);

	pthread_mutex_lock(&m->lock);
	map_set(&repo->manifests, d->text,
		object_new(m, xmemdup(bytes.p, bytes.n), bytes.n, media_type));
	if (tag) {
		free(map_get(&repo->tags, tag));
		map_set(&repo->tags, tag, xstrdup(d->text));
	}
	repo->fresh = false;
	pthread_mutex_unlock(&m->lock);
}

static int manifest_put(struct repo *r, const struct manifest_bytes *mb, const char *tag,
			struct err *e)
{
	struct digest got;

	if (called(place_of(r->place), r, MEMORY_MANIFEST_PUT, tag ? tag : mb->digest.text, e) < 0)
		return -1;
	digest_of(&got, mb->digest.algo, mb->bytes.p, mb->bytes.n);
	if (digest_check(&mb->digest, &got, "manifest", e) < 0)
		return -1;
	keep_manifest(r, buf_str(&mb->bytes), mb->media_type, &mb->digest, tag);
	return 0;
}

static int blob_unknown(const struct digest *d, struct err *e)
{
	err_set(e, ERR_NOT_FOUND, "unknown blob %s", d->text);
	e->http = 404;
	return -1;
}

static int blob_stat(struct repo *r, const struct descriptor *d, struct err *e)
{
	struct memory_place *m = place_of(r->place);

	if (called(m, r, MEMORY_BLOB_STAT, d->digest.text, e) < 0)
		return -1;
	return find(m, &repo_of(r)->blobs, d->digest.text) ? 0 : blob_unknown(&d->digest, e);
}

struct memory_stream {
	struct stream base;
	struct stream *bytes;
	struct repo *repo;
	struct digest digest;
};

static struct slab *memory_stream_read(struct stream *base, struct err *e)
{
	struct memory_stream *s = (struct memory_stream *)base;

	if (called(place_of(s->repo->place), s->repo, MEMORY_BLOB_READ, s->digest.text, e) < 0)
		return NULL;
	return stream_read(s->bytes, e);
}

static void memory_stream_free(struct stream *base)
{
	struct memory_stream *s = (struct memory_stream *)base;

	stream_free(s->bytes);
	free(s);
}

static struct stream *blob_open(struct repo *r, const struct descriptor *d, uint64_t offset,
				struct err *e)
{
	static const struct stream_ops ops = {memory_stream_read, memory_stream_free};
	struct memory_place *m = place_of(r->place);

	if (called(m, r, MEMORY_BLOB_OPEN, d->digest.text, e) < 0)
		return NULL;
	struct memory_object *o = find(m, &repo_of(r)->blobs, d->digest.text);

	if (!o) {
		blob_unknown(&d->digest, e);
		return NULL;
	}
	size_t from = offset < o->n ? (size_t)offset : o->n;
	struct memory_stream *s = xcalloc(1, sizeof(*s));

	s->base.ops = &ops;
	s->bytes = stream_of_bytes(o->data + from, o->n - from, m->pool);
	s->repo = r;
	s->digest = d->digest;
	return &s->base;
}

// Reads IN to its end, but no more than the descriptor allows.
static int read_all(struct stream *in, const struct descriptor *d, unsigned char **ret,
		    size_t *ret_n, struct err *e)
{
	auto_free unsigned char *data = NULL;
	size_t n = 0;

	for (;;) {
		auto_of(slab_free) struct slab *slab = stream_read(in, e);

		if (!slab)
			break;
		size_t more = slab->n - slab->start;

		if (more > d->size - n)
			return err_set(e, ERR_DIGEST,
				       "blob is longer than the %llu bytes it should have",
				       (unsigned long long)d->size);
		data = xrealloc(data, n + more);
		memcpy(data + n, slab->data + slab->start, more);
		n += more;
	}
	if (e->kind != ERR_NONE)
		return -1;
	*ret = steal(&data);
	*ret_n = n;
	return 0;
}

static void keep_blob(struct repo *r, const struct digest *d, unsigned char *data, size_t n)
{
	struct memory_place *m = place_of(r->place);
	struct memory_repo *repo = repo_of(r);

	pthread_mutex_lock(&m->lock);
	map_set(&repo->blobs, d->text, object_new(m, data, n, NULL));
	repo->fresh = false;
	pthread_mutex_unlock(&m->lock);
}

static int blob_put(struct repo *r, const struct descriptor *d, const struct opener *src,
		    struct err *e)
{
	struct digest got;
	auto_free unsigned char *data = NULL;
	size_t n = 0;

	if (called(place_of(r->place), r, MEMORY_BLOB_PUT, d->digest.text, e) < 0)
		return -1;
	auto_of(stream_free) struct stream *in = src->open(src->arg, 0, e);

	if (!in || read_all(in, d, &data, &n, e) < 0)
		return -1;
	digest_of(&got, d->digest.algo, data, n);
	if (digest_check(&d->digest, &got, "blob", e) < 0)
		return -1;
	keep_blob(r, &d->digest, steal(&data), n);
	return 0;
}

static int blob_mount(struct repo *r, const struct descriptor *d, struct repo *from,
		      bool *ret_mounted, struct err *e)
{
	struct memory_place *m = place_of(r->place);

	if (called(m, r, MEMORY_BLOB_MOUNT, d->digest.text, e) < 0)
		return -1;
	pthread_mutex_lock(&m->lock);
	struct memory_object *o = map_get(&repo_of(from)->blobs, d->digest.text);
	bool mounted = o && !m->refuse_mounts && from->place == r->place;

	if (mounted)
		map_set(&repo_of(r)->blobs, d->digest.text, o);
	pthread_mutex_unlock(&m->lock);
	*ret_mounted = mounted;
	return 0;
}

static int tags(struct repo *r, struct strlist *ret, struct err *e)
{
	struct memory_place *m = place_of(r->place);
	struct memory_repo *repo = repo_of(r);

	if (called(m, r, MEMORY_TAGS, "", e) < 0)
		return -1;
	pthread_mutex_lock(&m->lock);
	*ret = (struct strlist){0};
	for (size_t i = 0; i < repo->tags.n; i++)
		strlist_add(ret, repo->tags.entries[i].key);
	pthread_mutex_unlock(&m->lock);
	strlist_sort(ret);
	return 0;
}

static bool refers_to(const struct memory_object *o, const struct digest *subject)
{
	auto_manifest struct manifest m = {0};
	struct err ignored;

	if (manifest_parse(&m, (struct str){(const char *)o->data, o->n}, NULL, "", &ignored) < 0)
		return false;
	return m.has_subject && digest_equal(&m.subject.digest, subject);
}

static int referrers(struct repo *r, const struct digest *subject, struct strlist *ret,
		     struct err *e)
{
	struct memory_place *m = place_of(r->place);
	const struct map *manifests = &repo_of(r)->manifests;

	if (called(m, r, MEMORY_REFERRERS, subject->text, e) < 0)
		return -1;
	if (!m->list_referrers)
		return err_set(e, ERR_UNSUPPORTED, "%s has no list of referrers", r->place->name);
	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < manifests->n; i++)
		if (refers_to(manifests->entries[i].ptr, subject))
			strlist_add(ret, manifests->entries[i].key);
	pthread_mutex_unlock(&m->lock);
	return 0;
}

static enum repo_fresh fresh(struct repo *r)
{
	struct memory_place *m = place_of(r->place);

	pthread_mutex_lock(&m->lock);
	bool is_fresh = repo_of(r)->fresh;

	pthread_mutex_unlock(&m->lock);
	return is_fresh ? REPO_FRESH : REPO_MAY_EXIST;
}

static const struct repo_ops repo_ops = {
	.manifest_get = manifest_get,
	.manifest_stat = manifest_stat,
	.manifest_put = manifest_put,
	.blob_stat = blob_stat,
	.blob_open = blob_open,
	.blob_put = blob_put,
	.blob_mount = blob_mount,
	.tags = tags,
	.referrers = referrers,
	.fresh = fresh,
};

static struct repo *repo_new(struct place *p, const char *name)
{
	(void)p;
	(void)name;
	struct memory_repo *r = xcalloc(1, sizeof(*r));

	return &r->base;
}

static void repo_free(struct repo *r)
{
	struct memory_repo *repo = repo_of(r);

	for (size_t i = 0; i < repo->tags.n; i++)
		free(repo->tags.entries[i].ptr);
	map_release(&repo->blobs);
	map_release(&repo->manifests);
	map_release(&repo->tags);
	free(repo);
}

static struct repo *memory_repo(struct place *p, const char *name)
{
	return repo_names_get(&place_of(p)->names, p, &repo_ops, name, repo_new);
}

static int memory_probe(struct place *p, bool write, struct err *e)
{
	return called(place_of(p), NULL, MEMORY_PROBE, write ? "write" : "read", e);
}

static int memory_sync(struct place *p, struct err *e)
{
	return called(place_of(p), NULL, MEMORY_SYNC, "", e);
}

static int memory_free_space(struct place *p, uint64_t *ret, struct err *e)
{
	(void)e;
	*ret = place_of(p)->free_space;
	return 0;
}

static struct limiter *memory_limiter(struct place *p)
{
	return place_of(p)->limiter;
}

static void memory_free(struct place *p)
{
	struct memory_place *m = place_of(p);

	memory_heal(p);
	repo_names_release(&m->names, repo_free);
	for (struct memory_object *o = m->objects, *next; o; o = next) {
		next = o->next;
		free(o->data);
		free(o->media_type);
		free(o);
	}
	strlist_release(&m->log);
	pthread_mutex_destroy(&m->lock);
	free((char *)p->name);
	free(m);
}

struct place *place_memory_new(const char *name, struct slab_pool *pool)
{
	static const struct place_ops ops = {
		.repo = memory_repo,
		.probe = memory_probe,
		.sync = memory_sync,
		.free_space = memory_free_space,
		.limiter = memory_limiter,
		.free = memory_free,
	};
	struct memory_place *m = xcalloc(1, sizeof(*m));

	m->base = (struct place){&ops, PLACE_MEMORY, xstrdup(name)};
	m->pool = pool;
	m->free_space = UINT64_MAX;
	repo_names_init(&m->names);
	pthread_mutex_init(&m->lock, NULL);
	return &m->base;
}

size_t memory_calls(struct place *p, enum memory_call call)
{
	struct memory_place *m = place_of(p);

	pthread_mutex_lock(&m->lock);
	size_t n = m->calls[call];

	pthread_mutex_unlock(&m->lock);
	return n;
}

static void add_failure(struct memory_place *m, struct failure *f)
{
	pthread_mutex_lock(&m->lock);
	if (f->at != 0)
		f->at += m->calls[f->call];
	f->next = m->failures;
	m->failures = f;
	pthread_mutex_unlock(&m->lock);
}

void memory_fail(struct place *p, enum memory_call call, size_t nth, const struct err *why)
{
	struct failure *f = xcalloc(1, sizeof(*f));

	*f = (struct failure){.call = call, .at = nth, .why = *why};
	add_failure(place_of(p), f);
}

void memory_fail_repository(struct place *p, const char *repository, enum memory_call call,
			    const struct err *why)
{
	struct failure *f = xcalloc(1, sizeof(*f));

	*f = (struct failure){.call = call, .repository = xstrdup(repository), .why = *why};
	add_failure(place_of(p), f);
}

void memory_heal(struct place *p)
{
	struct memory_place *m = place_of(p);

	pthread_mutex_lock(&m->lock);
	for (struct failure *f = m->failures, *next; f; f = next) {
		next = f->next;
		free(f->repository);
		free(f);
	}
	m->failures = NULL;
	pthread_mutex_unlock(&m->lock);
}

void memory_on_call(struct place *p,
		    void (*hook)(void *arg, struct repo *r, enum memory_call call, const char *ref),
		    void *arg)
{
	place_of(p)->hook = hook;
	place_of(p)->hook_arg = arg;
}

void memory_refuse_mounts(struct place *p)
{
	place_of(p)->refuse_mounts = true;
}

void memory_list_referrers(struct place *p)
{
	place_of(p)->list_referrers = true;
}

void memory_set_limiter(struct place *p, struct limiter *l)
{
	place_of(p)->limiter = l;
}

void memory_set_free_space(struct place *p, uint64_t bytes)
{
	place_of(p)->free_space = bytes;
}

void memory_set_fresh(struct repo *r)
{
	repo_of(r)->fresh = true;
}

void memory_add_blob(struct repo *r, const void *data, size_t n, struct descriptor *ret)
{
	*ret = (struct descriptor){.media_type = "", .size = n, .artifact_type = ""};
	digest_of(&ret->digest, DIGEST_SHA256, data, n);
	keep_blob(r, &ret->digest, xmemdup(data, n), n);
}

void memory_add_manifest(struct repo *r, const char *text, const char *media_type, const char *tag,
			 struct digest *ret)
{
	digest_of(ret, DIGEST_SHA256, text, strlen(text));
	keep_manifest(r, str_of(text), media_type, ret, tag);
}

// Another object takes the place of the one under KEY.
static void damage(struct memory_place *m, struct map *in, const char *key)
{
	struct memory_object *o = map_get(in, key);

	if (!o || o->n == 0)
		return;
	unsigned char *data = xmemdup(o->data, o->n);

	data[o->n / 2] ^= 1;
	map_set(in, key, object_new(m, data, o->n, o->media_type));
}

void memory_damage(struct repo *r, const struct digest *d)
{
	struct memory_place *m = place_of(r->place);

	pthread_mutex_lock(&m->lock);
	damage(m, &repo_of(r)->blobs, d->text);
	damage(m, &repo_of(r)->manifests, d->text);
	pthread_mutex_unlock(&m->lock);
}

bool memory_has_blob(struct repo *r, const struct digest *d)
{
	return find(place_of(r->place), &repo_of(r)->blobs, d->text) != NULL;
}

bool memory_has_manifest(struct repo *r, const char *ref)
{
	struct digest d;
	struct err e;

	return find_manifest(r, ref, &d, &e) != NULL;
}

void memory_log(struct place *p, struct strlist *ret)
{
	struct memory_place *m = place_of(p);

	pthread_mutex_lock(&m->lock);
	*ret = (struct strlist){0};
	for (size_t i = 0; i < m->log.n; i++)
		strlist_add(ret, m->log.v[i]);
	pthread_mutex_unlock(&m->lock);
}
