// SPDX-License-Identifier: Apache-2.0
// Reading from and writing to a connection's socket, plain or TLS.
#include "serve/connection.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <sys/socket.h>

static ssize_t plain_recv(struct conn *c, void *buf, size_t n)
{
	ssize_t r;

	do
		r = recv(c->fd, buf, n, 0);
	while (r < 0 && errno == EINTR);
	if (r < 0 && errno != EAGAIN)
		return IO_FAILED;
	// Less than asked for: there was no more, and what comes later is a new event. Not so the
	// end, which may have been told of together with the data, and a reset, which looks like
	// data then: who waits for more asks until nothing is left.
	if (r < 0 || ((size_t)r < n && !c->hung_up && c->state == CONN_HEAD))
		c->readable = false;
	return r < 0 ? IO_BLOCKED : r;
}

static ssize_t tls_result(struct conn *c, int r)
{
	int why = SSL_get_error(c->ssl, r);

	if (why == SSL_ERROR_ZERO_RETURN)
		return 0;
	if (why == SSL_ERROR_WANT_READ) {
		c->readable = false;
		return IO_BLOCKED;
	}
	if (why == SSL_ERROR_WANT_WRITE) {
		c->writable = false;
		return IO_BLOCKED;
	}
	c->broken = true;
	ERR_clear_error();
	return IO_FAILED;
}

ssize_t conn_recv(struct conn *c, void *buf, size_t n)
{
	if (!c->readable)
		return IO_BLOCKED;
	if (!c->ssl)
		return plain_recv(c, buf, n);
	int r = SSL_read(c->ssl, buf, n > INT_MAX ? INT_MAX : (int)n);

	return r > 0 ? r : tls_result(c, r);
}

ssize_t conn_send(struct conn *c, const void *buf, size_t n, bool more)
{
	ssize_t r;

	if (!c->writable)
		return IO_BLOCKED;
	if (c->ssl) {
		int w = SSL_write(c->ssl, buf, n > TLS_RECORD ? TLS_RECORD : (int)n);

		if (w > 0)
			return w;
		r = tls_result(c, w);
		return r == 0 ? IO_FAILED : r;
	}
	do
		r = send(c->fd, buf, n, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
	while (r < 0 && errno == EINTR);
	if (r >= 0)
		return r;
	if (errno != EAGAIN)
		return IO_FAILED;
	c->writable = false;
	return IO_BLOCKED;
}
