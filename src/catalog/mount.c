// SPDX-License-Identifier: Apache-2.0
// The place of an image below a destination, and the tag of one that has only a digest.
#include "catalog/mapping.h"

#include "util/cleanup.h"

#include <stdio.h>
#include <string.h>

#define FNV32_OFFSET UINT32_C(0x811c9dc5)
#define FNV32_PRIME  UINT32_C(0x01000193)

static uint32_t fnv1a(uint32_t hash, const char *text)
{
	for (const char *c = text; *c; c++)
		hash = (hash ^ (unsigned char)*c) * FNV32_PRIME;
	return hash;
}

// The one default that the hashed name knows: not for a registry that was left out.
static bool lacks_library(const struct reference *r)
{
	static const char *const names[] = {"docker.io", "index.docker.io", "registry-1.docker.io"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(r->registry, names[i]) == 0)
			return !strchr(r->repository, '/');
	return false;
}

struct catalog_hash_tag catalog_hash_tag(const struct reference *r)
{
	struct catalog_hash_tag ret;
	uint32_t hash = FNV32_OFFSET;

	if (*r->registry) {
		hash = fnv1a(hash, r->registry);
		hash = fnv1a(hash, "/");
	}
	if (lacks_library(r))
		hash = fnv1a(hash, "library/");
	hash = fnv1a(hash, r->repository);
	hash = fnv1a(hash, "@");
	hash = fnv1a(hash, r->digest.text);
	snprintf(ret.s, sizeof(ret.s), "%x", hash);
	return ret;
}

// BASE/PATH; behind LIMIT - 1 components the rest is one, with "-" for "/".
static char *join(const char *base, const char *path, int limit)
{
	char *all = xasprintf("%s%s%s", base, *base ? "/" : "", path);
	int n = 1;

	for (char *slash = strchr(all, '/'); slash; slash = strchr(slash + 1, '/'), n++)
		if (limit > 1 && n >= limit)
			*slash = '-';
	return all;
}

void catalog_mount(struct reference *ret, const struct reference *in, const struct reference *dest,
		   int max_components)
{
	struct reference out;

	reference_copy(&out, in);
	out.type = REF_REGISTRY; // a path on media gets the same defaults
	if (out.has_digest && *out.tag == '\0') {
		free(out.tag);
		out.tag = xstrdup(catalog_hash_tag(in).s);
	}
	reference_docker_defaults(&out);
	char *repository = join(dest->repository, out.repository, max_components);

	free(out.registry);
	free(out.repository);
	out.type = dest->type;
	out.registry = xstrdup(dest->registry);
	out.repository = repository;
	*ret = out;
}
