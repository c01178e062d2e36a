// SPDX-License-Identifier: Apache-2.0
// Threads, lanes and limiters: which task runs next.
//
// A task that cannot start stays in its lane and holds no thread. Lanes take turns, so a registry
// that has no room keeps nobody else waiting.
#include "transfer/engine.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STACK_SIZE = 2 << 20 };
#else
enum { STACK_SIZE = 256 << 10 };
#endif

// Tasks in a row that a destination left without any answer, retries and all, before the rest of
// its tasks fail without being tried.
enum { SILENCES_MAX = 16 };

// Set while this thread gives back what it could not use: that is not news to anybody.
static _Thread_local bool backing_off;
// Set while this thread gives back what its task has used: it looks for the next task itself.
static _Thread_local bool leaving;

static void on_room(void *arg)
{
	struct place_state *s = arg;

	if (backing_off)
		return;
	pthread_mutex_lock(&s->t->lock);
	s->full = false;
	if (!leaving)
		workers_wake(s->t);
	pthread_mutex_unlock(&s->t->lock);
}

struct place_state *place_state(struct transfer *t, uint32_t place)
{
	while (t->nplaces <= place) {
		struct place_state *s = xcalloc(1, sizeof(*s));

		s->t = t;
		s->place = t->plan.places[t->nplaces];
		s->limiter = place_limiter(s->place);
		if (s->limiter)
			limiter_on_room(s->limiter, on_room, s);
		vec_reserve(t->places, t->nplaces, t->places_cap);
		t->places[t->nplaces++] = s;
	}
	return t->places[place];
}

static struct lane *lane_for(struct transfer *t, uint32_t src, uint32_t dst)
{
	for (size_t i = 0; i < t->nlanes; i++)
		if (t->lanes[i].src == src && t->lanes[i].dst == dst)
			return &t->lanes[i];
	vec_reserve(t->lanes, t->nlanes, t->lanes_cap);
	t->lanes[t->nlanes] = (struct lane){.src = src, .dst = dst, .head = NONE, .tail = NONE};
	return &t->lanes[t->nlanes++];
}

void queue_spawn(struct transfer *t, struct place *place, struct spawn *s)
{
	uint32_t id = place ? plan_place(&t->plan, place) : NONE;
	struct lane *lane = lane_for(t, id, NONE);

	if (place)
		place_state(t, id)->spawns++;
	s->next = NULL;
	if (lane->first)
		lane->last->next = s;
	else
		lane->first = s;
	lane->last = s;
	t->spawns++;
	workers_wake(t);
}

// Where NODE reads from besides its destination: nowhere when it mounts, or has its bytes at hand.
static uint32_t source_place(struct transfer *t, const struct node *n)
{
	uint32_t src = t->plan.repos[n->src].place, dst = t->plan.repos[n->repo].place;
	bool reads = n->kind == NODE_MANIFEST ? t->plan.manifests[n->extra].bytes == NULL
					      : !(n->flags & NODE_FOLLOWS) || t->cfg.skip_mount;

	return reads && src != dst ? src : NONE;
}

void queue_node(struct transfer *t, uint32_t id)
{
	struct node *n = &t->plan.nodes[id];

	if (t->stopped)
		return;
	struct lane *lane = lane_for(t, source_place(t, n), t->plan.repos[n->repo].place);

	n->state = NODE_QUEUED;
	n->next = NONE;
	if (lane->head == NONE)
		lane->head = id;
	else
		t->plan.nodes[lane->tail].next = id;
	lane->tail = id;
	t->queued++;
	workers_wake(t);
}

static void tell_rest(struct transfer *t)
{
	if (t->spawns == 0 || t->queued + t->copying == 0)
		pthread_cond_broadcast(&t->rest);
}

void stop_copying(struct transfer *t)
{
	t->stopped = true;
	for (size_t i = 0; i < t->nlanes; i++)
		t->lanes[i].head = t->lanes[i].tail = NONE;
	t->queued = 0;
	tell_rest(t);
}

// --- taking

// Enters the limiters of both places, or neither.
static bool enter(struct place_state *a, struct place_state *b, struct job *job)
{
	struct place_state *states[] = {a, b};

	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		if (states[i] && states[i]->full)
			return false;
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		if (!states[i] || !states[i]->limiter)
			continue;
		if (limiter_try(states[i]->limiter)) {
			job->limiters[i] = states[i]->limiter;
			continue;
		}
		states[i]->full = true;
		if (i > 0 && job->limiters[0]) {
			backing_off = true;
			limiter_leave(job->limiters[0], 0);
			backing_off = false;
			job->limiters[0] = NULL;
		}
		return false;
	}
	return true;
}

// May one more of S's planning tasks run, by --max-registry?
static bool may_plan(struct transfer *t, struct place_state *s)
{
	if (!s || s->planned || s->place->kind == PLACE_STORE)
		return true;
	if (t->cfg.max_registries > 0 && t->nplanned >= (size_t)t->cfg.max_registries)
		return false;
	s->planned = true;
	t->nplanned++;
	return true;
}

static bool take_spawn(struct transfer *t, uint32_t at, struct job *job)
{
	struct lane *lane = &t->lanes[at];
	struct place_state *s = lane->src == NONE ? NULL : place_state(t, lane->src);

	*job = (struct job){.kind = JOB_SPAWN, .lane = at, .node = NONE};
	// After a stop they only tidy up.
	if (!cancelled(t->cfg.cancel) && !t->closing && (!may_plan(t, s) || !enter(s, NULL, job)))
		return false;
	job->spawn = lane->first;
	lane->first = lane->first->next;
	return true;
}

static bool take_node(struct transfer *t, uint32_t at, struct job *job)
{
	struct job entered = {0};
	struct lane *lane = &t->lanes[at];
	struct place_state *src = lane->src == NONE ? NULL : place_state(t, lane->src);
	struct place_state *dst = place_state(t, lane->dst);
	bool silent = dst->silences >= SILENCES_MAX;

	if (!silent && !enter(src, dst, &entered))
		return false;
	uint32_t id = lane->head;

	lane->head = t->plan.nodes[id].next;
	if (lane->head == NONE)
		lane->tail = NONE;
	graph_job(t, id, job);
	job->lane = at;
	job->limiters[0] = entered.limiters[0];
	job->limiters[1] = entered.limiters[1];
	job->silent = silent;
	if (silent)
		job->error = dst->silence;
	t->queued--;
	t->copying++;
	return true;
}

static bool take(struct transfer *t, struct job *job)
{
	if (cancelled(t->cfg.cancel) && !t->stopped)
		stop_copying(t);
	for (size_t i = 0; i < t->nlanes; i++) {
		uint32_t at = (uint32_t)((t->turn + i) % t->nlanes);
		struct lane *lane = &t->lanes[at];

		if ((lane->first && take_spawn(t, at, job)) ||
		    (lane->head != NONE && take_node(t, at, job))) {
			t->turn = at + 1;
			return true;
		}
	}
	return false;
}

// --- finishing

static void leave(struct job *job)
{
	leaving = true;
	for (size_t i = 0; i < ARRAY_SIZE(job->limiters); i++)
		if (job->limiters[i])
			limiter_leave(job->limiters[i], job->moved);
	leaving = false;
}

static void end_spawn(struct transfer *t, const struct job *job)
{
	uint32_t place = t->lanes[job->lane].src;

	t->spawns--;
	if (place != NONE && --t->places[place]->spawns == 0 && t->places[place]->planned) {
		t->places[place]->planned = false;
		t->nplanned--;
	}
}

// Does one task. Called locked, works unlocked.
static void work(struct transfer *t, struct job *job)
{
	workers_wake(t); // the next one, while this one is busy
	pthread_mutex_unlock(&t->lock);
	run_job(t, job);
	leave(job);
	pthread_mutex_lock(&t->lock);
	if (job->kind == JOB_SPAWN)
		end_spawn(t, job);
	else
		t->copying--;
	job_release(job);
	tell_rest(t);
}

static void *worker(void *arg)
{
	struct transfer *t = arg;
	struct job job;

	pthread_mutex_lock(&t->lock);
	for (;;) {
		if (take(t, &job)) {
			work(t, &job);
			continue;
		}
		if (t->closing && t->spawns == 0)
			break;
		t->nidle++;
		pthread_cond_wait(&t->work, &t->lock);
		t->nidle--;
	}
	pthread_cond_broadcast(&t->work);
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

static void add_thread(struct transfer *t)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	// A thread that cannot be had is done without: wait_for_zero works as well.
	if (pthread_create(&t->threads[t->nthreads], &attr, worker, t) == 0)
		t->nthreads++;
	pthread_attr_destroy(&attr);
}

static bool has_room(struct transfer *t, uint32_t place)
{
	struct place_state *s = place == NONE ? NULL : place_state(t, place);

	return !s || !s->limiter || limiter_has_room(s->limiter);
}

// Would somebody who looks now find a task? Waking a thread for nothing costs as much as a small
// request.
static bool could_take(struct transfer *t)
{
	for (size_t i = 0; i < t->nlanes; i++) {
		const struct lane *lane = &t->lanes[i];

		if (!lane->first && lane->head == NONE)
			continue;
		if (cancelled(t->cfg.cancel) || t->closing)
			return true;
		if (lane->head != NONE && place_state(t, lane->dst)->silences >= SILENCES_MAX)
			return true;
		if (has_room(t, lane->src) && has_room(t, lane->dst))
			return true;
	}
	return false;
}

void workers_wake(struct transfer *t)
{
	if (!could_take(t))
		return;
	if (t->nidle > 0)
		pthread_cond_signal(&t->work);
	else if (t->spawns + t->queued > 0 && t->nthreads < t->cfg.workers)
		add_thread(t);
}

void wait_for_zero(struct transfer *t, const size_t *what)
{
	struct job job;

	while (*what > 0) {
		if (t->nthreads == 0 && take(t, &job))
			work(t, &job);
		else
			pthread_cond_wait(&t->rest, &t->lock);
	}
}

void workers_end(struct transfer *t)
{
	pthread_mutex_lock(&t->lock);
	t->closing = true;
	stop_copying(t);
	wait_for_zero(t, &t->spawns);
	pthread_cond_broadcast(&t->work);
	int n = t->nthreads;

	pthread_mutex_unlock(&t->lock);
	for (int i = 0; i < n; i++)
		pthread_join(t->threads[i], NULL);
	for (size_t i = 0; i < t->nplaces; i++) {
		if (t->places[i]->limiter)
			limiter_on_room(t->places[i]->limiter, NULL, NULL);
		free(t->places[i]);
	}
	free(t->places);
	free(t->lanes);
	free(t->threads);
}
