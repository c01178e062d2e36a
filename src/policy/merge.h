// SPDX-License-Identifier: Apache-2.0
// Policies put together: entries added by hand, and all that is said about a source in one place.
#ifndef POLICY_MERGE_H
#define POLICY_MERGE_H

#include "policy/read.h"

// Content of SOURCE is at MIRROR, too, for images by digest or TAGS: by tag. Copies.
void policy_add(struct policy *p, const char *source, const char *mirror, bool tags);

// P sorted by source, bytewise, digests before tags; each source once for either, with all its
// mirrors in their order, each once, and the first word about contact.
void policy_merge(struct policy *ret, const struct policy *p);

#endif
