// SPDX-License-Identifier: Apache-2.0
// The plan of a dry run. Blobs and manifests come in the order in which they are printed; they are
// only sorted into destination repositories, and below those into source repositories.
#include "cmd/plan_view.h"

#include "data/gofmt.h"
#include "util/map.h"
#include "util/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct plan_blob {
	char *digest;
	uint64_t size;
};

// Blobs of one source repository for one destination repository.
struct plan_source {
	const struct place *place;
	char *name;
	struct plan_blob *blobs;
	size_t n, cap;
};

struct plan_repo {
	const struct place *place; // to be compared, not asked: it may be gone
	bool is_store;
	char *place_name, *name;
	struct plan_source *sources;
	size_t nsources, sources_cap;
	struct strlist manifests;
};

struct plan_view {
	struct plan_repo *repos;
	size_t n, cap;
};

struct plan_view *plan_view_new(void)
{
	return xcalloc(1, sizeof(struct plan_view));
}

static void source_release(struct plan_source *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->blobs[i].digest);
	free(s->blobs);
	free(s->name);
}

void plan_view_free(struct plan_view *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n; i++) {
		struct plan_repo *r = &p->repos[i];

		for (size_t j = 0; j < r->nsources; j++)
			source_release(&r->sources[j]);
		free(r->sources);
		free(r->place_name);
		free(r->name);
		strlist_release(&r->manifests);
	}
	free(p->repos);
	free(p);
}

static void on_repository(void *arg, struct repo *dst)
{
	struct plan_view *p = arg;
	bool is_store = dst->place->kind == PLACE_STORE;

	vec_reserve(p->repos, p->n, p->cap);
	p->repos[p->n++] = (struct plan_repo){
		.place = dst->place,
		.is_store = is_store,
		.place_name = xstrdup(is_store ? "" : dst->place->name),
		.name = xstrdup(dst->name),
	};
}

static struct plan_source *source_of(struct plan_repo *r, struct repo *src)
{
	auto_free char *name = repo_print(src);

	for (size_t i = 0; i < r->nsources; i++)
		if (strcmp(r->sources[i].name, name) == 0)
			return &r->sources[i];
	vec_reserve(r->sources, r->nsources, r->sources_cap);
	struct plan_source *s = &r->sources[r->nsources++];

	*s = (struct plan_source){.place = src->place, .name = steal(&name)};
	return s;
}

static void on_blob(void *arg, struct repo *src, const struct digest *d, uint64_t size, bool shared)
{
	struct plan_view *p = arg;
	struct plan_source *s = source_of(&p->repos[p->n - 1], src);

	(void)shared; // counted here, over all repositories of a registry
	vec_reserve(s->blobs, s->n, s->cap);
	s->blobs[s->n++] = (struct plan_blob){xstrdup(d->text), size};
}

static void on_manifest(void *arg, const struct digest *d, const char *tag)
{
	struct plan_view *p = arg;
	struct strlist *to = &p->repos[p->n - 1].manifests;

	if (tag)
		strlist_addf(to, "%s -> %s", d->text, tag);
	else
		strlist_add(to, d->text);
}

struct transfer_plan_visitor plan_view_visitor(struct plan_view *p)
{
	return (struct transfer_plan_visitor){on_repository, on_blob, on_manifest, p, NULL};
}

struct totals {
	uint64_t shared, unique;             // blobs
	uint64_t shared_bytes, unique_bytes; // each counted once
};

// How often each blob occurs below the repositories [FROM, TO) of one registry.
static void count_blobs(struct map *seen, const struct plan_view *p, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		for (size_t j = 0; j < p->repos[i].nsources; j++)
			for (size_t k = 0; k < p->repos[i].sources[j].n; k++)
				map_put(seen, str_of(p->repos[i].sources[j].blobs[k].digest), NULL)
					->num++;
}

static uint64_t times(const struct map *seen, const struct plan_blob *b)
{
	return map_find(seen, str_of(b->digest))->num;
}

static void add_totals(struct totals *t, struct map *counted, const struct map *seen,
		       const struct plan_source *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct plan_blob *b = &s->blobs[i];
		bool fresh, is_shared = times(seen, b) > 1;

		map_put(counted, str_of(b->digest), &fresh);
		if (!fresh)
			continue;
		t->shared += is_shared;
		t->unique += !is_shared;
		t->shared_bytes += is_shared ? b->size : 0;
		t->unique_bytes += is_shared ? 0 : b->size;
	}
}

static int source_compare(const void *a, const void *b)
{
	return strcmp(((const struct plan_source *)a)->name, ((const struct plan_source *)b)->name);
}

static void print_repo(struct buf *ret, const struct plan_repo *r)
{
	buf_printf(ret, "  %s\n", r->name);
	if (r->nsources > 1)
		qsort(r->sources, r->nsources, sizeof(*r->sources), source_compare);
	for (size_t i = 0; i < r->nsources; i++) {
		const struct plan_source *s = &r->sources[i];

		buf_puts(ret, "    blobs:\n");
		for (size_t j = 0; j < s->n; j++) {
			buf_printf(ret, "      %s %s", s->name, s->blobs[j].digest);
			if (s->blobs[j].size > 0)
				buf_printf(ret, " %s", gofmt_binary(s->blobs[j].size).s);
			buf_putc(ret, '\n');
		}
	}
	buf_puts(ret, "    manifests:\n");
	for (size_t i = 0; i < r->manifests.n; i++)
		buf_printf(ret, "      %s\n", r->manifests.v[i]);
}

static void print_stats(struct buf *ret, const struct totals *t)
{
	uint64_t bytes = t->shared_bytes + t->unique_bytes;

	buf_printf(ret, "  stats: shared=%" PRIu64 " unique=%" PRIu64 " size=%s", t->shared,
		   t->unique, gofmt_binary(bytes).s);
	if (bytes > 0)
		buf_printf(ret, " ratio=%.2f", (double)t->unique_bytes / (double)bytes);
	buf_putc(ret, '\n');
}

// What the line of a repository below "phase 0:" counts.
struct phase_row {
	char cells[4][32];
};

static void phase_row(struct phase_row *row, struct map *placed, const struct map *seen,
		      const struct plan_repo *r)
{
	uint64_t blobs = 0, mounts = 0, shared = 0;

	for (size_t i = 0; i < r->nsources; i++) {
		for (size_t j = 0; j < r->sources[i].n; j++) {
			const struct plan_blob *b = &r->sources[i].blobs[j];
			bool fresh;

			map_put(placed, str_of(b->digest), &fresh);
			bool mount = !fresh || r->sources[i].place == r->place;

			mounts += mount;
			blobs += !mount;
			shared += times(seen, b) > 1;
		}
	}
	snprintf(row->cells[0], sizeof(row->cells[0]), "blobs=%" PRIu64, blobs);
	snprintf(row->cells[1], sizeof(row->cells[1]), "mounts=%" PRIu64, mounts);
	snprintf(row->cells[2], sizeof(row->cells[2]), "manifests=%zu", r->manifests.n);
	snprintf(row->cells[3], sizeof(row->cells[3]), "shared=%" PRIu64, shared);
}

static int widest(int width, const char *text)
{
	return (int)strlen(text) > width ? (int)strlen(text) : width;
}

static void print_phase(struct buf *ret, const struct plan_view *p, const struct phase_row *rows)
{
	int place = 0, name = 0, cell[4] = {0};

	for (size_t i = 0; i < p->n; i++) {
		place = widest(place, p->repos[i].place_name);
		name = widest(name, p->repos[i].name);
		for (size_t j = 0; j < 4; j++)
			cell[j] = widest(cell[j], rows[i].cells[j]);
	}
	buf_puts(ret, "\nphase 0:\n");
	for (size_t i = 0; i < p->n; i++)
		buf_printf(ret, "  %-*s %-*s %-*s %-*s %-*s %s\n", place, p->repos[i].place_name,
			   name, p->repos[i].name, cell[0], rows[i].cells[0], cell[1],
			   rows[i].cells[1], cell[2], rows[i].cells[2], rows[i].cells[3]);
}

// The repositories of one registry, [FROM, TO).
static void print_place(struct buf *ret, const struct plan_view *p, size_t from, size_t to,
			struct totals *all, struct phase_row *rows)
{
	auto_map struct map seen = {0}, counted = {0}, placed = {0};
	struct totals t = {0};
	bool is_store = p->repos[from].is_store;

	buf_printf(ret, "%s%s\n", is_store ? "<dir>" : p->repos[from].place_name,
		   is_store ? "" : "/");
	count_blobs(&seen, p, from, to);
	for (size_t i = from; i < to; i++) {
		print_repo(ret, &p->repos[i]);
		for (size_t j = 0; j < p->repos[i].nsources; j++)
			add_totals(&t, &counted, &seen, &p->repos[i].sources[j]);
		phase_row(&rows[i], &placed, &seen, &p->repos[i]);
	}
	print_stats(ret, &t);
	all->shared += t.shared;
	all->unique += t.unique;
	all->shared_bytes += t.shared_bytes;
	all->unique_bytes += t.unique_bytes;
}

void plan_view_print(struct buf *ret, const struct plan_view *p)
{
	auto_free struct phase_row *rows = xcalloc(p->n + 1, sizeof(*rows));
	struct totals all = {0};

	if (p->n == 0)
		return;
	for (size_t from = 0, to; from < p->n; from = to) {
		for (to = from + 1; to < p->n && p->repos[to].place == p->repos[from].place; to++)
			;
		print_place(ret, p, from, to, &all, rows);
	}
	print_phase(ret, p, rows);
	buf_printf(ret, "\ninfo: %" PRIu64 " blobs: %s unique, %s shared, %s in all\n",
		   (all.unique + all.shared), gofmt_binary(all.unique_bytes).s,
		   gofmt_binary(all.shared_bytes).s,
		   gofmt_binary(all.unique_bytes + all.shared_bytes).s);
}
