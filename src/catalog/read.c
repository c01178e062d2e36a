// SPDX-License-Identifier: Apache-2.0
// From an index image to a catalog, by one of two ways.
#include "catalog/read.h"

#include "catalog/collect.h"
#include "catalog/database.h"
#include "catalog/fbc_reader.h"
#include "catalog/tree.h"

static ssize_t read_layer(void *source, void *data, size_t n, struct err *e)
{
	return layer_read(source, data, n, e);
}

static int on_file(void *arg, const char *path, struct layer *l, const struct layer_entry *entry,
		   struct err *e)
{
	(void)entry;
	return fbc_reader_file(arg, path, read_layer, l, e);
}

static void on_gone(void *arg, const char *path)
{
	fbc_reader_gone(arg, path);
}

static int on_broken(void *arg, const char *path, const struct err *why, struct err *e)
{
	(void)e;
	fbc_reader_broken(arg, path, why);
	return 0;
}

static int read_fbc(struct catalog_index *ix, const char *path,
		    const struct catalog_read_config *cfg, struct collect *to, struct err *e)
{
	const struct fbc_reader_config reader = {
		.threads = cfg->threads,
		.deep_scan = cfg->deep_scan,
		.tree_path = path,
		.cancel = cfg->cancel,
		.on_broken = cfg->on_broken,
		.arg = cfg->arg,
	};
	auto_of(fbc_reader_free) struct fbc_reader *r = fbc_reader_new(&reader, e);
	const struct tree_visitor visitor = {
		.file = on_file, .gone = on_gone, .broken = on_broken, .arg = r};

	if (!r || catalog_tree_walk(ix, path, &cfg->limits, &visitor, cfg->cancel, e) < 0)
		return -1;
	return fbc_reader_finish(r, to, e);
}

int catalog_read(struct catalog_index *ix, const struct catalog_read_config *cfg,
		 struct catalog *ret, struct err *e)
{
	auto_of(collect_free) struct collect *found = collect_new();
	const char *path = cfg->path ? cfg->path : ix->path;
	int failed = ix->kind == CATALOG_FBC ? read_fbc(ix, path, cfg, found, e)
					     : catalog_database_read(ix, path, cfg, found, e);

	if (failed)
		return -1;
	if (collect_is_empty(found))
		return err_set(e, ERR_INPUT, "the catalog in '%s' is empty", path);
	collect_finish(found, ret);
	return 0;
}
