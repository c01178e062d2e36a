// SPDX-License-Identifier: Apache-2.0
// A repository with mirrors.
#include "repo/mirrored.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "util/mem.h"

struct candidates {
	struct mirrored_places places;
	atomic_bool *down; // did not answer
};

struct mirrored {
	struct repo base;
	struct candidates by_digest, by_tag;
};

static struct mirrored *mirrored_of(struct repo *r)
{
	return (struct mirrored *)r;
}

// One request, to be made in any place.
struct request {
	int (*make)(struct request *q, struct repo *r, struct err *e);
	const char *ref;
	const struct descriptor *d;
	const struct digest *subject;
	uint64_t offset;
	void *ret;
};

static bool all_down(const struct candidates *c)
{
	for (size_t i = 0; i < c->places.n; i++)
		if (!atomic_load(&c->down[i]))
			return false;
	return true;
}

// What the places before the last one said, behind its own reason.
static void note_failure(struct buf *told, const struct repo *r, const struct err *e)
{
	auto_free char *name = repo_print(r);

	buf_printf(told, "%s%s: %s", told->n ? "; " : "", name, e->text);
}

static int report(const struct buf *told, const struct err *last, struct err *e)
{
	*e = *last;
	if (told->n == 0)
		return -1;
	err_set(e, last->kind, "%s (mirrors: %s)", last->text, told->p);
	e->os = last->os;
	e->http = last->http;
	return -1;
}

static int make_request(struct repo *base, const struct candidates *c, struct request *q,
			struct err *e)
{
	auto_buf struct buf told = BUF_INIT(BUF_TEXT_MAX);
	struct err last = {0};
	const struct repo *failed = NULL;
	bool none_answers = all_down(c);

	for (size_t i = 0; i < c->places.n; i++) {
		if (atomic_load(&c->down[i]) && !none_answers)
			continue;
		if (failed)
			note_failure(&told, failed, &last);
		if (q->make(q, c->places.v[i], &last) == 0)
			return 0;
		if (last.kind == ERR_CANCELLED) {
			*e = last;
			return -1;
		}
		if (last.kind == ERR_NET)
			atomic_store(&c->down[i], true);
		failed = c->places.v[i];
	}
	if (failed)
		return report(&told, &last, e);
	auto_free char *name = repo_print(base);

	return err_set(e, ERR_DENIED,
		       "the mirror policy forbids to ask %s (NeverContactSource) and names no "
		       "mirror of it",
		       name);
}

static const struct candidates *candidates_of(struct repo *r, const char *ref)
{
	return strchr(ref, ':') ? &mirrored_of(r)->by_digest : &mirrored_of(r)->by_tag;
}

static int make_get(struct request *q, struct repo *r, struct err *e)
{
	return r->ops->manifest_get(r, q->ref, q->ret, e);
}

static int manifest_get(struct repo *r, const char *ref, struct manifest_bytes *ret, struct err *e)
{
	struct request q = {.make = make_get, .ref = ref, .ret = ret};

	return make_request(r, candidates_of(r, ref), &q, e);
}

static int make_stat(struct request *q, struct repo *r, struct err *e)
{
	return r->ops->manifest_stat(r, q->ref, q->ret, e);
}

static int manifest_stat(struct repo *r, const char *ref, struct manifest_stat *ret, struct err *e)
{
	struct request q = {.make = make_stat, .ref = ref, .ret = ret};

	return make_request(r, candidates_of(r, ref), &q, e);
}

static int make_blob_stat(struct request *q, struct repo *r, struct err *e)
{
	return r->ops->blob_stat(r, q->d, e);
}

static int blob_stat(struct repo *r, const struct descriptor *d, struct err *e)
{
	struct request q = {.make = make_blob_stat, .d = d};

	return make_request(r, &mirrored_of(r)->by_digest, &q, e);
}

static int make_blob_open(struct request *q, struct repo *r, struct err *e)
{
	struct stream *s = r->ops->blob_open(r, q->d, q->offset, e);

	*(struct stream **)q->ret = s;
	return s ? 0 : -1;
}

static struct stream *blob_open(struct repo *r, const struct descriptor *d, uint64_t offset,
				struct err *e)
{
	struct stream *s = NULL;
	struct request q = {.make = make_blob_open, .d = d, .offset = offset, .ret = &s};

	return make_request(r, &mirrored_of(r)->by_digest, &q, e) < 0 ? NULL : s;
}

static int make_tags(struct request *q, struct repo *r, struct err *e)
{
	return r->ops->tags(r, q->ret, e);
}

static int tags(struct repo *r, struct strlist *ret, struct err *e)
{
	struct request q = {.make = make_tags, .ret = ret};

	return make_request(r, &mirrored_of(r)->by_tag, &q, e);
}

static int make_referrers(struct request *q, struct repo *r, struct err *e)
{
	return r->ops->referrers(r, q->subject, q->ret, e);
}

static int referrers(struct repo *r, const struct digest *subject, struct strlist *ret,
		     struct err *e)
{
	struct request q = {.make = make_referrers, .subject = subject, .ret = ret};

	return make_request(r, &mirrored_of(r)->by_digest, &q, e);
}

static enum repo_fresh fresh(struct repo *r)
{
	(void)r;
	return REPO_MAY_EXIST;
}

static int refuse(const struct repo *r, struct err *e)
{
	auto_free char *name = repo_print(r);

	return err_set(e, ERR_UNSUPPORTED, "%s is read through a mirror policy", name);
}

static int manifest_put(struct repo *r, const struct manifest_bytes *m, const char *tag,
			struct err *e)
{
	(void)m;
	(void)tag;
	return refuse(r, e);
}

static int blob_put(struct repo *r, const struct descriptor *d, const struct opener *src,
		    struct err *e)
{
	(void)d;
	(void)src;
	return refuse(r, e);
}

static int blob_mount(struct repo *r, const struct descriptor *d, struct repo *from,
		      bool *ret_mounted, struct err *e)
{
	(void)d;
	(void)from;
	(void)ret_mounted;
	return refuse(r, e);
}

static const struct repo_ops ops = {
	.manifest_get = manifest_get,
	.manifest_stat = manifest_stat,
	.manifest_put = manifest_put,
	.blob_stat = blob_stat,
	.blob_open = blob_open,
	.blob_put = blob_put,
	.blob_mount = blob_mount,
	.tags = tags,
	.referrers = referrers,
	.fresh = fresh,
};

static struct candidates candidates(struct mirrored_places places)
{
	struct candidates c = {.places = places};

	c.down = xcalloc(places.n + 1, sizeof(*c.down));
	for (size_t i = 0; i < places.n; i++)
		atomic_init(&c.down[i], false);
	return c;
}

struct repo *mirrored_new(struct repo *source, struct mirrored_places by_digest,
			  struct mirrored_places by_tag)
{
	struct mirrored *m = xcalloc(1, sizeof(*m));

	m->base = (struct repo){.ops = &ops, .place = source->place, .name = source->name};
	m->by_digest = candidates(by_digest);
	m->by_tag = candidates(by_tag);
	return &m->base;
}

void mirrored_free(struct repo *r)
{
	struct mirrored *m = mirrored_of(r);

	free(m->by_digest.places.v);
	free(m->by_digest.down);
	free(m->by_tag.places.v);
	free(m->by_tag.down);
	free(m);
}
