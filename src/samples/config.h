// SPDX-License-Identifier: Apache-2.0
// What the Cluster Samples Operator is told: its Config, whole and as a merge patch for the one
// that a cluster has.
//
// Spec 5.3.7. The patch leaves alone what it does not name (architectures must not change).
#ifndef SAMPLES_CONFIG_H
#define SAMPLES_CONFIG_H

#include "util/str.h"

// Appends YAML that `oc apply -f` takes. REGISTRY is samplesRegistry; SKIPPED are names of image
// streams, sorted.
void samples_config_print(struct buf *ret, const char *registry, const struct strlist *skipped);
// Appends JSON in one line, for `oc patch --type=merge`. An empty list replaces one that is there.
void samples_patch_print(struct buf *ret, const char *registry, const struct strlist *skipped);

#endif
