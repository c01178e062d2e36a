// SPDX-License-Identifier: Apache-2.0
// URLs: splitting, reference resolution, origins, encoding.
#include "net/url.h"

#include "util/cleanup.h"
#include "util/mem.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

enum { URL_MAX = 16 * 1024 }; // pre-signed locations run to some KiB

void url_release(struct url *u)
{
	free(u->scheme);
	free(u->host);
	free(u->port);
	free(u->path);
	free(u->query);
	*u = (struct url){0};
}

static const char *default_port(const char *scheme)
{
	return strcmp(scheme, "https") == 0 ? "443" : "80";
}

static char *lower(struct str s)
{
	char *p = xstrndup(s.p, s.n);

	for (char *c = p; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return p;
}

// The length of a "scheme:" prefix without its colon; 0 when TEXT is a relative reference.
static size_t scheme_length(const char *text)
{
	size_t n = 0;

	if (!isalpha((unsigned char)text[0]))
		return 0;
	while (isalnum((unsigned char)text[n]) || (text[n] && strchr("+-.", text[n])))
		n++;
	return text[n] == ':' ? n : 0;
}

static int check_bytes(const char *text, struct err *e)
{
	if (strlen(text) > URL_MAX)
		return err_set(e, ERR_INPUT, "URL is longer than %d bytes", URL_MAX);
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c <= ' ' || *c == 0x7f)
			return err_set(e, ERR_INPUT, "URL contains a control byte or blank");
	return 0;
}

static bool is_ipv6_literal(struct str host)
{
	unsigned char addr[16];

	if (host.n < 4 || host.p[0] != '[' || host.p[host.n - 1] != ']')
		return false;
	auto_free char *inner = xstrndup(host.p + 1, host.n - 2);

	return inet_pton(AF_INET6, inner, addr) == 1;
}

static bool is_host_name(struct str host)
{
	if (host.n == 0 || host.n > 255)
		return false;
	for (size_t i = 0; i < host.n; i++) {
		unsigned char c = (unsigned char)host.p[i];

		if (!isalnum(c) && c != '.' && c != '-' && c != '_')
			return false;
	}
	return true;
}

// Splits host[:port]; the port is empty when there is none.
static int split_authority(struct str authority, struct str *host, struct str *port, struct err *e)
{
	const char *from = authority.p, *end = authority.p + authority.n, *colon;

	if (authority.n > 0 && memchr(authority.p, '@', authority.n))
		return err_set(e, ERR_INPUT, "user information in a URL is not accepted");
	if (authority.n > 0 && *from == '[') {
		from = memchr(from, ']', authority.n);
		if (!from)
			return err_set(e, ERR_INPUT, "missing ']' in the host of a URL");
		from++;
		if (from < end && *from != ':')
			return err_set(e, ERR_INPUT, "bytes behind ']' in the host of a URL");
	}
	colon = from < end ? memchr(from, ':', (size_t)(end - from)) : NULL;
	*host = (struct str){authority.p, (size_t)((colon ? colon : end) - authority.p)};
	*port = colon ? (struct str){colon + 1, (size_t)(end - colon - 1)} : (struct str){"", 0};
	if (!is_ipv6_literal(*host) && !is_host_name(*host))
		return err_set(e, ERR_INPUT, "'%.*s' is not a host", STR_FMT(*host));
	return 0;
}

static int parse_authority(struct url *u, struct str authority, struct err *e)
{
	struct str host = {0}, port = {0};
	uint64_t number;

	if (split_authority(authority, &host, &port, e) < 0)
		return -1;
	if (port.n == 0)
		u->port = xstrdup(default_port(u->scheme));
	else if (str_u64(port, 65535, &number) && number > 0)
		u->port = xasprintf("%u", (unsigned)number);
	else
		return err_set(e, ERR_INPUT, "'%.*s' is not a port", STR_FMT(port));
	u->host = lower(host);
	return 0;
}

static int parse(struct url *u, const char *text, struct err *e)
{
	if (check_bytes(text, e) < 0)
		return -1;
	size_t n = scheme_length(text);

	u->scheme = lower((struct str){text, n});
	if (strcmp(u->scheme, "http") != 0 && strcmp(u->scheme, "https") != 0)
		return err_set(e, ERR_INPUT, "only http and https URLs are accepted");
	if (!starts_with(text + n, "://"))
		return err_set(e, ERR_INPUT, "URL has no host");
	if (strchr(text, '#'))
		return err_set(e, ERR_INPUT, "a fragment in a URL is not accepted");
	const char *authority = text + n + 3;
	const char *path = authority + strcspn(authority, "/?");
	const char *query = path + strcspn(path, "?");

	if (parse_authority(u, (struct str){authority, (size_t)(path - authority)}, e) < 0)
		return -1;
	u->path = query == path ? xstrdup("/") : xstrndup(path, (size_t)(query - path));
	u->query = xstrdup(*query == '?' ? query + 1 : "");
	return 0;
}

int url_parse(struct url *ret, const char *text, struct err *e)
{
	auto_url struct url u = {0};

	if (parse(&u, text, e) < 0) {
		auto_free char *shown = url_without_query(text);

		return err_wrap(e, "parse \"%s\"", shown);
	}
	*ret = u;
	u = (struct url){0};
	return 0;
}

bool url_same_origin(const char *a, const char *b)
{
	auto_url struct url ua = {0}, ub = {0};
	struct err ignored;

	if (url_parse(&ua, a, &ignored) < 0 || url_parse(&ub, b, &ignored) < 0)
		return false;
	return strcmp(ua.scheme, ub.scheme) == 0 && strcmp(ua.host, ub.host) == 0 &&
	       strcmp(ua.port, ub.port) == 0;
}

// Takes the last segment and its slash off OUT.
static void drop_segment(struct buf *out)
{
	while (out->n > 0 && out->p[--out->n] != '/')
		;
	if (out->cap)
		out->p[out->n] = '\0';
}

// RFC 3986, 5.2.4 "Remove Dot Segments", for a PATH that starts with '/'.
static char *remove_dots(const char *path)
{
	auto_buf struct buf out = BUF_INIT(BUF_TEXT_MAX);

	while (*path == '/') {
		size_t n = 1 + strcspn(path + 1, "/");
		bool last = path[n] == '\0';

		if (n == 3 && path[1] == '.' && path[2] == '.') {
			drop_segment(&out);
			if (last)
				buf_putc(&out, '/');
		} else if (n == 2 && path[1] == '.') {
			if (last)
				buf_putc(&out, '/');
		} else {
			buf_put(&out, path, n);
		}
		path += n;
	}
	return buf_take(&out);
}

// RFC 3986, 5.2.3 "Merge Paths": REF behind the last slash of the base's path.
static char *merge(const char *base, struct str ref)
{
	const char *slash = strrchr(base, '/');

	return xasprintf("%.*s/%.*s", slash ? (int)(slash - base) : 0, base, STR_FMT(ref));
}

static char *origin(const struct url *u)
{
	if (strcmp(u->port, default_port(u->scheme)) == 0)
		return xasprintf("%s://%s", u->scheme, u->host);
	return xasprintf("%s://%s:%s", u->scheme, u->host, u->port);
}

// Checks an absolute URL of our making and hands it out.
static int hand_out(char **ret, char *url, struct err *e)
{
	auto_url struct url checked = {0};

	if (url_parse(&checked, url, e) < 0) {
		free(url);
		return -1;
	}
	*ret = url;
	return 0;
}

// LOCATION without scheme and authority; RFC 3986, 5.2.2 "Transform References".
static char *resolve_path(const struct url *base, const char *location)
{
	size_t path_len = strcspn(location, "?");
	struct str path = {location, path_len};
	const char *query = location[path_len] == '?' ? location + path_len : NULL;
	auto_free char *merged = NULL, *clean = NULL, *from = origin(base);

	if (path.n == 0) {
		bool own = !query && base->query[0];

		return xasprintf("%s%s%s%s", from, base->path, own ? "?" : "",
				 query ? query : base->query);
	}
	merged = path.p[0] == '/' ? xstrndup(path.p, path.n) : merge(base->path, path);
	clean = remove_dots(merged);
	return xasprintf("%s%s%s", from, clean[0] ? clean : "/", query ? query : "");
}

int url_resolve(char **ret, const char *base, const char *location, struct err *e)
{
	auto_url struct url b = {0};

	if (url_parse(&b, base, e) < 0 || check_bytes(location, e) < 0)
		return -1;
	auto_free char *ref = xstrndup(location, strcspn(location, "#"));

	if (scheme_length(ref) > 0)
		return hand_out(ret, steal(&ref), e);
	if (starts_with(ref, "//"))
		return hand_out(ret, xasprintf("%s:%s", b.scheme, ref), e);
	return hand_out(ret, resolve_path(&b, ref), e);
}

char *url_encode(const char *text)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = strlen(text);
	char *out = xreallocarray(NULL, n + 1, 3), *at = out;

	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		if (isalnum(*c) || strchr("-._~", *c)) {
			*at++ = (char)*c;
			continue;
		}
		*at++ = '%';
		*at++ = hex[*c >> 4];
		*at++ = hex[*c & 15];
	}
	*at = '\0';
	return out;
}

char *url_add_query(const char *url, const char *name, const char *value)
{
	auto_free char *encoded = url_encode(value);
	const char *mark = strchr(url, '?');
	const char *sep = "?";

	if (mark)
		sep = mark[1] == '\0' || ends_with(url, "&") ? "" : "&";
	return xasprintf("%s%s%s=%s", url, sep, name, encoded);
}

char *url_without_query(const char *url)
{
	// User information has no place in a message either.
	size_t end = strcspn(url, "?#");
	size_t scheme = scheme_length(url);
	const char *from = scheme > 0 && starts_with(url + scheme, "://") ? url + scheme + 3 : url;
	size_t authority = strcspn(from, "/?#");
	const char *at = memrchr(from, '@', authority);

	if (!at)
		return xstrndup(url, end);
	return xasprintf("%.*s%.*s", (int)(from - url), url, (int)(end - (size_t)(at + 1 - url)),
			 at + 1);
}
