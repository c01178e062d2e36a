// SPDX-License-Identifier: Apache-2.0
#include "cmd/flags.h"
#include "cmd/help.h"
#include "cmd/options.h"

#include "tap.h"
#include "util/mem.h"

#include <stdlib.h>

// Does every line end before column 101?
static bool fits(const char *text)
{
	for (struct str rest = str_of(text); rest.p;)
		if (str_cut(&rest, '\n').n > 100)
			return false;
	return true;
}

static void check_help(const struct cmd *cmd, const char *path)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
	auto_free char *usage = xasprintf("\nUsage:\n  %s ", path);

	help_print(&text, cmd, path);
	tap_report(starts_with(text.p, cmd->summary) || strlen(cmd->summary) > 80, "%s: %s", path,
		   text.p);
	tap_report(strstr(text.p, usage) != NULL, "%s has no usage: %s", path, text.p);
	tap_report(ends_with(text.p, "\n") && !ends_with(text.p, "\n\n"), "end of %s", path);
	for (const struct cmd *const *sub = cmd->subs; sub && *sub; sub++) {
		auto_free char *below = xasprintf("%s %s", path, (*sub)->name);

		tap_report(strstr(text.p, (*sub)->summary) != NULL, "%s lacks %s", path,
			   (*sub)->name);
		check_help(*sub, below);
	}
}

TEST(every_command_has_help)
{
	check_help(&cmd_root, "oc");
}

static void check_tables(const struct cmd *cmd)
{
	for (const struct flag_group *g = cmd->groups; g && g->flags; g++) {
		for (const struct flag *f = g->flags; f->type != FLAG_END; f++) {
			tap_report(f->help && *f->help, "--%s has no help", f->name);
			tap_report(g->base + f->offset < cmd->options_size, "--%s", f->name);
			tap_report(g->base + f->given < cmd->options_size, "--%s", f->name);
		}
	}
	for (const struct cmd *const *sub = cmd->subs; sub && *sub; sub++)
		check_tables(*sub);
}

TEST(flags_have_help_and_lie_within_their_options)
{
	check_tables(&cmd_root);
}

TEST(lines_of_help_fit_a_terminal)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	help_print(&text, &cmd_image_mirror, "ferry image mirror");
	const char *examples = strstr(text.p, "\nExamples:"), *flags = strstr(text.p, "\nFlags:");

	CHECK(examples && flags);
	auto_free char *head = xstrndup(text.p, (size_t)(examples - text.p));

	CHECK(fits(head));
	CHECK(fits(flags));
}

TEST(help_says_that_no_cluster_is_talked_to_and_hides_the_flags_for_one)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	help_print(&text, &cmd_image_mirror, "ferry image mirror");
	CHECK(strstr(text.p, "ferry talks to no cluster") != NULL);
	CHECK(strstr(text.p, "--tls-server-name") == NULL);
	CHECK(strstr(text.p, "(default 4)") != NULL);
	CHECK(strstr(text.p, "-a, --registry-config FILE") != NULL);
	CHECK(strstr(text.p, "-h, --help") != NULL);
}

// Flags of the reference as the specification lists them (0.4, 2.1, 2.2, 2.3).
static const struct {
	const struct cmd *cmd;
	const char *name;
	char letter;
	enum flag_type type;
} known[] = {
	{&cmd_image_mirror, "registry-config", 'a', FLAG_STRING},
	{&cmd_image_mirror, "insecure", 0, FLAG_BOOL},
	{&cmd_image_mirror, "skip-verification", 0, FLAG_BOOL},
	{&cmd_image_mirror, "certificate-authority", 0, FLAG_STRING},
	{&cmd_image_mirror, "filter-by-os", 0, FLAG_STRING},
	{&cmd_image_mirror, "max-per-registry", 0, FLAG_INT},
	{&cmd_image_mirror, "dir", 0, FLAG_STRING},
	{&cmd_image_mirror, "from-dir", 0, FLAG_STRING},
	{&cmd_image_mirror, "filename", 'f', FLAG_LIST},
	{&cmd_image_mirror, "dry-run", 0, FLAG_BOOL},
	{&cmd_image_mirror, "continue-on-error", 0, FLAG_BOOL},
	{&cmd_image_mirror, "skip-missing", 0, FLAG_BOOL},
	{&cmd_image_mirror, "skip-mount", 0, FLAG_BOOL},
	{&cmd_image_mirror, "skip-multiple-scopes", 0, FLAG_BOOL},
	{&cmd_image_mirror, "force", 0, FLAG_BOOL},
	{&cmd_image_mirror, "keep-manifest-list", 0, FLAG_BOOL},
	{&cmd_image_mirror, "max-registry", 0, FLAG_INT},
	{&cmd_image_mirror, "s3-source-bucket", 0, FLAG_LIST},
	{&cmd_image_mirror, "layout", 0, FLAG_STRING},
	{&cmd_image_mirror, "mirror-instructions", 0, FLAG_STRING},
	{&cmd_adm_release_mirror, "registry-config", 'a', FLAG_STRING},
	{&cmd_adm_release_mirror, "insecure", 0, FLAG_BOOL},
	{&cmd_adm_release_mirror, "skip-verification", 0, FLAG_BOOL},
	{&cmd_adm_release_mirror, "certificate-authority", 0, FLAG_STRING},
	{&cmd_adm_release_mirror, "max-per-registry", 0, FLAG_INT},
	{&cmd_adm_release_mirror, "from", 0, FLAG_STRING},
	{&cmd_adm_release_mirror, "from-dir", 0, FLAG_STRING},
	{&cmd_adm_release_mirror, "to", 0, FLAG_STRING},
	{&cmd_adm_release_mirror, "to-dir", 0, FLAG_STRING},
	{&cmd_adm_release_mirror, "to-release-image", 0, FLAG_STRING},
	{&cmd_adm_release_mirror, "skip-release-image", 0, FLAG_BOOL},
	{&cmd_adm_release_mirror, "to-image-stream", 0, FLAG_STRING},
	{&cmd_adm_release_mirror, "to-mirror", 0, FLAG_BOOL},
	{&cmd_adm_release_mirror, "dry-run", 0, FLAG_BOOL},
	{&cmd_adm_release_mirror, "keep-manifest-list", 0, FLAG_BOOL},
	{&cmd_adm_release_mirror, "print-mirror-instructions", 0, FLAG_STRING},
	{&cmd_adm_release_mirror, "release-image-signature-to-dir", 0, FLAG_STRING},
	{&cmd_adm_release_mirror, "apply-release-image-signature", 0, FLAG_BOOL},
	{&cmd_adm_release_mirror, "overwrite", 0, FLAG_BOOL},
	{&cmd_adm_release_mirror, "layout", 0, FLAG_STRING},
	{&cmd_adm_catalog_mirror, "registry-config", 'a', FLAG_STRING},
	{&cmd_adm_catalog_mirror, "insecure", 0, FLAG_BOOL},
	{&cmd_adm_catalog_mirror, "skip-verification", 0, FLAG_BOOL},
	{&cmd_adm_catalog_mirror, "certificate-authority", 0, FLAG_STRING},
	{&cmd_adm_catalog_mirror, "max-per-registry", 0, FLAG_INT},
	{&cmd_adm_catalog_mirror, "index-filter-by-os", 0, FLAG_STRING},
	{&cmd_adm_catalog_mirror, "filter-by-os", 0, FLAG_STRING},
	{&cmd_adm_catalog_mirror, "to-manifests", 0, FLAG_STRING},
	{&cmd_adm_catalog_mirror, "path", 0, FLAG_STRING},
	{&cmd_adm_catalog_mirror, "manifests-only", 0, FLAG_BOOL},
	{&cmd_adm_catalog_mirror, "dry-run", 0, FLAG_BOOL},
	{&cmd_adm_catalog_mirror, "dir", 0, FLAG_STRING},
	{&cmd_adm_catalog_mirror, "from-dir", 0, FLAG_STRING},
	{&cmd_adm_catalog_mirror, "max-components", 0, FLAG_INT},
	{&cmd_adm_catalog_mirror, "idms-scope", 0, FLAG_STRING},
	{&cmd_adm_catalog_mirror, "max-idms-size", 0, FLAG_INT},
	{&cmd_adm_catalog_mirror, "icsp-scope", 0, FLAG_STRING},
	{&cmd_adm_catalog_mirror, "max-icsp-size", 0, FLAG_INT},
	{&cmd_adm_catalog_mirror, "continue-on-error", 0, FLAG_BOOL},
	{&cmd_adm_catalog_mirror, "skip-missing", 0, FLAG_BOOL},
	{&cmd_adm_catalog_mirror, "index-dest", 0, FLAG_STRING},
	{&cmd_adm_catalog_mirror, "name", 0, FLAG_STRING},
	{&cmd_adm_catalog_mirror, "olm-v1", 0, FLAG_BOOL},
	{&cmd_adm_catalog_mirror, "deep-scan", 0, FLAG_BOOL},
	{&cmd_adm_catalog_mirror, "layout", 0, FLAG_STRING},
	{&cmd_adm_catalog_mirror, "include-signatures", 0, FLAG_BOOL},
	{&cmd_adm_catalog_mirror, "no-signatures", 0, FLAG_BOOL},
	{&cmd_adm_catalog_mirror, "output", 'o', FLAG_STRING},
	{&cmd_adm_release_extract, "registry-config", 'a', FLAG_STRING},
	{&cmd_adm_release_extract, "insecure", 0, FLAG_BOOL},
	{&cmd_adm_release_extract, "skip-verification", 0, FLAG_BOOL},
	{&cmd_adm_release_extract, "certificate-authority", 0, FLAG_STRING},
	{&cmd_adm_release_extract, "filter-by-os", 0, FLAG_STRING},
	{&cmd_adm_release_extract, "max-per-registry", 0, FLAG_INT},
	{&cmd_adm_release_extract, "icsp-file", 0, FLAG_STRING},
	{&cmd_adm_release_extract, "idms-file", 0, FLAG_STRING},
	{&cmd_adm_release_extract, "from", 0, FLAG_STRING},
	{&cmd_adm_release_extract, "to", 0, FLAG_STRING},
	{&cmd_adm_release_extract, "file", 0, FLAG_STRING},
	{&cmd_adm_release_extract, "command", 0, FLAG_STRING},
	{&cmd_adm_release_extract, "command-os", 0, FLAG_STRING},
	{&cmd_adm_release_extract, "tools", 0, FLAG_BOOL},
	{&cmd_adm_release_extract, "dir", 0, FLAG_STRING},
	{&cmd_adm_release_extract, "signing-key", 0, FLAG_STRING},
	{&cmd_adm_release_extract, "git", 0, FLAG_STRING},
	{&cmd_adm_release_extract, "output", 'o', FLAG_STRING},
	{&cmd_adm_release_extract, "credentials-requests", 0, FLAG_BOOL},
	{&cmd_adm_release_extract, "cloud", 0, FLAG_STRING},
	{&cmd_adm_release_extract, "included", 0, FLAG_BOOL},
	{&cmd_adm_release_extract, "install-config", 0, FLAG_STRING},
	{&cmd_image_extract, "registry-config", 'a', FLAG_STRING},
	{&cmd_image_extract, "insecure", 0, FLAG_BOOL},
	{&cmd_image_extract, "skip-verification", 0, FLAG_BOOL},
	{&cmd_image_extract, "certificate-authority", 0, FLAG_STRING},
	{&cmd_image_extract, "filter-by-os", 0, FLAG_STRING},
	{&cmd_image_extract, "icsp-file", 0, FLAG_STRING},
	{&cmd_image_extract, "idms-file", 0, FLAG_STRING},
	{&cmd_image_extract, "path", 0, FLAG_LIST},
	{&cmd_image_extract, "file", 0, FLAG_LIST},
	{&cmd_image_extract, "confirm", 0, FLAG_BOOL},
	{&cmd_image_extract, "dry-run", 0, FLAG_BOOL},
	{&cmd_image_extract, "only-files", 0, FLAG_BOOL},
	{&cmd_image_extract, "all-layers", 0, FLAG_BOOL},
	{&cmd_image_extract, "preserve-ownership", 'p', FLAG_BOOL},
	{&cmd_image_extract, "dir", 0, FLAG_STRING},
	{&cmd_store_copy, "layout", 0, FLAG_STRING},
	{&cmd_version, "client", 0, FLAG_BOOL},
	{&cmd_version, "output", 'o', FLAG_STRING},
	{&cmd_version, "v", 'v', FLAG_INT},
	{&cmd_version, "loglevel", 0, FLAG_INT},
	{&cmd_version, "kubeconfig", 0, FLAG_STRING},
	{&cmd_version, "context", 0, FLAG_STRING},
	{&cmd_version, "namespace", 'n', FLAG_STRING},
	{&cmd_version, "server", 's', FLAG_STRING},
	{&cmd_version, "token", 0, FLAG_STRING},
	{&cmd_version, "user", 0, FLAG_STRING},
	{&cmd_version, "cluster", 0, FLAG_STRING},
	{&cmd_version, "as", 0, FLAG_STRING},
	{&cmd_version, "as-group", 0, FLAG_LIST},
	{&cmd_version, "as-uid", 0, FLAG_STRING},
	{&cmd_version, "request-timeout", 0, FLAG_STRING},
	{&cmd_version, "cache-dir", 0, FLAG_STRING},
	{&cmd_version, "certificate-authority", 0, FLAG_STRING},
	{&cmd_version, "client-certificate", 0, FLAG_STRING},
	{&cmd_version, "client-key", 0, FLAG_STRING},
	{&cmd_version, "insecure-skip-tls-verify", 0, FLAG_BOOL},
	{&cmd_version, "tls-server-name", 0, FLAG_STRING},
	{&cmd_version, "match-server-version", 0, FLAG_BOOL},
	{&cmd_version, "disable-compression", 0, FLAG_BOOL},
	{&cmd_version, "warnings-as-errors", 0, FLAG_BOOL},
	{&cmd_version, "profile", 0, FLAG_STRING},
	{&cmd_version, "profile-output", 0, FLAG_STRING},
	{&cmd_version, "log-flush-frequency", 0, FLAG_STRING},
	{&cmd_version, "vmodule", 0, FLAG_STRING},
};

TEST(every_flag_of_the_reference_exists)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		auto_free void *options = xcalloc(1, known[i].cmd->options_size);
		struct flag_sets sets = {0};
		struct global_options globals;
		void *base;

		flag_sets_add_cmd(&sets, known[i].cmd, options);
		flag_sets_add(&sets, global_flags, &globals);
		const struct flag *f = flag_find(&sets, str_of(known[i].name), &base);

		tap_report(f && f->letter == known[i].letter && f->type == known[i].type,
			   "--%s of %s", known[i].name, known[i].cmd->name);
	}
}

int main(void)
{
	return tap_main();
}
