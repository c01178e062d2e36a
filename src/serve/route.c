// SPDX-License-Identifier: Apache-2.0
// Targets to endpoints: decode once, refuse what is ambiguous, match from the right.
#include "serve/route.h"

#include "image/reference.h"
#include "util/mem.h"

#include <stdlib.h>
#include <string.h>

enum { PATH_LONGEST = 8 * 1024 };

static const char NAME_INVALID[] = "NAME_INVALID";
static const char DIGEST_INVALID[] = "DIGEST_INVALID";
static const char MANIFEST_INVALID[] = "MANIFEST_INVALID";

// Takes one character, encoded or not, off the front of *s. False: bad encoding, or a control
// character; *ret_encoded tells "%2F" from "/".
static bool take_decoded(struct str *s, char *ret, bool *ret_encoded)
{
	size_t used = 1;

	*ret = s->p[0];
	*ret_encoded = s->p[0] == '%';
	if (*ret_encoded) {
		int high = s->n < 3 ? -1 : hex_value(s->p[1]),
		    low = s->n < 3 ? -1 : hex_value(s->p[2]);

		if (high < 0 || low < 0)
			return false;
		*ret = (char)(high << 4 | low);
		used = 3;
	}
	s->p += used;
	s->n -= used;
	return (unsigned char)*ret >= ' ' && *ret != '\x7f';
}

static int refuse(const char **ret_code, const char *code, struct err *e, const char *why)
{
	*ret_code = code;
	err_set(e, ERR_INPUT, "%s", why);
	return 400;
}

// RET has room for as many bytes as S, and a NUL.
static int decode_path(char *ret, struct str s, struct err *e)
{
	while (s.n > 0) {
		bool encoded;

		if (!take_decoded(&s, ret, &encoded))
			return err_set(e, ERR_INPUT,
				       "bad encoding or control character in the path");
		if (*ret == '\\' || (*ret == '/' && encoded))
			return err_set(e, ERR_INPUT, "encoded slash or backslash in the path");
		ret++;
	}
	*ret = '\0';
	return 0;
}

// No "//", "." or ".."; a slash at the end is fine.
static int check_segments(const char *path, struct err *e)
{
	struct str rest = str_of(path + 1);

	while (rest.p) {
		struct str segment = str_cut(&rest, '/');

		if ((segment.n == 0 && rest.p) || str_eqz(segment, ".") || str_eqz(segment, ".."))
			return err_set(e, ERR_INPUT, "empty, '.' or '..' segment in the path");
	}
	return 0;
}

static int take_repo(struct route *r, struct str name, const char **ret_code, struct err *e)
{
	if (name.n == 0)
		return refuse(ret_code, NAME_INVALID, e, "the repository name is missing");
	if (name.n > ROUTE_REPO_MAX)
		return refuse(ret_code, NAME_INVALID, e,
			      "the repository name is longer than 255 bytes");
	memcpy(r->repo, name.p, name.n);
	r->repo[name.n] = '\0';
	if (!repository_valid(r->repo))
		return refuse(ret_code, NAME_INVALID, e, "invalid repository name");
	while (name.p)
		if (repository_component_reserved(str_cut(&name, '/')))
			return refuse(ret_code, NAME_INVALID, e,
				      "a word of the API in the repository name");
	return 0;
}

static int take_digest(struct route *r, const char *text, const char **ret_code, struct err *e)
{
	if (digest_parse(&r->digest, text, e) == 0)
		return 0;
	*ret_code = DIGEST_INVALID;
	return 400;
}

static int take_reference(struct route *r, const char *text, const char **ret_code, struct err *e)
{
	if (strchr(text, ':')) {
		r->by_digest = true;
		return take_digest(r, text, ret_code, e);
	}
	if (!tag_valid(text))
		return refuse(ret_code, MANIFEST_INVALID, e, "invalid tag");
	memcpy(r->tag, text, strlen(text) + 1);
	return 0;
}

static int take_id(struct route *r, const char *text, const char **ret_code, struct err *e)
{
	size_t n = strlen(text);

	(void)ret_code;
	(void)e;
	if (n > ROUTE_TAG_MAX)
		n = ROUTE_TAG_MAX;
	memcpy(r->tag, text, n);
	r->tag[n] = '\0';
	return 0;
}

// ".../WORD/LAST": the endings of paths below /v2/, the longer ones first. LAST is read by `take`;
// without one it must be `last`.
static const struct ending {
	const char *words;
	const char *last;
	enum endpoint endpoint;
	int (*take)(struct route *r, const char *text, const char **ret_code, struct err *e);
} endings[] = {
	{"blobs/uploads", "", ENDPOINT_UPLOADS, NULL},
	{"blobs/uploads", NULL, ENDPOINT_UPLOAD, take_id},
	{"blobs", "uploads", ENDPOINT_UPLOADS, NULL},
	{"blobs", NULL, ENDPOINT_BLOB, take_digest},
	{"manifests", NULL, ENDPOINT_MANIFEST, take_reference},
	{"referrers", NULL, ENDPOINT_REFERRERS, take_digest},
	{"tags", "list", ENDPOINT_TAGS, NULL},
};

// Is HEAD, what stands before the last slash, "[NAME/]WORDS"? NAME is empty when it is missing.
static bool cut_words(struct str head, const char *words, struct str *ret_name)
{
	struct str tail = str_of(words);

	if (!str_ends(head, tail))
		return false;
	head.n -= tail.n;
	if (head.n > 0 && head.p[--head.n] != '/')
		return false;
	*ret_name = head;
	return true;
}

static int parse_v2(struct route *r, const char *path, const char **ret_code, struct err *e)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
		const struct ending *end = &endings[i];
		struct str name;

		if (end->last && strcmp(slash + 1, end->last) != 0)
			continue;
		if (!cut_words((struct str){path, (size_t)(slash - path)}, end->words, &name))
			continue;
		r->endpoint = end->endpoint;
		int status = take_repo(r, name, ret_code, e);

		return status || !end->take ? status : end->take(r, slash + 1, ret_code, e);
	}
	return 0;
}

static enum endpoint fixed_endpoint(const char *path)
{
	static const struct {
		const char *path;
		enum endpoint endpoint;
	} fixed[] = {
		{"/", ENDPOINT_ROOT},       {"/healthz", ENDPOINT_HEALTH},
		{"/token", ENDPOINT_TOKEN}, {"/v2", ENDPOINT_BASE},
		{"/v2/", ENDPOINT_BASE},    {"/v2/_catalog", ENDPOINT_CATALOG},
	};

	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		if (strcmp(path, fixed[i].path) == 0)
			return fixed[i].endpoint;
	return ENDPOINT_UNKNOWN;
}

int route_parse(struct route *ret, struct str path, const char **ret_code, struct err *e)
{
	char decoded[PATH_LONGEST + 1];

	ret->endpoint = ENDPOINT_UNKNOWN;
	ret->repo[0] = ret->tag[0] = ret->digest.text[0] = '\0';
	ret->by_digest = false;
	if (path.n > PATH_LONGEST)
		return refuse(ret_code, NAME_INVALID, e, "the path is too long");
	if (decode_path(decoded, path, e) < 0)
		goto malformed;
	if (decoded[0] != '/')
		return 0;
	if (check_segments(decoded, e) < 0)
		goto malformed;
	ret->endpoint = fixed_endpoint(decoded);
	if (ret->endpoint != ENDPOINT_UNKNOWN || !starts_with(decoded, "/v2/"))
		return 0;
	return parse_v2(ret, decoded + 4, ret_code, e);
malformed:
	*ret_code = NAME_INVALID;
	return 400;
}

// One allocation for both: the value stands behind the name.
static int parse_parameter(struct parameter *ret, struct str s, struct err *e)
{
	auto_free char *text = xmalloc(s.n + 2);
	char *at = text, *value = NULL;

	while (s.n > 0) {
		bool encoded;

		if (!take_decoded(&s, at, &encoded))
			return err_set(e, ERR_INPUT,
				       "bad encoding or control character in the query");
		if (*at == '=' && !encoded && !value) {
			*at = '\0';
			value = at + 1;
		} else if (*at == '+' && !encoded) {
			*at = ' ';
		}
		at++;
	}
	*at = '\0';
	ret->value = value ? value : at;
	ret->name = steal(&text);
	return 0;
}

int query_parse(struct query *ret, struct str text, struct err *e)
{
	struct query q;

	q.n = 0;
	while (text.p && text.n > 0) {
		struct str piece = str_cut(&text, '&');

		if (piece.n == 0)
			continue;
		if (q.n == QUERY_PARAMETERS_MAX) {
			query_release(&q);
			return err_set(e, ERR_INPUT, "more than %d query parameters",
				       QUERY_PARAMETERS_MAX);
		}
		if (parse_parameter(&q.v[q.n], piece, e) < 0) {
			query_release(&q);
			return -1;
		}
		q.n++;
	}
	ret->n = q.n;
	memcpy(ret->v, q.v, q.n * sizeof(*q.v));
	return 0;
}

void query_release(struct query *q)
{
	for (unsigned i = 0; i < q->n; i++)
		free(q->v[i].name);
	q->n = 0;
}

const char *query_get(const struct query *q, const char *name)
{
	for (unsigned i = 0; i < q->n; i++)
		if (strcmp(q->v[i].name, name) == 0)
			return q->v[i].value;
	return NULL;
}
