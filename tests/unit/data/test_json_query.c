// SPDX-License-Identifier: Apache-2.0
#include "data/json_query.h"

#include "tap.h"
#include "util/mem.h"

static struct err e;

static const char document[] =
	"{\"a\":{\"b\":\"text\",\"n\":7,\"t\":true,\"x.y/z\":\"odd\"},\"l\":[{\"k\":\"one\"},{\"k\":"
	"\"two\"},{}],\"nothing\":null}";

static int query(struct buf *out, const char *text, enum json_query_syntax syntax)
{
	auto_json struct json_doc doc = {0};

	if (json_parse(&doc, str_of(document), JSON_LIMITS(1000), 0, &e) < 0)
		return -2;
	struct json root = json_root(&doc);

	return json_query(out, &root, text, syntax, &e);
}

TEST(places_of_the_document_are_filled_in)
{
	static const struct {
		enum json_query_syntax syntax;
		const char *text, *want;
	} rows[] = {
		{JSON_QUERY_PATH, "plain", "plain"},
		{JSON_QUERY_PATH, "{.a.b}{\"\\n\"}", "text\n"},
		{JSON_QUERY_PATH, "{ .a.n }-{$.a.t}", "7-true"},
		{JSON_QUERY_PATH, "{.a['x.y/z']}{.a.x\\.y/z}", "oddodd"},
		{JSON_QUERY_PATH, "{.l[0].k} {.l[-2].k} {.l[*].k}", "one two one two"},
		{JSON_QUERY_PATH, "[{.missing.more}]", "[]"},
		{JSON_QUERY_PATH, "{.l}", "[{\"k\":\"one\"},{\"k\":\"two\"},{}]"},
		{JSON_QUERY_PATH, "{range .l[*]}<{.k}>{end}", "<one><two><>"},
		{JSON_QUERY_PATH, "{range .l}<{.k}{$.a.n}>{end}.", "<one7><two7><7>."},
		{JSON_QUERY_PATH, "{range .missing}x{range .l}y{end}{end}.", "."},
		{JSON_QUERY_TEMPLATE, "{{.a.b}}", "text"},
		{JSON_QUERY_TEMPLATE, "{ {{ .a.n }} {{\"\\n\"}}", "{ 7 \n"},
		{JSON_QUERY_TEMPLATE, "{{.missing}}{{.nothing}}", "<no value><no value>"},
		{JSON_QUERY_TEMPLATE, "{{range .l}}{{.k}},{{end}}", "one,two,<no value>,"},
		{JSON_QUERY_TEMPLATE, "{{.l}}", "[map[k:one] map[k:two] map[]]"},
		{JSON_QUERY_TEMPLATE, "{{range .a}}{{.}},{{end}}", "text,7,true,odd,"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buf struct buf out = BUF_INIT(1000);

		CHECK_OK(query(&out, rows[i].text, rows[i].syntax));
		CHECK_STR(out.p, rows[i].want);
	}
}

TEST(what_is_not_understood_is_refused)
{
	static const struct {
		enum json_query_syntax syntax;
		const char *text;
	} rows[] = {
		{JSON_QUERY_PATH, "{"},
		{JSON_QUERY_PATH, "{}"},
		{JSON_QUERY_PATH, "{.a"},
		{JSON_QUERY_PATH, "{..k}"},
		{JSON_QUERY_PATH, "{.l[?(@.k==\"one\")]}"},
		{JSON_QUERY_PATH, "{.l[0:1]}"},
		{JSON_QUERY_PATH, "{.l[}"},
		{JSON_QUERY_PATH, "{\"open}"},
		{JSON_QUERY_PATH, "{\"\\q\"}"},
		{JSON_QUERY_PATH, "{range .l}"},
		{JSON_QUERY_PATH, "{end}"},
		{JSON_QUERY_PATH, "{a}"},
		{JSON_QUERY_TEMPLATE, "{{.a.b"},
		{JSON_QUERY_TEMPLATE, "{{if .a}}x{{end}}"},
		{JSON_QUERY_TEMPLATE, "{{.l[0]}}"},
		{JSON_QUERY_TEMPLATE, "{{len .l}}"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buf struct buf out = BUF_INIT(1000);

		CHECK_INT(query(&out, rows[i].text, rows[i].syntax), -1);
		CHECK_INT(e.kind, ERR_USAGE);
	}
}

int main(void)
{
	return tap_main();
}
