// SPDX-License-Identifier: Apache-2.0
// What goes into Authorization: nothing, a password, or a token for a few scopes.
//
// A grant is a repository with a set of scopes, and the header in force for it. All requests that
// need the same scopes share one grant, so that one token serves them and is renewed once.
// Spec: Docker Registry v2 token authentication, and its OAuth2 form for identity tokens.
#include "registry/client.h"

#include "data/base64.h"
#include "data/json.h"
#include "net/url.h"
#include "util/clock.h"
#include "util/trace.h"

#include <string.h>

enum {
	TOKEN_ANSWER_MAX = 256 * 1024,
	TOKEN_SECONDS = 15,  // for the answer of the token server
	TOKEN_LIFE_MIN = 60, // a shorter or missing expires_in means this
	TOKEN_LIFE_MAX = 30 * 24 * 3600,
	SCOPE_MAX = 4096,
};

struct grant {
	char *repository; // whose credentials
	struct strlist scopes;

	// Guarded by the registry's lock.
	char *challenged_scope;        // what a 401 asked for beyond them, or NULL
	struct challenges *challenges; // of a 401; NULL: the registry's
	char *header;                  // "" for none; NULL: to be made
	uint64_t expires_us;           // 0: never
	unsigned generation;           // counts headers, from 1
	bool fetching;
	bool accepted;      // a request with this header was not answered by 401
	struct err *denied; // the credentials were refused: not tried again; or NULL
};

// There are as many as repositories and pairs to mount between, and few are ever challenged on
// their own or denied: what only those need is allocated for them.
static void forget_challenges(struct grant *g)
{
	if (g->challenges)
		challenges_release(g->challenges);
	free(g->challenges);
	g->challenges = NULL;
}

static void grant_free(struct grant *g)
{
	forget_challenges(g);
	strlist_release(&g->scopes);
	free(g->challenged_scope);
	free(g->header);
	free(g->denied);
	free(g->repository);
	free(g);
}

// --- scopes ---

void auth_scopes(struct strlist *ret, const char *repository, bool push, const char *mount_from)
{
	strlist_addf(ret, "repository:%s:%s", repository, push ? "pull,push" : "pull");
	if (mount_from && strcmp(mount_from, repository) != 0)
		strlist_addf(ret, "repository:%s:pull", mount_from);
	strlist_sort(ret);
	strlist_unique(ret);
}

static char *join(const struct strlist *l, const char *separator)
{
	auto_buf struct buf out = BUF_INIT(BUF_TEXT_MAX);

	for (size_t i = 0; i < l->n; i++)
		buf_printf(&out, "%s%s", i ? separator : "", l->v[i]);
	return buf_take(&out);
}

// The grant for a request, made when it is the first of its kind.
static struct grant *find_grant(struct registry *r, const char *repository, bool push,
				const char *mount_from)
{
	auto_strlist struct strlist scopes = {0};

	pthread_mutex_lock(&r->lock);
	const struct repository_memo *memo = map_get(&r->memos, repository);

	auth_scopes(&scopes, repository, push || (memo && memo->writable),
		    r->cfg.skip_multiple_scopes ? NULL : mount_from);
	auto_free char *list = join(&scopes, " ");
	auto_free char *key = xasprintf("%s %s", repository, list);
	struct map_entry *entry = map_put(&r->grants, str_of(key), NULL);

	if (!entry->ptr) {
		struct grant *g = xcalloc(1, sizeof(*g));

		g->repository = xstrdup(repository);
		g->scopes = scopes;
		scopes = (struct strlist){0};
		entry->ptr = g;
	}
	struct grant *g = entry->ptr;

	pthread_mutex_unlock(&r->lock);
	return g;
}

void grants_release(struct registry *r)
{
	for (size_t i = 0; i < r->grants.n; i++)
		grant_free(r->grants.entries[i].ptr);
	map_release(&r->grants);
}

// --- credentials ---

static bool has_password(const struct credential *c)
{
	return c->user && c->password;
}

static char *basic_header(const struct credential *c)
{
	auto_free char *pair = xasprintf("%s:%s", c->user, c->password);
	auto_free char *coded = base64_encode(str_of(pair));

	return xasprintf("Basic %s", coded);
}

static int find_credential(struct registry *r, const char *repository, struct credential *ret,
			   struct err *e)
{
	if (!r->cfg.credentials)
		return 0;
	return credentials_find(r->cfg.credentials, r->host, repository, ret, e);
}

// A fixed header on the request to the token server.
struct fixed_auth {
	struct http_auth base;
	const char *header;
};

static int fixed_authorize(struct http_auth *a, char **ret, struct err *e)
{
	(void)e;
	*ret = xstrdup(((struct fixed_auth *)a)->header);
	return 0;
}

static int fixed_challenged(struct http_auth *a, const char *const *challenges, bool *ret_again,
			    struct err *e)
{
	(void)a;
	(void)challenges;
	(void)e;
	*ret_again = false;
	return 0;
}

// --- tokens ---

struct token_request {
	struct registry *r;
	const char *realm, *service;
	struct strlist scopes;
	struct credential credential;
};

// The registry named the realm; what it may lead us to depends on how well we know the registry.
// Over https: to https only. Without TLS anyone may have written the answer: passwords then go to
// the registry's own host only.
static int check_realm(struct registry *r, const char *realm, bool secret, struct err *e)
{
	auto_url struct url to = {0}, from = {0};

	if (*realm == '\0')
		return err_set(e, ERR_INPUT, "registry %s names no realm to get a token from",
			       r->host);
	if (url_parse(&to, realm, e) < 0)
		return err_wrap(e, "registry %s names a token realm that cannot be used", r->host);
	if (r->secure && strcmp(to.scheme, "https") != 0)
		return err_set(
			e, ERR_DENIED,
			"registry %s names the token realm '%s', which is not https: nothing "
			"is sent there",
			r->host, realm);
	if (r->secure || !secret)
		return 0;
	if (url_parse(&from, r->base, e) < 0)
		return -1;
	if (strcmp(to.host, from.host) != 0)
		return err_set(
			e, ERR_DENIED,
			"registry %s was reached without TLS and names the token realm '%s' on "
			"another host: no credentials are sent there",
			r->host, realm);
	return 0;
}

static char *with_query(char *url, const char *name, const char *value)
{
	char *longer = url_add_query(url, name, value);

	free(url);
	return longer;
}

static char *token_url(const struct token_request *t)
{
	char *url = xstrdup(t->realm);

	if (*t->service)
		url = with_query(url, "service", t->service);
	for (size_t i = 0; i < t->scopes.n; i++)
		url = with_query(url, "scope", t->scopes.v[i]);
	if (has_password(&t->credential))
		url = with_query(url, "account", t->credential.user);
	return url;
}

static void add_field(struct buf *form, const char *name, const char *value)
{
	auto_free char *coded = url_encode(value);

	buf_printf(form, "%s%s=%s", form->n ? "&" : "", name, coded);
}

static void token_form(const struct token_request *t, struct buf *form)
{
	auto_free char *scopes = join(&t->scopes, " ");

	add_field(form, "grant_type", "refresh_token");
	add_field(form, "client_id", "ferry");
	add_field(form, "refresh_token", t->credential.identity_token);
	add_field(form, "service", t->service);
	add_field(form, "scope", scopes);
}

static struct http_exchange *ask_for_token(const struct token_request *t, struct err *e)
{
	struct http *net = t->r->cfg.net;
	auto_free char *url = NULL;
	auto_free char *basic = NULL;
	auto_buf struct buf form = BUF_INIT(BUF_TEXT_MAX);
	struct fixed_auth auth = {{fixed_authorize, fixed_challenged}, NULL};
	static const char *const form_headers[] = {
		"Content-Type: application/x-www-form-urlencoded", NULL};
	struct http_req req = {
		.method = "GET",
		.flags = HTTP_SMALL,
		.timeout_seconds = TOKEN_SECONDS,
	};

	if (t->credential.identity_token) {
		token_form(t, &form);
		req.method = "POST";
		req.url = t->realm;
		req.headers = form_headers;
		req.body = form.p;
		req.body_len = form.n;
		// The body is a secret: it must not follow a redirect.
		req.flags |= HTTP_KEEP_REDIRECT;
		return http_open(net, &req, e);
	}
	req.url = url = token_url(t);
	if (has_password(&t->credential)) {
		auth.header = basic = basic_header(&t->credential);
		req.auth = &auth.base;
	}
	return http_open(net, &req, e);
}

// A token goes into a header: visible ASCII, nothing else.
static bool token_valid(const char *token)
{
	if (*token == '\0')
		return false;
	for (; *token; token++)
		if (*token <= ' ' || *token > '~')
			return false;
	return true;
}

static int parse_token(struct str body, char **ret, uint64_t *ret_life, struct err *e)
{
	auto_json struct json_doc doc = {0};

	if (json_parse(&doc, body, JSON_LIMITS(TOKEN_ANSWER_MAX), 0, e) < 0)
		return -1;
	struct json root = json_root(&doc);
	struct json first = json_member(&root, "token"),
		    second = json_member(&root, "access_token");
	struct json expires = json_member(&root, "expires_in");
	const char *token;
	struct err ignored;

	if (json_text_or(&first, "", &token, e) < 0)
		return -1;
	if (*token == '\0' && json_text_or(&second, "", &token, e) < 0)
		return -1;
	if (!token_valid(token))
		return err_set(e, ERR_INPUT, "the answer holds no token");
	if (!json_present(&expires) || json_u64(&expires, TOKEN_LIFE_MAX, ret_life, &ignored) < 0 ||
	    *ret_life < TOKEN_LIFE_MIN)
		*ret_life = TOKEN_LIFE_MIN;
	*ret = xasprintf("Bearer %s", token);
	return 0;
}

static int fetch_token(const struct token_request *t, char **ret, uint64_t *ret_life, struct err *e)
{
	bool secret = t->credential.identity_token || has_password(&t->credential);
	auto_buf struct buf body = BUF_INIT(TOKEN_ANSWER_MAX);

	if (check_realm(t->r, t->realm, secret, e) < 0)
		return -1;
	auto_of(http_exchange_free) struct http_exchange *x = ask_for_token(t, e);

	if (!x)
		return -1;
	if (!http_success(http_status(x))) {
		registry_failed(t->r, NULL, x, e);
		if (e->kind == ERR_DENIED)
			return -1;
		return registry_wrap_url(e, "Get", t->realm);
	}
	if (http_read_all(x, &body, e) < 0 || parse_token(buf_str(&body), ret, ret_life, e) < 0)
		return err_wrap(e, "token from '%s'", t->realm);
	return 0;
}

// Cuts CHALLENGED, a scope list that a 401 named, into SCOPES.
static void add_scopes(struct strlist *scopes, const char *challenged)
{
	struct str rest = str_of(challenged);

	while (rest.n > 0) {
		struct str one = str_cut(&rest, ' ');

		if (one.n == 0)
			continue;
		auto_free char *text = xstrndup(one.p, one.n);

		if (!strlist_has(scopes, text))
			strlist_add(scopes, text);
	}
}

// --- making a header ---

// What the registry wants, copied out of the lock.
struct wanted {
	char *scheme, *realm, *service;
	struct strlist scopes;
};

static void wanted_release(struct wanted *w)
{
	free(w->scheme);
	free(w->realm);
	free(w->service);
	strlist_release(&w->scopes);
}

static const struct challenge *choose(const struct challenges *c)
{
	const struct challenge *bearer = challenges_find(c, "bearer");

	return bearer && *challenge_param(bearer, "realm") ? bearer : challenges_find(c, "basic");
}

// Lock held.
static void wanted_init(struct wanted *ret, struct registry *r, struct grant *g)
{
	const struct challenge *c = choose(g->challenges ? g->challenges : &r->challenges);

	*ret = (struct wanted){
		.scheme = xstrdup(c ? c->scheme : ""),
		.realm = xstrdup(c ? challenge_param(c, "realm") : ""),
		.service = xstrdup(c ? challenge_param(c, "service") : ""),
	};
	for (size_t i = 0; i < g->scopes.n; i++)
		strlist_add(&ret->scopes, g->scopes.v[i]);
	if (g->challenged_scope)
		add_scopes(&ret->scopes, g->challenged_scope);
}

// *ret_life in seconds, 0 for ever. OPTIONAL: the registry may also be used without credentials.
static int make_header(struct registry *r, const char *repository, struct wanted *w, bool optional,
		       char **ret, uint64_t *ret_life, struct err *e)
{
	auto_credential struct credential credential = {0};

	*ret_life = 0;
	if (*w->scheme == '\0') {
		*ret = xstrdup("");
		return 0;
	}
	if (find_credential(r, repository, &credential, e) < 0)
		return -1;
	if (strcmp(w->scheme, "basic") == 0) {
		if (!has_password(&credential) && !optional)
			return err_set(e, ERR_DENIED, "no basic auth credentials");
		*ret = has_password(&credential) ? basic_header(&credential) : xstrdup("");
		return 0;
	}
	struct token_request t = {r, w->realm, w->service, w->scopes, credential};

	return fetch_token(&t, ret, ret_life, e);
}

static bool usable(const struct grant *g)
{
	return g->header && (g->expires_us == 0 || clock_us() < g->expires_us);
}

// Makes G's header; the lock is held on entry and on return, not between. One thread does it, all
// others who want the same token wait for it.
static int renew(struct registry *r, struct grant *g, struct err *e)
{
	__attribute__((cleanup(wanted_release))) struct wanted w;
	bool optional = r->open && !g->challenges;
	char *header = NULL;
	uint64_t life = 0;

	wanted_init(&w, r, g);
	g->fetching = true;
	pthread_mutex_unlock(&r->lock);
	int rc = make_header(r, g->repository, &w, optional, &header, &life, e);

	pthread_mutex_lock(&r->lock);
	g->fetching = false;
	if (rc == 0) {
		free(g->header);
		g->header = header;
		g->generation++;
		g->accepted = false;
		// A tenth early, so that it does not expire on its way.
		g->expires_us = life ? clock_us() + life * 900000 : 0;
	} else if (e->kind == ERR_DENIED) {
		free(g->denied);
		g->denied = xmemdup(e, sizeof(*e));
	}
	pthread_cond_broadcast(&r->changed);
	return rc;
}

// Waits for or makes G's header. *ret is a copy, "" for none.
static int current_header(struct registry *r, struct grant *g, char **ret, unsigned *ret_generation,
			  struct err *e)
{
	int rc = 0;

	pthread_mutex_lock(&r->lock);
	while (rc == 0 && !usable(g)) {
		if (g->denied) {
			*e = *g->denied;
			rc = -1;
		} else if (g->fetching) {
			pthread_cond_wait(&r->changed, &r->lock);
		} else if (renew(r, g, e) < 0) {
			rc = -1;
		}
	}
	if (rc == 0) {
		*ret = xstrdup(g->header);
		*ret_generation = g->generation;
	}
	pthread_mutex_unlock(&r->lock);
	return rc;
}

int auth_prepare(struct registry *r, const char *repository, struct err *e)
{
	auto_free char *header = NULL;
	unsigned generation;

	if (current_header(r, find_grant(r, repository, true, NULL), &header, &generation, e) < 0)
		return registry_hint(r, e);
	return 0;
}

// --- struct http_auth ---

static int authorize(struct http_auth *base, char **ret, struct err *e)
{
	struct request_auth *a = (struct request_auth *)base;
	auto_free char *header = NULL;

	if (current_header(a->r, a->grant, &header, &a->sent, e) < 0) {
		if (strcmp(e->text, "no basic auth credentials") == 0)
			registry_wrap_url(e, a->method, a->url);
		return registry_hint(a->r, e);
	}
	*ret = *header ? steal(&header) : NULL;
	return 0;
}

// Takes over what a 401 says. True when there is something new to try: another scheme, a scope that
// was not asked for, or a token that had been good until now.
static bool learn(struct grant *g, struct challenges *said)
{
	const struct challenge *c = choose(said);

	if (!c)
		return false;
	bool basic = strcmp(c->scheme, "basic") == 0;
	const char *scope = challenge_param(c, "scope");
	bool again;

	if (*g->header == '\0') {
		again = true;
	} else if (starts_with(g->header, "Basic ")) {
		again = !basic;
	} else {
		auto_strlist struct strlist have = {0};

		for (size_t i = 0; i < g->scopes.n; i++)
			strlist_add(&have, g->scopes.v[i]);
		if (g->challenged_scope)
			add_scopes(&have, g->challenged_scope);
		size_t known = have.n;

		add_scopes(&have, scope);
		again = basic || g->accepted || have.n > known;
	}
	if (!again)
		return false;
	if (*scope && strlen(scope) <= SCOPE_MAX) {
		free(g->challenged_scope);
		g->challenged_scope = xstrdup(scope);
	}
	forget_challenges(g);
	g->challenges = xmemdup(said, sizeof(*said));
	*said = (struct challenges){0};
	return true;
}

static int challenged(struct http_auth *base, const char *const *values, bool *ret_again,
		      struct err *e)
{
	struct request_auth *a = (struct request_auth *)base;
	struct grant *g = a->grant;
	auto_challenges struct challenges said = {0};

	(void)e;
	for (; *values; values++)
		challenges_parse(&said, *values);
	pthread_mutex_lock(&a->r->lock);
	if (g->generation != a->sent || !g->header) {
		*ret_again = true; // someone else has been told already
	} else if ((*ret_again = learn(g, &said))) {
		free(g->header);
		g->header = NULL;
		trace("auth", "%s: %s is asked for a new header", a->r->host, g->repository);
	}
	pthread_mutex_unlock(&a->r->lock);
	return 0;
}

void request_auth_init(struct request_auth *a, struct registry *r, const char *repository,
		       bool push, const char *mount_from, const char *method, const char *url)
{
	*a = (struct request_auth){.base = {authorize, challenged}, .r = r, .method = method};
	a->url = url;
	if (url_same_origin(url, r->base))
		a->grant = find_grant(r, repository, push, mount_from);
}

struct http_auth *request_auth_of(struct request_auth *a)
{
	return a->grant ? &a->base : NULL;
}

void request_auth_accepted(struct request_auth *a)
{
	if (!a->grant)
		return;
	pthread_mutex_lock(&a->r->lock);
	if (a->grant->generation == a->sent)
		a->grant->accepted = true;
	pthread_mutex_unlock(&a->r->lock);
}
