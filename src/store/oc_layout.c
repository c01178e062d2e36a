// SPDX-License-Identifier: Apache-2.0
// The reference's tree: v2/REPO/blobs/ALGO:HEX, v2/REPO/manifests/ALGO:HEX, tags as links.
//
// A blob is a regular file in the first repository that wanted it, and a relative link in all
// others. A manifest is one file with two names, in manifests/ and in blobs/. Read are also trees
// that were written on Windows (ALGO-HEX) or copied with links turned into files.
#include "image/reference.h"
#include "store/internal.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/trace.h"

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

static char *repo_path(const char *repo, const char *sub)
{
	return xasprintf("%s/%s", repo, sub);
}

static char *name_path(const char *repo, const char *sub, const struct digest *d, char sep)
{
	char name[DIGEST_TEXT_MAX];

	digest_file_name(d, sep, name);
	return xasprintf("%s/%s/%s", repo, sub, name);
}

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

static int walk_repositories(struct store *s, struct strlist *ret, struct err *e);

static int scan_homes(struct store *s, struct err *e)
{
	auto_strlist struct strlist repos = {0};

	if (walk_repositories(s, &repos, e) < 0)
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

// ---- reading

// The names under which a blob, or a manifest, may be found.
static const struct place_name {
	const char *sub;
	char sep;
} blob_names[] = {{"blobs", ':'}, {"blobs", '-'}, {"manifests", ':'}},
  manifest_names[] = {{"manifests", ':'}, {"manifests", '-'}, {"blobs", ':'}, {"blobs", '-'}};

static int oc_blob_open(struct store *s, const char *repo, const struct digest *d,
			struct content *ret, struct err *e)
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

static int oc_blob_find(struct store *s, const char *repo, const struct digest *d,
			struct content *ret, char **ret_home, struct err *e)
{
	if (load_homes(s, e) < 0)
		return -1;
	auto_free char *home = home_of(s, d);

	if (!home || strcmp(home, repo) == 0)
		return err_set(e, ERR_NOT_FOUND, "unknown blob: %s", d->text);
	if (oc_blob_open(s, home, d, ret, e) < 0)
		return -1;
	*ret_home = steal(&home);
	return 0;
}

static int oc_manifest_read(struct store *s, const char *repo, const struct digest *d,
			    struct buf *ret, struct err *e)
{
	struct err why;
	bool damaged = false;

	for (size_t i = 0; s->v2_fd >= 0 && i < ARRAY_SIZE(manifest_names); i++) {
		const struct place_name *at = &manifest_names[i];
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

static int oc_tag_get(struct store *s, const char *repo, const char *tag, struct digest *ret,
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

static int oc_tags(struct store *s, const char *repo, struct strlist *ret, struct err *e)
{
	auto_free char *path = repo_path(repo, "manifests");
	struct listing l = {.s = s, .repo = repo, .tags = ret};

	return s->v2_fd < 0 ? 0 : folder_list(s->v2_fd, path, list_manifest, &l, e);
}

static int oc_contents(struct store *s, const char *repo, struct strlist *ret_manifests,
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

static int walk_repositories(struct store *s, struct strlist *ret, struct err *e)
{
	struct walk w = {0};
	int r = 0;

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

static int oc_repositories(struct store *s, struct strlist *ret, struct err *e)
{
	return s->v2_fd < 0 ? 0 : walk_repositories(s, ret, e);
}

// ---- giving names

// One level of a batch: what it touches, and the folder used last of either kind.
struct level {
	struct store *s;
	struct strlist touched;
	struct open_sub {
		char *repo;
		int fd;
	} blobs, manifests;
};

static void level_release(struct level *l)
{
	struct open_sub *subs[] = {&l->blobs, &l->manifests};

	for (size_t i = 0; i < ARRAY_SIZE(subs); i++) {
		if (subs[i]->repo)
			close(subs[i]->fd);
		free(subs[i]->repo);
	}
	strlist_release(&l->touched);
}
#define auto_level __attribute__((cleanup(level_release)))

// A descriptor of REPO's folder, made when it is missing; borrowed.
static int level_folder(struct level *l, const char *repo, bool manifests, struct err *e)
{
	struct open_sub *sub = manifests ? &l->manifests : &l->blobs;

	if (sub->repo && strcmp(sub->repo, repo) == 0)
		return sub->fd;
	auto_free char *path = repo_path(repo, manifests ? "manifests" : "blobs");
	int fd = open_folder(l->s->v2_fd, path, true, &l->touched);

	if (fd < 0)
		return err_os(e, ERR_IO, "cannot create folder '%s/v2/%s'", l->s->dir, path);
	strlist_add(&l->touched, path);
	if (sub->repo)
		close(sub->fd);
	free(sub->repo);
	*sub = (struct open_sub){xstrdup(repo), fd};
	return fd;
}

static int cannot_name(struct level *l, const struct staged *it, const char *name, struct err *e)
{
	auto_free char *what = xasprintf("'%s' of '%s'", name, it->repo);

	return err_space(l->s, 0, what, e);
}

// A link to TARGET at DIR/NAME, replacing what is there.
static int make_link(struct level *l, const struct staged *it, int dir, const char *name,
		     const char *target, struct err *e)
{
	auto_free char *tmp = stage_temp_name(l->s);

	if (symlinkat(target, l->s->tmp_fd, tmp) < 0)
		return cannot_name(l, it, name, e);
	if (renameat(l->s->tmp_fd, tmp, dir, name) < 0) {
		cannot_name(l, it, name, e);
		unlinkat(l->s->tmp_fd, tmp, 0);
		return -1;
	}
	return 0;
}

static int name_blob(struct level *l, const struct staged *it, struct err *e)
{
	int dir = level_folder(l, it->repo, false, e);

	if (dir < 0)
		return -1;
	if (renameat(l->s->state_fd, it->file, dir, it->digest.text) < 0)
		return cannot_name(l, it, it->digest.text, e);
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
	int dir = level_folder(l, it->repo, false, e);
	auto_free char *target = link_target(it);

	return dir < 0 ? -1 : make_link(l, it, dir, it->digest.text, target, e);
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

		return links_refused() ? make_link(l, it, dir, it->digest.text, target, e)
				       : cannot_name(l, it, it->digest.text, e);
	}
	if (renameat(l->s->tmp_fd, tmp, dir, it->digest.text) < 0) {
		cannot_name(l, it, it->digest.text, e);
		unlinkat(l->s->tmp_fd, tmp, 0);
		return -1;
	}
	return 0;
}

static int name_manifest(struct level *l, const struct staged *it, struct err *e)
{
	int blobs = level_folder(l, it->repo, false, e);
	int manifests = blobs < 0 ? -1 : level_folder(l, it->repo, true, e);

	if (manifests < 0 || name_manifest_blob(l, it, blobs, e) < 0)
		return -1;
	if (renameat(l->s->state_fd, it->file, manifests, it->digest.text) < 0)
		return cannot_name(l, it, it->digest.text, e);
	return 0;
}

static int name_tag(struct level *l, const struct staged *it, struct err *e)
{
	int dir = level_folder(l, it->repo, true, e);
	char text[DIGEST_TEXT_MAX];

	if (dir < 0)
		return -1;
	ssize_t n = readlinkat(dir, it->text, text, sizeof(text));

	if (n > 0 && str_eqz((struct str){text, (size_t)n}, it->digest.text))
		return 0;
	return make_link(l, it, dir, it->text, it->digest.text, e);
}

static const struct {
	enum staged_kind kind;
	int level;
	int (*name)(struct level *l, const struct staged *it, struct err *e);
} steps[] = {
	{STAGED_BLOB, 0, name_blob},
	{STAGED_LINK, 0, name_link},
	{STAGED_MANIFEST, 1, name_manifest},
	{STAGED_TAG, 2, name_tag},
};

static int name_level(struct store *s, const struct batch *b, int n, struct err *e)
{
	auto_level struct level l = {.s = s};

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		for (const struct staged *it = b->first; steps[i].level == n && it; it = it->next)
			if (it->kind == steps[i].kind && steps[i].name(&l, it, e) < 0)
				return -1;
	return l.touched.n ? barrier_sync_folders(s, s->v2_fd, &l.touched, e) : 0;
}

// ---- origins: .store/origins, a line for each

static int append_origins(struct store *s, const struct batch *b, struct err *e)
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

static int oc_name_batch(struct store *s, struct batch *b, struct err *e)
{
	for (int n = 0; n < 3; n++)
		if (name_level(s, b, n, e) < 0)
			return -1;
	return append_origins(s, b, e);
}

static int oc_origins_load(struct store *s, struct err *e)
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

static int oc_open(struct store *s, struct buf *notice, struct err *e)
{
	struct oc *oc = xcalloc(1, sizeof(*oc));

	(void)notice;
	pthread_mutex_init(&oc->load_lock, NULL);
	s->own = oc;
	if (s->mode == STORE_WRITE && mkdirat(s->dir_fd, "v2", 0755) == 0) {
		oc->loaded = true; // there is nothing to look through
		if (fsync(s->dir_fd) < 0 && errno != EINVAL && errno != ENOTSUP)
			return err_os(e, ERR_IO, "cannot sync folder '%s'", s->dir);
	}
	s->v2_fd = openat(s->dir_fd, "v2", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (s->v2_fd < 0 && (errno != ENOENT || s->mode == STORE_WRITE))
		return err_os(e, ERR_IO, "cannot open '%s/v2'", s->dir);
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
	.blob_open = oc_blob_open,
	.blob_find = oc_blob_find,
	.refresh = oc_refresh,
	.manifest_read = oc_manifest_read,
	.manifest_complete = oc_manifest_complete,
	.tag_get = oc_tag_get,
	.tags = oc_tags,
	.repositories = oc_repositories,
	.contents = oc_contents,
	.place = oc_place,
	.staged = oc_staged,
	.name_batch = oc_name_batch,
	.seal = oc_seal,
	.origins_load = oc_origins_load,
};
