// SPDX-License-Identifier: Apache-2.0
// image info: what manifest and configuration say of images.
#include <string.h>

#include "cmd/setup.h"
#include "release/image_info.h"

// More than what is read of the images of a list can be, whatever has to be escaped in it.
#define OUTPUT_MAX ((size_t)8 << 30)

struct options {
	struct security_options security;
	struct filter_options filter;
	struct lookup_options lookup;
	const char *output, *dir;
	bool show_multiarch;
};

#define AT(member) offsetof(struct options, member)
static const struct flag flags[] = {
	{FLAG_STRING, 'o', "output", AT(output), "json", "print the image as JSON", 0, 0},
	{FLAG_STRING, 0, "dir", AT(dir), "DIR", "folder of file:// images", 0, 0},
	{FLAG_BOOL, 0, "show-multiarch", AT(show_multiarch), NULL,
	 "show every image of a manifest list", 0, 0},
	{0},
};

static const struct flag_group groups[] = {
	{flags, 0},
	{security_flags, AT(security)},
	{filter_flags, AT(filter)},
	{lookup_flags, AT(lookup)},
	{0},
};
#undef AT

// The command as it goes through its arguments.
struct run {
	struct setup *s;
	struct image_info_options info;
	bool json;
};

static int write_text(struct run *r, const struct image_infos *images, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(OUTPUT_MAX), clean = BUF_INIT(OUTPUT_MAX);

	(void)e;
	for (size_t i = 0; i < images->n; i++)
		image_info_print(&text, &images->v[i], r->s->io->now);
	text_clean(&clean, buf_str(&text));
	fwrite(clean.p, 1, clean.n, r->s->io->out);
	return 0;
}

// An object, or an array for the images of a list. No newline follows.
static int write_json(struct run *r, const struct image_infos *images, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(OUTPUT_MAX);
	struct json_out j = {.out = &text, .indent = 2};

	if (images->n != 1)
		json_out_begin(&j, '[');
	for (size_t i = 0; i < images->n; i++)
		if (image_info_json(&j, &images->v[i], e) < 0)
			return err_wrap(e, "%s", images->v[i].name);
	if (images->n != 1)
		json_out_end(&j, ']');
	fwrite(text.p, 1, text.n, r->s->io->out);
	return 0;
}

static int show(struct run *r, struct repo *repo, const struct reference *ref, struct err *e)
{
	auto_image_infos struct image_infos images = {0};

	if (image_infos_read(&images, repo, ref, &r->info, e) < 0)
		return -1;
	return r->json ? write_json(r, &images, e) : write_text(r, &images, e);
}

// Every tag of REF's repository that its own one matches, all when it has none.
static int show_tags(struct run *r, struct repo *repo, const struct reference *ref, struct err *e)
{
	auto_strlist struct strlist tags = {0};
	auto_free char *name = reference_print_repository(ref);
	size_t found = 0;

	if (repo->ops->tags(repo, &tags, e) < 0)
		return err_wrap(e, "unable to list the tags of %s", name);
	for (size_t i = 0; i < tags.n; i++) {
		struct reference one = *ref;

		if (*ref->tag && !tag_matches(ref->tag, tags.v[i]))
			continue;
		one.tag = tags.v[i];
		found++;
		if (show(r, repo, &one, e) < 0)
			return -1;
	}
	if (found == 0 && *ref->tag == '\0')
		return err_set(e, ERR_NOT_FOUND, "%s has no tags", name);
	if (found == 0)
		return err_set(e, ERR_NOT_FOUND, "no tag of %s matches %s", name, ref->tag);
	return 0;
}

static int show_argument(struct run *r, const char *text, struct err *e)
{
	auto_reference struct reference ref = {0};

	if (reference_parse(&ref, text, REF_WILDCARD, e) < 0)
		return -1;
	setup_note_image(r->s, text);
	struct repo *repo = places_repo(r->s->places, &ref, false, e);

	if (!repo)
		return -1;
	if (!ref.has_digest && (*ref.tag == '\0' || strchr(ref.tag, '*')))
		return show_tags(r, repo, &ref, e);
	return show(r, repo, &ref, e);
}

static int run(const struct cmd_io *io, void *options, int argc, char **argv, struct err *e)
{
	struct options *o = options;
	auto_setup struct setup s = {0};
	auto_of(platform_filter_free) struct platform_filter *filter = NULL;
	struct setup_config cfg = {
		.security = &o->security, .lookup = &o->lookup, .dir = o->dir, .from_dir = o->dir};
	struct run r = {.s = &s, .json = o->output && *o->output};

	if (argc == 0)
		return err_set(e, ERR_USAGE,
			       "info expects at least one argument, an image pull spec");
	if (r.json && strcmp(o->output, "json") != 0)
		return err_set(e, ERR_USAGE, "unrecognized --output, only 'json' is supported");
	if (platform_filter_new(&filter, o->filter.filter_by_os, e) < 0 ||
	    setup_init(&s, io, &cfg, e) < 0)
		return -1;
	r.info = (struct image_info_options){.filter = filter, .several = o->show_multiarch};
	for (int i = 0; i < argc; i++)
		if (show_argument(&r, argv[i], e) < 0)
			return -1;
	return 0;
}

const struct cmd cmd_image_info = {
	.name = "info",
	.synopsis = "IMAGE [...]",
	.summary = "Show information about images",
	.details =
		"Shows what manifest and configuration say of an image in a registry or a folder; layers are not read. A tag may hold '*', and a repository without a tag stands for all of them.\n"
		"\n"
		"Of a manifest list one image is shown, chosen by --filter-by-os, or all with --show-multiarch.",
	.examples = "# an image in a registry\n"
		    "quay.io/openshift/cli:latest\n"
		    "# an image of a folder, for scripts\n"
		    "--dir=mirror file://openshift/release:4.18.7-x86_64-cli -o json\n"
		    "# one image of a list\n"
		    "quay.io/library/busybox:latest --filter-by-os=linux/arm64",
	.groups = groups,
	.options_size = sizeof(struct options),
	.run = run,
};
