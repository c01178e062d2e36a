// SPDX-License-Identifier: Apache-2.0
// Entries of layers, written below one folder and never outside of it.
//
// What is added is kept in a folder of its own inside of the target until extract_to_commit, which
// is for when all layers are verified: only then anything gets its final name, and what was there
// under that name is replaced, folders merged. Every name is resolved below the target without
// following links (openat2, or component by component where the kernel has none). Only files,
// folders and links are made; links point at what is inside. One thread at a time.
#ifndef LAYER_EXTRACT_TO_H
#define LAYER_EXTRACT_TO_H

#include "layer/layer.h"

struct extract_to;

struct extract_to_options {
	// Owner and mode as the layer has them, setuid included; otherwise files are 0640, folders
	// 0755, and owned by who runs this.
	bool preserve;
	bool by_hand; // do not use openat2; for tests
};

#define EXTRACT_DEPTH_MAX 200 // folders in a path

// DIR must exist.
struct extract_to *extract_to_new(const char *dir, const struct extract_to_options *opt,
				  struct err *e) must_check;
void extract_to_free(struct extract_to *t); // drops what was not committed
DEFINE_AUTO(extract_to_free, struct extract_to)

// NAME is a clean relative path ("a/b"); ENTRY is a file (content from L), a folder, a symlink (its
// link as it will stand there), or a hard link to the NAME of a file that was added before. Missing
// folders are made. What was added under NAME before is replaced. ERR_INPUT for a name below
// something that is no folder, for links that lead out, for other types.
int extract_to_add(struct extract_to *t, const char *name, struct layer *l,
		   const struct layer_entry *entry, struct err *e) must_check;
// Is NAME a regular file that was added?
bool extract_to_has(struct extract_to *t, const char *name);
int extract_to_commit(struct extract_to *t, struct err *e) must_check;

// Where a symlink called NAME that says TARGET leads, as a path below the folder that NAME is in
// the tree of; false when that is outside. For an absolute TARGET the top of the tree is "/".
bool extract_to_resolve(const char *name, const char *target, char ret[LAYER_PATH_MAX]);
// Is TARGET relative, with ".." at its beginning only? Others cannot be added: by way of another
// link they would lead to elsewhere than they say.
bool extract_to_is_plain(const char *target);

#endif
