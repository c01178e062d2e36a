// SPDX-License-Identifier: Apache-2.0
// What a run of a command stands on: progress display, memory, HTTP, credentials, places; made from
// flags and environment, and taken down in the right order.
#ifndef CMD_SETUP_H
#define CMD_SETUP_H

#include "cmd/options.h"
#include "cmd/progress.h"
#include "policy/read.h"
#include "repo/place.h"

struct setup_config {
	const struct security_options *security; // NULL: no registries are reached
	const struct parallel_options *parallel;
	const struct lookup_options *lookup; // NULL: images are only where they are named
	bool skip_mount, skip_multiple_scopes;
	const char *dir, *from_dir; // as flags say; NULL or "": not given
	enum store_layout layout;
};

struct setup {
	const struct cmd_io *io;
	struct progress *progress;
	struct slab_pool *pool;
	struct credentials *credentials;
	struct http *net;
	struct policy policy;
	struct places *places;
	char *user_agent, *state_dir, *user_certs;
	const char *certs_dirs[4];
};
#define auto_setup __attribute__((cleanup(setup_release)))

// *ret is filled, and to be released, also on failure. IO must outlive it.
int setup_init(struct setup *ret, const struct cmd_io *io, const struct setup_config *cfg,
	       struct err *e) must_check;
void setup_release(struct setup *s);
// Says that mirror policies do not help to find IMAGE, if it is named by tag and they are for
// digests.
void setup_note_image(const struct setup *s, const char *image);

#endif
