// SPDX-License-Identifier: Apache-2.0
#include "net/url.h"

#include "util/cleanup.h"
#include "util/mem.h"

#include "tap.h"

TEST(a_url_is_split_into_parts_with_the_port_filled_in)
{
	static const struct {
		const char *text, *scheme, *host, *port, *path, *query;
	} rows[] = {
		{"http://h", "http", "h", "80", "/", ""},
		{"HTTPS://Quay.IO/v2/", "https", "quay.io", "443", "/v2/", ""},
		{"https://h:5000/a/b?c=d&e", "https", "h", "5000", "/a/b", "c=d&e"},
		{"http://h?q", "http", "h", "80", "/", "q"},
		{"http://h:/x", "http", "h", "80", "/x", ""},
		{"http://[::1]:5000/x", "http", "[::1]", "5000", "/x", ""},
		{"http://[2001:DB8::1]", "http", "[2001:db8::1]", "80", "/", ""},
		{"http://h:0080/", "http", "h", "80", "/", ""},
	};
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_url struct url u = {0};

		REQUIRE_OK(url_parse(&u, rows[i].text, &e));
		CHECK_STR(u.scheme, rows[i].scheme);
		CHECK_STR(u.host, rows[i].host);
		CHECK_STR(u.port, rows[i].port);
		CHECK_STR(u.path, rows[i].path);
		CHECK_STR(u.query, rows[i].query);
	}
}

TEST(what_is_no_http_url_is_refused)
{
	static const char *const rows[] = {
		"",
		"h",
		"/v2/",
		"ftp://h/",
		"file:///etc/passwd",
		"http:h",
		"http:/h",
		"http://",
		"http:///x",
		"http://user@h/",
		"http://user:secret@h/",
		"http://h/#fragment",
		"http://h/a b",
		"http://h/a\r\nX: y",
		"http://h:0/",
		"http://h:65536/",
		"http://h:5000x/",
		"http://[::1/",
		"http://[::1]x/",
		"http://[h]/",
		"http://h%41/",
	};
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_url struct url u = {0};

		tap_report(url_parse(&u, rows[i], &e) < 0 && e.kind == ERR_INPUT,
			   "'%s' was accepted", rows[i]);
	}
}

TEST(passwords_do_not_reach_the_message)
{
	auto_url struct url u = {0};
	struct err e;

	CHECK_FAILS(url_parse(&u, "http://user:secret@h/x?token=secret", &e));
	CHECK(!strstr(e.text, "secret"));
}

// RFC 3986, 5.4.1 "Normal Examples" and 5.4.2 "Abnormal Examples"; fragments are dropped.
TEST(references_resolve_as_rfc_3986_shows)
{
	static const struct {
		const char *ref, *want;
	} rows[] = {
		{"g", "http://a/b/c/g"},
		{"./g", "http://a/b/c/g"},
		{"g/", "http://a/b/c/g/"},
		{"/g", "http://a/g"},
		{"//g", "http://g"},
		{"?y", "http://a/b/c/d;p?y"},
		{"g?y", "http://a/b/c/g?y"},
		{"#s", "http://a/b/c/d;p?q"},
		{"g#s", "http://a/b/c/g"},
		{"g?y#s", "http://a/b/c/g?y"},
		{";x", "http://a/b/c/;x"},
		{"g;x", "http://a/b/c/g;x"},
		{"g;x?y#s", "http://a/b/c/g;x?y"},
		{"", "http://a/b/c/d;p?q"},
		{".", "http://a/b/c/"},
		{"./", "http://a/b/c/"},
		{"..", "http://a/b/"},
		{"../", "http://a/b/"},
		{"../g", "http://a/b/g"},
		{"../..", "http://a/"},
		{"../../", "http://a/"},
		{"../../g", "http://a/g"},
		{"../../../g", "http://a/g"},
		{"../../../../g", "http://a/g"},
		{"/./g", "http://a/g"},
		{"/../g", "http://a/g"},
		{"g.", "http://a/b/c/g."},
		{".g", "http://a/b/c/.g"},
		{"g..", "http://a/b/c/g.."},
		{"..g", "http://a/b/c/..g"},
		{"./../g", "http://a/b/g"},
		{"./g/.", "http://a/b/c/g/"},
		{"g/./h", "http://a/b/c/g/h"},
		{"g/../h", "http://a/b/c/h"},
		{"g;x=1/./y", "http://a/b/c/g;x=1/y"},
		{"g;x=1/../y", "http://a/b/c/y"},
		{"g?y/./x", "http://a/b/c/g?y/./x"},
		{"g?y/../x", "http://a/b/c/g?y/../x"},
		{"https://other:1/x?y", "https://other:1/x?y"},
	};
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *got = NULL;

		REQUIRE_OK(url_resolve(&got, "http://a/b/c/d;p?q", rows[i].ref, &e));
		tap_report(strcmp(got, rows[i].want) == 0, "'%s' gave '%s', want '%s'", rows[i].ref,
			   got, rows[i].want);
	}
}

TEST(a_location_keeps_the_port_and_leads_to_http_only)
{
	auto_free char *got = NULL, *other = NULL;
	struct err e;

	REQUIRE_OK(url_resolve(&got, "https://h:5000/v2/x?y", "/v2/z?_state=a%2Fb", &e));
	CHECK_STR(got, "https://h:5000/v2/z?_state=a%2Fb");
	CHECK_FAILS(url_resolve(&other, "http://h/", "g:h", &e));
	CHECK_FAILS(url_resolve(&other, "http://h/", "file:///etc/passwd", &e));
	CHECK_FAILS(url_resolve(&other, "http://h/", "http://u:p@h/", &e));
}

TEST(an_origin_is_scheme_host_and_port)
{
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
		{"http://h/a", "http://H:80/b?c", true},   {"https://h/", "https://h:443/", true},
		{"http://h/", "https://h/", false},        {"http://h/", "http://h:81/", false},
		{"http://h/", "http://h.example/", false}, {"http://h/", "nonsense", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		tap_report(url_same_origin(rows[i].a, rows[i].b) == rows[i].same, "%s and %s",
			   rows[i].a, rows[i].b);
}

TEST(queries_are_encoded_added_and_removed)
{
	auto_free char *encoded = url_encode("a b/c:d?e&f~-._\xc3\xa9");
	auto_free char *first = url_add_query("http://h/x", "digest", "sha256:ab");
	auto_free char *second = url_add_query("http://h/x?y=z", "n", "1");
	auto_free char *bare = url_add_query("http://h/x?", "n", "1");
	auto_free char *without = url_without_query("http://h/x?secret=1");
	auto_free char *anonymous = url_without_query("http://u:p@h/x@y?z");

	CHECK_STR(encoded, "a%20b%2Fc%3Ad%3Fe%26f~-._%C3%A9");
	CHECK_STR(first, "http://h/x?digest=sha256%3Aab");
	CHECK_STR(second, "http://h/x?y=z&n=1");
	CHECK_STR(bare, "http://h/x?n=1");
	CHECK_STR(without, "http://h/x");
	CHECK_STR(anonymous, "http://h/x@y");
}

int main(void)
{
	return tap_main();
}
