// SPDX-License-Identifier: Apache-2.0
// adm release info: facts of a release, or what differs between two.
#include <stdlib.h>
#include <string.h>

#include "cmd/setup.h"
#include "data/gofmt.h"
#include "data/json_query.h"
#include "image/platform.h"
#include "release/info.h"
#include "util/fs.h"
#include "util/mem.h"

#define QUERY_FILE_MAX ((size_t)1 << 20)
// More than what a release holds within its own ceilings can be, whatever has to be escaped in it.
#define OUTPUT_MAX     ((size_t)8 << 30)

struct options {
	struct security_options security;
	struct filter_options filter;
	struct parallel_options parallel;
	struct lookup_options lookup;
	const char *changelog, *bugs, *changes_from, *output, *template, *image_for, *dir;
	struct strlist keyrings, signature_stores;
	bool require_signature;
	bool pullspecs, commits, commit_urls, size, contents, verify, include_images;
};

#define AT(member) offsetof(struct options, member)
static const struct flag flags[] = {
	{FLAG_STRING, 0, "changes-from", AT(changes_from), "IMAGE",
	 "show what changed since this release; the same as naming it first", 0, 0},
	{FLAG_BOOL, 0, "pullspecs", AT(pullspecs), NULL,
	 "show the pull specs of images instead of digests", 0, 0},
	{FLAG_BOOL, 0, "commits", AT(commits), NULL, "show sources and commits of images", 0, 0},
	{FLAG_BOOL, 0, "commit-urls", AT(commit_urls), NULL, "show links to the commits", 0, 0},
	{FLAG_BOOL, 0, "size", AT(size), NULL,
	 "show the sizes of images; of two releases, what a mirror of the first lacks of the second",
	 0, 0},
	{FLAG_BOOL, 0, "contents", AT(contents), NULL, "print the files of the payload", 0, 0},
	{FLAG_BOOL, 0, "verify", AT(verify), NULL,
	 "check the signature, and that every image can be read and is what its digest says", 0, 0},
	{FLAG_BOOL, 0, "require-signature", AT(require_signature), NULL,
	 "with --verify: fail if the release is not signed as it should be", 0, 0},
	{FLAG_LIST, 0, "keyring", AT(keyrings), "FILE",
	 "with --verify: public keys, instead of those the release names", 0, 0},
	{FLAG_LIST, 0, "signature-store", AT(signature_stores), "URL|DIR",
	 "with --verify: where signatures are looked for, instead of where the release says", 0, 0},
	{FLAG_STRING, 0, "image-for", AT(image_for), "NAME", "print the pull spec of one image", 0,
	 0},
	{FLAG_BOOL, 0, "include-images", AT(include_images), NULL,
	 "in JSON, show the images that the release names, too", 0, 0},
	{FLAG_STRING, 'o', "output", AT(output), "FORMAT",
	 "json, or of the images: digest, name, pullspec; or jsonpath=…, template=…", 0, 0},
	{FLAG_STRING, 0, "template", AT(template), "TEXT",
	 "the template or jsonpath that -o names without one", 0, 0},
	{FLAG_BOOL, 0, "allow-missing-template-keys", 0, NULL,
	 "what a template does not find is always shown as missing", FLAG_HIDDEN | FLAG_IGNORED, 0},
	{FLAG_STRING, 0, "changelog", AT(changelog), "DIR", "needs the sources", FLAG_HIDDEN, 0},
	{FLAG_STRING, 0, "bugs", AT(bugs), "DIR", "needs the sources", FLAG_HIDDEN, 0},
	{FLAG_STRING, 0, "dir", AT(dir), "DIR", "folder of file:// images", 0, 0},
	{0},
};

static const struct flag_group groups[] = {
	{flags, 0},
	{security_flags, AT(security)},
	{filter_flags, AT(filter)},
	{parallel_flags, AT(parallel)},
	{lookup_flags, AT(lookup)},
	{0},
};
#undef AT

enum format {
	FORMAT_TEXT,
	FORMAT_JSON,
	FORMAT_DIGEST,
	FORMAT_NAME,
	FORMAT_PULLSPEC,
	FORMAT_JSONPATH,
	FORMAT_TEMPLATE,
};

// The command as it goes through its arguments.
struct run {
	const struct options *o;
	struct setup *s;
	enum format format;
	struct buf query; // of jsonpath and template
	struct release_info_request req;
};

static int check_views(const struct options *o, struct err *e)
{
	int views = given(o->image_for) + o->commits + o->commit_urls + o->pullspecs + o->contents +
		    o->size + o->verify;

	if (views > 1)
		return err_set(e, ERR_USAGE,
			       "only one of --commits, --commit-urls, --pullspecs, --contents, "
			       "--size, --verify may be specified");
	if (!o->verify && (o->require_signature || o->keyrings.n > 0 || o->signature_stores.n > 0))
		return err_set(e, ERR_USAGE,
			       "--require-signature, --keyring and --signature-store need "
			       "--verify");
	if (given(o->image_for) && given(o->output))
		return err_set(e, ERR_USAGE, "--output and --image-for may not both be specified");
	return 0;
}

static int read_query(struct run *r, const char *text, bool file, struct err *e)
{
	if (!given(text))
		text = r->o->template;
	if (!given(text))
		return err_set(e, ERR_USAGE, "--output '%.60s' needs a query", r->o->output);
	if (file)
		return fs_read_file(&r->query, text, e);
	return buf_add(&r->query, text, strlen(text), e);
}

static int read_format(struct run *r, struct err *e)
{
	static const struct {
		const char *name;
		enum format format;
		bool file;
	} formats[] = {
		{"json", FORMAT_JSON, false},
		{"pullspec", FORMAT_PULLSPEC, false},
		{"digest", FORMAT_DIGEST, false},
		{"name", FORMAT_NAME, false},
		{"jsonpath", FORMAT_JSONPATH, false},
		{"jsonpath-file", FORMAT_JSONPATH, true},
		{"template", FORMAT_TEMPLATE, false},
		{"templatefile", FORMAT_TEMPLATE, true},
		{"go-template", FORMAT_TEMPLATE, false},
		{"go-template-file", FORMAT_TEMPLATE, true},
	};
	struct str rest = str_of(r->o->output ? r->o->output : ""), name = str_cut(&rest, '=');
	size_t i = 0;

	if (name.n == 0)
		return 0;
	while (i < ARRAY_SIZE(formats) && !str_eqz(name, formats[i].name))
		i++;
	if (i == ARRAY_SIZE(formats))
		return err_set(e, ERR_USAGE,
			       "--output only supports json, pullspec, digest, name, go-template, "
			       "go-template-file, jsonpath, jsonpath-file, template, templatefile");
	r->format = formats[i].format;
	if (r->format < FORMAT_JSONPATH)
		return 0;
	return read_query(r, rest.p, formats[i].file, e);
}

static void print(struct run *r, const struct buf *text)
{
	fwrite(text->p, 1, text->n, r->s->io->out);
}

// Text that is for people: what the release wrote into it cannot move the cursor.
static void print_clean(struct run *r, const struct buf *text)
{
	auto_buf struct buf clean = BUF_INIT(OUTPUT_MAX);

	text_clean(&clean, buf_str(text));
	print(r, &clean);
}

static int read_release(struct run *r, const char *image, struct release_info *ret, struct err *e)
{
	struct release_info_request req = r->req;

	setup_note_image(r->s, image);
	req.image = image;
	if (release_info_read(ret, r->s->places, &req, e) < 0)
		return -1;
	for (size_t i = 0; i < ret->notes.n; i++)
		progress_line(r->s->progress, "warning: %s", ret->notes.v[i]);
	return 0;
}

static int unread(const struct release_info *info, struct err *e)
{
	return err_set(e, ERR_INCOMPLETE, "%zu images of %s could not be read", info->nunread,
		       info->image);
}

static int check_signature(struct run *r, const struct release_info *info, struct err *e)
{
	auto_signatures struct signatures found = {0};
	struct release_verify_request req = {
		.net = r->s->net,
		.now = r->s->io->now,
		.media = r->o->dir,
		.keyrings = &r->o->keyrings,
		.signature_stores = &r->o->signature_stores,
	};
	struct err why = {0};

	if (release_info_verify(info, &req, &found, &why) < 0) {
		if (r->o->require_signature || why.kind == ERR_CANCELLED) {
			*e = why;
			return err_wrap(e, "the release is not verified");
		}
		progress_line(r->s->progress, "warning: the release is not verified: %s", why.text);
		return 0;
	}
	for (size_t i = 0; i < found.n; i++)
		progress_line(r->s->progress, "info: Verified %s: signed as %s by key %s at %s",
			      found.digest.text, found.v[i].reference, found.v[i].key,
			      gofmt_time(found.v[i].created).s);
	return 0;
}

static int show_verified(struct run *r, const struct release_info *info, struct err *e)
{
	auto_buf struct buf out = BUF_INIT(OUTPUT_MAX);

	for (size_t i = 0; i < info->warnings.n; i++)
		progress_line(r->s->progress, "error: %s", info->warnings.v[i]);
	if (info->nunread > 0) {
		unread(info, e);
		e->kind = ERR_INPUT; // nothing of it has been shown to be whole
		return -1;
	}
	if (check_signature(r, info, e) < 0)
		return -1;
	release_info_print_verified(&out, info);
	print_clean(r, &out);
	return 0;
}

static int put_json(struct buf *out, const struct release_info *info, struct err *e)
{
	struct json_out j = {.out = out, .indent = 2};

	if (release_info_json(&j, info, e) < 0)
		return err_wrap(e, "%s", info->image);
	return 0;
}

static int show_query(struct run *r, const struct release_info *info, struct err *e)
{
	const struct json_limits limits = {
		.bytes = BUF_TEXT_MAX, .values = JSON_VALUES_MAX * 10, .depth = JSON_DEPTH_MAX * 2};
	auto_buf struct buf json = BUF_INIT(OUTPUT_MAX), out = BUF_INIT(OUTPUT_MAX);
	auto_json struct json_doc doc = {0};

	if (put_json(&json, info, e) < 0 || json_parse(&doc, buf_str(&json), limits, 0, e) < 0)
		return -1;
	struct json root = json_root(&doc);

	if (json_query(&out, &root, r->query.p,
		       r->format == FORMAT_JSONPATH ? JSON_QUERY_PATH : JSON_QUERY_TEMPLATE, e) < 0)
		return -1;
	print(r, &out);
	return 0;
}

static void show_list(struct run *r, const struct release_info *info)
{
	auto_buf struct buf out = BUF_INIT(OUTPUT_MAX);

	for (size_t i = 0; i < info->ntags; i++) {
		const struct release_tag *t = &info->tags[i];
		auto_free char *digest = t->spec ? release_digest_or_spec(t->spec) : NULL;

		if (r->format == FORMAT_NAME)
			buf_printf(&out, "%s\n", t->name);
		else if (!t->spec)
			continue;
		else if (r->format == FORMAT_PULLSPEC)
			buf_printf(&out, "%s\n", t->spec);
		else if (strcmp(digest, t->spec) != 0)
			buf_printf(&out, "%s\n", digest);
		else
			progress_line(r->s->progress, "error: %s does not point to a digest",
				      t->name);
	}
	print_clean(r, &out);
}

static int show_image_for(struct run *r, const struct release_info *info, struct err *e)
{
	auto_buf struct buf out = BUF_INIT(OUTPUT_MAX);
	const char *spec;

	if (release_info_image_for(info, r->o->image_for, &spec, e) < 0)
		return -1;
	buf_printf(&out, "%s\n", spec);
	print_clean(r, &out);
	return 0;
}

static enum release_columns columns(const struct options *o)
{
	return o->size          ? RELEASE_SIZES
	       : o->commit_urls ? RELEASE_COMMIT_URLS
	       : o->commits     ? RELEASE_COMMITS
	       : o->pullspecs   ? RELEASE_PULL_SPECS
				: RELEASE_DIGESTS;
}

static int show_text(struct run *r, const struct release_info *info, struct err *e)
{
	auto_buf struct buf out = BUF_INIT(OUTPUT_MAX);

	if (given(r->o->image_for))
		return show_image_for(r, info, e);
	release_info_print(&out, info, columns(r->o), r->s->io->now);
	print_clean(r, &out);
	return 0;
}

static int show_json(struct run *r, const struct release_info *info, struct err *e)
{
	auto_buf struct buf out = BUF_INIT(OUTPUT_MAX);

	if (put_json(&out, info, e) < 0)
		return -1;
	buf_putc(&out, '\n');
	print(r, &out);
	return 0;
}

static int show_contents(struct run *r, const struct release_info *info)
{
	auto_buf struct buf out = BUF_INIT(OUTPUT_MAX);

	release_info_print_contents(&out, info);
	print(r, &out);
	return 0;
}

static int show(struct run *r, const struct release_info *info, struct err *e)
{
	if (r->o->verify)
		return show_verified(r, info, e);
	if (r->o->contents)
		return show_contents(r, info);
	switch (r->format) {
	case FORMAT_TEXT:
		return show_text(r, info, e);
	case FORMAT_JSON:
		return show_json(r, info, e);
	case FORMAT_JSONPATH:
	case FORMAT_TEMPLATE:
		return show_query(r, info, e);
	default:
		show_list(r, info);
		return 0;
	}
}

static int show_release(struct run *r, const char *image, struct err *e)
{
	auto_release_info struct release_info info = {0};

	if (read_release(r, image, &info, e) < 0 || show(r, &info, e) < 0)
		return -1;
	return info.nunread > 0 ? unread(&info, e) : 0;
}

// Every release is shown; the last failure is what main() reports, the others are printed here.
static int show_releases(struct run *r, int argc, char **argv, struct err *e)
{
	int failed = 0;

	for (int i = 0; i < argc; i++) {
		struct err why = {0};

		if (show_release(r, argv[i], &why) == 0)
			continue;
		if (failed)
			progress_line(r->s->progress, "error: %s", e->text);
		failed = -1;
		*e = why;
		if (why.kind == ERR_CANCELLED)
			break;
	}
	return failed;
}

static void show_how_to_compare(struct run *r, const char *from, const char *to)
{
	const char *self = r->s->io->self;

	fprintf(r->s->io->out,
		"To see the differences between these releases, run:\n\n"
		"  %s adm release extract %s --to=/tmp/old\n"
		"  %s adm release extract %s --to=/tmp/new\n"
		"  diff /tmp/old /tmp/new\n\n",
		self, from, self, to);
}

static int compare(struct run *r, const char *from, const char *to, struct err *e)
{
	auto_release_info struct release_info old = {0}, new = {0};
	auto_buf struct buf out = BUF_INIT(OUTPUT_MAX);
	struct release_upgrade upgrade, *shown = r->o->size ? &upgrade : NULL;
	struct json_out j = {.out = &out, .indent = 2};

	if (r->format != FORMAT_TEXT && r->format != FORMAT_JSON)
		return err_set(e, ERR_USAGE, "unrecognized output mode: %s", r->o->output);
	if (r->o->contents) {
		show_how_to_compare(r, from, to);
		return 0;
	}
	if (read_release(r, from, &old, e) < 0 || read_release(r, to, &new, e) < 0)
		return -1;
	if (shown && release_upgrade_read(shown, r->s->places, &old, &new, r->req.parallel, e) < 0)
		return -1;
	if (r->format == FORMAT_TEXT) {
		release_diff_print(&out, &old, &new, r->o->commits, shown, r->s->io->now);
		print_clean(r, &out);
		return 0;
	}
	if (release_diff_json(&j, &old, &new, shown, e) < 0)
		return -1;
	buf_putc(&out, '\n');
	print(r, &out);
	return 0;
}

static int check(struct run *r, int argc, struct err *e)
{
	const struct options *o = r->o;

	if (argc == 0)
		return err_set(e, ERR_USAGE,
			       "info expects at least one argument, a release image pull spec");
	if (check_views(o, e) < 0 || read_format(r, e) < 0)
		return -1;
	if (given(o->changelog) || given(o->bugs)) {
		err_set(e, ERR_UNSUPPORTED,
			"--changelog and --bugs read the sources of components, and ferry does "
			"not");
		return err_hint(e, "hint: --commits shows which commits to compare");
	}
	if (given(o->changes_from) && argc != 1)
		return err_set(e, ERR_USAGE,
			       "must specify a single release image as argument when comparing to "
			       "another release image");
	return 0;
}

static int run_checked(struct run *r, int argc, char **argv, struct err *e)
{
	const struct options *o = r->o;

	if (check(r, argc, e) < 0)
		return -1;
	bool two = !given(o->changes_from) && argc == 2 && !o->verify;
	const char *from = two ? argv[0] : given(o->changes_from) ? o->changes_from : NULL;
	// What an upgrade moves is looked up otherwise.
	r->req.images = o->verify || o->include_images || (o->size && !from);
	r->req.parallel = (unsigned)parallel_limit(&o->parallel);
	if (from && !o->verify)
		return compare(r, from, argv[argc - 1], e);
	return show_releases(r, argc, argv, e);
}

static int run(const struct cmd_io *io, void *options, int argc, char **argv, struct err *e)
{
	struct options *o = options;
	auto_setup struct setup s = {0};
	auto_of(platform_filter_free) struct platform_filter *filter = NULL;
	bool any = !o->filter.filter_by_os;
	struct setup_config cfg = {
		.security = &o->security,
		.parallel = &o->parallel,
		.lookup = &o->lookup,
		.dir = o->dir,
		.from_dir = o->dir,
	};
	struct run r = {.o = o, .s = &s, .query = BUF_INIT(QUERY_FILE_MAX)};

	if (lookup_check(&o->lookup, io, e) < 0 ||
	    platform_filter_new(&filter, any ? platform_local() : o->filter.filter_by_os, e) < 0 ||
	    setup_init(&s, io, &cfg, e) < 0)
		return -1;
	r.req = (struct release_info_request){.filter = filter, .default_filter = any};
	int failed = run_checked(&r, argc, argv, e);

	buf_free(&r.query);
	return failed;
}

const struct cmd cmd_adm_release_info = {
	.name = "info",
	.synopsis = "IMAGE [IMAGE]",
	.summary = "Show information about a release, or what differs between two",
	.details =
		"Shows version, upgrades, components and images of a release in a registry or a folder. Of two releases it shows which images were changed, rebuilt, added and removed; with --size also how much a mirror of the first has to be sent for the second.",
	.examples =
		"# a release\n"
		"quay.io/openshift-release-dev/ocp-release:4.18.7-x86_64\n"
		"# where its installer is\n"
		"quay.io/openshift-release-dev/ocp-release:4.18.7-x86_64 --image-for=installer\n"
		"# a release on media\n"
		"--dir=mirror file://openshift/release:4.18.7-x86_64 --pullspecs\n"
		"# what an upgrade of the mirror takes\n"
		"registry.local/ocp4/openshift4:4.18.7-x86_64 quay.io/openshift-release-dev/ocp-release:4.18.8-x86_64 --size",
	.groups = groups,
	.options_size = sizeof(struct options),
	.run = run,
};
