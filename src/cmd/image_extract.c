// SPDX-License-Identifier: Apache-2.0
// image extract: files and folders of images.
#include "release/image_extract.h"
#include "cmd/setup.h"
#include "cmd/unpack_limits.h"
#include "util/cleanup.h"

#include <limits.h>
#include <unistd.h>

struct options {
	struct security_options security;
	struct filter_options filter;
	struct lookup_options lookup;
	struct unpack_options unpack;
	struct strlist paths, files;
	const char *dir;
	bool confirm, dry_run, only_files, all_layers, preserve;
};

#define AT(member) offsetof(struct options, member)
static const struct flag flags[] = {
	{FLAG_LIST, 0, "path", AT(paths), "SRC:DST",
	 "write SRC of the image to the folder DST; a SRC that ends in '/' is what is in that folder, else its last part may have wildcards (default: /:.)",
	 0, 0},
	{FLAG_LIST, 0, "file", AT(files), "PATH",
	 "write a file of the image to the current folder, by its base name", 0, 0},
	{FLAG_BOOL, 0, "confirm", AT(confirm), NULL, "write to folders that are not empty", 0, 0},
	{FLAG_BOOL, 0, "dry-run", AT(dry_run), NULL, "list what would be written", 0, 0},
	{FLAG_BOOL, 0, "only-files", AT(only_files), NULL, "files and folders only, no links", 0,
	 0},
	{FLAG_BOOL, 0, "all-layers", AT(all_layers), NULL,
	 "with --dry-run: from the lowest layer on, with what upper layers hide", 0, 0},
	{FLAG_BOOL, 'p', "preserve-ownership", AT(preserve), NULL,
	 "keep owners and modes, setuid included; else files are 0640 and folders 0755", 0, 0},
	{FLAG_STRING, 0, "dir", AT(dir), "DIR",
	 "folder of file:// images (default: the current one)", 0, 0},
	{0},
};

static const struct flag_group groups[] = {
	{flags, 0},
	{security_flags, AT(security)},
	{filter_flags, AT(filter)},
	{lookup_flags, AT(lookup)},
	{unpack_flags, AT(unpack)},
	{0},
};
#undef AT

static void put(void *arg, const char *line)
{
	fprintf(arg, "%s\n", line);
}

static int run(const struct cmd_io *io, void *options, int argc, char **argv, struct err *e)
{
	struct options *o = options;
	auto_setup struct setup s = {0};
	char cwd[PATH_MAX];
	struct setup_config cfg = {.security = &o->security, .lookup = &o->lookup, .dir = o->dir};
	struct image_extract_request req = {
		.images = argv,
		.nimages = (size_t)argc,
		.paths = o->paths.v,
		.npaths = o->paths.n,
		.files = o->files.v,
		.nfiles = o->files.n,
		.confirm = o->confirm,
		.dry_run = o->dry_run,
		.all_layers = o->all_layers,
		.only_files = o->only_files,
		.preserve = o->preserve,
		.filter_by_os = o->filter.filter_by_os,
		.cwd = cwd,
		.put = put,
		.put_arg = io->out,
	};

	if (!getcwd(cwd, sizeof(cwd)))
		return err_os(e, ERR_IO, "cannot tell the current folder");
	if (lookup_check(&o->lookup, io, e) < 0 || unpack_limits(&o->unpack, &req.limits, e) < 0 ||
	    setup_init(&s, io, &cfg, e) < 0)
		return -1;
	for (int i = 0; i < argc; i++)
		setup_note_image(&s, argv[i]);
	req.say = progress_say(s.progress);
	return image_extract(s.places, &req, e);
}

const struct cmd cmd_image_extract = {
	.name = "extract",
	.synopsis = "IMAGE[LAYERS] ...",
	.summary = "Copy files out of images",
	.details =
		"Writes files and folders of images below local folders, and never outside of them: names with '..', links that lead out and devices are not followed or made. Nothing has its name before the layers it came from are verified. Exit status 3: something was left out, and is named.\n"
		"\n"
		"IMAGE may be followed by a layer selector: [2] is one layer counted from 0, [-1] the topmost, [1:3] a range without its end, [~sha256:4f] the layer whose digest begins so.",
	.examples = "# the whole file system of an image\n"
		    "--path=/:rootfs quay.io/org/app:v1\n"
		    "# one file\n"
		    "--file=usr/bin/app quay.io/org/app:v1\n"
		    "# what is in a folder, of the topmost layer only\n"
		    "--path=/etc/:etc 'quay.io/org/app:v1[-1]'\n"
		    "# what is in there?\n"
		    "--dry-run quay.io/org/app:v1",
	.groups = groups,
	.options_size = sizeof(struct options),
	.run = run,
};
