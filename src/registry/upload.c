// SPDX-License-Identifier: Apache-2.0
// The upload session loop: the third loop of the retry policy, which owns the destination's offset.
//
// Spec: OCI distribution-spec v1.1, "Pushing blobs": POST opens a session, PUT brings the bytes and
// the digest. The whole blob goes with the PUT. After a break the destination says how much it has,
// the newest hash checkpoint before that is restored, and a PUT brings the rest; where the
// destination cannot go on in the middle, a new session starts at 0.
#include "registry/client.h"

#include "net/retry.h"
#include "net/url.h"
#include "util/stream.h"
#include "util/trace.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

enum {
	UPLOAD_RETRIES = 5,
	CHECKPOINT_BYTES = 8 * 1024 * 1024,
	CHECKPOINTS_MAX = 256, // then every other one goes and the distance doubles
	KEPT_SESSIONS_MAX = 1024,
};

// The hash of the first POS bytes.
struct checkpoint {
	uint64_t pos;
	struct hasher *hash;
};

struct upload {
	struct registry *r;
	const char *repository;
	const struct descriptor *d;
	const struct opener *src;
	struct retry retry;
	uint64_t retry_after_ms; // of the last refusal

	char *location;  // the session; NULL: none yet
	bool inherited;  // the session is not of this upload's making, and may be gone
	bool whole;      // the rest of a blob was refused once: everything in one PUT
	bool renewed;    // a 401 was answered with new credentials
	uint64_t offset; // what the destination has
	uint64_t best;   // the largest of these
	bool source_failed;

	struct buf content; // of a small blob, verified
	struct checkpoint checkpoints[CHECKPOINTS_MAX];
	size_t ncheckpoints;
	uint64_t distance;
};

enum outcome {
	OUTCOME_DONE,
	OUTCOME_FAILED,  // for good
	OUTCOME_BROKEN,  // ask where we are, after a pause
	OUTCOME_RENEWED, // the same, at once
	OUTCOME_GONE,    // the session is lost: a new one, after a pause
};

bool upload_range(const char *value, uint64_t *ret)
{
	struct str rest = str_trim(str_of(value));
	uint64_t first, last;

	if (str_starts(rest, STR("bytes=")))
		rest = (struct str){rest.p + 6, rest.n - 6};
	struct str from = str_cut(&rest, '-');

	if (!str_u64(from, UINT64_MAX - 1, &first) || first != 0 ||
	    !str_u64(rest, UINT64_MAX - 1, &last))
		return false;
	*ret = last == 0 ? 0 : last + 1;
	return true;
}

static bool is_small(const struct upload *u)
{
	return u->d->size <= SLAB_SIZE;
}

static void upload_release(struct upload *u)
{
	for (size_t i = 0; i < u->ncheckpoints; i++)
		hasher_free(u->checkpoints[i].hash);
	buf_free(&u->content);
	free(u->location);
}

// --- checkpoints ---

static void add_checkpoint(struct upload *u, const struct hasher *h, uint64_t pos)
{
	uint64_t newest = u->ncheckpoints ? u->checkpoints[u->ncheckpoints - 1].pos : 0;

	if (pos < newest + u->distance)
		return;
	if (u->ncheckpoints == CHECKPOINTS_MAX) {
		for (size_t i = 0; i < CHECKPOINTS_MAX / 2; i++) {
			hasher_free(u->checkpoints[2 * i].hash);
			u->checkpoints[i] = u->checkpoints[2 * i + 1];
		}
		u->ncheckpoints = CHECKPOINTS_MAX / 2;
		u->distance *= 2;
	}
	u->checkpoints[u->ncheckpoints++] = (struct checkpoint){pos, hasher_copy(h)};
}

// A hasher that has seen the first *ret_pos bytes, as many as there may be before LIMIT.
static struct hasher *restore(const struct upload *u, uint64_t limit, uint64_t *ret_pos)
{
	for (size_t i = u->ncheckpoints; i-- > 0;) {
		if (u->checkpoints[i].pos > limit)
			continue;
		*ret_pos = u->checkpoints[i].pos;
		return hasher_copy(u->checkpoints[i].hash);
	}
	*ret_pos = 0;
	return hasher_new(u->d->digest.algo);
}

// --- the source ---

struct source {
	struct stream *stream;
	struct hasher *hash;
	uint64_t pos;
};

static void source_release(struct source *s)
{
	stream_free(s->stream);
	hasher_free(s->hash);
}
#define auto_source __attribute__((cleanup(source_release)))

static int source_open(struct upload *u, struct source *ret, struct err *e)
{
	ret->hash = restore(u, u->offset, &ret->pos);
	ret->stream = u->src->open(u->src->arg, ret->pos, e);
	if (ret->stream)
		return 0;
	u->source_failed = true;
	return -1;
}

// All of the blob has been read: is it the one, and is that all?
static int source_verify(struct upload *u, struct source *s, struct err *e)
{
	struct slab *more = stream_read(s->stream, e);
	struct digest got;

	if (more) {
		slab_free(more);
		return err_set(e, ERR_DIGEST,
			       "blob %s is larger than the %" PRIu64
			       " bytes that its manifest says",
			       u->d->digest.text, u->d->size);
	}
	if (e->kind != ERR_NONE)
		return -1;
	if (u->r->cfg.skip_verification)
		return 0;
	hasher_finish(s->hash, &got);
	return digest_check(&u->d->digest, &got, "blob", e);
}

// The next slab, hashed. The last one is only given out once the digest is right.
static struct slab *source_read(struct upload *u, struct source *s, struct err *e)
{
	auto_of(slab_free) struct slab *slab = stream_read(s->stream, e);

	u->source_failed = true;
	if (!slab) {
		if (e->kind == ERR_NONE)
			err_set(e, ERR_DIGEST,
				"blob %s is %" PRIu64 " bytes, its manifest says %" PRIu64,
				u->d->digest.text, s->pos, u->d->size);
		return NULL;
	}
	size_t n = slab->n - slab->start;

	if (n > u->d->size - s->pos) {
		err_set(e, ERR_DIGEST,
			"blob %s is larger than the %" PRIu64 " bytes that its manifest says",
			u->d->digest.text, u->d->size);
		return NULL;
	}
	hasher_add(s->hash, slab->data + slab->start, n);
	s->pos += n;
	if (s->pos < u->d->size)
		add_checkpoint(u, s->hash, s->pos);
	else if (source_verify(u, s, e) < 0)
		return NULL;
	u->source_failed = false;
	return steal(&slab);
}

// Reads on to what the destination has. *ret is what the slab that crosses that line holds behind
// it, or NULL.
static int source_skip(struct upload *u, struct source *s, struct slab **ret, struct err *e)
{
	auto_of(slab_free) struct slab *slab = NULL;

	*ret = NULL;
	while (s->pos < u->offset) {
		slab_free(slab);
		slab = source_read(u, s, e);
		if (!slab)
			return -1;
	}
	if (s->pos == u->offset)
		return 0;
	assert(slab); // no checkpoint lies beyond the offset, so only reading crosses it
	size_t keep = (size_t)(s->pos - u->offset);

	memmove(slab->data, slab->data + slab->n - keep, keep);
	slab->start = 0;
	slab->n = keep;
	*ret = steal(&slab);
	return 0;
}

static int read_small(struct upload *u, struct err *e)
{
	auto_source struct source s = {0};

	u->content = (struct buf)BUF_INIT(SLAB_SIZE);
	if (source_open(u, &s, e) < 0)
		return -1;
	if (u->d->size == 0)
		return source_verify(u, &s, e);
	while (s.pos < u->d->size) {
		auto_of(slab_free) struct slab *slab = source_read(u, &s, e);

		if (!slab)
			return -1;
		buf_put(&u->content, slab->data + slab->start, slab->n - slab->start);
	}
	return 0;
}

// --- the session ---

static bool survives_run(const struct upload *u)
{
	return u->d->size > SESSION_MIN && u->r->state_dir;
}

static void drop_session(struct upload *u)
{
	free(u->location);
	u->location = NULL;
	u->offset = 0;
	u->inherited = false;
	u->renewed = false;
}

// Tells the destination that nothing more comes. Whatever it answers is fine.
static void cancel_session(struct upload *u)
{
	struct err ignored;

	if (!u->location)
		return;
	struct call call = {
		.method = "DELETE",
		.url = u->location,
		.repository = u->repository,
		.push = true,
		.flags = HTTP_SMALL | HTTP_ONCE,
	};
	struct http_exchange *x = registry_send(u->r, &call, &ignored);

	if (x)
		http_drain(x);
	http_exchange_free(x);
	if (survives_run(u))
		session_forget(u->r, u->repository, &u->d->digest);
	drop_session(u);
}

static char *session_key(const char *repository, const struct digest *d)
{
	return xasprintf("%s %s", repository, d->text);
}

void upload_keep(struct registry *r, const char *repository, const struct digest *d, char *location)
{
	auto_free char *key = session_key(repository, d);

	pthread_mutex_lock(&r->lock);
	if (r->sessions.n < KEPT_SESSIONS_MAX || map_find(&r->sessions, str_of(key))) {
		struct map_entry *entry = map_put(&r->sessions, str_of(key), NULL);

		free(entry->ptr);
		entry->ptr = location;
		location = NULL;
	}
	pthread_mutex_unlock(&r->lock);
	free(location);
}

// The session that a refused mount has opened already.
static char *take_kept(struct registry *r, const char *repository, const struct digest *d)
{
	auto_free char *key = session_key(repository, d);

	pthread_mutex_lock(&r->lock);
	char *location = map_get(&r->sessions, key);

	if (location)
		map_remove(&r->sessions, str_of(key));
	pthread_mutex_unlock(&r->lock);
	return location;
}

static int post_session(struct upload *u, struct err *e)
{
	auto_free char *url = registry_url(u->r, e, "%s/blobs/uploads/", u->repository);

	if (!url)
		return -1;
	struct call call = {
		.method = "POST",
		.url = url,
		.repository = u->repository,
		.push = true,
		.flags = HTTP_SMALL,
	};
	auto_of(http_exchange_free) struct http_exchange *x = registry_send(u->r, &call, e);

	if (!x)
		return -1;
	if (http_status(x) != 202)
		return registry_failed(u->r, u->repository, x, e);
	const char *location = http_header(x, "Location");

	if (!location)
		return err_set(e, ERR_INPUT, "registry %s opened an upload without saying where",
			       u->r->host);
	if (registry_resolve(u->r, &u->location, http_url(x), location, e) < 0)
		return err_wrap(e, "registry %s opened an upload", u->r->host);
	http_drain(x);
	if (survives_run(u))
		session_save(u->r, u->repository, &u->d->digest, u->location);
	return 0;
}

// Is the blob there after all? The answer to the last PUT may be all that was lost.
static bool is_there(struct upload *u)
{
	struct err ignored;
	uint64_t size;

	return registry_blob_head(u->r, u->repository, &u->d->digest, &size, &ignored) == 0 &&
	       (size == 0 || size == u->d->size);
}

// The answer to GET on the session: where it stands. False when it is of no use.
static bool read_position(struct upload *u, const struct http_exchange *x)
{
	const char *range = http_header(x, "Range"), *location = http_header(x, "Location");
	char *moved = NULL;
	struct err ignored;
	uint64_t offset = 0;

	if (!http_success(http_status(x)) || (range && !upload_range(range, &offset)) ||
	    offset > u->d->size || (u->whole && offset > 0))
		return false;
	if (location && registry_resolve(u->r, &moved, http_url(x), location, &ignored) < 0)
		return false;
	if (moved) {
		free(u->location);
		u->location = moved;
	}
	u->offset = offset;
	if (offset > u->best) {
		u->best = offset;
		retry_progress(&u->retry);
	}
	trace("registry", "upload of %s goes on at %" PRIu64, u->d->digest.text, offset);
	return true;
}

// Asks the destination how much it has. Afterwards there is a session with its offset, or none.
static int locate(struct upload *u, struct err *e)
{
	struct call call = {
		.method = "GET",
		.url = u->location,
		.repository = u->repository,
		.push = true,
		.flags = HTTP_SMALL,
	};
	auto_of(http_exchange_free) struct http_exchange *x = registry_send(u->r, &call, e);

	if (!x)
		return -1;
	int status = http_status(x);

	if (retry_status(status))
		return registry_failed(u->r, u->repository, x, e);
	http_drain(x);
	if (read_position(u, x))
		return 0;
	if (status == 404 || status == 410)
		drop_session(u);
	else
		cancel_session(u);
	return 0;
}

// A session to send to: one that is there already, or a new one.
static int have_session(struct upload *u, struct err *e)
{
	if (u->location)
		return 0;
	return post_session(u, e);
}

// --- sending ---

// New credentials for a body that cannot be repeated by net/.
static bool renew(struct upload *u, struct request_auth *auth, const struct http_exchange *x)
{
	struct http_auth *a = request_auth_of(auth);
	const char *values[] = {http_header(x, "WWW-Authenticate"), NULL};
	bool again = false;
	struct err ignored;

	if (u->renewed || !a || !values[0])
		return false;
	u->renewed = true;
	return a->challenged(a, values, &again, &ignored) == 0 && again;
}

// For refusals that another session may cure: the retry policy counts them like broken connections.
static void mark_repeatable(struct err *e)
{
	e->kind = ERR_NET;
	e->http = 0;
}

// What the answer to the PUT means.
static enum outcome settle(struct upload *u, struct request_auth *auth, struct http_exchange *x,
			   bool all_sent, struct err *e)
{
	int status = http_status(x);
	struct digest stored;
	struct err ignored;

	if (status != 401)
		request_auth_accepted(auth);
	if (http_success(status)) {
		const char *said = http_header(x, "Docker-Content-Digest");

		if (!all_sent) {
			err_set(e, ERR_NET, "registry %s took an upload for complete that is not",
				u->r->host);
			return OUTCOME_GONE;
		}
		if (said && digest_parse(&stored, said, &ignored) == 0 &&
		    stored.algo == u->d->digest.algo && !digest_equal(&stored, &u->d->digest)) {
			err_set(e, ERR_DIGEST, "registry %s stored blob %s as %s", u->r->host,
				u->d->digest.text, stored.text);
			return OUTCOME_FAILED;
		}
		http_drain(x);
		return OUTCOME_DONE;
	}
	if (status == 401 && renew(u, auth, x)) {
		http_drain(x);
		return OUTCOME_RENEWED;
	}
	u->retry_after_ms = http_retry_after_ms(x);
	registry_failed(u->r, u->repository, x, e);
	if (retry_status(status))
		return OUTCOME_BROKEN;
	if (status == 404 || status == 410) {
		mark_repeatable(e);
		return OUTCOME_GONE;
	}
	// A rest that is not taken, or that does not fit what came before: all of it, anew.
	if (u->offset > 0 && status != 401 && status != 403) {
		u->whole = true;
		mark_repeatable(e);
		return OUTCOME_GONE;
	}
	return OUTCOME_FAILED;
}

static enum outcome broken(const struct err *e)
{
	return e->kind == ERR_NET ? OUTCOME_BROKEN : OUTCOME_FAILED;
}

static char *put_url(const struct upload *u)
{
	return url_add_query(u->location, "digest", u->d->digest.text);
}

static enum outcome send_small(struct upload *u, struct err *e)
{
	static const char *const headers[] = {"Content-Type: application/octet-stream", NULL};
	auto_free char *url = put_url(u);
	struct request_auth auth;

	request_auth_init(&auth, u->r, u->repository, true, NULL, "PUT", url);
	struct http_req req = {
		.method = "PUT",
		.url = url,
		.headers = headers,
		.auth = request_auth_of(&auth),
		.limiter = u->r->limiter,
		.body = u->content.p,
		.body_len = u->content.n,
		.flags = HTTP_SMALL | HTTP_ONCE,
	};
	auto_of(http_exchange_free) struct http_exchange *x = http_open(u->r->cfg.net, &req, e);

	return x ? settle(u, &auth, x, true, e) : broken(e);
}

// Sends FIRST (may be NULL) and the rest of the source. 1 when the body is out, 0 when the server
// answered before that, -1 on failure.
static int send_body(struct upload *u, struct source *s, struct slab *first,
		     struct http_exchange *x, struct err *e)
{
	struct slab *slab = first;

	for (;;) {
		if (slab && http_write(x, slab, e) < 0) {
			struct err later;

			if (e->kind == ERR_CANCELLED || http_finish(x, &later) < 0)
				return -1;
			return 0;
		}
		if (s->pos == u->d->size)
			return http_finish(x, e) < 0 ? -1 : 1;
		slab = source_read(u, s, e);
		if (!slab)
			return -1;
	}
}

static enum outcome send_big(struct upload *u, struct err *e)
{
	auto_free char *url = put_url(u);
	auto_free char *range =
		xasprintf("Content-Range: %" PRIu64 "-%" PRIu64, u->offset, u->d->size - 1);
	bool rest = u->offset > 0 && u->offset < u->d->size;
	const char *const headers[] = {"Content-Type: application/octet-stream",
				       rest ? range : NULL, NULL};
	auto_source struct source s = {0};
	auto_of(slab_free) struct slab *first = NULL;
	struct request_auth auth;

	if (source_open(u, &s, e) < 0 || source_skip(u, &s, &first, e) < 0)
		return OUTCOME_FAILED;
	request_auth_init(&auth, u->r, u->repository, true, NULL, "PUT", url);
	struct http_req req = {
		.method = "PUT",
		.url = url,
		.headers = headers,
		.auth = request_auth_of(&auth),
		.limiter = u->r->limiter,
		.streamed = true,
		.body_size = u->d->size - u->offset,
		.flags = HTTP_ONCE,
	};
	auto_of(http_exchange_free) struct http_exchange *x = http_open(u->r->cfg.net, &req, e);

	if (!x)
		return broken(e);
	int sent = send_body(u, &s, steal(&first), x, e);

	if (sent < 0)
		return u->source_failed ? OUTCOME_FAILED : broken(e);
	return settle(u, &auth, x, sent == 1, e);
}

// After OUTCOME: counts, waits, and finds out where to go on. -1 when it is over.
static int prepare_next(struct upload *u, enum outcome outcome, struct err *e)
{
	struct err why = *e;
	bool inherited = u->inherited;

	if (outcome != OUTCOME_RENEWED && !(outcome == OUTCOME_GONE && inherited)) {
		if (!retry_next(&u->retry, &why, u->retry_after_ms))
			return -1;
		trace("registry", "upload of %s: %s", u->d->digest.text, why.text);
		if (retry_wait(&u->retry, u->r->cfg.cancel, e) < 0)
			return -1;
	}
	u->retry_after_ms = 0;
	if (outcome == OUTCOME_RENEWED && is_small(u))
		return 0;
	if (outcome == OUTCOME_GONE || is_small(u)) {
		if (!inherited && is_there(u))
			return 1;
		if (u->whole)
			cancel_session(u);
		drop_session(u);
		return 0;
	}
	if (locate(u, e) < 0)
		return -1;
	return !u->location && is_there(u);
}

static int run(struct upload *u, struct err *e)
{
	for (;;) {
		if (have_session(u, e) < 0)
			return -1;
		enum outcome outcome = is_small(u) ? send_small(u, e) : send_big(u, e);

		if (outcome == OUTCOME_DONE)
			return 0;
		if (outcome == OUTCOME_FAILED)
			return registry_hint(u->r, e);
		int rc = prepare_next(u, outcome, e);

		if (rc != 0)
			return rc < 0 ? -1 : 0;
	}
}

// A session from before this upload, and where it stands.
static int inherit(struct upload *u, struct err *e)
{
	u->location = take_kept(u->r, u->repository, &u->d->digest);
	u->inherited = u->location != NULL;
	if (u->location || !survives_run(u))
		return 0;
	u->location = session_claim(u->r, u->repository, &u->d->digest);
	if (!u->location)
		return 0;
	u->inherited = true;
	if (locate(u, e) < 0)
		return -1;
	if (u->location)
		session_save(u->r, u->repository, &u->d->digest, u->location);
	return 0;
}

// The session of an upload that failed goes, unless a later run can make something of it.
static void give_up(struct upload *u, const struct err *e)
{
	if (e->kind == ERR_CANCELLED || (e->kind == ERR_NET && survives_run(u)))
		return;
	if (e->kind == ERR_NET && !u->source_failed)
		return; // nobody there to tell
	cancel_session(u);
}

int registry_blob_put(struct registry *r, const char *repository, const struct descriptor *d,
		      const struct opener *src, struct err *e)
{
	__attribute__((cleanup(upload_release))) struct upload u = {
		.r = r,
		.repository = repository,
		.d = d,
		.src = src,
		.content = BUF_INIT(0),
		.distance = CHECKPOINT_BYTES,
	};
	unsigned char raw[DIGEST_RAW_MAX];
	uint64_t seed;

	digest_raw(&d->digest, raw);
	memcpy(&seed, raw, sizeof(seed));
	retry_init(&u.retry, UPLOAD_RETRIES, seed);
	if (registry_ping(r, e) < 0)
		return -1;
	if (is_small(&u) && read_small(&u, e) < 0)
		return -1;
	if (inherit(&u, e) < 0)
		return -1;
	if (run(&u, e) < 0) {
		give_up(&u, e);
		return -1;
	}
	if (survives_run(&u))
		session_forget(r, repository, &d->digest);
	return 0;
}
