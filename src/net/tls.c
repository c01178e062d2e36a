// SPDX-License-Identifier: Apache-2.0
// Trust stores and the verification of peers, by OpenSSL.
#include "net/tls.h"

#include "net/words.h"
#include "util/fs.h"
#include "util/map.h"
#include "util/mem.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum {
	BUNDLE_MAX = 8 << 20,
	DIR_FILES_MAX = 4096,
	HOSTS_MAX = 4096, // redirects bring hosts that we did not choose
};

struct tls_host {
	X509_STORE *store;
	X509 *certificate; // client certificate, its chain and key; or NULL
	STACK_OF(X509) * chain;
	EVP_PKEY *key;
};

struct tls {
	const struct http_config *cfg;
	STACK_OF(X509) * added; // of --certificate-authority
	pthread_mutex_t lock;   // guards what follows
	struct tls_host common; // for hosts without a folder of their own
	struct map hosts;       // "host:port" → struct tls_host
};

static void host_release(struct tls_host *h)
{
	X509_STORE_free(h->store);
	X509_free(h->certificate);
	sk_X509_pop_free(h->chain, X509_free);
	EVP_PKEY_free(h->key);
	*h = (struct tls_host){0};
}

// Certificates of a PEM text go to the end of LIST; returns how many.
static int parse_certificates(STACK_OF(X509) * list, struct str pem)
{
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	X509 *x;
	int n = 0;

	while ((x = PEM_read_bio_X509_AUX(bio, NULL, NULL, (void *)""))) {
		sk_X509_push(list, x);
		n++;
	}
	ERR_clear_error(); // the end of the text counts as an error
	BIO_free(bio);
	return n;
}

static int load_certificates(STACK_OF(X509) * list, const char *path, struct err *e)
{
	auto_buf struct buf pem = BUF_INIT(BUNDLE_MAX);

	if (fs_read_file(&pem, path, e) < 0) {
		if (e->os)
			return err_set(e, ERR_INPUT, "open %s: %s", path, words_for_errno(e->os));
		return -1;
	}
	if (parse_certificates(list, buf_str(&pem)) == 0)
		return err_set(e, ERR_INPUT, "'%s' holds no certificate in PEM form", path);
	return 0;
}

int tls_new(struct tls **ret, const struct http_config *cfg, struct err *e)
{
	auto_of(tls_free) struct tls *t = xcalloc(1, sizeof(*t));

	pthread_mutex_init(&t->lock, NULL);
	t->cfg = cfg;
	t->added = sk_X509_new_null();
	if (cfg->ca_file && load_certificates(t->added, cfg->ca_file, e) < 0)
		return err_wrap(e, "failed to read registry ca bundle");
	*ret = steal(&t);
	return 0;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	sk_X509_pop_free(t->added, X509_free);
	host_release(&t->common);
	for (size_t i = 0; i < t->hosts.n; i++) {
		struct tls_host *h = t->hosts.entries[i].ptr;

		if (h && h != &t->common) {
			host_release(h);
			free(h);
		}
	}
	map_release(&t->hosts);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static void trust(X509_STORE *store, const STACK_OF(X509) * list)
{
	for (int i = 0; i < sk_X509_num(list); i++)
		X509_STORE_add_cert(store, sk_X509_value(list, i));
}

// Every file of a folder, whatever its name: Go reads them so, and few folders are rehashed.
static void load_folder(STACK_OF(X509) * list, const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	struct err ignored;

	for (int n = 0; d && n < DIR_FILES_MAX && (entry = readdir(d)); n++) {
		auto_free char *path = path_join(dir, entry->d_name);

		if (entry->d_name[0] != '.' && load_certificates(list, path, &ignored) < 0)
			continue; // what is no certificate is not meant
	}
	if (d)
		closedir(d);
}

static void load_folders(STACK_OF(X509) * list, const char *dirs)
{
	struct str rest = str_of(dirs);

	while (rest.n > 0) {
		struct str one = str_cut(&rest, ':');
		auto_free char *dir = xstrndup(one.p ? one.p : "", one.n);

		load_folder(list, dir);
	}
}

static void load_system_file(STACK_OF(X509) * list, const struct http_config *cfg)
{
	static const char *const places[] = {
		"/etc/ssl/certs/ca-certificates.crt", // Debian
		"/etc/pki/tls/certs/ca-bundle.crt",   // Fedora, RHEL
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
		"/etc/ssl/ca-bundle.pem", // SUSE
		"/etc/ssl/cert.pem",
	};
	struct err ignored;

	if (cfg->system_ca_file) {
		if (load_certificates(list, cfg->system_ca_file, &ignored) < 0)
			return; // as in Go: no roots, no trust
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (load_certificates(list, places[i], &ignored) == 0)
			return;
}

// System roots and the added bundle. Parsing the roots takes some 15 ms, so only on demand.
static X509_STORE *base_store(const struct tls *t)
{
	STACK_OF(X509) *roots = sk_X509_new_null();
	X509_STORE *store = X509_STORE_new();

	load_system_file(roots, t->cfg);
	if (t->cfg->system_ca_dir)
		load_folders(roots, t->cfg->system_ca_dir);
	else // by hash, on demand
		X509_LOOKUP_add_dir(X509_STORE_add_lookup(store, X509_LOOKUP_hash_dir()),
				    X509_get_default_cert_dir(), X509_FILETYPE_PEM);
	trust(store, roots);
	trust(store, t->added);
	sk_X509_pop_free(roots, X509_free);
	// As in Go, what is trusted need not be a root: an intermediate or the certificate itself
	// do.
	X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
	ERR_clear_error();
	return store;
}

static int load_key(struct tls_host *h, const char *path, struct err *e)
{
	auto_buf struct buf pem = BUF_INIT(BUNDLE_MAX);

	if (fs_read_file(&pem, path, e) < 0)
		return -1;
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);

	EVP_PKEY_free(h->key);
	h->key = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)""); // never asks for a password
	BIO_free(bio);
	OPENSSL_cleanse(pem.p, pem.n);
	ERR_clear_error();
	if (!h->key)
		return err_set(e, ERR_INPUT, "'%s' holds no usable private key in PEM form", path);
	return 0;
}

// NAME.cert and the NAME.key beside it.
static int load_client(struct tls_host *h, const char *dir, const char *name, struct err *e)
{
	auto_free char *cert = path_join(dir, name);
	auto_free char *key = xasprintf("%.*s.key", (int)(strlen(cert) - strlen(".cert")), cert);

	if (!fs_exists(key))
		return err_set(e, ERR_INPUT, "missing key '%s' for client certificate '%s'", key,
			       cert);
	sk_X509_pop_free(h->chain, X509_free);
	h->chain = sk_X509_new_null();
	if (load_certificates(h->chain, cert, e) < 0 || load_key(h, key, e) < 0)
		return -1;
	X509_free(h->certificate);
	h->certificate = sk_X509_shift(h->chain);
	return 0;
}

struct found {
	STACK_OF(X509) * authorities;
	bool any;
};

static int load_one(struct tls_host *h, struct found *found, const char *dir, const char *name,
		    struct err *e)
{
	if (ends_with(name, ".crt")) {
		auto_free char *path = path_join(dir, name);

		found->any = true;
		return load_certificates(found->authorities, path, e);
	}
	if (ends_with(name, ".cert")) {
		found->any = true;
		return load_client(h, dir, name, e);
	}
	return 0;
}

static int load_host_folder(struct tls_host *h, struct found *found, const char *dir, struct err *e)
{
	struct dirent **names;
	int n = scandir(dir, &names, NULL, alphasort), rc = 0;

	for (int i = 0; i < n; i++) {
		if (rc == 0 && i < DIR_FILES_MAX)
			rc = load_one(h, found, dir, names[i]->d_name, e);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return rc;
}

// DIR/HOST:PORT; for the scheme's own port DIR/HOST too, which is how people name it.
static int load_host_folders(const struct tls *t, struct tls_host *h, struct found *found,
			     const char *host, const char *port, struct err *e)
{
	const char *open = strchr(host, ':') ? "[" : "", *close = *open ? "]" : "";

	for (const char *const *dir = t->cfg->certs_dirs; dir && *dir; dir++) {
		auto_free char *with_port =
			xasprintf("%s/%s%s%s:%s", *dir, open, host, close, port);
		auto_free char *without = xasprintf("%s/%s%s%s", *dir, open, host, close);

		if (load_host_folder(h, found, with_port, e) < 0)
			return -1;
		if (strcmp(port, "443") == 0 && load_host_folder(h, found, without, e) < 0)
			return -1;
	}
	return 0;
}

static void share_common(struct tls *t, struct tls_host *h, const STACK_OF(X509) * extra)
{
	if (sk_X509_num(extra) == 0) {
		X509_STORE_up_ref(t->common.store);
		h->store = t->common.store;
		return;
	}
	h->store = base_store(t);
	trust(h->store, extra);
}

static struct tls_host *load_host(struct tls *t, const char *host, const char *port, struct err *e)
{
	struct found found = {.authorities = sk_X509_new_null()};
	struct tls_host *h = xcalloc(1, sizeof(*h));
	int rc = strchr(host, '/') || host[0] == '.' // no way out of the folder
			 ? 0
			 : load_host_folders(t, h, &found, host, port, e);

	if (!t->common.store)
		t->common.store = base_store(t);
	if (rc == 0 && found.any)
		share_common(t, h, found.authorities);
	sk_X509_pop_free(found.authorities, X509_free);
	if (rc < 0 || !found.any) {
		host_release(h);
		free(h);
		return rc < 0 ? NULL : &t->common;
	}
	return h;
}

const struct tls_host *tls_for(struct tls *t, const char *host, const char *port, struct err *e)
{
	auto_free char *key = xasprintf("%s:%s", host, port);

	pthread_mutex_lock(&t->lock);
	struct tls_host *h = map_get(&t->hosts, key);

	if (!h && t->hosts.n >= HOSTS_MAX)
		err_set(e, ERR_INPUT, "more than %d hosts in one run", HOSTS_MAX);
	else if (!h && (h = load_host(t, host, port, e)))
		map_set(&t->hosts, key, h);
	pthread_mutex_unlock(&t->lock);
	return h;
}

// The names a certificate is valid for, as Go lists them.
static void list_names(struct buf *out, const GENERAL_NAMES *names)
{
	int shown = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names) && shown < 5; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		char text[64];

		if (name->type == GEN_DNS && ASN1_STRING_length(name->d.dNSName) < 128) {
			buf_printf(out, "%s%.*s", shown++ ? ", " : "",
				   ASN1_STRING_length(name->d.dNSName),
				   (const char *)ASN1_STRING_get0_data(name->d.dNSName));
		} else if (name->type == GEN_IPADD) {
			const unsigned char *p = ASN1_STRING_get0_data(name->d.iPAddress);
			bool v4 = ASN1_STRING_length(name->d.iPAddress) == 4;

			if (!v4 && ASN1_STRING_length(name->d.iPAddress) != 16)
				continue;
			if (inet_ntop(v4 ? AF_INET : AF_INET6, p, text, sizeof(text)))
				buf_printf(out, "%s%s", shown++ ? ", " : "", text);
		}
	}
}

// A certificate may hold any bytes; a message may not.
static void printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

static bool valid_for(X509 *leaf, const char *name)
{
	unsigned char address[16];

	if (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1)
		return X509_check_ip_asc(leaf, name, 0) == 1;
	return X509_check_host(leaf, name, 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 1;
}

static bool check_names(struct tls_peer *peer, X509 *leaf)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	auto_buf struct buf list = BUF_INIT(BUF_TEXT_MAX);

	if (names)
		list_names(&list, names);
	GENERAL_NAMES_free(names);
	if (list.n == 0) {
		snprintf(peer->problem, sizeof(peer->problem),
			 "certificate relies on legacy Common Name field, use SANs instead");
		snprintf(peer->remedy, sizeof(peer->remedy),
			 "cluster nodes refuse a certificate without subjectAltName; issue one for "
			 "%.200s",
			 peer->name);
		return false;
	}
	if (peer->via_tls_proxy || valid_for(leaf, peer->name))
		return true;
	snprintf(peer->problem, sizeof(peer->problem),
		 "certificate is valid for %.150s, not %.100s", list.p, peer->name);
	return false;
}

static void word_expiry(struct tls_peer *peer, X509 *cert)
{
	struct tm from = {0}, to = {0};

	if (ASN1_TIME_to_tm(X509_get0_notBefore(cert), &from) != 1 ||
	    ASN1_TIME_to_tm(X509_get0_notAfter(cert), &to) != 1)
		return;
	snprintf(
		peer->remedy, sizeof(peer->remedy),
		"it is valid from %d-%02d-%02d to %d-%02d-%02d; check this machine's clock, or renew "
		"it",
		from.tm_year + 1900, from.tm_mon + 1, from.tm_mday, to.tm_year + 1900,
		to.tm_mon + 1, to.tm_mday);
}

static void word_problem(struct tls_peer *peer, X509_STORE_CTX *ctx)
{
	int why = X509_STORE_CTX_get_error(ctx);

	switch (why) {
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		snprintf(peer->problem, sizeof(peer->problem),
			 "certificate signed by unknown authority");
		snprintf(peer->remedy, sizeof(peer->remedy),
			 "give the authority of %.150s with --certificate-authority FILE",
			 peer->name);
		return;
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		snprintf(peer->problem, sizeof(peer->problem),
			 "certificate has expired or is not yet valid");
		word_expiry(peer, X509_STORE_CTX_get_current_cert(ctx));
		return;
	default:
		snprintf(peer->problem, sizeof(peer->problem), "%s",
			 X509_verify_cert_error_string(why));
	}
}

static int verify(X509_STORE_CTX *ctx, void *arg)
{
	struct tls_peer *peer = arg;

	peer->problem[0] = peer->remedy[0] = '\0';
	if (X509_verify_cert(ctx) != 1) {
		word_problem(peer, ctx);
		printable(peer->problem);
		return 0;
	}
	if (!check_names(peer, X509_STORE_CTX_get0_cert(ctx))) {
		printable(peer->problem);
		X509_STORE_CTX_set_error(ctx, X509_V_ERR_HOSTNAME_MISMATCH);
		return 0;
	}
	return 1;
}

CURLcode tls_configure(CURL *easy, void *ssl_ctx, void *arg)
{
	SSL_CTX *ctx = ssl_ctx;
	struct tls_peer *peer = arg;
	const struct tls_host *h = peer->host;

	(void)easy;
	SSL_CTX_set1_cert_store(ctx, h->store);
	if (!peer->insecure)
		SSL_CTX_set_cert_verify_callback(ctx, verify, peer);
	if (h->certificate && !peer->via_tls_proxy &&
	    SSL_CTX_use_cert_and_key(ctx, h->certificate, h->key, h->chain, 1) != 1)
		return CURLE_SSL_CERTPROBLEM;
	return CURLE_OK;
}
