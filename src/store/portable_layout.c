// SPDX-License-Identifier: Apache-2.0
// The layout for media without links or ':' in names: a pool of plain hex names, one index, a seal.
//
//	MIRROR.txt                  for people
//	store/format                "portable 1 <uuid>"
//	store/pool/sha256/ab/<hex>  content; above 4 GiB - 1 cut into <hex>.000, <hex>.001, …
//	store/index/NNNNNN.idx      portable.h
//	store/seal                  written last
//
// One writer at a time. Tags live in the index only, so that upper and lower case do not matter.
#include "store/portable.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/trace.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

struct portable {
	struct records ix; // maps: under lock once the store is open
	int lock_fd;
	int segment_fd; // the segment of this run; -1 until something is written
	bool changed;   // since the last seal

	// Under lock: repositories, of as many entries of the index as were looked at.
	struct map repos;
	size_t members_seen, tags_seen;
};

static const char mirror_txt[] =
	"This folder holds mirrored container images. It was written by ferry " FERRY_VERSION ".\n"
	"\n"
	"Everything is below store/: nothing there is meant to be changed by hand, and every byte is\n"
	"checked against its digest when it is read. If store/seal is missing, the run that wrote\n"
	"this did not end: run the same command again, it goes on where it stopped.\n"
	"\n"
	"To put the images into a registry, from the folder above:\n"
	"\n"
	"  ferry image mirror --from-dir=THIS-FOLDER 'file://REPOSITORY:*' REGISTRY/REPOSITORY\n"
	"\n"
	"To get the layout that other tools read: ferry store copy --layout=oc THIS-FOLDER NEW-FOLDER\n";

// ---- the pool

static char *pool_folder(const struct digest *d)
{
	return xasprintf("pool/%s/%.2s", digest_algo_name(d->algo), digest_hex(d));
}

static int pool_open(struct store *s, const struct digest *d, struct content *ret, struct err *e)
{
	auto_free char *dir = pool_folder(d);
	auto_free char *path = xasprintf("%s/%s", dir, digest_hex(d));

	return content_open_pieces(ret, s->state_fd, path, e);
}

// The record of D in REPO: 0 when there is none.
static uint64_t member(struct store *s, const char *repo, const struct digest *d)
{
	struct portable *p = s->own;
	auto_free char *key = xasprintf("%s %s", repo, d->text);

	pthread_mutex_lock(&s->lock);
	const struct map_entry *en = map_find(&p->ix.members, str_of(key));
	uint64_t r = en ? en->num : 0;

	pthread_mutex_unlock(&s->lock);
	return r;
}

static int unknown(const struct digest *d, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, "unknown blob: %s", d->text);
}

static int portable_blob_open(struct store *s, const char *repo, const struct digest *d,
			      struct content *ret, struct err *e)
{
	return member(s, repo, d) ? pool_open(s, d, ret, e) : unknown(d, e);
}

static int portable_blob_find(struct store *s, const char *repo, const struct digest *d,
			      struct content *ret, char **ret_home, struct err *e)
{
	(void)repo;
	if (pool_open(s, d, ret, e) < 0)
		return -1;
	*ret_home = NULL;
	return 0;
}

static void portable_refresh(struct store *s)
{
	(void)s; // there is no other writer
}

static int portable_manifest_read(struct store *s, const char *repo, const struct digest *d,
				  struct buf *ret, struct err *e)
{
	auto_content struct content c = {0};
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	struct digest got;

	if (!member(s, repo, d))
		return err_set(e, ERR_NOT_FOUND,
			       "unknown blob: manifest %s is not in '%s' (repository '%s')",
			       d->text, s->dir, repo);
	if (pool_open(s, d, &c, e) == 0 && content_read(&c, MANIFEST_MAX, &bytes, e) == 0) {
		digest_of(&got, d->algo, bytes.p, bytes.n);
		if (digest_equal(&got, d))
			return buf_add(ret, bytes.p, bytes.n, e);
	}
	return err_set(e, ERR_DIGEST, "manifest %s of '%s' in %s is damaged on the medium", d->text,
		       repo, s->dir);
}

static bool portable_manifest_complete(struct store *s, const char *repo, const struct digest *d)
{
	return (member(s, repo, d) & INDEX_MANIFEST) != 0;
}

// ---- tags and lists

static int portable_tag_get(struct store *s, const char *repo, const char *tag, struct digest *ret,
			    struct buf *bytes, bool *ret_file, struct err *e)
{
	struct portable *p = s->own;
	auto_free char *key = xasprintf("%s %s", repo, tag);

	(void)bytes;
	pthread_mutex_lock(&s->lock);
	const char *text = map_get(&p->ix.tags, key);
	int r = text ? digest_parse(ret, text, e) : -1;

	pthread_mutex_unlock(&s->lock);
	*ret_file = false;
	if (r < 0)
		return err_set(e, ERR_NOT_FOUND,
			       "unknown blob: tag '%s' is not in '%s' (repository '%s')", tag,
			       s->dir, repo);
	return 0;
}

// What stands behind "REPO " in KEY; NULL when it is another repository's.
static const char *in_repo(const struct map_entry *en, const char *repo, size_t n)
{
	return en->len > n && memcmp(en->key, repo, n) == 0 && en->key[n] == ' ' ? en->key + n + 1
										 : NULL;
}

static int portable_tags(struct store *s, const char *repo, struct strlist *ret, struct err *e)
{
	struct portable *p = s->own;
	size_t n = strlen(repo);

	(void)e;
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < p->ix.tags.n; i++) {
		const char *tag = in_repo(&p->ix.tags.entries[i], repo, n);

		if (tag)
			strlist_add(ret, tag);
	}
	pthread_mutex_unlock(&s->lock);
	return 0;
}

static int portable_contents(struct store *s, const char *repo, struct strlist *ret_manifests,
			     struct strlist *ret_blobs, struct err *e)
{
	struct portable *p = s->own;
	size_t n = strlen(repo);

	(void)e;
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < p->ix.members.n; i++) {
		const struct map_entry *en = &p->ix.members.entries[i];
		const char *digest = in_repo(en, repo, n);

		if (digest)
			strlist_add(en->num & INDEX_MANIFEST ? ret_manifests : ret_blobs, digest);
	}
	pthread_mutex_unlock(&s->lock);
	strlist_sort(ret_manifests);
	strlist_sort(ret_blobs);
	return 0;
}

static int portable_repositories(struct store *s, struct strlist *ret, struct err *e)
{
	struct portable *p = s->own;
	const struct map *maps[] = {&p->ix.members, &p->ix.tags};
	struct map seen = {0};

	(void)e;
	pthread_mutex_lock(&s->lock);
	for (size_t m = 0; m < ARRAY_SIZE(maps); m++)
		for (size_t i = 0; i < maps[m]->n; i++) {
			struct str key = str_of(maps[m]->entries[i].key);

			map_put(&seen, str_cut(&key, ' '), NULL);
		}
	pthread_mutex_unlock(&s->lock);
	for (size_t i = 0; i < seen.n; i++)
		strlist_add(ret, seen.entries[i].key);
	map_release(&seen);
	return 0;
}

// Under lock: adds the repositories of what came into M since the last time.
static void note_repositories(struct portable *p, const struct map *m, size_t *seen)
{
	for (; *seen < m->n; ++*seen) {
		struct str key = str_of(m->entries[*seen].key);

		map_put(&p->repos, str_cut(&key, ' '), NULL);
	}
}

static bool portable_has_repository(struct store *s, const char *repo)
{
	struct portable *p = s->own;

	pthread_mutex_lock(&s->lock);
	note_repositories(p, &p->ix.members, &p->members_seen);
	note_repositories(p, &p->ix.tags, &p->tags_seen);
	bool r = map_find(&p->repos, str_of(repo)) != NULL;

	pthread_mutex_unlock(&s->lock);
	return r;
}

static bool portable_where(struct store *s, const char *repo, const struct digest *d, bool manifest,
			   unsigned i, struct place *ret)
{
	struct portable *p = s->own;
	char key[STORE_REPO_MAX + 1 + DIGEST_TEXT_MAX];
	const char *hex = digest_hex(d);
	int n = snprintf(key, sizeof(key), "%s %s", repo, d->text);

	if (i > 0 || s->state_fd < 0 || n < 0 || (size_t)n >= sizeof(key))
		return false;
	pthread_mutex_lock(&s->lock);
	const struct map_entry *en = map_find(&p->ix.members, (struct str){key, (size_t)n});
	uint64_t what = en ? en->num : 0;

	pthread_mutex_unlock(&s->lock);
	if (!what || (manifest && !(what & INDEX_MANIFEST)))
		return false;
	snprintf(ret->path, sizeof(ret->path), "pool/%s/%.2s/%s", digest_algo_name(d->algo), hex,
		 hex);
	ret->root = s->state_fd;
	ret->pieces = ret->sized = true;
	ret->guess = false;
	ret->size = what / 4;
	return true;
}

static uint64_t portable_stamp(struct store *s, const char *repo)
{
	struct portable *p = s->own;

	(void)repo;
	pthread_mutex_lock(&s->lock);
	uint64_t n = p->ix.members.n;

	pthread_mutex_unlock(&s->lock);
	return n;
}

static bool portable_unfinished(const struct store *s)
{
	const struct portable *p = s->own;

	return !p->ix.sealed;
}

static char *portable_place(struct store *s, const char *repo, const struct digest *d)
{
	(void)s;
	(void)d;
	return xstrdup(repo);
}

// ---- giving names

// The same content may have been stored in another shape before.
static void remove_other_shape(int dir, const struct staged *it)
{
	const char *hex = digest_hex(&it->digest);

	bool found = it->pieces && unlinkat(dir, hex, 0) == 0;

	for (unsigned i = it->pieces; i < STORE_PIECES_MAX; i++) {
		auto_free char *name = piece_name(hex, STORE_PIECES_MAX, i);

		// Nearly always there is nothing; but if there is, pieces may be missing between.
		if (unlinkat(dir, name, 0) == 0)
			found = true;
		else if (!found)
			return;
	}
}

static int name_content(struct store *s, const struct staged *it, struct strlist *touched,
			struct err *e)
{
	auto_free char *path = pool_folder(&it->digest);
	auto_fd int dir = open_folder(s->state_fd, path, true, touched);

	if (dir < 0)
		return err_os(e, ERR_IO, "cannot create folder '%s/store/%s'", s->dir, path);
	strlist_add(touched, path);
	if (piece_rename(s->state_fd, it->file, it->pieces, dir, digest_hex(&it->digest)) < 0) {
		auto_free char *what = xasprintf("blob %s", it->digest.text);

		return err_space(s, 0, what, e);
	}
	remove_other_shape(dir, it);
	return 0;
}

static int name_contents(struct store *s, const struct batch *b, struct err *e)
{
	auto_strlist struct strlist touched = {0};

	for (const struct staged *it = b->first; it; it = it->next)
		if (it->file && name_content(s, it, &touched, e) < 0)
			return -1;
	return touched.n ? barrier_sync_folders(s, s->state_fd, &touched, e) : 0;
}

static void add_record(struct buf *out, const struct staged *it)
{
	switch (it->kind) {
	case STAGED_BLOB:
	case STAGED_LINK:
		index_add_line(out, "B %s %s %" PRIu64, it->repo, it->digest.text, it->size);
		break;
	case STAGED_MANIFEST:
		index_add_line(out, "M %s %s %" PRIu64, it->repo, it->digest.text, it->size);
		break;
	case STAGED_TAG:
		index_add_line(out, "T %s %s %s", it->repo, it->text, it->digest.text);
		break;
	case STAGED_ORIGIN:
		index_add_line(out, "O %s %s %s", it->repo, it->digest.text, it->text);
		break;
	}
}

// Blobs, then manifests, then tags: what a torn file keeps is complete.
static void add_records(struct buf *out, const struct batch *b)
{
	static const int level[] = {[STAGED_BLOB] = 0,
				    [STAGED_LINK] = 0,
				    [STAGED_MANIFEST] = 1,
				    [STAGED_TAG] = 2,
				    [STAGED_ORIGIN] = 3};

	for (int n = 0; n < 4; n++)
		for (const struct staged *it = b->first; it; it = it->next)
			if (level[it->kind] == n)
				add_record(out, it);
}

// The medium is unfinished from here on until it is sealed again.
static int begin_segment(struct store *s, struct portable *p, struct err *e)
{
	auto_fd int dir = open_folder(s->state_fd, "index", true, NULL);
	struct records *ix = &p->ix;

	if (dir < 0)
		return err_os(e, ERR_IO, "cannot open '%s/store/index'", s->dir);
	if (ix->last >= 999999)
		return err_set(e, ERR_IO,
			       "the index of '%s' is full: copy it with 'ferry store copy'",
			       s->dir);
	unlinkat(s->state_fd, "seal", 0);
	if (fsync(s->state_fd) < 0 && errno != EINVAL && errno != ENOTSUP)
		return err_os(e, ERR_IO, "cannot sync folder '%s/store'", s->dir);
	auto_free char *name = xasprintf("%06u.idx", ix->last + 1);

	p->segment_fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (p->segment_fd < 0 || (fsync(dir) < 0 && errno != EINVAL && errno != ENOTSUP))
		return err_os(e, ERR_IO, "cannot create '%s/store/index/%s'", s->dir, name);
	ix->last++;
	ix->sealed = false;
	vec_reserve(ix->segments, ix->nsegments, ix->cap);
	ix->segments[ix->nsegments++] = (struct segment){.name = steal(&name)};
	ix->hasher = hasher_new(DIGEST_SHA256);
	return 0;
}

static void take_in(struct store *s, struct portable *p, struct str text)
{
	struct str record;

	while (text.n > 0)
		// Origins are in memory since they were put, and have a lock of their own.
		if (index_check_line(str_cut(&text, '\n'), &record) && record.p[0] != 'O')
			records_apply(s, &p->ix, record);
}

static int write_records(struct store *s, struct str text, struct err *e)
{
	struct portable *p = s->own;

	if (p->segment_fd < 0 && begin_segment(s, p, e) < 0)
		return -1;
	if (fs_write_all(p->segment_fd, text.p, text.n, "index", e) < 0) {
		errno = e->os;
		return err_space(s, text.n, "the index", e);
	}
	if (fdatasync(p->segment_fd) < 0)
		return err_space(s, text.n, "the index", e);
	hasher_add(p->ix.hasher, text.p, text.n);
	p->ix.segments[p->ix.nsegments - 1].length += text.n;
	p->changed = true;
	pthread_mutex_lock(&s->lock);
	take_in(s, p, text);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

static int portable_name_batch(struct store *s, struct batch *b, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	if (name_contents(s, b, e) < 0)
		return -1;
	add_records(&text, b);
	return text.n ? write_records(s, buf_str(&text), e) : 0;
}

static int portable_seal(struct store *s, struct err *e)
{
	struct portable *p = s->own;
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	if (p->ix.sealed && !p->changed)
		return 0;
	if (p->segment_fd >= 0) {
		auto_of(hasher_free) struct hasher *h = hasher_copy(p->ix.hasher);

		hasher_finish(h, &p->ix.segments[p->ix.nsegments - 1].digest);
	}
	p->ix.sequence++;
	records_seal_text(&p->ix, &text);
	if (file_replace(s, s->state_fd, "seal", buf_str(&text), e) < 0)
		return err_wrap(e, "cannot seal '%s'", s->dir);
	syncfs(s->state_fd);
	p->ix.sealed = true;
	p->changed = false;
	return 0;
}

static int portable_origins_load(struct store *s, struct err *e)
{
	(void)s; // they came with the index
	(void)e;
	return 0;
}

// ---- opening

static int lock_writer(struct store *s, struct portable *p, struct err *e)
{
	p->lock_fd = openat(s->state_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (p->lock_fd < 0)
		return err_os(e, ERR_IO, "cannot open '%s/store/lock'", s->dir);
	if (flock(p->lock_fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return err_set(e, ERR_IO, "another process is writing to '%s'", s->dir);
	return 0;
}

static int write_mirror_txt(struct store *s, struct err *e)
{
	if (faccessat(s->dir_fd, "MIRROR.txt", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return file_replace(s, s->dir_fd, "MIRROR.txt", STR(mirror_txt), e);
}

static int portable_open(struct store *s, struct buf *notice, struct err *e)
{
	struct portable *p = xcalloc(1, sizeof(*p));

	s->own = p;
	p->lock_fd = p->segment_fd = -1;
	if (s->mode == STORE_WRITE && (lock_writer(s, p, e) < 0 || write_mirror_txt(s, e) < 0))
		return -1;
	if (records_load(s, &p->ix, e) < 0)
		return -1;
	if (s->mode == STORE_READ && !p->ix.sealed)
		buf_printf(notice, "%s'%s' is unfinished: the run that wrote it did not end",
			   notice->n ? "; " : "", s->dir);
	if (p->ix.bad)
		buf_printf(notice, "%s%zu records of the index of '%s' are damaged",
			   notice->n ? "; " : "", p->ix.bad, s->dir);
	return 0;
}

static void portable_close(struct store *s)
{
	struct portable *p = s->own;

	if (!p)
		return;
	if (p->segment_fd >= 0)
		close(p->segment_fd);
	if (p->lock_fd >= 0)
		close(p->lock_fd);
	records_release(&p->ix);
	map_release(&p->repos);
	free(p);
}

const struct layout layout_portable = {
	.name = "portable",
	.state = "store",
	.format = "portable 1",
	.open = portable_open,
	.close = portable_close,
	.blob_open = portable_blob_open,
	.blob_find = portable_blob_find,
	.refresh = portable_refresh,
	.manifest_read = portable_manifest_read,
	.manifest_complete = portable_manifest_complete,
	.tag_get = portable_tag_get,
	.tags = portable_tags,
	.repositories = portable_repositories,
	.contents = portable_contents,
	.place = portable_place,
	.name_batch = portable_name_batch,
	.seal = portable_seal,
	.origins_load = portable_origins_load,
	.where = portable_where,
	.has_repository = portable_has_repository,
	.stamp = portable_stamp,
	.unfinished = portable_unfinished,
};
