// SPDX-License-Identifier: Apache-2.0
#include "data/json.h"

#include "data/json_copy.h"
#include "tap.h"
#include "util/cleanup.h"
#include "util/mem.h"

#define LIMITS ((struct json_limits){.bytes = 1 << 16, .values = 30, .depth = 8})

static const char *const names[] = {"a", "list"};

static char *print(const struct json_doc *doc)
{
	struct json root = json_root(doc);
	auto_buf struct buf b = BUF_INIT(BUF_TEXT_MAX);
	struct json_out j = {.out = &b};

	json_copy_value(&j, &root);
	return buf_take(&b);
}

// What is kept of TEXT, or the error. Caller frees.
static char *parse(const char *text)
{
	auto_json struct json_doc doc = {NULL};
	auto_free char *block = xmemdup(text, strlen(text)); // nothing behind the last byte
	struct err e;

	if (json_parse_members(&doc, (struct str){block, strlen(text)}, LIMITS, names,
			       ARRAY_SIZE(names), &e) < 0)
		return xasprintf("error: %s", e.text);
	return print(&doc);
}

TEST(only_what_is_wanted_is_kept)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{"{\"a\":1,\"b\":2}", "{\"a\":1}"},
		{" {\n\"b\" : [ {\"a\":1} , 2 ] ,\r\n\"a\"\t:\t{ \"b\" : null } } ",
		 "{\"a\":{\"b\":null}}"},
		{"{\"A\":1,\"List\":[true,false],\"lists\":3}", "{\"A\":1,\"List\":[true,false]}"},
		{"{\"a\":1,\"a\":2,\"b\":3}", "{\"a\":2}"},
		{"{\"\\u0061\":1,\"b\":2}", "{\"a\":1}"},
		{"{\"b\":2}", "{}"},
		{"{}", "{}"},
		{"{\"b\":{\"c\":[[],{},[{}],\"}\",\"\\\"\"]}}", "{}"},
		{"{\"b\":\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \\ud83d\\ude00 \\n\\/\",\"a\":0}",
		 "{\"a\":0}"},
		{"{\"b\":[-0,1.5e+3,0.25E-1,12]}", "{}"},
		// what is no object is left alone
		{"[{\"b\":1}]", "[{\"b\":1}]"},
		{"5", "5"},
		// a number is out of range where it is wanted
		{"{\"b\":123456789012345678901234567890}", "{}"},
		{"{\"a\":123456789012345678901234567890}",
		 "error: number out of range at line 1, column 35"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *got = parse(rows[i].text);
		auto_free char *squeezed = xstrdup(got);
		char *to = squeezed;

		for (const char *c = got; *c; c++)
			if (*c != ' ' && *c != '\n')
				*to++ = *c;
		*to = '\0';
		CHECK_STR(starts_with(got, "error") ? got : squeezed, rows[i].want);
	}
}

// Errors are those of json_parse, wherever they are.
TEST(what_is_not_wanted_has_to_be_json)
{
	static const char *const values[] = {
		"",
		"tru",
		"True",
		"nul",
		"nulls",
		"01",
		"-",
		"1.",
		".5",
		"1e",
		"1e+",
		"+1",
		"0x1",
		"\"",
		"\"\\",
		"\"\\\"",
		"\"\\x\"",
		"\"\\u12\"",
		"\"\\u12g4\"",
		"\"\\u0000\"",
		"\"\\ud800\"",
		"\"\\ud800\\n\"",
		"\"\\ud800\\ud800\"",
		"\"\\udc00\"",
		"\"\x01\"",
		"\"a\tb\"",
		"\"0123\037567 89abcdef\"",
		"\"01234567\n9abcdef\"",
		"\"01234\37767 89abcdef\"",
		"\"0123456\\z89abcdef\"",
		"\"a\nb\"",
		"\"\x80\"",
		"\"\xc0\x80\"",
		"\"\xc1\xbf\"",
		"\"\xc3\"",
		"\"\xe0\x80\x80\"",
		"\"\xe2\x82\"",
		"\"\xed\xa0\x80\"",
		"\"\xf0\x80\x80\x80\"",
		"\"\xf4\x90\x80\x80\"",
		"\"\xf5\x80\x80\x80\"",
		"\"\xff\"",
		"[",
		"[1",
		"[1,",
		"[1,]",
		"[,1]",
		"[1 2]",
		"[1}",
		"{",
		"{1:2}",
		"{\"a\"}",
		"{\"a\":}",
		"{\"a\":1,}",
		"{\"a\":1 \"b\":2}",
		"{\"a\":1]",
		"{a:1}",
		"/**/1",
		"1 1",
		"[[[[[[[[[[1]]]]]]]]]]",
		"[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]",
	};
	static const char *const around[][2] = {
		{"{\"b\":", "}"},
		{"{\"a\":1,\"b\":[{\"c\":", "}],\"d\":2}"},
		{"{\"b\":", ",\"a\":1}"},
		{"{\"b\":", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(around); j++) {
			auto_free char *text =
				xasprintf("%s%s%s", around[j][0], values[i], around[j][1]);
			auto_free char *got = parse(text);
			auto_json struct json_doc doc = {NULL};
			struct err e = {0};

			CHECK_FAILS(json_parse(&doc, str_of(text), LIMITS, 0, &e));
			tap_report(starts_with(got, "error: ") && strcmp(got + 7, e.text) == 0,
				   "'%s' gave '%s', not '%s'", text, got, e.text);
		}
	}
}

TEST(nothing_follows_a_document)
{
	static const char *const texts[] = {
		"{\"a\":1} x", "{\"a\":1}}", "{\"a\":1},", "{\"b\":1}{}",
		"{\"b\":1",    "{\"b\":1,",  "{\"b\"",     "{",
		"{,\"b\":1}",  "",           " ",          "{\"b\":1]"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		auto_free char *got = parse(texts[i]);

		tap_report(starts_with(got, "error: "), "'%s' gave '%s'", texts[i], got);
	}
}

int main(void)
{
	return tap_main();
}
