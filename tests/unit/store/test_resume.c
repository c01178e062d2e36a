// SPDX-License-Identifier: Apache-2.0
// Partial downloads: kept, gone on with, never believed; and two processes after one blob.
#include "fixture.h"

#include <sys/file.h>

static char *part_of(const struct blob *b)
{
	char name[DIGEST_TEXT_MAX];

	digest_file_name(&b->d.digest, '-', name);
	return xasprintf(".store/part/%s", name);
}

// An empty store goes away when it is closed; a run that broke off leaves its parts.
static void make_parts(const char *dir)
{
	auto_free char *parts = path_join(dir, ".store/part");
	struct err e;

	CHECK_OK(fs_mkdirs(parts, 0700, &e));
}

static void write_part(const char *dir, const struct blob *b, const void *data, size_t n)
{
	auto_free char *name = part_of(b);
	auto_free char *path = path_join(dir, name);

	make_parts(dir);
	FILE *f = fopen(path, "w");

	fwrite(data, 1, n, f);
	fclose(f);
}

TEST(a_broken_download_goes_on_where_it_stopped)
{
	auto_dir char *dir = temp_dir();
	auto_blob struct blob b = blob_new(1, 1000000);
	auto_free char *part = part_of(&b);
	struct err e;

	for (int i = 0; i < 2; i++) {
		auto_of(store_close) struct store *s =
			must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

		b.cut = i ? 700000 : 300000;
		CHECK_FAILS(put(s, "img", &b, &e));
		CHECK_INT(e.kind, ERR_NET);
		CHECK_INT(b.opened_at, i ? 300000 : 0);
		CHECK(in_dir(dir, part));
	}
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

	b.cut = 0;
	REQUIRE_OK(put(s, "img", &b, &e));
	CHECK_INT(b.opened_at, 700000);
	REQUIRE_OK(store_sync(s, &e));
	CHECK(!in_dir(dir, part));
	CHECK(holds(s, "img", &b));
}

TEST(a_complete_part_needs_no_source)
{
	auto_dir char *dir = temp_dir();
	auto_blob struct blob b = blob_new(1, 100000);
	struct err e;

	store_close(must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO));
	write_part(dir, &b, b.data, b.n);
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

	REQUIRE_OK(put(s, "img", &b, &e));
	CHECK_INT(b.opened, 0);
	REQUIRE_OK(store_sync(s, &e));
	CHECK(holds(s, "img", &b));
}

TEST(a_part_with_wrong_bytes_is_started_again)
{
	static const size_t lengths[] = {50000, 100000, 200000, 0};

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		auto_dir char *dir = temp_dir();
		auto_blob struct blob b = blob_new(1, 100000);
		auto_free unsigned char *zeros = xcalloc(1, 200000);
		struct err e;

		store_close(must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO));
		write_part(dir, &b, zeros, lengths[i]);
		auto_of(store_close) struct store *s =
			must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

		REQUIRE_OK(put(s, "img", &b, &e));
		CHECK_INT(b.opened_at, 0);
		REQUIRE_OK(store_sync(s, &e));
		CHECK(holds(s, "img", &b));
	}
}

TEST(a_part_is_dropped_when_the_source_is_wrong)
{
	auto_dir char *dir = temp_dir();
	auto_blob struct blob b = blob_new(1, 100000);
	auto_free char *part = part_of(&b);
	struct err e;

	store_close(must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO));
	write_part(dir, &b, b.data, 70000);
	b.data[90000] ^= 1;
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

	CHECK_FAILS(put(s, "img", &b, &e));
	CHECK_INT(e.kind, ERR_DIGEST);
	CHECK(strstr(e.text, "content integrity error: the blob streamed from digest"));
	CHECK_INT(b.opened, 2); // once behind the part, once from the start
	CHECK(!in_dir(dir, part));
}

TEST(a_part_that_is_another_name_of_a_file_is_left_alone)
{
	auto_dir char *dir = temp_dir(), *out = temp_dir();
	auto_blob struct blob b = blob_new(1, 100000);
	auto_free char *part = part_of(&b);
	auto_free char *victim = path_join(out, "victim");
	static const char *const commands[] = {"ln", "ln -s"};
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		store_close(must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO));
		make_parts(dir);
		write_text(out, "victim", "precious");
		run("%s '%s' '%s/%s'", commands[i], victim, dir, part);
		auto_of(store_close) struct store *s =
			must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

		if (i == 0) {
			CHECK_OK(put(s, "img", &b, &e));
			CHECK_OK(store_sync(s, &e));
			run("rm -rf '%s/v2/img'", dir);
		} else {
			CHECK_FAILS(put(s, "img", &b, &e));
		}
		auto_buf struct buf text = BUF_INIT(100);

		CHECK_OK(fs_read_file(&text, victim, &e));
		CHECK_STR(text.p, "precious");
	}
}

TEST(small_blobs_leave_no_part)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);
	auto_blob struct blob b = blob_new(1, 1000);
	auto_free char *part = part_of(&b);
	struct err e;

	b.cut = 500;
	CHECK_FAILS(put(s, "img", &b, &e));
	CHECK(!in_dir(dir, part));
}

// ---- two processes

TEST(two_processes_share_a_store)
{
	auto_dir char *dir = temp_dir();
	enum { PROCESSES = 3, BLOBS = 12 };
	pid_t pids[PROCESSES];
	struct err e;

	for (int p = 0; p < PROCESSES; p++) {
		pids[p] = fork();
		if (pids[p] != 0)
			continue;
		struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);
		int bad = 0;

		for (int i = 0; i < BLOBS; i++) {
			// Each begins at another one, so that they meet in the middle.
			int n = (i + p * BLOBS / PROCESSES) % BLOBS;
			auto_blob struct blob b = blob_new((uint64_t)n, n % 3 ? 300000 : 2000);
			auto_free char *text = xasprintf("{\"n\":%d}", n);
			auto_free char *repo = xasprintf("repo%d", n % 2 ? p : 0);

			bad |= put(s, repo, &b, &e) < 0;
			bad |= put_manifest(s, repo, text, "latest", NULL, &e) < 0;
		}
		bad |= store_sync(s, &e) < 0;
		if (bad)
			fprintf(stderr, "# %s\n", e.text);
		store_close(s);
		_exit(bad);
	}
	for (int p = 0; p < PROCESSES; p++) {
		int status;

		waitpid(pids[p], &status, 0);
		CHECK_INT(status, 0);
	}
	auto_of(store_close) struct store *s = must_open(dir, STORE_READ, STORE_LAYOUT_AUTO);

	for (int n = 0; n < BLOBS; n++) {
		auto_blob struct blob b = blob_new((uint64_t)n, n % 3 ? 300000 : 2000);

		for (int p = 0; p < PROCESSES; p++) {
			auto_free char *repo = xasprintf("repo%d", n % 2 ? p : 0);

			CHECK_OK(store_blob_check(s, repo, &b.d, &e));
			CHECK(holds(s, repo, &b));
		}
	}
	auto_free char *left = xasprintf("test $(find '%s/.store/part' -type f | wc -l) = 0", dir);

	CHECK_INT(system(left), 0);
}

// A pipe is the event that the other process has its lock.
TEST(a_download_of_another_process_is_waited_for)
{
	auto_dir char *dir = temp_dir();
	auto_blob struct blob b = blob_new(1, 400000);
	int ready[2], go[2];
	struct err e;
	char c = 0;

	CHECK(pipe(ready) == 0 && pipe(go) == 0);
	pid_t pid = fork();

	if (pid == 0) {
		struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);
		auto_blob struct blob mine = blob_new(1, 400000);
		int bad = put(s, "theirs", &mine, &e) < 0; // complete, locked, without a name

		bad |= write(ready[1], "x", 1) != 1 || read(go[0], &c, 1) != 1;
		bad |= store_sync(s, &e) < 0;
		store_close(s);
		_exit(bad);
	}
	CHECK_INT(read(ready[0], &c, 1), 1);
	{
		auto_of(store_close) struct store *s =
			must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

		CHECK_INT(write(go[1], "x", 1), 1);
		CHECK_OK(put(s, "ours", &b, &e));
		CHECK_INT(b.opened, 0); // nothing was fetched twice
		CHECK_OK(store_sync(s, &e));
		CHECK(holds(s, "ours", &b));
	}
	int status;

	waitpid(pid, &status, 0);
	CHECK_INT(status, 0);
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		close(go[i]);
	}
}

TEST(folders_of_dead_processes_are_cleared_away)
{
	auto_dir char *dir = temp_dir();
	pid_t pid = fork();
	int status;
	struct err e;

	if (pid == 0) {
		struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);
		auto_blob struct blob b = blob_new(1, 1000);

		_exit(put(s, "img", &b, &e) < 0);
	}
	waitpid(pid, &status, 0);
	auto_free char *count = xasprintf("exit $(find '%s/.store/tmp' -type f | wc -l)", dir);

	CHECK_INT(WEXITSTATUS(system(count)), 1);
	auto_of(store_close) struct store *a = must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

	CHECK_INT(WEXITSTATUS(system(count)), 0);
	// The living keep theirs.
	auto_of(store_close) struct store *b = must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);
	auto_blob struct blob x = blob_new(1, 1000);

	CHECK_OK(put(a, "img", &x, &e));
	CHECK_OK(store_sync(a, &e));
	CHECK(holds(b, "img", &x));
}

int main(void)
{
	return tap_main();
}
