// SPDX-License-Identifier: Apache-2.0
// The limiter: a window of tasks in flight that grows while growing pays.
//
// Flow is measured in epochs: so many tasks that the window was used twice over, for a while at
// least. An epoch at a wider window must have moved a tenth more bytes or tasks a second than the
// one before; otherwise the window goes back and stays for some epochs.
#include "net/limiter.h"

#include "util/clock.h"
#include "util/mem.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
	WINDOW_START = 6,
	WINDOW_MAX = 32,
	EPOCH_MIN_US = 50 * 1000,
	EPOCHS_HELD = 8, // before another attempt to grow
};

struct limiter {
	pthread_mutex_t lock;
	uint64_t (*now_us)(void);
	bool fixed;
	atomic_int limit; // written under the lock, read by anyone
	int in_flight;

	// The epoch that is being measured.
	uint64_t began_us, bytes;
	int done;
	bool full; // the window was used up: more would have started

	double tasks_rate, bytes_rate; // of the epoch before; 0: none
	int before;                    // the window that this epoch is compared with; 0: not grown
	int held;                      // epochs without growing that are left
	int deaf;                      // tasks begun before the last push-back, still in flight

	void (*wake)(void *arg);
	void *wake_arg;
};

struct limiter *limiter_new_timed(int fixed, uint64_t (*now_us)(void))
{
	struct limiter *l = xcalloc(1, sizeof(*l));

	pthread_mutex_init(&l->lock, NULL);
	l->now_us = now_us;
	l->fixed = fixed > 0;
	l->limit = fixed > 0 ? fixed : WINDOW_START;
	return l;
}

struct limiter *limiter_new(int fixed)
{
	return limiter_new_timed(fixed, clock_us);
}

void limiter_free(struct limiter *l)
{
	if (!l)
		return;
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static void begin_epoch(struct limiter *l)
{
	l->began_us = l->now_us();
	l->bytes = 0;
	l->done = 0;
	l->full = false;
}

bool limiter_try(struct limiter *l)
{
	pthread_mutex_lock(&l->lock);
	bool ok = l->in_flight < l->limit;

	if (ok) {
		if (l->in_flight == 0 && l->done == 0)
			begin_epoch(l); // idle time is nobody's rate
		l->in_flight++;
	}
	if (l->in_flight >= l->limit)
		l->full = true;
	pthread_mutex_unlock(&l->lock);
	return ok;
}

bool limiter_has_room(struct limiter *l)
{
	pthread_mutex_lock(&l->lock);
	bool room = l->in_flight < l->limit;

	pthread_mutex_unlock(&l->lock);
	return room;
}

static void grow(struct limiter *l)
{
	if (l->limit >= WINDOW_MAX)
		return;
	l->before = l->limit;
	l->limit = l->limit * 2 < WINDOW_MAX ? l->limit * 2 : WINDOW_MAX;
}

// Judges the epoch that has ended and chooses the window for the next.
static void judge(struct limiter *l, uint64_t took_us)
{
	double tasks = (double)l->done / (double)took_us;
	double bytes = (double)l->bytes / (double)took_us;
	bool gain = tasks > l->tasks_rate * 1.1 || bytes > l->bytes_rate * 1.1;

	if (l->before > 0 && !gain) {
		l->limit = l->before;
		l->before = 0;
		l->held = EPOCHS_HELD;
		return; // the rates of the narrower window stay the measure
	}
	l->before = 0;
	l->tasks_rate = tasks;
	l->bytes_rate = bytes;
	if (l->held > 0)
		l->held--;
	else
		grow(l);
}

static void measure(struct limiter *l, uint64_t bytes)
{
	l->done++;
	l->bytes += bytes;
	if (l->done < l->limit * 2)
		return;
	uint64_t took = l->now_us() - l->began_us;

	if (took < EPOCH_MIN_US)
		return;
	if (l->full) // else the window is not what held the flow back
		judge(l, took);
	begin_epoch(l);
}

void limiter_leave(struct limiter *l, uint64_t bytes)
{
	pthread_mutex_lock(&l->lock);
	l->in_flight--;
	if (l->deaf > 0)
		l->deaf--;
	if (!l->fixed)
		measure(l, bytes);
	void (*wake)(void *) = l->wake;
	void *arg = l->wake_arg;

	pthread_mutex_unlock(&l->lock);
	if (wake)
		wake(arg);
}

void limiter_pushback(struct limiter *l)
{
	pthread_mutex_lock(&l->lock);
	// One overload is answered on everything in flight: it halves the window once.
	if (!l->fixed && l->deaf == 0) {
		l->limit = l->limit > 1 ? l->limit / 2 : 1;
		l->before = 0;
		l->held = EPOCHS_HELD;
		l->deaf = l->in_flight;
		l->tasks_rate = l->bytes_rate = 0;
		begin_epoch(l);
	}
	pthread_mutex_unlock(&l->lock);
}

int limiter_limit(const struct limiter *l)
{
	return l->limit;
}

void limiter_on_room(struct limiter *l, void (*wake)(void *arg), void *arg)
{
	pthread_mutex_lock(&l->lock);
	l->wake = wake;
	l->wake_arg = arg;
	pthread_mutex_unlock(&l->lock);
}
