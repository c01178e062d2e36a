// SPDX-License-Identifier: Apache-2.0
// Index images in memory for the tests of catalog/, and the factory of places that has them.
#ifndef TESTS_UNIT_CATALOG_WORLD_H
#define TESTS_UNIT_CATALOG_WORLD_H

#include <archive.h>
#include <archive_entry.h>

#include "catalog/index.h"
#include "repo/memory.h"
#include "tap.h"
#include "util/mem.h"

enum { WORLD_LAYERS_MAX = 6, WORLD_ENTRIES_MAX = 48 };

#define CONFIG_TYPE "application/vnd.oci.image.config.v1+json"
#define FBC_CONFIG                                                                      \
	"{\"config\":{\"Labels\":{\"operators.operatorframework.io.index.configs.v1\":" \
	"\"/configs\"}}}"
#define DATABASE_CONFIG                                                                  \
	"{\"config\":{\"Labels\":{\"operators.operatorframework.io.index.database.v1\":" \
	"\"/database/index.db\"}}}"

// The last is on top. "a/" is a folder, "a=x" a file, "a=%0" a file with the content blobs[0],
// "a>b" a symlink, "a~b" a hard link, "a!" a fifo.
struct world_layers {
	const char *v[WORLD_LAYERS_MAX][WORLD_ENTRIES_MAX];
};

struct world {
	struct slab_pool *pool;
	struct place *place;
	struct place *dst; // "dst.io", when a test has made it
	struct repo *repo; // "src.io/cat/index"
	const struct str *blobs;
};

static struct world *world_now;

static inline void world_init(struct world *w)
{
	*w = (struct world){.pool = slab_pool_new(8)};
	w->place = place_memory_new("src.io", w->pool);
	w->repo = place_repo(w->place, "cat/index");
	world_now = w;
}

static inline void world_release(struct world *w)
{
	place_free(w->place);
	slab_pool_free(w->pool);
}
#define auto_world __attribute__((cleanup(world_release)))

// Stands in for the real factory, which is not linked.
struct repo *places_repo(struct places *p, const struct reference *ref, bool write, struct err *e)
{
	bool to_dst = world_now->dst && strcmp(ref->registry, world_now->dst->name) == 0;

	(void)p, (void)write, (void)e;
	return place_repo(to_dst ? world_now->dst : world_now->place, ref->repository);
}

static inline struct str world_content(const struct world *w, const char *value)
{
	return value[0] == '%' ? w->blobs[value[1] - '0'] : str_of(value);
}

static inline void world_put(const struct world *w, struct archive *a, const char *text)
{
	struct archive_entry *entry = archive_entry_new();
	size_t n = strcspn(text, "=>~!");
	auto_free char *name = xstrndup(text, n);
	const char *value = text[n] ? text + n + 1 : "";
	struct str content = world_content(w, value);

	archive_entry_set_pathname(entry, name);
	archive_entry_set_filetype(entry, ends_with(name, "/") ? AE_IFDIR
					  : text[n] == '>'     ? AE_IFLNK
					  : text[n] == '!'     ? AE_IFIFO
							       : AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	if (text[n] == '>')
		archive_entry_set_symlink(entry, value);
	else if (text[n] == '~')
		archive_entry_set_hardlink(entry, value);
	else if (text[n] == '=')
		archive_entry_set_size(entry, (la_int64_t)content.n);
	archive_write_header(a, entry);
	if (text[n] == '=')
		archive_write_data(a, content.p, content.n);
	archive_entry_free(entry);
}

static inline void world_layer(const struct world *w, const char *const *entries,
			       struct descriptor *ret)
{
	size_t max = (size_t)4 << 20, used = 0;
	auto_free char *out = xmalloc(max);
	struct archive *a = archive_write_new();

	archive_write_set_format_pax_restricted(a);
	archive_write_open_memory(a, out, max, &used);
	for (size_t k = 0; k < WORLD_ENTRIES_MAX && entries[k]; k++)
		world_put(w, a, entries[k]);
	archive_write_close(a);
	archive_write_free(a);
	memory_add_blob(w->repo, out, used, ret);
}

// An image with these LAYERS; TYPE is of its configuration.
static inline struct digest world_image(const struct world *w, const struct world_layers *layers,
					const char *config, const char *type, const char *tag)
{
	auto_buf struct buf json = BUF_INIT(BUF_TEXT_MAX);
	struct descriptor d;
	struct digest ret;

	memory_add_blob(w->repo, config, strlen(config), &d);
	buf_printf(&json,
		   "{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_MANIFEST "\",\"config\":{"
		   "\"mediaType\":\"%s\",\"size\":%zu,\"digest\":\"%s\"},\"layers\":[",
		   type, strlen(config), d.digest.text);
	for (size_t i = 0; i < WORLD_LAYERS_MAX && layers->v[i][0]; i++) {
		world_layer(w, layers->v[i], &d);
		buf_printf(&json,
			   "%s{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\","
			   "\"size\":%zu,\"digest\":\"%s\"}",
			   i ? "," : "", (size_t)d.size, d.digest.text);
	}
	buf_puts(&json, "]}");
	memory_add_manifest(w->repo, json.p, MT_OCI_MANIFEST, tag, &ret);
	return ret;
}

static inline int world_open(const char *text, const char *filter, struct catalog_index *ret,
			     char **ret_notice, struct err *e)
{
	auto_reference struct reference ref = {0};

	if (reference_parse(&ref, text, 0, e) < 0)
		return -1;
	return catalog_index_open(NULL, &ref, filter, ret, ret_notice, e);
}

// An image of LAYERS with CONFIG, opened.
static inline int world_index(struct world *w, const struct world_layers *layers,
			      const char *config, struct catalog_index *ret, struct err *e)
{
	auto_free char *notice = NULL;

	world_image(w, layers, config, CONFIG_TYPE, "v1");
	return world_open("src.io/cat/index:v1", NULL, ret, &notice, e);
}

#endif
