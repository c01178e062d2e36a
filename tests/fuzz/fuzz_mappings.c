// SPDX-License-Identifier: Apache-2.0
// Mapping files: what is understood has a source, and a destination without digest.
#include "fuzz.h"
#include "mirror/mirror.h"

#include <assert.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_fd int fd = memfd_create("mappings", MFD_CLOEXEC);
	char *files[] = {(char *)"-"};
	struct mappings m = {0};
	struct err e;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) != 0)
		return 0;
	if (mappings_parse(&m, NULL, 0, files, 1, fd, &e) < 0) {
		assert(e.kind == ERR_USAGE || e.kind == ERR_INPUT);
		return 0;
	}
	assert(m.n > 0);
	for (size_t i = 0; i < m.n; i++)
		assert(!m.v[i].dst.has_digest && !m.v[i].name);
	mappings_release(&m);
	return 0;
}
