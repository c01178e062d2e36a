// SPDX-License-Identifier: Apache-2.0
// mirror_run: expand, plan, copy, sync, and what can be said about it afterwards.
#include <assert.h>
#include <string.h>

#include "data/gofmt.h"
#include "mirror/attached.h"
#include "mirror/expand.h"
#include "mirror/planner.h"

// Stands between the engine and the caller's sink, and keeps the result lines.
struct result_sink {
	struct transfer_sink base;
	struct transfer_sink *next;
	struct mirror_result *to;
	const struct planner *plan;
	bool dry_run;
};

static void add_line(struct result_sink *s, const struct transfer_event *ev)
{
	struct map_entry *known =
		map_find(&s->plan->dst_of, (struct str){(const char *)&ev->dst, sizeof(ev->dst)});

	if (!known || s->dry_run)
		return;
	const struct plan_destination *d = known->ptr;

	strlist_addf(&s->to->lines, "%s %s%s%s", ev->digest->text, d->printed, ev->tag ? ":" : "",
		     ev->tag ? ev->tag : "");
}

static void on_event(struct transfer_sink *base, const struct transfer_event *ev)
{
	struct result_sink *s = (struct result_sink *)base;

	if (ev->type == TRANSFER_IMAGE_DONE || ev->type == TRANSFER_IMAGE_PRESENT)
		add_line(s, ev);
	else if (ev->type == TRANSFER_MISSING)
		strlist_add(&s->to->missing, ev->text);
	if (s->next)
		s->next->event(s->next, ev);
}

void mirror_result_release(struct mirror_result *r)
{
	for (size_t i = 0; i < r->nitems; i++)
		free(r->items[i].why);
	free(r->items);
	strlist_release(&r->lines);
	strlist_release(&r->missing);
	strlist_release(&r->undone);
	for (size_t i = 0; i < r->norigins; i++) {
		free(r->origins[i].origin);
		free(r->origins[i].mirror);
	}
	free(r->origins);
	*r = (struct mirror_result){0};
}

static int compare_origins(const void *a, const void *b)
{
	const struct mirror_origin *x = a, *y = b;
	int c = strcmp(x->origin, y->origin);

	return c ? c : strcmp(x->mirror, y->mirror);
}

// Images of a repository follow each other.
static void add_origin(struct mirror_result *r, const char *origin, const char *mirror)
{
	const struct mirror_origin *last = r->norigins > 0 ? &r->origins[r->norigins - 1] : NULL;

	if (last && strcmp(last->origin, origin) == 0 && strcmp(last->mirror, mirror) == 0)
		return;
	vec_reserve(r->origins, r->norigins, r->origins_cap);
	assert(r->origins);
	r->origins[r->norigins++] = (struct mirror_origin){xstrdup(origin), xstrdup(mirror)};
}

// Sorted, each once.
static void settle_origins(struct mirror_result *r)
{
	size_t n = 0;

	if (r->norigins > 1)
		qsort(r->origins, r->norigins, sizeof(*r->origins), compare_origins);
	for (size_t i = 0; i < r->norigins; i++) {
		struct mirror_origin *at = &r->origins[i];

		if (n > 0 && compare_origins(at, &r->origins[n - 1]) == 0) {
			free(at->origin);
			free(at->mirror);
		} else {
			r->origins[n++] = *at;
		}
	}
	r->norigins = n;
}

static void add_list(struct strlist *to, struct strlist *from)
{
	for (size_t i = 0; i < from->n; i++)
		strlist_take(to, steal(&from->v[i]));
	from->n = 0;
	strlist_sort(to);
	strlist_unique(to);
}

static void add_stats(struct transfer_stats *to, const struct transfer_stats *from)
{
	to->images += from->images;
	to->images_done += from->images_done;
	to->blobs += from->blobs;
	to->blobs_done += from->blobs_done;
	to->blobs_shared += from->blobs_shared;
	to->bytes += from->bytes;
	to->bytes_done += from->bytes_done;
	to->bytes_shared += from->bytes_shared;
	to->bytes_moved += from->bytes_moved;
	to->mounted += from->mounted;
	to->present += from->present;
	to->failed += from->failed;
	to->missing += from->missing;
}

void mirror_result_add(struct mirror_result *to, struct mirror_result *from)
{
	to->items = xreallocarray(to->items, to->nitems + from->nitems + 1, sizeof(*to->items));
	for (size_t i = 0; i < from->nitems; i++)
		to->items[to->nitems++] = from->items[i];
	from->nitems = 0; // what they own has moved
	add_list(&to->lines, &from->lines);
	add_list(&to->missing, &from->missing);
	add_list(&to->undone, &from->undone);
	add_stats(&to->stats, &from->stats);
	for (size_t i = 0; i < from->norigins; i++)
		add_origin(to, from->origins[i].origin, from->origins[i].mirror);
	settle_origins(to);
	mirror_result_release(from);
}

// --- free space ---

// What a store still has to take in.
struct need {
	struct place *place;
	uint64_t bytes;
};

struct survey {
	struct repo *dst; // the one whose blobs are being visited
	struct need *needs;
	size_t n, cap;
	struct map counted;     // place and digest
	bool leave_out_present; // ask the store, which hashes what it has
};

static struct need *need_of(struct survey *s, struct place *place)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->needs[i].place == place)
			return &s->needs[i];
	vec_reserve(s->needs, s->n, s->cap);
	s->needs[s->n] = (struct need){.place = place};
	return &s->needs[s->n++];
}

static void survey_repository(void *arg, struct repo *dst)
{
	struct survey *s = arg;

	s->dst = dst;
}

static void survey_blob(void *arg, struct repo *src, const struct digest *d, uint64_t size,
			bool shared)
{
	struct survey *s = arg;
	struct place *place = s->dst->place;
	bool fresh;
	struct err e;

	(void)src;
	(void)shared;
	if (place->kind != PLACE_STORE)
		return;
	auto_free char *key = xasprintf("%p %s", (void *)place, d->text);

	map_put(&s->counted, str_of(key), &fresh);
	if (!fresh)
		return;
	struct descriptor desc = {
		.media_type = "", .digest = *d, .size = size, .artifact_type = ""};

	if (s->leave_out_present && s->dst->ops->blob_stat(s->dst, &desc, &e) == 0)
		return;
	struct need *need = need_of(s, place);

	need->bytes = size > UINT64_MAX - need->bytes ? UINT64_MAX : need->bytes + size;
}

static void survey_manifest(void *arg, const struct digest *d, const char *tag)
{
	(void)arg;
	(void)d;
	(void)tag;
}

static void survey_plan(struct survey *s, struct transfer *t)
{
	const struct transfer_plan_visitor v = {survey_repository, survey_blob, survey_manifest, s,
						NULL};

	s->n = 0;
	transfer_visit_plan(t, &v);
	map_release(&s->counted);
	s->counted = (struct map){0};
}

static int check_need(const struct need *need, struct err *e)
{
	uint64_t available;
	struct err why;

	if (need->place->ops->free_space(need->place, &available, &why) < 0)
		return 0; // nobody knows: the copy will tell
	if (need->bytes <= available)
		return 0;
	struct store *store = place_store(need->place);

	return err_set(e, ERR_IO,
		       "not enough space in '%s': %s are needed, %s are available; free some, or "
		       "choose a folder on a larger disk",
		       store ? store_dir(store) : need->place->name, gofmt_binary(need->bytes).s,
		       gofmt_binary(available).s);
}

static int check_needs(const struct survey *s, struct err *e)
{
	for (size_t i = 0; i < s->n; i++)
		if (check_need(&s->needs[i], e) < 0)
			return -1;
	return 0;
}

// Stores are only asked for what they have, which means reading it, when the whole would not fit.
static int check_space(struct transfer *t, void *arg, struct err *e)
{
	struct survey s = {0};
	struct err why;

	(void)arg;
	survey_plan(&s, t);
	int r = check_needs(&s, &why);

	if (r < 0) {
		s.leave_out_present = true;
		survey_plan(&s, t);
		r = check_needs(&s, e);
	}
	free(s.needs);
	return r;
}

// --- what came of each image ---

// TAG is NULL for an image without one.
static bool has_line(const struct mirror_result *r, const struct plan_target *to, const char *tag)
{
	auto_free char *line = xasprintf("%s %s%s%s", to->digest.text, to->dst->printed,
					 tag ? ":" : "", tag ? tag : "");
	size_t lo = 0, hi = r->lines.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(line, r->lines.v[mid]);

		if (c == 0)
			return true;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return false;
}

static const char *first_tag(const struct plan_target *to)
{
	return to->tags.n > 0 ? to->tags.v[0] : NULL;
}

// Why an image did not get where it should be.
static struct mirror_item failed_item(const struct planner *p, const struct plan_image *im,
				      const struct plan_target *to)
{
	struct mirror_item item = {.outcome = MIRROR_UNTRIED};
	const struct transfer_failure *why =
		to->digest.text[0] ? transfer_why(p->t, to->dst->repo, &to->digest) : NULL;

	if (why) {
		item = (struct mirror_item){MIRROR_FAILED, why->kind, why->http, why->at_source,
					    xstrdup(why->text)};
		// Its list lacks parts on purpose, and was refused for it.
		if (im->sparse && !why->at_source && why->kind != ERR_NET)
			item.outcome = MIRROR_MISSING;
	} else if (to->dst->at->failed || im->why) {
		const struct err *e = to->dst->at->failed ? &to->dst->at->why : im->why;

		item = (struct mirror_item){MIRROR_FAILED, e->kind, e->http, !to->dst->at->failed,
					    xstrdup(e->text)};
	} else if (im->missing) {
		item = (struct mirror_item){
			.outcome = MIRROR_MISSING, .kind = ERR_NOT_FOUND, .at_source = true};
	}
	return item;
}

static void note_item(const struct planner *p, const struct plan_goal *goal,
		      struct mirror_result *r)
{
	const struct plan_image *im = goal->image;
	const struct plan_target *to = &im->targets[goal->target];
	struct mirror_item *at = &r->items[goal->from], item = {.outcome = MIRROR_DONE};

	if (has_line(r, to, goal->tag))
		item.outcome = im->sparse ? MIRROR_PARTLY : MIRROR_DONE;
	else
		item = failed_item(p, im, to);
	if (item.outcome <= at->outcome) {
		free(item.why);
		return;
	}
	free(at->why);
	*at = item;
}

static void note_items(const struct planner *p, struct mirror_result *r)
{
	for (size_t i = 0; i < r->nitems; i++)
		r->items[i].outcome = MIRROR_DONE;
	for (size_t i = 0; i < p->ngoals; i++)
		note_item(p, &p->goals[i], r);
}

static void note_undone(const struct planner *p, struct mirror_result *r)
{
	for (size_t i = 0; i < p->nimages; i++) {
		const struct plan_image *im = p->images[i];

		for (size_t j = 0; j < im->ntargets; j++) {
			const struct plan_target *to = &im->targets[j];

			if (to->tags.n == 0 && !has_line(r, to, NULL))
				strlist_addf(&r->undone, "%s => %s", im->name, to->dst->printed);
			for (size_t k = 0; k < to->tags.n; k++)
				if (!has_line(r, to, to->tags.v[k]))
					strlist_addf(&r->undone, "%s => %s:%s", im->name,
						     to->dst->printed, to->tags.v[k]);
		}
	}
	strlist_sort(&r->undone);
}

// --- origins ---

// Where IM comes from: its registry, or what the store that holds it remembers. NULL: unknown.
static int find_origin(const struct plan_image *im, char **ret, struct err *e)
{
	*ret = NULL;
	if (im->src->place->kind != PLACE_STORE) {
		*ret = xstrdup(im->repository);
		return 0;
	}
	struct store *store = place_store(im->src->place);

	return store ? store_origin_get(store, im->src->name, &im->digest, ret, e) : 0;
}

static int note_target(const struct plan_image *im, const struct plan_target *to,
		       const char *origin, struct mirror_result *r, struct err *e)
{
	struct place *place = to->dst->repo->place;
	struct store *store = place->kind == PLACE_STORE ? place_store(place) : NULL;

	if (!to->planned || !has_line(r, to, first_tag(to)))
		return 0;
	if (store)
		return store_origin_put(store, to->dst->repo->name, &to->digest, origin, e);
	if (im->src->place->kind == PLACE_STORE)
		add_origin(r, origin, to->dst->printed);
	return 0;
}

static int note_origins(const struct planner *p, struct mirror_result *r, struct err *e)
{
	for (size_t i = 0; i < p->nimages; i++) {
		auto_free char *origin = NULL;

		if (find_origin(p->images[i], &origin, e) < 0)
			return -1;
		for (size_t j = 0; origin && j < p->images[i]->ntargets; j++)
			if (note_target(p->images[i], &p->images[i]->targets[j], origin, r, e) < 0)
				return -1;
	}
	settle_origins(r);
	return 0;
}

// --- what is attached ---

static int bring_attached(const struct planner *p, const struct mirror_result *r, struct err *e)
{
	auto_of(attached_free) struct attached *a = attached_new(p);

	for (size_t i = 0; a && i < p->nimages; i++) {
		const struct plan_image *im = p->images[i];

		for (size_t j = 0; j < im->ntargets; j++) {
			const struct plan_target *to = &im->targets[j];

			if (to->planned &&
			    (p->opt->transfer.dry_run || has_line(r, to, first_tag(to))))
				attached_add(a, im, to);
		}
	}
	return a ? attached_run(a, e) : 0;
}

// --- the run ---

static bool writes_to_store(const struct planner *p)
{
	for (size_t i = 0; i < p->place_of.n; i++) {
		const struct plan_place *at = p->place_of.entries[i].ptr;

		if (at->place->kind == PLACE_STORE)
			return true;
	}
	return false;
}

static int prepare(struct planner *plan, const struct mapping_list *m, struct err *e)
{
	auto_mappings struct mappings made = {0};
	size_t next = 0;

	if (mappings_expand(&made, plan->places, m, plan->t, e) < 0)
		return -1;
	for (size_t i = 0; i < m->n; i++) {
		struct mapping one;

		m->lend(m->arg, i, &one);
		if (!mapping_expands(&one) && planner_add(plan, &one, i, e) < 0)
			return -1;
		for (; next < made.n && made.v[next].from == i; next++)
			if (planner_add(plan, &made.v[next], i, e) < 0)
				return -1;
	}
	planner_added(plan);
	return 0;
}

// Everything that was put gets its name, also when the run failed: its lines say it is there.
static int finish(struct planner *plan, struct places *places, bool attach,
		  struct mirror_result *ret, struct err *e)
{
	struct err why;

	strlist_sort(&ret->lines);
	strlist_unique(&ret->lines);
	strlist_sort(&ret->missing);
	strlist_unique(&ret->missing);
	transfer_stats(plan->t, &ret->stats);
	note_items(plan, ret);
	if (plan->opt->transfer.dry_run)
		return attach ? bring_attached(plan, ret, e) : 0;
	note_undone(plan, ret);
	if (note_origins(plan, ret, e) < 0)
		return -1;
	int r = attach ? bring_attached(plan, ret, e) : 0;
	int s = places_sync(places, r < 0 ? &why : e);

	return r < 0 ? r : s;
}

static int run_plan(struct planner *plan, struct places *places, struct mirror_result *ret,
		    struct err *e)
{
	const struct mirror_options *opt = plan->opt;
	bool check = opt->check_space && !opt->transfer.dry_run && writes_to_store(plan);
	struct err why;

	planner_spawn(plan);
	int r = transfer_run(plan->t, check ? check_space : NULL, NULL, e);
	// The first failure is the one to report.
	int f = finish(plan, places, r == 0 || e->kind == ERR_INCOMPLETE, ret, r < 0 ? &why : e);

	return r < 0 ? r : f;
}

int mirror_run(struct places *places, const struct mappings *m, const struct mirror_options *opt,
	       const struct transfer_plan_visitor *visit, struct mirror_result *ret, struct err *e)
{
	struct mapping_list list = mappings_list(m);

	return mirror_run_list(places, &list, opt, visit, ret, e);
}

int mirror_run_list(struct places *places, const struct mapping_list *m,
		    const struct mirror_options *opt, const struct transfer_plan_visitor *visit,
		    struct mirror_result *ret, struct err *e)
{
	struct planner plan = {0};
	struct mirror_result result = {
		.items = xcalloc(m->n, sizeof(*result.items)),
		.nitems = m->n,
	};
	struct result_sink sink = {
		.base = {on_event},
		.next = opt->transfer.sink,
		.to = &result,
		.plan = &plan,
		.dry_run = opt->transfer.dry_run,
	};
	struct transfer_config cfg = opt->transfer;

	cfg.sink = &sink.base;
	if (cfg.dry_run)
		cfg.manifest_bytes_max = 1; // nobody is going to send them
	for (size_t i = 0; i < m->n; i++) {
		struct mapping one;

		m->lend(m->arg, i, &one);
		result.items[i].outcome = MIRROR_UNTRIED;
		cfg.hold_blobs |= opt->check_space && one.dst.type == REF_FILE;
	}
	struct transfer *t = transfer_new(&cfg);
	int r = planner_init(&plan, opt, t, places, e);

	if (r == 0)
		r = prepare(&plan, m, e);
	if (r == 0)
		r = run_plan(&plan, places, &result, e);
	if (visit && opt->transfer.dry_run)
		transfer_visit_plan(t, visit);
	*ret = result;
	transfer_free(t); // before what its plan points at
	planner_release(&plan);
	return r;
}
