// SPDX-License-Identifier: Apache-2.0
// The head of a request, out of a buffer that holds all of it. Pure functions.
//
// Spec: RFC 9112 sections 2, 3, 5 and 6.3, strictly: a request that another parser could read in a
// second way is refused. Bare LF, obs-fold, blanks before ':', HTTP/0.9, two lengths or a length
// beside Transfer-Encoding, any coding but exactly "chunked", NUL and control bytes are 400; 414,
// 431, 501 and 505 as the RFC says.
#ifndef SERVE_HEAD_H
#define SERVE_HEAD_H

#include "serve/exchange.h"

// Parses the head at the start of DATA. Returns its length with the blank line; 0 when more bytes
// are needed; -1: refused, with the status to answer in *ret_status and the reason in *e. RET
// borrows from DATA. peer and tls are the caller's to set.
int head_parse(struct request *ret, const char *data, size_t n, int *ret_status, struct err *e)
	must_check;

#endif
