// SPDX-License-Identifier: Apache-2.0
// adm samples mirror, but for the flags.
#include "samples/mirror.h"

#include <stdarg.h>
#include <string.h>

#include "samples/config.h"
#include "samples/guide.h"
#include "util/cleanup.h"
#include "util/fs.h"

// On media, beside v2/; then the repository and this name.
#define MEDIA_FOLDER "config/samples"
#define MEDIA_FILE   CONFIG_MAP_NAME ".yaml"

struct job {
	struct places *places;
	const struct samples_mirror_request *req;
	struct samples_mirror_result *to;
	struct samples_place from, dest;
	struct config_map map, before; // before: what the media that are written have
	struct samples_plan plan;
	struct mappings mappings;
	size_t *image_of; // of each mapping: plan.images
};

static void job_release(struct job *j)
{
	samples_place_release(&j->from);
	samples_place_release(&j->dest);
	samples_plan_release(&j->plan);
	config_map_release(&j->map);
	config_map_release(&j->before);
	mappings_release(&j->mappings);
	free(j->image_of);
}

void samples_mirror_result_release(struct samples_mirror_result *r)
{
	mirror_result_release(&r->mirror);
	strlist_release(&r->skipped);
	buf_free(&r->text);
}

static bool is_dry_run(const struct job *j)
{
	return j->req->mirror.transfer.dry_run;
}

// --- before anything is asked for ---

static int check(const struct samples_mirror_request *req, struct samples_place *ret_from,
		 struct samples_place *ret_dest, struct err *e)
{
	if (!req->from && !given(req->file))
		return err_set(e, ERR_USAGE,
			       "-f must name the config map " CONFIG_MAP_NAME
			       ", or SRC media that hold it");
	if (req->from && samples_place_parse(ret_from, req->from, e) < 0)
		return -1;
	if (req->from && !ret_from->media)
		return err_set(
			e, ERR_USAGE,
			"SRC must be media, file://REPOSITORY, not '%s': from a registry the "
			"images come by the names in the config map",
			req->from);
	if (samples_place_parse(ret_dest, req->to, e) < 0)
		return -1;
	if (ret_from->media && ret_dest->media && strcmp(ret_from->text, ret_dest->text) == 0)
		return err_set(e, ERR_USAGE,
			       "SRC and DST may not be the same; '%s store copy' copies media",
			       req->self);
	return 0;
}

int samples_mirror_check(const struct samples_mirror_request *req, struct err *e)
{
	struct samples_place from = {0}, dest = {0};
	int r = check(req, &from, &dest, e);

	samples_place_release(&from);
	samples_place_release(&dest);
	return r;
}

// A ':' of a repository that begins with a host is no part of a file's name everywhere; no
// repository has a '='. Caller frees.
static char *media_path(const char *dir, const struct samples_place *place)
{
	auto_free char *folder = xstrdup(place->text);

	for (char *c = folder; *c; c++)
		if (*c == ':')
			*c = '=';
	return xasprintf("%s/" MEDIA_FOLDER "/%s/" MEDIA_FILE, dir, folder);
}

static int read_media_map(struct job *j, struct err *e)
{
	auto_free char *path = media_path(j->req->from_dir, &j->from);

	if (config_map_read_media(&j->map, path, e) == 0)
		return 0;
	return e->kind == ERR_NOT_FOUND
		       ? err_hint(e,
				  "hint: %s adm samples mirror leaves the config map there when it "
				  "fills media; is --from-dir right?",
				  j->req->self)
		       : -1;
}

static int read_maps(struct job *j, struct err *e)
{
	const struct samples_mirror_request *req = j->req;

	if ((given(req->file) ? config_map_read_file(&j->map, req->file, req->stdin_fd, e)
			      : read_media_map(j, e)) < 0)
		return -1;
	if (!j->dest.media)
		return 0;
	auto_free char *path = media_path(req->dir, &j->dest);

	return config_map_read_media(&j->before, path, e) < 0 && e->kind != ERR_NOT_FOUND ? -1 : 0;
}

// A platform of a list has another digest than the list.
static int check_filter(const struct job *j, struct err *e)
{
	for (size_t i = 0; j->req->mirror.filter_by_os && i < j->plan.nimages; i++) {
		auto_free char *src = reference_print(&j->plan.images[i].src);

		if (j->plan.images[i].src.has_digest)
			return err_set(e, ERR_USAGE,
				       "--filter-by-os cannot be used with %s: by that digest the "
				       "operator would not find what is left of it",
				       src);
	}
	return 0;
}

static int make_plan(struct job *j, struct err *e)
{
	auto_strlist struct strlist unused = {0};
	struct samples_choice choice = {j->req->include, j->req->exclude, &unused};

	if (samples_plan_init(&j->plan, &j->map, &choice, e) < 0)
		return -1;
	for (size_t i = 0; i < unused.n; i++)
		say(&j->req->say, "warning: no image stream is called '%s'", unused.v[i]);
	if (samples_plan_fill(&j->plan, j->req->from ? &j->from : NULL, &j->dest, e) < 0)
		return -1;
	return check_filter(j, e);
}

// --- images that want the same name ---

// REF at its source: 1 there, 0 not, -1.
static int look(const struct job *j, const struct reference *ref, struct digest *ret, struct err *e)
{
	struct repo *repo = places_repo(j->places, ref, false, e);
	auto_free char *name = reference_print(ref);
	struct manifest_stat st;

	if (!repo)
		return err_wrap(e, "unable to open %s", name);
	if (repo->ops->manifest_stat(repo, ref->has_digest ? ref->digest.text : ref->tag, &st, e) <
	    0)
		return e->kind == ERR_NOT_FOUND ? 0 : err_wrap(e, "unable to look at %s", name);
	*ret = st.digest;
	return 1;
}

static int refuse_rival(const struct job *j, const struct samples_image *im,
			const struct reference *rival, struct err *e)
{
	auto_free char *a = reference_print(&im->src), *b = reference_print(rival);
	auto_free char *dst = reference_print(&im->dst), *tag = samples_tag_of(&j->plan, im);

	err_set(e, ERR_INPUT,
		"%s and %s are different images, and the operator looks for both at %s", a, b, dst);
	return err_hint(e,
			"hint: --exclude the image streams of one of them; the other is that of %s",
			tag);
}

// The same image under two names may have one; of a name that is not there the other counts.
static int settle_rivals(const struct job *j, struct samples_image *im, struct err *e)
{
	struct digest digest, other;
	int there = im->nrivals > 0 ? look(j, &im->src, &digest, e) : 0;

	for (size_t i = 0; there >= 0 && i < im->nrivals; i++) {
		int r = look(j, &im->rivals[i], &other, e);

		if (r < 0)
			return -1;
		if (r > 0 && there > 0 && !digest_equal(&digest, &other))
			return refuse_rival(j, im, &im->rivals[i], e);
		if (r > 0 && there == 0) {
			struct reference absent = im->src;

			im->src = im->rivals[i];
			im->rivals[i] = absent;
			digest = other;
			there = 1;
		}
	}
	return there < 0 ? -1 : 0;
}

// What is at its place already needs no mapping; whether it is, the mirror says.
static int settle(struct job *j, struct err *e)
{
	for (size_t i = 0; i < j->plan.nimages; i++) {
		struct samples_image *im = &j->plan.images[i];
		struct digest digest;

		if (settle_rivals(j, im, e) < 0)
			return -1;
		if (!samples_image_stays(im))
			continue;
		int r = is_dry_run(j) ? 1 : look(j, &im->src, &digest, e);

		if (r < 0)
			return -1;
		im->state = r > 0 ? SAMPLES_THERE : SAMPLES_MISSING;
	}
	return 0;
}

static void add_mappings(struct job *j)
{
	j->image_of = xcalloc(j->plan.nimages + 1, sizeof(*j->image_of));
	for (size_t i = 0; i < j->plan.nimages; i++) {
		const struct samples_image *im = &j->plan.images[i];

		if (samples_image_stays(im))
			continue;
		j->image_of[j->mappings.n] = i;
		mappings_add(&j->mappings, &im->src, &im->dst, NULL);
	}
}

// --- files ---

static int write_file(const struct job *j, const char *name, const struct buf *text, struct err *e)
{
	auto_free char *path = path_join(j->req->manifests_dir, name);

	if (fs_mkdirs(j->req->manifests_dir, 0755, e) < 0)
		return -1;
	return fs_write_file(path, buf_str(text), 0644, e);
}

static int write_mapping(const struct job *j, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	samples_plan_print(&text, &j->plan);
	if (write_file(j, "mapping.txt", &text, e) < 0)
		return -1;
	say(&j->req->say, "info: Wrote %s/mapping.txt", j->req->manifests_dir);
	return 0;
}

static int write_config(const struct job *j, struct err *e)
{
	auto_buf struct buf config = BUF_INIT(BUF_TEXT_MAX), patch = BUF_INIT(BUF_TEXT_MAX);

	samples_config_print(&config, j->dest.text, &j->to->skipped);
	samples_patch_print(&patch, j->dest.text, &j->to->skipped);
	if (write_file(j, "config.yaml", &config, e) < 0 ||
	    write_file(j, "patch.json", &patch, e) < 0)
		return -1;
	say(&j->req->say, "info: Wrote config.yaml and patch.json in %s", j->req->manifests_dir);
	samples_guide_cluster(&j->to->text, j->dest.text, j->req->manifests_dir);
	return 0;
}

// An earlier run may have brought what this one leaves out.
static bool brought_before(const struct job *j, const char *stream)
{
	return strcmp(j->before.version, j->map.version) == 0 &&
	       config_map_has(&j->before, stream) && !config_map_excludes(&j->before, stream);
}

static void note_excluded(struct job *j)
{
	strlist_release(&j->map.excluded);
	for (size_t i = 0; i < j->plan.nstreams; i++) {
		const struct samples_stream *s = &j->plan.streams[i];

		if (!s->chosen && !brought_before(j, s->name))
			strlist_add(&j->map.excluded, s->name);
	}
}

// The whole map, whatever was chosen: the far side has to skip what it does not have.
static int write_media(struct job *j, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
	auto_free char *path = media_path(j->req->dir, &j->dest);
	auto_free char *dir = xstrndup(path, strlen(path) - strlen("/" MEDIA_FILE));

	note_excluded(j);
	config_map_print(&text, &j->map);
	if (fs_mkdirs(dir, 0755, e) < 0 || fs_write_file(path, buf_str(&text), 0644, e) < 0)
		return -1;
	say(&j->req->say, "info: Wrote %s", path);
	samples_guide_media(&j->to->text, j->req->self, j->req->dir, j->dest.text);
	return 0;
}

// --- what came of it ---

static enum samples_state state_of(enum mirror_outcome outcome)
{
	switch (outcome) {
	case MIRROR_DONE:
		return SAMPLES_THERE;
	case MIRROR_PARTLY:
		return SAMPLES_PARTLY;
	case MIRROR_UNTRIED:
		return SAMPLES_UNKNOWN;
	case MIRROR_MISSING:
		return SAMPLES_MISSING;
	default:
		return SAMPLES_FAILED;
	}
}

// What is missing is told by image stream; by image it was when it was found.
static void note_states(struct job *j)
{
	strlist_release(&j->to->mirror.missing);
	strlist_release(&j->to->mirror.undone);
	for (size_t i = 0; i < j->to->mirror.nitems; i++)
		j->plan.images[j->image_of[i]].state = state_of(j->to->mirror.items[i].outcome);
}

// What of a run is not there.
struct gaps {
	size_t tags, streams, chosen_tags, chosen_streams;
	bool unwanted; // something that should not be missing is
};

static void print_stream(struct buf *ret, const struct job *j, const struct samples_stream *s)
{
	const char *before = "";

	buf_printf(ret, "  %s: ", s->name);
	for (size_t i = s->first; i < s->first + s->n; i++) {
		enum samples_state state = j->plan.images[j->plan.image_of[i]].state;

		if (state == SAMPLES_THERE)
			continue;
		buf_printf(ret, "%s%s%s", before, j->map.v[i].tag,
			   state == SAMPLES_PARTLY ? " (not all platforms)" : "");
		before = ", ";
	}
	buf_putc(ret, '\n');
}

static struct gaps find_gaps(const struct job *j)
{
	struct gaps ret = {0};

	for (size_t i = 0; i < j->plan.nstreams; i++) {
		const struct samples_stream *s = &j->plan.streams[i];
		size_t there = samples_stream_count(&j->plan, s, SAMPLES_THERE);
		size_t failed = samples_stream_count(&j->plan, s, SAMPLES_FAILED) +
				samples_stream_count(&j->plan, s, SAMPLES_UNKNOWN);

		if (!s->chosen)
			continue;
		ret.chosen_streams++;
		ret.chosen_tags += s->n;
		ret.streams += there < s->n;
		ret.tags += s->n - there;
		ret.unwanted |= failed > 0 || (there < s->n && !j->req->skip_missing);
	}
	return ret;
}

static const char *there_is(const struct job *j)
{
	return j->dest.media ? "on the media" : "in the mirror";
}

static void print_gaps(struct buf *ret, const struct job *j, const struct gaps *gaps)
{
	if (gaps->tags == 0)
		return;
	buf_printf(ret, "warning: not %s: %zu of %zu tags, in %zu of %zu image streams:\n",
		   there_is(j), gaps->tags, gaps->chosen_tags, gaps->streams, gaps->chosen_streams);
	for (size_t i = 0; i < j->plan.nstreams; i++) {
		const struct samples_stream *s = &j->plan.streams[i];

		if (s->chosen && samples_stream_count(&j->plan, s, SAMPLES_THERE) < s->n)
			print_stream(ret, j, s);
	}
}

static int nothing_there(const struct job *j, struct err *e)
{
	const struct mirror_result *r = &j->to->mirror;

	for (size_t i = 0; i < r->nitems; i++)
		if (r->items[i].outcome == MIRROR_FAILED && r->items[i].why)
			return err_set(e, r->items[i].kind,
				       "none of the %zu images was mirrored: %s", j->plan.nimages,
				       r->items[i].why);
	return err_set(e, ERR_NOT_FOUND, "the source has none of the %zu images", j->plan.nimages);
}

static int finish(struct job *j, struct err *e)
{
	struct gaps gaps = find_gaps(j);

	if (gaps.tags == gaps.chosen_tags)
		return nothing_there(j, e);
	print_gaps(&j->to->text, j, &gaps);
	samples_plan_skipped(&j->to->skipped, &j->plan, j->req->lenient);
	if ((j->dest.media ? write_media(j, e) : write_config(j, e)) < 0)
		return -1;
	if (gaps.unwanted)
		return err_set(e, ERR_INCOMPLETE, "%zu of %zu image stream tags are not %s",
			       gaps.tags, gaps.chosen_tags, there_is(j));
	return 0;
}

// Missing images are expected: they end up in the skip list.
static int copy(struct job *j, struct err *e)
{
	struct mirror_options opt = j->req->mirror;

	opt.keep_manifest_list = !opt.filter_by_os;
	opt.skip_missing = true;
	say(&j->req->say, "info: Mirroring %zu images to %s ...", j->mappings.n, j->req->to);
	if (j->mappings.n == 0)
		return 0;
	int r = mirror_run(j->places, &j->mappings, &opt, j->req->visit, &j->to->mirror, e);

	note_states(j);
	return r;
}

static int run(struct job *j, struct err *e)
{
	struct err why;

	if (check(j->req, &j->from, &j->dest, e) < 0 || read_maps(j, e) < 0 ||
	    make_plan(j, e) < 0 || settle(j, e) < 0)
		return -1;
	add_mappings(j);
	if (write_mapping(j, e) < 0)
		return -1;
	int r = copy(j, e);

	if (is_dry_run(j) || (r < 0 && e->kind != ERR_INCOMPLETE))
		return r;
	if (finish(j, &why) < 0) { // says more than the engine can
		*e = why;
		return -1;
	}
	return r;
}

int samples_mirror(struct places *places, const struct samples_mirror_request *req,
		   struct samples_mirror_result *ret, struct err *e)
{
	struct job j = {.places = places, .req = req, .to = ret, .before.version = ""};

	*ret = (struct samples_mirror_result){.text = BUF_INIT(BUF_TEXT_MAX)};
	int r = run(&j, e);

	job_release(&j);
	return r;
}
