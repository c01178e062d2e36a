// SPDX-License-Identifier: Apache-2.0
// HTTP/2 against a real server: small exchanges use it, blobs never do, slow readers cost little.
// Skipped, loudly, where there is no nginx.
#include "net/http.h"

#include "util/mem.h"

#include "fake_certs.h"
#include "fake_server.h"
#include "tap.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

enum { BLOB_SIZE = 24 << 20, READERS = 8 };

struct fixture {
	char *dir, *authority_file;
	struct fake_cert cert;
	pid_t nginx;
	int port;
	struct cancel cancel;
	struct slab_pool *pool;
	struct http *net;
};

static const char *nginx_path(void)
{
	static const char *const places[] = {"/usr/sbin/nginx", "/usr/bin/nginx"};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

static int free_port(void)
{
	auto_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);

	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) < 0)
		return -1;
	return ntohs(at.sin_port);
}

static void write_files(struct fixture *f)
{
	auto_free char *conf = path_join(f->dir, "nginx.conf"), *blob = path_join(f->dir, "blob");
	auto_free char *small = path_join(f->dir, "small");
	auto_free char *cert = fake_write_cert(&f->cert, f->dir, "cert.pem");
	auto_free char *key = fake_write_key(&f->cert, f->dir, "key.pem");
	auto_free char *text = xasprintf(
		"daemon off; worker_processes 1; pid %s/pid; error_log %s/error.log;\n"
		"events {}\n"
		"http { access_log %s/access.log combined; sendfile on; root %s;\n"
		" log_format proto '$uri $server_protocol'; access_log %s/proto.log proto;\n"
		" client_body_temp_path %s; proxy_temp_path %s; fastcgi_temp_path %s;\n"
		" uwsgi_temp_path %s; scgi_temp_path %s;\n"
		" server { listen 127.0.0.1:%d ssl http2; ssl_certificate %s; ssl_certificate_key %s; } }\n",
		f->dir, f->dir, f->dir, f->dir, f->dir, f->dir, f->dir, f->dir, f->dir, f->dir,
		f->port, cert, key);
	struct err e;

	chmod(f->dir, 0755); // nginx drops to another user
	REQUIRE_OK(fs_write_file(conf, str_of(text), 0644, &e));
	REQUIRE_OK(fs_write_file(small, STR("hello"), 0644, &e));
	auto_fd int fd = open(blob, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	CHECK(ftruncate(fd, BLOB_SIZE) == 0);
}

static bool listens(int port)
{
	auto_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				 .sin_port = htons((uint16_t)port)};

	return connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
}

static void start_nginx(struct fixture *f)
{
	auto_free char *conf = path_join(f->dir, "nginx.conf");
	char *argv[] = {(char *)"nginx", (char *)"-c", conf, (char *)"-p", f->dir, NULL};
	char *env[] = {NULL};

	CHECK_INT(posix_spawn(&f->nginx, nginx_path(), NULL, NULL, argv, env), 0);
	while (!listens(f->port) && waitpid(f->nginx, NULL, WNOHANG) == 0)
		sched_yield();
}

static void set_up(struct fixture *f)
{
	struct err e;

	*f = (struct fixture){.cancel = CANCEL_INIT};
	f->dir = fake_folder();
	f->port = free_port();
	f->cert = fake_cert_make(
		&(struct fake_cert_wish){.common_name = "x", .names = "IP:127.0.0.1"});
	f->authority_file = fake_write_cert(&f->cert, f->dir, "ca.pem");
	write_files(f);
	start_nginx(f);
	f->pool = slab_pool_new(256);
	struct http_config cfg = {
		.cancel = &f->cancel, .pool = f->pool, .ca_file = f->authority_file};
	REQUIRE_OK(http_new(&f->net, &cfg, &e));
}

static void fixture_release(struct fixture *f)
{
	http_free(f->net);
	slab_pool_free(f->pool);
	if (f->nginx > 0) {
		kill(f->nginx, SIGTERM);
		waitpid(f->nginx, NULL, 0);
	}
	fake_cert_release(&f->cert);
	fake_folder_remove(&f->dir);
	free(f->authority_file);
}
#define auto_fixture __attribute__((cleanup(fixture_release)))

static struct http_exchange *get(struct fixture *f, const char *path, unsigned flags, struct err *e)
{
	auto_free char *url = xasprintf("https://127.0.0.1:%d%s", f->port, path);
	struct http_req req = {.method = "GET", .url = url, .flags = flags};

	return http_open(f->net, &req, e);
}

// How often LINE stands in the server's log of protocols.
static int logged(struct fixture *f, const char *line)
{
	auto_free char *path = path_join(f->dir, "proto.log");
	auto_buf struct buf log = BUF_INIT(1 << 20);
	struct err e;
	int n = 0;

	CHECK_OK(fs_read_file(&log, path, &e));
	for (const char *at = log.p; (at = strstr(at, line)); at++)
		n++;
	return n;
}

static size_t heap_in_use(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

TEST(small_exchanges_use_http_2_and_slow_blob_readers_use_http_1_in_bounded_memory)
{
	auto_fixture struct fixture f = {0};
	struct http_exchange *slow[READERS];
	struct err e;

	if (!nginx_path()) {
		printf("# SKIPPED: no nginx here\n");
		CHECK(true);
		return;
	}
	set_up(&f);
	size_t before = heap_in_use();

	for (int i = 0; i < 5; i++) {
		auto_of(http_exchange_free) struct http_exchange *x =
			get(&f, "/small", HTTP_SMALL, &e);

		CHECK(x && http_status(x) == 200);
	}
	for (int i = 0; i < READERS; i++) {
		slow[i] = get(&f, "/blob", 0, &e);
		CHECK(slow[i] && http_status(slow[i]) == 200);
	}
	for (int i = 0; i < 20; i++) { // meanwhile nobody reads the blobs
		auto_of(http_exchange_free) struct http_exchange *x =
			get(&f, "/small", HTTP_SMALL, &e);

		CHECK(x && http_status(x) == 200);
	}
	size_t held = heap_in_use() - before;

	printf("# %d slow readers hold %zu KiB\n", READERS, held / 1024);
	CHECK(held < (size_t)READERS * 1200 * 1024);
	for (int i = 0; i < READERS; i++) {
		struct slab *s;
		uint64_t n = 0;

		while (slow[i] && (s = http_read(slow[i], &e))) {
			n += s->n;
			slab_free(s);
		}
		CHECK_INT(n, BLOB_SIZE);
		http_exchange_free(slow[i]);
	}
	// The log is written when the worker is done with a request, at the latest when it ends.
	kill(f.nginx, SIGQUIT);
	waitpid(f.nginx, NULL, 0);
	f.nginx = 0;
	CHECK_INT(logged(&f, "/small HTTP/2.0"), 25);
	CHECK_INT(logged(&f, "/blob HTTP/1.1"), READERS);
	CHECK_INT(logged(&f, "/blob HTTP/2.0"), 0);
}

int main(void)
{
	return tap_main();
}
