// SPDX-License-Identifier: Apache-2.0
// Index images: which entry of a list is read, what labels say, and how failures are told.
#include <stdio.h>

#include "world.h"

static struct err e;

static const struct world_layers one_file = {{{"configs/a=1"}}};

// A list at TAG of images for PLATFORMS ("linux/arm/v7", NULL at the end); the first MISSING of
// them are not there.
static void put_list(const struct world *w, const char *const *platforms, const char *tag,
		     size_t missing)
{
	auto_buf struct buf json = BUF_INIT(BUF_TEXT_MAX);
	struct digest ignored;

	buf_puts(&json, "{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_INDEX "\",\"manifests\":[");
	for (size_t i = 0; platforms[i]; i++) {
		auto_free char *config = xasprintf("{\"n\":\"%s\"}", platforms[i]);
		struct digest d;
		struct str rest = str_of(platforms[i]), os = str_cut(&rest, '/'),
			   arch = str_cut(&rest, '/');

		if (i < missing)
			digest_of(&d, DIGEST_SHA256, platforms[i], strlen(platforms[i]));
		else
			d = world_image(w, &one_file, config, CONFIG_TYPE, NULL);
		buf_printf(&json,
			   "%s{\"mediaType\":\"" MT_OCI_MANIFEST "\",\"digest\":\"%s\",\"size\":1,"
			   "\"platform\":{\"os\":\"%.*s\",\"architecture\":\"%.*s\"",
			   i ? "," : "", d.text, STR_FMT(os), STR_FMT(arch));
		if (rest.p)
			buf_printf(&json, ",\"variant\":\"%.*s\"", STR_FMT(rest));
		buf_puts(&json, "}}");
	}
	buf_puts(&json, "]}");
	memory_add_manifest(w->repo, json.p, MT_OCI_INDEX, tag, &ignored);
}

// Which platform of PLATFORMS was chosen: what its configuration says.
static char *chosen(struct world *w, const struct catalog_index *ix)
{
	auto_of(stream_free) struct stream *s =
		w->repo->ops->blob_open(w->repo, &ix->manifest.config, 0, &e);
	auto_of(slab_free) struct slab *slab = stream_read(s, &e);

	return xasprintf("%.*s", (int)slab->n - 8, (char *)slab->data + 6);
}

TEST(one_entry_of_a_list_is_read)
{
	static const char *const all[] = {"linux/s390x", "linux/arm64/v8", "linux/arm/v7",
					  "linux/amd64", NULL};
	static const char *const foreign[] = {"linux/s390x", "linux/arm64", NULL};
	static const char *const single[] = {"linux/s390x", NULL};
	static const char *const twice[] = {"linux/arm64/v9", "linux/arm64", NULL};
	static const struct {
		const char *const *platforms;
		const char *filter, *want;
		bool notice;
	} rows[] = {
		{all, NULL, "linux/amd64", false},
		{all, "", "linux/amd64", false},
		{all, "linux/s390x", "linux/s390x", false},
		{all, ".*", "linux/amd64", true},
		{all, "linux/a.*", "linux/amd64", true},
		// Not every architecture that begins so.
		{all, "linux/arm", "linux/arm/v7", false},
		{all, "linux/arm64", "linux/arm64/v8", false},
		{all, "linux/arm64/v8", "linux/arm64/v8", false},
		{all, "linux/arm.*", "linux/arm64/v8", true},
		{all, "s390", "linux/s390x", false},
		{foreign, ".*", "linux/s390x", true},
		{single, NULL, "linux/s390x", true},
		{single, ".*", "linux/s390x", false},
		{twice, "linux/arm64", "linux/arm64", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_world struct world w;
		auto_catalog_index struct catalog_index ix = {0};
		auto_free char *notice = NULL;

		world_init(&w);
		put_list(&w, rows[i].platforms, "v1", 0);
		REQUIRE_OK(world_open("src.io/cat/index:v1", rows[i].filter, &ix, &notice, &e));
		auto_free char *got = chosen(&w, &ix);

		if (strcmp(got, rows[i].want) != 0 || (notice != NULL) != rows[i].notice)
			tap_report(false, "row %zu: %s (%s)", i, got, notice ? notice : "");
		// The list and its one entry, nothing else.
		CHECK_INT(memory_calls(w.place, MEMORY_MANIFEST_GET), 2);
		CHECK(!digest_equal(&ix.root, &ix.digest));
	}
}

TEST(a_notice_says_what_was_chosen)
{
	static const char *const all[] = {"linux/arm64", "linux/amd64", NULL};
	static const char *const single[] = {"linux/arm64", NULL};
	auto_world struct world w;
	auto_catalog_index struct catalog_index ix = {0};
	auto_free char *notice = NULL;

	world_init(&w);
	put_list(&w, all, "v1", 0);
	REQUIRE_OK(world_open("src.io/cat/index:v1", ".*", &ix, &notice, &e));
	CHECK_STR(notice, "the image is a manifest list and --index-filter-by-os selects several "
			  "images: reading the catalog of linux/amd64");
	catalog_index_release(&ix);
	free(notice);
	put_list(&w, single, "v2", 0);
	REQUIRE_OK(world_open("src.io/cat/index:v2", NULL, &ix, &notice, &e));
	CHECK_STR(notice, "the image is a manifest list and has no image for linux/amd64: reading "
			  "the catalog of linux/arm64");
}

TEST(entries_for_other_platforms_need_not_be_there)
{
	static const char *const all[] = {"linux/s390x", "linux/amd64", NULL};
	auto_world struct world w;
	auto_catalog_index struct catalog_index ix = {0};
	auto_free char *notice = NULL;

	world_init(&w);
	put_list(&w, all, "v1", 1);
	CHECK_OK(world_open("src.io/cat/index:v1", NULL, &ix, &notice, &e));
	catalog_index_release(&ix);
	CHECK_FAILS(world_open("src.io/cat/index:v1", "linux/s390x", &ix, &notice, &e));
	CHECK(starts_with(e.text, "unable to read image src.io/cat/index:v1: unable to retrieve "
				  "source image src.io/cat/index:v1 manifest sha256:"));
	CHECK(ends_with(e.text, "from manifest list: manifest unknown: manifest unknown"));
}

TEST(a_list_without_the_wanted_platform_is_shown)
{
	static const char *const all[] = {"linux/amd64", "linux/arm64/v8", NULL};
	static const char *const single[] = {"linux/s390x", NULL};
	auto_world struct world w;
	auto_catalog_index struct catalog_index ix = {0};
	auto_free char *notice = NULL;

	world_init(&w);
	put_list(&w, all, "v1", 2);
	CHECK_FAILS(world_open("src.io/cat/index:v1", "linux/ppc64le", &ix, &notice, &e));
	CHECK_STR(e.text, "the image is a manifest list and contains multiple images - use "
			  "--index-filter-by-os to select from:\n\n"
			  "  OS             DIGEST\n"
			  "  linux/amd64    sha256:"
			  "baf0239e48ff4c47ebac3ba02b5cf1506b69cd5a0c0d0c825a53ba65976fb942\n"
			  "  linux/arm64/v8 sha256:"
			  "ddfa17b80e3d96ad44cd69f3a0dcb39e84143ffe057b2d3bfde0e72d8c0cf2c1\n");
	put_list(&w, single, "v2", 1);
	CHECK_FAILS(world_open("src.io/cat/index:v2", "linux/amd64", &ix, &notice, &e));
	CHECK(strstr(e.text, "\n  linux/s390x sha256:") != NULL);
}

TEST(a_long_list_is_cut_at_its_end)
{
	static char names[40][32];
	static const char *all[41];
	auto_world struct world w;
	auto_catalog_index struct catalog_index ix = {0};
	auto_free char *notice = NULL;

	for (size_t i = 0; i < 40; i++) {
		snprintf(names[i], sizeof(names[i]), "plan9/a%zu", i);
		all[i] = names[i];
	}
	world_init(&w);
	put_list(&w, all, "v1", 40);
	CHECK_FAILS(world_open("src.io/cat/index:v1", NULL, &ix, &notice, &e));
	CHECK(ends_with(e.text, " more\n"));
	CHECK(strstr(e.text, "…") == NULL && strstr(e.text, "...") == NULL);
}

TEST(an_image_alone_is_taken_whatever_the_filter_says)
{
	auto_world struct world w;
	auto_catalog_index struct catalog_index ix = {0};
	auto_free char *notice = NULL;

	world_init(&w);
	struct digest d = world_image(&w, &one_file, FBC_CONFIG, CONFIG_TYPE, "v1");
	auto_free char *by_digest = xasprintf("src.io/cat/index:v9@%s", d.text);

	CHECK_OK(world_open("src.io/cat/index:v1", "windows/arm64", &ix, &notice, &e));
	CHECK(digest_equal(&ix.root, &d) && digest_equal(&ix.digest, &d));
	CHECK(notice == NULL);
	catalog_index_release(&ix);
	CHECK_OK(world_open(by_digest, NULL, &ix, &notice, &e));
	CHECK(digest_equal(&ix.root, &d));
}

#define LABEL_CONFIGS  "\"operators.operatorframework.io.index.configs.v1\":"
#define LABEL_DATABASE "\"operators.operatorframework.io.index.database.v1\":"
#define LABELS(text)   "{\"config\":{\"Labels\":{" text "}}}"

TEST(labels_say_what_is_inside)
{
	static const struct {
		const char *config, *path;
		enum catalog_kind kind;
		bool labelled;
	} rows[] = {
		{LABELS(LABEL_CONFIGS "\"/configs\""), "/configs/", CATALOG_FBC, true},
		{LABELS(LABEL_CONFIGS "\"/configs/\""), "/configs/", CATALOG_FBC, true},
		{LABELS(LABEL_CONFIGS "\"\""), "/", CATALOG_FBC, true},
		{LABELS(LABEL_DATABASE "\"/database/index.db\""), "/database/index.db",
		 CATALOG_SQLITE, true},
		{LABELS(LABEL_DATABASE "\"bundles.db\""), "bundles.db", CATALOG_SQLITE, true},
		{LABELS(LABEL_DATABASE "\"/a.db\"," LABEL_CONFIGS "\"/configs\""), "/configs/",
		 CATALOG_FBC, true},
		{LABELS("\"other\":\"x\""), "/", CATALOG_SQLITE, false},
		{LABELS(LABEL_CONFIGS "null"), "/", CATALOG_SQLITE, false},
		{"{\"config\":{\"Labels\":null}}", "/", CATALOG_SQLITE, false},
		{"{\"config\":{}}", "/", CATALOG_SQLITE, false},
		{"{\"config\":null}", "/", CATALOG_SQLITE, false},
		{"{}", "/", CATALOG_SQLITE, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_world struct world w;
		auto_catalog_index struct catalog_index ix = {0};

		world_init(&w);
		REQUIRE_OK(world_index(&w, &one_file, rows[i].config, &ix, &e));
		CHECK_STR(ix.path, rows[i].path);
		CHECK_INT(ix.kind, rows[i].kind);
		CHECK_INT(ix.labelled, rows[i].labelled);
	}
}

TEST(a_configuration_that_is_none_is_one_clear_error)
{
	static const struct {
		const char *config, *type, *why;
	} rows[] = {
		{"[]", CONFIG_TYPE,
		 "unable to read image src.io/cat/index:v1: image configuration: "
		 "not an object"},
		{"{\"config\":[]}", CONFIG_TYPE,
		 "unable to read image src.io/cat/index:v1: image configuration: config: not an "
		 "object"},
		{"{\"config\":{\"Labels\":7}}", CONFIG_TYPE,
		 "unable to read image src.io/cat/index:v1: image configuration: config.Labels: not "
		 "an object"},
		{LABELS(LABEL_CONFIGS "7"), CONFIG_TYPE,
		 "unable to read image src.io/cat/index:v1: image configuration: "
		 "config.Labels.operators.operatorframework.io.index.configs.v1: not a string"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_world struct world w;
		auto_catalog_index struct catalog_index ix = {0};

		world_init(&w);
		CHECK_FAILS(world_index(&w, &one_file, rows[i].config, &ix, &e));
		CHECK_STR(e.text, rows[i].why);
		CHECK_INT(e.kind, ERR_INPUT);
	}
}

TEST(what_is_no_image_is_refused_by_the_type_of_its_configuration)
{
	auto_world struct world w;
	auto_catalog_index struct catalog_index ix = {0};
	auto_free char *notice = NULL;

	world_init(&w);
	struct digest d =
		world_image(&w, &one_file, "{}", "application/vnd.oci.empty.v1+json", "v1");
	auto_free char *want =
		xasprintf("manifest %s does not have the expected image configuration media type: "
			  "application/vnd.oci.empty.v1+json",
			  d.text);

	CHECK_FAILS(world_open("src.io/cat/index:v1", NULL, &ix, &notice, &e));
	CHECK_STR(e.text, want);
}

TEST(a_damaged_or_huge_configuration_is_refused)
{
	auto_world struct world w;
	auto_catalog_index struct catalog_index ix = {0};
	auto_free char *notice = NULL;
	size_t n = ((size_t)8 << 20) + 1;
	auto_free char *huge = xmalloc(n + 1);

	world_init(&w);
	REQUIRE_OK(world_index(&w, &one_file, FBC_CONFIG, &ix, &e));
	memory_damage(w.repo, &ix.manifest.config.digest);
	catalog_index_release(&ix);
	CHECK_FAILS(world_open("src.io/cat/index:v1", NULL, &ix, &notice, &e));
	CHECK_INT(e.kind, ERR_DIGEST);
	memset(huge, ' ', n);
	huge[n] = '\0';
	world_image(&w, &one_file, huge, CONFIG_TYPE, "v2");
	CHECK_FAILS(world_open("src.io/cat/index:v2", NULL, &ix, &notice, &e));
	CHECK_INT(e.kind, ERR_INPUT);
}

TEST(failures_are_worded_as_the_reference_words_them)
{
	static const struct {
		struct err why;
		const char *ref, *want;
	} rows[] = {
		{{ERR_NOT_FOUND, 0, 404, "manifest unknown: manifest unknown"},
		 "src.io/cat/index:v1",
		 "image \"src.io/cat/index:v1\" not found: manifest unknown: manifest unknown"},
		{{ERR_DENIED, 0, 403, "denied: no"},
		 "src.io/cat/index:v1",
		 "image \"src.io/cat/index:v1\" does not exist or you don't have permission to "
		 "access the repository"},
		{{ERR_DENIED, 0, 401, "no basic auth credentials"},
		 "src.io/cat/index:v1",
		 "unable to read image src.io/cat/index:v1: no basic auth credentials"},
		{{ERR_NET, 0, 0, "connection refused"},
		 "src.io/cat/index:v1",
		 "unable to read image src.io/cat/index:v1: connection refused"},
		{{ERR_CANCELLED, 0, 0, "interrupted"}, "src.io/cat/index:v1", "interrupted"},
		{{ERR_NET, 0, 0, "never asked"},
		 "src.io/cat/index",
		 "unable to read image src.io/cat/index: no tag or digest specified"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_world struct world w;
		auto_catalog_index struct catalog_index ix = {0};
		auto_free char *notice = NULL;

		world_init(&w);
		memory_fail(w.place, MEMORY_MANIFEST_GET, 0, &rows[i].why);
		CHECK_FAILS(world_open(rows[i].ref, NULL, &ix, &notice, &e));
		CHECK_STR(e.text, rows[i].want);
	}
}

TEST(a_store_is_told_as_one)
{
	static const struct err why = {.kind = ERR_NOT_FOUND, .text = "unknown blob"};
	auto_world struct world w;
	auto_catalog_index struct catalog_index ix = {0};
	auto_free char *notice = NULL;

	world_init(&w);
	w.place->kind = PLACE_STORE;
	memory_fail(w.place, MEMORY_MANIFEST_GET, 0, &why);
	CHECK_FAILS(world_open("file://cat/index:v1", NULL, &ix, &notice, &e));
	CHECK_STR(e.text, "unable to read image file://cat/index:v1: unknown blob");
}

TEST(a_bad_filter_is_an_error_also_for_an_image_alone)
{
	auto_world struct world w;
	auto_catalog_index struct catalog_index ix = {0};
	auto_free char *notice = NULL;

	world_init(&w);
	world_image(&w, &one_file, FBC_CONFIG, CONFIG_TYPE, "v1");
	CHECK_FAILS(world_open("src.io/cat/index:v1", "linux/(", &ix, &notice, &e));
	CHECK_STR(e.text, "--filter-by-os was not a valid regular expression: error parsing "
			  "regexp: missing closing ): `linux/(`");
}

int main(void)
{
	return tap_main();
}
