// SPDX-License-Identifier: Apache-2.0
// Authentication: the first byte says what the others are. Whatever they are, nobody gets more than
// an anonymous client has, no answer is split, and what was read is read the same way again.
//
//	B an Authorization header   G the query of GET /token   T a token     U an htpasswd file
//	N a Host header             P the form of POST /token   S scopes
#include "fuzz.h"

#include "serve/auth.h"
#include "serve/htpasswd.h"
#include "serve/token.h"
#include "util/fs.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const unsigned char key[AUTH_KEY_SIZE] = "a key for the tests";

static int64_t now(void)
{
	return 1700000000;
}

static struct auth *open_auth(void)
{
	static const char users[] =
		"ann:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n";
	struct auth_config cfg = {.mode = AUTH_TOKEN, .anonymous_pull = true, .now = now};
	struct auth *a = NULL;
	char path[40];
	struct err e;
	auto_fd int fd = memfd_create("htpasswd", MFD_CLOEXEC);

	if (fd < 0 || fs_write_all(fd, users, sizeof(users) - 1, "htpasswd", &e) < 0)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	cfg.htpasswd = path;
	memcpy(cfg.key, key, sizeof(cfg.key));
	if (auth_new(&a, &cfg, &e) < 0)
		abort();
	return a;
}

static struct exchange exchange_of(enum request_method method, const char *name, struct str value)
{
	struct exchange x = {.request = {.method = method, .peer = "192.0.2.1", .nheaders = 1}};

	x.request.headers[0] = (struct request_header){str_of(name), value};
	reply_init(&x.reply);
	return x;
}

static void check_answer(struct exchange *x, enum auth_verdict v)
{
	assert((v == AUTH_SLOWLY) == (x->reply.status == 0));
	if (x->reply.status == 401)
		assert(strstr(x->reply.headers.p, "WWW-Authenticate: "));
	reply_clear(&x->reply);
}

// True of what we once signed with the key of this test: the corpus has such a token.
static bool is_token(struct str text)
{
	char bytes[TOKEN_MAX];
	struct token t;
	struct err e;

	return token_read(&t, bytes, text, key, now(), &e) == 0;
}

static void fuzz_credentials(struct auth *a, struct str value)
{
	struct exchange x = exchange_of(METHOD_PUT, "Authorization", value);
	struct str token = value;
	char user[AUTH_USER_MAX + 1];
	enum auth_verdict v = auth_check(a, &x, "a/b", AUTH_PUSH, false, user);

	str_cut(&token, ' ');
	if (v == AUTH_OK)
		assert(token.p && is_token(str_trim(token)));
	else
		assert(!*user && !auth_allows(a, user, &x, "a/b", AUTH_PUSH));
	assert((v == AUTH_OK) == (x.reply.status == 0) || v == AUTH_SLOWLY);
	reply_clear(&x.reply);
}

static void fuzz_host(struct auth *a, struct str value)
{
	struct exchange x = exchange_of(METHOD_GET, "Host", value);
	char user[AUTH_USER_MAX + 1];
	enum auth_verdict v = auth_check(a, &x, "", 0, false, user);

	assert(v == AUTH_REPLY && (x.reply.status == 401 || x.reply.status == 400));
	for (const char *at = x.reply.headers.p; *at; at++)
		assert((*at >= ' ' && *at <= '~') || strchr("\r\n", *at));
	reply_clear(&x.reply);
}

static void fuzz_query(struct auth *a, struct str query)
{
	struct exchange x = exchange_of(METHOD_GET, "Host", STR("a"));

	x.request.query = query;
	check_answer(&x, auth_token(a, &x, (struct str){NULL, 0}, false));
}

static void fuzz_form(struct auth *a, struct str form)
{
	struct exchange x = exchange_of(METHOD_POST, "Host", STR("a"));

	check_answer(&x, auth_token(a, &x, form, false));
}

// There is one spelling of a token: what is believed is what we would write.
static void fuzz_token(struct auth *a, struct str text)
{
	auto_buf struct buf again = BUF_INIT(BUF_TEXT_MAX);
	char bytes[TOKEN_MAX];
	struct token t;
	struct err e;

	(void)a;
	if (token_read(&t, bytes, text, key, now(), &e) < 0) {
		assert(e.kind == ERR_DENIED);
		return;
	}
	if (token_write(&again, key, &t, &e) < 0)
		abort();
	assert(str_eq(text, buf_str(&again)));
}

static void fuzz_scopes(struct auth *a, struct str scopes)
{
	(void)a;
	while (scopes.p) {
		auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
		struct scope s, again;

		if (!scope_parse(&s, str_cut(&scopes, ' ')) || s.actions == 0)
			continue;
		scope_print(&text, s.repo, s.actions);
		assert(scope_parse(&again, buf_str(&text)));
		assert(str_eq(again.repo, s.repo) && again.actions == s.actions);
		assert(scopes_actions(buf_str(&text), s.repo) == s.actions);
	}
}

static void fuzz_users(struct auth *a, struct str text)
{
	auto_of(htpasswd_unref) struct htpasswd *h = NULL;
	struct err e;

	(void)a;
	if (htpasswd_parse(&h, text, "users", &e) < 0) {
		assert(e.kind == ERR_INPUT);
		return;
	}
	assert(!htpasswd_find(h, STR("")));
	while (text.p) {
		struct str line = str_trim(str_cut(&text, '\n')), user = str_cut(&line, ':');

		if (line.p && user.p[0] != '#')
			assert(str_eqz(line, htpasswd_find(h, user)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct {
		char letter;
		void (*run)(struct auth *a, struct str bytes);
	} parts[] = {
		{'B', fuzz_credentials}, {'N', fuzz_host},   {'G', fuzz_query}, {'P', fuzz_form},
		{'T', fuzz_token},       {'S', fuzz_scopes}, {'U', fuzz_users},
	};
	static struct auth *a;

	if (!a)
		a = open_auth();
	for (size_t i = 0; size > 0 && i < sizeof(parts) / sizeof(*parts); i++)
		if ((char)data[0] == parts[i].letter)
			parts[i].run(a, (struct str){(const char *)data + 1, size - 1});
	return 0;
}
