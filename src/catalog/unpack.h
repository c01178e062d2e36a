// SPDX-License-Identifier: Apache-2.0
// The files of a catalog, written to a folder: --path SRC:DST.
//
// Spec 2.4.5 and section 8, rows 7, 27, 35. Files are 0640 and folders 0755, owned by who runs
// this; links have become what they lead to.
#ifndef CATALOG_UNPACK_H
#define CATALOG_UNPACK_H

#include "catalog/index.h"
#include "util/cancel.h"

// Writes what catalog_tree_walk finds at PATH below DIR, which is made when it is not there.
// ERR_INPUT when it is not empty. Nothing is left there on failure.
int catalog_unpack(struct catalog_index *ix, const char *path, const char *dir,
		   const struct layer_limits *limits, struct cancel *cancel, struct err *e)
	must_check;

#endif
