// SPDX-License-Identifier: Apache-2.0
// Mappings from arguments and files: SRC=DST pairs, or SRC DST [DST...].
#include "mirror/mirror.h"

#include <string.h>

#include "mirror/expand.h"
#include "util/fs.h"
#include "util/map.h"

enum { LINE_MAX_BYTES = 64 * 1024 };
#define MAPPING_FILE_MAX ((size_t)16 << 20)

#define NOTHING_TO_DO                                                                \
	"you must specify at least one source image to pull and the destination to " \
	"push to as SRC=DST or SRC DST [DST2 DST3 ...]"

void mappings_release(struct mappings *m)
{
	for (size_t i = 0; i < m->n; i++) {
		reference_release(&m->v[i].src);
		reference_release(&m->v[i].dst);
		free(m->v[i].name);
	}
	free(m->v);
	*m = (struct mappings){0};
}

void mappings_add(struct mappings *m, const struct reference *src, const struct reference *dst,
		  const char *name)
{
	vec_reserve(m->v, m->n, m->cap);
	struct mapping *to = &m->v[m->n++];

	reference_copy(&to->src, src);
	reference_copy(&to->dst, dst);
	to->name = name ? xstrdup(name) : NULL;
}

static void lend(const void *arg, size_t i, struct mapping *ret)
{
	*ret = ((const struct mappings *)arg)->v[i];
}

struct mapping_list mappings_list(const struct mappings *m)
{
	return (struct mapping_list){m->n, lend, m};
}

bool mapping_expands(const struct mapping *m)
{
	return strchr(m->src.tag, '*') || (m->src.tag[0] == '\0' && !m->src.has_digest);
}

// Digests may share an untagged destination, and what a wildcard makes is looked at later.
static bool has_own_name(const struct mapping *m)
{
	return m->dst.tag[0] != '\0';
}

int mapping_claim(struct map *seen, const struct mapping *m, struct err *e)
{
	bool fresh;

	if (!has_own_name(m))
		return 0;
	auto_free char *dst = reference_print(&m->dst);

	map_put(seen, str_of(dst), &fresh);
	if (!fresh)
		return err_set(e, ERR_USAGE, "each destination tag may only be specified once: %s",
			       dst);
	return 0;
}

int mapping_check_self(const struct mapping *m, struct err *e)
{
	if (!mapping_expands(m) && reference_same(&m->src, &m->dst))
		return err_set(e, ERR_USAGE, "SRC and DST may not be the same");
	return 0;
}

struct parser {
	struct mappings *to;
	struct map seen; // printed destinations with a tag
};

static int add_pair(struct parser *p, const char *src, const char *dst, struct err *e)
{
	struct mapping m = {0};
	int r = -1;

	if (reference_parse(&m.src, src, REF_WILDCARD, e) < 0)
		return -1;
	if (reference_parse(&m.dst, dst, 0, e) < 0)
		goto out;
	if (m.dst.has_digest) {
		err_set(e, ERR_USAGE,
			"you must specify a tag for DST or leave it blank to only push by digest");
		goto out;
	}
	if (m.dst.tag[0] == '\0' && !mapping_expands(&m)) {
		free(m.dst.tag);
		m.dst.tag = xstrdup(m.src.tag);
	}
	if (mapping_claim(&p->seen, &m, e) < 0)
		goto out;
	mappings_add(p->to, &m.src, &m.dst, NULL);
	r = 0;
out:
	reference_release(&m.src);
	reference_release(&m.dst);
	return r;
}

static int add_equation(struct parser *p, const char *field, struct err *e)
{
	const char *eq = strchr(field, '=');

	if (!eq)
		return err_set(e, ERR_USAGE,
			       "all arguments must be valid SRC=DST mappings: '%s' has no '='",
			       field);
	if (eq == field || eq[1] == '\0')
		return err_set(e, ERR_USAGE, "all arguments must be valid SRC=DST mappings");
	auto_free char *src = xstrndup(field, (size_t)(eq - field));

	return add_pair(p, src, eq + 1, e);
}

// One command line, or one line of a file.
static int add_fields(struct parser *p, char *const *fields, size_t n, struct err *e)
{
	bool equations = false;

	for (size_t i = 0; i < n; i++)
		equations |= strchr(fields[i], '=') != NULL;
	if (!equations && n == 1)
		return err_set(e, ERR_USAGE,
			       "all arguments must be valid SRC=DST mappings, or you must specify "
			       "one SRC argument and one or more DST arguments");
	for (size_t i = 0; equations && i < n; i++)
		if (add_equation(p, fields[i], e) < 0)
			return -1;
	for (size_t i = 1; !equations && i < n; i++)
		if (fields[i][0] != '\0' && add_pair(p, fields[0], fields[i], e) < 0)
			return -1;
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static void split_fields(struct strlist *ret, struct str line)
{
	size_t i = 0;

	while (i < line.n) {
		while (i < line.n && is_blank(line.p[i]))
			i++;
		size_t start = i;

		while (i < line.n && !is_blank(line.p[i]))
			i++;
		if (i > start)
			strlist_take(ret, xstrndup(line.p + start, i - start));
	}
}

static int add_line(struct parser *p, struct str line, struct err *e)
{
	auto_strlist struct strlist fields = {0};

	if (line.n >= LINE_MAX_BYTES)
		return err_set(e, ERR_INPUT, "the line is longer than %d bytes",
			       LINE_MAX_BYTES - 1);
	line = str_cut(&line, '#');
	if (line.n > 0 && memchr(line.p, '\0', line.n))
		return err_set(e, ERR_INPUT, "the line holds a NUL byte");
	split_fields(&fields, line);
	return add_fields(p, fields.v, fields.n, e);
}

static int add_text(struct parser *p, struct str text, const char *name, struct err *e)
{
	for (size_t n = 1; text.p && text.n > 0; n++) {
		struct str line = str_cut(&text, '\n');

		if (add_line(p, line, e) < 0)
			return err_wrap(e, "file %s, line %zu", name, n);
	}
	return 0;
}

static int add_file(struct parser *p, const char *name, int stdin_fd, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(MAPPING_FILE_MAX);
	int r = strcmp(name, "-") == 0 ? fs_read_fd(&text, stdin_fd, name, e)
				       : fs_read_file(&text, name, e);

	if (r < 0 && e->kind == ERR_NOT_FOUND)
		return err_set(e, ERR_NOT_FOUND, "open %s: no such file or directory", name);
	if (r < 0)
		return -1;
	return add_text(p, buf_str(&text), name, e);
}

static int add_all(struct parser *p, char *const *args, size_t nargs, char *const *files,
		   size_t nfiles, int stdin_fd, struct err *e)
{
	if (nargs > 0 && add_fields(p, args, nargs, e) < 0)
		return -1;
	for (size_t i = 0; i < nfiles; i++)
		if (add_file(p, files[i], stdin_fd, e) < 0)
			return -1;
	if (p->to->n == 0)
		return err_set(e, ERR_USAGE, NOTHING_TO_DO);
	for (size_t i = 0; i < p->to->n; i++)
		if (mapping_check_self(&p->to->v[i], e) < 0)
			return -1;
	return 0;
}

int mappings_parse(struct mappings *ret, char *const *args, size_t nargs, char *const *files,
		   size_t nfiles, int stdin_fd, struct err *e)
{
	struct mappings m = {0};
	struct parser p = {.to = &m};
	int r = add_all(&p, args, nargs, files, nfiles, stdin_fd, e);

	map_release(&p.seen);
	if (r < 0) {
		mappings_release(&m);
		return -1;
	}
	*ret = m;
	return 0;
}
