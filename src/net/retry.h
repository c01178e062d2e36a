// SPDX-License-Identifier: Apache-2.0
// The one retry policy. Three loops use it and own a position each: the exchange (until headers),
// the download (byte), the upload session (the destination's offset). Nothing else repeats a
// request.
//
// Pure: no clock, no sleep. Waits grow 0.5 s, 1 s, 2 s, … 30 s with jitter; Retry-After (seconds or
// date, at most 5 minutes) wins over them.
//
// Repeated are failures of kind ERR_NET: those of the transport (err.http is 0) and those with a
// status that retry_status() names. err.os == RETRY_NEVER marks one that waiting does not cure: a
// certificate that is not trusted, a host that is unknown or refuses on the very first contact.
#ifndef NET_RETRY_H
#define NET_RETRY_H

#include "util/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { RETRY_NEVER = -1 };

struct retry {
	unsigned left;    // attempts that may still follow
	unsigned budget;  // what `left` is refilled to on progress
	unsigned wait_ms; // before the next one
	uint64_t random;
};

void retry_init(struct retry *r, unsigned budget, uint64_t seed);
// May this failure be repeated? Decides, counts, and sets r->wait_ms. RETRY_AFTER_MS 0: none was
// sent.
bool retry_next(struct retry *r, const struct err *why, uint64_t retry_after_ms);
void retry_progress(struct retry *r); // something came through: the budget is full again
bool retry_status(int http_status);   // 408, 429, 500, 502, 503, 504
// A Retry-After value in milliseconds; NOW is unix time. 0 when absent or nonsense.
uint64_t retry_after(const char *value, int64_t now);
// An IMF-fixdate ("Sun, 06 Nov 1994 08:49:37 GMT") as unix time; false when TEXT is something else.
bool retry_http_date(const char *text, int64_t *ret);
// Waits, or returns ERR_CANCELLED when C fires first.
struct cancel;
int retry_wait(const struct retry *r, struct cancel *c, struct err *e) must_check;

#endif
