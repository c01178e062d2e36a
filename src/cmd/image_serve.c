// SPDX-License-Identifier: Apache-2.0
// image serve: the reference's old command for serving a folder of mirrored images.
#include "cmd/serve_run.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

struct options {
	const char *dir, *listen, *tls_crt, *tls_key;
};

#define AT(member) offsetof(struct options, member)
static const struct flag flags[] = {
	{FLAG_STRING, 0, "dir", AT(dir), "DIR", "folder to serve images from", 0, 0},
	{FLAG_STRING, 0, "listen", AT(listen), "HOST:PORT",
	 "address to listen on; an empty HOST means every address", 0, 0},
	{FLAG_STRING, 0, "tls-crt", AT(tls_crt), "FILE", "TLS certificate, PEM", 0, 0},
	{FLAG_STRING, 0, "tls-key", AT(tls_key), "FILE", "its private key, PEM", 0, 0},
	{0},
};
#undef AT

static const struct flag_group groups[] = {{flags, 0}, {0}};

static void defaults(void *options)
{
	*(struct options *)options = (struct options){.listen = ":5000"};
}

static void say_ready(const struct cmd_io *io, const struct serve_request *r, const char *what,
		      const char *url)
{
	(void)what;
	fprintf(io->err, "Serving%s at %s ...\n", r->server.tls_certificate ? " TLS" : "",
		strstr(url, "://") + 3);
}

static int check_dir(const char *dir, struct err *e)
{
	struct stat st;

	if (!dir || !*dir)
		return err_set(e, ERR_USAGE, "--dir must point to a directory");
	if (stat(dir, &st) < 0)
		return err_set(e, ERR_USAGE, "--dir must point to a directory: stat %s: %s", dir,
			       errno == ENOENT ? "no such file or directory" : strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return err_set(e, ERR_USAGE, "--dir must point to a directory: '%s' is a file",
			       dir);
	return 0;
}

static int run(const struct cmd_io *io, void *options, int argc, char **argv, struct err *e)
{
	const struct options *o = options;

	(void)argv;
	if (argc > 0)
		return err_set(e, ERR_USAGE, "image serve takes no arguments: use --dir");
	if (serve_check_listen(o->listen, e) < 0 || check_dir(o->dir, e) < 0 ||
	    serve_check_tls(o->tls_crt, o->tls_key, e) < 0)
		return -1;
	struct serve_request r = {
		.roots = &o->dir,
		.nroots = 1,
		// As with the reference, which knows nothing of seals.
		.allow_unfinished = true,
		.server = {.listen = o->listen,
			   .tls_certificate = o->tls_crt,
			   .tls_key = o->tls_key},
		.ready = say_ready,
	};

	return serve_run(io, &r, e);
}

const struct cmd cmd_image_serve = {
	.name = "serve",
	.synopsis = "",
	.summary = "Serve a registry from images mirrored to disk",
	.details =
		"DIR is a folder that 'image mirror --dir' or '--to-dir' wrote; nothing is written to it. There is no authentication: everyone who reaches the address may pull everything. 'registry serve' does the same and more.",
	.examples = "# what a release mirror left in a folder\n"
		    "--dir=mirror --listen=127.0.0.1:5000",
	.groups = groups,
	.options_size = sizeof(struct options),
	.defaults = defaults,
	.run = run,
};
