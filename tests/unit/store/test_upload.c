// SPDX-License-Identifier: Apache-2.0
// Upload sessions: whose they are, how they go on after a break, what becomes of them.
#include "pushes.h"

#include "interpose.h"

static bool opens(struct store *s, const char *repo, const char *owner, const char *id,
		  struct err *e)
{
	struct store_upload *u = store_upload_open(s, repo, owner, id, e);

	store_upload_close(u);
	return u != NULL;
}

TEST(an_id_is_a_uuid_and_costs_no_file)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	char id[UPLOAD_ID_SIZE], other[UPLOAD_ID_SIZE];
	struct err e;

	for (int i = 0; i < 100; i++) {
		REQUIRE_OK(store_upload_id(s, "org/img", "", DIGEST_SHA256, id, &e));
		CHECK(opens(s, "org/img", "", id, &e));
	}
	CHECK_INT(strlen(id), 36);
	CHECK(id[8] == '-' && id[13] == '-' && id[18] == '-' && id[23] == '-');
	CHECK(id[14] == '4' && strchr("89ab", id[19]));
	REQUIRE_OK(store_upload_id(s, "org/img", "", DIGEST_SHA256, other, &e));
	CHECK(strcmp(id, other) != 0);
	CHECK(!in_dir(dir, ".store/up"));
	CHECK_INT(store_upload_count(s), 0);
}

TEST(an_id_is_good_for_its_repository_and_owner_only)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	char id[UPLOAD_ID_SIZE];
	struct err e;

	REQUIRE_OK(store_upload_id(s, "org/img", "alice", DIGEST_SHA512, id, &e));
	const struct {
		const char *repo, *owner;
		int changed; // this character of the id
		const char *id;
	} rows[] = {
		{"org/other", "alice", -1, NULL},
		{"org/img", "bob", -1, NULL},
		{"org/img", "", -1, NULL},
		{"org/img", "alice", 0, NULL},
		{"org/img", "alice", 3, NULL},
		{"org/img", "alice", 20, NULL},
		{"org/img", "alice", 35, NULL},
		{"org/img", "alice", -1, ""},
		{"org/img", "alice", -1, "../../../etc/passwd"},
		{"org/img", "alice", -1, "00000000-0000-4000-8000-000000000000"},
		{"org/img", "alice", -1, "00000000-0000-4000-8000-0000000000000"},
		{"org/img", "alice", -1, "FFFFFFFF-0000-4000-8000-000000000000"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *changed = xstrdup(rows[i].id ? rows[i].id : id);

		if (rows[i].changed >= 0) {
			char *c = &changed[rows[i].changed];

			*c = *c == 'b' ? 'a' : 'b';
		}
		CHECK(!opens(s, rows[i].repo, rows[i].owner, changed, &e));
		CHECK_INT(e.kind, ERR_NOT_FOUND);
	}
	struct store_upload *u = store_upload_open(s, "org/img", "alice", id, &e);

	CHECK(u && store_upload_algo(u) == DIGEST_SHA512);
	store_upload_close(u);
}

TEST(an_id_without_data_expires_after_a_day)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	char id[UPLOAD_ID_SIZE], used[UPLOAD_ID_SIZE];
	struct err e;

	REQUIRE_OK(store_upload_id(s, "img", "", DIGEST_SHA256, id, &e));
	struct store_upload *u = begin_upload(s, "img", used, &e);

	CHECK_OK(store_upload_write(u, "x", 1, &e));
	store_upload_close(u);
	s->clock_shift = 24 * 3600 - 3600;
	CHECK(opens(s, "img", "", id, &e));
	s->clock_shift = 26 * 3600;
	CHECK(!opens(s, "img", "", id, &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
	// What has data lives until it is swept.
	CHECK(opens(s, "img", "", used, &e));
}

TEST(an_upload_goes_on_after_a_break_and_after_a_restart)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	auto_blob struct blob b = blob_new(1, 1000000);
	char id[UPLOAD_ID_SIZE];
	struct err e;
	struct store_upload *u = begin_upload(s, "org/img", id, &e);

	CHECK_OK(store_upload_write(u, b.data, 300000, &e));
	store_upload_close(u);
	u = store_upload_open(s, "org/img", "", id, &e);
	CHECK(u && store_upload_size(u) == 300000);
	CHECK_OK(store_upload_write(u, b.data + 300000, 300000, &e));
	store_upload_close(u);
	store_close(steal(&s));
	s = open_server(dir);
	u = store_upload_open(s, "org/img", "", id, &e);
	CHECK(u && store_upload_size(u) == 600000);
	CHECK_OK(store_upload_write(u, b.data + 600000, 400000, &e));
	CHECK_OK(store_upload_commit(u, &b.d.digest, &e));
	CHECK(holds(s, "org/img", &b));
	CHECK(!opens(s, "org/img", "", id, &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
	CHECK_INT(store_upload_count(s), 0);
}

// What the process remembers of the hash is not believed when the file has changed.
TEST(what_another_process_wrote_is_counted)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir), *other = open_server(dir);
	auto_blob struct blob b = blob_new(1, 300000);
	char id[UPLOAD_ID_SIZE];
	struct err e;
	struct store_upload *u = begin_upload(s, "img", id, &e);

	CHECK_OK(store_upload_write(u, b.data, 100000, &e));
	CHECK(!store_upload_open(other, "img", "", id, &e));
	CHECK_INT(e.kind, ERR_BUSY);
	store_upload_close(u);
	u = store_upload_open(other, "img", "", id, &e);
	CHECK_OK(store_upload_write(u, b.data + 100000, 100000, &e));
	store_upload_close(u);
	u = store_upload_open(s, "img", "", id, &e);
	CHECK(u && store_upload_size(u) == 200000);
	CHECK_OK(store_upload_write(u, b.data + 200000, 100000, &e));
	CHECK_OK(store_upload_commit(u, &b.d.digest, &e));
	CHECK(holds(other, "img", &b));
	// Another process does not know that it is over, and has nothing to go on with.
	u = store_upload_open(other, "img", "", id, &e);
	CHECK(u && store_upload_size(u) == 0);
	store_upload_close(u);
}

TEST(one_request_at_a_time_has_a_session)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	char id[UPLOAD_ID_SIZE];
	struct err e;
	struct store_upload *u = begin_upload(s, "img", id, &e);

	for (int i = 0; i < 2; i++) {
		CHECK(!store_upload_open(s, "img", "", id, &e));
		CHECK_INT(e.kind, ERR_BUSY);
		CHECK_OK(store_upload_write(u, "x", 1, &e));
	}
	store_upload_close(u);
	CHECK(opens(s, "img", "", id, &e));
}

TEST(a_wrong_digest_keeps_nothing)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	auto_blob struct blob b = blob_new(1, 5000), other = blob_new(2, 5000);
	char id[UPLOAD_ID_SIZE];
	struct err e;
	struct store_upload *u = begin_upload(s, "img", id, &e);

	CHECK_OK(store_upload_write(u, b.data, b.n, &e));
	CHECK_FAILS(store_upload_commit(u, &other.d.digest, &e));
	CHECK_INT(e.kind, ERR_DIGEST);
	CHECK(!opens(s, "img", "", id, &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
	auto_free char *tree = tree_of(dir);

	CHECK(!strstr(tree, id) && !strstr(tree, "sha256:") && !strstr(tree, "5000"));
}

TEST(a_cancelled_session_is_over)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	char id[UPLOAD_ID_SIZE];
	struct err e;

	for (int bytes = 0; bytes < 2; bytes++) {
		struct store_upload *u = begin_upload(s, "img", id, &e);

		if (bytes)
			CHECK_OK(store_upload_write(u, "x", 1, &e));
		CHECK_INT(store_upload_count(s), bytes);
		store_upload_cancel(u);
		CHECK_INT(store_upload_count(s), 0);
		CHECK(!opens(s, "img", "", id, &e));
		CHECK_INT(e.kind, ERR_NOT_FOUND);
		auto_free char *tree = tree_of(dir);

		CHECK(!strstr(tree, id));
	}
}

TEST(a_cut_goes_back_to_any_size)
{
	static const uint64_t cuts[] = {600000, 500000, 300000, 1, 0};
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
		auto_blob struct blob b = blob_new(i, 700000);
		char id[UPLOAD_ID_SIZE];
		struct store_upload *u = begin_upload(s, "img", id, &e);

		CHECK_OK(store_upload_write(u, b.data, 300000, &e));
		store_upload_close(u);
		u = store_upload_open(s, "img", "", id, &e);
		CHECK_OK(store_upload_write(u, b.data + 300000, 200000, &e));
		CHECK_OK(store_upload_write(u, b.data + 100, 100000, &e));
		CHECK_OK(store_upload_cut(u, cuts[i] < 500000 ? cuts[i] : 500000, &e));
		CHECK_INT(store_upload_size(u), cuts[i] < 500000 ? cuts[i] : 500000);
		uint64_t at = store_upload_size(u);

		CHECK_OK(store_upload_write(u, b.data + at, b.n - at, &e));
		CHECK_OK(store_upload_commit(u, &b.d.digest, &e));
		CHECK(holds(s, "img", &b));
	}
}

TEST(a_digest_of_the_other_algorithm_is_computed_from_the_file)
{
	static const enum digest_algo algos[] = {DIGEST_SHA256, DIGEST_SHA512};
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	struct err e;

	for (int i = 0; i < 4; i++) {
		auto_blob struct blob b = blob_new((uint64_t)i, 300000);
		char id[UPLOAD_ID_SIZE];

		digest_of(&b.d.digest, algos[i / 2], b.data, b.n);
		REQUIRE_OK(store_upload_id(s, "img", "", algos[i % 2], id, &e));
		struct store_upload *u = store_upload_open(s, "img", "", id, &e);

		CHECK_OK(store_upload_write(u, b.data, b.n, &e));
		CHECK_OK(store_upload_commit(u, &b.d.digest, &e));
		CHECK(holds(s, "img", &b));
	}
}

TEST(an_empty_blob_can_be_pushed)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	auto_blob struct blob b = blob_of("", 0);
	char id[UPLOAD_ID_SIZE];
	struct err e;
	struct store_upload *u = begin_upload(s, "img", id, &e);

	CHECK_OK(store_upload_write(u, "", 0, &e));
	CHECK_OK(store_upload_commit(u, &b.d.digest, &e));
	CHECK(holds(s, "img", &b));
	CHECK_OK(push(s, "img", &b, &e));
}

TEST(a_full_disk_ends_the_session_and_is_freed)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	auto_blob struct blob b = blob_new(1, 500000);
	char id[UPLOAD_ID_SIZE];
	struct err e;
	struct store_upload *u = begin_upload(s, "img", id, &e);

	interpose.write_room = 400000;
	CHECK_OK(store_upload_write(u, b.data, 300000, &e));
	CHECK_FAILS(store_upload_write(u, b.data + 300000, 200000, &e));
	interpose.write_room = -1;
	CHECK(e.kind == ERR_IO && e.os == ENOSPC);
	CHECK(strstr(e.text, "no space left on device"));
	auto_free char *tree = tree_of(dir);

	CHECK(!strstr(tree, id));
	CHECK_INT(store_upload_count(s), 0);
	CHECK_FAILS(store_upload_write(u, b.data, 1, &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
	store_upload_close(u);
	CHECK(!opens(s, "img", "", id, &e));
	CHECK_OK(push(s, "img", &b, &e));
}

TEST(a_failed_write_leaves_what_was_there_before)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	auto_blob struct blob b = blob_new(1, 5000);
	char id[UPLOAD_ID_SIZE];
	struct err e;
	struct store_upload *u = begin_upload(s, "img", id, &e);

	CHECK_OK(store_upload_write(u, b.data, 3000, &e));
	interpose.fail = "write";
	interpose.fail_errno = EIO;
	interpose.fail_after = 0;
	CHECK_FAILS(store_upload_write(u, b.data + 3000, 2000, &e));
	interpose.fail = NULL;
	CHECK_INT(store_upload_size(u), 3000);
	CHECK_OK(store_upload_write(u, b.data + 3000, 2000, &e));
	CHECK_OK(store_upload_commit(u, &b.d.digest, &e));
	CHECK(holds(s, "img", &b));
}

// A crash between the pool's name and the end of the session.
TEST(what_is_a_blob_already_is_never_written_to)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	auto_blob struct blob b = blob_new(1, 5000);
	char id[UPLOAD_ID_SIZE];
	struct err e;
	struct store_upload *u = begin_upload(s, "img", id, &e);

	CHECK_OK(store_upload_write(u, b.data, b.n, &e));
	store_upload_close(u);
	auto_free char *pool = pool_name(&b.d.digest);

	run("cd '%s' && mkdir -p \"$(dirname %s)\" && ln .store/up/%s %s && chmod 0444 %s", dir,
	    pool, id, pool, pool);
	store_close(steal(&s));
	s = open_server(dir);
	CHECK(!store_upload_open(s, "img", "", id, &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
	struct stat st = stat_of(dir, pool);

	CHECK(st.st_nlink == 1 && st.st_size == 5000 && (st.st_mode & 07777) == 0444);
	CHECK_OK(push(s, "img", &b, &e));
	CHECK(holds(s, "img", &b));
}

TEST(a_sweep_takes_what_nobody_will_go_on_with)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	char old[UPLOAD_ID_SIZE], young[UPLOAD_ID_SIZE], open[UPLOAD_ID_SIZE];
	struct err e;
	struct store_upload *u = begin_upload(s, "img", old, &e);
	int64_t now = store_clock(s);

	CHECK_OK(store_upload_write(u, "x", 1, &e));
	store_upload_close(u);
	u = begin_upload(s, "img", young, &e);
	CHECK_OK(store_upload_write(u, "x", 1, &e));
	store_upload_close(u);
	u = begin_upload(s, "img", open, &e);
	CHECK_OK(store_upload_write(u, "x", 1, &e));
	run("cd '%s/.store' && mkdir -p trash tmp/0123456789abcdef && touch trash/x "
	    "tmp/0123456789abcdef/1 && touch -d '25 hours ago' up/%s up/%s",
	    dir, old, open);
	CHECK_INT(store_upload_count(s), 3);
	CHECK_OK(store_upload_sweep(s, now, &e));
	CHECK_INT(store_upload_count(s), 2);
	CHECK(in_dir(dir, ".store/trash/x"));
	auto_free char *tree = tree_of(dir);

	CHECK(!strstr(tree, old) && strstr(tree, young) && strstr(tree, open));
	CHECK(!in_dir(dir, ".store/tmp/0123456789abcdef"));
	CHECK_OK(store_upload_write(u, "y", 1, &e));
	store_upload_close(u);
	CHECK_OK(store_upload_sweep(s, now + 25 * 3600, &e));
	CHECK_INT(store_upload_count(s), 0);
	CHECK(!in_dir(dir, ".store/trash/x"));
	CHECK_OK(store_upload_sweep(s, now + 25 * 3600, &e));
}

TEST(uploads_that_stand_still_make_room_for_others)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	char old[UPLOAD_ID_SIZE], young[UPLOAD_ID_SIZE], open[UPLOAD_ID_SIZE];
	struct err e;
	char *const ids[] = {old, young, open};
	struct store_upload *u = NULL;

	for (int i = 0; i < 3; i++) {
		store_upload_close(u);
		u = begin_upload(s, "img", ids[i], &e);
		CHECK_OK(store_upload_write(u, "x", 1, &e));
	}
	run("cd '%s/.store' && mkdir -p trash && touch -d '2 hours ago' trash/x up/%s up/%s", dir,
	    old, open);
	CHECK_OK(store_upload_crowd_out(s, store_clock(s) - 3600, &e));
	auto_free char *tree = tree_of(dir);

	CHECK(!strstr(tree, old) && strstr(tree, young) && strstr(tree, open));
	CHECK(in_dir(dir, ".store/trash/x"));
	CHECK_INT(store_upload_count(s), 2);
	store_upload_close(u);
}

// A collection took it out of the pool while somebody linked to it.
TEST(a_sweep_gives_back_what_somebody_uses)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	auto_blob struct blob b = blob_new(1, 5000), lone = blob_new(2, 5000);
	struct err e;

	REQUIRE_OK(push(s, "img", &b, &e));
	REQUIRE_OK(push(s, "img", &lone, &e));
	REQUIRE_OK(store_blob_remove(s, "img", &lone.d.digest, &e));
	auto_free char *pool = pool_name(&b.d.digest), *lone_pool = pool_name(&lone.d.digest);

	run("cd '%s' && mkdir -p .store/trash && mv %s %s .store/trash/", dir, pool, lone_pool);
	CHECK_OK(store_upload_sweep(s, store_clock(s) + 25 * 3600, &e));
	CHECK(in_dir(dir, pool) && !in_dir(dir, lone_pool));
	auto_free char *tree = tree_of(dir);

	CHECK(!strstr(tree, "trash/"));
	CHECK(holds(s, "img", &b));
}

TEST(a_key_is_made_once_and_is_nobody_elses)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir), *other = open_server(dir);
	unsigned char a[32], b[32];
	struct err e;

	CHECK_OK(store_key(s, a, &e));
	CHECK_OK(store_key(other, b, &e));
	CHECK(memcmp(a, b, sizeof(a)) == 0);
	struct stat st = stat_of(dir, ".store/key");

	CHECK(st.st_size == 32 && (st.st_mode & 07777) == 0600 && st.st_nlink == 1);
	run("chmod 0644 '%s/.store/key'", dir);
	CHECK_OK(store_key(s, b, &e));
	st = stat_of(dir, ".store/key");
	CHECK_INT(st.st_mode & 07777, 0600);
	run("echo x >> '%s/.store/key'", dir);
	CHECK_FAILS(store_key(s, b, &e));
	CHECK(strstr(e.text, "key' is damaged"));
}

static atomic_int keys_made;

static void *make_key(void *arg)
{
	struct err e;

	keys_made += store_key(arg, (unsigned char[32]){0}, &e) == 0;
	return NULL;
}

TEST(those_who_race_for_the_key_agree)
{
	auto_dir char *dir = temp_dir();
	struct store *stores[8];
	pthread_t threads[8];
	unsigned char first[32], key[32];
	struct err e;

	for (int i = 0; i < 8; i++)
		stores[i] = open_server(dir);
	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, make_key, stores[i]);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	CHECK_INT(keys_made, 8);
	CHECK_OK(store_key(stores[0], first, &e));
	for (int i = 0; i < 8; i++) {
		CHECK_OK(store_key(stores[i], key, &e));
		CHECK(memcmp(first, key, sizeof(key)) == 0);
		store_close(stores[i]);
	}
}

TEST(many_parked_sessions_are_remembered_within_bounds)
{
	enum { MANY = 300 };
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	auto_free char *ids = xcalloc(MANY, UPLOAD_ID_SIZE);
	struct err e;

	for (int i = 0; i < MANY; i++) {
		struct store_upload *u =
			begin_upload(s, "img", ids + (size_t)i * UPLOAD_ID_SIZE, &e);

		CHECK_OK(store_upload_write(u, &i, sizeof(i), &e));
		store_upload_close(u);
	}
	CHECK_INT(store_upload_count(s), MANY);
	for (int i = 0; i < MANY; i++) {
		auto_blob struct blob b = blob_of(&i, sizeof(i));
		struct store_upload *u =
			store_upload_open(s, "img", "", ids + (size_t)i * UPLOAD_ID_SIZE, &e);

		CHECK(u && store_upload_commit(u, &b.d.digest, &e) == 0);
	}
	CHECK_INT(store_upload_count(s), 0);
}

TEST(only_a_servers_store_takes_uploads)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_OC);
	char id[UPLOAD_ID_SIZE];
	struct err e;

	CHECK_FAILS(store_upload_id(s, "img", "", DIGEST_SHA256, id, &e));
	CHECK_INT(e.kind, ERR_UNSUPPORTED);
	CHECK_FAILS(store_upload_sweep(s, 0, &e));
	CHECK_FAILS(push_manifest(s, "img", "{}", "v1", NULL, &e));
	CHECK_INT(e.kind, ERR_UNSUPPORTED);
}

int main(void)
{
	return tap_main();
}
