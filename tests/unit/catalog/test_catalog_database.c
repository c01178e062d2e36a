// SPDX-License-Identifier: Apache-2.0
// Catalogs that are databases: finding the file, and what its tables say.
#include "catalog/database.h"

#include <dirent.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

#include "util/fs.h"
#include "world.h"

static struct err e;

#define DATABASE_MAX ((size_t)4 << 20)

#define TABLES                                                                        \
	"CREATE TABLE package(name TEXT PRIMARY KEY, default_channel TEXT);"          \
	"CREATE TABLE channel_entry(entry_id INTEGER PRIMARY KEY, channel_name TEXT," \
	" package_name TEXT, operatorbundle_name TEXT, replaces INTEGER, depth INTEGER);"
#define BUNDLES                                                                     \
	"CREATE TABLE operatorbundle(name TEXT PRIMARY KEY, csv TEXT, bundle TEXT," \
	" bundlepath TEXT, skiprange TEXT);"
#define IMAGES "CREATE TABLE related_image(image TEXT, operatorbundle_name TEXT);"

// The bytes of a database that SQL makes. Caller releases.
static struct buf make(const char *sql)
{
	struct buf ret = BUF_INIT(DATABASE_MAX);
	sqlite3 *db = NULL;
	sqlite3_int64 n = 0;
	char *why = NULL;

	sqlite3_open(":memory:", &db);
	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		tap_report(false, "%s: %s", sql, why);
	unsigned char *bytes = sqlite3_serialize(db, "main", &n, 0);

	buf_put(&ret, bytes, (size_t)n);
	sqlite3_free(bytes);
	sqlite3_free(why);
	sqlite3_close(db);
	return ret;
}

static void add_bundles(struct buf *out, const struct catalog *c, const struct catalog_image *im)
{
	for (size_t i = 0; i < im->nbundles; i++) {
		const struct catalog_bundle *b = &c->bundles[im->bundles[i]];

		buf_printf(out, "%s%s/%s", i ? "," : "<",
			   b->package == CATALOG_NONE ? "" : c->packages[b->package], b->name);
	}
	if (im->nbundles > 0)
		buf_putc(out, '>');
}

// "packages; bundles; image<package/bundle,…> …"
static char *print(const struct catalog *c)
{
	auto_buf struct buf out = BUF_INIT(DATABASE_MAX);

	for (size_t i = 0; i < c->npackages; i++)
		buf_printf(&out, "%s%s", i ? " " : "", c->packages[i]);
	buf_puts(&out, "; ");
	for (size_t i = 0; i < c->nbundles; i++)
		buf_printf(&out, "%s%s", i ? " " : "", c->bundles[i].name);
	buf_puts(&out, ";");
	for (size_t i = 0; i < c->nimages; i++) {
		buf_printf(&out, " %s", c->images[i].text);
		add_bundles(&out, c, &c->images[i]);
	}
	return buf_take(&out);
}

static int read_image(const struct str *blobs, const struct world_layers *layers,
		      const char *config, const struct catalog_read_config *cfg, char **ret)
{
	auto_world struct world w;
	auto_catalog_index struct catalog_index ix = {0};
	auto_of(collect_free) struct collect *found = collect_new();
	auto_catalog struct catalog c = {0};

	world_init(&w);
	w.blobs = blobs;
	e = (struct err){0};
	if (world_index(&w, layers, config, &ix, &e) < 0 ||
	    catalog_database_read(&ix, ix.path, cfg, found, &e) < 0)
		return -1;
	collect_finish(found, &c);
	*ret = print(&c);
	return 0;
}

static int read_bytes(struct str bytes, const struct catalog_read_config *cfg, char **ret)
{
	static const struct world_layers layers = {{{"database/index.db=%0"}}};

	return read_image(&bytes, &layers, DATABASE_CONFIG, cfg, ret);
}

static const struct catalog_read_config plain = {.temporary_dir = "/tmp"};

static void check_sql(const char *sql, const char *want)
{
	auto_buf struct buf bytes = make(sql);
	auto_free char *got = NULL;

	CHECK_OK(read_bytes(buf_str(&bytes), &plain, &got));
	CHECK_STR(got ? got : "", want);
}

TEST(images_are_of_bundles_and_bundles_of_packages)
{
	check_sql(
		TABLES BUNDLES IMAGES
		"INSERT INTO package VALUES('p', 'c'), ('q', 'c'), ('empty', 'c');"
		"INSERT INTO channel_entry VALUES(1, 'c', 'p', 'p.v1', NULL, 0),"
		" (2, 'd', 'p', 'p.v1', NULL, 0), (3, 'c', 'q', 'q.v1', NULL, 0),"
		" (4, 'c', 'q', 'gone.v1', NULL, 0);"
		"INSERT INTO operatorbundle(name, bundlepath) VALUES('p.v1', 'r.io/p/bundle:1'),"
		" ('q.v1', NULL), ('lone.v1', '');"
		"INSERT INTO related_image VALUES('r.io/p/op:1', 'p.v1'), ('r.io/both:1', 'p.v1'),"
		" (' r.io/both:1 ', 'q.v1'), ('', 'p.v1'), (NULL, 'p.v1'), ('r.io/left:1',"
		" 'removed.v1'), ('r.io/none:1', NULL), ('r.io/lone:1', 'lone.v1')",
		"empty p q; p.v1 q.v1 lone.v1; r.io/both:1<p/p.v1,q/q.v1> r.io/left:1 "
		"r.io/lone:1</lone.v1> r.io/none:1 r.io/p/bundle:1<p/p.v1> r.io/p/op:1<p/p.v1>");
}

TEST(what_an_old_schema_does_not_have_is_done_without)
{
	static const struct {
		const char *sql, *want;
	} rows[] = {
		{IMAGES "INSERT INTO related_image VALUES('a', 'b')", "; ; a"},
		{"CREATE TABLE related_image(image); INSERT INTO related_image VALUES('a')",
		 "; ; a"},
		{BUNDLES "INSERT INTO operatorbundle(name, bundlepath) VALUES('b', 'a')",
		 "; b; a</b>"},
		// Before bundlepath.
		{IMAGES
		 "CREATE TABLE operatorbundle(name, csv, bundle); INSERT INTO operatorbundle "
		 "VALUES('b', 'no JSON', ''); INSERT INTO related_image VALUES('a', 'b')",
		 "; b; a</b>"},
		{"CREATE TABLE operatorbundle(bundlepath); CREATE TABLE related_image(image);"
		 "INSERT INTO related_image VALUES(17), (1.5), (x'61')",
		 "; ; 1.5 17 a"},
		// WITHOUT ROWID is a table, too.
		{"CREATE TABLE related_image(image PRIMARY KEY) WITHOUT ROWID; INSERT INTO "
		 "related_image VALUES('a')",
		 "; ; a"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_sql(rows[i].sql, rows[i].want);
}

#define CSV(spec) "'{\"spec\":{" spec "}}'"

TEST(before_related_image_the_images_are_in_the_csv)
{
	check_sql(
		"CREATE TABLE operatorbundle(name, csv); INSERT INTO operatorbundle VALUES"
		"('none', ''), ('null', NULL), ('bare', '{}'), ('b', " CSV(
			"\"relatedImages\":[{\"name\":\"x\",\"image\":\"r\"},{\"name\":\"y\"}],"
			"\"install\":{\"spec\":{\"deployments\":[{\"spec\":{\"template\":{\"spec\":{"
			"\"initContainers\":[{\"image\":\"i\"}],\"containers\":[{\"image\":\"c1\"},"
			"{\"image\":\"c2\"}]}}}},{}]}}") "), "
							 "('s', " CSV("\"install\":null,"
								      "\"relatedImages\":null") ")",
		"; b bare none null s; c1</b> c2</b> i</b> r</b>");
	check_sql("CREATE TABLE operatorbundle(name, csv, bundlepath); INSERT INTO operatorbundle "
		  "VALUES('b', " CSV("\"relatedImages\":[{\"image\":\"r\"}]") ", 'p')",
		  "; b; p</b> r</b>");
}

static bool note(void *arg, const struct err *why)
{
	strlist_add(arg, why->text);
	return true;
}

TEST(a_csv_that_cannot_be_read_is_told_with_its_bundle)
{
	auto_buf struct buf bytes = make(
		"CREATE TABLE operatorbundle(name, csv); INSERT INTO operatorbundle VALUES"
		"('b', " CSV(
			"\"relatedImages\":[{\"image\":7}]") "), "
							     "('c', '{'), ('d', " CSV(
								     "\"relatedImages\":[{\"image\":\"r\"}]") ")");
	auto_free char *got = NULL;
	auto_strlist struct strlist broken = {0};
	struct catalog_read_config skip = {
		.temporary_dir = "/tmp", .on_broken = note, .arg = &broken};

	CHECK_FAILS(read_bytes(buf_str(&bytes), &plain, &got));
	CHECK_STR(e.text, "database/index.db: table operatorbundle: csv of bundle 'b': "
			  "spec.relatedImages[0].image: not a string");
	CHECK_OK(read_bytes(buf_str(&bytes), &skip, &got));
	CHECK_STR(got ? got : "", "; b c d; r</d>");
	CHECK_INT(broken.n, 2);
	CHECK_STR(broken.v[0], "database/index.db: csv of bundle 'b': spec.relatedImages[0].image: "
			       "not a string");
}

TEST(what_is_no_catalog_is_one_clear_error)
{
	static const struct {
		const char *sql, *why;
	} rows[] = {
		{"CREATE TABLE t(a)",
		 "database/index.db: no catalog: no such table: \"related_image\", no such column: "
		 "\"bundlepath\""},
		{"CREATE VIEW related_image AS SELECT 'a' AS image",
		 "database/index.db: no catalog: no such table: \"related_image\", no such column: "
		 "\"bundlepath\""},
		{IMAGES "INSERT INTO related_image VALUES('a' || char(0) || 'b', 'c')",
		 "database/index.db: table related_image: image 'a' goes on behind a NUL byte"},
		{IMAGES "INSERT INTO related_image VALUES(hex(zeroblob(3000)), 'c')",
		 "database/index.db: table related_image: image "
		 "'000000000000000000000000000000000000000000000000000000000000…' has more than "
		 "4096 bytes"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buf struct buf bytes = make(rows[i].sql);
		auto_free char *got = NULL;

		CHECK_FAILS(read_bytes(buf_str(&bytes), &plain, &got));
		CHECK_STR(e.text, rows[i].why);
		CHECK_INT(e.kind, ERR_INPUT);
	}
}

TEST(a_file_that_is_no_database_is_told_by_the_path_of_the_label)
{
	auto_free char *got = NULL;

	CHECK_FAILS(read_bytes(STR("no database at all"), &plain, &got));
	CHECK_STR(e.text, "no database file found in '/database/index.db'");
	CHECK_FAILS(read_bytes(STR(""), &plain, &got));
	CHECK_STR(e.text, "no database file found in '/database/index.db'");
	CHECK_FAILS(read_bytes(STR("SQLite format 3\0and nothing else"), &plain, &got));
	CHECK_STR(e.text, "database/index.db: not an SQLite database");
}

TEST(without_a_label_the_first_database_of_a_directory_walk_counts)
{
	auto_buf struct buf a = make(IMAGES "INSERT INTO related_image VALUES('a', '')");
	auto_buf struct buf b = make(IMAGES "INSERT INTO related_image VALUES('b', '')");
	const struct str blobs[] = {buf_str(&a), buf_str(&b)};
	static const struct {
		struct world_layers layers;
		const char *want;
	} rows[] = {
		{{{{"etc/x=1", "opt/index.db=%0", "usr/index.db=%1", "bin>usr/bin"}}}, "; ; a"},
		{{{{"usr/index.db=%1", "opt/index.db=%0", "dev/null!"}}}, "; ; a"},
		{{{{"opt/index.db=%0"}, {"usr/index.db=%1"}}}, "; ; a"},
		{{{{"usr/index.db=%1"}, {"opt/index.db=%0"}}}, "; ; a"},
		{{{{"opt/index.db=%0", "usr/index.db=%1"}, {"opt/.wh.index.db="}}}, "; ; b"},
		{{{{"opt/index.db=%0"}, {"opt/index.db=%1"}}}, "; ; b"},
		// A walk is in "a" before it comes to "a.db".
		{{{{"a.db=%1", "a/b.db=%0"}}}, "; ; a"},
		{{{{"a/b.db=%0", "a.db=%1"}}}, "; ; a"},
		{{{{"z=%0", "a>z", "b~z"}}}, "; ; a"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *got = NULL;

		CHECK_OK(read_image(blobs, &rows[i].layers, "{}", &plain, &got));
		CHECK_STR(got ? got : "", rows[i].want);
	}
}

TEST(a_label_that_leads_to_no_file_says_so)
{
	static const struct world_layers layers = {{{"database/index.db>../nope"}}};
	auto_free char *got = NULL;

	CHECK_FAILS(read_image(NULL, &layers, DATABASE_CONFIG, &plain, &got));
	CHECK_STR(e.text, "database/index.db is a link to 'nope', which is not in the image");
}

TEST(an_image_without_a_label_or_a_database_says_so)
{
	static const struct world_layers layers = {{{"etc/passwd=x", "bin>usr/bin"}}};
	auto_free char *got = NULL;

	CHECK_FAILS(read_image(NULL, &layers, "{}", &plain, &got));
	CHECK_STR(e.text, "no database file found in '/'");
}

static size_t files_in(const char *dir)
{
	DIR *d = opendir(dir);
	size_t n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

TEST(nothing_is_left_in_the_temporary_folder)
{
	char dir[] = "/tmp/ferry-database-XXXXXX";
	struct catalog_read_config cfg = {.temporary_dir = dir};
	auto_buf struct buf bytes = make(IMAGES "INSERT INTO related_image VALUES('a', '')");
	auto_free char *got = NULL;

	if (!mkdtemp(dir))
		return;
	CHECK_OK(read_bytes(buf_str(&bytes), &cfg, &got));
	CHECK_INT(files_in(dir), 2);
	CHECK_OK(rmdir(dir));
	CHECK_FAILS(read_bytes(buf_str(&bytes), &cfg, &got));
	CHECK_INT(e.kind, ERR_IO);
	CHECK(starts_with(e.text, "temporary file in '/tmp/ferry-database-"));
}

TEST(real_databases_are_read_whole)
{
	static const struct {
		const char *file, *want;
	} rows[] = {
		{"cockroachdb-cockroach-operator-cd9a6212.db",
		 "cockroachdb-certified; cockroach-operator.v1.1.0; "
		 "quay.io/alinalion/cockroach-operator:v1.0.5-alpha.3<cockroachdb-certified/"
		 "cockroach-operator.v1.1.0> "
		 "quay.io/alinalion/cockroachdb-operator-bundle:1.1.0<cockroachdb-certified/"
		 "cockroach-operator.v1.1.0>"},
		{"operator-framework-operator-registry-32727a31.db",
		 "foo; foo.v0.1.0 foo.v0.2.0; "
		 "test.registry/foo-operator/foo-bundle:v0.1.0<foo/foo.v0.1.0> "
		 "test.registry/foo-operator/foo-bundle:v0.2.0<foo/foo.v0.2.0> "
		 "test.registry/foo-operator/foo:v0.1.0<foo/foo.v0.1.0> "
		 "test.registry/foo-operator/foo:v0.2.0<foo/foo.v0.2.0>"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buf struct buf bytes = BUF_INIT(DATABASE_MAX);
		auto_free char *path = xasprintf("%s/catalogs/sqlite/%s", TEST_DATA, rows[i].file);
		auto_free char *got = NULL;

		CHECK_OK(fs_read_file(&bytes, path, &e));
		CHECK_OK(read_bytes(buf_str(&bytes), &plain, &got));
		CHECK_STR(got ? got : "", rows[i].want);
	}
}

int main(void)
{
	return tap_main();
}
