// SPDX-License-Identifier: Apache-2.0
// The one progress display: the engine's events in, standard error out.
//
// On a terminal one line at the bottom is redrawn (at most 10 times a second) and everything else
// scrolls above it; otherwise plain lines: "uploading: DST DIGEST SIZE" and "mounted: ..." for what
// is big, thinned out when there are many, and a summary every 10 s. While it lives, everything
// that goes to standard error goes through it, so lines never tear. Control characters that came
// from outside are replaced. Thread-safe.
#ifndef CMD_PROGRESS_H
#define CMD_PROGRESS_H

#include "transfer/transfer.h"
#include "util/say.h"

#include <stdio.h>

struct progress;

struct progress_config {
	FILE *out;
	bool live;               // OUT is a terminal
	unsigned columns;        // of the terminal; 0: ask it
	uint64_t (*clock)(void); // microseconds; NULL: clock_us
	bool ticker;             // a thread calls progress_tick
	struct cancel *cancel;   // says so when it fires; or NULL
};

struct progress *progress_new(const struct progress_config *cfg);
void progress_free(struct progress *p); // the display is erased; NULL is fine
DEFINE_AUTO(progress_free, struct progress)

struct transfer_sink *progress_sink(struct progress *p);
// Bytes that moved outside of the engine, of a total that nobody knows.
void progress_add(struct progress *p, uint64_t bytes);
// The work is over: the display goes, what was left out of the lines is counted.
void progress_settle(struct progress *p);

// A line of its own; the newline is added.
void progress_line(struct progress *p, const char *fmt, ...) printf_like(2, 3);
// Lines that the core has to say.
struct say progress_say(struct progress *p);
// Whole lines.
void progress_text(struct progress *p, struct str text);
// "warning: WHAT: WHY, retrying in 2s"; fits http_config.on_retry, ARG is the progress.
void progress_retry(void *arg, const char *what, const struct err *why, unsigned wait_ms);
// Time has passed: redraws the display, or says where we are.
void progress_tick(struct progress *p);

// Puts TEXT behind RET without what could steer a terminal, turn text around, or is no UTF-8;
// newlines and tabs stay.
void text_clean(struct buf *ret, struct str text);

#endif
