// SPDX-License-Identifier: Apache-2.0
// Reading a release image: manifest, configuration, and the layers from the last to the first.
#include "release/payload.h"

#include <inttypes.h>
#include <string.h>

#include "layer/layer.h"
#include "release/image.h"
#include "repo/layers.h"
#include "util/map.h"

#define CONFIG_MAX       ((size_t)8 << 20)
#define LAYER_BYTES_MAX  ((uint64_t)16 << 30) // of one layer of a release image, unpacked
#define FOLDER_FILES_MAX 20000
#define FOLDER_BYTES_MAX ((uint64_t)512 << 20)
#define WHITEOUT         ".wh."
#define WHITEOUT_ALL     ".wh..wh..opq"

struct scan {
	struct repo *repo;
	const struct payload_options *opt;
	struct payload *to;
	struct map hidden;  // names in the folder that a higher layer has or removed
	struct map pending; // the same, of the layer being read
	bool folder_ends;   // lower layers' folder does not count
	bool found;         // image-references
	size_t files;
	uint64_t bytes;
};

static void merge(struct map *to, struct map *from)
{
	for (size_t i = 0; i < from->n; i++)
		map_put(to, (struct str){from->entries[i].key, from->entries[i].len}, NULL);
	map_release(from);
	*from = (struct map){0};
}

// ".wh.NAME", ".wh.release-manifests", or everything in a folder.
static void note_whiteout(struct scan *s, const char *name, bool in_folder)
{
	bool all = strcmp(name, WHITEOUT_ALL) == 0;

	if (all || (!in_folder && strcmp(name + strlen(WHITEOUT), PAYLOAD_FOLDER) == 0))
		s->folder_ends = true;
	else if (in_folder)
		map_put(&s->pending, str_of(name + strlen(WHITEOUT)), NULL);
}

// The name of PATH in the folder; NULL when it is elsewhere.
static const char *in_folder(const char *path)
{
	size_t n = strlen(PAYLOAD_FOLDER);

	return strncmp(path, PAYLOAD_FOLDER "/", n + 1) == 0 ? path + n + 1 : NULL;
}

static int keep_file(struct scan *s, const char *name, struct buf *bytes, struct err *e)
{
	struct buf *to = NULL;

	if (s->opt->file && s->opt->file(s->opt->arg, name, buf_str(bytes), e) < 0)
		return -1;
	if (strcmp(name, "image-references") == 0)
		to = &s->to->references;
	else if (strcmp(name, "release-metadata") == 0)
		to = &s->to->metadata;
	if (!to)
		return 0;
	s->found |= to == &s->to->references;
	buf_free(to);
	*to = *bytes;
	*bytes = (struct buf)BUF_INIT(PAYLOAD_FILE_MAX);
	return 0;
}

static int read_file(struct scan *s, struct layer *l, const char *name, struct err *e)
{
	auto_buf struct buf bytes = BUF_INIT(PAYLOAD_FILE_MAX);

	if (++s->files > FOLDER_FILES_MAX)
		return err_set(e, ERR_INPUT, "release payload has more than %d files",
			       FOLDER_FILES_MAX);
	if (layer_read_all(l, &bytes, e) < 0)
		return -1;
	s->bytes += bytes.n;
	if (s->bytes > FOLDER_BYTES_MAX)
		return err_set(e, ERR_INPUT, "release payload has more than %" PRIu64 " bytes",
			       FOLDER_BYTES_MAX);
	return keep_file(s, name, &bytes, e);
}

static bool is_wanted(const struct scan *s, const char *name)
{
	return s->opt->file || strcmp(name, "image-references") == 0 ||
	       strcmp(name, "release-metadata") == 0;
}

static int read_entry(struct scan *s, struct layer *l, const struct layer_entry *entry,
		      struct err *e)
{
	auto_free char *name = NULL;
	const char *inside = in_folder(entry->path);
	const char *base = inside ? inside : entry->path;

	if (starts_with(base, WHITEOUT) && !strchr(base, '/')) {
		note_whiteout(s, base, inside != NULL);
		return 0;
	}
	if (entry->type == LAYER_DIR && (inside || strcmp(entry->path, PAYLOAD_FOLDER) == 0))
		s->to->folders++;
	if (!inside || entry->type != LAYER_FILE || map_find(&s->hidden, str_of(inside)))
		return 0;
	if (s->pending.n > FOLDER_FILES_MAX)
		return err_set(e, ERR_INPUT, "release payload has more than %d files",
			       FOLDER_FILES_MAX);
	name = xstrdup(inside); // the entry is only borrowed
	map_put(&s->pending, str_of(name), NULL);
	return is_wanted(s, name) ? read_file(s, l, name, e) : 0;
}

static int scan_layer(struct scan *s, const struct descriptor *d, struct err *e)
{
	struct layer_limits limits = {.max_compressed = d->size ? d->size : 1,
				      .max_bytes = LAYER_BYTES_MAX};
	struct layer_entry entry;
	struct stream *stream = s->repo->ops->blob_open(s->repo, d, 0, e);

	if (!stream)
		return -1;
	auto_of(layer_free) struct layer *l = layer_open(stream, &d->digest, &limits, e);

	if (!l)
		return -1;
	int r;

	while ((r = layer_next(l, &entry, e)) > 0)
		if (read_entry(s, l, &entry, e) < 0)
			return -1;
	// Whatever made the tar unreadable, wrong content is the better explanation.
	struct err why;

	if (layer_finish(l, &why) < 0) {
		*e = why;
		return -1;
	}
	merge(&s->hidden, &s->pending);
	return r;
}

static int scan_layers(struct scan *s, const struct manifest *m, struct err *e)
{
	for (size_t i = m->nlayers; i-- > 0 && !s->found && !s->folder_ends;)
		if (scan_layer(s, &m->layers[i], e) < 0)
			return err_wrap(e, "layer %s", m->layers[i].digest.text);
	return 0;
}

static int read_config(struct payload *ret, struct repo *repo, const struct descriptor *d,
		       struct err *e)
{
	if (repo_read_blob(repo, d, &ret->config, e) < 0)
		return -1;
	return config_platform(buf_str(&ret->config), &ret->os, &ret->architecture, e);
}

static bool is_chosen(const struct descriptor *d, const struct payload_options *opt)
{
	static const struct platform none = {"", "", "", ""};

	if (opt->filter)
		return platform_filter_match(opt->filter, d->has_platform ? &d->platform : &none);
	return opt->keep_manifest_list && d->has_platform && strcmp(d->platform.os, "linux") == 0 &&
	       strcmp(d->platform.architecture, "amd64") == 0;
}

// Which entry of a list is read: what the filter takes, linux/amd64 if that is wanted and there,
// else the first.
static int choose_entry(const struct manifest *list, const struct payload_options *opt, size_t *ret,
			struct err *e)
{
	*ret = 0;
	for (size_t i = 0; i < list->nmanifests; i++)
		if (is_chosen(&list->manifests[i], opt)) {
			*ret = i;
			return 0;
		}
	return opt->filter ? release_no_entry(list, e) : 0;
}

static int get_manifest(struct payload *ret, struct repo *repo, const char *ref, const char *name,
			struct manifest *m, struct err *e)
{
	auto_manifest_bytes struct manifest_bytes bytes = {0};

	if (repo->ops->manifest_get(repo, ref, &bytes, e) < 0)
		return -1;
	ret->digest = bytes.digest;
	return manifest_parse(m, buf_str(&bytes.bytes), bytes.media_type, name, e);
}

// The manifest of one platform.
static int find_image(struct payload *ret, struct repo *repo, const struct reference *ref,
		      const char *name, const struct payload_options *opt, struct manifest *m,
		      struct err *e)
{
	auto_manifest struct manifest list = {0};
	const char *wanted = ref->has_digest ? ref->digest.text : ref->tag;

	if (get_manifest(ret, repo, wanted, name, m, e) < 0)
		return -1;
	ret->root = ret->digest;
	ret->is_list = m->kind == MANIFEST_INDEX;
	if (!ret->is_list)
		return 0;
	list = *m;
	*m = (struct manifest){0};
	if (list.nmanifests == 0)
		return err_set(e, ERR_INPUT, "the manifest list is empty");
	size_t chosen;

	if (choose_entry(&list, opt, &chosen, e) < 0)
		return -1;
	return get_manifest(ret, repo, list.manifests[chosen].digest.text, name, m, e);
}

static int wrap_read(const char *name, struct err *e)
{
	if (e->kind == ERR_NOT_FOUND)
		return err_wrap(e, "image \"%s\" not found", name);
	return err_wrap(e, "unable to read image %s", name);
}

static int read_image(struct payload *ret, struct repo *repo, const struct reference *ref,
		      const struct payload_options *opt, struct err *e)
{
	auto_manifest struct manifest m = {0};
	auto_free char *name = reference_print(ref);
	struct scan s = {.repo = repo, .opt = opt, .to = ret};

	if (find_image(ret, repo, ref, name, opt, &m, e) < 0)
		return wrap_read(name, e);
	if (m.kind != MANIFEST_IMAGE)
		return err_set(e, ERR_UNSUPPORTED, "unable to read image %s: %s", name,
			       m.kind == MANIFEST_INDEX ? "a list inside of a list"
							: "schema 1 images are not supported");
	if (read_config(ret, repo, &m.config, e) < 0)
		return err_wrap(e, "unable to read image %s", name);
	for (size_t i = 0; i < m.nlayers; i++)
		ret->size += m.layers[i].size;
	int r = scan_layers(&s, &m, e);

	map_release(&s.hidden);
	map_release(&s.pending);
	if (r < 0)
		return err_wrap(e, "unable to read image %s", name);
	return 0;
}

int payload_read(struct payload *ret, struct repo *repo, const struct reference *ref,
		 const struct payload_options *opt, struct err *e)
{
	struct payload p = {.config = BUF_INIT(CONFIG_MAX),
			    .references = BUF_INIT(PAYLOAD_FILE_MAX),
			    .metadata = BUF_INIT(PAYLOAD_FILE_MAX)};

	if (read_image(&p, repo, ref, opt, e) < 0) {
		payload_release(&p);
		return -1;
	}
	*ret = p;
	return 0;
}
