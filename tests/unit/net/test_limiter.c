// SPDX-License-Identifier: Apache-2.0
#include "net/limiter.h"

#include "tap.h"

static uint64_t now_us;

static uint64_t fake_clock(void)
{
	return now_us;
}

// A flow in rounds: the window is filled, then all of it leaves after LATENCY. A server that can
// do CAPACITY at a time takes longer for more.
static void flow(struct limiter *l, int tasks, int capacity, uint64_t latency_us)
{
	while (tasks > 0) {
		int n = 0;

		while (limiter_try(l))
			n++;
		now_us +=
			n <= capacity ? latency_us : latency_us * (uint64_t)n / (uint64_t)capacity;
		for (int i = 0; i < n; i++)
			limiter_leave(l, 1000);
		tasks -= n;
	}
}

TEST(a_fixed_limit_stays)
{
	auto_of(limiter_free) struct limiter *l = limiter_new_timed(3, fake_clock);

	flow(l, 500, 100, 100000);
	limiter_pushback(l);
	CHECK_INT(limiter_limit(l), 3);
	CHECK(limiter_try(l) && limiter_try(l) && limiter_try(l));
	CHECK(!limiter_try(l));
	limiter_leave(l, 0);
	CHECK(limiter_try(l));
}

TEST(the_window_starts_at_6_and_doubles_to_32_while_more_in_flight_is_more_done)
{
	auto_of(limiter_free) struct limiter *l = limiter_new_timed(0, fake_clock);

	CHECK_INT(limiter_limit(l), 6);
	flow(l, 12, 1000, 100000);
	CHECK_INT(limiter_limit(l), 12);
	flow(l, 24, 1000, 100000);
	CHECK_INT(limiter_limit(l), 24);
	flow(l, 1000, 1000, 100000);
	CHECK_INT(limiter_limit(l), 32);
}

TEST(the_window_goes_back_when_growing_has_not_paid)
{
	auto_of(limiter_free) struct limiter *l = limiter_new_timed(0, fake_clock);

	flow(l, 12, 6, 100000); // the server can do 6 at a time
	CHECK_INT(limiter_limit(l), 12);
	flow(l, 24, 6, 100000);
	CHECK_INT(limiter_limit(l), 6);
}

TEST(pushback_halves_the_window_once_for_all_that_is_in_flight)
{
	auto_of(limiter_free) struct limiter *l = limiter_new_timed(0, fake_clock);
	int n = 0;

	flow(l, 1000, 1000, 100000);
	CHECK_INT(limiter_limit(l), 32);
	while (limiter_try(l))
		n++;
	for (int i = 0; i < n; i++)
		limiter_pushback(l);
	CHECK_INT(limiter_limit(l), 16);
	for (int i = 0; i < n; i++)
		limiter_leave(l, 0);
	limiter_pushback(l);
	CHECK_INT(limiter_limit(l), 8);
}

TEST(pushback_never_closes_the_window)
{
	auto_of(limiter_free) struct limiter *l = limiter_new_timed(0, fake_clock);

	for (int i = 0; i < 10; i++)
		limiter_pushback(l);
	CHECK_INT(limiter_limit(l), 1);
	CHECK(limiter_try(l));
}

TEST(a_window_that_is_not_used_does_not_grow)
{
	auto_of(limiter_free) struct limiter *l = limiter_new_timed(0, fake_clock);

	for (int i = 0; i < 100; i++) {
		CHECK(limiter_try(l));
		now_us += 100000;
		limiter_leave(l, 1000);
	}
	CHECK_INT(limiter_limit(l), 6);
}

static void count(void *arg)
{
	++*(int *)arg;
}

TEST(whoever_waits_for_room_is_woken_by_a_leave)
{
	auto_of(limiter_free) struct limiter *l = limiter_new_timed(1, fake_clock);
	int woken = 0;

	limiter_on_room(l, count, &woken);
	CHECK(limiter_try(l));
	CHECK(!limiter_try(l));
	CHECK_INT(woken, 0);
	limiter_leave(l, 0);
	CHECK_INT(woken, 1);
}

int main(void)
{
	return tap_main();
}
