// SPDX-License-Identifier: Apache-2.0
#include "repo/memory.h"
#include "util/mem.h"

#include "tap.h"

static struct stream *open_text(void *arg, uint64_t offset, struct err *e)
{
	struct slab_pool *pool = arg;
	static const char text[] = "hello";

	(void)e;
	return stream_of_bytes(text + offset, strlen(text) - (size_t)offset, pool);
}

TEST(a_repository_is_the_same_by_its_name)
{
	auto_of(place_free) struct place *p = place_memory_new("a.example", NULL);

	CHECK(place_repo(p, "x") == place_repo(p, "x"));
	CHECK(place_repo(p, "x") != place_repo(p, "y"));
	CHECK_STR(place_repo(p, "x/y")->name, "x/y");
}

TEST(printing_puts_the_place_in_front)
{
	auto_of(place_free) struct place *p = place_memory_new("a.example", NULL);
	auto_of(place_free) struct place *nameless = place_memory_new("", NULL);
	auto_free char *a = repo_print(place_repo(p, "x/y"));
	auto_free char *b = repo_print(place_repo(nameless, "x/y"));

	CHECK_STR(a, "a.example/x/y");
	CHECK_STR(b, "x/y");
}

TEST(a_blob_with_the_wrong_bytes_is_not_kept)
{
	auto_of(slab_pool_free) struct slab_pool *pool = slab_pool_new(2);
	auto_of(place_free) struct place *p = place_memory_new("a", pool);
	struct repo *r = place_repo(p, "x");
	const struct opener src = {open_text, pool};
	struct descriptor d = {.media_type = "", .size = 5};
	struct err e;

	digest_of(&d.digest, DIGEST_SHA256, "HELLO", 5);
	CHECK_FAILS(r->ops->blob_put(r, &d, &src, &e));
	CHECK_INT(e.kind, ERR_DIGEST);
	CHECK(!memory_has_blob(r, &d.digest));
	digest_of(&d.digest, DIGEST_SHA256, "hello", 5);
	CHECK_OK(r->ops->blob_put(r, &d, &src, &e));
	CHECK_OK(r->ops->blob_stat(r, &d, &e));
	d.size = 4;
	CHECK_FAILS(r->ops->blob_put(r, &d, &src, &e));
}

TEST(the_nth_call_fails_and_no_other)
{
	auto_of(place_free) struct place *p = place_memory_new("a", NULL);
	struct repo *r = place_repo(p, "x");
	struct manifest_stat st;
	struct digest d;
	struct err e, why;

	err_set(&why, ERR_NET, "reset");
	memory_add_manifest(r, "{}", NULL, "v", &d);
	memory_fail(p, MEMORY_MANIFEST_STAT, 2, &why);
	CHECK_OK(r->ops->manifest_stat(r, "v", &st, &e));
	CHECK(digest_equal(&st.digest, &d));
	CHECK_FAILS(r->ops->manifest_stat(r, "v", &st, &e));
	CHECK_STR(e.text, "reset");
	CHECK_OK(r->ops->manifest_stat(r, d.text, &st, &e));
	CHECK_INT(memory_calls(p, MEMORY_MANIFEST_STAT), 3);
}

TEST(a_damaged_manifest_is_a_digest_error)
{
	auto_of(place_free) struct place *p = place_memory_new("a", NULL);
	struct repo *r = place_repo(p, "x");
	struct manifest_bytes m;
	struct digest d;
	struct err e;

	memory_add_manifest(r, "{}", NULL, "v", &d);
	CHECK_OK(r->ops->manifest_get(r, "v", &m, &e));
	CHECK_STR(m.bytes.p, "{}");
	manifest_bytes_release(&m);
	memory_damage(r, &d);
	CHECK_FAILS(r->ops->manifest_get(r, "v", &m, &e));
	CHECK_INT(e.kind, ERR_DIGEST);
	CHECK_FAILS(r->ops->manifest_get(r, "w", &m, &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
}

int main(void)
{
	return tap_main();
}
