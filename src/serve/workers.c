// SPDX-License-Identifier: Apache-2.0
// A queue of jobs, and threads that run them.
#include "serve/workers.h"

#include "util/mem.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

struct workers {
	pthread_t *threads;
	unsigned nthreads;

	pthread_mutex_t lock; // guards what follows
	pthread_cond_t posted;
	struct job *first, **last;
	unsigned queued, max;
	bool stop;
};

// The next job; NULL when there is none and will be none. Called locked.
static struct job *take(struct workers *w)
{
	while (!w->first && !w->stop)
		pthread_cond_wait(&w->posted, &w->lock);
	struct job *job = w->first;

	if (!job)
		return NULL;
	w->first = job->next;
	if (!w->first)
		w->last = &w->first;
	w->queued--;
	return job;
}

static void *work(void *arg)
{
	struct workers *w = arg;

	for (;;) {
		pthread_mutex_lock(&w->lock);
		struct job *job = take(w);

		pthread_mutex_unlock(&w->lock);
		if (!job)
			return NULL;
		job->run(job);
	}
}

// Signals are for the thread that waits for them; SIGPIPE and SIGXFSZ become errors of the call.
static int start_thread(struct workers *w)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	int r = pthread_create(&w->threads[w->nthreads], NULL, work, w);

	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r == 0)
		w->nthreads++;
	return r;
}

int workers_start(struct workers **ret, unsigned threads, unsigned queue_max, struct err *e)
{
	auto_of(workers_stop) struct workers *w = xcalloc(1, sizeof(*w));

	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->posted, NULL);
	w->last = &w->first;
	w->max = queue_max;
	w->threads = xcalloc(threads, sizeof(*w->threads));
	while (w->nthreads < threads) {
		int r = start_thread(w);

		if (r != 0)
			return err_set(e, ERR_IO, "cannot start a thread: %s", strerror(r));
	}
	*ret = steal(&w);
	return 0;
}

bool workers_post(struct workers *w, struct job *job)
{
	pthread_mutex_lock(&w->lock);
	bool room = w->queued < w->max;

	if (room) {
		job->next = NULL;
		*w->last = job;
		w->last = &job->next;
		w->queued++;
	}
	pthread_mutex_unlock(&w->lock);
	// A thread that woke to a held lock would go back to sleep.
	if (room)
		pthread_cond_signal(&w->posted);
	return room;
}

void workers_stop(struct workers *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_broadcast(&w->posted);
	pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < w->nthreads; i++)
		pthread_join(w->threads[i], NULL);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->posted);
	free(w->threads);
	free(w);
}
