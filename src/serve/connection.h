// SPDX-License-Identifier: Apache-2.0
// What the files of the HTTP server share: the server, its event threads, connections, and flows
// (an exchange on its way through a connection).
//
// A connection belongs to one event thread for its life. All of it, and its flow, is that thread's
// alone, but for the exchange while a job is out on a worker, and the mailbox, which has a lock.
// Sockets are edge-triggered: `readable` and `writable` say what the last event or call told.
#ifndef SERVE_CONNECTION_H
#define SERVE_CONNECTION_H

#include "serve/chunked.h"
#include "serve/server.h"
#include "serve/tls.h"
#include "serve/workers.h"
#include "util/map.h"
#include "util/slab.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

enum {
	SCRATCH_SIZE = 256 * 1024,
	DRAIN_MAX = 64 * 1024, // of a body that nobody wants
	TLS_RECORD = 16 * 1024,
	BODY_QUEUE = 4, // slabs of one connection that wait for a worker
	THREADS_MAX = 8,
	LISTENERS_MAX = 4, // addresses of one name
};

// The limits in the form the server uses. Tests set them finer than seconds.
struct server_tuning {
	unsigned connections, per_address, cold_files;
	uint64_t head_us, idle_us, busy_idle_us, body_us, send_stall_us, stop_us, linger_us;
	uint64_t body_bytes;
};
void server_tuning_from(struct server_tuning *ret, const struct server_limits *l);
// server_start with T instead of the limits in CFG.
int server_start_tuned(struct server **ret, const struct server_config *cfg,
		       const struct server_tuning *t, struct err *e) must_check;

struct server {
	struct server_config cfg;
	struct server_tuning tuning;
	struct server_tls *tls; // or NULL
	struct workers *workers, *password_workers;
	struct slab_pool *slabs;
	struct cold *cold;
	char *address;
	struct event_thread **threads;
	unsigned nthreads;
	bool shared_listeners; // the threads accept from the same sockets
	atomic_uint connections;
	atomic_bool stopping;

	pthread_mutex_t lock; // guards what follows
	struct map addresses; // connections of each
	uint64_t next_notice; // notices about accept are rare
};

struct conn;
struct flow;

struct event_thread {
	struct server *server;
	unsigned number;
	pthread_t thread;
	bool started;
	struct event_base *base;
	struct event *wake_event, *tick_event, *accept_events[LISTENERS_MAX];
	int listeners[LISTENERS_MAX];
	unsigned nlisteners;
	int wake_fd, spare_fd;
	bool accepting, ticking;

	uint64_t now, stop_at, rotate_at;
	struct conn *conns;
	unsigned nconns;
	struct conn *ready, **last_ready; // have work left after their turn
	struct conn *starving;            // wait for a slab
	struct flow *spare_flows;
	unsigned nspare;
	unsigned char *scratch; // SCRATCH_SIZE

	pthread_mutex_t lock;           // guards what follows
	struct flow *back, **last_back; // flows with news from a worker
	bool asleep, slabs_back;
};

// Why a flow is back from a worker.
enum {
	BACK_ROOM = 1, // the mailbox has room again
	BACK_DONE = 2, // the job is over
};

enum flow_job {
	JOB_BEGIN,
	JOB_PASSWORD,
	JOB_BODY,
	JOB_READ_IN,    // file pages that are not in memory
	JOB_UNREADABLE, // the event thread met a read error
};

// Where the sending of a reply stands: text, then pieces, one after the other.
struct cursor {
	struct buf head;                // status line, headers and, without pieces, the body
	unsigned piece;                 // npieces + 1 of them: 0 is the head
	uint64_t at;                    // in that piece
	uint64_t left, sent;            // of the whole answer
	size_t head_n;                  // of it the head
	uint64_t warm_from, warm_until; // of the file: known to be in memory
	size_t blocked;                 // length of the TLS record that must be offered again, or 0
};

struct flow {
	struct exchange x;
	struct conn *conn;
	struct event_thread *thread;
	struct job job;
	enum flow_job what;
	char *head; // owns what the request borrows
	size_t head_cap;
	bool known;              // the service has seen it and wants `done`
	enum exchange_next next; // of begin
	bool was_broken;         // the body
	int refusal;             // what the server itself answers then; 0: nothing
	const char *refusal_text;
	bool cut;         // the rest of the answer cannot be had
	atomic_bool dead; // nobody waits for the answer any more
	struct cursor out;

	uint64_t read_from, read_until; // JOB_READ_IN, JOB_UNREADABLE
	int read_error;
	unsigned replaced;
	struct flow *next_cold;
	unsigned device;

	struct flow *next_back; // guarded by the thread's lock
	unsigned news;

	pthread_mutex_t lock; // guards the mailbox
	struct slab *first, **last;
	unsigned queued;
	bool running; // a worker has the job, or will
	bool full;    // the event thread waits for BACK_ROOM
	bool complete, broken;

	struct flow *next_spare;
};

enum conn_state {
	CONN_HELLO, // TLS handshake
	CONN_HEAD,
	CONN_WORK, // a worker has the exchange
	CONN_BODY, // the body is read, a worker consumes it
	CONN_SEND,
	CONN_DRAIN,  // the answer is out, the rest of the body is dropped
	CONN_LINGER, // our side is shut; waiting for the peer to have read what we said
};

struct conn {
	struct event_thread *thread;
	struct conn *next, *prev, *next_ready, *next_starving;
	struct event event;
	SSL *ssl;
	int fd;
	enum conn_state state;
	bool readable, writable, hung_up, broken, queued, starving, dead;
	bool partial;     // `in` holds the beginning of a head, not all of it
	bool first;       // no request was complete yet
	bool close_after; // the answer in progress
	bool corked;      // the socket keeps what is no whole segment
	bool told;        // 100 Continue was sent, or is not wanted
	uint8_t told_at;  // bytes of it
	bool stalled;     // reading waits for the service or for memory, not for the client
	bool hindered;    // that was so at some time of this window
	unsigned turns;   // requests answered in this turn
	struct in6_addr address;
	uint64_t since; // what the limit of the state counts from
	uint64_t window_bytes;

	char *in; // received, not consumed
	uint32_t in_at, in_n, in_cap;

	uint64_t body_left; // has_length: announced, not yet read
	struct chunked chunked;
	struct flow *flow;
	char peer[INET6_ADDRSTRLEN];
};

// What a step of a connection came to.
enum step {
	STEP_AGAIN, // the state changed: go on
	STEP_WAIT,  // for the socket, a worker, a slab
	STEP_YIELD, // it is the others' turn
	STEP_GONE,  // close it
};

// ---- connection.c

void conn_accepted(struct event_thread *t, int fd, const struct in6_addr *address);
// Goes on with whatever is possible now. C may be freed.
void conn_run(struct conn *c);
// Has the time of the state run out? C may be freed.
void conn_tick(struct conn *c);
// The server stops: idle connections close, others when their answer is out.
void conn_quit(struct conn *c);
// At once, or as soon as its worker is back. C may be freed.
void conn_kill(struct conn *c);
// The answer is out.
enum step conn_answered(struct conn *c);
// For the next request.
void conn_await(struct conn *c);
// News from a worker.
void flow_back(struct flow *f, unsigned news);
// Gives the flow's job to the workers.
void flow_post(struct flow *f, enum flow_job what);
// A worker tells the event thread, which calls flow_back.
void flow_tell(struct flow *f, unsigned news);
void flow_destroy(struct flow *f);

// ---- socket.c: the same for plain and TLS

enum { IO_BLOCKED = -1, IO_FAILED = -2 };
// Bytes, 0 at the end, or IO_*.
ssize_t conn_recv(struct conn *c, void *buf, size_t n);
// MORE: further bytes follow at once.
ssize_t conn_send(struct conn *c, const void *buf, size_t n, bool more);

// ---- body.c

void body_start(struct conn *c);
enum step body_step(struct conn *c);
enum step drain_step(struct conn *c);
void body_run(struct flow *f);   // JOB_BODY, on a worker
void body_break(struct conn *c); // the rest will not come
// The same, and the client is told.
void body_fail(struct conn *c, int status, const char *text);
void mailbox_clear(struct flow *f);
// Bytes that were received already, then the socket. As conn_recv.
ssize_t conn_input(struct conn *c, void *buf, size_t n);
// Drops N bytes of those that were received already.
void conn_consume(struct conn *c, size_t n);
// Puts the N bytes at P, the last of what conn_input gave, back in front.
void conn_unread(struct conn *c, const void *p, size_t n);

// ---- send.c

// The reply is complete: puts the head together.
void send_start(struct conn *c);
enum step send_step(struct conn *c);
// Sets an error that the server itself answers.
void send_refusal(struct reply *r, int status, const char *code, const char *text);

// ---- cold.c: reading in what is not in memory

struct cold *cold_new(struct workers *w, unsigned per_device);
void cold_free(struct cold *c);
// Gives the flow's JOB_READ_IN to a worker when the disk has a place for it.
void cold_post(struct cold *c, struct flow *f);
void cold_run(struct cold *c, struct flow *f); // on the worker
// How far from OFFSET on a window reaches that is in memory; 0: not at all.
uint64_t cold_probe(const struct store_file *file, uint64_t offset);
// store_file_pread of what is in memory: -1 with EAGAIN for the rest, EOPNOTSUPP where the kernel
// does not tell.
ssize_t cold_read(const struct store_file *file, void *buf, size_t n, uint64_t offset);
// On a worker: the file failed at OFFSET with errno OS. Sets f->cut when there is no other.
void cold_replace(struct flow *f, uint64_t offset, int os);
// The descriptor that has OFFSET, its place there, and the bytes from there on; -1: past the end.
int file_at(const struct store_file *file, uint64_t offset, uint64_t *ret_in_file,
	    uint64_t *ret_room);

// ---- listen.c

struct listener_set {
	int fds[THREADS_MAX][LISTENERS_MAX];
	unsigned n; // of each thread
	bool shared;
	char *address;
};
// Binds LISTEN once for each thread, or once for all of them where ports cannot be shared.
int listen_on(struct listener_set *ret, const char *listen, unsigned threads, struct err *e)
	must_check;
void listener_set_close(struct listener_set *l);

// ---- server.c

// Notices when the certificate has expired or soon will.
void server_warn_of_expiry(struct server *s);
void server_notice(struct server *s, const char *fmt, ...) printf_like(2, 3);
void thread_ready(struct event_thread *t, struct conn *c);
// A connection of ADDRESS is gone.
void server_forget(struct server *s, const struct in6_addr *address);
bool server_busy(const struct server *s);

#endif
