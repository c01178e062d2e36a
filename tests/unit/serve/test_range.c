// SPDX-License-Identifier: Apache-2.0
// Range of GET (RFC 9110 section 14) and Content-Range of uploads (OCI distribution-spec v1.1).
#include "serve/range.h"

#include "exact.h"
#include "tap.h"
#include "util/cleanup.h"

#include <inttypes.h>
#include <stdio.h>

static enum range_verdict verdict_of(const char *value, uint64_t size, struct buf *ret)
{
	struct range ranges[RANGES_MAX];
	auto_free char *copy = exact_copy(value, strlen(value));
	unsigned n = 0;
	enum range_verdict v = range_parse((struct str){copy, strlen(value)}, size, ranges, &n);

	for (unsigned i = 0; v == RANGE_SOME && i < n; i++)
		buf_printf(ret, "%s%" PRIu64 "+%" PRIu64, i ? " " : "", ranges[i].offset,
			   ranges[i].length);
	return v;
}

struct row {
	const char *value;
	uint64_t size;
	const char *want; // offset+length of each
};

static void check_rows(const struct row *rows, size_t n, enum range_verdict want)
{
	for (size_t i = 0; i < n; i++) {
		auto_buf struct buf got = BUF_INIT(BUF_TEXT_MAX);

		CHECK_INT(verdict_of(rows[i].value, rows[i].size, &got), want);
		CHECK_STR(got.p, rows[i].want);
	}
}

TEST(ranges_are_clipped_and_keep_the_order_asked_for)
{
	static const struct row rows[] = {
		{"bytes=0-0", 10, "0+1"},
		{"bytes=2-4", 10, "2+3"},
		{"bytes=2-", 10, "2+8"},
		{"bytes=-3", 10, "7+3"},
		{"bytes=-30", 10, "0+10"},
		{"bytes=0-", 10, "0+10"},
		{"bytes=0-9", 10, "0+10"},
		{"bytes=9-9", 10, "9+1"},
		{"bytes=5-10", 10, "5+5"},
		{"bytes=5-99", 10, "5+5"},
		{"bytes=00005-00006", 10, "5+2"},
		{"Bytes=1-2", 10, "1+2"},
		{"  bytes=1-2\t", 10, "1+2"},
		{"bytes=7-8,0-1,3-3", 10, "7+2 0+2 3+1"},
		{"bytes= 7-8 ,\t0-1 ", 10, "7+2 0+2"},
		{"bytes=,7-8,,0-1,", 10, "7+2 0+2"},
		{"bytes=-2,0-1", 10, "8+2 0+2"},
		{"bytes=5-9,0-4", 10, "5+5 0+5"}, // all of it, in another order
		{"bytes=0-1,20-30", 10, "0+2"},   // what does not exist is left out
		{"bytes=20-30,0-1,-0", 10, "0+2"},
		{"bytes=1-18446744073709551615", 10, "1+9"},
		{"bytes=1-99999999999999999999999999", 10, "1+9"},
		{"bytes=-99999999999999999999999999", 10, "0+10"},
		{"bytes=9223372036854775806-", INT64_MAX, "9223372036854775806+1"},
	};

	check_rows(rows, ARRAY_SIZE(rows), RANGE_SOME);
}

TEST(unsatisfiable_and_inverted_ranges_are_416)
{
	static const struct row rows[] = {
		{"bytes=10-", 10, ""},
		{"bytes=10-10", 10, ""},
		{"bytes=10-20,30-40", 10, ""},
		{"bytes=-0", 10, ""},
		{"bytes=0-", 0, ""},
		{"bytes=0-0", 0, ""},
		{"bytes=-0", 0, ""},
		{"bytes=5-4", 10, ""},
		{"bytes=0-1,5-4", 10, ""},
		{"bytes=18446744073709551616-", 10, ""},
		{"bytes=99999999999999999999999999-5", 10, ""},
		{"bytes=99999999999999999999999999-99999999999999999999999999", 10, ""},
		{"bytes=18446744073709551615-", UINT64_MAX, ""},
	};

	check_rows(rows, ARRAY_SIZE(rows), RANGE_NONE);
}

TEST(malformed_ranges_are_ignored)
{
	static const struct row rows[] = {
		{"", 10, ""},
		{"bytes", 10, ""},
		{"bytes=", 10, ""},
		{"bytes=,", 10, ""},
		{"bytes=-", 10, ""},
		{"bytes=1", 10, ""},
		{"bytes=a-b", 10, ""},
		{"bytes=1-b", 10, ""},
		{"bytes=1--2", 10, ""},
		{"bytes=--2", 10, ""},
		{"bytes=1-2-3", 10, ""},
		{"bytes=+1-2", 10, ""},
		{"bytes=1 -2", 10, ""},
		{"bytes=1- 2", 10, ""},
		{"bytes=0x1-2", 10, ""},
		{"bytes=1-2;3-4", 10, ""},
		{"bytes=1-2 3-4", 10, ""},
		{"bytes =1-2", 10, ""},
		{"bytes:1-2", 10, ""},
		{"bytes 1-2", 10, ""},
		{"bytess=1-2", 10, ""},
		{"items=1-2", 10, ""},
		{"1-2", 10, ""},
		{"bytes=0-1,x", 10, ""},
		{"bytes=5-4,x", 10, ""},
		{"bytes=-5", 0, ""}, // well-formed, but no part of nothing can be written
	};

	check_rows(rows, ARRAY_SIZE(rows), RANGE_WHOLE);
}

TEST(overlapping_ranges_get_the_whole)
{
	static const struct row rows[] = {
		{"bytes=0-4,4-5", 10, ""},       {"bytes=4-5,0-4", 10, ""},
		{"bytes=0-,0-", 10, ""},         {"bytes=0-0,0-0", 10, ""},
		{"bytes=2-3,0-9", 10, ""},       {"bytes=0-1,3-4,-7", 10, ""},
		{"bytes=0-1,5-99,8-99", 10, ""},
	};

	check_rows(rows, ARRAY_SIZE(rows), RANGE_WHOLE);
}

// "bytes=0-0,2-2,..." with N ranges.
static void many(struct buf *b, unsigned n)
{
	buf_puts(b, "bytes=");
	for (unsigned i = 0; i < n; i++)
		buf_printf(b, "%s%u-%u", i ? "," : "", 2 * i, 2 * i);
}

TEST(sixty_four_ranges_are_served_and_no_more)
{
	auto_buf struct buf value = BUF_INIT(BUF_TEXT_MAX), got = BUF_INIT(BUF_TEXT_MAX);

	many(&value, RANGES_MAX);
	CHECK_INT(verdict_of(value.p, 1000, &got), RANGE_SOME);
	CHECK(ends_with(got.p, " 126+1"));
	buf_clear(&value);
	many(&value, RANGES_MAX + 1);
	CHECK_INT(verdict_of(value.p, 1000, &got), RANGE_WHOLE);
	// Those that are left out count as well: they cost as much to read.
	CHECK_INT(verdict_of(value.p, 10, &got), RANGE_WHOLE);
}

TEST(chunks_of_uploads_say_where_they_belong)
{
	static const struct {
		const char *value;
		uint64_t first, last;
	} rows[] = {
		{"0-1023", 0, 1023},
		{"1024-2047", 1024, 2047},
		{"7-7", 7, 7},
		{" 0-1023 ", 0, 1023},
		{"bytes 0-1023", 0, 1023},
		{"Bytes  0-1023", 0, 1023},
		{"bytes 0-1023/2048", 0, 1023},
		{"bytes 0-1023/*", 0, 1023},
		{"0-1023/1024", 0, 1023},
		{"0-9223372036854775806", 0, INT64_MAX - 1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t n = strlen(rows[i].value);
		auto_free char *copy = exact_copy(rows[i].value, n);
		uint64_t first = 0, last = 0;

		CHECK(content_range_parse((struct str){copy, n}, &first, &last));
		CHECK_INT(first, rows[i].first);
		CHECK_INT(last, rows[i].last);
	}
}

TEST(other_content_ranges_are_refused)
{
	static const char *const rows[] = {
		"",
		"-",
		"0",
		"0-",
		"-5",
		"5-4",
		"a-b",
		"0-1-2",
		"0 - 1",
		"+0-1",
		"0-1,2-3",
		"bytes",
		"bytes ",
		"bytes=0-1",
		"bytes0-1",
		"items 0-1",
		"bytes */10",
		"bytes 0-9/9",
		"bytes 0-9/",
		"bytes 0-9/x",
		"0-9/*x",
		"0-9/10 x",
		"0x0-1",
		"bytes 0-9/-10",
		"0-9223372036854775807",
		"0-99999999999999999999999999",
		"99999999999999999999999999-1",
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t n = strlen(rows[i]);
		auto_free char *copy = exact_copy(rows[i], n);
		uint64_t first = 77, last = 77;

		CHECK(!content_range_parse((struct str){copy, n}, &first, &last));
		CHECK(first == 77 && last == 77);
	}
}

int main(void)
{
	return tap_main();
}
