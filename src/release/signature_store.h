// SPDX-License-Identifier: Apache-2.0
// One place where signatures are kept, read in order. See signatures.h for the kinds.
#ifndef RELEASE_SIGNATURE_STORE_H
#define RELEASE_SIGNATURE_STORE_H

#include "image/digest.h"

struct http;

// Takes a candidate. *ret_enough ends the search in this store.
typedef int (*signature_store_take)(void *arg, const char *location, struct str bytes,
				    bool *ret_enough);

// Hands out what STORE has for DIGEST, which may be nothing. -1 when it cannot be read: ERR_NET,
// ERR_IO, ERR_INPUT, ERR_CANCELLED; what came before was handed out.
int signature_store_each(const char *store, struct http *net, const struct digest *digest,
			 signature_store_take take, void *arg, struct err *e) must_check;

// A file of a store, appended to *ret. Media come from strangers: what is no regular file is
// ERR_INPUT, never waited for. ERR_NOT_FOUND.
int signature_file_read(struct buf *ret, const char *path, struct err *e) must_check;

#endif
