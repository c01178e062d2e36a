// SPDX-License-Identifier: Apache-2.0
// Numbers, times and quoted text as Go programs print them, because the reference is one.
//
// Spec 0.3: sizes are "%.4g" with a unit, durations are Go's text, ratios are "%.2f" (plain
// printf). Results are small values in a struct, so that a call can stand in a printf's arguments.
#ifndef DATA_GOFMT_H
#define DATA_GOFMT_H

#include "util/str.h"

#include <stdint.h>

struct gofmt {
	char s[40];
};

struct gofmt gofmt_binary(uint64_t bytes);     // 504B, 40.37KiB, 24.01MiB
struct gofmt gofmt_decimal(double bytes);      // 734.5kB, 3.109MB
struct gofmt gofmt_duration(int64_t ns);       // 0s, 20ms, 1.01s, 2m3.5s
int64_t gofmt_round(int64_t ns, int64_t unit); // to the nearest UNIT, halves away from zero
// How long ago, in its largest unit alone: 12s, 5m, 3h, 40d, 1y. A clock that is ahead by more than
// a second is "<invalid>".
struct gofmt gofmt_age(int64_t seconds);

// RFC 3339, UTC: "2006-01-02T15:04:05Z". SECONDS since 1970, years 0 to 9999.
struct gofmt gofmt_time(int64_t seconds);
// Any RFC 3339 time, fractions of a second dropped. False for anything else.
bool gofmt_parse_time(struct str text, int64_t *ret);

// TEXT in double quotes as %q writes it: quotes, backslashes and whatever does not print are
// escaped. Safe to show on a terminal, whoever wrote TEXT. Caller frees.
char *gofmt_quote(struct str text);

// Decodes one UTF-8 sequence at the start of S: its length, or 0 when it is not valid.
size_t utf8_decode(struct str s, uint32_t *ret);

#endif
