// SPDX-License-Identifier: Apache-2.0
// YAML in block style, as sigs.k8s.io/yaml prints it.
#include "data/yaml_out.h"

#include "data/gofmt.h"
#include "util/mem.h"

#include <assert.h>
#include <string.h>

// Text that passes this column goes on in the next line where it has a blank.
enum { BEST_WIDTH = 80, INDENT = 2 };

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static size_t digits(struct str s, size_t at)
{
	size_t n = 0;

	while (at + n < s.n && is_digit(s.p[at + n]))
		n++;
	return n;
}

static bool is_keyword(struct str s)
{
	static const char *const words[] = {
		"y",     "Y",     "yes",   "Yes",   "YES",   "true",  "True",  "TRUE",
		"on",    "On",    "ON",    "n",     "N",     "no",    "No",    "NO",
		"false", "False", "FALSE", "off",   "Off",   "OFF",   "",      "~",
		"null",  "Null",  "NULL",  ".nan",  ".NaN",  ".NAN",  ".inf",  ".Inf",
		".INF",  "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", "<<",
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (str_eqz(s, words[i]))
			return true;
	return false;
}

// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
static bool is_float(struct str s)
{
	size_t i = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+');
	size_t whole = digits(s, i), part = 0;

	i += whole;
	if (i < s.n && s.p[i] == '.') {
		part = digits(s, ++i);
		i += part;
	}
	if (whole + part == 0)
		return false;
	if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
		i++;
		i += i < s.n && (s.p[i] == '-' || s.p[i] == '+');
		size_t n = digits(s, i);

		if (n == 0)
			return false;
		i += n;
	}
	return i == s.n;
}

static unsigned digit_value(char c)
{
	if (is_digit(c))
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a' + 10);
	if (c >= 'A' && c <= 'F')
		return (unsigned)(c - 'A' + 10);
	return 99;
}

// 0x1f, 0o17, 0b1, with a sign in front.
static bool is_based_integer(struct str s)
{
	size_t i = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+');

	if (s.n < i + 3 || s.p[i] != '0')
		return false;
	char c = s.p[i + 1];
	unsigned base = c == 'x' || c == 'X'   ? 16
			: c == 'o' || c == 'O' ? 8
			: c == 'b' || c == 'B' ? 2
					       : 0;

	for (i += 2; i < s.n; i++)
		if (digit_value(s.p[i]) >= base)
			return false;
	return base != 0;
}

// Numbers to base 60 (1:30:00): not read any more, but still quoted for those who would.
static bool is_base60(struct str s)
{
	size_t i = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+'), groups = 0;

	if (digits(s, i) == 0)
		return false;
	while (i < s.n && (is_digit(s.p[i]) || s.p[i] == '_'))
		i++;
	while (i < s.n && s.p[i] == ':') {
		size_t n = digits(s, i + 1);

		if (n == 0 || n > 2 || (n == 2 && s.p[i + 1] > '5'))
			return false;
		i += 1 + n;
		groups++;
	}
	if (i < s.n && s.p[i] == '.')
		for (i++; i < s.n && (is_digit(s.p[i]) || s.p[i] == '_');)
			i++;
	return groups > 0 && i == s.n;
}

// 2006-1-2, alone or with a time behind it.
static bool is_timestamp(struct str s)
{
	size_t month = digits(s, 5), day = month ? digits(s, 5 + month + 1) : 0;
	size_t end = 5 + month + 1 + day;

	if (digits(s, 0) != 4 || s.p[4] != '-' || month < 1 || month > 2 || day < 1 || day > 2 ||
	    s.p[5 + month] != '-')
		return false;
	return end == s.n ||
	       ((s.p[end] == 'T' || s.p[end] == 't' || s.p[end] == ' ') && digits(s, end + 1) > 0);
}

static bool is_number(struct str s)
{
	auto_buf struct buf plain = BUF_INIT(BUF_TEXT_MAX);

	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != '_')
			buf_putc(&plain, s.p[i]);
	return is_float(buf_str(&plain)) || is_based_integer(buf_str(&plain));
}

// Would this be read as something else than text when it stood there without quotes?
static bool reads_as_other(struct str s)
{
	if (is_keyword(s))
		return true;
	if (!is_digit(s.p[0]) && s.p[0] != '+' && s.p[0] != '-' && s.p[0] != '.')
		return false;
	if (s.n > 100) // longer than any number or time
		return false;
	return is_number(s) || is_base60(s) || is_timestamp(s);
}

static bool is_blank_or_end(struct str s, size_t i)
{
	return i >= s.n || strchr(" \t\r\n", s.p[i]) != NULL;
}

// U+2028 and U+2029 end lines in YAML 1.1, so they are escaped, too.
static bool printable(uint32_t c)
{
	if (c == 0x2028 || c == 0x2029 || c == 0xfeff)
		return false;
	return c == '\n' || (c >= 0x20 && c < 0x7f) || (c >= 0xa0 && c < 0xfffe) || c >= 0x10000;
}

struct looks {
	bool indicators; // would be taken for syntax
	bool special;    // only an escape can say it
	bool edge_blank; // a blank or a line end first or last
	bool blank_last;
	bool break_blank; // a line end and a blank beside each other
	bool blank_break;
	bool lines;
};

static bool is_indicator(struct str s, size_t i)
{
	char c = s.p[i];

	if (i == 0 && c && strchr("#,[]{}&*!|>'\"%@`", c))
		return true;
	if (i == 0 && (c == '?' || c == '-'))
		return is_blank_or_end(s, 1);
	if (c == ':')
		return is_blank_or_end(s, i + 1);
	return c == '#' && i > 0 && is_blank_or_end(s, i - 1);
}

static struct looks look_at(struct str s)
{
	struct looks l = {
		.indicators = str_starts(s, STR("---")) || str_starts(s, STR("...")),
		.edge_blank = strchr(" \n", s.p[0]) || strchr(" \n", s.p[s.n - 1]),
		.blank_last = s.p[s.n - 1] == ' ',
	};

	for (size_t i = 0; i < s.n;) {
		uint32_t c;
		size_t n = utf8_decode((struct str){s.p + i, s.n - i}, &c);
		char next = i + 1 < s.n ? s.p[i + 1] : 'x';

		l.special = l.special || n == 0 || !printable(c);
		l.indicators = l.indicators || is_indicator(s, i);
		l.lines = l.lines || s.p[i] == '\n';
		l.break_blank = l.break_blank || (s.p[i] == '\n' && next == ' ');
		l.blank_break = l.blank_break || (s.p[i] == ' ' && next == '\n');
		i += n ? n : 1;
	}
	return l;
}

enum yaml_style yaml_style_of(struct str s)
{
	if (s.n == 0)
		return YAML_DOUBLE;
	struct looks l = look_at(s);
	bool single = !l.special && !l.break_blank && !l.blank_break;

	if (l.lines)
		return l.special || l.blank_break || l.blank_last ? YAML_DOUBLE : YAML_LITERAL;
	if (reads_as_other(s))
		return YAML_DOUBLE;
	if (!l.indicators && !l.special && !l.edge_blank)
		return YAML_PLAIN;
	return single ? YAML_SINGLE : YAML_DOUBLE;
}

static void put_indent(struct yaml_out *y, unsigned n)
{
	while (n-- > 0)
		buf_putc(y->out, ' ');
}

// What a long text looks like on its way out. COLUMN counts code points, as the reference does.
struct fold {
	struct yaml_out *y;
	struct str s;
	unsigned column, indent;
	bool may; // keys are never folded
};

// Does the blank at I become a line end?
static bool folds_at(const struct fold *f, size_t i)
{
	return f->may && i > 0 && i + 1 < f->s.n && f->s.p[i - 1] != ' ' && f->column > BEST_WIDTH;
}

static void fold_line(struct fold *f)
{
	buf_putc(f->y->out, '\n');
	put_indent(f->y, f->indent);
	f->column = f->indent;
}

static void put_code_point(struct fold *f, size_t i, size_t n)
{
	buf_put(f->y->out, f->s.p + i, n);
	f->column++;
}

static size_t length_at(struct str s, size_t i, uint32_t *c)
{
	size_t n = utf8_decode((struct str){s.p + i, s.n - i}, c);

	return n ? n : 1;
}

static void put_plain(struct fold *f)
{
	uint32_t c;

	for (size_t i = 0, n; i < f->s.n; i += n) {
		n = length_at(f->s, i, &c);
		if (f->s.p[i] == ' ' && folds_at(f, i) && f->s.p[i + 1] != ' ')
			fold_line(f);
		else
			put_code_point(f, i, n);
	}
}

static void put_single(struct fold *f)
{
	uint32_t c;

	buf_putc(f->y->out, '\'');
	f->column++;
	for (size_t i = 0, n; i < f->s.n; i += n) {
		n = length_at(f->s, i, &c);
		if (f->s.p[i] == ' ' && folds_at(f, i) && f->s.p[i + 1] != ' ') {
			fold_line(f);
			continue;
		}
		if (f->s.p[i] == '\'') {
			buf_putc(f->y->out, '\'');
			f->column++;
		}
		put_code_point(f, i, n);
	}
	buf_putc(f->y->out, '\'');
}

static void put_escape(struct fold *f, uint32_t c)
{
	static const struct {
		uint32_t c;
		char name;
	} named[] = {{0, '0'},     {'\a', 'a'}, {'\b', 'b'}, {'\t', 't'},   {'\n', 'n'},
		     {'\v', 'v'},  {'\f', 'f'}, {'\r', 'r'}, {0x1b, 'e'},   {'"', '"'},
		     {'\\', '\\'}, {0x85, 'N'}, {0xa0, '_'}, {0x2028, 'L'}, {0x2029, 'P'}};
	size_t before = f->y->out->n;

	for (size_t i = 0; i < ARRAY_SIZE(named); i++)
		if (named[i].c == c) {
			buf_printf(f->y->out, "\\%c", named[i].name);
			f->column += 2;
			return;
		}
	buf_printf(f->y->out, c <= 0xff ? "\\x%02X" : c <= 0xffff ? "\\u%04X" : "\\U%08X", c);
	f->column += (unsigned)(f->y->out->n - before);
}

static void put_double(struct fold *f)
{
	uint32_t c;

	buf_putc(f->y->out, '"');
	f->column++;
	for (size_t i = 0, n; i < f->s.n; i += n) {
		n = length_at(f->s, i, &c);
		if (!printable(c) || c == '\n' || c == '"' || c == '\\') {
			put_escape(f, c);
		} else if (c == ' ' && folds_at(f, i)) {
			fold_line(f);
			if (f->s.p[i + 1] == ' ')
				buf_putc(f->y->out, '\\');
		} else {
			put_code_point(f, i, n);
		}
	}
	buf_putc(f->y->out, '"');
}

static void put_literal(struct fold *f)
{
	struct str rest = f->s;
	size_t ends = 0;

	while (ends < rest.n && rest.p[rest.n - 1 - ends] == '\n')
		ends++;
	buf_putc(f->y->out, '|');
	if (rest.p[0] == ' ' || rest.p[0] == '\n')
		buf_printf(f->y->out, "%d", INDENT);
	if (ends == 0)
		buf_putc(f->y->out, '-');
	else if (ends > 1 || rest.n == 1)
		buf_putc(f->y->out, '+');
	if (ends > 0)
		rest.n--; // the caller ends the line
	while (rest.p) {
		struct str line = str_cut(&rest, '\n');

		buf_putc(f->y->out, '\n');
		if (line.n > 0)
			put_indent(f->y, f->indent);
		buf_put(f->y->out, line.p, line.n);
	}
}

static unsigned column_of(const struct buf *b)
{
	const char *line = b->n ? memrchr(b->p, '\n', b->n) : NULL;
	unsigned n = 0;

	for (const char *c = line ? line + 1 : b->p; *c; c++)
		n += (*c & 0xc0) != 0x80;
	return n;
}

static void put_text(struct yaml_out *y, struct str s, bool key)
{
	struct fold f = {.y = y, .s = s, .column = column_of(y->out), .may = !key};
	enum yaml_style style = yaml_style_of(s);

	f.indent = y->depth > 0 ? y->level[y->depth - 1].indent + INDENT : INDENT;
	if (style == YAML_PLAIN)
		put_plain(&f);
	else if (style == YAML_SINGLE)
		put_single(&f);
	else if (style == YAML_LITERAL && !key)
		put_literal(&f);
	else
		put_double(&f);
}

// Comes to where a key or an item of the innermost collection begins.
static void start_entry(struct yaml_out *y)
{
	struct yaml_level *l = &y->level[y->depth - 1];

	if (!l->filled && l->in_list)
		buf_putc(y->out, ' ');
	else if (!l->filled && y->depth > 1)
		buf_putc(y->out, '\n');
	if (l->filled || !l->in_list)
		put_indent(y, l->indent);
	l->filled = true;
}

// Comes to where a value begins: behind its key, or behind the dash that it writes itself.
static void start_value(struct yaml_out *y)
{
	if (y->depth == 0)
		return;
	if (y->level[y->depth - 1].list) {
		start_entry(y);
		buf_putc(y->out, '-');
	} else {
		assert(y->keyed);
	}
	y->keyed = false;
}

static void open_level(struct yaml_out *y, bool list)
{
	start_value(y);
	assert(y->depth < YAML_OUT_DEPTH);
	struct yaml_level *up = y->depth > 0 ? &y->level[y->depth - 1] : NULL;
	struct yaml_level *l = &y->level[y->depth++];

	*l = (struct yaml_level){.list = list, .in_list = up && up->list};
	if (up)
		l->indent = up->indent + (up->list || !list ? INDENT : 0);
}

void yaml_out_map(struct yaml_out *y)
{
	open_level(y, false);
}

void yaml_out_list(struct yaml_out *y)
{
	open_level(y, true);
}

void yaml_out_end(struct yaml_out *y)
{
	assert(y->depth > 0 && !y->keyed);
	struct yaml_level *l = &y->level[--y->depth];

	if (!l->filled)
		buf_printf(y->out, "%s%s\n", y->depth > 0 ? " " : "", l->list ? "[]" : "{}");
}

void yaml_out_key(struct yaml_out *y, const char *key)
{
	assert(y->depth > 0 && !y->level[y->depth - 1].list && !y->keyed);
	start_entry(y);
	put_text(y, str_of(key), true);
	buf_putc(y->out, ':');
	y->keyed = true;
}

void yaml_out_text(struct yaml_out *y, const char *text)
{
	start_value(y);
	if (y->depth > 0)
		buf_putc(y->out, ' ');
	put_text(y, str_of(text), false);
	buf_putc(y->out, '\n');
}

void yaml_out_raw(struct yaml_out *y, const char *plain)
{
	start_value(y);
	buf_printf(y->out, "%s%s\n", y->depth > 0 ? " " : "", plain);
}
