// SPDX-License-Identifier: Apache-2.0
// Manifests: what is accepted is within the ceilings, and a list filtered is a list.
#include "fuzz.h"
#include "image/manifest.h"

#include <assert.h>
#include <string.h>

static void check_descriptor(const struct descriptor *d)
{
	struct digest again;
	struct err e;

	assert(digest_parse(&again, d->digest.text, &e) == 0);
	assert(d->size <= INT64_MAX && d->media_type && d->artifact_type);
	assert(d->platform.os && d->platform.architecture && d->platform.variant);
	for (size_t i = 0; d->urls && d->urls[i]; i++)
		assert(strlen(d->urls[i]) < MANIFEST_MAX);
}

static void check_filtered(const struct manifest *m, struct str bytes)
{
	auto_buf struct buf out = BUF_INIT(16 * MANIFEST_MAX);
	auto_manifest struct manifest filtered = {0};
	auto_free bool *keep = xcalloc(m->nmanifests + 1, sizeof(*keep));
	size_t kept = 0;
	struct err e;

	for (size_t i = 0; i < m->nmanifests; i += 2, kept++)
		keep[i] = true;
	if (manifest_filter_index(&out, bytes, keep, &e) < 0)
		return;
	for (size_t i = 0; i < m->nmanifests; i++)
		if (m->manifests[i].size == 0) // left out as the reference leaves it out
			return;
	assert(manifest_parse(&filtered, buf_str(&out), NULL, "x", &e) == 0);
	assert(filtered.kind == MANIFEST_INDEX && filtered.nmanifests == kept);
}

static void check(const struct manifest *m, struct str bytes)
{
	assert(m->nlayers <= DESCRIPTORS_MAX && m->nmanifests <= DESCRIPTORS_MAX);
	if (m->kind == MANIFEST_IMAGE)
		check_descriptor(&m->config);
	for (size_t i = 0; i < m->nlayers; i++)
		check_descriptor(&m->layers[i]);
	for (size_t i = 0; i < m->nmanifests; i++)
		check_descriptor(&m->manifests[i]);
	if (m->has_subject)
		check_descriptor(&m->subject);
	if (m->kind == MANIFEST_INDEX)
		check_filtered(m, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str bytes = {(const char *)data, size};
	auto_manifest struct manifest m = {0};
	char *os, *arch;
	struct err e;

	if (manifest_parse(&m, bytes, NULL, "x", &e) == 0)
		check(&m, bytes);
	else
		assert(e.kind == ERR_INPUT);
	if (config_platform(bytes, &os, &arch, &e) == 0) {
		free(os);
		free(arch);
	}
	return 0;
}
