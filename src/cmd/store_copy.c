// SPDX-License-Identifier: Apache-2.0
// store copy: a whole folder of mirrored images into another, in either layout.
#include "cmd/setup.h"
#include "data/gofmt.h"
#include "release/signatures.h"
#include "util/clock.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct options {
	struct layout_options layout;
};

static const struct flag_group groups[] = {
	{layout_flags, offsetof(struct options, layout)},
	{0},
};

struct copied {
	struct progress *progress;
	uint64_t objects, bytes;
};

static void on_object(void *arg, const char *repo, const struct digest *d, uint64_t size)
{
	struct copied *c = arg;

	(void)repo;
	(void)d;
	c->objects++;
	c->bytes += size;
	progress_add(c->progress, size);
}

// Copying a folder onto itself would read what it is about to replace.
static int check_apart(const char *src, const char *dst, struct err *e)
{
	auto_free char *a = realpath(src, NULL), *b = realpath(dst, NULL);

	if (a && b && strcmp(a, b) == 0)
		return err_set(e, ERR_USAGE, "SRC and DST may not be the same");
	return 0;
}

static int open_store(struct store **ret, const struct setup *s, const char *dir,
		      enum store_mode mode, enum store_layout layout, struct err *e)
{
	struct store_config cfg = {dir, mode, layout, s->pool, s->io->cancel};
	auto_free char *notice = NULL;

	if (store_open(ret, &cfg, &notice, e) < 0)
		return -1;
	if (notice)
		progress_line(s->progress, "info: %s", notice);
	return 0;
}

static int copy(struct setup *s, const char *from, const char *to, enum store_layout layout,
		struct err *e)
{
	auto_of(store_close) struct store *src = NULL, *dst = NULL;
	struct copied copied = {.progress = s->progress};
	uint64_t start = clock_us();
	size_t signatures;

	if (open_store(&src, s, from, STORE_READ, STORE_LAYOUT_AUTO, e) < 0 ||
	    open_store(&dst, s, to, STORE_WRITE, layout, e) < 0 ||
	    store_copy(src, dst, on_object, &copied, e) < 0 || store_sync(dst, e) < 0 ||
	    signatures_copy(from, to, &signatures, e) < 0)
		return -1;
	progress_settle(s->progress);
	int64_t ns = (int64_t)(clock_us() - start) * 1000;

	progress_line(s->progress, "info: Copied %" PRIu64 " objects, %s, in %s", copied.objects,
		      gofmt_binary(copied.bytes).s, gofmt_duration(gofmt_round(ns, 10000000)).s);
	if (signatures > 0)
		progress_line(s->progress, "info: Copied signatures of releases: %zu", signatures);
	return 0;
}

static int run(const struct cmd_io *io, void *options, int argc, char **argv, struct err *e)
{
	const struct options *o = options;
	auto_setup struct setup s = {0};
	enum store_layout layout;

	if (argc != 2)
		return err_set(e, ERR_USAGE, "you must specify the folders SRC and DST");
	if (layout_parse(&o->layout, &layout, e) < 0 || check_apart(argv[0], argv[1], e) < 0 ||
	    setup_init(&s, io, &(struct setup_config){0}, e) < 0)
		return -1;
	return copy(&s, argv[0], argv[1], layout, e);
}

const struct cmd cmd_store_copy = {
	.name = "copy",
	.synopsis = "SRC DST",
	.summary = "Copy a folder of mirrored images, verified, into either layout",
	.details =
		"SRC and DST are folders as --dir and --to-dir write them. Every byte is compared with its digest on the way. A folder whose links were turned into files by a copy is understood, and comes out whole.",
	.examples = "# to a memory stick that cannot hold links\n"
		    "mirror /media/stick/mirror\n"
		    "# and back into oc's layout\n"
		    "--layout=oc /media/stick/mirror mirror",
	.groups = groups,
	.options_size = sizeof(struct options),
	.run = run,
};
