// SPDX-License-Identifier: Apache-2.0
// The server: its event threads, accepting, the limits on connections, start and stop.
#include "serve/connection.h"

#include "util/clock.h"
#include "util/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

enum {
	THREADS_DEFAULT = 4,
	WORKERS = 8,
	PASSWORD_WORKERS = 2,
	PASSWORD_QUEUE = 64,
	SLABS = 16 * 1024 * 1024 / SLAB_SIZE,
	ACCEPT_TURN = 64,
	TICK_US = 100 * 1000,
	EXPIRY_DAYS = 60,
	SCRATCH_ALIGN = 4096, // copying out of the page cache is cheaper to whole pages
};

#define SECOND_US  UINT64_C(1000000)
#define DAY_US     (24 * 3600 * SECOND_US)
#define NOTICE_GAP (60 * SECOND_US)

// ---- Limits.

static unsigned or_default(unsigned value, unsigned otherwise)
{
	return value ? value : otherwise;
}

void server_tuning_from(struct server_tuning *ret, const struct server_limits *l)
{
	*ret = (struct server_tuning){
		.connections = or_default(l->connections, 4096),
		.per_address = or_default(l->per_address, 256),
		.cold_files = or_default(l->cold_files, 4),
		.head_us = or_default(l->head_seconds, 10) * SECOND_US,
		.idle_us = or_default(l->idle_seconds, 75) * SECOND_US,
		.busy_idle_us = 5 * SECOND_US,
		.body_us = or_default(l->body_seconds, 30) * SECOND_US,
		.body_bytes = or_default(l->body_bytes, 30 * 1024),
		.send_stall_us = or_default(l->send_stall_seconds, 60) * SECOND_US,
		.stop_us = or_default(l->stop_seconds, 30) * SECOND_US,
		.linger_us = SECOND_US,
	};
}

bool server_busy(const struct server *s)
{
	return s->connections > s->tuning.connections / 5 * 4;
}

void server_notice(struct server *s, const char *fmt, ...)
{
	va_list ap;

	if (!s->cfg.notice)
		return;
	va_start(ap, fmt);
	auto_free char *text = xvasprintf(fmt, ap);
	va_end(ap);
	s->cfg.notice(s->cfg.notice_arg, text);
}

// For what may happen thousands of times a second.
static void notice_now_and_then(struct event_thread *t, const char *text)
{
	struct server *s = t->server;

	pthread_mutex_lock(&s->lock);
	bool due = t->now >= s->next_notice;

	if (due)
		s->next_notice = t->now + NOTICE_GAP;
	pthread_mutex_unlock(&s->lock);
	if (due)
		server_notice(s, "%s", text);
}

// Counts one more connection of ADDRESS. False: it has enough of them.
static bool admit(struct server *s, const struct in6_addr *address)
{
	bool is_new;

	pthread_mutex_lock(&s->lock);
	struct map_entry *entry = map_put(
		&s->addresses, (struct str){(const char *)address, sizeof(*address)}, &is_new);
	bool ok = entry->num < s->tuning.per_address;

	if (ok)
		entry->num++;
	pthread_mutex_unlock(&s->lock);
	return ok;
}

void server_forget(struct server *s, const struct in6_addr *address)
{
	struct str key = {(const char *)address, sizeof(*address)};

	pthread_mutex_lock(&s->lock);
	struct map_entry *entry = map_find(&s->addresses, key);

	if (--entry->num == 0)
		map_remove(&s->addresses, key);
	pthread_mutex_unlock(&s->lock);
	s->connections--;
}

// ---- Accepting.

static void set_accepting(struct event_thread *t, bool on)
{
	if (t->accepting == on)
		return;
	t->accepting = on;
	for (unsigned i = 0; i < t->nlisteners; i++)
		if (on)
			event_add(t->accept_events[i], NULL);
		else
			event_del(t->accept_events[i]);
}

static void set_ticking(struct event_thread *t, bool on)
{
	const struct server_tuning *l = &t->server->tuning;
	uint64_t us = TICK_US;

	if (t->ticking == on)
		return;
	t->ticking = on;
	if (!on) {
		event_del(t->tick_event);
		return;
	}
	// Four looks within the shortest limit.
	const uint64_t limits[] = {l->head_us,       l->idle_us, l->busy_idle_us, l->body_us,
				   l->send_stall_us, l->stop_us, l->linger_us};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		if (limits[i] / 4 < us)
			us = limits[i] / 4;
	struct timeval every = {.tv_usec = us ? (suseconds_t)us : 1};

	event_add(t->tick_event, &every);
}

static struct in6_addr address_of(const struct sockaddr_storage *from)
{
	struct in6_addr a = {0};

	if (from->ss_family == AF_INET6)
		return ((const struct sockaddr_in6 *)from)->sin6_addr;
	a.s6_addr[10] = a.s6_addr[11] = 0xff;
	memcpy(&a.s6_addr[12], &((const struct sockaddr_in *)from)->sin_addr, 4);
	return a;
}

static void welcome(struct event_thread *t, int fd, const struct sockaddr_storage *from)
{
	struct in6_addr address = address_of(from);
	int one = 1;

	if (!admit(t->server, &address)) {
		t->server->connections--;
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	conn_accepted(t, fd, &address);
	set_ticking(t, true);
}

// Out of descriptors: a client that is turned away at once is better off than one that waits.
static void turn_away(struct event_thread *t, int listener)
{
	notice_now_and_then(t, "out of file descriptors: connections are turned away");
	if (t->spare_fd < 0)
		return;
	close(t->spare_fd);
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0)
		close(fd);
	t->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

// A place among all connections, or a pause.
static bool reserve(struct event_thread *t)
{
	struct server *s = t->server;

	if (s->connections++ < s->tuning.connections)
		return true;
	s->connections--;
	set_accepting(t, false);
	set_ticking(t, true);
	notice_now_and_then(t, "the limit of connections is reached: new ones wait");
	return false;
}

static void on_accept(evutil_socket_t listener, short what, void *arg)
{
	struct event_thread *t = arg;

	(void)what;
	t->now = clock_us();
	for (int i = 0; i < ACCEPT_TURN && reserve(t); i++) {
		struct sockaddr_storage from = {0};
		socklen_t n = sizeof(from);
		int fd = accept4(listener, (struct sockaddr *)&from, &n,
				 SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			welcome(t, fd, &from);
			continue;
		}
		t->server->connections--;
		if (errno == EMFILE || errno == ENFILE)
			turn_away(t, listener);
		else if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

// ---- Words between threads.

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	uint64_t count;

	(void)what, (void)arg;
	// Empty only if it was read already.
	if (read(fd, &count, sizeof(count)) < 0)
		assert(errno == EAGAIN);
}

// Called locked; true when the thread must be woken.
static bool rouse(struct event_thread *t)
{
	bool asleep = t->asleep;

	t->asleep = false;
	return asleep;
}

static void ring(struct event_thread *t)
{
	uint64_t one = 1;

	if (write(t->wake_fd, &one, sizeof(one)) < 0)
		assert(errno == EAGAIN);
}

void flow_tell(struct flow *f, unsigned news)
{
	struct event_thread *t = f->thread;

	pthread_mutex_lock(&t->lock);
	if (f->news == 0) {
		f->next_back = NULL;
		*t->last_back = f;
		t->last_back = &f->next_back;
	}
	f->news |= news;
	bool wake = rouse(t);

	pthread_mutex_unlock(&t->lock);
	if (wake)
		ring(t);
}

static void thread_wake(struct event_thread *t)
{
	pthread_mutex_lock(&t->lock);
	bool wake = rouse(t);

	pthread_mutex_unlock(&t->lock);
	if (wake)
		ring(t);
}

static void on_slab(void *arg)
{
	struct event_thread *t = arg;

	pthread_mutex_lock(&t->lock);
	t->slabs_back = true;
	bool wake = rouse(t);

	pthread_mutex_unlock(&t->lock);
	if (wake)
		ring(t);
}

void thread_ready(struct event_thread *t, struct conn *c)
{
	if (c->queued)
		return;
	c->queued = true;
	c->next_ready = NULL;
	*t->last_ready = c;
	t->last_ready = &c->next_ready;
}

// ---- An event thread.

static void feed_starving(struct event_thread *t)
{
	struct conn *c = t->starving;

	t->starving = NULL;
	for (struct conn *next; c; c = next) {
		next = c->next_starving;
		c->starving = false;
		thread_ready(t, c);
	}
}

// What workers have done since the last look.
static void take_news(struct event_thread *t)
{
	pthread_mutex_lock(&t->lock);
	bool slabs = t->slabs_back;

	t->asleep = t->slabs_back = false;
	// One at a time: what one flow does may end others, never flows with news.
	while (t->back) {
		struct flow *f = t->back;
		unsigned news = f->news;

		t->back = f->next_back;
		if (!t->back)
			t->last_back = &t->back;
		f->news = 0;
		pthread_mutex_unlock(&t->lock);
		flow_back(f, news);
		pthread_mutex_lock(&t->lock);
	}
	pthread_mutex_unlock(&t->lock);
	if (slabs)
		feed_starving(t);
}

// One turn for each of those that have more to do.
static void run_ready(struct event_thread *t)
{
	struct conn *last = NULL;

	for (struct conn *c = t->ready; c; c = c->next_ready)
		last = c;
	while (last) {
		struct conn *c = t->ready;
		bool was_last = c == last;

		t->ready = c->next_ready;
		if (!t->ready)
			t->last_ready = &t->ready;
		c->queued = false;
		c->turns = 0;
		conn_run(c);
		if (was_last)
			return;
	}
}

static void each_conn(struct event_thread *t, void (*fn)(struct conn *c))
{
	for (struct conn *c = t->conns, *next; c; c = next) {
		next = c->next;
		fn(c);
	}
}

static void close_listeners(struct event_thread *t)
{
	set_accepting(t, false);
	for (unsigned i = 0; i < t->nlisteners; i++) {
		event_free(t->accept_events[i]);
		close(t->listeners[i]);
	}
	t->nlisteners = 0;
}

static void begin_stop(struct event_thread *t)
{
	t->stop_at = t->now + t->server->tuning.stop_us;
	close_listeners(t);
	each_conn(t, conn_quit);
	if (t->nconns > 0)
		set_ticking(t, true);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct event_thread *t = arg;
	struct server *s = t->server;

	(void)fd, (void)what;
	t->now = clock_us();
	each_conn(t, conn_tick);
	if (t->stop_at && t->now >= t->stop_at)
		each_conn(t, conn_kill);
	if (!t->accepting && t->nlisteners > 0 && s->connections < s->tuning.connections)
		set_accepting(t, true);
	if (t->nconns == 0 && (t->accepting || t->stop_at))
		set_ticking(t, false);
}

static void rotate_tickets(struct event_thread *t)
{
	struct server *s = t->server;

	if (t->number != 0 || !s->tls || t->now < t->rotate_at)
		return;
	if (t->rotate_at) {
		server_tls_rotate(s->tls);
		server_warn_of_expiry(s);
	}
	t->rotate_at = t->now + DAY_US;
}

// True: nothing to do, the loop may sleep until something happens.
static bool may_sleep(struct event_thread *t)
{
	pthread_mutex_lock(&t->lock);
	bool idle = !t->back && !t->slabs_back && !t->ready &&
		    (t->stop_at != 0 || !t->server->stopping);

	t->asleep = idle;
	pthread_mutex_unlock(&t->lock);
	return idle;
}

static void *run_thread(void *arg)
{
	struct event_thread *t = arg;

	t->now = clock_us();
	for (;;) {
		rotate_tickets(t);
		if (t->server->stopping && !t->stop_at)
			begin_stop(t);
		if (t->stop_at && t->nconns == 0)
			return NULL;
		event_base_loop(t->base,
				may_sleep(t) ? EVLOOP_ONCE : EVLOOP_ONCE | EVLOOP_NONBLOCK);
		t->now = clock_us();
		take_news(t);
		run_ready(t);
	}
}

// ---- Start.

static void thread_free(struct event_thread *t)
{
	if (!t)
		return;
	slab_pool_off_free(t->server->slabs, t);
	while (t->spare_flows) {
		struct flow *f = t->spare_flows;

		t->spare_flows = f->next_spare;
		flow_destroy(f);
	}
	close_listeners(t);
	if (t->wake_event)
		event_free(t->wake_event);
	if (t->tick_event)
		event_free(t->tick_event);
	if (t->base)
		event_base_free(t->base);
	if (t->wake_fd >= 0)
		close(t->wake_fd);
	if (t->spare_fd >= 0)
		close(t->spare_fd);
	pthread_mutex_destroy(&t->lock);
	free(t->scratch);
	free(t);
}

// Readiness by edges, and no clock that is only as fine as a tick of the kernel.
static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();

	if (!config)
		return NULL;
	event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE);
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	struct event_base *base = event_base_new_with_config(config);

	event_config_free(config);
	return base;
}

// Takes its listeners out of L.
static int thread_new(struct server *s, unsigned number, struct listener_set *l, struct err *e)
{
	struct event_thread *t = xcalloc(1, sizeof(*t));

	s->threads[s->nthreads++] = t;
	t->server = s;
	t->number = number;
	t->last_ready = &t->ready;
	t->last_back = &t->back;
	t->scratch = aligned_alloc(SCRATCH_ALIGN, SCRATCH_SIZE);
	assert(t->scratch); // memory only
	pthread_mutex_init(&t->lock, NULL);
	slab_pool_on_free(s->slabs, on_slab, t);
	t->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	t->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	t->base = new_base();
	if (t->wake_fd < 0 || !t->base)
		return err_os(e, ERR_IO, "cannot start an event loop");
	t->wake_event = event_new(t->base, t->wake_fd, EV_READ | EV_PERSIST, on_wake, t);
	t->tick_event = event_new(t->base, -1, EV_PERSIST, on_tick, t);
	if (event_add(t->wake_event, NULL) < 0)
		return err_os(e, ERR_IO, "cannot start an event loop");
	for (unsigned i = 0; i < l->n; i++) {
		int fd = l->shared ? fcntl(l->fds[0][i], F_DUPFD_CLOEXEC, 0) : l->fds[number][i];

		if (fd < 0)
			return err_os(e, ERR_IO, "cannot listen");
		if (!l->shared)
			l->fds[number][i] = -1;
		t->listeners[i] = fd;
		t->accept_events[i] = event_new(t->base, fd, EV_READ | EV_PERSIST, on_accept, t);
		t->nlisteners++;
	}
	set_accepting(t, true);
	return 0;
}

// Signals are for the thread that waits for them. That goes for SIGPIPE too: sendfile and OpenSSL
// have no flag against it, and return EPIPE where it is blocked.
static int thread_start(struct event_thread *t, struct err *e)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	int r = pthread_create(&t->thread, NULL, run_thread, t);

	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r != 0)
		return err_set(e, ERR_IO, "cannot start a thread: %s", strerror(r));
	t->started = true;
	return 0;
}

static unsigned cores(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

static unsigned thread_count(const struct server_config *cfg)
{
	unsigned n = cfg->threads;

	if (n == 0)
		n = cores() < THREADS_DEFAULT ? cores() : THREADS_DEFAULT;
	return n < THREADS_MAX ? n : THREADS_MAX;
}

static int start_threads(struct server *s, struct err *e)
{
	unsigned n = thread_count(&s->cfg);
	struct listener_set l;
	int r = 0;

	if (listen_on(&l, s->cfg.listen, n, e) < 0)
		return -1;
	s->address = steal(&l.address);
	s->threads = xcalloc(n, sizeof(struct event_thread *));
	for (unsigned i = 0; i < n && r == 0; i++)
		r = thread_new(s, i, &l, e);
	listener_set_close(&l);
	for (unsigned i = 0; i < n && r == 0; i++)
		r = thread_start(s->threads[i], e);
	return r;
}

int server_start_tuned(struct server **ret, const struct server_config *cfg,
		       const struct server_tuning *tuning, struct err *e)
{
	auto_of(server_stop) struct server *s = xcalloc(1, sizeof(*s));

	s->cfg = *cfg;
	s->tuning = *tuning;
	pthread_mutex_init(&s->lock, NULL);
	s->slabs = slab_pool_new(SLABS);
	if (cfg->tls_certificate &&
	    server_tls_new(&s->tls, cfg->tls_certificate, cfg->tls_key, e) < 0)
		return -1;
	if (workers_start(&s->workers, or_default(cfg->workers, WORKERS), tuning->connections, e) <
		    0 ||
	    workers_start(&s->password_workers, PASSWORD_WORKERS, PASSWORD_QUEUE, e) < 0)
		return -1;
	s->cold = cold_new(s->workers, tuning->cold_files);
	if (start_threads(s, e) < 0)
		return -1;
	server_warn_of_expiry(s);
	*ret = steal(&s);
	return 0;
}

int server_start(struct server **ret, const struct server_config *cfg, struct err *e)
{
	struct server_tuning tuning;

	server_tuning_from(&tuning, &cfg->limits);
	return server_start_tuned(ret, cfg, &tuning, e);
}

const char *server_address(const struct server *s)
{
	return s->address;
}

void server_warn_of_expiry(struct server *s)
{
	if (!s->tls)
		return;
	if (server_tls_ends_within(s->tls, 0))
		server_notice(s, "the certificate '%s' has expired", s->cfg.tls_certificate);
	else if (server_tls_ends_within(s->tls, EXPIRY_DAYS))
		server_notice(s, "the certificate '%s' expires in less than %d days",
			      s->cfg.tls_certificate, EXPIRY_DAYS);
}

int server_reload(struct server *s, struct err *e)
{
	if (!s->tls)
		return 0;
	if (server_tls_reload(s->tls, e) < 0)
		return -1;
	server_warn_of_expiry(s);
	return 0;
}

void server_stop(struct server *s)
{
	if (!s)
		return;
	s->stopping = true;
	for (unsigned i = 0; i < s->nthreads; i++)
		thread_wake(s->threads[i]);
	for (unsigned i = 0; i < s->nthreads; i++)
		if (s->threads[i]->started)
			pthread_join(s->threads[i]->thread, NULL);
	workers_stop(s->workers);
	workers_stop(s->password_workers);
	for (unsigned i = 0; i < s->nthreads; i++)
		thread_free(s->threads[i]);
	free(s->threads);
	cold_free(s->cold);
	slab_pool_free(s->slabs);
	server_tls_free(s->tls);
	map_release(&s->addresses);
	pthread_mutex_destroy(&s->lock);
	free(s->address);
	free(s);
}
