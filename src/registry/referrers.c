// SPDX-License-Identifier: Apache-2.0
// The list of referrers, page after page.
#include "registry/referrers.h"

#include "data/json.h"
#include "net/url.h"
#include "registry/client.h"

#include <string.h>

enum { REFERRERS_PAGES_MAX = 100 };

static int unsupported(const struct registry *r, struct err *e)
{
	return err_set(e, ERR_UNSUPPORTED, "registry %s has no list of referrers", r->host);
}

// What registries without the list say to its path.
static bool says_no(int status)
{
	static const int statuses[] = {400, 404, 405, 406, 501};

	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
		if (status == statuses[i])
			return true;
	return false;
}

static int add_digests(struct strlist *ret, struct str body, struct err *e)
{
	auto_manifest struct manifest m = {0};

	if (manifest_parse(&m, body, MT_OCI_INDEX, "referrers", e) < 0)
		return -1;
	if (m.nmanifests > DESCRIPTORS_MAX - ret->n)
		return err_set(e, ERR_INPUT, "more than %d referrers", DESCRIPTORS_MAX);
	for (size_t i = 0; i < m.nmanifests; i++)
		strlist_add(ret, m.manifests[i].digest.text);
	return 0;
}

// The page that follows in *ret, or NULL.
static int next_page(struct registry *r, const struct http_exchange *x, const char *url, char **ret,
		     struct err *e)
{
	const char *links = http_header(x, "Link");
	auto_free char *target = links ? link_next(links) : NULL;
	auto_free char *next = NULL;

	*ret = NULL;
	if (!target)
		return 0;
	if (registry_resolve(r, &next, url, target, e) < 0)
		return -1;
	if (!url_same_origin(next, r->base))
		return err_set(e, ERR_INPUT, "the next page is on another server");
	*ret = steal(&next);
	return 0;
}

static int fetch_page(struct registry *r, const char *repository, const char *url,
		      struct strlist *found, char **ret_next, struct err *e)
{
	static const char *const headers[] = {"Accept: " MT_OCI_INDEX, NULL};
	struct call call = {
		.method = "GET",
		.url = url,
		.repository = repository,
		.headers = headers,
		.flags = HTTP_SMALL,
	};
	auto_buf struct buf body = BUF_INIT(MANIFEST_MAX);
	auto_of(http_exchange_free) struct http_exchange *x = registry_send(r, &call, e);

	if (!x)
		return -1;
	if (says_no(http_status(x))) {
		http_drain(x);
		return unsupported(r, e);
	}
	if (http_status(x) != 200)
		return registry_failed(r, repository, x, e);
	auto_free char *type = media_type_of(http_header(x, "Content-Type"));

	// Servers that answer everything with a page of their own have no list either.
	if (!type || strcmp(type, MT_OCI_INDEX) != 0) {
		http_drain(x);
		return unsupported(r, e);
	}
	if (http_read_all(x, &body, e) < 0 || add_digests(found, buf_str(&body), e) < 0)
		return -1;
	return next_page(r, x, url, ret_next, e);
}

static int fetch_pages(struct registry *r, const char *repository, const struct digest *subject,
		       struct strlist *found, struct err *e)
{
	auto_free char *url = registry_url(r, e, "%s/referrers/%s", repository, subject->text);

	if (!url)
		return -1;
	for (size_t n = 0; url; n++) {
		char *next = NULL;

		if (n == REFERRERS_PAGES_MAX)
			return err_set(e, ERR_INPUT, "more than %d pages", REFERRERS_PAGES_MAX);
		if (fetch_page(r, repository, url, found, &next, e) < 0)
			return -1;
		free(url);
		url = next;
	}
	return 0;
}

// Waits while another thread finds out. Who gets REFERRERS_ASKING back has to find out itself.
static enum referrers_state begin(struct registry *r)
{
	pthread_mutex_lock(&r->lock);
	while (r->referrers == REFERRERS_ASKING)
		pthread_cond_wait(&r->changed, &r->lock);
	if (r->referrers == REFERRERS_UNKNOWN)
		r->referrers = REFERRERS_ASKING;
	enum referrers_state state = r->referrers;

	pthread_mutex_unlock(&r->lock);
	return state;
}

static void settle(struct registry *r, enum referrers_state state)
{
	pthread_mutex_lock(&r->lock);
	r->referrers = state;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

static enum referrers_state found_out(int rc, const struct err *why)
{
	if (rc == 0)
		return REFERRERS_THERE;
	return why->kind == ERR_UNSUPPORTED ? REFERRERS_NONE : REFERRERS_UNKNOWN;
}

int registry_referrers(struct registry *r, const char *repository, const struct digest *subject,
		       struct strlist *ret, struct err *e)
{
	auto_strlist struct strlist found = {0};
	enum referrers_state state = begin(r);
	struct err why = {0};

	if (state == REFERRERS_NONE)
		return unsupported(r, e);
	int rc = fetch_pages(r, repository, subject, &found, &why);

	if (state == REFERRERS_ASKING)
		settle(r, found_out(rc, &why));
	if (rc < 0) {
		*e = why;
		if (why.kind == ERR_UNSUPPORTED || why.kind == ERR_CANCELLED)
			return -1;
		return err_wrap(e, "referrers of '%s/%s@%s'", r->host, repository, subject->text);
	}
	for (size_t i = 0; i < found.n; i++)
		strlist_take(ret, steal(&found.v[i]));
	found.n = 0;
	return 0;
}
