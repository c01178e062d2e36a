// SPDX-License-Identifier: Apache-2.0
// A scripted HTTP/1.1 server in the test's own process: a table of answers, a log of requests.
//
//	static const struct fake_answer script[] = {
//		{.path = "/blob", .times = 1, .status = 503},
//		{.path = "/blob", .status = 200, .body = "hello"},
//		{0},
//	};
//	struct fake_server *s = fake_server_start(script);
//	... fake_server_url(s, "/blob") ...
//	CHECK_INT(fake_server_requests(s), 2);
//	fake_server_stop(s);
//
// The first answer that matches and is not used up is given; 404 when there is none. A thread a
// connection. Functions take locks of their own: any thread may call them.
#ifndef TESTS_UNIT_NET_FAKE_SERVER_H
#define TESTS_UNIT_NET_FAKE_SERVER_H

#include "util/cleanup.h"
#include "util/mem.h"
#include "util/str.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum fake_flags {
	FAKE_DROP = 1 << 0,  // close instead of answering
	FAKE_RESET = 1 << 1, // the same by RST
	FAKE_HANG = 1 << 2,  // say nothing until the server stops
	FAKE_DEAF = 1 << 3,  // do not read the request's body; with FAKE_HANG the sender blocks
	FAKE_CLOSE = 1 << 4, // close behind the answer without having announced it
	FAKE_CUT = 1 << 5,   // close behind .cut bytes of the body
	FAKE_STALL = 1 << 6, // hang behind .cut bytes of the body
	FAKE_RANGE = 1 << 7, // honour Range
	FAKE_CHUNKED = 1 << 8,
	FAKE_RAW = 1 << 9, // .body is the whole answer, head included; then close
	// Of the first answer: .body is sent when the first byte comes, whatever it is; then close.
	FAKE_BLURT = 1 << 10,
};

struct fake_conn;
struct fake_request;

struct fake_answer {
	const char *method, *path; // NULL: any; the path without its query
	int times;                 // 0: always
	int status;
	const char *headers; // "Name: value\r\n"..., or NULL
	const char *body;    // NULL: empty
	size_t body_len;     // 0: strlen(body)
	size_t cut;
	unsigned flags;
	// Instead of all that: writes the answer itself with fake_send.
	void (*serve)(struct fake_conn *c, const struct fake_request *r, void *arg);
	void *arg;
};

struct fake_request {
	char *method, *path, *query; // query "" or without '?'
	char *head;                  // header lines
	char *body;                  // the first 64 KiB, NUL-terminated
	uint64_t body_len;           // all of it
	int connection;              // counted from 0
};

struct fake_conn {
	struct fake_server *server;
	struct fake_conn *next;
	pthread_t thread;
	int fd, number;
	SSL *ssl;
	struct buf in; // read, not yet used
	bool shut;
};

struct fake_server {
	const struct fake_answer *script;
	SSL_CTX *tls;
	int listener, port, quit[2];
	pthread_t thread;
	pthread_mutex_t lock; // guards what follows
	pthread_cond_t changed;
	struct fake_conn *conns;
	int nconns;
	int *used; // of each answer
	struct fake_request *log;
	size_t nlog, log_cap;
	bool stopping;
};

static inline bool fake_send(struct fake_conn *c, const void *data, size_t n)
{
	const char *p = data;

	while (n > 0) {
		ssize_t done = c->ssl ? SSL_write(c->ssl, p, n > 1 << 20 ? 1 << 20 : (int)n)
				      : send(c->fd, p, n, MSG_NOSIGNAL);

		if (done <= 0)
			return false;
		p += done;
		n -= (size_t)done;
	}
	return true;
}

static inline bool fake_receive(struct fake_conn *c)
{
	char chunk[65536];
	ssize_t n = c->ssl ? SSL_read(c->ssl, chunk, sizeof(chunk))
			   : recv(c->fd, chunk, sizeof(chunk), 0);

	if (n <= 0)
		return false;
	buf_put(&c->in, chunk, (size_t)n);
	return true;
}

static inline void fake_consume(struct fake_conn *c, size_t n)
{
	memmove(c->in.p, c->in.p + n, c->in.n - n + 1);
	c->in.n -= n;
}

// The value of a header in the lines HEAD; caller frees; NULL when absent.
static inline char *fake_header(const char *head, const char *name)
{
	size_t n = strlen(name);

	for (const char *line = head; *line; line = strchr(line, '\n') + 1) {
		if (strncasecmp(line, name, n) == 0 && line[n] == ':') {
			const char *from = line + n + 1 + strspn(line + n + 1, " ");

			return xstrndup(from, strcspn(from, "\r\n"));
		}
	}
	return NULL;
}

static inline bool fake_read_head(struct fake_conn *c, struct fake_request *r)
{
	char *end;

	while (!(end = c->in.n ? strstr(c->in.p, "\r\n\r\n") : NULL))
		if (!fake_receive(c))
			return false;
	char *line_end = strstr(c->in.p, "\r\n");
	struct str line = {c->in.p, (size_t)(line_end - c->in.p)}, rest = line;
	struct str method = str_cut(&rest, ' '), target = str_cut(&rest, ' ');
	struct str path = str_cut(&target, '?');

	r->method = xstrndup(method.p, method.n);
	r->path = xstrndup(path.p, path.n);
	r->query = target.p ? xstrndup(target.p, target.n) : xstrdup("");
	r->head = xstrndup(line_end + 2, (size_t)(end - line_end));
	r->connection = c->number;
	fake_consume(c, (size_t)(end + 4 - c->in.p));
	return true;
}

static inline bool fake_read_body(struct fake_conn *c, struct fake_request *r)
{
	auto_free char *length = fake_header(r->head, "Content-Length");
	auto_buf struct buf kept = BUF_INIT(BUF_TEXT_MAX);
	uint64_t left = 0;

	if (length && !str_u64(str_of(length), UINT64_MAX, &left))
		return false;
	r->body_len = left;
	while (left > 0) {
		if (c->in.n == 0 && !fake_receive(c))
			return false;
		size_t n = c->in.n < left ? c->in.n : (size_t)left;

		if (kept.n + n <= 65536)
			buf_put(&kept, c->in.p, n);
		fake_consume(c, n);
		left -= n;
	}
	r->body = buf_take(&kept);
	return true;
}

static inline const struct fake_answer *fake_choose(struct fake_server *s,
						    const struct fake_request *r)
{
	static const struct fake_answer missing = {.status = 404};
	const struct fake_answer *found = &missing;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; s->script[i].status || s->script[i].serve || s->script[i].flags; i++) {
		const struct fake_answer *a = &s->script[i];

		if ((a->method && strcmp(a->method, r->method) != 0) ||
		    (a->path && strcmp(a->path, r->path) != 0) ||
		    (a->times && s->used[i] >= a->times))
			continue;
		s->used[i]++;
		found = a;
		break;
	}
	pthread_mutex_unlock(&s->lock);
	return found;
}

static inline void fake_log(struct fake_server *s, const struct fake_request *r)
{
	pthread_mutex_lock(&s->lock);
	vec_reserve(s->log, s->nlog, s->log_cap);
	s->log[s->nlog++] = *r;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static inline void fake_hang(struct fake_conn *c)
{
	struct fake_server *s = c->server;

	pthread_mutex_lock(&s->lock);
	while (!s->stopping)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

static inline void fake_reset(struct fake_conn *c)
{
	struct linger now = {.l_onoff = 1};

	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

// Head and body of an ordinary answer; true when the connection stays.
static inline bool fake_answer(struct fake_conn *c, const struct fake_request *r,
			       const struct fake_answer *a)
{
	const char *body = a->body ? a->body : "";
	size_t n = a->body_len ? a->body_len : strlen(body), whole = n;
	auto_free char *range = fake_header(r->head, "Range");
	auto_buf struct buf head = BUF_INIT(BUF_TEXT_MAX);
	uint64_t from = 0;
	int status = a->status;

	if (a->flags & FAKE_RAW) {
		fake_send(c, body, n);
		return false;
	}
	if ((a->flags & FAKE_RANGE) && range &&
	    str_u64((struct str){range + 6, strcspn(range + 6, "-")}, whole, &from)) {
		status = 206;
		body += from;
		n -= (size_t)from;
	}
	buf_printf(&head, "HTTP/1.1 %d Scripted\r\n%s", status, a->headers ? a->headers : "");
	if (status == 206 && (a->flags & FAKE_RANGE))
		buf_printf(&head, "Content-Range: bytes %zu-%zu/%zu\r\n", (size_t)from, whole - 1,
			   whole);
	if (a->flags & FAKE_CHUNKED)
		buf_puts(&head, "Transfer-Encoding: chunked\r\n\r\n");
	else
		buf_printf(&head, "Content-Length: %zu\r\n\r\n", n);
	bool no_body = strcmp(r->method, "HEAD") == 0;
	size_t sent = (a->flags & (FAKE_CUT | FAKE_STALL)) && a->cut < n ? a->cut : n;

	if (no_body)
		return fake_send(c, head.p, head.n);
	if (a->flags & FAKE_CHUNKED)
		buf_printf(&head, "%zx\r\n", n);
	if (!fake_send(c, head.p, head.n) || !fake_send(c, body, sent))
		return false;
	if ((a->flags & FAKE_CHUNKED) && !fake_send(c, "\r\n0\r\n\r\n", 7))
		return false;
	if (a->flags & FAKE_STALL)
		fake_hang(c);
	return !(a->flags & (FAKE_CUT | FAKE_STALL | FAKE_CLOSE));
}

static inline bool fake_blurt(struct fake_conn *c)
{
	const struct fake_answer *a = &c->server->script[0];

	if (!(a->flags & FAKE_BLURT))
		return false;
	if (fake_receive(c))
		fake_send(c, a->body, strlen(a->body));
	return true;
}

// Closing with bytes unread would reset the connection, and take the answer away from its reader.
static inline void fake_linger(struct fake_conn *c)
{
	char unread[16384];

	shutdown(c->fd, SHUT_WR);
	while (recv(c->fd, unread, sizeof(unread), 0) > 0)
		;
}

static inline bool fake_turn(struct fake_conn *c)
{
	struct fake_request r = {0};

	if (!fake_read_head(c, &r))
		return false;
	const struct fake_answer *a = fake_choose(c->server, &r);
	bool whole = (a->flags & FAKE_DEAF) || fake_read_body(c, &r);

	fake_log(c->server, &r);
	if (!whole)
		return false;
	if (a->serve) {
		a->serve(c, &r, a->arg);
		return true;
	}
	if (a->flags & FAKE_HANG)
		fake_hang(c);
	if (a->flags & FAKE_RESET)
		fake_reset(c);
	if (a->flags & (FAKE_HANG | FAKE_RESET | FAKE_DROP))
		return false;
	if (!(a->flags & FAKE_DEAF))
		return fake_answer(c, &r, a);
	if (fake_answer(c, &r, a))
		fake_linger(c);
	return false;
}

static inline void *fake_connection(void *arg)
{
	struct fake_conn *c = arg;
	sigset_t pipe_only;

	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE); // SSL_write has no MSG_NOSIGNAL
	pthread_sigmask(SIG_BLOCK, &pipe_only, NULL);
	if (!fake_blurt(c) && (!c->ssl || SSL_accept(c->ssl) == 1))
		while (fake_turn(c))
			;
	if (c->ssl)
		SSL_shutdown(c->ssl);
	pthread_mutex_lock(&c->server->lock);
	c->shut = true;
	close(c->fd);
	pthread_mutex_unlock(&c->server->lock);
	return NULL;
}

static inline void fake_accept(struct fake_server *s)
{
	int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC), on = 1;

	if (fd < 0)
		return;
	struct fake_conn *c = xcalloc(1, sizeof(*c));

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->server = s;
	c->fd = fd;
	c->in = (struct buf)BUF_INIT(BUF_TEXT_MAX);
	if (s->tls) {
		c->ssl = SSL_new(s->tls);
		SSL_set_fd(c->ssl, fd);
	}
	pthread_mutex_lock(&s->lock);
	c->number = s->nconns++;
	c->next = s->conns;
	s->conns = c;
	pthread_mutex_unlock(&s->lock);
	pthread_create(&c->thread, NULL, fake_connection, c);
}

static inline void *fake_listen(void *arg)
{
	struct fake_server *s = arg;
	struct pollfd fds[2] = {{s->listener, POLLIN, 0}, {s->quit[0], POLLIN, 0}};

	while (poll(fds, 2, -1) >= 0 && !fds[1].revents)
		if (fds[0].revents)
			fake_accept(s);
	return NULL;
}

// Speaks TLS when TLS (borrowed) is given; NULL: plain.
static inline struct fake_server *fake_server_start_tls(const struct fake_answer *script,
							SSL_CTX *tls)
{
	struct fake_server *s = xcalloc(1, sizeof(*s));
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	size_t n = 0;

	while (script[n].status || script[n].serve || script[n].flags)
		n++;
	s->script = script;
	s->tls = tls;
	s->used = xcalloc(n + 1, sizeof(*s->used));
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc = bind(s->listener, (struct sockaddr *)&at, sizeof(at));

	assert(rc == 0);
	listen(s->listener, 128);
	getsockname(s->listener, (struct sockaddr *)&at, &len);
	s->port = ntohs(at.sin_port);
	rc = pipe(s->quit);
	assert(rc == 0);
	pthread_create(&s->thread, NULL, fake_listen, s);
	return s;
}

static inline struct fake_server *fake_server_start(const struct fake_answer *script)
{
	return fake_server_start_tls(script, NULL);
}

static inline void fake_server_stop(struct fake_server *s)
{
	if (!s)
		return;
	close(s->quit[1]);
	pthread_join(s->thread, NULL);
	close(s->quit[0]);
	close(s->listener);
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_cond_broadcast(&s->changed);
	for (struct fake_conn *c = s->conns; c; c = c->next)
		if (!c->shut)
			shutdown(c->fd, SHUT_RDWR);
	pthread_mutex_unlock(&s->lock);
	for (struct fake_conn *c = s->conns, *next; c; c = next) {
		next = c->next;
		pthread_join(c->thread, NULL);
		SSL_free(c->ssl);
		buf_free(&c->in);
		free(c);
	}
	for (size_t i = 0; i < s->nlog; i++) {
		free(s->log[i].method);
		free(s->log[i].path);
		free(s->log[i].query);
		free(s->log[i].head);
		free(s->log[i].body);
	}
	free(s->log);
	free(s->used);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->changed);
	free(s);
}
DEFINE_AUTO(fake_server_stop, struct fake_server)

// "http://127.0.0.1:PORT" and PATH; caller frees.
static inline char *fake_server_url(const struct fake_server *s, const char *path)
{
	return xasprintf("%s://127.0.0.1:%d%s", s->tls ? "https" : "http", s->port, path);
}

static inline int fake_server_requests(struct fake_server *s)
{
	pthread_mutex_lock(&s->lock);
	int n = (int)s->nlog;

	pthread_mutex_unlock(&s->lock);
	return n;
}

static inline int fake_server_connections(struct fake_server *s)
{
	pthread_mutex_lock(&s->lock);
	int n = s->nconns;

	pthread_mutex_unlock(&s->lock);
	return n;
}

// Request number I, counted from 0; its strings live until the server stops.
static inline struct fake_request fake_server_request(struct fake_server *s, int i)
{
	struct fake_request r = {0};

	pthread_mutex_lock(&s->lock);
	if ((size_t)i < s->nlog)
		r = s->log[i];
	pthread_mutex_unlock(&s->lock);
	return r;
}

// Returns when N requests have come in all.
static inline void fake_server_await(struct fake_server *s, int n)
{
	pthread_mutex_lock(&s->lock);
	while (s->nlog < (size_t)n)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

#endif
