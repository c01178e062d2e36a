// SPDX-License-Identifier: Apache-2.0
// Archives through libarchive, hashed on their way out.
#include "layer/archive_out.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>
#include <sys/stat.h>

#include "util/fs.h"
#include "util/mem.h"

struct archive_out {
	struct archive *a;
	struct hasher *hash;
	int fd;
	const char *name;
	struct err failed; // of the file below
};

static la_ssize_t on_write(struct archive *archive, void *arg, const void *data, size_t n)
{
	struct archive_out *a = arg;

	if (fs_write_all(a->fd, data, n, a->name, &a->failed) < 0) {
		archive_set_error(archive, EIO, "write failed");
		return -1;
	}
	hasher_add(a->hash, data, n);
	return (la_ssize_t)n;
}

static int fail(struct archive_out *a, struct err *e)
{
	const char *why = archive_error_string(a->a);

	if (a->failed.kind != ERR_NONE) {
		*e = a->failed;
		return -1;
	}
	return err_set(e, ERR_IO, "cannot write '%s': %s", a->name, why ? why : "unknown error");
}

static bool set_up(struct archive *a, enum archive_out_kind kind)
{
	if (kind == ARCHIVE_OUT_ZIP)
		return archive_write_set_format_zip(a) == ARCHIVE_OK &&
		       archive_write_set_bytes_per_block(a, 65536) == ARCHIVE_OK;
	return archive_write_set_format_ustar(a) == ARCHIVE_OK &&
	       archive_write_add_filter_gzip(a) == ARCHIVE_OK &&
	       archive_write_set_filter_option(a, "gzip", "compression-level", "3") == ARCHIVE_OK &&
	       archive_write_set_filter_option(a, "gzip", "timestamp", NULL) == ARCHIVE_OK;
}

struct archive_out *archive_out_new(int fd, enum archive_out_kind kind, const char *name,
				    struct err *e)
{
	auto_of(archive_out_free) struct archive_out *a = xcalloc(1, sizeof(*a));

	a->fd = fd;
	a->name = name;
	a->hash = hasher_new(DIGEST_SHA256);
	a->a = archive_write_new();
	if (!a->a || !set_up(a->a, kind)) {
		err_set(e, ERR_UNSUPPORTED, "this libarchive cannot write tar, gzip and zip");
		return NULL;
	}
	archive_write_set_bytes_in_last_block(a->a, 1);
	if (archive_write_open(a->a, a, NULL, on_write, NULL) != ARCHIVE_OK) {
		fail(a, e);
		return NULL;
	}
	return steal(&a);
}

void archive_out_free(struct archive_out *a)
{
	if (!a)
		return;
	archive_write_free(a->a);
	hasher_free(a->hash);
	free(a);
}

static int put_header(struct archive_out *a, const char *member, const char *target, mode_t mode,
		      int64_t mtime, uint64_t size, struct err *e)
{
	struct archive_entry *entry = archive_entry_new();

	archive_entry_set_pathname(entry, member);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, mode);
	archive_entry_set_mtime(entry, mtime, 0);
	archive_entry_set_size(entry, (la_int64_t)size);
	if (target)
		archive_entry_set_hardlink(entry, target);
	int r = archive_write_header(a->a, entry);

	archive_entry_free(entry);
	return r < ARCHIVE_WARN ? fail(a, e) : 0;
}

static int put_data(struct archive_out *a, const void *data, size_t n, struct err *e)
{
	if (archive_write_data(a->a, data, n) != (la_ssize_t)n)
		return fail(a, e);
	return 0;
}

int archive_out_bytes(struct archive_out *a, const char *member, mode_t mode, int64_t mtime,
		      struct str bytes, struct err *e)
{
	if (put_header(a, member, NULL, mode, mtime, bytes.n, e) < 0)
		return -1;
	return put_data(a, bytes.p, bytes.n, e);
}

int archive_out_file(struct archive_out *a, const char *member, mode_t mode, int64_t mtime, int fd,
		     uint64_t size, struct err *e)
{
	auto_free char *chunk = xmalloc(65536);

	if (put_header(a, member, NULL, mode, mtime, size, e) < 0)
		return -1;
	for (uint64_t at = 0; at < size;) {
		uint64_t left = size - at;
		ssize_t n = pread(fd, chunk, left < 65536 ? (size_t)left : 65536, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_os(e, ERR_IO, "cannot read '%s' back", member);
		if (put_data(a, chunk, (size_t)n, e) < 0)
			return -1;
		at += (uint64_t)n;
	}
	return 0;
}

int archive_out_link(struct archive_out *a, const char *member, const char *target, mode_t mode,
		     int64_t mtime, struct err *e)
{
	return put_header(a, member, target, mode, mtime, 0, e);
}

int archive_out_finish(struct archive_out *a, struct digest *ret, struct err *e)
{
	if (archive_write_close(a->a) != ARCHIVE_OK)
		return fail(a, e);
	hasher_finish(a->hash, ret);
	return 0;
}
