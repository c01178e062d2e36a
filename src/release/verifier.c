// SPDX-License-Identifier: Apache-2.0
// Reading the verifier's config map, and what replaces it.
#include "release/verifier.h"

#include <string.h>

#include "data/yaml_in.h"
#include "util/fs.h"
#include "util/mem.h"

#define ANNOTATION         "release.openshift.io/verification-config-map"
#define KEY_PREFIX         "verifier-public-key-"
#define STORE_PREFIX       "store-"
#define MANIFEST_MAX_BYTES ((size_t)4 << 20)

enum { CANDIDATES_MAX = 64, KEYRINGS_MAX = 64, STORES_MAX = 64 };

void verifier_release(struct verifier *v)
{
	for (size_t i = 0; i < v->n; i++) {
		free(v->keyrings[i].name);
		keyring_free(v->keyrings[i].keys);
	}
	free(v->keyrings);
	strlist_release(&v->stores);
	*v = (struct verifier){0};
}

static void add_keyring(struct verifier *v, const char *name, struct keyring *keys)
{
	vec_reserve(v->keyrings, v->n, v->cap);
	v->keyrings[v->n++] = (struct verifier_keyring){xstrdup(name), keys};
}

static int read_key_file(struct keyring *keys, const char *file, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(OPENPGP_KEYS_MAX);

	if (fs_read_file(&text, file, e) < 0)
		return -1;
	if (keyring_add(keys, buf_str(&text), e) < 0)
		return err_wrap(e, "%s", file);
	return 0;
}

int verifier_read_keys(struct verifier *v, const struct strlist *files, int64_t now, struct err *e)
{
	auto_of(keyring_free) struct keyring *keys = NULL;
	auto_buf struct buf name = BUF_INIT(BUF_TEXT_MAX);

	if (keyring_new(&keys, now, e) < 0)
		return -1;
	for (size_t i = 0; i < files->n; i++) {
		if (read_key_file(keys, files->v[i], e) < 0)
			return err_wrap(e, "unable to load keyring");
		buf_printf(&name, "%s%s", i ? ", " : "", files->v[i]);
	}
	add_keyring(v, name.p, steal(&keys));
	return 0;
}

int verifier_add_store(struct verifier *v, const char *location, struct err *e)
{
	if (v->stores.n >= STORES_MAX)
		return err_set(e, ERR_INPUT, "more than %d signature stores", STORES_MAX);
	if (*location == '\0')
		return err_set(e, ERR_INPUT, "a signature store has no location");
	if (starts_with(location, "file://"))
		location += strlen("file://");
	else if (strstr(location, "://") && !starts_with(location, "http://") &&
		 !starts_with(location, "https://"))
		return err_set(e, ERR_INPUT,
			       "the signature store '%s' is neither http, https nor file",
			       location);
	strlist_add(&v->stores, location);
	return 0;
}

void verifier_manifests_release(struct verifier_manifests *m)
{
	for (size_t i = 0; i < m->files.n; i++) {
		struct buf *bytes = m->files.entries[i].ptr;

		if (bytes)
			buf_free(bytes);
		free(bytes);
	}
	map_release(&m->files);
}

static bool may_be_manifest(const char *name)
{
	return ends_with(name, ".yaml") || ends_with(name, ".yml") || ends_with(name, ".json");
}

int verifier_manifests_take(void *arg, const char *name, struct str bytes, struct err *e)
{
	struct verifier_manifests *m = arg;
	bool wanted = may_be_manifest(name) && bytes.n <= MANIFEST_MAX_BYTES &&
		      memmem(bytes.p, bytes.n, ANNOTATION, strlen(ANNOTATION));

	if (!wanted && !map_find(&m->files, str_of(name)))
		return 0;
	if (m->files.n >= CANDIDATES_MAX)
		return err_set(e, ERR_INPUT, "more than %d verifier config maps", CANDIDATES_MAX);
	struct map_entry *entry = map_put(&m->files, str_of(name), NULL);
	struct buf *old = entry->ptr;

	if (old)
		buf_free(old);
	free(old);
	entry->ptr = NULL;
	if (wanted) {
		struct buf *copy = xmalloc(sizeof(*copy));

		*copy = (struct buf)BUF_INIT(MANIFEST_MAX_BYTES);
		buf_put(copy, bytes.p, bytes.n);
		entry->ptr = copy;
	}
	return 0;
}

// One config map that is being read.
struct load {
	struct verifier *to;
	unsigned take;
	int64_t now;
	bool found;
	size_t keys, stores; // that it has, taken or not
};

static int load_keys(struct load *l, const char *name, const char *text, struct err *e)
{
	auto_of(keyring_free) struct keyring *keys = NULL;

	if (l->keys++ >= KEYRINGS_MAX)
		return err_set(e, ERR_INPUT, "more than %d keyrings", KEYRINGS_MAX);
	if (!(l->take & VERIFIER_KEYRINGS))
		return 0;
	if (keyring_new(&keys, l->now, e) < 0)
		return -1;
	if (keyring_add(keys, str_of(text), e) < 0)
		return err_wrap(e, "%s", name);
	add_keyring(l->to, name, steal(&keys));
	return 0;
}

static int load_store(struct load *l, const char *name, const char *text, struct err *e)
{
	struct str location = str_trim(str_of(text));
	auto_free char *copy = xstrndup(location.p, location.n);

	l->stores++;
	if (!(l->take & VERIFIER_STORES))
		return 0;
	if (!strstr(copy, "://"))
		return err_set(e, ERR_INPUT, "%s: not a URL", name);
	if (verifier_add_store(l->to, copy, e) < 0)
		return err_wrap(e, "%s", name);
	return 0;
}

static int load_member(void *arg, const struct json *member, struct err *e)
{
	const char *text;

	if (!starts_with(member->name, KEY_PREFIX) && !starts_with(member->name, STORE_PREFIX))
		return 0;
	if (json_text(member, &text, e) < 0)
		return -1;
	return starts_with(member->name, KEY_PREFIX) ? load_keys(arg, member->name, text, e)
						     : load_store(arg, member->name, text, e);
}

static bool is_verifier(const struct json *root)
{
	struct json kind = json_member(root, "kind");
	struct json metadata = json_member(root, "metadata");
	struct json annotations = json_member(&metadata, "annotations");
	struct json annotation = json_member(&annotations, ANNOTATION);
	const char *text;
	struct err ignored;

	return json_exists(&annotation) && json_text(&kind, &text, &ignored) == 0 &&
	       strcmp(text, "ConfigMap") == 0;
}

static int load_document(void *arg, const struct json *root, struct err *e)
{
	struct load *l = arg;
	struct json data = json_member(root, "data");

	if (l->found || !is_verifier(root))
		return 0;
	l->found = true;
	if (json_need_object(&data, e) < 0 || json_members(&data, load_member, l, e) < 0)
		return -1;
	if (l->keys == 0 && (l->take & VERIFIER_KEYRINGS))
		return err_set(e, ERR_INPUT, "no public key in it");
	if (l->stores == 0 && (l->take & VERIFIER_STORES))
		return err_set(e, ERR_INPUT, "no signature store in it");
	return 0;
}

int verifier_load(struct verifier *v, const struct verifier_manifests *m, unsigned take,
		  int64_t now, bool *ret_found, struct err *e)
{
	struct load l = {.to = v, .take = take, .now = now};

	for (size_t i = 0; i < m->files.n && !l.found; i++) {
		const struct map_entry *entry = &m->files.entries[i];
		const struct buf *bytes = entry->ptr;

		if (bytes && yaml_parse(buf_str(bytes), YAML_LIMITS(MANIFEST_MAX_BYTES), 0,
					load_document, &l, e) < 0)
			return err_wrap(e, "unable to load configmap verifier: %s", entry->key);
	}
	*ret_found = l.found;
	return 0;
}
