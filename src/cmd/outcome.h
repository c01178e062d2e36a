// SPDX-License-Identifier: Apache-2.0
// How a mirror run is reported: result lines, what is missing, how long it took.
#ifndef CMD_OUTCOME_H
#define CMD_OUTCOME_H

#include "cmd/plan_view.h"
#include "cmd/setup.h"
#include "mirror/mirror.h"

// The plan, "info: Planning completed in 1.01s" and, unless it FAILED, "info: Dry run complete".
void outcome_dry_run(struct setup *s, const struct plan_view *plan, bool failed,
		     uint64_t elapsed_us);
// The same with a plan that is text already.
void outcome_plan(struct setup *s, struct str text, bool failed, uint64_t elapsed_us);
// Prints the lines of R on standard output, and on standard error what is missing and "info:
// Mirroring completed in 820ms (319kB/s)"; the latter not when the run failed before it copied.
// FAILURE is the run's error, NULL for none: ERR_INCOMPLETE brings the list of what was not
// mirrored.
void outcome_print(struct setup *s, const struct mirror_result *r, const struct err *failure,
		   uint64_t elapsed_us);
// Parts of it: the lines on standard output, and how long it took.
void outcome_lines(struct setup *s, const struct mirror_result *r);
void outcome_time(struct setup *s, const struct mirror_result *r, uint64_t elapsed_us);

#endif
