// SPDX-License-Identifier: Apache-2.0
// Verdicts about passwords: how long they are remembered, and what a flood of guesses costs.
#include "tap.h"

#include "serve/logins.h"
#include "users.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

static struct err e;
static atomic_long clock_now;

static int64_t fake_now(void)
{
	return clock_now;
}

struct world {
	struct users_file file;
	struct logins *logins;
};

static void world_release(struct world *w)
{
	logins_free(w->logins);
	users_file_release(&w->file);
}
#define auto_world __attribute__((cleanup(world_release)))

static void world_init(struct world *w, const char *users)
{
	static const unsigned char key[LOGINS_KEY_SIZE] = "key";

	w->logins = NULL;
	clock_now = 1000000;
	CHECK(users_file_init(&w->file, users));
	CHECK_OK(logins_new(&w->logins, w->file.path, key, fake_now, &e));
}

static enum login check(struct world *w, const char *user, const char *password, bool may_hash)
{
	return logins_check(w->logins, str_of(user), str_of(password), "192.0.2.1", may_hash);
}

TEST(a_right_password_is_hashed_once_in_five_minutes)
{
	auto_world struct world w;

	world_init(&w, USERS);
	CHECK_INT(check(&w, "ann", "secret", false), LOGIN_SLOWLY);
	CHECK_INT(check(&w, "ann", "secret", true), LOGIN_RIGHT);
	CHECK_INT(check(&w, "ann", "secret", false), LOGIN_RIGHT);
	clock_now += 299;
	CHECK_INT(check(&w, "ann", "secret", false), LOGIN_RIGHT);
	CHECK_INT(logins_hashed(w.logins), 1);
	clock_now += 1;
	CHECK_INT(check(&w, "ann", "secret", false), LOGIN_SLOWLY);
}

TEST(a_wrong_password_is_hashed_once_in_five_seconds)
{
	auto_world struct world w;

	world_init(&w, USERS);
	CHECK_INT(check(&w, "ann", "wrong", true), LOGIN_WRONG);
	clock_now += 4;
	CHECK_INT(check(&w, "ann", "wrong", false), LOGIN_WRONG);
	CHECK_INT(logins_hashed(w.logins), 1);
	clock_now += 1;
	CHECK_INT(check(&w, "ann", "wrong", false), LOGIN_SLOWLY);
}

TEST(an_unknown_user_costs_a_hash_as_well)
{
	auto_world struct world w;

	world_init(&w, USERS);
	CHECK_INT(check(&w, "eve", "secret", false), LOGIN_SLOWLY);
	CHECK_INT(check(&w, "eve", "secret", true), LOGIN_WRONG);
	CHECK_INT(logins_hashed(w.logins), 1);
}

TEST(a_mistyped_password_can_be_corrected_at_once)
{
	auto_world struct world w;

	world_init(&w, USERS);
	CHECK_INT(check(&w, "ann", "secert", true), LOGIN_WRONG);
	CHECK_INT(check(&w, "ann", "secret", true), LOGIN_RIGHT);
}

TEST(guessing_from_one_address_is_turned_away_for_five_seconds)
{
	auto_world struct world w;

	world_init(&w, USERS);
	for (int i = 0; i < LOGIN_GUESSES; i++) {
		char guess[] = {(char)('a' + i), '\0'};

		CHECK_INT(check(&w, "ann", guess, true), LOGIN_WRONG);
	}
	CHECK_INT(check(&w, "ann", "e", true), LOGIN_TOO_OFTEN);
	CHECK_INT(check(&w, "ann", "secret", true), LOGIN_TOO_OFTEN);
	CHECK_INT(check(&w, "ann", "a", true), LOGIN_WRONG);
	CHECK_INT(logins_hashed(w.logins), LOGIN_GUESSES);
	// Other users and other addresses are not concerned.
	CHECK_INT(check(&w, "bob", "sesame", true), LOGIN_RIGHT);
	CHECK_INT(logins_check(w.logins, STR("ann"), STR("secret"), "192.0.2.2", true),
		  LOGIN_RIGHT);
	// Nor is a password that is known to be right.
	CHECK_INT(check(&w, "ann", "secret", false), LOGIN_RIGHT);
	CHECK_INT(check(&w, "ann", "e", true), LOGIN_TOO_OFTEN);
	clock_now += LOGIN_WRONG_SECONDS;
	CHECK_INT(check(&w, "ann", "e", true), LOGIN_WRONG);
}

TEST(what_cannot_be_a_login_is_wrong_without_a_hash)
{
	auto_world struct world w;
	char longest[LOGIN_PASSWORD_MAX + 2] = {0};

	world_init(&w, USERS);
	memset(longest, 'p', LOGIN_PASSWORD_MAX + 1);
	CHECK_INT(check(&w, "ann", longest, true), LOGIN_WRONG);
	CHECK_INT(check(&w, "", "secret", true), LOGIN_WRONG);
	CHECK_INT(check(&w, "a\nb", "secret", true), LOGIN_WRONG);
	CHECK_INT(logins_check(w.logins, STR("ann"), STR("secret\0x"), "", true), LOGIN_WRONG);
	CHECK_INT(logins_hashed(w.logins), 0);
	longest[LOGIN_PASSWORD_MAX] = '\0';
	CHECK_INT(check(&w, "ann", longest, true), LOGIN_WRONG);
	CHECK_INT(logins_hashed(w.logins), 1);
}

TEST(a_clock_set_back_forgets)
{
	auto_world struct world w;

	world_init(&w, USERS);
	CHECK_INT(check(&w, "ann", "secret", true), LOGIN_RIGHT);
	clock_now -= 3600;
	CHECK_INT(check(&w, "ann", "secret", false), LOGIN_SLOWLY);
}

TEST(a_changed_entry_is_not_believed_from_memory)
{
	auto_world struct world w;

	world_init(&w, USERS);
	CHECK_INT(check(&w, "ann", "secret", true), LOGIN_RIGHT);
	CHECK_INT(check(&w, "bob", "sesame", true), LOGIN_RIGHT);
	CHECK_INT(check(&w, "ann", "changed", true), LOGIN_WRONG);
	CHECK(users_write(&w.file, "ann:" HASH_CHANGED "\nbob:" HASH_SESAME "\n") == 0);
	clock_now++;
	REQUIRE_OK(logins_reload(w.logins, &e));
	CHECK_INT(check(&w, "ann", "secret", true), LOGIN_WRONG);
	CHECK_INT(check(&w, "ann", "changed", true), LOGIN_RIGHT);
	CHECK_INT(check(&w, "bob", "sesame", false), LOGIN_RIGHT);
	CHECK(users_write(&w.file, "bob:" HASH_SESAME "\n") == 0);
	clock_now++;
	REQUIRE_OK(logins_reload(w.logins, &e));
	CHECK(!logins_has(w.logins, STR("ann")));
	CHECK_INT(check(&w, "ann", "changed", true), LOGIN_WRONG);
}

TEST(the_file_is_looked_at_once_a_second)
{
	auto_world struct world w;

	world_init(&w, USERS);
	REQUIRE_OK(logins_reload(w.logins, &e));
	CHECK(users_write(&w.file, "bob:" HASH_SESAME "\n") == 0);
	REQUIRE_OK(logins_reload(w.logins, &e));
	CHECK(logins_has(w.logins, STR("ann")));
	clock_now++;
	REQUIRE_OK(logins_reload(w.logins, &e));
	CHECK(!logins_has(w.logins, STR("ann")));
}

TEST(a_bad_file_leaves_the_old_users_and_says_why_until_it_is_mended)
{
	auto_world struct world w;

	world_init(&w, USERS);
	CHECK(users_write(&w.file, USERS "eve:plain\n") == 0);
	clock_now++;
	CHECK_FAILS(logins_reload(w.logins, &e));
	CHECK(strstr(e.text, "line 3: the password of 'eve'"));
	clock_now++;
	CHECK_FAILS(logins_reload(w.logins, &e));
	CHECK_INT(check(&w, "ann", "secret", true), LOGIN_RIGHT);
	unlink(w.file.path);
	clock_now++;
	CHECK_FAILS(logins_reload(w.logins, &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
	CHECK(logins_has(w.logins, STR("bob")));
	CHECK(users_write(&w.file, "eve:" HASH_CHANGED "\n") == 0);
	clock_now++;
	CHECK_OK(logins_reload(w.logins, &e));
	CHECK(logins_has(w.logins, STR("eve")) && !logins_has(w.logins, STR("ann")));
}

TEST(memory_is_bounded_and_the_newest_are_kept)
{
	auto_world struct world w;

	world_init(&w, USERS);
	for (int i = 0; i < LOGINS_REMEMBERED * 3 / 2; i++) {
		auto_free char *user = xasprintf("nobody%d", i);

		CHECK_INT(check(&w, user, "guess", true), LOGIN_WRONG);
	}
	CHECK_INT(check(&w, "nobody1535", "guess", false), LOGIN_WRONG);
	int known = 0;

	for (int i = 0; i < LOGINS_REMEMBERED * 3 / 2; i++) {
		auto_free char *user = xasprintf("nobody%d", i);

		known += check(&w, user, "guess", false) == LOGIN_WRONG;
	}
	CHECK(known > LOGINS_REMEMBERED / 2 && known <= LOGINS_REMEMBERED);
}

static void *ask(void *arg)
{
	struct world *w = arg;

	for (int i = 0; i < 200; i++) {
		CHECK_INT(check(w, "bob", "sesame", true), LOGIN_RIGHT);
		enum login ann = check(w, "ann", "secret", i % 2 == 0);

		CHECK(ann != LOGIN_TOO_OFTEN);
	}
	return NULL;
}

TEST(users_change_while_others_ask)
{
	auto_world struct world w;
	pthread_t t[2];

	world_init(&w, USERS);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&t[i], NULL, ask, &w) == 0);
	for (int i = 0; i < 100; i++) {
		CHECK(users_write(&w.file, i % 2 ? USERS : "bob:" HASH_SESAME "\n") == 0);
		clock_now++;
		CHECK_OK(logins_reload(w.logins, &e));
	}
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	CHECK(logins_has(w.logins, STR("ann")));
}

int main(void)
{
	return tap_main();
}
