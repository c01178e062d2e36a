// SPDX-License-Identifier: Apache-2.0
// adm samples mirror: the images of the Cluster Samples Operator, to a registry or to media.
#include "cmd/outcome.h"
#include "cmd/plan_view.h"
#include "samples/mirror.h"
#include "util/clock.h"
#include "util/mem.h"

struct options {
	struct folder_options folders;
	struct security_options security;
	struct filter_options filter;
	struct parallel_options parallel;
	struct layout_options layout;
	struct lookup_options lookup;
	const char *file, *to_manifests;
	struct strlist include, exclude;
	bool lenient, skip_missing, dry_run, continue_on_error;
};

#define AT(member) offsetof(struct options, member)
static const struct flag flags[] = {
	{FLAG_STRING, 'f', "filename", AT(file), "FILE",
	 "the config map imagestreamtag-to-image, YAML or JSON, '-' for standard input (default: the one of the media)",
	 0, 0},
	{FLAG_LIST, 0, "include", AT(include), "GLOB",
	 "mirror these image streams only; may be repeated", 0, 0},
	{FLAG_LIST, 0, "exclude", AT(exclude), "GLOB",
	 "leave out these image streams; may be repeated", 0, 0},
	{FLAG_BOOL, 0, "lenient", AT(lenient), NULL,
	 "have the cluster skip only image streams of which no tag is in the mirror, instead of each that lacks one",
	 0, 0},
	{FLAG_STRING, 0, "to-manifests", AT(to_manifests), "DIR",
	 "folder for mapping.txt, config.yaml and patch.json (default: manifests-samples-<unix seconds>)",
	 0, 0},
	{FLAG_BOOL, 0, "dry-run", AT(dry_run), NULL,
	 "show what would be copied, and write mapping.txt; destinations are not contacted", 0, 0},
	{FLAG_BOOL, 0, "skip-missing", AT(skip_missing), NULL,
	 "images that the source does not have are no reason to exit with 3", 0, 0},
	{FLAG_BOOL, 0, "continue-on-error", AT(continue_on_error), NULL,
	 "copy what can be copied after a failure", 0, 0},
	{0},
};

static const struct flag_group groups[] = {
	{flags, 0},
	{folder_flags, AT(folders)},
	{security_flags, AT(security)},
	{filter_flags, AT(filter)},
	{lookup_flags, AT(lookup)},
	{parallel_flags, AT(parallel)},
	{layout_flags, AT(layout)},
	{0},
};
#undef AT

static const char *or_else(const char *value, const char *fallback)
{
	return given(value) ? value : fallback;
}

static struct samples_mirror_request request(const struct options *o, const struct cmd_io *io,
					     int argc, char **argv, const char *manifests)
{
	const char *dir = or_else(o->folders.dir, ".");

	return (struct samples_mirror_request){
		.from = argc > 1 ? argv[0] : NULL,
		.to = argv[argc - 1],
		.file = o->file,
		.stdin_fd = io->in,
		.from_dir = or_else(o->folders.from_dir, dir),
		.dir = dir,
		.include = &o->include,
		.exclude = &o->exclude,
		.lenient = o->lenient,
		.skip_missing = o->skip_missing,
		.manifests_dir = manifests,
		.self = io->self,
		.mirror =
			{
				.filter_by_os = o->filter.filter_by_os,
				.check_space = true,
				.transfer =
					{
						.cancel = io->cancel,
						.max_registries = 4,
						.continue_on_error = o->continue_on_error,
						.dry_run = o->dry_run,
					},
			},
	};
}

static int mirror(struct setup *s, struct samples_mirror_request *req, struct err *e)
{
	auto_of(plan_view_free) struct plan_view *plan = plan_view_new();
	auto_samples_mirror_result struct samples_mirror_result result = {0};
	struct transfer_plan_visitor visitor = plan_view_visitor(plan);
	bool dry_run = req->mirror.transfer.dry_run;
	uint64_t start = clock_us();

	req->mirror.transfer.pool = s->pool;
	req->mirror.transfer.sink = progress_sink(s->progress);
	req->visit = dry_run ? &visitor : NULL;
	req->say = progress_say(s->progress);
	int failed = samples_mirror(s->places, req, &result, e);

	if (dry_run)
		outcome_dry_run(s, plan, failed, clock_us() - start);
	else
		outcome_print(s, &result.mirror, failed ? e : NULL, clock_us() - start);
	progress_text(s->progress, buf_str(&result.text));
	return failed;
}

static int run(const struct cmd_io *io, void *options, int argc, char **argv, struct err *e)
{
	struct options *o = options;
	auto_setup struct setup s = {0};
	auto_free char *manifests = xasprintf("manifests-samples-%lld", (long long)io->now);
	struct setup_config cfg = {
		.security = &o->security,
		.parallel = &o->parallel,
		.lookup = &o->lookup,
		.dir = o->folders.dir,
		.from_dir = o->folders.from_dir,
	};

	if (argc < 1 || argc > 2)
		return err_set(e, ERR_USAGE,
			       "one destination is needed, REGISTRY[/PATH] or file://REPOSITORY, "
			       "and in front of it media to read from");
	struct samples_mirror_request req =
		request(o, io, argc, argv, or_else(o->to_manifests, manifests));

	if (lookup_check(&o->lookup, io, e) < 0 || layout_parse(&o->layout, &cfg.layout, e) < 0 ||
	    samples_mirror_check(&req, e) < 0 || setup_init(&s, io, &cfg, e) < 0)
		return -1;
	if (!req.from)
		setup_note_image(&s, "registry.redhat.io/ubi9:latest"); // as all samples, by tag
	return mirror(&s, &req, e);
}

const struct cmd cmd_adm_samples_mirror = {
	.name = "mirror",
	.synopsis = "[SRC] DST",
	.summary = "Mirror the images of the Cluster Samples Operator",
	.details =
		"Reads the operator's config map imagestreamtag-to-image, which names the image of every tag of the sample image streams, and copies the images to where the operator looks for them: PATH and tag stay, the registry in front becomes DST, REGISTRY[/PATH]. Lists are kept whole unless --filter-by-os says otherwise.\n"
		"\n"
		"With DST file://REPOSITORY the images go to media, below that repository, and the config map with them (folder config): on the other side SRC names the same and nothing else is needed. Media that are served in place can be the mirror themselves, with samplesRegistry HOST/REPOSITORY.\n"
		"\n"
		"Written are mapping.txt (what goes where, as 'image mirror -f' takes it), config.yaml (the operator's Config) and patch.json (a merge patch for the Config that a cluster has). Both name the mirror and skip the image streams that were excluded or lack a tag there: an image stream that is not skipped and cannot be imported raises alerts. What to do on the cluster, in order, is said at the end.\n"
		"\n"
		"Two image streams may name different images that would have one name in the mirror: that is an error before anything is copied.\n"
		"\n"
		"Exit status: 0 complete, 3 when something is missing, which is listed, 1 when nothing was mirrored.",
	.examples =
		"# the config map, from a cluster of the same version and architecture\n"
		"-f <(oc get configmap imagestreamtag-to-image -n openshift-cluster-samples-operator -o yaml) registry.local:5000/samples\n"
		"# without the image streams of Fuse, to media, and from there to a registry\n"
		"-f imagestreamtag-to-image.yaml --exclude='fuse*' --dir=media file://samples\n"
		"--from-dir=media file://samples registry.local:5000/samples\n"
		"# how much would that be?\n"
		"-f imagestreamtag-to-image.yaml --dry-run registry.local:5000/samples",
	.groups = groups,
	.options_size = sizeof(struct options),
	.run = run,
};
