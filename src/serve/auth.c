// SPDX-License-Identifier: Apache-2.0
// Who sends a request, what they may do, and how they are told to say more about themselves.
#include "serve/auth.h"

#include "data/base64.h"
#include "data/gofmt.h"
#include "data/json_out.h"
#include "serve/logins.h"
#include "serve/route.h"
#include "serve/token.h"
#include "util/mem.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

enum {
	SCOPES_MAX = 64, // asked for at once
	HOST_MAX = 255,
	PORT_DIGITS_MAX = 5,
	FORM_SIZE_MAX = 16 * 1024,
	EXTERNAL_URL_MAX = 1024,
};

static_assert((int)LOGINS_KEY_SIZE == (int)AUTH_KEY_SIZE, "one key for both");

struct auth {
	enum auth_mode mode;
	bool anonymous_pull;
	char *external_url; // without a slash at its end; NULL: ask the request
	char *service;
	unsigned char key[AUTH_KEY_SIZE];
	int64_t (*now)(void);
	struct logins *logins; // NULL with AUTH_NONE
};

// ---- configuration

// Text that can stand in a quoted string of a header as it is.
static bool is_quotable(const char *text, size_t max)
{
	size_t n = 0;

	for (; text[n]; n++)
		if (n >= max || text[n] <= ' ' || text[n] > '~' || strchr("\"\\", text[n]))
			return false;
	return n > 0;
}

static bool is_external_url(const char *url)
{
	const char *host = starts_with(url, "https://")  ? url + 8
			   : starts_with(url, "http://") ? url + 7
							 : "";

	return is_quotable(url, EXTERNAL_URL_MAX) && *host && *host != '/' && !strpbrk(host, "?#");
}

static int take_config(struct auth *a, const struct auth_config *cfg, struct err *e)
{
	const char *service = cfg->service ? cfg->service : "ferry";

	if (!is_quotable(service, HOST_MAX))
		return err_set(e, ERR_USAGE, "'%s' is not a name for a service", service);
	if (cfg->external_url && !is_external_url(cfg->external_url))
		return err_set(e, ERR_USAGE, "'%s' is not an http or https URL", cfg->external_url);
	a->mode = cfg->mode;
	a->anonymous_pull = cfg->anonymous_pull;
	a->now = cfg->now;
	memcpy(a->key, cfg->key, sizeof(a->key));
	a->service = xstrdup(service);
	if (cfg->external_url) {
		a->external_url = xstrdup(cfg->external_url);
		while (ends_with(a->external_url, "/"))
			a->external_url[strlen(a->external_url) - 1] = '\0';
	}
	return 0;
}

int auth_new(struct auth **ret, const struct auth_config *cfg, struct err *e)
{
	auto_of(auth_free) struct auth *a = xcalloc(1, sizeof(*a));

	if (take_config(a, cfg, e) < 0)
		return -1;
	if (cfg->mode != AUTH_NONE && !cfg->htpasswd)
		return err_set(e, ERR_USAGE, "authentication needs an htpasswd file");
	if (cfg->mode != AUTH_NONE &&
	    logins_new(&a->logins, cfg->htpasswd, cfg->key, cfg->now, e) < 0)
		return -1;
	*ret = steal(&a);
	return 0;
}

void auth_free(struct auth *a)
{
	if (!a)
		return;
	logins_free(a->logins);
	free(a->external_url);
	free(a->service);
	explicit_bzero(a->key, sizeof(a->key));
	free(a);
}

int auth_reload(struct auth *a, struct err *e)
{
	return a->logins ? logins_reload(a->logins, e) : 0;
}

uint64_t auth_hashed(const struct auth *a)
{
	return a->logins ? logins_hashed(a->logins) : 0;
}

// What USER ("" is anonymous) may do in REPO: "" is the registry itself, "*" every repository. The
// one place that knows rights.
static unsigned rights_of(const struct auth *a, const char *user, const char *repo)
{
	(void)repo;
	if (*user)
		return AUTH_PULL | AUTH_PUSH | AUTH_DELETE | AUTH_CATALOG;
	return a->mode == AUTH_TOKEN && a->anonymous_pull ? AUTH_PULL | AUTH_CATALOG : 0;
}

// ---- who it is

struct caller {
	char user[AUTH_USER_MAX + 1]; // "": anonymous
	bool by_token;
	struct str scopes; // of the token
	char bytes[TOKEN_MAX];
};

enum identity {
	IDENTITY_KNOWN, // or anonymous
	IDENTITY_WRONG,
	IDENTITY_BAD_TOKEN,
	IDENTITY_SLOWLY,
	IDENTITY_TOO_OFTEN,
};

static void set_user(struct caller *c, struct str user)
{
	assert(user.n <= AUTH_USER_MAX);
	if (user.n > 0)
		memcpy(c->user, user.p, user.n);
	c->user[user.n] = '\0';
}

static enum identity identify_password(struct auth *a, const struct exchange *x, struct str user,
				       struct str password, bool may_hash, struct caller *ret)
{
	if (user.n == 0 && password.n == 0)
		return IDENTITY_KNOWN;
	switch (logins_check(a->logins, user, password, x->request.peer, may_hash)) {
	case LOGIN_SLOWLY:
		return IDENTITY_SLOWLY;
	case LOGIN_TOO_OFTEN:
		return IDENTITY_TOO_OFTEN;
	case LOGIN_RIGHT:
		set_user(ret, user);
		return IDENTITY_KNOWN;
	case LOGIN_WRONG:
		break;
	}
	return IDENTITY_WRONG;
}

static enum identity identify_basic(struct auth *a, const struct exchange *x, struct str encoded,
				    bool may_hash, struct caller *ret)
{
	auto_free char *text = NULL;
	size_t n;

	if (!base64_decode(encoded, &text, &n))
		return IDENTITY_WRONG;
	struct str password = {text, n}, user = str_cut(&password, ':');

	return password.p ? identify_password(a, x, user, password, may_hash, ret) : IDENTITY_WRONG;
}

static enum identity identify_token(struct auth *a, struct str text, struct caller *ret)
{
	struct token t;
	struct err e;

	// A token outlives its user by nothing.
	if (token_read(&t, ret->bytes, text, a->key, a->now(), &e) < 0 ||
	    (t.user.n > 0 && !logins_has(a->logins, t.user)))
		return IDENTITY_BAD_TOKEN;
	ret->by_token = true;
	ret->scopes = t.scopes;
	set_user(ret, t.user);
	return IDENTITY_KNOWN;
}

static bool scheme_is(struct str scheme, const char *name)
{
	return scheme.n == strlen(name) && strncasecmp(scheme.p, name, scheme.n) == 0;
}

// The credentials of the Authorization header; *ret_scheme is empty when there is none. False:
// there are two, and somebody in between may have believed the other one.
static bool authorization(const struct request *r, struct str *ret_scheme,
			  struct str *ret_credentials)
{
	unsigned at = 0;
	struct str rest = request_header_next(r, "Authorization", &at);

	*ret_scheme = *ret_credentials = (struct str){"", 0};
	if (!rest.p)
		return true;
	*ret_scheme = str_cut(&rest, ' ');
	*ret_credentials = rest.p ? str_trim(rest) : (struct str){"", 0};
	return !request_header_next(r, "Authorization", &at).p;
}

static enum identity identify(struct auth *a, const struct exchange *x, bool may_hash,
			      struct caller *ret)
{
	struct str scheme, credentials;
	bool one = authorization(&x->request, &scheme, &credentials);

	ret->user[0] = '\0';
	ret->by_token = false;
	ret->scopes = (struct str){NULL, 0};
	if (!one)
		return IDENTITY_WRONG;
	if (!request_header(&x->request, "Authorization").p)
		return IDENTITY_KNOWN;
	if (scheme_is(scheme, "Basic"))
		return identify_basic(a, x, credentials, may_hash, ret);
	if (scheme_is(scheme, "Bearer") && a->mode == AUTH_TOKEN)
		return identify_token(a, credentials, ret);
	return IDENTITY_WRONG;
}

// ---- answers

static enum auth_verdict refuse(struct exchange *x, int status, const char *code, const char *text)
{
	bool close = x->reply.close;

	reply_clear(&x->reply);
	x->reply.status = status;
	x->reply.close = close;
	struct json_out j = {.out = &x->reply.body};

	reply_header(&x->reply, "Content-Type", "application/json");
	json_out_begin(&j, '{');
	json_out_key(&j, "errors");
	json_out_begin(&j, '[');
	json_out_begin(&j, '{');
	json_out_key(&j, "code");
	json_out_text(&j, code);
	json_out_key(&j, "message");
	json_out_text(&j, text);
	json_out_key(&j, "detail");
	json_out_begin(&j, '{');
	json_out_end(&j, '}');
	json_out_end(&j, '}');
	json_out_end(&j, ']');
	json_out_end(&j, '}');
	return AUTH_REPLY;
}

static enum auth_verdict refuse_for_now(struct exchange *x)
{
	refuse(x, 429, "TOOMANYREQUESTS", "too many wrong passwords; try again in a few seconds");
	reply_header(&x->reply, "Retry-After", "%d", LOGIN_WRONG_SECONDS);
	return AUTH_REPLY;
}

static bool is_port(struct str s)
{
	uint64_t port;

	return s.n <= PORT_DIGITS_MAX && str_u64(s, 65535, &port);
}

static bool all_of(struct str s, const char *more)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool fine = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
			    (c >= 'A' && c <= 'Z') || (c && strchr(more, c));

		if (!fine)
			return false;
	}
	return s.n > 0;
}

// A name or an address, and perhaps a port: what may stand in a URL that we hand out.
static bool is_host(struct str s)
{
	if (s.n > HOST_MAX)
		return false;
	if (s.n > 0 && s.p[0] == '[') {
		struct str rest = {s.p + 1, s.n - 1}, address = str_cut(&rest, ']');

		return rest.p && all_of(address, ":.") &&
		       (rest.n == 0 ||
			(rest.p[0] == ':' && is_port((struct str){rest.p + 1, rest.n - 1})));
	}
	struct str port = s, name = str_cut(&port, ':');

	return all_of(name, "-._") && (!port.p || is_port(port));
}

enum realm { REALM_MADE, REALM_UNKNOWN, REALM_MALFORMED };

static enum realm realm_of(const struct auth *a, const struct request *r, struct buf *ret)
{
	unsigned at = 0;

	if (a->external_url) {
		buf_printf(ret, "%s/token", a->external_url);
		return REALM_MADE;
	}
	struct str host = request_header_next(r, "Host", &at);

	if (!host.p)
		return REALM_UNKNOWN;
	if (!is_host(host) || request_header_next(r, "Host", &at).p)
		return REALM_MALFORMED;
	buf_printf(ret, "%s://%.*s/token", r->tls ? "https" : "http", STR_FMT(host));
	return REALM_MADE;
}

static enum auth_verdict ask_for_password(struct exchange *x, const char *text)
{
	refuse(x, 401, "UNAUTHORIZED", text);
	reply_header(&x->reply, "WWW-Authenticate", "Basic realm=\"ferry\"");
	return AUTH_REPLY;
}

// 401 that names what would be accepted. ERROR is why the token that was sent is not; may be NULL.
static enum auth_verdict challenge(const struct auth *a, struct exchange *x, const char *repo,
				   unsigned actions, const char *error, const char *text)
{
	auto_buf struct buf realm = BUF_INIT(BUF_TEXT_MAX), scope = BUF_INIT(BUF_TEXT_MAX),
			    more = BUF_INIT(BUF_TEXT_MAX);

	if (a->mode == AUTH_BASIC)
		return ask_for_password(x, text);
	switch (realm_of(a, &x->request, &realm)) {
	case REALM_UNKNOWN: // HTTP/1.0: nowhere to send the client to
		return ask_for_password(x, text);
	case REALM_MALFORMED:
		return refuse(x, 400, "UNSUPPORTED", "the Host header is malformed");
	case REALM_MADE:
		break;
	}
	if (actions & AUTH_PUSH)
		actions |= AUTH_PULL; // clients look before they push
	scope_print(&scope, str_of(repo), actions);
	if (scope.n > 0)
		buf_printf(&more, ",scope=\"%s\"", scope.p);
	if (error)
		buf_printf(&more, ",error=\"%s\"", error);
	refuse(x, 401, "UNAUTHORIZED", text);
	reply_header(&x->reply, "WWW-Authenticate", "Bearer realm=\"%s\",service=\"%s\"%s", realm.p,
		     a->service, more.p);
	return AUTH_REPLY;
}

// ---- may they

static enum auth_verdict authorise(const struct auth *a, struct exchange *x, const struct caller *c,
				   const char *repo, unsigned actions)
{
	unsigned rights = rights_of(a, c->user, repo), granted = rights;

	// Who asks for the base asks whether to log in.
	if (actions == 0 && !*c->user && !c->by_token)
		return challenge(a, x, repo, actions, NULL, "authentication required");
	if (c->by_token)
		granted &= scopes_actions(c->scopes, str_of(repo));
	granted |= rights_of(a, "", repo);
	if ((granted & actions) == actions)
		return AUTH_OK;
	if (*c->user && (rights & actions) != actions)
		return refuse(x, 403, "DENIED", "this user may not do that here");
	return challenge(a, x, repo, actions, c->by_token ? "insufficient_scope" : NULL,
			 "authentication required");
}

enum auth_verdict auth_check(struct auth *a, struct exchange *x, const char *repo, unsigned actions,
			     bool may_hash, char ret_user[AUTH_USER_MAX + 1])
{
	enum auth_verdict verdict;
	struct caller c;

	ret_user[0] = '\0';
	if (a->mode == AUTH_NONE)
		return AUTH_OK;
	switch (identify(a, x, may_hash, &c)) {
	case IDENTITY_SLOWLY:
		return AUTH_SLOWLY;
	case IDENTITY_TOO_OFTEN:
		return refuse_for_now(x);
	case IDENTITY_BAD_TOKEN:
		return challenge(a, x, repo, actions, "invalid_token", "invalid token");
	case IDENTITY_WRONG:
		return challenge(a, x, repo, actions, NULL, "invalid user or password");
	case IDENTITY_KNOWN:
		break;
	}
	verdict = authorise(a, x, &c, repo, actions);
	if (verdict == AUTH_OK)
		memcpy(ret_user, c.user, sizeof(c.user));
	return verdict;
}

// What the token of this request narrows its user's rights to; all of them without a token.
static unsigned narrowed_to(struct auth *a, const struct exchange *x, const char *repo)
{
	struct str scheme, credentials;
	struct caller c;

	if (!authorization(&x->request, &scheme, &credentials))
		return 0;
	if (!scheme_is(scheme, "Bearer"))
		return ~0U;
	if (identify_token(a, credentials, &c) != IDENTITY_KNOWN)
		return 0;
	if (scopes_actions(c.scopes, STR("")) & AUTH_CATALOG)
		return ~0U;
	return scopes_actions(c.scopes, str_of(repo));
}

bool auth_allows(struct auth *a, const char *user, const struct exchange *x, const char *repo,
		 unsigned actions)
{
	unsigned rights;

	if (a->mode == AUTH_NONE || (rights_of(a, "", repo) & actions) == actions)
		return true;
	rights = rights_of(a, user, repo);
	return (rights & actions) == actions && (narrowed_to(a, x, repo) & actions) == actions;
}

// ---- the token endpoint

// Adds to OUT what USER is granted of the blank-separated scopes in TEXT.
static int grant(const struct auth *a, const char *user, struct str text, unsigned *asked,
		 struct buf *out, struct err *e)
{
	while (text.p) {
		struct str one = str_cut(&text, ' ');
		struct scope s;

		if (one.n == 0)
			continue;
		if (++*asked > SCOPES_MAX)
			return err_set(e, ERR_INPUT, "more than %d scopes", SCOPES_MAX);
		// What we do not know is not granted, as the token specification has it.
		if (!scope_parse(&s, one))
			continue;
		char repo[ROUTE_REPO_MAX + 1];

		if (s.repo.n > 0)
			memcpy(repo, s.repo.p, s.repo.n);
		repo[s.repo.n] = '\0';
		unsigned actions = s.actions & rights_of(a, user, repo);

		if (actions == 0)
			continue;
		if (out->n > 0)
			buf_putc(out, ' ');
		scope_print(out, s.repo, actions);
	}
	return 0;
}

static int issue(const struct auth *a, const char *user, const struct query *q, int64_t now,
		 struct buf *ret, struct err *e)
{
	auto_buf struct buf scopes = BUF_INIT(BUF_TEXT_MAX);
	unsigned asked = 0;

	for (unsigned i = 0; i < q->n; i++)
		if (strcmp(q->v[i].name, "scope") == 0 &&
		    grant(a, user, str_of(q->v[i].value), &asked, &scopes, e) < 0)
			return -1;
	struct token t = {
		.user = str_of(user),
		.scopes = buf_str(&scopes),
		.issued = now,
		.expires = now + TOKEN_LIFETIME,
	};

	return token_write(ret, a->key, &t, e);
}

static enum auth_verdict answer_token(const struct auth *a, struct exchange *x, const char *user,
				      const struct query *q)
{
	auto_buf struct buf token = BUF_INIT(BUF_TEXT_MAX);
	int64_t now = a->now();
	struct reply *r = &x->reply;
	struct err e;

	if (issue(a, user, q, now, &token, &e) < 0)
		return refuse(x, 400, "UNSUPPORTED", e.text);
	reply_clear(r);
	r->status = 200;
	reply_header(r, "Content-Type", "application/json");
	reply_header(r, "Cache-Control", "no-store");
	struct json_out j = {.out = &r->body};

	json_out_begin(&j, '{');
	json_out_key(&j, "token");
	json_out_text(&j, token.p);
	json_out_key(&j, "access_token");
	json_out_text(&j, token.p);
	json_out_key(&j, "expires_in");
	json_out_u64(&j, TOKEN_LIFETIME);
	json_out_key(&j, "issued_at");
	json_out_text(&j, gofmt_time(now).s);
	json_out_end(&j, '}');
	return AUTH_OK;
}

static struct str parameter(const struct query *q, const char *name)
{
	const char *value = query_get(q, name);

	return str_of(value ? value : "");
}

// Who asks for a token: by header or, with POST, by the form's user and password. A token buys no
// other token, or it would never end.
static enum identity identify_for_token(struct auth *a, const struct exchange *x,
					const struct query *q, bool may_hash, struct caller *ret)
{
	const char *form = x->request.method == METHOD_POST ? query_get(q, "grant_type") : NULL;

	if (!form) {
		enum identity who = identify(a, x, may_hash, ret);

		return ret->by_token ? IDENTITY_WRONG : who;
	}
	*ret->user = '\0';
	// We give out no refresh tokens: whatever it is, it is not one of ours.
	if (strcmp(form, "password") != 0)
		return IDENTITY_WRONG;
	return identify_password(a, x, parameter(q, "username"), parameter(q, "password"), may_hash,
				 ret);
}

enum auth_verdict auth_token(struct auth *a, struct exchange *x, struct str body, bool may_hash)
{
	auto_query struct query q = {0};
	bool post = x->request.method == METHOD_POST;
	struct caller c;
	struct err e;

	if (a->mode != AUTH_TOKEN)
		return refuse(x, 404, "UNSUPPORTED", "this registry issues no tokens");
	if (!post && x->request.method != METHOD_GET) {
		refuse(x, 405, "UNSUPPORTED", "tokens are asked for with GET or POST");
		reply_header(&x->reply, "Allow", "GET, POST");
		return AUTH_REPLY;
	}
	if (post && body.n > FORM_SIZE_MAX)
		return refuse(x, 413, "SIZE_INVALID", "the form is too large");
	if (query_parse(&q, post ? body : x->request.query, &e) < 0)
		return refuse(x, 400, "UNSUPPORTED", e.text);
	switch (identify_for_token(a, x, &q, may_hash, &c)) {
	case IDENTITY_SLOWLY:
		return AUTH_SLOWLY;
	case IDENTITY_TOO_OFTEN:
		return refuse_for_now(x);
	case IDENTITY_BAD_TOKEN:
	case IDENTITY_WRONG:
		return ask_for_password(x, "invalid user or password");
	case IDENTITY_KNOWN:
		break;
	}
	return answer_token(a, x, c.user, &q);
}
