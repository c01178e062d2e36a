// SPDX-License-Identifier: Apache-2.0
// Pulling: media types, conditions, ranges, and files that cannot be read.
#include "image/manifest.h"
#include "serve/internal.h"
#include "tsv.h"
#include "unit/serve/call.h"

// ---- media types

static const char *type_of(const char *text)
{
	static char type[MEDIA_TYPE_MAX + 1];

	manifest_media_type(str_of(text), type);
	return type;
}

static const char *const no_type = "application/octet-stream";

TEST(a_manifest_is_handed_out_as_what_it_says_it_is)
{
	static const struct {
		const char *text, *type;
	} rows[] = {
		{"{\"mediaType\":\"" MT_OCI_INDEX "\"}", MT_OCI_INDEX},
		{" {\n\t\"schemaVersion\" : 2,\r\n \"mediaType\" : \"" MT_DOCKER_MANIFEST "\" }",
		 MT_DOCKER_MANIFEST},
		{"{\"layers\":[{\"mediaType\":\"x\",\"a\":[[{}]]}],\"mediaType\":\"" MT_DOCKER_LIST
		 "\"}",
		 MT_DOCKER_LIST},
		{"{\"a\":\"}\\\"\",\"b\\\\\":\"\\\\\",\"mediaType\":\"" MT_OCI_MANIFEST "\"}",
		 MT_OCI_MANIFEST},
		{"{\"media\\u0054ype\":\"application\\/vnd.x+json\"}", "application/vnd.x+json"},
		{"{\"schemaVersion\":2,\"mediaType\":\"application/vnd.example.v1+json\"}",
		 "application/vnd.example.v1+json"},
		{"{\"schemaVersion\":1,\"mediaType\":\"" MT_DOCKER_SCHEMA1 "\"}",
		 MT_DOCKER_SCHEMA1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		CHECK_STR(type_of(rows[i].text), rows[i].type);
}

TEST(a_manifest_that_says_nothing_is_known_by_its_shape)
{
	static const struct {
		const char *text, *type;
	} rows[] = {
		{"{\"schemaVersion\":2,\"config\":{},\"layers\":[]}", MT_OCI_MANIFEST},
		{"{\"schemaVersion\":2,\"manifests\":[]}", MT_OCI_INDEX},
		{"{\"schemaVersion\":2,\"mediaType\":null,\"manifests\":[]}", MT_OCI_INDEX},
		{"{\"schemaVersion\":2,\"mediaType\":\"\",\"manifests\":[]}", MT_OCI_INDEX},
		{"{\"layers\":[{\"manifests\":[]}]}", MT_OCI_MANIFEST},
		{"{\"a\":\"\\\"manifests\\\":\"}", MT_OCI_MANIFEST},
		{"{\"schemaVersion\":1}", MT_DOCKER_SCHEMA1},
		{"{\"schemaVersion\":1,\"signatures\":[{}]}", MT_DOCKER_SIGNED1},
		{"{\"schemaVersion\":12}", MT_OCI_MANIFEST},
		{"{\"schemaVersion\":1.5}", MT_OCI_MANIFEST},
		{"{}", MT_OCI_MANIFEST},
		{"{\"config\":{\"size\":7,\"mediaType\":\"application/vnd.docker.container.image.v1+json\"}}",
		 MT_DOCKER_MANIFEST},
		{"{\"config\":{\"mediaType\":7},\"layers\":[]}", MT_OCI_MANIFEST},
		{"{\"manifests\":[{\"mediaType\":\"" MT_DOCKER_MANIFEST "\"}]}", MT_DOCKER_LIST},
		{"{\"manifests\":[{\"mediaType\":\"" MT_OCI_MANIFEST
		 "\"},{\"mediaType\":\"" MT_DOCKER_MANIFEST "\"}]}",
		 MT_OCI_INDEX},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		CHECK_STR(type_of(rows[i].text), rows[i].type);
}

TEST(what_is_no_manifest_or_could_be_a_page_has_no_type)
{
	static const char *const rows[] = {
		"",
		"[]",
		"\"x\"",
		"{",
		"{\"",
		"{\"a\"",
		"{\"a\":",
		"{\"a\":\"",
		"{\"a\":\"\\",
		"{\"\\u00",
		"{\"\\x\":1}",
		"{\"a\":1",
		"{\"a\":[}",
		"{\"a\":1,}",
		"{\"mediaType\":\"application/",
		"{\"mediaType\":\"text/html\"}",
		"{\"mediaType\":\"image/svg+xml\"}",
		"{\"mediaType\":\"application/\"}",
		"{\"mediaType\":\"application/a; charset=x\"}",
		"{\"mediaType\":\"application/a\\r\\nX: y\"}",
		"{\"mediaType\":\"application/a\\u0000b\"}",
		"{\"mediaType\":\"application/\xc3\xa9\"}",
		"{\"mediaType\":\"application/\\u00e9\"}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		CHECK_STR(type_of(rows[i]), no_type);
}

TEST(a_media_type_has_a_ceiling)
{
	char text[1000], type[MEDIA_TYPE_MAX + 1];

	for (int n = 200; n < 300; n++) {
		int len =
			snprintf(text, sizeof(text), "{\"mediaType\":\"application/%0*d\"}", n, 7);

		manifest_media_type((struct str){text, (size_t)len}, type);
		CHECK_INT(strlen(type), n + 12 <= MEDIA_TYPE_MAX ? n + 12 : (int)strlen(no_type));
	}
}

// A scanner that reads beyond its bytes is found here by the sanitizers.
TEST(no_prefix_of_a_manifest_is_read_beyond_its_end)
{
	static const char whole[] =
		"{\"schemaVersion\":2,\"x\":[{\"\\u0041\":\"\\\"\"}],\"mediaType\":\"" MT_OCI_INDEX
		"\",\"manifests\":[]}";
	char type[MEDIA_TYPE_MAX + 1];

	for (size_t n = 0; n < sizeof(whole) - 1; n++) {
		auto_free char *part = n ? xmemdup(whole, n) : xmalloc(1);

		manifest_media_type((struct str){part, n}, type);
		CHECK(*type != '\0');
	}
}

static int compared;

// They agree on everything that the strict parser accepts. It does not tell signed documents of
// schema 1 from others, since it only has to recognise them.
static void compare(const char *const *column)
{
	auto_free char *path = path_join(TEST_DATA "/manifests", column[0]);
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	auto_manifest struct manifest m = {0};
	char type[MEDIA_TYPE_MAX + 1];
	struct err e;

	CHECK_OK(fs_read_file(&bytes, path, &e));
	if (manifest_parse(&m, buf_str(&bytes), NULL, "x", &e) < 0)
		return;
	manifest_media_type(buf_str(&bytes), type);
	compared++;
	if (m.kind == MANIFEST_SCHEMA1 && strstr(bytes.p, "\"signatures\""))
		CHECK_STR(type, MT_DOCKER_SIGNED1);
	else
		CHECK_STR(type, m.media_type);
}

TEST(the_type_agrees_with_the_strict_parser_on_real_manifests)
{
	compared = 0;
	CHECK(tsv_each(TEST_DATA "/manifests/EXPECT.tsv", compare) > 50);
	CHECK(compared > 20);
}

// ---- blobs

struct world {
	char *dir[2];
	struct registry r;
	struct blob blob; // 100000 bytes
	char target[200], etag[200];
};

static void world_init(struct world *w)
{
	struct err e;

	memset(w, 0, sizeof(*w));
	w->blob = blob_new(7, 100000);
	for (int i = 0; i < 2; i++) {
		w->dir[i] = temp_dir();
		struct store *s = must_open(w->dir[i], STORE_WRITE, STORE_LAYOUT_OC);

		CHECK_OK(put(s, "a/b", &w->blob, &e));
		CHECK_OK(put_manifest(s, "a/b", "{\"schemaVersion\":2,\"manifests\":[]}", "v1",
				      NULL, &e));
		CHECK_OK(store_sync(s, &e));
		store_close(s);
		registry_add_root(&w->r, w->dir[i]);
	}
	registry_start(&w->r);
	snprintf(w->target, sizeof(w->target), "/v2/a/b/blobs/%s", w->blob.d.digest.text);
	snprintf(w->etag, sizeof(w->etag), "\"%s\"", w->blob.d.digest.text);
}

static void world_release(struct world *w)
{
	registry_release(&w->r);
	for (int i = 0; i < 2; i++)
		temp_dir_removep(&w->dir[i]);
	blob_freep(&w->blob);
}
#define auto_world __attribute__((cleanup(world_release)))

static struct answer get(struct world *w, const char *fmt, ...) printf_like(2, 3);
static struct answer get(struct world *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	auto_free char *headers = xvasprintf(fmt, ap);
	va_end(ap);
	return ask(&w->r, "GET", w->target, headers, NULL);
}

static bool is_part(const struct world *w, const struct answer *a, size_t offset, size_t n)
{
	return a->n == n && memcmp(a->body, w->blob.data + offset, n) == 0;
}

TEST(a_condition_that_names_the_blob_is_answered_304)
{
	auto_world struct world w;
	static const struct {
		const char *before, *behind;
		int status;
	} rows[] = {
		{"", "", 304},         {"W/", "", 304}, {"\"x\", ", "", 304}, {"", " , \"y\"", 304},
		{"\"x\",W/", "", 304}, {"x", "", 200},  {"w/", "", 200},
	};

	world_init(&w);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_answer struct answer a =
			get(&w, "If-None-Match: %s%s%s", rows[i].before, w.etag, rows[i].behind);

		CHECK_INT(a.status, rows[i].status);
		CHECK_INT(a.n, rows[i].status == 304 ? 0 : 100000);
		CHECK_STR(answer_header(&a, "ETag"), w.etag);
	}
	auto_answer struct answer any = get(&w, "If-None-Match: *");
	auto_answer struct answer second =
		get(&w, "If-None-Match: \"x\"\nif-none-match: %s", w.etag);
	auto_answer struct answer bare = get(&w, "If-None-Match: %s", w.blob.d.digest.text);

	CHECK_INT(any.status, 304);
	CHECK_INT(second.status, 304);
	CHECK_INT(bare.status, 200);
}

TEST(a_range_is_one_part_of_the_blob)
{
	auto_world struct world w;
	static const struct {
		const char *range, *content_range;
		size_t offset, n;
	} rows[] = {
		{"bytes=0-0", "bytes 0-0/100000", 0, 1},
		{"bytes=10-19", "bytes 10-19/100000", 10, 10},
		{"bytes=99990-", "bytes 99990-99999/100000", 99990, 10},
		{"bytes=-5", "bytes 99995-99999/100000", 99995, 5},
		{"bytes=99999-200000", "bytes 99999-99999/100000", 99999, 1},
	};

	world_init(&w);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_answer struct answer a = get(&w, "Range: %s", rows[i].range);

		CHECK_INT(a.status, 206);
		CHECK_STR(answer_header(&a, "Content-Range"), rows[i].content_range);
		CHECK_STR(answer_header(&a, "Content-Type"), "application/octet-stream");
		CHECK(is_part(&w, &a, rows[i].offset, rows[i].n));
	}
}

TEST(a_range_that_cannot_be_understood_gives_the_whole_blob)
{
	auto_world struct world w;
	static const char *const rows[] = {"Range: bytes=x-y", "Range: lines=1-2",
					   "Range: bytes=0-9,5-20",
					   "Range: bytes=0-9\nRange: bytes=20-29", "Range: 0-9"};

	world_init(&w);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_answer struct answer a = get(&w, "%s", rows[i]);

		CHECK_INT(a.status, 200);
		CHECK_INT(a.n, 100000);
		CHECK_STR(answer_header(&a, "Content-Range"), "");
	}
}

TEST(if_range_holds_only_for_the_same_blob)
{
	auto_world struct world w;

	world_init(&w);
	auto_answer struct answer same = get(&w, "Range: bytes=0-9\nIf-Range: %s", w.etag);
	auto_answer struct answer weak = get(&w, "Range: bytes=0-9\nIf-Range: W/%s", w.etag);
	auto_answer struct answer other = get(&w, "Range: bytes=0-9\nIf-Range: \"x\"");
	auto_answer struct answer date =
		get(&w, "Range: bytes=0-9\nIf-Range: Sun, 22 Nov 2026 08:49:37 GMT");

	CHECK_INT(same.status, 206);
	CHECK_INT(weak.status, 200);
	CHECK_INT(other.status, 200);
	CHECK_INT(date.status, 200);
}

// Reads one part of a multipart body at *at.
static void check_part(const struct world *w, const struct answer *a, const char *boundary,
		       size_t *at, size_t offset, size_t n)
{
	auto_free char *head = xasprintf("--%s\r\nContent-Type: application/octet-stream\r\n"
					 "Content-Range: bytes %zu-%zu/100000\r\n\r\n",
					 boundary, offset, offset + n - 1);
	size_t len = strlen(head);

	CHECK(*at + len + n + 2 <= a->n);
	if (*at + len + n + 2 > a->n)
		return;
	CHECK(memcmp(a->body + *at, head, len) == 0);
	CHECK(memcmp(a->body + *at + len, w->blob.data + offset, n) == 0);
	CHECK(memcmp(a->body + *at + len + n, "\r\n", 2) == 0);
	*at += len + n + 2;
}

TEST(several_ranges_come_in_the_order_asked_for)
{
	auto_world struct world w;
	size_t at = 0;

	world_init(&w);
	auto_answer struct answer a = get(&w, "Range: bytes=50000-50009, 0-99,-7");
	auto_answer struct answer again = get(&w, "Range: bytes=50000-50009, 0-99,-7");
	const char *type = answer_header(&a, "Content-Type");
	static const char start[] = "multipart/byteranges; boundary=";

	CHECK_INT(a.status, 206);
	CHECK_INT(a.length, a.n);
	CHECK_STR(answer_header(&a, "Content-Range"), "");
	CHECK(starts_with(type, start));
	if (!starts_with(type, start))
		return;
	const char *boundary = type + strlen(start);
	auto_free char *tail = xasprintf("--%s--\r\n", boundary);

	check_part(&w, &a, boundary, &at, 50000, 10);
	check_part(&w, &a, boundary, &at, 0, 100);
	check_part(&w, &a, boundary, &at, 99993, 7);
	CHECK_STR(a.body + at, tail);
	CHECK(strcmp(type, answer_header(&again, "Content-Type")) != 0);
}

TEST(as_many_ranges_as_are_allowed_fit_into_an_answer)
{
	auto_world struct world w;
	auto_buf struct buf range = BUF_INIT(BUF_TEXT_MAX);

	world_init(&w);
	buf_puts(&range, "Range: bytes=");
	for (int i = 0; i < RANGES_MAX; i++)
		buf_printf(&range, "%s%d-%d", i ? "," : "", i * 10, i * 10 + 4);
	auto_answer struct answer full = get(&w, "%s", range.p);

	buf_printf(&range, ",%d-%d", 90000, 90001);
	auto_answer struct answer over = get(&w, "%s", range.p);

	CHECK_INT(full.status, 206);
	CHECK_INT(full.length, full.n);
	CHECK_INT(over.status, 200);
}

TEST(a_range_outside_of_the_blob_is_416_with_its_size)
{
	auto_world struct world w;
	static const char *const rows[] = {"bytes=100000-", "bytes=200000-200001", "bytes=9-3",
					   "bytes=-0"};

	world_init(&w);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_answer struct answer a = get(&w, "Range: %s", rows[i]);

		CHECK_ERROR(a, 416, "UNSUPPORTED");
		CHECK_STR(answer_header(&a, "Content-Range"), "bytes */100000");
		CHECK_INT(a.length, a.n);
		CHECK(a.n < 1000);
	}
}

TEST(a_file_that_cannot_be_read_goes_on_from_the_next_root)
{
	auto_world struct world w;

	world_init(&w);
	auto_free char *want = xasprintf(
		"blob %s of a/b cannot be read from %s at byte 70000: Input/output error\n",
		w.blob.d.digest.text, w.dir[0]);

	ask_opt.unreadable = true;
	ask_opt.bad_offset = 70000;
	auto_answer struct answer a = get(&w, "%s", "");

	CHECK_INT(a.status, 200);
	CHECK(is_part(&w, &a, 0, 100000));
	CHECK_STR(w.r.notices.p, want);
}

TEST(a_file_that_no_root_can_read_ends_this_answer_and_the_next_ones)
{
	auto_world struct world w;

	world_init(&w);
	for (int i = 0; i < 2; i++)
		roots_mark_bad(w.r.api->roots, i, "a/b", &w.blob.d.digest);
	auto_answer struct answer a = get(&w, "%s", "");

	CHECK_ERROR(a, 503, "TOOMANYREQUESTS");
	CHECK_STR(answer_header(&a, "Retry-After"), "60");
	CHECK(strstr(a.body, w.dir[0]) == NULL);
}

TEST(what_is_in_memory_is_answered_at_once)
{
	auto_world struct world w;

	world_init(&w);
	for (int i = 0; i < 2; i++) {
		ask_opt.slow = i == 0;
		auto_answer struct answer blob = get(&w, "%s", "");

		ask_opt.slow = i == 0;
		auto_answer struct answer manifest =
			ask(&w.r, "GET", "/v2/a/b/manifests/v1", NULL, NULL);

		CHECK_INT(blob.quick, i);
		CHECK(is_part(&w, &blob, 0, 100000));
		CHECK_INT(manifest.quick, i);
		CHECK_STR(manifest.body, "{\"schemaVersion\":2,\"manifests\":[]}");
	}
}

int main(void)
{
	return tap_main();
}
