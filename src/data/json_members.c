// SPDX-License-Identifier: Apache-2.0
// Documents of which little is wanted: what is not wanted is only checked, which is ten times as
// fast as keeping it. Whatever seems wrong here goes to the parser, which has the last word.
#include <string.h>
#include <strings.h>

#include "data/json.h"

enum { DEPTH_MAX = 128 };

struct walk {
	const char *end;
	size_t values, values_max;
	unsigned depth, depth_max;
	char open[DEPTH_MAX]; // the brackets around the current place
};

// All that follow return where they stopped, or NULL: not JSON, or too much of it.

static const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
		p++;
	return p;
}

// ---- strings

static int hex4(const char *p, const char *end)
{
	int v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = hex_value(p[i]);

		if (digit < 0)
			return -1;
		v = v * 16 + digit;
	}
	return v;
}

// Behind "\u". Surrogates come in pairs, and NUL is refused.
static const char *skip_unicode(const char *p, const char *end)
{
	int v = hex4(p, end);

	if (v <= 0 || (v >= 0xdc00 && v <= 0xdfff))
		return NULL;
	p += 4;
	if (v < 0xd800 || v > 0xdbff)
		return p;
	if (end - p < 2 || p[0] != '\\' || p[1] != 'u')
		return NULL;
	v = hex4(p + 2, end);
	return v >= 0xdc00 && v <= 0xdfff ? p + 6 : NULL;
}

static const char *skip_escape(const char *p, const char *end)
{
	if (++p == end)
		return NULL;
	if (*p == 'u')
		return skip_unicode(p + 1, end);
	return memchr("\"\\/bfnrt", *p, 8) ? p + 1 : NULL;
}

// A character of several bytes: the shortest form only, no surrogates, nothing above U+10FFFF.
static const char *skip_utf8(const char *p, const char *end)
{
	unsigned char lead = (unsigned char)p[0];
	int n = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
	unsigned low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
	unsigned high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;

	if (lead < 0xc2 || lead > 0xf4 || end - p < n)
		return NULL;
	if ((unsigned char)p[1] < low || (unsigned char)p[1] > high)
		return NULL;
	for (int i = 2; i < n; i++)
		if (((unsigned char)p[i] & 0xc0) != 0x80)
			return NULL;
	return p + n;
}

// Is each of 8 bytes printable ASCII, neither quote nor backslash? Says no too often, never yes.
static bool all_plain(const char *p)
{
	const uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
	uint64_t x, quotes, slashes;

	memcpy(&x, p, sizeof(x));
	quotes = x ^ (ones * '"');
	slashes = x ^ (ones * '\\');
	return !((x | (x - ones * ' ') | (quotes - ones) | (slashes - ones)) & tops);
}

static bool is_plain(char c)
{
	return (unsigned char)c >= ' ' && (unsigned char)c < 0x80 && c != '"' && c != '\\';
}

// P is behind the opening quote.
static const char *skip_string(const char *p, const char *end)
{
	while (p) {
		while (end - p >= 8 && all_plain(p))
			p += 8;
		while (p < end && is_plain(*p))
			p++;
		if (p == end)
			return NULL;
		if (*p == '"')
			return p + 1;
		if (*p == '\\')
			p = skip_escape(p, end);
		else
			p = skip_utf8(p, end); // or a control character, which is none
	}
	return NULL;
}

// ---- values

static const char *skip_digits(const char *p, const char *end)
{
	const char *from = p;

	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p > from ? p : NULL;
}

static const char *skip_number(const char *p, const char *end)
{
	if (*p == '-')
		p++;
	if (p < end && *p == '0')
		p++;
	else
		p = skip_digits(p, end);
	if (p && p < end && *p == '.')
		p = skip_digits(p + 1, end);
	if (p && p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		p = skip_digits(p, end);
	}
	return p;
}

static const char *skip_word(const char *p, const char *end, struct str word)
{
	if ((size_t)(end - p) < word.n || memcmp(p, word.p, word.n) != 0)
		return NULL;
	return p + word.n;
}

static const char *skip_scalar(const char *p, const char *end)
{
	switch (*p) {
	case '"':
		return skip_string(p + 1, end);
	case 't':
		return skip_word(p, end, STR("true"));
	case 'f':
		return skip_word(p, end, STR("false"));
	case 'n':
		return skip_word(p, end, STR("null"));
	default:
		return skip_number(p, end);
	}
}

// A name and its colon.
static const char *skip_name(const char *p, const char *end)
{
	p = skip_blanks(p, end);
	if (p == end || *p != '"')
		return NULL;
	p = skip_string(p + 1, end);
	if (!p)
		return NULL;
	p = skip_blanks(p, end);
	return p < end && *p == ':' ? p + 1 : NULL;
}

static bool count(struct walk *w)
{
	return ++w->values <= w->values_max;
}

static bool in_object(const struct walk *w)
{
	return w->open[w->depth - 1] == '{';
}

// Closes what ends here. Stops before the next value of what is still open, or at the very end.
static const char *after_value(struct walk *w, unsigned outside, const char *p)
{
	while (w->depth > outside) {
		p = skip_blanks(p, w->end);
		if (p == w->end)
			return NULL;
		char c = *p++;

		if (c == ',')
			return count(w) ? in_object(w) ? skip_name(p, w->end) : p : NULL;
		if (c != (in_object(w) ? '}' : ']'))
			return NULL;
		w->depth--;
	}
	return p;
}

// Behind '{' or '[': stops as after_value does.
static const char *enter(struct walk *w, unsigned outside, const char *p)
{
	char c = *p++;

	if (w->depth >= w->depth_max || !count(w))
		return NULL;
	w->open[w->depth++] = c;
	p = skip_blanks(p, w->end);
	if (p == w->end)
		return NULL;
	if (*p == (c == '{' ? '}' : ']'))
		return after_value(w, outside, p);
	return c == '{' ? skip_name(p, w->end) : p;
}

static const char *skip_value(struct walk *w, const char *p)
{
	unsigned outside = w->depth;

	do {
		p = skip_blanks(p, w->end);
		if (p == w->end)
			return NULL;
		if (*p == '{' || *p == '[') {
			p = enter(w, outside, p);
			continue;
		}
		p = skip_scalar(p, w->end);
		if (p)
			p = after_value(w, outside, p);
	} while (p && w->depth > outside);
	return p;
}

// ---- the document

// KEY is as it is written, quotes included. What is written with escapes may be anything.
static bool is_wanted(struct str key, const char *const *names, size_t n)
{
	if (memchr(key.p, '\\', key.n))
		return true;
	for (size_t i = 0; i < n; i++)
		if (strlen(names[i]) == key.n - 2 &&
		    strncasecmp(key.p + 1, names[i], key.n - 2) == 0)
			return true;
	return false;
}

// One member of the document; what is wanted of it goes to RET.
static const char *take_member(struct walk *w, const char *p, const char *const *names, size_t n,
			       struct buf *ret)
{
	const char *key = skip_blanks(p, w->end), *value = skip_name(key, w->end);

	if (!value)
		return NULL;
	const char *end = skip_value(w, value), *quote = memrchr(key, '"', (size_t)(value - key));

	if (!end || !is_wanted((struct str){key, (size_t)(quote + 1 - key)}, names, n))
		return end;
	buf_putc(ret, ret->n > 0 ? ',' : '{');
	buf_put(ret, key, (size_t)(end - key));
	return end;
}

// The members of the one object that BYTES are. False: they are something else.
static bool take_members(struct walk *w, struct str bytes, const char *const *names, size_t n,
			 struct buf *ret)
{
	const char *p = skip_blanks(bytes.p, w->end);

	if (p == w->end || *p != '{')
		return false;
	w->open[w->depth++] = *p++;
	w->values++;
	p = skip_blanks(p, w->end);
	if (p == w->end || *p == '}')
		return false;
	do {
		p = take_member(w, p, names, n, ret);
		p = p ? skip_blanks(p, w->end) : NULL;
		if (!p || p == w->end)
			return false;
	} while (*p++ == ',' && count(w));
	if (p[-1] != '}' || skip_blanks(p, w->end) != w->end)
		return false;
	buf_puts(ret, ret->n > 0 ? "}" : "{}");
	return true;
}

int json_parse_members(struct json_doc *ret, struct str bytes, struct json_limits limits,
		       const char *const *names, size_t n, struct err *e)
{
	auto_buf struct buf part = BUF_INIT(bytes.n + 2);
	struct walk w = {
		.end = bytes.p + bytes.n,
		.values = 1,
		.values_max = limits.values,
		.depth_max = limits.depth < DEPTH_MAX ? limits.depth : DEPTH_MAX,
	};
	struct err ignored;

	if (bytes.n > 0 && bytes.n <= limits.bytes && w.depth_max > 0 &&
	    take_members(&w, bytes, names, n, &part) &&
	    json_parse(ret, buf_str(&part), limits, 0, &ignored) == 0)
		return 0;
	return json_parse(ret, bytes, limits, 0, e);
}
