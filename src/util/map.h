// SPDX-License-Identifier: Apache-2.0
// Hash map from byte strings to pointers or numbers. Keys are copied. Not thread-safe.
// The hash is keyed per process, so that keys from outside cannot be made to collide.
#ifndef UTIL_MAP_H
#define UTIL_MAP_H

#include "util/str.h"

#include <stdbool.h>
#include <stdint.h>

struct map_entry {
	char *key; // NUL-terminated copy
	size_t len;
	union {
		void *ptr;
		uint64_t num;
	};
	uint64_t hash;
};

// Zero-initialise; map_release frees the keys, never the pointers.
struct map {
	struct map_entry *entries; // in order of insertion until something is removed
	size_t n, cap;
	uint32_t *slots;
	size_t nslots;
};
#define auto_map __attribute__((cleanup(map_release)))

// NULL when absent. The entry stays valid until the next map_put or map_remove.
struct map_entry *map_find(const struct map *m, struct str key);
void *map_get(const struct map *m, const char *key); // pointer or NULL
// The entry for KEY, made (with a zero value) when it was absent; *ret_new tells which.
struct map_entry *map_put(struct map *m, struct str key, bool *ret_new);
void map_set(struct map *m, const char *key, void *ptr);
bool map_remove(struct map *m, struct str key); // the last entry takes the free place
void map_release(struct map *m);

#endif
