// SPDX-License-Identifier: Apache-2.0
// A catalog of three packages with its images on src.io, mirrored to dst.io in memory.
//
//	alpha  alpha.v1  ops/alpha-bundle:v1, ops/alpha (2000 bytes), ops/shared (1000)
//	beta   beta.v1   ops/beta-bundle:v1, ops/shared
//	       beta.v2   ops/beta-bundle:v1, ops/shared, and what a test adds
//	gamma  gamma.v1  ops/gamma:v1 (300)
#ifndef TESTS_UNIT_CATALOG_MIRRORED_H
#define TESTS_UNIT_CATALOG_MIRRORED_H

#include "world.h"

#include <stdlib.h>
#include <unistd.h>

#include "catalog/report.h"
#include "util/fs.h"

struct mirrored {
	struct world w;
	struct str blobs[2]; // the texts of the catalog's two files
	char *alpha, *beta;
	char dir[64]; // a folder of its own
	char *manifests;
	struct catalog_mirror_request req;
	struct catalog_mirror m;
};
#define auto_mirrored __attribute__((cleanup(mirrored_release)))

// What else the factory of places has.
int places_sync(struct places *p, struct err *e)
{
	(void)p, (void)e;
	return 0;
}

struct store *place_store(struct place *p)
{
	(void)p;
	return NULL;
}

// An image of one layer of N bytes, which are all C; its configuration has three.
static inline struct digest mirrored_image(struct mirrored *f, const char *name, char c, size_t n,
					   const char *tag)
{
	struct repo *r = place_repo(f->w.place, name);
	auto_free char *layer = xmalloc(n + 1);
	auto_free char *config = xasprintf("{%c}", c);
	struct descriptor of_config, of_layer;
	struct digest ret;

	memset(layer, c, n);
	memory_add_blob(r, config, strlen(config), &of_config);
	memory_add_blob(r, layer, n, &of_layer);
	auto_free char *json = xasprintf(
		"{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_MANIFEST "\",\"config\":{"
		"\"mediaType\":\"" CONFIG_TYPE "\",\"size\":%zu,\"digest\":\"%s\"},\"layers\":[{"
		"\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\"size\":%zu,"
		"\"digest\":\"%s\"}]}",
		strlen(config), of_config.digest.text, n, of_layer.digest.text);

	memory_add_manifest(r, json, MT_OCI_MANIFEST, tag, &ret);
	return ret;
}

// A list of the image of these two, under TAG.
static inline struct digest mirrored_list(struct mirrored *f, const char *name,
					  const struct digest *a, const struct digest *b,
					  const char *tag)
{
	struct digest ret;
	auto_free char *json =
		xasprintf("{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_INDEX "\",\"manifests\":["
			  "{\"mediaType\":\"" MT_OCI_MANIFEST "\",\"size\":9,\"digest\":\"%s\"},"
			  "{\"mediaType\":\"" MT_OCI_MANIFEST "\",\"size\":9,\"digest\":\"%s\"}]}",
			  a->text, b->text);

	memory_add_manifest(place_repo(f->w.place, name), json, MT_OCI_INDEX, tag, &ret);
	return ret;
}

static inline char *mirrored_bundle(const char *package, const char *name, const char *images)
{
	return xasprintf("{\"schema\":\"olm.bundle\",\"name\":\"%s\",\"package\":\"%s\",%s}\n",
			 name, package, images);
}

// FURTHER: what beta.v2 needs as well, `,{"image":"…"}`; "" for nothing.
static inline void mirrored_write(struct mirrored *f, const char *further)
{
	struct digest alpha = mirrored_image(f, "ops/alpha", 'a', 2000, NULL);
	struct digest shared = mirrored_image(f, "ops/shared", 's', 1000, NULL);
	static const struct world_layers layers = {
		{{"configs/", "configs/alpha.json=%0", "configs/beta.json=%1"}}};
	auto_free char *of_alpha = xasprintf(
		"\"image\":\"src.io/ops/alpha-bundle:v1\",\"relatedImages\":["
		"{\"image\":\"src.io/ops/alpha@%s\"},{\"image\":\"src.io/ops/shared@%s\"}]",
		alpha.text, shared.text);
	auto_free char *of_beta =
		xasprintf("\"image\":\"src.io/ops/beta-bundle:v1\",\"relatedImages\":["
			  "{\"image\":\"src.io/ops/shared@%s\"}",
			  shared.text);
	auto_free char *v1 = xasprintf("%s]", of_beta), *v2 = xasprintf("%s%s]", of_beta, further);
	auto_free char *beta_v1 = mirrored_bundle("beta", "beta.v1", v1);
	auto_free char *beta_v2 = mirrored_bundle("beta", "beta.v2", v2);
	auto_free char *gamma =
		mirrored_bundle("gamma", "gamma.v1", "\"image\":\"src.io/ops/gamma:v1\"");

	mirrored_image(f, "ops/alpha-bundle", 'A', 20, "v1");
	mirrored_image(f, "ops/beta-bundle", 'B', 10, "v1");
	mirrored_image(f, "ops/gamma", 'g', 300, "v1");
	f->alpha = mirrored_bundle("alpha", "alpha.v1", of_alpha);
	f->beta = xasprintf("%s%s%s", beta_v2, beta_v1, gamma);
	f->blobs[0] = str_of(f->alpha);
	f->blobs[1] = str_of(f->beta);
	f->w.blobs = f->blobs;
	world_image(&f->w, &layers, FBC_CONFIG, CONFIG_TYPE, "v1");
}

static inline void mirrored_init(struct mirrored *f, const char *further)
{
	*f = (struct mirrored){.dir = "/tmp/ferry-test-XXXXXX"};
	world_init(&f->w);
	f->w.dst = place_memory_new("dst.io", f->w.pool);
	mirrored_write(f, further);
	if (!mkdtemp(f->dir))
		abort();
	f->manifests = xasprintf("%s/m", f->dir);
	f->req = (struct catalog_mirror_request){
		.src = "src.io/cat/index:v1",
		.dst = "dst.io/olm",
		.max_components = CATALOG_COMPONENTS_DEFAULT,
		.idms_scope = "repository",
		.icsp_scope = "repository",
		.max_idms_size = CATALOG_SET_MAX,
		.max_icsp_size = CATALOG_SET_MAX,
		.to_manifests = f->manifests,
		.now = 1700000000,
		.umask = 022,
		.temporary_dir = "/tmp",
		.mirror = {.transfer = {.pool = f->w.pool, .continue_on_error = true}},
	};
}

static inline void mirrored_release(struct mirrored *f)
{
	auto_free char *remove = xasprintf("rm -rf '%s'", f->dir);

	catalog_mirror_release(&f->m);
	place_free(f->w.dst);
	world_release(&f->w);
	free(f->alpha);
	free(f->beta);
	free(f->manifests);
	if (system(remove) != 0)
		printf("# %s failed\n", remove);
}

static inline int mirrored_list_images(struct mirrored *f, struct err *e)
{
	catalog_mirror_release(&f->m);
	if (catalog_mirror_open(&f->m, NULL, &f->req, e) < 0)
		return -1;
	return catalog_mirror_list(&f->m, e);
}

// All of it but the writing.
static inline int mirrored_run(struct mirrored *f, struct err *e)
{
	return mirrored_list_images(f, e) < 0 ? -1 : catalog_mirror_copy(&f->m, NULL, e);
}

#define FURTHER(text) ",{\"image\":\"" text "\"}"

#endif
