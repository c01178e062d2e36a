// SPDX-License-Identifier: Apache-2.0
// Layers made with libarchive, and what hostile ones get.
#include <archive.h>
#include <archive_entry.h>

#include "layer/layer.h"
#include "tap.h"
#include "util/mem.h"

static struct err e;

enum compression { PLAIN, GZIP, ZSTD };

struct made {
	const char *path;
	const char *content; // of a file; NULL for a folder
	const char *symlink, *hardlink;
};

// A tar of the N entries; one more file of ZEROS bytes when it is not 0.
static struct buf make_tar(enum compression c, const struct made *v, size_t n, size_t zeros)
{
	static char out[8 << 20];
	static const char nothing[1 << 16];
	struct buf ret = BUF_INIT(sizeof(out));
	struct archive *a = archive_write_new();
	size_t used = 0;

	archive_write_set_format_pax_restricted(a);
	if (c == GZIP)
		archive_write_add_filter_gzip(a);
	if (c == ZSTD)
		archive_write_add_filter_zstd(a);
	archive_write_open_memory(a, out, sizeof(out), &used);
	for (size_t i = 0; i < n + (zeros > 0); i++) {
		struct archive_entry *entry = archive_entry_new();
		const struct made bomb = {.path = "zeros", .content = ""};
		const struct made *m = i < n ? &v[i] : &bomb;
		size_t size = i < n ? (m->content ? strlen(m->content) : 0) : zeros;

		archive_entry_set_pathname(entry, m->path);
		archive_entry_set_filetype(entry, m->content ? AE_IFREG : AE_IFDIR);
		if (m->symlink) {
			archive_entry_set_filetype(entry, AE_IFLNK);
			archive_entry_set_symlink(entry, m->symlink);
		}
		if (m->hardlink)
			archive_entry_set_hardlink(entry, m->hardlink);
		archive_entry_set_perm(entry, 0640);
		archive_entry_set_mtime(entry, 1700000000, 0);
		archive_entry_set_size(entry, (int64_t)size);
		archive_write_header(a, entry);
		for (size_t left = size; i >= n && left > 0;) {
			size_t k = left < sizeof(nothing) ? left : sizeof(nothing);

			archive_write_data(a, nothing, k);
			left -= k;
		}
		if (i < n && size > 0)
			archive_write_data(a, m->content, size);
		archive_entry_free(entry);
	}
	archive_write_close(a);
	archive_write_free(a);
	buf_put(&ret, out, used);
	return ret;
}

static struct layer *open_layer(const struct buf *tar, const struct digest *want,
				const struct layer_limits *limits, struct slab_pool *pool)
{
	return layer_open(stream_of_bytes(tar->p, tar->n, pool), want, limits, &e);
}

static struct digest digest_of_buf(const struct buf *b)
{
	struct digest d;

	digest_of(&d, DIGEST_SHA256, b->p, b->n);
	return d;
}

static const struct made TREE[] = {
	{.path = "./"},
	{.path = "./etc/"},
	{.path = "./etc//motd", .content = "hello"},
	{.path = "etc/link", .content = "", .symlink = "../motd"},
	{.path = "/etc/hard", .content = "", .hardlink = "./etc/motd"},
};

TEST(every_compression_gives_the_same_entries)
{
	static const enum compression all[] = {PLAIN, GZIP, ZSTD};
	static const struct {
		const char *path;
		enum layer_entry_type type;
		const char *link;
	} want[] = {
		{"etc", LAYER_DIR, ""},
		{"etc/motd", LAYER_FILE, ""},
		{"etc/link", LAYER_SYMLINK, "../motd"},
		{"etc/hard", LAYER_HARDLINK, "etc/motd"},
	};

	for (size_t c = 0; c < ARRAY_SIZE(all); c++) {
		auto_of(slab_pool_free) struct slab_pool *pool = slab_pool_new(4);
		auto_buf struct buf tar = make_tar(all[c], TREE, ARRAY_SIZE(TREE), 0);
		struct digest d = digest_of_buf(&tar);
		auto_of(layer_free) struct layer *l = open_layer(&tar, &d, NULL, pool);
		struct layer_entry entry;
		size_t n = 0;

		CHECK(l != NULL);
		if (!l)
			return;
		while (layer_next(l, &entry, &e) == 1 && n < ARRAY_SIZE(want)) {
			CHECK_STR(entry.path, want[n].path);
			CHECK_INT(entry.type, want[n].type);
			CHECK_STR(entry.link, want[n].link);
			CHECK_INT(entry.mode, 0640);
			CHECK_INT(entry.mtime, 1700000000);
			n++;
		}
		CHECK_INT((long long)n, ARRAY_SIZE(want));
		CHECK_OK(layer_finish(l, &e));
	}
}

TEST(a_file_is_read_whole_and_the_rest_is_skipped)
{
	auto_of(slab_pool_free) struct slab_pool *pool = slab_pool_new(4);
	static const struct made files[] = {{.path = "skipped", .content = "0123456789"},
					    {.path = "wanted", .content = "content"}};
	auto_buf struct buf tar = make_tar(GZIP, files, 2, 0);
	auto_of(layer_free) struct layer *l = open_layer(&tar, NULL, NULL, pool);
	auto_buf struct buf text = BUF_INIT(100);
	struct layer_entry entry;

	CHECK_INT(layer_next(l, &entry, &e), 1);
	CHECK_INT((long long)entry.size, 10);
	CHECK_INT(layer_next(l, &entry, &e), 1);
	CHECK_STR(entry.path, "wanted");
	CHECK_OK(layer_read_all(l, &text, &e));
	CHECK_STR(text.p, "content");
	CHECK_INT(layer_next(l, &entry, &e), 0);
	CHECK_OK(layer_finish(l, &e));
}

TEST(a_file_that_does_not_fit_is_refused_by_name)
{
	auto_of(slab_pool_free) struct slab_pool *pool = slab_pool_new(4);
	static const struct made files[] = {{.path = "big", .content = "0123456789"}};
	auto_buf struct buf tar = make_tar(PLAIN, files, 1, 0);
	auto_of(layer_free) struct layer *l = open_layer(&tar, NULL, NULL, pool);
	auto_buf struct buf text = BUF_INIT(9);
	struct layer_entry entry;

	CHECK_INT(layer_next(l, &entry, &e), 1);
	CHECK_FAILS(layer_read_all(l, &text, &e));
	CHECK(strstr(e.text, "'big'") != NULL);
}

TEST(finishing_verifies_what_stands_behind_the_end_of_the_tar)
{
	auto_of(slab_pool_free) struct slab_pool *pool = slab_pool_new(4);
	auto_buf struct buf tar = make_tar(GZIP, TREE, ARRAY_SIZE(TREE), 0);
	struct digest d = digest_of_buf(&tar);

	buf_puts(&tar, "trailing garbage");
	auto_of(layer_free) struct layer *l = open_layer(&tar, &d, NULL, pool);
	struct layer_entry entry;

	CHECK_INT(layer_next(l, &entry, &e), 1);
	CHECK_FAILS(layer_finish(l, &e));
	CHECK_INT(e.kind, ERR_DIGEST);
}

TEST(finishing_early_reads_the_rest)
{
	auto_of(slab_pool_free) struct slab_pool *pool = slab_pool_new(4);
	auto_buf struct buf tar = make_tar(PLAIN, TREE, ARRAY_SIZE(TREE), 1 << 20);
	struct digest d = digest_of_buf(&tar);
	auto_of(layer_free) struct layer *l = open_layer(&tar, &d, NULL, pool);
	struct layer_entry entry;

	CHECK_INT(layer_next(l, &entry, &e), 1);
	CHECK_OK(layer_finish(l, &e));
}

TEST(paths_that_leave_the_layer_are_refused)
{
	static const char *const paths[] = {"../x", "a/../../x", "a/..", "/.."};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		auto_of(slab_pool_free) struct slab_pool *pool = slab_pool_new(4);
		struct made one = {.path = paths[i], .content = "x"};
		auto_buf struct buf tar = make_tar(GZIP, &one, 1, 0);
		auto_of(layer_free) struct layer *l = open_layer(&tar, NULL, NULL, pool);
		struct layer_entry entry;

		CHECK_FAILS(layer_next(l, &entry, &e));
		CHECK_INT(e.kind, ERR_INPUT);
	}
}

TEST(a_hard_link_out_of_the_layer_is_refused)
{
	auto_of(slab_pool_free) struct slab_pool *pool = slab_pool_new(4);
	struct made one = {.path = "a", .content = "", .hardlink = "../../etc/passwd"};
	auto_buf struct buf tar = make_tar(GZIP, &one, 1, 0);
	auto_of(layer_free) struct layer *l = open_layer(&tar, NULL, NULL, pool);
	struct layer_entry entry;

	CHECK_FAILS(layer_next(l, &entry, &e));
}

TEST(bombs_hit_a_ceiling)
{
	static const struct {
		struct layer_limits limits;
		const char *says;
	} rows[] = {
		{{.max_bytes = 1 << 20}, "claims"},
		{{.max_ratio = 10}, "times its size"},
		{{.max_entries = 2}, "more than 2 entries"},
		{{.max_compressed = 100}, "larger than 100 bytes"},
	};
	auto_buf struct buf tar = make_tar(GZIP, TREE, ARRAY_SIZE(TREE), (size_t)80 << 20);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_of(slab_pool_free) struct slab_pool *pool = slab_pool_new(4);
		auto_of(layer_free) struct layer *l = open_layer(&tar, NULL, &rows[i].limits, pool);
		struct layer_entry entry;
		int r = l ? 1 : -1;

		while (r == 1)
			r = layer_next(l, &entry, &e);
		CHECK_INT(r, -1);
		CHECK(strstr(e.text, rows[i].says) != NULL);
	}
}

TEST(what_is_no_tar_is_refused)
{
	static const char *const texts[] = {"not a tar at all, just some text of a page",
					    "PK\003\004zip", "\x1f\x8b\x08 cut"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		auto_of(slab_pool_free) struct slab_pool *pool = slab_pool_new(4);
		auto_buf struct buf text = BUF_INIT(1000);

		buf_puts(&text, texts[i]);
		auto_of(layer_free) struct layer *l = open_layer(&text, NULL, NULL, pool);
		struct layer_entry entry;

		CHECK(!l || layer_next(l, &entry, &e) < 0);
		CHECK_INT(e.kind, ERR_INPUT);
	}
}

TEST(a_cut_layer_is_an_error_not_an_end)
{
	auto_of(slab_pool_free) struct slab_pool *pool = slab_pool_new(4);
	auto_buf struct buf tar = make_tar(GZIP, TREE, ARRAY_SIZE(TREE), 1 << 20);
	struct digest d = digest_of_buf(&tar);

	tar.n /= 2;
	auto_of(layer_free) struct layer *l = open_layer(&tar, &d, NULL, pool);
	struct layer_entry entry;
	int r = 1;

	while (r == 1)
		r = layer_next(l, &entry, &e);
	CHECK_INT(r, -1);
	CHECK_FAILS(layer_finish(l, &e));
	CHECK_INT(e.kind, ERR_DIGEST);
}

TEST(an_empty_layer_has_no_entries)
{
	auto_of(slab_pool_free) struct slab_pool *pool = slab_pool_new(4);
	auto_buf struct buf tar = make_tar(GZIP, NULL, 0, 0);
	struct digest d = digest_of_buf(&tar);
	auto_of(layer_free) struct layer *l = open_layer(&tar, &d, NULL, pool);
	struct layer_entry entry;

	CHECK_INT(layer_next(l, &entry, &e), 0);
	CHECK_OK(layer_finish(l, &e));
}

struct broken {
	struct stream base;
	bool opened;
	struct slab_pool *pool;
};

static struct slab *broken_read(struct stream *s, struct err *why)
{
	(void)s;
	err_set(why, ERR_NET, "connection reset");
	return NULL;
}

static void broken_free(struct stream *s)
{
	free(s);
}

TEST(a_broken_stream_is_told_as_it_is)
{
	static const struct stream_ops ops = {broken_read, broken_free};
	struct broken *s = xcalloc(1, sizeof(*s));

	s->base.ops = &ops;
	auto_of(layer_free) struct layer *l = layer_open(&s->base, NULL, NULL, &e);

	CHECK(l == NULL);
	CHECK_INT(e.kind, ERR_NET);
	CHECK_STR(e.text, "connection reset");
}

int main(void)
{
	return tap_main();
}
