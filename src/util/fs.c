// SPDX-License-Identifier: Apache-2.0
// Files and folders.
#include "util/fs.h"

#include "util/cleanup.h"
#include "util/mem.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

char *path_join(const char *dir, const char *name)
{
	if (name[0] == '/' || dir[0] == '\0')
		return xstrdup(name);
	return xasprintf("%s%s%s", dir, ends_with(dir, "/") ? "" : "/", name);
}

int fs_mkdirs(const char *dir, mode_t mode, struct err *e)
{
	auto_free char *path = xstrdup(dir);

	for (char *at = path + 1; *path; at++) {
		char end = *at;

		if (end != '/' && end != '\0')
			continue;
		*at = '\0';
		if (mkdir(path, mode) < 0 && errno != EEXIST)
			return err_os(e, ERR_IO, "cannot create folder '%s'", path);
		if (end == '\0')
			break;
		*at = '/';
	}
	struct stat st;

	if (*dir && stat(dir, &st) < 0)
		return err_os(e, ERR_IO, "cannot create folder '%s'", dir);
	if (*dir && !S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		return err_os(e, ERR_IO, "cannot create folder '%s'", dir);
	}
	return 0;
}

int fs_read_fd(struct buf *ret, int fd, const char *name, struct err *e)
{
	char chunk[16384];

	for (;;) {
		ssize_t n = read(fd, chunk, sizeof(chunk));

		if (n == 0)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_os(e, ERR_IO, "cannot read '%s'", name);
		if (buf_add(ret, chunk, (size_t)n, e) < 0)
			return err_wrap(e, "'%s' is too large", name);
	}
}

int fs_read_file(struct buf *ret, const char *path, struct err *e)
{
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_os(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "open %s", path);
	return fs_read_fd(ret, fd, path, e);
}

int fs_write_all(int fd, const void *data, size_t n, const char *name, struct err *e)
{
	const char *p = data;

	while (n > 0) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return err_os(e, ERR_IO, "cannot write '%s'", name);
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

int fs_sync_dir(const char *dir, struct err *e)
{
	auto_fd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_os(e, ERR_IO, "cannot open folder '%s'", dir);
	// Some network filesystems refuse to sync folders; their names are durable by themselves.
	if (fsync(fd) < 0 && errno != EINVAL && errno != ENOTSUP)
		return err_os(e, ERR_IO, "cannot sync folder '%s'", dir);
	return 0;
}

int fs_write_file(const char *path, struct str bytes, mode_t mode, struct err *e)
{
	auto_free char *copy = xstrdup(path);
	const char *dir = dirname(copy);
	auto_free char *tmp = xasprintf("%s.XXXXXX", path);
	auto_fd int fd = mkostemp(tmp, O_CLOEXEC);

	if (fd < 0)
		return err_os(e, ERR_IO, "cannot create '%s'", path);
	if (fs_write_all(fd, bytes.p, bytes.n, path, e) < 0)
		goto failed;
	if (fchmod(fd, mode) < 0 || fsync(fd) < 0 || rename(tmp, path) < 0) {
		err_os(e, ERR_IO, "cannot write '%s'", path);
		goto failed;
	}
	return fs_sync_dir(dir, e);
failed:
	unlink(tmp);
	return -1;
}

bool fs_exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

char *fs_existing_parent(const char *path)
{
	char *at = xstrdup(*path ? path : ".");

	for (;;) {
		struct stat st;

		if (stat(at, &st) == 0 && S_ISDIR(st.st_mode))
			return at;
		auto_free char *copy = xstrdup(at);
		char *up = xstrdup(dirname(copy));
		bool top = strcmp(up, at) == 0;

		free(at);
		at = up;
		if (top)
			return at;
	}
}

int fs_free_space(const char *dir, uint64_t *ret, struct err *e)
{
	auto_free char *at = fs_existing_parent(dir);
	struct statvfs v;

	if (statvfs(at, &v) < 0)
		return err_os(e, ERR_IO, "cannot ask for the free space of '%s'", at);
	*ret = (uint64_t)v.f_bavail * v.f_frsize;
	return 0;
}
