// SPDX-License-Identifier: Apache-2.0
// The access log: a bounded buffer that requests add lines to, and a thread that writes it.
#include "cmd/access_log.h"

#include "data/gofmt.h"
#include "util/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>

enum {
	PENDING_MAX = 1 << 20, // bytes of lines that wait to be written
	METHOD_SHOWN = 32,
	PATH_SHOWN = 1024,
	AGENT_SHOWN = 256,
	LINE_MAX_BYTES = 16 * 1024, // escaped text is at most four times as long
};

struct access_log {
	char *file;
	int64_t (*now)(void);
	pthread_t writer;

	pthread_mutex_t out_lock; // taken before `lock`
	FILE *out;
	bool owned;

	pthread_mutex_t lock;
	pthread_cond_t added;
	struct buf pending;
	uint64_t lost;
	bool stop;
};

// ---- one line

static struct str shortened(struct str text, size_t max)
{
	return (struct str){text.p, text.n > max ? max : text.n};
}

// Words are separated by blanks: nothing in them may be one, or anything that steers a terminal.
static void add_word(struct buf *ret, struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c > ' ' && c < 0x7f && c != '\\')
			buf_putc(ret, (char)c);
		else
			buf_printf(ret, "\\x%02x", c);
	}
	if (text.n == 0)
		buf_putc(ret, '-');
}

void access_log_format(struct buf *ret, const struct api_access *line, int64_t now)
{
	struct str path = line->path;
	auto_free char *agent = gofmt_quote(shortened(line->agent, AGENT_SHOWN));

	buf_printf(ret, "%s ", gofmt_time(now).s);
	add_word(ret, str_of(line->peer ? line->peer : ""));
	buf_putc(ret, ' ');
	add_word(ret, str_of(line->user ? line->user : ""));
	buf_putc(ret, ' ');
	add_word(ret, shortened(line->method, METHOD_SHOWN));
	buf_putc(ret, ' ');
	add_word(ret, shortened(str_cut(&path, '?'), PATH_SHOWN));
	buf_printf(ret, " %d %" PRIu64 " %" PRIu64 " %" PRIu64 ".%" PRIu64 "ms %s%s\n",
		   line->status, line->received, line->sent, line->microseconds / 1000,
		   line->microseconds % 1000 / 100, agent, line->complete ? "" : " broken");
}

// ---- the thread

static void write_out(struct access_log *log, const struct buf *lines, uint64_t lost)
{
	pthread_mutex_lock(&log->out_lock);
	fwrite(lines->p, 1, lines->n, log->out);
	if (lost)
		fprintf(log->out, "%s - %" PRIu64 " lines were lost: this log is read too slowly\n",
			gofmt_time(log->now()).s, lost);
	fflush(log->out);
	pthread_mutex_unlock(&log->out_lock);
}

static void *write_lines(void *arg)
{
	struct access_log *log = arg;
	bool more = true;

	while (more) {
		auto_buf struct buf lines = BUF_INIT(PENDING_MAX + LINE_MAX_BYTES);
		uint64_t lost;

		pthread_mutex_lock(&log->lock);
		while (!log->stop && log->pending.n == 0)
			pthread_cond_wait(&log->added, &log->lock);
		struct buf full = log->pending;

		log->pending = lines;
		lines = full;
		lost = log->lost;
		log->lost = 0;
		more = !log->stop;
		pthread_mutex_unlock(&log->lock);
		write_out(log, &lines, lost);
	}
	return NULL;
}

void access_log_add(struct access_log *log, const struct api_access *line)
{
	auto_buf struct buf text = BUF_INIT(LINE_MAX_BYTES);

	access_log_format(&text, line, log->now());
	pthread_mutex_lock(&log->lock);
	if (log->pending.n > PENDING_MAX) {
		log->lost++;
	} else {
		buf_put(&log->pending, text.p, text.n);
		pthread_cond_signal(&log->added);
	}
	pthread_mutex_unlock(&log->lock);
}

// ---- life

static FILE *open_file(const char *path, struct err *e)
{
	auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "a");

	if (!f)
		err_os(e, ERR_IO, "cannot open access log '%s'", path);
	else
		fd = -1; // F's from here on
	return f;
}

int access_log_start(struct access_log **ret, const struct access_log_config *cfg, struct err *e)
{
	FILE *out = cfg->file ? open_file(cfg->file, e) : cfg->to;

	if (!out)
		return -1;
	struct access_log *log = xcalloc(1, sizeof(*log));

	log->file = cfg->file ? xstrdup(cfg->file) : NULL;
	log->out = out;
	log->owned = cfg->file != NULL;
	log->now = cfg->now;
	log->pending = (struct buf)BUF_INIT(PENDING_MAX + LINE_MAX_BYTES);
	pthread_mutex_init(&log->out_lock, NULL);
	pthread_mutex_init(&log->lock, NULL);
	pthread_cond_init(&log->added, NULL);
	errno = pthread_create(&log->writer, NULL, write_lines, log);
	if (errno) {
		err_os(e, ERR_IO, "start a thread");
		log->stop = true;
		access_log_stop(log);
		return -1;
	}
	*ret = log;
	return 0;
}

int access_log_reopen(struct access_log *log, struct err *e)
{
	FILE *out = log->owned ? open_file(log->file, e) : NULL;

	if (!log->owned)
		return 0;
	if (!out)
		return -1;
	pthread_mutex_lock(&log->out_lock);
	fclose(log->out);
	log->out = out;
	pthread_mutex_unlock(&log->out_lock);
	return 0;
}

void access_log_stop(struct access_log *log)
{
	if (!log)
		return;
	pthread_mutex_lock(&log->lock);
	bool started = !log->stop;

	log->stop = true;
	pthread_cond_signal(&log->added);
	pthread_mutex_unlock(&log->lock);
	if (started)
		pthread_join(log->writer, NULL);
	if (log->owned)
		fclose(log->out);
	pthread_mutex_destroy(&log->out_lock);
	pthread_mutex_destroy(&log->lock);
	pthread_cond_destroy(&log->added);
	buf_free(&log->pending);
	free(log->file);
	free(log);
}
