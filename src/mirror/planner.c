// SPDX-License-Identifier: Apache-2.0
// The planning tasks.
#include "mirror/planner.h"

#include <string.h>

#include "mirror/paper.h"
#include "mirror/resolve.h"

// Lists in lists: how deep, and how many manifests one image may have.
enum { DEPTH_MAX = 8, NODES_MAX = 50000 };

// What is known about a manifest at a destination.
enum plan_state {
	STATE_UNKNOWN,
	STATE_PLANNED, // added to the transfer: parents wait for it
	STATE_PRESENT, // there already
	STATE_MISSING, // an asked-for gap
};

// One image on its way to one destination.
struct walk {
	struct plan_image *im;
	struct plan_target *to;
	struct plan_destination *dst;
	size_t nodes;
	bool generated; // the topmost manifest was made here
};

static struct repo *dst_repo(const struct walk *w)
{
	return w->dst->repo;
}

static bool to_store(const struct walk *w)
{
	return dst_repo(w)->place->kind == PLACE_STORE;
}

static bool may_ask(const struct walk *w)
{
	const struct transfer_config *cfg = &w->im->plan->opt->transfer;

	return !cfg->force && !cfg->dry_run;
}

// A repository and a digest in as few bytes as they take: one for each manifest.
struct plan_key {
	const struct repo *repo;
	unsigned char raw[DIGEST_RAW_MAX];
	size_t n;
};

static struct plan_key plan_key(const struct walk *w, const struct digest *d)
{
	struct plan_key key = {.repo = dst_repo(w)};

	key.n = digest_raw(d, key.raw);
	return key;
}

static struct str plan_key_str(const struct plan_key *key)
{
	return (struct str){(const char *)key, offsetof(struct plan_key, raw) + key->n};
}

static enum plan_state get_state(const struct walk *w, const struct digest *d)
{
	struct planner *p = w->im->plan;
	const struct plan_key key = plan_key(w, d);

	pthread_mutex_lock(&p->lock);
	struct map_entry *known = map_find(&p->planned, plan_key_str(&key));
	enum plan_state state = known ? (enum plan_state)known->num : STATE_UNKNOWN;

	pthread_mutex_unlock(&p->lock);
	return state;
}

static void set_state(const struct walk *w, const struct digest *d, enum plan_state state)
{
	struct planner *p = w->im->plan;
	const struct plan_key key = plan_key(w, d);

	pthread_mutex_lock(&p->lock);
	map_put(&p->planned, plan_key_str(&key), NULL)->num = state;
	pthread_mutex_unlock(&p->lock);
}

// 1: the place takes our images; 0: it does not, which was reported; -1: the same, not yet
// reported.
static int place_ready(struct plan_place *at, struct err *e)
{
	int r = 1;

	pthread_mutex_lock(&at->lock);
	if (at->failed) {
		r = 0;
	} else if (!at->probed) {
		at->probed = true;
		if (at->place->ops->probe(at->place, true, e) < 0) {
			at->failed = true;
			r = err_wrap(e, "unable to push to %s", at->place->name);
			at->why = *e;
		}
	}
	pthread_mutex_unlock(&at->lock);
	return r;
}

static int probe_task(struct transfer *t, void *arg, struct err *e)
{
	(void)t;
	return place_ready(arg, e) < 0 ? -1 : 0;
}

// Is the destination a new repository? The first of a place is asked for a manifest before, which
// is all that is needed where the run has nothing to do; once one was new, the others may be as
// well.
static bool is_fresh(struct walk *w)
{
	bool fresh = dst_repo(w)->ops->fresh(dst_repo(w)) == REPO_FRESH;

	if (fresh)
		w->dst->at->fresh = true;
	return fresh;
}

// The destination's own view of REF: 1 there, 0 not (or it would not say), -1 cancelled. The first
// request to a repository is a GET; *got then holds the manifest.
static int ask(struct walk *w, const char *ref, struct manifest_stat *ret,
	       struct manifest_bytes *got, struct err *e)
{
	struct repo *r = dst_repo(w);
	struct err why;
	bool get = false;
	int ok = 0;

	pthread_mutex_lock(&w->dst->lock);
	if (!w->dst->asked && !(w->dst->at->fresh && is_fresh(w))) {
		manifest_bytes_release(got);
		*got = (struct manifest_bytes){0};
		ok = r->ops->manifest_get(r, ref, got, &why);
		get = true;
		if (ok < 0 && why.kind == ERR_NOT_FOUND)
			is_fresh(w); // before the others ask, they wait for this answer
	}
	w->dst->asked = true;
	pthread_mutex_unlock(&w->dst->lock);
	if (!get) {
		if (is_fresh(w))
			return 0;
		ok = r->ops->manifest_stat(r, ref, ret, &why);
	} else if (ok == 0) {
		*ret = (struct manifest_stat){.digest = got->digest, .size = got->bytes.n};
		if (got->media_type && strlen(got->media_type) < sizeof(ret->media_type))
			memcpy(ret->media_type, got->media_type, strlen(got->media_type) + 1);
	}
	if (ok < 0 && why.kind == ERR_CANCELLED) {
		*e = why;
		return -1;
	}
	return ok == 0;
}

// Reads D from the destination unless GOT holds it: 1, 0 or -1 as ask.
static int read_there(struct walk *w, const struct digest *d, struct manifest_bytes *got,
		      struct err *e)
{
	struct repo *r = dst_repo(w);
	struct err why;

	if (got->bytes.n > 0 && digest_equal(&got->digest, d))
		return 1;
	manifest_bytes_release(got);
	*got = (struct manifest_bytes){0};
	pthread_mutex_lock(&w->dst->lock);
	bool first = !w->dst->asked;

	w->dst->asked = true;
	pthread_mutex_unlock(&w->dst->lock);
	if (!first && is_fresh(w))
		return 0;
	if (r->ops->manifest_get(r, d->text, got, &why) == 0)
		return 1;
	*got = (struct manifest_bytes){0};
	if (why.kind != ERR_CANCELLED)
		return 0;
	*e = why;
	return -1;
}

static int add_node(struct walk *w, unsigned depth, struct err *e)
{
	if (depth > DEPTH_MAX)
		return err_set(e, ERR_INPUT, "%s: manifest lists are nested deeper than %d",
			       w->im->name, DEPTH_MAX);
	if (++w->nodes > NODES_MAX)
		return err_set(e, ERR_INPUT, "%s has more than %d manifests", w->im->name,
			       NODES_MAX);
	return 0;
}

static int children_there(struct walk *w, const struct manifest *m, const bool *keep,
			  unsigned depth, struct strlist *found, struct err *e);

// D and all below it are at the destination: 1, 0, -1.
static int tree_there(struct walk *w, const struct descriptor *d, unsigned depth,
		      struct strlist *found, struct err *e)
{
	auto_manifest_bytes struct manifest_bytes got = {0};
	struct manifest_stat st;

	if (add_node(w, depth, e) < 0)
		return -1;
	int r = ask(w, d->digest.text, &st, &got, e);

	if (r <= 0)
		return r;
	strlist_add(found, d->digest.text);
	if (!media_type_is_index(d->media_type) && !media_type_is_index(st.media_type))
		return 1;
	auto_manifest struct manifest m = {0};
	struct err why;

	r = read_there(w, &d->digest, &got, e);
	if (r <= 0)
		return r;
	if (manifest_parse(&m, buf_str(&got.bytes), got.media_type, w->im->name, &why) < 0)
		return 0;
	return m.kind == MANIFEST_INDEX ? children_there(w, &m, NULL, depth + 1, found, e) : 1;
}

static int children_there(struct walk *w, const struct manifest *m, const bool *keep,
			  unsigned depth, struct strlist *found, struct err *e)
{
	for (size_t i = 0; i < m->nmanifests; i++) {
		if (keep && !keep[i])
			continue;
		int r = tree_there(w, &m->manifests[i], depth, found, e);

		if (r <= 0)
			return r;
	}
	return 1;
}

static void tell_present(struct walk *w, const struct strlist *children)
{
	struct err e;
	struct digest d;

	for (size_t i = 0; i < children->n; i++)
		if (digest_parse(&d, children->v[i], &e) == 0) {
			transfer_present(w->im->plan->t, dst_repo(w), &d, NULL);
			strlist_add(&w->to->below, d.text);
		}
}

static int retag(struct walk *w, struct manifest_bytes *bytes, const struct manifest *m,
		 const struct strlist *tags, struct err *e)
{
	struct transfer_manifest tm = {
		.src = w->im->src,
		.dst = dst_repo(w),
		.bytes = bytes,
		.media_type = m->media_type,
		.tags = (const char *const *)tags->v,
		.ntags = tags->n,
		.name = w->im->name,
		.blobs_present = true,
	};

	return transfer_add(w->im->plan->t, &tm, e);
}

// The image is at a registry under D: its list is checked, its tags are given. 1, 0, -1.
static int confirm(struct walk *w, const struct plan_target *to, const struct strlist *lacking,
		   const struct digest *d, const bool *keep, const char *media_type,
		   struct manifest_bytes *got, struct err *e)
{
	auto_strlist struct strlist children = {0};
	auto_manifest struct manifest m = {0};
	bool known_image = media_type[0] != '\0' && !media_type_is_index(media_type);
	struct err why;

	if (!known_image || lacking->n > 0) {
		int r = read_there(w, d, got, e);

		if (r <= 0)
			return r;
		if (manifest_parse(&m, buf_str(&got->bytes), got->media_type, w->im->name, &why) <
		    0)
			return 0;
		if (m.kind == MANIFEST_SCHEMA1)
			return 0;
		if (m.kind == MANIFEST_INDEX) {
			r = children_there(w, &m, keep, 1, &children, e);
			if (r <= 0)
				return r;
		}
	}
	tell_present(w, &children);
	for (size_t i = 0; i < to->tags.n; i++)
		if (!strlist_has(lacking, to->tags.v[i]))
			transfer_present(w->im->plan->t, dst_repo(w), d, to->tags.v[i]);
	if (to->tags.n == 0)
		transfer_present(w->im->plan->t, dst_repo(w), d, NULL);
	if (lacking->n > 0 && retag(w, got, &m, lacking, e) < 0)
		return -1;
	return 1;
}

// The registry is asked for what it has: 1 nothing is left to do, 0 the image must be copied, -1.
static int present_at(struct walk *w, const struct plan_target *to, const struct digest *d,
		      const bool *keep, struct err *e)
{
	auto_manifest_bytes struct manifest_bytes got = {0};
	auto_strlist struct strlist lacking = {0};
	struct manifest_stat st = {0};
	char media_type[sizeof(st.media_type)] = "";
	bool there = false;

	for (size_t i = 0; i < to->tags.n; i++) {
		int r = ask(w, to->tags.v[i], &st, &got, e);

		if (r < 0)
			return -1;
		if (r == 0 || !digest_equal(&st.digest, d)) {
			strlist_add(&lacking, to->tags.v[i]);
			continue;
		}
		there = true;
		memcpy(media_type, st.media_type, sizeof(media_type));
	}
	// Without a tag that fits, it may still be there under its digest: then no blob is sent.
	if (!there) {
		int r = to->tags.n > 0 ? read_there(w, d, &got, e) : ask(w, d->text, &st, &got, e);

		if (r <= 0)
			return r;
		if (to->tags.n == 0)
			memcpy(media_type, st.media_type, sizeof(media_type));
	}
	return confirm(w, to, &lacking, d, keep, media_type, &got, e);
}

static int copy_tree(struct walk *w, struct manifest_bytes *bytes, const struct strlist *tags,
		     const bool *keep, unsigned depth, struct err *e);

// The bytes of a manifest, from a destination store that has them, else from the source.
static int read_child(struct walk *w, const struct digest *d, size_t number,
		      struct manifest_bytes *ret, struct err *e)
{
	if (to_store(w) && may_ask(w)) {
		int r = read_there(w, d, ret, e);

		if (r < 0)
			return -1;
		if (r > 0)
			return RESOLVE_DONE;
	}
	return resolve_child(w->im, d, number, ret, e);
}

// A registry that has the child as an image needs nothing of it. 1, 0, -1.
static int child_there(struct walk *w, const struct descriptor *d, struct err *e)
{
	auto_strlist struct strlist found = {0};

	if (to_store(w) || !may_ask(w))
		return 0;
	int r = tree_there(w, d, 1, &found, e);

	if (r > 0) {
		tell_present(w, &found);
		set_state(w, &d->digest, STATE_PRESENT);
	}
	return r;
}

// *ret says what the parent may count on.
static int copy_child(struct walk *w, const struct descriptor *d, size_t number, unsigned depth,
		      enum plan_state *ret, struct err *e)
{
	auto_manifest_bytes struct manifest_bytes bytes = {0};

	*ret = get_state(w, &d->digest);
	if (*ret != STATE_UNKNOWN)
		return 0;
	int r = child_there(w, d, e);

	if (r != 0) {
		*ret = STATE_PRESENT;
		return r < 0 ? -1 : 0;
	}
	r = read_child(w, &d->digest, number, &bytes, e);
	if (r < 0)
		return -1;
	*ret = r == RESOLVE_MISSING ? STATE_MISSING : STATE_PLANNED;
	if (*ret == STATE_MISSING) { // not remembered: another source may have it
		w->im->sparse = true;
		return 0;
	}
	return copy_tree(w, &bytes, NULL, NULL, depth + 1, e);
}

// Fills TM's children: those that the parent has to wait for.
static int copy_children(struct walk *w, const struct manifest *m, const bool *keep, unsigned depth,
			 struct digest *children, struct transfer_manifest *tm, struct err *e)
{
	size_t number = 0;

	for (size_t i = 0; i < m->nmanifests; i++) {
		enum plan_state state;

		if (keep && !keep[i])
			continue;
		if (copy_child(w, &m->manifests[i], ++number, depth, &state, e) < 0)
			return -1;
		if (state == STATE_PLANNED)
			children[tm->nchildren++] = m->manifests[i].digest;
		if (state != STATE_MISSING)
			strlist_add(&w->to->below, m->manifests[i].digest.text);
		tm->sparse |= state == STATE_MISSING;
	}
	tm->children = children;
	return 0;
}

// Configuration and layers, each once.
static size_t list_blobs(const struct manifest *m, struct descriptor *ret)
{
	size_t n = 0;

	if (m->config.digest.text[0] != '\0')
		ret[n++] = m->config;
	for (size_t i = 0; i < m->nlayers; i++)
		ret[n++] = m->layers[i];
	return n;
}

static int refuse_schema1(const struct walk *w, struct err *e)
{
	return err_set(e, ERR_UNSUPPORTED,
		       "%s is a schema 1 image, which cannot be mirrored: its digest covers a "
		       "signed form that registries no longer take, and converting it would change "
		       "its digest; push it again with a current tool",
		       w->im->name);
}

// Adds the manifest in BYTES (emptied) and all below it, children first.
static int copy_tree(struct walk *w, struct manifest_bytes *bytes, const struct strlist *tags,
		     const bool *keep, unsigned depth, struct err *e)
{
	auto_manifest struct manifest m = {0};
	struct digest digest = bytes->digest;

	if (add_node(w, depth, e) < 0 ||
	    manifest_parse(&m, buf_str(&bytes->bytes), bytes->media_type, w->im->name, e) < 0)
		return -1;
	if (m.kind == MANIFEST_SCHEMA1)
		return refuse_schema1(w, e);
	auto_free struct descriptor *blobs = xcalloc(m.nlayers + 1, sizeof(*blobs));
	auto_free struct digest *children = xcalloc(m.nmanifests + 1, sizeof(*children));
	struct transfer_manifest tm = {
		.src = w->im->src,
		.dst = dst_repo(w),
		.bytes = bytes,
		.media_type = m.media_type,
		.blobs = blobs,
		.nblobs = m.kind == MANIFEST_IMAGE ? list_blobs(&m, blobs) : 0,
		.tags = tags ? (const char *const *)tags->v : NULL,
		.ntags = tags ? tags->n : 0,
		.name = w->im->name,
		.blobs_present = w->im->src == dst_repo(w),
		.generated = depth == 0 && w->generated,
	};

	if (m.kind == MANIFEST_INDEX && copy_children(w, &m, keep, depth, children, &tm, e) < 0)
		return -1;
	if (transfer_add(w->im->plan->t, &tm, e) < 0)
		return -1;
	set_state(w, &digest, STATE_PLANNED);
	return 0;
}

static void copy_bytes(struct manifest_bytes *ret, const struct manifest_bytes *from)
{
	*ret = (struct manifest_bytes){.bytes = BUF_INIT(MANIFEST_MAX), .digest = from->digest};
	buf_put(&ret->bytes, from->bytes.p, from->bytes.n);
	ret->media_type = from->media_type ? xstrdup(from->media_type) : NULL;
}

// The manifest to copy: a store's own when it has it, so that only its blobs are looked at.
static int root_bytes(struct walk *w, struct resolved *root, struct manifest_bytes *ret,
		      struct err *e)
{
	if (!root->ready && to_store(w) && may_ask(w)) {
		int r = read_there(w, &w->im->digest, ret, e);

		if (r < 0)
			return -1;
		if (r > 0)
			return RESOLVE_DONE;
	}
	int r = resolve_image(w->im, root, e);

	if (r == RESOLVE_DONE)
		copy_bytes(ret, &root->bytes);
	return r;
}

// RESOLVE_MISSING: there is nothing to bring to any target.
static int plan_target(struct plan_image *im, struct plan_target *to, struct resolved *root,
		       struct err *e)
{
	auto_manifest_bytes struct manifest_bytes bytes = {0};
	struct walk w = {.im = im, .to = to, .dst = to->dst};
	int r;

	if (!im->plan->opt->transfer.dry_run) {
		r = place_ready(to->dst->at, e);
		if (r <= 0)
			return r;
	}
	to->digest = root->ready ? root->bytes.digest : im->digest;
	if (!to_store(&w) && may_ask(&w)) {
		r = present_at(&w, to, &to->digest, root->keep, e);
		if (r != 0) {
			to->planned = r > 0;
			return r < 0 ? -1 : 0;
		}
	}
	w.nodes = 0;
	r = root_bytes(&w, root, &bytes, e);
	if (r != RESOLVE_DONE)
		return r;
	w.generated = root->generated;
	if (copy_tree(&w, &bytes, &to->tags, root->keep, 0, e) < 0)
		return -1;
	to->planned = true;
	return 0;
}

// A tag, or a list that a filter may change, has to be read before anything can be asked for.
static int plan_image(struct plan_image *im, struct err *e)
{
	auto_resolved struct resolved root = {0};
	int r = RESOLVE_DONE;

	if (!im->by_digest || !resolve_is_whole(im))
		r = resolve_image(im, &root, e);
	for (size_t i = 0; r == RESOLVE_DONE && i < im->ntargets; i++)
		r = plan_target(im, &im->targets[i], &root, e);
	im->missing = r == RESOLVE_MISSING;
	return r < 0 ? -1 : 0;
}

static bool all_targets_failed(const struct plan_image *im)
{
	for (size_t i = 0; i < im->ntargets; i++) {
		struct plan_place *at = im->targets[i].dst->at;

		pthread_mutex_lock(&at->lock);
		bool failed = at->failed;

		pthread_mutex_unlock(&at->lock);
		if (!failed)
			return false;
	}
	return true;
}

static int image_task(struct transfer *t, void *arg, struct err *e)
{
	struct plan_image *im = arg;

	if (transfer_stopping(t) || all_targets_failed(im))
		return 0;
	if (plan_image(im, e) == 0)
		return 0;
	im->why = xmemdup(e, sizeof(*e));
	return -1;
}

// --- from mappings to images ---

static struct plan_place *place_of(struct planner *p, struct place *place)
{
	struct map_entry *entry =
		map_put(&p->place_of, (struct str){(const char *)&place, sizeof(place)}, NULL);

	if (!entry->ptr) {
		struct plan_place *at = xcalloc(1, sizeof(*at));

		at->place = place;
		pthread_mutex_init(&at->lock, NULL);
		entry->ptr = at;
	}
	return entry->ptr;
}

// Malformed and unsupported names are in the message already.
static void not_opened(const char *name, struct err *e)
{
	if (e->kind != ERR_INPUT && e->kind != ERR_UNSUPPORTED)
		err_wrap(e, "unable to open %s", name);
}

static struct repo *open_destination(struct planner *p, const struct reference *ref, struct err *e)
{
	if (p->opt->transfer.dry_run && ref->type == REF_FILE)
		return paper_repo(p->paper, ref);
	return places_repo(p->places, ref, true, e);
}

static struct plan_destination *destination_of(struct planner *p, const struct reference *ref,
					       struct err *e)
{
	struct repo *repo = open_destination(p, ref, e);
	auto_free char *printed = reference_print_repository(ref);

	if (!repo) {
		not_opened(printed, e);
		return NULL;
	}
	struct map_entry *entry =
		map_put(&p->dst_of, (struct str){(const char *)&repo, sizeof(repo)}, NULL);

	if (!entry->ptr) {
		struct plan_destination *d = xcalloc(1, sizeof(*d));

		d->repo = repo;
		d->at = place_of(p, repo->place);
		d->printed = steal(&printed);
		pthread_mutex_init(&d->lock, NULL);
		entry->ptr = d;
	}
	return entry->ptr;
}

static struct plan_image *image_of(struct planner *p, const struct reference *ref, struct err *e)
{
	struct repo *src = places_repo(p->places, ref, false, e);
	auto_free char *repository = reference_print_repository(ref);

	if (!src) {
		not_opened(repository, e);
		return NULL;
	}
	auto_free char *key =
		xasprintf("%p %s", (void *)src, ref->has_digest ? ref->digest.text : ref->tag);
	struct map_entry *entry = map_put(&p->image_of, str_of(key), NULL);

	if (!entry->ptr) {
		struct plan_image *im = xcalloc(1, sizeof(*im));

		im->plan = p;
		im->src = src;
		im->repository = steal(&repository);
		im->name = reference_print(ref);
		im->tag = xstrdup(ref->tag);
		im->by_digest = ref->has_digest;
		if (ref->has_digest)
			im->digest = ref->digest;
		vec_reserve(p->images, p->nimages, p->images_cap);
		p->images[p->nimages++] = im;
		entry->ptr = im;
	}
	return entry->ptr;
}

static size_t target_of(struct plan_image *im, struct plan_destination *dst)
{
	for (size_t i = 0; i < im->ntargets; i++)
		if (im->targets[i].dst == dst)
			return i;
	if (!im->targets) // most images have one, and there may be many images
		im->targets = xmalloc((im->cap = 1) * sizeof(*im->targets));
	vec_reserve(im->targets, im->ntargets, im->cap);
	im->targets[im->ntargets] = (struct plan_target){.dst = dst};
	return im->ntargets++;
}

// TAG among the tags of TARGET, put there when it is not. Stays where it is when they are sorted.
static const char *tag_of(struct planner *p, struct plan_image *im, size_t target, const char *tag)
{
	struct strlist *tags = &im->targets[target].tags;

	if (tags->n > 0 && strcmp(tags->v[0], tag) == 0)
		return tags->v[0];
	if (tags->n == 0) { // nearly always
		strlist_add(tags, tag);
		return tags->v[0];
	}
	auto_free char *key = xasprintf("%p %zu %s", (void *)im, target, tag);
	bool new;
	struct map_entry *entry = map_put(&p->tag_of, str_of(key), &new);

	if (new) {
		strlist_add(tags, tag);
		entry->ptr = tags->v[tags->n - 1];
	}
	return entry->ptr;
}

static void add_goal(struct planner *p, const struct mapping *m, size_t from, struct plan_image *im,
		     struct plan_destination *dst)
{
	size_t target = target_of(im, dst);
	const char *tag = m->dst.tag[0] != '\0' ? tag_of(p, im, target, m->dst.tag) : NULL;

	vec_reserve(p->goals, p->ngoals, p->goals_cap);
	p->goals[p->ngoals++] = (struct plan_goal){im, target, tag, from};
}

int planner_add(struct planner *p, const struct mapping *m, size_t from, struct err *e)
{
	struct plan_destination *dst = destination_of(p, &m->dst, e);
	struct plan_image *im = dst ? image_of(p, &m->src, e) : NULL;

	if (!im)
		return -1;
	add_goal(p, m, from, im, dst);
	return 0;
}

void planner_added(struct planner *p)
{
	map_release(&p->image_of); // large, and all of them are known
	map_release(&p->tag_of);
	for (size_t i = 0; i < p->nimages; i++)
		for (size_t j = 0; j < p->images[i]->ntargets; j++)
			strlist_sort(&p->images[i]->targets[j].tags);
}

void planner_spawn(struct planner *p)
{
	for (size_t i = 0; !p->opt->transfer.dry_run && i < p->place_of.n; i++) {
		struct plan_place *at = p->place_of.entries[i].ptr;

		transfer_spawn(p->t, at->place, probe_task, at);
	}
	for (size_t i = 0; i < p->nimages; i++)
		transfer_spawn(p->t, p->images[i]->src->place, image_task, p->images[i]);
}

int planner_init(struct planner *p, const struct mirror_options *opt, struct transfer *t,
		 struct places *places, struct err *e)
{
	const char *pattern = opt->filter_by_os;

	*p = (struct planner){.opt = opt, .t = t, .places = places};
	p->paper = paper_new();
	pthread_mutex_init(&p->lock, NULL);
	p->filter_given = pattern != NULL;
	if (!pattern && !opt->keep_manifest_list)
		pattern = platform_local();
	if (opt->all_platforms || !pattern || pattern[0] == '\0')
		return 0;
	p->filter_text = pattern;
	return platform_filter_new(&p->filter, pattern, e);
}

static void image_free(struct plan_image *im)
{
	for (size_t i = 0; i < im->ntargets; i++) {
		strlist_release(&im->targets[i].tags);
		strlist_release(&im->targets[i].below);
	}
	free(im->targets);
	free(im->why);
	free(im->repository);
	free(im->name);
	free(im->tag);
	free(im);
}

void planner_release(struct planner *p)
{
	for (size_t i = 0; i < p->nimages; i++)
		image_free(p->images[i]);
	free(p->images);
	free(p->goals);
	for (size_t i = 0; i < p->dst_of.n; i++) {
		struct plan_destination *d = p->dst_of.entries[i].ptr;

		pthread_mutex_destroy(&d->lock);
		free(d->printed);
		free(d);
	}
	for (size_t i = 0; i < p->place_of.n; i++) {
		struct plan_place *at = p->place_of.entries[i].ptr;

		pthread_mutex_destroy(&at->lock);
		free(at);
	}
	map_release(&p->image_of);
	map_release(&p->tag_of);
	map_release(&p->dst_of);
	map_release(&p->place_of);
	map_release(&p->planned);
	platform_filter_free(p->filter);
	place_free(p->paper);
	pthread_mutex_destroy(&p->lock);
}
