// SPDX-License-Identifier: Apache-2.0
// The manifests of a payload: documents chosen and written as the reference writes them.
//
// Spec 6.2. YAML and JSON files become YAML: names sorted, comments gone, every document behind
// "---". Every document must have a kind and a name.
#ifndef RELEASE_MANIFESTS_H
#define RELEASE_MANIFESTS_H

#include "data/json.h"

// What a cluster is made of, as far as that decides which manifests it has.
struct manifest_inclusion {
	struct strlist capabilities; // that are on
	bool all_capabilities;
	char *feature_set; // "Default"
	char *platform;    // "aws", "none"
};
#define auto_manifest_inclusion __attribute__((cleanup(manifest_inclusion_release)))
void manifest_inclusion_release(struct manifest_inclusion *in);
// From an install-config.yaml.
int manifest_inclusion_read(struct manifest_inclusion *ret, struct str install_config,
			    struct err *e) must_check;

struct manifest_choice {
	bool credentials_requests;                  // only these
	const char *cloud;                          // of them; "" or NULL: of any
	const struct manifest_inclusion *inclusion; // NULL: everything
};

// Is NAME one of the files that hold manifests?
bool manifest_is_file(const char *name);
// ERR_USAGE unless CLOUD is one that is known.
int manifest_check_cloud(const char *cloud, struct err *e) must_check;
// Appends the documents of BYTES that C chooses; nothing when there are none.
int manifest_write(struct buf *ret, struct str bytes, const struct manifest_choice *c,
		   struct err *e) must_check;

#endif
