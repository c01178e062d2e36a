// SPDX-License-Identifier: Apache-2.0
// Layers from the top down, and what the upper ones hide.
#include "layer/stack.h"

#include <inttypes.h>
#include <string.h>

#include "util/map.h"

#define WHITEOUT       ".wh."
#define WHITEOUT_ALL   ".wh..wh..opq"
#define WHITEOUT_OTHER ".wh..wh." // bookkeeping of other tools

// What lower layers may still say about a path.
enum mark {
	MARK_GONE = 1 << 0,   // nothing, nor about anything below it
	MARK_OPAQUE = 1 << 1, // nothing about what is below it
	MARK_FOLDER = 1 << 2, // nothing, but for what is below it
	MARK_PARENT = 1 << 3, // only that it is a folder
};

struct walk {
	const struct stack_visitor *visitor;
	struct layer_limits left;
	unsigned flags;
	struct map marks;   // of the layers above
	struct map pending; // of the layer being read: it hides nothing of itself
	bool ends;          // lower layers do not count at all
};

static unsigned marks_of(const struct map *m, struct str path)
{
	const struct map_entry *entry = map_find(m, path);

	return entry ? (unsigned)entry->num : 0;
}

static void mark(struct walk *w, struct str path, unsigned bits)
{
	map_put(&w->pending, path, NULL)->num |= bits;
}

static void merge_pending(struct walk *w)
{
	for (size_t i = 0; i < w->pending.n; i++) {
		struct map_entry *from = &w->pending.entries[i];

		map_put(&w->marks, (struct str){from->key, from->len}, NULL)->num |= from->num;
	}
	map_release(&w->pending);
	w->pending = (struct map){0};
}

// Does an upper layer say something else about PATH, or about a folder it is in?
static bool is_hidden(const struct walk *w, const char *path, bool is_folder)
{
	size_t n = strlen(path);

	for (size_t i = 1; i < n; i++)
		if (path[i] == '/' &&
		    marks_of(&w->marks, (struct str){path, i}) & (MARK_GONE | MARK_OPAQUE))
			return true;
	unsigned own = marks_of(&w->marks, (struct str){path, n});

	return own & (MARK_GONE | MARK_FOLDER) || (own & MARK_PARENT && !is_folder);
}

// PATH is there: lower layers have nothing to say about it, and its folders are folders.
static void mark_seen(struct walk *w, const char *path, bool is_folder)
{
	size_t n = strlen(path);

	mark(w, (struct str){path, n}, is_folder ? MARK_FOLDER : MARK_GONE);
	while (n-- > 1)
		if (path[n] == '/')
			mark(w, (struct str){path, n}, MARK_PARENT);
}

static bool wants(const struct walk *w, const char *path)
{
	return !w->visitor->wants || w->visitor->wants(w->visitor->arg, path);
}

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void note_whiteout(struct walk *w, const char *path, const char *base)
{
	struct str folder = {path, base > path ? (size_t)(base - path - 1) : 0};

	if (strcmp(base, WHITEOUT_ALL) == 0) {
		if (folder.n == 0)
			w->ends = true;
		else
			mark(w, folder, MARK_OPAQUE);
		return;
	}
	if (starts_with(base, WHITEOUT_OTHER) || base[strlen(WHITEOUT)] == '\0')
		return;
	auto_free char *removed =
		xasprintf("%.*s%s", (int)(base - path), path, base + strlen(WHITEOUT));

	if (wants(w, removed))
		mark(w, str_of(removed), MARK_GONE);
}

// An upper layer has a folder where this one has none: what lies below this has an end here.
static void note_break(struct walk *w, const char *path, bool is_folder)
{
	if (!is_folder && marks_of(&w->marks, str_of(path)) & (MARK_PARENT | MARK_FOLDER))
		mark(w, str_of(path), MARK_OPAQUE);
}

static int visit(struct walk *w, size_t number, struct layer *l, const struct layer_entry *entry,
		 struct err *e)
{
	const char *base = base_of(entry->path);
	bool is_folder = entry->type == LAYER_DIR;
	bool is_whiteout = starts_with(base, WHITEOUT);

	if (w->flags & STACK_EVERYTHING)
		return wants(w, entry->path)
			       ? w->visitor->entry(w->visitor->arg, number, l, entry, e)
			       : 0;
	if (is_whiteout) {
		note_whiteout(w, entry->path, base);
		return 0;
	}
	if (!wants(w, entry->path))
		return 0;
	note_break(w, entry->path, is_folder);
	if (is_hidden(w, entry->path, is_folder))
		return 0;
	mark_seen(w, entry->path, is_folder);
	return w->visitor->entry(w->visitor->arg, number, l, entry, e);
}

static int read_entries(struct walk *w, size_t number, struct layer *l, struct err *e)
{
	struct layer_entry entry;
	int r;

	while ((r = layer_next(l, &entry, e)) > 0)
		if (visit(w, number, l, &entry, e) < 0)
			return -1;
	// Whatever made the tar unreadable, wrong content is the better explanation.
	struct err why;

	if (layer_finish(l, &why) < 0) {
		*e = why;
		return -1;
	}
	return r;
}

// What this layer took is no longer there for the others; 1 is left, which no entry fits into.
static void spend(struct walk *w, const struct layer *l)
{
	struct layer_usage used = layer_usage(l);

	w->left.max_bytes -= used.bytes < w->left.max_bytes ? used.bytes : w->left.max_bytes - 1;
	w->left.max_entries -=
		used.entries < w->left.max_entries ? used.entries : w->left.max_entries - 1;
}

static int walk_layer(struct walk *w, size_t number, const struct descriptor *d,
		      const struct stack_source *source, struct err *e)
{
	w->left.max_compressed = d->size ? d->size : 1;
	struct stream *stream = source->open(source->arg, d, e);

	if (!stream)
		return -1;
	auto_of(layer_free) struct layer *l = layer_open(stream, &d->digest, &w->left, e);

	if (!l || read_entries(w, number, l, e) < 0)
		return -1;
	spend(w, l);
	merge_pending(w);
	return 0;
}

static bool is_enough(const struct walk *w)
{
	return w->ends || (w->visitor->enough && w->visitor->enough(w->visitor->arg));
}

int stack_walk(const struct descriptor *layers, size_t n, const struct stack_source *source,
	       const struct stack_visitor *visitor, const struct layer_limits *limits,
	       unsigned flags, struct err *e)
{
	struct walk w = {.visitor = visitor, .flags = flags};
	int failed = 0;

	if (limits)
		w.left = *limits;
	w.left.max_bytes = w.left.max_bytes ? w.left.max_bytes : LAYER_MAX_BYTES;
	w.left.max_entries = w.left.max_entries ? w.left.max_entries : LAYER_MAX_ENTRIES;
	for (size_t i = 0; i < n && !failed && !is_enough(&w); i++) {
		size_t number = flags & STACK_EVERYTHING ? i : n - 1 - i;

		failed = walk_layer(&w, number, &layers[number], source, e);
		if (failed)
			err_wrap(e, "layer %s", layers[number].digest.text);
	}
	map_release(&w.marks);
	map_release(&w.pending);
	return failed;
}
