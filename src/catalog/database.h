// SPDX-License-Identifier: Apache-2.0
// A catalog that is an SQLite database: what its tables say.
//
// Spec 2.6 and section 8, row 26. Images are related_image.image and operatorbundle.bundlepath,
// each where it exists. Databases from before related_image (opm's migration 1) have the images of
// a bundle in its operatorbundle.csv only: there spec.relatedImages and the (init) containers of
// its deployments are read, which is what that migration filled the table with (cfg->deep_scan: in
// every database). A bundle is of the package that channel_entry has it in.
//
// The database is the file that the path names; below a folder it is the first one, in the order of
// a directory walk, that begins as databases do (links do not count there). It is copied to a
// temporary file without a name before it is opened: everything in it was verified by then.
#ifndef CATALOG_DATABASE_H
#define CATALOG_DATABASE_H

#include "catalog/collect.h"
#include "catalog/read.h"

// Adds what the database at PATH says to TO. Of CFG, path and threads are not used; ON_BROKEN is
// told of bundles whose csv cannot be read.
int catalog_database_read(struct catalog_index *ix, const char *path,
			  const struct catalog_read_config *cfg, struct collect *to, struct err *e)
	must_check;

// The same for a database that is open already, which is what is made to be fuzzed.
struct sqlite;
int catalog_database_collect(struct sqlite *db, const struct catalog_read_config *cfg,
			     struct collect *to, struct err *e) must_check;

#endif
