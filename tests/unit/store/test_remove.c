// SPDX-License-Identifier: Apache-2.0
// Removals: what goes with what, and what stays.
#include "pushes.h"

#include "interpose.h"

static bool has_tag(struct store *s, const char *repo, const char *tag)
{
	struct digest d;
	struct err e;

	return store_tag_get(s, repo, tag, &d, &e) == 0;
}

static bool has_manifest(struct store *s, const char *repo, const struct digest *d)
{
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	struct digest got;
	struct err e;

	return store_manifest_get(s, repo, d->text, &bytes, &got, &e) == 0;
}

TEST(a_tag_goes_alone)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	struct digest d;
	struct err e;

	REQUIRE_OK(push_manifest(s, "img", "{}", "v1", &d, &e));
	REQUIRE_OK(push_manifest(s, "img", "{}", "v2", &d, &e));
	CHECK_OK(store_tag_remove(s, "img", "v1", &e));
	CHECK(!has_tag(s, "img", "v1") && has_tag(s, "img", "v2") && has_manifest(s, "img", &d));
	CHECK_FAILS(store_tag_remove(s, "img", "v1", &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
	CHECK_FAILS(store_tag_remove(s, "none", "v1", &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
	CHECK_FAILS(store_tag_remove(s, "img", d.text, &e));
	CHECK_FAILS(store_tag_remove(s, "img", "../blobs", &e));
	CHECK(has_manifest(s, "img", &d));
}

TEST(a_manifest_takes_its_tags_with_it_in_its_repository)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	struct digest d, other;
	struct err e;

	for (int i = 0; i < 3; i++) {
		auto_free char *tag = xasprintf("v%d", i);

		REQUIRE_OK(push_manifest(s, "img", "{}", tag, &d, &e));
	}
	REQUIRE_OK(push_manifest(s, "img", "{ }", "other", &other, &e));
	REQUIRE_OK(push_manifest(s, "img2", "{}", "v0", &d, &e));
	CHECK_OK(store_manifest_remove(s, "img", &d, &e));
	CHECK(!has_manifest(s, "img", &d));
	CHECK(!has_tag(s, "img", "v0") && !has_tag(s, "img", "v1") && !has_tag(s, "img", "v2"));
	CHECK(has_tag(s, "img", "other") && has_manifest(s, "img", &other));
	CHECK(has_tag(s, "img2", "v0") && has_manifest(s, "img2", &d));
	auto_free char *blob = blob_name("img", &d);

	CHECK(!in_dir(dir, blob));
	CHECK_FAILS(store_manifest_remove(s, "img", &d, &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
	CHECK_FAILS(store_manifest_remove(s, "none", &d, &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
	REQUIRE_OK(push_manifest(s, "img", "{}", "v0", &d, &e));
	CHECK(has_tag(s, "img", "v0") && has_manifest(s, "img", &d));
}

#define SUBJECT "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

TEST(a_damaged_manifest_leaves_no_entry_among_the_referrers)
{
	static const char text[] =
		"{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\","
		"\"manifests\":[],\"subject\":{\"mediaType\":"
		"\"application/vnd.oci.image.manifest.v1+json\",\"size\":2,\"digest\":\"" SUBJECT
		"\"}}";
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	struct digest d;
	struct err e;

	for (int damaged = 0; damaged < 2; damaged++) {
		REQUIRE_OK(push_manifest(s, "img", text, "v1", &d, &e));
		auto_free char *referrer = xasprintf("v2/img/referrers/%s/%s", SUBJECT, d.text);

		CHECK(in_dir(dir, referrer));
		if (damaged)
			run("chmod u+w '%s/%s' && echo x > '%s/%s'", dir, referrer, dir, referrer);
		CHECK_OK(store_manifest_remove(s, "img", &d, &e));
		CHECK(!in_dir(dir, referrer));
		CHECK(!has_tag(s, "img", "v1"));
	}
}

TEST(a_blob_goes_from_one_repository_only)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	auto_blob struct blob b = blob_new(1, 1000);
	auto_free char *here = blob_name("one", &b.d.digest);
	auto_free char *there = blob_name("two", &b.d.digest);
	struct err e;

	REQUIRE_OK(push(s, "one", &b, &e));
	REQUIRE_OK(push(s, "two", &b, &e));
	CHECK_OK(store_blob_remove(s, "one", &b.d.digest, &e));
	CHECK(!in_dir(dir, here) && in_dir(dir, there));
	CHECK(holds(s, "two", &b));
	CHECK_FAILS(store_blob_remove(s, "one", &b.d.digest, &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
	CHECK_FAILS(store_blob_remove(s, "none", &b.d.digest, &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
}

TEST(what_is_staged_is_there_to_be_removed)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	struct digest d;
	struct err e;

	REQUIRE_OK(put_manifest(s, "img", "{}", "v1", &d, &e));
	CHECK_OK(store_tag_remove(s, "img", "v1", &e));
	CHECK(!has_tag(s, "img", "v1") && has_manifest(s, "img", &d));
	REQUIRE_OK(put_manifest(s, "img", "{}", "v2", &d, &e));
	CHECK_OK(store_manifest_remove(s, "img", &d, &e));
	CHECK(!has_tag(s, "img", "v2") && !has_manifest(s, "img", &d));
}

TEST(a_removal_that_is_not_durable_is_not_reported_as_done)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	auto_blob struct blob b = blob_new(1, 1000);
	struct digest d;
	struct err e;

	REQUIRE_OK(push(s, "img", &b, &e));
	REQUIRE_OK(push_manifest(s, "img", "{}", "v1", &d, &e));
	REQUIRE_OK(push_manifest(s, "img", "{}", "v2", &d, &e));
	interpose.fail_errno = EIO;
	interpose.fail = "fsync";
	interpose.fail_after = 0;
	CHECK_FAILS(store_tag_remove(s, "img", "v1", &e));
	CHECK_INT(e.kind, ERR_IO);
	CHECK_FAILS(store_blob_remove(s, "img", &b.d.digest, &e));
	CHECK_FAILS(store_manifest_remove(s, "img", &d, &e));
	// Its tags are not known to be gone: it stays.
	CHECK(has_manifest(s, "img", &d));
	interpose.fail = NULL;
	CHECK_OK(store_manifest_remove(s, "img", &d, &e));
	CHECK_OK(push(s, "img", &b, &e));
}

int main(void)
{
	return tap_main();
}
