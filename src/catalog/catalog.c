// SPDX-License-Identifier: Apache-2.0
// The catalog as a value.
#include "catalog/catalog.h"

void catalog_release(struct catalog *c)
{
	arena_free(&c->arena);
	*c = (struct catalog){0};
}
