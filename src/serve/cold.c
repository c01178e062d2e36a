// SPDX-License-Identifier: Apache-2.0
// Files that are not in the page cache: workers read them in, a window at a time and only a few at
// once from each disk, before the event thread sends them.
#include "serve/connection.h"

#include "util/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#ifndef SYS_cachestat
#define SYS_cachestat 451 // Linux 6.5, the same on all machines
#endif

enum {
	PROBE_WINDOW = 4 * 1024 * 1024,
	PROBE_EVERY = 1024 * 1024,
	READ_WINDOW = 4 * 1024 * 1024,
	READ_CHUNK = 64 * 1024,
	DEVICES_MAX = 16, // more share the last place
	REPLACED_MAX = 8, // files that one answer may fall through
};

struct device {
	dev_t dev;
	unsigned running;
	struct flow *first, **last; // wait
};

struct cold {
	struct workers *workers;
	unsigned per_device;
	pthread_mutex_t lock; // guards what follows
	struct device devices[DEVICES_MAX];
	unsigned ndevices;
};

struct cold *cold_new(struct workers *w, unsigned per_device)
{
	struct cold *c = xcalloc(1, sizeof(*c));

	c->workers = w;
	c->per_device = per_device;
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void cold_free(struct cold *c)
{
	if (!c)
		return;
	pthread_mutex_destroy(&c->lock);
	free(c);
}

int file_at(const struct store_file *file, uint64_t offset, uint64_t *ret_in_file,
	    uint64_t *ret_room)
{
	for (unsigned i = 0; i < file->n; i++) {
		if (offset < file->sizes[i]) {
			*ret_in_file = offset;
			*ret_room = file->sizes[i] - offset;
			return file->fds[i];
		}
		offset -= file->sizes[i];
	}
	return -1;
}

ssize_t cold_read(const struct store_file *file, void *buf, size_t n, uint64_t offset)
{
	uint64_t in_file, room;
	int fd = file_at(file, offset, &in_file, &room);
	ssize_t r;

	if (fd < 0)
		return 0;
	struct iovec v = {.iov_base = buf, .iov_len = room < n ? (size_t)room : n};

	do
		r = preadv2(fd, &v, 1, (off_t)in_file, RWF_NOWAIT);
	while (r < 0 && errno == EINTR);
	return r;
}

// The same question for filesystems that cannot be read from without waiting (tmpfs, exFAT).
// Kernels that are old, or find that it is not for us to ask, say no.
static bool is_cached(const struct store_file *file, uint64_t offset, uint64_t n)
{
	struct {
		uint64_t cached, dirty, writeback, evicted, recently_evicted;
	} stat;
	struct {
		uint64_t offset, n;
	} range;
	uint64_t room, page = (uint64_t)sysconf(_SC_PAGESIZE);
	int fd = file_at(file, offset, &range.offset, &room);

	if (fd < 0)
		return false;
	range.n = n < room ? n : room;
	return syscall(SYS_cachestat, fd, &range, &stat, 0) == 0 &&
	       stat.cached >= (range.offset + range.n - 1) / page - range.offset / page + 1;
}

uint64_t cold_probe(const struct store_file *file, uint64_t offset)
{
	uint64_t window = file->size - offset < PROBE_WINDOW ? file->size - offset : PROBE_WINDOW;
	char byte;

	for (uint64_t at = 0; at < window; at += PROBE_EVERY) {
		uint64_t n = window - at < PROBE_EVERY ? window - at : PROBE_EVERY;

		if (cold_read(file, &byte, 1, offset + at) != 1 &&
		    (errno != EOPNOTSUPP || !is_cached(file, offset + at, n)))
			return at;
	}
	return window;
}

// ---- A few at once.

// Called locked.
static struct device *device_of(struct cold *c, dev_t dev)
{
	struct device *idle = NULL;

	for (unsigned i = 0; i < c->ndevices; i++) {
		struct device *d = &c->devices[i];

		if (d->dev == dev)
			return d;
		if (d->running == 0 && !d->first)
			idle = d;
	}
	if (!idle)
		idle = &c->devices[c->ndevices < DEVICES_MAX ? c->ndevices++ : DEVICES_MAX - 1];
	idle->dev = dev;
	if (!idle->first)
		idle->last = &idle->first;
	return idle;
}

void cold_post(struct cold *c, struct flow *f)
{
	uint64_t in_file, room;
	int fd = file_at(&f->x.reply.file, f->read_from, &in_file, &room);
	struct stat st = {0};

	if (fd >= 0 && fstat(fd, &st) < 0)
		st.st_dev = 0;
	f->what = JOB_READ_IN;
	f->next_cold = NULL;
	pthread_mutex_lock(&c->lock);
	struct device *d = device_of(c, st.st_dev);
	bool now = d->running < c->per_device;

	f->device = (unsigned)(d - c->devices);
	if (now) {
		d->running++;
	} else {
		*d->last = f;
		d->last = &f->next_cold;
	}
	pthread_mutex_unlock(&c->lock);
	if (now)
		flow_post(f, JOB_READ_IN);
}

// The place of a job goes to the next one that waits.
static void leave(struct cold *c, unsigned device)
{
	pthread_mutex_lock(&c->lock);
	struct device *d = &c->devices[device];
	struct flow *next = d->first;

	if (next) {
		d->first = next->next_cold;
		if (!d->first)
			d->last = &d->first;
	} else {
		d->running--;
	}
	pthread_mutex_unlock(&c->lock);
	if (next)
		flow_post(next, JOB_READ_IN);
}

// ---- On a worker.

// Reads FROM..UNTIL. -1: *ret_bad is where it failed, with errno.
static int read_in(struct flow *f, uint64_t from, uint64_t until, uint64_t *ret_bad)
{
	char chunk[READ_CHUNK];

	while (from < until && !f->dead) {
		size_t n = until - from < sizeof(chunk) ? (size_t)(until - from) : sizeof(chunk);
		ssize_t r = store_file_pread(&f->x.reply.file, chunk, n, from);

		if (r <= 0) {
			if (r == 0)
				errno = EIO; // shorter than it was when it was opened
			*ret_bad = from;
			return -1;
		}
		from += (uint64_t)r;
	}
	return 0;
}

// The disk may begin with the window after this one while this one is sent.
static void announce(const struct flow *f, uint64_t offset)
{
	uint64_t in_file, room;
	int fd = file_at(&f->x.reply.file, offset, &in_file, &room);

	if (fd >= 0)
		posix_fadvise(fd, (off_t)in_file, READ_WINDOW, POSIX_FADV_WILLNEED);
}

void cold_replace(struct flow *f, uint64_t offset, int os)
{
	const struct service *service = f->thread->server->cfg.service;
	uint64_t size = f->x.reply.file.size;

	f->cut = f->replaced++ == REPLACED_MAX || !service->unreadable ||
		 !service->unreadable(service->arg, &f->x, offset, os) ||
		 f->x.reply.file.size != size;
	f->out.warm_from = f->out.warm_until = 0;
}

void cold_run(struct cold *c, struct flow *f)
{
	uint64_t from = f->read_from, bad;
	uint64_t until = f->read_until < from + READ_WINDOW ? f->read_until : from + READ_WINDOW;
	unsigned device = f->device;

	while (!f->dead && !f->cut && read_in(f, from, until, &bad) < 0)
		cold_replace(f, bad, errno);
	if (!f->dead && !f->cut) {
		f->out.warm_from = from;
		f->out.warm_until = until;
		if (until < f->read_until)
			announce(f, until);
	}
	leave(c, device);
	flow_tell(f, BACK_DONE);
}
