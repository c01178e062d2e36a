// SPDX-License-Identifier: Apache-2.0
// Signatures, attestations, SBOMs and referrers on their way behind the images.
#include "mirror/attached.h"

#include <string.h>

#include "data/json.h"
#include "data/json_copy.h"

enum {
	REFERRERS_MAX = 256, // of one image
	NODES_MAX = 512,     // manifests that one image brings
	DEPTH_MAX = 4,
	LOOKED_AT_MAX = 512,   // manifests of a folder that one artifact may have
	FALLBACK_HEX_MAX = 64, // of the digest in a fallback tag
};

static const struct json_limits limits = {
	.bytes = MANIFEST_MAX, .values = JSON_VALUES_MAX, .depth = MANIFEST_DEPTH_MAX};

// The tags of a source, asked for once.
struct tag_list {
	pthread_mutex_t lock;
	// guarded by lock; nobody changes them any more once it was asked for
	bool asked, failed;
	struct map tags;
};

// One image, or one entry of a list, at one destination.
struct subject {
	struct attached *to;
	struct repo *src, *dst;
	struct digest digest;
	bool is_release;       // the release image, or an entry of its list
	char *name;            // of the source, with the digest
	struct tag_list *list; // NULL: each tag is asked for
	size_t nodes;
};

struct attached {
	struct transfer_sink base;
	const struct planner *plan;
	struct transfer *t;
	struct subject **subjects;
	size_t n, cap;
	struct map known;     // source, destination and digest
	struct map lists;     // source → struct tag_list *
	struct repo *visited; // while the plan of a dry run is shown
};

static void list_free(struct tag_list *l)
{
	map_release(&l->tags);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

struct attached *attached_new(const struct planner *p)
{
	if (p->opt->attached == MIRROR_ATTACHED_NONE)
		return NULL;
	struct attached *a = xcalloc(1, sizeof(*a));

	a->plan = p;
	return a;
}

void attached_free(struct attached *a)
{
	if (!a)
		return;
	transfer_free(a->t); // before what its plan points at
	for (size_t i = 0; i < a->n; i++) {
		free(a->subjects[i]->name);
		free(a->subjects[i]);
	}
	free(a->subjects);
	for (size_t i = 0; i < a->lists.n; i++)
		list_free(a->lists.entries[i].ptr);
	map_release(&a->lists);
	map_release(&a->known);
	free(a);
}

static bool is_release(const struct attached *a, const struct digest *d)
{
	const struct digest *release = a->plan->opt->release;

	return release && digest_equal(release, d);
}

static bool looks_through(const struct attached *a, const struct repo *src)
{
	return a->plan->opt->attached == MIRROR_ATTACHED_ALL || src->place->kind == PLACE_STORE;
}

static struct tag_list *list_of(struct attached *a, struct repo *src)
{
	struct map_entry *entry =
		map_put(&a->lists, (struct str){(const char *)&src, sizeof(src)}, NULL);

	if (!entry->ptr) {
		struct tag_list *l = xcalloc(1, sizeof(*l));

		pthread_mutex_init(&l->lock, NULL);
		entry->ptr = l;
	}
	return entry->ptr;
}

static void add_subject(struct attached *a, const struct plan_image *im, struct repo *dst,
			const struct digest *d, bool is_release, bool all)
{
	auto_free char *key = xasprintf("%p %p %s", (void *)im->src, (void *)dst, d->text);
	bool new;

	map_put(&a->known, str_of(key), &new);
	if (!new)
		return;
	struct subject *s = xcalloc(1, sizeof(*s));

	*s = (struct subject){
		.to = a,
		.src = im->src,
		.dst = dst,
		.digest = *d,
		.is_release = is_release,
		.name = xasprintf("%s@%s", im->repository, d->text),
		.list = all ? list_of(a, im->src) : NULL,
	};
	vec_reserve(a->subjects, a->n, a->cap);
	a->subjects[a->n++] = s;
}

void attached_add(struct attached *a, const struct plan_image *im, const struct plan_target *to)
{
	bool all = looks_through(a, im->src), release = is_release(a, &to->digest);
	struct repo *dst = to->dst->repo;
	struct err ignored;
	struct digest d;

	if ((!all && !release) || im->src == dst)
		return;
	add_subject(a, im, dst, &to->digest, release, all);
	for (size_t i = 0; i < to->below.n; i++)
		if (digest_parse(&d, to->below.v[i], &ignored) == 0)
			add_subject(a, im, dst, &d, release, all);
}

// Nothing but a cancelled run is more than a warning.
static int warn(const struct subject *s, const struct err *why, struct err *e)
{
	if (why->kind == ERR_CANCELLED) {
		*e = *why;
		return -1;
	}
	transfer_notice(s->to->t, "warning: what is attached to %s is not mirrored: %s", s->name,
			why->text);
	return 0;
}

// --- tags ---

static int ask_tags(struct tag_list *l, struct repo *src, struct err *e)
{
	auto_strlist struct strlist tags = {0};

	if (src->ops->tags(src, &tags, e) < 0)
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	for (size_t i = 0; i < tags.n; i++)
		map_put(&l->tags, str_of(tags.v[i]), NULL);
	return 0;
}

// A list that could not be had is told once.
static int read_tags(struct subject *s, struct err *e)
{
	struct tag_list *l = s->list;
	struct err why = {0};
	int r = 0;

	if (!l)
		return 0;
	pthread_mutex_lock(&l->lock);
	if (!l->asked) {
		l->asked = true;
		r = ask_tags(l, s->src, &why);
		l->failed = r < 0;
	}
	pthread_mutex_unlock(&l->lock);
	return r < 0 ? warn(s, &why, e) : 0;
}

// Without a list only the release image is worth a request for each tag.
static bool may_have(const struct subject *s, const char *tag)
{
	if (!s->list)
		return true;
	if (s->list->failed)
		return s->is_release;
	return map_find(&s->list->tags, str_of(tag)) != NULL;
}

// --- one artifact ---

static bool is_dry(const struct subject *s)
{
	return s->to->plan->opt->transfer.dry_run;
}

static bool to_folder(const struct subject *s)
{
	return s->dst->place->kind == PLACE_STORE;
}

// What a destination does not say counts as not there: 0; only being cancelled is -1.
static int not_there(const struct err *why, struct err *e)
{
	if (why->kind != ERR_CANCELLED)
		return 0;
	*e = *why;
	return -1;
}

static int tree_is_there(const struct subject *s, const char *ref, const struct digest *want,
			 size_t *left, struct err *e);

// 1: all that the manifest names is in the folder and undamaged; 0: not; -1: cancelled.
static int parts_are_there(const struct subject *s, const struct manifest *m, size_t *left,
			   struct err *e)
{
	struct err why;

	if (m->kind == MANIFEST_IMAGE && m->config.digest.text[0] != '\0' &&
	    s->dst->ops->blob_stat(s->dst, &m->config, &why) < 0)
		return not_there(&why, e);
	for (size_t i = 0; i < m->nlayers; i++)
		if (s->dst->ops->blob_stat(s->dst, &m->layers[i], &why) < 0)
			return not_there(&why, e);
	for (size_t i = 0; i < m->nmanifests; i++) {
		const struct digest *d = &m->manifests[i].digest;
		int r = tree_is_there(s, d->text, d, left, e);

		if (r <= 0)
			return r;
	}
	return 1;
}

// Reads what a folder has under REF, and all below it: at most *LEFT manifests.
static int tree_is_there(const struct subject *s, const char *ref, const struct digest *want,
			 size_t *left, struct err *e)
{
	auto_manifest_bytes struct manifest_bytes bytes = {0};
	auto_manifest struct manifest m = {0};
	struct err why;

	if (*left == 0)
		return 0;
	--*left;
	if (s->dst->ops->manifest_get(s->dst, ref, &bytes, &why) < 0)
		return not_there(&why, e);
	if (!digest_equal(&bytes.digest, want) ||
	    manifest_parse(&m, buf_str(&bytes.bytes), bytes.media_type, s->name, &why) < 0)
		return 0;
	return parts_are_there(s, &m, left, e);
}

// 1: there; 0: not, or the destination would not say; -1: cancelled.
static int is_there(const struct subject *s, const char *ref, const struct digest *d, struct err *e)
{
	size_t left = LOOKED_AT_MAX;
	struct manifest_stat st;
	struct err why;

	if (s->to->plan->opt->transfer.force || is_dry(s))
		return 0;
	if (to_folder(s))
		return tree_is_there(s, ref, d, &left, e);
	if (s->dst->ops->manifest_stat(s->dst, ref, &st, &why) < 0)
		return not_there(&why, e);
	return digest_equal(&st.digest, d);
}

static int add_tree(struct subject *s, struct manifest_bytes *bytes, const char *tag,
		    unsigned depth, struct err *e);

static int add_children(struct subject *s, const struct manifest *m, unsigned depth,
			struct digest *ret, struct err *e)
{
	for (size_t i = 0; i < m->nmanifests; i++) {
		auto_manifest_bytes struct manifest_bytes child = {0};

		ret[i] = m->manifests[i].digest;
		if (s->src->ops->manifest_get(s->src, ret[i].text, &child, e) < 0 ||
		    add_tree(s, &child, NULL, depth + 1, e) < 0)
			return -1;
	}
	return 0;
}

// Adds the manifest in BYTES (emptied) and all below it, children first.
static int add_tree(struct subject *s, struct manifest_bytes *bytes, const char *tag,
		    unsigned depth, struct err *e)
{
	auto_manifest struct manifest m = {0};

	if (depth > DEPTH_MAX || ++s->nodes > NODES_MAX)
		return err_set(e, ERR_INPUT, "it brings more than %d manifests", NODES_MAX);
	if (manifest_parse(&m, buf_str(&bytes->bytes), bytes->media_type, s->name, e) < 0)
		return -1;
	if (m.kind == MANIFEST_SCHEMA1)
		return err_set(e, ERR_UNSUPPORTED, "%s is a schema 1 image", bytes->digest.text);
	auto_free struct descriptor *blobs = xcalloc(m.nlayers + 1, sizeof(*blobs));
	auto_free struct digest *children = xcalloc(m.nmanifests + 1, sizeof(*children));
	struct transfer_manifest tm = {
		.src = s->src,
		.dst = s->dst,
		.bytes = bytes,
		.media_type = m.media_type,
		.blobs = blobs,
		.children = children,
		.nchildren = m.nmanifests,
		.tags = &tag,
		.ntags = tag != NULL,
		.name = s->name,
	};

	if (m.kind == MANIFEST_IMAGE) {
		if (m.config.digest.text[0] != '\0')
			blobs[tm.nblobs++] = m.config;
		for (size_t i = 0; i < m.nlayers; i++)
			blobs[tm.nblobs++] = m.layers[i];
	} else if (add_children(s, &m, depth, children, e) < 0) {
		return -1;
	}
	return transfer_add(s->to->t, &tm, e);
}

static int copy_tag(struct subject *s, const char *suffix, struct err *e)
{
	auto_manifest_bytes struct manifest_bytes bytes = {0};
	auto_free char *tag = xasprintf("%s-%s.%s", digest_algo_name(s->digest.algo),
					digest_hex(&s->digest), suffix);
	struct err why;

	if (!tag_valid(tag) || !may_have(s, tag))
		return 0;
	if (s->src->ops->manifest_get(s->src, tag, &bytes, &why) < 0)
		return why.kind == ERR_NOT_FOUND ? 0 : warn(s, &why, e);
	int r = is_there(s, tag, &bytes.digest, e);

	if (r != 0)
		return r < 0 ? -1 : 0;
	return add_tree(s, &bytes, tag, 0, &why) < 0 ? warn(s, &why, e) : 0;
}

static int copy_tags(struct subject *s, struct err *e)
{
	static const char *const suffixes[] = {"sig", "att", "sbom"};
	size_t n = looks_through(s->to, s->src) ? ARRAY_SIZE(suffixes) : 1;

	for (size_t i = 0; i < n; i++)
		if (copy_tag(s, suffixes[i], e) < 0)
			return -1;
	return 0;
}

// --- referrers ---

static char *fallback_tag(const struct digest *d)
{
	return xasprintf("%s-%.*s", digest_algo_name(d->algo), FALLBACK_HEX_MAX, digest_hex(d));
}

// The index under the fallback tag of R. Where there is none, both stay empty.
static int read_fallback(struct subject *s, struct repo *r, struct manifest_bytes *ret,
			 struct manifest *ret_index, struct err *e)
{
	auto_free char *tag = fallback_tag(&s->digest);

	if (r == s->src && !may_have(s, tag))
		return 0;
	if (r->ops->manifest_get(r, tag, ret, e) < 0)
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	if (manifest_parse(ret_index, buf_str(&ret->bytes), ret->media_type, tag, e) < 0)
		return -1;
	if (ret_index->kind != MANIFEST_INDEX)
		return err_set(e, ERR_INPUT, "the tag %s is no list of referrers", tag);
	return 0;
}

// A folder is read through by the first who asks; the others wait for what it then remembers.
static int ask_referrers(struct subject *s, struct strlist *ret, struct err *e)
{
	bool wait = s->src->place->kind == PLACE_STORE;

	if (wait)
		pthread_mutex_lock(&s->list->lock);
	int r = s->src->ops->referrers(s->src, &s->digest, ret, e);

	if (wait)
		pthread_mutex_unlock(&s->list->lock);
	return r;
}

// Which manifests refer to S in its source.
static int find_referrers(struct subject *s, struct strlist *ret, struct err *e)
{
	auto_manifest_bytes struct manifest_bytes bytes = {0};
	auto_manifest struct manifest index = {0};

	if (ask_referrers(s, ret, e) == 0 || e->kind == ERR_NOT_FOUND)
		return 0;
	if (e->kind != ERR_UNSUPPORTED || read_fallback(s, s->src, &bytes, &index, e) < 0)
		return -1;
	for (size_t i = 0; i < index.nmanifests; i++)
		strlist_add(ret, index.manifests[i].digest.text);
	return 0;
}

// An entry of an index, as the specification wants it: the artifact's type and annotations are
// taken from its manifest.
static int write_entry(struct json_out *j, const struct manifest *m,
		       const struct manifest_bytes *bytes, struct err *e)
{
	auto_json struct json_doc doc = {NULL};
	const char *type = *m->artifact_type           ? m->artifact_type
			   : m->kind == MANIFEST_IMAGE ? m->config.media_type
						       : "";

	if (json_parse(&doc, buf_str(&bytes->bytes), limits, JSON_UNIQUE, e) < 0)
		return -1;
	struct json root = json_root(&doc), annotations = json_member(&root, "annotations");

	json_out_begin(j, '{');
	json_out_key(j, "mediaType");
	json_out_text(j, m->media_type);
	json_out_key(j, "digest");
	json_out_text(j, bytes->digest.text);
	json_out_key(j, "size");
	json_out_u64(j, bytes->bytes.n);
	if (json_present(&annotations)) {
		json_out_key(j, "annotations");
		json_copy_value(j, &annotations);
	}
	if (*type) {
		json_out_key(j, "artifactType");
		json_out_text(j, type);
	}
	json_out_end(j, '}');
	return 0;
}

// Copies the entries that an index has, and leaves it open for more.
static int begin_index(struct json_out *j, const struct manifest_bytes *old, struct err *e)
{
	auto_json struct json_doc doc = {NULL};

	json_out_begin(j, '{');
	json_out_key(j, "schemaVersion");
	json_out_u64(j, 2);
	json_out_key(j, "mediaType");
	json_out_text(j, MT_OCI_INDEX);
	if (old->bytes.n > 0 && json_parse(&doc, buf_str(&old->bytes), limits, JSON_UNIQUE, e) < 0)
		return -1;
	struct json root = json_root(&doc), annotations = json_member(&root, "annotations");
	struct json entries = json_member(&root, "manifests");

	if (json_present(&annotations)) {
		json_out_key(j, "annotations");
		json_copy_value(j, &annotations);
	}
	json_out_key(j, "manifests");
	json_out_begin(j, '[');
	for (size_t i = 0; i < json_size(&entries); i++) {
		struct json entry = json_item(&entries, i);

		json_copy_value(j, &entry);
	}
	return 0;
}

// Annotations come from outside, and become longer where they are escaped.
static int check_room(const struct json_out *j, const struct manifest_bytes *bytes, struct err *e)
{
	enum { ESCAPED = 6, FRAME = 1024 }; // bytes for one; around the text

	if (bytes->bytes.n * ESCAPED + FRAME > j->out->max - j->out->n)
		return err_set(e, ERR_INPUT, "the list of its referrers would be too long");
	return 0;
}

// What happens to the referrers of one image.
struct referrers {
	struct strlist there;   // at the destination
	struct json_out *index; // for a destination without a list of its own; else NULL
	struct digest *added;   // those that are on their way
	size_t nadded;
};

// A folder is not asked for its list, which would mean to read all of it.
static int folder_has(const struct subject *s, const char *text, struct err *e)
{
	struct digest d;
	struct err ignored;

	if (!to_folder(s) || digest_parse(&d, text, &ignored) < 0)
		return 0;
	return is_there(s, text, &d, e);
}

// Fetches the referrer TEXT and adds it.
static int copy_referrer(struct subject *s, struct referrers *to, const char *text, struct err *e)
{
	auto_manifest_bytes struct manifest_bytes bytes = {0};
	auto_manifest struct manifest m = {0};

	if (s->src->ops->manifest_get(s->src, text, &bytes, e) < 0)
		return e->kind == ERR_NOT_FOUND ? 0 : -1; // the list is older than the deletion
	if (manifest_parse(&m, buf_str(&bytes.bytes), bytes.media_type, text, e) < 0)
		return -1;
	if (!m.has_subject || !digest_equal(&m.subject.digest, &s->digest))
		return err_set(e, ERR_INPUT, "the referrer %s is about something else", text);
	struct digest d = bytes.digest;

	if (to->index &&
	    (check_room(to->index, &bytes, e) < 0 || write_entry(to->index, &m, &bytes, e) < 0))
		return -1;
	if (add_tree(s, &bytes, NULL, 0, e) < 0)
		return -1;
	to->added[to->nadded++] = d;
	return 0;
}

// One that fails is left out, also of the index.
static int try_referrer(struct subject *s, struct referrers *to, const char *text, struct err *e)
{
	struct json_out *j = to->index, before = j ? *j : (struct json_out){0};
	size_t n = j ? j->out->n : 0;
	struct err why;
	int there = folder_has(s, text, e);

	if (there != 0)
		return there < 0 ? -1 : 0;
	if (copy_referrer(s, to, text, &why) == 0)
		return 0;
	if (j) {
		*j = before;
		j->out->n = n;
		j->out->p[n] = '\0';
	}
	return warn(s, &why, e);
}

static int copy_missing(struct subject *s, const struct strlist *found, struct referrers *to,
			struct err *e)
{
	size_t n = found->n < REFERRERS_MAX ? found->n : REFERRERS_MAX;
	// An index that is completed must not name one twice.
	bool force = s->to->plan->opt->transfer.force && !to->index;

	to->added = xcalloc(n + 1, sizeof(*to->added));
	for (size_t i = 0; i < n; i++)
		if ((force || !strlist_has(&to->there, found->v[i])) &&
		    try_referrer(s, to, found->v[i], e) < 0)
			return -1;
	if (found->n > REFERRERS_MAX)
		transfer_notice(s->to->t, "warning: %s has %zu referrers, %d are mirrored", s->name,
				found->n, REFERRERS_MAX);
	return 0;
}

static int push_index(struct subject *s, const struct referrers *to, struct buf *text,
		      struct err *e)
{
	auto_manifest_bytes struct manifest_bytes bytes = {.bytes = BUF_INIT(MANIFEST_MAX)};
	auto_free char *tag = fallback_tag(&s->digest);
	const char *tags[] = {tag};

	if (buf_add(&bytes.bytes, text->p, text->n, e) < 0)
		return -1;
	digest_of(&bytes.digest, DIGEST_SHA256, text->p, text->n);
	bytes.media_type = xstrdup(MT_OCI_INDEX);
	struct transfer_manifest tm = {
		.src = s->src,
		.dst = s->dst,
		.bytes = &bytes,
		.media_type = MT_OCI_INDEX,
		.children = to->added,
		.nchildren = to->nadded,
		.tags = tags,
		.ntags = 1,
		.name = s->name,
		.generated = true,
	};

	return transfer_add(s->to->t, &tm, e);
}

// The destination has no list: the index under the fallback tag is completed.
static int copy_to_fallback(struct subject *s, const struct strlist *found, struct referrers *to,
			    struct err *e)
{
	auto_manifest_bytes struct manifest_bytes old = {0};
	auto_manifest struct manifest index = {0};
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
	struct json_out j = {.out = &text};

	if (read_fallback(s, s->dst, &old, &index, e) < 0 || begin_index(&j, &old, e) < 0)
		return -1;
	for (size_t i = 0; i < index.nmanifests; i++)
		strlist_add(&to->there, index.manifests[i].digest.text);
	to->index = &j;
	int r = copy_missing(s, found, to, e);

	to->index = NULL;
	json_out_end(&j, ']');
	json_out_end(&j, '}');
	if (r < 0 || to->nadded == 0)
		return r;
	return push_index(s, to, &text, e);
}

static int copy_found(struct subject *s, const struct strlist *found, struct referrers *to,
		      struct err *e)
{
	if (to_folder(s) || is_dry(s))
		return copy_missing(s, found, to, e);
	if (s->dst->ops->referrers(s->dst, &s->digest, &to->there, e) == 0)
		return copy_missing(s, found, to, e);
	return e->kind == ERR_UNSUPPORTED ? copy_to_fallback(s, found, to, e) : -1;
}

static int copy_referrers(struct subject *s, struct err *e)
{
	auto_strlist struct strlist found = {0};
	struct referrers to = {0};
	struct err why;
	int r = find_referrers(s, &found, &why);

	if (r == 0 && found.n > 0)
		r = copy_found(s, &found, &to, &why);
	strlist_release(&to.there);
	free(to.added);
	return r < 0 ? warn(s, &why, e) : 0;
}

// --- the run ---

static int subject_task(struct transfer *t, void *arg, struct err *e)
{
	struct subject *s = arg;

	if (transfer_stopping(t))
		return 0;
	if (read_tags(s, e) < 0 || copy_tags(s, e) < 0)
		return -1;
	return copy_referrers(s, e);
}

static void tell(struct attached *a, const char *text)
{
	struct transfer_sink *next = a->plan->opt->transfer.sink;

	if (next)
		next->event(next, &(struct transfer_event){.type = TRANSFER_NOTICE, .text = text});
}

// Lines for people are all that leaves here: the images' own numbers and lines stay as they are.
static void on_event(struct transfer_sink *base, const struct transfer_event *ev)
{
	struct attached *a = (struct attached *)base;
	auto_free char *text = NULL;

	if (ev->type == TRANSFER_NOTICE) {
		tell(a, ev->text);
	} else if (ev->type == TRANSFER_FAILED) {
		text = xasprintf("warning: something that is attached is not mirrored: %s",
				 ev->error->text);
		tell(a, text);
	} else if (ev->type == TRANSFER_IMAGE_DONE) {
		auto_free char *dst = repo_print(ev->dst);

		text = xasprintf("info: Attached %s %s%s%s", ev->digest->text, dst,
				 ev->tag ? ":" : "", ev->tag ? ev->tag : "");
		tell(a, text);
	}
}

static void tell_planned(void *arg, const struct digest *d, const char *tag)
{
	struct attached *a = arg;
	auto_free char *dst = repo_print(a->visited);
	auto_free char *text = xasprintf("info: To be attached: %s %s%s%s", d->text, dst,
					 tag ? ":" : "", tag ? tag : "");

	tell(a, text);
}

static void visit_repository(void *arg, struct repo *dst)
{
	struct attached *a = arg;

	a->visited = dst;
}

static void show_plan(struct attached *a)
{
	const struct transfer_plan_visitor v = {
		.repository = visit_repository, .manifest = tell_planned, .arg = a};

	transfer_visit_plan(a->t, &v);
}

int attached_run(struct attached *a, struct err *e)
{
	struct transfer_config cfg = a->plan->opt->transfer;
	struct err why;

	if (a->n == 0)
		return 0;
	a->base.event = on_event;
	cfg.sink = &a->base;
	cfg.continue_on_error = true;
	cfg.hold_blobs = false;
	a->t = transfer_new(&cfg);
	for (size_t i = 0; i < a->n; i++)
		transfer_spawn(a->t, a->subjects[i]->src->place, subject_task, a->subjects[i]);
	if (transfer_run(a->t, NULL, NULL, &why) < 0 && why.kind == ERR_CANCELLED) {
		*e = why;
		return -1;
	}
	if (cfg.dry_run) // failures were told
		show_plan(a);
	return 0;
}
