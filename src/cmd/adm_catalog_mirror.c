// SPDX-License-Identifier: Apache-2.0
// adm catalog mirror: an operator catalog with every image that it names, to a registry or to
// media.
#include "catalog/report.h"
#include "catalog/unpack.h"
#include "cmd/outcome.h"
#include "cmd/unpack_limits.h"
#include "util/clock.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct options {
	struct folder_options folders;
	struct security_options security;
	struct parallel_options parallel;
	struct layout_options layout;
	struct attached_options attached;
	struct unpack_options unpack;
	const char *index_filter, *to_manifests, *path, *index_dest, *name;
	const char *idms_scope, *icsp_scope, *output;
	int max_components, max_idms_size, max_icsp_size;
	bool manifests_only, dry_run, continue_on_error, skip_missing, olm_v1, deep_scan;
	bool filter_by_os_given, icsp_scope_given, max_icsp_size_given, continue_given;
};

#define AT(member) offsetof(struct options, member)
static const struct flag flags[] = {
	{FLAG_STRING, 0, "index-filter-by-os", AT(index_filter), "REGEX",
	 "which image of a multi-architecture index is read: os/arch or os/arch/variant, or an expression (default: linux/amd64); all of them are mirrored",
	 0, 0},
	{FLAG_STRING, 0, "filter-by-os", AT(index_filter), "REGEX",
	 "the old name of --index-filter-by-os", FLAG_HIDDEN, AT(filter_by_os_given)},
	{FLAG_BOOL, 0, "manifests-only", AT(manifests_only), NULL,
	 "write the files that a mirror needs and copy nothing", 0, 0},
	{FLAG_STRING, 0, "to-manifests", AT(to_manifests), "DIR",
	 "folder for these files (default: manifests-NAME-TIME)", 0, 0},
	{FLAG_INT, 0, "max-components", AT(max_components), "N",
	 "components of a path that the registry takes; names are joined by '-' beyond that, 0 is no limit (default: 2)",
	 0, 0},
	{FLAG_STRING, 0, "idms-scope", AT(idms_scope), "repository|registry",
	 "what one entry of the ImageDigestMirrorSet stands for (default: repository)", 0, 0},
	{FLAG_INT, 0, "max-idms-size", AT(max_idms_size), "BYTES",
	 "of one ImageDigestMirrorSet; more are made beyond that (default: 250000)", 0, 0},
	{FLAG_STRING, 0, "icsp-scope", AT(icsp_scope), "repository|registry",
	 "the same of the ImageContentSourcePolicy", FLAG_HIDDEN, AT(icsp_scope_given)},
	{FLAG_INT, 0, "max-icsp-size", AT(max_icsp_size), "BYTES",
	 "the same of the ImageContentSourcePolicy", FLAG_HIDDEN, AT(max_icsp_size_given)},
	{FLAG_STRING, 0, "name", AT(name), "NAME",
	 "of the CatalogSource and the other objects (default: made of the catalog's)", 0, 0},
	{FLAG_BOOL, 0, "olm-v1", AT(olm_v1), NULL, "write a ClusterCatalog for OLM v1, too", 0, 0},
	{FLAG_BOOL, 0, "deep-scan", AT(deep_scan), NULL,
	 "mirror images, too, that only the ClusterServiceVersions inside of bundles name", 0, 0},
	{FLAG_STRING, 0, "index-dest", AT(index_dest), "IMAGE",
	 "where the index image goes, instead of below DEST", 0, 0},
	{FLAG_STRING, 0, "path", AT(path), "SRC:DIR",
	 "the catalog is at SRC in the index image, whatever its label says; its files are written to DIR, which must be empty",
	 0, 0},
	{FLAG_BOOL, 0, "dry-run", AT(dry_run), NULL,
	 "show what would be copied, by package; destinations are not contacted, the files are written",
	 0, 0},
	{FLAG_STRING, 'o', "output", AT(output), "json",
	 "the plan of --dry-run on standard output, for programs", 0, 0},
	{FLAG_BOOL, 0, "continue-on-error", AT(continue_on_error), NULL,
	 "copy what can be copied after a failure (default: true); when it is given, files of the catalog that cannot be read are passed over, too",
	 0, AT(continue_given)},
	{FLAG_BOOL, 0, "skip-missing", AT(skip_missing), NULL,
	 "images that the source does not have are listed, and are no failure", 0, 0},
	{0},
};

static const struct flag_group groups[] = {
	{flags, 0},
	{folder_flags, AT(folders)},
	{security_flags, AT(security)},
	{parallel_flags, AT(parallel)},
	{layout_flags, AT(layout)},
	{attached_flags, AT(attached)},
	{unpack_flags, AT(unpack)},
	{0},
};
#undef AT

static void defaults(void *options)
{
	struct options *o = options;

	o->max_components = CATALOG_COMPONENTS_DEFAULT;
	o->idms_scope = o->icsp_scope = "repository";
	o->max_idms_size = o->max_icsp_size = CATALOG_SET_MAX;
	o->continue_on_error = true;
}

// One call of the command.
struct call {
	const struct options *o;
	struct setup *s;
	struct catalog_mirror_request req;
	struct catalog_mirror m;
	bool json;
};

// --- arguments

static int check_arguments(int argc, char **argv, struct err *e)
{
	if (argc < 2)
		return err_set(e, ERR_USAGE, "must specify source and dest");
	if (argc == 2)
		return 0;
	err_set(e, ERR_USAGE, "only a source and a dest are accepted, and '%s' is neither",
		argv[2]);
	for (int i = 0; i < argc; i++)
		if (argv[i][0] == '=')
			return err_hint(e, "hint: write flags as --flag=VALUE, without blanks");
	return -1;
}

static int check_output(const struct options *o, bool *ret_json, struct err *e)
{
	*ret_json = given(o->output);
	if (!*ret_json)
		return 0;
	if (strcmp(o->output, "json") != 0)
		return err_set(e, ERR_USAGE, "--output must be json");
	if (!o->dry_run || o->manifests_only)
		return err_set(e, ERR_USAGE,
			       "--output=json is the plan of --dry-run, and --manifests-only "
			       "makes none");
	return 0;
}

// In the words of the reference, blanks that are missing included.
static void tell_deprecated(const struct options *o, const struct cmd_io *io)
{
	if (o->filter_by_os_given)
		fputs("Flag --filter-by-os has been deprecated, use --index-filter-by-os instead\n",
		      io->err);
	if (o->icsp_scope_given)
		fputs("Flag --icsp-scope has been deprecated, support for it will be removed in a "
		      "future release.Use --idms-scope instead.\n",
		      io->err);
	if (o->max_icsp_size_given)
		fputs("Flag --max-icsp-size has been deprecated, support for it will be removed in "
		      "a future release. Use --max-idms-size instead.\n",
		      io->err);
}

static unsigned processors(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : (unsigned)n;
}

static mode_t current_umask(void)
{
	mode_t mask = umask(0);

	umask(mask);
	return mask;
}

static int make_request(struct call *c, const struct cmd_io *io, char **argv, struct err *e)
{
	const struct options *o = c->o;
	const char *tmp = io->env("TMPDIR");

	c->req = (struct catalog_mirror_request){
		.src = argv[0],
		.dst = argv[1],
		.index_filter = o->index_filter,
		.max_components = o->max_components,
		.index_dst = o->index_dest,
		.idms_scope = o->idms_scope,
		.icsp_scope = o->icsp_scope,
		.max_idms_size = o->max_idms_size,
		.max_icsp_size = o->max_icsp_size,
		.name = o->name,
		.olm_v1 = o->olm_v1,
		.to_manifests = o->to_manifests,
		.path = o->path,
		.manifests_only = o->manifests_only,
		.skip_missing = o->skip_missing,
		.deep_scan = o->deep_scan,
		.skip_broken = o->continue_given && o->continue_on_error,
		.now = io->now,
		.umask = current_umask(),
		.threads = processors(),
		.temporary_dir = given(tmp) ? tmp : "/tmp",
		.mirror =
			{
				.check_space = true,
				.transfer =
					{
						.cancel = io->cancel,
						.max_registries = 4,
						.continue_on_error = o->continue_on_error,
						.dry_run = o->dry_run,
					},
			},
	};
	if (attached_choice(&o->attached, &c->req.mirror.attached, e) < 0)
		return -1;
	return unpack_limits(&o->unpack, &c->req.limits, e);
}

// --- output

// Standard output is for the plan alone when programs read it.
static void put_line(struct call *c, const char *line)
{
	if (c->json) {
		progress_line(c->s->progress, "%s", line);
		return;
	}
	auto_buf struct buf clean = BUF_INIT(BUF_TEXT_MAX);

	text_clean(&clean, str_of(line));
	for (size_t i = 0; i < clean.n; i++)
		if (clean.p[i] == '\n')
			clean.p[i] = '?';
	buf_putc(&clean, '\n');
	progress_settle(c->s->progress);
	fwrite(clean.p, 1, clean.n, c->s->io->out);
	fflush(c->s->io->out);
}

static void put_json(void *arg, struct str text)
{
	fwrite(text.p, 1, text.n, ((struct setup *)arg)->io->out);
}

static void tell_list(struct call *c, const char *prefix, const struct strlist *l)
{
	enum { SHOWN = 20 };

	for (size_t i = 0; i < l->n && i < SHOWN; i++)
		progress_line(c->s->progress, "%s%s", prefix, l->v[i]);
	if (l->n > SHOWN)
		progress_line(c->s->progress, "%sand %zu more", prefix, l->n - SHOWN);
}

static void put_text(struct call *c, struct buf *text)
{
	if (c->json) {
		progress_text(c->s->progress, buf_str(text));
	} else {
		progress_settle(c->s->progress);
		fwrite(text->p, 1, text->n, c->s->io->out);
	}
	buf_clear(text);
}

// There may be two notices for each image.
static void put_notices(struct call *c)
{
	enum { AT_ONCE = 64 << 10 };
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	for (size_t i = 0; i < c->m.manifests.notices.n; i++) {
		buf_printf(&text, "%s\n", c->m.manifests.notices.v[i]);
		if (text.n >= AT_ONCE)
			put_text(c, &text);
	}
	put_text(c, &text);
}

static void put_end(struct call *c)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	put_notices(c);
	catalog_mirror_print_end(&text, &c->m, c->s->io->self, c->o->folders.dir);
	put_text(c, &text);
}

// --- the steps

static int open_index(struct call *c, struct err *e)
{
	int failed = catalog_mirror_open(&c->m, c->s->places, &c->req, e);

	tell_list(c, "", &c->m.notices);
	if (failed)
		return -1;
	auto_free char *label = catalog_mirror_label(&c->m);

	if (label)
		put_line(c, label);
	return 0;
}

// What could be made of the manifests is of use also when one of them could not.
static void write_rest(struct call *c)
{
	struct err ignored;

	if (!c->m.manifests.named)
		return;
	put_notices(c);
	if (catalog_mirror_write(&c->m, STR(""), &ignored) == 0)
		progress_line(c->s->progress, "info: what could be made is in %s", c->m.dir);
}

static int list_images(struct call *c, struct err *e)
{
	int failed = catalog_mirror_list(&c->m, e);

	tell_list(c, "warning: left out: ", &c->m.broken);
	if (failed)
		write_rest(c);
	else
		tell_list(c, "info: ", &c->m.manifests.remarks);
	return failed;
}

// --path: the files of the catalog, for whoever wants to look at them.
static int unpack_files(struct call *c, struct err *e)
{
	struct catalog_mirror *m = &c->m;

	if (!m->path_dst)
		return 0;
	if (catalog_unpack(&m->index, given(m->path) ? m->path : m->index.path, m->path_dst,
			   &c->req.limits, c->s->io->cancel, e) < 0)
		return -1;
	progress_line(c->s->progress, "info: wrote the files of the catalog to %s", m->path_dst);
	return 0;
}

static int plan(struct call *c, struct err *e)
{
	auto_of(catalog_plan_free) struct catalog_plan *plan = catalog_plan_new();
	struct transfer_plan_visitor visitor = catalog_plan_visitor(plan);
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
	uint64_t start = clock_us();
	int failed = catalog_mirror_copy(&c->m, &visitor, e);

	if (failed)
		return -1;
	catalog_plan_attribute(plan, &c->m);
	catalog_plan_print(&text, plan);
	outcome_plan(c->s, buf_str(&text), false, clock_us() - start);
	if (c->json)
		catalog_plan_json(plan, put_json, c->s);
	return 0;
}

static int copy(struct call *c, struct err *e)
{
	uint64_t start = clock_us();
	int failed = catalog_mirror_copy(&c->m, NULL, e);
	const struct mirror_result *r = &c->m.result;

	outcome_lines(c->s, r);
	if (!failed || r->lines.n > 0 || r->stats.bytes_moved > 0)
		outcome_time(c->s, r, clock_us() - start);
	return failed;
}

static int finish(struct call *c, struct err *e)
{
	auto_buf struct buf missing = BUF_INIT(BUF_TEXT_MAX), shown = BUF_INIT(BUF_TEXT_MAX);

	catalog_missing_print(&missing, &c->m);
	if (catalog_mirror_write(&c->m, buf_str(&missing), e) < 0)
		return -1;
	catalog_missing_show(&shown, &c->m);
	progress_text(c->s->progress, buf_str(&shown));
	put_end(c);
	return catalog_mirror_verdict(&c->m, e);
}

static int mirror(struct call *c, struct err *e)
{
	c->req.mirror.transfer.pool = c->s->pool;
	c->req.mirror.transfer.sink = progress_sink(c->s->progress);
	if (open_index(c, e) < 0 || list_images(c, e) < 0 || unpack_files(c, e) < 0)
		return -1;
	if (!c->o->manifests_only && (c->o->dry_run ? plan(c, e) : copy(c, e)) < 0)
		return -1;
	return finish(c, e);
}

static int run(const struct cmd_io *io, void *options, int argc, char **argv, struct err *e)
{
	struct call c = {.o = options};
	struct setup_config cfg = {
		.security = &c.o->security,
		.parallel = &c.o->parallel,
		.skip_multiple_scopes = true,
		.dir = c.o->folders.dir,
		.from_dir = c.o->folders.from_dir,
	};

	tell_deprecated(c.o, io);
	if (check_arguments(argc, argv, e) < 0 || check_output(c.o, &c.json, e) < 0 ||
	    layout_parse(&c.o->layout, &cfg.layout, e) < 0 || make_request(&c, io, argv, e) < 0)
		return -1;
	auto_setup struct setup s = {0};

	c.s = &s;
	int failed = setup_init(&s, io, &cfg, e) < 0 ? -1 : mirror(&c, e);

	catalog_mirror_release(&c.m);
	return failed;
}

const struct cmd cmd_adm_catalog_mirror = {
	.name = "mirror",
	.synopsis = "SRC DEST",
	.summary = "Mirror an operator catalog to a registry or to media",
	.details =
		"Reads the index image SRC (a file-based or an sqlite catalog) and copies every image that the catalog names to DEST: a registry with or without a path (mirror.example.com:5000/olm), or a folder (file://PATH below --dir). The index image comes last.\n"
		"\n"
		"Written are mapping.txt (for 'image mirror -f'), and for a registry imageDigestMirrorSet.yaml, imageContentSourcePolicy.yaml, catalogSource.yaml, and imageTagMirrorSet.yaml where the catalog names images by tag. From media the sources in them are those of the catalog: one upload is all that is needed.\n"
		"\n"
		"Paths are joined by '-' so that they have no more than --max-components components; images that would end under one name are found before anything is copied.\n"
		"\n"
		"Exit status 3: some images are missing. They are listed with the bundles that need them, all of them in missing.txt; mirroring again completes what is there.",
	.examples =
		"# directly to a registry\n"
		"registry.redhat.io/redhat/redhat-operator-index:v4.18 mirror.example.com:5000/olm\n"
		"# how much would that be, and which packages make it so much?\n"
		"registry.redhat.io/redhat/redhat-operator-index:v4.18 mirror.example.com:5000/olm --dry-run\n"
		"# to a folder that can be carried over, and from there to a registry\n"
		"registry.redhat.io/redhat/redhat-operator-index:v4.18 file://local/index --dir=media\n"
		"file://local/index/redhat/redhat-operator-index:v4.18 mirror.example.com:5000/olm --from-dir=media\n"
		"# only the files\n"
		"registry.redhat.io/redhat/redhat-operator-index:v4.18 mirror.example.com:5000/olm --manifests-only --to-manifests=manifests",
	.groups = groups,
	.options_size = sizeof(struct options),
	.defaults = defaults,
	.run = run,
};
