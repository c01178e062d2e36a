// SPDX-License-Identifier: Apache-2.0
// What the files of this folder share; for nobody else.
//
//	registry.c   the object, the check of /v2/, requests and their failures
//	auth.c       what goes into Authorization
//	challenge.c  WWW-Authenticate        errors.c  error bodies
//	manifests.c, blobs.c, tags.c, referrers.c    one kind of request each
//	upload.c     the upload session loop sessions.c  sessions that outlive a run
#ifndef REGISTRY_CLIENT_H
#define REGISTRY_CLIENT_H

#include "registry/challenge.h"
#include "registry/errors.h"
#include "registry/registry.h"
#include "util/map.h"

#include <pthread.h>

enum ping_state { PING_NEEDED, PING_RUNNING, PING_GOOD, PING_FAILED };
// Is there a list of referrers?
enum referrers_state { REFERRERS_UNKNOWN, REFERRERS_ASKING, REFERRERS_THERE, REFERRERS_NONE };

struct registry {
	char *host;     // as the user wrote it
	char *endpoint; // host[:port] to connect to
	struct registry_config cfg;
	char *state_dir; // or NULL
	struct limiter *limiter;

	pthread_mutex_t lock; // guards everything below
	pthread_cond_t changed;
	enum ping_state ping;
	struct err ping_error;
	enum referrers_state referrers;
	// Written once by the ping, then only read, without the lock.
	char *base; // "https://host:port"
	bool secure;
	bool open; // /v2/ answered without credentials
	struct challenges challenges;

	struct map memos;    // repository → struct repository_memo *
	struct map grants;   // repository and scopes → struct grant *
	struct map sessions; // "repository digest" → char *location, from refused mounts
};

// What this run has learnt about one repository.
struct repository_memo {
	bool name_unknown;
	bool asking, asked; // for the name, by the tag list
	bool writable;      // a destination: tokens ask for pull and push from the start
	bool probed;
};
struct repository_memo *registry_memo(struct registry *r, const char *repository); // lock held

// --- registry.c ---

// The URL of a path below /v2/; checks the registry first. Caller frees; NULL on failure.
char *registry_url(struct registry *r, struct err *e, const char *fmt, ...)
	must_check printf_like(3, 4);
// LOCATION (a header's value) as a URL, seen from BASE. A registry behind a proxy that names itself
// with http:// is still asked over https.
int registry_resolve(struct registry *r, char **ret, const char *base, const char *location,
		     struct err *e) must_check;

struct call {
	const char *method, *url, *repository;
	bool push;              // needs more than pull
	const char *mount_from; // or NULL
	const char *const *headers;
	const void *body;
	size_t body_len;
	unsigned flags;
};
// One small exchange with credentials, if URL is the registry's own. Marks the memo on NAME_UNKNOWN
// no sooner than registry_failed.
struct http_exchange *registry_send(struct registry *r, const struct call *c, struct err *e)
	must_check;
// Turns an answer that is no success into *e and returns -1; reads the body.
int registry_failed(struct registry *r, const char *repository, struct http_exchange *x,
		    struct err *e);
// Adds "Head "URL": " in front, as Go's client does.
int registry_wrap_url(struct err *e, const char *method, const char *url);
// "hint: ..." behind an ERR_DENIED that has none.
int registry_hint(struct registry *r, struct err *e);
bool http_success(int status);
// Reads and drops what is left of an answer, so that its connection can be used again.
void http_drain(struct http_exchange *x);
// Media type without parameters, lower case kept as is; caller frees. NULL for NULL.
char *media_type_of(const char *content_type);

// --- auth.c ---

struct grant;

// The credentials of one request; lives as long as the request.
struct request_auth {
	struct http_auth base;
	struct registry *r;
	struct grant *grant;
	const char *method, *url;
	unsigned sent; // which generation of the grant's header went out last
};
// The registry must have answered. URL decides: of another origin, nothing is ever sent.
void request_auth_init(struct request_auth *a, struct registry *r, const char *repository,
		       bool push, const char *mount_from, const char *method, const char *url);
// For http_req.auth; NULL where nothing may be sent.
struct http_auth *request_auth_of(struct request_auth *a);
// The server took what was sent (any status but 401).
void request_auth_accepted(struct request_auth *a);
// Gets the token for pushing to REPOSITORY now.
int auth_prepare(struct registry *r, const char *repository, struct err *e) must_check;
void grants_release(struct registry *r);
// Scopes for a token, sorted and without doubles. Pure.
void auth_scopes(struct strlist *ret, const char *repository, bool push, const char *mount_from);

// --- tags.c ---

// The target of the rel="next" link in a Link header (RFC 8288); caller frees. NULL when none.
char *link_next(const char *header);

// --- upload.c ---

// A Range header of an upload session: "0-N", "bytes=0-N". *ret is where to go on; "0-0" is what
// some registries say for nothing.
bool upload_range(const char *value, uint64_t *ret);
// Keeps the session that a refused mount opened, for the upload that follows; takes LOCATION.
void upload_keep(struct registry *r, const char *repository, const struct digest *d,
		 char *location);

// --- sessions.c ---

enum { SESSION_MIN = 8 * 1024 * 1024, SESSION_LIFE = 24 * 3600, SESSIONS_MAX = 256 };

// The session that an earlier run left for this blob, out of the state folder; caller frees. NULL
// when there is none. Troubles with the state folder only cost the resumption.
char *session_claim(struct registry *r, const char *repository, const struct digest *d);
void session_save(struct registry *r, const char *repository, const struct digest *d,
		  const char *location);
void session_forget(struct registry *r, const char *repository, const struct digest *d);

#endif
