// SPDX-License-Identifier: Apache-2.0
// The tree v2/REPO/{blobs,manifests}, which the layouts "oc" and "linked" have in common: reading,
// listing, and the steps by which names come into it.
#ifndef STORE_OC_TREE_H
#define STORE_OC_TREE_H

#include "store/internal.h"

char *repo_path(const char *repo, const char *sub); // "REPO/SUB"; caller frees
char *name_path(const char *repo, const char *sub, const struct digest *d, char sep);

// ---- reading; all but the first are functions of struct layout

// A file name of content below a repository: SUB/ALGO<sep>HEX.
struct tree_name {
	const char *sub;
	char sep;
};
// The first of NAMES that is there and whose bytes are D.
int tree_manifest_find(struct store *s, const char *repo, const struct digest *d,
		       const struct tree_name *names, size_t n, struct buf *ret, struct err *e)
	must_check;
int tree_blob_open(struct store *s, const char *repo, const struct digest *d, struct content *ret,
		   struct err *e) must_check;
int tree_manifest_read(struct store *s, const char *repo, const struct digest *d, struct buf *ret,
		       struct err *e) must_check;
int tree_tag_get(struct store *s, const char *repo, const char *tag, struct digest *ret,
		 struct buf *bytes, bool *ret_file, struct err *e) must_check;
int tree_tags(struct store *s, const char *repo, struct strlist *ret, struct err *e) must_check;
int tree_contents(struct store *s, const char *repo, struct strlist *ret_manifests,
		  struct strlist *ret_blobs, struct err *e) must_check;
int tree_repositories(struct store *s, struct strlist *ret, struct err *e) must_check;
bool tree_has_repository(struct store *s, const char *repo);
uint64_t tree_stamp(struct store *s, const char *repo);
// Fills RET; false when the path is too long.
bool tree_place(struct store *s, const char *repo, const struct digest *d,
		const struct tree_name *name, struct place *ret);
bool tree_where(struct store *s, const char *repo, const struct digest *d, bool manifest,
		unsigned i, struct place *ret);
int tree_origins_load(struct store *s, struct err *e) must_check;
// Opens v2, made when the store may be written. *ret_made: it was not there.
int tree_open(struct store *s, bool *ret_made, struct err *e) must_check;

// ---- giving names

enum level_slot { LEVEL_BLOBS, LEVEL_MANIFESTS, LEVEL_REFERRERS, LEVEL_POOL, LEVEL_SLOTS };

// What becomes durable together: the folders that were touched, and the one used last of each kind.
// Paths of LEVEL_POOL are below the state folder, all others below v2.
struct level {
	struct store *s;
	struct strlist touched, touched_state;
	struct level_open {
		char *path;
		int fd;
	} open[LEVEL_SLOTS];
};
void level_release(struct level *l);
#define auto_level __attribute__((cleanup(level_release)))
// A descriptor of folder PATH, made when it is missing; borrowed until the slot is used again.
int level_folder(struct level *l, enum level_slot slot, const char *path, struct err *e) must_check;
// REPO/blobs, REPO/manifests.
int level_sub(struct level *l, enum level_slot slot, const char *repo, struct err *e) must_check;
int level_sync(struct level *l, struct err *e) must_check;
// The error of a system call that should have made NAME in REPO.
int level_cannot(struct level *l, const char *repo, const char *name, struct err *e);
// A symbolic link to TARGET at DIR/NAME, replacing what is there.
int level_symlink(struct level *l, const char *repo, int dir, const char *name, const char *target,
		  struct err *e) must_check;
int level_tag(struct level *l, const struct staged *it, struct err *e) must_check;

// How a layout gives names: what a kind of item does in a level. A level is durable before the
// next.
struct naming_step {
	enum staged_kind kind;
	int level;
	int (*name)(struct level *l, const struct staged *it, struct err *e);
};
// All levels of B, then its origins.
int tree_name_batch(struct store *s, struct batch *b, const struct naming_step *steps,
		    size_t nsteps, struct err *e) must_check;

#endif
