// SPDX-License-Identifier: Apache-2.0
// YAML of payloads and install-configs: what is written is read back as the same.
#include "data/yaml_in.h"
#include "fuzz.h"
#include "release/manifests.h"

#include <assert.h>
#include <string.h>

#define BYTES_MAX ((size_t)1 << 20)

static int write_again(struct str bytes, struct buf *ret, struct err *e)
{
	struct manifest_choice all = {0};

	return manifest_write(ret, bytes, &all, e);
}

static void check_inclusion(struct str bytes)
{
	auto_manifest_inclusion struct manifest_inclusion in = {0};
	struct manifest_choice choice = {.inclusion = &in, .credentials_requests = true};
	auto_buf struct buf out = BUF_INIT(BUF_TEXT_MAX);
	struct err e;

	if (manifest_inclusion_read(&in, bytes, &e) < 0) {
		assert(e.kind == ERR_INPUT);
		return;
	}
	assert(in.platform && in.feature_set);
	if (manifest_write(&out, bytes, &choice, &e) < 0)
		assert(e.kind == ERR_INPUT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_buf struct buf once = BUF_INIT(BUF_TEXT_MAX), twice = BUF_INIT(BUF_TEXT_MAX);
	struct str bytes = {(const char *)data, size};
	struct err e;

	if (size > BYTES_MAX)
		return 0;
	check_inclusion(bytes);
	if (write_again(bytes, &once, &e) < 0) {
		assert(e.kind == ERR_INPUT);
		return 0;
	}
	if (once.n > BYTES_MAX)
		return 0;
	assert(write_again(buf_str(&once), &twice, &e) == 0);
	assert(str_eq(buf_str(&once), buf_str(&twice)));
	return 0;
}
