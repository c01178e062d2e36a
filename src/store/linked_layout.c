// SPDX-License-Identifier: Apache-2.0
// A server's store: the reference's tree, whose files are hard links into one pool.
//
//	.store/format                              "linked 1"
//	.store/pool/sha256/ab/<hex>                linked.h
//	.store/trash/                              damaged files that were replaced
//	v2/REPO/blobs/sha256:<hex>                 hard links to the pool's inode
//	v2/REPO/manifests/sha256:<hex>
//	v2/REPO/manifests/<tag>                    symbolic link to sha256:<hex>
//	v2/REPO/referrers/sha256:<subject>/sha256:<hex>
//
// A name below v2 is made after its content is durable, so it is existence, membership and data at
// once. Whoever looks for a blob that its repository lacks looks in the pool.
#include "store/linked.h"
#include "util/cleanup.h"
#include "util/trace.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

// ---- the pool

static char *pool_path(const struct digest *d)
{
	return xasprintf("pool/%s/%.2s/%s", digest_algo_name(d->algo), digest_hex(d),
			 digest_hex(d));
}

int pool_folder(struct level *l, const struct digest *d, struct err *e)
{
	auto_free char *path = xasprintf("pool/%s/%.2s", digest_algo_name(d->algo), digest_hex(d));

	return level_folder(l, LEVEL_POOL, path, e);
}

// The name of copy I.
static char *copy_name(const struct digest *d, unsigned i)
{
	return i ? xasprintf("%s.%u", digest_hex(d), i) : xstrdup(digest_hex(d));
}

static bool same_inode(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static int pool_cannot(struct level *l, const struct digest *d, struct err *e)
{
	auto_free char *what = xasprintf("blob %s", d->text);

	err_space(l->s, 0, what, e);
	return -1;
}

bool pool_owns(struct level *l, const struct digest *d, const struct stat *st)
{
	struct err ignored;
	int pool = pool_folder(l, d, &ignored);

	for (unsigned i = 0; pool >= 0 && i < POOL_COPIES_MAX; i++) {
		auto_free char *name = copy_name(d, i);
		struct stat have;

		if (fstatat(pool, name, &have, AT_SYMLINK_NOFOLLOW) < 0)
			return false;
		if (same_inode(&have, st))
			return true;
	}
	return false;
}

// A file of the same bytes as NAME in POOL, durable, below the state folder.
static int duplicate(struct level *l, const struct digest *d, int pool, const char *name,
		     char **ret_file, struct err *e)
{
	auto_fd int from = openat(pool, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	auto_free char *file = NULL;
	auto_fd int to = from < 0 ? -1 : stage_temp(l->s, &file, e);
	ssize_t n = 1;

	if (from < 0)
		return pool_cannot(l, d, e);
	if (to < 0)
		return -1;
	while (n > 0)
		n = copy_file_range(from, NULL, to, NULL, (size_t)1 << 30, 0);
	if (n < 0 || fchmod(to, 0444) < 0 || fdatasync(to) < 0) {
		pool_cannot(l, d, e);
		unlinkat(l->s->state_fd, file, 0);
		return -1;
	}
	*ret_file = steal(&file);
	return 0;
}

// The first inode has all the names that it can have: makes copy I.
static int add_copy(struct level *l, const struct digest *d, int pool, unsigned i, struct err *e)
{
	auto_free char *name = copy_name(d, i);
	auto_free char *file = NULL;

	if (duplicate(l, d, pool, digest_hex(d), &file, e) < 0)
		return -1;
	int r = linkat(l->s->state_fd, file, pool, name, 0);

	// Another process may have made it.
	if (r < 0 && errno != EEXIST)
		pool_cannot(l, d, e);
	else
		r = 0;
	unlinkat(l->s->state_fd, file, 0);
	return r;
}

// Any of the pool's inodes gets one more name.
static int link_any(struct level *l, const struct digest *d, int pool, int dir, const char *name,
		    struct err *e)
{
	for (unsigned i = 0; i < POOL_COPIES_MAX; i++) {
		auto_free char *from = copy_name(d, i);
		int r = linkat(pool, from, dir, name, 0);

		if (r < 0 && errno == ENOENT && i > 0) {
			if (add_copy(l, d, pool, i, e) < 0)
				return -1;
			r = linkat(pool, from, dir, name, 0);
		}
		if (r == 0)
			return 0;
		if (errno != EMLINK)
			break;
	}
	return pool_cannot(l, d, e);
}

// Has DIR/NAME under D's inode?
static bool is_linked(struct level *l, const struct digest *d, int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && pool_owns(l, d, &st);
}

int pool_link(struct level *l, const struct digest *d, const char *repo, int dir, const char *name,
	      struct err *e)
{
	int pool = pool_folder(l, d, e);

	if (pool < 0)
		return -1;
	if (linkat(pool, digest_hex(d), dir, name, 0) == 0)
		return 0;
	if (errno == EEXIST && is_linked(l, d, dir, name))
		return 0;
	auto_free char *tmp = stage_temp_name(l->s);

	if (link_any(l, d, pool, l->s->tmp_fd, tmp, e) < 0)
		return -1;
	int r = renameat(l->s->tmp_fd, tmp, dir, name);

	if (r < 0)
		level_cannot(l, repo, name, e);
	// A rename between two names of one inode leaves both.
	unlinkat(l->s->tmp_fd, tmp, 0);
	return r;
}

// ---- content that is there already

// Same bytes? An error while reading OLD means that they are not.
static bool same_bytes(int ours, int old)
{
	enum { STEP = 1 << 18 };
	auto_free unsigned char *a = xmalloc(STEP), *b = xmalloc(STEP);

	for (off_t at = 0;;) {
		ssize_t n = pread(ours, a, STEP, at), m = 0;

		while (m < n) {
			ssize_t r = pread(old, b + m, (size_t)(n - m), at + m);

			if (r <= 0)
				return false;
			m += r;
		}
		if (n < 0 || memcmp(a, b, (size_t)n) != 0)
			return false;
		if (n == 0)
			return true;
		at += n;
	}
}

static bool same_content(struct level *l, const char *file, int pool, const char *name)
{
	auto_fd int ours = openat(l->s->state_fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	auto_fd int old = openat(pool, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat a, b;

	return ours >= 0 && old >= 0 && fstat(ours, &a) == 0 && fstat(old, &b) == 0 &&
	       S_ISREG(b.st_mode) && a.st_size == b.st_size && same_bytes(ours, old);
}

int pool_trash(struct level *l, const struct digest *d, int dir, const char *name, struct err *e)
{
	auto_fd int trash = open_folder(l->s->state_fd, "trash", true, NULL);
	auto_free char *serial = stage_temp_name(l->s);
	const char *run = strrchr(l->s->tmp, '/');
	char digest[DIGEST_TEXT_MAX];

	digest_file_name(d, '-', digest);
	auto_free char *to = xasprintf("%s.%s.%s", digest, run ? run + 1 : l->s->tmp, serial);

	if (trash < 0 || renameat(dir, name, trash, to) < 0)
		return err_os(e, ERR_IO, "cannot move damaged blob %s to '%s/.store/trash'",
			      d->text, l->s->dir);
	return 0;
}

struct relink {
	struct level *l;
	const struct digest *d;
	const char *repo;
};

// A folder of REPO that may have D.
static int relink_in(struct relink *r, const char *path, struct err *e)
{
	auto_fd int dir = open_folder(r->l->s->v2_fd, path, false, NULL);
	struct stat st;

	if (dir < 0 || fstatat(dir, r->d->text, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    pool_owns(r->l, r->d, &st))
		return 0;
	strlist_add(&r->l->touched, path);
	return pool_link(r->l, r->d, r->repo, dir, r->d->text, e);
}

static int relink_referrer(void *arg, const struct folder_entry *entry, struct err *e)
{
	struct relink *r = arg;
	auto_free char *path = xasprintf("%s/referrers/%s", r->repo, entry->name);

	return entry->type == DT_DIR ? relink_in(r, path, e) : 0;
}

// Every name that D has anywhere becomes one of the pool's.
static int relink_all(struct level *l, const struct digest *d, struct err *e)
{
	static const char *const subs[] = {"blobs", "manifests"};
	auto_strlist struct strlist repos = {0};

	if (tree_repositories(l->s, &repos, e) < 0)
		return -1;
	for (size_t i = 0; i < repos.n; i++) {
		struct relink r = {l, d, repos.v[i]};
		auto_free char *referrers = repo_path(repos.v[i], "referrers");

		for (size_t k = 0; k < ARRAY_SIZE(subs); k++) {
			auto_free char *path = repo_path(repos.v[i], subs[k]);

			if (relink_in(&r, path, e) < 0)
				return -1;
		}
		if (folder_list(l->s->v2_fd, referrers, relink_referrer, &r, e) < 0)
			return -1;
	}
	return 0;
}

// FILE takes the place of the pool's damaged D. At no time is there no file of that name.
static int replace(struct level *l, const char *file, const struct digest *d, int pool,
		   struct err *e)
{
	const char *hex = digest_hex(d);
	auto_free char *kept = stage_temp_name(l->s);

	trace("store", "blob %s in '%s' is damaged, and replaced", d->text, l->s->dir);
	// Kept for whoever wants to look at it, if it can have one more name.
	if (linkat(pool, hex, l->s->tmp_fd, kept, 0) == 0 &&
	    pool_trash(l, d, l->s->tmp_fd, kept, e) < 0)
		return -1;
	if (renameat(l->s->state_fd, file, pool, hex) < 0)
		return pool_cannot(l, d, e);
	for (unsigned i = 1; i < POOL_COPIES_MAX; i++) {
		auto_free char *name = copy_name(d, i);

		if (faccessat(pool, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			break;
		if (pool_trash(l, d, pool, name, e) < 0)
			return -1;
	}
	return relink_all(l, d, e);
}

int pool_add(struct level *l, const char *file, const struct digest *d, struct err *e)
{
	int pool = pool_folder(l, d, e);

	if (pool < 0)
		return -1;
	if (fchmodat(l->s->state_fd, file, 0444, 0) < 0)
		// An earlier attempt to name the same batch may have done this part of it.
		return errno == ENOENT && faccessat(pool, digest_hex(d), F_OK,
						    AT_SYMLINK_NOFOLLOW) == 0
			       ? 0
			       : pool_cannot(l, d, e);
	if (linkat(l->s->state_fd, file, pool, digest_hex(d), 0) < 0) {
		if (errno != EEXIST)
			return pool_cannot(l, d, e);
		if (!same_content(l, file, pool, digest_hex(d)))
			return replace(l, file, d, pool, e);
	}
	unlinkat(l->s->state_fd, file, 0);
	return 0;
}

// ---- reading: as in the reference's tree, but for where blobs of others are

static int linked_blob_find(struct store *s, const char *repo, const struct digest *d,
			    struct content *ret, char **ret_home, struct err *e)
{
	auto_free char *path = pool_path(d);

	(void)repo;
	if (s->state_fd < 0)
		return err_set(e, ERR_NOT_FOUND, "unknown blob: %s", d->text);
	if (content_open(ret, s->state_fd, path, e) < 0)
		return -1;
	*ret_home = NULL;
	return 0;
}

// Only manifests/: a layer is no manifest, even if someone asks for it as one.
static const struct tree_name manifest_name = {"manifests", ':'}, blob_name = {"blobs", ':'};

static bool linked_where(struct store *s, const char *repo, const struct digest *d, bool manifest,
			 unsigned i, struct place *ret)
{
	return i == 0 && tree_place(s, repo, d, manifest ? &manifest_name : &blob_name, ret);
}

static int linked_manifest_read(struct store *s, const char *repo, const struct digest *d,
				struct buf *ret, struct err *e)
{
	return tree_manifest_find(s, repo, d, &manifest_name, 1, ret, e);
}

static bool file_is_there(struct store *s, const char *path)
{
	auto_content struct content c = {0};
	struct err ignored;

	return content_open(&c, s->v2_fd, path, &ignored) == 0;
}

static bool linked_manifest_complete(struct store *s, const char *repo, const struct digest *d)
{
	auto_free char *blob = name_path(repo, "blobs", d, ':');
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	struct digest subject;
	struct err ignored;

	if (!file_is_there(s, blob) || linked_manifest_read(s, repo, d, &bytes, &ignored) < 0)
		return false;
	if (!manifest_subject(buf_str(&bytes), &subject))
		return true;
	auto_free char *referrers = name_path(repo, "referrers", &subject, ':');
	auto_free char *referrer = xasprintf("%s/%s", referrers, d->text);

	return file_is_there(s, referrer);
}

static void linked_refresh(struct store *s)
{
	(void)s; // nothing is remembered
}

static char *linked_place(struct store *s, const char *repo, const struct digest *d)
{
	(void)s;
	(void)d;
	return xstrdup(repo);
}

// ---- giving names

static int name_content(struct level *l, const struct staged *it, struct err *e)
{
	return pool_add(l, it->file, &it->digest, e);
}

// A file that another tool wrote into the tree has no name in the pool yet.
static int take_from_home(struct level *l, const struct staged *it, struct err *e)
{
	auto_content struct content c = {0};
	auto_free char *path = it->text ? name_path(it->text, "blobs", &it->digest, ':') : NULL;
	auto_free char *tmp = stage_temp_name(l->s);
	auto_free char *file = xasprintf("%s/%s", l->s->tmp, tmp);

	if (!path)
		return err_set(e, ERR_NOT_FOUND, "blob %s is no longer in '%s'", it->digest.text,
			       l->s->dir);
	if (content_open(&c, l->s->v2_fd, path, e) < 0 ||
	    content_verify(l->s, &c, &it->digest, it->size, e) < 0)
		return -1;
	if (fdatasync(c.fds[0]) < 0 || linkat(l->s->v2_fd, path, l->s->tmp_fd, tmp, 0) < 0)
		return pool_cannot(l, &it->digest, e);
	return pool_add(l, file, &it->digest, e);
}

static int name_blob(struct level *l, const struct staged *it, struct err *e)
{
	int dir = level_sub(l, LEVEL_BLOBS, it->repo, e);

	return dir < 0 ? -1 : pool_link(l, &it->digest, it->repo, dir, it->digest.text, e);
}

static int name_link(struct level *l, const struct staged *it, struct err *e)
{
	int pool = pool_folder(l, &it->digest, e);

	if (pool < 0)
		return -1;
	if (faccessat(pool, digest_hex(&it->digest), F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
	    take_from_home(l, it, e) < 0)
		return -1;
	return name_blob(l, it, e);
}

int pool_link_manifest(struct level *l, const char *repo, const struct digest *d,
		       const char *subject, struct err *e)
{
	int blobs = level_sub(l, LEVEL_BLOBS, repo, e);
	int manifests = blobs < 0 ? -1 : level_sub(l, LEVEL_MANIFESTS, repo, e);

	if (manifests < 0 || pool_link(l, d, repo, blobs, d->text, e) < 0 ||
	    pool_link(l, d, repo, manifests, d->text, e) < 0)
		return -1;
	if (!subject)
		return 0;
	auto_free char *path = xasprintf("%s/referrers/%s", repo, subject);
	int referrers = level_folder(l, LEVEL_REFERRERS, path, e);

	return referrers < 0 ? -1 : pool_link(l, d, repo, referrers, d->text, e);
}

static int name_manifest(struct level *l, const struct staged *it, struct err *e)
{
	return pool_link_manifest(l, it->repo, &it->digest, it->text, e);
}

// Content enters the pool together with the names of blobs: it is durable already, and a name of a
// repository does not need the pool's to be valid.
static const struct naming_step steps[] = {
	{STAGED_BLOB, 0, name_content},      {STAGED_MANIFEST, 0, name_content},
	{STAGED_BLOB, 0, name_blob},         {STAGED_LINK, 0, name_link},
	{STAGED_MANIFEST, 1, name_manifest}, {STAGED_TAG, 2, level_tag},
};

static int linked_name_batch(struct store *s, struct batch *b, struct err *e)
{
	return tree_name_batch(s, b, steps, ARRAY_SIZE(steps), e);
}

// ---- opening

static int linked_open(struct store *s, struct buf *notice, struct err *e)
{
	bool made;

	(void)notice;
	return tree_open(s, &made, e);
}

static void linked_close(struct store *s)
{
	(void)s;
}

static int linked_seal(struct store *s, struct err *e)
{
	(void)s;
	(void)e;
	return 0;
}

const struct layout layout_linked = {
	.name = "linked",
	.state = ".store",
	.format = "linked 1",
	.open = linked_open,
	.close = linked_close,
	.blob_open = tree_blob_open,
	.blob_find = linked_blob_find,
	.refresh = linked_refresh,
	.manifest_read = linked_manifest_read,
	.manifest_complete = linked_manifest_complete,
	.tag_get = tree_tag_get,
	.tags = tree_tags,
	.repositories = tree_repositories,
	.contents = tree_contents,
	.place = linked_place,
	.name_batch = linked_name_batch,
	.seal = linked_seal,
	.origins_load = tree_origins_load,
	.where = linked_where,
	.tag_links = true,
	.has_repository = tree_has_repository,
	.stamp = tree_stamp,
	.keeps_referrers = true,
};
