// SPDX-License-Identifier: Apache-2.0
// What went wrong on the wire, in the words that users know from Go's net/http.
#ifndef NET_WORDS_H
#define NET_WORDS_H

#include "util/err.h"

#include <curl/curl.h>
#include <stdbool.h>

// What is known about a transfer that failed.
struct wire_fault {
	CURLcode code;
	const char *curl_text; // curl's own sentence, may be empty
	int os;                // errno of the last socket call, or 0
	const char *method, *url;
	const char *host;        // of the URL
	const char *origin;      // host:port, for hints
	const char *peer;        // address:port that was connected to last, or ""
	const char *local;       // our address:port, or ""
	const char *proxy;       // URL of the proxy, or NULL
	const char *certificate; // what the verification found, or ""
	const char *remedy;      // against that, or ""
	long connect_status;     // of a CONNECT that the proxy refused, or 0
	bool first_contact;      // the host has never answered anything
};

// Puts `Get "https://h/v2/": ` before the message in *e; the URL is shown without its query.
void words_for_request(struct err *e, const char *method, const char *url);
// Fills *e (ERR_NET) from F, with a hint where the remedy is known.
void words_for_fault(struct err *e, const struct wire_fault *f);
// strerror in Go's spelling: "connection refused". The text lives until the thread's next call.
const char *words_for_errno(int os);
// "Service Unavailable"; "" for unknown ones.
const char *words_for_status(int status);

#endif
