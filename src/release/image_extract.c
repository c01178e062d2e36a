// SPDX-License-Identifier: Apache-2.0
// image extract, but for the flags.
#include "release/image_extract.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "layer/extract_to.h"
#include "layer/find.h"
#include "release/image.h"
#include "util/fs.h"
#include "util/map.h"

enum {
	FAR_LINKS_MAX = 1000, // hard links whose content must be looked for
	LEFT_OUT_SHOWN = 20,
};

// SRC:DST. Names are below FOLDER; PATTERN, when there is one, is about their first component.
struct mapping {
	char *folder;  // "" or "a/b"
	char *pattern; // or NULL: everything in the folder
	char *literal; // the path that everything wanted is at or below
	size_t target; // of struct job
	bool found;    // there was something
	bool complete; // and there cannot be more
	bool again;    // another mapping took the content: the next walk is this one's
};

struct target {
	char *dir; // absolute
	struct extract_to *to;
};

// A hard link whose file is not among what its layer gave to the same mapping.
struct far_link {
	struct mapping *mapping;
	char *name;   // to be
	char *file;   // that it links to
	size_t layer; // where it was found
	bool done;
};

struct job {
	const struct image_extract_request *req;
	struct mapping *mappings;
	size_t nmappings;
	struct target *targets;
	size_t ntargets;
	size_t nleft_out;

	// of one image
	struct release_image image;
	size_t from, to;  // its layers
	bool *active;     // mappings of this walk
	struct map taken; // "MAPPING:PATH" of files of the layer being read
	size_t layer;
	struct far_link *links;
	size_t nlinks, links_cap;
	size_t *round_links; // numbers of the links of this round
};

// ---- mappings

static size_t add_target(struct job *j, const char *dir)
{
	auto_free char *path = path_join(j->req->cwd, dir);
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		path[--n] = '\0';
	if (n > 2 && strcmp(path + n - 2, "/.") == 0)
		path[n - 2] = '\0';
	for (size_t i = 0; i < j->ntargets; i++)
		if (strcmp(j->targets[i].dir, path) == 0)
			return i;
	j->targets[j->ntargets] = (struct target){.dir = xstrdup(path)};
	return j->ntargets++;
}

static int is_empty(const char *dir, bool *ret, struct err *e)
{
	DIR *d = opendir(dir);
	const struct dirent *entry;

	if (!d)
		return err_os(e, ERR_IO, "cannot open folder '%s'", dir);
	*ret = true;
	while ((entry = readdir(d)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			*ret = false;
	closedir(d);
	return 0;
}

static int check_target(const struct job *j, const char *dir, struct err *e)
{
	struct stat st;
	bool empty = true;

	if (stat(dir, &st) < 0)
		return errno == ENOENT
			       ? err_set(e, ERR_USAGE, "destination path does not exist: %s", dir)
			       : err_os(e, ERR_IO, "cannot open folder '%s'", dir);
	if (!S_ISDIR(st.st_mode))
		return err_set(e, ERR_USAGE, "invalid argument: %s is not a directory", dir);
	if (j->req->confirm || j->req->dry_run)
		return 0;
	if (is_empty(dir, &empty, e) < 0)
		return -1;
	return empty ? 0
		     : err_set(e, ERR_USAGE,
			       "directory %s must be empty, pass --confirm to overwrite contents of "
			       "directory",
			       dir);
}

// "a//b/./c" → "a/b/c"; false when it leaves the image. Caller frees *ret.
static bool clean(struct str path, char **ret)
{
	auto_buf struct buf out = BUF_INIT(BUF_TEXT_MAX);

	while (path.p) {
		struct str part = str_cut(&path, '/');

		if (part.n == 0 || str_eqz(part, "."))
			continue;
		if (str_eqz(part, ".."))
			return false;
		buf_printf(&out, "%s%.*s", out.n ? "/" : "", STR_FMT(part));
	}
	*ret = buf_take(&out);
	return true;
}

// SRC ends in '/': what is in that folder; else its last part is a pattern.
static int add_mapping(struct job *j, const char *text, struct str src, const char *dst,
		       struct err *e)
{
	struct mapping *m = &j->mappings[j->nmappings];
	auto_free char *path = NULL;
	bool whole = src.n == 0 || src.p[src.n - 1] == '/';

	if (!clean(src, &path))
		return err_set(e, ERR_USAGE, "'%s' leaves the image", text);
	char *slash = strrchr(path, '/');

	*m = (struct mapping){.target = add_target(j, dst)};
	j->nmappings++;
	if (whole || *path == '\0') {
		m->folder = xstrdup(path);
		m->literal = xstrdup(path);
		m->found = *path == '\0'; // the root is always there
		return 0;
	}
	m->pattern = xstrdup(slash ? slash + 1 : path);
	m->folder = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup("");
	m->literal = xstrdup(strpbrk(m->pattern, "*?[\\") ? m->folder : path);
	return 0;
}

static int add_path(struct job *j, const char *text, struct err *e)
{
	struct str rest = str_of(text), src = str_cut(&rest, ':');

	if (!rest.p)
		return err_set(e, ERR_USAGE, "--paths must be of the form SRC:DST");
	if (add_mapping(j, text, src, *rest.p ? rest.p : ".", e) < 0)
		return -1;
	return check_target(j, j->targets[j->mappings[j->nmappings - 1].target].dir, e);
}

static int add_mappings(struct job *j, struct err *e)
{
	const struct image_extract_request *req = j->req;
	size_t n = req->npaths + req->nfiles + 1;

	j->mappings = xcalloc(n, sizeof(*j->mappings));
	j->targets = xcalloc(n, sizeof(*j->targets));
	j->active = xcalloc(n, sizeof(*j->active));
	if (req->npaths + req->nfiles == 0)
		return add_path(j, "/:.", e);
	for (size_t i = 0; i < req->npaths; i++)
		if (add_path(j, req->paths[i], e) < 0)
			return -1;
	for (size_t i = 0; i < req->nfiles; i++) {
		if (ends_with(req->files[i], "/"))
			return err_set(e, ERR_USAGE, "invalid file: %s must not end with a slash",
				       req->files[i]);
		if (add_mapping(j, req->files[i], str_of(req->files[i]), ".", e) < 0)
			return -1;
	}
	return 0;
}

// The name that PATH has in the target; NULL when M is not about it.
static const char *name_of(const struct mapping *m, const char *path)
{
	size_t n = strlen(m->folder);

	if (n > 0 && (strncmp(path, m->folder, n) != 0 || path[n] != '/'))
		return NULL;
	const char *rest = path + n + (n > 0);

	if (*rest == '\0' || !m->pattern)
		return *rest ? rest : NULL;
	auto_free char *first = xstrndup(rest, strcspn(rest, "/"));

	return fnmatch(m->pattern, first, FNM_PATHNAME) == 0 ? rest : NULL;
}

// ---- entries

static bool wants(void *arg, const char *path)
{
	const struct job *j = arg;

	for (size_t i = 0; i < j->nmappings; i++)
		if (j->active[i] && (j->mappings[i].literal[0] == '\0' ||
				     path_concerns(path, j->mappings[i].literal)))
			return true;
	return false;
}

static bool enough(void *arg)
{
	const struct job *j = arg;

	for (size_t i = 0; i < j->nmappings; i++)
		if (j->active[i] && !j->mappings[i].complete)
			return false;
	return true;
}

static void leave_out(struct job *j, const char *path, const char *why)
{
	if (++j->nleft_out <= LEFT_OUT_SHOWN)
		say(&j->req->say, "warning: left out %s: %s", path, why);
}

static char *taken_key(const struct job *j, const struct mapping *m, const char *path)
{
	return xasprintf("%zu:%s", (size_t)(m - j->mappings), path);
}

static void take(struct job *j, const struct mapping *m, const char *path)
{
	auto_free char *key = taken_key(j, m, path);

	map_put(&j->taken, str_of(key), NULL);
}

static bool is_taken(const struct job *j, const struct mapping *m, const char *path)
{
	auto_free char *key = taken_key(j, m, path);

	return map_find(&j->taken, str_of(key)) != NULL;
}

static int add_hardlink(struct job *j, struct mapping *m, const char *name, struct layer *l,
			const struct layer_entry *entry, struct err *e)
{
	struct layer_entry near = *entry;

	near.link = name_of(m, entry->link);
	if (near.link && is_taken(j, m, entry->link)) {
		take(j, m, entry->path);
		return extract_to_add(j->targets[m->target].to, name, l, &near, e);
	}
	if (j->nlinks == FAR_LINKS_MAX)
		return err_set(e, ERR_INPUT, "layer has more than %d hard links to files elsewhere",
			       FAR_LINKS_MAX);
	vec_reserve(j->links, j->nlinks, j->links_cap);
	j->links[j->nlinks++] = (struct far_link){
		.mapping = m,
		.name = xstrdup(name),
		.file = xstrdup(entry->link),
		.layer = j->layer,
	};
	return 0;
}

// How to get from the folder of NAME to TO, both below one folder. Caller frees.
static char *relative(const char *name, const char *to)
{
	auto_buf struct buf out = BUF_INIT(BUF_TEXT_MAX);
	size_t same = 0;

	for (size_t i = 0; name[i] && name[i] == to[i]; i++)
		if (name[i] == '/')
			same = i + 1;
	for (const char *p = name + same; *p; p++)
		if (*p == '/')
			buf_puts(&out, "../");
	if (to[same])
		buf_puts(&out, to + same);
	else if (out.n > 0)
		out.p[--out.n] = '\0'; // the last '/'
	else
		buf_puts(&out, ".");
	return buf_take(&out);
}

// A link says where its target is in the image; in the folder that is written it must be there,
// too.
static int add_symlink(struct job *j, struct mapping *m, const char *name, struct layer *l,
		       const struct layer_entry *entry, struct err *e)
{
	struct layer_entry inside = *entry;
	char path[LAYER_PATH_MAX];
	auto_free char *link = NULL;

	const char *to = NULL;

	if (entry->link[0] == '/' && extract_to_resolve(entry->path, entry->link, path))
		to = *path ? name_of(m, path) : m->folder[0] ? NULL : "";
	else if (entry->link[0] != '/' && extract_to_resolve(name, entry->link, path))
		to = path;
	if (!to) {
		leave_out(j, entry->path, "it links to what is outside of the target");
		return 0;
	}
	if (!extract_to_is_plain(entry->link)) {
		link = relative(name, to);
		inside.link = link;
	}
	return extract_to_add(j->targets[m->target].to, name, l, &inside, e);
}

static int add_entry(struct job *j, struct mapping *m, const char *name, struct layer *l,
		     const struct layer_entry *entry, struct err *e)
{
	switch (entry->type) {
	case LAYER_FILE:
		take(j, m, entry->path);
		return extract_to_add(j->targets[m->target].to, name, l, entry, e);
	case LAYER_DIR:
		return extract_to_add(j->targets[m->target].to, name, l, entry, e);
	case LAYER_HARDLINK:
		return add_hardlink(j, m, name, l, entry, e);
	case LAYER_SYMLINK:
		return j->req->only_files ? 0 : add_symlink(j, m, name, l, entry, e);
	default:
		if (!j->req->only_files)
			leave_out(j, entry->path, "it is a device, a pipe or a socket");
		return 0;
	}
}

// As Go prints it, with the mode that would be given.
static void print_mode(const struct job *j, const struct layer_entry *entry, char ret[11])
{
	static const char letters[] = "rwxrwxrwx";
	mode_t mode = j->req->preserve ? entry->mode : entry->type == LAYER_FILE ? 0640 : 0755;

	ret[0] = entry->type == LAYER_DIR ? 'd' : entry->type == LAYER_SYMLINK ? 'L' : '-';
	for (int i = 0; i < 9; i++)
		ret[i + 1] = '-';
	for (int i = 0; i < 9; i++)
		if (mode & (1U << (8 - i)))
			ret[i + 1] = letters[i];
	ret[10] = '\0';
}

static void print_entry(struct job *j, const struct mapping *m, const char *name,
			const struct layer_entry *entry)
{
	const char *dir = j->targets[m->target].dir;
	bool link = entry->type == LAYER_SYMLINK || entry->type == LAYER_HARDLINK;
	auto_free char *path = path_join(dir, name), *to = NULL;
	char mode[11];

	if (j->req->only_files && entry->type != LAYER_FILE && entry->type != LAYER_DIR &&
	    entry->type != LAYER_HARDLINK)
		return;
	if (link)
		to = xasprintf("%s/%s", dir, entry->link + (entry->link[0] == '/'));
	print_mode(j, entry, mode);
	auto_free char *line =
		xasprintf("%2zu %s %12" PRIu64 " %s%s%s", j->layer - j->from, mode, entry->size,
			  link ? name : path, link ? " -> " : "", link ? to : "");

	j->req->put(j->req->put_arg, line);
}

// Found: a file is all there is to a path without a pattern.
static void note_found(struct mapping *m, const struct layer_entry *entry)
{
	m->found = true;
	if (entry->type != LAYER_DIR && strcmp(entry->path, m->literal) == 0)
		m->complete = true;
}

static int on_entry(void *arg, size_t layer, struct layer *l, const struct layer_entry *entry,
		    struct err *e)
{
	struct job *j = arg;
	bool used = false;

	layer += j->from;
	if (layer != j->layer) {
		map_release(&j->taken);
		j->taken = (struct map){0};
		j->layer = layer;
	}
	for (size_t i = 0; i < j->nmappings; i++) {
		struct mapping *m = &j->mappings[i];
		const char *name = j->active[i] ? name_of(m, entry->path) : NULL;

		if (j->active[i] && entry->type == LAYER_DIR && strcmp(entry->path, m->folder) == 0)
			m->found = m->found || !m->pattern;
		if (!name)
			continue;
		note_found(m, entry);
		if (j->req->dry_run) {
			print_entry(j, m, name, entry);
			continue;
		}
		if (used && entry->type == LAYER_FILE) {
			m->again = true;
			continue;
		}
		used = true;
		if (add_entry(j, m, name, l, entry, e) < 0)
			return -1;
	}
	return 0;
}

// ---- hard links to files elsewhere

static int on_far_file(void *arg, size_t which, struct layer *l, const struct layer_entry *entry,
		       struct err *e)
{
	struct job *j = arg;
	const struct far_link *link = &j->links[j->round_links[which]];

	return extract_to_add(j->targets[link->mapping->target].to, link->name, l, entry, e);
}

// Is the same file looked for in this round already?
static bool is_asked_for(const char *const *paths, size_t n, const char *path)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(paths[i], path) == 0)
			return true;
	return false;
}

// The links of one layer, each file once; what is left waits for the next round.
static int find_far_files(struct job *j, size_t layer, struct err *e)
{
	const char **paths = xcalloc(j->nlinks, sizeof(*paths));
	auto_free bool *found = xcalloc(j->nlinks, sizeof(*found));
	struct stack_source source = release_image_source(&j->image);
	size_t n = 0;

	for (size_t i = 0; i < j->nlinks; i++) {
		struct far_link *link = &j->links[i];

		if (link->done || link->layer != layer || is_asked_for(paths, n, link->file))
			continue;
		link->done = true;
		j->round_links[n] = i;
		paths[n++] = link->file;
	}
	int failed = layers_find(j->image.manifest.layers + j->from, layer + 1 - j->from, &source,
				 &j->req->limits, paths, n, on_far_file, j, found, e);

	for (size_t i = 0; i < n && !failed; i++)
		if (!found[i])
			failed = err_set(e, ERR_INPUT,
					 "layer entry '%s' links to '%s', which is not there",
					 j->links[j->round_links[i]].name, paths[i]);
	free(paths);
	return failed;
}

static int add_far_links(struct job *j, struct err *e)
{
	int failed = 0;

	j->round_links = xcalloc(j->nlinks + 1, sizeof(*j->round_links));
	for (size_t i = 0; i < j->nlinks && !failed; i++)
		while (!j->links[i].done && !failed)
			failed = find_far_files(j, j->links[i].layer, e);
	free(j->round_links);
	j->round_links = NULL;
	return failed;
}

static void drop_links(struct job *j)
{
	for (size_t i = 0; i < j->nlinks; i++) {
		free(j->links[i].name);
		free(j->links[i].file);
	}
	j->nlinks = 0;
}

// ---- images

static int walk(struct job *j, struct err *e)
{
	struct stack_source source = release_image_source(&j->image);
	struct stack_visitor visitor = {wants, on_entry, enough, j};
	bool everything = j->req->dry_run && j->req->all_layers;

	if (everything)
		visitor.enough = NULL;
	j->layer = SIZE_MAX;
	return stack_walk(j->image.manifest.layers + j->from, j->to - j->from, &source, &visitor,
			  &j->req->limits, everything ? STACK_EVERYTHING : 0, e);
}

static int open_targets(struct job *j, struct err *e)
{
	struct extract_to_options opt = {.preserve = j->req->preserve};

	for (size_t i = 0; i < j->ntargets && !j->req->dry_run; i++) {
		j->targets[i].to = extract_to_new(j->targets[i].dir, &opt, e);
		if (!j->targets[i].to)
			return -1;
	}
	return 0;
}

static int commit_targets(struct job *j, struct err *e)
{
	for (size_t i = 0; i < j->ntargets && !j->req->dry_run; i++)
		if (extract_to_commit(j->targets[i].to, e) < 0)
			return -1;
	return 0;
}

static void close_targets(struct job *j)
{
	for (size_t i = 0; i < j->ntargets; i++) {
		extract_to_free(j->targets[i].to);
		j->targets[i].to = NULL;
	}
}

static int check_found(const struct job *j, struct err *e)
{
	for (size_t i = 0; i < j->nmappings; i++) {
		const struct mapping *m = &j->mappings[i];

		if (!m->found)
			return err_set(e, ERR_NOT_FOUND, "image did not contain %s%s%s", m->folder,
				       m->folder[0] && m->pattern ? "/" : "",
				       m->pattern ? m->pattern : "/");
	}
	return 0;
}

// As many walks as there are mappings that want the same file.
static int walk_all(struct job *j, struct err *e)
{
	bool more = true;

	for (size_t i = 0; i < j->nmappings; i++) {
		j->active[i] = true;
		j->mappings[i].found = j->mappings[i].literal[0] == '\0' && !j->mappings[i].pattern;
		j->mappings[i].complete = false;
	}
	while (more) {
		more = false;
		if (walk(j, e) < 0)
			return -1;
		for (size_t i = 0; i < j->nmappings; i++) {
			j->active[i] = j->mappings[i].again;
			more = more || j->active[i];
			j->mappings[i].again = false;
			j->mappings[i].complete = j->mappings[i].complete && !j->active[i];
		}
	}
	return 0;
}

static int extract_layers(struct job *j, struct err *e)
{
	if (open_targets(j, e) < 0 || walk_all(j, e) < 0 || add_far_links(j, e) < 0 ||
	    check_found(j, e) < 0)
		return -1;
	return commit_targets(j, e);
}

// "IMAGE[SELECTOR]" in two; *ret_selector NULL when there is none. Caller frees both.
static int split_selector(const char *text, char **ret_image, char **ret_selector, struct err *e)
{
	const char *open = strrchr(text, '[');
	size_t n = strlen(text);

	*ret_selector = NULL;
	if (!ends_with(text, "]") || !open) {
		*ret_image = xstrdup(text);
		return 0;
	}
	if (open == text || open + 2 == text + n)
		return err_set(e, ERR_USAGE, "layer selectors must be of the form IMAGE[\\d:\\d]");
	*ret_image = xstrndup(text, (size_t)(open - text));
	*ret_selector = xstrndup(open + 1, (size_t)(text + n - 1 - open - 1));
	return 0;
}

static int open_image(struct job *j, struct places *places, const char *text,
		      const struct platform_filter *filter, struct err *e)
{
	auto_free char *name = NULL, *selector = NULL;
	auto_reference struct reference ref = {0};
	struct release_sources sources = {.places = places};

	if (split_selector(text, &name, &selector, e) < 0 || reference_parse(&ref, name, 0, e) < 0)
		return -1;
	if (ref.tag[0] == '\0' && !ref.has_digest)
		return err_set(e, ERR_USAGE, "source image must point to an image ID or image tag");
	if (release_open_image(&sources, &ref, filter, &j->image, e) < 0)
		return -1;
	j->from = 0;
	j->to = j->image.manifest.nlayers;
	if (selector && layer_select(selector, &j->image.manifest, &j->from, &j->to, e) < 0)
		return err_wrap(e, "unable to filter layers for %s", name);
	return 0;
}

static int extract_image(struct job *j, struct places *places, const char *text,
			 const struct platform_filter *filter, struct err *e)
{
	int failed = open_image(j, places, text, filter, e);

	if (!failed) {
		failed = extract_layers(j, e);
		if (failed && e->kind != ERR_CANCELLED)
			err_wrap(e, "unable to extract %s", text);
	}
	close_targets(j);
	drop_links(j);
	map_release(&j->taken);
	j->taken = (struct map){0};
	release_image_release(&j->image);
	return failed;
}

static int extract_all(struct job *j, struct places *places, struct err *e)
{
	const char *pattern = j->req->filter_by_os;
	auto_of(platform_filter_free) struct platform_filter *filter = NULL;

	if (j->req->nimages == 0)
		return err_set(e, ERR_USAGE,
			       "you must specify at least one image to extract as an argument");
	if ((!pattern || *pattern) &&
	    platform_filter_new(&filter, pattern ? pattern : platform_local(), e) < 0)
		return -1;
	if (add_mappings(j, e) < 0)
		return -1;
	for (size_t i = 0; i < j->req->nimages; i++)
		if (extract_image(j, places, j->req->images[i], filter, e) < 0)
			return -1;
	if (j->nleft_out > 0)
		return err_set(e, ERR_INCOMPLETE, "%zu entries were left out", j->nleft_out);
	return 0;
}

int image_extract(struct places *places, const struct image_extract_request *req, struct err *e)
{
	struct job j = {.req = req};
	int failed = extract_all(&j, places, e);

	for (size_t i = 0; i < j.nmappings; i++) {
		free(j.mappings[i].folder);
		free(j.mappings[i].pattern);
		free(j.mappings[i].literal);
	}
	for (size_t i = 0; i < j.ntargets; i++)
		free(j.targets[i].dir);
	free(j.mappings);
	free(j.targets);
	free(j.active);
	free(j.links);
	return failed;
}
