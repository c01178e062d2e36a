// SPDX-License-Identifier: Apache-2.0
#include "net/retry.h"

#include "util/cancel.h"
#include "util/mem.h"

#include "tap.h"

#include <pthread.h>

TEST(transport_failures_and_passing_statuses_are_repeated_nothing_else)
{
	static const struct {
		enum err_kind kind;
		int http, os;
		bool want;
	} rows[] = {
		{ERR_NET, 0, 0, true},
		{ERR_NET, 408, 0, true},
		{ERR_NET, 429, 0, true},
		{ERR_NET, 500, 0, true},
		{ERR_NET, 502, 0, true},
		{ERR_NET, 503, 0, true},
		{ERR_NET, 504, 0, true},
		{ERR_NET, 400, 0, false},
		{ERR_NET, 416, 0, false},
		{ERR_NET, 501, 0, false},
		{ERR_DENIED, 401, 0, false},
		{ERR_DENIED, 403, 0, false},
		{ERR_DIGEST, 0, 0, false},
		{ERR_INPUT, 0, 0, false},
		{ERR_NOT_FOUND, 404, 0, false},
		{ERR_IO, 0, 0, false},
		{ERR_CANCELLED, 0, 0, false},
		{ERR_USAGE, 0, 0, false},
		{ERR_NET, 0, RETRY_NEVER, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err why = {.kind = rows[i].kind, .http = rows[i].http, .os = rows[i].os};
		struct retry r;

		retry_init(&r, 3, 1);
		tap_report(retry_next(&r, &why, 0) == rows[i].want, "row %zu", i);
	}
}

TEST(waits_double_with_a_quarter_of_jitter_up_to_half_a_minute)
{
	static const unsigned want[] = {500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000};
	struct err why = {.kind = ERR_NET};

	for (uint64_t seed = 0; seed < 50; seed++) {
		struct retry r;

		retry_init(&r, ARRAY_SIZE(want), seed);
		for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
			CHECK(retry_next(&r, &why, 0));
			CHECK(r.wait_ms >= want[i] - want[i] / 4);
			CHECK(r.wait_ms <= want[i] + want[i] / 4 && r.wait_ms <= 30000);
		}
		CHECK(!retry_next(&r, &why, 0));
	}
}

TEST(the_same_seed_gives_the_same_waits)
{
	struct err why = {.kind = ERR_NET};
	struct retry a, b, c;

	retry_init(&a, 5, 7);
	retry_init(&b, 5, 7);
	retry_init(&c, 5, 8);
	CHECK(retry_next(&a, &why, 0) && retry_next(&b, &why, 0) && retry_next(&c, &why, 0));
	CHECK_INT(a.wait_ms, b.wait_ms);
	CHECK(a.wait_ms != c.wait_ms);
}

TEST(retry_after_wins_over_the_back_off_but_not_beyond_five_minutes)
{
	struct err why = {.kind = ERR_NET, .http = 503};
	struct retry r;

	retry_init(&r, 2, 1);
	CHECK(retry_next(&r, &why, 7000));
	CHECK_INT(r.wait_ms, 7000);
	CHECK(retry_next(&r, &why, (uint64_t)3600 * 1000));
	CHECK_INT(r.wait_ms, 300000);
}

TEST(progress_fills_the_budget_again)
{
	struct err why = {.kind = ERR_NET};
	struct retry r;

	retry_init(&r, 1, 1);
	CHECK(retry_next(&r, &why, 0));
	CHECK(!retry_next(&r, &why, 0));
	retry_progress(&r);
	CHECK(retry_next(&r, &why, 0));
	CHECK(r.wait_ms <= 625);
}

TEST(retry_after_is_seconds_or_a_date)
{
	// Sun, 06 Nov 1994 08:49:37 GMT
	static const int64_t then = 784111777;
	static const struct {
		const char *value;
		int64_t now;
		uint64_t want;
	} rows[] = {
		{NULL, 0, 0},
		{"", 0, 0},
		{"0", 0, 0},
		{"7", 0, 7000},
		{" 7 ", 0, 7000},
		{"301", 0, 300000},
		{"99999999999999999999999", 0, 300000},
		{"-1", 0, 0},
		{"7s", 0, 0},
		{"soon", 0, 0},
		{"Sun, 06 Nov 1994 08:49:37 GMT", 784111777 - 10, 10000},
		{"Sun, 06 Nov 1994 08:49:37 GMT", 784111777 - 3600, 300000},
		{"Sun, 06 Nov 1994 08:49:37 GMT", 784111777, 0},
		{"Sun, 06 Nov 1994 08:49:37 GMT", INT64_MAX, 0},
		{"Sun, 06 Foo 1994 08:49:37 GMT", 0, 0},
		{"Sunday, 06-Nov-94 08:49:37 GMT", 0, 0},
	};
	int64_t got = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		tap_report(retry_after(rows[i].value, rows[i].now) == rows[i].want, "row %zu", i);
	CHECK(retry_http_date("Sun, 06 Nov 1994 08:49:37 GMT", &got));
	CHECK_INT(got, then);
}

static void *fire(void *arg)
{
	cancel_fire(arg);
	return NULL;
}

TEST(cancelling_ends_a_wait)
{
	struct cancel c = CANCEL_INIT;
	struct retry r = {.wait_ms = 60 * 60 * 1000};
	pthread_t thread;
	struct err e;

	pthread_create(&thread, NULL, fire, &c);
	CHECK_FAILS(retry_wait(&r, &c, &e));
	CHECK_INT(e.kind, ERR_CANCELLED);
	pthread_join(thread, NULL);
}

TEST(a_wait_that_nobody_cancels_ends)
{
	struct cancel c = CANCEL_INIT;
	struct retry r = {.wait_ms = 1};
	struct err e;

	CHECK_OK(retry_wait(&r, &c, &e));
	CHECK_OK(retry_wait(&r, NULL, &e));
}

int main(void)
{
	return tap_main();
}
