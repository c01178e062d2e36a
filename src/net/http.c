// SPDX-License-Identifier: Apache-2.0
// The client: configuration, trust, loop threads, and what is known about hosts.
#include "net/http.h"

#include "net/client.h"
#include "util/mem.h"

#include <assert.h>
#include <string.h>

enum { ANSWERED_MAX = 4096 };

// TLS sessions are what the loops share: a resumed handshake costs no signature.
static void lock_share(CURL *easy, curl_lock_data data, curl_lock_access access, void *arg)
{
	struct http *net = arg;

	(void)easy, (void)data, (void)access;
	pthread_mutex_lock(&net->share_lock);
}

static void unlock_share(CURL *easy, curl_lock_data data, void *arg)
{
	struct http *net = arg;

	(void)easy, (void)data;
	pthread_mutex_unlock(&net->share_lock);
}

static void wake_loops(void *arg)
{
	struct http *net = arg;

	for (int i = 0; i < LOOPS; i++)
		if (net->loops[i])
			loop_wake(net->loops[i]);
}

static void slabs_back(void *arg)
{
	struct http *net = arg;

	for (int i = 0; i < LOOPS; i++)
		if (net->loops[i])
			loop_slabs_back(net->loops[i]);
}

static int open_share(struct http *net, struct err *e)
{
	net->share = curl_share_init();
	if (!net->share)
		return err_set(e, ERR_IO, "cannot initialise libcurl");
	curl_share_setopt(net->share, CURLSHOPT_LOCKFUNC, lock_share);
	curl_share_setopt(net->share, CURLSHOPT_UNLOCKFUNC, unlock_share);
	curl_share_setopt(net->share, CURLSHOPT_USERDATA, net);
	curl_share_setopt(net->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	return 0;
}

static int set_up(struct http *net, struct err *e)
{
	if (tls_new(&net->tls, &net->cfg, e) < 0 || open_share(net, e) < 0)
		return -1;
	for (int i = 0; i < LOOPS; i++) {
		net->loops[i] = loop_new(net, e);
		if (!net->loops[i])
			return -1;
	}
	net->watch = (struct cancel_watch){.wake = wake_loops, .arg = net};
	cancel_watch(net->cfg.cancel, &net->watch);
	slab_pool_on_free(net->cfg.pool, slabs_back, net);
	return 0;
}

int http_new(struct http **ret, const struct http_config *cfg, struct err *e)
{
	auto_of(http_free) struct http *net = xcalloc(1, sizeof(*net));

	pthread_mutex_init(&net->lock, NULL);
	pthread_mutex_init(&net->share_lock, NULL);
	net->cfg = *cfg;
	net->seed = cfg->random_seed;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(e, ERR_IO, "cannot initialise libcurl");
	if (set_up(net, e) < 0)
		return -1;
	*ret = steal(&net);
	return 0;
}

void http_free(struct http *net)
{
	if (!net)
		return;
	if (net->watch.wake) {
		cancel_unwatch(net->cfg.cancel, &net->watch);
		slab_pool_off_free(net->cfg.pool, net);
	}
	for (int i = 0; i < LOOPS; i++)
		loop_free(net->loops[i]);
	if (net->share)
		curl_share_cleanup(net->share);
	tls_free(net->tls);
	map_release(&net->answered);
	pthread_mutex_destroy(&net->share_lock);
	pthread_mutex_destroy(&net->lock);
	free(net);
}

bool http_has_answered(struct http *net, const char *origin)
{
	pthread_mutex_lock(&net->lock);
	bool has = map_find(&net->answered, str_of(origin)) != NULL;

	pthread_mutex_unlock(&net->lock);
	return has;
}

void http_note_answer(struct http *net, const char *origin)
{
	bool is_new;

	pthread_mutex_lock(&net->lock);
	if (net->answered.n < ANSWERED_MAX)
		map_put(&net->answered, str_of(origin), &is_new);
	pthread_mutex_unlock(&net->lock);
}

uint64_t http_next_seed(struct http *net)
{
	return atomic_fetch_add(&net->seed, 0x9e3779b97f4a7c15u);
}
