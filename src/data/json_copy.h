// SPDX-License-Identifier: Apache-2.0
// JSON from outside written again as a Go program does that reads it into a struct and prints that:
// known members only, in the order of the struct, zero values left out or filled in.
//
//	static const struct json_field from[] = {
//		{JSON_FIELD_TEXT, "kind", JSON_OMIT, NULL},
//		{JSON_FIELD_TEXT, "name", 0, NULL},
//		{0},
//	};
//	if (json_copy(&out, &at, from, e) < 0)
#ifndef DATA_JSON_COPY_H
#define DATA_JSON_COPY_H

#include "data/json.h"
#include "data/json_out.h"

enum json_field_kind {
	JSON_FIELD_END,
	JSON_FIELD_TEXT,      // string
	JSON_FIELD_WHOLE,     // *int64: null when absent
	JSON_FIELD_BOOL,      // bool
	JSON_FIELD_TIME,      // time.Time: year 1 when absent; the zone stays
	JSON_FIELD_META_TIME, // Kubernetes' Time: null when absent; whole seconds in UTC
	JSON_FIELD_TEXTS,     // []string
	JSON_FIELD_TEXT_MAP,  // map[string]string, sorted
	JSON_FIELD_SET,       // map[string]struct{}, sorted
	JSON_FIELD_OBJECT,    // the struct SUB; with JSON_OMIT a pointer to one
	JSON_FIELD_OBJECTS,   // []SUB
	JSON_FIELD_ANY,       // interface{}
};

enum json_field_bits {
	JSON_OMIT = 1 << 0, // omitempty
};

struct json_field {
	enum json_field_kind kind;
	const char *name;
	unsigned bits;
	const struct json_field *sub;
};

// Rows of the usual kind: left out when they are zero.
#define JSON_OPTIONAL(kind, name)               \
	{                                       \
		(kind), (name), JSON_OMIT, NULL \
	}
#define JSON_TEXT(name)     JSON_OPTIONAL(JSON_FIELD_TEXT, name)
#define JSON_WHOLE(name)    JSON_OPTIONAL(JSON_FIELD_WHOLE, name)
#define JSON_BOOL(name)     JSON_OPTIONAL(JSON_FIELD_BOOL, name)
#define JSON_TEXTS(name)    JSON_OPTIONAL(JSON_FIELD_TEXTS, name)
#define JSON_TEXT_MAP(name) JSON_OPTIONAL(JSON_FIELD_TEXT_MAP, name)

// The object AT as a value. A member of another type is an error that names it.
int json_copy(struct json_out *j, const struct json *at, const struct json_field *fields,
	      struct err *e) must_check;
// Its members alone, into the object that is open in J.
int json_copy_members(struct json_out *j, const struct json *at, const struct json_field *fields,
		      struct err *e) must_check;

// Any value, objects sorted, as Go prints an interface{}.
void json_copy_value(struct json_out *j, const struct json *at);
// The same as fmt's %v shows it: "text", 7, [a b], map[a:1 b:2], <nil>.
void json_show_value(struct buf *out, const struct json *at);

#endif
