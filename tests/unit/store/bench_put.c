// SPDX-License-Identifier: Apache-2.0
// How long mirrors take to a folder when their bytes come out of memory, four writers, until
// everything is durable and named: a release (190 images, 451 blobs, 383 MB) and 1,500 small
// images. Usage: bench_store_put DIR [oc|portable].
#include "fixture.h"
#include "util/clock.h"

enum { BLOBS = 451, IMAGES = 190, WRITERS = 4 };

static struct store *store;
static struct blob *blobs;
static atomic_int next;

static void *writer(void *arg)
{
	struct err e;
	int i;

	(void)arg;
	while ((i = next++) < BLOBS)
		if (put(store, "openshift/release", &blobs[i], &e) < 0)
			printf("%s\n", e.text);
	return NULL;
}

static const char *base = "/tmp";
static bool portable;

TEST(a_release_is_put)
{
	auto_free char *dir = xasprintf("%s/bench-XXXXXX", base);
	uint64_t total = 0;
	pthread_t threads[WRITERS];
	struct err e;

	if (!mkdtemp(dir))
		abort();
	blobs = xcalloc(BLOBS, sizeof(*blobs));
	for (int i = 0; i < BLOBS; i++) {
		// Half of them are configurations; three are base layers.
		size_t n = i < 3 ? 25000000 : i % 2 ? 1500 : 1355000;

		blobs[i] = blob_new((uint64_t)i, n);
		total += n;
	}
	uint64_t start = clock_us();

	store = must_open(dir, STORE_WRITE, portable ? STORE_LAYOUT_PORTABLE : STORE_LAYOUT_OC);
	for (int i = 0; i < WRITERS; i++)
		pthread_create(&threads[i], NULL, writer, NULL);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	uint64_t put_done = clock_us();

	for (int i = 0; i < IMAGES; i++) {
		auto_free char *text = xasprintf("{\"schemaVersion\":2,\"n\":%d}", i);
		auto_free char *tag = xasprintf("4.18.1-x86_64-image-%d", i);

		CHECK_OK(put_manifest(store, "openshift/release", text, tag, NULL, &e));
	}
	CHECK_OK(store_sync(store, &e));
	uint64_t end = clock_us();

	printf("# %d blobs, %.0f MB in %s (%s): %.3f s, of which %.3f s putting\n", BLOBS,
	       (double)total / 1e6, dir, portable ? "portable" : "oc", (double)(end - start) / 1e6,
	       (double)(put_done - start) / 1e6);
	store_close(store);
	for (int i = 0; i < BLOBS; i++)
		blob_freep(&blobs[i]);
	free(blobs);
	run("rm -rf '%s'", dir);
}

enum { SMALL = 5955, REPOSITORIES = 300, BUNDLES = 1500 };

static void *small_writer(void *arg)
{
	struct err e;
	int i;

	(void)arg;
	while ((i = next++) < SMALL) {
		auto_free char *repo = xasprintf("bundles/op%d", i % REPOSITORIES);
		auto_blob struct blob b = blob_new((uint64_t)i, 700);

		if (put(store, repo, &b, &e) < 0)
			printf("%s\n", e.text);
	}
	return NULL;
}

TEST(many_small_images_are_put)
{
	auto_free char *dir = xasprintf("%s/bench-XXXXXX", base);
	pthread_t threads[WRITERS];
	struct err e;

	if (!mkdtemp(dir))
		abort();
	uint64_t start = clock_us();

	next = 0;
	store = must_open(dir, STORE_WRITE, portable ? STORE_LAYOUT_PORTABLE : STORE_LAYOUT_OC);
	for (int i = 0; i < WRITERS; i++)
		pthread_create(&threads[i], NULL, small_writer, NULL);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < BUNDLES; i++) {
		auto_free char *text = xasprintf("{\"schemaVersion\":2,\"n\":%d}", i);
		auto_free char *repo = xasprintf("bundles/op%d", i % REPOSITORIES);

		CHECK_OK(put_manifest(store, repo, text, "v1", NULL, &e));
	}
	CHECK_OK(store_sync(store, &e));
	printf("# %d blobs of 700 bytes, %d manifests, %d repositories in %s (%s): %.3f s\n", SMALL,
	       BUNDLES, REPOSITORIES, dir, portable ? "portable" : "oc",
	       (double)(clock_us() - start) / 1e6);
	store_close(store);
	run("rm -rf '%s'", dir);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		base = argv[1];
	portable = argc > 2 && strcmp(argv[2], "portable") == 0;
	return tap_main();
}
