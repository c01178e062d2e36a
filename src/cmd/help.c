// SPDX-License-Identifier: Apache-2.0
// Help texts.
#include "cmd/help.h"

#include "cmd/options.h"
#include "util/mem.h"

#include <stdlib.h>
#include <string.h>

enum { HELP_WIDTH = 100, HELP_COLUMN_MAX = 34 };

// Breaks TEXT into lines that end before column HELP_WIDTH; the cursor stands at column AT, and
// further lines start at column INDENT.
static void wrap(struct buf *ret, const char *text, size_t at, size_t indent)
{
	struct str rest = str_of(text);
	bool first = true;

	while (rest.p) {
		struct str word = str_cut(&rest, ' ');

		if (!first && at + 1 + word.n > HELP_WIDTH) {
			buf_printf(ret, "\n%*s", (int)indent, "");
			at = indent;
		} else if (!first) {
			buf_putc(ret, ' ');
			at++;
		}
		buf_put(ret, word.p, word.n);
		at += word.n;
		first = false;
	}
	buf_putc(ret, '\n');
}

static void paragraphs(struct buf *ret, const char *text)
{
	struct str rest = str_of(text);

	while (rest.p) {
		struct str line = str_cut(&rest, '\n');
		auto_free char *copy = xstrndup(line.p, line.n);

		wrap(ret, copy, 0, 0);
	}
}

static const char *value_word(const struct flag *f)
{
	static const char *const words[] = {
		[FLAG_INT] = "N", [FLAG_STRING] = "TEXT", [FLAG_LIST] = "LIST"};

	return f->value ? f->value : words[f->type];
}

// What stands in the options when the flag is not written, where help does not say it in words.
static void default_text(struct buf *ret, const struct flag *f, const void *base)
{
	const void *member = (const char *)base + f->offset;

	if (strstr(f->help, "default"))
		return;
	if (f->type == FLAG_INT && *(const int *)member != 0)
		buf_printf(ret, " (default %d)", *(const int *)member);
	if (f->type == FLAG_STRING && *(const char *const *)member)
		buf_printf(ret, " (default \"%s\")", *(const char *const *)member);
	if (f->type == FLAG_BOOL && *(const bool *)member)
		buf_puts(ret, " (default true)");
}

static void flag_line(struct buf *ret, const struct flag *f, const void *base, size_t column)
{
	auto_buf struct buf head = BUF_INIT(BUF_TEXT_MAX), text = BUF_INIT(BUF_TEXT_MAX);

	if (f->letter)
		buf_printf(&head, "  -%c, --%s", f->letter, f->name);
	else
		buf_printf(&head, "      --%s", f->name);
	if (f->type != FLAG_BOOL)
		buf_printf(&head, " %s", value_word(f));
	buf_puts(&text, f->help);
	default_text(&text, f, base);
	buf_puts(ret, head.p);
	size_t at = head.n;

	if (at + 2 > column) {
		buf_putc(ret, '\n');
		at = 0;
	}
	buf_printf(ret, "%*s", (int)(column - at), "");
	wrap(ret, text.p, column, column);
}

struct flag_row {
	const struct flag *flag;
	const void *base;
};

static int row_compare(const void *a, const void *b)
{
	return strcmp(((const struct flag_row *)a)->flag->name,
		      ((const struct flag_row *)b)->flag->name);
}

static void rows_add(struct flag_row **rows, size_t *n, size_t *cap, const struct flag *flags,
		     const void *base)
{
	for (const struct flag *f = flags; f->type != FLAG_END; f++) {
		if (f->bits & FLAG_HIDDEN)
			continue;
		vec_reserve(*rows, *n, *cap);
		(*rows)[(*n)++] = (struct flag_row){f, base};
	}
}

static void flags_section(struct buf *ret, const struct cmd *cmd)
{
	static const struct flag help_flag = {FLAG_BOOL, 'h', "help", 0, NULL, "this text", 0, 0};
	static const bool no = false;
	static const struct global_options globals;
	auto_free void *options = xcalloc(1, cmd->options_size + 1);
	auto_free struct flag_row *rows = NULL;
	size_t n = 0, cap = 0, column = 0;

	if (cmd->defaults)
		cmd->defaults(options);
	for (const struct flag_group *g = cmd->groups; g && g->flags; g++)
		rows_add(&rows, &n, &cap, g->flags, (char *)options + g->base);
	rows_add(&rows, &n, &cap, global_flags, &globals);
	vec_reserve(rows, n, cap);
	rows[n++] = (struct flag_row){&help_flag, &no};
	qsort(rows, n, sizeof(*rows), row_compare);
	for (size_t i = 0; i < n; i++) {
		const struct flag *f = rows[i].flag;
		size_t width = 8 + strlen(f->name) + 2 +
			       (f->type == FLAG_BOOL ? 0 : 1 + strlen(value_word(f)));

		if (width > column && width <= HELP_COLUMN_MAX)
			column = width;
	}
	buf_puts(ret, "\nFlags:\n");
	for (size_t i = 0; i < n; i++)
		flag_line(ret, rows[i].flag, rows[i].base, column);
}

static void examples_section(struct buf *ret, const char *examples, const char *path)
{
	struct str rest = str_of(examples);

	buf_puts(ret, "\nExamples:\n");
	while (rest.p) {
		struct str line = str_cut(&rest, '\n');

		if (line.n == 0)
			buf_putc(ret, '\n');
		else if (*line.p == '#')
			buf_printf(ret, "  %.*s\n", STR_FMT(line));
		else
			buf_printf(ret, "  %s %.*s\n", path, STR_FMT(line));
	}
}

static void commands_section(struct buf *ret, const struct cmd *cmd)
{
	buf_puts(ret, "\nCommands:\n");
	for (const struct cmd *const *sub = cmd->subs; *sub; sub++)
		buf_printf(ret, "  %-10s %s\n", (*sub)->name, (*sub)->summary);
}

void help_print(struct buf *ret, const struct cmd *cmd, const char *path)
{
	wrap(ret, cmd->summary, 0, 0);
	if (cmd->details) {
		buf_putc(ret, '\n');
		paragraphs(ret, cmd->details);
	}
	buf_puts(ret, "\nUsage:\n");
	if (cmd->subs)
		buf_printf(ret, "  %s COMMAND [flags]\n", path);
	else
		buf_printf(ret, "  %s %s%s[flags]\n", path, cmd->synopsis,
			   *cmd->synopsis ? " " : "");
	if (cmd->examples)
		examples_section(ret, cmd->examples, path);
	if (cmd->subs) {
		commands_section(ret, cmd);
		buf_printf(ret, "\nSee '%s COMMAND --help' for one of them.\n", path);
	} else {
		flags_section(ret, cmd);
		buf_puts(ret, "\n");
		wrap(ret,
		     "ferry talks to no cluster: Kubernetes connection flags (--kubeconfig, --context, --server, ...) are accepted and ignored.",
		     0, 0);
	}
}
