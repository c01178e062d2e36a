// SPDX-License-Identifier: Apache-2.0
// Pushing and removing manifests. Each test names the row of the endpoint table it covers and the
// section of the OCI distribution-spec (v1.1; "dev" is the text after it).
#include "push_fixture.h"

#define EMPTY_TYPE "application/vnd.oci.empty.v1+json"
#define LAYER_TYPE "application/vnd.oci.image.layer.v1.tar+gzip"
#define ABSENT     "sha256:1111111111111111111111111111111111111111111111111111111111111111"
#define ABSENT512                                                           \
	"sha512:1111111111111111111111111111111111111111111111111111111111" \
	"1111111111111111111111111111111111111111111111111111111111111111111111"
#define CONFIG_HEX "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
#define CONFIG                                                                               \
	"\"config\":{\"mediaType\":\"" EMPTY_TYPE "\",\"digest\":\"sha256:" CONFIG_HEX "\"," \
	"\"size\":2}"
#define TYPED(type)    "{\"schemaVersion\":2,\"mediaType\":\"" type "\","
#define IMAGE(layers)  TYPED(MT_OCI_MANIFEST) CONFIG ",\"layers\":[" layers "]}"
#define LAYER(digest)  "{\"mediaType\":\"" LAYER_TYPE "\",\"digest\":\"" digest "\",\"size\":7}"
#define ENTRY(digest)  "{\"mediaType\":\"" MT_OCI_MANIFEST "\",\"digest\":\"" digest "\",\"size\":7}"
#define INDEX(entries) TYPED(MT_OCI_INDEX) "\"manifests\":[" entries "]}"
#define SIMPLE         IMAGE("")

// A server whose repository "a" has what SIMPLE needs.
static void server_with_config(struct server *r, void (*tune)(struct registry *r))
{
	server_start(r, tune);
	push_blob(r, "a", DIGEST_SHA256, STR("{}"));
}

static int push(struct server *r, const char *ref, const char *type, const char *body)
{
	auto_free char *header = type ? xasprintf("Content-Type: %s", type) : NULL;

	return ask_with(r, "PUT", str_of(body), header, "/v2/a/manifests/%s", ref);
}

// ---- row 5: PUT, "Pushing Manifests"

TEST(row5_a_manifest_is_kept_byte_for_byte_under_its_tag_and_digest)
{
	static const struct {
		const char *body, *type;
	} rows[] = {
		{SIMPLE, MT_OCI_MANIFEST},
		{" " SIMPLE "\n", MT_OCI_MANIFEST "; charset=utf-8"},
		{TYPED(MT_DOCKER_MANIFEST) CONFIG ",\"layers\":[],\"unknown\":{\"x\":[1]}}",
		 MT_DOCKER_MANIFEST},
		{"{\"schemaVersion\":2," CONFIG ",\"layers\":[]}", MT_OCI_MANIFEST},
		{"{\"schemaVersion\":2,\"manifests\":[]}", MT_OCI_INDEX},
		{INDEX(""), NULL},
		{TYPED(MT_DOCKER_LIST) "\"manifests\":[]}", MT_DOCKER_LIST},
		{TYPED(MT_OCI_MANIFEST) "\"artifactType\":\"application/x.y\"," CONFIG
					",\"layers\":[]}",
		 MT_OCI_MANIFEST},
	};
	auto_server struct server r;

	server_with_config(&r, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct digest d = digest_in(DIGEST_SHA256, str_of(rows[i].body));
		auto_free char *where = xasprintf("/v2/a/manifests/%s", d.text);

		CHECK_INT(push(&r, "v1", rows[i].type, rows[i].body), 201);
		CHECK_STR(header(&r, "Location"), where);
		CHECK_STR(header(&r, "Docker-Content-Digest"), d.text);
		CHECK_STR(header(&r, "OCI-Tag"), "");
		CHECK_INT(get(&r, "GET", "/v2/a/manifests/v1"), 200);
		CHECK_STR(r.last.body, rows[i].body);
		CHECK_INT(get(&r, "GET", "%s", where), 200);
		CHECK_STR(r.last.body, rows[i].body);
	}
}

TEST(row5_a_digest_is_reference_enough)
{
	auto_server struct server r;

	server_with_config(&r, NULL);
	for (enum digest_algo algo = DIGEST_SHA256; algo <= DIGEST_SHA512; algo++) {
		struct digest d = digest_in(algo, STR(SIMPLE));
		auto_free char *where = xasprintf("/v2/a/manifests/%s", d.text);

		CHECK_INT(push(&r, d.text, MT_OCI_MANIFEST, SIMPLE), 201);
		CHECK_STR(header(&r, "Location"), where);
		CHECK_STR(header(&r, "Docker-Content-Digest"), d.text);
		CHECK_INT(get(&r, "GET", "%s", where), 200);
		CHECK_STR(r.last.body, SIMPLE);
	}
	CHECK_INT(get(&r, "GET", "/v2/a/tags/list"), 200);
	CHECK_STR(r.last.body, "{\"name\":\"a\",\"tags\":[]}");
}

TEST(row5_the_digest_must_be_that_of_the_bytes)
{
	static const char *const wrong[] = {ABSENT, ABSENT512};
	auto_server struct server r;

	server_with_config(&r, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		CHECK_INT(push(&r, wrong[i], MT_OCI_MANIFEST, SIMPLE), 400);
		CHECK_STR(answer_code(&r.last), "DIGEST_INVALID");
	}
	CHECK_INT(push(&r, "sha256:12", MT_OCI_MANIFEST, SIMPLE), 400);
	CHECK_STR(answer_code(&r.last), "DIGEST_INVALID");
}

// With the security section: media type confusion, manifest bombs.
TEST(row5_what_is_no_manifest_or_two_kinds_at_once_is_refused)
{
	static const struct {
		const char *body, *type, *why;
	} rows[] = {
		{"", MT_OCI_MANIFEST, NULL},
		{"nonsense", MT_OCI_MANIFEST, NULL},
		{"[]", MT_OCI_MANIFEST, "object"},
		{"{}", MT_OCI_MANIFEST, "schemaVersion"},
		{SIMPLE "x", MT_OCI_MANIFEST, NULL},
		{SIMPLE, MT_OCI_INDEX, "Content-Type"},
		{SIMPLE, MT_DOCKER_MANIFEST, "Content-Type"},
		{SIMPLE, "text/html", "Content-Type"},
		{SIMPLE, "", "Content-Type"},
		{"{\"schemaVersion\":2," CONFIG ",\"layers\":[]}", MT_OCI_INDEX, "Content-Type"},
		{TYPED(MT_OCI_MANIFEST) CONFIG ",\"layers\":[],\"manifests\":[]}", MT_OCI_MANIFEST,
		 "manifests"},
		{TYPED(MT_OCI_INDEX) "\"manifests\":[],\"layers\":[]}", MT_OCI_INDEX, "layers"},
		{TYPED(MT_OCI_INDEX) "\"mediaType\":\"" MT_OCI_MANIFEST "\",\"manifests\":[]}",
		 MT_OCI_INDEX, NULL},
		{TYPED(MT_OCI_MANIFEST) "\"mediaType\":\"" MT_OCI_MANIFEST "\"," CONFIG
					",\"layers\":[]}",
		 MT_OCI_MANIFEST, NULL},
		{TYPED(MT_OCI_MANIFEST) "\"layers\":[]}", MT_OCI_MANIFEST, "config"},
		{IMAGE(LAYER("sha256:12")), MT_OCI_MANIFEST, "layers[0].digest"},
		{"{\"schemaVersion\":1,\"name\":\"a\",\"tag\":\"v1\",\"fsLayers\":[]}",
		 MT_DOCKER_SIGNED1, "schema 1"},
		{"{\"schemaVersion\":1,\"mediaType\":\"" MT_DOCKER_SCHEMA1 "\"}", MT_DOCKER_SCHEMA1,
		 "schema 1"},
		{"{\"schemaVersion\":2,\"mediaType\":\"application/x.y+json\"}",
		 "application/x.y+json", "unsupported manifest type"},
		{"{\"schemaVersion\":2,\"mediaType\":\"text/html\"}", "text/html",
		 "unsupported manifest type"},
	};
	auto_server struct server r;

	server_with_config(&r, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CHECK_INT(push(&r, "v1", rows[i].type, rows[i].body), 400);
		CHECK_STR(answer_code(&r.last), "MANIFEST_INVALID");
		if (rows[i].why && !strstr(r.last.body, rows[i].why)) {
			printf("# '%s' says %s\n", rows[i].body, r.last.body);
			CHECK(false);
		}
		CHECK_INT(get(&r, "GET", "/v2/a/manifests/v1"), 404);
	}
}

TEST(row5_nesting_and_counts_have_limits)
{
	static const struct {
		const char *head, *item, *tail;
		int n, status;
	} rows[] = {
		{TYPED(MT_OCI_INDEX) "\"manifests\":[],\"x\":[", "[", "", 100000, 400},
		{TYPED(MT_OCI_INDEX) "\"manifests\":[" ENTRY(ABSENT), "," ENTRY(ABSENT), "]}",
		 10000, 400},
		{TYPED(MT_OCI_INDEX) "\"manifests\":[" ENTRY(ABSENT), "," ENTRY(ABSENT), "]}", 9999,
		 201},
	};
	auto_server struct server r;

	server_with_config(&r, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buf struct buf b = BUF_INIT(BUF_TEXT_MAX);

		buf_puts(&b, rows[i].head);
		for (int k = 0; k < rows[i].n; k++)
			buf_puts(&b, rows[i].item);
		buf_puts(&b, rows[i].tail);
		CHECK_INT(push(&r, "v1", MT_OCI_INDEX, b.p), rows[i].status);
		if (rows[i].status == 400)
			CHECK_STR(answer_code(&r.last), "MANIFEST_INVALID");
	}
}

static void unknown_types(struct registry *r)
{
	r->cfg.allow_unknown_manifests = true;
}

TEST(row5_unknown_types_are_kept_where_that_is_allowed)
{
	static const struct {
		const char *body, *type;
		int status;
	} rows[] = {
		{"{\"mediaType\":\"application/x.y+json\",\"z\":1}", "application/x.y+json", 201},
		{"{\"mediaType\":\"application/x.y+json\"}", NULL, 201},
		{"{\"mediaType\":\"application/x.y+json\"}", "application/z+json", 400},
		{"{\"mediaType\":\"text/html\"}", "text/html", 400},
		{"{\"mediaType\":\"application/x.y+json\",\"mediaType\":\"text/html\"}",
		 "application/x.y+json", 400},
		{"{\"mediaType\":\"application/x.y+json\"", "application/x.y+json", 400},
	};
	auto_server struct server r;

	server_with_config(&r, unknown_types);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CHECK_INT(push(&r, "v1", rows[i].type, rows[i].body), rows[i].status);
		if (rows[i].status == 400) {
			CHECK_STR(answer_code(&r.last), "MANIFEST_INVALID");
			continue;
		}
		CHECK_INT(get(&r, "GET", "/v2/a/manifests/v1"), 200);
		CHECK_STR(header(&r, "Content-Type"), "application/x.y+json");
		CHECK_STR(r.last.body, rows[i].body);
	}
	CHECK_INT(push(&r, "v2", MT_OCI_MANIFEST, IMAGE(LAYER(ABSENT))), 400);
	CHECK_STR(answer_code(&r.last), "MANIFEST_BLOB_UNKNOWN");
}

TEST(row5_size_is_limited_before_and_while_reading)
{
	enum { MAX = 8 << 20 };
	auto_server struct server r;
	auto_buf struct buf b = BUF_INIT(BUF_TEXT_MAX);

	server_with_config(&r, NULL);
	buf_puts(&b, SIMPLE);
	while (b.n < MAX)
		buf_puts(&b, "                                                                ");
	b.n = MAX;
	CHECK_INT(ask_with(&r, "PUT", buf_str(&b), NULL, "/v2/a/manifests/v1"), 201);
	b.n = MAX + 1;
	CHECK_INT(ask_with(&r, "PUT", buf_str(&b), NULL, "/v2/a/manifests/v1"), 413);
	CHECK_STR(answer_code(&r.last), "SIZE_INVALID");
	CHECK(!r.last.wanted);
	for (int over = 0; over < 2; over++) {
		struct ask a = {.method = "PUT",
				.target = "/v2/a/manifests/v1",
				.body = {b.p, (size_t)MAX + over},
				.chunked = true};

		CHECK_INT(request(&r, &a), over ? 413 : 201);
		CHECK(r.last.wanted);
	}
	CHECK_STR(answer_code(&r.last), "SIZE_INVALID");
	CHECK_INT(get(&r, "PUT", "/v2/a/manifests/v1"), 411);
	CHECK_INT(r.reg.api->manifest_bytes, 0);
}

static void one_manifest(struct registry *r)
{
	r->cfg.limits.manifests_in_memory = 1;
}

// Security section: memory.
TEST(row5_manifests_that_are_being_pushed_share_a_budget_of_memory)
{
	auto_server struct server r;

	server_with_config(&r, one_manifest);
	const struct service *s = api_service(r.reg.api);
	auto_free char *part = xcalloc(1, 5 << 20);
	struct exchange x = {0};

	reply_init(&x.reply);
	ask_request(&x.request, "PUT", "/v2/a/manifests/v1", NULL, part, 6 << 20);
	CHECK_INT(s->begin(s->arg, &x), NEXT_BODY);
	CHECK_INT(s->body(s->arg, &x, part, 5 << 20), 0);
	CHECK_INT(ask_with(&r, "PUT", (struct str){part, 5 << 20}, NULL, "/v2/a/manifests/v2"),
		  503);
	CHECK_STR(answer_code(&r.last), "TOOMANYREQUESTS");
	CHECK(*header(&r, "Retry-After"));
	// Small ones go on.
	CHECK_INT(push(&r, "v2", MT_OCI_MANIFEST, SIMPLE), 201);
	s->broken(s->arg, &x);
	CHECK_INT(r.reg.api->manifest_bytes, 0);
	s->done(s->arg, &x, false);
	reply_clear(&x.reply);
	CHECK_INT(ask_with(&r, "PUT", (struct str){part, 5 << 20}, NULL, "/v2/a/manifests/v2"),
		  400);
}

TEST(row5_what_an_image_names_must_be_in_the_repository)
{
	auto_server struct server r;

	server_with_config(&r, NULL);
	push_blob(&r, "b", DIGEST_SHA256, STR("a layer"));
	struct digest d = digest_in(DIGEST_SHA256, STR("a layer"));
	auto_free char *image = xasprintf(IMAGE(LAYER("%s") "," LAYER(ABSENT)), d.text);
	auto_free char *good = xasprintf(IMAGE(LAYER("%s")), d.text);

	CHECK_INT(push(&r, "v1", MT_OCI_MANIFEST, image), 400);
	CHECK_STR(answer_code(&r.last), "MANIFEST_BLOB_UNKNOWN");
	CHECK(strstr(r.last.body, ABSENT));
	CHECK(strstr(r.last.body, d.text));
	CHECK(!strstr(r.last.body, CONFIG_HEX));
	CHECK_INT(get(&r, "GET", "/v2/a/manifests/v1"), 404);
	push_blob(&r, "a", DIGEST_SHA256, STR("a layer"));
	CHECK_INT(push(&r, "v1", MT_OCI_MANIFEST, good), 201);
	CHECK_INT(ask_with(&r, "PUT", STR(SIMPLE), NULL, "/v2/other/manifests/v1"), 400);
	CHECK(strstr(r.last.body, CONFIG_HEX));
}

TEST(row5_layers_from_elsewhere_need_not_be_there)
{
	static const char *const layers[] = {
		"{\"mediaType\":\"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip\","
		"\"digest\":\"" ABSENT "\",\"size\":7}",
		"{\"mediaType\":\"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip\","
		"\"digest\":\"" ABSENT "\",\"size\":7}",
		"{\"mediaType\":\"" LAYER_TYPE "\",\"digest\":\"" ABSENT
		"\",\"size\":7,\"urls\":[\"https://example.com/layer\"]}",
	};
	auto_server struct server r;

	server_with_config(&r, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(layers); i++) {
		auto_free char *image = xasprintf(IMAGE("%s"), layers[i]);

		CHECK_INT(push(&r, "v1", MT_OCI_MANIFEST, image), 201);
	}
}

TEST(row5_a_hostile_manifest_cannot_make_the_answer_huge)
{
	auto_server struct server r;
	auto_buf struct buf b = BUF_INIT(BUF_TEXT_MAX);
	unsigned entries = 0;

	server_with_config(&r, NULL);
	buf_puts(&b, TYPED(MT_OCI_MANIFEST) CONFIG ",\"layers\":[");
	for (int i = 0; i < 9000; i++)
		buf_printf(&b,
			   "%s{\"mediaType\":\"" LAYER_TYPE
			   "\",\"size\":7,\"digest\":\"sha256:%064x\"}",
			   i ? "," : "", i);
	buf_puts(&b, "]}");
	CHECK_INT(push(&r, "v1", MT_OCI_MANIFEST, b.p), 400);
	for (const char *p = r.last.body; (p = strstr(p, "MANIFEST_BLOB_UNKNOWN")); p++)
		entries++;
	CHECK_INT(entries, 101);
	CHECK(strstr(r.last.body, "8900 more"));
	auto_free char *last = xasprintf("sha256:%064x is not", 99);

	CHECK(strstr(r.last.body, last));
	CHECK(r.last.n < 32768);
}

static void sparse_images(struct registry *r)
{
	r->cfg.allow_sparse_images = true;
}

static void no_sparse_indexes(struct registry *r)
{
	r->cfg.refuse_sparse_indexes = true;
}

TEST(row5_indexes_may_be_sparse_and_images_where_that_is_allowed)
{
	auto_server struct server plain, images, strict;

	server_with_config(&plain, NULL);
	server_with_config(&images, sparse_images);
	server_with_config(&strict, no_sparse_indexes);
	CHECK_INT(push(&plain, "v1", MT_OCI_INDEX, INDEX(ENTRY(ABSENT))), 201);
	CHECK_INT(push(&images, "v1", MT_OCI_MANIFEST, IMAGE(LAYER(ABSENT))), 201);
	CHECK_INT(push(&strict, "v1", MT_OCI_INDEX, INDEX(ENTRY(ABSENT))), 400);
	CHECK_STR(answer_code(&strict.last), "MANIFEST_BLOB_UNKNOWN");
	CHECK_INT(push(&strict, "v1", MT_OCI_MANIFEST, SIMPLE), 201);
	auto_free char *index =
		xasprintf(INDEX(ENTRY("%s")), digest_in(DIGEST_SHA256, STR(SIMPLE)).text);

	CHECK_INT(push(&strict, "v2", MT_OCI_INDEX, index), 201);
	auto_buf struct buf b = BUF_INIT(BUF_TEXT_MAX);

	buf_puts(&b, index);
	while (b.n <= 4 << 20)
		buf_puts(&b, "                                                                ");
	CHECK_INT(push(&strict, "v3", MT_OCI_INDEX, b.p), 413);
	CHECK_STR(answer_code(&strict.last), "SIZE_INVALID");
	CHECK_INT(push(&plain, "v3", MT_OCI_INDEX, b.p), 201);
}

// "Pushing Manifests with Subject"
TEST(row5_a_subject_is_acknowledged_whether_it_is_there_or_not)
{
	auto_server struct server r;

	server_with_config(&r, NULL);
	CHECK_INT(push(&r, "sig", MT_OCI_MANIFEST,
		       TYPED(MT_OCI_MANIFEST) CONFIG
		       ",\"layers\":[],\"subject\":" ENTRY(ABSENT) "}"),
		  201);
	CHECK_STR(header(&r, "OCI-Subject"), ABSENT);
	CHECK_INT(get(&r, "GET", "/v2/a/referrers/" ABSENT), 200);
	CHECK(strstr(r.last.body,
		     digest_in(DIGEST_SHA256, STR(TYPED(MT_OCI_MANIFEST) CONFIG
						  ",\"layers\":[],\"subject\":" ENTRY(ABSENT) "}"))
			     .text));
	CHECK_INT(push(&r, "v1", MT_OCI_MANIFEST, SIMPLE), 201);
	CHECK_STR(header(&r, "OCI-Subject"), "");
}

static void full_disk(struct registry *r)
{
	r->cfg.limits.disk_reserve = UINT64_MAX;
}

TEST(row5_a_full_disk_takes_no_manifest)
{
	auto_server struct server r;

	server_start(&r, full_disk);
	CHECK_INT(push(&r, "v1", MT_OCI_MANIFEST, SIMPLE), 503);
	CHECK(*header(&r, "Retry-After"));
	CHECK(!r.last.wanted);
}

TEST(row5_a_push_that_dies_stores_nothing)
{
	auto_server struct server r;

	server_with_config(&r, NULL);
	request(&r, &(struct ask){.method = "PUT",
				  .target = "/v2/a/manifests/v1",
				  .body = STR(SIMPLE),
				  .promised = 9000});
	CHECK(r.last.wanted);
	CHECK_INT(get(&r, "GET", "/v2/a/manifests/v1"), 404);
	CHECK_INT(r.reg.api->manifest_bytes, 0);
}

enum { PUSHERS = 4, PUSHES = 20 };

static void *push_manifests(void *arg)
{
	struct registry *r = arg;

	for (int i = 0; i < PUSHES; i++) {
		auto_answer struct answer a =
			ask(r, "PUT", "/v2/a/manifests/v1", NULL, i % 2 ? SIMPLE : INDEX(""));
		auto_answer struct answer b =
			ask(r, "PUT", "/v2/a/manifests/v2", NULL, IMAGE(LAYER(ABSENT)));

		CHECK_INT(a.status, 201);
		CHECK_INT(b.status, 400);
	}
	return NULL;
}

TEST(row5_pushes_of_one_tag_at_once_all_succeed)
{
	auto_server struct server r;
	pthread_t threads[PUSHERS];

	server_with_config(&r, NULL);
	for (int i = 0; i < PUSHERS; i++)
		pthread_create(&threads[i], NULL, push_manifests, &r.reg);
	for (int i = 0; i < PUSHERS; i++)
		pthread_join(threads[i], NULL);
	CHECK_INT(get(&r, "GET", "/v2/a/manifests/v1"), 200);
	CHECK(strcmp(r.last.body, SIMPLE) == 0 || strcmp(r.last.body, INDEX("")) == 0);
	CHECK_INT(r.reg.api->manifest_bytes, 0);
}

TEST(row5_a_tag_moves)
{
	auto_server struct server r;

	server_with_config(&r, NULL);
	CHECK_INT(push(&r, "v1", MT_OCI_MANIFEST, SIMPLE), 201);
	CHECK_INT(push(&r, "v1", MT_OCI_INDEX, INDEX("")), 201);
	CHECK_INT(get(&r, "GET", "/v2/a/manifests/v1"), 200);
	CHECK_STR(r.last.body, INDEX(""));
	CHECK_INT(get(&r, "GET", "/v2/a/manifests/%s", digest_in(DIGEST_SHA256, STR(SIMPLE)).text),
		  200);
}

// ---- row 6: PUT with tags; dev, "Pushing Manifests"

TEST(row6_a_manifest_gets_several_tags_at_once)
{
	auto_server struct server r;

	server_with_config(&r, NULL);
	for (enum digest_algo algo = DIGEST_SHA256; algo <= DIGEST_SHA512; algo++) {
		struct digest d = digest_in(algo, STR(SIMPLE));

		CHECK_INT(ask_with(&r, "PUT", STR(SIMPLE), "Content-Type: " MT_OCI_MANIFEST,
				   "/v2/a/manifests/%s?tag=one&tag=two%%2D2&tag=one", d.text),
			  201);
		CHECK_STR(header(&r, "OCI-Tag"), "one, two-2");
		CHECK_INT(get(&r, "HEAD", "/v2/a/manifests/one"), 200);
		CHECK_STR(header(&r, "Docker-Content-Digest"), d.text);
	}
	CHECK_INT(get(&r, "GET", "/v2/a/tags/list"), 200);
	CHECK_STR(r.last.body, "{\"name\":\"a\",\"tags\":[\"one\",\"two-2\"]}");
}

TEST(row6_a_bad_tag_stores_nothing)
{
	static const char *const bad[] = {"tag=",    "tag=.x",         "tag=a%2Fb", "tag=-x",
					  "tag=a:b", "tag=one&tag=..", "tag=%C3%A4"};
	auto_server struct server r;

	server_with_config(&r, NULL);
	struct digest d = digest_in(DIGEST_SHA256, STR(SIMPLE));

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK_INT(ask_with(&r, "PUT", STR(SIMPLE), NULL, "/v2/a/manifests/%s?%s", d.text,
				   bad[i]),
			  400);
		CHECK_STR(answer_code(&r.last), "MANIFEST_INVALID");
		CHECK(!r.last.wanted);
	}
	CHECK_INT(ask_with(&r, "PUT", STR(SIMPLE), NULL, "/v2/a/manifests/v1?tag=one"), 400);
	CHECK_INT(get(&r, "GET", "/v2/a/manifests/%s", d.text), 404);
	CHECK_INT(get(&r, "GET", "/v2/a/manifests/one"), 404);
}

TEST(row6_a_hundred_tags_are_enough)
{
	auto_server struct server r;

	server_with_config(&r, NULL);
	struct digest d = digest_in(DIGEST_SHA256, STR(SIMPLE));

	for (int n = 100; n <= 101; n++) {
		auto_buf struct buf query = BUF_INIT(BUF_TEXT_MAX);

		for (int i = 0; i < n; i++)
			buf_printf(&query, "&tag=t%d", i);
		CHECK_INT(ask_with(&r, "PUT", STR(SIMPLE), NULL, "/v2/a/manifests/%s?%s", d.text,
				   query.p + 1),
			  n == 100 ? 201 : 400);
	}
}

// ---- rows 7 and 8: DELETE, "Deleting tags", "Deleting Manifests"

TEST(row7_a_tag_goes_and_its_manifest_stays)
{
	auto_server struct server r;

	server_with_config(&r, NULL);
	CHECK_INT(push(&r, "v1", MT_OCI_MANIFEST, SIMPLE), 201);
	CHECK_INT(get(&r, "DELETE", "/v2/a/manifests/v1"), 202);
	CHECK_INT(get(&r, "GET", "/v2/a/manifests/v1"), 404);
	CHECK_INT(get(&r, "GET", "/v2/a/manifests/%s", digest_in(DIGEST_SHA256, STR(SIMPLE)).text),
		  200);
	CHECK_INT(get(&r, "DELETE", "/v2/a/manifests/v1"), 404);
	CHECK_STR(answer_code(&r.last), "MANIFEST_UNKNOWN");
}

TEST(row8_a_manifest_goes_with_its_tags_and_its_entry_among_the_referrers)
{
	auto_server struct server r;

	server_with_config(&r, NULL);
	for (enum digest_algo algo = DIGEST_SHA256; algo <= DIGEST_SHA512; algo++) {
		static const char body[] = TYPED(MT_OCI_MANIFEST) CONFIG
			",\"layers\":[],\"subject\":" ENTRY(ABSENT) "}";
		struct digest d = digest_in(algo, STR(body));

		CHECK_INT(ask_with(&r, "PUT", STR(body), NULL, "/v2/a/manifests/%s?tag=x&tag=y",
				   d.text),
			  201);
		CHECK_INT(push(&r, "other", MT_OCI_INDEX, INDEX("")), 201);
		CHECK_INT(get(&r, "DELETE", "/v2/a/manifests/%s", d.text), 202);
		CHECK_INT(get(&r, "GET", "/v2/a/manifests/%s", d.text), 404);
		CHECK_INT(get(&r, "GET", "/v2/a/manifests/x"), 404);
		CHECK_INT(get(&r, "GET", "/v2/a/tags/list"), 200);
		CHECK_STR(r.last.body, "{\"name\":\"a\",\"tags\":[\"other\"]}");
		CHECK_INT(get(&r, "GET", "/v2/a/referrers/" ABSENT), 200);
		CHECK(!strstr(r.last.body, d.text));
		CHECK_INT(get(&r, "HEAD", "/v2/a/blobs/sha256:" CONFIG_HEX), 200);
		CHECK_INT(get(&r, "DELETE", "/v2/a/manifests/%s", d.text), 404);
		CHECK_STR(answer_code(&r.last), "MANIFEST_UNKNOWN");
	}
}

static void no_deletes(struct registry *r)
{
	r->cfg.allow_delete = false;
}

TEST(row7_deletes_that_are_off_are_405)
{
	auto_server struct server r;

	server_with_config(&r, no_deletes);
	CHECK_INT(push(&r, "v1", MT_OCI_MANIFEST, SIMPLE), 201);
	CHECK_INT(get(&r, "DELETE", "/v2/a/manifests/v1"), 405);
	CHECK_STR(answer_code(&r.last), "UNSUPPORTED");
	CHECK_INT(
		get(&r, "DELETE", "/v2/a/manifests/%s", digest_in(DIGEST_SHA256, STR(SIMPLE)).text),
		405);
	CHECK_INT(get(&r, "GET", "/v2/a/manifests/v1"), 200);
}

// What is on media behind the store counts as there, and cannot be removed.
TEST(row8_what_only_a_read_only_root_has_cannot_be_removed)
{
	auto_server struct server r, media;

	server_with_config(&media, NULL);
	CHECK_INT(push(&media, "v1", MT_OCI_MANIFEST, SIMPLE), 201);
	server_start(&r, NULL);
	registry_release(&r.reg);
	r.reg = (struct registry){.cfg = {.allow_delete = true, .limits = {.disk_reserve = 1}}};
	registry_add_store(&r.reg, r.dir);
	registry_add_root(&r.reg, media.dir);
	registry_start(&r.reg);
	CHECK_INT(get(&r, "DELETE", "/v2/a/manifests/v1"), 405);
	CHECK_STR(answer_code(&r.last), "UNSUPPORTED");
	CHECK_INT(get(&r, "DELETE", "/v2/a/blobs/sha256:" CONFIG_HEX), 405);
	CHECK_INT(push(&r, "v2", MT_OCI_MANIFEST, SIMPLE), 201);
	CHECK_INT(get(&r, "DELETE", "/v2/a/manifests/v2"), 202);
}

int main(void)
{
	return tap_main();
}
