// SPDX-License-Identifier: Apache-2.0
#include "data/tabwriter.h"

#include "tap.h"
#include "util/mem.h"

TEST(columns_are_as_wide_as_their_widest_cell)
{
	static const struct {
		const char *text, *want;
		unsigned padding;
	} rows[] = {
		{"", "", 1},
		{"plain\n", "plain\n", 1},
		{"a\tb\nccc\td\n", "a   b\nccc d\n", 1},
		{"a\tb\nccc\td\n", "a    b\nccc  d\n", 2},
		// What follows the last tab belongs to no column.
		{"a\tlonger\nb\tc\td\n", "a longer\nb c d\n", 1},
		{"x\ty\t\n", "x y \n", 1},
		// A line without a cell ends the column.
		{"a\tb\n\ncccc\td\n", "a b\n\ncccc d\n", 1},
		{"a\tb\nplain\ncccc\td\n", "a b\nplain\ncccc d\n", 1},
		// So does a line with fewer cells, for the columns that it lacks.
		{"a\tb\tc\naa\tx\naaa\tbbbb\tc\n", "a   b c\naa  x\naaa bbbb c\n", 1},
		{"\tFROM\tTO\nName:\t1\t2\n", "       FROM  TO\nName:  1     2\n", 2},
		{"\303\244\tb\ncc\td\n", "\303\244  b\ncc d\n", 1},
		{"no end\tb", "no end b", 1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buf struct buf out = BUF_INIT(1000);

		tab_align(&out, str_of(rows[i].text), rows[i].padding);
		CHECK_STR(out.p, rows[i].want);
	}
}

TEST(text_that_would_become_blanks_is_not_aligned)
{
	auto_buf struct buf text = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);

	for (int i = 0; i < 100000; i++)
		buf_putc(&text, 'x');
	for (int i = 0; i < 1000; i++)
		buf_puts(&text, "\t\na");
	tab_align(&out, buf_str(&text), 2);
	CHECK_INT((long long)out.n, 100000 + 1000 * 4);
}

int main(void)
{
	return tap_main();
}
