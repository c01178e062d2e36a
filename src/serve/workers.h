// SPDX-License-Identifier: Apache-2.0
// Threads for work that may block: disks, fsync, password hashes. A queue with a ceiling.
#ifndef SERVE_WORKERS_H
#define SERVE_WORKERS_H

#include "util/cleanup.h"
#include "util/err.h"

#include <stdbool.h>

struct job {
	void (*run)(struct job *job);
	struct job *next;
};

struct workers;

int workers_start(struct workers **ret, unsigned threads, unsigned queue_max, struct err *e)
	must_check;
// JOB is the caller's and stays until it has run. False when the queue is full.
bool workers_post(struct workers *w, struct job *job);
// Runs what is queued, then ends the threads.
void workers_stop(struct workers *w);
DEFINE_AUTO(workers_stop, struct workers)

#endif
