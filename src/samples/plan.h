// SPDX-License-Identifier: Apache-2.0
// Which sample images go where: streams chosen, pull specs rewritten, each image once.
//
// Spec 5.2, 5.3. Pure: nothing is asked or copied here.
#ifndef SAMPLES_PLAN_H
#define SAMPLES_PLAN_H

#include "image/reference.h"
#include "samples/config_map.h"

// An end of the way: a registry with or without a path, or a folder of media.
struct samples_place {
	bool media;
	char *text; // "host:5000/path", which is samplesRegistry; of media the repository that all
		    // others are below
};
void samples_place_release(struct samples_place *p);
// REGISTRY[/PATH] or file://REPOSITORY. ERR_USAGE.
int samples_place_parse(struct samples_place *ret, const char *text, struct err *e) must_check;

enum samples_state {
	SAMPLES_UNKNOWN, // not tried: a dry run
	SAMPLES_THERE,
	SAMPLES_PARTLY,  // a list without platforms that the source does not have
	SAMPLES_MISSING, // the source does not have it
	SAMPLES_FAILED,
};

struct samples_image {
	struct reference src, dst; // dst by tag, or without one where src is by digest
	struct reference *rivals;  // other sources that would go to dst
	size_t nrivals, cap;
	enum samples_state state;
};

struct samples_stream {
	const char *name;
	size_t first, n; // its tags in config_map.v
	bool chosen;
};

struct samples_plan {
	const struct config_map *map;
	struct samples_stream *streams; // by name
	size_t nstreams;
	struct samples_image *images; // in the order of the map
	size_t nimages, images_cap;
	size_t *image_of; // for each tag of the map: images, SAMPLES_NONE when it is not chosen
};
#define SAMPLES_NONE      SIZE_MAX
#define auto_samples_plan __attribute__((cleanup(samples_plan_release)))
void samples_plan_release(struct samples_plan *p);

struct samples_choice {
	const struct strlist *include, *exclude; // globs over names of streams; NULL or empty
	// Globs that no stream answers to, sorted; may be NULL.
	struct strlist *ret_unused;
};

// Chooses the streams of MAP (borrowed by the plan). INCLUDE: these alone; EXCLUDE: not these.
// ERR_USAGE when none is left.
int samples_plan_init(struct samples_plan *ret, const struct config_map *map,
		      const struct samples_choice *choice, struct err *e) must_check;
// Adds the images of what is chosen. SRC NULL: they are read where the map names them, else from
// those media. ERR_INPUT, with the tag, for a pull spec that is none or that fits nowhere below
// DST.
int samples_plan_fill(struct samples_plan *p, const struct samples_place *src,
		      const struct samples_place *dst, struct err *e) must_check;

// Source and destination are the same: there is nothing to copy.
bool samples_image_stays(const struct samples_image *im);
// "SRC=DST" lines, sorted, as `image mirror -f` takes them; without what stays.
void samples_plan_print(struct buf *ret, const struct samples_plan *p);
// How many tags of S are in STATE.
size_t samples_stream_count(const struct samples_plan *p, const struct samples_stream *s,
			    enum samples_state state);
// Streams that have to be skipped, sorted: what is not chosen, and what is not there: any tag of
// it, or LENIENT: all of them.
void samples_plan_skipped(struct strlist *ret, const struct samples_plan *p, bool lenient);
// "ruby:3.3-ubi9", the first tag of the map that IMAGE populates. Caller frees.
char *samples_tag_of(const struct samples_plan *p, const struct samples_image *image);

#endif
