// SPDX-License-Identifier: Apache-2.0
// Mirroring a release: its payload names the images, mirror/ copies them, and the closing text says
// how a cluster finds them.
#ifndef RELEASE_MIRROR_H
#define RELEASE_MIRROR_H

#include "mirror/mirror.h"
#include "policy/instructions.h"
#include "util/say.h"

struct release_mirror_request {
	const char *from;             // the release image
	const char *to, *to_dir;      // either may be NULL
	const char *from_dir;         // only for messages; PLACES reads it
	const char *to_release_image; // or NULL
	bool skip_release_image;
	bool to_mirror; // the mappings are the result, nothing is copied
	bool keep_manifest_list;
	enum instructions_kind instructions;

	// Verification. NET and NOW (unix time) are what it runs with. Lists that are empty or NULL
	// leave it to the release to name its keys and stores; media that it comes from are asked
	// first, and then no server unless it is in SIGNATURE_STORES.
	struct http *net;
	int64_t now;
	const struct strlist *keyrings;         // files
	const struct strlist *signature_stores; // URLs and folders
	bool require_signature; // an unverified release is refused before the first blob
	const char
		*signature_dir; // where its config map goes; NULL: TO_DIR/config, if there is one

	const char *self; // name of the program, for the command that is shown

	// transfer (with dry_run), check_space, skip_missing and attached are taken from here.
	struct mirror_options mirror;
	const struct transfer_plan_visitor *visit; // of a dry run, or NULL
	struct say say;
};

struct release_mirror_result {
	struct mirror_result mirror; // its lines come before TEXT on stdout
	struct buf text;             // the rest of stdout; empty when nothing was mirrored
};
#define auto_release_mirror_result __attribute__((cleanup(release_mirror_result_release)))
void release_mirror_result_release(struct release_mirror_result *r);

// What can be checked without the network, in the order of the reference. ERR_USAGE.
int release_mirror_check(const struct release_mirror_request *req, struct err *e) must_check;
// Checks, reads the payload, mirrors. *ret is filled also on failure, as by mirror_run.
int release_mirror(struct places *places, const struct release_mirror_request *req,
		   struct release_mirror_result *ret, struct err *e) must_check;

#endif
