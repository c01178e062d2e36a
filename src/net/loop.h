// SPDX-License-Identifier: Apache-2.0
// A loop thread: owns one curl multi handle, with its connections, and drives the transfers.
//
// Other threads talk to it by posting commands on a transfer. All that a pass has changed is told
// to the waiting threads at its end, once each: headers and body of a small answer wake its caller
// one time.
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include "util/err.h"

#include <curl/curl.h>
#include <stdint.h>

struct http;
struct loop;
struct transfer;

enum loop_command {
	LOOP_ADD = 1 << 0,         // start it
	LOOP_RESUME_READ = 1 << 1, // its reader has made room
	LOOP_RESUME_SEND = 1 << 2, // its writer has brought bytes, or ended
	LOOP_DROP = 1 << 3,        // its caller has lost interest
};

struct loop *loop_new(struct http *net, struct err *e) must_check;
void loop_free(struct loop *l); // ends what is in flight; NULL is fine
void loop_post(struct loop *l, struct transfer *t, unsigned commands);
// Something that concerns all transfers has happened: cancellation, a slab that came back.
void loop_wake(void *loop);
void loop_slabs_back(void *loop);

// For transfer.c, on the loop's thread.
uint64_t loop_now_us(const struct loop *l);          // as of this pass
void loop_touch(struct loop *l, struct transfer *t); // settle it at the end of the pass

#endif
