// SPDX-License-Identifier: Apache-2.0
#include "cmd/plan_view.h"

#include "tap.h"

static struct place source = {.kind = PLACE_REGISTRY, .name = "src:1"};
static struct place target = {.kind = PLACE_REGISTRY, .name = "dst:2"};
static struct place folder = {.kind = PLACE_STORE, .name = "file://"};
static struct repo from_a = {.place = &source, .name = "org/a"};
static struct repo from_b = {.place = &source, .name = "org/b"};

static struct digest digest(const char *text)
{
	struct digest d;

	digest_of(&d, DIGEST_SHA256, text, strlen(text));
	return d;
}

// Digests as short names, so that the expected text can be read.
static void name_digests(struct buf *text)
{
	static const char *const names[] = {"one", "two", "three", "image", "index"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct digest d = digest(names[i]);

		for (char *at; (at = strstr(text->p, d.text));) {
			size_t tail = strlen(at + strlen(d.text)) + 1, n = strlen(names[i]);

			memcpy(at, names[i], n);
			memmove(at + n, at + strlen(d.text), tail);
		}
	}
}

TEST(a_plan_for_a_registry_has_the_shape_of_the_reference)
{
	auto_of(plan_view_free) struct plan_view *p = plan_view_new();
	struct transfer_plan_visitor v = plan_view_visitor(p);
	struct repo one = {.place = &target, .name = "ocp4/openshift4"};
	struct repo two = {.place = &target, .name = "x"};
	struct digest d1 = digest("one"), d2 = digest("two"), d3 = digest("three"),
		      image = digest("image"), index = digest("index");
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	v.repository(v.arg, &one);
	v.blob(v.arg, &from_b, &d1, 504, true);
	v.blob(v.arg, &from_a, &d2, 41336, false);
	v.manifest(v.arg, &image, NULL);
	v.manifest(v.arg, &index, "4.18.7-x86_64");
	v.repository(v.arg, &two);
	v.blob(v.arg, &from_b, &d1, 504, true);
	v.blob(v.arg, &from_b, &d3, 0, false);
	v.manifest(v.arg, &image, "v1");
	plan_view_print(&text, p);
	name_digests(&text);
	CHECK_STR(text.p, "dst:2/\n"
			  "  ocp4/openshift4\n"
			  "    blobs:\n"
			  "      src:1/org/a two 40.37KiB\n"
			  "    blobs:\n"
			  "      src:1/org/b one 504B\n"
			  "    manifests:\n"
			  "      image\n"
			  "      index -> 4.18.7-x86_64\n"
			  "  x\n"
			  "    blobs:\n"
			  "      src:1/org/b one 504B\n"
			  "      src:1/org/b three\n"
			  "    manifests:\n"
			  "      image -> v1\n"
			  "  stats: shared=1 unique=2 size=40.86KiB ratio=0.99\n"
			  "\n"
			  "phase 0:\n"
			  "  dst:2 ocp4/openshift4 blobs=2 mounts=0 manifests=2 shared=1\n"
			  "  dst:2 x               blobs=1 mounts=1 manifests=1 shared=1\n"
			  "\n"
			  "info: 3 blobs: 40.37KiB unique, 504B shared, 40.86KiB in all\n");
}

TEST(a_plan_for_a_folder_names_no_registry)
{
	auto_of(plan_view_free) struct plan_view *p = plan_view_new();
	struct transfer_plan_visitor v = plan_view_visitor(p);
	struct repo dst = {.place = &folder, .name = "org/a"};
	struct digest image = digest("image");
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	v.repository(v.arg, &dst);
	v.manifest(v.arg, &image, "v1");
	plan_view_print(&text, p);
	name_digests(&text);
	CHECK_STR(text.p, "<dir>\n"
			  "  org/a\n"
			  "    manifests:\n"
			  "      image -> v1\n"
			  "  stats: shared=0 unique=0 size=0B\n"
			  "\n"
			  "phase 0:\n"
			  "   org/a blobs=0 mounts=0 manifests=1 shared=0\n"
			  "\n"
			  "info: 0 blobs: 0B unique, 0B shared, 0B in all\n");
}

TEST(blobs_that_the_destination_registry_has_elsewhere_count_as_mounts)
{
	auto_of(plan_view_free) struct plan_view *p = plan_view_new();
	struct transfer_plan_visitor v = plan_view_visitor(p);
	struct repo dst = {.place = &source, .name = "other"};
	struct digest d1 = digest("one");
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	v.repository(v.arg, &dst);
	v.blob(v.arg, &from_a, &d1, 1, false);
	plan_view_print(&text, p);
	CHECK(strstr(text.p, "blobs=0 mounts=1 manifests=0 shared=0\n") != NULL);
}

int main(void)
{
	return tap_main();
}
