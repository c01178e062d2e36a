// SPDX-License-Identifier: Apache-2.0
// Layers and small blobs, read.
#include "repo/layers.h"

static struct stream *open_layer(void *arg, const struct descriptor *layer, struct err *e)
{
	struct repo *repo = arg;

	return repo->ops->blob_open(repo, layer, 0, e);
}

struct stack_source repo_layers(struct repo *repo)
{
	return (struct stack_source){open_layer, repo};
}

static int read_all(struct stream *stream, struct buf *ret, struct err *e)
{
	for (;;) {
		auto_of(slab_free) struct slab *slab = stream_read(stream, e);

		if (!slab)
			return e->kind == ERR_NONE ? 0 : -1;
		if (buf_add(ret, slab->data + slab->start, slab->n - slab->start, e) < 0)
			return -1;
	}
}

int repo_read_blob(struct repo *repo, const struct descriptor *d, struct buf *ret, struct err *e)
{
	auto_of(stream_free) struct stream *stream = repo->ops->blob_open(repo, d, 0, e);
	size_t start = ret->n;
	struct digest got;

	if (!stream || read_all(stream, ret, e) < 0)
		return -1;
	digest_of(&got, d->digest.algo, ret->p + start, ret->n - start);
	return digest_check(&d->digest, &got, "blob", e);
}
