// SPDX-License-Identifier: Apache-2.0
// Running a registry server until it is told to stop: stores, users, API, HTTP, the access log,
// put up in order and taken down again. What `registry serve` and `image serve` share.
//
// SIGTERM and SIGINT finish what is in flight; SIGHUP reads certificate, users and the access log's
// file again.
#ifndef CMD_SERVE_RUN_H
#define CMD_SERVE_RUN_H

#include "cmd/cmd.h"
#include "serve/api.h"
#include "serve/auth.h"
#include "serve/server.h"

struct serve_request {
	const char *dir;          // the store for pushes; NULL: none
	bool read_only;           // DIR is served, not written
	const char *const *roots; // folders served as they are
	size_t nroots;
	bool allow_unfinished;  // media whose writer did not end
	const char *access_log; // a file; "-": standard output; "none"; NULL: standard error
	// As for the core, but that listen is not checked yet; stores, log and clock, key, service
	// and notice are filled in here.
	struct server_config server;
	struct auth_config auth;
	struct api_config api;
	// The server answers: TEXT says what it serves ("DIR (read-write), ROOT (read-only)"), URL
	// where ("http://127.0.0.1:5000").
	void (*ready)(const struct cmd_io *io, const struct serve_request *r, const char *text,
		      const char *url);
};

// Returns when the server was told to stop and did.
int serve_run(const struct cmd_io *io, const struct serve_request *r, struct err *e) must_check;

// LISTEN is HOST:PORT; HOST may be empty, and IPv6 addresses stand in brackets.
int serve_check_listen(const char *listen, struct err *e) must_check;
// Only programs on this machine reach LISTEN ("127.0.0.1:5000", "[::1]:0", "localhost:5000").
bool serve_is_loopback(const char *listen);
// HOST:PORT as somebody elsewhere would type it: the machine's name for "all addresses".
char *serve_public_name(const char *address); // caller frees
// "512", "64GiB", "500MB", "2g" (2 GiB); ERR_USAGE names FLAG.
int serve_parse_size(const char *flag, const char *text, uint64_t *ret, struct err *e) must_check;
// --tls-crt and --tls-key come together.
int serve_check_tls(const char *certificate, const char *key, struct err *e) must_check;

#endif
