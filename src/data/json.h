// SPDX-License-Identifier: Apache-2.0
// JSON from outside: strict, bounded, and with errors that name the member.
//
//	if (json_parse(&doc, bytes, JSON_LIMITS(MANIFEST_MAX), JSON_UNIQUE, e) < 0)
//		return -1;
//	struct json layer = json_item(&layers, 3), digest = json_member(&layer, "digest");
//	if (json_text(&digest, &text, e) < 0)      // "layers[3].digest: not a string"
//
// RFC 8259, UTF-8 only, nothing behind the document, no NUL in strings. Numbers outside of the
// range of their type are errors. A document is read-only once parsed: any thread may read it.
// Text of the document never enters an error, so files with secrets can be read, too.
#ifndef DATA_JSON_H
#define DATA_JSON_H

#include "util/str.h"

#include <stdbool.h>
#include <stdint.h>

struct json_t;

struct json_limits {
	size_t bytes;
	size_t values; // objects, arrays, members and items together: they cost memory
	unsigned depth;
	size_t first_line; // what errors call the first line of a part of a file; 0: 1
};
#define JSON_VALUES_MAX ((size_t)200000)
#define JSON_DEPTH_MAX  32
#define JSON_LIMITS(size) \
	((struct json_limits){.bytes = (size), .values = JSON_VALUES_MAX, .depth = JSON_DEPTH_MAX})

enum json_flags {
	JSON_UNIQUE = 1 << 0, // a key twice in an object is an error; else the last one counts
};

struct json_doc {
	struct json_t *root;
};
#define auto_json __attribute__((cleanup(json_release)))

int json_parse(struct json_doc *ret, struct str bytes, struct json_limits limits, unsigned flags,
	       struct err *e) must_check;
// The same of an object of which only the members NAMES (N of them, compared ignoring the case of
// ASCII letters) are going to be looked at. The others are checked to be JSON within LIMITS, but
// for the range of their numbers, and may be missing from *ret. For documents that say much more
// than is wanted: several times as fast.
int json_parse_members(struct json_doc *ret, struct str bytes, struct json_limits limits,
		       const char *const *names, size_t n, struct err *e) must_check;
void json_release(struct json_doc *doc);

// A place in a document. It points at the place it was reached from, for the path in errors: keep
// that one alive. Places that do not exist are fine to have; what reads them reports "missing".
struct json {
	const struct json_t *value; // NULL: absent
	const struct json *up;
	const char *name; // of a member; NULL for an item
	size_t index;
};

struct json json_root(const struct json_doc *doc);
struct json json_member(const struct json *object, const char *name); // absent if no object
struct json json_item(const struct json *array, size_t i);
bool json_present(const struct json *at); // there, and not null
bool json_exists(const struct json *at);  // there, may be null

int json_need_object(const struct json *at, struct err *e) must_check;
// Items of an array; absent and null count as empty.
int json_items(const struct json *at, size_t *ret, struct err *e) must_check;
// A string, borrowed from the document. The _or form takes DEFAULT for absent and null.
int json_text(const struct json *at, const char **ret, struct err *e) must_check;
int json_text_or(const struct json *at, const char *fallback, const char **ret, struct err *e)
	must_check;
int json_u64(const struct json *at, uint64_t max, uint64_t *ret, struct err *e) must_check;

enum json_kind {
	JSON_KIND_NULL, // also what is absent
	JSON_KIND_BOOL,
	JSON_KIND_WHOLE,
	JSON_KIND_REAL,
	JSON_KIND_TEXT,
	JSON_KIND_ARRAY,
	JSON_KIND_OBJECT,
};
enum json_kind json_kind(const struct json *at);
bool json_as_bool(const struct json *at);        // false for anything but true
int64_t json_as_whole(const struct json *at);    // 0 for anything else
double json_as_real(const struct json *at);      // 0 for anything else
const char *json_as_text(const struct json *at); // "" for anything else; borrowed
size_t json_size(const struct json *at);         // items or members; 0 for anything else

// Calls EACH for every member in order of appearance; stops at the first failure.
int json_members(const struct json *object,
		 int (*each)(void *arg, const struct json *member, struct err *e), void *arg,
		 struct err *e) must_check;
// Names of the members in byte order, borrowed; caller frees the array only. *ret_n of them.
const char **json_sorted_names(const struct json *object, size_t *ret_n);

// "<path>: <message>", ERR_INPUT; returns -1. At the root there is no path.
int json_fail(const struct json *at, struct err *e, const char *fmt, ...) printf_like(3, 4);

#endif
