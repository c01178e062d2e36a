// SPDX-License-Identifier: Apache-2.0
// What a mirror that holds one release has to be sent for another.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "release/info.h"
#include "release/tasks.h"
#include "util/map.h"

enum { NESTED_MAX = 4, BLOBS_MAX = 1000000 };

// An image of a release by the digest it is named by.
struct root {
	struct repo *repo;
	struct digest digest;
	const char *name; // of the component, borrowed
	struct err failed;
};

// The content of some images: every manifest, configuration and layer.
struct content {
	struct root *roots;
	size_t n;
	pthread_mutex_t lock;
	struct map blobs; // guarded by lock: digest → bytes
};

static int note(struct content *c, const struct digest *d, uint64_t bytes, bool *ret_new,
		struct err *e)
{
	pthread_mutex_lock(&c->lock);
	bool full = c->blobs.n >= BLOBS_MAX;

	if (!full)
		map_put(&c->blobs, str_of(d->text), ret_new)->num = bytes;
	pthread_mutex_unlock(&c->lock);
	return full ? err_set(e, ERR_INPUT, "the release has more than %d blobs", BLOBS_MAX) : 0;
}

static int note_image(struct content *c, const struct manifest *m, struct err *e)
{
	bool new;

	if (note(c, &m->config.digest, m->config.size, &new, e) < 0)
		return -1;
	for (size_t i = 0; i < m->nlayers; i++)
		if (note(c, &m->layers[i].digest, m->layers[i].size, &new, e) < 0)
			return -1;
	return 0;
}

static int walk(struct content *c, struct repo *repo, const struct digest *d, unsigned depth,
		struct err *e)
{
	auto_manifest_bytes struct manifest_bytes bytes = {0};
	auto_manifest struct manifest m = {0};
	bool new;

	if (depth > NESTED_MAX)
		return err_set(e, ERR_INPUT, "lists nested more than %d deep", NESTED_MAX);
	if (repo->ops->manifest_get(repo, d->text, &bytes, e) < 0 ||
	    manifest_parse(&m, buf_str(&bytes.bytes), bytes.media_type, d->text, e) < 0 ||
	    note(c, d, bytes.bytes.n, &new, e) < 0)
		return -1;
	if (m.kind == MANIFEST_IMAGE)
		return note_image(c, &m, e);
	for (size_t i = 0; i < m.nmanifests; i++)
		if (walk(c, repo, &m.manifests[i].digest, depth + 1, e) < 0)
			return err_wrap(e, "entry %s", m.manifests[i].digest.text);
	return 0;
}

static void read_root(void *arg, size_t i)
{
	struct content *c = arg;
	struct root *root = &c->roots[i];
	struct err e = {0};

	if (walk(c, root->repo, &root->digest, 1, &e) < 0)
		root->failed = e;
}

// The folder that the release image comes from may hold its components, too.
static struct repo *component_repo(struct places *places, const struct release_info *r,
				   const struct reference *ref, struct err *e)
{
	struct repo *folder =
		r->ref.type == REF_FILE ? places_repo(places, &r->ref, false, e) : NULL;
	struct manifest_stat st;

	if (folder && folder->ops->manifest_stat(folder, ref->digest.text, &st, e) == 0)
		return folder;
	return places_repo(places, ref, false, e);
}

static int add_component(struct content *c, struct places *places, const struct release_info *r,
			 const struct payload_component *from, struct err *e)
{
	struct root *root = &c->roots[c->n];

	if (!from->ref.has_digest)
		return err_set(e, ERR_INPUT, "component %s is not named by digest", from->name);
	root->repo = component_repo(places, r, &from->ref, e);
	if (!root->repo)
		return -1;
	root->digest = from->ref.digest;
	root->name = from->name;
	c->n++;
	return 0;
}

static bool has_component(const struct release_info *r, const struct digest *d)
{
	for (size_t i = 0; i < r->payload.ncomponents; i++)
		if (digest_equal(&r->payload.components[i].ref.digest, d))
			return true;
	return false;
}

// The release image and its components, but for those that KNOWN (may be NULL) has, too.
static int add_roots(struct content *c, struct places *places, const struct release_info *r,
		     const struct release_info *known, struct err *e)
{
	const struct payload *p = &r->payload;
	struct repo *repo = places_repo(places, &r->ref, false, e);

	if (!repo)
		return -1;
	c->roots = xcalloc(p->ncomponents + 1, sizeof(*c->roots));
	if (!known || !digest_equal(&known->payload.root, &p->root))
		c->roots[c->n++] =
			(struct root){.repo = repo, .digest = p->root, .name = "release"};
	for (size_t i = 0; i < p->ncomponents; i++) {
		const struct payload_component *one = &p->components[i];

		if (known && has_component(known, &one->ref.digest))
			continue;
		if (add_component(c, places, r, one, e) < 0)
			return -1;
	}
	return 0;
}

static int read_content(struct content *c, struct places *places, const struct release_info *r,
			const struct release_info *known, unsigned parallel, struct err *e)
{
	if (add_roots(c, places, r, known, e) < 0)
		return err_wrap(e, "%s", r->image);
	tasks_run(c->n, parallel, read_root, c);
	for (size_t i = 0; i < c->n; i++)
		if (c->roots[i].failed.kind != ERR_NONE) {
			*e = c->roots[i].failed;
			return err_wrap(e, "component %s of %s", c->roots[i].name, r->image);
		}
	return 0;
}

static void content_release(struct content *c)
{
	map_release(&c->blobs);
	free(c->roots);
	pthread_mutex_destroy(&c->lock);
}

int release_upgrade_read(struct release_upgrade *ret, struct places *places,
			 const struct release_info *from, const struct release_info *to,
			 unsigned parallel, struct err *e)
{
	struct content old = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct content new = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct release_upgrade u = {.images = to->payload.ncomponents + 1};
	int r = read_content(&old, places, from, NULL, parallel, e);

	if (r == 0)
		r = read_content(&new, places, to, from, parallel, e);
	u.changed = new.n;
	for (size_t i = 0; i < new.blobs.n; i++) {
		const struct map_entry *en = &new.blobs.entries[i];

		if (map_find(&old.blobs, (struct str){en->key, en->len}))
			continue;
		u.blobs++;
		u.bytes += en->num;
	}
	content_release(&old);
	content_release(&new);
	if (r == 0)
		*ret = u;
	return r;
}
