// SPDX-License-Identifier: Apache-2.0
// Borrowed text, owned buffers, string lists.
#include "util/str.h"

#include "util/mem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct str str_of(const char *text)
{
	return (struct str){text, strlen(text)};
}

bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_eqz(struct str a, const char *b)
{
	return str_eq(a, str_of(b));
}

bool str_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool str_ends(struct str s, struct str suffix)
{
	return s.n >= suffix.n &&
	       (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
	while (s.n > 0 && is_space(s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

struct str str_cut(struct str *s, char sep)
{
	struct str head = *s;
	const char *at = s->n > 0 ? memchr(s->p, sep, s->n) : NULL;

	if (!at) {
		*s = (struct str){NULL, 0};
		return head;
	}
	head.n = (size_t)(at - head.p);
	s->n -= head.n + 1;
	s->p = at + 1;
	return head;
}

bool given(const char *text)
{
	return text && *text;
}

bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool ends_with(const char *text, const char *suffix)
{
	return str_ends(str_of(text), str_of(suffix));
}

int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool str_u64(struct str s, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned digit = (unsigned)(s.p[i] - '0');

		if (s.p[i] < '0' || digit > 9 || v > (max - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*ret = v;
	return true;
}

// Makes room for N more bytes and the closing NUL; the ceiling has been checked.
static void reserve(struct buf *b, size_t n)
{
	size_t need = b->n + n + 1, cap = b->cap;

	if (need <= cap)
		return;
	if (cap == 0)
		cap = 64;
	while (cap < need)
		cap += cap / 2;
	b->p = xrealloc(b->cap ? b->p : NULL, cap);
	b->cap = cap;
}

int buf_add(struct buf *b, const void *data, size_t n, struct err *e)
{
	if (n > b->max || b->n > b->max - n)
		return err_set(e, ERR_INPUT, "more than %zu bytes", b->max);
	buf_put(b, data, n);
	return 0;
}

void buf_put(struct buf *b, const void *data, size_t n)
{
	assert(n <= b->max && b->n <= b->max - n);
	if (n == 0)
		return;
	reserve(b, n);
	memcpy(b->p + b->n, data, n);
	b->n += n;
	b->p[b->n] = '\0';
}

void buf_puts(struct buf *b, const char *text)
{
	buf_put(b, text, strlen(text));
}

void buf_putc(struct buf *b, char c)
{
	buf_put(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	assert(n >= 0 && (size_t)n <= b->max && b->n <= b->max - (size_t)n);
	reserve(b, (size_t)n);
	vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
	va_end(again);
	b->n += (size_t)n;
}

void buf_clear(struct buf *b)
{
	b->n = 0;
	if (b->cap)
		b->p[0] = '\0';
}

void buf_free(struct buf *b)
{
	if (b->cap)
		free(b->p);
	b->p = (char *)"";
	b->n = b->cap = 0;
}

struct str buf_str(const struct buf *b)
{
	return (struct str){b->p, b->n};
}

char *buf_take(struct buf *b)
{
	char *p = b->cap ? b->p : xstrdup("");

	b->p = (char *)"";
	b->n = b->cap = 0;
	return p;
}

void strlist_take(struct strlist *l, char *text)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 8;
		l->v = xreallocarray(l->v, l->cap, sizeof(*l->v));
	}
	l->v[l->n++] = text;
}

void strlist_add(struct strlist *l, const char *text)
{
	strlist_take(l, xstrdup(text));
}

void strlist_addf(struct strlist *l, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	strlist_take(l, text);
}

bool strlist_has(const struct strlist *l, const char *text)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i], text) == 0)
			return true;
	return false;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void strlist_sort(struct strlist *l)
{
	if (l->n > 1)
		qsort(l->v, l->n, sizeof(*l->v), by_bytes);
}

void strlist_unique(struct strlist *l)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (kept > 0 && strcmp(l->v[kept - 1], l->v[i]) == 0)
			free(l->v[i]);
		else
			l->v[kept++] = l->v[i];
	}
	l->n = kept;
}

void strlist_release(struct strlist *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct strlist){0};
}
