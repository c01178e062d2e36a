// SPDX-License-Identifier: Apache-2.0
// The reference's tree: v2/REPO/blobs/ALGO:HEX, v2/REPO/manifests/ALGO:HEX, tags as links.
//
// A blob is a regular file in the first repository that wanted it, and a relative link in all
// others. A manifest is one file with two names, in manifests/ and in blobs/. Read are also trees
// that were written on Windows (ALGO-HEX) or copied with links turned into files.
#include "store/oc_tree.h"
#include "util/cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

struct oc {
	pthread_mutex_t load_lock; // taken before the store's
	// Under the store's lock: the repository that has the regular file of a digest.
	bool loaded;
	struct map homes; // raw digest → a key of repos
	struct map repos;
};

// ---- which repository has the file

static struct str home_key(const struct digest *d, unsigned char raw[DIGEST_RAW_MAX])
{
	size_t n = digest_raw(d, raw);

	return (struct str){(const char *)raw, n};
}

// Under lock.
static void set_home(struct oc *oc, const struct digest *d, const char *repo, bool replace)
{
	unsigned char raw[DIGEST_RAW_MAX];
	bool made;
	struct map_entry *home = map_put(&oc->homes, home_key(d, raw), &made);

	if (made || replace)
		home->ptr = map_put(&oc->repos, str_of(repo), NULL)->key;
}

static void oc_staged(struct store *s, const struct staged *it)
{
	if (it->kind == STAGED_BLOB)
		set_home(s->own, &it->digest, it->repo, true);
}

struct home_scan {
	struct store *s;
	const char *repo;
};

static int scan_blob(void *arg, const struct folder_entry *entry, struct err *e)
{
	struct home_scan *scan = arg;
	struct oc *oc = scan->s->own;
	struct digest d;

	if (entry->type != DT_REG || !digest_of_name(&d, entry->name))
		return 0;
	pthread_mutex_lock(&scan->s->lock);
	set_home(oc, &d, scan->repo, false);
	bool full = oc->homes.n > STORE_ENTRIES_MAX;

	pthread_mutex_unlock(&scan->s->lock);
	return full ? err_set(e, ERR_INPUT, "'%s' holds more than %d blobs", scan->s->dir,
			      STORE_ENTRIES_MAX)
		    : 0;
}

static int scan_homes(struct store *s, struct err *e)
{
	auto_strlist struct strlist repos = {0};

	if (tree_repositories(s, &repos, e) < 0)
		return -1;
	for (size_t i = 0; i < repos.n; i++) {
		auto_free char *path = repo_path(repos.v[i], "blobs");
		struct home_scan scan = {s, repos.v[i]};

		if (folder_list(s->v2_fd, path, scan_blob, &scan, e) < 0)
			return -1;
	}
	return 0;
}

// Looks through the tree once, when the first blob is missed where it should be.
static int load_homes(struct store *s, struct err *e)
{
	struct oc *oc = s->own;
	int r = 0;

	pthread_mutex_lock(&oc->load_lock);
	if (!oc->loaded && s->v2_fd >= 0)
		r = scan_homes(s, e);
	oc->loaded = r == 0;
	pthread_mutex_unlock(&oc->load_lock);
	return r;
}

static void oc_refresh(struct store *s)
{
	struct oc *oc = s->own;

	pthread_mutex_lock(&oc->load_lock);
	oc->loaded = false;
	pthread_mutex_unlock(&oc->load_lock);
}

static char *home_of(struct store *s, const struct digest *d)
{
	struct oc *oc = s->own;
	unsigned char raw[DIGEST_RAW_MAX];

	pthread_mutex_lock(&s->lock);
	const struct map_entry *home = map_find(&oc->homes, home_key(d, raw));
	char *repo = home ? xstrdup(home->ptr) : NULL;

	pthread_mutex_unlock(&s->lock);
	return repo;
}

static bool has_file(struct store *s, const char *repo, const struct digest *d)
{
	auto_free char *dir = repo_path(repo, "blobs");
	auto_fd int fd = open_folder(s->v2_fd, dir, false, NULL);
	struct stat st;

	return fd >= 0 && fstatat(fd, d->text, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(st.st_mode);
}

static char *oc_place(struct store *s, const char *repo, const struct digest *d)
{
	auto_free char *home = home_of(s, d);

	// A damaged file is replaced where it is, so that links to it are healed as well.
	if (home && strcmp(home, repo) != 0 && has_file(s, home, d) && !has_file(s, repo, d))
		return steal(&home);
	return xstrdup(repo);
}

static int oc_blob_find(struct store *s, const char *repo, const struct digest *d,
			struct content *ret, char **ret_home, struct err *e)
{
	if (load_homes(s, e) < 0)
		return -1;
	auto_free char *home = home_of(s, d);

	if (!home || strcmp(home, repo) == 0)
		return err_set(e, ERR_NOT_FOUND, "unknown blob: %s", d->text);
	if (tree_blob_open(s, home, d, ret, e) < 0)
		return -1;
	*ret_home = steal(&home);
	return 0;
}

static bool oc_manifest_complete(struct store *s, const char *repo, const struct digest *d)
{
	for (size_t i = 0; i < 2; i++) {
		auto_free char *path = name_path(repo, i ? "blobs" : "manifests", d, ':');
		auto_content struct content c = {0};
		auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
		struct digest got;
		struct err ignored;

		if (content_open(&c, s->v2_fd, path, &ignored) < 0 ||
		    content_read(&c, MANIFEST_MAX, &bytes, &ignored) < 0)
			return false;
		digest_of(&got, d->algo, bytes.p, bytes.n);
		if (!digest_equal(&got, d))
			return false;
	}
	return true;
}

static int name_blob(struct level *l, const struct staged *it, struct err *e)
{
	int dir = level_sub(l, LEVEL_BLOBS, it->repo, e);

	if (dir < 0)
		return -1;
	if (renameat(l->s->state_fd, it->file, dir, it->digest.text) < 0)
		return level_cannot(l, it->repo, it->digest.text, e);
	return 0;
}

// From v2/REPO/blobs up to v2, and down to where the file is.
static char *link_target(const struct staged *it)
{
	auto_buf struct buf target = BUF_INIT(BUF_TEXT_MAX);

	buf_puts(&target, "../../");
	for (const char *at = it->repo; (at = strchr(at, '/')); at++)
		buf_puts(&target, "../");
	buf_printf(&target, "%s/blobs/%s", it->text, it->digest.text);
	return buf_take(&target);
}

static int name_link(struct level *l, const struct staged *it, struct err *e)
{
	int dir = level_sub(l, LEVEL_BLOBS, it->repo, e);
	auto_free char *target = link_target(it);

	return dir < 0 ? -1 : level_symlink(l, it->repo, dir, it->digest.text, target, e);
}

static bool links_refused(void)
{
	return errno == EPERM || errno == ENOTSUP || errno == ENOSYS || errno == EMLINK ||
	       errno == EINVAL;
}

// The manifest's second name, in blobs/.
static int name_manifest_blob(struct level *l, const struct staged *it, int dir, struct err *e)
{
	auto_free char *tmp = stage_temp_name(l->s);

	if (linkat(l->s->state_fd, it->file, l->s->tmp_fd, tmp, 0) < 0) {
		auto_free char *target = xasprintf("../manifests/%s", it->digest.text);

		return links_refused() ? level_symlink(l, it->repo, dir, it->digest.text, target, e)
				       : level_cannot(l, it->repo, it->digest.text, e);
	}
	if (renameat(l->s->tmp_fd, tmp, dir, it->digest.text) < 0) {
		level_cannot(l, it->repo, it->digest.text, e);
		unlinkat(l->s->tmp_fd, tmp, 0);
		return -1;
	}
	return 0;
}

static int name_manifest(struct level *l, const struct staged *it, struct err *e)
{
	int blobs = level_sub(l, LEVEL_BLOBS, it->repo, e);
	int manifests = blobs < 0 ? -1 : level_sub(l, LEVEL_MANIFESTS, it->repo, e);

	if (manifests < 0 || name_manifest_blob(l, it, blobs, e) < 0)
		return -1;
	if (renameat(l->s->state_fd, it->file, manifests, it->digest.text) < 0)
		return level_cannot(l, it->repo, it->digest.text, e);
	return 0;
}

static const struct naming_step steps[] = {
	{STAGED_BLOB, 0, name_blob},
	{STAGED_LINK, 0, name_link},
	{STAGED_MANIFEST, 1, name_manifest},
	{STAGED_TAG, 2, level_tag},
};

static int oc_name_batch(struct store *s, struct batch *b, struct err *e)
{
	return tree_name_batch(s, b, steps, ARRAY_SIZE(steps), e);
}

// ---- opening

static int oc_open(struct store *s, struct buf *notice, struct err *e)
{
	struct oc *oc = xcalloc(1, sizeof(*oc));

	bool made;

	(void)notice;
	pthread_mutex_init(&oc->load_lock, NULL);
	s->own = oc;
	if (tree_open(s, &made, e) < 0)
		return -1;
	oc->loaded = made; // there is nothing to look through
	return 0;
}

static void oc_close(struct store *s)
{
	struct oc *oc = s->own;

	if (!oc)
		return;
	map_release(&oc->homes);
	map_release(&oc->repos);
	pthread_mutex_destroy(&oc->load_lock);
	free(oc);
}

static int oc_seal(struct store *s, struct err *e)
{
	(void)s;
	(void)e;
	return 0;
}

const struct layout layout_oc = {
	.name = "oc",
	.state = ".store",
	.format = "media 1",
	.open = oc_open,
	.close = oc_close,
	.blob_open = tree_blob_open,
	.blob_find = oc_blob_find,
	.refresh = oc_refresh,
	.manifest_read = tree_manifest_read,
	.manifest_complete = oc_manifest_complete,
	.tag_get = tree_tag_get,
	.tags = tree_tags,
	.repositories = tree_repositories,
	.contents = tree_contents,
	.place = oc_place,
	.staged = oc_staged,
	.name_batch = oc_name_batch,
	.seal = oc_seal,
	.origins_load = tree_origins_load,
	.where = tree_where,
	.tag_links = true,
	.has_repository = tree_has_repository,
	.stamp = tree_stamp,
};
