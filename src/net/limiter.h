// SPDX-License-Identifier: Apache-2.0
// How many tasks may be in flight at one registry.
//
// Fixed when the user says --max-per-registry; otherwise adaptive: starts at 6, doubles while more
// in flight means more done, ceiling 32, halves on push-back (429, 503, GOAWAY). Whoever starts a
// task enters; net/ reports push-back. Thread-safe.
#ifndef NET_LIMITER_H
#define NET_LIMITER_H

#include "util/cancel.h"
#include "util/cleanup.h"

#include <stdbool.h>
#include <stdint.h>

struct limiter;

struct limiter *limiter_new(int fixed); // FIXED 0 or less: adaptive
// The same with another clock (microseconds), for tests.
struct limiter *limiter_new_timed(int fixed, uint64_t (*now_us)(void));
void limiter_free(struct limiter *l);
DEFINE_AUTO(limiter_free, struct limiter)

bool limiter_try(struct limiter *l);      // true: entered
bool limiter_has_room(struct limiter *l); // would limiter_try enter now?
void limiter_leave(struct limiter *l,
		   uint64_t bytes); // BYTES moved by the task, for the measure of gain
void limiter_pushback(struct limiter *l);
int limiter_limit(const struct limiter *l); // now in force
// WAKE runs (outside of locks) when there may be room again: after a leave, or when the limit grew.
void limiter_on_room(struct limiter *l, void (*wake)(void *arg), void *arg);

#endif
