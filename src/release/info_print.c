// SPDX-License-Identifier: Apache-2.0
// A release as text.
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "data/gofmt.h"
#include "data/json_copy.h"
#include "data/tabwriter.h"
#include "release/info.h"
#include "release/info_text.h"
#include "util/map.h"

enum { BASES_AS_LETTERS = 5 };

static void print_head(struct buf *out, const struct release_info *r)
{
	auto_free char *platform = release_info_platform(r);
	auto_reference struct reference exact = {0};
	int64_t created;

	reference_copy(&exact, &r->ref);
	exact.tag[0] = '\0';
	exact.has_digest = true;
	exact.digest = *release_info_digest(r);
	auto_free char *pull = reference_print(&exact);

	buf_printf(out, "Name:\t%s\n", release_info_name(r));
	buf_printf(out, "Digest:\t%s\n", release_info_digest(r)->text);
	buf_printf(out, "Created:\t%s\n",
		   release_info_created(r, &created) ? gofmt_time(created).s
						     : "0001-01-01T00:00:00Z");
	buf_printf(out, "OS/Arch:\t%s\n", platform);
	buf_printf(out, "Manifests:\t%zu\n", r->nmanifests);
	if (r->nothers > 0)
		buf_printf(out, "Metadata files:\t%zu\n", r->nothers);
	buf_printf(out, "\nPull From:\t%s\n", pull);
}

static int by_version(const void *a, const void *b)
{
	return version_compare(*(const char *const *)a, *(const char *const *)b);
}

// In the order of versions, or as they come when one is not a version.
static void print_upgrades(struct buf *out, const struct json *metadata)
{
	struct json at = json_member(metadata, "previous");
	size_t n = json_size(&at);
	auto_free const char **previous = xcalloc(n + 1, sizeof(*previous));
	bool sortable = n > 1;

	for (size_t i = 0; i < n; i++) {
		struct json item = json_item(&at, i);

		previous[i] = json_as_text(&item);
		sortable = sortable && payload_is_version(previous[i]);
	}
	if (sortable)
		qsort(previous, n, sizeof(*previous), by_version);
	buf_puts(out, "  Upgrades:\t");
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%s%s", i ? ", " : "", previous[i]);
	buf_puts(out, n ? "\n" : "<none>\n");
}

// "", [] and {} are not worth a line.
static bool is_empty(const struct json *at)
{
	switch (json_kind(at)) {
	case JSON_KIND_TEXT:
		return *json_as_text(at) == '\0';
	case JSON_KIND_ARRAY:
	case JSON_KIND_OBJECT:
		return json_size(at) == 0;
	default:
		return false;
	}
}

static void print_metadata(struct buf *out, const struct release_info *r)
{
	auto_buf struct buf rows = BUF_INIT(INFO_TEXT_MAX);
	struct json root = json_root(&r->metadata), more = json_member(&root, "metadata");
	struct json version = json_member(&root, "version");
	size_t n;

	if (!r->metadata.root)
		return;
	buf_puts(out, "\nRelease Metadata:\n");
	buf_printf(out, "  Version:\t%s\n", json_as_text(&version));
	print_upgrades(out, &root);
	auto_free const char **names = json_sorted_names(&more, &n);

	buf_puts(&rows, "  Metadata:\n");
	for (size_t i = 0; i < n; i++) {
		struct json at = json_member(&more, names[i]);

		if (is_empty(&at))
			continue;
		buf_printf(&rows, "    %s:\t", names[i]);
		json_show_value(&rows, &at);
		buf_putc(&rows, '\n');
	}
	tab_align(out, buf_str(&rows), 1);
}

static void print_versions(struct buf *out, const struct release_info *r)
{
	if (r->versions.n > 0)
		buf_puts(out, "\nComponent Versions:\n");
	for (size_t i = 0; i < r->versions.n; i++)
		buf_printf(out, "  %s\t%s\t%s\n", r->versions.v[i].name, r->versions.v[i].version,
			   r->versions.v[i].display_name);
}

// The layers of all images: in how many images each is, and which of them are the lowest.
struct layers {
	struct map count, bases; // digest → number; of a base its place in the order of images
	struct map covered;
	uint64_t total, nbases;
};

static void layers_release(struct layers *l)
{
	map_release(&l->count);
	map_release(&l->bases);
	map_release(&l->covered);
}

static const struct image_info *image_of(const struct release_info *r, size_t i)
{
	return r->images && r->images[i].n > 0 ? &r->images[i].v[0] : NULL;
}

static void count_layers(struct layers *l, const struct release_info *r)
{
	for (size_t i = 0; i < r->ntags; i++) {
		const struct image_info *im = image_of(r, i);

		for (size_t k = 0; im && k < im->manifest.nlayers; k++) {
			const struct descriptor *d = &im->manifest.layers[k];
			struct map_entry *en = map_put(&l->count, str_of(d->digest.text), NULL);

			if (k == 0)
				map_put(&l->bases, str_of(d->digest.text), NULL);
			if (en->num++ == 0)
				l->total += d->size;
		}
	}
}

// A column for few different base images shows at a glance which images share one.
static void put_base(struct buf *out, struct layers *l, const struct image_info *im)
{
	if (l->bases.n <= 1 || im->manifest.nlayers == 0)
		return;
	struct map_entry *en = map_find(&l->bases, str_of(im->manifest.layers[0].digest.text));

	if (en->num == 0)
		en->num = ++l->nbases;
	if (l->bases.n <= BASES_AS_LETTERS)
		buf_printf(out, "%*s%c", (int)en->num - 1, "", (char)('A' + (en->num - 1)));
	else
		buf_printf(out, "%zu", (size_t)en->num);
}

// The bytes of layers that no other image has. An image without any counts with its topmost layer,
// once.
static uint64_t own_size(struct layers *l, const struct image_info *im)
{
	const struct manifest *m = &im->manifest;
	uint64_t own = 0;
	bool new;

	for (size_t i = 0; i < m->nlayers; i++)
		if (map_find(&l->count, str_of(m->layers[i].digest.text))->num <= 1)
			own += m->layers[i].size;
	if (own > 0 || m->nlayers == 0)
		return own;
	const struct descriptor *top = &m->layers[m->nlayers - 1];

	map_put(&l->covered, str_of(top->digest.text), &new);
	return new ? top->size : 0;
}

static double megabytes(uint64_t n)
{
	return (double)n / 1024 / 1024;
}

static void print_size(struct buf *out, struct layers *l, const char *name,
		       const struct image_info *im, int64_t now)
{
	int64_t created;

	if (!im) {
		buf_printf(out, "  %s\t\t\t\t\t\n", name);
		return;
	}
	buf_printf(out, "  %s\t%4s\t%7zu\t%8.1f\t%10.1f\t ", name,
		   image_info_created(im, &created) ? gofmt_age(now - created).s : "",
		   im->manifest.nlayers, megabytes(im->size), megabytes(own_size(l, im)));
	put_base(out, l, im);
	buf_putc(out, '\n');
}

static void print_sizes(struct buf *out, const struct release_info *r, int64_t now)
{
	struct layers l = {0};

	count_layers(&l, r);
	buf_printf(out, "  NAME\t AGE\t LAYERS\t SIZE MB\t UNIQUE MB\t %s\n",
		   l.bases.n > 1 ? "BASE" : "");
	for (size_t i = 0; i < r->ntags; i++)
		if (r->tags[i].spec)
			print_size(out, &l, r->tags[i].name, image_of(r, i), now);
	buf_printf(out, "\n  %s across %zu layers", gofmt_decimal((double)l.total).s, l.count.n);
	if (l.bases.n > 1)
		buf_printf(out, ", %zu different base images", l.bases.n);
	buf_putc(out, '\n');
	layers_release(&l);
}

// What stands behind the host of a source on GitHub, with its slash in front: of
// "https://github.com/a/b" and of "git@github.com:a/b". NULL for other hosts.
static char *github_path(const char *location)
{
	static const char host[] = "github.com";
	const char *at = strstr(location, "://");
	const char *user = strchr(location, '@');

	if (at)
		at += strlen("://");
	else if (user && strncmp(user + 1, host, strlen(host)) == 0 &&
		 user[1 + strlen(host)] == ':')
		return xasprintf("/%s", user + 1 + strlen(host) + 1);
	if (!at || strncmp(at, host, strlen(host)) != 0)
		return NULL;
	at += strlen(host);
	if (*at != '/' && *at != '\0')
		return NULL;
	return xstrndup(at, strcspn(at, "?#"));
}

char *release_commit_url(const struct release_tag *t)
{
	auto_free char *path = github_path(t->location);

	if (!path)
		return xasprintf("%s %s", t->location, t->commit);
	return xasprintf("https://github.com%s/commit/%s", path, t->commit);
}

static void print_row(struct buf *out, const struct release_tag *t, enum release_columns columns)
{
	auto_free char *text = NULL;

	switch (columns) {
	case RELEASE_COMMITS:
		text = xasprintf("%s\t%s", t->location, t->commit);
		break;
	case RELEASE_COMMIT_URLS:
		text = release_commit_url(t);
		break;
	case RELEASE_PULL_SPECS:
		text = xstrdup(t->spec);
		break;
	default:
		text = release_digest_or_spec(t->spec);
	}
	buf_printf(out, "  %s\t%s\n", t->name, text);
}

static void print_images(struct buf *out, const struct release_info *r,
			 enum release_columns columns, int64_t now)
{
	static const char *const heads[] = {
		[RELEASE_DIGESTS] = "  NAME\tDIGEST\n",
		[RELEASE_PULL_SPECS] = "  NAME\tPULL SPEC\n",
		[RELEASE_COMMITS] = "  NAME\tREPO\tCOMMIT\t\n",
		[RELEASE_COMMIT_URLS] = "  NAME\tURL\t\n",
	};
	auto_buf struct buf rows = BUF_INIT(INFO_TEXT_MAX);

	buf_puts(&rows, "\nImages:\n");
	if (columns == RELEASE_SIZES)
		print_sizes(&rows, r, now);
	else
		buf_puts(&rows, heads[columns]);
	for (size_t i = 0; columns != RELEASE_SIZES && i < r->ntags; i++)
		if (r->tags[i].spec)
			print_row(&rows, &r->tags[i], columns);
	tab_align(out, buf_str(&rows), 1);
}

void release_info_print(struct buf *out, const struct release_info *r, enum release_columns columns,
			int64_t now)
{
	auto_buf struct buf text = BUF_INIT(INFO_TEXT_MAX);

	print_head(&text, r);
	print_metadata(&text, r);
	print_versions(&text, r);
	print_images(&text, r, columns, now);
	if (r->warnings.n > 0)
		buf_puts(&text, "\nWarnings:\n");
	for (size_t i = 0; i < r->warnings.n; i++)
		buf_printf(&text, "* %s\n", r->warnings.v[i]);
	tab_align(out, buf_str(&text), 1);
	buf_putc(out, '\n');
}

static void print_content(struct buf *out, const char *name, struct str bytes)
{
	buf_printf(out, "# %s\n", name);
	buf_put(out, bytes.p, bytes.n);
	if (bytes.n > 0 && bytes.p[bytes.n - 1] != '\n')
		buf_putc(out, '\n');
}

void release_info_print_contents(struct buf *out, const struct release_info *r)
{
	print_content(out, "image-references", buf_str(&r->payload.references));
	if (r->payload.metadata.n > 0)
		print_content(out, "release-metadata", buf_str(&r->payload.metadata));
	for (size_t i = 0; i < r->nmanifests; i++)
		print_content(out, r->manifests[i].name, buf_str(&r->manifests[i].bytes));
}

void release_info_print_verified(struct buf *out, const struct release_info *r)
{
	struct json root = json_root(&r->references), metadata = json_member(&root, "metadata");
	struct json at = json_member(&metadata, "creationTimestamp");
	int64_t created;
	bool known = gofmt_parse_time(str_of(json_as_text(&at)), &created);

	// The reference's own word here is the digest of the image that was read, not of its list.
	buf_printf(out, "%s %s %s\n", r->payload.digest.text,
		   known ? gofmt_time(created).s : "0001-01-01T00:00:00Z", release_info_name(r));
}
