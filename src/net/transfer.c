// SPDX-License-Identifier: Apache-2.0
// Transfers: the curl handle's options and callbacks, and the queues to the waiting thread.
#include "net/transfer.h"

#include "net/proxy.h"
#include "net/url.h"
#include "net/words.h"
#include "util/mem.h"

#include <arpa/inet.h>
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum {
	CONNECT_TIMEOUT_S = 30,
	STALL_S = 60,
	COMMIT_STALLS = 5, // stalls that a server may think about an upload before it answers
	RECEIVE_BUFFER = 128 * 1024,
	SEND_BUFFER = 64 * 1024,
	SMALL_BUFFER = 32 * 1024,
	DRAIN_MAX = 128 * 1024,
	DRAIN_US = 5 * 1000 * 1000,
};

// Slab queues. ----------------------------------------------------------------------------------

static void queue_init(struct slab_queue *q)
{
	*q = (struct slab_queue){.last = &q->first};
}

static void queue_push(struct slab_queue *q, struct slab *s)
{
	s->next = NULL;
	*q->last = s;
	q->last = &s->next;
	q->n++;
}

static struct slab *queue_pop(struct slab_queue *q)
{
	struct slab *s = q->first;

	if (!s)
		return NULL;
	q->first = s->next;
	if (!q->first)
		q->last = &q->first;
	s->next = NULL;
	q->n--;
	return s;
}

static void queue_release(struct slab_queue *q)
{
	struct slab *s;

	while ((s = queue_pop(q)))
		slab_free(s);
}

// Life. -----------------------------------------------------------------------------------------

void transfer_ref(struct transfer *t)
{
	atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
}

void transfer_unref(struct transfer *t)
{
	if (atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) > 1)
		return;
	assert(!t->easy);
	queue_release(&t->in);
	queue_release(&t->out);
	slab_free(t->filling);
	buf_free(&t->small_body);
	head_release(&t->head);
	curl_slist_free_all(t->headers);
	free(t->method);
	free(t->url);
	free(t->host);
	free(t->origin);
	free(t->proxy);
	free(t->body);
	pthread_mutex_destroy(&t->lock);
	pthread_cond_destroy(&t->changed);
	free(t);
}

static struct loop *loop_for(struct http *net, const char *origin)
{
	unsigned hash = 5381;

	for (const char *c = origin; *c; c++)
		hash = hash * 33 + (unsigned char)*c;
	return net->loops[hash % LOOPS];
}

static int resolve_route(struct transfer *t, struct err *e)
{
	auto_url struct url u = {0};

	if (url_parse(&u, t->url, e) < 0 || proxy_for(&t->proxy, &t->net->cfg, &u, e) < 0)
		return -1;
	t->https = strcmp(u.scheme, "https") == 0;
	t->origin = xasprintf("%s:%s", u.host, u.port);
	if (u.host[0] == '[')
		t->host = xstrndup(u.host + 1, strlen(u.host) - 2);
	else
		t->host = xstrdup(u.host);
	t->loop = loop_for(t->net, t->origin);
	bool tls_proxy = t->proxy && strncasecmp(t->proxy, "https:", 6) == 0;

	t->peer = (struct tls_peer){
		.name = t->host,
		.insecure = t->net->cfg.insecure,
		.via_tls_proxy = tls_proxy,
	};
	if (!t->https && !tls_proxy)
		return 0;
	t->peer.host = tls_for(t->net->tls, t->host, u.port, e);
	return t->peer.host ? 0 : -1;
}

static void add_header(struct transfer *t, const char *line)
{
	struct curl_slist *longer = curl_slist_append(t->headers, line);

	assert(longer); // memory only
	t->headers = longer;
}

static bool names(const char *line, const char *name)
{
	size_t n = strlen(name);

	return strncasecmp(line, name, n) == 0 && line[n] == ':';
}

static bool is_credential(const char *line)
{
	return names(line, "Authorization") || names(line, "Cookie") ||
	       names(line, "Proxy-Authorization");
}

static int check_header(const char *line, struct err *e)
{
	if (strpbrk(line, "\r\n"))
		return err_set(e, ERR_INPUT, "line break in a request header");
	return 0;
}

static int build_headers(struct transfer *t, const struct transfer_spec *spec, struct err *e)
{
	bool typed = false;

	for (const char *const *h = spec->headers; h && *h; h++) {
		if (check_header(*h, e) < 0)
			return -1;
		typed |= names(*h, "Content-Type");
		if (!spec->anonymous || !is_credential(*h))
			add_header(t, *h);
	}
	if (spec->authorization) {
		auto_free char *line = xasprintf("Authorization: %s", spec->authorization);

		if (check_header(line, e) < 0)
			return -1;
		add_header(t, line);
	}
	add_header(t, "Expect:"); // its round trip is what we save
	if (!typed)
		add_header(t, "Content-Type:"); // not curl's form encoding
	return 0;
}

static struct transfer *transfer_new(struct http *net, const struct transfer_spec *spec)
{
	struct transfer *t = xcalloc(1, sizeof(*t));

	t->refs = 1;
	t->net = net;
	t->method = xstrdup(spec->method);
	t->url = xstrdup(spec->url);
	t->small = spec->small;
	t->streamed = spec->streamed;
	t->body_size = spec->body_size;
	t->timeout_seconds = spec->timeout_seconds;
	t->body = spec->body_len > 0 ? xmemdup(spec->body, spec->body_len) : NULL;
	t->body_len = spec->body_len;
	t->small_body = (struct buf)BUF_INIT(SMALL_MAX);
	queue_init(&t->in);
	queue_init(&t->out);
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->changed, NULL);
	return t;
}

struct transfer *transfer_start(struct http *net, const struct transfer_spec *spec, struct err *e)
{
	struct transfer *t = transfer_new(net, spec);

	if (resolve_route(t, e) < 0 || build_headers(t, spec, e) < 0) {
		words_for_request(e, t->method, t->url);
		transfer_unref(t);
		return NULL;
	}
	loop_post(t->loop, t, LOOP_ADD);
	return t;
}

int transfer_relaunch(struct transfer *t, struct err *e)
{
	if (cancelled(t->net->cfg.cancel))
		return err_cancelled(e);
	assert(t->sent == 0);
	queue_release(&t->in);
	slab_free(steal(&t->filling));
	buf_clear(&t->small_body);
	head_release(&t->head);
	t->fresh = true;
	t->failed = t->stale = t->refused = t->too_large = t->pushback = false;
	t->read_paused = t->send_paused = t->starved = false;
	t->curl_text[0] = '\0';
	pthread_mutex_lock(&t->lock);
	t->phase = TRANSFER_RUNNING;
	pthread_mutex_unlock(&t->lock);
	loop_post(t->loop, t, LOOP_ADD);
	return 0;
}

bool transfer_done(struct transfer *t)
{
	pthread_mutex_lock(&t->lock);
	bool done = t->phase == TRANSFER_DONE;

	pthread_mutex_unlock(&t->lock);
	return done;
}

void transfer_drop(struct transfer *t)
{
	if (!t)
		return;
	if (!transfer_done(t))
		loop_post(t->loop, t, LOOP_DROP);
	transfer_unref(t);
}

// The caller's side. ----------------------------------------------------------------------------

// Called locked.
static bool ready(const struct transfer *t, enum transfer_want want)
{
	if (t->phase == TRANSFER_DONE)
		return true;
	switch (want) {
	case WANT_HEAD:
		return t->phase == TRANSFER_HEAD;
	case WANT_BODY:
		return t->in.n > 0 || (t->read_paused && t->filling);
	case WANT_ROOM:
		return t->out.n < SLABS_QUEUED_MAX || t->phase == TRANSFER_HEAD;
	default:
		return false;
	}
}

// Called locked. Cancellation ends the transfer, so that this ends too.
static void await(struct transfer *t, enum transfer_want want)
{
	t->want = want;
	while (!ready(t, want))
		pthread_cond_wait(&t->changed, &t->lock);
	t->want = WANT_NOTHING;
}

int transfer_wait(struct transfer *t, enum transfer_want want, struct err *e)
{
	int rc = 0;

	if (cancelled(t->net->cfg.cancel))
		return err_cancelled(e);
	pthread_mutex_lock(&t->lock);
	await(t, want);
	if (t->phase == TRANSFER_DONE && t->failed && (t->head.status == 0 || want == WANT_DONE)) {
		*e = t->error;
		rc = -1;
	}
	pthread_mutex_unlock(&t->lock);
	return rc;
}

// Called locked: what a reader may have now.
static struct slab *next_received(struct transfer *t)
{
	struct slab *s = queue_pop(&t->in);

	if (s || !t->filling || t->filling->n == 0)
		return s;
	return steal(&t->filling);
}

struct slab *transfer_read(struct transfer *t, struct err *e)
{
	if (cancelled(t->net->cfg.cancel)) {
		err_cancelled(e);
		return NULL;
	}
	pthread_mutex_lock(&t->lock);
	await(t, WANT_BODY);
	struct slab *s = next_received(t);
	bool resume =
		t->phase != TRANSFER_DONE && t->read_paused && t->in.n <= SLABS_QUEUED_MAX / 2;

	if (resume)
		t->read_paused = false;
	if (!s) {
		e->kind = ERR_NONE;
		if (t->failed)
			*e = t->error;
	}
	pthread_mutex_unlock(&t->lock);
	if (resume)
		loop_post(t->loop, t, LOOP_RESUME_READ);
	return s;
}

// Called locked, with room.
static int accept_slab(struct transfer *t, struct slab *slab, struct err *e)
{
	if (t->phase == TRANSFER_DONE && t->failed) {
		*e = t->error;
		return -1;
	}
	if (t->phase != TRANSFER_RUNNING)
		return err_set(e, ERR_NET, "the server answered before the whole body was sent");
	if (slab->n - slab->start > t->body_size - t->written)
		return err_set(e, ERR_INPUT, "body is longer than was announced");
	t->written += slab->n - slab->start;
	queue_push(&t->out, slab);
	return 0;
}

int transfer_write(struct transfer *t, struct slab *slab, struct err *e)
{
	if (cancelled(t->net->cfg.cancel)) {
		slab_free(slab);
		return err_cancelled(e);
	}
	pthread_mutex_lock(&t->lock);
	await(t, WANT_ROOM);
	int rc = accept_slab(t, slab, e);
	bool resume = rc == 0 && t->send_paused;

	if (resume)
		t->send_paused = false;
	pthread_mutex_unlock(&t->lock);
	if (rc < 0)
		slab_free(slab);
	if (resume)
		loop_post(t->loop, t, LOOP_RESUME_SEND);
	return rc;
}

int transfer_end_body(struct transfer *t, struct err *e)
{
	pthread_mutex_lock(&t->lock);
	// A server that has answered already may have had enough; else it would wait for the rest.
	if (t->phase == TRANSFER_RUNNING && t->written < t->body_size) {
		uint64_t written = t->written;

		pthread_mutex_unlock(&t->lock);
		return err_set(e, ERR_INPUT,
			       "a body of %" PRIu64 " bytes was announced as %" PRIu64, written,
			       t->body_size);
	}
	t->out_ended = true;
	bool resume = t->send_paused && t->phase == TRANSFER_RUNNING;

	if (resume)
		t->send_paused = false;
	pthread_mutex_unlock(&t->lock);
	if (resume)
		loop_post(t->loop, t, LOOP_RESUME_SEND);
	return 0;
}

// curl's callbacks, on the loop's thread. -------------------------------------------------------

static void saw_bytes(struct transfer *t)
{
	t->last_us = loop_now_us(t->loop);
	loop_touch(t->loop, t);
}

static void announce_head(struct transfer *t, int status)
{
	long version = 0;

	curl_easy_getinfo(t->easy, CURLINFO_HTTP_VERSION, &version);
	http_note_answer(t->net, t->origin);
	pthread_mutex_lock(&t->lock);
	t->head.status = status;
	t->http2 = version >= CURL_HTTP_VERSION_2_0;
	t->phase = TRANSFER_HEAD;
	pthread_mutex_unlock(&t->lock);
}

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;
	size_t n = size * count;
	long status = 0;

	saw_bytes(t);
	if (t->phase != TRANSFER_RUNNING) { // trailers: counted, not kept
		t->head.bytes += n;
		t->refused = t->head.bytes > HEAD_MAX;
		if (t->refused)
			err_set(&t->error, ERR_NET, "response trailers are too large");
		return t->refused ? 0 : n;
	}
	if (head_line(&t->head, line, n, &t->error) < 0) {
		t->refused = true;
		return 0;
	}
	if (line[0] != '\r' && line[0] != '\n')
		return n;
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 200)
		announce_head(t, (int)status);
	return n;
}

static size_t take_small(struct transfer *t, const char *data, size_t n)
{
	if (buf_add(&t->small_body, data, n, &t->error) == 0)
		return n;
	t->refused = t->too_large = true;
	return 0;
}

// Called locked. All of DATA goes to slabs, or nothing.
static bool store(struct transfer *t, const char *data, size_t n)
{
	size_t room = t->filling ? SLAB_SIZE - t->filling->n : 0;
	struct slab *fresh = NULL;

	if (n > room) {
		if (t->in.n >= SLABS_QUEUED_MAX)
			return false;
		fresh = slab_try(t->net->cfg.pool);
		t->starved = !fresh;
		if (!fresh)
			return false;
	}
	size_t first = n < room ? n : room;

	if (first > 0) {
		memcpy(t->filling->data + t->filling->n, data, first);
		t->filling->n += first;
	}
	if (fresh) {
		if (t->filling)
			queue_push(&t->in, t->filling);
		t->filling = fresh;
		memcpy(fresh->data, data + first, n - first);
		fresh->n = n - first;
	}
	return true;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;
	size_t n = size * count;

	saw_bytes(t);
	if (t->draining) {
		t->drained += n;
		return t->drained > DRAIN_MAX ? 0 : n;
	}
	if (t->small)
		return take_small(t, data, n);
	assert(n <= SLAB_SIZE); // CURL_MAX_WRITE_SIZE is 16 KiB
	pthread_mutex_lock(&t->lock);
	bool stored = store(t, data, n);

	if (!stored)
		t->read_paused = true;
	pthread_mutex_unlock(&t->lock);
	return stored ? n : CURL_WRITEFUNC_PAUSE;
}

// Called locked. Moves bytes into curl's buffer; emptied slabs go to DONE.
static size_t fill(struct transfer *t, char *to, size_t room, struct slab_queue *done)
{
	size_t n = 0;

	while (n < room && t->out.first) {
		struct slab *s = t->out.first;
		size_t part = s->n - s->start;

		if (part > room - n)
			part = room - n;
		memcpy(to + n, s->data + s->start, part);
		s->start += part;
		n += part;
		if (s->start == s->n)
			queue_push(done, queue_pop(&t->out));
	}
	t->sent += n;
	return n;
}

static size_t on_send(char *to, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;
	struct slab_queue done;

	saw_bytes(t);
	queue_init(&done);
	pthread_mutex_lock(&t->lock);
	size_t n = fill(t, to, size * count, &done);
	bool ended = t->out_ended || t->sent == t->body_size;
	bool pause = n == 0 && !ended;

	t->send_paused = pause;
	pthread_mutex_unlock(&t->lock);
	queue_release(&done);
	return pause ? CURL_READFUNC_PAUSE : n;
}

// Before each request on the wire. curl repeats one by itself when a reused connection turns out to
// be dead, and may by then have taken body bytes that it cannot take again.
static int on_request(void *arg, char *peer, char *local, int peer_port, int local_port)
{
	struct transfer *t = arg;

	(void)peer, (void)local, (void)peer_port, (void)local_port;
	if (t->sent == 0)
		return CURL_PREREQFUNC_OK;
	err_set(&t->error, ERR_NET, "the server closed the connection while the body was sent");
	t->refused = true;
	return CURL_PREREQFUNC_ABORT;
}

static void print_address(char *to, size_t size, const struct sockaddr *sa)
{
	char text[INET6_ADDRSTRLEN];

	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof(in));
		inet_ntop(AF_INET, &in.sin_addr, text, sizeof(text));
		snprintf(to, size, "%s:%u", text, ntohs(in.sin_port));
	} else if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, sa, sizeof(in6));
		inet_ntop(AF_INET6, &in6.sin6_addr, text, sizeof(text));
		snprintf(to, size, "[%s]:%u", text, ntohs(in6.sin6_port));
	}
}

static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct transfer *t = arg;

	(void)purpose;
	print_address(t->peer_address, sizeof(t->peer_address), &address->addr);
	// Credential helpers are started from other threads.
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

// The easy handle. ------------------------------------------------------------------------------

#define set(easy, option, value)                                            \
	do {                                                                \
		CURLcode rc_ = curl_easy_setopt((easy), (option), (value)); \
		assert(rc_ == CURLE_OK);                                    \
	} while (0)

static void set_basics(CURL *easy, struct transfer *t)
{
	set(easy, CURLOPT_PRIVATE, t);
	set(easy, CURLOPT_URL, t->url);
	set(easy, CURLOPT_ERRORBUFFER, t->curl_text);
	set(easy, CURLOPT_NOSIGNAL, 1L);
	set(easy, CURLOPT_QUICK_EXIT, 1L); // no waiting for a name server to end a transfer
	set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	set(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	set(easy, CURLOPT_PATH_AS_IS, 1L);
	set(easy, CURLOPT_SHARE, t->net->share);
	set(easy, CURLOPT_HTTPHEADER, t->headers);
	if (t->net->cfg.user_agent)
		set(easy, CURLOPT_USERAGENT, t->net->cfg.user_agent);
	set(easy, CURLOPT_HEADERFUNCTION, on_header);
	set(easy, CURLOPT_HEADERDATA, t);
	set(easy, CURLOPT_WRITEFUNCTION, on_body);
	set(easy, CURLOPT_WRITEDATA, t);
	set(easy, CURLOPT_OPENSOCKETFUNCTION, on_socket);
	set(easy, CURLOPT_OPENSOCKETDATA, t);
}

static void set_connection(CURL *easy, struct transfer *t)
{
	set(easy, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
	set(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	set(easy, CURLOPT_TCP_KEEPIDLE, 60L);
	set(easy, CURLOPT_TCP_KEEPINTVL, 15L);
	set(easy, CURLOPT_FRESH_CONNECT, t->fresh ? 1L : 0L);
	// Explicit, even when empty: curl would look at the environment.
	set(easy, CURLOPT_PROXY, t->proxy ? t->proxy : "");
	set(easy, CURLOPT_NOPROXY, "");
	set(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	bool http2 = t->small && t->https;

	if (!http2 || curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS))
		set(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	set(easy, CURLOPT_PIPEWAIT, http2 && !t->fresh ? 1L : 0L);
	set(easy, CURLOPT_BUFFERSIZE, (long)(t->small ? SMALL_BUFFER : RECEIVE_BUFFER));
	set(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)(t->streamed ? SEND_BUFFER : SMALL_BUFFER));
}

static void set_tls(CURL *easy, struct transfer *t)
{
	long verify = t->peer.insecure ? 0 : 1;

	if (!t->peer.host)
		return;
	set(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	set(easy, CURLOPT_SSL_VERIFYPEER, verify);
	set(easy, CURLOPT_SSL_VERIFYHOST, verify * 2);
	set(easy, CURLOPT_PROXY_SSL_VERIFYPEER, verify);
	set(easy, CURLOPT_PROXY_SSL_VERIFYHOST, verify * 2);
	// The stores come by tls_configure; curl would parse its bundle for each handshake.
	set(easy, CURLOPT_CAINFO, NULL);
	set(easy, CURLOPT_CAPATH, NULL);
	set(easy, CURLOPT_PROXY_CAINFO, NULL);
	set(easy, CURLOPT_PROXY_CAPATH, NULL);
	set(easy, CURLOPT_SSL_CTX_FUNCTION, tls_configure);
	set(easy, CURLOPT_SSL_CTX_DATA, &t->peer);
}

static void set_method(CURL *easy, struct transfer *t)
{
	const char *const with_body[] = {"POST", "PUT", "PATCH"};
	bool has_body = t->body_len > 0;

	for (size_t i = 0; i < ARRAY_SIZE(with_body); i++)
		has_body |= strcmp(t->method, with_body[i]) == 0;
	if (t->streamed) {
		set(easy, CURLOPT_UPLOAD, 1L);
		set(easy, CURLOPT_READFUNCTION, on_send);
		set(easy, CURLOPT_READDATA, t);
		set(easy, CURLOPT_PREREQFUNCTION, on_request);
		set(easy, CURLOPT_PREREQDATA, t);
		set(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)t->body_size);
	} else if (has_body) {
		set(easy, CURLOPT_POST, 1L);
		set(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->body_len);
		set(easy, CURLOPT_POSTFIELDS, t->body ? t->body : "");
	} else if (strcmp(t->method, "HEAD") == 0) {
		set(easy, CURLOPT_NOBODY, 1L);
		return;
	}
	set(easy, CURLOPT_CUSTOMREQUEST, t->method);
}

CURL *transfer_make_easy(struct transfer *t)
{
	CURL *easy = curl_easy_init();

	assert(easy); // memory only
	set_basics(easy, t);
	set_connection(easy, t);
	set_tls(easy, t);
	set_method(easy, t);
	return easy;
}

// The loop's side. ------------------------------------------------------------------------------

CURLcode transfer_resume(struct transfer *t, unsigned commands)
{
	int mask = CURLPAUSE_CONT;

	pthread_mutex_lock(&t->lock);
	if (commands & LOOP_RESUME_READ) {
		t->read_paused = false;
		t->starved = false;
	}
	if (commands & LOOP_RESUME_SEND)
		t->send_paused = false;
	if (t->read_paused)
		mask |= CURLPAUSE_RECV;
	if (t->send_paused)
		mask |= CURLPAUSE_SEND;
	pthread_mutex_unlock(&t->lock);
	t->last_us = loop_now_us(t->loop);
	CURLcode code = curl_easy_pause(t->easy, mask);

	// Not on a connection yet, or not any more: then nothing is paused either.
	return code == CURLE_BAD_FUNCTION_ARGUMENT ? CURLE_OK : code;
}

bool transfer_drain(struct transfer *t)
{
	struct slab_queue unread;
	curl_off_t length = -1;

	curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	if (t->phase != TRANSFER_HEAD || t->refused || length > DRAIN_MAX ||
	    (t->streamed && t->sent < t->body_size))
		return false;
	queue_init(&unread);
	pthread_mutex_lock(&t->lock);
	while (t->in.first)
		queue_push(&unread, queue_pop(&t->in));
	if (t->filling)
		queue_push(&unread, steal(&t->filling));
	pthread_mutex_unlock(&t->lock);
	queue_release(&unread);
	t->draining = true;
	t->drain_deadline_us = loop_now_us(t->loop) + DRAIN_US;
	return transfer_resume(t, LOOP_RESUME_READ) == CURLE_OK;
}

// Paused by us, for a reader or a writer: whatever the clock says, the peer is not to blame.
static bool paused(struct transfer *t)
{
	pthread_mutex_lock(&t->lock);
	bool is = t->read_paused || t->send_paused;

	pthread_mutex_unlock(&t->lock);
	return is;
}

bool transfer_overdue(struct transfer *t, uint64_t now_us)
{
	unsigned stall = t->net->cfg.stall_seconds ? t->net->cfg.stall_seconds : STALL_S;
	bool committing = t->streamed && t->phase == TRANSFER_RUNNING && t->sent == t->body_size;

	if (t->draining)
		return now_us > t->drain_deadline_us;
	if (paused(t)) {
		t->last_us = now_us;
		return false;
	}
	if (committing)
		stall *= COMMIT_STALLS;
	if (t->phase == TRANSFER_RUNNING && t->head_deadline_us && now_us > t->head_deadline_us &&
	    (!t->streamed || committing)) {
		err_set(&t->error, ERR_NET, "net/http: timeout awaiting response headers");
		return t->refused = true;
	}
	if (now_us < t->last_us + (uint64_t)stall * 1000000)
		return false;
	err_set(&t->error, ERR_NET, "stalled: no data for %u s", stall);
	return t->refused = true;
}

static void note_address(char *to, size_t size, CURL *easy, CURLINFO ip_info, CURLINFO port_info)
{
	char *ip = NULL;
	long port = 0;

	curl_easy_getinfo(easy, ip_info, &ip);
	curl_easy_getinfo(easy, port_info, &port);
	if (!ip || !ip[0])
		return;
	snprintf(to, size, strchr(ip, ':') ? "[%s]:%ld" : "%s:%ld", ip, port);
}

static void word_failure(struct transfer *t, CURLcode code)
{
	char peer[INET6_ADDRSTRLEN + 10], local[INET6_ADDRSTRLEN + 10] = "";
	struct wire_fault f = {
		.code = code,
		.curl_text = t->curl_text,
		.method = t->method,
		.url = t->url,
		.host = t->host,
		.origin = t->origin,
		.peer = peer,
		.local = local,
		.proxy = t->proxy,
		.certificate = t->peer.problem,
		.remedy = t->peer.remedy,
		.first_contact = !http_has_answered(t->net, t->origin),
	};
	long os = 0;

	memcpy(peer, t->peer_address, sizeof(peer));
	if (code != CURLE_COULDNT_CONNECT)
		note_address(peer, sizeof(peer), t->easy, CURLINFO_PRIMARY_IP,
			     CURLINFO_PRIMARY_PORT);
	note_address(local, sizeof(local), t->easy, CURLINFO_LOCAL_IP, CURLINFO_LOCAL_PORT);
	curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &os);
	curl_easy_getinfo(t->easy, CURLINFO_HTTP_CONNECTCODE, &f.connect_status);
	f.os = (int)os;
	words_for_fault(&t->error, &f);
}

// A keep-alive connection that the server had closed meanwhile says nothing about the server.
static bool died_before_answering(struct transfer *t, CURLcode code)
{
	long fresh = 0;

	curl_easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &fresh);
	if (fresh > 0 || t->fresh || t->head.bytes > 0)
		return false;
	return code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING ||
	       code == CURLE_SEND_FAIL_REWIND || code == CURLE_HTTP2 || code == CURLE_HTTP2_STREAM;
}

static bool is_pushback(const struct transfer *t, CURLcode code)
{
	return (code == CURLE_HTTP2 || code == CURLE_HTTP2_STREAM) &&
	       (strstr(t->curl_text, "GOAWAY") || strstr(t->curl_text, "REFUSED_STREAM") ||
		strstr(t->curl_text, "ENHANCE_YOUR_CALM"));
}

void transfer_conclude(struct transfer *t, CURLcode code)
{
	t->failed = code != CURLE_OK || t->phase == TRANSFER_RUNNING;
	if (!t->failed || t->dropped)
		return;
	if (cancelled(t->net->cfg.cancel)) {
		err_cancelled(&t->error);
		return;
	}
	t->stale = !t->refused && died_before_answering(t, code);
	t->pushback = is_pushback(t, code);
	if (t->refused) {
		words_for_request(&t->error, t->method, t->url);
		return;
	}
	word_failure(t, code == CURLE_OK ? CURLE_GOT_NOTHING : code);
}

void transfer_settle(struct transfer *t)
{
	pthread_mutex_lock(&t->lock);
	if (t->ended)
		t->phase = TRANSFER_DONE;
	if (t->want == WANT_BODY && t->in.n == 0 && t->filling && t->filling->n > 0)
		queue_push(&t->in, steal(&t->filling));
	bool news = t->want != WANT_NOTHING && ready(t, t->want);

	pthread_mutex_unlock(&t->lock);
	// Behind the lock, which the woken thread takes first thing. The loop's reference keeps T.
	if (news)
		pthread_cond_signal(&t->changed);
}
