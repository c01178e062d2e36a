// SPDX-License-Identifier: Apache-2.0
// OCI image layout folders, read only: oci-layout, index.json, blobs/ALGO/HEX.
//
// Spec: OCI image-spec v1.1 image-layout.md. The folder knows tags and images, but no repositories,
// so those follow from the names in the annotations of index.json: "v1" is a tag of a repository
// named after the folder, "quay.io/org/img:v1" the tag v1 of org/img. Every blob can be had from
// each of them. Indexes are followed to a depth of 8, for the list of what is a manifest.
#include "data/json.h"
#include "image/reference.h"
#include "store/internal.h"
#include "util/cleanup.h"
#include "util/trace.h"

#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	LAYOUT_TEXT_MAX = 4096,
	DEPTH_MAX = 8,
	MANIFESTS_MAX = 100000,
	DAMAGED_MAX = 100, // indexes, until nobody looks for more: one file may have many names
};

// Does not change once the store is open.
struct oci {
	char *home; // the repository named after the folder
	struct map repos;
	struct map tags;      // "REPO TAG" → digest text, owned
	struct map manifests; // digest → how deep below index.json
	unsigned damaged;     // of them, as far as they were looked into
};

// ---- names

// "My Images.d" → "my-images.d"
static char *valid_name(const char *text)
{
	auto_buf struct buf name = BUF_INIT(STORE_REPO_MAX + 1);
	struct err ignored;

	for (const char *p = text; *p && name.n < STORE_REPO_MAX; p++) {
		char c = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
		bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

		if (plain)
			buf_putc(&name, c);
		else if (name.n && strchr("._-", c) && !strchr("._-", name.p[name.n - 1]))
			buf_putc(&name, c);
		else if (name.n && !strchr("._-", name.p[name.n - 1]))
			buf_putc(&name, '-');
	}
	while (name.n && strchr("._-", name.p[name.n - 1]))
		name.p[--name.n] = '\0';
	return name.n && repo_check(name.p, &ignored) == 0 ? buf_take(&name) : xstrdup("image");
}

static char *folder_name(const char *dir)
{
	auto_free char *real = realpath(dir, NULL);
	auto_free char *path = xstrdup(real ? real : dir);

	return valid_name(basename(path));
}

static void add_tag(struct oci *oci, const char *repo, const char *tag, const struct digest *d)
{
	auto_free char *key = xasprintf("%s %s", repo, tag);
	struct err ignored;

	if (repo_check(repo, &ignored) < 0 || !tag_valid(tag))
		return;
	map_put(&oci->repos, str_of(repo), NULL);
	struct map_entry *en = map_put(&oci->tags, str_of(key), NULL);

	// What was added last counts.
	free(en->ptr);
	en->ptr = xstrdup(d->text);
}

// What an annotation calls the image D.
static void add_name(struct oci *oci, const char *name, const struct digest *d)
{
	auto_reference struct reference ref = {0};
	struct err why;

	if (!*name)
		return;
	if (!strpbrk(name, "/:@")) {
		add_tag(oci, oci->home, name, d);
		return;
	}
	if (reference_parse(&ref, name, REF_NO_PREFIX, &why) < 0) {
		trace("store", "%s", why.text);
		return;
	}
	if (*ref.tag)
		add_tag(oci, ref.repository, ref.tag, d);
	else if (!ref.has_digest)
		add_tag(oci, ref.repository, "latest", d);
	else if (repo_check(ref.repository, &why) == 0)
		map_put(&oci->repos, str_of(ref.repository), NULL);
}

// ---- index.json

static int read_file(struct store *s, const char *name, size_t max, struct buf *ret, struct err *e)
{
	auto_content struct content c = {0};

	if (content_open(&c, s->dir_fd, name, e) < 0 || content_read(&c, max, ret, e) < 0)
		return err_wrap(e, "'%s/%s'", s->dir, name);
	return 0;
}

static int check_version(struct store *s, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(LAYOUT_TEXT_MAX);
	auto_json struct json_doc doc = {0};
	const char *version;

	if (read_file(s, "oci-layout", LAYOUT_TEXT_MAX, &text, e) < 0)
		return -1;
	if (json_parse(&doc, buf_str(&text), JSON_LIMITS(LAYOUT_TEXT_MAX), 0, e) < 0)
		return err_wrap(e, "'%s/oci-layout'", s->dir);
	struct json root = json_root(&doc), at = json_member(&root, "imageLayoutVersion");

	if (json_text(&at, &version, e) < 0)
		return err_wrap(e, "'%s/oci-layout'", s->dir);
	if (!starts_with(version, "1."))
		return err_set(e, ERR_UNSUPPORTED,
			       "'%s' has the OCI layout version '%.20s', which is not known here",
			       s->dir, version);
	return 0;
}

// What is known not to be an index is as deep as can be: nobody looks into it.
static void add_manifest(struct oci *oci, const struct digest *d, const char *media_type,
			 unsigned depth)
{
	bool made = false;

	if (oci->manifests.n >= MANIFESTS_MAX)
		return;
	struct map_entry *en = map_put(&oci->manifests, str_of(d->text), &made);

	if (made)
		en->num = *media_type && !media_type_is_index(media_type) ? DEPTH_MAX : depth;
}

static int read_entry(struct oci *oci, const struct json *at, struct err *e)
{
	static const char *const names[] = {"io.containerd.image.name",
					    "org.opencontainers.image.ref.name"};
	struct json digest = json_member(at, "digest"), type = json_member(at, "mediaType");
	struct json notes = json_member(at, "annotations");
	const char *text;
	struct digest d;

	if (json_text(&digest, &text, e) < 0)
		return -1;
	if (digest_parse(&d, text, e) < 0)
		return json_fail(&digest, e, "not a digest");
	if (json_text_or(&type, "", &text, e) < 0)
		return -1;
	add_manifest(oci, &d, text, 1);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct json name = json_member(&notes, names[i]);

		if (json_text_or(&name, "", &text, e) < 0)
			return -1;
		add_name(oci, text, &d);
	}
	return 0;
}

static int read_index(struct store *s, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(MANIFEST_MAX);
	auto_json struct json_doc doc = {0};
	size_t n;

	if (read_file(s, "index.json", MANIFEST_MAX, &text, e) < 0)
		return -1;
	if (json_parse(&doc, buf_str(&text), JSON_LIMITS(MANIFEST_MAX), 0, e) < 0)
		return err_wrap(e, "'%s/index.json'", s->dir);
	struct json root = json_root(&doc), manifests = json_member(&root, "manifests");

	if (json_items(&manifests, &n, e) < 0)
		return err_wrap(e, "'%s/index.json'", s->dir);
	for (size_t i = 0; i < n; i++) {
		struct json item = json_item(&manifests, i);

		if (read_entry(s->own, &item, e) < 0)
			return err_wrap(e, "'%s/index.json'", s->dir);
	}
	return 0;
}

// ---- blobs

static char *blob_path(const struct digest *d)
{
	return xasprintf("%s/%s", digest_algo_name(d->algo), digest_hex(d));
}

static int oci_blob_open(struct store *s, const char *repo, const struct digest *d,
			 struct content *ret, struct err *e)
{
	struct oci *oci = s->own;
	auto_free char *path = blob_path(d);

	if (s->state_fd < 0 || !map_find(&oci->repos, str_of(repo)))
		return err_set(e, ERR_NOT_FOUND, "unknown blob: %s", d->text);
	return content_open(ret, s->state_fd, path, e);
}

static int oci_blob_find(struct store *s, const char *repo, const struct digest *d,
			 struct content *ret, char **ret_home, struct err *e)
{
	struct oci *oci = s->own;

	(void)repo;
	if (oci_blob_open(s, oci->home, d, ret, e) < 0)
		return -1;
	*ret_home = NULL;
	return 0;
}

static int oci_manifest_read(struct store *s, const char *repo, const struct digest *d,
			     struct buf *ret, struct err *e)
{
	auto_content struct content c = {0};
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	struct digest got;

	if (oci_blob_open(s, repo, d, &c, e) < 0)
		return err_set(e, ERR_NOT_FOUND,
			       "unknown blob: manifest %s is not in '%s' (repository '%s')",
			       d->text, s->dir, repo);
	if (content_read(&c, MANIFEST_MAX, &bytes, e) == 0) {
		digest_of(&got, d->algo, bytes.p, bytes.n);
		if (digest_equal(&got, d))
			return buf_add(ret, bytes.p, bytes.n, e);
	}
	return err_set(e, ERR_DIGEST, "manifest %s in %s is damaged on the medium", d->text,
		       s->dir);
}

// The entries of the index D, which are manifests as well.
static void read_children(struct store *s, const struct digest *d, unsigned depth)
{
	struct oci *oci = s->own;
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	auto_manifest struct manifest m = {0};
	struct err why;

	if (oci_manifest_read(s, oci->home, d, &bytes, &why) < 0 ||
	    manifest_parse(&m, buf_str(&bytes), NULL, d->text, &why) < 0) {
		trace("store", "%s", why.text);
		oci->damaged += why.kind != ERR_NOT_FOUND;
		return;
	}
	for (size_t i = 0; i < m.nmanifests; i++)
		add_manifest(oci, &m.manifests[i].digest, m.manifests[i].media_type, depth + 1);
}

// Each manifest comes behind the index that names it first, so its depth is the smallest.
static int read_nested(struct store *s, struct err *e)
{
	struct oci *oci = s->own;

	for (size_t i = 0; i < oci->manifests.n && oci->damaged < DAMAGED_MAX; i++) {
		const struct map_entry en = oci->manifests.entries[i]; // which may move
		struct digest d;

		if (cancelled(s->cancel))
			return err_cancelled(e);
		if (en.num < DEPTH_MAX && digest_parse(&d, en.key, e) == 0)
			read_children(s, &d, (unsigned)en.num);
	}
	return 0;
}

// ---- tags and lists

static int oci_tag_get(struct store *s, const char *repo, const char *tag, struct digest *ret,
		       struct buf *bytes, bool *ret_file, struct err *e)
{
	struct oci *oci = s->own;
	auto_free char *key = xasprintf("%s %s", repo, tag);
	const char *text = map_get(&oci->tags, key);

	(void)bytes;
	*ret_file = false;
	if (text)
		return digest_parse(ret, text, e);
	return err_set(e, ERR_NOT_FOUND, "unknown blob: tag '%s' is not in '%s' (repository '%s')",
		       tag, s->dir, repo);
}

static int oci_tags(struct store *s, const char *repo, struct strlist *ret, struct err *e)
{
	struct oci *oci = s->own;
	size_t n = strlen(repo);

	(void)e;
	for (size_t i = 0; i < oci->tags.n; i++) {
		const char *key = oci->tags.entries[i].key;

		if (strncmp(key, repo, n) == 0 && key[n] == ' ')
			strlist_add(ret, key + n + 1);
	}
	return 0;
}

static int oci_repositories(struct store *s, struct strlist *ret, struct err *e)
{
	struct oci *oci = s->own;

	(void)e;
	for (size_t i = 0; i < oci->repos.n; i++)
		strlist_add(ret, oci->repos.entries[i].key);
	return 0;
}

struct listing {
	struct oci *oci;
	const char *algo;
	struct strlist *blobs;
};

static int list_blob(void *arg, const struct folder_entry *entry, struct err *e)
{
	struct listing *l = arg;
	auto_free char *text = xasprintf("%s:%s", l->algo, entry->name);
	struct digest d;

	if ((entry->type == DT_REG || entry->type == DT_LNK) && digest_parse(&d, text, e) == 0 &&
	    !map_find(&l->oci->manifests, str_of(d.text)))
		strlist_add(l->blobs, d.text);
	return 0;
}

static int oci_contents(struct store *s, const char *repo, struct strlist *ret_manifests,
			struct strlist *ret_blobs, struct err *e)
{
	struct oci *oci = s->own;

	if (s->state_fd < 0 || !map_find(&oci->repos, str_of(repo)))
		return 0;
	for (enum digest_algo a = DIGEST_SHA256; a <= DIGEST_SHA512; a++) {
		struct listing l = {oci, digest_algo_name(a), ret_blobs};

		if (folder_list(s->state_fd, l.algo, list_blob, &l, e) < 0)
			return -1;
	}
	// An index need not have all that it names.
	for (size_t i = 0; i < oci->manifests.n; i++) {
		auto_content struct content c = {0};
		struct digest d;
		struct err ignored;

		if (digest_parse(&d, oci->manifests.entries[i].key, e) < 0)
			return -1;
		if (oci_blob_open(s, repo, &d, &c, &ignored) == 0)
			strlist_add(ret_manifests, d.text);
	}
	strlist_sort(ret_manifests);
	strlist_sort(ret_blobs);
	return 0;
}

static bool oci_has_repository(struct store *s, const char *repo)
{
	struct oci *oci = s->own;

	return map_find(&oci->repos, str_of(repo)) != NULL;
}

static bool oci_where(struct store *s, const char *repo, const struct digest *d, bool manifest,
		      unsigned i, struct place *ret)
{
	(void)manifest;
	if (i > 0 || s->state_fd < 0 || !oci_has_repository(s, repo))
		return false;
	snprintf(ret->path, sizeof(ret->path), "%s/%s", digest_algo_name(d->algo), digest_hex(d));
	ret->root = s->state_fd;
	ret->pieces = ret->sized = false;
	ret->guess = true;
	return true;
}

static uint64_t oci_stamp(struct store *s, const char *repo)
{
	(void)s; // what was read at the start counts
	(void)repo;
	return 1;
}

static int oci_origins_load(struct store *s, struct err *e)
{
	(void)s;
	(void)e;
	return 0;
}

// ---- opening

static int oci_open(struct store *s, struct buf *notice, struct err *e)
{
	struct oci *oci = xcalloc(1, sizeof(*oci));

	(void)notice;
	s->own = oci;
	oci->home = folder_name(s->dir);
	map_put(&oci->repos, str_of(oci->home), NULL);
	if (check_version(s, e) < 0 || read_index(s, e) < 0)
		return -1;
	return read_nested(s, e);
}

static void oci_close(struct store *s)
{
	struct oci *oci = s->own;

	if (!oci)
		return;
	for (size_t i = 0; i < oci->tags.n; i++)
		free(oci->tags.entries[i].ptr);
	map_release(&oci->tags);
	map_release(&oci->repos);
	map_release(&oci->manifests);
	free(oci->home);
	free(oci);
}

// There is nothing for writing: such a folder is never opened for it.
const struct layout layout_oci = {
	.name = "OCI",
	.state = "blobs",
	.open = oci_open,
	.close = oci_close,
	.blob_open = oci_blob_open,
	.blob_find = oci_blob_find,
	.manifest_read = oci_manifest_read,
	.tag_get = oci_tag_get,
	.tags = oci_tags,
	.repositories = oci_repositories,
	.contents = oci_contents,
	.origins_load = oci_origins_load,
	.where = oci_where,
	.has_repository = oci_has_repository,
	.stamp = oci_stamp,
};
