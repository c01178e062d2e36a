// SPDX-License-Identifier: Apache-2.0
// Which releases are there: by name, or by looking at every tag. Private to verify.
#ifndef RELEASE_VERIFY_FIND_H
#define RELEASE_VERIFY_FIND_H

#include "release/verify.h"

// A tag, or what the user named.
struct verify_candidate {
	struct reference ref;
	struct repo *repo;
	struct digest digest;
	bool has_digest;
	bool is_longer;  // its tag is another's and more: a component, rather than a release
	bool is_release; // as far as it was looked at
	struct err why;  // it cannot be read; ERR_NONE: it can
};

struct verify_find {
	const struct verify_request *req;
	struct reference *refs; // repositories
	struct repo **repos;
	size_t nrepos;
	char *tag; // that came with the repository; or NULL
	struct verify_candidate *v;
	size_t n, cap;
	const struct map *known; // while looking
	bool longer;
};
#define auto_verify_find __attribute__((cleanup(verify_find_release)))
void verify_find_release(struct verify_find *f);

// The repositories.
int verify_find_open(struct verify_find *f, const struct verify_request *req, struct err *e)
	must_check;
// Adds what the user named, as releases. ERR_NOT_FOUND: "no release 4.18.2 in …".
int verify_find_wanted(struct verify_find *f, struct err *e) must_check;
// Adds every tag, in order.
int verify_find_tags(struct verify_find *f, struct err *e) must_check;
// Looks which tags, those that are LONGER or the others, name releases; KNOWN manifests
// (verify_known_key) are passed over.
int verify_find_look(struct verify_find *f, bool longer, const struct map *known, struct err *e)
	must_check;

#endif
