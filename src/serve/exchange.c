// SPDX-License-Identifier: Apache-2.0
// Looking things up in a request, and putting an answer together.
#include "serve/exchange.h"

#include "util/cleanup.h"
#include "util/mem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct str request_header_next(const struct request *r, const char *name, unsigned *at)
{
	size_t n = strlen(name);

	while (*at < r->nheaders) {
		const struct request_header *h = &r->headers[(*at)++];

		if (h->name.n == n && strncasecmp(h->name.p, name, n) == 0)
			return h->value;
	}
	return (struct str){NULL, 0};
}

struct str request_header(const struct request *r, const char *name)
{
	unsigned at = 0;

	return request_header_next(r, name, &at);
}

void reply_header(struct reply *r, const char *name, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	auto_free char *value = xvasprintf(fmt, ap);
	va_end(ap);
	// What a client sent is checked where it is parsed; an answer must never be split.
	assert(!strpbrk(value, "\r\n"));
	buf_printf(&r->headers, "%s: %s\r\n", name, value);
}

static struct reply_piece *add_piece(struct reply *r)
{
	assert(r->npieces < REPLY_PIECES_MAX);
	if (!r->pieces)
		r->pieces = xcalloc(REPLY_PIECES_MAX, sizeof(*r->pieces));
	return &r->pieces[r->npieces++];
}

void reply_add_text(struct reply *r, char *text, size_t n)
{
	*add_piece(r) = (struct reply_piece){.text = text, .length = n};
}

void reply_add_file(struct reply *r, uint64_t offset, uint64_t length)
{
	*add_piece(r) = (struct reply_piece){.offset = offset, .length = length};
}

void reply_init(struct reply *r)
{
	*r = (struct reply){.headers = BUF_INIT(BUF_TEXT_MAX), .body = BUF_INIT(BUF_TEXT_MAX)};
}

void reply_clear(struct reply *r)
{
	for (unsigned i = 0; i < r->npieces; i++)
		free(r->pieces[i].text);
	free(r->pieces);
	store_file_release(&r->file);
	buf_free(&r->headers);
	buf_free(&r->body);
	reply_init(r);
}
