// SPDX-License-Identifier: Apache-2.0
// Help texts, made from the tables of commands and flags.
#ifndef CMD_HELP_H
#define CMD_HELP_H

#include "cmd/cmd.h"

// The whole help of CMD; PATH is how it was called ("oc image mirror").
void help_print(struct buf *ret, const struct cmd *cmd, const char *path);

#endif
