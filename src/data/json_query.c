// SPDX-License-Identifier: Apache-2.0
// A small interpreter: the query is walked, and the document with it.
#include "data/json_query.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "data/json_copy.h"
#include "util/cleanup.h"
#include "util/mem.h"

enum { RANGES_MAX = 16, RESULTS_MAX = 100000 };

// Values that a path has led to. None of them knows where it was found.
struct values {
	struct json *v;
	size_t n, cap;
};

struct query {
	struct buf *out;
	struct json root;
	const char *at;
	bool template;
	unsigned ranges;
};

static int refuse(const struct query *q, const char *where, struct err *e)
{
	return err_set(e, ERR_USAGE,
		       "%s is not understood at '%.40s': paths, \"text\" and range are",
		       q->template ? "the template" : "the jsonpath", where);
}

static int add(struct values *to, struct json value, struct err *e)
{
	if (!json_exists(&value))
		return 0;
	if (to->n >= RESULTS_MAX)
		return err_set(e, ERR_USAGE, "the path matches more than %d values", RESULTS_MAX);
	vec_reserve(to->v, to->n, to->cap);
	to->v[to->n++] = (struct json){.value = value.value};
	return 0;
}

static int add_all(struct values *to, const struct json *at, struct err *e)
{
	size_t n = json_kind(at) == JSON_KIND_ARRAY ? json_size(at) : 0;

	for (size_t i = 0; i < n; i++)
		if (add(to, json_item(at, i), e) < 0)
			return -1;
	if (json_kind(at) != JSON_KIND_OBJECT)
		return 0;
	auto_free const char **names = json_sorted_names(at, &n);

	for (size_t i = 0; i < n; i++)
		if (add(to, json_member(at, names[i]), e) < 0)
			return -1;
	return 0;
}

// One step of a path: a name, a number, or everything.
struct step {
	char *name; // NULL: by number, or all
	bool all;
	long index;
};

static int take_step(struct values *to, const struct json *at, const struct step *step,
		     struct err *e)
{
	if (step->all)
		return add_all(to, at, e);
	if (step->name)
		return json_kind(at) == JSON_KIND_OBJECT ? add(to, json_member(at, step->name), e)
							 : 0;
	size_t n = json_kind(at) == JSON_KIND_ARRAY ? json_size(at) : 0;
	size_t i = (size_t)(step->index < 0 ? (long)n + step->index : step->index);

	return i < n ? add(to, json_item(at, i), e) : 0;
}

static int walk(struct values *values, const struct step *step, struct err *e)
{
	struct values next = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < values->n; i++)
		r = take_step(&next, &values->v[i], step, e);
	free(values->v);
	*values = next;
	return r;
}

static bool is_name(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '/';
}

// A name behind a dot; in jsonpath a backslash takes the next letter as it is.
static char *read_name(struct query *q)
{
	auto_buf struct buf b = BUF_INIT(BUF_TEXT_MAX);

	for (;; q->at++) {
		if (!q->template && *q->at == '\\' && q->at[1])
			q->at++;
		else if (!is_name(*q->at))
			break;
		buf_putc(&b, *q->at);
	}
	return buf_take(&b);
}

static int read_bracket(struct query *q, struct step *ret, struct err *e)
{
	const char *start = q->at++;
	char quote = *q->at;

	if (quote == '*') {
		ret->all = true;
		q->at++;
	} else if (quote == '\'' || quote == '"') {
		const char *end = strchr(q->at + 1, quote);

		if (!end)
			return refuse(q, start, e);
		ret->name = xstrndup(q->at + 1, (size_t)(end - q->at - 1));
		q->at = end + 1;
	} else if (quote == '-' || isdigit((unsigned char)quote)) {
		char *end;

		ret->index = strtol(q->at, &end, 10);
		q->at = end;
	} else {
		return refuse(q, start, e);
	}
	if (*q->at != ']')
		return refuse(q, start, e);
	q->at++;
	return 0;
}

static int read_step(struct query *q, struct step *ret, struct err *e)
{
	const char *start = q->at;

	*ret = (struct step){0};
	if (*q->at == '[')
		return q->template ? refuse(q, start, e) : read_bracket(q, ret, e);
	q->at++;
	if (!q->template && *q->at == '*') {
		q->at++;
		ret->all = true;
		return 0;
	}
	if (!is_name(*q->at) && *q->at != '\\')
		return refuse(q, start, e);
	ret->name = read_name(q);
	return 0;
}

// The values of the path that stands here, from DOT.
static int read_path(struct query *q, const struct json *dot, struct values *ret, struct err *e)
{
	struct step step;

	if (*q->at == '$') {
		q->at++;
		dot = &q->root;
	} else if (!q->template && *q->at == '@') {
		q->at++;
	} else if (*q->at != '.' && *q->at != '[') {
		return refuse(q, q->at, e);
	}
	if (add(ret, *dot, e) < 0)
		return -1;
	if (*q->at == '.' && !is_name(q->at[1]) && !strchr("*[\\.", q->at[1])) {
		q->at++; // the dot alone
		return 0;
	}
	if (*q->at == '.' && q->at[1] == '[')
		q->at++;
	while (*q->at == '.' || *q->at == '[') {
		int r = read_step(q, &step, e);

		if (r == 0)
			r = walk(ret, &step, e);
		free(step.name);
		if (r < 0)
			return -1;
	}
	return 0;
}

static void put_value(struct query *q, struct buf *out, const struct json *at)
{
	struct json_out j = {.out = out};
	enum json_kind kind = json_kind(at);

	if (!q->template && (kind == JSON_KIND_ARRAY || kind == JSON_KIND_OBJECT))
		json_copy_value(&j, at);
	else if (q->template && kind == JSON_KIND_NULL)
		buf_puts(out, "<no value>");
	else
		json_show_value(out, at);
}

static int put_path(struct query *q, const struct json *dot, bool mute, struct err *e)
{
	struct values values = {0};
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
	int r = read_path(q, dot, &values, e);

	for (size_t i = 0; r == 0 && i < values.n; i++) {
		buf_puts(&text, i ? " " : "");
		put_value(q, &text, &values.v[i]);
	}
	if (r == 0 && values.n == 0 && q->template)
		buf_puts(&text, "<no value>");
	free(values.v);
	if (r < 0 || mute)
		return r;
	return buf_add(q->out, text.p, text.n, e);
}

static int put_text(struct query *q, bool mute, struct err *e)
{
	static const char from[] = "nrt\\\"'", to[] = "\n\r\t\\\"'";
	const char *start = q->at;
	char quote = *q->at++;

	for (; *q->at && *q->at != quote; q->at++) {
		char c = *q->at;

		if (c == '\\' && quote != '`') {
			const char *known = q->at[1] ? strchr(from, q->at[1]) : NULL;

			if (!known)
				return refuse(q, q->at, e);
			c = to[known - from];
			q->at++;
		}
		if (!mute && buf_add(q->out, &c, 1, e) < 0)
			return -1;
	}
	if (!*q->at)
		return refuse(q, start, e);
	q->at++;
	return 0;
}

static void skip_blanks(struct query *q)
{
	while (*q->at == ' ' || *q->at == '\t' || *q->at == '\n')
		q->at++;
}

static size_t delimiter(const struct query *q)
{
	return q->template ? 2 : 1;
}

static bool is_close(const struct query *q)
{
	return q->template ? starts_with(q->at, "}}") : *q->at == '}';
}

static int close_action(struct query *q, struct err *e)
{
	skip_blanks(q);
	if (!is_close(q))
		return refuse(q, q->at, e);
	q->at += delimiter(q);
	return 0;
}

static bool take_word(struct query *q, const char *word)
{
	size_t n = strlen(word);

	if (strncmp(q->at, word, n) != 0 || is_name(q->at[n]))
		return false;
	q->at += n;
	return true;
}

static int run(struct query *q, const struct json *dot, bool mute, struct err *e);

static int repeat(struct query *q, const struct values *values, bool mute, struct err *e)
{
	const char *body = q->at;

	if (values->n == 0)
		return run(q, &q->root, true, e);
	for (size_t i = 0; i < values->n; i++) {
		q->at = body;
		if (run(q, &values->v[i], mute, e) < 0)
			return -1;
	}
	return 0;
}

static int run_range(struct query *q, const struct json *dot, bool mute, struct err *e)
{
	struct values values = {0}, items = {0};

	if (q->ranges >= RANGES_MAX)
		return err_set(e, ERR_USAGE, "ranges nested more than %d deep", RANGES_MAX);
	skip_blanks(q);
	int r = read_path(q, dot, &values, e);

	if (r == 0)
		r = close_action(q, e);
	// A range over one list is over its items; a path with a star has them already.
	for (size_t i = 0; r == 0 && i < values.n; i++)
		r = values.n == 1 && json_kind(&values.v[i]) != JSON_KIND_TEXT
			    ? add_all(&items, &values.v[i], e)
			    : add(&items, values.v[i], e);
	q->ranges++;
	if (r == 0)
		r = repeat(q, &items, mute, e);
	q->ranges--;
	free(values.v);
	free(items.v);
	return r;
}

// What stands between two delimiters. *ret_end: it was the end of a range.
static int run_action(struct query *q, const struct json *dot, bool mute, bool *ret_end,
		      struct err *e)
{
	const char *start = q->at;

	q->at += delimiter(q);
	skip_blanks(q);
	if (take_word(q, "range"))
		return run_range(q, dot, mute, e);
	if (take_word(q, "end")) {
		*ret_end = true;
		if (q->ranges == 0)
			return refuse(q, start, e);
		return close_action(q, e);
	}
	int r = *q->at == '"' || *q->at == (q->template ? '`' : '\'') ? put_text(q, mute, e)
								      : put_path(q, dot, mute, e);

	return r < 0 ? -1 : close_action(q, e);
}

// Up to the end of the range, or of everything.
static int run(struct query *q, const struct json *dot, bool mute, struct err *e)
{
	bool end = false;

	while (*q->at) {
		size_t n = q->template ? 0 : strcspn(q->at, "{");

		while (q->template && q->at[n] && !starts_with(q->at + n, "{{"))
			n++;
		if (!mute && buf_add(q->out, q->at, n, e) < 0)
			return -1;
		q->at += n;
		if (!*q->at)
			break;
		if (run_action(q, dot, mute, &end, e) < 0)
			return -1;
		if (end)
			return 0;
	}
	return q->ranges == 0 ? 0 : err_set(e, ERR_USAGE, "a range has no end");
}

int json_query(struct buf *ret, const struct json *root, const char *text,
	       enum json_query_syntax syntax, struct err *e)
{
	struct query q = {.out = ret,
			  .root = {.value = root->value},
			  .at = text,
			  .template = syntax == JSON_QUERY_TEMPLATE};

	return run(&q, &q.root, false, e);
}
