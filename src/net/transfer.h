// SPDX-License-Identifier: Apache-2.0
// One attempt at one request: a curl easy handle between a loop thread and the thread that waits.
//
// Nothing is repeated here but a start on a fresh connection, on demand (transfer_relaunch). The
// caller's half is started with transfer_start and ended with transfer_drop; the loop's half calls
// the functions at the end of this header. Reference-counted: caller, loop and each queued command.
#ifndef NET_TRANSFER_H
#define NET_TRANSFER_H

#include "net/client.h"
#include "net/head.h"
#include "net/loop.h"
#include "util/slab.h"

#include <netinet/in.h>
#include <stdatomic.h>

struct transfer_spec {
	const char *method, *url;
	const char *const *headers; // NULL-terminated, or NULL
	const char *authorization;  // value, or NULL
	bool anonymous;             // Authorization and Cookie among HEADERS are left out
	const void *body;
	size_t body_len;
	bool streamed;
	uint64_t body_size;
	bool small; // the answer goes to one buffer, at most SMALL_MAX bytes; HTTP/2 is fine
	unsigned timeout_seconds;
};

enum {
	SMALL_MAX = 1 << 20,
	SLABS_QUEUED_MAX = 4, // each way
};

enum transfer_phase { TRANSFER_RUNNING, TRANSFER_HEAD, TRANSFER_DONE };
enum transfer_want { WANT_NOTHING, WANT_HEAD, WANT_DONE, WANT_BODY, WANT_ROOM };

struct slab_queue {
	struct slab *first, **last;
	unsigned n;
};

struct transfer {
	atomic_int refs;

	// Constant while the loop has it.
	struct http *net;
	struct loop *loop;
	char *method, *url, *host, *origin, *proxy;
	struct curl_slist *headers;
	bool small, streamed, fresh, https;
	uint64_t body_size;
	unsigned timeout_seconds;
	void *body;
	size_t body_len;

	// The loop's own.
	CURL *easy;
	struct transfer *prev, *next; // of all that the loop drives
	struct transfer *next_touched;
	bool listed, touched, ended, dropped;
	bool refused; // by us; error says why
	bool starved; // paused for want of a slab
	bool draining;
	size_t drained;
	uint64_t last_us, head_deadline_us, drain_deadline_us; // 0: none
	struct tls_peer peer;
	char peer_address[INET6_ADDRSTRLEN + 10]; // that we tried to connect to last
	char curl_text[CURL_ERROR_SIZE];

	// Guarded by the lock of the loop.
	unsigned commands;
	struct transfer *next_command;

	pthread_mutex_t lock; // guards what follows
	pthread_cond_t changed;
	enum transfer_want want;
	enum transfer_phase phase;
	struct head head;      // the loop's until phase is TRANSFER_HEAD, read-only then
	struct slab_queue in;  // received, full ones
	struct slab *filling;  // received, not full yet
	struct buf small_body; // instead of slabs
	struct slab_queue out; // to be sent
	bool out_ended;
	bool read_paused, send_paused;
	uint64_t sent;    // body bytes that curl has taken
	uint64_t written; // body bytes that the caller has brought

	// How it ended; valid once phase is TRANSFER_DONE.
	bool failed;
	struct err error;
	bool stale;     // died on a reused connection before the first response byte
	bool too_large; // for a small answer
	bool pushback;  // the server refused the stream or the connection (HTTP/2)
	bool http2;
};

// ERR_INPUT for what cannot be sent at all; what happens on the wire is told by transfer_wait.
struct transfer *transfer_start(struct http *net, const struct transfer_spec *spec, struct err *e)
	must_check;
// The same again on a fresh connection; it must be done, none of its body sent.
int transfer_relaunch(struct transfer *t, struct err *e) must_check;
void transfer_drop(struct transfer *t); // NULL is fine

// Waits for the response head (WANT_HEAD) or the end (WANT_DONE). -1 when it failed before.
int transfer_wait(struct transfer *t, enum transfer_want want, struct err *e) must_check;
bool transfer_done(struct transfer *t);
struct slab *transfer_read(struct transfer *t, struct err *e) must_check;
// Takes ownership of SLAB, also on failure.
int transfer_write(struct transfer *t, struct slab *slab, struct err *e) must_check;
int transfer_end_body(struct transfer *t, struct err *e) must_check;

// For the loop. --------------------------------------------------------------------------------

void transfer_ref(struct transfer *t);
void transfer_unref(struct transfer *t);
CURL *transfer_make_easy(struct transfer *t); // configured, private pointer set
CURLcode transfer_resume(struct transfer *t, unsigned commands);
// May it stay in the background until its answer is through, so that the connection can be used
// again? Then it drains.
bool transfer_drain(struct transfer *t);
// No byte for too long, or no head in time: records why and returns true.
bool transfer_overdue(struct transfer *t, uint64_t now_us);
// It ended with CODE: words the failure. The easy handle is still alive.
void transfer_conclude(struct transfer *t, CURLcode code);
// Tells the waiting thread what this pass has brought.
void transfer_settle(struct transfer *t);

#endif
