// SPDX-License-Identifier: Apache-2.0
// The endpoint table, row by row: what is pulled and listed, in a registry that can be written and
// in a read-only one, with sha256 and sha512. The rows that push are in test_push.c and
// test_manifests.c.
//
// Spec: OCI distribution-spec v1.1; each test names the row, and above it stands the section.
#include "image/manifest.h"
#include "serve/internal.h"
#include "unit/serve/call.h"

#include <sys/stat.h>

#define REPO "org/app"
#define IMAGE                                                                                     \
	"{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_MANIFEST                                   \
	"\",\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":"   \
	"\"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\",\"size\":2}" \
	",\"layers\":[]}"
// An index whose child is not here.
#define SPARSE                                                                    \
	"{\"schemaVersion\":2,\"mediaType\":\"" MT_DOCKER_LIST                    \
	"\",\"manifests\":[{\"mediaType\":\"" MT_DOCKER_MANIFEST "\",\"digest\":" \
	"\"sha256:1111111111111111111111111111111111111111111111111111111111111111\",\"size\":9}]}"
#define SILENT_INDEX "{\"schemaVersion\":2,\"manifests\":[]}"

enum { BLOB_SIZE = 70000 };

struct world {
	bool writable;
	char *dir;
	struct registry r;
	enum digest_algo algo; // the turn's
	struct blob blob[2];   // the same bytes, by algorithm
	struct digest image[2], about[2];
	struct digest other; // a blob of another repository
};

static void fill_algo(struct world *w, struct store *s, enum digest_algo algo)
{
	struct err e;
	struct digest *image = &w->image[algo], *about = &w->about[algo];

	auto_blob struct blob empty = blob_of("", 0);

	digest_of(&empty.d.digest, algo, "", 0);
	CHECK_OK(put(s, REPO, &empty, &e));
	w->blob[algo] = blob_new(1, BLOB_SIZE);
	digest_of(&w->blob[algo].d.digest, algo, w->blob[algo].data, BLOB_SIZE);
	CHECK_OK(put(s, REPO, &w->blob[algo], &e));
	digest_of(image, algo, IMAGE, strlen(IMAGE));
	CHECK_OK(store_manifest_put(s, REPO, STR(IMAGE), image, NULL, &e));
	auto_free char *text = xasprintf(
		"{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_INDEX
		"\",\"manifests\":[],\"artifactType\":\"application/vnd.sig\",\"subject\":"
		"{\"mediaType\":\"" MT_OCI_MANIFEST "\",\"digest\":\"%s\",\"size\":%zu}}",
		image->text, strlen(IMAGE));

	digest_of(about, algo, text, strlen(text));
	CHECK_OK(store_manifest_put(s, REPO, str_of(text), about, NULL, &e));
}

static void fill_store(struct world *w, struct store *s)
{
	struct err e;
	auto_blob struct blob other = blob_new(2, 500);

	fill_algo(w, s, DIGEST_SHA256);
	fill_algo(w, s, DIGEST_SHA512);
	CHECK_OK(put_manifest(s, REPO, IMAGE, "v1", NULL, &e));
	CHECK_OK(put_manifest(s, REPO, SPARSE, "sparse", NULL, &e));
	CHECK_OK(put_manifest(s, REPO, SILENT_INDEX, "silent", NULL, &e));
	CHECK_OK(put(s, "org/other", &other, &e));
	w->other = other.d.digest;
	CHECK_OK(put_manifest(s, "org/other", SPARSE, "x", NULL, &e));
	CHECK_OK(store_sync(s, &e));
}

static void world_init(struct world *w, bool writable)
{
	enum store_layout layout = writable ? STORE_LAYOUT_LINKED : STORE_LAYOUT_OC;

	*w = (struct world){.writable = writable, .dir = temp_dir()};
	struct store *s = must_open(w->dir, STORE_WRITE, layout);

	fill_store(w, s);
	if (writable) {
		w->r.store = s;
	} else {
		store_close(s);
		registry_add_root(&w->r, w->dir);
	}
	registry_start(&w->r);
}

static void world_release(struct world *w)
{
	registry_release(&w->r);
	temp_dir_removep(&w->dir);
	blob_freep(&w->blob[0]);
	blob_freep(&w->blob[1]);
}

static void in_both_modes(void (*check)(struct world *w))
{
	for (int writable = 0; writable < 2; writable++) {
		struct world w;

		world_init(&w, writable);
		for (w.algo = DIGEST_SHA256; w.algo <= DIGEST_SHA512; w.algo++)
			check(&w);
		world_release(&w);
	}
}

// A test that runs in both modes and with both algorithms (W->algo).
#define ROW(id)                               \
	static void id##_in(struct world *w); \
	TEST(id)                              \
	{                                     \
		in_both_modes(id##_in);       \
	}                                     \
	static void id##_in(struct world *w)

static const char *blob_text(const struct world *w)
{
	return w->blob[w->algo].d.digest.text;
}

static struct answer ask_at(struct world *w, const char *method, const char *headers,
			    const char *fmt, ...) printf_like(4, 5);
static struct answer ask_at(struct world *w, const char *method, const char *headers,
			    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	auto_free char *target = xvasprintf(fmt, ap);
	va_end(ap);
	return ask(&w->r, method, target, headers, NULL);
}

static bool is_blob(const struct world *w, const struct answer *a)
{
	return a->n == BLOB_SIZE && memcmp(a->body, w->blob[w->algo].data, BLOB_SIZE) == 0;
}

// ---- 1: "Determining Support"

ROW(row_1_the_base_answers_200_with_an_empty_object)
{
	static const char *const paths[] = {"/v2/", "/v2"};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		auto_answer struct answer get = ask_at(w, "GET", NULL, "%s", paths[i]);
		auto_answer struct answer head = ask_at(w, "HEAD", NULL, "%s", paths[i]);

		CHECK_INT(get.status, 200);
		CHECK_STR(get.body, "{}");
		CHECK_STR(answer_header(&get, "Content-Type"), "application/json");
		CHECK_INT(head.status, 200);
		CHECK_INT(head.length, 2);
		CHECK(get.quick && head.quick);
	}
}

ROW(row_1_the_root_and_the_health_are_open_to_everybody)
{
	auto_answer struct answer root = ask_at(w, "GET", NULL, "/");
	auto_answer struct answer health = ask_at(w, "GET", NULL, "/healthz");

	CHECK_INT(root.status, 200);
	CHECK(strstr(root.body, "/v2/") != NULL);
	CHECK_STR(answer_header(&root, "Content-Type"), "text/plain; charset=utf-8");
	CHECK_INT(health.status, 200);
	CHECK_STR(health.body, "ok\n");
}

// ---- 2: "Checking if content exists in the registry"

ROW(row_2_head_of_a_blob_says_what_it_is)
{
	auto_free char *etag = xasprintf("\"%s\"", blob_text(w));
	auto_answer struct answer a =
		ask_at(w, "HEAD", NULL, "/v2/" REPO "/blobs/%s", blob_text(w));

	CHECK_INT(a.status, 200);
	CHECK_INT(a.length, BLOB_SIZE);
	CHECK_STR(answer_header(&a, "Docker-Content-Digest"), blob_text(w));
	CHECK_STR(answer_header(&a, "Content-Type"), "application/octet-stream");
	CHECK_STR(answer_header(&a, "ETag"), etag);
	CHECK_STR(answer_header(&a, "Accept-Ranges"), "bytes");
}

ROW(row_2_head_ignores_a_range)
{
	auto_answer struct answer a =
		ask_at(w, "HEAD", "Range: bytes=0-9", "/v2/" REPO "/blobs/%s", blob_text(w));

	CHECK_INT(a.status, 200);
	CHECK_INT(a.length, BLOB_SIZE);
}

ROW(row_2_head_of_an_unknown_blob_is_404_without_a_body)
{
	struct digest d;

	digest_of(&d, w->algo, "absent", 6);
	auto_answer struct answer a = ask_at(w, "HEAD", NULL, "/v2/" REPO "/blobs/%s", d.text);

	CHECK_INT(a.status, 404);
	CHECK_INT(a.n, 0);
	CHECK(a.length > 0);
}

ROW(row_2_a_blob_belongs_to_its_repository_alone)
{
	auto_answer struct answer own =
		ask_at(w, "HEAD", NULL, "/v2/org/other/blobs/%s", w->other.text);
	auto_answer struct answer others =
		ask_at(w, "HEAD", NULL, "/v2/" REPO "/blobs/%s", w->other.text);
	auto_answer struct answer nowhere =
		ask_at(w, "HEAD", NULL, "/v2/org/none/blobs/%s", w->other.text);

	CHECK_INT(own.status, 200);
	CHECK_INT(others.status, 404);
	CHECK_INT(nowhere.status, 404);
}

// What a client has been told is there gets a young ctime, so that a collection spares it.
TEST(row_2_head_of_a_blob_older_than_an_hour_may_wait_to_refresh_it)
{
	struct world w;
	struct stat before, after;

	world_init(&w, true);
	auto_free char *path = xasprintf("%s/v2/" REPO "/blobs/%s", w.dir, w.blob[0].d.digest.text);

	CHECK_INT(stat(path, &before), 0);
	auto_answer struct answer young =
		ask_at(&w, "HEAD", NULL, "/v2/" REPO "/blobs/%s", blob_text(&w));

	CHECK(young.quick);
	registry_now = before.st_ctime + 3601;
	auto_answer struct answer old =
		ask_at(&w, "HEAD", NULL, "/v2/" REPO "/blobs/%s", blob_text(&w));
	auto_answer struct answer get =
		ask_at(&w, "GET", NULL, "/v2/" REPO "/blobs/%s", blob_text(&w));

	registry_now = 0;
	CHECK_INT(old.status, 200);
	CHECK(!old.quick); // it may wait for the disk
	CHECK(get.quick);
	CHECK_INT(stat(path, &after), 0);
	CHECK(after.st_mtime == before.st_mtime);
	world_release(&w);
}

// ---- 3: "Pulling blobs"

ROW(row_3_get_of_a_blob_is_its_bytes)
{
	auto_answer struct answer a = ask_at(w, "GET", NULL, "/v2/" REPO "/blobs/%s", blob_text(w));

	CHECK_INT(a.status, 200);
	CHECK(is_blob(w, &a));
	CHECK_STR(answer_header(&a, "Docker-Content-Digest"), blob_text(w));
	CHECK_STR(answer_header(&a, "Content-Type"), "application/octet-stream");
}

ROW(row_3_a_part_of_a_blob_is_206)
{
	auto_answer struct answer a =
		ask_at(w, "GET", "Range: bytes=60000-", "/v2/" REPO "/blobs/%s", blob_text(w));

	CHECK_INT(a.status, 206);
	CHECK_STR(answer_header(&a, "Content-Range"), "bytes 60000-69999/70000");
	CHECK(a.n == 10000 && memcmp(a.body, w->blob[0].data + 60000, 10000) == 0);
}

ROW(row_3_a_part_outside_is_416)
{
	auto_answer struct answer a =
		ask_at(w, "GET", "Range: bytes=70000-", "/v2/" REPO "/blobs/%s", blob_text(w));

	CHECK_ERROR(a, 416, "UNSUPPORTED");
	CHECK_STR(answer_header(&a, "Content-Range"), "bytes */70000");
}

ROW(row_3_a_manifest_is_a_blob_too)
{
	const char *d = w->image[w->algo].text;
	auto_answer struct answer a = ask_at(w, "GET", NULL, "/v2/" REPO "/blobs/%s", d);

	CHECK_INT(a.status, 200);
	CHECK_STR(a.body, IMAGE);
	CHECK_STR(answer_header(&a, "Content-Type"), "application/octet-stream");
}

ROW(row_3_an_unknown_blob_is_404)
{
	struct digest d;

	digest_of(&d, w->algo, "absent", 6);
	auto_answer struct answer a = ask_at(w, "GET", NULL, "/v2/" REPO "/blobs/%s", d.text);
	auto_answer struct answer none = ask_at(w, "GET", NULL, "/v2/no/ne/blobs/%s", d.text);

	CHECK_ERROR(a, 404, "BLOB_UNKNOWN");
	CHECK_ERROR(none, 404, "BLOB_UNKNOWN");
}

ROW(row_3_an_empty_blob_has_no_bytes)
{
	struct digest empty;

	digest_of(&empty, w->algo, "", 0);
	auto_answer struct answer a = ask_at(w, "GET", NULL, "/v2/" REPO "/blobs/%s", empty.text);
	auto_answer struct answer range =
		ask_at(w, "GET", "Range: bytes=0-", "/v2/" REPO "/blobs/%s", empty.text);

	CHECK_INT(a.status, 200);
	CHECK_INT(a.length, 0);
	CHECK_INT(range.status, 416);
	CHECK_STR(answer_header(&range, "Content-Range"), "bytes */0");
}

// ---- 4: "Pulling manifests"

ROW(row_4_a_manifest_by_digest_is_the_bytes_that_were_pushed)
{
	const char *d = w->image[w->algo].text;
	auto_free char *etag = xasprintf("\"%s\"", d);
	auto_answer struct answer get = ask_at(w, "GET", NULL, "/v2/" REPO "/manifests/%s", d);
	auto_answer struct answer head = ask_at(w, "HEAD", NULL, "/v2/" REPO "/manifests/%s", d);

	CHECK_INT(get.status, 200);
	CHECK_STR(get.body, IMAGE);
	CHECK_INT(head.status, 200);
	CHECK_INT(head.length, strlen(IMAGE));
	CHECK_STR(answer_header(&get, "Docker-Content-Digest"), d);
	CHECK_STR(answer_header(&get, "ETag"), etag);
	CHECK_STR(answer_header(&get, "Content-Type"), MT_OCI_MANIFEST);
	CHECK_STR(head.headers, get.headers);
}

ROW(row_4_a_manifest_by_tag_says_its_digest_and_its_type)
{
	static const struct {
		const char *tag, *text, *type;
	} rows[] = {
		{"v1", IMAGE, MT_OCI_MANIFEST},
		{"sparse", SPARSE, MT_DOCKER_LIST},
		{"silent", SILENT_INDEX, MT_OCI_INDEX},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_answer struct answer a =
			ask_at(w, "GET", NULL, "/v2/" REPO "/manifests/%s", rows[i].tag);
		struct digest d;

		digest_of(&d, DIGEST_SHA256, rows[i].text, strlen(rows[i].text));
		CHECK_INT(a.status, 200);
		CHECK_STR(a.body, rows[i].text);
		CHECK_STR(answer_header(&a, "Content-Type"), rows[i].type);
		CHECK_STR(answer_header(&a, "Docker-Content-Digest"), d.text);
	}
}

ROW(row_4_accept_is_not_a_filter)
{
	auto_answer struct answer a = ask_at(w, "GET", "Accept: " MT_OCI_MANIFEST "\nAccept: x/y",
					     "/v2/" REPO "/manifests/sparse");

	CHECK_INT(a.status, 200);
	CHECK_STR(answer_header(&a, "Content-Type"), MT_DOCKER_LIST);
}

ROW(row_4_a_manifest_that_the_client_has_is_304)
{
	auto_free char *has = xasprintf("If-None-Match: \"%s\"", w->image[w->algo].text);
	auto_answer struct answer a =
		ask_at(w, "GET", has, "/v2/" REPO "/manifests/%s", w->image[w->algo].text);
	auto_answer struct answer other = ask_at(w, "GET", has, "/v2/" REPO "/manifests/sparse");

	CHECK_INT(a.status, 304);
	CHECK_INT(a.n, 0);
	CHECK_INT(other.status, 200);
}

ROW(row_4_unknown_manifests_and_unknown_repositories_have_codes_of_their_own)
{
	struct digest d;

	digest_of(&d, w->algo, "absent", 6);
	auto_answer struct answer tag = ask_at(w, "GET", NULL, "/v2/" REPO "/manifests/no");
	auto_answer struct answer digest =
		ask_at(w, "GET", NULL, "/v2/" REPO "/manifests/%s", d.text);
	auto_answer struct answer repo = ask_at(w, "GET", NULL, "/v2/no/ne/manifests/v1");
	auto_answer struct answer head = ask_at(w, "HEAD", NULL, "/v2/" REPO "/manifests/no");

	CHECK_ERROR(tag, 404, "MANIFEST_UNKNOWN");
	CHECK_ERROR(digest, 404, "MANIFEST_UNKNOWN");
	CHECK_ERROR(repo, 404, "NAME_UNKNOWN");
	CHECK_INT(head.status, 404);
	CHECK_INT(head.length, tag.length);
}

ROW(row_4_a_blob_is_no_manifest)
{
	auto_answer struct answer a =
		ask_at(w, "GET", NULL, "/v2/" REPO "/manifests/%s", blob_text(w));

	CHECK_ERROR(a, 404, "MANIFEST_UNKNOWN");
}

// ---- 2, 3, 4: "Error Codes"

ROW(rows_2_to_4_malformed_names_and_digests_are_400)
{
	static const struct {
		const char *target, *code;
	} rows[] = {
		{"/v2/" REPO "/blobs/sha256:zz", "DIGEST_INVALID"},
		{"/v2/" REPO "/blobs/sha512:"
		 "0123",
		 "DIGEST_INVALID"},
		{"/v2/" REPO "/blobs/md5:00000000000000000000000000000000", "DIGEST_INVALID"},
		{"/v2/" REPO "/manifests/sha256:zz", "DIGEST_INVALID"},
		{"/v2/" REPO "/manifests/-x", "MANIFEST_INVALID"},
		{"/v2/Org/App/manifests/v1", "NAME_INVALID"},
		{"/v2/org/../app/manifests/v1", "NAME_INVALID"},
		{"/v2/org%2Fapp/manifests/v1", "NAME_INVALID"},
	};

	(void)w;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_answer struct answer a = ask_at(w, "GET", NULL, "%s", rows[i].target);
		auto_answer struct answer head = ask_at(w, "HEAD", NULL, "%s", rows[i].target);

		CHECK_ERROR(a, 400, rows[i].code);
		CHECK_INT(head.status, 400);
	}
}

ROW(all_rows_an_unknown_path_has_an_error_of_the_same_shape)
{
	static const char *const paths[] = {"/v1/", "/v2/x", "/v2/" REPO "/tags", "/favicon.ico"};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		auto_answer struct answer a = ask_at(w, "GET", NULL, "%s", paths[i]);

		CHECK_ERROR(a, 404, "NAME_UNKNOWN");
		CHECK(ends_with(a.body, "\"detail\":{}}]}"));
	}
}

ROW(all_rows_a_malformed_query_is_400)
{
	auto_answer struct answer a = ask_at(w, "GET", NULL, "%s", "/v2/" REPO "/tags/list?n=%zz");

	CHECK_ERROR(a, 400, "UNSUPPORTED");
}

// ---- 18: "Listing Tags"; 19; 20: "Listing Referrers"

ROW(row_18_tags_are_listed_in_byte_order)
{
	auto_answer struct answer a = ask_at(w, "GET", NULL, "/v2/" REPO "/tags/list");
	auto_answer struct answer head = ask_at(w, "HEAD", NULL, "/v2/" REPO "/tags/list");
	auto_answer struct answer page =
		ask_at(w, "GET", NULL, "/v2/" REPO "/tags/list?n=1&last=silent");
	auto_answer struct answer none = ask_at(w, "GET", NULL, "/v2/no/ne/tags/list");

	CHECK_INT(a.status, 200);
	CHECK_STR(answer_header(&a, "Content-Type"), "application/json");
	CHECK_STR(a.body, "{\"name\":\"" REPO "\",\"tags\":[\"silent\",\"sparse\",\"v1\"]}");
	CHECK_INT(head.length, a.n);
	CHECK_STR(page.body, "{\"name\":\"" REPO "\",\"tags\":[\"sparse\"]}");
	CHECK_STR(answer_header(&page, "Link"),
		  "</v2/" REPO "/tags/list?n=1&last=sparse>; rel=\"next\"");
	CHECK_ERROR(none, 404, "NAME_UNKNOWN");
}

ROW(row_19_the_catalog_names_the_repositories)
{
	auto_answer struct answer a = ask_at(w, "GET", NULL, "/v2/_catalog");
	auto_answer struct answer page = ask_at(w, "GET", NULL, "/v2/_catalog?n=1");

	CHECK_INT(a.status, 200);
	CHECK_STR(a.body, "{\"repositories\":[\"" REPO "\",\"org/other\"]}");
	CHECK_STR(page.body, "{\"repositories\":[\"" REPO "\"]}");
	CHECK_STR(answer_header(&page, "Link"), "</v2/_catalog?n=1&last=org%2Fapp>; rel=\"next\"");
}

ROW(row_20_referrers_are_an_index)
{
	const char *d = w->image[w->algo].text;
	auto_answer struct answer a = ask_at(w, "GET", NULL, "/v2/" REPO "/referrers/%s", d);
	auto_answer struct answer filtered = ask_at(
		w, "GET", NULL, "/v2/" REPO "/referrers/%s?artifactType=application/none", d);

	CHECK_INT(a.status, 200);
	CHECK_STR(answer_header(&a, "Content-Type"), MT_OCI_INDEX);
	CHECK(strstr(a.body, w->about[w->algo].text) != NULL);
	CHECK(strstr(a.body, "\"artifactType\":\"application/vnd.sig\"") != NULL);
	CHECK_STR(answer_header(&filtered, "OCI-Filters-Applied"), "artifactType");
	CHECK(ends_with(filtered.body, "\"manifests\":[]}"));
}

ROW(row_20_referrers_are_never_404)
{
	struct digest d;

	digest_of(&d, w->algo, "absent", 6);
	auto_answer struct answer unknown =
		ask_at(w, "GET", NULL, "/v2/" REPO "/referrers/%s", d.text);
	auto_answer struct answer nowhere =
		ask_at(w, "GET", NULL, "/v2/no/ne/referrers/%s", d.text);
	auto_answer struct answer bad = ask_at(w, "GET", NULL, "/v2/" REPO "/referrers/sha256:x");

	CHECK_INT(unknown.status, 200);
	CHECK_INT(nowhere.status, 200);
	CHECK(ends_with(nowhere.body, "\"manifests\":[]}"));
	CHECK_ERROR(bad, 400, "DIGEST_INVALID");
}

// ---- 21: "Error Codes": 405

TEST(row_21_a_read_only_registry_refuses_what_writes)
{
	static const char digest[] =
		"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
	static const struct {
		const char *method, *path;
	} rows[] = {
		{"POST", "/v2/" REPO "/blobs/uploads/"}, {"PATCH", "/v2/" REPO "/blobs/uploads/x"},
		{"PUT", "/v2/" REPO "/blobs/uploads/x"}, {"DELETE", "/v2/" REPO "/blobs/uploads/x"},
		{"PUT", "/v2/" REPO "/manifests/v1"},    {"DELETE", "/v2/" REPO "/manifests/v1"},
		{"DELETE", "/v2/" REPO "/blobs/%s"},
	};
	struct world w;

	world_init(&w, false);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *target = ends_with(rows[i].path, "%s")
						 ? xasprintf("/v2/" REPO "/blobs/%s", digest)
						 : xstrdup(rows[i].path);
		auto_answer struct answer a = ask(&w.r, rows[i].method, target, NULL, "x");

		CHECK_ERROR(a, 405, "UNSUPPORTED");
		CHECK_STR(answer_header(&a, "Allow"), "GET, HEAD");
		CHECK(!a.close);
	}
	auto_answer struct answer session = ask_at(&w, "GET", NULL, "/v2/" REPO "/blobs/uploads/x");

	CHECK_ERROR(session, 404, "BLOB_UPLOAD_UNKNOWN");
	world_release(&w);
}

TEST(row_21_a_large_body_that_is_not_wanted_ends_its_connection)
{
	struct world w;
	auto_free char *large = xcalloc(1, 100001);

	memset(large, 'x', 100000);
	world_init(&w, false);
	auto_answer struct answer length =
		ask(&w.r, "PUT", "/v2/" REPO "/manifests/v1", NULL, large);
	auto_answer struct answer chunked = ask(&w.r, "PATCH", "/v2/" REPO "/blobs/uploads/x",
						"Transfer-Encoding: chunked", "x");

	CHECK_INT(length.status, 405);
	CHECK(length.close);
	CHECK_INT(chunked.status, 405);
	CHECK(chunked.close);
	world_release(&w);
}

TEST(rows_7_to_9_removing_is_refused_where_it_is_off)
{
	struct world w;

	world_init(&w, true);
	auto_answer struct answer blob =
		ask_at(&w, "DELETE", NULL, "/v2/" REPO "/blobs/%s", blob_text(&w));
	auto_answer struct answer manifest =
		ask_at(&w, "DELETE", NULL, "/v2/" REPO "/manifests/v1");

	CHECK_ERROR(blob, 405, "UNSUPPORTED");
	CHECK_STR(answer_header(&blob, "Allow"), "GET, HEAD");
	CHECK_ERROR(manifest, 405, "UNSUPPORTED");
	CHECK_STR(answer_header(&manifest, "Allow"), "GET, HEAD, PUT");
	world_release(&w);
}

ROW(all_rows_a_method_that_a_path_does_not_have_is_405)
{
	static const struct {
		const char *method, *path;
	} rows[] = {
		{"POST", "/v2/"},
		{"PUT", "/v2/_catalog"},
		{"DELETE", "/v2/" REPO "/tags/list"},
		{"OPTIONS", "/v2/" REPO "/manifests/v1"},
		{"TRACE", "/healthz"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_answer struct answer a = ask_at(w, rows[i].method, NULL, "%s", rows[i].path);

		CHECK_ERROR(a, 405, "UNSUPPORTED");
		CHECK(starts_with(answer_header(&a, "Allow"), "GET, HEAD"));
	}
}

// ---- what every request leaves behind

ROW(all_rows_the_access_log_has_a_line_for_every_request_without_its_query)
{
	buf_clear(&w->r.access);
	auto_answer struct answer a = ask_at(w, "GET", NULL, "/v2/" REPO "/manifests/silent");
	auto_answer struct answer b = ask_at(w, "HEAD", NULL, "/v2/");
	auto_answer struct answer c = ask_at(w, "GET", NULL, "/v2/" REPO "/tags/list?n=0&secret=x");

	CHECK(a.status == 200 && b.status == 200 && c.status == 200);
	CHECK_STR(w->r.access.p, "- GET /v2/" REPO "/manifests/silent 200 0 34 whole\n"
				 "- HEAD /v2/ 200 0 0 whole\n"
				 "- GET /v2/" REPO "/tags/list 200 0 28 whole\n");
}

TEST(health_says_what_is_wrong)
{
	struct world w;

	world_init(&w, true);
	api_tick(w.r.api);
	w.r.api->cfg.limits.disk_reserve = UINT64_MAX;
	api_tick(w.r.api);
	api_tick(w.r.api);
	auto_answer struct answer full = ask_at(&w, "GET", NULL, "/healthz");
	auto_answer struct answer head = ask_at(&w, "HEAD", NULL, "/healthz");

	CHECK_INT(full.status, 503);
	CHECK_STR(full.body, "degraded: the disk is nearly full, pushes are refused\n");
	CHECK_INT(head.status, 503);
	CHECK_INT(head.length, full.n);
	CHECK_STR(w.r.notices.p,
		  "the disk of the store is nearly full: pushes are refused\n"); // once
	w.r.api->cfg.limits.disk_reserve = 1;
	api_tick(w.r.api);
	auto_answer struct answer fine = ask_at(&w, "GET", NULL, "/healthz");

	CHECK_INT(fine.status, 200);
	world_release(&w);
}

TEST(a_registry_needs_something_to_serve)
{
	struct auth_config open = {.mode = AUTH_NONE, .now = registry_clock};
	auto_of(auth_free) struct auth *auth = NULL;
	struct api *api;
	struct err e;

	REQUIRE_OK(auth_new(&auth, &open, &e));
	struct api_config cfg = {.auth = auth, .now = registry_clock};

	CHECK_FAILS(api_new(&api, &cfg, &e));
	CHECK_INT(e.kind, ERR_USAGE);
}

int main(void)
{
	return tap_main();
}
