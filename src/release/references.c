// SPDX-License-Identifier: Apache-2.0
// image-references: the image stream that lists the components of a release.
#include <ctype.h>
#include <string.h>

#include "data/json.h"
#include "release/payload.h"

#define UNLOADABLE "unable to load image-references from release payload"

static int check_kind(const struct json *root, struct err *e)
{
	struct json kind_at = json_member(root, "kind"), api_at = json_member(root, "apiVersion");
	const char *kind, *api;

	if (json_text_or(&kind_at, "", &kind, e) < 0 || json_text_or(&api_at, "", &api, e) < 0)
		return err_wrap(e, UNLOADABLE);
	if (strcmp(kind, "ImageStream") != 0 || strcmp(api, "image.openshift.io/v1") != 0)
		return err_set(e, ERR_INPUT,
			       "unrecognized image-references in release payload: kind '%.64s', "
			       "apiVersion '%.64s', expected an ImageStream of "
			       "image.openshift.io/v1",
			       kind, api);
	return 0;
}

static int read_version(struct payload *ret, const struct json *root, struct err *e)
{
	struct json metadata = json_member(root, "metadata"), name = json_member(&metadata, "name");
	const char *version;

	if (json_text_or(&name, "", &version, e) < 0)
		return err_wrap(e, UNLOADABLE);
	if (version[0] == '\0')
		return err_set(e, ERR_INPUT, UNLOADABLE ": the release has no name");
	ret->version = xstrdup(version);
	return 0;
}

// Tags that are no images by pull spec are not part of the release.
static int read_component(struct payload *ret, const struct json *tag, struct err *e)
{
	struct json name_at = json_member(tag, "name"), from = json_member(tag, "from");
	struct json kind_at = json_member(&from, "kind"), spec_at = json_member(&from, "name");
	const char *name, *kind, *spec;
	struct reference ref;

	if (json_text_or(&kind_at, "", &kind, e) < 0)
		return err_wrap(e, UNLOADABLE);
	if (strcmp(kind, "DockerImage") != 0)
		return 0;
	if (json_text(&name_at, &name, e) < 0 || json_text(&spec_at, &spec, e) < 0)
		return err_wrap(e, UNLOADABLE);
	if (reference_parse(&ref, spec, REF_NO_PREFIX, e) < 0)
		return err_wrap(e, "release image component '%s'", name);
	ret->components[ret->ncomponents++] =
		(struct payload_component){.name = xstrdup(name), .ref = ref};
	return 0;
}

static int read_components(struct payload *ret, const struct json *root, struct err *e)
{
	struct json spec = json_member(root, "spec"), tags = json_member(&spec, "tags");
	size_t n;

	if (json_items(&tags, &n, e) < 0)
		return err_wrap(e, UNLOADABLE);
	if (n > PAYLOAD_COMPONENTS_MAX)
		return err_set(e, ERR_INPUT, UNLOADABLE ": it names more than %d images",
			       PAYLOAD_COMPONENTS_MAX);
	ret->components = xcalloc(n + 1, sizeof(*ret->components));
	for (size_t i = 0; i < n; i++) {
		struct json tag = json_item(&tags, i);

		if (read_component(ret, &tag, e) < 0)
			return -1;
	}
	return 0;
}

int payload_parse(struct payload *p, struct err *e)
{
	auto_json struct json_doc doc = {0};

	if (p->references.n == 0)
		return err_set(e, ERR_INPUT, UNLOADABLE);
	if (json_parse(&doc, buf_str(&p->references), JSON_LIMITS(PAYLOAD_FILE_MAX), 0, e) < 0)
		return err_wrap(e, UNLOADABLE);
	struct json root = json_root(&doc);

	if (check_kind(&root, e) < 0 || read_version(p, &root, e) < 0)
		return -1;
	return read_components(p, &root, e);
}

// A number without a leading zero.
static bool version_number(struct str s)
{
	if (s.n == 0 || s.n > 19 || (s.n > 1 && s.p[0] == '0'))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!isdigit((unsigned char)s.p[i]))
			return false;
	return true;
}

static bool version_suffix(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum((unsigned char)s.p[i]) && !strchr(".-+", s.p[i]))
			return false;
	return s.n > 0;
}

bool payload_is_version(const char *text)
{
	size_t core = strcspn(text, "-+");
	struct str rest = {text, core};

	for (int i = 0; i < 3; i++)
		if (!version_number(str_cut(&rest, '.')))
			return false;
	if (rest.p)
		return false;
	return text[core] == '\0' || version_suffix(str_of(text + core + 1));
}

void payload_release(struct payload *p)
{
	for (size_t i = 0; i < p->ncomponents; i++) {
		free(p->components[i].name);
		reference_release(&p->components[i].ref);
	}
	free(p->components);
	free(p->os);
	free(p->architecture);
	free(p->version);
	buf_free(&p->config);
	buf_free(&p->references);
	buf_free(&p->metadata);
	*p = (struct payload){0};
}
