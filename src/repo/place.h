// SPDX-License-Identifier: Apache-2.0
// Places by what a reference says: the one factory that knows both registries and stores.
//
// A run has one `struct places`. It opens each registry and each folder once and hands out repos.
#ifndef REPO_PLACE_H
#define REPO_PLACE_H

#include "image/reference.h"
#include "registry/registry.h"
#include "repo/repo.h"
#include "store/store.h"

struct places;

// Where else the content of a repository may be read, in this order, by references without tag and
// digest; owned. Then where it is named, unless NEVER_SOURCE.
struct place_mirrors {
	struct reference *v;
	size_t n;
	bool never_source;
};

struct places_config {
	struct registry_config registry; // for every registry of the run
	// Folders of file:// sources and destinations. Each stands in for the other when that is
	// NULL; both NULL: ".". One folder given twice is one place.
	const char *from_dir, *dir;
	enum store_layout layout;
	// Notices such as "exFAT: writing the portable layout"; may be NULL.
	void (*on_notice)(void *arg, const char *text);
	void *on_notice_arg;
	// Asked once for each repository of a registry that is read: where its content is by
	// digest, or TAGS: by tag. May be NULL.
	void (*mirrors)(void *arg, const struct reference *ref, bool tags,
			struct place_mirrors *ret);
	void *mirrors_arg;
};

struct places *places_new(const struct places_config *cfg);
void places_free(struct places *p);
DEFINE_AUTO(places_free, struct places)

// The repo that REF names, tag and digest ignored. WRITE for destinations (opens dir, else
// from_dir); otherwise it is read through its mirrors where it has some. Borrowed from PLACES. S3
// is ERR_UNSUPPORTED by name.
struct repo *places_repo(struct places *p, const struct reference *ref, bool write, struct err *e)
	must_check;
// The store behind a PLACE_STORE, the registry behind a PLACE_REGISTRY; NULL otherwise. For what
// the vtable does not carry (origins, uploads' state).
struct store *place_store(struct place *p);
struct registry *place_registry(struct place *p);
// Syncs every place that was written to.
int places_sync(struct places *p, struct err *e) must_check;

#endif
