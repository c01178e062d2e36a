// SPDX-License-Identifier: Apache-2.0
// Chunked request bodies, decoded in place as they arrive. Pure; no memory.
//
// Spec: RFC 9112 section 7.1. Extensions (tokens only, no blanks or quotes) of up to 256 bytes a
// chunk and trailers of up to 2 KiB are read and dropped; sizes of more than 16 hex digits, bare
// LF, Content-Length and Transfer-Encoding in a trailer, and anything else are refused.
#ifndef SERVE_CHUNKED_H
#define SERVE_CHUNKED_H

#include "util/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chunked {
	int state; // zero before the first byte
	uint64_t left;
	unsigned digits, extension, trailer; // bytes of each so far
	unsigned column;  // in a name or value of an extension, or the name of a trailer
	unsigned framing; // which names that trailer cannot have any more
	bool done;
};

// Reads from the N bytes at DATA until they are used up, a run of body bytes was found, or the body
// is over (c->done). Returns how many bytes of DATA were used; the body bytes among them are the
// last *ret_body of those. -1: malformed.
ptrdiff_t chunked_next(struct chunked *c, const char *data, size_t n, size_t *ret_body,
		       struct err *e) must_check;

#endif
