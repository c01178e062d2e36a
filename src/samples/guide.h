// SPDX-License-Identifier: Apache-2.0
// What is to be done after a run, in order, as text for people.
#ifndef SAMPLES_GUIDE_H
#define SAMPLES_GUIDE_H

#include "util/str.h"

// On the cluster, whose operator finds its images at REGISTRY; config.yaml and patch.json are in
// DIR. Spec 5.3.8.
void samples_guide_cluster(struct buf *ret, const char *registry, const char *dir);
// On the other side of the media in DIR, whose images are below FOLDER. SELF is the program.
void samples_guide_media(struct buf *ret, const char *self, const char *dir, const char *folder);

#endif
