// SPDX-License-Identifier: Apache-2.0
// Wording of transport failures.
#include "net/words.h"

#include "net/retry.h"
#include "net/url.h"
#include "util/cleanup.h"
#include "util/mem.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *words_for_errno(int os)
{
	static _Thread_local char text[128];

	snprintf(text, sizeof(text), "%s", strerror(os));
	text[0] = (char)tolower((unsigned char)text[0]);
	return text;
}

const char *words_for_status(int status)
{
	static const struct {
		int status;
		const char *text;
	} known[] = {
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{407, "Proxy Authentication Required"},
		{408, "Request Timeout"},
		{413, "Request Entity Too Large"},
		{416, "Requested Range Not Satisfiable"},
		{429, "Too Many Requests"},
		{500, "Internal Server Error"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (known[i].status == status)
			return known[i].text;
	return "";
}

void words_for_request(struct err *e, const char *method, const char *url)
{
	auto_free char *shown = url_without_query(url), *verb = xstrdup(method);

	for (char *c = verb; *c && c[1]; c++)
		c[1] = (char)tolower((unsigned char)c[1]);
	err_wrap(e, "%s \"%s\"", verb, shown);
}

static bool says(const struct wire_fault *f, const char *part)
{
	return strstr(f->curl_text, part) != NULL;
}

// Waiting does not cure what a host shows on the very first contact.
static void final_on_first_contact(struct err *e, const struct wire_fault *f)
{
	if (f->first_contact)
		e->os = RETRY_NEVER;
}

static void connecting(struct err *e, const struct wire_fault *f)
{
	const char *via = f->proxy ? "proxyconnect tcp: " : "";

	if (f->os)
		err_set(e, ERR_NET, "%sdial tcp %s: connect: %s", via, f->peer,
			words_for_errno(f->os));
	else
		err_set(e, ERR_NET, "%sdial tcp %s: %s", via, f->peer, f->curl_text);
	if (f->os == ECONNREFUSED)
		err_hint(e,
			 f->proxy ? "hint: check HTTP_PROXY and HTTPS_PROXY: nothing listens there"
				  : "hint: nothing listens there: check the host and the port");
	final_on_first_contact(e, f);
}

static void resolving(struct err *e, const struct wire_fault *f)
{
	if (f->code == CURLE_COULDNT_RESOLVE_PROXY) {
		err_set(e, ERR_NET,
			"proxyconnect tcp: dial tcp: lookup of the proxy: no such host");
		err_hint(e, "hint: check HTTP_PROXY and HTTPS_PROXY");
	} else {
		err_set(e, ERR_NET, "dial tcp: lookup %s: no such host", f->host);
		err_hint(e,
			 "hint: check the spelling of the name and this machine's DNS "
			 "(getent hosts %s)",
			 f->host);
	}
	final_on_first_contact(e, f);
}

static void handshaking(struct err *e, const struct wire_fault *f)
{
	if (f->certificate[0]) {
		err_set(e, ERR_NET, "tls: failed to verify certificate: x509: %s", f->certificate);
		e->os = RETRY_NEVER;
		if (f->remedy[0])
			err_hint(e, "hint: %s", f->remedy);
	} else if (says(f, "wrong version number") || says(f, "packet length too long")) {
		err_set(e, ERR_NET, "http: server gave HTTP response to HTTPS client");
		e->os = RETRY_NEVER;
		err_hint(e, "hint: %s speaks plain HTTP; --insecure allows that", f->origin);
	} else if (f->code == CURLE_PEER_FAILED_VERIFICATION) {
		err_set(e, ERR_NET, "tls: failed to verify certificate: %s", f->curl_text);
		e->os = RETRY_NEVER;
	} else {
		err_set(e, ERR_NET, "tls: %s",
			f->curl_text[0] ? f->curl_text : curl_easy_strerror(f->code));
		if (says(f, "alert") || says(f, "unsupported protocol"))
			e->os = RETRY_NEVER; // the server's decision, not the network's
	}
}

static void moving_bytes(struct err *e, const struct wire_fault *f)
{
	const char *verb = f->code == CURLE_SEND_ERROR ? "write" : "read";

	if (f->connect_status >= 300) {
		err_set(e, ERR_NET, "proxyconnect tcp: the proxy answered CONNECT with %ld %s",
			f->connect_status, words_for_status((int)f->connect_status));
		e->http = (int)f->connect_status;
	} else if (f->os && f->peer[0]) {
		err_set(e, ERR_NET, "%s tcp %s->%s: %s: %s", verb, f->local, f->peer, verb,
			words_for_errno(f->os));
	} else if (f->code == CURLE_SEND_FAIL_REWIND) {
		err_set(e, ERR_NET, "the server closed the connection while the body was sent");
	} else if (f->code == CURLE_GOT_NOTHING) {
		err_set(e, ERR_NET, "EOF");
	} else {
		err_set(e, ERR_NET, "%s",
			f->curl_text[0] ? f->curl_text : curl_easy_strerror(f->code));
	}
}

static void describe(struct err *e, const struct wire_fault *f)
{
	switch (f->code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		resolving(e, f);
		return;
	case CURLE_COULDNT_CONNECT:
		connecting(e, f);
		return;
	case CURLE_OPERATION_TIMEDOUT:
		err_set(e, ERR_NET, "dial tcp %s: i/o timeout", f->peer[0] ? f->peer : f->host);
		return;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
		handshaking(e, f);
		return;
	case CURLE_PARTIAL_FILE:
		err_set(e, ERR_NET, "unexpected EOF");
		return;
	default:
		moving_bytes(e, f);
	}
}

void words_for_fault(struct err *e, const struct wire_fault *f)
{
	describe(e, f);
	words_for_request(e, f->method, f->url);
}
