// SPDX-License-Identifier: Apache-2.0
// Interned digests.
#include "transfer/digests.h"

#include "util/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { UNIT = 32 };

struct raw_digest {
	enum digest_algo algo;
	size_t n;
	unsigned char bytes[DIGEST_RAW_MAX];
};

static uint64_t hash_raw(const struct digests *ds, const unsigned char *raw, size_t n)
{
	uint64_t h = ds->seed ^ n, word;

	for (size_t i = 0; i < n; i += sizeof(word)) {
		memcpy(&word, raw + i, sizeof(word));
		h = index_mix(h ^ word) + ds->seed;
	}
	return h;
}

static size_t raw_size(const struct digests *ds, uint32_t id)
{
	return ds->at[id] & 1 ? 2 * UNIT : UNIT;
}

static const unsigned char *raw_of(const struct digests *ds, uint32_t id)
{
	return ds->raw + (size_t)(ds->at[id] >> 1) * UNIT;
}

static uint64_t hash_of(const void *owner, uint32_t id)
{
	const struct digests *ds = owner;

	return hash_raw(ds, raw_of(ds, id), raw_size(ds, id));
}

static bool is(const void *owner, uint32_t id, const void *key)
{
	const struct digests *ds = owner;
	const struct raw_digest *want = key;

	return raw_size(ds, id) == want->n && memcmp(raw_of(ds, id), want->bytes, want->n) == 0;
}

static const struct index_ops ops = {hash_of, is};

void digests_init(struct digests *ds)
{
	*ds = (struct digests){0};
	if (getrandom(&ds->seed, sizeof(ds->seed), 0) != sizeof(ds->seed))
		abort();
}

void digests_release(struct digests *ds)
{
	free(ds->raw);
	free(ds->at);
	index_release(&ds->index);
}

uint32_t digests_intern(struct digests *ds, const struct digest *d)
{
	struct raw_digest raw = {.algo = d->algo};

	raw.n = digest_raw(d, raw.bytes);
	uint32_t id = index_find(&ds->index, &ops, ds, hash_raw(ds, raw.bytes, raw.n), &raw);

	if (id != NONE)
		return id;
	size_t units = raw.n / UNIT;

	if (ds->units + units > ds->units_cap) {
		ds->units_cap = ds->units_cap ? ds->units_cap * 2 : 64;
		ds->raw = xreallocarray(ds->raw, ds->units_cap, UNIT);
	}
	memcpy(ds->raw + ds->units * UNIT, raw.bytes, raw.n);
	vec_reserve(ds->at, ds->n, ds->cap);
	ds->at[ds->n] = (uint32_t)(ds->units << 1) | (units == 2);
	ds->units += units;
	id = (uint32_t)ds->n++;
	index_add(&ds->index, &ops, ds, id);
	return id;
}

void digests_get(const struct digests *ds, uint32_t id, struct digest *ret)
{
	digest_from_raw(ret, ds->at[id] & 1 ? DIGEST_SHA512 : DIGEST_SHA256, raw_of(ds, id));
}
