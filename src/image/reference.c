// SPDX-License-Identifier: Apache-2.0
// Image references: a hand-written scanner for the reference's grammar.
#include "image/reference.h"

#include "data/gofmt.h"
#include "util/mem.h"

#include <arpa/inet.h>
#include <string.h>

enum { NAME_MAX_LEN = 255, TAG_MAX_LEN = 128, DIGEST_HEX_MIN = 32 };

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_lower_alnum(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z');
}

static bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_alnum(char c)
{
	return is_digit(c) || is_alpha(c);
}

// The length of a separator between the runs of a component: ".", "_", "__" or dashes.
static size_t separator(struct str s)
{
	size_t n = 0;

	if (s.n == 0)
		return 0;
	if (s.p[0] == '.')
		return 1;
	if (s.p[0] == '_')
		return s.n > 1 && s.p[1] == '_' ? 2 : 1;
	while (n < s.n && s.p[n] == '-')
		n++;
	return n;
}

bool repository_component_valid(struct str s)
{
	for (;;) {
		size_t run = 0;

		while (run < s.n && is_lower_alnum(s.p[run]))
			run++;
		if (run == 0)
			return false;
		s.p += run;
		s.n -= run;
		if (s.n == 0)
			return true;
		size_t sep = separator(s);

		if (sep == 0)
			return false;
		s.p += sep;
		s.n -= sep;
	}
}

static bool host_label_valid(struct str s)
{
	if (s.n == 0 || !is_alnum(s.p[0]) || !is_alnum(s.p[s.n - 1]))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_alnum(s.p[i]) && s.p[i] != '-')
			return false;
	return true;
}

static bool port_valid(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_digit(s.p[i]))
			return false;
	return s.n > 0;
}

// "[::1]" or "[::1]:5000".
static bool host_ipv6_valid(struct str s)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr address;
	struct str rest = s, literal = str_cut(&rest, ']');

	if (!rest.p || literal.n - 1 >= sizeof(text))
		return false;
	memcpy(text, literal.p + 1, literal.n - 1);
	text[literal.n - 1] = '\0';
	if (memchr(text, '\0', literal.n - 1) || inet_pton(AF_INET6, text, &address) != 1)
		return false;
	return rest.n == 0 ||
	       (rest.p[0] == ':' && port_valid((struct str){rest.p + 1, rest.n - 1}));
}

static bool host_valid(struct str s)
{
	if (s.n > 0 && s.p[0] == '[')
		return host_ipv6_valid(s);
	struct str port = s, host = str_cut(&port, ':');

	if (port.p && !port_valid(port))
		return false;
	while (host.p)
		if (!host_label_valid(str_cut(&host, '.')))
			return false;
	return true;
}

static bool components_valid(struct str s)
{
	while (s.p)
		if (!repository_component_valid(str_cut(&s, '/')))
			return false;
	return true;
}

static bool name_valid(struct str name)
{
	struct str rest = name, first = str_cut(&rest, '/');

	if (!rest.p)
		return repository_component_valid(first);
	return (repository_component_valid(first) || host_valid(first)) && components_valid(rest);
}

bool repository_component_reserved(struct str component)
{
	static const char *const words[] = {"blobs", "manifests", "tags", "uploads", "referrers"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (str_eqz(component, words[i]))
			return true;
	return false;
}

bool repository_valid(const char *name)
{
	struct str s = str_of(name);

	return s.n <= NAME_MAX_LEN && components_valid(s);
}

static bool tag_text_valid(struct str s, bool wildcard)
{
	if (s.n == 0 || s.n > TAG_MAX_LEN)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool first = is_alnum(c) || c == '_' || (wildcard && c == '*');

		if (!first && (i == 0 || (c != '.' && c != '-')))
			return false;
	}
	return true;
}

bool tag_valid(const char *tag)
{
	return tag_text_valid(str_of(tag), false);
}

// Shape only: which algorithm it is and how long it must be is looked at afterwards.
static bool digest_shape_valid(struct str s)
{
	struct str hex = s, algo = str_cut(&hex, ':');
	bool start = true;

	if (algo.n == 0 || hex.n < DIGEST_HEX_MIN)
		return false;
	for (size_t i = 0; i < algo.n; i++) {
		char c = algo.p[i];

		if (start ? !is_alpha(c) : !is_alnum(c) && !strchr("-_+.", c))
			return false;
		start = !is_alnum(c);
	}
	for (size_t i = 0; i < hex.n; i++)
		if (!is_digit(hex.p[i]) && !strchr("abcdefABCDEF", hex.p[i]))
			return false;
	return !start;
}

struct parts {
	struct str name, tag, digest; // tag.p and digest.p are NULL when there is none
};

// Neither name nor tag can hold '@', and a ':' behind the last '/' can only begin the tag.
static struct parts split(struct str s)
{
	struct parts ret = {.digest = s};
	struct str head = str_cut(&ret.digest, '@');
	const char *slash = head.n ? memrchr(head.p, '/', head.n) : NULL;
	size_t at = slash ? (size_t)(slash - head.p) : 0;

	ret.tag = (struct str){head.p + at, head.n - at};
	ret.name = (struct str){head.p, at + str_cut(&ret.tag, ':').n};
	return ret;
}

static bool parts_valid(const struct parts *p, unsigned flags)
{
	if (p->tag.p && !tag_text_valid(p->tag, flags & REF_WILDCARD))
		return false;
	if (p->digest.p && !digest_shape_valid(p->digest))
		return false;
	return name_valid(p->name);
}

static bool valid_in_lower_case(struct str text, unsigned flags)
{
	auto_free char *lower = xstrndup(text.p, text.n);

	for (char *c = lower; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c += 'a' - 'A';
	struct parts p = split(str_of(lower));

	return parts_valid(&p, flags);
}

static int check(struct str text, const struct parts *p, unsigned flags, struct err *e)
{
	if (text.n == 0)
		return err_set(e, ERR_INPUT, "repository name must have at least one component");
	if (!parts_valid(p, flags))
		return err_set(e, ERR_INPUT, "%s",
			       valid_in_lower_case(text, flags)
				       ? "repository name must be lowercase"
				       : "invalid reference format");
	if (p->name.n > NAME_MAX_LEN)
		return err_set(e, ERR_INPUT, "repository name must not be more than %d characters",
			       NAME_MAX_LEN);
	return 0;
}

// A first component that can only be a registry, by the look of it.
static bool looks_like_host(struct str first)
{
	return memchr(first.p, '.', first.n) || memchr(first.p, ':', first.n) ||
	       str_eqz(first, "localhost");
}

// "quay.io" or "localhost:5000" alone: a registry, with what looked like a tag as its port.
static bool is_only_registry(const struct reference *r, const struct parts *p)
{
	return r->type != REF_FILE && !memchr(p->name.p, '/', p->name.n) &&
	       (memchr(p->name.p, '.', p->name.n) || str_starts(p->name, STR("localhost")));
}

static void fill_names(struct reference *r, struct str text, const struct parts *p)
{
	struct str rest = p->name, first = str_cut(&rest, '/');

	if (is_only_registry(r, p)) {
		r->registry = xstrndup(text.p, text.n);
		r->repository = xstrdup("");
		r->tag = xstrdup("");
		return;
	}
	bool host = rest.p && looks_like_host(first);

	r->registry = host ? xstrndup(first.p, first.n) : xstrdup("");
	r->repository = host ? xstrndup(rest.p, rest.n) : xstrndup(p->name.p, p->name.n);
	r->tag = xstrndup(p->tag.p, p->tag.n);
}

static int parse(struct reference *ret, struct str text, unsigned flags, struct err *e)
{
	struct parts p = split(text);

	if (check(text, &p, flags, e) < 0)
		return -1;
	if (p.digest.p) {
		auto_free char *digest = xstrndup(p.digest.p, p.digest.n);

		if (is_only_registry(ret, &p))
			return err_set(e, ERR_INPUT, "invalid reference format");
		if (digest_parse(&ret->digest, digest, e) < 0)
			return -1;
		ret->has_digest = true;
	}
	fill_names(ret, text, &p);
	return 0;
}

static struct str take_prefix(struct reference *r, struct str s)
{
	if (str_starts(s, STR("s3://"))) {
		r->type = REF_S3;
		return (struct str){s.p + 5, s.n - 5};
	}
	if (str_starts(s, STR("file://"))) {
		size_t n = s.n > 7 && s.p[7] == '/' ? 8 : 7;

		r->type = REF_FILE;
		return (struct str){s.p + n, s.n - n};
	}
	return s;
}

// A '*' anywhere but behind the last colon of the last component.
static bool misplaced_wildcard(struct str s)
{
	struct parts p = split(s);

	return memchr(s.p, '*', s.n) &&
	       !(p.tag.p && !p.digest.p && !memchr(p.name.p, '*', p.name.n));
}

int reference_parse(struct reference *ret, const char *text, unsigned flags, struct err *e)
{
	struct reference r = {.type = REF_REGISTRY};
	struct str s = str_of(text);

	if (!(flags & REF_NO_PREFIX))
		s = take_prefix(&r, s);
	if ((flags & REF_WILDCARD) && misplaced_wildcard(s))
		return err_set(e, ERR_INPUT, "source expansion is only possible in tags");
	if (parse(&r, s, flags, e) < 0) {
		auto_free char *quoted = gofmt_quote(str_of(text));

		return err_wrap(e, "%s is not a valid image reference", quoted);
	}
	*ret = r;
	return 0;
}

void reference_release(struct reference *r)
{
	free(r->registry);
	free(r->repository);
	free(r->tag);
	*r = (struct reference){0};
}

void reference_copy(struct reference *ret, const struct reference *r)
{
	*ret = *r;
	ret->registry = xstrdup(r->registry);
	ret->repository = xstrdup(r->repository);
	ret->tag = xstrdup(r->tag);
}

static const char *prefix_of(const struct reference *r)
{
	return r->type == REF_FILE ? "file://" : r->type == REF_S3 ? "s3://" : "";
}

static char *join(const char *prefix, const char *registry, const char *repository)
{
	return xasprintf("%s%s%s%s", prefix, registry, *registry && *repository ? "/" : "",
			 repository);
}

char *reference_print_repository(const struct reference *r)
{
	return join(prefix_of(r), r->registry, r->repository);
}

char *reference_print(const struct reference *r)
{
	auto_free char *repository = reference_print_repository(r);

	return xasprintf("%s%s%s%s%s", repository, *r->tag ? ":" : "", r->tag,
			 r->has_digest ? "@" : "", r->has_digest ? r->digest.text : "");
}

static bool is_docker_hub(const struct reference *r)
{
	static const char *const names[] = {"", "docker.io", "index.docker.io",
					    "registry-1.docker.io"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(r->registry, names[i]) == 0)
			return r->type == REF_REGISTRY;
	return false;
}

char *reference_wire_repository(const struct reference *r)
{
	bool library = is_docker_hub(r) && *r->repository && !strchr(r->repository, '/');

	return xasprintf("%s%s", library ? "library/" : "", r->repository);
}

void reference_docker_defaults(struct reference *r)
{
	char *repository = reference_wire_repository(r);

	free(r->repository);
	r->repository = repository;
	if (*r->registry == '\0') {
		free(r->registry);
		r->registry = xstrdup("docker.io");
	}
	if (*r->tag == '\0' && !r->has_digest) {
		free(r->tag);
		r->tag = xstrdup("latest");
	}
}

const char *reference_endpoint(const struct reference *r)
{
	return is_docker_hub(r) ? "registry-1.docker.io" : r->registry;
}

char *reference_file_path(const struct reference *r)
{
	return join("", r->registry, r->repository);
}

static bool same_digest(const struct reference *a, const struct reference *b)
{
	if (a->has_digest != b->has_digest)
		return false;
	return !a->has_digest || digest_equal(&a->digest, &b->digest);
}

static const char *tag_or_latest(const struct reference *r)
{
	return *r->tag ? r->tag : "latest";
}

bool reference_same(const struct reference *a, const struct reference *b)
{
	auto_free char *wire_a = reference_wire_repository(a);
	auto_free char *wire_b = reference_wire_repository(b);

	return a->type == b->type && strcmp(reference_endpoint(a), reference_endpoint(b)) == 0 &&
	       strcmp(wire_a, wire_b) == 0 && strcmp(tag_or_latest(a), tag_or_latest(b)) == 0 &&
	       same_digest(a, b);
}

bool tag_matches(const char *pattern, const char *tag)
{
	const char *star = NULL, *resume = NULL;

	while (*tag) {
		if (*pattern == '*') {
			star = pattern++;
			resume = tag;
		} else if (*pattern == *tag) {
			pattern++;
			tag++;
		} else if (star) {
			pattern = star + 1;
			tag = ++resume;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}
