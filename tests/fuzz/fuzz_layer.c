// SPDX-License-Identifier: Apache-2.0
// Layers: no path leaves the layer, no ceiling is passed, the end is reached or an error told.
#include "fuzz.h"
#include "layer/layer.h"

#include <assert.h>
#include <string.h>

enum { FILE_MAX = 1 << 20 };

static void check_entry(const struct layer_entry *entry)
{
	struct str rest = str_of(entry->path);

	assert(rest.n > 0);
	while (rest.p) {
		struct str part = str_cut(&rest, '/');

		assert(part.n > 0 && !str_eqz(part, ".") && !str_eqz(part, ".."));
	}
}

static void read_layer(struct layer *l)
{
	struct layer_entry entry;
	struct err e;

	while (layer_next(l, &entry, &e) > 0) {
		auto_buf struct buf bytes = BUF_INIT(FILE_MAX);

		check_entry(&entry);
		if (entry.type == LAYER_FILE && layer_read_all(l, &bytes, &e) < 0)
			break;
	}
	assert(layer_finish(l, &e) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct layer_limits limits = {.max_bytes = 64 << 20, .max_entries = 1000};
	auto_of(slab_pool_free) struct slab_pool *pool = slab_pool_new(2);
	struct digest d;
	struct err e;

	digest_of(&d, DIGEST_SHA256, data, size);
	auto_of(layer_free) struct layer *l =
		layer_open(stream_of_bytes(data, size, pool), &d, &limits, &e);

	if (l)
		read_layer(l);
	return 0;
}
