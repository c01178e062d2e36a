// SPDX-License-Identifier: Apache-2.0
// Is this message signed by one of these keys?
//
// Messages are OpenPGP messages as container signatures are made of: binary, signed whole (one-pass
// or old style, RFC 4880 section 11.3, or RFC 9580), compressed or not, version 3 and 4 signature
// packets, indeterminate and partial lengths. Armored, cleartext, encrypted and detached ones are
// refused. Only content that a good signature covers is handed out.
//
// In process, from memory alone: no home folder, no key server, no files. A keyring may be used by
// any number of threads; verifying takes its lock.
#ifndef OPENPGP_OPENPGP_H
#define OPENPGP_OPENPGP_H

#include "util/cleanup.h"
#include "util/str.h"

#include <stdint.h>

#define OPENPGP_MESSAGE_MAX ((size_t)1 << 20) // of a message, and of its content unpacked
#define OPENPGP_KEYS_MAX    ((size_t)4 << 20) // of the text of a keyring

struct keyring;

// An empty one. NOW (unix time) decides what has expired.
int keyring_new(struct keyring **ret, int64_t now, struct err *e) must_check;
// Adds public keys: binary packets, or armored blocks with anything around them. Armor without a
// blank line after its headers or without checksum is fine, a wrong checksum is not. ERR_INPUT when
// there is no usable key in KEYS.
int keyring_add(struct keyring *k, struct str keys, struct err *e) must_check;
void keyring_free(struct keyring *k);
DEFINE_AUTO(keyring_free, struct keyring)

struct openpgp_signature {
	struct buf content; // what was signed
	char key[17];       // id of the key (or subkey) that signed: "199E2F91FD431D51"
	int64_t created;    // unix time
};
#define auto_openpgp_signature __attribute__((cleanup(openpgp_signature_release)))
void openpgp_signature_release(struct openpgp_signature *s);

// Verifies MESSAGE: *ret tells of the first signature in it that is good. The key must be one of K,
// not expired and not revoked now, its primary key neither. ERR_INPUT with the reason: "signed by
// unknown key 1234567890ABCDEF", "the signature of key … is wrong", "key … expired on …", "the
// message is not signed", "the message is truncated or damaged", …
int openpgp_verify(struct openpgp_signature *ret, struct keyring *k, struct str message,
		   struct err *e) must_check;

#endif
