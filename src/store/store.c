// SPDX-License-Identifier: Apache-2.0
// Opening a store: whose it is, which layout it has or gets, and what the layouts share.
#include "store/store.h"

#include "store/linked.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fs.h"
#include "util/trace.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <time.h>

enum {
	FORMAT_MAX = 256,
	PROBE_TRIES = 16,
	FOLDER_FLAGS = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW
};

static const struct layout *const layouts[] = {
	[STORE_LAYOUT_OC] = &layout_oc,
	[STORE_LAYOUT_PORTABLE] = &layout_portable,
	[STORE_LAYOUT_LINKED] = &layout_linked,
	[STORE_LAYOUT_OCI] = &layout_oci,
};

// ---- small helpers

static char *random_name(void)
{
	unsigned char raw[8];
	char hex[2 * sizeof(raw) + 1];

	if (getrandom(raw, sizeof(raw), 0) != sizeof(raw))
		abort();
	for (size_t i = 0; i < sizeof(raw); i++)
		snprintf(hex + 2 * i, 3, "%02x", raw[i]);
	return xstrdup(hex);
}

int file_replace(struct store *s, int dir, const char *name, struct str bytes, struct err *e)
{
	auto_free char *file = NULL;
	auto_fd int fd = stage_temp(s, &file, e);

	if (fd < 0)
		return -1;
	if (fs_write_all(fd, bytes.p, bytes.n, name, e) == 0) {
		if (fdatasync(fd) == 0 && renameat(s->state_fd, file, dir, name) == 0) {
			fsync(dir);
			return 0;
		}
		err_os(e, ERR_IO, "cannot write '%s'", name);
	}
	unlinkat(s->state_fd, file, 0);
	return -1;
}

static int wrong_owner(struct store *s, uid_t owner, uid_t us, struct err *e)
{
	return err_set(e, ERR_DENIED,
		       "'%s' belongs to user %u, and a store has one owner: run as that user, or "
		       "'chown -R %u %s' first",
		       s->dir, (unsigned)owner, (unsigned)us, s->dir);
}

// Why we cannot write to the folder of FD; errno is the cause.
static int not_writable(struct store *s, int fd, struct err *e)
{
	struct stat st;
	int cause = errno;

	if ((cause == EACCES || cause == EPERM) && fstat(fd, &st) == 0 && st.st_uid != geteuid())
		return wrong_owner(s, st.st_uid, geteuid(), e);
	errno = cause;
	return err_os(e, ERR_IO, "cannot write to '%s'", s->dir);
}

// ---- what the filesystem can do

struct ability {
	bool colon, symlinks, links, cases;
	uid_t uid; // of what we create there
};

static bool can_create(int dir, const char *name)
{
	auto_fd int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	return fd >= 0;
}

#define PROBE_PREFIX ".ferry-"

// Those of dead processes.
static int remove_dead_probe(void *arg, const struct folder_entry *entry, struct err *e)
{
	struct store *s = arg;

	(void)e;
	if (entry->type != DT_DIR || !starts_with(entry->name, PROBE_PREFIX))
		return 0;
	auto_fd int fd = openat(s->dir_fd, entry->name, FOLDER_FLAGS);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		folder_remove(s->dir_fd, entry->name);
	return 0;
}

static bool exists(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int try_names(struct store *s, const char *folder, struct ability *ret, bool *ret_valid,
		     struct err *e)
{
	auto_fd int fd = -1;
	struct stat st;

	if (mkdirat(s->dir_fd, folder, 0700) < 0)
		return not_writable(s, s->dir_fd, e);
	fd = openat(s->dir_fd, folder, FOLDER_FLAGS);
	*ret_valid = fd >= 0 && fstat(fd, &st) == 0;
	if (!*ret_valid)
		return 0;
	flock(fd, LOCK_EX | LOCK_NB);
	if (!can_create(fd, "x") && exists(s->dir_fd, folder))
		return not_writable(s, s->dir_fd, e);
	ret->uid = st.st_uid;
	ret->colon = can_create(fd, "a:b");
	ret->symlinks = symlinkat("a:b", fd, "link") == 0;
	ret->links = linkat(fd, "x", fd, "hard", 0) == 0;
	ret->cases = can_create(fd, "X");
	// Unless another process took it for a dead one's.
	*ret_valid = exists(fd, "x");
	return 0;
}

static int probe(struct store *s, struct ability *ret, struct err *e)
{
	struct err ignored;
	bool valid = false;

	if (folder_list(s->dir_fd, "", remove_dead_probe, s, &ignored) < 0)
		trace("store", "%s", ignored.text);
	for (int i = 0; i < PROBE_TRIES && !valid; i++) {
		auto_free char *suffix = random_name();
		auto_free char *folder = xasprintf(PROBE_PREFIX "%s", suffix);
		int r = try_names(s, folder, ret, &valid, e);

		folder_remove(s->dir_fd, folder);
		if (r < 0)
			return -1;
	}
	return valid ? 0 : err_set(e, ERR_IO, "cannot find out what '%s' can hold", s->dir);
}

static const char *filesystem_name(int fd)
{
	static const struct {
		uint32_t magic;
		const char *name;
	} known[] = {{0x2011bab0, "exFAT"},
		     {0x4d44, "FAT"},
		     {0x5346544e, "NTFS"},
		     {0x7366746e, "NTFS"},
		     {0xff534d42, "SMB"},
		     {0xfe534d42, "SMB"},
		     {0x65735546, "a FUSE filesystem"}};
	struct statfs v;

	for (size_t i = 0; fstatfs(fd, &v) == 0 && i < ARRAY_SIZE(known); i++)
		if ((uint32_t)v.f_type == known[i].magic)
			return known[i].name;
	return "a filesystem";
}

// The reason why the oc layout is impossible; NULL when it is possible.
static const char *oc_obstacle(const struct ability *a)
{
	if (!a->colon)
		return a->symlinks ? "refuses ':' in names" : "refuses links and ':' in names";
	if (!a->symlinks)
		return "refuses links";
	return a->cases ? NULL : "does not tell upper from lower case";
}

// ---- the layout

static enum store_layout kind_of(const struct layout *l)
{
	enum store_layout kind = STORE_LAYOUT_OC;

	while (layouts[kind] != l)
		kind++;
	return kind;
}

static int read_format(struct store *s, const char *state, struct buf *ret, struct err *e)
{
	auto_free char *path = xasprintf("%s/format", state);
	auto_content struct content c = {0};

	if (content_open(&c, s->dir_fd, path, e) < 0)
		return -1;
	return content_read(&c, FORMAT_MAX, ret, e);
}

static bool is_format(const struct layout *l, const char *state, struct str line)
{
	return l && l->format && strcmp(l->state, state) == 0 &&
	       str_starts(line, str_of(l->format)) &&
	       (line.n == strlen(l->format) || line.p[strlen(l->format)] == ' ');
}

// Looks for a store of ours in folder STATE. A format of a later version is refused by name.
static int recognise(struct store *s, const char *state, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(FORMAT_MAX);

	if (read_format(s, state, &text, e) < 0)
		return e->kind == ERR_NOT_FOUND ? 0 : err_wrap(e, "'%s'", s->dir);
	struct str line = buf_str(&text), rest;

	line = str_trim(str_cut(&line, '\n'));
	rest = line;
	// "store" is a name that others use as well.
	if (strcmp(state, layout_portable.state) == 0 && !str_eqz(str_cut(&rest, ' '), "portable"))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++)
		if (is_format(layouts[i], state, line)) {
			s->layout = layouts[i];
			s->kind = (enum store_layout)i;
			return 0;
		}
	return err_set(e, ERR_UNSUPPORTED,
		       "'%s' has the store format '%.*s', which this version does not know: "
		       "use a newer one",
		       s->dir, (int)(line.n > 60 ? 60 : line.n), line.p);
}

static int find_layout(struct store *s, struct err *e)
{
	s->layout = NULL;
	if (recognise(s, layout_oc.state, e) < 0)
		return -1;
	return s->layout ? 0 : recognise(s, layout_portable.state, e);
}

// Only the server asks for the linked layout, and copying does not make one.
static int not_for_server(struct store *s, struct err *e)
{
	return err_set(e, ERR_USAGE,
		       "'%s' has the %s layout, into which a server does not write: serve it as a "
		       "read-only ROOT, or use 'ferry store copy --layout=oc %s NEW-FOLDER' and "
		       "serve that",
		       s->dir, s->layout->name, s->dir);
}

static int other_layout(struct store *s, enum store_layout wanted, struct err *e)
{
	const char *name = layouts[wanted]->name;

	if (wanted == STORE_LAYOUT_LINKED)
		return not_for_server(s, e);
	return err_set(
		e, ERR_USAGE,
		"'%s' has the %s layout: use 'ferry store copy --layout=%s %s NEW-FOLDER' to "
		"get it in the %s layout",
		s->dir, s->layout->name, name, s->dir, name);
}

// The filesystem can hold a server's store.
static int linkable(struct store *s, const struct ability *can, struct err *e)
{
	const char *obstacle = oc_obstacle(can);

	if (!obstacle && can->links)
		return 0;
	return err_set(e, ERR_UNSUPPORTED,
		       "'%s' cannot hold a server's store: it is on %s, which %s; use a folder on "
		       "another filesystem, and serve what is here as a read-only ROOT",
		       s->dir, filesystem_name(s->dir_fd),
		       obstacle ? obstacle : "refuses hard links");
}

// Chooses for a folder that has no store of ours yet.
static int choose_layout(struct store *s, enum store_layout wanted, struct buf *notice,
			 struct err *e)
{
	struct ability can = {0};
	struct stat v2;
	bool tree = fstatat(s->dir_fd, "v2", &v2, AT_SYMLINK_NOFOLLOW) == 0;

	if (probe(s, &can, e) < 0)
		return -1;
	if (tree && v2.st_uid != can.uid)
		return wrong_owner(s, v2.st_uid, can.uid, e);
	const char *obstacle = oc_obstacle(&can);

	s->kind = wanted;
	if (wanted == STORE_LAYOUT_AUTO)
		s->kind = obstacle ? STORE_LAYOUT_PORTABLE : STORE_LAYOUT_OC;
	s->layout = layouts[s->kind];
	if (s->kind == STORE_LAYOUT_LINKED)
		return linkable(s, &can, e);
	if (s->kind == STORE_LAYOUT_OC && obstacle)
		return err_set(
			e, ERR_UNSUPPORTED,
			"'%s' cannot hold the oc layout: it is on %s, which %s; use --layout=portable",
			s->dir, filesystem_name(s->dir_fd), obstacle);
	if (s->kind == STORE_LAYOUT_PORTABLE && tree) {
		s->layout = &layout_oc;
		return other_layout(s, STORE_LAYOUT_PORTABLE, e);
	}
	if (s->kind == STORE_LAYOUT_PORTABLE && wanted == STORE_LAYOUT_AUTO)
		buf_printf(notice, "'%s' is on %s, which %s: writing the portable layout", s->dir,
			   filesystem_name(s->dir_fd), obstacle);
	return 0;
}

// ---- our own folder

// Those of dead processes.
static int remove_dead_temp(void *arg, const struct folder_entry *entry, struct err *e)
{
	struct store *s = arg;
	auto_free char *path = xasprintf("tmp/%s", entry->name);
	auto_fd int fd = entry->type == DT_DIR ? open_folder(s->state_fd, path, false, NULL) : -1;

	(void)e;
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		folder_remove(s->state_fd, path);
	return 0;
}

static bool still_there(int root, const char *path, int fd)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && fstatat(root, path, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_ino == b.st_ino;
}

// A folder for our temporary files, locked as long as we live.
static int make_temp(struct store *s, struct err *e)
{
	for (;;) {
		auto_free char *name = random_name();
		auto_free char *path = xasprintf("tmp/%s", name);

		if (mkdirat(s->state_fd, path, 0755) < 0)
			return not_writable(s, s->state_fd, e);
		auto_fd int fd = openat(s->state_fd, path, FOLDER_FLAGS);

		if (fd < 0)
			continue;
		s->locks = flock(fd, LOCK_EX | LOCK_NB) == 0;
		// Whoever clears away the dead may have caught it first.
		if (!s->locks && errno == EWOULDBLOCK)
			continue;
		if (!still_there(s->state_fd, path, fd))
			continue;
		s->tmp = steal(&path);
		s->tmp_fd = fd;
		fd = -1;
		return 0;
	}
}

static int check_owner(struct store *s, struct err *e)
{
	struct stat ours, theirs;

	if (fstat(s->tmp_fd, &ours) < 0 || fstat(s->state_fd, &theirs) < 0)
		return err_os(e, ERR_IO, "cannot read '%s'", s->dir);
	return ours.st_uid == theirs.st_uid ? 0 : wrong_owner(s, theirs.st_uid, ours.st_uid, e);
}

static int write_format(struct store *s, bool again, struct err *e)
{
	auto_free char *path = xasprintf("%s/format", s->layout->state);
	auto_free char *a = random_name(), *b = random_name();
	auto_free char *text = s->kind != STORE_LAYOUT_PORTABLE
				       ? xasprintf("%s\n", s->layout->format)
				       : xasprintf("%s %.8s-%.4s-%.4s-%.4s-%s\n", s->layout->format,
						   a, a + 8, a + 12, b, b + 4);

	if (!again && faccessat(s->dir_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return file_replace(s, s->state_fd, "format", str_of(text), e);
}

// A shared lock on the state folder as long as we live: whoever would take an empty store away, or
// change its layout, needs it alone. ALONE is for the latter; *ret_alone says whether it is needed
// still, since another process may have done the work meanwhile.
static int lock_state(struct store *s, int fd, bool alone, bool *ret_alone, struct err *e)
{
	const struct timespec step = {.tv_nsec = 20 * 1000 * 1000};
	const struct layout *wanted = s->layout;
	uint64_t start = clock_us();

	for (; alone; nanosleep(&step, NULL)) {
		// A filesystem without locks has no other process that we could know of.
		bool got = flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;

		if (find_layout(s, e) < 0)
			return -1;
		bool done = s->layout == wanted;

		s->layout = wanted;
		s->kind = kind_of(wanted);
		*ret_alone = got && !done;
		if (done)
			break;
		if (got)
			return 0;
		if (cancelled(s->cancel))
			return err_cancelled(e);
		if (clock_us() - start > (uint64_t)STORE_PART_WAIT_MS * 1000)
			return err_set(e, ERR_BUSY,
				       "another process writes to '%s', which is to become a "
				       "server's store: try again when it is done",
				       s->dir);
	}
	while (flock(fd, LOCK_SH) < 0 && errno == EINTR)
		if (cancelled(s->cancel))
			return err_cancelled(e);
	return 0;
}

static int open_state(struct store *s, bool alone, bool *ret_alone, struct err *e)
{
	for (;;) {
		if (mkdirat(s->dir_fd, s->layout->state, 0755) == 0)
			s->made_state = true;
		else if (errno != EEXIST)
			return not_writable(s, s->dir_fd, e);
		auto_fd int fd = openat(s->dir_fd, s->layout->state, FOLDER_FLAGS);

		if (fd < 0)
			return err_os(e, ERR_IO, "cannot open '%s/%s'", s->dir, s->layout->state);
		if (lock_state(s, fd, alone, ret_alone, e) < 0)
			return -1;
		if (!still_there(s->dir_fd, s->layout->state, fd))
			continue;
		s->state_fd = fd;
		fd = -1;
		return 0;
	}
}

// While we waited for the lock another process may have given the store its layout.
static int look_again(struct store *s, enum store_layout wanted, struct err *e)
{
	const struct layout *chosen = s->layout;

	if (find_layout(s, e) < 0)
		return -1;
	if (!s->layout) {
		s->layout = chosen;
		s->kind = kind_of(chosen);
	}
	return wanted == STORE_LAYOUT_AUTO || wanted == s->kind ? 0 : other_layout(s, wanted, e);
}

static int prepare_state(struct store *s, struct err *e)
{
	static const char *const subs[] = {"tmp", "part"};
	struct err ignored;

	for (size_t i = 0; i < ARRAY_SIZE(subs); i++)
		if (mkdirat(s->state_fd, subs[i], 0755) < 0 && errno != EEXIST)
			return not_writable(s, s->state_fd, e);
	if (make_temp(s, e) < 0 || check_owner(s, e) < 0)
		return -1;
	if (folder_list(s->state_fd, "tmp", remove_dead_temp, s, &ignored) < 0)
		trace("store", "%s", ignored.text);
	return 0;
}

// ---- open and close

// Makes the folder, and its name durable as well.
static int make_dir(struct store *s, struct err *e)
{
	auto_free char *there = fs_existing_parent(s->dir);
	auto_free char *at = xstrdup(s->dir);

	if (fs_mkdirs(s->dir, 0755, e) < 0)
		return -1;
	s->stood = xstrdup(there);
	while (strcmp(at, there) != 0 && strcmp(at, ".") != 0 && strcmp(at, "/") != 0) {
		char *up = xstrdup(dirname(at));

		free(at);
		at = up;
		if (fs_sync_dir(at, e) < 0)
			return -1;
	}
	return 0;
}

static int open_dir(struct store *s, struct err *e)
{
	if (s->mode == STORE_WRITE && make_dir(s, e) < 0)
		return -1;
	s->dir_fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir_fd < 0)
		return err_os(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO,
			      "cannot open folder '%s'", s->dir);
	return 0;
}

static bool is_oci(struct store *s)
{
	return !exists(s->dir_fd, "v2") && exists(s->dir_fd, "oci-layout");
}

static int open_for_reading(struct store *s, enum store_layout wanted, struct buf *notice,
			    struct err *e)
{
	if (!s->layout) {
		// A tree of the reference, or an empty folder.
		s->kind = is_oci(s) ? STORE_LAYOUT_OCI : STORE_LAYOUT_OC;
		s->layout = layouts[s->kind];
		assert(s->layout);
	}
	if (wanted != STORE_LAYOUT_AUTO && wanted != s->kind)
		return other_layout(s, wanted, e);
	s->state_fd = openat(s->dir_fd, s->layout->state, FOLDER_FLAGS);
	if (s->state_fd < 0 && errno != ENOENT)
		return err_os(e, ERR_IO, "cannot open '%s/%s'", s->dir, s->layout->state);
	return s->layout->open(s, notice, e);
}

// A tree without a pool becomes a server's store. The new format is written last, so that an
// interrupted conversion is gone on with.
static int convert(struct store *s, struct buf *notice, struct err *e)
{
	if (s->layout->open(s, notice, e) < 0 || linked_adopt(s, notice, e) < 0 ||
	    write_format(s, true, e) < 0)
		return -1;
	flock(s->state_fd, LOCK_SH);
	return 0;
}

static int open_for_writing(struct store *s, enum store_layout wanted, struct buf *notice,
			    struct err *e)
{
	bool alone = wanted == STORE_LAYOUT_LINKED && s->layout != &layout_linked;
	struct ability can = {0};

	if (wanted == STORE_LAYOUT_OCI)
		return err_set(e, ERR_UNSUPPORTED, "'%s': OCI layouts are only read", s->dir);
	if (!s->layout && choose_layout(s, wanted, notice, e) < 0)
		return -1;
	if (alone && s->layout == &layout_oc) {
		if (probe(s, &can, e) < 0 || linkable(s, &can, e) < 0)
			return -1;
		s->kind = STORE_LAYOUT_LINKED;
		s->layout = &layout_linked;
	}
	if (wanted != STORE_LAYOUT_AUTO && wanted != s->kind)
		return other_layout(s, wanted, e);
	if (open_state(s, alone, &alone, e) < 0 || (!alone && look_again(s, wanted, e) < 0) ||
	    prepare_state(s, e) < 0)
		return -1;
	if (alone)
		return convert(s, notice, e);
	return write_format(s, false, e) < 0 ? -1 : s->layout->open(s, notice, e);
}

static int open_store(struct store *s, enum store_layout wanted, struct buf *notice, struct err *e)
{
	if (open_dir(s, e) < 0 || find_layout(s, e) < 0)
		return -1;
	return s->mode == STORE_READ ? open_for_reading(s, wanted, notice, e)
				     : open_for_writing(s, wanted, notice, e);
}

int store_open(struct store **ret, const struct store_config *cfg, char **ret_notice, struct err *e)
{
	auto_of(store_close) struct store *s = xcalloc(1, sizeof(*s));
	struct rlimit files;
	auto_buf struct buf notice = BUF_INIT(BUF_TEXT_MAX);

	s->dir = xstrdup(cfg->dir);
	s->mode = cfg->mode;
	s->pool = cfg->pool;
	s->cancel = cfg->cancel;
	s->dir_fd = s->state_fd = s->v2_fd = s->tmp_fd = -1;
	s->piece_bytes = UINT64_MAX;
	s->barrier_bytes = STORE_BARRIER_BYTES;
	s->barrier_us = STORE_BARRIER_US;
	s->busy_bytes = STORE_BUSY_BYTES;
	s->held_max = STORE_HELD_MAX;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur / 8 < s->held_max)
		s->held_max = (size_t)(files.rlim_cur / 8);
	pthread_mutex_init(&s->flush_lock, NULL);
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->origin_lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	pthread_cond_init(&s->settled, NULL);
	s->batch = batch_new();
	s->referrers = referrers_new();
	if (open_store(s, cfg->layout, &notice, e) < 0)
		return -1;
	if (s->kind == STORE_LAYOUT_PORTABLE)
		s->piece_bytes = STORE_PIECE_BYTES;
	*ret_notice = notice.n ? buf_take(&notice) : NULL;
	*ret = steal(&s);
	return 0;
}

static void close_fds(struct store *s)
{
	int *fds[] = {&s->tmp_fd, &s->v2_fd, &s->state_fd, &s->dir_fd};

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (*fds[i] >= 0)
			close(*fds[i]);
}

// A run that failed before anything was kept leaves no trace of a store. Whatever is not empty, or
// in use by another process, stays.
static void remove_empty(struct store *s)
{
	if (!s->made_state || s->kind != STORE_LAYOUT_OC ||
	    flock(s->state_fd, LOCK_EX | LOCK_NB) < 0)
		return;
	if ((unlinkat(s->dir_fd, "v2", AT_REMOVEDIR) < 0 && errno != ENOENT) ||
	    unlinkat(s->state_fd, "part", AT_REMOVEDIR) < 0 ||
	    unlinkat(s->state_fd, "tmp", AT_REMOVEDIR) < 0)
		return;
	unlinkat(s->state_fd, "format", 0);
	assert(s->layout); // it names the folder that was made
	if (unlinkat(s->dir_fd, s->layout->state, AT_REMOVEDIR) < 0)
		return;
	auto_free char *at = xstrdup(s->dir);

	while (strcmp(at, s->stood) != 0 && rmdir(at) == 0) {
		char *up = xstrdup(dirname(at));

		free(at);
		at = up;
	}
}

void store_close(struct store *s)
{
	if (!s)
		return;
	batch_free(s, s->batch, true);
	uploads_release(s);
	if (s->layout)
		s->layout->close(s);
	if (s->tmp)
		folder_remove(s->state_fd, s->tmp);
	if (s->mode == STORE_WRITE && s->state_fd >= 0)
		remove_empty(s);
	close_fds(s);
	for (size_t i = 0; i < s->origins.n; i++)
		free(s->origins.entries[i].ptr);
	map_release(&s->origins);
	referrers_free(s->referrers);
	map_release(&s->verdicts);
	map_release(&s->writing);
	pthread_mutex_destroy(&s->flush_lock);
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->origin_lock);
	pthread_cond_destroy(&s->changed);
	pthread_cond_destroy(&s->settled);
	free(s->tmp);
	free(s->stood);
	free(s->dir);
	free(s);
}

const char *store_dir(const struct store *s)
{
	return s->dir;
}

enum store_layout store_layout(const struct store *s)
{
	return s->kind;
}

bool store_unfinished(const struct store *s)
{
	return s->layout->unfinished && s->layout->unfinished(s);
}

// ---- manifests and lists, staged ones included

// Where TAG points; *ret_file: BYTES are the manifest itself.
static int resolve_tag(struct store *s, const char *repo, const char *tag, struct digest *ret,
		       struct buf *bytes, bool *ret_file, struct err *e)
{
	auto_free char *key = xasprintf("t %s %s", repo, tag);
	auto_of(staged_free) struct staged *it = staged_find(s, key);

	if (!it)
		return s->layout->tag_get(s, repo, tag, ret, bytes, ret_file, e);
	*ret = it->digest;
	*ret_file = false;
	return 0;
}

static int get_by_tag(struct store *s, const char *repo, const char *tag, struct buf *ret,
		      struct digest *ret_digest, struct err *e)
{
	auto_buf struct buf file = BUF_INIT(MANIFEST_MAX);
	struct digest d;
	bool is_file;

	if (tag_check(tag, e) < 0 || resolve_tag(s, repo, tag, &d, &file, &is_file, e) < 0)
		return -1;
	if (is_file ? buf_add(ret, file.p, file.n, e) : manifest_read(s, repo, &d, ret, e))
		return err_wrap(e, "tag '%s' points at %s", tag, d.text);
	*ret_digest = d;
	return 0;
}

int store_manifest_get(struct store *s, const char *repo, const char *ref, struct buf *ret,
		       struct digest *ret_digest, struct err *e)
{
	struct digest d;

	if (repo_check(repo, e) < 0)
		return -1;
	if (!strchr(ref, ':'))
		return get_by_tag(s, repo, ref, ret, ret_digest, e);
	if (digest_parse(&d, ref, e) < 0 || manifest_read(s, repo, &d, ret, e) < 0)
		return -1;
	*ret_digest = d;
	return 0;
}

int store_tag_get(struct store *s, const char *repo, const char *tag, struct digest *ret,
		  struct err *e)
{
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);

	if (repo_check(repo, e) < 0)
		return -1;
	if (get_by_tag(s, repo, tag, &bytes, ret, e) == 0)
		return 0;
	// A put makes it good again.
	if (e->kind == ERR_DIGEST)
		e->kind = ERR_NOT_FOUND;
	return -1;
}

struct names {
	const char *repo;
	struct strlist *list;
};

static void add_tag(void *arg, const struct staged *it)
{
	struct names *n = arg;

	if (it->kind == STAGED_TAG && strcmp(it->repo, n->repo) == 0)
		strlist_add(n->list, it->text);
}

static void add_repo(void *arg, const struct staged *it)
{
	struct names *n = arg;

	if (it->kind != STAGED_ORIGIN)
		strlist_add(n->list, it->repo);
}

static void take_sorted(struct strlist *ret, struct strlist *found)
{
	strlist_sort(found);
	strlist_unique(found);
	for (size_t i = 0; i < found->n; i++)
		strlist_add(ret, found->v[i]);
}

int store_tags(struct store *s, const char *repo, struct strlist *ret, struct err *e)
{
	auto_strlist struct strlist found = {0};

	if (repo_check(repo, e) < 0)
		return -1;
	staged_each(s, add_tag, &(struct names){repo, &found});
	if (s->layout->tags(s, repo, &found, e) < 0)
		return -1;
	take_sorted(ret, &found);
	return 0;
}

int store_repositories(struct store *s, struct strlist *ret, struct err *e)
{
	auto_strlist struct strlist found = {0};

	staged_each(s, add_repo, &(struct names){NULL, &found});
	if (s->layout->repositories(s, &found, e) < 0)
		return -1;
	take_sorted(ret, &found);
	return 0;
}
