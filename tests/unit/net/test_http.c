// SPDX-License-Identifier: Apache-2.0
// The exchange and download loops against a scripted server.
#include "net/http.h"

#include "util/clock.h"
#include "util/mem.h"

#include "fake_server.h"
#include "tap.h"

enum { BLOB_SIZE = 3 * 1024 * 1024 + 17 };

static char blob[BLOB_SIZE];

__attribute__((constructor)) static void fill_blob(void)
{
	for (size_t i = 0; i < sizeof(blob); i++)
		blob[i] = (char)(i * 2654435761u >> 13);
}

// A client and a server that runs SCRIPT.
struct fixture {
	struct cancel cancel;
	struct slab_pool *pool;
	struct http *net;
	struct fake_server *server;
	atomic_int retries;
	atomic_uint last_wait_ms;
};

static void fixture_release(struct fixture *f)
{
	http_free(f->net);
	slab_pool_free(f->pool);
	fake_server_stop(f->server);
}
#define auto_fixture __attribute__((cleanup(fixture_release)))

static void note_retry(void *arg, const char *what, const struct err *why, unsigned wait_ms)
{
	struct fixture *f = arg;

	(void)what, (void)why;
	f->retries++;
	f->last_wait_ms = wait_ms;
}

static void set_up_with(struct fixture *f, const struct fake_answer *script,
			const struct http_config *wish)
{
	struct http_config cfg = *wish;
	struct err e;

	*f = (struct fixture){.cancel = CANCEL_INIT};
	f->pool = slab_pool_new(64);
	f->server = fake_server_start(script);
	cfg.cancel = &f->cancel;
	cfg.pool = f->pool;
	cfg.on_retry = note_retry;
	cfg.on_retry_arg = f;
	REQUIRE_OK(http_new(&f->net, &cfg, &e));
}

static void set_up(struct fixture *f, const struct fake_answer *script)
{
	set_up_with(f, script, &(struct http_config){.user_agent = "test/1"});
}

static struct http_exchange *get(struct fixture *f, const char *path, unsigned flags, struct err *e)
{
	auto_free char *url = fake_server_url(f->server, path);
	struct http_req req = {.method = "GET", .url = url, .flags = flags};

	return http_open(f->net, &req, e);
}

// GET, whole; the status, or -1.
static int get_text(struct fixture *f, const char *path, unsigned flags, char *to, size_t size,
		    struct err *e)
{
	auto_of(http_exchange_free) struct http_exchange *x = get(f, path, flags, e);
	auto_buf struct buf body = BUF_INIT(size - 1);

	if (!x || http_read_all(x, &body, e) < 0)
		return -1;
	memcpy(to, body.p, body.n + 1);
	return http_status(x);
}

TEST(an_answer_has_status_headers_and_body)
{
	static const struct fake_answer script[] = {
		{.path = "/x",
		 .status = 200,
		 .headers = "X-One: a\r\nx-one:  b \r\nContent-Type: text/plain\r\n",
		 .body = "hello"},
		{0},
	};
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, script);
	for (unsigned flags = 0; flags <= HTTP_SMALL; flags += HTTP_SMALL) {
		auto_of(http_exchange_free) struct http_exchange *x =
			get(&f, "/x?secret=1", flags, &e);
		auto_buf struct buf body = BUF_INIT(100);

		REQUIRE_OK(x ? 0 : -1);
		CHECK_INT(http_status(x), 200);
		CHECK_STR(http_header(x, "X-ONE"), "a, b");
		CHECK_STR(http_header(x, "content-type"), "text/plain");
		CHECK(http_header(x, "absent") == NULL);
		CHECK(ends_with(http_url(x), "/x?secret=1"));
		REQUIRE_OK(http_read_all(x, &body, &e));
		CHECK_STR(body.p, "hello");
	}
	CHECK_STR(fake_server_request(f.server, 0).query, "secret=1");
	auto_free char *agent = fake_header(fake_server_request(f.server, 0).head, "User-Agent");
	CHECK_STR(agent, "test/1");
}

TEST(requests_one_after_the_other_share_a_connection)
{
	static const struct fake_answer script[] = {
		{.path = "/missing", .status = 404, .body = "{\"errors\":[]}"},
		{.status = 200, .body = "hello"},
		{0},
	};
	auto_fixture struct fixture f;
	char text[100];
	struct err e;

	set_up(&f, script);
	for (int i = 0; i < 10; i++) {
		CHECK_INT(get_text(&f, "/x", HTTP_SMALL, text, sizeof(text), &e), 200);
		CHECK_INT(get_text(&f, "/x", 0, text, sizeof(text), &e), 200);
		http_exchange_free(get(&f, "/missing", HTTP_SMALL, &e)); // body not read
	}
	CHECK_INT(fake_server_requests(f.server), 30);
	CHECK_INT(fake_server_connections(f.server), 1);
}

TEST(a_503_is_repeated_after_the_time_that_the_server_asks_for)
{
	static const struct fake_answer script[] = {
		{.times = 1,
		 .status = 503,
		 .headers = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
			    "Retry-After: Sun, 06 Nov 1994 08:49:38 GMT\r\n"},
		{.status = 200, .body = "hello"},
		{0},
	};
	auto_fixture struct fixture f;
	auto_of(limiter_free) struct limiter *limiter = limiter_new(0);
	char text[100];
	struct err e;

	set_up(&f, script);
	auto_free char *url = fake_server_url(f.server, "/x");
	struct http_req req = {.method = "GET", .url = url, .limiter = limiter};
	auto_of(http_exchange_free) struct http_exchange *x = http_open(f.net, &req, &e);

	REQUIRE_OK(x ? 0 : -1);
	CHECK_INT(http_status(x), 200);
	CHECK_INT(f.retries, 1);
	CHECK_INT(f.last_wait_ms, 1000);
	CHECK_INT(limiter_limit(limiter), 3);
	(void)text;
}

TEST(when_the_budget_is_spent_the_caller_gets_the_answer_that_there_is)
{
	static const struct fake_answer script[] = {
		{.status = 429, .body = "{\"errors\":[{\"code\":\"TOOMANYREQUESTS\"}]}"},
		{0},
	};
	auto_fixture struct fixture f;
	char text[100];
	struct err e;

	set_up_with(&f, script, &(struct http_config){.retries = 1});
	CHECK_INT(get_text(&f, "/x", HTTP_SMALL, text, sizeof(text), &e), 429);
	CHECK(strstr(text, "TOOMANYREQUESTS") != NULL);
	CHECK_INT(fake_server_requests(f.server), 2);
}

TEST(who_owns_a_position_is_not_repeated_for)
{
	static const struct fake_answer script[] = {{.status = 503}, {0}};
	auto_fixture struct fixture f;
	char text[100];
	struct err e;

	set_up(&f, script);
	CHECK_INT(get_text(&f, "/x", HTTP_ONCE, text, sizeof(text), &e), 503);
	CHECK_INT(fake_server_requests(f.server), 1);
}

TEST(a_request_that_dies_on_a_reused_connection_is_repeated_once_and_not_counted)
{
	static const struct fake_answer script[] = {
		{.path = "/x", .times = 1, .status = 200, .flags = FAKE_CLOSE},
		{.path = "/x", .status = 200, .body = "again"},
		{.path = "/drop", .times = 1, .flags = FAKE_DROP},
		{.path = "/drop", .status = 200, .body = "fresh"},
		{0},
	};
	auto_fixture struct fixture f;
	char text[100];
	struct err e;

	set_up(&f, script);
	CHECK_INT(get_text(&f, "/x", 0, text, sizeof(text), &e), 200);
	CHECK_INT(get_text(&f, "/x", 0, text, sizeof(text), &e), 200);
	CHECK_STR(text, "again");
	// The server takes the request on the old connection, and dies.
	CHECK_INT(get_text(&f, "/drop", 0, text, sizeof(text), &e), 200);
	CHECK_STR(text, "fresh");
	CHECK_INT(f.retries, 0);
}

TEST(any_number_of_stale_connections_cost_no_repetition_that_counts)
{
	enum { CONNECTIONS = 8 };
	static const struct fake_answer script[] = {
		{.path = "/b", .status = 200, .body = blob, .body_len = BLOB_SIZE},
		{.path = "/x", .times = 6, .flags = FAKE_DROP}, // curl gives up after as many
		{.path = "/x", .status = 200, .body = "fresh"},
		{0},
	};
	struct http_exchange *open[CONNECTIONS];
	auto_fixture struct fixture f;
	char text[100];
	struct err e;

	set_up(&f, script);
	for (int i = 0; i < CONNECTIONS; i++)
		open[i] = get(&f, "/b", 0, &e);
	for (int i = 0; i < CONNECTIONS; i++) {
		auto_buf struct buf body = BUF_INIT(BLOB_SIZE);

		CHECK_OK(open[i] ? http_read_all(open[i], &body, &e) : -1);
		http_exchange_free(open[i]);
	}
	CHECK_INT(fake_server_connections(f.server), CONNECTIONS);
	CHECK_INT(get_text(&f, "/x", 0, text, sizeof(text), &e), 200);
	CHECK_STR(text, "fresh");
	CHECK_INT(f.retries, 0);
}

TEST(a_streamed_body_that_has_not_left_survives_a_stale_connection)
{
	static const struct fake_answer script[] = {
		{.method = "GET", .status = 200, .flags = FAKE_CLOSE},
		{.method = "PUT", .status = 201},
		{0},
	};
	auto_fixture struct fixture f;
	char text[100];
	struct err e;

	set_up(&f, script);
	CHECK_INT(get_text(&f, "/x", 0, text, sizeof(text), &e), 200);
	auto_free char *url = fake_server_url(f.server, "/up");
	struct http_req req = {.method = "PUT", .url = url, .streamed = true, .body_size = 5};
	auto_of(http_exchange_free) struct http_exchange *x = http_open(f.net, &req, &e);
	struct slab *s = slab_get(f.pool, NULL, &e);

	memcpy(s->data, "hello", 5);
	s->n = 5;
	REQUIRE_OK(http_write(x, s, &e));
	REQUIRE_OK(http_finish(x, &e));
	CHECK_INT(http_status(x), 201);
	CHECK_STR(fake_server_request(f.server, fake_server_requests(f.server) - 1).body, "hello");
}

TEST(a_truncated_small_answer_is_asked_for_again)
{
	static const struct fake_answer script[] = {
		{.times = 1, .status = 200, .body = "hello", .flags = FAKE_CUT, .cut = 2},
		{.status = 200, .body = "hello"},
		{0},
	};
	auto_fixture struct fixture f;
	char text[100];
	struct err e;

	set_up(&f, script);
	CHECK_INT(get_text(&f, "/x", HTTP_SMALL, text, sizeof(text), &e), 200);
	CHECK_STR(text, "hello");
	CHECK_INT(f.retries, 1);
}

TEST(a_body_shorter_than_its_length_is_an_error)
{
	static const struct fake_answer script[] = {
		{.status = 200, .body = "hello", .flags = FAKE_CUT, .cut = 2},
		{0},
	};
	auto_fixture struct fixture f;
	char text[100];
	struct err e;

	set_up(&f, script);
	CHECK_INT(get_text(&f, "/x", 0, text, sizeof(text), &e), -1);
	CHECK_INT(e.kind, ERR_NET);
	CHECK(ends_with(e.text, "/x\": unexpected EOF"));
}

TEST(an_answer_that_is_not_small_comes_all_the_same)
{
	static const struct fake_answer script[] = {
		{.status = 200, .body = blob, .body_len = BLOB_SIZE},
		{0},
	};
	auto_fixture struct fixture f;
	static char text[BLOB_SIZE + 1];
	struct err e;

	set_up(&f, script);
	CHECK_INT(get_text(&f, "/x", HTTP_SMALL, text, sizeof(text), &e), 200);
	CHECK(memcmp(text, blob, BLOB_SIZE) == 0);
}

TEST(read_all_has_a_ceiling)
{
	static const struct fake_answer script[] = {{.status = 200, .body = "hello"}, {0}};
	auto_fixture struct fixture f;
	char text[5];
	struct err e;

	set_up(&f, script);
	CHECK_INT(get_text(&f, "/x", 0, text, sizeof(text), &e), -1);
	CHECK_INT(e.kind, ERR_INPUT);
	CHECK_INT(get_text(&f, "/x", HTTP_SMALL, text, sizeof(text), &e), -1);
	CHECK_INT(e.kind, ERR_INPUT);
}

// Downloads. ------------------------------------------------------------------------------------

static struct stream *download(struct fixture *f, const char *path, uint64_t offset, uint64_t size,
			       struct err *e)
{
	auto_free char *url = fake_server_url(f->server, path);
	struct http_req req = {.url = url};

	return http_download(f->net, &req, offset, size, e);
}

// Reads S to its end and compares it with the blob from OFFSET; the bytes, or -1.
static int64_t compare(struct stream *s, uint64_t offset, struct err *e)
{
	struct slab *slab;
	uint64_t at = offset;

	while ((slab = stream_read(s, e))) {
		bool same = memcmp(slab->data, blob + at, slab->n) == 0;

		at += slab->n;
		slab_free(slab);
		if (!same)
			return -2;
	}
	return e->kind == ERR_NONE ? (int64_t)(at - offset) : -1;
}

TEST(a_download_goes_on_behind_the_last_byte)
{
	static const struct fake_answer script[] = {
		{.times = 1,
		 .status = 200,
		 .body = blob,
		 .body_len = BLOB_SIZE,
		 .flags = FAKE_CUT,
		 .cut = 1000000},
		{.times = 1, .status = 503, .headers = "Retry-After: 1\r\n"},
		{.status = 200, .body = blob, .body_len = BLOB_SIZE, .flags = FAKE_RANGE},
		{0},
	};
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, script);
	auto_of(stream_free) struct stream *s = download(&f, "/b", 0, BLOB_SIZE, &e);

	REQUIRE_OK(s ? 0 : -1);
	CHECK_INT(compare(s, 0, &e), BLOB_SIZE);
	CHECK_INT(fake_server_requests(f.server), 3);
	auto_free char *range = fake_header(fake_server_request(f.server, 2).head, "Range");
	CHECK_STR(range, "bytes=1000000-");
	CHECK_INT(f.last_wait_ms, 1000);
}

TEST(a_200_instead_of_a_206_is_read_and_dropped_up_to_the_position)
{
	static const struct fake_answer script[] = {
		{.status = 200, .body = blob, .body_len = BLOB_SIZE},
		{0},
	};
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, script);
	auto_of(stream_free) struct stream *s = download(&f, "/b", 1234567, BLOB_SIZE, &e);

	REQUIRE_OK(s ? 0 : -1);
	CHECK_INT(compare(s, 1234567, &e), BLOB_SIZE - 1234567);
}

TEST(a_chunked_download_comes_through)
{
	static const struct fake_answer script[] = {
		{.status = 200, .body = blob, .body_len = BLOB_SIZE, .flags = FAKE_CHUNKED},
		{0},
	};
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, script);
	auto_of(stream_free) struct stream *s = download(&f, "/b", 0, BLOB_SIZE, &e);

	REQUIRE_OK(s ? 0 : -1);
	CHECK_INT(compare(s, 0, &e), BLOB_SIZE);
}

TEST(a_server_with_another_number_of_bytes_is_found_out)
{
	static const struct fake_answer script[] = {
		{.path = "/sized", .status = 200, .body = "hello"},
		{.path = "/chunked", .status = 200, .body = "hello", .flags = FAKE_CHUNKED},
		{0},
	};
	static const struct {
		const char *path;
		uint64_t size;
	} rows[] = {{"/sized", 6}, {"/sized", 4}, {"/chunked", 6}, {"/chunked", 4}};
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, script);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_of(stream_free) struct stream *s =
			download(&f, rows[i].path, 0, rows[i].size, &e);
		struct slab *slab;

		while (s && (slab = stream_read(s, &e)))
			slab_free(slab);
		CHECK_INT(e.kind, ERR_DIGEST);
	}
}

TEST(a_wrong_range_is_not_taken)
{
	static const struct fake_answer script[] = {
		{.path = "/other",
		 .status = 206,
		 .headers = "Content-Range: bytes 0-4/10\r\n",
		 .body = "hello"},
		{.path = "/longer",
		 .status = 206,
		 .headers = "Content-Range: bytes 5-9/11\r\n",
		 .body = "hello"},
		{.path = "/none", .status = 206, .body = "hello"},
		{0},
	};
	static const char *const paths[] = {"/other", "/longer", "/none"};
	auto_fixture struct fixture f;
	struct err e;

	set_up_with(&f, script, &(struct http_config){.retries = 1});
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		auto_of(stream_free) struct stream *s = download(&f, paths[i], 5, 10, &e);

		CHECK(s == NULL);
		CHECK_INT(e.kind, ERR_NET);
	}
}

TEST(a_missing_blob_is_not_found_and_a_forbidden_one_is_denied)
{
	static const struct fake_answer script[] = {
		{.path = "/missing", .status = 404},
		{.path = "/forbidden", .status = 403},
		{0},
	};
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, script);
	CHECK(download(&f, "/missing", 0, 5, &e) == NULL);
	CHECK_INT(e.kind, ERR_NOT_FOUND);
	CHECK_INT(e.http, 404);
	CHECK(download(&f, "/forbidden", 0, 5, &e) == NULL);
	CHECK_INT(e.kind, ERR_DENIED);
}

TEST(an_empty_blob_is_a_download_like_any)
{
	static const struct fake_answer script[] = {{.status = 200}, {0}};
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, script);
	auto_of(stream_free) struct stream *s = download(&f, "/b", 0, 0, &e);

	REQUIRE_OK(s ? 0 : -1);
	CHECK_INT(compare(s, 0, &e), 0);
}

// Redirects and credentials. --------------------------------------------------------------------

struct fake_auth {
	struct http_auth base;
	const char *value, *next;
	int asked, challenged;
	char seen[200];
};

static int fake_authorize(struct http_auth *base, char **ret, struct err *e)
{
	struct fake_auth *a = (struct fake_auth *)base;

	(void)e;
	a->asked++;
	*ret = a->value ? xstrdup(a->value) : NULL;
	return 0;
}

static int fake_challenged(struct http_auth *base, const char *const *challenges, bool *ret_again,
			   struct err *e)
{
	struct fake_auth *a = (struct fake_auth *)base;

	(void)e;
	a->challenged++;
	snprintf(a->seen, sizeof(a->seen), "%s|%s", challenges[0] ? challenges[0] : "",
		 challenges[0] && challenges[1] ? challenges[1] : "");
	*ret_again = a->next != NULL;
	a->value = a->next;
	return 0;
}

#define FAKE_AUTH(first, then)                                                               \
	{                                                                                    \
		.base = {fake_authorize, fake_challenged}, .value = (first), .next = (then), \
	}

TEST(a_challenge_is_taken_to_the_auth_once)
{
	static const struct fake_answer script[] = {
		{.status = 401,
		 .headers = "WWW-Authenticate: Basic realm=\"a\"\r\n"
			    "WWW-Authenticate: Bearer realm=\"b\"\r\n",
		 .body = "denied"},
		{0},
	};
	struct fake_auth auth = FAKE_AUTH(NULL, "Basic eDp5");
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, script);
	auto_free char *url = fake_server_url(f.server, "/x");
	struct http_req req = {.method = "GET", .url = url, .auth = &auth.base};
	auto_of(http_exchange_free) struct http_exchange *x = http_open(f.net, &req, &e);

	REQUIRE_OK(x ? 0 : -1);
	CHECK_INT(http_status(x), 401);
	CHECK_INT(auth.challenged, 1);
	CHECK_STR(auth.seen, "Basic realm=\"a\"|Bearer realm=\"b\"");
	CHECK_INT(fake_server_requests(f.server), 2);
	auto_free char *first = fake_header(fake_server_request(f.server, 0).head, "Authorization");
	auto_free char *second =
		fake_header(fake_server_request(f.server, 1).head, "Authorization");
	CHECK(first == NULL);
	CHECK_STR(second ? second : "", "Basic eDp5");
}

TEST(no_credential_follows_a_redirect_to_another_origin)
{
	static const struct fake_answer there[] = {{.status = 200, .body = "there"}, {0}};
	struct fake_server *other = fake_server_start(there);
	auto_free char *to_other = fake_server_url(other, "/signed?token=1");
	auto_free char *location = xasprintf("Location: %s\r\n", to_other);
	const struct fake_answer script[] = {
		{.path = "/away", .status = 307, .headers = location},
		{.path = "/here", .status = 307, .headers = "Location: target?a=b\r\n"},
		{.path = "/target", .status = 200, .body = "here"},
		{0},
	};
	static const char *const headers[] = {"Accept: text/plain", "Cookie: secret",
					      "Range: bytes=0-", NULL};
	struct fake_auth auth = FAKE_AUTH("Basic eDp5", NULL);
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, script);
	auto_free char *away = fake_server_url(f.server, "/away");
	auto_free char *here = fake_server_url(f.server, "/here");
	struct http_req req = {.method = "GET", .url = away, .headers = headers};

	req.auth = &auth.base;
	auto_of(http_exchange_free) struct http_exchange *x = http_open(f.net, &req, &e);
	req.url = here;
	auto_of(http_exchange_free) struct http_exchange *y = http_open(f.net, &req, &e);

	if (x && y) {
		const char *head = fake_server_request(other, 0).head;
		auto_free char *authorization = fake_header(head, "Authorization");
		auto_free char *cookie = fake_header(head, "Cookie");
		auto_free char *accept = fake_header(head, "Accept");
		auto_free char *range = fake_header(head, "Range");
		auto_free char *kept =
			fake_header(fake_server_request(f.server, 2).head, "Authorization");

		CHECK(authorization == NULL);
		CHECK(cookie == NULL);
		CHECK_STR(accept, "text/plain");
		CHECK_STR(range, "bytes=0-");
		CHECK_STR(http_url(x), to_other);
		CHECK(ends_with(http_url(y), "/target?a=b"));
		CHECK_STR(kept ? kept : "", "Basic eDp5");
	}
	CHECK(x && y);
	fake_server_stop(other);
}

TEST(redirects_end_after_ten_and_never_lead_to_a_file)
{
	static const struct fake_answer script[] = {
		{.path = "/loop", .status = 302, .headers = "Location: /loop\r\n"},
		{.path = "/file", .status = 302, .headers = "Location: file:///etc/passwd\r\n"},
		{.method = "POST", .status = 302, .headers = "Location: /loop\r\n"},
		{0},
	};
	auto_fixture struct fixture f;
	char text[100];
	struct err e;

	set_up(&f, script);
	CHECK_INT(get_text(&f, "/loop", 0, text, sizeof(text), &e), -1);
	CHECK(ends_with(e.text, "/loop\": stopped after 10 redirects"));
	CHECK_INT(fake_server_requests(f.server), 11);
	CHECK_INT(get_text(&f, "/file", 0, text, sizeof(text), &e), -1);
	CHECK_INT(get_text(&f, "/file", HTTP_KEEP_REDIRECT, text, sizeof(text), &e), 302);
}

TEST(a_308_repeats_the_method_and_the_body)
{
	static const struct fake_answer script[] = {
		{.path = "/a", .status = 308, .headers = "Location: /b\r\n"},
		{.path = "/b", .method = "PUT", .status = 201},
		{0},
	};
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, script);
	auto_free char *url = fake_server_url(f.server, "/a");
	struct http_req req = {.method = "PUT", .url = url, .body = "hello", .body_len = 5};
	auto_of(http_exchange_free) struct http_exchange *x = http_open(f.net, &req, &e);

	REQUIRE_OK(x ? 0 : -1);
	CHECK_INT(http_status(x), 201);
	CHECK_STR(fake_server_request(f.server, 1).body, "hello");
}

// Uploads. --------------------------------------------------------------------------------------

TEST(an_empty_post_says_that_it_is_empty)
{
	static const struct fake_answer script[] = {{.status = 202}, {0}};
	static const char *const methods[] = {"POST", "PUT", "PATCH"};
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, script);
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		auto_free char *url = fake_server_url(f.server, "/up");
		struct http_req req = {.method = methods[i], .url = url, .flags = HTTP_SMALL};
		auto_of(http_exchange_free) struct http_exchange *x = http_open(f.net, &req, &e);

		REQUIRE_OK(x ? 0 : -1);
		struct fake_request r = fake_server_request(f.server, (int)i);
		auto_free char *length = fake_header(r.head, "Content-Length");
		auto_free char *type = fake_header(r.head, "Content-Type");
		auto_free char *expect = fake_header(r.head, "Expect");

		CHECK_STR(r.method, methods[i]);
		CHECK_STR(length ? length : "none", "0");
		CHECK(type == NULL);
		CHECK(expect == NULL);
	}
}

static int upload(struct fixture *f, struct http_exchange *x, uint64_t size, struct err *e)
{
	for (uint64_t at = 0; at < size;) {
		struct slab *s = slab_get(f->pool, &f->cancel, e);

		if (!s)
			return -1;
		s->n = size - at < SLAB_SIZE ? (size_t)(size - at) : SLAB_SIZE;
		memcpy(s->data, blob + at % (BLOB_SIZE - SLAB_SIZE), s->n);
		at += s->n;
		if (http_write(x, s, e) < 0)
			return -1;
	}
	return 0;
}

TEST(a_streamed_body_arrives_with_its_length)
{
	static const struct fake_answer script[] = {{.status = 201, .body = "made"}, {0}};
	auto_fixture struct fixture f;
	auto_buf struct buf body = BUF_INIT(100);
	struct err e;

	set_up(&f, script);
	auto_free char *url = fake_server_url(f.server, "/up");
	struct http_req req = {.method = "PATCH", .url = url, .streamed = true};

	req.body_size = BLOB_SIZE;
	auto_of(http_exchange_free) struct http_exchange *x = http_open(f.net, &req, &e);
	REQUIRE_OK(x ? 0 : -1);
	REQUIRE_OK(upload(&f, x, BLOB_SIZE, &e));
	REQUIRE_OK(http_finish(x, &e));
	CHECK_INT(http_status(x), 201);
	REQUIRE_OK(http_read_all(x, &body, &e));
	CHECK_STR(body.p, "made");
	struct fake_request r = fake_server_request(f.server, 0);
	auto_free char *expect = fake_header(r.head, "Expect");
	CHECK_STR(r.method, "PATCH");
	CHECK_INT(r.body_len, BLOB_SIZE);
	CHECK(memcmp(r.body, blob, 60000) == 0);
	CHECK(expect == NULL);
}

TEST(a_streamed_body_of_nothing_works)
{
	static const struct fake_answer script[] = {{.status = 201}, {0}};
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, script);
	auto_free char *url = fake_server_url(f.server, "/up");
	struct http_req req = {.method = "PUT", .url = url, .streamed = true};
	auto_of(http_exchange_free) struct http_exchange *x = http_open(f.net, &req, &e);

	REQUIRE_OK(x ? 0 : -1);
	REQUIRE_OK(http_finish(x, &e));
	CHECK_INT(http_status(x), 201);
}

TEST(a_body_longer_or_shorter_than_announced_is_refused)
{
	static const struct fake_answer script[] = {{.status = 201}, {0}};
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, script);
	auto_free char *url = fake_server_url(f.server, "/up");
	struct http_req req = {.method = "PUT", .url = url, .streamed = true, .body_size = 100};
	auto_of(http_exchange_free) struct http_exchange *longer = http_open(f.net, &req, &e);

	CHECK_FAILS(upload(&f, longer, 101, &e));
	auto_of(http_exchange_free) struct http_exchange *shorter = http_open(f.net, &req, &e);
	CHECK_OK(upload(&f, shorter, 99, &e));
	CHECK_FAILS(http_finish(shorter, &e));
	CHECK_INT(e.kind, ERR_INPUT);
}

TEST(a_body_of_which_bytes_have_left_is_never_repeated_behind_the_callers_back)
{
	static const struct fake_answer script[] = {
		{.method = "GET", .status = 200, .body = "hello"},
		{.method = "PUT", .times = 1, .flags = FAKE_RESET | FAKE_DEAF},
		{.method = "PUT", .status = 201},
		{0},
	};
	auto_fixture struct fixture f;
	char text[100];
	struct err e;

	set_up(&f, script);
	CHECK_INT(get_text(&f, "/x", HTTP_SMALL, text, sizeof(text), &e), 200);
	auto_free char *url = fake_server_url(f.server, "/up");
	struct http_req req = {.method = "PUT", .url = url, .streamed = true};

	req.body_size = BLOB_SIZE;
	auto_of(http_exchange_free) struct http_exchange *x = http_open(f.net, &req, &e);
	REQUIRE_OK(x ? 0 : -1);
	int rc = upload(&f, x, BLOB_SIZE, &e);

	if (rc == 0)
		rc = http_finish(x, &e);
	// Either the connection died before a byte of the body had left, and all of it came
	// through on the next; or it is the caller's turn.
	struct fake_request last =
		fake_server_request(f.server, fake_server_requests(f.server) - 1);
	if (rc == 0)
		CHECK(last.body_len == BLOB_SIZE && memcmp(last.body, blob, 60000) == 0);
	else
		CHECK_INT(e.kind, ERR_NET);
}

TEST(a_writer_hears_of_an_early_answer)
{
	static const struct fake_answer script[] = {
		{.status = 413, .body = "too large", .flags = FAKE_DEAF},
		{0},
	};
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, script);
	auto_free char *url = fake_server_url(f.server, "/up");
	struct http_req req = {.method = "PUT", .url = url, .streamed = true};

	req.body_size = (uint64_t)1 << 40;
	auto_of(http_exchange_free) struct http_exchange *x = http_open(f.net, &req, &e);
	REQUIRE_OK(x ? 0 : -1);
	CHECK_FAILS(upload(&f, x, req.body_size, &e)); // long before a terabyte
	REQUIRE_OK(http_finish(x, &e));
	CHECK_INT(http_status(x), 413);
}

// Fairness, stalls, cancellation. ----------------------------------------------------------------

TEST(slow_readers_stop_nobody_and_hold_little)
{
	enum { READERS = 8 };
	static const struct fake_answer script[] = {
		{.path = "/b", .status = 200, .body = blob, .body_len = BLOB_SIZE},
		{.path = "/small", .status = 200, .body = "hello"},
		{0},
	};
	struct http_exchange *slow[READERS];
	auto_fixture struct fixture f;
	char text[100];
	struct err e;
	int spare = 0;

	set_up(&f, script);
	for (int i = 0; i < READERS; i++) {
		slow[i] = get(&f, "/b", 0, &e);
		CHECK(slow[i] != NULL);
	}
	for (int i = 0; i < 20; i++)
		CHECK_INT(get_text(&f, "/small", 0, text, sizeof(text), &e), 200);
	// A stopped reader has at most its four slabs and the one that is being filled.
	struct slab *held[64];

	while (spare < 64 && (held[spare] = slab_try(f.pool)))
		spare++;
	CHECK(spare >= 64 - READERS * 5);
	while (spare > 0)
		slab_free(held[--spare]);
	for (int i = 0; i < READERS; i++) {
		auto_buf struct buf body = BUF_INIT(BLOB_SIZE);

		CHECK_OK(http_read_all(slow[i], &body, &e));
		CHECK(body.n == BLOB_SIZE && memcmp(body.p, blob, BLOB_SIZE) == 0);
		http_exchange_free(slow[i]);
	}
}

TEST(an_empty_pool_pauses_downloads_until_slabs_come_back)
{
	static const struct fake_answer script[] = {
		{.status = 200, .body = blob, .body_len = BLOB_SIZE},
		{0},
	};
	auto_fixture struct fixture f;
	struct slab *held[64];
	struct err e;

	set_up(&f, script);
	for (int i = 0; i < 64; i++)
		held[i] = slab_get(f.pool, NULL, &e);
	auto_of(stream_free) struct stream *s = download(&f, "/b", 0, BLOB_SIZE, &e);
	REQUIRE_OK(s ? 0 : -1);
	for (int i = 0; i < 64; i++)
		slab_free(held[i]);
	CHECK_INT(compare(s, 0, &e), BLOB_SIZE);
}

TEST(a_stall_is_found_and_the_download_goes_on)
{
	static const struct fake_answer script[] = {
		{.times = 1,
		 .status = 200,
		 .body = blob,
		 .body_len = BLOB_SIZE,
		 .flags = FAKE_STALL,
		 .cut = 500000},
		{.status = 200, .body = blob, .body_len = BLOB_SIZE, .flags = FAKE_RANGE},
		{0},
	};
	auto_fixture struct fixture f;
	struct err e;

	set_up_with(&f, script, &(struct http_config){.stall_seconds = 1});
	auto_of(stream_free) struct stream *s = download(&f, "/b", 0, BLOB_SIZE, &e);

	REQUIRE_OK(s ? 0 : -1);
	CHECK_INT(compare(s, 0, &e), BLOB_SIZE);
	CHECK_INT(f.retries, 1);
}

TEST(a_server_that_says_nothing_is_given_up_after_the_time_asked_for)
{
	static const struct fake_answer script[] = {{.flags = FAKE_HANG}, {0}};
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, script);
	auto_free char *url = fake_server_url(f.server, "/x");
	struct http_req req = {
		.method = "GET", .url = url, .timeout_seconds = 1, .flags = HTTP_ONCE};

	CHECK(http_open(f.net, &req, &e) == NULL);
	CHECK_INT(e.kind, ERR_NET);
	CHECK(ends_with(e.text, "net/http: timeout awaiting response headers"));
}

struct blocked {
	struct fixture *f;
	struct http_exchange *x;
	struct err e;
	int rc;
};

static void *open_blocked(void *arg)
{
	struct blocked *b = arg;
	struct http_exchange *x = get(b->f, "/hang", 0, &b->e);

	b->rc = x ? 0 : -1;
	http_exchange_free(x);
	return NULL;
}

static void *read_blocked(void *arg)
{
	struct blocked *b = arg;
	struct slab *s;

	while ((s = http_read(b->x, &b->e)))
		slab_free(s);
	b->rc = b->e.kind == ERR_NONE ? 0 : -1;
	return NULL;
}

static void *write_blocked(void *arg)
{
	struct blocked *b = arg;

	b->rc = upload(b->f, b->x, (uint64_t)1 << 40, &b->e);
	return NULL;
}

TEST(cancelling_wakes_whoever_opens_reads_or_writes)
{
	static const struct fake_answer script[] = {
		{.path = "/stall", .status = 200, .body = "hello", .flags = FAKE_STALL, .cut = 2},
		{.flags = FAKE_HANG | FAKE_DEAF},
		{0},
	};
	void *(*const bodies[])(void *) = {open_blocked, read_blocked, write_blocked};
	struct blocked b[3];
	pthread_t threads[3];
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, script);
	auto_free char *url = fake_server_url(f.server, "/deaf");
	struct http_req put = {.method = "PUT", .url = url, .streamed = true};

	put.body_size = (uint64_t)1 << 40;
	for (int i = 0; i < 3; i++)
		b[i] = (struct blocked){.f = &f};
	b[1].x = get(&f, "/stall", 0, &e);
	b[2].x = http_open(f.net, &put, &e);
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, bodies[i], &b[i]);
	fake_server_await(f.server, 3);
	cancel_fire(&f.cancel);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		CHECK_INT(b[i].rc, -1);
		CHECK_INT(b[i].e.kind, ERR_CANCELLED);
		http_exchange_free(b[i].x);
	}
	CHECK(get(&f, "/x", 0, &e) == NULL);
	CHECK_INT(e.kind, ERR_CANCELLED);
}

TEST(an_exchange_can_be_dropped_at_any_time)
{
	static const struct fake_answer script[] = {
		{.path = "/b", .status = 200, .body = blob, .body_len = BLOB_SIZE},
		{0},
	};
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, script);
	auto_free char *url = fake_server_url(f.server, "/up");
	struct http_req put = {.method = "PUT", .url = url, .streamed = true, .body_size = 1000};

	for (int i = 0; i < 20; i++) {
		auto_of(http_exchange_free) struct http_exchange *x = get(&f, "/b", 0, &e);

		CHECK(x != NULL);
		slab_free(http_read(x, &e));
		http_exchange_free(http_open(f.net, &put, &e));
	}
}

// What servers may not send. ---------------------------------------------------------------------

TEST(heads_have_ceilings_and_no_control_bytes)
{
	static char huge[80 * 1024], many[40 * 1024];
	static const struct fake_answer script[] = {
		{.path = "/huge", .flags = FAKE_RAW, .body = huge},
		{.path = "/many", .flags = FAKE_RAW, .body = many},
		{.path = "/control",
		 .flags = FAKE_RAW,
		 .body = "HTTP/1.1 200 OK\r\nX: a\001b\r\nContent-Length: 0\r\n\r\n"},
		{.path = "/folded",
		 .flags = FAKE_RAW,
		 .body = "HTTP/1.1 200 OK\r\nX: a\r\n b: c\r\nContent-Length: 0\r\n\r\n"},
		{.path = "/nothttp", .flags = FAKE_RAW, .body = "SSH-2.0-OpenSSH\r\n"},
		{0},
	};
	static const struct {
		const char *path, *says;
	} rows[] = {
		{"/huge", "response headers are larger than 65536 bytes"},
		{"/many", "response has more than 256 header fields"},
		{"/control", "control byte in response header 'X'"},
		{"/folded", "malformed response header"},
		{"/nothttp", ""},
	};
	auto_fixture struct fixture f;
	char text[100];
	struct err e;
	size_t n = 0;

	n = (size_t)snprintf(huge, sizeof(huge), "HTTP/1.1 200 OK\r\n");
	while (n < 70000)
		n += (size_t)snprintf(huge + n, sizeof(huge) - n, "X-%zu: %01000d\r\n", n, 0);
	snprintf(huge + n, sizeof(huge) - n, "\r\n");
	n = (size_t)snprintf(many, sizeof(many), "HTTP/1.1 200 OK\r\n");
	for (int i = 0; i < 300; i++)
		n += (size_t)snprintf(many + n, sizeof(many) - n, "X-%d: y\r\n", i);
	snprintf(many + n, sizeof(many) - n, "\r\n");
	set_up(&f, script);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CHECK_INT(get_text(&f, rows[i].path, HTTP_ONCE, text, sizeof(text), &e), -1);
		CHECK_INT(e.kind, ERR_NET);
		tap_report(strstr(e.text, rows[i].says) != NULL, "%s: %s", rows[i].path, e.text);
	}
}

TEST(a_request_header_cannot_be_broken_in_two)
{
	static const struct fake_answer script[] = {{.status = 200}, {0}};
	static const char *const headers[] = {"X: a\r\nY: b", NULL};
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, script);
	auto_free char *url = fake_server_url(f.server, "/x");
	struct http_req req = {.method = "GET", .url = url, .headers = headers};

	CHECK(http_open(f.net, &req, &e) == NULL);
	CHECK_INT(e.kind, ERR_INPUT);
	CHECK_INT(fake_server_requests(f.server), 0);
}

// Wording. ---------------------------------------------------------------------------------------

TEST(a_refused_port_and_an_unknown_host_are_told_at_once_in_the_known_words)
{
	static const struct fake_answer script[] = {{.status = 200}, {0}};
	auto_fixture struct fixture f;
	uint64_t began = clock_us();
	struct err e;

	set_up(&f, script);
	struct http_req refused = {.method = "GET", .url = "http://127.0.0.1:1/v2/?x=y"};
	struct http_req unknown = {.method = "HEAD", .url = "https://nohost.invalid/v2/"};

	CHECK(http_open(f.net, &refused, &e) == NULL);
	CHECK_STR(e.text, "Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: "
			  "connection refused\nhint: nothing listens there: check the host and the "
			  "port");
	CHECK(http_open(f.net, &unknown, &e) == NULL);
	CHECK(starts_with(e.text, "Head \"https://nohost.invalid/v2/\": dial tcp: lookup "
				  "nohost.invalid: no such host\nhint: "));
	CHECK_INT(f.retries, 0);
	CHECK(clock_us() - began < 20 * 1000000);
}

TEST(a_host_that_has_answered_before_is_waited_for)
{
	static const struct fake_answer script[] = {{.status = 200, .flags = FAKE_CLOSE}, {0}};
	auto_fixture struct fixture f;
	char text[100];
	struct err e;

	set_up_with(&f, script, &(struct http_config){.retries = 1});
	CHECK_INT(get_text(&f, "/x", 0, text, sizeof(text), &e), 200);
	auto_free char *url = fake_server_url(f.server, "/x");
	struct http_req req = {.method = "GET", .url = url};

	fake_server_stop(f.server);
	f.server = NULL;
	CHECK(http_open(f.net, &req, &e) == NULL);
	CHECK(strstr(e.text, "connect: connection refused\nhint: ") != NULL);
	CHECK_INT(f.retries, 1);
}

TEST(a_reset_and_an_empty_answer_are_told_apart)
{
	static const struct fake_answer script[] = {
		{.path = "/reset", .flags = FAKE_RESET},
		{.path = "/drop", .flags = FAKE_DROP},
		{0},
	};
	auto_fixture struct fixture f;
	char text[100];
	struct err e;

	set_up(&f, script);
	CHECK_INT(get_text(&f, "/reset", HTTP_ONCE, text, sizeof(text), &e), -1);
	CHECK(strstr(e.text, ": read tcp 127.0.0.1:") != NULL);
	CHECK(ends_with(e.text, ": read: connection reset by peer"));
	CHECK_INT(get_text(&f, "/drop", HTTP_ONCE, text, sizeof(text), &e), -1);
	CHECK(ends_with(e.text, "/drop\": EOF"));
}

int main(void)
{
	return tap_main();
}
