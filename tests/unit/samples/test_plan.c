// SPDX-License-Identifier: Apache-2.0
// From a config map to mappings and a skip list.
#include "samples/plan.h"

#include "tap.h"
#include "util/cleanup.h"

static struct err e;

// A map with its plan; fill() made it or the error is in e.
struct made {
	struct config_map map;
	struct samples_plan plan;
	struct strlist include, exclude, unused;
};

static void made_release(struct made *m)
{
	samples_plan_release(&m->plan);
	config_map_release(&m->map);
	strlist_release(&m->include);
	strlist_release(&m->exclude);
	strlist_release(&m->unused);
}
#define auto_made __attribute__((cleanup(made_release)))

static int choose(struct made *m, const char *map)
{
	struct samples_choice choice = {&m->include, &m->exclude, &m->unused};

	if (config_map_read(&m->map, str_of(map), "f", &e) < 0)
		return -1;
	return samples_plan_init(&m->plan, &m->map, &choice, &e);
}

// SRC may be NULL.
static int fill(struct made *m, const char *map, const char *src, const char *dst)
{
	struct samples_place from = {0}, to = {0};
	int r = choose(m, map);

	if (r == 0 && src)
		r = samples_place_parse(&from, src, &e);
	if (r == 0)
		r = samples_place_parse(&to, dst, &e);
	if (r == 0)
		r = samples_plan_fill(&m->plan, src ? &from : NULL, &to, &e);
	samples_place_release(&from);
	samples_place_release(&to);
	return r;
}

static void check_mapping(const char *map, const char *src, const char *dst, const char *want)
{
	auto_made struct made m = {0};
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	if (fill(&m, map, src, dst) < 0) {
		CHECK_STR(e.text, want);
		return;
	}
	samples_plan_print(&text, &m.plan);
	CHECK_STR(text.p, want);
}

#define DIG "sha256:b149aa6655786043e3b370428e96bc867d185df77a5e1fe125aa273b89c4fb26"

TEST(each_image_is_mapped_once_and_lines_are_sorted)
{
	check_mapping("b_1: quay.io/o/b:1\nb_latest: quay.io/o/b:1\na_1: quay.io/o/a\n"
		      "a_2: quay.io/o/a:latest\n",
		      NULL, "m:5000/s",
		      "quay.io/o/a:latest=m:5000/s/o/a:latest\nquay.io/o/b:1=m:5000/s/o/b:1\n");
}

TEST(digests_go_where_they_are_found_by_digest)
{
	check_mapping("a_1: quay.io/o/a@" DIG "\n", NULL, "m:5000",
		      "quay.io/o/a@" DIG "=m:5000/o/a\n");
}

TEST(media_have_the_same_paths_below_their_repository)
{
	const char *map = "a_1: quay.io/o/a:1\nb_1: busybox\nc_1: q.io/x/y/z:2\n";

	check_mapping(map, NULL, "file://my/samples",
		      "busybox:latest=file://my/samples/busybox:latest\n"
		      "q.io/x/y/z:2=file://my/samples/q.io/x/y/z:2\n"
		      "quay.io/o/a:1=file://my/samples/o/a:1\n");
	check_mapping(map, "file://my/samples", "m:5000/p",
		      "file://my/samples/busybox:latest=m:5000/p/busybox:latest\n"
		      "file://my/samples/o/a:1=m:5000/p/o/a:1\n"
		      "file://my/samples/q.io/x/y/z:2=m:5000/p/q.io/x/y/z:2\n");
}

TEST(what_is_at_the_mirror_has_no_line)
{
	auto_made struct made m = {0};

	check_mapping("a_1: m:5000/o/a:1\nb_1: quay.io/o/b:1\n", NULL, "m:5000",
		      "quay.io/o/b:1=m:5000/o/b:1\n");
	REQUIRE_OK(fill(&m, "a_1: m:5000/o/a@" DIG "\n", NULL, "m:5000"));
	CHECK(samples_image_stays(&m.plan.images[0]));
}

TEST(a_pull_spec_that_fits_nowhere_is_named_with_its_tag_and_a_remedy)
{
	check_mapping("a_1: Not/A Ref\n", NULL, "m:5000",
		      "image stream tag a:1: \"Not/A Ref\" is not a valid image reference: invalid "
		      "reference format\nhint: --exclude=a leaves the image stream out");
	check_mapping("a_1: h:5000/x:1\n", NULL, "m:5000",
		      "image stream tag a:1: the operator would look for \"h:5000/x:1\" where no "
		      "image can be: \"m:5000/h:5000/x:1\" is not a valid image reference: invalid "
		      "reference format\nhint: --exclude=a leaves the image stream out");
	check_mapping("a_1: file://a/b:1\n", NULL, "m:5000",
		      "image stream tag a:1: \"file://a/b:1\" is not a valid image reference: "
		      "invalid reference format\nhint: --exclude=a leaves the image stream out");
	check_mapping("a_1: quay.io\n", NULL, "m:5000",
		      "image stream tag a:1: \"quay.io\" names a registry and no image\nhint: "
		      "--exclude=a leaves the image stream out");
}

TEST(two_sources_of_one_destination_are_kept_as_rivals)
{
	auto_made struct made m = {0};

	REQUIRE_OK(fill(&m,
			"a_1: quay.io/o/x:1\nb_1: docker.io/o/x:1\nb_2: docker.io/o/x:1\n"
			"c_1: quay.io/o/x:1\n",
			NULL, "m:5000"));
	CHECK_INT(m.plan.nimages, 1);
	CHECK_INT(m.plan.images[0].nrivals, 1);
	CHECK_STR(m.plan.images[0].rivals[0].registry, "docker.io");
}

TEST(streams_are_chosen_by_globs_and_unused_globs_are_told)
{
	auto_made struct made m = {0};

	strlist_add(&m.include, "a*");
	strlist_add(&m.include, "x?");
	strlist_add(&m.exclude, "ab");
	REQUIRE_OK(choose(&m, "a_1: i\nab_1: i\nac_1: i\nb_1: i\n"));
	CHECK(m.plan.streams[0].chosen);
	CHECK(!m.plan.streams[1].chosen);
	CHECK(m.plan.streams[2].chosen);
	CHECK(!m.plan.streams[3].chosen);
	CHECK_INT(m.unused.n, 1);
	CHECK_STR(m.unused.v[0], "x?");
}

// As many as a map may have: what grows with their square would be noticed.
TEST(each_source_of_a_destination_counts_once_however_many_there_are)
{
	enum { SOURCES = 10000 };
	auto_made struct made m = {0};
	auto_buf struct buf map = BUF_INIT(CONFIG_MAP_FILE_MAX);

	for (int i = 0; i < 2 * SOURCES; i++)
		buf_printf(&map, "a_%d: x%d.io/o/b:1\n", i, i % SOURCES);
	REQUIRE_OK(fill(&m, map.p, NULL, "m:5000"));
	CHECK_INT(m.plan.nimages, 1);
	CHECK_INT(m.plan.images[0].nrivals, SOURCES - 1);
}

TEST(what_media_were_filled_without_is_not_chosen_unless_it_is_named)
{
	static const char map[] = "data: {a_1: i, b_1: i}\nmetadata:\n  annotations:\n"
				  "    ferry/excluded-imagestreams: a\n";
	auto_made struct made m = {0}, named = {0};

	REQUIRE_OK(choose(&m, map));
	CHECK(!m.plan.streams[0].chosen);
	CHECK(m.plan.streams[1].chosen);
	strlist_add(&named.include, "a");
	REQUIRE_OK(choose(&named, map));
	CHECK(named.plan.streams[0].chosen);
}

TEST(a_choice_that_leaves_nothing_is_an_error)
{
	auto_made struct made m = {0};

	strlist_add(&m.exclude, "*");
	CHECK_FAILS(choose(&m, "a_1: i\n"));
	CHECK_INT(e.kind, ERR_USAGE);
}

TEST(a_stream_with_a_gap_is_skipped_and_leniently_one_that_is_all_gap)
{
	static const enum samples_state states[] = {SAMPLES_THERE, SAMPLES_MISSING, SAMPLES_FAILED,
						    SAMPLES_PARTLY};
	auto_made struct made m = {0};
	auto_strlist struct strlist strict = {0}, lenient = {0};

	strlist_add(&m.exclude, "out");
	REQUIRE_OK(fill(&m,
			"half_1: q.io/o/a:1\nhalf_2: q.io/o/a:2\nnone_1: q.io/o/a:3\n"
			"out_1: q.io/o/a:1\npart_1: q.io/o/a:4\nwhole_1: q.io/o/a:1\n",
			NULL, "m:5000"));
	CHECK_INT(m.plan.nimages, ARRAY_SIZE(states));
	for (size_t i = 0; i < m.plan.nimages; i++)
		m.plan.images[i].state = states[i];
	samples_plan_skipped(&strict, &m.plan, false);
	samples_plan_skipped(&lenient, &m.plan, true);
	CHECK_INT(strict.n, 3);
	CHECK_STR(strict.v[0], "half");
	CHECK_STR(strict.v[1], "none");
	CHECK_STR(strict.v[2], "out");
	CHECK_INT(lenient.n, 2);
	CHECK_STR(lenient.v[0], "none");
	auto_free char *tag = samples_tag_of(&m.plan, &m.plan.images[2]);

	CHECK_STR(tag, "none:1");
}

TEST(places_are_registries_with_paths_or_folders)
{
	static const char *const rows[][2] = {
		{"m:5000", "m:5000"},
		{"localhost", "localhost"},
		{"m.example.com/a/b", "m.example.com/a/b"},
		{"[::1]:5000/a", "[::1]:5000/a"},
		{"file://samples", "samples"},
		{"file:///a/b", "a/b"},
		{"file://q.io/a", "q.io/a"},
		{"olm", "'olm' names no registry: write mirror.example.com/olm"},
		{"docker://m:5000", "'docker://m:5000': leave out the 'docker://'"},
		{"m:5000/", "'m:5000/' is not a registry with or without a path, as in "
			    "mirror.example.com:5000/samples"},
		{"m:5000/a:1", "'m:5000/a:1' is not a registry with or without a path, as in "
			       "mirror.example.com:5000/samples"},
		{"", "'' is not a registry with or without a path, as in "
		     "mirror.example.com:5000/samples"},
		{"file://", "'file://' is not file://REPOSITORY, as in file://samples"},
		{"file://../x", "'file://../x' is not file://REPOSITORY, as in file://samples"},
		{"file://a:1", "'file://a:1' must not have a tag or digest"},
		{"s3://a/b", "'s3://a/b': s3 is not supported"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct samples_place p = {0};
		int r = samples_place_parse(&p, rows[i][0], &e);

		CHECK_STR(r < 0 ? e.text : p.text, rows[i][1]);
		samples_place_release(&p);
	}
}

int main(void)
{
	return tap_main();
}
