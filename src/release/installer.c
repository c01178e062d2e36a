// SPDX-License-Identifier: Apache-2.0
// Finding markers in a stream of bytes, and writing over them.
#include "release/installer.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "util/mem.h"

#define ROOM16  "XXXXXXXXXXXXXXXX"
#define ROOM64  ROOM16 ROOM16 ROOM16 ROOM16
#define ROOM300 ROOM64 ROOM64 ROOM64 ROOM64 ROOM16 ROOM16 "XXXXXXXXXXXX"

// A literal's own NUL is the last byte of its marker; the first byte, a NUL too, is looked for
// apart.
static const struct {
	const char *name;
	const char *rest;
	size_t n; // of the whole marker
} markers[MARKER_KINDS] = {
	{"release image", "_RELEASE_IMAGE_LOCATION_\0" ROOM300,
	 1 + sizeof("_RELEASE_IMAGE_LOCATION_\0" ROOM300)},
	{"release version", "_RELEASE_VERSION_LOCATION_\0" ROOM64,
	 1 + sizeof("_RELEASE_VERSION_LOCATION_\0" ROOM64)},
	{"release architecture", "_RELEASE_ARCHITECTURE_LOCATION_\0" ROOM64,
	 1 + sizeof("_RELEASE_ARCHITECTURE_LOCATION_\0" ROOM64)},
};

static_assert(1 + sizeof("_RELEASE_IMAGE_LOCATION_\0" ROOM300) == MARKER_MAX, "marker length");

void installer_scan_init(struct installer_scan *s, unsigned wanted)
{
	*s = (struct installer_scan){.wanted = wanted};
}

// The first marker of KIND in DATA that lies in it whole; NULL when there is none.
static const char *find(size_t kind, const char *data, size_t n)
{
	const char *end = data + n;

	while ((size_t)(end - data) >= markers[kind].n) {
		const char *at = memmem(data + 1, (size_t)(end - data) - 1, markers[kind].rest,
					markers[kind].n - 1);

		if (!at || at[-1] == '\0')
			return at ? at - 1 : NULL;
		data = at;
	}
	return NULL;
}

static void search(struct installer_scan *s, const char *data, size_t n, uint64_t base)
{
	for (size_t kind = 0; kind < MARKER_KINDS; kind++) {
		unsigned bit = 1U << kind;

		if (!(s->wanted & bit) || s->found & bit)
			continue;
		const char *at = find(kind, data, n);

		if (at) {
			s->found |= bit;
			s->offset[kind] = base + (uint64_t)(at - data);
		}
	}
}

// The last MARKER_MAX - 1 bytes of what went by: a whole marker fits into no less.
static void keep_tail(struct installer_scan *s, const char *data, size_t n)
{
	size_t keep = MARKER_MAX - 1;

	if (n >= keep) {
		memcpy(s->tail, data + n - keep, keep);
		s->ntail = keep;
		return;
	}
	memcpy(s->tail + s->ntail, data, n);
	s->ntail += n;
	if (s->ntail > keep) {
		memmove(s->tail, s->tail + s->ntail - keep, keep);
		s->ntail = keep;
	}
}

void installer_scan_add(struct installer_scan *s, const void *data, size_t n)
{
	size_t head = n < MARKER_MAX - 1 ? n : MARKER_MAX - 1, before = s->ntail;

	if ((s->wanted & ~s->found) == 0 || n == 0)
		return;
	memcpy(s->tail + before, data, head);
	search(s, s->tail, before + head, s->seen - before);
	search(s, data, n, s->seen);
	keep_tail(s, data, n);
	s->seen += n;
}

static const char *value_of(const struct installer_values *v, size_t kind)
{
	const char *const values[MARKER_KINDS] = {v->image, v->version, v->architecture};

	return values[kind];
}

int installer_check(const struct installer_values *v, unsigned wanted, struct err *e)
{
	for (size_t kind = 0; kind < MARKER_KINDS; kind++) {
		if (!(wanted & (1U << kind)))
			continue;
		size_t n = strlen(value_of(v, kind));

		if (n > markers[kind].n - 1)
			return err_set(e, ERR_INPUT,
				       "the %s value has %zu bytes, but the maximum replacement "
				       "length is %zu",
				       markers[kind].name, n, markers[kind].n - 1);
	}
	return 0;
}

static int write_at(int fd, const char *text, uint64_t offset, const char *name, struct err *e)
{
	size_t n = strlen(text) + 1;

	for (size_t done = 0; done < n;) {
		ssize_t w = pwrite(fd, text + done, n - done, (off_t)(offset + done));

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return err_os(e, ERR_IO, "cannot write '%s'", name);
		done += (size_t)w;
	}
	return 0;
}

int installer_patch(int fd, const struct installer_scan *s, const struct installer_values *v,
		    const char *name, struct err *e)
{
	if (installer_check(v, s->found, e) < 0)
		return -1;
	for (size_t kind = 0; kind < MARKER_KINDS; kind++)
		if (s->found & (1U << kind) &&
		    write_at(fd, value_of(v, kind), s->offset[kind], name, e) < 0)
			return -1;
	return 0;
}

char *installer_missing(const struct installer_scan *s)
{
	auto_strlist struct strlist names = {0};
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	for (size_t kind = 0; kind < MARKER_KINDS; kind++)
		if (s->wanted & ~s->found & (1U << kind))
			strlist_add(&names, markers[kind].name);
	strlist_sort(&names);
	for (size_t i = 0; i < names.n; i++)
		buf_printf(&text, "%s%s", i ? ", " : "", names.v[i]);
	return buf_take(&text);
}
