// SPDX-License-Identifier: Apache-2.0
// DEST and what else is asked for, checked before anything is read.
#include "catalog/mapping.h"

#include "util/cleanup.h"

#include <string.h>

enum { PORT_MAX = 65535 };

// The reference does not show the prefix of what it could not parse.
static int dest_refused(const char *text, struct err *e)
{
	auto_reference struct reference ignored = {0};
	struct err why;

	for (const char *const *p = (const char *const[]){"file://", "s3://", NULL}; *p; p++) {
		if (!starts_with(text, *p))
			continue;
		text += strlen(*p);
		if (reference_parse(&ignored, text, REF_NO_PREFIX, &why) < 0)
			*e = why;
		return -1;
	}
	if (starts_with(text, "docker://"))
		return err_hint(e, "hint: leave out docker://, a registry needs no prefix");
	return -1;
}

// "mirror:5000", which the grammar reads as a repository and its tag.
static bool is_short_registry(const struct reference *r)
{
	uint64_t port;

	return r->type == REF_REGISTRY && *r->registry == '\0' && !r->has_digest &&
	       !strpbrk(r->repository, "/_") && str_u64(str_of(r->tag), PORT_MAX, &port);
}

int catalog_dest_parse(struct reference *ret, const char *text, struct err *e)
{
	struct reference r;

	if (reference_parse(&r, text, 0, e) < 0)
		return dest_refused(text, e);
	if (is_short_registry(&r)) {
		free(r.registry);
		r.registry = xasprintf("%s:%s", r.repository, r.tag);
		*r.repository = '\0';
		*r.tag = '\0';
	}
	*ret = r;
	return 0;
}

static int check_index_dst(const struct catalog_mapping_config *cfg, struct err *e)
{
	const struct reference *at = cfg->index_dst;
	auto_free char *text = reference_print(at);

	if (cfg->dst->type == REF_FILE)
		return err_set(e, ERR_USAGE,
			       "the place of the index cannot be chosen in a folder: images are "
			       "found below it");
	if (at->type != REF_REGISTRY || *at->registry == '\0' || *at->repository == '\0')
		return err_set(e, ERR_USAGE, "'%s' is no repository of a registry for the index",
			       text);
	if (at->has_digest)
		return err_set(e, ERR_USAGE, "'%s' has a digest: the index is pushed under a tag",
			       text);
	return 0;
}

int catalog_mapping_check(const struct catalog_mapping_config *cfg, struct err *e)
{
	auto_free char *dst = reference_print(cfg->dst);

	if (cfg->dst->type == REF_S3)
		return err_set(e, ERR_USAGE,
			       "'%s': S3 is not supported, mirror to a folder (file://) and copy "
			       "it",
			       dst);
	if (cfg->dst->type == REF_REGISTRY && *cfg->dst->registry == '\0') {
		err_set(e, ERR_USAGE, "destination '%s' names no registry", dst);
		return err_hint(e, "hint: REGISTRY/%s for a registry, file://%s for a folder", dst,
				dst);
	}
	if (cfg->dst->type == REF_REGISTRY && cfg->max_components == 1)
		return err_set(e, ERR_USAGE,
			       "maxPathComponents must be 0 (no limit) or greater than 1");
	return cfg->index_dst ? check_index_dst(cfg, e) : 0;
}
