// SPDX-License-Identifier: Apache-2.0
// Mirror policies: any bytes are a policy, whose places are references to repositories, or are
// refused.
#include <assert.h>
#include <string.h>

#include "fuzz.h"
#include "policy/read.h"
#include "util/mem.h"

static void ask(const struct policy *p, const char *image)
{
	auto_reference struct reference ref = {0};
	struct err e;

	if (reference_parse(&ref, image, REF_NO_PREFIX, &e) < 0)
		return;
	for (int tags = 0; tags < 2; tags++) {
		auto_policy_places struct policy_places l = {0};

		policy_mirrors(p, &ref, tags, &l);
		for (size_t i = 0; i < l.n; i++) {
			assert(l.v[i].type == REF_REGISTRY && *l.v[i].registry &&
			       *l.v[i].repository);
			assert(!*l.v[i].tag && !l.v[i].has_digest);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_policy struct policy p = {0};
	struct err e;

	if (policy_read(&p, (struct str){(const char *)data, size}, "f", &e) < 0) {
		assert(e.kind == ERR_INPUT && starts_with(e.text, "f: "));
		return 0;
	}
	ask(&p, "busybox");
	for (size_t i = 0; i < p.n && i < 50; i++) {
		auto_free char *below = xasprintf("%s/x/y:v1", p.v[i].source);

		ask(&p, p.v[i].source);
		ask(&p, below);
	}
	return 0;
}
