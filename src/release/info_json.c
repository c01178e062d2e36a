// SPDX-License-Identifier: Apache-2.0
// A release as JSON.
#include <stdlib.h>
#include <string.h>

#include "data/json_copy.h"
#include "release/info.h"

// image.openshift.io/v1 ImageStream and what it is made of.
static const struct json_field owner_fields[] = {
	{JSON_FIELD_TEXT, "apiVersion", 0, NULL},
	{JSON_FIELD_TEXT, "kind", 0, NULL},
	{JSON_FIELD_TEXT, "name", 0, NULL},
	{JSON_FIELD_TEXT, "uid", 0, NULL},
	JSON_BOOL("controller"),
	JSON_BOOL("blockOwnerDeletion"),
	{0},
};
static const struct json_field object_fields[] = {
	JSON_TEXT("name"),
	JSON_TEXT("generateName"),
	JSON_TEXT("namespace"),
	JSON_TEXT("selfLink"),
	JSON_TEXT("uid"),
	JSON_TEXT("resourceVersion"),
	JSON_WHOLE("generation"),
	{JSON_FIELD_META_TIME, "creationTimestamp", 0, NULL},
	{JSON_FIELD_META_TIME, "deletionTimestamp", JSON_OMIT, NULL},
	JSON_WHOLE("deletionGracePeriodSeconds"),
	JSON_TEXT_MAP("labels"),
	JSON_TEXT_MAP("annotations"),
	{JSON_FIELD_OBJECTS, "ownerReferences", JSON_OMIT, owner_fields},
	JSON_TEXTS("finalizers"),
	{JSON_FIELD_ANY, "managedFields", JSON_OMIT, NULL},
	{0},
};
static const struct json_field from_fields[] = {
	JSON_TEXT("kind"),       JSON_TEXT("namespace"),
	JSON_TEXT("name"),       JSON_TEXT("uid"),
	JSON_TEXT("apiVersion"), JSON_TEXT("resourceVersion"),
	JSON_TEXT("fieldPath"),  {0},
};
static const struct json_field import_fields[] = {
	JSON_BOOL("insecure"), JSON_BOOL("scheduled"), JSON_TEXT("importMode"), {0}};
static const struct json_field policy_fields[] = {{JSON_FIELD_TEXT, "type", 0, NULL}, {0}};
static const struct json_field tag_fields[] = {
	{JSON_FIELD_TEXT, "name", 0, NULL},
	{JSON_FIELD_TEXT_MAP, "annotations", 0, NULL},
	{JSON_FIELD_OBJECT, "from", JSON_OMIT, from_fields},
	JSON_BOOL("reference"),
	{JSON_FIELD_WHOLE, "generation", 0, NULL},
	{JSON_FIELD_OBJECT, "importPolicy", 0, import_fields},
	{JSON_FIELD_OBJECT, "referencePolicy", 0, policy_fields},
	{0},
};
static const struct json_field lookup_fields[] = {{JSON_FIELD_BOOL, "local", 0, NULL}, {0}};
static const struct json_field spec_fields[] = {
	{JSON_FIELD_OBJECT, "lookupPolicy", 0, lookup_fields},
	JSON_TEXT("dockerImageRepository"),
	{JSON_FIELD_OBJECTS, "tags", JSON_OMIT, tag_fields},
	{0},
};
static const struct json_field event_fields[] = {
	{JSON_FIELD_META_TIME, "created", 0, NULL},
	{JSON_FIELD_TEXT, "dockerImageReference", 0, NULL},
	{JSON_FIELD_TEXT, "image", 0, NULL},
	{JSON_FIELD_WHOLE, "generation", 0, NULL},
	{0},
};
static const struct json_field condition_fields[] = {
	{JSON_FIELD_TEXT, "type", 0, NULL},
	{JSON_FIELD_TEXT, "status", 0, NULL},
	{JSON_FIELD_META_TIME, "lastTransitionTime", 0, NULL},
	JSON_TEXT("reason"),
	JSON_TEXT("message"),
	{JSON_FIELD_WHOLE, "generation", 0, NULL},
	{0},
};
static const struct json_field events_fields[] = {
	{JSON_FIELD_TEXT, "tag", 0, NULL},
	{JSON_FIELD_OBJECTS, "items", 0, event_fields},
	{JSON_FIELD_OBJECTS, "conditions", JSON_OMIT, condition_fields},
	{0},
};
static const struct json_field status_fields[] = {
	{JSON_FIELD_TEXT, "dockerImageRepository", 0, NULL},
	JSON_TEXT("publicDockerImageRepository"),
	{JSON_FIELD_OBJECTS, "tags", JSON_OMIT, events_fields},
	{0},
};
static const struct json_field stream_fields[] = {
	JSON_TEXT("kind"),
	JSON_TEXT("apiVersion"),
	{JSON_FIELD_OBJECT, "metadata", 0, object_fields},
	{JSON_FIELD_OBJECT, "spec", 0, spec_fields},
	{JSON_FIELD_OBJECT, "status", 0, status_fields},
	{0},
};
static const struct json_field metadata_fields[] = {
	{JSON_FIELD_TEXT, "kind", 0, NULL},
	{JSON_FIELD_TEXT, "version", 0, NULL},
	{JSON_FIELD_TEXTS, "previous", 0, NULL},
	JSON_TEXTS("next"),
	{JSON_FIELD_ANY, "metadata", JSON_OMIT, NULL},
	{0},
};

static void put_text(struct json_out *j, const char *key, const char *text)
{
	json_out_key(j, key);
	json_out_text(j, text);
}

static void put_null(struct json_out *j, const char *key)
{
	json_out_key(j, key);
	json_out_raw(j, "null");
}

static void put_versions(struct json_out *j, const struct component_versions *l)
{
	put_null(j, "versions"); // what the reference keeps for old readers
	if (l->n == 0) {
		put_null(j, "displayVersions");
		put_null(j, "versionsTags");
		return;
	}
	json_out_key(j, "displayVersions");
	json_out_begin(j, '{');
	for (size_t i = 0; i < l->n; i++) {
		json_out_key(j, l->v[i].name);
		json_out_begin(j, '{');
		put_text(j, "Version", l->v[i].version);
		put_text(j, "DisplayName", l->v[i].display_name);
		json_out_end(j, '}');
	}
	json_out_end(j, '}');
	json_out_key(j, "versionsTags");
	json_out_begin(j, '{');
	for (size_t i = 0; i < l->n; i++)
		put_text(j, l->v[i].name, l->v[i].tag);
	json_out_end(j, '}');
}

struct named_image {
	const char *name;
	const struct image_info *image;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct named_image *)a)->name, ((const struct named_image *)b)->name);
}

static int put_images(struct json_out *j, const struct release_info *r, struct err *e)
{
	auto_free struct named_image *images = xcalloc(r->ntags + 1, sizeof(*images));
	size_t n = 0;

	if (!r->images) {
		put_null(j, "images");
		return 0;
	}
	for (size_t i = 0; i < r->ntags; i++)
		if (r->images[i].n > 0)
			images[n++] = (struct named_image){r->tags[i].name, r->images[i].v};
	if (n > 1)
		qsort(images, n, sizeof(*images), by_name);
	json_out_key(j, "images");
	json_out_begin(j, '{');
	for (size_t i = 0; i < n; i++) {
		json_out_key(j, images[i].name);
		if (image_info_json(j, images[i].image, e) < 0)
			return err_wrap(e, "image %s", images[i].name);
	}
	json_out_end(j, '}');
	return 0;
}

static void put_warnings(struct json_out *j, const struct strlist *l)
{
	if (l->n == 0) {
		put_null(j, "warnings");
		return;
	}
	json_out_key(j, "warnings");
	json_out_begin(j, '[');
	for (size_t i = 0; i < l->n; i++)
		json_out_text(j, l->v[i]);
	json_out_end(j, ']');
}

static int put_documents(struct json_out *j, const struct release_info *r, struct err *e)
{
	struct json config = json_root(&r->config), metadata = json_root(&r->metadata);
	struct json references = json_root(&r->references);

	json_out_key(j, "config");
	if (image_config_json(j, &config, r->payload.size, e) < 0)
		return -1;
	json_out_key(j, "metadata");
	if (!r->metadata.root)
		json_out_raw(j, "null");
	else if (json_copy(j, &metadata, metadata_fields, e) < 0)
		return err_wrap(e, "release-metadata");
	json_out_key(j, "references");
	if (json_copy(j, &references, stream_fields, e) < 0)
		return err_wrap(e, "image-references");
	return 0;
}

int release_info_json(struct json_out *j, const struct release_info *r, struct err *e)
{
	const struct payload *p = &r->payload;

	json_out_begin(j, '{');
	put_text(j, "image", r->image);
	put_text(j, "digest", p->digest.text);
	put_text(j, "contentDigest", p->digest.text);
	put_text(j, "listDigest", p->is_list ? p->root.text : "");
	if (put_documents(j, r, e) < 0)
		return -1;
	put_versions(j, &r->versions);
	if (put_images(j, r, e) < 0)
		return -1;
	put_warnings(j, &r->warnings);
	json_out_end(j, '}');
	return 0;
}

int release_tag_json(struct json_out *j, const struct release_info *r, const struct release_tag *t,
		     struct err *e)
{
	struct json root = json_root(&r->references), spec = json_member(&root, "spec");
	struct json tags = json_member(&spec, "tags");
	struct json at = json_item(&tags, (size_t)(t - r->tags));

	return json_copy(j, &at, tag_fields, e);
}
