// SPDX-License-Identifier: Apache-2.0
// A connection from accept to close: which state follows which, and when time has run out.
#include "serve/connection.h"

#include "serve/head.h"
#include "util/clock.h"
#include "util/mem.h"

#include <arpa/inet.h>
#include <assert.h>
#include <openssl/err.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

enum {
	TLS_HANDSHAKE = 0x16, // first byte of a ClientHello
	REQUESTS_A_TURN = 16,
	FLOWS_SPARED = 16, // kept by each thread
	HEAD_KEPT = 4096,
	LINGER_STEPS = 4,
};

// ---- Flows.

static void run_job(struct job *job)
{
	struct flow *f = (struct flow *)((char *)job - offsetof(struct flow, job));
	struct server *s = f->thread->server;

	switch (f->what) {
	case JOB_BEGIN:
	case JOB_PASSWORD:
		f->next = s->cfg.service->begin(s->cfg.service->arg, &f->x);
		break;
	case JOB_BODY:
		body_run(f);
		return;
	case JOB_READ_IN:
		cold_run(s->cold, f);
		return;
	case JOB_UNREADABLE:
		cold_replace(f, f->read_from, f->read_error);
		break;
	}
	flow_tell(f, BACK_DONE);
}

void flow_post(struct flow *f, enum flow_job what)
{
	f->what = what;
	f->job.run = run_job;
	// The queue has a place for each connection, and a connection one job.
	bool posted = workers_post(f->thread->server->workers, &f->job);

	assert(posted);
}

static struct flow *flow_new(struct conn *c)
{
	struct event_thread *t = c->thread;
	struct flow *f = t->spare_flows;

	if (f) {
		t->spare_flows = f->next_spare;
		t->nspare--;
	} else {
		f = xcalloc(1, sizeof(*f));
		pthread_mutex_init(&f->lock, NULL);
		f->thread = t;
		f->last = &f->first;
		f->out.head = (struct buf)BUF_INIT(BUF_TEXT_MAX);
		reply_init(&f->x.reply);
	}
	f->conn = c;
	return f;
}

// Fit for the next exchange.
static void flow_reset(struct flow *f)
{
	mailbox_clear(f);
	reply_clear(&f->x.reply);
	f->x.request.nheaders = 0;
	f->x.state = NULL;
	f->x.body_received = f->x.body_sent = 0;
	f->conn = NULL;
	f->known = f->was_broken = f->cut = false;
	f->dead = false;
	f->refusal = 0;
	f->replaced = 0;
	buf_clear(&f->out.head);
	f->out = (struct cursor){.head = f->out.head};
	if (f->head_cap > HEAD_KEPT) {
		free(f->head);
		f->head = NULL;
		f->head_cap = 0;
	}
	if (f->out.head.cap > HEAD_KEPT)
		buf_free(&f->out.head);
}

void flow_destroy(struct flow *f)
{
	pthread_mutex_destroy(&f->lock);
	buf_free(&f->out.head);
	free(f->head);
	free(f);
}

// The exchange is over.
static void flow_end(struct conn *c, bool complete)
{
	struct flow *f = c->flow;
	const struct service *service = c->thread->server->cfg.service;

	if (!f)
		return;
	c->flow = NULL;
	if (f->known && service->done)
		service->done(service->arg, &f->x, complete);
	flow_reset(f);
	if (c->thread->nspare == FLOWS_SPARED) {
		flow_destroy(f);
		return;
	}
	f->next_spare = c->thread->spare_flows;
	c->thread->spare_flows = f;
	c->thread->nspare++;
}

// ---- Life and death.

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	(void)fd;
	c->thread->now = clock_us();
	if (what & (EV_READ | EV_CLOSED))
		c->readable = true;
	if (what & EV_WRITE)
		c->writable = true;
	if (what & EV_CLOSED)
		c->hung_up = true;
	c->turns = 0;
	conn_run(c);
}

static void name_peer(struct conn *c, const struct in6_addr *a)
{
	if (IN6_IS_ADDR_V4MAPPED(a))
		inet_ntop(AF_INET, &a->s6_addr[12], c->peer, sizeof(c->peer));
	else
		inet_ntop(AF_INET6, a, c->peer, sizeof(c->peer));
}

void conn_accepted(struct event_thread *t, int fd, const struct in6_addr *address)
{
	struct conn *c = xcalloc(1, sizeof(*c));

	c->thread = t;
	c->fd = fd;
	c->address = *address;
	c->writable = true;
	c->first = true;
	c->since = t->now;
	c->state = t->server->tls ? CONN_HELLO : CONN_HEAD;
	name_peer(c, address);
	c->next = t->conns;
	if (t->conns)
		t->conns->prev = c;
	t->conns = c;
	t->nconns++;
	event_assign(&c->event, t->base, fd, EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST,
		     on_socket, c);
	if (event_add(&c->event, NULL) < 0)
		conn_kill(c);
}

static void unlink_waiting(struct conn *c)
{
	struct event_thread *t = c->thread;

	if (c->queued)
		for (struct conn **p = &t->ready; *p; p = &(*p)->next_ready)
			if (*p == c) {
				*p = c->next_ready;
				if (!*p)
					t->last_ready = p;
				break;
			}
	if (c->starving)
		for (struct conn **p = &t->starving; *p; p = &(*p)->next_starving)
			if (*p == c) {
				*p = c->next_starving;
				break;
			}
}

static void conn_free(struct conn *c)
{
	struct event_thread *t = c->thread;

	flow_end(c, false);
	unlink_waiting(c);
	*(c->prev ? &c->prev->next : &t->conns) = c->next;
	if (c->next)
		c->next->prev = c->prev;
	t->nconns--;
	event_del(&c->event);
	SSL_free(c->ssl);
	close(c->fd);
	server_forget(t->server, &c->address);
	free(c->in);
	free(c);
}

void conn_kill(struct conn *c)
{
	if (c->state == CONN_BODY)
		body_break(c);
	if (c->state != CONN_WORK) {
		conn_free(c);
		return;
	}
	c->dead = true;
	c->flow->dead = true;
}

// Our last word is out. Closing while bytes of the peer are unread would reset the connection, and
// take the answer away from it.
static enum step linger(struct conn *c)
{
	if (c->ssl && !c->broken) {
		SSL_shutdown(c->ssl);
		ERR_clear_error();
	}
	if (shutdown(c->fd, SHUT_WR) < 0)
		return STEP_GONE;
	c->state = CONN_LINGER;
	c->since = c->thread->now;
	return STEP_AGAIN;
}

static enum step linger_step(struct conn *c)
{
	for (int i = 0; i < LINGER_STEPS; i++) {
		ssize_t r = recv(c->fd, c->thread->scratch, SCRATCH_SIZE, MSG_DONTWAIT);

		if (r == 0 || (r < 0 && errno != EAGAIN && errno != EINTR))
			return STEP_GONE;
		if (r < 0 && errno == EAGAIN)
			return STEP_WAIT;
	}
	return STEP_YIELD;
}

// ---- Requests.

void conn_await(struct conn *c)
{
	c->state = CONN_HEAD;
	c->partial = false;
	c->since = c->thread->now;
}

enum step conn_answered(struct conn *c)
{
	bool close_now = c->close_after || c->thread->server->stopping;

	flow_end(c, true);
	if (close_now)
		return linger(c);
	c->first = false;
	if (c->body_left > 0) {
		c->state = CONN_DRAIN;
		c->since = c->thread->now;
		return STEP_AGAIN;
	}
	conn_await(c);
	return STEP_AGAIN;
}

// Answers without the service: what came is no request, or came too slowly.
static enum step refuse(struct conn *c, int status, const char *text)
{
	if (!c->flow) {
		c->flow = flow_new(c);
		c->flow->x.request = (struct request){.method = METHOD_OTHER};
		c->body_left = 0;
	}
	send_refusal(&c->flow->x.reply, status, "UNSUPPORTED", text);
	send_start(c);
	return STEP_AGAIN;
}

static void rebase(struct str *s, const char *from, const char *to)
{
	if (s->p)
		s->p = to + (s->p - from);
}

// The head moves out of the receive buffer, to where it stays until the exchange is over.
static void keep_head(struct flow *f, const char *head, size_t n)
{
	struct request *r = &f->x.request;

	if (n > f->head_cap) {
		free(f->head);
		f->head = xmalloc(n);
		f->head_cap = n;
	}
	memcpy(f->head, head, n);
	rebase(&r->method_text, head, f->head);
	rebase(&r->path, head, f->head);
	rebase(&r->query, head, f->head);
	for (unsigned i = 0; i < r->nheaders; i++) {
		rebase(&r->headers[i].name, head, f->head);
		rebase(&r->headers[i].value, head, f->head);
	}
}

static enum step begin(struct conn *c)
{
	struct flow *f = c->flow;
	struct exchange *x = &f->x;
	const struct service *service = c->thread->server->cfg.service;

	x->request.peer = c->peer;
	x->request.tls = c->ssl != NULL;
	x->started_us = c->thread->now;
	c->body_left = x->request.has_length ? x->request.length : 0;
	c->chunked = (struct chunked){0};
	c->told = !x->request.expect_continue;
	c->told_at = 0;
	f->known = true;
	if (service->quick && service->quick(service->arg, x)) {
		send_start(c);
		return STEP_AGAIN;
	}
	c->state = CONN_WORK;
	flow_post(f, JOB_BEGIN);
	return STEP_WAIT;
}

// Reads more of a head, behind what there is of it. As conn_recv; *ret is all of it.
static ssize_t receive_head(struct conn *c, struct str *ret)
{
	char *to = (char *)c->thread->scratch;
	size_t room = REQUEST_HEAD_MAX;

	if (c->in) {
		size_t have = c->in_n - c->in_at;

		assert(have < REQUEST_HEAD_MAX);
		if (c->in_cap < REQUEST_HEAD_MAX || c->in_at > 0) {
			char *in = xmalloc(REQUEST_HEAD_MAX);

			memcpy(in, c->in + c->in_at, have);
			free(c->in);
			c->in = in;
			c->in_at = 0;
			c->in_n = (uint32_t)have;
			c->in_cap = REQUEST_HEAD_MAX;
		}
		to = c->in + have;
		room = c->in_cap - have;
	}
	ssize_t r = conn_recv(c, to, room);

	if (r > 0 && c->in)
		c->in_n += (uint32_t)r;
	if (r > 0)
		*ret = c->in ? (struct str){c->in, c->in_n} : (struct str){to, (size_t)r};
	return r;
}

// DATA is received and not consumed: of c->in, or of the scratch buffer, where it cannot stay.
static enum step parse_head(struct conn *c, struct str data)
{
	int status;
	struct err e;
	bool borrowed = !c->in;

	if (c->first && !c->ssl && (unsigned char)data.p[0] == TLS_HANDSHAKE)
		return refuse(c, 400, "this port speaks plain HTTP, not TLS");
	c->flow = flow_new(c);
	size_t most = data.n < REQUEST_HEAD_MAX ? data.n : REQUEST_HEAD_MAX;
	int n = head_parse(&c->flow->x.request, data.p, most, &status, &e);

	if (n == 0 && data.n < REQUEST_HEAD_MAX) {
		flow_end(c, false);
		if (!c->partial && !c->first)
			c->since = c->thread->now;
		c->partial = true;
		c->readable = true; // see conn_recv
		if (borrowed)
			conn_unread(c, data.p, data.n);
		return STEP_AGAIN;
	}
	if (n <= 0) {
		c->flow->x.request = (struct request){.method = METHOD_OTHER};
		c->body_left = 0;
		c->chunked.done = true;
		return refuse(c, n == 0 ? 431 : status, n == 0 ? "the head is too long" : e.text);
	}
	keep_head(c->flow, data.p, (size_t)n);
	c->partial = false;
	if (borrowed)
		conn_unread(c, data.p + n, data.n - (size_t)n);
	else
		conn_consume(c, (size_t)n);
	return begin(c);
}

static enum step head_step(struct conn *c)
{
	struct str data = {c->in ? c->in + c->in_at : NULL, c->in_n - c->in_at};

	if (!c->in || c->partial) {
		size_t had = data.n;
		ssize_t r = receive_head(c, &data);

		if (r == IO_BLOCKED)
			return STEP_WAIT;
		if (r <= 0)
			return STEP_GONE;
		// Only the end of a line can complete a head.
		if (had > 0 && data.n < REQUEST_HEAD_MAX &&
		    !memchr(data.p + had, '\n', (size_t)r)) {
			c->readable = true; // see conn_recv
			return STEP_AGAIN;
		}
	}
	if (++c->turns > REQUESTS_A_TURN) {
		// What is in the scratch buffer would be overwritten by others.
		if (!c->in)
			conn_unread(c, data.p, data.n);
		c->partial = false;
		return STEP_YIELD;
	}
	return parse_head(c, data);
}

// ---- TLS.

// A first byte that begins no TLS record: someone speaks plain HTTP to us, and is told so in plain.
static bool is_plain(struct conn *c)
{
	static const char answer[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n"
				     "Content-Length: 34\r\nConnection: close\r\n\r\n"
				     "this port speaks TLS: use https://";
	char first;

	if (c->ssl || recv(c->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) != 1 || first < 'A' ||
	    first > 'Z')
		return false;
	return send(c->fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) > 0;
}

static enum step hello_step(struct conn *c)
{
	if (!c->readable)
		return STEP_WAIT;
	if (is_plain(c))
		return linger(c);
	if (!c->ssl)
		c->ssl = server_tls_session(c->thread->server->tls, c->fd);
	if (!c->ssl)
		return STEP_GONE;
	ERR_clear_error();
	int r = SSL_accept(c->ssl);

	if (r == 1) {
		conn_await(c);
		return STEP_AGAIN;
	}
	int why = SSL_get_error(c->ssl, r);

	if (why == SSL_ERROR_WANT_READ)
		c->readable = false;
	else if (why == SSL_ERROR_WANT_WRITE)
		c->writable = false;
	else
		return c->broken = true, STEP_GONE;
	return STEP_WAIT;
}

// ---- The machine.

static enum step step(struct conn *c)
{
	switch (c->state) {
	case CONN_HELLO:
		return hello_step(c);
	case CONN_HEAD:
		return head_step(c);
	case CONN_WORK:
		return STEP_WAIT;
	case CONN_BODY:
		return body_step(c);
	case CONN_SEND:
		return send_step(c);
	case CONN_DRAIN:
		return drain_step(c);
	case CONN_LINGER:
		return linger_step(c);
	}
	return STEP_GONE;
}

void conn_run(struct conn *c)
{
	for (;;) {
		switch (step(c)) {
		case STEP_AGAIN:
			continue;
		case STEP_WAIT:
			return;
		case STEP_YIELD:
			thread_ready(c->thread, c);
			return;
		case STEP_GONE:
			conn_free(c);
			return;
		}
	}
}

static void after_begin(struct conn *c)
{
	struct flow *f = c->flow;

	if (f->next == NEXT_REPLY) {
		send_start(c);
	} else if (f->next == NEXT_BODY) {
		body_start(c);
	} else {
		f->what = JOB_PASSWORD;
		if (workers_post(c->thread->server->password_workers, &f->job))
			return;
		send_refusal(&f->x.reply, 429, "TOOMANYREQUESTS",
			     "too many passwords are being checked");
		reply_header(&f->x.reply, "Retry-After", "1");
		f->x.reply.close = false;
		send_start(c);
	}
}

static void after_body(struct conn *c)
{
	struct flow *f = c->flow;
	bool was_broken = f->was_broken;

	mailbox_clear(f);
	if (was_broken)
		send_refusal(&f->x.reply, f->refusal, "BLOB_UPLOAD_INVALID", f->refusal_text);
	send_start(c);
}

// The worker of a dead connection is back.
static void bury(struct conn *c)
{
	struct flow *f = c->flow;

	// The service waits for a body, and has to hear that there is none.
	if (f->what <= JOB_PASSWORD && f->next == NEXT_BODY)
		body_break(c);
	else
		conn_free(c);
}

// The exchange goes on where it left for a worker. False: it cannot.
static bool resume(struct conn *c)
{
	struct flow *f = c->flow;

	switch (f->what) {
	case JOB_BEGIN:
	case JOB_PASSWORD:
		after_begin(c);
		return true;
	case JOB_BODY:
		after_body(c);
		return true;
	case JOB_READ_IN:
	case JOB_UNREADABLE:
		c->state = CONN_SEND;
		c->since = c->thread->now;
		return !f->cut;
	}
	return false;
}

void flow_back(struct flow *f, unsigned news)
{
	struct conn *c = f->conn;

	c->turns = 0;
	if (!(news & BACK_DONE))
		conn_run(c);
	else if (c->dead)
		bury(c);
	else if (resume(c))
		conn_run(c);
	else
		conn_free(c);
}

// ---- Time.

static uint64_t idle_limit(const struct server *s)
{
	const struct server_tuning *t = &s->tuning;

	return server_busy(s) && t->busy_idle_us < t->idle_us ? t->busy_idle_us : t->idle_us;
}

// Has the client sent what must come in a window of time? What is left may be less than that.
static void judge_body(struct conn *c)
{
	const struct server_tuning *t = &c->thread->server->tuning;

	if (c->hindered || c->window_bytes >= t->body_bytes)
		body_start(c);
	else
		body_fail(c, 408, "the body came too slowly");
}

void conn_tick(struct conn *c)
{
	const struct server_tuning *t = &c->thread->server->tuning;
	uint64_t age = c->thread->now - c->since;

	switch (c->state) {
	case CONN_HELLO:
		if (age >= t->head_us)
			conn_free(c);
		return;
	case CONN_HEAD:
		if (c->partial && age >= t->head_us) {
			refuse(c, 408, "the head came too slowly");
			conn_run(c);
		} else if (!c->partial &&
			   age >= (c->first && !c->ssl ? t->head_us
						       : idle_limit(c->thread->server))) {
			conn_free(c);
		}
		return;
	case CONN_WORK:
		return;
	case CONN_BODY:
		if (age >= t->body_us)
			judge_body(c);
		return;
	case CONN_SEND:
		if (age >= t->send_stall_us)
			conn_free(c);
		return;
	case CONN_DRAIN:
		if (age >= t->body_us)
			conn_free(c);
		return;
	case CONN_LINGER:
		if (age >= t->linger_us)
			conn_free(c);
		return;
	}
}

void conn_quit(struct conn *c)
{
	if (c->state == CONN_HELLO || (c->state == CONN_HEAD && !c->in))
		conn_free(c);
}
