// SPDX-License-Identifier: Apache-2.0
// Names of objects, made of names of images.
#include "catalog/manifests.h"

#include "util/cleanup.h"

#include <string.h>

enum { LABEL_MAX = 63, HASH_MAX = 8 };

char *catalog_name_part(const struct reference *src)
{
	const char *slash = strchr(src->repository, '/');

	return xstrdup(slash ? slash + 1 : src->repository);
}

static char label_char(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '-';
}

static void cut(char *name, size_t n)
{
	while (n > 0 && name[n - 1] == '-')
		n--;
	name[n] = '\0';
}

// Two long names that begin alike stay two.
static char *shorten(char *name)
{
	uint32_t hash = UINT32_C(0x811c9dc5); // FNV-1a

	if (strlen(name) <= LABEL_MAX)
		return xstrdup(name);
	for (const char *c = name; *c; c++)
		hash = (hash ^ (unsigned char)*c) * UINT32_C(0x01000193);
	cut(name, LABEL_MAX - 1 - HASH_MAX);
	return xasprintf("%s-%08x", name, hash);
}

char *catalog_object_name(const char *name_part)
{
	auto_free char *label = xstrdup(name_part);
	char *start = label;

	for (char *c = label; *c; c++)
		*c = label_char(*c);
	start += strspn(start, "-");
	cut(start, strlen(start));
	bool letter = *start >= 'a' && *start <= 'z';
	auto_free char *whole = xasprintf("%s%s%s", letter ? "" : "catalog",
					  letter || *start == '\0' ? "" : "-", start);

	return shorten(whole);
}
