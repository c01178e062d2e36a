// SPDX-License-Identifier: Apache-2.0
// Streams: dispatch, and the stream over memory.
#include "util/stream.h"

#include "util/mem.h"

#include <string.h>

struct slab *stream_read(struct stream *s, struct err *e)
{
	e->kind = ERR_NONE;
	return s->ops->read(s, e);
}

void stream_free(struct stream *s)
{
	if (s)
		s->ops->free(s);
}

struct bytes_stream {
	struct stream base;
	const unsigned char *data;
	size_t left;
	struct slab_pool *pool;
};

static struct slab *bytes_read(struct stream *base, struct err *e)
{
	struct bytes_stream *s = (struct bytes_stream *)base;

	if (s->left == 0)
		return NULL;
	struct slab *slab = slab_get(s->pool, NULL, e);

	if (!slab)
		return NULL;
	slab->n = s->left < SLAB_SIZE ? s->left : SLAB_SIZE;
	memcpy(slab->data, s->data, slab->n);
	s->data += slab->n;
	s->left -= slab->n;
	return slab;
}

static void bytes_free(struct stream *base)
{
	free(base);
}

struct stream *stream_of_bytes(const void *data, size_t n, struct slab_pool *pool)
{
	static const struct stream_ops ops = {bytes_read, bytes_free};
	struct bytes_stream *s = xcalloc(1, sizeof(*s));

	s->base.ops = &ops;
	s->data = data;
	s->left = n;
	s->pool = pool;
	return &s->base;
}
