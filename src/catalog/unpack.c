// SPDX-License-Identifier: Apache-2.0
// The tree, written down.
#include "catalog/unpack.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "catalog/tree.h"
#include "layer/extract_to.h"
#include "util/fs.h"

struct unpacking {
	struct extract_to *to;
	size_t files;
	char *stale; // what was written and is not there
};

static int on_file(void *arg, const char *path, struct layer *l, const struct layer_entry *entry,
		   struct err *e)
{
	struct unpacking *u = arg;

	u->files++;
	return extract_to_add(u->to, path, l, entry, e);
}

static void on_gone(void *arg, const char *path)
{
	struct unpacking *u = arg;

	if (!u->stale && u->files > 0 && (*path == '\0' || extract_to_has(u->to, path)))
		u->stale = xstrdup(path);
}

static int on_broken(void *arg, const char *path, const struct err *why, struct err *e)
{
	(void)arg, (void)path, (void)why, (void)e;
	return 0; // whoever reads the catalog tells
}

static int unpack(struct catalog_index *ix, const char *path, const char *dir,
		  const struct layer_limits *limits, struct cancel *cancel, struct err *e)
{
	auto_of(extract_to_free) struct extract_to *to =
		extract_to_new(dir, &(struct extract_to_options){0}, e);
	struct unpacking u = {.to = to};
	const struct tree_visitor visitor = {
		.file = on_file,
		.gone = on_gone,
		.broken = on_broken,
		.arg = &u,
		.skip_links = ix->kind == CATALOG_SQLITE && ends_with(path, "/"),
	};

	if (!to)
		return -1;
	int failed = catalog_tree_walk(ix, path, limits, &visitor, cancel, e);

	if (!failed && u.stale)
		failed = err_set(
			e, ERR_INPUT,
			"a layer has '%s' twice, as different things: it cannot be unpacked",
			u.stale);
	free(u.stale);
	return failed ? -1 : extract_to_commit(to, e);
}

static int check_empty(const char *dir, struct err *e)
{
	DIR *d = opendir(dir);
	const struct dirent *entry;
	bool empty = true;

	if (!d)
		return err_os(e, ERR_IO, "cannot open '%s'", dir);
	while (empty && (entry = readdir(d)))
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	closedir(d);
	return empty ? 0
		     : err_set(e, ERR_INPUT,
			       "'%s' is not empty: what is in it would be taken for files of the "
			       "catalog",
			       dir);
}

int catalog_unpack(struct catalog_index *ix, const char *path, const char *dir,
		   const struct layer_limits *limits, struct cancel *cancel, struct err *e)
{
	bool is_new = !fs_exists(dir);

	if (fs_mkdirs(dir, 0755, e) < 0 || check_empty(dir, e) < 0)
		return -1;
	if (unpack(ix, path, dir, limits, cancel, e) == 0)
		return 0;
	if (is_new)
		rmdir(dir);
	return -1;
}
