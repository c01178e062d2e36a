// SPDX-License-Identifier: Apache-2.0
// A policy as podman, skopeo, buildah and CRI-O take it: registries.conf, as the nodes of a cluster
// get it.
//
// containers-registries.conf(5), version 2; pull-from-mirror (containers/image 5.22, podman 4.2)
// keeps mirrors of digests and of tags apart. A source that must not be contacted is blocked, for
// both: the format knows nothing finer. Of several sources that an image is below, only the longest
// counts there.
#ifndef POLICY_REGISTRIES_CONF_H
#define POLICY_REGISTRIES_CONF_H

#include "policy/read.h"

enum registries_conf_print_flags {
	REGISTRIES_CONF_INSECURE = 1 << 0, // mirrors by plain HTTP, or with any certificate
};

// Appends a [[registry]] table for each source that has mirrors, sorted; only what passes RET's
// ceiling is an error.
int registries_conf_print(struct buf *ret, const struct policy *p, unsigned flags, struct err *e)
	must_check;

#endif
