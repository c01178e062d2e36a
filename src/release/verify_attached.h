// SPDX-License-Identifier: Apache-2.0
// What is attached to the images of a release: signatures, attestations and SBOMs by cosign's tags,
// and OCI referrers. Private to verify.
#ifndef RELEASE_VERIFY_ATTACHED_H
#define RELEASE_VERIFY_ATTACHED_H

#include "release/verify.h"

struct verify_attachment {
	const char *kind; // "signature", "attestation", "SBOM", "referrer"
	bool lists;       // an index of referrers
	char *tag;        // NULL: it has none
	struct digest digest;
	struct err why; // its tag cannot be followed
};

// A manifest of the release, in the repository where it was found.
struct verify_subject {
	struct repo *repo;
	struct digest digest;
	// Results.
	struct verify_attachment *found;
	size_t n, cap;
	struct err why; // its referrers are not known
};

// Looks for what is attached to each of the N. Nothing has to be; a registry that will not list its
// tags is taken to have none. Fails with ERR_CANCELLED only; release them in any case.
int verify_attached_find(const struct verify_request *req, struct verify_subject *v, size_t n,
			 struct err *e) must_check;
void verify_subjects_release(struct verify_subject *v, size_t n);

#endif
