// SPDX-License-Identifier: Apache-2.0
// Certificates for tests, made on the spot and written to a folder that goes away.
#ifndef TESTS_UNIT_NET_FAKE_CERTS_H
#define TESTS_UNIT_NET_FAKE_CERTS_H

#include "util/fs.h"
#include "util/mem.h"

#include <assert.h>
#include <ftw.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>

struct fake_cert {
	X509 *cert;
	EVP_PKEY *key;
};

static inline void fake_cert_release(struct fake_cert *c)
{
	X509_free(c->cert);
	EVP_PKEY_free(c->key);
	*c = (struct fake_cert){0};
}

static inline void fake_extension(X509 *cert, int nid, const char *value)
{
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);

	assert(ext);
	X509_add_ext(cert, ext, -1);
	X509_EXTENSION_free(ext);
}

struct fake_cert_wish {
	const char *common_name;
	const char *names;              // subjectAltName: "IP:127.0.0.1,DNS:localhost"; NULL: none
	const struct fake_cert *issuer; // NULL: self-signed
	bool authority;
	long from_s, to_s; // seconds from now; both 0: an hour around
};

static inline struct fake_cert fake_cert_make(const struct fake_cert_wish *w)
{
	static long serial;
	struct fake_cert c = {X509_new(), EVP_EC_gen("P-256")};
	X509_NAME *name = X509_get_subject_name(c.cert);

	X509_set_version(c.cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(c.cert), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(c.cert), w->from_s || w->to_s ? w->from_s : -3600);
	X509_gmtime_adj(X509_getm_notAfter(c.cert), w->from_s || w->to_s ? w->to_s : 3600);
	X509_set_pubkey(c.cert, c.key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)w->common_name,
				   -1, -1, 0);
	X509_set_issuer_name(c.cert, w->issuer ? X509_get_subject_name(w->issuer->cert) : name);
	fake_extension(c.cert, NID_basic_constraints,
		       w->authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
	if (w->names)
		fake_extension(c.cert, NID_subject_alt_name, w->names);
	X509_sign(c.cert, w->issuer ? w->issuer->key : c.key, EVP_sha256());
	return c;
}

static inline SSL_CTX *fake_tls_server(const struct fake_cert *c)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	SSL_CTX_use_certificate(ctx, c->cert);
	SSL_CTX_use_PrivateKey(ctx, c->key);
	return ctx;
}

// Writes DIR/NAME; caller frees the path.
static inline char *fake_write_cert(const struct fake_cert *c, const char *dir, const char *name)
{
	char *path = path_join(dir, name);
	FILE *f = fopen(path, "we");

	assert(f);
	PEM_write_X509(f, c->cert);
	fclose(f);
	return path;
}

static inline char *fake_write_key(const struct fake_cert *c, const char *dir, const char *name)
{
	char *path = path_join(dir, name);
	FILE *f = fopen(path, "we");

	assert(f);
	PEM_write_PrivateKey(f, c->key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
	return path;
}

static inline char *fake_folder(void)
{
	char *dir = xstrdup("/tmp/ferry-net-XXXXXX");
	char *made = mkdtemp(dir);

	assert(made);
	return dir;
}

static inline int fake_remove_one(const char *path, const struct stat *st, int type,
				  struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static inline void fake_folder_remove(char **dir)
{
	if (*dir)
		nftw(*dir, fake_remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(*dir);
}
#define auto_folder __attribute__((cleanup(fake_folder_remove)))

#endif
