// SPDX-License-Identifier: Apache-2.0
// What a cluster needs to find a mirrored catalog: ImageDigestMirrorSet, ImageContentSourcePolicy,
// ImageTagMirrorSet, CatalogSource, ClusterCatalog. Sorted, the same on every run.
//
// Spec 3. Sources are what the catalog calls its images, whichever way they came, so that a mirror
// filled from media has the right policies.
#ifndef CATALOG_MANIFESTS_H
#define CATALOG_MANIFESTS_H

#include "catalog/mapping.h"

enum catalog_scope { CATALOG_SCOPE_REPOSITORY, CATALOG_SCOPE_REGISTRY };
// "repository" or "registry"; ERR_USAGE "invalid FLAG X" as the reference says it.
int catalog_scope_parse(enum catalog_scope *ret, const char *flag, const char *text, struct err *e)
	must_check;

#define CATALOG_SET_MAX 250000 // bytes of one object, spec 3.4
// 1 … CATALOG_SET_MAX; ERR_USAGE "provided FLAG of N must be greater than 0 and less than or equal
// to 250000".
int catalog_set_size_check(const char *flag, int64_t n, struct err *e) must_check;

struct catalog_manifests_config {
	const struct reference *src; // the index image: names are made of it
	enum catalog_scope idms_scope, icsp_scope;
	int max_idms_size, max_icsp_size;
	const char *name; // of the CatalogSource and the others; NULL: made of SRC
	bool olm_v1;      // clusterCatalog.yaml, too
};

// One file; text owned.
struct catalog_manifest {
	const char *file; // "imageDigestMirrorSet.yaml"
	struct buf text;
};

struct catalog_manifests {
	struct catalog_manifest v[5]; // in the order in which they are written
	size_t n;
	bool named; // they have a name: what was made, and mapping.txt, can be written
	// "no digest mapping available for X, skip writing to ImageDigestMirrorSet": the
	// reference's lines for standard output, sorted within each kind.
	struct strlist notices;
	// Files that were left out, and why, for people (standard error).
	struct strlist remarks;
};
#define auto_catalog_manifests __attribute__((cleanup(catalog_manifests_release)))
void catalog_manifests_release(struct catalog_manifests *m);

// *ret holds what was made also on failure; release it. For a folder there is none. A set without
// entries is not written. ERR_INPUT when one mirror alone is larger than an object may be;
// ERR_USAGE when the scope "registry" cannot be true for these images, or NAME is no name for an
// object.
int catalog_manifests_make(const struct catalog_mapping *m,
			   const struct catalog_manifests_config *cfg,
			   struct catalog_manifests *ret, struct err *e) must_check;

// The part of SRC's repository behind its first component ("sub/fbc"), which names the folder of
// the manifests. Caller frees.
char *catalog_name_part(const struct reference *src);
// A name that Kubernetes takes (RFC 1123 label, letter first, at most 63 characters). Caller frees.
char *catalog_object_name(const char *name_part);

#endif
