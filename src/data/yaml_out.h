// SPDX-License-Identifier: Apache-2.0
// YAML in block style, as sigs.k8s.io/yaml prints it: two spaces a level, the dash of a list at the
// indent of its key, text quoted only where YAML (1.1, as that library reads it) requires it.
//
//	struct yaml_out y = {.out = &buf};
//	yaml_out_map(&y);
//	yaml_out_key(&y, "mirrors");
//	yaml_out_list(&y);
//	yaml_out_text(&y, "quay.io/a");
//	yaml_out_end(&y);
//	yaml_out_end(&y);
//
// Keys come in the order they are given (the reference sorts them); writing something ill-formed is
// a programming error.
#ifndef DATA_YAML_OUT_H
#define DATA_YAML_OUT_H

#include "util/str.h"

enum { YAML_OUT_DEPTH = 104 };

struct yaml_out {
	struct buf *out;
	unsigned depth;
	struct yaml_level {
		bool list, filled, in_list;
		unsigned indent;
	} level[YAML_OUT_DEPTH];
	bool keyed; // a key waits for its value
};

void yaml_out_map(struct yaml_out *y);
void yaml_out_list(struct yaml_out *y);
void yaml_out_end(struct yaml_out *y); // of the innermost map or list
void yaml_out_key(struct yaml_out *y, const char *key);
void yaml_out_text(struct yaml_out *y, const char *text); // valid UTF-8
void yaml_out_raw(struct yaml_out *y, const char *plain); // 7, true, null

// How TEXT must be written so that it is read back as text.
enum yaml_style { YAML_PLAIN, YAML_SINGLE, YAML_DOUBLE, YAML_LITERAL };
enum yaml_style yaml_style_of(struct str text);

#endif
