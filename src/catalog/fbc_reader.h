// SPDX-License-Identifier: Apache-2.0
// All files of a file-based catalog, read in parallel: one thread brings the files, cut into
// documents while they arrive; others parse documents.
//
// Files come in any order and may turn out not to count: hidden by a link, brought again, named by
// an .indexignore that comes later. Until the end each keeps what it said and what was wrong with
// it to itself, so that what does not count costs no error. Documents that wait for a thread are
// bounded (FBC_WAITING_MAX), and so is what all files say (FBC_MEMORY_MAX).
//
// One thread at a time uses a reader.
#ifndef CATALOG_FBC_READER_H
#define CATALOG_FBC_READER_H

#include <sys/types.h>

#include "catalog/collect.h"
#include "util/cancel.h"

#define FBC_WAITING_MAX ((size_t)4 << 20)   // bytes of documents; one may be larger
#define FBC_MEMORY_MAX  ((size_t)256 << 20) // bytes of what was found, ignored files included
#define FBC_IGNORE_MAX  ((size_t)4 << 20)   // bytes of all .indexignore files

struct fbc_reader_config {
	unsigned threads;      // that parse; 0: 2
	const char *tree_path; // for catalog_tree_name: what messages call the files
	struct cancel *cancel;
	bool deep_scan; // as catalog_read_config has it, and on_broken
	bool (*on_broken)(void *arg, const struct err *why);
	void *arg;
};

struct fbc_reader;

// CFG is copied. NULL when no thread can be started.
struct fbc_reader *fbc_reader_new(const struct fbc_reader_config *cfg, struct err *e) must_check;
void fbc_reader_free(struct fbc_reader *r); // also before the end; NULL is fine
DEFINE_AUTO(fbc_reader_free, struct fbc_reader)

// The file PATH, below the catalog's folder; what came under that name before is void. READ gives
// its bytes as layer_read does. Fails when READ does, and when cancelled; what is wrong with the
// file is told at the end.
int fbc_reader_file(struct fbc_reader *r, const char *path,
		    ssize_t (*read)(void *source, void *data, size_t n, struct err *e),
		    void *source, struct err *e) must_check;
// PATH cannot be read; counts as a file with that error.
void fbc_reader_broken(struct fbc_reader *r, const char *path, const struct err *why);
// PATH and all below it are void; "" is everything.
void fbc_reader_gone(struct fbc_reader *r, const char *path);

// Waits for the threads, applies the .indexignore files, and adds what the other files say to TO.
// Of several errors it is the one of the first file by its name, and of its first document. Once.
int fbc_reader_finish(struct fbc_reader *r, struct collect *to, struct err *e) must_check;

#endif
