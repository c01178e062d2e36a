// SPDX-License-Identifier: Apache-2.0
// Opening images by reference.
#include "release/image.h"

#include <string.h>

#include "repo/layers.h"

void release_image_release(struct release_image *im)
{
	manifest_release(&im->manifest);
	*im = (struct release_image){0};
}

static int get(struct repo *repo, const char *ref, const char *name, struct manifest *m,
	       struct digest *ret, struct err *e)
{
	auto_manifest_bytes struct manifest_bytes bytes = {0};

	if (repo->ops->manifest_get(repo, ref, &bytes, e) < 0)
		return -1;
	*ret = bytes.digest;
	return manifest_parse(m, buf_str(&bytes.bytes), bytes.media_type, name, e);
}

static bool takes(const struct platform_filter *filter, const struct descriptor *d)
{
	static const struct platform none = {"", "", "", ""};

	return !filter || platform_filter_match(filter, d->has_platform ? &d->platform : &none);
}

int release_no_entry(const struct manifest *list, struct err *e)
{
	auto_buf struct buf have = BUF_INIT(BUF_TEXT_MAX);

	for (size_t i = 0; i < list->nmanifests; i++)
		if (list->manifests[i].has_platform)
			buf_printf(&have, "%s%s/%s", have.n ? ", " : "",
				   list->manifests[i].platform.os,
				   list->manifests[i].platform.architecture);
	return err_set(
		e, ERR_INPUT,
		"the manifest list has no image for the wanted platform (--filter-by-os), only "
		"for %s",
		have.n ? have.p : "none that is named");
}

// Puts the chosen entry in the place of the list.
static int choose(struct release_image *im, const struct platform_filter *filter, const char *name,
		  struct err *e)
{
	auto_manifest struct manifest list = im->manifest;

	im->manifest = (struct manifest){0};
	for (size_t i = 0; i < list.nmanifests; i++)
		if (takes(filter, &list.manifests[i]))
			return get(im->repo, list.manifests[i].digest.text, name, &im->manifest,
				   &im->digest, e);
	return release_no_entry(&list, e);
}

static int open_in(struct repo *repo, const struct reference *ref,
		   const struct platform_filter *filter, const char *name, struct release_image *im,
		   struct err *e)
{
	im->repo = repo;
	if (get(repo, ref->has_digest ? ref->digest.text : ref->tag, name, &im->manifest, &im->root,
		e) < 0)
		return -1;
	im->digest = im->root;
	if (im->manifest.kind == MANIFEST_INDEX && choose(im, filter, name, e) < 0)
		return -1;
	if (im->manifest.kind != MANIFEST_IMAGE)
		return err_set(e, ERR_UNSUPPORTED, "%s",
			       im->manifest.kind == MANIFEST_INDEX
				       ? "a list inside of a list"
				       : "schema 1 images are not supported");
	return 0;
}

static int wrap(const char *name, struct err *e)
{
	if (e->kind == ERR_CANCELLED)
		return -1;
	if (e->kind == ERR_NOT_FOUND)
		return err_wrap(e, "image \"%s\" does not exist", name);
	return err_wrap(e, "unable to read image %s", name);
}

// Media that hold the image make it unnecessary to ask anyone else.
static bool is_on_media(const struct release_sources *src, const struct reference *ref)
{
	struct manifest_stat st;
	struct err e;

	return src->media && ref->has_digest &&
	       src->media->ops->manifest_stat(src->media, ref->digest.text, &st, &e) == 0;
}

int release_open_image(const struct release_sources *src, const struct reference *ref,
		       const struct platform_filter *filter, struct release_image *ret,
		       struct err *e)
{
	auto_free char *name = reference_print(ref);
	struct release_image im = {0};
	struct repo *repo =
		is_on_media(src, ref) ? src->media : places_repo(src->places, ref, false, e);

	if (!repo || open_in(repo, ref, filter, name, &im, e) < 0) {
		release_image_release(&im);
		return wrap(name, e);
	}
	*ret = im;
	return 0;
}

struct stack_source release_image_source(struct release_image *im)
{
	return repo_layers(im->repo);
}
