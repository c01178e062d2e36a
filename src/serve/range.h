// SPDX-License-Identifier: Apache-2.0
// Range headers of GET, and Content-Range of PATCH and PUT. Pure functions.
//
// Spec: RFC 9110 section 14; OCI distribution-spec v1.1, "Pushing a blob in chunks" (0-1023,
// without a unit; with "bytes " is understood too).
#ifndef SERVE_RANGE_H
#define SERVE_RANGE_H

#include "util/str.h"

#include <stdbool.h>
#include <stdint.h>

enum { RANGES_MAX = 64 };

struct range {
	uint64_t offset, length;
};

enum range_verdict {
	RANGE_WHOLE, // no range, a malformed one, too many, overlapping ones, more than the whole
	RANGE_SOME,  // *ret_n ranges, clipped to SIZE, in the order asked for
	RANGE_NONE,  // 416
};

enum range_verdict range_parse(struct str value, uint64_t size, struct range ret[RANGES_MAX],
			       unsigned *ret_n);
// False when malformed or inverted.
bool content_range_parse(struct str value, uint64_t *ret_first, uint64_t *ret_last);

#endif
