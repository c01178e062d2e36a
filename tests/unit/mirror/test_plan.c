// SPDX-License-Identifier: Apache-2.0
// Planning: what is asked of whom, and what is added to the transfer.
#include <stdio.h>
#include <string.h>

#include "fake.h"
#include "mirror/instructions.h"
#include "tap.h"
#include "util/mem.h"

static struct err e;

static const struct mirror_options PLAIN;

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

static char pinned[4][600];
static char *at(int i, const char *repository, const struct digest *d)
{
	snprintf(pinned[i], sizeof(pinned[i]), "%s@%s", repository, d->text);
	return pinned[i];
}

#define CHECK_LOGGED(f, ...)                                         \
	do {                                                         \
		char want_[600];                                     \
		snprintf(want_, sizeof(want_), __VA_ARGS__);         \
		tap_report(fake_logged(f, want_), "no '%s'", want_); \
	} while (0)

TEST(a_tag_is_read_once_and_added_under_the_destination_tag)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};

	fake_init(&f);
	struct digest d = fake_image(fake_repo(&f, "src.io/a"), "one", "v1");

	memory_set_fresh(fake_repo(&f, "dst.io/b"));
	REQUIRE_OK(RUN(&f, &PLAIN, &r, "src.io/a:v1", "dst.io/b:x"));
	CHECK_LOGGED(&f, "add dst.io/b %s tags=x blobs=2 children=0", d.text);
	CHECK_INT((long long)fake_requests(f.src), 1);
	CHECK_INT((long long)memory_calls(f.dst, MEMORY_MANIFEST_GET), 1);
	CHECK_INT((long long)memory_calls(f.dst, MEMORY_MANIFEST_STAT), 0);
	CHECK_INT((long long)r.lines.n, 1);
	auto_free char *line = xasprintf("%s dst.io/b:x", d.text);

	CHECK_STR(r.lines.v[0], line);
}

TEST(what_the_destination_has_is_not_asked_of_the_source)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct digest d[5];
	const char *args[5];
	char maps[5][400];

	fake_init(&f);
	for (int i = 0; i < 5; i++) {
		char body[8], tag[8];

		snprintf(body, sizeof(body), "t%d", i);
		snprintf(tag, sizeof(tag), "v%d", i);
		d[i] = fake_image(fake_repo(&f, "src.io/a"), body, NULL);
		fake_image(fake_repo(&f, "dst.io/b"), body, tag);
		snprintf(maps[i], sizeof(maps[i]), "src.io/a@%s=dst.io/b:%s", d[i].text, tag);
		args[i] = maps[i];
	}
	REQUIRE_OK(run(&f, &PLAIN, &r, args, 5));
	CHECK_INT((long long)fake_requests(f.src), 0);
	CHECK_INT((long long)fake_requests(f.dst), 5);
	CHECK_INT((long long)memory_calls(f.dst, MEMORY_MANIFEST_GET), 1);
	CHECK_INT((long long)r.lines.n, 5);
	CHECK(!fake_logged(&f, "add"));
}

TEST(a_fresh_repository_is_asked_once)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};

	fake_init(&f);
	struct digest one = fake_image(fake_repo(&f, "src.io/a"), "one", NULL);
	struct digest two = fake_image(fake_repo(&f, "src.io/a"), "two", NULL);

	memory_set_fresh(fake_repo(&f, "dst.io/b"));
	char first[400], second[400];

	snprintf(first, sizeof(first), "src.io/a@%s=dst.io/b:1", one.text);
	snprintf(second, sizeof(second), "src.io/a@%s=dst.io/b:2", two.text);
	REQUIRE_OK(RUN(&f, &PLAIN, &r, first, second));
	CHECK_INT((long long)fake_requests(f.dst), 1);
	CHECK_INT((long long)fake_requests(f.src), 2);
	CHECK_LOGGED(&f, "add dst.io/b %s tags=2 blobs=2", two.text);
}

TEST(an_image_under_another_tag_is_only_tagged)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};

	fake_init(&f);
	struct digest d = fake_image(fake_repo(&f, "src.io/a"), "one", NULL);

	fake_image(fake_repo(&f, "dst.io/b"), "one", "old");
	REQUIRE_OK(RUN(&f, &PLAIN, &r, at(0, "src.io/a", &d), "dst.io/b:new", "dst.io/b:old"));
	CHECK_INT((long long)fake_requests(f.src), 0);
	CHECK_LOGGED(&f, "add dst.io/b %s tags=new blobs=0 children=0 present", d.text);
	CHECK_LOGGED(&f, "present dst.io/b %s old", d.text);
}

TEST(retagging_looks_at_no_blob)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct mirror_options force = {.transfer = {.force = true}};

	fake_init(&f);
	struct digest d = fake_image(fake_repo(&f, "src.io/a"), "one", "v1");

	REQUIRE_OK(RUN(&f, &PLAIN, &r, "src.io/a:v1", "src.io/a:new"));
	CHECK_LOGGED(&f, "add src.io/a %s tags=new blobs=0 children=0 present", d.text);
	mirror_result_release(&r);
	REQUIRE_OK(RUN(&f, &force, &r, "src.io/a:v1", "src.io/a:newer"));
	CHECK_LOGGED(&f, "add src.io/a %s tags=newer blobs=2 children=0 present", d.text);
}

TEST(force_and_dry_run_never_ask_the_destination)
{
	static const struct mirror_options rows[] = {{.transfer = {.force = true}},
						     {.transfer = {.dry_run = true}}};

	for (size_t i = 0; i < 2; i++) {
		auto_fake struct fake f;
		auto_mirror_result struct mirror_result r = {0};

		fake_init(&f);
		struct digest d = fake_image(fake_repo(&f, "src.io/a"), "one", "v1");

		fake_image(fake_repo(&f, "dst.io/b"), "one", "v1");
		REQUIRE_OK(RUN(&f, &rows[i], &r, "src.io/a:v1", "dst.io/b"));
		CHECK_INT((long long)fake_requests(f.dst), 0);
		CHECK_INT((long long)memory_calls(f.dst, MEMORY_PROBE), i == 0);
		CHECK_LOGGED(&f, "add dst.io/b %s tags=v1 blobs=2", d.text);
		CHECK_INT((long long)r.lines.n, i == 0);
	}
}

TEST(a_dry_run_opens_no_folder)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct mirror_options dry = {.transfer = {.dry_run = true}, .check_space = true};

	fake_init(&f);
	struct digest d = fake_image(fake_repo(&f, "src.io/a"), "one", "v1");

	REQUIRE_OK(RUN(&f, &dry, &r, "src.io/a:v1", "file://b/c"));
	CHECK_LOGGED(&f, "add file:///b/c %s tags=v1 blobs=2", d.text);
	CHECK_INT((long long)f.opened_for_writing, 0);
}

static struct digest three(struct repo *r, struct digest children[3], const char *tag)
{
	children[0] = fake_image(r, "amd64", NULL);
	children[1] = fake_image(r, "arm64", NULL);
	children[2] = fake_image(r, "s390x", NULL);
	return fake_list(r, children, 3, tag);
}

TEST(a_list_by_tag_becomes_the_image_of_this_platform_with_a_notice)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct mirror_options amd64 = {.filter_by_os = "linux/amd64"};
	struct digest c[3];

	fake_init(&f);
	struct digest list = three(fake_repo(&f, "src.io/a"), c, "v1");

	REQUIRE_OK(RUN(&f, &amd64, &r, "src.io/a:v1", "dst.io/b"));
	CHECK_LOGGED(&f, "add dst.io/b %s tags=v1 blobs=2", c[0].text);
	CHECK_LOGGED(&f, "notice src.io/a:v1 is a manifest list");
	CHECK_INT((long long)r.lines.n, 1);
	CHECK(!fake_logged(&f, list.text));
}

TEST(a_list_is_carried_whole_where_it_must_be)
{
	static const struct {
		struct mirror_options opt;
		bool by_digest;
	} rows[] = {
		{{.keep_manifest_list = true}, false},
		{{.filter_by_os = ""}, false},
		{{.all_platforms = true}, false},
		{{.filter_by_os = ".*"}, false},
		{{0}, true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_fake struct fake f;
		auto_mirror_result struct mirror_result r = {0};
		struct digest c[3];

		fake_init(&f);
		struct digest list = three(fake_repo(&f, "src.io/a"), c, "v1");
		const char *src = rows[i].by_digest ? at(0, "src.io/a", &list) : "src.io/a:v1";

		REQUIRE_OK(RUN(&f, &rows[i].opt, &r, src, "dst.io/b:x"));
		CHECK_LOGGED(&f, "add dst.io/b %s tags=x blobs=0 children=3", list.text);
		for (int k = 0; k < 3; k++)
			CHECK_LOGGED(&f, "add dst.io/b %s tags= blobs=2", c[k].text);
		CHECK_INT((long long)r.lines.n, 4);
		CHECK(!fake_logged(&f, "notice"));
	}
}

TEST(two_of_three_platforms_make_a_new_list)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct mirror_options two = {.filter_by_os = "linux/a"};
	struct digest c[3];

	fake_init(&f);
	struct digest list = three(fake_repo(&f, "src.io/a"), c, "v1");

	REQUIRE_OK(RUN(&f, &two, &r, "src.io/a:v1", "dst.io/b"));
	CHECK_LOGGED(&f, "add dst.io/b %s tags=", c[0].text);
	CHECK_LOGGED(&f, "add dst.io/b %s tags=", c[1].text);
	CHECK_INT((long long)r.lines.n, 3);
	CHECK(!fake_logged(&f, list.text));
	CHECK_LOGGED(&f, "notice src.io/a:v1");
	CHECK(ends_with(f.log.v[f.log.n - 1], " tags=v1 blobs=0 children=2 generated"));
}

TEST(keeping_a_list_with_a_filter_makes_it_sparse)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct mirror_options opt = {.filter_by_os = "linux/arm64", .keep_manifest_list = true};
	struct digest c[3];

	fake_init(&f);
	struct digest list = three(fake_repo(&f, "src.io/a"), c, "v1");

	REQUIRE_OK(RUN(&f, &opt, &r, "src.io/a:v1", "dst.io/b"));
	CHECK_LOGGED(&f, "add dst.io/b %s tags=v1 blobs=0 children=1", list.text);
	CHECK(!fake_logged(&f, "sparse"));
	CHECK_INT((long long)r.lines.n, 2);
}

TEST(a_filter_that_nothing_matches_is_an_error_that_lists_the_platforms)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct mirror_options opt = {.filter_by_os = "linux/riscv64"};
	struct digest c[3];

	fake_init(&f);
	three(fake_repo(&f, "src.io/a"), c, "v1");
	CHECK_FAILS(RUN(&f, &opt, &r, "src.io/a:v1", "dst.io/b"));
	CHECK(strstr(e.text, "src.io/a:v1") != NULL);
	CHECK(strstr(e.text, "linux/amd64, linux/arm64, linux/s390x") != NULL);
}

TEST(a_list_that_is_there_is_confirmed_with_its_children)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct digest c[3], same[3];

	fake_init(&f);
	struct digest list = three(fake_repo(&f, "src.io/a"), c, NULL);

	three(fake_repo(&f, "dst.io/b"), same, "v1");
	REQUIRE_OK(RUN(&f, &PLAIN, &r, at(0, "src.io/a", &list), "dst.io/b:v1"));
	CHECK_INT((long long)fake_requests(f.src), 0);
	CHECK_INT((long long)fake_requests(f.dst), 4);
	CHECK_INT((long long)r.lines.n, 4);
	CHECK(!fake_logged(&f, "add"));
}

TEST(a_list_whose_child_is_gone_is_completed)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct digest c[3];

	fake_init(&f);
	struct digest list = three(fake_repo(&f, "src.io/a"), c, NULL);
	struct repo *dst = fake_repo(&f, "dst.io/b");

	fake_image(dst, "amd64", NULL);
	fake_image(dst, "s390x", NULL);
	fake_list(dst, c, 3, "v1");
	REQUIRE_OK(RUN(&f, &PLAIN, &r, at(0, "src.io/a", &list), "dst.io/b:v1"));
	CHECK_LOGGED(&f, "add dst.io/b %s tags= blobs=2", c[1].text);
	CHECK_LOGGED(&f, "add dst.io/b %s tags=v1 blobs=0 children=1", list.text);
	CHECK(!fake_logged(&f, "add dst.io/b sha256:x"));
	CHECK_INT((long long)r.lines.n, 4);
}

TEST(nested_lists_go_child_first)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct digest c[3];

	fake_init(&f);
	struct repo *src = fake_repo(&f, "src.io/a");
	struct digest inner = three(src, c, NULL), outer = fake_list(src, &inner, 1, "v1");

	REQUIRE_OK(RUN(&f, &PLAIN, &r, at(0, "src.io/a", &outer), "dst.io/b:v1"));
	CHECK_LOGGED(&f, "add dst.io/b %s tags= blobs=0 children=3", inner.text);
	CHECK_LOGGED(&f, "add dst.io/b %s tags=v1 blobs=0 children=1", outer.text);
}

TEST(lists_nested_too_deep_are_refused)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};

	fake_init(&f);
	struct repo *src = fake_repo(&f, "src.io/a");
	struct digest d = fake_image(src, "one", NULL);

	for (int i = 0; i < 9; i++)
		d = fake_list(src, &d, 1, NULL);
	CHECK_FAILS(RUN(&f, &PLAIN, &r, at(0, "src.io/a", &d), "dst.io/b:v1"));
	CHECK(strstr(e.text, "nested deeper than 8") != NULL);
}

TEST(lists_that_share_children_fetch_them_once)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct digest c[3];

	fake_init(&f);
	struct repo *src = fake_repo(&f, "src.io/a");
	struct digest all = three(src, c, NULL), two = fake_list(src, c, 2, NULL);
	char first[400], second[400];

	memory_set_fresh(fake_repo(&f, "dst.io/b"));
	snprintf(first, sizeof(first), "src.io/a@%s=dst.io/b:1", all.text);
	snprintf(second, sizeof(second), "src.io/a@%s=dst.io/b:2", two.text);
	REQUIRE_OK(RUN(&f, &PLAIN, &r, first, second));
	CHECK_INT((long long)fake_requests(f.src), 5);
	CHECK_LOGGED(&f, "add dst.io/b %s tags=1 blobs=0 children=3", all.text);
	CHECK_LOGGED(&f, "add dst.io/b %s tags=2 blobs=0 children=2", two.text);
}

static void check_item(const struct mirror_result *r, size_t i, enum mirror_outcome outcome,
		       int http, bool at_source, const char *why)
{
	const struct mirror_item *it = &r->items[i];

	tap_report(it->outcome == outcome, "item %zu: outcome %d, want %d", i, it->outcome,
		   outcome);
	CHECK_INT(it->http, http);
	CHECK_INT(it->at_source, at_source);
	tap_report(why ? it->why && strstr(it->why, why) != NULL : !it->why, "item %zu: '%s'", i,
		   it->why ? it->why : "(nothing)");
}

TEST(every_mapping_has_its_outcome)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct mirror_options opt = {.skip_missing = true, .keep_manifest_list = true};
	struct digest gone;

	digest_of(&gone, DIGEST_SHA256, "gone", 4);
	fake_init(&f);
	struct repo *a = fake_repo(&f, "src.io/a");
	struct digest there = fake_image(a, "one", "v1"), broken = fake_image(a, "two", "v2");
	struct digest children[] = {there, gone};

	fake_list(a, children, 2, "holes");
	memory_add_manifest(a, "{\"schemaVersion\":2", MT_OCI_MANIFEST, "bad", &children[1]);
	f.broken = &broken;
	CHECK_FAILS(RUN(&f, &opt, &r, "src.io/a:nope=dst.io/b:1", "src.io/a:v1=dst.io/b:2",
			"src.io/a:v2=dst.io/b:3", "src.io/a:holes=dst.io/b:4",
			"src.io/a:bad=dst.io/b:5", "src.io/a:v*=dst.io/c", "src.io/a:v1=dst.io/d"));
	REQUIRE_OK(r.nitems == 7 ? 0 : -1);
	check_item(&r, 0, MIRROR_MISSING, 0, true, NULL);
	check_item(&r, 1, MIRROR_DONE, 0, false, NULL);
	check_item(&r, 2, MIRROR_FAILED, 403, false, "denied");
	check_item(&r, 3, MIRROR_PARTLY, 0, false, NULL);
	check_item(&r, 4, MIRROR_FAILED, 0, true, "src.io/a:bad");
	check_item(&r, 5, MIRROR_FAILED, 403, false, "denied"); // of v1 and v2 the worse
	check_item(&r, 6, MIRROR_DONE, 0, false, NULL);
}

TEST(a_destination_that_lets_nobody_in_is_the_reason_for_all_of_its_mappings)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct err denied = {.kind = ERR_DENIED, .http = 401, .text = "unauthorized"};

	fake_init(&f);
	fake_image(fake_repo(&f, "src.io/a"), "one", "v1");
	memory_fail(f.dst, MEMORY_PROBE, 0, &denied);
	CHECK_FAILS(RUN(&f, &PLAIN, &r, "src.io/a:v1=dst.io/b:1", "src.io/a:v1=dst.io/c:1"));
	for (size_t i = 0; i < r.nitems; i++)
		check_item(&r, i, MIRROR_FAILED, 401, false,
			   "unable to push to dst.io: unauthorized");
}

TEST(before_a_run_has_begun_no_mapping_was_tried)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};

	fake_init(&f);
	CHECK_FAILS(RUN(&f, &PLAIN, &r, "src.io/a:v1=dst.io/b:1", "src.io/a:x*=dst.io/c"));
	CHECK_INT((long long)r.nitems, 2);
	for (size_t i = 0; i < r.nitems; i++)
		check_item(&r, i, MIRROR_UNTRIED, 0, false, NULL);
}

TEST(missing_things_are_skipped_by_name_when_that_was_asked_for)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct mirror_options skip = {.skip_missing = true};
	struct digest c[3], gone;

	fake_init(&f);
	struct repo *src = fake_repo(&f, "src.io/a");

	fake_image(src, "here", "v1");
	digest_of(&gone, DIGEST_SHA256, "gone", 4);
	c[0] = fake_image(src, "amd64", NULL);
	c[1] = gone;
	struct digest holes = fake_list(src, c, 2, NULL);
	char tag[400], digest[400], list[400];

	snprintf(tag, sizeof(tag), "src.io/a:nope=dst.io/b:1");
	snprintf(digest, sizeof(digest), "src.io/a@%s=dst.io/b:2", gone.text);
	snprintf(list, sizeof(list), "src.io/a@%s=dst.io/b:3", holes.text);
	REQUIRE_OK(RUN(&f, &skip, &r, tag, digest, list, "src.io/a:v1=dst.io/b:4"));
	CHECK_LOGGED(&f, "missing src.io/a:nope");
	CHECK_LOGGED(&f, "missing src.io/a@%s", gone.text);
	CHECK_LOGGED(&f, "add dst.io/b %s tags=3 blobs=0 children=1 sparse", holes.text);
	CHECK_INT((long long)r.missing.n, 2);
	CHECK_INT((long long)r.lines.n, 3);
}

TEST(errors_name_the_image_in_the_words_of_the_reference_and_say_what_to_do)
{
	auto_fake struct fake f;
	struct digest c[2], gone;

	fake_init(&f);
	struct repo *src = fake_repo(&f, "src.io/a");

	digest_of(&gone, DIGEST_SHA256, "gone", 4);
	c[0] = fake_image(src, "amd64", NULL);
	c[1] = gone;
	struct digest holes = fake_list(src, c, 2, NULL);
	const struct {
		char *src;
		char *want;
	} rows[] = {
		{xstrdup("src.io/a:nope"),
		 xstrdup("unable to retrieve source image src.io/a by tag nope: manifest unknown: "
			 "manifest unknown")},
		{xstrdup(at(0, "src.io/a", &gone)),
		 xasprintf(
			 "unable to retrieve source image src.io/a manifest %s: manifest unknown: "
			 "manifest unknown",
			 gone.text)},
		{xstrdup(at(0, "src.io/a", &holes)),
		 xstrdup("unable to retrieve source image src.io/a manifest #2 from manifest list: "
			 "manifest unknown: manifest unknown")},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_mirror_result struct mirror_result r = {0};

		CHECK_FAILS(RUN(&f, &PLAIN, &r, rows[i].src, "dst.io/b:x"));
		char *hint = strchr(e.text, '\n');

		CHECK(hint && strstr(hint, "--skip-missing"));
		if (hint)
			*hint = '\0';
		CHECK_STR(e.text, rows[i].want);
		free(rows[i].src);
		free(rows[i].want);
	}
}

TEST(schema_1_is_refused_by_name)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct digest d;

	fake_init(&f);
	memory_add_manifest(fake_repo(&f, "src.io/a"),
			    "{\"schemaVersion\":1,\"name\":\"a\",\"tag\":\"v1\",\"fsLayers\":[],"
			    "\"history\":[]}",
			    MT_DOCKER_SIGNED1, "v1", &d);
	CHECK_FAILS(RUN(&f, &PLAIN, &r, "src.io/a:v1", "dst.io/b:x"));
	CHECK(strstr(e.text, "src.io/a:v1 is a schema 1 image, which cannot be mirrored") != NULL);
}

TEST(a_destination_that_refuses_us_is_told_once_and_first)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct err denied;

	fake_init(&f);
	err_set(&denied, ERR_DENIED, "unauthorized: authentication required");
	fake_image(fake_repo(&f, "src.io/a"), "one", "v1");
	fake_image(fake_repo(&f, "src.io/a"), "two", "v2");
	memory_fail(f.dst, MEMORY_PROBE, 0, &denied);
	CHECK_FAILS(RUN(&f, &PLAIN, &r, "src.io/a:v1=dst.io/b:1", "src.io/a:v2=dst.io/b:2"));
	CHECK_STR(e.text, "unable to push to dst.io: unauthorized: authentication required");
	CHECK_INT((long long)f.log.n, 1);
	CHECK_INT((long long)fake_requests(f.src), 0);
}

TEST(patterns_become_one_mapping_for_each_tag)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};

	fake_init(&f);
	struct repo *src = fake_repo(&f, "src.io/a");

	fake_image(src, "one", "mysql-5");
	fake_image(src, "two", "mysql-8");
	fake_image(src, "three", "v1");
	REQUIRE_OK(RUN(&f, &PLAIN, &r, "src.io/a:mysql*", "dst.io/b"));
	CHECK_INT((long long)r.lines.n, 2);
	mirror_result_release(&r);
	REQUIRE_OK(RUN(&f, &PLAIN, &r, "src.io/a", "dst.io/all"));
	CHECK_INT((long long)r.lines.n, 3);
	mirror_result_release(&r);
	REQUIRE_OK(RUN(&f, &PLAIN, &r, "src.io/a:v*", "dst.io/c:x"));
	CHECK(ends_with(r.lines.v[0], " dst.io/c:x"));
}

TEST(patterns_that_cannot_be_expanded_say_why)
{
	static const struct {
		const char *src, *dst;
		const char *want;
	} rows[] = {
		{"src.io/a:zzz*", "dst.io/b", "no tag of src.io/a matches zzz*"},
		{"src.io/a:mysql*", "dst.io/b:x",
		 "when source contains wildcards, the destination must be a repository"},
		{"src.io/a:mysql*", "src.io/a", "SRC and DST may not be the same"},
		{"src.io/none", "dst.io/b", "src.io/none has no tags"},
	};
	auto_fake struct fake f;

	fake_init(&f);
	fake_image(fake_repo(&f, "src.io/a"), "one", "mysql-5");
	fake_image(fake_repo(&f, "src.io/a"), "two", "mysql-8");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_mirror_result struct mirror_result r = {0};

		CHECK_FAILS(RUN(&f, &PLAIN, &r, rows[i].src, rows[i].dst));
		CHECK_STR(e.text, rows[i].want);
	}
}

TEST(a_pattern_that_catches_another_version_is_pointed_out)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};

	fake_init(&f);
	struct repo *src = fake_repo(&f, "src.io/a");

	fake_image(src, "one", "4.18.7-x86_64");
	REQUIRE_OK(RUN(&f, &PLAIN, &r, "src.io/a:4.18.7*", "dst.io/b"));
	CHECK(!fake_logged(&f, "notice"));
	mirror_result_release(&r);
	fake_image(src, "two", "4.18.70-x86_64");
	REQUIRE_OK(RUN(&f, &PLAIN, &r, "src.io/a:4.18.7*", "dst.io/b"));
	CHECK_LOGGED(&f, "notice src.io/a:4.18.7* also matches tags of other versions, such as "
			 "4.18.70-x86_64");
}

TEST(a_store_that_has_the_manifest_is_planned_from_its_own_bytes)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct digest c[3], same[3];

	fake_init(&f);
	f.dst->kind = PLACE_STORE;
	struct digest list = three(fake_repo(&f, "src.io/a"), c, NULL);
	struct digest one = fake_image(fake_repo(&f, "src.io/a"), "one", NULL);
	char first[400], second[400];

	three(fake_repo(&f, "dst.io/b"), same, "v1");
	fake_image(fake_repo(&f, "dst.io/b"), "one", "v2");
	snprintf(first, sizeof(first), "src.io/a@%s=dst.io/b:v1", list.text);
	snprintf(second, sizeof(second), "src.io/a@%s=dst.io/b:v2", one.text);
	REQUIRE_OK(RUN(&f, &PLAIN, &r, first, second));
	CHECK_INT((long long)fake_requests(f.src), 0);
	CHECK_LOGGED(&f, "add dst.io/b %s tags=v1 blobs=0 children=3", list.text);
	CHECK_LOGGED(&f, "add dst.io/b %s tags=v2 blobs=2", one.text);
	CHECK_INT((long long)r.lines.n, 5);
}

TEST(a_store_remembers_where_its_images_came_from)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};

	fake_init(&f);
	f.dst->kind = PLACE_STORE;
	struct digest d = fake_image(fake_repo(&f, "src.io/org/a"), "one", "v1");

	REQUIRE_OK(RUN(&f, &PLAIN, &r, "src.io/org/a:v1", "dst.io/b"));
	CHECK_LOGGED(&f, "origin b %s src.io/org/a", d.text);
	CHECK_INT((long long)r.norigins, 0);
	f.src->kind = PLACE_STORE;
	mirror_result_release(&r);
	REQUIRE_OK(RUN(&f, &PLAIN, &r, "src.io/org/a:v1", "dst.io/c"));
	CHECK_LOGGED(&f, "origin c %s quay.io/org/a", d.text);
}

TEST(a_list_from_a_store_is_carried_whole)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct digest c[3];

	fake_init(&f);
	f.src->kind = PLACE_STORE;
	struct digest list = three(fake_repo(&f, "src.io/a"), c, "v1");

	REQUIRE_OK(RUN(&f, &PLAIN, &r, "src.io/a:v1", "dst.io/b"));
	CHECK_LOGGED(&f, "add dst.io/b %s tags=v1 blobs=0 children=3", list.text);
}

TEST(an_upload_tells_what_a_cluster_needs)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	fake_init(&f);
	f.src->kind = PLACE_STORE;
	fake_image(fake_repo(&f, "src.io/z/two"), "two", "v1");
	fake_image(fake_repo(&f, "src.io/a/one"), "one", "v1");
	fake_image(fake_repo(&f, "src.io/unknown"), "three", "v1");
	REQUIRE_OK(RUN(&f, &PLAIN, &r, "src.io/z/two:v1=dst.io/b:1", "src.io/a/one:v1=dst.io/b:2",
		       "src.io/unknown:v1=dst.io/b:3"));
	CHECK_INT((long long)r.norigins, 2);
	mirror_instructions(&text, INSTRUCTIONS_IDMS, &r);
	const char *one = strstr(text.p, "source: quay.io/a/one");
	const char *two = strstr(text.p, "source: quay.io/z/two");

	CHECK(one && two && one < two);
	CHECK(strstr(text.p, "  - dst.io/b\n") != NULL);
	CHECK(strstr(text.p, "unknown") == NULL);
}

TEST(an_origin_is_told_once_whatever_comes_between_its_images)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0}, all = {0};

	fake_init(&f);
	f.src->kind = PLACE_STORE;
	fake_image(fake_repo(&f, "src.io/z/two"), "two", "v1");
	fake_image(fake_repo(&f, "src.io/z/two"), "more", "v2");
	fake_image(fake_repo(&f, "src.io/a/one"), "one", "v1");
	REQUIRE_OK(RUN(&f, &PLAIN, &r, "src.io/z/two:v1=dst.io/b:1", "src.io/a/one:v1=dst.io/b:2",
		       "src.io/z/two:v2=dst.io/b:3"));
	CHECK_INT((long long)r.norigins, 2);
	mirror_result_add(&all, &r);
	REQUIRE_OK(RUN(&f, &PLAIN, &r, "src.io/z/two:v1=dst.io/b:1", "src.io/a/one:v1=dst.io/b:2"));
	mirror_result_add(&all, &r);
	CHECK_INT((long long)all.norigins, 2);
	CHECK_STR(all.origins[0].origin, "quay.io/a/one");
	CHECK_STR(all.origins[1].origin, "quay.io/z/two");
}

TEST(origins_with_different_mirrors_get_sections_of_their_own)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
	size_t sections = 0;

	fake_init(&f);
	f.src->kind = PLACE_STORE;
	fake_image(fake_repo(&f, "src.io/one"), "one", "v1");
	fake_image(fake_repo(&f, "src.io/two"), "two", "v1");
	fake_image(fake_repo(&f, "src.io/zen"), "three", "v1");
	REQUIRE_OK(RUN(&f, &PLAIN, &r, "src.io/one:v1=dst.io/x:1", "src.io/two:v1=dst.io/y:1",
		       "src.io/zen:v1=dst.io/x:2"));
	mirror_instructions(&text, INSTRUCTIONS_ICSP, &r);
	for (const char *p = text.p; (p = strstr(p, "kind: ImageContentSourcePolicy")); p++)
		sections++;
	CHECK_INT((long long)sections, 2);
}

TEST(a_folder_that_is_too_small_is_refused_before_anything_is_copied)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct mirror_options opt = {.check_space = true};

	fake_init(&f);
	f.dst->kind = PLACE_STORE;
	fake_image(fake_repo(&f, "src.io/a"), "0123456789", "v1");
	memory_set_free_space(f.dst, 20);
	CHECK_FAILS(RUN(&f, &opt, &r, "src.io/a:v1", "dst.io/b"));
	CHECK(starts_with(e.text, "not enough space in 'media': "));
	CHECK(strstr(e.text, "20B are available") != NULL);
}

TEST(what_a_folder_has_already_needs_no_space)
{
	auto_fake struct fake f;
	auto_mirror_result struct mirror_result r = {0};
	struct mirror_options opt = {.check_space = true};

	fake_init(&f);
	f.dst->kind = PLACE_STORE;
	fake_image(fake_repo(&f, "src.io/a"), "0123456789", "v1");
	fake_image(fake_repo(&f, "dst.io/b"), "0123456789", NULL);
	memory_set_free_space(f.dst, 20);
	CHECK_OK(RUN(&f, &opt, &r, "src.io/a:v1", "dst.io/b"));
}

int main(void)
{
	return tap_main();
}
