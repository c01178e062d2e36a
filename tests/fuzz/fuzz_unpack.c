// SPDX-License-Identifier: Apache-2.0
// Layers that are written to a folder: nothing beside it changes, whatever they say.
#include "fuzz.h"
#include "layer/extract_to.h"
#include "layer/stack.h"

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char place[] = "/tmp/ferry-fuzz-XXXXXX", target[64];

static void leave(void)
{
	rmdir(target);
	rmdir(place);
}

// PLACE has an empty folder, the target, and nothing else.
static void enter(void)
{
	static bool entered;

	if (entered)
		return;
	entered = true;
	if (!mkdtemp(place))
		abort();
	snprintf(target, sizeof(target), "%s/target", place);
	if (mkdir(target, 0755) < 0)
		abort();
	atexit(leave);
}

static unsigned count_entries(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	assert(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

struct source {
	struct str bytes;
	struct slab_pool *pool;
};

static struct stream *open_source(void *arg, const struct descriptor *d, struct err *e)
{
	struct source *s = arg;

	(void)d;
	(void)e;
	return stream_of_bytes(s->bytes.p, s->bytes.n, s->pool);
}

static int add(void *arg, size_t layer, struct layer *l, const struct layer_entry *entry,
	       struct err *e)
{
	(void)layer;
	return extract_to_add(arg, entry->path, l, entry, e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct layer_limits limits = {.max_bytes = 4 << 20, .max_entries = 200};
	auto_of(slab_pool_free) struct slab_pool *pool = slab_pool_new(2);
	struct source s = {{(const char *)data, size}, pool};
	struct stack_source source = {open_source, &s};
	struct descriptor d = {.size = size};
	struct err e;

	enter();
	digest_of(&d.digest, DIGEST_SHA256, data, size);
	for (int by_hand = 0; by_hand < 2; by_hand++) {
		struct extract_to_options opt = {.by_hand = by_hand};
		struct extract_to *t = extract_to_new(target, &opt, &e);
		struct stack_visitor visitor = {.entry = add, .arg = t};

		assert(t);
		if (stack_walk(&d, 1, &source, &visitor, &limits, 0, &e) < 0)
			assert(e.kind == ERR_INPUT || e.kind == ERR_IO);
		extract_to_free(t);
		assert(count_entries(target) == 0 && count_entries(place) == 1);
	}
	return 0;
}
