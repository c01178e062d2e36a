// SPDX-License-Identifier: Apache-2.0
// Layers through libarchive: a hashing tee below it, ceilings above it.
#include "layer/layer.h"

#include <archive.h>
#include <archive_entry.h>
#include <inttypes.h>
#include <string.h>

#include "util/mem.h"

struct layer {
	struct archive *a;
	struct stream *src;
	struct slab *slab; // handed to libarchive, given back on its next read
	struct hasher *hash;
	struct digest want;
	bool check, ended; // ended: the stream has no more bytes, and the hash is complete
	struct layer_limits limits;
	uint64_t compressed, bytes, entries;
	struct err failed; // of the stream, while libarchive was reading it
	char path[LAYER_PATH_MAX], link[LAYER_PATH_MAX];
};

static uint64_t or_default(uint64_t value, uint64_t otherwise)
{
	return value ? value : otherwise;
}

static void set_limits(struct layer *l, const struct layer_limits *given)
{
	static const struct layer_limits none;
	const struct layer_limits *in = given ? given : &none;

	l->limits.max_compressed = or_default(in->max_compressed, LAYER_MAX_COMPRESSED);
	l->limits.max_bytes = or_default(in->max_bytes, LAYER_MAX_BYTES);
	l->limits.max_entries = or_default(in->max_entries, LAYER_MAX_ENTRIES);
	l->limits.max_ratio = (unsigned)or_default(in->max_ratio, LAYER_MAX_RATIO);
}

// The tee: the next slab, hashed. NULL at the end or on failure, as stream_read.
static struct slab *next_slab(struct layer *l, struct err *e)
{
	slab_free(l->slab);
	l->slab = NULL;
	e->kind = ERR_NONE;
	if (l->ended)
		return NULL;
	struct slab *slab = stream_read(l->src, e);

	if (!slab) {
		l->ended = e->kind == ERR_NONE;
		return NULL;
	}
	l->slab = slab;
	l->compressed += slab->n - slab->start;
	if (l->compressed > l->limits.max_compressed) {
		err_set(e, ERR_INPUT, "layer is larger than %" PRIu64 " bytes",
			l->limits.max_compressed);
		return NULL;
	}
	hasher_add(l->hash, slab->data + slab->start, slab->n - slab->start);
	return slab;
}

static la_ssize_t on_read(struct archive *a, void *arg, const void **ret)
{
	struct layer *l = arg;
	struct err e;
	struct slab *slab = next_slab(l, &e);

	if (slab) {
		*ret = slab->data + slab->start;
		return (la_ssize_t)(slab->n - slab->start);
	}
	if (e.kind == ERR_NONE)
		return 0;
	l->failed = e;
	archive_set_error(a, EIO, "read failed");
	return ARCHIVE_FATAL;
}

// What libarchive could not do, or why the stream below it broke.
static int fail(struct layer *l, struct err *e)
{
	const char *why = archive_error_string(l->a);

	if (l->failed.kind != ERR_NONE) {
		*e = l->failed;
		return -1;
	}
	return err_set(e, ERR_INPUT, "layer cannot be read: %s", why ? why : "not a tar archive");
}

// A filter that is not compiled in would be run as a program: refused.
static bool supports_formats(struct archive *a)
{
	return archive_read_support_filter_gzip(a) == ARCHIVE_OK &&
	       archive_read_support_filter_zstd(a) == ARCHIVE_OK &&
	       archive_read_support_format_tar(a) == ARCHIVE_OK &&
	       archive_read_support_format_empty(a) == ARCHIVE_OK;
}

struct layer *layer_open(struct stream *src, const struct digest *want,
			 const struct layer_limits *limits, struct err *e)
{
	auto_of(layer_free) struct layer *l = xcalloc(1, sizeof(*l));

	l->src = src;
	l->check = want != NULL;
	if (want)
		l->want = *want;
	l->hash = hasher_new(want ? want->algo : DIGEST_SHA256);
	set_limits(l, limits);
	l->a = archive_read_new();
	if (!l->a || !supports_formats(l->a)) {
		err_set(e, ERR_UNSUPPORTED, "this libarchive cannot read gzip, zstd and tar");
		return NULL;
	}
	if (archive_read_open(l->a, l, NULL, on_read, NULL) != ARCHIVE_OK) {
		fail(l, e);
		return NULL;
	}
	return steal(&l);
}

void layer_free(struct layer *l)
{
	if (!l)
		return;
	archive_read_free(l->a);
	slab_free(l->slab);
	stream_free(l->src);
	hasher_free(l->hash);
	free(l);
}

static int check_limits(const struct layer *l, struct err *e)
{
	// The ratio is taken from what came out, headers and padding included.
	uint64_t out = (uint64_t)archive_filter_bytes(l->a, 0);

	if (out > l->limits.max_bytes || l->bytes > l->limits.max_bytes)
		return err_set(e, ERR_INPUT, "layer unpacks to more than %" PRIu64 " bytes",
			       l->limits.max_bytes);
	if (out > LAYER_RATIO_FLOOR && out / l->limits.max_ratio > l->compressed)
		return err_set(e, ERR_INPUT, "layer unpacks to more than %u times its size",
			       l->limits.max_ratio);
	return 0;
}

// "./a//b/" → "a/b"; "" for the root.
static int clean_path(char *ret, const char *path, struct err *e)
{
	struct str rest = str_of(path);
	size_t n = 0;

	ret[0] = '\0';
	while (rest.p && rest.n > 0) {
		struct str part = str_cut(&rest, '/');

		if (part.n == 0 || str_eqz(part, "."))
			continue;
		if (str_eqz(part, ".."))
			return err_set(e, ERR_INPUT, "layer entry '%s' leaves the layer", path);
		if (n + 1 + part.n >= LAYER_PATH_MAX)
			return err_set(e, ERR_INPUT, "layer entry '%.64s…' has too long a name",
				       path);
		if (n > 0)
			ret[n++] = '/';
		memcpy(ret + n, part.p, part.n);
		n += part.n;
		ret[n] = '\0';
	}
	return 0;
}

static enum layer_entry_type entry_type(struct archive_entry *entry)
{
	if (archive_entry_hardlink(entry) || archive_entry_hardlink_utf8(entry))
		return LAYER_HARDLINK;
	switch (archive_entry_filetype(entry)) {
	case AE_IFREG:
		return LAYER_FILE;
	case AE_IFDIR:
		return LAYER_DIR;
	case AE_IFLNK:
		return LAYER_SYMLINK;
	default:
		return LAYER_OTHER;
	}
}

// Names are bytes; libarchive has them as UTF-8, or raw where they are none.
static const char *first_of(const char *utf8, const char *raw)
{
	return utf8 ? utf8 : raw;
}

static int read_link(struct layer *l, struct archive_entry *entry, enum layer_entry_type type,
		     struct err *e)
{
	const char *target = NULL;

	l->link[0] = '\0';
	if (type == LAYER_HARDLINK)
		target =
			first_of(archive_entry_hardlink_utf8(entry), archive_entry_hardlink(entry));
	else if (type == LAYER_SYMLINK)
		target = first_of(archive_entry_symlink_utf8(entry), archive_entry_symlink(entry));
	else
		return 0;
	if (!target)
		return err_set(e, ERR_INPUT, "layer entry '%s' has no readable link target",
			       l->path);
	if (type == LAYER_HARDLINK)
		return clean_path(l->link, target, e);
	size_t n = strlen(target);

	if (n >= sizeof(l->link))
		return err_set(e, ERR_INPUT, "layer entry '%s' has too long a link target",
			       l->path);
	memcpy(l->link, target, n + 1);
	return 0;
}

static int describe(struct layer *l, struct archive_entry *entry, struct layer_entry *ret,
		    struct err *e)
{
	const char *name =
		first_of(archive_entry_pathname_utf8(entry), archive_entry_pathname(entry));

	if (!name)
		return err_set(e, ERR_INPUT, "layer has an entry without a readable name");
	if (clean_path(l->path, name, e) < 0)
		return -1;
	enum layer_entry_type type = entry_type(entry);
	int64_t size = archive_entry_size(entry);

	if (size < 0 || (uint64_t)size > l->limits.max_bytes)
		return err_set(e, ERR_INPUT, "layer entry '%s' claims %" PRId64 " bytes", l->path,
			       size);
	if (read_link(l, entry, type, e) < 0)
		return -1;
	*ret = (struct layer_entry){
		.path = l->path,
		.type = type,
		.size = type == LAYER_FILE ? (uint64_t)size : 0,
		.mode = (mode_t)archive_entry_perm(entry),
		.uid = (uint32_t)archive_entry_uid(entry),
		.gid = (uint32_t)archive_entry_gid(entry),
		.mtime = archive_entry_mtime(entry),
		.link = l->link,
	};
	return 0;
}

// Skips block by block, where libarchive would skip a bomb in one call.
static int skip_rest(struct layer *l, struct err *e)
{
	for (;;) {
		const void *data;
		size_t n;
		la_int64_t offset;
		int r = archive_read_data_block(l->a, &data, &n, &offset);

		if (r == ARCHIVE_EOF)
			return 0;
		if (r < ARCHIVE_WARN)
			return fail(l, e);
		if (check_limits(l, e) < 0)
			return -1;
	}
}

int layer_next(struct layer *l, struct layer_entry *ret, struct err *e)
{
	for (;;) {
		struct archive_entry *entry;

		if (l->entries > 0 && skip_rest(l, e) < 0)
			return -1;
		int r = archive_read_next_header(l->a, &entry);

		if (r == ARCHIVE_EOF)
			return 0;
		if (r < ARCHIVE_WARN)
			return fail(l, e);
		if (++l->entries > l->limits.max_entries)
			return err_set(e, ERR_INPUT, "layer has more than %" PRIu64 " entries",
				       l->limits.max_entries);
		if (check_limits(l, e) < 0 || describe(l, entry, ret, e) < 0)
			return -1;
		if (ret->path[0] != '\0')
			return 1;
	}
}

ssize_t layer_read(struct layer *l, void *data, size_t n, struct err *e)
{
	la_ssize_t got = archive_read_data(l->a, data, n);

	if (got < 0)
		return fail(l, e);
	l->bytes += (uint64_t)got;
	if (check_limits(l, e) < 0)
		return -1;
	return (ssize_t)got;
}

int layer_read_all(struct layer *l, struct buf *ret, struct err *e)
{
	char chunk[16384];

	for (;;) {
		ssize_t n = layer_read(l, chunk, sizeof(chunk), e);

		if (n <= 0)
			return (int)n;
		if (buf_add(ret, chunk, (size_t)n, e) < 0)
			return err_wrap(e, "'%s' is larger than %zu bytes", l->path, ret->max);
	}
}

struct layer_usage layer_usage(const struct layer *l)
{
	uint64_t out = (uint64_t)archive_filter_bytes(l->a, 0);

	// Holes are not in the archive, but are written.
	return (struct layer_usage){out > l->bytes ? out : l->bytes, l->entries};
}

int layer_finish(struct layer *l, struct err *e)
{
	struct digest got;

	if (l->failed.kind != ERR_NONE) {
		*e = l->failed;
		return -1;
	}
	while (next_slab(l, e))
		;
	if (!l->ended)
		return -1;
	if (!l->check)
		return 0;
	auto_of(hasher_free) struct hasher *h = hasher_copy(l->hash);

	hasher_finish(h, &got);
	return digest_check(&l->want, &got, "blob", e);
}
