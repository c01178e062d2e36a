// SPDX-License-Identifier: Apache-2.0
// The ad-hoc code signature of Mach-O files: one code directory over pages of 4096 bytes, as
// linkers write it. 64-bit little-endian files are understood; offsets in them are never trusted.
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "image/digest.h"
#include "release/installer.h"
#include "util/mem.h"

enum {
	MH_MAGIC_64 = (int)0xfeedfacf,
	MH_EXECUTE = 2,
	LC_SEGMENT_64 = 0x19,
	LC_CODE_SIGNATURE = 0x1d,
	HEADER_SIZE = 32,
	COMMANDS_MAX = 1 << 20,
	PAGE = 4096,
	HASH = 32,
	SUPER_BLOB_SIZE = 12 + 8, // with its one entry
	DIRECTORY_SIZE = 88,
	FLAGS = 0x20002, // ad hoc, by a linker
};

#define MAGIC_SUPER_BLOB 0xfade0cc0U
#define MAGIC_DIRECTORY  0xfade0c02U
#define DIRECTORY_VER    0x20400U
#define IDENTIFIER       "a.out"

struct macho {
	bool executable;
	uint32_t signature_at, signature_size; // 0: not signed
	uint64_t text_at, text_size;
};

static uint32_t get32(const unsigned char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static uint64_t get64(const unsigned char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static void put32(struct buf *b, uint32_t v)
{
	v = htobe32(v);
	buf_put(b, &v, sizeof(v));
}

static void put64(struct buf *b, uint64_t v)
{
	v = htobe64(v);
	buf_put(b, &v, sizeof(v));
}

static bool read_at(int fd, void *data, size_t n, uint64_t offset)
{
	char *p = data;

	while (n > 0) {
		ssize_t got = pread(fd, p, n, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		p += got;
		n -= (size_t)got;
		offset += (uint64_t)got;
	}
	return true;
}

static void read_command(struct macho *m, const unsigned char *c, uint32_t size)
{
	switch (get32(c)) {
	case LC_SEGMENT_64:
		if (size >= 72 && memcmp(c + 8, "__TEXT\0\0\0\0\0\0\0\0\0", 16) == 0) {
			m->text_at = get64(c + 40);
			m->text_size = get64(c + 48);
		}
		break;
	case LC_CODE_SIGNATURE:
		if (size >= 16) {
			m->signature_at = get32(c + 8);
			m->signature_size = get32(c + 12);
		}
		break;
	default:
		break;
	}
}

// False when it is no such file.
static bool read_header(int fd, uint64_t size, struct macho *ret)
{
	unsigned char header[HEADER_SIZE];

	if (size < HEADER_SIZE || !read_at(fd, header, sizeof(header), 0) ||
	    get32(header) != (uint32_t)MH_MAGIC_64)
		return false;
	uint32_t n = get32(header + 16), total = get32(header + 20);

	if (total > COMMANDS_MAX || total > size - HEADER_SIZE)
		return false;
	auto_free unsigned char *commands = xmalloc(total + 1);

	if (!read_at(fd, commands, total, HEADER_SIZE))
		return false;
	ret->executable = get32(header + 12) == MH_EXECUTE;
	for (uint32_t at = 0; n > 0 && total - at >= 8; n--) {
		uint32_t length = get32(commands + at + 4);

		if (length < 8 || length > total - at)
			return false;
		read_command(ret, commands + at, length);
		at += length;
	}
	return true;
}

static uint32_t pages_of(const struct macho *m)
{
	return (m->signature_at + PAGE - 1) / PAGE;
}

// Room that a signature of this form takes.
static uint64_t signature_size(const struct macho *m)
{
	return SUPER_BLOB_SIZE + DIRECTORY_SIZE + sizeof(IDENTIFIER) + (uint64_t)pages_of(m) * HASH;
}

static void put_directory(struct buf *b, const struct macho *m)
{
	uint32_t ident = DIRECTORY_SIZE, hashes = ident + sizeof(IDENTIFIER);

	put32(b, MAGIC_DIRECTORY);
	put32(b, hashes + pages_of(m) * HASH);
	put32(b, DIRECTORY_VER);
	put32(b, FLAGS);
	put32(b, hashes);
	put32(b, ident);
	put32(b, 0); // special slots
	put32(b, pages_of(m));
	put32(b, m->signature_at);
	buf_put(b, (const char[]){HASH, 2, 0, 12}, 4); // SHA-256, pages of 2^12 bytes
	put32(b, 0);
	put32(b, 0); // scatter
	put32(b, 0); // team
	put32(b, 0);
	put64(b, 0); // a limit beyond 4 GiB
	put64(b, m->text_at);
	put64(b, m->text_size);
	put64(b, m->executable ? 1 : 0);
	buf_put(b, IDENTIFIER, sizeof(IDENTIFIER));
}

static int put_hashes(struct buf *b, const struct macho *m, int fd, const char *name, struct err *e)
{
	unsigned char page[PAGE], raw[DIGEST_RAW_MAX];

	for (uint32_t at = 0; at < m->signature_at; at += PAGE) {
		uint32_t left = m->signature_at - at, n = left < PAGE ? left : PAGE;
		struct digest d;

		if (!read_at(fd, page, n, at))
			return err_os(e, ERR_IO, "cannot read '%s' back", name);
		digest_of(&d, DIGEST_SHA256, page, n);
		digest_raw(&d, raw);
		buf_put(b, raw, HASH);
	}
	return 0;
}

static int write_back(int fd, const struct buf *b, uint64_t offset, const char *name, struct err *e)
{
	for (size_t done = 0; done < b->n;) {
		ssize_t w = pwrite(fd, b->p + done, b->n - done, (off_t)(offset + done));

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return err_os(e, ERR_IO, "cannot write '%s'", name);
		done += (size_t)w;
	}
	return 0;
}

int installer_sign_macho(int fd, uint64_t size, const char *name, struct err *e)
{
	auto_buf struct buf b = BUF_INIT(BUF_TEXT_MAX);
	struct macho m = {0};

	if (!read_header(fd, size, &m) || m.signature_at == 0 || m.signature_at > size ||
	    m.signature_size > size - m.signature_at || m.signature_size != signature_size(&m))
		return 0;
	put32(&b, MAGIC_SUPER_BLOB);
	put32(&b, m.signature_size);
	put32(&b, 1);
	put32(&b, 0); // the code directory
	put32(&b, SUPER_BLOB_SIZE);
	put_directory(&b, &m);
	if (put_hashes(&b, &m, fd, name, e) < 0)
		return -1;
	assert(b.n == m.signature_size);
	return write_back(fd, &b, m.signature_at, name, e);
}
