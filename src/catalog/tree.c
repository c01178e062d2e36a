// SPDX-License-Identifier: Apache-2.0
// The catalog's folder, cut out of the layers; links followed from walk to walk.
#include "catalog/tree.h"

#include <assert.h>
#include <string.h>

#include "catalog/ignore.h"
#include "catalog/read.h"
#include "layer/extract_to.h"
#include "layer/find.h"
#include "util/map.h"

#define EFFORT_MAX ((uint64_t)1 << 28) // looks at links and files that others replace

#define NAME_COST 64 // bytes of remembering a name, its text apart

// Where the files are: what a source path means.
struct place_in {
	char *folder;           // "" is the root of the image
	char *name;             // of the first component below it; NULL: everything
	struct ignore *pattern; // NAME is one; NULL: it is exactly that
	bool at_root;           // NAME is a regular file of the root, and nothing else
};

// A link among the files.
struct tree_link {
	char *path;     // below the catalog's folder
	char *want;     // where it leads, as far as is known
	size_t nlayers; // the upper ones do not count: a hard link is to what its own layer had
	unsigned hops;
	bool dropped; // something else has its path now, or it is resolved
	bool active;  // looked for in this walk

	// What this walk met.
	enum { MET_NOTHING, MET_FILE, MET_FOLDER, MET_OTHER, MET_LINK } met;
	char *next;
	size_t next_nlayers;
};

// What a layer has at a path.
enum { SEEN_FILE = 1, SEEN_LINK, SEEN_FOLDER };

struct tree {
	struct catalog_index *ix;
	const char *label; // the source path as given
	const struct layer_limits *limits;
	const struct tree_visitor *visitor;
	struct cancel *cancel;
	struct place_in in;
	unsigned walks;
	size_t names; // bytes of the paths of this walk
	struct err failed;

	// While the files are looked for.
	char *redirect;  // the folder is a link, to here
	struct map seen; // of the layer that is read: what is at the paths below the folder
	size_t layer;
	bool found, found_exact;
	size_t files;

	// While links are followed.
	struct tree_link *links;
	size_t nlinks, links_cap;
	struct map links_at; // path → index into links, plus 1
	struct map wanted;   // path in the image → index of the active link plus 1; 0: on the way
	size_t nlayers, unmet;
	uint64_t effort;
};

// ---- paths

static bool is_below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return n == 0 || (strncmp(path, folder, n) == 0 && path[n] == '/');
}

static bool is_named(const struct place_in *in, const char *path)
{
	size_t n = in->name ? strlen(in->name) : 0;

	if (!in->name)
		return true;
	if (in->pattern)
		return ignore_matches(in->pattern, path);
	return strncmp(path, in->name, n) == 0 &&
	       (path[n] == '\0' || (path[n] == '/' && !in->at_root));
}

// What PATH of the image is called below the folder; NULL when it is not one of its files.
static const char *below(const struct place_in *in, const char *path)
{
	size_t n = strlen(in->folder);

	if (!is_below(path, in->folder))
		return NULL;
	path += n + (n > 0);
	return is_named(in, path) ? path : NULL;
}

static bool is_on_the_way(const struct place_in *in, const char *path)
{
	return in->folder[0] != '\0' &&
	       (strcmp(path, in->folder) == 0 || is_below(in->folder, path));
}

static void place_release(struct place_in *in)
{
	free(in->folder);
	free(in->name);
	ignore_free(in->pattern);
}

// The last component of a path is a pattern, as a line of an .indexignore would be.
static int parse_pattern(struct place_in *in, struct err *e)
{
	auto_free char *line = xasprintf("/%s", in->name);

	if (in->name[strcspn(in->name, "*?[\\")] == '\0' || strchr(in->name, '\n'))
		return 0;
	in->pattern = ignore_new(1);
	if (ignore_add(in->pattern, "", str_of(line), e) < 0)
		return -1;
	ignore_ready(in->pattern);
	return 0;
}

static int parse_place(struct place_in *ret, const char *path, struct err *e)
{
	char clean[LAYER_PATH_MAX];
	const char *p = path + strspn(path, "/");

	if (strlen(p) >= sizeof(clean) || !extract_to_resolve("", p, clean))
		return err_set(e, ERR_INPUT, "path '%.100s' leads out of the image", path);
	if (clean[0] == '\0' || ends_with(path, "/") || ends_with(path, "/.")) {
		ret->folder = xstrdup(clean);
		return 0;
	}
	char *slash = strrchr(clean, '/');

	ret->at_root = !slash;
	ret->name = xstrdup(slash ? slash + 1 : clean);
	ret->folder = xstrndup(clean, slash ? (size_t)(slash - clean) : 0);
	return ret->at_root ? 0 : parse_pattern(ret, e);
}

// Names may hold anything; a message is one line.
static void keep_one_line(char *text)
{
	for (; *text; text++)
		if (*text == '\n')
			*text = '?';
}

char *catalog_tree_name(const char *tree_path, const char *path)
{
	struct place_in in = {0};
	struct err ignored;
	bool known = parse_place(&in, tree_path, &ignored) == 0 && *in.folder;
	char *name = xasprintf("%s%s%s", known ? in.folder : "", known ? "/" : "", path);

	place_release(&in);
	keep_one_line(name);
	return name;
}

// What PATH takes when every folder in it is remembered, as it is.
static int charge(struct tree *t, const char *path, struct err *e)
{
	size_t depth = 1, n = strlen(path);

	for (const char *p = path; (p = strchr(p, '/')); p++)
		depth++;
	if (depth > TREE_DEPTH_MAX)
		return err_set(e, ERR_INPUT, "'%.100s…' is more than %d folders deep", path,
			       TREE_DEPTH_MAX);
	t->names += depth * (n + NAME_COST);
	if (t->names > TREE_NAMES_MAX)
		return err_set(e, ERR_INPUT, "the names of the files take more than %zu bytes",
			       TREE_NAMES_MAX);
	return 0;
}

// N things were looked at.
static int spend_effort(struct tree *t, size_t n, struct err *e)
{
	t->effort += n + 1;
	return t->effort <= EFFORT_MAX
		       ? 0
		       : err_set(e, ERR_INPUT, "the layers replace and link to too much to follow");
}

// ---- links

static void link_release(struct tree_link *k)
{
	free(k->path);
	free(k->want);
	free(k->next);
}

static void drop_link(struct tree *t, const char *path)
{
	struct map_entry *at = map_find(&t->links_at, str_of(path));

	if (!at)
		return;
	t->links[at->num - 1].dropped = true;
	map_remove(&t->links_at, str_of(path));
}

static int drop_links_below(struct tree *t, const char *path, struct err *e)
{
	if (spend_effort(t, t->nlinks + t->files, e) < 0)
		return -1;
	for (size_t i = 0; i < t->nlinks; i++)
		if (!t->links[i].dropped && is_below(t->links[i].path, path))
			drop_link(t, t->links[i].path);
	return 0;
}

// Where ENTRY, a link at or above PATH, sends whoever looks for PATH. Caller frees; NULL on
// failure.
static char *follow(const struct layer_entry *entry, const char *path, struct err *e)
{
	char target[LAYER_PATH_MAX];
	const char *rest = path + strlen(entry->path);

	if (entry->type == LAYER_HARDLINK)
		return xstrdup(entry->link);
	if (!extract_to_resolve(entry->path, entry->link, target)) {
		err_set(e, ERR_INPUT,
			"invalid symlink \"%.200s\" -> \"%.200s\": it leads out of the image",
			entry->path, entry->link);
		return NULL;
	}
	if (target[0] == '\0' && *rest)
		return xstrdup(rest + 1);
	if (strlen(target) + strlen(rest) >= LAYER_PATH_MAX) {
		err_set(e, ERR_INPUT, "'%.100s…' leads to too long a name", path);
		return NULL;
	}
	return xasprintf("%s%s", target, rest);
}

static int add_link(struct tree *t, const char *path, size_t layer, const struct layer_entry *entry,
		    struct err *e)
{
	char *want = follow(entry, entry->path, e);

	if (!want)
		return -1;
	if (t->nlinks == TREE_LINKS_MAX) {
		free(want);
		return err_set(e, ERR_INPUT, "there are more than %zu links among the files",
			       TREE_LINKS_MAX);
	}
	vec_reserve(t->links, t->nlinks, t->links_cap);
	t->links[t->nlinks++] = (struct tree_link){
		.path = xstrdup(path),
		.want = want,
		.nlayers = entry->type == LAYER_HARDLINK ? layer + 1 : t->ix->manifest.nlayers,
	};
	map_put(&t->links_at, str_of(path), NULL)->num = t->nlinks;
	return 0;
}

static int printf_like(4, 5)
	tell_broken(struct tree *t, const char *path, struct err *e, const char *fmt, ...)
{
	auto_free char *name = catalog_tree_name(t->label, path);
	auto_free char *text = NULL;
	struct err why;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	keep_one_line(text);
	err_set(&why, ERR_INPUT, "%s %s", name, text);
	t->found = true;
	if (t->visitor->broken)
		return t->visitor->broken(t->visitor->arg, path, &why, e);
	*e = why;
	return -1;
}

// ---- the first walk: files

static int forget(struct tree *t, const char *path, struct err *e)
{
	t->visitor->gone(t->visitor->arg, path);
	drop_link(t, path);
	if (*path == '\0')
		t->found = t->found_exact = false;
	return drop_links_below(t, path, e);
}

// Later entries of a layer replace earlier ones; what is in the way of PATH goes.
static int make_way(struct tree *t, const char *path, enum layer_entry_type type, struct err *e)
{
	const struct map_entry *at = map_find(&t->seen, str_of(path));
	bool is_same = at && ((at->num == SEEN_FOLDER && type == LAYER_DIR) ||
			      (at->num == SEEN_FILE && type == LAYER_FILE));

	if (at && !is_same && forget(t, path, e) < 0)
		return -1;
	for (const char *p = path; (p = strchr(p, '/')); p++) {
		auto_free char *parent = xstrndup(path, (size_t)(p - path));
		struct map_entry *en = map_put(&t->seen, str_of(parent), NULL);
		bool in_the_way = en->num == SEEN_FILE || en->num == SEEN_LINK;

		en->num = SEEN_FOLDER;
		if (in_the_way && forget(t, parent, e) < 0)
			return -1;
	}
	return 0;
}

static int count_file(struct tree *t, struct err *e)
{
	return ++t->files <= CATALOG_FILES_MAX
		       ? 0
		       : err_set(e, ERR_INPUT, "the catalog has more than %zu files",
				 CATALOG_FILES_MAX);
}

static int add_file(struct tree *t, const char *path, struct layer *l,
		    const struct layer_entry *entry, struct err *e)
{
	if (count_file(t, e) < 0)
		return -1;
	t->found = true;
	return t->visitor->file(t->visitor->arg, path, l, entry, e);
}

static int on_file(struct tree *t, const char *path, size_t layer, struct layer *l,
		   const struct layer_entry *entry, struct err *e)
{
	bool is_link = entry->type == LAYER_SYMLINK || entry->type == LAYER_HARDLINK;
	bool is_file = entry->type == LAYER_FILE;

	if (make_way(t, path, entry->type, e) < 0)
		return -1;
	map_put(&t->seen, str_of(path), NULL)->num = entry->type == LAYER_DIR ? SEEN_FOLDER
						     : is_link                ? SEEN_LINK
									      : SEEN_FILE;
	if (t->in.name && !t->in.pattern && strcmp(path, t->in.name) == 0)
		t->found_exact = is_file || is_link;
	if (is_file)
		return add_file(t, path, l, entry, e);
	if (is_link && t->visitor->skip_links)
		return 0;
	if (is_link)
		return add_link(t, path, layer, entry, e);
	if (entry->type == LAYER_DIR)
		return 0;
	return count_file(t, e) < 0 ? -1 : tell_broken(t, path, e, "is no regular file");
}

// The catalog's folder itself, or one that it is in.
static int on_way(struct tree *t, const struct layer_entry *entry, struct err *e)
{
	free(t->redirect);
	t->redirect = NULL;
	if (entry->type == LAYER_DIR)
		return 0;
	if (forget(t, "", e) < 0)
		return -1;
	if (entry->type != LAYER_SYMLINK)
		return 0;
	t->redirect = follow(entry, t->in.folder, e);
	return t->redirect ? 0 : -1;
}

static int proceed(const struct tree *t, struct err *e)
{
	if (cancelled(t->cancel))
		return err_cancelled(e);
	if (t->failed.kind == ERR_NONE)
		return 0;
	*e = t->failed;
	return -1;
}

static bool wants_file(void *arg, const char *path)
{
	struct tree *t = arg;

	if (is_on_the_way(&t->in, path))
		return true;
	if (t->failed.kind != ERR_NONE || !below(&t->in, path))
		return false;
	return charge(t, path, &t->failed) == 0;
}

static int take_entry(struct tree *t, size_t layer, struct layer *l,
		      const struct layer_entry *entry, struct err *e)
{
	if (layer != t->layer) {
		map_release(&t->seen);
		t->seen = (struct map){0};
		t->layer = layer;
	}
	if (is_on_the_way(&t->in, entry->path))
		return on_way(t, entry, e);
	const char *path = below(&t->in, entry->path);

	// A folder that was a link is one: what is below it shows that.
	free(t->redirect);
	t->redirect = NULL;
	return on_file(t, path, layer, l, entry, e);
}

// What ends a walk says what it is about: which layer that was in is of no interest.
static int fail(struct tree *t, const struct err *e)
{
	t->failed = *e;
	return -1;
}

static int on_entry(void *arg, size_t layer, struct layer *l, const struct layer_entry *entry,
		    struct err *e)
{
	struct tree *t = arg;

	if (proceed(t, e) < 0 || take_entry(t, layer, l, entry, e) < 0)
		return fail(t, e);
	return 0;
}

static bool enough_files(void *arg)
{
	const struct tree *t = arg;

	return t->redirect || t->found_exact || t->failed.kind != ERR_NONE;
}

// ---- walks

// A layer, until the walk is cancelled: nobody is asked for what is passed over in it.
struct watched {
	struct stream base;
	struct stream *inner;
	const struct cancel *cancel;
};

static struct slab *watched_read(struct stream *base, struct err *e)
{
	struct watched *s = (struct watched *)base;

	if (!cancelled(s->cancel))
		return stream_read(s->inner, e);
	err_cancelled(e);
	return NULL;
}

static void watched_free(struct stream *base)
{
	struct watched *s = (struct watched *)base;

	stream_free(s->inner);
	free(s);
}

static struct stream *open_watched(void *arg, const struct descriptor *layer, struct err *e)
{
	static const struct stream_ops ops = {watched_read, watched_free};
	struct tree *t = arg;
	struct stack_source source = catalog_index_source(t->ix);
	struct stream *inner = source.open(source.arg, layer, e);

	if (!inner)
		return NULL;
	struct watched *s = xmalloc(sizeof(*s));

	*s = (struct watched){{&ops}, inner, t->cancel};
	return &s->base;
}

static int walk(struct tree *t, const struct stack_visitor *visitor, size_t nlayers, struct err *e)
{
	const struct stack_source source = {open_watched, t};

	if (++t->walks > TREE_WALKS_MAX)
		return err_set(e, ERR_INPUT,
			       "the links among the files need more than %d readings of the layers",
			       TREE_WALKS_MAX);
	t->names = 0;
	int failed = stack_walk(t->ix->manifest.layers, nlayers, &source, visitor, t->limits, 0, e);

	if (t->failed.kind != ERR_NONE)
		*e = t->failed;
	if (failed || t->failed.kind != ERR_NONE)
		return -1;
	return t->in.pattern ? ignore_check(t->in.pattern, e) : 0;
}

// Until the catalog's folder is one.
static int walk_files(struct tree *t, struct err *e)
{
	struct stack_visitor visitor = {wants_file, on_entry, enough_files, t};

	for (unsigned hops = 0;; hops++) {
		t->layer = SIZE_MAX;
		if (walk(t, &visitor, t->ix->manifest.nlayers, e) < 0)
			return -1;
		if (!t->redirect)
			return 0;
		if (hops == FIND_LINKS_MAX)
			return err_set(e, ERR_INPUT, "'%s' is behind too many links", t->label);
		free(t->in.folder);
		t->in.folder = steal(&t->redirect);
	}
}

// ---- the other walks: where links lead

static bool wants_target(void *arg, const char *path)
{
	struct tree *t = arg;
	const char *end = path;

	if (t->failed.kind != ERR_NONE)
		return false;
	// All folders on the way to what is wanted are in the map: the first one that is not
	// decides.
	do {
		end += strcspn(end + (*end == '/'), "/") + (*end == '/');
		struct map_entry *at =
			map_find(&t->wanted, (struct str){path, (size_t)(end - path)});

		if (!at)
			return false;
		if (at->num > 0 && *end)
			break; // below something that is wanted
	} while (*end);
	return charge(t, path, &t->failed) == 0;
}

static void meet(struct tree *t, struct tree_link *k, int what)
{
	if (k->met == MET_NOTHING)
		t->unmet--;
	if (k->met == MET_FILE && what != MET_FILE)
		t->visitor->gone(t->visitor->arg, k->path);
	k->met = what;
	free(k->next);
	k->next = NULL;
}

static int meet_link(struct tree *t, struct tree_link *k, size_t layer,
		     const struct layer_entry *entry, struct err *e)
{
	char *next = follow(entry, k->want, e);

	if (!next)
		return -1;
	meet(t, k, MET_LINK);
	k->next = next;
	k->next_nlayers = entry->type == LAYER_HARDLINK ? layer + 1 : k->nlayers;
	return 0;
}

// A folder on the way is a link: everything behind it is elsewhere.
static int meet_links_below(struct tree *t, size_t layer, const struct layer_entry *entry,
			    struct err *e)
{
	assert(t->links); // whoever follows links has some
	if (spend_effort(t, t->nlinks, e) < 0)
		return -1;
	for (size_t i = 0; i < t->nlinks; i++) {
		struct tree_link *k = &t->links[i];

		if (k->active && is_below(k->want, entry->path) &&
		    meet_link(t, k, layer, entry, e) < 0)
			return -1;
	}
	return 0;
}

static int meet_target(struct tree *t, struct tree_link *k, size_t layer, struct layer *l,
		       const struct layer_entry *entry, struct err *e)
{
	switch (entry->type) {
	case LAYER_FILE:
		meet(t, k, MET_FILE);
		return add_file(t, k->path, l, entry, e);
	case LAYER_SYMLINK:
	case LAYER_HARDLINK:
		return meet_link(t, k, layer, entry, e);
	default:
		meet(t, k, entry->type == LAYER_DIR ? MET_FOLDER : MET_OTHER);
		return 0;
	}
}

// The active link whose target PATH is, or is below of.
static struct tree_link *target_at(struct tree *t, const char *path, bool *ret_below)
{
	for (size_t n = strlen(path); n > 0;) {
		struct map_entry *at = map_find(&t->wanted, (struct str){path, n});

		if (at && at->num > 0) {
			*ret_below = path[n] != '\0';
			return &t->links[at->num - 1];
		}
		const char *slash = memrchr(path, '/', n);

		n = slash ? (size_t)(slash - path) : 0;
	}
	return NULL;
}

static int take_target(struct tree *t, size_t layer, struct layer *l,
		       const struct layer_entry *entry, struct err *e)
{
	bool is_below_it = false;
	struct tree_link *k = target_at(t, entry->path, &is_below_it);

	if (k && is_below_it)
		meet(t, k, MET_FOLDER);
	else if (k && meet_target(t, k, layer, l, entry, e) < 0)
		return -1;
	return entry->type == LAYER_SYMLINK && !is_below_it ? meet_links_below(t, layer, entry, e)
							    : 0;
}

static int on_target(void *arg, size_t layer, struct layer *l, const struct layer_entry *entry,
		     struct err *e)
{
	struct tree *t = arg;

	if (proceed(t, e) < 0 || take_target(t, layer, l, entry, e) < 0)
		return fail(t, e);
	return 0;
}

static bool enough_targets(void *arg)
{
	const struct tree *t = arg;

	return t->unmet == 0 || t->failed.kind != ERR_NONE;
}

// Looks for what K leads to in the walk that comes, unless another one does so already.
static int activate(struct tree *t, struct tree_link *k, struct err *e)
{
	if (charge(t, k->want, e) < 0)
		return -1;
	struct map_entry *at = map_put(&t->wanted, str_of(k->want), NULL);

	if (at->num > 0)
		return 0;
	at->num = (uint64_t)(k - t->links) + 1;
	for (size_t n = strlen(k->want); n-- > 1;)
		if (k->want[n] == '/')
			map_put(&t->wanted, (struct str){k->want, n}, NULL);
	k->active = true;
	k->met = MET_NOTHING;
	t->unmet++;
	return 0;
}

// The links of one walk: those that see the same layers.
static int choose_links(struct tree *t, bool *ret_any, struct err *e)
{
	map_release(&t->wanted);
	t->wanted = (struct map){0};
	t->unmet = 0;
	t->names = 0;
	*ret_any = false;
	for (size_t i = 0; i < t->nlinks; i++) {
		struct tree_link *k = &t->links[i];

		k->active = false;
		if (k->dropped || (*ret_any && k->nlayers != t->nlayers))
			continue;
		*ret_any = true;
		t->nlayers = k->nlayers;
		if (activate(t, k, e) < 0)
			return -1;
	}
	return 0;
}

static int settle(struct tree *t, struct tree_link *k, struct err *e)
{
	k->dropped = true;
	switch (k->met) {
	case MET_FILE:
		return 0;
	case MET_FOLDER:
		return tell_broken(t, k->path, e, "is a directory");
	case MET_OTHER:
		return tell_broken(t, k->path, e, "is a link to what is no regular file");
	case MET_NOTHING:
		if (k->want[0] == '\0') // the root has no entry
			return tell_broken(t, k->path, e, "is a directory");
		return tell_broken(t, k->path, e,
				   "is a link to '%.200s', which is not in the image", k->want);
	case MET_LINK:
		break;
	}
	if (++k->hops > FIND_LINKS_MAX)
		return tell_broken(t, k->path, e, "is behind too many links");
	k->dropped = false;
	free(k->want);
	k->want = steal(&k->next);
	k->nlayers = k->next_nlayers;
	return 0;
}

static int walk_links(struct tree *t, struct err *e)
{
	struct stack_visitor visitor = {wants_target, on_target, enough_targets, t};
	bool any;

	for (;;) {
		if (choose_links(t, &any, e) < 0)
			return -1;
		if (!any)
			return 0;
		if (walk(t, &visitor, t->nlayers, e) < 0)
			return -1;
		for (size_t i = 0; i < t->nlinks; i++)
			if (t->links[i].active && settle(t, &t->links[i], e) < 0)
				return -1;
	}
}

// ---- all of it

static int nothing(const struct tree *t, struct err *e)
{
	if (t->in.name)
		return err_set(
			e, ERR_INPUT,
			"no file of the image is called '%.200s' (a folder is named with '/' "
			"at its end)",
			t->label);
	return err_set(e, ERR_INPUT, "no file of the image is below '%.200s'", t->label);
}

static void tree_release(struct tree *t)
{
	place_release(&t->in);
	free(t->redirect);
	for (size_t i = 0; i < t->nlinks; i++)
		link_release(&t->links[i]);
	free(t->links);
	map_release(&t->seen);
	map_release(&t->links_at);
	map_release(&t->wanted);
}

int catalog_tree_walk(struct catalog_index *ix, const char *path, const struct layer_limits *limits,
		      const struct tree_visitor *visitor, struct cancel *cancel, struct err *e)
{
	struct tree t = {
		.ix = ix,
		.label = path,
		.limits = limits,
		.visitor = visitor,
		.cancel = cancel,
	};
	int failed = parse_place(&t.in, path, e);

	if (!failed)
		failed = walk_files(&t, e);
	if (!failed)
		failed = walk_links(&t, e);
	if (!failed && !t.found)
		failed = nothing(&t, e);
	tree_release(&t);
	return failed;
}
