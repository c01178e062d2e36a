// SPDX-License-Identifier: Apache-2.0
// N independent calls on a few threads.
#include "release/tasks.h"

#include <pthread.h>
#include <stdatomic.h>

enum { THREADS_DEFAULT = 6, THREADS_MAX = 32 };

struct tasks {
	size_t n;
	void (*task)(void *arg, size_t i);
	void *arg;
	atomic_size_t next;
};

static void *work(void *arg)
{
	struct tasks *t = arg;

	for (size_t i = atomic_fetch_add(&t->next, 1); i < t->n; i = atomic_fetch_add(&t->next, 1))
		t->task(t->arg, i);
	return NULL;
}

void tasks_run(size_t n, unsigned parallel, void (*task)(void *arg, size_t i), void *arg)
{
	struct tasks t = {.n = n, .task = task, .arg = arg};
	pthread_t threads[THREADS_MAX];
	size_t wanted = parallel == 0 ? THREADS_DEFAULT : parallel, started = 0;

	if (wanted > THREADS_MAX)
		wanted = THREADS_MAX;
	if (wanted > n)
		wanted = n;
	// The caller is one of them: where no thread can be had, it does all the work.
	while (started + 1 < wanted && pthread_create(&threads[started], NULL, work, &t) == 0)
		started++;
	work(&t);
	while (started > 0)
		pthread_join(threads[--started], NULL);
}
