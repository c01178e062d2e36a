// SPDX-License-Identifier: Apache-2.0
// A world for engine tests: a source and a destination in memory, a transfer between them, and
// everything it said.
#ifndef TESTS_TRANSFER_WORLD_H
#define TESTS_TRANSFER_WORLD_H

#include "repo/memory.h"
#include "transfer/transfer.h"
#include "util/mem.h"

#include <pthread.h>
#include <string.h>

struct world {
	struct slab_pool *pool;
	struct place *src, *dst;
	struct cancel cancel;
	struct transfer_config cfg;
	struct transfer *t;
	struct transfer_sink sink;
	struct strlist events; // "done a/b sha256:… tag", written by one thread at a time
	size_t counts[TRANSFER_NOTICE + 1];
	struct err last;
};

static const char *const world_event_names[] = {
	[TRANSFER_PLANNED] = "planned",
	[TRANSFER_BLOB_START] = "start",
	[TRANSFER_BLOB_BYTES] = "bytes",
	[TRANSFER_BLOB_DONE] = "moved",
	[TRANSFER_BLOB_PRESENT] = "present",
	[TRANSFER_BLOB_MOUNTED] = "mounted",
	[TRANSFER_RETRIED] = "retried",
	[TRANSFER_IMAGE_DONE] = "image",
	[TRANSFER_IMAGE_PRESENT] = "image-present",
	[TRANSFER_MISSING] = "missing",
	[TRANSFER_FAILED] = "failed",
	[TRANSFER_NOTICE] = "notice",
};

static inline void world_event(struct transfer_sink *s, const struct transfer_event *ev)
{
	struct world *w = (struct world *)((char *)s - offsetof(struct world, sink));

	w->counts[ev->type]++;
	if (ev->error)
		w->last = *ev->error;
	strlist_addf(&w->events, "%s %s %s %s", world_event_names[ev->type],
		     ev->dst ? ev->dst->name : "-", ev->digest ? ev->digest->text : "-",
		     ev->error  ? ev->error->text
		     : ev->text ? ev->text
		     : ev->tag  ? ev->tag
				: "-");
}

static inline void world_init(struct world *w)
{
	*w = (struct world){.cancel = CANCEL_INIT};
	w->pool = slab_pool_new(64);
	w->src = place_memory_new("src.example", w->pool);
	w->dst = place_memory_new("dst.example", w->pool);
	w->sink.event = world_event;
	w->cfg = (struct transfer_config){
		.cancel = &w->cancel, .pool = w->pool, .sink = &w->sink, .workers = 8};
}

static inline void world_start(struct world *w)
{
	w->t = transfer_new(&w->cfg);
}

static inline void world_release(struct world *w)
{
	transfer_free(w->t);
	place_free(w->src);
	place_free(w->dst);
	slab_pool_free(w->pool);
	strlist_release(&w->events);
}
#define auto_world __attribute__((cleanup(world_release)))

static inline struct repo *world_src(struct world *w, const char *name)
{
	return place_repo(w->src, name);
}

static inline struct repo *world_dst(struct world *w, const char *name)
{
	return place_repo(w->dst, name);
}

// What a test says about one manifest; TEXT is its bytes and gives its digest.
struct image {
	const char *src, *dst, *text, *tag, *tag2;
	struct descriptor *blobs;
	size_t nblobs;
	struct digest *children;
	size_t nchildren;
	bool sparse, generated, blobs_present;
};

static inline struct digest world_digest(const char *text)
{
	struct digest d;

	digest_of(&d, DIGEST_SHA256, text, strlen(text));
	return d;
}

// A blob that source repository REPO has.
static inline struct descriptor world_blob(struct world *w, const char *repo, const char *text)
{
	struct descriptor d;

	memory_add_blob(world_src(w, repo), text, strlen(text), &d);
	return d;
}

// Adds the image to the source (unless it is generated) and to the plan.
static inline int world_add_to(struct world *w, const struct image *i, struct repo *src,
			       struct err *e)
{
	const char *tags[] = {i->tag, i->tag2};
	struct manifest_bytes bytes = {.bytes = BUF_INIT(MANIFEST_MAX),
				       .digest = world_digest(i->text)};
	struct digest d;
	const struct transfer_manifest m = {
		.src = src,
		.dst = world_dst(w, i->dst),
		.bytes = &bytes,
		.media_type = MT_OCI_MANIFEST,
		.blobs = i->blobs,
		.nblobs = i->nblobs,
		.children = i->children,
		.nchildren = i->nchildren,
		.tags = tags,
		.ntags = (size_t)(i->tag != NULL) + (i->tag2 != NULL),
		.name = i->text,
		.sparse = i->sparse,
		.generated = i->generated,
		.blobs_present = i->blobs_present,
	};

	if (!i->generated)
		memory_add_manifest(src, i->text, MT_OCI_MANIFEST, NULL, &d);
	buf_puts(&bytes.bytes, i->text);
	int status = transfer_add(w->t, &m, e);

	manifest_bytes_release(&bytes);
	return status;
}

static inline int world_add(struct world *w, const struct image *i, struct err *e)
{
	return world_add_to(w, i, world_src(w, i->src), e);
}

// Where TEXT first occurs in L, or -1.
static inline long world_find(const struct strlist *l, const char *text)
{
	for (size_t i = 0; i < l->n; i++)
		if (strstr(l->v[i], text))
			return (long)i;
	return -1;
}

static inline size_t world_matches(const struct strlist *l, const char *text)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		n += strstr(l->v[i], text) != NULL;
	return n;
}

#endif
