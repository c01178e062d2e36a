// SPDX-License-Identifier: Apache-2.0
// adm release extract: manifests, installers and clients of a release.
#include "cmd/setup.h"
#include "cmd/unpack_limits.h"
#include "openpgp/sign.h"
#include "release/extract.h"
#include "util/fs.h"

#include <string.h>

#define INSTALL_CONFIG_MAX ((size_t)4 << 20)
#define SIGNING_KEY_MAX    ((size_t)4 << 20)
#define PASSPHRASE_MAX     ((size_t)1 << 10)

struct options {
	struct security_options security;
	struct filter_options filter;
	struct parallel_options parallel;
	struct unpack_options unpack;
	struct lookup_options lookup;
	const char *from, *to, *file, *command, *command_os, *dir, *release_image, *cloud,
		*install_config, *signing_key, *passphrase_file, *git, *output;
	bool tools, credentials_requests, included, allow_unpatched;
};

#define AT(member) offsetof(struct options, member)
static const struct flag flags[] = {
	{FLAG_STRING, 0, "from", AT(from), "IMAGE",
	 "the release image, by tag or digest; or give it as argument", 0, 0},
	{FLAG_STRING, 0, "to", AT(to), "DIR", "folder to write to (default: the current one)", 0,
	 0},
	{FLAG_STRING, 0, "file", AT(file), "NAME", "print one file of the payload", 0, 0},
	{FLAG_STRING, 0, "command", AT(command), "NAME",
	 "extract a tool: openshift-install, openshift-baremetal-install, openshift-install-fips, oc, oc.rhel8, oc.rhel9, ccoctl",
	 0, 0},
	{FLAG_STRING, 0, "command-os", AT(command_os), "OS[/ARCH]",
	 "the platform of tools: linux, mac, windows, with /arm64 and the like; '*' for archives of all (default: this one)",
	 0, 0},
	{FLAG_BOOL, 0, "tools", AT(tools), NULL,
	 "extract all tools into archives, with their digests beside them", 0, 0},
	{FLAG_BOOL, 0, "credentials-requests", AT(credentials_requests), NULL,
	 "extract the CredentialsRequest manifests only", 0, 0},
	{FLAG_STRING, 0, "cloud", AT(cloud), "NAME", "credentials requests of this provider only",
	 0, 0},
	{FLAG_BOOL, 0, "included", AT(included), NULL,
	 "only manifests that a cluster installed with --install-config would have", 0, 0},
	{FLAG_STRING, 0, "install-config", AT(install_config), "FILE",
	 "install-config.yaml of that cluster", 0, 0},
	{FLAG_STRING, 0, "dir", AT(dir), "DIR",
	 "folder of a file:// release image (default: the current one)", 0, 0},
	{FLAG_STRING, 0, "release-image", AT(release_image), "REPOSITORY",
	 "bind installers to the release in this repository instead of where it was read from", 0,
	 0},
	{FLAG_STRING, 0, "signing-key", AT(signing_key), "FILE",
	 "OpenPGP secret key that signs sha256sum.txt", 0, 0},
	{FLAG_STRING, 0, "passphrase-file", AT(passphrase_file), "FILE",
	 "the first line is the passphrase of --signing-key", 0, 0},
	{FLAG_STRING, 0, "git", AT(git), "DIR", "needs the sources of components", FLAG_HIDDEN, 0},
	{FLAG_STRING, 'o', "output", AT(output), "commit", "needs the sources of components",
	 FLAG_HIDDEN, 0},
	{FLAG_BOOL, 0, "allow-unpatched", AT(allow_unpatched), NULL,
	 "extract tools, too, that have no place for the release they belong to", 0, 0},
	{0},
};

static const struct flag_group groups[] = {
	{flags, 0},
	{security_flags, AT(security)},
	{filter_flags, AT(filter)},
	{parallel_flags, AT(parallel)},
	{lookup_flags, AT(lookup)},
	{unpack_flags, AT(unpack)},
	{0},
};
#undef AT

static void defaults(void *options)
{
	((struct options *)options)->to = ".";
}

static int find_image(struct options *o, int argc, char **argv, struct err *e)
{
	if (argc > 1 || (argc == 1 && given(o->from)))
		return err_set(e, ERR_USAGE,
			       "you may only specify a single image via --from or argument");
	if (argc == 1)
		o->from = argv[0];
	if (given(o->from))
		return 0;
	err_set(e, ERR_USAGE, "must specify a release image with --from");
	return err_hint(e,
			"hint: the release of a cluster cannot be looked up, ferry talks to none");
}

static int check(const struct options *o, struct err *e)
{
	if (o->tools + o->credentials_requests + given(o->file) + given(o->command) +
		    given(o->git) >
	    1)
		return err_set(e, ERR_USAGE,
			       "only one of --tools, --command, --credentials-requests, --file, or "
			       "--git may be specified");
	if (given(o->output) && !given(o->git))
		return err_set(e, ERR_USAGE, "--output is only supported with --git");
	if (given(o->git))
		return err_set(e, ERR_UNSUPPORTED,
			       "--git is not supported: it needs the sources of every component; "
			       "'release info --commits' lists where they are");
	if (given(o->file) && given(o->to) && strcmp(o->to, ".") != 0)
		return err_set(e, ERR_USAGE, "only one of --to and --file may be set");
	if (given(o->install_config) && !o->included)
		return err_set(e, ERR_USAGE, "--install-config is only supported with --included");
	if (given(o->cloud) && !o->credentials_requests)
		return err_set(e, ERR_USAGE,
			       "--cloud is only supported with --credentials-requests");
	if (given(o->signing_key) && !o->tools &&
	    !(given(o->command) && given(o->command_os) && strcmp(o->command_os, "*") == 0))
		return err_set(
			e, ERR_USAGE,
			"--signing-key signs archives: it needs --tools or --command-os='*'");
	if (given(o->passphrase_file) && !given(o->signing_key))
		return err_set(e, ERR_USAGE,
			       "--passphrase-file is only supported with --signing-key");
	if (o->included && (o->tools || given(o->command) || given(o->file)))
		return err_set(e, ERR_USAGE, "--included is only supported for manifests");
	if (o->included && !given(o->install_config)) {
		err_set(e, ERR_UNSUPPORTED,
			"--included without --install-config needs a cluster, and ferry talks to none");
		return err_hint(e, "hint: name the install-config.yaml of the cluster with "
				   "--install-config");
	}
	return 0;
}

static int sign(void *arg, struct str text, struct buf *ret, struct err *e)
{
	return signing_key_sign(arg, text, ret, e);
}

static int open_key(const struct options *o, int64_t now, const char *passphrase,
		    struct signing_key **ret, struct err *e)
{
	auto_buf struct buf bytes = BUF_INIT(SIGNING_KEY_MAX);
	int failed = fs_read_file(&bytes, o->signing_key, e);

	if (!failed)
		failed = signing_key_read(ret, buf_str(&bytes), passphrase, now, e);
	explicit_bzero(bytes.p, bytes.n);
	if (!failed)
		return 0;
	err_wrap(e, "--signing-key");
	if (e->kind == ERR_DENIED && !passphrase)
		err_hint(e, "hint: --passphrase-file FILE names a file with the passphrase");
	return -1;
}

static int read_key(const struct options *o, int64_t now, struct signing_key **ret, struct err *e)
{
	auto_buf struct buf bytes = BUF_INIT(PASSPHRASE_MAX);

	if (!given(o->signing_key))
		return 0;
	if (!given(o->passphrase_file))
		return open_key(o, now, NULL, ret, e);
	if (fs_read_file(&bytes, o->passphrase_file, e) < 0)
		return err_wrap(e, "--passphrase-file");
	if (bytes.n == 0)
		return err_set(e, ERR_INPUT, "--passphrase-file: '%s' is empty",
			       o->passphrase_file);
	bytes.p[strcspn(bytes.p, "\r\n")] = '\0';
	int failed = open_key(o, now, bytes.p, ret, e);

	explicit_bzero(bytes.p, bytes.n);
	return failed;
}

static int extract(const struct options *o, struct setup *s, struct release_extract_request *req,
		   struct err *e)
{
	auto_buf struct buf out = BUF_INIT(BUF_TEXT_MAX);

	req->say = progress_say(s->progress);
	if (release_extract(s->places, req, &out, e) < 0)
		return -1;
	(void)o;
	fwrite(out.p, 1, out.n, s->io->out);
	return 0;
}

static int run(const struct cmd_io *io, void *options, int argc, char **argv, struct err *e)
{
	struct options *o = options;
	auto_buf struct buf config = BUF_INIT(INSTALL_CONFIG_MAX);
	auto_of(signing_key_free) struct signing_key *key = NULL;
	auto_setup struct setup s = {0};
	struct setup_config cfg = {
		.security = &o->security,
		.parallel = &o->parallel,
		.lookup = &o->lookup,
		.dir = o->dir,
	};

	if (find_image(o, argc, argv, e) < 0 || check(o, e) < 0 ||
	    lookup_check(&o->lookup, io, e) < 0)
		return -1;
	struct release_extract_request req = {
		.image = o->from,
		.release_image = o->release_image,
		.to = o->to,
		.file = o->file,
		.command = given(o->command) ? o->command : NULL,
		.tools = o->tools,
		.credentials_requests = o->credentials_requests,
		.command_os = o->command_os,
		.cloud = o->cloud,
		.included = o->included,
		.filter_by_os = o->filter.filter_by_os,
		.allow_unpatched = o->allow_unpatched,
		.now = io->now,
	};

	if (unpack_limits(&o->unpack, &req.limits, e) < 0 || read_key(o, io->now, &key, e) < 0 ||
	    (o->included && fs_read_file(&config, o->install_config, e) < 0) ||
	    setup_init(&s, io, &cfg, e) < 0)
		return -1;
	req.install_config = buf_str(&config);
	req.sign = key ? sign : NULL;
	req.sign_arg = key;
	setup_note_image(&s, o->from);
	return extract(o, &s, &req, e);
}

const struct cmd cmd_adm_release_extract = {
	.name = "extract",
	.synopsis = "[IMAGE]",
	.summary = "Extract manifests, installers and clients of a release",
	.details =
		"Writes the manifests of a release to a folder, prints one of its files (--file), or extracts the tools that come with it (--command, --tools). Everything that is written has been verified against the digest of the release image before it gets its name.\n"
		"\n"
		"An installer is bound to the release image that it was extracted from, by digest. Out of media (file://) it is bound to the registry that the media were made from, or to --release-image.",
	.examples =
		"# the installer of a mirrored release\n"
		"--command=openshift-install registry.local/ocp4/openshift4:4.18.7-x86_64\n"
		"# the same, straight from media\n"
		"--command=openshift-install --dir=mirror file://openshift/release:4.18.7-x86_64 --release-image=registry.local/ocp4/openshift4\n"
		"# archives of all tools for all platforms\n"
		"--tools --command-os='*' --to=tools quay.io/openshift-release-dev/ocp-release:4.18.7-x86_64\n"
		"# manifests\n"
		"--to=manifests quay.io/openshift-release-dev/ocp-release:4.18.7-x86_64",
	.groups = groups,
	.options_size = sizeof(struct options),
	.defaults = defaults,
	.run = run,
};
