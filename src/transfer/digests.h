// SPDX-License-Identifier: Apache-2.0
// Digests interned: raw bytes once, 32-bit ids everywhere else. Not thread-safe.
#ifndef TRANSFER_DIGESTS_H
#define TRANSFER_DIGESTS_H

#include "image/digest.h"
#include "transfer/index.h"

struct digests {
	unsigned char *raw; // in units of 32 bytes: sha256 takes one, sha512 two
	size_t units, units_cap;
	uint32_t *at; // id → unit, shifted left by one; the low bit says sha512
	size_t n, cap;
	struct index index;
	uint64_t
		seed; // manifests name digests that nobody computed: they cannot be made to collide
};

void digests_init(struct digests *ds);
void digests_release(struct digests *ds);
uint32_t digests_intern(struct digests *ds, const struct digest *d);
void digests_get(const struct digests *ds, uint32_t id, struct digest *ret);

#endif
