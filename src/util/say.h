// SPDX-License-Identifier: Apache-2.0
// Lines for people, from those who must not print: the core says them, cmd/ shows them.
#ifndef UTIL_SAY_H
#define UTIL_SAY_H

#include "util/err.h"

struct say {
	void (*line)(void *arg, const char *text); // NULL: nobody listens
	void *arg;
};

// One line, prefix included ("warning: the release is not verified: ..."), without the newline.
void say(const struct say *to, const char *fmt, ...) printf_like(2, 3);

#endif
