// SPDX-License-Identifier: Apache-2.0
// What a run of a command stands on.
#include "cmd/setup.h"

#include "image/platform.h"
#include "util/clock.h"
#include "util/fs.h"
#include "util/mem.h"

#include <stdlib.h>
#include <sys/random.h>

enum { POOL_SLABS = 256 }; // 16 MiB for all bodies together

// The value of NAME, NULL when it is unset or empty.
static const char *env_of(const struct cmd_io *io, const char *name)
{
	const char *value = io->env(name);

	return value && *value ? value : NULL;
}

// Go looks at the upper case name first, then at the lower case one.
static const char *env_either(const struct cmd_io *io, const char *upper, const char *lower)
{
	const char *value = env_of(io, upper);

	return value ? value : env_of(io, lower);
}

// Where upload sessions of interrupted runs are kept; NULL when there is no home. Caller frees.
static char *state_dir(const struct cmd_io *io)
{
	const char *base = env_of(io, "XDG_STATE_HOME"), *home = env_of(io, "HOME");

	if (base && *base == '/')
		return path_join(base, "ferry");
	return home ? path_join(home, ".local/state/ferry") : NULL;
}

static uint64_t random_seed(void)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = clock_us(); // only spreads back-offs
	return seed;
}

static void find_certs_dirs(struct setup *s)
{
	const char *home = env_of(s->io, "HOME");
	size_t n = 0;

	if (home)
		s->certs_dirs[n++] = s->user_certs = path_join(home, ".config/containers/certs.d");
	s->certs_dirs[n++] = "/etc/containers/certs.d";
	s->certs_dirs[n] = "/etc/docker/certs.d";
}

static int open_http(struct setup *s, const struct setup_config *cfg, struct err *e)
{
	const struct cmd_io *io = s->io;

	s->user_agent = xasprintf("ferry/%s (%s)", FERRY_VERSION, platform_local());
	find_certs_dirs(s);
	struct http_config http = {
		.cancel = io->cancel,
		.pool = s->pool,
		.user_agent = s->user_agent,
		.ca_file = cfg->security->certificate_authority,
		.system_ca_file = env_of(io, "SSL_CERT_FILE"),
		.system_ca_dir = env_of(io, "SSL_CERT_DIR"),
		.certs_dirs = s->certs_dirs,
		.http_proxy = env_either(io, "HTTP_PROXY", "http_proxy"),
		.https_proxy = env_either(io, "HTTPS_PROXY", "https_proxy"),
		.no_proxy = env_either(io, "NO_PROXY", "no_proxy"),
		.insecure = cfg->security->insecure,
		.random_seed = random_seed(),
		.on_retry = progress_retry,
		.on_retry_arg = s->progress,
	};

	if (http.ca_file && !*http.ca_file)
		http.ca_file = NULL;
	return http_new(&s->net, &http, e);
}

static int open_credentials(struct setup *s, const struct setup_config *cfg, struct err *e)
{
	auto_strlist struct strlist warnings = {0};
	const char *file = cfg->security->registry_config;
	int failed = credentials_load(&s->credentials, file && *file ? file : NULL, s->io->env,
				      &warnings, e);

	for (size_t i = 0; i < warnings.n; i++)
		progress_line(s->progress, "warning: %s", warnings.v[i]);
	if (failed == 0)
		credentials_limit(s->credentials, s->io->cancel, 0);
	return failed;
}

static void on_notice(void *arg, const char *text)
{
	progress_line(arg, "info: %s", text);
}

static int read_policy(struct setup *s, const struct setup_config *cfg, struct err *e)
{
	const char *file = NULL;

	if (!cfg->lookup)
		return 0;
	if (lookup_file(cfg->lookup, &file, e) < 0)
		return -1;
	return file ? policy_read_file(&s->policy, file, e) : 0;
}

static void find_mirrors(void *arg, const struct reference *ref, bool tags,
			 struct place_mirrors *ret)
{
	struct policy_places found;

	policy_mirrors(arg, ref, tags, &found);
	*ret = (struct place_mirrors){found.v, found.n, found.never_source};
}

void setup_note_image(const struct setup *s, const char *image)
{
	auto_reference struct reference ref = {0};
	struct err ignored;

	if (s->policy.n == 0 || policy_has_tags(&s->policy) ||
	    reference_parse(&ref, image, REF_WILDCARD, &ignored) < 0)
		return;
	if (ref.type == REF_REGISTRY && !ref.has_digest)
		progress_line(s->progress,
			      "warning: --idms-file(and --icsp-file) only applies to images "
			      "referenced by digest and will be ignored for tags");
}

static void open_places(struct setup *s, const struct setup_config *cfg)
{
	const char *dir = cfg->dir && *cfg->dir ? cfg->dir : ".";
	struct places_config places = {
		.registry =
			{
				.net = s->net,
				.credentials = s->credentials,
				.pool = s->pool,
				.cancel = s->io->cancel,
				.insecure = cfg->security->insecure,
				.skip_verification = cfg->security->skip_verification,
				.skip_mount = cfg->skip_mount,
				.skip_multiple_scopes = cfg->skip_multiple_scopes,
				.max_per_registry =
					cfg->parallel ? parallel_limit(cfg->parallel) : 0,
				.state_dir = s->state_dir,
				.now = s->io->now,
			},
		.dir = dir,
		.from_dir = cfg->from_dir && *cfg->from_dir ? cfg->from_dir : dir,
		.layout = cfg->layout,
		.on_notice = on_notice,
		.on_notice_arg = s->progress,
		.mirrors = s->policy.n > 0 ? find_mirrors : NULL,
		.mirrors_arg = &s->policy,
	};

	s->places = places_new(&places);
}

int setup_init(struct setup *ret, const struct cmd_io *io, const struct setup_config *cfg,
	       struct err *e)
{
	struct progress_config progress = {
		.out = io->err,
		.live = io->terminal,
		.ticker = true,
		.cancel = io->cancel,
	};

	*ret = (struct setup){.io = io};
	ret->progress = progress_new(&progress);
	ret->pool = slab_pool_new(POOL_SLABS);
	if (!cfg->security)
		return 0;
	ret->state_dir = state_dir(io);
	if (read_policy(ret, cfg, e) < 0 || open_credentials(ret, cfg, e) < 0 ||
	    open_http(ret, cfg, e) < 0)
		return -1;
	open_places(ret, cfg);
	return 0;
}

void setup_release(struct setup *s)
{
	places_free(s->places);
	policy_release(&s->policy);
	http_free(s->net);
	credentials_free(s->credentials);
	if (s->pool)
		slab_pool_free(s->pool);
	progress_free(s->progress);
	free(s->user_agent);
	free(s->state_dir);
	free(s->user_certs);
	*s = (struct setup){0};
}
