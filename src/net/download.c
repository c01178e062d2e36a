// SPDX-License-Identifier: Apache-2.0
// The download loop: the second of the three retry loops. Its position is the next byte.
#include "net/client.h"
#include "net/http.h"
#include "net/retry.h"
#include "net/url.h"
#include "net/words.h"
#include "util/mem.h"

#include <inttypes.h>
#include <string.h>

enum {
	SMALL_BLOB = 64 * 1024, // whole in its buffer, so HTTP/2 may carry it
};

struct download {
	struct stream base;
	struct http *net;
	struct http_exchange *x; // NULL between attempts
	struct retry retry;
	uint64_t position, size; // the next byte that the reader gets; the length of the whole
	uint64_t skip;           // bytes of this answer that the reader has already
	bool delimited;          // this answer says itself where it ends
	uint64_t asked_wait_ms;  // Retry-After of the answer that was refused, or 0

	// The request, copied: the caller's may be gone by the time that it is repeated.
	struct http_req req;
	char *url;
	struct strlist headers;
};

static void download_free(struct stream *base)
{
	struct download *d = (struct download *)base;

	http_exchange_free(d->x);
	strlist_release(&d->headers);
	free(d->url);
	free(d);
}

static int status_error(const struct http_exchange *x, struct err *e)
{
	int status = http_status(x);
	enum err_kind kind = ERR_NET;

	if (status == 404 || status == 410)
		kind = ERR_NOT_FOUND;
	else if (status == 401 || status == 403)
		kind = ERR_DENIED;
	err_set(e, kind, "%d %s", status, words_for_status(status));
	words_for_request(e, "GET", http_url(x));
	e->http = status;
	return -1;
}

// "bytes FIRST-LAST/TOTAL", TOTAL may be '*'.
static bool range_fits(const char *value, uint64_t first, uint64_t size)
{
	struct str rest = str_of(value ? value : "");
	uint64_t from, to, total;

	if (!str_starts(rest, STR("bytes ")))
		return false;
	rest.p += 6;
	rest.n -= 6;
	struct str range = str_cut(&rest, '/'), last = range;
	struct str begin = str_cut(&last, '-');

	if (!str_u64(str_trim(begin), UINT64_MAX, &from) || from != first ||
	    !str_u64(str_trim(last), UINT64_MAX, &to) || to < from || to >= size)
		return false;
	return str_eqz(rest, "*") || (str_u64(rest, UINT64_MAX, &total) && total == size);
}

static int size_error(const struct download *d, uint64_t got, struct err *e)
{
	err_set(e, ERR_DIGEST, "server has %" PRIu64 " bytes, not %" PRIu64, got, d->size);
	words_for_request(e, "GET", d->url);
	return -1;
}

static int check_length(struct download *d, uint64_t expected, struct err *e)
{
	const char *text = http_header(d->x, "Content-Length");
	uint64_t length;

	d->delimited = text || http_header(d->x, "Transfer-Encoding");
	if (!text)
		return 0;
	if (!str_u64(str_of(text), UINT64_MAX, &length))
		return err_set(e, ERR_NET, "malformed Content-Length");
	return length == expected ? 0 : size_error(d, d->size - expected + length, e);
}

// Does the answer hold what was asked for? A whole one is read and dropped up to the position.
static int accept_answer(struct download *d, struct err *e)
{
	int status = http_status(d->x);

	if (status == 200) {
		d->skip = d->position;
		return check_length(d, d->size, e);
	}
	if (status != 206 || d->position == 0)
		return status_error(d->x, e);
	d->skip = 0;
	if (!range_fits(http_header(d->x, "Content-Range"), d->position, d->size)) {
		err_set(e, ERR_NET, "server sent another range than bytes %" PRIu64 "-%" PRIu64,
			d->position, d->size - 1);
		words_for_request(e, "GET", d->url);
		return -1;
	}
	return check_length(d, d->size - d->position, e);
}

static int open_answer(struct download *d, struct err *e)
{
	auto_strlist struct strlist headers = {0};
	struct http_req req = d->req;

	for (size_t i = 0; i < d->headers.n; i++)
		strlist_add(&headers, d->headers.v[i]);
	if (d->position > 0)
		strlist_addf(&headers, "Range: bytes=%" PRIu64 "-", d->position);
	strlist_take(&headers, NULL);
	req.headers = (const char *const *)headers.v;
	d->asked_wait_ms = 0;
	d->x = http_open(d->net, &req, e);
	if (!d->x)
		return -1;
	if (accept_answer(d, e) == 0)
		return 0;
	d->asked_wait_ms = http_retry_after_ms(d->x);
	http_exchange_free(steal(&d->x));
	return -1;
}

// Counts *why, tells about the repetition and waits; -1 with *e when it is not to be repeated.
static int back_off(struct download *d, struct err *e)
{
	const struct http_config *cfg = &d->net->cfg;
	auto_free char *url = url_without_query(d->url);
	auto_free char *what = xasprintf("GET %s", url);
	struct err why = *e;

	if (!retry_next(&d->retry, &why, d->asked_wait_ms))
		return -1;
	if (cfg->on_retry)
		cfg->on_retry(cfg->on_retry_arg, what, &why, d->retry.wait_ms);
	return retry_wait(&d->retry, cfg->cancel, e);
}

static int reach(struct download *d, struct err *e)
{
	while (open_answer(d, e) < 0)
		if (back_off(d, e) < 0)
			return -1;
	return 0;
}

// What is left of SLAB behind the bytes that the reader has; NULL when nothing is.
static struct slab *skip(struct download *d, struct slab *slab)
{
	size_t n = slab->n < d->skip ? slab->n : (size_t)d->skip;

	d->skip -= n;
	if (n == slab->n) {
		slab_free(slab);
		return NULL;
	}
	memmove(slab->data, slab->data + n, slab->n - n);
	slab->n -= n;
	return slab;
}

static struct slab *deliver(struct download *d, struct slab *slab, struct err *e)
{
	if (slab->n > d->size - d->position) {
		size_error(d, d->position + slab->n, e);
		slab_free(slab);
		return NULL;
	}
	d->position += slab->n;
	retry_progress(&d->retry);
	return slab;
}

// All bytes are there. Reading the end frees the connection for the next; more bytes are a lie.
static struct slab *finish(struct download *d, struct err *e)
{
	auto_of(http_exchange_free) struct http_exchange *x = steal(&d->x);
	struct err ignored;
	auto_of(slab_free) struct slab *more = x ? http_read(x, &ignored) : NULL;

	e->kind = ERR_NONE;
	if (more)
		size_error(d, d->size + more->n, e);
	return NULL;
}

// The answer ended, by *e or without an error, before the last byte.
static int broke_off(struct download *d, struct err *e)
{
	if (e->kind == ERR_NONE && d->delimited)
		return size_error(d, d->position, e);
	if (e->kind == ERR_NONE) {
		err_set(e, ERR_NET, "unexpected EOF");
		words_for_request(e, "GET", d->url);
	}
	http_exchange_free(steal(&d->x));
	d->asked_wait_ms = 0;
	return back_off(d, e);
}

static struct slab *download_read(struct stream *base, struct err *e)
{
	struct download *d = (struct download *)base;
	struct slab *slab;

	while (d->position < d->size) {
		if (!d->x && reach(d, e) < 0)
			return NULL;
		slab = http_read(d->x, e);
		if (!slab) {
			if (broke_off(d, e) < 0)
				return NULL;
			continue;
		}
		slab = skip(d, slab);
		if (slab)
			return deliver(d, slab, e);
	}
	return finish(d, e);
}

static const struct stream_ops download_ops = {download_read, download_free};

static struct download *download_new(struct http *net, const struct http_req *req)
{
	struct download *d = xcalloc(1, sizeof(*d));

	d->base.ops = &download_ops;
	d->net = net;
	d->url = xstrdup(req->url);
	for (const char *const *h = req->headers; h && *h; h++)
		strlist_add(&d->headers, *h);
	d->req = (struct http_req){
		.method = "GET",
		.url = d->url,
		.auth = req->auth,
		.limiter = req->limiter,
		.flags = HTTP_ONCE,
		.timeout_seconds = req->timeout_seconds,
	};
	return d;
}

struct stream *http_download(struct http *net, const struct http_req *req, uint64_t offset,
			     uint64_t size, struct err *e)
{
	auto_of(stream_free) struct stream *s = NULL;
	struct download *d = download_new(net, req);
	unsigned budget = net->cfg.retries ? net->cfg.retries : HTTP_RETRIES;

	s = &d->base;
	d->position = offset < size ? offset : size;
	d->size = size;
	if (size <= SMALL_BLOB)
		d->req.flags |= HTTP_SMALL;
	retry_init(&d->retry, budget, http_next_seed(net));
	if (d->position == d->size && offset > 0)
		return steal(&s); // nothing is left to be asked for
	return reach(d, e) < 0 ? NULL : steal(&s);
}
