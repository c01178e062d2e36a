// SPDX-License-Identifier: Apache-2.0
// The pool of the linked layout: every inode's first name.
//
//	.store/pool/ALGO/ab/HEX     content, mode 0444
//	.store/pool/ALGO/ab/HEX.1   the same content once more, when the first has as many names as
//	                            the filesystem allows
//
// The link count is the reference count: one for the pool, one for each name below v2/.
#ifndef STORE_LINKED_H
#define STORE_LINKED_H

#include "store/oc_tree.h"

enum { POOL_COPIES_MAX = 1000 };

// A descriptor of the folder in the pool that D belongs to; borrowed as level_folder's.
int pool_folder(struct level *l, const struct digest *d, struct err *e) must_check;
// FILE below the state folder, whose bytes are D and durable, becomes the pool's. What is there
// already is kept if its bytes are the same; else it goes to trash, and every repository that had
// it gets ours instead. FILE is gone afterwards. Doing this twice is fine.
int pool_add(struct level *l, const char *file, const struct digest *d, struct err *e) must_check;
// The name DIR/NAME of REPO becomes one of the pool's D, whatever it is now.
int pool_link(struct level *l, const struct digest *d, const char *repo, int dir, const char *name,
	      struct err *e) must_check;
// Whether ST is an inode that the pool has for D.
bool pool_owns(struct level *l, const struct digest *d, const struct stat *st);
// Links of a manifest D of REPO in blobs/, manifests/ and, with a SUBJECT (or NULL), referrers/.
int pool_link_manifest(struct level *l, const char *repo, const struct digest *d,
		       const char *subject, struct err *e) must_check;
// Moves DIR/NAME to .store/trash.
int pool_trash(struct level *l, const struct digest *d, int dir, const char *name, struct err *e)
	must_check;

// The tree of S, which is locked for us alone, gets a pool: each file is hashed, then linked into
// it. Says in NOTICE what was damaged. Goes on where an earlier call was interrupted.
int linked_adopt(struct store *s, struct buf *notice, struct err *e) must_check;

#endif
