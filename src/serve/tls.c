// SPDX-License-Identifier: Apache-2.0
// Contexts for TLS sessions, loaded from files and swapped under a lock.
#include "serve/tls.h"

#include "util/mem.h"

#include <openssl/err.h>
#include <pthread.h>
#include <string.h>

// The shorter key first, as most clients have it too: it is as safe and a little faster.
#define CIPHERS_13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define CIPHERS_12 "ECDHE+AESGCM+AES128:ECDHE+AESGCM:ECDHE+CHACHA20"

struct server_tls {
	char *certificate, *key;
	pthread_mutex_t lock; // guards what follows; sessions hold their own reference
	SSL_CTX *ctx;
};

static void ctx_freep(SSL_CTX **ctx)
{
	SSL_CTX_free(*ctx);
}
#define auto_ctx __attribute__((cleanup(ctx_freep)))

// Records why the last call failed, in OpenSSL's words without their numbers.
static int fail(struct err *e, const char *file)
{
	unsigned long first = ERR_peek_error();
	const char *reason = ERR_SYSTEM_ERROR(first)
				     ? strerror(ERR_GET_REASON(first))
				     : ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	return err_set(e, ERR_INPUT, "'%s': %s", file, reason ? reason : "cannot be used");
}

static int select_protocol(SSL *ssl, const unsigned char **ret, unsigned char *ret_n,
			   const unsigned char *offered, unsigned n, void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1";

	(void)ssl, (void)arg;
	// A client that offers h2 alone is told so, instead of getting what it cannot read.
	if (SSL_select_next_proto((unsigned char **)ret, ret_n, ours, sizeof(ours) - 1, offered,
				  n) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	return SSL_TLSEXT_ERR_OK;
}

// A key with a passphrase is an error, not a question on the terminal.
static int no_passphrase(char *text, int size, int writing, void *arg)
{
	(void)text, (void)size, (void)writing, (void)arg;
	return -1;
}

// A context with our parameters and no certificate.
static SSL_CTX *new_context(void)
{
	static const unsigned char session_context[] = "registry";
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (!ctx)
		return NULL;
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					 SSL_OP_CIPHER_SERVER_PREFERENCE |
					 SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF |
					 SSL_OP_ENABLE_KTLS);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ctx, 1);
	// Tickets keep the sessions at the clients; nothing is cached here.
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_alpn_select_cb(ctx, select_protocol, NULL);
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	if (!SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) ||
	    !SSL_CTX_set1_groups_list(ctx, "X25519:P-256") ||
	    !SSL_CTX_set_ciphersuites(ctx, CIPHERS_13) ||
	    !SSL_CTX_set_cipher_list(ctx, CIPHERS_12) ||
	    !SSL_CTX_set_session_id_context(ctx, session_context, sizeof(session_context) - 1)) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

static bool is_mismatch(void)
{
	unsigned long code = ERR_peek_last_error();

	return ERR_GET_LIB(code) == ERR_LIB_X509 &&
	       (ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH ||
		ERR_GET_REASON(code) == X509_R_KEY_TYPE_MISMATCH);
}

static int mismatch(const char *certificate, const char *key, struct err *e)
{
	ERR_clear_error();
	return err_set(e, ERR_INPUT, "'%s' and '%s': certificate and key do not belong together",
		       certificate, key);
}

static SSL_CTX *load(const char *certificate, const char *key, struct err *e)
{
	auto_ctx SSL_CTX *ctx = new_context();

	ERR_clear_error();
	if (!ctx)
		return fail(e, "TLS"), NULL;
	if (SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1)
		return fail(e, certificate), NULL;
	if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) {
		if (!is_mismatch())
			return fail(e, key), NULL;
		return mismatch(certificate, key, e), NULL;
	}
	// A key of another type than the certificate's passes until here.
	if (SSL_CTX_check_private_key(ctx) != 1)
		return mismatch(certificate, key, e), NULL;
	return steal(&ctx);
}

int server_tls_new(struct server_tls **ret, const char *certificate, const char *key, struct err *e)
{
	SSL_CTX *ctx = load(certificate, key, e);

	if (!ctx)
		return -1;
	struct server_tls *t = xcalloc(1, sizeof(*t));

	t->certificate = xstrdup(certificate);
	t->key = xstrdup(key);
	pthread_mutex_init(&t->lock, NULL);
	t->ctx = ctx;
	*ret = t;
	return 0;
}

void server_tls_free(struct server_tls *t)
{
	if (!t)
		return;
	SSL_CTX_free(t->ctx);
	pthread_mutex_destroy(&t->lock);
	free(t->certificate);
	free(t->key);
	free(t);
}

static void swap(struct server_tls *t, SSL_CTX *ctx)
{
	pthread_mutex_lock(&t->lock);
	SSL_CTX *old = t->ctx;

	t->ctx = ctx;
	pthread_mutex_unlock(&t->lock);
	SSL_CTX_free(old);
}

int server_tls_reload(struct server_tls *t, struct err *e)
{
	SSL_CTX *ctx = load(t->certificate, t->key, e);

	if (!ctx)
		return -1;
	swap(t, ctx);
	return 0;
}

static SSL_CTX *current(struct server_tls *t)
{
	pthread_mutex_lock(&t->lock);
	SSL_CTX *ctx = t->ctx;

	SSL_CTX_up_ref(ctx);
	pthread_mutex_unlock(&t->lock);
	return ctx;
}

void server_tls_rotate(struct server_tls *t)
{
	auto_ctx SSL_CTX *old = current(t), *ctx = new_context();
	STACK_OF(X509) *chain = NULL;

	if (ctx && SSL_CTX_get0_chain_certs(old, &chain) == 1 &&
	    SSL_CTX_use_cert_and_key(ctx, SSL_CTX_get0_certificate(old),
				     SSL_CTX_get0_privatekey(old), chain, 1) == 1)
		swap(t, steal(&ctx));
	ERR_clear_error();
}

bool server_tls_ends_within(struct server_tls *t, int days)
{
	auto_ctx SSL_CTX *ctx = current(t);
	ASN1_TIME *then = X509_time_adj_ex(NULL, days, 0, NULL);
	bool ends = then &&
		    ASN1_TIME_compare(X509_get0_notAfter(SSL_CTX_get0_certificate(ctx)), then) < 0;

	ASN1_TIME_free(then);
	return ends;
}

SSL *server_tls_session(struct server_tls *t, int fd)
{
	auto_ctx SSL_CTX *ctx = current(t);
	SSL *ssl = SSL_new(ctx);

	if (ssl && SSL_set_fd(ssl, fd) == 1) {
		SSL_set_accept_state(ssl);
		return ssl;
	}
	SSL_free(ssl);
	ERR_clear_error();
	return NULL;
}
