// SPDX-License-Identifier: Apache-2.0
// How a mirror run is reported.
#include "cmd/outcome.h"

#include "data/gofmt.h"

enum { US_PER_S = 1000 * 1000, NS_PER_US = 1000, TEN_MS_US = 10 * 1000 };

void outcome_dry_run(struct setup *s, const struct plan_view *plan, bool failed,
		     uint64_t elapsed_us)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	plan_view_print(&text, plan);
	outcome_plan(s, buf_str(&text), failed, elapsed_us);
}

void outcome_plan(struct setup *s, struct str text, bool failed, uint64_t elapsed_us)
{
	int64_t ns = gofmt_round((int64_t)elapsed_us * NS_PER_US, (int64_t)TEN_MS_US * NS_PER_US);

	progress_text(s->progress, text);
	if (failed)
		return;
	progress_line(s->progress, "info: Planning completed in %s", gofmt_duration(ns).s);
	progress_line(s->progress, "info: Dry run complete");
}

// Each was told when it was found; together they are found again.
static void print_list(struct setup *s, const char *title, const struct strlist *list)
{
	if (list->n == 0)
		return;
	progress_line(s->progress, "warning: %s (%zu):", title, list->n);
	for (size_t i = 0; i < list->n; i++)
		progress_line(s->progress, "  %s", list->v[i]);
}

void outcome_lines(struct setup *s, const struct mirror_result *r)
{
	progress_settle(s->progress); // both may go to one terminal
	for (size_t i = 0; i < r->lines.n; i++)
		fprintf(s->io->out, "%s\n", r->lines.v[i]);
	fflush(s->io->out);
}

void outcome_time(struct setup *s, const struct mirror_result *r, uint64_t elapsed_us)
{
	double seconds = (double)elapsed_us / US_PER_S;
	uint64_t shown = elapsed_us - elapsed_us % TEN_MS_US; // the reference truncates here
	double rate = seconds > 0 ? (double)r->stats.bytes_moved / seconds : 0;

	progress_line(s->progress, "info: Mirroring %s %s (%s/s)",
		      cancelled(s->io->cancel) ? "stopped after" : "completed in",
		      gofmt_duration((int64_t)shown * NS_PER_US).s, gofmt_decimal(rate).s);
}

void outcome_print(struct setup *s, const struct mirror_result *r, const struct err *failure,
		   uint64_t elapsed_us)
{
	outcome_lines(s, r);
	if (r->missing.n > 1)
		print_list(s, "missing at the source", &r->missing);
	if (failure && r->lines.n == 0 && r->stats.bytes_moved == 0)
		return; // nothing was begun
	if (failure && failure->kind == ERR_INCOMPLETE)
		print_list(s, "not mirrored", &r->undone);
	outcome_time(s, r, elapsed_us);
}
