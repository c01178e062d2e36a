// SPDX-License-Identifier: Apache-2.0
// What the tests of a server's store share: pushes, as a client makes them.
#ifndef TESTS_STORE_PUSHES_H
#define TESTS_STORE_PUSHES_H

#include "fixture.h"
#include "store/upload.h"

static inline struct store *open_server(const char *dir)
{
	return must_open(dir, STORE_WRITE, STORE_LAYOUT_LINKED);
}

// A session that has nothing yet; NULL and *e on failure.
static inline struct store_upload *begin_upload(struct store *s, const char *repo, char *ret_id,
						struct err *e)
{
	if (store_upload_id(s, repo, "", DIGEST_SHA256, ret_id, e) < 0)
		return NULL;
	return store_upload_open(s, repo, "", ret_id, e);
}

static inline int push(struct store *s, const char *repo, const struct blob *b, struct err *e)
{
	char id[UPLOAD_ID_SIZE];
	struct store_upload *u = begin_upload(s, repo, id, e);

	if (!u)
		return -1;
	if (store_upload_write(u, b->data, b->n, e) < 0) {
		store_upload_cancel(u);
		return -1;
	}
	return store_upload_commit(u, &b->d.digest, e);
}

static inline int push_manifest(struct store *s, const char *repo, const char *text,
				const char *tag, struct digest *ret, struct err *e)
{
	struct digest d;

	digest_of(&d, DIGEST_SHA256, text, strlen(text));
	if (ret)
		*ret = d;
	return store_manifest_commit(s, repo, str_of(text), &d, &tag, tag != NULL, NULL, NULL, e);
}

static inline struct stat stat_of(const char *dir, const char *name)
{
	auto_free char *path = path_join(dir, name);
	struct stat st = {0};

	if (lstat(path, &st) < 0)
		st.st_nlink = 0;
	return st;
}

static inline char *pool_name(const struct digest *d)
{
	return xasprintf(".store/pool/%s/%.2s/%s", digest_algo_name(d->algo), digest_hex(d),
			 digest_hex(d));
}

static inline char *blob_name(const char *repo, const struct digest *d)
{
	return xasprintf("v2/%s/blobs/%s", repo, d->text);
}

#endif
