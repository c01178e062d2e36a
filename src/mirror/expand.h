// SPDX-License-Identifier: Apache-2.0
// Sources that stand for several images: tag patterns, and repositories without a tag.
#ifndef MIRROR_EXPAND_H
#define MIRROR_EXPAND_H

#include "mirror/mirror.h"
#include "util/map.h"

// M names images only after a look at the tags of its source.
bool mapping_expands(const struct mapping *m);
// Records M's destination, when it has a tag, in SEEN. ERR_USAGE when it is there already.
int mapping_claim(struct map *seen, const struct mapping *m, struct err *e) must_check;
// ERR_USAGE when M would copy an image onto itself.
int mapping_check_self(const struct mapping *m, struct err *e) must_check;

// What the patterns of M stand for, in order, with the tags they match and destinations filled in;
// `from` says which one each is made of. All of M is claimed and checked on the way.
// Tags are listed once for each repository. Notices (such as tags of other versions) go to T.
int mappings_expand(struct mappings *ret, struct places *places, const struct mapping_list *m,
		    struct transfer *t, struct err *e) must_check;

#endif
