// SPDX-License-Identifier: Apache-2.0
// What becomes durable together, who is told of a failure, and what a push repairs.
#include "pushes.h"

#include "interpose.h"
#include <pthread.h>
#include <sched.h>
#include <sys/file.h>

// ---- pushes that wait at the same time

struct pusher {
	pthread_t thread;
	struct store *s;
	const char *repo;
	struct blob b;
	int r;
	struct err e;
};

static void *pusher_run(void *arg)
{
	struct pusher *p = arg;

	p->r = push(p->s, p->repo, &p->b, &p->e);
	return NULL;
}

// Starts N pushes while barriers are held up, and lets them go when all of them wait.
static void push_together(struct store *s, struct pusher *p, size_t n)
{
	size_t waiting = 0;

	pthread_mutex_lock(&s->flush_lock);
	for (size_t i = 0; i < n; i++)
		pthread_create(&p[i].thread, NULL, pusher_run, &p[i]);
	while (waiting < n) {
		sched_yield();
		pthread_mutex_lock(&s->lock);
		waiting = s->batch->nwaiters;
		pthread_mutex_unlock(&s->lock);
	}
	pthread_mutex_unlock(&s->flush_lock);
	for (size_t i = 0; i < n; i++)
		pthread_join(p[i].thread, NULL);
}

static void pushers_init(struct store *s, struct pusher *p, size_t n)
{
	static uint64_t seed = 100;
	unsigned char key[32];
	struct err e;

	CHECK_OK(store_key(s, key, &e)); // so that no failure meets its making
	for (size_t i = 0; i < n; i++)
		p[i] = (struct pusher){.s = s, .repo = "img", .b = blob_new(seed++, 4096)};
}

static void pushers_free(struct pusher *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		blob_freep(&p[i].b);
}

TEST(those_who_wait_at_the_same_time_share_one_barrier)
{
	enum { N = 32 };
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	struct pusher p[N];

	pushers_init(s, p, N);
	push_together(s, p, N);
	CHECK_INT(s->barriers, 1);
	for (size_t i = 0; i < N; i++) {
		struct err e = p[i].e;

		CHECK_OK(p[i].r);
		CHECK(holds(s, "img", &p[i].b));
	}
	pushers_free(p, N);
}

TEST(a_push_alone_is_one_barrier)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	auto_blob struct blob b = blob_new(1, 4096);
	struct err e;

	CHECK_OK(push(s, "img", &b, &e));
	CHECK_INT(s->barriers, 1);
	CHECK_OK(push_manifest(s, "img", "{}", "v1", NULL, &e));
	CHECK_INT(s->barriers, 2);
}

// ---- failures

static size_t unsynced(const struct store *s)
{
	return s->unsynced[0].n + s->unsynced[1].n;
}

TEST(an_error_of_one_file_is_told_to_whom_it_belongs)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	struct pusher p[2];
	int failed = -1;
	struct err e;

	pushers_init(s, p, 2);
	interpose.fail_errno = EIO;
	interpose.fail_after = 1; // the first file is fine
	interpose.fail = "fdatasync";
	push_together(s, p, 2);
	interpose.fail = NULL;
	CHECK_INT(s->barriers, 1);
	for (int i = 0; i < 2; i++)
		if (p[i].r < 0)
			failed = i;
	CHECK_INT(p[0].r + p[1].r, -1);
	CHECK(failed >= 0 && p[failed].e.kind == ERR_IO);
	CHECK(!holds(s, "img", &p[failed].b) && holds(s, "img", &p[!failed].b));
	// It goes on.
	CHECK_OK(push(s, "img", &p[failed].b, &e));
	CHECK(holds(s, "img", &p[failed].b));
	pushers_free(p, 2);
}

TEST(an_impossible_name_does_not_fail_the_others)
{
	enum { N = 8 };
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	struct pusher p[N];
	struct err e;

	pushers_init(s, p, N);
	p[3].repo = "bad";
	run("echo x > '%s/v2/bad'", dir);
	push_together(s, p, N);
	CHECK_INT(s->barriers, 1);
	for (int i = 0; i < N; i++) {
		CHECK_INT(p[i].r, i == 3 ? -1 : 0);
		CHECK(i == 3 || holds(s, "img", &p[i].b));
	}
	auto_free char *tree = tree_of(dir);

	CHECK(!strstr(tree, ".store/up/"));
	CHECK_OK(push(s, "img", &p[3].b, &e));
	pushers_free(p, N);
}

TEST(a_failed_barrier_does_not_end_the_store)
{
	static const char *const calls[] = {"fdatasync", "fsync", "syncfs", "linkat"};
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	struct err e;

	s->busy_bytes = UINT64_MAX / 4;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		enum { N = 20 };
		struct pusher p[N];

		pushers_init(s, p, N);
		interpose.fail_errno = EIO;
		interpose.fail_after = 0;
		interpose.fail = calls[i];
		// Many files are synced in one pass.
		push_together(s, p, i == 2 ? N : 2);
		interpose.fail = NULL;
		for (size_t k = 0; k < (i == 2 ? N : 2); k++) {
			CHECK_FAILS(p[k].r);
			CHECK_INT(p[k].e.kind, ERR_IO);
			CHECK_OK(push(s, "img", &p[k].b, &e));
			CHECK(holds(s, "img", &p[k].b));
		}
		CHECK_INT(unsynced(s), 0);
		pushers_free(p, N);
	}
	auto_free char *tree = tree_of(dir);

	CHECK(!strstr(tree, ".store/up/"));
}

// Names whose folder could not be synced may be lost; what comes next may rest on them.
TEST(nothing_is_promised_until_the_folders_before_are_durable)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	auto_blob struct blob a = blob_new(1, 100), b = blob_new(2, 100);
	unsigned char key[32];
	struct err e;

	REQUIRE_OK(store_key(s, key, &e));
	interpose.fail_errno = EIO;
	interpose.fail_after = 0;
	interpose.fail = "fsync";
	CHECK_FAILS(push(s, "one", &a, &e));
	CHECK(unsynced(s) > 0);
	CHECK_FAILS(push(s, "two", &b, &e));
	interpose.fail = NULL;
	CHECK(!in_dir(dir, "v2/two"));
	run("rm -rf '%s/v2/one'", dir); // a folder that is gone has nothing to be synced
	CHECK_OK(push(s, "two", &b, &e));
	CHECK_INT(unsynced(s), 0);
}

TEST(no_failing_call_is_taken_for_a_durable_push)
{
	static const char *const calls[] = {"openat", "renameat", "symlinkat", "mkdirat",
					    "linkat", "write",    "fsync",     "fdatasync"};
	auto_blob struct blob a = blob_new(1, 1500000), b = blob_new(2, 100);

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		for (int after = 0; after < 60; after++) {
			auto_dir char *dir = temp_dir();
			auto_of(store_close) struct store *s = open_server(dir);
			struct err e;

			interpose.fail_errno = EACCES;
			interpose.fail_after = after;
			interpose.fail = calls[i];
			int r = push(s, "one", &a, &e);

			if (r == 0)
				r = push(s, "one", &b, &e);
			if (r == 0)
				r = store_blob_mount(s, "two", &a.d.digest, "one", &e);
			if (r == 0)
				r = push_manifest(s, "two", "{}", "v1", NULL, &e);
			bool failed = interpose.fail_after < 0;

			interpose.fail = NULL;
			if (r < 0) {
				CHECK(failed);
				CHECK(e.kind == ERR_IO && strstr(e.text, "permission denied"));
				// And with the cause gone it goes on.
				CHECK_OK(push(s, "one", &b, &e));
				continue;
			}
			struct digest d;

			CHECK(holds(s, "one", &a) && holds(s, "two", &a) && holds(s, "one", &b));
			CHECK_OK(store_tag_get(s, "two", "v1", &d, &e));
			if (!failed)
				break;
		}
}

// ---- several at once

TEST(two_processes_commit_the_same_blobs)
{
	enum { BLOBS = 40 };
	auto_dir char *dir = temp_dir();
	pid_t pids[3];
	struct err e;

	store_close(open_server(dir));
	for (int p = 0; p < 3; p++) {
		pids[p] = fork();
		if (pids[p] == 0) {
			struct store *s = open_server(dir);
			int bad = 0;

			for (int i = 0; i < BLOBS; i++) {
				auto_blob struct blob b = blob_new((uint64_t)i, 5000);
				auto_free char *text = xasprintf("{\"n\":%d}", i);

				bad += push(s, "org/img", &b, &e) < 0;
				bad += push_manifest(s, "org/img", text, "v1", NULL, &e) < 0;
			}
			store_close(s);
			_exit(bad);
		}
	}
	for (int p = 0; p < 3; p++) {
		int status;

		waitpid(pids[p], &status, 0);
		CHECK_INT(status, 0);
	}
	auto_of(store_close) struct store *s = open_server(dir);

	for (int i = 0; i < BLOBS; i++) {
		auto_blob struct blob b = blob_new((uint64_t)i, 5000);
		auto_free char *name = pool_name(&b.d.digest);

		CHECK(holds(s, "org/img", &b));
		CHECK_INT(stat_of(dir, name).st_nlink, 2);
	}
	auto_free char *tree = tree_of(dir);

	CHECK(!strstr(tree, ".store/up/") && !strstr(tree, ".store/trash/"));
}

// ---- what the store has already

TEST(a_blob_is_stored_once)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	auto_blob struct blob b = blob_new(1, 5000);
	auto_free char *pool = pool_name(&b.d.digest);
	struct err e;

	CHECK_OK(push(s, "one", &b, &e));
	ino_t inode = stat_of(dir, pool).st_ino;

	CHECK_OK(push(s, "one", &b, &e));
	CHECK_OK(push(s, "two", &b, &e));
	struct stat st = stat_of(dir, pool);

	CHECK(st.st_ino == inode && st.st_nlink == 3 && (st.st_mode & 07777) == 0444);
}

TEST(a_push_repairs_a_damaged_blob_in_every_repository)
{
	static const char *const damage[] = {
		"echo damaged >",
		"printf x | dd conv=notrunc bs=1 seek=7 status=none of=",
	};
	static const char *const repos[] = {"org/one", "org/two", "three"};
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(damage) * 2; i++) {
		auto_dir char *dir = temp_dir();
		auto_of(store_close) struct store *s = open_server(dir);
		auto_blob struct blob b = blob_new(1, 100000);
		auto_free char *pool = pool_name(&b.d.digest);

		for (size_t k = 0; k < 2; k++)
			REQUIRE_OK(push(s, repos[k], &b, &e));
		run("chmod u+w '%s/%s'", dir, pool);
		run("%s'%s/%s'", damage[i / 2], dir, pool);
		CHECK(!holds(s, "org/one", &b));
		// By one who has it, and by one who has not.
		CHECK_OK(push(s, repos[i % 2 ? 0 : 2], &b, &e));
		for (size_t k = 0; k < (i % 2 ? 2 : 3); k++)
			CHECK(holds(s, repos[k], &b));
		CHECK_INT(stat_of(dir, pool).st_nlink, i % 2 ? 3 : 4);
	}
}

TEST(a_mount_needs_the_blob_where_it_is_said_to_be)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	auto_blob struct blob b = blob_new(1, 5000), other = blob_new(2, 10);
	struct err e;

	REQUIRE_OK(push(s, "one", &b, &e));
	CHECK_FAILS(store_blob_mount(s, "two", &b.d.digest, "none", &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
	CHECK_FAILS(store_blob_mount(s, "two", &other.d.digest, NULL, &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
	CHECK_FAILS(store_blob_mount(s, "two", &b.d.digest, "../one", &e));
	CHECK(!in_dir(dir, "v2/two"));
	CHECK_OK(store_blob_mount(s, "two", &b.d.digest, "one", &e));
	CHECK_OK(store_blob_mount(s, "two", &b.d.digest, "one", &e));
	CHECK_OK(store_blob_mount(s, "three", &b.d.digest, NULL, &e));
	CHECK(holds(s, "two", &b) && holds(s, "three", &b));
	auto_free char *pool = pool_name(&b.d.digest);

	CHECK_INT(stat_of(dir, pool).st_nlink, 4);
}

TEST(a_touch_makes_an_old_blob_young)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	auto_blob struct blob b = blob_new(1, 5000);
	auto_free char *pool = pool_name(&b.d.digest);
	struct err e;

	REQUIRE_OK(push(s, "img", &b, &e));
	struct stat before = stat_of(dir, pool);

	store_blob_touch(s, "img", &b.d.digest);
	struct stat after = stat_of(dir, pool);

	CHECK(after.st_ctim.tv_sec == before.st_ctim.tv_sec &&
	      after.st_ctim.tv_nsec == before.st_ctim.tv_nsec);
	s->clock_shift = 2 * 3600;
	// The clock of files ticks every few milliseconds.
	do {
		store_blob_touch(s, "img", &b.d.digest);
		after = stat_of(dir, pool);
	} while (after.st_ctim.tv_nsec == before.st_ctim.tv_nsec);
	CHECK(after.st_mtim.tv_nsec == before.st_mtim.tv_nsec && after.st_mode == before.st_mode);
	store_blob_touch(s, "none", &b.d.digest);
}

// ---- manifests

#define SUBJECT "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

TEST(a_manifest_gets_all_its_names)
{
	static const char text[] =
		"{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\","
		"\"manifests\":[],\"subject\":{\"mediaType\":"
		"\"application/vnd.oci.image.manifest.v1+json\",\"size\":2,\"digest\":\"" SUBJECT
		"\"}}";
	static const char *const tags[] = {"v1", "v1.2", "latest"};
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	struct digest d, got;
	struct err e;

	digest_of(&d, DIGEST_SHA256, text, strlen(text));
	for (int again = 0; again < 2; again++) {
		CHECK_OK(
			store_manifest_commit(s, "img", str_of(text), &d, tags, 3, NULL, NULL, &e));
		auto_free char *pool = pool_name(&d);

		CHECK_INT(stat_of(dir, pool).st_nlink, 4);
	}
	for (size_t i = 0; i < 3; i++) {
		CHECK_OK(store_tag_get(s, "img", tags[i], &got, &e));
		CHECK(digest_equal(&d, &got));
	}
	auto_free char *referrer = xasprintf("v2/img/referrers/%s/%s", SUBJECT, d.text);

	CHECK(in_dir(dir, referrer));
	CHECK_OK(store_manifest_remove(s, "img", &d, &e));
	CHECK(!in_dir(dir, referrer));
}

TEST(a_bad_manifest_or_tag_stores_nothing)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	const char *tags[101];
	struct digest d, other;
	struct err e;

	digest_of(&d, DIGEST_SHA256, "{}", 2);
	digest_of(&other, DIGEST_SHA256, "x", 1);
	for (size_t i = 0; i < 101; i++)
		tags[i] = "v1";
	CHECK_FAILS(store_manifest_commit(s, "img", STR("{}"), &d, tags, 101, NULL, NULL, &e));
	CHECK_FAILS(store_manifest_commit(s, "img", STR("{}"), &other, tags, 1, NULL, NULL, &e));
	CHECK_INT(e.kind, ERR_DIGEST);
	tags[1] = "../v1";
	CHECK_FAILS(store_manifest_commit(s, "img", STR("{}"), &d, tags, 2, NULL, NULL, &e));
	CHECK_INT(e.kind, ERR_INPUT);
	CHECK_FAILS(store_manifest_commit(s, "blobs", STR("{}"), &d, NULL, 0, NULL, NULL, &e));
	CHECK(!in_dir(dir, "v2/img"));
}

struct collector {
	const char *dir;
	int lock; // whether a collection could begin
	bool refuse;
};

static int collect_meanwhile(void *arg, struct err *e)
{
	struct collector *c = arg;
	auto_free char *path = path_join(c->dir, "v2/img/.lock");
	auto_fd int fd = open(path, O_RDWR | O_CLOEXEC);

	c->lock = flock(fd, LOCK_EX | LOCK_NB);
	return c->refuse ? err_set(e, ERR_NOT_FOUND, "a layer is missing") : 0;
}

TEST(no_collection_runs_between_the_check_and_the_names)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = open_server(dir);
	auto_blob struct blob b = blob_new(1, 10);
	struct collector c = {.dir = dir};
	auto_strlist struct strlist repos = {0};
	struct digest d;
	struct err e;

	REQUIRE_OK(push(s, "img", &b, &e));
	digest_of(&d, DIGEST_SHA256, "{}", 2);
	CHECK_OK(
		store_manifest_commit(s, "img", STR("{}"), &d, NULL, 0, collect_meanwhile, &c, &e));
	CHECK_INT(c.lock, -1);
	c.refuse = true;
	digest_of(&d, DIGEST_SHA256, "{ }", 3);
	CHECK_FAILS(store_manifest_commit(s, "img", STR("{ }"), &d, NULL, 0, collect_meanwhile, &c,
					  &e));
	CHECK_STR(e.text, "a layer is missing");
	auto_free char *name = blob_name("img", &d);

	CHECK(!in_dir(dir, name));
	CHECK_OK(store_repositories(s, &repos, &e));
	CHECK_INT(repos.n, 1);
	CHECK(in_dir(dir, "v2/img/.lock"));
}

int main(void)
{
	return tap_main();
}
