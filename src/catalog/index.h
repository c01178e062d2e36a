// SPDX-License-Identifier: Apache-2.0
// The index image: found, one platform of a list chosen, its labels read.
//
// Spec 2.3, 2.4.1. Of a list only the chosen entry is fetched. The labels say what is inside:
// operators.operatorframework.io.index.configs.v1 (a file-based catalog; it counts when both are
// there), operators.operatorframework.io.index.database.v1 (an sqlite database); without either the
// whole image is searched for a database.
#ifndef CATALOG_INDEX_H
#define CATALOG_INDEX_H

#include "layer/stack.h"
#include "repo/place.h"

enum catalog_kind { CATALOG_FBC, CATALOG_SQLITE };

struct catalog_index {
	struct repo *repo;    // borrowed from the places
	struct digest root;   // what the reference names
	struct digest digest; // the manifest that was chosen
	struct manifest manifest;
	enum catalog_kind kind;
	bool labelled; // one of the two labels was there
	char *path;    // "/configs/", "/database/index.db"; "/" without a label
};
#define auto_catalog_index __attribute__((cleanup(catalog_index_release)))
void catalog_index_release(struct catalog_index *ix);

// REF has a tag or a digest. FILTER is the text of --index-filter-by-os ("" or NULL: linux/amd64):
// an entry that is called exactly that is taken first; then those that it matches as an unanchored
// regular expression, of several linux/amd64, this machine's, the first one, and *ret_notice (the
// caller's to free; NULL when there is nothing to say) tells which. Errors as the reference words
// them: `image "REF" not found: …`; for a list of which no entry is meant, what there is to choose.
int catalog_index_open(struct places *places, const struct reference *ref, const char *filter,
		       struct catalog_index *ret, char **ret_notice, struct err *e) must_check;
// Its layers, borrowed from IX.
struct stack_source catalog_index_source(struct catalog_index *ix);

#endif
