// SPDX-License-Identifier: Apache-2.0
// Policies put together.
#include "policy/merge.h"

#include "util/cleanup.h"
#include "util/map.h"
#include "util/mem.h"

#include <string.h>

static struct policy_source *append(struct policy *p, const char *source, bool tags)
{
	p->v = xreallocarray(p->v, p->n + 1, sizeof(*p->v));
	p->v[p->n] = (struct policy_source){.source = xstrdup(source), .tags = tags};
	return &p->v[p->n++];
}

void policy_add(struct policy *p, const char *source, const char *mirror, bool tags)
{
	strlist_add(&append(p, source, tags)->mirrors, mirror);
}

static int compare_what(const struct policy_source *x, const struct policy_source *y)
{
	int by_name = strcmp(x->source, y->source);

	return by_name ? by_name : x->tags - y->tags;
}

static int compare_sources(const void *a, const void *b)
{
	const struct policy_source *x = *(const struct policy_source *const *)a;
	const struct policy_source *y = *(const struct policy_source *const *)b;
	int what = compare_what(x, y);

	return what ? what : (x > y) - (x < y); // equal ones stay in their order
}

static void gather(struct policy_source *to, const struct policy_source *const *from, size_t n)
{
	auto_map struct map seen = {0};
	bool new;

	for (size_t i = 0; i < n; i++) {
		if (to->contact == POLICY_CONTACT_UNSAID)
			to->contact = from[i]->contact;
		for (size_t k = 0; k < from[i]->mirrors.n; k++) {
			map_put(&seen, str_of(from[i]->mirrors.v[k]), &new);
			if (new)
				strlist_add(&to->mirrors, from[i]->mirrors.v[k]);
		}
	}
}

void policy_merge(struct policy *ret, const struct policy *p)
{
	auto_free const struct policy_source **all = xcalloc(p->n + 1, sizeof(*all));
	struct policy merged = {0};

	for (size_t i = 0; i < p->n; i++)
		all[i] = &p->v[i];
	qsort(all, p->n, sizeof(struct policy_source *), compare_sources);
	for (size_t i = 0, next; i < p->n; i = next) {
		for (next = i + 1; next < p->n; next++)
			if (compare_what(all[i], all[next]) != 0)
				break;
		gather(append(&merged, all[i]->source, all[i]->tags), all + i, next - i);
	}
	*ret = merged;
}
