// SPDX-License-Identifier: Apache-2.0
// What the files of the API share: the registry, a call, and how errors are answered.
#ifndef SERVE_INTERNAL_H
#define SERVE_INTERNAL_H

#include "serve/api.h"
#include "serve/range.h"
#include "serve/route.h"
#include "store/file.h"
#include "store/upload.h"

#include <pthread.h>
#include <stdatomic.h>

struct roots; // roots.c: the stores, the first that has something wins
struct lists; // lists.c: the cached catalog

// What /healthz tells of.
enum trouble {
	TROUBLE_DISK = 1 << 0,  // the writable store has less room than its reserve
	TROUBLE_SWEEP = 1 << 1, // the writable store cannot be swept
	TROUBLE_USERS = 1 << 2, // the users' file cannot be read
};

struct api {
	struct api_config cfg; // with the defaults of its limits
	struct roots *roots;
	struct lists *lists;
	struct service service;
	_Atomic uint64_t manifest_bytes; // of manifests that are being pushed
	_Atomic uint64_t answer_bytes;   // of large answers that are in memory
	pthread_mutex_t document;        // held while a large document is parsed
	atomic_uint lists_reading;       // lists of referrers that read a lot
	atomic_uint forms_hashing;       // passwords of POST /token that are being checked
	atomic_uint trouble;             // enum trouble
	int64_t swept;                   // api_tick's own: unix time of the last; 0: none yet
	int64_t made_room;               // the same of uploads that were in the way
	unsigned told;                   // and the troubles that went to the log
};

// One request: x->state.
struct call {
	struct api *api;
	struct exchange *x;
	struct route route;
	struct query query;
	char user[AUTH_USER_MAX + 1]; // "" is anonymous

	// Which body is being read: set by the endpoint that answered NEXT_BODY.
	int (*body)(struct call *c, const void *data, size_t n);
	void (*end)(struct call *c);
	void (*broken)(struct call *c);
	struct store_upload *upload;
	uint64_t upload_start; // size before this request; a broken PATCH with Content-Range goes
			       // back
	bool cut_when_broken;
	bool drop_when_broken;     // nobody knows of the session but this request
	uint64_t upload_length;    // bytes that this request has to bring; UINT64_MAX: any
	struct digest wanted;      // what the upload is to become
	struct buf bytes;          // a manifest, a form; to be given its ceiling by who uses it
	uint64_t held;             // of api.manifest_bytes, by BYTES; given back with the call
	uint64_t answer_held;      // of api.answer_bytes, by the reply's body; the same
	struct digest file_digest; // of reply.file, for falling through to the next root
	int file_root;

	const struct route_row *row; // api.c: how the request is answered
	bool parsed;                 // `route` is set
	bool authorised;
	bool may_hash;
};

// A line for whoever runs the server; nothing from outside goes into it unchecked.
void api_notice(struct api *a, const char *fmt, ...) printf_like(2, 3);
// Is there room for BYTES more on the store's disk, above its reserve?
bool api_has_room(struct api *a, uint64_t bytes);

// The media type to hand a manifest out under: its mediaType member, else by its shape as
// manifest_parse tells it (a schema 1 with signatures is a signed one). What is no JSON object, or
// names a type that browsers would act upon, is application/octet-stream. Allocates nothing and
// reads no further than it must; the bytes may be anything.
enum { MEDIA_TYPE_MAX = 255 };
void manifest_media_type(struct str bytes, char ret[MEDIA_TYPE_MAX + 1]); // media_type.c

// ---- errors.c

// Answers {"errors":[{"code","message","detail"}]} and returns NEXT_REPLY. CODE is one of the
// spec's fourteen; FMT makes the message. Whatever was in the reply before is dropped: add headers
// (Retry-After, Allow) behind it.
enum exchange_next reply_error(struct call *c, int status, const char *code, const char *fmt, ...)
	printf_like(4, 5);
// The same with several entries: reply_error, then one call for each further one.
void reply_error_more(struct call *c, const char *code, const char *fmt, ...) printf_like(3, 4);
// For a failed store call: ERR_NOT_FOUND is CODE with 404, ERR_BUSY 416, ENOSPC 503 with
// Retry-After, EIO the same, all others 500 (the text goes to the log, not to the client).
enum exchange_next reply_failure(struct call *c, const char *not_found_code, const struct err *e);

// ---- roots.c: store first, then the roots. As store/file.h; *ret_root says who had it.

// Root 0 is the writable store if there is one. Troubles that a later root makes good are said
// through A.
struct roots *roots_new(struct api *a);
void roots_free(struct roots *r);
const char *roots_dir(const struct roots *r, int root);
int roots_blob(struct roots *r, const char *repo, const struct digest *d, enum store_patience p,
	       struct store_file *ret, int *ret_root, struct err *e) must_check;
int roots_manifest(struct roots *r, const char *repo, const char *ref, enum store_patience p,
		   struct buf *ret, struct digest *ret_digest, struct err *e) must_check;
// Root ROOT could not read D: it is not asked for D again for a while.
void roots_mark_bad(struct roots *r, int root, const char *repo, const struct digest *d);
bool roots_repository_exists(struct roots *r, const char *repo);
// Sorted, without repeats.
int roots_tags(struct roots *r, const char *repo, struct strlist *ret, struct err *e) must_check;
int roots_repositories(struct roots *r, struct strlist *ret, struct err *e) must_check;
int roots_referrers(struct roots *r, const char *repo, const struct digest *subject,
		    struct strlist *ret, struct err *e) must_check;

// ---- endpoints; authorised already. Each sets the reply, or a body function.

enum exchange_next pull_blob(struct call *c);            // GET, HEAD  (pull.c)
enum exchange_next pull_manifest(struct call *c);        // GET, HEAD
bool pull_quick(struct call *c, enum endpoint endpoint); // without waiting; false: not possible
enum exchange_next list_tags(struct call *c);            // lists.c
enum exchange_next list_catalog(struct call *c);
enum exchange_next list_referrers(struct call *c);
struct lists *lists_new(struct api *a);
void lists_free(struct lists *l);
enum exchange_next upload_start(struct call *c);  // POST …/uploads/  (push.c)
enum exchange_next upload_status(struct call *c); // GET, HEAD
enum exchange_next upload_patch(struct call *c);
enum exchange_next upload_finish(struct call *c); // PUT
enum exchange_next upload_cancel(struct call *c); // DELETE
enum exchange_next blob_delete(struct call *c);
// 503 when BYTES more would leave less than the disk's reserve. True: the reply is set.
bool push_disk_full(struct call *c, uint64_t bytes);
// For a failed removal: 405 for what is ELSEWHERE, in a read-only root; else as reply_failure.
enum exchange_next push_remove_failed(struct call *c, bool elsewhere, const char *code,
				      const struct err *e);
enum exchange_next manifest_put(struct call *c); // manifests.c
enum exchange_next manifest_delete(struct call *c);

#endif
