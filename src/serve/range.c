// SPDX-License-Identifier: Apache-2.0
// Range and Content-Range.
#include "serve/range.h"

#include <strings.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

// Takes the digits off the front of *s; a number that does not fit is as good as the largest.
static bool take_number(struct str *s, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;

	for (; i < s->n && is_digit(s->p[i]); i++) {
		unsigned digit = (unsigned)(s->p[i] - '0');

		v = v > (UINT64_MAX - digit) / 10 ? UINT64_MAX : v * 10 + digit;
	}
	s->p += i;
	s->n -= i;
	*ret = v;
	return i > 0;
}

static bool take_char(struct str *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return false;
	s->p++;
	s->n--;
	return true;
}

// Units are told apart without case (RFC 9110 section 14.1).
static bool take_unit(struct str *s)
{
	static const char unit[] = "bytes";
	size_t n = sizeof(unit) - 1;

	if (s->n < n || strncasecmp(s->p, unit, n) != 0)
		return false;
	s->p += n;
	s->n -= n;
	return true;
}

enum spec {
	SPEC_RANGE,
	SPEC_OUTSIDE, // nothing of it exists
	SPEC_INVERTED,
	SPEC_MALFORMED,
};

static enum spec parse_suffix(struct str s, uint64_t size, struct range *ret)
{
	uint64_t n;

	if (!take_number(&s, &n) || s.n > 0)
		return SPEC_MALFORMED;
	if (n == 0)
		return SPEC_OUTSIDE;
	ret->length = n < size ? n : size;
	ret->offset = size - ret->length;
	return SPEC_RANGE;
}

static enum spec parse_spec(struct str s, uint64_t size, struct range *ret)
{
	uint64_t first, last = UINT64_MAX;

	if (take_char(&s, '-'))
		return parse_suffix(s, size, ret);
	if (!take_number(&s, &first) || !take_char(&s, '-'))
		return SPEC_MALFORMED;
	if (s.n > 0 && (!take_number(&s, &last) || s.n > 0))
		return SPEC_MALFORMED;
	if (first > last)
		return SPEC_INVERTED;
	if (first >= size)
		return SPEC_OUTSIDE;
	if (last >= size)
		last = size - 1;
	*ret = (struct range){first, last - first + 1};
	return SPEC_RANGE;
}

static bool overlap(const struct range *v, unsigned n)
{
	for (unsigned i = 1; i < n; i++)
		for (unsigned j = 0; j < i; j++)
			if (v[i].offset < v[j].offset + v[j].length &&
			    v[j].offset < v[i].offset + v[i].length)
				return true;
	return false;
}

enum range_verdict range_parse(struct str value, uint64_t size, struct range ret[RANGES_MAX],
			       unsigned *ret_n)
{
	unsigned asked = 0, n = 0;
	bool inverted = false;

	value = str_trim(value);
	if (!take_unit(&value) || !take_char(&value, '='))
		return RANGE_WHOLE;
	while (value.p) {
		struct str spec = str_trim(str_cut(&value, ','));
		struct range range = {0, 0};

		if (spec.n == 0)
			continue; // RFC 9110 section 5.6.1: empty elements of a list do not count
		if (++asked > RANGES_MAX)
			return RANGE_WHOLE;
		switch (parse_spec(spec, size, &range)) {
		case SPEC_RANGE:
			ret[n++] = range;
			break;
		case SPEC_INVERTED:
			inverted = true;
			break;
		case SPEC_MALFORMED:
			return RANGE_WHOLE;
		case SPEC_OUTSIDE:
			break;
		}
	}
	if (asked == 0)
		return RANGE_WHOLE;
	if (inverted || n == 0)
		return RANGE_NONE;
	// The last bytes of nothing: there is no way to write that as a part.
	if (size == 0 || overlap(ret, n))
		return RANGE_WHOLE;
	*ret_n = n;
	return RANGE_SOME;
}

// "/2048" or "/*", or nothing at all.
static bool total_valid(struct str s, uint64_t last)
{
	uint64_t total;

	if (s.n == 0)
		return true;
	if (!take_char(&s, '/'))
		return false;
	if (take_char(&s, '*'))
		return s.n == 0;
	return str_u64(s, INT64_MAX, &total) && total > last;
}

bool content_range_parse(struct str value, uint64_t *ret_first, uint64_t *ret_last)
{
	uint64_t first, last;

	value = str_trim(value);
	if (take_unit(&value) && !take_char(&value, ' '))
		return false;
	value = str_trim(value);
	if (!take_number(&value, &first) || !take_char(&value, '-') || !take_number(&value, &last))
		return false;
	if (first > last || last >= INT64_MAX || !total_valid(value, last))
		return false;
	*ret_first = first;
	*ret_last = last;
	return true;
}
