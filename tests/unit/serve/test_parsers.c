// SPDX-License-Identifier: Apache-2.0
// Our reading of requests beside that of http_parser and llhttp: the same where all accept, and
// never one of two readings where they differ.
#include <stdio.h>

#ifdef HAVE_PEERS

#include "exact.h"
#include "peers.h"
#include "serve/chunked.h"
#include "serve/head.h"
#include "tap.h"
#include "util/cleanup.h"

#define HOST "Host: r.io\r\n"
#define PUT  "PUT /x HTTP/1.1\r\n" HOST
#define TE   "Transfer-Encoding: chunked\r\n"

static void refused(struct reading *ret, const struct err *e)
{
	ret->refused = true;
	snprintf(ret->why, sizeof(ret->why), "%.99s", e->text);
}

static void read_chunks(struct reading *ret, const char *data, size_t n)
{
	struct chunked c = {0};
	struct err e;
	size_t run;

	while (!c.done && ret->used < n) {
		ptrdiff_t used = chunked_next(&c, data + ret->used, n - ret->used, &run, &e);

		if (used < 0) {
			refused(ret, &e);
			return;
		}
		ret->used += (size_t)used;
		buf_put(&ret->body, data + ret->used - run, run);
	}
	ret->complete = c.done;
}

static void read_length(struct reading *ret, const char *data, size_t n, uint64_t length)
{
	size_t run = length < n - ret->used ? (size_t)length : n - ret->used;

	buf_put(&ret->body, data + ret->used, run);
	ret->used += run;
	ret->complete = run == length;
}

static void read_as_ours(struct reading *ret, const char *bytes, size_t n)
{
	auto_free char *data = exact_copy(bytes, n);
	struct request r;
	struct err e = {0};
	int status = 0, head = head_parse(&r, data, n, &status, &e);

	if (head < 0)
		refused(ret, &e);
	if (head <= 0)
		return;
	ret->used = (size_t)head;
	buf_put(&ret->method, r.method_text.p, r.method_text.n);
	buf_put(&ret->target, r.path.p, r.path.n);
	if (r.query.p)
		buf_printf(&ret->target, "?%.*s", STR_FMT(r.query));
	if (r.chunked) {
		ret->framing = FRAMING_CHUNKED;
		read_chunks(ret, data, n);
	} else if (r.has_length) {
		ret->framing = FRAMING_LENGTH;
		read_length(ret, data, n, r.length);
	} else {
		ret->complete = true;
	}
}

static const struct {
	const char *name;
	void (*read)(struct reading *ret, const char *data, size_t n);
} peers[] = {{"http_parser", read_as_http_parser}, {"llhttp", read_as_llhttp}};

static bool same_bytes(const struct buf *a, const struct buf *b)
{
	return str_eq(buf_str(a), buf_str(b));
}

// Our target is without the scheme and authority of an absolute one, and begins with a slash.
static bool same_target(const struct buf *ours, const struct buf *theirs)
{
	struct str end = buf_str(ours);

	if (str_ends(buf_str(theirs), end))
		return true;
	return end.n > 0 && end.p[0] == '/' &&
	       str_ends(buf_str(theirs), (struct str){end.p + 1, end.n - 1});
}

TEST(good_requests_are_read_alike_by_all_three)
{
	static const struct {
		const char *request, *body;
	} rows[] = {
		{"GET /v2/ HTTP/1.1\r\n" HOST "\r\n", ""},
		{"GET /v2/ HTTP/1.0\r\n\r\n", ""},
		{"HEAD /v2/a/blobs/sha256:00 HTTP/1.1\r\n" HOST "\r\n", ""},
		{"GET /v2/a/tags/list?n=5&last=v1 HTTP/1.1\r\n" HOST "Accept: */*\r\n\r\n", ""},
		{"GET http://r.io/v2/?n=1 HTTP/1.1\r\n" HOST "\r\n", ""},
		{"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", ""},
		{"\r\nGET / HTTP/1.1\r\n" HOST "\r\n", ""},
		{"DELETE /v2/a/manifests/v1 HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", ""},
		{"POST /v2/a/blobs/uploads/?mount=sha256%3A00&from=b%2Fc HTTP/1.1\r\n" HOST
		 "Content-Length: 0\r\n\r\n",
		 ""},
		{"PUT /v2/a/manifests/v1 HTTP/1.1\r\n" HOST
		 "Content-Length: 2\r\nContent-Type: application/json\r\n\r\n{}",
		 "{}"},
		{"PATCH /v2/a/blobs/uploads/1 HTTP/1.1\r\n" HOST
		 "Content-Range: 0-4\r\ncontent-length:5\r\n\r\nhelloGET /",
		 "hello"},
		{"PATCH /x HTTP/1.1\r\n" HOST TE "\r\n5\r\nhello\r\n0\r\n\r\nGET /", "hello"},
		{"PATCH /x HTTP/1.1\r\n" HOST TE "Expect: 100-continue\r\n\r\n"
		 "00005\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n",
		 "hello0123456789"},
		{PUT TE "\r\n5;name=value\r\nhello\r\n0;x\r\n\r\n", "hello"},
		{PUT "User-Agent: caf\xe9\tx\r\nX:\r\nContent-Length: 1\r\n\r\nz", "z"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_reading struct reading ours = READING_INIT;
		size_t n = strlen(rows[i].request);

		read_as_ours(&ours, rows[i].request, n);
		CHECK(ours.complete);
		CHECK_STR(ours.body.p, rows[i].body);
		for (size_t p = 0; p < ARRAY_SIZE(peers); p++) {
			auto_reading struct reading theirs = READING_INIT;

			peers[p].read(&theirs, rows[i].request, n);
			CHECK(theirs.complete);
			CHECK_STR(theirs.method.p, ours.method.p);
			CHECK(same_target(&ours.target, &theirs.target));
			CHECK_INT(theirs.framing, ours.framing);
			CHECK_STR(theirs.body.p, ours.body.p);
			if (!theirs.complete)
				printf("# row %zu: %s says %s\n", i, peers[p].name, theirs.why);
		}
	}
}

// What a parser makes of a request.
enum verdict { REFUSED, WAITS, COMPLETE };

struct opinion {
	enum verdict verdict;
	const char *body;
};
#define REFUSES             \
	{                   \
		REFUSED, "" \
	}
#define READS(body)            \
	{                      \
		COMPLETE, body \
	}

static enum verdict verdict_of(const struct reading *r)
{
	return r->refused ? REFUSED : r->complete ? COMPLETE : WAITS;
}

// The second and third columns are what http_parser 2.9.4 and llhttp 8.1.0 say, with the body that
// they read. We refuse all of these, whatever the others say.
static const struct smuggled {
	const char *request;
	struct opinion peers[2];
} smuggled[] = {
	// A length beside chunks: RFC 9112 section 6.1 lets the chunks win
	{PUT "Content-Length: 3\r\n" TE "\r\n0\r\n\r\nGET /", {REFUSES, REFUSES}},
	{PUT TE "Content-Length: 3\r\n\r\n0\r\n\r\nGET /", {REFUSES, REFUSES}},
	{PUT "Content-Length: 0\r\n" TE "\r\n5\r\nhello\r\n0\r\n\r\n", {REFUSES, REFUSES}},
	// Two lengths
	{PUT "Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello", {REFUSES, REFUSES}},
	{PUT "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", {REFUSES, REFUSES}},
	{PUT "Content-Length: 5, 5\r\n\r\nhello", {REFUSES, REFUSES}},
	// Lengths that are numbers to some
	{PUT "Content-Length: +5\r\n\r\nhello", {REFUSES, REFUSES}},
	{PUT "Content-Length: 0x5\r\n\r\nhello", {REFUSES, REFUSES}},
	{PUT "Content-Length: 05\r\n\r\nhello", {READS("hello"), READS("hello")}},
	{PUT "Content-Length: 5 0\r\n\r\nhello", {REFUSES, REFUSES}},
	{PUT "Content-Length: 5\t\r\n\r\nhello", {REFUSES, REFUSES}},
	{PUT "Content-Length:\r\n\r\nhello", {REFUSES, REFUSES}},
	{PUT "Content-Length: 18446744073709551621\r\n\r\nhello", {REFUSES, REFUSES}},
	// Codings other than exactly one "chunked"
	{PUT "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", {READS(""), READS("")}},
	{PUT "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", {REFUSES, REFUSES}},
	{PUT "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", {REFUSES, REFUSES}},
	{PUT "Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", {REFUSES, REFUSES}},
	{PUT "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", {REFUSES, REFUSES}},
	{PUT "Transfer-Encoding: cHuNkEd\r\n\r\n0\r\n\r\n", {READS(""), READS("")}},
	{PUT "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", {REFUSES, REFUSES}},
	{PUT "Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n", {REFUSES, REFUSES}},
	{PUT "Transfer-Encoding:\x0b"
	     "chunked\r\n\r\n0\r\n\r\n",
	 {REFUSES, REFUSES}},
	{PUT TE TE "\r\n0\r\n\r\n", {READS(""), REFUSES}},
	{PUT TE "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n", {REFUSES, REFUSES}},
	{"PUT /x HTTP/1.0\r\n" HOST TE "\r\n5\r\nhello\r\n0\r\n\r\n",
	 {READS("hello"), READS("hello")}},
	// Names that are something else to some
	{PUT "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", {READS(""), REFUSES}},
	{PUT "Content-Length : 5\r\n\r\nhello", {READS("hello"), REFUSES}},
	{PUT " Content-Length: 5\r\n\r\nhello", {READS(""), READS("")}},
	{PUT "X\r\nContent-Length: 5\r\n\r\nhello", {REFUSES, REFUSES}},
	{PUT ": x\r\nContent-Length: 5\r\n\r\nhello", {REFUSES, READS("hello")}},
	// Lines that go on, or end early
	{PUT "X: 1\r\n Content-Length: 5\r\n\r\nhello", {READS(""), READS("")}},
	{PUT "Content-Length:\r\n 5\r\n\r\nhello", {READS("hello"), READS("hello")}},
	{PUT "Transfer-Encoding:\r\n\tchunked\r\n\r\n0\r\n\r\n", {READS(""), READS("")}},
	{PUT "X: 1\nContent-Length: 5\r\n\r\nhello", {READS("hello"), REFUSES}},
	{PUT "X: 1\n\nhello", {READS(""), REFUSES}},
	{PUT "X: 1\rContent-Length: 5\r\n\r\nhello", {REFUSES, REFUSES}},
	{PUT "Content-Length: 5\r\n\nhello", {READS("hello"), READS("hello")}},
	{"PUT /x HTTP/1.1\n" HOST "Content-Length: 5\r\n\r\nhello",
	 {READS("hello"), READS("hello")}},
	// Request lines
	{"GET /x\r\n\r\n", {READS(""), READS("")}},
	{"GET /x HTTP/0.9\r\n" HOST "\r\n", {READS(""), READS("")}},
	{"GET /x HTTP/2.0\r\n" HOST "\r\n", {READS(""), READS("")}},
	{"GET  /x HTTP/1.1\r\n" HOST "\r\n", {READS(""), READS("")}},
	{"GET /x  HTTP/1.1\r\n" HOST "\r\n", {READS(""), READS("")}},
	{"GET /x HTTP/1.1 \r\n" HOST "\r\n", {REFUSES, REFUSES}},
	{"GET\t/x HTTP/1.1\r\n" HOST "\r\n", {REFUSES, REFUSES}},
	{"\r\n\r\nGET /x HTTP/1.1\r\n" HOST "\r\n", {READS(""), READS("")}},
	{"\n\nGET /x HTTP/1.1\r\n" HOST "\r\n", {READS(""), READS("")}},
	{"GET /x#y HTTP/1.1\r\n" HOST "\r\n", {READS(""), READS("")}},
	{"GET x HTTP/1.1\r\n" HOST "\r\n", {REFUSES, REFUSES}},
	{"CONNECT r.io:443 HTTP/1.1\r\n" HOST "\r\n", {READS(""), READS("")}},
	// Whom the request is for
	{"GET /x HTTP/1.1\r\n\r\n", {READS(""), READS("")}},
	{"GET /x HTTP/1.1\r\n" HOST "Host: b\r\n\r\n", {READS(""), READS("")}},
	{"GET http://a/ HTTP/1.1\r\n" HOST "\r\n", {READS(""), READS("")}},
	{"GET /x HTTP/1.1\r\nHost: a b\r\n\r\n", {READS(""), READS("")}},
	{"GET /x HTTP/1.1\r\nHost: a/b\r\n\r\n", {READS(""), READS("")}},
	// Chunks
	{PUT TE "\r\n5 \r\nhello\r\n0\r\n\r\n", {READS("hello"), REFUSES}},
	{PUT TE "\r\n5\nhello\r\n0\r\n\r\n", {REFUSES, REFUSES}},
	{PUT TE "\r\n5\r\nhello\n0\r\n\r\n", {REFUSES, REFUSES}},
	{PUT TE "\r\n5\r\nhelloX0\r\n\r\n", {REFUSES, REFUSES}},
	{PUT TE "\r\n5\r\nhello!\r\n0\r\n\r\n", {REFUSES, REFUSES}},
	{PUT TE "\r\n0x5\r\nhello\r\n0\r\n\r\n", {REFUSES, REFUSES}},
	{PUT TE "\r\n-1\r\nhello\r\n0\r\n\r\n", {REFUSES, REFUSES}},
	{PUT TE "\r\n\r\n5\r\nhello\r\n0\r\n\r\n", {REFUSES, REFUSES}},
	{PUT TE "\r\n00000000000000005\r\nhello\r\n0\r\n\r\n", {READS("hello"), READS("hello")}},
	{PUT TE "\r\n10000000000000005\r\nhello\r\n0\r\n\r\n", {REFUSES, REFUSES}},
	{PUT TE "\r\n5;a\nb\r\nhello\r\n0\r\n\r\n", {READS("hello"), REFUSES}},
	{PUT TE "\r\n5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n", {READS("hello"), READS("hello")}},
	{PUT TE "\r\n5; a=b\r\nhello\r\n0\r\n\r\n", {READS("hello"), REFUSES}},
	{PUT TE "\r\n5;\r\nhello\r\n0\r\n\r\n", {READS("hello"), REFUSES}},
	// What follows the last chunk
	{PUT TE "\r\n0\r\nContent-Length: 5\r\n\r\nhello", {READS(""), READS("")}},
	{PUT TE "\r\n0\r\n" TE "\r\n0\r\n\r\n", {READS(""), REFUSES}},
	{PUT TE "\r\n0\r\nX : 1\r\n\r\n", {READS(""), REFUSES}},
	{PUT TE "\r\n0\r\nX: 1\n\r\n", {READS(""), REFUSES}},
	{PUT TE "\r\n0\r\n\n", {READS(""), READS("")}},
};

static void check_peer(size_t row, size_t peer)
{
	const struct opinion *want = &smuggled[row].peers[peer];
	const char *request = smuggled[row].request;
	auto_reading struct reading r = READING_INIT;

	peers[peer].read(&r, request, strlen(request));
	CHECK_INT(verdict_of(&r), want->verdict);
	CHECK(want->verdict != COMPLETE || str_eqz(buf_str(&r.body), want->body));
	if (verdict_of(&r) != want->verdict)
		printf("# row %zu, %s: %s\n", row, peers[peer].name, r.why);
}

TEST(requests_that_parsers_read_differently_are_refused)
{
	for (size_t i = 0; i < ARRAY_SIZE(smuggled); i++) {
		auto_reading struct reading ours = READING_INIT;

		read_as_ours(&ours, smuggled[i].request, strlen(smuggled[i].request));
		CHECK(ours.refused);
		if (!ours.refused)
			printf("# row %zu\n", i);
		for (size_t p = 0; p < ARRAY_SIZE(peers); p++)
			check_peer(i, p);
	}
}

enum { MUTANTS = 40000, MUTANT_MAX = 2048 };

// xorshift64*: the same mutants in every run.
static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * UINT64_C(2685821657736338717);
}

static size_t below(uint64_t *seed, size_t n)
{
	return (size_t)(next(seed) >> 33) % n;
}

static const char *const seeds[] = {
	"GET /v2/a/tags/list?n=5 HTTP/1.1\r\n" HOST "Accept: */*\r\n\r\n",
	"GET http://r.io/v2/ HTTP/1.1\r\n" HOST "Connection: close, te\r\n\r\n",
	"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	"PUT /v2/a/manifests/v1 HTTP/1.1\r\n" HOST "Content-Length: 7\r\n\r\n{\"a\":1}GET /",
	"PATCH /v2/a/blobs/uploads/1 HTTP/1.1\r\n" HOST TE
	"\r\n5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\n\r\n",
	"POST /x HTTP/1.1\r\n" HOST TE "Expect: 100-continue\r\n\r\na\r\n0123456789\r\n"
	"0\r\nX-Sum: 1\r\n\r\nGET / HTTP/1.1\r\n",
	"DELETE /v2/a/blobs/sha256:00 HTTP/1.1\r\n" HOST "Upgrade: x\r\nX: y\r\n\r\n",
};

static const char *const pieces[] = {
	"\r\n",
	"\n",
	"\r",
	" ",
	"\t",
	";",
	",",
	":",
	"=",
	"0",
	"1",
	"5",
	"f",
	"%",
	"\"",
	"\x01",
	"\x7f",
	"\x80",
	"0x",
	"+",
	"-",
	"chunked",
	"identity",
	"Content-Length: 5\r\n",
	"Content-Length: 0\r\n",
	"content-length:3\r\n",
	TE,
	"Transfer-Encoding: gzip\r\n",
	HOST,
	"Connection: upgrade\r\n",
	"Connection: close\r\n",
	"Upgrade: h2c\r\n",
	"X: 1\r\n 2\r\n",
	"0\r\n\r\n",
	"5\r\nhello\r\n",
	"HTTP/1.1",
	"HTTP/1.0",
	"GET ",
	"CONNECT ",
	"Expect: 100-continue\r\n",
	";a=\"b;c\"",
	"\r\n\r\n",
	"Proxy-Connection: close\r\n",
};

static size_t splice(char *at, size_t n, size_t from, size_t cut, const char *piece, size_t length)
{
	if (n - cut + length > MUTANT_MAX)
		return n;
	memmove(at + from + length, at + from + cut, n - from - cut);
	memcpy(at + from, piece, length);
	return n - cut + length;
}

static size_t mutate(char *at, size_t n, uint64_t *seed)
{
	size_t from = below(seed, n), rest = n - from, run = below(seed, rest < 20 ? rest : 20);
	const char *piece = pieces[below(seed, ARRAY_SIZE(pieces))];
	char byte = (char)next(seed), copy[20];

	switch (below(seed, 6)) {
	case 0:
		return splice(at, n, from, run, "", 0);
	case 1:
		return splice(at, n, from, 1, &byte, 1);
	case 2:
		return splice(at, n, from, 0, piece, strlen(piece));
	case 3:
		return splice(at, n, from, run, piece, strlen(piece));
	case 4:
		memcpy(copy, at + from, run);
		return splice(at, n, below(seed, n), 0, copy, run);
	default: // a whole line, in front of another one
		for (; from < n && at[from] != '\n'; from++)
			;
		return from == n ? n : splice(at, n, from + 1, 0, piece, strlen(piece));
	}
}

static void say(const char *why, const char *bytes, size_t n)
{
	printf("# %s: ", why);
	for (size_t i = 0; i < n; i++)
		printf(bytes[i] >= ' ' && bytes[i] < '\x7f' ? "%c" : "\\x%02x",
		       (unsigned char)bytes[i]);
	printf("\n");
}

// What we accept llhttp accepts as well, and finds the same request in it.
static bool agrees(const struct reading *ours, const char *bytes, size_t n)
{
	auto_reading struct reading theirs = READING_INIT;

	read_as_llhttp(&theirs, bytes, n);
	if (theirs.refused) {
		say(theirs.why, bytes, n);
		return false;
	}
	if (theirs.complete != ours->complete || theirs.framing != ours->framing ||
	    (ours->complete && theirs.used != ours->used) ||
	    !same_bytes(&theirs.method, &ours->method) ||
	    !same_target(&ours->target, &theirs.target) || !same_bytes(&theirs.body, &ours->body)) {
		say("read differently", bytes, n);
		return false;
	}
	return true;
}

TEST(whatever_we_accept_llhttp_reads_in_the_same_way)
{
	char bytes[MUTANT_MAX];
	uint64_t seed = 20261122;
	size_t accepted = 0, with_body = 0, differ = 0;

	for (size_t i = 0; i < MUTANTS; i++) {
		auto_reading struct reading ours = READING_INIT;
		const char *from = seeds[below(&seed, ARRAY_SIZE(seeds))];
		size_t n = strlen(from);

		memcpy(bytes, from, n);
		for (size_t k = 1 + below(&seed, 4); k > 0 && n > 0; k--)
			n = mutate(bytes, n, &seed);
		read_as_ours(&ours, bytes, n);
		if (ours.refused || ours.method.n == 0)
			continue;
		accepted++;
		with_body += ours.body.n > 0;
		differ += !agrees(&ours, bytes, n);
	}
	CHECK_INT(differ, 0);
	// The property says something only if enough of them were accepted.
	CHECK(accepted > MUTANTS / 10);
	CHECK(with_body > MUTANTS / 40);
	printf("# %d mutants, %zu accepted, %zu with a body\n", MUTANTS, accepted, with_body);
}

int main(void)
{
	return tap_main();
}

#else

int main(void)
{
	printf("1..0 # SKIP no http_parser.h (libhttp-parser-dev) or no C source of llhttp "
	       "(node-llhttp)\n");
	return 0;
}

#endif
