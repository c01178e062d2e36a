// SPDX-License-Identifier: Apache-2.0
// For tests of the HTTP server: a service that answers by path, and a client that says exactly what
// it is told to.
#ifndef TESTS_HTTP_FAKE_H
#define TESTS_HTTP_FAKE_H

#include "serve/connection.h"
#include "util/clock.h"
#include "util/mem.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>

// Not every test uses all of it.
#pragma GCC diagnostic ignored "-Wunused-function"

enum { FAKE_FILE_SIZE = 3 * 1024 * 1024 + 17 };

// What happened in the service.
static struct fake {
	atomic_int quick, begun, ended, broken, done, complete, unreadable, waiting;
	atomic_ullong received;
	atomic_bool replace; // unreadable finds a good file
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool open; // the gate that /gate waits for
	int file, truncated, memory;
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static unsigned char fake_byte(uint64_t offset)
{
	return (unsigned char)((offset * 2654435761u) >> 13);
}

static void fake_changed(void)
{
	pthread_mutex_lock(&fake.lock);
	pthread_cond_broadcast(&fake.changed);
	pthread_mutex_unlock(&fake.lock);
}

// Waits until *COUNT is WANT; false after 20 s.
static bool fake_wait(atomic_int *count, int want)
{
	struct timespec until;
	int r = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	pthread_mutex_lock(&fake.lock);
	while (*count != want && r == 0)
		r = pthread_cond_timedwait(&fake.changed, &fake.lock, &until);
	pthread_mutex_unlock(&fake.lock);
	return *count == want;
}

static void fake_gate(bool open)
{
	pthread_mutex_lock(&fake.lock);
	fake.open = open;
	pthread_cond_broadcast(&fake.changed);
	pthread_mutex_unlock(&fake.lock);
}

static void fake_wait_for_gate(void)
{
	pthread_mutex_lock(&fake.lock);
	fake.waiting++;
	pthread_cond_broadcast(&fake.changed);
	while (!fake.open)
		pthread_cond_wait(&fake.changed, &fake.lock);
	fake.waiting--;
	pthread_cond_broadcast(&fake.changed);
	pthread_mutex_unlock(&fake.lock);
}

static void fake_set_file(struct reply *r, int fd)
{
	r->file.n = 1;
	r->file.size = FAKE_FILE_SIZE;
	r->file.fds = xmalloc(sizeof(int));
	r->file.sizes = xmalloc(sizeof(uint64_t));
	r->file.fds[0] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	r->file.sizes[0] = FAKE_FILE_SIZE;
}

static void fake_text(struct exchange *x, int status, const char *text)
{
	x->reply.status = status;
	buf_puts(&x->reply.body, text);
}

static void fake_pieces(struct reply *r)
{
	r->status = 206;
	fake_set_file(r, fake.file);
	reply_add_text(r, xstrdup("one:"), 4);
	reply_add_file(r, 100, 5);
	reply_add_text(r, xstrdup(""), 0);
	reply_add_text(r, xstrdup(":two:"), 5);
	reply_add_file(r, FAKE_FILE_SIZE - 100000, 100000);
	reply_add_text(r, xstrdup(":end"), 4);
}

static bool fake_is(const struct exchange *x, const char *path)
{
	return str_eqz(x->request.path, path);
}

static bool fake_quick(void *arg, struct exchange *x)
{
	struct reply *r = &x->reply;

	(void)arg;
	fake.quick++;
	if (fake_is(x, "/text")) {
		fake_text(x, 200, "hello");
	} else if (fake_is(x, "/peer")) {
		fake_text(x, 200, x->request.peer);
	} else if (fake_is(x, "/nothing")) {
		r->status = 204;
	} else if (fake_is(x, "/file") || fake_is(x, "/truncated") || fake_is(x, "/memory")) {
		r->status = 200;
		fake_set_file(r, fake_is(x, "/file")        ? fake.file
				 : fake_is(x, "/truncated") ? fake.truncated
							    : fake.memory);
		reply_add_file(r, 0, FAKE_FILE_SIZE);
	} else if (fake_is(x, "/pieces")) {
		fake_pieces(r);
	} else if (fake_is(x, "/imagined")) {
		r->status = 200;
		r->length = 12345;
	} else {
		return false;
	}
	return true;
}

static enum exchange_next fake_begin(void *arg, struct exchange *x)
{
	(void)arg;
	fake.begun++;
	fake_changed();
	if (fake_is(x, "/gate") || fake_is(x, "/gate-body"))
		fake_wait_for_gate();
	if (fake_is(x, "/password") && !x->state) {
		x->state = &fake;
		return NEXT_PASSWORD;
	}
	if (fake_is(x, "/password"))
		fake_wait_for_gate();
	if (fake_is(x, "/body") || fake_is(x, "/enough") || fake_is(x, "/gate-body") ||
	    fake_is(x, "/stuck"))
		return NEXT_BODY;
	if (fake_is(x, "/refused"))
		fake_text(x, 403, "no");
	else
		fake_text(x, 200, "worked");
	return NEXT_REPLY;
}

static int fake_body(void *arg, struct exchange *x, const void *data, size_t n)
{
	const unsigned char *p = data;

	(void)arg;
	fake.received += n;
	if (fake_is(x, "/stuck"))
		fake_wait_for_gate();
	for (size_t i = 0; i < n; i++)
		if (p[i] != fake_byte(x->body_received - n + i)) {
			fake_text(x, 500, "wrong bytes");
			return -1;
		}
	if (fake_is(x, "/enough")) {
		fake_text(x, 413, "enough");
		return -1;
	}
	return 0;
}

static void fake_end(void *arg, struct exchange *x)
{
	(void)arg;
	fake.ended++;
	x->reply.status = 201;
	buf_printf(&x->reply.body, "%llu", (unsigned long long)x->body_received);
}

static void fake_broken(void *arg, struct exchange *x)
{
	(void)arg, (void)x;
	fake.broken++;
	fake_changed();
}

static bool fake_unreadable(void *arg, struct exchange *x, uint64_t offset, int os)
{
	(void)arg, (void)offset, (void)os;
	fake.unreadable++;
	if (!fake.replace)
		return false;
	store_file_release(&x->reply.file);
	fake_set_file(&x->reply, fake.file);
	return true;
}

static void fake_done(void *arg, struct exchange *x, bool complete)
{
	(void)arg, (void)x;
	fake.done++;
	fake.complete += complete;
	fake_changed();
}

static const struct service fake_service = {.quick = fake_quick,
					    .begin = fake_begin,
					    .body = fake_body,
					    .end = fake_end,
					    .broken = fake_broken,
					    .unreadable = fake_unreadable,
					    .done = fake_done};

static int fake_temporary(void)
{
	char name[] = "/tmp/ferry-http-XXXXXX";
	int fd = mkstemp(name);

	unlink(name);
	return fd;
}

static int fake_fill(int fd, size_t n)
{
	auto_free unsigned char *data = xmalloc(n);

	for (size_t i = 0; i < n; i++)
		data[i] = fake_byte(i);
	if (write(fd, data, n) != (ssize_t)n)
		abort();
	return fd;
}

// A server with the fake service; limits of T, or the defaults.
static struct server *fake_server(const struct server_tuning *t, struct server_config *cfg)
{
	struct server_config plain = {0};
	struct server_limits none = {0};
	struct server_tuning tuning;
	struct server *s;
	struct err e;

	if (!cfg)
		cfg = &plain;
	cfg->listen = "127.0.0.1:0";
	cfg->service = &fake_service;
	if (!cfg->threads)
		cfg->threads = 2;
	server_tuning_from(&tuning, &none);
	if (fake.file == 0) {
		fake.file = fake_fill(fake_temporary(), FAKE_FILE_SIZE);
		fake.truncated = fake_fill(fake_temporary(), FAKE_FILE_SIZE / 2);
		fake.memory = fake_fill(memfd_create("fake", MFD_CLOEXEC), FAKE_FILE_SIZE);
	}
	fake.quick = fake.begun = fake.ended = fake.broken = fake.done = 0;
	fake.complete = fake.unreadable = 0;
	fake.received = 0;
	fake.open = false;
	fake.replace = false;
	if (server_start_tuned(&s, cfg, t ? t : &tuning, &e) < 0) {
		printf("# %s\n", e.text);
		return NULL;
	}
	return s;
}

// The default limits, to change some.
static struct server_tuning fake_tuning(void)
{
	struct server_limits none = {0};
	struct server_tuning t;

	server_tuning_from(&t, &none);
	return t;
}

// ---- The client. Every wait ends after 20 s.

static int client_from(const struct server *s, const char *source, int receive_buffer)
{
	struct sockaddr_in to = {.sin_family = AF_INET}, from = {.sin_family = AF_INET};
	struct timeval patience = {.tv_sec = 20};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons((uint16_t)strtoul(strrchr(server_address(s), ':') + 1, NULL, 10));
	if (receive_buffer)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	inet_pton(AF_INET, source, &from.sin_addr);
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int client(const struct server *s)
{
	return client_from(s, "127.0.0.1", 0);
}

// False when the server would not take it.
static bool say_bytes(int fd, const void *data, size_t n)
{
	while (n > 0) {
		ssize_t w = send(fd, data, n, MSG_NOSIGNAL);

		if (w <= 0)
			return false;
		data = (const char *)data + w;
		n -= (size_t)w;
	}
	return true;
}

static bool say(int fd, const char *text)
{
	return say_bytes(fd, text, strlen(text));
}

// N bytes of the pattern that /body expects, from OFFSET on.
static bool say_pattern(int fd, uint64_t offset, size_t n)
{
	unsigned char data[16 * 1024];

	while (n > 0) {
		size_t now = n < sizeof(data) ? n : sizeof(data);

		for (size_t i = 0; i < now; i++)
			data[i] = fake_byte(offset + i);
		if (!say_bytes(fd, data, now))
			return false;
		offset += now;
		n -= now;
	}
	return true;
}

// The server has closed the connection (in order, or by a reset).
static bool at_end(int fd)
{
	char c;
	ssize_t r = recv(fd, &c, 1, 0);

	return r == 0 || (r < 0 && errno == ECONNRESET);
}

struct answer {
	int status;
	char head[2048];
	long long length; // of Content-Length; -1
	size_t n;         // of the body that came
	char *body;
};

static void answer_free(struct answer *a)
{
	free(a->body);
}
#define auto_answer __attribute__((cleanup(answer_free)))

// One answer, byte by byte up to the end of its head, so that nothing of a next one is taken.
// BODY: one follows.
static struct answer hear_to(int fd, bool body)
{
	struct answer a = {.length = -1};
	size_t n = 0;

	while (n < sizeof(a.head) - 1 && recv(fd, a.head + n, 1, 0) == 1)
		if (++n >= 4 && memcmp(a.head + n - 4, "\r\n\r\n", 4) == 0)
			break;
	if (n < 12)
		return a;
	a.status = (int)strtol(a.head + 9, NULL, 10);
	const char *length = strstr(a.head, "Content-Length: ");

	if (length)
		a.length = strtoll(length + 16, NULL, 10);
	if (!body || a.length < 0)
		return a;
	a.body = xcalloc(1, (size_t)a.length + 1);
	while (a.n < (size_t)a.length) {
		ssize_t r = recv(fd, a.body + a.n, (size_t)a.length - a.n, 0);

		if (r <= 0)
			break;
		a.n += (size_t)r;
	}
	return a;
}

static struct answer hear(int fd)
{
	return hear_to(fd, true);
}

static struct answer ask(int fd, const char *text)
{
	say(fd, text);
	return hear(fd);
}

// Does DATA hold N bytes of the fake file from OFFSET on?
static bool is_pattern(const char *data, uint64_t offset, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)data[i] != fake_byte(offset + i))
			return false;
	return true;
}

#endif
