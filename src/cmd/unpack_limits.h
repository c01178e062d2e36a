// SPDX-License-Identifier: Apache-2.0
// How much an image may unpack to: a group of flags.
#ifndef CMD_UNPACK_LIMITS_H
#define CMD_UNPACK_LIMITS_H

#include "cmd/cmd.h"
#include "layer/layer.h"

struct unpack_options {
	const char *max_size; // NULL: not given
	int max_files, max_ratio;
};
extern const struct flag unpack_flags[];
// ERR_USAGE for what is no size or not above 0.
int unpack_limits(const struct unpack_options *o, struct layer_limits *ret, struct err *e)
	must_check;

#endif
