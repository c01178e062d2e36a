// SPDX-License-Identifier: Apache-2.0
// All that the images of one release are made of, and what of it is missing or damaged. Private to
// verify.
#ifndef RELEASE_VERIFY_WALK_H
#define RELEASE_VERIFY_WALK_H

#include "release/verify.h"

// An image by digest. Components that are one image are one root.
struct verify_root {
	struct digest digest;
	struct repo *own;           // where it should be
	struct repo *const *others; // where it may be instead; borrowed
	size_t nothers;
	struct repo *named; // storage for one that OTHERS points at
	struct strlist names;
	bool lists;         // what it lists is attached, rather than it
	struct map seen;    // digests of its parts
	struct err stopped; // its parts could not be listed to the end
};

struct verify_walk {
	const struct verify_request *req;
	struct verify_root *roots;
	size_t n;
	// What is attached to the roots and to entries of their lists; found here.
	struct verify_root *attached;
	size_t nattached, attached_cap;
	// Results.
	struct verify_problem *problems;
	size_t nproblems, cap;
	size_t blobs; // of the roots
	uint64_t bytes;
	size_t attachments;
	struct map manifests; // verify_known_key of those that belong to the roots, and of tags
};
#define auto_verify_walk __attribute__((cleanup(verify_walk_release)))
void verify_walk_release(struct verify_walk *w);

// Fails with ERR_CANCELLED only.
int verify_walk_run(struct verify_walk *w, struct err *e) must_check;

enum verify_fault verify_fault_of(const struct repo *repo, const struct err *why);
// "repository digest" or "repository tag"; caller frees.
char *verify_known_key(const struct repo *repo, const char *what);
// IMAGE (may be NULL) and WHY are copied.
void verify_problem_add(struct verify_problem **v, size_t *n, size_t *cap, enum verify_fault fault,
			const char *part, const struct digest *digest, const char *image,
			const char *why);
void verify_problems_release(struct verify_problem *v, size_t n);

#endif
