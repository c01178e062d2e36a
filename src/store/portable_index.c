// SPDX-License-Identifier: Apache-2.0
// Index records and the seal: written, read, and checked, since media are not to be trusted.
#include "store/portable.h"
#include "util/cleanup.h"
#include "util/trace.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LINE_MAX_BYTES = 4096, SEAL_MAX_BYTES = 64 << 20, SEGMENTS_MAX = 100000 };

// ---- lines

static uint32_t crc_table[256];

static void make_crc_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
		crc_table[i] = c;
	}
}

uint32_t crc32c(const void *data, size_t n)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const unsigned char *p = data;
	uint32_t c = UINT32_MAX;

	pthread_once(&once, make_crc_table);
	while (n-- > 0)
		c = crc_table[(c ^ *p++) & 255] ^ c >> 8;
	return ~c;
}

void index_add_line(struct buf *out, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	auto_free char *text = xvasprintf(fmt, ap);
	va_end(ap);
	buf_printf(out, "%s %08" PRIx32 "\n", text, crc32c(text, strlen(text)));
}

bool index_check_line(struct str line, struct str *ret_text)
{
	char crc[9];

	if (line.n < 10 || line.p[line.n - 9] != ' ')
		return false;
	snprintf(crc, sizeof(crc), "%08" PRIx32, crc32c(line.p, line.n - 9));
	if (memcmp(crc, line.p + line.n - 8, 8) != 0)
		return false;
	*ret_text = (struct str){line.p, line.n - 9};
	return true;
}

// ---- records

enum { FIELDS_MAX = 4 };

// The first four fields, as strings in TEXT, which is cut up.
static size_t split(char *text, char *fields[FIELDS_MAX])
{
	size_t n = 0;

	for (char *at = text; at && n < FIELDS_MAX;) {
		char *end = strchr(at, ' ');

		if (end)
			*end++ = '\0';
		fields[n++] = at;
		at = end;
	}
	return n;
}

static bool apply_member(struct records *ix, char **f, uint64_t flag)
{
	uint64_t size;

	if (!str_u64(str_of(f[3]), (uint64_t)INT64_MAX / 4, &size))
		return false;
	auto_free char *key = xasprintf("%s %s", f[1], f[2]);
	struct map_entry *en = map_put(&ix->members, str_of(key), NULL);

	en->num = size * 4 | (en->num & 3) | flag;
	return true;
}

static bool apply_tag(struct records *ix, char **f)
{
	struct digest d;
	struct err ignored;

	if (tag_check(f[2], &ignored) < 0 || digest_parse(&d, f[3], &ignored) < 0)
		return false;
	auto_free char *key = xasprintf("%s %s", f[1], f[2]);
	struct map_entry *en = map_put(&ix->tags, str_of(key), NULL);

	free(en->ptr);
	en->ptr = xstrdup(d.text);
	return true;
}

bool records_apply(struct store *s, struct records *ix, struct str record)
{
	auto_free char *text = xstrndup(record.p, record.n);
	char *f[FIELDS_MAX];
	size_t n = split(text, f);
	struct digest d;
	struct err ignored;
	char kind = f[0][0];

	if (strlen(text) == 0 || f[0][1] != '\0')
		return false;
	if (!strchr("BMTO", kind))
		return true; // of a later version
	if (n < FIELDS_MAX || repo_check(f[1], &ignored) < 0)
		return false;
	if (kind == 'T')
		return apply_tag(ix, f);
	if (digest_parse(&d, f[2], &ignored) < 0)
		return false;
	if (kind == 'O') {
		origin_remember(s, str_of(f[1]), str_of(d.text), str_of(f[3]));
		return true;
	}
	return apply_member(ix, f, kind == 'M' ? INDEX_MANIFEST : INDEX_BLOB);
}

// ---- segments

struct segment_reader {
	struct store *s;
	struct records *ix;
	char line[LINE_MAX_BYTES];
	size_t n;
	bool too_long;
	bool bad_before; // a bad line is only a torn one when it is the last
};

static void end_line(struct segment_reader *r)
{
	struct str text;

	r->ix->bad += r->bad_before;
	r->bad_before = r->too_long || !index_check_line((struct str){r->line, r->n}, &text) ||
			!records_apply(r->s, r->ix, text);
	r->ix->records++;
	r->n = 0;
	r->too_long = false;
}

static void read_lines(struct segment_reader *r, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\n')
			end_line(r);
		else if (r->n < sizeof(r->line))
			r->line[r->n++] = p[i];
		else
			r->too_long = true;
	}
}

static int read_segment(struct store *s, struct records *ix, struct segment *seg, struct err *e)
{
	auto_free char *path = xasprintf("index/%s", seg->name);
	auto_free struct segment_reader *r = xcalloc(1, sizeof(*r));
	auto_of(hasher_free) struct hasher *h = hasher_new(DIGEST_SHA256);
	auto_content struct content c = {0};
	char chunk[16384];

	r->s = s;
	r->ix = ix;
	if (content_open(&c, s->state_fd, path, e) < 0)
		return -1;
	for (;;) {
		ssize_t n = content_pread(&c, chunk, sizeof(chunk), seg->length);

		if (n < 0)
			return err_os(e, ERR_IO, "cannot read '%s/store/%s'", s->dir, path);
		if (n == 0)
			break;
		hasher_add(h, chunk, (size_t)n);
		read_lines(r, chunk, (size_t)n);
		seg->length += (uint64_t)n;
		if (ix->records > STORE_ENTRIES_MAX)
			return err_set(e, ERR_INPUT, "the index of '%s' has more than %d records",
				       s->dir, STORE_ENTRIES_MAX);
	}
	hasher_finish(h, &seg->digest);
	return 0;
}

static int list_segment(void *arg, const struct folder_entry *entry, struct err *e)
{
	struct records *ix = arg;
	struct str name = str_of(entry->name);
	uint64_t number;

	if (name.n != 10 || !ends_with(entry->name, ".idx") ||
	    !str_u64((struct str){name.p, 6}, 999999, &number))
		return 0;
	if (ix->nsegments == SEGMENTS_MAX)
		return err_set(e, ERR_INPUT, "the index has more than %d files", SEGMENTS_MAX);
	vec_reserve(ix->segments, ix->nsegments, ix->cap);
	ix->segments[ix->nsegments++] = (struct segment){.name = xstrdup(entry->name)};
	if (number > ix->last)
		ix->last = (unsigned)number;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct segment *)a)->name, ((const struct segment *)b)->name);
}

// ---- the seal

void records_seal_text(const struct records *ix, struct buf *out)
{
	index_add_line(out, "S 1 %" PRIu64 " 1 1 %zu", ix->sequence, ix->members.n);
	for (size_t i = 0; i < ix->nsegments; i++)
		index_add_line(out, "I %s %" PRIu64 " %s", ix->segments[i].name,
			       ix->segments[i].length, ix->segments[i].digest.text);
	index_add_line(out, "E %zu", ix->nsegments);
}

// Whether the lines of TEXT are the seal of exactly these segments.
static bool seal_fits(struct records *ix, struct str text)
{
	auto_buf struct buf want = BUF_INIT(BUF_TEXT_MAX);
	struct str rest = text, line = str_cut(&rest, '\n'), head;

	if (!index_check_line(line, &head) || !str_starts(head, STR("S 1 ")))
		return false;
	head.p += 4;
	head.n -= 4;
	if (!str_u64(str_cut(&head, ' '), UINT64_MAX / 2, &ix->sequence))
		return false;
	records_seal_text(ix, &want);
	return str_eq(text, buf_str(&want));
}

static int load_seal(struct store *s, struct records *ix, struct err *e)
{
	auto_content struct content c = {0};
	auto_buf struct buf text = BUF_INIT(SEAL_MAX_BYTES);

	if (content_open(&c, s->state_fd, "seal", e) < 0)
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	if (content_read(&c, SEAL_MAX_BYTES, &text, e) < 0)
		return err_wrap(e, "'%s/store/seal'", s->dir);
	ix->sealed = seal_fits(ix, buf_str(&text));
	return 0;
}

int records_load(struct store *s, struct records *ix, struct err *e)
{
	if (folder_list(s->state_fd, "index", list_segment, ix, e) < 0)
		return -1;
	if (ix->nsegments > 0)
		qsort(ix->segments, ix->nsegments, sizeof(*ix->segments), by_name);
	for (size_t i = 0; i < ix->nsegments; i++)
		if (read_segment(s, ix, &ix->segments[i], e) < 0)
			return -1;
	trace("store", "index: %zu files, %zu records, %zu damaged", ix->nsegments, ix->records,
	      ix->bad);
	return load_seal(s, ix, e);
}

void records_release(struct records *ix)
{
	for (size_t i = 0; i < ix->tags.n; i++)
		free(ix->tags.entries[i].ptr);
	for (size_t i = 0; i < ix->nsegments; i++)
		free(ix->segments[i].name);
	free(ix->segments);
	map_release(&ix->members);
	map_release(&ix->tags);
	hasher_free(ix->hasher);
	*ix = (struct records){0};
}
