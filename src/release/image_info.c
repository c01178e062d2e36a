// SPDX-License-Identifier: Apache-2.0
// Reading manifests and configurations of images.
#include "release/image_info.h"

#include <stdlib.h>
#include <string.h>

#include "data/gofmt.h"
#include "data/tabwriter.h"
#include "repo/layers.h"

#define CONFIG_MAX ((size_t)8 << 20)

// One reference that is being read.
struct reading {
	struct repo *repo;
	const struct reference *ref;
	const struct image_info_options *opt;
	const char *name; // for messages
	atomic_size_t *budget;
	struct image_infos to;
};

static void info_release(struct image_info *im)
{
	free(im->name);
	manifest_release(&im->manifest);
	json_release(&im->config);
}

void image_infos_release(struct image_infos *l)
{
	for (size_t i = 0; i < l->n; i++)
		info_release(&l->v[i]);
	free(l->v);
	*l = (struct image_infos){0};
}

// Takes N bytes off what may be read in all.
static int spend(atomic_size_t *budget, size_t n, struct err *e)
{
	size_t left = atomic_load(budget);

	while (n <= left && !atomic_compare_exchange_weak(budget, &left, left - n))
		;
	return n <= left ? 0
			 : err_set(e, ERR_INPUT,
				   "the configurations of all images together are too large");
}

static int read_config(struct reading *r, struct image_info *im, struct err *e)
{
	auto_buf struct buf bytes = BUF_INIT(CONFIG_MAX);
	struct json root;

	if (repo_read_blob(r->repo, &im->manifest.config, &bytes, e) < 0)
		return -1;
	if (spend(r->budget, bytes.n, e) < 0)
		return -1;
	if (json_parse(&im->config, buf_str(&bytes), JSON_LIMITS(CONFIG_MAX), 0, e) < 0)
		return err_wrap(e, "image configuration");
	root = json_root(&im->config);
	if (json_need_object(&root, e) < 0)
		return err_wrap(e, "image configuration");
	return 0;
}

// The name as it is printed: what kind of place it is in does not belong to it.
static char *plain_name(const struct reference *ref)
{
	struct reference plain = *ref;

	plain.type = REF_REGISTRY;
	return reference_print(&plain);
}

// Takes M, which is the manifest BYTES.
static int add_image(struct reading *r, struct manifest *m, const struct manifest_bytes *bytes,
		     const struct digest *list, struct err *e)
{
	struct image_info im = {.name = plain_name(r->ref),
				.by_digest = r->ref->has_digest &&
					     digest_equal(&r->ref->digest, &bytes->digest),
				.digest = bytes->digest,
				.in_list = list != NULL,
				.manifest = *m,
				.manifest_size = bytes->bytes.n};

	*m = (struct manifest){0};
	if (list)
		im.list = *list;
	for (size_t i = 0; i < im.manifest.nlayers; i++)
		im.size += im.manifest.layers[i].size;
	if (read_config(r, &im, e) < 0) {
		info_release(&im);
		return -1;
	}
	r->to.v = xreallocarray(r->to.v, r->to.n + 1, sizeof(*r->to.v));
	r->to.v[r->to.n++] = im;
	return 0;
}

static int get_manifest(struct reading *r, const char *ref, struct manifest_bytes *bytes,
			struct manifest *ret, struct err *e)
{
	if (r->repo->ops->manifest_get(r->repo, ref, bytes, e) < 0)
		return -1;
	return manifest_parse(ret, buf_str(&bytes->bytes), bytes->media_type, r->name, e);
}

static int read_entry(struct reading *r, const struct digest *list, const struct digest *d,
		      struct err *e)
{
	auto_manifest_bytes struct manifest_bytes bytes = {0};
	auto_manifest struct manifest m = {0};

	if (get_manifest(r, d->text, &bytes, &m, e) < 0)
		return err_wrap(e, "entry %s", d->text);
	if (m.kind != MANIFEST_IMAGE)
		return err_set(e, ERR_UNSUPPORTED, "entry %s is no image", d->text);
	return add_image(r, &m, &bytes, list, e);
}

static void print_platform(struct buf *out, const struct descriptor *d)
{
	static const struct platform none = {"", "", "", ""};
	const struct platform *p = d->has_platform ? &d->platform : &none;

	buf_printf(out, "%s/%s%s%s", p->os, p->architecture, *p->variant ? "/" : "", p->variant);
}

// What there is to choose from; the platforms alone when the table is too long for a message.
static int ask_to_choose(const struct manifest *list, struct err *e)
{
	static const char ask[] = "the image is a manifest list and contains multiple images - use "
				  "--filter-by-os to select from:";
	auto_buf struct buf rows = BUF_INIT(BUF_TEXT_MAX), table = BUF_INIT(BUF_TEXT_MAX);
	auto_buf struct buf names = BUF_INIT(BUF_TEXT_MAX);

	buf_puts(&rows, "  OS\tDIGEST\n");
	for (size_t i = 0; i < list->nmanifests; i++) {
		buf_puts(&rows, "  ");
		print_platform(&rows, &list->manifests[i]);
		buf_printf(&rows, "\t%s\n", list->manifests[i].digest.text);
		buf_puts(&names, i ? ", " : " ");
		print_platform(&names, &list->manifests[i]);
	}
	tab_align(&table, buf_str(&rows), 1);
	if (sizeof(ask) + table.n + 2 <= sizeof(e->text))
		return err_set(e, ERR_INPUT, "%s\n\n%s", ask, table.p);
	return err_set(e, ERR_INPUT, "%s%s", ask, names.p);
}

static bool is_wanted(const struct reading *r, const struct manifest *list, size_t i)
{
	static const struct platform none = {"", "", "", ""};
	const struct descriptor *d = &list->manifests[i];

	if (!r->opt->filter || (list->nmanifests == 1 && r->opt->any_of_one))
		return true;
	return platform_filter_match(r->opt->filter, d->has_platform ? &d->platform : &none);
}

static int read_list(struct reading *r, const struct manifest *list, const struct digest *root,
		     struct err *e)
{
	size_t wanted = 0;

	for (size_t i = 0; i < list->nmanifests; i++)
		wanted += is_wanted(r, list, i);
	if (wanted == 0 || (wanted > 1 && !r->opt->several))
		return ask_to_choose(list, e);
	for (size_t i = 0; i < list->nmanifests; i++)
		if (is_wanted(r, list, i) && read_entry(r, root, &list->manifests[i].digest, e) < 0)
			return err_wrap(e, "unable to read image %s", r->name);
	return 0;
}

static int wrap(const char *name, struct err *e)
{
	if (e->kind == ERR_CANCELLED)
		return -1;
	if (e->kind == ERR_NOT_FOUND)
		return err_wrap(e, "image \"%s\" not found", name);
	return err_wrap(e, "unable to read image %s", name);
}

static int read_root(struct reading *r, struct err *e)
{
	auto_manifest_bytes struct manifest_bytes bytes = {0};
	auto_manifest struct manifest m = {0};
	const char *wanted = r->ref->has_digest ? r->ref->digest.text : r->ref->tag;

	if (get_manifest(r, wanted, &bytes, &m, e) < 0)
		return wrap(r->name, e);
	if (m.kind == MANIFEST_INDEX)
		return read_list(r, &m, &bytes.digest, e);
	if (m.kind == MANIFEST_SCHEMA1)
		return err_set(e, ERR_UNSUPPORTED,
			       "unable to read image %s: schema 1 images are not supported",
			       r->name);
	if (add_image(r, &m, &bytes, NULL, e) < 0)
		return wrap(r->name, e);
	return 0;
}

int image_infos_read(struct image_infos *ret, struct repo *repo, const struct reference *ref,
		     const struct image_info_options *opt, struct err *e)
{
	auto_free char *name = reference_print(ref);
	atomic_size_t budget = IMAGE_CONFIGS_MAX;
	struct reading r = {.repo = repo,
			    .ref = ref,
			    .opt = opt,
			    .name = name,
			    .budget = opt->budget ? opt->budget : &budget};

	if (read_root(&r, e) < 0) {
		image_infos_release(&r.to);
		return -1;
	}
	*ret = r.to;
	return 0;
}

bool image_info_created(const struct image_info *im, int64_t *ret)
{
	struct json root = json_root(&im->config), at = json_member(&root, "created");
	const char *text = json_as_text(&at);

	return !starts_with(text, "0001-01-01T00:00:00") && gofmt_parse_time(str_of(text), ret);
}
