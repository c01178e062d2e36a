// SPDX-License-Identifier: Apache-2.0
// The head of a request, out of a buffer that holds all of it. Pure functions.
//
// Spec: RFC 9112 sections 2, 3, 5 and 6.3, strictly: a request that another parser could read in a
// second way is refused. Bare LF, obs-fold, blanks before ':', HTTP/0.9, two lengths or a length
// beside Transfer-Encoding, any coding but exactly "chunked", NUL and control bytes are 400; 414,
// 417, 431, 501 (methods that are not the RFC's, and CONNECT) and 505 as the RFC says. One Host of
// a name or an address must be there. A target in absolute form is read as its path, if its host is
// that one; an empty line in front of the request is skipped.
#ifndef SERVE_HEAD_H
#define SERVE_HEAD_H

#include "serve/exchange.h"

// Parses the head at the start of DATA. Returns its length with the blank line; 0 when more bytes
// are needed; -1: refused, with the status to answer in *ret_status and the reason in *e: as soon
// as the bytes that show it are there. RET borrows from DATA, and says nothing unless a length was
// returned. peer and tls are the caller's to set.
int head_parse(struct request *ret, const char *data, size_t n, int *ret_status, struct err *e)
	must_check;

#endif
