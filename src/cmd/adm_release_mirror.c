// SPDX-License-Identifier: Apache-2.0
// adm release mirror: a release with everything it names, to a registry or to media.
#include "cmd/outcome.h"
#include "cmd/plan_view.h"
#include "release/mirror.h"
#include "util/clock.h"

struct options {
	struct security_options security;
	struct parallel_options parallel;
	struct layout_options layout;
	struct attached_options attached;
	const char *from, *from_dir, *to, *to_dir, *to_release_image, *to_image_stream;
	const char *print_instructions, *signature_dir;
	struct strlist keyrings, signature_stores;
	bool require_signature, skip_release_image, to_mirror, dry_run, keep_manifest_list,
		apply_signature, overwrite;
};

#define AT(member) offsetof(struct options, member)
static const struct flag flags[] = {
	{FLAG_STRING, 0, "from", AT(from), "IMAGE",
	 "the release image, by tag or digest; or give it as argument", 0, 0},
	{FLAG_STRING, 0, "from-dir", AT(from_dir), "DIR", "folder of a file:// release image", 0,
	 0},
	{FLAG_STRING, 0, "to", AT(to), "REPOSITORY",
	 "repository that all images go to; may hold ${component} and ${version} in its tag", 0, 0},
	{FLAG_STRING, 0, "to-dir", AT(to_dir), "DIR",
	 "folder of file:// destinations; alone: --to file://openshift/release", 0, 0},
	{FLAG_STRING, 0, "to-release-image", AT(to_release_image), "IMAGE",
	 "where the release image goes, instead of TO:VERSION-ARCH", 0, 0},
	{FLAG_BOOL, 0, "skip-release-image", AT(skip_release_image), NULL,
	 "mirror the components only", 0, 0},
	{FLAG_STRING, 0, "to-image-stream", AT(to_image_stream), "NAME", "needs a cluster",
	 FLAG_HIDDEN, 0},
	{FLAG_BOOL, 0, "to-mirror", AT(to_mirror), NULL,
	 "print SRC DST lines for 'image mirror -f' and copy nothing", 0, 0},
	{FLAG_BOOL, 0, "dry-run", AT(dry_run), NULL,
	 "show what would be copied; destinations are not contacted", 0, 0},
	{FLAG_BOOL, 0, "keep-manifest-list", AT(keep_manifest_list), NULL,
	 "mirror a multi-architecture release whole", 0, 0},
	{FLAG_STRING, 0, "print-mirror-instructions", AT(print_instructions), "icsp|idms|none",
	 "what to print for clusters to find the mirror (default: icsp)", 0, 0},
	{FLAG_STRING, 0, "release-image-signature-to-dir", AT(signature_dir), "DIR",
	 "folder for the config map with the signature (default: TO_DIR/config)", 0, 0},
	{FLAG_BOOL, 0, "require-signature", AT(require_signature), NULL,
	 "refuse a release that cannot be verified", 0, 0},
	{FLAG_LIST, 0, "keyring", AT(keyrings), "FILE",
	 "public keys to verify with, instead of those the release names", 0, 0},
	{FLAG_LIST, 0, "signature-store", AT(signature_stores), "URL|DIR",
	 "where signatures are looked for, instead of where the release says", 0, 0},
	{FLAG_BOOL, 0, "apply-release-image-signature", AT(apply_signature), NULL,
	 "needs a cluster", FLAG_HIDDEN, 0},
	{FLAG_BOOL, 0, "overwrite", AT(overwrite), NULL, "needs a cluster", FLAG_HIDDEN, 0},
	{0},
};

static const struct flag_group groups[] = {
	{flags, 0},
	{security_flags, AT(security)},
	{parallel_flags, AT(parallel)},
	{layout_flags, AT(layout)},
	{attached_flags, AT(attached)},
	{0},
};
#undef AT

// The release image, from the argument or the flag.
static int find_image(struct options *o, int argc, char **argv, struct err *e)
{
	if (argc == 0 && !given(o->from))
		return err_set(e, ERR_USAGE, "must specify a release image with --from");
	if (argc == 1 && given(o->from))
		return err_set(e, ERR_USAGE, "you may not specify an argument and --from");
	if (argc > 1)
		return err_set(e, ERR_USAGE, "only one argument is accepted");
	if (argc == 1)
		o->from = argv[0];
	return 0;
}

static int find_kind(const struct options *o, const struct cmd_io *io, enum instructions_kind *ret,
		     struct err *e)
{
	*ret = INSTRUCTIONS_ICSP;
	if (given(o->print_instructions) &&
	    instructions_kind_parse(ret, o->print_instructions, e) < 0)
		return -1;
	if (*ret == INSTRUCTIONS_ICSP)
		fputs("Flag --print-mirror-instructions's value 'icsp' has been deprecated. Use 'idms' instead to allow the printing of instructions for ImageDigestSources and ImageDigestMirrorSet.\n",
		      io->err);
	return 0;
}

// What needs a cluster.
static int check_cluster(const struct options *o, struct err *e)
{
	if (given(o->to) && given(o->to_image_stream))
		return err_set(e, ERR_USAGE,
			       "must specify an image repository or image stream to mirror the "
			       "release to");
	if (!given(o->to_image_stream))
		return 0;
	err_set(e, ERR_UNSUPPORTED, "--to-image-stream needs a cluster, and ferry talks to none");
	return err_hint(e,
			"hint: mirror to a registry with --to, then run 'oc tag --source=docker "
			"REPOSITORY:TAG %s:NAME' against the cluster for each image",
			o->to_image_stream);
}

static int check_signature(const struct options *o, struct err *e)
{
	if (o->overwrite && !o->apply_signature) // the reference's spelling
		return err_set(e, ERR_USAGE,
			       "--overwite is only valid when "
			       "--apply-release-image-signature is specified");
	if (o->apply_signature) {
		err_set(e, ERR_UNSUPPORTED,
			"--apply-release-image-signature needs a cluster, and ferry talks to none");
		return err_hint(e,
				"hint: run 'oc apply -f' with the release's signature config map "
				"against the cluster");
	}
	return 0;
}

static struct release_mirror_request request(const struct options *o, const struct cmd_io *io)
{
	return (struct release_mirror_request){
		.from = o->from,
		.to = o->to,
		.to_dir = o->to_dir,
		.from_dir = o->from_dir,
		.to_release_image = o->to_release_image,
		.skip_release_image = o->skip_release_image,
		.to_mirror = o->to_mirror,
		.keep_manifest_list = o->keep_manifest_list,
		.now = io->now,
		.keyrings = &o->keyrings,
		.signature_stores = &o->signature_stores,
		.require_signature = o->require_signature,
		.signature_dir = o->signature_dir,
		.self = io->self,
		.mirror =
			{
				.check_space = true,
				.transfer =
					{
						.cancel = io->cancel,
						.max_registries = 4,
						.dry_run = o->dry_run,
					},
			},
	};
}

// Everything that needs no network, in the order of the reference.
static int check(struct options *o, const struct cmd_io *io, int argc, char **argv,
		 struct release_mirror_request *ret, struct err *e)
{
	enum instructions_kind kind;

	if (find_image(o, argc, argv, e) < 0 || find_kind(o, io, &kind, e) < 0 ||
	    check_cluster(o, e) < 0)
		return -1;
	*ret = request(o, io);
	ret->instructions = kind;
	if (attached_choice(&o->attached, &ret->mirror.attached, e) < 0)
		return -1;
	if (release_mirror_check(ret, e) < 0)
		return -1;
	return check_signature(o, e);
}

static int mirror(struct setup *s, struct release_mirror_request *req, struct err *e)
{
	auto_of(plan_view_free) struct plan_view *plan = plan_view_new();
	auto_release_mirror_result struct release_mirror_result result = {0};
	struct transfer_plan_visitor visitor = plan_view_visitor(plan);
	bool dry_run = req->mirror.transfer.dry_run && !req->to_mirror;
	uint64_t start = clock_us();

	req->mirror.transfer.pool = s->pool;
	req->mirror.transfer.sink = progress_sink(s->progress);
	req->net = s->net;
	req->visit = dry_run ? &visitor : NULL;
	req->say = progress_say(s->progress);
	int failed = release_mirror(s->places, req, &result, e);

	if (dry_run)
		outcome_dry_run(s, plan, failed && result.text.n == 0, clock_us() - start);
	else if (!req->to_mirror)
		outcome_print(s, &result.mirror, failed ? e : NULL, clock_us() - start);
	fwrite(result.text.p, 1, result.text.n, s->io->out);
	return failed;
}

static int run(const struct cmd_io *io, void *options, int argc, char **argv, struct err *e)
{
	struct options *o = options;
	auto_setup struct setup s = {0};
	struct release_mirror_request req;
	struct setup_config cfg = {
		.security = &o->security,
		.parallel = &o->parallel,
		.dir = o->to_dir,
		.from_dir = o->from_dir,
	};

	if (layout_parse(&o->layout, &cfg.layout, e) < 0 || check(o, io, argc, argv, &req, e) < 0 ||
	    setup_init(&s, io, &cfg, e) < 0)
		return -1;
	return mirror(&s, &req, e);
}

const struct cmd cmd_adm_release_mirror = {
	.name = "mirror",
	.synopsis = "[IMAGE]",
	.summary = "Mirror a release to a registry or to media",
	.details =
		"Copies a release image and every image that it names. To a registry, what an installation needs to find the mirror is printed at the end. To media (--to-dir) the command that uploads them is printed.\n"
		"\n"
		"Components go to TO:VERSION-ARCH-COMPONENT, the release image to TO:VERSION-ARCH.\n"
		"\n"
		"The release image is verified with the keys and signature stores that it names itself, which finds damage and mistakes; --keyring names the keys that you trust. A release that cannot be verified is mirrored with a warning, or not at all with --require-signature. Media keep the signature in their folder config, where it is looked for when they are mirrored from.\n"
		"\n"
		"The sigstore signature of the release image (its tag sha256-HEX.sig, and its OCI referrers) is mirrored with it, also to and from media: clusters of 4.21 and later ask for it.",
	.examples =
		"# directly to a registry\n"
		"quay.io/openshift-release-dev/ocp-release:4.18.7-x86_64 --to=registry.local/ocp4/openshift4\n"
		"# to a folder that can be carried over\n"
		"quay.io/openshift-release-dev/ocp-release:4.18.7-x86_64 --to-dir=mirror\n"
		"# only if it is signed by these keys\n"
		"quay.io/openshift-release-dev/ocp-release:4.18.7-x86_64 --to-dir=mirror --keyring=redhat.asc --require-signature\n"
		"# how much would that be?\n"
		"quay.io/openshift-release-dev/ocp-release:4.18.7-x86_64 --to-dir=mirror --dry-run",
	.groups = groups,
	.options_size = sizeof(struct options),
	.run = run,
};
