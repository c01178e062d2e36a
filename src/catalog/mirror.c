// SPDX-License-Identifier: Apache-2.0
// The steps of mirroring a catalog.
#include "catalog/mirror.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalog/tag_digest.h"
#include "util/fs.h"

#define INCOMPLETE \
	"errors during mirroring. the full contents of the catalog may not have been mirrored"
#define MISSING_FILE "missing.txt"

void catalog_mirror_release(struct catalog_mirror *m)
{
	reference_release(&m->src);
	reference_release(&m->dst);
	reference_release(&m->index_dst);
	catalog_index_release(&m->index);
	free(m->path);
	free(m->path_dst);
	free(m->dir);
	for (size_t i = 0; m->items && i < m->mapping.n; i++)
		free(m->items[i].why);
	free(m->items);
	catalog_release(&m->catalog);
	catalog_mapping_release(&m->mapping);
	catalog_manifests_release(&m->manifests);
	strlist_release(&m->broken);
	strlist_release(&m->notices);
	mirror_result_release(&m->result);
	*m = (struct catalog_mirror){0};
}

// --- open ---

static struct catalog_mapping_config mapping_config(struct catalog_mirror *m)
{
	return (struct catalog_mapping_config){
		.src = &m->src,
		.src_root = &m->index.root,
		.dst = &m->dst,
		.max_components = m->req->max_components,
		.index_dst = given(m->req->index_dst) ? &m->index_dst : NULL,
		.tag_digest = catalog_tag_digest,
		.arg = m->places,
	};
}

static char *manifests_dir(const struct catalog_mirror *m)
{
	auto_free char *name = catalog_name_part(&m->src);

	if (given(m->req->to_manifests))
		return xstrdup(m->req->to_manifests);
	return xasprintf("manifests-%s-%" PRId64, name, m->req->now);
}

// Better now than when everything has been copied. The folder is made when there is something to
// write.
static int check_dir(const char *dir, struct err *e)
{
	auto_free char *parent = fs_existing_parent(dir);
	struct stat st;

	if (stat(dir, &st) == 0 && !S_ISDIR(st.st_mode))
		return err_set(e, ERR_USAGE, "mkdir %s: not a directory", dir);
	if (access(parent, W_OK | X_OK) < 0)
		return err_os(e, ERR_IO, "cannot write to folder '%s', for the manifests", parent);
	return 0;
}

static int parse_arguments(struct catalog_mirror *m, struct err *e)
{
	const struct catalog_mirror_request *req = m->req;

	if (reference_parse(&m->src, req->src, 0, e) < 0 ||
	    catalog_dest_parse(&m->dst, req->dst, e) < 0)
		return -1;
	if (given(req->index_dst) && reference_parse(&m->index_dst, req->index_dst, 0, e) < 0)
		return err_wrap(e, "--index-dest");
	const struct catalog_mapping_config cfg = mapping_config(m);

	if (catalog_mapping_check(&cfg, e) < 0)
		return -1;
	m->to_folder = m->dst.type == REF_FILE;
	m->dir = manifests_dir(m);
	return check_dir(m->dir, e);
}

int catalog_mirror_open(struct catalog_mirror *ret, struct places *places,
			const struct catalog_mirror_request *req, struct err *e)
{
	auto_free char *notice = NULL;

	*ret = (struct catalog_mirror){.req = req, .places = places};
	if (parse_arguments(ret, e) < 0 ||
	    catalog_index_open(places, &ret->src, req->index_filter, &ret->index, &notice, e) < 0)
		return -1;
	if (notice)
		strlist_addf(&ret->notices, "info: %s", notice);
	if (ret->index.kind == CATALOG_SQLITE && ret->index.labelled)
		strlist_add(&ret->notices, "warning: this is an sqlite catalog, a format that is "
					   "deprecated: opm 1.73 and later do not serve it");
	return 0;
}

char *catalog_mirror_label(const struct catalog_mirror *m)
{
	if (!m->index.labelled)
		return NULL;
	return xasprintf("src image has index label for %s path: %s",
			 m->index.kind == CATALOG_FBC ? "declarative configs" : "database",
			 m->index.path);
}

// --- list ---

static int parse_path(struct catalog_mirror *m, struct err *e)
{
	const char *colon;

	if (!given(m->req->path))
		return 0;
	colon = strchr(m->req->path, ':');
	if (!colon) {
		err_set(e, ERR_USAGE, "invalid path");
		return err_hint(e, "hint: --path is SRC:DST, for example /configs/:folder");
	}
	m->path = xstrndup(m->req->path, (size_t)(colon - m->req->path));
	m->path_dst = xstrdup(colon + 1);
	return 0;
}

static int manifests_config(const struct catalog_mirror *m, struct catalog_manifests_config *ret,
			    struct err *e)
{
	const struct catalog_mirror_request *req = m->req;

	*ret = (struct catalog_manifests_config){
		.src = &m->src,
		.max_idms_size = req->max_idms_size,
		.max_icsp_size = req->max_icsp_size,
		.name = given(req->name) ? req->name : NULL,
		.olm_v1 = req->olm_v1,
	};
	if (catalog_scope_parse(&ret->icsp_scope, "icsp-scope", req->icsp_scope, e) < 0 ||
	    catalog_scope_parse(&ret->idms_scope, "idms-scope", req->idms_scope, e) < 0 ||
	    catalog_set_size_check("max-icsp-size", req->max_icsp_size, e) < 0)
		return -1;
	return catalog_set_size_check("max-idms-size", req->max_idms_size, e);
}

static bool on_broken(void *arg, const struct err *why)
{
	struct catalog_mirror *m = arg;

	if (m->req->skip_broken)
		strlist_add(&m->broken, why->text);
	else
		m->ended_by_file = true;
	return m->req->skip_broken;
}

static int not_read(const struct catalog_mirror *m, struct err *e)
{
	if (e->kind == ERR_CANCELLED)
		return -1;
	err_wrap(e, "the catalog cannot be read");
	if (m->ended_by_file && m->req->mirror.transfer.continue_on_error)
		err_hint(e, "hint: nothing was mirrored; with --continue-on-error files that "
			    "cannot be read are passed over");
	return -1;
}

static int read_catalog(struct catalog_mirror *m, struct err *e)
{
	const struct catalog_mirror_request *req = m->req;
	const struct catalog_read_config cfg = {
		.threads = req->threads,
		.path = m->path,
		.temporary_dir = req->temporary_dir,
		.limits = req->limits,
		.cancel = req->mirror.transfer.cancel,
		.deep_scan = req->deep_scan,
		.on_broken = on_broken,
		.arg = m,
	};

	if (catalog_read(&m->index, &cfg, &m->catalog, e) < 0)
		return not_read(m, e);
	strlist_sort(&m->broken);
	return 0;
}

// Where nothing is to be passed over, a reference that is none ends the run before it begins.
static int check_bad(const struct catalog_mirror *m, struct err *e)
{
	size_t n = m->mapping.bad.n;

	if (n == 0 || m->req->mirror.transfer.continue_on_error)
		return 0;
	if (n == 1)
		return err_set(e, ERR_INPUT, INCOMPLETE ": %s", m->mapping.bad.v[0]);
	return err_set(e, ERR_INPUT, INCOMPLETE ": %s, and %zu more", m->mapping.bad.v[0], n - 1);
}

int catalog_mirror_list(struct catalog_mirror *m, struct err *e)
{
	struct catalog_manifests_config manifests;
	const struct catalog_mapping_config mapping = mapping_config(m);

	if (parse_path(m, e) < 0 || manifests_config(m, &manifests, e) < 0 ||
	    read_catalog(m, e) < 0 ||
	    catalog_mapping_make(&m->catalog, &mapping, &m->mapping, e) < 0 || check_bad(m, e) < 0)
		return -1;
	return catalog_manifests_make(&m->mapping, &manifests, &m->manifests, e);
}

// --- copy ---

// A part of the mapping on its way through mirror_run_list.
struct batch {
	const struct catalog_mirror *mirror;
	size_t *entries; // of its mapping
	size_t n;
};

static void batch_release(struct batch *b)
{
	free(b->entries);
}
#define auto_batch __attribute__((cleanup(batch_release)))

static void batch_init(struct batch *b, const struct catalog_mirror *m, bool index)
{
	*b = (struct batch){m, xcalloc(m->mapping.n + 1, sizeof(*b->entries)), 0};
	for (size_t i = 0; i < m->mapping.n; i++)
		if (!m->mapping.v[i].is_there && m->mapping.v[i].is_index == index)
			b->entries[b->n++] = i;
}

static void lend(const void *arg, size_t i, struct mapping *ret)
{
	const struct batch *b = arg;
	const struct catalog_entry *x = &b->mirror->mapping.v[b->entries[i]];

	*ret = (struct mapping){.src = x->src, .dst = x->dst};
	ret->dst.has_digest = false;
}

static void take_items(struct catalog_mirror *m, const struct batch *b, struct mirror_result *from)
{
	for (size_t i = 0; i < from->nitems; i++) {
		m->items[b->entries[i]] = from->items[i];
		from->items[i].why = NULL;
	}
}

static int run_batch(struct catalog_mirror *m, const struct mirror_options *opt, bool index,
		     const struct transfer_plan_visitor *visit, struct err *e)
{
	auto_batch struct batch b;
	struct mirror_result result = {0};

	batch_init(&b, m, index);
	if (b.n == 0)
		return 0;
	const struct mapping_list list = {b.n, lend, &b};
	int r = mirror_run_list(m->places, &list, opt, visit, &result, e);

	take_items(m, &b, &result);
	mirror_result_add(&m->result, &result);
	return r;
}

static bool something_done(const struct catalog_mirror *m)
{
	struct catalog_count n = catalog_mirror_count(m);

	return n.done > 0 || n.wanted == 0 || m->req->mirror.transfer.dry_run;
}

int catalog_mirror_copy(struct catalog_mirror *m, const struct transfer_plan_visitor *visit,
			struct err *e)
{
	struct mirror_options opt = m->req->mirror;

	// Lists are carried whole: what the catalog names by digest must be there under it.
	opt.all_platforms = true;
	opt.keep_manifest_list = true;
	// Gaps must not keep the rest: they are told, and the verdict is over all of it.
	opt.skip_missing = m->req->skip_missing || opt.transfer.continue_on_error;
	m->items = xcalloc(m->mapping.n + 1, sizeof(*m->items));
	for (size_t i = 0; i < m->mapping.n; i++)
		m->items[i].outcome = m->mapping.v[i].is_there ? MIRROR_DONE : MIRROR_UNTRIED;
	int r = run_batch(m, &opt, false, visit, e);

	if (r == 0 || (e->kind == ERR_INCOMPLETE && something_done(m)))
		r = run_batch(m, &opt, true, visit, e);
	if (r == 0 || e->kind == ERR_INCOMPLETE)
		return 0;
	if (e->kind != ERR_CANCELLED) {
		err_wrap(e, INCOMPLETE ": mirroring failed: error mirroring image");
		catalog_mirror_hint(m, e);
	}
	return -1;
}

// --- write ---

// The reference's modes: everything but mapping.txt may be executed.
static mode_t mode_of(const char *file)
{
	return ends_with(file, ".txt") ? 0666 : 0777;
}

static int write_file(const struct catalog_mirror *m, const char *file, struct str text,
		      struct err *e)
{
	auto_free char *path = path_join(m->dir, file);

	return fs_write_file(path, text, mode_of(file) & ~m->req->umask, e);
}

// Its text is large: it is made when everything else has gone.
static int write_mapping(const struct catalog_mirror *m, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	catalog_mapping_print(&text, &m->mapping);
	return write_file(m, "mapping.txt", buf_str(&text), e);
}

static int write_missing(const struct catalog_mirror *m, struct str missing, struct err *e)
{
	auto_free char *path = path_join(m->dir, MISSING_FILE);

	if (missing.n > 0)
		return write_file(m, MISSING_FILE, missing, e);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_os(e, ERR_IO, "cannot remove '%s', which is no longer true", path);
	return 0;
}

int catalog_mirror_write(const struct catalog_mirror *m, struct str missing, struct err *e)
{
	if (fs_mkdirs(m->dir, 0777, e) < 0 || write_mapping(m, e) < 0)
		return -1;
	for (size_t i = 0; i < m->manifests.n; i++) {
		const struct catalog_manifest *f = &m->manifests.v[i];

		if (write_file(m, f->file, buf_str(&f->text), e) < 0)
			return -1;
	}
	return write_missing(m, missing, e);
}

static const struct catalog_entry *index_entry(const struct catalog_mirror *m)
{
	return &m->mapping.v[m->mapping.n - 1];
}

void catalog_mirror_print_end(struct buf *ret, const struct catalog_mirror *m, const char *self,
			      const char *from_dir)
{
	buf_printf(ret, "wrote mirroring manifests to %s\n", m->dir);
	if (!m->to_folder)
		return;
	auto_free char *index = reference_print(&index_entry(m)->dst);

	buf_printf(ret,
		   "\nTo upload local images to a registry, run:\n\n"
		   "\t%s adm catalog mirror %s%s%s%s REGISTRY/REPOSITORY\n",
		   self, given(from_dir) ? "--from-dir=" : "", given(from_dir) ? from_dir : "",
		   given(from_dir) ? " " : "", index);
}

// --- verdict ---

bool catalog_mirror_is_missing(const struct catalog_mirror *m, size_t i)
{
	const struct mirror_item *it = &m->items[i];

	return it->outcome == MIRROR_MISSING || it->outcome == MIRROR_PARTLY;
}

bool catalog_mirror_is_failed(const struct catalog_mirror *m, size_t i)
{
	const struct mirror_item *it = &m->items[i];

	return it->outcome == MIRROR_FAILED ||
	       (it->outcome == MIRROR_UNTRIED && !m->req->mirror.transfer.dry_run);
}

struct catalog_count catalog_mirror_count(const struct catalog_mirror *m)
{
	struct catalog_count n = {.bad = m->mapping.bad.n};

	for (size_t i = 0; i < m->mapping.n; i++) {
		if (m->mapping.v[i].is_there)
			continue;
		n.wanted++;
		if (!m->items)
			continue;
		n.missing += catalog_mirror_is_missing(m, i);
		n.failed += catalog_mirror_is_failed(m, i);
		n.done += m->items[i].outcome == MIRROR_PARTLY ||
			  (!catalog_mirror_is_missing(m, i) && !catalog_mirror_is_failed(m, i));
	}
	return n;
}

static const struct mirror_item *first_failure(const struct catalog_mirror *m)
{
	const struct mirror_item *missing = NULL;

	for (size_t i = 0; i < m->mapping.n; i++) {
		if (m->items[i].outcome == MIRROR_FAILED)
			return &m->items[i];
		if (!missing && m->items[i].outcome == MIRROR_MISSING)
			missing = &m->items[i];
	}
	return missing;
}

static int nothing_mirrored(const struct catalog_mirror *m, struct err *e)
{
	const struct mirror_item *it = first_failure(m);

	err_set(e, it ? it->kind : ERR_IO, "nothing was mirrored: %s",
		it && it->why ? it->why : "the source has none of the images");
	if (e->kind == ERR_INCOMPLETE || e->kind == ERR_CANCELLED || e->kind == ERR_NONE)
		e->kind = ERR_INPUT; // neither is said of a whole run by one image
	catalog_mirror_hint(m, e);
	return -1;
}

static int incomplete(const struct catalog_mirror *m, const struct catalog_count *n, struct err *e)
{
	auto_buf struct buf what = BUF_INIT(BUF_TEXT_MAX);
	size_t gone = n->failed + n->missing + n->bad;

	if (gone > 0)
		buf_printf(&what, "%zu of %zu images are missing", gone, n->wanted + n->bad);
	if (m->broken.n > 0)
		buf_printf(&what, "%s%zu %s of the catalog cannot be read", what.n ? " and " : "",
			   m->broken.n, m->broken.n == 1 ? "file" : "files");
	err_set(e, ERR_INCOMPLETE, INCOMPLETE ": %s, named in %s/" MISSING_FILE, what.p, m->dir);
	catalog_mirror_hint(m, e);
	return -1;
}

int catalog_mirror_verdict(const struct catalog_mirror *m, struct err *e)
{
	struct catalog_count n = catalog_mirror_count(m);

	if (m->req->skip_missing && n.failed + n.bad + m->broken.n == 0)
		return 0;
	if (m->items && n.wanted > 0 && n.done == 0)
		return nothing_mirrored(m, e);
	if (n.failed + n.missing + n.bad + m->broken.n == 0)
		return 0;
	return incomplete(m, &n, e);
}

static size_t components(const char *repository)
{
	size_t n = *repository != '\0';

	for (; *repository; repository++)
		n += *repository == '/';
	return n;
}

static bool may_be_too_deep(const struct catalog_mirror *m, size_t i)
{
	const struct mirror_item *it = &m->items[i];

	return it->outcome == MIRROR_FAILED && !it->at_source &&
	       (it->http == 401 || it->http == 403 || it->http == 404) &&
	       components(m->mapping.v[i].dst.repository) > CATALOG_COMPONENTS_DEFAULT;
}

void catalog_mirror_hint(const struct catalog_mirror *m, struct err *e)
{
	for (size_t i = 0; m->items && i < m->mapping.n; i++) {
		if (!may_be_too_deep(m, i))
			continue;
		auto_free char *name = reference_print_repository(&m->mapping.v[i].dst);

		err_hint(e,
			 "hint: %s answered %d to '%s': if it takes no nested names, use "
			 "--max-components=%d",
			 m->mapping.v[i].dst.registry, m->items[i].http, name,
			 CATALOG_COMPONENTS_DEFAULT);
		return;
	}
}
