// SPDX-License-Identifier: Apache-2.0
// From what the user named to the manifest that will be mirrored: read from the source, lists
// filtered by platform.
#ifndef MIRROR_RESOLVE_H
#define MIRROR_RESOLVE_H

#include "mirror/planner.h"

enum { RESOLVE_DONE = 0, RESOLVE_MISSING = 1 }; // MISSING: asked-for gap, already reported

struct resolved {
	struct manifest_bytes bytes;
	bool *keep; // of a list: entries that are carried; NULL: all
	bool ready;
	bool generated; // the bytes are a list that was made here
};
#define auto_resolved __attribute__((cleanup(resolved_release)))
void resolved_release(struct resolved *r);

// Lists of IM are carried whole, whatever they hold.
bool resolve_is_whole(const struct plan_image *im);
// RESOLVE_DONE, RESOLVE_MISSING or -1. Does nothing when *ret is ready.
int resolve_image(struct plan_image *im, struct resolved *ret, struct err *e) must_check;
// The manifest D, entry NUMBER (from 1) of a list of IM, from the source.
int resolve_child(struct plan_image *im, const struct digest *d, size_t number,
		  struct manifest_bytes *ret, struct err *e) must_check;

#endif
