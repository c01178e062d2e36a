// SPDX-License-Identifier: Apache-2.0
// What a mirrored catalog lacks: one row for each image, grouped by reason for people.
#include "catalog/report.h"

#include <stdlib.h>
#include <string.h>

#include "data/gofmt.h"

enum {
	REASONS_SHOWN = 8,
	IMAGES_SHOWN = 8,    // of each reason
	BUNDLES_SHOWN = 3,   // of each image
	BUNDLES_MAX = 10000, // of each line of missing.txt
};

struct row {
	char *source;
	char *reason;      // by which rows are grouped
	const char *why;   // borrowed; NULL: the reason says it all
	uint32_t *bundles; // catalog.bundles, ascending, each once
	size_t nbundles;
};

struct rows {
	const struct catalog *catalog;
	struct row *v;
	size_t n, cap;
};

static void rows_release(struct rows *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->v[i].source);
		free(r->v[i].reason);
		free(r->v[i].bundles);
	}
	free(r->v);
}
#define auto_rows __attribute__((cleanup(rows_release)))

// --- rows

static int compare_numbers(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static bool has_name(const struct catalog *c, uint32_t bundle)
{
	return c->bundles[bundle].package != CATALOG_NONE || *c->bundles[bundle].name;
}

// The bundles that need any of IMAGES.
static void collect_bundles(struct row *row, const struct catalog *c, const uint32_t *images,
			    size_t n)
{
	size_t total = 0, kept = 0;

	for (size_t i = 0; i < n; i++)
		total += c->images[images[i]].nbundles;
	row->bundles = xreallocarray(NULL, total + 1, sizeof(*row->bundles));
	for (size_t i = 0; i < n; i++) {
		const struct catalog_image *im = &c->images[images[i]];

		for (size_t k = 0; k < im->nbundles; k++)
			if (has_name(c, im->bundles[k]))
				row->bundles[row->nbundles++] = im->bundles[k];
	}
	qsort(row->bundles, row->nbundles, sizeof(*row->bundles), compare_numbers);
	for (size_t i = 0; i < row->nbundles; i++)
		if (i == 0 || row->bundles[i] != row->bundles[i - 1])
			row->bundles[kept++] = row->bundles[i];
	row->nbundles = kept;
}

static struct row *add_row(struct rows *r, char *source, char *reason, const char *why)
{
	vec_reserve(r->v, r->n, r->cap);
	r->v[r->n] = (struct row){.source = source, .reason = reason, .why = why};
	return &r->v[r->n++];
}

static const char *host_of(const struct reference *ref)
{
	if (ref->type == REF_FILE)
		return "the folder";
	return *ref->registry ? ref->registry : "docker.io";
}

// What kind of failure it was, so that a thousand of them are one.
static char *reason_of(const struct catalog_entry *x, const struct mirror_item *it)
{
	const char *host = host_of(it->at_source ? &x->src : &x->dst);

	if (it->outcome == MIRROR_PARTLY)
		return xstrdup("mirrored without parts that the source does not have");
	if (it->outcome == MIRROR_MISSING && it->why)
		return xstrdup("parts of it are not at the source, and the mirror wants all");
	if (it->outcome == MIRROR_UNTRIED)
		return xstrdup("not tried, because of the others");
	if (it->outcome == MIRROR_MISSING || (it->at_source && it->kind == ERR_NOT_FOUND))
		return xstrdup("not found at the source");
	if (it->kind == ERR_DENIED || it->http == 401 || it->http == 403)
		return xasprintf("%s denies access", host);
	if (it->kind == ERR_NOT_FOUND)
		return xasprintf("%s has no such repository", host);
	if (it->kind == ERR_NET && it->http == 0)
		return xasprintf("%s cannot be reached", host);
	if (it->http > 0)
		return xasprintf("%s answers with status %d", host, it->http);
	if (it->kind == ERR_DIGEST)
		return xasprintf("%s sends what does not match its digest", host);
	return xasprintf("not copied, because of %s", host);
}

static void add_entries(struct rows *r, const struct catalog_mirror *m)
{
	for (size_t i = 0; m->items && i < m->mapping.n; i++) {
		const struct catalog_entry *x = &m->mapping.v[i];

		if (!catalog_mirror_is_missing(m, i) && !catalog_mirror_is_failed(m, i))
			continue;
		struct row *row = add_row(r, reference_print(catalog_origin(x)),
					  reason_of(x, &m->items[i]), m->items[i].why);

		collect_bundles(row, r->catalog, x->images, x->nimages);
	}
}

// The last part of "couldn't parse image for mirroring (X), skipping mirror: WHY".
static const char *cause_of(const char *line, const char *prefix)
{
	static const char skipping[] = " skipping mirror: ";

	line += strlen(prefix);
	return starts_with(line, skipping) ? line + sizeof(skipping) - 1 : line;
}

// Why the mapping left TEXT out: of its line in mapping.bad, which is sorted.
static const char *why_bad(const struct strlist *bad, const char *text)
{
	auto_free char *quoted = gofmt_quote(str_of(text));
	const char *const forms[] = {text, quoted};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		auto_free char *prefix =
			xasprintf("couldn't parse image for mirroring (%s),", forms[i]);
		size_t lo = 0, hi = bad->n;

		while (lo < hi) {
			size_t mid = lo + (hi - lo) / 2;

			if (strcmp(bad->v[mid], prefix) < 0)
				lo = mid + 1;
			else
				hi = mid;
		}
		if (lo < bad->n && starts_with(bad->v[lo], prefix))
			return cause_of(bad->v[lo], prefix);
	}
	return NULL;
}

// Images that no entry of the mapping is about.
static void add_bad(struct rows *r, const struct catalog_mirror *m)
{
	auto_free bool *used = xcalloc(m->catalog.nimages, sizeof(*used));

	for (size_t i = 0; i < m->mapping.n; i++)
		for (size_t k = 0; k < m->mapping.v[i].nimages; k++)
			used[m->mapping.v[i].images[k]] = true;
	for (uint32_t i = 0; i < m->catalog.nimages; i++) {
		const char *text = m->catalog.images[i].text;

		if (used[i])
			continue;
		struct row *row = add_row(r, xstrdup(text), xstrdup("not an image of a registry"),
					  why_bad(&m->mapping.bad, text));

		collect_bundles(row, r->catalog, &i, 1);
	}
}

static int by_source(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->source, ((const struct row *)b)->source);
}

static void rows_init(struct rows *r, const struct catalog_mirror *m)
{
	*r = (struct rows){.catalog = &m->catalog};
	if (m->mapping.n == 0)
		return;
	add_entries(r, m);
	if (m->mapping.bad.n > 0)
		add_bad(r, m);
	if (r->n > 1)
		qsort(r->v, r->n, sizeof(*r->v), by_source);
}

// --- text

// TEXT comes from a catalog: a line stays a line.
static void put_clean(struct buf *ret, const char *text)
{
	for (; *text; text++)
		buf_putc(ret, (unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text);
}

// Without the hints behind it.
static void put_why(struct buf *ret, const char *why)
{
	auto_free char *first = xstrndup(why, strcspn(why, "\n"));

	put_clean(ret, first);
}

static void put_bundle(struct buf *ret, const struct catalog *c, uint32_t number)
{
	const struct catalog_bundle *b = &c->bundles[number];
	const char *package = b->package == CATALOG_NONE ? "" : c->packages[b->package];

	put_clean(ret, package);
	if (*package && *b->name)
		buf_puts(ret, ": ");
	put_clean(ret, b->name);
}

static void put_bundles(struct buf *ret, const struct catalog *c, const struct row *row, size_t max)
{
	for (size_t i = 0; i < row->nbundles; i++) {
		if (i == max || ret->n > CATALOG_MISSING_MAX) {
			buf_printf(ret, " and %zu more", row->nbundles - i);
			return;
		}
		buf_puts(ret, i > 0 ? ", " : "");
		put_bundle(ret, c, row->bundles[i]);
	}
}

static void put_row(struct buf *ret, const struct catalog *c, const struct row *row)
{
	put_clean(ret, row->source);
	buf_putc(ret, '\t');
	put_clean(ret, row->reason);
	if (row->why) {
		buf_puts(ret, ": ");
		put_why(ret, row->why);
	}
	buf_putc(ret, '\t');
	put_bundles(ret, c, row, BUNDLES_MAX);
	buf_putc(ret, '\n');
}

static void put_broken(struct buf *ret, const char *why)
{
	buf_puts(ret, "-\ta file of the catalog cannot be read: ");
	put_clean(ret, why);
	buf_puts(ret, "\t\n");
}

void catalog_missing_print(struct buf *ret, const struct catalog_mirror *m)
{
	auto_rows struct rows r;
	size_t i = 0, k = 0;

	rows_init(&r, m);
	for (; i < m->broken.n && ret->n <= CATALOG_MISSING_MAX; i++)
		put_broken(ret, m->broken.v[i]);
	for (; k < r.n && ret->n <= CATALOG_MISSING_MAX; k++)
		put_row(ret, &m->catalog, &r.v[k]);
	size_t rest = m->broken.n - i + r.n - k;

	if (rest > 0)
		buf_printf(ret, "-\tand %zu more\t\n", rest);
}

// --- for people

// Rows of one reason: [first, first + n) once they are sorted by it.
struct reason {
	size_t first, n;
};

static int by_reason(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int order = strcmp(x->reason, y->reason);

	return order ? order : strcmp(x->source, y->source);
}

static int by_count(const void *a, const void *b)
{
	const struct reason *x = a, *y = b;

	if (x->n != y->n)
		return x->n > y->n ? -1 : 1;
	return (x->first > y->first) - (x->first < y->first);
}

static size_t group(struct rows *r, struct reason *ret)
{
	size_t n = 0;

	qsort(r->v, r->n, sizeof(*r->v), by_reason);
	for (size_t i = 0; i < r->n; i++) {
		if (i == 0 || strcmp(r->v[i].reason, r->v[i - 1].reason) != 0)
			ret[n++] = (struct reason){.first = i};
		ret[n - 1].n++;
	}
	qsort(ret, n, sizeof(*ret), by_count);
	return n;
}

static void show_row(struct buf *ret, const struct catalog *c, const struct row *row)
{
	buf_puts(ret, "    ");
	put_clean(ret, row->source);
	if (row->nbundles > 0) {
		buf_puts(ret, ", for ");
		put_bundles(ret, c, row, BUNDLES_SHOWN);
	}
	buf_putc(ret, '\n');
}

static void show_reason(struct buf *ret, const struct rows *r, const struct reason *reason)
{
	const struct row *first = &r->v[reason->first];

	buf_puts(ret, "  ");
	put_clean(ret, first->reason);
	buf_printf(ret, " (%zu)", reason->n);
	if (first->why) {
		buf_puts(ret, reason->n > 1 ? ", the first: " : ": ");
		put_why(ret, first->why);
	}
	buf_putc(ret, '\n');
	for (size_t i = 0; i < reason->n && i < IMAGES_SHOWN; i++)
		show_row(ret, r->catalog, &r->v[reason->first + i]);
	if (reason->n > IMAGES_SHOWN)
		buf_printf(ret, "    and %zu more\n", reason->n - IMAGES_SHOWN);
}

void catalog_missing_show(struct buf *ret, const struct catalog_mirror *m)
{
	auto_rows struct rows r;

	rows_init(&r, m);
	if (r.n == 0)
		return;
	auto_free struct reason *reasons = xcalloc(r.n, sizeof(*reasons));
	size_t n = group(&r, reasons), rest = 0;

	buf_printf(ret, "warning: not mirrored (%zu):\n", r.n);
	for (size_t i = 0; i < n; i++) {
		if (i < REASONS_SHOWN)
			show_reason(ret, &r, &reasons[i]);
		else
			rest += reasons[i].n;
	}
	if (rest > 0)
		buf_printf(ret, "  for other reasons (%zu)\n", rest);
}
