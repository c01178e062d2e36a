// SPDX-License-Identifier: Apache-2.0
#include "data/base64.h"

#include "tap.h"
#include "util/cleanup.h"
#include "util/mem.h"

// RFC 4648, section 10.
static const char *const rows[][2] = {{"", ""},
				      {"f", "Zg=="},
				      {"fo", "Zm8="},
				      {"foo", "Zm9v"},
				      {"foob", "Zm9vYg=="},
				      {"fooba", "Zm9vYmE="},
				      {"foobar", "Zm9vYmFy"},
				      {"\xfb\xff\xfe", "+//+"}};

TEST(the_vectors_of_the_rfc_go_both_ways)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *text = base64_encode(str_of(rows[i][0])), *back = NULL;
		size_t n = 99;

		CHECK_STR(text, rows[i][1]);
		CHECK(base64_decode(str_of(text), &back, &n));
		CHECK_INT(n, strlen(rows[i][0]));
		CHECK(back && strcmp(back, rows[i][0]) == 0);
	}
}

TEST(line_ends_inside_are_skipped)
{
	auto_free char *back = NULL;
	size_t n;

	CHECK(base64_decode(STR("Zm\r\n9v\nYg=\n=\n"), &back, &n));
	CHECK(back && strcmp(back, "foob") == 0);
}

TEST(anything_else_is_refused)
{
	static const char *const bad[] = {"!!!",   "Z",        "Zg", "Zg=",   "Zg===", "Z===",
					  "Zm9v=", "Zg==Zg==", "=",  "Zm 9v", "Zm-_",  "Zm9v\1"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char *back;
		size_t n;

		CHECK(!base64_decode(str_of(bad[i]), &back, &n));
	}
}

int main(void)
{
	return tap_main();
}
