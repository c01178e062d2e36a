// SPDX-License-Identifier: Apache-2.0
// adm release extract, but for the flags: manifests, single files and tools out of a payload.
//
// Spec 6. The payload, and every image that it leads to, is read by digest once the tag has been
// resolved, from a registry or from media; nothing has its name before what it came from is
// verified.
#ifndef RELEASE_EXTRACT_H
#define RELEASE_EXTRACT_H

#include "release/tools.h"
#include "util/say.h"

struct release_extract_request {
	const char *image;         // the release image
	const char *release_image; // what installers are bound to instead; may be NULL
	const char *to;            // folder; "" writes nothing
	// One of these, or none for the manifests.
	const char *file, *command;
	bool tools, credentials_requests;

	const char *command_os; // ""
	const char *cloud;      // of credentials requests; ""
	bool included;          // only what a cluster as INSTALL_CONFIG says would have
	struct str install_config;
	const char *filter_by_os; // NULL: not given; "": the first entry of a list
	bool allow_unpatched;
	struct layer_limits limits;
	int64_t now; // unix time
	struct say say;
	int (*sign)(void *arg, struct str text, struct buf *ret, struct err *e); // tools.h
	void *sign_arg;
};

// *ret (standard output) is the caller's to free.
int release_extract(struct places *places, const struct release_extract_request *req,
		    struct buf *ret, struct err *e) must_check;

#endif
