// SPDX-License-Identifier: Apache-2.0
// Extracting tools: component by component, each tool beside its name first.
#include "release/tools.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layer/archive_out.h"
#include "layer/find.h"
#include "util/fs.h"

enum { COPY_SIZE = 256 * 1024, MODE_TOOL = 0755, MODE_TEXT = 0644 };

// A file on its way to its name; gone when it never got there.
struct part {
	char *path, *temporary;
	int fd;
};

// A tool that was found.
struct tool_file {
	const struct tool *tool;
	struct part part;
	struct installer_scan scan;
	uint64_t size;
	int64_t mtime;
};

// What stands in sha256sum.txt: LINE, sorted by KEY.
struct sum {
	char *key, *line;
};

struct job {
	const struct tools_request *req;
	struct sum *sums;
	size_t nsums, sums_cap;
	size_t extracted;
};

// The tools of one component.
struct group {
	struct job *job;
	const char *component;
	struct tool_file *files;
	size_t n;
};

// ---- files under temporary names

static void part_release(struct part *p)
{
	if (p->temporary)
		unlink(p->temporary);
	close_fdp(&p->fd);
	free(p->path);
	free(p->temporary);
	*p = (struct part){.fd = -1};
}

// Takes PATH.
static int part_open(struct part *p, char *path, struct err *e)
{
	*p = (struct part){.path = path, .fd = -1};
	p->temporary = xasprintf("%s.XXXXXX", path);
	p->fd = mkostemp(p->temporary, O_CLOEXEC);
	if (p->fd >= 0)
		return 0;
	free(p->temporary);
	p->temporary = NULL;
	return err_os(e, ERR_IO, "cannot create '%s'", path);
}

static int part_commit(struct part *p, mode_t mode, int64_t mtime, struct err *e)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = mtime}};

	if (fchmod(p->fd, mode) < 0 || futimens(p->fd, times) < 0 || fsync(p->fd) < 0 ||
	    rename(p->temporary, p->path) < 0)
		return err_os(e, ERR_IO, "cannot write '%s'", p->path);
	free(p->temporary);
	p->temporary = NULL;
	return 0;
}

// ---- out of the image

// "oc.rhel9" is called oc where it is used.
static const char *file_name(const struct tool *t)
{
	return starts_with(t->command, "oc.") ? "oc" : t->command;
}

static int copy(struct tool_file *f, struct layer *l, struct err *e)
{
	auto_free char *chunk = xmalloc(COPY_SIZE);

	for (;;) {
		ssize_t n = layer_read(l, chunk, COPY_SIZE, e);

		if (n <= 0)
			return (int)n;
		installer_scan_add(&f->scan, chunk, (size_t)n);
		f->size += (uint64_t)n;
		if (fs_write_all(f->part.fd, chunk, (size_t)n, f->part.path, e) < 0)
			return -1;
	}
}

static int on_file(void *arg, size_t which, struct layer *l, const struct layer_entry *entry,
		   struct err *e)
{
	struct group *g = arg;
	struct tool_file *f = &g->files[which];

	part_release(&f->part); // an earlier entry of the same name
	f->size = 0;
	f->mtime = entry->mtime;
	installer_scan_init(&f->scan, f->tool->markers);
	if (part_open(&f->part, path_join(g->job->req->to, file_name(f->tool)), e) < 0)
		return -1;
	return copy(f, l, e);
}

static int check_patched(const struct job *j, const struct tool_file *f, struct err *e)
{
	auto_free char *missing = installer_missing(&f->scan);

	if (*missing == '\0')
		return 0;
	if (j->req->allow_unpatched) {
		say(&j->req->say,
		    "warning: Unable to make all expected replacements in %s.  Remaining: %s",
		    f->tool->command, missing);
		return 0;
	}
	err_set(e, ERR_INPUT,
		"unable to make all expected replacements in %s, remaining: %s: it would not be "
		"bound to this release",
		f->tool->command, missing);
	return err_hint(e, "hint: --allow-unpatched extracts it as it is");
}

static int patch(const struct job *j, const struct tool_file *f, struct err *e)
{
	const char *name = f->part.path;

	if (check_patched(j, f, e) < 0 ||
	    installer_patch(f->part.fd, &f->scan, &j->req->values, name, e) < 0)
		return -1;
	return f->tool->macho ? installer_sign_macho(f->part.fd, f->size, name, e) : 0;
}

// ---- archives

static void readme(struct buf *out, const struct tool *t, bool windows)
{
	const char *name = file_name(t);
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	if (strcmp(name, "oc") == 0)
		buf_puts(&text,
			 "# OpenShift client\n\n"
			 "`oc` is the command line client of OpenShift. Called as `kubectl`, it "
			 "behaves as that program does.\n\n");
	else if (starts_with(name, "ccoctl"))
		buf_puts(&text,
			 "# OpenShift cloud credential utility\n\n"
			 "`ccoctl` creates and removes the cloud credentials of a cluster that "
			 "manages them by hand.\n\n");
	else
		buf_printf(
			&text,
			"# OpenShift installer\n\n"
			"`%s` installs the release that it was extracted from, and no other.\n\n",
			name);
	buf_printf(
		&text,
		"Move `%s%s` to a folder of your PATH and run `%s help`. The documentation is at "
		"https://docs.openshift.com.\n",
		name, windows ? ".exe" : "", name);
	for (const char *c = text.p; *c; c++) {
		if (windows && *c == '\n')
			buf_putc(out, '\r');
		buf_putc(out, *c);
	}
}

static int fill_archive(struct archive_out *a, const struct tool_file *f, bool windows,
			struct err *e)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
	auto_free char *member = xasprintf("%s%s", file_name(f->tool), windows ? ".exe" : "");

	readme(&text, f->tool, windows);
	if (archive_out_bytes(a, "README.md", windows ? MODE_TOOL : MODE_TEXT, f->mtime,
			      buf_str(&text), e) < 0 ||
	    archive_out_file(a, member, MODE_TOOL, f->mtime, f->part.fd, f->size, e) < 0)
		return -1;
	if (windows || strcmp(member, "oc") != 0)
		return 0;
	return archive_out_link(a, "kubectl", "oc", MODE_TOOL, f->mtime, e);
}

static void add_sum(struct job *j, const char *key, const struct digest *d, const char *name)
{
	vec_reserve(j->sums, j->nsums, j->sums_cap);
	j->sums[j->nsums++] =
		(struct sum){xstrdup(key), xasprintf("%s  %s\n", digest_hex(d), name)};
}

// "openshift-client-linux-%s.tar.gz" with the version in it. Caller frees.
static char *archive_name(const struct tool *t, const char *version)
{
	const char *at = strstr(t->archive, "%s");

	return xasprintf("%.*s%s%s", (int)(at - t->archive), t->archive, version, at + 2);
}

static int write_archive(struct job *j, const struct tool_file *f, struct part *p, const char *name,
			 struct err *e)
{
	bool windows = strcmp(f->tool->os, "windows") == 0;
	struct digest d;
	auto_of(archive_out_free) struct archive_out *a =
		archive_out_new(p->fd, windows ? ARCHIVE_OUT_ZIP : ARCHIVE_OUT_TAR_GZ, p->path, e);

	if (!a || fill_archive(a, f, windows, e) < 0 || archive_out_finish(a, &d, e) < 0 ||
	    part_commit(p, MODE_TOOL, f->mtime, e) < 0)
		return -1;
	add_sum(j, p->path, &d, name);
	return 0;
}

static int put_archive(struct job *j, const struct tool_file *f, struct err *e)
{
	auto_free char *name = archive_name(f->tool, j->req->values.version);
	struct part p;
	int failed = part_open(&p, path_join(j->req->to, name), e);

	if (!failed)
		failed = write_archive(j, f, &p, name, e);
	part_release(&p);
	return failed;
}

// ---- components

static int put_file(struct job *j, struct tool_file *f, struct err *e)
{
	if (patch(j, f, e) < 0)
		return -1;
	j->extracted++;
	if (j->req->archives)
		return put_archive(j, f, e);
	return part_commit(&f->part, MODE_TOOL, f->mtime, e);
}

static int check_found(const struct group *g, const bool *found, struct err *e)
{
	auto_buf struct buf missing = BUF_INIT(BUF_TEXT_MAX);
	size_t n = 0;

	for (size_t i = 0; i < g->n; i++)
		if (!found[i] && !g->files[i].tool->recent)
			buf_printf(&missing, "%s%s", n++ ? ", " : "", g->files[i].tool->path);
	if (n == 1)
		return err_set(e, ERR_NOT_FOUND, "image did not contain %s", missing.p);
	return n == 0 ? 0
		      : err_set(e, ERR_NOT_FOUND, "unable to find multiple files: %s", missing.p);
}

static int extract_from(struct group *g, struct release_image *im, struct err *e)
{
	const char **paths = xcalloc(g->n, sizeof(*paths));
	auto_free bool *found = xcalloc(g->n, sizeof(*found));
	struct stack_source source = release_image_source(im);

	for (size_t i = 0; i < g->n; i++)
		paths[i] = g->files[i].tool->path;
	int failed = layers_find(im->manifest.layers, im->manifest.nlayers, &source,
				 &g->job->req->limits, paths, g->n, on_file, g, found, e);

	free(paths);
	if (failed || check_found(g, found, e) < 0)
		return -1;
	for (size_t i = 0; i < g->n; i++)
		if (found[i] && put_file(g->job, &g->files[i], e) < 0)
			return -1;
	return 0;
}

static const struct payload_component *find_component(const struct payload *p, const char *name)
{
	for (size_t i = 0; i < p->ncomponents; i++)
		if (strcmp(p->components[i].name, name) == 0)
			return &p->components[i];
	return NULL;
}

static int extract_group(struct group *g, struct err *e)
{
	const struct tools_request *req = g->job->req;
	const struct payload_component *c = find_component(req->payload, g->component);
	auto_release_image struct release_image im = {0};

	if (release_open_image(req->sources, &c->ref, req->filter, &im, e) < 0)
		return -1;
	if (extract_from(g, &im, e) < 0) {
		auto_free char *name = reference_print(&c->ref);

		return e->kind == ERR_DIGEST || e->kind == ERR_NET || e->kind == ERR_DENIED
			       ? err_wrap(e, "unable to read image %s", name)
			       : -1;
	}
	return 0;
}

static int extract_component(struct job *j, const struct tool_list *tools, const char *component,
			     struct err *e)
{
	struct group g = {.job = j, .component = component};

	g.files = xcalloc(tools->n, sizeof(*g.files));
	for (size_t i = 0; i < tools->n; i++)
		if (strcmp(tools->v[i]->component, component) == 0)
			g.files[g.n++] = (struct tool_file){.tool = tools->v[i], .part.fd = -1};
	int failed = extract_group(&g, e);

	for (size_t i = 0; i < g.n; i++)
		part_release(&g.files[i].part);
	free(g.files);
	return failed;
}

// The components that are needed, and those among them that the release does not have.
static void list_components(const struct tools_request *req, const struct tool_list *tools,
			    struct strlist *ret, struct strlist *ret_missing)
{
	for (size_t i = 0; i < tools->n; i++) {
		const char *name = tools->v[i]->component;
		bool is_there = find_component(req->payload, name) != NULL;
		struct strlist *to = is_there ? ret : ret_missing;

		if (!strlist_has(to, name))
			strlist_add(to, name);
	}
}

static int check_missing(const struct job *j, const struct strlist *have,
			 const struct strlist *missing, struct err *e)
{
	auto_buf struct buf names = BUF_INIT(BUF_TEXT_MAX);

	for (size_t i = 0; i < missing->n; i++)
		buf_printf(&names, "%s%s", i ? ", " : "", missing->v[i]);
	if (missing->n > 0 && have->n > 0)
		say(&j->req->say,
		    "warning: Some commands can not be extracted due to missing images: %s",
		    names.p);
	if (missing->n == 0 || have->n > 0)
		return 0;
	if (missing->n == 1)
		return err_set(e, ERR_NOT_FOUND,
			       "the image \"%s\" containing the desired command is not available",
			       names.p);
	return err_set(e, ERR_NOT_FOUND, "some required images are missing: %s", names.p);
}

// ---- texts beside the archives

static int put_release_text(struct job *j, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
	auto_free char *path = path_join(j->req->to, "release.txt");
	struct digest d;

	buf_printf(
		&text,
		"Tools of OpenShift %s\n\n"
		"sha256sum.txt lists the digests of the archives beside this file. The installer "
		"installs this release:\n\n",
		j->req->values.version);
	buf_put(&text, j->req->facts.p, j->req->facts.n);
	digest_of(&d, DIGEST_SHA256, text.p, text.n);
	add_sum(j, "release.txt", &d, "release.txt");
	return fs_write_file(path, buf_str(&text), MODE_TEXT, e);
}

static int compare_sums(const void *a, const void *b)
{
	return strcmp(((const struct sum *)a)->key, ((const struct sum *)b)->key);
}

static int put_signature(const struct job *j, struct str text, struct err *e)
{
	auto_buf struct buf signature = BUF_INIT(BUF_TEXT_MAX);
	auto_free char *path = path_join(j->req->to, "sha256sum.txt.asc");

	if (!j->req->sign)
		return 0;
	if (j->req->sign(j->req->sign_arg, text, &signature, e) < 0)
		return -1;
	return fs_write_file(path, buf_str(&signature), MODE_TEXT, e);
}

static int put_sums(struct job *j, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
	auto_free char *path = path_join(j->req->to, "sha256sum.txt");

	qsort(j->sums, j->nsums, sizeof(*j->sums), compare_sums);
	for (size_t i = 0; i < j->nsums; i++)
		buf_puts(&text, j->sums[i].line);
	if (fs_write_file(path, buf_str(&text), MODE_TEXT, e) < 0)
		return -1;
	return put_signature(j, buf_str(&text), e);
}

static int extract(struct job *j, const struct tool_list *tools, struct err *e)
{
	auto_strlist struct strlist components = {0}, missing = {0};

	list_components(j->req, tools, &components, &missing);
	if (check_missing(j, &components, &missing, e) < 0 ||
	    installer_check(&j->req->values, tool_list_markers(tools), e) < 0 ||
	    fs_mkdirs(j->req->to, 0777, e) < 0)
		return -1;
	for (size_t i = 0; i < components.n; i++)
		if (extract_component(j, tools, components.v[i], e) < 0)
			return -1;
	if (j->extracted == 0)
		return err_set(e, ERR_NOT_FOUND, "image did not contain %s", tools->v[0]->path);
	if (!j->req->archives)
		return fs_sync_dir(j->req->to, e);
	return put_release_text(j, e) < 0 ? -1 : put_sums(j, e);
}

int tools_extract(const struct tools_request *req, const struct tool_list *tools, struct err *e)
{
	struct job j = {.req = req};
	int failed = extract(&j, tools, e);

	for (size_t i = 0; i < j.nsums; i++) {
		free(j.sums[i].key);
		free(j.sums[i].line);
	}
	free(j.sums);
	return failed;
}
