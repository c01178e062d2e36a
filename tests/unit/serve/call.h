// SPDX-License-Identifier: Apache-2.0
// Asks the registry in process, without sockets: an exchange as a connection would make it.
//
//	auto_registry struct registry r = registry_of_roots(dir, NULL);
//	auto_answer struct answer a = ask(&r, "GET", "/v2/a/b/tags/list", NULL, NULL);
//
//	CHECK_INT(a.status, 200);
//	CHECK_STR(a.body, "{\"name\":\"a/b\",\"tags\":[\"v1\"]}");
#ifndef TESTS_SERVE_CALL_H
#define TESTS_SERVE_CALL_H

#include "serve/api.h"
#include "unit/store/fixture.h"
#include "util/clock.h"

#include <strings.h>

// ---- the registry

enum { REGISTRY_ROOTS_MAX = 4 };

struct registry {
	struct api_config cfg;
	struct store *store; // writable, or NULL
	struct store *roots[REGISTRY_ROOTS_MAX + 1];
	struct auth *auth;
	struct api *api;
	struct buf access;  // "USER METHOD PATH STATUS RECEIVED SENT COMPLETE\n" for each exchange
	struct buf notices; // a line each
	pthread_mutex_t lock;
};

static int64_t registry_now = 0; // 0: the real time

static inline int64_t registry_clock(void)
{
	return registry_now ? registry_now : time(NULL);
}

static inline void registry_access(void *arg, const struct api_access *a)
{
	struct registry *r = arg;

	pthread_mutex_lock(&r->lock);
	buf_printf(&r->access, "%s %.*s %.*s %d %ju %ju %s\n", *a->user ? a->user : "-",
		   STR_FMT(a->method), STR_FMT(a->path), a->status, (uintmax_t)a->received,
		   (uintmax_t)a->sent, a->complete ? "whole" : "broken");
	pthread_mutex_unlock(&r->lock);
}

static inline void registry_notice(void *arg, const char *text)
{
	struct registry *r = arg;

	pthread_mutex_lock(&r->lock);
	buf_printf(&r->notices, "%s\n", text);
	pthread_mutex_unlock(&r->lock);
}

// Opens R with what its cfg, store and roots say so far. R must not move afterwards.
static inline void registry_start(struct registry *r)
{
	struct auth_config open = {.mode = AUTH_NONE, .now = registry_clock};
	struct err e;

	r->access = r->notices = (struct buf)BUF_INIT(BUF_TEXT_MAX);
	pthread_mutex_init(&r->lock, NULL);
	if (!r->auth && auth_new(&r->auth, &open, &e) < 0)
		abort();
	r->cfg.store = r->store;
	r->cfg.roots = r->roots;
	r->cfg.auth = r->auth;
	r->cfg.access = registry_access;
	r->cfg.notice = registry_notice;
	r->cfg.log_arg = r;
	r->cfg.now = registry_clock;
	if (api_new(&r->api, &r->cfg, &e) < 0) {
		printf("# api_new: %s\n", e.text);
		abort();
	}
}

// Adds the folder DIR, of any layout, as a read-only root.
static inline void registry_add_root(struct registry *r, const char *dir)
{
	unsigned n = 0;

	while (r->roots[n])
		n++;
	if (n == REGISTRY_ROOTS_MAX)
		abort();
	r->roots[n] = must_open(dir, STORE_READ, STORE_LAYOUT_AUTO);
}

static inline void registry_add_store(struct registry *r, const char *dir)
{
	r->store = must_open(dir, STORE_WRITE, STORE_LAYOUT_LINKED);
}

static inline void registry_release(struct registry *r)
{
	api_free(r->api);
	auth_free(r->auth);
	store_close(r->store);
	for (unsigned i = 0; r->roots[i]; i++)
		store_close(r->roots[i]);
	buf_free(&r->access);
	buf_free(&r->notices);
	pthread_mutex_destroy(&r->lock);
}
#define auto_registry __attribute__((cleanup(registry_release)))

// ---- asking

struct answer {
	int status;      // 0: none, the client went away
	char *headers;   // whole lines with CRLF
	char *body;      // NUL-terminated
	size_t n;        // bytes of it
	uint64_t length; // what Content-Length says
	bool close;
	bool quick;  // it was given without waiting
	bool wanted; // the body was read
};

static inline void answer_release(struct answer *a)
{
	free(a->headers);
	free(a->body);
	*a = (struct answer){0};
}
#define auto_answer __attribute__((cleanup(answer_release)))

// How the next ask() goes; ask() sets it back to zero.
static _Thread_local struct {
	size_t piece;      // bytes of the body at a time; 0: 1000
	bool breaks;       // the client goes away
	size_t break_at;   // behind this many bytes of its body
	bool slow;         // quick is not tried
	bool unreadable;   // the file of the answer cannot be read
	size_t bad_offset; // at this byte of the file
	const char *peer;
} ask_opt;

static inline enum request_method ask_method(const char *name)
{
	static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0)
			return (enum request_method)i;
	return METHOD_OTHER;
}

// HEADERS: "Name: value\nName: value", or NULL.
static inline void ask_request(struct request *q, const char *method, const char *target,
			       const char *headers, const char *body, size_t n)
{
	struct str rest = str_of(target), lines = {headers, headers ? strlen(headers) : 0};

	q->method = ask_method(method);
	q->method_text = str_of(method);
	q->path = str_cut(&rest, '?');
	q->query = rest;
	q->keep_alive = true;
	q->peer = ask_opt.peer ? ask_opt.peer : "192.0.2.1";
	while (lines.p && lines.n > 0) {
		struct str value = str_cut(&lines, '\n'), name = str_cut(&value, ':');

		q->headers[q->nheaders++] =
			(struct request_header){str_trim(name), str_trim(value)};
	}
	q->chunked = request_header(q, "Transfer-Encoding").p != NULL;
	q->has_length = body && !q->chunked;
	q->length = q->has_length ? n : 0;
}

// 0 when the whole body was taken, 1 when the client went away in it, -1 when it was refused.
static inline int ask_send(const struct service *s, struct exchange *x, const char *body, size_t n)
{
	size_t piece = ask_opt.piece ? ask_opt.piece : 1000, at = 0;
	size_t end = ask_opt.breaks && ask_opt.break_at < n ? ask_opt.break_at : n;

	while (at < end) {
		size_t now = end - at < piece ? end - at : piece;

		x->body_received += now;
		if (s->body(s->arg, x, body + at, now) < 0)
			return -1;
		at += now;
	}
	return ask_opt.breaks;
}

static inline void ask_read_file(const struct service *s, struct exchange *x, struct buf *out,
				 uint64_t offset, uint64_t length)
{
	char data[4096];

	while (length > 0) {
		size_t want = length < sizeof(data) ? (size_t)length : sizeof(data);

		if (ask_opt.unreadable && offset <= ask_opt.bad_offset &&
		    ask_opt.bad_offset < offset + want) {
			ask_opt.unreadable = false;
			if (!s->unreadable(s->arg, x, ask_opt.bad_offset, EIO))
				return;
		}
		ssize_t got = store_file_pread(&x->reply.file, data, want, offset);

		CHECK(got > 0);
		if (got <= 0)
			return;
		buf_put(out, data, (size_t)got);
		offset += (uint64_t)got;
		length -= (uint64_t)got;
	}
}

static inline void ask_receive(const struct service *s, struct exchange *x, struct answer *a)
{
	struct reply *r = &x->reply;
	auto_buf struct buf out = BUF_INIT(BUF_TEXT_MAX);

	a->length = r->length;
	if (x->request.method != METHOD_HEAD) {
		a->length = r->npieces ? 0 : r->body.n;
		for (unsigned i = 0; i < r->npieces; i++)
			a->length += r->pieces[i].length;
	} else {
		CHECK_INT(r->npieces, 0);
		CHECK_INT(r->body.n, 0);
	}
	if (r->npieces == 0)
		buf_put(&out, r->body.p, r->body.n);
	for (unsigned i = 0; i < r->npieces; i++) {
		struct reply_piece *p = &r->pieces[i];

		if (p->text)
			buf_put(&out, p->text, (size_t)p->length);
		else
			ask_read_file(s, x, &out, p->offset, p->length);
	}
	a->status = r->status;
	a->close = r->close;
	a->headers = xstrndup(r->headers.p, r->headers.n);
	a->n = out.n;
	a->body = buf_take(&out);
	x->body_sent = a->n;
	CHECK(a->status >= 200 && a->status < 600);
}

// Says whether the body was wanted.
static inline bool ask_begin(const struct service *s, struct exchange *x, const char *body,
			     size_t n)
{
	enum exchange_next next = s->begin(s->arg, x);
	int sent;

	if (next == NEXT_PASSWORD)
		next = s->begin(s->arg, x);
	CHECK(next != NEXT_PASSWORD);
	if (next != NEXT_BODY)
		return false;
	sent = ask_send(s, x, body, n);
	if (sent == 0)
		s->end(s->arg, x);
	if (sent > 0)
		s->broken(s->arg, x);
	return true;
}

static inline struct answer ask_bytes(struct registry *r, const char *method, const char *target,
				      const char *headers, const void *body, size_t n)
{
	const struct service *s = api_service(r->api);
	struct exchange *x = xcalloc(1, sizeof(*x));
	struct answer a = {0};

	reply_init(&x->reply);
	ask_request(&x->request, method, target, headers, body, n);
	x->started_us = clock_us();
	a.quick = !ask_opt.slow && s->quick && s->quick(s->arg, x);
	a.wanted = !a.quick && ask_begin(s, x, body, n);
	if (x->reply.status != 0)
		ask_receive(s, x, &a);
	s->done(s->arg, x,
		!ask_opt.breaks && a.n == (x->request.method == METHOD_HEAD ? 0 : a.length));
	CHECK(x->state == NULL);
	reply_clear(&x->reply);
	free(x);
	memset(&ask_opt, 0, sizeof(ask_opt));
	return a;
}

// BODY: text, or NULL for none.
static inline struct answer ask(struct registry *r, const char *method, const char *target,
				const char *headers, const char *body)
{
	return ask_bytes(r, method, target, headers, body, body ? strlen(body) : 0);
}

// The value of header NAME in a static buffer a thread; "" when there is none.
static inline const char *answer_header(const struct answer *a, const char *name)
{
	static _Thread_local char value[4][8192];
	static _Thread_local unsigned turn;
	struct str rest = str_of(a->headers ? a->headers : "");
	char *ret = value[turn++ % 4];

	*ret = '\0';
	while (rest.p && rest.n > 0) {
		struct str line = str_cut(&rest, '\n'), key = str_cut(&line, ':');

		if (key.n == strlen(name) && strncasecmp(key.p, name, key.n) == 0) {
			line = str_trim(line);
			snprintf(ret, sizeof(value[0]), "%.*s", STR_FMT(line));
			break;
		}
	}
	return ret;
}

// The code of the (first) error in the body; "" when there is none.
static inline const char *answer_code(const struct answer *a)
{
	static _Thread_local char code[64];
	static const char start[] = "{\"errors\":[{\"code\":\"";

	code[0] = '\0';
	if (a->body && starts_with(a->body, start))
		snprintf(code, sizeof(code), "%.*s",
			 (int)strcspn(a->body + sizeof(start) - 1, "\""),
			 a->body + sizeof(start) - 1);
	return code;
}

#define CHECK_ERROR(answer, want_status, want_code)                                      \
	do {                                                                             \
		CHECK_INT((answer).status, want_status);                                 \
		CHECK_STR(answer_code(&(answer)), want_code);                            \
		CHECK_STR(answer_header(&(answer), "Content-Type"), "application/json"); \
	} while (0)

#endif
