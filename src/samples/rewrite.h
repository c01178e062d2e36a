// SPDX-License-Identifier: Apache-2.0
// Where the Cluster Samples Operator looks for an image when its Config names a samplesRegistry:
// text in, text out, as the operator does it. That decides how a mirror must be laid out.
//
// Spec 5.2.
#ifndef SAMPLES_REWRITE_H
#define SAMPLES_REWRITE_H

// The pull spec that takes the place of SPEC when samplesRegistry is REGISTRY ("host:5000",
// "host/path"); tag and digest stay. Caller frees.
char *samples_rewrite(const char *spec, const char *registry);
// The same for a folder of media, whose name is no registry: SPEC is always moved below it, so that
// media that are served in place have their images where the operator looks.
char *samples_rewrite_below(const char *spec, const char *folder);

#endif
