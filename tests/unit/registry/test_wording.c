// SPDX-License-Identifier: Apache-2.0
// What is said when a registry refuses, which scopes are asked for, and the small headers.
#include "tap.h"

#include "registry/client.h"

static struct err e;

TEST(error_bodies_are_worded_as_the_reference_words_them)
{
	static const struct {
		int status;
		const char *body, *text;
		enum err_kind kind;
	} rows[] = {
		{404,
		 "{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\",\"message\":\"manifest unknown\","
		 "\"detail\":{\"Tag\":\"x\"}}]}",
		 "manifest unknown: manifest unknown", ERR_NOT_FOUND},
		{404,
		 "{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\",\"message\":\"manifest unknown\"}]}",
		 "manifest unknown", ERR_NOT_FOUND},
		{404,
		 "{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\",\"message\":\"no such thing\"}]}",
		 "manifest unknown: no such thing", ERR_NOT_FOUND},
		{429,
		 "{\"errors\":[{\"code\":\"TOOMANYREQUESTS\",\"message\":\"too many requests\"}]}",
		 "toomanyrequests", ERR_NET},
		{401,
		 "{\"errors\":[{\"code\":\"UNAUTHORIZED\",\"message\":\"authentication required\","
		 "\"detail\":[]}]}",
		 "unauthorized: authentication required", ERR_DENIED},
		{401, "", "unauthorized: authentication required", ERR_DENIED},
		{403, "", "denied: requested access to the resource is denied", ERR_DENIED},
		{401, "{\"details\":\"incorrect username\"}", "unauthorized: incorrect username",
		 ERR_DENIED},
		{405, "{\"errors\":[{\"code\":\"UNSUPPORTED\",\"message\":\"no\"}]}",
		 "unsupported: no", ERR_UNSUPPORTED},
		{400,
		 "{\"errors\":[{\"code\":\"MANIFEST_BLOB_UNKNOWN\",\"message\":\"blob unknown to "
		 "registry\",\"detail\":1},{\"code\":\"NAME_INVALID\"}]}",
		 "errors:\nmanifest blob unknown: blob unknown to registry\nname invalid",
		 ERR_INPUT},
		{503, "{\"errors\":[{\"code\":\"UNKNOWN\"}]}",
		 "received unexpected HTTP status: 503 Service Unavailable", ERR_NET},
		{599, "", "received unexpected HTTP status: 599", ERR_NET},
		{404, "nothing here\n",
		 "error parsing HTTP 404 response body: invalid character 'o' in literal null "
		 "(expecting 'u'): \"nothing here\\n\"",
		 ERR_NOT_FOUND},
		{429, "slow down\n",
		 "error parsing HTTP 429 response body: invalid character 's' looking for "
		 "beginning of value: \"slow down\\n\"",
		 ERR_NET},
		{404, "",
		 "error parsing HTTP 404 response body: unexpected end of JSON input: \"\"",
		 ERR_NOT_FOUND},
		{404, "<html>",
		 "error parsing HTTP 404 response body: invalid character '<' looking "
		 "for beginning of value: \"<html>\"",
		 ERR_NOT_FOUND},
		{404, "{}",
		 "error parsing HTTP 404 response body: no error details found in HTTP response "
		 "body: \"{}\"",
		 ERR_NOT_FOUND},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool unknown;

		CHECK_FAILS(error_from_body(rows[i].status, str_of(rows[i].body), &unknown, &e));
		CHECK_STR(e.text, rows[i].text);
		CHECK_INT(e.kind, rows[i].kind);
		CHECK_INT(e.http, rows[i].status);
		CHECK(!unknown);
	}
}

TEST(an_unknown_name_is_noticed)
{
	bool unknown = false;

	error_from_body(404, STR("{\"errors\":[{\"code\":\"NAME_UNKNOWN\"}]}"), &unknown, &e);
	CHECK(unknown);
}

TEST(what_a_server_says_cannot_write_to_the_terminal)
{
	auto_buf struct buf body = BUF_INIT(BUF_TEXT_MAX);

	buf_puts(&body,
		 "{\"errors\":[{\"code\":\"A\\u001b[31mB\",\"message\":\"x\\u001b]0;y\\u0007");
	for (int i = 0; i < 1000; i++)
		buf_puts(&body, "long ");
	buf_puts(&body, "\"}]}");
	error_from_body(400, buf_str(&body), NULL, &e);
	for (const char *c = e.text; *c; c++)
		CHECK((unsigned char)*c >= ' ');
	CHECK(strlen(e.text) < ERROR_MESSAGE_MAX + 80);
}

TEST(scopes_are_few_and_in_order)
{
	static const struct {
		const char *repository, *from, *want;
		bool push;
	} rows[] = {
		{"b/c", NULL, "repository:b/c:pull", false},
		{"b/c", NULL, "repository:b/c:pull,push", true},
		{"b/c", "a/x", "repository:a/x:pull repository:b/c:pull,push", true},
		{"b/c", "b/c", "repository:b/c:pull,push", true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_strlist struct strlist scopes = {0};
		auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

		auth_scopes(&scopes, rows[i].repository, rows[i].push, rows[i].from);
		for (size_t k = 0; k < scopes.n; k++)
			buf_printf(&text, "%s%s", k ? " " : "", scopes.v[k]);
		CHECK_STR(text.p, rows[i].want);
	}
}

TEST(an_upload_goes_on_behind_its_range)
{
	static const struct {
		const char *value;
		uint64_t next;
	} good[] = {{"0-0", 0}, {"0-9", 10}, {"bytes=0-9", 10}, {" 0-8388607 ", 8388608}};
	static const char *const bad[] = {
		"",         "0", "1-9", "0-", "-9", "0-x", "9", "0--1", "0-18446744073709551615",
		"0-9,10-11"};
	uint64_t next;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		CHECK(upload_range(good[i].value, &next));
		CHECK_INT(next, good[i].next);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		tap_report(!upload_range(bad[i], &next), "'%s' was taken", bad[i]);
}

TEST(the_next_page_is_the_one_with_rel_next)
{
	static const struct {
		const char *header, *want;
	} rows[] = {
		{"</v2/a/tags/list?last=x&n=2>; rel=\"next\"", "/v2/a/tags/list?last=x&n=2"},
		{"</x>;rel=next", "/x"},
		{"<a?b=1,2>; title=\"t;,\"; REL = \"prev NEXT\"", "a?b=1,2"},
		{"</p>; rel=\"prev\", </n>; rel=\"next\"", "/n"},
		{"</p>; rel=\"nextish\"", ""},
		{"</p>", ""},
		{"/p; rel=\"next\"", ""},
		{"</p; rel=\"next\"", ""},
		{"</p>; rel=\"next", "/p"},
		{"", ""},
		{"<>; rel", ""},
		{"<>;", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *next = link_next(rows[i].header);

		CHECK_STR(next ? next : "", rows[i].want);
	}
}

TEST(a_media_type_has_no_parameters)
{
	auto_free char *plain = media_type_of(MT_OCI_INDEX);
	auto_free char *cut = media_type_of("application/json ; charset=utf-8");

	CHECK_STR(plain, MT_OCI_INDEX);
	CHECK_STR(cut, "application/json");
	CHECK(media_type_of(NULL) == NULL);
}

int main(void)
{
	return tap_main();
}
