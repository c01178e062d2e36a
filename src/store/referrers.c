// SPDX-License-Identifier: Apache-2.0
// Which manifests refer to another one: what a folder of the layout says, or what their bytes say;
// and what clients recorded under the fallback tag ALGO-HEX before registries kept such lists.
//
// Spec: OCI distribution-spec v1.1, "Listing Referrers" and "Referrers Tag Schema".
#include "store/file.h"
#include "store/internal.h"
#include "util/cleanup.h"
#include "util/trace.h"

#include <dirent.h>
#include <string.h>

enum {
	REPOSITORIES_MAX = 256, // whose manifests' subjects are remembered
	FALLBACK_HEX_MAX = 64,  // of the subject's digest in a fallback tag
};

// The subjects of a repository's manifests.
struct subjects {
	uint64_t stamp;
	struct map lists; // subject → struct strlist of referrers
};

struct referrers {
	pthread_mutex_t lock;
	struct map repos; // → struct subjects; under lock
};

struct referrers *referrers_new(void)
{
	struct referrers *r = xcalloc(1, sizeof(*r));

	pthread_mutex_init(&r->lock, NULL);
	return r;
}

static void subjects_free(struct subjects *sub)
{
	if (!sub)
		return;
	for (size_t i = 0; i < sub->lists.n; i++) {
		strlist_release(sub->lists.entries[i].ptr);
		free(sub->lists.entries[i].ptr);
	}
	map_release(&sub->lists);
	free(sub);
}
DEFINE_AUTO(subjects_free, struct subjects)

static void forget(struct referrers *r)
{
	for (size_t i = 0; i < r->repos.n; i++)
		subjects_free(r->repos.entries[i].ptr);
	map_release(&r->repos);
	r->repos = (struct map){0};
}

void referrers_free(struct referrers *r)
{
	if (!r)
		return;
	forget(r);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

bool manifest_subject(struct str bytes, struct digest *ret)
{
	auto_manifest struct manifest m = {0};
	struct err ignored;

	if (manifest_parse(&m, bytes, NULL, "manifest", &ignored) < 0 || !m.has_subject)
		return false;
	*ret = m.subject.digest;
	return true;
}

// ---- layouts without a list: every manifest is read, once until there are others

static int note_subject(struct store *s, const char *repo, const char *text, struct subjects *sub,
			struct err *e)
{
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	struct digest d, subject;
	struct err why;

	if (digest_parse(&d, text, e) < 0)
		return -1;
	if (manifest_read(s, repo, &d, &bytes, &why) < 0) {
		trace("store", "%s", why.text);
		return 0;
	}
	if (!manifest_subject(buf_str(&bytes), &subject))
		return 0;
	bool made;
	struct map_entry *en = map_put(&sub->lists, str_of(subject.text), &made);

	if (made)
		en->ptr = xcalloc(1, sizeof(struct strlist));
	strlist_add(en->ptr, d.text);
	return 0;
}

static struct subjects *scan(struct store *s, const char *repo, struct err *e)
{
	auto_of(subjects_free) struct subjects *sub = xcalloc(1, sizeof(*sub));
	auto_strlist struct strlist manifests = {0}, blobs = {0};

	sub->stamp = s->layout->stamp(s, repo);
	if (s->layout->contents(s, repo, &manifests, &blobs, e) < 0)
		return NULL;
	for (size_t i = 0; i < manifests.n; i++) {
		if (cancelled(s->cancel)) {
			err_cancelled(e);
			return NULL;
		}
		if (note_subject(s, repo, manifests.v[i], sub, e) < 0)
			return NULL;
	}
	return steal(&sub);
}

static void add_all(struct strlist *ret, const struct strlist *from)
{
	for (size_t i = 0; from && i < from->n; i++)
		strlist_add(ret, from->v[i]);
}

// Under lock. Takes SUB.
static void remember(struct referrers *r, const char *repo, struct subjects *sub)
{
	if (r->repos.n >= REPOSITORIES_MAX && !map_get(&r->repos, repo))
		forget(r);
	subjects_free(map_get(&r->repos, repo));
	map_set(&r->repos, repo, sub);
}

static int from_scan(struct store *s, const char *repo, const struct digest *subject,
		     struct strlist *ret, struct err *e)
{
	struct referrers *r = s->referrers;
	uint64_t stamp = s->layout->stamp(s, repo);

	pthread_mutex_lock(&r->lock);
	struct subjects *sub = map_get(&r->repos, repo);
	bool known = sub && sub->stamp == stamp;

	if (known)
		add_all(ret, map_get(&sub->lists, subject->text));
	pthread_mutex_unlock(&r->lock);
	if (known || !s->layout->has_repository(s, repo))
		return 0;
	sub = scan(s, repo, e);
	if (!sub)
		return -1;
	add_all(ret, map_get(&sub->lists, subject->text));
	pthread_mutex_lock(&r->lock);
	remember(r, repo, sub);
	pthread_mutex_unlock(&r->lock);
	return 0;
}

// ---- layouts with a list

static int note_referrer(void *arg, const struct folder_entry *entry, struct err *e)
{
	struct digest d;

	(void)e;
	if (entry->type == DT_REG && entry->name[0] && digest_of_name(&d, entry->name) &&
	    entry->name[6] == ':')
		strlist_add(arg, d.text);
	return 0;
}

static int from_folder(struct store *s, const char *repo, const struct digest *subject,
		       struct strlist *ret, struct err *e)
{
	auto_free char *path = xasprintf("%s/referrers/%s", repo, subject->text);

	return s->v2_fd < 0 ? 0 : folder_list(s->v2_fd, path, note_referrer, ret, e);
}

// ---- the fallback tag

static bool has_manifest(struct store *s, const char *repo, const struct digest *d)
{
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	struct digest got;
	struct err ignored;

	return store_manifest_fetch(s, repo, d->text, STORE_MAY_WAIT, &bytes, &got, &ignored) == 0;
}

static int from_fallback_tag(struct store *s, const char *repo, const struct digest *subject,
			     struct strlist *ret, struct err *e)
{
	auto_free char *tag = xasprintf("%s-%.*s", digest_algo_name(subject->algo),
					FALLBACK_HEX_MAX, digest_hex(subject));
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	auto_manifest struct manifest m = {0};
	struct digest d;
	struct err why;

	if (store_manifest_fetch(s, repo, tag, STORE_MAY_WAIT, &bytes, &d, &why) < 0) {
		if (why.kind == ERR_NOT_FOUND)
			return 0;
		*e = why;
		return -1;
	}
	if (manifest_parse(&m, buf_str(&bytes), NULL, tag, &why) < 0)
		return 0; // somebody's tag of that name
	for (size_t i = 0; i < m.nmanifests; i++)
		if (has_manifest(s, repo, &m.manifests[i].digest))
			strlist_add(ret, m.manifests[i].digest.text);
	return 0;
}

int store_referrers(struct store *s, const char *repo, const struct digest *subject,
		    struct strlist *ret, struct err *e)
{
	auto_strlist struct strlist found = {0};

	if (repo_check(repo, e) < 0)
		return -1;
	int r = s->layout->keeps_referrers ? from_folder(s, repo, subject, &found, e)
					   : from_scan(s, repo, subject, &found, e);

	if (r < 0 || from_fallback_tag(s, repo, subject, &found, e) < 0)
		return -1;
	strlist_sort(&found);
	strlist_unique(&found);
	add_all(ret, &found);
	return 0;
}
