// SPDX-License-Identifier: Apache-2.0
// Images whose files are read: found where they can be had, one platform of a list chosen.
#ifndef RELEASE_IMAGE_H
#define RELEASE_IMAGE_H

#include "layer/stack.h"
#include "repo/place.h"

// Where the images of one run may be.
struct release_sources {
	struct places *places;
	struct repo *media; // asked first for images by digest; may be NULL
};

struct release_image {
	struct repo *repo;    // borrowed
	struct digest root;   // what the reference names
	struct digest digest; // the manifest that was chosen
	struct manifest manifest;
};
#define auto_release_image __attribute__((cleanup(release_image_release)))
void release_image_release(struct release_image *im);

// The image REF (tag or digest); of a list the first entry that FILTER takes (NULL: the first).
// Errors: `image "REF" does not exist`, `unable to read image REF: …`.
int release_open_image(const struct release_sources *src, const struct reference *ref,
		       const struct platform_filter *filter, struct release_image *ret,
		       struct err *e) must_check;
// "the manifest list has no image for the wanted platform …", with those that it has.
int release_no_entry(const struct manifest *list, struct err *e);
// Its layers, borrowed from IM.
struct stack_source release_image_source(struct release_image *im);

#endif
