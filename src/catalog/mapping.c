// SPDX-License-Identifier: Apache-2.0
// Images of a catalog and their places: spelled alike, they are one; two that would be one are an
// error.
#include "catalog/mapping.h"

#include "data/gofmt.h"
#include "util/cleanup.h"
#include "util/map.h"

#include <string.h>

enum { NAME_MAX_LEN = 255, PORT_MAX = 65535 };

static void entry_release(struct catalog_entry *x)
{
	reference_release(&x->src);
	reference_release(&x->origin);
	reference_release(&x->dst);
	free(x->images);
}

void catalog_mapping_release(struct catalog_mapping *m)
{
	for (size_t i = 0; i < m->n; i++)
		entry_release(&m->v[i]);
	free(m->v);
	strlist_release(&m->bad);
	*m = (struct catalog_mapping){0};
}

// DEST and what else is asked for.

// The reference does not show the prefix of what it could not parse.
static int dest_refused(const char *text, struct err *e)
{
	auto_reference struct reference ignored = {0};
	struct err why;

	for (const char *const *p = (const char *const[]){"file://", "s3://", NULL}; *p; p++) {
		if (!starts_with(text, *p))
			continue;
		text += strlen(*p);
		if (reference_parse(&ignored, text, REF_NO_PREFIX, &why) < 0)
			*e = why;
		return -1;
	}
	if (starts_with(text, "docker://"))
		return err_hint(e, "hint: leave out docker://, a registry needs no prefix");
	return -1;
}

// "mirror:5000", which the grammar reads as a repository and its tag.
static bool is_short_registry(const struct reference *r)
{
	uint64_t port;

	return r->type == REF_REGISTRY && *r->registry == '\0' && !r->has_digest &&
	       !strpbrk(r->repository, "/_") && str_u64(str_of(r->tag), PORT_MAX, &port);
}

int catalog_dest_parse(struct reference *ret, const char *text, struct err *e)
{
	struct reference r;

	if (reference_parse(&r, text, 0, e) < 0)
		return dest_refused(text, e);
	if (is_short_registry(&r)) {
		free(r.registry);
		r.registry = xasprintf("%s:%s", r.repository, r.tag);
		*r.repository = '\0';
		*r.tag = '\0';
	}
	*ret = r;
	return 0;
}

static int check_index_dst(const struct catalog_mapping_config *cfg, struct err *e)
{
	const struct reference *at = cfg->index_dst;
	auto_free char *text = reference_print(at);

	if (cfg->dst->type == REF_FILE)
		return err_set(e, ERR_USAGE,
			       "the place of the index cannot be chosen in a folder: images are "
			       "found below it");
	if (at->type != REF_REGISTRY || *at->registry == '\0' || *at->repository == '\0')
		return err_set(e, ERR_USAGE, "'%s' is no repository of a registry for the index",
			       text);
	if (at->has_digest)
		return err_set(e, ERR_USAGE, "'%s' has a digest: the index is pushed under a tag",
			       text);
	return 0;
}

int catalog_mapping_check(const struct catalog_mapping_config *cfg, struct err *e)
{
	auto_free char *dst = reference_print(cfg->dst);

	if (cfg->dst->type == REF_S3)
		return err_set(e, ERR_USAGE,
			       "'%s': S3 is not supported, mirror to a folder (file://) and copy "
			       "it",
			       dst);
	if (cfg->dst->type == REF_REGISTRY && *cfg->dst->registry == '\0') {
		err_set(e, ERR_USAGE, "destination '%s' names no registry", dst);
		return err_hint(e, "hint: REGISTRY/%s for a registry, file://%s for a folder", dst,
				dst);
	}
	if (cfg->dst->type == REF_REGISTRY && cfg->max_components == 1)
		return err_set(e, ERR_USAGE,
			       "maxPathComponents must be 0 (no limit) or greater than 1");
	return cfg->index_dst ? check_index_dst(cfg, e) : 0;
}

// The images.

struct building {
	const struct catalog_mapping_config *cfg;
	struct reference dest; // of the images
	int limit;             // of components there
	struct catalog_mapping *to;
	struct map by_origin;
	size_t bytes; // of the names of all entries
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

static void add_bad(struct building *b, const char *text, const char *why)
{
	auto_free char *quoted =
		prints_whole(str_of(text)) ? xstrdup(text) : gofmt_quote(str_of(text));

	strlist_addf(&b->to->bad, "couldn't parse image for mirroring (%s), skipping mirror: %s",
		     quoted, why);
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
	if (dst->type == REF_REGISTRY && strlen(name) > NAME_MAX_LEN)
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

static int count_bytes(struct building *b, const struct catalog_entry *x, struct err *e)
{
	b->bytes +=
		reference_bytes(&x->src) + reference_bytes(&x->origin) + reference_bytes(&x->dst);
	if (b->bytes > CATALOG_MAPPING_MAX)
		return err_set(e, ERR_INPUT, "the names of the images take more than %zu MiB",
			       CATALOG_MAPPING_MAX >> 20);
	return 0;
}

static struct catalog_entry *new_entry(struct catalog_mapping *m)
{
	vec_reserve(m->v, m->n, m->cap);
	m->v[m->n] = (struct catalog_entry){0};
	return &m->v[m->n++];
}

static void add_spelling(struct catalog_entry *x, uint32_t image)
{
	vec_reserve(x->images, x->nimages, x->cap);
	x->images[x->nimages++] = image;
}

// Below the index when that is in a folder; a tag that only stands in for a digest is not asked
// for.
static void place_source(struct catalog_entry *x, const struct reference *index)
{
	if (index->type == REF_REGISTRY) {
		reference_copy(&x->src, &x->origin);
		return;
	}
	catalog_mount(&x->src, &x->origin, index, 0);
	if (*x->origin.tag == '\0')
		*x->src.tag = '\0';
}

// Takes ORIGIN and DST.
static int add_entry(struct building *b, struct reference *origin, struct reference *dst,
		     uint32_t image, struct err *e)
{
	struct catalog_entry *x = new_entry(b->to);

	x->origin = *origin;
	x->dst = *dst;
	*origin = *dst = (struct reference){0};
	place_source(x, b->cfg->src);
	x->is_there = !x->src.has_digest && reference_same(&x->src, &x->dst);
	add_spelling(x, image);
	return count_bytes(b, x, e);
}

static int add_image(struct building *b, const char *text, uint32_t image, struct err *e)
{
	auto_reference struct reference origin = {0}, dst = {0};
	struct err why;
	bool new;

	if (reference_parse(&origin, text, REF_NO_PREFIX, &why) < 0) {
		add_bad(b, text, why.text);
		return 0;
	}
	if (*origin.repository == '\0') {
		add_bad(b, text, "it is a registry without a repository");
		return 0;
	}
	catalog_mount(&dst, &origin, &b->dest, b->limit); // hashes the name as it is written
	auto_free char *refused = refuse_place(&dst);

	if (refused) {
		add_bad(b, text, refused);
		return 0;
	}
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
		rows[i] = (struct sort_row){reference_print(&m->v[i].src), &m->v[i].origin, i};
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
	struct catalog_entry *x = new_entry(b->to);
	bool stays;

	reference_copy(&x->src, b->cfg->src);
	reference_copy(&x->origin, b->cfg->src);
	x->is_index = true;
	place_index(&x->dst, b, &stays);
	x->is_there = stays || (!x->src.has_digest && reference_same(&x->src, &x->dst));
	auto_free char *refused = refuse_place(&x->dst);

	if (refused)
		return err_set(e, ERR_INPUT, "%s", refused);
	return count_bytes(b, x, e);
}

// Two images and one tag.

static bool same_repository(const struct reference *a, const struct reference *b)
{
	return a->type == b->type && strcmp(a->registry, b->registry) == 0 &&
	       strcmp(a->repository, b->repository) == 0;
}

static const struct digest *known_digest(const struct building *b, const struct catalog_entry *x)
{
	if (x->src.has_digest)
		return &x->src.digest;
	return x->is_index ? b->cfg->src_root : NULL;
}

// What X is; asks for it when it is not known. NULL: nobody can tell.
static const struct digest *ask_digest(const struct building *b, const struct catalog_entry *x,
				       struct digest *room)
{
	const struct digest *known = known_digest(b, x);
	struct err ignored;

	if (known || !b->cfg->tag_digest)
		return known;
	return b->cfg->tag_digest(b->cfg->arg, &x->src, room, &ignored) == 0 ? room : NULL;
}

static bool same_image(const struct building *b, const struct catalog_entry *x,
		       const struct catalog_entry *y)
{
	const struct digest *of_x = known_digest(b, x), *of_y = known_digest(b, y);
	struct digest room_x, room_y;

	// "img:v1" beside "img:v1@sha256:…": the catalog itself says what the tag stands for.
	if (same_repository(&x->src, &y->src) && strcmp(x->src.tag, y->src.tag) == 0 &&
	    !(of_x && of_y))
		return true;
	of_x = ask_digest(b, x, &room_x);
	of_y = of_x ? ask_digest(b, y, &room_y) : NULL;
	return of_x && of_y && digest_equal(of_x, of_y);
}

static int collision(const struct building *b, const struct catalog_entry *x,
		     const struct catalog_entry *y, struct err *e)
{
	auto_free char *one = reference_print(&x->origin);
	auto_free char *other = reference_print(&y->origin);
	auto_free char *place = reference_print_repository(&x->dst);
	bool joined = strcmp(x->origin.repository, y->origin.repository) != 0;

	err_set(e, ERR_INPUT, "%s and %s would both become %s:%s", one, other, place, x->dst.tag);
	if (joined && b->limit > 0)
		return err_hint(e,
				"hint: their paths are joined to one name; raise --max-components "
				"above %d, 0 is no limit",
				b->limit);
	return err_hint(e, "hint: a mirror has no place for both, and they are not known to be the "
			   "same image; leave one of them out of the catalog");
}

// DROPPED needs no copy of its own any more; whoever needs it needs KEPT.
static void merge(struct catalog_entry *kept, struct catalog_entry *dropped)
{
	size_t n = 0, i = 0, k = 0;

	dropped->is_there = true;
	if (kept->is_index || dropped->is_index)
		return;
	uint32_t *all = xreallocarray(NULL, kept->nimages + dropped->nimages, sizeof(*all));

	while (i < kept->nimages || k < dropped->nimages)
		if (k == dropped->nimages ||
		    (i < kept->nimages && kept->images[i] < dropped->images[k]))
			all[n++] = kept->images[i++];
		else
			all[n++] = dropped->images[k++];
	free(kept->images);
	kept->images = all;
	kept->nimages = kept->cap = n;
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
	struct catalog_hash_tag tag = catalog_hash_tag(&x->origin);

	if (strcmp(x->dst.tag, tag.s) == 0)
		return false;
	free(x->dst.tag);
	x->dst.tag = xstrdup(tag.s);
	return true;
}

static int settle_tag(struct building *b, struct map *by_place, size_t i, struct err *e)
{
	struct catalog_entry *x = &b->to->v[i], *first;
	auto_free char *place = print_place(x);
	bool new;
	struct map_entry *at = map_put(by_place, str_of(place), &new);

	if (new) {
		at->num = i;
		return 0;
	}
	first = &b->to->v[at->num];
	if (!same_image(b, first, x)) {
		if (take_hash_tag(x, first))
			return settle_tag(b, by_place, i, e);
		return collision(b, first, x, e);
	}
	if (is_better(x, first)) {
		merge(x, first);
		at->num = i;
	} else {
		merge(first, x);
	}
	return 0;
}

static int settle_tags(struct building *b, struct err *e)
{
	auto_map struct map by_place = {0};

	for (size_t i = 0; i < b->to->n; i++)
		if (settle_tag(b, &by_place, i, e) < 0)
			return -1;
	return 0;
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
	if (add_index(&b, e) < 0 || settle_tags(&b, e) < 0)
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
