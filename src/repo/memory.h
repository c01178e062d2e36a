// SPDX-License-Identifier: Apache-2.0
// The place in memory, as tests see it: what it holds, what it was asked, and when it fails.
//
// It behaves as repo.h says: digests are verified, a put that does not match keeps nothing. Every
// call is counted and noted in a log ("blob_put a/b sha256:…"); the hook runs first, outside of
// locks, and may block, cancel, or add what it likes. Thread-safe.
#ifndef REPO_MEMORY_H
#define REPO_MEMORY_H

#include "net/limiter.h"
#include "repo/repo.h"

enum memory_call {
	MEMORY_MANIFEST_GET,
	MEMORY_MANIFEST_STAT,
	MEMORY_MANIFEST_PUT,
	MEMORY_BLOB_STAT,
	MEMORY_BLOB_OPEN,
	MEMORY_BLOB_READ, // each slab of a stream; not in the log
	MEMORY_BLOB_PUT,
	MEMORY_BLOB_MOUNT,
	MEMORY_TAGS,
	MEMORY_REFERRERS,
	MEMORY_PROBE,
	MEMORY_SYNC,
	MEMORY_CALLS,
};

size_t memory_calls(struct place *p, enum memory_call call);
// The Nth CALL from now (1: the next) fails with WHY; 0: all of them, until memory_heal.
void memory_fail(struct place *p, enum memory_call call, size_t nth, const struct err *why);
// All calls on REPOSITORY of P fail with WHY.
void memory_fail_repository(struct place *p, const char *repository, enum memory_call call,
			    const struct err *why);
void memory_heal(struct place *p);
// HOOK sees every call before it is carried out; REF is a tag or a digest, "" for place calls.
void memory_on_call(struct place *p,
		    void (*hook)(void *arg, struct repo *r, enum memory_call call, const char *ref),
		    void *arg);
void memory_refuse_mounts(struct place *p);
// From now on it lists referrers; without this it says ERR_UNSUPPORTED.
void memory_list_referrers(struct place *p);
void memory_set_limiter(struct place *p, struct limiter *l);
void memory_set_free_space(struct place *p, uint64_t bytes);
void memory_set_fresh(struct repo *r); // until the first put

// Puts content there without counting. *ret describes it.
void memory_add_blob(struct repo *r, const void *data, size_t n, struct descriptor *ret);
void memory_add_manifest(struct repo *r, const char *text, const char *media_type, const char *tag,
			 struct digest *ret);
// The bytes of D become something else of the same length.
void memory_damage(struct repo *r, const struct digest *d);
bool memory_has_blob(struct repo *r, const struct digest *d);
bool memory_has_manifest(struct repo *r, const char *ref);
// Lines so far, in the order of the calls. Caller releases.
void memory_log(struct place *p, struct strlist *ret);

#endif
