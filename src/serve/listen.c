// SPDX-License-Identifier: Apache-2.0
// Listening sockets: HOST:PORT taken apart, bound once for each event thread.
#include "serve/connection.h"

#include "util/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

enum { BACKLOG = 1024 };

// HOST is freed by the caller; NULL means all addresses.
static int split(const char *listen, char **ret_host, const char **ret_port, struct err *e)
{
	const char *colon = strrchr(listen, ':');
	struct str host = {listen, colon ? (size_t)(colon - listen) : 0};
	uint64_t port;

	if (!colon || !str_u64(str_of(colon + 1), 65535, &port))
		return err_set(e, ERR_INPUT, "cannot listen on '%s': want HOST:PORT", listen);
	if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = (struct str){host.p + 1, host.n - 2};
	else if (memchr(host.p, ':', host.n))
		return err_set(
			e, ERR_INPUT,
			"cannot listen on '%s': an IPv6 address stands in brackets: [::1]:5000",
			listen);
	*ret_host = host.n ? xstrndup(host.p, host.n) : NULL;
	*ret_port = colon + 1;
	return 0;
}

static int fail_listen(struct err *e, const char *listen)
{
	int os = errno;
	// In the middle of a sentence.
	const char *why = os == EADDRINUSE      ? "address already in use"
			  : os == EADDRNOTAVAIL ? "this host does not have that address"
			  : os == EACCES        ? "permission denied"
						: strerror(os);

	err_set(e, ERR_IO, "cannot listen on %s: %s", listen, why);
	e->os = os;
	return -1;
}

// A socket that listens on ADDR, or -1 with errno. A first one takes the port for this process
// alone, and lets further ones of ours share it then; *shared says whether that works.
static int open_listener(const struct sockaddr *addr, socklen_t n, bool first, bool *shared)
{
	auto_fd int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1, zero = 0;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (addr->sa_family == AF_INET6) // [::] takes IPv4 as well
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (!first && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0)
		return -1;
	if (bind(fd, addr, n) < 0)
		return -1;
	if (first && *shared)
		*shared = setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) == 0;
	if (listen(fd, BACKLOG) < 0)
		return -1;
	int ret = fd;

	fd = -1;
	return ret;
}

static void close_further(struct listener_set *l, unsigned threads)
{
	for (unsigned i = 1; i < threads; i++)
		for (unsigned k = 0; k < LISTENERS_MAX; k++) {
			if (l->fds[i][k] >= 0)
				close(l->fds[i][k]);
			l->fds[i][k] = -1;
		}
}

// The other threads' sockets beside the first one's; without them all use the first one's.
static void multiply(struct listener_set *l, unsigned threads)
{
	for (unsigned k = 0; k < l->n && !l->shared; k++) {
		struct sockaddr_storage addr = {0};
		socklen_t n = sizeof(addr);

		if (getsockname(l->fds[0][k], (struct sockaddr *)&addr, &n) < 0)
			l->shared = true;
		for (unsigned i = 1; i < threads && !l->shared; i++) {
			l->fds[i][k] = open_listener((struct sockaddr *)&addr, n, false, NULL);
			l->shared = l->fds[i][k] < 0;
		}
	}
	if (l->shared)
		close_further(l, threads);
}

static char *name_address(int fd)
{
	struct sockaddr_storage addr;
	socklen_t n = sizeof(addr);
	char host[INET6_ADDRSTRLEN], port[8];

	if (getsockname(fd, (struct sockaddr *)&addr, &n) < 0 ||
	    getnameinfo((struct sockaddr *)&addr, n, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return xstrdup("?");
	return xasprintf(strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

static void set_port(struct sockaddr *addr, uint16_t port)
{
	if (addr->sa_family == AF_INET6)
		((struct sockaddr_in6 *)addr)->sin6_port = port;
	else
		((struct sockaddr_in *)addr)->sin_port = port;
}

static uint16_t port_of(int fd)
{
	union {
		struct sockaddr_in6 v6;
		struct sockaddr_in v4;
		struct sockaddr any;
	} addr = {0};
	socklen_t n = sizeof(addr);

	if (getsockname(fd, &addr.any, &n) < 0)
		return 0;
	return addr.any.sa_family == AF_INET6 ? addr.v6.sin6_port : addr.v4.sin_port;
}

static int bind_all(struct listener_set *l, const struct addrinfo *list, bool everywhere)
{
	bool share = true;
	int os = EADDRNOTAVAIL;

	for (const struct addrinfo *a = list; a && l->n < LISTENERS_MAX; a = a->ai_next) {
		// Port 0: what the first address was given, all others have.
		if (l->n > 0)
			set_port(a->ai_addr, port_of(l->fds[0][0]));
		int fd = open_listener(a->ai_addr, a->ai_addrlen, true, &share);

		if (fd >= 0)
			l->fds[0][l->n++] = fd;
		else if (errno == EADDRINUSE)
			return -1;
		else
			os = errno;
		if (everywhere && fd >= 0)
			break;
	}
	l->shared = !share;
	errno = os;
	return l->n > 0 ? 0 : -1;
}

int listen_on(struct listener_set *ret, const char *listen, unsigned threads, struct err *e)
{
	auto_free char *host = NULL;
	const char *port = NULL;
	struct listener_set l;
	struct addrinfo *list, hints = {.ai_family = AF_UNSPEC,
					.ai_socktype = SOCK_STREAM,
					.ai_flags = AI_PASSIVE | AI_NUMERICSERV};

	memset(&l, 0xff, sizeof(l));
	l.n = 0;
	l.shared = false;
	l.address = NULL;
	if (split(listen, &host, &port, e) < 0)
		return -1;
	if (!host)
		hints.ai_family = AF_INET6;
	int r = getaddrinfo(host ? host : "::", port, &hints, &list);

	if (r != 0)
		return err_set(e, ERR_IO, "cannot listen on %s: %s", listen, gai_strerror(r));
	r = bind_all(&l, list, !host);
	freeaddrinfo(list);
	if (r < 0 && hints.ai_family == AF_INET6 && errno != EADDRINUSE &&
	    errno != EACCES) { // a host without IPv6
		auto_free char *v4 = xasprintf("0.0.0.0:%s", port);

		return listen_on(ret, v4, threads, e);
	}
	if (r < 0) {
		fail_listen(e, listen);
		listener_set_close(&l);
		return -1;
	}
	multiply(&l, threads);
	l.address = name_address(l.fds[0][0]);
	*ret = l;
	return 0;
}

void listener_set_close(struct listener_set *l)
{
	for (unsigned i = 0; i < THREADS_MAX; i++)
		for (unsigned k = 0; k < LISTENERS_MAX; k++)
			if (l->fds[i][k] >= 0)
				close(l->fds[i][k]);
	free(l->address);
	memset(l->fds, 0xff, sizeof(l->fds));
	l->address = NULL;
}
