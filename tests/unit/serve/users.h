// SPDX-License-Identifier: Apache-2.0
// Users for tests, with cheap hashes, and a file for them in a folder that goes with the test.
#ifndef TESTS_SERVE_USERS_H
#define TESTS_SERVE_USERS_H

#include "util/cleanup.h"
#include "util/fs.h"
#include "util/mem.h"

#include <stdio.h>

#define HASH_SECRET  "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
#define HASH_SESAME  "$2b$04$ABCDEFGHIJKLMNOPQRSTUu3eYK498clEFkylpAzy5Q8ZAuO7kcru2"
#define HASH_CHANGED "$2a$04$zyxwvutsrqponmlkjihgfeGyBpJJrtPJC/yT6cyfQJ/GUhRRKzVw6"
#define HASH_72_AS   "$2y$04$abcdefghijklmnopqrstuuBzzIgyKkz7xMWYSzkIjUSnxEQFQ0WNe"

#define USERS "ann:" HASH_SECRET "\nbob:" HASH_SESAME "\n"

struct users_file {
	char dir[32];
	char *path;
};

static inline void users_file_release(struct users_file *f)
{
	if (!f->path)
		return;
	unlink(f->path);
	rmdir(f->dir);
	free(f->path);
}
#define auto_users __attribute__((cleanup(users_file_release)))

static inline int users_write(struct users_file *f, const char *text)
{
	struct err e;

	return fs_write_file(f->path, str_of(text), 0600, &e);
}

// False: no folder for it.
static inline bool users_file_init(struct users_file *f, const char *text)
{
	*f = (struct users_file){.dir = "/tmp/ferry-users-XXXXXX"};
	if (!mkdtemp(f->dir))
		return false;
	f->path = path_join(f->dir, "htpasswd");
	return users_write(f, text) == 0;
}

#endif
