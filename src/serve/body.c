// SPDX-License-Identifier: Apache-2.0
// Request bodies: the event thread reads them into slabs, a worker hands those to the service.
//
// What is read goes into the flow's mailbox at the end of each read, so a slow client holds no slab
// between its packets. A full mailbox or an empty pool stops the reading, and TCP pushes back.
#include "serve/connection.h"

#include "util/mem.h"

#include <assert.h>
#include <string.h>

enum {
	BODY_TURN = 256 * 1024, // read before it is another connection's turn
	WORKER_TURN = 4,        // mailboxes consumed before it is another exchange's turn
};

static const struct str continue_line = {"HTTP/1.1 100 Continue\r\n\r\n", 25};

ssize_t conn_input(struct conn *c, void *buf, size_t n)
{
	if (!c->in)
		return conn_recv(c, buf, n);
	size_t have = c->in_n - c->in_at;

	if (n > have)
		n = have;
	memcpy(buf, c->in + c->in_at, n);
	conn_consume(c, n);
	return (ssize_t)n;
}

void conn_consume(struct conn *c, size_t n)
{
	c->in_at += (uint32_t)n;
	if (c->in_at < c->in_n)
		return;
	free(c->in);
	c->in = NULL;
	c->in_at = c->in_n = c->in_cap = 0;
}

void conn_unread(struct conn *c, const void *p, size_t n)
{
	if (n == 0)
		return;
	size_t have = c->in_n - c->in_at;
	char *joined = xmalloc(n + have);

	memcpy(joined, p, n);
	if (have)
		memcpy(joined + n, c->in + c->in_at, have);
	free(c->in);
	c->in = joined;
	c->in_at = 0;
	c->in_n = c->in_cap = (uint32_t)(n + have);
}

void body_start(struct conn *c)
{
	c->state = CONN_BODY;
	c->readable = true; // or it would not be known that the client is gone: see conn_recv
	c->since = c->thread->now;
	c->window_bytes = 0;
	c->hindered = c->stalled;
}

// ---- The mailbox.

// Called locked; true when the flow must be posted, once it is not: a worker that wakes up to a
// lock that is held goes back to sleep.
static bool start_locked(struct flow *f)
{
	bool idle = !f->running;

	f->running = true;
	return idle;
}

// False: full, and BACK_ROOM will come.
static bool has_room(struct flow *f)
{
	pthread_mutex_lock(&f->lock);
	bool room = f->queued < BODY_QUEUE;

	f->full = !room;
	pthread_mutex_unlock(&f->lock);
	return room;
}

static void put(struct flow *f, struct slab *s)
{
	pthread_mutex_lock(&f->lock);
	*f->last = s;
	f->last = &s->next;
	f->queued++;
	bool idle = start_locked(f);

	pthread_mutex_unlock(&f->lock);
	if (idle)
		flow_post(f, JOB_BODY);
}

static void finish(struct conn *c, bool broken)
{
	struct flow *f = c->flow;

	c->state = CONN_WORK;
	pthread_mutex_lock(&f->lock);
	*(broken ? &f->broken : &f->complete) = true;
	bool idle = start_locked(f);

	pthread_mutex_unlock(&f->lock);
	if (idle)
		flow_post(f, JOB_BODY);
}

void body_break(struct conn *c)
{
	finish(c, true);
}

// All that waits, and leaves room for as much. Called locked.
static struct slab *take(struct flow *f)
{
	struct slab *all = f->first;

	f->first = NULL;
	f->last = &f->first;
	f->queued = 0;
	return all;
}

static void free_all(struct slab *s)
{
	for (struct slab *next; s; s = next) {
		next = s->next;
		slab_free(s);
	}
}

void mailbox_clear(struct flow *f)
{
	pthread_mutex_lock(&f->lock);
	free_all(take(f));
	f->running = f->full = f->complete = f->broken = false;
	pthread_mutex_unlock(&f->lock);
}

// Hands the slabs from S on to the service. False: it wants no more, and has set the reply.
static bool consume(struct flow *f, struct slab *s)
{
	const struct service *service = f->thread->server->cfg.service;
	int r = 0;

	for (struct slab *next; s && r == 0; s = next) {
		next = s->next;
		f->x.body_received += s->n;
		r = service->body(service->arg, &f->x, s->data, s->n);
		slab_free(s);
	}
	free_all(s);
	return r == 0;
}

// The last of the body has been consumed, or will never come.
static void conclude(struct flow *f, bool broken)
{
	const struct service *service = f->thread->server->cfg.service;

	f->was_broken = broken;
	if (!broken)
		service->end(service->arg, &f->x);
	else if (service->broken)
		service->broken(service->arg, &f->x);
	flow_tell(f, BACK_DONE);
}

void body_run(struct flow *f)
{
	for (int i = 0; i < WORKER_TURN; i++) {
		pthread_mutex_lock(&f->lock);
		struct slab *s = take(f);
		bool broken = f->broken, over = broken || f->complete, was_full = f->full;

		f->full = false;
		f->running = s || over;
		pthread_mutex_unlock(&f->lock);
		// Once nothing runs, F may go away; but a mailbox that was full was not empty.
		if (was_full)
			flow_tell(f, BACK_ROOM);
		if (!s && !over)
			return;
		if (!s) {
			conclude(f, broken);
			return;
		}
		if (!consume(f, s)) {
			flow_tell(f, BACK_DONE);
			return;
		}
	}
	flow_post(f, JOB_BODY);
}

// ---- The event thread's side.

enum fill { FILL_FULL, FILL_OVER, FILL_BLOCKED, FILL_GONE, FILL_BAD };

// Moves the body bytes among the N received at the end of S together.
static enum fill decode(struct conn *c, struct slab *s, size_t n)
{
	unsigned char *from = s->data + s->n, *end = from + n;

	while (from < end && !c->chunked.done) {
		struct err e;
		size_t body;
		ptrdiff_t used = chunked_next(&c->chunked, (const char *)from, (size_t)(end - from),
					      &body, &e);

		if (used < 0)
			return FILL_BAD;
		memmove(s->data + s->n, from + used - body, body);
		s->n += body;
		from += used;
	}
	conn_unread(c, from, (size_t)(end - from));
	return c->chunked.done ? FILL_OVER : FILL_FULL;
}

static bool body_over(const struct conn *c)
{
	return c->flow->x.request.chunked ? c->chunked.done : c->body_left == 0;
}

// Reads into S until it is full or nothing more can be had now.
static enum fill fill(struct conn *c, struct slab *s)
{
	bool chunked = c->flow->x.request.chunked;

	// Chunks may be all framing: a turn ends at what was read as well.
	for (size_t taken = 0; !body_over(c);) {
		size_t room = SLAB_SIZE - s->n;

		if (room == 0 || taken >= SLAB_SIZE)
			return FILL_FULL;
		if (!chunked && room > c->body_left)
			room = (size_t)c->body_left;
		ssize_t r = conn_input(c, s->data + s->n, room);

		if (r <= 0)
			return r == IO_BLOCKED ? FILL_BLOCKED : FILL_GONE;
		c->window_bytes += (uint64_t)r;
		taken += (size_t)r;
		if (!chunked) {
			c->body_left -= (uint64_t)r;
			s->n += (size_t)r;
		} else if (decode(c, s, (size_t)r) == FILL_BAD) {
			return FILL_BAD;
		}
	}
	return FILL_OVER;
}

static void starve(struct conn *c)
{
	c->hindered = c->stalled = true;
	if (c->starving)
		return;
	c->starving = true;
	c->next_starving = c->thread->starving;
	c->thread->starving = c;
}

// Says that the body is welcome, if the client waits for that.
static enum step encourage(struct conn *c)
{
	// One that has begun to send does not wait.
	if (c->in)
		c->told = true;
	while (!c->told) {
		ssize_t r = conn_send(c, continue_line.p + c->told_at, continue_line.n - c->told_at,
				      false);

		if (r == IO_BLOCKED)
			return STEP_WAIT;
		if (r < 0) {
			c->dead = true;
			body_break(c);
			return STEP_WAIT;
		}
		c->told_at = (uint8_t)(c->told_at + r);
		c->told = c->told_at == continue_line.n;
	}
	return STEP_AGAIN;
}

// Reads one slab's worth.
static enum step read_slab(struct conn *c, size_t *budget)
{
	if (!has_room(c->flow)) {
		c->hindered = c->stalled = true;
		return STEP_WAIT;
	}
	struct slab *s = slab_try(c->thread->server->slabs);

	if (!s) {
		starve(c);
		return STEP_WAIT;
	}
	uint64_t before = c->window_bytes;
	enum fill got = fill(c, s);
	uint64_t taken = c->window_bytes - before;

	*budget -= taken < *budget ? (size_t)taken : *budget;
	if (s->n)
		put(c->flow, s);
	else
		slab_free(s);
	if (got == FILL_FULL)
		return STEP_AGAIN;
	if (got == FILL_OVER) {
		finish(c, false);
	} else if (got == FILL_BAD) {
		body_fail(c, 400, "the chunked body is malformed");
	} else if (got == FILL_GONE) {
		c->dead = true;
		body_break(c);
	}
	return STEP_WAIT;
}

void body_fail(struct conn *c, int status, const char *text)
{
	c->flow->refusal = status;
	c->flow->refusal_text = text;
	body_break(c);
}

enum step body_step(struct conn *c)
{
	size_t budget = BODY_TURN;

	c->stalled = false;
	if (!c->told && encourage(c) == STEP_WAIT)
		return STEP_WAIT;
	while (c->state == CONN_BODY) {
		if (budget == 0)
			return STEP_YIELD;
		if (body_over(c))
			finish(c, false);
		else if (read_slab(c, &budget) == STEP_WAIT)
			return STEP_WAIT;
	}
	return STEP_WAIT;
}

enum step drain_step(struct conn *c)
{
	while (c->body_left > 0) {
		size_t n = c->body_left < SCRATCH_SIZE ? (size_t)c->body_left : SCRATCH_SIZE;
		ssize_t r = conn_input(c, c->thread->scratch, n);

		if (r == IO_BLOCKED)
			return STEP_WAIT;
		if (r <= 0)
			return STEP_GONE;
		c->body_left -= (uint64_t)r;
	}
	conn_await(c);
	return STEP_AGAIN;
}
