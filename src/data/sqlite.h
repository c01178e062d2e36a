// SPDX-License-Identifier: Apache-2.0
// SQLite databases from outside: whole tables, read only.
//
//	if (sqlite_open(&db, fd, cancel, e) < 0)
//		return -1;
//	if (sqlite_has(db, "related_image", "image") &&
//	    sqlite_each(db, "related_image", (const char *const[]){"image"}, 1, on_row, arg, e) < 0)
//		return -1;
//
// The file is one descriptor: there is no way to any other, to a journal, or to anything that
// writes. Only ordinary tables are read, from their beginning to their end, without an index;
// views, virtual tables, triggers and functions that a schema brings along are never run. Every
// database is taken as complete: one in WAL mode is read as the pages that it has. Memory, rows,
// steps, and how often pages are looked at are bounded. One thread at a time.
#ifndef DATA_SQLITE_H
#define DATA_SQLITE_H

#include "util/cancel.h"
#include "util/cleanup.h"
#include "util/str.h"

struct sqlite;

#define SQLITE_ROWS_MAX    ((size_t)8 << 20)   // of a table
#define SQLITE_VALUE_MAX   ((size_t)64 << 20)  // bytes of a row
#define SQLITE_HEAP_MAX    ((size_t)256 << 20) // of all databases together
#define SQLITE_COLUMNS_MAX 8                   // read at once

// How every database begins.
#define SQLITE_MAGIC      "SQLite format 3"
#define SQLITE_MAGIC_SIZE 16 // the final NUL included

// FD is borrowed until sqlite_close, its position is not used; the file must not change. ERR_INPUT
// when it is no database, or when its schema is damaged. CANCEL may be NULL.
int sqlite_open(struct sqlite **ret, int fd, struct cancel *cancel, struct err *e) must_check;
void sqlite_close(struct sqlite *db); // NULL is fine
DEFINE_AUTO(sqlite_close, struct sqlite)

// Is TABLE an ordinary table, and has it that COLUMN, which is not computed?
bool sqlite_has(struct sqlite *db, const char *table, const char *column);

// Calls ROW for every row of TABLE with the values of its COLUMNS: UTF-8 text (not checked to be
// any, NUL bytes included), numbers in decimal, NULL with p == NULL; borrowed until it returns. The
// names are ours, never outside text. Ends at ROW's first failure.
int sqlite_each(struct sqlite *db, const char *table, const char *const *columns, size_t ncolumns,
		int (*row)(void *arg, const struct str *values, struct err *e), void *arg,
		struct err *e) must_check;

#endif
