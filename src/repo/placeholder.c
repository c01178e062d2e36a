// SPDX-License-Identifier: Apache-2.0
// Stands in until the first file of this folder exists.
extern int ferry_placeholder_repo;
int ferry_placeholder_repo;
