// SPDX-License-Identifier: Apache-2.0
// Targets: which endpoint a path names, and which names are refused (OCI distribution-spec v1.1).
#include "serve/route.h"

#include "exact.h"
#include "tap.h"
#include "util/cleanup.h"

#include <stdio.h>

#define HEX64  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SHA256 "sha256:" HEX64
#define SHA512 "sha512:" HEX64 HEX64
#define A10(x) x x x x x x x x x x
#define A50    A10("aaaaa")
#define A250   A50 A50 A50 A50 A50
#define TAG128 A50 A50 A10("aa") "aaaaaaaa"

static int parse(struct route *r, const char *path, const char **ret_code)
{
	size_t n = strlen(path);
	auto_free char *copy = exact_copy(path, n);
	struct err e = {0};
	int status = route_parse(r, (struct str){copy, n}, ret_code, &e);

	CHECK(!status || (*e.text && !strpbrk(e.text, "\r\n")));
	return status;
}

TEST(paths_name_endpoints)
{
	static const struct {
		const char *path;
		enum endpoint endpoint;
		const char *repo, *tag, *digest;
	} rows[] = {
		{"/", ENDPOINT_ROOT, "", "", ""},
		{"/healthz", ENDPOINT_HEALTH, "", "", ""},
		{"/token", ENDPOINT_TOKEN, "", "", ""},
		{"/v2", ENDPOINT_BASE, "", "", ""},
		{"/v2/", ENDPOINT_BASE, "", "", ""},
		{"/%76%32/", ENDPOINT_BASE, "", "", ""},
		{"/v2/_catalog", ENDPOINT_CATALOG, "", "", ""},
		{"/v2/a/blobs/" SHA256, ENDPOINT_BLOB, "a", "", SHA256},
		{"/v2/a/blobs/" SHA512, ENDPOINT_BLOB, "a", "", SHA512},
		{"/v2/a/b/c/blobs/" SHA256, ENDPOINT_BLOB, "a/b/c", "", SHA256},
		{"/v2/a/blobs/sha256%3A" HEX64, ENDPOINT_BLOB, "a", "", SHA256},
		{"/v2/a/blobs/sha256%3a" HEX64, ENDPOINT_BLOB, "a", "", SHA256},
		{"/v2/a/blobs/uploads/", ENDPOINT_UPLOADS, "a", "", ""},
		{"/v2/a/blobs/uploads", ENDPOINT_UPLOADS, "a", "", ""},
		{"/v2/a/blobs/uploads/0b1f-9", ENDPOINT_UPLOAD, "a", "0b1f-9", ""},
		{"/v2/a/blobs/uploads/" SHA256, ENDPOINT_UPLOAD, "a", SHA256, ""},
		{"/v2/a/blobs/uploads/" A250, ENDPOINT_UPLOAD, "a", TAG128, ""},
		{"/v2/a/manifests/latest", ENDPOINT_MANIFEST, "a", "latest", ""},
		{"/v2/a/manifests/" SHA256, ENDPOINT_MANIFEST, "a", "", SHA256},
		{"/v2/a/manifests/" SHA512, ENDPOINT_MANIFEST, "a", "", SHA512},
		{"/v2/a/manifests/" TAG128, ENDPOINT_MANIFEST, "a", TAG128, ""},
		{"/v2/a/manifests/_", ENDPOINT_MANIFEST, "a", "_", ""},
		{"/v2/a/manifests/v1.0-Rc_1", ENDPOINT_MANIFEST, "a", "v1.0-Rc_1", ""},
		{"/v2/a/manifests/sha256-" HEX64, ENDPOINT_MANIFEST, "a", "sha256-" HEX64, ""},
		{"/v2/a/manifests/list", ENDPOINT_MANIFEST, "a", "list", ""},
		{"/v2/a/manifests/tags", ENDPOINT_MANIFEST, "a", "tags", ""},
		{"/v2/a/manifests/uploads", ENDPOINT_MANIFEST, "a", "uploads", ""},
		{"/v2/a/tags/list", ENDPOINT_TAGS, "a", "", ""},
		{"/v2/list/tags/list", ENDPOINT_TAGS, "list", "", ""},
		{"/v2/v2/tags/list", ENDPOINT_TAGS, "v2", "", ""},
		{"/v2/tag/list/tags/list", ENDPOINT_TAGS, "tag/list", "", ""},
		{"/v2/a/referrers/" SHA256, ENDPOINT_REFERRERS, "a", "", SHA256},
		{"/v2/blob/blobs/" SHA256, ENDPOINT_BLOB, "blob", "", SHA256},

		// Nothing of ours
		{"/v1/", ENDPOINT_UNKNOWN, "", "", ""},
		{"/v2x", ENDPOINT_UNKNOWN, "", "", ""},
		{"/v22/a/tags/list", ENDPOINT_UNKNOWN, "", "", ""},
		{"/V2/", ENDPOINT_UNKNOWN, "", "", ""},
		{"/v2/a", ENDPOINT_UNKNOWN, "", "", ""},
		{"/v2/a/", ENDPOINT_UNKNOWN, "", "", ""},
		{"/v2/a/b", ENDPOINT_UNKNOWN, "", "", ""},
		{"/v2/a/tags", ENDPOINT_UNKNOWN, "", "", ""},
		{"/v2/a/tags/", ENDPOINT_UNKNOWN, "", "", ""},
		{"/v2/a/tags/list/", ENDPOINT_UNKNOWN, "", "", ""},
		{"/v2/a/tags/lists", ENDPOINT_UNKNOWN, "", "", ""},
		{"/v2/a/uploads/x", ENDPOINT_UNKNOWN, "", "", ""},
		{"/v2/_catalog/", ENDPOINT_UNKNOWN, "", "", ""},
		{"/v2/ablobs/" SHA256, ENDPOINT_UNKNOWN, "", "", ""},
		{"/v2/a/xmanifests/x", ENDPOINT_UNKNOWN, "", "", ""},
		{"/healthz/", ENDPOINT_UNKNOWN, "", "", ""},
		{"/favicon.ico", ENDPOINT_UNKNOWN, "", "", ""},
		{"*", ENDPOINT_UNKNOWN, "", "", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *code = NULL;
		struct route r;

		CHECK_INT(parse(&r, rows[i].path, &code), 0);
		CHECK_INT(r.endpoint, rows[i].endpoint);
		CHECK_STR(r.repo, rows[i].repo);
		CHECK_STR(r.tag, rows[i].tag);
		CHECK_STR(r.digest.text, rows[i].digest);
		CHECK_INT(r.by_digest, r.endpoint == ENDPOINT_MANIFEST && *rows[i].digest);
		if (r.endpoint != rows[i].endpoint || code)
			printf("# %s\n", rows[i].path);
	}
}

static void check_refused(const char *path, const char *want)
{
	const char *code = "none";
	struct route r;

	CHECK_INT(parse(&r, path, &code), 400);
	CHECK_STR(code, want);
	if (strcmp(code, want) != 0)
		printf("# %s\n", path);
}

TEST(names_follow_the_grammar)
{
	static const char *const good[] = {
		"a",
		"0",
		"a/b/c",
		"a.b",
		"a_b",
		"a__b",
		"a-b",
		"a---b",
		"a0.b1_c2__d3-e4",
		"0/1",
		"upload",
		"blob/manifest",
		"a/list",
		"library/ubuntu",
		A250 "aaaaa",
		A250 "/aaaa",
	};
	static const char *const bad[] = {
		"A",
		"a/B",
		"aB",
		".a",
		"a.",
		"a..b",
		"a._b",
		"a___b",
		"_a",
		"a_",
		"-a",
		"a-",
		"a-_b",
		"a.-b",
		"a/.b",
		"a/b-",
		"a+b",
		"a@b",
		"a:b",
		"a:80/b",
		"a,b",
		"a~b",
		"a*",
		"$a",
		"%20",
		"a%20b",
		"a%2eb%2E",
		"%C3%A4",
		"\xc3\xa4",
		"a%25b",
		"%252e%252e",
		"%252f",
		"_catalog",
		"quay.io:443/a",
		"a&b",
		"a=b",
		"a;b",
		"(a)",
		"'a'",
		"a!",
		A250 "aaaaaa",
		A250 "/aaaaa",
		"a/" A250 "/bbbb",
		A250 A250 A250,
	};
	static const char *const forms[] = {
		"/v2/%s/blobs/" SHA256,  "/v2/%s/manifests/x",     "/v2/%s/tags/list",
		"/v2/%s/blobs/uploads/", "/v2/%s/blobs/uploads/x", "/v2/%s/referrers/" SHA256,
	};

	for (size_t f = 0; f < ARRAY_SIZE(forms); f++) {
		struct str tail = str_of(forms[f]), head = str_cut(&tail, '%');
		const char *code = NULL;
		char path[2000];
		struct route r;

		for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
			snprintf(path, sizeof(path), "%.*s%s%s", STR_FMT(head), good[i],
				 tail.p + 1);
			CHECK_INT(parse(&r, path, &code), 0);
			CHECK_STR(r.repo, good[i]);
		}
		for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
			snprintf(path, sizeof(path), "%.*s%s%s", STR_FMT(head), bad[i], tail.p + 1);
			check_refused(path, "NAME_INVALID");
		}
	}
}

TEST(words_of_the_api_are_no_components_of_names)
{
	static const char *const rows[] = {
		"/v2/blobs/tags/list",
		"/v2/manifests/tags/list",
		"/v2/tags/tags/list",
		"/v2/uploads/tags/list",
		"/v2/referrers/tags/list",
		"/v2/a/tags/b/tags/list",
		"/v2/a/tags/list/tags/list",
		"/v2/a/tags/list/manifests/x",
		"/v2/a/blobs/manifests/x",
		"/v2/a/manifests/x/manifests/y",
		"/v2/a/blobs/uploads/tags/list",
		"/v2/a/blobs/uploads/x/manifests/y",
		"/v2/a/manifests/blobs/uploads/",
		"/v2/a/manifests/blobs/" SHA256,
		"/v2/a/uploads/blobs/" SHA256,
		"/v2/a/referrers/" SHA256 "/tags/list",
		// Names that are missing
		"/v2/tags/list",
		"/v2/blobs/" SHA256,
		"/v2/blobs/uploads/",
		"/v2/blobs/uploads/x",
		"/v2/manifests/x",
		"/v2/referrers/" SHA256,
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_refused(rows[i], "NAME_INVALID");
}

TEST(digests_are_lower_case_hex_of_the_right_length)
{
	static const char *const bad[] = {
		"x",
		"sha256",
		"sha256:",
		"sha256:abc",
		HEX64,
		"sha256-" HEX64,
		"sha256:" HEX64 "0",
		"sha256:" HEX64 HEX64,
		"sha512:" HEX64,
		"SHA256:" HEX64,
		"sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
		"sha256:g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		"sha256:" HEX64 ":",
		"sha256::" HEX64,
		":" HEX64,
		"md5:0123456789abcdef0123456789abcdef",
		"sha384:" HEX64 "0123456789abcdef0123456789abcdef",
		"sha256%253A" HEX64,
		"sha256:" HEX64 "%20",
		"",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char path[400];

		snprintf(path, sizeof(path), "/v2/a/blobs/%s", bad[i]);
		check_refused(path, "DIGEST_INVALID");
		snprintf(path, sizeof(path), "/v2/a/referrers/%s", bad[i]);
		check_refused(path, "DIGEST_INVALID");
		if (!strchr(bad[i], ':'))
			continue;
		snprintf(path, sizeof(path), "/v2/a/manifests/%s", bad[i]);
		check_refused(path, "DIGEST_INVALID");
	}
}

TEST(tags_follow_the_grammar)
{
	static const char *const bad[] = {
		"",     "-a",       ".a",       "a+b", "a@b", "a%20b",
		"a%25", "\xc3\xa4", TAG128 "a", "*",   "a~",  "...",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char path[400];

		snprintf(path, sizeof(path), "/v2/a/manifests/%s", bad[i]);
		check_refused(path, "MANIFEST_INVALID");
	}
}

TEST(paths_that_could_leave_their_place_are_refused)
{
	static const char *const rows[] = {
		"//",
		"//v2/",
		"/v2//",
		"/v2//a/tags/list",
		"/v2/a//tags/list",
		"/v2/a/blobs//uploads/",
		"/v2/a/blobs/uploads//",
		"/.",
		"/..",
		"/v2/.",
		"/v2/..",
		"/v2/./a/tags/list",
		"/v2/../v2/a/tags/list",
		"/v2/a/../tags/list",
		"/v2/a/blobs/..",
		"/v2/a/blobs/uploads/.",
		"/v2/a/blobs/uploads/..",
		"/v2/a/manifests/..",
		"/v2/a/manifests/../x",
		"/v2/%2e%2e/tags/list",
		"/v2/.%2E/tags/list",
		"/v2/a/blobs/uploads/%2e%2e",
		"/v2/a/%2e/tags/list",
		"/v2/a%2Fb/tags/list",
		"/v2/a%2fb/tags/list",
		"/v2%2F",
		"/%2e%2e%2fetc/passwd",
		"/v2/a\\b/tags/list",
		"/v2/a%5Cb/tags/list",
		"/v2/a/blobs/uploads/..%5c..",
		"/v2/a%00/tags/list",
		"/v2/a/manifests/x%00",
		"/v2/a/blobs/uploads/x%00y",
		"/v2/a%0a/tags/list",
		"/v2/a%0D%0AX/tags/list",
		"/v2/a%1f/tags/list",
		"/v2/a%7F/tags/list",
		"/v2/a\x01/tags/list",
		"/v2/a/blobs/uploads/x\n",
		"/v2/a%/tags/list",
		"/v2/a%2/tags/list",
		"/v2/a%zz/tags/list",
		"/v2/a%2g/tags/list",
		"/v2/a/manifests/x%",
		"/v2/a/manifests/x%4",
		"/x%",
		"/x%00",
		"/etc/../x",
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_refused(rows[i], "NAME_INVALID");
}

TEST(paths_end_at_8_kib)
{
	auto_buf struct buf path = BUF_INIT(BUF_TEXT_MAX);
	const char *code = NULL;
	struct route r;

	buf_putc(&path, '/');
	while (path.n < 8 * 1024)
		buf_putc(&path, 'a');
	CHECK_INT(parse(&r, path.p, &code), 0);
	CHECK_INT(r.endpoint, ENDPOINT_UNKNOWN);
	buf_putc(&path, 'a');
	check_refused(path.p, "NAME_INVALID");
}

static int parse_query(struct query *q, const char *text, struct err *e)
{
	size_t n = strlen(text);
	auto_free char *copy = exact_copy(text, n);

	return query_parse(q, (struct str){copy, n}, e);
}

TEST(query_values_are_decoded_once)
{
	static const struct {
		const char *text, *name, *value; // value NULL: there is none
	} rows[] = {
		{"from=src%2Fapp&mount=sha256%3A" HEX64, "from", "src/app"},
		{"from=src%2Fapp&mount=sha256%3A" HEX64, "mount", SHA256},
		{"from=src/app&mount=" SHA256, "mount", SHA256},
		{"n=10&last=b", "last", "b"},
		{"n=10&last=b", "l", NULL},
		{"n=1&n=2", "n", "1"},
		{"n", "n", ""},
		{"n=", "n", ""},
		{"=x", "", "x"},
		{"a=b=c", "a", "b=c"},
		{"a%3Db=c", "a=b", "c"},
		{"a%26b=c", "a&b", "c"},
		{"&&a=1&&b=2&", "b", "2"},
		{"q=a+b%2Bc", "q", "a b+c"},
		{"q=%252F", "q", "%2F"},
		{"q=%25", "q", "%"},
		{"q=%c3%a4", "q", "\xc3\xa4"},
		{"N=1", "n", NULL},
		{"", "n", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_query struct query q = {.n = 0};
		struct err e;

		CHECK_OK(parse_query(&q, rows[i].text, &e));
		const char *value = query_get(&q, rows[i].name);

		CHECK(!value == !rows[i].value);
		if (value && rows[i].value)
			CHECK_STR(value, rows[i].value);
	}
}

TEST(a_missing_query_has_no_parameters)
{
	auto_query struct query q = {.n = 7};
	struct err e;

	CHECK_OK(query_parse(&q, (struct str){NULL, 0}, &e));
	CHECK_INT(q.n, 0);
}

TEST(broken_queries_are_refused)
{
	static const char *const rows[] = {
		"a=%",     "a=%4",     "a=%zz", "%=1",   "a=1&b=%",   "a=%00",
		"a%00b=1", "a=%0d%0a", "a=\n",  "a=%1F", "a=%7f&b=1", "a=\x7f",
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct query q = {.n = 0};
		struct err e;

		CHECK_FAILS(parse_query(&q, rows[i], &e));
		CHECK_INT(e.kind, ERR_INPUT);
		CHECK_INT(q.n, 0);
	}
}

TEST(a_hundred_tags_fit_in_a_query)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
	auto_query struct query q = {.n = 0};
	struct query none = {.n = 0};
	struct err e;

	for (int i = 0; i < QUERY_PARAMETERS_MAX; i++)
		buf_printf(&text, "tag=v%d&", i);
	REQUIRE_OK(parse_query(&q, text.p, &e));
	CHECK_INT(q.n, QUERY_PARAMETERS_MAX);
	CHECK_STR(q.v[QUERY_PARAMETERS_MAX - 1].name, "tag");
	CHECK_STR(q.v[QUERY_PARAMETERS_MAX - 1].value, "v127");
	buf_puts(&text, "n=1");
	CHECK_FAILS(parse_query(&none, text.p, &e));
	CHECK_INT(e.kind, ERR_INPUT);
}

int main(void)
{
	return tap_main();
}
