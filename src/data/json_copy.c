// SPDX-License-Identifier: Apache-2.0
// JSON written again as a Go struct prints it.
#include "data/json_copy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/gofmt.h"
#include "util/cleanup.h"

struct real {
	char s[400];
};

// The shortest decimal that reads back as V.
static struct real real_text(double v, double least)
{
	double size = v < 0 ? -v : v;
	bool plain = v == 0 || (size >= least && size < 1e21);
	struct real ret;

	for (int digits = 0; digits < 30; digits++) {
		snprintf(ret.s, sizeof(ret.s), plain ? "%.*f" : "%.*e", digits, v);
		double back = strtod(ret.s, NULL);

		if (back >= v && back <= v)
			break;
	}
	return ret;
}

static void copy_object(struct json_out *j, const struct json *at)
{
	size_t n;
	auto_free const char **names = json_sorted_names(at, &n);

	json_out_begin(j, '{');
	for (size_t i = 0; i < n; i++) {
		struct json member = json_member(at, names[i]);

		json_out_key(j, names[i]);
		json_copy_value(j, &member);
	}
	json_out_end(j, '}');
}

static void copy_array(struct json_out *j, const struct json *at)
{
	size_t n = json_size(at);

	json_out_begin(j, '[');
	for (size_t i = 0; i < n; i++) {
		struct json item = json_item(at, i);

		json_copy_value(j, &item);
	}
	json_out_end(j, ']');
}

void json_copy_value(struct json_out *j, const struct json *at)
{
	switch (json_kind(at)) {
	case JSON_KIND_NULL:
		json_out_raw(j, "null");
		break;
	case JSON_KIND_BOOL:
		json_out_bool(j, json_as_bool(at));
		break;
	case JSON_KIND_WHOLE:
		json_out_i64(j, json_as_whole(at));
		break;
	case JSON_KIND_REAL:
		json_out_raw(j, real_text(json_as_real(at), 1e-6).s);
		break;
	case JSON_KIND_TEXT:
		json_out_text(j, json_as_text(at));
		break;
	case JSON_KIND_ARRAY:
		copy_array(j, at);
		break;
	case JSON_KIND_OBJECT:
		copy_object(j, at);
		break;
	}
}

static void show_object(struct buf *out, const struct json *at)
{
	size_t n;
	auto_free const char **names = json_sorted_names(at, &n);

	buf_puts(out, "map[");
	for (size_t i = 0; i < n; i++) {
		struct json member = json_member(at, names[i]);

		buf_printf(out, "%s%s:", i ? " " : "", names[i]);
		json_show_value(out, &member);
	}
	buf_putc(out, ']');
}

static void show_array(struct buf *out, const struct json *at)
{
	size_t n = json_size(at);

	buf_putc(out, '[');
	for (size_t i = 0; i < n; i++) {
		struct json item = json_item(at, i);

		buf_puts(out, i ? " " : "");
		json_show_value(out, &item);
	}
	buf_putc(out, ']');
}

void json_show_value(struct buf *out, const struct json *at)
{
	switch (json_kind(at)) {
	case JSON_KIND_NULL:
		buf_puts(out, "<nil>");
		break;
	case JSON_KIND_BOOL:
		buf_puts(out, json_as_bool(at) ? "true" : "false");
		break;
	case JSON_KIND_WHOLE:
		buf_printf(out, "%" PRId64, json_as_whole(at));
		break;
	case JSON_KIND_REAL:
		buf_puts(out, real_text(json_as_real(at), 1e-4).s);
		break;
	case JSON_KIND_TEXT:
		buf_puts(out, json_as_text(at));
		break;
	case JSON_KIND_ARRAY:
		show_array(out, at);
		break;
	case JSON_KIND_OBJECT:
		show_object(out, at);
		break;
	}
}

// The member that is being copied.
struct copy {
	struct json_out *j;
	const struct json_field *field;
	const struct json *at;
};

static bool omits(const struct copy *c, bool zero)
{
	if (zero && (c->field->bits & JSON_OMIT))
		return true;
	json_out_key(c->j, c->field->name);
	return false;
}

static int copy_text(const struct copy *c, struct err *e)
{
	const char *text;

	if (json_text_or(c->at, "", &text, e) < 0)
		return -1;
	if (!omits(c, *text == '\0'))
		json_out_text(c->j, text);
	return 0;
}

static int copy_whole(const struct copy *c, struct err *e)
{
	enum json_kind kind = json_kind(c->at);
	int64_t v = json_as_whole(c->at);

	if (kind != JSON_KIND_WHOLE && kind != JSON_KIND_NULL)
		return json_fail(c->at, e, "not a whole number");
	if (omits(c, v == 0))
		return 0;
	if (kind == JSON_KIND_NULL)
		json_out_raw(c->j, "null");
	else
		json_out_i64(c->j, v);
	return 0;
}

static int copy_bool(const struct copy *c, struct err *e)
{
	enum json_kind kind = json_kind(c->at);

	if (kind != JSON_KIND_BOOL && kind != JSON_KIND_NULL)
		return json_fail(c->at, e, "not true or false");
	if (!omits(c, !json_as_bool(c->at)))
		json_out_bool(c->j, json_as_bool(c->at));
	return 0;
}

// Zeros at the end of the fraction go, and so does an offset of zero.
static void put_time(struct json_out *j, const char *text)
{
	auto_buf struct buf b = BUF_INIT(BUF_TEXT_MAX);
	size_t date = strlen("2006-01-02T15:04:05"), n = date, digits = 0;

	if (text[n] == '.')
		digits = strspn(text + n + 1, "0123456789");
	const char *zone = text + n + (digits ? digits + 1 : 0);

	while (digits > 0 && text[date + digits] == '0')
		digits--;
	buf_put(&b, text, date + (digits ? digits + 1 : 0));
	buf_puts(&b, strcmp(zone + 1, "00:00") == 0 ? "Z" : zone);
	json_out_text(j, b.p);
}

static int copy_time(const struct copy *c, struct err *e)
{
	bool meta = c->field->kind == JSON_FIELD_META_TIME;
	const char *text;
	int64_t seconds = 0;

	if (json_text_or(c->at, "", &text, e) < 0)
		return -1;
	if (*text && !gofmt_parse_time(str_of(text), &seconds))
		return json_fail(c->at, e, "not a time");
	if (omits(c, *text == '\0'))
		return 0;
	if (*text == '\0')
		json_out_raw(c->j, meta ? "null" : "\"0001-01-01T00:00:00Z\"");
	else if (meta)
		json_out_text(c->j, gofmt_time(seconds).s);
	else
		put_time(c->j, text);
	return 0;
}

static int copy_texts(const struct copy *c, struct err *e)
{
	size_t n;

	if (json_items(c->at, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct json item = json_item(c->at, i);
		const char *text;

		if (json_text_or(&item, "", &text, e) < 0)
			return -1;
	}
	if (omits(c, n == 0))
		return 0;
	if (!json_present(c->at)) {
		json_out_raw(c->j, "null");
		return 0;
	}
	json_out_begin(c->j, '[');
	for (size_t i = 0; i < n; i++) {
		struct json item = json_item(c->at, i);

		json_out_text(c->j, json_as_text(&item));
	}
	json_out_end(c->j, ']');
	return 0;
}

static int copy_entry(const struct copy *c, const char *name, struct err *e)
{
	struct json member = json_member(c->at, name);
	const char *text;

	json_out_key(c->j, name);
	if (c->field->kind == JSON_FIELD_SET) {
		json_out_begin(c->j, '{');
		json_out_end(c->j, '}');
		return 0;
	}
	if (json_text_or(&member, "", &text, e) < 0)
		return -1;
	json_out_text(c->j, text);
	return 0;
}

static int copy_map(const struct copy *c, struct err *e)
{
	size_t n;

	if (json_present(c->at) && json_need_object(c->at, e) < 0)
		return -1;
	if (omits(c, json_size(c->at) == 0))
		return 0;
	if (!json_present(c->at)) {
		json_out_raw(c->j, "null");
		return 0;
	}
	auto_free const char **names = json_sorted_names(c->at, &n);

	json_out_begin(c->j, '{');
	for (size_t i = 0; i < n; i++)
		if (copy_entry(c, names[i], e) < 0)
			return -1;
	json_out_end(c->j, '}');
	return 0;
}

static int copy_object_field(const struct copy *c, struct err *e)
{
	if (omits(c, !json_present(c->at)))
		return 0;
	return json_copy(c->j, c->at, c->field->sub, e);
}

static int copy_objects(const struct copy *c, struct err *e)
{
	size_t n;

	if (json_items(c->at, &n, e) < 0)
		return -1;
	if (omits(c, n == 0))
		return 0;
	if (!json_present(c->at)) {
		json_out_raw(c->j, "null");
		return 0;
	}
	json_out_begin(c->j, '[');
	for (size_t i = 0; i < n; i++) {
		struct json item = json_item(c->at, i);

		if (json_copy(c->j, &item, c->field->sub, e) < 0)
			return -1;
	}
	json_out_end(c->j, ']');
	return 0;
}

static int copy_any(const struct copy *c, struct err *e)
{
	(void)e;
	if (!omits(c, !json_present(c->at)))
		json_copy_value(c->j, c->at);
	return 0;
}

int json_copy_members(struct json_out *j, const struct json *at, const struct json_field *fields,
		      struct err *e)
{
	static int (*const copy[])(const struct copy *c, struct err *e) = {
		[JSON_FIELD_TEXT] = copy_text,
		[JSON_FIELD_WHOLE] = copy_whole,
		[JSON_FIELD_BOOL] = copy_bool,
		[JSON_FIELD_TIME] = copy_time,
		[JSON_FIELD_META_TIME] = copy_time,
		[JSON_FIELD_TEXTS] = copy_texts,
		[JSON_FIELD_TEXT_MAP] = copy_map,
		[JSON_FIELD_SET] = copy_map,
		[JSON_FIELD_OBJECT] = copy_object_field,
		[JSON_FIELD_OBJECTS] = copy_objects,
		[JSON_FIELD_ANY] = copy_any,
	};

	if (json_present(at) && json_need_object(at, e) < 0)
		return -1;
	for (const struct json_field *f = fields; f->kind != JSON_FIELD_END; f++) {
		struct json member = json_member(at, f->name);

		if (copy[f->kind](&(struct copy){j, f, &member}, e) < 0)
			return -1;
	}
	return 0;
}

int json_copy(struct json_out *j, const struct json *at, const struct json_field *fields,
	      struct err *e)
{
	json_out_begin(j, '{');
	if (json_copy_members(j, at, fields, e) < 0)
		return -1;
	json_out_end(j, '}');
	return 0;
}
