// SPDX-License-Identifier: Apache-2.0
// Bytes on their way: a stream is read once, from front to back, slab by slab; an opener can start
// one at any offset, so that whoever lost its place (a broken upload) can go on from there.
//
// A stream belongs to one thread. It does not check digests: the one who keeps the bytes does.
#ifndef UTIL_STREAM_H
#define UTIL_STREAM_H

#include "util/slab.h"

#include <stdint.h>

struct stream {
	const struct stream_ops *ops;
};

struct stream_ops {
	// The next slab, never empty, owned by the caller. NULL at the end (e->kind is ERR_NONE
	// then) or on failure.
	struct slab *(*read)(struct stream *s, struct err *e);
	void (*free)(struct stream *s); // also ends what is still in flight
};

struct slab *stream_read(struct stream *s, struct err *e) must_check;
void stream_free(struct stream *s); // NULL is fine
DEFINE_AUTO(stream_free, struct stream)

// Opens a stream at OFFSET. NULL on failure. May be called again after a stream has been freed.
struct opener {
	struct stream *(*open)(void *arg, uint64_t offset, struct err *e);
	void *arg;
};

// A stream over memory that the caller keeps alive; for small bodies and tests.
struct stream *stream_of_bytes(const void *data, size_t n, struct slab_pool *pool);

#endif
