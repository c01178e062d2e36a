// SPDX-License-Identifier: Apache-2.0
// Destinations of a dry run.
#include "mirror/paper.h"

#include <assert.h>

#include "util/map.h"
#include "util/mem.h"

struct paper {
	struct place base;
	struct map repos; // by name, owned
};

static struct repo *by_name(struct place *p, const char *name)
{
	struct paper *paper = (struct paper *)p;
	struct map_entry *entry = map_put(&paper->repos, str_of(name), NULL);

	if (!entry->ptr) {
		struct repo *r = xcalloc(1, sizeof(*r));

		r->place = p;
		r->name = xstrdup(name);
		entry->ptr = r;
	}
	return entry->ptr;
}

static int probe(struct place *p, bool write, struct err *e)
{
	(void)p;
	(void)write;
	(void)e;
	return 0;
}

static int sync_nothing(struct place *p, struct err *e)
{
	(void)p;
	(void)e;
	return 0;
}

static int free_space(struct place *p, uint64_t *ret, struct err *e)
{
	(void)p;
	(void)ret;
	return err_set(e, ERR_UNSUPPORTED, "a dry run looks at no folder");
}

static struct limiter *limiter(struct place *p)
{
	(void)p;
	return NULL;
}

static void paper_free(struct place *p)
{
	struct paper *paper = (struct paper *)p;

	for (size_t i = 0; i < paper->repos.n; i++) {
		struct repo *r = paper->repos.entries[i].ptr;

		free((char *)r->name);
		free(r);
	}
	map_release(&paper->repos);
	free(paper);
}

static const struct place_ops ops = {
	.repo = by_name,
	.probe = probe,
	.sync = sync_nothing,
	.free_space = free_space,
	.limiter = limiter,
	.free = paper_free,
};

struct place *paper_new(void)
{
	struct paper *p = xcalloc(1, sizeof(*p));

	p->base = (struct place){.ops = &ops, .kind = PLACE_STORE, .name = "file://"};
	return &p->base;
}

struct repo *paper_repo(struct place *p, const struct reference *ref)
{
	assert(ref->type == REF_FILE);
	auto_free char *name = reference_file_path(ref);

	return by_name(p, name);
}
