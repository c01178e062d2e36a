// SPDX-License-Identifier: Apache-2.0
// Reads a request's head, left to right: what was refused in a part of it is refused in all of it.
#include "serve/head.h"

#include <string.h>
#include <strings.h>

enum { MORE = 0, FINE = 1 }; // and -1: refused

enum {
	METHOD_LONGEST = 7, // OPTIONS, CONNECT
	HOST_LONGEST = 255,
};

enum { K = 1, T = 2, B = K | T }; // may stand in a token, in a target, in both

// clang-format off
static const unsigned char classes[256] = {
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, B, 0, K, B, B, B, B, T, T, B, B, T, B, B, T, //   ! " # $ % & ' ( ) * + , - . /
	B, B, B, B, B, B, B, B, B, B, T, T, 0, T, 0, T, // 0 to 9 : ; < = > ?
	T, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, // @ A to O
	B, B, B, B, B, B, B, B, B, B, B, T, 0, T, K, B, // P to Z [ \ ] ^ _
	K, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, // ` a to o
	B, B, B, B, B, B, B, B, B, B, B, 0, K, 0, B, 0, // p to z { | } ~ DEL
};
// clang-format on

struct parser {
	struct request *r;
	const char *p, *end; // of what may be read
	int *ret_status;
	struct err *e;

	const char *line_ends[REQUEST_HEADERS_MAX]; // the CR of each header line
	unsigned nlines;
	struct str authority; // of a target in absolute form
	struct str host;
	bool close, stay; // said by Connection
	bool has_expect;
};

static bool is(char c, unsigned char class)
{
	return classes[(unsigned char)c] & class;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool equals(struct str s, const char *lower)
{
	return s.n == strlen(lower) && strncasecmp(s.p, lower, s.n) == 0;
}

static int refuse(struct parser *s, int status, const char *why)
{
	*s->ret_status = status;
	return err_set(s->e, ERR_INPUT, "%s", why);
}

static int bad(struct parser *s, const char *why)
{
	return refuse(s, 400, why);
}

// An empty line in front of the request, as RFC 9112 section 2.2 asks for; never two.
static int skip_empty_line(struct parser *s)
{
	if (s->p == s->end)
		return MORE;
	if (*s->p != '\r')
		return FINE;
	if (s->end - s->p < 2)
		return MORE;
	if (s->p[1] != '\n')
		return bad(s, "carriage return without line feed");
	s->p += 2;
	return s->p == s->end ? MORE : FINE;
}

// CONNECT is not among them: what would follow it is no HTTP.
static bool known_method(struct str text, enum request_method *ret)
{
	static const struct {
		const char *name;
		enum request_method method;
	} methods[] = {
		{"GET", METHOD_GET},     {"HEAD", METHOD_HEAD},     {"PUT", METHOD_PUT},
		{"PATCH", METHOD_PATCH}, {"POST", METHOD_POST},     {"DELETE", METHOD_DELETE},
		{"TRACE", METHOD_OTHER}, {"OPTIONS", METHOD_OTHER},
	};

	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
		if (str_eqz(text, methods[i].name)) {
			*ret = methods[i].method;
			return true;
		}
	return false;
}

static int parse_method(struct parser *s)
{
	const char *start = s->p;

	while (s->p < s->end && is(*s->p, K) && s->p - start <= METHOD_LONGEST)
		s->p++;
	s->r->method_text = (struct str){start, (size_t)(s->p - start)};
	if (s->p - start > METHOD_LONGEST)
		return refuse(s, 501, "unknown method");
	if (s->p == s->end)
		return MORE;
	if (s->p == start && *s->p == '\x16')
		return bad(s, "this port speaks plain HTTP, and the client spoke TLS");
	if (s->p == start || *s->p != ' ')
		return bad(s, "malformed method");
	s->p++;
	if (!known_method(s->r->method_text, &s->r->method))
		return refuse(s, 501, "unknown method");
	return FINE;
}

// "[...]" with hex digits, colons and dots; the length of it, 0 when it is none.
static size_t address_literal(struct str s)
{
	size_t i = 1;

	while (i < s.n && (is_digit(s.p[i]) || strchr("abcdefABCDEF:.", s.p[i])) && s.p[i])
		i++;
	return i > 2 && i < s.n && s.p[i] == ']' ? i + 1 : 0;
}

static size_t host_name(struct str s)
{
	size_t i = 0;

	while (i < s.n && (is_digit(s.p[i]) || (s.p[i] >= 'a' && s.p[i] <= 'z') ||
			   (s.p[i] >= 'A' && s.p[i] <= 'Z') || s.p[i] == '.' || s.p[i] == '-' ||
			   s.p[i] == '_'))
		i++;
	return i;
}

// host [":" port]. Narrower than RFC 3986: nothing that means something in a quoted string or a
// URL.
static bool host_valid(struct str s)
{
	size_t n = s.n > 0 && s.p[0] == '[' ? address_literal(s) : host_name(s);
	uint64_t port;

	if (n == 0 || s.n > HOST_LONGEST)
		return false;
	if (n == s.n)
		return true;
	return s.p[n] == ':' && s.n - n <= 6 &&
	       str_u64((struct str){s.p + n + 1, s.n - n - 1}, 65535, &port);
}

static size_t scheme_length(struct str target)
{
	static const char *const schemes[] = {"http://", "https://"};

	for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
		size_t n = strlen(schemes[i]);

		if (target.n >= n && strncasecmp(target.p, schemes[i], n) == 0)
			return n;
	}
	return 0;
}

// http://host/path: as if /path had been asked for, with that host.
static int drop_authority(struct parser *s, struct str *target)
{
	size_t n = scheme_length(*target), end = n;

	if (n == 0)
		return bad(s, "malformed request target");
	while (end < target->n && target->p[end] != '/' && target->p[end] != '?')
		end++;
	s->authority = (struct str){target->p + n, end - n};
	if (!host_valid(s->authority))
		return bad(s, "invalid host in the request target");
	*target = (struct str){target->p + end, target->n - end};
	return FINE;
}

static int split_target(struct parser *s, struct str target)
{
	bool asterisk = str_eqz(target, "*") && str_eqz(s->r->method_text, "OPTIONS");

	if (target.p[0] != '/' && !asterisk && drop_authority(s, &target) < 0)
		return -1;
	s->r->query = target;
	s->r->path = str_cut(&s->r->query, '?');
	if (s->r->path.n == 0)
		s->r->path = STR("/");
	return FINE;
}

static int parse_target(struct parser *s)
{
	const char *start = s->p;

	while (s->p < s->end && is(*s->p, T))
		s->p++;
	struct str target = {start, (size_t)(s->p - start)};

	if (target.n > REQUEST_TARGET_MAX)
		return refuse(s, 414, "request target is too long");
	if (s->p == s->end)
		return MORE;
	if (target.n == 0 || *s->p != ' ')
		return bad(s, "malformed request target");
	s->p++;
	return split_target(s, target);
}

static int parse_version(struct parser *s)
{
	static const char form[] = "HTTP/0.0\r\n"; // 0 is any digit
	const char *start = s->p;

	for (const char *f = form; *f; f++, s->p++) {
		if (s->p == s->end)
			return MORE;
		if (*f == '0' ? !is_digit(*s->p) : *s->p != *f)
			return bad(s, "malformed protocol version");
	}
	if (start[5] != '1' || start[7] > '1')
		return refuse(s, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
	s->r->http10 = start[7] == '0';
	return FINE;
}

// Only looks for line ends, so that a head that comes byte by byte costs little each time.
static int find_lines(struct parser *s, const char *at)
{
	while (true) {
		const char *lf = memchr(at, '\n', (size_t)(s->end - at));

		if (!lf)
			return MORE;
		if (lf[-1] != '\r')
			return bad(s, "line feed without carriage return");
		if (lf - 1 == at)
			return FINE;
		if (s->nlines == REQUEST_HEADERS_MAX)
			return refuse(s, 431, "too many header fields");
		s->line_ends[s->nlines++] = lf - 1;
		at = lf + 1;
	}
}

// Blanks between a value that frames the body and its line end: some refuse a tab there, some do
// not.
static bool blank_behind(struct str value)
{
	return value.p[value.n] != '\r';
}

// One length, of digits only. A leading zero reads as octal somewhere.
static int note_length(struct parser *s, struct str value)
{
	if (s->r->has_length)
		return bad(s, "several Content-Length fields");
	if (blank_behind(value) || (value.n > 1 && value.p[0] == '0') ||
	    !str_u64(value, INT64_MAX, &s->r->length))
		return bad(s, "malformed Content-Length");
	s->r->has_length = true;
	return FINE;
}

static int note_coding(struct parser *s, struct str value)
{
	if (s->r->chunked)
		return bad(s, "several Transfer-Encoding fields");
	if (blank_behind(value) || !str_eqz(value, "chunked"))
		return bad(s, "the only transfer coding understood is 'chunked'");
	s->r->chunked = true;
	return FINE;
}

static int note_host(struct parser *s, struct str value)
{
	if (s->host.p)
		return bad(s, "several Host fields");
	if (!host_valid(value))
		return bad(s, "invalid Host");
	s->host = value;
	return FINE;
}

static int note_connection(struct parser *s, struct str value)
{
	while (value.p) {
		struct str option = str_trim(str_cut(&value, ','));

		s->close |= equals(option, "close");
		s->stay |= equals(option, "keep-alive");
	}
	return FINE;
}

static int note_expect(struct parser *s, struct str value)
{
	if (!equals(value, "100-continue"))
		return refuse(s, 417, "unknown expectation");
	s->has_expect = true;
	return FINE;
}

// The fields that say where this request ends and what becomes of the connection.
static int note_field(struct parser *s, const struct request_header *h)
{
	switch (h->name.n) {
	case 4:
		return equals(h->name, "host") ? note_host(s, h->value) : FINE;
	case 6:
		return equals(h->name, "expect") ? note_expect(s, h->value) : FINE;
	case 10:
		return equals(h->name, "connection") ? note_connection(s, h->value) : FINE;
	case 14:
		return equals(h->name, "content-length") ? note_length(s, h->value) : FINE;
	case 17:
		return equals(h->name, "transfer-encoding") ? note_coding(s, h->value) : FINE;
	default:
		return FINE;
	}
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

// Is one of these eight bytes below a blank, or DEL? Tabs are, too.
static bool may_have_control(const char *p)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), high = ones * 0x80;
	uint64_t w, del;

	memcpy(&w, p, sizeof(w));
	del = w ^ ones * 0x7f;
	return (((w - ones * ' ') & ~w) | ((del - ones) & ~del)) & high;
}

static bool value_valid(struct str value)
{
	size_t i = 0;

	// Most of a head is values, and most of their bytes are plain.
	while (value.n - i >= 8 && !may_have_control(value.p + i))
		i += 8;
	for (; i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];

		if ((c < ' ' && c != '\t') || c == '\x7f')
			return false;
	}
	return true;
}

static int parse_field(struct parser *s, const char *end)
{
	struct request_header *h = &s->r->headers[s->r->nheaders++];
	const char *start = s->p;

	while (s->p < end && is(*s->p, K))
		s->p++;
	if (is_blank(*start))
		return bad(s, "folded header field");
	if (s->p == start || s->p == end || *s->p != ':')
		return bad(s, "malformed header field name");
	h->name = (struct str){start, (size_t)(s->p - start)};
	for (s->p++; s->p < end && is_blank(*s->p); s->p++)
		;
	for (start = end; start > s->p && is_blank(start[-1]); start--)
		;
	h->value = (struct str){s->p, (size_t)(start - s->p)};
	if (!value_valid(h->value))
		return bad(s, "control character in a header field");
	s->p = end + 2;
	return note_field(s, h);
}

// What only all fields together tell.
static int conclude(struct parser *s)
{
	struct request *r = s->r;

	if (r->chunked && r->has_length)
		return bad(s, "both Content-Length and Transfer-Encoding");
	if (r->chunked && r->http10)
		return bad(s, "Transfer-Encoding in an HTTP/1.0 request");
	if (!s->host.p && !r->http10)
		return bad(s, "missing Host");
	if (s->authority.p && s->host.p &&
	    (s->authority.n != s->host.n || strncasecmp(s->authority.p, s->host.p, s->host.n) != 0))
		return bad(s, "Host is not the one of the request target");
	r->keep_alive = !s->close && (!r->http10 || s->stay);
	r->expect_continue =
		s->has_expect && !r->http10 && (r->chunked || (r->has_length && r->length > 0));
	return FINE;
}

static int parse(struct parser *s)
{
	int got = skip_empty_line(s);

	if (got == FINE)
		got = parse_method(s);
	if (got == FINE)
		got = parse_target(s);
	if (got == FINE)
		got = parse_version(s);
	if (got == FINE)
		got = find_lines(s, s->p);
	for (unsigned i = 0; got == FINE && i < s->nlines; i++)
		got = parse_field(s, s->line_ends[i]);
	return got == FINE ? conclude(s) : got;
}

int head_parse(struct request *ret, const char *data, size_t n, int *ret_status, struct err *e)
{
	size_t limit = n < REQUEST_HEAD_MAX ? n : REQUEST_HEAD_MAX;
	struct parser s;

	// Not the arrays: they are written before they are read.
	s.r = ret;
	s.p = data;
	s.end = data + limit;
	s.ret_status = ret_status;
	s.e = e;
	s.nlines = 0;
	s.authority = s.host = (struct str){NULL, 0};
	s.close = s.stay = s.has_expect = false;
	ret->nheaders = 0;
	ret->has_length = ret->chunked = false;
	ret->length = 0;

	int got = parse(&s);

	if (got == MORE && limit == REQUEST_HEAD_MAX)
		return refuse(&s, 431, "request head is too large");
	return got == FINE ? (int)(s.p + 2 - data) : got;
}
