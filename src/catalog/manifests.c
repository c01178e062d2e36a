// SPDX-License-Identifier: Apache-2.0
// The files that tell a cluster about a mirrored catalog.
#include "catalog/manifests.h"

#include "data/yaml_out.h"
#include "policy/merge.h"
#include "policy/mirror_sets.h"
#include "util/cleanup.h"
#include "util/map.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#define CATALOG_LABEL "operators.openshift.org/catalog"

void catalog_manifests_release(struct catalog_manifests *m)
{
	for (size_t i = 0; i < m->n; i++)
		buf_free(&m->v[i].text);
	strlist_release(&m->notices);
	strlist_release(&m->remarks);
	*m = (struct catalog_manifests){0};
}

int catalog_scope_parse(enum catalog_scope *ret, const char *flag, const char *text, struct err *e)
{
	if (strcmp(text, "repository") == 0)
		*ret = CATALOG_SCOPE_REPOSITORY;
	else if (strcmp(text, "registry") == 0)
		*ret = CATALOG_SCOPE_REGISTRY;
	else
		return err_set(e, ERR_USAGE, "invalid %s %s", flag, text);
	return 0;
}

int catalog_set_size_check(const char *flag, int64_t n, struct err *e)
{
	if (n > 0 && n <= CATALOG_SET_MAX)
		return 0;
	return err_set(e, ERR_USAGE,
		       "provided %s of %" PRId64 " must be greater than 0 and less than or equal "
		       "to %d",
		       flag, n, CATALOG_SET_MAX);
}

struct making {
	const struct catalog_mapping *mapping;
	const struct catalog_manifests_config *cfg;
	struct catalog_manifests *to;
	char *name; // of the objects
};

static struct buf *new_file(struct making *k, const char *file)
{
	struct catalog_manifest *m = &k->to->v[k->to->n++];

	*m = (struct catalog_manifest){.file = file, .text = BUF_INIT(BUF_TEXT_MAX)};
	return &m->text;
}

// A set of mirrors and where it is written.
struct set_file {
	enum mirror_set set;
	const char *file, *scope_option, *size_option;
	enum catalog_scope scope;
	int max_size;
};

static bool by_tag(const struct set_file *f)
{
	return f->set == MIRROR_SET_ITMS;
}

// Has X a line in this set? The index by tag needs none: the catalog's own object names it.
static bool belongs(const struct set_file *f, const struct catalog_entry *x)
{
	if (catalog_origin(x)->type != REF_REGISTRY)
		return false;
	return by_tag(f) ? !catalog_origin(x)->has_digest && !x->is_index : x->dst.has_digest;
}

static void add_notices(struct making *k, const struct set_file *f)
{
	auto_strlist struct strlist lines = {0};

	for (size_t i = 0; i < k->mapping->n; i++) {
		if (belongs(f, &k->mapping->v[i]))
			continue;
		auto_free char *src = reference_print(&k->mapping->v[i].src);

		strlist_addf(&lines, "no digest mapping available for %s, skip writing to %s", src,
			     mirror_set_kind(f->set));
	}
	strlist_sort(&lines);
	for (size_t i = 0; i < lines.n; i++)
		strlist_take(&k->to->notices, steal(&lines.v[i]));
}

// The mirror of all of SRC's registry that DST tells of: its path without SRC's at the end. NULL:
// there is none.
static char *registry_mirror(const struct reference *src, const struct reference *dst)
{
	size_t n = strlen(src->repository), all = strlen(dst->repository);

	if (!ends_with(dst->repository, src->repository))
		return NULL;
	if (all == n)
		return xstrdup(dst->registry);
	if (dst->repository[all - n - 1] != '/')
		return NULL;
	return xasprintf("%s/%.*s", dst->registry, (int)(all - n - 1), dst->repository);
}

static int scope_is_wrong(const struct set_file *f, const struct catalog_entry *x, struct err *e)
{
	auto_free char *src = reference_print_repository(catalog_origin(x));
	auto_free char *dst = reference_print_repository(&x->dst);

	err_set(e, ERR_USAGE,
		"%s registry: not all of %s is below one path of the mirror, %s is at %s",
		f->scope_option, catalog_origin(x)->registry, src, dst);
	return err_hint(e, "hint: use --%s=repository, or --max-components=0 so that paths stay",
			f->scope_option);
}

// As those who pull call it: they know Docker's older name as an alias.
static const char *registry_name(const struct reference *r)
{
	return strcmp(r->registry, "index.docker.io") == 0 ? "docker.io" : r->registry;
}

// KNOWN has the place of each registry in P.
static int add_registry(struct policy *p, struct map *known, const struct set_file *f,
			const struct catalog_entry *x, struct err *e)
{
	auto_free char *mirror = registry_mirror(catalog_origin(x), &x->dst);
	bool new;

	if (!mirror)
		return scope_is_wrong(f, x, e);
	struct map_entry *at = map_put(known, str_of(registry_name(catalog_origin(x))), &new);

	if (new) {
		at->num = p->n;
		policy_add(p, registry_name(catalog_origin(x)), mirror, by_tag(f));
		return 0;
	}
	assert(at->num < p->n && p->v);
	if (strcmp(p->v[at->num].mirrors.v[0], mirror) != 0)
		return scope_is_wrong(f, x, e);
	return 0;
}

// Images of a repository follow each other.
static void add_repository(struct policy *p, const struct set_file *f,
			   const struct catalog_entry *x)
{
	auto_free char *src =
		xasprintf("%s/%s", registry_name(catalog_origin(x)), catalog_origin(x)->repository);
	auto_free char *dst = reference_print_repository(&x->dst);
	const struct policy_source *last = p->n > 0 ? &p->v[p->n - 1] : NULL;

	if (strcmp(src, dst) == 0)
		return;
	if (!last || strcmp(last->source, src) != 0 || strcmp(last->mirrors.v[0], dst) != 0)
		policy_add(p, src, dst, by_tag(f));
}

static int collect_sources(struct making *k, const struct set_file *f, struct policy *p,
			   struct err *e)
{
	auto_map struct map registries = {0};
	size_t refused = 0;

	for (size_t i = 0; i < k->mapping->n; i++) {
		const struct catalog_entry *x = &k->mapping->v[i];

		if (!belongs(f, x))
			continue;
		if (f->set != MIRROR_SET_ICSP && !(mirror_set_takes(catalog_origin(x)->registry) &&
						   mirror_set_takes(x->dst.registry)))
			refused++;
		else if (f->scope == CATALOG_SCOPE_REPOSITORY)
			add_repository(p, f, x);
		else if (add_registry(p, &registries, f, x, e) < 0)
			return -1;
	}
	if (refused > 0)
		strlist_addf(&k->to->remarks,
			     "%s: %zu images are left out, %s takes no IPv6 addresses", f->file,
			     refused, mirror_set_kind(f->set));
	return 0;
}

static int put_set(struct making *k, const struct set_file *f, struct err *e)
{
	struct mirror_sets_config cfg = {.set = f->set,
					 .name = k->name,
					 .label = CATALOG_LABEL,
					 .max_size = (size_t)f->max_size,
					 .max_size_option = f->size_option};
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
	auto_policy struct policy p = {0};

	if (catalog_set_size_check(f->size_option, f->max_size, e) < 0)
		return -1;
	if (!by_tag(f))
		add_notices(k, f);
	if (collect_sources(k, f, &p, e) < 0 || mirror_sets_print(&text, &p, &cfg, e) < 0)
		return -1;
	if (text.n > 0) {
		*new_file(k, f->file) = text;
		text = (struct buf)BUF_INIT(BUF_TEXT_MAX);
	} else if (!by_tag(f)) {
		strlist_addf(&k->to->remarks, "%s is not written: no image has a digest to mirror",
			     f->file);
	}
	return 0;
}

static int put_sets(struct making *k, struct err *e)
{
	const struct catalog_manifests_config *cfg = k->cfg;
	const struct set_file files[] = {
		{MIRROR_SET_IDMS, "imageDigestMirrorSet.yaml", "idms-scope", "max-idms-size",
		 cfg->idms_scope, cfg->max_idms_size},
		{MIRROR_SET_ICSP, "imageContentSourcePolicy.yaml", "icsp-scope", "max-icsp-size",
		 cfg->icsp_scope, cfg->max_icsp_size},
		{MIRROR_SET_ITMS, "imageTagMirrorSet.yaml", "idms-scope", "max-idms-size",
		 cfg->idms_scope, cfg->max_idms_size},
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (put_set(k, &files[i], e) < 0)
			return -1;
	return 0;
}

static void put_pair(struct yaml_out *y, const char *key, const char *text)
{
	yaml_out_key(y, key);
	yaml_out_text(y, text);
}

static void put_catalog_source(struct making *k, const char *image)
{
	struct yaml_out y = {.out = new_file(k, "catalogSource.yaml")};

	yaml_out_map(&y);
	put_pair(&y, "apiVersion", "operators.coreos.com/v1alpha1");
	put_pair(&y, "kind", "CatalogSource");
	yaml_out_key(&y, "metadata");
	yaml_out_map(&y);
	put_pair(&y, "name", k->name);
	put_pair(&y, "namespace", "openshift-marketplace");
	yaml_out_end(&y);
	yaml_out_key(&y, "spec");
	yaml_out_map(&y);
	put_pair(&y, "image", image);
	put_pair(&y, "sourceType", "grpc");
	yaml_out_end(&y);
	yaml_out_end(&y);
}

static void put_cluster_catalog(struct making *k, const char *image)
{
	struct yaml_out y = {.out = new_file(k, "clusterCatalog.yaml")};

	yaml_out_map(&y);
	put_pair(&y, "apiVersion", "olm.operatorframework.io/v1");
	put_pair(&y, "kind", "ClusterCatalog");
	yaml_out_key(&y, "metadata");
	yaml_out_map(&y);
	put_pair(&y, "name", k->name);
	yaml_out_end(&y);
	yaml_out_key(&y, "spec");
	yaml_out_map(&y);
	yaml_out_key(&y, "priority");
	yaml_out_raw(&y, "0");
	yaml_out_key(&y, "source");
	yaml_out_map(&y);
	yaml_out_key(&y, "image");
	yaml_out_map(&y);
	put_pair(&y, "ref", image);
	yaml_out_end(&y);
	put_pair(&y, "type", "Image");
	yaml_out_end(&y);
	yaml_out_end(&y);
	yaml_out_end(&y);
}

// By digest where the index was named by one.
static char *print_index(const struct reference *dst)
{
	auto_free char *repository = reference_print_repository(dst);

	return xasprintf("%s%s%s", repository, dst->has_digest ? "@" : ":",
			 dst->has_digest ? dst->digest.text : dst->tag);
}

static int choose_name(struct making *k, struct err *e)
{
	auto_free char *part =
		k->cfg->name ? xstrdup(k->cfg->name) : catalog_name_part(k->cfg->src);

	k->name = catalog_object_name(part);
	if (k->cfg->name && strcmp(k->name, k->cfg->name) != 0)
		return err_set(e, ERR_USAGE,
			       "'%s' is no name for an object: lower-case letters, digits and -, a "
			       "letter first, at most 63 characters",
			       k->cfg->name);
	return 0;
}

static int make(struct making *k, struct err *e)
{
	const struct reference *index = &k->mapping->v[k->mapping->n - 1].dst;

	if (choose_name(k, e) < 0)
		return -1;
	k->to->named = true;
	if (index->type != REF_REGISTRY)
		return 0;
	auto_free char *image = print_index(index);

	if (put_sets(k, e) < 0)
		return -1;
	put_catalog_source(k, image);
	if (k->cfg->olm_v1)
		put_cluster_catalog(k, image);
	return 0;
}

int catalog_manifests_make(const struct catalog_mapping *m,
			   const struct catalog_manifests_config *cfg,
			   struct catalog_manifests *ret, struct err *e)
{
	struct making k = {.mapping = m, .cfg = cfg, .to = ret};

	*ret = (struct catalog_manifests){0};
	int r = make(&k, e);

	free(k.name);
	return r;
}
