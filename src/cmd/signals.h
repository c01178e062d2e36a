// SPDX-License-Identifier: Apache-2.0
// Ctrl-C and its relatives: the first SIGINT or SIGTERM stops the run cleanly, a second one ends
// the program at once.
#ifndef CMD_SIGNALS_H
#define CMD_SIGNALS_H

#include "util/cancel.h"

// Fires C, which must live as long as the program, from a thread of its own. Once, before other
// threads start. SIGPIPE is ignored from here on.
int signals_start(struct cancel *c, struct err *e) must_check;
// Ends the thread; signals do what they do by default from here on.
void signals_stop(void);

#endif
