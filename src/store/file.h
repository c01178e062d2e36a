// SPDX-License-Identifier: Apache-2.0
// Content as open files, for whoever sends it without reading it (sendfile), and the lists a
// registry answers with. The bytes are not verified here: clients do that, and a file whose size is
// not the recorded one is never handed out.
#ifndef STORE_FILE_H
#define STORE_FILE_H

#include "image/digest.h"
#include "util/err.h"

#include <stdint.h>

// A blob: one file, or, on media that hold no large files, several that follow each other. Zero is
// "none".
struct store_file {
	uint64_t size;
	unsigned n;
	int *fds;
	uint64_t *sizes;
};
void store_file_release(struct store_file *f);
#define auto_store_file __attribute__((cleanup(store_file_release)))
// Reads at OFFSET; crosses the pieces. -1 with errno.
ssize_t store_file_pread(const struct store_file *f, void *buf, size_t n, uint64_t offset);

struct store;
struct strlist;
struct buf;

enum store_patience {
	STORE_MAY_WAIT,
	STORE_NO_WAIT, // only what the kernel has in memory
};

// 0; 1 when it would have had to wait for the disk; -1: ERR_NOT_FOUND, ERR_IO (a bad sector).
// A manifest is found under its digest as well.
int store_blob_file(struct store *s, const char *repo, const struct digest *d,
		    enum store_patience p, struct store_file *ret, struct err *e) must_check;
// A manifest by tag or digest, verified; the same results.
int store_manifest_fetch(struct store *s, const char *repo, const char *ref, enum store_patience p,
			 struct buf *ret, struct digest *ret_digest, struct err *e) must_check;
bool store_repository_exists(struct store *s, const char *repo);
// Digests of the manifests of REPO whose subject is SUBJECT, in byte order. Where the layout keeps
// no list of them, the repository's manifests are read, once until it changes.
int store_referrers(struct store *s, const char *repo, const struct digest *subject,
		    struct strlist *ret, struct err *e) must_check;

#endif
