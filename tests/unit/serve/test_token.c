// SPDX-License-Identifier: Apache-2.0
// Tokens that we wrote are believed, every other one is not; scopes mean what they say.
#include "tap.h"

#include "data/base64.h"
#include "serve/route.h"
#include "serve/token.h"
#include "util/mem.h"

#include <stdlib.h>

static struct err e;
static const unsigned char key[AUTH_KEY_SIZE] = "a key for the tests";
static const int64_t now = 1700000000;

static void write_token(struct buf *ret, const char *user, const char *scopes, int64_t issued,
			int64_t expires)
{
	struct token t = {
		.user = str_of(user),
		.scopes = str_of(scopes),
		.issued = issued,
		.expires = expires,
	};

	CHECK_OK(token_write(ret, key, &t, &e));
}

static int read_token(struct str text, int64_t at)
{
	char bytes[TOKEN_MAX];
	struct token t;

	return token_read(&t, bytes, text, key, at, &e);
}

static char *sample(void)
{
	struct buf text = BUF_INIT(TOKEN_MAX);

	write_token(&text, "ann", "repository:a/b:pull,push", now, now + TOKEN_LIFETIME);
	return buf_take(&text);
}

TEST(a_token_says_what_was_written)
{
	static const struct {
		const char *user, *scopes;
	} rows[] = {
		{"", ""},
		{"a", "repository:a:pull"},
		{"ann b.", "repository:a/b:pull,push registry:catalog:*"},
		{"J\xc3\xb6rg", "repository:c:delete"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buf struct buf text = BUF_INIT(TOKEN_MAX);
		char bytes[TOKEN_MAX];
		struct token t;

		write_token(&text, rows[i].user, rows[i].scopes, now, now + TOKEN_LIFETIME);
		REQUIRE_OK(token_read(&t, bytes, buf_str(&text), key, now, &e));
		CHECK(str_eqz(t.user, rows[i].user));
		CHECK(str_eqz(t.scopes, rows[i].scopes));
		CHECK(t.issued == now && t.expires == now + TOKEN_LIFETIME);
		CHECK(!strpbrk(text.p, "+/= \"\\"));
	}
}

TEST(a_token_is_valid_from_its_issue_to_its_end)
{
	static const struct {
		int64_t issued, expires;
		bool valid;
	} rows[] = {
		{now, now + TOKEN_LIFETIME, true},
		{now - TOKEN_LIFETIME + 1, now + 1, true},
		{now - TOKEN_LIFETIME, now, false},
		{now - 5000, now - 4100, false},
		{now + TOKEN_SKEW, now + 100, true},
		{now + TOKEN_SKEW + 1, now + 100, false},
		{now, now + TOKEN_LIFETIME + 1, false},
		{0, INT64_MAX / 2, false},
		{-1, now + 1, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buf struct buf text = BUF_INIT(TOKEN_MAX);

		write_token(&text, "ann", "", rows[i].issued, rows[i].expires);
		tap_report((read_token(buf_str(&text), now) == 0) == rows[i].valid, "row %zu", i);
	}
}

TEST(a_token_cut_anywhere_is_refused)
{
	auto_free char *text = sample();

	for (size_t n = 0; n < strlen(text); n++) {
		auto_free char *part = xmemdup(text, n + 1);

		CHECK_FAILS(read_token((struct str){part, n}, now));
		CHECK_INT(e.kind, ERR_DENIED);
		CHECK_FAILS(read_token(str_of(text + n + 1), now));
	}
}

// Every bit, also the spare ones of the last characters of both parts.
TEST(a_token_with_a_flipped_bit_is_refused)
{
	auto_free char *text = sample();

	CHECK_OK(read_token(str_of(text), now));
	for (size_t i = 0; i < strlen(text); i++)
		for (int bit = 0; bit < 8; bit++) {
			struct str s = {text, strlen(text)};

			text[i] = (char)(text[i] ^ 1 << bit);
			CHECK_FAILS(read_token(s, now));
			text[i] = (char)(text[i] ^ 1 << bit);
		}
}

TEST(a_token_has_one_spelling)
{
	auto_free char *text = sample(), *dot = xstrdup(strchr(text, '.'));
	size_t n = strlen(text);

	for (char c = '-'; c <= 'z'; c++) {
		char was = text[n - 1];

		if (c == was)
			continue;
		text[n - 1] = c;
		CHECK_FAILS(read_token((struct str){text, n}, now));
		text[n - 1] = was;
	}
	static const char *const shapes[] = {"%s=", "%s.", ".%s", "%s ", " %s", "%s.e30", "e30.%s"};

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		auto_buf struct buf other = BUF_INIT(TOKEN_MAX);
		const char *at = strstr(shapes[i], "%s");

		buf_put(&other, shapes[i], (size_t)(at - shapes[i]));
		buf_puts(&other, text);
		buf_puts(&other, at + 2);
		CHECK_FAILS(read_token(buf_str(&other), now));
	}
	CHECK_FAILS(read_token(str_of(dot), now));
}

TEST(a_token_of_another_key_is_refused)
{
	auto_free char *text = sample();
	unsigned char other[AUTH_KEY_SIZE];
	char bytes[TOKEN_MAX];
	struct token t;

	for (size_t i = 0; i < AUTH_KEY_SIZE; i++) {
		memcpy(other, key, sizeof(other));
		other[i] ^= 1;
		CHECK_FAILS(token_read(&t, bytes, str_of(text), other, now, &e));
	}
}

TEST(tokens_of_other_kinds_are_refused)
{
	static const char *const tokens[] = {
		"",
		".",
		"..",
		"a.b",
		"ann:secret",
		// Of the kinds "alg":"none" and HS256.
		"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ.",
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl",
		"eyJzdWIiOiJhbm4ifQ.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	};

	for (size_t i = 0; i < ARRAY_SIZE(tokens); i++)
		CHECK_FAILS(read_token(str_of(tokens[i]), now));
	auto_free char *huge = xmalloc(2 * TOKEN_MAX);

	memset(huge, 'A', 2 * TOKEN_MAX);
	CHECK_FAILS(read_token((struct str){huge, TOKEN_MAX + 1}, now));
	CHECK_FAILS(read_token((struct str){huge, TOKEN_MAX}, now));
	huge[2 * TOKEN_MAX - 44] = '.';
	CHECK_FAILS(read_token((struct str){huge, 2 * TOKEN_MAX}, now));
	huge[TOKEN_MAX - 44] = '.';
	CHECK_FAILS(read_token((struct str){huge, TOKEN_MAX}, now));
}

TEST(a_token_has_up_to_eight_kibibytes)
{
	auto_free char *scopes = xmalloc(TOKEN_MAX);
	size_t longest = 0;

	for (size_t n = 5900; n < 6200; n++) {
		auto_buf struct buf text = BUF_INIT(2 * TOKEN_MAX);
		struct token t = {{"ann", 3}, {scopes, n}, now, now + 1};

		memset(scopes, 'x', n);
		if (token_write(&text, key, &t, &e) < 0)
			break;
		longest = text.n;
		CHECK_OK(read_token(buf_str(&text), now));
	}
	CHECK(longest <= TOKEN_MAX && longest > TOKEN_MAX - 3);
	CHECK_INT(e.kind, ERR_INPUT);
}

enum { ALL = AUTH_PULL | AUTH_PUSH | AUTH_DELETE };

TEST(scopes_name_a_repository_and_actions)
{
	static const struct {
		const char *text, *repo; // NULL: no scope of ours
		unsigned actions;
	} rows[] = {
		{"repository:a:pull", "a", AUTH_PULL},
		{"repository:a/b.c/d__e:pull,push", "a/b.c/d__e", AUTH_PULL | AUTH_PUSH},
		{"repository:a:push,pull,push", "a", AUTH_PULL | AUTH_PUSH},
		{"repository:a:delete", "a", AUTH_DELETE},
		{"repository:a:*", "a", ALL},
		{"repository:a:pull,*", "a", ALL},
		{"repository:a:metadata_read", "a", 0},
		{"repository:a:PULL", "a", 0},
		{"registry:catalog:*", "", AUTH_CATALOG},
		{"repository:a---b:pull", "a---b", AUTH_PULL},
		{"", NULL, 0},
		{"repository", NULL, 0},
		{"repository:", NULL, 0},
		{"repository:a", NULL, 0},
		{"repository::pull", NULL, 0},
		{"repository:a:", NULL, 0},
		{"repository:a:pull,", NULL, 0},
		{"repository:a:,pull", NULL, 0},
		{"repository:a:b:pull", NULL, 0},
		{"repository:A:pull", NULL, 0},
		{"repository:a//b:pull", NULL, 0},
		{"repository:/a:pull", NULL, 0},
		{"repository:a/:pull", NULL, 0},
		{"repository:../a:pull", NULL, 0},
		{"repository:a..b:pull", NULL, 0},
		{"repository:a___b:pull", NULL, 0},
		{"repository:-a:pull", NULL, 0},
		{"repository:a-:pull", NULL, 0},
		{"repository:*:pull", NULL, 0},
		{"repository:a\nb:pull", NULL, 0},
		{"repository(plugin):a:pull", NULL, 0},
		{"Repository:a:pull", NULL, 0},
		{"registry:catalog:pull", NULL, 0},
		{"registry:other:*", NULL, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct scope s = {{NULL, 0}, 0};
		bool is = scope_parse(&s, str_of(rows[i].text));

		tap_report(is == (rows[i].repo != NULL), "'%s'", rows[i].text);
		if (is && rows[i].repo)
			tap_report(str_eqz(s.repo, rows[i].repo) && s.actions == rows[i].actions,
				   "'%s'", rows[i].text);
	}
}

TEST(names_in_scopes_have_up_to_255_bytes)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
	struct scope s;

	for (size_t n = 254; n <= 256; n++) {
		buf_clear(&text);
		buf_puts(&text, "repository:");
		for (size_t i = 0; i < n; i++)
			buf_putc(&text, 'r');
		buf_puts(&text, ":pull");
		CHECK(scope_parse(&s, buf_str(&text)) == (n <= ROUTE_REPO_MAX));
	}
}

TEST(scopes_are_written_as_they_are_read)
{
	static const struct {
		const char *repo;
		unsigned actions;
		const char *text;
	} rows[] = {
		{"a/b", AUTH_PULL, "repository:a/b:pull"},
		{"a/b", AUTH_PULL | AUTH_PUSH, "repository:a/b:pull,push"},
		{"a", ALL, "repository:a:pull,push,delete"},
		{"a", AUTH_DELETE, "repository:a:delete"},
		{"a", 0, ""},
		{"a", AUTH_CATALOG, ""},
		{"", AUTH_CATALOG, "registry:catalog:*"},
		{"", AUTH_PULL, ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buf struct buf out = BUF_INIT(BUF_TEXT_MAX);

		scope_print(&out, str_of(rows[i].repo), rows[i].actions);
		CHECK_STR(out.p, rows[i].text);
	}
}

TEST(several_scopes_add_up)
{
	struct str scopes = STR("repository:a:pull repository:b:push  junk repository:a:delete");

	CHECK_INT(scopes_actions(scopes, STR("a")), AUTH_PULL | AUTH_DELETE);
	CHECK_INT(scopes_actions(scopes, STR("b")), AUTH_PUSH);
	CHECK_INT(scopes_actions(scopes, STR("a/b")), 0);
	CHECK_INT(scopes_actions(scopes, STR("")), 0);
	CHECK_INT(scopes_actions(STR("registry:catalog:*"), STR("")), AUTH_CATALOG);
	CHECK_INT(scopes_actions(STR(""), STR("a")), 0);
}

int main(void)
{
	return tap_main();
}
