// SPDX-License-Identifier: Apache-2.0
// Exchanges: the first of the three retry loops. It repeats until there is a response that is an
// answer; challenges, redirects and back-off are its steps.
#include "net/client.h"
#include "net/retry.h"
#include "net/transfer.h"
#include "net/url.h"
#include "net/words.h"
#include "util/mem.h"

#include <string.h>

enum { REDIRECTS_MAX = 10 };

struct http_exchange {
	struct http *net;
	struct transfer *t;
	char *url;
	struct http_auth *auth;  // of a streamed request, for http_finish
	struct limiter *limiter; // likewise
	bool streamed;
	size_t small_read;     // of t->small_body, what has been handed out
	struct strlist joined; // header values that were composed for the caller
};

// One run of the loop; what changes from attempt to attempt.
struct attempts {
	const struct http_req *req;
	struct http_exchange *x;
	struct retry retry;
	unsigned redirects;
	bool challenged;
	bool relaunched;
	bool large; // a small answer that was not small
};

enum step { ANSWERED, AGAIN, FAILED };

static void describe(struct err *e, int status, const char *method, const char *url)
{
	err_set(e, ERR_NET, "%d %s", status, words_for_status(status));
	words_for_request(e, method, url);
	e->http = status;
}

// Asks for credentials for the URL at hand; other origins get none.
static int authorize(struct attempts *a, char **ret, struct err *e)
{
	struct http_auth *auth = a->req->auth;

	*ret = NULL;
	if (!auth || !url_same_origin(a->req->url, a->x->url))
		return 0;
	return auth->authorize(auth, ret, e);
}

static int start(struct attempts *a, struct err *e)
{
	const struct http_req *req = a->req;
	struct http_exchange *x = a->x;
	auto_free char *authorization = NULL;
	struct transfer_spec spec = {
		.method = req->method,
		.url = x->url,
		.headers = req->headers,
		.anonymous = a->redirects > 0 && !url_same_origin(req->url, x->url),
		.body = req->body,
		.body_len = req->body_len,
		.streamed = req->streamed,
		.body_size = req->body_size,
		.small = (req->flags & HTTP_SMALL) && !a->large && !req->streamed,
		.timeout_seconds = req->timeout_seconds,
	};

	if (authorize(a, &authorization, e) < 0)
		return -1;
	spec.authorization = authorization;
	transfer_drop(x->t);
	x->t = transfer_start(x->net, &spec, e);
	a->relaunched = false;
	return x->t ? 0 : -1;
}

// Tells about the repetition and waits for its time.
static enum step back_off(struct attempts *a, const struct err *why, struct err *e)
{
	const struct http_config *cfg = &a->x->net->cfg;
	auto_free char *url = url_without_query(a->x->url);
	auto_free char *what = xasprintf("%s %s", a->req->method, url);

	if (cfg->on_retry)
		cfg->on_retry(cfg->on_retry_arg, what, why, a->retry.wait_ms);
	return retry_wait(&a->retry, cfg->cancel, e) < 0 ? FAILED : AGAIN;
}

static bool is_read(const struct http_req *req)
{
	return strcmp(req->method, "GET") == 0 || strcmp(req->method, "HEAD") == 0;
}

// The attempt failed on the wire with *e.
static enum step after_failure(struct attempts *a, struct err *e)
{
	struct transfer *t = a->x->t;
	struct err why = *e;

	if (e->kind == ERR_CANCELLED)
		return FAILED;
	if (t->too_large && is_read(a->req)) {
		a->large = true;
		return AGAIN;
	}
	if (t->pushback && a->req->limiter)
		limiter_pushback(a->req->limiter);
	if ((a->req->flags & HTTP_ONCE) || !retry_next(&a->retry, &why, 0))
		return FAILED;
	return back_off(a, &why, e);
}

uint64_t http_retry_after_ms(const struct http_exchange *x)
{
	const struct head *h = &x->t->head;
	const char *date = head_get(h, "Date");
	int64_t now;

	// The server's own clock is the one that its date was made by.
	if (!date || !retry_http_date(date, &now))
		now = INT64_MAX;
	return retry_after(head_get(h, "Retry-After"), now);
}

static enum step after_busy(struct attempts *a, struct err *e)
{
	struct head *h = &a->x->t->head;
	struct err why;

	if ((h->status == 429 || h->status == 503) && a->req->limiter)
		limiter_pushback(a->req->limiter);
	describe(&why, h->status, a->req->method, a->x->url);
	if ((a->req->flags & HTTP_ONCE) || !retry_next(&a->retry, &why, http_retry_after_ms(a->x)))
		return ANSWERED;
	return back_off(a, &why, e);
}

static int challenge(struct http_auth *auth, const struct head *h, bool *ret_again, struct err *e)
{
	auto_free const char **challenges = head_all(h, "WWW-Authenticate");

	return auth->challenged(auth, challenges, ret_again, e);
}

static enum step after_challenge(struct attempts *a, struct err *e)
{
	struct http_auth *auth = a->req->auth;
	bool again = false;

	if (!auth || a->challenged || !url_same_origin(a->req->url, a->x->url))
		return ANSWERED;
	a->challenged = true;
	if (challenge(auth, &a->x->t->head, &again, e) < 0)
		return FAILED;
	return again ? AGAIN : ANSWERED;
}

static bool is_redirect(const struct http_req *req, const struct head *h)
{
	if ((req->flags & HTTP_KEEP_REDIRECT) || !head_get(h, "Location"))
		return false;
	switch (h->status) {
	case 301:
	case 302:
	case 303:
		return is_read(req);
	case 307:
	case 308:
		return true;
	default:
		return false;
	}
}

static enum step after_redirect(struct attempts *a, struct err *e)
{
	struct http_exchange *x = a->x;
	auto_free char *from = steal(&x->url);

	if (url_resolve(&x->url, from, head_get(&x->t->head, "Location"), e) < 0) {
		x->url = steal(&from);
		err_wrap(e, "failed to parse Location header");
	} else if (++a->redirects <= REDIRECTS_MAX) {
		return AGAIN;
	} else {
		err_set(e, ERR_NET, "stopped after %d redirects", REDIRECTS_MAX);
		e->os = RETRY_NEVER;
	}
	words_for_request(e, a->req->method, a->req->url);
	return FAILED;
}

static enum step judge(struct attempts *a, struct err *e)
{
	const struct head *h = &a->x->t->head;

	if (h->status == 401)
		return after_challenge(a, e);
	if (is_redirect(a->req, h))
		return after_redirect(a, e);
	if (retry_status(h->status))
		return after_busy(a, e);
	return ANSWERED;
}

// Waits for what the attempt brings. A small answer is whole before anyone looks at it.
static int await_answer(struct attempts *a, struct err *e)
{
	struct transfer *t = a->x->t;

	if (transfer_wait(t, t->small ? WANT_DONE : WANT_HEAD, e) == 0)
		return 0;
	// What has been done must not be done again because its report broke off.
	if (t->head.status > 0 && !is_read(a->req))
		return 0;
	if (t->stale && !a->relaunched) {
		a->relaunched = true;
		if (transfer_relaunch(t, e) < 0)
			return -1;
		return await_answer(a, e);
	}
	return -1;
}

static enum step attempt(struct attempts *a, struct err *e)
{
	if (start(a, e) < 0)
		return FAILED;
	if (a->req->streamed)
		return ANSWERED;
	return await_answer(a, e) < 0 ? after_failure(a, e) : judge(a, e);
}

struct http_exchange *http_open(struct http *net, const struct http_req *req, struct err *e)
{
	auto_of(http_exchange_free) struct http_exchange *x = xcalloc(1, sizeof(*x));
	struct attempts a = {.req = req, .x = x};
	enum step step;

	x->net = net;
	x->url = xstrdup(req->url);
	x->streamed = req->streamed;
	x->auth = req->streamed ? req->auth : NULL;
	x->limiter = req->streamed ? req->limiter : NULL;
	retry_init(&a.retry, net->cfg.retries ? net->cfg.retries : HTTP_RETRIES,
		   http_next_seed(net));
	do {
		step = attempt(&a, e);
	} while (step == AGAIN);
	return step == ANSWERED ? steal(&x) : NULL;
}

// A streamed request whose connection was stale before any of the body left can start again: what
// was written is still queued.
static bool restart(struct http_exchange *x)
{
	struct err ignored;

	if (!transfer_done(x->t) || !x->t->stale || x->t->sent > 0)
		return false;
	return transfer_relaunch(x->t, &ignored) == 0;
}

int http_write(struct http_exchange *x, struct slab *slab, struct err *e)
{
	restart(x);
	return transfer_write(x->t, slab, e);
}

int http_finish(struct http_exchange *x, struct err *e)
{
	struct transfer *t = x->t;
	bool again;

	if (!x->streamed)
		return 0;
	if (transfer_end_body(t, e) < 0)
		return -1;
	int rc = transfer_wait(t, WANT_HEAD, e);

	if (rc < 0 && restart(x))
		rc = transfer_wait(t, WANT_HEAD, e);
	if (rc < 0 && t->pushback && x->limiter)
		limiter_pushback(x->limiter);
	if (rc < 0)
		return -1;
	if ((t->head.status == 429 || t->head.status == 503) && x->limiter)
		limiter_pushback(x->limiter);
	if (t->head.status == 401 && x->auth)
		return challenge(x->auth, &t->head, &again, e);
	return 0;
}

int http_status(const struct http_exchange *x)
{
	return x->t->head.status;
}

const char *http_url(const struct http_exchange *x)
{
	return x->url;
}

const char *http_header(const struct http_exchange *x, const char *name)
{
	const struct head *h = &x->t->head;
	// Composing the list does not change what the exchange is.
	struct strlist *joined = &((struct http_exchange *)x)->joined;
	char *all = head_join(h, name);

	if (!all)
		return NULL;
	for (size_t i = 0; i < joined->n; i++) {
		if (strcmp(joined->v[i], all) == 0) {
			free(all);
			return joined->v[i];
		}
	}
	strlist_take(joined, all);
	return all;
}

static struct slab *read_small(struct http_exchange *x, struct err *e)
{
	const struct buf *body = &x->t->small_body;
	size_t left = body->n - x->small_read;
	struct slab *s;

	if (left == 0) {
		e->kind = ERR_NONE;
		if (x->t->failed)
			*e = x->t->error;
		return NULL;
	}
	s = slab_get(x->net->cfg.pool, x->net->cfg.cancel, e);
	if (!s)
		return NULL;
	s->n = left < SLAB_SIZE ? left : SLAB_SIZE;
	memcpy(s->data, body->p + x->small_read, s->n);
	x->small_read += s->n;
	return s;
}

struct slab *http_read(struct http_exchange *x, struct err *e)
{
	return x->t->small ? read_small(x, e) : transfer_read(x->t, e);
}

static int read_all_small(struct http_exchange *x, struct buf *ret, struct err *e)
{
	const struct buf *body = &x->t->small_body;
	size_t from = x->small_read;

	if (x->t->failed) {
		*e = x->t->error;
		return -1;
	}
	x->small_read = body->n;
	return buf_add(ret, body->p + from, body->n - from, e);
}

static int read_all(struct http_exchange *x, struct buf *ret, struct err *e)
{
	struct slab *s;

	if (x->t->small)
		return read_all_small(x, ret, e);
	while ((s = transfer_read(x->t, e))) {
		auto_of(slab_free) struct slab *mine = s;

		if (buf_add(ret, mine->data + mine->start, mine->n - mine->start, e) < 0)
			return -1;
	}
	return e->kind == ERR_NONE ? 0 : -1;
}

int http_read_all(struct http_exchange *x, struct buf *ret, struct err *e)
{
	struct err why;

	if (read_all(x, ret, &why) == 0)
		return 0;
	if (why.kind == ERR_INPUT) {
		err_wrap(&why, "response body is too large");
		words_for_request(&why, x->t->method, x->url);
	}
	*e = why;
	return -1;
}

void http_exchange_free(struct http_exchange *x)
{
	if (!x)
		return;
	transfer_drop(x->t);
	strlist_release(&x->joined);
	free(x->url);
	free(x);
}
