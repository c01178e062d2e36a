// SPDX-License-Identifier: Apache-2.0
// What a mirrored catalog lacks, and which bundles need it; and the plan of a dry run, by package.
#ifndef CATALOG_REPORT_H
#define CATALOG_REPORT_H

#include "catalog/mirror.h"

// --- what is missing

// One line for each image that is not where it should be, sorted: source, reason, and the bundles
// that need it ("package: bundle, …"), separated by tabs. Nothing when nothing is missing. Control
// characters become '?'. The text ends at CATALOG_MISSING_MAX bytes with a line that counts the
// rest.
#define CATALOG_MISSING_MAX ((size_t)32 << 20)
void catalog_missing_print(struct buf *ret, const struct catalog_mirror *m);
// The same for people: by reason, the most frequent first, with a readable number of lines.
void catalog_missing_show(struct buf *ret, const struct catalog_mirror *m);

// --- the plan

// What a dry run would copy. Bytes are those of layers and configurations, each blob counted once;
// what destinations have already is not known, as they are not asked.
struct catalog_plan;

struct catalog_plan *catalog_plan_new(void);
void catalog_plan_free(struct catalog_plan *p);
DEFINE_AUTO(catalog_plan_free, struct catalog_plan)
// Fills P as the engine's plan is walked.
struct transfer_plan_visitor catalog_plan_visitor(struct catalog_plan *p);
// Then: which package needs what. Once. Borrows M from here on.
void catalog_plan_attribute(struct catalog_plan *p, const struct catalog_mirror *m);

// A line for each package, largest first, and the totals. A blob is unique when no other package
// needs it.
void catalog_plan_print(struct buf *ret, const struct catalog_plan *p);
// For programs, in pieces that PUT takes one after the other:
//
//	{"source": "…", "destination": "…", "manifests": "DIR",
//	 "packages": [{"name": "…", "bundles": 4, "images": 12, "missing": 0,
//	               "uniqueBytes": 1, "sharedBytes": 2, "bytes": 3}],        largest first
//	 "images": [{"source": "…", "destination": "…", "status": "planned", "bytes": 3,
//	             "reason": "…", "packages": ["…"], "bundles": ["…"]}],     as in mapping.txt
//	 "totals": {"packages": 1, "bundles": 4, "images": 12, "missing": 0, "failed": 0,
//	            "blobs": 30, "uniqueBytes": 1, "sharedBytes": 2, "bytes": 3}}
//
// The name "" is of documents without a package, and of the index image, whose bundles are none.
// status is planned, present (nothing to copy), missing (not at the source) or failed; the latter
// two have a reason.
void catalog_plan_json(const struct catalog_plan *p, void (*put)(void *arg, struct str text),
		       void *arg);

#endif
