// SPDX-License-Identifier: Apache-2.0
// The platform filter: the pattern is the first line, the rest is the text it is matched with.
#include "fuzz.h"
#include "image/platform.h"
#include "util/mem.h"
#include "util/str.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = {(const char *)data, size}, line = str_cut(&rest, '\n');
	auto_of(platform_filter_free) struct platform_filter *f = NULL;
	auto_free char *pattern = xstrndup(line.p, line.n), *os = xstrndup(rest.p, rest.n);
	struct platform p = {os, "amd64", "", ""};
	struct err e;

	if (platform_filter_new(&f, pattern, &e) < 0) {
		assert(e.kind == ERR_INPUT);
		return 0;
	}
	platform_filter_match(f, &p);
	return 0;
}
