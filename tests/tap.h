// SPDX-License-Identifier: Apache-2.0
// Unit tests that read like prose and print TAP.
//
//	TEST(digest_rejects_upper_case)
//	{
//		struct err e;
//
//		CHECK_FAILS(digest_parse(&d, "sha256:ABC", &e));
//		CHECK_INT(e.kind, ERR_INPUT);
//	}
//
// TEST registers itself. CHECK reports and goes on, from any thread; REQUIRE reports and returns,
// so that auto_ variables are released. A test that made no check fails: an empty loop cannot pass.
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

struct tap_test {
	const char *name;
	void (*run)(void);
	struct tap_test *next;
};

static struct tap_test *tap_first, **tap_last = &tap_first;
static atomic_int tap_checks, tap_failures;

#define TEST(id)                                                         \
	static void id(void);                                            \
	__attribute__((constructor)) static void tap_register_##id(void) \
	{                                                                \
		static struct tap_test t = {#id, id, NULL};              \
		*tap_last = &t;                                          \
		tap_last = &t.next;                                      \
	}                                                                \
	static void id(void)

#define tap_report(ok, fmt, ...)                                                       \
	do {                                                                           \
		tap_checks++;                                                          \
		if (!(ok)) {                                                           \
			tap_failures++;                                                \
			printf("# %s:%d: " fmt "\n", __FILE__, __LINE__, __VA_ARGS__); \
		}                                                                      \
	} while (0)

#define REQUIRE_OK(call)                     \
	do {                                 \
		int before_ = tap_failures;  \
		CHECK_OK(call);              \
		if (tap_failures != before_) \
			return;              \
	} while (0)
#define CHECK(cond)       tap_report((cond), "%s", #cond)
#define CHECK_OK(call)    tap_report((call) == 0, "%s failed: %s", #call, e.text)
#define CHECK_FAILS(call) tap_report((call) < 0, "%s should have failed", #call)
#define CHECK_INT(got, want)                                                 \
	do {                                                                 \
		long long g_ = (got), w_ = (want);                           \
		tap_report(g_ == w_, "%s is %lld, want %lld", #got, g_, w_); \
	} while (0)
#define CHECK_STR(got, want)                                                            \
	do {                                                                            \
		const char *g_ = (got), *w_ = (want);                                   \
		tap_report(strcmp(g_, w_) == 0, "%s is '%s', want '%s'", #got, g_, w_); \
	} while (0)

static int tap_main(void)
{
	int n = 0, bad = 0;

	// A child that a test forks must not print again what was not flushed yet.
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (struct tap_test *t = tap_first; t; t = t->next) {
		tap_checks = tap_failures = 0;
		t->run();
		if (tap_checks == 0)
			printf("# %s made no check\n", t->name);
		int failed = tap_failures != 0 || tap_checks == 0;
		bad += failed;
		printf("%sok %d - %s\n", failed ? "not " : "", ++n, t->name);
	}
	printf("1..%d\n", n);
	return bad != 0;
}

#endif
