// SPDX-License-Identifier: Apache-2.0
// The plan: which content must be in which repository, and what waits for what. Pure data: it moves
// nothing and knows no threads. Ids index the arrays below; an array may move when it grows, an id
// never changes.
//
// Sized for 20,000 images of 100,000 blobs: 48 bytes a node, 40 a group, 32 a digest.
#ifndef TRANSFER_PLAN_H
#define TRANSFER_PLAN_H

#include "transfer/digests.h"
#include "transfer/transfer.h"
#include "util/map.h"
#include "util/mem.h"

// Ceilings: manifests come from outside, a plan must end somewhere.
#define PLAN_NODES_MAX ((size_t)4 << 20)
#define PLAN_EDGES_MAX ((size_t)16 << 20)

enum node_kind { NODE_BLOB, NODE_MANIFEST };

enum node_state {
	NODE_WAITING, // blob: parked, or its leader has not begun; manifest: for what it refers to
	NODE_QUEUED,
	NODE_RUNNING,
	NODE_DONE,
	NODE_FAILED,
};

enum node_flags {
	NODE_TRIED = 1 << 0,   // led once and failed
	NODE_FOLLOWS = 1 << 1, // its blob is at the place: mount it
	NODE_URLS = 1 << 2,    // plan.urls has more places to read it from
};

// (destination repository, digest), once as a blob and once as a manifest if it is both.
struct node {
	uint64_t size;
	uint32_t digest;
	uint32_t repo, src; // plan.repos
	uint32_t next;      // in the one list it is in: parked, a queue, or failing
	uint32_t parents;   // plan.edges: manifests that wait for it
	uint32_t waiting;   // how many edges to it are still open
	uint32_t extra;     // blob: further sources in plan.links; manifest: plan.manifests
	uint8_t kind, state, flags;
};

// A chain of numbers: parents of a node, further sources of a blob.
struct link {
	uint32_t value, next;
};

struct tag {
	struct tag *next; // in byte order
	char text[];
};

struct manifest_entry {
	char *bytes; // NULL: not added, dropped, or sent
	const char *name, *media_type;
	struct tag *tags;
	uint32_t n;
	uint32_t node;
	bool added;     // not merely named by a parent
	bool by_digest; // wanted without a tag
	bool sparse, generated;
};

enum group_state { GROUP_IDLE, GROUP_LED, GROUP_HAS, GROUP_FAILED };

// A blob at a place: the repositories that want it, one of which leads.
struct group {
	uint32_t digest, place;
	uint32_t leader; // node; once the place has the blob, who has it
	uint32_t parked, parked_tail;
	uint32_t bad_sources; // plan.links: repositories that could not be read
	uint64_t size;
	uint8_t state;
	bool shared;
};

// So many are told apart; what fails beyond that fails for the last one's reason.
enum { PLAN_FAILURES_MAX = 16384 };

struct plan_repo {
	struct repo *repo;
	uint32_t place;
};

struct plan {
	struct digests digests;
	struct node *nodes;
	size_t nnodes, nodes_cap;
	struct index node_index;
	struct group *groups;
	size_t ngroups, groups_cap;
	struct index group_index;
	struct manifest_entry *manifests;
	size_t nmanifests, manifests_cap;
	struct link *links;
	size_t nlinks, links_cap;
	struct plan_repo *repos;
	size_t nrepos, repos_cap;
	struct map repo_ids; // pointer bytes → id
	struct place **places;
	size_t nplaces, places_cap;
	struct map media_types; // interned: the keys
	struct map urls;        // node id bytes → NULL-terminated array
	struct transfer_failure *failures;
	size_t nfailures, failures_cap;
	struct map failure_of; // node id bytes → plan.failures
	struct arena arena;    // names, tags, urls, failures
	const char *last_name;
	size_t bytes_kept, bytes_max;
};

// Manifests are kept in memory up to BYTES_MAX in all; those beyond are read again.
void plan_init(struct plan *p, size_t bytes_max);
void plan_release(struct plan *p);

// Is there room for this much more? ERR_INPUT.
int plan_room(const struct plan *p, size_t nodes, size_t edges, struct err *e) must_check;
uint32_t plan_repo(struct plan *p, struct repo *r);
uint32_t plan_place(struct plan *p, struct place *place);
// The node of DIGEST in repository REPO, made when it was absent (*ret_new).
uint32_t plan_node(struct plan *p, enum node_kind kind, uint32_t repo, uint32_t digest,
		   bool *ret_new);
// NONE when absent.
uint32_t plan_find(const struct plan *p, enum node_kind kind, uint32_t repo, uint32_t digest);
// The group of DIGEST at the place of REPO.
uint32_t plan_group(struct plan *p, uint32_t repo, uint32_t digest, bool *ret_new);
// Puts VALUE in front of the chain that begins at *head.
void plan_link(struct plan *p, uint32_t *head, uint32_t value);
bool plan_linked(const struct plan *p, uint32_t head, uint32_t value);
// PARENT waits for CHILD from now on.
void plan_edge(struct plan *p, uint32_t child, uint32_t parent);
// A further source of a blob; nothing happens when it is known.
void plan_source(struct plan *p, uint32_t blob, uint32_t src);
void plan_urls(struct plan *p, uint32_t blob, const char *const *urls);

// Keeps WHY; returns its number.
uint32_t plan_failure(struct plan *p, const struct err *why, bool at_source);
// NODE failed for this reason, unless it had one already.
void plan_blame(struct plan *p, uint32_t node, uint32_t failure);
// NONE when it is not known.
uint32_t plan_blamed(const struct plan *p, uint32_t node);

struct manifest_entry *plan_manifest(struct plan *p, uint32_t node);
// What M says of a manifest: texts, tags, flags, bytes (taken). Returns how many result lines it
// adds.
size_t plan_describe(struct plan *p, uint32_t node, const struct transfer_manifest *m);
// The bytes, owned by the caller, or NULL when they were dropped.
char *plan_take_bytes(struct plan *p, uint32_t node, size_t *ret_n);

// The descriptor of a blob as places take it. Borrowed: urls live as long as the plan.
void plan_descriptor(const struct plan *p, uint32_t blob, struct descriptor *ret);
void plan_visit(const struct plan *p, const struct transfer_plan_visitor *v);

#endif
