// SPDX-License-Identifier: Apache-2.0
// Files of an image by their exact paths, read from the top layer down; links inside of the image
// are followed. No layer below the one that has the last of them is read.
#ifndef LAYER_FIND_H
#define LAYER_FIND_H

#include "layer/stack.h"

#define FIND_LINKS_MAX 8

// Calls FILE for each of the N paths, all different, that is a regular file: PATHS[which], content
// from L. May be called again for the same one: the last time counts. Nothing is verified until
// this returns 0. RET_FOUND has N places.
int layers_find(const struct descriptor *layers, size_t nlayers, const struct stack_source *source,
		const struct layer_limits *limits, const char *const *paths, size_t n,
		int (*file)(void *arg, size_t which, struct layer *l,
			    const struct layer_entry *entry, struct err *e),
		void *arg, bool *ret_found, struct err *e) must_check;

// Is A the path B, above it, or below it?
bool path_concerns(const char *a, const char *b);

#endif
