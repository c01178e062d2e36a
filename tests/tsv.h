// SPDX-License-Identifier: Apache-2.0
// Tables of test vectors: tab-separated, one header line, every line the same number of columns.
#ifndef TESTS_TSV_H
#define TESTS_TSV_H

#include "util/cleanup.h"
#include "util/fs.h"
#include "util/str.h"

#include <stdio.h>

enum { TSV_COLUMNS = 8 };

// Calls ROW for every line but the first; missing columns are "". Returns the number of lines, 0
// when the file cannot be read: CHECK that there were some.
static inline int tsv_each(const char *path, void (*row)(const char *const *column))
{
	auto_buf struct buf file = BUF_INIT((size_t)1 << 20);
	struct err e;
	int n = 0;

	if (fs_read_file(&file, path, &e) < 0) {
		printf("# %s\n", e.text);
		return 0;
	}
	struct str rest = buf_str(&file);

	str_cut(&rest, '\n');
	while (rest.n > 0) {
		struct str line = str_cut(&rest, '\n');
		char *text[TSV_COLUMNS];

		for (int i = 0; i < TSV_COLUMNS; i++) {
			struct buf cell = BUF_INIT((size_t)1 << 20);

			if (line.p) {
				struct str s = str_cut(&line, '\t');

				buf_put(&cell, s.p, s.n);
			}
			text[i] = buf_take(&cell);
		}
		row((const char *const *)text);
		for (int i = 0; i < TSV_COLUMNS; i++)
			free(text[i]);
		n++;
	}
	return n;
}

#endif
