// SPDX-License-Identifier: Apache-2.0
#include "tap.h"

#include "serve/workers.h"
#include "util/mem.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

struct counted {
	struct job job; // first
	atomic_int *count;
	pthread_mutex_t *gate;
	int order, *next;
	bool pipe_blocked;
};

static void count(struct job *job)
{
	struct counted *c = (struct counted *)job;
	sigset_t set;

	if (c->gate) {
		pthread_mutex_lock(c->gate);
		pthread_mutex_unlock(c->gate);
	}
	if (c->next)
		c->order = (*c->next)++;
	pthread_sigmask(SIG_BLOCK, NULL, &set);
	c->pipe_blocked = sigismember(&set, SIGPIPE) == 1;
	(*c->count)++;
}

TEST(stopping_runs_what_is_queued)
{
	static struct counted jobs[1000];
	atomic_int done = 0;
	struct workers *w;
	struct err e;

	REQUIRE_OK(workers_start(&w, 4, 1000, &e));
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		jobs[i] = (struct counted){.job.run = count, .count = &done};
		CHECK(workers_post(w, &jobs[i].job));
	}
	workers_stop(w);
	CHECK_INT(done, ARRAY_SIZE(jobs));
}

TEST(one_thread_runs_jobs_in_order)
{
	struct counted jobs[50];
	atomic_int done = 0;
	int next = 0;
	struct workers *w;
	struct err e;

	REQUIRE_OK(workers_start(&w, 1, ARRAY_SIZE(jobs), &e));
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		jobs[i] = (struct counted){.job.run = count, .count = &done, .next = &next};
		CHECK(workers_post(w, &jobs[i].job));
	}
	workers_stop(w);
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
		CHECK_INT(jobs[i].order, i);
}

TEST(a_full_queue_takes_no_more)
{
	pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
	struct counted jobs[20];
	atomic_int done = 0;
	unsigned taken = 0;
	struct workers *w;
	struct err e;

	pthread_mutex_lock(&gate);
	REQUIRE_OK(workers_start(&w, 1, 4, &e));
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		jobs[i] = (struct counted){.job.run = count, .count = &done, .gate = &gate};
		taken += workers_post(w, &jobs[i].job);
	}
	// Four wait, and one may have been taken up already.
	CHECK(taken == 4 || taken == 5);
	pthread_mutex_unlock(&gate);
	workers_stop(w);
	CHECK_INT(done, taken);
}

TEST(workers_are_no_place_for_signals)
{
	atomic_int done = 0;
	struct counted job = {.job.run = count, .count = &done};
	struct workers *w;
	struct err e;

	REQUIRE_OK(workers_start(&w, 1, 1, &e));
	CHECK(workers_post(w, &job.job));
	workers_stop(w);
	CHECK(job.pipe_blocked);
}

TEST(stopping_nothing_is_fine)
{
	workers_stop(NULL);
	CHECK(true);
}

int main(void)
{
	return tap_main();
}
