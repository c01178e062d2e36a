// SPDX-License-Identifier: Apache-2.0
#include "data/json.h"

#include "tap.h"
#include "util/cleanup.h"
#include "util/mem.h"

static const struct json_limits small = {.bytes = 100, .values = 10, .depth = 4};

TEST(members_and_items_are_reached_and_named)
{
	auto_json struct json_doc doc = {NULL};
	struct err e;
	const char *text;
	uint64_t n;
	size_t items;

	REQUIRE_OK(json_parse(&doc, STR("{\"a\":[{\"b\":\"c\"},{\"b\":7}],\"n\":null}"), small, 0,
			      &e));
	struct json root = json_root(&doc), a = json_member(&root, "a");
	struct json first = json_item(&a, 0), second = json_item(&a, 1), third = json_item(&a, 2);
	struct json b = json_member(&first, "b"), b2 = json_member(&second, "b");
	struct json b3 = json_member(&third, "b"), null = json_member(&root, "n");

	CHECK_OK(json_items(&a, &items, &e));
	CHECK_INT(items, 2);
	CHECK_OK(json_text(&b, &text, &e));
	CHECK_STR(text, "c");
	CHECK_OK(json_u64(&b2, 7, &n, &e));
	CHECK_INT(n, 7);
	CHECK_FAILS(json_u64(&b2, 6, &n, &e));
	CHECK_STR(e.text, "a[1].b: too large");
	CHECK_FAILS(json_text(&b3, &text, &e));
	CHECK_STR(e.text, "a[2].b: missing");
	CHECK_FAILS(json_items(&b, &items, &e));
	CHECK_STR(e.text, "a[0].b: not an array");
	CHECK(json_exists(&null) && !json_present(&null));
	CHECK_OK(json_text_or(&null, "x", &text, &e));
	CHECK_STR(text, "x");
	CHECK_FAILS(json_need_object(&null, &e));
	CHECK_STR(e.text, "n: missing");
}

TEST(the_last_of_two_members_counts_unless_they_must_be_unique)
{
	auto_json struct json_doc doc = {NULL}, none = {NULL};
	struct err e;
	uint64_t n;

	REQUIRE_OK(json_parse(&doc, STR("{\"a\":1,\"a\":2}"), small, 0, &e));
	struct json root = json_root(&doc), a = json_member(&root, "a");

	CHECK_OK(json_u64(&a, 9, &n, &e));
	CHECK_INT(n, 2);
	CHECK_FAILS(json_parse(&none, STR("{\"a\":1,\"a\":2}"), small, JSON_UNIQUE, &e));
}

TEST(what_is_not_json_is_refused_without_quoting_it)
{
	static const char *const rows[][2] = {
		{"", "unexpected end of JSON input"},
		{" \n", "unexpected end of JSON input"},
		{"{\"secret\":\"s3", "unexpected end of JSON input"},
		{"{\"secret\":s3cret}", "invalid JSON at line 1, column 11"},
		{"{} s3cret", "data after the JSON document at line 1, column 4"},
		{"\"a\\u0000b\"", "NUL character in a string at line 1, column 10"},
		{"\"\377\"", "invalid UTF-8 at line 1, column 1"},
		{"1e999", "number out of range at line 1, column 5"},
		{"[[[[[]]]]]", "JSON nested more than 4 levels deep"},
		{"[0,0,0,0,0,0,0,0,0,0]", "JSON of more than 10 values"},
		{"[1,]", "invalid JSON at line 1, column 4"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct json_doc doc;
		struct err e = {0};

		CHECK_FAILS(json_parse(&doc, str_of(rows[i][0]), small, 0, &e));
		CHECK_INT(e.kind, ERR_INPUT);
		CHECK_STR(e.text, rows[i][1]);
	}
}

TEST(brackets_in_strings_do_not_count)
{
	auto_json struct json_doc doc = {NULL};
	struct err e;

	CHECK_OK(json_parse(&doc, STR("[\"[[[[[[\\\"{{{{{,,,,,,,,,,,\"]"), small, 0, &e));
}

TEST(names_from_outside_do_not_reach_the_terminal)
{
	auto_json struct json_doc doc = {NULL};
	struct err e;

	REQUIRE_OK(json_parse(&doc, STR("{\"a\\u001b[2J\":{}}"), small, 0, &e));
	struct json root = json_root(&doc), evil = json_member(&root, "a\033[2J");
	const char *text;

	CHECK_FAILS(json_text(&evil, &text, &e));
	CHECK_STR(e.text, "?: not a string");
}

static int collect(void *arg, const struct json *member, struct err *e)
{
	uint64_t n;

	if (json_u64(member, 9, &n, e) < 0)
		return -1;
	buf_printf(arg, "%s%d", member->name, (int)n);
	return 0;
}

TEST(members_are_walked_in_order_and_sorted_on_demand)
{
	auto_json struct json_doc doc = {NULL};
	auto_buf struct buf seen = BUF_INIT(100);
	struct err e;
	size_t n;

	REQUIRE_OK(json_parse(&doc, STR("{\"b\":1,\"a\":2,\"c\":\"x\"}"), small, 0, &e));
	struct json root = json_root(&doc);
	auto_free const char **names = json_sorted_names(&root, &n);

	CHECK_INT(n, 3);
	CHECK_STR(names[0], "a");
	CHECK_STR(names[2], "c");
	CHECK_FAILS(json_members(&root, collect, &seen, &e));
	CHECK_STR(seen.p, "b1a2");
	CHECK_STR(e.text, "c: not a whole number");
}

int main(void)
{
	return tap_main();
}
