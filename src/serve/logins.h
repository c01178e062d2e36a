// SPDX-License-Identifier: Apache-2.0
// Is this the password of that user? The users' file, and what was found out a moment ago.
//
// bcrypt costs tens of milliseconds, so a right password is remembered for 5 minutes and a wrong
// one for 5 seconds, each as an HMAC over the user, the user's entry and the password: a user whose
// entry changes or goes is checked anew. One address that gets a user's password wrong four times
// within 5 seconds is turned away until they are over, unless it comes with a password that is
// remembered as right. Everything remembered is bounded; what is older gives way.
// Thread-safe. Only logins_reload waits for a disk.
#ifndef SERVE_LOGINS_H
#define SERVE_LOGINS_H

#include "util/cleanup.h"
#include "util/str.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	LOGINS_KEY_SIZE = 32,
	LOGINS_REMEMBERED = 1024, // of each kind
	LOGIN_RIGHT_SECONDS = 300,
	LOGIN_WRONG_SECONDS = 5,
	LOGIN_GUESSES = 4,
	LOGIN_PASSWORD_MAX = 1024, // bytes; longer ones are wrong
};

struct logins;

// ERR_INPUT names file and line of what is no entry.
int logins_new(struct logins **ret, const char *file, const unsigned char key[LOGINS_KEY_SIZE],
	       int64_t (*now)(void), struct err *e) must_check;
void logins_free(struct logins *l);
DEFINE_AUTO(logins_free, struct logins)
// Reads the file again when it has changed, looking at most once a second. While the file
// cannot be used the old users stay, and every call says why.
int logins_reload(struct logins *l, struct err *e) must_check;

bool logins_has(struct logins *l, struct str user);

enum login {
	LOGIN_RIGHT,
	LOGIN_WRONG,
	LOGIN_SLOWLY,    // must be computed: ask again with MAY_HASH
	LOGIN_TOO_OFTEN, // turned away, whatever the password
};
enum login logins_check(struct logins *l, struct str user, struct str password, const char *peer,
			bool may_hash);
// Passwords hashed so far.
uint64_t logins_hashed(const struct logins *l);

#endif
