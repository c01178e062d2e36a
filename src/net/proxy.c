// SPDX-License-Identifier: Apache-2.0
// Proxy choice.
#include "net/proxy.h"

#include "util/cleanup.h"
#include "util/mem.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

struct address {
	unsigned char bytes[16]; // IPv4 as v4-mapped, so that both compare alike
	bool v4;
};

static bool parse_address(struct str text, struct address *ret)
{
	static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
	char name[INET6_ADDRSTRLEN];

	if (text.n >= 2 && text.p[0] == '[' && text.p[text.n - 1] == ']')
		text = (struct str){text.p + 1, text.n - 2};
	if (text.n == 0 || text.n >= sizeof(name))
		return false;
	memcpy(name, text.p, text.n);
	name[text.n] = '\0';
	memcpy(ret->bytes, mapped, sizeof(mapped));
	ret->v4 = inet_pton(AF_INET, name, ret->bytes + 12) == 1;
	if (ret->v4)
		return true;
	if (inet_pton(AF_INET6, name, ret->bytes) != 1)
		return false;
	ret->v4 = memcmp(ret->bytes, mapped, sizeof(mapped)) == 0;
	return true;
}

static bool is_loopback(const struct address *a)
{
	static const unsigned char v6[16] = {[15] = 1};

	return a->v4 ? a->bytes[12] == 127 : memcmp(a->bytes, v6, 16) == 0;
}

static bool in_block(const struct address *a, struct str block)
{
	struct str prefix = block, base;
	struct address b;
	uint64_t bits;

	base = str_cut(&prefix, '/');
	if (!parse_address(base, &b) || a->v4 != b.v4 || !str_u64(prefix, b.v4 ? 32 : 128, &bits))
		return false;
	if (b.v4)
		bits += 96;
	size_t whole = bits / 8;
	unsigned char mask = (unsigned char)(0xff00u >> (bits % 8));

	if (memcmp(a->bytes, b.bytes, whole) != 0)
		return false;
	return bits % 8 == 0 || ((a->bytes[whole] ^ b.bytes[whole]) & mask) == 0;
}

// Takes ":port" off an entry. A bare IPv6 address has colons, but no port.
static struct str cut_port(struct str *entry)
{
	const char *colon = memrchr(entry->p, ':', entry->n);
	struct address ignored;
	struct str port = {"", 0};

	if (!colon || parse_address(*entry, &ignored))
		return port;
	port = (struct str){colon + 1, (size_t)(entry->p + entry->n - colon - 1)};
	entry->n = (size_t)(colon - entry->p);
	return port;
}

static bool ends_with_case(const char *host, struct str suffix)
{
	size_t n = strlen(host);

	return n >= suffix.n && strncasecmp(host + n - suffix.n, suffix.p, suffix.n) == 0;
}

static bool name_matches(struct str entry, const char *host)
{
	size_t n = strlen(host);

	if (entry.n >= 2 && entry.p[0] == '*' && entry.p[1] == '.')
		entry = (struct str){entry.p + 1, entry.n - 1};
	if (entry.n == 0 || !ends_with_case(host, entry))
		return false;
	if (entry.p[0] == '.')
		return n > entry.n;
	return n == entry.n || host[n - entry.n - 1] == '.';
}

static bool entry_matches(struct str entry, const char *host, const struct address *a,
			  const char *port)
{
	struct address b;

	if (str_eqz(entry, "*"))
		return true;
	if (entry.n > 0 && memchr(entry.p, '/', entry.n))
		return a && in_block(a, entry);
	if (entry.n == 0)
		return false;
	struct str only = cut_port(&entry);

	if (only.n > 0 && !str_eqz(only, port))
		return false;
	if (parse_address(entry, &b))
		return a && memcmp(a->bytes, b.bytes, sizeof(b.bytes)) == 0;
	return name_matches(entry, host);
}

bool proxy_exempt(const char *no_proxy, const char *host, const char *port)
{
	struct str rest = str_of(no_proxy ? no_proxy : "");
	struct address address, *a = NULL;

	if (parse_address(str_of(host), &address))
		a = &address;
	if (strcasecmp(host, "localhost") == 0 || (a && is_loopback(a)))
		return true;
	while (rest.n > 0) {
		struct str entry = str_trim(str_cut(&rest, ','));

		if (entry_matches(entry, host, a, port))
			return true;
	}
	return false;
}

// Go and curl name the same thing differently: Go's socks5 has the proxy resolve names.
static int normalise(char **ret, const char *proxy, struct err *e)
{
	static const char *const known[] = {"http://", "https://", "socks5h://"};

	if (strchr(proxy, '\n') || strchr(proxy, '\r'))
		return err_set(e, ERR_INPUT, "invalid proxy address: control byte in it");
	if (!strstr(proxy, "://")) {
		*ret = xasprintf("http://%s", proxy);
		return 0;
	}
	if (strncasecmp(proxy, "socks5://", 9) == 0) {
		*ret = xasprintf("socks5h://%s", proxy + 9);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (strncasecmp(proxy, known[i], strlen(known[i])) == 0) {
			*ret = xstrdup(proxy);
			return 0;
		}
	}
	// Not shown: what stands there may be a password.
	return err_set(e, ERR_INPUT,
		       "invalid proxy address: its scheme is not http, https or socks5");
}

int proxy_for(char **ret, const struct http_config *cfg, const struct url *u, struct err *e)
{
	const char *proxy = strcmp(u->scheme, "https") == 0 ? cfg->https_proxy : cfg->http_proxy;

	if (!proxy || !proxy[0] || proxy_exempt(cfg->no_proxy, u->host, u->port)) {
		*ret = NULL;
		return 0;
	}
	return normalise(ret, proxy, e);
}
