// SPDX-License-Identifier: Apache-2.0
// A policy as registries.conf.
#include "policy/registries_conf.h"

#include "policy/merge.h"
#include "util/cleanup.h"

#include <string.h>

#define WILDCARD "*."

// One table, with the tables of its mirrors.
struct writing {
	struct buf table;
	unsigned flags;
};

// A basic string of TOML. Names of registries need no escapes; this is for all others.
static void put_text(struct buf *out, const char *key, const char *text)
{
	buf_printf(out, "%s = \"", key);
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == '"' || *c == '\\' || *c == 0x7f)
			buf_printf(out, "\\u%04X", (unsigned)(unsigned char)*c);
		else
			buf_putc(out, *c);
	buf_puts(out, "\"\n");
}

static void put_source(struct writing *w, const struct policy_source *s, bool blocked)
{
	buf_puts(&w->table, "[[registry]]\n");
	// Whatever matches is asked for where it is named.
	put_text(&w->table, starts_with(s->source, WILDCARD) ? "prefix" : "location", s->source);
	if (blocked)
		buf_puts(&w->table, "blocked = true\n");
}

static void put_mirrors(struct writing *w, const struct policy_source *s)
{
	for (size_t i = 0; i < s->mirrors.n; i++) {
		buf_puts(&w->table, "\n[[registry.mirror]]\n");
		put_text(&w->table, "location", s->mirrors.v[i]);
		put_text(&w->table, "pull-from-mirror", s->tags ? "tag-only" : "digest-only");
		if (w->flags & REGISTRIES_CONF_INSECURE)
			buf_puts(&w->table, "insecure = true\n");
	}
}

// What P says of the source at I: one entry, or two when tags have their own.
static size_t count_same(const struct policy *p, size_t i)
{
	return i + 1 < p->n && strcmp(p->v[i].source, p->v[i + 1].source) == 0 ? 2 : 1;
}

static void put_table(struct writing *w, const struct policy_source *s, size_t n)
{
	bool mirrored = false, blocked = false;

	for (size_t i = 0; i < n; i++) {
		mirrored = mirrored || s[i].mirrors.n > 0;
		blocked = blocked || s[i].contact == POLICY_CONTACT_NEVER;
	}
	if (!mirrored)
		return;
	put_source(w, s, blocked);
	for (size_t i = 0; i < n; i++)
		put_mirrors(w, &s[i]);
}

static int put_all(struct writing *w, struct buf *ret, const struct policy *p, struct err *e)
{
	bool first = true;

	for (size_t i = 0, n; i < p->n; i += n) {
		n = count_same(p, i);
		buf_clear(&w->table);
		put_table(w, &p->v[i], n);
		if (w->table.n > 0 && !first && buf_add(ret, "\n", 1, e) < 0)
			return -1;
		first = first && w->table.n == 0;
		if (buf_add(ret, w->table.p, w->table.n, e) < 0)
			return -1;
	}
	return 0;
}

int registries_conf_print(struct buf *ret, const struct policy *p, unsigned flags, struct err *e)
{
	struct writing w = {.table = BUF_INIT(BUF_TEXT_MAX), .flags = flags};
	auto_policy struct policy merged = {0};

	policy_merge(&merged, p);
	int r = put_all(&w, ret, &merged, e);

	buf_free(&w.table);
	return r;
}
