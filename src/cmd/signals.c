// SPDX-License-Identifier: Apache-2.0
// Ctrl-C and its relatives.
#include "cmd/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

// A handler knows nothing but what is global.
static int wake_pipe[2];
static pthread_t waiter;

static void on_signal(int number)
{
	int saved = errno;
	ssize_t n;

	(void)number;
	// From now on the system's own action is right: the user asks a second time.
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	do {
		n = write(wake_pipe[1], "", 1);
	} while (n < 0 && errno == EINTR);
	errno = saved;
}

static void *wait_for_signal(void *arg)
{
	char byte;
	ssize_t n;

	do {
		n = read(wake_pipe[0], &byte, 1);
	} while (n < 0 && errno == EINTR);
	if (n == 1)
		cancel_fire(arg);
	return NULL;
}

int signals_start(struct cancel *c, struct err *e)
{
	struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct sigaction was;

	signal(SIGPIPE, SIG_IGN);
	if (pipe2(wake_pipe, O_CLOEXEC) < 0)
		return err_os(e, ERR_IO, "pipe");
	errno = pthread_create(&waiter, NULL, wait_for_signal, c);
	if (errno)
		return err_os(e, ERR_IO, "start a thread");
	sigemptyset(&act.sa_mask);
	sigaction(SIGTERM, &act, NULL);
	// A shell starts background jobs with SIGINT ignored: they stay so.
	if (sigaction(SIGINT, NULL, &was) == 0 && was.sa_handler != SIG_IGN)
		sigaction(SIGINT, &act, NULL);
	return 0;
}

void signals_stop(void)
{
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	close(wake_pipe[1]);
	pthread_join(waiter, NULL);
	close(wake_pipe[0]);
}
