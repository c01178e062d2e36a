// SPDX-License-Identifier: Apache-2.0
// -o jsonpath= and -o template=: text with places of a document filled in.
//
// Understood are, in {} or {{}}: paths (.a.b, and in jsonpath ['a'] [0] [-1] [*] .* too), quoted
// text, range PATH … end. Everything else is refused by name: there is no half-understood query.
// In jsonpath what does not exist is empty; a template shows "<no value>".
#ifndef DATA_JSON_QUERY_H
#define DATA_JSON_QUERY_H

#include "data/json.h"

enum json_query_syntax { JSON_QUERY_PATH, JSON_QUERY_TEMPLATE };

// Appends what TEXT makes of ROOT. ERR_USAGE for a query that is not understood.
int json_query(struct buf *ret, const struct json *root, const char *text,
	       enum json_query_syntax syntax, struct err *e) must_check;

#endif
