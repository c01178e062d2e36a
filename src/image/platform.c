// SPDX-License-Identifier: Apache-2.0
// Platforms, and the filter: the reference's regular expressions rewritten for regcomp.
#include "image/platform.h"

#include "util/mem.h"
#include "util/str.h"

#include <ctype.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

// Repeats are expanded when the expression is compiled: their product is bounded as in Go, and the
// length of the pattern bounds the rest.
enum { PATTERN_MAX = 1000, REPEAT_MAX = 1000, DEPTH_MAX = 100, MATCH_MAX = 1000 };

struct platform_filter {
	bool all;
	regex_t regex;
};

// The pattern on its way from Go's syntax to POSIX extended.
struct rewrite {
	struct str in;
	size_t at;
	struct buf out;
	unsigned depth;
	unsigned long repeats; // product of all counted repeats
	bool repeatable;       // something stands before that a repeat can act on
	bool repeated;         // and it has been repeated already
	bool ignore_case;
};

static int bad(struct err *e, const char *why, struct str where)
{
	return err_set(e, ERR_INPUT,
		       "--filter-by-os was not a valid regular expression: error parsing regexp: "
		       "%s: `%.*s`",
		       why, STR_FMT(where));
}

static struct str from(const struct rewrite *r, size_t at)
{
	return (struct str){r->in.p + at, r->in.n - at};
}

static bool next_is(const struct rewrite *r, const char *text)
{
	return str_starts(from(r, r->at), str_of(text));
}

// A set of ASCII characters, as a bracket or an escape names it.
struct set {
	bool has[128];
};

static void set_add(struct set *s, const char *chars)
{
	for (; *chars; chars++)
		s->has[(unsigned char)*chars] = true;
}

static void set_range(struct set *s, int from_c, int to_c)
{
	for (int c = from_c; c <= to_c; c++)
		s->has[c] = true;
}

// The members of \d, \s, \w (and \D, \S, \W) into S; false for any other letter.
static bool set_class(struct set *s, char letter)
{
	struct set members = {{false}};
	bool negated = letter >= 'A' && letter <= 'Z';

	switch (letter | 0x20) {
	case 'd':
		set_range(&members, '0', '9');
		break;
	case 'w':
		set_range(&members, '0', '9');
		set_range(&members, 'a', 'z');
		set_range(&members, 'A', 'Z');
		set_add(&members, "_");
		break;
	case 's':
		set_add(&members, "\t\n\f\r ");
		break;
	default:
		return false;
	}
	for (int c = 1; c < 128; c++)
		s->has[c] = s->has[c] || members.has[c] != negated;
	return true;
}

// "[:alpha:]" at the cursor; moves behind it.
static bool set_named(struct rewrite *r, struct set *s)
{
	static const struct {
		const char *name;
		int (*is)(int c);
	} names[] = {{"[:alnum:]", isalnum}, {"[:alpha:]", isalpha},  {"[:digit:]", isdigit},
		     {"[:lower:]", islower}, {"[:upper:]", isupper},  {"[:punct:]", ispunct},
		     {"[:space:]", isspace}, {"[:xdigit:]", isxdigit}};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!next_is(r, names[i].name))
			continue;
		for (int c = 1; c < 128; c++)
			s->has[c] = s->has[c] || names[i].is(c);
		r->at += strlen(names[i].name);
		return true;
	}
	return false;
}

// Writes S as a bracket expression; the characters that mean something there stand where they do
// not.
static void put_set(struct buf *out, const struct set *s, bool negated)
{
	bool any = false;

	for (int c = 1; c < 128; c++)
		any = any || (s->has[c] && c != '^');
	if (!any && !negated) {
		buf_puts(out, s->has['^'] ? "\\^" : "[^\001-\177]");
		return;
	}
	buf_puts(out, negated ? "[^" : "[");
	size_t start = out->n;

	if (s->has[']'])
		buf_putc(out, ']');
	for (int c = 1; c < 128; c++)
		if (s->has[c] && !strchr("]^-[", c))
			buf_putc(out, (char)c);
	if (s->has['['])
		buf_putc(out, '[');
	bool leads = out->n == start;

	for (const char *c = leads ? "-^" : "^-"; *c; c++)
		if (s->has[(unsigned char)*c])
			buf_putc(out, *c);
	buf_putc(out, ']');
}

// One character of a bracket, escapes resolved.
static int set_char(struct rewrite *r, int *ret, struct err *e)
{
	static const char from_c[] = "nrtfva", to_c[] = "\n\r\t\f\v\a";
	char c = r->in.p[r->at++];

	if (c & 0x80)
		return bad(e, "only ASCII is understood in a character class", from(r, r->at - 1));
	if (c == '\\') {
		if (r->at == r->in.n)
			return bad(e, "missing closing ]", from(r, r->at - 1));
		c = r->in.p[r->at++];
		const char *at = strchr(from_c, c);

		if (at)
			c = to_c[at - from_c];
		else if (!ispunct((unsigned char)c))
			return bad(e, "invalid escape sequence",
				   (struct str){r->in.p + r->at - 2, 2});
	}
	*ret = (unsigned char)c;
	return 0;
}

static int set_item(struct rewrite *r, struct set *s, struct err *e)
{
	size_t start = r->at;
	int low, high;

	if (set_named(r, s))
		return 0;
	if (next_is(r, "\\") && r->at + 1 < r->in.n && set_class(s, r->in.p[r->at + 1])) {
		r->at += 2;
		return 0;
	}
	if (set_char(r, &low, e) < 0)
		return -1;
	high = low;
	if (next_is(r, "-") && r->at + 1 < r->in.n && r->in.p[r->at + 1] != ']') {
		r->at++;
		if (set_char(r, &high, e) < 0)
			return -1;
	}
	if (high < low)
		return bad(e, "invalid character class range",
			   (struct str){r->in.p + start, r->at - start});
	set_range(s, low, high);
	return 0;
}

static int rewrite_bracket(struct rewrite *r, struct err *e)
{
	struct set s = {{false}};
	size_t start = r->at++;
	bool negated = next_is(r, "^");

	r->at += negated;
	for (bool first = true; first || !next_is(r, "]"); first = false) {
		if (r->at == r->in.n)
			return bad(e, "missing closing ]", from(r, start));
		if (set_item(r, &s, e) < 0)
			return -1;
	}
	r->at++;
	put_set(&r->out, &s, negated);
	return 0;
}

static int rewrite_escape(struct rewrite *r, struct err *e)
{
	struct set s = {{false}};

	if (r->at + 1 == r->in.n)
		return bad(e, "trailing backslash at end of expression", (struct str){"", 0});
	char c = r->in.p[r->at + 1];

	if (set_class(&s, c))
		put_set(&r->out, &s, false);
	else if (c == 'A' || c == 'z')
		buf_putc(&r->out, c == 'A' ? '^' : '$');
	else if (c == 'b' || c == 'B')
		buf_printf(&r->out, "\\%c", c);
	else if (ispunct((unsigned char)c) && !strchr("<>`'", c))
		buf_printf(&r->out, strchr(".[]()*+?{}|^$\\", c) ? "\\%c" : "%c", c);
	else if (ispunct((unsigned char)c))
		buf_putc(&r->out, c);
	else
		return bad(e, "invalid escape sequence", (struct str){r->in.p + r->at, 2});
	r->at += 2;
	return 0;
}

// "(", "(?:", "(?P<name>", "(?i)".
static int rewrite_open(struct rewrite *r, struct err *e)
{
	struct str rest = from(r, r->at);
	size_t skip = 1;

	if (str_starts(rest, STR("(?i)"))) {
		r->ignore_case = true;
		r->at += 4;
		return 0;
	}
	if (str_starts(rest, STR("(?:"))) {
		skip = 3;
	} else if (str_starts(rest, STR("(?P<")) || str_starts(rest, STR("(?<"))) {
		const char *end = memchr(rest.p, '>', rest.n);

		if (!end)
			return bad(e, "invalid named capture", rest);
		skip = (size_t)(end - rest.p) + 1;
	} else if (str_starts(rest, STR("(?"))) {
		return bad(e, "invalid or unsupported Perl syntax",
			   (struct str){rest.p, rest.n < 3 ? rest.n : 3});
	}
	if (++r->depth > DEPTH_MAX)
		return bad(e, "expression nests too deeply", r->in);
	r->at += skip;
	buf_putc(&r->out, '(');
	return 0;
}

// Reads "{n}", "{n,}" or "{n,m}" at the cursor; *ret_len 0 when it is none.
static void read_repeat(const struct rewrite *r, size_t *ret_len, uint64_t *min, uint64_t *max)
{
	struct str rest = from(r, r->at + 1), body = str_cut(&rest, '}'), high = body;
	struct str low = str_cut(&high, ',');

	*ret_len = 0;
	if (!rest.p || !str_u64(low, UINT32_MAX, min))
		return;
	*max = *min;
	if (high.p && high.n > 0 && !str_u64(high, UINT32_MAX, max))
		return;
	*ret_len = body.n + 2;
}

static int rewrite_repeat(struct rewrite *r, struct err *e)
{
	uint64_t min = 0, max = 0;
	size_t len = 1;
	struct str op;

	if (r->in.p[r->at] == '{')
		read_repeat(r, &len, &min, &max);
	op = (struct str){r->in.p + r->at, len};
	if (len == 0) { // a brace that repeats nothing stands for itself
		buf_puts(&r->out, "\\{");
		r->at++;
		r->repeatable = true;
		r->repeated = false;
		return 0;
	}
	if (r->repeated)
		return bad(e, "invalid nested repetition operator", op);
	if (!r->repeatable)
		return bad(e, "missing argument to repetition operator", op);
	if (max < min || max > REPEAT_MAX || (r->repeats *= max > 1 ? max : 1) > REPEAT_MAX)
		return bad(e, "invalid repeat count", op);
	buf_put(&r->out, op.p, op.n);
	r->at += len;
	if (next_is(r, "?")) // lazy: the same strings match
		r->at++;
	r->repeated = true;
	return 0;
}

static int rewrite_close(struct rewrite *r, struct err *e)
{
	if (r->depth == 0)
		return bad(e, "unexpected )", r->in);
	r->depth--;
	r->at++;
	buf_putc(&r->out, ')');
	return 0;
}

static void rewrite_plain(struct rewrite *r, char c)
{
	if (c == ']' || c == '}')
		buf_putc(&r->out, '\\');
	buf_putc(&r->out, c);
	r->at++;
}

static int rewrite_step(struct rewrite *r, struct err *e)
{
	char c = r->in.p[r->at];

	if (strchr("*+?{", c))
		return rewrite_repeat(r, e);
	r->repeated = false;
	r->repeatable = c != '(' && c != '|';
	switch (c) {
	case '[':
		return rewrite_bracket(r, e);
	case '\\':
		return rewrite_escape(r, e);
	case '(':
		return rewrite_open(r, e);
	case ')':
		return rewrite_close(r, e);
	default:
		rewrite_plain(r, c);
		return 0;
	}
}

static int rewrite(struct rewrite *r, struct err *e)
{
	if (r->in.n > PATTERN_MAX)
		return bad(e, "expression too large", (struct str){r->in.p, 40});
	while (r->at < r->in.n)
		if (rewrite_step(r, e) < 0)
			return -1;
	if (r->depth > 0)
		return bad(e, "missing closing )", r->in);
	return 0;
}

static int compile(regex_t *regex, const struct rewrite *r, struct err *e)
{
	int flags = REG_EXTENDED | REG_NOSUB | (r->ignore_case ? REG_ICASE : 0);
	int rc = regcomp(regex, r->out.p, flags);
	char why[100];

	if (rc == 0)
		return 0;
	regerror(rc, regex, why, sizeof(why));
	return bad(e, why, r->in);
}

int platform_filter_new(struct platform_filter **ret, const char *pattern, struct err *e)
{
	struct rewrite r = {
		.in = str_of(pattern ? pattern : ""),
		.out = BUF_INIT(BUF_TEXT_MAX),
		.repeats = 1,
	};
	struct platform_filter *f = xcalloc(1, sizeof(*f));
	int rc = 0;

	f->all = r.in.n == 0;
	if (!f->all && (rewrite(&r, e) < 0 || compile(&f->regex, &r, e) < 0))
		rc = -1;
	buf_free(&r.out);
	if (rc < 0)
		free(f);
	else
		*ret = f;
	return rc;
}

bool platform_filter_match(const struct platform_filter *f, const struct platform *p)
{
	char text[MATCH_MAX];
	int n;

	if (f->all)
		return true;
	n = snprintf(text, sizeof(text), "%s/%s%s%s", p->os, p->architecture,
		     *p->variant ? "/" : "", p->variant);
	if (n < 0 || (size_t)n >= sizeof(text))
		return false;
	return regexec(&f->regex, text, 0, NULL, 0) == 0;
}

void platform_filter_free(struct platform_filter *f)
{
	if (!f)
		return;
	if (!f->all)
		regfree(&f->regex);
	free(f);
}

const char *platform_local(void)
{
#if defined(__x86_64__)
	return "linux/amd64";
#elif defined(__aarch64__)
	return "linux/arm64";
#elif defined(__s390x__)
	return "linux/s390x";
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
	return "linux/ppc64le";
#else
#error "name this architecture as Go does"
#endif
}

const char *platform_release_arch(const char *architecture)
{
	if (strcmp(architecture, "amd64") == 0)
		return "x86_64";
	if (strcmp(architecture, "arm64") == 0)
		return "aarch64";
	return architecture;
}
