// SPDX-License-Identifier: Apache-2.0
// What is attached to images that have arrived: cosign's tags ALGO-HEX.sig, .att and .sbom, and OCI
// referrers, by the registry's list of them or by the index under the fallback tag ALGO-HEX.
//
// Spec: OCI distribution-spec v1.1, "Referrers Tag Schema"; cosign's tag scheme.
// It is a transfer of its own after the one of the images: what fails is a warning, what is not
// there is silent, and no result line comes of it. A store as the source is looked through for all
// of its images; a registry for those that the options name. The entries of a list are images, too.
// A dry run asks no destination, and says what there is to attach.
#ifndef MIRROR_ATTACHED_H
#define MIRROR_ATTACHED_H

#include "mirror/planner.h"

struct attached;

// Borrows P. NULL where the options want nothing.
struct attached *attached_new(const struct planner *p);
void attached_free(struct attached *a);
DEFINE_AUTO(attached_free, struct attached)
// The image of TO is at its destination, or will be. Borrowed until attached_free.
void attached_add(struct attached *a, const struct plan_image *im, const struct plan_target *to);
// ERR_CANCELLED and nothing else.
int attached_run(struct attached *a, struct err *e) must_check;

#endif
