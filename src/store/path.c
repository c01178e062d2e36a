// SPDX-License-Identifier: Apache-2.0
// Names, and opening them without ever leaving the folder they belong to.
#include "image/reference.h"
#include "store/internal.h"
#include "util/cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

enum { LINK_HOPS_MAX = 4, LINK_TEXT_MAX = 4096, OPENAT2_TRIES = 64 };

// ---- names

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
}

// host.name[:port], which file references keep as their first component.
static bool host_ok(struct str c)
{
	struct str port = c, name = str_cut(&port, ':');
	uint64_t n;

	if (port.p && !str_u64(port, 65535, &n))
		return false;
	if (name.n == 0 || !is_alnum(name.p[0]) || !is_alnum(name.p[name.n - 1]))
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (!is_alnum(name.p[i]) && name.p[i] != '-' &&
		    (name.p[i] != '.' || name.p[i + 1] == '.'))
			return false;
	return true;
}

bool repo_component_ok(struct str component, bool first)
{
	return !repository_component_reserved(component) &&
	       (repository_component_valid(component) || (first && host_ok(component)));
}

int repo_check(const char *repo, struct err *e)
{
	struct str rest = str_of(repo);

	if (rest.n == 0 || rest.n > STORE_REPO_MAX)
		return err_set(e, ERR_INPUT,
			       "repository name '%.300s' must have 1 to %d characters", repo,
			       STORE_REPO_MAX);
	for (bool first = true; rest.p; first = false)
		if (!repo_component_ok(str_cut(&rest, '/'), first))
			return err_set(e, ERR_INPUT, "'%s' is not a valid repository name", repo);
	return 0;
}

int tag_check(const char *tag, struct err *e)
{
	if (!tag_valid(tag))
		return err_set(e, ERR_INPUT, "'%.200s' is not a valid tag", tag);
	return 0;
}

bool digest_of_name(struct digest *ret, const char *name)
{
	char text[DIGEST_TEXT_MAX];
	size_t n = strlen(name);
	struct err e;

	if (n < 7 || n >= sizeof(text) || (name[6] != ':' && name[6] != '-'))
		return false;
	memcpy(text, name, n + 1);
	text[6] = ':';
	return digest_parse(ret, text, &e) == 0;
}

void digest_file_name(const struct digest *d, char sep, char ret[DIGEST_TEXT_MAX])
{
	memcpy(ret, d->text, DIGEST_TEXT_MAX);
	ret[6] = sep;
}

// ---- opening for reading

enum { READ_FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY };

// Takes the last component off PATH.
static void go_up(struct buf *path)
{
	while (path->n > 0 && path->p[path->n - 1] != '/')
		path->n--;
	if (path->n > 0)
		path->n--;
	if (path->cap)
		path->p[path->n] = '\0';
}

// Appends what TEXT, a link in folder AT, leads to. False when it leaves the root.
static bool follow(struct buf *at, struct str text)
{
	if (text.n == 0 || text.p[0] == '/')
		return false;
	while (text.p) {
		struct str c = str_cut(&text, '/');

		if (c.n == 0 || str_eqz(c, "."))
			continue;
		if (!str_eqz(c, "..")) {
			buf_printf(at, "%s%.*s", at->n ? "/" : "", STR_FMT(c));
			continue;
		}
		if (at->n == 0)
			return false;
		go_up(at);
	}
	return at->n > 0;
}

static int open_no_links(int root, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return openat(root, path, READ_FLAGS | O_NOFOLLOW);
	auto_free char *dir = xstrndup(path, (size_t)(slash - path));
	auto_fd int fd = open_folder(root, dir, false, NULL);

	return fd < 0 ? -1 : openat(fd, slash + 1, READ_FLAGS | O_NOFOLLOW);
}

// Where the link PATH leads; -1 with errno.
static int read_link(int root, struct buf *path)
{
	char text[LINK_TEXT_MAX];
	auto_free char *name = xstrdup(path->p);
	const char *slash = strrchr(name, '/');

	go_up(path);
	auto_fd int dir = open_folder(root, path->p, false, NULL);

	if (dir < 0)
		return -1;
	ssize_t n = readlinkat(dir, slash ? slash + 1 : name, text, sizeof(text));

	if (n < 0)
		return -1;
	if ((size_t)n == sizeof(text) || memchr(text, '\0', (size_t)n) ||
	    !follow(path, (struct str){text, (size_t)n})) {
		errno = EXDEV;
		return -1;
	}
	return 0;
}

int open_beneath_by_hand(int root, const char *path)
{
	auto_buf struct buf at = BUF_INIT(BUF_TEXT_MAX);

	buf_puts(&at, path);
	for (int hops = 0; hops <= LINK_HOPS_MAX; hops++) {
		int fd = open_no_links(root, at.p);

		if (fd >= 0 || errno != ELOOP)
			return fd;
		if (read_link(root, &at) < 0)
			return -1;
	}
	errno = ELOOP;
	return -1;
}

int open_beneath(int root, const char *path)
{
	struct open_how how = {.flags = READ_FLAGS,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};

	// EAGAIN: something was renamed somewhere while ".." was being walked.
	for (int i = 0; i < OPENAT2_TRIES; i++) {
		long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));

		if (fd >= 0)
			return (int)fd;
		if (errno == ENOSYS || errno == EPERM)
			break;
		if (errno != EAGAIN && errno != EINTR)
			return -1;
	}
	return open_beneath_by_hand(root, path);
}

void keep_atime(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		(void)fcntl(fd, F_SETFL, flags | O_NOATIME); // only the owner may
}

// ---- folders

enum { FOLDER_FLAGS = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW };

// Opens NAME in DIR, making it when asked to.
static int enter(int dir, const char *name, bool create, bool *ret_made)
{
	int fd = openat(dir, name, FOLDER_FLAGS);

	if (fd >= 0 || errno != ENOENT || !create)
		return fd;
	if (mkdirat(dir, name, 0755) == 0)
		*ret_made = true;
	else if (errno != EEXIST)
		return -1;
	return openat(dir, name, FOLDER_FLAGS);
}

static int open_folder_fast(int root, const char *path)
{
	struct open_how how = {.flags = FOLDER_FLAGS,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};

	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

int open_folder(int root, const char *path, bool create, struct strlist *ret_made)
{
	int fd = open_folder_fast(root, path);

	if (fd >= 0)
		return fd;
	fd = openat(root, ".", FOLDER_FLAGS);
	for (const char *at = path; fd >= 0 && *at;) {
		size_t n = strcspn(at, "/");
		auto_free char *name = xstrndup(at, n);
		bool made = false;
		int next = enter(fd, name, create, &made);

		if (made && ret_made) {
			size_t parent = (size_t)(at - path);

			strlist_addf(ret_made, "%.*s", (int)(parent ? parent - 1 : 0), path);
		}
		int saved = errno;

		close(fd);
		errno = saved;
		fd = next;
		at += n + (at[n] == '/');
	}
	return fd;
}

static unsigned char type_of(int dir, const struct dirent *d)
{
	struct stat st;

	if (d->d_type != DT_UNKNOWN)
		return d->d_type;
	if (fstatat(dir, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return DT_UNKNOWN;
	return S_ISREG(st.st_mode)   ? DT_REG
	       : S_ISLNK(st.st_mode) ? DT_LNK
	       : S_ISDIR(st.st_mode) ? DT_DIR
				     : DT_UNKNOWN;
}

static void closedir_auto(DIR **d)
{
	if (*d)
		closedir(*d);
}

int folder_list(int root, const char *path,
		int (*fn)(void *arg, const struct folder_entry *entry, struct err *e), void *arg,
		struct err *e)
{
	int fd = open_folder(root, path, false, NULL);

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
		return 0;
	__attribute__((cleanup(closedir_auto))) DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir)
		return err_os(e, ERR_IO, "cannot read folder '%s'", path);
	keep_atime(fd);
	for (size_t n = 0;; n++) {
		errno = 0;
		struct dirent *d = readdir(dir);

		if (!d && errno)
			return err_os(e, ERR_IO, "cannot read folder '%s'", path);
		if (!d)
			return 0;
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (n > STORE_ENTRIES_MAX)
			return err_set(e, ERR_INPUT, "folder '%s' holds more than %d names", path,
				       STORE_ENTRIES_MAX);
		struct folder_entry entry = {d->d_name, type_of(dirfd(dir), d)};

		if (fn(arg, &entry, e) < 0)
			return -1;
	}
}

static int remove_one(void *arg, const struct folder_entry *entry, struct err *e)
{
	(void)e;
	unlinkat(*(int *)arg, entry->name, 0);
	return 0;
}

void folder_remove(int root, const char *path)
{
	auto_fd int fd = open_folder(root, path, false, NULL);
	struct err ignored;

	if (fd >= 0 && folder_list(root, path, remove_one, &fd, &ignored) == 0)
		unlinkat(root, path, AT_REMOVEDIR);
}
