// SPDX-License-Identifier: Apache-2.0
// What is complete gets its names, durably: uploads, mounts, manifests with their tags.
#include "store/internal.h"
#include "store/upload.h"
#include "util/cleanup.h"
#include "util/trace.h"

#include <fcntl.h>
#include <sys/file.h>

enum {
	OWN_SYNC_MIN = 1 << 20, // larger data is synced by its own thread: others need not wait
	TAGS_MAX = 100,
	TOUCH_SECONDS = 3600,
};

// ---- what the pool has

// Reads C to its end. The digest in *ret has the algorithm that is wanted.
static int hash_content(struct store *s, const struct content *c, struct digest *ret, struct err *e)
{
	enum { STEP = 1 << 18 };
	auto_of(hasher_free) struct hasher *h = hasher_new(ret->algo);
	auto_free unsigned char *chunk = xmalloc(STEP);

	for (uint64_t at = 0;;) {
		ssize_t n = content_pread(c, chunk, STEP, at);

		if (cancelled(s->cancel))
			return err_cancelled(e);
		if (n < 0)
			return err_os(e, ERR_IO, "cannot read blob in '%s'", s->dir);
		if (n == 0)
			break;
		hasher_add(h, chunk, (size_t)n);
		at += (uint64_t)n;
	}
	hasher_finish(h, ret);
	return 0;
}

// Whether the pool has D, and its bytes are good: they are read for that, once in a while.
static int pool_good(struct store *s, const struct digest *d, uint64_t size, bool *ret,
		     struct err *e)
{
	auto_content struct content c = {0};
	auto_free char *home = NULL;
	struct digest got = {.algo = d->algo};

	*ret = false;
	if (s->layout->blob_find(s, "", d, &c, &home, e) < 0 || c.size != size)
		return 0;
	if (good_known(s, &c.first, d)) {
		*ret = true;
		return 0;
	}
	// What cannot be read is not good either.
	if (hash_content(s, &c, &got, e) < 0)
		return e->kind == ERR_CANCELLED ? -1 : 0;
	*ret = digest_equal(&got, d);
	if (*ret)
		good_remember(s, &c.first, d);
	else
		trace("store", "blob %s in '%s' is damaged", d->text, s->dir);
	return 0;
}

// ---- blobs

static int link_blob(struct store *s, const char *repo, const struct digest *d, uint64_t size,
		     struct err *e)
{
	struct waiter w = {0};
	struct staged *it = staged_new(STAGED_LINK, repo, d);

	it->size = size;
	stage_for(s, &w, &it, 1);
	return barrier_wait(s, &w, e);
}

static int name_blob(struct store *s, const char *repo, const struct digest *d, const char *file,
		     int fd, uint64_t size, struct err *e)
{
	struct waiter w = {0};
	struct staged *it = staged_new(STAGED_BLOB, repo, d);

	it->file = xstrdup(file);
	it->size = size;
	// A descriptor that saw all writes learns of all errors.
	it->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	stage_for(s, &w, &it, 1);
	return barrier_wait(s, &w, e);
}

int blob_commit(struct store *s, const char *repo, const struct digest *d, const char *file, int fd,
		uint64_t size, struct err *e)
{
	struct stat st;
	bool good;

	if (pool_good(s, d, size, &good, e) < 0)
		return -1;
	// Unless a collection takes it away at this moment.
	if (good && link_blob(s, repo, d, size, e) == 0)
		return 0;
	if (size >= OWN_SYNC_MIN && fdatasync(fd) < 0) {
		auto_free char *what = xasprintf("blob %s", d->text);

		return err_space(s, size, what, e);
	}
	if (name_blob(s, repo, d, file, fd, size, e) < 0)
		return -1;
	if (fstat(fd, &st) == 0)
		good_remember(s, &st, d);
	return 0;
}

int store_blob_mount(struct store *s, const char *repo, const struct digest *d, const char *from,
		     struct err *e)
{
	auto_content struct content c = {0};
	auto_free char *home = NULL;
	int r;

	if (linked_ready(s, repo, e) < 0 || (from && repo_check(from, e) < 0))
		return -1;
	r = from ? s->layout->blob_open(s, from, d, &c, e)
		 : s->layout->blob_find(s, "", d, &c, &home, e);
	return r < 0 ? -1 : link_blob(s, repo, d, c.size, e);
}

void store_blob_touch(struct store *s, const char *repo, const struct digest *d)
{
	auto_content struct content c = {0};
	struct err e;

	if (linked_ready(s, repo, &e) < 0 || s->layout->blob_open(s, repo, d, &c, &e) < 0)
		return;
	if (c.first.st_ctim.tv_sec + TOUCH_SECONDS < store_clock(s) &&
	    fchmod(c.fds[0], c.first.st_mode & 07777) < 0)
		trace("store", "cannot touch blob %s", d->text);
}

// ---- manifests

static int check_manifest(const struct digest *want, struct str bytes, struct err *e)
{
	struct digest got;

	if (bytes.n > MANIFEST_MAX)
		return err_set(e, ERR_INPUT, "manifest %s is too large: %zu bytes", want->text,
			       bytes.n);
	digest_of(&got, want->algo, bytes.p, bytes.n);
	return digest_check(want, &got, "manifest", e);
}

static int check_tags(const char *const *tags, size_t n, struct err *e)
{
	if (n > TAGS_MAX)
		return err_set(e, ERR_INPUT, "%zu tags at once are more than %d", n, TAGS_MAX);
	for (size_t i = 0; i < n; i++)
		if (tag_check(tags[i], e) < 0)
			return -1;
	return 0;
}

int store_manifest_commit(struct store *s, const char *repo, struct str bytes,
			  const struct digest *d, const char *const *tags, size_t ntags,
			  int (*check)(void *arg, struct err *e), void *arg, struct err *e)
{
	struct staged *items[1 + TAGS_MAX];
	struct waiter w = {0};

	if (linked_ready(s, repo, e) < 0 || check_manifest(d, bytes, e) < 0 ||
	    check_tags(tags, ntags, e) < 0)
		return -1;
	auto_fd int lock = -1;

	if (repo_lock(s, repo, LOCK_SH, &lock, e) < 0 || (check && check(arg, e) < 0))
		return -1;
	// Also when it is there already: whoever put it may not be done yet.
	items[0] = stage_manifest(s, repo, bytes, d, e);
	if (!items[0])
		return -1;
	for (size_t i = 0; i < ntags; i++) {
		items[i + 1] = staged_new(STAGED_TAG, repo, d);
		items[i + 1]->text = xstrdup(tags[i]);
	}
	stage_for(s, &w, items, ntags + 1);
	return barrier_wait(s, &w, e);
}
