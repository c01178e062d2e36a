// SPDX-License-Identifier: Apache-2.0
// Pushing manifests, under tags and digests, and removing them.
//
// Spec: OCI distribution-spec v1.1, "Pushing Manifests", "Pushing Manifests with Subject",
// "Deleting tags", "Deleting Manifests"; several tags at once from the text after it. A manifest is
// the only body that is held in memory, up to MANIFEST_MAX bytes each and a budget for all of them.
#include "serve/internal.h"

#include "data/json.h"

#include <string.h>
#include <strings.h>

enum {
	TAGS_MAX = 100,    // of one request
	MISSING_MAX = 100, // named in one answer
	RETRY_SECONDS = 1,
	SMALL_DOCUMENT = 16 * 1024, // parsed beside others
	BRANCHES_MAX = 5 * DESCRIPTORS_MAX,
};

// An index whose entries are looked up one by one.
#define LOOKED_UP_MAX ((size_t)4 << 20)

// ---- memory

static bool hold(struct call *c, uint64_t n)
{
	struct api *a = c->api;
	uint64_t max = (uint64_t)a->cfg.limits.manifests_in_memory * MANIFEST_MAX;

	if (atomic_fetch_add(&a->manifest_bytes, n) + n <= max) {
		c->held += n;
		return true;
	}
	atomic_fetch_sub(&a->manifest_bytes, n);
	reply_error(c, 503, "TOOMANYREQUESTS", "too many manifests are being pushed at once");
	reply_header(&c->x->reply, "Retry-After", "%d", RETRY_SECONDS);
	return false;
}

static void let_go(struct call *c)
{
	buf_free(&c->bytes);
	atomic_fetch_sub(&c->api->manifest_bytes, c->held);
	c->held = 0;
}

// ---- tags

static bool is_tag(const char *text)
{
	size_t n = strlen(text);

	if (n == 0 || n > ROUTE_TAG_MAX || *text == '.' || *text == '-')
		return false;
	for (const char *p = text; *p; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
		      (*p >= '0' && *p <= '9') || *p == '_' || *p == '.' || *p == '-'))
			return false;
	return true;
}

static int add_tag(struct call *c, struct strlist *tags, const char *tag)
{
	if (!c->route.by_digest) {
		reply_error(c, 400, "UNSUPPORTED",
			    "the parameter 'tag' needs a digest as the reference");
		return -1;
	}
	if (!is_tag(tag)) {
		reply_error(c, 400, "MANIFEST_INVALID", "the parameter 'tag' is no tag");
		return -1;
	}
	if (strlist_has(tags, tag))
		return 0;
	if (tags->n == TAGS_MAX) {
		reply_error(c, 400, "MANIFEST_INVALID", "more than %d tags", TAGS_MAX);
		return -1;
	}
	strlist_add(tags, tag);
	return 0;
}

// All names that the manifest gets beside its digest. -1: the reply is set.
static int read_tags(struct call *c, struct strlist *ret)
{
	auto_strlist struct strlist tags = {0};

	for (unsigned i = 0; i < c->query.n; i++)
		if (strcmp(c->query.v[i].name, "tag") == 0 &&
		    add_tag(c, &tags, c->query.v[i].value) < 0)
			return -1;
	if (!c->route.by_digest)
		strlist_add(&tags, c->route.tag);
	*ret = tags;
	tags = (struct strlist){0};
	return 0;
}

// ---- the document

static int invalid(struct call *c, const char *why)
{
	reply_error(c, 400, "MANIFEST_INVALID", "%s", why);
	return -1;
}

// Checks the bytes against a digest reference, or names them.
static int check_digest(struct call *c, struct digest *ret)
{
	const struct buf *b = &c->bytes;

	digest_of(ret, c->route.by_digest ? c->route.digest.algo : DIGEST_SHA256, b->p, b->n);
	if (!c->route.by_digest || digest_equal(ret, &c->route.digest))
		return 0;
	reply_error(c, 400, "DIGEST_INVALID", "the content is %s", ret->text);
	return -1;
}

// An artifact of a kind that is not known here: an object with a type of its own, no more.
static int parse_opaque(struct call *c)
{
	static const struct json_limits limits = {
		.bytes = MANIFEST_MAX, .values = JSON_VALUES_MAX, .depth = MANIFEST_DEPTH_MAX};
	auto_json struct json_doc doc = {NULL};
	const char *type;
	struct err e;

	if (json_parse(&doc, buf_str(&c->bytes), limits, JSON_UNIQUE, &e) < 0)
		return invalid(c, e.text);
	struct json root = json_root(&doc), at = json_member(&root, "mediaType");

	if (json_need_object(&root, &e) < 0 || json_text(&at, &type, &e) < 0)
		return invalid(c, e.text);
	return 0;
}

static int parse_known(struct call *c, struct manifest *ret)
{
	auto_manifest struct manifest m = {0};
	struct err e;

	if (manifest_parse(&m, buf_str(&c->bytes), NULL, c->route.repo, &e) < 0)
		return invalid(c, e.text);
	if (m.kind == MANIFEST_SCHEMA1)
		return invalid(c, "image manifest schema 1 is not supported: push the image in "
				  "schema 2 or OCI format");
	*ret = m;
	m = (struct manifest){0};
	return 0;
}

// What was pushed as one type must not be handed out as another.
static int check_type(struct call *c, const char *type)
{
	struct str rest = request_header(&c->x->request, "Content-Type");

	if (!rest.p)
		return 0;
	struct str said = str_trim(str_cut(&rest, ';'));

	if (said.n == strlen(type) && strncasecmp(said.p, type, said.n) == 0)
		return 0;
	reply_error(c, 400, "MANIFEST_INVALID", "it is %s, but Content-Type says otherwise", type);
	return -1;
}

// Parsed, an object or a list takes hundreds of bytes where the document has two.
static bool too_branched(struct str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"')
			for (i++; i < s.n && s.p[i] != '"'; i++)
				i += s.p[i] == '\\';
		else if (s.p[i] == '{' || s.p[i] == '[')
			n++;
	}
	return n > BRANCHES_MAX;
}

static int parse(struct call *c, bool known, struct manifest *ret)
{
	if (too_branched(buf_str(&c->bytes)))
		return invalid(c, "too many objects and lists");
	return known ? parse_known(c, ret) : parse_opaque(c);
}

// One large document at a time, which may take several times its size.
static int parse_in_turn(struct call *c, bool known, struct manifest *ret)
{
	if (c->bytes.n <= SMALL_DOCUMENT)
		return parse(c, known, ret);
	pthread_mutex_lock(&c->api->document);
	int r = parse(c, known, ret);

	pthread_mutex_unlock(&c->api->document);
	return r;
}

// *RET stays empty for what is opaque. -1: the reply is set.
static int read_document(struct call *c, struct manifest *ret)
{
	auto_manifest struct manifest m = {0};
	char type[MEDIA_TYPE_MAX + 1];

	manifest_media_type(buf_str(&c->bytes), type);
	bool known = media_type_is_manifest(type) || !c->api->cfg.allow_unknown_manifests;

	if (parse_in_turn(c, known, &m) < 0 || check_type(c, type) < 0)
		return -1;
	*ret = m;
	m = (struct manifest){0};
	return 0;
}

// ---- what it names

struct children {
	struct call *call;
	const struct manifest *manifest;
	struct digest missing[MISSING_MAX];
	size_t nmissing; // also those for which there was no room
};

static int look_for(struct children *k, const struct descriptor *d, struct err *e)
{
	struct call *c = k->call;
	auto_store_file struct store_file file = {0};
	struct err why;
	int root;

	if (roots_blob(c->api->roots, c->route.repo, &d->digest, STORE_MAY_WAIT, &file, &root,
		       &why) == 0)
		return 0;
	if (why.kind != ERR_NOT_FOUND) {
		*e = why;
		return -1;
	}
	if (k->nmissing < MISSING_MAX)
		k->missing[k->nmissing] = d->digest;
	k->nmissing++;
	return 0;
}

// Layers that are fetched from elsewhere are not pushed.
static bool is_elsewhere(const struct descriptor *d)
{
	return d->urls || media_type_is_foreign(d->media_type);
}

static int look_for_image(struct children *k, struct err *e)
{
	const struct manifest *m = k->manifest;

	if (look_for(k, &m->config, e) < 0)
		return -1;
	for (size_t i = 0; i < m->nlayers; i++)
		if (!is_elsewhere(&m->layers[i]) && look_for(k, &m->layers[i], e) < 0)
			return -1;
	return 0;
}

static int look_for_list(struct children *k, struct err *e)
{
	const struct manifest *m = k->manifest;

	for (size_t i = 0; i < m->nmanifests; i++)
		if (look_for(k, &m->manifests[i], e) < 0)
			return -1;
	return 0;
}

// Does the registry want all children of M to be there?
static bool wants_children(const struct api_config *cfg, const struct manifest *m)
{
	return m->kind == MANIFEST_IMAGE ? !cfg->allow_sparse_images : cfg->refuse_sparse_indexes;
}

static int check_children(void *arg, struct err *e)
{
	struct children *k = arg;
	int r = k->manifest->kind == MANIFEST_IMAGE ? look_for_image(k, e) : look_for_list(k, e);

	if (r < 0)
		return -1;
	return k->nmissing ? err_set(e, ERR_INPUT, "%zu children are missing", k->nmissing) : 0;
}

static void reply_missing(struct call *c, const struct children *k)
{
	size_t named = k->nmissing < MISSING_MAX ? k->nmissing : MISSING_MAX;

	reply_error(c, 400, "MANIFEST_BLOB_UNKNOWN", "%s is not in the repository",
		    k->missing[0].text);
	for (size_t i = 1; i < named; i++)
		reply_error_more(c, "MANIFEST_BLOB_UNKNOWN", "%s is not in the repository",
				 k->missing[i].text);
	if (k->nmissing > named)
		reply_error_more(c, "MANIFEST_BLOB_UNKNOWN", "and %zu more are not",
				 k->nmissing - named);
}

// ---- PUT

static void reply_stored(struct call *c, const struct manifest *m, const struct digest *d,
			 const struct strlist *tags)
{
	struct reply *r = &c->x->reply;

	r->status = 201;
	reply_header(r, "Location", "/v2/%s/manifests/%s", c->route.repo, d->text);
	reply_header(r, "Docker-Content-Digest", "%s", d->text);
	if (m->has_subject)
		reply_header(r, "OCI-Subject", "%s", m->subject.digest.text);
	if (!c->route.by_digest || tags->n == 0)
		return;
	auto_buf struct buf list = BUF_INIT(BUF_TEXT_MAX);

	for (size_t i = 0; i < tags->n; i++)
		buf_printf(&list, "%s%s", i ? ", " : "", tags->v[i]);
	reply_header(r, "OCI-Tag", "%s", list.p);
}

static void store_document(struct call *c, const struct manifest *m, const struct digest *d,
			   const struct strlist *tags)
{
	auto_free struct children *k = xcalloc(1, sizeof(*k));
	// What is opaque has no type here, and no children to look for.
	bool check = m->media_type && wants_children(&c->api->cfg, m);
	struct err e;

	k->call = c;
	k->manifest = m;
	if (check && m->kind == MANIFEST_INDEX && c->bytes.n > LOOKED_UP_MAX) {
		reply_error(c, 413, "SIZE_INVALID", "larger than the %zu bytes of an index",
			    LOOKED_UP_MAX);
		return;
	}
	if (store_manifest_commit(c->api->cfg.store, c->route.repo, buf_str(&c->bytes), d,
				  (const char *const *)tags->v, tags->n,
				  check ? check_children : NULL, k, &e) == 0)
		reply_stored(c, m, d, tags);
	else if (k->nmissing > 0)
		reply_missing(c, k);
	else
		reply_failure(c, "MANIFEST_UNKNOWN", &e);
}

static void put_document(struct call *c)
{
	auto_strlist struct strlist tags = {0};
	auto_manifest struct manifest m = {0};
	struct digest d;

	if (check_digest(c, &d) < 0 || read_document(c, &m) < 0 || read_tags(c, &tags) < 0)
		return;
	store_document(c, &m, &d, &tags);
}

static void put_end(struct call *c)
{
	put_document(c);
	let_go(c);
}

static void reply_too_large(struct call *c)
{
	reply_error(c, 413, "SIZE_INVALID", "larger than the %zu bytes of a manifest",
		    MANIFEST_MAX);
}

static int put_body(struct call *c, const void *data, size_t n)
{
	if (n > MANIFEST_MAX - c->bytes.n)
		reply_too_large(c);
	else if (hold(c, n)) {
		buf_put(&c->bytes, data, n);
		return 0;
	}
	let_go(c);
	return -1;
}

// What can be refused without reading the body is.
static bool refused_early(struct call *c)
{
	const struct request *r = &c->x->request;
	auto_strlist struct strlist tags = {0};

	if (!r->has_length && !r->chunked) {
		reply_error(c, 411, "SIZE_INVALID", "a manifest needs a Content-Length");
		return true;
	}
	if (r->has_length && r->length > MANIFEST_MAX) {
		reply_too_large(c);
		return true;
	}
	return read_tags(c, &tags) < 0 || push_disk_full(c, r->has_length ? r->length : 0);
}

enum exchange_next manifest_put(struct call *c)
{
	if (refused_early(c))
		return NEXT_REPLY;
	c->bytes = (struct buf)BUF_INIT(MANIFEST_MAX);
	c->body = put_body;
	c->end = put_end;
	c->broken = let_go;
	if (c->x->request.chunked || c->x->request.length > 0)
		return NEXT_BODY;
	put_end(c);
	return NEXT_REPLY;
}

// ---- DELETE

static bool is_elsewhere_too(struct call *c, const char *ref)
{
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	struct digest ignored;
	struct err e;

	return roots_manifest(c->api->roots, c->route.repo, ref, STORE_MAY_WAIT, &bytes, &ignored,
			      &e) == 0;
}

enum exchange_next manifest_delete(struct call *c)
{
	const struct route *r = &c->route;
	struct store *s = c->api->cfg.store;
	struct err e;

	if ((r->by_digest ? store_manifest_remove(s, r->repo, &r->digest, &e)
			  : store_tag_remove(s, r->repo, r->tag, &e)) < 0)
		return push_remove_failed(
			c, is_elsewhere_too(c, r->by_digest ? r->digest.text : r->tag),
			"MANIFEST_UNKNOWN", &e);
	c->x->reply.status = 202;
	return NEXT_REPLY;
}
