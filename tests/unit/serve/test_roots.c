// SPDX-License-Identifier: Apache-2.0
// Several stores as one.
#include "serve/internal.h"
#include "unit/serve/call.h"

// Two roots with their folders, opened by the test once they are filled.
struct pair {
	char *dir[2];
	struct registry r;
};

static void pair_init(struct pair *p)
{
	memset(p, 0, sizeof(*p));
	p->dir[0] = temp_dir();
	p->dir[1] = temp_dir();
}

static void pair_release(struct pair *p)
{
	registry_release(&p->r);
	for (int i = 0; i < 2; i++)
		temp_dir_removep(&p->dir[i]);
}
#define auto_pair __attribute__((cleanup(pair_release)))

static void pair_open(struct pair *p)
{
	registry_add_root(&p->r, p->dir[0]);
	registry_add_root(&p->r, p->dir[1]);
	registry_start(&p->r);
}

static void add_blob(const char *dir, const char *repo, struct blob *b)
{
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_OC);
	struct err e;

	CHECK_OK(put(s, repo, b, &e));
	CHECK_OK(store_sync(s, &e));
}

static void add_manifest(const char *dir, const char *repo, const char *text, const char *tag,
			 struct digest *ret)
{
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_OC);
	struct err e;

	CHECK_OK(put_manifest(s, repo, text, tag, ret, &e));
	CHECK_OK(store_sync(s, &e));
}

// The root that gives D; -1: none, and *e.
static int who_has(struct pair *p, const char *repo, const struct digest *d, struct err *e)
{
	auto_store_file struct store_file file = {0};
	int root = -1;

	*e = (struct err){0};
	if (roots_blob(p->r.api->roots, repo, d, STORE_MAY_WAIT, &file, &root, e) != 0)
		return -1;
	return root;
}

TEST(the_first_root_that_has_a_blob_gives_it)
{
	auto_pair struct pair p;
	auto_blob struct blob both = blob_new(1, 3000), second = blob_new(2, 3000),
			      none = blob_new(3, 10);
	struct err e;

	pair_init(&p);
	add_blob(p.dir[0], "a/b", &both);
	add_blob(p.dir[1], "a/b", &both);
	add_blob(p.dir[1], "a/b", &second);
	pair_open(&p);
	CHECK_INT(who_has(&p, "a/b", &both.d.digest, &e), 0);
	CHECK_INT(who_has(&p, "a/b", &second.d.digest, &e), 1);
	CHECK_INT(who_has(&p, "a/b", &none.d.digest, &e), -1);
	CHECK_INT(e.kind, ERR_NOT_FOUND);
	CHECK_INT(who_has(&p, "x/y", &both.d.digest, &e), -1);
	CHECK_INT(e.kind, ERR_NOT_FOUND);
}

TEST(a_root_that_could_not_read_a_blob_is_passed_over_for_it)
{
	auto_pair struct pair p;
	auto_blob struct blob both = blob_new(1, 3000), other = blob_new(2, 3000);
	struct err e;

	pair_init(&p);
	add_blob(p.dir[0], "a/b", &both);
	add_blob(p.dir[0], "a/b", &other);
	add_blob(p.dir[1], "a/b", &both);
	pair_open(&p);
	roots_mark_bad(p.r.api->roots, 0, "a/b", &both.d.digest);
	CHECK_INT(who_has(&p, "a/b", &both.d.digest, &e), 1);
	CHECK_INT(who_has(&p, "a/b", &other.d.digest, &e), 0);
}

TEST(an_unreadable_blob_is_a_failure_and_not_an_absence)
{
	auto_pair struct pair p;
	auto_blob struct blob b = blob_new(1, 3000);
	struct err e;

	pair_init(&p);
	add_blob(p.dir[0], "a/b", &b);
	pair_open(&p);
	roots_mark_bad(p.r.api->roots, 0, "a/b", &b.d.digest);
	CHECK_INT(who_has(&p, "a/b", &b.d.digest, &e), -1);
	CHECK_INT(e.kind, ERR_IO);
	CHECK_INT(e.os, EIO);
	CHECK_INT(who_has(&p, "x/y", &b.d.digest, &e), -1);
	CHECK_INT(e.kind, ERR_NOT_FOUND);
}

TEST(what_is_remembered_of_bad_blobs_is_bounded)
{
	auto_pair struct pair p;
	auto_blob struct blob first = blob_new(1, 100), last = blob_new(2, 100);
	struct err e;

	pair_init(&p);
	add_blob(p.dir[0], "a/b", &first);
	add_blob(p.dir[0], "a/b", &last);
	pair_open(&p);
	roots_mark_bad(p.r.api->roots, 0, "a/b", &first.d.digest);
	for (unsigned i = 0; i < 1000; i++) {
		struct digest d;

		digest_of(&d, DIGEST_SHA256, &i, sizeof(i));
		roots_mark_bad(p.r.api->roots, 0, "a/b", &d);
	}
	roots_mark_bad(p.r.api->roots, 0, "a/b", &last.d.digest);
	CHECK_INT(who_has(&p, "a/b", &first.d.digest, &e), 0);
	CHECK_INT(who_has(&p, "a/b", &last.d.digest, &e), -1);
}

#define OLD "{\"schemaVersion\":2,\"manifests\":[],\"annotations\":{\"is\":\"old\"}}"
#define NEW "{\"schemaVersion\":2,\"manifests\":[],\"annotations\":{\"is\":\"new\"}}"

// Flips a byte of the manifest D.
static void damage(const char *dir, const struct digest *d)
{
	run("cd '%s' && for f in $(find . -name '%s' -type f); do chmod u+w $f; "
	    "printf X | dd of=$f bs=1 seek=20 conv=notrunc status=none; done",
	    dir, d->text);
}

static int fetch(struct pair *p, const char *ref, struct buf *ret, struct err *e)
{
	struct digest d;

	*e = (struct err){0};
	buf_clear(ret);
	return roots_manifest(p->r.api->roots, "a/b", ref, STORE_MAY_WAIT, ret, &d, e);
}

TEST(a_damaged_manifest_comes_from_the_next_root)
{
	auto_pair struct pair p;
	auto_buf struct buf got = BUF_INIT(BUF_TEXT_MAX);
	struct digest d;
	struct err e;

	pair_init(&p);
	add_manifest(p.dir[0], "a/b", OLD, "v1", &d);
	add_manifest(p.dir[1], "a/b", OLD, "v1", &d);
	damage(p.dir[0], &d);
	pair_open(&p);
	CHECK_OK(fetch(&p, d.text, &got, &e));
	CHECK_STR(got.p, OLD);
	CHECK_OK(fetch(&p, "v1", &got, &e));
	CHECK_STR(got.p, OLD);
	CHECK(strstr(p.r.notices.p, p.dir[0]) != NULL);
}

TEST(a_damaged_manifest_that_no_root_has_whole_is_a_failure)
{
	auto_pair struct pair p;
	auto_buf struct buf got = BUF_INIT(BUF_TEXT_MAX);
	struct digest d;
	struct err e;

	pair_init(&p);
	add_manifest(p.dir[0], "a/b", OLD, "v1", &d);
	add_manifest(p.dir[1], "a/b", NEW, "v2", NULL);
	damage(p.dir[0], &d);
	pair_open(&p);
	CHECK_FAILS(fetch(&p, d.text, &got, &e));
	CHECK(e.kind != ERR_NOT_FOUND);
	CHECK_FAILS(fetch(&p, "v3", &got, &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
}

TEST(the_same_tag_of_another_image_does_not_stand_in_for_a_damaged_one)
{
	auto_pair struct pair p;
	auto_buf struct buf got = BUF_INIT(BUF_TEXT_MAX);
	struct digest d;
	struct err e;

	pair_init(&p);
	add_manifest(p.dir[0], "a/b", NEW, "v1", &d);
	add_manifest(p.dir[1], "a/b", OLD, "v1", NULL);
	damage(p.dir[0], &d);
	pair_open(&p);
	CHECK_FAILS(fetch(&p, "v1", &got, &e));
	CHECK(e.kind != ERR_NOT_FOUND);
}

static void *ask_and_mark(void *arg)
{
	struct pair *p = arg;
	auto_blob struct blob b = blob_new(1, 3000);
	auto_free char *target = xasprintf("/v2/a/b/blobs/%s", b.d.digest.text);

	for (unsigned i = 0; i < 200; i++) {
		struct digest d;

		ask_opt.slow = i % 2;
		auto_answer struct answer a = ask(&p->r, "GET", target, NULL, NULL);

		CHECK_INT(a.status, 200);
		CHECK_INT(a.n, 3000);
		digest_of(&d, DIGEST_SHA256, &i, sizeof(i));
		roots_mark_bad(p->r.api->roots, 1, "a/b", i == 100 ? &b.d.digest : &d);
	}
	return NULL;
}

TEST(many_threads_may_pull_while_blobs_go_bad)
{
	auto_pair struct pair p;
	auto_blob struct blob b = blob_new(1, 3000);
	pthread_t threads[4];

	pair_init(&p);
	add_blob(p.dir[0], "a/b", &b);
	add_blob(p.dir[1], "a/b", &b);
	pair_open(&p);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		CHECK_INT(pthread_create(&threads[i], NULL, ask_and_mark, &p), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
}

static void check_list(const struct strlist *l, const char *want)
{
	auto_buf struct buf got = BUF_INIT(BUF_TEXT_MAX);

	for (size_t i = 0; i < l->n; i++)
		buf_printf(&got, "%s%s", i ? " " : "", l->v[i]);
	CHECK_STR(got.p, want);
}

TEST(lists_are_the_sum_of_all_roots_in_byte_order)
{
	auto_pair struct pair p;
	auto_strlist struct strlist tags = {0}, repos = {0};
	struct err e;

	pair_init(&p);
	add_manifest(p.dir[0], "a/b", OLD, "b", NULL);
	add_manifest(p.dir[0], "a/b", OLD, "Z", NULL);
	add_manifest(p.dir[1], "a/b", OLD, "a", NULL);
	add_manifest(p.dir[1], "a/b", NEW, "b", NULL);
	add_manifest(p.dir[1], "a-c", NEW, "x", NULL);
	pair_open(&p);
	CHECK_OK(roots_tags(p.r.api->roots, "a/b", &tags, &e));
	check_list(&tags, "Z a b");
	CHECK_OK(roots_repositories(p.r.api->roots, &repos, &e));
	check_list(&repos, "a-c a/b");
	CHECK(roots_repository_exists(p.r.api->roots, "a-c"));
	CHECK(!roots_repository_exists(p.r.api->roots, "a"));
}

int main(void)
{
	return tap_main();
}
