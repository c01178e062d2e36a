// SPDX-License-Identifier: Apache-2.0
#include "data/yaml_out.h"

#include "tap.h"
#include "util/mem.h"

static void text_list(struct yaml_out *y, const char *a, const char *b)
{
	yaml_out_list(y);
	yaml_out_text(y, a);
	if (b)
		yaml_out_text(y, b);
	yaml_out_end(y);
}

TEST(maps_and_lists_nest_in_block_style)
{
	auto_buf struct buf b = BUF_INIT(1000);
	struct yaml_out y = {.out = &b};

	yaml_out_map(&y);
	yaml_out_key(&y, "empty");
	yaml_out_map(&y);
	yaml_out_end(&y);
	yaml_out_key(&y, "list");
	yaml_out_list(&y);
	yaml_out_map(&y);
	yaml_out_key(&y, "a");
	text_list(&y, "1x", "2x");
	yaml_out_key(&y, "b");
	yaml_out_raw(&y, "7");
	yaml_out_end(&y);
	text_list(&y, "p", "q");
	yaml_out_list(&y);
	yaml_out_end(&y);
	yaml_out_end(&y);
	yaml_out_key(&y, "map");
	yaml_out_map(&y);
	yaml_out_key(&y, "k");
	yaml_out_text(&y, "v");
	yaml_out_end(&y);
	yaml_out_end(&y);
	CHECK_STR(b.p, "empty: {}\n"
		       "list:\n"
		       "- a:\n"
		       "  - 1x\n"
		       "  - 2x\n"
		       "  b: 7\n"
		       "- - p\n"
		       "  - q\n"
		       "- []\n"
		       "map:\n"
		       "  k: v\n");
}

TEST(a_list_may_be_the_document)
{
	auto_buf struct buf b = BUF_INIT(1000), empty = BUF_INIT(100);
	struct yaml_out y = {.out = &b}, none = {.out = &empty};

	text_list(&y, "a", "true");
	CHECK_STR(b.p, "- a\n- \"true\"\n");
	yaml_out_list(&none);
	yaml_out_end(&none);
	CHECK_STR(empty.p, "[]\n");
}

TEST(text_is_quoted_only_where_it_must_be)
{
	static const struct {
		const char *text;
		enum yaml_style style;
	} rows[] = {
		{"plain", YAML_PLAIN},
		{"127.0.0.1:5000/a/b", YAML_PLAIN},
		{"4.18.7-x86_64", YAML_PLAIN},
		{"a b", YAML_PLAIN},
		{"a:b", YAML_PLAIN},
		{"a#b", YAML_PLAIN},
		{"-a", YAML_PLAIN},
		{"?a", YAML_PLAIN},
		{"it's", YAML_PLAIN},
		{"v1.0", YAML_PLAIN},
		{"1.2.3", YAML_PLAIN},
		{"0x", YAML_PLAIN},
		{"tRue", YAML_PLAIN},
		{"\303\244", YAML_PLAIN},
		{"sha256:0", YAML_PLAIN},
		{"1e", YAML_PLAIN},
		{"", YAML_DOUBLE},
		{"true", YAML_DOUBLE},
		{"y", YAML_DOUBLE},
		{"No", YAML_DOUBLE},
		{"null", YAML_DOUBLE},
		{"~", YAML_DOUBLE},
		{"<<", YAML_DOUBLE},
		{"1", YAML_DOUBLE},
		{"-1", YAML_DOUBLE},
		{"4.18", YAML_DOUBLE},
		{"1_000", YAML_DOUBLE},
		{".5", YAML_DOUBLE},
		{"1e3", YAML_DOUBLE},
		{"0x1F", YAML_DOUBLE},
		{"0b11", YAML_DOUBLE},
		{"0o17", YAML_DOUBLE},
		{"1:30", YAML_DOUBLE},
		{"2006-01-02", YAML_DOUBLE},
		{".inf", YAML_DOUBLE},
		{"2006-01-02T15:04:05Z", YAML_DOUBLE},
		{"a: b", YAML_SINGLE},
		{"a:", YAML_SINGLE},
		{"a #b", YAML_SINGLE},
		{"#a", YAML_SINGLE},
		{"- a", YAML_SINGLE},
		{"-", YAML_SINGLE},
		{"*a", YAML_SINGLE},
		{"@a", YAML_SINGLE},
		{"{a}", YAML_SINGLE},
		{"[a]", YAML_SINGLE},
		{"'a'", YAML_SINGLE},
		{" a", YAML_SINGLE},
		{"a ", YAML_SINGLE},
		{"---", YAML_SINGLE},
		{"a\tb", YAML_DOUBLE},
		{"a\033b", YAML_DOUBLE},
		{"a\nb", YAML_LITERAL},
		{"a\n", YAML_LITERAL},
		{"a \nb", YAML_DOUBLE},
		{"a\nb ", YAML_DOUBLE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		enum yaml_style style = yaml_style_of(str_of(rows[i].text));

		if (style != rows[i].style)
			printf("# text '%s'\n", rows[i].text);
		CHECK_INT(style, rows[i].style);
	}
}

static void one(struct buf *b, const char *text)
{
	struct yaml_out y = {.out = b};

	yaml_out_map(&y);
	yaml_out_key(&y, "k");
	yaml_out_text(&y, text);
	yaml_out_end(&y);
}

TEST(quoted_and_literal_text_reads_back)
{
	static const char *const rows[][2] = {
		{"it's: x", "k: 'it''s: x'\n"},
		{"a\tb\"c\\\033\001", "k: \"a\\tb\\\"c\\\\\\e\\x01\"\n"},
		{"\342\200\256", "k: \342\200\256\n"},
		{"a\342\200\250b", "k: \"a\\Lb\"\n"},
		{"a\nb", "k: |-\n  a\n  b\n"},
		{"a\n\nb\n", "k: |\n  a\n\n  b\n"},
		{"a\n\n", "k: |+\n  a\n\n"},
		{" a\nb", "k: |2-\n   a\n  b\n"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buf struct buf b = BUF_INIT(1000);

		one(&b, rows[i][0]);
		CHECK_STR(b.p, rows[i][1]);
	}
}

TEST(long_text_is_folded_at_a_blank)
{
	auto_buf struct buf text = BUF_INIT(1000), b = BUF_INIT(1000);

	for (int i = 0; i < 30; i++)
		buf_printf(&text, "%sword", i ? " " : "");
	one(&b, text.p);
	CHECK_STR(
		b.p,
		"k: word word word word word word word word word word word word word word word word\n"
		"  word word word word word word word word word word word word word word\n");
}

int main(void)
{
	return tap_main();
}
