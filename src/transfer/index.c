// SPDX-License-Identifier: Apache-2.0
// Open addressing over ids, at most half full.
#include "transfer/index.h"

#include "util/mem.h"

#include <stdlib.h>

uint64_t index_mix(uint64_t v)
{
	v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9u;
	v = (v ^ (v >> 27)) * 0x94d049bb133111ebu;
	return v ^ (v >> 31);
}

uint32_t index_find(const struct index *ix, const struct index_ops *ops, const void *owner,
		    uint64_t hash, const void *key)
{
	if (ix->nslots == 0)
		return NONE;
	size_t mask = ix->nslots - 1, at = (size_t)hash & mask;

	while (ix->slots[at]) {
		if (ops->is(owner, ix->slots[at] - 1, key))
			return ix->slots[at] - 1;
		at = (at + 1) & mask;
	}
	return NONE;
}

static void place(struct index *ix, uint64_t hash, uint32_t slot)
{
	size_t mask = ix->nslots - 1, at = (size_t)hash & mask;

	while (ix->slots[at])
		at = (at + 1) & mask;
	ix->slots[at] = slot;
}

static void grow(struct index *ix, const struct index_ops *ops, const void *owner)
{
	uint32_t *old = ix->slots;
	size_t nold = ix->nslots;

	ix->nslots = nold ? nold * 2 : 16;
	ix->slots = xcalloc(ix->nslots, sizeof(*ix->slots));
	for (size_t i = 0; i < nold; i++)
		if (old[i])
			place(ix, ops->hash(owner, old[i] - 1), old[i]);
	free(old);
}

void index_add(struct index *ix, const struct index_ops *ops, const void *owner, uint32_t id)
{
	if (ix->nslots < 2 * (ix->n + 1))
		grow(ix, ops, owner);
	place(ix, ops->hash(owner, id), id + 1);
	ix->n++;
}

void index_release(struct index *ix)
{
	free(ix->slots);
	*ix = (struct index){0};
}
