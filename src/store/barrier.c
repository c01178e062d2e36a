// SPDX-License-Identifier: Apache-2.0
// Barriers: what a batch holds is made durable, and only then gets its names.
#include "store/internal.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fs.h"
#include "util/trace.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

// Bytes that the machine has still to write, of all filesystems; 0 when nobody says.
static uint64_t dirty_bytes(void)
{
	auto_buf struct buf text = BUF_INIT((size_t)1 << 16);
	struct err ignored;
	uint64_t total = 0;

	if (fs_read_file(&text, "/proc/meminfo", &ignored) < 0)
		return 0;
	for (struct str rest = buf_str(&text); rest.p;) {
		struct str line = str_cut(&rest, '\n'), key = str_cut(&line, ':');
		struct str value = str_trim(line);
		uint64_t kib;

		if ((str_eqz(key, "Dirty") || str_eqz(key, "Writeback")) &&
		    str_u64(str_cut(&value, ' '), UINT64_MAX / 4096, &kib))
			total += kib * 1024;
	}
	return total;
}

// syncfs waits for everybody's data. It pays when most of what is dirty is ours.
static bool others_are_busy(const struct store *s, uint64_t ours)
{
	return dirty_bytes() > 2 * ours + s->busy_bytes;
}

static int sync_failed(struct store *s, const struct staged *it, struct err *e)
{
	auto_free char *what =
		xasprintf("%s %s", it->kind == STAGED_BLOB ? "blob" : "manifest", it->digest.text);

	return err_space(s, it->size, what, e);
}

// Filesystems whose syncfs makes everything durable; on others it may do nothing.
static bool syncfs_is_enough(const struct store *s)
{
	enum { EXT4 = 0xef53, XFS = 0x58465342 };
	struct statfs v;

	return s->kind == STORE_LAYOUT_LINKED && fstatfs(s->state_fd, &v) == 0 &&
	       (v.f_type == EXT4 || v.f_type == XFS || v.f_type == BTRFS_SUPER_MAGIC);
}

// WRITTEN: it is on the disk already if it could be written, and is asked for its error only. An
// fdatasync would empty the disk's cache once more for each file.
static int sync_fd(int fd, bool written)
{
	if (written && sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE) == 0)
		return 0;
	return written && errno == EIO ? -1 : fdatasync(fd);
}

static int sync_item(struct store *s, const struct staged *it, bool written, struct err *e)
{
	for (unsigned i = 0; i < (it->pieces ? it->pieces : 1); i++) {
		auto_free char *name = piece_name(it->file, it->pieces, i);
		bool held = it->fd >= 0 && i == 0;
		auto_fd int fd = held ? -1
				      : openat(s->state_fd, name,
					       O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

		if ((!held && fd < 0) || sync_fd(held ? it->fd : fd, written) < 0)
			return sync_failed(s, it, e);
	}
	return 0;
}

// ---- whose fault it is

static void settle(struct waiter *w, int r, const struct err *e)
{
	w->failed = r < 0;
	if (r < 0)
		w->e = *e;
}

// Nothing of W gets a name.
static void expel(struct store *s, struct batch *b, struct waiter *w, const struct err *e)
{
	trace("store", "%s", e->text);
	pthread_mutex_lock(&s->lock);
	for (struct staged **at = &b->first; *at;) {
		struct staged *it = *at;

		if (it->waiter != w) {
			at = &it->next;
			continue;
		}
		*at = it->next;
		it->failed = true;
		it->next = b->failed;
		b->failed = it;
	}
	pthread_mutex_unlock(&s->lock);
	settle(w, -1, e);
}

// ---- data

static int sync_data(struct store *s, struct batch *b, struct err *e)
{
	struct staged *next;
	bool written = false;

	// One pass for all of it; then each file is asked for its own error.
	if (b->files >= STORE_SMALL_BATCH && !others_are_busy(s, b->bytes)) {
		if (syncfs(s->state_fd) < 0)
			return err_space(s, b->bytes, "the batch", e);
		written = syncfs_is_enough(s);
	}
	for (struct staged *it = b->first; it; it = next) {
		struct waiter *w = it->waiter;

		next = it->next;
		if (!it->file || sync_item(s, it, written, e) == 0)
			continue;
		if (!w)
			return -1;
		while (next && next->waiter == w)
			next = next->next;
		expel(s, b, w, e);
	}
	return 0;
}

// ---- folders

static int sync_folders(struct store *s, int root, struct strlist *paths, struct err *e)
{
	if (paths->n > STORE_SMALL_BATCH && !others_are_busy(s, 0)) {
		if (syncfs(root) < 0)
			return err_os(e, ERR_IO, "cannot sync '%s'", s->dir);
		return 0;
	}
	for (size_t i = 0; i < paths->n; i++) {
		auto_fd int fd = open_folder(root, paths->v[i], false, NULL);

		// Some network filesystems refuse to sync folders.
		if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL && errno != ENOTSUP))
			return err_os(e, ERR_IO, "cannot sync folder '%s' of '%s'", paths->v[i],
				      s->dir);
	}
	return 0;
}

int barrier_sync_folders(struct store *s, int root, struct strlist *paths, struct err *e)
{
	struct strlist *again = &s->unsynced[root == s->state_fd];

	strlist_sort(paths);
	strlist_unique(paths);
	if (sync_folders(s, root, paths, e) == 0)
		return 0;
	for (size_t i = 0; s->kind == STORE_LAYOUT_LINKED && i < paths->n; i++)
		strlist_add(again, paths->v[i]);
	return -1;
}

static bool any_unsynced(const struct store *s)
{
	return s->unsynced[0].n + s->unsynced[1].n > 0;
}

// What an earlier barrier could not make durable. Until that is done nothing new is promised, since
// it may rest on those names.
static int sync_again(struct store *s, struct err *e)
{
	const int roots[] = {s->v2_fd, s->state_fd};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
		auto_strlist struct strlist old = s->unsynced[i], paths = {0};

		s->unsynced[i] = (struct strlist){0};
		for (size_t k = 0; k < old.n; k++) {
			auto_fd int fd = open_folder(roots[i], old.v[k], false, NULL);

			if (fd >= 0 || errno != ENOENT)
				strlist_add(&paths, old.v[k]);
		}
		if (paths.n > 0 && barrier_sync_folders(s, roots[i], &paths, e) < 0)
			r = -1;
	}
	return r;
}

// ---- names

// Gives names to what belongs to W alone, and hides all else for that time.
static int name_alone(struct store *s, struct batch *b, struct waiter *w, struct err *e)
{
	struct staged *mine = NULL, **last = &mine, *others = NULL, **others_last = &others;

	pthread_mutex_lock(&s->lock);
	for (struct staged *it = b->first; it; it = it->next) {
		struct staged ***end = it->waiter == w ? &last : &others_last;

		**end = it;
		*end = &it->next;
	}
	*last = *others_last = NULL;
	b->first = mine;
	pthread_mutex_unlock(&s->lock);
	int r = s->layout->name_batch(s, b, e);

	pthread_mutex_lock(&s->lock);
	*last = others;
	b->first = mine ? mine : others;
	pthread_mutex_unlock(&s->lock);
	return r;
}

static int name_items(struct store *s, struct batch *b, struct err *e)
{
	if (s->layout->name_batch(s, b, e) == 0)
		return 0;
	if (any_unsynced(s) || !b->waiters)
		return -1;
	// Somebody's name is impossible: the others shall not suffer from it.
	for (struct waiter *w = b->waiters; w; w = w->next) {
		if (w->failed || name_alone(s, b, w, e) == 0)
			continue;
		expel(s, b, w, e);
		if (any_unsynced(s))
			return -1;
	}
	return b->unwaited > 0 ? name_alone(s, b, NULL, e) : 0;
}

// ---- the barrier

static struct batch *take_batch(struct store *s)
{
	struct batch *b = NULL;

	pthread_mutex_lock(&s->lock);
	if (s->batch->items > 0 && (s->failed.kind == ERR_NONE || s->batch->waiters)) {
		b = s->naming = s->batch;
		s->batch = batch_new();
		s->barriers++;
		s->waited = b->nwaiters;
	}
	pthread_mutex_unlock(&s->lock);
	return b;
}

static int get_failed(struct store *s, struct err *e)
{
	pthread_mutex_lock(&s->lock);
	struct err failed = s->failed;

	pthread_mutex_unlock(&s->lock);
	if (failed.kind == ERR_NONE)
		return 0;
	*e = failed;
	return -1;
}

int barrier_run(struct store *s, struct err *e)
{
	struct batch *b = take_batch(s);
	uint64_t start = clock_us(), synced;
	int r;

	if (!b)
		return get_failed(s, e);
	r = get_failed(s, e);
	if (r == 0)
		r = sync_again(s, e);
	if (r == 0)
		r = sync_data(s, b, e);
	synced = clock_us();
	if (r == 0)
		r = name_items(s, b, e);
	trace("store",
	      "barrier: %zu items, %zu files, %" PRIu64 " bytes; data %" PRIu64
	      " us, names %" PRIu64 " us",
	      b->items, b->files, b->bytes, synced - start, clock_us() - synced);
	pthread_mutex_lock(&s->lock);
	s->naming = NULL;
	// Whoever does not wait believes that it was put.
	if (r < 0 && b->unwaited > 0)
		s->failed = *e;
	// The waiter is gone as soon as it may look.
	for (struct waiter *w = b->waiters, *next; w; w = next) {
		next = w->next;
		if (!w->failed)
			settle(w, r, e);
		w->done = true;
	}
	pthread_cond_broadcast(&s->settled);
	pthread_mutex_unlock(&s->lock);
	bool tell = b->unwaited > 0;

	batch_free(s, b, r < 0);
	return tell ? r : 0;
}

// As many as waited last time are likely to come again within a moment.
static void let_others_join(struct store *s)
{
	uint64_t start = clock_us();
	bool enough = false;

	while (!enough && clock_us() - start < STORE_JOIN_US) {
		pthread_mutex_lock(&s->lock);
		enough = s->batch->nwaiters >= s->waited;
		pthread_mutex_unlock(&s->lock);
		if (!enough)
			sched_yield();
	}
}

// One of those who wait runs the barrier; the others go on together when it is over.
int barrier_wait(struct store *s, struct waiter *w, struct err *e)
{
	struct err theirs;

	pthread_mutex_lock(&s->lock);
	while (!w->done) {
		if (s->leading) {
			pthread_cond_wait(&s->settled, &s->lock);
			continue;
		}
		s->leading = true;
		pthread_mutex_unlock(&s->lock);
		let_others_join(s);
		pthread_mutex_lock(&s->flush_lock);
		if (barrier_run(s, &theirs) < 0)
			trace("store", "barrier: %s", theirs.text);
		pthread_mutex_unlock(&s->flush_lock);
		pthread_mutex_lock(&s->lock);
		s->leading = false;
		pthread_cond_broadcast(&s->settled);
	}
	pthread_mutex_unlock(&s->lock);
	if (w->failed)
		*e = w->e;
	return w->failed ? -1 : 0;
}

int barrier_now(struct store *s, bool seal, struct err *e)
{
	pthread_mutex_lock(&s->flush_lock);
	int r = barrier_run(s, e);

	if (r == 0 && seal)
		r = s->layout->seal(s, e);
	pthread_mutex_unlock(&s->flush_lock);
	return r;
}

enum due { NOT_DUE, DUE, OVERDUE };

static enum due due(struct store *s)
{
	enum due r = NOT_DUE;

	pthread_mutex_lock(&s->lock);
	const struct batch *b = s->batch;

	if (b->items > 0 &&
	    (b->bytes >= s->barrier_bytes || b->held >= s->held_max ||
	     b->files >= STORE_BATCH_FILES_MAX || clock_us() - b->since_us >= s->barrier_us))
		r = DUE;
	if (b->bytes >= 2 * s->barrier_bytes || b->held >= 2 * s->held_max)
		r = OVERDUE;
	pthread_mutex_unlock(&s->lock);
	return r;
}

// The thread whose put fills a batch closes it; the others go on with the next one, until that is
// full as well.
int barrier_if_due(struct store *s, struct err *e)
{
	enum due d = due(s);

	if (d == NOT_DUE)
		return 0;
	if (d == OVERDUE)
		return barrier_now(s, false, e);
	if (pthread_mutex_trylock(&s->flush_lock) != 0)
		return 0;
	int r = barrier_run(s, e);

	pthread_mutex_unlock(&s->flush_lock);
	return r;
}

int store_sync(struct store *s, struct err *e)
{
	if (s->mode != STORE_WRITE)
		return 0;
	return barrier_now(s, true, e);
}
