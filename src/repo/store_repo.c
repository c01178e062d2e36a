// SPDX-License-Identifier: Apache-2.0
// Repositories of a folder: the adapter onto store/.
#include "repo/adapters.h"

#include "repo/names.h"
#include "store/file.h"
#include "util/fs.h"
#include "util/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

// One folder. It may be opened twice: for reading, and once it turns out to be a destination too,
// for writing. From then on everything goes through the second; the first stays open for those who
// are in the middle of something.
struct store_place {
	struct place base;
	struct store_config cfg;
	struct repo_names names;
	_Atomic(struct store *) current; // the writable one, else the readable one
	pthread_mutex_t lock;
	// guarded by lock
	struct store *readable, *writable;
	bool listed;
	struct strlist repositories; // sorted, as they were when first asked for
};

static struct store_place *place_of(struct place *p)
{
	return (struct store_place *)p;
}

static struct store *store_of(struct repo *r)
{
	return place_store_of(r->place);
}

struct store *place_store_of(struct place *p)
{
	return atomic_load(&place_of(p)->current);
}

static int manifest_get(struct repo *r, const char *ref, struct manifest_bytes *ret, struct err *e)
{
	struct manifest_bytes m = {.bytes = BUF_INIT(MANIFEST_MAX)};

	if (store_manifest_get(store_of(r), r->name, ref, &m.bytes, &m.digest, e) < 0) {
		buf_free(&m.bytes);
		return -1;
	}
	*ret = m;
	return 0;
}

// A tag tells the digest without reading. A digest has to be read: what is damaged is not there.
static int manifest_stat(struct repo *r, const char *ref, struct manifest_stat *ret, struct err *e)
{
	struct manifest_stat st = {0};

	if (!strchr(ref, ':')) {
		if (store_tag_get(store_of(r), r->name, ref, &st.digest, e) < 0)
			return -1;
	} else {
		auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);

		if (store_manifest_get(store_of(r), r->name, ref, &bytes, &st.digest, e) < 0)
			return -1;
		st.size = bytes.n;
	}
	*ret = st;
	return 0;
}

static int manifest_put(struct repo *r, const struct manifest_bytes *m, const char *tag,
			struct err *e)
{
	return store_manifest_put(store_of(r), r->name, buf_str(&m->bytes), &m->digest, tag, e);
}

static int blob_stat(struct repo *r, const struct descriptor *d, struct err *e)
{
	return store_blob_check(store_of(r), r->name, d, e);
}

static struct stream *blob_open(struct repo *r, const struct descriptor *d, uint64_t offset,
				struct err *e)
{
	return store_blob_open(store_of(r), r->name, d, offset, e);
}

static int blob_put(struct repo *r, const struct descriptor *d, const struct opener *src,
		    struct err *e)
{
	return store_blob_put(store_of(r), r->name, d, src, e);
}

static int blob_mount(struct repo *r, const struct descriptor *d, struct repo *from,
		      bool *ret_mounted, struct err *e)
{
	int status = store_blob_link(store_of(r), r->name, d, from->name, e);

	if (status < 0 && e->kind != ERR_NOT_FOUND && e->kind != ERR_UNSUPPORTED)
		return -1;
	*ret_mounted = status == 0;
	return 0;
}

static int tags(struct repo *r, struct strlist *ret, struct err *e)
{
	return store_tags(store_of(r), r->name, ret, e);
}

static int referrers(struct repo *r, const struct digest *subject, struct strlist *ret,
		     struct err *e)
{
	return store_referrers(store_of(r), r->name, subject, ret, e);
}

static enum repo_fresh fresh(struct repo *r)
{
	(void)r;
	return REPO_MAY_EXIST; // asking costs no request
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
	(void)p;
	(void)name;
	return xcalloc(1, sizeof(struct repo));
}

static void repo_free(struct repo *r)
{
	free(r);
}

static struct repo *store_place_repo(struct place *p, const char *name)
{
	return repo_names_get(&place_of(p)->names, p, &repo_ops, name, repo_new);
}

static int store_place_probe(struct place *p, bool write, struct err *e)
{
	struct store_place *s = place_of(p);

	pthread_mutex_lock(&s->lock);
	bool ready = (write ? s->writable : place_store_of(p)) != NULL;

	pthread_mutex_unlock(&s->lock);
	if (!ready)
		return err_set(e, ERR_IO, "folder '%s' is not open for %s", s->cfg.dir,
			       write ? "writing" : "reading");
	return 0;
}

static int store_place_sync(struct place *p, struct err *e)
{
	struct store_place *s = place_of(p);

	pthread_mutex_lock(&s->lock);
	struct store *writable = s->writable;

	pthread_mutex_unlock(&s->lock);
	return writable ? store_sync(writable, e) : 0;
}

static int store_place_free_space(struct place *p, uint64_t *ret, struct err *e)
{
	return fs_free_space(place_of(p)->cfg.dir, ret, e);
}

static struct limiter *store_place_limiter(struct place *p)
{
	(void)p;
	return NULL;
}

static void store_place_free(struct place *p)
{
	struct store_place *s = place_of(p);

	repo_names_release(&s->names, repo_free);
	store_close(s->readable);
	store_close(s->writable);
	strlist_release(&s->repositories);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

struct place *place_store_new(const struct store_config *cfg)
{
	static const struct place_ops ops = {
		.repo = store_place_repo,
		.probe = store_place_probe,
		.sync = store_place_sync,
		.free_space = store_place_free_space,
		.limiter = store_place_limiter,
		.free = store_place_free,
	};
	struct store_place *s = xcalloc(1, sizeof(*s));

	s->base = (struct place){&ops, PLACE_STORE, "file://"};
	s->cfg = *cfg;
	repo_names_init(&s->names);
	pthread_mutex_init(&s->lock, NULL);
	return &s->base;
}

// Called locked.
static int open_as(struct store_place *s, enum store_mode mode, struct store **at,
		   char **ret_notice, struct err *e)
{
	s->cfg.mode = mode;
	if (store_open(at, &s->cfg, ret_notice, e) < 0)
		return -1;
	atomic_store(&s->current, *at);
	return 0;
}

int place_store_readable(struct place *p, struct err *e)
{
	struct store_place *s = place_of(p);
	auto_free char *notice = NULL;
	int status = 0;

	pthread_mutex_lock(&s->lock);
	if (!place_store_of(p))
		status = open_as(s, STORE_READ, &s->readable, &notice, e);
	pthread_mutex_unlock(&s->lock);
	return status;
}

int place_store_writable(struct place *p, char **ret_notice, struct err *e)
{
	struct store_place *s = place_of(p);
	char *notice = NULL;
	int status = 0;

	pthread_mutex_lock(&s->lock);
	if (!s->writable)
		status = open_as(s, STORE_WRITE, &s->writable, &notice, e);
	pthread_mutex_unlock(&s->lock);
	if (status == 0)
		*ret_notice = notice;
	return status;
}

int place_store_has(struct place *p, const char *repository, bool *ret, struct err *e)
{
	struct store_place *s = place_of(p);
	int status = 0;

	pthread_mutex_lock(&s->lock);
	if (!s->listed) {
		struct strlist all = {0};

		status = store_repositories(place_store_of(p), &all, e);
		if (status == 0) {
			strlist_sort(&all);
			s->repositories = all;
			s->listed = true;
		}
	}
	if (status == 0)
		*ret = strlist_has(&s->repositories, repository);
	pthread_mutex_unlock(&s->lock);
	return status;
}
