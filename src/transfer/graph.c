// SPDX-License-Identifier: Apache-2.0
// What follows from what. Everything here is called with the engine's lock held and does no I/O.
#include "transfer/engine.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

static struct node *node_at(struct transfer *t, uint32_t id)
{
	return &t->plan.nodes[id];
}

static struct group *group_of(struct transfer *t, uint32_t blob)
{
	bool is_new;
	const struct node *n = node_at(t, blob);
	uint32_t id = plan_group(&t->plan, n->repo, n->digest, &is_new);

	return &t->plan.groups[id];
}

static bool is_open(const struct node *n)
{
	return n->state != NODE_DONE && n->state != NODE_FAILED;
}

// --- parents

static void queue_if_ready(struct transfer *t, uint32_t id)
{
	const struct node *n = node_at(t, id);

	if (t->phase == PHASE_COPYING && n->state == NODE_WAITING && n->waiting == 0)
		queue_node(t, id);
}

static void release_parents(struct transfer *t, uint32_t id)
{
	uint32_t at = node_at(t, id)->parents;

	while (at != NONE) {
		const struct link edge = t->plan.links[at];

		assert(node_at(t, edge.value)->waiting > 0);
		node_at(t, edge.value)->waiting--;
		queue_if_ready(t, edge.value);
		at = edge.next;
	}
}

// ID failed, and with it everything that waits for it, for the reason that ID is blamed for.
static void fail_up(struct transfer *t, uint32_t id)
{
	uint32_t todo = id, failure = plan_blamed(&t->plan, id);

	node_at(t, id)->state = NODE_FAILED;
	node_at(t, id)->next = NONE;
	while (todo != NONE) {
		uint32_t at = node_at(t, todo)->parents;

		todo = node_at(t, todo)->next;
		for (; at != NONE; at = t->plan.links[at].next) {
			uint32_t parent = t->plan.links[at].value;
			struct node *n = node_at(t, parent);

			// A parent waits for this child, so it is in no list.
			if (n->state == NODE_FAILED)
				continue;
			n->state = NODE_FAILED;
			n->next = todo;
			todo = parent;
			plan_blame(&t->plan, parent, failure);
		}
	}
}

// ID fails for the reason for which OTHER did.
static void fail_as(struct transfer *t, uint32_t id, uint32_t other)
{
	plan_blame(&t->plan, id, plan_blamed(&t->plan, other));
	fail_up(t, id);
}

// --- blobs

static void park(struct transfer *t, struct group *g, uint32_t id)
{
	node_at(t, id)->state = NODE_WAITING;
	node_at(t, id)->next = NONE;
	if (g->parked == NONE)
		g->parked = id;
	else
		node_at(t, g->parked_tail)->next = id;
	g->parked_tail = id;
}

static void follow(struct transfer *t, uint32_t id)
{
	node_at(t, id)->flags |= NODE_FOLLOWS;
	queue_node(t, id);
}

static void lead(struct transfer *t, struct group *g, uint32_t id)
{
	g->leader = id;
	g->size = node_at(t, id)->size;
	g->state = GROUP_LED;
	node_at(t, id)->state = NODE_WAITING;
	queue_node(t, id);
}

// Moves ID to a source that has not failed for this group yet. False: there is none.
static bool find_source(struct transfer *t, const struct group *g, uint32_t id)
{
	struct plan *p = &t->plan;
	struct node *n = node_at(t, id);

	if (!plan_linked(p, g->bad_sources, n->src))
		return true;
	for (uint32_t at = n->extra; at != NONE; at = p->links[at].next) {
		if (plan_linked(p, g->bad_sources, p->links[at].value))
			continue;
		uint32_t was = n->src;

		n->src = p->links[at].value;
		p->links[at].value = was;
		return true;
	}
	return false;
}

static void begin(struct transfer *t, struct group *g)
{
	if (t->blobs_open && g->state == GROUP_IDLE)
		lead(t, g, g->leader);
}

// A blob that DST did not have in the plan yet. True when its place did not either.
static bool admit(struct transfer *t, uint32_t id)
{
	struct node *n = node_at(t, id);
	bool is_new;
	uint32_t group = plan_group(&t->plan, n->repo, n->digest, &is_new);
	struct group *g = &t->plan.groups[group];

	if (is_new) {
		g->leader = id;
		g->size = n->size;
		t->stats.blobs++;
		t->stats.bytes += n->size;
		begin(t, g);
		return true;
	}
	if (!g->shared) {
		g->shared = true;
		t->stats.blobs_shared++;
		t->stats.bytes_shared += g->size;
	}
	if (g->state == GROUP_HAS)
		follow(t, id);
	else if (g->state != GROUP_FAILED)
		park(t, g, id);
	else if (find_source(t, g, id))
		lead(t, g, id);
	else
		fail_as(t, id, g->leader);
	return false;
}

// A blob that had failed has been named by another image, perhaps with another source.
static void revive(struct transfer *t, uint32_t id)
{
	struct group *g = group_of(t, id);

	if (g->state == GROUP_FAILED && find_source(t, g, id))
		lead(t, g, id);
}

void graph_blob_done(struct transfer *t, uint32_t id, enum blob_outcome how)
{
	struct group *g = group_of(t, id);

	node_at(t, id)->state = NODE_DONE;
	t->stats.present += how == BLOB_PRESENT;
	t->stats.mounted += how == BLOB_MOUNTED;
	if (g->state == GROUP_LED && g->leader == id) {
		uint32_t next, at = g->parked;

		t->stats.blobs_done++;
		t->stats.bytes_done += g->size;
		g->state = GROUP_HAS;
		g->parked = g->parked_tail = NONE;
		for (; at != NONE; at = next) {
			next = node_at(t, at)->next;
			follow(t, at);
		}
	}
	release_parents(t, id);
}

// Takes the first of the parked that has not tried yet and has somewhere to read from.
static uint32_t next_candidate(struct transfer *t, struct group *g)
{
	uint32_t before = NONE;

	for (uint32_t at = g->parked; at != NONE; before = at, at = node_at(t, at)->next) {
		if (node_at(t, at)->flags & NODE_TRIED || !find_source(t, g, at))
			continue;
		if (before == NONE)
			g->parked = node_at(t, at)->next;
		else
			node_at(t, before)->next = node_at(t, at)->next;
		if (g->parked_tail == at)
			g->parked_tail = before;
		return at;
	}
	return NONE;
}

static void fail_group(struct transfer *t, struct group *g, uint32_t leader)
{
	uint32_t next, at = g->parked;

	g->state = GROUP_FAILED;
	g->parked = g->parked_tail = NONE;
	for (; at != NONE; at = next) {
		next = node_at(t, at)->next;
		fail_as(t, at, leader);
	}
	fail_up(t, leader);
}

bool graph_blob_failed(struct transfer *t, uint32_t id, enum fault fault, const struct err *why)
{
	struct group *g = group_of(t, id);
	struct node *n = node_at(t, id);

	plan_blame(&t->plan, id, plan_failure(&t->plan, why, fault == FAULT_SOURCE));
	if (g->state != GROUP_LED || g->leader != id) {
		fail_up(t, id);
		return true;
	}
	if (fault == FAULT_SOURCE) {
		plan_link(&t->plan, &g->bad_sources, n->src);
		if (!t->stopped && find_source(t, g, id)) {
			lead(t, g, id);
			return false;
		}
	}
	n->flags |= NODE_TRIED;
	uint32_t heir = t->stopped ? NONE : next_candidate(t, g);

	if (heir == NONE) {
		fail_group(t, g, id);
		return true;
	}
	park(t, g, id);
	lead(t, g, heir);
	return false;
}

void graph_open_blobs(struct transfer *t)
{
	if (t->blobs_open || t->stopped)
		return;
	t->blobs_open = true;
	for (size_t i = 0; i < t->plan.ngroups; i++)
		begin(t, &t->plan.groups[i]);
}

// --- manifests

void graph_manifest_done(struct transfer *t, uint32_t id)
{
	node_at(t, id)->state = NODE_DONE;
	release_parents(t, id);
}

// Its parents lack it on purpose now.
void graph_manifest_refused(struct transfer *t, uint32_t id, const struct err *why)
{
	plan_blame(&t->plan, id, plan_failure(&t->plan, why, false));
	t->stats.missing++;
	node_at(t, id)->state = NODE_DONE;
	for (uint32_t at = node_at(t, id)->parents; at != NONE; at = t->plan.links[at].next)
		plan_manifest(&t->plan, t->plan.links[at].value)->sparse = true;
	release_parents(t, id);
}

void graph_blame(struct transfer *t, uint32_t id, enum fault fault, const struct err *why)
{
	plan_blame(&t->plan, id, plan_failure(&t->plan, why, fault == FAULT_SOURCE));
}

void graph_manifest_failed(struct transfer *t, uint32_t id)
{
	fail_up(t, id);
}

// A child that was named but never added: planning could not read it, or it is left out on purpose.
static void settle_absent(struct transfer *t, uint32_t id)
{
	node_at(t, id)->state = NODE_FAILED;
	for (uint32_t at = node_at(t, id)->parents; at != NONE; at = t->plan.links[at].next) {
		uint32_t parent = t->plan.links[at].value;

		if (plan_manifest(&t->plan, parent)->sparse)
			node_at(t, parent)->waiting--;
		else if (is_open(node_at(t, parent)))
			fail_up(t, parent);
	}
}

void graph_open_manifests(struct transfer *t)
{
	struct plan *p = &t->plan;

	t->phase = PHASE_COPYING;
	for (size_t i = 0; i < p->nmanifests; i++)
		if (!p->manifests[i].added)
			settle_absent(t, p->manifests[i].node);
	for (size_t i = 0; i < p->nmanifests; i++)
		queue_if_ready(t, p->manifests[i].node);
}

// --- building

// The same blob cannot have two sizes: one of the two manifests lies.
static int check_size(struct transfer *t, uint32_t id, const struct descriptor *d, const char *name,
		      struct err *e)
{
	if (node_at(t, id)->size == d->size)
		return 0;
	return err_set(e, ERR_INPUT,
		       "%s: blob %s is %" PRIu64 " bytes in this image and %" PRIu64 " in another",
		       name, d->digest.text, d->size, node_at(t, id)->size);
}

static int add_blob(struct transfer *t, const struct transfer_manifest *m, uint32_t parent,
		    const struct descriptor *d, bool *ret_new, struct err *e)
{
	struct plan *p = &t->plan;
	bool is_new;
	uint32_t digest = digests_intern(&p->digests, &d->digest);
	uint32_t src = plan_repo(p, m->src), repo = p->nodes[parent].repo;
	uint32_t id = plan_node(p, NODE_BLOB, repo, digest, &is_new);

	*ret_new = false;
	if (!is_new && check_size(t, id, d, m->name ? m->name : m->src->name, e) < 0)
		return -1;
	node_at(t, id)->size = d->size;
	plan_source(p, id, src);
	if (d->urls && d->urls[0])
		plan_urls(p, id, d->urls);
	if (is_new)
		*ret_new = admit(t, id);
	else if (node_at(t, id)->state == NODE_FAILED)
		revive(t, id);
	if (is_open(node_at(t, id)))
		plan_edge(p, id, parent);
	else if (node_at(t, id)->state == NODE_FAILED)
		fail_as(t, parent, id);
	return 0;
}

static void add_child(struct transfer *t, uint32_t parent, const struct digest *child)
{
	struct plan *p = &t->plan;
	bool is_new;
	uint32_t digest = digests_intern(&p->digests, child);
	uint32_t id = plan_node(p, NODE_MANIFEST, p->nodes[parent].repo, digest, &is_new);

	if (id == parent)
		return; // no digest contains itself; whoever says so gains nothing
	plan_edge(p, id, parent);
	if (node_at(t, id)->state == NODE_FAILED)
		fail_as(t, parent, id);
}

int graph_add(struct transfer *t, const struct transfer_manifest *m, bool *ret_new, struct err *e)
{
	struct plan *p = &t->plan;
	bool is_new;

	assert(t->phase == PHASE_PLANNING);
	if (plan_room(p, m->nblobs + m->nchildren + 1, 2 * (m->nblobs + m->nchildren), e) < 0)
		return -1;
	uint32_t repo = plan_repo(p, m->dst), src = plan_repo(p, m->src);
	uint32_t digest = digests_intern(&p->digests, &m->bytes->digest);
	uint32_t id = plan_node(p, NODE_MANIFEST, repo, digest, &is_new);

	if (node_at(t, id)->src == NONE)
		node_at(t, id)->src = src;
	t->stats.images += plan_describe(p, id, m);
	for (size_t i = 0; i < m->nblobs && !m->blobs_present; i++) {
		if (add_blob(t, m, id, &m->blobs[i], &ret_new[i], e) < 0) {
			fail_up(t, id); // it must not go without what it lacks
			return -1;
		}
	}
	for (size_t i = 0; i < m->nchildren; i++)
		add_child(t, id, &m->children[i]);
	return 0;
}

// --- tasks

static const char *image_name(struct transfer *t, uint32_t id)
{
	const struct node *n = node_at(t, id);

	if (n->kind == NODE_BLOB && n->parents != NONE)
		id = t->plan.links[n->parents].value;
	if (node_at(t, id)->kind == NODE_MANIFEST && plan_manifest(&t->plan, id)->name)
		return plan_manifest(&t->plan, id)->name;
	return t->plan.repos[n->src].repo->name;
}

static void manifest_job(struct transfer *t, uint32_t id, struct job *ret)
{
	const struct manifest_entry *en = plan_manifest(&t->plan, id);
	size_t n;
	char *bytes = plan_take_bytes(&t->plan, id, &n);

	ret->kind = JOB_MANIFEST;
	ret->manifest = (struct manifest_bytes){.bytes = BUF_INIT(MANIFEST_MAX)};
	if (bytes)
		ret->manifest.bytes = (struct buf){bytes, n, n + 1, MANIFEST_MAX};
	ret->manifest.media_type = *en->media_type ? xstrdup(en->media_type) : NULL;
	digests_get(&t->plan.digests, node_at(t, id)->digest, &ret->manifest.digest);
	ret->tags = en->tags;
	ret->by_digest = en->by_digest;
	ret->sparse = en->sparse;
}

static void blob_job(struct transfer *t, uint32_t id, struct job *ret)
{
	const struct group *g = group_of(t, id);

	ret->kind = JOB_BLOB;
	plan_descriptor(&t->plan, id, &ret->blob);
	if (node_at(t, id)->flags & NODE_FOLLOWS)
		ret->holder = t->plan.repos[node_at(t, g->leader)->repo].repo;
}

void graph_job(struct transfer *t, uint32_t id, struct job *ret)
{
	struct node *n = node_at(t, id);

	*ret = (struct job){.node = id};
	ret->name = image_name(t, id);
	ret->src = t->plan.repos[n->src].repo;
	ret->dst = t->plan.repos[n->repo].repo;
	n->state = NODE_RUNNING;
	if (n->kind == NODE_BLOB)
		blob_job(t, id, ret);
	else
		manifest_job(t, id, ret);
}
