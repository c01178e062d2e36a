// SPDX-License-Identifier: Apache-2.0
// verify: is everything that makes up a release there, whole, and signed?
#include "release/verify.h"

#include <string.h>

#include "cmd/setup.h"
#include "data/gofmt.h"

// More than a release within its ceilings can make of it.
#define OUTPUT_MAX ((size_t)8 << 30)

struct options {
	struct security_options security;
	struct parallel_options parallel;
	const char *dir, *output;
	struct strlist keyrings, signature_stores;
	bool require_signature, deep;
};

#define AT(member) offsetof(struct options, member)
static const struct flag flags[] = {
	{FLAG_STRING, 0, "dir", AT(dir), "DIR",
	 "the folder to look at (default: the current one, unless a repository is named)", 0, 0},
	{FLAG_BOOL, 0, "deep", AT(deep), NULL,
	 "read every blob from the registry, rather than ask for it", 0, 0},
	{FLAG_BOOL, 0, "require-signature", AT(require_signature), NULL,
	 "a release without a signature is not complete", 0, 0},
	{FLAG_LIST, 0, "keyring", AT(keyrings), "FILE",
	 "public keys to verify with, instead of those the release names", 0, 0},
	{FLAG_LIST, 0, "signature-store", AT(signature_stores), "URL|DIR",
	 "where signatures are looked for, instead of where the release says", 0, 0},
	{FLAG_STRING, 'o', "output", AT(output), "json", "print the whole result as JSON", 0, 0},
	{0},
};

static const struct flag_group groups[] = {
	{flags, 0},
	{security_flags, AT(security)},
	{parallel_flags, AT(parallel)},
	{0},
};
#undef AT

static void on_bytes(void *arg, uint64_t n)
{
	progress_add(arg, n);
}

// Without --dir a first argument that has a '/' is the repository.
static bool names_repository(const struct options *o, int argc, char **argv)
{
	return !given(o->dir) && argc > 0 && strchr(argv[0], '/') &&
	       !starts_with(argv[0], "file://");
}

static void tell_signatures(struct setup *s, const struct verify_report *report)
{
	for (size_t i = 0; i < report->n; i++) {
		const struct verify_release *r = &report->releases[i];

		for (size_t k = 0; k < r->signatures.n; k++)
			progress_line(
				s->progress, "info: Verified %s: signed as %s by key %s at %s",
				r->signatures.digest.text, r->signatures.v[k].reference,
				r->signatures.v[k].key, gofmt_time(r->signatures.v[k].created).s);
		if (r->unsigned_why)
			progress_line(s->progress, "warning: %s is not verified: %s", r->name,
				      r->unsigned_why);
	}
}

static void print(struct setup *s, const struct options *o, const struct verify_report *report)
{
	auto_buf struct buf text = BUF_INIT(OUTPUT_MAX), clean = BUF_INIT(OUTPUT_MAX);
	struct json_out j = {.out = &text, .indent = 2};

	progress_settle(s->progress);
	tell_signatures(s, report);
	if (given(o->output)) {
		verify_json(&j, report);
		buf_putc(&text, '\n');
		fwrite(text.p, 1, text.n, s->io->out);
		return;
	}
	verify_print(&text, report);
	text_clean(&clean, buf_str(&text));
	fwrite(clean.p, 1, clean.n, s->io->out);
}

static int conclude(const struct verify_report *report, struct err *e)
{
	size_t n[VERIFY_UNKNOWN + 1];

	verify_count(report, n);
	if (n[VERIFY_UNKNOWN] > 0)
		return err_set(e, ERR_NET, "%zu parts could not be checked", n[VERIFY_UNKNOWN]);
	if (n[VERIFY_MISSING] + n[VERIFY_DAMAGED] > 0)
		return err_set(e, ERR_INCOMPLETE, "not complete: %zu missing, %zu damaged",
			       n[VERIFY_MISSING], n[VERIFY_DAMAGED]);
	return 0;
}

static int verify(struct setup *s, const struct options *o, int argc, char **argv, struct err *e)
{
	auto_verify_report struct verify_report report = {0};
	bool registry = names_repository(o, argc, argv);
	const struct verify_request req = {
		.places = s->places,
		.repository = registry ? argv[0] : NULL,
		.wanted = argv + registry,
		.nwanted = (size_t)(argc - registry),
		.deep = o->deep,
		.require_signature = o->require_signature,
		.signatures =
			{
				.net = s->net,
				.now = s->io->now,
				.media = o->dir,
				.keyrings = &o->keyrings,
				.signature_stores = &o->signature_stores,
			},
		.parallel = (unsigned)parallel_limit(&o->parallel),
		.cancel = s->io->cancel,
		.on_bytes = on_bytes,
		.on_bytes_arg = s->progress,
	};

	if (verify_run(&report, &req, e) < 0)
		return -1;
	print(s, o, &report);
	return conclude(&report, e);
}

static int run(const struct cmd_io *io, void *options, int argc, char **argv, struct err *e)
{
	struct options *o = options;
	auto_setup struct setup s = {0};
	const struct setup_config cfg = {
		.security = &o->security,
		.parallel = &o->parallel,
		.dir = o->dir,
		.from_dir = o->dir,
	};

	if (given(o->output) && strcmp(o->output, "json") != 0)
		return err_set(e, ERR_USAGE, "--output only supports json");
	if (setup_init(&s, io, &cfg, e) < 0)
		return -1;
	return verify(&s, o, argc, argv, e);
}

const struct cmd cmd_verify = {
	.name = "verify",
	.synopsis = "[--dir DIR | REGISTRY/REPOSITORY] [RELEASE ...]",
	.summary = "Check that releases are complete, undamaged and signed",
	.details =
		"From the payload of a release on, every list, manifest, configuration and layer is looked for. In a folder everything is read and compared with its digest; a registry is asked, and with --deep everything is read from it, too. What is missing or damaged is listed with the components that need it. Signatures, attestations, SBOMs and referrers that are attached to images need not be there; those that are must be whole.\n"
		"\n"
		"RELEASE is a tag, a digest, a version or a pull spec; without one every release that has a tag is checked. Exit status: 0 complete, 1 could not look, 3 something is missing or damaged.",
	.examples = "# before a disk is carried away, and after it was plugged in\n"
		    "--dir=/media/usb/mirror --require-signature\n"
		    "# one release of a mirror registry\n"
		    "registry.local/ocp4/openshift4 4.18.7-x86_64\n"
		    "# every byte of it\n"
		    "registry.local/ocp4/openshift4 4.18.7-x86_64 --deep",
	.groups = groups,
	.options_size = sizeof(struct options),
	.run = run,
};
