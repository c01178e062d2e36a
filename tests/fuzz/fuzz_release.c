// SPDX-License-Identifier: Apache-2.0
// A payload's image-references, release-metadata and image configuration, and the image-references
// of another release, one behind the other with lines "--" between: what is read can be shown in
// every form and compared, and the JSON is JSON.
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

// Text in every form.
static void print(const struct release_info *r, const struct release_info *other)
{
	auto_buf struct buf text = BUF_INIT((size_t)4 << 30);

	for (int columns = RELEASE_DIGESTS; columns <= RELEASE_SIZES; columns++)
		release_info_print(&text, r, (enum release_columns)columns, 1795000000);
	release_info_print_contents(&text, r);
	release_info_print_verified(&text, r);
	release_diff_print(&text, r, other, true, NULL, 1795000000);
	release_diff_print(&text, other, r, false, NULL, 1795000000);
}

static void check_json(const struct release_info *r, const struct release_info *other)
{
	const struct json_limits limits = {.bytes = (size_t)4 << 30,
					   .values = JSON_VALUES_MAX * 10,
					   .depth = JSON_DEPTH_MAX * 2};
	const struct release_upgrade upgrade = {1, 2, 3, 4};
	auto_buf struct buf json = BUF_INIT((size_t)4 << 30);
	auto_json struct json_doc doc = {0};
	struct json_out j = {.out = &json};
	struct err e;

	if (release_diff_json(&j, r, other, &upgrade, &e) < 0)
		assert(e.kind == ERR_INPUT);
	else
		assert(json_parse(&doc, buf_str(&json), limits, 0, &e) == 0);
}

// A release that is named SEED and whose documents are these.
static int make(struct release_info *r, const char *seed, struct str references,
		struct str metadata, struct str config)
{
	struct err e;

	*r = (struct release_info){.payload = {.references = BUF_INIT(PAYLOAD_FILE_MAX),
					       .metadata = BUF_INIT(PAYLOAD_FILE_MAX),
					       .config = BUF_INIT(PAYLOAD_FILE_MAX)}};
	r->image = xasprintf("q.io/r:%s", seed);
	r->payload.os = xstrdup("linux");
	r->payload.architecture = xstrdup("");
	digest_of(&r->payload.digest, DIGEST_SHA256, seed, strlen(seed));
	r->payload.root = r->payload.digest;
	assert(reference_parse(&r->ref, r->image, 0, &e) == 0);
	if (buf_add(&r->payload.references, references.p, references.n, &e) < 0 ||
	    buf_add(&r->payload.metadata, metadata.p, metadata.n, &e) < 0 ||
	    buf_add(&r->payload.config, config.p, config.n, &e) < 0)
		return -1;
	if (release_info_parse(r, &e) == 0)
		return 0;
	assert(e.kind == ERR_INPUT && e.text[0]);
	return -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_release_info struct release_info r = {0}, other = {0};
	struct str rest = {(const char *)data, size};
	struct str references = cut(&rest), metadata = cut(&rest), config = cut(&rest);

	if (make(&r, "a", references, metadata, config) < 0)
		return 0;
	if (make(&other, "b", rest.n ? rest : references, rest.n ? STR("") : metadata, config) < 0)
		return 0;
	print(&r, &other);
	check_json(&r, &other);
	return 0;
}
