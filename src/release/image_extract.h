// SPDX-License-Identifier: Apache-2.0
// image extract, but for the flags: files and folders of images, written below folders.
//
// Spec 9, 12.1. What is written is staged (layer/extract_to.h) and gets its names when every layer
// it came from is verified. Of an image the layers are read from the top down, and no further than
// to the last file that is wanted.
#ifndef RELEASE_IMAGE_EXTRACT_H
#define RELEASE_IMAGE_EXTRACT_H

#include "layer/layer.h"
#include "repo/place.h"
#include "util/say.h"

struct image_extract_request {
	char *const *images; // references, each with an optional layer selector "[-1]"
	size_t nimages;
	char *const *paths; // "SRC:DST"
	size_t npaths;
	char *const *files; // by their base names into the current folder
	size_t nfiles;
	bool confirm;               // folders need not be empty
	bool dry_run;               // list what would be written
	bool all_layers;            // of a dry run: hidden entries, too, from the lowest layer on
	bool only_files;            // no links
	bool preserve;              // owners and modes, setuid included
	const char *filter_by_os;   // NULL: not given
	struct layer_limits limits; // of each image
	const char *cwd;            // absolute
	struct say say;
	// Lines of a dry run.
	void (*put)(void *arg, const char *line);
	void *put_arg;
};

// ERR_INCOMPLETE when entries were left out, because they are devices or
// link to what is outside; everything else has been written then.
int image_extract(struct places *places, const struct image_extract_request *req, struct err *e)
	must_check;

// A layer selector on N layers: *FROM to *TO, exclusive. SELECTOR is what stands in the brackets.
struct manifest;
int layer_select(const char *selector, const struct manifest *m, size_t *ret_from, size_t *ret_to,
		 struct err *e) must_check;

#endif
