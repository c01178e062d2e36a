// SPDX-License-Identifier: Apache-2.0
// A file of a file-based catalog, cut into its documents while it arrives.
//
// Spec 2.5.2. The first byte that is no blank says what the file is: "{" JSON, values one after
// another; anything else YAML, documents between lines that begin with "---". A byte order mark is
// dropped. Only as much is understood as is needed for cutting: whether a document is right is its
// reader's business. It does not matter how the bytes are cut into pieces.
#ifndef CATALOG_DOCUMENTS_H
#define CATALOG_DOCUMENTS_H

#include "util/cleanup.h"
#include "util/str.h"

enum document_format { DOCUMENT_JSON, DOCUMENT_YAML };

// Neither blank nor, in YAML, nothing but comments.
struct document {
	enum document_format format;
	size_t number; // in its file, from 1
	size_t line;   // of the file, from 1, that it begins in
	struct buf bytes;
};

struct documents;

// EACH may take the bytes (buf_take) of what it is given; it returns 0, or -1 to stop. A document
// of more than MAX bytes is an error.
struct documents *
documents_new(size_t max, int (*each)(void *arg, struct document *d, struct err *e), void *arg);
void documents_free(struct documents *s); // NULL is fine
DEFINE_AUTO(documents_free, struct documents)

// The next bytes of the file, and its end. ERR_INPUT: "document 3 (line 120): …"; after a failure
// there is nothing left to do but documents_free.
int documents_add(struct documents *s, struct str bytes, struct err *e) must_check;
int documents_end(struct documents *s, struct err *e) must_check;

#endif
