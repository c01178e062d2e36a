// SPDX-License-Identifier: Apache-2.0
#include "policy/registries_conf.h"

#include "policy/merge.h"
#include "tap.h"
#include "util/cleanup.h"
#include "util/mem.h"

static char *print(const struct policy *p, unsigned flags)
{
	struct buf text = BUF_INIT(BUF_TEXT_MAX);
	struct err e;

	if (registries_conf_print(&text, p, flags, &e) < 0) {
		buf_free(&text);
		return xstrdup(e.text);
	}
	return buf_take(&text);
}

TEST(mirrors_of_digests_and_of_tags_are_kept_apart)
{
	auto_policy struct policy p = {0};

	policy_add(&p, "quay.io/b", "m.io/tagged", true);
	policy_add(&p, "quay.io/b", "m.io/b", false);
	policy_add(&p, "quay.io/a", "m.io/a", false);
	policy_add(&p, "quay.io/b", "n.io/b", false);
	policy_add(&p, "quay.io/b", "m.io/b", false);
	auto_free char *got = print(&p, 0);

	CHECK_STR(got, "[[registry]]\n"
		       "location = \"quay.io/a\"\n"
		       "\n"
		       "[[registry.mirror]]\n"
		       "location = \"m.io/a\"\n"
		       "pull-from-mirror = \"digest-only\"\n"
		       "\n"
		       "[[registry]]\n"
		       "location = \"quay.io/b\"\n"
		       "\n"
		       "[[registry.mirror]]\n"
		       "location = \"m.io/b\"\n"
		       "pull-from-mirror = \"digest-only\"\n"
		       "\n"
		       "[[registry.mirror]]\n"
		       "location = \"n.io/b\"\n"
		       "pull-from-mirror = \"digest-only\"\n"
		       "\n"
		       "[[registry.mirror]]\n"
		       "location = \"m.io/tagged\"\n"
		       "pull-from-mirror = \"tag-only\"\n");
}

TEST(a_source_that_must_not_be_contacted_is_blocked)
{
	auto_policy struct policy p = {0};

	policy_add(&p, "quay.io/a", "m.io/a", false);
	policy_add(&p, "quay.io/a", "m.io/a", true);
	policy_add(&p, "quay.io/b", "m.io/b", false);
	p.v[1].contact = POLICY_CONTACT_NEVER;
	p.v[2].contact = POLICY_CONTACT_ALLOW;
	auto_free char *got = print(&p, 0);

	CHECK(strstr(got, "location = \"quay.io/a\"\nblocked = true\n"));
	CHECK(strstr(got, "location = \"quay.io/b\"\n\n[[registry.mirror]]\n"));
}

TEST(a_wildcard_is_a_prefix_without_a_place)
{
	auto_policy struct policy p = {0};

	policy_add(&p, "*.example.com", "m.io/x", false);
	auto_free char *got = print(&p, REGISTRIES_CONF_INSECURE);

	CHECK_STR(got, "[[registry]]\n"
		       "prefix = \"*.example.com\"\n"
		       "\n"
		       "[[registry.mirror]]\n"
		       "location = \"m.io/x\"\n"
		       "pull-from-mirror = \"digest-only\"\n"
		       "insecure = true\n");
}

TEST(a_source_without_mirrors_stays_as_it_is)
{
	auto_policy struct policy p = {0};
	struct err e;

	REQUIRE_OK(policy_read(&p,
			       STR("imageDigestSources:\n"
				   "- {source: quay.io/a, mirrors: []}\n"
				   "- {source: quay.io/b, mirrors: [m.io/b]}\n"),
			       "test", &e));
	auto_free char *got = print(&p, 0);

	CHECK(!strstr(got, "quay.io/a"));
	CHECK(starts_with(got, "[[registry]]\nlocation = \"quay.io/b\"\n"));
}

TEST(text_that_is_no_name_cannot_leave_its_quotes)
{
	auto_policy struct policy p = {0};

	policy_add(&p, "a\"\n\\", "m.io/x", false);
	auto_free char *got = print(&p, 0);

	CHECK(strstr(got, "location = \"a\\u0022\\u000A\\u005C\"\n"));
}

TEST(what_passes_the_callers_ceiling_is_an_error)
{
	auto_policy struct policy p = {0};
	auto_buf struct buf text = BUF_INIT(60);
	struct err e;

	policy_add(&p, "quay.io/a", "m.io/a", false);
	CHECK_FAILS(registries_conf_print(&text, &p, 0, &e));
}

TEST(what_is_said_first_about_contact_holds)
{
	auto_policy struct policy p = {0}, merged = {0};

	policy_add(&p, "quay.io/a", "m.io/a", false);
	policy_add(&p, "quay.io/a", "m.io/b", false);
	policy_add(&p, "quay.io/a", "m.io/c", true);
	p.v[1].contact = POLICY_CONTACT_NEVER;
	policy_merge(&merged, &p);
	CHECK_INT(merged.n, 2);
	CHECK_INT(merged.v[0].mirrors.n, 2);
	CHECK_INT(merged.v[0].contact, POLICY_CONTACT_NEVER);
	CHECK(!merged.v[0].tags);
	CHECK(merged.v[1].tags);
	CHECK_INT(merged.v[1].contact, POLICY_CONTACT_UNSAID);
}

int main(void)
{
	return tap_main();
}
