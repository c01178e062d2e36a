// SPDX-License-Identifier: Apache-2.0
// Reading mirror policies, and asking them.
#include "policy/read.h"

#include <stdlib.h>
#include <string.h>

#include "data/gofmt.h"
#include "data/yaml_in.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/mem.h"

#define WILDCARD "*."

void policy_release(struct policy *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->v[i].source);
		strlist_release(&p->v[i].mirrors);
	}
	free(p->v);
	*p = (struct policy){0};
}

void policy_places_release(struct policy_places *l)
{
	for (size_t i = 0; i < l->n; i++)
		reference_release(&l->v[i]);
	free(l->v);
	*l = (struct policy_places){0};
}

// Is TEXT a registry or a repository in one? Something is below it then.
static int check_place(const struct json *at, const char *text, struct err *e)
{
	auto_free char *below = xasprintf("%s/x", text);
	auto_reference struct reference ref = {0};
	struct err why;

	if (reference_parse(&ref, below, REF_NO_PREFIX, &why) == 0 && *ref.registry)
		return 0;
	auto_free char *quoted = gofmt_quote(str_of(text));

	return json_fail(at, e, "%.200s is not a registry or repository", quoted);
}

static int read_source_name(const struct json *entry, char **ret, struct err *e)
{
	struct json at = json_member(entry, "source");
	const char *text;

	if (json_text(&at, &text, e) < 0)
		return -1;
	bool wildcard = starts_with(text, WILDCARD);

	if (check_place(&at, text + (wildcard ? strlen(WILDCARD) : 0), e) < 0)
		return -1;
	if (wildcard && strchr(text, '/'))
		return json_fail(&at, e, "'*.' stands for registries, not for repositories");
	*ret = xstrdup(text);
	return 0;
}

static int read_mirrors(const struct json *entry, struct strlist *ret, struct err *e)
{
	struct json at = json_member(entry, "mirrors");
	size_t n;

	if (json_items(&at, &n, e) < 0)
		return -1;
	if (n > POLICY_MIRRORS_MAX)
		return json_fail(&at, e, "more than %d mirrors", POLICY_MIRRORS_MAX);
	for (size_t i = 0; i < n; i++) {
		struct json item = json_item(&at, i);
		const char *text;

		if (json_text(&item, &text, e) < 0 || check_place(&item, text, e) < 0)
			return -1;
		strlist_add(ret, text);
	}
	return 0;
}

// Policy documents call it mirrorSourcePolicy, install-config sourcePolicy.
static int read_contact(const struct json *entry, enum policy_contact *ret, struct err *e)
{
	struct json cluster = json_member(entry, "mirrorSourcePolicy");
	struct json install = json_member(entry, "sourcePolicy");
	const struct json *at = json_present(&cluster) ? &cluster : &install;
	const char *text;

	if (json_text_or(at, "", &text, e) < 0)
		return -1;
	if (strcmp(text, "NeverContactSource") == 0)
		*ret = POLICY_CONTACT_NEVER;
	else if (strcmp(text, "AllowContactingSource") == 0)
		*ret = POLICY_CONTACT_ALLOW;
	else if (*text)
		return json_fail(at, e, "neither AllowContactingSource nor NeverContactSource");
	return 0;
}

// One source cannot be told both.
static int check_contact(const struct policy *p, const struct policy_source *s,
			 const struct json *entry, struct err *e)
{
	for (size_t i = 0; s->contact != POLICY_CONTACT_UNSAID && i < p->n; i++) {
		const struct policy_source *other = &p->v[i];

		if (other->tags == s->tags && strcmp(other->source, s->source) == 0 &&
		    other->contact != POLICY_CONTACT_UNSAID && other->contact != s->contact)
			return json_fail(entry, e,
					 "NeverContactSource and AllowContactingSource for the "
					 "same source '%.200s'",
					 s->source);
	}
	return 0;
}

static int read_source(struct policy *p, const struct json *entry, bool tags, struct err *e)
{
	struct policy_source s = {.tags = tags};

	if (read_source_name(entry, &s.source, e) < 0 || read_mirrors(entry, &s.mirrors, e) < 0 ||
	    read_contact(entry, &s.contact, e) < 0 || check_contact(p, &s, entry, e) < 0) {
		free(s.source);
		strlist_release(&s.mirrors);
		return -1;
	}
	p->v = xreallocarray(p->v, p->n + 1, sizeof(*p->v));
	p->v[p->n++] = s;
	return 0;
}

static int read_sources(struct policy *p, const struct json *at, bool tags, struct err *e)
{
	size_t n;

	if (json_items(at, &n, e) < 0)
		return -1;
	if (n > POLICY_SOURCES_MAX - p->n)
		return json_fail(at, e, "more than %d sources", POLICY_SOURCES_MAX);
	for (size_t i = 0; i < n; i++) {
		struct json entry = json_item(at, i);

		if (json_need_object(&entry, e) < 0 || read_source(p, &entry, tags, e) < 0)
			return -1;
	}
	return 0;
}

static const struct {
	const char *kind, *api_version, *sources;
	bool tags;
} kinds[] = {
	{"ImageContentSourcePolicy", "operator.openshift.io/v1alpha1", "repositoryDigestMirrors",
	 false},
	{"ImageDigestMirrorSet", "config.openshift.io/v1", "imageDigestMirrors", false},
	{"ImageTagMirrorSet", "config.openshift.io/v1", "imageTagMirrors", true},
};

static int read_object(struct policy *p, const struct json *root, const char *kind,
		       const char *api_version, struct err *e)
{
	struct json spec = json_member(root, "spec");
	size_t i = 0;

	while (i < ARRAY_SIZE(kinds) && strcmp(kind, kinds[i].kind) != 0)
		i++;
	if (i == ARRAY_SIZE(kinds)) {
		auto_free char *quoted = gofmt_quote(str_of(kind));

		return err_set(e, ERR_INPUT,
			       "kind %.100s is no mirror policy: ImageContentSourcePolicy, "
			       "ImageDigestMirrorSet, ImageTagMirrorSet and the sections of "
			       "install-config.yaml are",
			       quoted);
	}
	if (strcmp(api_version, kinds[i].api_version) != 0)
		return err_set(e, ERR_INPUT, "%s has apiVersion %s, not '%.60s'", kind,
			       kinds[i].api_version, api_version);
	struct json sources = json_member(&spec, kinds[i].sources);

	if (json_present(&spec) && json_need_object(&spec, e) < 0)
		return -1;
	return read_sources(p, &sources, kinds[i].tags, e);
}

static int read_document(struct policy *p, const struct json *root, bool in_list, struct err *e);

static int read_list(struct policy *p, const struct json *items, struct err *e)
{
	size_t n;

	if (json_items(items, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct json item = json_item(items, i);

		if (read_document(p, &item, true, e) < 0)
			return -1;
	}
	return 0;
}

// What an install-config.yaml has; the whole file will do, too.
static int read_install_config(struct policy *p, const struct json *root, struct err *e)
{
	struct json old = json_member(root, "imageContentSources");
	struct json new = json_member(root, "imageDigestSources");

	if (!json_exists(&old) && !json_exists(&new))
		return err_set(e, ERR_INPUT, "Object 'Kind' is missing");
	if (read_sources(p, &old, false, e) < 0)
		return -1;
	return read_sources(p, &new, false, e);
}

static int read_document(struct policy *p, const struct json *root, bool in_list, struct err *e)
{
	struct json kind_at = json_member(root, "kind"), api_at = json_member(root, "apiVersion");
	struct json items = json_member(root, "items");
	const char *kind, *api_version;

	if (json_need_object(root, e) < 0 || json_text_or(&kind_at, "", &kind, e) < 0 ||
	    json_text_or(&api_at, "", &api_version, e) < 0)
		return -1;
	if (*kind == '\0')
		return read_install_config(p, root, e);
	if (*api_version == '\0')
		return err_set(e, ERR_INPUT, "Object 'apiVersion' is missing");
	if (!in_list && ends_with(kind, "List") && json_present(&items))
		return read_list(p, &items, e);
	return read_object(p, root, kind, api_version, e);
}

struct reading {
	struct policy *to;
	unsigned document;
};

static int read_next(void *arg, const struct json *root, struct err *e)
{
	struct reading *r = arg;

	r->document++;
	if (read_document(r->to, root, false, e) < 0)
		return err_wrap(e, "document %u", r->document);
	return 0;
}

int policy_read(struct policy *p, struct str bytes, const char *name, struct err *e)
{
	struct reading r = {.to = p};

	if (yaml_parse(bytes, YAML_LIMITS(POLICY_FILE_MAX), 0, read_next, &r, e) < 0)
		return err_wrap(e, "%s", name);
	if (r.document == 0)
		return err_set(e, ERR_INPUT, "%s: no mirror policy in it", name);
	return 0;
}

int policy_read_file(struct policy *p, const char *path, struct err *e)
{
	auto_buf struct buf bytes = BUF_INIT(POLICY_FILE_MAX);

	if (fs_read_file(&bytes, path, e) < 0)
		return -1;
	return policy_read(p, buf_str(&bytes), path, e);
}

bool policy_has_tags(const struct policy *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].tags)
			return true;
	return false;
}

// What of NAME lies below the source: "" or "/path"; NULL when it is elsewhere.
static const char *below(const char *source, const char *name)
{
	size_t n = strlen(source);

	if (starts_with(source, WILDCARD)) {
		const char *host_end = name + strcspn(name, "/");
		size_t suffix = n - 1; // with its dot

		if ((size_t)(host_end - name) <= suffix ||
		    strncmp(host_end - suffix, source + 1, suffix) != 0)
			return NULL;
		return host_end;
	}
	if (strncmp(name, source, n) != 0 || (name[n] != '\0' && name[n] != '/'))
		return NULL;
	return name + n;
}

// "quay.io/org/img": the registry that is meant is written out.
static char *full_name(const struct reference *ref)
{
	bool hub = *ref->registry == '\0' || strcmp(ref->registry, "docker.io") == 0;
	auto_free char *repository =
		hub ? reference_wire_repository(ref) : xstrdup(ref->repository);

	return xasprintf("%s/%s", hub ? "docker.io" : ref->registry, repository);
}

static void add_place(struct policy_places *to, const char *mirror, const char *rest)
{
	auto_free char *text = xasprintf("%s%s", mirror, rest);
	struct reference ref;
	struct err ignored;

	// A bare registry is no place for content of a single repository.
	if (reference_parse(&ref, text, REF_NO_PREFIX, &ignored) < 0)
		return;
	if (*ref.repository == '\0' || *ref.registry == '\0' || *ref.tag || ref.has_digest) {
		reference_release(&ref);
		return;
	}
	for (size_t i = 0; i < to->n; i++)
		if (strcmp(to->v[i].registry, ref.registry) == 0 &&
		    strcmp(to->v[i].repository, ref.repository) == 0) {
			reference_release(&ref);
			return;
		}
	to->v = xreallocarray(to->v, to->n + 1, sizeof(*to->v));
	to->v[to->n++] = ref;
}

// Entries that apply, those of the longest source first. A wildcard is shorter than any name.
static size_t rank(const struct policy_source *s)
{
	size_t n = strlen(s->source);

	return starts_with(s->source, WILDCARD) ? n : n + ((size_t)1 << 32);
}

// The longest source below LIMIT that NAME is in; 0: none.
static size_t next_rank(const struct policy *p, const char *name, bool tags, size_t limit)
{
	size_t best = 0;

	for (size_t i = 0; i < p->n; i++) {
		size_t own = rank(&p->v[i]);

		if (p->v[i].tags == tags && own < limit && own > best &&
		    below(p->v[i].source, name))
			best = own;
	}
	return best;
}

static void add_rank(const struct policy *p, const char *name, bool tags, size_t wanted,
		     enum policy_contact *contact, struct policy_places *to)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct policy_source *s = &p->v[i];
		const char *rest = below(s->source, name);

		if (s->tags != tags || !rest || rank(s) != wanted)
			continue;
		if (s->contact != POLICY_CONTACT_UNSAID)
			*contact = s->contact;
		for (size_t k = 0; k < s->mirrors.n; k++)
			add_place(to, s->mirrors.v[k], rest);
	}
}

void policy_mirrors(const struct policy *p, const struct reference *ref, bool tags,
		    struct policy_places *ret)
{
	struct policy_places to = {0};

	if (ref->type == REF_REGISTRY) {
		auto_free char *name = full_name(ref);
		size_t longest = next_rank(p, name, tags, SIZE_MAX);

		for (size_t at = longest; at > 0; at = next_rank(p, name, tags, at)) {
			enum policy_contact contact = POLICY_CONTACT_UNSAID;

			add_rank(p, name, tags, at, &contact, &to);
			if (at == longest)
				to.never_source = contact == POLICY_CONTACT_NEVER;
		}
	}
	*ret = to;
}
