// SPDX-License-Identifier: Apache-2.0
// Reading images out of a repository: layers for whoever looks into them, small blobs whole.
#ifndef REPO_LAYERS_H
#define REPO_LAYERS_H

#include "layer/stack.h"
#include "repo/repo.h"

// The layers of any image in REPO.
struct stack_source repo_layers(struct repo *repo);

// The whole blob D, verified, appended to *ret. ERR_INPUT when it does not fit under ret->max.
int repo_read_blob(struct repo *repo, const struct descriptor *d, struct buf *ret, struct err *e)
	must_check;

#endif
