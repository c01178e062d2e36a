// SPDX-License-Identifier: Apache-2.0
// The portable layout's index: text records, append-only, a CRC-32C closing each line.
//
//	B <repo> <digest> <size>    a repository has a blob
//	M <repo> <digest> <size>    a repository has a manifest
//	T <repo> <tag> <digest>     a tag; the last record counts
//	O <repo> <digest> <origin>  where an image came from
//
// Further fields, and records of other kinds, are for later versions and ignored. Each run writes
// a segment of its own, so that a line cut short is always the last of its file, and is dropped.
// The seal, written last, names every segment with its length and digest: without it, or when it
// does not fit, the medium is unfinished.
#ifndef STORE_PORTABLE_H
#define STORE_PORTABLE_H

#include "store/internal.h"

enum { INDEX_BLOB = 1, INDEX_MANIFEST = 2 };

struct segment {
	char *name;
	uint64_t length;
	struct digest digest;
};

struct records {
	struct map members; // "REPO DIGEST" → size * 4 + INDEX_*
	struct map tags;    // "REPO TAG" → digest text, owned
	struct segment *segments;
	size_t nsegments, cap;
	size_t records, bad; // lines that were read, that were damaged
	unsigned last;       // number of the newest segment
	bool sealed;
	uint64_t sequence;     // of the seal
	struct hasher *hasher; // of the segment being written
};

uint32_t crc32c(const void *data, size_t n);
// Appends "TEXT CRC\n".
void index_add_line(struct buf *out, const char *fmt, ...) printf_like(2, 3);
// LINE without its newline. False when the CRC is wrong; else *ret_text is what it protects.
bool index_check_line(struct str line, struct str *ret_text);
// Takes a record in; false when it is malformed.
bool records_apply(struct store *s, struct records *ix, struct str record);
// Reads all segments below DIR and the seal.
int records_load(struct store *s, struct records *ix, struct err *e) must_check;
void records_seal_text(const struct records *ix, struct buf *out);
void records_release(struct records *ix);

#endif
