// SPDX-License-Identifier: Apache-2.0
// Base64, RFC 4648 section 4: the standard alphabet with padding.
#ifndef DATA_BASE64_H
#define DATA_BASE64_H

#include "util/str.h"

char *base64_encode(struct str bytes); // caller frees
// Line ends inside are skipped; anything else that does not belong there is false. RET is
// NUL-terminated, *ret_n bytes long, and the caller's to free.
bool base64_decode(struct str text, char **ret, size_t *ret_n) must_check;

#endif
