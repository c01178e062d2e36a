// SPDX-License-Identifier: Apache-2.0
// Image mirroring: mappings in (SRC=DST), the plan built and run, result lines out.
//
// Mappings are resolved here: wildcards expanded, tags to digests, lists filtered by platform.
// Release, catalog and samples make mappings and call mirror_run; none of them moves bytes itself.
#ifndef MIRROR_MIRROR_H
#define MIRROR_MIRROR_H

#include "transfer/transfer.h"

// One SRC → DST. Owns its references. `name` is what people know it by (a component), or NULL.
struct mapping {
	struct reference src, dst;
	char *name;
	size_t from; // when a pattern stood for it: the number of that among those that were given
};

struct mappings {
	struct mapping *v;
	size_t n, cap;
};

// Mappings that are made when they are asked for, so that very many need not be held: LEND puts the
// one with number I into *ret, whose references stay their owner's and live as long as the list.
struct mapping_list {
	size_t n;
	void (*lend)(const void *arg, size_t i, struct mapping *ret);
	const void *arg;
};
struct mapping_list mappings_list(const struct mappings *m);
#define auto_mappings __attribute__((cleanup(mappings_release)))
void mappings_release(struct mappings *m);
void mappings_add(struct mappings *m, const struct reference *src, const struct reference *dst,
		  const char *name); // copies

// Arguments and mapping files, by the rules of the reference. FILES are names, "-"
// reads STDIN_FD. Wildcards are left in the sources; mirror_run expands them.
int mappings_parse(struct mappings *ret, char *const *args, size_t nargs, char *const *files,
		   size_t nfiles, int stdin_fd, struct err *e) must_check;

// What is mirrored with an image because it refers to it. From media: everything that they have,
// unless nothing is wanted.
enum mirror_attached {
	MIRROR_ATTACHED_RELEASE, // signature tag and referrers of the release image
	MIRROR_ATTACHED_ALL,     // of every image, with attestations and SBOMs
	MIRROR_ATTACHED_NONE,
};

struct mirror_options {
	const char *filter_by_os; // NULL: not given
	bool keep_manifest_list;
	bool all_platforms; // release mirror: no filter at all
	bool skip_missing;
	bool check_space; // file destinations: refuse when the plan does not fit
	enum mirror_attached attached;
	const struct digest *release; // of the release image; NULL: there is none
	struct transfer_config transfer;
};

// A repository that images came from, and a repository that they are in now.
struct mirror_origin {
	char *origin, *mirror;
};

// What came of one mapping; of a pattern, which is several, the worst.
enum mirror_outcome {
	MIRROR_DONE,    // it is at its destination
	MIRROR_PARTLY,  // it is, without parts of a list that the source does not have
	MIRROR_UNTRIED, // a dry run, or the run ended before
	MIRROR_MISSING, // the source does not have it, and was allowed not to
	MIRROR_FAILED,
};

struct mirror_item {
	enum mirror_outcome outcome;
	// Of MIRROR_MISSING and MIRROR_FAILED.
	enum err_kind kind;
	int http;       // status, or 0
	bool at_source; // that is where it failed, not at the destination
	char *why;      // one line; NULL: nobody said
};

struct mirror_result {
	struct mirror_item *items; // one for each mapping that was given
	size_t nitems;
	struct strlist lines;   // "sha256:… REG/REPO:TAG", sorted: the reference's stdout
	struct strlist missing; // what the source does not have and may lack, by name, sorted
	struct strlist undone;  // "SRC => DST[:TAG]" of every image without its line, sorted
	struct transfer_stats stats;
	// What went from a store to a registry, where the store had recorded its origin: sorted,
	// each pair once.
	struct mirror_origin *origins;
	size_t norigins, origins_cap;
};
#define auto_mirror_result __attribute__((cleanup(mirror_result_release)))
void mirror_result_release(struct mirror_result *r);
// What FROM says goes to the end of what TO says; FROM is released. For runs that follow each
// other.
void mirror_result_add(struct mirror_result *to, struct mirror_result *from);

// Expands, plans, copies, syncs. *ret is filled also on failure (what was done has its lines).
// VISIT (may be NULL) sees the plan of a dry run.
int mirror_run_list(struct places *places, const struct mapping_list *m,
		    const struct mirror_options *opt, const struct transfer_plan_visitor *visit,
		    struct mirror_result *ret, struct err *e) must_check;
int mirror_run(struct places *places, const struct mappings *m, const struct mirror_options *opt,
	       const struct transfer_plan_visitor *visit, struct mirror_result *ret, struct err *e)
	must_check;

#endif
