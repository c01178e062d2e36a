// SPDX-License-Identifier: Apache-2.0
// Notes for developers.
#include "util/trace.h"

#include "util/clock.h"
#include "util/str.h"

#include <stdarg.h>

static const char *enabled;
static FILE *out;

void trace_init(const char *components, FILE *sink)
{
	enabled = components;
	out = sink;
}

bool trace_on(const char *component)
{
	if (!enabled)
		return false;
	struct str rest = str_of(enabled);

	while (rest.n > 0) {
		struct str one = str_cut(&rest, ',');

		if (str_eqz(one, "all") || str_eqz(one, component))
			return true;
	}
	return false;
}

void trace_line(const char *component, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(out, "%10.4f %s: %s\n", (double)clock_us() / 1e6, component, text);
}
