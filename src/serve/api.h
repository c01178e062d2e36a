// SPDX-License-Identifier: Apache-2.0
// The registry: the distribution API in front of stores.
//
// Spec: OCI distribution-spec v1.1, and what of the text after it clients use already (several tags
// at once, cancelling uploads, sha512 sessions). One writable store with a pool, or none; any
// number of read-only roots behind it, the first that has something wins.
#ifndef SERVE_API_H
#define SERVE_API_H

#include "serve/auth.h"
#include "serve/exchange.h"
#include "store/store.h"

// One line of the access log. No credentials, no tokens, no query strings.
struct api_access {
	const char *peer, *user; // user "" for anonymous
	struct str method, path; // path as it came; unprintable bytes are the reader's to escape
	int status;
	uint64_t received, sent, microseconds;
	bool complete;
	struct str agent;
};

struct api_limits {                   // 0: the default
	uint64_t blob_bytes;          // 64 GiB
	uint64_t disk_reserve;        // 2 GiB, or 5 % if that is less
	unsigned sessions;            // 256 uploads with data at once
	unsigned manifests_in_memory; // 2 manifest bodies of the largest size at once
};

struct api_config {
	struct store *store;        // writable; NULL: the registry is read-only
	struct store *const *roots; // read-only, NULL-terminated; or NULL
	struct auth *auth;
	bool allow_delete, allow_sparse_images, allow_unknown_manifests;
	bool refuse_sparse_indexes;
	struct api_limits limits;
	void (*access)(void *arg, const struct api_access *line); // may be NULL; any thread
	void (*notice)(void *arg, const char *text);              // may be NULL; any thread
	void *log_arg;
	int64_t (*now)(void);
};

struct api;

int api_new(struct api **ret, const struct api_config *cfg, struct err *e) must_check;
// Parks uploads on disk.
void api_free(struct api *a);
DEFINE_AUTO(api_free, struct api)
// For server_config; borrowed until api_free.
const struct service *api_service(struct api *a);
// Housekeeping: uploads without a byte for 24 h go, the users' file is looked at. Call it every
// second or so.
void api_tick(struct api *a);

#endif
