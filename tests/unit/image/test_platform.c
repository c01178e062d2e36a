// SPDX-License-Identifier: Apache-2.0
#include "image/platform.h"

#include "tap.h"
#include "util/mem.h"

static const struct platform amd64 = {"linux", "amd64", "", ""};
static const struct platform arm64 = {"linux", "arm64", "v8", ""};
static const struct platform none = {"", "", "", ""};

TEST(filters_match_as_the_reference_matches_them)
{
	static const struct {
		const char *pattern;
		const struct platform *p;
		bool match;
	} rows[] = {
		{"", &amd64, true},
		{".*", &none, true},
		{"linux/amd64", &amd64, true},
		{"linux/amd64", &arm64, false},
		{"linux/(arm64|s390x)", &arm64, true},
		{"amd64", &amd64, true}, // unanchored
		{"md6", &amd64, true},
		{"^amd64$", &amd64, false},
		{"^linux/arm64$", &arm64, false}, // the variant is part of the text
		{"^linux/arm64/v\\d$", &arm64, true},
		{"^linux/\\w+$", &amd64, true},
		{"^(?:linux|windows)/(?P<arch>amd64)$", &amd64, true},
		{"^\\Alinux/[a-z0-9]{5}\\z", &amd64, true},
		{"linux/[^a]", &amd64, false},
		{"linux/[[:alpha:]]md", &amd64, true},
		{"linux/[\\w-]+?$", &amd64, true},
		{"[/]", &none, true},
		{"^/$", &none, true},
		{"linux/amd64/v3", &amd64, false},
		{"(?i)LINUX/AMD64", &amd64, true},
		{"LINUX", &amd64, false},
		{"linux\\/amd64", &amd64, true},
		{"linux{/amd64", &amd64, false},
		{"[]x]|amd64", &amd64, true},
		{"[^]x]md64", &amd64, true},
		{"[-^]", &amd64, false},
		{"\\D", &amd64, true},
		{"x{0,3}amd64", &amd64, true},
		{"(|x)amd64", &amd64, true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_of(platform_filter_free) struct platform_filter *f = NULL;
		struct err e;

		REQUIRE_OK(platform_filter_new(&f, rows[i].pattern, &e));
		if (platform_filter_match(f, rows[i].p) != rows[i].match)
			printf("# pattern %s\n", rows[i].pattern);
		CHECK_INT(platform_filter_match(f, rows[i].p), rows[i].match);
	}
}

TEST(bad_expressions_are_refused_in_the_words_of_the_reference)
{
	static const char *const rows[][2] = {
		{"(", "missing closing ): `(`"},
		{"linux/(amd64", "missing closing ): `linux/(amd64`"},
		{"a)", "unexpected ): `a)`"},
		{"[a", "missing closing ]: `[a`"},
		{"x[", "missing closing ]: `[`"},
		{"*a", "missing argument to repetition operator: `*`"},
		{"a|*", "missing argument to repetition operator: `*`"},
		{"a**", "invalid nested repetition operator: `*`"},
		{"a\\", "trailing backslash at end of expression: ``"},
		{"\\q", "invalid escape sequence: `\\q`"},
		{"(a)\\1", "invalid escape sequence: `\\1`"},
		{"[z-a]", "invalid character class range: `z-a`"},
		{"a{1001}", "invalid repeat count: `{1001}`"},
		{"a{2,1}", "invalid repeat count: `{2,1}`"},
		{"((a{100}){100}){100}", "invalid repeat count: `{100}`"},
		{"(?=a)", "invalid or unsupported Perl syntax: `(?=`"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *want = xasprintf(
			"--filter-by-os was not a valid regular expression: error parsing regexp: %s",
			rows[i][1]);
		struct platform_filter *f;
		struct err e = {0};

		CHECK_FAILS(platform_filter_new(&f, rows[i][0], &e));
		CHECK_INT(e.kind, ERR_INPUT);
		CHECK_STR(e.text, want);
	}
}

TEST(an_endless_platform_matches_nothing)
{
	auto_of(platform_filter_free) struct platform_filter *f = NULL;
	auto_free char *os = xmalloc(5001);
	struct platform p = {os, "", "", ""};
	struct err e;

	memset(os, 'a', 5000);
	os[5000] = '\0';
	REQUIRE_OK(platform_filter_new(&f, "a", &e));
	CHECK(!platform_filter_match(f, &p));
}

TEST(architectures_have_their_release_names)
{
	CHECK_STR(platform_release_arch("amd64"), "x86_64");
	CHECK_STR(platform_release_arch("arm64"), "aarch64");
	CHECK_STR(platform_release_arch("s390x"), "s390x");
	CHECK(strncmp(platform_local(), "linux/", 6) == 0);
}

int main(void)
{
	return tap_main();
}
