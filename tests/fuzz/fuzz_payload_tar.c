// SPDX-License-Identifier: Apache-2.0
// The layers of a release image: the first two bytes say how many of the others are the lower one.
// No file's name leads out of its folder, no ceiling is passed, and what comes out is a payload or
// an error.
#include "fuzz.h"
#include "release/payload.h"
#include "release/verifier.h"
#include "repo/memory.h"

#include <assert.h>
#include <string.h>

enum { FILES_MAX = 20000 };

#define LAYER \
	"{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"%s\",\"size\":%zu}"

struct seen {
	struct verifier_manifests manifests;
	size_t files;
};

static int on_file(void *arg, const char *name, struct str bytes, struct err *e)
{
	struct seen *seen = arg;
	struct str rest = str_of(name);

	assert(++seen->files <= FILES_MAX && bytes.n <= PAYLOAD_FILE_MAX);
	while (rest.p) {
		struct str part = str_cut(&rest, '/');

		assert(part.n > 0 && !str_eqz(part, ".") && !str_eqz(part, ".."));
	}
	return verifier_manifests_take(&seen->manifests, name, bytes, e);
}

static void add_image(struct repo *r, const uint8_t *data, size_t lower, size_t size)
{
	static const char config[] = "{\"architecture\":\"amd64\",\"os\":\"linux\"}";
	struct descriptor c, a, b;
	struct digest ignored;

	memory_add_blob(r, config, strlen(config), &c);
	memory_add_blob(r, data, lower, &a);
	memory_add_blob(r, data + lower, size - lower, &b);
	auto_free char *manifest = xasprintf(
		"{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_MANIFEST "\",\"config\":{"
		"\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"%s\","
		"\"size\":%zu},\"layers\":[" LAYER "," LAYER "]}",
		c.digest.text, strlen(config), a.digest.text, lower, b.digest.text, size - lower);

	memory_add_manifest(r, manifest, MT_OCI_MANIFEST, "v1", &ignored);
}

static void read_payload(struct repo *r)
{
	auto_reference struct reference ref = {0};
	auto_payload struct payload p = {0};
	struct seen seen = {0};
	const struct payload_options opt = {.file = on_file, .arg = &seen};
	struct err e;

	assert(reference_parse(&ref, "r.io/a:v1", 0, &e) == 0);
	if (payload_read(&p, r, &ref, &opt, &e) == 0) {
		auto_verifier struct verifier v = {0};
		bool found;

		assert(strcmp(p.architecture, "amd64") == 0 && strcmp(p.os, "linux") == 0);
		if (payload_parse(&p, &e) == 0)
			assert(p.references.n > 0 && p.version[0] != '\0');
		else
			assert(e.kind == ERR_INPUT);
		if (verifier_load(&v, &seen.manifests, VERIFIER_STORES, 0, &found, &e) < 0)
			assert(e.kind == ERR_INPUT);
	} else {
		assert(e.kind != ERR_NONE && e.text[0] != '\0');
	}
	verifier_manifests_release(&seen.manifests);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	size_t lower = (size_t)data[0] << 8 | data[1];
	auto_of(slab_pool_free) struct slab_pool *pool = slab_pool_new(2);
	auto_of(place_free) struct place *place = place_memory_new("r.io", pool);
	struct repo *r = place_repo(place, "a");

	data += 2;
	size -= 2;
	add_image(r, data, lower < size ? lower : size, size);
	read_payload(r);
	return 0;
}
