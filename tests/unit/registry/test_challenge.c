// SPDX-License-Identifier: Apache-2.0
// WWW-Authenticate: rows of other projects' tables, and what a hostile server may send.
#include "tap.h"

#include "data/json.h"
#include "registry/challenge.h"
#include "util/cleanup.h"
#include "util/fs.h"

static struct err e;

static void check_params(const char *header, const struct challenge *got, const struct json *want)
{
	struct json params = json_member(want, "params");
	size_t n;
	const char **names = json_sorted_names(&params, &n);

	tap_report(got->nparams == n, "%s: %zu parameters, want %zu", header, got->nparams, n);
	for (size_t i = 0; i < n; i++) {
		struct json param = json_member(&params, names[i]);
		const char *value = "";

		CHECK_OK(json_text(&param, &value, &e));
		tap_report(strcmp(challenge_param(got, names[i]), value) == 0,
			   "%s: %s is '%s', want '%s'", header, names[i],
			   challenge_param(got, names[i]), value);
	}
	free(names);
}

static void check_row(struct str line)
{
	auto_json struct json_doc doc = {0};
	auto_challenges struct challenges got = {0};

	REQUIRE_OK(json_parse(&doc, line, JSON_LIMITS(65536), 0, &e));
	struct json root = json_root(&doc), at = json_member(&root, "header");
	struct json want = json_member(&root, "challenges");
	const char *header = "", *scheme = "";
	size_t n = 0;

	REQUIRE_OK(json_text(&at, &header, &e));
	REQUIRE_OK(json_items(&want, &n, &e));
	challenges_parse(&got, header);
	tap_report(got.n == n, "%s: %zu challenges, want %zu", header, got.n, n);
	for (size_t i = 0; i < n && i < got.n; i++) {
		struct json item = json_item(&want, i), name = json_member(&item, "scheme");

		CHECK_OK(json_text(&name, &scheme, &e));
		CHECK_STR(got.v[i].scheme, scheme);
		check_params(header, &got.v[i], &item);
	}
}

TEST(challenges_are_read_as_other_clients_read_them)
{
	auto_buf struct buf text = BUF_INIT(1 << 20);

	REQUIRE_OK(fs_read_file(&text, TESTS_DIR "/data/vectors/www-authenticate.jsonl", &e));
	for (struct str rest = buf_str(&text); rest.n > 0;)
		check_row(str_cut(&rest, '\n'));
}

TEST(several_header_values_make_one_list)
{
	auto_challenges struct challenges c = {0};

	CHECK(challenges_parse(&c, "Negotiate"));
	CHECK(challenges_parse(&c, "NTLM TlRMTVNTUAAB==, Basic realm=\"r\""));
	CHECK(challenges_parse(&c, "Bearer realm=https://h/token?x=y , service=s"));
	CHECK_INT(c.n, 4);
	CHECK_STR(challenge_param(challenges_find(&c, "basic"), "realm"), "r");
	CHECK_STR(challenge_param(challenges_find(&c, "bearer"), "realm"), "https://h/token?x=y");
	CHECK_STR(challenge_param(challenges_find(&c, "bearer"), "service"), "s");
	CHECK(challenges_find(&c, "digest") == NULL);
}

TEST(nothing_behind_a_syntax_error_counts)
{
	static const char *const rows[] = {
		"Bearer realm=\"a\", realm=\"b\", service=\"s\"", // twice
		"Bearer realm=\"a\";service=\"s\"",
		"Bearer realm=\"a\", =x, service=\"s\"",
		"Bearer realm=\"a\", x=\"\x01\", service=\"s\"",
		"Bearer realm=\"a\", x=\"\\",
		"Bearer realm=\"a\" service=\"s\"",
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_challenges struct challenges c = {0};

		tap_report(!challenges_parse(&c, rows[i]), "%s was taken", rows[i]);
		CHECK_INT(c.n, 1);
		CHECK_STR(challenge_param(&c.v[0], "realm"), "a");
		CHECK_STR(challenge_param(&c.v[0], "service"), "");
	}
}

TEST(the_number_of_challenges_and_parameters_is_bounded)
{
	auto_buf struct buf schemes = BUF_INIT(BUF_TEXT_MAX), params = BUF_INIT(BUF_TEXT_MAX);
	auto_challenges struct challenges c = {0}, d = {0}, f = {0};

	buf_puts(&params, "Bearer a=b");
	for (int i = 0; i < 100; i++) {
		buf_printf(&schemes, "S%d, ", i);
		buf_printf(&params, ",p%d=v", i);
	}
	CHECK(!challenges_parse(&c, schemes.p));
	CHECK_INT(c.n, CHALLENGES_MAX);
	CHECK(!challenges_parse(&d, params.p));
	CHECK_INT(d.v[0].nparams, CHALLENGE_PARAMS_MAX);
	for (int i = 0; i < 2000; i++)
		buf_puts(&params, ",x=y");
	CHECK(!challenges_parse(&f, params.p));
	CHECK_INT(f.n, 0);
}

int main(void)
{
	return tap_main();
}
