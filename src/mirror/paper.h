// SPDX-License-Identifier: Apache-2.0
// Folders on paper: what a dry run has as file:// destinations, so that none is opened or made.
//
// A paper repo has a name and can be compared and printed; it is never asked for anything.
#ifndef MIRROR_PAPER_H
#define MIRROR_PAPER_H

#include "image/reference.h"
#include "repo/repo.h"

struct place *paper_new(void); // place_free
// The repo that REF names. Borrowed from the place.
struct repo *paper_repo(struct place *p, const struct reference *ref);

#endif
