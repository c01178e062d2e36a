// SPDX-License-Identifier: Apache-2.0
// Places by what a reference says.
#include "repo/place.h"

#include "repo/adapters.h"
#include "repo/mirrored.h"
#include "util/map.h"
#include "util/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct folder {
	char *dir;
	struct place *place; // NULL until it is used
};

struct places {
	struct places_config cfg;
	struct folder from, to; // TO's place is FROM's when both are one folder
	pthread_mutex_t lock;
	struct map registries; // guarded by lock, as are the places of the folders: name → place
	struct map mirrored; // guarded by lock: "registry/repository" → repo, NULL without mirrors
};

struct places *places_new(const struct places_config *cfg)
{
	struct places *p = xcalloc(1, sizeof(*p));
	const char *from = cfg->from_dir ? cfg->from_dir : cfg->dir;
	const char *to = cfg->dir ? cfg->dir : cfg->from_dir;

	p->cfg = *cfg;
	p->from.dir = xstrdup(from && *from ? from : ".");
	p->to.dir = xstrdup(to && *to ? to : ".");
	pthread_mutex_init(&p->lock, NULL);
	return p;
}

void places_free(struct places *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->mirrored.n; i++)
		if (p->mirrored.entries[i].ptr)
			mirrored_free(p->mirrored.entries[i].ptr);
	map_release(&p->mirrored);
	for (size_t i = 0; i < p->registries.n; i++)
		place_free(p->registries.entries[i].ptr);
	map_release(&p->registries);
	if (p->to.place != p->from.place)
		place_free(p->to.place);
	place_free(p->from.place);
	free(p->from.dir);
	free(p->to.dir);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static bool same_folder(const char *a, const char *b)
{
	auto_free char *real_a = realpath(a, NULL), *real_b = realpath(b, NULL);

	if (!real_a || !real_b)
		return strcmp(a, b) == 0;
	return strcmp(real_a, real_b) == 0;
}

// The place of ONE; that of OTHER when both are the same folder. Called locked.
static struct place *folder_place(struct places *p, struct folder *one, const struct folder *other)
{
	if (one->place)
		return one->place;
	if (other->place && same_folder(one->dir, other->dir))
		return one->place = other->place;
	const struct store_config cfg = {
		.dir = one->dir,
		.layout = p->cfg.layout,
		.pool = p->cfg.registry.pool,
		.cancel = p->cfg.registry.cancel,
	};

	return one->place = place_store_new(&cfg);
}

static struct place *open_source(struct places *p, struct err *e)
{
	pthread_mutex_lock(&p->lock);
	struct place *place = folder_place(p, &p->from, &p->to);

	pthread_mutex_unlock(&p->lock);
	return place_store_readable(place, e) < 0 ? NULL : place;
}

static struct place *open_destination(struct places *p, struct err *e)
{
	auto_free char *notice = NULL;

	pthread_mutex_lock(&p->lock);
	struct place *place = folder_place(p, &p->to, &p->from);

	pthread_mutex_unlock(&p->lock);
	if (place_store_writable(place, &notice, e) < 0)
		return NULL;
	if (notice && p->cfg.on_notice)
		p->cfg.on_notice(p->cfg.on_notice_arg, notice);
	return place;
}

// Where a source is in PLACE: ferry keeps a host that was written in front ("quay.io/org/img"), the
// reference drops it ("org/img"). Both are read, the longer name first.
static int source_path(struct place *place, const struct reference *ref, char **ret, struct err *e)
{
	auto_free char *path = reference_file_path(ref);
	bool longer = true, shorter = false;

	if (strcmp(path, ref->repository) != 0 && *ref->repository) {
		if (place_store_has(place, path, &longer, e) < 0 ||
		    place_store_has(place, ref->repository, &shorter, e) < 0)
			return -1;
	}
	*ret = !longer && shorter ? xstrdup(ref->repository) : steal(&path);
	return 0;
}

static struct repo *file_repo(struct places *p, const struct reference *ref, bool write,
			      struct err *e)
{
	struct place *place = write ? open_destination(p, e) : open_source(p, e);
	auto_free char *path = NULL;

	if (!place)
		return NULL;
	if (write)
		path = reference_file_path(ref);
	else if (source_path(place, ref, &path, e) < 0)
		return NULL;
	return place_repo(place, path);
}

static struct repo *registry_repo(struct places *p, const struct reference *ref, bool write)
{
	pthread_mutex_lock(&p->lock);
	struct map_entry *en = map_put(&p->registries, str_of(ref->registry), NULL);

	if (!en->ptr)
		en->ptr = place_registry_new(ref->registry, &p->cfg.registry);
	struct place *place = en->ptr;

	pthread_mutex_unlock(&p->lock);
	if (write)
		place_registry_written(place, ref->repository);
	return place_repo(place, ref->repository);
}

static struct place_mirrors ask_mirrors(struct places *p, const struct reference *ref, bool tags)
{
	struct place_mirrors found = {0};

	p->cfg.mirrors(p->cfg.mirrors_arg, ref, tags, &found);
	return found;
}

static void add_mirrors(struct places *p, struct mirrored_places *to,
			const struct place_mirrors *found)
{
	to->v = xreallocarray(to->v, to->n + found->n + 1, sizeof(struct repo *));
	for (size_t i = 0; i < found->n; i++)
		to->v[to->n++] = registry_repo(p, &found->v[i], false);
}

// SOURCE comes once, and last.
static void add_source(struct mirrored_places *to, struct repo *source, bool never)
{
	size_t n = 0;

	for (size_t i = 0; i < to->n; i++)
		if (to->v[i] != source)
			to->v[n++] = to->v[i];
	to->n = n;
	if (!never)
		to->v[to->n++] = source;
}

static void mirrors_release(struct place_mirrors *found)
{
	for (size_t i = 0; i < found->n; i++)
		reference_release(&found->v[i]);
	free(found->v);
}

// REF's repository, which is SOURCE, with its mirrors; NULL when it has none and may be asked. What
// a tag names at its mirrors is there by digest, too.
static struct repo *with_mirrors(struct places *p, const struct reference *ref, struct repo *source)
{
	struct place_mirrors digests = ask_mirrors(p, ref, false), tags = ask_mirrors(p, ref, true);
	struct mirrored_places by_digest = {0}, by_tag = {0};
	struct repo *ret = NULL;

	if (digests.n > 0 || tags.n > 0 || digests.never_source || tags.never_source) {
		bool never = digests.never_source || (digests.n == 0 && tags.never_source);

		add_mirrors(p, &by_digest, &digests);
		add_mirrors(p, &by_digest, &tags);
		add_mirrors(p, &by_tag, &tags);
		add_source(&by_digest, source, never);
		add_source(&by_tag, source, tags.never_source);
		ret = mirrored_new(source, by_digest, by_tag);
	}
	mirrors_release(&digests);
	mirrors_release(&tags);
	return ret;
}

static struct repo *mirrored_repo(struct places *p, const struct reference *ref)
{
	struct repo *source = registry_repo(p, ref, false);
	auto_free char *name = reference_print_repository(ref);

	pthread_mutex_lock(&p->lock);
	struct map_entry *known = map_find(&p->mirrored, str_of(name));
	struct repo *r = known ? known->ptr : NULL;

	pthread_mutex_unlock(&p->lock);
	if (known)
		return r ? r : source;
	r = with_mirrors(p, ref, source);
	pthread_mutex_lock(&p->lock);
	bool new;
	struct map_entry *en = map_put(&p->mirrored, str_of(name), &new);

	// Another thread may have been faster.
	if (new)
		en->ptr = steal(&r);
	struct repo *kept = en->ptr;

	pthread_mutex_unlock(&p->lock);
	if (r)
		mirrored_free(r);
	return kept ? kept : source;
}

struct repo *places_repo(struct places *p, const struct reference *ref, bool write, struct err *e)
{
	if (ref->type == REF_S3) {
		err_set(e, ERR_UNSUPPORTED,
			"'s3://%s%s%s': S3 is not supported, mirror to a folder (file://) and copy it",
			ref->registry, *ref->registry ? "/" : "", ref->repository);
		return NULL;
	}
	if (*ref->repository == '\0' && (ref->type == REF_REGISTRY || *ref->registry == '\0')) {
		err_set(e, ERR_INPUT, "unable to connect to %s: invalid reference format",
			ref->registry);
		return NULL;
	}
	if (ref->type == REF_FILE)
		return file_repo(p, ref, write, e);
	if (!write && p->cfg.mirrors)
		return mirrored_repo(p, ref);
	return registry_repo(p, ref, write);
}

struct store *place_store(struct place *p)
{
	return p->kind == PLACE_STORE ? place_store_of(p) : NULL;
}

struct registry *place_registry(struct place *p)
{
	return p->kind == PLACE_REGISTRY ? place_registry_of(p) : NULL;
}

int places_sync(struct places *p, struct err *e)
{
	// Only folders keep anything back; a place that is read only has nothing to sync.
	struct place *folders[] = {p->to.place, p->from.place};

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if (folders[i] && folders[i]->ops->sync(folders[i], e) < 0)
			return -1;
	return 0;
}
