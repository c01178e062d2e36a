// SPDX-License-Identifier: Apache-2.0
// The tasks: move one blob, push one manifest, run one piece of planning. Called without the lock.
#include "transfer/engine.h"

#include "util/trace.h"

#include <stdlib.h>
#include <string.h>

// --- reading the source

// A blob's source as an opener, noting whether a failure came from this side.
struct source {
	struct transfer *t;
	struct job *job;
	struct repo *repo;
	uint64_t told; // the first so many bytes were announced
	bool unopened, unreadable;
};

struct source_stream {
	struct stream base;
	struct stream *in;
	struct source *source;
	uint64_t at;
};

// Bytes that are read again after a break travel twice, but are announced once.
static void tell_bytes(struct source *s, uint64_t at, size_t n)
{
	s->job->moved += n;
	atomic_fetch_add_explicit(&s->t->bytes_moved, n, memory_order_relaxed);
	if (at + n <= s->told)
		return;
	uint64_t news = at + n - s->told;

	s->told = at + n;
	emit(s->t, &(struct transfer_event){.type = TRANSFER_BLOB_BYTES,
					    .src = s->repo,
					    .dst = s->job->dst,
					    .digest = &s->job->blob.digest,
					    .size = news});
}

static struct slab *source_read(struct stream *base, struct err *e)
{
	struct source_stream *s = (struct source_stream *)base;

	if (cancelled(s->source->t->cfg.cancel)) {
		err_cancelled(e);
		return NULL;
	}
	struct slab *slab = stream_read(s->in, e);

	if (slab) {
		tell_bytes(s->source, s->at, slab->n - slab->start);
		s->at += slab->n - slab->start;
	} else if (e->kind != ERR_NONE) {
		s->source->unreadable = true;
	}
	return slab;
}

static void source_close(struct stream *base)
{
	struct source_stream *s = (struct source_stream *)base;

	stream_free(s->in);
	free(s);
}

static struct stream *source_open(void *arg, uint64_t offset, struct err *e)
{
	static const struct stream_ops ops = {source_read, source_close};
	struct source *source = arg;
	struct stream *in =
		source->repo->ops->blob_open(source->repo, &source->job->blob, offset, e);

	source->unreadable = false;
	source->unopened = in == NULL;
	if (!in)
		return NULL;
	struct source_stream *s = xcalloc(1, sizeof(*s));

	s->base.ops = &ops;
	s->in = in;
	s->source = source;
	s->at = offset;
	return &s->base;
}

// --- blobs

// Reads JOB's blob from FROM and sends it. *ret_why has the reference's words for what could not be
// done.
static enum blob_outcome send_blob(struct transfer *t, struct job *job, struct repo *from,
				   enum fault *ret_fault, const char **ret_why)
{
	struct source source = {.t = t, .job = job, .repo = from};
	const struct opener opener = {source_open, &source};
	struct err *e = &job->error;

	emit(t, &(struct transfer_event){.type = TRANSFER_BLOB_START,
					 .src = from,
					 .dst = job->dst,
					 .digest = &job->blob.digest,
					 .size = job->blob.size});
	if (job->dst->ops->blob_put(job->dst, &job->blob, &opener, e) == 0)
		return BLOB_MOVED;
	bool source_failed = source.unopened || source.unreadable || e->kind == ERR_DIGEST;

	*ret_fault = source_failed ? FAULT_SOURCE : FAULT_DESTINATION;
	*ret_why = source.unopened ? "unable to open source layer" : "unable to copy layer";
	if (!source_failed)
		*ret_why = "unable to upload blob";
	return BLOB_FAILED;
}

// Did E come without any answer from the other side? Asking on would only repeat the wait.
static bool is_silence(const struct err *e)
{
	return e->kind == ERR_NET && e->http == 0;
}

static bool is_final(const struct err *e)
{
	return e->kind == ERR_CANCELLED || is_silence(e);
}

// Folders always link: within one there is no second copy to be asked for.
static bool may_mount(const struct transfer *t, const struct job *job)
{
	return !t->cfg.skip_mount || job->dst->place->kind == PLACE_STORE;
}

static enum blob_outcome mount_blob(struct job *job, struct repo *from)
{
	bool mounted = false;

	if (job->dst->ops->blob_mount(job->dst, &job->blob, from, &mounted, &job->error) < 0) {
		trace("transfer", "mount of %s refused: %s", job->blob.digest.text,
		      job->error.text);
		return BLOB_FAILED;
	}
	job->error.kind = ERR_NONE;
	return mounted ? BLOB_MOUNTED : BLOB_FAILED;
}

// The place has the blob in another repository already.
static enum blob_outcome follow_blob(struct transfer *t, struct job *job, enum fault *ret_fault,
				     const char **ret_why)
{
	struct err *e = &job->error;

	if (!may_mount(t, job)) {
		if (!t->cfg.force && job->dst->ops->blob_stat(job->dst, &job->blob, e) == 0)
			return BLOB_PRESENT;
		return send_blob(t, job, job->src, ret_fault, ret_why);
	}
	if (mount_blob(job, job->holder) == BLOB_MOUNTED)
		return BLOB_MOUNTED;
	if (is_final(e))
		return BLOB_FAILED;
	if (send_blob(t, job, job->holder, ret_fault, ret_why) == BLOB_MOVED)
		return BLOB_MOVED;
	// Some credentials may push but not pull.
	if (*ret_fault != FAULT_SOURCE || e->kind == ERR_CANCELLED)
		return BLOB_FAILED;
	return send_blob(t, job, job->src, ret_fault, ret_why);
}

static enum blob_outcome lead_blob(struct transfer *t, struct job *job, enum fault *ret_fault,
				   const char **ret_why)
{
	struct err *e = &job->error;
	struct repo *dst = job->dst;

	e->kind = ERR_NONE;
	if (!t->cfg.force && dst->ops->fresh(dst) != REPO_FRESH) {
		if (dst->ops->blob_stat(dst, &job->blob, e) == 0)
			return BLOB_PRESENT;
		if (is_final(e))
			return BLOB_FAILED;
	}
	if (job->src->place == dst->place && job->src != dst && may_mount(t, job)) {
		if (mount_blob(job, job->src) == BLOB_MOUNTED)
			return BLOB_MOUNTED;
		if (is_final(e))
			return BLOB_FAILED;
	}
	return send_blob(t, job, job->src, ret_fault, ret_why);
}

static void note_answer(struct transfer *t, const struct job *job, const struct err *why)
{
	struct place_state *s = place_state(t, t->lanes[job->lane].dst);

	if (!why) {
		s->silences = 0;
	} else if (is_silence(why)) {
		s->silences++;
		s->silence = *why;
	}
}

// Failures to reach one destination are the same failure, whatever the blob: known by what follows
// the URL.
static char *failure_key(const struct job *job, enum fault fault)
{
	if (fault != FAULT_DESTINATION || !is_silence(&job->error))
		return NULL;
	const char *cause = strstr(job->error.text, "\": ");

	return xasprintf("%s: %s", job->dst->place->name, cause ? cause + 3 : job->error.text);
}

static void blob_failed(struct transfer *t, struct job *job, enum fault fault, const char *what)
{
	auto_free char *key = failure_key(job, fault), *dst = repo_print(job->dst);
	const struct transfer_event about = {.src = job->src,
					     .dst = job->dst,
					     .digest = &job->blob.digest,
					     .size = job->blob.size};
	struct err why = job->error;

	err_wrap(&why, "%s %s to %s", what, job->blob.digest.text, dst);
	pthread_mutex_lock(&t->lock);
	if (fault == FAULT_DESTINATION)
		note_answer(t, job, &job->error);
	bool stands = graph_blob_failed(t, job->node, fault, &why);

	pthread_mutex_unlock(&t->lock);
	err_wrap(&why, "%s", job->name);
	if (stands) {
		report_failure(t, false, &why, &about, key);
	} else {
		struct transfer_event ev = about;

		ev.type = TRANSFER_RETRIED;
		ev.error = &why;
		emit(t, &ev);
	}
}

static void run_blob(struct transfer *t, struct job *job)
{
	static const enum transfer_event_type events[] = {
		[BLOB_MOVED] = TRANSFER_BLOB_DONE,
		[BLOB_PRESENT] = TRANSFER_BLOB_PRESENT,
		[BLOB_MOUNTED] = TRANSFER_BLOB_MOUNTED,
	};
	enum fault fault = FAULT_DESTINATION;
	const char *why = "unable to upload blob";
	enum blob_outcome how = BLOB_FAILED;

	if (!job->silent)
		how = job->holder ? follow_blob(t, job, &fault, &why)
				  : lead_blob(t, job, &fault, &why);
	if (how == BLOB_FAILED) {
		blob_failed(t, job, fault, why);
		return;
	}
	emit(t, &(struct transfer_event){.type = events[how],
					 .src = job->src,
					 .dst = job->dst,
					 .digest = &job->blob.digest,
					 .size = job->blob.size});
	pthread_mutex_lock(&t->lock);
	note_answer(t, job, NULL);
	graph_blob_done(t, job->node, how);
	pthread_mutex_unlock(&t->lock);
}

// --- manifests

// Bytes that were dropped come from the source again, where the digest is checked on the way.
static int read_again(struct job *job, struct err *e)
{
	const struct digest want = job->manifest.digest;
	struct manifest_bytes got = {.bytes = BUF_INIT(MANIFEST_MAX)};

	if (job->manifest.bytes.cap > 0)
		return 0;
	if (job->src->ops->manifest_get(job->src, want.text, &got, e) < 0) {
		auto_free char *src = repo_print(job->src);

		return err_wrap(e, "%s: unable to retrieve source image %s manifest %s", job->name,
				src, want.text);
	}
	if (!digest_equal(&want, &got.digest)) {
		err_set(e, ERR_DIGEST, "%s: the source has manifest %s under the digest %s",
			job->name, got.digest.text, want.text);
		manifest_bytes_release(&got);
		return -1;
	}
	job->manifest.bytes = got.bytes;
	free(got.media_type);
	return 0;
}

static void image_done(struct transfer *t, struct job *job, const char *tag)
{
	pthread_mutex_lock(&t->lock);
	t->stats.images_done++;
	pthread_mutex_unlock(&t->lock);
	emit(t, &(struct transfer_event){.type = TRANSFER_IMAGE_DONE,
					 .src = job->src,
					 .dst = job->dst,
					 .digest = &job->manifest.digest,
					 .size = job->manifest.bytes.n,
					 .is_manifest = true,
					 .tag = tag});
}

static void manifest_error(struct transfer *t, struct job *job, enum fault fault,
			   const struct err *why)
{
	auto_free char *key = failure_key(job, fault);
	const struct transfer_event about = {.src = job->src,
					     .dst = job->dst,
					     .digest = &job->manifest.digest,
					     .is_manifest = true};

	pthread_mutex_lock(&t->lock);
	if (fault == FAULT_DESTINATION)
		note_answer(t, job, &job->error);
	graph_blame(t, job->node, fault, why);
	pthread_mutex_unlock(&t->lock);
	report_failure(t, false, why, &about, key);
}

static void push_failed(struct transfer *t, struct job *job, const char *tag)
{
	auto_free char *dst = repo_print(job->dst);
	struct err why = job->error;

	err_wrap(&why, "unable to push manifest to %s%s%s", dst, tag ? ":" : "", tag ? tag : "");
	manifest_error(t, job, FAULT_DESTINATION, &why);
}

// Registries that check what an index refers to answer MANIFEST_BLOB_UNKNOWN, MANIFEST_UNKNOWN or
// MANIFEST_INVALID, with one of these.
static bool is_refusal(const struct err *e)
{
	return e->kind == ERR_INPUT || e->kind == ERR_NOT_FOUND || e->http == 400 ||
	       e->http == 404 || e->http == 422;
}

static void tell_refused(struct transfer *t, struct job *job)
{
	auto_free char *dst = repo_print(job->dst);
	const char *tag = job->tags ? job->tags->text : NULL;
	struct err why = job->error;

	err_wrap(&why, "parts of it are missing, and %s%s%s is refused without them", dst,
		 tag ? ":" : "", tag ? tag : "");
	emit(t, &(struct transfer_event){.type = TRANSFER_MISSING,
					 .src = job->src,
					 .dst = job->dst,
					 .digest = &job->manifest.digest,
					 .is_manifest = true,
					 .tag = tag,
					 .text = job->name,
					 .error = &why});
}

// Puts under TAG; true when it has it now.
static bool push(struct transfer *t, struct job *job, const char *tag)
{
	if (job->dst->ops->manifest_put(job->dst, &job->manifest, tag, &job->error) < 0)
		return false;
	job->moved += job->manifest.bytes.n;
	image_done(t, job, tag);
	return true;
}

// With tags, under each of them; a digest alone needs its own request only where there are none.
static enum manifest_outcome push_all(struct transfer *t, struct job *job)
{
	const struct tag *tag = job->tags;
	bool there = false;

	do {
		const char *text = tag ? tag->text : NULL;

		if (push(t, job, text)) {
			there = true;
			continue;
		}
		if (!there && job->sparse && is_refusal(&job->error))
			return MANIFEST_REFUSED;
		push_failed(t, job, text);
		if (!t->cfg.continue_on_error || is_final(&job->error))
			break;
	} while (tag && (tag = tag->next));
	if (there && job->tags && job->by_digest)
		image_done(t, job, NULL);
	return there ? MANIFEST_PUT : MANIFEST_FAILED;
}

static enum manifest_outcome copy_manifest(struct transfer *t, struct job *job)
{
	if (job->silent) {
		push_failed(t, job, job->tags ? job->tags->text : NULL);
		return MANIFEST_FAILED;
	}
	if (read_again(job, &job->error) < 0) {
		manifest_error(t, job, FAULT_SOURCE, &job->error);
		return MANIFEST_FAILED;
	}
	return push_all(t, job);
}

static void run_manifest(struct transfer *t, struct job *job)
{
	enum manifest_outcome how = copy_manifest(t, job);

	if (how == MANIFEST_REFUSED)
		tell_refused(t, job);
	pthread_mutex_lock(&t->lock);
	if (how == MANIFEST_PUT) {
		note_answer(t, job, NULL);
		graph_manifest_done(t, job->node);
	} else if (how == MANIFEST_REFUSED) {
		graph_manifest_refused(t, job->node, &job->error);
	} else {
		graph_manifest_failed(t, job->node);
	}
	pthread_mutex_unlock(&t->lock);
}

// --- any task

static void run_spawn(struct transfer *t, struct job *job)
{
	if (job->spawn->fn(t, job->spawn->arg, &job->error) < 0)
		report_failure(t, true, &job->error, NULL, NULL);
}

void run_job(struct transfer *t, struct job *job)
{
	if (job->kind == JOB_SPAWN)
		run_spawn(t, job);
	else if (job->kind == JOB_BLOB)
		run_blob(t, job);
	else
		run_manifest(t, job);
}

void job_release(struct job *job)
{
	free(job->spawn);
	if (job->kind == JOB_MANIFEST)
		manifest_bytes_release(&job->manifest);
}
