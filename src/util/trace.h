// SPDX-License-Identifier: Apache-2.0
// Notes for developers, off by default, chosen per component ("net", "auth", "store", "transfer").
// Arguments are not evaluated while a component is off.
#ifndef UTIL_TRACE_H
#define UTIL_TRACE_H

#include "util/err.h"

#include <stdbool.h>
#include <stdio.h>

// COMPONENTS is a comma list, or "all"; the lines go to SINK. Called once, before threads start.
void trace_init(const char *components, FILE *sink);
bool trace_on(const char *component);
void trace_line(const char *component, const char *fmt, ...) printf_like(2, 3);

#define trace(component, ...)                                 \
	do {                                                  \
		if (trace_on(component))                      \
			trace_line((component), __VA_ARGS__); \
	} while (0)

#endif
