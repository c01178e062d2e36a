// SPDX-License-Identifier: Apache-2.0
// Whom the client trusts, and how it says why it does not.
#include "net/http.h"

#include "util/clock.h"
#include "util/mem.h"

#include "fake_certs.h"
#include "fake_server.h"
#include "tap.h"

static const struct fake_answer hello[] = {{.status = 200, .body = "hello"}, {0}};

struct fixture {
	char *dir;
	struct fake_cert authority, cert;
	char *authority_file;
	SSL_CTX *tls;
	struct fake_server *server;
	struct cancel cancel;
	struct slab_pool *pool;
};

static void fixture_release(struct fixture *f)
{
	fake_server_stop(f->server);
	SSL_CTX_free(f->tls);
	fake_cert_release(&f->authority);
	fake_cert_release(&f->cert);
	slab_pool_free(f->pool);
	fake_folder_remove(&f->dir);
	free(f->authority_file);
}
#define auto_fixture __attribute__((cleanup(fixture_release)))

// A TLS server whose certificate is made to WISH, by an authority unless self-signed.
static void set_up(struct fixture *f, struct fake_cert_wish wish, bool self_signed)
{
	*f = (struct fixture){.cancel = CANCEL_INIT};
	f->dir = fake_folder();
	f->authority = fake_cert_make(
		&(struct fake_cert_wish){.common_name = "test authority", .authority = true});
	wish.issuer = self_signed ? NULL : &f->authority;
	f->cert = fake_cert_make(&wish);
	f->authority_file =
		fake_write_cert(self_signed ? &f->cert : &f->authority, f->dir, "ca.pem");
	f->tls = fake_tls_server(&f->cert);
	f->server = fake_server_start_tls(hello, f->tls);
	f->pool = slab_pool_new(16);
}

static const struct fake_cert_wish good = {.common_name = "registry",
					   .names = "IP:127.0.0.1,DNS:localhost"};

// The status of GET HOST:port, or -1.
static int get(struct fixture *f, const char *host, const struct http_config *wish, struct err *e)
{
	struct http_config cfg = *wish;
	auto_of(http_free) struct http *net = NULL;
	auto_free char *url = xasprintf("https://%s:%d/v2/", host, f->server->port);
	struct http_req req = {.method = "GET", .url = url, .flags = HTTP_SMALL};

	cfg.cancel = &f->cancel;
	cfg.pool = f->pool;
	if (http_new(&net, &cfg, e) < 0)
		return -1;
	auto_of(http_exchange_free) struct http_exchange *x = http_open(net, &req, e);

	return x ? http_status(x) : -1;
}

TEST(a_certificate_of_an_added_authority_is_trusted)
{
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, good, false);
	struct http_config cfg = {.ca_file = f.authority_file};

	CHECK_INT(get(&f, "127.0.0.1", &cfg, &e), 200);
	CHECK_INT(get(&f, "localhost", &cfg, &e), 200);
}

TEST(an_unknown_authority_is_told_at_once_with_the_remedy)
{
	auto_fixture struct fixture f;
	uint64_t began = clock_us();
	struct err e;

	set_up(&f, good, false);
	CHECK_INT(get(&f, "127.0.0.1", &(struct http_config){0}, &e), -1);
	CHECK_INT(e.kind, ERR_NET);
	auto_free char *want =
		xasprintf("Get \"https://127.0.0.1:%d/v2/\": tls: failed to verify certificate: "
			  "x509: certificate signed by unknown authority\nhint: ",
			  f.server->port);
	CHECK(starts_with(e.text, want));
	CHECK(strstr(e.text, "--certificate-authority") != NULL);
	CHECK(clock_us() - began < 2000000);
	CHECK_INT(fake_server_requests(f.server), 0);
}

TEST(insecure_trusts_anyone)
{
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, (struct fake_cert_wish){.common_name = "elsewhere"}, true);
	CHECK_INT(get(&f, "127.0.0.1", &(struct http_config){.insecure = true}, &e), 200);
}

TEST(a_certificate_without_subject_alternative_names_is_refused_by_that_name)
{
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, (struct fake_cert_wish){.common_name = "localhost"}, false);
	struct http_config cfg = {.ca_file = f.authority_file};

	CHECK_INT(get(&f, "localhost", &cfg, &e), -1);
	CHECK(strstr(e.text,
		     "x509: certificate relies on legacy Common Name field, use SANs instead\n"
		     "hint: ") != NULL);
	CHECK(strstr(e.text, "subjectAltName") != NULL);
}

TEST(so_is_a_self_signed_one_that_was_added_itself)
{
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, (struct fake_cert_wish){.common_name = "localhost"}, true);
	CHECK_INT(get(&f, "localhost", &(struct http_config){.ca_file = f.authority_file}, &e), -1);
	CHECK(strstr(e.text, "legacy Common Name") != NULL);
}

TEST(a_self_signed_certificate_that_was_added_is_trusted)
{
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, good, true);
	CHECK_INT(get(&f, "127.0.0.1", &(struct http_config){.ca_file = f.authority_file}, &e),
		  200);
}

TEST(a_certificate_that_was_added_needs_no_authority_above_it)
{
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, good, false);
	auto_free char *leaf = fake_write_cert(&f.cert, f.dir, "leaf.pem");

	CHECK_INT(get(&f, "127.0.0.1", &(struct http_config){.ca_file = leaf}, &e), 200);
}

TEST(a_certificate_for_another_host_is_refused_with_the_names_it_has)
{
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f,
	       (struct fake_cert_wish){.common_name = "x", .names = "DNS:a.example,IP:10.0.0.1"},
	       false);
	CHECK_INT(get(&f, "127.0.0.1", &(struct http_config){.ca_file = f.authority_file}, &e), -1);
	CHECK(strstr(e.text, "x509: certificate is valid for a.example, 10.0.0.1, not 127.0.0.1") !=
	      NULL);
}

TEST(an_expired_certificate_is_called_so)
{
	auto_fixture struct fixture f;
	struct err e;
	struct fake_cert_wish wish = good;

	wish.from_s = -7200;
	wish.to_s = -3600;
	set_up(&f, wish, false);
	CHECK_INT(get(&f, "127.0.0.1", &(struct http_config){.ca_file = f.authority_file}, &e), -1);
	CHECK(strstr(e.text, "x509: certificate has expired or is not yet valid") != NULL);
}

TEST(ssl_cert_file_and_ssl_cert_dir_bring_roots)
{
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, good, false);
	CHECK_INT(
		get(&f, "127.0.0.1", &(struct http_config){.system_ca_file = f.authority_file}, &e),
		200);
	CHECK_INT(get(&f, "127.0.0.1", &(struct http_config){.system_ca_dir = f.dir}, &e), 200);
}

// A certs.d folder with one folder for the server.
static char *host_folder(const struct fixture *f)
{
	char *dir = xasprintf("%s/certs.d/127.0.0.1:%d", f->dir, f->server->port);
	struct err e;

	CHECK_OK(fs_mkdirs(dir, 0700, &e));
	return dir;
}

TEST(a_certs_d_folder_adds_authorities_for_its_host)
{
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, good, false);
	auto_free char *dirs = path_join(f.dir, "certs.d");
	auto_free char *dir = host_folder(&f);
	auto_free char *file = fake_write_cert(&f.authority, dir, "ca.crt");
	CHECK(fs_exists(file));
	const char *const certs_dirs[] = {"/nonexistent", dirs, NULL};
	struct http_config cfg = {.certs_dirs = certs_dirs};

	CHECK_INT(get(&f, "127.0.0.1", &cfg, &e), 200);
	CHECK_INT(get(&f, "localhost", &cfg, &e), -1); // not its folder
}

TEST(a_certs_d_folder_brings_client_certificates)
{
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, good, false);
	struct fake_cert client = fake_cert_make(
		&(struct fake_cert_wish){.common_name = "client", .issuer = &f.authority});
	auto_free char *dirs = path_join(f.dir, "certs.d");
	auto_free char *dir = host_folder(&f);
	auto_free char *ca = fake_write_cert(&f.authority, dir, "ca.crt");
	auto_free char *cert = fake_write_cert(&client, dir, "me.cert");
	CHECK(fs_exists(ca) && fs_exists(cert));
	const char *const certs_dirs[] = {dirs, NULL};
	struct http_config cfg = {.certs_dirs = certs_dirs};

	SSL_CTX_set_verify(f.tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	X509_STORE_add_cert(SSL_CTX_get_cert_store(f.tls), f.authority.cert);
	CHECK_INT(get(&f, "127.0.0.1", &cfg, &e), -1);
	CHECK(strstr(e.text, "missing key '") != NULL);
	auto_free char *key = fake_write_key(&client, dir, "me.key");
	CHECK(fs_exists(key));
	CHECK_INT(get(&f, "127.0.0.1", &cfg, &e), 200);
	fake_cert_release(&client);
}

TEST(a_bundle_that_cannot_be_used_is_told_before_anything_is_sent)
{
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, good, false);
	auto_free char *empty = path_join(f.dir, "empty.pem");
	REQUIRE_OK(fs_write_file(empty, STR("nothing\n"), 0600, &e));
	CHECK_INT(get(&f, "127.0.0.1", &(struct http_config){.ca_file = "/nonexistent.pem"}, &e),
		  -1);
	CHECK_STR(e.text, "failed to read registry ca bundle: open /nonexistent.pem: no such file "
			  "or directory");
	CHECK_INT(get(&f, "127.0.0.1", &(struct http_config){.ca_file = empty}, &e), -1);
	CHECK_INT(e.kind, ERR_INPUT);
}

TEST(old_versions_of_tls_are_not_spoken)
{
	auto_fixture struct fixture f;
	struct err e;

	set_up(&f, good, false);
	SSL_CTX_set_max_proto_version(f.tls, TLS1_1_VERSION);
	SSL_CTX_set_security_level(f.tls, 0);
	CHECK_INT(get(&f, "127.0.0.1", &(struct http_config){.ca_file = f.authority_file}, &e), -1);
	CHECK(strstr(e.text, ": tls: ") != NULL);
}

TEST(plain_http_on_an_https_port_is_named)
{
	static const struct fake_answer script[] = {
		{.flags = FAKE_BLURT, .body = "HTTP/1.0 400 Bad Request\r\n\r\nnot TLS\n"},
		{0},
	};
	struct fixture f = {.cancel = CANCEL_INIT};
	struct err e;

	f.server = fake_server_start(script);
	f.pool = slab_pool_new(4);
	CHECK_INT(get(&f, "127.0.0.1", &(struct http_config){0}, &e), -1);
	CHECK(strstr(e.text, ": http: server gave HTTP response to HTTPS client\nhint: ") != NULL);
	fixture_release(&f);
}

// Proxies. ---------------------------------------------------------------------------------------

TEST(a_plain_request_goes_to_the_proxy_whole_and_connect_is_asked_for_tls)
{
	static const struct fake_answer script[] = {
		{.method = "GET", .status = 200, .body = "by proxy"},
		{.method = "CONNECT", .status = 403},
		{0},
	};
	struct fake_server *proxy = fake_server_start(script);
	auto_of(slab_pool_free) struct slab_pool *pool = slab_pool_new(4);
	auto_free char *proxy_url = xasprintf("127.0.0.1:%d", proxy->port);
	struct http_config cfg = {.pool = pool, .http_proxy = proxy_url, .https_proxy = proxy_url};
	struct http_req plain = {.method = "GET", .url = "http://registry.invalid/v2/"};
	struct http_req tls = {.method = "GET", .url = "https://registry.invalid/v2/"};
	struct http *net = NULL;
	struct err e;

	CHECK_OK(http_new(&net, &cfg, &e));
	struct http_exchange *x = http_open(net, &plain, &e);
	CHECK(x && http_status(x) == 200);
	http_exchange_free(x);
	CHECK_STR(fake_server_request(proxy, 0).path, "http://registry.invalid/v2/");
	CHECK(http_open(net, &tls, &e) == NULL);
	CHECK(ends_with(e.text, "proxyconnect tcp: the proxy answered CONNECT with 403 Forbidden"));
	CHECK_STR(fake_server_request(proxy, 1).path, "registry.invalid:443");
	http_free(net);
	fake_server_stop(proxy);
}

TEST(a_proxy_that_is_not_there_is_named_as_the_proxy)
{
	auto_of(slab_pool_free) struct slab_pool *pool = slab_pool_new(4);
	auto_of(http_free) struct http *net = NULL;
	struct http_config cfg = {.pool = pool, .http_proxy = "127.0.0.1:1"};
	struct http_req req = {.method = "GET", .url = "http://registry.invalid/v2/"};
	struct err e;

	REQUIRE_OK(http_new(&net, &cfg, &e));
	CHECK(http_open(net, &req, &e) == NULL);
	CHECK(strstr(e.text, ": proxyconnect tcp: dial tcp 127.0.0.1:1: connect: connection "
			     "refused\nhint: check HTTP_PROXY") != NULL);
}

int main(void)
{
	return tap_main();
}
