// SPDX-License-Identifier: Apache-2.0
// What the serving commands say before they listen to anything.
#include "cmd/serve_run.h"

#include "tap.h"
#include "util/fs.h"
#include "util/mem.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORDS_MAX = 8 };

static const char *no_env(const char *name)
{
	(void)name;
	return NULL;
}

struct outcome {
	int status;
	char *out, *err;
};

static struct outcome call(const char *const words[WORDS_MAX])
{
	struct outcome o = {0};
	size_t nout, nerr;
	FILE *out = open_memstream(&o.out, &nout), *err = open_memstream(&o.err, &nerr);
	struct cancel cancel = CANCEL_INIT;
	char *argv[WORDS_MAX + 2] = {(char *)(uintptr_t) "ferry"};
	int argc = 1;

	for (; argc <= WORDS_MAX && words[argc - 1]; argc++)
		argv[argc] = (char *)(uintptr_t)words[argc - 1];
	// Nothing here may get as far as serving; if it does, it stops at once.
	cancel_fire(&cancel);
	struct cmd_io io = {.out = out,
			    .err = err,
			    .in = -1,
			    .env = no_env,
			    .self = "ferry",
			    .now = 1700000000,
			    .cancel = &cancel};

	o.status = cmd_main(&io, argc, argv);
	fclose(out);
	fclose(err);
	return o;
}

static void outcome_release(struct outcome *o)
{
	free(o->out);
	free(o->err);
}

#define SERVE "registry", "serve"

static const struct {
	const char *words[WORDS_MAX];
	const char *err;
} mistakes[] = {
	{{SERVE},
	 "error: there is nothing to serve\n"
	 "hint: --dir STORE for a registry to push to, or the folders to serve as they are\n"},
	{{SERVE, "--read-only", "/tmp"},
	 "error: --read-only is for --dir: folders given as arguments are never written\n"},
	{{SERVE, "--dir="}, "error: --dir must name a folder\n"},
	{{SERVE, "--dir=s", "--tls-crt=c"},
	 "error: --tls-crt and --tls-key belong together: --tls-key is missing\n"},
	{{SERVE, "--dir=s", "--tls-key=k"},
	 "error: --tls-crt and --tls-key belong together: --tls-crt is missing\n"},
	{{SERVE, "--dir=s", "--auth=digest"}, "error: --auth must be one of none, basic, token\n"},
	{{SERVE, "--dir=s", "--auth=basic"},
	 "error: --auth basic needs --htpasswd with the users\n"},
	{{SERVE, "--dir=s", "--auth=token", "--anonymous-pull"},
	 "error: --auth token needs --htpasswd with the users\n"},
	{{SERVE, "--dir=s", "--auth=none", "--htpasswd=h"},
	 "error: --auth none and --htpasswd may not both be given\n"},
	{{SERVE, "--dir=s", "--anonymous-pull"},
	 "error: --anonymous-pull needs --htpasswd with the users who may push\n"},
	{{SERVE, "--dir=s", "--anonymous-pull", "--auth=basic", "--htpasswd=h"},
	 "error: --anonymous-pull needs --auth token: with basic, clients either ask for a "
	 "password when pulling or send none when pushing\n"},
	{{SERVE, "--dir=s", "--htpasswd=h", "--external-url=https://a"},
	 "error: --external-url is for --auth token only\n"},
	{{SERVE, "--dir=s", "--htpasswd=h", "--auth=token", "--external-url=a:5000"},
	 "error: --external-url must begin with http:// or https://, not 'a:5000'\n"},
	{{SERVE, "--dir=s", "--listen=:5000"},
	 "error: listening on ':5000' without authentication would let anyone pull, push and "
	 "delete\nhint: choose --htpasswd FILE (a password for everything), --htpasswd FILE "
	 "--anonymous-pull (for pushes only), or --insecure-open\n"},
	{{SERVE, "/tmp", "--listen=192.0.2.1:5000"},
	 "error: listening on '192.0.2.1:5000' without authentication would let anyone pull\n"
	 "hint: choose --htpasswd FILE (a password for everything), --htpasswd FILE "
	 "--anonymous-pull (for pushes only), or --insecure-open\n"},
	{{SERVE, "--dir=s", "--listen=5000"},
	 "error: --listen must be HOST:PORT, :PORT or [IPV6]:PORT, not '5000'\n"},
	{{SERVE, "--dir=s", "--listen=::1:5000"},
	 "error: --listen must be HOST:PORT, :PORT or [IPV6]:PORT, not '::1:5000'\n"},
	{{SERVE, "--dir=s", "--listen=localhost:65536"},
	 "error: --listen must be HOST:PORT, :PORT or [IPV6]:PORT, not 'localhost:65536'\n"},
	{{SERVE, "--dir=s", "--listen=localhost:"},
	 "error: --listen must be HOST:PORT, :PORT or [IPV6]:PORT, not 'localhost:'\n"},
	{{SERVE, "--dir=s", "--threads=65"}, "error: --threads must be between 0 and 64\n"},
	{{SERVE, "--dir=s", "--max-connections=0"},
	 "error: --max-connections must be between 1 and 1000000\n"},
	{{SERVE, "--dir=s", "--shutdown-timeout=-1"},
	 "error: --shutdown-timeout must be between 1 and 1000000\n"},
	{{SERVE, "--dir=s", "--max-blob-size=0"}, "error: --max-blob-size must be more than 0\n"},
	{{SERVE, "--dir=s", "--disk-reserve=2XB"},
	 "error: --disk-reserve must be a size such as 512MiB or 64GiB, not '2XB'\n"},
	{{"image", "serve"}, "error: --dir must point to a directory\n"},
	{{"image", "serve", "--dir=/nonexistent"},
	 "error: --dir must point to a directory: stat /nonexistent: no such file or directory\n"},
	{{"image", "serve", "--dir=/etc/passwd"},
	 "error: --dir must point to a directory: '/etc/passwd' is a file\n"},
	{{"image", "serve", "--dir=/tmp", "--listen="},
	 "error: must specify an address to listen on\n"},
	{{"image", "serve", "mirror"}, "error: image serve takes no arguments: use --dir\n"},
};

TEST(mistakes_are_told_with_their_remedy_before_anything_is_served)
{
	for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++) {
		struct outcome o = call(mistakes[i].words);

		CHECK_STR(o.err, mistakes[i].err);
		CHECK_STR(o.out, "");
		CHECK_INT(o.status, 1);
		outcome_release(&o);
	}
}

static char scratch[] = "/tmp/test-serve-XXXXXX";

static void make(const char *path)
{
	auto_free char *full = path_join(scratch, path);
	struct err e;

	CHECK_OK(fs_mkdirs(full, 0755, &e));
}

// %s is the scratch folder.
static const struct {
	const char *words[WORDS_MAX - 2];
	const char *says;
} folders[] = {
	{{"%s/nope"}, "cannot open folder '%s/nope'"},
	{{"%s/empty"}, "'%s/empty' holds no images"},
	{{"%s/disk"}, "hint: did you mean '%s/disk/mirror'?"},
	{{"%s/docker"}, "hint: it is the storage of another registry"},
	{{"--dir=%s/store", "%s/store"}, "are the same folder: give it once"},
	{{"%s/tree", "%s/disk/../tree"}, "are the same folder: give it once"},
	{{"--read-only", "--dir=%s/nope"}, "cannot open folder '%s/nope'"},
	{{"--read-only", "--dir=%s/empty"}, "'%s/empty' holds no images"},
};

static char *fill(const char *text)
{
	const char *mark = strstr(text, "%s");

	return mark ? xasprintf("%.*s%s%s", (int)(mark - text), text, scratch, mark + 2)
		    : xstrdup(text);
}

TEST(folders_that_cannot_be_served_are_named)
{
	CHECK(mkdtemp(scratch) != NULL);
	make("empty");
	make("disk/mirror/v2");
	make("docker/docker/registry/v2");
	make("store");
	make("tree/v2");
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		const char *words[WORDS_MAX] = {SERVE};
		auto_strlist struct strlist filled = {0};
		auto_free char *says = fill(folders[i].says);

		for (size_t j = 0; j < WORDS_MAX - 2 && folders[i].words[j]; j++) {
			strlist_take(&filled, fill(folders[i].words[j]));
			words[2 + j] = filled.v[j];
		}
		struct outcome o = call(words);

		tap_report(strstr(o.err, says) != NULL, "'%s' has no '%s'", o.err, says);
		CHECK_INT(o.status, 1);
		outcome_release(&o);
	}
	auto_free char *command = xasprintf("rm -rf %s", scratch);

	CHECK_INT(system(command), 0);
}

static const struct {
	const char *listen;
	bool loopback;
} addresses[] = {
	{"127.0.0.1:5000", true},
	{"127.9.9.9:0", true},
	{"localhost:5000", true},
	{"[::1]:5000", true},
	{":5000", false},
	{"0.0.0.0:5000", false},
	{"[::]:5000", false},
	{"10.0.0.1:5000", false},
	{"registry.local:5000", false},
	{"127.0.0.1.nip:5000", false},
	{"[fe80::1]:5000", false},
	{"", false},
	{"localhost.evil:5000", false},
	{"[127.0.0.1]:5000", false},
};

TEST(only_addresses_that_no_other_machine_reaches_are_loopback)
{
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
		tap_report(serve_is_loopback(addresses[i].listen) == addresses[i].loopback, "%s",
			   addresses[i].listen);
}

TEST(all_addresses_are_shown_as_the_name_of_the_machine)
{
	static const char *const all[] = {"0.0.0.0:5000", "[::]:5000", ":5000"};
	char host[256];

	CHECK_INT(gethostname(host, sizeof(host)), 0);
	auto_free char *want = xasprintf("%s:5000", host);

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		auto_free char *name = serve_public_name(all[i]);

		CHECK_STR(name, want);
	}
	auto_free char *one = serve_public_name("127.0.0.1:5001");

	CHECK_STR(one, "127.0.0.1:5001");
}

static const struct {
	const char *text;
	int64_t bytes; // -1: refused
} sizes[] = {
	{"0", 0},
	{"512", 512},
	{"512B", 512},
	{"1k", 1024},
	{"64GiB", (int64_t)64 << 30},
	{"2g", (int64_t)2 << 30},
	{"2Gi", (int64_t)2 << 30},
	{"500MB", 500000000},
	{"3TB", 3000000000000},
	{"9223372036854775807", INT64_MAX},
	{"9223372036854775808", -1},
	{"9223372036854775807k", -1},
	{"8388608TiB", -1},
	{"", -1},
	{"GiB", -1},
	{"-1", -1},
	{"1.5GiB", -1},
	{"1 GiB", -1},
	{"1GiBs", -1},
	{"0x10", -1},
};

TEST(sizes_have_the_usual_units_and_no_overflow)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t got = 0;
		struct err e = {0};
		int r = serve_parse_size("x", sizes[i].text, &got, &e);

		tap_report(r == (sizes[i].bytes < 0 ? -1 : 0), "'%s' gives %d", sizes[i].text, r);
		if (r == 0)
			CHECK_INT(got, sizes[i].bytes);
	}
}

int main(void)
{
	return tap_main();
}
