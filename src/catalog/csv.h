// SPDX-License-Identifier: Apache-2.0
// The images that a ClusterServiceVersion names: spec.relatedImages, and what its deployments run.
#ifndef CATALOG_CSV_H
#define CATALOG_CSV_H

#include "util/str.h"

// Adds them to RET, in order of appearance. TEXT is JSON; an object of another kind names none.
// ERR_INPUT: "spec.relatedImages[0].image: not a string".
int csv_images(struct strlist *ret, struct str text, struct err *e) must_check;

#endif
