// SPDX-License-Identifier: Apache-2.0
// Taking names away: tags before the manifest they point at, each step durable before the next.
#include "store/internal.h"
#include "store/upload.h"
#include "util/cleanup.h"
#include "util/trace.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>

// ---- the lock of a repository

int repo_lock(struct store *s, const char *repo, int operation, int *ret_fd, struct err *e)
{
	auto_fd int dir = open_folder(s->v2_fd, repo, false, NULL);
	int fd;

	*ret_fd = -1;
	// Nothing can be taken away from what is not there.
	if (dir < 0 && errno == ENOENT)
		return 0;
	fd = dir < 0 ? -1
		     : openat(dir, ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
			      0644);
	if (fd < 0)
		return err_space(s, 0, "the lock of a repository", e);
	while (flock(fd, operation) < 0 && errno == EINTR)
		;
	*ret_fd = fd;
	return 0;
}

// ---- one removal

// Names of REPO that go together, and the folders from which they went.
struct removal {
	struct store *s;
	const char *repo;
	struct strlist touched;
};

static void removal_release(struct removal *r)
{
	strlist_release(&r->touched);
}
#define auto_removal __attribute__((cleanup(removal_release)))

// NAME goes from folder SUB. ERR_NOT_FOUND when it is not there.
static int take_away(struct removal *r, const char *sub, const char *name, struct err *e)
{
	auto_free char *path = xasprintf("%s/%s", r->repo, sub);
	auto_fd int dir = open_folder(r->s->v2_fd, path, false, NULL);

	if (dir >= 0 && unlinkat(dir, name, 0) == 0) {
		strlist_add(&r->touched, path);
		return 0;
	}
	if (errno == ENOENT)
		return err_set(e, ERR_NOT_FOUND,
			       "unknown blob: '%s' is not in '%s' (repository '%s')", name,
			       r->s->dir, r->repo);
	return err_os(e, ERR_IO, "cannot remove '%s' from '%s/v2/%s'", name, r->s->dir, path);
}

static int take_away_if_there(struct removal *r, const char *sub, const char *name, struct err *e)
{
	return take_away(r, sub, name, e) == 0 || e->kind == ERR_NOT_FOUND ? 0 : -1;
}

static int make_durable(struct removal *r, struct err *e)
{
	if (r->touched.n > 0 && barrier_sync_folders(r->s, r->s->v2_fd, &r->touched, e) < 0)
		return -1;
	strlist_release(&r->touched);
	r->touched = (struct strlist){0};
	return 0;
}

// What was staged before gets its names first, so that it is there to be taken away. Ends with
// flush_lock held.
static void begin(struct store *s)
{
	struct err theirs;

	pthread_mutex_lock(&s->flush_lock);
	if (barrier_run(s, &theirs) < 0)
		trace("store", "barrier: %s", theirs.text);
}

int store_tag_remove(struct store *s, const char *repo, const char *tag, struct err *e)
{
	auto_removal struct removal r = {.s = s, .repo = repo};

	if (linked_ready(s, repo, e) < 0 || tag_check(tag, e) < 0)
		return -1;
	begin(s);
	int result = take_away(&r, "manifests", tag, e) < 0 ? -1 : make_durable(&r, e);

	pthread_mutex_unlock(&s->flush_lock);
	return result;
}

int store_blob_remove(struct store *s, const char *repo, const struct digest *d, struct err *e)
{
	auto_removal struct removal r = {.s = s, .repo = repo};
	auto_fd int lock = -1;

	if (linked_ready(s, repo, e) < 0 || repo_lock(s, repo, LOCK_EX, &lock, e) < 0)
		return -1;
	begin(s);
	int result = take_away(&r, "blobs", d->text, e) < 0 ? -1 : make_durable(&r, e);

	pthread_mutex_unlock(&s->flush_lock);
	return result;
}

// ---- manifests

static int take_tags(struct removal *r, const struct digest *d, struct err *e)
{
	auto_strlist struct strlist tags = {0};

	if (r->s->layout->tags(r->s, r->repo, &tags, e) < 0)
		return -1;
	for (size_t i = 0; i < tags.n; i++) {
		auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
		struct digest at;
		struct err ignored;
		bool is_file;

		if (r->s->layout->tag_get(r->s, r->repo, tags.v[i], &at, &bytes, &is_file,
					  &ignored) == 0 &&
		    digest_equal(&at, d) && take_away_if_there(r, "manifests", tags.v[i], e) < 0)
			return -1;
	}
	return make_durable(r, e);
}

static int take_referrer(struct removal *r, const char *subject, const struct digest *d,
			 struct err *e)
{
	auto_free char *sub = xasprintf("referrers/%s", subject);

	return take_away_if_there(r, sub, d->text, e);
}

struct subjects {
	struct removal *r;
	const struct digest *d;
};

static int take_from_subject(void *arg, const struct folder_entry *entry, struct err *e)
{
	const struct subjects *all = arg;

	return entry->type == DT_DIR ? take_referrer(all->r, entry->name, all->d, e) : 0;
}

static int take_referrers(struct removal *r, const struct digest *d, struct err *e)
{
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	struct digest subject;
	struct err ignored;

	if (r->s->layout->manifest_read(r->s, r->repo, d, &bytes, &ignored) == 0)
		return manifest_subject(buf_str(&bytes), &subject)
			       ? take_referrer(r, subject.text, d, e)
			       : 0;
	// It is damaged: nobody knows any more where it stands.
	auto_free char *path = xasprintf("%s/referrers", r->repo);

	return folder_list(r->s->v2_fd, path, take_from_subject, &(struct subjects){r, d}, e);
}

static int take_manifest(struct removal *r, const struct digest *d, struct err *e)
{
	auto_free char *path = xasprintf("%s/manifests/%s", r->repo, d->text);

	if (faccessat(r->s->v2_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(e, ERR_NOT_FOUND,
			       "unknown blob: manifest %s is not in '%s' (repository '%s')",
			       d->text, r->s->dir, r->repo);
	if (take_tags(r, d, e) < 0 || take_referrers(r, d, e) < 0 ||
	    take_away(r, "manifests", d->text, e) < 0 ||
	    take_away_if_there(r, "blobs", d->text, e) < 0)
		return -1;
	return make_durable(r, e);
}

int store_manifest_remove(struct store *s, const char *repo, const struct digest *d, struct err *e)
{
	auto_removal struct removal r = {.s = s, .repo = repo};
	auto_fd int lock = -1;

	if (linked_ready(s, repo, e) < 0 || repo_lock(s, repo, LOCK_EX, &lock, e) < 0)
		return -1;
	begin(s);
	int result = take_manifest(&r, d, e);

	pthread_mutex_unlock(&s->flush_lock);
	return result;
}
