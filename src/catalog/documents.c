// SPDX-License-Identifier: Apache-2.0
// Two small automata, each a run of bytes at a time: braces outside of strings, dashes at the
// beginning of lines.
#include "catalog/documents.h"

#include <string.h>

#include "util/mem.h"

enum state {
	STATE_START, // blanks, and no byte yet that says what this is

	STATE_BETWEEN,      // JSON: blanks before, between and behind values
	STATE_VALUE,        // in a value, outside of its strings
	STATE_STRING,       // in a string of a value
	STATE_STRING_SLASH, // the same, behind the backslash of an escape

	STATE_LINE_START, // YAML: nothing but `dashes` was seen of this line
	STATE_INDENT,     // blanks at the beginning of a line
	STATE_LINE,
	STATE_SEPARATOR, // behind "---"
	STATE_COMMENT,   // behind "--- #"
};

static const char mark[] = "\xef\xbb\xbf"; // a byte order mark
enum { MARK_SIZE = 3, DASHES = 3 };

struct documents {
	size_t max;
	int (*each)(void *arg, struct document *d, struct err *e);
	void *arg;
	enum state state;
	size_t marked; // bytes of the byte order mark that were seen
	size_t line;   // that the next byte is in
	size_t depth;  // brackets that are open
	size_t dashes; // held back: the beginning of a separator, or of an ordinary line
	bool says_something;
	struct document d;
};

struct documents *
documents_new(size_t max, int (*each)(void *arg, struct document *d, struct err *e), void *arg)
{
	struct documents *s = xcalloc(1, sizeof(*s));

	s->max = max;
	s->each = each;
	s->arg = arg;
	s->line = 1;
	s->d = (struct document){.number = 1, .line = 1, .bytes = BUF_INIT(max)};
	return s;
}

void documents_free(struct documents *s)
{
	if (!s)
		return;
	buf_free(&s->d.bytes);
	free(s);
}

static int fail(const struct documents *s, struct err *e, const char *why)
{
	return err_set(e, ERR_INPUT, "document %zu (line %zu): %s", s->d.number, s->line, why);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

// In steps whose size is known, which compilers turn into vector instructions.
static size_t count_lines(const char *p, size_t n)
{
	enum { STEP = 32 };
	size_t lines = 0;

	for (; n >= STEP; p += STEP, n -= STEP) {
		unsigned char step = 0;

		for (int i = 0; i < STEP; i++)
			step = (unsigned char)(step + (p[i] == '\n'));
		lines += step;
	}
	for (; n > 0; p++, n--)
		lines += *p == '\n';
	return lines;
}

// The document goes on with what lies between FROM and TO.
static int append(struct documents *s, const char *from, const char *to, struct err *e)
{
	if (buf_add(&s->d.bytes, from, (size_t)(to - from), e) < 0)
		return err_set(e, ERR_INPUT, "document %zu (line %zu): larger than %zu bytes",
			       s->d.number, s->d.line, s->max);
	s->line += count_lines(from, (size_t)(to - from));
	return 0;
}

static void begin(struct documents *s)
{
	s->d.line = s->line;
	s->says_something = false;
}

// The document is complete; the next one begins here.
static int hand_out(struct documents *s, struct err *e)
{
	if (s->each(s->arg, &s->d, e) < 0)
		return -1;
	buf_clear(&s->d.bytes);
	s->d.bytes.max = s->max;
	s->d.number++;
	return 0;
}

// ---- the beginning of the file

// Both return where they stopped; NULL: failed.

static const char *byte_order_mark(struct documents *s, const char *p, const char *end,
				   struct err *e)
{
	for (; p < end && s->marked < MARK_SIZE && *p == mark[s->marked]; p++)
		s->marked++;
	if (p == end)
		return p;
	if (s->marked > 0 && s->marked < MARK_SIZE) {
		fail(s, e, "invalid UTF-8");
		return NULL;
	}
	s->marked = MARK_SIZE;
	return p;
}

// Of the blanks the last line's are kept: in YAML they indent.
static const char *start(struct documents *s, const char *p, const char *end, struct err *e)
{
	p = byte_order_mark(s, p, end, e);
	for (; p && p < end && is_blank(*p); p++) {
		if (append(s, p, p + 1, e) < 0)
			return NULL;
		if (*p == '\n')
			buf_clear(&s->d.bytes);
	}
	if (!p || p == end)
		return p;
	begin(s);
	if (*p == '{') {
		s->d.format = DOCUMENT_JSON;
		s->state = STATE_BETWEEN;
		buf_clear(&s->d.bytes);
		return p;
	}
	s->d.format = DOCUMENT_YAML;
	s->state = s->d.bytes.n > 0 ? STATE_LINE : STATE_LINE_START;
	s->says_something = s->d.bytes.n > 0 && *p != '#';
	return p;
}

// ---- JSON

// What decides outside of strings.
static const bool decides[256] = {['"'] = 1, ['{'] = 1, ['}'] = 1, ['['] = 1, [']'] = 1};

static const char *between(struct documents *s, const char *p, const char *end, struct err *e)
{
	for (; p < end && is_blank(*p); p++)
		s->line += *p == '\n';
	if (p == end)
		return p;
	begin(s);
	if (*p != '{') {
		fail(s, e, "not a JSON object");
		return NULL;
	}
	s->depth = 0;
	s->state = STATE_VALUE;
	return p;
}

// Up to the end of the value, or of the bytes. Strings are passed over in one go.
static const char *value(struct documents *s, const char *p, const char *end)
{
	while (p < end) {
		while (p < end && !decides[(unsigned char)*p])
			p++;
		if (p == end)
			break;
		char c = *p++;

		if (c == '"') {
			s->state = STATE_STRING;
			break;
		}
		if (c == '{' || c == '[') {
			s->depth++;
		} else if (--s->depth == 0) {
			s->state = STATE_BETWEEN;
			break;
		}
	}
	return p;
}

// Up to behind the quote that ends the string, or the end of the bytes.
static const char *string(struct documents *s, const char *p, const char *end)
{
	const char *from = p;

	if (s->state == STATE_STRING_SLASH) {
		from = ++p;
		s->state = STATE_STRING;
	}
	for (;;) {
		const char *quote = memchr(p, '"', (size_t)(end - p));
		const char *stop = quote ? quote : end, *slash = stop;

		while (slash > from && slash[-1] == '\\')
			slash--;
		bool escaped = (stop - slash) & 1;

		if (!quote) {
			s->state = escaped ? STATE_STRING_SLASH : STATE_STRING;
			return end;
		}
		p = from = quote + 1;
		if (!escaped) {
			s->state = STATE_VALUE;
			return p;
		}
	}
}

// The rest of the value, or as much of it as is there.
static const char *json(struct documents *s, const char *p, const char *end, struct err *e)
{
	const char *from = p;

	while (p < end && s->state != STATE_BETWEEN)
		p = s->state == STATE_VALUE ? value(s, p, end) : string(s, p, end);
	if (append(s, from, p, e) < 0)
		return NULL;
	return s->state == STATE_BETWEEN && hand_out(s, e) < 0 ? NULL : p;
}

// ---- YAML

// Over the blanks at the beginning of a line, to what tells whether it says anything.
static const char *indent(struct documents *s, const char *p, const char *end)
{
	while (!s->says_something && p < end && (*p == ' ' || *p == '\t' || *p == '\r'))
		p++;
	if (p < end) {
		s->says_something = s->says_something || (*p != '\n' && *p != '#');
		s->state = STATE_LINE;
	}
	return p;
}

static int end_yaml(struct documents *s, struct err *e)
{
	if (s->says_something)
		return hand_out(s, e);
	buf_clear(&s->d.bytes);
	return 0;
}

// Lines until one may be a separator. It is not appended yet.
static const char *lines(struct documents *s, const char *p, const char *end, struct err *e)
{
	const char *from = p;

	while (p < end) {
		if (s->state == STATE_LINE_START) {
			if (*p == '-')
				break;
			s->state = STATE_INDENT;
		}
		if (s->state == STATE_INDENT)
			p = indent(s, p, end);
		if (p == end)
			break;
		const char *newline = memchr(p, '\n', (size_t)(end - p));

		p = newline ? newline + 1 : end;
		if (newline)
			s->state = STATE_LINE_START;
	}
	return append(s, from, p, e) < 0 ? NULL : p;
}

// Dashes that were no separator belong to the line that they begin.
static int give_dashes_back(struct documents *s, struct err *e)
{
	static const char dashes[] = "---";

	s->says_something = s->says_something || s->dashes > 0;
	if (append(s, dashes, dashes + s->dashes, e) < 0)
		return -1;
	s->dashes = 0;
	return 0;
}

static const char *line_start(struct documents *s, const char *p, const char *end, struct err *e)
{
	for (; p < end && *p == '-' && s->dashes < DASHES; p++)
		s->dashes++;
	if (s->dashes == DASHES) {
		if (end_yaml(s, e) < 0)
			return NULL;
		s->dashes = 0;
		s->state = STATE_SEPARATOR;
		return p;
	}
	if (p == end)
		return p;
	if (s->dashes > 0) {
		s->state = STATE_LINE;
		if (give_dashes_back(s, e) < 0)
			return NULL;
	}
	return lines(s, p, end, e);
}

// The rest of a separator's line: blanks, then perhaps a comment.
static const char *separator(struct documents *s, const char *p, const char *end, struct err *e)
{
	while (p < end && s->state == STATE_SEPARATOR && *p != '\n') {
		if (*p == '#') {
			s->state = STATE_COMMENT;
		} else if (!is_blank(*p)) {
			fail(s, e,
			     "invalid YAML document separator: only a comment may follow ---");
			return NULL;
		}
		p++;
	}
	if (s->state == STATE_COMMENT) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));

		p = newline ? newline : end;
	}
	if (p == end)
		return p;
	s->line++;
	s->state = STATE_LINE_START;
	begin(s);
	return p + 1;
}

// ---- both

static const char *step(struct documents *s, const char *p, const char *end, struct err *e)
{
	switch (s->state) {
	case STATE_START:
		return start(s, p, end, e);
	case STATE_BETWEEN:
		return between(s, p, end, e);
	case STATE_VALUE:
	case STATE_STRING:
	case STATE_STRING_SLASH:
		return json(s, p, end, e);
	case STATE_LINE_START:
		return line_start(s, p, end, e);
	case STATE_INDENT:
	case STATE_LINE:
		return lines(s, p, end, e);
	case STATE_SEPARATOR:
	case STATE_COMMENT:
		return separator(s, p, end, e);
	}
	return NULL;
}

int documents_add(struct documents *s, struct str bytes, struct err *e)
{
	const char *p = bytes.p, *end = bytes.p + bytes.n;

	while (p && p < end)
		p = step(s, p, end, e);
	return p || bytes.n == 0 ? 0 : -1;
}

int documents_end(struct documents *s, struct err *e)
{
	switch (s->state) {
	case STATE_VALUE:
	case STATE_STRING:
	case STATE_STRING_SLASH:
		return hand_out(s, e); // cut short, as its reader will say
	case STATE_LINE_START:
	case STATE_INDENT:
	case STATE_LINE:
		return give_dashes_back(s, e) < 0 ? -1 : end_yaml(s, e);
	default:
		return s->marked > 0 && s->marked < MARK_SIZE ? fail(s, e, "invalid UTF-8") : 0;
	}
}
