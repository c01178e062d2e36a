// SPDX-License-Identifier: Apache-2.0
#include "util/str.h"

#include "tap.h"

#include <stdlib.h>

TEST(cutting_walks_a_list)
{
	struct str rest = STR("a,,b");

	CHECK(str_eqz(str_cut(&rest, ','), "a"));
	CHECK(str_eqz(str_cut(&rest, ','), ""));
	CHECK(str_eqz(str_cut(&rest, ','), "b"));
	CHECK(rest.p == NULL);
}

TEST(a_buffer_refuses_to_pass_its_ceiling_and_keeps_what_it_had)
{
	auto_buf struct buf b = BUF_INIT(4);
	struct err e;

	REQUIRE_OK(buf_add(&b, "abc", 3, &e));
	CHECK_FAILS(buf_add(&b, "de", 2, &e));
	CHECK_STR(b.p, "abc");
}

TEST(an_empty_buffer_is_an_empty_string)
{
	struct buf b = BUF_INIT(1);

	CHECK_STR(b.p, "");
	char *taken = buf_take(&b);

	CHECK_STR(taken, "");
	free(taken);
}

TEST(numbers_are_digits_only_and_bounded)
{
	static const struct {
		const char *text;
		bool ok;
		uint64_t value;
	} rows[] = {{"0", true, 0},
		    {"18446744073709551615", true, UINT64_MAX},
		    {"18446744073709551616", false, 0},
		    {"", false, 0},
		    {"-1", false, 0},
		    {"+1", false, 0},
		    {"1 ", false, 0}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint64_t v = 0;

		CHECK_INT(str_u64(str_of(rows[i].text), UINT64_MAX, &v), rows[i].ok);
		CHECK(v == rows[i].value);
	}
	uint64_t v;

	CHECK(!str_u64(STR("11"), 10, &v));
}

TEST(lists_sort_by_byte_and_drop_repeats)
{
	auto_strlist struct strlist l = {0};

	strlist_add(&l, "b");
	strlist_add(&l, "B");
	strlist_addf(&l, "%c", 'b');
	strlist_sort(&l);
	strlist_unique(&l);
	CHECK_INT(l.n, 2);
	CHECK_STR(l.v[0], "B");
	CHECK_STR(l.v[1], "b");
}

int main(void)
{
	return tap_main();
}
