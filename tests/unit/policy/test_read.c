// SPDX-License-Identifier: Apache-2.0
// Mirror policies: what is understood, what is refused, and which places come out in which order.
#include "policy/read.h"

#include "policy/instructions.h"
#include "tap.h"
#include "util/mem.h"

#include <stdlib.h>
#include <string.h>

static struct err e;

#define ICSP(sources)                                                                  \
	"apiVersion: operator.openshift.io/v1alpha1\nkind: ImageContentSourcePolicy\n" \
	"metadata:\n  name: x\nspec:\n  repositoryDigestMirrors:\n" sources
#define IDMS(sources)                                                      \
	"apiVersion: config.openshift.io/v1\nkind: ImageDigestMirrorSet\n" \
	"metadata:\n  name: x\nspec:\n  imageDigestMirrors:\n" sources
#define ITMS(sources)                                                   \
	"apiVersion: config.openshift.io/v1\nkind: ImageTagMirrorSet\n" \
	"metadata:\n  name: x\nspec:\n  imageTagMirrors:\n" sources

// The places for IMAGE in one line, " !" behind them when the source must not be asked.
static char *places(const char *yaml, const char *image, bool tags)
{
	auto_policy struct policy p = {0};
	auto_policy_places struct policy_places found = {0};
	auto_reference struct reference ref = {0};
	auto_buf struct buf out = BUF_INIT(10000);

	if (policy_read(&p, str_of(yaml), "f", &e) < 0)
		return xstrdup(e.text);
	if (reference_parse(&ref, image, 0, &e) < 0)
		return xstrdup("bad image");
	policy_mirrors(&p, &ref, tags, &found);
	for (size_t i = 0; i < found.n; i++) {
		auto_free char *text = reference_print(&found.v[i]);

		buf_printf(&out, "%s%s", i ? " " : "", text);
	}
	buf_puts(&out, found.never_source ? " !" : "");
	return buf_take(&out);
}

static void check(const char *yaml, const char *image, const char *want)
{
	auto_free char *got = places(yaml, image, false);

	CHECK_STR(got, want);
}

TEST(every_form_of_a_policy_is_understood)
{
	static const char *const rows[] = {
		ICSP("  - mirrors: [m.io/a]\n    source: q.io/a\n"),
		IDMS("  - mirrors:\n    - m.io/a\n    source: q.io/a\n"),
		"imageContentSources:\n- mirrors:\n  - m.io/a\n  source: q.io/a\n",
		"imageDigestSources:\n- mirrors:\n  - m.io/a\n  source: q.io/a\n",
		"apiVersion: v1\nbaseDomain: x.org\nimageDigestSources:\n- mirrors: [m.io/a]\n"
		"  source: q.io/a\n  sourcePolicy: AllowContactingSource\n",
		"{\"apiVersion\":\"config.openshift.io/v1\",\"kind\":\"ImageDigestMirrorSet\","
		"\"spec\":{\"imageDigestMirrors\":[{\"source\":\"q.io/a\",\"mirrors\":[\"m.io/a\"]}]}}",
		"---\n" IDMS("  - mirrors: [n.io/b]\n    source: q.io/b\n") "---\n" ICSP(
			"  - mirrors: [m.io/a]\n    source: q.io/a\n"),
		"apiVersion: v1\nkind: List\nitems:\n- apiVersion: config.openshift.io/v1\n"
		"  kind: ImageDigestMirrorSet\n  spec:\n    imageDigestMirrors:\n"
		"    - source: q.io/a\n      mirrors: [m.io/a]\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check(rows[i], "q.io/a:v1", "m.io/a");
}

TEST(the_sections_that_a_mirror_run_prints_are_understood)
{
	static const enum instructions_kind kinds[] = {INSTRUCTIONS_ICSP, INSTRUCTIONS_IDMS};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		auto_strlist struct strlist sources = {0}, mirrors = {0};
		auto_buf struct buf text = BUF_INIT(10000);

		strlist_add(&sources, "q.io/org/release");
		strlist_add(&mirrors, "m.io/ocp");
		instructions_print(&text, kinds[i], &sources, &mirrors);
		char *section = strstr(text.p, "imageContentSources");

		if (!section)
			section = strstr(text.p, "imageDigestSources");
		CHECK(section != NULL);
		if (!section)
			continue;
		*strstr(section, "\n\n\n") = '\0';
		check(section, "q.io/org/release:1", "m.io/ocp");
		char *policy = strstr(section + strlen(section) + 1, "apiVersion");

		CHECK(policy != NULL);
		check(policy ? policy : "", "q.io/org/release:1", "m.io/ocp");
	}
}

TEST(content_below_a_source_is_below_its_mirrors)
{
	static const char yaml[] =
		IDMS("  - mirrors: [m.io/a, n.io:5000/b/c]\n    source: q.io/org\n");
	static const char *const rows[][2] = {
		{"q.io/org:1", "m.io/a n.io:5000/b/c"},
		{"q.io/org/x:1", "m.io/a/x n.io:5000/b/c/x"},
		{"q.io/org/x/y:1", "m.io/a/x/y n.io:5000/b/c/x/y"},
		{"q.io/organisation:1", ""},
		{"q.io/or:1", ""},
		{"r.io/org:1", ""},
		{"file://q.io/org:1", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check(yaml, rows[i][0], rows[i][1]);
}

TEST(whole_registries_and_their_subdomains_can_be_mirrored)
{
	static const char yaml[] = IDMS("  - {source: q.io, mirrors: ['m.io:5000']}\n"
					"  - {source: '*.r.io', mirrors: [n.io/sub]}\n"
					"  - {source: 'localhost:5000', mirrors: [n.io/local]}\n"
					"  - {source: docker.io/library, mirrors: [n.io/hub]}\n");
	static const char *const rows[][2] = {
		{"q.io/org/x:1", "m.io:5000/org/x"},
		{"a.r.io/x:1", "n.io/sub/x"},
		{"a.b.r.io/x:1", "n.io/sub/x"},
		{"r.io/x:1", ""},
		{"ar.io/x:1", ""},
		{"localhost:5000/x:1", "n.io/local/x"},
		{"busybox:1", "n.io/hub/busybox"},
		{"docker.io/library/busybox:1", "n.io/hub/busybox"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check(yaml, rows[i][0], rows[i][1]);
}

TEST(longer_sources_come_first_then_the_order_of_the_file)
{
	check(IDMS("  - {source: q.io, mirrors: [r1.io/m]}\n"
		   "  - {source: q.io/org/x, mirrors: [x1.io/m, x2.io/m]}\n"
		   "  - {source: q.io/org, mirrors: [o1.io/m, x1.io/m/x]}\n"
		   "  - {source: q.io/org/x, mirrors: [x3.io/m, x1.io/m]}\n"),
	      "q.io/org/x:1", "x1.io/m x2.io/m x3.io/m o1.io/m/x x1.io/m/x/x r1.io/m/org/x");
}

TEST(the_most_specific_source_says_whether_it_may_be_asked)
{
	static const char never[] = "    mirrorSourcePolicy: NeverContactSource\n";
	auto_free char *general =
		xasprintf("%s%s%s", IDMS("  - source: q.io\n    mirrors: [m.io/a]\n"), never,
			  "  - source: q.io/free\n    mirrors: [m.io/b]\n"
			  "    mirrorSourcePolicy: AllowContactingSource\n"
			  "  - source: q.io/unsaid\n    mirrors: [m.io/c]\n"
			  "  - source: q.io/closed\n    mirrors: []\n"
			  "    mirrorSourcePolicy: NeverContactSource\n");

	check(general, "q.io/x:1", "m.io/a/x !");
	check(general, "q.io/free:1", "m.io/b m.io/a/free");
	check(general, "q.io/unsaid:1", "m.io/c m.io/a/unsaid");
	check(general, "q.io/closed:1", "m.io/a/closed !");
}

TEST(tags_and_digests_have_their_own_mirrors)
{
	static const char yaml[] = IDMS("  - {source: q.io/a, mirrors: [d.io/a]}\n") "---\n" ITMS(
		"  - {source: q.io/a, mirrors: [t.io/a], mirrorSourcePolicy: NeverContactSource}\n");
	auto_free char *digests = places(yaml, "q.io/a:1", false);
	auto_free char *tags = places(yaml, "q.io/a:1", true);
	auto_policy struct policy p = {0};

	CHECK_STR(digests, "d.io/a");
	CHECK_STR(tags, "t.io/a !");
	REQUIRE_OK(policy_read(&p, str_of(yaml), "f", &e));
	CHECK(policy_has_tags(&p));
}

TEST(what_is_no_policy_is_refused)
{
	static const char *const rows[][2] = {
		{"", "f: no mirror policy in it"},
		{"# nothing\n", "f: no mirror policy in it"},
		{"kind: Foo\n", "f: document 1: Object 'apiVersion' is missing"},
		{"a: 1\n", "f: document 1: Object 'Kind' is missing"},
		{"apiVersion: v1\nkind: ConfigMap\n",
		 "f: document 1: kind \"ConfigMap\" is no mirror policy: ImageContentSourcePolicy, "
		 "ImageDigestMirrorSet, ImageTagMirrorSet and the sections of install-config.yaml "
		 "are"},
		{"apiVersion: v2\nkind: ImageDigestMirrorSet\n",
		 "f: document 1: ImageDigestMirrorSet has apiVersion config.openshift.io/v1, not "
		 "'v2'"},
		{"- a\n", "f: document 1: not an object"},
		{IDMS("  - mirrors: [m.io/a]\n"),
		 "f: document 1: spec.imageDigestMirrors[0].source: missing"},
		{IDMS("  - {source: q.io/a, mirrors: m.io}\n"),
		 "f: document 1: spec.imageDigestMirrors[0].mirrors: not an array"},
		{IDMS("  - {source: 'q.io/a:v1', mirrors: [m.io]}\n"),
		 "f: document 1: spec.imageDigestMirrors[0].source: \"q.io/a:v1\" is not a registry "
		 "or repository"},
		{IDMS("  - {source: q.io/a, mirrors: ['https://m.io/a']}\n"),
		 "f: document 1: spec.imageDigestMirrors[0].mirrors[0]: \"https://m.io/a\" is not a "
		 "registry or repository"},
		{IDMS("  - {source: '*.q.io/a', mirrors: []}\n"),
		 "f: document 1: spec.imageDigestMirrors[0].source: '*.' stands for registries, not "
		 "for repositories"},
		{IDMS("  - {source: q.io/a, mirrors: [], mirrorSourcePolicy: Sometimes}\n"),
		 "f: document 1: spec.imageDigestMirrors[0].mirrorSourcePolicy: neither "
		 "AllowContactingSource nor NeverContactSource"},
		{IDMS("  - {source: q.io/a, mirrors: [], mirrorSourcePolicy: NeverContactSource}\n"
		      "  - {source: q.io/a, mirrors: [], mirrorSourcePolicy: "
		      "AllowContactingSource}\n"),
		 "f: document 1: spec.imageDigestMirrors[1]: NeverContactSource and "
		 "AllowContactingSource for the same source 'q.io/a'"},
		{IDMS("  - {source: q.io/a, mirrors: []}\n") "---\nkind: [\n",
		 "f: line 10: did not find expected node content"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check(rows[i][0], "q.io/a:1", rows[i][1]);
}

int main(void)
{
	return tap_main();
}
