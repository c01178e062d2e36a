// SPDX-License-Identifier: Apache-2.0
// What all places share: dispatch, printing, names.
#include "repo/repo.h"

#include "repo/names.h"
#include "util/mem.h"

#include <stdlib.h>

struct repo *place_repo(struct place *p, const char *name)
{
	return p->ops->repo(p, name);
}

void place_free(struct place *p)
{
	if (p)
		p->ops->free(p);
}

struct limiter *place_limiter(struct place *p)
{
	return p->ops->limiter(p);
}

char *repo_print(const struct repo *r)
{
	const char *place = r->place->name;
	bool plain = r->place->kind == PLACE_STORE || *place == '\0';

	return xasprintf("%s%s%s", place, plain ? "" : "/", r->name);
}

void manifest_bytes_release(struct manifest_bytes *m)
{
	buf_free(&m->bytes);
	free(m->media_type);
	m->media_type = NULL;
}

void repo_names_init(struct repo_names *names)
{
	pthread_mutex_init(&names->lock, NULL);
	names->map = (struct map){0};
}

struct repo *repo_names_get(struct repo_names *names, struct place *p, const struct repo_ops *ops,
			    const char *name,
			    struct repo *(*new)(struct place *p, const char *name))
{
	bool is_new;

	pthread_mutex_lock(&names->lock);
	struct map_entry *en = map_put(&names->map, str_of(name), &is_new);

	if (is_new) {
		struct repo *r = new (p, name);

		r->ops = ops;
		r->place = p;
		r->name = xstrdup(name);
		en->ptr = r;
	}
	struct repo *r = en->ptr;

	pthread_mutex_unlock(&names->lock);
	return r;
}

void repo_names_release(struct repo_names *names, void (*free_repo)(struct repo *r))
{
	for (size_t i = 0; i < names->map.n; i++) {
		struct repo *r = names->map.entries[i].ptr;

		free((char *)r->name);
		free_repo(r);
	}
	map_release(&names->map);
	pthread_mutex_destroy(&names->lock);
}
