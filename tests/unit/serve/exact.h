// SPDX-License-Identifier: Apache-2.0
// Bytes on the heap with nothing behind them, so that a sanitizer sees a read past their end.
#ifndef TESTS_SERVE_EXACT_H
#define TESTS_SERVE_EXACT_H

#include "util/mem.h"
#include "util/str.h"

#include <string.h>

// Of one byte at least, as malloc(0) may be anything. Caller frees.
static inline char *exact_copy(const char *p, size_t n)
{
	char *copy = xmalloc(n > 0 ? n : 1);

	if (n > 0)
		memcpy(copy, p, n);
	return copy;
}

#endif
