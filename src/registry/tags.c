// SPDX-License-Identifier: Apache-2.0
// The tags of a repository, page after page.
#include "registry/client.h"

#include "data/json.h"
#include "image/reference.h"
#include "net/url.h"

#include <string.h>
#include <strings.h>

enum { TAGS_PAGES_MAX = 20000, TAGS_MAX = 1000000, TAGS_PAGE_MAX = 32 * 1024 * 1024 };

// Is one of the blank-separated relations in VALUE "next"?
static bool is_next(struct str value)
{
	while (value.n > 0) {
		struct str one = str_cut(&value, ' ');

		if (one.n == 4 && strncasecmp(one.p, "next", 4) == 0)
			return true;
	}
	return false;
}

// Reads one parameter at *at (behind a ';') and says whether it is rel="next".
static bool take_rel_next(const char **at)
{
	*at += strspn(*at, " \t");
	struct str name = {*at, strcspn(*at, "=;, \t")}, value = {NULL, 0};

	*at += name.n;
	*at += strspn(*at, " \t");
	if (**at != '=')
		return false;
	++*at;
	*at += strspn(*at, " \t");
	if (**at == '"') {
		value = (struct str){*at + 1, strcspn(*at + 1, "\"")};
		*at += 1 + value.n;
		if (**at == '"')
			++*at;
	} else {
		value = (struct str){*at, strcspn(*at, ";, \t")};
		*at += value.n;
	}
	return name.n == 3 && strncasecmp(name.p, "rel", 3) == 0 && is_next(value);
}

char *link_next(const char *header)
{
	const char *at = header;

	for (;;) {
		at += strspn(at, " \t,");
		if (*at != '<')
			return NULL;
		struct str target = {at + 1, strcspn(at + 1, ">")};

		at += 1 + target.n;
		if (*at != '>')
			return NULL;
		at++;
		bool next = false;

		for (at += strspn(at, " \t"); *at == ';'; at += strspn(at, " \t")) {
			at++;
			next |= take_rel_next(&at);
		}
		if (next)
			return xstrndup(target.p, target.n);
		if (*at != ',')
			return NULL;
	}
}

struct tag_list {
	struct strlist *out;
	struct map seen; // tags
};

static int add_page(struct tag_list *l, struct str body, struct err *e)
{
	auto_json struct json_doc doc = {0};
	struct json_limits limits = {
		.bytes = TAGS_PAGE_MAX, .values = TAGS_MAX + 16, .depth = JSON_DEPTH_MAX};

	if (json_parse(&doc, body, limits, 0, e) < 0)
		return -1;
	struct json root = json_root(&doc), tags = json_member(&root, "tags");
	size_t n;

	if (json_items(&tags, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct json item = json_item(&tags, i);
		const char *tag;
		bool added;

		if (json_text(&item, &tag, e) < 0)
			return -1;
		if (!tag_valid(tag))
			continue; // nothing that could be pulled
		map_put(&l->seen, str_of(tag), &added);
		if (!added)
			continue;
		if (l->out->n == TAGS_MAX)
			return err_set(e, ERR_INPUT, "more than %d tags", TAGS_MAX);
		strlist_add(l->out, tag);
	}
	return 0;
}

// Fetches one page; *ret_next is the URL of the next one, or NULL.
static int fetch_page(struct registry *r, const char *repository, const char *url,
		      struct tag_list *l, char **ret_next, struct err *e)
{
	struct call call = {
		.method = "GET", .url = url, .repository = repository, .flags = HTTP_SMALL};
	auto_buf struct buf body = BUF_INIT(TAGS_PAGE_MAX);
	auto_of(http_exchange_free) struct http_exchange *x = registry_send(r, &call, e);

	*ret_next = NULL;
	if (!x)
		return -1;
	if (http_status(x) != 200)
		return registry_failed(r, repository, x, e);
	if (http_read_all(x, &body, e) < 0 || add_page(l, buf_str(&body), e) < 0)
		return err_wrap(e, "tags of '%s/%s'", r->host, repository);
	const char *links = http_header(x, "Link");
	auto_free char *target = links ? link_next(links) : NULL;

	if (!target)
		return 0;
	auto_free char *next = NULL;

	if (registry_resolve(r, &next, url, target, e) < 0)
		return err_wrap(e, "tags of '%s/%s': next page", r->host, repository);
	if (!url_same_origin(next, r->base))
		return err_set(e, ERR_INPUT, "tags of '%s/%s': the next page is on another server",
			       r->host, repository);
	*ret_next = steal(&next);
	return 0;
}

static int fetch_pages(struct registry *r, const char *repository, struct tag_list *l,
		       struct err *e)
{
	auto_map struct map pages = {0};
	auto_free char *url = registry_url(r, e, "%s/tags/list", repository);

	if (!url)
		return -1;
	while (url) {
		char *next;
		bool added;

		map_put(&pages, str_of(url), &added);
		if (!added)
			return err_set(e, ERR_INPUT,
				       "tags of '%s/%s': the pages go round in a circle", r->host,
				       repository);
		if (pages.n > TAGS_PAGES_MAX)
			return err_set(e, ERR_INPUT, "tags of '%s/%s': more than %d pages", r->host,
				       repository, TAGS_PAGES_MAX);
		if (fetch_page(r, repository, url, l, &next, e) < 0)
			return -1;
		free(url);
		url = next;
	}
	return 0;
}

int registry_tags(struct registry *r, const char *repository, struct strlist *ret, struct err *e)
{
	auto_strlist struct strlist tags = {0};
	struct tag_list l = {.out = &tags};
	int rc = fetch_pages(r, repository, &l, e);

	map_release(&l.seen);
	if (rc < 0)
		return -1;
	for (size_t i = 0; i < tags.n; i++)
		strlist_take(ret, steal(&tags.v[i]));
	tags.n = 0;
	return 0;
}
