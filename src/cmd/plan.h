// SPDX-License-Identifier: Apache-2.0
// The plan of a dry run as people read it (spec 3.4, "After planning stderr gets").
#ifndef CMD_PLAN_H
#define CMD_PLAN_H

#include "transfer/transfer.h"

struct plan;

struct plan *plan_new(void);
void plan_free(struct plan *p);
DEFINE_AUTO(plan_free, struct plan)

// Fills P as the engine's plan is walked.
struct transfer_plan_visitor plan_visitor(struct plan *p);
// Blocks of registries and repositories, statistics, what is to be done, and the sum of it all.
void plan_print(struct buf *ret, const struct plan *p);

#endif
