// SPDX-License-Identifier: Apache-2.0
// What the tests of the store share: folders that vanish, blobs out of memory, looking at trees.
#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

#include "store/internal.h"
#include "tap.h"
#include "util/cleanup.h"
#include "util/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct slab_pool *fixture_pool;

__attribute__((constructor)) static void fixture_init(void)
{
	fixture_pool = slab_pool_new(64);
	umask(022);
}

__attribute__((destructor)) static void fixture_done(void)
{
	slab_pool_free(fixture_pool);
}

// ---- folders

static inline void run(const char *fmt, ...) printf_like(1, 2);
static inline void run(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	auto_free char *command = xvasprintf(fmt, ap);
	va_end(ap);
	if (system(command) != 0)
		printf("# command failed: %s\n", command);
}

static inline char *temp_dir(void)
{
	const char *base = getenv("STORE_TEST_DIR");
	char *dir = xasprintf("%s/store-test-XXXXXX", base ? base : "/tmp");

	if (!mkdtemp(dir))
		abort();
	return dir;
}

static inline void temp_dir_removep(char **dir)
{
	if (*dir)
		run("rm -rf '%s'", *dir);
	free(*dir);
}
#define auto_dir __attribute__((cleanup(temp_dir_removep)))

// ---- blobs: N bytes that follow from SEED

struct blob {
	struct descriptor d;
	unsigned char *data;
	size_t n;
	size_t cut;         // the stream fails behind this many bytes; 0: never
	int opened;         // how often
	uint64_t opened_at; // the offset asked for last
};

static inline void fill(unsigned char *p, size_t n, uint64_t seed)
{
	uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;

	for (size_t i = 0; i < n; i += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(p + i, &x, n - i < 8 ? n - i : 8);
	}
}

static inline struct blob blob_of(const void *data, size_t n)
{
	struct blob b = {.data = xmemdup(data, n), .n = n};

	b.d.media_type = "";
	b.d.size = n;
	digest_of(&b.d.digest, DIGEST_SHA256, b.data, n);
	return b;
}

static inline struct blob blob_new(uint64_t seed, size_t n)
{
	auto_free unsigned char *data = xmalloc(n);

	fill(data, n, seed);
	return blob_of(data, n);
}

static inline void blob_freep(struct blob *b)
{
	free(b->data);
}
#define auto_blob __attribute__((cleanup(blob_freep)))

struct cut_stream {
	struct stream base;
	struct stream *inner;
	size_t left;
};

static inline struct slab *cut_read(struct stream *base, struct err *e)
{
	struct cut_stream *c = (struct cut_stream *)base;
	struct slab *slab = c->left ? stream_read(c->inner, e) : NULL;

	if (!slab) {
		err_set(e, ERR_NET, "connection reset");
		return NULL;
	}
	if (slab->n > c->left)
		slab->n = c->left;
	c->left -= slab->n;
	return slab;
}

static inline void cut_free(struct stream *base)
{
	stream_free(((struct cut_stream *)base)->inner);
	free(base);
}

static inline struct stream *blob_stream(void *arg, uint64_t offset, struct err *e)
{
	static const struct stream_ops ops = {cut_read, cut_free};
	struct blob *b = arg;
	struct stream *s = stream_of_bytes(b->data + offset, b->n - (size_t)offset, fixture_pool);

	(void)e;
	b->opened++;
	b->opened_at = offset;
	if (b->cut == 0)
		return s;
	struct cut_stream *c = xcalloc(1, sizeof(*c));

	*c = (struct cut_stream){{&ops}, s, b->cut - (size_t)offset};
	return &c->base;
}

static inline int put(struct store *s, const char *repo, struct blob *b, struct err *e)
{
	struct opener src = {blob_stream, b};

	return store_blob_put(s, repo, &b->d, &src, e);
}

static inline int put_manifest(struct store *s, const char *repo, const char *text, const char *tag,
			       struct digest *ret, struct err *e)
{
	struct digest d;

	digest_of(&d, DIGEST_SHA256, text, strlen(text));
	if (ret)
		*ret = d;
	return store_manifest_put(s, repo, str_of(text), &d, tag, e);
}

// ---- stores

static inline int open_as(struct store **ret, const char *dir, enum store_mode mode,
			  enum store_layout layout, char **ret_notice, struct err *e)
{
	struct store_config cfg = {
		.dir = dir, .mode = mode, .layout = layout, .pool = fixture_pool};

	return store_open(ret, &cfg, ret_notice, e);
}

static inline struct store *must_open(const char *dir, enum store_mode mode,
				      enum store_layout layout)
{
	struct store *s = NULL;
	auto_free char *notice = NULL;
	struct err e;

	CHECK_OK(open_as(&s, dir, mode, layout, &notice, &e));
	if (!s)
		abort();
	return s;
}

// Reads a whole blob; NULL and *e on failure. Caller frees.
static inline unsigned char *read_blob(struct store *s, const char *repo,
				       const struct descriptor *d, uint64_t offset, size_t *ret_n,
				       struct err *e)
{
	auto_of(stream_free) struct stream *in = store_blob_open(s, repo, d, offset, e);
	unsigned char *all = NULL;
	size_t n = 0;

	if (!in)
		return NULL;
	for (;;) {
		auto_of(slab_free) struct slab *slab = stream_read(in, e);

		if (!slab)
			break;
		all = xrealloc(all, n + slab->n);
		memcpy(all + n, slab->data, slab->n);
		n += slab->n;
	}
	if (e->kind != ERR_NONE) {
		free(all);
		return NULL;
	}
	*ret_n = n;
	return all ? all : xmalloc(1);
}

static inline bool holds(struct store *s, const char *repo, struct blob *b)
{
	struct err e;
	size_t n = 0;
	auto_free unsigned char *got = read_blob(s, repo, &b->d, 0, &n, &e);

	return got && n == b->n && memcmp(got, b->data, n) == 0;
}

// The names below DIR, sorted, a line for each: type, size, name, link target. Caller frees.
static inline char *tree_of(const char *dir)
{
	auto_free char *command = xasprintf("cd '%s' && find . -mindepth 1 ! -path './*store/tmp*' "
					    "! -name origins ! -name lock -printf '%%y %%s %%P "
					    "%%l\\n' | sed 's/^d [0-9]*/d/' | LC_ALL=C sort",
					    dir);
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
	FILE *f = popen(command, "r");
	char line[1024];

	while (f && fgets(line, sizeof(line), f))
		buf_puts(&text, line);
	if (f)
		pclose(f);
	return buf_take(&text);
}

static inline void write_text(const char *dir, const char *name, const char *text)
{
	auto_free char *path = path_join(dir, name);
	FILE *f = fopen(path, "w");

	if (!f)
		abort();
	fputs(text, f);
	fclose(f);
}

static inline bool in_dir(const char *dir, const char *name)
{
	auto_free char *path = path_join(dir, name);

	return fs_exists(path);
}

#endif
