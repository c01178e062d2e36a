// SPDX-License-Identifier: Apache-2.0
// SQLite catalogs: reading one ends, within its bounds, with a catalog that is sorted and without
// duplicates, or with an error about the input.
#include "catalog/database.h"
#include "data/sqlite.h"
#include "fuzz.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

// libFuzzer does not see into the library: what it said and how much it read has to do.
#ifdef FUZZ_GUIDED
__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t counters[1 << 14];
#else
static uint8_t counters[1 << 14];
#endif

static void feel(const char *text, size_t n)
{
	uint32_t hash = 2166136261U;

	for (; *text; text++)
		// Texts of the input and their positions are of no interest.
		if ((*text < '0' || *text > '9') && *text != '"')
			hash = (hash ^ (uint8_t)*text) * 16777619U;
	while (n > 0) {
		hash = (hash ^ 1) * 16777619U;
		n >>= 1;
	}
	counters[hash % sizeof(counters)] = 1;
}

static void check_catalog(const struct catalog *c)
{
	for (size_t i = 0; i < c->nimages; i++) {
		const struct catalog_image *im = &c->images[i];

		assert(im->text[0] != '\0');
		assert(i == 0 || strcmp(c->images[i - 1].text, im->text) < 0);
		for (size_t k = 0; k < im->nbundles; k++)
			assert(im->bundles[k] < c->nbundles);
	}
	for (size_t i = 0; i < c->nbundles; i++)
		assert(c->bundles[i].package == CATALOG_NONE ||
		       c->bundles[i].package < c->npackages);
}

static bool leave_out(void *arg, const struct err *why)
{
	(void)arg;
	assert(why->text[0] != '\0');
	return true;
}

static void read_database(int fd)
{
	const struct catalog_read_config cfg = {.on_broken = leave_out};
	auto_of(collect_free) struct collect *found = collect_new();
	auto_of(sqlite_close) struct sqlite *db = NULL;
	auto_catalog struct catalog c = {0};
	struct err e = {0};

	if (sqlite_open(&db, fd, NULL, &e) < 0 ||
	    catalog_database_collect(db, &cfg, found, &e) < 0) {
		assert(e.kind == ERR_INPUT && e.text[0] != '\0');
		feel(e.text, 0);
	}
	collect_finish(found, &c);
	check_catalog(&c);
	feel("images", c.nimages);
	feel("bundles", c.nbundles);
	feel("packages", c.npackages);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_fd int fd = memfd_create("database", MFD_CLOEXEC);

	if (fd >= 0 && write(fd, data, size) == (ssize_t)size)
		read_database(fd);
	return 0;
}
