// SPDX-License-Identifier: Apache-2.0
// A walk through the members of a ClusterServiceVersion that hold images.
#include "catalog/csv.h"

#include <string.h>

#include "catalog/read.h"
#include "data/json.h"

#define CSV_VALUES_MAX ((size_t)500000)
#define CSV_DEPTH_MAX  100

static int take_images(struct strlist *ret, const struct json *object, const char *name,
		       struct err *e)
{
	struct json list = json_member(object, name);
	size_t n;

	if (json_items(&list, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct json item = json_item(&list, i), image = json_member(&item, "image");
		const char *text;

		if (json_text_or(&image, "", &text, e) < 0)
			return -1;
		if (*text)
			strlist_add(ret, text);
	}
	return 0;
}

static int take_deployments(struct strlist *ret, const struct json *install, struct err *e)
{
	struct json strategy = json_member(install, "spec"),
		    list = json_member(&strategy, "deployments");
	size_t n;

	if (json_items(&list, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct json item = json_item(&list, i), spec = json_member(&item, "spec"),
			    template = json_member(&spec, "template"),
			    pod = json_member(&template, "spec");

		if (take_images(ret, &pod, "initContainers", e) < 0 ||
		    take_images(ret, &pod, "containers", e) < 0)
			return -1;
	}
	return 0;
}

int csv_images(struct strlist *ret, struct str text, struct err *e)
{
	static const char *const wanted[] = {"kind", "spec"};
	const struct json_limits limits = {
		.bytes = CATALOG_DOCUMENT_MAX, .values = CSV_VALUES_MAX, .depth = CSV_DEPTH_MAX};
	auto_json struct json_doc doc = {0};

	if (json_parse_members(&doc, text, limits, wanted, 2, e) < 0)
		return -1;
	struct json root = json_root(&doc), kind = json_member(&root, "kind"),
		    spec = json_member(&root, "spec"), install = json_member(&spec, "install");
	const char *name = json_as_text(&kind);

	if (json_need_object(&root, e) < 0)
		return -1;
	if (name[0] && strcmp(name, "ClusterServiceVersion") != 0)
		return 0;
	return take_images(ret, &spec, "relatedImages", e) < 0 ? -1
							       : take_deployments(ret, &install, e);
}
