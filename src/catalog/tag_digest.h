// SPDX-License-Identifier: Apache-2.0
// What a tag names at its source: asked when two images would have one tag.
#ifndef CATALOG_TAG_DIGEST_H
#define CATALOG_TAG_DIGEST_H

#include "repo/place.h"

// For catalog_mapping_config.tag_digest; PLACES is a struct places.
int catalog_tag_digest(void *places, const struct reference *src, struct digest *ret, struct err *e)
	must_check;

#endif
