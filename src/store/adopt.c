// SPDX-License-Identifier: Apache-2.0
// A tree without a pool becomes a server's store, in place.
//
// Every file is hashed and linked into the pool, or, when the pool has its content already,
// replaced by a link; a symbolic link to a blob becomes a hard link. Nothing is copied but what
// belongs to another user, who could change it. Each step is one rename, so readers notice nothing,
// and the same walk goes on after a crash: what is the pool's inode has been done.
#include "image/reference.h"
#include "store/linked.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/trace.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TOLD_MAX = 8 };

struct adoption {
	struct store *s;
	struct level level;
	const char *repo;
	const char *sub;       // "blobs" or "manifests"
	int dir;               // v2/REPO/SUB
	struct strlist names;  // of the folder: the walk changes it
	struct strlist wanted; // manifests of REPO that tags and lists name
	struct map seen;       // the same, as a set
	uint64_t files;
	uint64_t damaged;
	struct buf told;
	uid_t uid;
};

// ---- one file

// The bytes of C in a temporary file that is ours; *ret_file is below the state folder.
static int copy_content(struct adoption *a, const struct content *c, char **ret_file, struct err *e)
{
	auto_free char *file = NULL;
	auto_fd int fd = stage_temp(a->s, &file, e);
	auto_free unsigned char *chunk = xmalloc(SLAB_SIZE);
	uint64_t at = 0;
	ssize_t n = 1;

	if (fd < 0)
		return -1;
	while (n > 0) {
		n = content_pread(c, chunk, SLAB_SIZE, at);
		if (n > 0 && fs_write_all(fd, chunk, (size_t)n, file, e) < 0) {
			errno = e->os;
			return err_space(a->s, c->size - at, "a blob", e);
		}
		at += n > 0 ? (uint64_t)n : 0;
	}
	if (n < 0 || fdatasync(fd) < 0)
		return err_os(e, ERR_IO, "cannot copy a blob of '%s'", a->s->dir);
	*ret_file = steal(&file);
	return 0;
}

// A second name of the open file C in our temporary folder; NULL when it cannot have one.
static char *link_content(struct adoption *a, const struct content *c)
{
	auto_free char *name = stage_temp_name(a->s);
	char open_file[64];

	snprintf(open_file, sizeof(open_file), "/proc/self/fd/%d", c->fds[0]);
	if (linkat(AT_FDCWD, open_file, a->s->tmp_fd, name, AT_SYMLINK_FOLLOW) < 0)
		return NULL;
	return xasprintf("%s/%s", a->s->tmp, name);
}

// The content of C, which was verified, gets into the pool.
static int into_pool(struct adoption *a, const struct content *c, const struct digest *d,
		     struct err *e)
{
	bool ours = c->first.st_uid == a->uid;
	auto_free char *file = ours ? link_content(a, c) : NULL;

	int pool = pool_folder(&a->level, d, e);

	if (pool < 0 || (!file && copy_content(a, c, &file, e) < 0))
		return -1;
	if (faccessat(pool, digest_hex(d), F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		a->files++;
	return pool_add(&a->level, file, d, e);
}

// Says what is wrong with NAME, which is moved out of the tree.
static int set_aside(struct adoption *a, const char *name, const struct digest *d, const char *why,
		     struct err *e)
{
	trace("store", "%s/%s/%s: %s", a->repo, a->sub, name, why);
	if (a->damaged++ < TOLD_MAX)
		buf_printf(&a->told, "%s%s of '%s'", a->told.n ? ", " : "", name, a->repo);
	return pool_trash(&a->level, d, a->dir, name, e);
}

// The file NAME, which must be D, is in the pool afterwards. 1: it was damaged and is gone.
static int adopt_file(struct adoption *a, const char *name, const struct digest *d, struct err *e)
{
	auto_free char *path = xasprintf("%s/%s/%s", a->repo, a->sub, name);
	auto_content struct content c = {0};
	struct err why = {0};

	if (content_open(&c, a->s->v2_fd, path, &why) == 0) {
		if (pool_owns(&a->level, d, &c.first))
			return 0;
		if (content_verify(a->s, &c, d, c.size, &why) == 0)
			return into_pool(a, &c, d, e);
	}
	// Not being allowed to read it, or a lack of memory, says nothing about the file.
	if (why.kind == ERR_CANCELLED || (why.os && why.os != EIO)) {
		*e = why;
		return -1;
	}
	return set_aside(a, name, d, why.text, e) < 0 ? -1 : 1;
}

// ---- one folder

static int remember_name(void *arg, const struct folder_entry *entry, struct err *e)
{
	struct adoption *a = arg;

	(void)e;
	if (entry->type == DT_REG || entry->type == DT_LNK)
		strlist_add(&a->names, entry->name);
	return 0;
}

static int enter_folder(struct adoption *a, const char *repo, const char *sub, struct err *e)
{
	auto_free char *path = repo_path(repo, sub);
	bool manifests = strcmp(sub, "manifests") == 0;

	strlist_release(&a->names);
	a->repo = repo;
	a->sub = sub;
	if (folder_list(a->s->v2_fd, path, remember_name, a, e) < 0)
		return -1;
	if (a->names.n == 0)
		return 0;
	a->dir = level_sub(&a->level, manifests ? LEVEL_MANIFESTS : LEVEL_BLOBS, repo, e);
	return a->dir < 0 ? -1 : 0;
}

static int adopt_blob(struct adoption *a, const char *name, struct err *e)
{
	struct digest d;

	if (!digest_of_name(&d, name))
		return 0; // what the reference leaves behind
	int r = adopt_file(a, name, &d, e);

	if (r != 0)
		return r < 0 ? -1 : 0;
	if (pool_link(&a->level, &d, a->repo, a->dir, d.text, e) < 0)
		return -1;
	// As it is spelled on Windows.
	if (strcmp(name, d.text) != 0)
		unlinkat(a->dir, name, 0);
	return 0;
}

static int adopt_blobs(struct adoption *a, const char *repo, struct err *e)
{
	if (enter_folder(a, repo, "blobs", e) < 0)
		return -1;
	for (size_t i = 0; i < a->names.n; i++) {
		if (cancelled(a->s->cancel))
			return err_cancelled(e);
		if (adopt_blob(a, a->names.v[i], e) < 0)
			return -1;
	}
	return 0;
}

// ---- manifests and tags

// What D names is needed as a manifest; so are, for a list, its children.
static void want(struct adoption *a, const struct digest *d)
{
	bool made = false;

	if (a->seen.n < STORE_ENTRIES_MAX)
		map_put(&a->seen, str_of(d->text), &made);
	if (made)
		strlist_add(&a->wanted, d->text);
}

static int read_regular(struct adoption *a, const char *name, struct buf *ret, struct err *e)
{
	auto_free char *path = xasprintf("%s/%s/%s", a->repo, a->sub, name);
	auto_content struct content c = {0};

	if (content_open(&c, a->s->v2_fd, path, e) < 0)
		return -1;
	return content_read(&c, MANIFEST_MAX, ret, e);
}

// A tag that became a regular file when the tree was copied: a link again.
static int adopt_tag_file(struct adoption *a, const char *name, struct err *e)
{
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	struct digest d;
	struct err why;

	if (read_regular(a, name, &bytes, &why) < 0) {
		trace("store", "tag %s of %s: %s", name, a->repo, why.text);
		return 0;
	}
	digest_of(&d, DIGEST_SHA256, bytes.p, bytes.n);
	int r = adopt_file(a, name, &d, e);

	if (r != 0)
		return r < 0 ? -1 : 0;
	want(a, &d);
	if (pool_link(&a->level, &d, a->repo, a->dir, d.text, e) < 0)
		return -1;
	return level_symlink(&a->level, a->repo, a->dir, name, d.text, e);
}

// TEXT of the link NAME. Tags are spelled as the tree of other systems spells them.
static int adopt_tag(struct adoption *a, const char *name, char *text, struct err *e)
{
	const char *base = strrchr(text, '/');
	struct digest d;

	if (!digest_of_name(&d, base ? base + 1 : text))
		return 0;
	want(a, &d);
	return strcmp(text, d.text) == 0
		       ? 0
		       : level_symlink(&a->level, a->repo, a->dir, name, d.text, e);
}

static bool is_digest(struct adoption *a, const char *name, struct digest *d)
{
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	struct digest got;
	struct err ignored;

	if (!digest_of_name(d, name))
		return false;
	// sha256-HEX may be a tag as well.
	if (name[6] == ':')
		return true;
	if (read_regular(a, name, &bytes, &ignored) < 0)
		return false;
	digest_of(&got, d->algo, bytes.p, bytes.n);
	return digest_equal(&got, d);
}

static int adopt_manifest(struct adoption *a, const char *name, struct err *e)
{
	char text[512];
	ssize_t n = readlinkat(a->dir, name, text, sizeof(text) - 1);
	struct digest d;

	if (ends_with(name, ".download"))
		return 0;
	if (n > 0 && !(digest_of_name(&d, name) && name[6] == ':')) {
		text[n] = '\0';
		return tag_valid(name) ? adopt_tag(a, name, text, e) : 0;
	}
	if (is_digest(a, name, &d)) {
		want(a, &d);
		return adopt_blob(a, name, e);
	}
	return tag_valid(name) ? adopt_tag_file(a, name, e) : 0;
}

// The children of the list BYTES.
static void want_children(struct adoption *a, struct str bytes)
{
	auto_manifest struct manifest m = {0};
	struct err ignored;

	if (manifest_parse(&m, bytes, NULL, "manifest", &ignored) < 0)
		return;
	for (size_t i = 0; i < m.nmanifests; i++)
		want(a, &m.manifests[i].digest);
}

// A manifest that somebody wants: all its names, wherever its file was.
static int complete_manifest(struct adoption *a, const struct digest *d, struct err *e)
{
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	struct digest subject;
	struct err why;

	// In manifests/ or in blobs/; a list need not have all of its children.
	if (tree_manifest_read(a->s, a->repo, d, &bytes, &why) < 0)
		return 0;
	want_children(a, buf_str(&bytes));
	bool refers = manifest_subject(buf_str(&bytes), &subject);

	return pool_link_manifest(&a->level, a->repo, d, refers ? subject.text : NULL, e);
}

static int complete_manifests(struct adoption *a, struct err *e)
{
	for (size_t i = 0; i < a->wanted.n; i++) {
		struct digest d;

		if (cancelled(a->s->cancel))
			return err_cancelled(e);
		if (digest_parse(&d, a->wanted.v[i], e) < 0 || complete_manifest(a, &d, e) < 0)
			return -1;
	}
	return 0;
}

static int adopt_manifests(struct adoption *a, const char *repo, struct err *e)
{
	strlist_release(&a->wanted);
	map_release(&a->seen);
	if (enter_folder(a, repo, "manifests", e) < 0)
		return -1;
	for (size_t i = 0; i < a->names.n; i++)
		if (adopt_manifest(a, a->names.v[i], e) < 0)
			return -1;
	return complete_manifests(a, e);
}

// ---- all of it

static void tell(struct adoption *a, struct buf *notice)
{
	if (a->files == 0 && a->damaged == 0)
		return;
	buf_printf(notice,
		   "%s'%s' is a server's store from now on: %" PRIu64 " files are in its pool",
		   notice->n ? "; " : "", a->s->dir, a->files);
	if (a->damaged)
		buf_printf(notice,
			   "; %" PRIu64 " were damaged, and moved to .store/trash; push or mirror "
			   "them again: %s%s",
			   a->damaged, a->told.p, a->damaged > TOLD_MAX ? ", …" : "");
}

static int adopt_all(struct adoption *a, struct err *e)
{
	auto_strlist struct strlist repos = {0};
	struct stat st;

	if (fstat(a->s->tmp_fd, &st) < 0 || syncfs(a->s->dir_fd) < 0)
		return err_os(e, ERR_IO, "cannot sync '%s'", a->s->dir);
	a->uid = st.st_uid;
	if (tree_repositories(a->s, &repos, e) < 0)
		return -1;
	strlist_sort(&repos);
	for (size_t i = 0; i < repos.n; i++)
		if (adopt_blobs(a, repos.v[i], e) < 0 || adopt_manifests(a, repos.v[i], e) < 0)
			return -1;
	return level_sync(&a->level, e);
}

int linked_adopt(struct store *s, struct buf *notice, struct err *e)
{
	struct adoption a = {.s = s, .level = {.s = s}, .dir = -1, .told = BUF_INIT(BUF_TEXT_MAX)};
	int r = adopt_all(&a, e);

	if (r == 0)
		tell(&a, notice);
	else
		err_wrap(e, "'%s' cannot become a server's store yet", s->dir);
	level_release(&a.level);
	strlist_release(&a.names);
	strlist_release(&a.wanted);
	map_release(&a.seen);
	buf_free(&a.told);
	return r;
}
