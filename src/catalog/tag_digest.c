// SPDX-License-Identifier: Apache-2.0
// What a tag names at its source.
#include "catalog/tag_digest.h"

int catalog_tag_digest(void *places, const struct reference *src, struct digest *ret, struct err *e)
{
	struct repo *repo = places_repo(places, src, false, e);
	struct manifest_stat stat;

	if (!repo || repo->ops->manifest_stat(repo, src->tag, &stat, e) < 0)
		return -1;
	*ret = stat.digest;
	return 0;
}
