// SPDX-License-Identifier: Apache-2.0
// Hash map: open addressing over indices into a dense array of entries.
#include "util/map.h"

#include "util/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static uint64_t seed[2];

static void make_seed(void)
{
	if (getrandom(seed, sizeof(seed), 0) != sizeof(seed))
		abort();
}

// Multiply-and-fold over 8 byte words, keyed by SEED.
static uint64_t fold(uint64_t a, uint64_t b)
{
	__extension__ unsigned __int128 wide = (unsigned __int128)a * b;

	return (uint64_t)wide ^ (uint64_t)(wide >> 64);
}

static uint64_t hash_of(struct str key)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	uint64_t h, word;

	pthread_once(&once, make_seed);
	h = seed[0] ^ key.n;
	while (key.n > 0) {
		size_t step = key.n < 8 ? key.n : 8;

		word = 0;
		memcpy(&word, key.p, step);
		h = fold(h ^ word, seed[1] | 1);
		key.p += step;
		key.n -= step;
	}
	return fold(h, 0x9e3779b97f4a7c15u);
}

// The slot that holds KEY, or the empty slot where it would go. A slot holds index + 1.
static size_t slot_of(const struct map *m, struct str key, uint64_t hash)
{
	size_t mask = m->nslots - 1, at = (size_t)hash & mask;

	while (m->slots[at]) {
		const struct map_entry *en = &m->entries[m->slots[at] - 1];

		if (en->hash == hash && str_eq((struct str){en->key, en->len}, key))
			return at;
		at = (at + 1) & mask;
	}
	return at;
}

static void rehash(struct map *m, size_t nslots)
{
	free(m->slots);
	m->slots = xcalloc(nslots, sizeof(*m->slots));
	m->nslots = nslots;
	for (size_t i = 0; i < m->n; i++) {
		size_t at = (size_t)m->entries[i].hash & (nslots - 1);

		while (m->slots[at])
			at = (at + 1) & (nslots - 1);
		m->slots[at] = (uint32_t)i + 1;
	}
}

struct map_entry *map_find(const struct map *m, struct str key)
{
	if (m->nslots == 0)
		return NULL;
	size_t at = slot_of(m, key, hash_of(key));

	return m->slots[at] ? &m->entries[m->slots[at] - 1] : NULL;
}

void *map_get(const struct map *m, const char *key)
{
	struct map_entry *en = map_find(m, str_of(key));

	return en ? en->ptr : NULL;
}

struct map_entry *map_put(struct map *m, struct str key, bool *ret_new)
{
	uint64_t hash = hash_of(key);

	if (m->nslots < 2 * (m->n + 1))
		rehash(m, m->nslots ? m->nslots * 2 : 16);
	size_t at = slot_of(m, key, hash);

	if (ret_new)
		*ret_new = m->slots[at] == 0;
	if (m->slots[at])
		return &m->entries[m->slots[at] - 1];
	vec_reserve(m->entries, m->n, m->cap);
	m->entries[m->n] =
		(struct map_entry){.key = xstrndup(key.p, key.n), .len = key.n, .hash = hash};
	m->slots[at] = (uint32_t)++m->n;
	return &m->entries[m->n - 1];
}

void map_set(struct map *m, const char *key, void *ptr)
{
	map_put(m, str_of(key), NULL)->ptr = ptr;
}

bool map_remove(struct map *m, struct str key)
{
	struct map_entry *en = map_find(m, key);

	if (!en)
		return false;
	free(en->key);
	*en = m->entries[--m->n];
	rehash(m, m->nslots);
	return true;
}

void map_release(struct map *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->entries[i].key);
	free(m->entries);
	free(m->slots);
	*m = (struct map){0};
}
