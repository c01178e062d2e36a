// SPDX-License-Identifier: Apache-2.0
#include "util/err.h"

#include "tap.h"

#include <errno.h>

TEST(wrapping_reads_outside_in)
{
	struct err e;

	CHECK_FAILS(err_set(&e, ERR_INPUT, "layer %d", 3));
	CHECK_FAILS(err_wrap(&e, "image '%s'", "a:b"));
	CHECK_STR(e.text, "image 'a:b': layer 3");
	CHECK_INT(e.kind, ERR_INPUT);
}

TEST(arguments_may_alias_the_message)
{
	struct err e;

	err_set(&e, ERR_NET, "connection refused");
	err_set(&e, ERR_NET, "again: %s", e.text);
	CHECK_STR(e.text, "again: connection refused");
}

TEST(a_long_context_loses_its_middle_never_the_cause)
{
	struct err e;
	char context[2000];

	memset(context, 'c', sizeof(context) - 1);
	context[sizeof(context) - 1] = '\0';
	err_set(&e, ERR_IO, "the cause");
	err_wrap(&e, "<%s>", context);
	CHECK(strlen(e.text) == sizeof(e.text) - 1);
	CHECK(strstr(e.text, "...") != NULL);
	CHECK_STR(e.text + strlen(e.text) - strlen(">: the cause"), ">: the cause");
}

TEST(os_errors_keep_errno_and_say_it)
{
	struct err e;

	errno = ENOENT;
	CHECK_FAILS(err_os(&e, ERR_NOT_FOUND, "open %s", "x"));
	CHECK_STR(e.text, "open x: no such file or directory");
	CHECK_INT(e.os, ENOENT);
}

TEST(a_hint_is_a_line_of_its_own)
{
	struct err e;

	err_set(&e, ERR_DENIED, "no");
	err_hint(&e, "hint: %s", "log in");
	CHECK_STR(e.text, "no\nhint: log in");
}

TEST(names_from_outside_begin_no_line)
{
	struct err e;

	err_set(&e, ERR_INPUT, "'%s' is no folder", "a\nhint: run this");
	CHECK_STR(e.text, "'a?hint: run this' is no folder");
	err_wrap(&e, "%s", "b\nc");
	CHECK_STR(e.text, "b?c: 'a?hint: run this' is no folder");
	errno = ENOENT;
	err_os(&e, ERR_IO, "open '%s'", "a\nb");
	CHECK_STR(e.text, "open 'a?b': no such file or directory");
	err_hint(&e, "hint: look at '%s'", "a\nb");
	CHECK_STR(e.text, "open 'a?b': no such file or directory\nhint: look at 'a?b'");
}

TEST(lines_that_are_meant_stay)
{
	struct err e, f;

	err_set(&e, ERR_INPUT, "choose:\n%s", "a\nb");
	CHECK_STR(e.text, "choose:\na\nb");
	err_set(&e, ERR_INPUT, "%s", "a\nb");
	CHECK_STR(e.text, "a\nb");
	err_set(&e, ERR_DENIED, "no");
	err_hint(&e, "hint: log in");
	err_set(&f, ERR_DENIED, "nothing was mirrored: %s", e.text);
	CHECK_STR(f.text, "nothing was mirrored: no\nhint: log in");
}

int main(void)
{
	return tap_main();
}
