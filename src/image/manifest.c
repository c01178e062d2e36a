// SPDX-License-Identifier: Apache-2.0
// Manifests: reading them strictly, and writing filtered lists.
#include "image/manifest.h"

#include "data/gofmt.h"
#include "data/json.h"
#include "data/json_out.h"

#include <string.h>
#include <strings.h>

enum { URLS_MAX = 100 };

static const struct json_limits limits = {
	.bytes = MANIFEST_MAX, .values = JSON_VALUES_MAX, .depth = MANIFEST_DEPTH_MAX};

static const struct {
	const char *media_type;
	enum manifest_kind kind;
} kinds[] = {
	{MT_DOCKER_MANIFEST, MANIFEST_IMAGE},  {MT_OCI_MANIFEST, MANIFEST_IMAGE},
	{MT_DOCKER_LIST, MANIFEST_INDEX},      {MT_OCI_INDEX, MANIFEST_INDEX},
	{MT_DOCKER_SCHEMA1, MANIFEST_SCHEMA1}, {MT_DOCKER_SIGNED1, MANIFEST_SCHEMA1},
};

// The entry of `kinds` for MEDIA_TYPE (parameters ignored), or -1.
static int known_type(const char *media_type)
{
	struct str rest = str_of(media_type), type = str_trim(str_cut(&rest, ';'));

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (type.n == strlen(kinds[i].media_type) &&
		    strncasecmp(type.p, kinds[i].media_type, type.n) == 0)
			return (int)i;
	return -1;
}

bool media_type_is_index(const char *media_type)
{
	int i = known_type(media_type);

	return i >= 0 && kinds[i].kind == MANIFEST_INDEX;
}

bool media_type_is_manifest(const char *media_type)
{
	return known_type(media_type) >= 0;
}

bool media_type_is_foreign(const char *media_type)
{
	return strstr(media_type, ".foreign.") || strstr(media_type, ".nondistributable.");
}

static int digest_at(const struct json *at, struct digest *ret, struct err *e)
{
	const char *text;
	struct err why;

	if (json_text(at, &text, e) < 0)
		return -1;
	if (digest_parse(ret, text, &why) < 0)
		return json_fail(at, e, "not a digest: %s", why.text);
	return 0;
}

static int text_or_empty(struct arena *a, const struct json *object, const char *name,
			 const char **ret, struct err *e)
{
	struct json at = json_member(object, name);
	const char *text;

	if (json_text_or(&at, "", &text, e) < 0)
		return -1;
	*ret = *text ? arena_strdup(a, text) : "";
	return 0;
}

static int read_platform(struct arena *a, const struct json *at, struct platform *ret,
			 struct err *e)
{
	if (json_need_object(at, e) < 0)
		return -1;
	if (text_or_empty(a, at, "os", &ret->os, e) < 0 ||
	    text_or_empty(a, at, "architecture", &ret->architecture, e) < 0 ||
	    text_or_empty(a, at, "variant", &ret->variant, e) < 0)
		return -1;
	return text_or_empty(a, at, "os.version", &ret->os_version, e);
}

static int read_urls(struct arena *a, const struct json *at, const char *const **ret, struct err *e)
{
	size_t n;

	*ret = NULL;
	if (json_items(at, &n, e) < 0)
		return -1;
	if (n > URLS_MAX)
		return json_fail(at, e, "more than %d URLs", URLS_MAX);
	if (n == 0)
		return 0;
	const char **urls = arena_alloc(a, (n + 1) * sizeof(*urls));

	for (size_t i = 0; i < n; i++) {
		struct json item = json_item(at, i);
		const char *text;

		if (json_text(&item, &text, e) < 0)
			return -1;
		urls[i] = arena_strdup(a, text);
	}
	*ret = urls;
	return 0;
}

static int read_descriptor(struct arena *a, const struct json *at, struct descriptor *d,
			   struct err *e)
{
	struct json digest = json_member(at, "digest"), size = json_member(at, "size");
	struct json platform = json_member(at, "platform"), urls = json_member(at, "urls");

	d->platform = (struct platform){"", "", "", ""};
	if (json_need_object(at, e) < 0 || digest_at(&digest, &d->digest, e) < 0 ||
	    json_u64(&size, INT64_MAX, &d->size, e) < 0 || read_urls(a, &urls, &d->urls, e) < 0)
		return -1;
	if (text_or_empty(a, at, "mediaType", &d->media_type, e) < 0 ||
	    text_or_empty(a, at, "artifactType", &d->artifact_type, e) < 0)
		return -1;
	d->has_platform = json_present(&platform);
	return d->has_platform ? read_platform(a, &platform, &d->platform, e) : 0;
}

static int read_descriptors(struct arena *a, const struct json *at, struct descriptor **ret,
			    size_t *ret_n, struct err *e)
{
	size_t n;

	if (json_items(at, &n, e) < 0)
		return -1;
	if (n > DESCRIPTORS_MAX)
		return json_fail(at, e, "more than %d entries", DESCRIPTORS_MAX);
	*ret = arena_alloc(a, (n ? n : 1) * sizeof(**ret));
	for (size_t i = 0; i < n; i++) {
		struct json item = json_item(at, i);

		if (read_descriptor(a, &item, &(*ret)[i], e) < 0)
			return -1;
	}
	*ret_n = n;
	return 0;
}

// Members that belong to one kind only. A document with two kinds of them means different things to
// different readers.
static int check_shape(const struct json *root, enum manifest_kind kind, struct err *e)
{
	static const struct {
		const char *name;
		enum manifest_kind kind;
	} members[] = {{"config", MANIFEST_IMAGE},
		       {"layers", MANIFEST_IMAGE},
		       {"manifests", MANIFEST_INDEX},
		       {"fsLayers", MANIFEST_SCHEMA1}};

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		struct json at = json_member(root, members[i].name);

		if (members[i].kind != kind && json_exists(&at))
			return json_fail(&at, e, "does not belong in %s",
					 kind == MANIFEST_INDEX ? "a manifest list"
								: "an image manifest");
	}
	return 0;
}

static int read_image(struct manifest *m, const struct json *root, struct err *e)
{
	struct json config = json_member(root, "config"), layers = json_member(root, "layers");

	if (read_descriptor(&m->arena, &config, &m->config, e) < 0)
		return -1;
	return read_descriptors(&m->arena, &layers, &m->layers, &m->nlayers, e);
}

static int read_index(struct manifest *m, const struct json *root, struct err *e)
{
	struct json entries = json_member(root, "manifests");

	if (!json_exists(&entries))
		return json_fail(&entries, e, "missing");
	return read_descriptors(&m->arena, &entries, &m->manifests, &m->nmanifests, e);
}

static int read_subject(struct manifest *m, const struct json *root, struct err *e)
{
	struct json subject = json_member(root, "subject");

	if (text_or_empty(&m->arena, root, "artifactType", &m->artifact_type, e) < 0)
		return -1;
	m->has_subject = json_present(&subject);
	return m->has_subject ? read_descriptor(&m->arena, &subject, &m->subject, e) : 0;
}

static int read_schema_version(const struct json *root, uint64_t *ret, struct err *e)
{
	struct json at = json_member(root, "schemaVersion");

	if (json_u64(&at, INT64_MAX, ret, e) < 0)
		return -1;
	if (*ret != 1 && *ret != 2)
		return json_fail(&at, e, "unknown version");
	return 0;
}

// The type of a document that does not say it: OCI allows that, Docker's registries wrote it for a
// while.
static const char *type_by_shape(const struct json *root)
{
	struct json config = json_member(root, "config"), list = json_member(root, "manifests");
	bool index = json_exists(&list) && !json_exists(&config);
	struct json first = index ? json_item(&list, 0) : config;
	struct json type = json_member(&first, "mediaType");
	const char *text = "";
	struct err ignored;

	if (json_text_or(&type, "", &text, &ignored) < 0)
		text = "";
	if (index)
		return strcmp(text, MT_DOCKER_MANIFEST) == 0 ? MT_DOCKER_LIST : MT_OCI_INDEX;
	return starts_with(text, "application/vnd.docker.") ? MT_DOCKER_MANIFEST : MT_OCI_MANIFEST;
}

// What the document is: its own word, else the server's, else its shape. Two words must agree.
static int find_type(const struct json *root, uint64_t version, const char *content_type, int *ret,
		     struct err *e)
{
	struct json at = json_member(root, "mediaType");
	int served = content_type ? known_type(content_type) : -1, own;
	const char *text;

	if (json_text_or(&at, "", &text, e) < 0)
		return -1;
	own = known_type(text);
	if (*text && own < 0) {
		auto_free char *quoted = gofmt_quote(str_of(text));

		return json_fail(&at, e, "unsupported manifest type %.200s", quoted);
	}
	if (*text && served >= 0 && own != served)
		return json_fail(&at, e, "says %s, but was served as %s", kinds[own].media_type,
				 kinds[served].media_type);
	if (own < 0)
		own = served;
	if (own < 0)
		own = known_type(version == 1 ? MT_DOCKER_SCHEMA1 : type_by_shape(root));
	*ret = own;
	return 0;
}

static int read_root(struct manifest *m, const struct json *root, const char *content_type,
		     struct err *e)
{
	uint64_t version;
	int type = 0;

	if (json_need_object(root, e) < 0 || read_schema_version(root, &version, e) < 0 ||
	    find_type(root, version, content_type, &type, e) < 0)
		return -1;
	m->kind = kinds[type].kind;
	m->media_type = kinds[type].media_type;
	if ((m->kind == MANIFEST_SCHEMA1) != (version == 1)) {
		struct json at = json_member(root, "schemaVersion");

		return json_fail(&at, e, "does not fit the type %s", m->media_type);
	}
	if (m->kind == MANIFEST_SCHEMA1)
		return 0;
	if (check_shape(root, m->kind, e) < 0)
		return -1;
	if (m->kind == MANIFEST_IMAGE ? read_image(m, root, e) < 0 : read_index(m, root, e) < 0)
		return -1;
	return read_subject(m, root, e);
}

int manifest_parse(struct manifest *ret, struct str bytes, const char *content_type,
		   const char *name, struct err *e)
{
	auto_json struct json_doc doc = {NULL};
	auto_manifest struct manifest m = {.artifact_type = ""};

	if (json_parse(&doc, bytes, limits, JSON_UNIQUE, e) < 0)
		return err_wrap(e, "manifest of %s", name);
	struct json root = json_root(&doc);

	if (read_root(&m, &root, content_type, e) < 0)
		return err_wrap(e, "manifest of %s", name);
	*ret = m;
	m = (struct manifest){0};
	return 0;
}

void manifest_release(struct manifest *m)
{
	arena_free(&m->arena);
	*m = (struct manifest){0};
}

// Copies a text member; Go leaves empty ones out where OMIT says so.
static int copy_text(struct json_out *j, const struct json *object, const char *name, bool omit,
		     struct err *e)
{
	struct json at = json_member(object, name);
	const char *text;

	if (json_text_or(&at, "", &text, e) < 0)
		return -1;
	if (omit && !*text)
		return 0;
	json_out_key(j, name);
	json_out_text(j, text);
	return 0;
}

static int copy_list(struct json_out *j, const struct json *object, const char *name, struct err *e)
{
	struct json at = json_member(object, name);
	size_t n;

	if (json_items(&at, &n, e) < 0)
		return -1;
	if (n == 0)
		return 0;
	json_out_key(j, name);
	json_out_begin(j, '[');
	for (size_t i = 0; i < n; i++) {
		struct json item = json_item(&at, i);
		const char *text;

		if (json_text(&item, &text, e) < 0)
			return -1;
		json_out_text(j, text);
	}
	json_out_end(j, ']');
	return 0;
}

static int copy_annotations(struct json_out *j, const struct json *entry, struct err *e)
{
	struct json at = json_member(entry, "annotations");
	size_t n;

	if (!json_present(&at))
		return 0;
	if (json_need_object(&at, e) < 0)
		return -1;
	auto_free const char **names = json_sorted_names(&at, &n);

	if (n == 0)
		return 0;
	json_out_key(j, "annotations");
	json_out_begin(j, '{');
	for (size_t i = 0; i < n; i++)
		if (copy_text(j, &at, names[i], false, e) < 0)
			return -1;
	json_out_end(j, '}');
	return 0;
}

static int copy_platform(struct json_out *j, const struct json *entry, struct err *e)
{
	struct json at = json_member(entry, "platform");

	if (json_present(&at) && json_need_object(&at, e) < 0)
		return -1;
	json_out_key(j, "platform");
	json_out_begin(j, '{');
	if (copy_text(j, &at, "architecture", false, e) < 0 ||
	    copy_text(j, &at, "os", false, e) < 0 || copy_text(j, &at, "os.version", true, e) < 0 ||
	    copy_list(j, &at, "os.features", e) < 0 || copy_text(j, &at, "variant", true, e) < 0 ||
	    copy_list(j, &at, "features", e) < 0)
		return -1;
	json_out_end(j, '}');
	return 0;
}

static int copy_size(struct json_out *j, const struct json *entry, struct err *e)
{
	struct json at = json_member(entry, "size");
	uint64_t size;

	if (json_u64(&at, INT64_MAX, &size, e) < 0)
		return -1;
	if (size == 0)
		return 0;
	json_out_key(j, "size");
	json_out_u64(j, size);
	return 0;
}

static int copy_entry(struct json_out *j, const struct json *entry, struct err *e)
{
	json_out_begin(j, '{');
	if (copy_text(j, entry, "mediaType", true, e) < 0 ||
	    copy_text(j, entry, "digest", true, e) < 0 || copy_size(j, entry, e) < 0 ||
	    copy_list(j, entry, "urls", e) < 0 || copy_annotations(j, entry, e) < 0 ||
	    copy_platform(j, entry, e) < 0)
		return -1;
	json_out_end(j, '}');
	return 0;
}

// The new list takes its type from its first entry, not from the list it was made of.
static int copy_list_type(struct json_out *j, const struct json *entries, const bool *keep,
			  size_t n, struct err *e)
{
	const char *text = "";

	for (size_t i = 0; i < n; i++) {
		struct json entry = json_item(entries, i), type = json_member(&entry, "mediaType");

		if (!keep[i])
			continue;
		if (json_text_or(&type, "", &text, e) < 0)
			return -1;
		break;
	}
	json_out_key(j, "mediaType");
	json_out_text(j, strcmp(text, MT_OCI_MANIFEST) == 0 ? MT_OCI_INDEX : MT_DOCKER_LIST);
	return 0;
}

static int copy_index(struct json_out *j, const struct json *root, const bool *keep, struct err *e)
{
	struct json entries = json_member(root, "manifests");
	size_t n;

	if (json_items(&entries, &n, e) < 0)
		return -1;
	json_out_begin(j, '{');
	json_out_key(j, "schemaVersion");
	json_out_u64(j, 2);
	if (copy_list_type(j, &entries, keep, n, e) < 0)
		return -1;
	json_out_key(j, "manifests");
	json_out_begin(j, '[');
	for (size_t i = 0; i < n; i++) {
		struct json entry = json_item(&entries, i);

		if (keep[i] && copy_entry(j, &entry, e) < 0)
			return -1;
	}
	json_out_end(j, ']');
	json_out_end(j, '}');
	return 0;
}

int manifest_filter_index(struct buf *ret, struct str bytes, const bool *keep, struct err *e)
{
	auto_json struct json_doc doc = {NULL};
	// Indentation and escapes can make more of the bytes than there were.
	auto_buf struct buf out = BUF_INIT(16 * MANIFEST_MAX);
	struct json_out j = {.out = &out, .indent = 3};

	if (json_parse(&doc, bytes, limits, JSON_UNIQUE, e) < 0)
		return -1;
	struct json root = json_root(&doc);

	if (copy_index(&j, &root, keep, e) < 0)
		return -1;
	return buf_add(ret, out.p, out.n, e);
}

int config_platform(struct str bytes, char **ret_os, char **ret_arch, struct err *e)
{
	auto_json struct json_doc doc = {NULL};
	const char *os, *arch;

	if (json_parse(&doc, bytes, limits, 0, e) < 0)
		return err_wrap(e, "image configuration");
	struct json root = json_root(&doc);
	struct json os_at = json_member(&root, "os"), arch_at = json_member(&root, "architecture");

	if (json_need_object(&root, e) < 0 || json_text_or(&os_at, "", &os, e) < 0 ||
	    json_text_or(&arch_at, "", &arch, e) < 0)
		return err_wrap(e, "image configuration");
	*ret_os = xstrdup(os);
	*ret_arch = xstrdup(arch);
	return 0;
}
