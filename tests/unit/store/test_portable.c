// SPDX-License-Identifier: Apache-2.0
// The portable layout: its files, its index, its seal, and damage to each.
#include "fixture.h"
#include "interpose.h"
#include "store/portable.h"

#include <sys/file.h>

#define MANIFEST "{\"schemaVersion\":2}"

static void fill_store(const char *dir, struct blob *b)
{
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_PORTABLE);
	struct digest d;
	struct err e;

	REQUIRE_OK(put(s, "org/img", b, &e));
	REQUIRE_OK(put(s, "org/other", b, &e));
	REQUIRE_OK(put_manifest(s, "org/img", MANIFEST, "Tag", &d, &e));
	REQUIRE_OK(put_manifest(s, "org/img", MANIFEST, "tag", &d, &e));
	REQUIRE_OK(put_manifest(s, "org/img", MANIFEST, "con", &d, &e));
	REQUIRE_OK(store_origin_put(s, "org/img", &d, "quay.io/org/img", &e));
	REQUIRE_OK(store_sync(s, &e));
}

static void check_store(const char *dir, struct blob *b)
{
	auto_of(store_close) struct store *s = NULL;
	auto_free char *notice = NULL, *origin = NULL;
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	auto_strlist struct strlist tags = {0}, repos = {0};
	struct digest d;
	struct err e;

	REQUIRE_OK(open_as(&s, dir, STORE_READ, STORE_LAYOUT_AUTO, &notice, &e));
	CHECK(!notice);
	CHECK_INT(store_layout(s), STORE_LAYOUT_PORTABLE);
	CHECK(holds(s, "org/img", b) && holds(s, "org/other", b));
	CHECK_OK(store_blob_check(s, "org/img", &b->d, &e));
	CHECK_OK(store_manifest_get(s, "org/img", "tag", &bytes, &d, &e));
	CHECK_STR(bytes.p, MANIFEST);
	CHECK_OK(store_tags(s, "org/img", &tags, &e));
	CHECK_INT(tags.n, 3);
	CHECK(tags.n == 3 && strcmp(tags.v[0], "Tag") == 0 && strcmp(tags.v[1], "con") == 0);
	CHECK_OK(store_repositories(s, &repos, &e));
	CHECK_INT(repos.n, 2);
	CHECK_OK(store_origin_get(s, "org/img", &d, &origin, &e));
	CHECK(origin && strcmp(origin, "quay.io/org/img") == 0);
	CHECK_FAILS(store_tag_get(s, "org/img", "TAG", &d, &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
}

TEST(the_files_are_as_the_layout_says)
{
	auto_dir char *dir = temp_dir();
	auto_blob struct blob b = blob_new(1, 100000);

	interpose.no_colon = interpose.no_links = interpose.no_symlinks = true;
	fill_store(dir, &b);
	interpose.no_colon = interpose.no_links = interpose.no_symlinks = false;
	auto_free char *hex = xasprintf("store/pool/sha256/%.2s/%s", digest_hex(&b.d.digest),
					digest_hex(&b.d.digest));

	CHECK(in_dir(dir, "MIRROR.txt") && in_dir(dir, "store/format") && in_dir(dir, hex));
	CHECK(in_dir(dir, "store/index/000001.idx") && in_dir(dir, "store/seal"));
	CHECK(!in_dir(dir, "v2"));
	auto_free char *odd = xasprintf(
		"test -z \"$(find '%s' -type l -o -name '*:*' -o -links +1 -type f)\"", dir);

	CHECK_INT(system(odd), 0);
	check_store(dir, &b);
}

TEST(what_was_put_is_visible_before_it_is_in_the_index)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_PORTABLE);
	auto_blob struct blob b = blob_new(1, 1000);
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	struct digest d;
	struct err e;

	REQUIRE_OK(put(s, "one", &b, &e));
	REQUIRE_OK(put(s, "two", &b, &e));
	REQUIRE_OK(put_manifest(s, "one", MANIFEST, "v1", &d, &e));
	CHECK_INT(b.opened, 1);
	CHECK(holds(s, "one", &b) && holds(s, "two", &b));
	CHECK_OK(store_manifest_get(s, "one", "v1", &bytes, &d, &e));
	CHECK_FAILS(store_manifest_get(s, "two", d.text, &bytes, &d, &e));
}

TEST(a_second_run_adds_a_segment_and_seals_again)
{
	auto_dir char *dir = temp_dir();
	auto_blob struct blob b = blob_new(1, 1000), c = blob_new(2, 1000);
	struct err e;

	fill_store(dir, &b);
	{
		auto_of(store_close) struct store *s =
			must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

		REQUIRE_OK(put(s, "org/third", &b, &e));
		CHECK_INT(b.opened, 1);
		CHECK(in_dir(dir, "store/seal"));
		REQUIRE_OK(put(s, "org/img", &c, &e));
		s->barrier_us = 0;
		REQUIRE_OK(put_manifest(s, "org/img", "{}", "x", NULL, &e));
		CHECK(!in_dir(dir, "store/seal")); // unfinished until the end
		REQUIRE_OK(store_sync(s, &e));
		CHECK(in_dir(dir, "store/seal"));
	}
	CHECK(in_dir(dir, "store/index/000002.idx"));
	auto_of(store_close) struct store *s = NULL;
	auto_free char *notice = NULL;

	REQUIRE_OK(open_as(&s, dir, STORE_READ, STORE_LAYOUT_AUTO, &notice, &e));
	CHECK(!notice);
	CHECK(holds(s, "org/third", &b) && holds(s, "org/img", &c));
	CHECK_INT(((struct records *)s->own)->sequence, 2);
}

TEST(a_run_that_changes_nothing_keeps_the_seal)
{
	auto_dir char *dir = temp_dir();
	auto_blob struct blob b = blob_new(1, 1000);

	fill_store(dir, &b);
	{
		auto_of(store_close) struct store *s =
			must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);
		auto_free char *before = tree_of(dir);
		struct err e;

		REQUIRE_OK(put(s, "org/img", &b, &e));
		REQUIRE_OK(store_sync(s, &e));
		auto_free char *after = tree_of(dir);

		CHECK_STR(after, before);
		CHECK_INT(b.opened, 1);
	}
	check_store(dir, &b);
}

TEST(unsealed_media_can_be_read_and_say_so)
{
	static const char *const damage[] = {
		"rm '%s/store/seal'",
		"echo >> '%s/store/seal'",
		"truncate -s 10 '%s/store/seal'",
		"cp '%s/store/index/000001.idx' '%s/store/index/000007.idx'",
	};

	for (size_t i = 0; i < ARRAY_SIZE(damage); i++) {
		auto_dir char *dir = temp_dir();
		auto_blob struct blob b = blob_new(1, 1000);
		auto_of(store_close) struct store *s = NULL;
		auto_free char *notice = NULL;
		struct err e;

		fill_store(dir, &b);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
		auto_free char *command = xasprintf(damage[i], dir, dir);
#pragma GCC diagnostic pop
		run("%s", command);
		REQUIRE_OK(open_as(&s, dir, STORE_READ, STORE_LAYOUT_AUTO, &notice, &e));
		CHECK(notice && strstr(notice, "is unfinished") && strstr(notice, dir));
		CHECK(holds(s, "org/img", &b));
		store_close(steal(&s));
		fill_store(dir, &b);
		check_store(dir, &b);
	}
}

TEST(a_torn_last_line_is_dropped_and_a_bad_one_is_counted)
{
	auto_dir char *dir = temp_dir();
	auto_blob struct blob b = blob_new(1, 1000);
	auto_of(store_close) struct store *s = NULL;
	auto_free char *notice = NULL;
	struct err e;

	fill_store(dir, &b);
	run("printf 'B org/img sha256:0000' >> '%s/store/index/000001.idx'", dir);
	REQUIRE_OK(open_as(&s, dir, STORE_READ, STORE_LAYOUT_AUTO, &notice, &e));
	CHECK(notice && strstr(notice, "unfinished") && !strstr(notice, "damaged"));
	CHECK(holds(s, "org/img", &b));
	store_close(steal(&s));
	free(steal(&notice));
	run("sed -i '1s/./X/' '%s/store/index/000001.idx'", dir);
	REQUIRE_OK(open_as(&s, dir, STORE_READ, STORE_LAYOUT_AUTO, &notice, &e));
	CHECK(notice && strstr(notice, "1 records of the index") && strstr(notice, "damaged"));
}

// As a hostile medium would have them: the CRC is right, what it protects is not.
TEST(hostile_records_are_refused)
{
	static const char *const records[] = {
		"B",
		"B org/img",
		"B ../../etc sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad 3",
		"B org/img sha256:BA 3",
		"B org/img sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad -3",
		("B org/img sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad "
		 "99999999999999999999"),
		"T org/img ../x sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"T org/img tag nothing",
		"BB org/img x 3",
	};

	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		auto_dir char *dir = temp_dir();
		auto_buf struct buf line = BUF_INIT(BUF_TEXT_MAX);
		auto_blob struct blob b = blob_new(1, 1000);
		auto_of(store_close) struct store *s = NULL;
		auto_free char *notice = NULL;
		auto_strlist struct strlist repos = {0};
		struct err e;

		fill_store(dir, &b);
		index_add_line(&line, "%s", records[i]);
		index_add_line(&line, "Z a record of the future");
		write_text(dir, "store/index/000002.idx", line.p);
		REQUIRE_OK(open_as(&s, dir, STORE_READ, STORE_LAYOUT_AUTO, &notice, &e));
		CHECK(notice && strstr(notice, "1 records of the index"));
		CHECK_OK(store_repositories(s, &repos, &e));
		CHECK_INT(repos.n, 2);
	}
}

TEST(long_lines_without_end_are_survived)
{
	auto_dir char *dir = temp_dir();
	auto_blob struct blob b = blob_new(1, 1000);
	auto_of(store_close) struct store *s = NULL;
	auto_free char *notice = NULL;
	struct err e;

	fill_store(dir, &b);
	run("head -c 3000000 /dev/zero | tr '\\0' x > '%s/store/index/000002.idx'", dir);
	REQUIRE_OK(open_as(&s, dir, STORE_READ, STORE_LAYOUT_AUTO, &notice, &e));
	CHECK(holds(s, "org/img", &b));
}

// Bytes are changed, and the CRC of half of the lines made right again.
TEST(any_bytes_in_the_index_are_survived)
{
	auto_dir char *dir = temp_dir();
	auto_blob struct blob b = blob_new(1, 1000);
	auto_buf struct buf good = BUF_INIT(BUF_TEXT_MAX);
	auto_free char *path = path_join(dir, "store/index/000001.idx");
	uint64_t x = 1;
	struct err e;

	fill_store(dir, &b);
	REQUIRE_OK(fs_read_file(&good, path, &e));
	for (int i = 0; i < 300; i++) {
		auto_buf struct buf bad = BUF_INIT(BUF_TEXT_MAX);
		auto_of(store_close) struct store *s = NULL;
		auto_free char *notice = NULL;
		auto_strlist struct strlist repos = {0};

		for (struct str rest = buf_str(&good); rest.n > 0;) {
			struct str text, line = str_cut(&rest, '\n');
			auto_free char *copy = xstrndup(line.p, line.n);

			x = x * 6364136223846793005u + 1442695040888963407u;
			if (!index_check_line(line, &text))
				abort();
			copy[(x >> 33) % line.n] = (char)(x >> 56);
			if (x >> 40 & 1)
				index_add_line(&bad, "%.*s", (int)text.n, copy);
			else
				buf_printf(&bad, "%s\n", copy);
		}
		write_text(dir, "store/index/000001.idx", bad.p);
		CHECK_OK(open_as(&s, dir, STORE_READ, STORE_LAYOUT_AUTO, &notice, &e));
		CHECK(notice);
		CHECK_OK(store_repositories(s, &repos, &e));
		for (size_t r = 0; r < repos.n; r++)
			CHECK_OK(repo_check(repos.v[r], &e));
	}
}

TEST(damaged_content_is_named_and_repaired)
{
	static const char *const damage[] = {"echo x > '%s'", "rm '%s'", "truncate -s 0 '%s'"};

	for (size_t i = 0; i < ARRAY_SIZE(damage); i++) {
		auto_dir char *dir = temp_dir();
		auto_blob struct blob b = blob_new(1, 1000);
		struct err e;

		fill_store(dir, &b);
		auto_free char *file = xasprintf("%s/store/pool/sha256/%.2s/%s", dir,
						 digest_hex(&b.d.digest), digest_hex(&b.d.digest));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		auto_free char *command = xasprintf(damage[i], file);
#pragma GCC diagnostic pop
		run("%s", command);
		{
			auto_of(store_close) struct store *s =
				must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

			CHECK_FAILS(store_blob_check(s, "org/img", &b.d, &e));
			CHECK_INT(e.kind, ERR_NOT_FOUND);
			CHECK(strstr(e.text, b.d.digest.text));
			REQUIRE_OK(put(s, "org/img", &b, &e));
			REQUIRE_OK(store_sync(s, &e));
		}
		check_store(dir, &b);
	}
}

TEST(large_blobs_are_cut_where_the_limit_is)
{
	static const size_t sizes[] = {99999, 100000, 100001, 200000, 250000, 300000};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		auto_dir char *dir = temp_dir();
		auto_blob struct blob b = blob_new(i, sizes[i]);
		struct err e;

		{
			auto_of(store_close) struct store *s =
				must_open(dir, STORE_WRITE, STORE_LAYOUT_PORTABLE);

			s->piece_bytes = 100000;
			// Broken off in every piece, and gone on with.
			for (b.cut = 70000; b.cut < b.n; b.cut += 70000)
				CHECK_FAILS(put(s, "img", &b, &e));
			b.cut = 0;
			REQUIRE_OK(put(s, "img", &b, &e));
			CHECK_INT(b.opened_at, sizes[i] / 70000 * 70000);
			CHECK(holds(s, "img", &b));
			REQUIRE_OK(store_sync(s, &e));
		}
		auto_free char *count =
			xasprintf("exit $(find '%s/store/pool' -type f | wc -l)", dir);
		auto_free char *left =
			xasprintf("exit $(find '%s/store/part' -type f | wc -l)", dir);

		CHECK_INT(WEXITSTATUS(system(count)), (sizes[i] + 99999) / 100000);
		CHECK_INT(WEXITSTATUS(system(left)), 0);
		auto_of(store_close) struct store *s =
			must_open(dir, STORE_READ, STORE_LAYOUT_AUTO);
		size_t n = 0;
		auto_free unsigned char *tail = read_blob(s, "img", &b.d, b.n - 150, &n, &e);

		CHECK(holds(s, "img", &b));
		CHECK_OK(store_blob_check(s, "img", &b.d, &e));
		CHECK(tail && n == 150 && memcmp(tail, b.data + b.n - 150, 150) == 0);
	}
}

TEST(a_lost_piece_is_noticed_and_written_again)
{
	auto_dir char *dir = temp_dir();
	auto_blob struct blob b = blob_new(1, 250000);
	struct err e;

	for (int i = 0; i < 2; i++) {
		auto_of(store_close) struct store *s =
			must_open(dir, STORE_WRITE, STORE_LAYOUT_PORTABLE);

		s->piece_bytes = 100000;
		if (i > 0) {
			CHECK_FAILS(store_blob_check(s, "img", &b.d, &e));
			CHECK(strstr(e.text, "200000 bytes instead of 250000"));
		}
		REQUIRE_OK(put(s, "img", &b, &e));
		CHECK_INT(b.opened, i + 1);
		REQUIRE_OK(store_sync(s, &e));
		CHECK_OK(store_blob_check(s, "img", &b.d, &e));
		if (i == 0)
			run("rm '%s/store/pool/sha256/'*/*.002", dir);
	}
	// And in one piece, where the limit is another.
	run("rm '%s/store/pool/sha256/'*/*.001", dir);
	{
		auto_of(store_close) struct store *s =
			must_open(dir, STORE_WRITE, STORE_LAYOUT_PORTABLE);

		REQUIRE_OK(put(s, "img", &b, &e));
		REQUIRE_OK(store_sync(s, &e));
		CHECK(holds(s, "img", &b));
	}
	auto_free char *count = xasprintf("exit $(find '%s/store/pool' -type f | wc -l)", dir);

	CHECK_INT(WEXITSTATUS(system(count)), 1);
}

TEST(there_is_one_writer)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_PORTABLE);
	auto_of(store_close) struct store *other = NULL;
	auto_free char *notice = NULL;
	struct err e;

	CHECK_FAILS(open_as(&other, dir, STORE_WRITE, STORE_LAYOUT_AUTO, &notice, &e));
	CHECK(strstr(e.text, "another process is writing") && strstr(e.text, dir));
	CHECK_OK(open_as(&other, dir, STORE_READ, STORE_LAYOUT_AUTO, &notice, &e));
	CHECK_OK(store_sync(s, &e));
}

TEST(the_crc_is_castagnolis)
{
	CHECK_INT(crc32c("123456789", 9), 0xe3069283u);
	CHECK_INT(crc32c("", 0), 0);
}

int main(void)
{
	return tap_main();
}
