// SPDX-License-Identifier: Apache-2.0
// One request and its answer: what the connection, which knows HTTP and no registry, and a service,
// which knows registries and no sockets, hand each other.
//
// An exchange is used by one thread at a time: the event thread that owns its connection, or the
// worker that runs one of the service's functions for it. Text in `struct request` borrows from the
// connection's head buffer and stays valid until the exchange is over.
#ifndef SERVE_EXCHANGE_H
#define SERVE_EXCHANGE_H

#include "store/file.h"
#include "util/str.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	REQUEST_HEAD_MAX = 16 * 1024,
	REQUEST_TARGET_MAX = 8 * 1024,
	REQUEST_HEADERS_MAX = 64,
};

enum request_method {
	METHOD_GET,
	METHOD_HEAD,
	METHOD_POST,
	METHOD_PUT,
	METHOD_PATCH,
	METHOD_DELETE,
	METHOD_OTHER
};

struct request_header {
	struct str name, value; // blanks around the value are gone
};

struct request {
	enum request_method method;
	struct str method_text;
	struct str path, query; // as they came, not decoded; query.p is NULL without a '?'
	struct request_header headers[REQUEST_HEADERS_MAX];
	unsigned nheaders;
	bool http10, keep_alive, expect_continue;
	bool has_length, chunked; // at most one of them
	uint64_t length;          // of the body, if has_length
	const char *peer;         // address of the client, without its port
	bool tls;
};

// The value of the first header NAME (any case); p is NULL when there is none.
struct str request_header(const struct request *r, const char *name);
// The next one at or after *at (start with 0), which moves behind it.
struct str request_header_next(const struct request *r, const char *name, unsigned *at);

// A piece of the answer's body: text, or part of the reply's file.
struct reply_piece {
	char *text; // owned; NULL: the bytes come from the file
	uint64_t offset, length;
};

enum { REPLY_PIECES_MAX = 2 * 64 + 2 };

struct reply {
	int status;         // 0: none yet
	struct buf headers; // whole lines with CRLF; the connection adds those that every answer
			    // has: Content-Length, Connection, the API version, nosniff
	struct buf body;    // sent when there are no pieces
	struct reply_piece *pieces;
	unsigned npieces;
	struct store_file file;
	uint64_t length; // of a HEAD's imagined body; else the connection counts
	bool close;      // after this answer
};

void reply_header(struct reply *r, const char *name, const char *fmt, ...) printf_like(3, 4);
void reply_add_text(struct reply *r, char *text, size_t n); // takes ownership
void reply_add_file(struct reply *r, uint64_t offset, uint64_t length);
void reply_init(struct reply *r);
// Back to "none yet"; closes the file.
void reply_clear(struct reply *r);

struct exchange {
	struct request request;
	struct reply reply;
	void *state;            // the service's; freed by its `done`
	uint64_t body_received; // bytes of the request's body so far
	uint64_t body_sent;     // of the answer's
	uint64_t started_us;
};

enum exchange_next {
	NEXT_REPLY,    // the reply is complete; what is left of the request's body is not wanted
	NEXT_BODY,     // the body is wanted: `body` for each piece, then `end`
	NEXT_PASSWORD, // call `begin` again on a thread where a slow password check is welcome
};

// What a server serves. All but `quick` may block and run on workers, one at a time for each
// exchange; ARG is theirs to lock.
struct service {
	void *arg;
	// On the event thread, so it must not wait for a disk or a lock that is held for long.
	// True: the reply is complete. May be NULL.
	bool (*quick)(void *arg, struct exchange *x);
	enum exchange_next (*begin)(void *arg, struct exchange *x);
	// -1: the reply is set, and the rest of the body not wanted.
	int (*body)(void *arg, struct exchange *x, const void *data, size_t n);
	// The body is complete: sets the reply.
	void (*end)(void *arg, struct exchange *x);
	// The client went away, or sent nonsense, before its body was complete. No reply is wanted.
	void (*broken)(void *arg, struct exchange *x);
	// The file of the reply cannot be read at OFFSET of its bytes (errno OS). True: reply.file
	// has been replaced by a good one with the same content, and sending goes on there.
	bool (*unreadable)(void *arg, struct exchange *x, uint64_t offset, int os);
	// The exchange is over. COMPLETE: all of the answer was sent. Frees x->state. On the event
	// thread or a worker; must not block.
	void (*done)(void *arg, struct exchange *x, bool complete);
};

#endif
