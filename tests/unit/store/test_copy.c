// SPDX-License-Identifier: Apache-2.0
// One store into another, in every pair of layouts.
#include "fixture.h"

#define CHILD "{\"schemaVersion\":2,\"child\":1}"
#define INDEX "{\"schemaVersion\":2,\"manifests\":[]}"

static void fill_store(const char *dir, enum store_layout layout, struct blob *a, struct blob *b)
{
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, layout);
	struct digest d;
	struct err e;

	REQUIRE_OK(put(s, "one", a, &e));
	REQUIRE_OK(put(s, "org/two", a, &e));
	REQUIRE_OK(put(s, "org/two", b, &e));
	REQUIRE_OK(put_manifest(s, "org/two", CHILD, NULL, &d, &e));
	REQUIRE_OK(put_manifest(s, "org/two", INDEX, "v1", &d, &e));
	REQUIRE_OK(put_manifest(s, "org/two", INDEX, "latest", &d, &e));
	REQUIRE_OK(store_origin_put(s, "org/two", &d, "quay.io/org/two", &e));
	REQUIRE_OK(store_sync(s, &e));
}

static void count_object(void *arg, const char *repo, const struct digest *d, uint64_t size)
{
	(void)repo;
	(void)d;
	(void)size;
	++*(int *)arg;
}

static void check_copy(const char *dir, struct blob *a, struct blob *b)
{
	auto_of(store_close) struct store *s = must_open(dir, STORE_READ, STORE_LAYOUT_AUTO);
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	auto_strlist struct strlist tags = {0};
	auto_free char *origin = NULL;
	struct digest d, child;
	struct err e;

	CHECK(holds(s, "one", a) && holds(s, "org/two", a) && holds(s, "org/two", b));
	CHECK_OK(store_manifest_get(s, "org/two", "v1", &bytes, &d, &e));
	CHECK_STR(bytes.p, INDEX);
	buf_clear(&bytes);
	digest_of(&child, DIGEST_SHA256, CHILD, strlen(CHILD));
	CHECK_OK(store_manifest_get(s, "org/two", child.text, &bytes, &child, &e));
	CHECK_OK(store_tags(s, "org/two", &tags, &e));
	CHECK_INT(tags.n, 2);
	CHECK_OK(store_origin_get(s, "org/two", &d, &origin, &e));
	CHECK(origin && strcmp(origin, "quay.io/org/two") == 0);
}

TEST(everything_is_copied_between_all_layouts)
{
	static const enum store_layout layouts[] = {STORE_LAYOUT_OC, STORE_LAYOUT_PORTABLE};

	for (size_t i = 0; i < 4; i++) {
		auto_dir char *from = temp_dir(), *to = temp_dir();
		auto_blob struct blob a = blob_new(1, 100000), b = blob_new(2, 0);
		int objects = 0;
		struct err e;

		fill_store(from, layouts[i / 2], &a, &b);
		for (int again = 0; again < 2; again++) {
			auto_of(store_close) struct store *src =
				must_open(from, STORE_READ, STORE_LAYOUT_AUTO);
			auto_of(store_close) struct store *dst =
				must_open(to, STORE_WRITE, layouts[i % 2]);

			CHECK_OK(store_copy(src, dst, count_object, &objects, &e));
		}
		CHECK_INT(objects, 2 * 5); // three blobs and two manifests, twice
		check_copy(to, &a, &b);
		if (i == 0) {
			auto_free char *x = tree_of(from), *y = tree_of(to);

			CHECK_STR(y, x);
		}
	}
}

TEST(damage_in_the_source_is_named_and_nothing_of_it_is_copied)
{
	auto_dir char *from = temp_dir(), *to = temp_dir();
	auto_blob struct blob a = blob_new(1, 100000), b = blob_new(2, 10);
	struct err e;

	fill_store(from, STORE_LAYOUT_OC, &a, &b);
	run("printf x | dd of='%s/v2/one/blobs/%s' bs=1 seek=9 conv=notrunc 2>/dev/null", from,
	    a.d.digest.text);
	auto_of(store_close) struct store *src = must_open(from, STORE_READ, STORE_LAYOUT_AUTO);
	auto_of(store_close) struct store *dst = must_open(to, STORE_WRITE, STORE_LAYOUT_PORTABLE);

	CHECK_FAILS(store_copy(src, dst, NULL, NULL, &e));
	CHECK_INT(e.kind, ERR_DIGEST);
	CHECK(strstr(e.text, from) && strstr(e.text, a.d.digest.text));
	CHECK_FAILS(store_blob_check(dst, "one", &a.d, &e));
	CHECK(!in_dir(to, "store/seal"));
}

int main(void)
{
	return tap_main();
}
