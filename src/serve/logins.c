// SPDX-License-Identifier: Apache-2.0
// Checking passwords, and remembering the verdicts for a while.
#include "serve/logins.h"

#include "image/digest.h"
#include "serve/htpasswd.h"
#include "util/mem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum {
	WAYS = 4,
	SETS = LOGINS_REMEMBERED / WAYS,
};

struct name {
	unsigned char mac[HMAC_SHA256_SIZE];
};

struct memory {
	struct name name;
	int64_t until; // 0: free
	unsigned count;
};

// A table with a place or four for each name. Names are keyed hashes: nobody outside can aim at a
// place.
struct memories {
	struct memory v[SETS][WAYS];
	int seconds; // how long a memory lasts
};

struct logins {
	char *file;
	unsigned char key[LOGINS_KEY_SIZE];
	int64_t (*now)(void);
	atomic_uint_fast64_t hashed;

	pthread_mutex_t reloading; // held while the file is read
	int64_t looked;
	struct htpasswd_stamp stamp;
	bool bad; // the file as it is now cannot be used
	struct err why;

	pthread_mutex_t lock; // never held for long
	struct htpasswd *users;
	struct memories right;
	struct memories wrong;
	struct memories guesses; // wrong passwords of a user from an address
};

static bool is_alive(const struct memories *m, const struct memory *at, int64_t now)
{
	// A clock that was set back must not keep a memory for hours.
	return now < at->until && at->until <= now + m->seconds;
}

static struct memory *set_of(struct memories *m, const struct name *name)
{
	return m->v[(name->mac[0] | name->mac[1] << 8) % SETS];
}

static struct memory *recall(struct memories *m, const struct name *name, int64_t now)
{
	struct memory *set = set_of(m, name);

	for (unsigned i = 0; i < WAYS; i++)
		if (is_alive(m, &set[i], now) &&
		    hmac_equal(set[i].name.mac, name->mac, sizeof(name->mac)))
			return &set[i];
	return NULL;
}

// The memory of NAME, made if there is none, in the place of the one that would be forgotten next.
static struct memory *remember(struct memories *m, const struct name *name, int64_t now)
{
	struct memory *set = set_of(m, name), *at = recall(m, name, now), *oldest = set;

	if (at)
		return at;
	for (unsigned i = 0; i < WAYS; i++) {
		if (!is_alive(m, &set[i], now))
			set[i].until = 0;
		if (set[i].until < oldest->until)
			oldest = &set[i];
	}
	*oldest = (struct memory){.name = *name, .until = now + m->seconds};
	return oldest;
}

// Everything that a memory is about, each part with its length: no two lists look the same.
static struct name name_of(const struct logins *l, const struct str *parts, size_t n)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
	struct name ret;

	buf_puts(&text, "ferry login");
	for (size_t i = 0; i < n; i++) {
		buf_printf(&text, ":%zu:", parts[i].n);
		if (parts[i].n > 0)
			buf_put(&text, parts[i].p, parts[i].n);
	}
	hmac_sha256(ret.mac, l->key, sizeof(l->key), text.p, text.n);
	explicit_bzero(text.p, text.n);
	return ret;
}

int logins_new(struct logins **ret, const char *file, const unsigned char key[LOGINS_KEY_SIZE],
	       int64_t (*now)(void), struct err *e)
{
	auto_of(logins_free) struct logins *l = xcalloc(1, sizeof(*l));

	l->file = xstrdup(file);
	memcpy(l->key, key, sizeof(l->key));
	l->now = now;
	l->right.seconds = LOGIN_RIGHT_SECONDS;
	l->wrong.seconds = l->guesses.seconds = LOGIN_WRONG_SECONDS;
	pthread_mutex_init(&l->lock, NULL);
	pthread_mutex_init(&l->reloading, NULL);
	l->stamp = htpasswd_stamp(file);
	if (htpasswd_load(&l->users, file, e) < 0)
		return -1;
	*ret = steal(&l);
	return 0;
}

void logins_free(struct logins *l)
{
	if (!l)
		return;
	htpasswd_unref(l->users);
	pthread_mutex_destroy(&l->lock);
	pthread_mutex_destroy(&l->reloading);
	free(l->file);
	explicit_bzero(l->key, sizeof(l->key));
	free(l);
}

static void replace_users(struct logins *l, struct htpasswd *users)
{
	pthread_mutex_lock(&l->lock);
	struct htpasswd *old = l->users;

	l->users = users;
	pthread_mutex_unlock(&l->lock);
	htpasswd_unref(old);
}

static void look(struct logins *l)
{
	struct htpasswd_stamp stamp = htpasswd_stamp(l->file);
	auto_of(htpasswd_unref) struct htpasswd *users = NULL;
	struct err e;

	if (htpasswd_stamp_equal(&stamp, &l->stamp))
		return;
	if (htpasswd_load(&users, l->file, &e) == 0) {
		l->bad = false;
		replace_users(l, steal(&users));
	} else if (e.kind == ERR_BUSY) {
		return; // still being written: the next look finds it
	} else {
		l->bad = true;
		l->why = e;
	}
	l->stamp = stamp;
}

int logins_reload(struct logins *l, struct err *e)
{
	int64_t now = l->now();

	pthread_mutex_lock(&l->reloading);
	if (now != l->looked) {
		l->looked = now;
		look(l);
	}
	bool bad = l->bad;

	if (bad)
		*e = l->why;
	pthread_mutex_unlock(&l->reloading);
	return bad ? -1 : 0;
}

static struct htpasswd *users_now(struct logins *l)
{
	pthread_mutex_lock(&l->lock);
	struct htpasswd *users = htpasswd_ref(l->users);

	pthread_mutex_unlock(&l->lock);
	return users;
}

bool logins_has(struct logins *l, struct str user)
{
	auto_of(htpasswd_unref) struct htpasswd *users = users_now(l);

	return htpasswd_find(users, user) != NULL;
}

// What is asked, by the names it is remembered under.
struct attempt {
	const char *entry; // NULL: no such user
	struct name right, wrong, guesses;
};

static enum login verdict_remembered(struct logins *l, const struct attempt *a, int64_t now)
{
	enum login ret = LOGIN_SLOWLY;

	pthread_mutex_lock(&l->lock);
	const struct memory *guesses = recall(&l->guesses, &a->guesses, now);

	if (recall(&l->wrong, &a->wrong, now))
		ret = LOGIN_WRONG;
	else if (guesses && guesses->count >= LOGIN_GUESSES)
		ret = LOGIN_TOO_OFTEN;
	pthread_mutex_unlock(&l->lock);
	return ret;
}

static bool is_known_right(struct logins *l, const struct attempt *a, int64_t now)
{
	pthread_mutex_lock(&l->lock);
	bool known = a->entry && recall(&l->right, &a->right, now);

	pthread_mutex_unlock(&l->lock);
	return known;
}

static void remember_verdict(struct logins *l, const struct attempt *a, bool right, int64_t now)
{
	pthread_mutex_lock(&l->lock);
	if (right) {
		remember(&l->right, &a->right, now);
	} else {
		remember(&l->wrong, &a->wrong, now);
		remember(&l->guesses, &a->guesses, now)->count++;
	}
	pthread_mutex_unlock(&l->lock);
}

static bool password_possible(struct str password)
{
	return password.n == 0 ||
	       (password.n <= LOGIN_PASSWORD_MAX && !memchr(password.p, '\0', password.n));
}

enum login logins_check(struct logins *l, struct str user, struct str password, const char *peer,
			bool may_hash)
{
	if (!htpasswd_user_valid(user) || !password_possible(password))
		return LOGIN_WRONG;
	auto_of(htpasswd_unref) struct htpasswd *users = users_now(l);
	struct attempt a = {.entry = htpasswd_find(users, user)};
	struct str hash = str_of(a.entry ? a.entry : ""), from = str_of(peer ? peer : "");
	int64_t now = l->now();

	a.right = name_of(l, (struct str[]){user, hash, password}, 3);
	if (is_known_right(l, &a, now))
		return LOGIN_RIGHT;
	a.wrong = name_of(l, (struct str[]){user, hash, password, from}, 4);
	a.guesses = name_of(l, (struct str[]){user, from}, 2);
	enum login verdict = verdict_remembered(l, &a, now);

	if (verdict != LOGIN_SLOWLY || !may_hash)
		return verdict;
	bool right = htpasswd_verify(users, a.entry, password);

	atomic_fetch_add_explicit(&l->hashed, 1, memory_order_relaxed);
	remember_verdict(l, &a, right, l->now());
	return right ? LOGIN_RIGHT : LOGIN_WRONG;
}

uint64_t logins_hashed(const struct logins *l)
{
	return atomic_load_explicit(&l->hashed, memory_order_relaxed);
}
