// SPDX-License-Identifier: Apache-2.0
#include "catalog/collect.h"

#include "tap.h"
#include "util/mem.h"

// The whole of a catalog as text: packages, bundles, images with their bundles.
static char *print(const struct catalog *c)
{
	auto_buf struct buf b = BUF_INIT(BUF_TEXT_MAX);

	for (size_t i = 0; i < c->npackages; i++)
		buf_printf(&b, "p %s\n", c->packages[i]);
	for (size_t i = 0; i < c->nbundles; i++) {
		uint32_t package = c->bundles[i].package;

		buf_printf(&b, "b %s/%s\n", package == CATALOG_NONE ? "-" : c->packages[package],
			   c->bundles[i].name);
	}
	for (size_t i = 0; i < c->nimages; i++) {
		buf_printf(&b, "i %s", c->images[i].text);
		for (size_t j = 0; j < c->images[i].nbundles; j++)
			buf_printf(&b, " %s", c->bundles[c->images[i].bundles[j]].name);
		buf_putc(&b, '\n');
	}
	return buf_take(&b);
}

static int add(struct collect *c, const char *package, const char *bundle, const char *image,
	       struct err *e)
{
	uint32_t number;

	if (collect_bundle(c, str_of(package), str_of(bundle), &number, e) < 0)
		return -1;
	return collect_image(c, number, str_of(image), e);
}

TEST(the_catalog_is_sorted_and_has_no_duplicates)
{
	auto_of(collect_free) struct collect *c = collect_new();
	auto_catalog struct catalog got = {0};
	struct err e;

	REQUIRE_OK(collect_package(c, STR("zeta"), &e));
	REQUIRE_OK(add(c, "beta", "beta.v2", "q/c", &e));
	REQUIRE_OK(add(c, "beta", "beta.v1", "q/c", &e));
	REQUIRE_OK(add(c, "beta", "beta.v1", "q/a", &e));
	REQUIRE_OK(add(c, "beta", "beta.v1", "q/a", &e));
	REQUIRE_OK(add(c, "", "", "q/b", &e));
	REQUIRE_OK(add(c, "alpha", "beta.v1", " q/a\n", &e));
	REQUIRE_OK(add(c, "alpha", "bare", "", &e));
	REQUIRE_OK(collect_package(c, STR("alpha"), &e));
	REQUIRE_OK(collect_package(c, STR(""), &e));
	REQUIRE_OK(collect_image(c, CATALOG_NONE, STR("q/nobody"), &e));
	CHECK(!collect_is_empty(c));
	collect_finish(c, &got);
	auto_free char *text = print(&got);

	CHECK_STR(text, "p alpha\np beta\np zeta\n"
			"b alpha/bare\nb alpha/beta.v1\nb beta/beta.v1\nb beta/beta.v2\nb -/\n"
			"i q/a beta.v1 beta.v1\ni q/b \ni q/c beta.v1 beta.v2\ni q/nobody\n");
	CHECK(collect_is_empty(c));
}

TEST(an_empty_catalog_is_a_catalog)
{
	auto_of(collect_free) struct collect *c = collect_new();
	auto_catalog struct catalog got = {0};

	CHECK(collect_is_empty(c));
	collect_finish(c, &got);
	CHECK_INT(got.npackages + got.nbundles + got.nimages, 0);
}

TEST(texts_have_ceilings_and_no_nul)
{
	auto_of(collect_free) struct collect *c = collect_new();
	auto_free char *longer = xcalloc(CATALOG_TEXT_MAX + 2, 1);
	struct str text = {longer, CATALOG_TEXT_MAX + 1};
	uint32_t number;
	struct err e;

	memset(longer, 'x', CATALOG_TEXT_MAX + 1);
	CHECK_FAILS(collect_package(c, text, &e));
	CHECK_STR(e.text, "the name of a package is longer than 4096 bytes");
	CHECK_FAILS(collect_bundle(c, STR(""), text, &number, &e));
	CHECK_FAILS(collect_image(c, CATALOG_NONE, text, &e));
	CHECK_FAILS(collect_image(c, CATALOG_NONE, STR("a\0b"), &e));
	CHECK_STR(e.text, "the name of an image has a NUL character");
	CHECK(collect_is_empty(c));
	text.n--;
	CHECK_OK(collect_image(c, CATALOG_NONE, text, &e));
	CHECK_OK(collect_bundle(c, text, text, &number, &e));
}

TEST(there_are_only_so_many_packages)
{
	auto_of(collect_free) struct collect *c = collect_new();
	struct err e = {0};
	size_t n = 0;

	for (; n <= CATALOG_PACKAGES_MAX; n++) {
		auto_free char *name = xasprintf("%zu", n);

		if (collect_package(c, str_of(name), &e) < 0)
			break;
	}
	CHECK_INT(n, CATALOG_PACKAGES_MAX);
	CHECK_STR(e.text, "the catalog has more than 65536 packages");
	CHECK_OK(collect_package(c, STR("7"), &e));
}

TEST(all_texts_together_have_a_ceiling)
{
	auto_of(collect_free) struct collect *c = collect_new();
	char name[CATALOG_TEXT_MAX];
	struct err e = {0};
	size_t n = 0;

	memset(name, 'x', sizeof(name));
	for (; n <= CATALOG_ARENA_MAX / sizeof(name); n++) {
		snprintf(name, 16, "%015zu", n);
		name[15] = 'x';
		if (collect_image(c, CATALOG_NONE, (struct str){name, sizeof(name)}, &e) < 0)
			break;
	}
	CHECK_INT(n, CATALOG_ARENA_MAX / (sizeof(name) + 1));
	CHECK_STR(e.text, "the catalog's names have more than 33554432 bytes in all");
}

int main(void)
{
	return tap_main();
}
