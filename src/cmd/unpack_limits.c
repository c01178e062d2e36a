// SPDX-License-Identifier: Apache-2.0
// Ceilings on what is unpacked.
#include "cmd/unpack_limits.h"

#include <string.h>

#define AT(member) offsetof(struct unpack_options, member)
const struct flag unpack_flags[] = {
	{FLAG_STRING, 0, "max-size", AT(max_size), "SIZE",
	 "refuse images that unpack to more, for example 500M or 2T (default: 256G)", 0, 0},
	{FLAG_INT, 0, "max-files", AT(max_files), "N",
	 "refuse images with more entries (default: 4000000)", 0, 0},
	{FLAG_INT, 0, "max-ratio", AT(max_ratio), "N",
	 "refuse layers that unpack to more than N times their size (default: 1500)", 0, 0},
	{0},
};
#undef AT

// 500M: a number with a unit of 1024^n bytes.
static bool parse_size(const char *text, uint64_t *ret)
{
	static const char units[] = "KMGTP";
	size_t n = strspn(text, "0123456789");
	const char *unit = text[n] ? strchr(units, text[n]) : NULL;
	unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;

	if ((text[n] && (!unit || text[n + 1])) ||
	    !str_u64((struct str){text, n}, UINT64_MAX >> shift, ret))
		return false;
	*ret <<= shift;
	return *ret > 0;
}

int unpack_limits(const struct unpack_options *o, struct layer_limits *ret, struct err *e)
{
	*ret = (struct layer_limits){0};
	if (o->max_size && !parse_size(o->max_size, &ret->max_bytes))
		return err_set(e, ERR_USAGE, "--max-size: '%s' is not a size such as 500M",
			       o->max_size);
	if (o->max_files < 0 || o->max_ratio < 0)
		return err_set(e, ERR_USAGE, "--max-%s must not be negative",
			       o->max_files < 0 ? "files" : "ratio");
	ret->max_entries = (uint64_t)o->max_files;
	ret->max_ratio = (unsigned)o->max_ratio;
	return 0;
}
