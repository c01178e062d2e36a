// SPDX-License-Identifier: Apache-2.0
// Pushing blobs. Each test names the row of the endpoint table it covers and the section of the OCI
// distribution-spec (v1.1; "dev" is the text after it).
#include "push_fixture.h"

#define HELLO STR("hello, registry")

static char *big_text(size_t n)
{
	char *p = xmalloc(n);

	for (size_t i = 0; i < n; i++)
		p[i] = (char)(i * 31 + i / 253);
	return p;
}

// ---- row 9: DELETE of a blob, "Deleting Blobs"

TEST(row9_a_blob_is_removed_from_this_repository_only)
{
	auto_server struct server r;

	server_start(&r, NULL);
	for (enum digest_algo algo = DIGEST_SHA256; algo <= DIGEST_SHA512; algo++) {
		struct digest d = push_blob(&r, "a", algo, HELLO);

		push_blob(&r, "b", algo, HELLO);
		CHECK_INT(get(&r, "DELETE", "/v2/a/blobs/%s", d.text), 202);
		CHECK_STR(header(&r, "Warning"), "");
		CHECK(!has_blob(&r, "a", &d));
		CHECK(has_blob(&r, "b", &d));
		CHECK_INT(get(&r, "DELETE", "/v2/a/blobs/%s", d.text), 404);
		CHECK_STR(answer_code(&r.last), "BLOB_UNKNOWN");
	}
}

static void no_deletes(struct registry *r)
{
	r->cfg.allow_delete = false;
}

TEST(row9_deletes_that_are_off_are_405)
{
	auto_server struct server r;

	server_start(&r, no_deletes);
	struct digest d = push_blob(&r, "a", DIGEST_SHA256, HELLO);

	CHECK_INT(get(&r, "DELETE", "/v2/a/blobs/%s", d.text), 405);
	CHECK_STR(answer_code(&r.last), "UNSUPPORTED");
	CHECK(has_blob(&r, "a", &d));
}

TEST(row9_a_blob_that_a_manifest_uses_goes_with_a_warning)
{
	auto_server struct server r;

	server_start(&r, NULL);
	struct digest d = push_blob(&r, "a", DIGEST_SHA256, STR("{}"));
	auto_free char *manifest =
		xasprintf("{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_MANIFEST "\",\"config\":{"
			  "\"mediaType\":\"application/vnd.oci.empty.v1+json\",\"digest\":\"%s\","
			  "\"size\":2},\"layers\":[]}",
			  d.text);

	CHECK_INT(ask_with(&r, "PUT", str_of(manifest), NULL, "/v2/a/manifests/v1"), 201);
	CHECK_INT(get(&r, "DELETE", "/v2/a/blobs/%s", d.text), 202);
	CHECK(starts_with(header(&r, "Warning"), "299 - \""));
	CHECK(strstr(r.reg.notices.p, d.text));
	CHECK(!has_blob(&r, "a", &d));
}

// ---- row 10: POST, "Pushing a blob in chunks"

TEST(row10_a_session_starts_empty_and_says_where_it_is)
{
	auto_server struct server r;

	server_start(&r, NULL);
	CHECK_INT(ask_with(&r, "POST", STR(""), "Content-Type: application/json",
			   "/v2/deep/er/blobs/uploads/"),
		  202);
	CHECK(starts_with(header(&r, "Location"), "/v2/deep/er/blobs/uploads/"));
	CHECK(ends_with(header(&r, "Location"), header(&r, "Docker-Upload-UUID")));
	CHECK_INT(strlen(header(&r, "Docker-Upload-UUID")), 36);
	CHECK_STR(header(&r, "Range"), "0-0");
	CHECK_INT(r.last.n, 0);
	CHECK_INT(store_upload_count(r.reg.store), 0);
}

// dev: the parameter digest-algorithm.
TEST(row10_the_hash_of_a_session_can_be_chosen)
{
	static const struct {
		const char *query;
		int status;
		enum digest_algo algo;
	} rows[] = {
		{"", 202, DIGEST_SHA256},
		{"?digest-algorithm=sha256", 202, DIGEST_SHA256},
		{"?digest-algorithm=sha512", 202, DIGEST_SHA512},
		{"?digest-algorithm=md5", 400, 0},
		{"?digest-algorithm=", 400, 0},
	};
	auto_server struct server r;

	server_start(&r, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e;

		CHECK_INT(get(&r, "POST", "/v2/a/blobs/uploads/%s", rows[i].query), rows[i].status);
		if (rows[i].status != 202) {
			CHECK_STR(answer_code(&r.last), "DIGEST_INVALID");
			continue;
		}
		auto_of(store_upload_close) struct store_upload *u = store_upload_open(
			r.reg.store, "a", "", header(&r, "Docker-Upload-UUID"), &e);

		CHECK(u != NULL);
		if (u)
			CHECK_INT(store_upload_algo(u), rows[i].algo);
	}
}

static void one_session(struct registry *r)
{
	r->cfg.limits.sessions = 1;
}

TEST(row10_sessions_with_data_are_limited)
{
	auto_server struct server r;

	server_start(&r, one_session);
	auto_free char *first = start(&r, "a"), *second = start(&r, "a");

	CHECK_INT(ask_with(&r, "PATCH", HELLO, NULL, "%s", first), 202);
	CHECK_INT(get(&r, "POST", "/v2/a/blobs/uploads/"), 429);
	CHECK_STR(answer_code(&r.last), "TOOMANYREQUESTS");
	CHECK(*header(&r, "Retry-After"));
	CHECK_INT(ask_with(&r, "PATCH", HELLO, NULL, "%s", second), 429);
	// The one that has data goes on.
	CHECK_INT(ask_with(&r, "PATCH", HELLO, NULL, "%s", first), 202);
	CHECK_INT(get(&r, "DELETE", "%s", first), 204);
	CHECK_INT(ask_with(&r, "PATCH", HELLO, NULL, "%s", second), 202);
}

static void full_disk(struct registry *r)
{
	r->cfg.limits.disk_reserve = UINT64_MAX;
}

TEST(row10_a_disk_below_its_reserve_takes_no_push)
{
	auto_server struct server r;

	server_start(&r, full_disk);
	CHECK_INT(get(&r, "POST", "/v2/a/blobs/uploads/"), 503);
	CHECK_STR(answer_code(&r.last), "TOOMANYREQUESTS");
	CHECK(*header(&r, "Retry-After"));
	struct digest d = digest_in(DIGEST_SHA256, HELLO);

	CHECK_INT(ask_with(&r, "POST", HELLO, NULL, "/v2/a/blobs/uploads/?digest=%s", d.text), 503);
	CHECK(!r.last.wanted);
}

// ---- row 11: POST with the body, "Single POST"

TEST(row11_a_blob_can_be_pushed_in_one_request)
{
	static const struct str bodies[] = {{"", 0}, {"x", 1}, {"hello, registry", 15}};
	auto_server struct server r;

	server_start(&r, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++)
		for (enum digest_algo algo = DIGEST_SHA256; algo <= DIGEST_SHA512; algo++) {
			struct digest d = push_blob(&r, "a", algo, bodies[i]);
			auto_free char *where = xasprintf("/v2/a/blobs/%s", d.text);

			CHECK_STR(header(&r, "Location"), where);
			CHECK_STR(header(&r, "Docker-Content-Digest"), d.text);
			CHECK(has_blob(&r, "a", &d));
		}
	CHECK_INT(store_upload_count(r.reg.store), 0);
}

TEST(row11_a_single_post_that_is_wrong_leaves_nothing)
{
	auto_server struct server r;

	server_start(&r, NULL);
	struct digest d = digest_in(DIGEST_SHA256, STR("other"));
	auto_free char *target = xasprintf("/v2/a/blobs/uploads/?digest=%s", d.text);

	CHECK_INT(ask_with(&r, "POST", HELLO, NULL, "%s", target), 400);
	CHECK_STR(answer_code(&r.last), "DIGEST_INVALID");
	CHECK_INT(ask_with(&r, "POST", STR(""), NULL, "%s", target), 400);
	CHECK_STR(answer_code(&r.last), "DIGEST_INVALID");
	CHECK_INT(ask_with(&r, "POST", HELLO, NULL, "/v2/a/blobs/uploads/?digest=sha256:abc"), 400);
	CHECK_STR(answer_code(&r.last), "DIGEST_INVALID");
	CHECK(!r.last.wanted);
	request(&r,
		&(struct ask){.method = "POST", .target = target, .body = HELLO, .promised = 99});
	CHECK(r.last.wanted);
	CHECK_INT(store_upload_count(r.reg.store), 0);
	CHECK(!has_blob(&r, "a", &d));
}

// ---- rows 12 and 13: "Mounting a blob from another repository"

TEST(row12_a_blob_is_mounted_from_another_repository)
{
	auto_server struct server r;

	server_start(&r, NULL);
	for (enum digest_algo algo = DIGEST_SHA256; algo <= DIGEST_SHA512; algo++) {
		struct digest d = push_blob(&r, "src/app", algo, HELLO);
		auto_free char *where = xasprintf("/v2/dst/blobs/%s", d.text);

		CHECK_INT(get(&r, "POST",
			      "/v2/dst/blobs/uploads/?mount=%s&from=src%%2Fapp&origin=example.com",
			      d.text),
			  201);
		CHECK_STR(header(&r, "Location"), where);
		CHECK_STR(header(&r, "Docker-Content-Digest"), d.text);
		CHECK(has_blob(&r, "dst", &d));
		CHECK_INT(get(&r, "DELETE", "/v2/dst/blobs/%s", d.text), 202);
	}
}

TEST(row12_a_mount_that_cannot_be_starts_a_session)
{
	static const char *const queries[] = {
		"mount=%s&from=nowhere",
		"mount=%s&from=..%%2F..%%2Fetc",
		"mount=%s&from=UPPER",
		"mount=sha256:1&from=src",
		"mount=&from=src",
		"from=src",
		"mount=%s&from=src%%2Fblobs",
	};
	auto_server struct server r;

	server_start(&r, NULL);
	struct digest d = push_blob(&r, "src", DIGEST_SHA256, HELLO);

	for (size_t i = 0; i < ARRAY_SIZE(queries); i++) {
		auto_buf struct buf target = BUF_INIT(BUF_TEXT_MAX);
		const char *at = strstr(queries[i], "%s");

		buf_puts(&target, "/v2/dst/blobs/uploads/?");
		if (at)
			buf_printf(&target, "mount=%s", d.text);
		for (const char *p = at ? at + 2 : queries[i]; *p; p++)
			if (p[0] != '%' || p[1] != '%')
				buf_putc(&target, *p);
		CHECK_INT(get(&r, "POST", "%s", target.p), 202);
		CHECK(starts_with(header(&r, "Location"), "/v2/dst/blobs/uploads/"));
		CHECK_INT(get(&r, "DELETE", "%s", header(&r, "Location")), 204);
	}
	CHECK(!has_blob(&r, "dst", &d));
}

TEST(row13_an_open_registry_mounts_from_any_repository)
{
	auto_server struct server r;

	server_start(&r, NULL);
	struct digest d = push_blob(&r, "src", DIGEST_SHA256, HELLO);
	struct digest absent = digest_in(DIGEST_SHA256, STR("absent"));

	CHECK_INT(get(&r, "POST", "/v2/dst/blobs/uploads/?mount=%s", d.text), 201);
	CHECK(has_blob(&r, "dst", &d));
	CHECK_INT(get(&r, "POST", "/v2/dst/blobs/uploads/?mount=%s", absent.text), 202);
}

// ---- row 14: PATCH, "Pushing a blob in chunks"

TEST(row14_the_three_shapes_of_a_chunk_append)
{
	auto_server struct server r;

	server_start(&r, NULL);
	auto_free char *at = start(&r, "a");

	// crane and skopeo: a length, no range.
	CHECK_INT(ask_with(&r, "PATCH", STR("12345"), NULL, "%s", at), 202);
	CHECK_STR(header(&r, "Location"), at);
	CHECK_STR(header(&r, "Range"), "0-4");
	CHECK(ends_with(at, header(&r, "Docker-Upload-UUID")));
	// oc: chunked, no length, no range, no type.
	CHECK_INT(request(&r, &(struct ask){.method = "PATCH",
					    .target = at,
					    .body = STR("67890"),
					    .chunked = true}),
		  202);
	CHECK_STR(header(&r, "Range"), "0-9");
	// The suite: a range and its length; with a unit it is understood, too.
	CHECK_INT(ask_with(&r, "PATCH", STR("abc"), "Content-Range: 10-12", "%s", at), 202);
	CHECK_INT(ask_with(&r, "PATCH", STR("de"), "Content-Range: bytes 13-14", "%s", at), 202);
	CHECK_STR(header(&r, "Range"), "0-14");
	struct digest d = digest_in(DIGEST_SHA256, STR("1234567890abcde"));

	CHECK_INT(get(&r, "PUT", "%s?digest=%s", at, d.text), 201);
	CHECK(has_blob(&r, "a", &d));
}

TEST(row14_a_chunk_that_does_not_fit_stores_nothing)
{
	static const struct {
		const char *range;
		int status;
		const char *code;
	} rows[] = {
		{"5-9", 202, NULL},
		{"0-4", 416, "BLOB_UPLOAD_INVALID"},
		{"11-15", 416, "BLOB_UPLOAD_INVALID"},
		{"10-13", 400, "SIZE_INVALID"},
		{"10-99", 400, "SIZE_INVALID"},
		{"14-10", 400, "BLOB_UPLOAD_INVALID"},
		{"ten-14", 400, "BLOB_UPLOAD_INVALID"},
		{"", 400, "BLOB_UPLOAD_INVALID"},
		{"10-99999999999", 413, "SIZE_INVALID"},
		{"10-18446744073709551615", 400, "BLOB_UPLOAD_INVALID"},
	};
	auto_server struct server r;

	server_start(&r, NULL);
	auto_free char *at = start(&r, "a");

	CHECK_INT(ask_with(&r, "PATCH", STR("12345"), NULL, "%s", at), 202);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *line = xasprintf("Content-Range: %s", rows[i].range);

		CHECK_INT(ask_with(&r, "PATCH", STR("67890"), line, "%s", at), rows[i].status);
		if (rows[i].code) {
			CHECK_STR(answer_code(&r.last), rows[i].code);
			CHECK(!r.last.wanted);
		}
		if (rows[i].status == 416) {
			CHECK_STR(header(&r, "Location"), at);
			CHECK_STR(header(&r, "Range"), "0-9");
		}
		CHECK_INT(get(&r, "GET", "%s", at), 204);
		CHECK_STR(header(&r, "Range"), "0-9");
	}
}

TEST(row14_a_chunked_body_must_be_as_long_as_its_range)
{
	static const struct {
		const char *range;
		int status;
	} rows[] = {{"Content-Range: 5-8", 400},
		    {"Content-Range: 5-10", 400},
		    {"Content-Range: 5-9", 202}};
	auto_server struct server r;

	server_start(&r, NULL);
	auto_free char *at = start(&r, "a");

	CHECK_INT(ask_with(&r, "PATCH", STR("12345"), NULL, "%s", at), 202);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CHECK_INT(request(&r, &(struct ask){.method = "PATCH",
						    .target = at,
						    .headers = rows[i].range,
						    .body = STR("67890"),
						    .chunked = true}),
			  rows[i].status);
		if (rows[i].status == 400)
			CHECK_STR(answer_code(&r.last), "SIZE_INVALID");
		CHECK_INT(get(&r, "GET", "%s", at), 204);
		CHECK_STR(header(&r, "Range"), rows[i].status == 400 ? "0-4" : "0-9");
	}
}

TEST(row14_the_loser_of_two_racing_chunks_is_told_to_look_again)
{
	auto_server struct server r;

	server_start(&r, NULL);
	const struct service *s = api_service(r.reg.api);
	auto_free char *at = start(&r, "a");
	struct exchange x = {0};

	reply_init(&x.reply);

	ask_request(&x.request, "PATCH", at, NULL, "12345", 5);
	CHECK_INT(s->begin(s->arg, &x), NEXT_BODY);
	CHECK_INT(ask_with(&r, "PATCH", STR("67890"), NULL, "%s", at), 416);
	CHECK_STR(answer_code(&r.last), "BLOB_UPLOAD_INVALID");
	CHECK_STR(header(&r, "Location"), at);
	CHECK_INT(ask_with(&r, "PUT", STR("67890"), NULL, "%s?digest=%s", at,
			   digest_in(DIGEST_SHA256, STR("67890")).text),
		  416);
	CHECK_INT(get(&r, "GET", "%s", at), 503);
	CHECK(*header(&r, "Retry-After"));
	CHECK_INT(ask_send(s, &x, "12345", 5), 0);
	s->end(s->arg, &x);
	CHECK_INT(x.reply.status, 202);
	CHECK(strstr(x.reply.headers.p, "Range: 0-4\r\n"));
	// It is free before the answer is sent.
	CHECK_INT(ask_with(&r, "PATCH", STR("67890"), NULL, "%s", at), 202);
	s->done(s->arg, &x, true);
	reply_clear(&x.reply);
}

enum { PUSHERS = 4, CHUNKS = 50 };

struct pusher {
	pthread_t thread;
	struct registry *r;
	const char *at;
	unsigned taken; // chunks
};

static void *push_chunks(void *arg)
{
	struct pusher *p = arg;

	for (int i = 0; i < CHUNKS; i++) {
		auto_answer struct answer a = ask(p->r, "PATCH", p->at, NULL, "12345");

		CHECK(a.status == 202 || a.status == 416);
		p->taken += a.status == 202;
	}
	return NULL;
}

TEST(row14_every_chunk_of_a_race_is_there_whole_or_refused)
{
	auto_server struct server r;
	struct pusher pushers[PUSHERS];
	unsigned taken = 0;

	server_start(&r, NULL);
	auto_free char *at = start(&r, "a");

	for (int i = 0; i < PUSHERS; i++) {
		pushers[i] = (struct pusher){.r = &r.reg, .at = at};
		pthread_create(&pushers[i].thread, NULL, push_chunks, &pushers[i]);
	}
	for (int i = 0; i < PUSHERS; i++) {
		pthread_join(pushers[i].thread, NULL);
		taken += pushers[i].taken;
	}
	auto_buf struct buf all = BUF_INIT(BUF_TEXT_MAX);

	for (unsigned i = 0; i < taken; i++)
		buf_puts(&all, "12345");
	CHECK(taken > 0);
	CHECK_INT(get(&r, "PUT", "%s?digest=%s", at, digest_in(DIGEST_SHA256, buf_str(&all)).text),
		  201);
}

TEST(row14_a_connection_that_dies_keeps_what_arrived)
{
	auto_server struct server r;

	server_start(&r, NULL);
	auto_free char *at = start(&r, "a");
	struct ask a = {.method = "PATCH", .target = at, .body = STR("12345"), .promised = 100};

	request(&r, &a);
	CHECK_INT(get(&r, "GET", "%s", at), 204);
	CHECK_STR(header(&r, "Range"), "0-4");
	// With a range it goes back to where that began.
	a.headers = "Content-Range: 5-104";
	request(&r, &a);
	CHECK(r.last.wanted);
	CHECK_INT(get(&r, "HEAD", "%s", at), 204);
	CHECK_STR(header(&r, "Range"), "0-4");
	CHECK_INT(ask_with(&r, "PATCH", STR("67890"), "Content-Range: 5-9", "%s", at), 202);
	struct digest d = digest_in(DIGEST_SHA256, STR("1234567890"));

	CHECK_INT(get(&r, "PUT", "%s?digest=%s", at, d.text), 201);
}

static void ten_bytes(struct registry *r)
{
	r->cfg.limits.blob_bytes = 10;
}

// The limit of a blob: row 14, security section "huge or endless upload".
TEST(row14_a_blob_has_a_largest_size)
{
	auto_server struct server r;

	server_start(&r, ten_bytes);
	auto_free char *at = start(&r, "a"), *endless = start(&r, "a");
	struct digest d = digest_in(DIGEST_SHA256, HELLO);

	CHECK_INT(ask_with(&r, "PATCH", STR("12345"), NULL, "%s", at), 202);
	CHECK_INT(ask_with(&r, "PATCH", STR("678901"), NULL, "%s", at), 413);
	CHECK_STR(answer_code(&r.last), "SIZE_INVALID");
	CHECK(!r.last.wanted);
	CHECK_INT(ask_with(&r, "PATCH", STR("67890"), NULL, "%s", at), 202);
	CHECK_INT(ask_with(&r, "POST", HELLO, NULL, "/v2/a/blobs/uploads/?digest=%s", d.text), 413);
	// Without a length it is noticed when it happens, and the disk is freed.
	CHECK_INT(request(&r, &(struct ask){.method = "PATCH",
					    .target = endless,
					    .body = HELLO,
					    .chunked = true}),
		  413);
	CHECK_INT(get(&r, "GET", "%s", endless), 404);
	CHECK_INT(store_upload_count(r.reg.store), 1);
}

TEST(row14_unknown_sessions_are_404)
{
	static const char *const methods[] = {"GET", "HEAD", "PATCH", "PUT", "DELETE"};
	auto_server struct server r;

	server_start(&r, NULL);
	auto_free char *other = start(&r, "b");
	auto_free char *borrowed = xasprintf("/v2/a%s", strstr(other, "/blobs/"));
	const char *targets[] = {"/v2/a/blobs/uploads/6a3f2c1e-0000-4000-8000-000000000000",
				 "/v2/a/blobs/uploads/x", borrowed};

	for (size_t t = 0; t < ARRAY_SIZE(targets); t++)
		for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
			struct digest d = digest_in(DIGEST_SHA256, STR("12345"));
			auto_free char *target = xasprintf("%s?digest=%s", targets[t], d.text);

			CHECK_INT(ask_with(&r, methods[i], STR("12345"), NULL, "%s", target), 404);
			if (strcmp(methods[i], "HEAD") != 0)
				CHECK_STR(answer_code(&r.last), "BLOB_UPLOAD_UNKNOWN");
		}
}

// ---- row 15: PUT, "POST then PUT" and the closing of chunks

TEST(row15_a_session_ends_with_or_without_a_body)
{
	auto_server struct server r;

	server_start(&r, NULL);
	for (int with_body = 0; with_body < 2; with_body++)
		for (enum digest_algo algo = DIGEST_SHA256; algo <= DIGEST_SHA512; algo++) {
			auto_free char *at = start(&r, "a");
			auto_free char *text = xasprintf("12345%d", with_body);
			struct digest d = digest_in(algo, str_of(text));
			auto_free char *where = xasprintf("/v2/a/blobs/%s", d.text);
			auto_free char *target = xasprintf("%s?digest=%s", at, d.text);

			CHECK_INT(ask_with(&r, "PATCH", str_of(with_body ? "123" : text), NULL,
					   "%s", at),
				  202);
			if (with_body)
				ask_with(&r, "PUT", str_of(text + 3), NULL, "%s", target);
			else
				get(&r, "PUT", "%s", target);
			CHECK_INT(r.last.status, 201);
			CHECK_STR(header(&r, "Location"), where);
			CHECK_STR(header(&r, "Docker-Content-Digest"), d.text);
			CHECK(has_blob(&r, "a", &d));
			CHECK_INT(get(&r, "GET", "%s", at), 404);
			CHECK_INT(get(&r, "DELETE", "%s", at), 404);
		}
	CHECK_INT(store_upload_count(r.reg.store), 0);
}

TEST(row15_the_whole_blob_may_come_with_the_put)
{
	auto_server struct server r;

	server_start(&r, NULL);
	auto_free char *text = big_text(3 << 20), *at = start(&r, "a");
	struct str body = {text, 3 << 20};
	struct digest d = digest_in(DIGEST_SHA256, body);

	CHECK_INT(ask_with(&r, "PUT", body, NULL, "%s?digest=%s", at, d.text), 201);
	CHECK(has_blob(&r, "a", &d));
}

TEST(row15_a_digest_that_is_missing_or_malformed_leaves_the_session)
{
	static const char *const queries[] = {"", "?digest=", "?digest=sha256:12",
					      "?digest=md5:00000000000000000000000000000000"};
	auto_server struct server r;

	server_start(&r, NULL);
	auto_free char *at = start(&r, "a");
	struct digest d = digest_in(DIGEST_SHA256, STR("12345"));

	CHECK_INT(ask_with(&r, "PATCH", STR("12345"), NULL, "%s", at), 202);
	for (size_t i = 0; i < ARRAY_SIZE(queries); i++) {
		CHECK_INT(get(&r, "PUT", "%s%s", at, queries[i]), 400);
		CHECK_STR(answer_code(&r.last), "DIGEST_INVALID");
	}
	CHECK_INT(get(&r, "PUT", "%s?digest=%s", at, d.text), 201);
}

TEST(row15_content_that_is_something_else_drops_the_session)
{
	auto_server struct server r;

	server_start(&r, NULL);
	auto_free char *at = start(&r, "a");
	struct digest d = digest_in(DIGEST_SHA256, STR("54321"));

	CHECK_INT(ask_with(&r, "PATCH", STR("12345"), NULL, "%s", at), 202);
	CHECK_INT(get(&r, "PUT", "%s?digest=%s", at, d.text), 400);
	CHECK_STR(answer_code(&r.last), "DIGEST_INVALID");
	CHECK_INT(get(&r, "GET", "%s", at), 404);
	CHECK(!has_blob(&r, "a", &d));
	CHECK_INT(store_upload_count(r.reg.store), 0);
}

TEST(row15_a_final_chunk_out_of_order_is_416)
{
	auto_server struct server r;

	server_start(&r, NULL);
	auto_free char *at = start(&r, "a");
	struct digest d = digest_in(DIGEST_SHA256, STR("1234567890"));
	auto_free char *target = xasprintf("%s?digest=%s", at, d.text);

	CHECK_INT(ask_with(&r, "PATCH", STR("12345"), "Content-Range: 0-4", "%s", at), 202);
	CHECK_INT(ask_with(&r, "PUT", STR("67890"), "Content-Range: 6-10", "%s", target), 416);
	CHECK_STR(answer_code(&r.last), "BLOB_UPLOAD_INVALID");
	CHECK_STR(header(&r, "Range"), "0-4");
	CHECK_INT(ask_with(&r, "PUT", STR("67890"), "Content-Range: 5-10", "%s", target), 400);
	CHECK_STR(answer_code(&r.last), "SIZE_INVALID");
	CHECK_INT(ask_with(&r, "PUT", STR("67890"), "Content-Range: 5-9", "%s", target), 201);
	CHECK(has_blob(&r, "a", &d));
}

TEST(row15_a_put_whose_answer_was_lost_can_be_repeated)
{
	auto_server struct server r;

	server_start(&r, NULL);
	auto_free char *at = start(&r, "a"), *other = start(&r, "a");
	struct digest d = digest_in(DIGEST_SHA256, STR("12345"));
	struct digest absent = digest_in(DIGEST_SHA256, STR("absent"));

	for (int i = 0; i < 2; i++) {
		CHECK_INT(ask_with(&r, "PUT", STR("12345"), NULL, "%s?digest=%s", at, d.text), 201);
		CHECK_STR(header(&r, "Docker-Content-Digest"), d.text);
	}
	CHECK_INT(get(&r, "PUT", "%s?digest=%s", at, absent.text), 404);
	// An id that was never given out gets nothing, whatever is there.
	other[strlen(other) - 1] = other[strlen(other) - 1] == '0' ? '1' : '0';
	CHECK_INT(get(&r, "PUT", "%s?digest=%s", other, d.text), 404);
	CHECK_STR(answer_code(&r.last), "BLOB_UPLOAD_UNKNOWN");
}

TEST(row15_a_put_can_be_repeated_after_a_restart)
{
	auto_server struct server r;

	server_start(&r, NULL);
	auto_free char *at = start(&r, "a");
	struct digest d = digest_in(DIGEST_SHA256, STR("12345"));

	CHECK_INT(ask_with(&r, "PATCH", STR("12345"), NULL, "%s", at), 202);
	CHECK_INT(get(&r, "PUT", "%s?digest=%s", at, d.text), 201);
	server_restart(&r);
	CHECK_INT(get(&r, "PUT", "%s?digest=%s", at, d.text), 201);
	CHECK_INT(store_upload_count(r.reg.store), 0);
}

TEST(row15_a_put_that_dies_can_be_taken_up_again)
{
	auto_server struct server r;

	server_start(&r, NULL);
	auto_free char *at = start(&r, "a");
	struct digest d = digest_in(DIGEST_SHA256, STR("1234567890"));
	auto_free char *target = xasprintf("%s?digest=%s", at, d.text);

	request(&r,
		&(struct ask){
			.method = "PUT", .target = target, .body = STR("12345"), .promised = 10});
	CHECK_INT(get(&r, "GET", "%s", at), 204);
	CHECK_STR(header(&r, "Range"), "0-4");
	CHECK_INT(ask_with(&r, "PUT", STR("67890"), NULL, "%s", target), 201);
}

// ---- row 16: GET, "Pushing a blob in chunks", status of an upload

TEST(row16_the_status_says_how_much_is_there)
{
	auto_server struct server r;

	server_start(&r, NULL);
	auto_free char *at = start(&r, "a");

	for (int i = 0; i < 2; i++) {
		CHECK_INT(get(&r, i ? "HEAD" : "GET", "%s", at), 204);
		CHECK_STR(header(&r, "Location"), at);
		CHECK_STR(header(&r, "Range"), "0-0");
		CHECK(ends_with(at, header(&r, "Docker-Upload-UUID")));
	}
	CHECK_INT(ask_with(&r, "PATCH", STR("12345"), NULL, "%s", at), 202);
	CHECK_INT(get(&r, "GET", "%s", at), 204);
	CHECK_STR(header(&r, "Range"), "0-4");
}

TEST(row16_a_session_outlives_its_server)
{
	auto_server struct server r;

	server_start(&r, NULL);
	auto_free char *at = start(&r, "a");

	CHECK_INT(ask_with(&r, "PATCH", STR("12345"), NULL, "%s", at), 202);
	server_restart(&r);
	CHECK_INT(get(&r, "GET", "%s", at), 204);
	CHECK_STR(header(&r, "Range"), "0-4");
	struct digest d = digest_in(DIGEST_SHA256, STR("1234567890"));

	CHECK_INT(ask_with(&r, "PUT", STR("67890"), NULL, "%s?digest=%s", at, d.text), 201);
	CHECK(has_blob(&r, "a", &d));
}

// ---- row 17: DELETE of a session, dev: "Canceling an upload"

TEST(row17_a_session_can_be_cancelled_once)
{
	auto_server struct server r;

	server_start(&r, NULL);
	for (int with_data = 0; with_data < 2; with_data++) {
		auto_free char *at = start(&r, "a");

		if (with_data)
			CHECK_INT(ask_with(&r, "PATCH", HELLO, NULL, "%s", at), 202);
		CHECK_INT(get(&r, "DELETE", "%s", at), 204);
		CHECK_INT(r.last.n, 0);
		if (!with_data)
			continue;
		CHECK_INT(get(&r, "DELETE", "%s", at), 404);
		CHECK_STR(answer_code(&r.last), "BLOB_UPLOAD_UNKNOWN");
		CHECK_INT(get(&r, "GET", "%s", at), 404);
	}
	CHECK_INT(store_upload_count(r.reg.store), 0);
}

// ---- row 21

TEST(row21_a_read_only_registry_takes_no_push)
{
	auto_server struct server w;

	server_start(&w, NULL);
	auto_free char *at = start(&w, "a");
	struct digest d = push_blob(&w, "a", DIGEST_SHA256, HELLO);

	registry_release(&w.reg);
	w.reg = (struct registry){.cfg = {.allow_delete = true}};
	registry_add_root(&w.reg, w.dir);
	registry_start(&w.reg);
	const char *const rows[][2] = {{"POST", "/v2/a/blobs/uploads/"},
				       {"PATCH", at},
				       {"PUT", at},
				       {"DELETE", at},
				       {"PUT", "/v2/a/manifests/v1"},
				       {"DELETE", "/v2/a/manifests/v1"}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CHECK_INT(ask_with(&w, rows[i][0], HELLO, NULL, "%s", rows[i][1]), 405);
		CHECK_STR(answer_code(&w.last), "UNSUPPORTED");
		CHECK(strstr(header(&w, "Allow"), "GET, HEAD"));
		CHECK(!w.last.wanted);
	}
	CHECK_INT(get(&w, "DELETE", "/v2/a/blobs/%s", d.text), 405);
	CHECK(has_blob(&w, "a", &d));
}

int main(void)
{
	return tap_main();
}
