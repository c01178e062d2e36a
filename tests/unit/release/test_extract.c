// SPDX-License-Identifier: Apache-2.0
// Markers, Mach-O signatures, the table of tools, layer selectors, manifests.
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "image/digest.h"
#include "image/manifest.h"
#include "release/image_extract.h"
#include "release/manifests.h"
#include "release/tools.h"
#include "tap.h"
#include "util/mem.h"

static struct err e;

#define ROOM16  "XXXXXXXXXXXXXXXX"
#define ROOM64  ROOM16 ROOM16 ROOM16 ROOM16
#define ROOM300 ROOM64 ROOM64 ROOM64 ROOM64 ROOM16 ROOM16 "XXXXXXXXXXXX"

static const char image_marker[] = "\0_RELEASE_IMAGE_LOCATION_\0" ROOM300;
static const char version_marker[] = "\0_RELEASE_VERSION_LOCATION_\0" ROOM64;
static const char architecture_marker[] = "\0_RELEASE_ARCHITECTURE_LOCATION_\0" ROOM64;

enum { ALL = MARKER_IMAGE | MARKER_VERSION | MARKER_ARCHITECTURE, PROGRAM = 4000 };

static const struct installer_values values = {"r.io/a/b@sha256:00", "4.18.1", "linux/amd64"};

// A program with its markers at known places, one of them twice.
static void make_program(char program[PROGRAM])
{
	memset(program, 'p', PROGRAM);
	memcpy(program + 100, version_marker, sizeof(version_marker));
	memcpy(program + 1000, image_marker, sizeof(image_marker));
	memcpy(program + 2000, version_marker, sizeof(version_marker));
	memcpy(program + 3000, architecture_marker, sizeof(architecture_marker));
}

TEST(markers_have_the_lengths_of_the_spec)
{
	CHECK_INT(sizeof(image_marker), 327);
	CHECK_INT(sizeof(version_marker), 93);
	CHECK_INT(sizeof(architecture_marker), 98);
}

TEST(markers_are_found_however_the_bytes_come)
{
	char program[PROGRAM];

	make_program(program);
	for (size_t piece = 1; piece < 700; piece += piece < 8 ? 1 : 37) {
		struct installer_scan s;

		installer_scan_init(&s, ALL);
		for (size_t at = 0; at < PROGRAM; at += piece)
			installer_scan_add(&s, program + at,
					   at + piece < PROGRAM ? piece : PROGRAM - at);
		CHECK_INT(s.found, ALL);
		CHECK_INT(s.offset[0], 1000);
		CHECK_INT(s.offset[1], 100);
		CHECK_INT(s.offset[2], 3000);
	}
}

TEST(what_only_looks_like_a_marker_is_none)
{
	char program[PROGRAM];
	struct installer_scan s;

	make_program(program);
	program[100] = 'p';                             // no NUL in front
	program[2000 + 40] = 'Y';                       // other room
	program[1000 + sizeof(image_marker) - 1] = 'X'; // no NUL behind
	installer_scan_init(&s, ALL);
	installer_scan_add(&s, program, PROGRAM);
	CHECK_INT(s.found, MARKER_ARCHITECTURE);
	auto_free char *missing = installer_missing(&s);

	CHECK_STR(missing, "release image, release version");
}

// A file without a name that has BYTES.
static int file_of(const void *bytes, size_t n)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0 || pwrite(fd, bytes, n, 0) != (ssize_t)n)
		abort();
	return fd;
}

TEST(only_the_first_marker_of_a_kind_is_written_over)
{
	char program[PROGRAM], got[PROGRAM], want[PROGRAM];
	struct installer_scan s;

	make_program(program);
	auto_fd int fd = file_of(program, PROGRAM);

	installer_scan_init(&s, ALL);
	installer_scan_add(&s, program, PROGRAM);
	REQUIRE_OK(installer_patch(fd, &s, &values, "program", &e));
	memcpy(want, program, PROGRAM);
	memcpy(want + 1000, values.image, strlen(values.image) + 1);
	memcpy(want + 100, values.version, strlen(values.version) + 1);
	memcpy(want + 3000, values.architecture, strlen(values.architecture) + 1);
	CHECK_INT(pread(fd, got, PROGRAM, 0), PROGRAM);
	CHECK(memcmp(got, want, PROGRAM) == 0);
	CHECK_INT(lseek(fd, 0, SEEK_END), PROGRAM);
}

TEST(values_must_leave_room_for_their_nul)
{
	char longest[328];
	struct installer_values v = values;

	memset(longest, 'v', sizeof(longest));
	longest[326] = '\0';
	v.image = longest;
	CHECK_OK(installer_check(&v, ALL, &e));
	longest[326] = 'v';
	longest[327] = '\0';
	CHECK_FAILS(installer_check(&v, ALL, &e));
	CHECK_STR(e.text, "the release image value has 327 bytes, but the maximum replacement "
			  "length is 326");
	CHECK_OK(installer_check(&v, MARKER_VERSION, &e)); // not wanted
}

// ---- Mach-O

enum { CODE = 9000, PAGES = 3, SIGNATURE = 12 + 8 + 88 + 6 + PAGES * 32 };

static void put32(unsigned char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (unsigned char)(v >> (8 * i));
}

static void make_macho(unsigned char file[CODE + SIGNATURE], uint32_t signature_size)
{
	memset(file, 0, CODE + SIGNATURE);
	put32(file, 0xfeedfacf);
	put32(file + 12, 2);
	put32(file + 16, 2);
	put32(file + 20, 72 + 16);
	put32(file + 32, 0x19);
	put32(file + 36, 72);
	memcpy(file + 40, "__TEXT", 6);
	put32(file + 32 + 48, 8192);
	put32(file + 104, 0x1d);
	put32(file + 108, 16);
	put32(file + 112, CODE);
	put32(file + 116, signature_size);
	memset(file + 4096, 'c', CODE - 4096);
}

TEST(a_macho_file_is_signed_anew)
{
	unsigned char file[CODE + SIGNATURE], got[CODE + SIGNATURE], raw[DIGEST_RAW_MAX];
	struct digest page;

	make_macho(file, SIGNATURE);
	auto_fd int fd = file_of(file, sizeof(file));

	REQUIRE_OK(installer_sign_macho(fd, sizeof(file), "oc", &e));
	CHECK_INT(pread(fd, got, sizeof(got), 0), sizeof(got));
	CHECK(memcmp(got, file, CODE) == 0);
	const unsigned char *s = got + CODE, *d = s + 20;

	CHECK(memcmp(s, "\xfa\xde\x0c\xc0\0\0\0", 7) == 0 && s[7] == SIGNATURE);
	CHECK(memcmp(d, "\xfa\xde\x0c\x02", 4) == 0);
	CHECK(memcmp(d + 12, "\0\2\0\2", 4) == 0); // ad hoc, by a linker
	CHECK(memcmp(d + 88, "a.out", 6) == 0);
	CHECK_INT(d[31], PAGES);
	for (size_t i = 0; i < PAGES; i++) {
		size_t n = i + 1 < PAGES ? 4096 : CODE - 2 * 4096;

		digest_of(&page, DIGEST_SHA256, file + i * 4096, n);
		digest_raw(&page, raw);
		CHECK(memcmp(d + 94 + 32 * i, raw, 32) == 0);
	}
}

TEST(what_is_no_macho_file_or_signed_otherwise_is_left_alone)
{
	unsigned char file[CODE + SIGNATURE], got[CODE + SIGNATURE];

	for (int row = 0; row < 5; row++) {
		make_macho(file, row == 0 ? SIGNATURE - 1 : SIGNATURE);
		if (row == 1)
			file[0] = 0;
		if (row == 2)
			put32(file + 112, 0xffffff00); // beyond the end
		if (row == 3)
			put32(file + 20, 0xffffffff);
		if (row == 4)
			put32(file + 36, 4); // a command shorter than its head
		auto_fd int fd = file_of(file, sizeof(file));

		CHECK_OK(installer_sign_macho(fd, sizeof(file), "oc", &e));
		CHECK_INT(pread(fd, got, sizeof(got), 0), sizeof(got));
		CHECK(memcmp(got, file, sizeof(file)) == 0);
	}
}

// ---- the table of tools

TEST(tools_are_chosen_by_command_and_platform)
{
	static const struct {
		const char *command, *platform, *architecture, *want; // archives, or the error
	} rows[] = {
		{"oc", "linux", "amd64", "client-linux"},
		{"oc", "linux/arm64", "amd64", "client-linux-arm64"},
		{"oc", "linux/arm64", "arm64", "client-linux"},
		{"oc", "mac", "amd64", "client-mac"},
		{"oc", "mac/arm64", "amd64", "client-mac-arm64"},
		{"oc", "windows", "s390x", "client-windows"},
		{"oc.rhel9", "linux", "amd64", "client-linux-amd64-rhel9"},
		{"openshift-install", "linux/amd64", "arm64", "install-linux-amd64"},
		{"openshift-install-fips", "linux", "amd64", "install-rhel"},
		{"openshift-install", "*", "amd64",
		 "install-linux install-linux-arm64 install-mac install-mac-arm64"},
		{NULL, "linux", "amd64",
		 "client-linux client-linux-amd64-rhel8 client-linux-amd64-rhel9 install-linux "
		 "ccoctl-linux ccoctl-linux-rhel8 ccoctl-linux-rhel9"},
		{"foo", "linux", "amd64",
		 "!command \"foo\" does not exist in targets or does not support the operating "
		 "system \"linux\""},
		{"ccoctl", "mac", "amd64",
		 "!command \"ccoctl\" does not exist in targets or does not support the operating "
		 "system \"darwin\""},
		{"ccoctl", "linux/arm64", "amd64",
		 "!the command 'ccoctl' is not available for linux/arm64 on IMAGE"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct tool_list l = {0};
		auto_buf struct buf got = BUF_INIT(BUF_TEXT_MAX);

		if (tool_list_select(&l, rows[i].command, rows[i].platform, rows[i].architecture,
				     "IMAGE", &e) < 0)
			buf_printf(&got, "!%s", e.text);
		for (size_t k = 0; k < l.n; k++) {
			const char *name = l.v[k]->archive;

			name += starts_with(name, "openshift-") ? strlen("openshift-") : 0;
			buf_printf(&got, "%s%.*s", k ? " " : "", (int)(strstr(name, "-%s") - name),
				   name);
		}
		CHECK_STR(got.p, rows[i].want);
	}
}

// ---- layer selectors

TEST(selectors_take_layers_as_the_reference_does)
{
	static const struct {
		const char *selector;
		int from, to; // FROM -1: refused
	} rows[] = {
		{"0", 0, 1},
		{"3", 3, 4},
		{"-1", 3, 4},
		{"-4", 0, 1},
		{"4", -1, 0},
		{"-5", -1, 0},
		{":", 0, 4},
		{"1:", 1, 4},
		{":2", 0, 2},
		{"1:3", 1, 3},
		{"1:99", 1, 4},
		{"-2:", 2, 4},
		{":-1", 0, 3},
		{"3:1", -1, 0},
		{"4:", -1, 0},
		{"x", -1, 0},
		{"1:x", -1, 0},
		{"~sha256:0", 0, 1},
		{"~sha", -1, 0},
		{"~z", -1, 0},
		{"", -1, 0},
		{" 1", -1, 0},
		{"99999999999999999999", -1, 0},
	};
	struct descriptor layers[4] = {0};
	struct manifest m = {.layers = layers, .nlayers = 4};

	for (size_t i = 0; i < 4; i++) {
		unsigned char raw[32] = {(unsigned char)(i << 4)};

		digest_from_raw(&layers[i].digest, DIGEST_SHA256, raw);
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t from = 0, to = 0;
		int failed = layer_select(rows[i].selector, &m, &from, &to, &e);

		tap_report((failed < 0) == (rows[i].from < 0), "[%s] %s", rows[i].selector,
			   failed < 0 ? e.text : "is taken");
		if (failed < 0)
			continue;
		tap_report((int)from == rows[i].from && (int)to == rows[i].to,
			   "[%s] takes %zu to %zu", rows[i].selector, from, to);
	}
}

// ---- manifests

TEST(manifests_need_a_kind_and_a_name)
{
	static const struct {
		const char *in, *out; // or the error
	} rows[] = {
		{"kind: A\nmetadata: {name: x}\n# gone\n", "---\nkind: A\nmetadata:\n  name: x\n"},
		{"{\"metadata\":{\"name\":\"x\"},\"kind\":\"A\"}",
		 "---\nkind: A\nmetadata:\n  name: x\n"},
		{"---\n---\n", ""},
		{"kind: A\n",
		 "!Resource with fields Kind: \"A\" Name: \"\" must contain kubernetes "
		 "required fields kind and name"},
		{"[1]\n", "!not an object"},
		{"kind: 7\nmetadata: {name: x}\n", "!kind: not a string"},
		{"kind: A\nmetadata: {name: [\n", "!line 3: did not find expected node content"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buf struct buf out = BUF_INIT(BUF_TEXT_MAX);
		struct manifest_choice all = {0};

		if (manifest_write(&out, str_of(rows[i].in), &all, &e) < 0) {
			buf_clear(&out);
			buf_printf(&out, "!%s", e.text);
		}
		tap_report(starts_with(out.p, rows[i].out) && (*rows[i].out || !*out.p),
			   "'%s', want '%s'", out.p, rows[i].out);
	}
}

int main(void)
{
	return tap_main();
}
