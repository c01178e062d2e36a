// SPDX-License-Identifier: Apache-2.0
// Whom we trust, and who we are: roots, added bundles, certs.d folders, client certificates.
//
// Everything is parsed once, into stores that handshakes share. A certificate without
// subjectAltName is refused by that name, whoever signed it: container runtimes refuse it too, and
// a mirror that only we can read is none. Thread-safe.
#ifndef NET_TLS_H
#define NET_TLS_H

#include "net/http.h"

#include <curl/curl.h>

struct tls;
struct tls_host; // trust and client certificate for one host:port

int tls_new(struct tls **ret, const struct http_config *cfg, struct err *e) must_check;
void tls_free(struct tls *t);
DEFINE_AUTO(tls_free, struct tls)

// Loads what HOST (without brackets) needs on the first call for it; lives as long as T.
// ERR_INPUT for an unreadable file in a certs.d folder.
const struct tls_host *tls_for(struct tls *t, const char *host, const char *port, struct err *e)
	must_check;

// One handshake: what it shall check, and what it found.
struct tls_peer {
	const struct tls_host *host;
	const char *name; // the certificate must be valid for it; without brackets
	bool insecure;
	bool via_tls_proxy; // handshakes with the proxy come here too: curl compares their name
	char problem[300];  // why the certificate is refused, or ""
	char remedy[300];
};

// For CURLOPT_SSL_CTX_FUNCTION; ARG is a struct tls_peer.
CURLcode tls_configure(CURL *easy, void *ssl_ctx, void *arg);

#endif
