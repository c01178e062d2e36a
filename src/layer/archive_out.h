// SPDX-License-Identifier: Apache-2.0
// Writing archives: tar inside gzip, or zip. The same members give the same bytes.
#ifndef LAYER_ARCHIVE_OUT_H
#define LAYER_ARCHIVE_OUT_H

#include "image/digest.h"

#include <stdint.h>
#include <sys/types.h>

struct archive_out;

enum archive_out_kind { ARCHIVE_OUT_TAR_GZ, ARCHIVE_OUT_ZIP };

// FD stays the caller's, NAME is for errors and borrowed.
struct archive_out *archive_out_new(int fd, enum archive_out_kind kind, const char *name,
				    struct err *e) must_check;
void archive_out_free(struct archive_out *a);
DEFINE_AUTO(archive_out_free, struct archive_out)

// Members belong to 0:0. MTIME is unix time.
int archive_out_bytes(struct archive_out *a, const char *member, mode_t mode, int64_t mtime,
		      struct str bytes, struct err *e) must_check;
// SIZE bytes of FD, from its start.
int archive_out_file(struct archive_out *a, const char *member, mode_t mode, int64_t mtime, int fd,
		     uint64_t size, struct err *e) must_check;
// A hard link to the member TARGET.
int archive_out_link(struct archive_out *a, const char *member, const char *target, mode_t mode,
		     int64_t mtime, struct err *e) must_check;
// SHA-256 of the whole archive.
int archive_out_finish(struct archive_out *a, struct digest *ret, struct err *e) must_check;

#endif
