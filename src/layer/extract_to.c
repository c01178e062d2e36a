// SPDX-License-Identifier: Apache-2.0
// Writing entries: staged in a folder of their own, then moved to their names.
#include "layer/extract_to.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "util/fs.h"
#include "util/mem.h"

enum {
	MODE_FOLDER = 0755,
	MODE_FILE = 0640,
	COPY_SIZE = 65536,
};

// What a folder gets when everything in it is in place.
struct folder {
	char *name;
	mode_t mode;
	uint32_t uid, gid;
	int64_t mtime;
};

struct extract_to {
	struct extract_to_options opt;
	char *dir;
	int target, stage; // folders
	char stage_name[32];
	struct folder *folders;
	size_t nfolders, folders_cap;
	char *parent_name; // the folder that was written to last
	bool parent_stale; // something was removed: it may not be the one of that name
	int parent;
};

// ---- names

// The next component of *REST, which moves on; false at the end.
static bool next_part(const char **rest, char ret[NAME_MAX + 1])
{
	const char *p = *rest;

	if (*p == '\0')
		return false;
	size_t n = strcspn(p, "/");

	// Longer names are refused by the kernel when they are used.
	snprintf(ret, NAME_MAX + 1, "%.*s", (int)(n < NAME_MAX ? n : NAME_MAX), p);
	*rest = p[n] == '/' ? p + n + 1 : p + n;
	return true;
}

static int check_name(const char *name, struct err *e)
{
	size_t depth = 1, length = 0;

	if (name[0] == '\0' || name[0] == '/')
		return err_set(e, ERR_INPUT, "layer entry '%s' has no usable name", name);
	for (const char *p = name;; p++) {
		if (*p != '/' && *p != '\0') {
			length++;
			continue;
		}
		if (length == 0 || length > NAME_MAX || (length == 1 && p[-1] == '.') ||
		    (length == 2 && p[-1] == '.' && p[-2] == '.'))
			return err_set(e, ERR_INPUT, "layer entry '%s' has no usable name", name);
		length = 0;
		if (*p == '\0')
			break;
		depth++;
	}
	if (depth > EXTRACT_DEPTH_MAX)
		return err_set(e, ERR_INPUT, "layer entry '%.64s…' is more than %d folders deep",
			       name, EXTRACT_DEPTH_MAX);
	return 0;
}

bool extract_to_resolve(const char *name, const char *target, char ret[LAYER_PATH_MAX])
{
	const char *slash = strrchr(name, '/');
	size_t n = target[0] == '/' || !slash ? 0 : (size_t)(slash - name);
	struct str rest = str_of(target);

	if (n >= LAYER_PATH_MAX)
		return false;
	memcpy(ret, name, n);
	ret[n] = '\0';
	while (rest.p) {
		struct str part = str_cut(&rest, '/');

		if (part.n == 0 || str_eqz(part, "."))
			continue;
		if (str_eqz(part, "..")) {
			if (n == 0)
				return false;
			char *up = memrchr(ret, '/', n);

			n = up ? (size_t)(up - ret) : 0;
			ret[n] = '\0';
			continue;
		}
		if (n + 1 + part.n >= LAYER_PATH_MAX)
			return false;
		if (n > 0)
			ret[n++] = '/';
		memcpy(ret + n, part.p, part.n);
		n += part.n;
		ret[n] = '\0';
	}
	return true;
}

bool extract_to_is_plain(const char *target)
{
	struct str rest = str_of(target);
	bool named = false;

	while (rest.p) {
		struct str part = str_cut(&rest, '/');

		if (str_eqz(part, "..") && named)
			return false;
		named = named || (part.n > 0 && !str_eqz(part, ".") && !str_eqz(part, ".."));
	}
	return target[0] != '/';
}

// ---- folders

static int open_by_hand(int root, const char *name)
{
	char part[NAME_MAX + 1];
	int at = fcntl(root, F_DUPFD_CLOEXEC, 0);

	while (at >= 0 && next_part(&name, part)) {
		int next = openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		close_fdp(&at);
		at = next;
	}
	return at;
}

// The folder NAME below ROOT, reached without a link; -1 with errno.
static int open_folder(const struct extract_to *t, int root, const char *name)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	if (*name == '\0')
		return fcntl(root, F_DUPFD_CLOEXEC, 0);
	if (!t->opt.by_hand) {
		long fd = syscall(SYS_openat2, root, name, &how, sizeof(how));

		if (fd >= 0 || (errno != ENOSYS && errno != EPERM && errno != EINVAL))
			return (int)fd;
	}
	return open_by_hand(root, name);
}

// Makes what is missing on the way to the folder NAME in the stage.
static int make_folders(struct extract_to *t, const char *name)
{
	char part[NAME_MAX + 1];
	int at = fcntl(t->stage, F_DUPFD_CLOEXEC, 0);

	while (at >= 0 && next_part(&name, part)) {
		if (mkdirat(at, part, MODE_FOLDER) == 0) {
			// Whatever the umask says.
			if (fchmodat(at, part, MODE_FOLDER, 0) < 0)
				break;
		} else if (errno != EEXIST) {
			break;
		}
		int next = openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		close_fdp(&at);
		at = next;
	}
	if (at >= 0 && *name) {
		close_fdp(&at);
		at = -1;
	}
	return at;
}

static int through_no_folder(const char *name, struct err *e)
{
	if (errno == ELOOP || errno == ENOTDIR)
		return err_set(e, ERR_INPUT,
			       "layer entry '%s' is below something that is no folder", name);
	return err_os(e, ERR_IO, "cannot create '%s'", name);
}

// The folder that NAME goes into, kept open for the next one. Borrowed.
static int parent_of(struct extract_to *t, const char *name, struct err *e)
{
	const char *slash = strrchr(name, '/');
	auto_free char *folder = xstrndup(name, slash ? (size_t)(slash - name) : 0);

	if (t->parent >= 0 && !t->parent_stale && strcmp(folder, t->parent_name) == 0)
		return t->parent;
	int fd = open_folder(t, t->stage, folder);

	if (fd < 0 && errno == ENOENT)
		fd = make_folders(t, folder);
	if (fd < 0)
		return through_no_folder(name, e);
	close_fdp(&t->parent);
	free(t->parent_name);
	t->parent = fd;
	t->parent_stale = false;
	t->parent_name = steal(&folder);
	return fd;
}

static void forget_parent(struct extract_to *t)
{
	close_fdp(&t->parent);
	t->parent = -1;
}

static const char *base_of(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash ? slash + 1 : name;
}

// ---- removing

static int remove_below(int folder);

static int remove_at(int folder, const char *name)
{
	if (unlinkat(folder, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -1;
	auto_fd int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || remove_below(fd) < 0)
		return -1;
	return unlinkat(folder, name, AT_REMOVEDIR);
}

static int remove_entries(DIR *d)
{
	const struct dirent *entry;
	int failed = 0;

	while ((entry = readdir(d)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    remove_at(dirfd(d), entry->d_name) < 0)
			failed = -1;
	return failed;
}

static DIR *list(int folder)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (!d && fd >= 0)
		close(fd);
	return d;
}

static int remove_below(int folder)
{
	DIR *d = list(folder);

	if (!d)
		return -1;
	int failed = remove_entries(d);

	closedir(d);
	return failed;
}

// ---- adding

static int set_owner(const struct extract_to *t, int fd, const struct layer_entry *entry,
		     mode_t plain, const char *name, struct err *e)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = entry->mtime}};

	if (t->opt.preserve && fchown(fd, entry->uid, entry->gid) < 0)
		return err_os(e, ERR_IO, "cannot give '%s' to owner %u:%u", name, entry->uid,
			      entry->gid);
	if (fchmod(fd, t->opt.preserve ? entry->mode : plain) < 0)
		return err_os(e, ERR_IO, "cannot set the mode of '%s'", name);
	(void)!futimens(fd, times); // some filesystems have no such times
	return 0;
}

static int copy_content(int fd, struct layer *l, const char *name, struct err *e)
{
	auto_free char *chunk = xmalloc(COPY_SIZE);

	for (;;) {
		ssize_t n = layer_read(l, chunk, COPY_SIZE, e);

		if (n <= 0)
			return (int)n;
		if (fs_write_all(fd, chunk, (size_t)n, name, e) < 0)
			return -1;
	}
}

static int add_file(struct extract_to *t, int parent, const char *name, struct layer *l,
		    const struct layer_entry *entry, struct err *e)
{
	auto_fd int fd = openat(parent, base_of(name),
				O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_os(e, ERR_IO, "cannot create '%s'", name);
	if (copy_content(fd, l, name, e) < 0)
		return -1;
	return set_owner(t, fd, entry, MODE_FILE, name, e);
}

static int add_folder(struct extract_to *t, int parent, const char *name,
		      const struct layer_entry *entry, struct err *e)
{
	if (mkdirat(parent, base_of(name), MODE_FOLDER) < 0 && errno != EEXIST)
		return err_os(e, ERR_IO, "cannot create '%s'", name);
	auto_fd int fd =
		openat(parent, base_of(name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return through_no_folder(name, e);
	if (fchmod(fd, MODE_FOLDER) < 0)
		return err_os(e, ERR_IO, "cannot set the mode of '%s'", name);
	vec_reserve(t->folders, t->nfolders, t->folders_cap);
	t->folders[t->nfolders++] =
		(struct folder){xstrdup(name), entry->mode, entry->uid, entry->gid, entry->mtime};
	return 0;
}

static int add_symlink(struct extract_to *t, int parent, const char *name,
		       const struct layer_entry *entry, struct err *e)
{
	char inside[LAYER_PATH_MAX];

	// "up/.." is not where it seems to be when "up" is a link itself.
	if (!extract_to_is_plain(entry->link) || !extract_to_resolve(name, entry->link, inside))
		return err_set(e, ERR_INPUT, "layer entry '%s' links to '%s', which may be outside",
			       name, entry->link);
	if (symlinkat(entry->link, parent, base_of(name)) < 0)
		return err_os(e, ERR_IO, "cannot create '%s'", name);
	if (t->opt.preserve &&
	    fchownat(parent, base_of(name), entry->uid, entry->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_os(e, ERR_IO, "cannot give '%s' to owner %u:%u", name, entry->uid,
			      entry->gid);
	return 0;
}

// The folder of NAME in the stage, opened; for what is there already.
static int open_parent(const struct extract_to *t, const char *name)
{
	const char *slash = strrchr(name, '/');
	auto_free char *folder = xstrndup(name, slash ? (size_t)(slash - name) : 0);

	return open_folder(t, t->stage, folder);
}

static bool is_file_at(int folder, const char *name)
{
	struct stat st;

	return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

bool extract_to_has(struct extract_to *t, const char *name)
{
	auto_fd int folder = open_parent(t, name);

	return folder >= 0 && is_file_at(folder, base_of(name));
}

static int add_hardlink(struct extract_to *t, int parent, const char *name,
			const struct layer_entry *entry, struct err *e)
{
	auto_fd int folder = check_name(entry->link, e) == 0 ? open_parent(t, entry->link) : -1;

	if (folder < 0 || !is_file_at(folder, base_of(entry->link)))
		return err_set(e, ERR_INPUT, "layer entry '%s' links to '%s', which is not there",
			       name, entry->link);
	if (linkat(folder, base_of(entry->link), parent, base_of(name), 0) < 0)
		return err_os(e, ERR_IO, "cannot create '%s'", name);
	return 0;
}

// Room for an entry that is no folder, or is one where something else is.
static int make_room(struct extract_to *t, int parent, const char *name,
		     const struct layer_entry *entry, struct err *e)
{
	struct stat st;

	if (fstatat(parent, base_of(name), &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_os(e, ERR_IO, "cannot create '%s'", name);
	if (entry->type == LAYER_DIR && S_ISDIR(st.st_mode))
		return 0;
	if (remove_at(parent, base_of(name)) < 0)
		return err_os(e, ERR_IO, "cannot replace '%s'", name);
	t->parent_stale = true;
	return 0;
}

int extract_to_add(struct extract_to *t, const char *name, struct layer *l,
		   const struct layer_entry *entry, struct err *e)
{
	if (check_name(name, e) < 0)
		return -1;
	if (entry->type == LAYER_HARDLINK && strcmp(entry->link, name) == 0)
		return 0;
	int parent = parent_of(t, name, e);

	if (parent < 0 || make_room(t, parent, name, entry, e) < 0)
		return -1;
	switch (entry->type) {
	case LAYER_FILE:
		return add_file(t, parent, name, l, entry, e);
	case LAYER_DIR:
		return add_folder(t, parent, name, entry, e);
	case LAYER_SYMLINK:
		return add_symlink(t, parent, name, entry, e);
	case LAYER_HARDLINK:
		return add_hardlink(t, parent, name, entry, e);
	default:
		return err_set(e, ERR_INPUT, "layer entry '%s' is neither file, folder nor link",
			       name);
	}
}

// ---- life

static int make_stage(struct extract_to *t, struct err *e)
{
	for (int tries = 0; tries < 100; tries++) {
		uint64_t random = 0;

		(void)!getrandom(&random, sizeof(random), GRND_NONBLOCK);
		snprintf(t->stage_name, sizeof(t->stage_name), ".extract-%08x",
			 (unsigned)(random + (unsigned)tries));
		if (mkdirat(t->target, t->stage_name, 0700) == 0) {
			t->stage = openat(t->target, t->stage_name,
					  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (t->stage >= 0)
				return 0;
			break;
		}
		if (errno != EEXIST)
			break;
	}
	t->stage_name[0] = '\0';
	return err_os(e, ERR_IO, "cannot create a folder in '%s'", t->dir);
}

struct extract_to *extract_to_new(const char *dir, const struct extract_to_options *opt,
				  struct err *e)
{
	auto_of(extract_to_free) struct extract_to *t = xcalloc(1, sizeof(*t));

	if (opt)
		t->opt = *opt;
	t->dir = xstrdup(dir);
	t->stage = t->parent = -1;
	t->target = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->target < 0) {
		err_os(e, ERR_IO, "cannot open folder '%s'", dir);
		return NULL;
	}
	return make_stage(t, e) < 0 ? NULL : steal(&t);
}

void extract_to_free(struct extract_to *t)
{
	if (!t)
		return;
	forget_parent(t);
	if (t->stage >= 0)
		close(t->stage);
	if (t->stage_name[0] != '\0')
		remove_at(t->target, t->stage_name);
	if (t->target >= 0)
		close(t->target);
	for (size_t i = 0; i < t->nfolders; i++)
		free(t->folders[i].name);
	free(t->folders);
	free(t->parent_name);
	free(t->dir);
	free(t);
}

// ---- moving to the final names

static int merge_folder(const struct extract_to *t, int from, int to, struct err *e);

static bool is_folder_at(int folder, const char *name)
{
	struct stat st;

	return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static int move_folder(const struct extract_to *t, int from, int to, const char *name,
		       struct err *e)
{
	int how = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

	if (!is_folder_at(to, name)) {
		if (unlinkat(to, name, 0) < 0 && errno != ENOENT)
			return err_os(e, ERR_IO, "cannot replace '%s'", name);
		if (renameat(from, name, to, name) < 0)
			return err_os(e, ERR_IO, "cannot create '%s'", name);
		return 0;
	}
	auto_fd int src = openat(from, name, how);
	auto_fd int dst = openat(to, name, how);

	if (src < 0 || dst < 0)
		return err_os(e, ERR_IO, "cannot open '%s'", name);
	return merge_folder(t, src, dst, e);
}

static int move_entry(const struct extract_to *t, int from, int to, const char *name, struct err *e)
{
	if (is_folder_at(from, name))
		return move_folder(t, from, to, name, e);
	if (renameat(from, name, to, name) == 0)
		return 0;
	if (errno == EISDIR || errno == ENOTEMPTY || errno == EEXIST)
		return err_set(e, ERR_IO, "'%s' is a folder in '%s' and a file in the image", name,
			       t->dir);
	return err_os(e, ERR_IO, "cannot create '%s'", name);
}

static int merge_entries(const struct extract_to *t, DIR *d, int to, struct err *e)
{
	const struct dirent *entry;

	while ((entry = readdir(d)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    move_entry(t, dirfd(d), to, entry->d_name, e) < 0)
			return -1;
	return 0;
}

static int merge_folder(const struct extract_to *t, int from, int to, struct err *e)
{
	DIR *d = list(from);

	if (!d)
		return err_os(e, ERR_IO, "cannot read a folder in '%s'", t->dir);
	int failed = merge_entries(t, d, to, e);

	closedir(d);
	return failed;
}

static int finish_folder(const struct extract_to *t, const struct folder *f, struct err *e)
{
	struct layer_entry entry = {
		.mode = f->mode, .uid = f->uid, .gid = f->gid, .mtime = f->mtime};
	auto_fd int fd = open_folder(t, t->target, f->name);

	// Replaced since by something else: it has no say any more.
	return fd < 0 ? 0 : set_owner(t, fd, &entry, MODE_FOLDER, f->name, e);
}

int extract_to_commit(struct extract_to *t, struct err *e)
{
	forget_parent(t);
	if (syncfs(t->stage) < 0)
		return err_os(e, ERR_IO, "cannot write to '%s'", t->dir);
	if (merge_folder(t, t->stage, t->target, e) < 0)
		return -1;
	// Inner folders first: writing to a folder changes its time.
	for (size_t i = t->nfolders; i-- > 0;)
		if (finish_folder(t, &t->folders[i], e) < 0)
			return -1;
	return 0;
}
