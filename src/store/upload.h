// SPDX-License-Identifier: Apache-2.0
// What a server writes: uploads that come in pieces from clients that may go away, mounts,
// manifests with their tags, removals. For writable stores of the linked layout only.
//
// Whatever returns 0 here is durable: it has survived a power cut from then on. Calls that wait for
// the disk at the same time share one barrier. Names appear in the order of store.h: blobs before
// manifests before tags. Thread-safe; several processes may do all of this in one store.
#ifndef STORE_UPLOAD_H
#define STORE_UPLOAD_H

#include "store/store.h"

enum { UPLOAD_ID_SIZE = 37 }; // a UUID and its NUL

struct store_upload;

// A new session's id. Nothing is kept for it before its first byte: the id itself proves, by a MAC
// with the store's key, that it was given out for REPO, OWNER (a user, "" is nobody) and ALGO in
// the last 24 h. So a flood of sessions costs nothing, and any process on this store, also after a
// restart, can go on with one.
int store_upload_id(struct store *s, const char *repo, const char *owner, enum digest_algo algo,
		    char ret[UPLOAD_ID_SIZE], struct err *e) must_check;
// Takes the session for this caller alone. ERR_NOT_FOUND: not an id of REPO and OWNER, expired,
// finished or cancelled. ERR_BUSY: another request has it. After a restart the data is read again
// to restore the hash.
struct store_upload *store_upload_open(struct store *s, const char *repo, const char *owner,
				       const char *id, struct err *e) must_check;
// Was ID given out for REPO and OWNER in the last 24 h, whatever became of it since?
bool store_upload_issued(struct store *s, const char *repo, const char *owner, const char *id);
uint64_t store_upload_size(const struct store_upload *u);
enum digest_algo store_upload_algo(const struct store_upload *u);
// Appends and hashes. ERR_IO with os == ENOSPC: the session has been dropped to free the disk.
int store_upload_write(struct store_upload *u, const void *data, size_t n, struct err *e)
	must_check;
// Back to SIZE bytes, which must not be more than there are.
int store_upload_cut(struct store_upload *u, uint64_t size, struct err *e) must_check;
// Leaves it for a later request. NULL is fine.
void store_upload_close(struct store_upload *u);
DEFINE_AUTO(store_upload_close, struct store_upload)
// The data becomes blob D of the session's repository; the session ends and U is freed, whatever
// happens. ERR_DIGEST: the bytes are not D, nothing is kept. D may be of another algorithm than the
// session (it is then hashed once more). A damaged blob D in the store is replaced by this one, in
// every repository that has it.
int store_upload_commit(struct store_upload *u, const struct digest *d, struct err *e) must_check;
// Ends it without a blob and frees U.
void store_upload_cancel(struct store_upload *u);
// Sessions that have data, for limits.
unsigned store_upload_count(struct store *s);
// Removes the data of sessions that got no byte for 24 h and temporary files of dead processes.
// NOW is unix time.
int store_upload_sweep(struct store *s, int64_t now, struct err *e) must_check;
// Removes the data of sessions that got no byte since BEFORE, to make room for others.
int store_upload_crowd_out(struct store *s, int64_t before, struct err *e) must_check;

// REPO gets D from FROM, or from any repository when FROM is NULL. ERR_NOT_FOUND.
int store_blob_mount(struct store *s, const char *repo, const struct digest *d, const char *from,
		     struct err *e) must_check;
// Refreshes the inode's ctime if it is older than an hour, so that a collection that runs later
// spares what a client has been told it need not push.
void store_blob_touch(struct store *s, const char *repo, const struct digest *d);
// The manifest, its entry among the referrers of its subject, then TAGS. Whether its children are
// there is for the caller to check, with CHECK (may be NULL), which runs while no collection can
// take them away: -1 stops with its error.
int store_manifest_commit(struct store *s, const char *repo, struct str bytes,
			  const struct digest *d, const char *const *tags, size_t ntags,
			  int (*check)(void *arg, struct err *e), void *arg, struct err *e)
	must_check;
// All ERR_NOT_FOUND when there is none.
int store_tag_remove(struct store *s, const char *repo, const char *tag, struct err *e) must_check;
// With every tag of REPO that points at it and its entry among the referrers; children stay.
int store_manifest_remove(struct store *s, const char *repo, const struct digest *d, struct err *e)
	must_check;
// From REPO only.
int store_blob_remove(struct store *s, const char *repo, const struct digest *d, struct err *e)
	must_check;

// 32 secret bytes of this store, made at first use, 0600.
int store_key(struct store *s, unsigned char ret[32], struct err *e) must_check;

#endif
