// SPDX-License-Identifier: Apache-2.0
// The operator's way from a pull spec to the one at the mirror.
#include "samples/rewrite.h"

#include "util/mem.h"
#include "util/str.h"

// Prefixes of the text, not names of registries: "docker.iox/a/b" begins with one, too.
static const char *const known[] = {
	"docker.io",
	"registry.redhat.io",
	"registry.access.redhat.com",
	"quay.io",
	"registry.svc.ci.openshift.org",
};

static size_t count_slashes(const char *spec)
{
	size_t n = 0;

	for (; *spec; spec++)
		n += *spec == '/';
	return n;
}

char *samples_rewrite_below(const char *spec, const char *folder)
{
	struct str path = str_of(spec);

	if (count_slashes(spec) != 2)
		return xasprintf("%s/%s", folder, spec);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (starts_with(spec, known[i]))
			return xasprintf("%s%s", folder, spec + str_of(known[i]).n);
	str_cut(&path, '/');
	return xasprintf("%s/%.*s", folder, STR_FMT(path));
}

char *samples_rewrite(const char *spec, const char *registry)
{
	return starts_with(spec, registry) ? xstrdup(spec) : samples_rewrite_below(spec, registry);
}
