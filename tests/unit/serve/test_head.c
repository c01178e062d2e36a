// SPDX-License-Identifier: Apache-2.0
// Request heads: RFC 9112 sections 2 to 6, and what is refused so that nobody can read it
// otherwise.
#include "serve/head.h"

#include "exact.h"
#include "tap.h"
#include "util/cleanup.h"

#include <stdio.h>

#define HOST "Host: r.io\r\n"
#define GET  "GET /v2/ HTTP/1.1\r\n"

struct parsed {
	struct request r;
	int got, status;
	struct err e;
	char *bytes; // what r borrows from
};

static void parsed_release(struct parsed *p)
{
	free(p->bytes);
}
#define auto_parsed __attribute__((cleanup(parsed_release)))

static void parse_bytes(struct parsed *p, const char *head, size_t n)
{
	free(p->bytes);
	*p = (struct parsed){.bytes = exact_copy(head, n)};
	p->got = head_parse(&p->r, p->bytes, n, &p->status, &p->e);
}

static void parse(struct parsed *p, const char *head)
{
	parse_bytes(p, head, strlen(head));
}

static bool same(struct str got, const char *want)
{
	if (str_eqz(got, want))
		return true;
	printf("# got '%.*s', want '%s'\n", STR_FMT(got), want);
	return false;
}

TEST(a_pull_by_containers_image_is_understood)
{
	static const char head[] = "GET /v2/org/app/manifests/v1?ns=quay.io HTTP/1.1\r\n"
				   "Host: 127.0.0.1:5000\r\n"
				   "User-Agent: containers/5.29.2 (github.com/containers/image)\r\n"
				   "Accept: application/vnd.oci.image.manifest.v1+json\r\n"
				   "accept: \t application/json \t \r\n"
				   "Accept-Encoding: gzip\r\n"
				   "\r\n";
	auto_parsed struct parsed p = {0};
	unsigned at = 0;

	parse(&p, head);
	CHECK_INT(p.got, (int)sizeof(head) - 1);
	CHECK_INT(p.r.method, METHOD_GET);
	CHECK(same(p.r.method_text, "GET"));
	CHECK(same(p.r.path, "/v2/org/app/manifests/v1"));
	CHECK(same(p.r.query, "ns=quay.io"));
	CHECK_INT(p.r.nheaders, 5);
	CHECK(same(request_header(&p.r, "host"), "127.0.0.1:5000"));
	CHECK(same(request_header_next(&p.r, "Accept", &at),
		   "application/vnd.oci.image.manifest.v1+json"));
	CHECK(same(request_header_next(&p.r, "Accept", &at), "application/json"));
	CHECK(!request_header_next(&p.r, "Accept", &at).p);
	CHECK(p.r.keep_alive && !p.r.http10 && !p.r.expect_continue);
	CHECK(!p.r.has_length && !p.r.chunked);
}

TEST(bytes_behind_the_head_belong_to_the_body_or_to_the_next_request)
{
	auto_parsed struct parsed p = {0};

	parse(&p, GET HOST "\r\nGET / HTTP/1.1\r\nbroken\n");
	CHECK_INT(p.got, (int)strlen(GET HOST "\r\n"));
}

TEST(one_empty_line_in_front_is_skipped)
{
	auto_parsed struct parsed p = {0};

	parse(&p, "\r\n" GET HOST "\r\n");
	CHECK_INT(p.got, (int)strlen("\r\n" GET HOST "\r\n"));
	CHECK(same(p.r.method_text, "GET"));
	parse(&p, "\r\n\r\n" GET HOST "\r\n");
	CHECK_INT(p.status, 400);
	parse(&p, "\n" GET HOST "\r\n");
	CHECK_INT(p.status, 400);
	parse(&p, "\r" GET HOST "\r\n");
	CHECK_INT(p.status, 400);
}

TEST(the_methods_of_the_registry_api_are_told_apart)
{
	static const struct {
		const char *text;
		enum request_method method;
	} rows[] = {
		{"GET", METHOD_GET},       {"HEAD", METHOD_HEAD},   {"POST", METHOD_POST},
		{"PUT", METHOD_PUT},       {"PATCH", METHOD_PATCH}, {"DELETE", METHOD_DELETE},
		{"OPTIONS", METHOD_OTHER}, {"TRACE", METHOD_OTHER},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_parsed struct parsed p = {0};
		char head[100];

		snprintf(head, sizeof(head), "%s /v2/ HTTP/1.1\r\n" HOST "\r\n", rows[i].text);
		parse(&p, head);
		CHECK_INT(p.got, (int)strlen(head));
		CHECK_INT(p.r.method, rows[i].method);
		CHECK(same(p.r.method_text, rows[i].text));
	}
}

TEST(targets_are_split_into_path_and_query)
{
	static const struct {
		const char *line, *path, *query; // query NULL: there is no '?'
	} rows[] = {
		{"GET / HTTP/1.1\r\nHost: h", "/", NULL},
		{"GET /v2/?n=1&last=a?b HTTP/1.1\r\nHost: h", "/v2/", "n=1&last=a?b"},
		{"GET /v2/? HTTP/1.1\r\nHost: h", "/v2/", ""},
		{"GET /a%2Fb/%zz/[x] HTTP/1.1\r\nHost: h", "/a%2Fb/%zz/[x]", NULL},
		{"GET //x HTTP/1.1\r\nHost: h", "//x", NULL},
		{"GET /~user/-._!$&'()*+,;=:@ HTTP/1.1\r\nHost: h", "/~user/-._!$&'()*+,;=:@",
		 NULL},
		// RFC 9112 section 3.2.2: a server must accept the absolute form.
		{"GET http://r.io/v2/?n=1 HTTP/1.1\r\nHost: r.io", "/v2/", "n=1"},
		{"GET HTTPS://R.io:5000/v2/ HTTP/1.1\r\nHost: r.IO:5000", "/v2/", NULL},
		{"GET http://[::1]:5000/v2/ HTTP/1.1\r\nHost: [::1]:5000", "/v2/", NULL},
		{"GET http://r.io HTTP/1.1\r\nHost: r.io", "/", NULL},
		{"GET http://r.io?n=1 HTTP/1.1\r\nHost: r.io", "/", "n=1"},
		{"GET http://r.io/v2/ HTTP/1.0\r\nX: 1", "/v2/", NULL},
		{"OPTIONS * HTTP/1.1\r\nHost: h", "*", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_parsed struct parsed p = {0};
		char head[200];

		snprintf(head, sizeof(head), "%s\r\n\r\n", rows[i].line);
		parse(&p, head);
		CHECK_INT(p.got, (int)strlen(head));
		if (p.got < 0) {
			printf("# %s: %s\n", rows[i].line, p.e.text);
			continue;
		}
		CHECK(same(p.r.path, rows[i].path));
		CHECK(!p.r.query.p == !rows[i].query);
		CHECK(!rows[i].query || same(p.r.query, rows[i].query));
	}
}

TEST(the_body_is_framed_by_one_length_or_by_chunks)
{
	static const struct {
		const char *fields;
		bool has_length, chunked, expect;
		uint64_t length;
	} rows[] = {
		{"", false, false, false, 0},
		{"Content-Length: 0\r\n", true, false, false, 0},
		{"CONTENT-LENGTH:1234567890123\r\n", true, false, false, 1234567890123},
		{"content-length: \t 5\r\n", true, false, false, 5},
		{"Content-Length: 9223372036854775807\r\n", true, false, false, INT64_MAX},
		{"Transfer-Encoding: chunked\r\n", false, true, false, 0},
		{"Transfer-Encoding: chunked\r\nExpect: 100-Continue\r\n", false, true, true, 0},
		{"Expect: 100-continue\r\nContent-Length: 5\r\n", true, false, true, 5},
		// Nothing is waited for without a body.
		{"Expect: 100-continue\r\nContent-Length: 0\r\n", true, false, false, 0},
		{"Expect: 100-continue\r\n", false, false, false, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_parsed struct parsed p = {0};
		char head[200];

		snprintf(head, sizeof(head), "PUT /x HTTP/1.1\r\n" HOST "%s\r\n", rows[i].fields);
		parse(&p, head);
		CHECK_INT(p.got, (int)strlen(head));
		CHECK_INT(p.r.has_length, rows[i].has_length);
		CHECK_INT(p.r.chunked, rows[i].chunked);
		CHECK_INT(p.r.expect_continue, rows[i].expect);
		CHECK_INT(p.r.length, rows[i].length);
	}
}

TEST(connections_stay_open_as_their_version_says)
{
	static const struct {
		const char *head;
		bool keep_alive;
	} rows[] = {
		{GET HOST "\r\n", true},
		{GET HOST "Connection: close\r\n\r\n", false},
		{GET HOST "connection: Keep-Alive , CLOSE\r\n\r\n", false},
		{GET HOST "Connection: keep-alive\r\nConnection: close\r\n\r\n", false},
		{GET HOST "Connection: closed, te\r\n\r\n", true},
		{GET HOST "Connection:\r\n\r\n", true},
		{"GET / HTTP/1.0\r\n\r\n", false},
		{"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true},
		{"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_parsed struct parsed p = {0};

		parse(&p, rows[i].head);
		CHECK_INT(p.got, (int)strlen(rows[i].head));
		CHECK_INT(p.r.keep_alive, rows[i].keep_alive);
	}
}

TEST(what_could_be_read_in_two_ways_is_refused)
{
	static const struct {
		const char *head;
		int status;
	} rows[] = {
		// The request line
		{"GET  /v2/ HTTP/1.1\r\n", 400},
		{" GET /v2/ HTTP/1.1\r\n", 400},
		{"GET\t/v2/ HTTP/1.1\r\n", 400},
		{"GET /v2/  HTTP/1.1\r\n", 400},
		{"GET /v2/ HTTP/1.1 \r\n", 400},
		{"GET /v2/ x HTTP/1.1\r\n", 400},
		{"GET /v2/\r\n", 400}, // HTTP/0.9
		{"GET /v2/\n", 400},
		{"GET\r\n", 400},
		{"GET /v2/ HTTP/1.1\n", 400},
		{"GET /v2/ HTTP/1.1\r\r\n", 400},
		{"GET /v2/ http/1.1\r\n", 400},
		{"GET /v2/ HTTP/1,1\r\n", 400},
		{"GET /v2/ HTTP/11\r\n", 400},
		{"GET /v2/ HTTP/1.10\r\n", 400},
		{"GET /v2/ HTTPS/1.1\r\n", 400},
		{"GET /v2/ ICE/1.0\r\n", 400},
		{"GET /v2/ HTTP/0.9\r\n", 505},
		{"GET /v2/ HTTP/1.2\r\n", 505},
		{"GET /v2/ HTTP/2.0\r\n", 505},
		{"GET v2/ HTTP/1.1\r\n", 400},
		{"GET ? HTTP/1.1\r\n", 400},
		{"GET * HTTP/1.1\r\n", 400},
		{"GET r.io:443 HTTP/1.1\r\n", 400},
		{"GET /v2/#x HTTP/1.1\r\n", 400},
		{"GET /v2/\\x HTTP/1.1\r\n", 400},
		{"GET /v2/\x01 HTTP/1.1\r\n", 400},
		{"GET /v2/\x7f HTTP/1.1\r\n", 400},
		{"GET /v2/\xc3\xa4 HTTP/1.1\r\n", 400},
		{"GET /\"<x>^`{|} HTTP/1.1\r\n", 400},
		{"GET ftp://r.io/ HTTP/1.1\r\n", 400},
		{"GET http:/v2/ HTTP/1.1\r\n", 400},
		{"GET http:///v2/ HTTP/1.1\r\n", 400},
		{"GET http://u:p@r.io/v2/ HTTP/1.1\r\n", 400},
		{"GET http://r.io:65536/ HTTP/1.1\r\n", 400},
		{"GET http://r.io:/ HTTP/1.1\r\n", 400},
		{"GE(T /v2/ HTTP/1.1\r\n", 400},
		{"\x16\x03\x01\x02\x00\x01", 400}, // a TLS client on the plain port, at once
		{"PRI * HTTP/2.0\r\n", 501},
		{"get /v2/ HTTP/1.1\r\n", 501},
		{"CONNECT r.io:443 HTTP/1.1\r\n", 501},
		{"PROPFIND", 501}, // longer than any method: no need to wait for more

		// Fields
		{GET HOST "X: 1\n", 400},
		{GET HOST "X: 1\n\r\n", 400},
		{GET HOST "\n", 400},
		{GET HOST "\r\r\n\r\n", 400},
		{GET HOST "X: 1\rY: 2\r\n\r\n", 400},
		{GET HOST " X: 1\r\n\r\n", 400},
		{GET " X: 1\r\n" HOST "\r\n", 400},
		{GET HOST "X: 1\r\n 2\r\n\r\n", 400}, // obs-fold
		{GET HOST "X: 1\r\n\t2\r\n\r\n", 400},
		{GET HOST "X : 1\r\n\r\n", 400},
		{GET HOST "X\t: 1\r\n\r\n", 400},
		{GET HOST ": 1\r\n\r\n", 400},
		{GET HOST "X\r\n\r\n", 400},
		{GET HOST "X(: 1\r\n\r\n", 400},
		{GET HOST "X\xc3\xa4: 1\r\n\r\n", 400},
		{GET HOST "X\x01: 1\r\n\r\n", 400},
		{GET HOST "X: a\x01z\r\n\r\n", 400},
		{GET HOST "X: a\x7fz\r\n\r\n", 400},

		// Host: RFC 9112 section 3.2
		{GET "\r\n", 400},
		{GET HOST HOST "\r\n", 400},
		{GET "Host:\r\n\r\n", 400},
		{GET "Host: a b\r\n\r\n", 400},
		{GET "Host: a,b\r\n\r\n", 400},
		{GET "Host: a/b\r\n\r\n", 400},
		{GET "Host: a\"b\r\n\r\n", 400},
		{GET "Host: u@b\r\n\r\n", 400},
		{GET "Host: a:b\r\n\r\n", 400},
		{GET "Host: a:\r\n\r\n", 400},
		{GET "Host: a:65536\r\n\r\n", 400},
		{GET "Host: a:000080\r\n\r\n", 400},
		{GET "Host: :80\r\n\r\n", 400},
		{GET "Host: [::1\r\n\r\n", 400},
		{GET "Host: [::1]x\r\n\r\n", 400},
		{GET "Host: []\r\n\r\n", 400},
		{GET "Host: [fe80::1%eth0]\r\n\r\n", 400},
		{"GET / HTTP/1.0\r\n" HOST HOST "\r\n", 400},
		{"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", 400},
		{"GET http://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},

		// Framing: RFC 9112 section 6
		{GET HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400},
		{GET HOST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400},
		{GET HOST "Content-Length: 5, 5\r\n\r\n", 400},
		{GET HOST "Content-Length:\r\n\r\n", 400},
		{GET HOST "Content-Length: +5\r\n\r\n", 400},
		{GET HOST "Content-Length: -5\r\n\r\n", 400},
		{GET HOST "Content-Length: 0x5\r\n\r\n", 400},
		{GET HOST "Content-Length: 05\r\n\r\n", 400},
		{GET HOST "Content-Length: 5\t\r\n\r\n", 400},
		{GET HOST "Transfer-Encoding: chunked\t\r\n\r\n", 400},
		{GET HOST "Transfer-Encoding: chunked \r\n\r\n", 400},
		{GET HOST "Content-Length: 5 5\r\n\r\n", 400},
		{GET HOST "Content-Length: 5.0\r\n\r\n", 400},
		{GET HOST "Content-Length: 9223372036854775808\r\n\r\n", 400},
		{GET HOST "Content-Length: 18446744073709551621\r\n\r\n", 400},
		{GET HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
		{GET HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400},
		{GET HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
		{GET HOST "Transfer-Encoding: chunked, chunked\r\n\r\n", 400},
		{GET HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", 400},
		{GET HOST "Transfer-Encoding: chunked, identity\r\n\r\n", 400},
		{GET HOST "Transfer-Encoding: identity\r\n\r\n", 400},
		{GET HOST "Transfer-Encoding: Chunked\r\n\r\n", 400},
		{GET HOST "Transfer-Encoding: xchunked\r\n\r\n", 400},
		{GET HOST "Transfer-Encoding: chunked;q=1\r\n\r\n", 400},
		{GET HOST "Transfer-Encoding: \"chunked\"\r\n\r\n", 400},
		{GET HOST "Transfer-Encoding: \x0b"
			  "chunked\r\n\r\n",
		 400},
		{GET HOST "Transfer-Encoding:\r\n\r\n", 400},
		{"PUT / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", 400},
		{GET HOST "Expect: 200-ok\r\n\r\n", 417},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_parsed struct parsed p = {0};

		parse(&p, rows[i].head);
		CHECK_INT(p.got, -1);
		CHECK_INT(p.status, rows[i].status);
		CHECK(p.got < 0 && p.e.kind == ERR_INPUT && *p.e.text);
		if (p.got >= 0 || p.status != rows[i].status)
			printf("# row %zu: %s\n", i, rows[i].head);
	}
}

TEST(nul_is_no_end_of_anything)
{
	static const struct {
		const char *head;
		size_t n;
	} rows[] = {
#define ROW(text) {text, sizeof(text) - 1}
		ROW("GET /v2/\0 HTTP/1.1\r\n" HOST "\r\n"),
		ROW("G\0T /v2/ HTTP/1.1\r\n" HOST "\r\n"),
		ROW(GET "Host: r.io\0\r\n\r\n"),
		ROW(GET HOST "X\0: 1\r\n\r\n"),
		ROW(GET HOST "X: \0\r\n\r\n"),
		ROW(GET HOST "Content-Length: 5\0\r\n\r\n"),
		ROW(GET "Host: [\0::1]\r\n\r\n"),
#undef ROW
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_parsed struct parsed p = {0};

		parse_bytes(&p, rows[i].head, rows[i].n);
		CHECK_INT(p.got, -1);
		CHECK_INT(p.status, 400);
	}
}

TEST(hosts_may_be_names_and_addresses_with_ports)
{
	static const char *const hosts[] = {
		"r.io",        "R.IO:5000",         "registry_1", "10.0.0.1:0", "[::1]",
		"[::1]:65535", "[::ffff:10.0.0.1]", "a-b.c",      "localhost"};

	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		auto_parsed struct parsed p = {0};
		char head[100];

		snprintf(head, sizeof(head), GET "Host: %s\r\n\r\n", hosts[i]);
		parse(&p, head);
		CHECK_INT(p.got, (int)strlen(head));
	}
}

TEST(a_control_byte_is_found_wherever_it_stands)
{
	const char *value = "0123456789abcdefghijk";

	for (int byte = 0; byte < 256; byte++)
		for (size_t at = 1; at + 1 < strlen(value); at++) {
			auto_parsed struct parsed p = {0};
			char head[100];
			int n = snprintf(head, sizeof(head), GET HOST "X: %s\r\n\r\n", value);
			bool fine = byte == '\t' || (byte >= ' ' && byte != 127);

			head[strlen(GET HOST "X: ") + at] = (char)byte;
			parse_bytes(&p, head, (size_t)n);
			CHECK_INT(p.got, fine ? n : -1);
		}
}

TEST(other_bytes_above_127_may_stand_in_values)
{
	auto_parsed struct parsed p = {0};

	parse(&p, GET HOST "User-Agent: caf\xe9 \"x\"\tend\r\n\r\n");
	CHECK(p.got > 0);
	CHECK(same(request_header(&p.r, "User-Agent"), "caf\xe9 \"x\"\tend"));
}

// Fills HEAD with a request of N bytes, most of them in the field X. Returns HEAD.
static char *head_of(char *head, size_t n)
{
	size_t line = strlen(GET HOST "X: ");

	memset(head, 'x', n);
	memcpy(head, GET HOST "X: ", line);
	memcpy(head + n - 4, "\r\n\r\n", 4);
	return head;
}

TEST(heads_may_have_16_kib)
{
	auto_free char *head = xmalloc(REQUEST_HEAD_MAX + 1);
	auto_parsed struct parsed p = {0};

	parse_bytes(&p, head_of(head, REQUEST_HEAD_MAX), REQUEST_HEAD_MAX);
	CHECK_INT(p.got, REQUEST_HEAD_MAX);
	parse_bytes(&p, head_of(head, REQUEST_HEAD_MAX + 1), REQUEST_HEAD_MAX + 1);
	CHECK_INT(p.got, -1);
	CHECK_INT(p.status, 431);
	parse_bytes(&p, head, REQUEST_HEAD_MAX); // no need to wait for its end
	CHECK_INT(p.got, -1);
	CHECK_INT(p.status, 431);
	parse_bytes(&p, head, REQUEST_HEAD_MAX - 1);
	CHECK_INT(p.got, 0);
}

TEST(targets_may_have_8_kib)
{
	auto_buf struct buf head = BUF_INIT(BUF_TEXT_MAX);
	auto_parsed struct parsed p = {0};

	buf_puts(&head, "GET /");
	for (int i = 1; i < REQUEST_TARGET_MAX; i++)
		buf_putc(&head, 'a');
	size_t line = head.n;

	buf_puts(&head, " HTTP/1.1\r\n" HOST "\r\n");
	parse_bytes(&p, head.p, head.n);
	CHECK_INT(p.got, head.n);
	CHECK_INT(p.r.path.n, REQUEST_TARGET_MAX);
	head.p[line] = 'a';
	parse_bytes(&p, head.p, line);
	CHECK_INT(p.got, 0);
	parse_bytes(&p, head.p, line + 1);
	CHECK_INT(p.got, -1);
	CHECK_INT(p.status, 414);
}

TEST(a_head_may_have_64_fields)
{
	auto_buf struct buf head = BUF_INIT(BUF_TEXT_MAX);
	auto_parsed struct parsed p = {0};

	buf_puts(&head, GET HOST);
	for (int i = 1; i < REQUEST_HEADERS_MAX; i++)
		buf_printf(&head, "X-%d: %d\r\n", i, i);
	size_t full = head.n;

	buf_puts(&head, "\r\n");
	parse_bytes(&p, head.p, head.n);
	CHECK_INT(p.got, head.n);
	CHECK_INT(p.r.nheaders, REQUEST_HEADERS_MAX);
	CHECK(same(request_header(&p.r, "x-63"), "63"));
	head.n = full;
	buf_puts(&head, "X: 1\r\n");
	parse_bytes(&p, head.p, head.n); // unfinished, and too much already
	CHECK_INT(p.got, -1);
	CHECK_INT(p.status, 431);
}

// Every prefix of HEAD either wants more or says what the whole says.
static bool prefixes_agree(const char *head)
{
	auto_parsed struct parsed whole = {0};
	size_t n = strlen(head);

	parse_bytes(&whole, head, n);
	for (size_t i = 0; i < n; i++) {
		auto_parsed struct parsed part = {0};

		parse_bytes(&part, head, i);
		if (part.got == 0)
			continue;
		if (part.got != whole.got || part.status != whole.status)
			return false;
	}
	return true;
}

TEST(a_head_that_comes_byte_by_byte_gets_the_same_verdict)
{
	CHECK(prefixes_agree(GET HOST "X: 1\r\n\r\nbody"));
	CHECK(prefixes_agree("\r\n" GET HOST "X: 1\r\n\r\n"));
	CHECK(prefixes_agree("PUT http://r.io/x HTTP/1.1\r\n" HOST
			     "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"));
	CHECK(prefixes_agree(GET "X : 1\r\nY: 1\n\r\n"));
	CHECK(prefixes_agree("CONNECT\x01 /"));
	CHECK(prefixes_agree("GET /\x01 HTTP/3.0\r\n"));
	CHECK(prefixes_agree("GET / HTTP/3.0\n"));
}

TEST(the_callers_fields_are_left_alone)
{
	struct request r = {.peer = "10.0.0.1", .tls = true};
	struct err e;
	int status;

	CHECK(head_parse(&r, GET HOST "\r\n", strlen(GET HOST "\r\n"), &status, &e) > 0);
	CHECK_STR(r.peer, "10.0.0.1");
	CHECK(r.tls);
}

int main(void)
{
	return tap_main();
}
