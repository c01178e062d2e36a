// SPDX-License-Identifier: Apache-2.0
// The registry as a service: finds the endpoint of a request, asks whether it is allowed, keeps
// what the call needs until it is over, and writes the access log.
//
// Spec: OCI distribution-spec v1.1, "Endpoints".
#include "serve/api.h"

#include "serve/internal.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/mem.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

enum {
	SESSIONS_DEFAULT = 256,
	MANIFESTS_IN_MEMORY_DEFAULT = 2,
	ANSWER_SMALL_MAX = 64 * 1024, // lists and manifests mostly are
	ANSWERS_IN_MEMORY_MAX =
		16 << 20,       // all that are larger: a client may read as slowly as it likes
	FORM_MAX = 16 * 1024,   // of POST /token
	FORMS_HASHING_MAX = 2,  // password checks of forms at once: they keep a worker each
	BODY_DRAIN_MAX = 65536, // a longer body that is not wanted costs its connection
	SWEEP_SECONDS = 3600,
	CROWDED_SWEEP_SECONDS = 5,
	CROWDED_IDLE_SECONDS = 15 * 60, // what is older makes room for others
	RESERVE_PERCENT = 5,
	FALL_THROUGH_MAX = 64, // roots that are tried for one broken file
};

#define BLOB_BYTES_DEFAULT   ((uint64_t)64 << 30)
#define DISK_RESERVE_DEFAULT ((uint64_t)2 << 30)

// ---- notices and health

void api_notice(struct api *a, const char *fmt, ...)
{
	va_list ap;

	if (!a->cfg.notice)
		return;
	va_start(ap, fmt);
	auto_free char *text = xvasprintf(fmt, ap);
	va_end(ap);
	a->cfg.notice(a->cfg.log_arg, text);
}

bool api_has_room(struct api *a, uint64_t bytes)
{
	uint64_t reserve = a->cfg.limits.disk_reserve, unit, free_bytes;
	struct statvfs v;

	// A disk that cannot be asked says so when it is written to.
	if (!a->cfg.store || statvfs(store_dir(a->cfg.store), &v) < 0)
		return true;
	unit = v.f_frsize ? v.f_frsize : v.f_bsize;
	free_bytes = (uint64_t)v.f_bavail * unit;
	if (reserve == 0) {
		reserve = (uint64_t)v.f_blocks * unit / 100 * RESERVE_PERCENT;
		if (reserve > DISK_RESERVE_DEFAULT)
			reserve = DISK_RESERVE_DEFAULT;
	}
	return free_bytes >= reserve && free_bytes - reserve >= bytes;
}

// TEXT goes to the log when TROUBLE begins.
static void set_trouble(struct api *a, enum trouble trouble, bool on, const char *text)
{
	if (!on) {
		atomic_fetch_and(&a->trouble, ~(unsigned)trouble);
		a->told &= ~(unsigned)trouble;
		return;
	}
	atomic_fetch_or(&a->trouble, (unsigned)trouble);
	if (!(a->told & trouble))
		api_notice(a, "%s", text);
	a->told |= trouble;
}

static void sweep(struct api *a)
{
	int64_t now = a->cfg.now();
	struct err e = {0};

	if (!a->cfg.store || (a->swept != 0 && now - a->swept < SWEEP_SECONDS))
		return;
	a->swept = now;
	bool failed = store_upload_sweep(a->cfg.store, now, &e) < 0;

	set_trouble(a, TROUBLE_SWEEP, failed, e.text);
}

// Uploads whose clients died are kept for a day, unless they would keep others from pushing.
static void make_room(struct api *a)
{
	int64_t now = a->cfg.now();
	struct err e = {0};

	if (!a->cfg.store || now - a->made_room < CROWDED_SWEEP_SECONDS ||
	    (uint64_t)store_upload_count(a->cfg.store) * 4 < (uint64_t)a->cfg.limits.sessions * 3)
		return;
	a->made_room = now;
	bool failed = store_upload_crowd_out(a->cfg.store, now - CROWDED_IDLE_SECONDS, &e) < 0;

	set_trouble(a, TROUBLE_SWEEP, failed, e.text);
}

void api_tick(struct api *a)
{
	struct err e = {0};
	bool failed = auth_reload(a->cfg.auth, &e) < 0;

	set_trouble(a, TROUBLE_USERS, failed, e.text);
	set_trouble(a, TROUBLE_DISK, !api_has_room(a, 0),
		    "the disk of the store is nearly full: pushes are refused");
	sweep(a);
	make_room(a);
}

// ---- endpoints without content

static enum exchange_next reply_text(struct call *c, int status, const char *type, const char *text)
{
	struct reply *r = &c->x->reply;

	r->status = status;
	reply_header(r, "Content-Type", "%s", type);
	buf_puts(&r->body, text);
	return NEXT_REPLY;
}

static enum exchange_next answer_root(struct call *c)
{
	return reply_text(c, 200, "text/plain; charset=utf-8",
			  "This is ferry, a registry of mirrored container images.\n"
			  "Its API is the OCI distribution API: see /v2/\n");
}

static enum exchange_next answer_health(struct call *c)
{
	static const char *const why[] = {
		[TROUBLE_DISK] = "degraded: the disk is nearly full, pushes are refused\n",
		[TROUBLE_SWEEP] = "degraded: the store cannot be cleaned up\n",
		[TROUBLE_USERS] = "degraded: the users' file cannot be read\n",
	};
	unsigned trouble = atomic_load(&c->api->trouble);
	const char *type = "text/plain; charset=utf-8";

	reply_header(&c->x->reply, "Cache-Control", "no-store");
	if (trouble == 0)
		return reply_text(c, 200, type, "ok\n");
	reply_text(c, 503, type, "");
	for (unsigned bit = TROUBLE_DISK; bit <= TROUBLE_USERS; bit <<= 1)
		if (trouble & bit)
			buf_puts(&c->x->reply.body, why[bit]);
	return NEXT_REPLY;
}

static enum exchange_next answer_base(struct call *c)
{
	return reply_text(c, 200, "application/json", "{}");
}

// ---- tokens

static enum exchange_next token_get(struct call *c)
{
	struct str none = {NULL, 0};

	if (auth_token(c->api->cfg.auth, c->x, none, c->may_hash) == AUTH_SLOWLY)
		return NEXT_PASSWORD;
	return NEXT_REPLY;
}

static int form_body(struct call *c, const void *data, size_t n)
{
	struct err e;

	if (buf_add(&c->bytes, data, n, &e) < 0) {
		reply_error(c, 413, "SIZE_INVALID", "a form of more than %d bytes", FORM_MAX);
		return -1;
	}
	return 0;
}

// The form has the password, so it is not known sooner that it must be hashed: a few at once, for
// each of them keeps a worker busy.
static void form_end(struct call *c)
{
	struct api *a = c->api;

	if (auth_token(a->cfg.auth, c->x, buf_str(&c->bytes), false) != AUTH_SLOWLY)
		return;
	if (atomic_fetch_add(&a->forms_hashing, 1) < FORMS_HASHING_MAX) {
		auth_token(a->cfg.auth, c->x, buf_str(&c->bytes), true);
	} else {
		reply_error(c, 429, "TOOMANYREQUESTS", "too many passwords to check at once");
		reply_header(&c->x->reply, "Retry-After", "1");
	}
	atomic_fetch_sub(&a->forms_hashing, 1);
}

static enum exchange_next token_post(struct call *c)
{
	c->bytes.max = FORM_MAX;
	c->body = form_body;
	c->end = form_end;
	return NEXT_BODY;
}

// ---- the table

enum row_flags {
	ROW_OPEN = 1 << 0,    // for everybody
	ROW_WRITES = 1 << 1,  // there must be a writable store
	ROW_DELETES = 1 << 2, // and removing things must be allowed
	ROW_SESSION = 1 << 3, // about an upload; without a writable store there are none
	ROW_QUICK = 1 << 4,   // what is in memory is answered on the event thread
};

struct route_row {
	enum endpoint endpoint;
	enum request_method method; // GET answers HEAD as well
	unsigned flags;
	unsigned actions;
	enum exchange_next (*answer)(struct call *c);
};

enum { PUSH = AUTH_PULL | AUTH_PUSH };

static const struct route_row rows[] = {
	{ENDPOINT_ROOT, METHOD_GET, ROW_OPEN | ROW_QUICK, 0, answer_root},
	{ENDPOINT_HEALTH, METHOD_GET, ROW_OPEN | ROW_QUICK, 0, answer_health},
	{ENDPOINT_TOKEN, METHOD_GET, ROW_OPEN, 0, token_get},
	{ENDPOINT_TOKEN, METHOD_POST, ROW_OPEN, 0, token_post},
	{ENDPOINT_BASE, METHOD_GET, ROW_QUICK, 0, answer_base},
	{ENDPOINT_CATALOG, METHOD_GET, 0, AUTH_CATALOG, list_catalog},
	{ENDPOINT_BLOB, METHOD_GET, ROW_QUICK, AUTH_PULL, pull_blob},
	{ENDPOINT_BLOB, METHOD_DELETE, ROW_WRITES | ROW_DELETES, AUTH_DELETE, blob_delete},
	{ENDPOINT_MANIFEST, METHOD_GET, ROW_QUICK, AUTH_PULL, pull_manifest},
	{ENDPOINT_MANIFEST, METHOD_PUT, ROW_WRITES, PUSH, manifest_put},
	{ENDPOINT_MANIFEST, METHOD_DELETE, ROW_WRITES | ROW_DELETES, AUTH_DELETE, manifest_delete},
	{ENDPOINT_UPLOADS, METHOD_POST, ROW_WRITES, PUSH, upload_start},
	{ENDPOINT_UPLOAD, METHOD_GET, ROW_SESSION, PUSH, upload_status},
	{ENDPOINT_UPLOAD, METHOD_PATCH, ROW_WRITES, PUSH, upload_patch},
	{ENDPOINT_UPLOAD, METHOD_PUT, ROW_WRITES, PUSH, upload_finish},
	{ENDPOINT_UPLOAD, METHOD_DELETE, ROW_WRITES, PUSH, upload_cancel},
	{ENDPOINT_TAGS, METHOD_GET, 0, AUTH_PULL, list_tags},
	{ENDPOINT_REFERRERS, METHOD_GET, 0, AUTH_PULL, list_referrers},
};

static bool row_enabled(const struct api *a, const struct route_row *row)
{
	if ((row->flags & ROW_WRITES) && !a->cfg.store)
		return false;
	return !(row->flags & ROW_DELETES) || a->cfg.allow_delete;
}

static const struct route_row *row_find(enum endpoint endpoint, enum request_method method)
{
	if (method == METHOD_HEAD)
		method = METHOD_GET;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].endpoint == endpoint && rows[i].method == method)
			return &rows[i];
	return NULL;
}

// Spec: "405 Method Not Allowed" with the code UNSUPPORTED.
static enum exchange_next reply_not_allowed(struct call *c, const char *why)
{
	static const char *const names[] = {
		[METHOD_GET] = "GET, HEAD", [METHOD_POST] = "POST",     [METHOD_PUT] = "PUT",
		[METHOD_PATCH] = "PATCH",   [METHOD_DELETE] = "DELETE", [METHOD_OTHER] = NULL,
	};
	auto_buf struct buf allow = BUF_INIT(BUF_TEXT_MAX);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].endpoint == c->route.endpoint && row_enabled(c->api, &rows[i]))
			buf_printf(&allow, "%s%s", allow.n ? ", " : "", names[rows[i].method]);
	if (allow.n == 0)
		buf_puts(&allow, "GET, HEAD");
	reply_error(c, 405, "UNSUPPORTED", "%s", why);
	reply_header(&c->x->reply, "Allow", "%s", allow.p);
	return NEXT_REPLY;
}

// ---- a call

static struct call *call_of(struct api *a, struct exchange *x)
{
	struct call *c = x->state;

	if (c)
		return c;
	c = xcalloc(1, sizeof(*c));
	c->api = a;
	c->x = x;
	c->bytes = (struct buf)BUF_INIT(0);
	x->state = c;
	return c;
}

static void call_free(struct call *c)
{
	if (!c)
		return;
	atomic_fetch_sub(&c->api->manifest_bytes, c->held);
	atomic_fetch_sub(&c->api->answer_bytes, c->answer_held);
	store_upload_close(c->upload);
	query_release(&c->query);
	buf_free(&c->bytes);
	free(c);
}

// The answer to a HEAD is that to the GET, but for its body.
static void leave_body_out(struct exchange *x)
{
	struct reply *r = &x->reply;
	uint64_t length = r->body.n;

	if (x->request.method != METHOD_HEAD || (r->npieces == 0 && r->body.n == 0))
		return;
	if (r->npieces > 0)
		length = 0;
	for (unsigned i = 0; i < r->npieces; i++) {
		length += r->pieces[i].length;
		free(r->pieces[i].text);
	}
	r->npieces = 0;
	store_file_release(&r->file);
	buf_free(&r->body);
	r->length = length;
}

static enum auth_verdict authorise(struct call *c)
{
	enum auth_verdict v;

	if (c->authorised || (c->row->flags & ROW_OPEN))
		return AUTH_OK;
	v = auth_check(c->api->cfg.auth, c->x, c->route.repo, c->row->actions, c->may_hash,
		       c->user);
	c->authorised = v == AUTH_OK;
	return v;
}

// Which endpoint it is, and whether it can be answered at all. False: the reply is set.
static bool find_row(struct call *c)
{
	const struct request *q = &c->x->request;
	const char *code = "NAME_INVALID";
	struct err e = {0};
	int status = c->parsed ? 0 : route_parse(&c->route, q->path, &code, &e);

	if (status != 0) {
		reply_error(c, status, code, "%s", e.text);
		return false;
	}
	c->parsed = true;
	if (c->route.endpoint == ENDPOINT_UNKNOWN) {
		reply_error(c, 404, "NAME_UNKNOWN", "there is nothing here");
		return false;
	}
	c->row = row_find(c->route.endpoint, q->method);
	if (!c->row) {
		reply_not_allowed(c, "this method is not supported here");
		return false;
	}
	if (!row_enabled(c->api, c->row)) {
		reply_not_allowed(c, c->api->cfg.store ? "removing is not enabled here"
						       : "this registry is read-only");
		return false;
	}
	if ((c->row->flags & ROW_SESSION) && !c->api->cfg.store) {
		reply_error(c, 404, "BLOB_UPLOAD_UNKNOWN", "this registry is read-only");
		return false;
	}
	return true;
}

static enum exchange_next dispatch(struct call *c)
{
	struct str query = c->x->request.query;
	struct err e;

	if (!c->row && !find_row(c))
		return NEXT_REPLY;
	switch (authorise(c)) {
	case AUTH_SLOWLY:
		return NEXT_PASSWORD;
	case AUTH_REPLY:
		return NEXT_REPLY;
	case AUTH_OK:
		break;
	}
	if (query.n > 0 && c->query.n == 0 && query_parse(&c->query, query, &e) < 0)
		return reply_error(c, 400, "UNSUPPORTED", "query: %s", e.text);
	return c->row->answer(c);
}

// A refused body that is long would be read for nothing.
static void refuse_body(struct exchange *x)
{
	if (x->request.chunked || (x->request.has_length && x->request.length > BODY_DRAIN_MAX))
		x->reply.close = true;
}

// What is in memory until the client has read it must not add up.
static void bound_answer(struct call *c)
{
	struct api *a = c->api;
	uint64_t n = c->x->reply.body.n;

	if (n <= ANSWER_SMALL_MAX)
		return;
	if (atomic_fetch_add(&a->answer_bytes, n) + n <= ANSWERS_IN_MEMORY_MAX) {
		c->answer_held = n;
		return;
	}
	atomic_fetch_sub(&a->answer_bytes, n);
	reply_error(c, 503, "TOOMANYREQUESTS", "too many large answers are being read at once");
	reply_header(&c->x->reply, "Retry-After", "1");
}

// ---- struct service

static bool service_quick(void *arg, struct exchange *x)
{
	struct api *a = arg;
	bool done;

	if (x->request.method != METHOD_GET && x->request.method != METHOD_HEAD)
		return false;
	struct call *c = call_of(a, x);
	struct err e;
	const char *code;

	if (route_parse(&c->route, x->request.path, &code, &e) != 0)
		return false;
	c->parsed = true;
	c->row = row_find(c->route.endpoint, METHOD_GET);
	if (!c->row || !(c->row->flags & ROW_QUICK)) {
		c->row = NULL;
		return false;
	}
	switch (authorise(c)) {
	case AUTH_SLOWLY:
		return false;
	case AUTH_REPLY:
		leave_body_out(x);
		return true;
	case AUTH_OK:
		break;
	}
	if (c->route.endpoint == ENDPOINT_BLOB || c->route.endpoint == ENDPOINT_MANIFEST)
		done = pull_quick(c, c->route.endpoint);
	else
		done = c->row->answer(c) == NEXT_REPLY;
	if (done) {
		leave_body_out(x);
		bound_answer(c);
	}
	return done;
}

static enum exchange_next service_begin(void *arg, struct exchange *x)
{
	struct call *c = call_of(arg, x);
	enum exchange_next next = dispatch(c);

	if (next == NEXT_PASSWORD)
		c->may_hash = true;
	if (next == NEXT_REPLY) {
		refuse_body(x);
		leave_body_out(x);
		bound_answer(x->state);
	}
	return next;
}

static int service_body(void *arg, struct exchange *x, const void *data, size_t n)
{
	struct call *c = x->state;

	(void)arg;
	return c->body(c, data, n);
}

static void service_end(void *arg, struct exchange *x)
{
	struct call *c = x->state;

	(void)arg;
	c->end(c);
}

static void service_broken(void *arg, struct exchange *x)
{
	struct call *c = x->state;

	(void)arg;
	if (c && c->broken)
		c->broken(c);
}

// Puts the same content out of another root into the reply.
static bool fall_through(struct call *c)
{
	struct store_file *file = &c->x->reply.file;

	for (int i = 0; i < FALL_THROUGH_MAX; i++) {
		auto_store_file struct store_file next = {0};
		struct err e;
		int root;

		if (roots_blob(c->api->roots, c->route.repo, &c->file_digest, STORE_MAY_WAIT, &next,
			       &root, &e) != 0)
			return false;
		if (next.size != file->size) {
			roots_mark_bad(c->api->roots, root, c->route.repo, &c->file_digest);
			continue;
		}
		store_file_release(file);
		*file = next;
		next = (struct store_file){0};
		c->file_root = root;
		return true;
	}
	return false;
}

static bool service_unreadable(void *arg, struct exchange *x, uint64_t offset, int os)
{
	struct api *a = arg;
	struct call *c = x->state;
	char why[128];

	if (!c || x->reply.file.n == 0)
		return false;
	api_notice(a, "blob %s of %s cannot be read from %s at byte %" PRIu64 ": %s",
		   c->file_digest.text, c->route.repo, roots_dir(a->roots, c->file_root), offset,
		   strerror_r(os, why, sizeof(why)));
	roots_mark_bad(a->roots, c->file_root, c->route.repo, &c->file_digest);
	return fall_through(c);
}

static void service_done(void *arg, struct exchange *x, bool complete)
{
	struct api *a = arg;
	struct call *c = x->state;
	const struct request *q = &x->request;

	if (a->cfg.access) {
		const struct api_access line = {
			.peer = q->peer,
			.user = c ? c->user : "",
			.method = q->method_text,
			.path = q->path,
			.status = x->reply.status,
			.received = x->body_received,
			.sent = x->body_sent,
			.microseconds = clock_us() - x->started_us,
			.complete = complete,
			.agent = request_header(q, "User-Agent"),
		};

		a->cfg.access(a->cfg.log_arg, &line);
	}
	x->state = NULL;
	call_free(c);
}

// ---- life

static void fill_defaults(struct api_limits *l)
{
	if (l->blob_bytes == 0)
		l->blob_bytes = BLOB_BYTES_DEFAULT;
	if (l->sessions == 0)
		l->sessions = SESSIONS_DEFAULT;
	if (l->manifests_in_memory == 0)
		l->manifests_in_memory = MANIFESTS_IN_MEMORY_DEFAULT;
}

int api_new(struct api **ret, const struct api_config *cfg, struct err *e)
{
	assert(cfg->auth && cfg->now);
	if (!cfg->store && (!cfg->roots || !cfg->roots[0]))
		return err_set(e, ERR_USAGE, "there is nothing to serve: no store and no roots");
	struct api *a = xcalloc(1, sizeof(*a));

	a->cfg = *cfg;
	fill_defaults(&a->cfg.limits);
	a->roots = roots_new(a);
	a->lists = lists_new(a);
	pthread_mutex_init(&a->document, NULL);
	a->service = (struct service){
		.arg = a,
		.quick = service_quick,
		.begin = service_begin,
		.body = service_body,
		.end = service_end,
		.broken = service_broken,
		.unreadable = service_unreadable,
		.done = service_done,
	};
	*ret = a;
	return 0;
}

void api_free(struct api *a)
{
	if (!a)
		return;
	lists_free(a->lists);
	roots_free(a->roots);
	pthread_mutex_destroy(&a->document);
	free(a);
}

const struct service *api_service(struct api *a)
{
	return &a->service;
}
