// SPDX-License-Identifier: Apache-2.0
// Finds 32-bit ids by what they stand for. The owner keeps the things in an array and tells their
// hashes; an index is four bytes a slot. Not thread-safe.
#ifndef TRANSFER_INDEX_H
#define TRANSFER_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NONE UINT32_MAX // no id

struct index_ops {
	uint64_t (*hash)(const void *owner, uint32_t id);
	bool (*is)(const void *owner, uint32_t id, const void *key);
};

// Zero-initialise. `slots` hold id + 1.
struct index {
	uint32_t *slots;
	size_t nslots, n;
};

// The id that is KEY, whose hash is HASH; NONE when there is none.
uint32_t index_find(const struct index *ix, const struct index_ops *ops, const void *owner,
		    uint64_t hash, const void *key);
// Adds ID, which must not be in there and must already be in its owner's array.
void index_add(struct index *ix, const struct index_ops *ops, const void *owner, uint32_t id);
void index_release(struct index *ix);
// Spreads a number over 64 bits.
uint64_t index_mix(uint64_t v);

#endif
