// SPDX-License-Identifier: Apache-2.0
// Manifests: bytes first, and what can be read in them.
//
// Spec: OCI image-spec v1.1 manifest.md and image-index.md; Docker image manifest v2 schema 2.
// Bytes are kept, hashed and forwarded verbatim; the parsed form borrows nothing from them.
// Ceilings: MANIFEST_MAX bytes, DESCRIPTORS_MAX descriptors. Duplicate keys, both `layers` and
// `manifests`, a bad digest or a negative size are ERR_INPUT with the path of the member.
#ifndef IMAGE_MANIFEST_H
#define IMAGE_MANIFEST_H

#include "image/digest.h"
#include "image/platform.h"
#include "util/mem.h"

#include <stdint.h>

#define MANIFEST_MAX       ((size_t)8 << 20)
#define DESCRIPTORS_MAX    10000
// Levels of objects and arrays.
#define MANIFEST_DEPTH_MAX 64

#define MT_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define MT_DOCKER_LIST     "application/vnd.docker.distribution.manifest.list.v2+json"
#define MT_DOCKER_SCHEMA1  "application/vnd.docker.distribution.manifest.v1+json"
#define MT_DOCKER_SIGNED1  "application/vnd.docker.distribution.manifest.v1+prettyjws"
#define MT_OCI_MANIFEST    "application/vnd.oci.image.manifest.v1+json"
#define MT_OCI_INDEX       "application/vnd.oci.image.index.v1+json"

// Everything we accept, for an Accept header, in a fixed order.
#define MANIFEST_ACCEPT                                                               \
	MT_DOCKER_LIST ", " MT_OCI_INDEX ", " MT_DOCKER_MANIFEST ", " MT_OCI_MANIFEST \
		       ", " MT_DOCKER_SIGNED1 ", " MT_DOCKER_SCHEMA1 ", application/json"

struct descriptor {
	const char *media_type; // "" when absent
	struct digest digest;
	uint64_t size;
	bool has_platform;
	struct platform platform;
	const char *const *urls;   // NULL-terminated, or NULL
	const char *artifact_type; // "" when absent
};

enum manifest_kind {
	MANIFEST_IMAGE,   // config and layers, also OCI artifacts
	MANIFEST_INDEX,   // Docker manifest list or OCI index
	MANIFEST_SCHEMA1, // recognised so that it can be refused by name
};

struct manifest {
	enum manifest_kind kind;
	const char *media_type;   // what the bytes say, else what follows from their shape
	struct descriptor config; // IMAGE only
	struct descriptor *layers;
	size_t nlayers;
	struct descriptor *manifests; // INDEX only
	size_t nmanifests;
	bool has_subject;
	struct descriptor subject;
	const char *artifact_type;
	struct arena arena; // owns all of the above
};

// CONTENT_TYPE is the response's (parameters are ignored), or NULL when the bytes come from a
// file. NAME goes into errors.
int manifest_parse(struct manifest *ret, struct str bytes, const char *content_type,
		   const char *name, struct err *e) must_check;
void manifest_release(struct manifest *m);
#define auto_manifest __attribute__((cleanup(manifest_release)))

// The media type to push BYTES under when nobody told: mediaType member, else by shape. Borrowed
// constant or arena text in RET.
bool media_type_is_index(const char *media_type);
bool media_type_is_manifest(const char *media_type); // of any kind that manifest_parse knows
// Layers that are not pushed to registries by convention ("foreign", "nondistributable").
bool media_type_is_foreign(const char *media_type);

// Writes a new list of the KEEP-marked entries of INDEX (whose bytes are BYTES), byte for byte as
// the reference generates one: three spaces, fixed member order, list annotations dropped.
int manifest_filter_index(struct buf *ret, struct str bytes, const bool *keep, struct err *e)
	must_check;

// Architecture and OS of an image configuration ("" when absent). Caller frees both.
int config_platform(struct str bytes, char **ret_os, char **ret_arch, struct err *e) must_check;

#endif
