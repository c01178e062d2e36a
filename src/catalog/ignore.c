// SPDX-License-Identifier: Apache-2.0
// Patterns compared with paths, part by part, without recursion.
#include "catalog/ignore.h"

#include <stdlib.h>
#include <string.h>

#include "util/mem.h"

struct pattern {
	const char *folder;
	struct str text;
	size_t order; // of arrival
	bool takes_back, folders_only, anchored;
};

struct ignore {
	struct pattern *v;
	size_t n, cap, max;
	uint64_t steps; // of all comparisons
	struct arena arena;
};

struct ignore *ignore_new(size_t max)
{
	struct ignore *ig = xcalloc(1, sizeof(*ig));

	ig->max = max;
	return ig;
}

void ignore_free(struct ignore *ig)
{
	if (!ig)
		return;
	arena_free(&ig->arena);
	free(ig->v);
	free(ig);
}

// ---- one name

static bool is_tail(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

// The character that S begins with, and S behind it. What is not UTF-8 is a character each byte.
static uint32_t next_char(struct str *s)
{
	unsigned char lead = (unsigned char)s->p[0];
	size_t n = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
	uint32_t c = lead;
	size_t i = 1;

	while (i < n && i < s->n && is_tail(s->p[i]))
		c = c << 8 | (unsigned char)s->p[i++];
	if (i < n) {
		c = lead;
		i = 1;
	}
	s->p += i;
	s->n -= i;
	return c; // its bytes as a number: equal and ordered as the characters are
}

// One end of a range in brackets; false when malformed.
static bool range_end(struct str *pattern, uint32_t *ret)
{
	if (pattern->n == 0 || pattern->p[0] == '-' || pattern->p[0] == ']')
		return false;
	if (pattern->p[0] == '\\') {
		pattern->p++;
		pattern->n--;
	}
	if (pattern->n == 0)
		return false;
	*ret = next_char(pattern);
	return pattern->n > 0;
}

// PATTERN stands behind '[', and is left behind ']'.
static bool matches_class(struct str *pattern, uint32_t c)
{
	bool found = false, negated = pattern->n > 0 && pattern->p[0] == '^';
	size_t ranges = 0;

	if (negated)
		next_char(pattern);
	for (; ranges == 0 || pattern->p[0] != ']'; ranges++) {
		uint32_t low, high;

		if (!range_end(pattern, &low))
			return false;
		high = low;
		if (pattern->p[0] == '-') {
			next_char(pattern);
			if (!range_end(pattern, &high))
				return false;
		}
		found = found || (low <= c && c <= high);
	}
	next_char(pattern);
	return found != negated;
}

// Takes one element of PATTERN (no star) and the character of NAME that it matches.
static bool matches_char(struct str *pattern, struct str *name)
{
	if (name->n == 0)
		return false;
	uint32_t want = next_char(pattern), c = next_char(name);

	if (want == '?')
		return true;
	if (want == '[')
		return matches_class(pattern, c);
	if (want == '\\') {
		if (pattern->n == 0)
			return false;
		want = next_char(pattern);
	}
	return want == c;
}

// A whole name. A star that took too little takes one more, and only the last one has to.
static bool matches_name(struct str pattern, struct str name, uint64_t *steps)
{
	struct str star = {NULL, 0}, taken = {NULL, 0};

	for (; pattern.n > 0 || name.n > 0; ++*steps) {
		if (pattern.n > 0 && pattern.p[0] == '*') {
			pattern.p++;
			pattern.n--;
			star = pattern;
			taken = name;
			continue;
		}
		if (pattern.n > 0 && matches_char(&pattern, &name))
			continue;
		if (!star.p || taken.n == 0)
			return false;
		next_char(&taken);
		pattern = star;
		name = taken;
	}
	return true;
}

// ---- paths

// The first part of PATH that is not empty, cut off; p is NULL at the end.
static struct str next_part(struct str *path)
{
	struct str part = {NULL, 0};

	while (path->p && part.n == 0)
		part = str_cut(path, '/');
	return part.n > 0 ? part : (struct str){NULL, 0};
}

static bool matches_any_part(const struct pattern *p, struct str path, uint64_t *steps)
{
	struct str part = next_part(&path);

	while (part.p) {
		struct str next = next_part(&path);

		if (matches_name(p->text, part, steps))
			return next.p || !p->folders_only;
		part = next;
	}
	return false;
}

// "a**b" is nothing that can match.
static bool has_stars(struct str part)
{
	return memmem(part.p, part.n, "**", 2) != NULL;
}

static bool matches_from_start(const struct pattern *p, struct str path, uint64_t *steps)
{
	struct str text = p->text, behind = {NULL, 0}, taken = {NULL, 0};
	bool any = false; // "**" was seen: behind it PATH may lose parts

	for (;; ++*steps) {
		struct str want = next_part(&text);

		if (want.p && str_eqz(want, "**")) {
			any = true;
			behind = text;
			taken = path;
			continue;
		}
		if (!want.p)
			return next_part(&path).p || !p->folders_only;
		if (has_stars(want))
			return false;
		struct str part = next_part(&path);

		if (part.p && matches_name(want, part, steps))
			continue;
		if (!any || !next_part(&taken).p)
			return false;
		text = behind;
		path = taken;
	}
}

static bool matches(const struct pattern *p, const char *path, uint64_t *steps)
{
	size_t n = strlen(p->folder);

	if (n > 0 && (strncmp(path, p->folder, n) != 0 || path[n] != '/'))
		return false;
	struct str rest = str_of(n > 0 ? path + n + 1 : path);

	*steps += rest.n;
	return p->anchored ? matches_from_start(p, rest, steps) : matches_any_part(p, rest, steps);
}

// ---- files of patterns

static int add_pattern(struct ignore *ig, const char *folder, struct str text, struct err *e)
{
	struct pattern p = {.folder = folder, .order = ig->n};

	if (text.n > IGNORE_PATTERN_MAX)
		return err_set(e, ERR_INPUT, "longer than %zu bytes", IGNORE_PATTERN_MAX);
	if (ig->n >= ig->max)
		return err_set(e, ERR_INPUT, "more than %zu patterns in the whole catalog",
			       ig->max);
	p.takes_back = text.p[0] == '!';
	if (p.takes_back)
		text = (struct str){text.p + 1, text.n - 1};
	p.folders_only = text.n > 0 && text.p[text.n - 1] == '/';
	if (p.folders_only)
		text.n--;
	if (text.n == 0)
		return 0;
	p.anchored = memchr(text.p, '/', text.n) != NULL;
	p.text = (struct str){arena_strndup(&ig->arena, text.p, text.n), text.n};
	vec_reserve(ig->v, ig->n, ig->cap);
	ig->v[ig->n++] = p;
	return 0;
}

int ignore_add(struct ignore *ig, const char *folder, struct str text, struct err *e)
{
	const char *kept = arena_strdup(&ig->arena, folder);

	if (str_starts(text, STR("\xef\xbb\xbf")))
		text = (struct str){text.p + 3, text.n - 3};
	for (size_t number = 1; text.p && text.n > 0; number++) {
		struct str line = str_trim(str_cut(&text, '\n'));

		if (line.n == 0 || line.p[0] == '#')
			continue;
		if (add_pattern(ig, kept, line, e) < 0)
			return err_wrap(e, "line %zu", number);
	}
	return 0;
}

// As a walk meets folders: parents first, then by their names, part by part.
static int by_folder(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	if (*a == *b)
		return 0;
	if (!*a || !*b)
		return *a ? 1 : -1;
	if (*a == '/' || *b == '/')
		return *a == '/' ? -1 : 1;
	return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
}

static int by_walk(const void *a, const void *b)
{
	const struct pattern *x = a, *y = b;
	int r = by_folder(x->folder, y->folder);

	if (r == 0 && x->order != y->order)
		r = x->order < y->order ? -1 : 1;
	return r;
}

void ignore_ready(struct ignore *ig)
{
	if (ig->n > 1)
		qsort(ig->v, ig->n, sizeof(*ig->v), by_walk);
}

bool ignore_matches(struct ignore *ig, const char *path)
{
	for (size_t i = ig->n; i-- > 0 && ig->steps <= IGNORE_STEPS_MAX; ig->steps++)
		if (matches(&ig->v[i], path, &ig->steps))
			return !ig->v[i].takes_back;
	return false;
}

int ignore_check(const struct ignore *ig, struct err *e)
{
	return ig->steps <= IGNORE_STEPS_MAX
		       ? 0
		       : err_set(e, ERR_INPUT, "the patterns take too long to compare");
}
