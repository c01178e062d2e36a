// SPDX-License-Identifier: Apache-2.0
// YAML through libyaml's events: scalars typed as Go's readers type them, collections as JSON ones.
#include "data/yaml_in.h"

#include "util/cleanup.h"
#include "util/map.h"
#include "util/mem.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

// What an anchor stands for, and how many values that is.
struct anchored {
	json_t *value; // counted
	size_t values;
};

struct reader {
	yaml_parser_t parser;
	yaml_event_t event;
	bool has_event;
	struct json_limits limits;
	bool unique;
	size_t values;
	unsigned depth;
	struct map anchors; // of struct anchored, of this document
};

static int fail_at(const struct reader *r, size_t line, struct err *e, const char *why)
{
	size_t first = r->limits.first_line ? r->limits.first_line : 1;

	return err_set(e, ERR_INPUT, "line %zu: %s", first + line, why);
}

static int fail_here(struct reader *r, struct err *e, const char *why)
{
	return fail_at(r, r->event.start_mark.line, e, why);
}

static void drop_event(struct reader *r)
{
	if (r->has_event)
		yaml_event_delete(&r->event);
	r->has_event = false;
}

static int next_event(struct reader *r, struct err *e)
{
	drop_event(r);
	if (!yaml_parser_parse(&r->parser, &r->event))
		return fail_at(r, r->parser.problem_mark.line, e,
			       r->parser.problem ? r->parser.problem : "not YAML");
	r->has_event = true;
	return 0;
}

static int count(struct reader *r, size_t n, struct err *e)
{
	if (n > r->limits.values - r->values)
		return err_set(e, ERR_INPUT, "YAML of more than %zu values", r->limits.values);
	r->values += n;
	return 0;
}

// ---- scalars

static bool is_one_of(const char *s, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(s, words[i]) == 0)
			return true;
	return false;
}

// Go's strconv.ParseInt to base 0, the underscores of the text dropped already.
static bool as_integer(const char *s, json_int_t *ret)
{
	bool negative = *s == '-';
	const char *digits = s + (*s == '-' || *s == '+');
	int base = 10;
	char *end;

	if (digits[0] == '0' && digits[1] != '\0') {
		char c = digits[1];

		base = c == 'x' || c == 'X' ? 16 : c == 'b' || c == 'B' ? 2 : 8;
		digits += base != 8 || c == 'o' || c == 'O' ? 2 : 1;
	}
	if (!((*digits >= '0' && *digits <= '9') || base == 16))
		return false;
	errno = 0;
	unsigned long long v = strtoull(digits, &end, base);

	if (errno || *end || end == digits || strspn(digits, "+-xX \t") > 0 ||
	    v > (unsigned long long)INT64_MAX + negative)
		return false;
	*ret = negative ? (json_int_t)(0 - v) : (json_int_t)v;
	return true;
}

static bool as_real(const char *s, double *ret)
{
	char *end;

	if (strspn(s, "0123456789+-.eE") != strlen(s) || !strpbrk(s, "0123456789"))
		return false;
	*ret = strtod(s, &end);
	return *end == '\0' && isfinite(*ret);
}

static json_t *as_number(const char *s)
{
	auto_buf struct buf plain = BUF_INIT(BUF_TEXT_MAX);
	json_int_t integer;
	double real;

	if (!strchr("0123456789+-.", s[0]) || strlen(s) > 100)
		return NULL;
	for (; *s; s++)
		if (*s != '_')
			buf_putc(&plain, *s);
	if (as_integer(plain.p, &integer))
		return json_integer(integer);
	if (as_real(plain.p, &real))
		return json_real(real);
	return NULL;
}

// A plain scalar by its looks.
static json_t *resolve(const char *s)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
	static const char *const trues[] = {"y",    "Y",    "yes", "Yes", "YES", "true",
					    "True", "TRUE", "on",  "On",  "ON"};
	static const char *const falses[] = {"n",     "N",     "no",  "No",  "NO", "false",
					     "False", "FALSE", "off", "Off", "OFF"};

	if (is_one_of(s, nulls, ARRAY_SIZE(nulls)))
		return json_null();
	if (is_one_of(s, trues, ARRAY_SIZE(trues)))
		return json_true();
	if (is_one_of(s, falses, ARRAY_SIZE(falses)))
		return json_false();
	json_t *number = as_number(s);

	return number ? number : json_string(s);
}

static bool is_text(const yaml_event_t *ev)
{
	const char *tag = (const char *)ev->data.scalar.tag;

	if (tag && strcmp(tag, "!") != 0)
		return strcmp(tag, YAML_STR_TAG) == 0 || starts_with(tag, "!");
	return tag || ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
}

static json_t *read_scalar(struct reader *r, struct err *e)
{
	const char *s = (const char *)r->event.data.scalar.value;

	if (strlen(s) != r->event.data.scalar.length) {
		fail_here(r, e, "NUL character in a string");
		return NULL;
	}
	json_t *value = is_text(&r->event) ? json_string(s) : resolve(s);

	if (!value)
		fail_here(r, e, "invalid UTF-8");
	return value;
}

// A key as text, whatever it looks like. Caller frees.
static char *key_text(const json_t *key)
{
	switch (json_typeof(key)) {
	case JSON_STRING:
		return xstrdup(json_string_value(key));
	case JSON_INTEGER:
		return xasprintf("%" JSON_INTEGER_FORMAT, json_integer_value(key));
	case JSON_TRUE:
		return xstrdup("true");
	case JSON_FALSE:
		return xstrdup("false");
	case JSON_NULL:
		return xstrdup("null");
	case JSON_REAL:
		return xasprintf("%.17g", json_real_value(key));
	default:
		return NULL;
	}
}

// ---- nodes

static json_t *read_node(struct reader *r, struct err *e);

static void free_anchors(struct reader *r)
{
	for (size_t i = 0; i < r->anchors.n; i++) {
		struct anchored *a = r->anchors.entries[i].ptr;

		json_decref(a->value);
		free(a);
	}
	map_release(&r->anchors);
	r->anchors = (struct map){0};
}

static void keep_anchor(struct reader *r, const char *name, json_t *value, size_t values)
{
	bool is_new;
	struct map_entry *entry = map_put(&r->anchors, str_of(name), &is_new);
	struct anchored *a = is_new ? xcalloc(1, sizeof(*a)) : entry->ptr;

	json_decref(a->value);
	*a = (struct anchored){json_incref(value), values};
	entry->ptr = a;
}

static json_t *read_alias(struct reader *r, struct err *e)
{
	struct anchored *a = map_get(&r->anchors, (const char *)r->event.data.alias.anchor);

	if (!a) {
		fail_here(r, e, "unknown anchor");
		return NULL;
	}
	return count(r, a->values, e) < 0 ? NULL : json_incref(a->value);
}

static int enter(struct reader *r, struct err *e)
{
	if (++r->depth > r->limits.depth)
		return err_set(e, ERR_INPUT, "YAML nested more than %u levels deep",
			       r->limits.depth);
	return 0;
}

static int read_items(struct reader *r, json_t *list, struct err *e)
{
	for (;;) {
		if (next_event(r, e) < 0)
			return -1;
		if (r->event.type == YAML_SEQUENCE_END_EVENT)
			return 0;
		json_t *item = read_node(r, e);

		if (!item)
			return -1;
		json_array_append_new(list, item);
	}
}

// "<<: *base": what MAP does not have itself.
static int merge(struct reader *r, json_t *map, const json_t *from, struct err *e)
{
	size_t i;
	const json_t *item;

	if (json_is_object(from)) {
		json_object_update_missing(map, (json_t *)from);
		return 0;
	}
	if (!json_is_array(from))
		return fail_here(r, e, "map merge requires map or sequence of maps as the value");
	json_array_foreach(from, i, item)
	{
		if (!json_is_object(item))
			return fail_here(r, e,
					 "map merge requires map or sequence of maps as the value");
		json_object_update_missing(map, (json_t *)item);
	}
	return 0;
}

static int read_member(struct reader *r, json_t *map, json_t **ret_merge, struct err *e)
{
	bool merges = r->event.type == YAML_SCALAR_EVENT && !is_text(&r->event) &&
		      strcmp((const char *)r->event.data.scalar.value, "<<") == 0;
	json_t *key = read_node(r, e);
	auto_free char *name = key ? key_text(key) : NULL;

	json_decref(key);
	if (!key)
		return -1;
	if (!name)
		return fail_here(r, e, "a collection as key");
	if (r->unique && json_object_get(map, name))
		return fail_here(r, e, "duplicate key");
	if (next_event(r, e) < 0)
		return -1;
	json_t *value = read_node(r, e);

	if (!value)
		return -1;
	if (merges) {
		json_decref(*ret_merge);
		*ret_merge = value;
	} else {
		json_object_set_new(map, name, value);
	}
	return 0;
}

static int read_members(struct reader *r, json_t *map, struct err *e)
{
	json_t *from = NULL;
	int failed = 0;

	while (!failed) {
		failed = next_event(r, e);
		if (failed || r->event.type == YAML_MAPPING_END_EVENT)
			break;
		failed = read_member(r, map, &from, e);
	}
	if (!failed && from)
		failed = merge(r, map, from, e);
	json_decref(from);
	return failed;
}

static json_t *read_collection(struct reader *r, bool list, struct err *e)
{
	json_t *value = list ? json_array() : json_object();

	if (enter(r, e) < 0 || (list ? read_items(r, value, e) : read_members(r, value, e)) < 0) {
		json_decref(value);
		return NULL;
	}
	r->depth--;
	return value;
}

static const char *anchor_of(const yaml_event_t *ev)
{
	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		return (const char *)ev->data.scalar.anchor;
	case YAML_SEQUENCE_START_EVENT:
		return (const char *)ev->data.sequence_start.anchor;
	case YAML_MAPPING_START_EVENT:
		return (const char *)ev->data.mapping_start.anchor;
	default:
		return NULL;
	}
}

// The node that begins with the current event. New reference; NULL on failure.
static json_t *read_node(struct reader *r, struct err *e)
{
	const char *anchor = anchor_of(&r->event);
	auto_free char *name = anchor ? xstrdup(anchor) : NULL;
	size_t before = r->values;
	json_t *value = NULL;

	if (r->event.type == YAML_ALIAS_EVENT)
		return read_alias(r, e);
	if (count(r, 1, e) < 0)
		return NULL;
	if (r->event.type == YAML_SCALAR_EVENT)
		value = read_scalar(r, e);
	else
		value = read_collection(r, r->event.type == YAML_SEQUENCE_START_EVENT, e);
	if (value && name)
		keep_anchor(r, name, value, r->values - before);
	return value;
}

// ---- documents

static int read_document(struct reader *r,
			 int (*each)(void *arg, const struct json *root, struct err *e), void *arg,
			 struct err *e)
{
	struct json_doc doc = {0};
	int failed;

	if (next_event(r, e) < 0)
		return -1;
	doc.root = read_node(r, e);
	free_anchors(r);
	if (!doc.root)
		return -1;
	struct json root = json_root(&doc);

	failed = json_present(&root) ? each(arg, &root, e) : 0;
	json_release(&doc);
	return failed;
}

static int read_stream(struct reader *r,
		       int (*each)(void *arg, const struct json *root, struct err *e), void *arg,
		       struct err *e)
{
	for (;;) {
		if (next_event(r, e) < 0)
			return -1;
		if (r->event.type == YAML_STREAM_END_EVENT)
			return 0;
		if (r->event.type == YAML_DOCUMENT_START_EVENT &&
		    read_document(r, each, arg, e) < 0)
			return -1;
	}
}

int yaml_parse(struct str bytes, struct json_limits limits, unsigned flags,
	       int (*each)(void *arg, const struct json *root, struct err *e), void *arg,
	       struct err *e)
{
	struct reader r = {.limits = limits, .unique = flags & JSON_UNIQUE};

	if (bytes.n > limits.bytes)
		return err_set(e, ERR_INPUT, "more than %zu bytes of YAML", limits.bytes);
	if (!yaml_parser_initialize(&r.parser))
		abort(); // out of memory
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)bytes.p, bytes.n);
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	int failed = read_stream(&r, each, arg, e);

	drop_event(&r);
	free_anchors(&r);
	yaml_parser_delete(&r.parser);
	return failed;
}

// ---- writing

// The shortest text that is read back as V, in Go's 'g' form: an exponent from 1e+06 on.
static void put_real(struct yaml_out *y, double v)
{
	char text[64];
	int exponent;

	for (int digits = 0; digits < 17; digits++) {
		snprintf(text, sizeof(text), "%.*e", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	char *mark = strchr(text, 'e');

	exponent = (int)strtol(mark + 1, NULL, 10);
	if (exponent >= -4 && exponent < 6) {
		int width = (int)(mark - text) - (text[0] == '-'); // "1" or "1.25"
		int behind = (width > 2 ? width - 2 : 0) - exponent;

		snprintf(text, sizeof(text), "%.*f", behind > 0 ? behind : 0, v);
	}
	yaml_out_raw(y, text);
}

static void put_object(struct yaml_out *y, const struct json *at)
{
	size_t n;
	auto_free const char **names = json_sorted_names(at, &n);

	yaml_out_map(y);
	for (size_t i = 0; i < n; i++) {
		struct json member = json_member(at, names[i]);

		yaml_out_key(y, names[i]);
		yaml_out_json(y, &member);
	}
	yaml_out_end(y);
}

static void put_array(struct yaml_out *y, const struct json *at)
{
	size_t n = json_array_size(at->value);

	yaml_out_list(y);
	for (size_t i = 0; i < n; i++) {
		struct json item = json_item(at, i);

		yaml_out_json(y, &item);
	}
	yaml_out_end(y);
}

static void put_integer(struct yaml_out *y, json_int_t v)
{
	char text[32];

	snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, v);
	yaml_out_raw(y, text);
}

void yaml_out_json(struct yaml_out *y, const struct json *at)
{
	switch (json_typeof(at->value)) {
	case JSON_OBJECT:
		put_object(y, at);
		break;
	case JSON_ARRAY:
		put_array(y, at);
		break;
	case JSON_STRING:
		yaml_out_text(y, json_string_value(at->value));
		break;
	case JSON_INTEGER:
		put_integer(y, json_integer_value(at->value));
		break;
	case JSON_REAL:
		put_real(y, json_real_value(at->value));
		break;
	default:
		yaml_out_raw(y, json_is_true(at->value)    ? "true"
				: json_is_false(at->value) ? "false"
							   : "null");
	}
}
