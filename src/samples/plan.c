// SPDX-License-Identifier: Apache-2.0
// From the config map to the images that are to be mirrored.
#include "samples/plan.h"

#include <fnmatch.h>
#include <string.h>

#include "samples/rewrite.h"
#include "util/cleanup.h"
#include "util/map.h"

enum { PARSE_ERROR_MAX = 200 };

void samples_place_release(struct samples_place *p)
{
	free(p->text);
	*p = (struct samples_place){0};
}

static int parse_media(struct samples_place *ret, const char *text, struct err *e)
{
	auto_reference struct reference ref = {0};
	struct err why;

	if (reference_parse(&ref, text, 0, &why) < 0)
		return err_set(e, ERR_USAGE, "'%s' is not file://REPOSITORY, as in file://samples",
			       text);
	if (ref.tag[0] != '\0' || ref.has_digest)
		return err_set(e, ERR_USAGE, "'%s' must not have a tag or digest", text);
	*ret = (struct samples_place){true, reference_file_path(&ref)};
	return 0;
}

// "mirror:5000" alone would be a repository with a tag: what is below it is looked at.
static int parse_registry(struct samples_place *ret, const char *text, struct err *e)
{
	auto_free char *below = xasprintf("%s/x", text);
	auto_reference struct reference ref = {0};
	struct err why;

	if (reference_parse(&ref, below, REF_NO_PREFIX, &why) < 0)
		return err_set(e, ERR_USAGE,
			       "'%s' is not a registry with or without a path, as in "
			       "mirror.example.com:5000/samples",
			       text);
	if (ref.registry[0] == '\0')
		return err_set(e, ERR_USAGE, "'%s' names no registry: write mirror.example.com/%s",
			       text, text);
	*ret = (struct samples_place){false, xstrdup(text)};
	return 0;
}

int samples_place_parse(struct samples_place *ret, const char *text, struct err *e)
{
	if (starts_with(text, "file://"))
		return parse_media(ret, text, e);
	if (starts_with(text, "s3://"))
		return err_set(e, ERR_UNSUPPORTED, "'%s': s3 is not supported", text);
	if (strstr(text, "://"))
		return err_set(e, ERR_USAGE, "'%s': leave out the '%.*s://'", text,
			       (int)(strstr(text, "://") - text), text);
	return parse_registry(ret, text, e);
}

static void image_release(struct samples_image *im)
{
	reference_release(&im->src);
	reference_release(&im->dst);
	for (size_t i = 0; i < im->nrivals; i++)
		reference_release(&im->rivals[i]);
	free(im->rivals);
}

void samples_plan_release(struct samples_plan *p)
{
	for (size_t i = 0; i < p->nimages; i++)
		image_release(&p->images[i]);
	free(p->images);
	free(p->streams);
	free(p->image_of);
	*p = (struct samples_plan){0};
}

// --- streams ---

// The tags of a stream are neighbours in the map.
static void find_streams(struct samples_plan *p)
{
	const struct config_map_tag *v = p->map->v;

	p->streams = xcalloc(p->map->n + 1, sizeof(*p->streams));
	for (size_t i = 0; i < p->map->n; i++) {
		if (i == 0 || strcmp(v[i].stream, v[i - 1].stream) != 0)
			p->streams[p->nstreams++] =
				(struct samples_stream){.name = v[i].stream, .first = i};
		p->streams[p->nstreams - 1].n++;
	}
}

static void choose(struct samples_plan *p, const char *glob, bool chosen, struct strlist *unused)
{
	bool used = false;

	for (size_t i = 0; i < p->nstreams; i++) {
		if (fnmatch(glob, p->streams[i].name, 0) != 0)
			continue;
		p->streams[i].chosen = chosen;
		used = true;
	}
	if (!used && unused)
		strlist_add(unused, glob);
}

static size_t count_chosen(const struct samples_plan *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->nstreams; i++)
		n += p->streams[i].chosen;
	return n;
}

int samples_plan_init(struct samples_plan *ret, const struct config_map *map,
		      const struct samples_choice *choice, struct err *e)
{
	struct samples_plan p = {.map = map};
	bool all = !choice->include || choice->include->n == 0;

	find_streams(&p);
	for (size_t i = 0; i < p.nstreams; i++)
		p.streams[i].chosen = all && !config_map_excludes(map, p.streams[i].name);
	for (size_t i = 0; !all && i < choice->include->n; i++)
		choose(&p, choice->include->v[i], true, choice->ret_unused);
	for (size_t i = 0; choice->exclude && i < choice->exclude->n; i++)
		choose(&p, choice->exclude->v[i], false, choice->ret_unused);
	if (count_chosen(&p) == 0) {
		err_set(e, ERR_USAGE,
			"--include and --exclude leave none of the %zu image streams, such as %s",
			p.nstreams, p.nstreams ? p.streams[0].name : "");
		samples_plan_release(&p);
		return -1;
	}
	p.image_of = xcalloc(map->n + 1, sizeof(*p.image_of));
	for (size_t i = 0; i < map->n; i++)
		p.image_of[i] = SAMPLES_NONE;
	*ret = p;
	return 0;
}

// --- images ---

struct filling {
	struct samples_plan *plan;
	const struct samples_place *src, *dst;
	struct map by_dst; // printed: index in plan.images
	struct map pairs;  // "SRC DST" that are in the plan
};

// A pull spec without tag and digest means latest.
static void default_tag(struct reference *r)
{
	if (r->tag[0] != '\0' || r->has_digest)
		return;
	free(r->tag);
	r->tag = xstrdup("latest");
}

// The tag that TEXT is the image of goes in front of this in one line.
static int parse_text(struct reference *ret, const char *text, unsigned flags, struct err *e)
{
	if (reference_parse(ret, text, flags, e) == 0)
		return 0;
	if (strlen(e->text) <= PARSE_ERROR_MAX)
		return -1;
	auto_free char *quoted = config_map_show(text);

	return err_set(e, ERR_INPUT, "%s is not a valid image reference", quoted);
}

static int parse_spec(struct reference *ret, const char *spec, struct err *e)
{
	if (parse_text(ret, spec, REF_NO_PREFIX, e) < 0)
		return -1;
	if (ret->repository[0] == '\0')
		return err_set(e, ERR_INPUT, "\"%s\" names a registry and no image", spec);
	default_tag(ret);
	return 0;
}

// What SPEC is called at PLACE.
static int parse_there(struct reference *ret, const char *spec, const struct samples_place *place,
		       struct err *e)
{
	auto_free char *moved = place->media ? samples_rewrite_below(spec, place->text)
					     : samples_rewrite(spec, place->text);
	auto_free char *text = xasprintf("%s%s", place->media ? "file://" : "", moved);

	if (parse_text(ret, text, place->media ? 0 : REF_NO_PREFIX, e) < 0)
		return -1;
	default_tag(ret);
	return 0;
}

// The operator imports by what the map says; a destination has the digest from its content.
static int parse_image(const struct filling *f, const char *spec, struct samples_image *ret,
		       struct err *e)
{
	auto_reference struct reference named = {0};

	if (parse_spec(&named, spec, e) < 0)
		return -1;
	if (parse_there(&ret->dst, spec, f->dst, e) < 0) {
		auto_free char *quoted = config_map_show(spec);

		return err_wrap(e, "the operator would look for %s where no image can be", quoted);
	}
	if (f->src) {
		if (parse_there(&ret->src, spec, f->src, e) < 0)
			return -1;
	} else {
		reference_copy(&ret->src, &named);
	}
	ret->dst.has_digest = false;
	return 0;
}

// Two images that would have one name are decided on when they are looked at.
static void add_rival(struct samples_image *to, const struct samples_image *im)
{
	vec_reserve(to->rivals, to->nrivals, to->cap);
	to->rivals[to->nrivals] = (struct reference){0};
	reference_copy(&to->rivals[to->nrivals++], &im->src);
}

// The image with IM's destination; IM itself, taken, when it is the first. By digest there is no
// name that two images could want.
static size_t find_image(struct filling *f, struct samples_image *im)
{
	struct samples_plan *p = f->plan;
	auto_free char *dst = reference_print(&im->dst);
	auto_free char *key = xasprintf("%s %s", dst, *im->dst.tag ? "" : im->src.digest.text);
	auto_free char *src = reference_print(&im->src), *pair = xasprintf("%s %s", src, dst);
	bool fresh, fresh_pair;
	struct map_entry *entry = map_put(&f->by_dst, str_of(key), &fresh);

	map_put(&f->pairs, str_of(pair), &fresh_pair);
	if (!fresh) {
		if (fresh_pair)
			add_rival(&p->images[entry->num], im);
		return (size_t)entry->num;
	}
	entry->num = p->nimages;
	vec_reserve(p->images, p->nimages, p->images_cap);
	p->images[p->nimages++] = *im;
	*im = (struct samples_image){0};
	return (size_t)entry->num;
}

static int add_tag(struct filling *f, size_t tag, struct err *e)
{
	const struct config_map_tag *t = &f->plan->map->v[tag];
	struct samples_image im = {0};
	int r = parse_image(f, t->image, &im, e);

	if (r == 0)
		f->plan->image_of[tag] = find_image(f, &im);
	else
		err_wrap(e, "image stream tag %s:%s", t->stream, t->tag);
	image_release(&im);
	return r < 0 ? err_hint(e, "hint: --exclude=%s leaves the image stream out", t->stream) : 0;
}

int samples_plan_fill(struct samples_plan *p, const struct samples_place *src,
		      const struct samples_place *dst, struct err *e)
{
	struct filling f = {.plan = p, .src = src, .dst = dst};
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->nstreams; i++)
		for (size_t j = 0; r == 0 && p->streams[i].chosen && j < p->streams[i].n; j++)
			r = add_tag(&f, p->streams[i].first + j, e);
	map_release(&f.by_dst);
	map_release(&f.pairs);
	return r;
}

// --- what is said about it ---

bool samples_image_stays(const struct samples_image *im)
{
	struct reference dst = im->dst; // borrows

	dst.has_digest = im->src.has_digest;
	dst.digest = im->src.digest;
	return reference_same(&im->src, &dst);
}

void samples_plan_print(struct buf *ret, const struct samples_plan *p)
{
	auto_strlist struct strlist lines = {0};

	for (size_t i = 0; i < p->nimages; i++) {
		if (samples_image_stays(&p->images[i]))
			continue;
		auto_free char *src = reference_print(&p->images[i].src);
		auto_free char *dst = reference_print(&p->images[i].dst);

		strlist_addf(&lines, "%s=%s", src, dst);
	}
	strlist_sort(&lines);
	for (size_t i = 0; i < lines.n; i++)
		buf_printf(ret, "%s\n", lines.v[i]);
}

size_t samples_stream_count(const struct samples_plan *p, const struct samples_stream *s,
			    enum samples_state state)
{
	size_t n = 0;

	for (size_t i = s->first; i < s->first + s->n; i++)
		n += p->image_of[i] != SAMPLES_NONE && p->images[p->image_of[i]].state == state;
	return n;
}

void samples_plan_skipped(struct strlist *ret, const struct samples_plan *p, bool lenient)
{
	for (size_t i = 0; i < p->nstreams; i++) {
		size_t there = samples_stream_count(p, &p->streams[i], SAMPLES_THERE) +
			       samples_stream_count(p, &p->streams[i], SAMPLES_PARTLY);

		if (there < (lenient ? 1 : p->streams[i].n))
			strlist_add(ret, p->streams[i].name);
	}
}

char *samples_tag_of(const struct samples_plan *p, const struct samples_image *image)
{
	for (size_t i = 0; i < p->map->n; i++)
		if (p->image_of[i] == (size_t)(image - p->images))
			return xasprintf("%s:%s", p->map->v[i].stream, p->map->v[i].tag);
	return xstrdup("");
}
