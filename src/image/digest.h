// SPDX-License-Identifier: Apache-2.0
// Content digests: "sha256:<64 hex>", "sha512:<128 hex>", and computing them.
//
// Spec: OCI image-spec v1.1, descriptor.md "Digests". sha256 and sha512 are content we can verify.
// sha384 parses in the reference's grammar only and is ERR_INPUT here by name.
#ifndef IMAGE_DIGEST_H
#define IMAGE_DIGEST_H

#include "util/cleanup.h"
#include "util/str.h"

#include <stdbool.h>
#include <stddef.h>

enum digest_algo { DIGEST_SHA256, DIGEST_SHA512 };

enum { DIGEST_TEXT_MAX = 7 + 128 + 1, DIGEST_RAW_MAX = 64 };

// A plain value: assign it, compare it with digest_equal(). `text` is the canonical form,
// "sha256:" and lower-case hex; `hex` points at nothing, use digest_hex().
struct digest {
	enum digest_algo algo;
	char text[DIGEST_TEXT_MAX];
};

// Parses exactly TEXT. ERR_INPUT: "unsupported digest algorithm", "invalid checksum digest length",
// "invalid checksum digest format" as the reference words it.
int digest_parse(struct digest *ret, const char *text, struct err *e) must_check;
bool digest_equal(const struct digest *a, const struct digest *b);
int digest_compare(const struct digest *a, const struct digest *b); // byte order of the text
const char *digest_hex(const struct digest *d);                     // behind the colon
const char *digest_algo_name(enum digest_algo algo);                // "sha256"
// Raw bytes (32 or 64); returns how many.
size_t digest_raw(const struct digest *d, unsigned char ret[DIGEST_RAW_MAX]);
void digest_from_raw(struct digest *ret, enum digest_algo algo, const unsigned char *raw);

// A running hash. Copying one is cheap: that is how a broken upload goes back to where the
// destination is.
struct hasher;
struct hasher *hasher_new(enum digest_algo algo);
struct hasher *hasher_copy(const struct hasher *h);
void hasher_add(struct hasher *h, const void *data, size_t n);
void hasher_finish(struct hasher *h, struct digest *ret); // H can only be freed afterwards
void hasher_free(struct hasher *h);
DEFINE_AUTO(hasher_free, struct hasher)

void digest_of(struct digest *ret, enum digest_algo algo, const void *data, size_t n);

enum { HMAC_SHA256_SIZE = 32 };

void hmac_sha256(unsigned char ret[HMAC_SHA256_SIZE], const void *key, size_t key_n,
		 const void *data, size_t n);
// In a time that does not depend on where A and B differ.
bool hmac_equal(const void *a, const void *b, size_t n);

// Compares GOT with WANT. ERR_DIGEST: "content integrity error: the <what> streamed from digest D
// does not match the digest calculated from the content D2" (the reference's words; WHAT is "blob"
// or "manifest").
int digest_check(const struct digest *want, const struct digest *got, const char *what,
		 struct err *e) must_check;

#endif
