// SPDX-License-Identifier: Apache-2.0
// Verification of releases: what is walked, who is told to miss what, and how it is printed.
#include <string.h>

#include "release/verify_walk.h"
#include "repo/memory.h"
#include "tap.h"
#include "util/mem.h"

static struct err e;

struct world {
	struct slab_pool *pool;
	struct place *place;
	struct cancel cancel;
	struct verify_request req;
	struct verify_walk walk;
};
#define auto_world __attribute__((cleanup(world_release)))

static void world_init(struct world *w)
{
	*w = (struct world){.pool = slab_pool_new(8), .cancel = CANCEL_INIT};
	w->place = place_memory_new("src.io", w->pool);
	w->req.cancel = &w->cancel;
	w->walk.req = &w->req;
	w->walk.roots = xcalloc(4, sizeof(*w->walk.roots));
}

static void world_release(struct world *w)
{
	verify_walk_release(&w->walk);
	place_free(w->place);
	slab_pool_free(w->pool);
}

static struct repo *repo(struct world *w, const char *name)
{
	return place_repo(w->place, name);
}

static struct descriptor blob(struct repo *r, const char *text)
{
	struct descriptor ret = {0};

	memory_add_blob(r, text, strlen(text), &ret);
	return ret;
}

// An image with the configuration "{}" and the layer TEXT, which IS_THERE or not.
static struct digest image(struct repo *r, const char *text, bool is_there)
{
	struct descriptor config = blob(r, "{}");
	struct digest layer, ret;

	digest_of(&layer, DIGEST_SHA256, text, strlen(text));
	if (is_there)
		blob(r, text);
	auto_free char *json = xasprintf(
		"{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_MANIFEST "\",\"config\":{"
		"\"size\":2,\"digest\":\"%s\"},\"layers\":[{\"size\":%zu,\"digest\":\"%s\"}]}",
		config.digest.text, strlen(text), layer.text);

	memory_add_manifest(r, json, MT_OCI_MANIFEST, NULL, &ret);
	return ret;
}

static struct digest list(struct repo *r, const struct digest *a, const struct digest *b)
{
	struct digest ret;
	auto_free char *json =
		xasprintf("{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_INDEX "\",\"manifests\":["
			  "{\"size\":1,\"digest\":\"%s\"},{\"size\":1,\"digest\":\"%s\"}]}",
			  a->text, b->text);

	memory_add_manifest(r, json, MT_OCI_INDEX, NULL, &ret);
	return ret;
}

static struct verify_root *root(struct world *w, struct repo *own, const struct digest *d,
				const char *name)
{
	struct verify_root *ret = &w->walk.roots[w->walk.n++];

	ret->own = own;
	ret->digest = *d;
	strlist_add(&ret->names, name);
	return ret;
}

// "missing layer of a, b; …"
static char *problems(const struct world *w)
{
	auto_buf struct buf out = BUF_INIT(BUF_TEXT_MAX);

	for (size_t i = 0; i < w->walk.nproblems; i++) {
		const struct verify_problem *p = &w->walk.problems[i];

		buf_printf(&out, "%s%s %s of", i ? "; " : "",
			   p->fault == VERIFY_MISSING ? "missing" : "damaged", p->part);
		for (size_t k = 0; k < p->images.n; k++)
			buf_printf(&out, "%s %s", k ? "," : "", p->images.v[k]);
	}
	return buf_take(&out);
}

TEST(what_several_images_need_is_told_once_for_all_of_them)
{
	auto_world struct world w;

	world_init(&w);
	struct repo *r = repo(&w, "a");
	struct digest one = image(r, "one", false), two = image(r, "two", true);
	struct digest both = list(r, &one, &two), layer;

	digest_of(&layer, DIGEST_SHA256, "two", 3);
	memory_damage(r, &layer);
	root(&w, r, &both, "list");
	root(&w, r, &one, "one");
	root(&w, r, &two, "two");
	REQUIRE_OK(verify_walk_run(&w.walk, &e));
	auto_free char *got = problems(&w);

	CHECK(strstr(got, "missing layer of list, one") != NULL);
	CHECK(strstr(got, "damaged layer of list, two") != NULL);
	CHECK_INT((int)w.walk.nproblems, 2);
	CHECK_INT((int)w.walk.blobs, 3);
	CHECK_INT((int)w.walk.bytes, 8);
	CHECK_INT((int)w.walk.manifests.n, 3);
}

TEST(an_image_is_found_where_else_it_may_be)
{
	auto_world struct world w;

	world_init(&w);
	struct repo *own = repo(&w, "a"), *other = repo(&w, "b");
	struct digest d = image(other, "text", true), none;

	digest_of(&none, DIGEST_SHA256, "none", 4);
	const struct {
		const struct digest *digest;
		size_t nothers;
		const char *want;
	} rows[] = {
		{&d, 1, ""},
		{&d, 0, "missing image of x"},
		{&none, 1, "missing image of x"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct verify_root *at = root(&w, own, rows[i].digest, "x");

		at->others = &other;
		at->nothers = rows[i].nothers;
		REQUIRE_OK(verify_walk_run(&w.walk, &e));
		auto_free char *got = problems(&w);

		CHECK_STR(got, rows[i].want);
		verify_walk_release(&w.walk);
		w.walk.req = &w.req;
		w.walk.roots = xcalloc(4, sizeof(*w.walk.roots));
	}
}

TEST(lists_are_followed_to_a_depth_that_is_enough)
{
	auto_world struct world w;

	world_init(&w);
	struct repo *r = repo(&w, "a");
	struct digest d = image(r, "text", true);

	for (int i = 0; i < 8; i++)
		d = list(r, &d, &d);
	root(&w, r, &d, "x");
	REQUIRE_OK(verify_walk_run(&w.walk, &e));
	CHECK_INT((int)w.walk.nproblems, 1);
	CHECK_STR(w.walk.nproblems ? w.walk.problems[0].why : "", "lists nested more than 4 deep");
}

TEST(being_stopped_is_no_verdict)
{
	auto_world struct world w;

	world_init(&w);
	struct repo *r = repo(&w, "a");
	struct digest d = image(r, "text", true);

	root(&w, r, &d, "x");
	cancel_fire(&w.cancel);
	CHECK_FAILS(verify_walk_run(&w.walk, &e));
	CHECK_INT(e.kind, ERR_CANCELLED);
}

TEST(a_release_is_summed_up_in_one_line)
{
	char *cli[] = {(char *)"cli", (char *)"pod"}, *image[] = {(char *)"release image"};
	struct verify_problem some[] = {
		{VERIFY_MISSING, "layer", (char *)"sha256:1", {cli, 2, 2}, (char *)"not there"},
		{VERIFY_DAMAGED, "config", (char *)"sha256:2", {cli, 1, 1}, (char *)"bad\nhint: x"},
		{VERIFY_MISSING, "signature", (char *)"sha256:3", {image, 1, 1}, (char *)"none"},
	};
	const struct {
		struct verify_release release;
		const char *want;
	} rows[] = {
		{{.version = (char *)"4.1.2",
		  .architecture = (char *)"x86_64",
		  .images = 4,
		  .blobs = 9,
		  .is_signed = true},
		 "complete: 4.1.2 x86_64, 4 images, 9 blobs, signature good\n"},
		{{.version = (char *)"4.1.2",
		  .architecture = (char *)"multi",
		  .images = 4,
		  .blobs = 9,
		  .unsigned_why = (char *)"none"},
		 "complete: 4.1.2 multi, 4 images, 9 blobs, no signature\n"},
		{{.version = (char *)"4.1.2",
		  .architecture = (char *)"x86_64",
		  .images = 4,
		  .blobs = 9,
		  .problems = some,
		  .nproblems = 3},
		 "missing: layer sha256:1 of cli, pod\n"
		 "damaged: config sha256:2 of cli: bad\n"
		 "missing: signature sha256:3 of release image: none\n"
		 "incomplete: 4.1.2 x86_64, 4 images, 9 blobs, 3 problems, signature not good\n"},
		{{.version = (char *)"4\ncomplete: 5",
		  .architecture = (char *)"x86_64",
		  .images = 1,
		  .is_signed = true},
		 "complete: 4?complete: 5 x86_64, 1 images, 0 blobs, signature good\n"},
		{{.name = (char *)"file://a:b",
		  .version = (char *)"",
		  .architecture = (char *)"",
		  .problems = some,
		  .nproblems = 1},
		 "missing: layer sha256:1 of cli, pod\n"
		 "incomplete: file://a:b, its components are not known, 1 problem\n"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct verify_release one = rows[i].release;
		const struct verify_report report = {.releases = &one, .n = 1};
		auto_buf struct buf out = BUF_INIT(10000);

		verify_print(&out, &report);
		CHECK_STR(out.p, rows[i].want);
	}
}

int main(void)
{
	return tap_main();
}
