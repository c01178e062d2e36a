// SPDX-License-Identifier: Apache-2.0
// "A repository": named content with digests, wherever it lives. One vtable, three places behind
// it: a registry (HTTP), a store (file://, media), memory (tests).
//
// A place holds what its repositories share (connections, credentials, open folder) and a repo is
// one name in it. Thread-safe: any number of threads may use one repo. All calls block.
// Who keeps bytes checks them: blob_put and manifest_put verify the digest and keep nothing that
// does not match; manifest_get verifies what it returns; a blob_open stream is not verified.
#ifndef REPO_REPO_H
#define REPO_REPO_H

#include "image/manifest.h"
#include "util/stream.h"

enum place_kind { PLACE_REGISTRY, PLACE_STORE, PLACE_MEMORY };

struct limiter;

struct place {
	const struct place_ops *ops;
	enum place_kind kind;
	const char *name; // "quay.io", "127.0.0.1:5000", "file://" for stores: what printing puts
			  // in front
};

// A repository by name. Compare by pointer: the same place and name give the same repo. Borrowed
// from the place.
struct repo {
	const struct repo_ops *ops;
	struct place *place;
	const char *name;
};

// Manifest bytes with what travels beside them. Owned; manifest_bytes_release.
struct manifest_bytes {
	struct buf bytes;
	char *media_type; // Content-Type without parameters; NULL when the place does not tell
	struct digest digest;
};
#define auto_manifest_bytes __attribute__((cleanup(manifest_bytes_release)))
void manifest_bytes_release(struct manifest_bytes *m);

// What a place knows about a manifest without reading it.
struct manifest_stat {
	struct digest digest;
	uint64_t size;        // 0 when unknown
	char media_type[128]; // "" when unknown
};

enum repo_fresh {
	REPO_MAY_EXIST, // unknown or known to exist
	REPO_FRESH,     // the place said NAME_UNKNOWN: there is nothing to ask for in this run
};

struct repo_ops {
	// REF is a tag or a digest text. ERR_NOT_FOUND, ERR_DENIED, ERR_DIGEST as they are.
	int (*manifest_get)(struct repo *r, const char *ref, struct manifest_bytes *ret,
			    struct err *e);
	int (*manifest_stat)(struct repo *r, const char *ref, struct manifest_stat *ret,
			     struct err *e);
	// Puts BYTES under TAG, or by digest alone when TAG is NULL.
	int (*manifest_put)(struct repo *r, const struct manifest_bytes *m, const char *tag,
			    struct err *e);
	// 0: there, and for a store: verified. ERR_NOT_FOUND: not there, or damaged.
	int (*blob_stat)(struct repo *r, const struct descriptor *d, struct err *e);
	struct stream *(*blob_open)(struct repo *r, const struct descriptor *d, uint64_t offset,
				    struct err *e);
	// Reads SRC from 0, and again from any offset after a break. ERR_DIGEST, nothing kept, when
	// the bytes are not what D says; d->size is a ceiling while reading.
	int (*blob_put)(struct repo *r, const struct descriptor *d, const struct opener *src,
			struct err *e);
	// *ret_mounted: R has D now, taken from FROM of the same place. False: it refused, send the
	// bytes.
	int (*blob_mount)(struct repo *r, const struct descriptor *d, struct repo *from,
			  bool *ret_mounted, struct err *e);
	int (*tags)(struct repo *r, struct strlist *ret,
		    struct err *e); // all of them, in the place's order
	// Appends the digests of the manifests whose subject is SUBJECT. ERR_UNSUPPORTED where the
	// place keeps no such list: the index under the fallback tag ALGO-HEX tells.
	int (*referrers)(struct repo *r, const struct digest *subject, struct strlist *ret,
			 struct err *e);
	enum repo_fresh (*fresh)(struct repo *r);
};

struct place_ops {
	struct repo *(*repo)(struct place *p, const char *name);
	// Is it there, does it let us in (WRITE: may we push)? One request per place at most; later
	// calls repeat the answer.
	int (*probe)(struct place *p, bool write, struct err *e);
	// Everything put before this call is durable and has its name when it returns.
	int (*sync)(struct place *p, struct err *e);
	// Bytes that may still be written; ERR_UNSUPPORTED where nobody knows (registries).
	int (*free_space)(struct place *p, uint64_t *ret, struct err *e);
	// What its tasks have to enter; NULL where there is no limit.
	struct limiter *(*limiter)(struct place *p);
	void (*free)(struct place *p);
};

struct repo *place_repo(struct place *p, const char *name);
void place_free(struct place *p); // NULL is fine
DEFINE_AUTO(place_free, struct place)
struct limiter *place_limiter(struct place *p); // NULL: no limit

// As printing puts it: "quay.io/org/img", "file://org/img". Caller frees.
char *repo_print(const struct repo *r);

// For tests: a place in memory that counts its calls and can fail on the nth (repo/memory.h).
struct place *place_memory_new(const char *name, struct slab_pool *pool);

#endif
