// SPDX-License-Identifier: Apache-2.0
// What is known of an image without its layers: manifest and configuration, and how they are shown.
//
// Spec 8. Of a list the entries that a filter takes are read. Everything is read by digest once the
// tag has been resolved, and verified by the repo or here.
#ifndef RELEASE_IMAGE_INFO_H
#define RELEASE_IMAGE_INFO_H

#include "data/json.h"
#include "data/json_out.h"
#include "image/reference.h"
#include "repo/repo.h"

#include <stdatomic.h>

struct image_info {
	char *name;           // as it was named, without "file://"
	bool by_digest;       // it was named by DIGEST
	struct digest digest; // of the manifest
	bool in_list;
	struct digest list; // that it was found in
	struct manifest manifest;
	struct json_doc config;
	uint64_t manifest_size;
	uint64_t size; // of the layers together
};

// The images that one reference stands for; zero-initialise.
struct image_infos {
	struct image_info *v;
	size_t n;
};
#define auto_image_infos __attribute__((cleanup(image_infos_release)))
void image_infos_release(struct image_infos *l);

#define IMAGE_CONFIGS_MAX ((size_t)64 << 20)

struct image_info_options {
	const struct platform_filter *filter; // of the entries of a list; NULL takes all
	bool any_of_one;                      // a list with one entry needs not match
	bool several;                         // more than one entry may match
	// Bytes of configurations that may still be read, shared by several calls; NULL:
	// IMAGE_CONFIGS_MAX for this one.
	atomic_size_t *budget;
};

// Reads what REF names in REPO. Errors: `image "REF" not found: …`, `unable to read image REF: …`,
// and for a list of which not exactly one entry is wanted, `the image is a manifest list and
// contains multiple images - use --filter-by-os to select from:` and a table.
int image_infos_read(struct image_infos *ret, struct repo *repo, const struct reference *ref,
		     const struct image_info_options *opt, struct err *e) must_check;

// When it was made, unix time; false when it does not say.
bool image_info_created(const struct image_info *im, int64_t *ret);
// The text of `image info`. NOW is unix time.
void image_info_print(struct buf *out, const struct image_info *im, int64_t now);
// The object of `image info -o json`. Fails for a configuration whose members have other types.
int image_info_json(struct json_out *j, const struct image_info *im, struct err *e) must_check;
// Of an image configuration whose layers are SIZE bytes: the reference's form of it.
int image_config_json(struct json_out *j, const struct json *config, uint64_t size, struct err *e)
	must_check;

#endif
