// SPDX-License-Identifier: Apache-2.0
// Which manifests refer to another: the same answer from every layout, and from clients that had to
// use a tag for it.
#include "fixture.h"
#include "store/file.h"

static const char image[] = "{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_MANIFEST "\"}";

static struct digest image_digest(void)
{
	struct digest d;

	digest_of(&d, DIGEST_SHA256, image, strlen(image));
	return d;
}

// The Nth manifest about SUBJECT.
static char *about(const struct digest *subject, int n)
{
	return xasprintf("{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_INDEX
			 "\",\"manifests\":[],\"annotations\":{\"n\":\"%d\"},\"subject\":{"
			 "\"mediaType\":\"" MT_OCI_MANIFEST "\",\"digest\":\"%s\",\"size\":%zu}}",
			 n, subject->text, strlen(image));
}

static char *index_of(const struct digest *d)
{
	return xasprintf("{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_INDEX
			 "\",\"manifests\":[{\"mediaType\":\"" MT_OCI_INDEX
			 "\",\"digest\":\"%s\",\"size\":1}]}",
			 d->text);
}

static void check_referrers(struct store *s, const char *repo, const struct digest *subject,
			    const struct digest *const *want, size_t n)
{
	auto_strlist struct strlist got = {0}, sorted = {0};
	struct err e;

	for (size_t i = 0; i < n; i++)
		strlist_add(&sorted, want[i]->text);
	strlist_sort(&sorted);
	CHECK_OK(store_referrers(s, repo, subject, &got, &e));
	CHECK_INT(got.n, n);
	for (size_t i = 0; i < n && i < got.n; i++)
		CHECK_STR(got.v[i], sorted.v[i]);
}

static const enum store_layout kinds[] = {STORE_LAYOUT_OC, STORE_LAYOUT_LINKED,
					  STORE_LAYOUT_PORTABLE};

TEST(every_layout_knows_who_refers_to_a_manifest)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		auto_dir char *dir = temp_dir();
		struct digest subject = image_digest(), a, b, other;
		auto_free char *first = about(&subject, 1), *second = about(&subject, 2);
		struct err e;

		{
			auto_of(store_close) struct store *s =
				must_open(dir, STORE_WRITE, kinds[i]);

			REQUIRE_OK(put_manifest(s, "img", first, NULL, &a, &e));
			REQUIRE_OK(put_manifest(s, "img", second, "v1", &b, &e));
			// Of something else, and in another repository.
			auto_free char *third = about(&a, 3);

			REQUIRE_OK(put_manifest(s, "img", third, NULL, &other, &e));
			REQUIRE_OK(put_manifest(s, "elsewhere", third, NULL, NULL, &e));
			REQUIRE_OK(store_sync(s, &e));
		}
		auto_of(store_close) struct store *s =
			must_open(dir, STORE_READ, STORE_LAYOUT_AUTO);
		const struct digest *both[] = {&a, &b}, *one[] = {&other};

		for (int again = 0; again < 2; again++) {
			check_referrers(s, "img", &subject, both, 2);
			check_referrers(s, "img", &a, one, 1);
			check_referrers(s, "img", &b, NULL, 0);
			check_referrers(s, "elsewhere", &subject, NULL, 0);
			check_referrers(s, "elsewhere", &a, one, 1);
			check_referrers(s, "nowhere", &subject, NULL, 0);
		}
	}
}

TEST(what_another_process_adds_is_seen)
{
	for (size_t i = 0; i < 2; i++) {
		auto_dir char *dir = temp_dir();
		struct digest subject = image_digest(), a, b;
		auto_free char *first = about(&subject, 1), *second = about(&subject, 2);
		struct err e;
		auto_of(store_close) struct store *writer = must_open(dir, STORE_WRITE, kinds[i]);

		REQUIRE_OK(put_manifest(writer, "img", first, NULL, &a, &e));
		REQUIRE_OK(store_sync(writer, &e));
		// The clock of folders may stand still for a few milliseconds.
		run("touch -d 2001-01-01 '%s/v2/img/manifests'", dir);
		auto_of(store_close) struct store *s =
			must_open(dir, STORE_READ, STORE_LAYOUT_AUTO);
		const struct digest *one[] = {&a}, *both[] = {&a, &b};

		check_referrers(s, "img", &subject, one, 1);
		REQUIRE_OK(put_manifest(writer, "img", second, NULL, &b, &e));
		REQUIRE_OK(store_sync(writer, &e));
		check_referrers(s, "img", &subject, both, 2);
	}
}

TEST(the_fallback_tag_counts_as_well)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		auto_dir char *dir = temp_dir();
		struct digest subject = image_digest(), a, missing;
		static const char plain[] =
			"{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_INDEX "\",\"manifests\":[]}";
		auto_free char *tag = xasprintf("sha256-%s", digest_hex(&subject));
		struct err e;

		digest_of(&a, DIGEST_SHA256, plain, strlen(plain));
		digest_of(&missing, DIGEST_SHA256, "", 0);
		auto_free char *index = index_of(&a), *hollow = index_of(&missing);
		auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, kinds[i]);
		const struct digest *one[] = {&a};

		REQUIRE_OK(put_manifest(s, "img", plain, NULL, NULL, &e));
		REQUIRE_OK(put_manifest(s, "img", index, tag, NULL, &e));
		// What the index lists but the repository lacks is no referrer; an image is no
		// list.
		REQUIRE_OK(put_manifest(s, "hollow", hollow, tag, NULL, &e));
		REQUIRE_OK(put_manifest(s, "mine", image, tag, NULL, &e));
		REQUIRE_OK(store_sync(s, &e));
		check_referrers(s, "img", &subject, one, 1);
		check_referrers(s, "hollow", &subject, NULL, 0);
		check_referrers(s, "mine", &subject, NULL, 0);
	}
}

TEST(sha512_subjects_have_a_shortened_fallback_tag)
{
	auto_dir char *dir = temp_dir();
	struct digest subject, a;
	struct err e;

	digest_of(&subject, DIGEST_SHA512, image, strlen(image));
	digest_of(&a, DIGEST_SHA256, image, strlen(image));
	auto_free char *index = index_of(&a);
	auto_free char *tag = xasprintf("sha512-%.64s", digest_hex(&subject));
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_LINKED);
	const struct digest *one[] = {&a};

	REQUIRE_OK(put_manifest(s, "img", image, NULL, NULL, &e));
	REQUIRE_OK(put_manifest(s, "img", index, tag, NULL, &e));
	REQUIRE_OK(store_sync(s, &e));
	check_referrers(s, "img", &subject, one, 1);
}

int main(void)
{
	return tap_main();
}
