// SPDX-License-Identifier: Apache-2.0
// What clients send to log in, to pull and to push, and what they are told.
#include "tap.h"

#include "data/base64.h"
#include "serve/auth.h"
#include "serve/route.h"
#include "serve/token.h"
#include "users.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

static struct err e;
static const unsigned char test_key[AUTH_KEY_SIZE] = "a key for the tests";
static atomic_long clock_now = 1700000000;

static int64_t fake_now(void)
{
	return clock_now;
}

// ---- a registry's users, and a client

struct world {
	struct users_file file;
	struct auth *auth;
	struct exchange x;
	char user[AUTH_USER_MAX + 1];
	char *token;
};

static void world_release(struct world *w)
{
	auth_free(w->auth);
	users_file_release(&w->file);
	reply_clear(&w->x.reply);
	free(w->token);
}
#define auto_world __attribute__((cleanup(world_release)))

static void world_with(struct world *w, struct auth_config cfg)
{
	*w = (struct world){0};
	CHECK(users_file_init(&w->file, USERS));
	cfg.htpasswd = w->file.path;
	cfg.now = fake_now;
	memcpy(cfg.key, test_key, sizeof(cfg.key));
	CHECK_OK(auth_new(&w->auth, &cfg, &e));
	reply_init(&w->x.reply);
}

static void world_init(struct world *w, enum auth_mode mode, bool anonymous_pull)
{
	world_with(w, (struct auth_config){.mode = mode, .anonymous_pull = anonymous_pull});
}

static void set_header(struct exchange *x, const char *name, const char *value)
{
	x->request.headers[x->request.nheaders++] =
		(struct request_header){str_of(name), str_of(value)};
}

// A request as clients send it; CREDENTIALS is its Authorization header, or NULL.
static void send_request(struct world *w, const char *credentials)
{
	w->x.request = (struct request){.peer = "192.0.2.1", .method_text = STR("GET")};
	set_header(&w->x, "Host", "reg.example:5000");
	if (credentials)
		set_header(&w->x, "authorization", credentials);
	reply_clear(&w->x.reply);
}

// "Basic ..." for "user:password"; caller frees.
static char *basic(const char *login)
{
	auto_free char *encoded = base64_encode(str_of(login));

	return xasprintf("Basic %s", encoded);
}

static enum auth_verdict check(struct world *w, const char *credentials, const char *repo,
			       unsigned actions)
{
	send_request(w, credentials);
	return auth_check(w->auth, &w->x, repo, actions, true, w->user);
}

static enum auth_verdict check_login(struct world *w, const char *login, const char *repo,
				     unsigned actions)
{
	auto_free char *credentials = basic(login);

	return check(w, credentials, repo, actions);
}

// Its value in the answer; "" when there is none. Valid until the next call.
static const char *answered(const struct world *w, const char *name)
{
	static char value[1024];
	auto_free char *line = xasprintf("%s: ", name);
	const char *at = strstr(w->x.reply.headers.p, line), *end;

	if (!at)
		return "";
	at += strlen(line);
	end = strstr(at, "\r\n");
	snprintf(value, sizeof(value), "%.*s", (int)(end - at), at);
	return value;
}

// Asks for a token as clients do. True: there is one, in w->token with "Bearer " before it.
static bool fetch_token(struct world *w, const char *credentials, const char *query)
{
	send_request(w, credentials);
	w->x.request.method = METHOD_GET;
	w->x.request.query = str_of(query);
	if (auth_token(w->auth, &w->x, (struct str){NULL, 0}, true) != AUTH_OK)
		return false;
	const char *at = strstr(w->x.reply.body.p, "\"token\":\"");

	CHECK_INT(w->x.reply.status, 200);
	free(w->token);
	w->token = at ? xasprintf("Bearer %.*s", (int)strcspn(at + 9, "\""), at + 9) : NULL;
	return w->token != NULL;
}

static bool post_form(struct world *w, const char *credentials, const char *form)
{
	send_request(w, credentials);
	w->x.request.method = METHOD_POST;
	return auth_token(w->auth, &w->x, str_of(form), true) == AUTH_OK;
}

static void check_refused(struct world *w, enum auth_verdict verdict, int status, const char *code,
			  const char *challenge)
{
	auto_free char *error = xasprintf("{\"errors\":[{\"code\":\"%s\",", code);

	CHECK_INT(verdict, AUTH_REPLY);
	CHECK_INT(w->x.reply.status, status);
	CHECK(starts_with(w->x.reply.body.p, error));
	CHECK_STR(answered(w, "Content-Type"), "application/json");
	CHECK_STR(answered(w, "WWW-Authenticate"), challenge);
	CHECK_STR(w->user, "");
}

#define REALM "Bearer realm=\"http://reg.example:5000/token\",service=\"ferry\""
#define BASIC "Basic realm=\"ferry\""

// ---- what clients do, step by step, where all pull and users push

TEST(anonymous_clients_pull_with_a_token)
{
	auto_world struct world w;

	world_init(&w, AUTH_TOKEN, true);
	check_refused(&w, check(&w, NULL, "", 0), 401, "UNAUTHORIZED", REALM);
	CHECK(fetch_token(&w, NULL, "service=ferry&scope=repository%3Aa%2Fb%3Apull"));
	CHECK_INT(check(&w, w.token, "a/b", AUTH_PULL), AUTH_OK);
	CHECK_STR(w.user, "");
	CHECK_INT(check(&w, w.token, "", 0), AUTH_OK);
}

// containers/image sends an empty user and password when it has no credentials.
TEST(an_empty_login_is_anonymous)
{
	auto_world struct world w;

	world_init(&w, AUTH_TOKEN, true);
	check_refused(&w, check(&w, "Basic Og==", "", 0), 401, "UNAUTHORIZED", REALM);
	CHECK(fetch_token(&w, "Basic Og==", "scope=repository:a:pull"));
	CHECK_INT(check(&w, w.token, "a", AUTH_PULL), AUTH_OK);
	CHECK_INT(check(&w, "Basic Og==", "a", AUTH_PULL), AUTH_OK);
	check_refused(&w, check(&w, "Basic Og==", "a", AUTH_PUSH), 401, "UNAUTHORIZED",
		      REALM ",scope=\"repository:a:pull,push\"");
	CHECK_INT(auth_hashed(w.auth), 0);
}

TEST(users_push_with_a_token)
{
	auto_world struct world w;
	auto_free char *ann = basic("ann:secret");

	world_init(&w, AUTH_TOKEN, true);
	check_refused(&w, check(&w, NULL, "a/b", AUTH_PULL | AUTH_PUSH), 401, "UNAUTHORIZED",
		      REALM ",scope=\"repository:a/b:pull,push\"");
	CHECK(fetch_token(&w, ann, "service=ferry&scope=repository:a/b:pull,push&account=ann"));
	CHECK_INT(check(&w, w.token, "a/b", AUTH_PULL | AUTH_PUSH), AUTH_OK);
	CHECK_STR(w.user, "ann");
	CHECK_INT(auth_hashed(w.auth), 1);
}

// "login" of podman, docker and oc: a token for no scope, and the base with it.
TEST(users_log_in_with_a_token_for_nothing)
{
	auto_world struct world w;
	auto_free char *ann = basic("ann:secret"), *wrong = basic("ann:sesame");

	world_init(&w, AUTH_TOKEN, false);
	CHECK(!fetch_token(&w, wrong, "account=ann&service=ferry"));
	check_refused(&w, AUTH_REPLY, 401, "UNAUTHORIZED", BASIC);
	CHECK(fetch_token(&w, ann, "account=ann&service=ferry"));
	CHECK_INT(check(&w, w.token, "", 0), AUTH_OK);
	CHECK_STR(w.user, "ann");
}

TEST(basic_is_welcome_everywhere_in_token_mode)
{
	auto_world struct world w;

	world_init(&w, AUTH_TOKEN, true);
	CHECK_INT(check_login(&w, "ann:secret", "", 0), AUTH_OK);
	CHECK_INT(check_login(&w, "ann:secret", "a", AUTH_PULL | AUTH_PUSH), AUTH_OK);
	CHECK_INT(check_login(&w, "bob:sesame", "a", AUTH_DELETE), AUTH_OK);
	CHECK_STR(w.user, "bob");
	CHECK_INT(check_login(&w, "bob:sesame", "", AUTH_CATALOG), AUTH_OK);
	check_refused(&w, check_login(&w, "bob:secret", "a", AUTH_PULL), 401, "UNAUTHORIZED",
		      REALM ",scope=\"repository:a:pull\"");
}

TEST(anonymous_clients_without_a_token_pull_and_no_more)
{
	auto_world struct world w;

	world_init(&w, AUTH_TOKEN, true);
	CHECK_INT(check(&w, NULL, "a", AUTH_PULL), AUTH_OK);
	CHECK_INT(check(&w, NULL, "", AUTH_CATALOG), AUTH_OK);
	check_refused(&w, check(&w, NULL, "a", AUTH_PUSH), 401, "UNAUTHORIZED",
		      REALM ",scope=\"repository:a:pull,push\"");
	check_refused(&w, check(&w, NULL, "a", AUTH_DELETE), 401, "UNAUTHORIZED",
		      REALM ",scope=\"repository:a:delete\"");
}

TEST(without_anonymous_pull_everything_needs_a_user)
{
	auto_world struct world w;

	world_init(&w, AUTH_TOKEN, false);
	check_refused(&w, check(&w, NULL, "a", AUTH_PULL), 401, "UNAUTHORIZED",
		      REALM ",scope=\"repository:a:pull\"");
	check_refused(&w, check(&w, NULL, "", AUTH_CATALOG), 401, "UNAUTHORIZED",
		      REALM ",scope=\"registry:catalog:*\"");
	// Not an error, but an empty grant.
	CHECK(fetch_token(&w, NULL, "scope=repository:a:pull"));
	check_refused(&w, check(&w, w.token, "a", AUTH_PULL), 401, "UNAUTHORIZED",
		      REALM ",scope=\"repository:a:pull\",error=\"insufficient_scope\"");
}

TEST(in_basic_mode_everything_needs_a_user)
{
	auto_world struct world w;

	world_init(&w, AUTH_BASIC, true);
	check_refused(&w, check(&w, NULL, "", 0), 401, "UNAUTHORIZED", BASIC);
	check_refused(&w, check(&w, NULL, "a", AUTH_PULL), 401, "UNAUTHORIZED", BASIC);
	check_refused(&w, check(&w, "Basic Og==", "a", AUTH_PULL), 401, "UNAUTHORIZED", BASIC);
	check_refused(&w, check(&w, "Bearer x", "a", AUTH_PULL), 401, "UNAUTHORIZED", BASIC);
	check_refused(&w, check_login(&w, "ann:sesame", "", 0), 401, "UNAUTHORIZED", BASIC);
	CHECK_INT(check_login(&w, "ann:secret", "", 0), AUTH_OK);
	CHECK_INT(check_login(&w, "ann:secret", "a", AUTH_PULL | AUTH_PUSH | AUTH_DELETE), AUTH_OK);
	CHECK_STR(w.user, "ann");
	CHECK(!fetch_token(&w, NULL, "scope=repository:a:pull"));
	check_refused(&w, (w.user[0] = '\0', AUTH_REPLY), 404, "UNSUPPORTED", "");
}

TEST(without_authentication_everything_is_open)
{
	auto_world struct world w;

	world_init(&w, AUTH_NONE, false);
	CHECK_INT(check(&w, NULL, "", 0), AUTH_OK);
	CHECK_INT(check(&w, "Bearer junk", "a", AUTH_PUSH | AUTH_DELETE), AUTH_OK);
	CHECK_INT(check_login(&w, "ann:wrong", "a", AUTH_PUSH), AUTH_OK);
	CHECK_STR(w.user, "");
	CHECK(auth_allows(w.auth, "", &w.x, "b", AUTH_PULL));
	CHECK(!fetch_token(&w, NULL, ""));
	CHECK_OK(auth_reload(w.auth, &e));
}

// ---- headers

TEST(malformed_credentials_are_refused_without_a_hash)
{
	static const char *const rows[] = {
		"",
		"Basic",
		"Basic ",
		"Basic !!!",
		"Basic YW5u",            // no colon
		"Basic YW5uOnNlY3JldA=", // padding
		"Basic YW5uOnNlY3JldA==x",
		"Basic YW5uOnNlY3JldAA=", // a NUL in the password
		"Basic YQpiOnNlY3JldA==", // a line end in the user
		"Basic OnNlY3JldA==",     // a password without a user
		"Digest username=\"ann\"",
		"Bearer",
		"Basicx YW5uOnNlY3JldA==",
		"YW5uOnNlY3JldA==",
	};
	auto_world struct world w;

	world_init(&w, AUTH_TOKEN, true);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		tap_report(check(&w, rows[i], "a", AUTH_PULL) == AUTH_REPLY, "'%s'", rows[i]);
		CHECK_INT(w.x.reply.status, 401);
	}
	CHECK_INT(auth_hashed(w.auth), 0);
}

TEST(the_scheme_is_read_in_any_case)
{
	auto_world struct world w;

	world_init(&w, AUTH_TOKEN, true);
	CHECK_INT(check(&w, "BASIC  YW5uOnNlY3JldA==", "a", AUTH_PUSH), AUTH_OK);
	CHECK(fetch_token(&w, "basic YW5uOnNlY3JldA==", "scope=repository:a:push"));
	memcpy(w.token, "bEARER", 6);
	CHECK_INT(check(&w, w.token, "a", AUTH_PUSH), AUTH_OK);
}

TEST(two_authorization_headers_are_refused)
{
	auto_world struct world w;

	world_init(&w, AUTH_BASIC, false);
	send_request(&w, "Basic YW5uOnNlY3JldA==");
	set_header(&w.x, "Authorization", "Basic YW5uOnNlY3JldA==");
	check_refused(&w, auth_check(w.auth, &w.x, "a", AUTH_PULL, true, w.user), 401,
		      "UNAUTHORIZED", BASIC);
	CHECK(!auth_allows(w.auth, "ann", &w.x, "a", AUTH_PULL));
}

TEST(the_realm_names_the_host_that_was_asked)
{
	static const struct {
		const char *host; // NULL: none
		bool tls;
		int status;
		const char *challenge;
	} rows[] = {
		{"reg.example", false, 401,
		 "Bearer realm=\"http://reg.example/token\",service=\"ferry\""},
		{"reg.example:8443", true, 401,
		 "Bearer realm=\"https://reg.example:8443/token\",service=\"ferry\""},
		{"192.0.2.7:5000", false, 401,
		 "Bearer realm=\"http://192.0.2.7:5000/token\",service=\"ferry\""},
		{"[2001:db8::1]:5000", true, 401,
		 "Bearer realm=\"https://[2001:db8::1]:5000/token\",service=\"ferry\""},
		{"[::1]", true, 401, "Bearer realm=\"https://[::1]/token\",service=\"ferry\""},
		{NULL, false, 401, BASIC},
		{"", false, 400, ""},
		{":5000", false, 400, ""},
		{"reg.example:", false, 400, ""},
		{"reg.example:x", false, 400, ""},
		{"reg.example:65536", false, 400, ""},
		{"reg.example:000080", false, 400, ""},
		{"reg.example:80:80", false, 400, ""},
		{"reg example", false, 400, ""},
		{"reg\",x=\"", false, 400, ""},
		{"evil/path", false, 400, ""},
		{"user@evil", false, 400, ""},
		{"a\r\nX-Evil: 1", false, 400, ""},
		{"[::1", false, 400, ""},
		{"[::1]x", false, 400, ""},
		{"[]", false, 400, ""},
		{"[fe80::1%eth0]", false, 400, ""},
		{"r\xc3\xa9g", false, 400, ""},
	};
	auto_world struct world w;

	world_init(&w, AUTH_TOKEN, true);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		send_request(&w, NULL);
		w.x.request.tls = rows[i].tls;
		w.x.request.nheaders = 0;
		if (rows[i].host)
			set_header(&w.x, "host", rows[i].host);
		CHECK_INT(auth_check(w.auth, &w.x, "", 0, true, w.user), AUTH_REPLY);
		tap_report(w.x.reply.status == rows[i].status, "host '%s': %d", rows[i].host,
			   w.x.reply.status);
		CHECK_STR(answered(&w, "WWW-Authenticate"), rows[i].challenge);
	}
	send_request(&w, NULL);
	set_header(&w.x, "Host", "other.example");
	CHECK_INT(auth_check(w.auth, &w.x, "", 0, true, w.user), AUTH_REPLY);
	CHECK_INT(w.x.reply.status, 400);
}

TEST(the_realm_is_the_external_url_when_there_is_one)
{
	auto_world struct world w;

	world_with(&w, (struct auth_config){
			       .mode = AUTH_TOKEN,
			       .external_url = "https://mirror.example/r//",
			       .service = "mirror",
		       });
	send_request(&w, NULL);
	set_header(&w.x, "Host", "two hosts, one malformed");
	check_refused(&w, auth_check(w.auth, &w.x, "", 0, true, w.user), 401, "UNAUTHORIZED",
		      "Bearer realm=\"https://mirror.example/r/token\",service=\"mirror\"");
}

TEST(what_cannot_be_quoted_is_refused_at_the_start)
{
	static const struct {
		const char *url, *service;
	} rows[] = {
		{"reg.example", NULL},  {"ftp://reg.example", NULL},
		{"https://", NULL},     {"https:///", NULL},
		{"https://a\"b", NULL}, {"https://a\r\nb", NULL},
		{"https://a b", NULL},  {"https://a?b", NULL},
		{"https://a#b", NULL},  {NULL, ""},
		{NULL, "a\"b"},         {NULL, "a b"},
		{NULL, "a\\b"},
	};
	struct auth *a = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct auth_config cfg = {
			.mode = AUTH_NONE,
			.external_url = rows[i].url,
			.service = rows[i].service,
			.now = fake_now,
		};

		CHECK_FAILS(auth_new(&a, &cfg, &e));
		CHECK_INT(e.kind, ERR_USAGE);
	}
	struct auth_config no_file = {.mode = AUTH_BASIC, .now = fake_now};

	CHECK_FAILS(auth_new(&a, &no_file, &e));
	no_file.htpasswd = "/nonexistent/htpasswd";
	CHECK_FAILS(auth_new(&a, &no_file, &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
}

// ---- passwords off the event thread

TEST(unknown_passwords_wait_for_a_thread_that_may_hash)
{
	auto_world struct world w;
	auto_free char *ann = basic("ann:secret");

	world_init(&w, AUTH_TOKEN, false);
	send_request(&w, ann);
	CHECK_INT(auth_check(w.auth, &w.x, "a", AUTH_PUSH, false, w.user), AUTH_SLOWLY);
	CHECK_INT(w.x.reply.status, 0);
	CHECK_INT(auth_token(w.auth, &w.x, (struct str){NULL, 0}, false), AUTH_SLOWLY);
	CHECK_INT(auth_check(w.auth, &w.x, "a", AUTH_PUSH, true, w.user), AUTH_OK);
	CHECK_INT(auth_check(w.auth, &w.x, "a", AUTH_PUSH, false, w.user), AUTH_OK);
	CHECK_INT(auth_token(w.auth, &w.x, (struct str){NULL, 0}, false), AUTH_OK);
	CHECK_INT(auth_hashed(w.auth), 1);
}

TEST(guessers_are_told_to_wait)
{
	auto_world struct world w;

	world_init(&w, AUTH_BASIC, false);
	for (char c = '0'; c < '4'; c++) {
		char login[] = {'a', 'n', 'n', ':', c, '\0'};

		CHECK_INT(check_login(&w, login, "", 0), AUTH_REPLY);
		CHECK_INT(w.x.reply.status, 401);
	}
	check_refused(&w, check_login(&w, "ann:4", "", 0), 429, "TOOMANYREQUESTS", "");
	CHECK_STR(answered(&w, "Retry-After"), "5");
	clock_now += 5;
	CHECK_INT(check_login(&w, "ann:secret", "", 0), AUTH_OK);
}

// ---- tokens

TEST(a_token_counts_for_its_scopes_only)
{
	auto_world struct world w;
	auto_free char *ann = basic("ann:secret");

	world_init(&w, AUTH_TOKEN, false);
	CHECK(fetch_token(&w, ann, "scope=repository:a:pull"));
	CHECK_INT(check(&w, w.token, "a", AUTH_PULL), AUTH_OK);
	check_refused(&w, check(&w, w.token, "a", AUTH_PUSH), 401, "UNAUTHORIZED",
		      REALM ",scope=\"repository:a:pull,push\",error=\"insufficient_scope\"");
	check_refused(&w, check(&w, w.token, "b", AUTH_PULL), 401, "UNAUTHORIZED",
		      REALM ",scope=\"repository:b:pull\",error=\"insufficient_scope\"");
	check_refused(&w, check(&w, w.token, "", AUTH_CATALOG), 401, "UNAUTHORIZED",
		      REALM ",scope=\"registry:catalog:*\",error=\"insufficient_scope\"");
}

TEST(several_scopes_come_in_one_token)
{
	auto_world struct world w;
	auto_free char *ann = basic("ann:secret");

	world_init(&w, AUTH_TOKEN, false);
	CHECK(fetch_token(&w, ann,
			  "scope=repository:a:pull&scope=repository:b:pull,push+repository:c:*"
			  "&scope=registry:catalog:*&scope=junk&scope=&scope=repository:D:pull"));
	CHECK_INT(check(&w, w.token, "a", AUTH_PULL), AUTH_OK);
	CHECK_INT(check(&w, w.token, "a", AUTH_PUSH), AUTH_REPLY);
	CHECK_INT(check(&w, w.token, "b", AUTH_PULL | AUTH_PUSH), AUTH_OK);
	CHECK_INT(check(&w, w.token, "c", AUTH_PULL | AUTH_PUSH | AUTH_DELETE), AUTH_OK);
	CHECK_INT(check(&w, w.token, "", AUTH_CATALOG), AUTH_OK);
}

TEST(anonymous_tokens_are_cut_down_to_pull)
{
	auto_world struct world w;

	world_init(&w, AUTH_TOKEN, true);
	CHECK(fetch_token(&w, NULL,
			  "scope=repository:a:*+repository:b:push&scope=repository:c:pull"));
	CHECK_INT(check(&w, w.token, "a", AUTH_PULL), AUTH_OK);
	char bytes[TOKEN_MAX];
	struct token t;

	REQUIRE_OK(token_read(&t, bytes, str_of(w.token + 7), test_key, clock_now, &e));
	CHECK(str_eqz(t.scopes, "repository:a:pull repository:c:pull"));
	check_refused(&w, check(&w, w.token, "a", AUTH_PUSH), 401, "UNAUTHORIZED",
		      REALM ",scope=\"repository:a:pull,push\",error=\"insufficient_scope\"");
	check_refused(&w, check(&w, w.token, "a", AUTH_DELETE), 401, "UNAUTHORIZED",
		      REALM ",scope=\"repository:a:delete\",error=\"insufficient_scope\"");
}

TEST(a_token_that_is_not_ours_is_named_invalid)
{
	auto_world struct world w;

	world_init(&w, AUTH_TOKEN, true);
	check_refused(
		&w, check(&w, "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ.", "a", AUTH_PULL),
		401, "UNAUTHORIZED", REALM ",scope=\"repository:a:pull\",error=\"invalid_token\"");
	check_refused(&w, check(&w, "Bearer x", "", 0), 401, "UNAUTHORIZED",
		      REALM ",error=\"invalid_token\"");
}

TEST(a_token_ends_after_a_quarter_of_an_hour)
{
	auto_world struct world w;
	auto_free char *ann = basic("ann:secret");

	world_init(&w, AUTH_TOKEN, false);
	CHECK(fetch_token(&w, ann, "scope=repository:a:pull"));
	clock_now += 899;
	CHECK_INT(check(&w, w.token, "a", AUTH_PULL), AUTH_OK);
	clock_now += 1;
	check_refused(&w, check(&w, w.token, "a", AUTH_PULL), 401, "UNAUTHORIZED",
		      REALM ",scope=\"repository:a:pull\",error=\"invalid_token\"");
}

TEST(a_token_ends_with_its_user)
{
	auto_world struct world w;
	auto_free char *ann = basic("ann:secret");

	world_init(&w, AUTH_TOKEN, false);
	CHECK(fetch_token(&w, ann, "scope=repository:a:pull"));
	CHECK(users_write(&w.file, "bob:" HASH_SESAME) == 0);
	clock_now++;
	REQUIRE_OK(auth_reload(w.auth, &e));
	CHECK_INT(check(&w, w.token, "a", AUTH_PULL), AUTH_REPLY);
	CHECK_INT(check(&w, ann, "a", AUTH_PULL), AUTH_REPLY);
}

TEST(a_token_buys_no_token)
{
	auto_world struct world w;
	auto_free char *ann = basic("ann:secret"), *token = NULL;

	world_init(&w, AUTH_TOKEN, true);
	CHECK(fetch_token(&w, ann, "scope=repository:a:pull"));
	token = xstrdup(w.token);
	CHECK(!fetch_token(&w, token, "scope=repository:a:push"));
	CHECK_INT(w.x.reply.status, 401);
	CHECK(!post_form(&w, token, "scope=repository:a:push"));
	CHECK_INT(w.x.reply.status, 401);
}

TEST(the_answer_has_what_clients_read)
{
	auto_world struct world w;

	world_init(&w, AUTH_TOKEN, true);
	clock_now = 1700000000;
	CHECK(fetch_token(&w, NULL, "scope=repository:a:pull"));
	auto_free char *want = xasprintf("{\"token\":\"%s\",\"access_token\":\"%s\",\"expires_in\":"
					 "900,\"issued_at\":\"2023-11-14T22:13:20Z\"}",
					 w.token + 7, w.token + 7);

	CHECK_STR(w.x.reply.body.p, want);
	CHECK_STR(answered(&w, "Content-Type"), "application/json");
	CHECK_STR(answered(&w, "Cache-Control"), "no-store");
}

TEST(forms_bring_user_and_password)
{
	static const struct {
		const char *form;
		int status;
	} rows[] = {
		{"grant_type=password&service=ferry&client_id=c&username=ann&password=secret"
		 "&scope=repository%3Aa%3Apull%2Cpush",
		 200},
		{"grant_type=password&username=ann&password=wrong", 401},
		{"grant_type=password&username=ann", 401},
		{"grant_type=password&password=secret", 401},
		{"grant_type=password", 200}, // anonymous
		{"grant_type=refresh_token&refresh_token=abc&username=ann&password=secret", 401},
		{"grant_type=authorization_code", 401},
		{"", 200},
		{"grant_type=password&username=%zz", 400},
		{"grant_type=password&username=a%00b&password=c", 400},
	};
	auto_world struct world w;

	world_init(&w, AUTH_TOKEN, true);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		post_form(&w, NULL, rows[i].form);
		tap_report(w.x.reply.status == rows[i].status, "'%s': %d", rows[i].form,
			   w.x.reply.status);
	}
}

// What a form leaves out may come by header, never the other way round.
TEST(a_form_without_a_grant_takes_the_header)
{
	auto_world struct world w;
	auto_free char *ann = basic("ann:secret"), *wrong = basic("ann:wrong");

	world_init(&w, AUTH_TOKEN, false);
	CHECK(post_form(&w, ann, "scope=repository:a:pull"));
	CHECK(!post_form(&w, wrong, "scope=repository:a:pull"));
	CHECK_INT(w.x.reply.status, 401);
}

TEST(other_methods_are_not_allowed)
{
	static const enum request_method methods[] = {METHOD_HEAD, METHOD_PUT, METHOD_PATCH,
						      METHOD_DELETE, METHOD_OTHER};
	auto_world struct world w;

	world_init(&w, AUTH_TOKEN, true);
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		send_request(&w, NULL);
		w.x.request.method = methods[i];
		CHECK_INT(auth_token(w.auth, &w.x, STR(""), true), AUTH_REPLY);
		CHECK_INT(w.x.reply.status, 405);
		CHECK_STR(answered(&w, "Allow"), "GET, POST");
	}
}

TEST(requests_for_tokens_are_bounded)
{
	auto_world struct world w;
	auto_buf struct buf query = BUF_INIT(BUF_TEXT_MAX);
	auto_free char *form = xmalloc(20000);

	world_init(&w, AUTH_TOKEN, true);
	for (int i = 0; i < 64; i++)
		buf_printf(&query, "%sscope=repository:a%d:pull", i ? "&" : "", i);
	CHECK(fetch_token(&w, NULL, query.p));
	CHECK_INT(check(&w, w.token, "a63", AUTH_PULL), AUTH_OK);
	buf_puts(&query, "&scope=repository:b:pull");
	CHECK(!fetch_token(&w, NULL, query.p));
	CHECK_INT(w.x.reply.status, 400);
	memset(form, 'a', 19999);
	form[19999] = '\0';
	CHECK(!post_form(&w, NULL, form));
	CHECK_INT(w.x.reply.status, 413);
	// As many long names as no token can hold.
	buf_clear(&query);
	for (int i = 0; i < 40; i++)
		buf_printf(&query, "scope=repository:%0200d:pull&", i);
	CHECK(!fetch_token(&w, NULL, query.p));
	CHECK_INT(w.x.reply.status, 400);
}

// ---- what else

TEST(mounts_need_the_source_in_the_token_too)
{
	auto_world struct world w;
	auto_free char *ann = basic("ann:secret");

	world_init(&w, AUTH_TOKEN, false);
	CHECK(fetch_token(&w, ann, "scope=repository:a:pull,push&scope=repository:from:pull"));
	CHECK_INT(check(&w, w.token, "a", AUTH_PUSH), AUTH_OK);
	CHECK(auth_allows(w.auth, "ann", &w.x, "from", AUTH_PULL));
	CHECK(!auth_allows(w.auth, "ann", &w.x, "from", AUTH_PUSH));
	CHECK(!auth_allows(w.auth, "ann", &w.x, "other", AUTH_PULL));
	CHECK(!auth_allows(w.auth, "ann", &w.x, "*", AUTH_PULL));
	CHECK(!auth_allows(w.auth, "", &w.x, "from", AUTH_PULL));
	CHECK_INT(check(&w, ann, "a", AUTH_PUSH), AUTH_OK);
	CHECK(auth_allows(w.auth, "ann", &w.x, "other", AUTH_PULL));
	CHECK(auth_allows(w.auth, "ann", &w.x, "*", AUTH_PULL));
}

TEST(a_token_for_the_catalog_shows_what_its_user_may_pull)
{
	auto_world struct world w;
	auto_free char *ann = basic("ann:secret");

	world_init(&w, AUTH_TOKEN, false);
	CHECK(fetch_token(&w, ann, "scope=registry:catalog:*"));
	CHECK_INT(check(&w, w.token, "", AUTH_CATALOG), AUTH_OK);
	CHECK(auth_allows(w.auth, "ann", &w.x, "a", AUTH_PULL));
}

TEST(anonymous_pull_allows_mounts_from_everywhere)
{
	auto_world struct world w;

	world_init(&w, AUTH_TOKEN, true);
	CHECK_INT(check(&w, NULL, "a", AUTH_PULL), AUTH_OK);
	CHECK(auth_allows(w.auth, "", &w.x, "b", AUTH_PULL));
	CHECK(auth_allows(w.auth, "", &w.x, "*", AUTH_PULL));
	CHECK(!auth_allows(w.auth, "", &w.x, "b", AUTH_PUSH));
}

TEST(a_bad_file_is_refused_at_the_start)
{
	auto_users struct users_file f;
	struct auth *a = NULL;

	CHECK(users_file_init(&f, "ann:" HASH_SECRET "\nbob:plain\n"));
	struct auth_config cfg = {.mode = AUTH_BASIC, .htpasswd = f.path, .now = fake_now};

	CHECK_FAILS(auth_new(&a, &cfg, &e));
	CHECK_INT(e.kind, ERR_INPUT);
	CHECK(strstr(e.text, f.path) && strstr(e.text, "line 2"));
}

TEST(a_refusal_keeps_the_word_to_close)
{
	auto_world struct world w;

	world_init(&w, AUTH_BASIC, false);
	send_request(&w, NULL);
	w.x.reply.close = true;
	CHECK_INT(auth_check(w.auth, &w.x, "a", AUTH_PUSH, true, w.user), AUTH_REPLY);
	CHECK(w.x.reply.close);
}

int main(void)
{
	return tap_main();
}
