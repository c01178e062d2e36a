// SPDX-License-Identifier: Apache-2.0
// Numbers, times and quoted text as Go programs print them.
#include "data/gofmt.h"

#include "util/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct gofmt scaled(double size, double base, const char *const *units)
{
	struct gofmt ret;
	int i = 0;

	while (size >= base && units[i + 1]) {
		size /= base;
		i++;
	}
	snprintf(ret.s, sizeof(ret.s), "%.4g%s", size, units[i]);
	return ret;
}

struct gofmt gofmt_binary(uint64_t bytes)
{
	static const char *const units[] = {"B",   "KiB", "MiB", "GiB", "TiB",
					    "PiB", "EiB", "ZiB", "YiB", NULL};

	return scaled((double)bytes, 1024, units);
}

struct gofmt gofmt_decimal(double bytes)
{
	static const char *const units[] = {"B",  "kB", "MB", "GB", "TB",
					    "PB", "EB", "ZB", "YB", NULL};

	return scaled(bytes, 1000, units);
}

int64_t gofmt_round(int64_t ns, int64_t unit)
{
	int64_t rest = ns % unit;

	ns -= rest;
	if (rest >= unit - rest)
		return ns + unit;
	if (-rest >= unit + rest)
		return ns - unit;
	return ns;
}

// Writes N / 10^DIGITS in front of END, without trailing zeros in the fraction.
static char *put_fraction(char *end, uint64_t *n, int digits)
{
	bool print = false;

	for (int i = 0; i < digits; i++) {
		unsigned d = (unsigned)(*n % 10);

		print = print || d != 0;
		if (print)
			*--end = (char)('0' + d);
		*n /= 10;
	}
	if (print)
		*--end = '.';
	return end;
}

static char *put_number(char *end, uint64_t n)
{
	do
		*--end = (char)('0' + n % 10);
	while (n /= 10);
	return end;
}

static char *put_text(char *end, const char *text)
{
	size_t n = strlen(text);

	return memcpy(end - n, text, n);
}

static char *put_below_second(char *at, uint64_t ns)
{
	if (ns == 0)
		return put_text(at, "0s");
	if (ns < 1000)
		return put_number(put_text(at, "ns"), ns);
	bool micro = ns < 1000000;

	at = put_text(at, micro ? "\302\265s" : "ms");
	at = put_fraction(at, &ns, micro ? 3 : 6);
	return put_number(at, ns);
}

static char *put_seconds(char *at, uint64_t ns)
{
	at = put_text(at, "s");
	at = put_fraction(at, &ns, 9);
	at = put_number(at, ns % 60);
	ns /= 60;
	if (ns == 0)
		return at;
	at = put_number(put_text(at, "m"), ns % 60);
	ns /= 60;
	if (ns == 0)
		return at;
	return put_number(put_text(at, "h"), ns);
}

struct gofmt gofmt_duration(int64_t ns)
{
	struct gofmt ret;
	uint64_t abs = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
	char text[sizeof(ret.s)];
	char *end = text + sizeof(text) - 1, *at;

	*end = '\0';
	at = abs < 1000000000 ? put_below_second(end, abs) : put_seconds(end, abs);
	if (ns < 0)
		*--at = '-';
	memcpy(ret.s, at, (size_t)(end - at) + 1);
	return ret;
}

struct gofmt gofmt_age(int64_t seconds)
{
	static const struct {
		int64_t below, unit;
		char letter;
	} steps[] = {{60, 1, 's'},
		     {3600, 60, 'm'},
		     {86400, 3600, 'h'},
		     {31536000, 86400, 'd'},
		     {INT64_MAX, 31536000, 'y'}};
	struct gofmt ret = {"<invalid>"};
	size_t i = 0;

	if (seconds < -1)
		return ret;
	if (seconds < 0)
		seconds = 0;
	while (i + 1 < ARRAY_SIZE(steps) && seconds >= steps[i].below)
		i++;
	snprintf(ret.s, sizeof(ret.s), "%" PRId64 "%c", seconds / steps[i].unit, steps[i].letter);
	return ret;
}

// Days since 1970-01-01 of a date of the proleptic Gregorian calendar, years counted from March.
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
	year -= month <= 2;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	unsigned of_era = (unsigned)(year - era * 400);
	unsigned of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_of(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
	days += 719468;
	int64_t era = (days >= 0 ? days : days - 146096) / 146097;
	unsigned d = (unsigned)(days - era * 146097);
	unsigned y = (d - d / 1460 + d / 36524 - d / 146096) / 365;
	unsigned of_year = d - (365 * y + y / 4 - y / 100);
	unsigned m = (5 * of_year + 2) / 153;

	*day = of_year - (153 * m + 2) / 5 + 1;
	*month = m < 10 ? m + 3 : m - 9;
	*year = era * 400 + y + (*month <= 2);
}

#define DAY      ((int64_t)86400)
// What fits the four digits of a year.
#define TIME_MIN (-62167219200)
#define TIME_MAX 253402300799

struct gofmt gofmt_time(int64_t seconds)
{
	struct gofmt ret;
	int64_t year;
	unsigned month, day;

	if (seconds < TIME_MIN)
		seconds = TIME_MIN;
	if (seconds > TIME_MAX)
		seconds = TIME_MAX;
	int64_t days = (seconds >= 0 ? seconds : seconds - (DAY - 1)) / DAY;
	unsigned rest = (unsigned)(seconds - days * DAY);

	date_of(days, &year, &month, &day);
	snprintf(ret.s, sizeof(ret.s), "%04d-%02u-%02uT%02u:%02u:%02uZ", (int)year, month, day,
		 rest / 3600, rest / 60 % 60, rest % 60);
	return ret;
}

// Takes N digits and the separator behind them ('\0': none) off S.
static bool take(struct str *s, size_t n, char sep, unsigned *ret)
{
	uint64_t v;

	if (s->n < n + (sep != '\0') || !str_u64((struct str){s->p, n}, 9999, &v))
		return false;
	if (sep && s->p[n] != sep)
		return false;
	n += sep != '\0';
	s->p += n;
	s->n -= n;
	*ret = (unsigned)v;
	return true;
}

static void skip_fraction(struct str *s)
{
	size_t n = 1;

	if (s->n < 2 || s->p[0] != '.')
		return;
	while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9')
		n++;
	if (n > 1) {
		s->p += n;
		s->n -= n;
	}
}

static bool take_zone(struct str s, int64_t *ret)
{
	unsigned hours, minutes;

	*ret = 0;
	if (str_eqz(s, "Z"))
		return true;
	if (s.n != 6 || (s.p[0] != '+' && s.p[0] != '-'))
		return false;
	int sign = s.p[0] == '-' ? -1 : 1;

	s.p++;
	s.n--;
	if (!take(&s, 2, ':', &hours) || !take(&s, 2, '\0', &minutes))
		return false;
	*ret = sign * (int64_t)(hours * 3600 + minutes * 60);
	return hours < 24 && minutes < 60;
}

static unsigned days_in(unsigned year, unsigned month)
{
	static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && leap);
}

bool gofmt_parse_time(struct str s, int64_t *ret)
{
	unsigned year, month, day, hour, minute, second;
	int64_t zone;

	if (!take(&s, 4, '-', &year) || !take(&s, 2, '-', &month) || !take(&s, 2, 'T', &day) ||
	    !take(&s, 2, ':', &hour) || !take(&s, 2, ':', &minute) || !take(&s, 2, '\0', &second))
		return false;
	skip_fraction(&s);
	if (!take_zone(s, &zone))
		return false;
	if (month < 1 || month > 12 || day < 1 || day > days_in(year, month) || hour > 23 ||
	    minute > 59 || second > 59)
		return false;
	*ret = days_of(year, month, day) * DAY + hour * 3600 + minute * 60 + second - zone;
	return true;
}

size_t utf8_decode(struct str s, uint32_t *ret)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char c = s.n ? (unsigned char)s.p[0] : 0;
	size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	uint32_t v = n == 1 ? c : c & (0xffu >> (n + 1));

	if (s.n < n || (c >= 0x80 && c < 0xc2) || c > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if (((unsigned char)s.p[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | ((unsigned char)s.p[i] & 0x3f);
	}
	if (v < least[n] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
		return 0;
	*ret = v;
	return n;
}

// Code points that show nothing or move other text about.
static bool prints(uint32_t c)
{
	static const uint32_t hidden[][2] = {
		{0x0000, 0x001f}, {0x007f, 0x00a0}, {0x00ad, 0x00ad},    {0x061c, 0x061c},
		{0x1680, 0x1680}, {0x180e, 0x180e}, {0x2000, 0x200f},    {0x2028, 0x202f},
		{0x205f, 0x206f}, {0x3000, 0x3000}, {0xe000, 0xf8ff},    {0xfeff, 0xfeff},
		{0xfff0, 0xfffb}, {0xfffe, 0xffff}, {0xe0000, 0x10ffff},
	};

	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
		if (c >= hidden[i][0] && c <= hidden[i][1])
			return false;
	return true;
}

static void quote_escape(struct buf *b, uint32_t c)
{
	static const char short_of[][2] = {{'\a', 'a'}, {'\b', 'b'}, {'\f', 'f'}, {'\n', 'n'},
					   {'\r', 'r'}, {'\t', 't'}, {'\v', 'v'}};

	for (size_t i = 0; i < ARRAY_SIZE(short_of); i++)
		if ((uint32_t)short_of[i][0] == c) {
			buf_printf(b, "\\%c", short_of[i][1]);
			return;
		}
	buf_printf(b, c < 0x80 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
}

char *gofmt_quote(struct str s)
{
	struct buf b = BUF_INIT(SIZE_MAX / 2);
	uint32_t c;

	buf_putc(&b, '"');
	while (s.n > 0) {
		size_t n = utf8_decode(s, &c);

		if (n == 0) {
			buf_printf(&b, "\\x%02x", (unsigned char)s.p[0]);
			n = 1;
		} else if (c == '"' || c == '\\') {
			buf_printf(&b, "\\%c", (char)c);
		} else if (prints(c)) {
			buf_put(&b, s.p, n);
		} else {
			quote_escape(&b, c);
		}
		s.p += n;
		s.n -= n;
	}
	buf_putc(&b, '"');
	return buf_take(&b);
}
