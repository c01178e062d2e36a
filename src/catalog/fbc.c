// SPDX-License-Identifier: Apache-2.0
// A document through the readers of JSON and YAML, then a look at six of its members.
#include "catalog/fbc.h"

#include <string.h>
#include <strings.h>

#include "catalog/catalog.h"
#include "data/json.h"
#include "data/yaml_in.h"
#include "util/mem.h"

struct reading {
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

static int add_image(struct fbc_document *d, const struct json *at, struct err *e)
{
	const char *text;

	if (read_text(at, &text, e) < 0)
		return -1;
	if (text[0] != '\0')
		d->images[d->nimages++] = text;
	return 0;
}

static int add_related(struct fbc_document *d, const struct json *list, size_t n, struct err *e)
{
	static const char *const image_only[] = {"image"};

	for (size_t i = 0; i < n; i++) {
		struct json item = json_item(list, i), image;

		if (!json_present(&item))
			continue;
		if (find_members(&item, image_only, &image, 1, e) < 0 ||
		    add_image(d, &image, e) < 0)
			return -1;
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

enum { SCHEMA, PACKAGE, NAME, IMAGE, RELATED, MEMBERS };

// Of a document; the rest of it, most of its bytes, is only checked to be JSON.
static const char *const names[MEMBERS] = {
	[SCHEMA] = "schema", [PACKAGE] = "package",       [NAME] = "name",
	[IMAGE] = "image",   [RELATED] = "relatedImages",
};

static int read_value(void *arg, const struct json *root, struct err *e)
{
	const struct reading *r = arg;
	struct json found[MEMBERS];
	struct fbc_document d = {0};
	size_t n;

	if (find_members(root, names, found, MEMBERS, e) < 0 ||
	    json_items(&found[RELATED], &n, e) < 0)
		return -1;
	auto_free const char **images = xcalloc(n + 1, sizeof(*images));

	d.images = images;
	if (read_text(&found[SCHEMA], &d.schema, e) < 0 || add_image(&d, &found[IMAGE], e) < 0 ||
	    add_related(&d, &found[RELATED], n, e) < 0 ||
	    read_names(&d, &found[PACKAGE], &found[NAME], e) < 0)
		return -1;
	return r->each(r->arg, &d, e);
}

static int read_json(const struct document *d, struct json_limits limits, struct reading *r,
		     struct err *e)
{
	auto_json struct json_doc doc = {NULL};

	if (json_parse_members(&doc, buf_str(&d->bytes), limits, names, MEMBERS, e) < 0)
		return -1;
	struct json root = json_root(&doc);

	return read_value(r, &root, e);
}

int fbc_read(const struct document *d,
	     int (*each)(void *arg, const struct fbc_document *found, struct err *e), void *arg,
	     struct err *e)
{
	struct reading r = {each, arg};
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
