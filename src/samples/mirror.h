// SPDX-License-Identifier: Apache-2.0
// Mirroring the images of the Cluster Samples Operator: the config map names them, mirror/ copies
// them, and the operator's Config says where they are and which image streams to skip.
//
// Spec 5.3. Over media in two runs: the first fills them and leaves the config map there, the
// second needs nothing else.
#ifndef SAMPLES_MIRROR_H
#define SAMPLES_MIRROR_H

#include "mirror/mirror.h"
#include "samples/plan.h"
#include "util/say.h"

struct samples_mirror_request {
	const char *from; // file://REPOSITORY that was filled before; NULL: from where the map says
	const char *to;   // REGISTRY[/PATH] or file://REPOSITORY
	const char *file; // the config map, "-" for STDIN_FD; NULL: the one of the media
	int stdin_fd;
	const char *from_dir, *dir;              // folders of media, as PLACES has them
	const struct strlist *include, *exclude; // globs over names of image streams
	bool lenient;      // skip only streams of which nothing is there; else each with a gap
	bool skip_missing; // what the source lacks is listed, and no failure

	const char *manifests_dir; // mapping.txt, config.yaml and patch.json go there; made
	const char *self;          // name of the program, for the command that is shown

	// transfer (with dry_run), filter_by_os and check_space are taken from here.
	struct mirror_options mirror;
	const struct transfer_plan_visitor *visit; // of a dry run, or NULL
	struct say say;
};

struct samples_mirror_result {
	struct mirror_result mirror; // but for its lists of what is missing: TEXT has it by stream
	struct strlist skipped;      // the skip list, sorted
	struct buf text;             // for people: what is missing, and what comes next
};
#define auto_samples_mirror_result __attribute__((cleanup(samples_mirror_result_release)))
void samples_mirror_result_release(struct samples_mirror_result *r);

// What can be checked without reading anything. ERR_USAGE.
int samples_mirror_check(const struct samples_mirror_request *req, struct err *e) must_check;
// Two sources of one destination are an error, before anything moves, unless they are the same
// image. Files are written when something is in the mirror, mapping.txt always. *ret is filled also
// on failure. ERR_INCOMPLETE: part of it is there.
int samples_mirror(struct places *places, const struct samples_mirror_request *req,
		   struct samples_mirror_result *ret, struct err *e) must_check;

#endif
