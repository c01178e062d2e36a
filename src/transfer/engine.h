// SPDX-License-Identifier: Apache-2.0
// The engine's own state, shared by its files:
//
//	engine.c  the public calls, beginning and end of a run
//	graph.c   what follows from what: done, failed, parked, ready (called locked, no I/O)
//	worker.c  threads, lanes, limiters: which task runs next
//	copy.c    the tasks themselves (not locked, all the I/O)
//	report.c  events and failures
//
// Private to transfer/. One lock guards everything below it; no place and no sink is called while
// it is held.
#ifndef TRANSFER_ENGINE_H
#define TRANSFER_ENGINE_H

#include "net/limiter.h"
#include "transfer/plan.h"

#include <pthread.h>
#include <stdatomic.h>

struct spawn {
	struct spawn *next;
	int (*fn)(struct transfer *t, void *arg, struct err *e);
	void *arg;
};

// What the engine knows about a place; parallel to plan.places. Does not move: limiters point here.
struct place_state {
	struct transfer *t;
	struct place *place;
	struct limiter *limiter; // or NULL
	bool full;               // the limiter refused and has not called since
	size_t spawns;           // planning tasks queued or running
	bool planned;            // counts towards max_registries
	unsigned silences;       // tasks in a row that got no answer from it
	struct err silence;      // the last such error
};

// Tasks that need the same places wait in one lane; lanes take turns.
struct lane {
	uint32_t src, dst; // plan.places, or NONE
	uint32_t head, tail;
	struct spawn *first, *last;
};

enum phase { PHASE_PLANNING, PHASE_COPYING };

enum fault { FAULT_SOURCE, FAULT_DESTINATION };

enum job_kind { JOB_SPAWN, JOB_BLOB, JOB_MANIFEST };

// A task that was taken from its lane: a copy of what it needs, since the plan may move.
struct job {
	enum job_kind kind;
	uint32_t lane, node;
	struct limiter *limiters[2];
	struct spawn *spawn;
	struct repo *src, *dst;
	struct repo *holder; // of a blob that is at the place already
	const char *name;    // of the image, for errors
	struct descriptor blob;
	struct manifest_bytes manifest;
	const struct tag *tags;
	bool by_digest, sparse, silent; // silent: the destination has stopped answering
	uint64_t moved;                 // bytes, for the limiters
	struct err error;
};

enum blob_outcome { BLOB_MOVED, BLOB_PRESENT, BLOB_MOUNTED, BLOB_FAILED };
enum manifest_outcome { MANIFEST_PUT, MANIFEST_REFUSED, MANIFEST_FAILED };

struct transfer {
	struct transfer_config cfg;
	struct cancel_watch watch;
	atomic_uint_least64_t bytes_moved;

	pthread_mutex_t sink_lock;
	struct map told; // guarded by sink_lock: failures that were reported, by text

	pthread_mutex_t lock;
	// guarded by lock
	pthread_cond_t work; // there is a task, or the end
	pthread_cond_t rest; // spawns or copies came down to zero
	enum phase phase;
	bool blobs_open; // blob tasks may run
	bool stopped;    // no further copying
	bool closing;    // threads end
	struct plan plan;
	struct place_state **places;
	size_t nplaces, places_cap, nplanned;
	struct lane *lanes;
	size_t nlanes, lanes_cap, turn;
	pthread_t *threads;
	int nthreads, nidle;
	size_t spawns;          // queued or running
	size_t queued, copying; // blobs and manifests
	uint64_t planning_failures, copy_failures;
	enum err_kind planning_kind;
	struct transfer_stats stats;
};

// --- worker.c
struct place_state *place_state(struct transfer *t, uint32_t place);
void queue_spawn(struct transfer *t, struct place *place, struct spawn *s);
void queue_node(struct transfer *t, uint32_t node);
// Drops what is queued but planning tasks, which have to run.
void stop_copying(struct transfer *t);
// Waits until *what is zero. Called locked.
void wait_for_zero(struct transfer *t, const size_t *what);
void workers_wake(struct transfer *t);
void workers_end(struct transfer *t); // not locked

// --- graph.c; all called locked
// *ret_new marks the blobs of M that are new to their place.
int graph_add(struct transfer *t, const struct transfer_manifest *m, bool *ret_new, struct err *e)
	must_check;
void graph_open_blobs(struct transfer *t);
void graph_open_manifests(struct transfer *t);
void graph_job(struct transfer *t, uint32_t node, struct job *ret);
void graph_blob_done(struct transfer *t, uint32_t node, enum blob_outcome how);
// True when nobody else tries: the failure stands. WHY is told by transfer_why then.
bool graph_blob_failed(struct transfer *t, uint32_t node, enum fault fault, const struct err *why);
void graph_manifest_done(struct transfer *t, uint32_t node);
void graph_manifest_refused(struct transfer *t, uint32_t node, const struct err *why);
// Something about NODE failed, though it may be there in the end.
void graph_blame(struct transfer *t, uint32_t node, enum fault fault, const struct err *why);
void graph_manifest_failed(struct transfer *t, uint32_t node);

// --- copy.c
void run_job(struct transfer *t, struct job *job);
void job_release(struct job *job);

// --- report.c; not locked
void emit(struct transfer *t, const struct transfer_event *ev);
// Counts, tells once, and stops the run unless it goes on after errors. PLANNING tells which kind
// of failure it is. TEMPLATE (may be NULL) has what the event is about; KEY (may be NULL) is the
// text by which equal failures are known.
void report_failure(struct transfer *t, bool planning, const struct err *why,
		    const struct transfer_event *template, const char *key);

#endif
