// SPDX-License-Identifier: Apache-2.0
// version: what this program is.
#include "cmd/cmd.h"
#include "image/platform.h"

#include <string.h>

struct options {
	const char *output;
	bool client;
};

static const struct flag flags[] = {
	{FLAG_BOOL, 0, "client", offsetof(struct options, client), NULL,
	 "the version of this program, which is all there is to tell", 0, 0},
	{FLAG_STRING, 'o', "output", offsetof(struct options, output), "json|yaml",
	 "print it for programs", 0, 0},
	{0},
};

static const struct flag_group groups[] = {{flags, 0}, {0}};

static void print_json(FILE *out)
{
	fprintf(out,
		"{\n"
		"  \"clientVersion\": {\n"
		"    \"gitVersion\": \"v%s\",\n"
		"    \"name\": \"ferry\",\n"
		"    \"platform\": \"%s\"\n"
		"  },\n"
		"  \"releaseClientVersion\": \"%s\"\n"
		"}\n",
		FERRY_VERSION, platform_local(), FERRY_VERSION);
}

static void print_yaml(FILE *out)
{
	fprintf(out,
		"clientVersion:\n"
		"  gitVersion: v%s\n"
		"  name: ferry\n"
		"  platform: %s\n"
		"releaseClientVersion: %s\n",
		FERRY_VERSION, platform_local(), FERRY_VERSION);
}

static int run(const struct cmd_io *io, void *options, int argc, char **argv, struct err *e)
{
	const struct options *o = options;

	(void)argv;
	if (argc > 0)
		return err_set(e, ERR_USAGE, "version takes no arguments");
	if (!o->output || !*o->output)
		fprintf(io->out, "Client Version: %s\nferry %s\n", FERRY_VERSION, platform_local());
	else if (strcmp(o->output, "json") == 0)
		print_json(io->out);
	else if (strcmp(o->output, "yaml") == 0)
		print_yaml(io->out);
	else
		return err_set(e, ERR_USAGE, "--output must be 'yaml' or 'json'");
	return 0;
}

const struct cmd cmd_version = {
	.name = "version",
	.synopsis = "",
	.summary = "Show the version of this program",
	.groups = groups,
	.options_size = sizeof(struct options),
	.run = run,
};
