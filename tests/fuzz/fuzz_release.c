// SPDX-License-Identifier: Apache-2.0
// A payload's image-references, release-metadata and image configuration, one behind the other with
// lines "--" between: what is read can be shown in every form, and the JSON is JSON.
#include <assert.h>
#include <string.h>

#include "fuzz.h"
#include "release/info.h"

static struct str cut(struct str *rest)
{
	static const char mark[] = "\n--\n";
	const char *at = rest->n ? memmem(rest->p, rest->n, mark, strlen(mark)) : NULL;
	struct str head = *rest;

	if (!at) {
		*rest = (struct str){"", 0};
		return head;
	}
	head.n = (size_t)(at - head.p);
	rest->p = at + strlen(mark);
	rest->n -= head.n + strlen(mark);
	return head;
}

static void show(const struct release_info *r)
{
	auto_buf struct buf text = BUF_INIT((size_t)4 << 30), json = BUF_INIT((size_t)4 << 30);
	auto_buf struct buf diff = BUF_INIT((size_t)4 << 30);
	struct json_out j = {.out = &json}, d = {.out = &diff};
	auto_json struct json_doc doc = {0};
	struct err e;

	for (int columns = RELEASE_DIGESTS; columns <= RELEASE_SIZES; columns++)
		release_info_print(&text, r, (enum release_columns)columns, 1795000000);
	release_info_print_contents(&text, r);
	release_info_print_verified(&text, r);
	release_diff_print(&text, r, r, true, NULL, 1795000000);
	if (release_info_json(&j, r, &e) < 0 || release_diff_json(&d, r, r, NULL, &e) < 0)
		return;
	const struct json_limits limits = {BUF_TEXT_MAX, JSON_VALUES_MAX * 10, JSON_DEPTH_MAX * 2};

	assert(json_parse(&doc, buf_str(&json), limits, 0, &e) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_release_info struct release_info r = {
		.payload = {.references = BUF_INIT(PAYLOAD_FILE_MAX),
			    .metadata = BUF_INIT(PAYLOAD_FILE_MAX),
			    .config = BUF_INIT(PAYLOAD_FILE_MAX)}};
	struct str rest = {(const char *)data, size};
	struct str references = cut(&rest), metadata = cut(&rest);
	struct err e;

	r.image = xstrdup("q.io/r:v");
	r.payload.os = xstrdup("linux");
	r.payload.architecture = xstrdup("");
	digest_of(&r.payload.digest, DIGEST_SHA256, "", 0);
	r.payload.root = r.payload.digest;
	assert(reference_parse(&r.ref, r.image, 0, &e) == 0);
	if (buf_add(&r.payload.references, references.p, references.n, &e) < 0 ||
	    buf_add(&r.payload.metadata, metadata.p, metadata.n, &e) < 0 ||
	    buf_add(&r.payload.config, rest.p, rest.n, &e) < 0)
		return 0;
	if (release_info_parse(&r, &e) < 0) {
		assert(e.kind == ERR_INPUT && e.text[0]);
		return 0;
	}
	show(&r);
	return 0;
}
