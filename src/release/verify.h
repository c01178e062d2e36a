// SPDX-License-Identifier: Apache-2.0
// Is a release there, whole, and signed?
//
// From the payload's image-references through lists and manifests down to every configuration and
// layer. Manifests are always read and compared with their digests. In a folder every byte of every
// blob is, too; a registry is asked for its blobs (sizes are compared where it tells them), and
// with DEEP it sends them. An image is looked for in the repository of the release first, then in
// the folder's other repositories, or where on the same registry the release names it. What is
// attached to an image or to an entry of a list, by cosign's tags or as a referrer, need not be
// there, but where it is, it must be whole.
#ifndef RELEASE_VERIFY_H
#define RELEASE_VERIFY_H

#include "release/info.h"

enum verify_fault {
	VERIFY_MISSING,
	VERIFY_DAMAGED,
	VERIFY_UNKNOWN, // it could not be looked at
};

struct verify_problem {
	enum verify_fault fault;
	const char *part; // "image", "list entry", "config", "layer", "payload", "signature"; "tag"
			  // or "list" that leads to what is attached
	char *digest;     // of what is missing or damaged; "" when nobody knows
	struct strlist images; // who needs it: components, "release image", "signature of cli", or
			       // a tag
	char *why;
};

struct verify_release {
	char *name;                      // "file://openshift/release:4.18.1-x86_64"
	struct digest digest;            // what it names
	char *version, *architecture;    // "4.18.1", "x86_64" or "multi"; "" when it cannot be read
	size_t images, blobs;            // blobs: configurations and layers, each once
	uint64_t bytes;                  // of them
	size_t attachments;              // signatures, attestations, SBOMs, referrers
	bool is_signed;                  // as it should be
	struct signatures signatures;    // if it is
	char *unsigned_why;              // NULL if it is, or when that is among the problems
	struct verify_problem *problems; // in a fixed order
	size_t nproblems;
};

struct verify_report {
	struct verify_release *releases;
	size_t n;
	struct verify_problem *tags; // that may name a release, and cannot be read
	size_t ntags;
};
#define auto_verify_report __attribute__((cleanup(verify_report_release)))
void verify_report_release(struct verify_report *r);

struct verify_request {
	struct places *places;
	const char *repository; // "registry/repository"; with a tag it is as if WANTED named that.
				// NULL: every repository of the folder of PLACES
	// Tags, digests, versions (4.18.1: of all architectures) or pull specs. NULL or empty:
	// every release that a tag names; images with the label io.openshift.release are releases.
	char *const *wanted;
	size_t nwanted;
	bool deep;
	bool require_signature; // no signature is a problem, as a bad one always is
	struct release_verify_request signatures;
	unsigned parallel; // images or blobs at a time; 0: a default
	struct cancel *cancel;
	void (*on_bytes)(void *arg, uint64_t n); // so many were read; from any thread; may be NULL
	void *on_bytes_arg;
};
// Fails only when it cannot look: no such folder, no release there, a registry that does not
// answer, keys that cannot be read, ERR_CANCELLED. Everything else is in the report.
int verify_run(struct verify_report *ret, const struct verify_request *req, struct err *e)
	must_check;

// How many problems of each kind there are.
void verify_count(const struct verify_report *r, size_t ret[VERIFY_UNKNOWN + 1]);
// "missing: layer DIGEST of cli, pod", then "complete: 4.18.1 x86_64, 191 images, 451 blobs,
// 20 attachments, signature good" or "incomplete: …" for each release.
void verify_print(struct buf *out, const struct verify_report *r);
void verify_json(struct json_out *j, const struct verify_report *r);

#endif
