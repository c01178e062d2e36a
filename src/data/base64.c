// SPDX-License-Identifier: Apache-2.0
// Base64, RFC 4648 section 4.
#include "data/base64.h"

#include "util/cleanup.h"
#include "util/mem.h"

#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(struct str s)
{
	const unsigned char *in = (const unsigned char *)s.p;
	char *ret = xmalloc((s.n + 2) / 3 * 4 + 1), *out = ret;

	for (size_t i = 0; i < s.n; i += 3) {
		size_t left = s.n - i;
		uint32_t v = (uint32_t)in[i] << 16;

		v |= left > 1 ? (uint32_t)in[i + 1] << 8 : 0;
		v |= left > 2 ? in[i + 2] : 0;
		*out++ = alphabet[v >> 18];
		*out++ = alphabet[v >> 12 & 63];
		*out++ = left > 1 ? alphabet[v >> 6 & 63] : '=';
		*out++ = left > 2 ? alphabet[v & 63] : '=';
	}
	*out = '\0';
	return ret;
}

static int value_of(char c)
{
	const char *at = c ? strchr(alphabet, c) : NULL;

	return at ? (int)(at - alphabet) : -1;
}

// Decodes up to the first '='; returns how many characters carried data, or -1.
static long decode_data(struct str *s, char **out)
{
	uint32_t bits = 0;
	long n = 0;

	for (; s->n > 0 && s->p[0] != '='; s->p++, s->n--) {
		int v = value_of(s->p[0]);

		if (s->p[0] == '\r' || s->p[0] == '\n')
			continue;
		if (v < 0)
			return -1;
		bits = bits << 6 | (uint32_t)v;
		if (n++ % 4 > 0)
			*(*out)++ = (char)(bits >> (6 - 2 * ((n - 1) % 4)));
	}
	return n;
}

bool base64_decode(struct str s, char **ret, size_t *ret_n)
{
	auto_free char *bytes = xmalloc(s.n / 4 * 3 + 4);
	char *out = bytes;
	long n = decode_data(&s, &out);
	size_t pads = 0;

	if (n < 0 || n % 4 == 1)
		return false;
	for (; s.n > 0; s.p++, s.n--) {
		if (s.p[0] == '=')
			pads++;
		else if (s.p[0] != '\r' && s.p[0] != '\n')
			return false;
	}
	if (pads != (size_t)(4 - n % 4) % 4)
		return false;
	*out = '\0';
	*ret_n = (size_t)(out - bytes);
	*ret = steal(&bytes);
	return true;
}
