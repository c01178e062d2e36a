// SPDX-License-Identifier: Apache-2.0
// One registry: the check of /v2/, requests, and what their failures mean.
#include "registry/client.h"

#include "net/retry.h"
#include "net/url.h"
#include "util/trace.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

enum { PING_SECONDS = 15 };

static bool is_docker_hub(const char *host)
{
	return strcmp(host, "docker.io") == 0 || strcmp(host, "index.docker.io") == 0;
}

struct registry *registry_new(const char *host, const struct registry_config *cfg)
{
	struct registry *r = xcalloc(1, sizeof(*r));

	r->host = xstrdup(host);
	r->endpoint = xstrdup(is_docker_hub(host) ? "registry-1.docker.io" : host);
	r->cfg = *cfg;
	r->state_dir = cfg->state_dir ? xstrdup(cfg->state_dir) : NULL;
	r->limiter = limiter_new(cfg->max_per_registry);
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->changed, NULL);
	return r;
}

static void free_values(struct map *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->entries[i].ptr);
	map_release(m);
}

void registry_free(struct registry *r)
{
	if (!r)
		return;
	grants_release(r);
	free_values(&r->memos);
	free_values(&r->sessions);
	challenges_release(&r->challenges);
	limiter_free(r->limiter);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
	free(r->base);
	free(r->state_dir);
	free(r->endpoint);
	free(r->host);
	free(r);
}

const char *registry_host(const struct registry *r)
{
	return r->host;
}

struct limiter *registry_limiter(struct registry *r)
{
	return r->limiter;
}

struct repository_memo *registry_memo(struct registry *r, const char *repository)
{
	struct map_entry *entry = map_put(&r->memos, str_of(repository), NULL);

	if (!entry->ptr)
		entry->ptr = xcalloc(1, sizeof(struct repository_memo));
	return entry->ptr;
}

bool http_success(int status)
{
	return status >= 200 && status < 300;
}

// Up to MAX bytes of the body; whatever goes wrong behind that does not matter to an error message.
static void read_some(struct http_exchange *x, struct buf *ret)
{
	struct err ignored;
	struct slab *slab;

	while (ret->n < ret->max && (slab = http_read(x, &ignored))) {
		size_t n = slab->n - slab->start, room = ret->max - ret->n;

		buf_put(ret, slab->data + slab->start, n < room ? n : room);
		slab_free(slab);
	}
}

void http_drain(struct http_exchange *x)
{
	auto_buf struct buf body = BUF_INIT(ERROR_BODY_MAX);

	read_some(x, &body);
}

int registry_wrap_url(struct err *e, const char *method, const char *url)
{
	auto_free char *plain = url_without_query(url);

	// "GET" is written "Get" there.
	auto_free char *verb = xstrdup(method);

	for (char *c = verb + (*verb != '\0'); *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return err_wrap(e, "%s \"%s\"", verb, plain);
}

int registry_hint(struct registry *r, struct err *e)
{
	if (e->kind != ERR_DENIED || strstr(e->text, "\nhint: "))
		return -1;
	return err_hint(e,
			"hint: check the credentials for %s in the file given with -a, or run "
			"`podman login %s`",
			r->host, r->host);
}

int registry_failed(struct registry *r, const char *repository, struct http_exchange *x,
		    struct err *e)
{
	auto_buf struct buf body = BUF_INIT(ERROR_BODY_MAX);
	bool name_unknown;

	read_some(x, &body);
	error_from_body(http_status(x), buf_str(&body), &name_unknown, e);
	if (name_unknown && repository) {
		pthread_mutex_lock(&r->lock);
		registry_memo(r, repository)->name_unknown = true;
		pthread_mutex_unlock(&r->lock);
	}
	return registry_hint(r, e);
}

// One GET of /v2/ over SCHEME. The answer decides about challenges and whether this is a registry.
static int try_scheme(struct registry *r, const char *scheme, unsigned flags, int *ret_status,
		      struct err *e)
{
	auto_free char *base = xasprintf("%s://%s", scheme, r->endpoint);
	auto_free char *url = xasprintf("%s/v2/", base);
	struct http_req req = {
		.method = "GET",
		.url = url,
		.limiter = r->limiter,
		.flags = HTTP_SMALL | flags,
		.timeout_seconds = PING_SECONDS,
	};
	auto_of(http_exchange_free) struct http_exchange *x = http_open(r->cfg.net, &req, e);

	*ret_status = 0;
	if (!x)
		return -1;
	int status = *ret_status = http_status(x);
	const char *challenge = http_header(x, "WWW-Authenticate");

	http_drain(x);
	if (!http_success(status) && status != 401 && status != 403 &&
	    !http_header(x, "Docker-Distribution-API-Version")) {
		const char *reason = http_reason(status);

		err_set(e, retry_status(status) ? ERR_NET : ERR_UNSUPPORTED,
			"endpoint \"%s\" does not support v2 API (got %d%s%s)", base, status,
			*reason ? " " : "", reason);
		e->http = status;
		return -1;
	}
	if (challenge && !challenges_parse(&r->challenges, challenge))
		trace("auth", "%s: malformed WWW-Authenticate", r->host);
	r->open = http_success(status);
	r->secure = strcmp(scheme, "https") == 0;
	r->base = steal(&base);
	trace("registry", "%s answers at %s (%d)", r->host, r->base, status);
	return 0;
}

// With --insecure a registry may speak http only. One attempt over https tells; but a registry that
// does speak https and failed for another reason answers 400 to plain http, and is asked again.
static int find_scheme(struct registry *r, struct err *e)
{
	struct err first;
	int status;

	if (!r->cfg.insecure)
		return try_scheme(r, "https", 0, &status, e);
	if (try_scheme(r, "https", HTTP_ONCE, &status, &first) == 0)
		return 0;
	if (status != 0 || first.kind == ERR_CANCELLED) {
		*e = first;
		return -1;
	}
	if (try_scheme(r, "http", 0, &status, e) == 0)
		return 0;
	if (status == 400)
		return try_scheme(r, "https", 0, &status, e);
	return -1;
}

int registry_ping(struct registry *r, struct err *e)
{
	int rc = 0;

	pthread_mutex_lock(&r->lock);
	while (r->ping == PING_RUNNING)
		pthread_cond_wait(&r->changed, &r->lock);
	if (r->ping == PING_NEEDED) {
		struct err why = {0};

		r->ping = PING_RUNNING;
		pthread_mutex_unlock(&r->lock);
		rc = find_scheme(r, &why);
		pthread_mutex_lock(&r->lock);
		r->ping = rc == 0 ? PING_GOOD : PING_FAILED;
		r->ping_error = why;
		pthread_cond_broadcast(&r->changed);
	}
	if (r->ping == PING_FAILED) {
		*e = r->ping_error;
		rc = -1;
	}
	pthread_mutex_unlock(&r->lock);
	return rc;
}

char *registry_url(struct registry *r, struct err *e, const char *fmt, ...)
{
	va_list ap;

	if (registry_ping(r, e) < 0)
		return NULL;
	va_start(ap, fmt);
	auto_free char *path = xvasprintf(fmt, ap);

	va_end(ap);
	return xasprintf("%s/v2/%s", r->base, path);
}

int registry_resolve(struct registry *r, char **ret, const char *base, const char *location,
		     struct err *e)
{
	auto_free char *url = NULL;

	if (url_resolve(&url, base, location, e) < 0)
		return -1;
	if (r->secure && starts_with(url, "http://")) {
		auto_free char *https = xasprintf("https://%s", url + strlen("http://"));

		if (url_same_origin(https, r->base)) {
			*ret = steal(&https);
			return 0;
		}
	}
	*ret = steal(&url);
	return 0;
}

struct http_exchange *registry_send(struct registry *r, const struct call *c, struct err *e)
{
	struct request_auth auth;

	request_auth_init(&auth, r, c->repository, c->push, c->mount_from, c->method, c->url);
	struct http_req req = {
		.method = c->method,
		.url = c->url,
		.headers = c->headers,
		.auth = request_auth_of(&auth),
		.limiter = r->limiter,
		.body = c->body,
		.body_len = c->body_len,
		.flags = c->flags,
	};
	struct http_exchange *x = http_open(r->cfg.net, &req, e);

	if (!x) {
		registry_hint(r, e);
		return NULL;
	}
	if (http_status(x) != 401)
		request_auth_accepted(&auth);
	return x;
}

// Asks for the tags of REPOSITORY and keeps in mind whether there is such a name. Only the tag list
// says NAME_UNKNOWN everywhere: for a manifest, docker-registry answers MANIFEST_UNKNOWN whether
// the repository exists or not. Any answer but a 401 is fine: pushing tells more.
static int ask_for_name(struct registry *r, const char *repository, struct err *e)
{
	auto_free char *url = registry_url(r, e, "%s/tags/list?n=1", repository);

	if (!url)
		return -1;
	struct call call = {
		.method = "GET",
		.url = url,
		.repository = repository,
		.flags = HTTP_SMALL,
	};
	auto_of(http_exchange_free) struct http_exchange *x = registry_send(r, &call, e);
	struct err answer;

	if (!x)
		return -1;
	if (http_success(http_status(x)))
		return 0;
	registry_failed(r, repository, x, &answer);
	if (http_status(x) != 401)
		return 0;
	*e = answer;
	return -1;
}

bool registry_repository_fresh(struct registry *r, const char *repository)
{
	struct err ignored; // no answer: the repository may exist

	pthread_mutex_lock(&r->lock);
	struct repository_memo *memo = registry_memo(r, repository);

	while (memo->asking)
		pthread_cond_wait(&r->changed, &r->lock);
	if (!memo->asked && !memo->name_unknown) {
		memo->asking = true;
		pthread_mutex_unlock(&r->lock);
		if (ask_for_name(r, repository, &ignored) < 0)
			trace("registry", "%s/%s: %s", r->host, repository, ignored.text);
		pthread_mutex_lock(&r->lock);
		memo->asking = false;
		memo->asked = true;
		pthread_cond_broadcast(&r->changed);
	}
	bool fresh = memo->name_unknown;

	pthread_mutex_unlock(&r->lock);
	return fresh;
}

int registry_probe(struct registry *r, const char *repository, bool write, struct err *e)
{
	if (registry_ping(r, e) < 0)
		return -1;
	if (!write)
		return 0;
	pthread_mutex_lock(&r->lock);
	struct repository_memo *memo = registry_memo(r, repository);
	bool done = memo->probed;

	memo->writable = true;
	pthread_mutex_unlock(&r->lock);
	if (done)
		return 0;
	if (auth_prepare(r, repository, e) < 0 || ask_for_name(r, repository, e) < 0)
		return -1;
	pthread_mutex_lock(&r->lock);
	memo->probed = memo->asked = true;
	pthread_mutex_unlock(&r->lock);
	return 0;
}

char *media_type_of(const char *content_type)
{
	if (!content_type)
		return NULL;
	struct str rest = str_of(content_type);
	struct str type = str_trim(str_cut(&rest, ';'));

	return xstrndup(type.p, type.n);
}
