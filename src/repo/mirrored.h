// SPDX-License-Identifier: Apache-2.0
// A repository with mirrors: what is read is asked for in one place after the other. Private to
// repo/.
#ifndef REPO_MIRRORED_H
#define REPO_MIRRORED_H

#include "repo/repo.h"

// Where to ask, in this order. Borrowed but for the array, which mirrored_new takes.
struct mirrored_places {
	struct repo **v;
	size_t n;
};

// SOURCE, as it can be read by digest and by tag. What fails in one place is asked for in the next;
// a place that does not answer is left out from then on. When all fail, the last one's reason is
// told first. Nothing can be written through it.
struct repo *mirrored_new(struct repo *source, struct mirrored_places by_digest,
			  struct mirrored_places by_tag);
void mirrored_free(struct repo *r);

#endif
