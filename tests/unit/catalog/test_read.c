// SPDX-License-Identifier: Apache-2.0
// Catalogs read out of index images in memory.
#include "catalog/read.h"

#include <stdio.h>

#include "world.h"

static struct err e;

// The broken files that were told of.
static bool note_broken(void *arg, const struct err *why)
{
	strlist_add(arg, why->text);
	return true;
}

static const struct catalog_read_config plain = {.threads = 3};

static int read_layers(const struct world_layers *layers, const char *config,
		       const struct catalog_read_config *cfg, struct catalog *ret)
{
	auto_world struct world w;
	auto_catalog_index struct catalog_index ix = {0};

	world_init(&w);
	if (world_index(&w, layers, config, &ix, &e) < 0)
		return -1;
	return catalog_read(&ix, cfg, ret, &e);
}

// Packages, then images with their bundles, in one line; an error is its text. Caller frees.
static char *listed(const struct world_layers *layers, const struct catalog_read_config *cfg)
{
	auto_buf struct buf b = BUF_INIT(BUF_TEXT_MAX);
	auto_catalog struct catalog c = {0};

	if (read_layers(layers, FBC_CONFIG, cfg, &c) < 0)
		return xasprintf("error: %s", e.text);
	for (size_t i = 0; i < c.npackages; i++)
		buf_printf(&b, "%s%s", i ? " " : "", c.packages[i]);
	for (size_t i = 0; i < c.nimages; i++) {
		buf_printf(&b, "; %s", c.images[i].text);
		for (size_t j = 0; j < c.images[i].nbundles; j++)
			buf_printf(&b, " %s", c.bundles[c.images[i].bundles[j]].name);
	}
	return buf_take(&b);
}

#define ALPHA                                                                               \
	"{\"schema\":\"olm.package\",\"name\":\"alpha\"}\n"                                 \
	"{\"schema\":\"olm.channel\",\"package\":\"alpha\",\"name\":\"stable\"}\n"          \
	"{\"schema\":\"olm.bundle\",\"package\":\"alpha\",\"name\":\"alpha.v1\",\"image\":" \
	"\"q/alpha:v1\",\"relatedImages\":[{\"image\":\"q/common\"},{\"image\":\"q/alpha:v1\"}]}"
#define BETA                                                                \
	"schema: olm.package\nname: beta\n---\n"                            \
	"schema: olm.bundle\npackage: beta\nname: beta.v1\nimage: q/beta\n" \
	"relatedImages:\n- image: q/common\n"

TEST(a_catalog_of_json_and_yaml_is_listed)
{
	static const struct world_layers layers = {{
		{"configs/", "configs/alpha/catalog.json=" ALPHA, "other/x.json={"},
		{"configs/beta.yaml=" BETA, "configs/loose/x=image: q/loose", "configs/none="},
	}};
	auto_free char *got = listed(&layers, &plain);

	CHECK_STR(got,
		  "alpha beta; q/alpha:v1 alpha.v1; q/beta beta.v1; q/common alpha.v1 beta.v1; "
		  "q/loose ");
}

TEST(what_does_not_count_costs_no_error)
{
	static const struct {
		const char *what;
		struct world_layers layers;
	} rows[] = {
		{"an ignored file, the pattern behind it",
		 {{{"configs/a.yaml=" BETA, "configs/bad.json={",
		    "configs/.indexignore=bad.json"}}}},
		{"the pattern in a lower layer",
		 {{{"configs/a.yaml=" BETA, "configs/.indexignore=/x/"},
		   {"configs/x/y/bad.json={\"image\":5}", "configs/x/README=hello"}}}},
		{"a file that a higher layer has, too",
		 {{{"configs/a.yaml={", "configs/b=["},
		   {"configs/a.yaml=" BETA, "configs/.wh.b="}}}},
		{"a file that the same layer has again",
		 {{{"configs/a.yaml={", "configs/a.yaml=" BETA}}}},
		{"patterns that a higher layer replaces",
		 {{{"configs/.indexignore=*", "configs/a.yaml=" BETA},
		   {"configs/.indexignore=bad", "configs/bad={"}}}},
		{"a link to nothing that is ignored",
		 {{{"configs/a.yaml=" BETA, "configs/l>nowhere", "configs/.indexignore=l"}}}},
		{"everything below a whiteout of the root",
		 {{{"configs/old.json={"}, {".wh.configs=", "configs/a.yaml=" BETA}}}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *got = listed(&rows[i].layers, &plain);

		tap_report(strcmp(got, "beta; q/beta beta.v1; q/common beta.v1") == 0, "%s: '%s'",
			   rows[i].what, got);
	}
}

TEST(what_is_wrong_is_one_line_that_says_where)
{
	static const struct {
		struct world_layers layers;
		const char *want;
	} rows[] = {
		{{{{"configs/a/catalog.json=" ALPHA "\n{\"image\":"}}},
		 "configs/a/catalog.json: document 4 (line 4): unexpected end of JSON input"},
		{{{{"configs/a.json={\n\n\"a\" 5}"}}},
		 "configs/a.json: document 1 (line 1): invalid JSON at line 3, column 5"},
		{{{{"configs/a.json={\"image\":5}"}}},
		 "configs/a.json: document 1 (line 1): image: not a string"},
		{{{{"configs/a.json={} x"}}},
		 "configs/a.json: document 2 (line 1): not a JSON object"},
		{{{{"configs/a.yaml=" BETA "---\na: b: c\n"}}},
		 "configs/a.yaml: document 3 (line 11): line 11: mapping values are not allowed in "
		 "this context"},
		{{{{"configs/a.yaml=" BETA "---\nimage: 5\n"}}},
		 "configs/a.yaml: document 3 (line 11): image: not a string"},
		{{{{"configs/a.yml=a: 1\n----\n"}}},
		 "configs/a.yml: document 2 (line 2): invalid YAML document separator: only a "
		 "comment may follow ---"},
		{{{{"configs/README.md=hello"}}},
		 "configs/README.md: document 1 (line 1): not an object\n"
		 "hint: a file that is no part of the catalog is to be named in .indexignore"},
		{{{{"configs/a.json>/gone", "configs/b.yaml=" BETA}}},
		 "configs/a.json is a link to 'gone', which is not in the image"},
		{{{{"configs/.indexignore>/gone", "configs/b.yaml=" BETA}}},
		 "configs/.indexignore is a link to 'gone', which is not in the image"},
		// the first one by name, and of its documents
		{{{{"configs/z.json={", "configs/b.json={}{]}{]", "configs/c.json={"}}},
		 "configs/b.json: document 2 (line 1): invalid JSON at line 1, column 2"},
		{{{{"configs/"}}}, "no file of the image is below '/configs/'"},
		{{{{"configs/a=# nothing"}}}, "the catalog in '/configs/' is empty"},
		{{{{"configs/a=" BETA, "configs/.indexignore=*"}}},
		 "the catalog in '/configs/' is empty"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (int run = 0; run < 5; run++) {
			auto_free char *got = listed(&rows[i].layers, &plain);

			CHECK(starts_with(got, "error: "));
			CHECK_STR(got + strlen("error: "), rows[i].want);
			CHECK_INT(e.kind, ERR_INPUT);
		}
	}
}

TEST(broken_files_can_be_left_out)
{
	static const struct world_layers layers = {{
		{"configs/z.json={", "configs/a.json={\"image\":\"q/half\"}{",
		 "configs/b.yaml=" BETA, "configs/l>gone", "configs/x/.indexignore>gone"},
	}};
	auto_strlist struct strlist told = {0};
	const struct catalog_read_config cfg = {.on_broken = note_broken, .arg = &told};
	auto_free char *got = listed(&layers, &cfg);

	CHECK_STR(got, "beta; q/beta beta.v1; q/common beta.v1");
	CHECK_INT(told.n, 4);
	if (told.n == 4) {
		CHECK(starts_with(told.v[0], "configs/x/.indexignore is a link"));
		CHECK_STR(told.v[1],
			  "configs/a.json: document 2 (line 1): unexpected end of JSON input");
		CHECK(starts_with(told.v[2], "configs/l is a link"));
		CHECK(starts_with(told.v[3], "configs/z.json: document 1"));
	}
}

TEST(nothing_left_of_a_broken_catalog_is_an_error)
{
	static const struct world_layers layers = {{{"configs/z.json={"}}};
	auto_strlist struct strlist told = {0};
	const struct catalog_read_config cfg = {.on_broken = note_broken, .arg = &told};
	auto_free char *got = listed(&layers, &cfg);

	CHECK_STR(got, "error: the catalog in '/configs/' is empty");
	CHECK_INT(told.n, 1);
}

TEST(another_folder_can_be_read)
{
	static const struct world_layers layers = {
		{{"configs/a.json={", "opt/catalog/b.yaml=" BETA}}};
	const struct catalog_read_config cfg = {.path = "/opt/catalog/"};
	auto_free char *got = listed(&layers, &cfg);

	CHECK_STR(got, "beta; q/beta beta.v1; q/common beta.v1");
}

TEST(content_that_is_not_what_its_digest_says_is_not_believed)
{
	static const struct world_layers layers = {{{"configs/b.yaml=" BETA}}};
	auto_catalog_index struct catalog_index ix = {0};
	auto_catalog struct catalog c = {0};
	auto_world struct world w;

	world_init(&w);
	REQUIRE_OK(world_index(&w, &layers, FBC_CONFIG, &ix, &e));
	memory_damage(w.repo, &ix.manifest.layers[0].digest);
	CHECK_FAILS(catalog_read(&ix, &plain, &c, &e));
	CHECK_INT(e.kind, ERR_DIGEST);
}

TEST(reading_can_be_interrupted)
{
	static const struct world_layers layers = {{{"configs/b.yaml=" BETA}}};
	struct cancel cancel = CANCEL_INIT;
	const struct catalog_read_config cfg = {.cancel = &cancel};
	auto_catalog struct catalog c = {0};

	cancel_fire(&cancel);
	CHECK_FAILS(read_layers(&layers, FBC_CONFIG, &cfg, &c));
	CHECK_INT(e.kind, ERR_CANCELLED);
}

TEST(layers_that_unpack_to_too_much_are_refused)
{
	static const struct world_layers layers = {{{"configs/b.yaml=" BETA}}};
	const struct catalog_read_config cfg = {.limits = {.max_bytes = 100}};
	auto_catalog struct catalog c = {0};

	CHECK_FAILS(read_layers(&layers, FBC_CONFIG, &cfg, &c));
	CHECK_INT(e.kind, ERR_INPUT);
	CHECK(strstr(e.text, "100 bytes"));
}

int main(void)
{
	return tap_main();
}
