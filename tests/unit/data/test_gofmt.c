// SPDX-License-Identifier: Apache-2.0
#include "data/gofmt.h"

#include "tap.h"
#include "util/cleanup.h"
#include "util/mem.h"

#include <inttypes.h>

TEST(sizes_have_four_digits_and_a_unit)
{
	static const struct {
		uint64_t bytes;
		const char *binary, *decimal;
	} rows[] = {
		{0, "0B", "0B"},
		{504, "504B", "504B"},
		{1000, "1000B", "1kB"},
		{1023, "1023B", "1.023kB"},
		{1024, "1KiB", "1.024kB"},
		{41336, "40.37KiB", "41.34kB"},
		{734500, "717.3KiB", "734.5kB"},
		{3109000, "2.965MiB", "3.109MB"},
		{25176146, "24.01MiB", "25.18MB"},
		{(uint64_t)5 << 40, "5TiB", "5.498TB"},
		{UINT64_MAX, "16EiB", "18.45EB"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CHECK_STR(gofmt_binary(rows[i].bytes).s, rows[i].binary);
		CHECK_STR(gofmt_decimal((double)rows[i].bytes).s, rows[i].decimal);
	}
}

TEST(durations_are_gos)
{
	static const struct {
		int64_t ns;
		const char *text;
	} rows[] = {
		{0, "0s"},
		{1, "1ns"},
		{1100, "1.1\302\265s"},
		{2200000, "2.2ms"},
		{20000000, "20ms"},
		{1010000000, "1.01s"},
		{123500000000, "2m3.5s"},
		{60000000000, "1m0s"},
		{3600000000000, "1h0m0s"},
		{-1500000000, "-1.5s"},
		{INT64_MAX, "2562047h47m16.854775807s"},
		{INT64_MIN, "-2562047h47m16.854775808s"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		CHECK_STR(gofmt_duration(rows[i].ns).s, rows[i].text);
}

TEST(rounding_goes_to_the_nearest)
{
	CHECK_INT(gofmt_round(14999999, 10000000), 10000000);
	CHECK_INT(gofmt_round(15000000, 10000000), 20000000);
	CHECK_INT(gofmt_round(-15000000, 10000000), -20000000);
	CHECK_INT(gofmt_round(3, 10), 0);
}

TEST(times_go_both_ways)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} rows[] = {
		{0, "1970-01-01T00:00:00Z"},
		{951782400, "2000-02-29T00:00:00Z"},
		{1763818749, "2025-11-22T13:39:09Z"},
		{-1, "1969-12-31T23:59:59Z"},
		{253402300799, "9999-12-31T23:59:59Z"},
		{-62167219200, "0000-01-01T00:00:00Z"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t back = 7;

		CHECK_STR(gofmt_time(rows[i].seconds).s, rows[i].text);
		CHECK(gofmt_parse_time(str_of(rows[i].text), &back));
		CHECK_INT(back, rows[i].seconds);
	}
}

TEST(zones_and_fractions_are_understood_nonsense_is_not)
{
	static const char *const bad[] = {"",
					  "2025-11-22",
					  "2025-11-22T13:39:09",
					  "2025-13-22T13:39:09Z",
					  "2025-02-29T13:39:09Z",
					  "2025-11-22T24:00:00Z",
					  "2025-11-22T13:39:09.Z",
					  "2025-11-22T13:39:09+0100",
					  "2025-11-22 13:39:09Z",
					  "2025-11-22T13:39:09Zx",
					  "+025-11-22T13:39:09Z"};
	int64_t at;

	CHECK(gofmt_parse_time(STR("2025-11-22T14:39:09.123456+01:00"), &at));
	CHECK_INT(at, 1763818749);
	CHECK(gofmt_parse_time(STR("2025-11-22T08:09:09-05:30"), &at));
	CHECK_INT(at, 1763818749);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK(!gofmt_parse_time(str_of(bad[i]), &at));
}

TEST(quoted_text_shows_what_does_not_print)
{
	static const char *const rows[][2] = {
		{"plain", "\"plain\""},
		{"a\"b\\c", "\"a\\\"b\\\\c\""},
		{"\a\b\f\n\r\t\v", "\"\\a\\b\\f\\n\\r\\t\\v\""},
		{"\033[2J\177", "\"\\x1b[2J\\x7f\""},
		{"\303\244", "\"\303\244\""},
		{"\342\200\256x", "\"\\u202ex\""},
		{"\377\300\200", "\"\\xff\\xc0\\x80\""},
		{"\355\240\200", "\"\\xed\\xa0\\x80\""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *got = gofmt_quote(str_of(rows[i][0]));

		CHECK_STR(got, rows[i][1]);
	}
}

TEST(ages_are_in_their_largest_unit)
{
	static const struct {
		int64_t seconds;
		const char *want;
	} rows[] = {
		{-2, "<invalid>"},   {-1, "0s"},
		{0, "0s"},           {59, "59s"},
		{60, "1m"},          {3599, "59m"},
		{3600, "1h"},        {86399, "23h"},
		{86400, "1d"},       {365 * 86400 - 1, "364d"},
		{365 * 86400, "1y"}, {INT64_MAX, "292471208677y"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		CHECK_STR(gofmt_age(rows[i].seconds).s, rows[i].want);
}

int main(void)
{
	return tap_main();
}
