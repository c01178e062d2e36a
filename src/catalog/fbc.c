// SPDX-License-Identifier: Apache-2.0
// A document through the readers of JSON and YAML, then a look at six of its members.
#include "catalog/fbc.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "catalog/catalog.h"
#include "catalog/csv.h"
#include "data/base64.h"
#include "data/json.h"
#include "data/yaml_in.h"
#include "util/mem.h"

struct reading {
	unsigned flags;
	int (*each)(void *arg, const struct fbc_document *found, struct err *e);
	void *arg;
};

// The members of an object that matter, by their lower-case names.
struct members {
	const char *const *names;
	struct json *found; // as many
	size_t n;
};

static int match_member(void *arg, const struct json *member, struct err *e)
{
	struct members *m = arg;

	(void)e;
	for (size_t i = 0; i < m->n; i++)
		if (json_present(member) && strcasecmp(member->name, m->names[i]) == 0)
			m->found[i] = *member;
	return 0;
}

// FOUND has a place for each name that is WANTED: absent, or the last member that is called so.
static int find_members(const struct json *object, const char *const *wanted, struct json *found,
			size_t n, struct err *e)
{
	struct members m = {wanted, found, n};

	for (size_t i = 0; i < n; i++)
		found[i] = (struct json){.up = object, .name = wanted[i]};
	if (json_need_object(object, e) < 0)
		return -1;
	return json_members(object, match_member, &m, e);
}

static int read_text(const struct json *at, const char **ret, struct err *e)
{
	if (json_text_or(at, "", ret, e) < 0)
		return -1;
	if (strlen(*ret) > CATALOG_TEXT_MAX)
		return json_fail(at, e, "longer than %zu bytes", CATALOG_TEXT_MAX);
	return 0;
}

// A document, and where its images are kept.
struct taking {
	struct fbc_document d;
	size_t cap;
	struct strlist owned; // texts that do not stand in the document as they are
};

static void taking_release(struct taking *t)
{
	free(t->d.images);
	strlist_release(&t->owned);
}

static void add_text(struct taking *t, const char *text)
{
	vec_reserve(t->d.images, t->d.nimages, t->cap);
	t->d.images[t->d.nimages++] = text;
}

static int add_image(struct taking *t, const struct json *at, struct err *e)
{
	const char *text;

	if (read_text(at, &text, e) < 0)
		return -1;
	if (text[0] != '\0')
		add_text(t, text);
	return 0;
}

static int add_related(struct taking *t, const struct json *list, struct err *e)
{
	static const char *const image_only[] = {"image"};
	size_t n;

	if (json_items(list, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct json item = json_item(list, i), image;

		if (!json_present(&item))
			continue;
		if (find_members(&item, image_only, &image, 1, e) < 0 ||
		    add_image(t, &image, e) < 0)
			return -1;
	}
	return 0;
}

// An olm.bundle.object holds one object of Kubernetes, as base64.
static int add_object(struct taking *t, const struct json *property, struct err *e)
{
	struct json type = json_member(property, "type"), value = json_member(property, "value"),
		    data = json_member(&value, "data");
	auto_free char *object = NULL;
	const char *text;
	size_t n;

	if (strcmp(json_as_text(&type), "olm.bundle.object") != 0)
		return 0;
	if (json_text(&data, &text, e) < 0)
		return -1;
	if (!base64_decode(str_of(text), &object, &n))
		return json_fail(&data, e, "not base64");
	struct err why;

	if (csv_images(&t->owned, (struct str){object, n}, &why) < 0)
		return json_fail(&data, e, "%s", why.text);
	return 0;
}

static int add_objects(struct taking *t, const struct json *list, struct err *e)
{
	size_t n;

	if (json_items(list, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct json property = json_item(list, i);

		if (add_object(t, &property, e) < 0)
			return -1;
	}
	for (size_t i = 0; i < t->owned.n; i++) {
		if (strlen(t->owned.v[i]) > CATALOG_TEXT_MAX)
			return json_fail(list, e, "an image is longer than %zu bytes",
					 CATALOG_TEXT_MAX);
		add_text(t, t->owned.v[i]);
	}
	return 0;
}

// What the document is called matters where it is going to be told.
static int read_names(struct fbc_document *d, const struct json *package, const struct json *name,
		      struct err *e)
{
	bool is_told = d->nimages > 0 || strcmp(d->schema, "olm.bundle") == 0 ||
		       strcmp(d->schema, "olm.package") == 0;

	d->package = d->name = "";
	if (!is_told)
		return 0;
	return read_text(package, &d->package, e) < 0 ? -1 : read_text(name, &d->name, e);
}

enum { SCHEMA, PACKAGE, NAME, IMAGE, RELATED, PROPERTIES, MEMBERS };

// Of a document; the rest of it is only checked to be JSON. That is most of its bytes as long as
// PROPERTIES, the last one, is not wanted.
static const char *const names[MEMBERS] = {
	[SCHEMA] = "schema", [PACKAGE] = "package",       [NAME] = "name",
	[IMAGE] = "image",   [RELATED] = "relatedImages", [PROPERTIES] = "properties",
};

static size_t wanted_names(const struct reading *r)
{
	return r->flags & FBC_DEEP ? MEMBERS : PROPERTIES;
}

static int take(struct taking *t, const struct reading *r, const struct json *root, struct err *e)
{
	struct json found[MEMBERS];
	struct fbc_document *d = &t->d;

	if (find_members(root, names, found, wanted_names(r), e) < 0 ||
	    read_text(&found[SCHEMA], &d->schema, e) < 0 || add_image(t, &found[IMAGE], e) < 0 ||
	    add_related(t, &found[RELATED], e) < 0)
		return -1;
	if (r->flags & FBC_DEEP && add_objects(t, &found[PROPERTIES], e) < 0)
		return -1;
	return read_names(d, &found[PACKAGE], &found[NAME], e);
}

static int read_value(void *arg, const struct json *root, struct err *e)
{
	const struct reading *r = arg;
	struct taking t = {0};
	int failed = take(&t, r, root, e);

	if (!failed)
		failed = r->each(r->arg, &t.d, e);
	taking_release(&t);
	return failed;
}

static int read_json(const struct document *d, struct json_limits limits, struct reading *r,
		     struct err *e)
{
	auto_json struct json_doc doc = {NULL};

	if (json_parse_members(&doc, buf_str(&d->bytes), limits, names, wanted_names(r), e) < 0)
		return -1;
	struct json root = json_root(&doc);

	return read_value(r, &root, e);
}

int fbc_read(const struct document *d, unsigned flags,
	     int (*each)(void *arg, const struct fbc_document *found, struct err *e), void *arg,
	     struct err *e)
{
	struct reading r = {flags, each, arg};
	struct json_limits limits = {
		.bytes = d->bytes.max,
		.values = FBC_VALUES_MAX,
		.depth = FBC_DEPTH_MAX,
		.first_line = d->line,
	};
	int failed = d->format == DOCUMENT_JSON
			     ? read_json(d, limits, &r, e)
			     : yaml_parse(buf_str(&d->bytes), limits, 0, read_value, &r, e);

	return failed ? err_wrap(e, "document %zu (line %zu)", d->number, d->line) : 0;
}
