// SPDX-License-Identifier: Apache-2.0
// What an operator catalog lists: packages, bundles, and the images that they need. A value: sorted
// by bytes, without duplicates, the same for the same catalog however it was read.
#ifndef CATALOG_CATALOG_H
#define CATALOG_CATALOG_H

#include "util/mem.h"
#include "util/str.h"

// Ceilings of one catalog. The largest known one (redhat-operator-index v4.22, 118 MB) has 170
// packages, 5,600 bundles and 15,000 images.
#define CATALOG_IMAGES_MAX   ((size_t)1 << 20)
#define CATALOG_BUNDLES_MAX  ((size_t)1 << 19)
#define CATALOG_EDGES_MAX    ((size_t)8 << 20)
#define CATALOG_PACKAGES_MAX ((size_t)65536)
#define CATALOG_TEXT_MAX     ((size_t)4096)     // of an image or a name
#define CATALOG_ARENA_MAX    ((size_t)32 << 20) // all texts together

// What needs images: an olm.bundle, or another document of that name ("" when it has none).
struct catalog_bundle {
	const char *name;
	uint32_t package; // catalog.packages; CATALOG_NONE for a document that names none
};
#define CATALOG_NONE UINT32_MAX

struct catalog_image {
	const char *text;        // as the catalog writes it, blanks around it removed
	const uint32_t *bundles; // catalog.bundles, ascending
	size_t nbundles;
};

// Everything it points at is in its arena.
struct catalog {
	const char **packages;
	size_t npackages;
	struct catalog_bundle *bundles; // by package, then name
	size_t nbundles;
	struct catalog_image *images;
	size_t nimages;
	struct arena arena;
};
#define auto_catalog __attribute__((cleanup(catalog_release)))
void catalog_release(struct catalog *c);

#endif
