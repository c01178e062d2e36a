// SPDX-License-Identifier: Apache-2.0
// Repositories of a registry: the adapter onto registry/.
#include "repo/adapters.h"

#include "image/reference.h"
#include "registry/referrers.h"
#include "repo/names.h"
#include "util/mem.h"

#include <stdlib.h>
#include <string.h>

// The answer to a probe, once there is one.
struct probe_answer {
	bool known, failed;
	struct err why;
};

struct registry_place {
	struct place base;
	struct registry *registry;
	struct repo_names names;
	pthread_mutex_t probe_lock; // held while a probe is under way: the others wait for it
	// guarded by probe_lock
	struct probe_answer answers[2]; // reading, writing
	pthread_mutex_t lock;
	char *written; // guarded by lock: a repository to probe for pushing
};

struct registry_repo {
	struct repo base;
	char *wire; // name as requests carry it
};

static struct registry_place *place_of(struct place *p)
{
	return (struct registry_place *)p;
}

static struct registry *registry_of(struct repo *r)
{
	return place_of(r->place)->registry;
}

static const char *wire_of(struct repo *r)
{
	return ((struct registry_repo *)r)->wire;
}

static int manifest_get(struct repo *r, const char *ref, struct manifest_bytes *ret, struct err *e)
{
	struct manifest_bytes m = {.bytes = BUF_INIT(MANIFEST_MAX)};

	if (registry_manifest_get(registry_of(r), wire_of(r), ref, &m.bytes, &m.media_type,
				  &m.digest, e) < 0) {
		buf_free(&m.bytes);
		return -1;
	}
	*ret = m;
	return 0;
}

static int manifest_stat(struct repo *r, const char *ref, struct manifest_stat *ret, struct err *e)
{
	struct manifest_stat st = {0};

	if (registry_manifest_head(registry_of(r), wire_of(r), ref, &st.digest, st.media_type,
				   &st.size, e) < 0)
		return -1;
	*ret = st;
	return 0;
}

static int manifest_put(struct repo *r, const struct manifest_bytes *m, const char *tag,
			struct err *e)
{
	return registry_manifest_put(registry_of(r), wire_of(r), tag ? tag : m->digest.text,
				     m->media_type ? m->media_type : "", buf_str(&m->bytes),
				     &m->digest, e);
}

static int blob_stat(struct repo *r, const struct descriptor *d, struct err *e)
{
	uint64_t size;

	return registry_blob_head(registry_of(r), wire_of(r), &d->digest, &size, e);
}

static struct stream *blob_open(struct repo *r, const struct descriptor *d, uint64_t offset,
				struct err *e)
{
	return registry_blob_open(registry_of(r), wire_of(r), d, offset, e);
}

static int blob_put(struct repo *r, const struct descriptor *d, const struct opener *src,
		    struct err *e)
{
	return registry_blob_put(registry_of(r), wire_of(r), d, src, e);
}

static int blob_mount(struct repo *r, const struct descriptor *d, struct repo *from,
		      bool *ret_mounted, struct err *e)
{
	return registry_blob_mount(registry_of(r), wire_of(r), d, wire_of(from), ret_mounted, e);
}

static int tags(struct repo *r, struct strlist *ret, struct err *e)
{
	return registry_tags(registry_of(r), wire_of(r), ret, e);
}

static int referrers(struct repo *r, const struct digest *subject, struct strlist *ret,
		     struct err *e)
{
	return registry_referrers(registry_of(r), wire_of(r), subject, ret, e);
}

static enum repo_fresh fresh(struct repo *r)
{
	return registry_repository_fresh(registry_of(r), wire_of(r)) ? REPO_FRESH : REPO_MAY_EXIST;
}

static const struct repo_ops repo_ops = {
	.manifest_get = manifest_get,
	.manifest_stat = manifest_stat,
	.manifest_put = manifest_put,
	.blob_stat = blob_stat,
	.blob_open = blob_open,
	.blob_put = blob_put,
	.blob_mount = blob_mount,
	.tags = tags,
	.referrers = referrers,
	.fresh = fresh,
};

static struct repo *repo_new(struct place *p, const char *name)
{
	struct registry_repo *r = xcalloc(1, sizeof(*r));
	// Borrowed for the call: a reference that is only read.
	const struct reference ref = {.type = REF_REGISTRY,
				      .registry = (char *)p->name,
				      .repository = (char *)name,
				      .tag = (char *)""};

	r->wire = reference_wire_repository(&ref);
	return &r->base;
}

static void repo_free(struct repo *r)
{
	free(((struct registry_repo *)r)->wire);
	free(r);
}

static struct repo *registry_repo(struct place *p, const char *name)
{
	return repo_names_get(&place_of(p)->names, p, &repo_ops, name, repo_new);
}

static int ask(struct registry_place *p, bool write, struct err *e)
{
	auto_free char *repository = NULL;

	if (write) {
		pthread_mutex_lock(&p->lock);
		repository = p->written ? xstrdup(p->written) : NULL;
		pthread_mutex_unlock(&p->lock);
	}
	if (!repository)
		return registry_ping(p->registry, e);
	return registry_probe(p->registry, wire_of(registry_repo(&p->base, repository)), write, e);
}

static int registry_place_probe(struct place *base, bool write, struct err *e)
{
	struct registry_place *p = place_of(base);
	struct probe_answer *answer = &p->answers[write];
	int status = 0;

	pthread_mutex_lock(&p->probe_lock);
	if (!answer->known) {
		answer->failed = ask(p, write, &answer->why) < 0;
		// An interrupted probe says nothing about the registry.
		answer->known = !answer->failed || answer->why.kind != ERR_CANCELLED;
	}
	if (answer->failed) {
		*e = answer->why;
		status = -1;
	}
	pthread_mutex_unlock(&p->probe_lock);
	return status;
}

static int registry_place_sync(struct place *p, struct err *e)
{
	(void)p;
	(void)e;
	return 0; // a registry has what it has acknowledged
}

static int registry_place_free_space(struct place *p, uint64_t *ret, struct err *e)
{
	(void)ret;
	return err_set(e, ERR_UNSUPPORTED, "registry '%s' does not tell its free space", p->name);
}

static struct limiter *registry_place_limiter(struct place *p)
{
	return registry_limiter(place_of(p)->registry);
}

static void registry_place_free(struct place *base)
{
	struct registry_place *p = place_of(base);

	repo_names_release(&p->names, repo_free);
	registry_free(p->registry);
	pthread_mutex_destroy(&p->probe_lock);
	pthread_mutex_destroy(&p->lock);
	free(p->written);
	free((char *)base->name);
	free(p);
}

struct place *place_registry_new(const char *host, const struct registry_config *cfg)
{
	static const struct place_ops ops = {
		.repo = registry_repo,
		.probe = registry_place_probe,
		.sync = registry_place_sync,
		.free_space = registry_place_free_space,
		.limiter = registry_place_limiter,
		.free = registry_place_free,
	};
	struct registry_place *p = xcalloc(1, sizeof(*p));

	p->base = (struct place){&ops, PLACE_REGISTRY, xstrdup(host)};
	p->registry = registry_new(*host ? host : "docker.io", cfg);
	repo_names_init(&p->names);
	pthread_mutex_init(&p->probe_lock, NULL);
	pthread_mutex_init(&p->lock, NULL);
	return &p->base;
}

void place_registry_written(struct place *base, const char *repository)
{
	struct registry_place *p = place_of(base);

	pthread_mutex_lock(&p->lock);
	if (!p->written)
		p->written = xstrdup(repository);
	pthread_mutex_unlock(&p->lock);
}

struct registry *place_registry_of(struct place *p)
{
	return place_of(p)->registry;
}
