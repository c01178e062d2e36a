// SPDX-License-Identifier: Apache-2.0
// One document of a file-based catalog: what it is called, and which images it names.
//
// Spec 2.5.3: whatever its schema, `image` and every `relatedImages[].image` count. Names of
// members are compared ignoring case, and of a member that comes twice the last counts, as in Go.
// What has the wrong type is an error that names it; in YAML, too, where the reference takes
// `image: true` for the image "true".
#ifndef CATALOG_FBC_H
#define CATALOG_FBC_H

#include "catalog/documents.h"

#define FBC_VALUES_MAX ((size_t)500000) // of one document; the largest known one has 20,000
#define FBC_DEPTH_MAX  100

// Borrowed from the document. Texts that are missing or null are "".
struct fbc_document {
	const char *schema, *package, *name;
	const char **images; // in order of appearance; none is empty
	size_t nimages;
};

enum fbc_flags {
	FBC_DEEP = 1 << 0, // images of a ClusterServiceVersion in an olm.bundle.object, too
};

// Calls EACH for every value in D, which is one but for YAML that has several ("..." between
// them). Stops at the first failure, EACH's own included. ERR_INPUT: "document 3 (line 120): …".
int fbc_read(const struct document *d, unsigned flags,
	     int (*each)(void *arg, const struct fbc_document *found, struct err *e), void *arg,
	     struct err *e) must_check;

#endif
