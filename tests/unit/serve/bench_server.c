// SPDX-License-Identifier: Apache-2.0
// The HTTP server alone, for measuring: serves the files of a folder, takes in and drops what is
// put. bench_server DIR HOST:PORT THREADS [CERTIFICATE KEY]
#include "serve/server.h"
#include "util/mem.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int folder;

static bool give_file(void *arg, struct exchange *x)
{
	struct reply *r = &x->reply;
	struct stat st;

	(void)arg;
	if (x->request.method != METHOD_GET && x->request.method != METHOD_HEAD)
		return false;
	auto_free char *name = xstrndup(x->request.path.p + 1, x->request.path.n - 1);
	auto_fd int fd = strstr(name, "..") ? -1 : openat(folder, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		r->status = 404;
		return true;
	}
	r->status = 200;
	r->file = (struct store_file){.size = (uint64_t)st.st_size,
				      .n = 1,
				      .fds = xmalloc(sizeof(int)),
				      .sizes = xmalloc(sizeof(uint64_t))};
	r->file.fds[0] = fd;
	r->file.sizes[0] = r->file.size;
	fd = -1;
	reply_header(r, "Content-Type", "application/octet-stream");
	reply_add_file(r, 0, r->file.size);
	return true;
}

static enum exchange_next begin(void *arg, struct exchange *x)
{
	(void)arg, (void)x;
	return NEXT_BODY;
}

static int drop(void *arg, struct exchange *x, const void *data, size_t n)
{
	(void)arg, (void)x, (void)data, (void)n;
	return 0;
}

static void end(void *arg, struct exchange *x)
{
	(void)arg;
	x->reply.status = 201;
	buf_printf(&x->reply.body, "%llu\n", (unsigned long long)x->body_received);
}

int main(int argc, char **argv)
{
	static const struct service service = {
		.quick = give_file, .begin = begin, .body = drop, .end = end};
	struct server_config cfg = {.service = &service, .limits = {.per_address = 4096}};
	struct server *s;
	struct err e;
	uint64_t threads;
	sigset_t quit;
	int sig;

	if (argc < 4 || !str_u64(str_of(argv[3]), 8, &threads)) {
		fprintf(stderr, "usage: bench_server DIR HOST:PORT THREADS [CERTIFICATE KEY]\n");
		return 2;
	}
	cfg.listen = argv[2];
	cfg.threads = (unsigned)threads;
	cfg.tls_certificate = argc > 5 ? argv[4] : NULL;
	cfg.tls_key = argc > 5 ? argv[5] : NULL;
	folder = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	sigemptyset(&quit);
	sigaddset(&quit, SIGINT);
	sigaddset(&quit, SIGTERM);
	sigprocmask(SIG_BLOCK, &quit, NULL);
	if (server_start(&s, &cfg, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		return 1;
	}
	printf("%s\n", server_address(s));
	fflush(stdout);
	sigwait(&quit, &sig);
	server_stop(s);
	return 0;
}
