// SPDX-License-Identifier: Apache-2.0
#include "catalog/ignore.h"

#include "tap.h"
#include "util/mem.h"

// One .indexignore at the top.
static bool ignores(const char *text, const char *path)
{
	auto_of(ignore_free) struct ignore *ig = ignore_new(100);
	struct err e;

	CHECK_OK(ignore_add(ig, "", str_of(text), &e));
	ignore_ready(ig);
	return ignore_matches(ig, path);
}

TEST(patterns_are_compared_as_the_specification_says)
{
	static const struct {
		const char *patterns, *path;
		bool want;
	} rows[] = {
		// nothing
		{"", "a", false},
		{"\n# a\n  # a\n\r\n", "a", false},
		{"!", "a", false},
		{"/", "a", false},
		{"!/", "a", false},
		// without a slash: any part
		{"a", "a", true},
		{"a", "b/a", true},
		{"a", "a/b", true},
		{"a", "b/a/c", true},
		{"a", "ab", false},
		{"  a\t\r\n", "a", true},
		{"\xef\xbb\xbf"
		 "a",
		 "a", true},
		{"*.md", "b/README.md", true},
		{"*.md", "b/README.mdx", false},
		// folders only
		{"a/", "a", false},
		{"a/", "b/a", false},
		{"a/", "a/b", true},
		{"a/", "b/a/c", true},
		{"a/", "a/a", true},
		// with a slash: from the folder on
		{"/a", "a", true},
		{"/a", "a/b", true},
		{"/a", "b/a", false},
		{"a/b", "a/b", true},
		{"a/b", "a/b/c", true},
		{"a/b", "c/a/b", false},
		{"a/b/", "a/b", false},
		{"a/b/", "a/b/c", true},
		{"/a/", "a", false},
		{"/a/", "a/b", true},
		{"a/*/c", "a/b/c", true},
		{"a/*/c", "a/b/b/c", false},
		{"a//b", "a/b", true},
		// two stars
		{"**/a", "a", true},
		{"**/a", "b/c/a", true},
		{"**/a", "b/c/a/d", true},
		{"**/a", "b", false},
		{"**/a/b", "a/x/a/b", true},
		{"a/**/b", "a/b", true},
		{"a/**/b", "a/x/y/b", true},
		{"a/**/b", "b", false},
		{"a/**/b/", "a/x/b", false},
		{"a/**/b/", "a/x/b/c", true},
		{"a/**", "a/b", true},
		{"a/**", "a/b/c", true},
		{"a/**", "b/a", false},
		{"/**", "a/b", true},
		{"**", "a/b", true},
		{"/a**b", "ab", false},
		{"a**b", "axb", true},
		// the last one decides
		{"*\n!a", "a", false},
		{"*\n!a", "b", true},
		{"!a\n*", "a", true},
		{"a/\n!a/b", "a/b", false},
		{"a/\n!a/b", "a/c", true},
		// one name
		{"?", "a", true},
		{"?", "ab", false},
		{"?", "\xc3\xa9", true},
		{"??", "\xc3\xa9", false},
		{"a?", "a/", false},
		{"*a*b*c", "xxaxxbxxc", true},
		{"*a*b*c", "xxaxxcxxb", false},
		{"a*", "a", true},
		{"*", "a", true},
		{"[abc]", "b", true},
		{"[abc]", "d", false},
		{"[a-c]x", "bx", true},
		{"[^a-c]", "d", true},
		{"[^a-c]", "b", false},
		{"[!a]", "!", true},
		{"[!a]", "b", false},
		{"[\xc3\xa0-\xc3\xbf]", "\xc3\xa9", true},
		{"[\\]]", "]", true},
		{"[\\^x]", "^", true},
		{"[a-]", "a", false},
		{"[]a]", "a", false},
		{"[-a]", "a", false},
		{"[a", "a", false},
		{"[a-", "a", false},
		{"[a\\", "a", false},
		{"[", "a", false},
		{"[^", "a", false},
		{"\\*", "*", true},
		{"\\*", "a", false},
		{"\\a", "a", true},
		{"a\\", "a", false},
		{"\\#a", "#a", true},
		{"\\!a", "!a", true},
		{"\xff*", "\xff\xfe", true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool got = ignores(rows[i].patterns, rows[i].path);

		tap_report(got == rows[i].want, "'%s' %s '%s'", rows[i].patterns,
			   got ? "matches" : "does not match", rows[i].path);
	}
}

TEST(a_pattern_is_about_what_is_below_its_folder)
{
	auto_of(ignore_free) struct ignore *ig = ignore_new(100);
	struct err e;

	REQUIRE_OK(ignore_add(ig, "a/b", STR("x\n/y"), &e));
	ignore_ready(ig);
	CHECK(ignore_matches(ig, "a/b/x"));
	CHECK(ignore_matches(ig, "a/b/c/x"));
	CHECK(ignore_matches(ig, "a/b/y"));
	CHECK(!ignore_matches(ig, "a/b/c/y"));
	CHECK(!ignore_matches(ig, "x"));
	CHECK(!ignore_matches(ig, "a/x"));
	CHECK(!ignore_matches(ig, "a/bb/x"));
	CHECK(!ignore_matches(ig, "a/b"));
}

TEST(children_come_behind_their_parents_however_files_arrive)
{
	static const struct {
		const char *folder, *text;
	} files[] = {{"", "*\n"}, {"a", "!keep\n"}, {"a/b", "keep\n"}};
	static const size_t orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {2, 0, 1}};

	for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
		auto_of(ignore_free) struct ignore *ig = ignore_new(100);
		struct err e;

		for (size_t j = 0; j < 3; j++) {
			size_t n = orders[i][j];

			REQUIRE_OK(ignore_add(ig, files[n].folder, str_of(files[n].text), &e));
		}
		ignore_ready(ig);
		CHECK(ignore_matches(ig, "keep"));
		CHECK(!ignore_matches(ig, "a/keep"));
		CHECK(ignore_matches(ig, "a/b/keep"));
		CHECK(ignore_matches(ig, "a/other"));
	}
}

// A star that is tried at each place of a long name, as often as there are patterns.
TEST(comparing_has_a_ceiling)
{
	enum { LONG = 2000, PATTERNS = 1000 };
	auto_of(ignore_free) struct ignore *ig = ignore_new(PATTERNS);
	auto_free char *name = xasprintf("%0*d", LONG, 0);
	auto_buf struct buf patterns = BUF_INIT(BUF_TEXT_MAX);
	struct err e;

	for (int i = 0; i < PATTERNS; i++)
		buf_printf(&patterns, "*%0*d1\n", LONG / 2, 0);
	REQUIRE_OK(ignore_add(ig, "", buf_str(&patterns), &e));
	ignore_ready(ig);
	CHECK(!ignore_matches(ig, "a"));
	CHECK_OK(ignore_check(ig, &e));
	CHECK(!ignore_matches(ig, name));
	CHECK_FAILS(ignore_check(ig, &e));
	CHECK_STR(e.text, "the patterns take too long to compare");
	CHECK_INT(e.kind, ERR_INPUT);
}

TEST(patterns_have_ceilings)
{
	auto_of(ignore_free) struct ignore *ig = ignore_new(2);
	auto_free char *longer = xcalloc(IGNORE_PATTERN_MAX + 2, 1);
	struct err e;

	CHECK_FAILS(ignore_add(ig, "", STR("a\nb\n\nc\n"), &e));
	CHECK_STR(e.text, "line 4: more than 2 patterns in the whole catalog");
	memset(longer, 'x', IGNORE_PATTERN_MAX + 1);
	CHECK_FAILS(ignore_add(ig, "", str_of(longer), &e));
	CHECK_STR(e.text, "line 1: longer than 4096 bytes");
}

int main(void)
{
	return tap_main();
}
