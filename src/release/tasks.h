// SPDX-License-Identifier: Apache-2.0
// N independent calls on a few threads.
#ifndef RELEASE_TASKS_H
#define RELEASE_TASKS_H

#include <stddef.h>

// Calls TASK(arg, i) for every i below N, at most PARALLEL (0: a default) at a time, and returns
// when all are done. TASK keeps its results apart by i.
void tasks_run(size_t n, unsigned parallel, void (*task)(void *arg, size_t i), void *arg);

#endif
