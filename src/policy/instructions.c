// SPDX-License-Identifier: Apache-2.0
// What a cluster needs to find its images at the mirror, in the reference's words.
#include "policy/instructions.h"

#include "data/yaml_out.h"
#include "util/mem.h"

#include <strings.h>

static const struct {
	const char *name;
	const char *install_key; // of install-config.yaml
	const char *api_version, *kind, *spec_key;
} kinds[] = {
	[INSTRUCTIONS_ICSP] = {"icsp", "imageContentSources", "operator.openshift.io/v1alpha1",
			       "ImageContentSourcePolicy", "repositoryDigestMirrors"},
	[INSTRUCTIONS_IDMS] = {"idms", "imageDigestSources", "config.openshift.io/v1",
			       "ImageDigestMirrorSet", "imageDigestMirrors"},
	[INSTRUCTIONS_NONE] = {"none", NULL, NULL, NULL, NULL},
};

int instructions_kind_parse(enum instructions_kind *ret, const char *text, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcasecmp(text, kinds[i].name) == 0) {
			*ret = (enum instructions_kind)i;
			return 0;
		}
	return err_set(e, ERR_USAGE, "--print-mirror-instructions must be one of icsp, idms, none");
}

static void copy_sorted(struct strlist *ret, const struct strlist *l)
{
	for (size_t i = 0; i < l->n; i++)
		strlist_add(ret, l->v[i]);
	strlist_sort(ret);
	strlist_unique(ret);
}

static void copy_distinct(struct strlist *ret, const struct strlist *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (!strlist_has(ret, l->v[i]))
			strlist_add(ret, l->v[i]);
}

static void put_source(struct yaml_out *y, const char *source, const struct strlist *mirrors)
{
	yaml_out_map(y);
	yaml_out_key(y, "mirrors");
	yaml_out_list(y);
	for (size_t i = 0; i < mirrors->n; i++)
		yaml_out_text(y, mirrors->v[i]);
	yaml_out_end(y);
	yaml_out_key(y, "source");
	yaml_out_text(y, source);
	yaml_out_end(y);
}

static void put_sources(struct yaml_out *y, const char *key, const struct strlist *sources,
			const struct strlist *mirrors)
{
	yaml_out_key(y, key);
	yaml_out_list(y);
	for (size_t i = 0; i < sources->n; i++)
		put_source(y, sources->v[i], mirrors);
	yaml_out_end(y);
}

static void put_install_config(struct buf *out, enum instructions_kind kind,
			       const struct strlist *sources, const struct strlist *mirrors)
{
	struct yaml_out y = {.out = out};

	yaml_out_map(&y);
	put_sources(&y, kinds[kind].install_key, sources, mirrors);
	yaml_out_end(&y);
}

static void put_policy(struct buf *out, enum instructions_kind kind, const struct strlist *sources,
		       const struct strlist *mirrors)
{
	struct yaml_out y = {.out = out};

	yaml_out_map(&y);
	yaml_out_key(&y, "apiVersion");
	yaml_out_text(&y, kinds[kind].api_version);
	yaml_out_key(&y, "kind");
	yaml_out_text(&y, kinds[kind].kind);
	yaml_out_key(&y, "metadata");
	yaml_out_map(&y);
	yaml_out_key(&y, "name");
	yaml_out_text(&y, "example");
	yaml_out_end(&y);
	yaml_out_key(&y, "spec");
	yaml_out_map(&y);
	put_sources(&y, kinds[kind].spec_key, sources, mirrors);
	yaml_out_end(&y);
	yaml_out_end(&y);
}

void instructions_print(struct buf *ret, enum instructions_kind kind, const struct strlist *sources,
			const struct strlist *mirrors)
{
	auto_strlist struct strlist from = {0}, to = {0};

	if (kind == INSTRUCTIONS_NONE)
		return;
	copy_sorted(&from, sources);
	copy_distinct(&to, mirrors);
	buf_puts(ret, "\nTo use the new mirrored repository to install, add the following section "
		      "to the install-config.yaml:\n\n");
	put_install_config(ret, kind, &from, &to);
	buf_printf(ret,
		   "\n\nTo use the new mirrored repository for upgrades, use the following to "
		   "create an %s:\n\n",
		   kinds[kind].kind);
	put_policy(ret, kind, &from, &to);
}
