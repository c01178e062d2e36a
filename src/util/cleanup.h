// SPDX-License-Identifier: Apache-2.0
// Scope-bound ownership. A variable declared `auto_x` is released when its scope ends, on every
// path.
#ifndef UTIL_CLEANUP_H
#define UTIL_CLEANUP_H

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

// Defines the cleanup hook for a pointer type: DEFINE_AUTO(store_free, struct store) makes
// store_freep().
#define DEFINE_AUTO(fn, type)                                                         \
	static inline void fn##p(type **obj) /* NOLINT(bugprone-macro-parentheses) */ \
	{                                                                             \
		fn(*obj);                                                             \
	}
#define auto_of(fn) __attribute__((cleanup(fn##p)))

static inline void free_valuep(void *ptr)
{
	free(*(void **)ptr);
}

// Closes without disturbing errno, so an error path may report the errno it is leaving with.
static inline void close_fdp(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

#define auto_free __attribute__((cleanup(free_valuep)))
#define auto_fd   __attribute__((cleanup(close_fdp)))

// Hands ownership out of an auto_ variable: `*ret = steal(&path);`
#define steal(ptr)                              \
	(__extension__({                        \
		__typeof__(*(ptr)) v_ = *(ptr); \
		*(ptr) = NULL;                  \
		v_;                             \
	}))

#endif
