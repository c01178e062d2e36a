// SPDX-License-Identifier: Apache-2.0
// Who may do what: htpasswd users, basic authentication, bearer tokens of our own.
//
// Spec: RFC 7617 (basic), the distribution project's token authentication (realm, service, scope).
// A token is base64url(payload) "." base64url(HMAC-SHA-256) with the store's key: nothing is kept,
// any process with the key can check it. Anonymous means no Authorization header, or basic with an
// empty user and password, which is what containers/image sends when it has no credentials.
// Passwords are bcrypt only; successes are remembered for 5 minutes as a keyed hash, failures for
// 5 seconds a user and address; unknown users cost the same time. Thread-safe.
#ifndef SERVE_AUTH_H
#define SERVE_AUTH_H

#include "serve/exchange.h"
#include "util/cleanup.h"

enum auth_mode { AUTH_NONE, AUTH_BASIC, AUTH_TOKEN };
enum { AUTH_KEY_SIZE = 32, AUTH_USER_MAX = 128 };

enum auth_action { AUTH_PULL = 1, AUTH_PUSH = 2, AUTH_DELETE = 4, AUTH_CATALOG = 8 };

struct auth_config {
	enum auth_mode mode;
	const char *htpasswd;     // file; NULL with AUTH_NONE
	bool anonymous_pull;      // AUTH_TOKEN
	const char *external_url; // of the realm; NULL: from the Host header
	const char *service;      // "ferry" when NULL
	unsigned char key[AUTH_KEY_SIZE];
	int64_t (*now)(void); // unix time
};

struct auth;

// ERR_INPUT names file and line of what is no bcrypt entry.
int auth_new(struct auth **ret, const struct auth_config *cfg, struct err *e) must_check;
void auth_free(struct auth *a);
DEFINE_AUTO(auth_free, struct auth)
// Reads the file again when it has changed. While it cannot be used the old users stay, and every
// call says why. Looks at most once a second.
int auth_reload(struct auth *a, struct err *e) must_check;

enum auth_verdict {
	AUTH_OK,     // *ret_user is "" for anonymous
	AUTH_REPLY,  // the reply is set: 401 with the challenge, 403, 429
	AUTH_SLOWLY, // a password hash must be computed: ask again with MAY_HASH
};

// May this request do ACTIONS in REPO ("" for /v2/ and the catalog)? Sets the 401 with the scope
// that is needed otherwise.
enum auth_verdict auth_check(struct auth *a, struct exchange *x, const char *repo, unsigned actions,
			     bool may_hash, char ret_user[AUTH_USER_MAX + 1]);
// Has the user of this request the right as well? For mounts and the catalog; no reply is set. REPO
// "*" asks about every repository. A token counts for what its scopes name; one for the catalog
// shows all that its user may see.
bool auth_allows(struct auth *a, const char *user, const struct exchange *x, const char *repo,
		 unsigned actions);
// GET and POST /token. BODY is a POST's form. AUTH_OK means that the reply is set as well.
enum auth_verdict auth_token(struct auth *a, struct exchange *x, struct str body, bool may_hash);
// Passwords hashed so far.
uint64_t auth_hashed(const struct auth *a);

#endif
