// SPDX-License-Identifier: Apache-2.0
// Loop threads: epoll under libcurl's socket interface. Driving all transfers in each pass
// (curl_multi_perform) would ask poll() for each of them again and again.
#include "net/loop.h"

#include "net/client.h"
#include "net/transfer.h"
#include "util/clock.h"
#include "util/mem.h"

#include <assert.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
	CONNECTIONS_KEPT = 128,
	TICK_MS = 250, // how often overdue transfers are looked for
	IDLE_MS = 60 * 1000,
	EVENTS_MAX = 64, // sockets served in one pass
};

#define NO_TIMER UINT64_MAX

struct loop {
	struct http *net;
	CURLM *multi;
	pthread_t thread;
	bool started;
	int epoll_fd, wake_fd; // or -1

	// The thread's own.
	struct transfer *all, *touched;
	uint64_t now_us, next_tick_us;
	uint64_t timer_us; // when libcurl wants to be called without an event

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

static void ring(struct loop *l)
{
	uint64_t one = 1;

	// Fails only when it is rung already.
	if (write(l->wake_fd, &one, sizeof(one)) < 0)
		assert(errno == EAGAIN);
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
		ring(l);
}

void loop_wake(void *loop)
{
	struct loop *l = loop;

	pthread_mutex_lock(&l->lock);
	bool wake = rouse(l);

	pthread_mutex_unlock(&l->lock);
	if (wake)
		ring(l);
}

void loop_slabs_back(void *loop)
{
	struct loop *l = loop;

	pthread_mutex_lock(&l->lock);
	l->slabs_back = true;
	bool wake = rouse(l);

	pthread_mutex_unlock(&l->lock);
	if (wake)
		ring(l);
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

// libcurl's wishes. ------------------------------------------------------------------------------

static int on_socket_wish(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct loop *l = arg;
	struct epoll_event ev = {.data.fd = fd};

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		// A socket that was closed has left by itself.
		epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
		curl_multi_assign(l->multi, fd, NULL);
		return 0;
	}
	ev.events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
	if (epoll_ctl(l->epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev) < 0)
		return -1;
	curl_multi_assign(l->multi, fd, l);
	return 0;
}

static int on_timer_wish(CURLM *multi, long ms, void *arg)
{
	struct loop *l = arg;

	(void)multi;
	l->timer_us = ms < 0 ? NO_TIMER : clock_us() + (uint64_t)ms * 1000;
	return 0;
}

static int nap_ms(const struct loop *l, bool sleep)
{
	int most = l->all ? TICK_MS : IDLE_MS;
	uint64_t now = clock_us();

	if (!sleep || l->timer_us <= now)
		return 0;
	uint64_t wait = (l->timer_us - now + 999) / 1000;

	return l->timer_us == NO_TIMER || wait > (uint64_t)most ? most : (int)wait;
}

static void serve(struct loop *l, const struct epoll_event *ev)
{
	uint64_t rung;
	int running, bits = 0;

	if (ev->data.fd == l->wake_fd) {
		if (read(l->wake_fd, &rung, sizeof(rung)) < 0)
			assert(errno == EAGAIN);
		return;
	}
	if (ev->events & (EPOLLIN | EPOLLHUP))
		bits |= CURL_CSELECT_IN;
	if (ev->events & EPOLLOUT)
		bits |= CURL_CSELECT_OUT;
	if (ev->events & EPOLLERR)
		bits |= CURL_CSELECT_ERR;
	curl_multi_socket_action(l->multi, ev->data.fd, bits, &running);
}

// Waits for events, if it may SLEEP, and lets libcurl work on them.
static void pass(struct loop *l, bool sleep)
{
	struct epoll_event events[EVENTS_MAX];
	int running;
	int n = epoll_wait(l->epoll_fd, events, EVENTS_MAX, nap_ms(l, sleep));

	pthread_mutex_lock(&l->lock);
	l->asleep = false;
	pthread_mutex_unlock(&l->lock);
	l->now_us = clock_us();
	for (int i = 0; i < n; i++)
		serve(l, &events[i]);
	if (l->timer_us <= l->now_us) {
		l->timer_us = NO_TIMER;
		curl_multi_socket_action(l->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
}

static void *run(void *arg)
{
	struct loop *l = arg;
	bool sleep;

	while (may_sleep(l, &sleep)) {
		pass(l, sleep && !(cancelled(l->net->cfg.cancel) && l->all));
		run_commands(l);
		feed_starved(l);
		if (cancelled(l->net->cfg.cancel))
			end_all(l, CURLE_ABORTED_BY_CALLBACK);
		collect_ended(l);
		end_overdue(l);
		settle(l);
	}
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
	l->timer_us = NO_TIMER;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = l->wake_fd};

	if (l->epoll_fd < 0 || l->wake_fd < 0 ||
	    epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->wake_fd, &ev) < 0) {
		err_os(e, ERR_IO, "cannot make an event loop");
		loop_free(l);
		return NULL;
	}
	l->multi = curl_multi_init();
	if (!l->multi) {
		loop_free(l);
		err_set(e, ERR_IO, "cannot initialise libcurl");
		return NULL;
	}
	curl_multi_setopt(l->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wish);
	curl_multi_setopt(l->multi, CURLMOPT_SOCKETDATA, l);
	curl_multi_setopt(l->multi, CURLMOPT_TIMERFUNCTION, on_timer_wish);
	curl_multi_setopt(l->multi, CURLMOPT_TIMERDATA, l);
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
		ring(l);
		pthread_mutex_unlock(&l->lock);
		pthread_join(l->thread, NULL);
		assert(!l->all && !l->commands);
	}
	if (l->multi) // its thread never ran
		curl_multi_cleanup(l->multi);
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
	if (l->wake_fd >= 0)
		close(l->wake_fd);
	pthread_mutex_destroy(&l->lock);
	free(l);
}
