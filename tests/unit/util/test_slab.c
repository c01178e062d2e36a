// SPDX-License-Identifier: Apache-2.0
#include "util/slab.h"
#include "util/stream.h"

#include "tap.h"

#include <pthread.h>

static void *fire(void *arg)
{
	cancel_fire(arg);
	return NULL;
}

TEST(cancelling_wakes_whoever_waits_for_a_slab)
{
	auto_of(slab_pool_free) struct slab_pool *pool = slab_pool_new(1);
	struct cancel c = CANCEL_INIT;
	struct err e;
	auto_of(slab_free) struct slab *only = slab_get(pool, &c, &e);
	pthread_t thread;

	CHECK(only != NULL);
	CHECK(slab_try(pool) == NULL);
	pthread_create(&thread, NULL, fire, &c);
	CHECK(slab_get(pool, &c, &e) == NULL);
	CHECK_INT(e.kind, ERR_CANCELLED);
	pthread_join(thread, NULL);
}

static void count(void *arg)
{
	++*(int *)arg;
}

TEST(the_subscriber_hears_of_a_slab_that_comes_back_to_an_empty_pool)
{
	auto_of(slab_pool_free) struct slab_pool *pool = slab_pool_new(2);
	struct err e;
	int woken = 0;

	slab_pool_on_free(pool, count, &woken);
	struct slab *a = slab_get(pool, NULL, &e), *b = slab_get(pool, NULL, &e);

	slab_free(a);
	CHECK_INT(woken, 1);
	slab_free(b);
	CHECK_INT(woken, 1);
	slab_pool_off_free(pool, &woken);
}

TEST(a_stream_over_memory_gives_its_bytes_then_ends)
{
	static unsigned char data[SLAB_SIZE + 10];
	auto_of(slab_pool_free) struct slab_pool *pool = slab_pool_new(2);
	auto_of(stream_free) struct stream *s = stream_of_bytes(data, sizeof(data), pool);
	size_t total = 0;
	struct slab *slab;
	struct err e;

	while ((slab = stream_read(s, &e))) {
		total += slab->n;
		slab_free(slab);
	}
	CHECK_INT(e.kind, ERR_NONE);
	CHECK_INT(total, sizeof(data));
}

int main(void)
{
	return tap_main();
}
