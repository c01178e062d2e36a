// SPDX-License-Identifier: Apache-2.0
// Lines for people.
#include "util/say.h"

#include "util/cleanup.h"
#include "util/mem.h"

#include <stdarg.h>

void say(const struct say *to, const char *fmt, ...)
{
	va_list ap;

	if (!to->line)
		return;
	va_start(ap, fmt);
	auto_free char *text = xvasprintf(fmt, ap);

	va_end(ap);
	to->line(to->arg, text);
}
