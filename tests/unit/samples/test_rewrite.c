// SPDX-License-Identifier: Apache-2.0
// Where the operator looks for an image, row by row.
#include "samples/rewrite.h"

#include "tap.h"
#include "util/mem.h"

#include "util/cleanup.h"
#include <stdlib.h>

struct row {
	const char *spec, *registry, *want;
};

#define S "mirror:5000"
#define P "mirror:5000/samples"

static const struct row ROWS[] = {
	// Two slashes and a registry that the operator knows: it is replaced.
	{"registry.redhat.io/ubi9/ruby-33:latest", S, S "/ubi9/ruby-33:latest"},
	{"registry.access.redhat.com/ubi8/perl:1", P, P "/ubi8/perl:1"},
	{"docker.io/library/x", P, P "/library/x"},
	{"quay.io/a/b@sha256:00", S, S "/a/b@sha256:00"},
	{"registry.svc.ci.openshift.org/a/b:c", S, S "/a/b:c"},
	// Two slashes and another one: the first part goes.
	{"ghcr.io/a/b:c", P, P "/a/b:c"},
	{"host:5000/a/b:c", S, S "/a/b:c"},
	{"a/b/c", S, S "/b/c"},
	// A known name is only a beginning of the text.
	{"docker.iox/a/b:c", S, S "x/a/b:c"},
	// Any other number of slashes: all of it is kept.
	{"registry.redhat.io/ruby:1", S, S "/registry.redhat.io/ruby:1"},
	{"quay.io/a/b/c:d", P, P "/quay.io/a/b/c:d"},
	{"ruby:1", S, S "/ruby:1"},
	{"library/ruby", S, S "/library/ruby"},
	// What begins with the registry is there already.
	{S "/a/b:c", S, S "/a/b:c"},
	{P "/a/b/c:d", P, P "/a/b/c:d"},
	{"quay.io/organization/x:1", "quay.io/org", "quay.io/organization/x:1"},
};

TEST(a_pull_spec_is_moved_as_the_operator_moves_it)
{
	for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
		auto_free char *got = samples_rewrite(ROWS[i].spec, ROWS[i].registry);

		CHECK_STR(got, ROWS[i].want);
	}
}

TEST(on_media_everything_is_below_their_folder)
{
	auto_free char *same = samples_rewrite_below("samples/a/b:c", "samples");
	auto_free char *known = samples_rewrite_below("quay.io/a/b:c", "quay");

	CHECK_STR(same, "samples/a/b:c");
	CHECK_STR(known, "quay/a/b:c");
}

int main(void)
{
	return tap_main();
}
