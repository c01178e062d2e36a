// SPDX-License-Identifier: Apache-2.0
// HTTP client. Loop threads own libcurl's multi handles; callers block and read straight down.
//
//	auto_of(http_exchange_free) struct http_exchange *x = http_open(net, &req, e);
//	if (!x)
//		return -1;
//	while ((slab = http_read(x, e)))      // or http_write(x, slab, e) for an upload
//		...
//	return http_finish(x, e);
//
// Bodies travel in 64 KiB slabs from one pool, handed on by pointer: a slow caller pauses its own
// transfer, nobody else's. No caller's code runs on a loop thread. Requests whose answer fits a
// buffer (HTTP_SMALL) may go over HTTP/2; everything else goes over HTTP/1.1, because libcurl 7.88
// cannot pause an HTTP/2 stream in bounded memory.
//
// http_open is the exchange loop of the one retry policy (retry.h): it repeats until there is a
// response that is an answer: 401 is taken to req->auth once, 429/502/503/504 and transport
// failures are repeated after a back-off that honours Retry-After, redirects are followed. A
// request that dies on a reused connection before its first response byte is repeated once,
// uncounted. No credential follows a redirect to another origin (scheme, host, port).
//
// Thread-safe: any number of threads may use one `struct http`; an exchange belongs to one thread.
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include "net/limiter.h"
#include "util/str.h"
#include "util/stream.h"

#include <stdbool.h>
#include <stdint.h>

struct http;
struct http_exchange;

// Everything outside that net/ may depend on; strings are borrowed for the life of the http.
struct http_config {
	struct cancel *cancel;
	struct slab_pool *pool;
	const char *user_agent;
	const char *ca_file;           // PEM bundle that is added to the system roots, or NULL
	const char *system_ca_file;    // SSL_CERT_FILE, or NULL for the platform's
	const char *system_ca_dir;     // SSL_CERT_DIR, or NULL
	const char *const *certs_dirs; // "/etc/containers/certs.d", ...:
				       // HOST[:PORT]/{*.crt,*.cert,*.key}; NULL-terminated, or NULL
	const char *http_proxy, *https_proxy, *no_proxy; // NULL: none; loopback is never proxied
	bool insecure;                                   // certificates are not verified
	unsigned stall_seconds; // no byte for so long, while we were not the ones who paused:
				// failed; 0: 60. Five times that between the end of a streamed body
				// and its answer
	unsigned retries;       // attempts after the first; 0: the default (5)
	uint64_t random_seed;   // jitter of the back-off; tests fix it
	// Told about every repetition, for the log and the progress display; may be NULL. Any
	// thread.
	void (*on_retry)(void *arg, const char *what, const struct err *why, unsigned wait_ms);
	void *on_retry_arg;
};

// ERR_IO/ERR_INPUT when ca_file cannot be used: "failed to read registry ca bundle: open X: …".
int http_new(struct http **ret, const struct http_config *cfg, struct err *e) must_check;
// All exchanges must be gone, and nobody may be giving slabs of the pool back meanwhile.
void http_free(struct http *net);
DEFINE_AUTO(http_free, struct http)

// Who puts credentials on requests. registry/ implements it: net/ knows no scopes. Called on the
// thread of the request, before each attempt. Only asked for URLs of the origin of req->url.
struct http_auth {
	// The value for an Authorization header, owned by the caller; *ret NULL for none.
	int (*authorize)(struct http_auth *a, char **ret, struct err *e);
	// The server answered 401 with these WWW-Authenticate values (NULL-terminated). *ret_again:
	// there is something new to send, repeat the request (once).
	int (*challenged)(struct http_auth *a, const char *const *challenges, bool *ret_again,
			  struct err *e);
};

enum http_flags {
	// The whole answer fits 1 MiB: HTTP/2 is fine. A larger one to a GET is fetched again, the
	// other way.
	HTTP_SMALL = 1 << 0,
	HTTP_ONCE = 1 << 1,          // do not repeat: the caller owns a position (upload session)
	HTTP_KEEP_REDIRECT = 1 << 2, // hand 3xx to the caller
};

struct http_req {
	const char *method; // "GET", "PUT", ...
	const char *url;
	const char *const *headers; // "Name: value", NULL-terminated, or NULL
	struct http_auth *auth;     // NULL: anonymous
	struct limiter *limiter;    // told about push-back; or NULL
	const void *body;           // small body, sent again on every repetition; or NULL
	size_t body_len;
	bool streamed;      // the body comes through http_write; implies HTTP_ONCE
	uint64_t body_size; // of a streamed body; must be written exactly
	unsigned flags;
	unsigned timeout_seconds; // until the response headers; 0: only stalls count
};

// Starts the exchange. Without a streamed body it returns once the response headers are there.
// ERR_NET on transport failure after all repetitions, ERR_CANCELLED, or what req->auth failed with;
// no HTTP status is a failure here, not even a 401 that is left: the caller reads http_status().
// e->text for transport failures carries method, URL without its query, and the cause:
// `Get "https://h/v2/": dial tcp 127.0.0.1:5109: connect: connection refused`, in some cases with a
// line "hint: …" behind it. What waiting does not cure (an untrusted certificate; on the first
// contact with a host also an unknown name or a refused port) fails at once, with e->os
// RETRY_NEVER.
struct http_exchange *http_open(struct http *net, const struct http_req *req, struct err *e)
	must_check;

// Hands SLAB to the transfer and takes ownership of it, also on failure; blocks while the peer is
// slow. Fails early when the server has answered already; http_finish then has the status.
int http_write(struct http_exchange *x, struct slab *slab, struct err *e) must_check;

// Ends a streamed body and waits for the response headers. A 401 is told to req->auth, so that the
// caller's next attempt has new credentials; the status is the caller's to read.
int http_finish(struct http_exchange *x, struct err *e) must_check;

int http_status(const struct http_exchange *x);
// Where the answer came from, after redirects; borrowed.
const char *http_url(const struct http_exchange *x);
// Header value or NULL; several of one name are joined with ", ". Borrowed until free.
const char *http_header(const struct http_exchange *x, const char *name);
// What the answer's Retry-After asks for (a date is taken by the answer's own Date); 0: nothing.
uint64_t http_retry_after_ms(const struct http_exchange *x);

// The next slab of the response body, owned by the caller; NULL at the end (e->kind ERR_NONE) or
// on failure (a body shorter than its Content-Length is ERR_NET).
struct slab *http_read(struct http_exchange *x, struct err *e) must_check;
// The rest of the body, at most ret->max bytes: ERR_INPUT beyond.
int http_read_all(struct http_exchange *x, struct buf *ret, struct err *e) must_check;

// Also cancels what is still in flight. NULL is fine.
void http_exchange_free(struct http_exchange *x);
DEFINE_AUTO(http_exchange_free, struct http_exchange)

// The download loop: a stream of the body of GET req->url from OFFSET, SIZE being the whole
// length. It goes on behind the last byte after a break (Range; a 200 is read and dropped up to
// there), within the retry budget, which a received byte refills. ERR_NOT_FOUND on 404 and 410,
// ERR_DENIED on 401 and 403 (e->http has the status), ERR_DIGEST when the server has another number
// of bytes. REQ's strings are copied; its auth and limiter are borrowed until the stream is freed.
struct stream *http_download(struct http *net, const struct http_req *req, uint64_t offset,
			     uint64_t size, struct err *e) must_check;

#endif
