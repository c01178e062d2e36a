// SPDX-License-Identifier: Apache-2.0
// Errors as the distribution API words them.
//
// Spec: OCI distribution-spec v1.1, "Error Codes".
#include "serve/internal.h"

#include "data/json_out.h"
#include "util/cleanup.h"
#include "util/mem.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

enum { RETRY_SECONDS = 60 };

static bool is_code(const char *code)
{
	static const char *const codes[] = {
		"BLOB_UNKNOWN",     "BLOB_UPLOAD_INVALID",   "BLOB_UPLOAD_UNKNOWN",
		"DIGEST_INVALID",   "MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID",
		"MANIFEST_UNKNOWN", "NAME_INVALID",          "NAME_UNKNOWN",
		"SIZE_INVALID",     "UNAUTHORIZED",          "DENIED",
		"UNSUPPORTED",      "TOOMANYREQUESTS"};

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (strcmp(code, codes[i]) == 0)
			return true;
	return false;
}

static void put_entry(struct buf *out, const char *code, const char *message)
{
	struct json_out j = {.out = out};

	assert(is_code(code));
	json_out_begin(&j, '{');
	json_out_key(&j, "code");
	json_out_text(&j, code);
	json_out_key(&j, "message");
	json_out_text(&j, message);
	json_out_key(&j, "detail");
	json_out_begin(&j, '{');
	json_out_end(&j, '}');
	json_out_end(&j, '}');
}

enum exchange_next reply_error(struct call *c, int status, const char *code, const char *fmt, ...)
{
	struct reply *r = &c->x->reply;
	bool close = r->close;
	va_list ap;

	va_start(ap, fmt);
	auto_free char *message = xvasprintf(fmt, ap);
	va_end(ap);
	reply_clear(r);
	r->status = status;
	r->close = close;
	reply_header(r, "Content-Type", "application/json");
	buf_puts(&r->body, "{\"errors\":[");
	put_entry(&r->body, code, message);
	buf_puts(&r->body, "]}");
	return NEXT_REPLY;
}

void reply_error_more(struct call *c, const char *code, const char *fmt, ...)
{
	struct buf *body = &c->x->reply.body;
	va_list ap;

	va_start(ap, fmt);
	auto_free char *message = xvasprintf(fmt, ap);
	va_end(ap);
	assert(body->n > 2 && strcmp(body->p + body->n - 2, "]}") == 0);
	body->n -= 2;
	buf_putc(body, ',');
	put_entry(body, code, message);
	buf_puts(body, "]}");
}

static enum exchange_next reply_later(struct call *c, const char *why)
{
	reply_error(c, 503, "TOOMANYREQUESTS", "%s", why);
	reply_header(&c->x->reply, "Retry-After", "%d", RETRY_SECONDS);
	return NEXT_REPLY;
}

enum exchange_next reply_failure(struct call *c, const char *not_found_code, const struct err *e)
{
	if (e->kind == ERR_NOT_FOUND)
		return reply_error(c, 404, not_found_code, "unknown to this registry");
	if (e->kind == ERR_BUSY)
		return reply_error(c, 416, "BLOB_UPLOAD_INVALID",
				   "another request is writing to this upload");
	api_notice(c->api, "%s", e->text);
	if (e->os == ENOSPC || e->os == EDQUOT)
		return reply_later(c, "the registry's disk is full");
	if (e->os == EIO)
		return reply_later(c, "the registry's disk cannot be read");
	return reply_error(c, 500, "UNSUPPORTED", "the registry failed; its log says why");
}
