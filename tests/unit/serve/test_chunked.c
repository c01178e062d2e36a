// SPDX-License-Identifier: Apache-2.0
// Chunked bodies: RFC 9112 section 7.1.
#include "serve/chunked.h"

#include "exact.h"
#include "tap.h"
#include "util/cleanup.h"

#include <stdio.h>

struct decoded {
	struct buf body;
	size_t used;
	int rc;
	bool done;
	struct err e;
};

static void decoded_release(struct decoded *d)
{
	buf_free(&d->body);
}
#define auto_decoded __attribute__((cleanup(decoded_release)))

// Feeds N bytes in pieces of at most STEP until the body is over, refused, or they are used up.
static void decode(struct decoded *d, const char *bytes, size_t n, size_t step)
{
	struct chunked c = {0};

	decoded_release(d);
	*d = (struct decoded){.body = BUF_INIT(BUF_TEXT_MAX)};
	while (d->used < n && !c.done) {
		size_t piece = n - d->used < step ? n - d->used : step, run;
		auto_free char *copy = exact_copy(bytes + d->used, piece);
		ptrdiff_t used = chunked_next(&c, copy, piece, &run, &d->e);

		if (used < 0) {
			d->rc = -1;
			return;
		}
		CHECK(used > 0 && (size_t)used <= piece && run <= (size_t)used);
		buf_put(&d->body, copy + used - run, run);
		d->used += (size_t)used;
	}
	d->done = c.done;
}

TEST(bodies_come_out_of_their_chunks)
{
	static const struct {
		const char *bytes, *body, *rest;
	} rows[] = {
		{"0\r\n\r\n", "", ""},
		{"5\r\nhello\r\n0\r\n\r\n", "hello", ""},
		{"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\nGET /", "hello!", "GET /"},
		{"00000000000000a\r\n0123456789\r\n000\r\n\r\n", "0123456789", ""},
		{"A\r\n0123456789\r\n0\r\n\r\n", "0123456789", ""},
		{"2\r\n\r\n\r\n0\r\n\r\n", "\r\n", ""},
		{"5;name=value;!#$%&'*+-.^_`|~;z\r\nhello\r\n0;last\r\n\r\n", "hello", ""},
		{"0\r\nX: 1\r\nY:\r\nZ: a\tb\r\n\r\nrest", "", "rest"},
		{"0\r\nContent-Lengt: 5\r\nContent-Lengthy: 5\r\nxContent-Length: 1\r\n\r\n", "",
		 ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (size_t step = 1; step < 60; step++) {
			auto_decoded struct decoded d = {0};

			decode(&d, rows[i].bytes, strlen(rows[i].bytes), step);
			CHECK(d.rc == 0 && d.done);
			CHECK_STR(d.body.p, rows[i].body);
			CHECK_STR(rows[i].bytes + d.used, rows[i].rest);
		}
}

TEST(malformed_framing_is_refused_wherever_it_is_split)
{
	static const char *const rows[] = {
		"\r\n",
		"x\r\n",
		" 5\r\nhello\r\n",
		"-5\r\nhello\r\n",
		"+5\r\nhello\r\n",
		"0x5\r\nhello\r\n",
		"5 \r\nhello\r\n",
		"5\t\r\nhello\r\n",
		"5\nhello\r\n",
		"5\r\rhello\r\n",
		"5\r\nhello\n0\r\n\r\n",
		"5\r\nhello\r0\r\n\r\n",
		"5\r\nhello0\r\n\r\n",
		"5\r\nhello!\r\n0\r\n\r\n",
		"5\r\nhell\r\n0\r\n\r\n",
		"5;a\nb\r\nhello\r\n",
		"5;a\x01\r\nhello\r\n",
		"5;a\rb\r\nhello\r\n",
		"5;\r\nhello\r\n",
		"5;;a\r\nhello\r\n",
		"5;=a\r\nhello\r\n",
		"5;a=\r\nhello\r\n",
		"5;a=;b\r\nhello\r\n",
		"5;a=b=c\r\nhello\r\n",
		"5; a=b\r\nhello\r\n",
		"5;a =b\r\nhello\r\n",
		"5;a=b \r\nhello\r\n",
		"5;a=\"b\"\r\nhello\r\n",
		"5;a=b\xc3\xa4\r\nhello\r\n",
		";a\r\n\r\n",
		"00000000000000005\r\nhello\r\n", // 17 digits
		"10000000000000005\r\nhello\r\n",
		"0\r\n\n",
		"0\n\r\n",
		"0\r\n\rX",
		"0\r\n X: 1\r\n\r\n",
		"0\r\nX : 1\r\n\r\n",
		"0\r\nX\r\n\r\n",
		"0\r\n: 1\r\n\r\n",
		"0\r\nX: 1\n\r\n",
		"0\r\nX: \x01\r\n\r\n",
		"0\r\nX: 1\r\n folded\r\n\r\n",
		"0\r\nContent-Length: 5\r\n\r\n",
		"0\r\nX: 1\r\ncontent-length: 5\r\n\r\n",
		"0\r\nTRANSFER-ENCODING: chunked\r\n\r\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (size_t step = 1; step < 40; step++) {
			auto_decoded struct decoded d = {0};

			decode(&d, rows[i], strlen(rows[i]), step);
			CHECK(d.rc < 0);
			CHECK(d.rc == 0 || d.e.kind == ERR_INPUT);
			if (d.rc == 0)
				printf("# row %zu was accepted\n", i);
		}
}

TEST(nul_is_part_of_bodies_only)
{
	auto_decoded struct decoded d = {0};

	decode(&d, "3\r\na\0b\r\n0\r\n\r\n", 13, 100);
	CHECK(d.done && d.body.n == 3 && memcmp(d.body.p, "a\0b", 3) == 0);
	decode(&d, "1\0\r\na\r\n", 8, 100);
	CHECK(d.rc < 0);
	decode(&d, "0\r\nX\0: 1\r\n\r\n", 12, 100);
	CHECK(d.rc < 0);
	decode(&d, "0\r\nX: \0\r\n\r\n", 11, 100);
	CHECK(d.rc < 0);
}

// HEAD, N times 'x', TAIL.
static void decode_padded(struct decoded *d, const char *head, size_t n, const char *tail)
{
	auto_buf struct buf b = BUF_INIT(BUF_TEXT_MAX);

	buf_puts(&b, head);
	for (size_t i = 0; i < n; i++)
		buf_putc(&b, 'x');
	buf_puts(&b, tail);
	decode(d, b.p, b.n, 100);
}

TEST(extensions_end_at_256_bytes_a_chunk)
{
	auto_decoded struct decoded d = {0};

	decode_padded(&d, "1;a=b\r\n1\r\n1;", 256, "\r\n2\r\n0\r\n\r\n");
	CHECK(d.done);
	CHECK_STR(d.body.p, "12");
	decode_padded(&d, "1;", 257, "\r\n2\r\n0\r\n\r\n");
	CHECK(d.rc < 0);
}

TEST(trailers_end_at_2_kib_together)
{
	auto_decoded struct decoded d = {0};

	decode_padded(&d, "0\r\nX: 1\r\nY: ", 2048 - strlen("X: 1\rY: \r\r"), "\r\n\r\n");
	CHECK(d.done);
	decode_padded(&d, "0\r\nX: 1\r\nY: ", 2048 - strlen("X: 1\rY: \r\r") + 1, "\r\n\r\n");
	CHECK(d.rc < 0);
	decode_padded(&d, "0\r\n", 3000, "");
	CHECK(d.rc < 0);
}

TEST(sizes_have_16_digits_at_most)
{
	struct chunked c = {0};
	size_t run;
	struct err e;

	CHECK_INT(chunked_next(&c, "ffffffffffffffff\r\nabc", 21, &run, &e), 21);
	CHECK_INT(run, 3);
	CHECK(c.left == UINT64_MAX - 3);
	CHECK(!c.done);
}

TEST(nothing_is_used_behind_the_end)
{
	struct chunked c = {0};
	size_t run = 7;
	struct err e;

	CHECK_INT(chunked_next(&c, "0\r\n\r\nGET", 8, &run, &e), 5);
	CHECK(c.done);
	CHECK_INT(run, 0);
	CHECK_INT(chunked_next(&c, "GET", 3, &run, &e), 0);
	CHECK_INT(run, 0);
}

int main(void)
{
	return tap_main();
}
