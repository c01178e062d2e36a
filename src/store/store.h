// SPDX-License-Identifier: Apache-2.0
// Content-addressed files: what --dir and --to-dir write and file:// reads.
//
// Layouts: "oc" is the reference's tree (v2/REPO/blobs/ALGO:HEX, v2/REPO/manifests/ALGO:HEX, tag
// symlinks), ferry's own state in .store/ beside v2/; "linked", a server's, is the same tree with a
// pool; "portable" for filesystems without links or ':' in names. Reading understands all of them,
// hand-made copies with links turned to files, and OCI image layout folders. A blob appears
// complete and verified or not at all. Puts are staged: bytes are written and checked at once,
// names appear at the next barrier in the order blobs, manifests, tags; barriers run every 2 s or
// 256 MB, and in store_sync. What was put is visible to this process at once. Several processes may
// share a store; it belongs to one uid. Thread-safe.
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "image/manifest.h"
#include "util/stream.h"

struct store;

enum store_mode { STORE_READ, STORE_WRITE };
// LINKED is a server's: the oc tree, whose files are hard links into one pool (store/upload.h).
// OCI is an image layout folder (oci-layout, index.json), read only.
enum store_layout {
	STORE_LAYOUT_AUTO,
	STORE_LAYOUT_OC,
	STORE_LAYOUT_PORTABLE,
	STORE_LAYOUT_LINKED,
	STORE_LAYOUT_OCI,
};

struct store_config {
	const char *dir;
	enum store_mode mode;
	// For a new store; an existing one keeps its own, but LINKED turns one of the oc layout,
	// or a tree of the reference, into a linked one, without copying data: its files are
	// hashed and linked into the pool. What is damaged goes to .store/trash, and the notice
	// tells of it.
	enum store_layout layout;
	struct slab_pool *pool;
	struct cancel *cancel;
};

// WRITE makes DIR. Says in *ret_notice (owned by the caller; NULL when there is nothing to say)
// which layout was chosen and why. Errors: read-only, not ours (with the chown to run), not a
// folder.
int store_open(struct store **ret, const struct store_config *cfg, char **ret_notice, struct err *e)
	must_check;
// Drops what is staged and not yet synced (partial downloads are kept in .store/part).
void store_close(struct store *s);
DEFINE_AUTO(store_close, struct store)
const char *store_dir(const struct store *s);
enum store_layout store_layout(const struct store *s);
// The run that wrote this medium did not end: no valid seal (portable layout only).
bool store_unfinished(const struct store *s);

// Verified. ERR_NOT_FOUND; ERR_DIGEST "manifest … is damaged on the medium".
int store_manifest_get(struct store *s, const char *repo, const char *ref, struct buf *ret,
		       struct digest *ret_digest, struct err *e) must_check;
int store_manifest_put(struct store *s, const char *repo, struct str bytes,
		       const struct digest *digest, const char *tag, struct err *e) must_check;
// Digest a tag points at. ERR_NOT_FOUND: "unknown blob".
int store_tag_get(struct store *s, const char *repo, const char *tag, struct digest *ret,
		  struct err *e) must_check;
// In byte order; an unknown repository has none.
int store_tags(struct store *s, const char *repo, struct strlist *ret, struct err *e) must_check;
int store_repositories(struct store *s, struct strlist *ret, struct err *e) must_check;

// Re-hashes what is there; each file is hashed once a run. ERR_NOT_FOUND when it is not there or
// damaged (the text says which; a put repairs it). A blob that only another repository has counts:
// in a store opened for writing REPO gets its link to it, so that nothing is stored twice.
int store_blob_check(struct store *s, const char *repo, const struct descriptor *d, struct err *e)
	must_check;
// The stream is not verified. ERR_DIGEST when the file has another size than D says.
struct stream *store_blob_open(struct store *s, const char *repo, const struct descriptor *d,
			       uint64_t offset, struct err *e) must_check;
// Resumes from .store/part/<digest>: the prefix is re-read and hashed, SRC opened behind it. When
// the result is wrong, SRC is opened once more from the start. SRC is not opened at all when the
// store has good bytes already. Waits for a thread, or for a process that makes progress, which is
// putting the same blob. ERR_DIGEST: nothing is kept; other errors keep the part.
int store_blob_put(struct store *s, const char *repo, const struct descriptor *d,
		   const struct opener *src, struct err *e) must_check;
// REPO has D too, without a second copy. ERR_NOT_FOUND when FROM does not have it.
int store_blob_link(struct store *s, const char *repo, const struct descriptor *d, const char *from,
		    struct err *e) must_check;

// Where an image came from: "quay.io/openshift-release-dev/ocp-release" for a manifest of REPO.
int store_origin_put(struct store *s, const char *repo, const struct digest *digest,
		     const char *origin, struct err *e) must_check;
// *ret NULL when nothing was recorded. Caller frees.
int store_origin_get(struct store *s, const char *repo, const struct digest *digest, char **ret,
		     struct err *e) must_check;

// All levels: everything put before is durable and named. Once a barrier has failed every later
// put and sync fails with its error, since what the disk lost cannot be known.
int store_sync(struct store *s, struct err *e) must_check;

// Copies everything in SRC into DST (any layouts), every byte verified. Progress per object through
// ON_OBJECT (may be NULL).
int store_copy(struct store *src, struct store *dst,
	       void (*on_object)(void *arg, const char *repo, const struct digest *d,
				 uint64_t size),
	       void *arg, struct err *e) must_check;

#endif
