// SPDX-License-Identifier: Apache-2.0
// Bearer tokens of our own and the scopes that they carry. Pure functions.
//
// A token is base64url(payload) "." base64url(HMAC-SHA-256(key, payload)), both without padding,
// and there is exactly one spelling of it. The payload is lines of text: version, user, issued,
// expires (unix time), scopes with blanks between them. Whoever has the key can check it; nothing
// is kept, nothing in it is secret.
// Scopes are those of the distribution project's token authentication: "repository:NAME:ACTIONS"
// and "registry:catalog:*".
#ifndef SERVE_TOKEN_H
#define SERVE_TOKEN_H

#include "serve/auth.h"

enum {
	TOKEN_MAX = 8 * 1024,
	TOKEN_LIFETIME = 900, // seconds
	TOKEN_SKEW = 60,      // how far ahead the clock of another issuer may be
};

// ACTIONS is a set of enum auth_action; REPO is empty for the catalog.
struct scope {
	struct str repo;
	unsigned actions;
};

// One scope, borrowed from TEXT. Actions that we do not know grant nothing, "*" is all of them;
// false: not a scope of ours.
bool scope_parse(struct scope *ret, struct str text);
// "repository:a/b:pull,push"; nothing for no actions.
void scope_print(struct buf *out, struct str repo, unsigned actions);
// What blank-separated SCOPES allow in REPO.
unsigned scopes_actions(struct str scopes, struct str repo);

struct token {
	struct str user; // empty: anonymous
	struct str scopes;
	int64_t issued, expires;
};

// ERR_INPUT: the token would be larger than TOKEN_MAX.
int token_write(struct buf *ret, const unsigned char key[AUTH_KEY_SIZE], const struct token *t,
		struct err *e) must_check;
// RET borrows from BYTES. ERR_DENIED: not a token of this key, or not valid NOW.
int token_read(struct token *ret, char bytes[TOKEN_MAX], struct str text,
	       const unsigned char key[AUTH_KEY_SIZE], int64_t now, struct err *e) must_check;

#endif
