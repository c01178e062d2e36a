// SPDX-License-Identifier: Apache-2.0
// Detached signatures with a secret key, armored, over bytes in memory. In process, as openpgp.h.
#ifndef OPENPGP_SIGN_H
#define OPENPGP_SIGN_H

#include "util/cleanup.h"
#include "util/str.h"

#include <stdint.h>

struct signing_key;

// The first key (or subkey) in KEYS, binary or armored, that can sign at NOW (unix time).
// PASSPHRASE opens what is protected; NULL: there is none. ERR_DENIED: it is wanted, or the wrong
// one; ERR_INPUT with the reason when there is no key.
int signing_key_read(struct signing_key **ret, struct str keys, const char *passphrase, int64_t now,
		     struct err *e) must_check;
void signing_key_free(struct signing_key *k);
DEFINE_AUTO(signing_key_free, struct signing_key)

// Appends "-----BEGIN PGP SIGNATURE-----…" over TEXT, SHA-256, made at the key's NOW.
int signing_key_sign(struct signing_key *k, struct str text, struct buf *ret, struct err *e)
	must_check;

#endif
