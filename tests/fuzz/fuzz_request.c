// SPDX-License-Identifier: Apache-2.0
// What comes out of a socket: requests one after another, their bodies, and all that is looked up
// in them. Whole or in pieces, the same bytes say the same; no name leads out of its place.
#include "fuzz.h"
#include "image/reference.h"
#include "serve/chunked.h"
#include "serve/head.h"
#include "serve/range.h"
#include "serve/route.h"
#include "util/mem.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { REQUESTS_MAX = 16, BYTE_BY_BYTE_MAX = 1024 };

// The bytes that came and were not used yet, those that are still to come, and what was read.
struct connection {
	const char *next;
	size_t left;
	uint64_t seed; // of the sizes of pieces; 0: all at once, 1: byte by byte
	struct buf in;
	struct buf log;
};

static uint64_t random_below(uint64_t *seed, uint64_t n)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (*seed >> 33) % n;
}

// Many small pieces, and some large ones.
static size_t piece_size(struct connection *c)
{
	size_t n = c->seed == 1 ? 1 : c->left;

	if (c->seed > 1) {
		uint64_t largest = UINT64_C(1) << random_below(&c->seed, 13);

		n = 1 + (size_t)random_below(&c->seed, largest);
	}
	return n < c->left ? n : c->left;
}

static bool receive(struct connection *c)
{
	size_t n = piece_size(c);

	if (n == 0)
		return false;
	buf_put(&c->in, c->next, n);
	c->next += n;
	c->left -= n;
	return true;
}

// A copy of exactly what is there, so that a sanitizer sees the first byte behind it. Caller frees.
static char *received(const struct connection *c)
{
	return xmemdup(c->in.p, c->in.n ? c->in.n : 1);
}

static void use(struct connection *c, size_t n)
{
	assert(n <= c->in.n);
	memmove(c->in.p, c->in.p + n, c->in.n - n);
	c->in.n -= n;
}

static void log_bytes(struct connection *c, const char *what, struct str s)
{
	buf_printf(&c->log, "%s %zu ", what, s.n);
	buf_put(&c->log, s.p, s.n);
	buf_putc(&c->log, '\n');
}

static bool has_control(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (((unsigned char)s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == '\x7f')
			return true;
	return false;
}

static void check_refusal(const struct err *e)
{
	assert(e->kind == ERR_INPUT && *e->text && !has_control(str_of(e->text)));
}

// ---- Ranges

static void check_ranges(const struct range *v, unsigned n, uint64_t size)
{
	uint64_t total = 0;

	assert(n > 0 && n <= RANGES_MAX);
	for (unsigned i = 0; i < n; i++) {
		assert(v[i].length > 0 && v[i].offset < size);
		assert(v[i].length <= size - v[i].offset);
		total += v[i].length;
		assert(total <= size);
	}
}

static void read_ranges(struct connection *c, const struct request *r)
{
	static const uint64_t sizes[] = {0, 1, 10, 1000, INT64_MAX, UINT64_MAX};
	struct str range = request_header(r, "Range");
	struct str content_range = request_header(r, "Content-Range");
	struct range v[RANGES_MAX];
	uint64_t first, last;
	unsigned n = 0;

	for (size_t i = 0; range.p && i < ARRAY_SIZE(sizes); i++) {
		enum range_verdict verdict = range_parse(range, sizes[i], v, &n);

		if (verdict == RANGE_SOME)
			check_ranges(v, n, sizes[i]);
		buf_printf(&c->log, "range %d %u\n", verdict, n);
	}
	if (content_range.p && content_range_parse(content_range, &first, &last)) {
		assert(first <= last && last < INT64_MAX);
		buf_printf(&c->log, "content-range %" PRIu64 " %" PRIu64 "\n", first, last);
	}
}

// ---- Routes

static bool is_segment(const char *text)
{
	return *text && strcmp(text, ".") != 0 && strcmp(text, "..") != 0 &&
	       !strpbrk(text, "/\\") && !has_control(str_of(text)) && !strchr(text, '\t');
}

static void check_repository(const char *name)
{
	auto_free char *slashed = xasprintf("/%s/", name);

	assert(repository_valid(name) && strlen(name) <= ROUTE_REPO_MAX);
	assert(!strstr(slashed, "/..") && !strstr(slashed, "/./") && !strstr(slashed, "//"));
	assert(!strstr(slashed, "/blobs/") && !strstr(slashed, "/manifests/"));
	assert(!strstr(slashed, "/tags/") && !strstr(slashed, "/uploads/"));
	assert(!strstr(slashed, "/referrers/"));
}

static bool has_repository(enum endpoint endpoint)
{
	return endpoint >= ENDPOINT_BLOB;
}

// '%' is the only character of an upload's id that must be encoded to come through again.
static char *encode(const char *id)
{
	auto_buf struct buf b = BUF_INIT(BUF_TEXT_MAX);

	for (; *id; id++)
		if (*id == '%')
			buf_puts(&b, "%25");
		else
			buf_putc(&b, *id);
	return buf_take(&b);
}

static char *path_of(const struct route *r)
{
	auto_free char *id = encode(r->tag);

	switch (r->endpoint) {
	case ENDPOINT_BLOB:
		return xasprintf("/v2/%s/blobs/%s", r->repo, r->digest.text);
	case ENDPOINT_UPLOADS:
		return xasprintf("/v2/%s/blobs/uploads/", r->repo);
	case ENDPOINT_UPLOAD:
		return xasprintf("/v2/%s/blobs/uploads/%s", r->repo, id);
	case ENDPOINT_MANIFEST:
		return xasprintf("/v2/%s/manifests/%s", r->repo,
				 r->by_digest ? r->digest.text : r->tag);
	case ENDPOINT_TAGS:
		return xasprintf("/v2/%s/tags/list", r->repo);
	case ENDPOINT_REFERRERS:
		return xasprintf("/v2/%s/referrers/%s", r->repo, r->digest.text);
	default:
		return xstrdup("/");
	}
}

// The path that the parts make names the same parts again.
static void check_round_trip(const struct route *r)
{
	auto_free char *path = path_of(r);
	const char *code;
	struct route again;
	struct err e;

	assert(route_parse(&again, str_of(path), &code, &e) == 0);
	assert(again.endpoint == r->endpoint && again.by_digest == r->by_digest);
	assert(strcmp(again.repo, r->repo) == 0 && strcmp(again.tag, r->tag) == 0);
	assert(strcmp(again.digest.text, r->digest.text) == 0);
}

static void check_route(const struct route *r)
{
	struct digest again;
	struct err e;

	assert(!*r->repo == !has_repository(r->endpoint));
	if (!has_repository(r->endpoint)) {
		assert(!*r->tag && !*r->digest.text);
		return;
	}
	check_repository(r->repo);
	assert(!*r->digest.text || digest_parse(&again, r->digest.text, &e) == 0);
	assert(r->endpoint != ENDPOINT_UPLOAD || is_segment(r->tag));
	assert(r->endpoint != ENDPOINT_MANIFEST || r->by_digest == !*r->tag);
	assert(r->endpoint != ENDPOINT_MANIFEST || r->by_digest || tag_valid(r->tag));
	check_round_trip(r);
}

static void read_route(struct connection *c, struct str path)
{
	const char *code = NULL;
	struct route r;
	struct err e;
	int status = route_parse(&r, path, &code, &e);

	if (status) {
		assert(status == 400 && code && ends_with(code, "_INVALID"));
		check_refusal(&e);
		buf_printf(&c->log, "no route: %s %s\n", code, e.text);
		return;
	}
	assert(!memmem(path.p, path.n, "%2f", 3) && !memmem(path.p, path.n, "%2F", 3));
	assert(!memmem(path.p, path.n, "/../", 4) && !memmem(path.p, path.n, "%00", 3));
	check_route(&r);
	buf_printf(&c->log, "route %d '%s' '%s' '%s'\n", r.endpoint, r.repo, r.tag, r.digest.text);
}

static void read_query(struct connection *c, struct str text)
{
	auto_query struct query q = {.n = 0};
	size_t total = 0;
	struct err e;

	if (query_parse(&q, text, &e) < 0) {
		check_refusal(&e);
		buf_printf(&c->log, "no query: %s\n", e.text);
		return;
	}
	assert(q.n <= QUERY_PARAMETERS_MAX);
	for (unsigned i = 0; i < q.n; i++) {
		assert(!has_control(str_of(q.v[i].name)) && !has_control(str_of(q.v[i].value)));
		assert(query_get(&q, q.v[i].name));
		total += strlen(q.v[i].name) + strlen(q.v[i].value);
		buf_printf(&c->log, "query '%s' '%s'\n", q.v[i].name, q.v[i].value);
	}
	assert(total <= text.n);
}

// ---- Heads and bodies

static void check_inside(struct str s, const char *head, size_t n)
{
	assert(s.p >= head && s.p + s.n <= head + n);
}

// CR and LF only together: nobody sees other lines than we do.
static void check_line_ends(const char *head, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		assert(head[i] != '\n' || (i > 0 && head[i - 1] == '\r'));
		assert(head[i] != '\r' || (i + 1 < n && head[i + 1] == '\n'));
	}
}

static void check_head(const struct request *r, const char *head, size_t n)
{
	const char *start = head[0] == '\r' ? head + 2 : head;

	check_line_ends(head, n);
	assert(n <= REQUEST_HEAD_MAX && r->nheaders <= REQUEST_HEADERS_MAX);
	// The first empty line ends it.
	assert(memmem(start, n - (size_t)(start - head), "\r\n\r\n", 4) == head + n - 4);
	assert(!(r->has_length && r->chunked) && r->length <= INT64_MAX);
	assert(r->http10 || request_header(r, "Host").n > 0);
	assert(!r->expect_continue || r->chunked || r->length > 0);
	check_inside(r->method_text, head, n);
	assert(r->path.n > 0 && r->path.n <= REQUEST_TARGET_MAX);
	assert(!has_control(r->path) && !memchr(r->path.p, ' ', r->path.n));
	if (r->query.p)
		check_inside(r->query, head, n);
	for (unsigned i = 0; i < r->nheaders; i++) {
		check_inside(r->headers[i].name, head, n);
		check_inside(r->headers[i].value, head, n);
		assert(r->headers[i].name.n > 0 && !has_control(r->headers[i].name));
		assert(!has_control(r->headers[i].value));
	}
}

static void log_request(struct connection *c, const struct request *r)
{
	buf_printf(&c->log, "request %d %d%d%d%d%d %" PRIu64 "\n", r->method, r->http10,
		   r->keep_alive, r->expect_continue, r->has_length, r->chunked, r->length);
	log_bytes(c, "method", r->method_text);
	log_bytes(c, "path", r->path);
	log_bytes(c, "query", r->query);
	for (unsigned i = 0; i < r->nheaders; i++) {
		log_bytes(c, "name", r->headers[i].name);
		log_bytes(c, "value", r->headers[i].value);
	}
}

// False when the bytes ended before the body, or it was refused.
static bool read_chunks(struct connection *c)
{
	auto_buf struct buf body = BUF_INIT(BUF_TEXT_MAX);
	struct chunked chunked = {0};
	ptrdiff_t used = 0;

	while (!chunked.done && (c->in.n > 0 || receive(c))) {
		auto_free char *data = received(c);
		size_t run;
		struct err e;

		used = chunked_next(&chunked, data, c->in.n, &run, &e);
		if (used < 0) {
			check_refusal(&e);
			buf_printf(&c->log, "no chunk: %s\n", e.text);
			break;
		}
		assert(used > 0 && run <= (size_t)used);
		buf_put(&body, data + used - run, run);
		use(c, (size_t)used);
	}
	log_bytes(c, "body", buf_str(&body));
	return used >= 0 && chunked.done;
}

static bool read_length(struct connection *c, uint64_t length)
{
	while (length > 0 && (c->in.n > 0 || receive(c))) {
		size_t run = length < c->in.n ? (size_t)length : c->in.n;

		buf_put(&c->log, c->in.p, run);
		use(c, run);
		length -= run;
	}
	return length == 0;
}

static bool read_request(struct connection *c)
{
	struct request r;
	struct err e;
	int head = 0, status = 0;

	while (head == 0) {
		auto_free char *data = received(c);

		head = head_parse(&r, data, c->in.n, &status, &e);
		if (head > 0) {
			check_head(&r, data, (size_t)head);
			log_request(c, &r);
			read_route(c, r.path);
			read_query(c, r.query);
			read_ranges(c, &r);
		} else if (head < 0) {
			check_refusal(&e);
			assert(status >= 400 && status < 600);
			buf_printf(&c->log, "refused %d %s\n", status, e.text);
			return false;
		} else if (!receive(c)) {
			return false;
		}
	}
	use(c, (size_t)head);
	return r.chunked ? read_chunks(c) : read_length(c, r.length);
}

static void read_all(struct connection *c, const uint8_t *data, size_t size, uint64_t seed)
{
	*c = (struct connection){.next = (const char *)data,
				 .left = size,
				 .seed = seed,
				 .in = BUF_INIT(BUF_TEXT_MAX),
				 .log = BUF_INIT(BUF_TEXT_MAX)};
	for (int i = 0; i < REQUESTS_MAX && read_request(c); i++)
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct connection whole, pieces;

	if (size < 2)
		return 0;
	uint64_t seed = 2 + data[0] + 256U * data[1];

	if (data[1] == 0 && size <= BYTE_BY_BYTE_MAX)
		seed = 1;
	read_all(&whole, data + 2, size - 2, 0);
	read_all(&pieces, data + 2, size - 2, seed);
	assert(str_eq(buf_str(&whole.log), buf_str(&pieces.log)));
	buf_free(&whole.in);
	buf_free(&whole.log);
	buf_free(&pieces.in);
	buf_free(&pieces.log);
	return 0;
}
