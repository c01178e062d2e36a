// SPDX-License-Identifier: Apache-2.0
// The access log of a server: one line for each request, written by a thread of its own.
//
//	2026-11-22T18:46:48Z 192.0.2.7 alice PUT /v2/a/manifests/v1 201 1234 0 12.5ms "skopeo/1.9.3"
//
// Time, client, user ("-": nobody), method, path, status, bytes received, bytes sent, how long, the
// client's name; " broken" at the end when the client did not get all of the answer. No query
// strings, no credentials. Whatever clients chose and does not print is escaped. Who serves never
// waits for the log: lines that a slow reader has no room for are counted instead.
#ifndef CMD_ACCESS_LOG_H
#define CMD_ACCESS_LOG_H

#include "serve/api.h"
#include "util/cleanup.h"

#include <stdio.h>

struct access_log;

struct access_log_config {
	const char *file; // appended to, made 0640; NULL: TO
	FILE *to;         // borrowed
	int64_t (*now)(void);
};

int access_log_start(struct access_log **ret, const struct access_log_config *cfg, struct err *e)
	must_check;
// Thread-safe; never waits.
void access_log_add(struct access_log *log, const struct api_access *line);
// Opens the file by its name again, for whoever has renamed it. On failure the old one stays.
int access_log_reopen(struct access_log *log, struct err *e) must_check;
// Writes what is left.
void access_log_stop(struct access_log *log);
DEFINE_AUTO(access_log_stop, struct access_log)

// One line with its newline.
void access_log_format(struct buf *ret, const struct api_access *line, int64_t now);

#endif
