// SPDX-License-Identifier: Apache-2.0
// The plan of a dry run, by package: images → manifests → blobs, as the engine's plan has them.
#include "catalog/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "data/gofmt.h"
#include "data/json_out.h"
#include "data/tabwriter.h"
#include "transfer/digests.h"
#include "util/map.h"

#define NO_OWNER UINT32_MAX
#define SHARED   (UINT32_MAX - 1)

enum { FLUSH_AT = 64 << 10 };

// A blob or a manifest in one repository.
struct plan_part {
	uint64_t size;   // of a blob
	uint32_t digest; // plan.digests
	uint32_t first;  // plan.links: what it needs; NONE: nothing
	bool is_blob;
};

struct plan_link {
	uint32_t part, next;
};

// CHILD is needed by the manifest PARENT of the same repository.
struct plan_edge {
	uint32_t child, parent; // plan.parts, plan.digests
};

struct plan_package {
	const char *name;
	size_t bundles, images, missing;
	uint64_t unique, shared;
};

struct catalog_plan {
	struct digests digests;
	struct plan_part *parts;
	size_t n, cap;
	struct plan_link *links;
	size_t nlinks, links_cap;
	struct map roots; // "REGISTRY/REPOSITORY:TAG" → plan.parts
	// of the repository that is visited
	char *repository;
	struct map manifests; // digest → plan.parts
	struct plan_edge *edges;
	size_t nedges, edges_cap;
	// once attributed
	const struct catalog_mirror *m;
	uint32_t *root_of;  // of each entry of the mapping; NONE: not planned
	uint64_t *bytes_of; // of each entry
	uint32_t *seen;     // by digest: in which round it was last
	uint32_t round;
	uint32_t *stack;
	size_t stack_cap;
	size_t *first_entry; // of each package, in package_entries; one more at the end
	uint32_t *package_entries;
	struct plan_package *packages; // largest first; the one without a name stands for the rest
	size_t npackages;
	size_t blobs;
	uint64_t bytes, shared;
};

struct catalog_plan *catalog_plan_new(void)
{
	struct catalog_plan *p = xcalloc(1, sizeof(*p));

	digests_init(&p->digests);
	return p;
}

void catalog_plan_free(struct catalog_plan *p)
{
	if (!p)
		return;
	digests_release(&p->digests);
	map_release(&p->roots);
	map_release(&p->manifests);
	free(p->parts);
	free(p->links);
	free(p->repository);
	free(p->edges);
	free(p->root_of);
	free(p->bytes_of);
	free(p->seen);
	free(p->stack);
	free(p->first_entry);
	free(p->package_entries);
	free(p->packages);
	free(p);
}

// --- the engine's plan

static struct str number_key(const uint32_t *number)
{
	return (struct str){(const char *)number, sizeof(*number)};
}

// All parts of a repository are known: who needs what can be looked up.
static void end_repository(struct catalog_plan *p)
{
	for (size_t i = 0; i < p->nedges; i++) {
		const struct plan_edge *e = &p->edges[i];
		const struct map_entry *parent = map_find(&p->manifests, number_key(&e->parent));

		if (!parent)
			continue;
		struct plan_part *at = &p->parts[parent->num];

		vec_reserve(p->links, p->nlinks, p->links_cap);
		p->links[p->nlinks] = (struct plan_link){e->child, at->first};
		at->first = (uint32_t)p->nlinks++;
	}
	p->nedges = 0;
	map_release(&p->manifests);
	p->manifests = (struct map){0};
}

// Folders have no name in front.
static char *place_key(bool is_folder, const char *registry, const char *repository)
{
	return xasprintf("%s/%s", is_folder ? "" : registry, repository);
}

static void on_repository(void *arg, struct repo *dst)
{
	struct catalog_plan *p = arg;

	end_repository(p);
	free(p->repository);
	p->repository = place_key(dst->place->kind == PLACE_STORE, dst->place->name, dst->name);
}

static uint32_t add_part(struct catalog_plan *p, const struct digest *d, uint64_t size,
			 bool is_blob)
{
	vec_reserve(p->parts, p->n, p->cap);
	p->parts[p->n] = (struct plan_part){
		.size = size,
		.digest = digests_intern(&p->digests, d),
		.first = NONE,
		.is_blob = is_blob,
	};
	return (uint32_t)p->n++;
}

static void on_blob(void *arg, struct repo *src, const struct digest *d, uint64_t size, bool shared)
{
	(void)src;
	(void)shared; // between repositories, not between packages
	add_part(arg, d, size, true);
}

// Once for each of its names.
static void on_manifest(void *arg, const struct digest *d, const char *tag)
{
	struct catalog_plan *p = arg;
	uint32_t digest = digests_intern(&p->digests, d);
	bool new;
	struct map_entry *known = map_put(&p->manifests, number_key(&digest), &new);

	if (new)
		known->num = add_part(p, d, 0, false);
	if (!tag)
		return;
	auto_free char *name = xasprintf("%s:%s", p->repository, tag);

	map_put(&p->roots, str_of(name), NULL)->num = known->num;
}

// What was visited last is part number n - 1, whatever its kind: a manifest's names come together.
static void on_parent(void *arg, const struct digest *parent)
{
	struct catalog_plan *p = arg;

	vec_reserve(p->edges, p->nedges, p->edges_cap);
	p->edges[p->nedges++] =
		(struct plan_edge){(uint32_t)p->n - 1, digests_intern(&p->digests, parent)};
}

struct transfer_plan_visitor catalog_plan_visitor(struct catalog_plan *p)
{
	return (struct transfer_plan_visitor){on_repository, on_blob, on_manifest, p, on_parent};
}

// --- which package needs what

static void push_part(struct catalog_plan *p, size_t *n, uint32_t part)
{
	uint32_t *seen = &p->seen[p->parts[part].digest];

	if (*seen == p->round)
		return;
	*seen = p->round;
	vec_reserve(p->stack, *n, p->stack_cap);
	p->stack[(*n)++] = part;
}

// Calls VISIT for every blob below ROOT that was not visited in this round yet.
static void walk(struct catalog_plan *p, uint32_t root,
		 void (*visit)(void *arg, const struct plan_part *blob), void *arg)
{
	size_t n = 0;

	if (root == NONE)
		return;
	push_part(p, &n, root);
	while (n > 0) {
		const struct plan_part *part = &p->parts[p->stack[--n]];

		if (part->is_blob)
			visit(arg, part);
		for (uint32_t at = part->first; at != NONE; at = p->links[at].next)
			push_part(p, &n, p->links[at].part);
	}
}

static void add_bytes(void *arg, const struct plan_part *blob)
{
	*(uint64_t *)arg += blob->size;
}

static uint32_t find_root(const struct catalog_plan *p, const struct reference *dst)
{
	bool folder = dst->type == REF_FILE;
	auto_free char *path = folder ? reference_file_path(dst) : xstrdup(dst->repository);
	auto_free char *place = place_key(folder, dst->registry, path);
	auto_free char *name = xasprintf("%s:%s", place, dst->tag);
	const struct map_entry *known = map_find(&p->roots, str_of(name));

	return known ? (uint32_t)known->num : NONE;
}

static void find_roots(struct catalog_plan *p)
{
	const struct catalog_mapping *m = &p->m->mapping;

	p->root_of = xcalloc(m->n + 1, sizeof(*p->root_of));
	p->bytes_of = xcalloc(m->n + 1, sizeof(*p->bytes_of));
	for (size_t i = 0; i < m->n; i++) {
		p->root_of[i] = m->v[i].is_there ? NONE : find_root(p, &m->v[i].dst);
		p->round++;
		walk(p, p->root_of[i], add_bytes, &p->bytes_of[i]);
	}
}

// The number of packages of the catalog is that of everything that belongs to none.
static uint32_t package_of(const struct catalog *c, uint32_t bundle)
{
	uint32_t package = c->bundles[bundle].package;

	return package == CATALOG_NONE ? (uint32_t)c->npackages : package;
}

// Tells each package of entry I once. LAST has room for all packages, and is NO_OWNER at first.
static void each_package(const struct catalog_plan *p, uint32_t i, uint32_t *last,
			 void (*tell)(void *arg, uint32_t package, uint32_t entry), void *arg)
{
	const struct catalog *c = &p->m->catalog;
	const struct catalog_entry *x = &p->m->mapping.v[i];

	if (x->is_index)
		tell(arg, (uint32_t)c->npackages, i);
	for (size_t k = 0; k < x->nimages; k++) {
		const struct catalog_image *im = &c->images[x->images[k]];

		for (size_t b = 0; b < im->nbundles; b++) {
			uint32_t package = package_of(c, im->bundles[b]);

			if (last[package] == i)
				continue;
			last[package] = i;
			tell(arg, package, i);
		}
	}
}

static void count_entry(void *arg, uint32_t package, uint32_t entry)
{
	struct catalog_plan *p = arg;

	(void)entry;
	p->first_entry[package + 1]++;
}

struct filling {
	struct catalog_plan *p;
	size_t *next; // free place of each package
};

static void put_entry(void *arg, uint32_t package, uint32_t entry)
{
	struct filling *f = arg;

	f->p->package_entries[f->next[package]++] = entry;
}

static void clear_last(uint32_t *last, size_t n)
{
	for (size_t i = 0; i < n; i++)
		last[i] = NO_OWNER;
}

// Sorts entries into packages: first_entry[k] … first_entry[k + 1] are those of package K.
static void sort_entries(struct catalog_plan *p)
{
	const struct catalog_mapping *m = &p->m->mapping;
	size_t n = p->npackages;
	auto_free uint32_t *last = xcalloc(n, sizeof(*last));
	auto_free size_t *next = xcalloc(n, sizeof(*next));
	struct filling f = {p, next};

	p->first_entry = xcalloc(n + 1, sizeof(*p->first_entry));
	clear_last(last, n);
	for (uint32_t i = 0; i < m->n; i++)
		if (!m->v[i].is_there)
			each_package(p, i, last, count_entry, p);
	for (size_t k = 0; k < n; k++)
		p->first_entry[k + 1] += p->first_entry[k];
	memcpy(next, p->first_entry, n * sizeof(*next));
	p->package_entries = xcalloc(p->first_entry[n] + 1, sizeof(*p->package_entries));
	clear_last(last, n);
	for (uint32_t i = 0; i < m->n; i++)
		if (!m->v[i].is_there)
			each_package(p, i, last, put_entry, &f);
}

struct claim {
	struct catalog_plan *p;
	uint32_t *owner; // by digest
	uint32_t package;
};

static void claim_blob(void *arg, const struct plan_part *blob)
{
	struct claim *c = arg;
	uint32_t *owner = &c->owner[blob->digest];

	*owner = *owner == NO_OWNER || *owner == c->package ? c->package : SHARED;
}

static void add_blob(void *arg, const struct plan_part *blob)
{
	const struct claim *c = arg;
	struct plan_package *at = &c->p->packages[c->package];

	if (c->owner[blob->digest] == SHARED)
		at->shared += blob->size;
	else
		at->unique += blob->size;
}

static void walk_package(struct claim *c, void (*visit)(void *arg, const struct plan_part *blob))
{
	struct catalog_plan *p = c->p;

	p->round++;
	for (size_t i = p->first_entry[c->package]; i < p->first_entry[c->package + 1]; i++)
		walk(p, p->root_of[p->package_entries[i]], visit, c);
}

static void count_total(void *arg, const struct plan_part *blob)
{
	const struct claim *c = arg;

	c->p->blobs++;
	c->p->bytes += blob->size;
	if (c->owner[blob->digest] == SHARED)
		c->p->shared += blob->size;
}

static void count_bytes(struct catalog_plan *p)
{
	auto_free uint32_t *owner = xcalloc(p->digests.n, sizeof(*owner));
	struct claim c = {p, owner, 0};

	clear_last(owner, p->digests.n);
	for (c.package = 0; c.package < p->npackages; c.package++)
		walk_package(&c, claim_blob);
	for (c.package = 0; c.package < p->npackages; c.package++)
		walk_package(&c, add_blob);
	p->round++;
	for (size_t i = 0; i < p->m->mapping.n; i++)
		walk(p, p->root_of[i], count_total, &c);
}

static bool is_gap(const struct catalog_mirror *m, size_t i)
{
	return catalog_mirror_is_missing(m, i) || catalog_mirror_is_failed(m, i);
}

static void count_images(struct catalog_plan *p)
{
	const struct catalog *c = &p->m->catalog;

	for (size_t k = 0; k < p->npackages; k++) {
		struct plan_package *at = &p->packages[k];

		at->name = k < c->npackages ? c->packages[k] : "";
		for (size_t i = p->first_entry[k]; i < p->first_entry[k + 1]; i++) {
			bool gap = is_gap(p->m, p->package_entries[i]);

			at->images += !gap;
			at->missing += gap;
		}
	}
	for (uint32_t b = 0; b < c->nbundles; b++)
		p->packages[package_of(c, b)].bundles++;
}

static int by_size(const void *a, const void *b)
{
	const struct plan_package *x = a, *y = b;
	uint64_t of_x = x->unique + x->shared, of_y = y->unique + y->shared;

	if (of_x != of_y)
		return of_x > of_y ? -1 : 1;
	return strcmp(x->name, y->name);
}

void catalog_plan_attribute(struct catalog_plan *p, const struct catalog_mirror *m)
{
	end_repository(p);
	p->m = m;
	p->npackages = m->catalog.npackages + 1;
	p->packages = xcalloc(p->npackages, sizeof(*p->packages));
	p->seen = xcalloc(p->digests.n, sizeof(*p->seen));
	find_roots(p);
	sort_entries(p);
	count_bytes(p);
	count_images(p);
	qsort(p->packages, p->npackages, sizeof(*p->packages), by_size);
}

// Every package is told of, and what belongs to none where there is any.
static bool is_told(const struct plan_package *k)
{
	return *k->name || k->images + k->missing + k->bundles > 0;
}

// --- for people

static void print_package(struct buf *ret, const struct plan_package *k)
{
	if (!is_told(k))
		return;
	buf_printf(ret, "  %s\t%zu\t%zu\t%s\t%s", *k->name ? k->name : "(the catalog itself)",
		   k->bundles, k->images, gofmt_binary(k->unique).s, gofmt_binary(k->shared).s);
	if (k->missing > 0)
		buf_printf(ret, "\t%zu missing", k->missing);
	buf_putc(ret, '\n');
}

void catalog_plan_print(struct buf *ret, const struct catalog_plan *p)
{
	const struct catalog *c = &p->m->catalog;
	struct catalog_count n = catalog_mirror_count(p->m);
	auto_buf struct buf rows = BUF_INIT(BUF_TEXT_MAX);

	buf_puts(&rows, "  PACKAGE\tBUNDLES\tIMAGES\tUNIQUE\tSHARED\n");
	for (size_t i = 0; i < p->npackages; i++)
		print_package(&rows, &p->packages[i]);
	tab_align(ret, buf_str(&rows), 2);
	buf_printf(ret, "info: %zu packages, %zu bundles, %zu images", c->npackages, c->nbundles,
		   n.done);
	if (n.missing + n.failed + n.bad > 0)
		buf_printf(ret, " (and %zu that are missing)", n.missing + n.failed + n.bad);
	buf_printf(ret, ": %zu blobs, %s, of which several packages share %s\n", p->blobs,
		   gofmt_binary(p->bytes).s, gofmt_binary(p->shared).s);
}

// --- for programs

// Text goes out while it is written, however much a catalog says.
struct writer {
	struct json_out json;
	struct buf text;
	void (*put)(void *arg, struct str text);
	void *arg;
};

static void flush(struct writer *w, size_t at)
{
	if (w->text.n < at)
		return;
	w->put(w->arg, buf_str(&w->text));
	buf_clear(&w->text);
}

static void put_text(struct writer *w, const char *key, const char *text)
{
	json_out_key(&w->json, key);
	json_out_text(&w->json, text);
}

static void put_number(struct writer *w, const char *key, uint64_t number)
{
	json_out_key(&w->json, key);
	json_out_u64(&w->json, number);
}

static void put_sizes(struct writer *w, uint64_t unique, uint64_t shared)
{
	put_number(w, "uniqueBytes", unique);
	put_number(w, "sharedBytes", shared);
	put_number(w, "bytes", unique + shared);
}

static void put_packages(struct writer *w, const struct catalog_plan *p)
{
	json_out_key(&w->json, "packages");
	json_out_begin(&w->json, '[');
	for (size_t i = 0; i < p->npackages; i++) {
		const struct plan_package *k = &p->packages[i];

		if (!is_told(k))
			continue;
		json_out_begin(&w->json, '{');
		put_text(w, "name", k->name);
		put_number(w, "bundles", k->bundles);
		put_number(w, "images", k->images);
		put_number(w, "missing", k->missing);
		put_sizes(w, k->unique, k->shared);
		json_out_end(&w->json, '}');
		flush(w, FLUSH_AT);
	}
	json_out_end(&w->json, ']');
}

static const char *status_of(const struct catalog_mirror *m, size_t i)
{
	if (m->mapping.v[i].is_there)
		return "present";
	if (catalog_mirror_is_missing(m, i))
		return "missing";
	return catalog_mirror_is_failed(m, i) ? "failed" : "planned";
}

// WHY may have hints for people behind its first line.
static void put_reason(struct writer *w, const char *why)
{
	auto_free char *first =
		why ? xstrndup(why, strcspn(why, "\n")) : xstrdup("not found at the source");

	put_text(w, "reason", first);
}

static void put_package_name(void *arg, uint32_t package, uint32_t entry)
{
	struct writer *w = ((void **)arg)[0];
	const struct catalog *c = ((void **)arg)[1];

	(void)entry;
	json_out_text(&w->json, package < c->npackages ? c->packages[package] : "");
	flush(w, FLUSH_AT);
}

static void put_bundles(struct writer *w, const struct catalog *c, const struct catalog_entry *x)
{
	json_out_key(&w->json, "bundles");
	json_out_begin(&w->json, '[');
	for (size_t i = 0; i < x->nimages; i++) {
		const struct catalog_image *im = &c->images[x->images[i]];

		for (size_t k = 0; k < im->nbundles; k++) {
			json_out_text(&w->json, c->bundles[im->bundles[k]].name);
			flush(w, FLUSH_AT);
		}
	}
	json_out_end(&w->json, ']');
}

static void put_image(struct writer *w, const struct catalog_plan *p, uint32_t i, uint32_t *last)
{
	const struct catalog_mirror *m = p->m;
	const struct catalog_entry *x = &m->mapping.v[i];
	auto_free char *source = reference_print(&x->src);
	auto_free char *repository = reference_print_repository(&x->dst);
	auto_free char *destination = xasprintf("%s:%s", repository, x->dst.tag);
	void *arg[] = {w, (void *)&m->catalog};

	json_out_begin(&w->json, '{');
	put_text(w, "source", source);
	put_text(w, "destination", destination);
	put_text(w, "status", status_of(m, i));
	put_number(w, "bytes", p->bytes_of[i]);
	if (is_gap(m, i))
		put_reason(w, m->items[i].why);
	json_out_key(&w->json, "packages");
	json_out_begin(&w->json, '[');
	each_package(p, i, last, put_package_name, arg);
	json_out_end(&w->json, ']');
	put_bundles(w, &m->catalog, x);
	json_out_end(&w->json, '}');
	flush(w, FLUSH_AT);
}

static void put_images(struct writer *w, const struct catalog_plan *p)
{
	auto_free uint32_t *last = xcalloc(p->npackages, sizeof(*last));

	clear_last(last, p->npackages);
	json_out_key(&w->json, "images");
	json_out_begin(&w->json, '[');
	for (uint32_t i = 0; i < p->m->mapping.n; i++)
		put_image(w, p, i, last);
	json_out_end(&w->json, ']');
}

static void put_totals(struct writer *w, const struct catalog_plan *p)
{
	struct catalog_count n = catalog_mirror_count(p->m);

	json_out_key(&w->json, "totals");
	json_out_begin(&w->json, '{');
	put_number(w, "packages", p->m->catalog.npackages);
	put_number(w, "bundles", p->m->catalog.nbundles);
	put_number(w, "images", n.done);
	put_number(w, "missing", n.missing);
	put_number(w, "failed", n.failed + n.bad);
	put_number(w, "blobs", p->blobs);
	put_sizes(w, p->bytes - p->shared, p->shared);
	json_out_end(&w->json, '}');
}

void catalog_plan_json(const struct catalog_plan *p, void (*put)(void *arg, struct str text),
		       void *arg)
{
	struct writer w = {.text = BUF_INIT(BUF_TEXT_MAX), .put = put, .arg = arg};
	auto_free char *src = reference_print(&p->m->src), *dst = reference_print(&p->m->dst);

	w.json = (struct json_out){.out = &w.text, .indent = 2};
	json_out_begin(&w.json, '{');
	put_text(&w, "source", src);
	put_text(&w, "destination", dst);
	put_text(&w, "manifests", p->m->dir);
	put_packages(&w, p);
	put_images(&w, p);
	put_totals(&w, p);
	json_out_end(&w.json, '}');
	buf_putc(&w.text, '\n');
	flush(&w, 0);
	buf_free(&w.text);
}
