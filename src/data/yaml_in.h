// SPDX-License-Identifier: Apache-2.0
// YAML from outside, read into the documents of data/json.h and written back in the reference's
// form.
//
// YAML 1.1 as sigs.k8s.io/yaml reads it: plain scalars become null, booleans (yes and on too) and
// numbers, keys become text, merge keys are followed, of a key that comes twice the last counts.
// Bounded as JSON is; an alias costs what it stands for, so that few bytes cannot become many
// values. Text of the document never enters an error.
#ifndef DATA_YAML_IN_H
#define DATA_YAML_IN_H

#include "data/json.h"
#include "data/yaml_out.h"

#define YAML_DEPTH_MAX 100
#define YAML_LIMITS(size) \
	((struct json_limits){.bytes = (size), .values = (size_t)2000000, .depth = YAML_DEPTH_MAX})

// Calls EACH for every document that is not empty; ROOT is borrowed until it returns. FLAGS are
// JSON_UNIQUE or 0. Stops at the first failure, EACH's own included. ERR_INPUT: "line 3: …".
int yaml_parse(struct str bytes, struct json_limits limits, unsigned flags,
	       int (*each)(void *arg, const struct json *root, struct err *e), void *arg,
	       struct err *e) must_check;

// AT as a value in *y, names in byte order; as text that was read by yaml_parse or json_parse
// within YAML_DEPTH_MAX levels.
void yaml_out_json(struct yaml_out *y, const struct json *at);

#endif
