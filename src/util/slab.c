// SPDX-License-Identifier: Apache-2.0
// The slab pool: a free list, a condition for those who wait, wake-up calls for event loops.
#include "util/slab.h"

#include "util/mem.h"

#include <assert.h>
#include <pthread.h>

enum { SUBSCRIBERS_MAX = 8 };

struct subscriber {
	void (*wake)(void *arg);
	void *arg;
};

struct slab_pool {
	pthread_mutex_t lock;
	pthread_cond_t came_back;
	struct slab *free_list;
	size_t made, max, out;
	struct subscriber subs[SUBSCRIBERS_MAX];
	size_t nsubs;
};

struct slab_pool *slab_pool_new(size_t slabs)
{
	struct slab_pool *p = xcalloc(1, sizeof(*p));

	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->came_back, NULL);
	p->max = slabs;
	return p;
}

void slab_pool_free(struct slab_pool *p)
{
	if (!p)
		return;
	assert(p->out == 0);
	for (struct slab *s = p->free_list, *next; s; s = next) {
		next = s->next;
		free(s);
	}
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->came_back);
	free(p);
}

// A slab off the free list, or a new one while the pool is below its size. Called locked.
static struct slab *take(struct slab_pool *p)
{
	struct slab *s = p->free_list;

	if (s) {
		p->free_list = s->next;
	} else {
		if (p->made == p->max)
			return NULL;
		s = xmalloc(sizeof(*s));
		s->pool = p;
		p->made++;
	}
	p->out++;
	s->n = s->start = 0;
	s->next = NULL;
	return s;
}

struct slab *slab_try(struct slab_pool *p)
{
	pthread_mutex_lock(&p->lock);
	struct slab *s = take(p);

	pthread_mutex_unlock(&p->lock);
	return s;
}

static void wake_waiters(void *arg)
{
	struct slab_pool *p = arg;

	pthread_mutex_lock(&p->lock);
	pthread_cond_broadcast(&p->came_back);
	pthread_mutex_unlock(&p->lock);
}

struct slab *slab_get(struct slab_pool *p, struct cancel *c, struct err *e)
{
	struct slab *s = slab_try(p);

	if (s)
		return s;
	struct cancel_watch watch = {.wake = wake_waiters, .arg = p};

	cancel_watch(c, &watch);
	pthread_mutex_lock(&p->lock);
	while (!(s = take(p)) && !cancelled(c))
		pthread_cond_wait(&p->came_back, &p->lock);
	pthread_mutex_unlock(&p->lock);
	cancel_unwatch(c, &watch);
	if (!s)
		err_cancelled(e);
	return s;
}

void slab_free(struct slab *s)
{
	if (!s)
		return;
	struct slab_pool *p = s->pool;
	struct subscriber subs[SUBSCRIBERS_MAX];
	size_t nsubs = 0;

	pthread_mutex_lock(&p->lock);
	if (!p->free_list && p->made == p->max)
		while (nsubs < p->nsubs) {
			subs[nsubs] = p->subs[nsubs];
			nsubs++;
		}
	s->next = p->free_list;
	p->free_list = s;
	p->out--;
	pthread_cond_signal(&p->came_back);
	pthread_mutex_unlock(&p->lock);
	for (size_t i = 0; i < nsubs; i++)
		subs[i].wake(subs[i].arg);
}

void slab_pool_on_free(struct slab_pool *p, void (*wake)(void *arg), void *arg)
{
	pthread_mutex_lock(&p->lock);
	assert(p->nsubs < SUBSCRIBERS_MAX);
	p->subs[p->nsubs++] = (struct subscriber){wake, arg};
	pthread_mutex_unlock(&p->lock);
}

void slab_pool_off_free(struct slab_pool *p, void *arg)
{
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->nsubs; i++)
		if (p->subs[i].arg == arg)
			p->subs[i--] = p->subs[--p->nsubs];
	pthread_mutex_unlock(&p->lock);
}
