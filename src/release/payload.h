// SPDX-License-Identifier: Apache-2.0
// Release payloads: an image whose release-manifests/ folder says what a release is made of.
//
// Spec 5.1, 5.5, 5.6. The tag is resolved once: everything after goes by `root`. Layers are read
// from the last to the first, each to its end and verified, down to the one that holds
// image-references; white-outs are honoured.
#ifndef RELEASE_PAYLOAD_H
#define RELEASE_PAYLOAD_H

#include "image/reference.h"
#include "repo/repo.h"

#define PAYLOAD_FOLDER         "release-manifests"
#define PAYLOAD_FILE_MAX       ((size_t)16 << 20)
#define PAYLOAD_COMPONENTS_MAX 5000

// An image of the release, in the order of image-references.
struct payload_component {
	char *name;           // "cluster-version-operator"
	struct reference ref; // its pull spec, as the payload names it
};

struct payload {
	struct digest root;   // what the reference names: of a multi-architecture payload the list
	struct digest digest; // the manifest that was read
	bool is_list;
	char *os, *architecture; // of the image that was read: "linux", "amd64"
	struct buf config;       // of that image, verbatim
	uint64_t size;           // of its layers, as its manifest has it
	size_t folders;          // that the layers have an entry for, release-manifests/ included
	char *version;           // metadata.name of image-references
	struct payload_component *components;
	size_t ncomponents;
	struct buf references,
		metadata; // both files verbatim; METADATA is empty when there is none
};
#define auto_payload __attribute__((cleanup(payload_release)))
void payload_release(struct payload *p);

struct payload_options {
	bool keep_manifest_list; // of a list, linux/amd64 is read rather than the first entry
	const struct platform_filter *filter; // or the first entry that this one takes; may be NULL
	// Every file of release-manifests/ as it is found, by its name in there; may be NULL.
	// Nothing is verified yet: keep it until payload_read has returned 0. A name may come
	// again; the last one counts.
	int (*file)(void *arg, const char *name, struct str bytes, struct err *e);
	void *arg;
};

// Reads the image that REF names (tag or digest) in REPO: everything but version and components.
// An image that is no release has no `references`. Errors: `image "REF" not found: …`, `unable to
// read image REF: …`.
int payload_read(struct payload *ret, struct repo *repo, const struct reference *ref,
		 const struct payload_options *opt, struct err *e) must_check;
// Parses `references` into version and components. Errors: `unable to load image-references from
// release payload`, `unrecognized image-references in release payload: …`.
int payload_parse(struct payload *p, struct err *e) must_check;

// "4.18.1": a version where an image is wanted.
bool payload_is_version(const char *text);

#endif
