// SPDX-License-Identifier: Apache-2.0
// One whole store into another: blobs, manifests, tags, origins, in this order.
#include "store/internal.h"
#include "util/cleanup.h"

#include <string.h>

struct copy {
	struct store *src, *dst;
	const char *repo;
	void (*on_object)(void *arg, const char *repo, const struct digest *d, uint64_t size);
	void *arg;
	const struct descriptor *blob; // being opened
};

static void tell(struct copy *c, const struct digest *d, uint64_t size)
{
	if (c->on_object)
		c->on_object(c->arg, c->repo, d, size);
}

static struct stream *open_source(void *arg, uint64_t offset, struct err *e)
{
	struct copy *c = arg;

	return store_blob_open(c->src, c->repo, c->blob, offset, e);
}

static int copy_blob(struct copy *c, const char *text, struct err *e)
{
	auto_content struct content content = {0};
	struct descriptor d = {.media_type = ""};
	struct opener src = {open_source, c};

	if (digest_parse(&d.digest, text, e) < 0 ||
	    blob_content(c->src, c->repo, &d.digest, &content, e) < 0)
		return -1;
	d.size = content.size;
	content_release(&content);
	c->blob = &d;
	if (store_blob_put(c->dst, c->repo, &d, &src, e) < 0)
		return e->kind == ERR_DIGEST
			       ? err_wrap(e, "blob %s in %s is damaged", text, c->src->dir)
			       : -1;
	tell(c, &d.digest, d.size);
	return 0;
}

// REF is a digest or a tag.
static int copy_manifest(struct copy *c, const char *ref, bool is_tag, struct err *e)
{
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	struct digest d;

	if (store_manifest_get(c->src, c->repo, ref, &bytes, &d, e) < 0 ||
	    store_manifest_put(c->dst, c->repo, buf_str(&bytes), &d, is_tag ? ref : NULL, e) < 0)
		return -1;
	if (!is_tag)
		tell(c, &d, bytes.n);
	return 0;
}

static int copy_repository(struct copy *c, struct err *e)
{
	auto_strlist struct strlist manifests = {0}, blobs = {0}, tags = {0};

	if (c->src->layout->contents(c->src, c->repo, &manifests, &blobs, e) < 0 ||
	    store_tags(c->src, c->repo, &tags, e) < 0)
		return -1;
	for (size_t i = 0; i < blobs.n; i++)
		if (copy_blob(c, blobs.v[i], e) < 0)
			return -1;
	for (size_t i = 0; i < manifests.n; i++)
		if (copy_manifest(c, manifests.v[i], false, e) < 0)
			return -1;
	for (size_t i = 0; i < tags.n; i++)
		if (copy_manifest(c, tags.v[i], true, e) < 0)
			return -1;
	return 0;
}

static int copy_origin(void *arg, const char *repo, const struct digest *d, const char *origin,
		       struct err *e)
{
	return store_origin_put(arg, repo, d, origin, e);
}

int store_copy(struct store *src, struct store *dst,
	       void (*on_object)(void *arg, const char *repo, const struct digest *d,
				 uint64_t size),
	       void *arg, struct err *e)
{
	auto_strlist struct strlist repos = {0};
	struct copy c = {.src = src, .dst = dst, .on_object = on_object, .arg = arg};

	if (store_repositories(src, &repos, e) < 0)
		return -1;
	for (size_t i = 0; i < repos.n; i++) {
		c.repo = repos.v[i];
		if (copy_repository(&c, e) < 0)
			return -1;
	}
	if (origin_each(src, copy_origin, dst, e) < 0)
		return -1;
	return store_sync(dst, e);
}
