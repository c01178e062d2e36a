// SPDX-License-Identifier: Apache-2.0
// Manifests: get, head, put. Bytes are verified and otherwise left alone.
#include "registry/client.h"

#include <string.h>

static char *manifest_url(struct registry *r, const char *repository, const char *ref,
			  struct err *e)
{
	return registry_url(r, e, "%s/manifests/%s", repository, ref);
}

static bool is_digest(const char *ref)
{
	return strchr(ref, ':') != NULL; // tags hold no colon
}

// The digest that the registry says its answer has. False when it says none that is readable.
static bool said_digest(const struct http_exchange *x, struct digest *ret)
{
	const char *said = http_header(x, "Docker-Content-Digest");
	struct err ignored;

	return said && digest_parse(ret, said, &ignored) == 0;
}

static int check_manifest(const struct digest *want, const struct digest *got, struct err *e)
{
	if (digest_equal(want, got))
		return 0;
	return err_set(
		e, ERR_DIGEST,
		"content integrity error: the manifest retrieved with digest %s does not match "
		"the digest calculated from the content %s",
		want->text, got->text);
}

// What BYTES must hash to: REF when it is a digest, what the registry says for a tag, else nothing.
static int verify(struct registry *r, const char *ref, const struct http_exchange *x,
		  struct str bytes, struct digest *ret, struct err *e)
{
	struct digest want;
	bool known = false;

	if (is_digest(ref)) {
		if (digest_parse(&want, ref, e) < 0)
			return -1;
		known = true;
	} else {
		known = said_digest(x, &want);
	}
	digest_of(ret, known ? want.algo : DIGEST_SHA256, bytes.p, bytes.n);
	if (!known || r->cfg.skip_verification)
		return 0;
	return check_manifest(&want, ret, e);
}

int registry_manifest_get(struct registry *r, const char *repository, const char *ref,
			  struct buf *ret, char **ret_type, struct digest *ret_digest,
			  struct err *e)
{
	static const char *const headers[] = {"Accept: " MANIFEST_ACCEPT, NULL};
	auto_free char *url = manifest_url(r, repository, ref, e);
	auto_buf struct buf body = BUF_INIT(MANIFEST_MAX);

	if (!url)
		return -1;
	struct call call = {
		.method = "GET",
		.url = url,
		.repository = repository,
		.headers = headers,
		.flags = HTTP_SMALL,
	};
	auto_of(http_exchange_free) struct http_exchange *x = registry_send(r, &call, e);

	if (!x)
		return -1;
	if (http_status(x) != 200)
		return registry_failed(r, repository, x, e);
	if (http_read_all(x, &body, e) < 0)
		return err_wrap(e, "manifest %s", ref);
	struct digest digest;

	if (verify(r, ref, x, buf_str(&body), &digest, e) < 0)
		return -1;
	buf_clear(ret);
	if (buf_add(ret, body.p, body.n, e) < 0)
		return err_wrap(e, "manifest %s", ref);
	*ret_type = media_type_of(http_header(x, "Content-Type"));
	*ret_digest = digest;
	return 0;
}

static uint64_t content_length(const struct http_exchange *x)
{
	const char *text = http_header(x, "Content-Length");
	uint64_t size;

	return text && str_u64(str_trim(str_of(text)), UINT64_MAX, &size) ? size : 0;
}

static void copy_type(char ret[128], const char *content_type)
{
	auto_free char *type = media_type_of(content_type);
	size_t n = type ? strlen(type) : 0;

	// A type that is too long for any manifest is none.
	if (n >= 128)
		n = 0;
	memcpy(ret, n ? type : "", n);
	ret[n] = '\0';
}

static int head_by_get(struct registry *r, const char *repository, const char *ref,
		       struct digest *ret_digest, char ret_type[128], uint64_t *ret_size,
		       struct err *e)
{
	auto_buf struct buf body = BUF_INIT(MANIFEST_MAX);
	auto_free char *type = NULL;

	if (registry_manifest_get(r, repository, ref, &body, &type, ret_digest, e) < 0)
		return -1;
	copy_type(ret_type, type);
	*ret_size = body.n;
	return 0;
}

int registry_manifest_head(struct registry *r, const char *repository, const char *ref,
			   struct digest *ret_digest, char ret_type[128], uint64_t *ret_size,
			   struct err *e)
{
	static const char *const headers[] = {"Accept: " MANIFEST_ACCEPT, NULL};
	auto_free char *url = manifest_url(r, repository, ref, e);
	struct digest digest, asked;

	if (!url)
		return -1;
	struct call call = {
		.method = "HEAD",
		.url = url,
		.repository = repository,
		.headers = headers,
		.flags = HTTP_SMALL,
	};
	auto_of(http_exchange_free) struct http_exchange *x = registry_send(r, &call, e);

	if (!x)
		return -1;
	// An answer to HEAD has no words; these are the ones that GET would bring.
	if (http_status(x) == 404) {
		err_set(e, ERR_NOT_FOUND, "manifest unknown: manifest unknown");
		e->http = 404;
		return -1;
	}
	if (!http_success(http_status(x)) || !said_digest(x, &digest))
		return head_by_get(r, repository, ref, ret_digest, ret_type, ret_size, e);
	if (is_digest(ref)) {
		if (digest_parse(&asked, ref, e) < 0 || check_manifest(&asked, &digest, e) < 0)
			return -1;
	}
	*ret_digest = digest;
	copy_type(ret_type, http_header(x, "Content-Type"));
	*ret_size = content_length(x);
	return 0;
}

int registry_manifest_put(struct registry *r, const char *repository, const char *ref,
			  const char *media_type, struct str bytes, const struct digest *digest,
			  struct err *e)
{
	auto_free char *url = manifest_url(r, repository, ref, e);
	auto_free char *type = xasprintf("Content-Type: %s", media_type);
	const char *const headers[] = {type, NULL};
	struct digest stored;

	if (!url)
		return -1;
	struct call call = {
		.method = "PUT",
		.url = url,
		.repository = repository,
		.push = true,
		.headers = headers,
		.body = bytes.p,
		.body_len = bytes.n,
		.flags = bytes.n <= SLAB_SIZE ? HTTP_SMALL : 0,
	};
	auto_of(http_exchange_free) struct http_exchange *x = registry_send(r, &call, e);

	if (!x)
		return -1;
	if (!http_success(http_status(x)))
		return registry_failed(r, repository, x, e);
	if (said_digest(x, &stored) && stored.algo == digest->algo &&
	    !digest_equal(&stored, digest))
		return err_set(e, ERR_DIGEST, "registry %s stored manifest %s as %s", r->host,
			       digest->text, stored.text);
	http_drain(x);
	return 0;
}
