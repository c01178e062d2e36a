// SPDX-License-Identifier: Apache-2.0
// Mirroring a catalog: its index image is read, its images are copied, and what a cluster needs to
// find them is written.
//
// Spec 2.1, 2.8, 2.9, 3.1, 3.2, 4. One step after the other, each once, all on one thread:
//
//	catalog_mirror_open     SRC and DEST understood, the index image found
//	catalog_mirror_list     the catalog read, every image given its place, the manifests made
//	catalog_mirror_copy     the images copied; the index image comes last, in a transfer of its
//	                        own, so that no catalog offers images that are not there yet
//	catalog_mirror_write    mapping.txt and the others, and missing.txt for what is missing
//	catalog_mirror_verdict  how it ended
#ifndef CATALOG_MIRROR_H
#define CATALOG_MIRROR_H

#include "catalog/manifests.h"
#include "catalog/read.h"
#include "mirror/mirror.h"

struct catalog_mirror_request {
	const char *src, *dst;    // as they were typed
	const char *index_filter; // NULL or "": linux/amd64
	int max_components;       // of a registry; 0 and below: no limit
	const char *index_dst;    // where the index image goes instead, or NULL
	const char *idms_scope, *icsp_scope;
	int max_idms_size, max_icsp_size;
	const char *name;         // of the objects, or NULL
	bool olm_v1;              // ClusterCatalog, too
	const char *to_manifests; // folder; NULL: manifests-NAME-NOW
	const char *path;         // SRC:DST of --path, or NULL
	bool manifests_only;      // nothing but the index image is asked for
	bool skip_missing;        // what the source does not have is no failure
	bool deep_scan;           // images of CSVs inside of bundles, too
	bool skip_broken;         // files of the catalog that cannot be read are no end
	int64_t now;              // unix time
	mode_t umask;
	unsigned threads;           // that parse; 0: 2
	const char *temporary_dir;  // for databases
	struct layer_limits limits; // of the index image
	// transfer (with dry_run and continue_on_error), check_space and attached are taken from
	// here.
	struct mirror_options mirror;
};

struct catalog_mirror {
	const struct catalog_mirror_request *req; // borrowed
	struct places *places;                    // borrowed
	struct reference src, dst, index_dst;
	bool to_folder; // DEST is file://
	struct catalog_index index;
	char *path;     // source part of --path; NULL: the label's
	char *path_dst; // the other one
	char *dir;      // of the manifests
	struct catalog catalog;
	struct catalog_mapping mapping;
	struct catalog_manifests manifests;
	struct strlist broken;     // files that were left out, each with why
	bool ended_by_file;        // one that could have been left out ended the run
	struct strlist notices;    // for people: what was chosen, what is deprecated
	struct mirror_item *items; // parallel to mapping.v, once something was copied
	struct mirror_result result;
};
#define auto_catalog_mirror __attribute__((cleanup(catalog_mirror_release)))
void catalog_mirror_release(struct catalog_mirror *m);

// *ret is to be released also on failure. PLACES and REQ outlive it.
int catalog_mirror_open(struct catalog_mirror *ret, struct places *places,
			const struct catalog_mirror_request *req, struct err *e) must_check;
// "src image has index label for declarative configs path: /configs/"; NULL when the image has
// neither label. Caller frees.
char *catalog_mirror_label(const struct catalog_mirror *m);
// When only the manifests could not be made, those that could are in m->manifests.
int catalog_mirror_list(struct catalog_mirror *m, struct err *e) must_check;
// 0 also when images are missing or have failed: catalog_mirror_verdict tells. -1: the run ended
// for all of them, by its own doing or because it was not to go on. VISIT (may be NULL) sees the
// plan of a dry run.
int catalog_mirror_copy(struct catalog_mirror *m, const struct transfer_plan_visitor *visit,
			struct err *e) must_check;
// Makes the folder. With MISSING (the text of missing.txt, may be empty) an earlier missing.txt is
// replaced, or removed when there is nothing to say any more.
int catalog_mirror_write(const struct catalog_mirror *m, struct str missing, struct err *e)
	must_check;
// The closing lines of standard output, behind m->manifests.notices; SELF is the program, FROM_DIR
// the folder of file:// or NULL.
void catalog_mirror_print_end(struct buf *ret, const struct catalog_mirror *m, const char *self,
			      const char *from_dir);

// How many images of M are where they should be, and how many are not.
struct catalog_count {
	size_t wanted; // to be copied; others are there already, or nobody knows how to find them
	size_t done;   // of those
	size_t missing, failed;
	size_t bad; // no references at all
};
struct catalog_count catalog_mirror_count(const struct catalog_mirror *m);
// 0 complete; ERR_INCOMPLETE when something is missing; the kind of the first failure when nothing
// at all was mirrored. With a hint where the destination refuses nested paths.
int catalog_mirror_verdict(const struct catalog_mirror *m, struct err *e) must_check;
// What went wrong with entry I of the mapping.
bool catalog_mirror_is_missing(const struct catalog_mirror *m, size_t i); // not at the source
bool catalog_mirror_is_failed(const struct catalog_mirror *m, size_t i);
// Hints at --max-components=2 where DEST answered 401, 403 or 404 to a path that it may not take.
void catalog_mirror_hint(const struct catalog_mirror *m, struct err *e);

#endif
