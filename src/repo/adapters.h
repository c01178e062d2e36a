// SPDX-License-Identifier: Apache-2.0
// The two adapters behind repo.h that struct places makes. Private to repo/.
#ifndef REPO_ADAPTERS_H
#define REPO_ADAPTERS_H

#include "registry/registry.h"
#include "repo/repo.h"
#include "store/store.h"

// HOST as the user wrote it; "" stands for docker.io and prints nothing in front.
struct place *place_registry_new(const char *host, const struct registry_config *cfg);
// REPOSITORY is one that will be written: the first one named is what a probe asks to push to.
void place_registry_written(struct place *p, const char *repository);
struct registry *place_registry_of(struct place *p);

// CFG's mode is ignored: the folder is opened for reading at first, and made and opened for writing
// by place_store_writable. Strings of CFG are borrowed. NULL when a folder to read is not there.
struct place *place_store_new(const struct store_config *cfg);
int place_store_readable(struct place *p, struct err *e) must_check;
// *ret_notice as store_open has it; NULL when the folder had been opened before.
int place_store_writable(struct place *p, char **ret_notice, struct err *e) must_check;
struct store *place_store_of(struct place *p);
// Is there anything called REPOSITORY?
int place_store_has(struct place *p, const char *repository, bool *ret, struct err *e) must_check;

#endif
