// SPDX-License-Identifier: Apache-2.0
#include "catalog/manifests.h"

#include "policy/read.h"
#include "tap.h"
#include "unit/catalog/mapped.h"

#define DA "sha256:154d7e0295a94fb3d2a97309d711186a98a7308da37a5cd3d50360c6b2ba57de"
#define DB "sha256:c0301e4686c3ed4206e370b42de5a3bd2229b9fb4906cf85f3f30650424abec2"

#define INDEX "reg.example.com/cat/fbc:v1"
#define ALPHA "sha256:cb8fe3fd9e9c0b15b644a9271dd06aad7f78664a9090cf8a633ffa9a26a3c50c"

// What is asked for beside a command line, with the defaults where it is zero.
struct wish {
	enum catalog_scope idms_scope, icsp_scope;
	int max_idms_size, max_icsp_size;
	const char *name;
	bool olm_v1;
};

static int make(struct catalog_manifests *ret, const char *texts, const struct line *l,
		const struct wish *w, struct err *e)
{
	auto_catalog_mapping struct catalog_mapping m = {0};
	auto_parsed struct parsed p;

	if (parse_line(&p, l, e) < 0 || map_texts(&m, texts, l, e) < 0)
		return -1;
	struct catalog_manifests_config cfg = {
		.src = &p.src,
		.idms_scope = w->idms_scope,
		.icsp_scope = w->icsp_scope,
		.max_idms_size = w->max_idms_size ? w->max_idms_size : CATALOG_SET_MAX,
		.max_icsp_size = w->max_icsp_size ? w->max_icsp_size : CATALOG_SET_MAX,
		.name = w->name,
		.olm_v1 = w->olm_v1,
	};

	return catalog_manifests_make(&m, &cfg, ret, e);
}

static const char *text_of(const struct catalog_manifests *m, const char *file)
{
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->v[i].file, file) == 0)
			return m->v[i].text.p;
	return "not there";
}

static char *files_of(const struct catalog_manifests *m)
{
	struct buf names = BUF_INIT(BUF_TEXT_MAX);

	for (size_t i = 0; i < m->n; i++)
		buf_printf(&names, "%s%s", i > 0 ? " " : "", m->v[i].file);
	return buf_take(&names);
}

// The objects with tag references are ours alone: there is nothing recorded to compare.
TEST(files_are_those_of_the_reference_to_the_byte)
{
	static const struct {
		const char *images, *want;
		struct line line;
		bool catalog_source; // the reference's name is valid
	} rows[] = {
		{"fbc", "path", {"127.0.0.1:5111/cat/fbc:v1", "127.0.0.1:5112/olm", NULL, 2}, true},
		{"fbc",
		 "registry-only",
		 {"127.0.0.1:5111/cat/fbc:v1", "127.0.0.1:5113", NULL, 2},
		 true},
		{"fbc",
		 "index-already-there",
		 {"127.0.0.1:5113/local/index-cat-fbc:v1", "127.0.0.1:5113", NULL, 2},
		 true},
		{"fbc",
		 "deep-path",
		 {"127.0.0.1:5111/redhat/sub/fbc-single:v4.18", "127.0.0.1:5112/olm", NULL, 2},
		 false},
		{"alpha",
		 "by-digest",
		 {"127.0.0.1:5111/cat/alpha@" ALPHA, "127.0.0.1:5112/olm", NULL, 2},
		 true},
		{"alpha",
		 "by-tag-and-digest",
		 {"127.0.0.1:5111/cat/alpha:v1@" ALPHA, "127.0.0.1:5112/olm", NULL, 2},
		 true},
		{"redhat",
		 "foreign-registries",
		 {"127.0.0.1:5111/redhat/redhat-operator-index:v4.18",
		  "mirror.example.com:5000/olm-mirror", NULL, 2},
		 true},
	};
	static const char *const files[] = {"imageDigestMirrorSet.yaml",
					    "imageContentSourcePolicy.yaml", "catalogSource.yaml"};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_catalog_manifests struct catalog_manifests m = {0};
		auto_buf struct buf images = BUF_INIT(BUF_TEXT_MAX);
		auto_free char *list = xasprintf("%s.images", rows[i].images);
		struct err e;

		read_data(&images, list);
		REQUIRE_OK(make(&m, images.p, &rows[i].line, &(struct wish){0}, &e));
		for (size_t k = 0; k < ARRAY_SIZE(files) - !rows[i].catalog_source; k++) {
			auto_buf struct buf want = BUF_INIT(BUF_TEXT_MAX);
			auto_free char *file = xasprintf("%s/%s", rows[i].want, files[k]);

			read_data(&want, file);
			CHECK_STR(text_of(&m, files[k]), want.p);
		}
	}
}

TEST(files_come_in_the_order_in_which_they_are_written)
{
	auto_catalog_manifests struct catalog_manifests m = {0};
	struct line l = {INDEX, "m.example.com/olm", NULL, 2};
	struct err e;

	REQUIRE_OK(make(&m, "a.io/x:v1\nb.io/y@" DA, &l, &(struct wish){.olm_v1 = true}, &e));
	auto_free char *files = files_of(&m);

	CHECK_STR(files, "imageDigestMirrorSet.yaml imageContentSourcePolicy.yaml "
			 "imageTagMirrorSet.yaml catalogSource.yaml clusterCatalog.yaml");
}

TEST(a_folder_needs_none)
{
	auto_catalog_manifests struct catalog_manifests m = {0};
	struct line l = {INDEX, "file://local/index", NULL, 2};
	struct err e;

	REQUIRE_OK(make(&m, "a.io/x:v1\nb.io/y@" DA, &l, &(struct wish){.olm_v1 = true}, &e));
	auto_free char *files = files_of(&m);

	CHECK_STR(files, "");
	CHECK_INT(m.notices.n, 0);
	CHECK_INT(m.remarks.n, 0);
}

TEST(a_set_without_entries_is_not_written_and_that_is_said)
{
	auto_catalog_manifests struct catalog_manifests m = {0};
	struct line l = {INDEX, "m.example.com/olm", NULL, 2};
	struct err e;

	REQUIRE_OK(make(&m, "a.io/x:v1", &l, &(struct wish){0}, &e));
	auto_free char *files = files_of(&m);

	CHECK_STR(files, "imageTagMirrorSet.yaml catalogSource.yaml");
	CHECK_INT(m.remarks.n, 2);
	CHECK_STR(m.remarks.v[0],
		  "imageDigestMirrorSet.yaml is not written: no image has a digest to mirror");
}

TEST(references_by_tag_have_a_set_of_their_own)
{
	auto_catalog_manifests struct catalog_manifests m = {0};
	struct line l = {INDEX, "m.example.com/olm", NULL, 2};
	struct err e;

	REQUIRE_OK(make(&m, "a.io/x:v1\na.io/x:v2\nb.io/y:v1@" DA "\nbusybox", &l,
			&(struct wish){0}, &e));
	CHECK_STR(text_of(&m, "imageTagMirrorSet.yaml"),
		  "---\n"
		  "apiVersion: config.openshift.io/v1\n"
		  "kind: ImageTagMirrorSet\n"
		  "metadata:\n"
		  "  labels:\n"
		  "    operators.openshift.org/catalog: \"true\"\n"
		  "  name: fbc-0\n"
		  "spec:\n"
		  "  imageTagMirrors:\n"
		  "  - mirrors:\n"
		  "    - m.example.com/olm/x\n"
		  "    source: a.io/x\n"
		  "  - mirrors:\n"
		  "    - m.example.com/olm/library-busybox\n"
		  "    source: docker.io/library/busybox\n");
}

TEST(what_comes_from_media_has_policies_for_its_real_sources)
{
	static const char images[] = "b.io/y/z@" DA "\nbusybox:1\nquay.io/x/y@" DB;
	auto_catalog_manifests struct catalog_manifests direct = {0}, far = {0};
	struct line near_side = {INDEX, "m.example.com/olm", NULL, 2};
	struct line far_side = {"file://local/index/cat/fbc:v1", "m.example.com/olm", NULL, 2};
	struct err e;

	REQUIRE_OK(make(&direct, images, &near_side, &(struct wish){.name = "cat"}, &e));
	REQUIRE_OK(make(&far, images, &far_side, &(struct wish){.name = "cat"}, &e));
	CHECK_STR(text_of(&far, "imageDigestMirrorSet.yaml"),
		  text_of(&direct, "imageDigestMirrorSet.yaml"));
	CHECK_STR(text_of(&far, "imageContentSourcePolicy.yaml"),
		  text_of(&direct, "imageContentSourcePolicy.yaml"));
	CHECK_STR(text_of(&far, "imageTagMirrorSet.yaml"),
		  text_of(&direct, "imageTagMirrorSet.yaml"));
	CHECK(strstr(text_of(&far, "imageDigestMirrorSet.yaml"), "source: quay.io/x/y\n"));
}

TEST(an_index_by_digest_on_media_has_no_source_that_a_cluster_knows)
{
	auto_catalog_manifests struct catalog_manifests m = {0};
	struct line l = {"file://local/index/cat/fbc@" DA, "m.example.com/olm", NULL, 2};
	struct err e;

	REQUIRE_OK(make(&m, "quay.io/x/y@" DB, &l, &(struct wish){0}, &e));
	CHECK(!strstr(text_of(&m, "imageDigestMirrorSet.yaml"), "local/index/cat/fbc"));
	CHECK_INT(m.notices.n, 2);
}

TEST(notices_are_the_references_sorted)
{
	static const char *const want[] = {
		"a.io/x:v1, skip writing to ImageDigestMirrorSet",
		INDEX ", skip writing to ImageDigestMirrorSet",
		"z.io/w:v1, skip writing to ImageDigestMirrorSet",
		"a.io/x:v1, skip writing to ImageContentSourcePolicy",
		INDEX ", skip writing to ImageContentSourcePolicy",
		"z.io/w:v1, skip writing to ImageContentSourcePolicy",
	};
	auto_catalog_manifests struct catalog_manifests m = {0};
	struct line l = {INDEX, "m.example.com/olm", NULL, 2};
	struct err e;

	REQUIRE_OK(make(&m, "a.io/x:v1\nb.io/y@" DA "\nz.io/w:v1", &l, &(struct wish){0}, &e));
	CHECK_INT(m.notices.n, ARRAY_SIZE(want));
	for (size_t i = 0; i < m.notices.n && i < ARRAY_SIZE(want); i++) {
		auto_free char *line = xasprintf("no digest mapping available for %s", want[i]);

		CHECK_STR(m.notices.v[i], line);
	}
}

TEST(notices_name_what_is_read)
{
	auto_catalog_manifests struct catalog_manifests m = {0};
	struct line l = {"file://local/index/cat/fbc:v1", "m.example.com/olm", NULL, 2};
	struct err e;

	REQUIRE_OK(make(&m, "z.io/x:v1", &l, &(struct wish){0}, &e));
	CHECK_INT(m.notices.n, 4);
	if (m.notices.n == 4)
		CHECK_STR(m.notices.v[0],
			  "no digest mapping available for file://local/index/cat/fbc/x:v1, skip "
			  "writing to ImageDigestMirrorSet");
}

TEST(dockers_older_name_is_written_as_the_one_that_is_asked_for)
{
	static const enum catalog_scope scopes[] = {CATALOG_SCOPE_REPOSITORY,
						    CATALOG_SCOPE_REGISTRY};
	static const char *const sources[] = {"    source: docker.io/a/b\n",
					      "    source: docker.io\n"};

	for (size_t i = 0; i < ARRAY_SIZE(scopes); i++) {
		auto_catalog_manifests struct catalog_manifests m = {0};
		struct line l = {INDEX, "m.example.com", NULL, 2};
		struct wish w = {.idms_scope = scopes[i]};
		struct err e;

		REQUIRE_OK(make(&m, "docker.io/a/b@" DA "\nindex.docker.io/a/b@" DB, &l, &w, &e));
		const char *text = text_of(&m, "imageDigestMirrorSet.yaml");

		CHECK(strstr(text, sources[i]));
		CHECK(!strstr(text, "index.docker.io"));
	}
}

TEST(a_repository_is_no_mirror_of_itself)
{
	auto_catalog_manifests struct catalog_manifests m = {0};
	struct line l = {"m.example.com/olm/fbc@" DA, "m.example.com/olm", NULL, 2};
	struct err e;

	REQUIRE_OK(make(&m, "b.io/y@" DB, &l, &(struct wish){0}, &e));
	CHECK(strstr(text_of(&m, "imageDigestMirrorSet.yaml"), "source: b.io/y\n"));
	CHECK(!strstr(text_of(&m, "imageDigestMirrorSet.yaml"), "m.example.com/olm/fbc"));
}

TEST(a_cluster_catalog_names_the_index)
{
	auto_catalog_manifests struct catalog_manifests m = {0};
	struct line l = {"reg.example.com/redhat/redhat-operator-index:v4.18", "m.example.com:5000",
			 NULL, 2};
	struct err e;

	REQUIRE_OK(make(&m, "b.io/y@" DA, &l, &(struct wish){.olm_v1 = true}, &e));
	CHECK_STR(text_of(&m, "clusterCatalog.yaml"),
		  "apiVersion: olm.operatorframework.io/v1\n"
		  "kind: ClusterCatalog\n"
		  "metadata:\n"
		  "  name: redhat-operator-index\n"
		  "spec:\n"
		  "  priority: 0\n"
		  "  source:\n"
		  "    image:\n"
		  "      ref: m.example.com:5000/redhat/redhat-operator-index:v4.18\n"
		  "    type: Image\n");
}

TEST(names_of_objects_are_what_kubernetes_takes)
{
	static const struct {
		const char *part, *name;
	} rows[] = {
		{"fbc", "fbc"},
		{"sub/fbc-single", "sub-fbc-single"},
		{"index/cat/fbc", "index-cat-fbc"},
		{"My.Index_v4", "my-index-v4"},
		{"a__b..c", "a--b--c"},
		{"4.18-index", "catalog-4-18-index"},
		{"_x_", "x"},
		{"___", "catalog"},
		{"", "catalog"},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *name = catalog_object_name(rows[i].part);

		CHECK_STR(name, rows[i].name);
	}
}

TEST(long_names_are_cut_to_63_and_stay_different)
{
	static const char start[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/";
	auto_free char *long_x = xasprintf("%sxxxxxxxxxxxx", start);
	auto_free char *long_y = xasprintf("%syyyyyyyyyyyy", start);
	auto_free char *x = catalog_object_name(long_x), *y = catalog_object_name(long_y);

	CHECK(strlen(x) <= 63 && strlen(y) <= 63);
	CHECK(strcmp(x, y) != 0);
	CHECK(!strstr(x, "--"));
}

TEST(the_name_part_of_a_source_is_what_stands_behind_its_first_component)
{
	static const struct {
		const char *src, *part;
	} rows[] = {
		{"quay.io/redhat/redhat-operator-index:v4.18", "redhat-operator-index"},
		{"127.0.0.1:5111/redhat/sub/fbc-single:v4.18", "sub/fbc-single"},
		{"quay.io/index:v1", "index"},
		{"file://local/index/cat/fbc:v1", "index/cat/fbc"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_reference struct reference r = {0};
		struct err e;

		REQUIRE_OK(reference_parse(&r, rows[i].src, 0, &e));
		auto_free char *part = catalog_name_part(&r);

		CHECK_STR(part, rows[i].part);
	}
}

TEST(a_name_that_is_asked_for_is_taken_as_it_is_or_refused)
{
	static const struct {
		const char *name, *why;
	} rows[] = {
		{"cs-redhat", NULL},
		{"Redhat",
		 "'Redhat' is no name for an object: lower-case letters, digits and -, a letter "
		 "first, at most 63 characters"},
		{"4x", "'4x' is no name for an object: lower-case letters, digits and -, a letter "
		       "first, at most 63 characters"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_catalog_manifests struct catalog_manifests m = {0};
		struct line l = {INDEX, "m.example.com", NULL, 2};
		struct wish w = {.name = rows[i].name};
		struct err e = {0};
		int r = make(&m, "b.io/y@" DA, &l, &w, &e);

		CHECK_STR(e.text, rows[i].why ? rows[i].why : "");
		CHECK_INT(r, rows[i].why ? -1 : 0);
		if (r == 0)
			CHECK(strstr(text_of(&m, "imageDigestMirrorSet.yaml"),
				     "name: cs-redhat-0\n"));
	}
}

TEST(a_registry_stands_for_its_images_where_their_paths_are_kept)
{
	static const struct {
		struct line line;
		const char *images, *pairs; // or the error
	} rows[] = {
		{{INDEX, "m.example.com", NULL, 2},
		 "b.io/y/z@" DA "\nb.io/z@" DB,
		 "  - mirrors:\n    - m.example.com\n    source: b.io\n"},
		{{INDEX, "m.example.com/olm/sub", NULL, 0},
		 "b.io/y/z@" DA "\nb.io/z@" DB "\nc.io/z/a@" DB,
		 "  - mirrors:\n    - m.example.com/olm/sub\n    source: b.io\n"
		 "  - mirrors:\n    - m.example.com/olm/sub\n    source: c.io\n"},
		{{"file://local/index:v1", "m.example.com/olm", NULL, 0},
		 "b.io/y/z@" DA "\nb.io/z@" DB "\nc.io/y/z@" DB,
		 "  - mirrors:\n    - m.example.com/olm\n    source: b.io\n"
		 "  - mirrors:\n    - m.example.com/olm\n    source: c.io\n"},
		{{INDEX, "m.example.com/olm", NULL, 2},
		 "b.io/y/z@" DA,
		 "idms-scope registry: not all of b.io is below one path of the mirror, b.io/y/z is "
		 "at m.example.com/olm/y-z\nhint: use --idms-scope=repository, or "
		 "--max-components=0 so that paths stay"},
		// The second is joined, the first is not.
		{{INDEX, "m.example.com", NULL, 2},
		 "b.io/y@" DA "\nb.io/z/a/b@" DA,
		 "idms-scope registry: not all of b.io is below one path of the mirror, b.io/z/a/b "
		 "is at m.example.com/z/a-b\nhint: use --idms-scope=repository, or "
		 "--max-components=0 so that paths stay"},
		// The index has gone elsewhere.
		{{"b.io/cat/fbc@" DA, "m.example.com/olm", "m.example.com/idx/cat/fbc:v1", 0},
		 "b.io/y/z@" DA,
		 "idms-scope registry: not all of b.io is below one path of the mirror, "
		 "b.io/cat/fbc is at m.example.com/idx/cat/fbc\nhint: use "
		 "--idms-scope=repository, or --max-components=0 so that paths stay"},
		// "a-z" ends like "z", and is not below anything.
		{{INDEX, "m.example.com/x/a", NULL, 2},
		 "b.io/z@" DA,
		 "idms-scope registry: not all of b.io is below one path of the mirror, b.io/z is at "
		 "m.example.com/x/a-z\nhint: use --idms-scope=repository, or --max-components=0 so "
		 "that paths stay"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_catalog_manifests struct catalog_manifests m = {0};
		struct wish w = {.idms_scope = CATALOG_SCOPE_REGISTRY};
		struct err e;

		if (make(&m, rows[i].images, &rows[i].line, &w, &e) < 0) {
			CHECK_STR(e.text, rows[i].pairs);
			CHECK_INT(e.kind, ERR_USAGE);
			continue;
		}
		const char *text = text_of(&m, "imageDigestMirrorSet.yaml");
		const char *at = strstr(text, "  - mirrors:");

		CHECK_STR(at ? at : text, rows[i].pairs);
		CHECK(strstr(text_of(&m, "imageContentSourcePolicy.yaml"), "source: b.io/"));
	}
}

TEST(limits_that_are_too_small_are_errors_and_what_was_made_before_is_kept)
{
	static const struct {
		struct wish wish;
		const char *why, *files;
	} rows[] = {
		{{.max_idms_size = 10},
		 "unable to add mirror {b.io/y [m.example.com/olm/y]} to IDMS with the "
		 "max-idms-size set to 10",
		 ""},
		{{.max_icsp_size = 10},
		 "unable to add mirror {b.io/y [m.example.com/olm/y]} to ICSP with the "
		 "max-icsp-size set to 10",
		 "imageDigestMirrorSet.yaml"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_catalog_manifests struct catalog_manifests m = {0};
		struct line l = {INDEX, "m.example.com/olm", NULL, 2};
		struct err e;

		CHECK_FAILS(make(&m, "b.io/y@" DA, &l, &rows[i].wish, &e));
		auto_free char *files = files_of(&m);

		CHECK_STR(e.text, rows[i].why);
		CHECK_INT(e.kind, ERR_INPUT);
		CHECK_STR(files, rows[i].files);
	}
}

TEST(an_address_that_the_schema_refuses_is_left_out_of_what_it_checks)
{
	auto_catalog_manifests struct catalog_manifests m = {0};
	struct line l = {INDEX, "[::1]:5000/olm", NULL, 2};
	struct err e;

	REQUIRE_OK(make(&m, "b.io/y@" DA, &l, &(struct wish){0}, &e));
	auto_free char *files = files_of(&m);

	CHECK_STR(files, "imageContentSourcePolicy.yaml catalogSource.yaml");
	CHECK(m.remarks.n > 0 && strstr(m.remarks.v[0], "takes no IPv6 addresses"));
}

TEST(values_of_flags_are_checked_in_the_references_words)
{
	enum catalog_scope scope = CATALOG_SCOPE_REPOSITORY;
	struct err e;

	REQUIRE_OK(catalog_scope_parse(&scope, "idms-scope", "registry", &e));
	CHECK_INT(scope, CATALOG_SCOPE_REGISTRY);
	REQUIRE_OK(catalog_scope_parse(&scope, "idms-scope", "repository", &e));
	CHECK_INT(scope, CATALOG_SCOPE_REPOSITORY);
	CHECK_FAILS(catalog_scope_parse(&scope, "icsp-scope", "cluster", &e));
	CHECK_STR(e.text, "invalid icsp-scope cluster");
	CHECK_OK(catalog_set_size_check("max-idms-size", 1, &e));
	CHECK_OK(catalog_set_size_check("max-idms-size", 250000, &e));
	CHECK_FAILS(catalog_set_size_check("max-icsp-size", 250001, &e));
	CHECK_STR(e.text, "provided max-icsp-size of 250001 must be greater than 0 and less than "
			  "or equal to 250000");
	CHECK_FAILS(catalog_set_size_check("max-icsp-size", 0, &e));
	CHECK_INT(e.kind, ERR_USAGE);
}

int main(void)
{
	return tap_main();
}
