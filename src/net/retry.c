// SPDX-License-Identifier: Apache-2.0
// The retry policy: what may be repeated, how often, and after which wait.
#include "net/retry.h"

#include "util/cancel.h"
#include "util/clock.h"
#include "util/str.h"

#include <ctype.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

enum {
	WAIT_FIRST_MS = 500,
	WAIT_MAX_MS = 30 * 1000,
	RETRY_AFTER_MAX_MS = 5 * 60 * 1000,
};

void retry_init(struct retry *r, unsigned budget, uint64_t seed)
{
	*r = (struct retry){.left = budget, .budget = budget, .random = seed};
}

// splitmix64: spreads any seed, keeps its state in one word.
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

// Doubles from attempt to attempt; a quarter up or down keeps clients from marching in step.
static unsigned backoff_ms(struct retry *r)
{
	unsigned step = r->budget - r->left;
	unsigned base = step < 6 ? (unsigned)WAIT_FIRST_MS << step : (unsigned)WAIT_MAX_MS;

	return base - base / 4 + (unsigned)(next_random(&r->random) % (base / 2 + 1));
}

static bool may_repeat(const struct err *why)
{
	if (why->kind != ERR_NET || why->os == RETRY_NEVER)
		return false;
	return why->http == 0 || retry_status(why->http);
}

bool retry_next(struct retry *r, const struct err *why, uint64_t retry_after_ms)
{
	if (r->left == 0 || !may_repeat(why))
		return false;
	r->wait_ms = backoff_ms(r);
	if (r->wait_ms > WAIT_MAX_MS)
		r->wait_ms = WAIT_MAX_MS;
	if (retry_after_ms > 0)
		r->wait_ms = retry_after_ms < RETRY_AFTER_MAX_MS ? (unsigned)retry_after_ms
								 : (unsigned)RETRY_AFTER_MAX_MS;
	r->left--;
	return true;
}

void retry_progress(struct retry *r)
{
	r->left = r->budget;
}

bool retry_status(int http_status)
{
	switch (http_status) {
	case 408:
	case 429:
	case 500:
	case 502:
	case 503:
	case 504:
		return true;
	default:
		return false;
	}
}

static int two_digits(const char *p)
{
	return (p[0] - '0') * 10 + p[1] - '0';
}

bool retry_http_date(const char *text, int64_t *ret)
{
	static const char shape[] = "Aaa, 00 Aaa 0000 00:00:00 GMT";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	if (strlen(text) != sizeof(shape) - 1)
		return false;
	for (size_t i = 0; shape[i]; i++) {
		unsigned char c = (unsigned char)text[i], want = (unsigned char)shape[i];

		if (want == '0' ? !isdigit(c) : isalpha(want) ? !isalpha(c) : c != want)
			return false;
	}
	char month[4] = {text[8], text[9], text[10], '\0'};
	const char *at = strstr(months, month);

	if (!at || (at - months) % 3 != 0)
		return false;
	struct tm tm = {
		.tm_mday = two_digits(text + 5),
		.tm_mon = (int)(at - months) / 3,
		.tm_year = two_digits(text + 12) * 100 + two_digits(text + 14) - 1900,
		.tm_hour = two_digits(text + 17),
		.tm_min = two_digits(text + 20),
		.tm_sec = two_digits(text + 23),
	};

	*ret = timegm(&tm);
	return true;
}

uint64_t retry_after(const char *value, int64_t now)
{
	uint64_t seconds;
	int64_t when;

	if (!value)
		return 0;
	struct str text = str_trim(str_of(value));

	if (text.n > 0 && strspn(text.p, "0123456789") >= text.n) {
		if (!str_u64(text, RETRY_AFTER_MAX_MS / 1000, &seconds))
			return RETRY_AFTER_MAX_MS;
		return seconds * 1000;
	}
	if (!retry_http_date(value, &when) || when <= now)
		return 0;
	if (when - now > RETRY_AFTER_MAX_MS / 1000)
		return RETRY_AFTER_MAX_MS;
	return (uint64_t)(when - now) * 1000;
}

struct sleeper {
	pthread_mutex_t lock;
	pthread_cond_t woken;
};

static void wake_sleeper(void *arg)
{
	struct sleeper *s = arg;

	pthread_mutex_lock(&s->lock);
	pthread_cond_signal(&s->woken);
	pthread_mutex_unlock(&s->lock);
}

int retry_wait(const struct retry *r, struct cancel *c, struct err *e)
{
	struct sleeper s = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct cancel_watch watch = {.wake = wake_sleeper, .arg = &s};
	uint64_t until = clock_us() + (uint64_t)r->wait_ms * 1000;
	struct timespec ts = {.tv_sec = (time_t)(until / 1000000),
			      .tv_nsec = (long)(until % 1000000) * 1000};
	pthread_condattr_t attr;
	int rc = 0;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s.woken, &attr);
	pthread_condattr_destroy(&attr);
	cancel_watch(c, &watch);
	pthread_mutex_lock(&s.lock);
	while (rc == 0 && !cancelled(c))
		rc = pthread_cond_timedwait(&s.woken, &s.lock, &ts);
	pthread_mutex_unlock(&s.lock);
	cancel_unwatch(c, &watch);
	pthread_cond_destroy(&s.woken);
	return cancelled(c) ? err_cancelled(e) : 0;
}
