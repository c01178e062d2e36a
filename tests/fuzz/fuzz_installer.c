// SPDX-License-Identifier: Apache-2.0
// Binaries: markers are found at the same places however the bytes come, and a signature is only
// written where there was one. The first byte says how the rest is cut.
#include "fuzz.h"
#include "release/installer.h"
#include "util/cleanup.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ALL = MARKER_IMAGE | MARKER_VERSION | MARKER_ARCHITECTURE };

static void check_scan(const uint8_t *data, size_t size, size_t piece)
{
	struct installer_scan whole, cut;

	installer_scan_init(&whole, ALL);
	installer_scan_init(&cut, ALL);
	installer_scan_add(&whole, data, size);
	for (size_t at = 0; at < size; at += piece)
		installer_scan_add(&cut, data + at, size - at < piece ? size - at : piece);
	assert(whole.found == cut.found);
	for (int kind = 0; kind < MARKER_KINDS; kind++)
		if (whole.found & (1U << kind)) {
			assert(whole.offset[kind] == cut.offset[kind]);
			assert(whole.offset[kind] + 93 <= size && data[whole.offset[kind]] == 0);
		}
}

static void check_signature(const uint8_t *data, size_t size)
{
	auto_fd int fd = memfd_create("binary", MFD_CLOEXEC);
	struct err e;

	assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	if (installer_sign_macho(fd, size, "binary", &e) < 0)
		assert(e.kind == ERR_IO);
	assert(lseek(fd, 0, SEEK_END) == (off_t)size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	check_scan(data + 1, size - 1, (size_t)data[0] * 3 + 1);
	check_signature(data + 1, size - 1);
	return 0;
}
