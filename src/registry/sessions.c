// SPDX-License-Identifier: Apache-2.0
// Upload sessions that outlive a run: one small file for each registry in the state folder.
//
// {"sessions":[{"repository","digest","location","opened"}]}, 0600, replaced as a whole, changed
// under a lock file, so that two runs may share the folder. Nothing here is trusted: the
// destination says where a session stands, and proves the result.
#include "registry/client.h"

#include "data/json.h"
#include "data/json_out.h"
#include "util/fs.h"
#include "util/trace.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

enum { STATE_MAX = 1024 * 1024 };

struct session {
	char *repository, *digest, *location;
	uint64_t opened; // unix time
};

struct session_list {
	struct session v[SESSIONS_MAX];
	size_t n;
};

static void session_release(struct session *s)
{
	free(s->repository);
	free(s->digest);
	free(s->location);
}

static void list_release(struct session_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		session_release(&l->v[i]);
}

static void remove_at(struct session_list *l, size_t i)
{
	session_release(&l->v[i]);
	memmove(&l->v[i], &l->v[i + 1], (--l->n - i) * sizeof(*l->v));
}

// "HOST_PORT.json": nothing of a host's name may lead out of the folder.
static char *state_path(struct registry *r, const char *suffix)
{
	auto_free char *name = xasprintf("uploads-%s.%s", r->host, suffix);

	for (char *c = name; *c; c++)
		if (*c == '/' || *c == ':' || *c == '[' || *c == ']')
			*c = '_';
	return path_join(r->state_dir, name);
}

// Waits for other runs and threads; the lock goes when the descriptor is closed.
static int take_lock(struct registry *r, struct err *e)
{
	auto_free char *path = state_path(r, "lock");

	if (fs_mkdirs(r->state_dir, 0700, e) < 0)
		return -1;
	auto_fd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		return err_os(e, ERR_IO, "cannot lock '%s'", path);
	int locked = fd;

	fd = -1;
	return locked;
}

static int read_session(const struct json *at, struct session *ret, struct err *e)
{
	struct json repository = json_member(at, "repository"), digest = json_member(at, "digest");
	struct json location = json_member(at, "location"), opened = json_member(at, "opened");
	const char *repository_text, *digest_text, *location_text;

	if (json_text(&repository, &repository_text, e) < 0 ||
	    json_text(&digest, &digest_text, e) < 0 ||
	    json_text(&location, &location_text, e) < 0 ||
	    json_u64(&opened, INT64_MAX, &ret->opened, e) < 0)
		return -1;
	ret->repository = xstrdup(repository_text);
	ret->digest = xstrdup(digest_text);
	ret->location = xstrdup(location_text);
	return 0;
}

static bool expired(const struct session *s, int64_t now)
{
	return s->opened + SESSION_LIFE < (uint64_t)now || s->opened > (uint64_t)now + SESSION_LIFE;
}

// Those that still may be good. A file that is missing or broken holds none.
static void load(struct registry *r, struct session_list *ret)
{
	auto_free char *path = state_path(r, "json");
	auto_buf struct buf text = BUF_INIT(STATE_MAX);
	auto_json struct json_doc doc = {0};
	struct err why;
	size_t n;

	if (fs_read_file(&text, path, &why) < 0 ||
	    json_parse(&doc, buf_str(&text), JSON_LIMITS(STATE_MAX), 0, &why) < 0)
		return;
	struct json root = json_root(&doc), sessions = json_member(&root, "sessions");

	if (json_items(&sessions, &n, &why) < 0)
		return;
	for (size_t i = 0; i < n && ret->n < SESSIONS_MAX; i++) {
		struct json item = json_item(&sessions, i);
		struct session s = {0};

		if (read_session(&item, &s, &why) < 0)
			return;
		ret->v[ret->n++] = s;
		if (expired(&s, r->cfg.now))
			remove_at(ret, ret->n - 1);
	}
}

static int store(struct registry *r, const struct session_list *l, struct err *e)
{
	auto_free char *path = state_path(r, "json");
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
	struct json_out j = {.out = &text};

	json_out_begin(&j, '{');
	json_out_key(&j, "sessions");
	json_out_begin(&j, '[');
	for (size_t i = 0; i < l->n; i++) {
		json_out_begin(&j, '{');
		json_out_key(&j, "repository");
		json_out_text(&j, l->v[i].repository);
		json_out_key(&j, "digest");
		json_out_text(&j, l->v[i].digest);
		json_out_key(&j, "location");
		json_out_text(&j, l->v[i].location);
		json_out_key(&j, "opened");
		json_out_u64(&j, l->v[i].opened);
		json_out_end(&j, '}');
	}
	json_out_end(&j, ']');
	json_out_end(&j, '}');
	return fs_write_file(path, buf_str(&text), 0600, e);
}

// Takes the entry for a blob out of L; its location, or NULL.
static char *take(struct session_list *l, const char *repository, const struct digest *d)
{
	for (size_t i = 0; i < l->n; i++) {
		if (strcmp(l->v[i].repository, repository) != 0 ||
		    strcmp(l->v[i].digest, d->text) != 0)
			continue;
		char *location = steal(&l->v[i].location);

		remove_at(l, i);
		return location;
	}
	return NULL;
}

// One change under the lock: what is known of the blob goes, LOCATION (may be NULL) takes its
// place. Returns what was known.
static char *change(struct registry *r, const char *repository, const struct digest *d,
		    const char *location)
{
	__attribute__((cleanup(list_release))) struct session_list l = {0};
	struct err why;

	if (!r->state_dir)
		return NULL;
	auto_fd int lock = take_lock(r, &why);

	if (lock < 0) {
		trace("registry", "%s", why.text);
		return NULL;
	}
	load(r, &l);
	char *known = take(&l, repository, d);

	if (!known && !location)
		return NULL;
	if (location) {
		if (l.n == SESSIONS_MAX)
			remove_at(&l, 0);
		l.v[l.n++] = (struct session){xstrdup(repository), xstrdup(d->text),
					      xstrdup(location), (uint64_t)r->cfg.now};
	}
	if (store(r, &l, &why) < 0)
		trace("registry", "%s", why.text);
	return known;
}

char *session_claim(struct registry *r, const char *repository, const struct digest *d)
{
	return change(r, repository, d, NULL);
}

void session_save(struct registry *r, const char *repository, const struct digest *d,
		  const char *location)
{
	free(change(r, repository, d, location));
}

void session_forget(struct registry *r, const char *repository, const struct digest *d)
{
	free(change(r, repository, d, NULL));
}
