// SPDX-License-Identifier: Apache-2.0
// Pushing blobs: sessions and their chunks, single requests, mounts; and removing blobs.
//
// Spec: OCI distribution-spec v1.1, "Pushing blobs", "Mounting a blob from another repository",
// "Deleting blobs". A session costs nothing before its first byte; bytes go to the store as they
// arrive and are never held here.
#include "serve/internal.h"

#include "util/map.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

enum {
	RETRY_BUSY = 1, // Retry-After, seconds
	RETRY_FULL = 60,
	SPACE_CHECK_BYTES = 64 << 20, // the disk's reserve is looked at again so often
	USERS_MAX = 64,               // manifests read to find out whether a blob is in use
};

#define ANY_LENGTH UINT64_MAX

// ---- limits

static uint64_t blob_bytes_max(const struct call *c)
{
	return c->api->cfg.limits.blob_bytes;
}

bool push_disk_full(struct call *c, uint64_t bytes)
{
	if (api_has_room(c->api, bytes))
		return false;
	reply_error(c, 503, "TOOMANYREQUESTS", "the registry's disk is nearly full");
	reply_header(&c->x->reply, "Retry-After", "%d", RETRY_FULL);
	return true;
}

static bool too_many_sessions(struct call *c)
{
	if (store_upload_count(c->api->cfg.store) < c->api->cfg.limits.sessions)
		return false;
	reply_error(c, 429, "TOOMANYREQUESTS", "too many uploads at once");
	reply_header(&c->x->reply, "Retry-After", "%d", RETRY_BUSY);
	return true;
}

// ---- answers

// Where the session is and what it has: every answer about one that goes on says it.
static void session_headers(struct call *c, const char *id, uint64_t size)
{
	struct reply *r = &c->x->reply;

	reply_header(r, "Location", "/v2/%s/blobs/uploads/%s", c->route.repo, id);
	reply_header(r, "Range", "0-%" PRIu64, size ? size - 1 : 0);
	reply_header(r, "Docker-Upload-UUID", "%s", id);
}

static enum exchange_next reply_session(struct call *c, int status, const char *id, uint64_t size)
{
	c->x->reply.status = status;
	session_headers(c, id, size);
	return NEXT_REPLY;
}

static enum exchange_next reply_created(struct call *c, const struct digest *d)
{
	struct reply *r = &c->x->reply;

	r->status = 201;
	reply_header(r, "Location", "/v2/%s/blobs/%s", c->route.repo, d->text);
	reply_header(r, "Docker-Content-Digest", "%s", d->text);
	return NEXT_REPLY;
}

// A request that does not go with the others of its session, which stays as it is.
static void reply_out_of_order(struct call *c, uint64_t first)
{
	uint64_t size = store_upload_size(c->upload);

	reply_error(c, 416, "BLOB_UPLOAD_INVALID",
		    "the chunk starts at %" PRIu64 ", the upload has %" PRIu64 " bytes", first,
		    size);
	session_headers(c, c->route.tag, size);
}

// Another request, or one whose connection is not known to be dead yet, has the session.
static enum exchange_next reply_busy(struct call *c, int status)
{
	struct reply *r = &c->x->reply;

	reply_error(c, status, status == 503 ? "TOOMANYREQUESTS" : "BLOB_UPLOAD_INVALID",
		    "another request is writing to this upload");
	reply_header(r, "Location", "/v2/%s/blobs/uploads/%s", c->route.repo, c->route.tag);
	reply_header(r, "Retry-After", "%d", RETRY_BUSY);
	return NEXT_REPLY;
}

static enum exchange_next reply_no_session(struct call *c, const struct err *e, int busy_status)
{
	if (e->kind == ERR_BUSY)
		return reply_busy(c, busy_status);
	return reply_failure(c, "BLOB_UPLOAD_UNKNOWN", e);
}

// ---- sessions

static struct store_upload *open_session(struct call *c, struct err *e)
{
	return store_upload_open(c->api->cfg.store, c->route.repo, c->user, c->route.tag, e);
}

static void cancel_upload(struct call *c)
{
	store_upload_cancel(steal(&c->upload));
}

// The session, as the client will find it after this request went wrong.
static void give_up(struct call *c)
{
	struct err e;

	if (!c->upload)
		return;
	if (c->drop_when_broken ||
	    (c->cut_when_broken && store_upload_cut(c->upload, c->upload_start, &e) < 0))
		cancel_upload(c);
	else
		store_upload_close(steal(&c->upload));
}

static bool has_body(const struct request *r)
{
	return r->chunked || (r->has_length && r->length > 0);
}

// What Content-Range and Content-Length say of the body, before any of it is read.
static int check_range(struct call *c)
{
	const struct request *r = &c->x->request;
	struct str text = request_header(r, "Content-Range");
	uint64_t first, last;

	if (!text.p)
		return 0;
	if (!content_range_parse(text, &first, &last)) {
		reply_error(c, 400, "BLOB_UPLOAD_INVALID", "Content-Range is not FIRST-LAST");
		return -1;
	}
	if (first != c->upload_start) {
		reply_out_of_order(c, first);
		return -1;
	}
	if (last >= blob_bytes_max(c)) {
		reply_error(c, 413, "SIZE_INVALID", "larger than the %" PRIu64 " bytes of a blob",
			    blob_bytes_max(c));
		return -1;
	}
	c->upload_length = last - first + 1;
	c->cut_when_broken = true;
	if (r->chunked || (r->has_length && r->length == c->upload_length))
		return 0;
	reply_error(c, 400, "SIZE_INVALID",
		    "Content-Range is of %" PRIu64 " bytes, the body has %" PRIu64,
		    c->upload_length, r->has_length ? r->length : 0);
	return -1;
}

static int check_size(struct call *c)
{
	const struct request *r = &c->x->request;
	uint64_t length = c->upload_length != ANY_LENGTH ? c->upload_length
			  : r->has_length                ? r->length
							 : 0;

	if (length > blob_bytes_max(c) || c->upload_start > blob_bytes_max(c) - length) {
		reply_error(c, 413, "SIZE_INVALID", "larger than the %" PRIu64 " bytes of a blob",
			    blob_bytes_max(c));
		return -1;
	}
	if (!has_body(r))
		return 0;
	if (c->upload_start == 0 && too_many_sessions(c))
		return -1;
	return push_disk_full(c, length) ? -1 : 0;
}

static int upload_body(struct call *c, const void *data, size_t n)
{
	uint64_t size = store_upload_size(c->upload);
	struct err e;

	if (n > c->upload_length - (size - c->upload_start)) {
		reply_error(c, 400, "SIZE_INVALID",
			    "the body has more than the %" PRIu64 " bytes of its Content-Range",
			    c->upload_length);
		give_up(c);
		return -1;
	}
	// Sessions that can come to nothing do not keep the disk for a day.
	if (size > blob_bytes_max(c) || n > blob_bytes_max(c) - size) {
		reply_error(c, 413, "SIZE_INVALID", "larger than the %" PRIu64 " bytes of a blob",
			    blob_bytes_max(c));
		cancel_upload(c);
		return -1;
	}
	if (size / SPACE_CHECK_BYTES != (size + n) / SPACE_CHECK_BYTES && push_disk_full(c, n)) {
		cancel_upload(c);
		return -1;
	}
	if (store_upload_write(c->upload, data, n, &e) == 0)
		return 0;
	reply_failure(c, "BLOB_UPLOAD_UNKNOWN", &e);
	give_up(c);
	return -1;
}

// Only a chunked body can be shorter than its Content-Range.
static bool upload_complete(struct call *c)
{
	uint64_t came = store_upload_size(c->upload) - c->upload_start;

	if (c->upload_length == ANY_LENGTH || came == c->upload_length)
		return true;
	reply_error(c, 400, "SIZE_INVALID",
		    "Content-Range is of %" PRIu64 " bytes, the body has %" PRIu64,
		    c->upload_length, came);
	give_up(c);
	return false;
}

// Takes what is to come, for END to answer; a body that is not there ends at once.
static enum exchange_next receive(struct call *c, void (*end)(struct call *c))
{
	c->upload_start = store_upload_size(c->upload);
	c->upload_length = ANY_LENGTH;
	if (check_range(c) < 0 || check_size(c) < 0) {
		// Nothing came yet, so nothing is to be cut.
		c->cut_when_broken = false;
		give_up(c);
		return NEXT_REPLY;
	}
	c->body = upload_body;
	c->end = end;
	c->broken = give_up;
	if (has_body(&c->x->request))
		return NEXT_BODY;
	end(c);
	return NEXT_REPLY;
}

// ---- POST

static enum exchange_next reply_bad_digest(struct call *c, const char *text)
{
	if (!text)
		return reply_error(c, 400, "DIGEST_INVALID", "the parameter 'digest' is missing");
	return reply_error(c, 400, "DIGEST_INVALID", "the parameter 'digest' is no digest");
}

// The upload has all of its bytes: they become the blob that was wanted.
static void commit_end(struct call *c)
{
	struct err e;

	if (!upload_complete(c))
		return;
	if (store_upload_commit(steal(&c->upload), &c->wanted, &e) == 0)
		reply_created(c, &c->wanted);
	else if (e.kind == ERR_DIGEST)
		reply_error(c, 400, "DIGEST_INVALID", "the content is not %s", c->wanted.text);
	else
		reply_failure(c, "BLOB_UPLOAD_UNKNOWN", &e);
}

static enum exchange_next single_post(struct call *c, const char *digest)
{
	struct store *s = c->api->cfg.store;
	char id[UPLOAD_ID_SIZE];
	struct err e;

	if (digest_parse(&c->wanted, digest, &e) < 0)
		return reply_bad_digest(c, digest);
	if (store_upload_id(s, c->route.repo, c->user, c->wanted.algo, id, &e) < 0)
		return reply_failure(c, "BLOB_UPLOAD_UNKNOWN", &e);
	c->upload = store_upload_open(s, c->route.repo, c->user, id, &e);
	if (!c->upload)
		return reply_failure(c, "BLOB_UPLOAD_UNKNOWN", &e);
	c->drop_when_broken = true;
	return receive(c, commit_end);
}

// Is REPO a name by the grammar? Parsed as the part of a path that it would be.
static bool is_repository_name(const char *repo)
{
	auto_free char *path = xasprintf("/v2/%s/tags/list", repo);
	const char *code;
	struct route route;
	struct err e;

	return route_parse(&route, str_of(path), &code, &e) == 0 &&
	       route.endpoint == ENDPOINT_TAGS && strcmp(route.repo, repo) == 0;
}

// Without FROM any repository will do, for those who may read all of them: for others the answer
// would tell what repositories that they cannot see have.
static bool may_mount(struct call *c, const char *from)
{
	if (from && !is_repository_name(from))
		return false;
	return auth_allows(c->api->cfg.auth, c->user, c->x, from ? from : "*", AUTH_PULL);
}

// A mount that cannot be is never an error: the client is asked to push the blob instead.
static bool mounted(struct call *c, const struct digest *d)
{
	const char *from = query_get(&c->query, "from");
	struct err e;

	if (from && !*from)
		from = NULL;
	if (!may_mount(c, from))
		return false;
	if (store_blob_mount(c->api->cfg.store, c->route.repo, d, from, &e) == 0)
		return true;
	if (e.kind != ERR_NOT_FOUND)
		api_notice(c->api, "mounting %s in '%s': %s", d->text, c->route.repo, e.text);
	return false;
}

static enum exchange_next start_session(struct call *c, enum digest_algo algo)
{
	const char *name = query_get(&c->query, "digest-algorithm");
	char id[UPLOAD_ID_SIZE];
	struct err e;

	if (name && strcmp(name, digest_algo_name(DIGEST_SHA256)) == 0)
		algo = DIGEST_SHA256;
	else if (name && strcmp(name, digest_algo_name(DIGEST_SHA512)) == 0)
		algo = DIGEST_SHA512;
	else if (name)
		return reply_error(c, 400, "DIGEST_INVALID",
				   "digest-algorithm is neither sha256 nor sha512");
	if (too_many_sessions(c) || push_disk_full(c, 0))
		return NEXT_REPLY;
	if (store_upload_id(c->api->cfg.store, c->route.repo, c->user, algo, id, &e) < 0)
		return reply_failure(c, "BLOB_UPLOAD_UNKNOWN", &e);
	return reply_session(c, 202, id, 0);
}

enum exchange_next upload_start(struct call *c)
{
	const char *mount = query_get(&c->query, "mount");
	const char *digest = query_get(&c->query, "digest");
	enum digest_algo algo = DIGEST_SHA256;
	struct digest d;
	struct err e;

	if (mount && digest_parse(&d, mount, &e) == 0) {
		if (mounted(c, &d))
			return reply_created(c, &d);
		algo = d.algo;
	}
	return digest ? single_post(c, digest) : start_session(c, algo);
}

// ---- PATCH, PUT, GET, DELETE

static void patch_end(struct call *c)
{
	if (!upload_complete(c))
		return;
	uint64_t size = store_upload_size(c->upload);

	// Before the answer: the next chunk may come over another connection.
	store_upload_close(steal(&c->upload));
	reply_session(c, 202, c->route.tag, size);
}

enum exchange_next upload_patch(struct call *c)
{
	struct err e;

	c->upload = open_session(c, &e);
	return c->upload ? receive(c, patch_end) : reply_no_session(c, &e, 416);
}

// A client that lost the answer to its PUT asks again: the session is over, the blob there.
static bool finished_before(struct call *c)
{
	struct store *s = c->api->cfg.store;
	auto_store_file struct store_file file = {0};
	struct err e;

	// A process that was not there when the session ended takes it for one without data.
	if (c->upload ? store_upload_size(c->upload) > 0 || has_body(&c->x->request)
		      : !store_upload_issued(s, c->route.repo, c->user, c->route.tag))
		return false;
	return store_blob_file(s, c->route.repo, &c->wanted, STORE_MAY_WAIT, &file, &e) == 0;
}

enum exchange_next upload_finish(struct call *c)
{
	const char *digest = query_get(&c->query, "digest");
	struct err e = {0};

	if (!digest || digest_parse(&c->wanted, digest, &e) < 0)
		return reply_bad_digest(c, digest);
	c->upload = open_session(c, &e);
	if ((c->upload || e.kind == ERR_NOT_FOUND) && finished_before(c)) {
		cancel_upload(c);
		return reply_created(c, &c->wanted);
	}
	return c->upload ? receive(c, commit_end) : reply_no_session(c, &e, 416);
}

enum exchange_next upload_status(struct call *c)
{
	struct err e;
	auto_of(store_upload_close) struct store_upload *u = open_session(c, &e);

	if (!u)
		return reply_no_session(c, &e, 503);
	return reply_session(c, 204, c->route.tag, store_upload_size(u));
}

enum exchange_next upload_cancel(struct call *c)
{
	struct err e;

	c->upload = open_session(c, &e);
	if (!c->upload)
		return reply_no_session(c, &e, 503);
	cancel_upload(c);
	c->x->reply.status = 204;
	return NEXT_REPLY;
}

// ---- removing blobs

// Does the manifest REF of the repository name D? *RET gets the digests that a list lists.
static bool manifest_names(struct call *c, const char *ref, const struct digest *d,
			   struct strlist *ret)
{
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	auto_manifest struct manifest m = {0};
	struct digest ignored;
	struct err e;

	if (store_manifest_fetch(c->api->cfg.store, c->route.repo, ref, STORE_MAY_WAIT, &bytes,
				 &ignored, &e) != 0)
		return false;
	if (memmem(bytes.p, bytes.n, d->text, strlen(d->text)))
		return true;
	if (manifest_parse(&m, buf_str(&bytes), NULL, c->route.repo, &e) < 0)
		return false;
	for (size_t i = 0; i < m.nmanifests && ret->n < USERS_MAX; i++)
		strlist_add(ret, m.manifests[i].digest.text);
	return false;
}

// As far as it is cheap to know: the tags of small repositories are looked at.
static bool blob_in_use(struct call *c, const struct digest *d)
{
	auto_strlist struct strlist refs = {0};
	struct err e;

	if (store_tags(c->api->cfg.store, c->route.repo, &refs, &e) < 0)
		return false;
	// What lists list joins behind.
	for (size_t i = 0; i < refs.n && i < USERS_MAX; i++)
		if (manifest_names(c, refs.v[i], d, &refs))
			return true;
	return false;
}

enum exchange_next push_remove_failed(struct call *c, bool elsewhere, const char *code,
				      const struct err *e)
{
	if (e->kind == ERR_NOT_FOUND && elsewhere)
		return reply_error(c, 405, "UNSUPPORTED", "it is on media that are read-only");
	return reply_failure(c, code, e);
}

enum exchange_next blob_delete(struct call *c)
{
	const struct digest *d = &c->route.digest;
	auto_store_file struct store_file file = {0};
	int root;
	bool used = blob_in_use(c, d);
	struct err e, ignored;

	if (store_blob_remove(c->api->cfg.store, c->route.repo, d, &e) < 0) {
		bool elsewhere = roots_blob(c->api->roots, c->route.repo, d, STORE_MAY_WAIT, &file,
					    &root, &ignored) == 0;
		return push_remove_failed(c, elsewhere, "BLOB_UNKNOWN", &e);
	}
	c->x->reply.status = 202;
	if (used) {
		api_notice(c->api, "blob %s was removed from '%s', where a manifest uses it",
			   d->text, c->route.repo);
		reply_header(&c->x->reply, "Warning",
			     "299 - \"a manifest of this repository uses the blob\"");
	}
	return NEXT_REPLY;
}
