// SPDX-License-Identifier: Apache-2.0
// Versions of releases and of what is in them.
#include "release/versions.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "data/gofmt.h"
#include "release/payload.h"
#include "util/map.h"
#include "util/mem.h"

static bool is_number(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!isdigit((unsigned char)s.p[i]))
			return false;
	return s.n > 0;
}

static int compare_text(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int r = n ? memcmp(a.p, b.p, n) : 0;

	return r ? r : (a.n > b.n) - (a.n < b.n);
}

static int compare_numbers(struct str a, struct str b)
{
	return a.n != b.n ? (a.n > b.n) - (a.n < b.n) : compare_text(a, b);
}

// Numbers are below words.
static int compare_identifiers(struct str a, struct str b)
{
	bool number_a = is_number(a), number_b = is_number(b);

	if (number_a && number_b)
		return compare_numbers(a, b);
	return number_a != number_b ? (number_a ? -1 : 1) : compare_text(a, b);
}

static int compare_lists(struct str a, struct str b, int (*compare)(struct str a, struct str b))
{
	while (a.p && b.p) {
		int r = compare(str_cut(&a, '.'), str_cut(&b, '.'));

		if (r)
			return r;
	}
	return (a.p != NULL) - (b.p != NULL);
}

int version_compare(const char *a, const char *b)
{
	struct str rest_a = {a, strcspn(a, "+")}, rest_b = {b, strcspn(b, "+")};
	struct str core_a = str_cut(&rest_a, '-'), core_b = str_cut(&rest_b, '-');
	int r = compare_lists(core_a, core_b, compare_numbers);

	if (r)
		return r;
	if (!rest_a.p || !rest_b.p) // a version comes after its pre-releases
		return (rest_a.p == NULL) - (rest_b.p == NULL);
	return compare_lists(rest_a, rest_b, compare_identifiers);
}

void component_versions_release(struct component_versions *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->v[i].name);
		free(l->v[i].version);
		free(l->v[i].display_name);
		free(l->v[i].tag);
	}
	free(l->v);
	*l = (struct component_versions){0};
}

// "name=value" of a label that is a list of them.
struct pair {
	struct str name, value;
};

static int refuse(struct str text, const char *before, const char *behind, struct err *e)
{
	auto_free char *quoted = gofmt_quote(text);

	return err_set(e, ERR_INPUT, "%s %.100s %s", before, quoted, behind);
}

static int check_name(struct str name, struct err *e)
{
	bool good = name.n > 0 && name.p[0] != '-' && name.p[name.n - 1] != '-';

	if (name.n < 2)
		return refuse(name, "the version name", "must be at least 2 characters", e);
	for (size_t i = 0; good && i < name.n; i++)
		good = islower((unsigned char)name.p[i]) || isdigit((unsigned char)name.p[i]) ||
		       name.p[i] == '-';
	return good ? 0
		    : refuse(name, "the version name",
			     "must only be ASCII alphanumerics and internal hyphens", e);
}

static int check_version(struct str pair, struct str version, struct err *e)
{
	auto_free char *text = xstrndup(version.p, version.n);

	if (payload_is_version(text))
		return 0;
	return refuse(pair, "the version pair", "must have a valid semantic version", e);
}

static int check_display_name(struct str name, struct err *e)
{
	bool good = name.n > 0;

	for (size_t i = 0; good && i < name.n; i++)
		good = isalnum((unsigned char)name.p[i]) || strchr(" \t\n\r-:()", name.p[i]);
	return good ? 0
		    : refuse(name, "the display name",
			     "must only be alphanumerics, spaces, and symbols in [():-]", e);
}

// Takes the next pair off REST.
static int next_pair(struct str *rest, bool display, struct pair *ret, struct err *e)
{
	struct str pair = str_trim(str_cut(rest, ',')), value = pair;
	struct str name = str_cut(&value, '=');

	if (!value.p)
		return display ? refuse(pair, "the display name pair", "must be NAME=DISPLAYNAME",
					e)
			       : refuse(pair, "the version pair", "must be NAME=VERSION", e);
	*ret = (struct pair){name, value};
	if (check_name(name, e) < 0)
		return -1;
	return display ? check_display_name(value, e) : check_version(pair, value, e);
}

// What a component says of display names; of several for one name the last counts.
struct labels {
	struct map display_names; // name → index into VALUES
	struct str *values;
	size_t n, cap;
};

static int read_labels(struct labels *l, const struct versions_of *v, struct err *e)
{
	struct str names = str_of(v->display_names), versions = str_trim(str_of(v->versions));
	struct pair pair = {0};

	while (names.n > 0) {
		if (next_pair(&names, true, &pair, e) < 0)
			return -1;
		vec_reserve(l->values, l->n, l->cap);
		map_put(&l->display_names, pair.name, NULL)->num = l->n;
		l->values[l->n++] = pair.value;
	}
	while (versions.p)
		if (next_pair(&versions, false, &pair, e) < 0)
			return -1;
	return 0;
}

static void labels_release(struct labels *l)
{
	map_release(&l->display_names);
	free(l->values);
}

// "" when there is none. Caller frees.
static char *display_name(const struct labels *l, struct str name)
{
	const struct map_entry *en = map_find(&l->display_names, name);

	struct str value = en && l->values ? l->values[en->num] : STR("");

	return xstrndup(value.p, value.n);
}

// One name of all components, as it comes together.
struct gathered {
	struct strlist versions, display_names;
	const char *tag;
};

struct gathering {
	struct map names;   // name → struct gathered
	struct map kubectl; // version → strlist of the tags that say so
	struct strlist *warnings;
};

static void gather_kubectl(struct gathering *g, const char *version, const char *tag)
{
	struct map_entry *en = map_put(&g->kubectl, str_of(version), NULL);

	if (!en->ptr)
		en->ptr = xcalloc(1, sizeof(struct strlist));
	strlist_add(en->ptr, tag);
}

static void gather_pair(struct gathering *g, const struct versions_of *v, const struct labels *l,
			const struct pair *pair)
{
	struct str core = pair->value;
	auto_free char *version = NULL;

	core = str_cut(&core, '+');
	version = xstrndup(core.p, core.n);
	if (str_eqz(pair->name, "kubectl")) {
		gather_kubectl(g, version, v->tag);
		if (strcmp(v->tag, "cli") != 0 && strcmp(v->tag, "cli-artifacts") != 0)
			return;
	}
	struct map_entry *en = map_put(&g->names, pair->name, NULL);

	if (!en->ptr)
		en->ptr = xcalloc(1, sizeof(struct gathered));
	struct gathered *to = en->ptr;

	to->tag = v->tag;
	strlist_add(&to->versions, version);
	strlist_take(&to->display_names, display_name(l, pair->name));
}

static void gather(struct gathering *g, const struct versions_of *v)
{
	struct str rest = str_trim(str_of(v->versions));
	struct labels labels = {0};
	struct pair pair = {0};
	struct err e;

	if (rest.n == 0)
		return;
	if (read_labels(&labels, v, &e) < 0)
		strlist_addf(g->warnings,
			     "the referenced image %s had an invalid version annotation: %s",
			     v->tag, e.text);
	else
		while (rest.p && next_pair(&rest, false, &pair, &e) == 0)
			gather_pair(g, v, &labels, &pair);
	labels_release(&labels);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct component_version *)a)->name,
		      ((const struct component_version *)b)->name);
}

// Of several texts the least, which may be empty only if all are.
static char *least(struct strlist *l, bool *ret_several)
{
	strlist_sort(l);
	strlist_unique(l);
	*ret_several |= l->n > 1;
	return xstrdup(l->v[0]);
}

static void finish(struct gathering *g, struct component_versions *ret)
{
	auto_strlist struct strlist several = {0};

	ret->v = xcalloc(g->names.n + 1, sizeof(*ret->v));
	for (size_t i = 0; i < g->names.n; i++) {
		struct gathered *from = g->names.entries[i].ptr;
		bool more = false;

		ret->v[ret->n++] = (struct component_version){
			.name = xstrdup(g->names.entries[i].key),
			.version = least(&from->versions, &more),
			.display_name = least(&from->display_names, &more),
			.tag = xstrdup(from->tag),
		};
		if (more)
			strlist_add(&several, g->names.entries[i].key);
	}
	if (ret->n > 1)
		qsort(ret->v, ret->n, sizeof(*ret->v), by_name);
	if (several.n == 0)
		return;
	auto_buf struct buf names = BUF_INIT(BUF_TEXT_MAX);

	strlist_sort(&several);
	for (size_t i = 0; i < several.n; i++)
		buf_printf(&names, "%s%s", i ? ",  " : "", several.v[i]);
	strlist_addf(g->warnings,
		     "multiple versions or display names reported for the following component(s): "
		     "%s",
		     names.p);
}

static void note_kubectl(const struct gathering *g, struct strlist *notes)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	if (g->kubectl.n <= 2)
		return;
	for (size_t i = 0; i < g->kubectl.n; i++) {
		const struct strlist *tags = g->kubectl.entries[i].ptr;

		buf_printf(&text, "%s%s (", i ? ", " : "", g->kubectl.entries[i].key);
		for (size_t k = 0; k < tags->n; k++)
			buf_printf(&text, "%s%s", k ? ", " : "", tags->v[k]);
		buf_putc(&text, ')');
	}
	strlist_addf(notes, "multiple versions reported for the kubectl: %s", text.p);
}

static void release(struct gathering *g)
{
	for (size_t i = 0; i < g->names.n; i++) {
		struct gathered *one = g->names.entries[i].ptr;

		strlist_release(&one->versions);
		strlist_release(&one->display_names);
		free(one);
	}
	for (size_t i = 0; i < g->kubectl.n; i++) {
		strlist_release(g->kubectl.entries[i].ptr);
		free(g->kubectl.entries[i].ptr);
	}
	map_release(&g->names);
	map_release(&g->kubectl);
}

void component_versions_read(struct component_versions *ret, const struct versions_of *v, size_t n,
			     struct strlist *warnings, struct strlist *notes)
{
	struct gathering g = {.warnings = warnings};

	*ret = (struct component_versions){0};
	for (size_t i = 0; i < n; i++)
		gather(&g, &v[i]);
	finish(&g, ret);
	note_kubectl(&g, notes);
	release(&g);
}
