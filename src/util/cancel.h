// SPDX-License-Identifier: Apache-2.0
// Stopping everything: one flag, and the calls that wake whoever is blocked.
//
// Whatever can block for long subscribes with a function that wakes it; woken code looks at
// cancelled() and returns ERR_CANCELLED. Thread-safe. cancel_fire is not for signal handlers: a
// thread of cmd/ waits for signals and calls it.
#ifndef UTIL_CANCEL_H
#define UTIL_CANCEL_H

#include "util/err.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct cancel_watch {
	void (*wake)(void *arg); // called from the firing thread, at most once
	void *arg;
	struct cancel_watch *next;
};

struct cancel {
	atomic_bool set;
	pthread_mutex_t lock;
	struct cancel_watch *watches;
};

#define CANCEL_INIT                               \
	{                                         \
		.lock = PTHREAD_MUTEX_INITIALIZER \
	}

// NULL is a cancel that never fires.
bool cancelled(const struct cancel *c);
void cancel_fire(struct cancel *c);
// W is the subscriber's, and stays until cancel_unwatch. If C has fired already, wake runs now.
void cancel_watch(struct cancel *c, struct cancel_watch *w);
void cancel_unwatch(struct cancel *c, struct cancel_watch *w);
// Records "interrupted" and returns -1.
int err_cancelled(struct err *e);

#endif
