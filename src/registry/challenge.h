// SPDX-License-Identifier: Apache-2.0
// WWW-Authenticate: what a server wants to see before it answers.
//
// Spec: RFC 9110, 11.2 to 11.6.1. One header value may hold several challenges, several values are
// parsed into one list. A syntax error ends its header value: challenges and parameters that were
// complete before it stand, nothing behind it is guessed. Ceilings: CHALLENGE_HEADER_MAX bytes a
// value, CHALLENGES_MAX challenges, CHALLENGE_PARAMS_MAX parameters each; the rest is dropped.
#ifndef REGISTRY_CHALLENGE_H
#define REGISTRY_CHALLENGE_H

#include "util/mem.h"
#include "util/str.h"

enum { CHALLENGE_HEADER_MAX = 8192, CHALLENGES_MAX = 8, CHALLENGE_PARAMS_MAX = 16 };

struct challenge_param {
	const char *name; // lower case
	const char *value;
};

struct challenge {
	const char *scheme; // lower case
	struct challenge_param params[CHALLENGE_PARAMS_MAX];
	size_t nparams;
};

// Zero-initialise; challenges_release.
struct challenges {
	struct challenge v[CHALLENGES_MAX];
	size_t n;
	struct arena arena; // owns the texts
};
#define auto_challenges __attribute__((cleanup(challenges_release)))

// Adds what stands in HEADER. False when it holds a syntax error (what came before it is kept).
bool challenges_parse(struct challenges *ret, const char *header);
void challenges_release(struct challenges *c);
// The value of a parameter, "" when absent.
const char *challenge_param(const struct challenge *c, const char *name);
const struct challenge *challenges_find(const struct challenges *c, const char *scheme);

#endif
