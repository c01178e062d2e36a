// SPDX-License-Identifier: Apache-2.0
// Allocation that cannot fail: running out of memory aborts. A size that came from outside is
// checked against a named ceiling before it gets here.
#ifndef UTIL_MEM_H
#define UTIL_MEM_H

#include <stdarg.h>
#include <stddef.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof(*(a)))

void *xmalloc(size_t n);
void *xcalloc(size_t count, size_t n); // zeroed
void *xrealloc(void *p, size_t n);
void *xreallocarray(void *p, size_t count, size_t n);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
void *xmemdup(const void *p, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char *xvasprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));

// Makes room for one more element in VEC of N used and CAP allocated elements, by doubling.
#define vec_reserve(vec, n, cap)                                                     \
	do {                                                                         \
		if ((n) == (cap)) {                                                  \
			(cap) = (cap) ? (cap)*2 : 8;                                 \
			(vec) = xreallocarray((vec), (size_t)(cap), sizeof(*(vec))); \
		}                                                                    \
	} while (0)

// Many small pieces that die together. Zero-initialise; arena_free releases all of it.
struct arena {
	struct arena_chunk *chunk;
};
#define auto_arena __attribute__((cleanup(arena_free)))

void *arena_alloc(struct arena *a, size_t n); // zeroed, aligned for anything
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_strdup(struct arena *a, const char *s);
void arena_free(struct arena *a);

#endif
