// SPDX-License-Identifier: Apache-2.0
// A server's store: one pool, and hard links wherever a repository has something of it.
#include "fixture.h"
#include "interpose.h"
#include "store/file.h"

static const char image[] = "{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_MANIFEST "\"}";

static ino_t inode_of(const char *dir, const char *fmt, ...) printf_like(2, 3);
static ino_t inode_of(const char *dir, const char *fmt, ...)
{
	struct stat st;
	va_list ap;

	va_start(ap, fmt);
	auto_free char *name = xvasprintf(fmt, ap);
	va_end(ap);
	auto_free char *path = path_join(dir, name);

	return lstat(path, &st) == 0 ? st.st_ino : 0;
}

static nlink_t links_of(const char *dir, const struct digest *d)
{
	auto_free char *path = xasprintf("%s/.store/pool/%s/%.2s/%s", dir,
					 digest_algo_name(d->algo), digest_hex(d), digest_hex(d));
	struct stat st;

	return lstat(path, &st) == 0 ? st.st_nlink : 0;
}

static ino_t pooled(const char *dir, const struct digest *d)
{
	return inode_of(dir, ".store/pool/%s/%.2s/%s", digest_algo_name(d->algo), digest_hex(d),
			digest_hex(d));
}

// A manifest with a subject.
static char *referrer_of(const struct digest *subject)
{
	return xasprintf(
		"{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_MANIFEST
		"\",\"config\":{\"mediaType\":\"application/vnd.oci.empty.v1+json\","
		"\"digest\":\"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060"
		"f61caaff8a\",\"size\":2},\"layers\":[],\"subject\":{\"mediaType\":"
		"\"" MT_OCI_MANIFEST "\",\"digest\":\"%s\",\"size\":%zu}}",
		subject->text, strlen(image));
}

TEST(a_new_store_has_a_pool_and_hard_links)
{
	auto_dir char *dir = temp_dir();
	auto_blob struct blob b = blob_new(1, 100000);
	struct digest m;
	struct err e;

	{
		auto_of(store_close) struct store *s =
			must_open(dir, STORE_WRITE, STORE_LAYOUT_LINKED);

		CHECK_INT(store_layout(s), STORE_LAYOUT_LINKED);
		REQUIRE_OK(put(s, "org/img", &b, &e));
		REQUIRE_OK(put_manifest(s, "org/img", image, "v1", &m, &e));
		REQUIRE_OK(store_sync(s, &e));
	}
	const char *blob = b.d.digest.text, *hex = digest_hex(&b.d.digest);
	auto_free char *tree = tree_of(dir);
	auto_strlist struct strlist lines = {0};

	strlist_add(&lines, "d .store ");
	strlist_add(&lines, "d .store/part ");
	strlist_add(&lines, "d .store/pool ");
	strlist_add(&lines, "d .store/pool/sha256 ");
	strlist_addf(&lines, "d .store/pool/sha256/%.2s ", hex);
	strlist_addf(&lines, "d .store/pool/sha256/%.2s ", digest_hex(&m));
	strlist_add(&lines, "d v2 ");
	strlist_add(&lines, "d v2/org ");
	strlist_add(&lines, "d v2/org/img ");
	strlist_add(&lines, "d v2/org/img/blobs ");
	strlist_add(&lines, "d v2/org/img/manifests ");
	strlist_addf(&lines, "f 100000 .store/pool/sha256/%.2s/%s ", hex, hex);
	strlist_addf(&lines, "f %zu .store/pool/sha256/%.2s/%s ", strlen(image), digest_hex(&m),
		     digest_hex(&m));
	strlist_addf(&lines, "f 100000 v2/org/img/blobs/%s ", blob);
	strlist_addf(&lines, "f %zu v2/org/img/blobs/%s ", strlen(image), m.text);
	strlist_addf(&lines, "f %zu v2/org/img/manifests/%s ", strlen(image), m.text);
	strlist_add(&lines, "f 9 .store/format ");
	strlist_addf(&lines, "l 71 v2/org/img/manifests/v1 %s", m.text);
	strlist_sort(&lines);
	auto_buf struct buf want = BUF_INIT(BUF_TEXT_MAX);

	for (size_t i = 0; i < lines.n; i++)
		buf_printf(&want, "%s\n", lines.v[i]);
	CHECK_STR(tree, want.p);
	CHECK_INT(pooled(dir, &b.d.digest), inode_of(dir, "v2/org/img/blobs/%s", blob));
	CHECK_INT(pooled(dir, &m), inode_of(dir, "v2/org/img/blobs/%s", m.text));
	CHECK_INT(pooled(dir, &m), inode_of(dir, "v2/org/img/manifests/%s", m.text));
	CHECK_INT(links_of(dir, &b.d.digest), 2);
	CHECK_INT(links_of(dir, &m), 3);
	auto_free char *modes = xasprintf("test -z \"$(find '%s' -type f ! -name format ! -perm "
					  "0444)\" && grep -qx 'linked 1' '%s/.store/format'",
					  dir, dir);

	CHECK_INT(system(modes), 0);
}

TEST(repositories_share_one_inode)
{
	auto_dir char *dir = temp_dir();
	auto_blob struct blob b = blob_new(1, 5000);
	struct digest m;
	struct err e;

	{
		auto_of(store_close) struct store *s =
			must_open(dir, STORE_WRITE, STORE_LAYOUT_LINKED);

		REQUIRE_OK(put(s, "a", &b, &e));
		REQUIRE_OK(put(s, "b", &b, &e)); // staged only
		REQUIRE_OK(store_sync(s, &e));
		REQUIRE_OK(store_blob_check(s, "c", &b.d, &e)); // named already
		REQUIRE_OK(store_blob_link(s, "d", &b.d, "a", &e));
		REQUIRE_OK(put_manifest(s, "a", image, NULL, &m, &e));
		REQUIRE_OK(put_manifest(s, "b", image, "v1", &m, &e));
		REQUIRE_OK(store_sync(s, &e));
		CHECK_INT(b.opened, 1);
	}
	for (const char *repo = "abcd"; *repo; repo++)
		CHECK_INT(pooled(dir, &b.d.digest),
			  inode_of(dir, "v2/%c/blobs/%s", *repo, b.d.digest.text));
	CHECK_INT(links_of(dir, &b.d.digest), 5);
	CHECK_INT(links_of(dir, &m), 5);
}

TEST(manifests_are_listed_at_their_subject)
{
	auto_dir char *dir = temp_dir();
	struct digest subject, m;
	struct err e;

	digest_of(&subject, DIGEST_SHA256, image, strlen(image));
	auto_free char *text = referrer_of(&subject);
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_LINKED);

	REQUIRE_OK(put_manifest(s, "a", text, NULL, &m, &e));
	REQUIRE_OK(store_sync(s, &e));
	CHECK_INT(pooled(dir, &m), inode_of(dir, "v2/a/referrers/%s/%s", subject.text, m.text));
	CHECK_INT(links_of(dir, &m), 4);
}

// Damages the file of D in DIR where it is, so that every name of it is damaged.
static void damage(const char *dir, const struct digest *d, const char *how)
{
	run("cd '%s/.store/pool/sha256/'%.2s && chmod u+w %s && %s %s", dir, digest_hex(d),
	    digest_hex(d), how, digest_hex(d));
}

TEST(a_damaged_file_is_repaired_by_a_put_in_every_repository)
{
	static const char *const how[] = {
		"truncate -s 10",
		"f() { printf X | dd of=$1 bs=1 seek=70 conv=notrunc status=none; }; f",
	};

	for (size_t i = 0; i < ARRAY_SIZE(how); i++) {
		auto_dir char *dir = temp_dir();
		struct digest subject, m;
		struct err e;

		digest_of(&subject, DIGEST_SHA256, image, strlen(image));
		auto_free char *text = referrer_of(&subject);
		auto_blob struct blob b = blob_new(1, 5000), again = blob_new(1, 5000);
		auto_blob struct blob as_blob = blob_of(text, strlen(text));

		{
			auto_of(store_close) struct store *s =
				must_open(dir, STORE_WRITE, STORE_LAYOUT_LINKED);

			for (const char *repo = "a"; repo; repo = *repo == 'a' ? "org/b" : NULL) {
				REQUIRE_OK(put(s, repo, &b, &e));
				REQUIRE_OK(put_manifest(s, repo, text, "v1", &m, &e));
			}
			REQUIRE_OK(store_sync(s, &e));
		}
		damage(dir, &b.d.digest, how[i]);
		damage(dir, &m, how[i]);
		auto_of(store_close) struct store *s =
			must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

		CHECK(!holds(s, "org/b", &b));
		// Into a third repository, even: all of them are healed.
		REQUIRE_OK(put(s, "c", &again, &e));
		CHECK_INT(again.opened, 1);
		REQUIRE_OK(put_manifest(s, "c", text, NULL, NULL, &e));
		REQUIRE_OK(store_sync(s, &e));
		CHECK(holds(s, "a", &b) && holds(s, "org/b", &b) && holds(s, "c", &b));
		CHECK(holds(s, "a", &as_blob) && holds(s, "org/b", &as_blob));
		CHECK_INT(links_of(dir, &b.d.digest), 4);
		CHECK_INT(links_of(dir, &m), 10);
		CHECK_INT(pooled(dir, &m),
			  inode_of(dir, "v2/org/b/referrers/%s/%s", subject.text, m.text));
		// The damaged files are kept for whoever wants to look at them.
		auto_free char *kept = xasprintf("test $(ls '%s/.store/trash' | wc -l) = 2", dir);

		CHECK_INT(system(kept), 0);
	}
}

TEST(an_inode_with_all_the_names_it_can_have_gets_a_twin)
{
	auto_dir char *dir = temp_dir();
	auto_blob struct blob b = blob_new(1, 5000);
	struct digest m;
	struct err e;
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_LINKED);

	interpose.links_max = 3;
	for (char c = 'a'; c <= 'i'; c++) {
		char repo[2] = {c, '\0'};

		REQUIRE_OK(put(s, repo, &b, &e));
		REQUIRE_OK(put_manifest(s, repo, image, "v1", &m, &e));
		if (c % 2)
			REQUIRE_OK(store_sync(s, &e));
	}
	REQUIRE_OK(store_sync(s, &e));
	for (char c = 'a'; c <= 'i'; c++) {
		char repo[2] = {c, '\0'};
		auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
		struct digest d;

		CHECK(holds(s, repo, &b));
		CHECK_OK(store_manifest_fetch(s, repo, "v1", STORE_MAY_WAIT, &bytes, &d, &e));
	}
	// 9 names, 3 for each inode of which the pool has one.
	CHECK(inode_of(dir, ".store/pool/sha256/%.2s/%s.4", digest_hex(&b.d.digest),
		       digest_hex(&b.d.digest)));
	CHECK(!inode_of(dir, ".store/pool/sha256/%.2s/%s.5", digest_hex(&b.d.digest),
			digest_hex(&b.d.digest)));
	// A second time nothing moves.
	ino_t before = inode_of(dir, "v2/i/manifests/%s", m.text);

	REQUIRE_OK(put_manifest(s, "i", image, "v1", &m, &e));
	REQUIRE_OK(store_sync(s, &e));
	CHECK_INT(inode_of(dir, "v2/i/manifests/%s", m.text), before);
	interpose.links_max = 0;
	// Repair knows the twins as well.
	damage(dir, &b.d.digest, "truncate -s 1");
	store_close(s);
	s = must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);
	auto_blob struct blob again = blob_new(1, 5000);

	REQUIRE_OK(put(s, "new", &again, &e));
	REQUIRE_OK(store_sync(s, &e));
	for (char c = 'a'; c <= 'i'; c++) {
		char repo[2] = {c, '\0'};

		CHECK(holds(s, repo, &b));
	}
	CHECK_INT(links_of(dir, &b.d.digest), 11);
}

TEST(only_manifests_are_manifests)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_LINKED);
	auto_blob struct blob b = blob_of(image, strlen(image));
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	struct digest d;
	struct err e;

	REQUIRE_OK(put(s, "a", &b, &e));
	REQUIRE_OK(store_sync(s, &e));
	CHECK_FAILS(store_manifest_fetch(s, "a", b.d.digest.text, STORE_MAY_WAIT, &bytes, &d, &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
	CHECK_FAILS(store_manifest_get(s, "a", b.d.digest.text, &bytes, &d, &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
}

TEST(blobs_belong_to_repositories)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_LINKED);
	auto_blob struct blob b = blob_new(1, 100);
	auto_store_file struct store_file f = {0};
	struct err e;

	REQUIRE_OK(put(s, "a", &b, &e));
	REQUIRE_OK(store_sync(s, &e));
	CHECK_FAILS(store_blob_file(s, "b", &b.d.digest, STORE_MAY_WAIT, &f, &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
}

TEST(both_algorithms_have_a_pool)
{
	auto_dir char *dir = temp_dir();
	auto_blob struct blob b = blob_new(1, 70000);
	struct err e;

	digest_of(&b.d.digest, DIGEST_SHA512, b.data, b.n);
	{
		auto_of(store_close) struct store *s =
			must_open(dir, STORE_WRITE, STORE_LAYOUT_LINKED);

		REQUIRE_OK(put(s, "a", &b, &e));
		REQUIRE_OK(store_sync(s, &e));
		CHECK(holds(s, "a", &b));
	}
	CHECK_INT(links_of(dir, &b.d.digest), 2);
}

TEST(what_another_tool_writes_into_the_tree_is_shared_from_then_on)
{
	auto_dir char *dir = temp_dir();
	auto_blob struct blob b = blob_new(1, 5000);
	struct err e;

	store_close(must_open(dir, STORE_WRITE, STORE_LAYOUT_LINKED));
	run("mkdir -p '%s/v2/ext/blobs'", dir);
	auto_free char *path = xasprintf("%s/v2/ext/blobs/%s", dir, b.d.digest.text);
	FILE *f = fopen(path, "w");

	fwrite(b.data, 1, b.n, f);
	fclose(f);
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

	CHECK(holds(s, "ext", &b));
	REQUIRE_OK(put(s, "ext", &b, &e));
	CHECK_INT(b.opened, 0);
	REQUIRE_OK(put(s, "a", &b, &e));
	REQUIRE_OK(put(s, "ext", &b, &e));
	REQUIRE_OK(store_sync(s, &e));
	CHECK(holds(s, "a", &b) && holds(s, "ext", &b));
}

enum { WRITERS = 4, PUTS = 12 };

static void *write_some(void *arg)
{
	const char *dir = arg;
	struct store *s = NULL;
	auto_free char *notice = NULL;
	struct err e;

	CHECK_OK(open_as(&s, dir, STORE_WRITE, STORE_LAYOUT_LINKED, &notice, &e));
	for (int i = 0; s && i < PUTS; i++) {
		auto_blob struct blob b = blob_new((uint64_t)i, 3000);
		auto_free char *repo = xasprintf("r%d", i % 3);
		auto_free char *text = xasprintf("{\"schemaVersion\":2,\"n\":%d}", i);

		CHECK_OK(put(s, repo, &b, &e));
		CHECK_OK(put_manifest(s, repo, text, "v1", NULL, &e));
		CHECK_OK(store_sync(s, &e));
	}
	store_close(s);
	return NULL;
}

TEST(several_writers_may_open_and_fill_one_store_at_once)
{
	auto_dir char *dir = temp_dir();
	pthread_t threads[WRITERS];

	// As processes do: each has a store of its own, and all of them make it.
	for (int i = 0; i < WRITERS; i++)
		if (pthread_create(&threads[i], NULL, write_some, dir) != 0)
			abort();
	for (int i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < PUTS; i++) {
		auto_blob struct blob b = blob_new((uint64_t)i, 3000);

		CHECK_INT(links_of(dir, &b.d.digest), 2);
	}
	auto_free char *clean = xasprintf("test -z \"$(ls -A '%s/.store/tmp' '%s/.store/trash' "
					  "2>/dev/null | grep -v :)\"",
					  dir, dir);

	CHECK_INT(system(clean), 0);
}

int main(void)
{
	return tap_main();
}
