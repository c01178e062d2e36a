// SPDX-License-Identifier: Apache-2.0
// Looking for files in an image, link by link.
#include "layer/find.h"

#include <string.h>

#include "layer/extract_to.h"

// One path that is looked for.
struct want {
	char *path;     // where it is looked for now
	size_t nlayers; // the upper ones do not count: a hard link is to what its own layer had
	char *next;     // what a link said; looked for in the next walk
	size_t next_nlayers;
	size_t layer; // where something was found
	bool met, found;
	unsigned links;
};

struct search {
	struct want *wants;
	size_t n;
	size_t first, last; // of the wants that this walk is about
	int (*file)(void *arg, size_t which, struct layer *l, const struct layer_entry *entry,
		    struct err *e);
	void *arg;
};

static bool is_below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return strncmp(path, folder, n) == 0 && path[n] == '/';
}

bool path_concerns(const char *a, const char *b)
{
	return strcmp(a, b) == 0 || is_below(a, b) || is_below(b, a);
}

static bool wants(void *arg, const char *path)
{
	const struct search *s = arg;

	for (size_t i = s->first; i < s->last; i++)
		if (path_concerns(path, s->wants[i].path))
			return true;
	return false;
}

static bool enough(void *arg)
{
	const struct search *s = arg;

	for (size_t i = s->first; i < s->last; i++)
		if (!s->wants[i].met)
			return false;
	return true;
}

// The rest of W's path goes behind what the link on the way says.
static void follow(struct want *w, size_t layer, const struct layer_entry *entry)
{
	char target[LAYER_PATH_MAX];

	free(w->next);
	w->next = NULL;
	if (entry->type == LAYER_HARDLINK) {
		w->next = xstrdup(entry->link);
		w->next_nlayers = layer + 1;
		return;
	}
	if (!extract_to_resolve(entry->path, entry->link, target))
		return;
	w->next = xasprintf("%s%s", target, w->path + strlen(entry->path));
	w->next_nlayers = w->nlayers;
}

static int meet(struct search *s, size_t i, size_t layer, struct layer *l,
		const struct layer_entry *entry, struct err *e)
{
	struct want *w = &s->wants[i];
	bool whole = strcmp(entry->path, w->path) == 0;

	if ((!whole && (entry->type != LAYER_SYMLINK || !is_below(w->path, entry->path))) ||
	    (w->met && w->layer != layer))
		return 0;
	w->met = true;
	w->layer = layer;
	w->found = false;
	if (entry->type == LAYER_SYMLINK || entry->type == LAYER_HARDLINK)
		follow(w, layer, entry);
	if (entry->type != LAYER_FILE)
		return 0;
	w->found = true;
	return s->file(s->arg, i, l, entry, e);
}

static int on_entry(void *arg, size_t layer, struct layer *l, const struct layer_entry *entry,
		    struct err *e)
{
	struct search *s = arg;

	for (size_t i = s->first; i < s->last; i++)
		if (meet(s, i, layer, l, entry, e) < 0)
			return -1;
	return 0;
}

// The next link of every want that met one; true if there was any.
static bool go_on(struct want *w, struct err *e, int *failed)
{
	if (!w->next || w->found)
		return false;
	if (++w->links > FIND_LINKS_MAX) {
		*failed = err_set(e, ERR_INPUT, "'%s' is behind too many links", w->path);
		return false;
	}
	free(w->path);
	w->path = w->next;
	w->nlayers = w->next_nlayers;
	w->next = NULL;
	w->met = false;
	return true;
}

static int walk(struct search *s, const struct descriptor *layers, size_t nlayers,
		const struct stack_source *source, const struct layer_limits *limits, struct err *e)
{
	struct stack_visitor visitor = {wants, on_entry, enough, s};

	return stack_walk(layers, nlayers, source, &visitor, limits, 0, e);
}

static int search(struct search *s, const struct descriptor *layers, size_t nlayers,
		  const struct stack_source *source, const struct layer_limits *limits,
		  struct err *e)
{
	int failed = 0;

	s->first = 0;
	s->last = s->n;
	if (walk(s, layers, nlayers, source, limits, e) < 0)
		return -1;
	for (size_t i = 0; i < s->n; i++)
		while (!failed && go_on(&s->wants[i], e, &failed)) {
			s->first = i;
			s->last = i + 1;
			failed = walk(s, layers, s->wants[i].nlayers, source, limits, e);
		}
	return failed;
}

int layers_find(const struct descriptor *layers, size_t nlayers, const struct stack_source *source,
		const struct layer_limits *limits, const char *const *paths, size_t n,
		int (*file)(void *arg, size_t which, struct layer *l,
			    const struct layer_entry *entry, struct err *e),
		void *arg, bool *ret_found, struct err *e)
{
	auto_free struct want *list = xcalloc(n + 1, sizeof(*list));
	struct search s = {.wants = list, .n = n, .file = file, .arg = arg};

	for (size_t i = 0; i < n; i++)
		list[i] = (struct want){.path = xstrdup(paths[i]), .nlayers = nlayers};
	int failed = search(&s, layers, nlayers, source, limits, e);

	for (size_t i = 0; i < n; i++) {
		ret_found[i] = list[i].found;
		free(list[i].path);
		free(list[i].next);
	}
	return failed;
}
