// SPDX-License-Identifier: Apache-2.0
// SQLite over one descriptor, with everything switched off that a hostile schema could use.
#include "data/sqlite.h"

#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "util/mem.h"

#define VFS_NAME  "ferry-descriptor"
#define SQL_MAX   1024
#define STEPS_MAX ((uint64_t)1 << 29) // instructions of the virtual machine for one table

enum {
	STEPS_AT_ONCE = 10000, // between two looks at the limits
	ROWS_AT_ONCE = 64,
	PAGE_LOOKS = 16, // at a page, or for a row, on average
	PAGE_LOOKS_FREE = 20000,
	ROW_BYTES_MIN = 6, // a cell and the pointer to it
};

struct sqlite {
	sqlite3 *db;
	struct cancel *cancel;
	uint64_t pages;    // of the file
	uint64_t max_rows; // that fit into it

	// Of the table that is read.
	uint64_t rows, steps, looks;
	struct err stopped; // why the progress handler ended it
};

// ---- the file

struct fd_file {
	sqlite3_file base;
	int fd;
};

static int file_close(sqlite3_file *base)
{
	(void)base; // the descriptor is the caller's
	return SQLITE_OK;
}

static int file_read(sqlite3_file *base, void *data, int n, sqlite3_int64 at)
{
	const struct fd_file *f = (const struct fd_file *)base;
	size_t got = 0, want = (size_t)n;

	while (got < want) {
		ssize_t r = pread(f->fd, (char *)data + got, want - got, (off_t)at + (off_t)got);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return SQLITE_IOERR_READ;
		if (r == 0)
			break;
		got += (size_t)r;
	}
	if (got == want)
		return SQLITE_OK;
	memset((char *)data + got, 0, want - got); // as SQLite wants it
	return SQLITE_IOERR_SHORT_READ;
}

static int file_write(sqlite3_file *base, const void *data, int n, sqlite3_int64 at)
{
	(void)base, (void)data, (void)n, (void)at;
	return SQLITE_READONLY;
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
	(void)base, (void)size;
	return SQLITE_READONLY;
}

static int file_size(sqlite3_file *base, sqlite3_int64 *ret)
{
	const struct fd_file *f = (const struct fd_file *)base;
	struct stat st;

	if (fstat(f->fd, &st) < 0)
		return SQLITE_IOERR_FSTAT;
	*ret = st.st_size;
	return SQLITE_OK;
}

static int file_with_flag(sqlite3_file *base, int flag) // sync, lock, unlock
{
	(void)base, (void)flag;
	return SQLITE_OK;
}

static int file_is_reserved(sqlite3_file *base, int *ret)
{
	(void)base;
	*ret = 0;
	return SQLITE_OK;
}

static int file_control(sqlite3_file *base, int op, void *arg)
{
	(void)base, (void)op, (void)arg;
	return SQLITE_NOTFOUND;
}

static int file_sector_size(sqlite3_file *base)
{
	(void)base;
	return 4096;
}

// Nobody changes it: no locks, no journal and no WAL are looked for.
static int file_characteristics(sqlite3_file *base)
{
	(void)base;
	return SQLITE_IOCAP_IMMUTABLE;
}

static const sqlite3_io_methods file_methods = {
	.iVersion = 1,
	.xClose = file_close,
	.xRead = file_read,
	.xWrite = file_write,
	.xTruncate = file_truncate,
	.xSync = file_with_flag,
	.xFileSize = file_size,
	.xLock = file_with_flag,
	.xUnlock = file_with_flag,
	.xCheckReservedLock = file_is_reserved,
	.xFileControl = file_control,
	.xSectorSize = file_sector_size,
	.xDeviceCharacteristics = file_characteristics,
};

// ---- the file system: it has one file, called by the number of its descriptor

static int fs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags,
		   int *ret_flags)
{
	struct fd_file *f = (struct fd_file *)base;
	uint64_t fd;

	(void)vfs;
	*f = (struct fd_file){0};
	if (!name || !(flags & SQLITE_OPEN_MAIN_DB) || !str_u64(str_of(name), INT_MAX, &fd))
		return SQLITE_CANTOPEN;
	f->base.pMethods = &file_methods;
	f->fd = (int)fd;
	if (ret_flags)
		*ret_flags = SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_READONLY;
	return SQLITE_OK;
}

static int fs_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	(void)vfs, (void)name, (void)sync;
	return SQLITE_READONLY;
}

static int fs_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
	(void)vfs, (void)name, (void)flags;
	*ret = 0;
	return SQLITE_OK;
}

static int fs_full_name(sqlite3_vfs *vfs, const char *name, int n, char *ret)
{
	(void)vfs;
	return snprintf(ret, (size_t)n, "%s", name) < n ? SQLITE_OK : SQLITE_CANTOPEN;
}

// Nothing that is read depends on chance or time.
static int fs_randomness(sqlite3_vfs *vfs, int n, char *ret)
{
	(void)vfs;
	memset(ret, 0, (size_t)n);
	return n;
}

static int fs_sleep(sqlite3_vfs *vfs, int us)
{
	(void)vfs, (void)us;
	return 0;
}

static int fs_time(sqlite3_vfs *vfs, double *ret)
{
	(void)vfs;
	*ret = 0;
	return SQLITE_OK;
}

static sqlite3_vfs file_system = {
	.iVersion = 1,
	.szOsFile = sizeof(struct fd_file),
	.mxPathname = 64,
	.zName = VFS_NAME,
	.xOpen = fs_open,
	.xDelete = fs_delete,
	.xAccess = fs_access,
	.xFullPathname = fs_full_name,
	.xRandomness = fs_randomness,
	.xSleep = fs_sleep,
	.xCurrentTime = fs_time,
};

static void set_up(void)
{
	sqlite3_vfs_register(&file_system, 0);
	sqlite3_hard_heap_limit64((sqlite3_int64)SQLITE_HEAP_MAX);
}

// ---- limits

static int not_one(struct err *e)
{
	return err_set(e, ERR_INPUT, "not an SQLite database");
}

static int translate(const struct sqlite *s, int code, struct err *e)
{
	switch (code & 0xff) {
	case SQLITE_INTERRUPT:
		if (s->stopped.kind != ERR_NONE) {
			*e = s->stopped;
			return -1;
		}
		break;
	case SQLITE_IOERR:
		return err_set(e, ERR_IO, "cannot read the database: %s", sqlite3_errstr(code));
	case SQLITE_NOTADB:
		return not_one(e);
	case SQLITE_NOMEM:
		return err_set(e, ERR_INPUT, "the database needs more than %zu MiB of memory",
			       SQLITE_HEAP_MAX >> 20);
	case SQLITE_TOOBIG:
		return err_set(e, ERR_INPUT, "the database has a row of more than %zu bytes",
			       SQLITE_VALUE_MAX);
	default:
		break;
	}
	return err_set(e, ERR_INPUT, "%s", sqlite3_errmsg(s->db));
}

static uint64_t take_looks(sqlite3 *db, int what)
{
	int now = 0, high = 0;

	sqlite3_db_status(db, what, &now, &high, 1);
	return now > 0 ? (uint64_t)now : 0;
}

static int leads_in_circles(struct err *e)
{
	return err_set(e, ERR_INPUT, "the pages of the database lead in circles");
}

// No table needs to look at each page so often.
static int check_looks(struct sqlite *s, struct err *e)
{
	s->looks += take_looks(s->db, SQLITE_DBSTATUS_CACHE_HIT) +
		    take_looks(s->db, SQLITE_DBSTATUS_CACHE_MISS);
	return s->looks <= PAGE_LOOKS * (s->pages + s->rows) + PAGE_LOOKS_FREE
		       ? 0
		       : leads_in_circles(e);
}

static int on_progress(void *arg)
{
	struct sqlite *s = arg;

	s->steps += STEPS_AT_ONCE;
	if (cancelled(s->cancel))
		return err_cancelled(&s->stopped);
	if (s->steps > STEPS_MAX)
		return err_set(&s->stopped, ERR_INPUT, "the database takes too long to read");
	return check_looks(s, &s->stopped);
}

static void set_limits(sqlite3 *db)
{
	static const struct {
		int id, value;
	} limits[] = {
		{SQLITE_LIMIT_LENGTH, (int)SQLITE_VALUE_MAX},
		{SQLITE_LIMIT_SQL_LENGTH, 1 << 16},
		{SQLITE_LIMIT_COLUMN, 256},
		{SQLITE_LIMIT_EXPR_DEPTH, 32},
		{SQLITE_LIMIT_COMPOUND_SELECT, 2},
		{SQLITE_LIMIT_VDBE_OP, 10000},
		{SQLITE_LIMIT_FUNCTION_ARG, 8},
		{SQLITE_LIMIT_ATTACHED, 0},
		{SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 64},
		{SQLITE_LIMIT_VARIABLE_NUMBER, 1},
		{SQLITE_LIMIT_TRIGGER_DEPTH, 1},
		{SQLITE_LIMIT_WORKER_THREADS, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		sqlite3_limit(db, limits[i].id, limits[i].value);
}

static void switch_off(sqlite3 *db)
{
	static const struct {
		int id, value;
	} switches[] = {
		{SQLITE_DBCONFIG_DEFENSIVE, 1},      {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
		{SQLITE_DBCONFIG_ENABLE_TRIGGER, 0}, {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
		{SQLITE_DBCONFIG_DQS_DML, 0},        {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(switches); i++)
		sqlite3_db_config(db, switches[i].id, switches[i].value, (int *)NULL);
	sqlite3_drop_modules(db, NULL); // no virtual tables
}

// Statements read columns of the one database, and nothing else. Computed columns escape this:
// their expressions are part of the schema (sqlite_has).
static int authorize(void *arg, int action, const char *a, const char *b, const char *database,
		     const char *from)
{
	(void)arg, (void)b, (void)from;
	if (action == SQLITE_SELECT || (action == SQLITE_PRAGMA && strcmp(a, "table_xinfo") == 0))
		return SQLITE_OK;
	return action == SQLITE_READ && database && strcmp(database, "main") == 0 ? SQLITE_OK
										  : SQLITE_DENY;
}

// ---- reading

static int configure(struct sqlite *s, struct err *e)
{
	static const char pragmas[] = "PRAGMA cell_size_check=ON; PRAGMA mmap_size=0;"
				      "PRAGMA cache_size=-4096; PRAGMA temp_store=MEMORY;";

	set_limits(s->db);
	switch_off(s->db);
	sqlite3_progress_handler(s->db, STEPS_AT_ONCE, on_progress, s);
	int code = sqlite3_exec(s->db, pragmas, NULL, NULL, NULL);

	if (code != SQLITE_OK)
		return translate(s, code, e);
	sqlite3_set_authorizer(s->db, authorize, NULL);
	// Reads the header and the schema.
	code = sqlite3_exec(s->db, "SELECT name FROM sqlite_master LIMIT 1", NULL, NULL, NULL);
	return code == SQLITE_OK ? 0 : translate(s, code, e);
}

// SQLite fills up a page that was cut off with zeros, which may be read as something.
static int count_pages(struct sqlite *s, int fd, struct err *e)
{
	unsigned char head[100];
	struct stat st;

	if (fstat(fd, &st) < 0 || pread(fd, head, sizeof(head), 0) < 0)
		return err_os(e, ERR_IO, "cannot read the database");
	if (st.st_size < (off_t)sizeof(head) || memcmp(head, SQLITE_MAGIC, SQLITE_MAGIC_SIZE) != 0)
		return not_one(e);
	unsigned size = (unsigned)head[16] << 8 | head[17];

	if (size == 1)
		size = 65536;
	if (size < 512 || (size & (size - 1)) != 0)
		return not_one(e);
	if (st.st_size % size != 0)
		return err_set(e, ERR_INPUT, "the database is cut off");
	s->pages = (uint64_t)st.st_size / size;
	s->max_rows = (uint64_t)st.st_size / ROW_BYTES_MIN;
	return 0;
}

int sqlite_open(struct sqlite **ret, int fd, struct cancel *cancel, struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	auto_of(sqlite_close) struct sqlite *s = xcalloc(1, sizeof(*s));
	char name[16];

	pthread_once(&once, set_up);
	s->cancel = cancel;
	snprintf(name, sizeof(name), "%d", fd);
	if (count_pages(s, fd, e) < 0)
		return -1;
	int code =
		sqlite3_open_v2(name, &s->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, VFS_NAME);

	if (code != SQLITE_OK)
		return err_set(e, ERR_IO, "cannot open the database: %s", sqlite3_errstr(code));
	if (configure(s, e) < 0)
		return -1;
	*ret = steal(&s);
	return 0;
}

void sqlite_close(struct sqlite *s)
{
	if (!s)
		return;
	sqlite3_close(s->db);
	free(s);
}

struct column {
	const char *name;
	bool found; // and it is not computed
};

static int on_column(void *arg, int n, char **values, char **names)
{
	enum { NAME = 1, HIDDEN = 6 };
	struct column *c = arg;

	(void)names;
	if (n > HIDDEN && values[NAME] && values[HIDDEN] &&
	    sqlite3_stricmp(values[NAME], c->name) == 0)
		c->found = strcmp(values[HIDDEN], "0") == 0;
	return 0;
}

bool sqlite_has(struct sqlite *s, const char *table, const char *column)
{
	auto_free char *sql = xasprintf("PRAGMA main.table_xinfo(\"%s\")", table);
	struct column c = {.name = column};

	// Fails for views and virtual tables.
	return sqlite3_table_column_metadata(s->db, "main", table, column, NULL, NULL, NULL, NULL,
					     NULL) == SQLITE_OK &&
	       sqlite3_exec(s->db, sql, on_column, &c, NULL) == SQLITE_OK && c.found;
}

static int need_columns(struct sqlite *s, const char *table, const char *const *columns,
			size_t ncolumns, struct err *e)
{
	for (size_t i = 0; i < ncolumns; i++)
		if (!sqlite_has(s, table, columns[i]))
			return err_set(e, ERR_INPUT, "no such column: %s.%s", table, columns[i]);
	return 0;
}

static int prepare(struct sqlite *s, sqlite3_stmt **ret, const char *table,
		   const char *const *columns, size_t ncolumns, struct err *e)
{
	auto_buf struct buf sql = BUF_INIT(SQL_MAX);

	for (size_t i = 0; i < ncolumns; i++)
		buf_printf(&sql, "%s t.\"%s\"", i == 0 ? "SELECT" : ",", columns[i]);
	buf_printf(&sql, " FROM main.\"%s\" AS t NOT INDEXED", table);
	int code = sqlite3_prepare_v2(s->db, sql.p, (int)sql.n, ret, NULL);

	return code == SQLITE_OK ? 0 : translate(s, code, e);
}

static int value_at(struct sqlite *s, sqlite3_stmt *stmt, int i, struct str *ret, struct err *e)
{
	bool is_null = sqlite3_column_type(stmt, i) == SQLITE_NULL;
	const char *text = (const char *)sqlite3_column_text(stmt, i);

	if (!text && !is_null && sqlite3_errcode(s->db) == SQLITE_NOMEM)
		return translate(s, SQLITE_NOMEM, e);
	*ret = (struct str){text, text ? (size_t)sqlite3_column_bytes(stmt, i) : 0};
	if (!text && !is_null) // an empty blob
		*ret = STR("");
	return 0;
}

static int read_row(struct sqlite *s, sqlite3_stmt *stmt, size_t ncolumns,
		    int (*row)(void *arg, const struct str *values, struct err *e), void *arg,
		    struct err *e)
{
	struct str values[SQLITE_COLUMNS_MAX];

	if (++s->rows > SQLITE_ROWS_MAX)
		return err_set(e, ERR_INPUT, "the table has more than %zu rows", SQLITE_ROWS_MAX);
	if (s->rows > s->max_rows)
		return leads_in_circles(e);
	if (s->rows % ROWS_AT_ONCE == 0 && check_looks(s, e) < 0)
		return -1;
	for (size_t i = 0; i < ncolumns; i++)
		if (value_at(s, stmt, (int)i, &values[i], e) < 0)
			return -1;
	return row(arg, values, e);
}

static int read_rows(struct sqlite *s, sqlite3_stmt *stmt, size_t ncolumns,
		     int (*row)(void *arg, const struct str *values, struct err *e), void *arg,
		     struct err *e)
{
	int code;

	while ((code = sqlite3_step(stmt)) == SQLITE_ROW)
		if (read_row(s, stmt, ncolumns, row, arg, e) < 0)
			return -1;
	return code == SQLITE_DONE ? 0 : translate(s, code, e);
}

int sqlite_each(struct sqlite *s, const char *table, const char *const *columns, size_t ncolumns,
		int (*row)(void *arg, const struct str *values, struct err *e), void *arg,
		struct err *e)
{
	sqlite3_stmt *stmt = NULL;

	assert(ncolumns > 0 && ncolumns <= SQLITE_COLUMNS_MAX);
	s->rows = s->steps = s->looks = 0;
	s->stopped.kind = ERR_NONE;
	int failed = need_columns(s, table, columns, ncolumns, e);

	if (!failed)
		failed = prepare(s, &stmt, table, columns, ncolumns, e);
	if (!failed)
		failed = read_rows(s, stmt, ncolumns, row, arg, e);
	sqlite3_finalize(stmt);
	return failed;
}
