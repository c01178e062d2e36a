// SPDX-License-Identifier: Apache-2.0
// What the tests of pushes share: a registry over a new store, asked so that the last answer is at
// hand.
#ifndef TESTS_SERVE_PUSH_FIXTURE_H
#define TESTS_SERVE_PUSH_FIXTURE_H

#include "serve/internal.h"
#include "unit/serve/call.h"

struct server {
	struct registry reg;
	char *dir;
	struct answer last;
};

// A request out of the ordinary.
struct ask {
	const char *method, *target, *headers;
	struct str body;
	bool chunked;
	size_t promised; // the client goes away behind BODY, which is the start of so many bytes
};

// TUNE changes the configuration; may be NULL.
static inline void server_start(struct server *s, void (*tune)(struct registry *r))
{
	*s = (struct server){.dir = temp_dir()};
	registry_add_store(&s->reg, s->dir);
	s->reg.cfg.allow_delete = true;
	s->reg.cfg.limits.disk_reserve = 1;
	if (tune)
		tune(&s->reg);
	registry_start(&s->reg);
}

// The same store, by another process as far as it can tell.
static inline void server_restart(struct server *s)
{
	struct api_config cfg = s->reg.cfg;

	registry_release(&s->reg);
	s->reg = (struct registry){.cfg = cfg};
	registry_add_store(&s->reg, s->dir);
	registry_start(&s->reg);
}

static inline void server_release(struct server *s)
{
	answer_release(&s->last);
	registry_release(&s->reg);
	temp_dir_removep(&s->dir);
}
#define auto_server __attribute__((cleanup(server_release)))

// The status of the answer; 0 when none was wanted any more.
static inline int request(struct server *s, const struct ask *a)
{
	auto_free char *padded = xcalloc(1, a->promised + a->body.n + 1);
	auto_free char *headers =
		xasprintf("%s%s", a->chunked ? "Transfer-Encoding: chunked\n" : "",
			  a->headers ? a->headers : "");

	if (a->body.n > 0)
		memcpy(padded, a->body.p, a->body.n);
	if (a->body.n > 1 << 20)
		ask_opt.piece = 1 << 18;
	ask_opt.breaks = a->promised > 0;
	ask_opt.break_at = a->body.n;
	answer_release(&s->last);
	s->last = ask_bytes(&s->reg, a->method, a->target, headers, a->body.p ? padded : NULL,
			    a->promised ? a->promised : a->body.n);
	return s->last.status;
}

// The usual requests. The target is printed.
static inline int get(struct server *s, const char *method, const char *fmt, ...) printf_like(3, 4);
static inline int get(struct server *s, const char *method, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	auto_free char *target = xvasprintf(fmt, ap);
	va_end(ap);
	return request(s, &(struct ask){.method = method, .target = target});
}

static inline int ask_with(struct server *s, const char *method, struct str body,
			   const char *headers, const char *fmt, ...) printf_like(5, 6);
static inline int ask_with(struct server *s, const char *method, struct str body,
			   const char *headers, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	auto_free char *target = xvasprintf(fmt, ap);
	va_end(ap);
	return request(s, &(struct ask){method, target, headers, body, false, 0});
}

static inline const char *header(const struct server *s, const char *name)
{
	return answer_header(&s->last, name);
}

static inline struct digest digest_in(enum digest_algo algo, struct str bytes)
{
	struct digest d;

	digest_of(&d, algo, bytes.p, bytes.n);
	return d;
}

// Pushes BYTES as a blob in one request.
static inline struct digest push_blob(struct server *s, const char *repo, enum digest_algo algo,
				      struct str bytes)
{
	struct digest d = digest_in(algo, bytes);

	CHECK_INT(ask_with(s, "POST", bytes, NULL, "/v2/%s/blobs/uploads/?digest=%s", repo, d.text),
		  201);
	return d;
}

static inline bool has_blob(struct server *s, const char *repo, const struct digest *d)
{
	return get(s, "HEAD", "/v2/%s/blobs/%s", repo, d->text) == 200;
}

// A new session's location. Caller frees.
static inline char *start(struct server *s, const char *repo)
{
	CHECK_INT(get(s, "POST", "/v2/%s/blobs/uploads/", repo), 202);
	return xstrdup(header(s, "Location"));
}

#endif
