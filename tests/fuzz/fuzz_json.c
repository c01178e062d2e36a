// SPDX-License-Identifier: Apache-2.0
// JSON: whatever is accepted can be walked to its last value, and printed text reads back the same.
// Reading a few members only accepts what reading all does, and finds the same.
#include "data/json.h"
#include "data/json_copy.h"
#include "data/json_out.h"
#include "data/yaml_out.h"
#include "fuzz.h"
#include "util/cleanup.h"

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

static const char *const wanted[] = {"a", "image"};

static char *print_member(const struct json_doc *doc, const char *name)
{
	auto_buf struct buf b = BUF_INIT(BUF_TEXT_MAX);
	struct json_out j = {.out = &b};
	struct json root = json_root(doc), member = json_member(&root, name);

	if (json_exists(&member))
		json_copy_value(&j, &member);
	return buf_take(&b);
}

static void compare_members(struct str bytes)
{
	const struct json_limits limits = {.bytes = (size_t)1 << 20, .values = 2000, .depth = 20};
	auto_json struct json_doc whole = {NULL}, part = {NULL};
	struct err e = {0}, why = {0};
	int r = json_parse(&whole, bytes, limits, 0, &e);

	if (json_parse_members(&part, bytes, limits, wanted, 2, &why) < 0) {
		assert(r < 0 && strcmp(e.text, why.text) == 0);
		return;
	}
	// What is left out may have numbers that are too large.
	assert(r == 0 || strstr(e.text, "number out of range"));
	for (size_t i = 0; r == 0 && i < 2; i++) {
		auto_free char *want = print_member(&whole, wanted[i]);
		auto_free char *got = print_member(&part, wanted[i]);

		assert(strcmp(want, got) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_json struct json_doc doc = {NULL};
	struct err e;

	if (size == 0)
		return 0;
	compare_members((struct str){(const char *)data + 1, size - 1});
	if (json_parse(&doc, (struct str){(const char *)data + 1, size - 1},
		       JSON_LIMITS((size_t)1 << 20), data[0] & 1 ? JSON_UNIQUE : 0, &e) < 0) {
		assert(e.kind == ERR_INPUT);
		return 0;
	}
	struct json root = json_root(&doc);

	walk(NULL, &root, &e);
	return 0;
}
