// SPDX-License-Identifier: Apache-2.0
#include "repo/mirrored.h"

#include "repo/memory.h"
#include "util/mem.h"

#include "tap.h"

#define DIGEST_TEXT "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct err e;

// A source with two mirrors, each in a place of its own.
struct scene {
	struct slab_pool *pool;
	struct place *places[3];
	struct repo *first, *second, *source, *mirrored;
	struct digest manifest;
	struct descriptor blob;
};

static struct mirrored_places some(struct repo *a, struct repo *b, struct repo *c)
{
	struct mirrored_places to = {.v = xcalloc(4, sizeof(struct repo *))};

	for (size_t i = 0; i < 3; i++) {
		struct repo *r = (struct repo *[]){a, b, c}[i];

		if (r)
			to.v[to.n++] = r;
	}
	return to;
}

static void scene_init(struct scene *s)
{
	static const char *const names[] = {"one.io", "two.io", "source.io"};

	*s = (struct scene){.pool = slab_pool_new(4)};
	for (size_t i = 0; i < 3; i++)
		s->places[i] = place_memory_new(names[i], s->pool);
	s->first = place_repo(s->places[0], "m");
	s->second = place_repo(s->places[1], "m");
	s->source = place_repo(s->places[2], "x");
	s->mirrored = mirrored_new(s->source, some(s->first, s->second, s->source),
				   some(s->source, NULL, NULL));
}

static void scene_release(struct scene *s)
{
	mirrored_free(s->mirrored);
	for (size_t i = 0; i < 3; i++)
		place_free(s->places[i]);
	slab_pool_free(s->pool);
}
#define auto_scene __attribute__((cleanup(scene_release)))

static void add(struct scene *s, struct repo *r)
{
	memory_add_manifest(r, "{\"schemaVersion\":2}", "t", "v1", &s->manifest);
	memory_add_blob(r, "hello", 5, &s->blob);
}

static int get(struct scene *s, const char *ref)
{
	auto_manifest_bytes struct manifest_bytes bytes = {0};

	return s->mirrored->ops->manifest_get(s->mirrored, ref, &bytes, &e);
}

TEST(mirrors_are_asked_in_their_order_and_the_source_last)
{
	auto_scene struct scene s;

	scene_init(&s);
	add(&s, s.source);
	CHECK_OK(get(&s, s.manifest.text));
	CHECK_INT(memory_calls(s.places[0], MEMORY_MANIFEST_GET), 1);
	CHECK_INT(memory_calls(s.places[1], MEMORY_MANIFEST_GET), 1);
	CHECK_INT(memory_calls(s.places[2], MEMORY_MANIFEST_GET), 1);
	add(&s, s.first);
	CHECK_OK(get(&s, s.manifest.text));
	CHECK_INT(memory_calls(s.places[1], MEMORY_MANIFEST_GET), 1);
	CHECK_INT(memory_calls(s.places[2], MEMORY_MANIFEST_GET), 1);
}

TEST(each_request_goes_to_the_first_place_that_has_it)
{
	auto_scene struct scene s;

	scene_init(&s);
	add(&s, s.source);
	memory_add_blob(s.second, "hello", 5, &s.blob);
	auto_of(stream_free) struct stream *stream =
		s.mirrored->ops->blob_open(s.mirrored, &s.blob, 0, &e);

	CHECK(stream != NULL);
	CHECK_OK(s.mirrored->ops->blob_stat(s.mirrored, &s.blob, &e));
	CHECK_INT(memory_calls(s.places[1], MEMORY_BLOB_OPEN), 1);
	CHECK_INT(memory_calls(s.places[2], MEMORY_BLOB_OPEN), 0);
}

TEST(damaged_content_of_a_mirror_is_fetched_elsewhere)
{
	auto_scene struct scene s;

	scene_init(&s);
	add(&s, s.first);
	add(&s, s.second);
	memory_damage(s.first, &s.manifest);
	CHECK_OK(get(&s, s.manifest.text));
	CHECK_INT(memory_calls(s.places[1], MEMORY_MANIFEST_GET), 1);
}

TEST(tags_are_asked_for_where_tags_are_mirrored)
{
	auto_scene struct scene s;

	scene_init(&s);
	add(&s, s.first);
	CHECK_FAILS(get(&s, "v1"));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
	CHECK_INT(memory_calls(s.places[0], MEMORY_MANIFEST_GET), 0);
	add(&s, s.source);
	CHECK_OK(get(&s, "v1"));
}

TEST(a_place_that_does_not_answer_is_left_out_from_then_on)
{
	auto_scene struct scene s;
	struct err down = {.kind = ERR_NET, .text = "connection refused"};

	scene_init(&s);
	add(&s, s.second);
	memory_fail(s.places[0], MEMORY_MANIFEST_GET, 0, &down);
	CHECK_OK(get(&s, s.manifest.text));
	CHECK_OK(get(&s, s.manifest.text));
	CHECK_INT(memory_calls(s.places[0], MEMORY_MANIFEST_GET), 1);
}

TEST(when_none_answers_all_are_asked_again)
{
	auto_scene struct scene s;
	struct err down = {.kind = ERR_NET, .text = "connection refused"};

	scene_init(&s);
	for (size_t i = 0; i < 3; i++)
		memory_fail(s.places[i], MEMORY_MANIFEST_GET, 0, &down);
	CHECK_FAILS(get(&s, DIGEST_TEXT));
	memory_heal(s.places[0]);
	add(&s, s.first);
	CHECK_OK(get(&s, s.manifest.text));
}

TEST(the_reason_of_the_source_comes_first_then_those_of_the_mirrors)
{
	auto_scene struct scene s;
	struct err down = {.kind = ERR_NET, .text = "connection refused"};

	scene_init(&s);
	memory_fail(s.places[2], MEMORY_MANIFEST_GET, 0, &down);
	CHECK_FAILS(get(&s, DIGEST_TEXT));
	CHECK_INT(e.kind, ERR_NET);
	CHECK_STR(e.text, "connection refused (mirrors: one.io/m: manifest unknown: manifest "
			  "unknown; two.io/m: manifest unknown: manifest unknown)");
}

TEST(an_interruption_ends_the_search)
{
	auto_scene struct scene s;
	struct err stop = {.kind = ERR_CANCELLED, .text = "interrupted"};

	scene_init(&s);
	memory_fail(s.places[0], MEMORY_MANIFEST_GET, 0, &stop);
	CHECK_FAILS(get(&s, DIGEST_TEXT));
	CHECK_INT(e.kind, ERR_CANCELLED);
	CHECK_INT(memory_calls(s.places[1], MEMORY_MANIFEST_GET), 0);
}

TEST(a_source_that_must_not_be_asked_and_has_no_mirror_is_told)
{
	auto_scene struct scene s;

	scene_init(&s);
	mirrored_free(s.mirrored);
	s.mirrored = mirrored_new(s.source, some(NULL, NULL, NULL), some(NULL, NULL, NULL));
	add(&s, s.source);
	CHECK_FAILS(get(&s, s.manifest.text));
	CHECK_INT(e.kind, ERR_DENIED);
	CHECK_STR(e.text, "the mirror policy forbids to ask source.io/x (NeverContactSource) and "
			  "names no mirror of it");
	CHECK_INT(memory_calls(s.places[2], MEMORY_MANIFEST_GET), 0);
}

TEST(nothing_is_written_through_a_policy)
{
	auto_scene struct scene s;
	struct manifest_bytes m = {.bytes = BUF_INIT(10)};
	const struct opener none = {0};
	bool mounted;

	scene_init(&s);
	add(&s, s.source);
	CHECK_FAILS(s.mirrored->ops->manifest_put(s.mirrored, &m, "v1", &e));
	CHECK_FAILS(s.mirrored->ops->blob_put(s.mirrored, &s.blob, &none, &e));
	CHECK_FAILS(s.mirrored->ops->blob_mount(s.mirrored, &s.blob, s.source, &mounted, &e));
	CHECK_STR(e.text, "source.io/x is read through a mirror policy");
	CHECK_INT(s.mirrored->ops->fresh(s.mirrored), REPO_MAY_EXIST);
}

int main(void)
{
	return tap_main();
}
