// SPDX-License-Identifier: Apache-2.0
// A state machine over the framing of chunked bodies; the bodies' bytes are not touched.
#include "serve/chunked.h"

#include "util/str.h"

#include <string.h>

enum { DIGITS_MAX = 16, EXTENSION_MAX = 256, TRAILER_MAX = 2048 };

enum state {
	SIZE, // of a chunk, in hex; must be 0, the state at the start
	EXTENSION_NAME,
	EXTENSION_VALUE,
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	TRAILER_START, // of a line; an empty one ends the body
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_LF,
	LAST_LF,
};

// Fields that would say where the body ends have no place behind it.
static const char *const framing[] = {"content-length", "transfer-encoding"};

static int refuse(struct err *e, const char *why)
{
	return err_set(e, ERR_INPUT, "chunked body: %s", why);
}

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_token(char c)
{
	return is_alnum(c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_text(char c)
{
	return c == '\t' || ((unsigned char)c >= ' ' && c != '\x7f');
}

static int size_byte(struct chunked *c, char byte, struct err *e)
{
	int digit = hex_value(byte);

	if (digit >= 0) {
		if (++c->digits > DIGITS_MAX)
			return refuse(e, "size is too long");
		c->left = c->left << 4 | (unsigned)digit;
		return 0;
	}
	if (c->digits == 0 || (byte != ';' && byte != '\r'))
		return refuse(e, "malformed size");
	c->extension = c->column = 0;
	c->state = byte == ';' ? EXTENSION_NAME : SIZE_LF;
	return 0;
}

// *( ";" token [ "=" token ] ) without blanks or quotes: parsers differ about those, and nobody
// sends them.
static int extension_byte(struct chunked *c, char byte, struct err *e)
{
	bool ends = byte == '\r' || byte == ';' || (byte == '=' && c->state == EXTENSION_NAME);

	if (byte != '\r' && ++c->extension > EXTENSION_MAX)
		return refuse(e, "extension is too long");
	if (ends ? c->column == 0 : !is_token(byte))
		return refuse(e, "malformed extension");
	c->column = ends ? 0 : c->column + 1;
	if (ends)
		c->state = byte == '\r' ? SIZE_LF : byte == '=' ? EXTENSION_VALUE : EXTENSION_NAME;
	return 0;
}

static int trailer_start_byte(struct chunked *c, char byte, struct err *e)
{
	if (byte == '\r') {
		c->state = LAST_LF;
		return 0;
	}
	if (!is_token(byte))
		return refuse(e, "malformed trailer");
	c->column = 0;
	c->framing = 0;
	c->state = TRAILER_NAME;
	return 0;
}

// A bit of c->framing stays clear as long as the name may still be that field's.
static int trailer_name_byte(struct chunked *c, char byte, struct err *e)
{
	char lower = (char)(byte >= 'A' && byte <= 'Z' ? byte - 'A' + 'a' : byte);

	if (byte != ':' && !is_token(byte))
		return refuse(e, "malformed trailer");
	for (unsigned i = 0; i < sizeof(framing) / sizeof(*framing); i++) {
		size_t n = strlen(framing[i]);

		if (byte == ':' && c->column == n && !(c->framing & 1U << i))
			return refuse(e, "a length in the trailer");
		if (c->column >= n || framing[i][c->column] != lower)
			c->framing |= 1U << i;
	}
	c->column++;
	if (byte == ':')
		c->state = TRAILER_VALUE;
	return 0;
}

static int trailer_byte(struct chunked *c, char byte, struct err *e)
{
	if (++c->trailer > TRAILER_MAX)
		return refuse(e, "trailer is too long");
	if (c->state == TRAILER_START && trailer_start_byte(c, byte, e) < 0)
		return -1;
	if (c->state == TRAILER_NAME)
		return trailer_name_byte(c, byte, e);
	if (c->state != TRAILER_VALUE)
		return 0;
	if (byte == '\r')
		c->state = TRAILER_LF;
	else if (!is_text(byte))
		return refuse(e, "malformed trailer");
	return 0;
}

static int expect(struct chunked *c, char byte, char want, enum state next, struct err *e)
{
	if (byte != want)
		return refuse(e, "malformed line end");
	c->state = next;
	return 0;
}

// Any byte but one of the body itself.
static int framing_byte(struct chunked *c, char byte, struct err *e)
{
	switch ((enum state)c->state) {
	case SIZE:
		return size_byte(c, byte, e);
	case EXTENSION_NAME:
	case EXTENSION_VALUE:
		return extension_byte(c, byte, e);
	case SIZE_LF:
		return expect(c, byte, '\n', c->left > 0 ? DATA : TRAILER_START, e);
	case DATA_CR:
		return expect(c, byte, '\r', DATA_LF, e);
	case DATA_LF:
		c->digits = 0;
		return expect(c, byte, '\n', SIZE, e);
	case TRAILER_START:
	case TRAILER_NAME:
	case TRAILER_VALUE:
		return trailer_byte(c, byte, e);
	case TRAILER_LF:
		return expect(c, byte, '\n', TRAILER_START, e);
	case LAST_LF:
		c->done = byte == '\n';
		return expect(c, byte, '\n', LAST_LF, e);
	case DATA:
		break;
	}
	return refuse(e, "broken state");
}

ptrdiff_t chunked_next(struct chunked *c, const char *data, size_t n, size_t *ret_body,
		       struct err *e)
{
	size_t at = 0, run = 0;

	while (at < n && run == 0 && !c->done) {
		if (c->state != DATA) {
			if (framing_byte(c, data[at++], e) < 0)
				return -1;
			continue;
		}
		run = c->left < n - at ? (size_t)c->left : n - at;
		at += run;
		c->left -= run;
		if (c->left == 0)
			c->state = DATA_CR;
	}
	*ret_body = run;
	return (ptrdiff_t)at;
}
