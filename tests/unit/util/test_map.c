// SPDX-License-Identifier: Apache-2.0
#include "util/map.h"

#include "tap.h"

#include <stdio.h>

TEST(finds_what_was_put_through_growth_and_removal)
{
	auto_map struct map m = {0};

	for (int i = 0; i < 1000; i++) {
		char key[16];
		bool is_new;

		snprintf(key, sizeof(key), "k%d", i);
		map_put(&m, str_of(key), &is_new)->num = (uint64_t)i;
		CHECK(is_new);
	}
	CHECK(map_remove(&m, STR("k500")));
	CHECK(!map_remove(&m, STR("k500")));
	CHECK(map_find(&m, STR("k500")) == NULL);
	CHECK_INT(m.n, 999);
	for (int i = 0; i < 1000; i++) {
		char key[16];

		snprintf(key, sizeof(key), "k%d", i);
		struct map_entry *en = map_find(&m, str_of(key));

		CHECK(i == 500 ? en == NULL : en && en->num == (uint64_t)i);
	}
}

TEST(keys_may_hold_any_bytes)
{
	auto_map struct map m = {0};

	map_put(&m, (struct str){"a\0b", 3}, NULL)->num = 1;
	CHECK(map_find(&m, STR("a")) == NULL);
	CHECK(map_find(&m, (struct str){"a\0b", 3}) != NULL);
}

int main(void)
{
	return tap_main();
}
