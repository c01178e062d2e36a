// SPDX-License-Identifier: Apache-2.0
// The access log: a bounded buffer that requests add lines to, and a thread that writes it.
#include "cmd/access_log.h"

#include "data/gofmt.h"
#include "util/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>

enum {
	PENDING_MAX = 1 << 20, // bytes of lines that wait to be written
	WORD_SHOWN = 128,
	PATH_SHOWN = 1024,
	AGENT_SHOWN = 256,
	LINE_BYTES = 16 * 1024, // more than all of these, escaped, are together
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
	int64_t second; // for which STAMP was made
	struct gofmt stamp;
	uint64_t lost;
	bool stop;
};

// ---- one line
//
// A busy server writes tens of thousands of them a second, so nothing here is formatted twice.

struct line {
	size_t n;
	char text[LINE_BYTES];
};

static void add(struct line *l, const char *bytes, size_t n)
{
	assert(n <= sizeof(l->text) - l->n);
	memcpy(l->text + l->n, bytes, n);
	l->n += n;
}

static void add_char(struct line *l, char c)
{
	add(l, &c, 1);
}

static void add_number(struct line *l, uint64_t v)
{
	char digits[20];
	size_t n = 0;

	do
		digits[sizeof(digits) - ++n] = (char)('0' + v % 10);
	while (v /= 10);
	add(l, digits + sizeof(digits) - n, n);
}

static struct str shortened(struct str text, size_t max)
{
	return (struct str){text.p, text.n > max ? max : text.n};
}

static bool is_plain(unsigned char c)
{
	return c > ' ' && c < 0x7f && c != '\\' && c != '"';
}

// Words are separated by blanks: nothing in them may be one, or anything that steers a terminal.
static void add_word(struct line *l, struct str text, size_t max)
{
	static const char hex[] = "0123456789abcdef";

	text = shortened(text, max);
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];
		const char escaped[] = {'\\', 'x', hex[c >> 4], hex[c & 15]};

		if (is_plain(c))
			add_char(l, (char)c);
		else
			add(l, escaped, sizeof(escaped));
	}
	if (text.n == 0)
		add_char(l, '-');
	add_char(l, ' ');
}

static void add_quoted(struct line *l, struct str text)
{
	bool plain = true;

	text = shortened(text, AGENT_SHOWN);
	for (size_t i = 0; i < text.n && plain; i++)
		plain = is_plain((unsigned char)text.p[i]) || text.p[i] == ' ';
	if (plain) {
		add_char(l, '"');
		if (text.n)
			add(l, text.p, text.n);
		add_char(l, '"');
		return;
	}
	auto_free char *quoted = gofmt_quote(text);

	add(l, quoted, strlen(quoted));
}

// Everything behind the time.
static void line_format(struct line *l, const struct api_access *a)
{
	static const char broken[] = " broken";
	struct str path = a->path;

	l->n = 0;
	add_char(l, ' ');
	add_word(l, str_of(a->peer ? a->peer : ""), WORD_SHOWN);
	add_word(l, str_of(a->user ? a->user : ""), WORD_SHOWN);
	add_word(l, a->method, WORD_SHOWN);
	add_word(l, str_cut(&path, '?'), PATH_SHOWN);
	add_number(l, (uint64_t)a->status);
	add_char(l, ' ');
	add_number(l, a->received);
	add_char(l, ' ');
	add_number(l, a->sent);
	add_char(l, ' ');
	add_number(l, a->microseconds / 1000);
	add_char(l, '.');
	add_number(l, a->microseconds % 1000 / 100);
	add(l, "ms ", 3);
	add_quoted(l, a->agent);
	if (!a->complete)
		add(l, broken, strlen(broken));
	add_char(l, '\n');
}

void access_log_format(struct buf *ret, const struct api_access *a, int64_t now)
{
	struct line l;

	line_format(&l, a);
	buf_puts(ret, gofmt_time(now).s);
	buf_put(ret, l.text, l.n);
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
		auto_buf struct buf lines = BUF_INIT(PENDING_MAX + 2 * LINE_BYTES);
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

void access_log_add(struct access_log *log, const struct api_access *a)
{
	struct line l;
	int64_t now = log->now();

	line_format(&l, a);
	pthread_mutex_lock(&log->lock);
	if (now != log->second) {
		log->second = now;
		log->stamp = gofmt_time(now);
	}
	if (log->pending.n > PENDING_MAX) {
		log->lost++;
	} else {
		if (log->pending.n == 0)
			pthread_cond_signal(&log->added);
		buf_puts(&log->pending, log->stamp.s);
		buf_put(&log->pending, l.text, l.n);
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
	log->second = INT64_MIN;
	log->pending = (struct buf)BUF_INIT(PENDING_MAX + 2 * LINE_BYTES);
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
