// SPDX-License-Identifier: Apache-2.0
// The config map of the Cluster Samples Operator, read and written.
#include "samples/config_map.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "data/gofmt.h"
#include "data/yaml_in.h"
#include "image/reference.h"
#include "util/cleanup.h"
#include "util/fs.h"

#define VERSION  "samples.operator.openshift.io/version"
#define EXCLUDED "ferry/excluded-imagestreams"

enum { STREAM_MAX = 253, SHOWN_MAX = 100 };

void config_map_release(struct config_map *m)
{
	free(m->v);
	strlist_release(&m->excluded);
	arena_free(&m->arena);
	*m = (struct config_map){0};
}

static bool is_lower_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
}

static bool label_valid(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_lower_alnum(s.p[i]) && s.p[i] != '-')
			return false;
	return s.n > 0 && s.p[0] != '-' && s.p[s.n - 1] != '-';
}

// A DNS subdomain (RFC 1123), as the names of Kubernetes' objects are.
static bool stream_valid(struct str name)
{
	if (name.n > STREAM_MAX)
		return false;
	while (name.p)
		if (!label_valid(str_cut(&name, '.')))
			return false;
	return true;
}

char *config_map_show(const char *text)
{
	struct str s = str_of(text);

	if (s.n <= SHOWN_MAX)
		return gofmt_quote(s);
	auto_free char *start = gofmt_quote((struct str){s.p, SHOWN_MAX});

	return xasprintf("%s…", start);
}

static int fail_key(const char *key, struct err *e, const char *why)
{
	auto_free char *quoted = config_map_show(key);

	return err_set(e, ERR_INPUT, "data: key %s %s", quoted, why);
}

static int read_key(struct config_map *m, const char *key, struct config_map_tag *ret,
		    struct err *e)
{
	struct str tag = str_of(key), stream = str_cut(&tag, '_');

	if (!tag.p)
		return fail_key(key, e, "is not STREAM_TAG");
	if (stream.n == 0 || !stream_valid(stream))
		return fail_key(key, e, "does not begin with the name of an image stream");
	ret->stream = arena_strndup(&m->arena, stream.p, stream.n);
	ret->tag = arena_strndup(&m->arena, tag.p, tag.n);
	if (!tag_valid(ret->tag))
		return fail_key(key, e, "does not end with a tag");
	return 0;
}

static int read_image(struct config_map *m, const char *key, const struct json *value,
		      struct config_map_tag *ret, struct err *e)
{
	const char *text;

	if (json_kind(value) != JSON_KIND_TEXT || json_text(value, &text, e) < 0)
		return fail_key(key, e, "has a value that is no text");
	struct str image = str_trim(str_of(text));

	if (image.n == 0)
		return fail_key(key, e, "has no image");
	if (image.n > CONFIG_MAP_IMAGE_MAX)
		return fail_key(key, e, "has an image whose name is too long");
	ret->image = arena_strndup(&m->arena, image.p, image.n);
	return 0;
}

static int compare_tags(const void *a, const void *b)
{
	const struct config_map_tag *x = a, *y = b;
	int c = strcmp(x->stream, y->stream);

	return c ? c : strcmp(x->tag, y->tag);
}

static int read_data(struct config_map *m, const struct json *data, struct err *e)
{
	size_t n;

	if (json_need_object(data, e) < 0)
		return -1;
	auto_free const char **keys = json_sorted_names(data, &n);

	if (n == 0)
		return err_set(e, ERR_INPUT, "it names no image stream tags");
	if (n > CONFIG_MAP_TAGS_MAX)
		return err_set(e, ERR_INPUT, "it names %zu image stream tags, at most %zu are read",
			       n, CONFIG_MAP_TAGS_MAX);
	m->v = xcalloc(n, sizeof(*m->v));
	for (size_t i = 0; i < n; i++) {
		struct json value = json_member(data, keys[i]);

		if (read_key(m, keys[i], &m->v[i], e) < 0 ||
		    read_image(m, keys[i], &value, &m->v[i], e) < 0)
			return -1;
		m->n++;
	}
	qsort(m->v, m->n, sizeof(*m->v), compare_tags);
	return 0;
}

static int read_annotations(struct config_map *m, const struct json *map, struct err *e)
{
	struct json metadata = json_member(map, "metadata");
	struct json annotations = json_member(&metadata, "annotations");
	struct json version_at = json_member(&annotations, VERSION);
	struct json excluded_at = json_member(&annotations, EXCLUDED);
	const char *version, *excluded;

	if (json_text_or(&version_at, "", &version, e) < 0 ||
	    json_text_or(&excluded_at, "", &excluded, e) < 0)
		return -1;
	m->version = arena_strdup(&m->arena, version);
	for (struct str rest = str_of(excluded), name; rest.p && rest.n > 0;) {
		name = str_cut(&rest, ',');
		if (!stream_valid(name))
			return json_fail(&excluded_at, e, "not names of image streams");
		strlist_take(&m->excluded, xstrndup(name.p, name.n));
	}
	strlist_sort(&m->excluded);
	strlist_unique(&m->excluded);
	return 0;
}

static int read_object(struct config_map *m, const struct json *map, struct err *e)
{
	struct json data = json_member(map, "data");

	if (!json_present(&data))
		return err_set(e, ERR_INPUT, "it has no data");
	if (read_annotations(m, map, e) < 0)
		return -1;
	return read_data(m, &data, e);
}

static const char *kind_of(const struct json *object)
{
	struct json kind = json_member(object, "kind");

	return json_as_text(&kind);
}

static bool is_named(const struct json *map)
{
	struct json metadata = json_member(map, "metadata");
	struct json name = json_member(&metadata, "name");

	return strcmp(json_as_text(&name), CONFIG_MAP_NAME) == 0;
}

// Of several config maps the one that has the name; one alone may have any.
static int read_list(struct config_map *m, const struct json *items, struct err *e)
{
	size_t n, maps = 0, named = 0;
	struct json map = {0}, chosen = {0};

	if (json_items(items, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct json item = json_item(items, i);

		if (strcmp(kind_of(&item), "ConfigMap") != 0)
			continue;
		maps++;
		map = item;
		if (is_named(&item)) {
			named++;
			chosen = item;
		}
	}
	if (named > 1 || (named == 0 && maps != 1))
		return json_fail(items, e, "%zu config maps, %zu of them named %s: one is needed",
				 maps, named, CONFIG_MAP_NAME);
	return read_object(m, named ? &chosen : &map, e);
}

static int read_root(struct config_map *m, const struct json *root, struct err *e)
{
	const char *kind = kind_of(root);
	struct json items = json_member(root, "items"), data = json_member(root, "data");

	if (json_need_object(root, e) < 0)
		return -1;
	if (strcmp(kind, "ConfigMap") == 0)
		return read_object(m, root, e);
	if (ends_with(kind, "List"))
		return read_list(m, &items, e);
	if (*kind) {
		auto_free char *quoted = config_map_show(kind);

		return err_set(e, ERR_INPUT, "it is of kind %s, not a ConfigMap", quoted);
	}
	// No key of the mapping is "data": it has no '_'.
	return json_present(&data) ? read_object(m, root, e) : read_data(m, root, e);
}

struct reading {
	struct config_map *to;
	size_t documents;
};

static int read_document(void *arg, const struct json *root, struct err *e)
{
	struct reading *r = arg;

	if (r->documents++ > 0)
		return err_set(e, ERR_INPUT, "there is more than one document");
	return read_root(r->to, root, e);
}

// JSON has escapes and blanks that YAML 1.1 does not take; everything else is YAML.
static int read_text(struct config_map *m, struct str bytes, struct err *e)
{
	auto_json struct json_doc doc = {0};
	struct reading r = {.to = m};
	struct err ignored;

	if (str_starts(str_trim(bytes), STR("{")) &&
	    json_parse(&doc, bytes, JSON_LIMITS(CONFIG_MAP_FILE_MAX), JSON_UNIQUE, &ignored) == 0) {
		struct json root = json_root(&doc);

		return read_root(m, &root, e);
	}
	if (yaml_parse(bytes, YAML_LIMITS(CONFIG_MAP_FILE_MAX), JSON_UNIQUE, read_document, &r, e) <
	    0)
		return -1;
	return r.documents > 0 ? 0 : err_set(e, ERR_INPUT, "it is empty");
}

int config_map_read(struct config_map *ret, struct str bytes, const char *name, struct err *e)
{
	struct config_map m = {.version = ""};

	if (read_text(&m, bytes, e) < 0) {
		config_map_release(&m);
		return err_wrap(e, "%s", name);
	}
	*ret = m;
	return 0;
}

static int compare_stream(const void *name, const void *tag)
{
	return strcmp(name, ((const struct config_map_tag *)tag)->stream);
}

bool config_map_has(const struct config_map *m, const char *stream)
{
	return m->n > 0 && bsearch(stream, m->v, m->n, sizeof(*m->v), compare_stream);
}

static int compare_name(const void *name, const void *at)
{
	return strcmp(name, *(char *const *)at);
}

bool config_map_excludes(const struct config_map *m, const char *stream)
{
	const struct strlist *l = &m->excluded;

	return l->n > 0 && bsearch(stream, l->v, l->n, sizeof(*l->v), compare_name);
}

static int read_open(struct config_map *ret, int fd, const char *name, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(CONFIG_MAP_FILE_MAX);

	if (fs_read_fd(&text, fd, name, e) < 0)
		return -1;
	return config_map_read(ret, buf_str(&text), name, e);
}

static int open_file(const char *path, int flags, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | flags);

	if (fd < 0)
		return err_os(e, errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_IO,
			      "open %s", path);
	return fd;
}

int config_map_read_file(struct config_map *ret, const char *path, int stdin_fd, struct err *e)
{
	if (strcmp(path, "-") == 0)
		return read_open(ret, stdin_fd, "standard input", e);
	auto_fd int fd = open_file(path, 0, e);

	return fd < 0 ? -1 : read_open(ret, fd, path, e);
}

int config_map_read_media(struct config_map *ret, const char *path, struct err *e)
{
	auto_fd int fd = open_file(path, O_NONBLOCK, e);
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, ERR_INPUT, "%s is not a file", path);
	return read_open(ret, fd, path, e);
}

static void print_annotations(struct yaml_out *y, const struct config_map *m)
{
	auto_buf struct buf excluded = BUF_INIT(BUF_TEXT_MAX);

	for (size_t i = 0; i < m->excluded.n; i++)
		buf_printf(&excluded, "%s%s", i ? "," : "", m->excluded.v[i]);
	if (!*m->version && excluded.n == 0)
		return;
	yaml_out_key(y, "annotations");
	yaml_out_map(y);
	if (excluded.n > 0) {
		yaml_out_key(y, EXCLUDED);
		yaml_out_text(y, excluded.p);
	}
	if (*m->version) {
		yaml_out_key(y, VERSION);
		yaml_out_text(y, m->version);
	}
	yaml_out_end(y);
}

static void print_metadata(struct yaml_out *y, const struct config_map *m)
{
	yaml_out_key(y, "metadata");
	yaml_out_map(y);
	print_annotations(y, m);
	yaml_out_key(y, "name");
	yaml_out_text(y, CONFIG_MAP_NAME);
	yaml_out_key(y, "namespace");
	yaml_out_text(y, CONFIG_MAP_NAMESPACE);
	yaml_out_end(y);
}

void config_map_print(struct buf *ret, const struct config_map *m)
{
	struct yaml_out y = {.out = ret};

	yaml_out_map(&y);
	yaml_out_key(&y, "apiVersion");
	yaml_out_text(&y, "v1");
	yaml_out_key(&y, "data");
	yaml_out_map(&y);
	for (size_t i = 0; i < m->n; i++) {
		auto_free char *key = xasprintf("%s_%s", m->v[i].stream, m->v[i].tag);

		yaml_out_key(&y, key);
		yaml_out_text(&y, m->v[i].image);
	}
	yaml_out_end(&y);
	yaml_out_key(&y, "kind");
	yaml_out_text(&y, "ConfigMap");
	print_metadata(&y, m);
	yaml_out_end(&y);
}
