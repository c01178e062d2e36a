// SPDX-License-Identifier: Apache-2.0
#include "tap.h"

#include "http_fake.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <sys/stat.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

// ---- Certificates, made as they are needed.

struct pair {
	char dir[32], certificate[64], key[64];
};

static void pair_release(struct pair *p)
{
	unlink(p->certificate);
	unlink(p->key);
	rmdir(p->dir);
}
#define auto_pair __attribute__((cleanup(pair_release)))

static void write_pair(const struct pair *p, EVP_PKEY *key, const char *name, long days)
{
	X509 *x = X509_new();
	FILE *f;

	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_time_adj_ex(X509_getm_notAfter(x), (int)days, 0, NULL);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
				   (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_sign(x, key, EVP_sha256());
	f = fopen(p->certificate, "we");
	PEM_write_X509(f, x);
	fclose(f);
	f = fopen(p->key, "we");
	PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
	X509_free(x);
}

static void make_pair(const struct pair *p, const char *name, long days)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");

	write_pair(p, key, name, days);
	EVP_PKEY_free(key);
}

static struct pair new_pair(const char *name, long days)
{
	struct pair p = {.dir = "/tmp/ferry-tls-XXXXXX"};

	if (!mkdtemp(p.dir))
		abort();
	snprintf(p.certificate, sizeof(p.certificate), "%s/crt.pem", p.dir);
	snprintf(p.key, sizeof(p.key), "%s/key.pem", p.dir);
	make_pair(&p, name, days);
	return p;
}

static struct server *tls_server(const struct pair *p, struct server_config *cfg)
{
	struct server_config plain = {0};

	if (!cfg)
		cfg = &plain;
	cfg->tls_certificate = p->certificate;
	cfg->tls_key = p->key;
	return fake_server(NULL, cfg);
}

// ---- A client.

struct session {
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
};

static void session_end(struct session *t)
{
	SSL_free(t->ssl);
	SSL_CTX_free(t->ctx);
	if (t->fd >= 0)
		close(t->fd);
}
#define auto_session __attribute__((cleanup(session_end)))

static struct session new_session(const struct server *s)
{
	struct session t = {.ctx = SSL_CTX_new(TLS_client_method()), .fd = client(s)};

	t.ssl = SSL_new(t.ctx);
	SSL_set_fd(t.ssl, t.fd);
	return t;
}

static struct session connected(const struct server *s)
{
	struct session t = new_session(s);

	CHECK_INT(SSL_connect(t.ssl), 1);
	return t;
}

static bool tls_say(struct session *t, const void *data, size_t n)
{
	return SSL_write(t->ssl, data, (int)n) == (int)n;
}

static struct answer tls_hear(struct session *t)
{
	struct answer a = {.length = -1};
	size_t n = 0;

	while (n < sizeof(a.head) - 1 && SSL_read(t->ssl, a.head + n, 1) == 1)
		if (++n >= 4 && memcmp(a.head + n - 4, "\r\n\r\n", 4) == 0)
			break;
	if (n < 12)
		return a;
	a.status = (int)strtol(a.head + 9, NULL, 10);
	const char *length = strstr(a.head, "Content-Length: ");

	a.length = length ? strtoll(length + 16, NULL, 10) : 0;
	a.body = xcalloc(1, (size_t)a.length + 1);
	while (a.n < (size_t)a.length) {
		int r = SSL_read(t->ssl, a.body + a.n, (int)((size_t)a.length - a.n));

		if (r <= 0)
			break;
		a.n += (size_t)r;
	}
	return a;
}

static struct answer tls_ask(struct session *t, const char *text)
{
	tls_say(t, text, strlen(text));
	return tls_hear(t);
}

static char *common_name(const struct session *t)
{
	X509 *x = SSL_get1_peer_certificate(t->ssl);
	char name[64] = "";

	X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, name, sizeof(name));
	X509_free(x);
	return xstrdup(name);
}

// ---- Serving.

TEST(answers_and_files_arrive_over_tls)
{
	auto_pair struct pair p = new_pair("one", 90);
	auto_of(server_stop) struct server *s = tls_server(&p, NULL);
	auto_session struct session t = connected(s);

	for (int i = 0; i < 3; i++) {
		auto_answer struct answer a = tls_ask(&t, GET("/text"));
		auto_answer struct answer b = tls_ask(&t, GET("/file"));
		auto_answer struct answer c = tls_ask(&t, GET("/pieces"));
		auto_answer struct answer d = tls_ask(&t, GET("/work"));

		CHECK_STR(a.body ? a.body : "", "hello");
		CHECK(b.n == FAKE_FILE_SIZE && is_pattern(b.body, 0, b.n));
		CHECK(c.n == 100018 && is_pattern(c.body + 14, FAKE_FILE_SIZE - 100000, 100000));
		CHECK_STR(d.body ? d.body : "", "worked");
	}
}

TEST(files_that_are_not_in_memory_arrive_over_tls)
{
	auto_pair struct pair p = new_pair("one", 90);
	auto_of(server_stop) struct server *s = tls_server(&p, NULL);
	auto_session struct session t = connected(s);

	fdatasync(fake.file);
	posix_fadvise(fake.file, 0, 0, POSIX_FADV_DONTNEED);
	auto_answer struct answer a = tls_ask(&t, GET("/file"));

	CHECK(a.n == FAKE_FILE_SIZE && is_pattern(a.body, 0, a.n));
}

TEST(a_slow_reader_gets_every_record_once)
{
	struct server_config cfg = {.threads = 1};
	auto_pair struct pair p = new_pair("one", 90);
	auto_of(server_stop) struct server *s = tls_server(&p, &cfg);
	auto_session struct session slow = new_session(s), other = connected(s);

	close(slow.fd);
	slow.fd = client_from(s, "127.0.0.1", 4096);
	SSL_set_fd(slow.ssl, slow.fd);
	CHECK_INT(SSL_connect(slow.ssl), 1);
	// More than the buffers of the sockets hold.
	for (int i = 0; i < 4; i++)
		tls_say(&slow, GET("/file"), strlen(GET("/file")));
	auto_answer struct answer quick = tls_ask(&other, GET("/text"));

	CHECK_INT(quick.status, 200);
	for (int i = 0; i < 4; i++) {
		auto_answer struct answer a = tls_hear(&slow);

		CHECK(a.n == FAKE_FILE_SIZE && is_pattern(a.body, 0, a.n));
	}
}

TEST(a_file_that_fails_over_tls_is_replaced)
{
	auto_pair struct pair p = new_pair("one", 90);
	auto_of(server_stop) struct server *s = tls_server(&p, NULL);
	auto_session struct session t = connected(s);

	fake.replace = true;
	auto_answer struct answer a = tls_ask(&t, GET("/truncated"));

	CHECK(a.n == FAKE_FILE_SIZE && is_pattern(a.body, 0, a.n));
	CHECK_INT(fake.unreadable, 1);
	fake.replace = false;
	auto_answer struct answer b = tls_ask(&t, GET("/truncated"));
	CHECK(b.n <= FAKE_FILE_SIZE / 2 && is_pattern(b.body, 0, b.n));
}

TEST(bodies_arrive_over_tls)
{
	auto_pair struct pair p = new_pair("one", 90);
	auto_of(server_stop) struct server *s = tls_server(&p, NULL);
	auto_session struct session t = connected(s);
	static unsigned char data[1000000];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = fake_byte(i);
	for (int i = 0; i < 3; i++) {
		const char *head =
			"PUT /body HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";

		tls_say(&t, head, strlen(head));
		CHECK(tls_say(&t, data, sizeof(data)));
		auto_answer struct answer a = tls_hear(&t);
		CHECK_INT(a.status, 201);
	}
}

TEST(a_refusal_over_tls_is_seen_by_a_client_that_goes_on_sending)
{
	auto_pair struct pair p = new_pair("one", 90);
	auto_of(server_stop) struct server *s = tls_server(&p, NULL);
	auto_session struct session t = connected(s);
	const char *head = "PUT /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";
	static char data[300000];

	tls_say(&t, head, strlen(head));
	tls_say(&t, data, sizeof(data));
	auto_answer struct answer a = tls_hear(&t);
	CHECK_INT(a.status, 403);
	CHECK_STR(a.body ? a.body : "", "no");
}

// ---- Handshakes.

TEST(plain_http_on_a_tls_port_is_told_so)
{
	auto_pair struct pair p = new_pair("one", 90);
	auto_of(server_stop) struct server *s = tls_server(&p, NULL);
	auto_fd int fd = client(s);
	auto_answer struct answer a = ask(fd, GET("/text"));

	CHECK_INT(a.status, 400);
	CHECK_INT(a.n, a.length);
	CHECK(at_end(fd));
}

TEST(nonsense_instead_of_a_hello_closes)
{
	auto_pair struct pair p = new_pair("one", 90);
	auto_of(server_stop) struct server *s = tls_server(&p, NULL);
	auto_fd int fd = client(s);
	char buf[256];

	say_bytes(fd, "\x16\x03\x01\xff\xff\x01\x02\x03\x04\x05\x06\x07", 12);
	shutdown(fd, SHUT_WR);
	while (recv(fd, buf, sizeof(buf), 0) > 0)
		;
	auto_session struct session t = connected(s);
	auto_answer struct answer a = tls_ask(&t, GET("/text"));
	CHECK_INT(a.status, 200);
}

TEST(a_handshake_has_the_time_of_a_head)
{
	struct server_tuning tuning = fake_tuning();
	auto_pair struct pair p = new_pair("one", 90);
	struct server_config cfg = {.tls_certificate = p.certificate, .tls_key = p.key};

	tuning.head_us = 100 * 1000;
	auto_of(server_stop) struct server *s = fake_server(&tuning, &cfg);
	auto_fd int fd = client(s);

	say_bytes(fd, "\x16\x03\x01", 3);
	CHECK(at_end(fd));
}

TEST(old_versions_and_weak_ciphers_are_refused)
{
	auto_pair struct pair p = new_pair("one", 90);
	auto_of(server_stop) struct server *s = tls_server(&p, NULL);
	auto_session struct session tls11 = new_session(s), cbc = new_session(s),
				    tls12 = new_session(s);

	SSL_set_security_level(tls11.ssl, 0);
	SSL_set_min_proto_version(tls11.ssl, TLS1_1_VERSION);
	SSL_set_max_proto_version(tls11.ssl, TLS1_1_VERSION);
	CHECK(SSL_connect(tls11.ssl) != 1);
	SSL_set_max_proto_version(cbc.ssl, TLS1_2_VERSION);
	SSL_set_cipher_list(cbc.ssl, "ECDHE-ECDSA-AES128-SHA");
	CHECK(SSL_connect(cbc.ssl) != 1);
	SSL_set_max_proto_version(tls12.ssl, TLS1_2_VERSION);
	CHECK_INT(SSL_connect(tls12.ssl), 1);
	ERR_clear_error();
}

TEST(http_1_1_is_the_only_protocol)
{
	auto_pair struct pair p = new_pair("one", 90);
	auto_of(server_stop) struct server *s = tls_server(&p, NULL);
	auto_session struct session both = new_session(s), h2 = new_session(s);
	const unsigned char *chosen;
	unsigned n;

	SSL_set_alpn_protos(both.ssl, (const unsigned char *)"\x02h2\x08http/1.1", 12);
	CHECK_INT(SSL_connect(both.ssl), 1);
	SSL_get0_alpn_selected(both.ssl, &chosen, &n);
	CHECK(n == 8 && memcmp(chosen, "http/1.1", 8) == 0);
	SSL_set_alpn_protos(h2.ssl, (const unsigned char *)"\x02h2", 3);
	CHECK(SSL_connect(h2.ssl) != 1);
	ERR_clear_error();
}

TEST(a_session_can_be_resumed)
{
	auto_pair struct pair p = new_pair("one", 90);
	auto_of(server_stop) struct server *s = tls_server(&p, NULL);
	auto_session struct session first = connected(s), second = new_session(s);
	auto_answer struct answer a = tls_ask(&first, GET("/text")); // the ticket comes before it
	SSL_SESSION *ticket = SSL_get1_session(first.ssl);

	CHECK_INT(a.status, 200);
	SSL_set_session(second.ssl, ticket);
	CHECK_INT(SSL_connect(second.ssl), 1);
	CHECK(SSL_session_reused(second.ssl));
	SSL_SESSION_free(ticket);
}

// ---- Certificates.

TEST(a_new_certificate_is_for_new_connections)
{
	auto_pair struct pair p = new_pair("old", 90);
	auto_of(server_stop) struct server *s = tls_server(&p, NULL);
	auto_session struct session before = connected(s);
	struct err e;

	make_pair(&p, "new", 90);
	CHECK_OK(server_reload(s, &e));
	auto_session struct session after = connected(s);
	auto_free char *old_name = common_name(&before), *new_name = common_name(&after);
	CHECK_STR(old_name, "old");
	CHECK_STR(new_name, "new");
	auto_answer struct answer a = tls_ask(&before, GET("/text")),
				  b = tls_ask(&after, GET("/text"));
	CHECK_INT(a.status, 200);
	CHECK_INT(b.status, 200);
}

static atomic_bool reloading;

static void *reload_often(void *arg)
{
	struct err e;

	while (reloading)
		CHECK_OK(server_reload(arg, &e));
	return NULL;
}

TEST(reloading_under_load_loses_no_connection)
{
	auto_pair struct pair p = new_pair("one", 90);
	auto_of(server_stop) struct server *s = tls_server(&p, NULL);
	pthread_t thread;

	reloading = true;
	pthread_create(&thread, NULL, reload_often, s);
	for (int i = 0; i < 50; i++) {
		auto_session struct session t = connected(s);
		auto_answer struct answer a = tls_ask(&t, GET("/text"));

		CHECK_INT(a.status, 200);
	}
	reloading = false;
	pthread_join(thread, NULL);
}

TEST(new_keys_for_tickets_leave_the_certificate)
{
	auto_pair struct pair p = new_pair("one", 90);
	auto_of(server_stop) struct server *s = tls_server(&p, NULL);

	server_tls_rotate(s->tls);
	auto_session struct session t = connected(s);
	auto_free char *name = common_name(&t);
	CHECK_STR(name, "one");
}

static void overwrite(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	fputs(text, f);
	fclose(f);
}

TEST(bad_files_are_named_and_the_old_ones_stay)
{
	auto_pair struct pair p = new_pair("good", 90), other = new_pair("other", 90);
	auto_of(server_stop) struct server *s = tls_server(&p, NULL);
	struct err e;

	rename(other.key, p.key);
	CHECK_FAILS(server_reload(s, &e));
	CHECK(strstr(e.text, "certificate and key do not belong together"));
	CHECK(strstr(e.text, p.key));
	EVP_PKEY *rsa = EVP_RSA_gen(2048);
	write_pair(&other, rsa, "rsa", 90);
	EVP_PKEY_free(rsa);
	rename(other.key, p.key);
	CHECK_FAILS(server_reload(s, &e));
	CHECK(strstr(e.text, "certificate and key do not belong together"));
	overwrite(p.key, "nothing\n");
	CHECK_FAILS(server_reload(s, &e));
	CHECK(strstr(e.text, p.key));
	unlink(p.certificate);
	CHECK_FAILS(server_reload(s, &e));
	CHECK(strstr(e.text, p.certificate) && strstr(e.text, "No such file"));
	overwrite(p.certificate, "nothing\n");
	CHECK_FAILS(server_reload(s, &e));
	CHECK(strstr(e.text, p.certificate));
	CHECK_INT(e.kind, ERR_INPUT);
	auto_session struct session t = connected(s);
	auto_free char *name = common_name(&t);
	CHECK_STR(name, "good");
}

static char last_notice[256];

static void keep_notice(void *arg, const char *text)
{
	(void)arg;
	snprintf(last_notice, sizeof(last_notice), "%s", text);
}

TEST(a_certificate_that_ends_is_spoken_of)
{
	static const struct {
		long days;
		const char *say;
	} rows[] = {{90, ""}, {20, "expires in less than 60 days"}, {-1, "has expired"}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct server_config cfg = {.notice = keep_notice};
		auto_pair struct pair p = new_pair("one", rows[i].days);

		last_notice[0] = '\0';
		auto_of(server_stop) struct server *s = tls_server(&p, &cfg);

		CHECK(s != NULL);
		CHECK(*rows[i].say ? strstr(last_notice, rows[i].say) != NULL : !*last_notice);
	}
}

int main(void)
{
	return tap_main();
}
