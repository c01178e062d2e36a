// SPDX-License-Identifier: Apache-2.0
// The engine: a plan (what must be where) in, events out.
//
// Nodes are (destination repository, digest), edges blob → manifest → index → tag; each counts what
// it waits for. The first repository of a place that needs a blob leads, the others park (holding
// no worker) and then mount; a failed leader hands over; a refused mount re-reads from the
// destination's own repository. While planning runs only blobs move; no manifest is pushed until
// planning has ended without error, or with continue_on_error. A failed child stops its parents
// only.
//
// Use: transfer_new; any number of transfer_spawn (planning tasks, which call transfer_add and may
// spawn more); transfer_run, which waits for all of it; transfer_free.
// Workers take tasks whose limiters (place_limiter of source and destination) have room.
// Thread-safe but for new, run and free.
#ifndef TRANSFER_TRANSFER_H
#define TRANSFER_TRANSFER_H

#include "repo/place.h"

struct transfer;

enum transfer_event_type {
	// A blob was added that its place did not count yet: digest, size, dst, src. With
	// is_manifest: one more result line is to come.
	TRANSFER_PLANNED,
	TRANSFER_BLOB_START,   // begins to move
	TRANSFER_BLOB_BYTES,   // size: how many more
	TRANSFER_BLOB_DONE,    // moved
	TRANSFER_BLOB_PRESENT, // was there already
	TRANSFER_BLOB_MOUNTED,
	TRANSFER_RETRIED,    // error says why
	TRANSFER_IMAGE_DONE, // a manifest has its name: digest, dst, tag (or NULL): a result line
	TRANSFER_IMAGE_PRESENT, // the same, nothing had to be sent
	TRANSFER_MISSING, // not there at the source, and allowed to be missing: text names it.
			  // With an error: a part is not, and the destination refuses the rest
	TRANSFER_FAILED,  // error; equal ones are told once
	TRANSFER_NOTICE,  // text: one line for people
};

struct transfer_event {
	enum transfer_event_type type;
	struct repo *src, *dst;
	const struct digest *digest;
	uint64_t size;
	bool is_manifest;
	const char *tag;
	const char *text;
	const struct err *error;
};

// Called from workers, one at a time; must be quick. May ask for transfer_stats, nothing else.
struct transfer_sink {
	void (*event)(struct transfer_sink *s, const struct transfer_event *ev);
};

struct transfer_config {
	struct cancel *cancel;
	struct slab_pool *pool;
	struct transfer_sink *sink;
	int workers;        // 0: 32
	int max_registries; // registries (sources) planned at the same time; 0: no limit
	bool force;         // neither manifests nor blobs are asked for, all is sent
	bool skip_mount;
	bool continue_on_error;
	bool dry_run;    // plan only, destinations are never contacted
	bool hold_blobs; // blobs wait for the end of planning too (folders: space is checked first)
	size_t manifest_bytes_max; // kept in memory; what is beyond is read again; 0: 4 MiB
};

struct transfer *transfer_new(const struct transfer_config *cfg);
void transfer_free(struct transfer *t);
DEFINE_AUTO(transfer_free, struct transfer)

// Runs FN on a worker while PLACE (may be NULL) has room. FN is called in any case, also when the
// run has been stopped, and frees ARG. An error that FN returns is a planning error.
void transfer_spawn(struct transfer *t, struct place *place,
		    int (*fn)(struct transfer *t, void *arg, struct err *e), void *arg);
// The run was cancelled or has failed: an FN that has not begun need only free its ARG.
bool transfer_stopping(struct transfer *t);

// One manifest that must be at DST. Everything is copied but the bytes, which are taken.
struct transfer_manifest {
	struct repo *src, *dst;
	struct manifest_bytes *bytes;   // emptied
	const char *media_type;         // to push under
	const struct descriptor *blobs; // config and layers
	size_t nblobs;
	// Manifests that must be at DST before this one. Each is added too, in any order; one that
	// never is counts as failed, or as missing when this one is sparse.
	const struct digest *children;
	size_t nchildren;
	const char *const *tags; // none: by digest only
	size_t ntags;       // also added without: a result line by digest besides those of tags
	const char *name;   // of the image, for errors: as the user wrote the source
	bool blobs_present; // same repository, or the manifest is there already: no blob is looked
			    // at
	bool sparse;    // children are missing on purpose: a refusal makes the image missing, not
			// failed
	bool generated; // the bytes were made here (a filtered list), SRC does not have them
};
// The same manifest may be added several times (lists that share children): tags and edges add up.
int transfer_add(struct transfer *t, const struct transfer_manifest *m, struct err *e) must_check;
// DST has DIGEST under TAG (NULL: by digest) already: a result line and nothing else.
void transfer_present(struct transfer *t, struct repo *dst, const struct digest *digest,
		      const char *tag);
// Asked-for gaps (--skip-missing) and notices.
void transfer_missing(struct transfer *t, const char *fmt, ...) printf_like(2, 3);
void transfer_notice(struct transfer *t, const char *fmt, ...) printf_like(2, 3);
// A failure that does not end the run by itself; with continue_on_error the rest goes on.
void transfer_failed(struct transfer *t, const struct err *why);

struct transfer_stats {
	uint64_t images, images_done;             // result lines
	uint64_t blobs, blobs_done, blobs_shared; // unique per destination place
	uint64_t bytes, bytes_done, bytes_shared; // of those
	uint64_t bytes_moved;                     // that really travelled
	uint64_t mounted, present;
	uint64_t failed, missing;
};
void transfer_stats(struct transfer *t, struct transfer_stats *ret);

// Waits for planning, then for everything. Errors: planning failed ("an error occurred during
// planning"), something was not copied ("one or more errors occurred while uploading images"; with
// continue_on_error ERR_INCOMPLETE "one or more errors occurred"), ERR_CANCELLED. BEFORE_COPY (may
// be NULL) runs on this thread once planning has ended, and may refuse; not in a dry run.
int transfer_run(struct transfer *t,
		 int (*before_copy)(struct transfer *t, void *arg, struct err *e), void *arg,
		 struct err *e) must_check;

// A failure as it is kept: what was asked for and what came of it, without the image's name.
struct transfer_failure {
	enum err_kind kind;
	int http;       // status, or 0
	bool at_source; // that is where it failed, not at the destination
	const char *text;
};
// After transfer_run: why DIGEST is not at DST, or not under each of its tags: the first failure of
// it or of what it needs. NULL when none is known. Borrowed from T.
const struct transfer_failure *transfer_why(struct transfer *t, struct repo *dst,
					    const struct digest *digest);

// The plan, for --dry-run and before_copy with hold_blobs; not while blobs move. Repositories of
// destinations in order; of each the blobs by source repository, size, digest; then manifests by
// digest and tag (NULL: by digest). Behind a blob, and behind all names of a manifest, come the
// manifests of this repository that refer to it; one may come twice. Any function may be NULL.
struct transfer_plan_visitor {
	void (*repository)(void *arg, struct repo *dst);
	void (*blob)(void *arg, struct repo *src, const struct digest *d, uint64_t size,
		     bool shared);
	void (*manifest)(void *arg, const struct digest *d, const char *tag);
	void *arg;
	void (*needed_by)(void *arg, const struct digest *parent);
};
void transfer_visit_plan(struct transfer *t, const struct transfer_plan_visitor *v);

#endif
