// SPDX-License-Identifier: Apache-2.0
// The flag parser.
#include "cmd/flags.h"

#include "data/gofmt.h"
#include "util/cleanup.h"
#include "util/mem.h"

#include <assert.h>
#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

void flag_sets_add(struct flag_sets *s, const struct flag *flags, void *base)
{
	assert(s->n < FLAG_SETS_MAX);
	s->v[s->n++] = (struct flag_set){flags, base};
}

void flag_sets_add_cmd(struct flag_sets *s, const struct cmd *cmd, void *options)
{
	for (const struct flag_group *g = cmd->groups; g && g->flags; g++)
		flag_sets_add(s, g->flags, (char *)options + g->base);
}

const struct flag *flag_find(const struct flag_sets *s, struct str name, void **ret_base)
{
	for (size_t i = 0; i < s->n; i++) {
		for (const struct flag *f = s->v[i].flags; f->type != FLAG_END; f++) {
			if (str_eqz(name, f->name)) {
				*ret_base = s->v[i].base;
				return f;
			}
		}
	}
	return NULL;
}

const struct flag *flag_find_letter(const struct flag_sets *s, char letter, void **ret_base)
{
	for (size_t i = 0; i < s->n; i++) {
		for (const struct flag *f = s->v[i].flags; f->type != FLAG_END; f++) {
			if (f->letter && f->letter == letter) {
				*ret_base = s->v[i].base;
				return f;
			}
		}
	}
	return NULL;
}

bool parse_bool(const char *text, bool *ret)
{
	static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True"};
	static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False"};

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
			*ret = strcmp(text, yes[i]) == 0;
			return true;
		}
	}
	return false;
}

// The base that a prefix asks for ("0x", "0o", "0b", "0"), as in Go source; moves *P behind it.
static int number_base(const char **p)
{
	if ((*p)[0] != '0' || (*p)[1] == '\0')
		return 10;
	int base = 8;
	size_t skip = 1;

	switch ((*p)[1]) {
	case 'x':
	case 'X':
		base = 16;
		skip = 2;
		break;
	case 'o':
	case 'O':
		skip = 2;
		break;
	case 'b':
	case 'B':
		base = 2;
		skip = 2;
		break;
	default:
		break;
	}
	*p += skip;
	return base;
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

bool parse_int(const char *text, int *ret, const char **ret_why)
{
	const char *p = text;
	bool negative = *p == '-', digits = false, over = false;

	*ret_why = "invalid syntax";
	if (*p == '-' || *p == '+')
		p++;
	const char *start = p;
	int base = number_base(&p);
	uint64_t value = 0;

	digits = p != start && base == 8 && start[1] != 'o' && start[1] != 'O';
	for (char before = p == start ? '\0' : '0'; *p; before = *p++) {
		if (*p == '_' && before && before != '_' && p[1]) // as in 1_000
			continue;
		int d = digit_value(*p);

		if (d >= base)
			return false;
		digits = true;
		over = over || value > (UINT64_MAX - (uint64_t)d) / (uint64_t)base;
		value = value * (uint64_t)base + (uint64_t)d;
	}
	if (!digits)
		return false;
	if (over || value > (uint64_t)INT64_MAX + negative) {
		*ret_why = "value out of range";
		return false;
	}
	if (value > INT_MAX)
		value = INT_MAX;
	*ret = negative ? -(int)value : (int)value;
	return true;
}

static int csv_error(size_t line, size_t column, const char *what, struct err *e)
{
	return err_set(e, ERR_USAGE, "parse error on line %zu, column %zu: %s", line, column, what);
}

// A field that starts with a quote; *P stands behind it. Ends behind the closing quote.
static int csv_quoted(struct buf *field, const char **p, const char *line, struct err *e)
{
	static const char why[] = "extraneous or missing \" in quoted-field";

	for (;;) {
		char c = **p;

		if (c == '\0')
			return csv_error(1, (size_t)(*p - line) + 1, why, e);
		++*p;
		if (c != '"') {
			buf_putc(field, c);
		} else if (**p == '"') {
			buf_putc(field, '"');
			++*p;
		} else if (**p == ',' || **p == '\0' || **p == '\n' || strcmp(*p, "\r\n") == 0) {
			return 0;
		} else {
			return csv_error(1, (size_t)(*p - line), why, e);
		}
	}
}

static int csv_bare(struct buf *field, const char **p, const char *line, struct err *e)
{
	for (; **p && **p != ',' && **p != '\n'; ++*p) {
		if (**p == '"')
			return csv_error(1, (size_t)(*p - line) + 1, "bare \" in non-quoted field",
					 e);
		buf_putc(field, **p);
	}
	if (**p == '\n' && field->n > 0 && field->p[field->n - 1] == '\r')
		field->p[--field->n] = '\0';
	return 0;
}

int csv_split(struct strlist *ret, const char *text, struct err *e)
{
	if (*text == '\0')
		return 0;
	const char *line = text + strspn(text, "\n");

	if (*line == '\0')
		return err_set(e, ERR_USAGE, "EOF");
	for (const char *p = line;; p++) {
		auto_buf struct buf field = BUF_INIT(BUF_TEXT_MAX);
		bool quoted = *p == '"';

		p += quoted;
		if ((quoted ? csv_quoted(&field, &p, line, e) : csv_bare(&field, &p, line, e)) < 0)
			return -1;
		strlist_take(ret, buf_take(&field));
		if (*p != ',')
			return 0; // only the first record counts
	}
}

// `invalid argument "x" for "-a, --all" flag: WHY`.
static int bad_value(const struct flag *f, const char *value, const char *why, struct err *e)
{
	auto_free char *quoted = gofmt_quote(str_of(value));
	char letter[] = {'-', f->letter, ',', ' ', '\0'};

	return err_set(e, ERR_USAGE, "invalid argument %s for \"%s--%s\" flag: %s", quoted,
		       f->letter ? letter : "", f->name, why);
}

static int bad_number(const struct flag *f, const char *value, const char *fn, const char *why,
		      struct err *e)
{
	auto_free char *quoted = gofmt_quote(str_of(value));
	auto_free char *text = xasprintf("strconv.%s: parsing %s: %s", fn, quoted, why);

	return bad_value(f, value, text, e);
}

static int flag_set(const struct flag *f, void *base, const char *value, struct err *e)
{
	void *member = (char *)base + f->offset;
	bool keep = !(f->bits & FLAG_IGNORED), yes = false;
	const char *why;
	int number = 0;

	switch (f->type) {
	case FLAG_BOOL:
		if (!parse_bool(value, &yes))
			return bad_number(f, value, "ParseBool", "invalid syntax", e);
		if (keep)
			*(bool *)member = yes;
		break;
	case FLAG_INT:
		if (!parse_int(value, &number, &why))
			return bad_number(f, value, "ParseInt", why, e);
		if (keep)
			*(int *)member = number;
		break;
	case FLAG_STRING:
		if (keep)
			*(const char **)member = value;
		break;
	case FLAG_LIST:
		if (keep && csv_split(member, value, e) < 0) {
			struct err why_not = *e;

			return bad_value(f, value, why_not.text, e);
		}
		break;
	case FLAG_END:
		break;
	}
	if (keep && f->given)
		*(bool *)((char *)base + f->given) = true;
	return 0;
}

// What is left to parse, and where arguments are gathered.
struct parser {
	const struct flag_sets *sets;
	char **argv;
	int at, argc; // next to read, end
	int kept;     // arguments so far, in argv[0 .. kept)
	bool help;
};

static const char *next_value(struct parser *p)
{
	return p->at < p->argc ? p->argv[p->at++] : NULL;
}

static int hint_blanks(const struct flag *f, struct err *e)
{
	return err_hint(e, "hint: write '--%s%s' without blanks around '='", f->name,
			f->type == FLAG_BOOL ? "=true" : "=VALUE");
}

// `--to = x`: pflag would take "=" for the value and mirror to a folder or registry named so.
static int equals_apart(const struct flag *f, struct err *e)
{
	err_set(e, ERR_USAGE, "flag needs an argument: --%s", f->name);
	return hint_blanks(f, e);
}

static int suggest_flag(const struct parser *p, struct str name, struct err *e)
{
	auto_free char *wrong = xstrndup(name.p, name.n < 64 ? name.n : 64);
	const char *best = NULL;
	unsigned least = (unsigned)strlen(wrong) / 3 + 1;

	for (size_t i = 0; i < p->sets->n; i++) {
		for (const struct flag *f = p->sets->v[i].flags; f->type != FLAG_END; f++) {
			unsigned d = edit_distance(wrong, f->name);

			if (d < least && !(f->bits & FLAG_HIDDEN)) {
				least = d;
				best = f->name;
			}
		}
	}
	err_set(e, ERR_USAGE, "unknown flag: --%.*s", STR_FMT(name));
	return best ? err_hint(e, "hint: did you mean --%s?", best) : -1;
}

static int parse_long(struct parser *p, const char *word, struct err *e)
{
	struct str rest = str_of(word + 2);

	if (rest.n == 0 || *rest.p == '-' || *rest.p == '=')
		return err_set(e, ERR_USAGE, "bad flag syntax: %s", word);
	struct str name = str_cut(&rest, '=');
	const char *value = rest.p;
	void *base;
	const struct flag *f = flag_find(p->sets, name, &base);

	if (!f && str_eqz(name, "help")) {
		p->help = true;
		return 0;
	}
	if (!f)
		return suggest_flag(p, name, e);
	if (!value && f->type == FLAG_BOOL)
		value = "true";
	else if (!value && p->at < p->argc && p->argv[p->at][0] == '=')
		return equals_apart(f, e);
	else if (!value)
		value = next_value(p);
	if (!value)
		return err_set(e, ERR_USAGE, "flag needs an argument: %s", word);
	if (flag_set(f, base, value, e) < 0)
		return *value ? -1 : hint_blanks(f, e); // `--max-components= 2`
	if (f->type == FLAG_BOOL && !rest.p && p->at < p->argc && strcmp(p->argv[p->at], "=") == 0)
		return equals_apart(f, e);
	return 0;
}

static int bad_letter(const char *what, const char *letters, struct err *e)
{
	unsigned char c = (unsigned char)*letters;

	if (c >= 0x20 && c < 0x7f)
		return err_set(e, ERR_USAGE, "%s: '%s%c' in -%s", what,
			       c == '\'' || c == '\\' ? "\\" : "", c, letters);
	return err_set(e, ERR_USAGE, "%s: '\\x%02x' in -%s", what, c, letters);
}

static int parse_short(struct parser *p, const char *letters, struct err *e)
{
	while (*letters) {
		void *base;
		const struct flag *f = flag_find_letter(p->sets, *letters, &base);
		const char *value, *rest = "";

		if (!f && *letters == 'h') {
			p->help = true;
			return 0;
		}
		if (!f)
			return bad_letter("unknown shorthand flag", letters, e);
		if (letters[1] == '=' && letters[2]) {
			value = letters + 2;
		} else if (f->type == FLAG_BOOL) {
			value = "true";
			rest = letters + 1;
		} else if (letters[1]) {
			value = letters + 1;
		} else {
			value = next_value(p);
		}
		if (!value)
			return bad_letter("flag needs an argument", letters, e);
		if (flag_set(f, base, value, e) < 0)
			return -1;
		letters = rest;
	}
	return 0;
}

int flags_parse(const struct flag_sets *s, int argc, char **argv, int *ret_argc, bool *ret_help,
		struct err *e)
{
	struct parser p = {.sets = s, .argv = argv, .argc = argc};

	while (p.at < p.argc && !p.help) {
		char *word = p.argv[p.at++];

		if (word[0] != '-' || word[1] == '\0') {
			argv[p.kept++] = word;
		} else if (strcmp(word, "--") == 0) {
			while (p.at < p.argc)
				argv[p.kept++] = argv[p.at++];
		} else if ((word[1] == '-' ? parse_long(&p, word, e)
					   : parse_short(&p, word + 1, e)) < 0) {
			return -1;
		}
	}
	*ret_argc = p.kept;
	*ret_help = p.help;
	return 0;
}

void flags_release(const struct flag_sets *s)
{
	for (size_t i = 0; i < s->n; i++)
		for (const struct flag *f = s->v[i].flags; f->type != FLAG_END; f++)
			if (f->type == FLAG_LIST && !(f->bits & FLAG_IGNORED))
				strlist_release(
					(struct strlist *)((char *)s->v[i].base + f->offset));
}

// Does WORD, a flag, take the next word as its value?
static bool takes_next(const struct flag_sets *s, const char *word)
{
	const struct flag *f;
	void *base;

	if (strchr(word, '='))
		return false;
	if (word[1] == '-')
		f = flag_find(s, str_of(word + 2), &base);
	else
		f = word[2] == '\0' ? flag_find_letter(s, word[1], &base) : NULL;
	return f && f->type != FLAG_BOOL;
}

int flags_first_argument(const struct flag_sets *s, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0)
			return -1;
		if (argv[i][0] != '-' || argv[i][1] == '\0')
			return i;
		if (takes_next(s, argv[i]))
			i++;
	}
	return -1;
}

unsigned edit_distance(const char *a, const char *b)
{
	enum { MAX = 64 };
	unsigned rows[3][MAX + 1];
	size_t na = strnlen(a, MAX), nb = strnlen(b, MAX);

	for (size_t j = 0; j <= nb; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		unsigned *row = rows[i % 3], *above = rows[(i - 1) % 3], *two = rows[(i + 1) % 3];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned best = above[j - 1] + (a[i - 1] != b[j - 1]);

			best = above[j] + 1 < best ? above[j] + 1 : best;
			best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    two[j - 2] + 1 < best)
				best = two[j - 2] + 1;
			row[j] = best;
		}
	}
	return rows[na % 3][nb];
}
