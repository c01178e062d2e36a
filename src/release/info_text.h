// SPDX-License-Identifier: Apache-2.0
// Wording that the text of one release and of two compared share. Private to info_*.c.
#ifndef RELEASE_INFO_TEXT_H
#define RELEASE_INFO_TEXT_H

#include "release/info.h"

// More than the text of a payload's documents can be, whatever has to be escaped in it.
#define INFO_TEXT_MAX ((size_t)1 << 30)

// Where the source of T can be read: on GitHub a link, else "LOCATION COMMIT". Caller frees.
char *release_commit_url(const struct release_tag *t);

#endif
