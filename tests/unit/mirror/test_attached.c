// SPDX-License-Identifier: Apache-2.0
// What goes along with an image because it refers to it: what is asked for, and what is added.
#include <stdio.h>
#include <string.h>

#include "fake.h"
#include "tap.h"
#include "util/cancel.h"
#include "util/mem.h"

static struct err e;

static int run(struct fake *f, const struct mirror_options *opt, struct mirror_result *ret,
	       const char *const *args, size_t n)
{
	struct mappings m = {0};

	if (mappings_parse(&m, (char *const *)args, n, NULL, 0, -1, &e) < 0)
		return -1;
	int r = mirror_run(f->places, &m, opt, NULL, ret, &e);

	mappings_release(&m);
	return r;
}
#define ARGS(...) \
	(const char *[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)
#define RUN(f, opt, ret, ...) run(f, opt, ret, ARGS(__VA_ARGS__))

#define CHECK_LOGGED(f, ...)                                         \
	do {                                                         \
		char want_[600];                                     \
		snprintf(want_, sizeof(want_), __VA_ARGS__);         \
		tap_report(fake_logged(f, want_), "no '%s'", want_); \
	} while (0)

// The image "v1" of R, under a tag that says what it is to OF.
static struct digest attach(struct repo *r, const struct digest *of, const char *suffix)
{
	auto_free char *tag = xasprintf("sha256-%s.%s", digest_hex(of), suffix);

	return fake_image(r, tag, tag);
}

static struct digest refer(struct repo *r, const struct digest *to, const char *text)
{
	struct descriptor config;
	struct digest ret;

	memory_add_blob(r, "{}", 2, &config);
	auto_free char *manifest = xasprintf(
		"{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_MANIFEST "\","
		"\"artifactType\":\"application/x-test\",\"config\":{"
		"\"mediaType\":\"application/vnd.oci.empty.v1+json\",\"size\":2,\"digest\":\"%s\"},"
		"\"layers\":[],\"subject\":{\"mediaType\":\"" MT_DOCKER_MANIFEST
		"\",\"size\":2,\"digest\":\"%s\"},\"annotations\":{\"b\":\"%s\",\"a\":\"1\"}}",
		config.digest.text, to->text, text);

	memory_add_manifest(r, manifest, MT_OCI_MANIFEST, NULL, &ret);
	return ret;
}

// The fallback tag of SUBJECT in R, an index that names the N DIGESTS.
static void fall_back(struct repo *r, const struct digest *subject, const struct digest *digests,
		      size_t n)
{
	auto_free char *tag = xasprintf("sha256-%s", digest_hex(subject));
	auto_buf struct buf json = BUF_INIT(BUF_TEXT_MAX);
	struct digest ignored;

	buf_puts(&json, "{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_INDEX "\",\"manifests\":[");
	for (size_t i = 0; i < n; i++)
		buf_printf(&json,
			   "%s{\"mediaType\":\"" MT_OCI_MANIFEST
			   "\",\"digest\":\"%s\",\"size\":100}",
			   i ? "," : "", digests[i].text);
	buf_puts(&json, "]}");
	memory_add_manifest(r, json.p, MT_OCI_INDEX, tag, &ignored);
}

TEST(the_signature_of_the_release_image_goes_along)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};

	fake_init(&f);
	struct repo *a = fake_repo(&f, "src.io/a");
	struct digest release = fake_image(a, "release", "r"), other = fake_image(a, "other", "o");
	struct digest sig = attach(a, &release, "sig");
	struct mirror_options opt = {.release = &release};

	attach(a, &release, "att");
	attach(a, &other, "sig");
	REQUIRE_OK(RUN(&f, &opt, &r, "src.io/a:r=dst.io/b:r", "src.io/a:o=dst.io/b:o"));
	CHECK_LOGGED(&f, "add dst.io/b %s tags=sha256-%s.sig blobs=2 children=0", sig.text,
		     digest_hex(&release));
	CHECK_INT((long long)f.log.n, 3);
	CHECK_INT((long long)r.lines.n, 2);
	CHECK_INT((long long)memory_calls(f.src, MEMORY_TAGS), 0);
}

TEST(what_is_not_there_is_silent)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};

	fake_init(&f);
	struct digest d = fake_image(fake_repo(&f, "src.io/a"), "one", "v1");
	struct mirror_options opt = {.release = &d};

	REQUIRE_OK(RUN(&f, &opt, &r, "src.io/a:v1", "dst.io/b"));
	CHECK_INT((long long)f.log.n, 1);
}

TEST(with_all_images_a_repository_lists_its_tags_once)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct mirror_options opt = {.attached = MIRROR_ATTACHED_ALL};
	struct digest d[3];

	fake_init(&f);
	struct repo *a = fake_repo(&f, "src.io/a");

	for (size_t i = 0; i < 3; i++) {
		char name[] = {'v', (char)('0' + i), '\0'};

		d[i] = fake_image(a, name, name);
	}
	attach(a, &d[0], "sig");
	attach(a, &d[1], "att");
	attach(a, &d[2], "sbom");
	attach(a, &d[2], "other");
	REQUIRE_OK(RUN(&f, &opt, &r, "src.io/a:v0=dst.io/b:v0", "src.io/a:v1=dst.io/b:v1",
		       "src.io/a:v2=dst.io/b:v2"));
	CHECK_INT((long long)memory_calls(f.src, MEMORY_TAGS), 1);
	CHECK_INT((long long)memory_calls(f.src, MEMORY_MANIFEST_GET), 6);
	CHECK_INT((long long)f.log.n, 6);
	CHECK_INT((long long)r.lines.n, 3);
}

TEST(nothing_is_asked_for_when_nothing_is_wanted)
{
	struct mirror_options opts[] = {
		{.attached = MIRROR_ATTACHED_NONE},
		{.attached = MIRROR_ATTACHED_RELEASE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(opts); i++) {
		auto_fake struct fake f;
		auto_mirror_result struct mirror_result r = {0};

		fake_init(&f);
		struct digest d = fake_image(fake_repo(&f, "src.io/a"), "one", "v1");

		if (i < 1)
			opts[i].release = &d;
		attach(fake_repo(&f, "src.io/a"), &d, "sig");
		REQUIRE_OK(RUN(&f, &opts[i], &r, "src.io/a:v1", "dst.io/b"));
		CHECK_INT((long long)f.log.n, 1);
		CHECK_INT((long long)memory_calls(f.src, MEMORY_TAGS), 0);
		CHECK_INT((long long)memory_calls(f.src, MEMORY_REFERRERS), 0);
	}
}

TEST(a_dry_run_looks_at_the_source_alone)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct mirror_options opt = {.attached = MIRROR_ATTACHED_ALL,
				     .transfer = {.dry_run = true}};

	fake_init(&f);
	struct repo *a = fake_repo(&f, "src.io/a");
	struct digest d = fake_image(a, "one", "v1"), sig = attach(a, &d, "sig");
	struct digest x = refer(a, &d, "x");

	fall_back(a, &d, &x, 1);
	attach(fake_repo(&f, "dst.io/b"), &d, "sig");
	REQUIRE_OK(RUN(&f, &opt, &r, "src.io/a:v1", "dst.io/b"));
	CHECK_LOGGED(&f, "add dst.io/b %s tags=sha256-%s.sig", sig.text, digest_hex(&d));
	CHECK_LOGGED(&f, "add dst.io/b %s tags= ", x.text);
	CHECK_INT((long long)f.log.n, 3);
	CHECK_INT((long long)fake_requests(f.dst), 0);
	CHECK_INT((long long)memory_calls(f.dst, MEMORY_REFERRERS), 0);
}

TEST(the_entries_of_a_list_are_images_too)
{
	static const struct mirror_options opts[] = {
		{.attached = MIRROR_ATTACHED_RELEASE},
		{.attached = MIRROR_ATTACHED_ALL, .all_platforms = true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(opts); i++) {
		auto_fake struct fake f;
		auto_mirror_result struct mirror_result r = {0};
		struct mirror_options opt = opts[i];

		fake_init(&f);
		struct repo *a = fake_repo(&f, "src.io/a");
		struct digest child[] = {fake_image(a, "one", NULL), fake_image(a, "two", NULL)};
		struct digest list = fake_list(a, child, 2, "l"), sig = attach(a, &child[1], "sig");

		opt.all_platforms = true;
		if (i == 0)
			opt.release = &list;
		REQUIRE_OK(RUN(&f, &opt, &r, "src.io/a:l", "dst.io/b"));
		CHECK_LOGGED(&f, "add dst.io/b %s tags=sha256-%s.sig", sig.text,
			     digest_hex(&child[1]));
		CHECK_INT((long long)f.log.n, 4);
	}
}

TEST(what_a_folder_has_undamaged_is_not_put_again)
{
	auto_fake struct fake f;
	struct mirror_options opt = {.attached = MIRROR_ATTACHED_ALL};

	fake_init(&f);
	f.dst->kind = PLACE_STORE;
	struct repo *a = fake_repo(&f, "src.io/a"), *b = fake_repo(&f, "dst.io/b");
	struct digest d = fake_image(a, "one", "v1"), sig = attach(a, &d, "sig");
	struct digest x = refer(a, &d, "x");

	fall_back(a, &d, &x, 1);
	fake_image(b, "one", "v1");
	attach(b, &d, "sig");
	refer(b, &d, "x");
	for (int damaged = 0; damaged < 2; damaged++) {
		auto_mirror_result struct mirror_result r = {0};

		if (damaged)
			memory_damage(b, &sig);
		REQUIRE_OK(RUN(&f, &opt, &r, "src.io/a:v1", "dst.io/b"));
		auto_free char *line = xasprintf("add dst.io/b %s ", sig.text);

		CHECK_INT(fake_logged(&f, line), damaged);
		line[strlen("add dst.io/b ")] = '\0';
		CHECK_INT((long long)f.log.n, damaged ? 5 : 2);
	}
}

TEST(media_give_everything_that_they_have)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	static const struct mirror_options plain;

	fake_init(&f);
	f.src->kind = PLACE_STORE;
	memory_list_referrers(f.src);
	struct repo *a = fake_repo(&f, "src.io/unknown");
	struct digest d = fake_image(a, "one", "v1");

	attach(a, &d, "sig");
	attach(a, &d, "sbom");
	refer(a, &d, "x");
	memory_list_referrers(f.dst);
	REQUIRE_OK(RUN(&f, &plain, &r, "src.io/unknown:v1", "dst.io/b"));
	CHECK_INT((long long)f.log.n, 4);
	CHECK_INT((long long)r.lines.n, 1);
}

TEST(a_failure_is_a_warning_and_no_more)
{
	static const enum memory_call calls[] = {MEMORY_TAGS, MEMORY_REFERRERS};

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		auto_fake struct fake f;
		auto_mirror_result struct mirror_result r = {0};
		struct mirror_options opt = {.attached = MIRROR_ATTACHED_ALL};
		struct err why;

		fake_init(&f);
		struct digest d = fake_image(fake_repo(&f, "src.io/a"), "one", "v1");

		err_set(&why, ERR_DENIED, "no entry");
		memory_fail_repository(f.src, "a", calls[i], &why);
		CHECK_OK(RUN(&f, &opt, &r, "src.io/a:v1", "dst.io/b"));
		CHECK_LOGGED(&f,
			     "notice warning: what is attached to src.io/a@%s is not mirrored: "
			     "no entry",
			     d.text);
		CHECK_INT((long long)r.lines.n, 1);
	}
}

TEST(the_release_image_needs_no_list_of_tags)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct err why;

	fake_init(&f);
	struct repo *a = fake_repo(&f, "src.io/a");
	struct digest d = fake_image(a, "one", "v1"), other = fake_image(a, "two", "v2");
	struct digest sig = attach(a, &d, "sig");
	struct mirror_options opt = {.attached = MIRROR_ATTACHED_ALL, .release = &d};

	attach(a, &other, "sig");
	err_set(&why, ERR_DENIED, "no entry");
	memory_fail_repository(f.src, "a", MEMORY_TAGS, &why);
	CHECK_OK(RUN(&f, &opt, &r, "src.io/a:v1=dst.io/b:v1", "src.io/a:v2=dst.io/b:v2"));
	CHECK_LOGGED(&f, "add dst.io/b %s tags=sha256-", sig.text);
	CHECK_INT((long long)f.log.n, 4);
}

TEST(a_cancelled_run_is_cancelled)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct mirror_options opt = {.attached = MIRROR_ATTACHED_ALL};
	struct err why;

	fake_init(&f);
	fake_image(fake_repo(&f, "src.io/a"), "one", "v1");
	err_cancelled(&why);
	memory_fail_repository(f.src, "a", MEMORY_TAGS, &why);
	CHECK_FAILS(RUN(&f, &opt, &r, "src.io/a:v1", "dst.io/b"));
	CHECK_INT(e.kind, ERR_CANCELLED);
	CHECK_INT((long long)r.lines.n, 1);
}

TEST(referrers_go_to_a_destination_that_lists_them)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct mirror_options opt = {.attached = MIRROR_ATTACHED_ALL};

	fake_init(&f);
	memory_list_referrers(f.src);
	memory_list_referrers(f.dst);
	struct repo *a = fake_repo(&f, "src.io/a");
	struct digest d = fake_image(a, "one", "v1");
	struct digest x = refer(a, &d, "x"), y = refer(a, &d, "y");

	refer(fake_repo(&f, "dst.io/b"), &d, "y");
	REQUIRE_OK(RUN(&f, &opt, &r, "src.io/a:v1", "dst.io/b"));
	CHECK_LOGGED(&f, "add dst.io/b %s tags= blobs=1 children=0", x.text);
	auto_free char *second = xasprintf("add dst.io/b %s", y.text);

	CHECK(!fake_logged(&f, second));
	CHECK_INT((long long)f.log.n, 2);
}

TEST(a_destination_without_a_list_gets_the_fallback_tag_completed)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct mirror_options opt = {.attached = MIRROR_ATTACHED_ALL};
	struct digest there;

	fake_init(&f);
	struct repo *a = fake_repo(&f, "src.io/a"), *b = fake_repo(&f, "dst.io/b");
	struct digest d = fake_image(a, "one", "v1");
	struct digest both[] = {refer(a, &d, "x"), refer(a, &d, "y")};

	digest_of(&there, DIGEST_SHA256, "there", 5);
	fall_back(a, &d, both, 2);
	fall_back(b, &d, (struct digest[]){there, both[1]}, 2);
	REQUIRE_OK(RUN(&f, &opt, &r, "src.io/a:v1", "dst.io/b"));
	CHECK_LOGGED(&f, "add dst.io/b %s tags= blobs=1 children=0", both[0].text);
	auto_free char *json =
		xasprintf("{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_INDEX "\",\"manifests\":["
			  "{\"digest\":\"%s\",\"mediaType\":\"" MT_OCI_MANIFEST "\",\"size\":100},"
			  "{\"digest\":\"%s\",\"mediaType\":\"" MT_OCI_MANIFEST "\",\"size\":100},"
			  "{\"mediaType\":\"" MT_OCI_MANIFEST "\",\"digest\":\"%s\",\"size\":%d,"
			  "\"annotations\":{\"a\":\"1\",\"b\":\"x\"},"
			  "\"artifactType\":\"application/x-test\"}]}",
			  there.text, both[1].text, both[0].text, 0);
	struct manifest_bytes m;

	REQUIRE_OK(a->ops->manifest_get(a, both[0].text, &m, &e));
	char *size = strstr(json, "\"size\":0");
	auto_free char *want = xasprintf("%.*s\"size\":%zu%s", (int)(size - json), json, m.bytes.n,
					 size + strlen("\"size\":0"));
	struct digest index;

	manifest_bytes_release(&m);
	digest_of(&index, DIGEST_SHA256, want, strlen(want));
	CHECK_LOGGED(&f, "add dst.io/b %s tags=sha256-%s blobs=0 children=1 generated", index.text,
		     digest_hex(&d));
	CHECK_INT((long long)f.log.n, 3);
}

TEST(what_the_destination_has_is_not_added)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct mirror_options opt = {.attached = MIRROR_ATTACHED_ALL};

	fake_init(&f);
	struct repo *a = fake_repo(&f, "src.io/a"), *b = fake_repo(&f, "dst.io/b");
	struct digest d = fake_image(a, "one", "v1");
	struct digest x = refer(a, &d, "x");

	fake_image(b, "one", "v1");
	attach(a, &d, "sig");
	attach(b, &d, "sig");
	fall_back(a, &d, &x, 1);
	fall_back(b, &d, &x, 1);
	REQUIRE_OK(RUN(&f, &opt, &r, "src.io/a:v1", "dst.io/b"));
	CHECK(!fake_logged(&f, "add "));
	opt.transfer.force = true;
	mirror_result_release(&r);
	REQUIRE_OK(RUN(&f, &opt, &r, "src.io/a:v1", "dst.io/b"));
	CHECK(fake_logged(&f, "add "));
}

TEST(a_referrer_that_is_about_something_else_is_refused)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct mirror_options opt = {.attached = MIRROR_ATTACHED_ALL};

	fake_init(&f);
	struct repo *a = fake_repo(&f, "src.io/a");
	struct digest d = fake_image(a, "one", "v1"), other = fake_image(a, "two", "v2");
	struct digest x = refer(a, &other, "x"), y = refer(a, &d, "y");

	fall_back(a, &d, (struct digest[]){x, y}, 2);
	REQUIRE_OK(RUN(&f, &opt, &r, "src.io/a:v1", "dst.io/b"));
	CHECK_LOGGED(&f,
		     "notice warning: what is attached to src.io/a@%s is not mirrored: the "
		     "referrer %s is about something else",
		     d.text, x.text);
	CHECK_LOGGED(&f, "add dst.io/b %s tags= blobs=1", y.text);
	CHECK_INT((long long)f.log.n, 4);
}

int main(void)
{
	return tap_main();
}
