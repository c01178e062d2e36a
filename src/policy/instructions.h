// SPDX-License-Identifier: Apache-2.0
// What a cluster needs to find its images at the mirror: install-config sections, ICSP, IDMS.
// Text byte for byte as the reference prints it, sources sorted.
#ifndef POLICY_INSTRUCTIONS_H
#define POLICY_INSTRUCTIONS_H

#include "util/str.h"

enum instructions_kind { INSTRUCTIONS_ICSP, INSTRUCTIONS_IDMS, INSTRUCTIONS_NONE };

// "icsp", "idms", "none" in any case; ERR_USAGE "--print-mirror-instructions must be one of icsp,
// idms, none".
int instructions_kind_parse(enum instructions_kind *ret, const char *text, struct err *e)
	must_check;
// Every source lists all mirrors, in the given order, duplicates removed; sources sorted and
// unique. Appends both sections with the sentences around them.
void instructions_print(struct buf *ret, enum instructions_kind kind, const struct strlist *sources,
			const struct strlist *mirrors);

#endif
