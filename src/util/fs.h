// SPDX-License-Identifier: Apache-2.0
// Files and folders. Every descriptor is opened O_CLOEXEC. Errors name the path.
#ifndef UTIL_FS_H
#define UTIL_FS_H

#include "util/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

char *path_join(const char *dir, const char *name); // caller frees; NAME absolute: NAME
// Makes DIR and its missing parents. Existing folders are fine.
int fs_mkdirs(const char *dir, mode_t mode, struct err *e) must_check;
// The whole of PATH into *ret (appended). ERR_NOT_FOUND if it does not exist, ERR_INPUT when it
// is larger than ret->max.
int fs_read_file(struct buf *ret, const char *path, struct err *e) must_check;
int fs_read_fd(struct buf *ret, int fd, const char *name, struct err *e) must_check;
// Writes PATH whole or not at all: temporary file beside it, fsync, rename, fsync of the folder.
int fs_write_file(const char *path, struct str bytes, mode_t mode, struct err *e) must_check;
int fs_write_all(int fd, const void *data, size_t n, const char *name, struct err *e) must_check;
int fs_sync_dir(const char *dir, struct err *e) must_check;
bool fs_exists(const char *path); // of any type, links not followed
// Bytes that this user may still write on the filesystem of DIR (or its nearest existing parent).
int fs_free_space(const char *dir, uint64_t *ret, struct err *e) must_check;
// The nearest folder at or above PATH that exists; caller frees.
char *fs_existing_parent(const char *path);

#endif
