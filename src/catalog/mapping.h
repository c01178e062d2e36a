// SPDX-License-Identifier: Apache-2.0
// Where each image of a catalog goes.
//
// Spec 2.7. Images without a tag get one: hex(FNV-1a-32 of their name), which is stable between
// runs and tools. Repository names are joined with "-" behind max_components. What two different
// images would both be called is found here, before anything moves.
#ifndef CATALOG_MAPPING_H
#define CATALOG_MAPPING_H

#include "catalog/catalog.h"
#include "image/reference.h"

#define CATALOG_COMPONENTS_DEFAULT 2
#define CATALOG_MAPPING_MAX        ((size_t)32 << 20) // bytes of all names and complaints

// One image and its place; owns its references.
struct catalog_entry {
	struct reference src; // where it is read: below SRC when that is a folder
	// What the catalog calls it, Docker's defaults filled in, where that is not SRC; or NULL.
	// See catalog_origin.
	struct reference *origin;
	struct reference dst; // with the digest that the catalog gives (spec 2.7.3, 6)
	bool is_index;        // the index image itself: last in the array
	// Nothing to copy: source and destination are the same, or another entry, whose images
	// include those of this one, brings the same digest to the same tag.
	bool is_there;
	// The catalog's spellings of it: indices into catalog.images, ascending. None for the
	// index.
	uint32_t *images;
	size_t nimages, cap;
};

struct catalog_mapping {
	struct catalog_entry *v; // by source text, bytewise; the index image last
	size_t n, cap;
	// Texts that are no reference to an image of a registry, each with why, sorted.
	struct strlist bad;
};
#define auto_catalog_mapping __attribute__((cleanup(catalog_mapping_release)))
void catalog_mapping_release(struct catalog_mapping *m);

const struct reference *catalog_origin(const struct catalog_entry *x);

struct catalog_mapping_config {
	const struct reference *src;   // the index image
	const struct digest *src_root; // what it is, when an image of it has the index's tag; NULL
	const struct reference *dst;   // registry with or without a path, or a folder
	int max_components;            // 0 and below: no limit
	// The index image goes here instead, with SRC's tag when it has none; NULL. When SRC lies
	// below DST already it is mapped to itself.
	const struct reference *index_dst;
	// Asked for what SRC's tag names when images of two repositories would have one tag; NULL,
	// or a failure: they are taken for different ones. catalog_tag_digest does it.
	int (*tag_digest)(void *arg, const struct reference *src, struct digest *ret,
			  struct err *e);
	void *arg;
};

// DEST as it is typed: as reference_parse reads it, but "mirror:5000" is a registry. ERR_INPUT, in
// the reference's words, with a hint for docker://.
int catalog_dest_parse(struct reference *ret, const char *text, struct err *e) must_check;
// Checks DST, INDEX_DST and max_components (spec 1.1, 1.2, section 8 rows 12, 14, 31): ERR_USAGE.
int catalog_mapping_check(const struct catalog_mapping_config *cfg, struct err *e) must_check;
// After the check. ERR_INPUT, with both sources and the remedy, when two images with different
// digests would have one tag, or images of two repositories, of which one digest is not known, one
// repository and one tag. Of two digests under one tag of one repository the second gets the tag
// of its hash.
int catalog_mapping_make(const struct catalog *c, const struct catalog_mapping_config *cfg,
			 struct catalog_mapping *ret, struct err *e) must_check;

// The place of IN below DEST (MOUNT, spec 2.7.3).
void catalog_mount(struct reference *ret, const struct reference *in, const struct reference *dest,
		   int max_components);
// "2f1eb95": the tag of an image that has only a digest.
struct catalog_hash_tag {
	char s[9];
};
struct catalog_hash_tag catalog_hash_tag(const struct reference *r);

// "SRC=DST" lines, sorted, as `image mirror -f` takes them: sources by digest where there is one,
// destinations by tag; without those that are there already.
void catalog_mapping_print(struct buf *ret, const struct catalog_mapping *m);

#endif
