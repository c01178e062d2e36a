// SPDX-License-Identifier: Apache-2.0
#include "net/proxy.h"

#include "util/cleanup.h"
#include "util/mem.h"

#include "tap.h"

TEST(no_proxy_exempts_as_go_does)
{
	static const struct {
		const char *no_proxy, *host, *port;
		bool exempt;
	} rows[] = {
		{"", "example.com", "80", false},
		{NULL, "example.com", "80", false},
		{"*", "example.com", "80", true},
		{"example.com", "example.com", "80", true},
		{"example.com", "a.example.com", "443", true},
		{"example.com", "badexample.com", "80", false},
		{".example.com", "a.example.com", "80", true},
		{".example.com", "example.com", "80", false},
		{"*.example.com", "a.example.com", "80", true},
		{"*.example.com", "example.com", "80", false},
		{"Example.COM", "a.eXample.com", "80", true},
		{"a, b ,example.com", "example.com", "80", true},
		{"example.com:8080", "example.com", "8080", true},
		{"example.com:8080", "a.example.com", "8080", true},
		{"example.com:8080", "example.com", "80", false},
		{"10.0.0.0/8", "10.255.1.2", "80", true},
		{"10.0.0.0/8", "11.0.0.1", "80", false},
		{"192.168.1.128/25", "192.168.1.200", "80", true},
		{"192.168.1.128/25", "192.168.1.100", "80", false},
		{"0.0.0.0/0", "8.8.8.8", "80", true},
		{"0.0.0.0/0", "[2001:db8::1]", "80", false},
		{"10.0.0.0/33", "10.0.0.1", "80", false},
		{"10.0.0.0/", "10.0.0.1", "80", false},
		{"10.0.0.0/8", "example.com", "80", false},
		{"10.1.2.3", "10.1.2.3", "80", true},
		{"10.1.2.3:81", "10.1.2.3", "80", false},
		{"10.1.2.3:80", "10.1.2.3", "80", true},
		{"1.2.3", "10.1.2.3", "80", true}, // a suffix at a dot, as in Go
		{"2001:db8::/32", "[2001:db8::5]", "443", true},
		{"2001:db8::/33", "[2001:db8:8000::5]", "443", false},
		{"2001:db8::5", "[2001:db8:0::5]", "443", true},
		{"[2001:db8::5]:443", "[2001:db8::5]", "443", true},
		{"[2001:db8::5]:444", "[2001:db8::5]", "443", false},
		{"::1", "[2001:db8::1]", "80", false},
		// loopback is never proxied
		{"", "localhost", "80", true},
		{"", "127.0.0.1", "5000", true},
		{"", "127.1.2.3", "80", true},
		{"", "[::1]", "80", true},
		{"", "::1", "80", true},
		{"", "localhost.example.com", "80", false},
		{",, ,", "example.com", "80", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		tap_report(proxy_exempt(rows[i].no_proxy, rows[i].host, rows[i].port) ==
				   rows[i].exempt,
			   "NO_PROXY='%s', %s:%s", rows[i].no_proxy ? rows[i].no_proxy : "",
			   rows[i].host, rows[i].port);
}

TEST(each_scheme_has_its_own_proxy)
{
	static const struct {
		const char *url, *want;
	} rows[] = {
		{"http://example.com/", "http://plain:3128"},
		{"https://example.com/", "socks5h://socks:1080"},
		{"https://exempt.example.com/", NULL},
		{"http://127.0.0.1:5000/", NULL},
	};
	struct http_config cfg = {
		.http_proxy = "plain:3128",
		.https_proxy = "socks5://socks:1080",
		.no_proxy = "exempt.example.com",
	};
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_url struct url u = {0};
		auto_free char *got = NULL;

		REQUIRE_OK(url_parse(&u, rows[i].url, &e));
		REQUIRE_OK(proxy_for(&got, &cfg, &u, &e));
		CHECK_STR(got ? got : "direct", rows[i].want ? rows[i].want : "direct");
	}
}

TEST(an_unknown_kind_of_proxy_is_refused_without_showing_its_password)
{
	struct http_config cfg = {.http_proxy = "gopher://user:secret@h:70"};
	auto_url struct url u = {0};
	auto_free char *got = NULL;
	struct err e;

	REQUIRE_OK(url_parse(&u, "http://example.com/", &e));
	CHECK_FAILS(proxy_for(&got, &cfg, &u, &e));
	CHECK_INT(e.kind, ERR_INPUT);
	CHECK(!strstr(e.text, "secret"));
}

int main(void)
{
	return tap_main();
}
