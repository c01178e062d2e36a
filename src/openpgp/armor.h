// SPDX-License-Identifier: Apache-2.0
// ASCII armor of public keys, RFC 4880 section 6.2, as it is found in the wild.
#ifndef OPENPGP_ARMOR_H
#define OPENPGP_ARMOR_H

#include "util/str.h"

// The packets of every public key block in TEXT, one behind the other, appended to *ret. Text
// around blocks is skipped. ERR_INPUT: no block, one without end, not base64, wrong checksum.
int armor_decode_keys(struct buf *ret, struct str text, struct err *e) must_check;

#endif
