// SPDX-License-Identifier: Apache-2.0
// Many threads on one store: one writer for each blob, barriers under way, readers in between.
#include "fixture.h"

enum { THREADS = 8, BLOBS = 60 };

struct crowd {
	struct store *s;
	struct blob blobs[BLOBS];
	atomic_int opened[BLOBS];
	atomic_int failures;
	pthread_barrier_t start;
};

struct member {
	struct crowd *c;
	int n;
};

struct counted {
	struct crowd *c;
	int i;
};

static struct stream *counted_open(void *arg, uint64_t offset, struct err *e)
{
	struct counted *k = arg;
	struct blob *b = &k->c->blobs[k->i];

	(void)e;
	k->c->opened[k->i]++;
	return stream_of_bytes(b->data + offset, b->n - (size_t)offset, fixture_pool);
}

static void *member_run(void *arg)
{
	struct member *m = arg;
	struct crowd *c = m->c;
	auto_free char *own = xasprintf("repo%d", m->n);
	struct err e;

	pthread_barrier_wait(&c->start);
	for (int k = 0; k < BLOBS; k++) {
		int i = m->n % 2 ? k : BLOBS - 1 - k;
		const char *repo = i % 2 ? own : "common";
		struct counted arg_of = {c, i};
		struct opener src = {counted_open, &arg_of};
		auto_free char *text = xasprintf("{\"n\":%d}", i);
		auto_free char *tag = xasprintf("v%d", i);
		struct digest d;

		if (store_blob_put(c->s, repo, &c->blobs[i].d, &src, &e) < 0 ||
		    store_blob_check(c->s, repo, &c->blobs[i].d, &e) < 0 ||
		    put_manifest(c->s, repo, text, tag, &d, &e) < 0 ||
		    store_origin_put(c->s, repo, &d, "quay.io/x", &e) < 0 ||
		    store_tag_get(c->s, repo, tag, &d, &e) < 0 ||
		    !holds(c->s, repo, &c->blobs[i])) {
			c->failures++;
			printf("# %s\n", e.text);
		}
		auto_strlist struct strlist tags = {0}, repos = {0};

		if (k % 10 == 0 && (store_tags(c->s, repo, &tags, &e) < 0 ||
				    store_repositories(c->s, &repos, &e) < 0))
			c->failures++;
	}
	return NULL;
}

static void crowd_run(enum store_layout layout)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, layout);
	struct crowd *c = xcalloc(1, sizeof(*c));
	struct member members[THREADS];
	pthread_t threads[THREADS];
	struct err e;

	c->s = s;
	s->barrier_bytes = 150000;
	for (int i = 0; i < BLOBS; i++)
		c->blobs[i] = blob_new((uint64_t)i, i % 5 ? 3000 : 90000);
	pthread_barrier_init(&c->start, NULL, THREADS);
	for (int i = 0; i < THREADS; i++) {
		members[i] = (struct member){c, i};
		pthread_create(&threads[i], NULL, member_run, &members[i]);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK_INT(c->failures, 0);
	CHECK_OK(store_sync(s, &e));
	for (int i = 0; i < BLOBS; i++) {
		CHECK_INT(c->opened[i], 1);
		CHECK(holds(s, i % 2 ? "repo3" : "common", &c->blobs[i]));
	}
	pthread_barrier_destroy(&c->start);
	for (int i = 0; i < BLOBS; i++)
		blob_freep(&c->blobs[i]);
	free(c);
}

TEST(threads_share_a_store)
{
	crowd_run(STORE_LAYOUT_OC);
}

TEST(threads_share_portable_media)
{
	crowd_run(STORE_LAYOUT_PORTABLE);
}

struct checker {
	struct store *s;
	const struct descriptor *d;
	atomic_int *failures;
};

static void *check_run(void *arg)
{
	struct checker *c = arg;
	struct err e;

	*c->failures += store_blob_check(c->s, "img", c->d, &e) < 0;
	return NULL;
}

TEST(threads_that_ask_for_one_blob_hash_it_once)
{
	auto_dir char *dir = temp_dir();
	auto_blob struct blob b = blob_new(1, 5000000);
	pthread_t threads[THREADS];
	atomic_int failures = 0;
	struct err e;

	{
		auto_of(store_close) struct store *s =
			must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

		REQUIRE_OK(put(s, "img", &b, &e));
		REQUIRE_OK(store_sync(s, &e));
	}
	auto_of(store_close) struct store *s = must_open(dir, STORE_READ, STORE_LAYOUT_AUTO);
	struct checker c = {s, &b.d, &failures};

	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, check_run, &c);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK_INT(failures, 0);
	CHECK_INT(s->verdicts.n, 1);
}

int main(void)
{
	return tap_main();
}
