// SPDX-License-Identifier: Apache-2.0
// Columns as Go's text/tabwriter aligns them.
#include "data/tabwriter.h"

#include "util/cleanup.h"
#include "util/mem.h"

#include <string.h>

// The cells of a line are cells[first] and the N behind it; the last one is not ended by a tab.
struct line {
	size_t first, n;
};

struct table {
	struct str *cells;
	size_t *widths; // of the cells, in code points; then of the column each belongs to
	size_t ncells;
	struct line *lines;
	size_t nlines;
	unsigned padding;
};

static size_t count(struct str s, char c)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == c;
	return n;
}

static size_t width_of(struct str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	return n;
}

static void split_line(struct table *t, struct str text)
{
	struct line *line = &t->lines[t->nlines++];

	*line = (struct line){.first = t->ncells};
	while (text.p) {
		struct str cell = str_cut(&text, '\t');

		t->widths[t->ncells] = width_of(cell);
		t->cells[t->ncells++] = cell;
		line->n++;
	}
}

// Every cell becomes as wide as the widest of the run of lines, from line AT on, that have one in
// COLUMN.
static size_t widen_run(struct table *t, size_t at, size_t column)
{
	size_t end = at, width = 0;

	for (; end < t->nlines && t->lines[end].n > column + 1; end++) {
		size_t own = t->widths[t->lines[end].first + column] + t->padding;

		width = own > width ? own : width;
	}
	for (size_t i = at; i < end; i++)
		t->widths[t->lines[i].first + column] = width;
	return end;
}

static void widen(struct table *t)
{
	size_t columns = 0;

	for (size_t i = 0; i < t->nlines; i++)
		columns = t->lines[i].n > columns ? t->lines[i].n : columns;
	for (size_t column = 0; column + 1 < columns; column++)
		for (size_t i = 0; i < t->nlines;) {
			size_t end = widen_run(t, i, column);

			i = end > i ? end : i + 1;
		}
}

// Blanks that the columns cost.
static size_t padding_of(const struct table *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->nlines && n <= TAB_PADDING_MAX; i++)
		for (size_t k = 0; k + 1 < t->lines[i].n; k++) {
			size_t at = t->lines[i].first + k;

			n += t->widths[at] - width_of(t->cells[at]);
		}
	return n;
}

// One cell behind the other.
static void narrow(struct table *t)
{
	for (size_t i = 0; i < t->ncells; i++)
		t->widths[i] = width_of(t->cells[i]) + t->padding;
}

static void put_line(struct buf *out, const struct table *t, const struct line *line)
{
	for (size_t i = 0; i < line->n; i++) {
		struct str cell = t->cells[line->first + i];

		buf_put(out, cell.p, cell.n);
		if (i + 1 == line->n)
			break;
		for (size_t n = width_of(cell); n < t->widths[line->first + i]; n++)
			buf_putc(out, ' ');
	}
}

void tab_align(struct buf *out, struct str text, unsigned padding)
{
	size_t nlines = count(text, '\n') + 1, ncells = nlines + count(text, '\t');
	auto_free struct str *cells = xcalloc(ncells, sizeof(*cells));
	auto_free size_t *widths = xcalloc(ncells, sizeof(*widths));
	auto_free struct line *lines = xcalloc(nlines, sizeof(*lines));
	struct table t = {.cells = cells, .widths = widths, .lines = lines, .padding = padding};

	if (!text.p)
		text.p = "";
	while (text.p)
		split_line(&t, str_cut(&text, '\n'));
	widen(&t);
	if (padding_of(&t) > TAB_PADDING_MAX)
		narrow(&t);
	for (size_t i = 0; i < t.nlines; i++) {
		put_line(out, &t, &t.lines[i]);
		if (i + 1 < t.nlines)
			buf_putc(out, '\n');
	}
}
