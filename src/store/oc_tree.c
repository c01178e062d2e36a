// SPDX-License-Identifier: Apache-2.0
// What the layouts with a v2/ tree share: finding content and tags in it, listing it, and the
// steps by which names come into it.
#include "store/oc_tree.h"

#include "image/reference.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/trace.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

char *repo_path(const char *repo, const char *sub)
{
	return xasprintf("%s/%s", repo, sub);
}

char *name_path(const char *repo, const char *sub, const struct digest *d, char sep)
{
	char name[DIGEST_TEXT_MAX];

	digest_file_name(d, sep, name);
	return xasprintf("%s/%s/%s", repo, sub, name);
}

// ---- reading

// The names under which a blob, or a manifest, may be found.
static const struct tree_name blob_names[] = {{"blobs", ':'}, {"blobs", '-'}, {"manifests", ':'}},
			      manifest_names[] = {{"manifests", ':'},
						  {"manifests", '-'},
						  {"blobs", ':'},
						  {"blobs", '-'}};

int tree_blob_open(struct store *s, const char *repo, const struct digest *d, struct content *ret,
		   struct err *e)
{
	err_set(e, ERR_NOT_FOUND, "unknown blob: %s", d->text);
	for (size_t i = 0; s->v2_fd >= 0 && i < ARRAY_SIZE(blob_names); i++) {
		auto_free char *path = name_path(repo, blob_names[i].sub, d, blob_names[i].sep);

		if (content_open(ret, s->v2_fd, path, e) == 0)
			return 0;
		if (e->kind != ERR_NOT_FOUND)
			return -1;
	}
	return -1;
}

int tree_manifest_find(struct store *s, const char *repo, const struct digest *d,
		       const struct tree_name *names, size_t n, struct buf *ret, struct err *e)
{
	struct err why;
	bool damaged = false;

	for (size_t i = 0; s->v2_fd >= 0 && i < n; i++) {
		const struct tree_name *at = &names[i];
		auto_free char *path = name_path(repo, at->sub, d, at->sep);
		auto_content struct content c = {0};
		auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
		struct digest got;

		if (content_open(&c, s->v2_fd, path, &why) < 0) {
			damaged |= why.kind != ERR_NOT_FOUND;
			continue;
		}
		if (content_read(&c, MANIFEST_MAX, &bytes, &why) == 0) {
			digest_of(&got, d->algo, bytes.p, bytes.n);
			if (digest_equal(&got, d))
				return buf_add(ret, bytes.p, bytes.n, e);
		}
		// manifests/sha256-HEX may as well be a tag that was copied as a file.
		if (at->sep == ':' || strcmp(at->sub, "blobs") == 0) {
			damaged = true;
			trace("store", "'%s' in %s is damaged", path, s->dir);
		}
	}
	if (damaged)
		return err_set(e, ERR_DIGEST, "manifest %s of '%s' in %s is damaged on the medium",
			       d->text, repo, s->dir);
	return err_set(e, ERR_NOT_FOUND,
		       "unknown blob: manifest %s is not in '%s' (repository '%s')", d->text,
		       s->dir, repo);
}

int tree_manifest_read(struct store *s, const char *repo, const struct digest *d, struct buf *ret,
		       struct err *e)
{
	return tree_manifest_find(s, repo, d, manifest_names, ARRAY_SIZE(manifest_names), ret, e);
}

bool tree_place(struct store *s, const char *repo, const struct digest *d,
		const struct tree_name *name, struct place *ret)
{
	char file[DIGEST_TEXT_MAX];

	digest_file_name(d, name->sep, file);
	int n = snprintf(ret->path, sizeof(ret->path), "%s/%s/%s", repo, name->sub, file);

	ret->root = s->v2_fd;
	ret->pieces = ret->sized = false;
	ret->guess = strcmp(name->sub, "blobs") == 0;
	return s->v2_fd >= 0 && n > 0 && (size_t)n < sizeof(ret->path);
}

bool tree_where(struct store *s, const char *repo, const struct digest *d, bool manifest,
		unsigned i, struct place *ret)
{
	const struct tree_name *names = manifest ? manifest_names : blob_names;

	return i < (manifest ? ARRAY_SIZE(manifest_names) : ARRAY_SIZE(blob_names)) &&
	       tree_place(s, repo, d, &names[i], ret);
}

bool tree_has_repository(struct store *s, const char *repo)
{
	static const char *const subs[] = {"manifests", "blobs"};

	for (size_t i = 0; s->v2_fd >= 0 && i < ARRAY_SIZE(subs); i++) {
		auto_free char *path = repo_path(repo, subs[i]);
		auto_fd int fd = open_folder(s->v2_fd, path, false, NULL);

		if (fd >= 0)
			return true;
	}
	return false;
}

uint64_t tree_stamp(struct store *s, const char *repo)
{
	auto_free char *path = repo_path(repo, "manifests");
	auto_fd int fd = s->v2_fd < 0 ? -1 : open_folder(s->v2_fd, path, false, NULL);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return 0;
	return (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec +
	       ((uint64_t)st.st_ino << 32);
}

// ---- tags

static int unknown_tag(struct store *s, const char *repo, const char *tag, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, "unknown blob: tag '%s' is not in '%s' (repository '%s')",
		       tag, s->dir, repo);
}

static int tag_link(struct store *s, int dir, const char *repo, const char *tag, struct digest *ret,
		    struct err *e)
{
	char text[512];
	ssize_t n = readlinkat(dir, tag, text, sizeof(text) - 1);

	if (n < 0)
		return err_os(e, ERR_IO, "cannot read tag '%s' of '%s'", tag, repo);
	text[n] = '\0';
	const char *base = strrchr(text, '/');

	if (text[0] == '/' || !digest_of_name(ret, base ? base + 1 : text))
		return err_set(e, ERR_INPUT, "tag '%s' of '%s' in %s is a link to no digest", tag,
			       repo, s->dir);
	return 0;
}

// A tag that became a regular file when links were followed by whoever copied the tree.
static int tag_file(struct store *s, const char *repo, const char *tag, struct digest *ret,
		    struct buf *bytes, struct err *e)
{
	auto_free char *path = xasprintf("%s/manifests/%s", repo, tag);
	auto_content struct content c = {0};

	if (content_open(&c, s->v2_fd, path, e) < 0 || content_read(&c, MANIFEST_MAX, bytes, e) < 0)
		return err_wrap(e, "tag '%s' of '%s'", tag, repo);
	digest_of(ret, DIGEST_SHA256, bytes->p, bytes->n);
	return 0;
}

int tree_tag_get(struct store *s, const char *repo, const char *tag, struct digest *ret,
		 struct buf *bytes, bool *ret_file, struct err *e)
{
	auto_free char *path = repo_path(repo, "manifests");
	auto_fd int dir = s->v2_fd < 0 ? -1 : open_folder(s->v2_fd, path, false, NULL);
	struct stat st;

	if (dir < 0 || fstatat(dir, tag, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return unknown_tag(s, repo, tag, e);
	*ret_file = S_ISREG(st.st_mode);
	if (S_ISLNK(st.st_mode))
		return tag_link(s, dir, repo, tag, ret, e);
	if (S_ISREG(st.st_mode))
		return tag_file(s, repo, tag, ret, bytes, e);
	return err_set(e, ERR_INPUT, "tag '%s' of '%s' in %s is neither a link nor a file", tag,
		       repo, s->dir);
}

struct listing {
	struct store *s;
	const char *repo;
	struct strlist *tags, *digests;
};

// Is the file sha256-HEX a manifest under its digest, or the tag of that name?
static bool is_its_own_digest(struct listing *l, const char *name, const struct digest *d)
{
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	struct digest got;
	struct err ignored;

	return tag_file(l->s, l->repo, name, &got, &bytes, &ignored) == 0 && digest_equal(&got, d);
}

static int list_manifest(void *arg, const struct folder_entry *entry, struct err *e)
{
	struct listing *l = arg;
	struct digest d;
	bool digest = digest_of_name(&d, entry->name);

	(void)e;
	if ((entry->type != DT_REG && entry->type != DT_LNK) || ends_with(entry->name, ".download"))
		return 0;
	if (digest && entry->type == DT_REG &&
	    (entry->name[6] == ':' || is_its_own_digest(l, entry->name, &d))) {
		if (l->digests)
			strlist_add(l->digests, d.text);
	} else if (l->tags && tag_valid(entry->name)) {
		strlist_add(l->tags, entry->name);
	}
	return 0;
}

static int list_blob(void *arg, const struct folder_entry *entry, struct err *e)
{
	struct listing *l = arg;
	struct digest d;

	(void)e;
	if ((entry->type == DT_REG || entry->type == DT_LNK) && digest_of_name(&d, entry->name))
		strlist_add(l->digests, d.text);
	return 0;
}

int tree_tags(struct store *s, const char *repo, struct strlist *ret, struct err *e)
{
	auto_free char *path = repo_path(repo, "manifests");
	struct listing l = {.s = s, .repo = repo, .tags = ret};

	return s->v2_fd < 0 ? 0 : folder_list(s->v2_fd, path, list_manifest, &l, e);
}

int tree_contents(struct store *s, const char *repo, struct strlist *ret_manifests,
		  struct strlist *ret_blobs, struct err *e)
{
	auto_free char *manifests = repo_path(repo, "manifests");
	auto_free char *blobs = repo_path(repo, "blobs");
	auto_strlist struct strlist all = {0};
	struct listing l = {.s = s, .repo = repo, .digests = ret_manifests};

	if (s->v2_fd < 0)
		return 0;
	if (folder_list(s->v2_fd, manifests, list_manifest, &l, e) < 0)
		return -1;
	l.digests = &all;
	if (folder_list(s->v2_fd, blobs, list_blob, &l, e) < 0)
		return -1;
	strlist_sort(ret_manifests);
	strlist_unique(ret_manifests);
	strlist_sort(&all);
	strlist_unique(&all);
	for (size_t i = 0, m = 0; i < all.n; i++) {
		while (m < ret_manifests->n && strcmp(ret_manifests->v[m], all.v[i]) < 0)
			m++;
		if (m == ret_manifests->n || strcmp(ret_manifests->v[m], all.v[i]) != 0)
			strlist_add(ret_blobs, all.v[i]);
	}
	return 0;
}

// ---- repositories

struct walk {
	struct strlist todo;
	const char *at; // "" is v2 itself
	bool is_repo;
};

static int walk_entry(void *arg, const struct folder_entry *entry, struct err *e)
{
	struct walk *w = arg;

	if (entry->type != DT_DIR)
		return 0;
	if (*w->at && (strcmp(entry->name, "blobs") == 0 || strcmp(entry->name, "manifests") == 0))
		w->is_repo = true;
	else if (repo_component_ok(str_of(entry->name), *w->at == '\0') &&
		 strlen(w->at) + 1 + strlen(entry->name) <= STORE_REPO_MAX)
		strlist_addf(&w->todo, "%s%s%s", w->at, *w->at ? "/" : "", entry->name);
	return w->todo.n > STORE_ENTRIES_MAX
		       ? err_set(e, ERR_INPUT, "more than %d repositories", STORE_ENTRIES_MAX)
		       : 0;
}

int tree_repositories(struct store *s, struct strlist *ret, struct err *e)
{
	struct walk w = {0};
	int r = 0;

	if (s->v2_fd < 0)
		return 0;
	strlist_add(&w.todo, "");
	for (size_t i = 0; r == 0 && i < w.todo.n; i++) {
		auto_free char *at = xstrdup(w.todo.v[i]);

		w.at = at;
		w.is_repo = false;
		r = folder_list(s->v2_fd, at, walk_entry, &w, e);
		if (w.is_repo)
			strlist_add(ret, at);
	}
	strlist_release(&w.todo);
	return r;
}

// ---- giving names

void level_release(struct level *l)
{
	for (size_t i = 0; i < LEVEL_SLOTS; i++) {
		if (l->open[i].path)
			close(l->open[i].fd);
		free(l->open[i].path);
	}
	strlist_release(&l->touched);
	strlist_release(&l->touched_state);
}

int level_folder(struct level *l, enum level_slot slot, const char *path, struct err *e)
{
	struct level_open *at = &l->open[slot];
	bool pool = slot == LEVEL_POOL;
	struct strlist *touched = pool ? &l->touched_state : &l->touched;

	if (at->path && strcmp(at->path, path) == 0)
		return at->fd;
	int fd = open_folder(pool ? l->s->state_fd : l->s->v2_fd, path, true, touched);

	if (fd < 0)
		return err_os(e, ERR_IO, "cannot create folder '%s/%s/%s'", l->s->dir,
			      pool ? l->s->layout->state : "v2", path);
	strlist_add(touched, path);
	if (at->path)
		close(at->fd);
	free(at->path);
	*at = (struct level_open){xstrdup(path), fd};
	return fd;
}

int level_sub(struct level *l, enum level_slot slot, const char *repo, struct err *e)
{
	auto_free char *path =
		xasprintf("%s/%s", repo, slot == LEVEL_BLOBS ? "blobs" : "manifests");

	return level_folder(l, slot, path, e);
}

int level_sync(struct level *l, struct err *e)
{
	struct store *s = l->s;

	if (l->touched_state.n && barrier_sync_folders(s, s->state_fd, &l->touched_state, e) < 0)
		return -1;
	return l->touched.n ? barrier_sync_folders(s, s->v2_fd, &l->touched, e) : 0;
}

int level_cannot(struct level *l, const char *repo, const char *name, struct err *e)
{
	auto_free char *what = xasprintf("'%s' of '%s'", name, repo);

	return err_space(l->s, 0, what, e);
}

int level_symlink(struct level *l, const char *repo, int dir, const char *name, const char *target,
		  struct err *e)
{
	auto_free char *tmp = stage_temp_name(l->s);

	if (symlinkat(target, l->s->tmp_fd, tmp) < 0)
		return level_cannot(l, repo, name, e);
	if (renameat(l->s->tmp_fd, tmp, dir, name) < 0) {
		level_cannot(l, repo, name, e);
		unlinkat(l->s->tmp_fd, tmp, 0);
		return -1;
	}
	return 0;
}

int level_tag(struct level *l, const struct staged *it, struct err *e)
{
	int dir = level_sub(l, LEVEL_MANIFESTS, it->repo, e);
	char text[DIGEST_TEXT_MAX];

	if (dir < 0)
		return -1;
	ssize_t n = readlinkat(dir, it->text, text, sizeof(text));

	if (n > 0 && str_eqz((struct str){text, (size_t)n}, it->digest.text))
		return 0;
	return level_symlink(l, it->repo, dir, it->text, it->digest.text, e);
}

// ---- origins: .store/origins, a line for each

// The origins of B, a line for each in .store/origins.
static int add_origins(struct store *s, const struct batch *b, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	for (const struct staged *it = b->first; it; it = it->next)
		if (it->kind == STAGED_ORIGIN)
			buf_printf(&text, "%s %s %s\n", it->repo, it->digest.text, it->text);
	if (text.n == 0)
		return 0;
	auto_fd int fd =
		openat(s->state_fd, "origins",
		       O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
	struct stat st;
	char last = '\n';

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_os(e, ERR_IO, "cannot write '%s/.store/origins'", s->dir);
	// A line that a crash cut short must not swallow ours.
	if (st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) == 1 && last != '\n' &&
	    fs_write_all(fd, "\n", 1, "origins", e) < 0)
		return -1;
	if (fs_write_all(fd, text.p, text.n, ".store/origins", e) < 0) {
		errno = e->os;
		return err_space(s, text.n, "the list of origins", e);
	}
	if (fdatasync(fd) < 0)
		return err_os(e, ERR_IO, "cannot sync '%s/.store/origins'", s->dir);
	return 0;
}

// ---- giving names

enum { LEVELS = 3 };

static int name_level(struct store *s, const struct batch *b, const struct naming_step *steps,
		      size_t nsteps, int level, struct err *e)
{
	auto_level struct level l = {.s = s};

	for (size_t i = 0; i < nsteps; i++)
		for (const struct staged *it = b->first; steps[i].level == level && it;
		     it = it->next)
			if (it->kind == steps[i].kind && steps[i].name(&l, it, e) < 0)
				return -1;
	return level_sync(&l, e);
}

int tree_name_batch(struct store *s, struct batch *b, const struct naming_step *steps,
		    size_t nsteps, struct err *e)
{
	for (int level = 0; level < LEVELS; level++)
		if (name_level(s, b, steps, nsteps, level, e) < 0)
			return -1;
	return add_origins(s, b, e);
}

int tree_origins_load(struct store *s, struct err *e)
{
	auto_content struct content c = {0};
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	if (s->state_fd < 0)
		return 0;
	if (content_open(&c, s->state_fd, "origins", e) < 0)
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	if (content_read(&c, BUF_TEXT_MAX, &text, e) < 0)
		return err_wrap(e, "'%s/.store/origins'", s->dir);
	for (struct str rest = buf_str(&text); rest.p;) {
		struct str origin = str_cut(&rest, '\n');
		struct str repo = str_cut(&origin, ' '), digest = str_cut(&origin, ' ');

		if (origin.p)
			origin_remember(s, repo, digest, origin);
	}
	return 0;
}

// ---- opening

int tree_open(struct store *s, bool *ret_made, struct err *e)
{
	*ret_made = false;
	if (s->mode == STORE_WRITE && mkdirat(s->dir_fd, "v2", 0755) == 0) {
		*ret_made = true;
		if (fsync(s->dir_fd) < 0 && errno != EINVAL && errno != ENOTSUP)
			return err_os(e, ERR_IO, "cannot sync folder '%s'", s->dir);
	}
	s->v2_fd = openat(s->dir_fd, "v2", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (s->v2_fd < 0 && (errno != ENOENT || s->mode == STORE_WRITE))
		return err_os(e, ERR_IO, "cannot open '%s/v2'", s->dir);
	return 0;
}
