// SPDX-License-Identifier: Apache-2.0
// Ctrl-C and its relatives: the first SIGINT or SIGTERM stops the run cleanly, a second one ends
// the program at once. SIGHUP ends it too, unless a server asks to be told of it.
#ifndef CMD_SIGNALS_H
#define CMD_SIGNALS_H

#include "util/cancel.h"

// Fires C, which must live as long as the program, from a thread of its own. Once, before other
// threads start. SIGPIPE is ignored from here on.
int signals_start(struct cancel *c, struct err *e) must_check;
// From here on SIGHUP calls WAKE, which must not block for long, on the thread of the signals. NULL
// takes it back: the signal is ignored then, and WAKE is not running any more when this returns.
void signals_on_hangup(void (*wake)(void *arg), void *arg);
// Ends the thread; signals do what they do by default from here on.
void signals_stop(void);

#endif
