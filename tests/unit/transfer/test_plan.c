// SPDX-License-Identifier: Apache-2.0
#include "transfer/plan.h"

#include "repo/memory.h"
#include "util/cleanup.h"

#include "tap.h"

#include <malloc.h>

static struct digest numbered(unsigned n, enum digest_algo algo)
{
	unsigned char raw[DIGEST_RAW_MAX] = {0};
	struct digest d;

	memcpy(raw, &n, sizeof(n));
	digest_from_raw(&d, algo, raw);
	return d;
}

TEST(a_digest_has_one_id_and_comes_back_as_it_was)
{
	struct digests ds;
	struct digest got;

	digests_init(&ds);
	for (unsigned i = 0; i < 1000; i++) {
		struct digest a = numbered(i, DIGEST_SHA256), b = numbered(i, DIGEST_SHA512);

		CHECK_INT(digests_intern(&ds, &a), 2 * i);
		CHECK_INT(digests_intern(&ds, &b), 2 * i + 1);
	}
	for (unsigned i = 0; i < 1000; i++) {
		struct digest a = numbered(i, DIGEST_SHA256), b = numbered(i, DIGEST_SHA512);

		CHECK_INT(digests_intern(&ds, &a), 2 * i);
		digests_get(&ds, 2 * i, &got);
		CHECK(digest_equal(&got, &a));
		digests_get(&ds, 2 * i + 1, &got);
		CHECK(digest_equal(&got, &b));
	}
	digests_release(&ds);
}

TEST(twenty_thousand_images_of_a_hundred_thousand_blobs_take_less_than_24_mib)
{
	struct place *place = place_memory_new("dst", NULL), *from = place_memory_new("src", NULL);
	struct repo *src = place_repo(from, "a");
	struct plan p;
	bool is_new;
	struct mallinfo2 before = mallinfo2();

	plan_init(&p, 0);
	for (unsigned i = 0; i < 20000; i++) {
		char name[128];

		snprintf(name, sizeof(name), "quay.io/org/image-%u@sha256:%064u", i, i);
		struct digest d = numbered(i, DIGEST_SHA256);
		struct manifest_bytes bytes = {.bytes = BUF_INIT(64), .digest = d};
		const char *tag = name;
		const struct transfer_manifest m = {
			.src = src, .bytes = &bytes, .tags = &tag, .ntags = 1, .name = name};
		snprintf(name, sizeof(name), "r%u", i % 300);
		uint32_t repo = plan_repo(&p, place_repo(place, name));
		uint32_t parent =
			plan_node(&p, NODE_MANIFEST, repo, digests_intern(&p.digests, &d), &is_new);

		plan_describe(&p, parent, &m);
		for (unsigned k = 0; k < 5; k++) {
			struct digest b = numbered(1000000 + i * 5 + k, DIGEST_SHA256);
			uint32_t digest = digests_intern(&p.digests, &b);
			uint32_t node = plan_node(&p, NODE_BLOB, repo, digest, &is_new);

			plan_source(&p, node, 0);
			plan_group(&p, repo, digest, &is_new);
			plan_edge(&p, node, parent);
		}
	}
	struct mallinfo2 after = mallinfo2();
	size_t used = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd;

	CHECK_INT(p.nnodes, 120000);
	CHECK_INT(p.ngroups, 100000);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	CHECK(used > (4u << 20)); // the measure measures
#endif
	CHECK(used < (24u << 20));
	CHECK(sizeof(struct node) <= 48);
	CHECK(sizeof(struct group) <= 40);
	plan_release(&p);
	place_free(place);
	place_free(from);
}

TEST(tags_are_kept_sorted_and_each_once_in_whatever_order_they_come)
{
	static const char *const first[] = {"b", "c", "a", "c"}, *const second[] = {"a", "aa", "d"};
	static const char *const want[] = {"a", "aa", "b", "c", "d"};
	struct place *place = place_memory_new("dst", NULL), *from = place_memory_new("src", NULL);
	struct digest d = numbered(1, DIGEST_SHA256);
	struct transfer_manifest m = {.src = place_repo(from, "a"), .tags = first, .ntags = 4};
	struct plan p;
	bool is_new;
	size_t n = 0;

	plan_init(&p, 0);
	uint32_t node = plan_node(&p, NODE_MANIFEST, plan_repo(&p, place_repo(place, "r")),
				  digests_intern(&p.digests, &d), &is_new);

	CHECK_INT(plan_describe(&p, node, &m), 3);
	m.tags = second;
	m.ntags = 3;
	CHECK_INT(plan_describe(&p, node, &m), 2);
	for (const struct tag *tag = plan_manifest(&p, node)->tags; tag; tag = tag->next, n++)
		CHECK_STR(tag->text, n < ARRAY_SIZE(want) ? want[n] : "none");
	CHECK_INT(n, ARRAY_SIZE(want));
	plan_release(&p);
	place_free(place);
	place_free(from);
}

TEST(a_plan_that_is_too_large_is_refused)
{
	struct plan p;
	struct err e;

	plan_init(&p, 0);
	CHECK_OK(plan_room(&p, PLAN_NODES_MAX, PLAN_EDGES_MAX, &e));
	CHECK_FAILS(plan_room(&p, PLAN_NODES_MAX + 1, 0, &e));
	CHECK_FAILS(plan_room(&p, 0, PLAN_EDGES_MAX + 1, &e));
	CHECK_INT(e.kind, ERR_INPUT);
	plan_release(&p);
}

int main(void)
{
	return tap_main();
}
