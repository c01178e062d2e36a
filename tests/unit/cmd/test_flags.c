// SPDX-License-Identifier: Apache-2.0
#include "cmd/flags.h"

#include "tap.h"
#include "util/mem.h"

#include <limits.h>

struct values {
	bool yes, other, given;
	int number;
	const char *text, *file;
	struct strlist list;
};

static const struct flag table[] = {
	{FLAG_BOOL, 'y', "yes", offsetof(struct values, yes), NULL, "", 0,
	 offsetof(struct values, given)},
	{FLAG_BOOL, 'o', "other", offsetof(struct values, other), NULL, "", 0, 0},
	{FLAG_INT, 'N', "number", offsetof(struct values, number), NULL, "", 0, 0},
	{FLAG_INT, 0, "max-per-registry", offsetof(struct values, number), NULL, "", 0, 0},
	{FLAG_STRING, 'a', "text", offsetof(struct values, text), NULL, "", 0, 0},
	{FLAG_STRING, 0, "dir", offsetof(struct values, file), NULL, "", 0, 0},
	{FLAG_LIST, 'f', "filename", offsetof(struct values, list), NULL, "", 0, 0},
	{FLAG_STRING, 0, "kubeconfig", 0, NULL, "", FLAG_IGNORED | FLAG_HIDDEN, 0},
	{0},
};

enum { WORDS_MAX = 8 };

struct parsed {
	struct values v;
	struct buf rest; // arguments, joined by '|'
	bool help;
	int failed;
	struct err e;
};

static struct parsed parse(const char *const words[WORDS_MAX])
{
	struct parsed p = {.rest = BUF_INIT(BUF_TEXT_MAX)};
	struct flag_sets sets = {0};
	char *argv[WORDS_MAX];
	int argc = 0, left = 0;

	for (; argc < WORDS_MAX && words[argc]; argc++)
		argv[argc] = (char *)(uintptr_t)words[argc];
	flag_sets_add(&sets, table, &p.v);
	p.failed = flags_parse(&sets, argc, argv, &left, &p.help, &p.e);
	for (int i = 0; i < left && !p.failed; i++)
		buf_printf(&p.rest, "%s%s", i ? "|" : "", argv[i]);
	return p;
}

static void done(struct parsed *p)
{
	strlist_release(&p->v.list);
	buf_free(&p->rest);
}

TEST(values_stand_behind_a_blank_an_equals_sign_or_the_letter)
{
	static const struct {
		const char *words[WORDS_MAX];
		const char *text, *rest;
	} rows[] = {
		{{"--text", "v"}, "v", ""},
		{{"--text=v"}, "v", ""},
		{{"--text="}, "", ""},
		{{"--text=a=b"}, "a=b", ""},
		{{"--text", "--yes"}, "--yes", ""},
		{{"--text", ""}, "", ""},
		{{"-a", "v"}, "v", ""},
		{{"-av"}, "v", ""},
		{{"-a=v"}, "v", ""},
		{{"-a="}, "=", ""}, // as pflag has it
		{{"-ya", "v"}, "v", ""},
		{{"-yav"}, "v", ""},
		{{"one", "--text", "v", "two", "-y", "three"}, "v", "one|two|three"},
		{{"--text=v", "--", "--yes", "-x"}, "v", "--yes|-x"},
		{{"--text=1", "--text=2"}, "2", ""},
		{{"-", "--text=v"}, "v", "-"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct parsed p = parse(rows[i].words);

		tap_report(p.failed == 0, "row %zu: %s", i, p.e.text);
		CHECK_STR(p.v.text ? p.v.text : "(none)", rows[i].text);
		CHECK_STR(p.rest.p, rows[i].rest);
		done(&p);
	}
}

TEST(bools_take_a_value_only_behind_an_equals_sign)
{
	static const struct {
		const char *word;
		bool value;
	} rows[] = {
		{"--yes", true},        {"--yes=true", true},   {"--yes=TRUE", true},
		{"--yes=True", true},   {"--yes=t", true},      {"--yes=T", true},
		{"--yes=1", true},      {"--yes=false", false}, {"--yes=FALSE", false},
		{"--yes=False", false}, {"--yes=f", false},     {"--yes=F", false},
		{"--yes=0", false},     {"-y", true},           {"-y=false", false},
		{"-oy", true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct parsed p = parse((const char *const[WORDS_MAX]){rows[i].word, "arg"});

		tap_report(p.failed == 0, "%s: %s", rows[i].word, p.e.text);
		tap_report(p.v.yes == rows[i].value, "%s", rows[i].word);
		CHECK(p.v.given);
		CHECK_STR(p.rest.p, "arg");
		done(&p);
	}
}

TEST(numbers_are_read_as_go_reads_them)
{
	static const struct {
		const char *text;
		int value;
		const char *why; // NULL: fine
	} rows[] = {
		{"6", 6, NULL},
		{"-1", -1, NULL},
		{"+7", 7, NULL},
		{"0", 0, NULL},
		{"0x10", 16, NULL},
		{"010", 8, NULL},
		{"0o10", 8, NULL},
		{"0b11", 3, NULL},
		{"1_000", 1000, NULL},
		{"99999999999", INT_MAX, NULL},
		{"99999999999999999999", 0, "value out of range"},
		{"", 0, "invalid syntax"},
		{"-", 0, "invalid syntax"},
		{"x", 0, "invalid syntax"},
		{"6x", 0, "invalid syntax"},
		{" 6", 0, "invalid syntax"},
		{"08", 0, "invalid syntax"},
		{"0x", 0, "invalid syntax"},
		{"_1", 0, "invalid syntax"},
		{"1_", 0, "invalid syntax"},
		{"1__0", 0, "invalid syntax"},
		{"1.5", 0, "invalid syntax"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *why = NULL;
		int value = 0;
		bool ok = parse_int(rows[i].text, &value, &why);

		tap_report(ok == (rows[i].why == NULL), "'%s'", rows[i].text);
		tap_report(value == rows[i].value, "'%s' is %d", rows[i].text, value);
		if (!ok && rows[i].why)
			CHECK_STR(why, rows[i].why);
	}
}

TEST(lists_repeat_and_split_at_commas_by_csv_rules)
{
	static const struct {
		const char *words[WORDS_MAX];
		const char *list;
	} rows[] = {
		{{"-f", "a"}, "a"},
		{{"-f", "a,b", "--filename=c"}, "a|b|c"},
		{{"-f", "\"a,b\",c"}, "a,b|c"},
		{{"-f", "\"a\"\"b\""}, "a\"b"},
		{{"-f", ","}, "|"},
		{{"-f", "a,"}, "a|"},
		{{"-f", ""}, ""},
		{{"-f", " a, b"}, " a| b"},
		{{"-f", "-"}, "-"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct parsed p = parse(rows[i].words);
		auto_buf struct buf joined = BUF_INIT(BUF_TEXT_MAX);

		for (size_t j = 0; j < p.v.list.n; j++)
			buf_printf(&joined, "%s%s", j ? "|" : "", p.v.list.v[j]);
		tap_report(p.failed == 0, "row %zu: %s", i, p.e.text);
		CHECK_STR(joined.p, rows[i].list);
		done(&p);
	}
}

TEST(mistakes_are_worded_as_pflag_words_them)
{
	static const struct {
		const char *words[WORDS_MAX];
		const char *text;
	} rows[] = {
		{{"--nope"}, "unknown flag: --nope"},
		{{"--nope=1"}, "unknown flag: --nope"},
		{{"--ye"}, "unknown flag: --ye"},
		{{"-x"}, "unknown shorthand flag: 'x' in -x"},
		{{"-yxz"}, "unknown shorthand flag: 'x' in -xz"},
		{{"--dir"}, "flag needs an argument: --dir"},
		{{"-a"}, "flag needs an argument: 'a' in -a"},
		{{"-ya"}, "flag needs an argument: 'a' in -a"},
		{{"--=x"}, "bad flag syntax: --=x"},
		{{"---x"}, "bad flag syntax: ---x"},
		{{"--max-per-registry", "x"},
		 "invalid argument \"x\" for \"--max-per-registry\" flag: strconv.ParseInt: parsing \"x\": invalid syntax"},
		{{"-N", "99999999999999999999"},
		 "invalid argument \"99999999999999999999\" for \"-N, --number\" flag: strconv.ParseInt: parsing \"99999999999999999999\": value out of range"},
		{{"--yes=maybe"},
		 "invalid argument \"maybe\" for \"-y, --yes\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax"},
		{{"--yes="},
		 "invalid argument \"\" for \"-y, --yes\" flag: strconv.ParseBool: parsing \"\": invalid syntax"},
		{{"-f", "a\"b"},
		 "invalid argument \"a\\\"b\" for \"-f, --filename\" flag: parse error on line 1, column 2: bare \" in non-quoted field"},
		{{"-f", "\"a"},
		 "invalid argument \"\\\"a\" for \"-f, --filename\" flag: parse error on line 1, column 3: extraneous or missing \" in quoted-field"},
		{{"-f", "\"a\"b"},
		 "invalid argument \"\\\"a\\\"b\" for \"-f, --filename\" flag: parse error on line 1, column 3: extraneous or missing \" in quoted-field"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct parsed p = parse(rows[i].words);
		char *newline = strchr(p.e.text, '\n'); // hints are ours

		CHECK(p.failed < 0);
		if (newline)
			*newline = '\0';
		CHECK_STR(p.failed ? p.e.text : "", rows[i].text);
		CHECK_INT(p.e.kind, ERR_USAGE);
		done(&p);
	}
}

TEST(a_blank_before_the_equals_sign_is_explained)
{
	static const struct {
		const char *words[WORDS_MAX];
		const char *text;
	} rows[] = {
		{{"--dir", "=", "x"},
		 "flag needs an argument: --dir\nhint: write '--dir=VALUE' without blanks around '='"},
		{{"--dir", "=x"},
		 "flag needs an argument: --dir\nhint: write '--dir=VALUE' without blanks around '='"},
		{{"--yes", "=", "true"},
		 "flag needs an argument: --yes\nhint: write '--yes=true' without blanks around '='"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct parsed p = parse(rows[i].words);

		CHECK(p.failed < 0);
		CHECK_STR(p.e.text, rows[i].text);
		done(&p);
	}
}

TEST(the_nearest_flag_is_suggested)
{
	struct parsed p = parse((const char *const[WORDS_MAX]){"--max-per-registy=3"});

	CHECK_STR(p.e.text,
		  "unknown flag: --max-per-registy\nhint: did you mean --max-per-registry?");
	done(&p);
}

TEST(ignored_flags_take_their_value_with_them)
{
	struct parsed p = parse((const char *const[WORDS_MAX]){"--kubeconfig", "k", "arg"});

	CHECK_INT(p.failed, 0);
	CHECK_STR(p.rest.p, "arg");
	done(&p);
}

TEST(help_is_recognised_everywhere_but_behind_two_dashes)
{
	struct parsed p = parse((const char *const[WORDS_MAX]){"arg", "-yh"});

	CHECK(p.help);
	done(&p);
	p = parse((const char *const[WORDS_MAX]){"--help"});
	CHECK(p.help);
	done(&p);
	p = parse((const char *const[WORDS_MAX]){"--", "--help"});
	CHECK(!p.help);
	CHECK_STR(p.rest.p, "--help");
	done(&p);
}

TEST(words_are_compared_by_their_edits)
{
	CHECK_INT(edit_distance("mirror", "mirror"), 0);
	CHECK_INT(edit_distance("mirorr", "mirror"), 1);
	CHECK_INT(edit_distance("miror", "mirror"), 1);
	CHECK_INT(edit_distance("", "abc"), 3);
	CHECK_INT(edit_distance("copy", "adm"), 4);
}

int main(void)
{
	return tap_main();
}
