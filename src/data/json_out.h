// SPDX-License-Identifier: Apache-2.0
// JSON as Go's encoding/json writes it: compact or indented, `<`, `>` and `&` escaped, invalid
// UTF-8 replaced by U+FFFD. Members in the order they are given.
//
//	struct json_out j = {.out = &buf, .indent = 3};
//	json_out_begin(&j, '{');
//	json_out_key(&j, "size");
//	json_out_u64(&j, 7);
//	json_out_end(&j, '}');
//
// Writing something ill-formed is a programming error. No newline follows the document.
#ifndef DATA_JSON_OUT_H
#define DATA_JSON_OUT_H

#include "util/str.h"

#include <stdint.h>

struct json_out {
	struct buf *out;
	unsigned indent; // spaces per level; 0: compact
	unsigned depth;
	bool filled; // the open object or array has something in it
	bool keyed;  // a key waits for its value
};

void json_out_begin(struct json_out *j, char bracket); // '{' or '['
void json_out_end(struct json_out *j, char bracket);   // '}' or ']'
void json_out_key(struct json_out *j, const char *key);
void json_out_text(struct json_out *j, const char *text);
void json_out_u64(struct json_out *j, uint64_t v);
void json_out_i64(struct json_out *j, int64_t v);
void json_out_bool(struct json_out *j, bool v);
void json_out_raw(struct json_out *j, const char *json); // a value that is JSON already

// The string literal alone, quotes included.
void json_out_quote(struct buf *out, struct str text);

#endif
