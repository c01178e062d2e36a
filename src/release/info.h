// SPDX-License-Identifier: Apache-2.0
// Facts of a release, of one or of two compared, and how they are shown.
//
// Spec 7. A release is read down to its payload's folder; the images that it names are looked at
// only when they are asked for, by manifest and configuration.
#ifndef RELEASE_INFO_H
#define RELEASE_INFO_H

#include "release/image_info.h"
#include "release/payload.h"
#include "release/signatures.h"
#include "release/versions.h"
#include "repo/place.h"

// An entry of image-references; texts are borrowed from the document.
struct release_tag {
	const char *name;
	const char *spec;              // pull spec; NULL when the entry is no image
	const char *location, *commit; // of its source, "" when unknown
};

struct release_file {
	char *name;
	struct buf bytes;
};

struct release_info {
	char *image; // as it was asked for
	struct reference ref;
	struct payload payload;
	struct json_doc config, references;
	struct json_doc metadata; // root NULL: the payload has none
	struct release_tag *tags; // in the payload's order
	size_t ntags;
	struct release_file *manifests; // *.yaml, *.yml, *.json by name
	size_t nmanifests, nothers;     // others: what else is in the folder
	struct component_versions versions;
	struct image_infos *images; // one for each tag, empty where it was not read; or NULL
	size_t nunread;             // images that were asked for and could not be read
	struct strlist warnings;    // sorted
	struct strlist notes;       // for stderr
};
#define auto_release_info __attribute__((cleanup(release_info_release)))
void release_info_release(struct release_info *r);

struct release_info_request {
	const char *image;
	const struct platform_filter *filter; // of lists
	bool default_filter;                  // it was not asked for: a release needs not match
	bool images;                          // look at every image of the release
	unsigned parallel;                    // images at a time; 0: a default
};
// *ret is zero-initialised by the caller. Images that cannot be read are warnings.
int release_info_read(struct release_info *ret, struct places *places,
		      const struct release_info_request *req, struct err *e) must_check;
// The part of it that comes after the payload: makes documents, tags and versions of the bytes in
// r->payload.
int release_info_parse(struct release_info *r, struct err *e) must_check;

// "4.18.7": of the metadata, else of image-references.
const char *release_info_name(const struct release_info *r);
// "linux/amd64", "multi (linux/amd64)". Caller frees.
char *release_info_platform(const struct release_info *r);
// What the release was named by: the list's digest for lists.
const struct digest *release_info_digest(const struct release_info *r);
bool release_info_created(const struct release_info *r, int64_t *ret);
// The pull spec of component NAME. ERR_NOT_FOUND: `no image tag "NAME" exists in the release image
// IMAGE`.
int release_info_image_for(const struct release_info *r, const char *name, const char **ret,
			   struct err *e) must_check;
// The digest in a pull spec, or the spec when it has none. Caller frees.
char *release_digest_or_spec(const char *spec);

enum release_columns {
	RELEASE_DIGESTS,
	RELEASE_PULL_SPECS,
	RELEASE_COMMITS,
	RELEASE_COMMIT_URLS,
	RELEASE_SIZES, // needs the images
};
// NOW is unix time.
void release_info_print(struct buf *out, const struct release_info *r, enum release_columns columns,
			int64_t now);
void release_info_print_contents(struct buf *out, const struct release_info *r);
// How a release is verified. Lists that are empty leave it to the release to name its keys and
// stores.
struct release_verify_request {
	struct http *net;
	int64_t now;                            // unix time
	const char *media;                      // the folder of a file:// release
	const struct strlist *keyrings;         // files
	const struct strlist *signature_stores; // URLs and folders
};
// Finds good signatures of the release: of a list its own, else of the image that was read. From
// media no server is asked but those in SIGNATURE_STORES. ERR_NOT_FOUND: there is none, or there
// are no keys.
int release_info_verify(const struct release_info *r, const struct release_verify_request *req,
			struct signatures *ret, struct err *e) must_check;

// "DIGEST CREATED NAME"
void release_info_print_verified(struct buf *out, const struct release_info *r);
int release_info_json(struct json_out *j, const struct release_info *r, struct err *e) must_check;
// TAG as an entry of an image stream.
int release_tag_json(struct json_out *j, const struct release_info *r, const struct release_tag *t,
		     struct err *e) must_check;

// What a mirror that holds one release has to be sent for another.
struct release_upgrade {
	size_t images, changed; // of the release with its own image; not yet in the mirror
	size_t blobs;           // manifests, configurations and layers that are new
	uint64_t bytes;
};
// Lists count with all their entries.
int release_upgrade_read(struct release_upgrade *ret, struct places *places,
			 const struct release_info *from, const struct release_info *to,
			 unsigned parallel, struct err *e) must_check;

// UPGRADE may be NULL.
void release_diff_print(struct buf *out, const struct release_info *from,
			const struct release_info *to, bool commits,
			const struct release_upgrade *upgrade, int64_t now);
int release_diff_json(struct json_out *j, const struct release_info *from,
		      const struct release_info *to, const struct release_upgrade *upgrade,
		      struct err *e) must_check;

#endif
