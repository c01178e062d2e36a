// SPDX-License-Identifier: Apache-2.0
// Planning: one task for each source image finds out what must be where, with the fewest requests,
// and adds it to the transfer.
//
// By digest the destination is asked first: what it has is not asked of the source. A list that is
// named by digest or comes from a store is carried whole; a platform filter applies to tags of a
// registry, or where it was asked for.
#ifndef MIRROR_PLANNER_H
#define MIRROR_PLANNER_H

#include <pthread.h>
#include <stdatomic.h>

#include "mirror/mirror.h"
#include "util/map.h"

// A place that is written to, probed once.
struct plan_place {
	struct place *place;
	pthread_mutex_t lock;
	bool probed, failed;
	struct err why;    // it failed
	atomic_bool fresh; // one of its repositories was: ask the others for that first
};

// A repository that is written to.
struct plan_destination {
	struct repo *repo;
	struct plan_place *at;
	char *printed; // as the user wrote it, without tag
	pthread_mutex_t lock;
	bool asked; // its first request was sent
};

struct plan_target {
	struct plan_destination *dst;
	struct strlist tags; // none: by digest only
	struct digest digest;
	struct strlist below; // digests of the manifests of its list, as far as they are mirrored
	bool planned;         // digest is what will be there
};

// One source image with everything it goes to.
struct plan_image {
	struct planner *plan;
	struct repo *src;
	char *repository; // as the user wrote it, without tag and digest
	char *name;       // with them
	char *tag;        // when it is not by digest
	bool by_digest;
	struct digest digest; // what the source names; from a tag once it was read
	struct plan_target *targets;
	size_t ntargets, cap;
	// Written by its task, read when the run has ended.
	bool missing;    // the source does not have it
	bool sparse;     // the source does not have all of it
	struct err *why; // it could not be planned; owned
};

// What became of a mapping: one tag, or none, of a target of an image.
struct plan_goal {
	const struct plan_image *image;
	size_t target; // image->targets
	const char *tag;
	size_t from; // mapping.from
};

struct planner {
	const struct mirror_options *opt;
	struct transfer *t;
	struct places *places;
	struct place *paper;            // file:// destinations of a dry run
	struct platform_filter *filter; // NULL: everything is carried whole
	const char *filter_text;
	bool filter_given;
	struct plan_image **images;
	size_t nimages, images_cap;
	struct plan_goal *goals; // one for each mapping
	size_t ngoals, goals_cap;
	struct map image_of; // while they are added: src repo and tag or digest → plan_image *
	struct map tag_of;   // image, target and tag → char *, but for the first tag of a target
	struct map dst_of;   // repo → struct plan_destination *
	struct map place_of; // place → struct plan_place *
	pthread_mutex_t lock;
	struct map planned; // destination repo and digest: enum plan_state
};

// FILTER is checked here. Borrows OPT, T and PLACES.
int planner_init(struct planner *p, const struct mirror_options *opt, struct transfer *t,
		 struct places *places, struct err *e) must_check;
void planner_release(struct planner *p);
// Opens the repositories of M, which names one image, and groups it with what is there of that.
// FROM is the number of the mapping that was given.
int planner_add(struct planner *p, const struct mapping *m, size_t from, struct err *e) must_check;
// Those were all.
void planner_added(struct planner *p);
// Spawns the probes and the planning tasks on the transfer; P lives until transfer_run has
// returned.
void planner_spawn(struct planner *p);

#endif
