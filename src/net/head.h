// SPDX-License-Identifier: Apache-2.0
// The head of a response: status and header fields, with ceilings on what a server may send.
#ifndef NET_HEAD_H
#define NET_HEAD_H

#include "util/str.h"

enum {
	HEAD_MAX = 64 * 1024, // bytes of one response's head, interim ones and trailers included
	HEAD_FIELDS_MAX = 256,
};

struct head {
	int status;
	size_t bytes;
	struct strlist names, values;
};

// Forgets the fields (an interim response was not the answer), not the bytes.
void head_restart(struct head *h);
// One line as it came, with its end. A status line restarts the head. ERR_NET beyond the ceilings
// and for lines that are no header fields.
int head_line(struct head *h, const char *line, size_t n, struct err *e) must_check;
void head_release(struct head *h);
// The first value of NAME, in any case; or NULL.
const char *head_get(const struct head *h, const char *name);
// All of them joined with ", ", caller frees; or NULL.
char *head_join(const struct head *h, const char *name);
// The values of NAME one by one, NULL-terminated; the caller frees the array only.
const char **head_all(const struct head *h, const char *name);

#endif
