// SPDX-License-Identifier: Apache-2.0
// JSON as Go's encoding/json writes it.
#include "data/json_out.h"

#include "data/gofmt.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

static void put_escaped(struct buf *out, uint32_t c)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *at = c && c < 0x80 ? strchr(from, (int)c) : NULL;

	if (at)
		buf_printf(out, "\\%c", to[at - from]);
	else
		buf_printf(out, "\\u%04x", c);
}

static bool needs_escape(uint32_t c)
{
	return c < 0x20 || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' ||
	       c == 0x2028 || c == 0x2029;
}

void json_out_quote(struct buf *out, struct str s)
{
	uint32_t c;

	buf_putc(out, '"');
	while (s.n > 0) {
		size_t n = utf8_decode(s, &c);

		if (n == 0) {
			put_escaped(out, 0xfffd);
			n = 1;
		} else if (needs_escape(c)) {
			put_escaped(out, c);
		} else {
			buf_put(out, s.p, n);
		}
		s.p += n;
		s.n -= n;
	}
	buf_putc(out, '"');
}

static void new_line(struct json_out *j)
{
	if (j->indent == 0)
		return;
	buf_putc(j->out, '\n');
	for (unsigned i = 0; i < j->depth * j->indent; i++)
		buf_putc(j->out, ' ');
}

// Whatever stands between the previous thing and the next key or value.
static void before(struct json_out *j)
{
	if (j->keyed) {
		j->keyed = false;
		return;
	}
	if (j->filled)
		buf_putc(j->out, ',');
	if (j->depth > 0)
		new_line(j);
	j->filled = true;
}

void json_out_begin(struct json_out *j, char bracket)
{
	before(j);
	buf_putc(j->out, bracket);
	j->depth++;
	j->filled = false;
}

void json_out_end(struct json_out *j, char bracket)
{
	assert(j->depth > 0 && !j->keyed);
	j->depth--;
	if (j->filled)
		new_line(j);
	buf_putc(j->out, bracket);
	j->filled = true;
}

void json_out_key(struct json_out *j, const char *key)
{
	assert(!j->keyed);
	before(j);
	json_out_quote(j->out, str_of(key));
	buf_puts(j->out, j->indent ? ": " : ":");
	j->keyed = true;
}

void json_out_text(struct json_out *j, const char *text)
{
	before(j);
	json_out_quote(j->out, str_of(text));
}

void json_out_u64(struct json_out *j, uint64_t v)
{
	before(j);
	buf_printf(j->out, "%" PRIu64, v);
}

void json_out_i64(struct json_out *j, int64_t v)
{
	before(j);
	buf_printf(j->out, "%" PRId64, v);
}

void json_out_bool(struct json_out *j, bool v)
{
	json_out_raw(j, v ? "true" : "false");
}

void json_out_raw(struct json_out *j, const char *json)
{
	before(j);
	buf_puts(j->out, json);
}
