// SPDX-License-Identifier: Apache-2.0
// Databases from outside, whole, damaged and hostile.
#include "data/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tap.h"
#include "util/fs.h"
#include "util/mem.h"

static struct err e;

#define DATABASE_MAX ((size_t)64 << 20)

// The bytes of a database that SQL makes.
static void make(struct buf *ret, const char *sql)
{
	sqlite3 *db = NULL;
	sqlite3_int64 n = 0;
	char *why = NULL;

	if (sqlite3_open(":memory:", &db) != SQLITE_OK ||
	    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 0, (int *)NULL) != SQLITE_OK ||
	    sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		tap_report(false, "cannot make a database: %s", why ? why : "");
	unsigned char *bytes = sqlite3_serialize(db, "main", &n, 0);

	*ret = (struct buf)BUF_INIT(DATABASE_MAX);
	buf_put(ret, bytes, (size_t)n);
	sqlite3_free(bytes);
	sqlite3_free(why);
	sqlite3_close(db);
}

static int file_of(struct str bytes)
{
	int fd = memfd_create("database", MFD_CLOEXEC);
	struct err ignored;

	if (fd < 0 || fs_write_all(fd, bytes.p, bytes.n, "database", &ignored) < 0)
		tap_report(false, "%s", "no memory file");
	return fd;
}

static int note(void *arg, const struct str *values, struct err *why)
{
	struct buf *out = arg;

	(void)why;
	for (size_t i = 0; i < 2; i++) {
		struct str value = values[i].p ? values[i] : STR("(null)");

		buf_printf(out, "%s%.*s", i ? "=" : out->n ? " " : "", STR_FMT(value));
	}
	return 0;
}

static const char *const columns[] = {"a", "b"};

// "a=b a=b" of table t. -1 with E.
static int read_table(struct str bytes, char **ret)
{
	auto_fd int fd = file_of(bytes);
	auto_of(sqlite_close) struct sqlite *db = NULL;
	auto_buf struct buf out = BUF_INIT(DATABASE_MAX);

	*ret = NULL;
	if (sqlite_open(&db, fd, NULL, &e) < 0)
		return -1;
	if (!sqlite_has(db, "t", "a") || !sqlite_has(db, "t", "b"))
		return err_set(&e, ERR_NOT_FOUND, "no such column");
	if (sqlite_each(db, "t", columns, 2, note, &out, &e) < 0)
		return -1;
	*ret = buf_take(&out);
	return 0;
}

static void check_text(const char *sql, const char *want)
{
	auto_buf struct buf bytes = BUF_INIT(DATABASE_MAX);
	auto_free char *got = NULL;

	make(&bytes, sql);
	CHECK_OK(read_table(buf_str(&bytes), &got));
	CHECK_STR(got ? got : "", want);
}

TEST(every_value_is_text_or_null)
{
	static const struct {
		const char *sql, *want;
	} rows[] = {
		{"CREATE TABLE t(a, b)", ""},
		{"CREATE TABLE t(a TEXT, b TEXT); INSERT INTO t VALUES('x', 'y'), ('', NULL)",
		 "x=y =(null)"},
		{"CREATE TABLE t(a, b); INSERT INTO t VALUES(1, 1.5), (-7, x'6162'), (x'', 1e300)",
		 "1=1.5 -7=ab =1.0e+300"},
		{"CREATE TABLE t(b, z, a); INSERT INTO t VALUES(1, 2, 3)", "3=1"},
		{"CREATE TABLE t(a INTEGER PRIMARY KEY, b); INSERT INTO t VALUES(9, 1), (3, 2)",
		 "3=2 9=1"},
		{"CREATE TABLE t(a PRIMARY KEY, b) WITHOUT ROWID; INSERT INTO t VALUES('y', 1), "
		 "('x', 2)",
		 "x=2 y=1"},
		{"PRAGMA encoding='UTF-16le'; CREATE TABLE t(a, b); INSERT INTO t VALUES('\xc3\xa4', "
		 "'\xe2\x82\xac')",
		 "\xc3\xa4=\xe2\x82\xac"},
		{"PRAGMA encoding='UTF-16be'; CREATE TABLE t(a, b); INSERT INTO t VALUES('x', 'y')",
		 "x=y"},
		{"PRAGMA page_size=512; CREATE TABLE t(a, b); INSERT INTO t VALUES('x', 'y')",
		 "x=y"},
		{"PRAGMA page_size=65536; CREATE TABLE t(a, b); INSERT INTO t VALUES('x', 'y')",
		 "x=y"},
		{"CREATE TABLE t(a, b, c); CREATE INDEX i ON t(a, b); INSERT INTO t VALUES('y', 1, "
		 "zeroblob(9000)), ('x', 2, zeroblob(9000))",
		 "y=1 x=2"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_text(rows[i].sql, rows[i].want);
}

TEST(a_database_in_wal_mode_is_read_as_it_is)
{
	auto_buf struct buf bytes = BUF_INIT(DATABASE_MAX);
	auto_free char *got = NULL;

	make(&bytes, "CREATE TABLE t(a, b); INSERT INTO t VALUES('x', 'y')");
	bytes.p[18] = bytes.p[19] = 2;
	CHECK_OK(read_table(buf_str(&bytes), &got));
	CHECK_STR(got ? got : "", "x=y");
}

TEST(what_is_no_table_is_not_there)
{
	static const char *const rows[] = {
		"CREATE VIEW t AS SELECT 1 AS a, 2 AS b",
		"CREATE TABLE s(a, b); CREATE VIEW t AS SELECT * FROM s",
		"CREATE VIEW t(a, b) AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM "
		"c) SELECT x, x FROM c",
		"CREATE VIRTUAL TABLE t USING fts5(a, b)",
		"CREATE VIRTUAL TABLE t USING rtree(a, b, c)",
		"CREATE TABLE s(a, b)",
		"CREATE TABLE t(a)",
		// Computed columns would call functions.
		"CREATE TABLE t(a, b AS (hex(zeroblob(a)))); INSERT INTO t(a) VALUES(30000000)",
		"CREATE TABLE t(a, b AS (upper(a)) STORED); INSERT INTO t(a) VALUES('x')",
		// A row of the schema that says it is something else.
		"CREATE TABLE s(a, b); PRAGMA writable_schema=ON; INSERT INTO sqlite_master "
		"VALUES('table', 't', 't', 2, 'CREATE VIRTUAL TABLE t USING fts5(a, b)')",
		"CREATE TABLE s(a, b); PRAGMA writable_schema=ON; INSERT INTO sqlite_master "
		"VALUES('table', 't', 't', 2, 'CREATE VIEW t AS SELECT 1 AS a, 2 AS b')",
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buf struct buf bytes = BUF_INIT(DATABASE_MAX);
		auto_free char *got = NULL;

		make(&bytes, rows[i]);
		if (read_table(buf_str(&bytes), &got) == 0)
			tap_report(false, "row %zu was read: %s", i, got);
		CHECK(e.kind == ERR_NOT_FOUND || e.kind == ERR_INPUT);
	}
}

TEST(triggers_and_views_beside_a_table_do_not_matter)
{
	check_text("CREATE TABLE t(a, b); INSERT INTO t VALUES('x', 'y'); CREATE TRIGGER g AFTER "
		   "INSERT ON t BEGIN INSERT INTO t VALUES(NEW.a, NEW.b); END; CREATE VIEW v AS "
		   "SELECT * FROM t, t AS u; CREATE INDEX i ON t(a) WHERE b IS NOT NULL",
		   "x=y");
}

static void check_refused(struct str bytes, const char *why)
{
	auto_free char *got = NULL;

	e = (struct err){0};
	if (read_table(bytes, &got) == 0)
		tap_report(false, "%zu bytes were read: %.100s", bytes.n, got);
	CHECK_STR(e.text, why);
	CHECK_INT(e.kind, ERR_INPUT);
}

TEST(what_is_no_database_is_refused)
{
	auto_buf struct buf bytes = BUF_INIT(DATABASE_MAX);

	make(&bytes, "CREATE TABLE t(a, b)");
	check_refused(STR(""), "not an SQLite database");
	check_refused(STR("SQLite format 3"), "not an SQLite database");
	check_refused((struct str){bytes.p, 99}, "not an SQLite database");
	check_refused((struct str){bytes.p + 1, bytes.n - 1}, "not an SQLite database");
	bytes.p[16] = 3; // no power of two
	check_refused(buf_str(&bytes), "not an SQLite database");
	bytes.p[16] = 0; // 0 bytes
	check_refused(buf_str(&bytes), "not an SQLite database");
}

// 300 rows on pages of 512 bytes, and one that needs several.
static void make_large(struct buf *ret)
{
	make(ret, "PRAGMA page_size=512; CREATE TABLE t(a, b); WITH RECURSIVE c(x) AS (SELECT 1 "
		  "UNION ALL SELECT x + 1 FROM c WHERE x < 300) INSERT INTO t SELECT x, "
		  "'some text' FROM c; INSERT INTO t VALUES(hex(zeroblob(2000)), 'z')");
}

TEST(a_cut_database_is_refused)
{
	auto_buf struct buf bytes = BUF_INIT(DATABASE_MAX);

	make_large(&bytes);
	for (size_t n = 0; n < bytes.n; n += n % 512 ? 1 : 511) {
		auto_free char *got = NULL;

		e.kind = ERR_NONE;
		if (read_table((struct str){bytes.p, n}, &got) == 0 || e.kind != ERR_INPUT)
			tap_report(false, "cut at %zu: %s", n, got ? got : e.text);
	}
	check_refused((struct str){bytes.p, bytes.n - 1}, "the database is cut off");
	check_refused((struct str){bytes.p, bytes.n - 512}, "database disk image is malformed");
}

TEST(damaged_bytes_are_an_error_or_other_values)
{
	auto_buf struct buf bytes = BUF_INIT(DATABASE_MAX);
	size_t failures = 0;

	make_large(&bytes);
	for (size_t i = 0; i < bytes.n; i += 7) {
		auto_free char *got = NULL;
		char was = bytes.p[i];

		bytes.p[i] = (char)(was ^ (i % 3 == 0 ? 0xff : 0x81));
		failures += read_table(buf_str(&bytes), &got) < 0;
		bytes.p[i] = was;
	}
	CHECK(failures > 10);
}

static void put16(char *at, unsigned v)
{
	at[0] = (char)(v >> 8);
	at[1] = (char)v;
}

// Page NUMBER (512 bytes each) becomes an inner page of a table with 60 ways to page CHILD.
static void make_inner(struct buf *bytes, unsigned number, unsigned child)
{
	enum { WAYS = 60, CELL = 5 };
	char *page = bytes->p + (size_t)(number - 1) * 512;

	memset(page, 0, 512);
	page[0] = 5;
	put16(page + 3, WAYS);
	put16(page + 5, 512 - WAYS * CELL);
	put16(page + 10, child);
	for (unsigned i = 0; i < WAYS; i++) {
		unsigned at = 512 - (i + 1) * CELL;

		put16(page + 12 + 2 * i, at);
		put16(page + at + 2, child);
		page[at + 4] = (char)(i + 1);
	}
}

TEST(pages_that_lead_in_circles_come_to_an_end)
{
	auto_buf struct buf bytes = BUF_INIT(DATABASE_MAX);

	make_large(&bytes);
	make_inner(&bytes, 2, 2); // to itself
	check_refused(buf_str(&bytes), "database disk image is malformed");
	make_inner(&bytes, 2, 3); // sixty to the power of ten ways to one leaf
	for (unsigned i = 3; i < 12; i++)
		make_inner(&bytes, i, i + 1);
	check_refused(buf_str(&bytes), "the pages of the database lead in circles");
}

TEST(rows_that_go_on_for_the_size_of_the_file_each_come_to_an_end)
{
	// A record of that many bytes has 39 of them on a leaf, and goes on on another page.
	enum {
		LOCAL = 39,
		PAYLOAD = LOCAL + 508 * 90,
		CELL = 3 + 1 + LOCAL + 4,
		TEXT = PAYLOAD - 8
	};
	auto_buf struct buf bytes = BUF_INIT(DATABASE_MAX);
	char cell[CELL] = {0};

	make(&bytes, "PRAGMA page_size=512; CREATE TABLE t(c, a, b); INSERT INTO t "
		     "VALUES(zeroblob(50000), 1, 2)");
	make_inner(&bytes, 2, 3);
	cell[0] = (char)(0x80 | PAYLOAD >> 14);
	cell[1] = (char)(0x80 | (PAYLOAD >> 7 & 0x7f));
	cell[2] = PAYLOAD & 0x7f;
	cell[3] = 1; // row
	cell[4] = 6; // bytes of the header: a text, two numbers
	cell[5] = (char)(0x80 | (TEXT * 2 + 13) >> 14);
	cell[6] = (char)(0x80 | ((TEXT * 2 + 13) >> 7 & 0x7f));
	cell[7] = (TEXT * 2 + 13) & 0x7f;
	cell[8] = cell[9] = 1;
	cell[CELL - 1] = 4; // the page where it goes on
	char *leaf = bytes.p + 1024, *next = bytes.p + 1536;

	memset(leaf, 0, 512);
	leaf[0] = 13;
	put16(leaf + 3, 10);
	put16(leaf + 5, 512 - 10 * CELL);
	for (unsigned i = 0; i < 10; i++) {
		put16(leaf + 8 + 2 * i, 512 - (i + 1) * CELL);
		memcpy(leaf + 512 - (i + 1) * CELL, cell, CELL);
	}
	memset(next, 0, 512);
	next[3] = 4; // after which it goes on there again
	check_refused(buf_str(&bytes), "the pages of the database lead in circles");
}

TEST(a_row_that_is_too_large_is_refused)
{
	sqlite3 *db = NULL;
	sqlite3_int64 n = 0;

	sqlite3_open(":memory:", &db);
	sqlite3_exec(db, "CREATE TABLE t(a, b); INSERT INTO t VALUES(zeroblob(70000000), 1)", NULL,
		     NULL, NULL);
	unsigned char *raw = sqlite3_serialize(db, "main", &n, 0);

	check_refused((struct str){(char *)raw, (size_t)n},
		      "the database has a row of more than 67108864 bytes");
	sqlite3_free(raw);
	sqlite3_close(db);
}

static int refuse(void *arg, const struct str *values, struct err *why)
{
	(void)values;
	++*(int *)arg;
	return err_set(why, ERR_INPUT, "enough");
}

TEST(a_row_that_is_refused_ends_the_table)
{
	auto_buf struct buf bytes = BUF_INIT(DATABASE_MAX);
	auto_of(sqlite_close) struct sqlite *db = NULL;
	int calls = 0;

	make_large(&bytes);
	auto_fd int fd = file_of(buf_str(&bytes));

	REQUIRE_OK(sqlite_open(&db, fd, NULL, &e));
	CHECK_FAILS(sqlite_each(db, "t", columns, 2, refuse, &calls, &e));
	CHECK_STR(e.text, "enough");
	CHECK_INT(calls, 1);
}

static int fire(void *arg, const struct str *values, struct err *why)
{
	(void)values, (void)why;
	cancel_fire(arg);
	return 0;
}

TEST(reading_can_be_cancelled)
{
	auto_buf struct buf bytes = BUF_INIT(DATABASE_MAX);
	auto_of(sqlite_close) struct sqlite *db = NULL;
	struct cancel cancel = CANCEL_INIT;

	make(&bytes,
	     "CREATE TABLE t(a, b); WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 "
	     "FROM c WHERE x < 50000) INSERT INTO t SELECT x, x FROM c");
	auto_fd int fd = file_of(buf_str(&bytes));

	REQUIRE_OK(sqlite_open(&db, fd, &cancel, &e));
	CHECK_FAILS(sqlite_each(db, "t", columns, 2, fire, &cancel, &e));
	CHECK_INT(e.kind, ERR_CANCELLED);
}

TEST(names_are_columns_and_never_text)
{
	auto_buf struct buf bytes = BUF_INIT(DATABASE_MAX);
	auto_of(sqlite_close) struct sqlite *db = NULL;
	static const char *const wrong[] = {"a", "nope"};
	auto_buf struct buf out = BUF_INIT(1000);

	make(&bytes, "CREATE TABLE t(a, b); INSERT INTO t VALUES(1, 2)");
	auto_fd int fd = file_of(buf_str(&bytes));

	REQUIRE_OK(sqlite_open(&db, fd, NULL, &e));
	CHECK(!sqlite_has(db, "t", "nope"));
	CHECK(!sqlite_has(db, "u", "a"));
	CHECK_FAILS(sqlite_each(db, "t", wrong, 2, note, &out, &e));
	CHECK_STR(e.text, "no such column: t.nope");
	CHECK_INT(e.kind, ERR_INPUT);
	CHECK_FAILS(sqlite_each(db, "u", columns, 2, note, &out, &e));
	CHECK_STR(e.text, "no such column: u.a");
}

int main(void)
{
	return tap_main();
}
