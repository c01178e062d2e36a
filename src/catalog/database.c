// SPDX-License-Identifier: Apache-2.0
// Finding the database in the layers, and reading its tables.
#include "catalog/database.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "catalog/csv.h"
#include "catalog/tree.h"
#include "data/json.h"
#include "data/sqlite.h"
#include "util/fs.h"
#include "util/map.h"

// ---- the file

struct search {
	const struct catalog_read_config *cfg;
	char *path; // of the database, below the catalog's folder; NULL: none yet
	int fd;
	bool passed; // one that comes after it was passed over
	bool lost;   // and then it turned out not to be there
	bool in_folder;
};

static void search_release(struct search *s)
{
	free(s->path);
	close_fdp(&s->fd);
}

// The order of a directory walk: names are compared part by part.
static int compare_paths(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	int x = *a == '/' ? 1 : (unsigned char)*a, y = *b == '/' ? 1 : (unsigned char)*b;

	return x - y;
}

// A file of DIR without a name.
static int open_temporary(const char *dir, struct err *e)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
		return fd >= 0 ? fd : err_os(e, ERR_IO, "temporary file in '%s'", dir);
	auto_free char *name = path_join(dir, "ferry-catalog-XXXXXX");

	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0)
		return err_os(e, ERR_IO, "temporary file in '%s'", dir);
	unlink(name);
	return fd;
}

static int copy(int fd, struct layer *l, struct str head, struct err *e)
{
	auto_free char *chunk = xmalloc(1 << 16);
	uint64_t left = CATALOG_DATABASE_MAX - head.n;

	if (fs_write_all(fd, head.p, head.n, "temporary file", e) < 0)
		return -1;
	for (;;) {
		ssize_t n = layer_read(l, chunk, 1 << 16, e);

		if (n <= 0)
			return (int)n;
		if ((uint64_t)n > left)
			return err_set(e, ERR_INPUT,
				       "the database is larger than %" PRIu64 " bytes",
				       CATALOG_DATABASE_MAX);
		left -= (uint64_t)n;
		if (fs_write_all(fd, chunk, (size_t)n, "temporary file", e) < 0)
			return -1;
	}
}

static int read_head(struct layer *l, char head[SQLITE_MAGIC_SIZE], size_t *ret, struct err *e)
{
	for (*ret = 0; *ret < SQLITE_MAGIC_SIZE;) {
		ssize_t n = layer_read(l, head + *ret, SQLITE_MAGIC_SIZE - *ret, e);

		if (n < 0)
			return -1;
		if (n == 0)
			break;
		*ret += (size_t)n;
	}
	return 0;
}

static int on_file(void *arg, const char *path, struct layer *l, const struct layer_entry *entry,
		   struct err *e)
{
	struct search *s = arg;
	char head[SQLITE_MAGIC_SIZE];
	size_t n;

	(void)entry;
	if (s->path && compare_paths(s->path, path) < 0) {
		s->passed = true;
		return 0;
	}
	if (read_head(l, head, &n, e) < 0)
		return -1;
	if (n < SQLITE_MAGIC_SIZE || memcmp(head, SQLITE_MAGIC, n) != 0)
		return 0;
	auto_fd int fd = open_temporary(s->cfg->temporary_dir ? s->cfg->temporary_dir : "/tmp", e);

	if (fd < 0 || copy(fd, l, (struct str){head, n}, e) < 0)
		return -1;
	s->passed = s->passed || (s->path && strcmp(s->path, path) != 0);
	search_release(s);
	s->path = xstrdup(path);
	s->fd = fd;
	fd = -1;
	return 0;
}

static void on_gone(void *arg, const char *path)
{
	struct search *s = arg;
	size_t n = strlen(path);

	if (!s->path || strncmp(s->path, path, n) != 0 ||
	    (n > 0 && s->path[n] != '\0' && s->path[n] != '/'))
		return;
	search_release(s);
	s->path = NULL;
	s->fd = -1;
	s->lost = s->lost || s->passed;
}

// Only what the path names has to be a file.
static int on_broken(void *arg, const char *path, const struct err *why, struct err *e)
{
	const struct search *s = arg;

	(void)path;
	if (s->in_folder)
		return 0;
	*e = *why;
	return -1;
}

static int find(struct search *s, struct catalog_index *ix, const char *path, struct err *e)
{
	const struct tree_visitor visitor = {
		.file = on_file,
		.gone = on_gone,
		.broken = on_broken,
		.arg = s,
		.skip_links = ends_with(path, "/"),
	};

	s->in_folder = visitor.skip_links;
	if (catalog_tree_walk(ix, path, &s->cfg->limits, &visitor, s->cfg->cancel, e) < 0)
		return -1;
	if (s->lost)
		return err_set(e, ERR_INPUT, "a layer has a database in '%s' twice", path);
	if (!s->path)
		return err_set(e, ERR_INPUT, "no database file found in '%s'", path);
	return 0;
}

// ---- what it says

// What each bundle is called in TO.
struct reading {
	const struct catalog_read_config *cfg;
	struct collect *to;
	struct map packages; // name of a bundle → that of its package, in the arena
	struct map bundles;  // name of a bundle → its number in TO
	struct arena arena;
	size_t text; // bytes in the arena and as keys
	bool has_path, has_csv;
};

static void reading_release(struct reading *r)
{
	map_release(&r->packages);
	map_release(&r->bundles);
	arena_free(&r->arena);
}

static int check_text(struct str text, const char *what, struct err *e)
{
	if (text.n > CATALOG_TEXT_MAX)
		return err_set(e, ERR_INPUT, "%s '%.60s…' has more than %zu bytes", what, text.p,
			       CATALOG_TEXT_MAX);
	if (text.n > 0 && memchr(text.p, '\0', text.n))
		return err_set(e, ERR_INPUT, "%s '%.200s' goes on behind a NUL byte", what, text.p);
	return 0;
}

static int check_texts(const struct str *values, const char *const *columns, size_t n,
		       struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (check_text(values[i], columns[i], e) < 0)
			return -1;
	return 0;
}

static int on_package(void *arg, const struct str *values, struct err *e)
{
	struct reading *r = arg;

	if (check_text(values[0], "package.name", e) < 0)
		return -1;
	return collect_package(r->to, values[0], e);
}

static const char *const entry_columns[] = {"operatorbundle_name", "package_name"};

static int on_entry(void *arg, const struct str *values, struct err *e)
{
	struct reading *r = arg;
	bool is_new;

	if (check_texts(values, entry_columns, ARRAY_SIZE(entry_columns), e) < 0)
		return -1;
	if (values[0].n == 0)
		return 0;
	struct map_entry *en = map_put(&r->packages, values[0], &is_new);

	if (!is_new)
		return 0;
	r->text += values[0].n + values[1].n;
	if (r->packages.n > CATALOG_BUNDLES_MAX || r->text > CATALOG_ARENA_MAX)
		return err_set(e, ERR_INPUT, "channel_entry names too many bundles");
	en->ptr = arena_strndup(&r->arena, values[1].p ? values[1].p : "", values[1].n);
	return 0;
}

// ---- images of a csv

static int collect_csv(struct reading *r, uint32_t bundle, struct str name, struct str text,
		       struct err *e)
{
	auto_strlist struct strlist images = {0};
	int failed = 0;

	if (str_trim(text).n == 0)
		return 0;
	if (csv_images(&images, text, e) < 0) {
		err_wrap(e, "csv of bundle '%.*s'", (int)(name.n < 200 ? name.n : 200),
			 name.p ? name.p : "");
		failed = e->kind != ERR_INPUT || !r->cfg->on_broken ||
			 !r->cfg->on_broken(r->cfg->arg, e);
	} else {
		for (size_t i = 0; i < images.n && !failed; i++)
			failed = collect_image(r->to, bundle, str_of(images.v[i]), e);
	}
	return failed ? -1 : 0;
}

// ---- bundles and images

// Columns of operatorbundle that are there: name, then bundlepath, then csv.
static int on_bundle(void *arg, const struct str *values, struct err *e)
{
	struct reading *r = arg;
	struct str name = values[0].p ? values[0] : STR("");
	struct str path = r->has_path ? values[1] : STR("");
	const struct map_entry *in = map_find(&r->packages, name);
	const char *package = in ? in->ptr : "";
	uint32_t bundle;

	if (check_text(name, "operatorbundle.name", e) < 0 ||
	    check_text(path, "operatorbundle.bundlepath", e) < 0 ||
	    collect_bundle(r->to, str_of(package), name, &bundle, e) < 0 ||
	    collect_image(r->to, bundle, path, e) < 0)
		return -1;
	map_put(&r->bundles, name, NULL)->num = bundle;
	return r->has_csv ? collect_csv(r, bundle, name, values[r->has_path ? 2 : 1], e) : 0;
}

static const char *const image_columns[] = {"image", "operatorbundle_name"};

// The name of a bundle that does not exist is none: it was removed, and the row was left.
static uint32_t bundle_called(const struct reading *r, struct str name)
{
	const struct map_entry *en = name.n > 0 ? map_find(&r->bundles, name) : NULL;

	return en ? (uint32_t)en->num : CATALOG_NONE;
}

static int on_image(void *arg, const struct str *values, struct err *e)
{
	struct reading *r = arg;

	if (check_texts(values, image_columns, ARRAY_SIZE(image_columns), e) < 0)
		return -1;
	return collect_image(r->to, bundle_called(r, values[1]), values[0], e);
}

static int on_lone_image(void *arg, const struct str *values, struct err *e)
{
	struct reading *r = arg;

	if (check_text(values[0], image_columns[0], e) < 0)
		return -1;
	return collect_image(r->to, CATALOG_NONE, values[0], e);
}

static bool has_all(struct sqlite *db, const char *table, const char *const *columns, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!sqlite_has(db, table, columns[i]))
			return false;
	return true;
}

static int each(struct sqlite *db, const char *table, const char *const *columns, size_t n,
		int (*row)(void *arg, const struct str *values, struct err *e), struct reading *r,
		struct err *e)
{
	if (sqlite_each(db, table, columns, n, row, r, e) < 0)
		return e->kind == ERR_CANCELLED ? -1 : err_wrap(e, "table %s", table);
	return 0;
}

static int read_packages(struct sqlite *db, struct reading *r, struct err *e)
{
	static const char *const columns[] = {"name"};
	size_t n = ARRAY_SIZE(entry_columns);

	if (sqlite_has(db, "package", "name") &&
	    each(db, "package", columns, 1, on_package, r, e) < 0)
		return -1;
	return has_all(db, "channel_entry", entry_columns, n)
		       ? each(db, "channel_entry", entry_columns, n, on_entry, r, e)
		       : 0;
}

static int read_bundles(struct sqlite *db, struct reading *r, struct err *e)
{
	const char *columns[3] = {"name"};
	size_t n = 1;

	if (!sqlite_has(db, "operatorbundle", "name"))
		return 0;
	if (r->has_path)
		columns[n++] = "bundlepath";
	if (r->has_csv)
		columns[n++] = "csv";
	return each(db, "operatorbundle", columns, n, on_bundle, r, e);
}

static int read_images(struct sqlite *db, struct reading *r, struct err *e)
{
	bool named = has_all(db, "related_image", image_columns, ARRAY_SIZE(image_columns));

	return each(db, "related_image", image_columns, named ? 2 : 1,
		    named ? on_image : on_lone_image, r, e);
}

int catalog_database_collect(struct sqlite *db, const struct catalog_read_config *cfg,
			     struct collect *to, struct err *e)
{
	struct reading r = {.cfg = cfg, .to = to};
	bool has_images = sqlite_has(db, "related_image", "image");

	r.has_path = sqlite_has(db, "operatorbundle", "bundlepath");
	r.has_csv = (cfg->deep_scan || !has_images) && sqlite_has(db, "operatorbundle", "csv");
	if (!has_images && !r.has_path && !r.has_csv)
		return err_set(e, ERR_INPUT,
			       "no catalog: no such table: \"related_image\", no such column: "
			       "\"bundlepath\"");
	int failed = read_packages(db, &r, e);

	if (!failed)
		failed = read_bundles(db, &r, e);
	if (!failed && has_images)
		failed = read_images(db, &r, e);
	reading_release(&r);
	return failed;
}

// Whose messages name the file.
struct named {
	const struct catalog_read_config *cfg;
	const char *name;
};

static bool on_broken_csv(void *arg, const struct err *why)
{
	const struct named *n = arg;
	struct err e = *why;

	err_wrap(&e, "%s", n->name);
	return n->cfg->on_broken && n->cfg->on_broken(n->cfg->arg, &e);
}

static int read_file(int fd, const char *name, const struct catalog_read_config *cfg,
		     struct collect *to, struct err *e)
{
	auto_of(sqlite_close) struct sqlite *db = NULL;
	struct named named = {cfg, name};
	struct catalog_read_config inner = *cfg;

	inner.on_broken = on_broken_csv;
	inner.arg = &named;
	if (sqlite_open(&db, fd, cfg->cancel, e) == 0 &&
	    catalog_database_collect(db, &inner, to, e) == 0)
		return 0;
	if (cancelled(cfg->cancel)) // then tables may seem not to be there
		return err_cancelled(e);
	return err_wrap(e, "%s", name);
}

int catalog_database_read(struct catalog_index *ix, const char *path,
			  const struct catalog_read_config *cfg, struct collect *to, struct err *e)
{
	struct search s = {.cfg = cfg, .fd = -1};
	int failed = find(&s, ix, path, e);

	if (!failed) {
		auto_free char *name = catalog_tree_name(path, s.path);

		failed = read_file(s.fd, name, cfg, to, e);
	}
	search_release(&s);
	return failed;
}
