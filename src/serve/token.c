// SPDX-License-Identifier: Apache-2.0
// Tokens: writing them, and believing only those that we wrote.
#include "serve/token.h"

#include "image/digest.h"
#include "image/reference.h"
#include "serve/route.h"
#include "util/mem.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#define TOKEN_VERSION "1"

enum { MAC_TEXT = (HMAC_SHA256_SIZE * 8 + 5) / 6 };

static const char base64url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void base64url_add(struct buf *out, const unsigned char *p, size_t n)
{
	unsigned bits = 0, have = 0;

	for (size_t i = 0; i < n; i++) {
		bits = (bits << 8 | p[i]) & 0xffff;
		for (have += 8; have >= 6; have -= 6)
			buf_putc(out, base64url[bits >> (have - 6) & 63]);
	}
	if (have > 0)
		buf_putc(out, base64url[bits << (6 - have) & 63]);
}

static int base64url_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

// RET has room for TEXT.n bytes. False for anything that base64url_add would not write.
static bool base64url_decode(char *ret, size_t *ret_n, struct str text)
{
	unsigned bits = 0, have = 0;
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++) {
		int v = base64url_value(text.p[i]);

		if (v < 0)
			return false;
		bits = (bits << 6 | (unsigned)v) & 0xffff;
		have += 6;
		if (have >= 8) {
			have -= 8;
			ret[n++] = (char)(bits >> have & 0xff);
		}
	}
	if (have >= 6 || (bits & ((1U << have) - 1)) != 0)
		return false;
	*ret_n = n;
	return true;
}

// The MAC of the encoded payload as text. Its own label keeps it apart from whatever else the key
// is used for.
static void mac_add(struct buf *out, const unsigned char key[AUTH_KEY_SIZE], struct str encoded)
{
	static const char label[] = "ferry token";
	unsigned char input[sizeof(label) + TOKEN_MAX], mac[HMAC_SHA256_SIZE];

	assert(encoded.n <= TOKEN_MAX);
	memcpy(input, label, sizeof(label));
	memcpy(input + sizeof(label), encoded.p, encoded.n);
	hmac_sha256(mac, key, AUTH_KEY_SIZE, input, sizeof(label) + encoded.n);
	base64url_add(out, mac, sizeof(mac));
}

int token_write(struct buf *ret, const unsigned char key[AUTH_KEY_SIZE], const struct token *t,
		struct err *e)
{
	auto_buf struct buf payload = BUF_INIT(BUF_TEXT_MAX), text = BUF_INIT(BUF_TEXT_MAX);

	buf_printf(&payload, "%s\n%.*s\n%" PRId64 "\n%" PRId64 "\n%.*s", TOKEN_VERSION,
		   STR_FMT(t->user), t->issued, t->expires, STR_FMT(t->scopes));
	base64url_add(&text, (unsigned char *)payload.p, payload.n);
	if (text.n + 1 + MAC_TEXT > TOKEN_MAX)
		return err_set(e, ERR_INPUT, "too many scopes for one token");
	buf_put(ret, text.p, text.n);
	buf_putc(ret, '.');
	mac_add(ret, key, buf_str(&text));
	return 0;
}

static bool mac_matches(const unsigned char key[AUTH_KEY_SIZE], struct str encoded, struct str mac)
{
	auto_buf struct buf want = BUF_INIT(BUF_TEXT_MAX);

	if (mac.n != MAC_TEXT)
		return false;
	mac_add(&want, key, encoded);
	return hmac_equal(want.p, mac.p, MAC_TEXT);
}

// A token that bears our MAC was written by us, or by a ferry that writes other lines.
static bool parse_payload(struct token *ret, struct str payload)
{
	struct str version = str_cut(&payload, '\n'), user = str_cut(&payload, '\n'),
		   issued = str_cut(&payload, '\n'), expires = str_cut(&payload, '\n');
	uint64_t from, to;

	if (!str_eqz(version, TOKEN_VERSION) || !payload.p || user.n > AUTH_USER_MAX ||
	    !str_u64(issued, INT64_MAX / 2, &from) || !str_u64(expires, INT64_MAX / 2, &to))
		return false;
	*ret = (struct token){
		.user = user,
		.scopes = payload,
		.issued = (int64_t)from,
		.expires = (int64_t)to,
	};
	return true;
}

int token_read(struct token *ret, char bytes[TOKEN_MAX], struct str text,
	       const unsigned char key[AUTH_KEY_SIZE], int64_t now, struct err *e)
{
	struct str mac = text, encoded;
	struct token t;
	size_t n;

	if (text.n > TOKEN_MAX)
		return err_set(e, ERR_DENIED, "the token is too long");
	encoded = str_cut(&mac, '.');
	if (!mac.p || !mac_matches(key, encoded, mac))
		return err_set(e, ERR_DENIED, "the token was not issued by this registry");
	if (!base64url_decode(bytes, &n, encoded) || !parse_payload(&t, (struct str){bytes, n}))
		return err_set(e, ERR_DENIED, "the token is of another version");
	if (t.issued > now + TOKEN_SKEW || t.expires <= now ||
	    t.expires > t.issued + TOKEN_LIFETIME)
		return err_set(e, ERR_DENIED, "the token has expired");
	*ret = t;
	return 0;
}

// ---- scopes

static const struct action_name {
	struct str name;
	unsigned actions;
} action_names[] = {
	{{"pull", 4}, AUTH_PULL},
	{{"push", 4}, AUTH_PUSH},
	{{"delete", 6}, AUTH_DELETE},
	{{"*", 1}, AUTH_PULL | AUTH_PUSH | AUTH_DELETE},
};

static unsigned action_of(struct str name)
{
	for (size_t i = 0; i < ARRAY_SIZE(action_names); i++)
		if (str_eq(name, action_names[i].name))
			return action_names[i].actions;
	return 0;
}

static bool is_repository(struct str s)
{
	char name[ROUTE_REPO_MAX + 1];

	if (s.n == 0 || s.n > ROUTE_REPO_MAX || memchr(s.p, '\0', s.n))
		return false;
	memcpy(name, s.p, s.n);
	name[s.n] = '\0';
	return repository_valid(name);
}

bool scope_parse(struct scope *ret, struct str text)
{
	struct str name = text, type = str_cut(&name, ':');
	unsigned actions = 0;

	if (str_eqz(text, "registry:catalog:*")) {
		*ret = (struct scope){.repo = {"", 0}, .actions = AUTH_CATALOG};
		return true;
	}
	if (!str_eqz(type, "repository") || !name.p)
		return false;
	struct str list = name;

	name = str_cut(&list, ':');
	if (!list.p || !is_repository(name))
		return false;
	while (list.p) {
		struct str action = str_cut(&list, ',');

		if (action.n == 0 || memchr(action.p, ':', action.n))
			return false;
		actions |= action_of(action);
	}
	*ret = (struct scope){.repo = name, .actions = actions};
	return true;
}

void scope_print(struct buf *out, struct str repo, unsigned actions)
{
	const char *between = "";

	if (repo.n == 0) {
		if (actions & AUTH_CATALOG)
			buf_puts(out, "registry:catalog:*");
		return;
	}
	if (!(actions & (AUTH_PULL | AUTH_PUSH | AUTH_DELETE)))
		return;
	buf_printf(out, "repository:%.*s:", STR_FMT(repo));
	for (size_t i = 0; i < 3; i++) {
		if (!(actions & action_names[i].actions))
			continue;
		buf_printf(out, "%s%.*s", between, STR_FMT(action_names[i].name));
		between = ",";
	}
}

unsigned scopes_actions(struct str scopes, struct str repo)
{
	unsigned actions = 0;

	while (scopes.p) {
		struct scope s;

		if (scope_parse(&s, str_cut(&scopes, ' ')) && str_eq(s.repo, repo))
			actions |= s.actions;
	}
	return actions;
}
