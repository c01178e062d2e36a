// SPDX-License-Identifier: Apache-2.0
#include "world.h"

#include "tap.h"

// Images are written as rows of their first members.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

// A plan of one image with two blobs: the smallest that does everything.
static struct descriptor pair[2];

static void make_pair(struct world *w, const char *repo)
{
	pair[0] = world_blob(w, repo, "config");
	pair[1] = world_blob(w, repo, "layer");
}

static struct err failure(enum err_kind kind, int http, const char *text)
{
	struct err e;

	err_set(&e, kind, "%s", text);
	e.http = http;
	return e;
}

TEST(an_image_arrives_whole_blobs_before_the_manifest_and_tags_in_order)
{
	auto_world struct world w;
	struct err e;
	auto_strlist struct strlist log = {0};
	struct transfer_stats st;

	world_init(&w);
	world_start(&w);
	make_pair(&w, "a");
	REQUIRE_OK(world_add(&w, &(struct image){"a", "x", "M", "v2", "v1", pair, 2}, &e));
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	memory_log(w.dst, &log);
	CHECK_INT(world_matches(&log, "manifest_put"), 2);
	CHECK(world_find(&log, "manifest_put x v1") > world_find(&log, "blob_put"));
	CHECK(world_find(&log, "manifest_put x v2") == (long)log.n - 1);
	CHECK(memory_has_manifest(world_dst(&w, "x"), "v1"));
	CHECK_INT(w.counts[TRANSFER_IMAGE_DONE], 2);
	CHECK_INT(w.counts[TRANSFER_PLANNED], 2 + 2); // blobs, and result lines
	CHECK_INT(w.counts[TRANSFER_BLOB_DONE], 2);
	transfer_stats(w.t, &st);
	CHECK_INT(st.images, 2);
	CHECK_INT(st.images_done, 2);
	CHECK_INT(st.blobs_done, 2);
	CHECK_INT(st.bytes_done, 11);
	CHECK_INT(st.bytes_moved, 11);
}

TEST(a_blob_is_downloaded_once_for_a_destination_and_mounted_in_the_parked_repositories)
{
	auto_world struct world w;
	struct err e;
	struct transfer_stats st;

	world_init(&w);
	w.cfg.hold_blobs = true; // all of them are known before the first moves
	world_start(&w);
	struct descriptor d = world_blob(&w, "a", "layer");

	world_blob(&w, "b", "layer"); // another source has the same
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M1", "v", NULL, &d, 1}, &e));
	CHECK_OK(world_add(&w, &(struct image){"b", "y", "M2", "v", NULL, &d, 1}, &e));
	CHECK_OK(world_add(&w, &(struct image){"b", "z", "M3", "v", NULL, &d, 1}, &e));
	CHECK_OK(world_add(&w, &(struct image){"b", "x", "M4", "v4", NULL, &d, 1}, &e));
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(memory_calls(w.src, MEMORY_BLOB_OPEN), 1);
	CHECK_INT(memory_calls(w.dst, MEMORY_BLOB_PUT), 1);
	CHECK_INT(memory_calls(w.dst, MEMORY_BLOB_STAT), 1);
	CHECK_INT(memory_calls(w.dst, MEMORY_BLOB_MOUNT), 2);
	CHECK(memory_has_blob(world_dst(&w, "z"), &d.digest));
	transfer_stats(w.t, &st);
	CHECK_INT(st.blobs, 1);
	CHECK_INT(st.blobs_shared, 1);
	CHECK_INT(st.bytes, 5);
	CHECK_INT(st.bytes_shared, 5);
	CHECK_INT(st.mounted, 2);
}

TEST(two_destinations_are_two_downloads)
{
	auto_world struct world w;
	struct err e;

	world_init(&w);
	auto_of(place_free) struct place *other = place_memory_new("other", w.pool);

	world_start(&w);
	struct descriptor d = world_blob(&w, "a", "layer");
	struct manifest_bytes bytes = {.bytes = BUF_INIT(10), .digest = world_digest("M")};

	buf_puts(&bytes.bytes, "M");
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M", "v", NULL, &d, 1}, &e));
	CHECK_OK(transfer_add(w.t,
			      &(struct transfer_manifest){.src = world_src(&w, "a"),
							  .dst = place_repo(other, "x"),
							  .bytes = &bytes,
							  .blobs = &d,
							  .nblobs = 1},
			      &e));
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(memory_calls(w.src, MEMORY_BLOB_OPEN), 2);
	CHECK(memory_has_manifest(place_repo(other, "x"), world_digest("M").text));
	transfer_free(w.t);
	w.t = NULL;
}

TEST(a_refused_mount_reads_from_the_destination_itself)
{
	auto_world struct world w;
	struct err e;

	world_init(&w);
	w.cfg.hold_blobs = true;
	world_start(&w);
	memory_refuse_mounts(w.dst);
	struct descriptor d = world_blob(&w, "a", "layer");

	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M1", "v", NULL, &d, 1}, &e));
	CHECK_OK(world_add(&w, &(struct image){"a", "y", "M2", "v", NULL, &d, 1}, &e));
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(memory_calls(w.src, MEMORY_BLOB_OPEN), 1);
	CHECK_INT(memory_calls(w.dst, MEMORY_BLOB_OPEN), 1);
	CHECK_INT(memory_calls(w.dst, MEMORY_BLOB_PUT), 2);
	CHECK(memory_has_blob(world_dst(&w, "y"), &d.digest));
}

TEST(a_destination_that_cannot_be_read_sends_us_back_to_the_source)
{
	auto_world struct world w;
	struct err e, denied = failure(ERR_DENIED, 403, "denied");

	world_init(&w);
	w.cfg.hold_blobs = true;
	world_start(&w);
	memory_refuse_mounts(w.dst);
	memory_fail(w.dst, MEMORY_BLOB_OPEN, 0, &denied);
	struct descriptor d = world_blob(&w, "a", "layer");

	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M1", "v", NULL, &d, 1}, &e));
	CHECK_OK(world_add(&w, &(struct image){"a", "y", "M2", "v", NULL, &d, 1}, &e));
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(memory_calls(w.src, MEMORY_BLOB_OPEN), 2);
}

TEST(with_skip_mount_nothing_is_mounted)
{
	auto_world struct world w;
	struct err e;

	world_init(&w);
	w.cfg.hold_blobs = w.cfg.skip_mount = true;
	world_start(&w);
	struct descriptor d = world_blob(&w, "a", "layer");

	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M1", "v", NULL, &d, 1}, &e));
	CHECK_OK(world_add(&w, &(struct image){"a", "y", "M2", "v", NULL, &d, 1}, &e));
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(memory_calls(w.dst, MEMORY_BLOB_MOUNT), 0);
	CHECK_INT(memory_calls(w.src, MEMORY_BLOB_OPEN), 2);
}

TEST(within_one_registry_a_blob_is_mounted_from_its_source)
{
	auto_world struct world w;
	struct err e;
	struct descriptor d;

	world_init(&w);
	world_start(&w);
	memory_add_blob(world_dst(&w, "a"), "layer", 5, &d);
	CHECK_OK(world_add_to(&w, &(struct image){"a", "x", "M", "v", NULL, &d, 1},
			      world_dst(&w, "a"), &e));
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(memory_calls(w.dst, MEMORY_BLOB_MOUNT), 1);
	CHECK_INT(memory_calls(w.dst, MEMORY_BLOB_PUT), 0);
	CHECK_INT(w.counts[TRANSFER_BLOB_MOUNTED], 1);
}

TEST(what_the_destination_has_is_not_sent)
{
	auto_world struct world w;
	struct err e;

	world_init(&w);
	world_start(&w);
	make_pair(&w, "a");
	struct descriptor there;

	memory_add_blob(world_dst(&w, "x"), "layer", 5, &there);
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M", "v", NULL, pair, 2}, &e));
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(memory_calls(w.dst, MEMORY_BLOB_PUT), 1);
	CHECK_INT(w.counts[TRANSFER_BLOB_PRESENT], 1);
}

TEST(a_fresh_repository_is_asked_for_nothing)
{
	auto_world struct world w;
	struct err e;

	world_init(&w);
	world_start(&w);
	struct descriptor d = world_blob(&w, "a", "layer");

	memory_set_fresh(world_dst(&w, "x"));
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M", "v", NULL, &d, 1}, &e));
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(memory_calls(w.dst, MEMORY_BLOB_STAT), 0);
	CHECK_INT(memory_calls(w.dst, MEMORY_BLOB_PUT), 1);
}

TEST(force_asks_nothing_and_sends_everything)
{
	auto_world struct world w;
	struct err e;
	struct descriptor there;

	world_init(&w);
	w.cfg.force = true;
	world_start(&w);
	make_pair(&w, "a");
	memory_add_blob(world_dst(&w, "x"), "layer", 5, &there);
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M", "v", NULL, pair, 2}, &e));
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(memory_calls(w.dst, MEMORY_BLOB_STAT), 0);
	CHECK_INT(memory_calls(w.dst, MEMORY_BLOB_PUT), 2);
}

TEST(a_leader_whose_source_fails_hands_over_to_another_source)
{
	auto_world struct world w;
	struct err e, gone = failure(ERR_NOT_FOUND, 404, "blob unknown");

	world_init(&w);
	w.cfg.hold_blobs = true;
	world_start(&w);
	struct descriptor d = world_blob(&w, "bad", "layer");

	world_blob(&w, "good", "layer");
	memory_fail_repository(w.src, "bad", MEMORY_BLOB_OPEN, &gone);
	CHECK_OK(world_add(&w, &(struct image){"bad", "x", "M1", "v", NULL, &d, 1}, &e));
	CHECK_OK(world_add(&w, &(struct image){"bad", "y", "M2", "v", NULL, &d, 1}, &e));
	CHECK_OK(world_add(&w, &(struct image){"good", "z", "M3", "v", NULL, &d, 1}, &e));
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(w.counts[TRANSFER_RETRIED], 1);
	CHECK_INT(w.counts[TRANSFER_FAILED], 0);
	CHECK_INT(memory_calls(w.src, MEMORY_BLOB_OPEN), 2); // not once more from "bad"
	CHECK_INT(w.counts[TRANSFER_IMAGE_DONE], 3);
	CHECK_INT(memory_calls(w.dst, MEMORY_BLOB_MOUNT), 2);
}

TEST(one_repository_with_two_sources_uses_the_second)
{
	auto_world struct world w;
	struct err e;

	world_init(&w);
	w.cfg.hold_blobs = true;
	world_start(&w);
	struct descriptor d = world_blob(&w, "bad", "layer");

	world_blob(&w, "good", "layer");
	memory_damage(world_src(&w, "bad"), &d.digest);
	CHECK_OK(world_add(&w, &(struct image){"bad", "x", "M1", "v", NULL, &d, 1}, &e));
	CHECK_OK(world_add(&w, &(struct image){"good", "x", "M2", "w", NULL, &d, 1}, &e));
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(w.last.kind, ERR_DIGEST);
	CHECK_INT(w.counts[TRANSFER_RETRIED], 1);
	CHECK_INT(w.counts[TRANSFER_IMAGE_DONE], 2);
}

TEST(a_leader_that_may_not_push_hands_over_and_then_mounts)
{
	auto_world struct world w;
	struct err e, denied = failure(ERR_DENIED, 403, "denied");

	world_init(&w);
	w.cfg.hold_blobs = true;
	world_start(&w);
	struct descriptor d = world_blob(&w, "a", "layer");

	memory_fail(w.dst, MEMORY_BLOB_PUT, 1, &denied);
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M1", "v", NULL, &d, 1}, &e));
	CHECK_OK(world_add(&w, &(struct image){"a", "y", "M2", "v", NULL, &d, 1}, &e));
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(memory_calls(w.dst, MEMORY_BLOB_PUT), 2);
	CHECK(memory_has_blob(world_dst(&w, "x"), &d.digest));
}

TEST(when_no_candidate_is_left_the_error_stands_for_all_and_is_told_once)
{
	auto_world struct world w;
	struct err e;
	struct transfer_stats st;

	world_init(&w);
	w.cfg.hold_blobs = true;
	world_start(&w);
	struct descriptor d = world_blob(&w, "a", "layer");

	memory_damage(world_src(&w, "a"), &d.digest);
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M1", "v", NULL, &d, 1}, &e));
	CHECK_OK(world_add(&w, &(struct image){"a", "y", "M2", "v", NULL, &d, 1}, &e));
	CHECK_FAILS(transfer_run(w.t, NULL, NULL, &e));
	CHECK_STR(e.text, "one or more errors occurred while uploading images");
	CHECK_INT(w.counts[TRANSFER_FAILED], 1);
	CHECK_INT(w.last.kind, ERR_DIGEST);
	CHECK(strstr(w.last.text, "M1: unable to copy layer sha256:") != NULL);
	CHECK(strstr(w.last.text, " to dst.example/x: content integrity error: the blob") != NULL);
	CHECK_INT(memory_calls(w.src, MEMORY_BLOB_OPEN), 1);
	CHECK_INT(memory_calls(w.dst, MEMORY_MANIFEST_PUT), 0);
	transfer_stats(w.t, &st);
	CHECK_INT(st.failed, 1);
	CHECK_INT(st.images_done, 0);
}

TEST(a_blob_that_grows_beyond_its_size_is_refused)
{
	auto_world struct world w;
	struct err e;

	world_init(&w);
	world_start(&w);
	struct descriptor d = world_blob(&w, "a", "layer");

	d.size = 3;
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M", "v", NULL, &d, 1}, &e));
	CHECK_FAILS(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(w.last.kind, ERR_DIGEST);
	CHECK(!memory_has_blob(world_dst(&w, "x"), &d.digest));
}

TEST(a_blob_cannot_have_two_sizes)
{
	auto_world struct world w;
	struct err e;

	world_init(&w);
	w.cfg.continue_on_error = true;
	world_start(&w);
	struct descriptor d = world_blob(&w, "a", "layer"), lie = d;

	lie.size++;
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M1", "v", NULL, &d, 1}, &e));
	CHECK_FAILS(world_add(&w, &(struct image){"a", "x", "M2", "w", NULL, &lie, 1}, &e));
	CHECK_INT(e.kind, ERR_INPUT);
	CHECK_FAILS(transfer_run(w.t, NULL, NULL, &e));
	CHECK(memory_has_manifest(world_dst(&w, "x"), "v"));
	CHECK(!memory_has_manifest(world_dst(&w, "x"), "w"));
}

TEST(lists_that_share_children_all_arrive_after_them)
{
	auto_world struct world w;
	struct err e;
	auto_strlist struct strlist log = {0};

	world_init(&w);
	world_start(&w);
	make_pair(&w, "a");
	struct digest children[] = {world_digest("C1"), world_digest("C2")};
	const char *lists[] = {"L1", "L2", "L3"};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		CHECK_OK(world_add(
			&w,
			&(struct image){"a", "x", lists[i], lists[i], NULL, NULL, 0, children, 2},
			&e));
		CHECK_OK(world_add(&w, &(struct image){"a", "x", "C1", NULL, NULL, pair, 2}, &e));
		CHECK_OK(world_add(&w, &(struct image){"a", "x", "C2", NULL, NULL, pair, 2}, &e));
	}
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	memory_log(w.dst, &log);
	CHECK_INT(world_matches(&log, "manifest_put"), 5);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		for (size_t k = 0; k < 2; k++)
			CHECK(world_find(&log, lists[i]) > world_find(&log, children[k].text));
	CHECK_INT(memory_calls(w.dst, MEMORY_BLOB_PUT), 2);
	CHECK_INT(w.counts[TRANSFER_IMAGE_DONE], 5);
}

TEST(a_nested_index_goes_up_from_its_leaves)
{
	auto_world struct world w;
	struct err e;
	auto_strlist struct strlist log = {0};

	world_init(&w);
	world_start(&w);
	make_pair(&w, "a");
	struct digest leaf = world_digest("leaf"), inner = world_digest("inner");

	CHECK_OK(world_add(&w, &(struct image){"a", "x", "outer", "v", NULL, NULL, 0, &inner, 1},
			   &e));
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "inner", NULL, NULL, NULL, 0, &leaf, 1},
			   &e));
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "leaf", NULL, NULL, pair, 2}, &e));
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	memory_log(w.dst, &log);
	CHECK(world_find(&log, leaf.text) < world_find(&log, inner.text));
	CHECK(world_find(&log, inner.text) < world_find(&log, "manifest_put x v"));
}

TEST(a_failed_child_stops_its_parents_only)
{
	auto_world struct world w;
	struct err e;

	world_init(&w);
	w.cfg.continue_on_error = true;
	world_start(&w);
	struct descriptor good = world_blob(&w, "a", "good"), bad = world_blob(&w, "a", "bad");
	struct digest children[] = {world_digest("C1"), world_digest("C2")};

	memory_damage(world_src(&w, "a"), &bad.digest);
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "L1", "l1", NULL, NULL, 0, children, 2},
			   &e));
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "L2", "l2", NULL, NULL, 0, children, 1},
			   &e));
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "C1", NULL, NULL, &good, 1}, &e));
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "C2", NULL, NULL, &bad, 1}, &e));
	CHECK_FAILS(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(e.kind, ERR_INCOMPLETE);
	CHECK_STR(e.text, "one or more errors occurred");
	CHECK(memory_has_manifest(world_dst(&w, "x"), "l2"));
	CHECK(memory_has_manifest(world_dst(&w, "x"), children[0].text));
	CHECK(!memory_has_manifest(world_dst(&w, "x"), "l1"));
	CHECK(!memory_has_manifest(world_dst(&w, "x"), children[1].text));
	CHECK(world_find(&w.events, "L1: was not mirrored to dst.example/x:l1") >= 0);

	struct digest l1 = world_digest("L1"), l2 = world_digest("L2");
	const struct transfer_failure *why = transfer_why(w.t, world_dst(&w, "x"), &l1);

	CHECK(why && why->kind == ERR_DIGEST && why->at_source);
	CHECK(why && strstr(why->text, bad.digest.text));
	CHECK(transfer_why(w.t, world_dst(&w, "x"), &children[1]) == why);
	CHECK(!transfer_why(w.t, world_dst(&w, "x"), &l2));
	CHECK(!transfer_why(w.t, world_dst(&w, "elsewhere"), &l1));
}

TEST(whoever_shares_a_blob_that_failed_has_failed_for_its_reason)
{
	auto_world struct world w;
	struct err e, denied = failure(ERR_DENIED, 403, "denied");

	world_init(&w);
	w.cfg.continue_on_error = true;
	w.cfg.hold_blobs = true;
	world_start(&w);
	memory_fail(w.dst, MEMORY_BLOB_PUT, 0, &denied);
	struct descriptor d = world_blob(&w, "a", "layer");

	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M1", "v", NULL, &d, 1}, &e));
	CHECK_OK(world_add(&w, &(struct image){"a", "y", "M2", "v", NULL, &d, 1}, &e));
	CHECK_FAILS(transfer_run(w.t, NULL, NULL, &e));
	const char *const at[][2] = {{"x", "M1"}, {"y", "M2"}};

	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		struct digest m = world_digest(at[i][1]);
		const struct transfer_failure *why = transfer_why(w.t, world_dst(&w, at[i][0]), &m);

		CHECK(why && why->http == 403 && !why->at_source);
		CHECK(why && starts_with(why->text, "unable to upload blob sha256:"));
	}
}

TEST(a_tag_that_could_not_be_given_has_its_reason_although_the_image_is_there)
{
	auto_world struct world w;
	struct err e, broken = failure(ERR_NET, 500, "broken");

	world_init(&w);
	w.cfg.continue_on_error = true;
	world_start(&w);
	memory_fail(w.dst, MEMORY_MANIFEST_PUT, 2, &broken);
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M", "v1", "v2"}, &e));
	CHECK_FAILS(transfer_run(w.t, NULL, NULL, &e));
	struct digest m = world_digest("M");
	const struct transfer_failure *why = transfer_why(w.t, world_dst(&w, "x"), &m);

	CHECK(memory_has_manifest(world_dst(&w, "x"), "v1"));
	CHECK(why && why->http == 500);
	CHECK(why && strstr(why->text, "dst.example/x:v2"));
}

TEST(a_child_that_was_never_read_stops_its_parent)
{
	auto_world struct world w;
	struct err e;

	world_init(&w);
	world_start(&w);
	struct digest child = world_digest("nobody");

	CHECK_OK(world_add(&w, &(struct image){"a", "x", "L", "v", NULL, NULL, 0, &child, 1}, &e));
	CHECK_FAILS(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(memory_calls(w.dst, MEMORY_MANIFEST_PUT), 0);
	CHECK_INT(w.counts[TRANSFER_FAILED], 1);
}

TEST(a_sparse_list_goes_up_without_its_missing_children)
{
	auto_world struct world w;
	struct err e;
	struct digest child = world_digest("nobody");

	world_init(&w);
	world_start(&w);
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "L", "v", NULL, NULL, 0, &child, 1, true},
			   &e));
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	CHECK(memory_has_manifest(world_dst(&w, "x"), "v"));
}

TEST(a_sparse_list_that_is_refused_is_missing_by_name_and_not_failed)
{
	auto_world struct world w;
	struct err e, refused = failure(ERR_INPUT, 400, "manifest blob unknown: blob unknown");
	struct transfer_stats st;

	world_init(&w);
	world_start(&w);
	memory_fail(w.dst, MEMORY_MANIFEST_PUT, 0, &refused);
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "L", "v", NULL, NULL, 0, NULL, 0, true},
			   &e));
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	transfer_stats(w.t, &st);
	CHECK_INT(st.missing, 1);
	CHECK_INT(st.failed, 0);
	CHECK_INT(w.counts[TRANSFER_MISSING], 1);
	CHECK(world_find(&w.events, "dst.example/x:v is refused without them") >= 0);
}

TEST(a_list_above_one_that_is_missing_is_missing_too_when_it_is_refused)
{
	auto_world struct world w;
	struct err e, refused = failure(ERR_NOT_FOUND, 404, "manifest unknown");
	struct digest inner = world_digest("inner");
	struct transfer_stats st;

	world_init(&w);
	world_start(&w);
	memory_fail(w.dst, MEMORY_MANIFEST_PUT, 0, &refused);
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "outer", "v", NULL, NULL, 0, &inner, 1},
			   &e));
	CHECK_OK(world_add(
		&w, &(struct image){"a", "x", "inner", NULL, NULL, NULL, 0, NULL, 0, true}, &e));
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	transfer_stats(w.t, &st);
	CHECK_INT(st.missing, 2);
	CHECK_INT(st.failed, 0);
}

TEST(an_ordinary_manifest_that_is_refused_has_failed)
{
	auto_world struct world w;
	struct err e, refused = failure(ERR_INPUT, 400, "manifest invalid");

	world_init(&w);
	world_start(&w);
	memory_fail(w.dst, MEMORY_MANIFEST_PUT, 0, &refused);
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M", "v"}, &e));
	CHECK_FAILS(transfer_run(w.t, NULL, NULL, &e));
	CHECK_STR(w.last.text, "unable to push manifest to dst.example/x:v: manifest invalid");
}

TEST(a_tag_that_fails_does_not_keep_the_others_when_errors_are_to_be_passed_over)
{
	auto_world struct world w;
	struct err e, locked = failure(ERR_DENIED, 403, "tag is immutable");

	world_init(&w);
	w.cfg.continue_on_error = true;
	world_start(&w);
	memory_fail(w.dst, MEMORY_MANIFEST_PUT, 1, &locked);
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M", "v1", "v2"}, &e));
	CHECK_FAILS(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(w.counts[TRANSFER_FAILED], 1);
	CHECK_INT(w.counts[TRANSFER_IMAGE_DONE], 1);
	CHECK(memory_has_manifest(world_dst(&w, "x"), "v2"));
}

TEST(a_manifest_wanted_with_and_without_a_tag_is_put_once_and_has_two_lines)
{
	auto_world struct world w;
	struct err e;

	world_init(&w);
	world_start(&w);
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M", "v"}, &e));
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M", NULL}, &e));
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M", "v"}, &e));
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(memory_calls(w.dst, MEMORY_MANIFEST_PUT), 1);
	CHECK_INT(w.counts[TRANSFER_IMAGE_DONE], 2);
}

// --- planning

struct planner {
	struct world *w;
	struct image image;
	pthread_mutex_t lock;
	pthread_cond_t moved;
	bool blob_there, failed_instead;
	size_t puts_while_open;
};

static void watch_puts(void *arg, struct repo *r, enum memory_call call, const char *ref)
{
	struct planner *p = arg;

	(void)r;
	(void)ref;
	if (call != MEMORY_BLOB_PUT)
		return;
	pthread_mutex_lock(&p->lock);
	p->blob_there = true;
	pthread_cond_signal(&p->moved);
	pthread_mutex_unlock(&p->lock);
}

// Adds its image, stays open until a blob moves, and then looks for manifests that came too early.
static int plan_slowly(struct transfer *t, void *arg, struct err *e)
{
	struct planner *p = arg;

	(void)t;
	if (world_add(p->w, &p->image, e) < 0)
		return -1;
	pthread_mutex_lock(&p->lock);
	while (!p->blob_there)
		pthread_cond_wait(&p->moved, &p->lock);
	pthread_mutex_unlock(&p->lock);
	p->puts_while_open = memory_calls(p->w->dst, MEMORY_MANIFEST_PUT);
	return p->failed_instead ? err_set(e, ERR_NOT_FOUND, "manifest unknown") : 0;
}

static void run_planner(struct planner *p, struct world *w, bool fails)
{
	*p = (struct planner){.w = w,
			      .lock = PTHREAD_MUTEX_INITIALIZER,
			      .moved = PTHREAD_COND_INITIALIZER,
			      .failed_instead = fails};
	make_pair(w, "a");
	p->image = (struct image){"a", "x", "M", "v", NULL, pair, 2};
	memory_on_call(w->dst, watch_puts, p);
	transfer_spawn(w->t, w->src, plan_slowly, p);
}

TEST(blobs_move_while_planning_is_open)
{
	auto_world struct world w;
	struct planner p;
	struct err e;

	world_init(&w);
	world_start(&w);
	run_planner(&p, &w, false);
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(p.puts_while_open, 0);
}

struct long_planning {
	struct world *w;
	int left;
	size_t puts;
};

// The lanes take turns: whatever may run gets its turn between two of these.
static int plan_long(struct transfer *t, void *arg, struct err *e)
{
	struct long_planning *p = arg;

	(void)e;
	p->puts = memory_calls(p->w->dst, MEMORY_MANIFEST_PUT);
	if (p->left-- > 0)
		transfer_spawn(t, NULL, plan_long, p);
	return 0;
}

TEST(a_manifest_that_is_ready_waits_for_the_end_of_planning)
{
	auto_world struct world w;
	struct err e;
	struct long_planning p = {.w = &w, .left = 20};

	world_init(&w);
	w.cfg.workers = 1;
	world_start(&w);
	struct descriptor d = world_blob(&w, "a", "layer");

	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M", "v", NULL, &d, 1}, &e));
	transfer_spawn(w.t, NULL, plan_long, &p);
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(p.puts, 0);
	CHECK_INT(memory_calls(w.dst, MEMORY_MANIFEST_PUT), 1);
}

TEST(a_planning_error_pushes_no_manifest)
{
	auto_world struct world w;
	struct planner p;
	struct err e;

	world_init(&w);
	world_start(&w);
	run_planner(&p, &w, true);
	CHECK_FAILS(transfer_run(w.t, NULL, NULL, &e));
	CHECK_STR(e.text, "an error occurred during planning");
	CHECK_STR(w.last.text, "manifest unknown");
	CHECK_INT(memory_calls(w.dst, MEMORY_MANIFEST_PUT), 0);
}

TEST(with_continue_on_error_the_rest_goes_on_after_a_planning_error)
{
	auto_world struct world w;
	struct planner p;
	struct err e;

	world_init(&w);
	w.cfg.continue_on_error = true;
	world_start(&w);
	run_planner(&p, &w, true);
	CHECK_FAILS(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(e.kind, ERR_INCOMPLETE);
	CHECK_STR(e.text, "one or more errors occurred");
	CHECK(memory_has_manifest(world_dst(&w, "x"), "v"));
}

static int plan_or_fail(struct transfer *t, void *arg, struct err *e)
{
	(void)t;
	return arg ? err_set(e, ERR_NOT_FOUND, "%s", (const char *)arg) : 0;
}

TEST(every_planning_error_is_told_and_equal_ones_once)
{
	auto_world struct world w;
	struct err e;
	struct transfer_stats st;

	world_init(&w);
	world_start(&w);
	transfer_spawn(w.t, w.src, plan_or_fail, (char *)"no a");
	transfer_spawn(w.t, w.src, plan_or_fail, (char *)"no b");
	transfer_spawn(w.t, NULL, plan_or_fail, (char *)"no b");
	CHECK_FAILS(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(w.counts[TRANSFER_FAILED], 2);
	transfer_stats(w.t, &st);
	CHECK_INT(st.failed, 3);
}

static int spawn_more(struct transfer *t, void *arg, struct err *e)
{
	int *left = arg;

	(void)e;
	if ((*left)-- > 0)
		transfer_spawn(t, NULL, spawn_more, left);
	return 0;
}

TEST(planning_ends_when_the_last_task_that_tasks_spawned_has_ended)
{
	auto_world struct world w;
	struct err e;
	int left = 100;

	world_init(&w);
	world_start(&w);
	transfer_spawn(w.t, w.src, spawn_more, &left);
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(left, -1);
}

TEST(a_transfer_that_is_not_run_still_calls_its_planning_tasks)
{
	auto_world struct world w;
	int left = 3;

	world_init(&w);
	world_start(&w);
	transfer_spawn(w.t, w.src, spawn_more, &left);
	transfer_free(w.t);
	w.t = NULL;
	CHECK_INT(left, -1);
}

static int count_moves(struct transfer *t, void *arg, struct err *e)
{
	struct world *w = arg;

	(void)t;
	(void)e;
	strlist_add(&w->events, "before-copy");
	return memory_calls(w->dst, MEMORY_BLOB_PUT) + memory_calls(w->dst, MEMORY_BLOB_STAT) == 0
		       ? 0
		       : err_set(e, ERR_IO, "too early");
}

TEST(blobs_that_are_held_wait_for_before_copy)
{
	auto_world struct world w;
	struct err e;

	world_init(&w);
	w.cfg.hold_blobs = true;
	world_start(&w);
	make_pair(&w, "a");
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M", "v", NULL, pair, 2}, &e));
	CHECK_OK(transfer_run(w.t, count_moves, &w, &e));
	CHECK(world_find(&w.events, "before-copy") < world_find(&w.events, "start"));
	CHECK(world_find(&w.events, "before-copy") >= 0);
	CHECK_INT(w.counts[TRANSFER_IMAGE_DONE], 1);
}

static int refuse(struct transfer *t, void *arg, struct err *e)
{
	(void)t;
	(void)arg;
	return err_set(e, ERR_IO, "no space");
}

TEST(before_copy_may_refuse)
{
	auto_world struct world w;
	struct err e;

	world_init(&w);
	w.cfg.hold_blobs = true;
	world_start(&w);
	make_pair(&w, "a");
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M", "v", NULL, pair, 2}, &e));
	CHECK_FAILS(transfer_run(w.t, refuse, NULL, &e));
	CHECK_STR(e.text, "no space");
	CHECK_INT(memory_calls(w.dst, MEMORY_BLOB_PUT), 0);
	CHECK_INT(memory_calls(w.dst, MEMORY_MANIFEST_PUT), 0);
}

// --- bytes, dry runs, cancellation, limits

TEST(manifest_bytes_beyond_the_limit_are_read_again)
{
	auto_world struct world w;
	struct err e;

	world_init(&w);
	w.cfg.manifest_bytes_max = 8;
	world_start(&w);
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "12345", "v1"}, &e));
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "67890", "v2"}, &e));
	CHECK_OK(world_add(&w,
			   &(struct image){.src = "a",
					   .dst = "x",
					   .text = "made here",
					   .tag = "v3",
					   .generated = true},
			   &e));
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(memory_calls(w.src, MEMORY_MANIFEST_GET), 1);
	CHECK(memory_has_manifest(world_dst(&w, "x"), "v1"));
	CHECK(memory_has_manifest(world_dst(&w, "x"), "v2"));
	CHECK(memory_has_manifest(world_dst(&w, "x"), "v3"));
}

TEST(a_manifest_that_changed_in_between_is_not_pushed)
{
	auto_world struct world w;
	struct err e;
	struct digest d = world_digest("12345");

	world_init(&w);
	w.cfg.manifest_bytes_max = 1;
	world_start(&w);
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "12345", "v1"}, &e));
	memory_damage(world_src(&w, "a"), &d);
	CHECK_FAILS(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(w.last.kind, ERR_DIGEST);
	CHECK_INT(memory_calls(w.dst, MEMORY_MANIFEST_PUT), 0);
}

struct visited {
	struct strlist lines;
};

static void on_repository(void *arg, struct repo *dst)
{
	strlist_addf(&((struct visited *)arg)->lines, "repository %s", dst->name);
}

static void on_blob(void *arg, struct repo *src, const struct digest *d, uint64_t size, bool shared)
{
	(void)d;
	strlist_addf(&((struct visited *)arg)->lines, "blob %s %d%s", src->name, (int)size,
		     shared ? " shared" : "");
}

static void on_manifest(void *arg, const struct digest *d, const char *tag)
{
	(void)d;
	strlist_addf(&((struct visited *)arg)->lines, "manifest %s", tag ? tag : "-");
}

static void on_parent(void *arg, const struct digest *parent)
{
	static const char *const known[] = {"L", "C1", "C2"};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		struct digest d = world_digest(known[i]);

		if (digest_equal(&d, parent))
			strlist_addf(&((struct visited *)arg)->lines, " for %s", known[i]);
	}
}

TEST(the_plan_shows_what_needs_what)
{
	static const char *const want[] = {
		"repository x", "blob a 5 shared", " for C1",    "blob a 6", " for C1",
		"manifest -",   " for L",          "manifest v", "",
	};
	auto_world struct world w;
	struct err e;
	struct visited v = {0};
	const struct transfer_plan_visitor visitor = {
		on_repository, on_blob, on_manifest, &v, on_parent,
	};

	world_init(&w);
	w.cfg.dry_run = true;
	world_start(&w);
	make_pair(&w, "a");
	struct digest children[] = {world_digest("C1"), world_digest("C2")};

	CHECK_OK(
		world_add(&w, &(struct image){"a", "x", "L", "v", NULL, NULL, 0, children, 1}, &e));
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "C1", NULL, NULL, pair, 2}, &e));
	CHECK_OK(world_add(&w, &(struct image){"a", "y", "C2", NULL, NULL, pair + 1, 1}, &e));
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	transfer_visit_plan(w.t, &visitor);
	// Manifests are in the order of their digests: "v" may be the first.
	bool list_first = v.lines.n > 5 && strcmp(v.lines.v[5], "manifest v") == 0;

	CHECK(v.lines.n >= 8);
	for (size_t i = 0; i < 5 && i < v.lines.n; i++)
		CHECK_STR(v.lines.v[i], want[i]);
	for (size_t i = 5; i < 8 && i < v.lines.n; i++)
		CHECK_STR(v.lines.v[i], want[list_first ? (i == 5 ? 7 : i - 1) : i]);
	strlist_release(&v.lines);
}

TEST(a_dry_run_contacts_no_destination_and_shows_the_plan_in_order)
{
	static const char *const want[] = {"repository x",    "blob a 5 shared", "blob a 6",
					   "manifest v1",     "manifest v2",     "repository y",
					   "blob a 5 shared", "manifest -"};
	auto_world struct world w;
	struct err e;
	struct visited v = {0};

	world_init(&w);
	w.cfg.dry_run = true;
	world_start(&w);
	make_pair(&w, "a");
	CHECK_OK(world_add(&w, &(struct image){"a", "y", "N", NULL, NULL, pair + 1, 1}, &e));
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M", "v2", "v1", pair, 2}, &e));
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	auto_strlist struct strlist log = {0};

	memory_log(w.dst, &log);
	CHECK_INT(log.n, 0);
	transfer_visit_plan(w.t, &(struct transfer_plan_visitor){on_repository, on_blob,
								 on_manifest, &v, NULL});
	CHECK_INT(v.lines.n, ARRAY_SIZE(want));
	for (size_t i = 0; i < v.lines.n && i < ARRAY_SIZE(want); i++)
		CHECK_STR(v.lines.v[i], want[i]);
	strlist_release(&v.lines);
}

static void cancel_on_put(void *arg, struct repo *r, enum memory_call call, const char *ref)
{
	(void)r;
	(void)ref;
	if (call == MEMORY_BLOB_PUT)
		cancel_fire(arg);
}

TEST(cancelling_ends_the_run_at_once)
{
	auto_world struct world w;
	struct err e;

	world_init(&w);
	w.cfg.workers = 1;
	world_start(&w);
	make_pair(&w, "a");
	memory_on_call(w.dst, cancel_on_put, &w.cancel);
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M", "v", NULL, pair, 2}, &e));
	CHECK_FAILS(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(e.kind, ERR_CANCELLED);
	CHECK_INT(memory_calls(w.dst, MEMORY_BLOB_PUT), 1);
	CHECK(!memory_has_blob(world_dst(&w, "x"), &pair[0].digest));
	CHECK(!memory_has_blob(world_dst(&w, "x"), &pair[1].digest));
	CHECK_INT(memory_calls(w.dst, MEMORY_MANIFEST_PUT), 0);
	CHECK_INT(w.counts[TRANSFER_FAILED], 0);
}

static void *fire(void *arg)
{
	cancel_fire(arg);
	return NULL;
}

TEST(cancelling_wakes_a_run_that_waits_for_room)
{
	auto_of(limiter_free) struct limiter *l = limiter_new(1);
	auto_world struct world w;
	struct err e;
	pthread_t thread;

	world_init(&w);
	memory_set_limiter(w.dst, l);
	CHECK(limiter_try(l)); // and never leaves
	world_start(&w);
	make_pair(&w, "a");
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M", "v", NULL, pair, 2}, &e));
	pthread_create(&thread, NULL, fire, &w.cancel);
	CHECK_FAILS(transfer_run(w.t, NULL, NULL, &e));
	pthread_join(thread, NULL);
	CHECK_INT(e.kind, ERR_CANCELLED);
	CHECK_INT(memory_calls(w.dst, MEMORY_BLOB_PUT), 0);
}

struct gauge {
	atomic_int now, most;
};

static void gauge_puts(void *arg, struct repo *r, enum memory_call call, const char *ref)
{
	struct gauge *g = arg;

	(void)r;
	(void)ref;
	if (call == MEMORY_BLOB_STAT) {
		int now = ++g->now;

		if (now > g->most)
			g->most = now;
	}
	if (call == MEMORY_BLOB_PUT)
		g->now--;
}

TEST(no_more_tasks_run_than_the_limiters_let_in_and_all_of_them_end)
{
	auto_of(limiter_free) struct limiter *in = limiter_new(5), *out = limiter_new(2);
	auto_world struct world w;
	struct gauge g = {0};
	struct err e;
	struct descriptor blobs[100];

	world_init(&w);
	memory_set_limiter(w.src, in);
	memory_set_limiter(w.dst, out);
	memory_on_call(w.dst, gauge_puts, &g);
	world_start(&w);
	for (size_t i = 0; i < ARRAY_SIZE(blobs); i++) {
		char text[16];

		snprintf(text, sizeof(text), "blob %zu", i);
		blobs[i] = world_blob(&w, "a", text);
	}
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M", "v", NULL, blobs, 100}, &e));
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	CHECK(g.most <= 2);
	CHECK(g.most >= 1);
	CHECK_INT(memory_calls(w.dst, MEMORY_BLOB_PUT), 100);
	for (int i = 0; i < 5; i++)
		CHECK(limiter_try(in)); // everybody has left
	CHECK(limiter_try(out));
}

struct guest {
	struct limiter *limiter;
	int left;
};

static int stay_a_while(struct transfer *t, void *arg, struct err *e)
{
	struct guest *g = arg;

	(void)e;
	if (g->left-- > 0)
		transfer_spawn(t, NULL, stay_a_while, g);
	else
		limiter_leave(g->limiter, 0);
	return 0;
}

// One worker: between two of the guest's tasks the blob has been tried and found no room.
TEST(a_task_that_found_no_room_runs_when_somebody_leaves)
{
	auto_of(limiter_free) struct limiter *l = limiter_new(1);
	struct guest g = {l, 20};
	auto_world struct world w;
	struct err e;

	world_init(&w);
	w.cfg.workers = 1;
	memory_set_limiter(w.dst, l);
	CHECK(limiter_try(l));
	world_start(&w);
	make_pair(&w, "a");
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M", "v", NULL, pair, 2}, &e));
	transfer_spawn(w.t, NULL, stay_a_while, &g);
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(w.counts[TRANSFER_IMAGE_DONE], 1);
}

TEST(a_registry_without_room_does_not_hold_up_another)
{
	auto_of(limiter_free) struct limiter *none = limiter_new(1);
	auto_world struct world w;
	struct err e;
	int left = 10;

	world_init(&w);
	memory_set_limiter(w.dst, none);
	CHECK(limiter_try(none));
	w.cfg.workers = 1;
	world_start(&w);
	make_pair(&w, "a");
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M", "v", NULL, pair, 2}, &e));
	transfer_spawn(w.t, w.src, spawn_more, &left);
	transfer_spawn(w.t, NULL, (int (*)(struct transfer *, void *, struct err *))refuse, NULL);
	CHECK_FAILS(transfer_run(w.t, NULL, NULL, &e)); // ends, though dst never had room
	CHECK_INT(left, -1);
	CHECK_INT(memory_calls(w.dst, MEMORY_BLOB_PUT), 0);
}

struct turns {
	struct place *places[2];
	int last, switches, n;
};

static int turn_of(struct turns *turns, int which)
{
	turns->switches += turns->n++ > 0 && turns->last != which;
	turns->last = which;
	return 0;
}

static int plan_first(struct transfer *t, void *arg, struct err *e)
{
	(void)t;
	(void)e;
	return turn_of(arg, 0);
}

static int plan_second(struct transfer *t, void *arg, struct err *e)
{
	(void)t;
	(void)e;
	return turn_of(arg, 1);
}

static int plan_both(struct transfer *t, void *arg, struct err *e)
{
	struct turns *turns = arg;

	(void)e;
	for (int i = 0; i < 3; i++) {
		transfer_spawn(t, turns->places[0], plan_first, turns);
		transfer_spawn(t, turns->places[1], plan_second, turns);
	}
	return 0;
}

// One worker, so that the order of the tasks tells whose turn it was.
TEST(no_more_registries_are_planned_at_a_time_than_allowed)
{
	for (int max = 0; max < 2; max++) {
		auto_world struct world w;
		struct err e;

		world_init(&w);
		struct turns turns = {.places = {w.src, w.dst}};

		w.cfg.workers = 1;
		w.cfg.max_registries = max;
		world_start(&w);
		transfer_spawn(w.t, NULL, plan_both, &turns);
		CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
		CHECK_INT(turns.n, 6);
		CHECK_INT(turns.switches, max == 1 ? 1 : 5);
	}
}

TEST(an_unreachable_destination_is_told_once_and_not_asked_for_ever)
{
	auto_world struct world w;
	struct err e,
		down = failure(ERR_NET, 0, "Post \"http://dst/v2/\": dial tcp: connection refused");
	struct descriptor blobs[200];
	struct transfer_stats st;

	world_init(&w);
	w.cfg.continue_on_error = true;
	w.cfg.workers = 2;
	world_start(&w);
	memory_fail(w.dst, MEMORY_BLOB_STAT, 0, &down);
	for (size_t i = 0; i < ARRAY_SIZE(blobs); i++) {
		char text[16];

		snprintf(text, sizeof(text), "blob %zu", i);
		blobs[i] = world_blob(&w, "a", text);
	}
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M", "v", NULL, blobs, 200}, &e));
	CHECK_FAILS(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(w.counts[TRANSFER_FAILED], 2); // the destination, and the image that was given up
	CHECK(memory_calls(w.dst, MEMORY_BLOB_STAT) <= 20);
	transfer_stats(w.t, &st);
	CHECK_INT(st.failed, 201);
}

TEST(after_a_failure_nothing_new_begins)
{
	auto_world struct world w;
	struct err e, denied = failure(ERR_DENIED, 403, "denied");
	struct descriptor blobs[50];

	world_init(&w);
	w.cfg.workers = 1;
	w.cfg.hold_blobs = true;
	world_start(&w);
	memory_fail(w.dst, MEMORY_BLOB_PUT, 3, &denied);
	for (size_t i = 0; i < ARRAY_SIZE(blobs); i++) {
		char text[16];

		snprintf(text, sizeof(text), "blob %zu", i);
		blobs[i] = world_blob(&w, "a", text);
	}
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M", "v", NULL, blobs, 50}, &e));
	CHECK_FAILS(transfer_run(w.t, NULL, NULL, &e));
	CHECK_STR(e.text, "one or more errors occurred while uploading images");
	CHECK_INT(memory_calls(w.dst, MEMORY_BLOB_PUT), 3);
	CHECK(strstr(w.last.text, "unable to upload blob") != NULL);
}

TEST(a_source_that_breaks_in_the_middle_is_a_source_error)
{
	auto_world struct world w;
	struct err e, cut = failure(ERR_NET, 0, "unexpected EOF");
	auto_free char *big = xcalloc(200000, 1);
	struct descriptor d;

	world_init(&w);
	world_start(&w);
	memory_add_blob(world_src(&w, "a"), big, 200000, &d);
	memory_fail(w.src, MEMORY_BLOB_READ, 3, &cut);
	CHECK_OK(world_add(&w, &(struct image){"a", "x", "M", "v", NULL, &d, 1}, &e));
	CHECK_FAILS(transfer_run(w.t, NULL, NULL, &e));
	CHECK(strstr(w.last.text, "M: unable to copy layer") != NULL);
	CHECK(!memory_has_blob(world_dst(&w, "x"), &d.digest));
}

TEST(what_is_present_has_its_line_and_no_request)
{
	auto_world struct world w;
	struct err e;
	struct digest d = world_digest("M");
	struct transfer_stats st;
	auto_strlist struct strlist log = {0};

	world_init(&w);
	world_start(&w);
	transfer_present(w.t, world_dst(&w, "x"), &d, "v");
	transfer_missing(w.t, "image %s is not there", "q");
	transfer_notice(w.t, "hello");
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	transfer_stats(w.t, &st);
	CHECK_INT(st.images_done, 1);
	CHECK_INT(st.missing, 1);
	CHECK_INT(w.counts[TRANSFER_IMAGE_PRESENT], 1);
	memory_log(w.dst, &log);
	CHECK_INT(log.n, 0);
}

TEST(blobs_that_are_present_with_their_manifest_are_not_looked_at)
{
	auto_world struct world w;
	struct err e;

	world_init(&w);
	world_start(&w);
	make_pair(&w, "a");
	CHECK_OK(world_add(&w,
			   &(struct image){.src = "a",
					   .dst = "x",
					   .text = "M",
					   .tag = "v",
					   .blobs = pair,
					   .nblobs = 2,
					   .blobs_present = true},
			   &e));
	CHECK_OK(transfer_run(w.t, NULL, NULL, &e));
	CHECK_INT(memory_calls(w.dst, MEMORY_BLOB_STAT), 0);
	CHECK_INT(memory_calls(w.dst, MEMORY_MANIFEST_PUT), 1);
}

int main(void)
{
	return tap_main();
}
