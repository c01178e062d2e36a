// SPDX-License-Identifier: Apache-2.0
// Credential helpers: programs that keep passwords for others.
//
// Protocol: docker-credential-NAME is started with the argument "get" and the server on its
// standard input; it answers {"ServerURL", "Username", "Secret"} on its standard output. The user
// name
// "<token>" says that the secret is an identity token.
#ifndef NET_HELPER_H
#define NET_HELPER_H

#include "util/cancel.h"

#include <stdbool.h>

enum { HELPER_MS = 60 * 1000 };

struct helper_reply {
	char *user, *secret; // NULL: the helper knows nothing about the server
	bool is_token;
};
void helper_reply_release(struct helper_reply *r); // wipes what it frees

// PATH is searched for the program (colon-separated; empty and relative parts are skipped). The
// helper is killed after TIMEOUT_MS and when STOP (may be NULL) fires: ERR_CANCELLED. ERR_DENIED
// otherwise; what the helper printed never enters the error.
int helper_get(struct helper_reply *ret, const char *name, const char *server, const char *path,
	       unsigned timeout_ms, struct cancel *stop, struct err *e) must_check;

#endif
