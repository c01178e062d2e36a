// SPDX-License-Identifier: Apache-2.0
// Tool binaries of a release: places in them that are filled in when they are extracted, so that an
// installer installs this release and a client knows its version.
//
// Spec 6.5. A marker is a NUL, its name, and room up to its last byte. The first of each kind is
// written over with the value and a NUL; the length of the file never changes.
#ifndef RELEASE_INSTALLER_H
#define RELEASE_INSTALLER_H

#include "util/str.h"

#include <stdbool.h>
#include <stdint.h>

enum installer_marker {
	MARKER_IMAGE = 1 << 0,
	MARKER_VERSION = 1 << 1,
	MARKER_ARCHITECTURE = 1 << 2,
};

enum { MARKER_KINDS = 3, MARKER_MAX = 327 };

struct installer_values {
	const char *image, *version, *architecture;
};

// What goes by is searched piece by piece: markers across pieces are found, too.
struct installer_scan {
	unsigned wanted, found; // markers
	uint64_t offset[MARKER_KINDS];
	uint64_t seen;
	char tail[2 * MARKER_MAX]; // the last bytes of what went by
	size_t ntail;
};

void installer_scan_init(struct installer_scan *s, unsigned wanted);
void installer_scan_add(struct installer_scan *s, const void *data, size_t n);
// Do the values fit? `the release image value has 400 bytes, but the maximum replacement length is
// 326`.
int installer_check(const struct installer_values *v, unsigned wanted, struct err *e) must_check;
// Writes what was found into FD. NAME is for errors.
int installer_patch(int fd, const struct installer_scan *s, const struct installer_values *v,
		    const char *name, struct err *e) must_check;
// "release architecture, release version": wanted and not found; "" when there is none. Caller
// frees.
char *installer_missing(const struct installer_scan *s);

// The ad-hoc signature of a Mach-O file no longer fits once it is patched: makes it anew. Files of
// another kind, or signed in another way, are left as they are.
int installer_sign_macho(int fd, uint64_t size, const char *name, struct err *e) must_check;

#endif
