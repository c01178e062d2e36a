// SPDX-License-Identifier: Apache-2.0
// htpasswd files: which lines are believed, and which passwords fit them.
#include "tap.h"

#include "serve/htpasswd.h"
#include "users.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

static struct err e;

static struct htpasswd *parsed(const char *text)
{
	struct htpasswd *h = NULL;

	CHECK_OK(htpasswd_parse(&h, str_of(text), "users", &e));
	return h;
}

static bool fits(const struct htpasswd *h, const char *user, const char *password)
{
	return htpasswd_verify(h, htpasswd_find(h, str_of(user)), str_of(password));
}

TEST(passwords_fit_the_entries_of_their_users_only)
{
	auto_of(htpasswd_unref) struct htpasswd *h = parsed(USERS "eve:" HASH_CHANGED);

	CHECK(fits(h, "ann", "secret"));
	CHECK(fits(h, "bob", "sesame"));
	CHECK(fits(h, "eve", "changed"));
	CHECK(!fits(h, "ann", "sesame"));
	CHECK(!fits(h, "bob", "secret"));
	CHECK(!fits(h, "ann", "Secret"));
	CHECK(!fits(h, "ann", ""));
	CHECK(!fits(h, "nobody", "secret"));
	CHECK(!fits(h, "", ""));
}

// Spare bits of the salt's last character: other tools write them as they come.
TEST(a_salt_with_odd_spare_bits_fits)
{
	char odd[] = "ann:" HASH_SECRET;

	odd[4 + 7 + 21] = 'v';
	auto_of(htpasswd_unref) struct htpasswd *h = parsed(odd);

	CHECK(fits(h, "ann", "secret"));
	CHECK(!fits(h, "ann", "secre"));
}

TEST(seventy_two_bytes_of_a_password_count)
{
	auto_of(htpasswd_unref) struct htpasswd *h = parsed("ann:" HASH_72_AS);
	char as[80] = {0};

	memset(as, 'a', 71);
	CHECK(!fits(h, "ann", as));
	as[71] = 'a';
	CHECK(fits(h, "ann", as));
	as[72] = 'b';
	CHECK(fits(h, "ann", as));
}

TEST(empty_lines_comments_and_line_ends_of_all_kinds_do_not_count)
{
	auto_of(htpasswd_unref) struct htpasswd *h = parsed(
		"\n# people\r\n  ann:" HASH_SECRET "\r\n\r\n\t\n#eve:plain\nbob:" HASH_SESAME);

	CHECK(fits(h, "ann", "secret"));
	CHECK(fits(h, "bob", "sesame"));
	CHECK(!htpasswd_find(h, STR("#eve")));
}

TEST(an_empty_file_has_no_users)
{
	auto_of(htpasswd_unref) struct htpasswd *h = parsed("");

	CHECK(!htpasswd_find(h, STR("ann")));
	CHECK(!htpasswd_find(h, STR("")));
}

TEST(what_is_no_bcrypt_entry_is_refused_with_its_line)
{
	static const struct {
		const char *line, *why;
	} rows[] = {
		{"ann", "'users' line 2: no 'user:hash'"},
		{"ann:", "line 2: the password of 'ann' is not hashed with bcrypt"},
		{"ann:secret", "is not hashed with bcrypt"},
		{"ann:$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00", "is not hashed with bcrypt"},
		{"ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "is not hashed with bcrypt"},
		{"ann:$6$salt$IxDD3jeSOb5eB1CX5LBsqZFVkJdido3OUILO5Ifz5iwMuTS4XMS130MTSuDDl3aCI6Wo"
		 "uIL9AjRbLCelDCy.g.",
		 "is not hashed with bcrypt"},
		{"ann:$2x$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
		 "is not hashed with bcrypt"},
		{"ann:$2$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW.",
		 "is not hashed with bcrypt"},
		{"ann:" HASH_SECRET "x", "is not hashed with bcrypt"},
		{"ann:" HASH_SECRET ":more", "is not hashed with bcrypt"},
		{"ann:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIr",
		 "is not hashed with bcrypt"},
		{"ann:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WI!W",
		 "is not hashed with bcrypt"},
		{"ann:$2y$4.$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
		 "is not hashed with bcrypt"},
		{"ann:$2y$03$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
		 "the bcrypt cost of 'ann' is 3, not 4 to 16"},
		{"ann:$2y$31$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
		 "the bcrypt cost of 'ann' is 31"},
		{":" HASH_SECRET, "line 2: not a user name"},
		{"a\tb:" HASH_SECRET, "not a user name"},
		{"a\x7f:" HASH_SECRET, "not a user name"},
		{"a\xc2\x85:" HASH_SECRET, "not a user name"},
		{"a\xff:" HASH_SECRET, "not a user name"},
		{"zoe:" HASH_SESAME, "user 'zoe' is there twice"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *text =
			xasprintf("zoe:" HASH_SECRET "\n%s\nbob:" HASH_SESAME, rows[i].line);
		struct htpasswd *h = NULL;

		CHECK_FAILS(htpasswd_parse(&h, str_of(text), "users", &e));
		CHECK_INT(e.kind, ERR_INPUT);
		tap_report(strstr(e.text, rows[i].why), "row %zu: '%s'", i, e.text);
		CHECK(!strstr(e.text, "abcdefghijkl") && !strstr(e.text, "secret"));
	}
}

TEST(names_have_up_to_128_bytes)
{
	char name[130] = {0};

	memset(name, 'n', 128);
	CHECK(htpasswd_user_valid(str_of(name)));
	CHECK(htpasswd_user_valid(STR("J\xc3\xb6rg von S.")));
	CHECK(!htpasswd_user_valid(STR("a:b")));
	CHECK(!htpasswd_user_valid(STR("a\0b")));
	name[128] = 'n';
	CHECK(!htpasswd_user_valid(str_of(name)));
}

TEST(a_file_has_up_to_a_mebibyte)
{
	auto_free char *text = xmalloc(HTPASSWD_FILE_MAX + 2);
	struct htpasswd *h = NULL;

	memset(text, '\n', HTPASSWD_FILE_MAX + 1);
	CHECK_OK(htpasswd_parse(&h, (struct str){text, HTPASSWD_FILE_MAX}, "users", &e));
	htpasswd_unref(h);
	CHECK_FAILS(htpasswd_parse(&h, (struct str){text, HTPASSWD_FILE_MAX + 1}, "users", &e));
}

TEST(files_are_read_whole)
{
	auto_users struct users_file f;
	auto_of(htpasswd_unref) struct htpasswd *h = NULL;

	CHECK(users_file_init(&f, USERS));
	REQUIRE_OK(htpasswd_load(&h, f.path, &e));
	CHECK(fits(h, "bob", "sesame"));
}

TEST(only_regular_files_are_read)
{
	auto_users struct users_file f;
	struct htpasswd *h = NULL;

	CHECK(users_file_init(&f, USERS));
	CHECK_FAILS(htpasswd_load(&h, f.dir, &e));
	CHECK(strstr(e.text, "is not a regular file"));
	unlink(f.path);
	CHECK_FAILS(htpasswd_load(&h, f.path, &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
	CHECK(mkfifo(f.path, 0600) == 0);
	CHECK_FAILS(htpasswd_load(&h, f.path, &e));
	CHECK_INT(e.kind, ERR_INPUT);
}

TEST(a_stamp_tells_versions_of_a_file_apart)
{
	auto_users struct users_file f;

	CHECK(users_file_init(&f, USERS));
	struct htpasswd_stamp first = htpasswd_stamp(f.path), again = htpasswd_stamp(f.path);

	CHECK(htpasswd_stamp_equal(&first, &again));
	CHECK(users_write(&f, USERS) == 0);
	struct htpasswd_stamp second = htpasswd_stamp(f.path);

	CHECK(!htpasswd_stamp_equal(&first, &second));
	unlink(f.path);
	struct htpasswd_stamp gone = htpasswd_stamp(f.path), zero = {0};

	CHECK(htpasswd_stamp_equal(&gone, &zero));
}

int main(void)
{
	return tap_main();
}
