// SPDX-License-Identifier: Apache-2.0
// Image references as the mirror commands take them: [file://|s3://]name[:tag][@digest].
//
// Grammar and splitting: the reference's own (registry, repository; no default tag). A plain value
// that owns its strings; release it. Differences: `file://quay.io/org/img` keeps its first
// component (docs/differences.md).
#ifndef IMAGE_REFERENCE_H
#define IMAGE_REFERENCE_H

#include "image/digest.h"

enum ref_type { REF_REGISTRY, REF_FILE, REF_S3 };

struct reference {
	enum ref_type type;
	char *registry;   // "quay.io", "127.0.0.1:5000", "" when none was written
	char *repository; // "org/img"; for files with a registry part, the path without it
	char *tag;        // "" when none; may hold '*' only when parsed with REF_WILDCARD
	bool has_digest;
	struct digest digest;
};

enum reference_parse_flags {
	REF_WILDCARD =
		1 << 0, // '*' is allowed in the tag: "source expansion is only possible in tags"
	REF_NO_PREFIX = 1 << 1, // file:// and s3:// are not understood: a plain registry reference
};

// ERR_INPUT: "\"<input>\" is not a valid image reference: <why>".
int reference_parse(struct reference *ret, const char *text, unsigned flags, struct err *e)
	must_check;
void reference_release(struct reference *r);
void reference_copy(struct reference *ret, const struct reference *r);
#define auto_reference __attribute__((cleanup(reference_release)))

// As the reference prints it: [file://|s3://]registry/repository[:tag][@digest]. Caller frees.
char *reference_print(const struct reference *r);
// The same without tag and digest.
char *reference_print_repository(const struct reference *r);
// Same image by the rules of "SRC and DST may not be the same" (docker.io, library, latest filled
// in on both sides).
bool reference_same(const struct reference *a, const struct reference *b);

// Fills in what Docker leaves out of a registry reference: the registry docker.io, the namespace
// "library" there, the tag "latest" when there is no digest.
void reference_docker_defaults(struct reference *r);

// Repository path of a file reference below v2/: the registry part stays in front when it is a
// host ("quay.io/org/img"). Caller frees.
char *reference_file_path(const struct reference *r);
// Host and port to connect to for a registry reference: docker.io names go to registry-1.docker.io.
const char *reference_endpoint(const struct reference *r);
// Repository as it goes over the wire: docker.io names without a namespace get "library/". Caller
// frees.
char *reference_wire_repository(const struct reference *r);

bool repository_valid(const char *name);
// One component of such a name.
bool repository_component_valid(struct str component);
// A word of the registry API's paths, which are folders of a store as well: no repository may have
// it as a component there.
bool repository_component_reserved(struct str component);
bool tag_valid(const char *tag);
// '*' matches any run of characters, everything else itself, anchored at both ends.
bool tag_matches(const char *pattern, const char *tag);

#endif
