// SPDX-License-Identifier: Apache-2.0
#include "policy/mirror_sets.h"

#include "policy/merge.h"
#include "tap.h"
#include "util/cleanup.h"
#include "util/mem.h"

#include <string.h>

static struct mirror_sets_config config(enum mirror_set set, size_t max_size)
{
	return (struct mirror_sets_config){
		.set = set, .name = "x", .max_size = max_size, .max_size_option = "max-idms-size"};
}

#define HEADER(api, kind, n, key) \
	"---\napiVersion: " api "\nkind: " kind "\nmetadata:\n  name: x-" n "\nspec:\n  " key ":\n"
#define IDMS(n)        HEADER("config.openshift.io/v1", "ImageDigestMirrorSet", n, "imageDigestMirrors")
#define PAIR(from, to) "  - mirrors:\n    - " to "\n    source: " from "\n"

static char *print(const struct policy *p, enum mirror_set set, size_t max_size)
{
	struct mirror_sets_config cfg = config(set, max_size);
	struct buf text = BUF_INIT(BUF_TEXT_MAX);
	struct err e;

	if (mirror_sets_print(&text, p, &cfg, &e) < 0) {
		buf_free(&text);
		return xstrdup(e.text);
	}
	return buf_take(&text);
}

TEST(sources_are_sorted_and_stand_once_with_all_their_mirrors)
{
	auto_policy struct policy p = {0};

	policy_add(&p, "quay.io/b", "m.io/2", false);
	policy_add(&p, "quay.io/a", "m.io/1", false);
	policy_add(&p, "quay.io/b", "m.io/1", false);
	policy_add(&p, "quay.io/b", "m.io/2", false);
	auto_free char *got = print(&p, MIRROR_SET_IDMS, 1000);

	CHECK_STR(
		got,
		IDMS("0") PAIR(
			"quay.io/a",
			"m.io/1") "  - mirrors:\n    - m.io/2\n    - m.io/1\n    source: quay.io/b\n");
}

TEST(each_kind_has_its_own_words_and_its_own_sources)
{
	auto_policy struct policy p = {0};

	policy_add(&p, "a.io", "m.io/digest", false);
	policy_add(&p, "a.io", "m.io/tag", true);
	auto_free char *icsp = print(&p, MIRROR_SET_ICSP, 1000);
	auto_free char *idms = print(&p, MIRROR_SET_IDMS, 1000);
	auto_free char *itms = print(&p, MIRROR_SET_ITMS, 1000);

	CHECK_STR(icsp, HEADER("operator.openshift.io/v1alpha1", "ImageContentSourcePolicy", "0",
			       "repositoryDigestMirrors") PAIR("a.io", "m.io/digest"));
	CHECK_STR(idms, IDMS("0") PAIR("a.io", "m.io/digest"));
	CHECK_STR(itms, HEADER("config.openshift.io/v1", "ImageTagMirrorSet", "0",
			       "imageTagMirrors") PAIR("a.io", "m.io/tag"));
	CHECK_STR(mirror_set_kind(MIRROR_SET_ITMS), "ImageTagMirrorSet");
}

TEST(nothing_is_written_for_nothing)
{
	auto_policy struct policy p = {0};

	policy_add(&p, "a.io", "m.io", true);
	auto_free char *got = print(&p, MIRROR_SET_IDMS, 1000);

	CHECK_STR(got, "");
}

TEST(a_label_is_true_as_text)
{
	auto_policy struct policy p = {0};
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
	struct mirror_sets_config cfg = config(MIRROR_SET_IDMS, 1000);
	struct err e;

	cfg.label = "example.com/catalog";
	policy_add(&p, "a.io", "m.io", false);
	REQUIRE_OK(mirror_sets_print(&text, &p, &cfg, &e));
	CHECK(strstr(text.p, "metadata:\n  labels:\n    example.com/catalog: \"true\"\n  name: "
			     "x-0\n"));
}

// What the reference adds up: its text has a creationTimestamp, and for IDMS a status.
enum { UNWRITTEN_ICSP = 26, UNWRITTEN_IDMS = 37, SEPARATOR = 4 };

TEST(an_object_is_filled_up_to_its_limit_exactly)
{
	static const struct {
		enum mirror_set set;
		size_t unwritten;
	} rows[] = {{MIRROR_SET_ICSP, UNWRITTEN_ICSP}, {MIRROR_SET_IDMS, UNWRITTEN_IDMS}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_policy struct policy p = {0};

		policy_add(&p, "a.io/x", "m.io/x", false);
		policy_add(&p, "b.io/x", "m.io/x", false);
		auto_free char *whole = print(&p, rows[i].set, 1000);
		size_t limit = strlen(whole) - SEPARATOR + rows[i].unwritten;
		auto_free char *just = print(&p, rows[i].set, limit);
		auto_free char *cut = print(&p, rows[i].set, limit - 1);

		CHECK_STR(just, whole);
		CHECK(strstr(cut, "name: x-1\n"));
	}
}

TEST(what_does_not_fit_begins_the_next_object)
{
	auto_policy struct policy p = {0};

	policy_add(&p, "a.io/x", "m.io/x", false);
	policy_add(&p, "b.io/x", "m.io/x", false);
	policy_add(&p, "c.io/x", "m.io/x", false);
	size_t two = strlen(IDMS("0") PAIR("a.io/x", "m.io/x") PAIR("b.io/x", "m.io/x")) -
		     SEPARATOR + UNWRITTEN_IDMS;
	auto_free char *got = print(&p, MIRROR_SET_IDMS, two);

	CHECK_STR(got, IDMS("0") PAIR("a.io/x", "m.io/x") PAIR("b.io/x", "m.io/x") IDMS("1")
			       PAIR("c.io/x", "m.io/x"));
}

TEST(a_source_that_fits_into_no_object_is_an_error_whichever_place_it_has)
{
	static const char *const longest[] = {"a.io/x", "b.io/x", "z.io/x"};

	for (size_t i = 0; i < ARRAY_SIZE(longest); i++) {
		auto_policy struct policy p = {0};
		size_t one =
			strlen(IDMS("0") PAIR("a.io/x", "m.io/x")) - SEPARATOR + UNWRITTEN_IDMS;
		auto_free char *want = xasprintf("unable to add mirror {%s [m.io/longer]} to IDMS "
						 "with the max-idms-size set to %zu",
						 longest[i], one);

		for (size_t k = 0; k < ARRAY_SIZE(longest); k++)
			policy_add(&p, longest[k], i == k ? "m.io/longer" : "m.io/x", false);
		auto_free char *got = print(&p, MIRROR_SET_IDMS, one);

		CHECK_STR(got, want);
	}
}

TEST(what_is_written_is_read_back)
{
	auto_policy struct policy p = {0}, back = {0};
	struct err e;

	policy_add(&p, "a.io/x", "m.io/x", false);
	policy_add(&p, "*.example.com", "m.io/y", false);
	policy_add(&p, "a.io/x", "n.io/x", false);
	p.v[0].contact = POLICY_CONTACT_NEVER;
	auto_free char *text = print(&p, MIRROR_SET_IDMS, 1000);

	REQUIRE_OK(policy_read(&back, str_of(text), "test", &e));
	CHECK_INT(back.n, 2);
	CHECK_STR(back.v[0].source, "*.example.com");
	CHECK_STR(back.v[1].source, "a.io/x");
	CHECK_INT(back.v[1].mirrors.n, 2);
	CHECK_INT(back.v[1].contact, POLICY_CONTACT_NEVER);
	CHECK_INT(back.v[0].contact, POLICY_CONTACT_UNSAID);
}

TEST(the_old_kind_has_no_word_about_contact)
{
	auto_policy struct policy p = {0};

	policy_add(&p, "a.io/x", "m.io/x", false);
	p.v[0].contact = POLICY_CONTACT_NEVER;
	auto_free char *text = print(&p, MIRROR_SET_ICSP, 1000);

	CHECK(!strstr(text, "mirrorSourcePolicy"));
}

TEST(more_than_the_caller_takes_is_an_error)
{
	auto_policy struct policy p = {0};
	auto_buf struct buf text = BUF_INIT(100);
	struct mirror_sets_config cfg = config(MIRROR_SET_IDMS, 1000);
	struct err e;

	policy_add(&p, "a.io/x", "m.io/x", false);
	CHECK_FAILS(mirror_sets_print(&text, &p, &cfg, &e));
}

int main(void)
{
	return tap_main();
}
