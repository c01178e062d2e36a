// SPDX-License-Identifier: Apache-2.0
// What a container signature says once its OpenPGP message has been verified: "this digest is that
// image".
//
// Spec: containers/image, docs/atomic-signature.md. Strict: members that are unknown, missing or
// there twice are refused; only what stands in "optional" is not looked at.
#ifndef RELEASE_CLAIM_H
#define RELEASE_CLAIM_H

#include "image/digest.h"

#define CLAIM_MAX ((size_t)1 << 20)

struct claim {
	struct digest digest;
	char *reference; // what the signer called it: "quay.io/org/img:tag"
};
#define auto_claim __attribute__((cleanup(claim_release)))
void claim_release(struct claim *c);

// ERR_INPUT names the member that is wrong.
int claim_parse(struct claim *ret, struct str bytes, struct err *e) must_check;
// The same, and it must be about WANT: "it is about sha256:…".
int claim_check(struct claim *ret, struct str bytes, const struct digest *want, struct err *e)
	must_check;

#endif
