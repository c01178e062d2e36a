// SPDX-License-Identifier: Apache-2.0
// htpasswd files: reading them whole or not at all, and checking a password.
#include "serve/htpasswd.h"

#include "data/gofmt.h"
#include "image/digest.h"
#include "util/fs.h"
#include "util/map.h"
#include "util/mem.h"

#include <assert.h>
#include <crypt.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>

enum {
	BCRYPT_PREFIX = sizeof("$2y$10$") - 1,
	BCRYPT_SALT = 22,
	BCRYPT_HASH = 31,
	BCRYPT_LENGTH = BCRYPT_PREFIX + BCRYPT_SALT + BCRYPT_HASH,
	BCRYPT_PASSWORD_MAX = 72,
	COST_MIN = 4,
	COST_DEFAULT = 10,
};

struct htpasswd {
	atomic_uint refs;
	struct map entries; // by user, in the arena
	struct arena arena;
	unsigned cost; // of most entries
};

// An entry for those who have none, of COST; nothing hashes to it that we would accept.
static void stand_in(char ret[BCRYPT_LENGTH + 1], unsigned cost)
{
	ret[0] = '$';
	ret[1] = '2';
	ret[2] = 'y';
	ret[3] = '$';
	ret[4] = (char)('0' + cost / 10);
	ret[5] = (char)('0' + cost % 10);
	ret[6] = '$';
	memset(ret + BCRYPT_PREFIX, '.', BCRYPT_SALT + BCRYPT_HASH);
	ret[BCRYPT_LENGTH] = '\0';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_bcrypt64(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
	       c == '/';
}

// $2x$ marks the hashes of a broken implementation.
static bool is_variant(char c)
{
	return c == 'a' || c == 'b' || c == 'y';
}

// The cost of a bcrypt entry; 0: it is none.
static unsigned bcrypt_cost(struct str s)
{
	if (s.n != BCRYPT_LENGTH || s.p[0] != '$' || s.p[1] != '2' || !is_variant(s.p[2]) ||
	    s.p[3] != '$' || !is_digit(s.p[4]) || !is_digit(s.p[5]) || s.p[6] != '$')
		return 0;
	for (size_t i = BCRYPT_PREFIX; i < s.n; i++)
		if (!is_bcrypt64(s.p[i]))
			return 0;
	return (unsigned)(s.p[4] - '0') * 10 + (unsigned)(s.p[5] - '0');
}

bool htpasswd_user_valid(struct str user)
{
	if (user.n == 0 || user.n > HTPASSWD_USER_MAX)
		return false;
	while (user.n > 0) {
		uint32_t c;
		size_t n = utf8_decode(user, &c);

		if (n == 0 || c < ' ' || (c >= 0x7f && c < 0xa0) || c == ':')
			return false;
		user.p += n;
		user.n -= n;
	}
	return true;
}

// Takes one line that is neither empty nor a comment.
static int add_line(struct htpasswd *h, struct str line, unsigned *ret_cost, struct err *e)
{
	struct str rest = line, user = str_cut(&rest, ':');
	bool new;

	if (!rest.p)
		return err_set(e, ERR_INPUT, "no 'user:hash'");
	if (!htpasswd_user_valid(user))
		return err_set(e, ERR_INPUT, "not a user name of 1 to %d bytes without controls",
			       HTPASSWD_USER_MAX);
	// What stands there is a secret, whatever it is: it does not enter the message.
	unsigned cost = bcrypt_cost(rest);

	if (cost == 0)
		return err_set(e, ERR_INPUT,
			       "the password of '%.*s' is not hashed with bcrypt ($2y$); "
			       "'htpasswd -B' does that",
			       STR_FMT(user));
	if (cost < COST_MIN || cost > HTPASSWD_COST_MAX)
		return err_set(e, ERR_INPUT, "the bcrypt cost of '%.*s' is %u, not %d to %d",
			       STR_FMT(user), cost, COST_MIN, HTPASSWD_COST_MAX);
	struct map_entry *entry = map_put(&h->entries, user, &new);

	if (!new)
		return err_set(e, ERR_INPUT, "user '%.*s' is there twice", STR_FMT(user));
	entry->ptr = arena_strndup(&h->arena, rest.p, rest.n);
	*ret_cost = cost;
	return 0;
}

int htpasswd_parse(struct htpasswd **ret, struct str text, const char *name, struct err *e)
{
	auto_of(htpasswd_unref) struct htpasswd *h = xcalloc(1, sizeof(*h));
	size_t costs[HTPASSWD_COST_MAX + 1] = {0};

	atomic_init(&h->refs, 1);
	h->cost = COST_DEFAULT;
	if (text.n > HTPASSWD_FILE_MAX)
		return err_set(e, ERR_INPUT, "'%s' is larger than %d bytes", name,
			       HTPASSWD_FILE_MAX);
	for (unsigned number = 1; text.n > 0; number++) {
		struct str line = str_trim(str_cut(&text, '\n'));
		unsigned cost = 0;

		if (line.n == 0 || line.p[0] == '#')
			continue;
		if (add_line(h, line, &cost, e) < 0)
			return err_wrap(e, "'%s' line %u", name, number);
		if (++costs[cost] >= costs[h->cost])
			h->cost = cost;
	}
	*ret = steal(&h);
	return 0;
}

struct htpasswd *htpasswd_ref(struct htpasswd *h)
{
	atomic_fetch_add_explicit(&h->refs, 1, memory_order_relaxed);
	return h;
}

void htpasswd_unref(struct htpasswd *h)
{
	if (!h || atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) > 1)
		return;
	map_release(&h->entries);
	arena_free(&h->arena);
	free(h);
}

static struct htpasswd_stamp stamp_of(const struct stat *st)
{
	return (struct htpasswd_stamp){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = st->st_size,
		.mtime = st->st_mtim,
		.ctime = st->st_ctim,
	};
}

struct htpasswd_stamp htpasswd_stamp(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? stamp_of(&st) : (struct htpasswd_stamp){0};
}

static bool time_equal(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool htpasswd_stamp_equal(const struct htpasswd_stamp *a, const struct htpasswd_stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       time_equal(&a->mtime, &b->mtime) && time_equal(&a->ctime, &b->ctime);
}

int htpasswd_load(struct htpasswd **ret, const char *path, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(HTPASSWD_FILE_MAX);
	auto_of(htpasswd_unref) struct htpasswd *h = NULL;
	struct stat before, after;
	// A FIFO must not make us wait.
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return err_os(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot open '%s'",
			      path);
	if (fstat(fd, &before) < 0)
		return err_os(e, ERR_IO, "cannot look at '%s'", path);
	if (!S_ISREG(before.st_mode))
		return err_set(e, ERR_INPUT, "'%s' is not a regular file", path);
	if (fs_read_fd(&text, fd, path, e) < 0)
		return -1;
	int failed = htpasswd_parse(&h, buf_str(&text), path, e);

	if (fstat(fd, &after) < 0)
		return err_os(e, ERR_IO, "cannot look at '%s'", path);
	struct htpasswd_stamp was = stamp_of(&before), is = stamp_of(&after);

	if (!htpasswd_stamp_equal(&was, &is))
		return err_set(e, ERR_BUSY, "'%s' changed while it was read", path);
	if (failed)
		return -1;
	*ret = steal(&h);
	return 0;
}

const char *htpasswd_find(const struct htpasswd *h, struct str user)
{
	struct map_entry *entry = map_find(&h->entries, user);

	return entry ? entry->ptr : NULL;
}

bool htpasswd_verify(const struct htpasswd *h, const char *entry, struct str password)
{
	char nobody[BCRYPT_LENGTH + 1], cut[BCRYPT_PASSWORD_MAX + 1];
	size_t n = password.n < BCRYPT_PASSWORD_MAX ? password.n : BCRYPT_PASSWORD_MAX;
	struct crypt_data *work = xcalloc(1, sizeof(*work));
	const char *setting = entry ? entry : nobody;
	bool same;

	assert(n == 0 || !memchr(password.p, '\0', n));
	stand_in(nobody, h->cost);
	if (n > 0)
		memcpy(cut, password.p, n);
	cut[n] = '\0';
	// Not crypt_r: sanitizers have one of their own in front, and the linker then sees no need
	// for the library behind it.
	const char *got = crypt_rn(cut, setting, work, (int)sizeof(*work));

	// The hash proper: spare bits of the salt need not come back as they went in.
	same = got && strlen(got) == BCRYPT_LENGTH &&
	       hmac_equal(got + BCRYPT_LENGTH - BCRYPT_HASH, setting + BCRYPT_LENGTH - BCRYPT_HASH,
			  BCRYPT_HASH);
	explicit_bzero(cut, sizeof(cut));
	explicit_bzero(work, sizeof(*work));
	free(work);
	return same && entry;
}
