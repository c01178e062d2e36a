// SPDX-License-Identifier: Apache-2.0
#include <sys/mman.h>
#include <unistd.h>

#include "mirror/mirror.h"
#include "tap.h"
#include "unit/catalog/mapped.h"

#define DA "sha256:154d7e0295a94fb3d2a97309d711186a98a7308da37a5cd3d50360c6b2ba57de"
#define DB "sha256:c0301e4686c3ed4206e370b42de5a3bd2229b9fb4906cf85f3f30650424abec2"

#define INDEX      "reg.example.com/cat/fbc:v1"
#define TO_PATH    ((struct line){INDEX, "m.example.com/olm", NULL, 2})
#define TO_FOLDER  ((struct line){INDEX, "file://local/index", NULL, 2})
#define INDEX_LINE INDEX "=m.example.com/olm/cat-fbc:v1\n"

#define ALPHA "sha256:cb8fe3fd9e9c0b15b644a9271dd06aad7f78664a9090cf8a633ffa9a26a3c50c"

// Recorded with the reference, sorted.
TEST(mappings_are_those_of_the_reference)
{
	static const struct {
		const char *images, *want;
		struct line line;
	} rows[] = {
#define FBC "127.0.0.1:5111/cat/fbc:v1"
#define R   "127.0.0.1:5112"
		{"fbc", "path", {FBC, R "/olm", NULL, 2}},
		{"fbc", "registry-only", {FBC, "127.0.0.1:5113", NULL, 2}},
		{"fbc", "components-0", {FBC, R "/a/b", NULL, 0}},
		{"fbc", "components-negative", {FBC, R "/a/b", NULL, -1}},
		{"fbc", "components-3", {FBC, R "/a/b", NULL, 3}},
		{"fbc", "components-4", {FBC, R "/a/b", NULL, 4}},
		{"fbc", "components-5", {FBC, R "/a/b", NULL, 5}},
		{"fbc", "to-folder", {FBC, "file:///local/index", NULL, 1}},
		{"fbc",
		 "from-folder",
		 {"file://local/index/cat/fbc:v1", "127.0.0.1:5113", NULL, 2}},
		{"fbc",
		 "deep-path",
		 {"127.0.0.1:5111/redhat/sub/fbc-single:v4.18", R "/olm", NULL, 2}},
		{"alpha", "folder-to-folder", {"file://a/cat/alpha:v1", "file://b", NULL, 2}},
		{"alpha", "by-digest", {"127.0.0.1:5111/cat/alpha@" ALPHA, R "/olm", NULL, 2}},
		{"alpha",
		 "by-tag-and-digest",
		 {"127.0.0.1:5111/cat/alpha:v1@" ALPHA, R "/olm", NULL, 2}},
		{"redhat",
		 "foreign-registries",
		 {"127.0.0.1:5111/redhat/redhat-operator-index:v4.18",
		  "mirror.example.com:5000/olm-mirror", NULL, 2}},
		{"sqlite",
		 "database",
		 {"127.0.0.1:5111/cat/sqlite-testdb:v1", "mirror.example.com:5000/olm", NULL, 2}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buf struct buf images = BUF_INIT(BUF_TEXT_MAX), want = BUF_INIT(BUF_TEXT_MAX);
		auto_free char *list = xasprintf("%s.images", rows[i].images);
		auto_free char *file = xasprintf("%s/mapping.txt", rows[i].want);

		read_data(&images, list);
		read_data(&want, file);
		auto_free char *got = mapped(images.p, &rows[i].line);

		CHECK_STR(got, want.p);
	}
}

static int take_back(struct mappings *ret, const char *text, struct err *e)
{
	auto_fd int fd = memfd_create("mapping.txt", MFD_CLOEXEC);
	char name[] = "-";
	char *files[] = {name};
	ssize_t n = write(fd, text, strlen(text));

	if (n < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_os(e, ERR_IO, "mapping.txt");
	return mappings_parse(ret, NULL, 0, files, 1, fd, e);
}

TEST(a_mapping_is_what_image_mirror_takes)
{
	static const struct line lines[] = {
		{INDEX, "m.example.com/olm", NULL, 2},
		{INDEX "@" DA, "m.example.com/olm", NULL, 0},
		{INDEX, "file://local/index", NULL, 2},
		{"file://local/index/cat/fbc:v1", "m.example.com/olm", NULL, 2},
		{"m.example.com/olm/cat:v1", "m.example.com/olm", NULL, 2},
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		auto_mappings struct mappings m = {0};
		auto_free char *text = mapped("a.io/x/y:v1\n"
					      "a.io/x/y:v1@" DA "\n"
					      "a.io/x/y:v1@" DB "\n"
					      "a.io/x/y@" DB "\n"
					      "b.io/x/y:v1@" DA "\n"
					      "busybox\n"
					      "m.example.com/olm/x:v1",
					      &lines[i]);
		struct err e;

		REQUIRE_OK(take_back(&m, text, &e));
		CHECK(m.n >= 4);
	}
}

TEST(an_index_that_is_there_already_is_left_where_it_is)
{
	auto_buf struct buf images = BUF_INIT(BUF_TEXT_MAX), want = BUF_INIT(BUF_TEXT_MAX);
	struct line l = {"127.0.0.1:5113/local/index-cat-fbc:v1", "127.0.0.1:5113", NULL, 2};

	read_data(&images, "fbc.images");
	read_data(&want, "index-already-there/mapping.txt");
	auto_free char *got = mapped(images.p, &l);
	auto_free char *self = xasprintf("%s=%s\n", l.src, l.src);
	char *line = strstr(want.p, self);

	CHECK(line);
	if (line)
		memmove(line, line + strlen(self), strlen(line + strlen(self)) + 1);
	CHECK_STR(got, want.p);
}

TEST(where_the_index_goes)
{
	static const struct {
		struct line line;
		const char *place;
		bool is_there;
	} rows[] = {
		{{INDEX, "m.example.com", NULL, 2}, "m.example.com/cat/fbc:v1", false},
		{{"m.example.com/olm/idx:v1", "m.example.com/olm", NULL, 2},
		 "m.example.com/olm/idx:v1",
		 true},
		{{"m.example.com/olm/idx@" DA, "m.example.com/olm", NULL, 2},
		 "m.example.com/olm/idx@" DA,
		 true},
		{{"m.example.com/olm:v1", "m.example.com/olm", NULL, 2},
		 "m.example.com/olm:v1",
		 true},
		{{"m.example.com/olmost:v1", "m.example.com/olm", NULL, 2},
		 "m.example.com/olm/olmost:v1",
		 false},
		{{"m.example.com:80/olm/idx:v1", "m.example.com/olm", NULL, 2},
		 "m.example.com/olm/olm-idx:v1",
		 false},
		{{INDEX, "m.example.com/olm", "m.example.com/x/y:v2", 2},
		 "m.example.com/x/y:v2",
		 false},
		{{INDEX, "m.example.com/olm", "m.example.com/x/y", 2},
		 "m.example.com/x/y:v1",
		 false},
		{{INDEX "@" DA, "m.example.com/olm", "m.example.com/x/y", 2},
		 "m.example.com/x/y:v1@" DA,
		 false},
		{{"m.example.com/olm/idx:v1", "m.example.com/olm", "m.example.com/z:v1", 2},
		 "m.example.com/z:v1",
		 false},
		{{"m.example.com/olm/idx:v1", "m.example.com/olm", "m.example.com/olm/idx", 2},
		 "m.example.com/olm/idx:v1",
		 true},
		{{INDEX, "file://local/index", NULL, 2}, "file://local/index/cat/fbc:v1", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_catalog_mapping struct catalog_mapping m = {0};
		struct err e;

		REQUIRE_OK(map_texts(&m, "", &rows[i].line, &e));
		CHECK_INT(m.n, 1);
		auto_free char *place = reference_print(&m.v[0].dst);

		CHECK_STR(place, rows[i].place);
		CHECK(m.v[0].is_index);
		CHECK_INT(m.v[0].is_there, rows[i].is_there);
		CHECK_INT(m.v[0].nimages, 0);
	}
}

TEST(spellings_of_one_image_are_one_entry)
{
	auto_catalog_mapping struct catalog_mapping m = {0};
	struct err e;

	REQUIRE_OK(map_texts(&m,
			     "busybox\n"
			     "docker.io/busybox:latest\n"
			     "docker.io/library/busybox\n"
			     "quay.io/a/b",
			     &TO_PATH, &e));
	CHECK_INT(m.n, 3);
	auto_free char *src = reference_print(&m.v[0].src);

	CHECK_STR(src, "docker.io/library/busybox:latest");
	CHECK_INT(m.v[0].nimages, 3);
	CHECK_INT(m.v[0].images[0], 0);
	CHECK_INT(m.v[0].images[1], 1);
	CHECK_INT(m.v[0].images[2], 2);
	CHECK_INT(m.v[1].images[0], 3);
	CHECK(m.v[2].is_index);
}

TEST(entries_are_sorted_by_source_however_the_catalog_writes_them)
{
	auto_catalog_mapping struct catalog_mapping m = {0};
	auto_buf struct buf sources = BUF_INIT(BUF_TEXT_MAX);
	struct err e;

	// By spelling; Docker's defaults move most of them.
	REQUIRE_OK(
		map_texts(&m, "a/z\nb/a\nbusybox\ndocker.io/a/a\nfirst.io/x\nzebra", &TO_PATH, &e));
	CHECK_INT(m.n, 7);
	for (size_t i = 0; i < m.n; i++) {
		auto_free char *src = reference_print(&m.v[i].src);

		buf_printf(&sources, "%s\n", src);
		CHECK_INT(m.v[i].nimages, m.v[i].is_index ? 0 : 1);
	}
	CHECK_STR(sources.p, "docker.io/a/a:latest\n"
			     "docker.io/a/z:latest\n"
			     "docker.io/b/a:latest\n"
			     "docker.io/library/busybox:latest\n"
			     "docker.io/library/zebra:latest\n"
			     "first.io/x:latest\n" INDEX "\n");
	CHECK_INT(m.v[0].images[0], 3);
	CHECK_INT(m.v[4].images[0], 5);
	CHECK_INT(m.v[5].images[0], 4);
}

TEST(an_image_on_media_remembers_what_the_catalog_calls_it)
{
	auto_catalog_mapping struct catalog_mapping m = {0};
	struct line l = {"file://local/index/cat/fbc:v1", "m.example.com/olm", NULL, 2};
	struct err e;

	REQUIRE_OK(map_texts(&m, "quay.io/a/b@" DA "\nstrimzi/operator:0.1", &l, &e));
	CHECK_INT(m.n, 3);
	auto_free char *src = reference_print(&m.v[0].src);
	auto_free char *origin = reference_print(catalog_origin(&m.v[0]));
	auto_free char *tagged = reference_print(&m.v[1].src);
	auto_free char *tagged_origin = reference_print(catalog_origin(&m.v[1]));

	CHECK_STR(src, "file://local/index/cat/fbc/a/b@" DA);
	CHECK_STR(origin, "quay.io/a/b@" DA);
	CHECK_STR(tagged, "file://local/index/cat/fbc/strimzi/operator:0.1");
	CHECK_STR(tagged_origin, "docker.io/strimzi/operator:0.1");
}

TEST(texts_that_are_no_images_of_a_registry_are_left_out_with_the_reason)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{"file://docker.io/etc/secret:v1",
		 "couldn't parse image for mirroring (file://docker.io/etc/secret:v1), skipping "
		 "mirror: \"file://docker.io/etc/secret:v1\" is not a valid image reference: "
		 "invalid reference format"},
		{"s3://us-east-1/bucket/a:v1",
		 "couldn't parse image for mirroring (s3://us-east-1/bucket/a:v1), skipping mirror: "
		 "\"s3://us-east-1/bucket/a:v1\" is not a valid image reference: invalid reference "
		 "format"},
		{"docker://quay.io/beta/tools:v3",
		 "couldn't parse image for mirroring (docker://quay.io/beta/tools:v3), skipping "
		 "mirror: \"docker://quay.io/beta/tools:v3\" is not a valid image reference: "
		 "invalid reference format"},
		{"1.10",
		 "couldn't parse image for mirroring (1.10), skipping mirror: it is a registry "
		 "without a repository"},
		{"Org/img:v1", "couldn't parse image for mirroring (Org/img:v1), skipping mirror: "
			       "'m.example.com/olm/Org-img': repository name must be lowercase"},
		{"quay.io/a\x1b[2J",
		 "couldn't parse image for mirroring (\"quay.io/a\\x1b[2J\"), skipping mirror: "
		 "\"quay.io/a\\x1b[2J\" is not a valid image reference: invalid reference format"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_catalog_mapping struct catalog_mapping m = {0};
		struct err e;

		REQUIRE_OK(map_texts(&m, rows[i].text, &TO_PATH, &e));
		CHECK_INT(m.n, 1);
		CHECK_INT(m.bad.n, 1);
		if (m.bad.n == 1)
			CHECK_STR(m.bad.v[0], rows[i].why);
	}
}

TEST(a_name_that_grows_too_long_is_left_out)
{
	auto_catalog_mapping struct catalog_mapping m = {0};
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
	struct err e;

	buf_puts(&text, "q.io/");
	for (int i = 0; i < 245; i++)
		buf_putc(&text, 'a');
	REQUIRE_OK(map_texts(&m, text.p, &TO_PATH, &e));
	CHECK_INT(m.n, 1);
	CHECK_INT(m.bad.n, 1);
	CHECK(m.bad.n == 1 && strstr(m.bad.v[0], "must not be more than 255 characters"));
}

TEST(names_that_take_more_than_the_ceiling_are_refused)
{
	enum { IMAGES = 50000, LONG = 240 };
	auto_catalog_mapping struct catalog_mapping m = {0};
	auto_catalog struct catalog c = {0};
	struct err e = {0};

	c.images = arena_alloc(&c.arena, IMAGES * sizeof(*c.images));
	for (; c.nimages < IMAGES; c.nimages++) {
		auto_free char *text = xasprintf("q.io/%0*zu", LONG - 20, c.nimages);

		c.images[c.nimages].text = arena_strdup(&c.arena, text);
	}
	CHECK_FAILS(map_catalog(&m, &c, &TO_PATH, &e));
	CHECK_STR(e.text, "the names of the images take more than 32 MiB");
	CHECK_INT(e.kind, ERR_INPUT);
}

TEST(complaints_about_texts_that_are_no_images_count_as_names_do)
{
	enum { IMAGES = 10000, LONG = 4000 };
	auto_catalog_mapping struct catalog_mapping m = {0};
	auto_catalog struct catalog c = {0};
	struct err e = {0};

	c.images = arena_alloc(&c.arena, IMAGES * sizeof(*c.images));
	for (; c.nimages < IMAGES; c.nimages++) {
		auto_free char *text = xasprintf("NONE%0*zu", LONG, c.nimages);

		c.images[c.nimages].text = arena_strdup(&c.arena, text);
	}
	CHECK_FAILS(map_catalog(&m, &c, &TO_PATH, &e));
	CHECK_STR(e.text, "the names of the images take more than 32 MiB");
}

TEST(in_a_folder_no_image_takes_the_name_of_a_repositorys_own_files)
{
	auto_catalog_mapping struct catalog_mapping m = {0}, to_registry = {0};
	struct line unjoined = {INDEX, "m.example.com/olm", NULL, 0};
	struct err e;

	REQUIRE_OK(map_texts(&m, "quay.io/org/blobs:v1", &TO_FOLDER, &e));
	CHECK_INT(m.n, 1);
	CHECK_INT(m.bad.n, 1);
	REQUIRE_OK(map_texts(&to_registry, "quay.io/org/blobs:v1", &unjoined, &e));
	CHECK_INT(to_registry.n, 2);
}

// Tags and what they name; anything else is gone.
static int fake_digest(void *arg, const struct reference *src, struct digest *ret, struct err *e)
{
	const char *const *answers = arg; // pairs
	auto_free char *text = reference_print(src);

	for (; *answers; answers += 2)
		if (strcmp(answers[0], text) == 0)
			return digest_parse(ret, answers[1], e);
	return err_set(e, ERR_NOT_FOUND, "%s: not there", text);
}

static char *mapped_asking(const char *texts, const struct line *l, const char *const *answers)
{
	auto_catalog_mapping struct catalog_mapping m = {0};
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
	auto_catalog struct catalog c;
	auto_parsed struct parsed p;
	struct err e;

	catalog_of(&c, texts);
	if (parse_line(&p, l, &e) < 0)
		return xstrdup(e.text);
	p.cfg.tag_digest = fake_digest;
	p.cfg.arg = (void *)(uintptr_t)answers;
	if (catalog_mapping_make(&c, &p.cfg, &m, &e) < 0)
		return xstrdup(e.text);
	catalog_mapping_print(&text, &m);
	return buf_take(&text);
}

TEST(two_images_do_not_become_one_tag)
{
	static const struct {
		const char *texts, *want;
	} rows[] = {
		{"a.io/x/y:v1\nb.io/x/y:v1",
		 "a.io/x/y:v1 and b.io/x/y:v1 would both become m.example.com/olm/x-y:v1\n"
		 "hint: a mirror has no place for both, and they are not known to be the same image; "
		 "leave one of them out of the catalog"},
		{"a.io/x/y:v1@" DA "\nb.io/x/y:v1@" DB,
		 "a.io/x/y:v1@" DA " and b.io/x/y:v1@" DB
		 " would both become m.example.com/olm/x-y:v1\n"
		 "hint: a mirror has no place for both, and they are not known to be the same image; "
		 "leave one of them out of the catalog"},
		{"a.io/x-y/z:v1\na.io/x/y-z:v1",
		 "a.io/x-y/z:v1 and a.io/x/y-z:v1 would both become m.example.com/olm/x-y-z:v1\n"
		 "hint: their paths are joined to one name; raise --max-components above 2, 0 is no "
		 "limit"},
		{"a.io/cat/fbc:v1",
		 "a.io/cat/fbc:v1 and " INDEX " would both become m.example.com/olm/cat-fbc:v1\n"
		 "hint: --index-dest names another place for the index image"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *got = mapped(rows[i].texts, &TO_PATH);

		CHECK_STR(got, rows[i].want);
	}
}

TEST(collisions_are_bad_input)
{
	auto_catalog_mapping struct catalog_mapping m = {0};
	struct err e;

	CHECK_FAILS(map_texts(&m, "a.io/x/y:v1\nb.io/x/y:v1", &TO_PATH, &e));
	CHECK_INT(e.kind, ERR_INPUT);
}

TEST(one_digest_under_one_tag_is_copied_once)
{
	static const struct {
		const char *texts, *want;
	} rows[] = {
		{"a.io/x/y:v1@" DA "\nb.io/x/y:v1@" DA,
		 "a.io/x/y@" DA "=m.example.com/olm/x-y:v1\n" INDEX_LINE},
		{"a.io/x-y/z:v1@" DA "\na.io/x/y-z:v1@" DA,
		 "a.io/x-y/z@" DA "=m.example.com/olm/x-y-z:v1\n" INDEX_LINE},
		// The catalog says what the tag stands for.
		{"a.io/x/y:v1\na.io/x/y:v1@" DA,
		 "a.io/x/y@" DA "=m.example.com/olm/x-y:v1\n" INDEX_LINE},
		// Different tags of a joined name do no harm.
		{"a.io/x-y/z:v1\na.io/x/y-z:v2",
		 "a.io/x-y/z:v1=m.example.com/olm/x-y-z:v1\n"
		 "a.io/x/y-z:v2=m.example.com/olm/x-y-z:v2\n" INDEX_LINE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *got = mapped(rows[i].texts, &TO_PATH);

		CHECK_STR(got, rows[i].want);
	}
}

TEST(a_tag_that_has_moved_keeps_both_images)
{
	auto_free char *got = mapped("a.io/x/y:v1@" DA "\na.io/x/y:v1@" DB, &TO_PATH);
	auto_free char *with_bare =
		mapped("a.io/x/y:v1@" DA "\na.io/x/y:v1@" DB "\na.io/x/y@" DB, &TO_PATH);
	const char *want = "a.io/x/y@" DA "=m.example.com/olm/x-y:v1\n"
			   "a.io/x/y@" DB "=m.example.com/olm/x-y:61c48f91\n" INDEX_LINE;

	CHECK_STR(got, want);
	CHECK_STR(with_bare, want);
}

TEST(tags_are_asked_for_what_they_name_before_they_are_refused)
{
	static const char *const same[] = {"a.io/x/y:v1", DA, "b.io/x/y:v1", DA, NULL};
	static const char *const different[] = {"a.io/x/y:v1", DA, "b.io/x/y:v1", DB, NULL};
	static const char *const gone[] = {"a.io/x/y:v1", DA, NULL};
	const char *texts = "a.io/x/y:v1\nb.io/x/y:v1";
	auto_free char *one = mapped_asking(texts, &TO_PATH, same);
	auto_free char *two = mapped_asking(texts, &TO_PATH, different);
	auto_free char *unknown = mapped_asking(texts, &TO_PATH, gone);

	CHECK_STR(one, "a.io/x/y:v1=m.example.com/olm/x-y:v1\n" INDEX_LINE);
	CHECK(strstr(two, "would both become"));
	CHECK(strstr(unknown, "would both become"));
}

TEST(what_needs_the_dropped_one_needs_the_one_that_is_copied)
{
	auto_catalog_mapping struct catalog_mapping m = {0};
	struct err e;

	REQUIRE_OK(map_texts(&m, "a.io/x/y:v1\na.io/x/y:v1@" DA, &TO_PATH, &e));
	CHECK_INT(m.n, 3);
	CHECK(m.v[0].is_there);
	CHECK_INT(m.v[0].nimages, 1);
	CHECK(!m.v[1].is_there);
	CHECK_INT(m.v[1].nimages, 2);
	CHECK_INT(m.v[1].images[0], 0);
	CHECK_INT(m.v[1].images[1], 1);
}

TEST(images_of_an_entry_are_in_their_order_however_many_it_took_in)
{
	auto_catalog_mapping struct catalog_mapping m = {0};
	struct err e;

	REQUIRE_OK(map_texts(&m, "c.io/x/y:v1@" DA "\na.io/x/y:v1@" DA "\nb.io/x/y:v1@" DA,
			     &TO_PATH, &e));
	CHECK_INT(m.n, 4);
	CHECK_STR(m.v[0].src.registry, "a.io");
	CHECK_INT(m.v[0].nimages, 3);
	for (uint32_t i = 0; i < 3; i++)
		CHECK_INT(m.v[0].images[i], i);
	CHECK(m.v[1].is_there);
	CHECK(m.v[2].is_there);
}

TEST(images_of_two_registries_that_media_hold_as_one_are_one_image)
{
	struct line l = {"file://local/cat/fbc:v1", "m.example.com/olm", NULL, 2};
	auto_free char *got = mapped("a.io/x/y:v1\nb.io/x/y:v1", &l);

	CHECK_STR(got, "file://local/cat/fbc/x/y:v1=m.example.com/olm/x-y:v1\n"
		       "file://local/cat/fbc:v1=m.example.com/olm/local-cat-fbc:v1\n");
}

TEST(an_image_that_is_its_own_place_is_not_copied)
{
	struct line l = {INDEX, "m.example.com", NULL, 2};
	auto_free char *got = mapped("m.example.com/a/b:v1\nm.example.com/a/b:v2@" DA, &l);

	CHECK_STR(got, "m.example.com/a/b@" DA "=m.example.com/a/b:v2\n" INDEX
		       "=m.example.com/cat/fbc:v1\n");
}

TEST(a_destination_is_a_registry_with_or_without_a_path_or_a_folder)
{
	static const struct {
		const char *text, *registry, *repository;
	} rows[] = {
		{"m.example.com", "m.example.com", ""},
		{"m.example.com:5000", "m.example.com:5000", ""},
		{"localhost:5000", "localhost:5000", ""},
		{"mirror:5000", "mirror:5000", ""},
		{"mirror:5000/olm", "mirror:5000", "olm"},
		{"m.example.com/olm/sub:tag", "m.example.com", "olm/sub"},
		{"olm", "", "olm"},
		{"mirror:v1", "", "mirror"},
		{"my_host:5000", "", "my_host"},
		{"a/b:5000", "", "a/b"},
		{"mirror:99999", "", "mirror"},
		{"file:///local/index", "", "local/index"},
		{"file://mirror:5000", "", "mirror"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_reference struct reference r = {0};
		struct err e;

		REQUIRE_OK(catalog_dest_parse(&r, rows[i].text, &e));
		CHECK_STR(r.registry, rows[i].registry);
		CHECK_STR(r.repository, rows[i].repository);
	}
}

TEST(destinations_that_cannot_be_are_refused_in_the_references_words)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{"file://",
		 "\"\" is not a valid image reference: repository name must have at least one "
		 "component"},
		{"file://a/B", "\"a/B\" is not a valid image reference: repository name must be "
			       "lowercase"},
		{"docker://m.example.com/olm",
		 "\"docker://m.example.com/olm\" is not a valid image reference: invalid reference "
		 "format\nhint: leave out docker://, a registry needs no prefix"},
		{"m.example.com/Olm", "\"m.example.com/Olm\" is not a valid image reference: "
				      "repository name must be lowercase"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct reference r;
		struct err e;

		CHECK_FAILS(catalog_dest_parse(&r, rows[i].text, &e));
		CHECK_STR(e.text, rows[i].why);
	}
}

TEST(command_lines_that_cannot_work_are_refused_before_anything_is_read)
{
	static const struct {
		struct line line;
		const char *why; // NULL: it works
	} rows[] = {
		{{INDEX, "m.example.com/olm", NULL, 1},
		 "maxPathComponents must be 0 (no limit) or greater than 1"},
		{{INDEX, "file://a", NULL, 1}, NULL},
		{{INDEX, "m.example.com/olm", NULL, 0}, NULL},
		{{INDEX, "m.example.com/olm", NULL, -3}, NULL},
		{{INDEX, "mirror:5000", NULL, 2}, NULL},
		{{INDEX, "olm", NULL, 2},
		 "destination 'olm' names no registry\nhint: REGISTRY/olm for a registry, "
		 "file://olm for a folder"},
		{{INDEX, "s3://us-east-1/bucket/olm", NULL, 2},
		 "'s3://us-east-1/bucket/olm': S3 is not supported, mirror to a folder (file://) and "
		 "copy it"},
		{{INDEX, "file://a", "m.example.com/idx:v1", 2},
		 "the place of the index cannot be chosen in a folder: images are found below it"},
		{{INDEX, "m.example.com", "m.example.com", 2},
		 "'m.example.com' is no repository of a registry for the index"},
		{{INDEX, "m.example.com", "file://idx", 2},
		 "'file://idx' is no repository of a registry for the index"},
		{{INDEX, "m.example.com", "m.example.com/a@" DA, 2},
		 "'m.example.com/a@" DA "' has a digest: the index is pushed under a tag"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_parsed struct parsed p;
		struct err e = {0};

		REQUIRE_OK(parse_line(&p, &rows[i].line, &e));
		int r = catalog_mapping_check(&p.cfg, &e);

		CHECK_INT(r, rows[i].why ? -1 : 0);
		CHECK_STR(e.text, rows[i].why ? rows[i].why : "");
		CHECK_INT(e.kind, rows[i].why ? ERR_USAGE : ERR_NONE);
	}
}

int main(void)
{
	return tap_main();
}
