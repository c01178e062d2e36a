// SPDX-License-Identifier: Apache-2.0
// Catalogs that are a list of images, and what they are mapped to.
#ifndef TESTS_CATALOG_MAPPED_H
#define TESTS_CATALOG_MAPPED_H

#include "catalog/mapping.h"
#include "util/cleanup.h"
#include "util/fs.h"

#include <string.h>

#define DATA TEST_DATA "/catalog-mappings/"

enum { IMAGES_MAX = 64 };

static inline void add_text(struct catalog *c, struct str text)
{
	if (!c->images)
		c->images = arena_alloc(&c->arena, IMAGES_MAX * sizeof(*c->images));
	if (c->nimages < IMAGES_MAX)
		c->images[c->nimages++].text = arena_strndup(&c->arena, text.p, text.n);
}

// TEXTS: one in a line, sorted.
static inline void catalog_of(struct catalog *ret, const char *texts)
{
	struct str rest = str_of(texts);

	*ret = (struct catalog){0};
	while (rest.n > 0)
		add_text(ret, str_cut(&rest, '\n'));
}

static inline void read_data(struct buf *ret, const char *name)
{
	auto_free char *path = path_join(DATA, name);
	struct err e;

	if (fs_read_file(ret, path, &e) < 0)
		printf("# %s\n", e.text);
}

// A command line, and the references that are made of it.
struct line {
	const char *src, *dst, *index_dst;
	int max_components;
};

struct parsed {
	struct reference src, dst, index_dst;
	struct catalog_mapping_config cfg;
};
#define auto_parsed __attribute__((cleanup(parsed_release)))

static inline void parsed_release(struct parsed *p)
{
	reference_release(&p->src);
	reference_release(&p->dst);
	reference_release(&p->index_dst);
}

static inline int parse_line(struct parsed *ret, const struct line *l, struct err *e)
{
	*ret = (struct parsed){0};
	ret->cfg = (struct catalog_mapping_config){
		.src = &ret->src, .dst = &ret->dst, .max_components = l->max_components};
	if (reference_parse(&ret->src, l->src, 0, e) < 0 ||
	    catalog_dest_parse(&ret->dst, l->dst, e) < 0)
		return -1;
	if (!l->index_dst)
		return 0;
	ret->cfg.index_dst = &ret->index_dst;
	return reference_parse(&ret->index_dst, l->index_dst, 0, e);
}

static inline int map_catalog(struct catalog_mapping *ret, const struct catalog *c,
			      const struct line *l, struct err *e)
{
	auto_parsed struct parsed p;

	if (parse_line(&p, l, e) < 0 || catalog_mapping_check(&p.cfg, e) < 0)
		return -1;
	return catalog_mapping_make(c, &p.cfg, ret, e);
}

static inline int map_texts(struct catalog_mapping *ret, const char *texts, const struct line *l,
			    struct err *e)
{
	auto_catalog struct catalog c;

	catalog_of(&c, texts);
	return map_catalog(ret, &c, l, e);
}

// The mapping that says what to copy; a failure is its text.
static inline char *mapped(const char *texts, const struct line *l)
{
	auto_catalog_mapping struct catalog_mapping m = {0};
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
	struct err e;

	if (map_texts(&m, texts, l, &e) < 0)
		return xstrdup(e.text);
	catalog_mapping_print(&text, &m);
	return buf_take(&text);
}

#endif
