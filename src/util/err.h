// SPDX-License-Identifier: Apache-2.0
// Errors: what failed, what kind of failure it is, and what the user should read.
//
// A function that can fail takes `struct err *e` last and returns 0 or -1 (or a pointer, NULL on
// failure). It writes *e only when it fails, and its other outputs only when it succeeds. A struct
// err owns nothing: copy it, hand it to another thread, drop it. Arguments may alias e->text. Those
// that bring newlines do not make lines of their own: names are from outside. What FMT says itself,
// a text that is all of FMT ("%s"), and hints in one that ends FMT stay as they are.
#ifndef UTIL_ERR_H
#define UTIL_ERR_H

#include <stddef.h>

#define must_check        __attribute__((warn_unused_result))
#define printf_like(f, a) __attribute__((format(printf, f, a)))

// Kinds exist only where a caller decides differently: retry, try the next mirror, re-authenticate,
// exit code.
enum err_kind {
	ERR_NONE,        // no error recorded
	ERR_USAGE,       // bad flag or argument; exit 1 with the usage hint
	ERR_INPUT,       // malformed manifest, catalog, mapping file
	ERR_DIGEST,      // content does not match its digest; never retried from the same source
	ERR_NOT_FOUND,   // 404, missing file
	ERR_DENIED,      // 401/403 after authentication was tried
	ERR_NET,         // connection, TLS, timeout, 5xx, 429: worth retrying
	ERR_UNSUPPORTED, // the other side cannot do this: 405, a filesystem without links
	ERR_IO,          // local filesystem
	ERR_BUSY,        // someone else has it now; asking later may help
	ERR_INCOMPLETE,  // finished, but something is missing; exit 3
	ERR_CANCELLED,   // the user or another failure stopped us
};

struct err {
	enum err_kind kind;
	int os;         // errno, or 0
	int http;       // HTTP status, or 0
	char text[700]; // one line, no full stop; a message that is too long is cut in its middle
};

// Records an error and returns -1, so that `return err_set(e, ...)` is the whole failure path.
int err_set(struct err *e, enum err_kind kind, const char *fmt, ...) printf_like(3, 4);

// As err_set, with ": <strerror>" appended from the current errno.
int err_os(struct err *e, enum err_kind kind, const char *fmt, ...) printf_like(3, 4);

// Puts "<context>: " before the message already in *e; returns -1. When both do not fit, the
// context is shortened in its middle: the cause is what the user needs.
int err_wrap(struct err *e, const char *fmt, ...) printf_like(2, 3);

// Puts TEXT, a further line or lines such as "hint: ...", behind the message; returns -1.
int err_hint(struct err *e, const char *fmt, ...) printf_like(2, 3);

#ifdef __clang_analyzer__
// A static analyzer sees one file at a time: this tells it that a failure is never 0.
static inline int err_failed(int r)
{
	(void)r;
	return -1;
}

#define err_set(...)  err_failed(err_set(__VA_ARGS__))
#define err_os(...)   err_failed(err_os(__VA_ARGS__))
#define err_wrap(...) err_failed(err_wrap(__VA_ARGS__))
#define err_hint(...) err_failed(err_hint(__VA_ARGS__))
#endif

#endif
