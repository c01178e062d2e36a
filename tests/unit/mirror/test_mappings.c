// SPDX-License-Identifier: Apache-2.0
// Mapping syntax, row by row: arguments and lines of mapping files.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mirror/mirror.h"
#include "tap.h"
#include "util/mem.h"

static struct err e;

#define S   "127.0.0.1:5101/test/single"
#define O   "127.0.0.1:5101/test/oci"
#define D   "127.0.0.1:5102/d/one"
#define DIG "sha256:b149aa6655786043e3b370428e96bc867d185df77a5e1fe125aa273b89c4fb26"
#define DI2 "sha256:8214f03bdc1e0c6f140c353e47fec665ba2029c904192bca16e97f73fd660f0b"
#define ALL_OR_ONE                                                                                \
	"all arguments must be valid SRC=DST mappings, or you must specify one SRC argument and " \
	"one or more DST arguments"

enum { ARGS_MAX = 4 };

// "SRC DST, SRC DST" as it was understood.
static char *printed(const struct mappings *m)
{
	struct buf text = BUF_INIT(BUF_TEXT_MAX);

	for (size_t i = 0; i < m->n; i++) {
		auto_free char *src = reference_print(&m->v[i].src);
		auto_free char *dst = reference_print(&m->v[i].dst);

		buf_printf(&text, "%s%s %s", i ? ", " : "", src, dst);
	}
	return buf_take(&text);
}

struct row {
	const char *args[ARGS_MAX];
	const char *want; // what was understood, or the error
};

static const struct row UNDERSTOOD[] = {
	{{S ":v1", D ":a"}, S ":v1 " D ":a"},
	{{S ":v1", D ":a", "", D ":b"}, S ":v1 " D ":a, " S ":v1 " D ":b"},
	{{S ":v1=" D ":a", O ":v1=" D ":b"}, S ":v1 " D ":a, " O ":v1 " D ":b"},
	{{S ":v1", D}, S ":v1 " D ":v1"},
	{{S "@" DIG, D}, S "@" DIG " " D},
	{{S ":zz@" DIG, D}, S ":zz@" DIG " " D ":zz"},
	{{S "@" DIG "=" D, O "@" DI2 "=" D}, S "@" DIG " " D ", " O "@" DI2 " " D},
	{{S ":mysql*", D}, S ":mysql* " D},
	{{S, D}, S " " D},
	{{"file://a/b:v", D}, "file://a/b:v " D ":v"},
	{{S ":mysql*", D ":x"}, S ":mysql* " D ":x"},
};

static const struct row REFUSED[] = {
	{{S ":v1"}, ALL_OR_ONE},
	{{S ":v1", ""},
	 "you must specify at least one source image to pull and the destination to "
	 "push to as SRC=DST or SRC DST [DST2 DST3 ...]"},
	{{"=" D ":a"}, "all arguments must be valid SRC=DST mappings"},
	{{S ":v1="}, "all arguments must be valid SRC=DST mappings"},
	{{S ":v1=" D ":a", D ":b"},
	 "all arguments must be valid SRC=DST mappings: '" D ":b' has no '='"},
	{{S ":v1", D "@" DIG},
	 "you must specify a tag for DST or leave it blank to only push by digest"},
	{{S ":v1=" D ":a", O ":v1=" D ":a"},
	 "each destination tag may only be specified once: " D ":a"},
	{{S ":v1", S ":v1"}, "SRC and DST may not be the same"},
	{{S "@sha256:abc", D ":a"},
	 "\"" S "@sha256:abc\" is not a valid image reference: invalid reference format"},
	{{"docker://" S ":v1", D ":a"},
	 "\"docker://" S ":v1\" is not a valid image reference: invalid reference format"},
	{{"*" S ":v1", D ":a"}, "source expansion is only possible in tags"},
};

static void check_row(int status, const struct mappings *m, const char *want, bool fails)
{
	if (fails) {
		CHECK_INT(status, -1);
		CHECK_STR(status < 0 ? e.text : "", want);
		return;
	}
	CHECK_OK(status);
	auto_free char *text = status == 0 ? printed(m) : xstrdup("");

	CHECK_STR(text, want);
}

static void check_arguments(const struct row *row, bool fails)
{
	struct mappings m = {0};
	char *args[ARGS_MAX];
	size_t n = 0;

	for (; n < ARGS_MAX && row->args[n]; n++)
		args[n] = (char *)row->args[n];
	int r = mappings_parse(&m, args, n, NULL, 0, -1, &e);

	check_row(r, &m, row->want, fails);
	mappings_release(&m);
}

TEST(arguments_are_understood_as_the_reference_does)
{
	for (size_t i = 0; i < ARRAY_SIZE(UNDERSTOOD); i++)
		check_arguments(&UNDERSTOOD[i], false);
}

TEST(arguments_are_refused_in_the_words_of_the_reference)
{
	for (size_t i = 0; i < ARRAY_SIZE(REFUSED); i++)
		check_arguments(&REFUSED[i], true);
}

TEST(nothing_at_all_is_an_error)
{
	struct mappings m = {0};

	CHECK_FAILS(mappings_parse(&m, NULL, 0, NULL, 0, -1, &e));
	CHECK(starts_with(e.text, "you must specify at least one source image"));
}

// Parses TEXT as the mapping file "-".
static int parse_text(struct mappings *ret, const char *text, size_t n)
{
	int fd[2];
	char *files[] = {(char *)"-"};

	if (pipe(fd) < 0 || write(fd[1], text, n) != (ssize_t)n)
		return -1;
	close(fd[1]);
	int r = mappings_parse(ret, NULL, 0, files, 1, fd[0], &e);

	close(fd[0]);
	return r;
}

struct text_row {
	const char *text, *want;
};

static const struct text_row LINES[] = {
	{S ":v1=" D ":a\n", S ":v1 " D ":a"},
	{S ":v1=" D ":a\r\n", S ":v1 " D ":a"},
	{S ":v1=" D ":a", S ":v1 " D ":a"},
	{"# all of it\n\n  \t\n" S ":v1 " D ":a # why\n", S ":v1 " D ":a"},
	{S ":v1\t \t" D ":a\t" D ":b\n", S ":v1 " D ":a, " S ":v1 " D ":b"},
	{S ":v1=" D ":a " O ":v1=" D ":b\n", S ":v1 " D ":a, " O ":v1 " D ":b"},
};

static const struct text_row BAD_LINES[] = {
	{S ":v1=" D ":a\n" S ":v1\n", "file -, line 2: " ALL_OR_ONE},
	{S ":v1=" D ":a\n" O ":v1=" D ":a\n",
	 "file -, line 2: each destination tag may only be specified once: " D ":a"},
	{"\n",
	 "you must specify at least one source image to pull and the destination to push to as "
	 "SRC=DST or SRC DST [DST2 DST3 ...]"},
};

static void check_text(const struct text_row *row, bool fails)
{
	struct mappings m = {0};
	int r = parse_text(&m, row->text, strlen(row->text));

	check_row(r, &m, row->want, fails);
	mappings_release(&m);
}

TEST(lines_of_a_file_are_command_lines)
{
	for (size_t i = 0; i < ARRAY_SIZE(LINES); i++)
		check_text(&LINES[i], false);
}

TEST(bad_lines_are_named_by_file_and_number)
{
	for (size_t i = 0; i < ARRAY_SIZE(BAD_LINES) - 1; i++)
		check_text(&BAD_LINES[i], true);
}

TEST(a_file_of_nothing_maps_nothing)
{
	check_text(&BAD_LINES[ARRAY_SIZE(BAD_LINES) - 1], true);
}

TEST(a_line_that_is_too_long_is_named_not_read)
{
	struct mappings m = {0};
	char path[] = "/tmp/ferry-mappings-XXXXXX";
	int fd = mkstemp(path);
	char *files[] = {path};
	auto_free char *line = xmalloc(70000);

	memset(line, 'a', 70000);
	CHECK_INT(write(fd, line, 70000), 70000);
	close(fd);
	CHECK_FAILS(mappings_parse(&m, NULL, 0, files, 1, -1, &e));
	CHECK(strstr(e.text, "line 1: the line is longer than") != NULL);
	unlink(path);
}

TEST(a_nul_byte_is_refused)
{
	struct mappings m = {0};
	static const char text[] = S ":v1 " D ":a\0b\n";

	CHECK_FAILS(parse_text(&m, text, sizeof(text) - 1));
	CHECK_STR(e.text, "file -, line 1: the line holds a NUL byte");
}

TEST(a_file_that_is_not_there_is_named)
{
	struct mappings m = {0};
	char *files[] = {(char *)"nope.txt"};

	CHECK_FAILS(mappings_parse(&m, NULL, 0, files, 1, -1, &e));
	CHECK_STR(e.text, "open nope.txt: no such file or directory");
}

int main(void)
{
	return tap_main();
}
