// SPDX-License-Identifier: Apache-2.0
// Two releases compared.
#include <stdlib.h>
#include <string.h>

#include "data/base64.h"
#include "data/gofmt.h"
#include "data/tabwriter.h"
#include "release/info.h"
#include "release/info_text.h"

enum { WIDTH_MAX = 200 }; // of the column of names

// A component by its entries; NULL in the release that has it not.
struct change {
	const char *name;
	const struct release_tag *from, *to;
};

// What differs, by name.
struct changes {
	const struct release_info *from, *to;
	struct change *v;
	size_t n;
	int width; // of the longest name
	bool commits;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct change *)a)->name, ((const struct change *)b)->name);
}

static const struct release_tag *find_tag(const struct release_info *r, const char *name)
{
	const struct release_tag *found = NULL;

	for (size_t i = 0; i < r->ntags; i++)
		if (r->tags[i].spec && strcmp(r->tags[i].name, name) == 0)
			found = &r->tags[i];
	return found;
}

static void add_change(struct changes *c, const struct release_tag *from,
		       const struct release_tag *to)
{
	const char *name = from ? from->name : to->name;

	if (from && to && strcmp(from->spec, to->spec) == 0)
		return;
	c->v[c->n++] = (struct change){name, from, to};
	size_t width = strlen(name) < WIDTH_MAX ? strlen(name) : WIDTH_MAX;

	if ((int)width > c->width)
		c->width = (int)width;
}

static void find_changes(struct changes *c)
{
	c->v = xcalloc(c->from->ntags + c->to->ntags + 1, sizeof(*c->v));
	for (size_t i = 0; i < c->from->ntags; i++) {
		const struct release_tag *t = &c->from->tags[i];

		if (t->spec && find_tag(c->from, t->name) == t)
			add_change(c, t, find_tag(c->to, t->name));
	}
	for (size_t i = 0; i < c->to->ntags; i++) {
		const struct release_tag *t = &c->to->tags[i];

		if (t->spec && find_tag(c->to, t->name) == t && !find_tag(c->from, t->name))
			add_change(c, NULL, t);
	}
	if (c->n > 1)
		qsort(c->v, c->n, sizeof(*c->v), by_name);
}

static bool code_changed(const struct change *c)
{
	return *c->from->commit && *c->to->commit && strcmp(c->from->commit, c->to->commit) != 0;
}

// LOCATION/WHAT/COMMITS on GitHub, else with blanks between and without WHAT.
static char *link_to(const char *location, const char *what, const char *commits)
{
	size_t n = strlen(location);

	if (!starts_with(location, "https://github.com/"))
		return xasprintf("%s %s", location, commits);
	while (n > 0 && location[n - 1] == '/')
		n--;
	return xasprintf("%.*s/%s/%s", (int)n, location, what, commits);
}

static char *commit_link(const struct release_tag *t)
{
	if (!*t->location || !*t->commit)
		return xstrdup("<unknown>");
	return link_to(t->location, "commit", t->commit);
}

static char *commits_link(const struct release_tag *from, const struct release_tag *to)
{
	auto_free char *old = NULL, *new = commit_link(to);
	bool moved = strcmp(from->location, to->location) != 0;
	bool github = starts_with(to->location, "https://github.com/");

	if (!*to->location || !*to->commit)
		return steal(&new);
	if (!moved && strcmp(from->commit, to->commit) == 0)
		return steal(&new);
	if (!moved) {
		auto_free char *range =
			xasprintf("%s%s%s", from->commit, github ? "..." : " ", to->commit);

		return link_to(to->location, "compare", range);
	}
	if (!*from->commit)
		return xasprintf("%s <unknown> -> %s", from->location, new);
	if (strcmp(from->commit, to->commit) == 0)
		return xasprintf("%s -> %s", from->location, new);
	old = link_to(from->location, "commit", from->commit);
	return xasprintf("%s -> %s", old, new);
}

static void print_change(struct buf *out, const struct changes *all, const struct change *c)
{
	auto_free char *old = release_digest_or_spec(c->from->spec);
	auto_free char *new = release_digest_or_spec(c->to->spec);

	if (strcmp(old, new) == 0)
		return;
	buf_printf(out, "  %-*s\t", all->width, c->name);
	if (all->commits) {
		auto_free char *commits = commits_link(c->from, c->to);

		buf_printf(out, "%s\n", commits);
	} else {
		buf_printf(out, "%s\t%s\n", old, new);
	}
}

static void print_added(struct buf *out, const struct changes *all, const struct change *c)
{
	auto_free char *text =
		all->commits ? commit_link(c->to) : release_digest_or_spec(c->to->spec);

	buf_printf(out, "  %-*s\t%s\n", all->width, c->name, text);
}

static void print_removed(struct buf *out, const struct changes *all, const struct change *c)
{
	buf_printf(out, "  %-*s\n", all->width, c->name);
}

enum section { CHANGED, REBUILT, ADDED, REMOVED };

static enum section section_of(const struct change *c)
{
	if (!c->from)
		return ADDED;
	if (!c->to)
		return REMOVED;
	return code_changed(c) ? CHANGED : REBUILT;
}

static void print_sections(struct buf *out, const struct changes *c)
{
	static const struct {
		const char *title;
		void (*print)(struct buf *out, const struct changes *all, const struct change *c);
	} sections[] = {
		[CHANGED] = {"Images Changed", print_change},
		[REBUILT] = {"Images Rebuilt", print_change},
		[ADDED] = {"Images Added", print_added},
		[REMOVED] = {"Images Removed", print_removed},
	};

	for (size_t s = 0; s < ARRAY_SIZE(sections); s++) {
		auto_buf struct buf rows = BUF_INIT(INFO_TEXT_MAX);

		for (size_t i = 0; i < c->n; i++) {
			if (section_of(&c->v[i]) != s)
				continue;
			if (rows.n == 0)
				buf_printf(&rows, "\n%s:\n", sections[s].title);
			sections[s].print(&rows, c, &c->v[i]);
		}
		tab_align(out, buf_str(&rows), 1);
	}
}

static bool upgrades(const struct release_info *from, const struct release_info *to)
{
	struct json root = json_root(&to->metadata), at = json_member(&root, "previous");

	for (size_t i = 0; i < json_size(&at); i++) {
		struct json item = json_item(&at, i);

		if (strcmp(json_as_text(&item), release_info_name(from)) == 0)
			return true;
	}
	return false;
}

static const char *version_of(const struct release_info *r)
{
	struct json root = json_root(&r->metadata), version = json_member(&root, "version");

	return json_as_text(&version);
}

static void print_head(struct buf *out, const struct release_info *from,
		       const struct release_info *to, int64_t now)
{
	auto_free char *old = release_info_platform(from), *new = release_info_platform(to);
	int64_t created_from = 0, created_to = 0;
	bool known_from = release_info_created(from, &created_from);
	bool known_to = release_info_created(to, &created_to);

	buf_puts(out, "\tFROM\tTO\n");
	buf_printf(out, "Name:\t%s\t%s\n", release_info_name(from), release_info_name(to));
	buf_printf(out, "Created:\t%s\t%s\n",
		   known_from ? gofmt_age(now - created_from).s : "<unknown>",
		   known_to ? gofmt_age(now - created_to).s : "<unknown>");
	if (strcmp(old, new) != 0)
		buf_printf(out, "OS/Arch:\t%s\t%s\n", old, new);
	if (from->metadata.root && to->metadata.root) {
		buf_printf(out, "\nVersion:\t%s\t%s\n", version_of(from), version_of(to));
		buf_printf(out, "Upgrade From:\t\t%s\n", upgrades(from, to) ? "Yes" : "No");
	} else if (from->metadata.root) {
		buf_puts(out, "Has Release Metadata:\tYes\t\n");
	} else if (to->metadata.root) {
		buf_puts(out, "Has Release Metadata:\t\tYes\n");
	}
}

static void print_upgrade(struct buf *out, const struct release_upgrade *u)
{
	buf_puts(out, "\nMirror Upgrade:\n");
	buf_printf(out, "  Images:\t%zu of %zu\n", u->changed, u->images);
	buf_printf(out, "  Blobs:\t%zu\n", u->blobs);
	buf_printf(out, "  Size:\t%s\n", gofmt_decimal((double)u->bytes).s);
}

void release_diff_print(struct buf *out, const struct release_info *from,
			const struct release_info *to, bool commits,
			const struct release_upgrade *upgrade, int64_t now)
{
	auto_buf struct buf text = BUF_INIT(INFO_TEXT_MAX);
	struct changes c = {.from = from, .to = to, .commits = commits};

	if (digest_equal(&from->payload.digest, &to->payload.digest)) {
		buf_puts(out, "Releases are identical\n");
		return;
	}
	find_changes(&c);
	print_head(&text, from, to, now);
	print_sections(&text, &c);
	if (upgrade)
		print_upgrade(&text, upgrade);
	tab_align(out, buf_str(&text), 2);
	buf_putc(out, '\n');
	free(c.v);
}

static int put_tag(struct json_out *j, const char *key, const struct release_info *r,
		   const struct release_tag *t, struct err *e)
{
	json_out_key(j, key);
	if (t)
		return release_tag_json(j, r, t, e);
	json_out_raw(j, "null");
	return 0;
}

static int put_changed_images(struct json_out *j, const struct changes *c, struct err *e)
{
	json_out_key(j, "changedImages");
	json_out_begin(j, '{');
	for (size_t i = 0; i < c->n; i++) {
		json_out_key(j, c->v[i].name);
		json_out_begin(j, '{');
		json_out_key(j, "name");
		json_out_text(j, c->v[i].name);
		if (put_tag(j, "from", c->from, c->v[i].from, e) < 0 ||
		    put_tag(j, "to", c->to, c->v[i].to, e) < 0)
			return err_wrap(e, "image-references");
		json_out_end(j, '}');
	}
	json_out_end(j, '}');
	return 0;
}

static void put_bytes(struct json_out *j, const char *key, const struct release_file *f)
{
	auto_free char *text = f ? base64_encode(buf_str(&f->bytes)) : NULL;

	json_out_key(j, key);
	if (f)
		json_out_text(j, text);
	else
		json_out_raw(j, "null");
}

static void put_changed_manifest(struct json_out *j, const struct release_file *from,
				 const struct release_file *to)
{
	const char *name = from ? from->name : to ? to->name : "";

	if (from && to && str_eq(buf_str(&from->bytes), buf_str(&to->bytes)))
		return;
	json_out_key(j, name);
	json_out_begin(j, '{');
	json_out_key(j, "filename");
	json_out_text(j, name);
	put_bytes(j, "from", from);
	put_bytes(j, "to", to);
	json_out_end(j, '}');
}

// Both lists are sorted by name.
static void put_changed_manifests(struct json_out *j, const struct changes *c)
{
	size_t i = 0, k = 0;

	json_out_key(j, "changedManifests");
	json_out_begin(j, '{');
	while (i < c->from->nmanifests || k < c->to->nmanifests) {
		const struct release_file *from =
			i < c->from->nmanifests ? &c->from->manifests[i] : NULL;
		const struct release_file *to = k < c->to->nmanifests ? &c->to->manifests[k] : NULL;
		int order = !from ? 1 : !to ? -1 : strcmp(from->name, to->name);

		put_changed_manifest(j, order <= 0 ? from : NULL, order >= 0 ? to : NULL);
		i += order <= 0;
		k += order >= 0;
	}
	json_out_end(j, '}');
}

static void put_upgrade(struct json_out *j, const struct release_upgrade *u)
{
	const struct {
		const char *key;
		uint64_t value;
	} members[] = {{"images", u->images},
		       {"changedImages", u->changed},
		       {"blobs", u->blobs},
		       {"bytes", u->bytes}};

	json_out_key(j, "mirrorUpgrade");
	json_out_begin(j, '{');
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		json_out_key(j, members[i].key);
		json_out_u64(j, members[i].value);
	}
	json_out_end(j, '}');
}

int release_diff_json(struct json_out *j, const struct release_info *from,
		      const struct release_info *to, const struct release_upgrade *upgrade,
		      struct err *e)
{
	struct changes c = {.from = from, .to = to};

	find_changes(&c);
	auto_free struct change *owned = c.v;

	(void)owned;
	json_out_begin(j, '{');
	json_out_key(j, "from");
	if (release_info_json(j, from, e) < 0)
		return err_wrap(e, "%s", from->image);
	json_out_key(j, "to");
	if (release_info_json(j, to, e) < 0)
		return err_wrap(e, "%s", to->image);
	if (put_changed_images(j, &c, e) < 0)
		return -1;
	put_changed_manifests(j, &c);
	if (upgrade)
		put_upgrade(j, upgrade);
	json_out_end(j, '}');
	return 0;
}
