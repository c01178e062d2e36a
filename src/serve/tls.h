// SPDX-License-Identifier: Apache-2.0
// The server's side of TLS: certificate, key and parameters, which can be replaced while
// connections go on.
//
// TLS 1.2 and 1.3 with forward secrecy and AEAD ciphers only; http/1.1 is the only protocol;
// session tickets, but neither renegotiation nor compression nor early data. Thread-safe.
#ifndef SERVE_TLS_H
#define SERVE_TLS_H

#include "util/cleanup.h"
#include "util/err.h"

#include <openssl/ssl.h>
#include <stdbool.h>

struct server_tls;

// CERTIFICATE (leaf first, then its chain) and KEY are PEM files. ERR_INPUT names file and reason.
int server_tls_new(struct server_tls **ret, const char *certificate, const char *key, struct err *e)
	must_check;
void server_tls_free(struct server_tls *t);
DEFINE_AUTO(server_tls_free, struct server_tls)
// Reads the files again; sessions that exist keep what they have. On failure nothing changes.
int server_tls_reload(struct server_tls *t, struct err *e) must_check;
// The same certificate with new keys for tickets: call it once a day, so that a stolen key opens
// no old recordings.
void server_tls_rotate(struct server_tls *t);
// Does the certificate end within DAYS? Compared with the clock of the system.
bool server_tls_ends_within(struct server_tls *t, int days);
// A server-side session on the socket FD; NULL when OpenSSL cannot.
SSL *server_tls_session(struct server_tls *t, int fd);

#endif
