// SPDX-License-Identifier: Apache-2.0
// Repositories interned by name: what every kind of place keeps. Private to repo/. Thread-safe.
#ifndef REPO_NAMES_H
#define REPO_NAMES_H

#include "repo/repo.h"
#include "util/map.h"

#include <pthread.h>

struct repo_names {
	pthread_mutex_t lock;
	struct map map; // guarded by lock
};

void repo_names_init(struct repo_names *names);
// The repo called NAME. The first caller has it made by NEW (whose base may be empty: ops, place
// and name are filled in here).
struct repo *repo_names_get(struct repo_names *names, struct place *p, const struct repo_ops *ops,
			    const char *name,
			    struct repo *(*new)(struct place *p, const char *name));
// Each repo goes through FREE, which frees the struct; its name is freed here.
void repo_names_release(struct repo_names *names, void (*free_repo)(struct repo *r));

#endif
