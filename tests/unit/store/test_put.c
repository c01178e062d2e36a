// SPDX-License-Identifier: Apache-2.0
// Putting into the reference's layout, and what stands on the disk afterwards.
#include "fixture.h"

#define MANIFEST \
	"{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\"}"

TEST(a_blob_is_a_regular_file_with_its_digest_as_name)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);
	auto_blob struct blob b = blob_new(1, 100000);
	auto_free char *path = xasprintf("%s/v2/org/img/blobs/%s", dir, b.d.digest.text);
	struct stat st;
	struct err e;

	REQUIRE_OK(put(s, "org/img", &b, &e));
	CHECK(!fs_exists(path));
	REQUIRE_OK(store_sync(s, &e));
	CHECK_INT(lstat(path, &st), 0);
	CHECK(S_ISREG(st.st_mode));
	CHECK_INT(st.st_size, 100000);
	CHECK_INT(st.st_mode & 0777, 0644);
	CHECK_INT(store_layout(s), STORE_LAYOUT_OC);
}

TEST(what_was_put_is_visible_before_it_has_a_name)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);
	auto_blob struct blob b = blob_new(1, 70000);
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	auto_strlist struct strlist tags = {0}, repos = {0};
	struct digest want, got;
	struct err e;

	REQUIRE_OK(put(s, "org/img", &b, &e));
	REQUIRE_OK(put_manifest(s, "org/img", MANIFEST, "v1", &want, &e));
	CHECK(!in_dir(dir, "v2/org"));
	CHECK(holds(s, "org/img", &b));
	CHECK_OK(store_blob_check(s, "org/img", &b.d, &e));
	CHECK_OK(store_tag_get(s, "org/img", "v1", &got, &e));
	CHECK(digest_equal(&want, &got));
	CHECK_OK(store_manifest_get(s, "org/img", want.text, &bytes, &got, &e));
	CHECK_STR(bytes.p, MANIFEST);
	CHECK_OK(store_tags(s, "org/img", &tags, &e));
	CHECK_INT(tags.n, 1);
	CHECK_OK(store_repositories(s, &repos, &e));
	CHECK_INT(repos.n, 1);
}

TEST(a_manifest_has_two_names_and_its_tag_is_a_link)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);
	struct digest d;
	struct err e;
	char text[200];

	REQUIRE_OK(put_manifest(s, "img", MANIFEST, "v1", &d, &e));
	REQUIRE_OK(store_sync(s, &e));
	auto_free char *a = xasprintf("%s/v2/img/manifests/%s", dir, d.text);
	auto_free char *b = xasprintf("%s/v2/img/blobs/%s", dir, d.text);
	auto_free char *tag = xasprintf("%s/v2/img/manifests/v1", dir);
	struct stat sa, sb;

	CHECK(lstat(a, &sa) == 0 && lstat(b, &sb) == 0);
	CHECK(S_ISREG(sa.st_mode) && sa.st_ino == sb.st_ino);
	CHECK_INT(sa.st_nlink, 2);
	ssize_t n = readlink(tag, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	CHECK_STR(text, d.text);
}

TEST(other_repositories_get_a_relative_link_to_the_blob)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);
	auto_blob struct blob b = blob_new(3, 5000);
	char text[300];
	struct err e;

	REQUIRE_OK(put(s, "a", &b, &e));
	REQUIRE_OK(store_blob_link(s, "org/deep/b", &b.d, "a", &e));
	CHECK(holds(s, "org/deep/b", &b));
	REQUIRE_OK(store_sync(s, &e));
	auto_free char *path = xasprintf("%s/v2/org/deep/b/blobs/%s", dir, b.d.digest.text);
	auto_free char *want = xasprintf("../../../../a/blobs/%s", b.d.digest.text);
	ssize_t n = readlink(path, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	CHECK_STR(text, want);
	CHECK(holds(s, "org/deep/b", &b));
}

TEST(a_blob_that_another_repository_has_is_not_read_again)
{
	auto_dir char *dir = temp_dir();
	auto_blob struct blob b = blob_new(3, 200000);
	struct err e;

	{
		auto_of(store_close) struct store *s =
			must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

		REQUIRE_OK(put(s, "a", &b, &e));
		REQUIRE_OK(put(s, "b", &b, &e)); // staged
		REQUIRE_OK(store_sync(s, &e));
		REQUIRE_OK(put(s, "c", &b, &e)); // named
		REQUIRE_OK(store_sync(s, &e));
		CHECK_INT(b.opened, 1);
	}
	// Another run, too.
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

	REQUIRE_OK(put(s, "d", &b, &e));
	CHECK_OK(store_blob_check(s, "e", &b.d, &e));
	REQUIRE_OK(store_sync(s, &e));
	CHECK_INT(b.opened, 1);
	CHECK(holds(s, "b", &b) && holds(s, "c", &b) && holds(s, "d", &b) && holds(s, "e", &b));
	auto_free char *count = xasprintf("test $(find '%s/v2' -type f | wc -l) = 1", dir);

	CHECK_INT(system(count), 0);
}

TEST(wrong_bytes_leave_nothing)
{
	static const struct {
		const char *what;
		int grow;
		const char *text;
	} rows[] = {
		{"other bytes", 0,
		 "content integrity error: the blob streamed from digest sha256:"},
		{"too many", 1, "content integrity error: blob sha256:"},
		{"too few", -1, "content integrity error: blob sha256:"},
	};
	static const size_t sizes[] = {1000, 300000};

	for (size_t i = 0; i < ARRAY_SIZE(rows) * ARRAY_SIZE(sizes); i++) {
		auto_dir char *dir = temp_dir();
		auto_of(store_close) struct store *s =
			must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);
		auto_blob struct blob b = blob_new(4, sizes[i % 2]);
		struct err e;

		b.data[17] ^= rows[i / 2].grow == 0;
		b.d.size -= (uint64_t)rows[i / 2].grow;
		CHECK_FAILS(put(s, "img", &b, &e));
		CHECK_INT(e.kind, ERR_DIGEST);
		CHECK(strncmp(e.text, rows[i / 2].text, strlen(rows[i / 2].text)) == 0);
		REQUIRE_OK(store_sync(s, &e));
		auto_free char *count =
			xasprintf("test $(find '%s/v2' '%s/.store/part' '%s/.store/tmp' -type f | "
				  "wc -l) = 0",
				  dir, dir, dir);

		CHECK_INT(system(count), 0);
	}
}

TEST(an_empty_blob_is_a_blob)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);
	auto_blob struct blob b = blob_of("", 0);
	struct err e;

	REQUIRE_OK(put(s, "img", &b, &e));
	REQUIRE_OK(store_sync(s, &e));
	CHECK_OK(store_blob_check(s, "img", &b.d, &e));
	CHECK(holds(s, "img", &b));
}

TEST(sha512_blobs_have_their_name)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);
	auto_blob struct blob b = blob_new(9, 1000);
	struct err e;

	digest_of(&b.d.digest, DIGEST_SHA512, b.data, b.n);
	REQUIRE_OK(put(s, "img", &b, &e));
	REQUIRE_OK(store_sync(s, &e));
	auto_free char *path = xasprintf("v2/img/blobs/%s", b.d.digest.text);

	CHECK(in_dir(dir, path));
	CHECK(holds(s, "img", &b));
}

TEST(a_tag_can_be_moved_and_the_last_put_counts)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);
	struct digest one, two, got;
	struct err e;

	REQUIRE_OK(put_manifest(s, "img", "{\"n\":1}", "v1", &one, &e));
	REQUIRE_OK(store_sync(s, &e));
	REQUIRE_OK(put_manifest(s, "img", "{\"n\":2}", "v1", &two, &e));
	REQUIRE_OK(put_manifest(s, "img", "{\"n\":1}", "v1", NULL, &e));
	REQUIRE_OK(put_manifest(s, "img", "{\"n\":2}", "v1", NULL, &e));
	CHECK_OK(store_tag_get(s, "img", "v1", &got, &e));
	CHECK_STR(got.text, two.text);
	REQUIRE_OK(store_sync(s, &e));
	CHECK_OK(store_tag_get(s, "img", "v1", &got, &e));
	CHECK_STR(got.text, two.text);
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);

	CHECK_OK(store_manifest_get(s, "img", one.text, &bytes, &got, &e));
}

TEST(a_manifest_with_another_digest_is_refused)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);
	struct digest d;
	struct err e;

	digest_of(&d, DIGEST_SHA256, "x", 1);
	CHECK_FAILS(store_manifest_put(s, "img", STR("{}"), &d, "v1", &e));
	CHECK_INT(e.kind, ERR_DIGEST);
	REQUIRE_OK(store_sync(s, &e));
	CHECK(!in_dir(dir, "v2/img"));
}

TEST(names_are_checked_before_anything_is_opened)
{
	static const char *const repos[] = {"",    "..",    "a/../b", "/a",      "a//b", "a/",
					    "a/B", "blobs", "a/tags", "a/blobs", "a\nb", "a b"};
	static const char *const tags[] = {"", ".x", "a/b", "../x", "-x", "a:b"};
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);
	auto_blob struct blob b = blob_new(1, 10);
	struct digest d;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(repos); i++) {
		CHECK_FAILS(put(s, repos[i], &b, &e));
		CHECK_INT(e.kind, ERR_INPUT);
		CHECK_FAILS(store_tag_get(s, repos[i], "v1", &d, &e));
		CHECK_FAILS(store_blob_check(s, repos[i], &b.d, &e));
	}
	for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
		CHECK_FAILS(put_manifest(s, "img", "{}", tags[i], NULL, &e));
		CHECK_FAILS(store_tag_get(s, "img", tags[i], &d, &e));
		CHECK_INT(e.kind, ERR_INPUT);
	}
	REQUIRE_OK(put(s, "Registry.example.com:5000/org/img", &b, &e));
	REQUIRE_OK(store_sync(s, &e));
	CHECK(in_dir(dir, "v2/Registry.example.com:5000/org/img/blobs"));
}

TEST(damaged_blobs_are_named_and_repaired_where_they_are)
{
	static const char *const damage[] = {
		"printf x | dd of=%s bs=1 seek=5 conv=notrunc 2>/dev/null", "truncate -s 100 %s",
		"truncate -s 0 %s"};

	for (size_t i = 0; i < ARRAY_SIZE(damage); i++) {
		auto_dir char *dir = temp_dir();
		auto_blob struct blob b = blob_new(5, 80000);
		auto_free char *path = xasprintf("%s/v2/a/blobs/%s", dir, b.d.digest.text);
		struct stat st;
		struct err e;

		{
			auto_of(store_close) struct store *s =
				must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

			REQUIRE_OK(put(s, "a", &b, &e));
			REQUIRE_OK(put(s, "b", &b, &e));
			REQUIRE_OK(store_sync(s, &e));
		}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		auto_free char *command = xasprintf(damage[i], path);
#pragma GCC diagnostic pop

		run("%s", command);
		auto_of(store_close) struct store *s =
			must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

		// Through the link of b the file of a is healed.
		CHECK_FAILS(store_blob_check(s, "b", &b.d, &e));
		CHECK_INT(e.kind, ERR_NOT_FOUND);
		CHECK(strstr(e.text, "is damaged") && strstr(e.text, b.d.digest.text));
		REQUIRE_OK(put(s, "b", &b, &e));
		REQUIRE_OK(store_sync(s, &e));
		CHECK_INT(b.opened, 2);
		CHECK(holds(s, "a", &b) && holds(s, "b", &b));
		CHECK_OK(store_blob_check(s, "a", &b.d, &e));
		CHECK(lstat(path, &st) == 0 && S_ISREG(st.st_mode));
	}
}

TEST(a_damaged_manifest_is_written_again)
{
	auto_dir char *dir = temp_dir();
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	struct digest d, got;
	struct err e;

	{
		auto_of(store_close) struct store *s =
			must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

		REQUIRE_OK(put_manifest(s, "img", MANIFEST, "v1", &d, &e));
		REQUIRE_OK(store_sync(s, &e));
	}
	auto_free char *name = xasprintf("v2/img/manifests/%s", d.text);

	write_text(dir, name, "garbage");
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

	CHECK_FAILS(store_manifest_get(s, "img", "v1", &bytes, &got, &e));
	CHECK_INT(e.kind, ERR_DIGEST);
	CHECK(strstr(e.text, "is damaged on the medium"));
	CHECK_FAILS(store_tag_get(s, "img", "v1", &got, &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
	REQUIRE_OK(put_manifest(s, "img", MANIFEST, "v1", &d, &e));
	REQUIRE_OK(store_sync(s, &e));
	CHECK_OK(store_manifest_get(s, "img", "v1", &bytes, &got, &e));
	CHECK_STR(bytes.p, MANIFEST);
}

TEST(each_file_is_hashed_once_a_run)
{
	auto_dir char *dir = temp_dir();
	auto_blob struct blob b = blob_new(5, 80000);
	struct err e;

	{
		auto_of(store_close) struct store *s =
			must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

		REQUIRE_OK(put(s, "a", &b, &e));
		REQUIRE_OK(put(s, "b", &b, &e));
		REQUIRE_OK(store_sync(s, &e));
		CHECK_INT(s->verdicts.n, 1); // hashed while it was written
		CHECK_OK(store_blob_check(s, "b", &b.d, &e));
		CHECK_INT(s->verdicts.n, 1);
	}
	auto_of(store_close) struct store *s = must_open(dir, STORE_READ, STORE_LAYOUT_AUTO);

	CHECK_OK(store_blob_check(s, "a", &b.d, &e));
	CHECK_OK(store_blob_check(s, "b", &b.d, &e));
	CHECK_INT(s->verdicts.n, 1);
}

TEST(a_barrier_runs_by_itself_when_enough_has_been_put)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);
	auto_blob struct blob a = blob_new(1, 3000), b = blob_new(2, 3000), c = blob_new(3, 10);
	struct err e;

	s->barrier_bytes = 5000;
	REQUIRE_OK(put(s, "img", &a, &e));
	CHECK(!in_dir(dir, "v2/img"));
	REQUIRE_OK(put(s, "img", &b, &e));
	CHECK(in_dir(dir, "v2/img"));
	auto_free char *name = xasprintf("v2/img/blobs/%s", c.d.digest.text);

	REQUIRE_OK(put(s, "img", &c, &e));
	CHECK(!in_dir(dir, name));
	s->barrier_us = 0;
	REQUIRE_OK(put_manifest(s, "img", "{}", NULL, NULL, &e));
	CHECK(in_dir(dir, name));
}

TEST(what_was_not_synced_is_dropped_by_close)
{
	auto_dir char *dir = temp_dir();
	auto_blob struct blob a = blob_new(1, 3000);
	struct err e;

	struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

	CHECK_OK(put(s, "img", &a, &e));
	CHECK_OK(put_manifest(s, "img", "{}", "v1", NULL, &e));
	store_close(s);
	auto_free char *count =
		xasprintf("test $(find '%s' -type f ! -name format | wc -l) = 0", dir);

	CHECK_INT(system(count), 0);
}

TEST(many_blobs_in_many_repositories_reach_their_names)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);
	struct err e;

	for (int i = 0; i < 100; i++) {
		auto_blob struct blob b = blob_new((uint64_t)i, 100);
		auto_free char *repo = xasprintf("org%d/img", i % 40);

		REQUIRE_OK(put(s, repo, &b, &e));
	}
	REQUIRE_OK(store_sync(s, &e));
	for (int i = 0; i < 100; i++) {
		auto_blob struct blob b = blob_new((uint64_t)i, 100);
		auto_free char *repo = xasprintf("org%d/img", i % 40);

		CHECK(holds(s, repo, &b));
	}
	auto_strlist struct strlist repos = {0};

	CHECK_OK(store_repositories(s, &repos, &e));
	CHECK_INT(repos.n, 40);
}

TEST(origins_are_kept)
{
	auto_dir char *dir = temp_dir();
	auto_free char *got = NULL, *none = NULL;
	struct digest d;
	struct err e;

	digest_of(&d, DIGEST_SHA256, "x", 1);
	for (int i = 0; i < 2; i++) {
		auto_of(store_close) struct store *s =
			must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

		REQUIRE_OK(store_origin_put(s, "img", &d, "quay.io/org/img", &e));
		CHECK_FAILS(store_origin_put(s, "img", &d, "two words", &e));
		CHECK_FAILS(store_origin_put(s, "img", &d, "new\nline", &e));
		REQUIRE_OK(store_sync(s, &e));
	}
	run("printf 'torn line' >> '%s/.store/origins'", dir);
	{
		auto_of(store_close) struct store *s =
			must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

		REQUIRE_OK(store_origin_put(s, "other", &d, "quay.io/other", &e));
		REQUIRE_OK(store_sync(s, &e));
	}
	auto_of(store_close) struct store *s = must_open(dir, STORE_READ, STORE_LAYOUT_AUTO);

	CHECK_OK(store_origin_get(s, "img", &d, &got, &e));
	CHECK(got && strcmp(got, "quay.io/org/img") == 0);
	CHECK_OK(store_origin_get(s, "nothing", &d, &none, &e));
	CHECK(!none);
	free(got);
	got = NULL;
	CHECK_OK(store_origin_get(s, "other", &d, &got, &e));
	CHECK(got && strcmp(got, "quay.io/other") == 0);
	// The second put of the same origin wrote nothing.
	auto_free char *lines = xasprintf("test $(wc -l < '%s/.store/origins') = 3", dir);

	CHECK_INT(system(lines), 0);
}

TEST(copying_by_hand_grows_by_little)
{
	auto_dir char *dir = temp_dir(), *copy = temp_dir();
	auto_blob struct blob b = blob_new(3, 4000000);
	struct err e;

	{
		auto_of(store_close) struct store *s =
			must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

		for (int i = 0; i < 50; i++) {
			auto_free char *repo = xasprintf("org/img%d", i);

			REQUIRE_OK(put(s, repo, &b, &e));
			REQUIRE_OK(put_manifest(s, repo, MANIFEST, "v1", NULL, &e));
		}
		REQUIRE_OK(store_sync(s, &e));
	}
	run("cp -r '%s/.' '%s'", dir, copy);
	auto_free char *compare =
		xasprintf("a=$(du -s --apparent-size '%s' | cut -f1); b=$(du -s "
			  "--apparent-size '%s' | cut -f1); test $((b * 100)) -le "
			  "$((a * 105))",
			  dir, copy);

	CHECK_INT(system(compare), 0);
	auto_of(store_close) struct store *s = must_open(copy, STORE_READ, STORE_LAYOUT_AUTO);

	CHECK(holds(s, "org/img49", &b));
}

int main(void)
{
	return tap_main();
}
