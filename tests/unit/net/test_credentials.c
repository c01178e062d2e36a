// SPDX-License-Identifier: Apache-2.0
#include "net/credentials.h"

#include "data/base64.h"
#include "tap.h"
#include "util/fs.h"
#include "util/mem.h"

#include <ftw.h>
#include <pthread.h>
#include <sys/stat.h>

#define PODMAN "run/containers/auth.json"
#define CONFIG "home/.config/containers/auth.json"
#define DOCKER "home/.docker/config.json"
#define OLD    "home/.dockercfg"

// One test's folder, and the variables of its environment.
static char *root;
static const char *variables[10][2];

static const char *env(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(variables) && variables[i][0]; i++)
		if (strcmp(variables[i][0], name) == 0)
			return variables[i][1];
	return NULL;
}

static char *at(const char *name)
{
	return path_join(root, name);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	(void)st, (void)type, (void)walk;
	return remove(path);
}

static void world_end(char **home)
{
	nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(*home);
	free(root);
	root = NULL;
}

// HOME and XDG_RUNTIME_DIR below a fresh folder; the rest is added by tests.
#define WORLD                                                            \
	__attribute__((cleanup(world_end))) char *home_ = world_begin(); \
	auto_free char *run_ = at("run");                                \
	memset(variables, 0, sizeof(variables));                         \
	variables[0][0] = "HOME", variables[0][1] = home_;               \
	variables[1][0] = "XDG_RUNTIME_DIR", variables[1][1] = run_

static char *world_begin(void)
{
	root = xstrdup("/tmp/ferry-credentials-XXXXXX");
	if (!mkdtemp(root))
		abort();
	return at("home");
}

static void set(const char *name, const char *value)
{
	size_t i = 0;

	while (variables[i][0] && strcmp(variables[i][0], name) != 0)
		i++;
	variables[i][0] = name;
	variables[i][1] = value;
}

static void put(const char *name, const char *text, mode_t mode)
{
	auto_free char *path = at(name), *dir = xstrdup(path);
	struct err e = {0};

	*strrchr(dir, '/') = '\0';
	CHECK_OK(fs_mkdirs(dir, 0700, &e));
	CHECK_OK(fs_write_file(path, str_of(text), mode, &e));
}

// {"auths": {KEY: {"auth": base64(LOGIN)}, ...}}, or the map alone.
static void put_logins(const char *name, const char *const pairs[][2], bool legacy)
{
	auto_buf struct buf b = BUF_INIT(BUF_TEXT_MAX);

	buf_puts(&b, legacy ? "{" : "{\"auths\":{");
	for (size_t i = 0; pairs[i][0]; i++) {
		auto_free char *auth = base64_encode(str_of(pairs[i][1]));

		buf_printf(&b, "%s\"%s\":{\"auth\":\"%s\",\"email\":\"you@example.com\"}",
			   i ? "," : "", pairs[i][0], auth);
	}
	buf_puts(&b, legacy ? "}" : "}}");
	put(name, b.p, 0600);
}

#define LOGINS(name, ...) \
	put_logins(name, (const char *const[][2]){__VA_ARGS__, {NULL, NULL}}, false)

static struct credentials *load(const char *file)
{
	auto_strlist struct strlist warnings = {0};
	auto_free char *path = file ? at(file) : NULL;
	struct credentials *c = NULL;
	struct err e = {0};

	CHECK_OK(credentials_load(&c, path, env, &warnings, &e));
	return c;
}

// "user:password", "token:T", "none" or "error: ..." for REGISTRY and REPOSITORY. Caller frees.
static char *find(struct credentials *c, const char *registry, const char *repository)
{
	auto_credential struct credential found = {0};
	struct err e = {0};

	if (credentials_find(c, registry, repository, &found, &e) < 0)
		return xasprintf("error: %s", e.text);
	if (found.identity_token)
		return xasprintf("token:%s", found.identity_token);
	return found.user ? xasprintf("%s:%s", found.user, found.password) : xstrdup("none");
}

static void expect(struct credentials *c, const char *registry, const char *repository,
		   const char *want)
{
	auto_free char *got = find(c, registry, repository);

	CHECK_STR(got, want);
}

#define R "127.0.0.1:5103"

TEST(each_place_of_the_search_order_is_read)
{
	static const struct {
		const char *file, *variable, *value;
		bool legacy;
	} rows[] = {
		{DOCKER, NULL, NULL, false},
		{PODMAN, NULL, NULL, false},
		{CONFIG, NULL, NULL, false},
		{"cfg/containers/auth.json", "XDG_CONFIG_HOME", "cfg", false},
		{"dc/config.json", "DOCKER_CONFIG", "dc", false},
		{OLD, NULL, NULL, true},
		{"ra.json", "REGISTRY_AUTH_FILE", "ra.json", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		WORLD;
		auto_free char *value = at(rows[i].value ? rows[i].value : "");

		if (rows[i].variable)
			set(rows[i].variable, value);
		put_logins(rows[i].file,
			   (const char *const[][2]){{R, "mirror:s3cret"}, {NULL, NULL}},
			   rows[i].legacy);
		auto_of(credentials_free) struct credentials *c = load(NULL);

		expect(c, R, "d/one", "mirror:s3cret");
		expect(c, "other:5103", "d/one", "none");
	}
}

TEST(the_first_file_that_knows_the_registry_decides)
{
	WORLD;
	LOGINS(PODMAN, {"a", "podman:1"});
	LOGINS(CONFIG, {"a", "config:2"}, {"b", "config:2"});
	LOGINS(DOCKER, {"a/x", "docker:3"}, {"c", "docker:3"});
	auto_of(credentials_free) struct credentials *c = load(NULL);

	expect(c, "a", "x", "podman:1");
	expect(c, "b", "x", "config:2");
	expect(c, "c", "x", "docker:3");
}

TEST(docker_can_be_preferred)
{
	WORLD;
	auto_strlist struct strlist warnings = {0};
	auto_of(credentials_free) struct credentials *c = NULL;
	struct err e;

	LOGINS(PODMAN, {R, "bad:bad"});
	LOGINS(DOCKER, {R, "mirror:s3cret"});
	set("REGISTRY_AUTH_PREFERENCE", "docker");
	REQUIRE_OK(credentials_load(&c, NULL, env, &warnings, &e));
	expect(c, R, "d/one", "mirror:s3cret");
	CHECK_INT(warnings.n, 1);
	CHECK(starts_with(warnings.v[0], "REGISTRY_AUTH_PREFERENCE is deprecated"));
}

TEST(a_named_file_is_the_only_one)
{
	WORLD;
	LOGINS(DOCKER, {R, "mirror:s3cret"});
	LOGINS("only.json", {"other.example.com", "a:b"});
	auto_of(credentials_free) struct credentials *c = load("only.json");

	expect(c, R, "d/one", "none");
	expect(c, "other.example.com", "d/one", "a:b");
}

TEST(the_longest_place_wins_for_each_request)
{
	WORLD;
	LOGINS("a.json", {R, "host:0"}, {R "/d", "d:1"}, {R "/d/one", "one:2"},
	       {"https://" R "/v2/", "url:3"}, {"http://u.example/x", "url:4"},
	       {"*.example", "star:5"}, {"[::1]:5000", "six:6"});
	auto_of(credentials_free) struct credentials *c = load("a.json");

	expect(c, R, "d/one", "one:2");
	expect(c, R, "d/two", "d:1");
	expect(c, R, "d/one/more", "one:2");
	expect(c, R, "d2", "host:0");
	expect(c, R, "", "host:0");
	expect(c, "u.example", "y/z", "url:4");
	expect(c, "w.example", "y/z", "none");
	expect(c, "127.0.0.1", "d/one", "none");
	expect(c, "[::1]:5000", "a", "six:6");
}

TEST(docker_hub_is_one_registry_under_all_its_names)
{
	static const char *const names[] = {"", "docker.io", "index.docker.io",
					    "registry-1.docker.io"};
	static const char *const keys[] = {"docker.io", "index.docker.io",
					   "https://index.docker.io/v1/", "registry-1.docker.io"};

	for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
		WORLD;
		LOGINS("a.json", {keys[k], "hub:1"}, {"docker.io/vendor", "vendor:2"});
		auto_of(credentials_free) struct credentials *c = load("a.json");

		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			expect(c, names[i], "library/busybox", "hub:1");
			expect(c, names[i], "vendor/product", "vendor:2");
		}
	}
}

TEST(entries_are_read_in_all_their_forms)
{
	WORLD;
	put("a.json",
	    "{\"auths\":{\"a\":{\"username\":\"u\",\"password\":\"p\"},"
	    "\"b\":{\"auth\":\"MDA6\",\"identitytoken\":\"t0\"},"
	    "\"c\":{\"auth\":\"dTpwOnEA\"}," // u:p:q and a NUL
	    "\"d\":{},\"e\":{\"auth\":\"\"},\"f\":null,\"g\":{\"username\":\"u\",\"auth\":\"\"}},"
	    "\"HttpHeaders\":{\"x\":\"y\"}}",
	    0600);
	auto_of(credentials_free) struct credentials *c = load("a.json");

	expect(c, "a", "x", "u:p");
	expect(c, "b", "x", "token:t0");
	expect(c, "c", "x", "u:p:q");
	expect(c, "d", "x", "none");
	expect(c, "e", "x", "none");
	expect(c, "f", "x", "none");
	expect(c, "g", "x", "u:");
}

TEST(one_bad_entry_spoils_only_its_registry)
{
	WORLD;
	auto_strlist struct strlist warnings = {0};
	auto_of(credentials_free) struct credentials *c = NULL;
	auto_free char *path = at("a.json");
	auto_buf struct buf want = BUF_INIT(4096);
	struct err e;

	put("a.json",
	    "{\"auths\":{\"bad\":{\"auth\":\"!!!s3cret\"},\"plain\":{\"auth\":\"Zm9v\"},\"n\":7,"
	    "\"ctl\":{\"auth\":\"dTpwCg==\"},\"good\":{\"auth\":\"dTpw\"}},\"credHelpers\":{\"h\":7}}",
	    0600);
	REQUIRE_OK(credentials_load(&c, path, env, &warnings, &e));
	expect(c, "good", "x", "u:p");
	expect(c, "plain", "x", "none");
	buf_printf(&want, "error: file %s: entry for \"bad\" is not valid base64", path);
	expect(c, "bad", "x", want.p);
	buf_clear(&want);
	buf_printf(&want, "error: file %s: entry for \"n\" is not an object", path);
	expect(c, "n", "x", want.p);
	buf_clear(&want);
	buf_printf(&want, "error: file %s: entry for \"ctl\" has control characters in it", path);
	expect(c, "ctl", "x", want.p);
	CHECK_INT(warnings.n, 5);
	buf_clear(&want);
	buf_printf(&want, "file %s: entry for \"bad\" is not valid base64: ignored", path);
	CHECK_STR(warnings.v[0], want.p);
	for (size_t i = 0; i < warnings.n; i++)
		CHECK(!strstr(warnings.v[i], "s3cret"));
}

TEST(an_empty_file_is_no_credentials)
{
	static const char *const texts[] = {"", " \n", "{}", "null", "{\"auths\":null}"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		WORLD;
		put(DOCKER, texts[i], 0600);
		auto_of(credentials_free) struct credentials *c = load(NULL);

		expect(c, R, "d/one", "none");
	}
}

TEST(a_file_that_cannot_be_used_is_named)
{
	static const struct {
		const char *text, *why; // TEXT NULL: no file
	} rows[] = {
		{NULL, "unable to load --registry-config: stat %s: no such file or directory"},
		{"{",
		 "unable to load --registry-config: reading JSON file \"%s\": unmarshaling JSON "
		 "at \"%s\": unexpected end of JSON input"},
		{"{\"auths\":{\"a\":{\"auth\":s3cret}}}",
		 "unable to load --registry-config: reading JSON file \"%s\": unmarshaling JSON at "
		 "\"%s\": invalid JSON at line 1, column 23"},
		{"[]",
		 "unable to load --registry-config: reading JSON file \"%s\": unmarshaling JSON "
		 "at \"%s\": not an object"},
		{"{\"auths\":[]}", "unable to load --registry-config: reading JSON file \"%s\": "
				   "unmarshaling JSON at \"%s\": auths: not an object"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		WORLD;
		auto_strlist struct strlist warnings = {0};
		auto_free char *path = at("a.json");
		struct credentials *c = NULL;
		auto_buf struct buf want = BUF_INIT(4096);
		struct err e = {0};

		if (rows[i].text)
			put("a.json", rows[i].text, 0600);
		for (const char *p = rows[i].why; *p; p++) {
			if (p[0] == '%' && p[1] == 's') {
				buf_puts(&want, path);
				p++;
			} else {
				buf_putc(&want, *p);
			}
		}
		CHECK_FAILS(credentials_load(&c, path, env, &warnings, &e));
		CHECK_INT(e.kind, ERR_INPUT);
		CHECK_STR(e.text, want.p);
	}
}

TEST(a_missing_runtime_folder_is_nothing_to_speak_of)
{
	WORLD;
	auto_strlist struct strlist warnings = {0};
	auto_of(credentials_free) struct credentials *c = NULL;
	struct err e;

	REQUIRE_OK(credentials_load(&c, NULL, env, &warnings, &e));
	CHECK_INT(warnings.n, 0);
}

// A helper NAME that runs the shell text BODY; PATH leads to it.
static char *put_helper(const char *name, const char *body)
{
	auto_free char *file = xasprintf("bin/docker-credential-%s", name);
	auto_free char *text = xasprintf("#!/bin/sh\n%s\n", body);
	auto_free char *bin = at("bin");

	put(file, text, 0700);
	return xasprintf("relative::%s:/usr/bin:/bin", bin);
}

#define ANSWER \
	"read s; echo \"{\\\"ServerURL\\\":\\\"$s\\\",\\\"Username\\\":\\\"u-$1\\\",\\\"Secret\\\":\\\"$s\\\"}\""

TEST(helpers_are_asked_for_their_registry)
{
	WORLD;
	auto_free char *path = put_helper("fake", ANSWER);

	set("PATH", path);
	put("a.json", "{\"credHelpers\":{\"" R "\":\"fake\"}}", 0600);
	auto_of(credentials_free) struct credentials *c = load("a.json");

	expect(c, R, "d/one", "u-get:" R);
	expect(c, "other", "d/one", "none");
}

TEST(a_helper_is_asked_once)
{
	WORLD;
	auto_free char *log = at("log");
	auto_free char *body = xasprintf("echo x >> %s; " ANSWER, log);
	auto_free char *path = put_helper("fake", body);
	auto_buf struct buf seen = BUF_INIT(100);
	struct err e;

	set("PATH", path);
	put("a.json", "{\"credHelpers\":{\"" R "\":\"fake\"}}", 0600);
	auto_of(credentials_free) struct credentials *c = load("a.json");

	expect(c, R, "d/one", "u-get:" R);
	expect(c, R, "d/two", "u-get:" R);
	CHECK_OK(fs_read_file(&seen, log, &e));
	CHECK_STR(seen.p, "x\n");
}

TEST(a_store_is_asked_for_every_registry_the_file_has_no_password_of)
{
	WORLD;
	auto_free char *path = put_helper("fake", ANSWER);

	set("PATH", path);
	put("a.json", "{\"auths\":{\"a\":{},\"b\":{\"auth\":\"dTpw\"}},\"credsStore\":\"fake\"}",
	    0600);
	auto_of(credentials_free) struct credentials *c = load("a.json");

	expect(c, "a", "x", "u-get:a");
	expect(c, "b", "x", "u:p");
	expect(c, "c", "x", "u-get:c");
	expect(c, "docker.io", "x", "u-get:https://index.docker.io/v1/");
}

TEST(a_helper_may_give_a_token_or_nothing)
{
	WORLD;
	auto_free char *path =
		put_helper("token", "echo '{\"Username\":\"<token>\",\"Secret\":\"t0\"}'");
	auto_free char *same =
		put_helper("none", "echo 'credentials not found in native keychain'; exit 1");

	CHECK_STR(same, path);
	set("PATH", path);
	put("a.json", "{\"credHelpers\":{\"t\":\"token\",\"n\":\"none\"}}", 0600);
	auto_of(credentials_free) struct credentials *c = load("a.json");

	expect(c, "t", "x", "token:t0");
	expect(c, "n", "x", "none");
}

TEST(a_helper_that_fails_is_an_error_that_keeps_its_secrets)
{
	static const struct {
		const char *name, *body, *why;
	} rows[] = {
		{"fails", "echo s3cret; exit 1", "it failed"},
		{"talks", "echo s3cret", "invalid JSON at line 1, column 1"},
		{"stops", "kill -9 $$", "it failed"},
		{"floods", "yes s3cret", "the answer is too long"},
		{"hangs", "echo s3cret; exec sleep 600", "no answer in time"},
		{"stays", "exec >&-; exec sleep 600", "it failed"},
		{"absent", NULL, "docker-credential-absent is not in PATH"},
		{"a/b", NULL, "not the name of a credential helper"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		WORLD;
		auto_free char *path = put_helper(rows[i].body ? rows[i].name : "other",
						  rows[i].body ? rows[i].body : "");
		auto_free char *text = xasprintf("{\"credHelpers\":{\"h\":\"%s\"}}", rows[i].name);

		set("PATH", path);
		put("a.json", text, 0600);
		auto_of(credentials_free) struct credentials *c = load("a.json");

		// A quick helper must not meet the deadline of a slow one on a busy machine.
		bool slow =
			strcmp(rows[i].name, "hangs") == 0 || strcmp(rows[i].name, "stays") == 0;

		credentials_limit(c, NULL, slow ? 100 : 20000);
		auto_free char *got = find(c, "h", "x");

		CHECK(starts_with(got, "error: credentials of \"h\" from file "));
		CHECK(ends_with(got, rows[i].why));
		CHECK(!strstr(got, "s3cret"));
	}
}

TEST(a_store_that_does_not_work_spoils_only_what_it_keeps)
{
	WORLD;
	put("a.json", "{\"auths\":{\"kept\":{}},\"credsStore\":\"absent\"}", 0600);
	set("PATH", "/nowhere");
	auto_of(credentials_free) struct credentials *c = load("a.json");
	auto_free char *kept = find(c, "kept", "x");

	CHECK(ends_with(kept, "docker-credential-absent is not in PATH"));
	expect(c, "public", "x", "none");
}

static void *fire(void *stop)
{
	auto_free char *started = at("started");
	auto_buf struct buf b = BUF_INIT(10);
	struct err e;

	// Opening the other end of the pipe waits for the helper to be there.
	if (fs_read_file(&b, started, &e) == 0)
		cancel_fire(stop);
	return NULL;
}

TEST(stopping_kills_a_helper_at_once)
{
	WORLD;
	struct cancel stop = CANCEL_INIT;
	auto_free char *started = at("started");
	auto_free char *body = xasprintf("echo > %s; exec sleep 600", started);
	auto_free char *path = put_helper("fake", body);
	struct credential found = {0};
	struct err e = {0};
	pthread_t thread;

	set("PATH", path);
	put("a.json", "{\"credHelpers\":{\"h\":\"fake\"}}", 0600);
	CHECK(mkfifo(started, 0600) == 0);
	auto_of(credentials_free) struct credentials *c = load("a.json");

	credentials_limit(c, &stop, 0);
	CHECK(pthread_create(&thread, NULL, fire, &stop) == 0);
	CHECK_FAILS(credentials_find(c, "h", "x", &found, &e));
	CHECK_INT(e.kind, ERR_CANCELLED);
	pthread_join(thread, NULL);
}

int main(void)
{
	return tap_main();
}
