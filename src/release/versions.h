// SPDX-License-Identifier: Apache-2.0
// Semantic versions, and the versions that components declare in their annotations.
#ifndef RELEASE_VERSIONS_H
#define RELEASE_VERSIONS_H

#include "util/str.h"

// Less than, equal to or greater than 0 by the precedence of semver 2.0, build metadata ignored.
// Both are payload_is_version().
int version_compare(const char *a, const char *b);

// What a component of the payload says of itself; texts are borrowed.
struct versions_of {
	const char *tag;           // its name in the payload
	const char *versions;      // "kubernetes=1.31.6,kubectl=1.31.1"
	const char *display_names; // "kubernetes=Kubernetes"
};

struct component_version {
	char *name, *version, *display_name;
	char *tag; // the last component that declares it
};

// Sorted by name; zero-initialise.
struct component_versions {
	struct component_version *v;
	size_t n;
};
void component_versions_release(struct component_versions *l);

// Takes together what N components say. kubectl counts from cli and cli-artifacts alone. Of several
// versions the least is taken. What is odd goes to WARNINGS in the reference's words; NOTE gets one
// about kubectl versions that differ between more than two.
void component_versions_read(struct component_versions *ret, const struct versions_of *v, size_t n,
			     struct strlist *warnings, struct strlist *notes);

#endif
