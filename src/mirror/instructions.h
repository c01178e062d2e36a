// SPDX-License-Identifier: Apache-2.0
// What a cluster needs to find images that came from media: the origins that the media recorded,
// and the repositories that the images were uploaded to.
#ifndef MIRROR_INSTRUCTIONS_H
#define MIRROR_INSTRUCTIONS_H

#include "mirror/mirror.h"
#include "policy/instructions.h"

// Appends the sections of KIND for everything in R that came from a store with recorded origins;
// nothing when there is none. Origins with different mirrors get sections of their own.
void mirror_instructions(struct buf *ret, enum instructions_kind kind,
			 const struct mirror_result *r);

#endif
