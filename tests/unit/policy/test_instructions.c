// SPDX-License-Identifier: Apache-2.0
#include "policy/instructions.h"

#include "tap.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/mem.h"

#define RELEASE    "127.0.0.1:5101/openshift-release-dev/ocp-release"
#define COMPONENTS "127.0.0.1:5101/openshift-release-dev/ocp-v4.0-art-dev"

struct run {
	const char *file;
	enum instructions_kind kind;
	const char *mirrors[4];
};

static void compare(const struct run *run)
{
	static const char *const sources[] = {COMPONENTS, RELEASE, COMPONENTS};
	auto_strlist struct strlist from = {0}, to = {0};
	auto_buf struct buf got = BUF_INIT(BUF_TEXT_MAX), want = BUF_INIT(BUF_TEXT_MAX);
	auto_free char *path = path_join(TEST_DATA "/instructions", run->file);
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
		strlist_add(&from, sources[i]);
	for (size_t i = 0; run->mirrors[i]; i++)
		strlist_add(&to, run->mirrors[i]);
	REQUIRE_OK(fs_read_file(&want, path, &e));
	instructions_print(&got, run->kind, &from, &to);
	CHECK_STR(got.p, want.p);
	CHECK_STR(from.v[0], COMPONENTS); // the caller's list stays as it was
}

TEST(the_text_is_the_references_to_the_byte)
{
	static const struct run runs[] = {
		{"a01.txt",
		 INSTRUCTIONS_ICSP,
		 {"127.0.0.1:5103/ocp4/openshift4", "127.0.0.1:5103/ocp4/openshift4"}},
		{"f01.txt", INSTRUCTIONS_IDMS, {"127.0.0.1:5102/ocp4/openshift4"}},
		{"f03.txt", INSTRUCTIONS_ICSP, {"127.0.0.1:5102/ocp4/openshift4"}},
		{"f08.txt",
		 INSTRUCTIONS_ICSP,
		 {"127.0.0.1:5102/ocp4/openshift4", "127.0.0.1:5102/ocp4/rel"}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(runs); i++)
		compare(&runs[i]);
}

TEST(none_prints_nothing)
{
	auto_strlist struct strlist l = {0};
	auto_buf struct buf got = BUF_INIT(BUF_TEXT_MAX);

	strlist_add(&l, "quay.io/a/b");
	instructions_print(&got, INSTRUCTIONS_NONE, &l, &l);
	CHECK_STR(got.p, "");
}

TEST(kinds_are_read_in_any_case)
{
	enum instructions_kind kind = INSTRUCTIONS_NONE;
	struct err e;

	CHECK_OK(instructions_kind_parse(&kind, "ICSP", &e));
	CHECK_INT(kind, INSTRUCTIONS_ICSP);
	CHECK_OK(instructions_kind_parse(&kind, "idms", &e));
	CHECK_INT(kind, INSTRUCTIONS_IDMS);
	CHECK_OK(instructions_kind_parse(&kind, "None", &e));
	CHECK_INT(kind, INSTRUCTIONS_NONE);
	CHECK_FAILS(instructions_kind_parse(&kind, "itms", &e));
	CHECK_INT(e.kind, ERR_USAGE);
	CHECK_STR(e.text, "--print-mirror-instructions must be one of icsp, idms, none");
}

int main(void)
{
	return tap_main();
}
