// SPDX-License-Identifier: Apache-2.0
// Putting: bytes are written and checked at once, and wait in a batch for their names.
//
// A blob that is worth resuming is written to part/<digest>, which one writer at a time locks;
// the lock is kept until the name is there, so that nobody resumes what is already complete.
// Everything else goes to a temporary file in a folder of our own.
#include "store/internal.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fs.h"
#include "util/trace.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <time.h>

// ---- pieces: FILE, or FILE.000, FILE.001, …

char *piece_name(const char *file, unsigned pieces, unsigned i)
{
	return pieces ? xasprintf("%s.%03u", file, i) : xstrdup(file);
}

void piece_unlink(int root, const char *file, unsigned pieces)
{
	for (unsigned i = 0; i < (pieces ? pieces : 1); i++) {
		auto_free char *name = piece_name(file, pieces, i);

		unlinkat(root, name, 0);
	}
}

int piece_rename(int from, const char *file, unsigned pieces, int to, const char *name)
{
	for (unsigned i = 0; i < (pieces ? pieces : 1); i++) {
		auto_free char *a = piece_name(file, pieces, i);
		auto_free char *b = piece_name(name, pieces, i);

		if (renameat(from, a, to, b) < 0)
			return -1;
	}
	return 0;
}

// Into how many a blob of SIZE is cut; 0: it is not.
static unsigned pieces_of(const struct store *s, uint64_t size)
{
	return size > s->piece_bytes ? (unsigned)((size - 1) / s->piece_bytes + 1) : 0;
}

// ---- the batch

struct batch *batch_new(void)
{
	struct batch *b = xcalloc(1, sizeof(*b));

	b->last = &b->first;
	return b;
}

struct staged *staged_new(enum staged_kind kind, const char *repo, const struct digest *d)
{
	struct staged *it = xcalloc(1, sizeof(*it));

	it->kind = kind;
	it->repo = xstrdup(repo);
	it->digest = *d;
	it->fd = -1;
	return it;
}

void staged_free(struct staged *it)
{
	if (!it)
		return;
	if (it->fd >= 0)
		close(it->fd);
	free(it->repo);
	free(it->text);
	free(it->file);
	free(it);
}

static void free_items(struct store *s, struct staged *first, bool drop)
{
	for (struct staged *it = first, *next; it; it = next) {
		next = it->next;
		// Parts stay: the next run goes on from them.
		if (drop && it->file && !starts_with(it->file, "part/"))
			piece_unlink(s->state_fd, it->file, it->pieces);
		staged_free(it);
	}
}

void batch_free(struct store *s, struct batch *b, bool drop)
{
	if (!b)
		return;
	free_items(s, b->first, drop);
	free_items(s, b->failed, true);
	map_release(&b->names);
	free(b);
}

static void set_name(struct batch *b, struct staged *it, const char *prefix, const char *name)
{
	auto_free char *key = xasprintf("%s %s %s", prefix, it->repo, name);

	map_set(&b->names, key, it);
}

static void index_staged(struct batch *b, struct staged *it)
{
	auto_free char *any = xasprintf("d %s", it->digest.text);

	if (it->kind == STAGED_TAG)
		set_name(b, it, "t", it->text);
	if (it->kind == STAGED_MANIFEST)
		set_name(b, it, "m", it->digest.text);
	if (it->kind == STAGED_BLOB || it->kind == STAGED_LINK || it->kind == STAGED_MANIFEST)
		set_name(b, it, "b", it->digest.text);
	if (it->kind == STAGED_BLOB)
		map_set(&b->names, any, it);
}

// Under lock.
static void add(struct store *s, struct staged *it)
{
	struct batch *b = s->batch;

	if (b->items++ == 0)
		b->since_us = clock_us();
	*b->last = it;
	b->last = &it->next;
	b->files += it->file != NULL;
	b->held += it->fd >= 0;
	b->bytes += it->file ? it->size : 0;
	b->unwaited += it->waiter == NULL;
	index_staged(b, it);
	if (s->layout->staged)
		s->layout->staged(s, it);
}

void stage_add(struct store *s, struct staged *it)
{
	pthread_mutex_lock(&s->lock);
	add(s, it);
	pthread_mutex_unlock(&s->lock);
}

void stage_for(struct store *s, struct waiter *w, struct staged **items, size_t n)
{
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < n; i++) {
		items[i]->waiter = w;
		add(s, items[i]);
	}
	w->next = s->batch->waiters;
	s->batch->waiters = w;
	s->batch->nwaiters++;
	pthread_mutex_unlock(&s->lock);
}

struct staged *staged_find(struct store *s, const char *key)
{
	struct staged *copy = NULL;

	if (s->mode != STORE_WRITE)
		return NULL;
	pthread_mutex_lock(&s->lock);
	const struct staged *it = map_get(&s->batch->names, key);

	if (!it && s->naming)
		it = map_get(&s->naming->names, key);
	if (it && !it->failed) {
		copy = staged_new(it->kind, it->repo, &it->digest);
		copy->text = it->text ? xstrdup(it->text) : NULL;
		copy->file = it->file ? xstrdup(it->file) : NULL;
		copy->pieces = it->pieces;
		copy->size = it->size;
	}
	pthread_mutex_unlock(&s->lock);
	return copy;
}

void staged_each(struct store *s, void (*fn)(void *arg, const struct staged *it), void *arg)
{
	if (s->mode != STORE_WRITE)
		return;
	pthread_mutex_lock(&s->lock);
	const struct batch *batches[] = {s->naming, s->batch};

	for (size_t i = 0; i < ARRAY_SIZE(batches); i++)
		for (const struct staged *it = batches[i] ? batches[i]->first : NULL; it;
		     it = it->next)
			fn(arg, it);
	pthread_mutex_unlock(&s->lock);
}

int stage_ready(struct store *s, const char *repo, struct err *e)
{
	struct err failed;

	if (repo_check(repo, e) < 0)
		return -1;
	if (s->mode != STORE_WRITE)
		return err_set(e, ERR_UNSUPPORTED, "'%s' was opened for reading", s->dir);
	pthread_mutex_lock(&s->lock);
	failed = s->failed;
	pthread_mutex_unlock(&s->lock);
	if (failed.kind == ERR_NONE)
		return 0;
	*e = failed;
	return -1;
}

// ---- files

// ENOSPC and its relatives deserve more than errno's words.
int err_space(struct store *s, uint64_t needed, const char *what, struct err *e)
{
	struct err why;
	uint64_t left;
	int cause = errno;

	if (cause != ENOSPC && cause != EDQUOT && cause != EFBIG)
		return err_os(e, ERR_IO, "cannot write %s to '%s'", what, s->dir);
	if (fs_free_space(s->dir, &left, &why) < 0)
		left = 0;
	err_set(e, ERR_IO, "%s: '%s' has %" PRIu64 " bytes free, and %s needs %" PRIu64 " more",
		cause == EDQUOT  ? "disk quota exceeded"
		: cause == EFBIG ? "file too large"
				 : "no space left on device",
		s->dir, left, what, needed);
	e->os = cause;
	return -1;
}

char *stage_temp_name(struct store *s)
{
	return xasprintf("%u", atomic_fetch_add(&s->serial, 1));
}

int stage_temp(struct store *s, char **ret_file, struct err *e)
{
	auto_free char *name = stage_temp_name(s);
	int fd = openat(s->tmp_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0)
		return err_space(s, 0, "a temporary file", e);
	*ret_file = xasprintf("%s/%s", s->tmp, name);
	return fd;
}

// A blob being written.
struct part {
	struct store *store;
	const struct descriptor *d;
	char *file;      // below the state folder
	unsigned pieces; // 0: one file
	uint64_t piece;  // bytes of all pieces but the last
	uint64_t at;     // bytes written
	int fd;          // the piece that is being written
	unsigned open;   // its number
	int lock;        // the first piece of a part; or -1
	uint64_t pushed; // bytes whose way to the disk has begun
};

static void part_close(struct part *p)
{
	if (p->fd >= 0)
		close(p->fd);
	if (p->lock >= 0)
		close(p->lock);
	free(p->file);
}

static void part_closep(struct part *p)
{
	int saved = errno;

	part_close(p);
	errno = saved;
}
#define auto_part __attribute__((cleanup(part_closep)))

static void part_drop(struct part *p)
{
	piece_unlink(p->store->state_fd, p->file, p->pieces);
}

static int cannot_write(struct part *p, struct err *e)
{
	auto_free char *what = xasprintf("blob %s", p->d->digest.text);

	err_space(p->store, p->d->size - p->at, what, e);
	return -1;
}

// Makes piece I the one that is written to.
static int open_piece(struct part *p, unsigned i, int flags, struct err *e)
{
	auto_free char *name = piece_name(p->file, p->pieces, i);

	if (p->fd >= 0)
		close(p->fd);
	p->fd = openat(p->store->state_fd, name,
		       O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags, 0644);
	p->open = i;
	return p->fd < 0 ? cannot_write(p, e) : 0;
}

// Starts the way to the disk early, so that a barrier has little left to wait for.
static void push(struct part *p)
{
	enum { STEP = 8 << 20 };

	if (p->pieces || p->at - p->pushed < STEP)
		return;
	sync_file_range(p->fd, (off_t)p->pushed, (off_t)(p->at - p->pushed), SYNC_FILE_RANGE_WRITE);
	p->pushed = p->at;
}

static int part_write(struct part *p, const unsigned char *data, size_t n, struct err *e)
{
	while (n > 0) {
		uint64_t in_piece = p->pieces ? p->at % p->piece : 0;
		uint64_t room = p->pieces ? p->piece - in_piece : n;

		if (p->pieces && in_piece == 0 && p->at > 0 &&
		    open_piece(p, (unsigned)(p->at / p->piece), O_CREAT | O_TRUNC, e) < 0)
			return -1;
		ssize_t done = write(p->fd, data, room < n ? (size_t)room : n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return cannot_write(p, e);
		data += done;
		n -= (size_t)done;
		p->at += (uint64_t)done;
	}
	push(p);
	return 0;
}

// ---- the lock on a part

enum part_state { PART_OURS, PART_TAKEN, PART_UNLOCKABLE };

static bool same_file(int fd, int root, const char *name)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && fstatat(root, name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino && S_ISREG(a.st_mode);
}

// Opens and locks the first piece. RET_SIZE: how far the other process is.
static int part_lock(struct part *p, enum part_state *ret, uint64_t *ret_size, struct err *e)
{
	int root = p->store->state_fd;
	auto_free char *name = piece_name(p->file, p->pieces, 0);
	struct stat st;

	for (;;) {
		if (open_piece(p, 0, O_CREAT, e) < 0)
			return -1;
		*ret_size = fstat(p->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
		if (flock(p->fd, LOCK_EX | LOCK_NB) < 0) {
			*ret = errno == EWOULDBLOCK ? PART_TAKEN : PART_UNLOCKABLE;
			return 0;
		}
		// It may have got its name between open and lock.
		if (!same_file(p->fd, root, name))
			continue;
		// A second name would show our bytes elsewhere before they are checked.
		if (fstat(p->fd, &st) == 0 && st.st_nlink > 1) {
			unlinkat(root, name, 0);
			continue;
		}
		p->lock = p->pieces ? fcntl(p->fd, F_DUPFD_CLOEXEC, 0) : p->fd;
		if (p->lock < 0)
			return cannot_write(p, e);
		*ret = PART_OURS;
		return 0;
	}
}

static void part_unopen(struct part *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

static int temp_instead(struct part *p, struct err *e)
{
	auto_free char *name = stage_temp_name(p->store);

	part_unopen(p);
	free(p->file);
	p->file = xasprintf("%s/%s", p->store->tmp, name);
	return open_piece(p, 0, O_CREAT | O_EXCL, e);
}

// Another process is downloading the same blob. Waits for it while it makes progress.
// *ret_done: it may have finished. False: it does not move.
static int wait_for_other(struct part *p, uint64_t size, bool *ret_done, struct err *e)
{
	const struct timespec step = {.tv_nsec = 20 * 1000 * 1000};
	struct store *s = p->store;
	uint64_t moved_us = clock_us();

	while (clock_us() - moved_us < (uint64_t)STORE_PART_WAIT_MS * 1000) {
		enum part_state state;
		uint64_t now;

		// What we have complete may be what the other one waits for.
		if (barrier_now(s, false, e) < 0)
			return -1;
		if (cancelled(s->cancel))
			return err_cancelled(e);
		nanosleep(&step, NULL);
		part_unopen(p);
		if (part_lock(p, &state, &now, e) < 0)
			return -1;
		if (state != PART_TAKEN) {
			*ret_done = true;
			return 0;
		}
		if (now != size)
			moved_us = clock_us();
		size = now;
	}
	*ret_done = false;
	return 0;
}

// Decides where D is written. *ret_look_again: another process had it, and may be done.
static int part_begin(struct part *p, bool *ret_look_again, struct err *e)
{
	struct store *s = p->store;
	char name[DIGEST_TEXT_MAX];
	enum part_state state;
	uint64_t size = p->d->size;

	*ret_look_again = false;
	p->piece = s->piece_bytes;
	p->pieces = pieces_of(s, size);
	if (size < STORE_RESUME_MIN || !s->locks)
		return temp_instead(p, e);
	digest_file_name(&p->d->digest, '-', name);
	p->file = xasprintf("part/%s", name);
	if (part_lock(p, &state, &size, e) < 0)
		return -1;
	if (state == PART_TAKEN) {
		trace("store", "another process is downloading %s", p->d->digest.text);
		if (wait_for_other(p, size, ret_look_again, e) < 0)
			return -1;
		if (*ret_look_again)
			return 0;
	}
	return state == PART_OURS ? 0 : temp_instead(p, e);
}

// ---- resuming

// Empties the part.
static int part_restart(struct part *p, struct err *e)
{
	p->at = p->pushed = 0;
	for (unsigned i = 1; i < p->pieces; i++) {
		auto_free char *name = piece_name(p->file, p->pieces, i);

		unlinkat(p->store->state_fd, name, 0);
	}
	if (p->open != 0 && open_piece(p, 0, 0, e) < 0)
		return -1;
	if (ftruncate(p->fd, 0) < 0 || lseek(p->fd, 0, SEEK_SET) < 0)
		return cannot_write(p, e);
	return 0;
}

// Hashes what is there already, and stands behind it.
static int part_resume(struct part *p, struct hasher *h, struct err *e)
{
	uint64_t in_piece = 0;
	struct stat st;

	if (fstat(p->fd, &st) == 0 && st.st_size == 0)
		return 0;
	auto_free unsigned char *chunk = xmalloc(SLAB_SIZE);

	for (;;) {
		ssize_t n = read(p->fd, chunk, SLAB_SIZE);

		if (n < 0 && errno == EINTR)
			continue;
		if (cancelled(p->store->cancel))
			return err_cancelled(e);
		if (n < 0 || (p->pieces && in_piece + (uint64_t)n > p->piece) ||
		    p->at + (uint64_t)n > p->d->size)
			return 1;
		hasher_add(h, chunk, (size_t)n);
		p->at += (uint64_t)n;
		in_piece += (uint64_t)n;
		if (n > 0)
			continue;
		if (!p->pieces || in_piece < p->piece || p->at == p->d->size)
			return 0;
		auto_free char *next = piece_name(p->file, p->pieces, p->open + 1);

		if (fstatat(p->store->state_fd, next, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return 0;
		if (open_piece(p, p->open + 1, 0, e) < 0)
			return 1;
		in_piece = 0;
	}
}

// ---- the copy loop

static int too_long(struct part *p, struct err *e)
{
	return err_set(e, ERR_DIGEST,
		       "content integrity error: blob %s has more than the %" PRIu64
		       " bytes that its descriptor says",
		       p->d->digest.text, p->d->size);
}

static int too_short(struct part *p, struct err *e)
{
	return err_set(e, ERR_DIGEST,
		       "content integrity error: blob %s ended after %" PRIu64
		       " bytes, its descriptor says %" PRIu64,
		       p->d->digest.text, p->at, p->d->size);
}

static int copy_from(struct part *p, struct hasher *h, const struct opener *src, struct err *e)
{
	auto_of(stream_free) struct stream *in = src->open(src->arg, p->at, e);

	if (!in)
		return -1;
	for (;;) {
		auto_of(slab_free) struct slab *slab = stream_read(in, e);

		if (!slab)
			return e->kind == ERR_NONE ? 0 : -1;
		if (cancelled(p->store->cancel))
			return err_cancelled(e);
		size_t n = slab->n - slab->start;

		if (p->at + n > p->d->size)
			return too_long(p, e);
		hasher_add(h, slab->data + slab->start, n);
		if (part_write(p, slab->data + slab->start, n, e) < 0)
			return -1;
	}
}

// Writes the whole blob, from what is there already. *ret_resumed: some of it was.
static int part_fill(struct part *p, const struct opener *src, bool *ret_resumed, struct err *e)
{
	auto_of(hasher_free) struct hasher *h = hasher_new(p->d->digest.algo);
	struct digest got;
	int r = part_resume(p, h, e);

	if (r < 0)
		return -1;
	if (r > 0) {
		hasher_free(h);
		h = hasher_new(p->d->digest.algo);
		if (part_restart(p, e) < 0)
			return -1;
	}
	*ret_resumed = p->at > 0;
	if (*ret_resumed)
		trace("store", "%s goes on from byte %" PRIu64, p->d->digest.text, p->at);
	if (p->at < p->d->size && copy_from(p, h, src, e) < 0)
		return -1;
	if (p->at < p->d->size)
		return too_short(p, e);
	hasher_finish(h, &got);
	return digest_check(&p->d->digest, &got, "blob", e);
}

static int part_write_blob(struct part *p, const struct opener *src, struct err *e)
{
	bool resumed = false;

	if (part_fill(p, src, &resumed, e) == 0)
		return 0;
	// What a crash left may be the culprit, so the source gets a second hearing.
	if (e->kind == ERR_DIGEST && resumed) {
		trace("store", "%s: the partial download was no good, starting again",
		      p->d->digest.text);
		if (part_restart(p, e) < 0)
			return -1;
		if (part_fill(p, src, &resumed, e) == 0)
			return 0;
	}
	if (e->kind == ERR_DIGEST || !starts_with(p->file, "part/"))
		part_drop(p);
	return -1;
}

// ---- blobs

// What is left of a download when the blob turns up elsewhere.
static void drop_stale_part(struct store *s, const struct descriptor *d)
{
	char name[DIGEST_TEXT_MAX];
	unsigned pieces = pieces_of(s, d->size);

	if (d->size < STORE_RESUME_MIN)
		return;
	digest_file_name(&d->digest, '-', name);
	auto_free char *file = xasprintf("part/%s", name);
	auto_free char *first = piece_name(file, pieces, 0);
	auto_fd int fd = openat(s->state_fd, first, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && same_file(fd, s->state_fd, first))
		piece_unlink(s->state_fd, file, pieces);
}

static void stage_blob(struct store *s, const char *repo, struct part *p)
{
	auto_free char *place = s->layout->place(s, repo, &p->d->digest);
	struct staged *it = staged_new(STAGED_BLOB, place, &p->d->digest);

	it->file = steal(&p->file);
	it->pieces = p->pieces;
	it->size = p->d->size;
	it->fd = p->lock;
	if (p->fd == p->lock)
		p->fd = -1;
	p->lock = -1;
	stage_add(s, it);
	if (strcmp(place, repo) == 0)
		return;
	it = staged_new(STAGED_LINK, repo, &p->d->digest);
	it->text = xstrdup(place);
	it->size = p->d->size;
	stage_add(s, it);
}

static int remember_written(struct store *s, struct part *p, struct err *e)
{
	auto_free char *first = piece_name(p->file, p->pieces, 0);
	struct stat st;

	if (fstatat(s->state_fd, first, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_os(e, ERR_IO, "cannot write blob %s to '%s'", p->d->digest.text, s->dir);
	content_verified(s, &st, p->d->size, &p->d->digest);
	return 0;
}

static int put_blob(struct store *s, const char *repo, const struct descriptor *d,
		    const struct opener *src, struct err *e)
{
	for (;;) {
		auto_part struct part p = {.store = s, .d = d, .fd = -1, .lock = -1};
		bool look_again;

		if (blob_good(s, repo, d, e) == 0) {
			drop_stale_part(s, d);
			return 0;
		}
		if (e->kind != ERR_NOT_FOUND)
			return -1;
		if (part_begin(&p, &look_again, e) < 0)
			return -1;
		if (look_again) {
			s->layout->refresh(s);
			continue;
		}
		if (part_write_blob(&p, src, e) < 0 || remember_written(s, &p, e) < 0)
			return -1;
		stage_blob(s, repo, &p);
		return 0;
	}
}

static void wake(void *arg)
{
	struct store *s = arg;

	pthread_mutex_lock(&s->lock);
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

// One thread of this process at a time puts D.
static int writing_begin(struct store *s, const struct digest *d, struct err *e)
{
	struct cancel_watch watch = {.wake = wake, .arg = s};
	bool made = false;

	cancel_watch(s->cancel, &watch);
	pthread_mutex_lock(&s->lock);
	while (!cancelled(s->cancel)) {
		map_put(&s->writing, str_of(d->text), &made);
		if (made)
			break;
		pthread_cond_wait(&s->changed, &s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	cancel_unwatch(s->cancel, &watch);
	return made ? 0 : err_cancelled(e);
}

static void writing_end(struct store *s, const struct digest *d)
{
	pthread_mutex_lock(&s->lock);
	map_remove(&s->writing, str_of(d->text));
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

int store_blob_put(struct store *s, const char *repo, const struct descriptor *d,
		   const struct opener *src, struct err *e)
{
	if (stage_ready(s, repo, e) < 0)
		return -1;
	if (d->size > s->piece_bytes && d->size / s->piece_bytes >= STORE_PIECES_MAX)
		return err_set(e, ERR_INPUT, "blob %s is too large: %" PRIu64 " bytes",
			       d->digest.text, d->size);
	if (writing_begin(s, &d->digest, e) < 0)
		return -1;
	int r = put_blob(s, repo, d, src, e);

	writing_end(s, &d->digest);
	return r < 0 ? -1 : barrier_if_due(s, e);
}

int store_blob_check(struct store *s, const char *repo, const struct descriptor *d, struct err *e)
{
	if (repo_check(repo, e) < 0)
		return -1;
	return blob_good(s, repo, d, e);
}

int store_blob_link(struct store *s, const char *repo, const struct descriptor *d, const char *from,
		    struct err *e)
{
	auto_content struct content c = {0};

	if (stage_ready(s, repo, e) < 0 || repo_check(from, e) < 0)
		return -1;
	if (blob_content(s, from, &d->digest, &c, e) < 0)
		return -1;
	content_release(&c);
	if (blob_good(s, repo, d, e) < 0)
		return -1;
	return barrier_if_due(s, e);
}

// ---- manifests and tags

static void stage_tag(struct store *s, const char *repo, const struct digest *d, const char *tag)
{
	struct staged *it = staged_new(STAGED_TAG, repo, d);

	it->text = xstrdup(tag);
	stage_add(s, it);
}

static bool manifest_present(struct store *s, const char *repo, struct str bytes,
			     const struct digest *d)
{
	auto_buf struct buf have = BUF_INIT(MANIFEST_MAX);
	auto_free char *key = xasprintf("m %s %s", repo, d->text);
	auto_of(staged_free) struct staged *it = staged_find(s, key);
	struct err ignored;

	if (!it && !s->layout->manifest_complete(s, repo, d))
		return false;
	return manifest_read(s, repo, d, &have, &ignored) == 0 && str_eq(buf_str(&have), bytes);
}

struct staged *stage_manifest(struct store *s, const char *repo, struct str bytes,
			      const struct digest *d, struct err *e)
{
	auto_free char *file = NULL;
	auto_free char *what = xasprintf("manifest %s", d->text);
	auto_fd int fd = stage_temp(s, &file, e);
	struct digest subject;

	if (fd < 0)
		return NULL;
	if (fs_write_all(fd, bytes.p, bytes.n, what, e) < 0) {
		errno = e->os;
		unlinkat(s->state_fd, file, 0);
		err_space(s, bytes.n, what, e);
		return NULL;
	}
	struct staged *it = staged_new(STAGED_MANIFEST, repo, d);

	it->file = steal(&file);
	it->size = bytes.n;
	if (s->kind == STORE_LAYOUT_LINKED && manifest_subject(bytes, &subject))
		it->text = xstrdup(subject.text);
	return it;
}

static int put_manifest(struct store *s, const char *repo, struct str bytes, const struct digest *d,
			struct err *e)
{
	if (manifest_present(s, repo, bytes, d))
		return 0;
	struct staged *it = stage_manifest(s, repo, bytes, d, e);

	if (!it)
		return -1;
	stage_add(s, it);
	return 0;
}

int store_manifest_put(struct store *s, const char *repo, struct str bytes,
		       const struct digest *digest, const char *tag, struct err *e)
{
	struct digest got;

	if (stage_ready(s, repo, e) < 0 || (tag && tag_check(tag, e) < 0))
		return -1;
	if (bytes.n > MANIFEST_MAX)
		return err_set(e, ERR_INPUT, "manifest %s is too large: %zu bytes", digest->text,
			       bytes.n);
	digest_of(&got, digest->algo, bytes.p, bytes.n);
	if (digest_check(digest, &got, "manifest", e) < 0)
		return -1;
	if (put_manifest(s, repo, bytes, digest, e) < 0)
		return -1;
	if (tag)
		stage_tag(s, repo, digest, tag);
	return barrier_if_due(s, e);
}
