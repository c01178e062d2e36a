// SPDX-License-Identifier: Apache-2.0
// For LD_PRELOAD: a filesystem that has neither links nor ':' in names, as exFAT is through FUSE.
//
// A name with ':' is ENOENT, a hard link EPERM, a symbolic link ENOSYS. All other calls go through.
// NOLINKS_ROOT limits it to paths below a folder; relative paths are judged by where they lead.
// Both spellings, open and open64, are defined below.
#undef _FILE_OFFSET_BITS
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// The real function of the caller's name.
#define REAL(name) (__extension__((__typeof__(&name))dlsym(RTLD_NEXT, #name)))

static bool is_below(const char *path, const char *root)
{
	size_t n = strlen(root);

	while (n > 1 && root[n - 1] == '/')
		n--;
	return strncmp(path, root, n) == 0 && (path[n] == '/' || path[n] == '\0' || n == 1);
}

// Whether PATH, seen from folder DIR, is on the filesystem that we play.
static bool concerned(int dir, const char *path)
{
	const char *root = getenv("NOLINKS_ROOT");
	char link[64], folder[PATH_MAX];

	if (!root)
		return true;
	if (path[0] == '/')
		return is_below(path, root);
	if (dir == AT_FDCWD)
		snprintf(link, sizeof(link), "/proc/self/cwd");
	else
		snprintf(link, sizeof(link), "/proc/self/fd/%d", dir);
	ssize_t n = readlink(link, folder, sizeof(folder) - 1);

	if (n < 0)
		return false;
	folder[n] = '\0';
	return is_below(folder, root);
}

static bool bad_name(int dir, const char *path)
{
	if (!strchr(path, ':') || !concerned(dir, path))
		return false;
	errno = ENOENT;
	return true;
}

static int refuse(int error)
{
	errno = error;
	return -1;
}

static mode_t mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(ap, unsigned) : 0;
}

#define OPEN(name)                                                                    \
	int name(const char *path, int flags, ...);                                   \
	int name(const char *path, int flags, ...)                                    \
	{                                                                             \
		va_list ap;                                                           \
		va_start(ap, flags);                                                  \
		mode_t mode = mode_of(flags, ap);                                     \
		va_end(ap);                                                           \
		return bad_name(AT_FDCWD, path) ? -1 : REAL(name)(path, flags, mode); \
	}
#define OPENAT(name)                                                                  \
	int name(int dir, const char *path, int flags, ...);                          \
	int name(int dir, const char *path, int flags, ...)                           \
	{                                                                             \
		va_list ap;                                                           \
		va_start(ap, flags);                                                  \
		mode_t mode = mode_of(flags, ap);                                     \
		va_end(ap);                                                           \
		return bad_name(dir, path) ? -1 : REAL(name)(dir, path, flags, mode); \
	}
#define CREAT(name)                                                            \
	int name(const char *path, mode_t mode);                               \
	int name(const char *path, mode_t mode)                                \
	{                                                                      \
		return bad_name(AT_FDCWD, path) ? -1 : REAL(name)(path, mode); \
	}

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
CREAT(creat)
CREAT(creat64)

int mkdir(const char *path, mode_t mode)
{
	return bad_name(AT_FDCWD, path) ? -1 : REAL(mkdir)(path, mode);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
	return bad_name(dir, path) ? -1 : REAL(mkdirat)(dir, path, mode);
}

int rename(const char *from, const char *to)
{
	return bad_name(AT_FDCWD, to) ? -1 : REAL(rename)(from, to);
}

int renameat(int a, const char *from, int b, const char *to)
{
	return bad_name(b, to) ? -1 : REAL(renameat)(a, from, b, to);
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
	return bad_name(b, to) ? -1 : REAL(renameat2)(a, from, b, to, flags);
}

int link(const char *from, const char *to)
{
	return concerned(AT_FDCWD, to) ? refuse(EPERM) : REAL(link)(from, to);
}

int linkat(int a, const char *from, int b, const char *to, int flags)
{
	return concerned(b, to) ? refuse(EPERM) : REAL(linkat)(a, from, b, to, flags);
}

int symlink(const char *target, const char *path)
{
	return concerned(AT_FDCWD, path) ? refuse(ENOSYS) : REAL(symlink)(target, path);
}

int symlinkat(const char *target, int dir, const char *path)
{
	return concerned(dir, path) ? refuse(ENOSYS) : REAL(symlinkat)(target, dir, path);
}
