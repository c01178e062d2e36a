// SPDX-License-Identifier: Apache-2.0
// Interned texts and pairs of numbers; sorted and renumbered at the end.
#include "catalog/collect.h"

#include <stdlib.h>
#include <string.h>

#include "util/map.h"

// IMAGE is needed by BUNDLE.
struct edge {
	uint32_t image, bundle;
};

// A number is the place of its text in the map, which keeps the order of arrival.
struct collect {
	struct map packages;
	struct map bundles; // the number of the package, then the name
	struct map images;
	struct edge *edges;
	size_t nedges, cap;
	size_t text;
};

enum { PACKAGE_BYTES = sizeof(uint32_t) };

struct collect *collect_new(void)
{
	return xcalloc(1, sizeof(struct collect));
}

static void clear(struct collect *c)
{
	map_release(&c->packages);
	map_release(&c->bundles);
	map_release(&c->images);
	free(c->edges);
	*c = (struct collect){0};
}

void collect_free(struct collect *c)
{
	if (!c)
		return;
	clear(c);
	free(c);
}

static int check_text(struct str text, const char *what, struct err *e)
{
	if (text.n > CATALOG_TEXT_MAX)
		return err_set(e, ERR_INPUT, "%s is longer than %zu bytes", what, CATALOG_TEXT_MAX);
	if (text.n > 0 && memchr(text.p, '\0', text.n))
		return err_set(e, ERR_INPUT, "%s has a NUL character", what);
	return 0;
}

// The number of KEY, a new one if there is still room for it.
static int intern(struct collect *c, struct map *m, struct str key, size_t max, const char *what,
		  uint32_t *ret, struct err *e)
{
	const struct map_entry *entry = map_find(m, key);

	if (!entry && m->n >= max)
		return err_set(e, ERR_INPUT, "the catalog has more than %zu %s", max, what);
	if (!entry && key.n + 1 > CATALOG_ARENA_MAX - c->text)
		return err_set(e, ERR_INPUT, "the catalog's names have more than %zu bytes in all",
			       CATALOG_ARENA_MAX);
	if (!entry) {
		entry = map_put(m, key, NULL);
		c->text += key.n + 1;
	}
	*ret = (uint32_t)(entry - m->entries);
	return 0;
}

static int intern_package(struct collect *c, struct str name, uint32_t *ret, struct err *e)
{
	*ret = CATALOG_NONE;
	if (name.n == 0)
		return 0;
	if (check_text(name, "the name of a package", e) < 0)
		return -1;
	return intern(c, &c->packages, name, CATALOG_PACKAGES_MAX, "packages", ret, e);
}

int collect_package(struct collect *c, struct str name, struct err *e)
{
	uint32_t number;

	return intern_package(c, str_trim(name), &number, e);
}

int collect_bundle(struct collect *c, struct str package, struct str name, uint32_t *ret,
		   struct err *e)
{
	char key[PACKAGE_BYTES + CATALOG_TEXT_MAX];
	uint32_t number = CATALOG_NONE;

	name = str_trim(name);
	if (check_text(name, "the name of a bundle", e) < 0 ||
	    intern_package(c, str_trim(package), &number, e) < 0)
		return -1;
	memcpy(key, &number, PACKAGE_BYTES);
	if (name.n > 0)
		memcpy(key + PACKAGE_BYTES, name.p, name.n);
	return intern(c, &c->bundles, (struct str){key, PACKAGE_BYTES + name.n},
		      CATALOG_BUNDLES_MAX, "bundles", ret, e);
}

static int add_edge(struct collect *c, uint32_t image, uint32_t bundle, struct err *e)
{
	if (c->nedges >= CATALOG_EDGES_MAX)
		return err_set(e, ERR_INPUT,
			       "the catalog's bundles name images more than %zu times",
			       CATALOG_EDGES_MAX);
	vec_reserve(c->edges, c->nedges, c->cap);
	c->edges[c->nedges++] = (struct edge){image, bundle};
	return 0;
}

int collect_image(struct collect *c, uint32_t bundle, struct str image, struct err *e)
{
	uint32_t number = CATALOG_NONE;

	image = str_trim(image);
	if (image.n == 0)
		return 0;
	if (check_text(image, "the name of an image", e) < 0 ||
	    intern(c, &c->images, image, CATALOG_IMAGES_MAX, "images", &number, e) < 0)
		return -1;
	return bundle == CATALOG_NONE ? 0 : add_edge(c, number, bundle, e);
}

static struct str text_of(const struct map *m, size_t i)
{
	return (struct str){m->entries[i].key, m->entries[i].len};
}

static uint32_t package_of(const struct collect *c, size_t bundle)
{
	uint32_t number;

	memcpy(&number, c->bundles.entries[bundle].key, PACKAGE_BYTES);
	return number;
}

static struct str bundle_name(const struct collect *c, size_t bundle)
{
	struct str key = text_of(&c->bundles, bundle);

	return (struct str){key.p + PACKAGE_BYTES, key.n - PACKAGE_BYTES};
}

bool collect_is_empty(const struct collect *c)
{
	return c->packages.n == 0 && c->bundles.n == 0 && c->images.n == 0;
}

// ---- the end: everything sorted, numbers replaced by places

struct sorted {
	struct str text;
	uint32_t package; // 0 but for bundles
	uint32_t number;
};

static int by_text(const void *a, const void *b)
{
	const struct sorted *x = a, *y = b;

	if (x->package != y->package)
		return x->package < y->package ? -1 : 1;
	return strcmp(x->text.p, y->text.p);
}

static int by_place(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	if (x->image != y->image)
		return x->image < y->image ? -1 : 1;
	return x->bundle < y->bundle ? -1 : x->bundle > y->bundle;
}

// Sorts LIST; *ret is where each number went. Caller frees.
static uint32_t *sort(struct sorted *list, size_t n)
{
	uint32_t *places = xcalloc(n, sizeof(*places));

	if (n > 1)
		qsort(list, n, sizeof(*list), by_text);
	for (size_t i = 0; i < n; i++)
		places[list[i].number] = (uint32_t)i;
	return places;
}

static struct sorted *list_of(const struct map *m)
{
	struct sorted *list = xcalloc(m->n, sizeof(*list));

	for (size_t i = 0; i < m->n; i++)
		list[i] = (struct sorted){.text = text_of(m, i), .number = (uint32_t)i};
	return list;
}

static const char *keep(struct catalog *ret, struct str text)
{
	return arena_strndup(&ret->arena, text.p, text.n);
}

static uint32_t *finish_packages(const struct collect *c, struct catalog *ret)
{
	auto_free struct sorted *list = list_of(&c->packages);
	uint32_t *places = sort(list, c->packages.n);

	ret->npackages = c->packages.n;
	ret->packages = arena_alloc(&ret->arena, ret->npackages * sizeof(*ret->packages));
	for (size_t i = 0; i < ret->npackages; i++)
		ret->packages[i] = keep(ret, list[i].text);
	return places;
}

static uint32_t *finish_bundles(const struct collect *c, const uint32_t *packages,
				struct catalog *ret)
{
	auto_free struct sorted *list = list_of(&c->bundles);

	for (size_t i = 0; i < c->bundles.n; i++) {
		uint32_t package = package_of(c, i);

		list[i].text = bundle_name(c, i);
		list[i].package = package == CATALOG_NONE ? CATALOG_NONE : packages[package];
	}
	uint32_t *places = sort(list, c->bundles.n);

	ret->nbundles = c->bundles.n;
	ret->bundles = arena_alloc(&ret->arena, ret->nbundles * sizeof(*ret->bundles));
	for (size_t i = 0; i < ret->nbundles; i++)
		ret->bundles[i] = (struct catalog_bundle){.name = keep(ret, list[i].text),
							  .package = list[i].package};
	return places;
}

static uint32_t *finish_images(const struct collect *c, struct catalog *ret)
{
	auto_free struct sorted *list = list_of(&c->images);
	uint32_t *places = sort(list, c->images.n);

	ret->nimages = c->images.n;
	ret->images = arena_alloc(&ret->arena, ret->nimages * sizeof(*ret->images));
	for (size_t i = 0; i < ret->nimages; i++)
		ret->images[i].text = keep(ret, list[i].text);
	return places;
}

static void finish_edges(struct collect *c, const uint32_t *images, const uint32_t *bundles,
			 struct catalog *ret)
{
	uint32_t *list = arena_alloc(&ret->arena, c->nedges * sizeof(*list));
	const struct edge *last = NULL;

	for (size_t i = 0; i < c->nedges; i++)
		c->edges[i] = (struct edge){images[c->edges[i].image], bundles[c->edges[i].bundle]};
	if (c->nedges > 1)
		qsort(c->edges, c->nedges, sizeof(*c->edges), by_place);
	for (size_t i = 0; i < c->nedges; i++) {
		const struct edge *edge = &c->edges[i];
		struct catalog_image *image = &ret->images[edge->image];

		if (last && by_place(last, edge) == 0)
			continue;
		if (image->nbundles == 0)
			image->bundles = list;
		*list++ = edge->bundle;
		image->nbundles++;
		last = edge;
	}
}

void collect_finish(struct collect *c, struct catalog *ret)
{
	*ret = (struct catalog){0};
	auto_free uint32_t *packages = finish_packages(c, ret);
	auto_free uint32_t *bundles = finish_bundles(c, packages, ret);
	auto_free uint32_t *images = finish_images(c, ret);

	finish_edges(c, images, bundles, ret);
	clear(c);
}
