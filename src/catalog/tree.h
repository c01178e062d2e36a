// SPDX-License-Identifier: Apache-2.0
// The files of a catalog, out of the layers of its index image seen as one tree.
//
// Spec 2.4.3, 2.4.4 and section 8, rows 5, 6, 8, 35. The layers are flattened first, whiteouts of
// the root of the image included, then the catalog's folder is cut out. Files come in the order of
// the layers, the topmost first, and are streamed; nothing is unpacked. Links are resolved inside
// of the root of the image, wherever they lead there: the catalog's folder may be one itself, and
// so may files; each needs the layers to be read again, TREE_WALKS_MAX times at most for all.
#ifndef CATALOG_TREE_H
#define CATALOG_TREE_H

#include "catalog/index.h"
#include "util/cancel.h"

#define TREE_WALKS_MAX 32                  // readings of the layers for the sake of links
#define TREE_LINKS_MAX ((size_t)10000)     // links among the files
#define TREE_DEPTH_MAX 128                 // folders in a path that matters
#define TREE_NAMES_MAX ((size_t)256 << 20) // bytes of such paths, each folder counted again

// PATH is below the catalog's folder ("alpha/catalog.yaml"). What is said last about a PATH counts:
// a layer may have it twice, and a link may have been replaced. Nothing is verified until
// catalog_tree_walk has returned 0. Each returns 0, or -1 to end the walk.
struct tree_visitor {
	// A regular file, or a link to one; content from L, to be read before this returns. ENTRY
	// is what holds the content: its path is not PATH when that is a link.
	int (*file)(void *arg, const char *path, struct layer *l, const struct layer_entry *entry,
		    struct err *e);
	// What was said about PATH, and about all that is below it, is void. "" is everything.
	void (*gone)(void *arg, const char *path);
	// PATH is there but has no content: a link to nothing, to a folder, to a device, to itself.
	// WHY names it. It is an error only where PATH is wanted. NULL: the walk ends with WHY.
	int (*broken)(void *arg, const char *path, const struct err *why, struct err *e);
	void *arg;
	bool skip_links; // links are no files: for whole images, which are full of them
};

// PATH is the label's or that of --path: "/configs/" (a folder, all of it), "/" (the whole image),
// "/database/index.db" (what is called so in that folder: * ? [...] match), "bundles.db" (that
// regular file of the root). Absolute or not is the same. LIMITS (may be NULL) are of each reading
// of the layers. ERR_INPUT when there is no file at all, when there are more than
// CATALOG_FILES_MAX, and when a link leads out of the image.
int catalog_tree_walk(struct catalog_index *ix, const char *path, const struct layer_limits *limits,
		      const struct tree_visitor *visitor, struct cancel *cancel, struct err *e)
	must_check;

// How messages call PATH: behind the catalog's folder ("configs/alpha/catalog.yaml"). TREE_PATH is
// what catalog_tree_walk was given. Caller frees.
char *catalog_tree_name(const char *tree_path, const char *path);

#endif
