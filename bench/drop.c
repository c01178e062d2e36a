// SPDX-License-Identifier: Apache-2.0
// A client that costs next to nothing, so that what is measured is the server: it asks for the same
// file again and again over kept connections, and the kernel drops the bodies (MSG_TRUNC).
//
//	drop PORT PATH CONNECTIONS SECONDS
//
// Plain HTTP on 127.0.0.1; every answer must be a 200 with a Content-Length. Prints one line of
// JSON: requests, bytes, us.
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 1024, STEP = 1 << 20, TURN = 64 };

struct peer {
	int fd;
	char head[4096];
	size_t have;
	uint64_t left; // of the body; 0: the head is awaited
};

static char request[2048];
static uint64_t requests, bytes;

static void die(const char *what, const char *why)
{
	fprintf(stderr, "drop: %s: %s\n", what, why);
	exit(1);
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void ask(struct peer *p)
{
	size_t n = strlen(request);

	p->have = 0;
	if (send(p->fd, request, n, MSG_NOSIGNAL) != (ssize_t)n)
		die("request", strerror(errno));
}

// A number of bytes, or 0 when there is nothing now.
static size_t receive(struct peer *p, void *buf, size_t n, int flags)
{
	ssize_t r = recv(p->fd, buf, n, flags | MSG_DONTWAIT);

	if (r < 0 && errno == EAGAIN)
		return 0;
	if (r <= 0)
		die("answer", r < 0 ? strerror(errno) : "the server closed the connection");
	return (size_t)r;
}

// Takes the head and no more. False: it is not there as a whole.
static bool take_head(struct peer *p)
{
	size_t n = receive(p, p->head + p->have, sizeof(p->head) - 1 - p->have, MSG_PEEK);

	if (n == 0)
		return false;
	p->head[p->have + n] = '\0';
	const char *end = strstr(p->head, "\r\n\r\n");

	if (end)
		n = (size_t)(end + 4 - p->head) - p->have;
	p->have += receive(p, p->head + p->have, n, 0);
	if (!end && p->have == sizeof(p->head) - 1)
		die("answer", "its head is too long");
	if (!end)
		return false;
	const char *length = strcasestr(p->head, "\r\ncontent-length:");

	if (strncmp(p->head, "HTTP/1.1 200 ", 13) != 0 || !length)
		die("answer", p->head);
	p->left = strtoull(length + 17, NULL, 10);
	return p->left > 0;
}

static void run(struct peer *p)
{
	for (int i = 0; i < TURN; i++) {
		if (p->left == 0 && !take_head(p))
			return;
		size_t n = receive(p, NULL, p->left < STEP ? (size_t)p->left : STEP, MSG_TRUNC);

		if (n == 0)
			return;
		bytes += n;
		p->left -= n;
		if (p->left == 0) {
			requests++;
			ask(p);
		}
	}
}

static void dial(struct peer *p, const char *port, int poll)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = p};

	a.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
	p->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (p->fd < 0 || connect(p->fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    epoll_ctl(poll, EPOLL_CTL_ADD, p->fd, &ev) < 0)
		die("connection", strerror(errno));
	ask(p);
}

int main(int argc, char **argv)
{
	static struct peer peers[MAX_CONNECTIONS];

	if (argc != 5 || atoi(argv[3]) < 1 || atoi(argv[3]) > MAX_CONNECTIONS)
		die("usage", "drop PORT PATH CONNECTIONS SECONDS");
	int poll = epoll_create1(0);
	uint64_t start = now_us(), until = start + strtoull(argv[4], NULL, 10) * 1000000;

	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", argv[2]);
	for (int i = 0; i < atoi(argv[3]); i++)
		dial(&peers[i], argv[1], poll);
	while (now_us() < until) {
		struct epoll_event ready[64];
		int n = epoll_wait(poll, ready, 64, 100);

		for (int i = 0; i < n; i++)
			run(ready[i].data.ptr);
	}
	printf("{\"requests\": %llu, \"bytes\": %llu, \"us\": %llu, \"errors\": 0}\n",
	       (unsigned long long)requests, (unsigned long long)bytes,
	       (unsigned long long)(now_us() - start));
	return 0;
}
