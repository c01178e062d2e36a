// SPDX-License-Identifier: Apache-2.0
// Opening an index image: manifest, one platform of a list, labels.
#include "catalog/index.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "data/json.h"
#include "repo/layers.h"

#define LABEL_CONFIGS    "operators.operatorframework.io.index.configs.v1"
#define LABEL_DATABASE   "operators.operatorframework.io.index.database.v1"
#define MT_DOCKER_CONFIG "application/vnd.docker.container.image.v1+json"
#define MT_OCI_CONFIG    "application/vnd.oci.image.config.v1+json"

#define CONFIG_MAX     ((size_t)8 << 20)
#define LABEL_PATH_MAX 1024 // bytes of what a label may say
#define FILTER_DEFAULT "linux/amd64"

enum {
	PLATFORM_MAX = 256, // bytes of os/arch/variant
	TABLE_MAX = 520,    // bytes of the list in an error, which has to fit into a struct err
};

void catalog_index_release(struct catalog_index *ix)
{
	manifest_release(&ix->manifest);
	free(ix->path);
	*ix = (struct catalog_index){0};
}

static int get(struct catalog_index *ix, const char *ref, const char *name, struct digest *ret,
	       struct err *e)
{
	auto_manifest_bytes struct manifest_bytes bytes = {0};

	if (ix->repo->ops->manifest_get(ix->repo, ref, &bytes, e) < 0)
		return -1;
	*ret = bytes.digest;
	return manifest_parse(&ix->manifest, buf_str(&bytes.bytes), bytes.media_type, name, e);
}

// ---- choosing an entry of a list

// "linux/arm64/v8"; "/" for an entry that does not say.
struct platform_text {
	char s[PLATFORM_MAX];
};

static struct platform_text name_entry(const struct descriptor *d)
{
	struct platform_text t = {"/"};
	const struct platform *p = &d->platform;

	if (d->has_platform)
		snprintf(t.s, sizeof(t.s), "%s/%s%s%s", p->os, p->architecture,
			 *p->variant ? "/" : "", p->variant);
	for (char *c = t.s; *c; c++)
		if (*c <= ' ' || *c > '~')
			*c = '?';
	return t;
}

// Entry D is of platform NAME, whichever variant of it.
static bool is_of(const struct descriptor *d, const char *name)
{
	struct platform_text t = name_entry(d);
	size_t n = strlen(name);

	return strncmp(t.s, name, n) == 0 && (t.s[n] == '\0' || t.s[n] == '/');
}

// "linux/arm" means that architecture, and not every one that begins so.
static bool is_plain_name(const char *filter)
{
	return strchr(filter, '/') && filter[strspn(filter, "abcdefghijklmnopqrstuvwxyz"
							    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
							    "0123456789/_-")] == '\0';
}

static const struct descriptor *find_exact(const struct manifest *list, const char *name)
{
	assert(list->manifests || list->nmanifests == 0);
	for (size_t i = 0; i < list->nmanifests; i++)
		if (strcmp(name_entry(&list->manifests[i]).s, name) == 0)
			return &list->manifests[i];
	return NULL;
}

// Which entries the expression takes; how many.
static size_t mark(const struct manifest *list, const char *filter,
		   const struct platform_filter *expression, bool *ret_marked)
{
	static const struct platform none = {"", "", "", ""};
	bool plain = is_plain_name(filter);
	size_t n = 0;

	assert(list->manifests || list->nmanifests == 0);
	for (size_t i = 0; i < list->nmanifests; i++) {
		const struct descriptor *d = &list->manifests[i];

		ret_marked[i] = plain ? is_of(d, filter)
				      : platform_filter_match(
						expression, d->has_platform ? &d->platform : &none);
		n += ret_marked[i];
	}
	return n;
}

// Of several: linux/amd64, what this machine is, the first.
static const struct descriptor *prefer(const struct manifest *list, const bool *marked)
{
	const char *const names[] = {FILTER_DEFAULT, platform_local()};
	size_t first = 0;

	for (size_t k = 0; k < ARRAY_SIZE(names); k++)
		for (size_t i = 0; i < list->nmanifests; i++)
			if (marked[i] && is_of(&list->manifests[i], names[k]))
				return &list->manifests[i];
	while (!marked[first])
		first++;
	return &list->manifests[first];
}

static int no_entry(const struct manifest *list, struct err *e)
{
	auto_buf struct buf rows = BUF_INIT(BUF_TEXT_MAX);
	int width = 2;
	size_t i;

	for (i = 0; i < list->nmanifests; i++) {
		int n = (int)strlen(name_entry(&list->manifests[i]).s);

		width = n > width ? n : width;
	}
	for (i = 0; i < list->nmanifests; i++) {
		const struct descriptor *d = &list->manifests[i];
		size_t before = rows.n;

		buf_printf(&rows, "  %-*s %s\n", width, name_entry(d).s, d->digest.text);
		if (rows.n <= TABLE_MAX)
			continue;
		rows.p[rows.n = before] = '\0';
		buf_printf(&rows, "  and %zu more\n", list->nmanifests - i);
		break;
	}
	return err_set(e, ERR_INPUT,
		       "the image is a manifest list and contains multiple images - use "
		       "--index-filter-by-os to select from:\n\n  %-*s DIGEST\n%s",
		       width, "OS", rows.p);
}

static char *tell_choice(const struct descriptor *d, const char *why)
{
	return xasprintf("the image is a manifest list and %s: reading the catalog of %s", why,
			 name_entry(d).s);
}

// FILTER NULL: none was given.
static int choose(const struct manifest *list, const char *filter,
		  const struct platform_filter *expression, const struct descriptor **ret,
		  char **ret_notice, struct err *e)
{
	auto_free bool *marked = xcalloc(list->nmanifests + 1, sizeof(*marked));
	const char *wanted = filter ? filter : FILTER_DEFAULT;

	*ret = find_exact(list, wanted);
	if (*ret)
		return 0;
	size_t n = mark(list, wanted, expression, marked);

	if (n == 0 && !filter && list->nmanifests == 1) { // what else could be meant
		*ret = &list->manifests[0];
		*ret_notice = tell_choice(*ret, "has no image for " FILTER_DEFAULT);
		return 0;
	}
	if (n == 0)
		return no_entry(list, e);
	*ret = prefer(list, marked);
	if (n > 1)
		*ret_notice = tell_choice(*ret, "--index-filter-by-os selects several images");
	return 0;
}

// ---- labels

static int parse_config(struct json_doc *ret, const struct catalog_index *ix, struct err *e)
{
	auto_buf struct buf bytes = BUF_INIT(CONFIG_MAX);

	if (repo_read_blob(ix->repo, &ix->manifest.config, &bytes, e) < 0)
		return err_wrap(e, "image configuration");
	if (json_parse(ret, buf_str(&bytes), JSON_LIMITS(CONFIG_MAX), 0, e) < 0)
		return err_wrap(e, "image configuration %s", ix->manifest.config.digest.text);
	return 0;
}

// Absent and null members are no labels, at each level.
static int get_label(const struct json_doc *doc, const char *label, const char **ret, struct err *e)
{
	struct json root = json_root(doc), config = json_member(&root, "config");
	struct json labels = json_member(&config, "Labels"), value = json_member(&labels, label);

	if (json_need_object(&root, e) < 0 ||
	    (json_present(&config) && json_need_object(&config, e) < 0) ||
	    (json_present(&labels) && json_need_object(&labels, e) < 0) ||
	    json_text_or(&value, NULL, ret, e) < 0)
		return err_wrap(e, "image configuration");
	if (*ret && strlen(*ret) > LABEL_PATH_MAX)
		return err_set(e, ERR_INPUT, "label %s is longer than %d bytes", label,
			       LABEL_PATH_MAX);
	return 0;
}

static int read_labels(struct catalog_index *ix, struct err *e)
{
	auto_json struct json_doc doc = {0};
	const char *configs, *database;

	if (parse_config(&doc, ix, e) < 0 || get_label(&doc, LABEL_CONFIGS, &configs, e) < 0 ||
	    get_label(&doc, LABEL_DATABASE, &database, e) < 0)
		return -1;
	ix->labelled = configs || database;
	ix->kind = configs ? CATALOG_FBC : CATALOG_SQLITE;
	if (configs)
		ix->path = xasprintf("%s%s", configs, ends_with(configs, "/") ? "" : "/");
	else
		ix->path = xstrdup(database && *database ? database : "/");
	return 0;
}

// ---- opening

static bool is_image_config(const char *media_type)
{
	return strcmp(media_type, MT_DOCKER_CONFIG) == 0 || strcmp(media_type, MT_OCI_CONFIG) == 0;
}

// What the reference puts in front, for each kind of failure.
static int unreadable(const struct catalog_index *ix, const char *name, struct err *e)
{
	bool is_store = ix->repo && ix->repo->place->kind == PLACE_STORE;

	if (e->kind == ERR_CANCELLED)
		return -1;
	if (e->kind == ERR_NOT_FOUND && !is_store)
		return err_wrap(e, "image \"%s\" not found", name);
	if (e->kind == ERR_DENIED && e->http == 403)
		return err_set(e, ERR_DENIED,
			       "image \"%s\" does not exist or you don't have permission to "
			       "access the repository",
			       name);
	return err_wrap(e, "unable to read image %s", name);
}

// Puts the chosen entry in the place of the list.
static int open_entry(struct catalog_index *ix, const char *filter,
		      const struct platform_filter *expression, const char *name, char **ret_notice,
		      struct err *e)
{
	auto_manifest struct manifest list = ix->manifest;
	const struct descriptor *entry = NULL;

	ix->manifest = (struct manifest){0};
	if (choose(&list, filter, expression, &entry, ret_notice, e) < 0)
		return -1;
	if (get(ix, entry->digest.text, name, &ix->digest, e) == 0)
		return 0;
	err_wrap(e, "unable to retrieve source image %s manifest %s from manifest list", name,
		 entry->digest.text);
	if (e->kind == ERR_NOT_FOUND) // the image itself was found
		e->kind = ERR_INPUT;
	return unreadable(ix, name, e);
}

static int check_kind(const struct catalog_index *ix, struct err *e)
{
	const struct manifest *m = &ix->manifest;

	if (m->kind == MANIFEST_INDEX)
		return err_set(e, ERR_UNSUPPORTED, "manifest %s is a list inside of a list",
			       ix->digest.text);
	if (m->kind == MANIFEST_SCHEMA1)
		return err_set(e, ERR_UNSUPPORTED, "schema 1 images are not supported");
	if (!is_image_config(m->config.media_type))
		return err_set(e, ERR_INPUT,
			       "manifest %s does not have the expected image configuration media "
			       "type: %s",
			       ix->digest.text, m->config.media_type);
	return 0;
}

static int open_index(struct catalog_index *ix, const struct reference *ref, const char *filter,
		      const struct platform_filter *expression, char **ret_notice, struct err *e)
{
	auto_free char *name = reference_print(ref);

	if (!ref->has_digest && *ref->tag == '\0')
		return err_set(e, ERR_USAGE, "unable to read image %s: no tag or digest specified",
			       name);
	if (!ix->repo ||
	    get(ix, ref->has_digest ? ref->digest.text : ref->tag, name, &ix->root, e) < 0)
		return unreadable(ix, name, e);
	ix->digest = ix->root;
	if (ix->manifest.kind == MANIFEST_INDEX &&
	    open_entry(ix, filter, expression, name, ret_notice, e) < 0)
		return -1;
	if (check_kind(ix, e) < 0)
		return -1;
	return read_labels(ix, e) < 0 ? unreadable(ix, name, e) : 0;
}

int catalog_index_open(struct places *places, const struct reference *ref, const char *filter,
		       struct catalog_index *ret, char **ret_notice, struct err *e)
{
	auto_of(platform_filter_free) struct platform_filter *expression = NULL;
	auto_catalog_index struct catalog_index ix = {0};
	auto_free char *notice = NULL;

	if (filter && *filter == '\0')
		filter = NULL;
	if (platform_filter_new(&expression, filter ? filter : FILTER_DEFAULT, e) < 0)
		return -1;
	ix.repo = places_repo(places, ref, false, e);
	if (open_index(&ix, ref, filter, expression, &notice, e) < 0)
		return -1;
	*ret = ix;
	ix = (struct catalog_index){0};
	*ret_notice = steal(&notice);
	return 0;
}

struct stack_source catalog_index_source(struct catalog_index *ix)
{
	return repo_layers(ix->repo);
}
