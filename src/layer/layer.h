// SPDX-License-Identifier: Apache-2.0
// An image layer, read entry by entry: tar, plain or inside gzip or zstd, out of any byte stream.
//
// Spec: OCI image-spec v1.1, layer.md. Only these formats are ever tried, and nothing is executed.
// The digest of a layer is over its compressed bytes, and a tar ends before they do: content is
// trusted only after layer_finish has read the stream to its end and compared the digest.
// Everything is bounded (struct layer_limits). One thread at a time.
#ifndef LAYER_LAYER_H
#define LAYER_LAYER_H

#include "image/digest.h"
#include "util/stream.h"

#include <sys/types.h>

struct layer;

// Ceilings against decompression bombs; 0 takes the default.
struct layer_limits {
	uint64_t max_compressed; // bytes that the stream may have; the descriptor's size
	uint64_t max_bytes;      // bytes after decompression
	uint64_t max_entries;
	unsigned max_ratio; // decompressed to compressed, looked at beyond LAYER_RATIO_FLOOR
};

#define LAYER_MAX_COMPRESSED ((uint64_t)64 << 30)
#define LAYER_MAX_BYTES      ((uint64_t)256 << 30)
#define LAYER_MAX_ENTRIES    ((uint64_t)4000000)
#define LAYER_MAX_RATIO      1500
#define LAYER_RATIO_FLOOR    ((uint64_t)64 << 20)
#define LAYER_PATH_MAX       4096

enum layer_entry_type {
	LAYER_FILE,
	LAYER_DIR,
	LAYER_SYMLINK,
	LAYER_HARDLINK, // link names the entry it shares its content with
	LAYER_OTHER,    // devices, fifos, sockets
};

// Strings are borrowed until the next call on the layer.
struct layer_entry {
	const char
		*path; // relative, without "." and "..", "a/b"; the root itself is never handed out
	enum layer_entry_type type;
	uint64_t size; // of a file
	mode_t mode;   // permission bits, setuid, setgid and sticky among them
	uint32_t uid, gid;
	int64_t mtime;    // unix time, seconds
	const char *link; // target of a symlink as written, of a hard link cleaned as path; else ""
};

// Takes SRC also on failure. WANT is what layer_finish compares with; NULL: nothing is compared.
// LIMITS may be NULL.
struct layer *layer_open(struct stream *src, const struct digest *want,
			 const struct layer_limits *limits, struct err *e) must_check;
void layer_free(struct layer *l); // also before the end
DEFINE_AUTO(layer_free, struct layer)

// 1: *ret is the next entry; 0: there are no more; -1. What was left of the last one is skipped.
// A path that leaves the layer ("..") is ERR_INPUT.
int layer_next(struct layer *l, struct layer_entry *ret, struct err *e) must_check;
// Content of the current file: bytes read, 0 at its end, -1.
ssize_t layer_read(struct layer *l, void *data, size_t n, struct err *e) must_check;
// The rest of the current file, appended; ERR_INPUT when it does not fit under ret->max.
int layer_read_all(struct layer *l, struct buf *ret, struct err *e) must_check;
// What was read so far.
struct layer_usage {
	uint64_t bytes; // after decompression
	uint64_t entries;
};
struct layer_usage layer_usage(const struct layer *l);
// Reads the stream to its end. ERR_DIGEST when it is not what was wanted.
int layer_finish(struct layer *l, struct err *e) must_check;

#endif
