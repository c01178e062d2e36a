// SPDX-License-Identifier: Apache-2.0
// The store's secret: .store/key, made once; processes that race for it agree.
#include "store/internal.h"
#include "store/upload.h"
#include "util/cleanup.h"
#include "util/fs.h"

#include <fcntl.h>
#include <string.h>
#include <sys/random.h>

enum { KEY_SIZE = 32 };

static int key_read(struct store *s, unsigned char ret[KEY_SIZE], struct err *e)
{
	auto_fd int fd = openat(s->state_fd, "key", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	unsigned char bytes[KEY_SIZE + 1];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_os(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO,
			      "cannot read '%s/.store/key'", s->dir);
	if (!S_ISREG(st.st_mode) || st.st_size != KEY_SIZE ||
	    pread(fd, bytes, sizeof(bytes), 0) != KEY_SIZE)
		return err_set(e, ERR_IO,
			       "'%s/.store/key' is damaged: remove it, and a new one is made; "
			       "uploads and tokens that were given out end by that",
			       s->dir);
	// Others have no business with it, whatever a copy of the folder made of its mode.
	if ((st.st_mode & 077) != 0 && fchmod(fd, 0600) < 0)
		return err_os(e, ERR_IO, "cannot protect '%s/.store/key'", s->dir);
	memcpy(ret, bytes, KEY_SIZE);
	explicit_bzero(bytes, sizeof(bytes));
	return 0;
}

// Never seen half-written: it gets its name when it is durable.
static int key_write(struct store *s, struct err *e)
{
	unsigned char bytes[KEY_SIZE];
	auto_free char *file = NULL;
	auto_fd int fd = stage_temp(s, &file, e);

	if (fd < 0)
		return -1;
	if (getrandom(bytes, sizeof(bytes), 0) != KEY_SIZE)
		abort();
	int r = fchmod(fd, 0600) < 0 ? err_os(e, ERR_IO, "cannot write '%s/.store/key'", s->dir)
				     : fs_write_all(fd, bytes, sizeof(bytes), ".store/key", e);

	explicit_bzero(bytes, sizeof(bytes));
	if (r == 0 && (fdatasync(fd) < 0 ||
		       (linkat(s->state_fd, file, s->state_fd, "key", 0) < 0 && errno != EEXIST)))
		r = err_os(e, ERR_IO, "cannot write '%s/.store/key'", s->dir);
	unlinkat(s->state_fd, file, 0);
	return r;
}

int store_key(struct store *s, unsigned char ret[KEY_SIZE], struct err *e)
{
	if (s->mode != STORE_WRITE)
		return err_set(e, ERR_UNSUPPORTED, "'%s' was opened for reading", s->dir);
	if (key_read(s, ret, e) == 0)
		return 0;
	if (e->kind != ERR_NOT_FOUND || key_write(s, e) < 0)
		return -1;
	if (fsync(s->state_fd) < 0 && errno != EINVAL && errno != ENOTSUP)
		return err_os(e, ERR_IO, "cannot sync '%s/.store'", s->dir);
	return key_read(s, ret, e);
}
