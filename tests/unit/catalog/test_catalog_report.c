// SPDX-License-Identifier: Apache-2.0
// What is missing, and which bundles need it; the plan by package.
#include "data/json.h"
#include "mirrored.h"

static struct err e;

static void check_has(const char *text, const char *want)
{
	tap_report(strstr(text, want) != NULL, "no '%s' in\n%s", want, text);
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

// --- what is missing

TEST(nothing_is_said_when_nothing_is_missing)
{
	auto_mirrored struct mirrored f;
	auto_buf struct buf file = BUF_INIT(BUF_TEXT_MAX), shown = BUF_INIT(BUF_TEXT_MAX);

	mirrored_init(&f, "");
	REQUIRE_OK(mirrored_run(&f, &e));
	catalog_missing_print(&file, &f.m);
	catalog_missing_show(&shown, &f.m);
	CHECK_STR(file.p, "");
	CHECK_STR(shown.p, "");
}

TEST(each_missing_image_has_a_line_with_its_reason_and_its_bundles)
{
	static const struct err denied = {
		.kind = ERR_DENIED, .http = 403, .text = "denied: no\nhint: ask for it"};
	auto_mirrored struct mirrored f;
	auto_buf struct buf file = BUF_INIT(BUF_TEXT_MAX);

	mirrored_init(&f, FURTHER("src.io/ops/gone:v9") FURTHER("src.io/Ops/Upper:1"));
	memory_fail_repository(f.w.dst, "olm/ops-beta-bundle", MEMORY_MANIFEST_PUT, &denied);
	REQUIRE_OK(mirrored_run(&f, &e));
	catalog_missing_print(&file, &f.m);
	CHECK_STR(file.p,
		  "src.io/Ops/Upper:1\tnot an image of a registry: \"src.io/Ops/Upper:1\" is not a "
		  "valid image reference: repository name must be lowercase\tbeta: beta.v2\n"
		  "src.io/ops/beta-bundle:v1\tdst.io denies access: unable to push manifest to "
		  "dst.io/olm/ops-beta-bundle:v1: denied: no\tbeta: beta.v1, beta: beta.v2\n"
		  "src.io/ops/gone:v9\tnot found at the source\tbeta: beta.v2\n");
}

TEST(for_people_it_is_grouped_by_reason_and_bounded)
{
	auto_mirrored struct mirrored f;
	auto_buf struct buf further = BUF_INIT(BUF_TEXT_MAX), shown = BUF_INIT(BUF_TEXT_MAX);

	for (int i = 0; i < 30; i++)
		buf_printf(&further, FURTHER("src.io/ops/gone:v%d"), i);
	buf_puts(&further, FURTHER("src.io/Ops/Upper:1"));
	mirrored_init(&f, further.p);
	REQUIRE_OK(mirrored_run(&f, &e));
	catalog_missing_show(&shown, &f.m);
	CHECK(starts_with(shown.p, "warning: not mirrored (31):\n"
				   "  not found at the source (30)\n"
				   "    src.io/ops/gone:v0, for beta: beta.v2\n"));
	check_has(shown.p, "\n    and 22 more\n  not an image of a registry (1): \"src.io/Ops");
	CHECK_INT((long long)count_lines(shown.p), 13);
}

TEST(a_list_of_broken_files_ends_at_its_ceiling)
{
	enum { BROKEN = 100000, LONG = 600 };
	auto_mirrored struct mirrored f;
	auto_buf struct buf file = BUF_INIT(BUF_TEXT_MAX);

	mirrored_init(&f, FURTHER("src.io/ops/gone:v9"));
	REQUIRE_OK(mirrored_run(&f, &e));
	for (int i = 0; i < BROKEN; i++)
		strlist_addf(&f.m.broken, "%0*d", LONG, i);
	catalog_missing_print(&file, &f.m);
	CHECK(file.n < CATALOG_MISSING_MAX + 2 * LONG);
	size_t told = count_lines(file.p) - 1;
	auto_free char *end =
		xasprintf("\n-\tand %zu more\t\n", BROKEN + 1 - told); // with the image

	CHECK(ends_with(file.p, end));
}

TEST(control_characters_do_not_break_the_lines)
{
	auto_mirrored struct mirrored f;
	auto_buf struct buf file = BUF_INIT(BUF_TEXT_MAX);

	mirrored_init(&f, FURTHER("src.io/a\\tb\\nc"));
	REQUIRE_OK(mirrored_run(&f, &e));
	catalog_missing_print(&file, &f.m);
	CHECK(starts_with(file.p, "src.io/a?b?c\tnot an image of a registry: "));
	CHECK_INT((long long)count_lines(file.p), 1);
}

// --- the plan

static int make_plan(struct mirrored *f, struct catalog_plan *plan)
{
	struct transfer_plan_visitor visitor = catalog_plan_visitor(plan);

	f->req.mirror.transfer.dry_run = true;
	if (mirrored_list_images(f, &e) < 0 || catalog_mirror_copy(&f->m, &visitor, &e) < 0)
		return -1;
	catalog_plan_attribute(plan, &f->m);
	return 0;
}

TEST(packages_are_listed_by_size_with_what_only_they_need)
{
	auto_of(catalog_plan_free) struct catalog_plan *plan = catalog_plan_new();
	auto_mirrored struct mirrored f;
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	mirrored_init(&f, FURTHER("src.io/ops/gone:v9"));
	REQUIRE_OK(make_plan(&f, plan));
	catalog_plan_print(&text, plan);
	// Configurations have three bytes each.
	check_has(text.p, "  PACKAGE               BUNDLES  IMAGES  UNIQUE    SHARED\n"
			  "  (the catalog itself)  0        1       ");
	check_has(text.p, "\n  alpha                 1        3       1.979KiB  1003B\n"
			  "  beta                  2        2       13B       1003B  1 missing\n"
			  "  gamma                 1        1       303B      0B\n"
			  "info: 3 packages, 4 bundles, 6 images (and 1 that are missing): 12 "
			  "blobs, ");
	check_has(text.p, ", of which several packages share 1003B\n");
}

static void collect(void *arg, struct str text)
{
	buf_put(arg, text.p, text.n);
}

static struct json find(const struct json *list, const char *key, const char *value)
{
	for (size_t i = 0; i < json_size(list); i++) {
		struct json item = json_item(list, i), member = json_member(&item, key);
		const char *text = "";

		if (json_text(&member, &text, &e) == 0 && strcmp(text, value) == 0)
			return item;
	}
	return (struct json){0};
}

static void check_number(const struct json *object, const char *key, uint64_t want)
{
	struct json member = json_member(object, key);
	uint64_t got = UINT64_MAX;

	CHECK_OK(json_u64(&member, UINT64_MAX, &got, &e));
	tap_report(got == want, "%s is %llu, want %llu", key, (unsigned long long)got,
		   (unsigned long long)want);
}

static void check_text(const struct json *object, const char *key, const char *want)
{
	struct json member = json_member(object, key);
	const char *got = "";

	CHECK_OK(json_text(&member, &got, &e));
	CHECK_STR(got, want);
}

TEST(programs_get_the_same_as_json)
{
	auto_of(catalog_plan_free) struct catalog_plan *plan = catalog_plan_new();
	auto_mirrored struct mirrored f;
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
	auto_json struct json_doc doc = {0};

	mirrored_init(&f, FURTHER("src.io/ops/gone:v9"));
	REQUIRE_OK(make_plan(&f, plan));
	catalog_plan_json(plan, collect, &text);
	REQUIRE_OK(json_parse(&doc, buf_str(&text), JSON_LIMITS(1 << 20), 0, &e));
	struct json root = json_root(&doc);
	struct json packages = json_member(&root, "packages"),
		    images = json_member(&root, "images"), totals = json_member(&root, "totals");
	struct json beta = find(&packages, "name", "beta");
	struct json gone = find(&images, "source", "src.io/ops/gone:v9");
	struct json gamma = find(&images, "source", "src.io/ops/gamma:v1");
	struct json bundles = json_member(&gamma, "bundles");

	check_text(&root, "source", "src.io/cat/index:v1");
	check_text(&root, "destination", "dst.io/olm");
	check_number(&beta, "bundles", 2);
	check_number(&beta, "images", 2);
	check_number(&beta, "missing", 1);
	check_number(&beta, "uniqueBytes", 13);
	check_number(&beta, "sharedBytes", 1003);
	check_number(&beta, "bytes", 1016);
	check_text(&gone, "status", "missing");
	check_text(&gone, "reason", "not found at the source");
	check_text(&gamma, "status", "planned");
	check_text(&gamma, "destination", "dst.io/olm/ops-gamma:v1");
	check_number(&gamma, "bytes", 303);
	CHECK_INT((long long)json_size(&bundles), 1);
	CHECK_INT((long long)json_size(&images), 7);
	check_number(&totals, "packages", 3);
	check_number(&totals, "images", 6);
	check_number(&totals, "missing", 1);
	check_number(&totals, "failed", 0);
	check_number(&totals, "sharedBytes", 1003);
}

TEST(hints_for_people_are_not_in_json)
{
	static const struct err down = {.kind = ERR_NET, .text = "no such host\nhint: check it"};
	auto_of(catalog_plan_free) struct catalog_plan *plan = catalog_plan_new();
	auto_mirrored struct mirrored f;
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	mirrored_init(&f, "");
	memory_fail_repository(f.w.place, "ops/gamma", MEMORY_MANIFEST_GET, &down);
	REQUIRE_OK(make_plan(&f, plan));
	catalog_plan_json(plan, collect, &text);
	CHECK(strstr(text.p, "no such host\"") != NULL);
	CHECK(strstr(text.p, "hint") == NULL);
}

TEST(a_package_without_bundles_is_listed)
{
	auto_of(catalog_plan_free) struct catalog_plan *plan = catalog_plan_new();
	auto_mirrored struct mirrored f;
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
	auto_json struct json_doc doc = {0};

	mirrored_init(&f, "]}{\"schema\":\"olm.package\",\"name\":\"idle\",\"properties\":[");
	REQUIRE_OK(make_plan(&f, plan));
	catalog_plan_json(plan, collect, &text);
	REQUIRE_OK(json_parse(&doc, buf_str(&text), JSON_LIMITS(1 << 20), 0, &e));
	struct json root = json_root(&doc), packages = json_member(&root, "packages");
	struct json idle = find(&packages, "name", "idle");

	check_number(&idle, "bundles", 0);
	check_number(&idle, "bytes", 0);
}

TEST(lists_count_with_all_of_their_images_and_blobs_once)
{
	auto_of(catalog_plan_free) struct catalog_plan *plan = catalog_plan_new();
	auto_mirrored struct mirrored f;
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	mirrored_init(&f, FURTHER("src.io/ops/list:v1"));
	struct digest one = mirrored_image(&f, "ops/list", 'l', 4000, NULL);
	struct digest two = mirrored_image(&f, "ops/list", 'A', 20, NULL); // as alpha's bundle

	mirrored_list(&f, "ops/list", &one, &two, "v1");
	REQUIRE_OK(make_plan(&f, plan));
	catalog_plan_print(&text, plan);
	check_has(text.p, "\n  beta                  2        3       3.922KiB  1.002KiB\n");
	check_has(text.p, ", of which several packages share 1.002KiB\n");
}

int main(void)
{
	return tap_main();
}
