// SPDX-License-Identifier: Apache-2.0
// YAML: what is read is a document that can be written as YAML and read again, and then is the
// same.
#include <assert.h>
#include <string.h>

#include "data/json_copy.h"
#include "data/yaml_in.h"
#include "fuzz.h"

#define LIMITS ((struct json_limits){.bytes = (size_t)1 << 20, .values = 20000, .depth = 30})

static int keep(void *arg, const struct json *root, struct err *e)
{
	struct json_out j = {.out = arg};

	(void)e;
	json_copy_value(&j, root);
	return 0;
}

static int check(void *arg, const struct json *root, struct err *e)
{
	auto_buf struct buf yaml = BUF_INIT(BUF_TEXT_MAX), json = BUF_INIT(BUF_TEXT_MAX);
	auto_buf struct buf again = BUF_INIT(BUF_TEXT_MAX);
	struct yaml_out y = {.out = &yaml};
	struct json_limits limits = LIMITS;

	(void)arg;
	(void)e;
	limits.bytes = BUF_TEXT_MAX;
	struct err why;

	if (json_kind(root) != JSON_KIND_OBJECT)
		return 0;
	assert(keep(&json, root, &why) == 0);
	yaml_out_json(&y, root);
	assert(yaml_parse(buf_str(&yaml), limits, 0, keep, &again, &why) == 0);
	assert(strcmp(json.p, again.p) == 0 || strstr(json.p, "-0")); // a zero has no sign as YAML
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e;

	if (yaml_parse((struct str){(const char *)data, size}, LIMITS, 0, check, NULL, &e) < 0)
		assert(e.kind == ERR_INPUT && e.text[0]);
	return 0;
}
