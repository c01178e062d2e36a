// SPDX-License-Identifier: Apache-2.0
// The HTTP/1.1 server: listeners, connections, TLS, limits; a `struct service` gives the answers.
//
// Spec: RFC 9112, as strictly as a registry's clients allow. One or more event threads own the
// sockets and never wait for a disk: files that are not in the page cache are read in by workers
// first, everything a service does (but `quick`) runs on workers. Bodies are held in memory
// for a few slabs a connection at most, 16 MiB for all of them together. A slow, silent or hostile
// client holds nothing but its own connection, and that not for long.
#ifndef SERVE_SERVER_H
#define SERVE_SERVER_H

#include "serve/exchange.h"
#include "util/cleanup.h"

struct server_limits {         // 0: the default
	unsigned connections;  // 4096
	unsigned per_address;  // 256
	unsigned head_seconds; // 10, for a whole request head
	unsigned idle_seconds; // 75 between requests; 5 when 80 % of the connections are in use
	unsigned body_seconds; // 30: the time in which body_bytes must come
	unsigned body_bytes;   // 30 KiB
	unsigned send_stall_seconds; // 60 without a byte taken by the client
	unsigned stop_seconds;       // 30 for what is in flight when the server stops
	unsigned cold_files;         // 4 files read in at once from a disk
};

struct server_config {
	const char *listen; // HOST:PORT, "[::1]:5000", ":5000"; port 0 takes a free one
	const char *tls_certificate, *tls_key; // PEM files, or NULL for plain HTTP
	unsigned threads;                      // event threads; 0: one a core, at most 4
	unsigned workers;                      // 0: 8
	struct server_limits limits;
	const struct service *service;
	// Something that whoever runs the server should read (accept fails, a certificate expires);
	// from any thread. May be NULL.
	void (*notice)(void *arg, const char *text);
	void *notice_arg;
};

struct server;

// Binds and starts. ERR_IO: "cannot listen on 127.0.0.1:5000: address already in use"; ERR_INPUT:
// the certificate and why.
int server_start(struct server **ret, const struct server_config *cfg, struct err *e) must_check;
// "127.0.0.1:5000", with the port that was taken.
const char *server_address(const struct server *s);
// Reads certificate and key again; open connections keep theirs. On failure the old ones stay.
int server_reload(struct server *s, struct err *e) must_check;
// Stops accepting, finishes what is in flight within the limit, closes the rest, frees S.
void server_stop(struct server *s);
DEFINE_AUTO(server_stop, struct server)

#endif
