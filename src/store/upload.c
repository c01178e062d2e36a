// SPDX-License-Identifier: Apache-2.0
// Upload sessions: .store/up/UUID holds the bytes, and is what is locked.
//
// Whose it is says the id, so that nothing has to stand beside the data; a file more for each
// small blob would halve the rate of pushes. Hash states are kept in memory only: on disk they
// could be ahead of data that a power cut took away.
#include "store/upload.h"

#include "store/internal.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/trace.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>

enum {
	PARKED_MAX = 256, // hash states of sessions that nobody has open
	ENDED_MAX = 4096, // sessions remembered as over
	RAW_SIZE = 16,    // of an id: hour 2, random and the algorithm 8, MAC 6
	MAC_AT = 10,
	HOURS_VALID = 24,
	READ_SIZE = 1 << 18,
	PUSH_STEP = 8 << 20,
	GOOD_MAX = 4096, // files remembered as hashed
};
#define PARKED_US ((uint64_t)10 * 60 * 1000000)
#define CLOCK_US  ((uint64_t)60 * 1000000)

// A session that somebody has open, or whose hash is kept.
struct known {
	bool open;
	struct hasher *hash; // of the first `size` bytes; NULL: not kept
	uint64_t size, parked_us;
	struct stat st;
};

// A file and the digest it has: the start of it is enough to tell two apart.
struct good {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime;
	unsigned char digest[16];
};

struct uploads {
	struct good good[GOOD_MAX]; // by inode; the last one stays
	struct map known;           // id → struct known
	size_t parked;
	unsigned char ended[ENDED_MAX][RAW_SIZE];
	size_t nended;
	bool has_key, counted;
	unsigned char key[HMAC_SHA256_SIZE];
	unsigned count; // sessions with data, of all processes when last looked
	int64_t clock;  // unix time, as of
	uint64_t clock_us;
};

struct store_upload {
	struct store *store;
	char id[UPLOAD_ID_SIZE];
	unsigned char raw[RAW_SIZE];
	char *repo, *owner;
	char *file; // below the state folder
	enum digest_algo algo;
	bool dropped;
	int fd; // locked; -1: it has no byte yet
	uint64_t size, pushed;
	struct hasher *hash;
	struct hasher *start_hash; // when this request came: going back there is cheap
	uint64_t start;
};

// ---- what the process remembers; all of it under lock

static struct uploads *uploads_of(struct store *s)
{
	if (!s->uploads)
		s->uploads = xcalloc(1, sizeof(*s->uploads));
	return s->uploads;
}

static void known_free(struct known *k)
{
	hasher_free(k->hash);
	free(k);
}

static void known_remove(struct uploads *u, const char *id)
{
	struct known *k = map_get(&u->known, id);

	if (!k)
		return;
	u->parked -= !k->open;
	known_free(k);
	map_remove(&u->known, str_of(id));
}

void uploads_release(struct store *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->unsynced); i++)
		strlist_release(&s->unsynced[i]);
	if (!s->uploads)
		return;
	for (size_t i = 0; i < s->uploads->known.n; i++)
		known_free(s->uploads->known.entries[i].ptr);
	map_release(&s->uploads->known);
	explicit_bzero(s->uploads->key, sizeof(s->uploads->key));
	free(s->uploads);
}

static void trim_parked(struct uploads *u)
{
	uint64_t now = clock_us();

	for (bool again = true; again;) {
		const struct map_entry *oldest = NULL;

		for (size_t i = 0; i < u->known.n; i++) {
			const struct map_entry *en = &u->known.entries[i];
			const struct known *k = en->ptr;

			if (!k->open &&
			    (!oldest ||
			     k->parked_us < ((const struct known *)oldest->ptr)->parked_us))
				oldest = en;
		}
		again = oldest &&
			(u->parked > PARKED_MAX ||
			 now - ((const struct known *)oldest->ptr)->parked_us > PARKED_US);
		if (again) {
			auto_free char *id = xstrdup(oldest->key);

			known_remove(u, id);
		}
	}
}

static bool is_ended(const struct uploads *u, const unsigned char raw[RAW_SIZE])
{
	for (size_t i = 0; i < ENDED_MAX && i < u->nended; i++)
		if (memcmp(u->ended[i], raw, RAW_SIZE) == 0)
			return true;
	return false;
}

static struct good good_of(const struct stat *st, const struct digest *d)
{
	unsigned char raw[DIGEST_RAW_MAX];
	struct good g = {
		.dev = st->st_dev, .ino = st->st_ino, .size = st->st_size, .mtime = st->st_mtim};

	digest_raw(d, raw);
	memcpy(g.digest, raw, sizeof(g.digest));
	return g;
}

bool good_known(struct store *s, const struct stat *st, const struct digest *d)
{
	struct good want = good_of(st, d);

	pthread_mutex_lock(&s->lock);
	const struct good *have = &uploads_of(s)->good[st->st_ino % GOOD_MAX];
	bool r = have->dev == want.dev && have->ino == want.ino && have->size == want.size &&
		 have->mtime.tv_sec == want.mtime.tv_sec &&
		 have->mtime.tv_nsec == want.mtime.tv_nsec &&
		 memcmp(have->digest, want.digest, sizeof(want.digest)) == 0;

	pthread_mutex_unlock(&s->lock);
	return r;
}

void good_remember(struct store *s, const struct stat *st, const struct digest *d)
{
	pthread_mutex_lock(&s->lock);
	uploads_of(s)->good[st->st_ino % GOOD_MAX] = good_of(st, d);
	pthread_mutex_unlock(&s->lock);
}

// ---- time

int64_t store_clock(struct store *s)
{
	struct stat st;

	pthread_mutex_lock(&s->lock);
	struct uploads *u = uploads_of(s);
	bool fresh = u->clock_us != 0 && clock_us() - u->clock_us < CLOCK_US;
	int64_t now = u->clock + (int64_t)((clock_us() - u->clock_us) / 1000000);

	pthread_mutex_unlock(&s->lock);
	// The times of the files we compare with are the filesystem's.
	if (!fresh && futimens(s->tmp_fd, NULL) == 0 && fstat(s->tmp_fd, &st) == 0) {
		now = st.st_mtim.tv_sec;
		pthread_mutex_lock(&s->lock);
		u->clock = now;
		u->clock_us = clock_us();
		pthread_mutex_unlock(&s->lock);
	}
	return now + s->clock_shift;
}

// ---- ids

int linked_ready(struct store *s, const char *repo, struct err *e)
{
	if (s->kind != STORE_LAYOUT_LINKED)
		return err_set(e, ERR_UNSUPPORTED, "'%s' is no store of a server", s->dir);
	return stage_ready(s, repo, e);
}

static int upload_key(struct store *s, unsigned char ret[HMAC_SHA256_SIZE], struct err *e)
{
	static const char purpose[] = "upload sessions";
	unsigned char key[HMAC_SHA256_SIZE];

	pthread_mutex_lock(&s->lock);
	struct uploads *u = uploads_of(s);
	bool has = u->has_key;

	memcpy(ret, u->key, sizeof(u->key));
	pthread_mutex_unlock(&s->lock);
	if (has)
		return 0;
	if (store_key(s, key, e) < 0)
		return -1;
	hmac_sha256(ret, key, sizeof(key), purpose, sizeof(purpose));
	explicit_bzero(key, sizeof(key));
	pthread_mutex_lock(&s->lock);
	memcpy(u->key, ret, sizeof(u->key));
	u->has_key = true;
	pthread_mutex_unlock(&s->lock);
	return 0;
}

static int sign(struct store *s, const char *repo, const char *owner,
		const unsigned char raw[RAW_SIZE], unsigned char ret[HMAC_SHA256_SIZE],
		struct err *e)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
	unsigned char key[HMAC_SHA256_SIZE];

	if (upload_key(s, key, e) < 0)
		return -1;
	buf_put(&text, raw, MAC_AT);
	buf_put(&text, repo, strlen(repo) + 1);
	buf_put(&text, owner, strlen(owner));
	hmac_sha256(ret, key, sizeof(key), text.p, text.n);
	explicit_bzero(key, sizeof(key));
	return 0;
}

static const unsigned char dashes_before[RAW_SIZE] = {[4] = 1, [6] = 1, [8] = 1, [10] = 1};

static void id_print(char ret[UPLOAD_ID_SIZE], const unsigned char raw[RAW_SIZE])
{
	static const char hex[] = "0123456789abcdef";
	char *at = ret;

	for (size_t i = 0; i < RAW_SIZE; i++) {
		if (dashes_before[i])
			*at++ = '-';
		*at++ = hex[raw[i] >> 4];
		*at++ = hex[raw[i] & 15];
	}
	*at = '\0';
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool id_parse(unsigned char ret[RAW_SIZE], const char *id)
{
	if (strlen(id) != UPLOAD_ID_SIZE - 1)
		return false;
	for (size_t i = 0; i < RAW_SIZE; i++) {
		if (dashes_before[i] && *id++ != '-')
			return false;
		int high = nibble(id[0]), low = nibble(id[1]);

		if (high < 0 || low < 0)
			return false;
		ret[i] = (unsigned char)(high << 4 | low);
		id += 2;
	}
	return ret[6] >> 4 == 4 && ret[8] >> 6 == 2;
}

static enum digest_algo id_algo(const unsigned char raw[RAW_SIZE])
{
	return raw[8] & 0x20 ? DIGEST_SHA512 : DIGEST_SHA256;
}

// The hour is kept modulo 2^16.
static uint16_t hour_now(struct store *s)
{
	return (uint16_t)(store_clock(s) / 3600);
}

static bool id_expired(struct store *s, const unsigned char raw[RAW_SIZE])
{
	uint16_t hour = (uint16_t)(raw[0] << 8 | raw[1]);
	// Clocks of several hosts may differ a little.
	uint16_t age = (uint16_t)(hour_now(s) + 1 - hour);

	return age > HOURS_VALID + 1;
}

int store_upload_id(struct store *s, const char *repo, const char *owner, enum digest_algo algo,
		    char ret[UPLOAD_ID_SIZE], struct err *e)
{
	unsigned char raw[RAW_SIZE], mac[HMAC_SHA256_SIZE];

	if (linked_ready(s, repo, e) < 0)
		return -1;
	if (getrandom(raw, sizeof(raw), 0) != sizeof(raw))
		abort();
	uint16_t hour = hour_now(s);

	raw[0] = (unsigned char)(hour >> 8);
	raw[1] = (unsigned char)hour;
	raw[6] = (unsigned char)(0x40 | (raw[6] & 0x0f)); // version 4
	raw[8] = (unsigned char)(0x80 | (algo == DIGEST_SHA512) << 5 | (raw[8] & 0x1f));
	if (sign(s, repo, owner, raw, mac, e) < 0)
		return -1;
	memcpy(raw + MAC_AT, mac, RAW_SIZE - MAC_AT);
	id_print(ret, raw);
	return 0;
}

// ---- one session

static int unknown_upload(const char *id, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, "unknown upload '%.*s'", UPLOAD_ID_SIZE, id);
}

static int busy(const char *id, struct err *e)
{
	return err_set(e, ERR_BUSY, "upload '%s' is in use by another request", id);
}

static void upload_free(struct store_upload *u)
{
	if (!u)
		return;
	if (u->fd >= 0)
		close(u->fd);
	hasher_free(u->hash);
	hasher_free(u->start_hash);
	free(u->repo);
	free(u->owner);
	free(u->file);
	free(u);
}

static struct store_upload *upload_new(struct store *s, const char *repo, const char *owner,
				       const char *id, const unsigned char raw[RAW_SIZE])
{
	struct store_upload *u = xcalloc(1, sizeof(*u));

	u->store = s;
	memcpy(u->id, id, sizeof(u->id));
	memcpy(u->raw, raw, sizeof(u->raw));
	u->repo = xstrdup(repo);
	u->owner = xstrdup(owner);
	u->file = xasprintf("up/%s", id);
	u->algo = id_algo(raw);
	u->fd = -1;
	return u;
}

static void count_add(struct store *s, int n)
{
	pthread_mutex_lock(&s->lock);
	struct uploads *all = uploads_of(s);

	if (all->counted && (n > 0 || all->count > 0))
		all->count += (unsigned)n;
	pthread_mutex_unlock(&s->lock);
}

static bool is_file(int fd, int root, const char *name)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && fstatat(root, name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino && S_ISREG(a.st_mode);
}

static int cannot_write(struct store_upload *u, uint64_t n, struct err *e)
{
	auto_free char *what = xasprintf("upload '%s'", u->id);

	return err_space(u->store, n, what, e);
}

// Nothing is left of it, also for requests to come.
static void drop(struct store_upload *u)
{
	struct store *s = u->store;

	if (u->dropped)
		return;
	if (u->fd >= 0) {
		unlinkat(s->state_fd, u->file, 0);
		count_add(s, -1);
	}
	u->dropped = true;
	pthread_mutex_lock(&s->lock);
	struct uploads *all = uploads_of(s);

	memcpy(all->ended[all->nended % ENDED_MAX], u->raw, RAW_SIZE);
	// Beyond twice the size it is only a position.
	all->nended = all->nended + 1 < 2 * (size_t)ENDED_MAX ? all->nended + 1 : ENDED_MAX;
	pthread_mutex_unlock(&s->lock);
}

// The file of a session that gets its first byte.
static int begin(struct store_upload *u, struct err *e)
{
	enum { FLAGS = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW };
	int root = u->store->state_fd;
	auto_fd int fd = openat(root, u->file, FLAGS, 0600);

	if (fd < 0 && errno == ENOENT && (mkdirat(root, "up", 0700) == 0 || errno == EEXIST))
		fd = openat(root, u->file, FLAGS, 0600);
	// Another process was faster.
	if (fd < 0 && errno == EEXIST)
		return busy(u->id, e);
	if (fd < 0)
		return cannot_write(u, 0, e);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return busy(u->id, e);
	u->fd = fd;
	fd = -1;
	count_add(u->store, 1);
	return 0;
}

// Hashes the first SIZE bytes of the data.
static struct hasher *hash_data(struct store_upload *u, enum digest_algo algo, uint64_t size,
				struct err *e)
{
	auto_of(hasher_free) struct hasher *h = hasher_new(algo);
	auto_free unsigned char *chunk = xmalloc(READ_SIZE);

	posix_fadvise(u->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	for (uint64_t at = 0; at < size;) {
		size_t want = size - at < READ_SIZE ? (size_t)(size - at) : READ_SIZE;
		ssize_t n = pread(u->fd, chunk, want, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (cancelled(u->store->cancel)) {
			err_cancelled(e);
			return NULL;
		}
		if (n <= 0) {
			if (n == 0)
				errno = EIO;
			err_os(e, ERR_IO, "cannot read upload '%s' in '%s'", u->id, u->store->dir);
			return NULL;
		}
		hasher_add(h, chunk, (size_t)n);
		at += (uint64_t)n;
	}
	return steal(&h);
}

static int cannot_open(struct store_upload *u, struct err *e)
{
	return err_os(e, ERR_IO, "cannot open upload '%s' in '%s'", u->id, u->store->dir);
}

// Opens and locks the file. ERR_NOT_FOUND: there is none.
static int open_file(struct store_upload *u, struct stat *ret, struct err *e)
{
	enum { FLAGS = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK };
	int root = u->store->state_fd;
	auto_fd int fd = openat(root, u->file, FLAGS);

	// A commit that a crash cut short had taken the right to write away.
	if (fd < 0 && errno == EACCES && fchmodat(root, u->file, 0600, 0) == 0)
		fd = openat(root, u->file, FLAGS);
	if (fd < 0 && errno == ENOENT)
		return unknown_upload(u->id, e);
	if (fd < 0)
		return cannot_open(u, e);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return busy(u->id, e);
	// It may have ended between open and lock.
	if (!is_file(fd, root, u->file))
		return unknown_upload(u->id, e);
	if (fstat(fd, ret) < 0)
		return cannot_open(u, e);
	u->fd = fd;
	fd = -1;
	// It is a blob already: nothing may be written to it any more.
	if (ret->st_nlink > 1) {
		fchmod(u->fd, 0444);
		drop(u);
		return unknown_upload(u->id, e);
	}
	return 0;
}

static bool is_unchanged(const struct known *k, const struct stat *st)
{
	return k->hash && k->size == (uint64_t)st->st_size && k->st.st_ino == st->st_ino &&
	       k->st.st_mtim.tv_sec == st->st_mtim.tv_sec &&
	       k->st.st_mtim.tv_nsec == st->st_mtim.tv_nsec;
}

// Finds what earlier requests left. KNOWN: what this process knows of it.
static int resume(struct store_upload *u, struct known *known, struct err *e)
{
	struct stat st;

	if (open_file(u, &st, e) < 0) {
		if (e->kind != ERR_NOT_FOUND || u->dropped || id_expired(u->store, u->raw))
			return -1;
		u->hash = hasher_new(u->algo);
		return 0;
	}
	u->size = u->pushed = (uint64_t)st.st_size;
	if (is_unchanged(known, &st)) {
		u->hash = steal(&known->hash);
	} else {
		if (u->size > 0)
			trace("store", "upload %s: reading %" PRIu64 " bytes again", u->id,
			      u->size);
		u->hash = hash_data(u, u->algo, u->size, e);
	}
	if (!u->hash)
		return -1;
	if (lseek(u->fd, (off_t)u->size, SEEK_SET) < 0)
		return cannot_open(u, e);
	return 0;
}

// Marks it as open; *ret is what was parked (the hash is the caller's).
static int claim(struct store *s, const char *id, const unsigned char raw[RAW_SIZE],
		 struct known *ret, struct err *e)
{
	int r = 0;

	pthread_mutex_lock(&s->lock);
	struct uploads *all = uploads_of(s);
	struct known *k = map_get(&all->known, id);

	if (is_ended(all, raw)) {
		r = unknown_upload(id, e);
	} else if (k && k->open) {
		r = busy(id, e);
	} else {
		if (k)
			all->parked--;
		else
			map_set(&all->known, id, k = xcalloc(1, sizeof(*k)));
		*ret = *k;
		k->hash = NULL;
		k->open = true;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

static void forget(struct store *s, const char *id)
{
	pthread_mutex_lock(&s->lock);
	known_remove(uploads_of(s), id);
	pthread_mutex_unlock(&s->lock);
}

struct store_upload *store_upload_open(struct store *s, const char *repo, const char *owner,
				       const char *id, struct err *e)
{
	unsigned char raw[RAW_SIZE], mac[HMAC_SHA256_SIZE];
	struct known known = {0};

	if (linked_ready(s, repo, e) < 0)
		return NULL;
	if (!id_parse(raw, id)) {
		unknown_upload(id, e);
		return NULL;
	}
	if (sign(s, repo, owner, raw, mac, e) < 0)
		return NULL;
	if (!hmac_equal(mac, raw + MAC_AT, RAW_SIZE - MAC_AT)) {
		unknown_upload(id, e);
		return NULL;
	}
	if (claim(s, id, raw, &known, e) < 0)
		return NULL;
	struct store_upload *u = upload_new(s, repo, owner, id, raw);
	int r = resume(u, &known, e);

	hasher_free(known.hash);
	if (r == 0)
		return u;
	upload_free(u);
	forget(s, id);
	return NULL;
}

bool store_upload_issued(struct store *s, const char *repo, const char *owner, const char *id)
{
	unsigned char raw[RAW_SIZE], mac[HMAC_SHA256_SIZE];
	struct err ignored;

	return id_parse(raw, id) && !id_expired(s, raw) &&
	       sign(s, repo, owner, raw, mac, &ignored) == 0 &&
	       hmac_equal(mac, raw + MAC_AT, RAW_SIZE - MAC_AT);
}

uint64_t store_upload_size(const struct store_upload *u)
{
	return u->size;
}

enum digest_algo store_upload_algo(const struct store_upload *u)
{
	return u->algo;
}

void store_upload_close(struct store_upload *u)
{
	struct stat st;

	if (!u)
		return;
	struct store *s = u->store;
	bool keep = !u->dropped && u->fd >= 0 && fstat(u->fd, &st) == 0;

	pthread_mutex_lock(&s->lock);
	struct uploads *all = uploads_of(s);
	struct known *k = map_get(&all->known, u->id);

	if (keep) {
		*k = (struct known){.hash = steal(&u->hash),
				    .size = u->size,
				    .parked_us = clock_us(),
				    .st = st};
		all->parked++;
		trim_parked(all);
	} else {
		known_remove(all, u->id);
	}
	pthread_mutex_unlock(&s->lock);
	upload_free(u);
}

// ---- bytes

static int write_all(struct store_upload *u, const unsigned char *data, size_t n)
{
	while (n > 0) {
		ssize_t done = write(u->fd, data, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -1;
		data += done;
		n -= (size_t)done;
	}
	return 0;
}

// Starts the way to the disk early, so that a commit has little left to wait for.
static void push(struct store_upload *u)
{
	if (u->size - u->pushed < PUSH_STEP)
		return;
	sync_file_range(u->fd, (off_t)u->pushed, (off_t)(u->size - u->pushed),
			SYNC_FILE_RANGE_WRITE);
	u->pushed = u->size;
}

static int set_size(struct store_upload *u, uint64_t size)
{
	return ftruncate(u->fd, (off_t)size) < 0 || lseek(u->fd, (off_t)size, SEEK_SET) < 0 ? -1
											    : 0;
}

static int write_failed(struct store_upload *u, size_t n, struct err *e)
{
	cannot_write(u, n, e);
	if (e->os == ENOSPC || e->os == EDQUOT || set_size(u, u->size) < 0)
		drop(u);
	return -1;
}

int store_upload_write(struct store_upload *u, const void *data, size_t n, struct err *e)
{
	if (u->dropped)
		return unknown_upload(u->id, e);
	if (n == 0)
		return 0;
	if (u->fd < 0 && begin(u, e) < 0)
		return -1;
	if (!u->start_hash) {
		u->start_hash = hasher_copy(u->hash);
		u->start = u->size;
	}
	if (write_all(u, data, n) < 0)
		return write_failed(u, n, e);
	hasher_add(u->hash, data, n);
	u->size += n;
	push(u);
	return 0;
}

int store_upload_cut(struct store_upload *u, uint64_t size, struct err *e)
{
	if (u->dropped)
		return unknown_upload(u->id, e);
	assert(size <= u->size);
	if (size == u->size)
		return 0;
	struct hasher *h = u->start_hash && u->start == size ? hasher_copy(u->start_hash)
							     : hash_data(u, u->algo, size, e);

	if (!h)
		return -1;
	hasher_free(u->hash);
	u->hash = h;
	hasher_free(steal(&u->start_hash));
	u->size = size;
	if (u->pushed > size)
		u->pushed = size;
	if (set_size(u, size) == 0)
		return 0;
	cannot_write(u, 0, e);
	drop(u);
	return -1;
}

// ---- the end

static void finish(struct store_upload *u)
{
	drop(u);
	forget(u->store, u->id);
	upload_free(u);
}

void store_upload_cancel(struct store_upload *u)
{
	if (u)
		finish(u);
}

static int check_digest(struct store_upload *u, const struct digest *want, struct err *e)
{
	struct digest got;

	if (want->algo != u->algo) {
		struct hasher *h = hash_data(u, want->algo, u->size, e);

		if (!h)
			return -1;
		hasher_free(u->hash);
		u->hash = h;
	}
	hasher_finish(u->hash, &got);
	return digest_check(want, &got, "blob", e);
}

static int commit(struct store_upload *u, const struct digest *d, struct err *e)
{
	if (u->dropped)
		return unknown_upload(u->id, e);
	if ((u->fd < 0 && begin(u, e) < 0) || check_digest(u, d, e) < 0)
		return -1;
	if (fchmod(u->fd, 0444) < 0)
		return cannot_write(u, 0, e);
	return blob_commit(u->store, u->repo, d, u->file, u->fd, u->size, e);
}

int store_upload_commit(struct store_upload *u, const struct digest *d, struct err *e)
{
	int r = commit(u, d, e);

	finish(u);
	return r;
}

// ---- housekeeping

static int count_file(void *arg, const struct folder_entry *entry, struct err *e)
{
	(void)e;
	if (entry->type == DT_REG)
		++*(unsigned *)arg;
	return 0;
}

static void recount(struct store *s)
{
	unsigned n = 0;
	struct err ignored;

	if (folder_list(s->state_fd, "up", count_file, &n, &ignored) < 0)
		trace("store", "%s", ignored.text);
	pthread_mutex_lock(&s->lock);
	uploads_of(s)->count = n;
	uploads_of(s)->counted = true;
	pthread_mutex_unlock(&s->lock);
}

unsigned store_upload_count(struct store *s)
{
	pthread_mutex_lock(&s->lock);
	bool counted = uploads_of(s)->counted;

	pthread_mutex_unlock(&s->lock);
	if (!counted && s->state_fd >= 0)
		recount(s);
	pthread_mutex_lock(&s->lock);
	unsigned n = uploads_of(s)->count;

	pthread_mutex_unlock(&s->lock);
	return n;
}

struct sweep {
	struct store *s;
	int64_t before; // what was written to last before this is abandoned
	struct strlist names;
};

static int sweep_collect(void *arg, const struct folder_entry *entry, struct err *e)
{
	struct sweep *w = arg;

	(void)e;
	if (entry->type == DT_REG || entry->type == DT_DIR)
		strlist_add(&w->names, entry->name);
	return 0;
}

static int sweep_list(struct sweep *w, const char *folder, struct err *e)
{
	strlist_release(&w->names);
	w->names = (struct strlist){0};
	return folder_list(w->s->state_fd, folder, sweep_collect, w, e);
}

static bool is_abandoned(const struct sweep *w, const struct stat *st)
{
	// More names: a commit that a crash kept from clearing up.
	return st->st_nlink > 1 || st->st_mtim.tv_sec < w->before;
}

static void sweep_session(const struct sweep *w, const char *name)
{
	int root = w->s->state_fd;
	auto_free char *file = xasprintf("up/%s", name);
	auto_fd int fd = openat(root, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	// Looked at once more when it is locked: a request may have come.
	if (fd < 0 || fstat(fd, &st) < 0 || !is_abandoned(w, &st) ||
	    flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0 || !is_abandoned(w, &st) ||
	    !is_file(fd, root, file))
		return;
	trace("store", "removing the abandoned upload %s", name);
	unlinkat(root, file, 0);
}

static void sweep_temp(const struct sweep *w, const char *name)
{
	auto_free char *path = xasprintf("tmp/%s", name);
	auto_fd int fd = open_folder(w->s->state_fd, path, false, NULL);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		folder_remove(w->s->state_fd, path);
}

// What a collection took out of the pool. When somebody linked to it meanwhile it goes back.
static void sweep_trash(const struct sweep *w, const char *name)
{
	int root = w->s->state_fd;
	auto_free char *trash = xasprintf("trash/%s", name);
	auto_free char *text = xasprintf("%s:%.*s", strcspn(name, ".") == 64 ? "sha256" : "sha512",
					 (int)strcspn(name, "."), name);
	struct digest d;
	struct stat st;
	struct err e;

	if (fstatat(root, trash, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return;
	if (st.st_nlink > 1 && digest_parse(&d, text, &e) == 0) {
		auto_free char *folder =
			xasprintf("pool/%s/%.2s", digest_algo_name(d.algo), digest_hex(&d));
		auto_strlist struct strlist made = {0};
		auto_fd int dir = open_folder(root, folder, true, &made);

		if (dir < 0 || (linkat(root, trash, dir, name, 0) < 0 && errno != EEXIST) ||
		    fsync(dir) < 0)
			return;
		unlinkat(root, trash, 0);
	} else if (st.st_nlink == 1 && st.st_ctim.tv_sec < w->before) {
		unlinkat(root, trash, 0);
	}
}

static int sweep_sessions(struct sweep *w, struct err *e)
{
	if (sweep_list(w, "up", e) < 0)
		return -1;
	for (size_t i = 0; i < w->names.n; i++)
		sweep_session(w, w->names.v[i]);
	return 0;
}

static int sweep_all(struct sweep *w, struct err *e)
{
	if (sweep_sessions(w, e) < 0 || sweep_list(w, "trash", e) < 0)
		return -1;
	for (size_t i = 0; i < w->names.n; i++)
		sweep_trash(w, w->names.v[i]);
	if (sweep_list(w, "tmp", e) < 0)
		return -1;
	for (size_t i = 0; i < w->names.n; i++)
		sweep_temp(w, w->names.v[i]);
	return 0;
}

static int sweep(struct store *s, int64_t before, int (*what)(struct sweep *w, struct err *e),
		 struct err *e)
{
	struct sweep w = {.s = s, .before = before};

	if (s->kind != STORE_LAYOUT_LINKED || s->mode != STORE_WRITE)
		return err_set(e, ERR_UNSUPPORTED, "'%s' is no store of a server", s->dir);
	int r = what(&w, e);

	strlist_release(&w.names);
	recount(s);
	pthread_mutex_lock(&s->lock);
	trim_parked(uploads_of(s));
	pthread_mutex_unlock(&s->lock);
	return r;
}

int store_upload_sweep(struct store *s, int64_t now, struct err *e)
{
	return sweep(s, now - HOURS_VALID * 3600, sweep_all, e);
}

int store_upload_crowd_out(struct store *s, int64_t before, struct err *e)
{
	return sweep(s, before, sweep_sessions, e);
}
