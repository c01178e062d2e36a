// SPDX-License-Identifier: Apache-2.0
// A server's store: one pool, and hard links wherever a repository has something of it.
#include "fixture.h"

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

int main(void)
{
	return tap_main();
}
