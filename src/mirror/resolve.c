// SPDX-License-Identifier: Apache-2.0
// Source manifests, and what a platform filter makes of a list.
#include "mirror/resolve.h"

#include <string.h>

void resolved_release(struct resolved *r)
{
	manifest_bytes_release(&r->bytes);
	free(r->keep);
}

bool resolve_is_whole(const struct plan_image *im)
{
	const struct planner *p = im->plan;

	if (!p->filter)
		return true;
	return !p->filter_given && (im->by_digest || im->src->place->kind == PLACE_STORE);
}

static bool may_be_missing(const struct plan_image *im, const struct err *e)
{
	return im->plan->opt->skip_missing && e->kind == ERR_NOT_FOUND;
}

// What to do about an image that is not there.
static int advise(const struct plan_image *im, struct err *e)
{
	if (e->kind != ERR_NOT_FOUND)
		return -1;
	if (im->src->place->kind == PLACE_STORE)
		return err_hint(e,
				"hint: check the name and --from-dir; --skip-missing passes over "
				"what is not there");
	return err_hint(e, "hint: check the name; --skip-missing passes over what is not there");
}

static int read_source(struct plan_image *im, struct manifest_bytes *ret, struct err *e)
{
	const char *ref = im->by_digest ? im->digest.text : im->tag;

	if (im->src->ops->manifest_get(im->src, ref, ret, e) == 0)
		return RESOLVE_DONE;
	if (may_be_missing(im, e)) {
		transfer_missing(im->plan->t, "%s", im->name);
		return RESOLVE_MISSING;
	}
	err_wrap(e, "unable to retrieve source image %s %s %s", im->repository,
		 im->by_digest ? "manifest" : "by tag", ref);
	return advise(im, e);
}

int resolve_child(struct plan_image *im, const struct digest *d, size_t number,
		  struct manifest_bytes *ret, struct err *e)
{
	if (im->src->ops->manifest_get(im->src, d->text, ret, e) == 0)
		return RESOLVE_DONE;
	if (may_be_missing(im, e)) {
		transfer_missing(im->plan->t, "%s@%s", im->repository, d->text);
		return RESOLVE_MISSING;
	}
	err_wrap(e, "unable to retrieve source image %s manifest #%zu from manifest list",
		 im->repository, number);
	return advise(im, e);
}

// How many entries of M the filter accepts; marks them.
static size_t mark_entries(const struct platform_filter *f, const struct manifest *m, bool *keep)
{
	static const struct platform none = {"", "", "", ""};
	size_t n = 0;

	for (size_t i = 0; i < m->nmanifests; i++) {
		const struct descriptor *d = &m->manifests[i];

		keep[i] = platform_filter_match(f, d->has_platform ? &d->platform : &none);
		n += keep[i];
	}
	return n;
}

static void tell_digest_change(const struct plan_image *im, const struct digest *now)
{
	if (digest_equal(&im->digest, now))
		return;
	transfer_notice(im->plan->t,
			"%s is a manifest list of which only %s is mirrored: its digest changes "
			"from %s to %s (--keep-manifest-list keeps it whole)",
			im->name, im->plan->filter_text, im->digest.text, now->text);
}

static int no_match(const struct plan_image *im, const struct manifest *m, struct err *e)
{
	auto_buf struct buf has = BUF_INIT(BUF_TEXT_MAX);

	for (size_t i = 0; i < m->nmanifests && i < 16; i++) {
		const struct descriptor *d = &m->manifests[i];

		if (d->has_platform)
			buf_printf(&has, "%s%s/%s", has.n ? ", " : "", d->platform.os,
				   d->platform.architecture);
	}
	return err_set(e, ERR_NOT_FOUND,
		       "filtered all images from %s: it is a manifest list without %s%s%s "
		       "(--filter-by-os='.*' takes all platforms)",
		       im->name, im->plan->filter_text, has.n ? ", it has " : "", has.p);
}

// The only entry that was marked takes the place of the list.
static int take_child(struct plan_image *im, const struct manifest *m, struct resolved *ret,
		      struct err *e)
{
	auto_manifest_bytes struct manifest_bytes child = {0};
	size_t i = 0;

	while (!ret->keep[i])
		i++;
	int r = resolve_child(im, &m->manifests[i].digest, 1, &child, e);

	if (r != RESOLVE_DONE)
		return r;
	free(ret->keep);
	ret->keep = NULL;
	manifest_bytes_release(&ret->bytes);
	ret->bytes = child;
	child = (struct manifest_bytes){0};
	return RESOLVE_DONE;
}

// The marked entries make a new list.
static int take_some(struct plan_image *im, struct resolved *ret, struct err *e)
{
	struct manifest_bytes list = {.bytes = BUF_INIT(MANIFEST_MAX)};

	if (manifest_filter_index(&list.bytes, buf_str(&ret->bytes.bytes), ret->keep, e) < 0) {
		manifest_bytes_release(&list);
		return err_wrap(e, "%s", im->name);
	}
	digest_of(&list.digest, DIGEST_SHA256, list.bytes.p, list.bytes.n);
	free(ret->keep);
	ret->keep = NULL;
	manifest_bytes_release(&ret->bytes);
	ret->bytes = list;
	ret->generated = true;
	return RESOLVE_DONE;
}

static int filter_list(struct plan_image *im, const struct manifest *m, struct resolved *ret,
		       struct err *e)
{
	const struct planner *p = im->plan;

	ret->keep = xcalloc(m->nmanifests + 1, sizeof(*ret->keep));
	size_t n = mark_entries(p->filter, m, ret->keep);

	if (p->opt->keep_manifest_list)
		return RESOLVE_DONE;
	if (n == 0)
		return no_match(im, m, e);
	int r = RESOLVE_DONE;

	if (n == 1)
		r = take_child(im, m, ret, e);
	else if (n < m->nmanifests)
		r = take_some(im, ret, e);
	if (r == RESOLVE_DONE)
		tell_digest_change(im, &ret->bytes.digest);
	return r;
}

int resolve_image(struct plan_image *im, struct resolved *ret, struct err *e)
{
	if (ret->ready)
		return RESOLVE_DONE;
	int r = read_source(im, &ret->bytes, e);

	if (r != RESOLVE_DONE)
		return r;
	im->digest = ret->bytes.digest;
	if (!resolve_is_whole(im)) {
		auto_manifest struct manifest m = {0};

		if (manifest_parse(&m, buf_str(&ret->bytes.bytes), ret->bytes.media_type, im->name,
				   e) < 0)
			return -1;
		if (m.kind == MANIFEST_INDEX)
			r = filter_list(im, &m, ret, e);
	}
	ret->ready = r == RESOLVE_DONE;
	return r;
}
