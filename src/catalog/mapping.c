// SPDX-License-Identifier: Apache-2.0
// Images of a catalog and their places: spellings of one image are one entry.
#include "catalog/mapping.h"

#include "catalog/settle.h"
#include "data/gofmt.h"
#include "util/cleanup.h"
#include "util/map.h"

#include <string.h>

enum { NAME_MAX_LEN = 255 };

static void entry_release(struct catalog_entry *x)
{
	reference_release(&x->src);
	if (x->origin)
		reference_release(x->origin);
	free(x->origin);
	reference_release(&x->dst);
	free(x->images);
}

const struct reference *catalog_origin(const struct catalog_entry *x)
{
	return x->origin ? x->origin : &x->src;
}

void catalog_mapping_release(struct catalog_mapping *m)
{
	for (size_t i = 0; i < m->n; i++)
		entry_release(&m->v[i]);
	free(m->v);
	strlist_release(&m->bad);
	*m = (struct catalog_mapping){0};
}

// The images.

struct building {
	const struct catalog_mapping_config *cfg;
	struct reference dest; // of the images
	int limit;             // of components there
	struct catalog_mapping *to;
	struct map by_origin;
	size_t bytes; // of the names of all entries, and of what is bad
};

static void building_release(struct building *b)
{
	reference_release(&b->dest);
	map_release(&b->by_origin);
}
#define auto_building __attribute__((cleanup(building_release)))

static void building_init(struct building *b, const struct catalog_mapping_config *cfg,
			  struct catalog_mapping *to)
{
	*b = (struct building){.cfg = cfg, .to = to};
	if (cfg->dst->type == REF_REGISTRY) {
		reference_copy(&b->dest, cfg->dst);
		b->limit = cfg->max_components;
	} else {
		catalog_mount(&b->dest, cfg->src, cfg->dst, 0);
	}
}

static bool prints_whole(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < ' ' || s.p[i] > '~')
			return false;
	return true;
}

static int count_bytes(struct building *b, size_t n, struct err *e)
{
	b->bytes += n;
	if (b->bytes > CATALOG_MAPPING_MAX)
		return err_set(e, ERR_INPUT, "the names of the images take more than %zu MiB",
			       CATALOG_MAPPING_MAX >> 20);
	return 0;
}

static int add_bad(struct building *b, const char *text, const char *why, struct err *e)
{
	auto_free char *quoted =
		prints_whole(str_of(text)) ? xstrdup(text) : gofmt_quote(str_of(text));
	struct strlist *bad = &b->to->bad;

	strlist_addf(bad, "couldn't parse image for mirroring (%s), skipping mirror: %s", quoted,
		     why);
	return count_bytes(b, strlen(bad->v[bad->n - 1]), e);
}

static bool has_reserved_component(const char *repository)
{
	struct str rest = str_of(repository);

	while (rest.p)
		if (repository_component_reserved(str_cut(&rest, '/')))
			return true;
	return false;
}

// Is there such a repository, once the names are joined? NULL, or why not.
static char *refuse_place(const struct reference *dst)
{
	auto_free char *name = reference_print_repository(dst);

	if (dst->type == REF_FILE && has_reserved_component(dst->repository))
		return xasprintf("'%s' would mix with the files of other repositories", name);
	if (strlen(dst->type == REF_REGISTRY ? name : dst->repository) > NAME_MAX_LEN)
		return xasprintf("'%s': repository name must not be more than %d characters", name,
				 NAME_MAX_LEN);
	if (!repository_valid(dst->repository))
		return xasprintf("'%s': repository name must be lowercase", name);
	return NULL;
}

static size_t reference_bytes(const struct reference *r)
{
	return strlen(r->registry) + strlen(r->repository) + strlen(r->tag) +
	       (r->has_digest ? strlen(r->digest.text) : 0) + sizeof("file:////:@");
}

static int count_entry(struct building *b, const struct catalog_entry *x, struct err *e)
{
	return count_bytes(b,
			   reference_bytes(&x->src) + reference_bytes(catalog_origin(x)) +
				   reference_bytes(&x->dst),
			   e);
}

// Takes what X owns.
static void append(struct catalog_mapping *m, const struct catalog_entry *x)
{
	vec_reserve(m->v, m->n, m->cap);
	m->v[m->n++] = *x;
}

static void add_spelling(struct catalog_entry *x, uint32_t image)
{
	vec_reserve(x->images, x->nimages, x->cap);
	x->images[x->nimages++] = image;
}

// Takes ORIGIN. Below the index when that is in a folder; a tag that only stands in for a digest is
// not asked for.
static void place_source(struct catalog_entry *x, struct reference *origin,
			 const struct reference *index)
{
	if (index->type == REF_REGISTRY) {
		x->src = *origin;
	} else {
		catalog_mount(&x->src, origin, index, 0);
		if (*origin->tag == '\0')
			*x->src.tag = '\0';
		x->origin = xmemdup(origin, sizeof(*origin));
	}
	*origin = (struct reference){0};
}

// Takes ORIGIN and DST.
static int add_entry(struct building *b, struct reference *origin, struct reference *dst,
		     uint32_t image, struct err *e)
{
	struct catalog_entry x = {.dst = *dst};

	place_source(&x, origin, b->cfg->src);
	*dst = (struct reference){0};
	x.is_there = !x.src.has_digest && reference_same(&x.src, &x.dst);
	add_spelling(&x, image);
	append(b->to, &x);
	return count_entry(b, &x, e);
}

static int add_image(struct building *b, const char *text, uint32_t image, struct err *e)
{
	auto_reference struct reference origin = {0}, dst = {0};
	struct err why;
	bool new;

	if (reference_parse(&origin, text, REF_NO_PREFIX, &why) < 0)
		return add_bad(b, text, why.text, e);
	if (*origin.repository == '\0')
		return add_bad(b, text, "it is a registry without a repository", e);
	catalog_mount(&dst, &origin, &b->dest, b->limit); // hashes the name as it is written
	auto_free char *refused = refuse_place(&dst);

	if (refused)
		return add_bad(b, text, refused, e);
	reference_docker_defaults(&origin);
	auto_free char *key = reference_print(&origin);
	struct map_entry *known = map_put(&b->by_origin, str_of(key), &new);

	if (!new) {
		add_spelling(&b->to->v[known->num], image);
		return 0;
	}
	known->num = b->to->n;
	return add_entry(b, &origin, &dst, image, e);
}

struct sort_row {
	char *src;
	const struct reference *origin;
	size_t from; // where the entry is
};

// On media, images of two registries may be one source.
static int compare_rows(const void *a, const void *b)
{
	const struct sort_row *x = a, *y = b;
	int by_source = strcmp(x->src, y->src);

	return by_source ? by_source : strcmp(x->origin->registry, y->origin->registry);
}

// Follows each circle of places once: entries are large.
static void arrange(struct catalog_entry *v, struct sort_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct catalog_entry first = v[i];
		size_t to = i, from;

		while ((from = rows[to].from) != i) {
			v[to] = v[from];
			rows[to].from = to;
			to = from;
		}
		v[to] = first;
		rows[to].from = to;
	}
}

static void sort_entries(struct catalog_mapping *m)
{
	struct sort_row *rows = xcalloc(m->n + 1, sizeof(*rows));

	for (size_t i = 0; i < m->n; i++)
		rows[i] = (struct sort_row){reference_print(&m->v[i].src), catalog_origin(&m->v[i]),
					    i};
	qsort(rows, m->n, sizeof(*rows), compare_rows);
	for (size_t i = 0; i < m->n; i++)
		free(rows[i].src);
	arrange(m->v, rows, m->n);
	free(rows);
}

// The index image.

// A path in a registry that DST names already: what an earlier run has put there.
static bool lies_below(const struct reference *src, const struct reference *dst)
{
	size_t n = strlen(dst->repository);

	if (src->type != REF_REGISTRY || dst->type != REF_REGISTRY ||
	    strcmp(src->registry, dst->registry) != 0)
		return false;
	return n == 0 || (strncmp(src->repository, dst->repository, n) == 0 &&
			  (src->repository[n] == '\0' || src->repository[n] == '/'));
}

static void place_index(struct reference *ret, const struct building *b, bool *ret_stays)
{
	const struct catalog_mapping_config *cfg = b->cfg;
	struct reference mounted;

	*ret_stays = !cfg->index_dst && lies_below(cfg->src, cfg->dst);
	if (*ret_stays) {
		reference_copy(ret, cfg->src);
		return;
	}
	catalog_mount(&mounted, cfg->src, cfg->dst,
		      cfg->dst->type == REF_REGISTRY ? cfg->max_components : 0);
	if (!cfg->index_dst) {
		*ret = mounted;
		return;
	}
	reference_copy(ret, cfg->index_dst);
	if (*ret->tag == '\0') {
		free(ret->tag);
		ret->tag = steal(&mounted.tag);
	}
	ret->has_digest = mounted.has_digest;
	ret->digest = mounted.digest;
	reference_release(&mounted);
}

static int add_index(struct building *b, struct err *e)
{
	struct catalog_entry x = {.is_index = true};
	bool stays;

	reference_copy(&x.src, b->cfg->src);
	place_index(&x.dst, b, &stays);
	x.is_there = stays || (!x.src.has_digest && reference_same(&x.src, &x.dst));
	append(b->to, &x);
	auto_free char *refused = refuse_place(&x.dst);

	if (refused)
		return err_set(e, ERR_INPUT, "%s", refused);
	return count_entry(b, &x, e);
}

int catalog_mapping_make(const struct catalog *c, const struct catalog_mapping_config *cfg,
			 struct catalog_mapping *ret, struct err *e)
{
	auto_catalog_mapping struct catalog_mapping m = {0};
	auto_building struct building b;

	building_init(&b, cfg, &m);
	for (size_t i = 0; i < c->nimages; i++)
		if (add_image(&b, c->images[i].text, (uint32_t)i, e) < 0)
			return -1;
	map_release(&b.by_origin); // the places change
	sort_entries(&m);
	strlist_sort(&m.bad);
	if (add_index(&b, e) < 0 || catalog_settle_tags(&m, cfg, e) < 0)
		return -1;
	*ret = m;
	m = (struct catalog_mapping){0};
	return 0;
}

static char *print_line(const struct catalog_entry *x)
{
	auto_free char *from = reference_print_repository(&x->src);
	auto_free char *to = reference_print_repository(&x->dst);

	return xasprintf("%s%s%s=%s:%s", from, x->src.has_digest ? "@" : ":",
			 x->src.has_digest ? x->src.digest.text : x->src.tag, to, x->dst.tag);
}

void catalog_mapping_print(struct buf *ret, const struct catalog_mapping *m)
{
	auto_strlist struct strlist lines = {0};

	for (size_t i = 0; i < m->n; i++)
		if (!m->v[i].is_there)
			strlist_take(&lines, print_line(&m->v[i]));
	strlist_sort(&lines);
	for (size_t i = 0; i < lines.n; i++)
		buf_printf(ret, "%s\n", lines.v[i]);
}
