// SPDX-License-Identifier: Apache-2.0
// Throughput of src/net by itself: requests a second, and bytes a second through GET | hash | PUT.
//
//	meson test builds nothing of this; by hand, from a build folder B:
//	cc -O2 -D_GNU_SOURCE -Isrc bench/net_get.c B/src/net/libnet.a B/src/data/libdata.a \
//	   B/src/util/libutil.a -lcurl -lssl -lcrypto -ljansson -lpthread -o net_get
//	./net_get small THREADS COUNT URL       COUNT small GETs by THREADS
//	./net_get copy SIZE FROM TO [FROM TO]   each blob of SIZE bytes from URL to URL (PUT), at
// once
#include "net/http.h"

#include "util/clock.h"
#include "util/fs.h"
#include "util/mem.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct job {
	struct http *net;
	struct slab_pool *pool;
	const char *from, *to;
	uint64_t size;
	int count;
	pthread_t thread;
	int rc;
};

static void *small(void *arg)
{
	struct job *j = arg;
	struct err e;

	for (int i = 0; i < j->count && j->rc == 0; i++) {
		struct http_req req = {.method = "GET", .url = j->from, .flags = HTTP_SMALL};
		auto_buf struct buf body = BUF_INIT(1 << 20);
		auto_of(http_exchange_free) struct http_exchange *x = http_open(j->net, &req, &e);

		if (!x || http_status(x) != 200 || http_read_all(x, &body, &e) < 0) {
			fprintf(stderr, "%s\n", x ? "not 200" : e.text);
			j->rc = 1;
		}
	}
	return NULL;
}

static int move(struct job *j, struct err *e)
{
	struct http_req get = {.method = "GET", .url = j->from};
	struct http_req put = {
		.method = "PUT", .url = j->to, .streamed = true, .body_size = j->size};
	auto_of(stream_free) struct stream *in = http_download(j->net, &get, 0, j->size, e);
	auto_of(http_exchange_free) struct http_exchange *out =
		in ? http_open(j->net, &put, e) : NULL;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	struct slab *s;
	int rc = out ? 0 : -1;

	EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	while (rc == 0 && (s = stream_read(in, e))) {
		EVP_DigestUpdate(md, s->data, s->n);
		rc = http_write(out, s, e);
	}
	EVP_MD_CTX_free(md);
	if (rc < 0 || e->kind != ERR_NONE || http_finish(out, e) < 0)
		return -1;
	if (http_status(out) / 100 != 2)
		return err_set(e, ERR_NET, "status %d", http_status(out));
	return 0;
}

static void *copy(void *arg)
{
	struct job *j = arg;
	struct err e;

	if (move(j, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		j->rc = 1;
	}
	return NULL;
}

// VmHWM; ru_maxrss would be that of whoever started us, if it was larger.
static long peak_kib(void)
{
	auto_buf struct buf status = BUF_INIT(64 << 10);
	struct err e;

	if (fs_read_file(&status, "/proc/self/status", &e) < 0)
		return 0;
	const char *at = strstr(status.p, "VmHWM:");

	return at ? strtol(at + 6, NULL, 10) : 0;
}

static int report(const struct job *jobs, int n, uint64_t began)
{
	double took = (double)(clock_us() - began) / 1e6;
	struct rusage u;
	int rc = 0;

	for (int i = 0; i < n; i++)
		rc |= jobs[i].rc;
	getrusage(RUSAGE_SELF, &u);
	printf("%.3f s, %.2f s user, %.2f s system, %ld KiB\n", took,
	       (double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6,
	       (double)u.ru_stime.tv_sec + (double)u.ru_stime.tv_usec / 1e6, peak_kib());
	return rc;
}

int main(int argc, char **argv)
{
	struct slab_pool *pool = slab_pool_new(256);
	struct http_config cfg = {.pool = pool, .user_agent = "net_get", .insecure = true};
	bool is_small = argc == 5 && strcmp(argv[1], "small") == 0;
	int n = is_small ? (int)strtol(argv[2], NULL, 10) : (argc - 3) / 2;
	uint64_t began = clock_us();
	struct http *net;
	struct err e;

	if (argc < 5 || n < 1 || n > 64)
		return fprintf(stderr, "see the head of bench/net_get.c\n"), 2;
	if (http_new(&net, &cfg, &e) < 0)
		return fprintf(stderr, "%s\n", e.text), 1;
	struct job *jobs = xcalloc((size_t)n, sizeof(*jobs));

	for (int i = 0; i < n; i++) {
		jobs[i] = (struct job){.net = net, .pool = pool};
		if (is_small) {
			jobs[i].from = argv[4];
			jobs[i].count = (int)(strtol(argv[3], NULL, 10) / n);
		} else {
			jobs[i].size = strtoull(argv[2], NULL, 10);
			jobs[i].from = argv[3 + 2 * i];
			jobs[i].to = argv[4 + 2 * i];
		}
		pthread_create(&jobs[i].thread, NULL, is_small ? small : copy, &jobs[i]);
	}
	for (int i = 0; i < n; i++)
		pthread_join(jobs[i].thread, NULL);
	int rc = report(jobs, n, began);

	free(jobs);
	http_free(net);
	slab_pool_free(pool);
	return rc;
}
