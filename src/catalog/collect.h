// SPDX-License-Identifier: Apache-2.0
// What is found in a catalog while it is read, in any order: packages, bundles, images, and which
// bundle needs which image. Every text is kept once.
//
// Bounded by the ceilings of catalog.h: passing one is ERR_INPUT, and what was collected until then
// stays as it was. One thread at a time. Texts are bytes from outside, taken as they are but for
// the blanks around them.
#ifndef CATALOG_COLLECT_H
#define CATALOG_COLLECT_H

#include "catalog/catalog.h"
#include "util/cleanup.h"

struct collect;

struct collect *collect_new(void);
void collect_free(struct collect *c); // NULL is fine
DEFINE_AUTO(collect_free, struct collect)

// A package, which may have no bundle. An empty name is none.
int collect_package(struct collect *c, struct str name, struct err *e) must_check;
// The bundle NAME of PACKAGE, for collect_image; the same one when it comes again. Both may be
// empty.
int collect_bundle(struct collect *c, struct str package, struct str name, uint32_t *ret,
		   struct err *e) must_check;
// BUNDLE needs IMAGE; CATALOG_NONE: the catalog names it, and no bundle needs it. Empty: nothing.
int collect_image(struct collect *c, uint32_t bundle, struct str image, struct err *e) must_check;

// No package, bundle or image at all?
bool collect_is_empty(const struct collect *c);

// Sorted, without duplicates. C is empty afterwards.
void collect_finish(struct collect *c, struct catalog *ret);

#endif
