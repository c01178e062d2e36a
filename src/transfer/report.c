// SPDX-License-Identifier: Apache-2.0
// Events and failures on their way to the sink.
#include "transfer/engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

// So many failures are remembered in order to tell equal ones once.
enum { TOLD_MAX = 4096 };

void emit(struct transfer *t, const struct transfer_event *ev)
{
	if (!t->cfg.sink)
		return;
	pthread_mutex_lock(&t->sink_lock);
	t->cfg.sink->event(t->cfg.sink, ev);
	pthread_mutex_unlock(&t->sink_lock);
}

static bool first_time(struct transfer *t, const char *key)
{
	bool is_new = true;

	pthread_mutex_lock(&t->sink_lock);
	if (t->told.n < TOLD_MAX)
		map_put(&t->told, str_of(key), &is_new);
	else
		is_new = map_find(&t->told, str_of(key)) == NULL;
	pthread_mutex_unlock(&t->sink_lock);
	return is_new;
}

void report_failure(struct transfer *t, bool planning, const struct err *why,
		    const struct transfer_event *template, const char *key)
{
	struct transfer_event ev = template ? *template : (struct transfer_event){0};

	pthread_mutex_lock(&t->lock);
	bool aftermath = why->kind == ERR_CANCELLED &&
			 (cancelled(t->cfg.cancel) || t->stopped || t->closing);

	if (!aftermath) {
		t->stats.failed++;
		if (planning && t->planning_failures++ == 0)
			t->planning_kind = why->kind;
		if (!planning)
			t->copy_failures++;
		if (!t->cfg.continue_on_error)
			stop_copying(t);
	}
	pthread_mutex_unlock(&t->lock);
	if (aftermath || !first_time(t, key ? key : why->text))
		return;
	ev.type = TRANSFER_FAILED;
	ev.error = why;
	emit(t, &ev);
}

void transfer_failed(struct transfer *t, const struct err *why)
{
	report_failure(t, true, why, NULL, NULL);
}

__attribute__((format(printf, 3, 0))) static void
say(struct transfer *t, enum transfer_event_type type, const char *fmt, va_list ap)
{
	auto_free char *text = xvasprintf(fmt, ap);

	emit(t, &(struct transfer_event){.type = type, .text = text});
}

void transfer_missing(struct transfer *t, const char *fmt, ...)
{
	va_list ap;

	pthread_mutex_lock(&t->lock);
	t->stats.missing++;
	pthread_mutex_unlock(&t->lock);
	va_start(ap, fmt);
	say(t, TRANSFER_MISSING, fmt, ap);
	va_end(ap);
}

void transfer_notice(struct transfer *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(t, TRANSFER_NOTICE, fmt, ap);
	va_end(ap);
}
