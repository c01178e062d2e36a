// SPDX-License-Identifier: Apache-2.0
#include "image/manifest.h"

#include "tap.h"
#include "tsv.h"

#define D1     "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define D2     "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define CONFIG "\"config\":{\"mediaType\":\"c\",\"digest\":\"" D1 "\",\"size\":2}"
#define LAYER  "{\"mediaType\":\"l\",\"digest\":\"" D2 "\",\"size\":3}"
#define IMAGE  "{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER "]}"

static const char *const kind_names[] = {"image", "index", "schema1"};

// file, kind or "refused", media type or the end of the error, descriptors
static void from_file(const char *const *column)
{
	auto_free char *path = path_join(TEST_DATA "/manifests", column[0]);
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	auto_manifest struct manifest m = {0};
	struct err e = {0};

	REQUIRE_OK(fs_read_file(&bytes, path, &e));
	int rc = manifest_parse(&m, buf_str(&bytes), NULL, "x", &e);

	if (rc < 0) {
		CHECK_STR(column[1], "refused");
		CHECK_INT(e.kind, ERR_INPUT);
		CHECK_STR(e.text, column[2]);
		return;
	}
	auto_buf struct buf count = BUF_INIT(100);

	buf_printf(&count, "%zu", m.kind == MANIFEST_INDEX ? m.nmanifests : m.nlayers);
	CHECK_STR(kind_names[m.kind], column[1]);
	CHECK_STR(m.media_type, column[2]);
	CHECK_STR(count.p, column[3]);
}

TEST(manifests_of_many_tools_are_read_or_refused_for_a_reason)
{
	CHECK_INT(tsv_each(TEST_DATA "/manifests/EXPECT.tsv", from_file), 62);
}

TEST(an_image_is_read_whole)
{
	static const char text[] =
		"{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_MANIFEST
		"\",\"artifactType\":\"a/b\","
		"\"config\":{\"mediaType\":\"c/d\",\"digest\":\"" D1
		"\",\"size\":9223372036854775807},"
		"\"layers\":[{\"mediaType\":\"e\",\"digest\":\"" D2 "\",\"size\":0,"
		"\"urls\":[\"https://h/1\",\"https://h/2\"]}],"
		"\"subject\":{\"mediaType\":\"s\",\"digest\":\"" D2 "\",\"size\":7}}";
	auto_manifest struct manifest m = {0};
	struct err e;

	REQUIRE_OK(manifest_parse(&m, STR(text), NULL, "x", &e));
	CHECK_INT(m.kind, MANIFEST_IMAGE);
	CHECK_STR(m.media_type, MT_OCI_MANIFEST);
	CHECK_STR(m.artifact_type, "a/b");
	CHECK_STR(m.config.digest.text, D1);
	CHECK(m.config.size == INT64_MAX);
	CHECK_INT(m.nlayers, 1);
	CHECK_STR(m.layers[0].media_type, "e");
	CHECK_STR(m.layers[0].urls[1], "https://h/2");
	CHECK(m.layers[0].urls[2] == NULL);
	CHECK(!m.layers[0].has_platform);
	CHECK(m.has_subject);
	CHECK_STR(m.subject.digest.text, D2);
}

TEST(the_type_is_the_documents_then_the_servers_then_the_shapes)
{
	static const struct {
		const char *text, *served, *type;
	} rows[] = {
		{IMAGE, NULL, MT_OCI_MANIFEST},
		{IMAGE, "application/json", MT_OCI_MANIFEST},
		{IMAGE, MT_DOCKER_MANIFEST "; charset=utf-8", MT_DOCKER_MANIFEST},
		{"{\"schemaVersion\":2,\"manifests\":[]}", NULL, MT_OCI_INDEX},
		{"{\"schemaVersion\":2,\"manifests\":[]}", MT_DOCKER_LIST, MT_DOCKER_LIST},
		{"{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"" MT_DOCKER_MANIFEST
		 "\",\"digest\":\"" D1 "\",\"size\":1}]}",
		 NULL, MT_DOCKER_LIST},
		{"{\"schemaVersion\":2,\"manifests\":null}", NULL, MT_OCI_INDEX},
		{"{\"schemaVersion\":1,\"fsLayers\":[]}", NULL, MT_DOCKER_SCHEMA1},
		{"{\"schemaVersion\":1,\"fsLayers\":[]}", MT_DOCKER_SIGNED1, MT_DOCKER_SIGNED1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_manifest struct manifest m = {0};
		struct err e;

		REQUIRE_OK(manifest_parse(&m, str_of(rows[i].text), rows[i].served, "x", &e));
		CHECK_STR(m.media_type, rows[i].type);
	}
}

TEST(what_is_wrong_is_named_by_its_path)
{
	static const struct {
		const char *text, *served, *why;
	} rows[] = {
		{"", NULL, "unexpected end of JSON input"},
		{"{", NULL, "unexpected end of JSON input"},
		{"[]", NULL, "not an object"},
		{"{}", NULL, "schemaVersion: missing"},
		{"{\"schemaVersion\":3}", NULL, "schemaVersion: unknown version"},
		{"{\"schemaVersion\":2}", NULL, "config: missing"},
		{"{\"schemaVersion\":2}", MT_OCI_INDEX, "manifests: missing"},
		{"{\"schemaVersion\":2,\"mediaType\":\"x/y\"}", NULL,
		 "mediaType: unsupported manifest type \"x/y\""},
		{"{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_INDEX "\",\"manifests\":[]}",
		 MT_OCI_MANIFEST,
		 "mediaType: says " MT_OCI_INDEX ", but was served as " MT_OCI_MANIFEST},
		{"{\"schemaVersion\":2,\"mediaType\":\"" MT_DOCKER_SCHEMA1 "\"}", NULL,
		 "schemaVersion: does not fit the type " MT_DOCKER_SCHEMA1},
		{"{\"schemaVersion\":2," CONFIG ",\"layers\":[],\"manifests\":[]}", NULL,
		 "manifests: does not belong in an image manifest"},
		{"{\"schemaVersion\":2,\"manifests\":[],\"layers\":[]}", NULL,
		 "layers: does not belong in a manifest list"},
		{"{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER "," LAYER "," LAYER
		 ",{\"digest\":7}]}",
		 NULL, "layers[3].digest: not a string"},
		{"{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"digest\":\"sha256:1\"}]}", NULL,
		 "layers[0].digest: not a digest: invalid checksum digest length"},
		{"{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"digest\":\"" D1
		 "\",\"size\":-1}]}",
		 NULL, "layers[0].size: negative"},
		{"{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"digest\":\"" D1
		 "\",\"size\":1.5}]}",
		 NULL, "layers[0].size: not a whole number"},
		{"{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"digest\":\"" D1 "\"}]}", NULL,
		 "layers[0].size: missing"},
		{"{\"schemaVersion\":2," CONFIG ",\"layers\":{}}", NULL, "layers: not an array"},
		{"{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"" D1
		 "\",\"size\":1,\"platform\":{\"os\":1}}]}",
		 NULL, "manifests[0].platform.os: not a string"},
		{"{\"schemaVersion\":2,\"schemaVersion\":2}", NULL,
		 "duplicate key at line 1, column 34"},
		{"{\"schemaVersion\":2,\"x\":9223372036854775808}", NULL,
		 "number out of range at line 1, column 42"},
		{"{\"schemaVersion\":2}x", NULL,
		 "data after the JSON document at line 1, column 20"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buf struct buf want = BUF_INIT(1000);
		struct manifest m;
		struct err e = {0};

		buf_printf(&want, "manifest of x: %s", rows[i].why);
		CHECK_FAILS(manifest_parse(&m, str_of(rows[i].text), rows[i].served, "x", &e));
		CHECK_INT(e.kind, ERR_INPUT);
		CHECK_STR(e.text, want.p);
	}
}

static void repeat(struct buf *b, const char *text, int n)
{
	for (int i = 0; i < n; i++)
		buf_puts(b, text);
}

TEST(nothing_from_outside_decides_our_memory)
{
	static const struct {
		const char *head, *item;
		int n;
		const char *why;
	} rows[] = {
		{"{\"schemaVersion\":2,\"x\":", "[", 64,
		 "manifest of x: JSON nested more than 64 levels deep"},
		{"{\"schemaVersion\":2,\"x\":[", "0,", 500000,
		 "manifest of x: JSON of more than 200000 values"},
		{"{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER, "," LAYER, 10000,
		 "manifest of x: layers: more than 10000 entries"},
		{"", " ", (8 << 20) + 1, "manifest of x: more than 8388608 bytes of JSON"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buf struct buf b = BUF_INIT(BUF_TEXT_MAX);
		struct manifest m;
		struct err e = {0};

		buf_puts(&b, rows[i].head);
		repeat(&b, rows[i].item, rows[i].n);
		if (i == 2)
			buf_puts(&b, "]}");
		CHECK_FAILS(manifest_parse(&m, buf_str(&b), NULL, "x", &e));
		CHECK_STR(e.text, rows[i].why);
	}
}

static void read_data(struct buf *ret, const char *name)
{
	auto_free char *path = path_join(TEST_DATA "/manifests", name);
	struct err e = {0};

	CHECK_OK(fs_read_file(ret, path, &e));
}

TEST(a_filtered_list_is_the_references_to_the_byte)
{
	static const bool keep[] = {false, true, true};
	auto_buf struct buf list = BUF_INIT(MANIFEST_MAX), want = BUF_INIT(MANIFEST_MAX);
	auto_buf struct buf got = BUF_INIT(MANIFEST_MAX);
	struct digest d;
	struct err e;

	read_data(&list, "filter/list.json");
	read_data(&want, "filter/two-of-three.json");
	REQUIRE_OK(manifest_filter_index(&got, buf_str(&list), keep, &e));
	CHECK_STR(got.p, want.p);
	digest_of(&d, DIGEST_SHA256, got.p, got.n);
	CHECK_STR(d.text,
		  "sha256:7a376251fb2734386f0a6a660ffc50d5a7b809036d32daffd8b5564128732f04");
}

TEST(a_filtered_list_keeps_all_that_entries_can_say)
{
	static const char text[] =
		"{\"schemaVersion\":2,\"annotations\":{\"gone\":\"1\"},\"manifests\":[{"
		"\"platform\":{\"variant\":\"v\",\"os.features\":[\"f\"],\"os.version\":\"1\",\"os\":\"o\","
		"\"features\":[\"g\"],\"architecture\":\"a\"},"
		"\"annotations\":{\"b\":\"<2>\",\"a\":\"1\"},\"urls\":[\"u\"],\"size\":5,"
		"\"digest\":\"" D1 "\",\"mediaType\":\"" MT_OCI_MANIFEST "\"},"
		"{\"mediaType\":\"" MT_OCI_MANIFEST "\",\"digest\":\"" D2 "\",\"size\":0}]}";
	static const bool keep[] = {true, true};
	auto_buf struct buf got = BUF_INIT(MANIFEST_MAX);
	struct err e;

	REQUIRE_OK(manifest_filter_index(&got, STR(text), keep, &e));
	CHECK_STR(got.p, "{\n"
			 "   \"schemaVersion\": 2,\n"
			 "   \"mediaType\": \"" MT_OCI_INDEX "\",\n"
			 "   \"manifests\": [\n"
			 "      {\n"
			 "         \"mediaType\": \"" MT_OCI_MANIFEST "\",\n"
			 "         \"digest\": \"" D1 "\",\n"
			 "         \"size\": 5,\n"
			 "         \"urls\": [\n"
			 "            \"u\"\n"
			 "         ],\n"
			 "         \"annotations\": {\n"
			 "            \"a\": \"1\",\n"
			 "            \"b\": \"\\u003c2\\u003e\"\n"
			 "         },\n"
			 "         \"platform\": {\n"
			 "            \"architecture\": \"a\",\n"
			 "            \"os\": \"o\",\n"
			 "            \"os.version\": \"1\",\n"
			 "            \"os.features\": [\n"
			 "               \"f\"\n"
			 "            ],\n"
			 "            \"variant\": \"v\",\n"
			 "            \"features\": [\n"
			 "               \"g\"\n"
			 "            ]\n"
			 "         }\n"
			 "      },\n"
			 "      {\n"
			 "         \"mediaType\": \"" MT_OCI_MANIFEST "\",\n"
			 "         \"digest\": \"" D2 "\",\n"
			 "         \"platform\": {\n"
			 "            \"architecture\": \"\",\n"
			 "            \"os\": \"\"\n"
			 "         }\n"
			 "      }\n"
			 "   ]\n"
			 "}");
}

TEST(a_configuration_names_its_platform)
{
	auto_free char *os = NULL, *arch = NULL, *none = NULL, *no_arch = NULL;
	struct err e;

	REQUIRE_OK(config_platform(STR("{\"os\":\"linux\",\"architecture\":\"s390x\"}"), &os, &arch,
				   &e));
	CHECK_STR(os, "linux");
	CHECK_STR(arch, "s390x");
	REQUIRE_OK(config_platform(STR("{}"), &none, &no_arch, &e));
	CHECK_STR(none, "");
	CHECK_FAILS(config_platform(STR("{\"os\":[]}"), &os, &arch, &e));
	CHECK_STR(e.text, "image configuration: os: not a string");
}

TEST(media_types_tell_lists_and_foreign_layers)
{
	CHECK(media_type_is_index(MT_DOCKER_LIST));
	CHECK(media_type_is_index("Application/vnd.oci.image.index.v1+JSON; charset=utf-8"));
	CHECK(!media_type_is_index(MT_OCI_MANIFEST));
	CHECK(!media_type_is_index(""));
	CHECK(media_type_is_foreign("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"));
	CHECK(media_type_is_foreign("application/vnd.oci.image.layer.nondistributable.v1.tar"));
	CHECK(!media_type_is_foreign("application/vnd.oci.image.layer.v1.tar+gzip"));
}

int main(void)
{
	return tap_main();
}
