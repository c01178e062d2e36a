// SPDX-License-Identifier: Apache-2.0
// Columns as Go's text/tabwriter aligns them, left-aligned with blanks.
//
// A cell is what a tab ends; what follows the last tab of a line belongs to no column. A column is
// a run of lines that have a cell there, and as wide as its widest cell plus PADDING. Widths are
// counted in code points. Text that would take more than TAB_PADDING_MAX blanks is not aligned:
// whoever wrote it must not decide how much memory that takes.
#ifndef DATA_TABWRITER_H
#define DATA_TABWRITER_H

#include "util/str.h"

#define TAB_PADDING_MAX ((size_t)4 << 20)

// Appends TEXT, whole lines with tabs in them, to OUT. An aligned text may stand in a further one:
// without tabs, it only ends the columns above it.
void tab_align(struct buf *out, struct str text, unsigned padding);

#endif
