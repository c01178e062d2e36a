// SPDX-License-Identifier: Apache-2.0
#include "data/json_copy.h"

#include "tap.h"
#include "util/mem.h"

static struct err e;

static const struct json_field sub[] = {{JSON_FIELD_TEXT, "s", 0, NULL}, {0}};
static const struct json_field fields[] = {
	{JSON_FIELD_TEXT, "text", 0, NULL},
	{JSON_FIELD_TEXT, "otext", JSON_OMIT, NULL},
	{JSON_FIELD_WHOLE, "n", 0, NULL},
	{JSON_FIELD_WHOLE, "on", JSON_OMIT, NULL},
	{JSON_FIELD_BOOL, "b", JSON_OMIT, NULL},
	{JSON_FIELD_TIME, "t", JSON_OMIT, NULL},
	{JSON_FIELD_META_TIME, "m", JSON_OMIT, NULL},
	{JSON_FIELD_TEXTS, "l", JSON_OMIT, NULL},
	{JSON_FIELD_TEXT_MAP, "map", JSON_OMIT, NULL},
	{JSON_FIELD_SET, "set", JSON_OMIT, NULL},
	{JSON_FIELD_OBJECT, "o", JSON_OMIT, sub},
	{JSON_FIELD_OBJECTS, "os", JSON_OMIT, sub},
	{JSON_FIELD_ANY, "any", JSON_OMIT, NULL},
	{0},
};
static const struct json_field times[] = {
	{JSON_FIELD_TIME, "t", 0, NULL}, {JSON_FIELD_META_TIME, "m", 0, NULL}, {0}};
static const struct json_field filled[] = {{JSON_FIELD_TEXTS, "l", 0, NULL},
					   {JSON_FIELD_TEXT_MAP, "map", 0, NULL},
					   {JSON_FIELD_OBJECT, "o", 0, sub},
					   {JSON_FIELD_OBJECTS, "os", 0, sub},
					   {0}};

static int copy(struct buf *out, const char *text, const struct json_field *by)
{
	auto_json struct json_doc doc = {0};
	struct json_out j = {.out = out};

	if (json_parse(&doc, str_of(text), JSON_LIMITS(1000), 0, &e) < 0)
		return -2;
	struct json root = json_root(&doc);

	return json_copy(&j, &root, by, &e);
}

static void check(const char *text, const struct json_field *by, const char *want)
{
	auto_buf struct buf out = BUF_INIT(1000);

	CHECK_OK(copy(&out, text, by));
	CHECK_STR(out.p, want);
}

TEST(members_come_in_the_order_of_the_struct_and_others_are_dropped)
{
	check("{\"b\":true,\"text\":\"x\",\"unknown\":1,\"n\":7}", fields,
	      "{\"text\":\"x\",\"n\":7,\"b\":true}");
}

TEST(zero_values_are_left_out_where_go_leaves_them_out)
{
	check("{}", fields, "{\"text\":\"\",\"n\":null}");
	check("{\"otext\":\"\",\"on\":0,\"b\":false,\"l\":[],\"map\":{},\"set\":{},\"os\":[],"
	      "\"o\":null}",
	      fields, "{\"text\":\"\",\"n\":null}");
	check("{}", filled, "{\"l\":null,\"map\":null,\"o\":{\"s\":\"\"},\"os\":null}");
	check("{\"l\":[],\"map\":{},\"os\":[]}", filled,
	      "{\"l\":[],\"map\":{},\"o\":{\"s\":\"\"},\"os\":[]}");
}

TEST(maps_are_sorted_and_values_of_sets_are_empty)
{
	check("{\"map\":{\"b\":\"2\",\"a\":\"1\"},\"set\":{\"z\":{\"x\":1},\"y\":null}}", fields,
	      "{\"text\":\"\",\"n\":null,\"map\":{\"a\":\"1\",\"b\":\"2\"},\"set\":{\"y\":{},"
	      "\"z\":{}}}");
}

TEST(values_of_any_type_are_sorted_in_depth)
{
	check("{\"any\":{\"b\":[1,1.5,null,true],\"a\":\"<\"}}", fields,
	      "{\"text\":\"\",\"n\":null,\"any\":{\"a\":\"\\u003c\",\"b\":[1,1.5,null,true]}}");
}

TEST(times_are_written_as_go_writes_them)
{
	static const char *const rows[][2] = {
		{"{}", "{\"t\":\"0001-01-01T00:00:00Z\",\"m\":null}"},
		{"{\"t\":\"2025-03-03T11:06:40Z\",\"m\":\"2025-03-03T12:06:40+01:00\"}",
		 "{\"t\":\"2025-03-03T11:06:40Z\",\"m\":\"2025-03-03T11:06:40Z\"}"},
		{"{\"t\":\"2025-03-03T11:06:40.120300Z\",\"m\":\"2025-03-03T11:06:40.9Z\"}",
		 "{\"t\":\"2025-03-03T11:06:40.1203Z\",\"m\":\"2025-03-03T11:06:40Z\"}"},
		{"{\"t\":\"2025-03-03T11:06:40.000+00:00\"}",
		 "{\"t\":\"2025-03-03T11:06:40Z\",\"m\":null}"},
		{"{\"t\":\"2025-03-03T11:06:40.5+02:00\"}",
		 "{\"t\":\"2025-03-03T11:06:40.5+02:00\",\"m\":null}"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check(rows[i][0], times, rows[i][1]);
}

TEST(a_member_of_another_type_is_named)
{
	static const char *const rows[][2] = {
		{"{\"text\":1}", "text: not a string"},
		{"{\"n\":\"1\"}", "n: not a whole number"},
		{"{\"b\":1}", "b: not true or false"},
		{"{\"t\":\"yesterday\"}", "t: not a time"},
		{"{\"l\":[1]}", "l[0]: not a string"},
		{"{\"map\":[]}", "map: not an object"},
		{"{\"map\":{\"k\":[]}}", "map.k: not a string"},
		{"{\"o\":\"x\"}", "o: not an object"},
		{"{\"os\":[{\"s\":{}}]}", "os[0].s: not a string"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buf struct buf out = BUF_INIT(1000);

		CHECK_INT(copy(&out, rows[i][0], fields), -1);
		CHECK_STR(e.text, rows[i][1]);
	}
}

TEST(any_value_is_shown_as_go_shows_it)
{
	static const char *const rows[][2] = {
		{"\"a b\"", "a b"},
		{"[1,\"x\",null]", "[1 x <nil>]"},
		{"{\"b\":true,\"a\":{\"c\":[]}}", "map[a:map[c:[]] b:true]"},
		{"1.25", "1.25"},
		{"1e3", "1000"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_json struct json_doc doc = {0};
		auto_buf struct buf out = BUF_INIT(1000);

		REQUIRE_OK(json_parse(&doc, str_of(rows[i][0]), JSON_LIMITS(1000), 0, &e));
		struct json root = json_root(&doc);

		json_show_value(&out, &root);
		CHECK_STR(out.p, rows[i][1]);
	}
}

int main(void)
{
	return tap_main();
}
