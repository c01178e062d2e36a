// SPDX-License-Identifier: Apache-2.0
// Where the images of a release go: --to, --to-release-image, ${component} and ${version}, by
// the rules of the reference.
#ifndef RELEASE_NAMING_H
#define RELEASE_NAMING_H

#include "image/reference.h"

// The base of all names, checked before anything is read.
struct naming {
	char *base;                  // --to, or what stands in for it
	bool substitutes;            // base holds ${component}
	struct reference repository; // of the base, without tag
	bool to_release_image;       // release goes to `release_image` and nowhere else
	struct reference release_image;
};
#define auto_naming __attribute__((cleanup(naming_release)))
void naming_release(struct naming *n);

// TO and TO_RELEASE_IMAGE may be NULL; TO_DIR: without TO, names are below file://.
// Errors: "--to must be to an image repository and may not contain a tag or digest", "--to must be
// a valid image reference: …".
int naming_init(struct naming *ret, const char *to, bool to_dir, const char *to_release_image,
		struct err *e) must_check;
// The destination of COMPONENT, or of the release image itself for NULL. ARCH is the suffix,
// "-x86_64".
int naming_reference(const struct naming *n, const char *component, const char *version,
		     const char *arch, struct reference *ret, struct err *e) must_check;

#endif
