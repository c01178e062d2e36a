// SPDX-License-Identifier: Apache-2.0
// Reading a release for its facts.
#include "release/info.h"

#include <stdlib.h>
#include <string.h>

#include "data/gofmt.h"
#include "release/tasks.h"
#include "util/map.h"

#define CONFIG_MAX ((size_t)8 << 20)

void release_info_release(struct release_info *r)
{
	free(r->image);
	reference_release(&r->ref);
	payload_release(&r->payload);
	json_release(&r->config);
	json_release(&r->references);
	json_release(&r->metadata);
	for (size_t i = 0; i < r->nmanifests; i++) {
		free(r->manifests[i].name);
		buf_free(&r->manifests[i].bytes);
	}
	free(r->manifests);
	for (size_t i = 0; r->images && i < r->ntags; i++)
		image_infos_release(&r->images[i]);
	free(r->images);
	free(r->tags);
	component_versions_release(&r->versions);
	strlist_release(&r->warnings);
	strlist_release(&r->notes);
	*r = (struct release_info){0};
}

// Files of the folder as they come: a name may come again.
struct files {
	struct map manifests; // name → struct buf *
	struct map others;
};

static bool is_manifest(const char *name)
{
	const char *base = strrchr(name, '/'), *dot = strrchr(base ? base : name, '.');

	return dot &&
	       (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0 || strcmp(dot, ".json") == 0);
}

static int keep_file(void *arg, const char *name, struct str bytes, struct err *e)
{
	struct files *f = arg;

	if (strcmp(name, "image-references") == 0 || strcmp(name, "release-metadata") == 0)
		return 0;
	if (!is_manifest(name)) {
		map_put(&f->others, str_of(name), NULL);
		return 0;
	}
	struct map_entry *en = map_put(&f->manifests, str_of(name), NULL);

	if (!en->ptr) {
		en->ptr = xcalloc(1, sizeof(struct buf));
		*(struct buf *)en->ptr = (struct buf)BUF_INIT(PAYLOAD_FILE_MAX);
	}
	buf_clear(en->ptr);
	return buf_add(en->ptr, bytes.p, bytes.n, e);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct release_file *)a)->name,
		      ((const struct release_file *)b)->name);
}

static void take_files(struct release_info *ret, struct files *f)
{
	ret->manifests = xcalloc(f->manifests.n + 1, sizeof(*ret->manifests));
	for (size_t i = 0; i < f->manifests.n; i++) {
		struct map_entry *en = &f->manifests.entries[i];

		ret->manifests[ret->nmanifests++] =
			(struct release_file){xstrdup(en->key), *(struct buf *)en->ptr};
		free(en->ptr);
	}
	if (ret->nmanifests > 1)
		qsort(ret->manifests, ret->nmanifests, sizeof(*ret->manifests), by_name);
	ret->nothers = f->others.n + ret->payload.folders;
	map_release(&f->manifests);
	map_release(&f->others);
}

static int read_payload(struct release_info *ret, struct places *places,
			const struct release_info_request *req, struct err *e)
{
	struct files files = {0};
	struct payload_options opt = {
		.keep_manifest_list = true,
		.filter = req->default_filter ? NULL : req->filter,
		.file = keep_file,
		.arg = &files,
	};
	struct repo *repo = places_repo(places, &ret->ref, false, e);
	int r = repo ? payload_read(&ret->payload, repo, &ret->ref, &opt, e) : -1;

	take_files(ret, &files);
	return r;
}

static int parse_documents(struct release_info *r, struct err *e)
{
	const struct json_limits limits = JSON_LIMITS(PAYLOAD_FILE_MAX);
	const struct payload *p = &r->payload;

	if (json_parse(&r->config, buf_str(&p->config), JSON_LIMITS(CONFIG_MAX), 0, e) < 0)
		return err_wrap(e, "image configuration");
	if (p->references.n == 0)
		return err_set(e, ERR_INPUT,
			       "release image did not contain an image-references file");
	if (json_parse(&r->references, buf_str(&p->references), limits, 0, e) < 0)
		return err_wrap(e, "release image could not be read: image-references");
	if (p->metadata.n > 0 && json_parse(&r->metadata, buf_str(&p->metadata), limits, 0, e) < 0)
		return err_wrap(e, "release image could not be read: invalid release metadata");
	return payload_parse(&r->payload, e);
}

// Everything in it has been read as text once, by payload_parse, or is left out when it is not.
static void read_tag(struct release_info *r, const struct json *at, struct versions_of *versions)
{
	struct json name = json_member(at, "name"), from = json_member(at, "from");
	struct json kind = json_member(&from, "kind"), spec = json_member(&from, "name");
	struct json notes = json_member(at, "annotations");
	struct json location = json_member(&notes, "io.openshift.build.source-location");
	struct json commit = json_member(&notes, "io.openshift.build.commit.id");
	struct json label = json_member(&notes, "io.openshift.build.versions");
	struct json display = json_member(&notes, "io.openshift.build.version-display-names");
	bool image = strcmp(json_as_text(&kind), "DockerImage") == 0;

	r->tags[r->ntags++] = (struct release_tag){
		.name = json_as_text(&name),
		.spec = image ? json_as_text(&spec) : NULL,
		.location = json_as_text(&location),
		.commit = json_as_text(&commit),
	};
	*versions = (struct versions_of){
		.tag = json_as_text(&name),
		.versions = json_as_text(&label),
		.display_names = json_as_text(&display),
	};
}

static int read_tags(struct release_info *r, struct err *e)
{
	struct json root = json_root(&r->references), spec = json_member(&root, "spec");
	struct json tags = json_member(&spec, "tags");
	size_t n;

	if (json_items(&tags, &n, e) < 0)
		return -1;
	auto_free struct versions_of *versions = xcalloc(n + 1, sizeof(*versions));

	r->tags = xcalloc(n + 1, sizeof(*r->tags));
	for (size_t i = 0; i < n; i++) {
		struct json tag = json_item(&tags, i);

		read_tag(r, &tag, &versions[i]);
	}
	component_versions_read(&r->versions, versions, n, &r->warnings, &r->notes);
	return 0;
}

// Images that are looked at side by side.
struct looking {
	struct release_info *r;
	struct places *places;
	struct image_info_options opt;
	struct repo *folder; // that the release came from; NULL for a registry
	struct err *failed;  // one for each tag
};

// The folder that the release image comes from may hold its components, too.
static struct repo *repo_of(struct looking *l, const struct reference *ref, struct err *e)
{
	struct manifest_stat st;

	if (l->folder && ref->has_digest &&
	    l->folder->ops->manifest_stat(l->folder, ref->digest.text, &st, e) == 0)
		return l->folder;
	return places_repo(l->places, ref, false, e);
}

static void look(void *arg, size_t i)
{
	struct looking *l = arg;
	auto_reference struct reference ref = {0};
	struct err *e = &l->failed[i];
	struct err why = {0};

	if (!l->r->tags[i].spec)
		return;
	if (reference_parse(&ref, l->r->tags[i].spec, REF_NO_PREFIX, e) < 0)
		return;
	struct repo *repo = repo_of(l, &ref, &why);

	if (!repo || image_infos_read(&l->r->images[i], repo, &ref, &l->opt, &why) < 0)
		*e = why;
}

static int look_at_images(struct release_info *r, struct places *places,
			  const struct release_info_request *req, struct err *e)
{
	auto_free struct err *failed = xcalloc(r->ntags + 1, sizeof(*failed));
	atomic_size_t budget = IMAGE_CONFIGS_MAX; // a real release takes a tenth of it
	struct looking l = {
		.r = r,
		.places = places,
		.opt = {.filter = req->filter,
			.any_of_one = req->default_filter,
			.budget = &budget},
		.failed = failed,
	};

	if (r->ref.type == REF_FILE) {
		l.folder = places_repo(places, &r->ref, false, e);
		if (!l.folder)
			return -1;
	}
	r->images = xcalloc(r->ntags + 1, sizeof(*r->images));
	tasks_run(r->ntags, req->parallel, look, &l);
	for (size_t i = 0; i < r->ntags; i++) {
		auto_free char *quoted = gofmt_quote(str_of(r->tags[i].name));

		if (failed[i].kind == ERR_NONE)
			continue;
		if (failed[i].kind == ERR_CANCELLED) {
			*e = failed[i];
			return -1;
		}
		// A warning is one line; what to do about it stands in the next.
		strlist_addf(&r->warnings, "tag %s: %.*s", quoted,
			     (int)strcspn(failed[i].text, "\n"), failed[i].text);
		r->nunread++;
	}
	return 0;
}

int release_info_parse(struct release_info *r, struct err *e)
{
	return parse_documents(r, e) < 0 ? -1 : read_tags(r, e);
}

static int read_release(struct release_info *ret, struct places *places,
			const struct release_info_request *req, struct err *e)
{
	ret->image = xstrdup(req->image);
	if (payload_is_version(req->image))
		return err_set(e, ERR_USAGE,
			       "'%s' is a version, not an image: name the pull spec of the "
			       "release, for example "
			       "quay.io/openshift-release-dev/ocp-release:%s-x86_64",
			       req->image, req->image);
	if (reference_parse(&ret->ref, req->image, 0, e) < 0)
		return -1;
	if (ret->ref.tag[0] == '\0' && !ret->ref.has_digest)
		return err_set(e, ERR_USAGE,
			       "the release image must be named by tag or digest: '%s'",
			       req->image);
	if (read_payload(ret, places, req, e) < 0 || release_info_parse(ret, e) < 0)
		return -1;
	if (req->images && look_at_images(ret, places, req, e) < 0)
		return -1;
	strlist_sort(&ret->warnings);
	return 0;
}

int release_info_read(struct release_info *ret, struct places *places,
		      const struct release_info_request *req, struct err *e)
{
	struct release_info r = {0};

	if (read_release(&r, places, req, e) < 0) {
		release_info_release(&r);
		return -1;
	}
	*ret = r;
	return 0;
}

const char *release_info_name(const struct release_info *r)
{
	struct json root = json_root(&r->metadata), version = json_member(&root, "version");

	return r->metadata.root ? json_as_text(&version) : r->payload.version;
}

char *release_info_platform(const struct release_info *r)
{
	const struct payload *p = &r->payload;

	return xasprintf("%s%s/%s%s", p->is_list ? "multi (" : "", *p->os ? p->os : "unknown",
			 *p->architecture ? p->architecture : "unknown", p->is_list ? ")" : "");
}

const struct digest *release_info_digest(const struct release_info *r)
{
	return r->payload.is_list ? &r->payload.root : &r->payload.digest;
}

bool release_info_created(const struct release_info *r, int64_t *ret)
{
	struct json root = json_root(&r->config), at = json_member(&root, "created");

	return gofmt_parse_time(str_of(json_as_text(&at)), ret);
}

int release_info_image_for(const struct release_info *r, const char *name, const char **ret,
			   struct err *e)
{
	auto_free char *quoted = gofmt_quote(str_of(name));

	for (size_t i = 0; i < r->ntags; i++) {
		const struct release_tag *t = &r->tags[i];

		if (strcmp(t->name, name) == 0 && t->spec && *t->spec) {
			*ret = t->spec;
			return 0;
		}
	}
	return err_set(e, ERR_NOT_FOUND, "no image tag %s exists in the release image %s", quoted,
		       r->image);
}

char *release_digest_or_spec(const char *spec)
{
	auto_reference struct reference ref = {0};
	struct err ignored;

	if (reference_parse(&ref, spec, REF_NO_PREFIX, &ignored) == 0 && ref.has_digest)
		return xstrdup(ref.digest.text);
	return xstrdup(spec);
}
