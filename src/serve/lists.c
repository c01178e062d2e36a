// SPDX-License-Identifier: Apache-2.0
// Lists: the tags of a repository, the repositories, the referrers of a manifest.
//
// Spec: OCI distribution-spec v1.1, "Listing Tags", "Listing Referrers"; the catalog is the Docker
// registry API's. Every list is in byte order and its pages start behind a name (`last`), which
// need not exist, so pages stay right while names come and go.
#include "data/json.h"
#include "data/json_out.h"
#include "image/manifest.h"
#include "serve/internal.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/mem.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PAGE_MAX = 1000,
	TAGS_WHOLE_MAX = 10000,        // old clients do not follow Link
	REFERRERS_BYTES_MAX = 4 << 20, // of one answer
	REFERRERS_READ_MAX = 32 << 20, // of manifests looked at for it
	REFERRERS_LIGHT = 1 << 20,     // beyond this they are few at once, for each keeps a worker
	REFERRERS_HEAVY_MAX = 3,
};

#define CATALOG_US ((uint64_t)5 * 1000000)

struct lists {
	struct api *api;
	pthread_mutex_t lock;
	pthread_cond_t built;
	bool building, tried;
	uint64_t tried_us;
	struct snapshot *now; // NULL: no attempt has succeeded yet
	struct err failed;    // of the last attempt
};

// The catalog at one moment. Freed by the last who looks at it; `users` is under the lock.
struct snapshot {
	struct strlist names;
	unsigned users;
};

// ---- pages

struct page {
	bool has_n;
	uint64_t n;
	const char *last; // NULL: from the start
};

// False: the reply is set.
static bool page_of(struct call *c, struct page *ret)
{
	const char *n = query_get(&c->query, "n");

	*ret = (struct page){.has_n = n != NULL, .last = query_get(&c->query, "last")};
	if (!n || str_u64(str_of(n), INT64_MAX, &ret->n))
		return true;
	reply_error(c, 400, "UNSUPPORTED", "'n' is not a number of entries");
	return false;
}

// The first name behind LAST.
static size_t page_start(const struct strlist *names, const char *last)
{
	size_t low = 0, high = last ? names->n : 0;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(names->v[mid], last) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

// RFC 3986 section 2.3.
static void put_encoded(struct buf *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		if (letter || (c >= '0' && c <= '9') || strchr("-._~", c))
			buf_putc(out, (char)c);
		else
			buf_printf(out, "%%%02X", c);
	}
}

static void link_next(struct call *c, const char *path, uint64_t n, const char *last)
{
	auto_buf struct buf url = BUF_INIT(BUF_TEXT_MAX);

	buf_printf(&url, "%s?n=%" PRIu64 "&last=", path, n);
	put_encoded(&url, last);
	reply_header(&c->x->reply, "Link", "<%s>; rel=\"next\"", url.p);
}

// ---- tags

enum exchange_next list_tags(struct call *c)
{
	auto_strlist struct strlist tags = {0};
	struct reply *r = &c->x->reply;
	struct page page;
	struct err e;

	if (!page_of(c, &page))
		return NEXT_REPLY;
	if (roots_tags(c->api->roots, c->route.repo, &tags, &e) < 0)
		return reply_failure(c, "NAME_UNKNOWN", &e);
	if (tags.n == 0 && !roots_repository_exists(c->api->roots, c->route.repo))
		return reply_error(c, 404, "NAME_UNKNOWN", "unknown to this registry");
	uint64_t limit = page.has_n ? page.n : UINT64_MAX;

	if (tags.n > TAGS_WHOLE_MAX && limit > PAGE_MAX)
		limit = PAGE_MAX;
	size_t start = page_start(&tags, page.last), left = tags.n - start;
	size_t n = left < limit ? left : (size_t)limit;
	struct json_out j = {.out = &r->body};

	r->status = 200;
	reply_header(r, "Content-Type", "application/json");
	json_out_begin(&j, '{');
	json_out_key(&j, "name");
	json_out_text(&j, c->route.repo);
	json_out_key(&j, "tags");
	json_out_begin(&j, '[');
	for (size_t i = 0; i < n; i++)
		json_out_text(&j, tags.v[start + i]);
	json_out_end(&j, ']');
	json_out_end(&j, '}');
	if (n > 0 && n < left) {
		auto_free char *path = xasprintf("/v2/%s/tags/list", c->route.repo);

		link_next(c, path, limit, tags.v[start + n - 1]);
	}
	return NEXT_REPLY;
}

// ---- the catalog

struct lists *lists_new(struct api *a)
{
	struct lists *l = xcalloc(1, sizeof(*l));

	l->api = a;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->built, NULL);
	return l;
}

// Under lock.
static void snapshot_put(struct snapshot *s)
{
	if (!s || --s->users > 0)
		return;
	strlist_release(&s->names);
	free(s);
}

void lists_free(struct lists *l)
{
	if (!l)
		return;
	snapshot_put(l->now);
	pthread_cond_destroy(&l->built);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

// Under lock, but for the time of the walk itself.
static void rebuild(struct lists *l)
{
	struct snapshot *s = xcalloc(1, sizeof(*s));
	struct err e = {0};

	s->users = 1;
	l->building = true;
	pthread_mutex_unlock(&l->lock);
	bool ok = roots_repositories(l->api->roots, &s->names, &e) == 0;

	if (!ok)
		api_notice(l->api, "the catalog cannot be read: %s", e.text);
	pthread_mutex_lock(&l->lock);
	if (ok) {
		struct snapshot *old = l->now;

		l->now = s;
		s = old;
	}
	snapshot_put(s);
	l->failed = e;
	l->tried = true;
	l->tried_us = clock_us();
	l->building = false;
	pthread_cond_broadcast(&l->built);
}

// One caller walks the stores, the others go on with what there was, or wait for it the first time.
static struct snapshot *snapshot_get(struct lists *l, struct err *e)
{
	pthread_mutex_lock(&l->lock);
	while (!l->tried || clock_us() - l->tried_us >= CATALOG_US) {
		if (l->building && l->now)
			break;
		if (l->building)
			pthread_cond_wait(&l->built, &l->lock);
		else
			rebuild(l);
	}
	struct snapshot *s = l->now;

	if (s)
		s->users++;
	else
		*e = l->failed;
	pthread_mutex_unlock(&l->lock);
	return s;
}

static void snapshot_release(struct lists *l, struct snapshot *s)
{
	pthread_mutex_lock(&l->lock);
	snapshot_put(s);
	pthread_mutex_unlock(&l->lock);
}

static bool may_pull(struct call *c, const char *repo)
{
	return auth_allows(c->api->cfg.auth, c->user, c->x, repo, AUTH_PULL);
}

static void answer_catalog(struct call *c, const struct strlist *names, const struct page *page)
{
	struct reply *r = &c->x->reply;
	struct json_out j = {.out = &r->body};
	uint64_t limit = page->has_n && page->n < PAGE_MAX ? page->n : PAGE_MAX, n = 0;
	const char *last = NULL;

	r->status = 200;
	reply_header(r, "Content-Type", "application/json");
	json_out_begin(&j, '{');
	json_out_key(&j, "repositories");
	json_out_begin(&j, '[');
	for (size_t i = page_start(names, page->last); i < names->n && limit > 0; i++) {
		if (!may_pull(c, names->v[i]))
			continue;
		if (n == limit) {
			link_next(c, "/v2/_catalog", limit, last);
			break;
		}
		last = names->v[i];
		json_out_text(&j, last);
		n++;
	}
	json_out_end(&j, ']');
	json_out_end(&j, '}');
}

enum exchange_next list_catalog(struct call *c)
{
	struct lists *l = c->api->lists;
	struct page page;
	struct err e = {0};

	if (!page_of(c, &page))
		return NEXT_REPLY;
	struct snapshot *s = snapshot_get(l, &e);

	if (!s)
		return reply_error(c, 500, "UNSUPPORTED", "the registry failed; its log says why");
	answer_catalog(c, &s->names, &page);
	snapshot_release(l, s);
	return NEXT_REPLY;
}

// ---- referrers

static const struct json_limits manifest_limits = {
	.bytes = MANIFEST_MAX, .values = JSON_VALUES_MAX, .depth = JSON_DEPTH_MAX};

static const char *text_member(const struct json *object, const char *name)
{
	struct json at = json_member(object, name);
	const char *text;
	struct err ignored;

	return json_text_or(&at, "", &text, &ignored) == 0 ? text : "";
}

// Spec: "Referrers Tag Schema": ALGO-HEX, the hex cut to 64 digits.
static void fallback_tag(const struct digest *d, char ret[DIGEST_TEXT_MAX])
{
	snprintf(ret, DIGEST_TEXT_MAX, "%s-%.64s", digest_algo_name(d->algo), digest_hex(d));
}

// Spec: "Enabling the Referrers API": what clients listed under the tag for registries without this
// API counts as well.
static int add_fallback(struct call *c, struct strlist *ret, struct err *e)
{
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	auto_json struct json_doc doc = {NULL};
	char tag[DIGEST_TEXT_MAX];
	struct digest d;
	struct err ignored;
	size_t n;

	fallback_tag(&c->route.digest, tag);
	if (roots_manifest(c->api->roots, c->route.repo, tag, STORE_MAY_WAIT, &bytes, &d, e) < 0)
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	if (json_parse(&doc, buf_str(&bytes), manifest_limits, 0, &ignored) < 0)
		return 0;
	struct json root = json_root(&doc), entries = json_member(&root, "manifests");

	if (json_items(&entries, &n, &ignored) < 0)
		return 0;
	for (size_t i = 0; i < n && i < DESCRIPTORS_MAX; i++) {
		struct json entry = json_item(&entries, i);

		if (digest_parse(&d, text_member(&entry, "digest"), &ignored) == 0)
			strlist_add(ret, d.text);
	}
	strlist_sort(ret);
	strlist_unique(ret);
	return 0;
}

static int put_annotation(void *arg, const struct json *member, struct err *e)
{
	struct json_out *j = arg;
	const char *text;
	struct err ignored;

	(void)e;
	if (json_text(member, &text, &ignored) < 0)
		return 0;
	json_out_key(j, member->name);
	json_out_text(j, text);
	return 0;
}

// Spec: "Listing Referrers": the manifest's own type, else that of its configuration. An index has
// no configuration, and so may have none.
static const char *artifact_type(const struct json *root)
{
	struct json config = json_member(root, "config");
	const char *own = text_member(root, "artifactType");

	return *own ? own : text_member(&config, "mediaType");
}

static void put_descriptor(struct buf *out, struct str bytes, const char *digest,
			   const struct json *root)
{
	struct json annotations = json_member(root, "annotations");
	const char *artifact = artifact_type(root);
	struct json_out j = {.out = out};
	char type[MEDIA_TYPE_MAX + 1];
	struct err ignored;

	manifest_media_type(bytes, type);
	json_out_begin(&j, '{');
	json_out_key(&j, "mediaType");
	json_out_text(&j, type);
	json_out_key(&j, "digest");
	json_out_text(&j, digest);
	json_out_key(&j, "size");
	json_out_u64(&j, bytes.n);
	if (*artifact) {
		json_out_key(&j, "artifactType");
		json_out_text(&j, artifact);
	}
	if (json_present(&annotations) && json_need_object(&annotations, &ignored) == 0) {
		json_out_key(&j, "annotations");
		json_out_begin(&j, '{');
		bool all = json_members(&annotations, put_annotation, &j, &ignored) == 0;

		assert(all); // put_annotation takes what there is
		json_out_end(&j, '}');
	}
	json_out_end(&j, '}');
}

// The entry of the manifest DIGEST; nothing when it is gone, no JSON, refers to something else, or
// is not of the type FILTER ("" is any). Adds what was read to *read.
static int add_referrer(struct call *c, struct buf *out, const char *digest, const char *filter,
			size_t *read, struct err *e)
{
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	auto_json struct json_doc doc = {NULL};
	struct digest d;
	struct err ignored;

	if (roots_manifest(c->api->roots, c->route.repo, digest, STORE_MAY_WAIT, &bytes, &d, e) < 0)
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	*read += bytes.n;
	if (json_parse(&doc, buf_str(&bytes), manifest_limits, 0, &ignored) < 0)
		return 0;
	struct json root = json_root(&doc), subject = json_member(&root, "subject");

	if (strcmp(text_member(&subject, "digest"), c->route.digest.text) != 0)
		return 0;
	if (*filter && strcmp(artifact_type(&root), filter) != 0)
		return 0;
	put_descriptor(out, buf_str(&bytes), digest, &root);
	return 0;
}

static void link_next_referrers(struct call *c, const char *filter, const char *last)
{
	auto_buf struct buf url = BUF_INIT(BUF_TEXT_MAX);

	buf_printf(&url, "/v2/%s/referrers/%s?last=", c->route.repo, c->route.digest.text);
	put_encoded(&url, last);
	if (*filter) {
		buf_puts(&url, "&artifactType=");
		put_encoded(&url, filter);
	}
	reply_header(&c->x->reply, "Link", "<%s>; rel=\"next\"", url.p);
}

// Has the list READ a lot by now? False: too many have, and the reply says so.
static bool may_read_on(struct call *c, size_t read, bool *heavy)
{
	if (read <= REFERRERS_LIGHT || *heavy)
		return true;
	*heavy = true;
	if (atomic_fetch_add(&c->api->lists_reading, 1) < REFERRERS_HEAVY_MAX)
		return true;
	reply_error(c, 503, "TOOMANYREQUESTS", "too many long lists of referrers are being read");
	reply_header(&c->x->reply, "Retry-After", "1");
	return false;
}

// A page ends at so many entries, at so many bytes, and at so many bytes read: with a filter it may
// have no entry and yet a next one.
static int fill_referrers(struct call *c, const struct strlist *digests, const char *filter,
			  bool *heavy, struct err *e)
{
	struct buf *body = &c->x->reply.body;
	size_t start = page_start(digests, query_get(&c->query, "last")), i, read = 0;
	bool filled = false;

	buf_puts(body, "{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_INDEX "\",\"manifests\":[");
	for (i = start; i < digests->n && i - start < PAGE_MAX; i++) {
		auto_buf struct buf entry = BUF_INIT(BUF_TEXT_MAX);

		if (read > REFERRERS_READ_MAX)
			break;
		if (!may_read_on(c, read, heavy))
			return 0;
		// Each of them may be large, and many may ask.
		pthread_mutex_lock(&c->api->document);
		int r = add_referrer(c, &entry, digests->v[i], filter, &read, e);

		pthread_mutex_unlock(&c->api->document);
		if (r < 0)
			return -1;
		if (filled && body->n + entry.n > REFERRERS_BYTES_MAX)
			break;
		if (entry.n == 0)
			continue;
		if (filled)
			buf_putc(body, ',');
		buf_put(body, entry.p, entry.n);
		filled = true;
	}
	buf_puts(body, "]}");
	if (i > start && i < digests->n)
		link_next_referrers(c, filter, digests->v[i - 1]);
	return 0;
}

static int answer_referrers(struct call *c, const struct strlist *digests, const char *filter,
			    struct err *e)
{
	bool heavy = false;
	int r = fill_referrers(c, digests, filter, &heavy, e);

	if (heavy)
		atomic_fetch_sub(&c->api->lists_reading, 1);
	return r;
}

enum exchange_next list_referrers(struct call *c)
{
	auto_strlist struct strlist digests = {0};
	const char *filter = query_get(&c->query, "artifactType");
	struct reply *r = &c->x->reply;
	struct err e;

	if (!filter)
		filter = "";
	if (roots_referrers(c->api->roots, c->route.repo, &c->route.digest, &digests, &e) < 0 ||
	    add_fallback(c, &digests, &e) < 0)
		return reply_failure(c, "NAME_UNKNOWN", &e);
	r->status = 200;
	reply_header(r, "Content-Type", MT_OCI_INDEX);
	if (*filter)
		reply_header(r, "OCI-Filters-Applied", "artifactType");
	if (answer_referrers(c, &digests, filter, &e) < 0)
		return reply_failure(c, "NAME_UNKNOWN", &e);
	return NEXT_REPLY;
}
