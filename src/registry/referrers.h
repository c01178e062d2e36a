// SPDX-License-Identifier: Apache-2.0
// What refers to a manifest: signatures, attestations and the like that name it as their subject.
//
// Spec: OCI distribution-spec v1.1, "Listing Referrers".
#ifndef REGISTRY_REFERRERS_H
#define REGISTRY_REFERRERS_H

#include "registry/registry.h"

// Appends the digests of the manifests whose subject is SUBJECT: one request, all pages.
// ERR_UNSUPPORTED when the registry has no such list; that is found out once, by the first call
// (others wait for it), and costs no request afterwards.
int registry_referrers(struct registry *r, const char *repository, const struct digest *subject,
		       struct strlist *ret, struct err *e) must_check;

#endif
