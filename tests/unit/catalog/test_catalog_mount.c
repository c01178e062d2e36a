// SPDX-License-Identifier: Apache-2.0
#include "tap.h"
#include "unit/catalog/mapped.h"

#define ETCD     "quay.io/coreos/etcd-operator@sha256:"
#define D154     "sha256:154d7e0295a94fb3d2a97309d711186a98a7308da37a5cd3d50360c6b2ba57de"
#define R        "127.0.0.1:5112"
#define SRC_HOST "127.0.0.1:5111/"

TEST(the_tag_of_a_digest_is_a_hash_of_the_name_as_it_is_written)
{
	static const struct {
		const char *text, *tag;
	} rows[] = {
		{ETCD "c0301e4686c3ed4206e370b42de5a3bd2229b9fb4906cf85f3f30650424abec2",
		 "2f1eb95"}, // no leading zeros
		{ETCD "db563baa8194fcfe39d1df744ed70024b0f1f9e9b55b5923c2f3a413c44dc6b8",
		 "b56e2636"},
		{"busybox@" D154, "f695695"},
		{"docker.io/my/image@" D154, "a1d77056"},
		{"registry.access.redhat.com/ubi8-minimal@sha256:"
		 "9285da611437622492f9ef4229877efe302589f1401bbd4052e9bb261b3d4387",
		 "51f124fa"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_reference struct reference r = {0};
		struct err e;

		REQUIRE_OK(reference_parse(&r, rows[i].text, 0, &e));
		CHECK_STR(catalog_hash_tag(&r).s, rows[i].tag);
	}
}

static char *hash_of(const char *text)
{
	auto_reference struct reference r = {0};
	struct err e;

	if (reference_parse(&r, text, 0, &e) < 0)
		return xstrdup(e.text);
	return xstrdup(catalog_hash_tag(&r).s);
}

TEST(a_tag_and_the_kind_of_place_are_not_hashed_but_library_at_docker_is)
{
	static const struct {
		const char *one, *other;
		bool same;
	} rows[] = {
		{"quay.io/a/b:v1@" D154, "quay.io/a/b@" D154, true},
		{"file://a/b@" D154, "a/b@" D154, true},
		{"docker.io/busybox@" D154, "docker.io/library/busybox@" D154, true},
		{"index.docker.io/busybox@" D154, "index.docker.io/library/busybox@" D154, true},
		{"registry-1.docker.io/x@" D154, "registry-1.docker.io/library/x@" D154, true},
		{"busybox@" D154, "library/busybox@" D154, false},
		{"busybox@" D154, "docker.io/library/busybox@" D154, false},
		{"quay.io/a@" D154, "quay.io/library/a@" D154, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *one = hash_of(rows[i].one), *other = hash_of(rows[i].other);

		tap_report((strcmp(one, other) == 0) == rows[i].same, "%s %s, %s %s", rows[i].one,
			   one, rows[i].other, other);
	}
}

static char *mount_at(const char *in, const char *dest, int max)
{
	auto_reference struct reference r = {0}, d = {0}, out = {0};
	struct err e;

	if (reference_parse(&r, in, 0, &e) < 0 || catalog_dest_parse(&d, dest, &e) < 0)
		return xstrdup(e.text);
	catalog_mount(&out, &r, &d, max);
	return reference_print(&out);
}

struct mount_row {
	const char *in, *dest;
	int max;
	const char *want;
};

static void check_mounts(const struct mount_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		auto_free char *got = mount_at(rows[i].in, rows[i].dest, rows[i].max);

		tap_report(strcmp(got, rows[i].want) == 0, "%s at %s, max %d: %s, want %s",
			   rows[i].in, rows[i].dest, rows[i].max, got, rows[i].want);
	}
}

TEST(names_are_joined_behind_max_components)
{
	static const struct mount_row rows[] = {
		{SRC_HOST "ops/alpha-bundle:1", R "/a/b", 2, R "/a/b-ops-alpha-bundle:1"},
		{SRC_HOST "ops/alpha-bundle:1", R "/a/b", 3, R "/a/b/ops-alpha-bundle:1"},
		{SRC_HOST "ops/alpha-bundle:1", R "/a/b", 4, R "/a/b/ops/alpha-bundle:1"},
		{SRC_HOST "ops/alpha-bundle:1", R "/a/b", 5, R "/a/b/ops/alpha-bundle:1"},
		{SRC_HOST "ops/alpha-bundle:1", R "/a/b", 0, R "/a/b/ops/alpha-bundle:1"},
		{SRC_HOST "ops/alpha-bundle:1", R "/a/b", -1, R "/a/b/ops/alpha-bundle:1"},
		{SRC_HOST "ubi-minimal:1", R "/a/b", 2, R "/a/b-ubi-minimal:1"},
		{SRC_HOST "ubi-minimal:1", R "/a/b", 3, R "/a/b/ubi-minimal:1"},
		{SRC_HOST "ubi-minimal:1", R "/a/b", 0, R "/a/b/ubi-minimal:1"},
		{SRC_HOST "org/team/sub/deep:1", R "/a/b", 2, R "/a/b-org-team-sub-deep:1"},
		{SRC_HOST "org/team/sub/deep:1", R "/a/b", 3, R "/a/b/org-team-sub-deep:1"},
		{SRC_HOST "org/team/sub/deep:1", R "/a/b", 4, R "/a/b/org/team-sub-deep:1"},
		{SRC_HOST "org/team/sub/deep:1", R "/a/b", 5, R "/a/b/org/team/sub-deep:1"},
		{SRC_HOST "org/team/sub/deep:1", R "/a/b", 0, R "/a/b/org/team/sub/deep:1"},
		{SRC_HOST "ops/alpha-bundle:1", R, 2, R "/ops/alpha-bundle:1"},
		{SRC_HOST "ubi-minimal:1", R, 2, R "/ubi-minimal:1"},
		{SRC_HOST "org/team/sub/deep:1", R, 2, R "/org/team-sub-deep:1"},
		{SRC_HOST "ops/alpha-bundle:1", R "/olm", 2, R "/olm/ops-alpha-bundle:1"},
		{SRC_HOST "ubi-minimal:1", R "/olm", 2, R "/olm/ubi-minimal:1"},
		{SRC_HOST "org/team/sub/deep:1", R "/olm", 2, R "/olm/org-team-sub-deep:1"},
		{SRC_HOST "ops/x:1", R "/a/b/c", 2, R "/a/b-c-ops-x:1"},
	};

	check_mounts(rows, ARRAY_SIZE(rows));
}

TEST(a_single_component_keeps_its_name_without_a_limit)
{
	static const struct mount_row rows[] = {
		{SRC_HOST "ubi-minimal:1", R, 0, R "/ubi-minimal:1"},
		{SRC_HOST "ubi-minimal:1", R, -1, R "/ubi-minimal:1"},
	};

	check_mounts(rows, ARRAY_SIZE(rows));
}

TEST(what_docker_leaves_out_is_filled_in_and_the_digest_stays)
{
	static const struct mount_row rows[] = {
		{"busybox", R "/olm", 2, R "/olm/library-busybox:latest"},
		{"docker.io/busybox:1", R "/olm", 0, R "/olm/library/busybox:1"},
		{"strimzi/operator:0.1", R, 2, R "/strimzi/operator:0.1"},
		{"quay.io/busybox", R "/olm", 0, R "/olm/busybox:latest"},
		{"busybox@" D154, R "/olm", 2, R "/olm/library-busybox:f695695@" D154},
		{"quay.io/a/b:v1@" D154, R "/olm", 2, R "/olm/a-b:v1@" D154},
	};

	check_mounts(rows, ARRAY_SIZE(rows));
}

TEST(media_are_places_too)
{
	static const struct mount_row rows[] = {
		{SRC_HOST "cat/fbc:v1", "file:///local/index", 0, "file://local/index/cat/fbc:v1"},
		{"file://local/index/cat/fbc:v1", R, 2, R "/local/index-cat-fbc:v1"},
		{"file://local/index/cat/fbc:v1", R "/olm", 2, R "/olm/local-index-cat-fbc:v1"},
		{"quay.io/a/b:v1", "file://quay.io/idx", 0, "file://quay.io/idx/a/b:v1"},
	};

	check_mounts(rows, ARRAY_SIZE(rows));
}

int main(void)
{
	return tap_main();
}
