// SPDX-License-Identifier: Apache-2.0
// Blobs: head, download, mount.
#include "registry/client.h"

#include "net/url.h"
#include "util/stream.h"
#include "util/trace.h"

#include <string.h>

static char *blob_url(struct registry *r, const char *repository, const struct digest *d,
		      struct err *e)
{
	return registry_url(r, e, "%s/blobs/%s", repository, d->text);
}

int registry_blob_head(struct registry *r, const char *repository, const struct digest *d,
		       uint64_t *ret_size, struct err *e)
{
	auto_free char *url = blob_url(r, repository, d, e);

	if (!url)
		return -1;
	struct call call = {
		.method = "HEAD", .url = url, .repository = repository, .flags = HTTP_SMALL};
	auto_of(http_exchange_free) struct http_exchange *x = registry_send(r, &call, e);

	if (!x)
		return -1;
	int status = http_status(x);
	// A registry that sends us on to its storage has the blob, whatever the storage thinks of
	// HEAD.
	bool elsewhere = !url_same_origin(http_url(x), url);

	if (status == 404 && !elsewhere) {
		err_set(e, ERR_NOT_FOUND, "blob unknown: blob unknown to registry");
		e->http = 404;
		return -1;
	}
	if (!http_success(status) && !(elsewhere && (status == 403 || status == 405)))
		return registry_failed(r, repository, x, e);
	const char *length = http_success(status) ? http_header(x, "Content-Length") : NULL;

	*ret_size = 0;
	if (length && !str_u64(str_trim(str_of(length)), UINT64_MAX, ret_size))
		*ret_size = 0;
	return 0;
}

// --- download ---

// The stream of net/ with what it borrows from us.
struct download {
	struct stream base;
	struct stream *body;
	struct request_auth auth;
	char *url;
};

static struct slab *download_read(struct stream *base, struct err *e)
{
	struct download *d = (struct download *)base;

	return stream_read(d->body, e);
}

static void download_free(struct stream *base)
{
	struct download *d = (struct download *)base;

	stream_free(d->body);
	free(d->url);
	free(d);
}

static const struct stream_ops download_ops = {download_read, download_free};

// Takes URL.
static struct stream *download(struct registry *r, const char *repository, char *url,
			       uint64_t offset, uint64_t size, struct err *e)
{
	struct download *d = xcalloc(1, sizeof(*d));

	d->base.ops = &download_ops;
	d->url = url;
	request_auth_init(&d->auth, r, repository, false, NULL, "GET", url);
	struct http_req req = {
		.method = "GET",
		.url = url,
		.auth = request_auth_of(&d->auth),
		.limiter = r->limiter,
		.flags = size <= SLAB_SIZE ? HTTP_SMALL : 0,
	};

	d->body = http_download(r->cfg.net, &req, offset, size, e);
	if (!d->body) {
		registry_hint(r, e);
		download_free(&d->base);
		return NULL;
	}
	request_auth_accepted(&d->auth);
	return &d->base;
}

// Layers that live elsewhere: the manifest says where. No credentials go there.
static struct stream *open_foreign(struct registry *r, const struct descriptor *d, uint64_t offset,
				   struct err *e)
{
	struct err ignored;

	for (const char *const *url = d->urls; url && *url; url++) {
		auto_url struct url parsed = {0};

		if (url_parse(&parsed, *url, &ignored) < 0)
			continue;
		struct http_req req = {.method = "GET", .url = *url};
		struct stream *s = http_download(r->cfg.net, &req, offset, d->size, &ignored);

		if (s)
			return s;
		if (ignored.kind == ERR_CANCELLED) {
			*e = ignored;
			return NULL;
		}
		trace("registry", "%s: %s", d->digest.text, ignored.text);
	}
	return NULL; // *e still says what the registry said
}

struct stream *registry_blob_open(struct registry *r, const char *repository,
				  const struct descriptor *d, uint64_t offset, struct err *e)
{
	char *url = blob_url(r, repository, &d->digest, e);

	if (!url)
		return NULL;
	struct stream *s = download(r, repository, url, offset, d->size, e);

	if (s || e->kind != ERR_NOT_FOUND)
		return s;
	int http = e->http;

	err_set(e, ERR_NOT_FOUND, "unknown blob");
	e->http = http;
	return open_foreign(r, d, offset, e);
}

// --- mount ---

int registry_blob_mount(struct registry *r, const char *repository, const struct descriptor *d,
			const char *from, bool *ret_mounted, struct err *e)
{
	if (r->cfg.skip_mount) {
		*ret_mounted = false;
		return 0;
	}
	auto_free char *url = registry_url(r, e, "%s/blobs/uploads/?mount=%s&from=%s", repository,
					   d->digest.text, from);

	if (!url)
		return -1;
	struct call call = {
		.method = "POST",
		.url = url,
		.repository = repository,
		.push = true,
		.mount_from = from,
		.flags = HTTP_SMALL,
	};
	auto_of(http_exchange_free) struct http_exchange *x = registry_send(r, &call, e);

	if (!x)
		return -1;
	const char *location = http_header(x, "Location");
	char *session = NULL;

	switch (http_status(x)) {
	case 201:
		*ret_mounted = true;
		http_drain(x);
		return 0;
	case 202:
		*ret_mounted = false;
		http_drain(x);
		if (location && registry_resolve(r, &session, http_url(x), location, e) < 0)
			return -1;
		if (session)
			upload_keep(r, repository, &d->digest, session);
		return 0;
	default:
		return registry_failed(r, repository, x, e);
	}
}
