// SPDX-License-Identifier: Apache-2.0
// Which endpoint a request's target names. Pure functions over the bytes of the target.
//
// Spec: OCI distribution-spec v1.1, "Endpoints"; the grammar of names, tags and digests. The path
// is percent-decoded once and parsed from its right end; encoded slashes, NUL and control bytes,
// '\', empty, '.' and '..' segments are refused before anything else looks at them.
#ifndef SERVE_ROUTE_H
#define SERVE_ROUTE_H

#include "image/digest.h"
#include "util/str.h"

#include <stdbool.h>

enum {
	ROUTE_REPO_MAX = 255,
	ROUTE_TAG_MAX = 128,
	QUERY_PARAMETERS_MAX = 128, // 100 tags, and the rest
};

enum endpoint {
	ENDPOINT_UNKNOWN, // no path of ours: 404
	ENDPOINT_ROOT,    // "/"
	ENDPOINT_HEALTH,  // "/healthz"
	ENDPOINT_TOKEN,   // "/token"
	ENDPOINT_BASE,    // "/v2", "/v2/"
	ENDPOINT_CATALOG, // "/v2/_catalog"
	ENDPOINT_BLOB,
	ENDPOINT_UPLOADS, // ".../blobs/uploads/"
	ENDPOINT_UPLOAD,  // ".../blobs/uploads/ID"
	ENDPOINT_MANIFEST,
	ENDPOINT_TAGS,
	ENDPOINT_REFERRERS,
};

struct route {
	enum endpoint endpoint;
	char repo[ROUTE_REPO_MAX + 1];
	char tag[ROUTE_TAG_MAX + 1]; // MANIFEST by tag; UPLOAD: the id as it came, cut to this size
	bool by_digest;
	struct digest digest; // BLOB, REFERRERS, MANIFEST by digest
};

// 0 (an unknown path is no refusal), or the HTTP status of the refusal with the registry's error
// code in *ret_code and a text in *e: 400 NAME_INVALID, DIGEST_INVALID, MANIFEST_INVALID (a bad
// tag).
int route_parse(struct route *ret, struct str path, const char **ret_code, struct err *e)
	must_check;

struct parameter {
	char *name, *value; // decoded, '+' is a blank
};
struct query {
	struct parameter v[QUERY_PARAMETERS_MAX];
	unsigned n;
};
// ERR_INPUT for bad encoding, control bytes, too many.
int query_parse(struct query *ret, struct str text, struct err *e) must_check;
void query_release(struct query *q);
#define auto_query __attribute__((cleanup(query_release)))
const char *query_get(const struct query *q, const char *name); // the first; NULL: none

#endif
