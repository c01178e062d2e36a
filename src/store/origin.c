// SPDX-License-Identifier: Apache-2.0
// Where images came from.
#include "store/internal.h"
#include "util/cleanup.h"

#include <string.h>

bool origin_ok(struct str text)
{
	if (text.n == 0 || text.n > STORE_ORIGIN_MAX)
		return false;
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] <= ' ' || text.p[i] > '~')
			return false;
	return true;
}

// Under origin_lock, or before there are threads.
static void set_origin(struct store *s, const char *key, struct str origin)
{
	struct map_entry *en = map_put(&s->origins, str_of(key), NULL);

	free(en->ptr);
	en->ptr = xstrndup(origin.p, origin.n);
}

void origin_remember(struct store *s, struct str repo, struct str digest, struct str origin)
{
	auto_free char *name = xstrndup(repo.p, repo.n);
	auto_free char *text = xstrndup(digest.p, digest.n);
	struct digest d;
	struct err ignored;

	if (s->origins.n >= STORE_ENTRIES_MAX || !origin_ok(origin) ||
	    repo_check(name, &ignored) < 0 || digest_parse(&d, text, &ignored) < 0)
		return;
	auto_free char *key = xasprintf("%s %s", name, d.text);

	set_origin(s, key, origin);
}

// Under origin_lock.
static int load(struct store *s, struct err *e)
{
	if (!s->origins_loaded && s->layout->origins_load(s, e) < 0)
		return -1;
	s->origins_loaded = true;
	return 0;
}

int store_origin_put(struct store *s, const char *repo, const struct digest *digest,
		     const char *origin, struct err *e)
{
	auto_free char *key = xasprintf("%s %s", repo, digest->text);
	bool known = false;
	int r;

	if (stage_ready(s, repo, e) < 0)
		return -1;
	if (!origin_ok(str_of(origin)))
		return err_set(e, ERR_INPUT, "'%.100s' cannot be recorded as an origin", origin);
	pthread_mutex_lock(&s->origin_lock);
	r = load(s, e);
	if (r == 0) {
		const char *have = map_get(&s->origins, key);

		known = have && strcmp(have, origin) == 0;
		if (!known)
			set_origin(s, key, str_of(origin));
	}
	pthread_mutex_unlock(&s->origin_lock);
	if (r < 0 || known)
		return r;
	struct staged *it = staged_new(STAGED_ORIGIN, repo, digest);

	it->text = xstrdup(origin);
	stage_add(s, it);
	return barrier_if_due(s, e);
}

int store_origin_get(struct store *s, const char *repo, const struct digest *digest, char **ret,
		     struct err *e)
{
	auto_free char *key = xasprintf("%s %s", repo, digest->text);

	if (repo_check(repo, e) < 0)
		return -1;
	pthread_mutex_lock(&s->origin_lock);
	int r = load(s, e);
	const char *have = r < 0 ? NULL : map_get(&s->origins, key);
	char *copy = have ? xstrdup(have) : NULL;

	pthread_mutex_unlock(&s->origin_lock);
	if (r == 0)
		*ret = copy;
	return r;
}

int origin_each(struct store *s,
		int (*fn)(void *arg, const char *repo, const struct digest *d, const char *origin,
			  struct err *e),
		void *arg, struct err *e)
{
	pthread_mutex_lock(&s->origin_lock);
	int r = load(s, e);

	for (size_t i = 0; r == 0 && i < s->origins.n; i++) {
		const struct map_entry *en = &s->origins.entries[i];
		const char *space = strchr(en->key, ' ');
		auto_free char *repo = xstrndup(en->key, (size_t)(space - en->key));
		struct digest d;

		r = digest_parse(&d, space + 1, e);
		if (r == 0)
			r = fn(arg, repo, &d, en->ptr, e);
	}
	pthread_mutex_unlock(&s->origin_lock);
	return r;
}
