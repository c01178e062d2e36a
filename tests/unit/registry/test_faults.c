// SPDX-License-Identifier: Apache-2.0
// The client against a registry that misbehaves on demand (tests/e2e/faultreg.py): which requests
// are sent, what happens after a break, and what never gets committed.
#include "tap.h"

#include "registry/client.h"
#include "registry/referrers.h"

#include "data/json.h"
#include "util/fs.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct err e;

// --- the world of one test: a server, a client, what it may read ---

struct world {
	pid_t server;
	int port, other;
	struct slab_pool *pool;
	struct cancel cancel;
	struct http *net;
	struct credentials *credentials;
	struct registry *r;
	char host[32], dir[32];
};

static const char *no_variables(const char *name)
{
	(void)name;
	return NULL;
}

// Starts the server with ARGS (NULL-terminated) and learns its ports.
static bool start_server(struct world *w, const char *const *args)
{
	const char *argv[24] = {"python3", TESTS_DIR "/e2e/faultreg.py"};
	char line[64] = "";
	int fds[2];

	for (size_t n = 2; args && *args && n < ARRAY_SIZE(argv) - 1; n++)
		argv[n] = *args++;
	if (pipe(fds) < 0)
		return false;
	w->server = fork();
	if (w->server == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fds[1], 1);
		close(fds[0]);
		close(fds[1]);
		execvp("python3", (char *const *)argv);
		_exit(127);
	}
	close(fds[1]);
	FILE *out = fdopen(fds[0], "r");
	bool up = fgets(line, sizeof(line), out) && sscanf(line, "%d %d", &w->port, &w->other) == 2;

	fclose(out);
	return up;
}

static void new_registry(struct world *w, struct registry_config cfg)
{
	cfg.net = w->net;
	cfg.credentials = w->credentials;
	cfg.pool = w->pool;
	cfg.cancel = &w->cancel;
	cfg.insecure = true;
	cfg.now = 1700000000;
	registry_free(w->r);
	w->r = registry_new(w->host, &cfg);
}

static void write_auth_file(struct world *w, const char *entry)
{
	auto_free char *path = path_join(w->dir, "auth.json");
	auto_free char *text = xasprintf("{\"auths\":{\"%s\":%s}}", w->host, entry);
	auto_strlist struct strlist warnings = {0};

	CHECK_OK(fs_write_file(path, str_of(text), 0600, &e));
	CHECK_OK(credentials_load(&w->credentials, path, no_variables, &warnings, &e));
}

#define USER_SECRET "{\"auth\":\"dXNlcjpzZWNyZXQ=\"}"
#define USER_WRONG  "{\"auth\":\"dXNlcjp3cm9uZw==\"}"

static bool world_init(struct world *w, const char *auth, const char *const *args)
{
	*w = (struct world){.cancel = CANCEL_INIT};
	snprintf(w->dir, sizeof(w->dir), "/tmp/test_faults.XXXXXX");
	if (!mkdtemp(w->dir) || !start_server(w, args))
		return false;
	snprintf(w->host, sizeof(w->host), "127.0.0.1:%d", w->port);
	w->pool = slab_pool_new(64);
	struct http_config cfg = {.cancel = &w->cancel,
				  .pool = w->pool,
				  .user_agent = "test",
				  .stall_seconds = 20,
				  .retries = 2,
				  .insecure = true};

	CHECK_OK(http_new(&w->net, &cfg, &e));
	if (auth)
		write_auth_file(w, auth);
	new_registry(w, (struct registry_config){0});
	return true;
}

static void world_release(struct world *w)
{
	registry_free(w->r);
	http_free(w->net);
	credentials_free(w->credentials);
	slab_pool_free(w->pool);
	if (w->server > 0) {
		kill(w->server, SIGKILL);
		waitpid(w->server, NULL, 0);
	}
	if (!*w->dir)
		return;
	auto_free char *cleanup = xasprintf("rm -rf '%s'", w->dir);

	CHECK_INT(system(cleanup), 0);
}
#define auto_world __attribute__((cleanup(world_release)))

#define REQUIRE_WORLD(w, auth, ...)                                  \
	static const char *const args_[] = {__VA_ARGS__, NULL};      \
	auto_world struct world w;                                   \
	if (!world_init(&w, auth, args_)) {                          \
		tap_report(false, "%s", "the server did not start"); \
		return;                                              \
	}

// POSTs RULES (one a line), which also empties the log.
static void set_rules(struct world *w, const char *rules)
{
	auto_free char *url = xasprintf("http://%s/_rules", w->host);
	struct http_req req = {
		.method = "POST", .url = url, .body = rules, .body_len = strlen(rules)};
	auto_of(http_exchange_free) struct http_exchange *x = http_open(w->net, &req, &e);

	CHECK(x && http_status(x) == 200);
	if (x)
		http_drain(x);
}

static void put_line(struct buf *out, const struct json *entry)
{
	struct json method = json_member(entry, "method"), path = json_member(entry, "path");
	struct json status = json_member(entry, "status");
	const char *method_text = "", *path_text = "";
	uint64_t code = 0;

	CHECK_OK(json_text(&method, &method_text, &e));
	CHECK_OK(json_text(&path, &path_text, &e));
	CHECK_OK(json_u64(&status, 999, &code, &e));
	const char *kind = strstr(path_text, "/blobs/uploads/") ? "upload"
			   : strstr(path_text, "/blobs/")       ? "blob"
			   : strstr(path_text, "/manifests/")   ? "manifest"
			   : strstr(path_text, "/tags/")        ? "tags"
			   : strstr(path_text, "/referrers/")   ? "referrers"
			   : strcmp(path_text, "/token") == 0   ? "token"
								: "ping";

	buf_printf(out, "%s%s %s %d", out->n ? ", " : "", method_text, kind, (int)code);
}

// The log's lines, as the server has them.
static void get_log(struct world *w, struct buf *ret)
{
	auto_free char *url = xasprintf("http://%s/_log", w->host);
	struct http_req req = {.method = "GET", .url = url};
	auto_of(http_exchange_free) struct http_exchange *x = http_open(w->net, &req, &e);

	CHECK(x != NULL);
	if (x)
		CHECK_OK(http_read_all(x, ret, &e));
}

// What was sent since the last set_rules, as "POST upload 202, PUT upload 201".
static char *requests(struct world *w)
{
	auto_buf struct buf log = BUF_INIT(1 << 20);
	struct buf out = BUF_INIT(BUF_TEXT_MAX);

	get_log(w, &log);
	for (struct str rest = buf_str(&log); rest.n > 0;) {
		auto_json struct json_doc doc = {0};
		struct str line = str_cut(&rest, '\n');

		CHECK_OK(json_parse(&doc, line, JSON_LIMITS(1 << 20), 0, &e));
		struct json root = json_root(&doc);

		put_line(&out, &root);
	}
	return buf_take(&out);
}

#define CHECK_REQUESTS(w, want)                        \
	do {                                           \
		auto_free char *got_ = requests(&(w)); \
		CHECK_STR(got_, want);                 \
	} while (0)

// Does any logged line hold TEXT?
static bool logged(struct world *w, const char *text)
{
	auto_buf struct buf log = BUF_INIT(1 << 20);

	get_log(w, &log);
	return strstr(log.p, text) != NULL;
}

// --- content ---

// Bytes that can be opened anywhere; counts how often that happens.
struct content {
	unsigned char *data;
	size_t n;
	struct slab_pool *pool;
	struct descriptor d;
	unsigned opened;
	uint64_t last_offset;
	struct opener opener;
};

static struct stream *open_content(void *arg, uint64_t offset, struct err *err)
{
	struct content *c = arg;

	(void)err;
	c->opened++;
	c->last_offset = offset;
	return stream_of_bytes(c->data + offset, c->n - offset, c->pool);
}

static void content_init(struct content *c, struct world *w, size_t n)
{
	*c = (struct content){.data = xmalloc(n + 1), .n = n, .pool = w->pool};
	uint32_t state = (uint32_t)n;

	for (size_t i = 0; i < n; i++) {
		state = state * 1664525 + 1013904223;
		c->data[i] = (unsigned char)(state >> 24);
	}
	c->d.media_type = "application/octet-stream";
	c->d.size = n;
	digest_of(&c->d.digest, DIGEST_SHA256, c->data, n);
	c->opener = (struct opener){open_content, c};
}

static void content_release(struct content *c)
{
	free(c->data);
}
#define auto_content __attribute__((cleanup(content_release)))

static int put(struct world *w, struct content *c)
{
	return registry_blob_put(w->r, "a/b", &c->d, &c->opener, &e);
}

// Reads the blob back and compares every byte.
static bool holds(struct world *w, const char *repository, struct content *c)
{
	auto_of(stream_free) struct stream *s = registry_blob_open(w->r, repository, &c->d, 0, &e);
	struct slab *slab;
	size_t pos = 0;
	bool same = s != NULL;

	while (s && (slab = stream_read(s, &e))) {
		same = same && pos + slab->n <= c->n &&
		       memcmp(slab->data, c->data + pos, slab->n) == 0;
		pos += slab->n;
		slab_free(slab);
	}
	return same && pos == c->n;
}

enum { MIB = 1024 * 1024 };

// --- uploads ---

TEST(a_small_blob_costs_two_requests)
{
	REQUIRE_WORLD(w, NULL, NULL)
	auto_content struct content c;

	content_init(&c, &w, 1000);
	REQUIRE_OK(registry_ping(w.r, &e));
	set_rules(&w, "");
	REQUIRE_OK(put(&w, &c));
	CHECK_REQUESTS(w, "POST upload 202, PUT upload 201");
	CHECK(holds(&w, "a/b", &c));
}

TEST(a_big_blob_costs_two_requests)
{
	REQUIRE_WORLD(w, NULL, NULL)
	auto_content struct content c;

	content_init(&c, &w, 20 * MIB + 17);
	REQUIRE_OK(registry_ping(w.r, &e));
	set_rules(&w, "");
	REQUIRE_OK(put(&w, &c));
	CHECK_REQUESTS(w, "POST upload 202, PUT upload 201");
	CHECK_INT(c.opened, 1);
	CHECK(holds(&w, "a/b", &c));
}

TEST(an_empty_blob_is_a_blob)
{
	REQUIRE_WORLD(w, NULL, NULL)
	auto_content struct content c;

	content_init(&c, &w, 0);
	CHECK_OK(put(&w, &c));
	uint64_t size = 1;

	CHECK_OK(registry_blob_head(w.r, "a/b", &c.d.digest, &size, &e));
	CHECK_INT(size, 0);
}

TEST(an_upload_goes_on_where_it_was_cut)
{
	REQUIRE_WORLD(w, NULL, NULL)
	auto_content struct content c;

	content_init(&c, &w, 30 * MIB);
	REQUIRE_OK(registry_ping(w.r, &e));
	set_rules(&w, "PUT /uploads/ 1 cut=20000000");
	REQUIRE_OK(put(&w, &c));
	CHECK_REQUESTS(w, "POST upload 202, PUT upload 0, GET upload 204, PUT upload 201");
	CHECK(logged(&w, "\"content_range\": \"20000000-31457279\""));
	CHECK_INT(c.opened, 2);
	CHECK_INT(c.last_offset, 16 * MIB); // the newest checkpoint before the break
	CHECK(holds(&w, "a/b", &c));
}

TEST(progress_refills_the_budget)
{
	REQUIRE_WORLD(w, NULL, NULL)
	auto_content struct content c;

	content_init(&c, &w, 8 * MIB);
	set_rules(&w, "PUT /uploads/ 7 cut=1000000");
	CHECK_OK(put(&w, &c));
	CHECK(holds(&w, "a/b", &c));
}

TEST(a_session_that_is_lost_starts_again)
{
	REQUIRE_WORLD(w, NULL, "--no-resume")
	auto_content struct content c;

	content_init(&c, &w, 3 * MIB);
	REQUIRE_OK(registry_ping(w.r, &e));
	set_rules(&w, "PUT /uploads/ 1 cut=1000000");
	REQUIRE_OK(put(&w, &c));
	CHECK_REQUESTS(w, "POST upload 202, PUT upload 0, GET upload 404, HEAD blob 404, "
			  "POST upload 202, PUT upload 201");
	CHECK(holds(&w, "a/b", &c));
}

TEST(a_lost_answer_to_the_last_put_is_looked_up)
{
	REQUIRE_WORLD(w, NULL, NULL)
	auto_content struct content c;

	content_init(&c, &w, 3 * MIB);
	REQUIRE_OK(registry_ping(w.r, &e));
	set_rules(&w, "PUT /uploads/ 1 latecut");
	REQUIRE_OK(put(&w, &c));
	CHECK_REQUESTS(w, "POST upload 202, PUT upload 201, GET upload 404, HEAD blob 200");
}

TEST(a_busy_registry_is_asked_again)
{
	REQUIRE_WORLD(w, NULL, NULL)
	auto_content struct content small, big;

	content_init(&small, &w, 10);
	content_init(&big, &w, MIB);
	REQUIRE_OK(registry_ping(w.r, &e));
	set_rules(&w, "PUT /uploads/ 2 503\nPOST /uploads/ 1 429=1");
	CHECK_OK(put(&w, &small));
	CHECK_OK(put(&w, &big));
	CHECK(holds(&w, "a/b", &small));
	CHECK(holds(&w, "a/b", &big));
}

TEST(a_bad_source_never_commits)
{
	REQUIRE_WORLD(w, NULL, NULL)
	static const size_t sizes[] = {1000, 3 * MIB};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		auto_content struct content c;
		uint64_t size;

		content_init(&c, &w, sizes[i]);
		c.data[c.n - 1] ^= 1;
		REQUIRE_OK(registry_ping(w.r, &e));
		set_rules(&w, "");
		CHECK_FAILS(put(&w, &c));
		CHECK_INT(e.kind, ERR_DIGEST);
		CHECK(strstr(e.text, "content integrity error: the blob streamed from digest"));
		if (i == 0) // nothing was even started
			CHECK_REQUESTS(w, "");
		else
			CHECK(logged(&w, "DELETE"));
		CHECK_FAILS(registry_blob_head(w.r, "a/b", &c.d.digest, &size, &e));
		CHECK_INT(e.kind, ERR_NOT_FOUND);
	}
}

TEST(a_source_of_another_size_never_commits)
{
	REQUIRE_WORLD(w, NULL, NULL)
	static const int deltas[] = {-1, 1};
	static const size_t sizes[] = {1000, 3 * MIB};

	for (size_t i = 0; i < 4; i++) {
		auto_content struct content c;
		uint64_t size;

		content_init(&c, &w, sizes[i / 2]);
		c.d.size = (uint64_t)((int64_t)c.d.size + deltas[i % 2]);
		CHECK_FAILS(put(&w, &c));
		CHECK_INT(e.kind, ERR_DIGEST);
		CHECK_FAILS(registry_blob_head(w.r, "a/b", &c.d.digest, &size, &e));
	}
}

TEST(a_rest_that_is_refused_goes_up_whole)
{
	REQUIRE_WORLD(w, NULL, NULL)
	auto_content struct content c;

	content_init(&c, &w, 3 * MIB);
	REQUIRE_OK(registry_ping(w.r, &e));
	set_rules(&w, "PUT /uploads/ 1 cut=1000000\nPUT /uploads/ 1 416");
	REQUIRE_OK(put(&w, &c));
	CHECK_REQUESTS(w, "POST upload 202, PUT upload 0, GET upload 204, PUT upload 416, "
			  "HEAD blob 404, DELETE upload 204, POST upload 202, PUT upload 201");
	CHECK(holds(&w, "a/b", &c));
}

TEST(a_location_may_be_absolute)
{
	REQUIRE_WORLD(w, NULL, "--location", "absolute")
	auto_content struct content c;

	content_init(&c, &w, 100000);
	CHECK_OK(put(&w, &c));
	CHECK(holds(&w, "a/b", &c));
}

TEST(credentials_do_not_follow_a_location_to_another_origin)
{
	REQUIRE_WORLD(w, USER_SECRET, "--auth", "basic", "--location", "other")
	static const size_t sizes[] = {1000, 100000};
	auto_free char *leak = xasprintf("\"port\": %d", w.other);

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		auto_content struct content c;
		auto_buf struct buf log = BUF_INIT(1 << 20);

		content_init(&c, &w, sizes[i]);
		set_rules(&w, "");
		CHECK_OK(put(&w, &c));
		get_log(&w, &log);
		for (struct str rest = buf_str(&log); rest.n > 0;) {
			struct str line = str_cut(&rest, '\n');
			auto_free char *text = xstrndup(line.p, line.n);

			if (strstr(text, leak))
				CHECK(strstr(text, "\"auth\": \"-\"") != NULL);
		}
		CHECK(strstr(log.p, leak) != NULL);
	}
}

TEST(credentials_do_not_follow_a_redirect_to_another_origin)
{
	REQUIRE_WORLD(w, USER_SECRET, "--auth", "basic")
	auto_content struct content c;

	content_init(&c, &w, 200000);
	REQUIRE_OK(put(&w, &c));
	set_rules(&w, "GET /blobs/ 1 redirect");
	CHECK(holds(&w, "a/b", &c));
	CHECK(logged(&w, "\"auth\": \"-\""));
}

// --- mounts ---

TEST(a_mount_takes_one_request)
{
	REQUIRE_WORLD(w, NULL, NULL)
	auto_content struct content c;
	bool mounted = false;

	content_init(&c, &w, 1000);
	REQUIRE_OK(put(&w, &c));
	set_rules(&w, "");
	CHECK_OK(registry_blob_mount(w.r, "c/d", &c.d, "a/b", &mounted, &e));
	CHECK(mounted);
	CHECK_REQUESTS(w, "POST upload 201");
	CHECK(holds(&w, "c/d", &c));
}

TEST(the_session_of_a_refused_mount_is_used)
{
	REQUIRE_WORLD(w, NULL, NULL)
	auto_content struct content c;
	bool mounted = true;

	content_init(&c, &w, 1000);
	REQUIRE_OK(put(&w, &c));
	set_rules(&w, "POST mount= 1 nomount");
	CHECK_OK(registry_blob_mount(w.r, "c/d", &c.d, "a/b", &mounted, &e));
	CHECK(!mounted);
	CHECK_OK(registry_blob_put(w.r, "c/d", &c.d, &c.opener, &e));
	CHECK_REQUESTS(w, "POST upload 202, PUT upload 201");
}

TEST(a_kept_session_that_is_gone_is_replaced_at_once)
{
	REQUIRE_WORLD(w, NULL, NULL)
	auto_content struct content c;
	bool mounted = true;

	content_init(&c, &w, 1000);
	REQUIRE_OK(put(&w, &c));
	set_rules(&w, "POST mount= 1 nomount\nPUT /uploads/ 1 forget");
	CHECK_OK(registry_blob_mount(w.r, "c/d", &c.d, "a/b", &mounted, &e));
	CHECK_OK(registry_blob_put(w.r, "c/d", &c.d, &c.opener, &e));
	CHECK_REQUESTS(w, "POST upload 202, PUT upload 404, POST upload 202, PUT upload 201");
}

// --- credentials ---

TEST(one_token_serves_a_repository)
{
	REQUIRE_WORLD(w, USER_SECRET, "--auth", "token")
	struct content c[3];

	set_rules(&w, "");
	REQUIRE_OK(registry_probe(w.r, "a/b", true, &e));
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		content_init(&c[i], &w, 1000 + i);
		CHECK_OK(put(&w, &c[i]));
	}
	CHECK(holds(&w, "a/b", &c[0]));
	for (size_t i = 0; i < ARRAY_SIZE(c); i++)
		content_release(&c[i]);
	CHECK_REQUESTS(w, "GET ping 401, GET token 200, GET tags 404, POST upload 202, "
			  "PUT upload 201, POST upload 202, PUT upload 201, POST upload 202, "
			  "PUT upload 201, GET blob 200");
	CHECK(logged(&w, "\"scopes\": [\"repository:a/b:pull,push\"]"));
}

static void *put_one(void *arg)
{
	struct {
		struct world *w;
		struct content c;
	} *job = arg;
	struct err mine;

	tap_report(registry_blob_put(job->w->r, "a/b", &job->c.d, &job->c.opener, &mine) == 0, "%s",
		   mine.text);
	return NULL;
}

TEST(threads_that_want_the_same_token_make_one_request)
{
	REQUIRE_WORLD(w, USER_SECRET, "--auth", "token")
	struct {
		struct world *w;
		struct content c;
	} jobs[8];
	pthread_t threads[ARRAY_SIZE(jobs)];
	int tokens = 0;

	set_rules(&w, "");
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		jobs[i].w = &w;
		content_init(&jobs[i].c, &w, 70000 + i);
		pthread_create(&threads[i], NULL, put_one, &jobs[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		pthread_join(threads[i], NULL);
		content_release(&jobs[i].c);
	}
	auto_free char *sent = requests(&w);

	for (const char *at = sent; (at = strstr(at, "token")); at++)
		tokens++;
	CHECK_INT(tokens, 1);
}

TEST(a_token_that_is_refused_in_the_middle_is_renewed_once)
{
	REQUIRE_WORLD(w, USER_SECRET, "--auth", "token")
	static const size_t sizes[] = {1000, 3 * MIB};
	auto_content struct content first;

	content_init(&first, &w, 1);
	REQUIRE_OK(put(&w, &first));
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		auto_content struct content c;

		content_init(&c, &w, sizes[i]);
		set_rules(&w, "PUT /uploads/ 1 revoke");
		CHECK_OK(put(&w, &c));
		CHECK(holds(&w, "a/b", &c));
		auto_free char *sent = requests(&w);

		CHECK(strstr(sent, "PUT upload 401, GET token 200, ") != NULL);
		CHECK(strstr(strstr(sent, "token") + 1, "GET token 200, GET token") == NULL);
	}
	set_rules(&w, "GET /blobs/ 1 revoke");
	CHECK(holds(&w, "a/b", &first));
}

TEST(a_mount_asks_to_read_the_other_repository)
{
	REQUIRE_WORLD(w, USER_SECRET, "--auth", "token")
	auto_content struct content c;
	bool mounted = false;

	content_init(&c, &w, 1000);
	REQUIRE_OK(put(&w, &c));
	set_rules(&w, "");
	CHECK_OK(registry_blob_mount(w.r, "c/d", &c.d, "a/b", &mounted, &e));
	CHECK(mounted);
	CHECK(logged(&w, "\"scopes\": [\"repository:a/b:pull\", \"repository:c/d:pull,push\"]"));
}

TEST(an_identity_token_is_exchanged)
{
	REQUIRE_WORLD(w, "{\"identitytoken\":\"identity\"}", "--auth", "token")
	auto_content struct content c;

	content_init(&c, &w, 1000);
	set_rules(&w, "");
	CHECK_OK(put(&w, &c));
	CHECK(logged(&w, "\"POST\", \"path\": \"/token\""));
}

TEST(a_wrong_password_is_told_once_and_with_advice)
{
	REQUIRE_WORLD(w, USER_WRONG, "--auth", "token")
	set_rules(&w, "");
	CHECK_FAILS(registry_probe(w.r, "a/b", true, &e));
	CHECK_INT(e.kind, ERR_DENIED);
	CHECK(starts_with(e.text, "unauthorized\nhint: "));
	CHECK(strstr(e.text, w.host) != NULL);
	CHECK_FAILS(registry_probe(w.r, "a/b", true, &e));
	CHECK_REQUESTS(w, "GET ping 401, GET token 401");
}

TEST(no_password_where_one_is_needed_fails_without_a_request)
{
	REQUIRE_WORLD(w, NULL, "--auth", "basic")
	auto_free char *want = xasprintf(
		"Head \"http://%s/v2/a/b/manifests/x\": no basic auth credentials\nhint: ", w.host);
	struct digest d;
	char type[128];
	uint64_t size;

	set_rules(&w, "");
	CHECK_FAILS(registry_manifest_head(w.r, "a/b", "x", &d, type, &size, &e));
	CHECK(starts_with(e.text, want));
	CHECK_INT(e.kind, ERR_DENIED);
	CHECK_REQUESTS(w, "GET ping 401");
}

TEST(anonymous_users_may_read_what_is_public)
{
	REQUIRE_WORLD(w, NULL, "--auth", "token", "--anonymous-pull")
	struct digest d;
	char type[128];
	uint64_t size;

	set_rules(&w, "");
	CHECK_FAILS(registry_manifest_head(w.r, "a/b", "x", &d, type, &size, &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
	CHECK_STR(e.text, "manifest unknown: manifest unknown");
	CHECK_REQUESTS(w, "GET ping 401, GET token 200, HEAD manifest 404");
}

TEST(without_tls_no_password_goes_to_another_host)
{
	REQUIRE_WORLD(w, USER_SECRET, "--auth", "token", "--realm", "http://localhost:1/token")
	set_rules(&w, "");
	CHECK_FAILS(registry_probe(w.r, "a/b", true, &e));
	CHECK(strstr(e.text, "no credentials are sent there") != NULL);
	CHECK_REQUESTS(w, "GET ping 401");
}

// A registry behind TLS that names REALM, whose certificate is not looked at.
static bool world_with_tls(struct world *w, const char *cert_dir, const char *realm)
{
	auto_free char *key = path_join(cert_dir, "key.pem");
	auto_free char *cert = path_join(cert_dir, "cert.pem");
	auto_free char *make = xasprintf("openssl req -x509 -newkey ec -pkeyopt "
					 "ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=t "
					 "-keyout %s -out %s 2>/dev/null",
					 key, cert);
	const char *const args[] = {
		"--cert", cert, "--key", key, "--auth", "token", realm ? "--realm" : NULL,
		realm,    NULL};

	return system(make) == 0 && world_init(w, USER_SECRET, args);
}

TEST(a_registry_behind_tls_cannot_lead_credentials_to_plain_http)
{
	char dir[] = "/tmp/test_faults_tls.XXXXXX";
	auto_world struct world w = {0}, good = {0};

	CHECK(mkdtemp(dir) != NULL);
	if (!world_with_tls(&w, dir, "http://127.0.0.1:1/token") ||
	    !world_with_tls(&good, dir, NULL)) {
		tap_report(false, "%s", "the servers did not start");
		return;
	}
	CHECK_FAILS(registry_probe(w.r, "a/b", true, &e));
	CHECK_INT(e.kind, ERR_DENIED);
	CHECK(strstr(e.text, "which is not https: nothing is sent there") != NULL);
	CHECK_OK(registry_probe(good.r, "a/b", true, &e));
	auto_free char *cleanup = xasprintf("rm -rf '%s'", dir);

	CHECK_INT(system(cleanup), 0);
}

// --- manifests and tags ---

static const char small_manifest[] = "{\"schemaVersion\":2}";

static int put_manifest(struct world *w, const char *ref)
{
	struct digest d;

	digest_of(&d, DIGEST_SHA256, small_manifest, strlen(small_manifest));
	return registry_manifest_put(w->r, "a/b", ref, MT_OCI_MANIFEST, str_of(small_manifest), &d,
				     &e);
}

static int get_manifest(struct world *w, const char *ref)
{
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	auto_free char *type = NULL;
	struct digest d;

	if (registry_manifest_get(w->r, "a/b", ref, &bytes, &type, &d, &e) < 0)
		return -1;
	CHECK_STR(bytes.p, small_manifest);
	CHECK_STR(type, MT_OCI_MANIFEST);
	return 0;
}

TEST(manifests_come_back_as_they_went)
{
	REQUIRE_WORLD(w, NULL, NULL)
	struct digest want, got;
	char type[128] = "";
	uint64_t size = 0;

	digest_of(&want, DIGEST_SHA256, small_manifest, strlen(small_manifest));
	REQUIRE_OK(put_manifest(&w, "v1"));
	CHECK_OK(get_manifest(&w, "v1"));
	CHECK_OK(get_manifest(&w, want.text));
	CHECK_OK(registry_manifest_head(w.r, "a/b", "v1", &got, type, &size, &e));
	CHECK(digest_equal(&want, &got));
	CHECK_STR(type, MT_OCI_MANIFEST);
	CHECK_INT(size, strlen(small_manifest));
}

TEST(a_manifest_that_was_changed_is_refused)
{
	REQUIRE_WORLD(w, NULL, NULL)
	REQUIRE_OK(put_manifest(&w, "v1"));
	set_rules(&w, "GET /manifests/ 1 corrupt\nPUT /manifests/ 1 wrongdigest");
	CHECK_FAILS(get_manifest(&w, "v1"));
	CHECK_INT(e.kind, ERR_DIGEST);
	CHECK(strstr(e.text, "content integrity error: the manifest retrieved with digest"));
	CHECK_FAILS(put_manifest(&w, "v1"));
	CHECK_INT(e.kind, ERR_DIGEST);
}

TEST(a_head_that_fails_is_asked_by_get)
{
	REQUIRE_WORLD(w, NULL, NULL)
	struct digest got;
	char type[128];
	uint64_t size = 0;

	REQUIRE_OK(put_manifest(&w, "v1"));
	set_rules(&w, "HEAD /manifests/ 1 405");
	CHECK_OK(registry_manifest_head(w.r, "a/b", "v1", &got, type, &size, &e));
	CHECK_INT(size, strlen(small_manifest));
	CHECK_REQUESTS(w, "HEAD manifest 405, GET manifest 200");
}

TEST(refusals_carry_the_words_of_the_registry)
{
	REQUIRE_WORLD(w, NULL, NULL)
	CHECK_FAILS(get_manifest(&w, "nope"));
	CHECK_STR(e.text, "manifest unknown: manifest unknown");
	CHECK_INT(e.kind, ERR_NOT_FOUND);
	set_rules(&w, "GET /manifests/ 1 404text");
	CHECK_FAILS(get_manifest(&w, "nope"));
	CHECK(starts_with(e.text,
			  "error parsing HTTP 404 response body: invalid character 'o' in"));
}

TEST(all_pages_of_tags_are_read)
{
	REQUIRE_WORLD(w, NULL, "--page", "2")
	auto_strlist struct strlist tags = {0};

	for (int i = 0; i < 5; i++) {
		auto_free char *tag = xasprintf("t%d", i);

		REQUIRE_OK(put_manifest(&w, tag));
	}
	set_rules(&w, "");
	CHECK_OK(registry_tags(w.r, "a/b", &tags, &e));
	CHECK_INT(tags.n, 5);
	CHECK(tags.n == 5 && strcmp(tags.v[4], "t4") == 0);
	CHECK_REQUESTS(w, "GET tags 200, GET tags 200, GET tags 200");
}

TEST(pages_that_go_round_in_a_circle_are_refused)
{
	REQUIRE_WORLD(w, NULL, "--page", "2")
	auto_strlist struct strlist tags = {0};

	for (int i = 0; i < 5; i++) {
		auto_free char *tag = xasprintf("t%d", i);

		REQUIRE_OK(put_manifest(&w, tag));
	}
	set_rules(&w, "GET /tags/ * linkloop");
	CHECK_FAILS(registry_tags(w.r, "a/b", &tags, &e));
	CHECK(strstr(e.text, "go round in a circle") != NULL);
	CHECK_INT(tags.n, 0);
}

// --- referrers ---

// The digest of a manifest that refers to SUBJECT; NUMBER makes it another one each time.
static int put_referrer(struct world *w, const struct digest *subject, int number)
{
	auto_free char *text = xasprintf(
		"{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_MANIFEST "\",\"config\":{"
		"\"mediaType\":\"application/vnd.oci.empty.v1+json\",\"size\":2,\"digest\":\"%s\"},"
		"\"layers\":[],\"subject\":{\"mediaType\":\"" MT_OCI_MANIFEST
		"\",\"size\":2,\"digest\":\"%s\"},\"annotations\":{\"number\":\"%d\"}}",
		subject->text, subject->text, number);
	struct digest d;

	digest_of(&d, DIGEST_SHA256, text, strlen(text));
	return registry_manifest_put(w->r, "a/b", d.text, MT_OCI_MANIFEST, str_of(text), &d, &e);
}

TEST(all_pages_of_referrers_are_read)
{
	REQUIRE_WORLD(w, NULL, "--referrers", "--page", "2")
	auto_strlist struct strlist found = {0};
	struct digest subject, other;

	digest_of(&subject, DIGEST_SHA256, "a", 1);
	digest_of(&other, DIGEST_SHA256, "b", 1);
	for (int i = 0; i < 5; i++)
		REQUIRE_OK(put_referrer(&w, &subject, i));
	set_rules(&w, "");
	CHECK_OK(registry_referrers(w.r, "a/b", &subject, &found, &e));
	CHECK_INT(found.n, 5);
	CHECK_OK(registry_referrers(w.r, "a/b", &other, &found, &e));
	CHECK_INT(found.n, 5);
	CHECK_REQUESTS(w, "GET referrers 200, GET referrers 200, GET referrers 200, "
			  "GET referrers 200");
}

TEST(a_registry_without_a_list_of_referrers_is_asked_once)
{
	static const char *const answers[] = {"404text", "404", "400", "405"};

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		REQUIRE_WORLD(w, NULL, NULL)
		auto_strlist struct strlist found = {0};
		auto_free char *rule = xasprintf("GET /referrers/ * %s", answers[i]);
		struct digest subject;

		digest_of(&subject, DIGEST_SHA256, "a", 1);
		REQUIRE_OK(put_manifest(&w, "t"));
		set_rules(&w, rule);
		for (int n = 0; n < 3; n++) {
			CHECK_FAILS(registry_referrers(w.r, "a/b", &subject, &found, &e));
			CHECK_INT(e.kind, ERR_UNSUPPORTED);
		}
		auto_free char *want = xasprintf("GET referrers %.3s", answers[i]);

		CHECK_REQUESTS(w, want);
	}
}

TEST(a_refusal_does_not_mean_that_there_is_no_list)
{
	REQUIRE_WORLD(w, NULL, "--referrers", NULL)
	auto_strlist struct strlist found = {0};
	struct digest subject;

	digest_of(&subject, DIGEST_SHA256, "a", 1);
	REQUIRE_OK(put_referrer(&w, &subject, 1));
	set_rules(&w, "GET /referrers/ 1 403");
	CHECK_FAILS(registry_referrers(w.r, "a/b", &subject, &found, &e));
	CHECK_INT(e.kind, ERR_DENIED);
	CHECK_OK(registry_referrers(w.r, "a/b", &subject, &found, &e));
	CHECK_INT(found.n, 1);
}

TEST(a_repository_that_is_unknown_is_asked_for_once)
{
	REQUIRE_WORLD(w, NULL, NULL)
	auto_content struct content c;

	content_init(&c, &w, 10);
	REQUIRE_OK(put(&w, &c));
	set_rules(&w, "");
	for (int i = 0; i < 3; i++) {
		CHECK(!registry_repository_fresh(w.r, "a/b"));
		CHECK(registry_repository_fresh(w.r, "c/d"));
	}
	CHECK_REQUESTS(w, "GET tags 200, GET tags 404");
	CHECK_OK(registry_probe(w.r, "e/f", true, &e));
	CHECK(registry_repository_fresh(w.r, "e/f"));
	CHECK_REQUESTS(w, "GET tags 200, GET tags 404, GET tags 404");
}

// --- sessions that outlive a run ---

TEST(the_next_run_goes_on_with_a_half_sent_blob)
{
	REQUIRE_WORLD(w, NULL, NULL)
	auto_content struct content c;
	auto_free char *state = path_join(w.dir, "state");
	struct registry_config cfg = {.state_dir = state};

	content_init(&c, &w, 20 * MIB);

	new_registry(&w, cfg);
	REQUIRE_OK(registry_ping(w.r, &e));
	set_rules(&w, "PUT /uploads/ 1 cut=10000000\nGET /uploads/ * reset");
	CHECK_FAILS(put(&w, &c));
	CHECK_INT(e.kind, ERR_NET);
	auto_free char *name = xasprintf("uploads-127.0.0.1_%d.json", w.port);
	auto_free char *path = path_join(state, name);
	struct stat st;

	CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
	new_registry(&w, cfg);
	REQUIRE_OK(registry_ping(w.r, &e));
	set_rules(&w, "");
	CHECK_OK(put(&w, &c));
	CHECK_REQUESTS(w, "GET upload 204, PUT upload 201");
	CHECK(logged(&w, "\"content_range\": \"10000000-20971519\""));
	CHECK(holds(&w, "a/b", &c));
	auto_buf struct buf text = BUF_INIT(65536);

	CHECK_OK(fs_read_file(&text, path, &e));
	CHECK_STR(text.p, "{\"sessions\":[]}");
}

TEST(a_damaged_state_file_only_costs_the_resumption)
{
	REQUIRE_WORLD(w, NULL, NULL)
	static const char *const files[] = {"", "{", "{\"sessions\":[{\"repository\":3}]}", "[]"};
	auto_free char *name = xasprintf("uploads-127.0.0.1_%d.json", w.port);
	auto_free char *path = path_join(w.dir, name);
	struct registry_config cfg = {.state_dir = w.dir};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		auto_content struct content c;

		content_init(&c, &w, 9 * MIB + i);
		CHECK_OK(fs_write_file(path, str_of(files[i]), 0600, &e));
		new_registry(&w, cfg);
		CHECK_OK(put(&w, &c));
	}
}

int main(void)
{
	return tap_main();
}
