// SPDX-License-Identifier: Apache-2.0
// registry serve: the mirror registry, over a store that can be pushed to and folders as they are.
#include "cmd/serve_run.h"

#include <stdlib.h>
#include <string.h>

struct options {
	const char *listen, *dir, *tls_crt, *tls_key, *auth, *htpasswd, *external_url, *access_log;
	const char *max_blob_size, *disk_reserve;
	bool anonymous_pull, insecure_open, read_only, no_delete, allow_unfinished;
	bool allow_sparse_images, allow_unknown_manifests, refuse_sparse_indexes;
	int max_connections, max_connections_per_address, max_uploads;
	int idle_timeout, stop_timeout, threads;
};

enum {
	CONNECTIONS = 4096,
	PER_ADDRESS = 256,
	UPLOADS = 256,
	IDLE_SECONDS = 75,
	STOP_SECONDS = 30,
	LIMIT_MAX = 1000000,
	THREADS_MAX = 64
};

#define AT(member) offsetof(struct options, member)
static const struct flag flags[] = {
	{FLAG_STRING, 0, "listen", AT(listen), "HOST:PORT",
	 "address to listen on; an empty HOST means every address, port 0 a free one", 0, 0},
	{FLAG_STRING, 0, "dir", AT(dir), "STORE",
	 "folder for what is pushed: a new one, or one that ferry has written", 0, 0},
	{FLAG_STRING, 0, "tls-crt", AT(tls_crt), "FILE",
	 "TLS certificate with its chain, PEM; read again on SIGHUP", 0, 0},
	{FLAG_STRING, 0, "tls-key", AT(tls_key), "FILE", "its private key, PEM", 0, 0},
	{FLAG_STRING, 0, "auth", AT(auth), "none|basic|token",
	 "how users prove who they are; basic is understood with token too (default: token with --anonymous-pull, basic with --htpasswd alone, else none)",
	 0, 0},
	{FLAG_STRING, 0, "htpasswd", AT(htpasswd), "FILE",
	 "users and their passwords, bcrypt only (htpasswd -B); changes are noticed", 0, 0},
	{FLAG_BOOL, 0, "anonymous-pull", AT(anonymous_pull), NULL,
	 "who has no password may pull; needs --auth token", 0, 0},
	{FLAG_STRING, 0, "external-url", AT(external_url), "URL",
	 "where clients reach this registry, for the address of its tokens (default: as the client says)",
	 0, 0},
	{FLAG_BOOL, 0, "insecure-open", AT(insecure_open), NULL,
	 "listen on any address without authentication", 0, 0},
	{FLAG_BOOL, 0, "read-only", AT(read_only), NULL, "serve --dir without writing to it", 0, 0},
	{FLAG_BOOL, 0, "no-delete", AT(no_delete), NULL,
	 "refuse to delete tags, manifests and blobs", 0, 0},
	{FLAG_BOOL, 0, "allow-unfinished", AT(allow_unfinished), NULL,
	 "serve media although the run that wrote them did not end", 0, 0},
	{FLAG_BOOL, 0, "allow-sparse-images", AT(allow_sparse_images), NULL,
	 "take manifests of images whose layers are not here", 0, 0},
	{FLAG_BOOL, 0, "refuse-sparse-indexes", AT(refuse_sparse_indexes), NULL,
	 "refuse indexes of which some platforms are not here", 0, 0},
	{FLAG_BOOL, 0, "allow-unknown-manifests", AT(allow_unknown_manifests), NULL,
	 "take manifests of media types that are not known", 0, 0},
	{FLAG_STRING, 0, "access-log", AT(access_log), "FILE|-|none",
	 "a line for each request, '-' is standard output (default: standard error)", 0, 0},
	{FLAG_INT, 0, "max-connections", AT(max_connections), NULL, "connections at a time", 0, 0},
	{FLAG_INT, 0, "max-connections-per-address", AT(max_connections_per_address), NULL,
	 "of one client address; many nodes may share one", 0, 0},
	{FLAG_INT, 0, "max-uploads", AT(max_uploads), NULL, "unfinished uploads at a time", 0, 0},
	{FLAG_STRING, 0, "max-blob-size", AT(max_blob_size), "SIZE", "largest blob that is taken",
	 0, 0},
	{FLAG_STRING, 0, "disk-reserve", AT(disk_reserve), "SIZE",
	 "space that pushes leave free (default: 2GiB, or 5 % of a small disk)", 0, 0},
	{FLAG_INT, 0, "idle-timeout", AT(idle_timeout), "SECONDS",
	 "how long a silent connection is kept", 0, 0},
	{FLAG_INT, 0, "shutdown-timeout", AT(stop_timeout), "SECONDS",
	 "how long requests may take to finish when the server stops", 0, 0},
	{FLAG_INT, 0, "threads", AT(threads), NULL,
	 "threads that own connections (default: one a core, at most 4)", 0, 0},
	{0},
};
#undef AT

static const struct flag_group groups[] = {{flags, 0}, {0}};

static void defaults(void *options)
{
	*(struct options *)options = (struct options){
		.listen = "127.0.0.1:5000",
		.max_blob_size = "64GiB",
		.max_connections = CONNECTIONS,
		.max_connections_per_address = PER_ADDRESS,
		.max_uploads = UPLOADS,
		.idle_timeout = IDLE_SECONDS,
		.stop_timeout = STOP_SECONDS,
	};
}

// ---- what was asked for

static int parse_auth(const struct options *o, enum auth_mode *ret, struct err *e)
{
	static const char *const names[] = {
		[AUTH_NONE] = "none", [AUTH_BASIC] = "basic", [AUTH_TOKEN] = "token"};

	if (!o->auth) {
		*ret = !o->htpasswd ? AUTH_NONE : o->anonymous_pull ? AUTH_TOKEN : AUTH_BASIC;
		return 0;
	}
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(o->auth, names[i]) == 0) {
			*ret = (enum auth_mode)i;
			return 0;
		}
	}
	return err_set(e, ERR_USAGE, "--auth must be one of none, basic, token");
}

static int check_auth(const struct options *o, enum auth_mode mode, struct err *e)
{
	const char *url = o->external_url;

	if (mode != AUTH_NONE && !o->htpasswd)
		return err_set(e, ERR_USAGE, "--auth %s needs --htpasswd with the users", o->auth);
	if (mode == AUTH_NONE && o->auth && o->htpasswd)
		return err_set(e, ERR_USAGE, "--auth none and --htpasswd may not both be given");
	if (o->anonymous_pull && !o->htpasswd)
		return err_set(e, ERR_USAGE,
			       "--anonymous-pull needs --htpasswd with the users who may push");
	if (o->anonymous_pull && mode != AUTH_TOKEN)
		return err_set(
			e, ERR_USAGE,
			"--anonymous-pull needs --auth token: with basic, clients either ask "
			"for a password when pulling or send none when pushing");
	if (url && mode != AUTH_TOKEN)
		return err_set(e, ERR_USAGE, "--external-url is for --auth token only");
	if (url && !starts_with(url, "http://") && !starts_with(url, "https://"))
		return err_set(e, ERR_USAGE,
			       "--external-url must begin with http:// or https://, not '%s'", url);
	return 0;
}

// Nobody opens a registry to a network by accident.
static int check_open(const struct options *o, enum auth_mode mode, struct err *e)
{
	if (mode != AUTH_NONE || o->insecure_open || serve_is_loopback(o->listen))
		return 0;
	err_set(e, ERR_USAGE, "listening on '%s' without authentication would let anyone %s",
		o->listen, o->dir && !o->read_only ? "pull, push and delete" : "pull");
	return err_hint(e, "hint: choose --htpasswd FILE (a password for everything), --htpasswd "
			   "FILE --anonymous-pull (for pushes only), or --insecure-open");
}

static int check_limits(const struct options *o, struct err *e)
{
	const struct {
		const char *name;
		int value, least, most;
	} limits[] = {
		{"max-connections", o->max_connections, 1, LIMIT_MAX},
		{"max-connections-per-address", o->max_connections_per_address, 1, LIMIT_MAX},
		{"max-uploads", o->max_uploads, 1, LIMIT_MAX},
		{"idle-timeout", o->idle_timeout, 1, LIMIT_MAX},
		{"shutdown-timeout", o->stop_timeout, 1, LIMIT_MAX},
		{"threads", o->threads, 0, THREADS_MAX},
	};

	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++)
		if (limits[i].value < limits[i].least || limits[i].value > limits[i].most)
			return err_set(e, ERR_USAGE, "--%s must be between %d and %d",
				       limits[i].name, limits[i].least, limits[i].most);
	return 0;
}

static int check_what(const struct options *o, int roots, struct err *e)
{
	if (!o->dir && o->read_only)
		return err_set(
			e, ERR_USAGE,
			"--read-only is for --dir: folders given as arguments are never written");
	if (o->dir && !*o->dir)
		return err_set(e, ERR_USAGE, "--dir must name a folder");
	if (o->dir || roots > 0)
		return 0;
	err_set(e, ERR_USAGE, "there is nothing to serve");
	return err_hint(e, "hint: --dir STORE for a registry to push to, or the folders to serve "
			   "as they are");
}

static int fill_limits(const struct options *o, struct serve_request *r, struct err *e)
{
	uint64_t *blob = &r->api.limits.blob_bytes, *reserve = &r->api.limits.disk_reserve;

	if (serve_parse_size("max-blob-size", o->max_blob_size, blob, e) < 0)
		return -1;
	if (*blob == 0)
		return err_set(e, ERR_USAGE, "--max-blob-size must be more than 0");
	if (o->disk_reserve && serve_parse_size("disk-reserve", o->disk_reserve, reserve, e) < 0)
		return -1;
	if (o->disk_reserve && *reserve == 0)
		*reserve = 1; // to the API 0 means its default
	r->api.limits.sessions = (unsigned)o->max_uploads;
	r->server.threads = (unsigned)o->threads;
	r->server.limits.connections = (unsigned)o->max_connections;
	r->server.limits.per_address = (unsigned)o->max_connections_per_address;
	r->server.limits.idle_seconds = (unsigned)o->idle_timeout;
	r->server.limits.stop_seconds = (unsigned)o->stop_timeout;
	return 0;
}

// ---- what is said

static void say_who_may(FILE *err, const struct serve_request *r, const char *place)
{
	const char *what = r->dir && !r->read_only ? (r->api.allow_delete ? "pull, push and delete"
									  : "pull and push")
						   : "pull";

	if (r->auth.mode != AUTH_NONE)
		fprintf(err, "%s needs a password of %s\n",
			r->auth.anonymous_pull ? "pulling is open, everything else" : "everything",
			r->auth.htpasswd);
	else if (serve_is_loopback(r->server.listen))
		fprintf(err, "open to everyone on this machine: no password is needed to %s\n",
			what);
	else
		fprintf(err, "open to everyone who reaches %s: no password is needed to %s\n",
			place, what);
	if (r->auth.mode != AUTH_NONE && !r->server.tls_certificate &&
	    !serve_is_loopback(r->server.listen))
		fprintf(err,
			"warning: passwords cross the network in the clear without --tls-crt and "
			"--tls-key\n");
}

static void say_ready(const struct cmd_io *io, const struct serve_request *r, const char *what,
		      const char *url)
{
	auto_free char *place = serve_public_name(strstr(url, "://") + 3);
	bool tls = r->server.tls_certificate != NULL;

	fprintf(io->err, "serving %s on %s\n", what, url);
	say_who_may(io->err, r, place);
	if (r->dir && !r->read_only)
		fprintf(io->err,
			"to fill it:      %s adm release mirror%s --from=RELEASE --to=%s/ocp4/openshift4\n",
			io->self, tls ? "" : " --insecure", place);
	fprintf(io->err, "to pull from it: podman pull%s %s/REPOSITORY:TAG\n",
		tls ? "" : " --tls-verify=false", place);
}

static int run(const struct cmd_io *io, void *options, int argc, char **argv, struct err *e)
{
	const struct options *o = options;
	enum auth_mode mode = AUTH_NONE;

	if (check_what(o, argc, e) < 0 || serve_check_listen(o->listen, e) < 0 ||
	    serve_check_tls(o->tls_crt, o->tls_key, e) < 0 || parse_auth(o, &mode, e) < 0 ||
	    check_auth(o, mode, e) < 0 || check_open(o, mode, e) < 0 || check_limits(o, e) < 0)
		return -1;
	struct serve_request r = {
		.dir = o->dir,
		.read_only = o->read_only,
		.roots = (const char *const *)argv,
		.nroots = (size_t)argc,
		.allow_unfinished = o->allow_unfinished,
		.access_log = o->access_log,
		.server = {.listen = o->listen,
			   .tls_certificate = o->tls_crt,
			   .tls_key = o->tls_key},
		.auth = {.mode = mode,
			 .htpasswd = o->htpasswd,
			 .anonymous_pull = o->anonymous_pull,
			 .external_url = o->external_url},
		.api = {.allow_delete = !o->no_delete,
			.allow_sparse_images = o->allow_sparse_images,
			.allow_unknown_manifests = o->allow_unknown_manifests,
			.refuse_sparse_indexes = o->refuse_sparse_indexes},
		.ready = say_ready,
	};

	if (fill_limits(o, &r, e) < 0)
		return -1;
	return serve_run(io, &r, e);
}

const struct cmd cmd_registry_serve = {
	.name = "serve",
	.synopsis = "[ROOT ...]",
	.summary = "Serve a mirror registry",
	.details =
		"A registry for the far side of the air gap. What is pushed goes to --dir. ROOTs are served as they are, and nothing is written to them: folders and disks that --to-dir or --dir wrote, in either layout, or an OCI image layout. What several of them have comes from the first.\n"
		"\n"
		"Without more flags it listens on this machine only and asks for no password. Any other address needs --htpasswd, or --insecure-open. With --htpasswd alone everything needs a password (basic); with --anonymous-pull only what is not a pull does (token, which clients fetch from the registry itself).\n"
		"\n"
		"A line of the access log has time, client, user, method, path, status, bytes received and sent, duration and the client's name. SIGTERM and SIGINT finish what is in flight, a second one does not wait; SIGHUP reads certificate, users and the access log's file again. Several servers may share one store.",
	.examples =
		"# the disk that was carried in, for this machine\n"
		"/media/usb/mirror\n"
		"# for everyone to pull from, for users with a password to push to\n"
		"--dir=/srv/registry --listen=:5000 --tls-crt=tls.crt --tls-key=tls.key --htpasswd=users --anonymous-pull\n"
		"# a store of our own in front of two disks\n"
		"--dir=/srv/registry /media/usb1/mirror /media/usb2/mirror",
	.groups = groups,
	.options_size = sizeof(struct options),
	.defaults = defaults,
	.run = run,
};
