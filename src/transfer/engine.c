// SPDX-License-Identifier: Apache-2.0
// The public calls: beginning and end of a run.
#include "transfer/engine.h"

#include <stdlib.h>

enum { WORKERS = 32 };

#define MANIFEST_BYTES_MAX ((size_t)4 << 20)

static void on_cancel(void *arg)
{
	struct transfer *t = arg;

	pthread_mutex_lock(&t->lock);
	stop_copying(t);
	pthread_cond_broadcast(&t->work);
	pthread_cond_broadcast(&t->rest);
	pthread_mutex_unlock(&t->lock);
}

struct transfer *transfer_new(const struct transfer_config *cfg)
{
	struct transfer *t = xcalloc(1, sizeof(*t));

	t->cfg = *cfg;
	if (t->cfg.workers <= 0)
		t->cfg.workers = WORKERS;
	t->threads = xcalloc((size_t)t->cfg.workers, sizeof(*t->threads));
	plan_init(&t->plan, cfg->manifest_bytes_max ? cfg->manifest_bytes_max : MANIFEST_BYTES_MAX);
	pthread_mutex_init(&t->sink_lock, NULL);
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->work, NULL);
	pthread_cond_init(&t->rest, NULL);
	t->blobs_open = !cfg->dry_run && !cfg->hold_blobs;
	t->watch = (struct cancel_watch){.wake = on_cancel, .arg = t};
	cancel_watch(t->cfg.cancel, &t->watch);
	return t;
}

void transfer_free(struct transfer *t)
{
	if (!t)
		return;
	cancel_unwatch(t->cfg.cancel, &t->watch);
	workers_end(t);
	plan_release(&t->plan);
	map_release(&t->told);
	pthread_mutex_destroy(&t->sink_lock);
	pthread_mutex_destroy(&t->lock);
	pthread_cond_destroy(&t->work);
	pthread_cond_destroy(&t->rest);
	free(t);
}

void transfer_spawn(struct transfer *t, struct place *place,
		    int (*fn)(struct transfer *t, void *arg, struct err *e), void *arg)
{
	struct spawn *s = xcalloc(1, sizeof(*s));

	*s = (struct spawn){.fn = fn, .arg = arg};
	pthread_mutex_lock(&t->lock);
	queue_spawn(t, place, s);
	pthread_mutex_unlock(&t->lock);
}

bool transfer_stopping(struct transfer *t)
{
	pthread_mutex_lock(&t->lock);
	bool stopping = cancelled(t->cfg.cancel) || t->closing ||
			(t->copy_failures > 0 && !t->cfg.continue_on_error);

	pthread_mutex_unlock(&t->lock);
	return stopping;
}

int transfer_add(struct transfer *t, const struct transfer_manifest *m, struct err *e)
{
	auto_free bool *is_new = xcalloc(m->nblobs, sizeof(*is_new));

	pthread_mutex_lock(&t->lock);
	uint64_t images = t->stats.images;
	int status = graph_add(t, m, is_new, e);

	images = t->stats.images - images;
	pthread_mutex_unlock(&t->lock);
	for (; images > 0; images--)
		emit(t, &(struct transfer_event){
				.type = TRANSFER_PLANNED, .dst = m->dst, .is_manifest = true});
	for (size_t i = 0; i < m->nblobs; i++)
		if (is_new[i])
			emit(t, &(struct transfer_event){.type = TRANSFER_PLANNED,
							 .src = m->src,
							 .dst = m->dst,
							 .digest = &m->blobs[i].digest,
							 .size = m->blobs[i].size});
	return status;
}

void transfer_present(struct transfer *t, struct repo *dst, const struct digest *digest,
		      const char *tag)
{
	pthread_mutex_lock(&t->lock);
	t->stats.images++;
	t->stats.images_done++;
	pthread_mutex_unlock(&t->lock);
	emit(t, &(struct transfer_event){.type = TRANSFER_IMAGE_PRESENT,
					 .dst = dst,
					 .digest = digest,
					 .is_manifest = true,
					 .tag = tag});
}

void transfer_stats(struct transfer *t, struct transfer_stats *ret)
{
	pthread_mutex_lock(&t->lock);
	*ret = t->stats;
	pthread_mutex_unlock(&t->lock);
	ret->bytes_moved = atomic_load(&t->bytes_moved);
}

void transfer_visit_plan(struct transfer *t, const struct transfer_plan_visitor *v)
{
	plan_visit(&t->plan, v);
}

const struct transfer_failure *transfer_why(struct transfer *t, struct repo *dst,
					    const struct digest *digest)
{
	struct plan *p = &t->plan;

	pthread_mutex_lock(&t->lock);
	uint32_t node =
		plan_find(p, NODE_MANIFEST, plan_repo(p, dst), digests_intern(&p->digests, digest));
	uint32_t failure = node == NONE ? NONE : plan_blamed(p, node);

	pthread_mutex_unlock(&t->lock);
	return failure == NONE ? NULL : &p->failures[failure];
}

static void wait_for_planning(struct transfer *t)
{
	pthread_mutex_lock(&t->lock);
	wait_for_zero(t, &t->spawns);
	pthread_mutex_unlock(&t->lock);
}

// Whatever is under way ends; what has not begun is dropped.
static void halt(struct transfer *t)
{
	pthread_mutex_lock(&t->lock);
	stop_copying(t);
	wait_for_zero(t, &t->copying);
	pthread_mutex_unlock(&t->lock);
}

static void copy_everything(struct transfer *t)
{
	pthread_mutex_lock(&t->lock);
	graph_open_blobs(t);
	graph_open_manifests(t);
	while (t->queued + t->copying > 0)
		wait_for_zero(t, t->queued > 0 ? &t->queued : &t->copying);
	pthread_mutex_unlock(&t->lock);
}

static bool is_undone(const struct plan *p, const struct manifest_entry *en)
{
	const struct node *n = &p->nodes[en->node];

	return en->added && n->state != NODE_DONE &&
	       (en->tags || (en->by_digest && n->parents == NONE));
}

// Names the images that were given up because a part of them failed. Nothing runs any more.
static void tell_undone(struct transfer *t)
{
	const struct plan *p = &t->plan;

	if (t->stopped)
		return;
	for (size_t i = 0; i < p->nmanifests; i++) {
		const struct manifest_entry *en = &p->manifests[i];

		if (!is_undone(p, en))
			continue;
		const struct node *n = &p->nodes[en->node];
		auto_free char *dst = repo_print(p->repos[n->repo].repo);
		struct digest d;
		struct err why;

		digests_get(&p->digests, n->digest, &d);
		err_set(&why, ERR_INCOMPLETE, "%s: was not mirrored to %s%s%s", en->name, dst,
			en->tags ? ":" : "@", en->tags ? en->tags->text : d.text);
		report_failure(t, false, &why,
			       &(struct transfer_event){.src = p->repos[n->src].repo,
							.dst = p->repos[n->repo].repo,
							.digest = &d,
							.is_manifest = true},
			       NULL);
	}
}

// How the run went, in the reference's words.
static int verdict(struct transfer *t, struct err *e)
{
	if (cancelled(t->cfg.cancel))
		return err_cancelled(e);
	if (t->planning_failures + t->copy_failures == 0)
		return 0;
	if (t->cfg.continue_on_error)
		return err_set(e, ERR_INCOMPLETE, "one or more errors occurred");
	if (t->planning_failures > 0)
		return err_set(e, t->planning_kind, "an error occurred during planning");
	return err_set(e, ERR_INPUT, "one or more errors occurred while uploading images");
}

static bool may_go_on(struct transfer *t)
{
	pthread_mutex_lock(&t->lock);
	bool failed = t->planning_failures + t->copy_failures > 0;

	pthread_mutex_unlock(&t->lock);
	return !cancelled(t->cfg.cancel) && (!failed || t->cfg.continue_on_error);
}

int transfer_run(struct transfer *t,
		 int (*before_copy)(struct transfer *t, void *arg, struct err *e), void *arg,
		 struct err *e)
{
	wait_for_planning(t);
	if (may_go_on(t) && !t->cfg.dry_run) {
		if (before_copy && before_copy(t, arg, e) < 0) {
			halt(t);
			return -1;
		}
		wait_for_planning(t); // before_copy may have added to it
		if (may_go_on(t)) {
			copy_everything(t);
			tell_undone(t);
		}
	}
	halt(t);
	return verdict(t, e);
}
