// SPDX-License-Identifier: Apache-2.0
// Slabs: the 64 KiB pieces in which bodies travel from download over hash to upload, by pointer.
//
// One pool bounds the memory of all transfers together (256 slabs are 16 MiB). A producer that
// cannot wait (an event loop) takes with slab_try and is woken when one comes back. Thread-safe;
// a slab belongs to one owner at a time.
#ifndef UTIL_SLAB_H
#define UTIL_SLAB_H

#include "util/cancel.h"
#include "util/cleanup.h"

#include <stddef.h>

enum { SLAB_SIZE = 64 * 1024 };

struct slab_pool;

struct slab {
	size_t n;     // bytes in use
	size_t start; // first byte not yet consumed; for consumers that take it in pieces
	struct slab *next;
	struct slab_pool *pool;
	unsigned char data[SLAB_SIZE];
};

struct slab_pool *slab_pool_new(size_t slabs);
void slab_pool_free(struct slab_pool *p); // every slab must have come back
DEFINE_AUTO(slab_pool_free, struct slab_pool)

// An empty slab; waits for one while all are in use. NULL and ERR_CANCELLED when C fires.
struct slab *slab_get(struct slab_pool *p, struct cancel *c, struct err *e) must_check;
// The same without waiting: NULL when there is none.
struct slab *slab_try(struct slab_pool *p) must_check;
void slab_free(struct slab *s); // gives it back; NULL is fine
DEFINE_AUTO(slab_free, struct slab)

// WAKE runs, on the freeing thread and outside of all locks, when a slab comes back to an empty
// pool. It must not block. One subscriber per pool slot; ARG tells them apart for removal.
void slab_pool_on_free(struct slab_pool *p, void (*wake)(void *arg), void *arg);
void slab_pool_off_free(struct slab_pool *p, void *arg);

#endif
