// SPDX-License-Identifier: Apache-2.0
// Credential files and the helpers that they name.
#include "net/credentials.h"

#include "data/base64.h"
#include "data/gofmt.h"
#include "data/json.h"
#include "net/helper.h"
#include "util/fs.h"
#include "util/map.h"
#include "util/mem.h"

#include <pthread.h>
#include <string.h>

#define FILE_MAX ((size_t)4 << 20)

// One line of a file's "auths".
struct entry {
	char *key;               // as written
	char *place;             // host[/path] without scheme, docker.io under its one name
	bool schemed;            // a scheme was removed: an entry without one goes before it
	char *broken;            // why it cannot be used, or NULL
	struct credential login; // empty when the entry has no content
};

// One line of "credHelpers".
struct helper {
	char *host, *server, *name; // SERVER is what the helper is asked for
};

struct file {
	char *path;
	struct entry *entries;
	size_t nentries, entries_cap;
	struct helper *helpers;
	size_t nhelpers, helpers_cap;
	char *store; // credsStore, or NULL
	struct file *next;
};

// What a helper said, under "name\nserver".
struct answer {
	struct credential login;
	bool failed;
	struct err why;
};

struct credentials {
	struct file *files, **last;
	char *path; // $PATH, for the helpers
	struct cancel *stop;
	unsigned helper_ms;
	pthread_mutex_t lock; // guards answers, and lets one helper run at a time
	struct map answers;
};

static void wipe(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

static void wipe_buf(struct buf *b)
{
	if (b->p && b->cap > 0)
		explicit_bzero(b->p, b->n);
}

void credential_release(struct credential *c)
{
	wipe(c->user);
	wipe(c->password);
	wipe(c->identity_token);
	*c = (struct credential){0};
}

static bool is_empty(const struct credential *c)
{
	return !c->user && !c->password && !c->identity_token;
}

static void credential_copy(struct credential *ret, const struct credential *c)
{
	*ret = (struct credential){
		.user = c->user ? xstrdup(c->user) : NULL,
		.password = c->password ? xstrdup(c->password) : NULL,
		.identity_token = c->identity_token ? xstrdup(c->identity_token) : NULL,
	};
}

static void entry_release(struct entry *entry)
{
	free(entry->key);
	free(entry->place);
	free(entry->broken);
	credential_release(&entry->login);
}

static void helper_release(struct helper *h)
{
	free(h->host);
	free(h->server);
	free(h->name);
}

static void file_free(struct file *f)
{
	for (size_t i = 0; i < f->nentries; i++)
		entry_release(&f->entries[i]);
	for (size_t i = 0; i < f->nhelpers; i++)
		helper_release(&f->helpers[i]);
	free(f->entries);
	free(f->helpers);
	free(f->store);
	free(f->path);
	free(f);
}

static void answers_release(struct map *answers)
{
	for (size_t i = 0; i < answers->n; i++) {
		struct answer *a = answers->entries[i].ptr;

		credential_release(&a->login);
		free(a);
	}
	map_release(answers);
}

void credentials_free(struct credentials *c)
{
	if (!c)
		return;
	for (struct file *f = c->files, *next; f; f = next) {
		next = f->next;
		file_free(f);
	}
	answers_release(&c->answers);
	pthread_mutex_destroy(&c->lock);
	free(c->path);
	free(c);
}

// The names under which one registry is known, under one of them. Host or host/path.
static char *canonical(struct str place)
{
	static const char *const hub[] = {"", "index.docker.io", "registry-1.docker.io"};
	struct str rest = place, host = str_cut(&rest, '/');

	for (size_t i = 0; i < ARRAY_SIZE(hub); i++)
		if (str_eqz(host, hub[i]))
			return xasprintf("docker.io%s%.*s", rest.p ? "/" : "", STR_FMT(rest));
	return xstrndup(place.p, place.n);
}

// HOST_ONLY: the old format, whose keys may have had a path that means nothing.
static char *place_of(const char *key, bool host_only, bool *ret_schemed)
{
	struct str s = str_of(key);

	*ret_schemed = true;
	if (str_starts(s, STR("https://")))
		s = (struct str){s.p + 8, s.n - 8};
	else if (str_starts(s, STR("http://")))
		s = (struct str){s.p + 7, s.n - 7};
	else
		*ret_schemed = false;
	if (*ret_schemed || host_only)
		s = str_cut(&s, '/');
	return s.n > 0 ? canonical(s) : xstrdup("");
}

// What the functions that walk a file need.
struct reading {
	struct file *file;
	struct strlist *warnings;
	bool legacy;
};

static void warn(struct reading *r, const char *key, const char *what)
{
	auto_free char *quoted = gofmt_quote(str_of(key));

	strlist_addf(r->warnings, "file %s: entry for %s %s: ignored", r->file->path, quoted, what);
}

static void spoil(struct reading *r, struct entry *entry, const char *what)
{
	credential_release(&entry->login);
	entry->broken = xstrdup(what);
	warn(r, entry->key, what);
}

// "user:password", base64. Some writers padded the password with NULs.
static void read_auth(struct reading *r, struct entry *entry, const char *auth)
{
	char *plain = NULL;
	size_t n;

	if (!base64_decode(str_of(auth), &plain, &n)) {
		spoil(r, entry, "is not valid base64");
		return;
	}
	while (n > 0 && plain[n - 1] == '\0')
		n--;
	char *colon = memchr(plain, ':', n);

	if (!colon)
		warn(r, entry->key, "has no colon between user and password");
	else if (memchr(plain, '\0', n) || memchr(plain, '\n', n) || memchr(plain, '\r', n))
		spoil(r, entry, "has control characters in it");
	else {
		entry->login.user = xstrndup(plain, (size_t)(colon - plain));
		entry->login.password = xstrndup(colon + 1, (size_t)(plain + n - colon - 1));
	}
	explicit_bzero(plain, n);
	free(plain);
}

static int optional(const struct json *object, const char *name, const char **ret)
{
	struct json at = json_member(object, name);
	struct err ignored;

	return json_text_or(&at, "", ret, &ignored);
}

static void fill_entry(struct reading *r, struct entry *entry, const struct json *value)
{
	const char *auth, *user, *password, *token;
	struct err ignored;

	if (json_present(value) && json_need_object(value, &ignored) < 0) {
		spoil(r, entry, "is not an object");
		return;
	}
	if (optional(value, "auth", &auth) < 0 || optional(value, "username", &user) < 0 ||
	    optional(value, "password", &password) < 0 ||
	    optional(value, "identitytoken", &token) < 0) {
		spoil(r, entry, "has a member that is not a string");
		return;
	}
	if (*auth) {
		read_auth(r, entry, auth);
	} else if (*user) {
		entry->login.user = xstrdup(user);
		entry->login.password = xstrdup(password);
	}
	if (*token && !entry->broken)
		entry->login.identity_token = xstrdup(token);
}

static int add_entry(void *arg, const struct json *value, struct err *e)
{
	struct reading *r = arg;
	struct file *f = r->file;
	struct entry entry = {.key = xstrdup(value->name)};

	(void)e;
	entry.place = place_of(value->name, r->legacy, &entry.schemed);
	fill_entry(r, &entry, value);
	vec_reserve(f->entries, f->nentries, f->entries_cap);
	f->entries[f->nentries++] = entry;
	return 0;
}

static int add_helper(void *arg, const struct json *value, struct err *e)
{
	struct reading *r = arg;
	struct file *f = r->file;
	struct helper h = {0};
	const char *name;
	bool schemed;

	if (json_text(value, &name, e) < 0) {
		warn(r, value->name, "in credHelpers is not a string");
		return 0;
	}
	h.host = place_of(value->name, false, &schemed);
	h.server = xstrdup(value->name);
	h.name = xstrdup(name);
	vec_reserve(f->helpers, f->nhelpers, f->helpers_cap);
	f->helpers[f->nhelpers++] = h;
	return 0;
}

static int walk_map(struct reading *r, const struct json *map,
		    int (*each)(void *arg, const struct json *value, struct err *e), struct err *e)
{
	if (!json_present(map))
		return 0;
	if (json_need_object(map, e) < 0)
		return -1;
	return json_members(map, each, r, e);
}

static int read_document(struct reading *r, const struct json *root, struct err *e)
{
	struct json auths = json_member(root, "auths");
	struct json helpers = json_member(root, "credHelpers");
	struct json store = json_member(root, "credsStore");
	const char *name;

	if (!json_present(root))
		return 0;
	if (json_need_object(root, e) < 0)
		return -1;
	if (r->legacy)
		return json_members(root, add_entry, r, e);
	if (walk_map(r, &auths, add_entry, e) < 0 || walk_map(r, &helpers, add_helper, e) < 0 ||
	    json_text_or(&store, "", &name, e) < 0)
		return -1;
	if (*name)
		r->file->store = xstrdup(name);
	return 0;
}

static int parse_file(struct reading *r, struct str bytes, struct err *e)
{
	auto_json struct json_doc doc = {NULL};

	if (str_trim(bytes).n == 0)
		return 0;
	if (json_parse(&doc, bytes, JSON_LIMITS(FILE_MAX), 0, e) < 0)
		return -1;
	struct json root = json_root(&doc);

	return read_document(r, &root, e);
}

static int read_file(struct reading *r, struct err *e)
{
	auto_buf struct buf bytes = BUF_INIT(FILE_MAX);
	int rc = fs_read_file(&bytes, r->file->path, e);

	if (rc == 0 && parse_file(r, buf_str(&bytes), e) < 0)
		rc = err_wrap(e, "reading JSON file \"%s\": unmarshaling JSON at \"%s\"",
			      r->file->path, r->file->path);
	wipe_buf(&bytes);
	return rc;
}

static void append(struct credentials *c, struct file *f)
{
	*c->last = f;
	c->last = &f->next;
}

static struct file *file_new(const char *path)
{
	struct file *f = xcalloc(1, sizeof(*f));

	f->path = xstrdup(path);
	return f;
}

// In Go's words, whose errors begin in lower case.
static int cannot_stat(const char *path, const char *what, int error, struct err *e)
{
	auto_free char *why = xstrdup(strerror(error));

	if (*why >= 'A' && *why <= 'Z')
		*why += 'a' - 'A';
	return err_set(e, ERR_INPUT, "unable to load %s: stat %s: %s", what, path, why);
}

// A file that the user named: it must be there. WHAT is the name of the flag or variable.
static int load_named(struct credentials *c, const char *path, const char *what,
		      struct strlist *warnings, struct err *e)
{
	struct reading r = {.file = file_new(path), .warnings = warnings};

	append(c, r.file);
	if (access(path, F_OK) < 0)
		return cannot_stat(path, what, errno, e);
	if (read_file(&r, e) < 0) {
		e->kind = ERR_INPUT;
		return err_wrap(e, "unable to load %s", what);
	}
	return 0;
}

// A file of the search order: it may be missing, and one that may not be read is passed over.
static int load_default(struct credentials *c, const char *path, bool legacy,
			struct strlist *warnings, struct err *e)
{
	struct reading r = {.file = file_new(path), .warnings = warnings, .legacy = legacy};
	struct err why;

	append(c, r.file);
	if (read_file(&r, &why) == 0 || why.kind == ERR_NOT_FOUND || why.os == ENOTDIR)
		return 0;
	if (why.kind == ERR_IO) {
		strlist_addf(warnings, "credentials are passed over: %s", why.text);
		return 0;
	}
	*e = why;
	return err_wrap(e, "unable to load credentials");
}

typedef const char *env_fn(const char *name);

static const char *get(env_fn *env, const char *name)
{
	const char *value = env(name);

	return value ? value : "";
}

// $VARIABLE/NAME, or $HOME/BELOW/NAME when the variable is not set; NULL without either.
static char *below(env_fn *env, const char *variable, const char *home_dir, const char *name)
{
	const char *dir = get(env, variable), *home = get(env, "HOME");

	if (*dir)
		return path_join(dir, name);
	return *home ? xasprintf("%s/%s/%s", home, home_dir, name) : NULL;
}

static char *runtime_file(env_fn *env)
{
	const char *dir = get(env, "XDG_RUNTIME_DIR");

	if (*dir)
		return path_join(dir, "containers/auth.json");
	return xasprintf("/run/containers/%u/auth.json", (unsigned)getuid());
}

static int load_podman(struct credentials *c, env_fn *env, struct strlist *warnings, struct err *e)
{
	auto_free char *runtime = runtime_file(env);
	auto_free char *config = below(env, "XDG_CONFIG_HOME", ".config", "containers/auth.json");

	if (load_default(c, runtime, false, warnings, e) < 0)
		return -1;
	return config ? load_default(c, config, false, warnings, e) : 0;
}

static int load_docker(struct credentials *c, env_fn *env, struct strlist *warnings, struct err *e)
{
	const char *home = get(env, "HOME");
	auto_free char *config = below(env, "DOCKER_CONFIG", ".docker", "config.json");
	auto_free char *old = *home ? path_join(home, ".dockercfg") : NULL;

	if (config && load_default(c, config, false, warnings, e) < 0)
		return -1;
	return old ? load_default(c, old, true, warnings, e) : 0;
}

static int load_search_order(struct credentials *c, env_fn *env, struct strlist *warnings,
			     struct err *e)
{
	const char *named = get(env, "REGISTRY_AUTH_FILE");

	if (*named)
		return load_named(c, named, "REGISTRY_AUTH_FILE", warnings, e);
	if (strcmp(get(env, "REGISTRY_AUTH_PREFERENCE"), "docker") == 0) {
		strlist_add(warnings, "REGISTRY_AUTH_PREFERENCE is deprecated: credentials belong "
				      "into ${XDG_RUNTIME_DIR}/containers/auth.json");
		if (load_docker(c, env, warnings, e) < 0)
			return -1;
		return load_podman(c, env, warnings, e);
	}
	if (load_podman(c, env, warnings, e) < 0)
		return -1;
	return load_docker(c, env, warnings, e);
}

int credentials_load(struct credentials **ret, const char *file, env_fn *env,
		     struct strlist *warnings, struct err *e)
{
	auto_of(credentials_free) struct credentials *c = xcalloc(1, sizeof(*c));

	c->last = &c->files;
	c->path = xstrdup(get(env, "PATH"));
	c->helper_ms = HELPER_MS;
	pthread_mutex_init(&c->lock, NULL);
	if (file && *file ? load_named(c, file, "--registry-config", warnings, e) < 0
			  : load_search_order(c, env, warnings, e) < 0)
		return -1;
	*ret = steal(&c);
	return 0;
}

void credentials_limit(struct credentials *c, struct cancel *stop, unsigned helper_ms)
{
	c->stop = stop;
	c->helper_ms = helper_ms ? helper_ms : HELPER_MS;
}

// Asks once for each helper and server; later callers get the same answer.
static struct answer *ask(struct credentials *c, const char *name, const char *server,
			  struct err *e)
{
	auto_free char *key = xasprintf("%s\n%s", name, server);
	struct answer *a = map_get(&c->answers, key);
	struct helper_reply reply = {0};

	if (a)
		return a;
	a = xcalloc(1, sizeof(*a));
	a->failed = helper_get(&reply, name, server, c->path, c->helper_ms, c->stop, &a->why) < 0;
	if (a->failed && a->why.kind == ERR_CANCELLED) {
		*e = a->why;
		free(a);
		return NULL;
	}
	if (!a->failed && reply.is_token)
		a->login.identity_token = steal(&reply.secret);
	a->login.user = reply.is_token ? NULL : steal(&reply.user);
	a->login.password = steal(&reply.secret);
	helper_reply_release(&reply);
	map_set(&c->answers, key, a);
	return a;
}

// LENIENT: a helper that does not work counts as one that knows nothing.
static int from_helper(struct credentials *c, const struct file *f, const char *name,
		       const char *server, bool lenient, struct credential *ret, struct err *e)
{
	pthread_mutex_lock(&c->lock);
	struct answer *a = ask(c, name, server, e);

	pthread_mutex_unlock(&c->lock);
	if (!a)
		return -1;
	if (a->failed && lenient)
		return 0;
	if (a->failed) {
		auto_free char *quoted = gofmt_quote(str_of(server));

		*e = a->why;
		e->kind = ERR_DENIED;
		return err_wrap(e, "credentials of %s from file %s", quoted, f->path);
	}
	credential_copy(ret, &a->login);
	return 0;
}

static const struct helper *helper_for(const struct file *f, struct str host)
{
	for (size_t i = 0; i < f->nhelpers; i++)
		if (str_eqz(host, f->helpers[i].host))
			return &f->helpers[i];
	return NULL;
}

// Is PLACE the whole of WANT or a part of it that ends before a '/'?
static bool covers(const char *place, const char *want)
{
	size_t n = strlen(place);

	return n > 0 && strncmp(place, want, n) == 0 && (want[n] == '\0' || want[n] == '/');
}

static bool usable(const struct entry *entry)
{
	return entry->broken || !is_empty(&entry->login);
}

static bool better(const struct entry *a, const struct entry *b)
{
	size_t na, nb;

	if (!b)
		return true;
	na = strlen(a->place);
	nb = strlen(b->place);
	return na != nb ? na > nb : b->schemed && !a->schemed;
}

// *ret_named: the file knows the registry, if only by an empty entry.
static const struct entry *entry_for(const struct file *f, const char *want, bool *ret_named)
{
	const struct entry *best = NULL;

	*ret_named = false;
	for (size_t i = 0; i < f->nentries; i++) {
		const struct entry *entry = &f->entries[i];

		if (!covers(entry->place, want))
			continue;
		*ret_named = true;
		if (usable(entry) && better(entry, best))
			best = entry;
	}
	return best;
}

static int from_entry(const struct file *f, const struct entry *entry, struct credential *ret,
		      struct err *e)
{
	if (entry->broken) {
		auto_free char *quoted = gofmt_quote(str_of(entry->key));

		return err_set(e, ERR_DENIED, "file %s: entry for %s %s", f->path, quoted,
			       entry->broken);
	}
	credential_copy(ret, &entry->login);
	return 0;
}

static int find_in_file(struct credentials *c, const struct file *f, const char *want,
			struct credential *ret, struct err *e)
{
	struct str rest = str_of(want), host = str_cut(&rest, '/');
	const struct helper *h = helper_for(f, host);
	bool named;

	if (h)
		return from_helper(c, f, h->name, h->server, false, ret, e);
	const struct entry *entry = entry_for(f, want, &named);

	if (entry)
		return from_entry(f, entry, ret, e);
	if (!f->store)
		return 0;
	auto_free char *server = str_eqz(host, "docker.io") ? xstrdup("https://index.docker.io/v1/")
							    : xstrndup(host.p, host.n);

	// Stores are set for all registries: one that is not installed must not spoil those that
	// need no credentials.
	return from_helper(c, f, f->store, server, !named, ret, e);
}

int credentials_find(struct credentials *c, const char *registry, const char *repository,
		     struct credential *ret, struct err *e)
{
	struct credential found = {0};
	auto_free char *host = canonical(str_of(registry));
	auto_free char *want = xasprintf("%s%s%s", host, *repository ? "/" : "", repository);

	for (struct file *f = c->files; f; f = f->next) {
		if (find_in_file(c, f, want, &found, e) < 0)
			return -1;
		if (!is_empty(&found))
			break;
	}
	*ret = found;
	return 0;
}
