// SPDX-License-Identifier: Apache-2.0
// Reading: content in one file or several, hashing it once a run, handing it out as a stream.
#include "store/internal.h"
#include "util/cleanup.h"
#include "util/trace.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// ---- content

void content_release(struct content *c)
{
	for (unsigned i = 0; i < c->n; i++)
		close(c->fds[i]);
	free(c->fds);
	free(c->sizes);
	*c = (struct content){0};
}

// Takes FD.
static int add_piece(struct content *c, int fd, const char *path, struct err *e)
{
	auto_fd int owned = fd;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_os(e, ERR_IO, "cannot read '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_IO, "'%s' is not a regular file", path);
	keep_atime(fd);
	if (c->n == 0)
		c->first = st;
	c->fds = xreallocarray(c->fds, c->n + 1, sizeof(*c->fds));
	c->sizes = xreallocarray(c->sizes, c->n + 1, sizeof(*c->sizes));
	c->fds[c->n] = owned;
	c->sizes[c->n] = (uint64_t)st.st_size;
	c->n++;
	c->size += (uint64_t)st.st_size;
	owned = -1;
	return 0;
}

static int cannot_open(const char *path, struct err *e)
{
	if (errno == ENOENT || errno == ENOTDIR)
		return err_set(e, ERR_NOT_FOUND, "'%s' does not exist", path);
	if (errno == EXDEV || errno == ELOOP)
		return err_set(e, ERR_IO, "'%s' is a link that leads out of the store", path);
	return err_os(e, ERR_IO, "cannot open '%s'", path);
}

int content_open(struct content *ret, int root, const char *path, struct err *e)
{
	auto_content struct content c = {0};
	int fd = open_beneath(root, path);

	if (fd < 0)
		return cannot_open(path, e);
	if (add_piece(&c, fd, path, e) < 0)
		return -1;
	*ret = c;
	c = (struct content){0};
	return 0;
}

int content_open_pieces(struct content *ret, int root, const char *path, struct err *e)
{
	auto_content struct content c = {0};

	if (content_open(ret, root, path, e) == 0)
		return 0;
	if (e->kind != ERR_NOT_FOUND)
		return -1;
	for (unsigned i = 0; i < STORE_PIECES_MAX; i++) {
		auto_free char *name = piece_name(path, STORE_PIECES_MAX, i);
		int fd = open_beneath(root, name);

		if (fd < 0 && errno == ENOENT && i > 0)
			break;
		if (fd < 0)
			return cannot_open(path, e);
		if (add_piece(&c, fd, name, e) < 0)
			return -1;
	}
	*ret = c;
	c = (struct content){0};
	return 0;
}

ssize_t content_pread(const struct content *c, void *buf, size_t n, uint64_t offset)
{
	for (unsigned i = 0; i < c->n; i++) {
		if (offset >= c->sizes[i]) {
			offset -= c->sizes[i];
			continue;
		}
		uint64_t left = c->sizes[i] - offset;
		ssize_t got;

		do
			got = pread(c->fds[i], buf, left < n ? (size_t)left : n, (off_t)offset);
		while (got < 0 && errno == EINTR);
		return got;
	}
	return 0;
}

int content_read(const struct content *c, size_t max, struct buf *ret, struct err *e)
{
	char chunk[16384];

	if (c->size > max)
		return err_set(e, ERR_INPUT, "%" PRIu64 " bytes are more than a manifest may have",
			       c->size);
	for (uint64_t at = 0; at < c->size;) {
		ssize_t n = content_pread(c, chunk, sizeof(chunk), at);

		if (n < 0)
			return err_os(e, ERR_IO, "cannot read");
		if (n == 0)
			return err_set(e, ERR_DIGEST, "the file became shorter while it was read");
		if (buf_add(ret, chunk, (size_t)n, e) < 0)
			return -1;
		at += (uint64_t)n;
	}
	return 0;
}

// ---- verification, once a run for each file

enum verdict { VERDICT_NONE, VERDICT_BUSY, VERDICT_GOOD, VERDICT_BAD };

// A file's identity: another file under the same name, or one that was changed, is hashed again.
static char *identity(const struct stat *st, uint64_t size, const struct digest *d)
{
	return xasprintf("%s %jx %jx %jx %jx.%lx", d->text, (uintmax_t)st->st_dev,
			 (uintmax_t)st->st_ino, (uintmax_t)size, (uintmax_t)st->st_mtim.tv_sec,
			 (unsigned long)st->st_mtim.tv_nsec);
}

static void set_verdict(struct store *s, const char *key, enum verdict v)
{
	pthread_mutex_lock(&s->lock);
	map_put(&s->verdicts, str_of(key), NULL)->num = (uint64_t)v;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

void content_verified(struct store *s, const struct stat *first, uint64_t size,
		      const struct digest *d)
{
	auto_free char *key = identity(first, size, d);

	set_verdict(s, key, VERDICT_GOOD);
}

static void wake(void *arg)
{
	struct store *s = arg;

	pthread_mutex_lock(&s->lock);
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

// The verdict on KEY; BUSY: it is for the caller to find. Waits while another thread does.
static int claim(struct store *s, const char *key, enum verdict *ret, struct err *e)
{
	struct cancel_watch watch = {.wake = wake, .arg = s};
	uint64_t v;

	cancel_watch(s->cancel, &watch);
	pthread_mutex_lock(&s->lock);
	while ((v = map_put(&s->verdicts, str_of(key), NULL)->num) == VERDICT_BUSY &&
	       !cancelled(s->cancel))
		pthread_cond_wait(&s->changed, &s->lock);
	bool stopped = v == VERDICT_BUSY;

	if (v == VERDICT_NONE)
		map_put(&s->verdicts, str_of(key), NULL)->num = VERDICT_BUSY;
	pthread_mutex_unlock(&s->lock);
	cancel_unwatch(s->cancel, &watch);
	if (stopped)
		return err_cancelled(e);
	*ret = v == VERDICT_NONE ? VERDICT_BUSY : (enum verdict)v;
	return 0;
}

static int damaged(struct store *s, const struct digest *d, struct err *e)
{
	return err_set(e, ERR_DIGEST, "blob %s in %s is damaged: its bytes have another digest",
		       d->text, s->dir);
}

static int wrong_size(struct store *s, const struct digest *d, uint64_t got, uint64_t want,
		      struct err *e)
{
	return err_set(e, ERR_DIGEST,
		       "blob %s in %s is damaged: %" PRIu64 " bytes instead of %" PRIu64, d->text,
		       s->dir, got, want);
}

// Hashes C from its start to its end.
static int hash_content(struct store *s, const struct content *c, struct digest *ret, struct err *e)
{
	auto_of(hasher_free) struct hasher *h = hasher_new(ret->algo);
	auto_free unsigned char *chunk = xmalloc(SLAB_SIZE);

	for (unsigned i = 0; i < c->n; i++)
		posix_fadvise(c->fds[i], 0, 0, POSIX_FADV_SEQUENTIAL);
	for (uint64_t at = 0;;) {
		ssize_t n = content_pread(c, chunk, SLAB_SIZE, at);

		if (n < 0)
			return err_os(e, ERR_IO, "cannot read blob in '%s'", s->dir);
		if (cancelled(s->cancel))
			return err_cancelled(e);
		if (n == 0)
			break;
		hasher_add(h, chunk, (size_t)n);
		at += (uint64_t)n;
	}
	hasher_finish(h, ret);
	return 0;
}

int content_verify(struct store *s, const struct content *c, const struct digest *d, uint64_t size,
		   struct err *e)
{
	auto_free char *key = identity(&c->first, c->size, d);
	struct digest got = {.algo = d->algo};
	enum verdict v = VERDICT_BUSY;

	if (c->size != size)
		return wrong_size(s, d, c->size, size, e);
	if (claim(s, key, &v, e) < 0)
		return -1;
	if (v == VERDICT_BUSY) {
		if (hash_content(s, c, &got, e) < 0) {
			set_verdict(s, key, VERDICT_NONE);
			return -1;
		}
		v = digest_equal(&got, d) ? VERDICT_GOOD : VERDICT_BAD;
		set_verdict(s, key, v);
	}
	return v == VERDICT_GOOD ? 0 : damaged(s, d, e);
}

// ---- what a repository has

static int staged_content(struct store *s, const struct staged *it, struct content *ret,
			  struct err *e)
{
	return content_open_pieces(ret, s->state_fd, it->file, e);
}

// What is staged loses its file the moment it is named: then it is found under its name.
static int staged_blob(struct store *s, const struct staged *it, struct content *ret, struct err *e)
{
	auto_free char *key = it->text ? xasprintf("b %s %s", it->text, it->digest.text) : NULL;
	auto_of(staged_free) struct staged *home = key ? staged_find(s, key) : NULL;
	auto_free char *anywhere = NULL;
	const struct staged *file = it->kind == STAGED_LINK ? home : it;

	if (file && file->file && staged_content(s, file, ret, e) == 0)
		return 0;
	if (s->layout->blob_open(s, it->kind == STAGED_LINK && it->text ? it->text : it->repo,
				 &it->digest, ret, e) == 0)
		return 0;
	return s->layout->blob_find(s, "", &it->digest, ret, &anywhere, e);
}

int blob_content(struct store *s, const char *repo, const struct digest *d, struct content *ret,
		 struct err *e)
{
	auto_free char *key = xasprintf("b %s %s", repo, d->text);
	auto_of(staged_free) struct staged *it = staged_find(s, key);

	return it ? staged_blob(s, it, ret, e) : s->layout->blob_open(s, repo, d, ret, e);
}

// D in any repository but REPO, staged or named.
static int find_elsewhere(struct store *s, const char *repo, const struct digest *d,
			  struct content *ret, char **ret_home, struct err *e)
{
	auto_free char *key = xasprintf("d %s", d->text);
	auto_of(staged_free) struct staged *it = staged_find(s, key);

	if (it && staged_content(s, it, ret, e) == 0) {
		*ret_home = steal(&it->repo);
		return 0;
	}
	return s->layout->blob_find(s, repo, d, ret, ret_home, e);
}

static int not_found(struct store *s, const char *repo, const struct digest *d, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, "unknown blob: %s is not in '%s' (repository '%s')",
		       d->text, s->dir, repo);
}

static int link_to(struct store *s, const char *repo, const struct descriptor *d, const char *home,
		   struct err *e)
{
	if (stage_ready(s, repo, e) < 0)
		return -1;
	struct staged *it = staged_new(STAGED_LINK, repo, &d->digest);

	it->text = home ? xstrdup(home) : NULL;
	it->size = d->size;
	stage_add(s, it);
	return 0;
}

int blob_good(struct store *s, const char *repo, const struct descriptor *d, struct err *e)
{
	auto_content struct content here = {0}, there = {0};
	auto_free char *home = NULL;
	struct err why = {0};

	if (blob_content(s, repo, &d->digest, &here, &why) == 0 &&
	    content_verify(s, &here, &d->digest, d->size, &why) == 0)
		return 0;
	if (why.kind != ERR_NOT_FOUND)
		trace("store", "%s", why.text);
	if (why.kind == ERR_CANCELLED) {
		*e = why;
		return -1;
	}
	if (find_elsewhere(s, repo, &d->digest, &there, &home, e) == 0 &&
	    content_verify(s, &there, &d->digest, d->size, e) == 0)
		return s->mode == STORE_WRITE ? link_to(s, repo, d, home, e) : 0;
	if (e->kind == ERR_CANCELLED)
		return -1;
	if (why.kind == ERR_NOT_FOUND)
		return not_found(s, repo, &d->digest, e);
	why.kind = ERR_NOT_FOUND; // a put repairs it
	*e = why;
	return -1;
}

int manifest_read(struct store *s, const char *repo, const struct digest *d, struct buf *ret,
		  struct err *e)
{
	auto_free char *key = xasprintf("m %s %s", repo, d->text);
	auto_of(staged_free) struct staged *it = staged_find(s, key);
	auto_content struct content c = {0};

	if (it && staged_blob(s, it, &c, e) == 0)
		return content_read(&c, MANIFEST_MAX, ret, e);
	return s->layout->manifest_read(s, repo, d, ret, e);
}

// ---- streams

struct content_stream {
	struct stream base;
	struct content content;
	uint64_t at;
	struct store *store;
	struct digest digest;
};

static struct slab *content_stream_read(struct stream *base, struct err *e)
{
	struct content_stream *cs = (struct content_stream *)base;

	if (cs->at == cs->content.size)
		return NULL;
	struct slab *slab = slab_get(cs->store->pool, cs->store->cancel, e);

	if (!slab)
		return NULL;
	ssize_t n = content_pread(&cs->content, slab->data, SLAB_SIZE, cs->at);

	if (n <= 0) {
		if (n < 0)
			err_os(e, ERR_IO, "cannot read blob %s in %s", cs->digest.text,
			       cs->store->dir);
		else
			wrong_size(cs->store, &cs->digest, cs->at, cs->content.size, e);
		slab_free(slab);
		return NULL;
	}
	slab->n = (size_t)n;
	cs->at += (uint64_t)n;
	return slab;
}

static void content_stream_free(struct stream *base)
{
	struct content_stream *cs = (struct content_stream *)base;

	content_release(&cs->content);
	free(cs);
}

struct stream *store_blob_open(struct store *s, const char *repo, const struct descriptor *d,
			       uint64_t offset, struct err *e)
{
	static const struct stream_ops ops = {content_stream_read, content_stream_free};
	auto_content struct content c = {0};
	auto_free char *home = NULL;
	struct err why;

	if (repo_check(repo, e) < 0)
		return NULL;
	if (blob_content(s, repo, &d->digest, &c, e) < 0) {
		if (e->kind != ERR_NOT_FOUND)
			return NULL;
		if (find_elsewhere(s, repo, &d->digest, &c, &home, &why) < 0) {
			not_found(s, repo, &d->digest, e);
			return NULL;
		}
	}
	if (c.size != d->size) {
		wrong_size(s, &d->digest, c.size, d->size, e);
		return NULL;
	}
	if (offset > c.size) {
		err_set(e, ERR_INPUT, "blob %s has no byte %" PRIu64, d->digest.text, offset);
		return NULL;
	}
	for (unsigned i = 0; i < c.n; i++)
		posix_fadvise(c.fds[i], 0, 0, POSIX_FADV_SEQUENTIAL);
	struct content_stream *cs = xcalloc(1, sizeof(*cs));

	cs->base.ops = &ops;
	cs->content = c;
	c = (struct content){0};
	cs->at = offset;
	cs->store = s;
	cs->digest = d->digest;
	return &cs->base;
}
