// SPDX-License-Identifier: Apache-2.0
// Whose signature a release needs, and where signatures are kept: what the release's own
// release-manifests/ say, or what the user says instead.
//
// In a payload it is the first config map with the annotation
// release.openshift.io/verification-config-map: its verifier-public-key-NAME are keyrings, each of
// which needs a signature; its store-NAME are places of signatures. Anything else in it is ignored.
#ifndef RELEASE_VERIFIER_H
#define RELEASE_VERIFIER_H

#include "openpgp/openpgp.h"
#include "util/map.h"

struct verifier_keyring {
	char *name; // "verifier-public-key-redhat", or the file it comes from
	struct keyring *keys;
};

struct verifier {
	struct verifier_keyring *keyrings;
	size_t n, cap;
	struct strlist stores; // http:// and https:// URLs, folders, files
};
#define auto_verifier __attribute__((cleanup(verifier_release)))
void verifier_release(struct verifier *v);

// One keyring of all FILES; a signature by any of their keys will do. NOW is unix time.
int verifier_read_keys(struct verifier *v, const struct strlist *files, int64_t now, struct err *e)
	must_check;
// A URL (http, https, file) or a path. ERR_INPUT for other schemes.
int verifier_add_store(struct verifier *v, const char *location, struct err *e) must_check;

// The manifests of a payload that may be the config map, kept while the payload is being read.
struct verifier_manifests {
	struct map
		files; // name → struct buf *, NULL for one that a later file of the name took out
};
#define auto_verifier_manifests __attribute__((cleanup(verifier_manifests_release)))
void verifier_manifests_release(struct verifier_manifests *m);
// payload_options.file, for a struct verifier_manifests as ARG.
int verifier_manifests_take(void *arg, const char *name, struct str bytes, struct err *e)
	must_check;

enum verifier_take { VERIFIER_KEYRINGS = 1 << 0, VERIFIER_STORES = 1 << 1 };

// Adds what the config map among M names, of the kinds in TAKE. *ret_found: there is one. Errors:
// "unable to load configmap verifier: FILE: …" for one that is malformed or has none of what is
// taken.
int verifier_load(struct verifier *v, const struct verifier_manifests *m, unsigned take,
		  int64_t now, bool *ret_found, struct err *e) must_check;

#endif
