// SPDX-License-Identifier: Apache-2.0
// How many small durable pushes a second a server's store takes: 32 threads, blobs of 4 KiB.
// Usage: bench_store_push DIR [THREADS [SECONDS]].
#include "fixture.h"
#include "store/upload.h"
#include "util/clock.h"

static struct store *store;
static atomic_int pushed;
static uint64_t until;

static int push_one(int n, struct err *e)
{
	auto_blob struct blob b = blob_new((uint64_t)n, 4096);
	char id[UPLOAD_ID_SIZE];
	struct store_upload *u;

	if (store_upload_id(store, "org/img", "", DIGEST_SHA256, id, e) < 0 ||
	    !(u = store_upload_open(store, "org/img", "", id, e)))
		return -1;
	if (store_upload_write(u, b.data, b.n, e) < 0) {
		store_upload_cancel(u);
		return -1;
	}
	return store_upload_commit(u, &b.d.digest, e);
}

static void *pusher(void *arg)
{
	struct err e;

	(void)arg;
	while (clock_us() < until)
		if (push_one(pushed++, &e) < 0)
			printf("# %s\n", e.text);
	return NULL;
}

static const char *base = "/tmp";
static int threads = 32;
static uint64_t seconds = 3;

TEST(small_blobs_are_pushed)
{
	auto_free char *dir = xasprintf("%s/bench-XXXXXX", base);
	auto_free pthread_t *ids = xcalloc((size_t)threads, sizeof(*ids));

	if (!mkdtemp(dir))
		abort();
	store = must_open(dir, STORE_WRITE, STORE_LAYOUT_LINKED);
	uint64_t start = clock_us();

	until = start + seconds * 1000000;
	for (int i = 0; i < threads; i++)
		pthread_create(&ids[i], NULL, pusher, NULL);
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	double took = (double)(clock_us() - start) / 1e6;

	printf("# %d threads: %d durable pushes of 4 KiB, %.0f a second, %.1f a barrier\n", threads,
	       pushed, pushed / took, (double)pushed / (double)store->barriers);
	store_close(store);
	run("rm -rf '%s'", dir);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		base = argv[1];
	if (argc > 2)
		threads = (int)strtol(argv[2], NULL, 10);
	if (argc > 3)
		seconds = strtoull(argv[3], NULL, 10);
	return tap_main();
}
