// SPDX-License-Identifier: Apache-2.0
// Loop threads.
#include "net/loop.h"

#include "net/client.h"
#include "net/transfer.h"
#include "util/clock.h"
#include "util/mem.h"

#include <assert.h>
#include <signal.h>

enum {
	CONNECTIONS_KEPT = 128,
	TICK_MS = 250, // how often overdue transfers are looked for
	IDLE_MS = 60 * 1000,
};

struct loop {
	struct http *net;
	CURLM *multi;
	pthread_t thread;
	bool started;

	// The thread's own.
	struct transfer *all, *touched;
	uint64_t now_us, next_tick_us;

	pthread_mutex_t lock; // guards what follows
	struct transfer *commands, **last_command;
	bool asleep, stop, slabs_back;
};

uint64_t loop_now_us(const struct loop *l)
{
	return l->now_us;
}

// Called locked; true when the thread must be woken from its poll.
static bool rouse(struct loop *l)
{
	bool asleep = l->asleep;

	l->asleep = false;
	return asleep;
}

void loop_post(struct loop *l, struct transfer *t, unsigned commands)
{
	pthread_mutex_lock(&l->lock);
	if (t->commands == 0) {
		transfer_ref(t);
		t->next_command = NULL;
		*l->last_command = t;
		l->last_command = &t->next_command;
	}
	t->commands |= commands;
	bool wake = rouse(l);

	pthread_mutex_unlock(&l->lock);
	if (wake)
		curl_multi_wakeup(l->multi);
}

void loop_wake(void *loop)
{
	struct loop *l = loop;

	pthread_mutex_lock(&l->lock);
	bool wake = rouse(l);

	pthread_mutex_unlock(&l->lock);
	if (wake)
		curl_multi_wakeup(l->multi);
}

void loop_slabs_back(void *loop)
{
	struct loop *l = loop;

	pthread_mutex_lock(&l->lock);
	l->slabs_back = true;
	bool wake = rouse(l);

	pthread_mutex_unlock(&l->lock);
	if (wake)
		curl_multi_wakeup(l->multi);
}

void loop_touch(struct loop *l, struct transfer *t)
{
	if (t->touched)
		return;
	t->touched = true;
	t->next_touched = l->touched;
	l->touched = t;
}

static void list(struct loop *l, struct transfer *t)
{
	t->listed = true;
	t->prev = NULL;
	t->next = l->all;
	if (l->all)
		l->all->prev = t;
	l->all = t;
}

static void unlist(struct loop *l, struct transfer *t)
{
	*(t->prev ? &t->prev->next : &l->all) = t->next;
	if (t->next)
		t->next->prev = t->prev;
	t->listed = false;
}

// Takes T off the multi handle. Its waiter hears of it when the pass settles.
static void end(struct loop *l, struct transfer *t, CURLcode code)
{
	transfer_conclude(t, code);
	if (t->easy) {
		if (t->listed)
			curl_multi_remove_handle(l->multi, t->easy);
		curl_easy_cleanup(t->easy);
		t->easy = NULL;
	}
	if (t->listed)
		unlist(l, t);
	t->ended = true;
	loop_touch(l, t);
}

static void start(struct loop *l, struct transfer *t)
{
	t->ended = false;
	t->easy = transfer_make_easy(t);
	t->last_us = l->now_us;
	if (t->timeout_seconds > 0)
		t->head_deadline_us = l->now_us + (uint64_t)t->timeout_seconds * 1000000;
	transfer_ref(t);
	CURLMcode rc = curl_multi_add_handle(l->multi, t->easy);

	if (rc == CURLM_OK)
		list(l, t);
	else
		end(l, t, CURLE_FAILED_INIT);
}

static void resume(struct loop *l, struct transfer *t, unsigned commands)
{
	CURLcode code = transfer_resume(t, commands);

	if (code != CURLE_OK)
		end(l, t, code);
}

static void obey(struct loop *l, struct transfer *t, unsigned commands)
{
	if (commands & LOOP_ADD)
		start(l, t);
	if (t->ended || !t->listed)
		return;
	if (commands & LOOP_DROP) {
		t->dropped = true;
		if (!transfer_drain(t))
			end(l, t, CURLE_ABORTED_BY_CALLBACK);
		return;
	}
	resume(l, t, commands);
}

static void run_commands(struct loop *l)
{
	for (;;) {
		pthread_mutex_lock(&l->lock);
		struct transfer *t = l->commands;

		if (!t) {
			pthread_mutex_unlock(&l->lock);
			return;
		}
		unsigned commands = t->commands;

		t->commands = 0;
		l->commands = t->next_command;
		if (!l->commands)
			l->last_command = &l->commands;
		pthread_mutex_unlock(&l->lock);
		obey(l, t, commands);
		transfer_unref(t);
	}
}

static void feed_starved(struct loop *l)
{
	pthread_mutex_lock(&l->lock);
	bool back = l->slabs_back;

	l->slabs_back = false;
	pthread_mutex_unlock(&l->lock);
	if (!back)
		return;
	for (struct transfer *t = l->all, *next; t; t = next) {
		next = t->next;
		if (t->starved)
			resume(l, t, LOOP_RESUME_READ);
	}
}

static void end_all(struct loop *l, CURLcode code)
{
	while (l->all)
		end(l, l->all, code);
}

static void end_overdue(struct loop *l)
{
	if (l->now_us < l->next_tick_us)
		return;
	l->next_tick_us = l->now_us + (uint64_t)TICK_MS * 1000;
	for (struct transfer *t = l->all, *next; t; t = next) {
		next = t->next;
		if (transfer_overdue(t, l->now_us))
			end(l, t, CURLE_OPERATION_TIMEDOUT);
	}
}

static void collect_ended(struct loop *l)
{
	struct CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(l->multi, &left))) {
		struct transfer *t;

		if (msg->msg != CURLMSG_DONE)
			continue;
		CURLcode code = msg->data.result;

		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &t);
		end(l, t, code);
	}
}

static void settle(struct loop *l)
{
	while (l->touched) {
		struct transfer *t = l->touched;
		bool ended = t->ended;

		l->touched = t->next_touched;
		t->touched = false;
		transfer_settle(t);
		if (ended)
			transfer_unref(t); // from here on it is its caller's alone
	}
}

// False when it is time to stop. Goes to sleep only if nobody has posted anything meanwhile.
static bool may_sleep(struct loop *l, bool *sleep)
{
	pthread_mutex_lock(&l->lock);
	*sleep = l->asleep = !l->commands && !l->slabs_back && !l->stop;
	bool go_on = !l->stop;

	pthread_mutex_unlock(&l->lock);
	return go_on;
}

static void nap(struct loop *l)
{
	curl_multi_poll(l->multi, NULL, 0, l->all ? TICK_MS : IDLE_MS, NULL);
	pthread_mutex_lock(&l->lock);
	l->asleep = false;
	pthread_mutex_unlock(&l->lock);
}

static void *run(void *arg)
{
	struct loop *l = arg;
	bool sleep;
	int running;

	do {
		l->now_us = clock_us();
		run_commands(l);
		feed_starved(l);
		if (cancelled(l->net->cfg.cancel))
			end_all(l, CURLE_ABORTED_BY_CALLBACK);
		curl_multi_perform(l->multi, &running);
		collect_ended(l);
		end_overdue(l);
		settle(l);
		if (!may_sleep(l, &sleep))
			break;
		if (sleep && !(cancelled(l->net->cfg.cancel) && l->all))
			nap(l);
	} while (true);
	run_commands(l); // what was dropped without ever being started
	end_all(l, CURLE_ABORTED_BY_CALLBACK);
	settle(l);
	// Here and not in loop_free: saying goodbye to a peer that has gone raises SIGPIPE, which
	// only this thread is deaf to.
	curl_multi_cleanup(l->multi);
	l->multi = NULL;
	return NULL;
}

// Signals are for the program's own threads.
static int start_thread(struct loop *l)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&l->thread, NULL, run, l);

	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

struct loop *loop_new(struct http *net, struct err *e)
{
	struct loop *l = xcalloc(1, sizeof(*l));

	l->net = net;
	l->last_command = &l->commands;
	pthread_mutex_init(&l->lock, NULL);
	l->multi = curl_multi_init();
	if (!l->multi) {
		loop_free(l);
		err_set(e, ERR_IO, "cannot initialise libcurl");
		return NULL;
	}
	curl_multi_setopt(l->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
	curl_multi_setopt(l->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
	errno = start_thread(l);
	if (errno) {
		err_os(e, ERR_IO, "cannot start a thread");
		loop_free(l);
		return NULL;
	}
	l->started = true;
	return l;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	if (l->started) {
		pthread_mutex_lock(&l->lock);
		l->stop = true;
		curl_multi_wakeup(l->multi); // locked: once it sees the stop, the handle goes
		pthread_mutex_unlock(&l->lock);
		pthread_join(l->thread, NULL);
		assert(!l->all && !l->commands);
	}
	if (l->multi) // its thread never ran
		curl_multi_cleanup(l->multi);
	pthread_mutex_destroy(&l->lock);
	free(l);
}
