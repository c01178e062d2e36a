// SPDX-License-Identifier: Apache-2.0
// Distribution-spec client for one registry: authentication, manifests, blobs, uploads, mounts.
//
// Spec: OCI distribution-spec v1.1; Docker token authentication. Manifests go by small exchanges,
// blobs by the download loop and the upload session loop (the third loop of net/retry.h).
// Error bodies {"errors":[{code,message,detail}]} are printed as the reference prints them:
// "<code in lower case>: <message>". Thread-safe.
#ifndef REGISTRY_REGISTRY_H
#define REGISTRY_REGISTRY_H

#include "image/manifest.h"
#include "net/credentials.h"
#include "net/http.h"

struct registry;

struct registry_config {
	struct http *net;
	struct credentials *credentials;
	struct slab_pool *pool;
	struct cancel *cancel;
	bool insecure;          // https first, then http on the same host:port
	bool skip_verification; // manifests and blobs are not compared with their digests
	bool skip_mount, skip_multiple_scopes;
	int max_per_registry;  // 0: adaptive
	const char *state_dir; // upload sessions of interrupted runs are kept here, 0600; NULL: not
			       // kept
	int64_t now;           // unix time, for Retry-After dates and token life times
};

// HOST is what the user wrote ("quay.io", "docker.io", "127.0.0.1:5000"); no request is sent yet.
struct registry *registry_new(const char *host, const struct registry_config *cfg);
void registry_free(struct registry *r);
DEFINE_AUTO(registry_free, struct registry)
const char *registry_host(const struct registry *r);
struct limiter *registry_limiter(struct registry *r);

// GET /v2/ once: scheme, challenge, and whether anything distribution-like answers. Later calls,
// and every request, share the answer. `endpoint "<url>" does not support v2 API (got <status>)`.
int registry_ping(struct registry *r, struct err *e) must_check;
// Ping, then with WRITE also fetch credentials for pushing to REPOSITORY, so that a wrong password
// is known before the first byte moves.
int registry_probe(struct registry *r, const char *repository, bool write, struct err *e)
	must_check;

// REF is a tag or a digest text. Bytes are verified against a digest REF (and Docker-Content-Digest
// for tags, when it is sent). *ret_type is owned by the caller, NULL when there was no header.
int registry_manifest_get(struct registry *r, const char *repository, const char *ref,
			  struct buf *ret, char **ret_type, struct digest *ret_digest,
			  struct err *e) must_check;
// HEAD, with GET as the fallback where HEAD answers no digest.
int registry_manifest_head(struct registry *r, const char *repository, const char *ref,
			   struct digest *ret_digest, char ret_type[128], uint64_t *ret_size,
			   struct err *e) must_check;
// REF is a tag or the digest's text. A different Docker-Content-Digest in the answer is ERR_DIGEST;
// none is accepted.
int registry_manifest_put(struct registry *r, const char *repository, const char *ref,
			  const char *media_type, struct str bytes, const struct digest *digest,
			  struct err *e) must_check;
int registry_blob_head(struct registry *r, const char *repository, const struct digest *d,
		       uint64_t *ret_size, struct err *e) must_check;
// Falls back to D's urls (anonymous) when the registry answers 404. The stream is not verified.
struct stream *registry_blob_open(struct registry *r, const char *repository,
				  const struct descriptor *d, uint64_t offset, struct err *e)
	must_check;
// POST, then PUT with the bytes. After a break it asks the destination for its offset, goes back to
// the newest hash checkpoint at or below it, opens the source there again and sends the rest. The
// last slab waits until the digest is right, so that a bad source never commits.
int registry_blob_put(struct registry *r, const char *repository, const struct descriptor *d,
		      const struct opener *src, struct err *e) must_check;
// 201: *ret_mounted. 202: false, and the session is kept for the put of the same blob.
int registry_blob_mount(struct registry *r, const char *repository, const struct descriptor *d,
			const char *from, bool *ret_mounted, struct err *e) must_check;
// All pages. ERR_NOT_FOUND for an unknown repository.
int registry_tags(struct registry *r, const char *repository, struct strlist *ret, struct err *e)
	must_check;
// The registry answers NAME_UNKNOWN for REPOSITORY, so that nothing of it has to be asked for. Asks
// once (one request for the tag list), and stays true for the run: whoever pushes knows what it
// pushed.
bool registry_repository_fresh(struct registry *r, const char *repository);

#endif
