// SPDX-License-Identifier: Apache-2.0
// The users of a registry, as an htpasswd file lists them: "user:$2y$10$..." a line.
//
// bcrypt only ($2a$, $2b$, $2y$ of cost 4 to 16); every other format is refused, with the line, as
// are duplicates: one of the two would silently win. Empty lines and lines that start with '#' are
// skipped, blanks around a line do not count. User names are UTF-8 without control characters.
// bcrypt looks at the first 72 bytes of a password, and so do we: the tools that write these files
// cut silently, and whoever has such a password would be locked out otherwise.
// A set of users never changes; threads share it by reference.
#ifndef SERVE_HTPASSWD_H
#define SERVE_HTPASSWD_H

#include "util/cleanup.h"
#include "util/str.h"

#include <stdbool.h>
#include <sys/stat.h>

enum {
	HTPASSWD_FILE_MAX = 1 << 20,
	HTPASSWD_USER_MAX = 128,
	HTPASSWD_COST_MAX = 16, // about four seconds a login
};

struct htpasswd;

// TEXT is the file's, NAME is for errors (ERR_INPUT). The caller owns the one reference.
int htpasswd_parse(struct htpasswd **ret, struct str text, const char *name, struct err *e)
	must_check;
struct htpasswd *htpasswd_ref(struct htpasswd *h); // returns H
void htpasswd_unref(struct htpasswd *h);           // NULL is fine; frees with the last reference
DEFINE_AUTO(htpasswd_unref, struct htpasswd)

// Which version of a file was read.
struct htpasswd_stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
};

// All zero when PATH cannot be looked at.
struct htpasswd_stamp htpasswd_stamp(const char *path);
bool htpasswd_stamp_equal(const struct htpasswd_stamp *a, const struct htpasswd_stamp *b);
// Reads the regular file PATH. ERR_BUSY: it changed meanwhile.
int htpasswd_load(struct htpasswd **ret, const char *path, struct err *e) must_check;

// May USER be one's name? Not empty, not too long, no ':', no control characters.
bool htpasswd_user_valid(struct str user);
// The entry of USER, borrowed from H; NULL: there is none.
const char *htpasswd_find(const struct htpasswd *h, struct str user);
// Slow, by design: one bcrypt. ENTRY is htpasswd_find's answer; NULL takes as long as the entries
// of H mostly do, and is false. No NUL in PASSWORD.
bool htpasswd_verify(const struct htpasswd *h, const char *entry, struct str password);

#endif
