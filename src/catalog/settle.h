// SPDX-License-Identifier: Apache-2.0
// Entries of a mapping that would have one tag: the same image is copied once, different ones are
// told apart or refused.
#ifndef CATALOG_SETTLE_H
#define CATALOG_SETTLE_H

#include "catalog/mapping.h"

// For catalog_mapping_make, as catalog/mapping.h describes it.
int catalog_settle_tags(struct catalog_mapping *m, const struct catalog_mapping_config *cfg,
			struct err *e) must_check;

#endif
