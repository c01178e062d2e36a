// SPDX-License-Identifier: Apache-2.0
// Ctrl-C and its relatives.
#include "cmd/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

enum { SAY_STOP = 's', SAY_HANGUP = 'h' };

// A handler knows nothing but what is global.
static int wake_pipe[2] = {-1, -1};
static pthread_t waiter;

static pthread_mutex_t hangup_lock = PTHREAD_MUTEX_INITIALIZER;
static void (*hangup_wake)(void *arg);
static void *hangup_arg;

static void tell(char what)
{
	int saved = errno;
	ssize_t n;

	do {
		n = write(wake_pipe[1], &what, 1);
	} while (n < 0 && errno == EINTR);
	errno = saved;
}

static void on_stop(int number)
{
	(void)number;
	// From now on the system's own action is right: the user asks a second time.
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	tell(SAY_STOP);
}

static void on_hangup(int number)
{
	(void)number;
	tell(SAY_HANGUP);
}

static void pass_hangup_on(void)
{
	pthread_mutex_lock(&hangup_lock);
	if (hangup_wake)
		hangup_wake(hangup_arg);
	pthread_mutex_unlock(&hangup_lock);
}

static void *wait_for_signals(void *arg)
{
	for (;;) {
		char what;
		ssize_t n = read(wake_pipe[0], &what, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n != 1)
			return NULL;
		if (what == SAY_STOP)
			cancel_fire(arg);
		else
			pass_hangup_on();
	}
}

static int make_pipe(struct err *e)
{
	if (pipe2(wake_pipe, O_CLOEXEC) < 0)
		return err_os(e, ERR_IO, "pipe");
	// A full pipe must not stop the thread that a handler happens to run on: who has not read
	// so many signals yet loses nothing with one more.
	if (fcntl(wake_pipe[1], F_SETFL, O_NONBLOCK) < 0)
		return err_os(e, ERR_IO, "pipe");
	return 0;
}

int signals_start(struct cancel *c, struct err *e)
{
	struct sigaction act = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
	struct sigaction was;

	signal(SIGPIPE, SIG_IGN);
	if (make_pipe(e) < 0)
		return -1;
	errno = pthread_create(&waiter, NULL, wait_for_signals, c);
	if (errno)
		return err_os(e, ERR_IO, "start a thread");
	sigemptyset(&act.sa_mask);
	sigaction(SIGTERM, &act, NULL);
	// A shell starts background jobs with SIGINT ignored: they stay so.
	if (sigaction(SIGINT, NULL, &was) == 0 && was.sa_handler != SIG_IGN)
		sigaction(SIGINT, &act, NULL);
	return 0;
}

void signals_on_hangup(void (*wake)(void *arg), void *arg)
{
	struct sigaction act = {.sa_handler = wake ? on_hangup : SIG_IGN, .sa_flags = SA_RESTART};

	pthread_mutex_lock(&hangup_lock);
	hangup_wake = wake;
	hangup_arg = arg;
	pthread_mutex_unlock(&hangup_lock);
	sigemptyset(&act.sa_mask);
	sigaction(SIGHUP, &act, NULL);
}

void signals_stop(void)
{
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	close(wake_pipe[1]);
	pthread_join(waiter, NULL);
	close(wake_pipe[0]);
}
