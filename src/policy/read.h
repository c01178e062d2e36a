// SPDX-License-Identifier: Apache-2.0
// Mirror policies: where images can be had other than where they are named.
//
// Understood are ImageContentSourcePolicy, ImageDigestMirrorSet, ImageTagMirrorSet (and lists of
// them, as a cluster prints them), and the sections imageContentSources and imageDigestSources of
// install-config.yaml, in YAML or JSON, any number of documents in a file. Other documents are
// refused by their kind: a policy that does nothing is a mistake.
//
// Spec 3.9; what the most specific source says of NeverContactSource holds. A policy is read-only
// once it has been read: any thread may ask it.
#ifndef POLICY_READ_H
#define POLICY_READ_H

#include "image/reference.h"

#define POLICY_FILE_MAX    ((size_t)4 << 20)
#define POLICY_SOURCES_MAX 10000 // in a policy
#define POLICY_MIRRORS_MAX 100   // of one source

enum policy_contact { POLICY_CONTACT_UNSAID, POLICY_CONTACT_ALLOW, POLICY_CONTACT_NEVER };

// "Content of SOURCE and of what is below it is at MIRRORS, too."
struct policy_source {
	char *source; // "quay.io", "quay.io/org", "*.example.com"
	struct strlist mirrors;
	bool tags; // for images by tag; else for those by digest
	enum policy_contact contact;
};

struct policy {
	struct policy_source *v; // in the order of the file
	size_t n;
};
#define auto_policy __attribute__((cleanup(policy_release)))
void policy_release(struct policy *p);

// Adds what BYTES say to P. NAME stands in errors: "NAME: document 2: …".
int policy_read(struct policy *p, struct str bytes, const char *name, struct err *e) must_check;
int policy_read_file(struct policy *p, const char *path, struct err *e) must_check;

// Where an image may be fetched from, in this order; references owned.
struct policy_places {
	struct reference *v;
	size_t n;
	bool never_source; // the place that the image is named by must not be asked
};
#define auto_policy_places __attribute__((cleanup(policy_places_release)))
void policy_places_release(struct policy_places *l);

// The mirrors of REF's repository for images by digest, or TAGS: by tag. Those of the longest
// source come first, then in the policy's order; tag and digest of REF are not looked at, and the
// result has none. The place itself is not among them.
void policy_mirrors(const struct policy *p, const struct reference *ref, bool tags,
		    struct policy_places *ret);
bool policy_has_tags(const struct policy *p);

#endif
