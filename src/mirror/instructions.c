// SPDX-License-Identifier: Apache-2.0
// Mirror instructions from recorded origins.
#include "mirror/instructions.h"

#include <string.h>

// The mirrors of one origin are neighbours in the result. One past the last of those at I.
static size_t origin_end(const struct mirror_result *r, size_t i)
{
	size_t end = i;

	while (end < r->norigins && strcmp(r->origins[end].origin, r->origins[i].origin) == 0)
		end++;
	return end;
}

static bool same_mirrors(const struct mirror_result *r, size_t a, size_t b)
{
	size_t n = origin_end(r, a) - a;

	if (origin_end(r, b) - b != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (strcmp(r->origins[a + i].mirror, r->origins[b + i].mirror) != 0)
			return false;
	return true;
}

// Is the group of the origin at I opened by an earlier one?
static bool seen_before(const struct mirror_result *r, size_t i)
{
	for (size_t j = 0; j < i; j = origin_end(r, j))
		if (same_mirrors(r, j, i))
			return true;
	return false;
}

static void print_group(struct buf *ret, enum instructions_kind kind, const struct mirror_result *r,
			size_t first)
{
	auto_strlist struct strlist sources = {0}, mirrors = {0};

	for (size_t i = first; i < origin_end(r, first); i++)
		strlist_add(&mirrors, r->origins[i].mirror);
	for (size_t i = first; i < r->norigins; i = origin_end(r, i))
		if (same_mirrors(r, first, i))
			strlist_add(&sources, r->origins[i].origin);
	instructions_print(ret, kind, &sources, &mirrors);
}

void mirror_instructions(struct buf *ret, enum instructions_kind kind,
			 const struct mirror_result *r)
{
	for (size_t i = 0; i < r->norigins; i = origin_end(r, i))
		if (!seen_before(r, i))
			print_group(ret, kind, r, i);
}
