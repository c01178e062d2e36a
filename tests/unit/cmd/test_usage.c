// SPDX-License-Identifier: Apache-2.0
// What people get to read when they call the program wrongly. Nothing here reaches a network.
#include "cmd/cmd.h"

#include "tap.h"
#include "util/mem.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { WORDS_MAX = 8 };

static const char *no_env(const char *name)
{
	return strcmp(name, "REGISTRY_AUTH_FILE") == 0 ? "/dev/null" : NULL;
}

struct outcome {
	int status;
	char *out, *err;
};

static struct outcome call(const char *self, const char *const words[WORDS_MAX])
{
	struct outcome o = {0};
	size_t nout, nerr;
	FILE *out = open_memstream(&o.out, &nout), *err = open_memstream(&o.err, &nerr);
	struct cancel cancel = CANCEL_INIT;
	char *argv[WORDS_MAX + 2] = {(char *)(uintptr_t)self};
	int argc = 1;

	for (; argc <= WORDS_MAX && words[argc - 1]; argc++)
		argv[argc] = (char *)(uintptr_t)words[argc - 1];
	struct cmd_io io = {.out = out,
			    .err = err,
			    .in = -1,
			    .env = no_env,
			    .self = self,
			    .now = 1700000000,
			    .cancel = &cancel};

	o.status = cmd_main(&io, argc, argv);
	fclose(out);
	fclose(err);
	return o;
}

static void outcome_release(struct outcome *o)
{
	free(o->out);
	free(o->err);
}

#define ICSP_NOTICE                                                                                \
	"Flag --print-mirror-instructions's value 'icsp' has been deprecated. Use 'idms' instead " \
	"to allow the printing of instructions for ImageDigestSources and ImageDigestMirrorSet.\n"
#define RELEASE "127.0.0.1:1/openshift-release-dev/ocp-release:4.18.7-x86_64"
#define CATALOG "127.0.0.1:1/cat/fbc:v1"
#define IMAGE   "127.0.0.1:1/test/single:v1"

static const struct {
	const char *words[WORDS_MAX];
	const char *err;
} rows[] = {
	// b13, b14, b16, b17, b38
	{{"image", "mirror", "--insecure", IMAGE},
	 "error: all arguments must be valid SRC=DST mappings, or you must specify one SRC argument and one or more DST arguments\n"},
	{{"image", "mirror", "--insecure"},
	 "error: you must specify at least one source image to pull and the destination to push to as SRC=DST or SRC DST [DST2 DST3 ...]\n"},
	{{"image", "mirror", "=127.0.0.1:2/d/one:a"},
	 "error: all arguments must be valid SRC=DST mappings\n"},
	{{"image", "mirror", IMAGE, IMAGE}, "error: SRC and DST may not be the same\n"},
	{{"image", "mirror", "--nope", "a", "b"},
	 "error: unknown flag: --nope\nSee 'oc image mirror --help' for usage.\n"},
	{{"image", "mirror", "--max-per-registry=x"},
	 "error: invalid argument \"x\" for \"--max-per-registry\" flag: strconv.ParseInt: parsing \"x\": invalid syntax\nSee 'oc image mirror --help' for usage.\n"},
	{{"image", "mirror", "--dir"},
	 "error: flag needs an argument: --dir\nSee 'oc image mirror --help' for usage.\n"},
	{{"image", "mirror", "--layout=zip", IMAGE, "file://a"},
	 "error: --layout must be one of auto, oc, portable\n"},
	// c40 to c46
	{{"adm", "release", "mirror", "--to=127.0.0.1:2/x/y"},
	 "error: must specify a release image with --from\n"},
	{{"adm", "release", "mirror", RELEASE},
	 ICSP_NOTICE
	 "error: must specify an image repository or image stream to mirror the release to\n"},
	{{"adm", "release", "mirror", RELEASE, "--to=127.0.0.1:2/x/y:tag"},
	 ICSP_NOTICE
	 "error: --to must be to an image repository and may not contain a tag or digest\n"},
	{{"adm", "release", "mirror", RELEASE, "--from=" RELEASE, "--to=127.0.0.1:2/x/y"},
	 "error: you may not specify an argument and --from\n"},
	{{"adm", "release", "mirror", RELEASE, RELEASE}, "error: only one argument is accepted\n"},
	{{"adm", "release", "mirror", RELEASE, "--to=127.0.0.1:2/x/y",
	  "--print-mirror-instructions=foo"},
	 "error: --print-mirror-instructions must be one of icsp, idms, none\n"},
	// f07, f16
	{{"adm", "release", "mirror", RELEASE, "--to=127.0.0.1:2/x/y", "--skip-release-image",
	  "--to-release-image=127.0.0.1:2/x/y:z"},
	 ICSP_NOTICE
	 "error: --skip-release-image and --to-release-image may not both be specified\n"},
	{{"adm", "release", "mirror", RELEASE, "--to=127.0.0.1:2/x/y", "--overwrite"},
	 ICSP_NOTICE
	 "error: --overwite is only valid when --apply-release-image-signature is specified\n"},
	// release info, image info
	{{"adm", "release", "info"},
	 "error: info expects at least one argument, a release image pull spec\n"},
	{{"adm", "release", "info", RELEASE, "--size", "--commits"},
	 "error: only one of --commits, --commit-urls, --pullspecs, --contents, --size, --verify may be specified\n"},
	{{"adm", "release", "info", RELEASE, "--image-for=cli", "-o", "json"},
	 "error: --output and --image-for may not both be specified\n"},
	{{"adm", "release", "info", RELEASE, "-o", "yaml"},
	 "error: --output only supports json, pullspec, digest, name, go-template, go-template-file, jsonpath, jsonpath-file, template, templatefile\n"},
	{{"adm", "release", "info", RELEASE, "-o", "jsonpath"},
	 "error: --output 'jsonpath' needs a query\n"},
	{{"adm", "release", "info", RELEASE, RELEASE, "--changes-from=" RELEASE},
	 "error: must specify a single release image as argument when comparing to another release image\n"},
	{{"adm", "release", "info", RELEASE, RELEASE, "-o", "name"},
	 "error: unrecognized output mode: name\n"},
	{{"adm", "release", "info", "4.18.7"},
	 "error: '4.18.7' is a version, not an image: name the pull spec of the release, for example quay.io/openshift-release-dev/ocp-release:4.18.7-x86_64\n"},
	{{"adm", "release", "info", RELEASE, "--changelog=x"},
	 "error: --changelog and --bugs read the sources of components, and ferry does not\nhint: --commits shows which commits to compare\n"},
	{{"adm", "release", "info", RELEASE, "--icsp-file=a", "--idms-file=b"},
	 "Flag --icsp-file has been deprecated, support for it will be removed in a future release. Use --idms-file instead.\n"
	 "error: icsp-file and idms-file are mutually exclusive\n"},
	{{"image", "info"}, "error: info expects at least one argument, an image pull spec\n"},
	{{"image", "info", "a", "-o", "yaml"},
	 "error: unrecognized --output, only 'json' is supported\n"},
	// adm catalog mirror
	{{"adm", "catalog", "mirror"}, "error: must specify source and dest\n"},
	{{"adm", "catalog", "mirror", CATALOG}, "error: must specify source and dest\n"},
	{{"adm", "catalog", "mirror", CATALOG, "127.0.0.1:2/olm", "more"},
	 "error: only a source and a dest are accepted, and 'more' is neither\n"},
	{{"adm", "catalog", "mirror", "--nope", CATALOG, "127.0.0.1:2/olm"},
	 "error: unknown flag: --nope\nSee 'oc adm catalog mirror --help' for usage.\n"},
	{{"adm", "catalog", "mirror", CATALOG, "127.0.0.1:2/olm", "--max-components", "=", "2"},
	 "error: flag needs an argument: --max-components\nhint: write '--max-components=VALUE' without blanks around '='\nSee 'oc adm catalog mirror --help' for usage.\n"},
	{{"adm", "catalog", "mirror", CATALOG, "127.0.0.1:2/olm", "--max-components=", "2"},
	 "error: invalid argument \"\" for \"--max-components\" flag: strconv.ParseInt: parsing \"\": invalid syntax\nhint: write '--max-components=VALUE' without blanks around '='\nSee 'oc adm catalog mirror --help' for usage.\n"},
	{{"adm", "catalog", "mirror", CATALOG, "127.0.0.1:2/olm", "--max-components=1"},
	 "error: maxPathComponents must be 0 (no limit) or greater than 1\n"},
	{{"adm", "catalog", "mirror", "127.0.0.1:1/Cat/Fbc:v1", "127.0.0.1:2/olm"},
	 "error: \"127.0.0.1:1/Cat/Fbc:v1\" is not a valid image reference: repository name must be lowercase\n"},
	{{"adm", "catalog", "mirror", CATALOG, "file://"},
	 "error: \"\" is not a valid image reference: repository name must have at least one component\n"},
	{{"adm", "catalog", "mirror", CATALOG, "127.0.0.1:2/olm", "-o", "json"},
	 "error: --output=json is the plan of --dry-run, and --manifests-only makes none\n"},
	// adm samples mirror
	{{"adm", "samples", "mirror"},
	 "error: one destination is needed, REGISTRY[/PATH] or file://REPOSITORY, and in front of it media to read from\n"},
	{{"adm", "samples", "mirror", "127.0.0.1:2/samples"},
	 "error: -f must name the config map imagestreamtag-to-image, or SRC media that hold it\n"},
	{{"adm", "samples", "mirror", "127.0.0.1:1/cat", "127.0.0.1:2/samples", "-f", "-"},
	 "error: SRC must be media, file://REPOSITORY, not '127.0.0.1:1/cat': from a registry the images come by the names in the config map\n"},
	{{"adm", "samples", "mirror", "file://samples", "file://samples"},
	 "error: SRC and DST may not be the same; 'oc store copy' copies media\n"},
	{{"adm", "samples", "mirror", "samples", "-f", "-"},
	 "error: 'samples' names no registry: write mirror.example.com/samples\n"},
	// commands
	{{"adm", "node"},
	 "error: unknown command \"node\" for \"oc adm\"\nSee 'oc adm --help' for usage.\n"},
	{{"adm", "catalog", "build"},
	 "error: unknown command \"build\" for \"oc adm catalog\"\nSee 'oc adm catalog --help' for usage.\n"},
	{{"adm", "release", "miror"},
	 "error: unknown command \"miror\" for \"oc adm release\"\nhint: did you mean 'oc adm release mirror'?\nSee 'oc adm release --help' for usage.\n"},
	{{"registry", "login"},
	 "error: unknown command \"login\" for \"oc registry\"\nSee 'oc registry --help' for usage.\n"},
	{{"store", "copy", "one"}, "error: you must specify the folders SRC and DST\n"},
	{{"version", "-o", "xml"}, "error: --output must be 'yaml' or 'json'\n"},
};

TEST(mistakes_have_the_wording_of_the_reference_and_status_1)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct outcome o = call("oc", rows[i].words);

		CHECK_STR(o.err, rows[i].err);
		CHECK_STR(o.out, "");
		CHECK_INT(o.status, 1);
		outcome_release(&o);
	}
}

// Errors whose exact wording is not the reference's: the word that must be in them.
static const struct {
	const char *words[WORDS_MAX];
	const char *says;
} ours[] = {
	{{"image", "mirror", IMAGE "=127.0.0.1:2/d/one:a", "127.0.0.1:2/d/two:b"},
	 "SRC=DST"}, // b15
	{{"adm", "release", "mirror", "4.18.7", "--to=127.0.0.1:2/x/y"},
	 "quay.io/openshift-release-dev/ocp-release:4.18.7-"}, // c45
	{{"adm", "release", "mirror", RELEASE, "--to-image-stream=x"}, "needs a cluster"},
	{{"adm", "release", "mirror", RELEASE, "--to=127.0.0.1:2/x/y",
	  "--apply-release-image-signature"},
	 "needs a cluster"},
	{{"image", "mirror", "--s3-source-bucket=b", IMAGE, "127.0.0.1:2/d/two:b"},
	 "not supported"},
	{{"image", "mirror", "-a", "/nonexistent/auth.json", IMAGE, "127.0.0.1:2/d/two:b"},
	 "error: unable to load --registry-config: stat /nonexistent/auth.json: no such file"},
};

TEST(what_cannot_be_done_is_said_with_what_to_do)
{
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
		struct outcome o = call("ferry", ours[i].words);

		tap_report(strstr(o.err, ours[i].says) != NULL, "row %zu: %s", i, o.err);
		CHECK_INT(o.status, 1);
		outcome_release(&o);
	}
}

TEST(the_program_alone_shows_its_help)
{
	struct outcome o = call("ferry", (const char *const[WORDS_MAX]){NULL});

	CHECK_INT(o.status, 0);
	CHECK(strstr(o.out, "\nUsage:\n  ferry COMMAND") != NULL);
	CHECK_STR(o.err, "");
	outcome_release(&o);
}

TEST(a_command_without_its_subcommand_shows_help_and_fails)
{
	struct outcome o = call("oc", (const char *const[WORDS_MAX]){"adm", "release"});

	CHECK_INT(o.status, 1);
	CHECK(strstr(o.err, "\nUsage:\n  oc adm release COMMAND") != NULL);
	CHECK_STR(o.out, "");
	outcome_release(&o);
}

TEST(help_is_the_same_by_flag_and_by_command)
{
	struct outcome a = call("oc", (const char *const[WORDS_MAX]){"image", "mirror", "-h"});
	struct outcome b = call("oc", (const char *const[WORDS_MAX]){"help", "image", "mirror"});
	struct outcome c =
		call("oc", (const char *const[WORDS_MAX]){"--help", "image", "mirror", "x"});

	CHECK_STR(a.out, b.out);
	CHECK_STR(a.out, c.out);
	CHECK(strstr(a.out, "\nUsage:\n  oc image mirror SRC DST") != NULL);
	CHECK_INT(a.status | b.status | c.status, 0);
	outcome_release(&a);
	outcome_release(&b);
	outcome_release(&c);
}

TEST(connection_flags_may_stand_before_the_command)
{
	struct outcome o =
		call("oc", (const char *const[WORDS_MAX]){"-n", "ns", "--kubeconfig", "/k",
							  "version", "--context=c", "--client"});

	CHECK_INT(o.status, 0);
	CHECK(starts_with(o.out, "Client Version: " FERRY_VERSION "\n"));
	outcome_release(&o);
}

TEST(the_version_can_be_read_by_programs)
{
	struct outcome o = call("oc", (const char *const[WORDS_MAX]){"version", "-o", "json"});

	CHECK_INT(o.status, 0);
	CHECK(strstr(o.out, "\"releaseClientVersion\": \"" FERRY_VERSION "\"") != NULL);
	outcome_release(&o);
	o = call("oc", (const char *const[WORDS_MAX]){"version", "--output=yaml"});
	CHECK(strstr(o.out, "\nreleaseClientVersion: " FERRY_VERSION "\n") != NULL);
	outcome_release(&o);
}

TEST(output_that_cannot_be_written_is_a_failure)
{
	FILE *full = fopen("/dev/full", "w"), *err = fopen("/dev/null", "w");
	char *argv[] = {(char *)(uintptr_t) "ferry", (char *)(uintptr_t) "version", NULL};
	struct cmd_io io = {.out = full, .err = err, .env = no_env, .self = "ferry"};

	CHECK_INT(cmd_main(&io, 2, argv), 1);
	fclose(full);
	fclose(err);
}

int main(void)
{
	return tap_main();
}
