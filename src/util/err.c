// SPDX-License-Identifier: Apache-2.0
// Error values.
#include "util/err.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

// What the header tells analyzers would stand in the way of the definitions.
#undef err_set
#undef err_os
#undef err_wrap
#undef err_hint

// Formats into a buffer that is larger than any message, so that the cut can choose its place.
enum { ERR_SCRATCH = 4096 };

// Copies HEAD then TAIL into e->text. What does not fit is taken out of the middle of HEAD.
static void join(struct err *e, const char *head, const char *tail)
{
	size_t room = sizeof(e->text) - 1;
	size_t head_len = strlen(head), tail_len = strlen(tail);

	if (tail_len > room) {
		memcpy(e->text, tail, room - 3);
		memcpy(e->text + room - 3, "...", 4);
		return;
	}
	if (head_len + tail_len <= room) {
		memcpy(e->text, head, head_len);
		memcpy(e->text + head_len, tail, tail_len + 1);
		return;
	}
	size_t left = room - tail_len;

	if (left < 16) {
		memcpy(e->text, tail, tail_len + 1);
		return;
	}
	size_t front = (left - 3) / 2, back = left - 3 - front;

	memcpy(e->text, head, front);
	memcpy(e->text + front, "...", 3);
	memcpy(e->text + front + 3, head + head_len - back, back);
	memcpy(e->text + left, tail, tail_len + 1);
}

// Arguments do not begin lines: they may be names from outside. What FMT says itself does, and so
// does a hint of a message that is told at the end of this one.
static __attribute__((noinline)) void keep_one_line(char *text, const char *fmt)
{
	static const char hint[] = "\nhint: ";
	size_t n = strlen(fmt);
	bool has_hints = n >= 2 && strcmp(fmt + n - 2, "%s") == 0;

	if (strchr(fmt, '\n') || (n == 2 && has_hints))
		return; // made of several lines on purpose, here or before
	for (char *c = text; *c; c++)
		if (*c == '\n' && !(has_hints && strncmp(c, hint, sizeof(hint) - 1) == 0))
			*c = '?';
}

int err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
{
	char text[ERR_SCRATCH];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	keep_one_line(text, fmt);
	*e = (struct err){.kind = kind};
	join(e, text, "");
	return -1;
}

int err_os(struct err *e, enum err_kind kind, const char *fmt, ...)
{
	int saved = errno;
	char text[ERR_SCRATCH], cause[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	keep_one_line(text, fmt);
	snprintf(cause, sizeof(cause), ": %s", strerror(saved));
	// A message has no capital in its middle; names such as "RPC" keep theirs.
	if (isupper((unsigned char)cause[2]) && islower((unsigned char)cause[3]))
		cause[2] = (char)tolower((unsigned char)cause[2]);
	*e = (struct err){.kind = kind, .os = saved};
	join(e, text, cause);
	return -1;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
	char context[ERR_SCRATCH], cause[sizeof(e->text) + 2];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(context, sizeof(context), fmt, ap);
	va_end(ap);
	keep_one_line(context, fmt);
	for (char *c = context; *c; c++)
		if (*c == '\n')
			*c = '?';
	snprintf(cause, sizeof(cause), ": %s", e->text);
	join(e, context, cause);
	return -1;
}

int err_hint(struct err *e, const char *fmt, ...)
{
	char hint[ERR_SCRATCH], text[sizeof(e->text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(hint, sizeof(hint), fmt, ap);
	va_end(ap);
	keep_one_line(hint, fmt);
	memcpy(text, e->text, sizeof(text));
	size_t used = strlen(text), n = strlen(hint);

	if (used + 1 + n >= sizeof(e->text))
		return -1; // the cause matters more than the advice
	e->text[used] = '\n';
	memcpy(e->text + used + 1, hint, n + 1);
	return -1;
}
