// SPDX-License-Identifier: Apache-2.0
// image-references: what is read has a version, and destinations stay below the base.
#include "fuzz.h"
#include "release/naming.h"
#include "release/payload.h"

#include <assert.h>
#include <string.h>

static void check_names(const struct payload *p)
{
	auto_naming struct naming n = {0};
	struct err e;

	assert(naming_init(&n, "r.io/a/b", false, NULL, &e) == 0);
	for (size_t i = 0; i < p->ncomponents; i++) {
		auto_reference struct reference ref = {0};

		if (naming_reference(&n, p->components[i].name, p->version, "-x86_64", &ref, &e) <
		    0)
			continue;
		assert(strcmp(ref.registry, "r.io") == 0 && strcmp(ref.repository, "a/b") == 0);
		assert(!ref.has_digest);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_payload struct payload p = {.references = BUF_INIT(PAYLOAD_FILE_MAX)};
	struct err e;

	if (buf_add(&p.references, data, size, &e) < 0)
		return 0;
	if (payload_parse(&p, &e) < 0) {
		assert(e.kind == ERR_INPUT);
		return 0;
	}
	assert(p.version[0] != '\0');
	check_names(&p);
	return 0;
}
