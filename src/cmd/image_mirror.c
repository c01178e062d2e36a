// SPDX-License-Identifier: Apache-2.0
// image mirror: images from registries and folders to registries and folders.
#include "cmd/outcome.h"
#include "mirror/instructions.h"
#include "util/clock.h"
#include "util/fs.h"

struct options {
	struct folder_options folders;
	struct security_options security;
	struct filter_options filter;
	struct parallel_options parallel;
	struct layout_options layout;
	struct attached_options attached;
	const char *mirror_instructions, *print_instructions;
	struct strlist files, s3_source_buckets;
	int max_registry;
	bool dry_run, continue_on_error, skip_missing, skip_mount, skip_multiple_scopes, force,
		keep_manifest_list;
};

#define AT(member) offsetof(struct options, member)
static const struct flag flags[] = {
	{FLAG_LIST, 'f', "filename", AT(files), "FILE",
	 "files of SRC=DST or SRC DST lines, '-' for standard input; may be repeated", 0, 0},
	{FLAG_BOOL, 0, "dry-run", AT(dry_run), NULL,
	 "show what would be copied; destinations are not contacted", 0, 0},
	{FLAG_BOOL, 0, "continue-on-error", AT(continue_on_error), NULL,
	 "copy what can be copied after a failure", 0, 0},
	{FLAG_BOOL, 0, "skip-missing", AT(skip_missing), NULL,
	 "leave out images that the source does not have", 0, 0},
	{FLAG_BOOL, 0, "skip-mount", AT(skip_mount), NULL,
	 "never take a blob over from another repository of the destination registry", 0, 0},
	{FLAG_BOOL, 0, "skip-multiple-scopes", AT(skip_multiple_scopes), NULL,
	 "ask for tokens for one repository at a time", 0, 0},
	{FLAG_BOOL, 0, "force", AT(force), NULL, "send everything, also what is there already", 0,
	 0},
	{FLAG_BOOL, 0, "keep-manifest-list", AT(keep_manifest_list), NULL,
	 "keep manifest lists whole, with all platforms unless --filter-by-os is given", 0, 0},
	{FLAG_INT, 0, "max-registry", AT(max_registry), "N", "source registries at a time", 0, 0},
	{FLAG_LIST, 0, "s3-source-bucket", AT(s3_source_buckets), "BUCKET/PATH",
	 "not supported yet", FLAG_HIDDEN, 0},
	{FLAG_STRING, 0, "mirror-instructions", AT(mirror_instructions), "FILE",
	 "after an upload from media: write what clusters need to find the images there, instead of showing it",
	 0, 0},
	{FLAG_STRING, 0, "print-mirror-instructions", AT(print_instructions), "icsp|idms|none",
	 "the kind of these instructions (default: icsp)", 0, 0},
	{0},
};

static const struct flag_group groups[] = {
	{flags, 0},
	{folder_flags, AT(folders)},
	{security_flags, AT(security)},
	{filter_flags, AT(filter)},
	{parallel_flags, AT(parallel)},
	{layout_flags, AT(layout)},
	{attached_flags, AT(attached)},
	{0},
};
#undef AT

static void defaults(void *options)
{
	((struct options *)options)->max_registry = 4;
}

// One call of the command.
struct request {
	struct options *o;
	struct mappings mappings;
	enum instructions_kind instructions;
	enum mirror_attached attached;
};

static int check(const struct options *o, struct setup_config *ret, struct request *req,
		 struct err *e)
{
	*ret = (struct setup_config){
		.security = &o->security,
		.parallel = &o->parallel,
		.skip_mount = o->skip_mount,
		.skip_multiple_scopes = o->skip_multiple_scopes,
		.dir = o->folders.dir,
		.from_dir = o->folders.from_dir,
	};
	if (o->s3_source_buckets.n > 0)
		return err_set(e, ERR_UNSUPPORTED, "--s3-source-bucket is not supported yet");
	if (o->print_instructions &&
	    instructions_kind_parse(&req->instructions, o->print_instructions, e) < 0)
		return -1;
	if (attached_choice(&o->attached, &req->attached, e) < 0)
		return -1;
	return layout_parse(&o->layout, &ret->layout, e);
}

static struct mirror_options mirror_options(const struct request *req, const struct setup *s)
{
	const struct options *o = req->o;

	return (struct mirror_options){
		.filter_by_os = o->filter.filter_by_os,
		.keep_manifest_list = o->keep_manifest_list,
		.skip_missing = o->skip_missing,
		.check_space = true,
		.attached = req->attached,
		.transfer =
			{
				.cancel = s->io->cancel,
				.pool = s->pool,
				.sink = progress_sink(s->progress),
				.max_registries = o->max_registry > 0 ? o->max_registry : 1,
				.force = o->force,
				.skip_mount = o->skip_mount,
				.continue_on_error = o->continue_on_error,
				.dry_run = o->dry_run,
			},
	};
}

static int dry_run(const struct request *req, struct setup *s, struct err *e)
{
	auto_of(plan_view_free) struct plan_view *plan = plan_view_new();
	auto_mirror_result struct mirror_result result = {0};
	struct transfer_plan_visitor visitor = plan_view_visitor(plan);
	struct mirror_options opt = mirror_options(req, s);
	uint64_t start = clock_us();
	int failed = mirror_run(s->places, &req->mappings, &opt, &visitor, &result, e);

	outcome_dry_run(s, plan, failed, clock_us() - start);
	return failed;
}

// What the cluster needs is on the media: shown here, nobody had to note it down.
static int give_instructions(const struct request *req, struct setup *s,
			     const struct mirror_result *result, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
	const char *file = req->o->mirror_instructions;

	mirror_instructions(&text, req->instructions, result);
	if (file && *file)
		return fs_write_file(file, buf_str(&text), 0644, e);
	progress_text(s->progress, buf_str(&text));
	return 0;
}

static int copy(const struct request *req, struct setup *s, struct err *e)
{
	auto_mirror_result struct mirror_result result = {0};
	struct mirror_options opt = mirror_options(req, s);
	uint64_t start = clock_us();
	int failed = mirror_run(s->places, &req->mappings, &opt, NULL, &result, e);

	outcome_print(s, &result, failed ? e : NULL, clock_us() - start);
	return failed ? -1 : give_instructions(req, s, &result, e);
}

static int run(const struct cmd_io *io, void *options, int argc, char **argv, struct err *e)
{
	auto_setup struct setup s = {0};
	struct setup_config cfg;
	struct request req = {.o = options};

	if (check(req.o, &cfg, &req, e) < 0 || setup_init(&s, io, &cfg, e) < 0)
		return -1;
	int failed = mappings_parse(&req.mappings, argv, (size_t)argc, req.o->files.v,
				    req.o->files.n, io->in, e);

	if (!failed)
		failed = req.o->dry_run ? dry_run(&req, &s, e) : copy(&req, &s, e);
	mappings_release(&req.mappings);
	return failed;
}

const struct cmd cmd_image_mirror = {
	.name = "mirror",
	.synopsis = "SRC DST [DST ...] | SRC=DST ... | -f FILE",
	.summary = "Mirror images from one repository to another",
	.details =
		"Copies images with everything that belongs to them, byte for byte, between registries and folders (file://REPOSITORY[:TAG] below --dir). What the destination has is not sent again, and every byte is verified.\n"
		"\n"
		"A source may be a tag, a digest, a tag with '*' for any run of characters, or a repository without a tag, which stands for all of its tags. A destination without a tag takes the tag of the source.\n"
		"\n"
		"Lists that are named by digest or come from a folder are kept whole; of a list that is named by tag the local platform is taken unless --filter-by-os or --keep-manifest-list say otherwise.\n"
		"\n"
		"--include-signatures takes along what is attached to each image: cosign's tags (sha256-HEX.sig, .att, .sbom) and OCI referrers. From media everything that they hold of these goes with its image.",
	.examples =
		"# copy one tag\n"
		"quay.io/org/app:v1 registry.local/org/app:v1\n"
		"# copy all tags that begin with v1 to a folder, and from there to a registry\n"
		"--dir=media 'quay.io/org/app:v1*' file://org/app\n"
		"--from-dir=media 'file://org/app:v1*' registry.local/org/app\n"
		"# upload a release that 'adm release mirror --to-dir' wrote\n"
		"--from-dir=mirror 'file://openshift/release:4.18.7*' registry.local/ocp4/openshift4\n"
		"# several images, one a line\n"
		"-f mapping.txt",
	.groups = groups,
	.options_size = sizeof(struct options),
	.defaults = defaults,
	.run = run,
};
