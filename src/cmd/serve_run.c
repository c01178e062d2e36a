// SPDX-License-Identifier: Apache-2.0
// Running a registry server.
#include "cmd/serve_run.h"

#include "cmd/access_log.h"
#include "cmd/progress.h"
#include "cmd/signals.h"
#include "store/store.h"
#include "store/upload.h"
#include "util/clock.h"
#include "util/mem.h"
#include "util/slab.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	POOL_SLABS = 64,
	TICK_US = 1000000,
	NEIGHBOURS_MAX = 1000,
	HOST_NAME_BYTES = 256,
	NOTICES_MAX = 1000, // that wait to be printed
};

struct running {
	const struct cmd_io *io;
	const struct serve_request *r;
	bool writable;
	struct slab_pool *pool;
	struct store *store;  // --dir, when it is written
	struct store **roots; // NULL-terminated
	size_t nroots;
	struct access_log *log;
	struct auth *auth;
	struct api *api;
	struct server *server;
	struct buf what; // "DIR (read-write), ROOT (read-only)"

	struct cancel_watch watch;
	pthread_mutex_t lock;
	pthread_cond_t told;
	bool stop, hangup;
	struct strlist notices; // from any thread, printed by the first one
	size_t unsaid;          // for which there was no room
};

static int64_t wall_clock(void)
{
	return (int64_t)time(NULL);
}

// ---- small questions

int serve_check_listen(const char *listen, struct err *e)
{
	const char *colon = strrchr(listen, ':');
	uint64_t port;

	if (!*listen)
		return err_set(e, ERR_USAGE, "must specify an address to listen on");
	if (colon && str_u64(str_of(colon + 1), UINT16_MAX, &port) &&
	    (!memchr(listen, ':', (size_t)(colon - listen)) || colon[-1] == ']'))
		return 0;
	return err_set(e, ERR_USAGE, "--listen must be HOST:PORT, :PORT or [IPV6]:PORT, not '%s'",
		       listen);
}

bool serve_is_loopback(const char *listen)
{
	const char *colon = strrchr(listen, ':');
	size_t n = colon ? (size_t)(colon - listen) : strlen(listen);
	bool brackets = n >= 2 && listen[0] == '[' && listen[n - 1] == ']';
	auto_free char *host = brackets ? xstrndup(listen + 1, n - 2) : xstrndup(listen, n);
	struct in_addr v4;
	struct in6_addr v6;

	if (strcmp(host, "localhost") == 0)
		return true;
	if (!brackets && inet_pton(AF_INET, host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
	return brackets && inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

char *serve_public_name(const char *address)
{
	static const char *const everywhere[] = {"0.0.0.0:", "[::]:", ":"};
	char host[HOST_NAME_BYTES] = "";

	for (size_t i = 0; i < ARRAY_SIZE(everywhere); i++)
		if (starts_with(address, everywhere[i]) &&
		    gethostname(host, sizeof(host) - 1) == 0 && *host)
			return xasprintf("%s:%s", host, address + strlen(everywhere[i]));
	return xstrdup(address);
}

static bool unit_shift(struct str unit, unsigned *ret_shift, uint64_t *ret_factor)
{
	static const char letters[] = "kmgt";
	uint64_t thousand = 1;

	*ret_shift = 0;
	*ret_factor = 1;
	if (unit.n == 0 || str_eqz(unit, "B") || str_eqz(unit, "b"))
		return true;
	for (unsigned i = 0; letters[i]; i++) {
		thousand *= 1000;
		if ((unit.p[0] | 0x20) != letters[i])
			continue;
		struct str rest = {unit.p + 1, unit.n - 1};

		if (rest.n == 0 || str_eqz(rest, "i") || str_eqz(rest, "iB"))
			*ret_shift = 10 * (i + 1);
		else if (str_eqz(rest, "B"))
			*ret_factor = thousand;
		else
			return false;
		return true;
	}
	return false;
}

int serve_parse_size(const char *flag, const char *text, uint64_t *ret, struct err *e)
{
	size_t digits = strspn(text, "0123456789");
	struct str unit = str_of(text + digits);
	uint64_t n, factor;
	unsigned shift;

	if (digits > 0 && str_u64((struct str){text, digits}, INT64_MAX, &n) &&
	    unit_shift(unit, &shift, &factor) && n <= ((uint64_t)INT64_MAX >> shift) / factor) {
		*ret = (n << shift) * factor;
		return 0;
	}
	return err_set(e, ERR_USAGE, "--%s must be a size such as 512MiB or 64GiB, not '%s'", flag,
		       text);
}

int serve_check_tls(const char *certificate, const char *key, struct err *e)
{
	if (!certificate == !key)
		return 0;
	return err_set(e, ERR_USAGE, "--tls-crt and --tls-key belong together: --%s is missing",
		       certificate ? "tls-key" : "tls-crt");
}

// ---- notices

// Whoever gives notice may own connections: they must not wait for a reader of standard error.
static void notice(void *arg, const char *text)
{
	struct running *run = arg;

	pthread_mutex_lock(&run->lock);
	if (run->notices.n < NOTICES_MAX)
		strlist_add(&run->notices, text);
	else
		run->unsaid++;
	pthread_cond_signal(&run->told);
	pthread_mutex_unlock(&run->lock);
}

static void print_notices(struct running *run)
{
	pthread_mutex_lock(&run->lock);
	auto_strlist struct strlist texts = run->notices;
	size_t unsaid = run->unsaid;

	run->notices = (struct strlist){0};
	run->unsaid = 0;
	pthread_mutex_unlock(&run->lock);
	for (size_t i = 0; i < texts.n; i++) {
		auto_buf struct buf clean = BUF_INIT(BUF_TEXT_MAX);

		text_clean(&clean, str_of(texts.v[i]));
		fprintf(run->io->err, "warning: %s\n", clean.p);
	}
	if (unsaid)
		fprintf(run->io->err, "warning: %zu more\n", unsaid);
	fflush(run->io->err);
}

// ---- folders

static bool exists(const char *dir, const char *name)
{
	auto_free char *path = xasprintf("%s/%s", dir, name);
	struct stat st;

	return stat(path, &st) == 0;
}

static bool looks_mirrored(const char *dir)
{
	return exists(dir, "v2") || exists(dir, "store/format") || exists(dir, "oci-layout");
}

// A disk is often given by where it is mounted, with the images in a folder on it.
static char *mirrored_below(const char *dir)
{
	DIR *d = opendir(dir);
	char *found = NULL;

	if (!d)
		return NULL;
	for (int i = 0; i < NEIGHBOURS_MAX && !found; i++) {
		const struct dirent *entry = readdir(d);

		if (!entry)
			break;
		auto_free char *path = xasprintf("%s/%s", dir, entry->d_name);

		if (entry->d_name[0] != '.' && looks_mirrored(path))
			found = steal(&path);
	}
	closedir(d);
	return found;
}

static int nothing_there(const char *dir, struct err *e)
{
	auto_free char *below = mirrored_below(dir);

	err_set(e, ERR_USAGE,
		"'%s' holds no images: neither what --to-dir and --dir write, nor an OCI layout",
		dir);
	if (exists(dir, "docker/registry/v2"))
		return err_hint(e, "hint: it is the storage of another registry; mirror from that "
				   "registry instead");
	return below ? err_hint(e, "hint: did you mean '%s'?", below) : -1;
}

static int check_contents(struct store *s, struct err *e)
{
	auto_strlist struct strlist repos = {0};

	switch (store_layout(s)) {
	case STORE_LAYOUT_LINKED: // somebody may be about to fill it
		return 0;
	case STORE_LAYOUT_OC: // listing it would read every folder
		return exists(store_dir(s), "v2") ? 0 : nothing_there(store_dir(s), e);
	default:
		if (store_repositories(s, &repos, e) < 0)
			return -1;
		return repos.n ? 0 : nothing_there(store_dir(s), e);
	}
}

static int check_apart(const char *a, const char *b, struct err *e)
{
	struct stat sa, sb;

	if (stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
	    sa.st_ino == sb.st_ino)
		return err_set(e, ERR_USAGE, "'%s' and '%s' are the same folder: give it once", a,
			       b);
	return 0;
}

static int check_folders(const struct serve_request *r, struct err *e)
{
	for (size_t i = 0; i < r->nroots; i++) {
		if (r->dir && check_apart(r->dir, r->roots[i], e) < 0)
			return -1;
		for (size_t j = 0; j < i; j++)
			if (check_apart(r->roots[j], r->roots[i], e) < 0)
				return -1;
	}
	return 0;
}

static int open_one(struct running *run, const char *dir, enum store_mode mode, struct store **ret,
		    struct err *e)
{
	// Signals let requests finish, so nothing cancels a store under them.
	struct store_config cfg = {
		.dir = dir,
		.mode = mode,
		.layout = mode == STORE_WRITE ? STORE_LAYOUT_LINKED : STORE_LAYOUT_AUTO,
		.pool = run->pool,
	};
	auto_free char *text = NULL;

	if (store_open(ret, &cfg, &text, e) < 0)
		return -1;
	if (text)
		notice(run, text);
	buf_printf(&run->what, "%s%s (%s)", run->what.n ? ", " : "", dir,
		   mode == STORE_WRITE ? "read-write" : "read-only");
	return 0;
}

static int open_root(struct running *run, const char *dir, struct err *e)
{
	struct store *s = NULL;

	if (open_one(run, dir, STORE_READ, &s, e) < 0)
		return -1;
	run->roots[run->nroots++] = s;
	if (check_contents(s, e) < 0)
		return -1;
	if (!store_unfinished(s) || run->r->allow_unfinished)
		return 0;
	err_set(e, ERR_INPUT, "'%s' is unfinished: the run that wrote it did not end", dir);
	return err_hint(e, "hint: run it again, or serve what is there with --allow-unfinished");
}

static int open_stores(struct running *run, struct err *e)
{
	const struct serve_request *r = run->r;

	run->roots = xcalloc(r->nroots + 2, sizeof(*run->roots));
	if (check_folders(r, e) < 0)
		return -1;
	if (run->writable && open_one(run, r->dir, STORE_WRITE, &run->store, e) < 0)
		return -1;
	if (r->dir && r->read_only && open_root(run, r->dir, e) < 0)
		return -1;
	for (size_t i = 0; i < r->nroots; i++)
		if (open_root(run, r->roots[i], e) < 0)
			return -1;
	return 0;
}

// ---- putting it up

static void on_access(void *arg, const struct api_access *line)
{
	const struct running *run = arg;

	access_log_add(run->log, line);
}

static void prepare_process(void)
{
	struct rlimit files;

	// One descriptor for each connection, one for each file on its way.
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static int start_log(struct running *run, struct err *e)
{
	const char *name = run->r->access_log;
	struct access_log_config cfg = {.to = run->io->err, .now = wall_clock};

	if (name && strcmp(name, "none") == 0)
		return 0;
	if (name && strcmp(name, "-") == 0)
		cfg.to = run->io->out;
	else if (name)
		cfg.file = name;
	return access_log_start(&run->log, &cfg, e);
}

// Tokens outlive a restart, and hold for every process on the store, when there is a store for the
// key.
static int make_key(struct running *run, unsigned char ret[AUTH_KEY_SIZE], struct err *e)
{
	if (run->store)
		return store_key(run->store, ret, e);
	if (getrandom(ret, AUTH_KEY_SIZE, 0) != AUTH_KEY_SIZE)
		return err_os(e, ERR_IO, "cannot make a key");
	return 0;
}

static int start_auth(struct running *run, struct err *e)
{
	struct auth_config cfg = run->r->auth;

	cfg.now = wall_clock;
	if (make_key(run, cfg.key, e) < 0)
		return -1;
	int failed = auth_new(&run->auth, &cfg, e);

	explicit_bzero(cfg.key, sizeof(cfg.key));
	return failed;
}

static int start_api(struct running *run, struct err *e)
{
	struct api_config cfg = run->r->api;

	cfg.store = run->store;
	cfg.roots = run->roots;
	cfg.auth = run->auth;
	cfg.access = run->log ? on_access : NULL;
	cfg.notice = notice;
	cfg.log_arg = run;
	cfg.now = wall_clock;
	return api_new(&run->api, &cfg, e);
}

static int start_server(struct running *run, struct err *e)
{
	struct server_config cfg = run->r->server;

	cfg.service = api_service(run->api);
	cfg.notice = notice;
	cfg.notice_arg = run;
	return server_start(&run->server, &cfg, e);
}

// ---- while it runs

static void wake_to_stop(void *arg)
{
	struct running *run = arg;

	pthread_mutex_lock(&run->lock);
	run->stop = true;
	pthread_cond_signal(&run->told);
	pthread_mutex_unlock(&run->lock);
}

static void wake_to_reload(void *arg)
{
	struct running *run = arg;

	pthread_mutex_lock(&run->lock);
	run->hangup = true;
	pthread_cond_signal(&run->told);
	pthread_mutex_unlock(&run->lock);
}

static void reload(struct running *run)
{
	bool good = true;
	struct err e;

	if (run->r->server.tls_certificate && server_reload(run->server, &e) < 0) {
		notice(run, e.text);
		good = false;
	}
	if (run->r->auth.htpasswd && auth_reload(run->auth, &e) < 0) {
		notice(run, e.text);
		good = false;
	}
	if (run->log && access_log_reopen(run->log, &e) < 0) {
		notice(run, e.text);
		good = false;
	}
	print_notices(run);
	fprintf(run->io->err, good ? "reloaded\n" : "reloaded; what failed stays as it was\n");
}

// A second, or until there is something to do. False: stop. Sets *ret_hangup when it is time to
// reload.
static bool wait_a_second(struct running *run, bool *ret_hangup)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += TICK_US / 1000000;
	pthread_mutex_lock(&run->lock);
	while (!run->stop && !run->hangup && run->notices.n == 0 &&
	       pthread_cond_timedwait(&run->told, &run->lock, &until) == 0)
		;
	bool go_on = !run->stop;

	*ret_hangup = run->hangup;
	run->hangup = false;
	pthread_mutex_unlock(&run->lock);
	return go_on;
}

static void say_ready(struct running *run)
{
	auto_free char *url =
		xasprintf("%s://%s", run->r->server.tls_certificate ? "https" : "http",
			  server_address(run->server));

	run->r->ready(run->io, run->r, run->what.p, url);
	print_notices(run);
}

static void serve_until_told(struct running *run)
{
	uint64_t ticked = clock_us();
	bool hangup;

	while (wait_a_second(run, &hangup)) {
		if (hangup)
			reload(run);
		print_notices(run);
		if (clock_us() - ticked < TICK_US)
			continue;
		api_tick(run->api);
		ticked = clock_us();
	}
	fprintf(run->io->err, "stopping: what is in flight may finish; a second signal ends it\n");
}

// ---- from start to end

static void running_init(struct running *run, const struct cmd_io *io,
			 const struct serve_request *r)
{
	pthread_condattr_t attr;

	*run = (struct running){.io = io, .r = r, .what = BUF_INIT(BUF_TEXT_MAX)};
	run->writable = r->dir && !r->read_only;
	pthread_mutex_init(&run->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&run->told, &attr);
	pthread_condattr_destroy(&attr);
	run->watch = (struct cancel_watch){.wake = wake_to_stop, .arg = run};
	cancel_watch(io->cancel, &run->watch);
	signals_on_hangup(wake_to_reload, run);
	run->pool = slab_pool_new(POOL_SLABS);
}

static void running_release(struct running *run)
{
	bool served = run->server != NULL;

	signals_on_hangup(NULL, NULL);
	cancel_unwatch(run->io->cancel, &run->watch);
	server_stop(run->server);
	api_free(run->api);
	auth_free(run->auth);
	access_log_stop(run->log);
	store_close(run->store);
	for (size_t i = 0; i < run->nroots; i++)
		store_close(run->roots[i]);
	free(run->roots);
	slab_pool_free(run->pool);
	if (served) // else the error says it all
		print_notices(run);
	strlist_release(&run->notices);
	buf_free(&run->what);
	pthread_cond_destroy(&run->told);
	pthread_mutex_destroy(&run->lock);
}

int serve_run(const struct cmd_io *io, const struct serve_request *r, struct err *e)
{
	__attribute__((cleanup(running_release))) struct running run;

	running_init(&run, io, r);
	prepare_process();
	if (open_stores(&run, e) < 0 || start_log(&run, e) < 0 || start_auth(&run, e) < 0 ||
	    start_api(&run, e) < 0 || start_server(&run, e) < 0)
		return -1;
	say_ready(&run);
	serve_until_told(&run);
	return 0;
}
