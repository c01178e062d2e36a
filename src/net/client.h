// SPDX-License-Identifier: Apache-2.0
// What the files of net/ share behind http.h.
#ifndef NET_CLIENT_H
#define NET_CLIENT_H

#include "net/http.h"
#include "net/loop.h"
#include "net/tls.h"
#include "util/cancel.h"
#include "util/map.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>

enum { LOOPS = 2 }; // hosts are spread over them: source and destination mostly meet different ones

enum { HTTP_RETRIES = 5 };

struct http {
	struct http_config cfg;
	struct tls *tls;
	CURLSH *share; // TLS sessions
	pthread_mutex_t share_lock;
	struct loop *loops[LOOPS];
	struct cancel_watch watch;
	atomic_uint_fast64_t seed; // next one for a retry's jitter

	pthread_mutex_t lock;
	struct map answered; // "host:port" that has answered something; guarded by lock
};

// Has ORIGIN ever answered? It decides whether a refused connection is a typo or a restart.
bool http_has_answered(struct http *net, const char *origin);
void http_note_answer(struct http *net, const char *origin);
uint64_t http_next_seed(struct http *net);

#endif
