// SPDX-License-Identifier: Apache-2.0
// How other parsers read a request. One file for each of them: their headers clash.
#ifndef TESTS_SERVE_PEERS_H
#define TESTS_SERVE_PEERS_H

#include "util/str.h"

#include <stdbool.h>

enum framing { FRAMING_NONE, FRAMING_LENGTH, FRAMING_CHUNKED };

// Neither refused nor complete: more bytes are wanted.
struct reading {
	bool refused, complete;
	char why[100]; // refused
	enum framing framing;
	struct buf method, target, body;
	size_t used; // bytes of the first request, when complete
};
#define auto_reading __attribute__((cleanup(reading_release)))
#define READING_INIT                                                                \
	{                                                                           \
		.method = BUF_INIT(BUF_TEXT_MAX), .target = BUF_INIT(BUF_TEXT_MAX), \
		.body = BUF_INIT(BUF_TEXT_MAX)                                      \
	}

static inline void reading_release(struct reading *r)
{
	buf_free(&r->method);
	buf_free(&r->target);
	buf_free(&r->body);
}

// Read the first request of the N bytes at DATA into *ret, which is fresh.
void read_as_http_parser(struct reading *ret, const char *data, size_t n);
void read_as_llhttp(struct reading *ret, const char *data, size_t n);

#endif
