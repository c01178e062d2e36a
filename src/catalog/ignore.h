// SPDX-License-Identifier: Apache-2.0
// The .indexignore files of a catalog: which of its files are no part of it.
//
// Spec 2.5.1. Nearly what git reads in .gitignore: a pattern concerns what is below the folder of
// its file; without a slash inside it is compared with each part of a path, else with the path from
// that folder on, of which a leading part is enough; "**" is any number of folders; with a slash at
// the end it is about folders alone; "!" takes files back in, and of all patterns that match the
// last one decides, parents' before children's. Unlike in git a deeper file may take back in what
// is in a folder that is left out. * ? [a-z] [^a-z] \ are as in Go's path.Match: what it calls
// malformed matches nothing.
#ifndef CATALOG_IGNORE_H
#define CATALOG_IGNORE_H

#include "util/cleanup.h"
#include "util/str.h"

#define IGNORE_NAME        ".indexignore"
#define IGNORE_PATTERN_MAX ((size_t)4096) // bytes
#define IGNORE_STEPS_MAX   ((uint64_t)1 << 29)

struct ignore;

struct ignore *ignore_new(size_t max); // patterns
void ignore_free(struct ignore *ig);   // NULL is fine
DEFINE_AUTO(ignore_free, struct ignore)

// The text of the file in FOLDER ("" for the catalog's own, "a/b"). Files come in any order.
// ERR_INPUT: "line 3: …".
int ignore_add(struct ignore *ig, const char *folder, struct str text, struct err *e) must_check;
// Once, behind the last ignore_add.
void ignore_ready(struct ignore *ig);
// Is the file PATH ("a/b/catalog.yaml") left out?
bool ignore_matches(struct ignore *ig, const char *path);
// ERR_INPUT when all comparisons together took more than IGNORE_STEPS_MAX steps, a character each:
// then some of the answers are wrong.
int ignore_check(const struct ignore *ig, struct err *e) must_check;

#endif
