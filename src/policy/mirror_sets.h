// SPDX-License-Identifier: Apache-2.0
// Mirror policies as a cluster takes them: ImageContentSourcePolicy, ImageDigestMirrorSet and
// ImageTagMirrorSet objects, written. Reading them is policy/read.h, making
// policies policy/merge.h.
//
// Spec 3.4. Sources are sorted by bytes, each stands once with all its mirrors in the given order.
// What does not fit into one object goes to the next: NAME-0, NAME-1, …. The measured size is the
// one that the reference compares: its text has lines that are not written.
#ifndef POLICY_MIRROR_SETS_H
#define POLICY_MIRROR_SETS_H

#include "policy/read.h"

enum mirror_set { MIRROR_SET_ICSP, MIRROR_SET_IDMS, MIRROR_SET_ITMS };
const char *mirror_set_kind(enum mirror_set set); // "ImageDigestMirrorSet"

struct mirror_sets_config {
	enum mirror_set set;
	const char *name;            // of the objects, without their number
	const char *label;           // that has the value "true"; NULL: no labels
	size_t max_size;             // bytes of one object
	const char *max_size_option; // its name in errors: "max-idms-size"
};

// Appends the objects of P's sources by digest (ITMS: by tag), each behind "---"; nothing when
// there are none. ERR_INPUT when a source with its mirrors does not fit into an object of its own:
// "unable to add mirror {SOURCE [MIRROR]} to IDMS with the max-idms-size set to N".
int mirror_sets_print(struct buf *ret, const struct policy *p, const struct mirror_sets_config *cfg,
		      struct err *e) must_check;

// Is PLACE what the schemas of ImageDigestMirrorSet and ImageTagMirrorSet take as a source or a
// mirror? Registries by IPv6 address are not.
bool mirror_set_takes(const char *place);

#endif
