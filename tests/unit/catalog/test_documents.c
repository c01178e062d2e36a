// SPDX-License-Identifier: Apache-2.0
#include "catalog/documents.h"

#include "tap.h"
#include "util/mem.h"

// What the documents of TEXT are, in one line: "J1@1{…}|Y2@5…".
struct seen {
	struct buf text;
	size_t stop_at; // fail at this document; 0: never
};

static int note(void *arg, struct document *d, struct err *e)
{
	struct seen *s = arg;

	if (d->number == s->stop_at)
		return err_set(e, ERR_IO, "no more");
	buf_printf(&s->text, "%s%c%zu@%zu[%s]", s->text.n ? "|" : "",
		   d->format == DOCUMENT_JSON ? 'J' : 'Y', d->number, d->line, d->bytes.p);
	return 0;
}

// Fed in pieces of STEP bytes behind a first one of FIRST, each a heap block of its own.
static int feed(struct documents *docs, struct str text, size_t first, size_t step, struct err *e)
{
	for (size_t at = 0, n = first; at < text.n; at += n, n = step) {
		if (n > text.n - at)
			n = text.n - at;
		auto_free char *piece = xmemdup(text.p + at, n);

		if (documents_add(docs, (struct str){piece, n}, e) < 0)
			return -1;
	}
	return documents_end(docs, e);
}

// The documents, or the error. Caller frees.
static char *split(struct str text, size_t first, size_t step, size_t max)
{
	struct seen s = {.text = BUF_INIT(BUF_TEXT_MAX)};
	auto_of(documents_free) struct documents *docs = documents_new(max, note, &s);
	struct err e;

	if (feed(docs, text, first, step, &e) < 0) {
		buf_free(&s.text);
		return xasprintf("error: %s", e.text);
	}
	return buf_take(&s.text);
}

static const struct {
	const char *text, *want;
} rows[] = {
	{"", ""},
	{" \n\t\r\n ", ""},
	{"\xef\xbb\xbf", ""},
	{"\xef\xbb\xbf \n", ""},
	// JSON
	{"{}", "J1@1[{}]"},
	{"\n\n  {\"a\": 1}\n", "J1@3[{\"a\": 1}]"},
	{"{}{}\n{}", "J1@1[{}]|J2@1[{}]|J3@2[{}]"},
	{"\xef\xbb\xbf{\"a\":[1,{}]}\n{}", "J1@1[{\"a\":[1,{}]}]|J2@2[{}]"},
	{"{\"}\":\"{[\"}{}", "J1@1[{\"}\":\"{[\"}]|J2@1[{}]"},
	{"{\"a\":\"\\\"}\"}{}", "J1@1[{\"a\":\"\\\"}\"}]|J2@1[{}]"},
	{"{\"a\":\"\\\\\"}{}", "J1@1[{\"a\":\"\\\\\"}]|J2@1[{}]"},
	{"{\"a\":\"\\\\\\\"}\\\\\\\\\"}{}", "J1@1[{\"a\":\"\\\\\\\"}\\\\\\\\\"}]|J2@1[{}]"},
	{"{\n\"a\":\n\n1}\n{", "J1@1[{\n\"a\":\n\n1}]|J2@5[{]"},
	{"{\"a\": \"never ends}\n", "J1@1[{\"a\": \"never ends}\n]"},
	{"{\"a\": \"b\\", "J1@1[{\"a\": \"b\\]"},
	{"{} 5", "error: document 2 (line 1): not a JSON object"},
	{"{}\n\n[]", "error: document 2 (line 3): not a JSON object"},
	{"{}]", "error: document 2 (line 1): not a JSON object"},
	// YAML
	{"a: 1", "Y1@1[a: 1]"},
	{"a: 1\n", "Y1@1[a: 1\n]"},
	{"  a: 1\n  b: 2\n", "Y1@1[  a: 1\n  b: 2\n]"},
	{"\n \n  a: 1\n", "Y1@3[  a: 1\n]"},
	{"\xef\xbb\xbf"
	 "a: 1\n",
	 "Y1@1[a: 1\n]"},
	{"---\na: 1\n---\nb: 2\n", "Y1@2[a: 1\n]|Y2@4[b: 2\n]"},
	{"a\r\n---\r\nb\r\n", "Y1@1[a\r\n]|Y2@3[b\r\n]"},
	{"a\n--- \t # why not\n\n\nb\n---", "Y1@1[a\n]|Y2@3[\n\nb\n]"},
	{"--- # --- x\na", "Y1@2[a]"},
	{"- a\n-- b\n--", "Y1@1[- a\n-- b\n--]"},
	{"-", "Y1@1[-]"},
	{"a: |\n  ---\n  b\n ---\n", "Y1@1[a: |\n  ---\n  b\n ---\n]"},
	{"---\n---\n\n---\n", ""},
	{"# nothing\n\n  # but this\n---\n\t\n---\na", "Y1@7[a]"},
	{"# said\na: 1\n", "Y1@1[# said\na: 1\n]"},
	{"  # said\n  a: 1\n", "Y1@1[  # said\n  a: 1\n]"},
	{"  # said\n  # nothing\n", ""},
	{"a\n----\nb", "error: document 2 (line 2): invalid YAML document separator: only a "
		       "comment may follow ---"},
	{"--- a", "error: document 1 (line 1): invalid YAML document separator: only a comment may "
		  "follow ---"},
	{"[1]\n---\n{}", "Y1@1[[1]\n]|Y2@3[{}]"},
	{"# c\n{}\n{}", "Y1@1[# c\n{}\n{}]"},
	{"\xef\xbb"
	 "a",
	 "error: document 1 (line 1): invalid UTF-8"},
	{"\xef", "error: document 1 (line 1): invalid UTF-8"},
};

TEST(a_file_is_cut_into_its_documents)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct str text = str_of(rows[i].text);
		auto_free char *got = split(text, text.n, 1, 1 << 20);

		CHECK_STR(got, rows[i].want);
	}
}

TEST(it_does_not_matter_where_the_pieces_end)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct str text = str_of(rows[i].text);

		for (size_t first = 1; first <= text.n; first++) {
			auto_free char *two = split(text, first, text.n, 1 << 20);
			auto_free char *bytes = split(text, first, 1, 1 << 20);
			auto_free char *threes = split(text, first, 3, 1 << 20);

			CHECK_STR(two, rows[i].want);
			CHECK_STR(bytes, rows[i].want);
			CHECK_STR(threes, rows[i].want);
		}
	}
}

TEST(lines_are_counted_in_long_documents)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	buf_puts(&text, "{\"a\": [");
	for (int i = 0; i < 1000; i++)
		buf_puts(&text, "\n1234567,\n");
	buf_puts(&text, "0]}\n{}");
	for (size_t step = 1; step < 200; step += 37) {
		auto_free char *got = split(buf_str(&text), step, step, 1 << 20);

		CHECK(ends_with(got, "|J2@2002[{}]"));
	}
}

TEST(a_document_has_a_ceiling)
{
	auto_free char *json = split(STR("{}\n{\"a\": \"0123456789\"}"), 5, 5, 12);
	auto_free char *yaml = split(STR("a\n---\nb: 0123456789\n"), 5, 5, 12);
	auto_free char *fits = split(STR("{\"a\": 12345}"), 5, 5, 12);

	CHECK_STR(json, "error: document 2 (line 2): larger than 12 bytes");
	CHECK_STR(yaml, "error: document 2 (line 3): larger than 12 bytes");
	CHECK_STR(fits, "J1@1[{\"a\": 12345}]");
}

TEST(whoever_takes_documents_can_stop)
{
	struct seen s = {.text = BUF_INIT(BUF_TEXT_MAX), .stop_at = 2};
	auto_of(documents_free) struct documents *docs = documents_new(100, note, &s);
	struct err e;

	CHECK_FAILS(documents_add(docs, STR("{} {} {}"), &e));
	CHECK_INT(e.kind, ERR_IO);
	CHECK_STR(s.text.p, "J1@1[{}]");
	buf_free(&s.text);
}

int main(void)
{
	return tap_main();
}
