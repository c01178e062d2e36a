// SPDX-License-Identifier: Apache-2.0
// Content as open files, and manifests for those who answer many requests a second.
//
// A manifest costs an open, a read and a close, and one more call by tag. With STORE_NO_WAIT the
// kernel is asked for what it has in memory only: RESOLVE_CACHED for names, RWF_NOWAIT for bytes.
// Whatever is not plain then (a damaged file, a name in an older spelling) is left to a caller who
// may wait.
#include "store/file.h"

#include "data/json.h"
#include "store/internal.h"
#include "util/cleanup.h"
#include "util/trace.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
	WOULD_WAIT = 1,
	SMALL_MANIFEST = 16 * 1024,  // read without asking the heap
	LARGE_MANIFEST = 256 * 1024, // never read by who may not wait, and one at a time
};

// Held while a large manifest is read and checked, which takes three times its size.
static pthread_mutex_t large_manifest = PTHREAD_MUTEX_INITIALIZER;

void store_file_release(struct store_file *f)
{
	for (unsigned i = 0; i < f->n; i++)
		close(f->fds[i]);
	free(f->fds);
	free(f->sizes);
	*f = (struct store_file){0};
}

ssize_t store_file_pread(const struct store_file *f, void *buf, size_t n, uint64_t offset)
{
	uint64_t start = 0;

	for (unsigned i = 0; i < f->n; i++) {
		uint64_t in_file = offset - start;

		if (in_file < f->sizes[i]) {
			uint64_t room = f->sizes[i] - in_file;
			ssize_t r;

			do
				r = pread(f->fds[i], buf, room < n ? (size_t)room : n,
					  (off_t)in_file);
			while (r < 0 && errno == EINTR);
			return r;
		}
		start += f->sizes[i];
	}
	return 0;
}

// ---- opening

// -1 with errno.
static long open_fast(int root, const char *path, enum store_patience p)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOATIME,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS |
			   (p == STORE_NO_WAIT ? RESOLVE_CACHED : 0),
	};
	long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));

	if (fd >= 0 || errno != EPERM)
		return fd;
	how.flags &= ~(uint64_t)O_NOATIME; // not our file
	return syscall(SYS_openat2, root, path, &how, sizeof(how));
}

// 0 and *ret_fd; WOULD_WAIT; -1 with errno.
static int open_path(int root, const char *path, enum store_patience p, int *ret_fd)
{
	long fd = open_fast(root, path, p);

	if (fd < 0 && p == STORE_NO_WAIT)
		return errno == ENOENT ? -1 : WOULD_WAIT;
	if (fd < 0 && errno != ENOENT)
		fd = open_beneath(root, path); // which can do without openat2
	if (fd < 0)
		return -1;
	*ret_fd = (int)fd;
	return 0;
}

static int no_file(const char *path, struct err *e)
{
	if (errno == ENOENT || errno == ENOTDIR)
		return err_set(e, ERR_NOT_FOUND, "'%s' does not exist", path);
	if (errno == EXDEV || errno == ELOOP)
		return err_set(e, ERR_IO, "'%s' is a link that leads out of the store", path);
	return err_os(e, ERR_IO, "cannot open '%s'", path);
}

// Opens PATH as the next piece of F.
static int add_piece(struct store_file *f, int root, const char *path, enum store_patience p,
		     struct err *e)
{
	auto_fd int fd = -1;
	struct stat st;
	int r = open_path(root, path, p, &fd);

	if (r != 0)
		return r < 0 ? no_file(path, e) : WOULD_WAIT;
	if (fstat(fd, &st) < 0)
		return err_os(e, ERR_IO, "cannot read '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_IO, "'%s' is not a regular file", path);
	f->fds = xreallocarray(f->fds, f->n + 1, sizeof(*f->fds));
	f->sizes = xreallocarray(f->sizes, f->n + 1, sizeof(*f->sizes));
	f->fds[f->n] = fd;
	f->sizes[f->n++] = (uint64_t)st.st_size;
	f->size += (uint64_t)st.st_size;
	fd = -1;
	return 0;
}

static int add_pieces(struct store_file *f, const struct place *at, enum store_patience p,
		      struct err *e)
{
	for (unsigned i = 0; i < STORE_PIECES_MAX; i++) {
		char path[STORE_PATH_MAX + 8];

		snprintf(path, sizeof(path), "%s.%03u", at->path, i);
		int r = add_piece(f, at->root, path, p, e);

		if (r < 0 && e->kind == ERR_NOT_FOUND && i > 0)
			return 0;
		if (r != 0)
			return r;
	}
	return 0;
}

static int open_place(struct store *s, const struct place *at, enum store_patience p,
		      struct store_file *ret, struct err *e)
{
	auto_store_file struct store_file f = {0};
	int r = add_piece(&f, at->root, at->path, p, e);

	if (r < 0 && e->kind == ERR_NOT_FOUND && at->pieces)
		r = add_pieces(&f, at, p, e);
	if (r != 0)
		return r;
	if (at->sized && f.size != at->size)
		return err_set(e, ERR_IO,
			       "'%s' in %s is damaged: %" PRIu64 " bytes instead of %" PRIu64,
			       at->path, s->dir, f.size, at->size);
	*ret = f;
	f = (struct store_file){0};
	return 0;
}

// ---- blobs

static bool anything_staged(struct store *s)
{
	if (s->mode != STORE_WRITE)
		return false;
	pthread_mutex_lock(&s->lock);
	bool r = s->naming || s->batch->items > 0;

	pthread_mutex_unlock(&s->lock);
	return r;
}

static int staged_file(struct store *s, const char *repo, const struct digest *d,
		       struct store_file *ret, struct err *e)
{
	struct content c = {0};

	if (blob_content(s, repo, d, &c, e) < 0)
		return -1;
	*ret = (struct store_file){c.size, c.n, c.fds, c.sizes};
	return 0;
}

int store_blob_file(struct store *s, const char *repo, const struct digest *d,
		    enum store_patience p, struct store_file *ret, struct err *e)
{
	struct place at;

	if (repo_check(repo, e) < 0)
		return -1;
	for (unsigned i = 0; s->layout->where(s, repo, d, false, i, &at); i++) {
		int r = open_place(s, &at, p, ret, e);

		if (r >= 0 || e->kind != ERR_NOT_FOUND)
			return r < 0 && p == STORE_NO_WAIT ? WOULD_WAIT : r;
	}
	if (anything_staged(s))
		return p == STORE_NO_WAIT ? WOULD_WAIT : staged_file(s, repo, d, ret, e);
	return err_set(e, ERR_NOT_FOUND, "unknown blob: %s is not in '%s' (repository '%s')",
		       d->text, s->dir, repo);
}

// ---- reading a manifest

static bool in_memory(int fd)
{
	struct statfs v;

	return fstatfs(fd, &v) == 0 && (v.f_type == TMPFS_MAGIC || v.f_type == RAMFS_MAGIC);
}

// As pread; WOULD_WAIT is -1 with EAGAIN.
static ssize_t read_patiently(int fd, void *data, size_t n, off_t at, enum store_patience p)
{
	struct iovec v = {data, n};
	ssize_t r;

	do
		r = p == STORE_NO_WAIT ? preadv2(fd, &v, 1, at, RWF_NOWAIT)
				       : pread(fd, data, n, at);
	while (r < 0 && errno == EINTR);
	if (p == STORE_MAY_WAIT || r >= 0 || errno == EAGAIN)
		return r;
	// This filesystem does not know the flag.
	if (in_memory(fd))
		return pread(fd, data, n, at);
	errno = EAGAIN;
	return -1;
}

// Reads N bytes of FD; 0, WOULD_WAIT or -1.
static int read_all(int fd, char *data, size_t n, enum store_patience p, struct err *e)
{
	for (size_t at = 0; at < n;) {
		ssize_t r = read_patiently(fd, data + at, n - at, (off_t)at, p);

		if (r < 0 && errno == EAGAIN)
			return WOULD_WAIT;
		if (r < 0)
			return err_os(e, ERR_IO, "cannot read manifest");
		if (r == 0)
			return err_set(e, ERR_IO, "the file became shorter while it was read");
		at += (size_t)r;
	}
	return 0;
}

// A file that is one of the blobs of a repository, which need not be a manifest.
static bool looks_like_manifest(struct str bytes)
{
	auto_json struct json_doc doc = {0};
	struct err ignored;

	if (json_parse(&doc, bytes, JSON_LIMITS(MANIFEST_MAX), 0, &ignored) < 0)
		return false;
	struct json root = json_root(&doc);
	struct json version = json_member(&root, "schemaVersion");

	return json_present(&version);
}

struct wanted {
	const char *name; // for errors
	enum store_patience patience;
	bool guess;
	const struct digest *digest; // that the bytes must have; NULL: any
};

static int check_manifest(const struct wanted *w, struct str bytes, struct digest *got,
			  struct err *e)
{
	digest_of(got, w->digest ? w->digest->algo : DIGEST_SHA256, bytes.p, bytes.n);
	if (w->digest && !digest_equal(got, w->digest))
		return err_set(e, ERR_IO, "'%s' is damaged on the medium", w->name);
	if (w->guess && !looks_like_manifest(bytes))
		return err_set(e, ERR_NOT_FOUND, "unknown blob: '%s' is no manifest", w->name);
	return 0;
}

// N bytes of FD, which are what W wants. 0, WOULD_WAIT or -1.
static int read_bytes(int fd, size_t n, const struct wanted *w, struct buf *ret,
		      struct digest *ret_digest, struct err *e)
{
	char small[SMALL_MANIFEST];
	auto_free char *large = NULL;
	struct digest got;
	char *data = small;

	if (n > sizeof(small))
		data = large = xmalloc(n);
	int r = read_all(fd, data, n, w->patience, e);

	if (r != 0)
		return r;
	struct str bytes = {data, n};

	if (check_manifest(w, bytes, &got, e) < 0 || buf_add(ret, bytes.p, bytes.n, e) < 0)
		return -1;
	*ret_digest = got;
	return 0;
}

static int read_manifest(int fd, const struct wanted *w, struct buf *ret, struct digest *ret_digest,
			 struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_os(e, ERR_IO, "cannot read '%s'", w->name);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_IO, "'%s' is not a regular file", w->name);
	if (st.st_size > (off_t)MANIFEST_MAX)
		return err_set(e, w->guess ? ERR_NOT_FOUND : ERR_IO,
			       "'%s': %jd bytes are more than a manifest may have", w->name,
			       (intmax_t)st.st_size);
	if (st.st_size <= LARGE_MANIFEST)
		return read_bytes(fd, (size_t)st.st_size, w, ret, ret_digest, e);
	if (w->patience == STORE_NO_WAIT)
		return WOULD_WAIT;
	pthread_mutex_lock(&large_manifest);
	int r = read_bytes(fd, (size_t)st.st_size, w, ret, ret_digest, e);

	pthread_mutex_unlock(&large_manifest);
	return r;
}

// ---- manifests

static int unknown_manifest(struct store *s, const char *repo, const char *ref, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND,
		       "unknown blob: manifest %s is not in '%s' (repository '%s')", ref, s->dir,
		       repo);
}

// What the fast ways do not know: staged manifests, older spellings.
static int fetch_slowly(struct store *s, const char *repo, const char *ref, struct buf *ret,
			struct digest *ret_digest, struct err *e)
{
	if (store_manifest_get(s, repo, ref, ret, ret_digest, e) == 0)
		return 0;
	if (e->kind != ERR_NOT_FOUND && e->kind != ERR_CANCELLED)
		e->kind = ERR_IO;
	return -1;
}

static int fetch_place(const struct place *at, const struct digest *d, enum store_patience p,
		       struct buf *ret, struct digest *ret_digest, struct err *e)
{
	struct wanted w = {at->path, p, at->guess, d};
	auto_fd int fd = -1;
	int r = open_path(at->root, at->path, p, &fd);

	if (r != 0)
		return r < 0 ? no_file(at->path, e) : WOULD_WAIT;
	return read_manifest(fd, &w, ret, ret_digest, e);
}

static int fetch_digest(struct store *s, const char *repo, const struct digest *d,
			enum store_patience p, struct buf *ret, struct digest *ret_digest,
			struct err *e)
{
	struct err why = {0};
	struct place at;

	for (unsigned i = 0; s->layout->where(s, repo, d, true, i, &at); i++) {
		int r = fetch_place(&at, d, p, ret, ret_digest, e);

		if (r >= 0)
			return r;
		if (e->kind == ERR_NOT_FOUND)
			continue;
		trace("store", "%s in %s: %s", at.path, s->dir, e->text);
		if (p == STORE_NO_WAIT)
			return WOULD_WAIT;
		if (why.kind == ERR_NONE)
			why = *e;
	}
	if (anything_staged(s))
		return p == STORE_NO_WAIT ? WOULD_WAIT
					  : fetch_slowly(s, repo, d->text, ret, ret_digest, e);
	if (why.kind == ERR_NONE)
		return unknown_manifest(s, repo, d->text, e);
	*e = why;
	return err_wrap(e, "manifest %s of '%s' in %s", d->text, repo, s->dir);
}

// ---- tags

// The digest that a tag's link names. False when it names none.
static bool link_digest(const char *text, struct digest *ret)
{
	const char *base = strrchr(text, '/');

	return text[0] != '/' && digest_of_name(ret, base ? base + 1 : text);
}

// Opens the manifest through the tag, so that its name and its bytes belong together. 0,
// WOULD_WAIT, or -1: this way does not lead there.
static int fetch_by_link(struct store *s, const char *repo, const char *tag, enum store_patience p,
			 struct buf *ret, struct digest *ret_digest, struct err *e)
{
	char path[STORE_PATH_MAX], text[512];
	struct wanted w = {.name = path, .patience = p};
	struct digest d;
	auto_fd int fd = -1;

	snprintf(path, sizeof(path), "%s/manifests/%s", repo, tag);
	int r = open_path(s->v2_fd, path, p, &fd);

	if (r > 0)
		return WOULD_WAIT;
	ssize_t n = readlinkat(s->v2_fd, path, text, sizeof(text) - 1);

	if (r < 0)
		return err_set(e, n > 0 ? ERR_IO : ERR_NOT_FOUND, "tag '%s' leads nowhere", path);
	if (n >= 0) {
		text[n] = '\0';
		if (!link_digest(text, &d))
			return err_set(e, ERR_IO, "tag '%s' is a link to no digest", path);
		w.digest = &d;
	}
	return read_manifest(fd, &w, ret, ret_digest, e);
}

static int fetch_tag(struct store *s, const char *repo, const char *tag, enum store_patience p,
		     struct buf *ret, struct digest *ret_digest, struct err *e)
{
	struct digest d;
	bool file;

	if (!s->layout->tag_links) {
		if (s->layout->tag_get(s, repo, tag, &d, ret, &file, e) == 0)
			return fetch_digest(s, repo, &d, p, ret, ret_digest, e);
		if (!anything_staged(s))
			return -1;
	} else if (s->v2_fd >= 0) {
		int r = fetch_by_link(s, repo, tag, p, ret, ret_digest, e);

		if (r >= 0)
			return r;
		if (e->kind == ERR_NOT_FOUND && !anything_staged(s))
			return unknown_manifest(s, repo, tag, e);
	}
	return p == STORE_NO_WAIT ? WOULD_WAIT : fetch_slowly(s, repo, tag, ret, ret_digest, e);
}

int store_manifest_fetch(struct store *s, const char *repo, const char *ref, enum store_patience p,
			 struct buf *ret, struct digest *ret_digest, struct err *e)
{
	struct digest d;

	if (repo_check(repo, e) < 0)
		return -1;
	if (!strchr(ref, ':'))
		return tag_check(ref, e) < 0 ? -1 : fetch_tag(s, repo, ref, p, ret, ret_digest, e);
	return digest_parse(&d, ref, e) < 0 ? -1 : fetch_digest(s, repo, &d, p, ret, ret_digest, e);
}

static void note_repository(void *arg, const struct staged *it)
{
	struct {
		const char *repo;
		bool found;
	} *look = arg;

	look->found |= it->kind != STAGED_ORIGIN && strcmp(it->repo, look->repo) == 0;
}

bool store_repository_exists(struct store *s, const char *repo)
{
	struct {
		const char *repo;
		bool found;
	} look = {repo, false};
	struct err ignored;

	if (repo_check(repo, &ignored) < 0)
		return false;
	if (s->layout->has_repository(s, repo))
		return true;
	staged_each(s, note_repository, &look);
	return look.found;
}
