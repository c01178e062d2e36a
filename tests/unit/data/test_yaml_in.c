// SPDX-License-Identifier: Apache-2.0
#include "data/yaml_in.h"
#include "tap.h"
#include "util/cleanup.h"
#include "util/mem.h"

static int print(void *arg, const struct json *root, struct err *e)
{
	struct yaml_out y = {.out = arg};

	(void)e;
	buf_puts(arg, "---\n");
	yaml_out_json(&y, root);
	return 0;
}

static int reprint(const char *text, unsigned flags, struct buf *out, struct err *e)
{
	return yaml_parse(str_of(text), YAML_LIMITS(1 << 20), flags, print, out, e);
}

TEST(documents_are_printed_as_the_reference_prints_them)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"b: 1\na: x\n", "---\na: x\nb: 1\n"},
		{"# only a comment\n", ""},
		{"---\n---\na: 1\n", "---\na: 1\n"},
		{"a: 1\n---\nb: 2\n", "---\na: 1\n---\nb: 2\n"},
		{"{\"a\":\"1\",\"b\":[1,2.5,null,true]}",
		 "---\na: \"1\"\nb:\n- 1\n- 2.5\n- null\n- true\n"},
		{"a: yes\nb: off\nc: ~\nd:\n", "---\na: true\nb: false\nc: null\nd: null\n"},
		{"a: 0x1f\nb: 0755\nc: 1_000\nd: -7\ne: 0o17\n",
		 "---\na: 31\nb: 493\nc: 1000\nd: -7\ne: 15\n"},
		{"a: 1e3\nb: 1.50\nc: 1e21\nd: .5\n", "---\na: 1000\nb: 1.5\nc: 1e+21\nd: 0.5\n"},
		{"a: 2025-03-03T11:06:40Z\nb: 1:30:00\n",
		 "---\na: \"2025-03-03T11:06:40Z\"\nb: \"1:30:00\"\n"},
		{"a: '1'\nb: !!str 2\n", "---\na: \"1\"\nb: \"2\"\n"},
		{"1: a\ntrue: b\n", "---\n\"1\": a\n\"true\": b\n"},
		{"namespace: a\nnamespace: b\n", "---\nnamespace: b\n"},
		{"base: &x {a: 1, b: 2}\nc:\n  <<: *x\n  b: 3\n",
		 "---\nbase:\n  a: 1\n  b: 2\nc:\n  a: 1\n  b: 3\n"},
		{"a: &x [1]\nb: *x\n", "---\na:\n- 1\nb:\n- 1\n"},
		{"a: |\n  x\n  y\n", "---\na: |\n  x\n  y\n"},
		{"a: {}\nb: []\nc: \"\"\n", "---\na: {}\nb: []\nc: \"\"\n"},
		{"v1.2.3", "---\nv1.2.3\n"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buf struct buf out = BUF_INIT(BUF_TEXT_MAX);
		struct err e;

		CHECK_OK(reprint(rows[i].in, 0, &out, &e));
		CHECK_STR(out.p, rows[i].out);
	}
}

TEST(what_is_not_yaml_is_refused_with_its_line)
{
	static const struct {
		const char *in, *why;
	} rows[] = {
		{"a: [1\n", "line 2: did not find expected ',' or ']'"},
		{"a: *nobody\n", "line 1: unknown anchor"},
		{"? [a]\n: 1\n", "line 1: a collection as key"},
		{"a: \"x\\0y\"\n", "line 1: NUL character in a string"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buf struct buf out = BUF_INIT(BUF_TEXT_MAX);
		struct err e;

		CHECK_FAILS(reprint(rows[i].in, 0, &out, &e));
		CHECK_INT(e.kind, ERR_INPUT);
		CHECK_STR(e.text, rows[i].why);
	}
}

TEST(a_key_twice_is_refused_where_that_is_asked_for)
{
	auto_buf struct buf out = BUF_INIT(BUF_TEXT_MAX);
	struct err e;

	CHECK_FAILS(reprint("a: 1\na: 2\n", JSON_UNIQUE, &out, &e));
	CHECK_STR(e.text, "line 2: duplicate key");
}

TEST(aliases_cannot_make_many_values_of_few_bytes)
{
	auto_buf struct buf in = BUF_INIT(BUF_TEXT_MAX), out = BUF_INIT(BUF_TEXT_MAX);
	struct err e;

	buf_puts(&in, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
	for (int i = 1; i < 12; i++) {
		buf_printf(&in, "a%d: &a%d [", i, i);
		for (int k = 0; k < 10; k++)
			buf_printf(&in, "%s*a%d", k ? "," : "", i - 1);
		buf_puts(&in, "]\n");
	}
	CHECK_FAILS(reprint(in.p, 0, &out, &e));
	CHECK_STR(e.text, "YAML of more than 2000000 values");
}

TEST(nesting_is_bounded)
{
	auto_buf struct buf in = BUF_INIT(BUF_TEXT_MAX), out = BUF_INIT(BUF_TEXT_MAX);
	struct err e;

	for (int i = 0; i < YAML_DEPTH_MAX; i++)
		buf_putc(&in, '[');
	for (int i = 0; i < YAML_DEPTH_MAX; i++)
		buf_putc(&in, ']');
	CHECK_OK(reprint(in.p, 0, &out, &e));
	buf_puts(&out, "");
	auto_free char *deeper = xasprintf("[%s]", in.p);

	CHECK_FAILS(reprint(deeper, 0, &out, &e));
	CHECK_STR(e.text, "YAML nested more than 100 levels deep");
}

int main(void)
{
	return tap_main();
}
