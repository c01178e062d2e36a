// SPDX-License-Identifier: Apache-2.0
#include "repo/place.h"
#include "util/fs.h"
#include "util/mem.h"

#include "tap.h"

#include <ftw.h>
#include <sys/stat.h>

// A folder for a test and the places that look at it.
struct scene {
	char dir[32];
	struct slab_pool *pool;
	struct places_config cfg;
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static void scene_release(struct scene *s)
{
	nftw(s->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	slab_pool_free(s->pool);
}
#define auto_scene __attribute__((cleanup(scene_release)))

static bool scene_init(struct scene *s)
{
	*s = (struct scene){.dir = "/tmp/test-place-XXXXXX"};
	s->pool = slab_pool_new(16);
	s->cfg.registry.pool = s->pool;
	return mkdtemp(s->dir) != NULL;
}

static struct repo *repo_for(struct places *p, const char *text, bool write, struct err *e)
{
	auto_reference struct reference ref = {0};

	if (reference_parse(&ref, text, 0, e) < 0)
		return NULL;
	return places_repo(p, &ref, write, e);
}

// A manifest that can be found again under TAG.
static int put_manifest(struct repo *r, const char *tag, struct err *e)
{
	struct manifest_bytes m = {.bytes = BUF_INIT(1000)};

	buf_puts(&m.bytes, "{\"schemaVersion\":2}");
	digest_of(&m.digest, DIGEST_SHA256, m.bytes.p, m.bytes.n);
	int status = r->ops->manifest_put(r, &m, tag, e);

	manifest_bytes_release(&m);
	return status;
}

TEST(one_folder_is_one_place_however_it_is_spelled)
{
	auto_scene struct scene s;
	struct err e;

	CHECK(scene_init(&s));
	auto_free char *other = xasprintf("%s/.", s.dir);

	s.cfg.from_dir = other;
	s.cfg.dir = s.dir;
	auto_of(places_free) struct places *p = places_new(&s.cfg);
	struct repo *in = repo_for(p, "file://a/b:v", false, &e);

	CHECK(in != NULL);
	struct repo *out = repo_for(p, "file://a/b:w", true, &e);

	CHECK(out == in);
	CHECK(place_store(in->place) != NULL);
	CHECK_OK(put_manifest(out, "v", &e));
	CHECK_OK(places_sync(p, &e));
}

TEST(a_source_folder_stays_as_it_is)
{
	auto_scene struct scene from, to;
	struct err e;

	CHECK(scene_init(&from) && scene_init(&to));
	from.cfg.from_dir = from.dir;
	from.cfg.dir = to.dir;
	auto_of(places_free) struct places *p = places_new(&from.cfg);

	CHECK(repo_for(p, "file://a/b", false, &e) != NULL);
	CHECK(repo_for(p, "file://a/b", true, &e) != repo_for(p, "file://a/b", false, &e));
	CHECK(rmdir(from.dir) == 0); // still empty
}

TEST(a_source_with_a_host_is_found_with_and_without_it)
{
	auto_scene struct scene s;
	struct err e;

	CHECK(scene_init(&s));
	s.cfg.dir = s.dir;
	{
		auto_of(places_free) struct places *p = places_new(&s.cfg);
		struct repo *host = repo_for(p, "file://quay.io/org/both", true, &e);
		struct repo *bare = repo_for(p, "file://org/both", true, &e);
		struct repo *old = repo_for(p, "file://org/old", true, &e);

		CHECK(host && bare && old);
		CHECK_STR(host->name, "quay.io/org/both");
		CHECK_OK(put_manifest(host, "v", &e));
		CHECK_OK(put_manifest(bare, "v", &e));
		CHECK_OK(put_manifest(old, "v", &e));
		CHECK_OK(places_sync(p, &e));
	}
	auto_of(places_free) struct places *p = places_new(&s.cfg);
	static const struct {
		const char *text, *name;
	} rows[] = {
		{"file://quay.io/org/both:v", "quay.io/org/both"},
		{"file://quay.io/org/old:v", "org/old"},
		{"file://quay.io/org/none:v", "quay.io/org/none"},
		{"file://org/old:v", "org/old"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct repo *r = repo_for(p, rows[i].text, false, &e);

		CHECK(r != NULL);
		if (r)
			CHECK_STR(r->name, rows[i].name);
	}
}

TEST(a_store_mounts_by_linking_and_refuses_what_it_does_not_have)
{
	auto_scene struct scene s;
	struct err e;
	struct descriptor d = {.media_type = "", .size = 5, .artifact_type = ""};
	bool mounted = true;

	CHECK(scene_init(&s));
	s.cfg.dir = s.dir;
	auto_of(places_free) struct places *p = places_new(&s.cfg);
	struct repo *a = repo_for(p, "file://a/a", true, &e),
		    *b = repo_for(p, "file://a/b", true, &e);

	CHECK(a && b);
	digest_of(&d.digest, DIGEST_SHA256, "hello", 5);
	CHECK_OK(b->ops->blob_mount(b, &d, a, &mounted, &e));
	CHECK(!mounted);
}

TEST(registries_are_places_by_host_and_open_without_a_request)
{
	auto_scene struct scene s;
	struct err e;

	CHECK(scene_init(&s));
	auto_of(places_free) struct places *p = places_new(&s.cfg);
	struct repo *a = repo_for(p, "quay.io/org/a:v", false, &e);
	struct repo *b = repo_for(p, "quay.io/org/b:v", true, &e);
	struct repo *c = repo_for(p, "127.0.0.1:5000/org/a", true, &e);

	CHECK(a && b && c);
	CHECK(a->place == b->place && a->place != c->place);
	CHECK(repo_for(p,
		       "quay.io/org/a@sha256:"
		       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		       true, &e) == a);
	CHECK(place_registry(a->place) != NULL && place_store(a->place) == NULL);
	CHECK(place_limiter(a->place) != NULL);
	CHECK_STR(c->place->name, "127.0.0.1:5000");
}

TEST(s3_is_refused_by_name)
{
	auto_scene struct scene s;
	struct err e;

	CHECK(scene_init(&s));
	auto_of(places_free) struct places *p = places_new(&s.cfg);

	CHECK(repo_for(p, "s3://s3.amazonaws.com/us-east-1/bucket/a", true, &e) == NULL);
	CHECK_INT(e.kind, ERR_UNSUPPORTED);
	CHECK(strstr(e.text, "s3://") != NULL);
}

int main(void)
{
	return tap_main();
}
