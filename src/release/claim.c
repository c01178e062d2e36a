// SPDX-License-Identifier: Apache-2.0
// Claims: a small JSON document in which nothing may be left open.
#include "release/claim.h"

#include <string.h>

#include "data/json.h"
#include "image/reference.h"

#define TYPE "atomic container signature"

enum { CLAIM_VALUES = 1000, CLAIM_DEPTH = 16 };

void claim_release(struct claim *c)
{
	free(c->reference);
	c->reference = NULL;
}

// ARG: the names that may come, up to NULL.
static int is_known(void *arg, const struct json *member, struct err *e)
{
	for (const char *const *name = arg; *name; name++)
		if (strcmp(member->name, *name) == 0)
			return 0;
	return json_fail(member->up, e, "has an unknown member");
}

static int need_only(const struct json *object, const char *const *names, struct err *e)
{
	if (json_need_object(object, e) < 0)
		return -1;
	return json_members(object, is_known, (void *)names, e);
}

static int read_type(const struct json *critical, struct err *e)
{
	struct json at = json_member(critical, "type");
	const char *text;

	if (json_text(&at, &text, e) < 0)
		return -1;
	if (strcmp(text, TYPE) != 0)
		return json_fail(&at, e, "is not '" TYPE "'");
	return 0;
}

static int read_digest(struct digest *ret, const struct json *critical, struct err *e)
{
	static const char *const names[] = {"docker-manifest-digest", NULL};
	struct json image = json_member(critical, "image");
	struct json at = json_member(&image, names[0]);
	const char *text;

	if (need_only(&image, names, e) < 0 || json_text(&at, &text, e) < 0)
		return -1;
	if (digest_parse(ret, text, e) < 0)
		return json_fail(&at, e, "is not a digest");
	return 0;
}

static int read_identity(char **ret, const struct json *critical, struct err *e)
{
	static const char *const names[] = {"docker-reference", NULL};
	struct json identity = json_member(critical, "identity");
	struct json at = json_member(&identity, names[0]);
	auto_reference struct reference ref = {0};
	const char *text;

	if (need_only(&identity, names, e) < 0 || json_text(&at, &text, e) < 0)
		return -1;
	if (reference_parse(&ref, text, REF_NO_PREFIX, e) < 0)
		return json_fail(&at, e, "is not an image reference");
	*ret = reference_print(&ref);
	return 0;
}

static int read_claim(struct claim *ret, const struct json *root, struct err *e)
{
	static const char *const top[] = {"critical", "optional", NULL};
	static const char *const inner[] = {"type", "image", "identity", NULL};
	struct json critical = json_member(root, "critical");
	struct json optional = json_member(root, "optional");

	if (need_only(root, top, e) < 0 || need_only(&critical, inner, e) < 0 ||
	    read_type(&critical, e) < 0 || read_digest(&ret->digest, &critical, e) < 0)
		return -1;
	if (json_present(&optional) && json_need_object(&optional, e) < 0)
		return -1;
	return read_identity(&ret->reference, &critical, e);
}

int claim_parse(struct claim *ret, struct str bytes, struct err *e)
{
	struct json_limits limits = {
		.bytes = CLAIM_MAX, .values = CLAIM_VALUES, .depth = CLAIM_DEPTH};
	auto_json struct json_doc doc = {0};
	struct claim c = {0};

	if (json_parse(&doc, bytes, limits, JSON_UNIQUE, e) < 0)
		return err_wrap(e, "what is signed is not a claim");
	struct json root = json_root(&doc);

	if (read_claim(&c, &root, e) < 0)
		return err_wrap(e, "what is signed is not a claim");
	*ret = c;
	return 0;
}

int claim_check(struct claim *ret, struct str bytes, const struct digest *want, struct err *e)
{
	struct claim c = {0};

	if (claim_parse(&c, bytes, e) < 0)
		return -1;
	if (!digest_equal(&c.digest, want)) {
		claim_release(&c);
		return err_set(e, ERR_INPUT, "it is about %s", c.digest.text);
	}
	*ret = c;
	return 0;
}
