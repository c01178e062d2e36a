// SPDX-License-Identifier: Apache-2.0
// A full disk, a disk that fails, a user who interrupts: one clear line, and nothing half-written
// under a name.
#include "fixture.h"
#include "interpose.h"

TEST(a_full_disk_is_said_in_one_line_and_the_part_is_kept)
{
	auto_dir char *dir = temp_dir();
	auto_blob struct blob b = blob_new(1, 1000000);
	struct err e;

	{
		auto_of(store_close) struct store *s =
			must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

		interpose.write_room = 400000;
		CHECK_FAILS(put(s, "img", &b, &e));
		interpose.write_room = -1;
		CHECK_INT(e.kind, ERR_IO);
		CHECK_INT(e.os, ENOSPC);
		CHECK(strstr(e.text, "no space left on device") && strstr(e.text, dir));
		CHECK(strstr(e.text, b.d.digest.text) && strstr(e.text, "needs 600000 more"));
		CHECK(!strchr(e.text, '\n'));
		// A put of something else may still succeed: only this one failed.
		CHECK_OK(store_sync(s, &e));
		CHECK(!in_dir(dir, "v2/img"));
	}
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

	CHECK_OK(put(s, "img", &b, &e));
	CHECK_INT(b.opened_at, 400000);
	CHECK_OK(store_sync(s, &e));
	CHECK(holds(s, "img", &b));
}

TEST(a_manifest_on_a_full_disk_leaves_nothing)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);
	struct err e;

	interpose.write_room = 5;
	CHECK_FAILS(put_manifest(s, "img", "{\"long\":\"enough\"}", "v1", NULL, &e));
	interpose.write_room = -1;
	CHECK(strstr(e.text, "no space left on device"));
	CHECK_OK(store_sync(s, &e));
	CHECK(!in_dir(dir, "v2/img"));
}

TEST(what_could_not_be_made_durable_never_gets_a_name)
{
	static const char *const calls[] = {"fdatasync", "syncfs"};
	static const enum store_layout layouts[] = {STORE_LAYOUT_OC, STORE_LAYOUT_PORTABLE};

	for (size_t i = 0; i < 4; i++) {
		auto_dir char *dir = temp_dir();
		auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, layouts[i / 2]);
		auto_strlist struct strlist repos = {0};
		struct err e;

		s->busy_bytes = UINT64_MAX / 4; // whatever else runs on this machine
		for (int n = 0; n < 40; n++) {
			auto_blob struct blob b = blob_new((uint64_t)n, 100);

			REQUIRE_OK(put(s, "img", &b, &e));
		}
		REQUIRE_OK(put_manifest(s, "img", "{}", "v1", NULL, &e));
		interpose.fail = calls[i % 2];
		interpose.fail_errno = EIO;
		CHECK_FAILS(store_sync(s, &e));
		interpose.fail = NULL;
		CHECK(strstr(e.text, "input/output error") && strstr(e.text, dir));
		// It stays failed, since what was lost cannot be asked for again.
		CHECK_FAILS(store_sync(s, &e));
		CHECK_FAILS(put_manifest(s, "img", "{}", "v1", NULL, &e));
		store_close(steal(&s));
		s = must_open(dir, STORE_READ, STORE_LAYOUT_AUTO);
		CHECK_OK(store_repositories(s, &repos, &e));
		CHECK_INT(repos.n, 0);
	}
}

// Fails each call of each kind in turn: no failure may be taken for success.
TEST(no_failing_call_is_taken_for_success)
{
	static const char *const calls[] = {"openat", "renameat", "symlinkat", "mkdirat",
					    "write",  "fsync",    "fdatasync"};
	static const enum store_layout layouts[] = {STORE_LAYOUT_OC, STORE_LAYOUT_PORTABLE};
	auto_blob struct blob a = blob_new(1, 100000), b = blob_new(2, 100);

	for (size_t i = 0; i < ARRAY_SIZE(calls) * 2; i++)
		for (int after = 0; after < 60; after++) {
			auto_dir char *dir = temp_dir();
			auto_of(store_close) struct store *s =
				must_open(dir, STORE_WRITE, layouts[i % 2]);
			struct err e;

			interpose.fail = calls[i / 2];
			interpose.fail_errno = EACCES;
			interpose.fail_after = after;
			int r = put(s, "one", &a, &e);

			if (r == 0)
				r = put(s, "two", &a, &e);
			if (r == 0)
				r = put(s, "two", &b, &e);
			if (r == 0)
				r = put_manifest(s, "two", "{}", "v1", NULL, &e);
			if (r == 0)
				r = store_sync(s, &e);
			bool failed = interpose.fail_after < 0;

			interpose.fail = NULL;
			// A folder that refuses to be synced with EACCES after a rename is
			// reported.
			if (r < 0) {
				CHECK(failed);
				CHECK(e.kind == ERR_IO && strstr(e.text, "permission denied"));
				continue;
			}
			store_close(steal(&s));
			s = must_open(dir, STORE_READ, STORE_LAYOUT_AUTO);
			CHECK(holds(s, "one", &a) && holds(s, "two", &a) && holds(s, "two", &b));
			if (!failed)
				break;
		}
}

TEST(an_interrupted_run_says_so)
{
	auto_dir char *dir = temp_dir();
	struct cancel cancel = CANCEL_INIT;
	struct store_config cfg = {
		.dir = dir, .mode = STORE_WRITE, .pool = fixture_pool, .cancel = &cancel};
	auto_of(store_close) struct store *s = NULL;
	auto_free char *notice = NULL;
	auto_blob struct blob b = blob_new(1, 200000);
	struct err e;

	REQUIRE_OK(store_open(&s, &cfg, &notice, &e));
	REQUIRE_OK(put(s, "img", &b, &e));
	REQUIRE_OK(store_sync(s, &e));
	auto_blob struct blob other = blob_new(2, 200000);

	cancel_fire(&cancel);
	CHECK_FAILS(put(s, "img", &other, &e));
	CHECK_INT(e.kind, ERR_CANCELLED);
}

int main(void)
{
	return tap_main();
}
