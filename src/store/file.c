// SPDX-License-Identifier: Apache-2.0
// Blobs as open files.
#include "store/file.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

void store_file_release(struct store_file *f)
{
	for (unsigned i = 0; i < f->n; i++)
		close(f->fds[i]);
	free(f->fds);
	free(f->sizes);
	*f = (struct store_file){0};
}

ssize_t store_file_pread(const struct store_file *f, void *buf, size_t n, uint64_t offset)
{
	uint64_t start = 0;

	for (unsigned i = 0; i < f->n; i++) {
		uint64_t in_file = offset - start;

		if (in_file < f->sizes[i]) {
			uint64_t room = f->sizes[i] - in_file;
			ssize_t r;

			do
				r = pread(f->fds[i], buf, room < n ? (size_t)room : n,
					  (off_t)in_file);
			while (r < 0 && errno == EINTR);
			return r;
		}
		start += f->sizes[i];
	}
	return 0;
}
