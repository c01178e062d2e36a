// SPDX-License-Identifier: Apache-2.0
// Stands in for the engine and the factory of places, so that planning is seen alone: places are
// memory, tasks run one after the other in transfer_run, and what was added is a list of lines.
#ifndef TESTS_MIRROR_FAKE_H
#define TESTS_MIRROR_FAKE_H

#include "mirror/mirror.h"
#include "repo/memory.h"

struct fake {
	struct slab_pool *pool;
	struct places *places;
	struct place *src, *dst; // registries "src.io" and "dst.io"
	// "add dst.io/a sha256:… tags=v1 blobs=2 children=0 present sparse", "present …", "missing
	// …", "notice …", in order
	struct strlist log;
	size_t opened_for_writing;   // calls of places_repo
	const struct digest *broken; // the engine fails to copy it; or NULL
};
#define auto_fake __attribute__((cleanup(fake_release)))
void fake_init(struct fake *f);
void fake_release(struct fake *f);
struct repo *fake_repo(struct fake *f, const char *name); // "src.io/a"
size_t fake_requests(struct place *p);                    // manifests asked for
// A line of the log starts with PREFIX.
bool fake_logged(const struct fake *f, const char *prefix);

// An image of one layer that holds TEXT, with its blobs.
struct digest fake_image(struct repo *r, const char *text, const char *tag);
// A list of the N children; their platforms are linux/amd64, linux/arm64, linux/s390x,
// linux/ppc64le.
struct digest fake_list(struct repo *r, const struct digest *children, size_t n, const char *tag);

#endif
