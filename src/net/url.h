// SPDX-License-Identifier: Apache-2.0
// URLs: splitting, resolving a Location against the request, comparing origins. RFC 3986.
#ifndef NET_URL_H
#define NET_URL_H

#include "util/str.h"

struct url {
	char *scheme, *host, *port, *path, *query; // lower-case scheme and host; port filled in;
						   // path "/" at least; query "" or without
						   // '?'; an IPv6 host keeps its brackets
};
#define auto_url __attribute__((cleanup(url_release)))

// http and https only; user info, fragments and control bytes are ERR_INPUT.
int url_parse(struct url *ret, const char *text, struct err *e) must_check;
void url_release(struct url *u);
bool url_same_origin(const char *a, const char *b); // scheme, host, port; false if either is no URL
// LOCATION (absolute, scheme-relative, absolute path or relative) as seen from BASE, without its
// fragment. Caller frees.
int url_resolve(char **ret, const char *base, const char *location, struct err *e) must_check;
char *url_encode(const char *text); // everything but unreserved; caller frees
char *url_add_query(const char *url, const char *name,
		    const char *value);   // VALUE is encoded; caller frees
char *url_without_query(const char *url); // for messages; caller frees

#endif
