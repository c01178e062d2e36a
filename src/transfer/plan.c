// SPDX-License-Identifier: Apache-2.0
// The plan's tables.
#include "transfer/plan.h"

#include <stdlib.h>
#include <string.h>

struct pair {
	uint32_t a, b;
	uint8_t kind;
};

static uint64_t hash_pair(const struct pair *key)
{
	return index_mix(((uint64_t)key->a << 32 | key->b) ^ ((uint64_t)key->kind << 63));
}

static uint64_t node_hash(const void *owner, uint32_t id)
{
	const struct node *n = &((const struct plan *)owner)->nodes[id];

	return hash_pair(&(struct pair){n->repo, n->digest, n->kind});
}

static bool node_is(const void *owner, uint32_t id, const void *key)
{
	const struct node *n = &((const struct plan *)owner)->nodes[id];
	const struct pair *want = key;

	return n->repo == want->a && n->digest == want->b && n->kind == want->kind;
}

static uint64_t group_hash(const void *owner, uint32_t id)
{
	const struct group *g = &((const struct plan *)owner)->groups[id];

	return hash_pair(&(struct pair){g->place, g->digest, 0});
}

static bool group_is(const void *owner, uint32_t id, const void *key)
{
	const struct group *g = &((const struct plan *)owner)->groups[id];
	const struct pair *want = key;

	return g->place == want->a && g->digest == want->b;
}

static const struct index_ops node_ops = {node_hash, node_is};
static const struct index_ops group_ops = {group_hash, group_is};

void plan_init(struct plan *p, size_t bytes_max)
{
	*p = (struct plan){.bytes_max = bytes_max};
	digests_init(&p->digests);
}

void plan_release(struct plan *p)
{
	for (size_t i = 0; i < p->nmanifests; i++)
		free(p->manifests[i].bytes);
	free(p->manifests);
	free(p->nodes);
	free(p->groups);
	free(p->links);
	free(p->failures);
	free(p->repos);
	free(p->places);
	index_release(&p->node_index);
	index_release(&p->group_index);
	map_release(&p->repo_ids);
	map_release(&p->media_types);
	map_release(&p->urls);
	map_release(&p->failure_of);
	arena_free(&p->arena);
	digests_release(&p->digests);
}

int plan_room(const struct plan *p, size_t nodes, size_t edges, struct err *e)
{
	if (nodes > PLAN_NODES_MAX - p->nnodes || edges > PLAN_EDGES_MAX - p->nlinks)
		return err_set(e, ERR_INPUT,
			       "more than %zu objects in one run: mirror in several runs",
			       PLAN_NODES_MAX);
	return 0;
}

uint32_t plan_place(struct plan *p, struct place *place)
{
	for (size_t i = 0; i < p->nplaces; i++)
		if (p->places[i] == place)
			return (uint32_t)i;
	vec_reserve(p->places, p->nplaces, p->places_cap);
	p->places[p->nplaces] = place;
	return (uint32_t)p->nplaces++;
}

uint32_t plan_repo(struct plan *p, struct repo *r)
{
	bool is_new;
	struct map_entry *en = map_put(
		&p->repo_ids, (struct str){(const char *)&r, sizeof(struct repo *)}, &is_new);

	if (is_new) {
		vec_reserve(p->repos, p->nrepos, p->repos_cap);
		p->repos[p->nrepos] = (struct plan_repo){r, plan_place(p, r->place)};
		en->num = p->nrepos++;
	}
	return (uint32_t)en->num;
}

uint32_t plan_find(const struct plan *p, enum node_kind kind, uint32_t repo, uint32_t digest)
{
	const struct pair key = {repo, digest, (uint8_t)kind};

	return index_find(&p->node_index, &node_ops, p, hash_pair(&key), &key);
}

static uint32_t manifest_new(struct plan *p, uint32_t node)
{
	vec_reserve(p->manifests, p->nmanifests, p->manifests_cap);
	p->manifests[p->nmanifests] = (struct manifest_entry){.node = node};
	return (uint32_t)p->nmanifests++;
}

uint32_t plan_node(struct plan *p, enum node_kind kind, uint32_t repo, uint32_t digest,
		   bool *ret_new)
{
	uint32_t id = plan_find(p, kind, repo, digest);

	*ret_new = id == NONE;
	if (id != NONE)
		return id;
	vec_reserve(p->nodes, p->nnodes, p->nodes_cap);
	id = (uint32_t)p->nnodes++;
	p->nodes[id] = (struct node){
		.digest = digest,
		.repo = repo,
		.src = NONE,
		.next = NONE,
		.parents = NONE,
		.extra = kind == NODE_MANIFEST ? manifest_new(p, id) : NONE,
		.kind = (uint8_t)kind,
		.state = NODE_WAITING,
	};
	index_add(&p->node_index, &node_ops, p, id);
	return id;
}

uint32_t plan_group(struct plan *p, uint32_t repo, uint32_t digest, bool *ret_new)
{
	const struct pair key = {p->repos[repo].place, digest, 0};
	uint32_t id = index_find(&p->group_index, &group_ops, p, hash_pair(&key), &key);

	*ret_new = id == NONE;
	if (id != NONE)
		return id;
	vec_reserve(p->groups, p->ngroups, p->groups_cap);
	id = (uint32_t)p->ngroups++;
	p->groups[id] = (struct group){
		.digest = digest,
		.place = key.a,
		.leader = NONE,
		.parked = NONE,
		.parked_tail = NONE,
		.bad_sources = NONE,
		.state = GROUP_IDLE,
	};
	index_add(&p->group_index, &group_ops, p, id);
	return id;
}

void plan_link(struct plan *p, uint32_t *head, uint32_t value)
{
	vec_reserve(p->links, p->nlinks, p->links_cap);
	p->links[p->nlinks] = (struct link){value, *head};
	*head = (uint32_t)p->nlinks++;
}

bool plan_linked(const struct plan *p, uint32_t head, uint32_t value)
{
	for (; head != NONE; head = p->links[head].next)
		if (p->links[head].value == value)
			return true;
	return false;
}

void plan_edge(struct plan *p, uint32_t child, uint32_t parent)
{
	plan_link(p, &p->nodes[child].parents, parent);
	p->nodes[parent].waiting++;
}

void plan_source(struct plan *p, uint32_t blob, uint32_t src)
{
	struct node *n = &p->nodes[blob];

	if (n->src == NONE)
		n->src = src;
	else if (n->src != src && !plan_linked(p, n->extra, src))
		plan_link(p, &n->extra, src);
}

void plan_urls(struct plan *p, uint32_t blob, const char *const *urls)
{
	bool is_new;
	struct map_entry *en =
		map_put(&p->urls, (struct str){(const char *)&blob, sizeof(blob)}, &is_new);
	size_t n = 0;

	if (!is_new)
		return;
	while (urls[n])
		n++;
	const char **copy = arena_alloc(&p->arena, (n + 1) * sizeof(*copy));

	for (size_t i = 0; i < n; i++)
		copy[i] = arena_strdup(&p->arena, urls[i]);
	en->ptr = copy;
	p->nodes[blob].flags |= NODE_URLS;
}

uint32_t plan_failure(struct plan *p, const struct err *why, bool at_source)
{
	if (p->nfailures == PLAN_FAILURES_MAX)
		return PLAN_FAILURES_MAX - 1;
	vec_reserve(p->failures, p->nfailures, p->failures_cap);
	p->failures[p->nfailures] = (struct transfer_failure){
		.kind = why->kind,
		.http = why->http,
		.at_source = at_source,
		.text = arena_strdup(&p->arena, why->text),
	};
	return (uint32_t)p->nfailures++;
}

static struct str node_key(const uint32_t *node)
{
	return (struct str){(const char *)node, sizeof(*node)};
}

void plan_blame(struct plan *p, uint32_t node, uint32_t failure)
{
	bool is_new;

	if (failure == NONE)
		return;
	struct map_entry *en = map_put(&p->failure_of, node_key(&node), &is_new);

	if (is_new)
		en->num = failure;
}

uint32_t plan_blamed(const struct plan *p, uint32_t node)
{
	const struct map_entry *en = map_find(&p->failure_of, node_key(&node));

	return en ? (uint32_t)en->num : NONE;
}

struct manifest_entry *plan_manifest(struct plan *p, uint32_t node)
{
	return &p->manifests[p->nodes[node].extra];
}

// Images of one list come one after the other under one name.
static const char *keep_name(struct plan *p, const char *name)
{
	if (!p->last_name || strcmp(p->last_name, name) != 0)
		p->last_name = arena_strdup(&p->arena, name);
	return p->last_name;
}

static const char *keep_media_type(struct plan *p, const char *type)
{
	return map_put(&p->media_types, str_of(type), NULL)->key;
}

// TEXT goes to its place, which is at or behind *AT; false: it was there.
static bool add_tag(struct plan *p, struct tag ***at, const char *text)
{
	while (**at && strcmp((**at)->text, text) < 0)
		*at = &(**at)->next;
	if (**at && strcmp((**at)->text, text) == 0)
		return false;
	size_t n = strlen(text) + 1;
	struct tag *tag = arena_alloc(&p->arena, sizeof(*tag) + n);

	memcpy(tag->text, text, n);
	tag->next = **at;
	**at = tag;
	return true;
}

// Returns how many were new. Sorted ones, of which there may be many, are added in one pass.
static size_t add_tags(struct plan *p, struct manifest_entry *en, const struct transfer_manifest *m)
{
	struct tag **at = &en->tags;
	size_t n = 0;

	for (size_t i = 0; i < m->ntags; i++) {
		if (i > 0 && strcmp(m->tags[i - 1], m->tags[i]) > 0)
			at = &en->tags;
		n += add_tag(p, &at, m->tags[i]);
	}
	return n;
}

// What is generated here exists nowhere else, and is therefore kept in any case.
static void keep_bytes(struct plan *p, struct manifest_entry *m, struct manifest_bytes *from)
{
	size_t n = from->bytes.n;

	if (m->bytes || n > UINT32_MAX || (!m->generated && n > p->bytes_max - p->bytes_kept)) {
		manifest_bytes_release(from);
		return;
	}
	// Exactly as large as it must be: the buffer grew by halves.
	m->bytes = xrealloc(buf_take(&from->bytes), n + 1);
	m->n = (uint32_t)n;
	if (!m->generated)
		p->bytes_kept += n;
	manifest_bytes_release(from);
}

size_t plan_describe(struct plan *p, uint32_t node, const struct transfer_manifest *m)
{
	struct manifest_entry *en = plan_manifest(p, node);
	size_t lines = 0;

	if (!en->name)
		en->name = keep_name(p, m->name ? m->name : m->src->name);
	if (!en->media_type)
		en->media_type = keep_media_type(p, m->media_type ? m->media_type : "");
	en->sparse |= m->sparse;
	if (!en->added)
		en->generated = m->generated;
	lines += add_tags(p, en, m);
	if (m->ntags == 0 && !en->by_digest) {
		en->by_digest = true;
		lines++;
	}
	if (m->bytes)
		keep_bytes(p, en, m->bytes);
	en->added = true;
	return lines;
}

char *plan_take_bytes(struct plan *p, uint32_t node, size_t *ret_n)
{
	struct manifest_entry *en = plan_manifest(p, node);

	*ret_n = en->n;
	if (en->bytes && !en->generated)
		p->bytes_kept -= en->n;
	return steal(&en->bytes);
}

void plan_descriptor(const struct plan *p, uint32_t blob, struct descriptor *ret)
{
	const struct node *n = &p->nodes[blob];

	*ret = (struct descriptor){
		.media_type = "",
		.size = n->size,
		.platform = {"", "", "", ""},
		.artifact_type = "",
	};
	digests_get(&p->digests, n->digest, &ret->digest);
	if (n->flags & NODE_URLS)
		ret->urls =
			map_find(&p->urls, (struct str){(const char *)&blob, sizeof(blob)})->ptr;
}

static int compare_repos(const struct plan *p, uint32_t id_a, uint32_t id_b)
{
	const struct repo *a = p->repos[id_a].repo, *b = p->repos[id_b].repo;
	int order = strcmp(a->place->name, b->place->name);

	if (order == 0)
		order = strcmp(a->name, b->name);
	return order ? order : (id_a > id_b) - (id_a < id_b);
}

static int compare_digests(const struct plan *p, uint32_t a, uint32_t b)
{
	struct digest da, db;

	if (a == b)
		return 0;
	digests_get(&p->digests, a, &da);
	digests_get(&p->digests, b, &db);
	return digest_compare(&da, &db);
}

// Destination, blobs before manifests, source of blobs, size, digest.
static int by_print_order(const void *va, const void *vb, void *arg)
{
	const struct plan *p = arg;
	const struct node *a = &p->nodes[*(const uint32_t *)va],
			  *b = &p->nodes[*(const uint32_t *)vb];
	int order = 0;

	if (a->repo != b->repo)
		order = compare_repos(p, a->repo, b->repo);
	if (order == 0 && a->kind != b->kind)
		order = a->kind < b->kind ? -1 : 1;
	if (order == 0 && a->kind == NODE_BLOB && a->src != b->src)
		order = compare_repos(p, a->src, b->src);
	if (order == 0 && a->kind == NODE_BLOB && a->size != b->size)
		order = a->size < b->size ? -1 : 1;
	return order ? order : compare_digests(p, a->digest, b->digest);
}

static bool is_shared(const struct plan *p, const struct node *n)
{
	const struct pair key = {p->repos[n->repo].place, n->digest, 0};
	uint32_t id = index_find(&p->group_index, &group_ops, p, hash_pair(&key), &key);

	return id != NONE && p->groups[id].shared;
}

static void visit_manifest(const struct plan *p, const struct node *n, const struct digest *d,
			   const struct transfer_plan_visitor *v)
{
	const struct manifest_entry *en = &p->manifests[n->extra];

	if (!v->manifest)
		return;
	if (en->by_digest)
		v->manifest(v->arg, d, NULL);
	for (const struct tag *tag = en->tags; tag; tag = tag->next)
		v->manifest(v->arg, d, tag->text);
}

static void visit_parents(const struct plan *p, const struct node *n,
			  const struct transfer_plan_visitor *v)
{
	struct digest d;

	for (uint32_t at = n->parents; v->needed_by && at != NONE; at = p->links[at].next) {
		digests_get(&p->digests, p->nodes[p->links[at].value].digest, &d);
		v->needed_by(v->arg, &d);
	}
}

void plan_visit(const struct plan *p, const struct transfer_plan_visitor *v)
{
	auto_free uint32_t *order = xreallocarray(NULL, p->nnodes, sizeof(*order));
	size_t n = 0;

	for (uint32_t i = 0; i < p->nnodes; i++)
		if (p->nodes[i].kind == NODE_BLOB || p->manifests[p->nodes[i].extra].added)
			order[n++] = i;
	if (n > 1)
		qsort_r(order, n, sizeof(*order), by_print_order, (void *)p);
	for (size_t i = 0; i < n; i++) {
		const struct node *node = &p->nodes[order[i]];
		struct digest d;

		digests_get(&p->digests, node->digest, &d);
		if (v->repository && (i == 0 || p->nodes[order[i - 1]].repo != node->repo))
			v->repository(v->arg, p->repos[node->repo].repo);
		if (node->kind == NODE_MANIFEST)
			visit_manifest(p, node, &d, v);
		else if (v->blob)
			v->blob(v->arg, p->repos[node->src].repo, &d, node->size,
				is_shared(p, node));
		visit_parents(p, node, v);
	}
}
