// SPDX-License-Identifier: Apache-2.0
// Reading what others wrote: the reference's tree, trees from Windows, dereferenced copies, and
// trees made to hurt us.
#include "fixture.h"

#define MANIFEST "{\"schemaVersion\":2}"

struct tree {
	char *dir;
	struct digest manifest;
	struct blob blob;
};

static void tree_release(struct tree *t)
{
	temp_dir_removep(&t->dir);
	blob_freep(&t->blob);
}
#define auto_tree __attribute__((cleanup(tree_release)))

// As the reference writes it: no .store, a hard link for the manifest, a link for the tag.
static struct tree tree_new(char sep)
{
	struct tree t = {.dir = temp_dir(), .blob = blob_new(1, 50000)};
	char m[DIGEST_TEXT_MAX], b[DIGEST_TEXT_MAX];

	digest_of(&t.manifest, DIGEST_SHA256, MANIFEST, strlen(MANIFEST));
	digest_file_name(&t.manifest, sep, m);
	digest_file_name(&t.blob.d.digest, sep, b);
	run("mkdir -p '%s/v2/org/img/blobs' '%s/v2/org/img/manifests'", t.dir, t.dir);
	auto_free char *path = xasprintf("%s/v2/org/img/blobs/%s", t.dir, b);
	FILE *f = fopen(path, "w");

	fwrite(t.blob.data, 1, t.blob.n, f);
	fclose(f);
	auto_free char *name = xasprintf("v2/org/img/blobs/%s", m);

	write_text(t.dir, name, MANIFEST);
	run("cd '%s/v2/org/img' && ln blobs/%s manifests/%s && ln -s %s manifests/v1 && chmod 0600 "
	    "blobs/*",
	    t.dir, m, m, m);
	return t;
}

static void check_readable(const struct tree *t, const char *dir)
{
	auto_of(store_close) struct store *s = must_open(dir, STORE_READ, STORE_LAYOUT_AUTO);
	auto_buf struct buf by_tag = BUF_INIT(MANIFEST_MAX), by_digest = BUF_INIT(MANIFEST_MAX);
	auto_strlist struct strlist tags = {0}, repos = {0};
	struct digest d;
	struct err e;

	CHECK_OK(store_manifest_get(s, "org/img", "v1", &by_tag, &d, &e));
	CHECK_STR(d.text, t->manifest.text);
	CHECK_STR(by_tag.p, MANIFEST);
	CHECK_OK(store_manifest_get(s, "org/img", t->manifest.text, &by_digest, &d, &e));
	CHECK_OK(store_tags(s, "org/img", &tags, &e));
	CHECK_INT(tags.n, 1);
	CHECK_OK(store_repositories(s, &repos, &e));
	CHECK_INT(repos.n, 1);
	CHECK_OK(store_blob_check(s, "org/img", &t->blob.d, &e));
	CHECK(holds(s, "org/img", (struct blob *)&t->blob));
}

TEST(trees_of_the_reference_are_read)
{
	auto_tree struct tree t = tree_new(':');

	check_readable(&t, t.dir);
	CHECK(!in_dir(t.dir, ".store"));
}

TEST(trees_written_on_windows_are_read)
{
	auto_tree struct tree t = tree_new('-');

	check_readable(&t, t.dir);
}

TEST(copies_with_links_turned_into_files_are_read)
{
	static const char separators[] = {':', '-'};

	for (size_t i = 0; i < 2; i++) {
		auto_tree struct tree t = tree_new(separators[i]);
		auto_dir char *copy = temp_dir();

		run("cp -rL '%s/.' '%s'", t.dir, copy);
		check_readable(&t, copy);
	}
}

TEST(manifests_may_be_in_one_folder_only)
{
	for (size_t i = 0; i < 2; i++) {
		auto_tree struct tree t = tree_new(':');

		run("rm '%s/v2/org/img/%s/%s'", t.dir, i ? "blobs" : "manifests", t.manifest.text);
		check_readable(&t, t.dir);
	}
}

TEST(leftovers_of_the_reference_are_ignored)
{
	auto_tree struct tree t = tree_new(':');

	run("cd '%s/v2/org/img' && ln -s nowhere manifests/v2.download && echo x > "
	    "blobs/%s.download && echo x > manifests/.tmp-123 && echo x > blobs/.tmp-1",
	    t.dir, t.blob.d.digest.text);
	check_readable(&t, t.dir);
}

TEST(a_tag_may_look_like_a_digest)
{
	auto_tree struct tree t = tree_new(':');
	auto_strlist struct strlist tags = {0}, again = {0};
	auto_dir char *copy = temp_dir();
	struct digest d;
	struct err e;
	const char *hex = digest_hex(&t.blob.d.digest);

	// The fallback tag of referrers.
	run("ln -s '%s' '%s/v2/org/img/manifests/sha256-%s'", t.manifest.text, t.dir, hex);
	run("cp -rL '%s/.' '%s'", t.dir, copy);
	auto_free char *tag = xasprintf("sha256-%s", hex);
	auto_of(store_close) struct store *s = must_open(t.dir, STORE_READ, STORE_LAYOUT_AUTO);
	auto_of(store_close) struct store *c = must_open(copy, STORE_READ, STORE_LAYOUT_AUTO);

	CHECK_OK(store_tags(s, "org/img", &tags, &e));
	CHECK(strlist_has(&tags, tag) && tags.n == 2);
	CHECK_OK(store_tag_get(s, "org/img", tag, &d, &e));
	CHECK_STR(d.text, t.manifest.text);
	CHECK_OK(store_tags(c, "org/img", &again, &e));
	CHECK(strlist_has(&again, tag) && again.n == 2);
	CHECK_OK(store_tag_get(c, "org/img", tag, &d, &e));
	CHECK_STR(d.text, t.manifest.text);
}

TEST(a_tag_that_points_to_nothing_is_named)
{
	auto_tree struct tree t = tree_new(':');
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	struct digest d;
	struct err e;

	run("rm '%s/v2/org/img/'*/%s", t.dir, t.manifest.text);
	auto_of(store_close) struct store *s = must_open(t.dir, STORE_READ, STORE_LAYOUT_AUTO);

	CHECK_FAILS(store_manifest_get(s, "org/img", "v1", &bytes, &d, &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
	CHECK(strstr(e.text, "'v1'") && strstr(e.text, t.manifest.text) && strstr(e.text, t.dir));
	CHECK_FAILS(store_tag_get(s, "org/img", "v1", &d, &e));
	CHECK(strstr(e.text, "unknown blob"));
}

TEST(what_is_not_there_is_not_found)
{
	auto_tree struct tree t = tree_new(':');
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	auto_strlist struct strlist tags = {0};
	auto_blob struct blob other = blob_new(77, 10);
	auto_dir char *empty = temp_dir();
	struct digest d;
	struct err e;

	{
		auto_of(store_close) struct store *s =
			must_open(t.dir, STORE_READ, STORE_LAYOUT_AUTO);

		CHECK_FAILS(store_tag_get(s, "org/img", "v2", &d, &e));
		CHECK_INT(e.kind, ERR_NOT_FOUND);
		CHECK_FAILS(store_manifest_get(s, "org", t.manifest.text, &bytes, &d, &e));
		CHECK_INT(e.kind, ERR_NOT_FOUND);
		CHECK_FAILS(store_blob_check(s, "org/img", &other.d, &e));
		CHECK_INT(e.kind, ERR_NOT_FOUND);
		CHECK(!store_blob_open(s, "org/img", &other.d, 0, &e));
		CHECK_INT(e.kind, ERR_NOT_FOUND);
	}
	auto_of(store_close) struct store *s = must_open(empty, STORE_READ, STORE_LAYOUT_AUTO);

	CHECK_OK(store_tags(s, "org/img", &tags, &e));
	CHECK_INT(tags.n, 0);
	CHECK_FAILS(store_tag_get(s, "org/img", "v1", &d, &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
	CHECK_FAILS(store_blob_check(s, "org/img", &other.d, &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
}

TEST(a_blob_of_another_size_is_named)
{
	auto_tree struct tree t = tree_new(':');
	struct err e;

	run("truncate -s 100 '%s/v2/org/img/blobs/%s'", t.dir, t.blob.d.digest.text);
	auto_of(store_close) struct store *s = must_open(t.dir, STORE_READ, STORE_LAYOUT_AUTO);
	auto_free char *want = xasprintf("blob %s in %s is damaged: 100 bytes instead of 50000",
					 t.blob.d.digest.text, t.dir);

	CHECK(!store_blob_open(s, "org/img", &t.blob.d, 0, &e));
	CHECK_INT(e.kind, ERR_DIGEST);
	CHECK_STR(e.text, want);
	CHECK_FAILS(store_blob_check(s, "org/img", &t.blob.d, &e));
	CHECK_STR(e.text, want);
}

TEST(a_blob_is_read_from_any_offset)
{
	auto_tree struct tree t = tree_new(':');
	auto_of(store_close) struct store *s = must_open(t.dir, STORE_READ, STORE_LAYOUT_AUTO);
	static const uint64_t offsets[] = {0, 1, 49999, 50000};
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		size_t n = 0;
		auto_free unsigned char *got =
			read_blob(s, "org/img", &t.blob.d, offsets[i], &n, &e);

		CHECK_INT(n, 50000 - offsets[i]);
		CHECK(got && memcmp(got, t.blob.data + offsets[i], n) == 0);
	}
	CHECK(!store_blob_open(s, "org/img", &t.blob.d, 50001, &e));
}

TEST(a_manifest_that_was_changed_is_refused)
{
	auto_tree struct tree t = tree_new(':');
	auto_free char *name = xasprintf("v2/org/img/blobs/%s", t.manifest.text);
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	struct digest d;
	struct err e;

	write_text(t.dir, name, "{\"schemaVersion\":3}");
	auto_of(store_close) struct store *s = must_open(t.dir, STORE_READ, STORE_LAYOUT_AUTO);

	CHECK_FAILS(store_manifest_get(s, "org/img", "v1", &bytes, &d, &e));
	CHECK_INT(e.kind, ERR_DIGEST);
	CHECK(strstr(e.text, t.manifest.text) && strstr(e.text, "is damaged on the medium"));
	CHECK_INT(bytes.n, 0);
}

TEST(nothing_outside_the_tree_is_ever_read)
{
	static const struct {
		const char *what, *command;
	} rows[] = {
		{"absolute link", "ln -s \"$secret\" \"$blob\""},
		{"relative link that leaves", "ln -s ../../../../../../../..$secret \"$blob\""},
		{"link chain that leaves", "ln -s ../x \"$blob\"; ln -s \"$secret\" v2/org/img/x"},
		{"linked repository",
		 "mv v2/org/img $out/img; ln -s $out/img v2/org/img; cp $secret "
		 "\"$out/img/blobs/${blob##*/}\""},
		{"FIFO", "mkfifo \"$blob\""},
		{"folder", "mkdir \"$blob\""},
		{"link to itself", "ln -s \"${blob##*/}\" \"$blob\""},
		{"device", "ln -s /dev/zero \"$blob\""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows) * 2; i++) {
		auto_tree struct tree t = tree_new(':');
		auto_dir char *out = temp_dir();
		auto_free char *secret = path_join(out, "secret");
		auto_blob struct blob evil = blob_of("the secret", 10);
		struct err e;

		write_text(out, "secret", "the secret");
		run("cd '%s' && secret='%s' out='%s' blob='v2/org/img/blobs/%s'; %s", t.dir, secret,
		    out, evil.d.digest.text, rows[i / 2].command);
		auto_free char *path = xasprintf("org/img/blobs/%s", evil.d.digest.text);
		auto_free char *v2 = path_join(t.dir, "v2");
		auto_fd int root = open(v2, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		auto_fd int fd =
			i % 2 ? open_beneath_by_hand(root, path) : open_beneath(root, path);
		struct stat st;

		CHECK(fd < 0 || (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)));
		auto_of(store_close) struct store *s =
			must_open(t.dir, STORE_READ, STORE_LAYOUT_AUTO);

		CHECK_FAILS(store_blob_check(s, "org/img", &evil.d, &e));
		CHECK(!store_blob_open(s, "org/img", &evil.d, 0, &e));
	}
}

TEST(links_that_stay_inside_are_followed_either_way)
{
	auto_tree struct tree t = tree_new(':');

	run("cd '%s/v2' && mkdir -p other/deep/blobs && ln -s ../../../org/img/blobs/%s "
	    "other/deep/blobs/%s && ln -s ./%s other/deep/blobs/again",
	    t.dir, t.blob.d.digest.text, t.blob.d.digest.text, t.blob.d.digest.text);
	auto_free char *v2 = path_join(t.dir, "v2");
	auto_fd int root = open(v2, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; i < 2; i++) {
		auto_fd int fd = i ? open_beneath_by_hand(root, "other/deep/blobs/again")
				   : open_beneath(root, "other/deep/blobs/again");
		struct stat st;

		CHECK(fd >= 0 && fstat(fd, &st) == 0 && st.st_size == 50000);
	}
}

TEST(tags_that_lead_elsewhere_are_refused)
{
	static const char *const targets[] = {
		"/etc/passwd", "../../../../secret", "v1",
		"/sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"};
	struct digest d;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		auto_tree struct tree t = tree_new(':');

		run("ln -sf '%s' '%s/v2/org/img/manifests/evil'", targets[i], t.dir);
		auto_of(store_close) struct store *s =
			must_open(t.dir, STORE_READ, STORE_LAYOUT_AUTO);

		CHECK_FAILS(store_tag_get(s, "org/img", "evil", &d, &e));
		CHECK(strstr(e.text, "tag 'evil' of 'org/img'") && strstr(e.text, "no digest"));
	}
}

TEST(a_tag_that_is_no_file_is_refused)
{
	auto_tree struct tree t = tree_new(':');
	struct digest d;
	struct err e;

	run("mkfifo '%s/v2/org/img/manifests/fifo'", t.dir);
	run("truncate -s 9M '%s/v2/org/img/manifests/big'", t.dir);
	auto_of(store_close) struct store *s = must_open(t.dir, STORE_READ, STORE_LAYOUT_AUTO);

	CHECK_FAILS(store_tag_get(s, "org/img", "fifo", &d, &e));
	CHECK_FAILS(store_tag_get(s, "org/img", "big", &d, &e));
	CHECK(strstr(e.text, "more than a manifest may have"));
}

TEST(writing_never_goes_through_a_link_either)
{
	auto_tree struct tree t = tree_new(':');
	auto_dir char *out = temp_dir();
	auto_of(store_close) struct store *s = must_open(t.dir, STORE_WRITE, STORE_LAYOUT_AUTO);
	auto_blob struct blob b = blob_new(2, 10);
	struct err e;

	run("ln -s '%s' '%s/v2/evil'", out, t.dir);
	CHECK_OK(put(s, "evil/img", &b, &e));
	CHECK_FAILS(store_sync(s, &e));
	auto_free char *count = xasprintf("test $(find '%s' | wc -l) = 1", out);

	CHECK_INT(system(count), 0);
	// What failed once is not called done later.
	CHECK_FAILS(store_sync(s, &e));
	CHECK_FAILS(put(s, "img", &b, &e));
}

TEST(blobs_whose_link_was_lost_are_found_in_their_repository)
{
	auto_tree struct tree t = tree_new(':');
	auto_of(store_close) struct store *s = must_open(t.dir, STORE_READ, STORE_LAYOUT_AUTO);
	struct err e;

	CHECK_OK(store_blob_check(s, "org/other", &t.blob.d, &e));
	CHECK(holds(s, "org/other", &t.blob));
}

TEST(a_tree_of_the_reference_can_be_written_on)
{
	auto_tree struct tree t = tree_new(':');
	auto_blob struct blob b = blob_new(2, 10);
	struct err e;

	{
		auto_of(store_close) struct store *s =
			must_open(t.dir, STORE_WRITE, STORE_LAYOUT_AUTO);

		REQUIRE_OK(put(s, "org/img", &b, &e));
		REQUIRE_OK(put(s, "org/new", &t.blob, &e));
		CHECK_INT(t.blob.opened, 0);
		REQUIRE_OK(store_sync(s, &e));
	}
	auto_of(store_close) struct store *s = must_open(t.dir, STORE_READ, STORE_LAYOUT_AUTO);

	CHECK(holds(s, "org/img", &b) && holds(s, "org/new", &t.blob));
}

TEST(blobs_above_4_gib_are_read_and_hashed)
{
	if (!getenv("STORE_TEST_FULL")) {
		printf("# skipped: needs --full (STORE_TEST_FULL)\n");
		CHECK(true);
		return;
	}
	auto_dir char *dir = temp_dir();
	struct descriptor d = {.media_type = "", .size = (UINT64_C(4) << 30) + 5};
	auto_free unsigned char *zeros = xcalloc(1, 1 << 20);
	auto_of(hasher_free) struct hasher *h = hasher_new(DIGEST_SHA256);
	struct err e;

	for (int i = 0; i < 4096; i++)
		hasher_add(h, zeros, 1 << 20);
	hasher_add(h, zeros, 5);
	hasher_finish(h, &d.digest);
	run("mkdir -p '%s/v2/img/blobs' && truncate -s 4294967301 '%s/v2/img/blobs/%s'", dir, dir,
	    d.digest.text);
	auto_of(store_close) struct store *s = must_open(dir, STORE_READ, STORE_LAYOUT_AUTO);
	size_t n = 0;
	auto_free unsigned char *tail = read_blob(s, "img", &d, (UINT64_C(4) << 30) - 3, &n, &e);

	CHECK_OK(store_blob_check(s, "img", &d, &e));
	CHECK(tail);
	CHECK_INT(n, 8);
}

int main(void)
{
	return tap_main();
}
