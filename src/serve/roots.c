// SPDX-License-Identifier: Apache-2.0
// Several stores as one: the writable store first, then the read-only roots in their order.
//
// A root that could not read a blob is passed over for it for a few minutes, since every attempt at
// a bad sector keeps the medium busy for seconds. Lists are the sum of all roots, or an error: one
// that lacks what a broken root has would pass for complete.
#include "image/manifest.h"
#include "serve/internal.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BAD_MAX = 256 };

#define BAD_US ((uint64_t)5 * 60 * 1000000)

struct bad {
	int root;
	struct digest digest;
	uint64_t until_us;
};

struct roots {
	struct api *api;
	struct store **v;
	int n;

	atomic_bool any_bad; // spares the lock while all is well
	pthread_mutex_t lock;
	struct bad bad[BAD_MAX]; // a ring: the oldest makes room
	unsigned nbad, next_bad;
};

struct roots *roots_new(struct api *a)
{
	struct roots *r = xcalloc(1, sizeof(*r));
	struct store *const *rest = a->cfg.roots;
	size_t n = 0;

	while (rest && rest[n])
		n++;
	r->api = a;
	r->v = xcalloc(n + 1, sizeof(struct store *));
	if (a->cfg.store)
		r->v[r->n++] = a->cfg.store;
	for (size_t i = 0; i < n; i++)
		r->v[r->n++] = rest[i];
	pthread_mutex_init(&r->lock, NULL);
	return r;
}

void roots_free(struct roots *r)
{
	if (!r)
		return;
	pthread_mutex_destroy(&r->lock);
	free(r->v);
	free(r);
}

const char *roots_dir(const struct roots *r, int root)
{
	return store_dir(r->v[root]);
}

// ---- what could not be read

static struct bad *bad_find(struct roots *r, int root, const struct digest *d)
{
	for (unsigned i = 0; i < r->nbad; i++)
		if (r->bad[i].root == root && digest_equal(&r->bad[i].digest, d))
			return &r->bad[i];
	return NULL;
}

static bool is_bad(struct roots *r, int root, const struct digest *d)
{
	if (!atomic_load(&r->any_bad))
		return false;
	pthread_mutex_lock(&r->lock);
	const struct bad *b = bad_find(r, root, d);
	bool bad = b && clock_us() < b->until_us;

	pthread_mutex_unlock(&r->lock);
	return bad;
}

static void mark_bad(struct roots *r, int root, const struct digest *d)
{
	pthread_mutex_lock(&r->lock);
	struct bad *b = bad_find(r, root, d);

	if (!b) {
		b = &r->bad[r->next_bad];
		r->next_bad = (r->next_bad + 1) % BAD_MAX;
		if (r->nbad < BAD_MAX)
			r->nbad++;
	}
	*b = (struct bad){root, *d, clock_us() + BAD_US};
	pthread_mutex_unlock(&r->lock);
	atomic_store(&r->any_bad, true);
}

void roots_mark_bad(struct roots *r, int root, const char *repo, const struct digest *d)
{
	(void)repo; // the content of a root is the same file in all of its repositories
	mark_bad(r, root, d);
}

// ---- content

// A file that is there but was unreadable is a failure, not an absence: clients would take the
// latter for the truth.
static int root_blob(struct roots *r, int root, const char *repo, const struct digest *d,
		     enum store_patience p, struct store_file *ret, struct err *e)
{
	int found = store_blob_file(r->v[root], repo, d, p, ret, e);

	if (found != 0 || !is_bad(r, root, d))
		return found;
	store_file_release(ret);
	err_set(e, ERR_IO, "blob %s of %s could not be read from %s a short while ago", d->text,
		repo, roots_dir(r, root));
	e->os = EIO;
	return -1;
}

int roots_blob(struct roots *r, const char *repo, const struct digest *d, enum store_patience p,
	       struct store_file *ret, int *ret_root, struct err *e)
{
	struct err why = {0}, trouble = {0};

	for (int i = 0; i < r->n; i++) {
		int found = root_blob(r, i, repo, d, p, ret, &why);

		if (found == 0)
			*ret_root = i;
		if (found >= 0)
			return found;
		if (why.kind == ERR_NOT_FOUND)
			continue;
		if (!is_bad(r, i, d)) {
			api_notice(r->api, "%s: %s", roots_dir(r, i), why.text);
			mark_bad(r, i, d);
		}
		if (trouble.kind == ERR_NONE)
			trouble = why;
	}
	*e = trouble.kind != ERR_NONE ? trouble : why;
	return -1;
}

// REF names a damaged manifest in ROOT, and D in another one. Only a D that is damaged in ROOT,
// too, can be the same: what else the other has under the same tag is another image.
static bool stands_in(struct store *root, const char *repo, const struct digest *d)
{
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	struct digest found;
	struct err why = {0};

	return store_manifest_fetch(root, repo, d->text, STORE_MAY_WAIT, &bytes, &found, &why) <
		       0 &&
	       why.kind != ERR_NOT_FOUND;
}

int roots_manifest(struct roots *r, const char *repo, const char *ref, enum store_patience p,
		   struct buf *ret, struct digest *ret_digest, struct err *e)
{
	struct err why = {0}, trouble = {0};
	struct store *damaged = NULL;

	for (int i = 0; i < r->n; i++) {
		int found = store_manifest_fetch(r->v[i], repo, ref, p, ret, ret_digest, &why);

		if (found > 0 || (found == 0 && (!damaged || stands_in(damaged, repo, ret_digest))))
			return found;
		buf_clear(ret);
		if (found == 0 || why.kind == ERR_NOT_FOUND)
			continue;
		if (p == STORE_NO_WAIT)
			return 1;
		api_notice(r->api, "%s: %s", roots_dir(r, i), why.text);
		if (!damaged) {
			damaged = r->v[i];
			trouble = why;
		}
	}
	*e = damaged ? trouble : why;
	return -1;
}

bool roots_repository_exists(struct roots *r, const char *repo)
{
	for (int i = 0; i < r->n; i++)
		if (store_repository_exists(r->v[i], repo))
			return true;
	return false;
}

// ---- lists

// Calls LIST for every root; REPO and SUBJECT are for it.
static int collect(struct roots *r, struct strlist *ret,
		   int (*list)(struct store *s, const char *repo, const struct digest *subject,
			       struct strlist *ret, struct err *e),
		   const char *repo, const struct digest *subject, struct err *e)
{
	for (int i = 0; i < r->n; i++)
		if (list(r->v[i], repo, subject, ret, e) < 0 && e->kind != ERR_NOT_FOUND)
			return err_wrap(e, "%s", roots_dir(r, i));
	if (r->n > 1) {
		strlist_sort(ret);
		strlist_unique(ret);
	}
	return 0;
}

static int list_tags_of(struct store *s, const char *repo, const struct digest *subject,
			struct strlist *ret, struct err *e)
{
	(void)subject;
	return store_tags(s, repo, ret, e);
}

static int list_repositories_of(struct store *s, const char *repo, const struct digest *subject,
				struct strlist *ret, struct err *e)
{
	(void)repo;
	(void)subject;
	return store_repositories(s, ret, e);
}

int roots_tags(struct roots *r, const char *repo, struct strlist *ret, struct err *e)
{
	return collect(r, ret, list_tags_of, repo, NULL, e);
}

int roots_repositories(struct roots *r, struct strlist *ret, struct err *e)
{
	return collect(r, ret, list_repositories_of, NULL, NULL, e);
}

int roots_referrers(struct roots *r, const char *repo, const struct digest *subject,
		    struct strlist *ret, struct err *e)
{
	return collect(r, ret, store_referrers, repo, subject, e);
}
