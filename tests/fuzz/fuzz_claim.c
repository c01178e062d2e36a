// SPDX-License-Identifier: Apache-2.0
// What stands in a signed message, and the config maps around it: any bytes are a claim that can be
// printed again, or refused; a manifest is a verifier map or is not.
#include "fuzz.h"
#include "image/reference.h"
#include "release/claim.h"
#include "release/verifier.h"

#include <assert.h>
#include <string.h>

static void read_claim(struct str bytes)
{
	auto_reference struct reference ref = {0};
	auto_claim struct claim c = {0};
	struct claim same;
	struct err e;

	if (claim_parse(&c, bytes, &e) < 0) {
		assert(e.kind == ERR_INPUT && e.text[0]);
		return;
	}
	assert(reference_parse(&ref, c.reference, REF_NO_PREFIX, &e) == 0);
	assert(claim_check(&same, bytes, &c.digest, &e) == 0);
	assert(strcmp(same.reference, c.reference) == 0);
	claim_release(&same);
}

static void read_manifest(struct str bytes)
{
	auto_verifier_manifests struct verifier_manifests m = {0};
	auto_verifier struct verifier v = {0};
	struct err e;
	bool found;

	if (verifier_manifests_take(&m, "a.yaml", bytes, &e) < 0)
		return;
	if (verifier_load(&v, &m, VERIFIER_KEYRINGS | VERIFIER_STORES, 1795000000, &found, &e) < 0)
		assert(e.text[0]);
	else
		assert(found == (v.n > 0) && found == (v.stores.n > 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str bytes = {(const char *)data, size};

	read_claim(bytes);
	read_manifest(bytes);
	return 0;
}
