// SPDX-License-Identifier: Apache-2.0
// Two images and one tag.
#include "catalog/settle.h"

#include "util/cleanup.h"
#include "util/map.h"

#include <stdlib.h>
#include <string.h>

struct settling {
	const struct catalog_mapping_config *cfg;
	struct catalog_mapping *mapping;
	struct map by_place; // the entry that is copied to a tag
	int limit;           // of components
};

static bool same_repository(const struct reference *a, const struct reference *b)
{
	return a->type == b->type && strcmp(a->registry, b->registry) == 0 &&
	       strcmp(a->repository, b->repository) == 0;
}

static const struct digest *known_digest(const struct settling *s, const struct catalog_entry *x)
{
	if (x->src.has_digest)
		return &x->src.digest;
	return x->is_index ? s->cfg->src_root : NULL;
}

// What X is; asks for it when it is not known. NULL: nobody can tell.
static const struct digest *ask_digest(const struct settling *s, const struct catalog_entry *x,
				       struct digest *room)
{
	const struct digest *known = known_digest(s, x);
	struct err ignored;

	if (known || !s->cfg->tag_digest)
		return known;
	return s->cfg->tag_digest(s->cfg->arg, &x->src, room, &ignored) == 0 ? room : NULL;
}

static bool same_image(const struct settling *s, const struct catalog_entry *x,
		       const struct catalog_entry *y)
{
	const struct digest *of_x = known_digest(s, x), *of_y = known_digest(s, y);
	struct digest room_x, room_y;

	// "img:v1" beside "img:v1@sha256:…": the catalog itself says what the tag stands for.
	if (same_repository(&x->src, &y->src) && strcmp(x->src.tag, y->src.tag) == 0 &&
	    !(of_x && of_y))
		return true;
	of_x = ask_digest(s, x, &room_x);
	of_y = of_x ? ask_digest(s, y, &room_y) : NULL;
	return of_x && of_y && digest_equal(of_x, of_y);
}

static int collision(const struct settling *s, const struct catalog_entry *x,
		     const struct catalog_entry *y, struct err *e)
{
	auto_free char *one = reference_print(catalog_origin(x));
	auto_free char *other = reference_print(catalog_origin(y));
	auto_free char *place = reference_print_repository(&x->dst);
	bool joined = strcmp(catalog_origin(x)->repository, catalog_origin(y)->repository) != 0;

	err_set(e, ERR_INPUT, "%s and %s would both become %s:%s", one, other, place, x->dst.tag);
	if (x->is_index || y->is_index)
		return err_hint(e, "hint: --index-dest names another place for the index image");
	if (joined && s->limit > 0)
		return err_hint(e,
				"hint: their paths are joined to one name; raise --max-components "
				"above %d, 0 is no limit",
				s->limit);
	return err_hint(e, "hint: a mirror has no place for both, and they are not known to be the "
			   "same image; leave one of them out of the catalog");
}

// DROPPED needs no copy of its own any more; whoever needs it needs KEPT.
static void merge(struct catalog_entry *kept, struct catalog_entry *dropped)
{
	dropped->is_there = true;
	if (kept->is_index)
		return;
	for (size_t i = 0; i < dropped->nimages; i++) {
		vec_reserve(kept->images, kept->nimages, kept->cap);
		kept->images[kept->nimages++] = dropped->images[i];
	}
}

// The index brings itself; then what is there already, then the one that says what it is.
static bool is_better(const struct catalog_entry *x, const struct catalog_entry *than)
{
	if (x->is_index)
		return true;
	if (x->is_there != than->is_there)
		return x->is_there;
	return x->src.has_digest && !than->src.has_digest;
}

static char *print_place(const struct catalog_entry *x)
{
	auto_free char *repository = reference_print_repository(&x->dst);

	return xasprintf("%s:%s", repository, x->dst.tag);
}

// A tag of one repository that has moved: who asks for the digest still gets it.
static bool take_hash_tag(struct catalog_entry *x, const struct catalog_entry *first)
{
	if (!x->src.has_digest || !first->src.has_digest || *x->src.tag == '\0' ||
	    !same_repository(&x->src, &first->src))
		return false;
	struct catalog_hash_tag tag = catalog_hash_tag(catalog_origin(x));

	if (strcmp(x->dst.tag, tag.s) == 0)
		return false;
	free(x->dst.tag);
	x->dst.tag = xstrdup(tag.s);
	return true;
}

static int settle_tag(struct settling *s, size_t i, struct err *e)
{
	struct catalog_entry *x = &s->mapping->v[i], *first;
	auto_free char *place = print_place(x);
	bool new;
	struct map_entry *at = map_put(&s->by_place, str_of(place), &new);

	if (new) {
		at->num = i;
		return 0;
	}
	first = &s->mapping->v[at->num];
	if (!same_image(s, first, x)) {
		if (take_hash_tag(x, first))
			return settle_tag(s, i, e);
		return collision(s, first, x, e);
	}
	if (is_better(x, first)) {
		merge(x, first);
		at->num = i;
	} else {
		merge(first, x);
	}
	return 0;
}

static int compare_numbers(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

// Entries that took others in have their images behind their own.
static void sort_images(struct catalog_mapping *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].nimages > 1)
			qsort(m->v[i].images, m->v[i].nimages, sizeof(*m->v[i].images),
			      compare_numbers);
}

int catalog_settle_tags(struct catalog_mapping *m, const struct catalog_mapping_config *cfg,
			struct err *e)
{
	struct settling s = {.cfg = cfg, .mapping = m};
	int r = 0;

	s.limit = cfg->dst->type == REF_REGISTRY ? cfg->max_components : 0;
	for (size_t i = 0; r == 0 && i < m->n; i++)
		r = settle_tag(&s, i, e);
	map_release(&s.by_place);
	sort_images(m);
	return r;
}
