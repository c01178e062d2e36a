// SPDX-License-Identifier: Apache-2.0
// References: what is accepted prints back to a reference that is the same.
#include "fuzz.h"
#include "image/reference.h"
#include "util/mem.h"

#include <assert.h>
#include <string.h>

// A first component in capitals is a host by the grammar; without a dot it is read as a folder.
static bool valid_in_lower_case(const char *repository)
{
	auto_free char *lower = xstrdup(repository);

	for (char *c = lower; *c && *c != '/'; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c += 'a' - 'A';
	return repository_valid(lower);
}

static void check_parts(const struct reference *r, unsigned flags)
{
	auto_free char *path = reference_file_path(r);
	auto_free char *wire = reference_wire_repository(r);

	assert(!*r->repository || valid_in_lower_case(r->repository));
	assert(!*r->tag || tag_valid(r->tag) || (flags & REF_WILDCARD));
	assert(path[0] != '/' && !strstr(path, ".."));
	assert(strlen(wire) >= strlen(r->repository));
	assert(tag_matches("*", r->tag));
}

static void check_round_trip(const struct reference *r, unsigned flags)
{
	auto_reference struct reference again = {0};
	auto_free char *printed = reference_print(r), *reprinted = NULL;
	struct err e;

	assert(reference_parse(&again, printed, flags, &e) == 0);
	reprinted = reference_print(&again);
	assert(reference_same(r, &again));
	assert(strcmp(printed, reprinted) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	auto_reference struct reference r = {0};
	auto_free char *text = xstrndup((const char *)data + 1, size - 1);
	unsigned flags = data[0] & 3;
	struct err e;

	if (reference_parse(&r, text, flags, &e) < 0) {
		assert(e.kind == ERR_INPUT && *e.text);
		return 0;
	}
	check_parts(&r, flags);
	check_round_trip(&r, flags);
	return 0;
}
