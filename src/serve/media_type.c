// SPDX-License-Identifier: Apache-2.0
// What kind of manifest some bytes are, found without parsing all of them.
//
// Spec: OCI image-spec v1.1 manifest.md and image-index.md, "mediaType". Runs for every manifest
// that is pulled, so it looks at the members of the top level only and skips their values by
// counting brackets. Nothing here decides whether a manifest is good: that was done at its push.
#include "image/manifest.h"
#include "serve/internal.h"

#include <string.h>
#include <strings.h>

#define MT_UNKNOWN "application/octet-stream"

struct scan {
	const char *p, *end;
};

static char peek(struct scan *s)
{
	while (s->p < s->end && strchr(" \t\r\n", *s->p) && *s->p)
		s->p++;
	return s->p < s->end ? *s->p : '\0';
}

static bool take(struct scan *s, char c)
{
	if (peek(s) != c)
		return false;
	s->p++;
	return true;
}

// The character behind a backslash; characters beyond ASCII, which no name or type here has, become
// 0xff. -1: no escape at all.
static int unescape(struct scan *s)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	int v = 0;

	if (s->p == s->end)
		return -1;
	char c = *s->p++;

	if (c != 'u') {
		const char *at = c ? strchr(from, c) : NULL;

		return at ? to[at - from] : -1;
	}
	for (int i = 0; i < 4; i++) {
		int digit = s->p < s->end ? hex_value(*s->p++) : -1;

		if (digit < 0)
			return -1;
		v = v * 16 + digit;
	}
	return v < 0x80 ? v : 0xff;
}

// A string, cut to SIZE - 1 bytes in RET; *ret_whole tells whether it is all there.
static bool text(struct scan *s, char *ret, size_t size, bool *ret_whole)
{
	size_t n = 0;

	*ret_whole = true;
	if (!take(s, '"'))
		return false;
	while (s->p < s->end && *s->p != '"') {
		int c = (unsigned char)*s->p++;

		if (c == '\\')
			c = unescape(s);
		if (c < 0)
			return false;
		if (c == 0 || n + 1 >= size)
			*ret_whole = false;
		else
			ret[n++] = (char)c;
	}
	ret[n] = '\0';
	return take(s, '"');
}

static bool skip_text(struct scan *s)
{
	s->p++;
	while (s->p < s->end) {
		char c = *s->p++;

		if (c == '"')
			return true;
		if (c == '\\' && s->p < s->end)
			s->p++;
	}
	return false;
}

// Any value, by its brackets.
static bool skip_value(struct scan *s)
{
	size_t depth = 0;

	peek(s);
	while (s->p < s->end) {
		char c = *s->p;

		if (depth == 0 && (c == ',' || c == '}' || c == ']'))
			return true;
		if (c == '"') {
			if (!skip_text(s))
				return false;
			continue;
		}
		if (c == '{' || c == '[')
			depth++;
		if (c == '}' || c == ']')
			depth--;
		s->p++;
	}
	return false;
}

// To a browser it is a page or a script: XML may hold XHTML, whatever else it is called.
static bool is_for_browsers(const char *type)
{
	static const char *const ends[] = {"xml", "html", "script"};
	size_t n = strlen(type);

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		size_t end = strlen(ends[i]);

		if (n >= end && strcasecmp(type + n - end, ends[i]) == 0)
			return true;
	}
	return false;
}

// Spec: RFC 6838 section 4.2, and of the type "application" only. A type for browsers would make
// pages out of what anybody may push.
static bool is_plain_type(const char *type)
{
	static const char ok[] = "!#$&-^_.+";
	static const char prefix[] = "application/";
	size_t n = sizeof(prefix) - 1;

	if (strncasecmp(type, prefix, n) != 0 || !type[n] || is_for_browsers(type))
		return false;
	for (const char *p = type + n; *p; p++) {
		bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');

		if (!letter && !(*p >= '0' && *p <= '9') && !strchr(ok, *p))
			return false;
	}
	return true;
}

struct shape {
	bool schema1, signatures;
	const char *config, *manifests; // where their values start; NULL: not there
};

// A member's name; *ret_whole is false for one too long to be of interest.
static bool name(struct scan *s, char *ret, size_t size, bool *ret_whole)
{
	return text(s, ret, size, ret_whole) && take(s, ':');
}

static bool is_one(const struct scan *s)
{
	return s->p < s->end && *s->p == '1' &&
	       (s->p + 1 == s->end || !strchr("0123456789.eE", s->p[1]));
}

// The mediaType of the object at AT, or of the first one of the list there; "" when it has none.
static void part_type(const char *at, const char *end, char ret[MEDIA_TYPE_MAX + 1])
{
	struct scan s = {at, end};
	char key[16];
	bool whole;

	*ret = '\0';
	take(&s, '[');
	if (!take(&s, '{'))
		return;
	while (name(&s, key, sizeof(key), &whole)) {
		if (whole && strcmp(key, "mediaType") == 0) {
			if (!text(&s, ret, MEDIA_TYPE_MAX + 1, &whole) || !whole)
				*ret = '\0';
			return;
		}
		if (!skip_value(&s) || !take(&s, ','))
			return;
	}
}

// OCI lets documents do without a word on themselves, and Docker's registries have some, too.
static const char *type_of_shape(const struct shape *shape, const char *end)
{
	char part[MEDIA_TYPE_MAX + 1] = "";

	if (shape->schema1)
		return shape->signatures ? MT_DOCKER_SIGNED1 : MT_DOCKER_SCHEMA1;
	if (shape->manifests && !shape->config) {
		part_type(shape->manifests, end, part);
		return strcmp(part, MT_DOCKER_MANIFEST) == 0 ? MT_DOCKER_LIST : MT_OCI_INDEX;
	}
	if (shape->config)
		part_type(shape->config, end, part);
	return starts_with(part, "application/vnd.docker.") ? MT_DOCKER_MANIFEST : MT_OCI_MANIFEST;
}

// One member. *ret_done: RET has the type.
static bool member(struct scan *s, struct shape *shape, char ret[MEDIA_TYPE_MAX + 1],
		   bool *ret_done)
{
	char key[16];
	bool whole;

	if (!name(s, key, sizeof(key), &whole))
		return false;
	if (!whole)
		return skip_value(s);
	if (peek(s) == '"' && strcmp(key, "mediaType") == 0) {
		if (!text(s, ret, MEDIA_TYPE_MAX + 1, &whole))
			return false;
		if (!whole || (*ret && !is_plain_type(ret)))
			memcpy(ret, MT_UNKNOWN, sizeof(MT_UNKNOWN));
		*ret_done = *ret != '\0';
		return true;
	}
	if (strcmp(key, "config") == 0)
		shape->config = s->p;
	if (strcmp(key, "manifests") == 0)
		shape->manifests = s->p;
	if (strcmp(key, "signatures") == 0)
		shape->signatures = true;
	if (strcmp(key, "schemaVersion") == 0)
		shape->schema1 = is_one(s);
	return skip_value(s);
}

static bool members(struct scan *s, struct shape *shape, char ret[MEDIA_TYPE_MAX + 1],
		    bool *ret_done)
{
	if (!take(s, '{'))
		return false;
	if (take(s, '}'))
		return true;
	do {
		if (!member(s, shape, ret, ret_done))
			return false;
		if (*ret_done)
			return true;
	} while (take(s, ','));
	return take(s, '}');
}

void manifest_media_type(struct str bytes, char ret[MEDIA_TYPE_MAX + 1])
{
	struct scan s = {bytes.p, bytes.p + bytes.n};
	struct shape shape = {0};
	const char *type = MT_UNKNOWN;
	bool done = false;

	if (members(&s, &shape, ret, &done))
		type = type_of_shape(&shape, s.end);
	if (!done)
		memcpy(ret, type, strlen(type) + 1);
}
