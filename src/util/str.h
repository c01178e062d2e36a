// SPDX-License-Identifier: Apache-2.0
// Text: `struct str` borrows bytes, `struct buf` owns them, `struct strlist` owns many strings.
#ifndef UTIL_STR_H
#define UTIL_STR_H

#include "util/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A borrowed run of bytes, not NUL-terminated. Whoever made it says how long it stays valid.
struct str {
	const char *p;
	size_t n;
};

#define STR(lit)   ((struct str){(lit), sizeof(lit) - 1})
#define STR_FMT(s) (int)(s).n, (s).p // printf("%.*s", STR_FMT(s))

struct str str_of(const char *text); // borrows TEXT
bool str_eq(struct str a, struct str b);
bool str_eqz(struct str a, const char *b);
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
struct str str_trim(struct str s); // blanks, tabs, CR, LF off both ends
// Cuts S at the first SEP: returns what stands before it and leaves the rest in *s. Without SEP the
// whole of S is returned and *s becomes empty with p == NULL.
struct str str_cut(struct str *s, char sep);
bool given(const char *text); // neither NULL nor empty
bool starts_with(const char *text, const char *prefix);
bool ends_with(const char *text, const char *suffix);
int hex_value(char c); // of a hex digit in either case; -1 for all others
// Decimal digits only, no sign, at most MAX; false otherwise.
bool str_u64(struct str s, uint64_t max, uint64_t *ret);

// A growing byte buffer with a ceiling. `p` is always a NUL-terminated string, even when empty.
// Appending past `max` fails: a server must not decide how much memory we use.
struct buf {
	char *p;
	size_t n, cap, max;
};

#define BUF_INIT(limit)                         \
	{                                       \
		.p = (char *)"", .max = (limit) \
	}
#define auto_buf __attribute__((cleanup(buf_free)))

// Ceiling for text that we compose ourselves and whose size no peer decides.
#define BUF_TEXT_MAX ((size_t)64 << 20)

int buf_add(struct buf *b, const void *data, size_t n, struct err *e) must_check;
// For text of our own making, where passing the ceiling is a programming error.
void buf_puts(struct buf *b, const char *text);
void buf_putc(struct buf *b, char c);
void buf_put(struct buf *b, const void *data, size_t n);
void buf_printf(struct buf *b, const char *fmt, ...) printf_like(2, 3);
void buf_clear(struct buf *b); // empties, keeps the memory
void buf_free(struct buf *b);  // releases; the buffer is empty and reusable
struct str buf_str(const struct buf *b);
// Detaches the string: the caller frees it; *b is empty and reusable.
char *buf_take(struct buf *b);

// Strings in order; owns them.
struct strlist {
	char **v;
	size_t n, cap;
};
#define auto_strlist __attribute__((cleanup(strlist_release)))

void strlist_add(struct strlist *l, const char *text); // copies
void strlist_addf(struct strlist *l, const char *fmt, ...) printf_like(2, 3);
void strlist_take(struct strlist *l, char *text); // takes ownership
bool strlist_has(const struct strlist *l, const char *text);
void strlist_sort(struct strlist *l);   // byte order
void strlist_unique(struct strlist *l); // sorted lists only
void strlist_release(struct strlist *l);

#endif
