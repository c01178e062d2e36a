// SPDX-License-Identifier: Apache-2.0
// The plan of a dry run as people read it.
#ifndef CMD_PLAN_VIEW_H
#define CMD_PLAN_VIEW_H

#include "transfer/transfer.h"

struct plan_view;

struct plan_view *plan_view_new(void);
void plan_view_free(struct plan_view *p);
DEFINE_AUTO(plan_view_free, struct plan_view)

// Fills P as the engine's plan is walked.
struct transfer_plan_visitor plan_view_visitor(struct plan_view *p);
// Blocks of registries and repositories, statistics, what is to be done, and the sum of it all.
void plan_view_print(struct buf *ret, const struct plan_view *p);

#endif
