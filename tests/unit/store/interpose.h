// SPDX-License-Identifier: Apache-2.0
// Stands between the store and the system: counts the calls that change something, fails one of
// them, or kills the process in front of it.
#ifndef TESTS_STORE_INTERPOSE_H
#define TESTS_STORE_INTERPOSE_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
	atomic_int calls;
	int kill_at;      // the process dies in front of this call; 0: never
	const char *fail; // the call that fails: "write", "syncfs", …; NULL: none
	int fail_errno;
	atomic_int fail_after; // so many of them still succeed
	bool no_links, no_symlinks, no_colon;
	long write_room;   // bytes that may still be written; -1: any number
	nlink_t links_max; // names that an inode may have; 0: the filesystem's limit
} interpose = {.write_room = -1};

static int interpose_call(const char *name)
{
	if (++interpose.calls == interpose.kill_at)
		raise(SIGKILL);
	if (!interpose.fail || strcmp(interpose.fail, name) != 0)
		return 0;
	if (interpose.fail_after-- > 0)
		return 0;
	errno = interpose.fail_errno;
	return -1;
}

static int interpose_name(const char *name)
{
	if (!interpose.no_colon || !strchr(name, ':'))
		return 0;
	errno = ENOENT;
	return -1;
}

int openat(int dir, const char *path, int flags, ...)
{
	mode_t mode = 0;

	if (flags & O_CREAT) {
		va_list ap;

		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
		if (interpose_call("openat") < 0 || interpose_name(path) < 0)
			return -1;
	}
	return (int)syscall(SYS_openat, dir, path, flags, mode);
}

int renameat(int from, const char *a, int to, const char *b)
{
	if (interpose_call("renameat") < 0 || interpose_name(b) < 0)
		return -1;
	return (int)syscall(SYS_renameat2, from, a, to, b, 0);
}

int linkat(int from, const char *a, int to, const char *b, int flags)
{
	if (interpose_call("linkat") < 0)
		return -1;
	if (interpose.no_links) {
		errno = EPERM;
		return -1;
	}
	struct stat st;

	if (interpose.links_max && fstatat(from, a, &st, 0) == 0 &&
	    st.st_nlink >= interpose.links_max) {
		errno = faccessat(to, b, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ? EEXIST : EMLINK;
		return -1;
	}
	return (int)syscall(SYS_linkat, from, a, to, b, flags);
}

int symlinkat(const char *target, int dir, const char *name)
{
	if (interpose_call("symlinkat") < 0)
		return -1;
	if (interpose.no_symlinks) {
		errno = ENOSYS;
		return -1;
	}
	return (int)syscall(SYS_symlinkat, target, dir, name);
}

int mkdirat(int dir, const char *name, mode_t mode)
{
	if (interpose_call("mkdirat") < 0)
		return -1;
	return (int)syscall(SYS_mkdirat, dir, name, mode);
}

ssize_t write(int fd, const void *data, size_t n)
{
	if (interpose_call("write") < 0)
		return -1;
	if (interpose.write_room >= 0 && fd > 2) {
		if (interpose.write_room == 0) {
			errno = ENOSPC;
			return -1;
		}
		if ((long)n > interpose.write_room)
			n = (size_t)interpose.write_room;
		interpose.write_room -= (long)n;
	}
	return syscall(SYS_write, fd, data, n);
}

int fdatasync(int fd)
{
	return interpose_call("fdatasync") < 0 ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
	return interpose_call("fsync") < 0 ? -1 : (int)syscall(SYS_fsync, fd);
}

int syncfs(int fd)
{
	return interpose_call("syncfs") < 0 ? -1 : (int)syscall(SYS_syncfs, fd);
}

#endif
