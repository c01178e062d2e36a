// SPDX-License-Identifier: Apache-2.0
// Platforms of list entries, and the --filter-by-os expression.
//
// Spec: OCI image-spec v1.1, image-index.md "platform". The filter is an unanchored regular
// expression matched against "os/arch" or "os/arch/variant"; entries without platform match as "/".
#ifndef IMAGE_PLATFORM_H
#define IMAGE_PLATFORM_H

#include "util/cleanup.h"
#include "util/err.h"

#include <stdbool.h>

struct platform {
	const char *os, *architecture, *variant, *os_version; // "" when absent, never NULL
};

struct platform_filter;

// PATTERN "" or NULL accepts everything. ERR_INPUT: "--filter-by-os was not a valid regular
// expression: …".
int platform_filter_new(struct platform_filter **ret, const char *pattern, struct err *e)
	must_check;
bool platform_filter_match(const struct platform_filter *f, const struct platform *p);
void platform_filter_free(struct platform_filter *f);
DEFINE_AUTO(platform_filter_free, struct platform_filter)

// "linux/amd64": the platform of this build, which is the default filter.
const char *platform_local(void);
// Architecture names as release tags write them: amd64 → x86_64, arm64 → aarch64, others as is.
const char *platform_release_arch(const char *architecture);

#endif
