// SPDX-License-Identifier: Apache-2.0
// The tree of commands: finding one, running it, and saying how it ended.
#include "cmd/cmd.h"

#include "cmd/flags.h"
#include "cmd/help.h"
#include "cmd/options.h"
#include "cmd/progress.h"
#include "data/gofmt.h"
#include "util/mem.h"
#include "util/trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { STATUS_OK = 0, STATUS_FAILED = 1, STATUS_INCOMPLETE = 3, STATUS_INTERRUPTED = 130 };

static const struct cmd cmd_image = {
	.name = "image",
	.summary = "Mirror images between registries and folders, show, extract and serve them",
	.subs = (const struct cmd *const[]){&cmd_image_extract, &cmd_image_info, &cmd_image_mirror,
					    &cmd_image_serve, NULL},
};

static const struct cmd cmd_adm_catalog = {
	.name = "catalog",
	.summary = "Mirror operator catalogs",
	.subs = (const struct cmd *const[]){&cmd_adm_catalog_mirror, NULL},
};

static const struct cmd cmd_adm_release = {
	.name = "release",
	.summary = "Mirror, inspect and extract OpenShift releases",
	.subs = (const struct cmd *const[]){&cmd_adm_release_extract, &cmd_adm_release_info,
					    &cmd_adm_release_mirror, NULL},
};

static const struct cmd cmd_adm_samples = {
	.name = "samples",
	.summary = "Mirror the sample image streams of OpenShift",
	.subs = (const struct cmd *const[]){&cmd_adm_samples_mirror, NULL},
};

static const struct cmd cmd_adm = {
	.name = "adm",
	.summary = "Prepare a disconnected installation",
	.subs = (const struct cmd *const[]){&cmd_adm_catalog, &cmd_adm_release, &cmd_adm_samples,
					    NULL},
};

static const struct cmd cmd_registry = {
	.name = "registry",
	.summary = "Run a mirror registry",
	.subs = (const struct cmd *const[]){&cmd_registry_serve, NULL},
};

static const struct cmd cmd_store = {
	.name = "store",
	.summary = "Look after folders that hold mirrored images",
	.subs = (const struct cmd *const[]){&cmd_store_copy, NULL},
};

static const struct cmd cmd_help = {
	.name = "help",
	.synopsis = "[COMMAND ...]",
	.summary = "Show the help of a command",
};

const struct cmd cmd_root = {
	.name = "ferry",
	.summary =
		"Mirror OpenShift releases and container images to where there is no internet, and serve them there",
	.details =
		"Commands, flags and standard output are those of oc, the OpenShift client. Results go to standard output, progress and messages to standard error.\n"
		"\n"
		"Exit status: 0 complete, 1 failed, 3 finished but incomplete, 130 interrupted.",
	.subs = (const struct cmd *const[]){&cmd_adm, &cmd_image, &cmd_registry, &cmd_store,
					    &cmd_verify, &cmd_version, &cmd_help, NULL},
};

// One call of the program: where in the tree we are, and what is left of argv.
struct call {
	const struct cmd_io *io;
	const struct cmd *cmd;
	struct buf path; // "oc image mirror"
	char **argv;     // borrowed strings
	int argc;
};

static const struct cmd *find_sub(const struct cmd *cmd, const char *name)
{
	for (const struct cmd *const *sub = cmd->subs; *sub; sub++)
		if (strcmp((*sub)->name, name) == 0)
			return *sub;
	return NULL;
}

static int unknown_command(const struct call *c, const char *word, struct err *e)
{
	const char *best = NULL;
	unsigned least = 3;
	auto_free char *quoted = gofmt_quote(str_of(word));

	for (const struct cmd *const *sub = c->cmd->subs; *sub; sub++) {
		unsigned d = edit_distance(word, (*sub)->name);

		if (d < least) {
			least = d;
			best = (*sub)->name;
		}
	}
	err_set(e, ERR_USAGE, "unknown command %s for \"%s\"", quoted, c->path.p);
	if (best)
		err_hint(e, "hint: did you mean '%s %s'?", c->path.p, best);
	return err_hint(e, "See '%s --help' for usage.", c->path.p);
}

// Goes down to the command that argv names, taking the names out of argv.
static int walk(struct call *c, struct err *e)
{
	struct flag_sets globals = {0};

	flag_sets_add(&globals, global_flags, NULL);
	while (c->cmd->subs) {
		int at = flags_first_argument(&globals, c->argc, c->argv);

		if (at < 0)
			return 0;
		const struct cmd *sub = find_sub(c->cmd, c->argv[at]);

		if (!sub)
			return unknown_command(c, c->argv[at], e);
		buf_printf(&c->path, " %s", sub->name);
		c->cmd = sub;
		c->argc--;
		memmove(c->argv + at, c->argv + at + 1, (size_t)(c->argc - at) * sizeof(*c->argv));
	}
	return 0;
}

static void show_help(const struct call *c, FILE *to)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	help_print(&text, c->cmd, c->path.p);
	fwrite(text.p, 1, text.n, to);
}

// FERRY_TRACE, or the classic verbosity: 6 shows requests, 8 everything. True when it is on.
static bool start_trace(const struct cmd_io *io, const struct global_options *g)
{
	int level = g->v > g->loglevel ? g->v : g->loglevel;
	const char *components = io->env("FERRY_TRACE");

	if (!components || !*components)
		components = level >= 8 ? "all" : level >= 6 ? "net,auth,registry" : NULL;
	trace_init(components, io->err);
	return components != NULL;
}

// `help image mirror` is `image mirror --help`.
static int run_help(struct call *c, struct err *e)
{
	struct call target = {c->io, &cmd_root, BUF_INIT(BUF_TEXT_MAX), c->argv, c->argc};

	buf_puts(&target.path, c->io->self);
	int failed = walk(&target, e);

	if (!failed)
		show_help(&target, c->io->out);
	buf_free(&target.path);
	return failed;
}

static int flag_error(const struct call *c, struct err *e)
{
	return err_hint(e, "See '%s --help' for usage.", c->path.p);
}

static int run_leaf(struct call *c, void *options, const struct flag_sets *sets,
		    const struct global_options *globals, struct err *e)
{
	bool help = false;
	int argc = 0;

	if (flags_parse(sets, c->argc, c->argv, &argc, &help, e) < 0)
		return flag_error(c, e);
	c->argc = argc;
	if (help) {
		show_help(c, c->io->out);
		return 0;
	}
	if (c->cmd == &cmd_help)
		return run_help(c, e);
	struct cmd_io io = *c->io;

	// Notes for developers go straight to standard error, where nothing may be drawn then.
	if (start_trace(c->io, globals))
		io.terminal = false;
	return c->cmd->run(&io, options, argc, c->argv, e);
}

// A command that only holds others: help is the answer, and a failure unless it was asked for.
static int run_group(struct call *c, const struct flag_sets *sets, bool *ret_misused, struct err *e)
{
	bool help = false;
	int argc = 0;

	if (flags_parse(sets, c->argc, c->argv, &argc, &help, e) < 0)
		return flag_error(c, e);
	if (argc > 0)
		return unknown_command(c, c->argv[0], e);
	*ret_misused = !help && c->cmd != &cmd_root;
	show_help(c, *ret_misused ? c->io->err : c->io->out);
	return 0;
}

static int run_call(struct call *c, bool *ret_misused, struct err *e)
{
	struct global_options globals = {0};
	struct flag_sets sets = {0};

	if (walk(c, e) < 0)
		return -1;
	auto_free void *options = xcalloc(1, c->cmd->options_size + 1);

	if (c->cmd->defaults)
		c->cmd->defaults(options);
	flag_sets_add_cmd(&sets, c->cmd, options);
	flag_sets_add(&sets, global_flags, &globals);
	int failed = c->cmd->subs ? run_group(c, &sets, ret_misused, e)
				  : run_leaf(c, options, &sets, &globals, e);

	flags_release(&sets);
	return failed;
}

static int status_of(const struct err *e)
{
	switch (e->kind) {
	case ERR_INCOMPLETE:
		return STATUS_INCOMPLETE;
	case ERR_CANCELLED:
		return STATUS_INTERRUPTED;
	default:
		return STATUS_FAILED;
	}
}

static void report(const struct cmd_io *io, const struct err *e)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	if (e->kind == ERR_CANCELLED) // what was being done then is of no interest
		buf_puts(&text, "interrupted");
	else
		text_clean(&text, str_of(e->text));
	fprintf(io->err, "%s%s\n", starts_with(text.p, "error: ") ? "" : "error: ", text.p);
}

int cmd_main(const struct cmd_io *io, int argc, char **argv)
{
	// A copy, because flags are taken out of it; the strings stay argv's.
	auto_free char **words = xmemdup(argv, (size_t)(argc + 1) * sizeof(*argv));
	struct call c = {io, &cmd_root, BUF_INIT(BUF_TEXT_MAX), words + (argc > 0),
			 argc > 0 ? argc - 1 : 0};
	bool misused = false;
	struct err e = {0};

	buf_puts(&c.path, io->self);
	int failed = run_call(&c, &misused, &e);

	if ((fflush(io->out) != 0 || ferror(io->out)) && !failed)
		failed = err_os(&e, ERR_IO, "write standard output");
	if (failed)
		report(io, &e);
	fflush(io->err);
	buf_free(&c.path);
	return failed ? status_of(&e) : misused ? STATUS_FAILED : STATUS_OK;
}
