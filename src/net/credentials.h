// SPDX-License-Identifier: Apache-2.0
// Credential files: which user and password go to which registry and repository.
//
// Files: containers-auth.json(5), docker's config.json, ~/.dockercfg. Search order and quirks: the
// reference's (docs/differences.md lists where we differ: one bad entry spoils only the registry it
// is for; credsStore, username/password members are understood; an empty file is no credentials).
// The first file that knows the registry decides, in it the longest matching host/path, per
// request. docker.io, index.docker.io and registry-1.docker.io are one registry.
//
// Helpers run through the docker credential helper protocol (docker-credential-NAME get), started
// by posix_spawn; names with '/' are refused. What a helper said is kept for the life of the
// object. Loaded once, then read by any thread. Secrets never enter errors, warnings or traces.
#ifndef NET_CREDENTIALS_H
#define NET_CREDENTIALS_H

#include "util/cancel.h"
#include "util/cleanup.h"
#include "util/str.h"

struct credentials;

struct credential {
	char *user, *password; // both NULL: none
	char *identity_token;  // or NULL
};
void credential_release(struct credential *c); // wipes what it frees
#define auto_credential __attribute__((cleanup(credential_release)))

// Only FILE when it is given (ERR_INPUT: "unable to load --registry-config: stat FILE: no such file
// or directory"); else the search order, for which ENV looks up variables (HOME, XDG_RUNTIME_DIR,
// XDG_CONFIG_HOME, DOCKER_CONFIG, REGISTRY_AUTH_FILE, REGISTRY_AUTH_PREFERENCE, PATH).
// Notices for the user ("file X: entry for "H" is not valid base64: ignored") are added to
// WARNINGS.
int credentials_load(struct credentials **ret, const char *file,
		     const char *(*env)(const char *name), struct strlist *warnings, struct err *e)
	must_check;
void credentials_free(struct credentials *c);
DEFINE_AUTO(credentials_free, struct credentials)

// Helpers that are still running when STOP fires are killed. Before the first find; STOP is
// borrowed. HELPER_MS is how long one may take (0: a minute).
void credentials_limit(struct credentials *c, struct cancel *stop, unsigned helper_ms);

// For REGISTRY ("quay.io:443") and REPOSITORY ("org/img"). Success with an empty result when there
// is nothing. A helper that fails, or an entry that is broken, is ERR_DENIED naming file and entry.
int credentials_find(struct credentials *c, const char *registry, const char *repository,
		     struct credential *ret, struct err *e) must_check;

#endif
