// SPDX-License-Identifier: Apache-2.0
// Reading a catalog out of its index image: layers are streamed, nothing is unpacked.
//
// Spec 2.4.3 to 2.6. The layers are seen as one tree, whiteouts above the catalog's folder
// included, links resolved inside of the image. A file-based catalog is cut into documents while
// its layer is decompressed, and documents are parsed on several threads; a file that .indexignore
// names, or that a higher layer hides, does not count, whatever is in it. A database is read from
// an unlinked temporary file. Everything that a layer says is verified before this returns 0.
//
// Errors name the file, the document in it and the line where that begins, then what is wrong and
// where: "configs/x/catalog.yaml: document 3 (line 100): line 120: …".
#ifndef CATALOG_READ_H
#define CATALOG_READ_H

#include "catalog/catalog.h"
#include "catalog/index.h"
#include "util/cancel.h"

// Ceilings; the text of all files is layer_limits.max_bytes.
#define CATALOG_FILES_MAX    ((size_t)200000)
#define CATALOG_DOCUMENT_MAX ((size_t)16 << 20) // bytes; a document is one olm.bundle, say
#define CATALOG_IGNORES_MAX  ((size_t)10000)    // patterns of all .indexignore files
#define CATALOG_DATABASE_MAX ((uint64_t)2 << 30)

struct catalog_read_config {
	unsigned threads;           // that parse, as far as they are of use; 0: 2
	const char *path;           // source part of --path instead of the label's; NULL
	const char *temporary_dir;  // for databases
	struct layer_limits limits; // of the whole image
	struct cancel *cancel;
	// Images of the ClusterServiceVersions inside of bundles count, too: in a file-based
	// catalog olm.bundle.object properties, in a database the column csv.
	bool deep_scan;
	// A file cannot be read. True: it is left out; false, or NULL: the whole fails with WHY.
	bool (*on_broken)(void *arg, const struct err *why);
	void *arg;
};

// ERR_INPUT when there is nothing at all in the catalog: such a mirror would be empty.
int catalog_read(struct catalog_index *ix, const struct catalog_read_config *cfg,
		 struct catalog *ret, struct err *e) must_check;

#endif
