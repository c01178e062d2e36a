// SPDX-License-Identifier: Apache-2.0
// Pulling: blobs and manifests, whole, in ranges, or only if they have changed.
//
// Spec: OCI distribution-spec v1.1, "Pulling manifests", "Pulling blobs", "Checking if content
// exists in the registry"; RFC 9110 sections 13 (conditional requests) and 14 (ranges). An entity
// tag is the digest in quotes, so it is strong and never changes its meaning.
#include "image/manifest.h"
#include "serve/internal.h"
#include "util/cleanup.h"
#include "util/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

enum {
	BOUNDARY_BYTES = 16,
	TOUCH_SECONDS = 3600, // store_blob_touch refreshes what is older
	MANIFEST_IN_MEMORY_MAX = 64 * 1024,
};

#define BLOB_TYPE "application/octet-stream"

// ---- conditions

// Is one of the entity tags of LIST that of D? Weakly, as If-None-Match compares.
static bool tag_listed(struct str list, const struct digest *d)
{
	while (list.p) {
		struct str tag = str_trim(str_cut(&list, ','));

		if (str_eqz(tag, "*"))
			return true;
		if (str_starts(tag, STR("W/"))) {
			tag.p += 2;
			tag.n -= 2;
		}
		if (tag.n >= 2 && tag.p[0] == '"' && tag.p[tag.n - 1] == '"' &&
		    str_eqz((struct str){tag.p + 1, tag.n - 2}, d->text))
			return true;
	}
	return false;
}

static bool client_has_it(const struct request *q, const struct digest *d)
{
	unsigned at = 0;
	struct str list;

	while ((list = request_header_next(q, "If-None-Match", &at)).p)
		if (tag_listed(list, d))
			return true;
	return false;
}

// If-Range holds one strong entity tag; a date, or a weak tag, is never a match here.
static bool range_applies(const struct request *q, const struct digest *d)
{
	struct str tag = request_header(q, "If-Range");

	if (!tag.p)
		return true;
	return tag.n >= 2 && tag.p[0] == '"' && tag.p[tag.n - 1] == '"' &&
	       str_eqz((struct str){tag.p + 1, tag.n - 2}, d->text);
}

static void identify(struct reply *r, const struct digest *d)
{
	reply_header(r, "Docker-Content-Digest", "%s", d->text);
	reply_header(r, "ETag", "\"%s\"", d->text);
}

static enum exchange_next reply_not_modified(struct call *c, const struct digest *d)
{
	c->x->reply.status = 304;
	identify(&c->x->reply, d);
	return NEXT_REPLY;
}

// ---- blobs

static void make_boundary(char ret[2 * BOUNDARY_BYTES + 1])
{
	unsigned char random[BOUNDARY_BYTES] = {0};
	ssize_t n;

	do
		n = getrandom(random, sizeof(random), 0);
	while (n < 0 && errno == EINTR);
	for (size_t i = 0; i < sizeof(random); i++) {
		ret[2 * i] = "0123456789abcdef"[random[i] >> 4];
		ret[2 * i + 1] = "0123456789abcdef"[random[i] & 15];
	}
	ret[2 * BOUNDARY_BYTES] = '\0';
}

// Spec: RFC 9110 section 14.6. The parts come in the order in which they were asked for.
static void add_parts(struct reply *r, const struct range *ranges, unsigned n, uint64_t size)
{
	char boundary[2 * BOUNDARY_BYTES + 1];

	make_boundary(boundary);
	reply_header(r, "Content-Type", "multipart/byteranges; boundary=%s", boundary);
	for (unsigned i = 0; i < n; i++) {
		char *head = xasprintf("%s--%s\r\nContent-Type: " BLOB_TYPE
				       "\r\nContent-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64
				       "\r\n\r\n",
				       i ? "\r\n" : "", boundary, ranges[i].offset,
				       ranges[i].offset + ranges[i].length - 1, size);

		reply_add_text(r, head, strlen(head));
		reply_add_file(r, ranges[i].offset, ranges[i].length);
	}
	char *tail = xasprintf("\r\n--%s--\r\n", boundary);

	reply_add_text(r, tail, strlen(tail));
}

static void add_whole(struct reply *r, uint64_t size)
{
	r->status = 200;
	reply_header(r, "Content-Type", BLOB_TYPE);
	if (size > 0)
		reply_add_file(r, 0, size);
}

static void add_ranges(struct reply *r, const struct range *ranges, unsigned n, uint64_t size)
{
	r->status = 206;
	if (n > 1) {
		add_parts(r, ranges, n, size);
		return;
	}
	reply_header(r, "Content-Type", BLOB_TYPE);
	reply_header(r, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, ranges[0].offset,
		     ranges[0].offset + ranges[0].length - 1, size);
	reply_add_file(r, ranges[0].offset, ranges[0].length);
}

static enum range_verdict ranges_of(const struct call *c, uint64_t size,
				    struct range ret[RANGES_MAX], unsigned *ret_n)
{
	const struct request *q = &c->x->request;
	unsigned at = 0;
	struct str value = request_header_next(q, "Range", &at);

	if (q->method != METHOD_GET || !value.p || !range_applies(q, &c->route.digest))
		return RANGE_WHOLE;
	if (request_header_next(q, "Range", &at).p)
		return RANGE_WHOLE;
	return range_parse(value, size, ret, ret_n);
}

// Takes FILE over.
static enum exchange_next answer_blob(struct call *c, struct store_file *file, int root)
{
	struct reply *r = &c->x->reply;
	struct range ranges[RANGES_MAX];
	unsigned n = 0;
	uint64_t size = file->size;
	enum range_verdict verdict = ranges_of(c, size, ranges, &n);

	if (client_has_it(&c->x->request, &c->route.digest)) {
		store_file_release(file);
		return reply_not_modified(c, &c->route.digest);
	}
	if (verdict == RANGE_NONE) {
		store_file_release(file);
		reply_error(c, 416, "UNSUPPORTED", "none of these bytes are in the blob");
		reply_header(r, "Content-Range", "bytes */%" PRIu64, size);
		return NEXT_REPLY;
	}
	r->file = *file;
	*file = (struct store_file){0};
	c->file_digest = c->route.digest;
	c->file_root = root;
	identify(r, &c->route.digest);
	reply_header(r, "Accept-Ranges", "bytes");
	if (verdict == RANGE_SOME)
		add_ranges(r, ranges, n, size);
	else
		add_whole(r, size);
	return NEXT_REPLY;
}

// What a client has been told is there must outlive its push: see store_blob_touch.
static bool wants_touch(const struct call *c, int root)
{
	return c->x->request.method == METHOD_HEAD && c->api->cfg.store && root == 0;
}

enum exchange_next pull_blob(struct call *c)
{
	auto_store_file struct store_file file = {0};
	struct err e;
	int root = 0;

	if (roots_blob(c->api->roots, c->route.repo, &c->route.digest, STORE_MAY_WAIT, &file, &root,
		       &e) != 0)
		return reply_failure(c, "BLOB_UNKNOWN", &e);
	if (wants_touch(c, root))
		store_blob_touch(c->api->cfg.store, c->route.repo, &c->route.digest);
	return answer_blob(c, &file, root);
}

static bool is_young(const struct call *c, const struct store_file *file)
{
	struct stat st;

	return file->n > 0 && fstat(file->fds[0], &st) == 0 &&
	       c->api->cfg.now() - st.st_ctime < TOUCH_SECONDS;
}

static bool quick_blob(struct call *c)
{
	auto_store_file struct store_file file = {0};
	struct err e;
	int root = 0;
	int found = roots_blob(c->api->roots, c->route.repo, &c->route.digest, STORE_NO_WAIT, &file,
			       &root, &e);

	if (found < 0 && e.kind == ERR_NOT_FOUND)
		reply_failure(c, "BLOB_UNKNOWN", &e);
	else if (found == 0 && (!wants_touch(c, root) || is_young(c, &file)))
		answer_blob(c, &file, root);
	else
		return false;
	return true;
}

// ---- manifests

static const char *reference(const struct call *c)
{
	return c->route.by_digest ? c->route.digest.text : c->route.tag;
}

// A large one is sent from its file: clients that read slowly would add up in memory.
static void put_manifest(struct call *c, struct buf *bytes, const struct digest *d)
{
	struct reply *r = &c->x->reply;
	auto_store_file struct store_file file = {0};
	struct err ignored;
	int root;

	if (bytes->n > MANIFEST_IN_MEMORY_MAX &&
	    roots_blob(c->api->roots, c->route.repo, d, STORE_MAY_WAIT, &file, &root, &ignored) ==
		    0 &&
	    file.size == bytes->n) {
		r->file = file;
		file = (struct store_file){0};
		c->file_digest = *d;
		c->file_root = root;
		reply_add_file(r, 0, bytes->n);
		return;
	}
	buf_free(&r->body);
	r->body = *bytes;
	*bytes = (struct buf)BUF_INIT(0);
}

// Takes BYTES over.
static enum exchange_next answer_manifest(struct call *c, struct buf *bytes, const struct digest *d)
{
	struct reply *r = &c->x->reply;
	char type[MEDIA_TYPE_MAX + 1];

	if (client_has_it(&c->x->request, d))
		return reply_not_modified(c, d);
	manifest_media_type(buf_str(bytes), type);
	r->status = 200;
	reply_header(r, "Content-Type", "%s", type);
	identify(r, d);
	put_manifest(c, bytes, d);
	return NEXT_REPLY;
}

enum exchange_next pull_manifest(struct call *c)
{
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	struct digest d;
	struct err e;

	if (roots_manifest(c->api->roots, c->route.repo, reference(c), STORE_MAY_WAIT, &bytes, &d,
			   &e) == 0)
		return answer_manifest(c, &bytes, &d);
	if (e.kind == ERR_NOT_FOUND && !roots_repository_exists(c->api->roots, c->route.repo))
		return reply_failure(c, "NAME_UNKNOWN", &e);
	return reply_failure(c, "MANIFEST_UNKNOWN", &e);
}

static bool quick_manifest(struct call *c)
{
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	struct digest d;
	struct err e;

	if (roots_manifest(c->api->roots, c->route.repo, reference(c), STORE_NO_WAIT, &bytes, &d,
			   &e) != 0 ||
	    bytes.n > MANIFEST_IN_MEMORY_MAX)
		return false;
	answer_manifest(c, &bytes, &d);
	return true;
}

bool pull_quick(struct call *c, enum endpoint endpoint)
{
	return endpoint == ENDPOINT_BLOB ? quick_blob(c) : quick_manifest(c);
}
