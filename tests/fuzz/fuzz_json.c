// SPDX-License-Identifier: Apache-2.0
// JSON: whatever is accepted can be walked to its last value, and printed text reads back the same.
#include "data/json.h"
#include "data/json_out.h"
#include "data/yaml_out.h"
#include "fuzz.h"

#include <assert.h>
#include <string.h>

static void check_text(const char *text)
{
	auto_buf struct buf quoted = BUF_INIT(BUF_TEXT_MAX), yaml = BUF_INIT(BUF_TEXT_MAX);
	auto_json struct json_doc doc = {NULL};
	struct yaml_out y = {.out = &yaml};
	const char *again;
	struct err e;

	json_out_quote(&quoted, str_of(text));
	assert(json_parse(&doc, buf_str(&quoted), JSON_LIMITS(BUF_TEXT_MAX), 0, &e) == 0);
	struct json root = json_root(&doc);

	assert(json_text(&root, &again, &e) == 0 && strcmp(again, text) == 0);
	yaml_out_map(&y);
	yaml_out_key(&y, text);
	yaml_out_text(&y, text);
	yaml_out_end(&y);
	assert(yaml.n > strlen(text));
}

static int walk(void *arg, const struct json *at, struct err *e)
{
	const char *text;
	uint64_t v;
	size_t n;

	if (json_text(at, &text, e) == 0)
		check_text(text);
	if (json_u64(at, 1000, &v, e) == 0)
		assert(v <= 1000);
	if (json_items(at, &n, e) == 0)
		for (size_t i = 0; i < n; i++) {
			struct json item = json_item(at, i);

			walk(arg, &item, e);
		}
	return json_need_object(at, e) == 0 ? json_members(at, walk, arg, e) : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_json struct json_doc doc = {NULL};
	struct err e;

	if (size == 0)
		return 0;
	if (json_parse(&doc, (struct str){(const char *)data + 1, size - 1},
		       JSON_LIMITS((size_t)1 << 20), data[0] & 1 ? JSON_UNIQUE : 0, &e) < 0) {
		assert(e.kind == ERR_INPUT);
		return 0;
	}
	struct json root = json_root(&doc);

	walk(NULL, &root, &e);
	return 0;
}
