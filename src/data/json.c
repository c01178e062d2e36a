// SPDX-License-Identifier: Apache-2.0
// JSON from outside, read by jansson behind ceilings that hold before it allocates.
#include "data/json.h"

#include "util/cleanup.h"
#include "util/mem.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

// The byte behind the string that starts at I.
static size_t skip_string(struct str s, size_t i)
{
	for (i++; i < s.n && s.p[i] != '"'; i++)
		if (s.p[i] == '\\')
			i++;
	return i + 1;
}

// Counts what would be allocated; whether it is JSON at all is the parser's business.
static int check_limits(struct str s, struct json_limits limits, struct err *e)
{
	size_t values = 1, depth = 0;

	if (s.n > limits.bytes)
		return err_set(e, ERR_INPUT, "more than %zu bytes of JSON", limits.bytes);
	for (size_t i = 0; i < s.n;) {
		char c = s.p[i];

		if (c == '"') {
			i = skip_string(s, i);
			continue;
		}
		if ((c == '{' || c == '[') && ++depth > limits.depth)
			return err_set(e, ERR_INPUT, "JSON nested more than %u levels deep",
				       limits.depth);
		if ((c == '}' || c == ']') && depth > 0)
			depth--;
		if ((c == '{' || c == '[' || c == ',') && ++values > limits.values)
			return err_set(e, ERR_INPUT, "JSON of more than %zu values", limits.values);
		i++;
	}
	return 0;
}

// jansson's own text quotes the document, which may be hostile or secret.
static const char *reason(const json_error_t *error)
{
	switch (json_error_code(error)) {
	case json_error_premature_end_of_input:
		return "unexpected end of JSON input";
	case json_error_duplicate_key:
		return "duplicate key";
	case json_error_invalid_utf8:
		return "invalid UTF-8";
	case json_error_end_of_input_expected:
		return "data after the JSON document";
	case json_error_null_character:
	case json_error_null_byte_in_key:
		return "NUL character in a string";
	case json_error_numeric_overflow:
		return "number out of range";
	default:
		return "invalid JSON";
	}
}

static bool is_blank(struct str s)
{
	return str_trim(s).n == 0;
}

int json_parse(struct json_doc *ret, struct str bytes, struct json_limits limits, unsigned flags,
	       struct err *e)
{
	json_error_t error;
	size_t how = JSON_DECODE_ANY | (flags & JSON_UNIQUE ? JSON_REJECT_DUPLICATES : 0);

	if (check_limits(bytes, limits, e) < 0)
		return -1;
	if (is_blank(bytes))
		return err_set(e, ERR_INPUT, "unexpected end of JSON input");
	json_t *root = json_loadb(bytes.p, bytes.n, how, &error);

	if (!root && json_error_code(&error) == json_error_premature_end_of_input)
		return err_set(e, ERR_INPUT, "%s", reason(&error));
	if (!root)
		return err_set(e, ERR_INPUT, "%s at line %zu, column %d", reason(&error),
			       (limits.first_line ? limits.first_line - 1 : 0) + (size_t)error.line,
			       error.column);
	ret->root = root;
	return 0;
}

void json_release(struct json_doc *doc)
{
	json_decref(doc->root);
	doc->root = NULL;
}

struct json json_root(const struct json_doc *doc)
{
	return (struct json){.value = doc->root};
}

struct json json_member(const struct json *object, const char *name)
{
	return (struct json){
		.value = json_object_get(object->value, name), .up = object, .name = name};
}

struct json json_item(const struct json *array, size_t i)
{
	return (struct json){.value = json_array_get(array->value, i), .up = array, .index = i};
}

bool json_exists(const struct json *at)
{
	return at->value != NULL;
}

bool json_present(const struct json *at)
{
	return at->value && !json_is_null(at->value);
}

// A member's name comes from the document when its object is a map: shown only when it is plain.
static void put_name(struct buf *b, const char *name, bool first)
{
	bool plain = strlen(name) <= 100;

	for (const char *c = name; *c && plain; c++)
		plain = *c > ' ' && *c < 0x7f;
	buf_printf(b, "%s%s", first ? "" : ".", plain ? name : "?");
}

enum { PATH_STEPS = JSON_DEPTH_MAX * 2 };

static void put_path(struct buf *b, const struct json *at)
{
	const struct json *steps[PATH_STEPS];
	size_t n = 0;

	for (; at && at->up && n < PATH_STEPS; at = at->up)
		steps[n++] = at;
	while (n-- > 0) {
		if (steps[n]->name)
			put_name(b, steps[n]->name, b->n == 0);
		else
			buf_printf(b, "[%zu]", steps[n]->index);
	}
}

int json_fail(const struct json *at, struct err *e, const char *fmt, ...)
{
	auto_buf struct buf path = BUF_INIT(BUF_TEXT_MAX);
	auto_free char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	put_path(&path, at);
	return err_set(e, ERR_INPUT, "%s%s%s", path.p, path.n ? ": " : "", text);
}

static int wrong_type(const struct json *at, const char *want, struct err *e)
{
	return json_present(at) ? json_fail(at, e, "not %s", want) : json_fail(at, e, "missing");
}

int json_need_object(const struct json *at, struct err *e)
{
	return json_is_object(at->value) ? 0 : wrong_type(at, "an object", e);
}

int json_items(const struct json *at, size_t *ret, struct err *e)
{
	if (!json_present(at)) {
		*ret = 0;
		return 0;
	}
	if (!json_is_array(at->value))
		return wrong_type(at, "an array", e);
	*ret = json_array_size(at->value);
	return 0;
}

int json_text(const struct json *at, const char **ret, struct err *e)
{
	if (!json_is_string(at->value))
		return wrong_type(at, "a string", e);
	*ret = json_string_value(at->value);
	return 0;
}

int json_text_or(const struct json *at, const char *fallback, const char **ret, struct err *e)
{
	if (json_present(at))
		return json_text(at, ret, e);
	*ret = fallback;
	return 0;
}

int json_u64(const struct json *at, uint64_t max, uint64_t *ret, struct err *e)
{
	if (!json_is_integer(at->value))
		return wrong_type(at, "a whole number", e);
	json_int_t v = json_integer_value(at->value);

	if (v < 0)
		return json_fail(at, e, "negative");
	if ((uint64_t)v > max)
		return json_fail(at, e, "too large");
	*ret = (uint64_t)v;
	return 0;
}

enum json_kind json_kind(const struct json *at)
{
	static const enum json_kind kinds[] = {
		[JSON_OBJECT] = JSON_KIND_OBJECT, [JSON_ARRAY] = JSON_KIND_ARRAY,
		[JSON_STRING] = JSON_KIND_TEXT,   [JSON_INTEGER] = JSON_KIND_WHOLE,
		[JSON_REAL] = JSON_KIND_REAL,     [JSON_TRUE] = JSON_KIND_BOOL,
		[JSON_FALSE] = JSON_KIND_BOOL,    [JSON_NULL] = JSON_KIND_NULL,
	};

	return at->value ? kinds[json_typeof(at->value)] : JSON_KIND_NULL;
}

bool json_as_bool(const struct json *at)
{
	return json_is_true(at->value);
}

int64_t json_as_whole(const struct json *at)
{
	return json_integer_value(at->value);
}

double json_as_real(const struct json *at)
{
	return json_real_value(at->value);
}

const char *json_as_text(const struct json *at)
{
	const char *text = json_string_value(at->value);

	return text ? text : "";
}

size_t json_size(const struct json *at)
{
	return json_is_object(at->value) ? json_object_size(at->value) : json_array_size(at->value);
}

int json_members(const struct json *object,
		 int (*each)(void *arg, const struct json *member, struct err *e), void *arg,
		 struct err *e)
{
	// jansson walks through a pointer to non-const; nothing is changed.
	json_t *o = (json_t *)object->value;

	for (void *at = json_object_iter(o); at; at = json_object_iter_next(o, at)) {
		struct json member = {
			.value = json_object_iter_value(at),
			.up = object,
			.name = json_object_iter_key(at),
		};

		if (each(arg, &member, e) < 0)
			return -1;
	}
	return 0;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char **json_sorted_names(const struct json *object, size_t *ret_n)
{
	json_t *o = (json_t *)object->value;
	const char **names = xcalloc(json_object_size(o), sizeof(*names));
	size_t n = 0;

	for (void *at = json_object_iter(o); at; at = json_object_iter_next(o, at))
		names[n++] = json_object_iter_key(at);
	if (n > 1)
		qsort(names, n, sizeof(*names), by_bytes);
	*ret_n = n;
	return names;
}
