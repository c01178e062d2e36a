// SPDX-License-Identifier: Apache-2.0
// Cancellation flag with wake-up calls.
#include "util/cancel.h"

#include <stddef.h>

bool cancelled(const struct cancel *c)
{
	return c && atomic_load_explicit(&c->set, memory_order_relaxed);
}

void cancel_fire(struct cancel *c)
{
	pthread_mutex_lock(&c->lock);
	if (!atomic_exchange(&c->set, true))
		for (struct cancel_watch *w = c->watches; w; w = w->next)
			w->wake(w->arg);
	pthread_mutex_unlock(&c->lock);
}

void cancel_watch(struct cancel *c, struct cancel_watch *w)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	w->next = c->watches;
	c->watches = w;
	if (cancelled(c))
		w->wake(w->arg);
	pthread_mutex_unlock(&c->lock);
}

void cancel_unwatch(struct cancel *c, struct cancel_watch *w)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	for (struct cancel_watch **at = &c->watches; *at; at = &(*at)->next) {
		if (*at == w) {
			*at = w->next;
			break;
		}
	}
	pthread_mutex_unlock(&c->lock);
}

int err_cancelled(struct err *e)
{
	return err_set(e, ERR_CANCELLED, "interrupted");
}
