// SPDX-License-Identifier: Apache-2.0
// Mirror policies as objects, cut to the size that a cluster takes.
#include "policy/mirror_sets.h"

#include "data/yaml_out.h"
#include "policy/merge.h"
#include "util/cleanup.h"
#include "util/mem.h"

#include <string.h>

// What the reference measures and does not write.
#define UNWRITTEN_TIME   "  creationTimestamp: null\n"
#define UNWRITTEN_STATUS "status: {}\n"

static const struct {
	const char *kind, *word, *api_version, *sources;
	size_t unwritten;
} sets[] = {
	[MIRROR_SET_ICSP] = {"ImageContentSourcePolicy", "ICSP", "operator.openshift.io/v1alpha1",
			     "repositoryDigestMirrors", sizeof(UNWRITTEN_TIME) - 1},
	[MIRROR_SET_IDMS] = {"ImageDigestMirrorSet", "IDMS", "config.openshift.io/v1",
			     "imageDigestMirrors", sizeof(UNWRITTEN_TIME UNWRITTEN_STATUS) - 1},
	[MIRROR_SET_ITMS] = {"ImageTagMirrorSet", "ITMS", "config.openshift.io/v1",
			     "imageTagMirrors", sizeof(UNWRITTEN_TIME UNWRITTEN_STATUS) - 1},
};

const char *mirror_set_kind(enum mirror_set set)
{
	return sets[set].kind;
}

bool mirror_set_takes(const char *place)
{
	return *place != '[';
}

// Where the next object is being written.
struct writing {
	const struct mirror_sets_config *cfg;
	struct buf object; // behind its "---"
	struct yaml_out yaml;
	unsigned number;
	bool open, filled;
};

static void begin_object(struct writing *w)
{
	auto_free char *name = xasprintf("%s-%u", w->cfg->name, w->number++);
	struct yaml_out *y = &w->yaml;

	buf_clear(&w->object);
	*y = (struct yaml_out){.out = &w->object};
	yaml_out_map(y);
	yaml_out_key(y, "apiVersion");
	yaml_out_text(y, sets[w->cfg->set].api_version);
	yaml_out_key(y, "kind");
	yaml_out_text(y, sets[w->cfg->set].kind);
	yaml_out_key(y, "metadata");
	yaml_out_map(y);
	if (w->cfg->label) {
		yaml_out_key(y, "labels");
		yaml_out_map(y);
		yaml_out_key(y, w->cfg->label);
		yaml_out_text(y, "true");
		yaml_out_end(y);
	}
	yaml_out_key(y, "name");
	yaml_out_text(y, name);
	yaml_out_end(y);
	yaml_out_key(y, "spec");
	yaml_out_map(y);
	yaml_out_key(y, sets[w->cfg->set].sources);
	yaml_out_list(y);
	w->open = true;
	w->filled = false;
}

static int end_object(struct writing *w, struct buf *ret, struct err *e)
{
	static const char separator[] = "---\n";

	for (int i = 0; i < 3; i++)
		yaml_out_end(&w->yaml);
	w->open = false;
	if (buf_add(ret, separator, sizeof(separator) - 1, e) < 0)
		return -1;
	return buf_add(ret, w->object.p, w->object.n, e);
}

static const char *contact_name(enum policy_contact contact)
{
	return contact == POLICY_CONTACT_NEVER ? "NeverContactSource" : "AllowContactingSource";
}

static void put_source(struct yaml_out *y, const struct policy_source *s, bool with_contact)
{
	yaml_out_map(y);
	if (with_contact && s->contact != POLICY_CONTACT_UNSAID) {
		yaml_out_key(y, "mirrorSourcePolicy");
		yaml_out_text(y, contact_name(s->contact));
	}
	yaml_out_key(y, "mirrors");
	yaml_out_list(y);
	for (size_t i = 0; i < s->mirrors.n; i++)
		yaml_out_text(y, s->mirrors.v[i]);
	yaml_out_end(y);
	yaml_out_key(y, "source");
	yaml_out_text(y, s->source);
	yaml_out_end(y);
}

// False, and the object as it was: S does not fit.
static bool fits(struct writing *w, const struct policy_source *s)
{
	size_t before = w->object.n;
	enum mirror_set set = w->cfg->set;

	put_source(&w->yaml, s, set != MIRROR_SET_ICSP);
	if (w->object.n + sets[set].unwritten <= w->cfg->max_size) {
		w->filled = true;
		return true;
	}
	w->object.n = before;
	w->object.p[before] = '\0';
	return false;
}

static int too_large(const struct writing *w, const struct policy_source *s, struct err *e)
{
	auto_buf struct buf mirrors = BUF_INIT(BUF_TEXT_MAX);

	for (size_t i = 0; i < s->mirrors.n; i++)
		buf_printf(&mirrors, "%s%s", i > 0 ? " " : "", s->mirrors.v[i]);
	return err_set(e, ERR_INPUT, "unable to add mirror {%s [%s]} to %s with the %s set to %zu",
		       s->source, mirrors.p, sets[w->cfg->set].word, w->cfg->max_size_option,
		       w->cfg->max_size);
}

static int write_source(struct writing *w, struct buf *ret, const struct policy_source *s,
			struct err *e)
{
	if (!w->open)
		begin_object(w);
	if (fits(w, s))
		return 0;
	if (w->filled) {
		if (end_object(w, ret, e) < 0)
			return -1;
		begin_object(w);
		if (fits(w, s))
			return 0;
	}
	return too_large(w, s, e);
}

static int write_all(struct writing *w, struct buf *ret, const struct policy *p, struct err *e)
{
	bool tags = w->cfg->set == MIRROR_SET_ITMS;

	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].tags == tags && write_source(w, ret, &p->v[i], e) < 0)
			return -1;
	return w->open ? end_object(w, ret, e) : 0;
}

int mirror_sets_print(struct buf *ret, const struct policy *p, const struct mirror_sets_config *cfg,
		      struct err *e)
{
	struct writing w = {.cfg = cfg, .object = BUF_INIT(BUF_TEXT_MAX)};
	auto_policy struct policy merged = {0};

	policy_merge(&merged, p);
	int r = write_all(&w, ret, &merged, e);

	buf_free(&w.object);
	return r;
}
