// SPDX-License-Identifier: Apache-2.0
#include "data/json_out.h"

#include "tap.h"
#include "util/mem.h"

static void document(struct buf *out, unsigned indent)
{
	struct json_out j = {.out = out, .indent = indent};

	json_out_begin(&j, '{');
	json_out_key(&j, "a");
	json_out_begin(&j, '[');
	json_out_u64(&j, UINT64_MAX);
	json_out_i64(&j, -1);
	json_out_begin(&j, '{');
	json_out_end(&j, '}');
	json_out_begin(&j, '[');
	json_out_end(&j, ']');
	json_out_end(&j, ']');
	json_out_key(&j, "b");
	json_out_bool(&j, true);
	json_out_key(&j, "c");
	json_out_raw(&j, "null");
	json_out_end(&j, '}');
}

TEST(documents_are_compact_or_indented)
{
	auto_buf struct buf compact = BUF_INIT(1000), indented = BUF_INIT(1000);

	document(&compact, 0);
	document(&indented, 2);
	CHECK_STR(compact.p, "{\"a\":[18446744073709551615,-1,{},[]],\"b\":true,\"c\":null}");
	CHECK_STR(indented.p, "{\n  \"a\": [\n    18446744073709551615,\n    -1,\n    {},\n    []\n"
			      "  ],\n  \"b\": true,\n  \"c\": null\n}");
}

TEST(text_is_quoted_as_go_quotes_it)
{
	static const char *const rows[][2] = {
		{"plain", "\"plain\""},
		{"a\"b\\c/", "\"a\\\"b\\\\c/\""},
		{"<a&b>", "\"\\u003ca\\u0026b\\u003e\""},
		{"\b\f\n\r\t\001\177", "\"\\b\\f\\n\\r\\t\\u0001\177\""},
		{"\303\244\342\202\254\360\237\230\200",
		 "\"\303\244\342\202\254\360\237\230\200\""},
		{"\342\200\250\342\200\251", "\"\\u2028\\u2029\""},
		{"a\377b", "\"a\\ufffdb\""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buf struct buf b = BUF_INIT(1000);

		json_out_quote(&b, str_of(rows[i][0]));
		CHECK_STR(b.p, rows[i][1]);
	}
}

int main(void)
{
	return tap_main();
}
