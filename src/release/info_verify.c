// SPDX-License-Identifier: Apache-2.0
// Is a release the one that its publisher signed?
#include <stdlib.h>
#include <string.h>

#include "release/info.h"
#include "util/fs.h"

// Media bring their signatures along; then no server is asked that the release names.
static int add_media(struct verifier *v, const struct release_info *r, const char *folder,
		     struct err *e)
{
	auto_free char *config = NULL;

	if (r->ref.type != REF_FILE)
		return 0;
	config = path_join(folder && *folder ? folder : ".", SIGNATURES_MEDIA);
	return verifier_add_store(v, config, e);
}

static void drop_servers(struct strlist *stores, size_t from)
{
	size_t n = from;

	for (size_t i = from; i < stores->n; i++)
		if (starts_with(stores->v[i], "http"))
			free(stores->v[i]);
		else
			stores->v[n++] = stores->v[i];
	stores->n = n;
}

static int load_own(struct verifier *v, const struct release_info *r, unsigned take, int64_t now,
		    struct err *e)
{
	auto_verifier_manifests struct verifier_manifests manifests = {0};
	bool found;

	for (size_t i = 0; take && i < r->nmanifests; i++)
		if (verifier_manifests_take(&manifests, r->manifests[i].name,
					    buf_str(&r->manifests[i].bytes), e) < 0)
			return -1;
	return verifier_load(v, &manifests, take, now, &found, e);
}

static int make_verifier(struct verifier *v, const struct release_info *r,
			 const struct release_verify_request *req, struct err *e)
{
	unsigned take = (req->keyrings->n == 0 ? VERIFIER_KEYRINGS : 0) |
			(req->signature_stores->n == 0 ? VERIFIER_STORES : 0);

	if (req->keyrings->n > 0 && verifier_read_keys(v, req->keyrings, req->now, e) < 0)
		return -1;
	if (add_media(v, r, req->media, e) < 0)
		return -1;
	for (size_t i = 0; i < req->signature_stores->n; i++)
		if (verifier_add_store(v, req->signature_stores->v[i], e) < 0)
			return -1;
	size_t own = v->stores.n;

	if (load_own(v, r, take, req->now, e) < 0)
		return -1;
	if (r->ref.type == REF_FILE)
		drop_servers(&v->stores, own);
	return 0;
}

int release_info_verify(const struct release_info *r, const struct release_verify_request *req,
			struct signatures *ret, struct err *e)
{
	auto_verifier struct verifier v = {0};
	const struct payload *p = &r->payload;
	struct err why;

	if (make_verifier(&v, r, req, e) < 0)
		return -1;
	if (v.n == 0)
		return err_set(e, ERR_NOT_FOUND,
			       "%s names no keys to verify it with; --keyring and "
			       "--signature-store do",
			       p->root.text);
	if (signatures_find(ret, &v, req->net, &p->root, e) == 0)
		return 0;
	if (!p->is_list || e->kind == ERR_CANCELLED)
		return -1;
	if (signatures_find(ret, &v, req->net, &p->digest, &why) == 0)
		return 0;
	// A signature that is not good says more than that there is none.
	if (why.kind == ERR_CANCELLED || (e->kind == ERR_NOT_FOUND && why.kind != ERR_NOT_FOUND))
		*e = why;
	return -1;
}
