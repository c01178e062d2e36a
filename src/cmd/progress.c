// SPDX-License-Identifier: Apache-2.0
// The one progress display.
#include "cmd/progress.h"

#include "data/gofmt.h"
#include "util/clock.h"
#include "util/map.h"
#include "util/mem.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

// The reference prints a line for every upload that it does not do from memory.
enum { BIG_BLOB = 16 * 1024 };
enum { RATE_SAMPLES = 12, RATE_STEP_US = 500 * 1000, RATE_FROM_US = 2000 * 1000 };
enum { SECOND_US = 1000 * 1000 };
enum { DRAW_US = 100 * 1000, SUMMARY_US = 10 * SECOND_US };
enum { ERRORS_MAX = 4096, COLUMNS_DEFAULT = 80, BAR_WIDTH = 20, BAR_FROM_COLUMNS = 90 };
enum { LEFT_MAX_S = 100 * 3600 }; // beyond, the guess is worth nothing

// How many lines of a kind may still be printed now; refilled as time passes.
struct bucket {
	double left, max, per_second;
	uint64_t since;
	uint64_t dropped; // not printed since the last one that was
};

struct sample {
	uint64_t at, bytes;
};

struct progress {
	struct transfer_sink sink;
	FILE *out;
	bool live;
	unsigned columns;
	uint64_t (*clock)(void);
	struct cancel *cancel;
	struct cancel_watch watch;

	pthread_mutex_t lock; // guards everything below
	pthread_cond_t wake;
	bool stop, ticking, drawn, settled;
	pthread_t ticker;
	uint64_t drawn_at, summary_at;
	uint64_t total, done, moved; // bytes: planned; there or moved; moved
	uint64_t blobs, blobs_done, active;
	uint64_t images, images_done; // planned; done, where also those count that need no plan
	struct sample samples[RATE_SAMPLES];
	size_t nsamples, next_sample;
	struct bucket uploads, retries;
	struct map errors; // texts that were printed
};

// Directions that make text look like another.
static bool reorders(uint32_t c)
{
	return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

void text_clean(struct buf *ret, struct str text)
{
	while (text.n > 0) {
		uint32_t c = 0;
		size_t n = utf8_decode(text, &c);
		bool control = (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0);

		if (n == 0 || control || reorders(c))
			buf_putc(ret, '?');
		else
			buf_put(ret, text.p, n);
		n = n > 0 ? n : 1;
		text.p += n;
		text.n -= n;
	}
}

static bool bucket_take(struct bucket *b, uint64_t now)
{
	b->left += (double)(now - b->since) / SECOND_US * b->per_second;
	b->left = b->left > b->max ? b->max : b->left;
	b->since = now;
	if (b->left < 1) {
		b->dropped++;
		return false;
	}
	b->left -= 1;
	return true;
}

static unsigned columns_now(const struct progress *p)
{
	struct winsize size;

	if (p->columns)
		return p->columns;
	if (ioctl(fileno(p->out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return COLUMNS_DEFAULT;
}

static void sample(struct progress *p, uint64_t now)
{
	size_t last = (p->next_sample + RATE_SAMPLES - 1) % RATE_SAMPLES;

	if (p->nsamples > 0 && now - p->samples[last].at < RATE_STEP_US)
		return;
	p->samples[p->next_sample] = (struct sample){now, p->moved};
	p->next_sample = (p->next_sample + 1) % RATE_SAMPLES;
	p->nsamples += p->nsamples < RATE_SAMPLES;
}

// Bytes a second over the last seconds; 0 when there is too little to go by.
static double rate(const struct progress *p, uint64_t now)
{
	if (p->nsamples == 0)
		return 0;
	const struct sample *oldest =
		&p->samples[(p->next_sample + RATE_SAMPLES - p->nsamples) % RATE_SAMPLES];

	if (now - oldest->at < RATE_FROM_US)
		return 0;
	return (double)(p->moved - oldest->bytes) * SECOND_US / (double)(now - oldest->at);
}

static uint64_t done_of_total(const struct progress *p)
{
	return p->done < p->total ? p->done : p->total; // bytes sent twice count twice
}

static void bar(struct buf *ret, uint64_t done, uint64_t total)
{
	uint64_t full = (uint64_t)((double)done / (double)total * BAR_WIDTH);

	buf_puts(ret, " [");
	for (uint64_t i = 0; i < BAR_WIDTH; i++)
		buf_putc(ret, i < full ? '=' : i == full ? '>' : ' ');
	buf_putc(ret, ']');
}

static void describe_images(struct buf *ret, const struct progress *p)
{
	if (p->images_done == 0 && p->images == 0)
		return;
	buf_printf(ret, ", %" PRIu64, p->images_done);
	if (p->images >= p->images_done)
		buf_printf(ret, " of %" PRIu64, p->images);
	buf_puts(ret, " images");
}

// "61.2MB of 383MB, 45.2MB/s, 7s left, 12 of 190 images".
static void describe(struct buf *ret, const struct progress *p, uint64_t now)
{
	double speed = rate(p, now);

	if (p->total > 0)
		buf_printf(ret, "%s of ", gofmt_decimal((double)done_of_total(p)).s);
	buf_puts(ret, gofmt_decimal((double)(p->total > 0 ? p->total : p->done)).s);
	if (speed > 0)
		buf_printf(ret, ", %s/s", gofmt_decimal(speed).s);
	if (speed > 0 && p->total > 0) {
		double left = (double)(p->total - done_of_total(p)) / speed;

		if (left < LEFT_MAX_S)
			buf_printf(ret, ", %s left",
				   gofmt_duration((int64_t)(left + 0.5) * 1000000000).s);
	}
	describe_images(ret, p);
}

static bool has_news(const struct progress *p)
{
	return p->total > 0 || p->done > 0 || p->images_done > 0;
}

static void draw(struct buf *ret, struct progress *p, uint64_t now)
{
	auto_buf struct buf line = BUF_INIT(BUF_TEXT_MAX);
	unsigned columns = columns_now(p);

	if (!has_news(p))
		return;
	if (p->total > 0) {
		buf_printf(&line, "%3u%%",
			   (unsigned)((double)done_of_total(p) * 100 / (double)p->total));
		if (columns >= BAR_FROM_COLUMNS)
			bar(&line, done_of_total(p), p->total);
		buf_puts(&line, "  ");
	}
	describe(&line, p, now);
	// The last column stays free: some terminals wrap when it is written.
	size_t room = columns > 1 ? columns - 1 : 1;

	buf_put(ret, line.p, line.n < room ? line.n : room);
	p->drawn = true;
	p->drawn_at = now;
}

static void erase(struct buf *ret, struct progress *p)
{
	if (p->drawn)
		buf_puts(ret, "\r\033[K");
	p->drawn = false;
}

static void flush(struct progress *p, const struct buf *out)
{
	if (out->n == 0)
		return;
	fwrite(out->p, 1, out->n, p->out);
	fflush(p->out);
}

// Prints whole lines above the display. The caller holds the lock.
static void print_locked(struct progress *p, struct str text)
{
	auto_buf struct buf out = BUF_INIT(BUF_TEXT_MAX);
	bool redraw = p->drawn;

	erase(&out, p);
	text_clean(&out, text);
	if (redraw)
		draw(&out, p, p->clock());
	flush(p, &out);
}

static void line_locked(struct progress *p, const char *fmt, ...) printf_like(2, 3);
static void line_locked(struct progress *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	auto_free char *text = xvasprintf(fmt, ap);
	va_end(ap);
	auto_free char *line = xasprintf("%s\n", text);

	print_locked(p, str_of(line));
}

void progress_text(struct progress *p, struct str text)
{
	pthread_mutex_lock(&p->lock);
	print_locked(p, text);
	pthread_mutex_unlock(&p->lock);
}

void progress_line(struct progress *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	auto_free char *text = xvasprintf(fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&p->lock);
	line_locked(p, "%s", text);
	pthread_mutex_unlock(&p->lock);
}

static void on_line(void *arg, const char *text)
{
	progress_line(arg, "%s", text);
}

struct say progress_say(struct progress *p)
{
	return (struct say){on_line, p};
}

static void tick_locked(struct progress *p)
{
	uint64_t now = p->clock();

	if (p->settled)
		return;
	sample(p, now);
	if (p->live && (!p->drawn || now - p->drawn_at >= DRAW_US)) {
		auto_buf struct buf out = BUF_INIT(BUF_TEXT_MAX);

		erase(&out, p);
		draw(&out, p, now);
		flush(p, &out);
	} else if (!p->live && now - p->summary_at >= SUMMARY_US) {
		auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

		p->summary_at = now;
		if (!has_news(p))
			return;
		describe(&text, p, now);
		line_locked(p, "info: %s", text.p);
	}
}

void progress_tick(struct progress *p)
{
	pthread_mutex_lock(&p->lock);
	tick_locked(p);
	pthread_mutex_unlock(&p->lock);
}

static void retry_locked(struct progress *p, const char *what, const struct err *why,
			 unsigned wait_ms)
{
	uint64_t dropped = p->retries.dropped;

	if (!bucket_take(&p->retries, p->clock()))
		return;
	if (dropped > 0)
		line_locked(p, "warning: %" PRIu64 " more retries", dropped);
	p->retries.dropped = 0;
	auto_buf struct buf line = BUF_INIT(BUF_TEXT_MAX);
	const char *url = what ? strchr(what, ' ') : NULL; // behind the method

	buf_puts(&line, "warning: ");
	if (what && *what && !(url && strstr(why->text, url + 1)))
		buf_printf(&line, "%s: ", what);
	buf_printf(&line, "%s, retrying", why->text);
	if (wait_ms > 0)
		buf_printf(&line, " in %s",
			   gofmt_duration(gofmt_round((int64_t)wait_ms * 1000000, 100000000)).s);
	line_locked(p, "%s", line.p);
}

void progress_retry(void *arg, const char *what, const struct err *why, unsigned wait_ms)
{
	struct progress *p = arg;

	pthread_mutex_lock(&p->lock);
	retry_locked(p, what, why, wait_ms);
	pthread_mutex_unlock(&p->lock);
}

// "uploading: DST DIGEST SIZE", where somebody reads lines and they are not too many.
static void blob_line(struct progress *p, const char *what, const struct transfer_event *ev)
{
	if (p->live || ev->size < BIG_BLOB || !ev->dst || !ev->digest)
		return;
	uint64_t dropped = p->uploads.dropped;

	if (!bucket_take(&p->uploads, p->clock()))
		return;
	if (dropped > 0)
		line_locked(p, "info: and %" PRIu64 " more blobs", dropped);
	p->uploads.dropped = 0;
	auto_free char *dst = repo_print(ev->dst);

	line_locked(p, "%s: %s %s %s", what, dst, ev->digest->text, gofmt_binary(ev->size).s);
}

static bool has_prefix(const char *text)
{
	return starts_with(text, "info: ") || starts_with(text, "warning: ") ||
	       starts_with(text, "error: ") || starts_with(text, "note: ");
}

// Each failure once: hundreds of blobs may fail for one reason.
static void failed_locked(struct progress *p, const char *text)
{
	bool fresh = true;

	if (p->errors.n < ERRORS_MAX)
		map_put(&p->errors, str_of(text), &fresh);
	else
		fresh = !map_find(&p->errors, str_of(text));
	if (fresh)
		line_locked(p, "%s%s", starts_with(text, "error: ") ? "" : "error: ", text);
}

static void blob_over(struct progress *p, uint64_t size)
{
	p->blobs_done++;
	p->done += size;
}

static void event_locked(struct progress *p, const struct transfer_event *ev)
{
	switch (ev->type) {
	case TRANSFER_PLANNED:
		if (ev->is_manifest) {
			p->images++;
		} else {
			p->blobs++;
			p->total += ev->size;
		}
		break;
	case TRANSFER_BLOB_START:
		p->active++;
		blob_line(p, "uploading", ev);
		break;
	case TRANSFER_BLOB_BYTES:
		p->moved += ev->size;
		p->done += ev->size;
		break;
	case TRANSFER_BLOB_DONE:
		p->active -= p->active > 0;
		p->blobs_done++;
		break;
	case TRANSFER_BLOB_MOUNTED:
		blob_over(p, ev->size);
		blob_line(p, "mounted", ev);
		break;
	case TRANSFER_BLOB_PRESENT:
		blob_over(p, ev->size);
		break;
	case TRANSFER_RETRIED:
		retry_locked(p, ev->text, ev->error, 0);
		break;
	case TRANSFER_IMAGE_PRESENT: // was never planned
		p->images++;
		p->images_done++;
		break;
	case TRANSFER_IMAGE_DONE:
		p->images_done++;
		break;
	case TRANSFER_MISSING:
		if (ev->error)
			line_locked(p, "warning: Image %s will not be mirrored: %s", ev->text,
				    ev->error->text);
		else
			line_locked(p, "warning: Image %s does not exist and will not be mirrored",
				    ev->text);
		break;
	case TRANSFER_FAILED:
		failed_locked(p, ev->error->text);
		break;
	case TRANSFER_NOTICE:
		line_locked(p, "%s%s", has_prefix(ev->text) ? "" : "info: ", ev->text);
		break;
	}
}

static void on_event(struct transfer_sink *s, const struct transfer_event *ev)
{
	struct progress *p = (struct progress *)s;

	pthread_mutex_lock(&p->lock);
	event_locked(p, ev);
	pthread_mutex_unlock(&p->lock);
}

struct transfer_sink *progress_sink(struct progress *p)
{
	return &p->sink;
}

void progress_add(struct progress *p, uint64_t bytes)
{
	pthread_mutex_lock(&p->lock);
	p->done += bytes;
	p->moved += bytes;
	pthread_mutex_unlock(&p->lock);
}

void progress_settle(struct progress *p)
{
	auto_buf struct buf out = BUF_INIT(BUF_TEXT_MAX);

	pthread_mutex_lock(&p->lock);
	p->settled = true;
	erase(&out, p);
	flush(p, &out);
	if (p->uploads.dropped > 0)
		line_locked(p, "info: and %" PRIu64 " more blobs", p->uploads.dropped);
	if (p->retries.dropped > 0)
		line_locked(p, "warning: %" PRIu64 " more retries", p->retries.dropped);
	p->uploads.dropped = p->retries.dropped = 0;
	pthread_mutex_unlock(&p->lock);
}

static void on_cancel(void *arg)
{
	progress_line(arg, "info: interrupted, stopping; what is complete is kept "
			   "(interrupt again to stop at once)");
}

static void *tick_forever(void *arg)
{
	struct progress *p = arg;
	uint64_t period = p->live ? DRAW_US : SECOND_US;

	pthread_mutex_lock(&p->lock);
	while (!p->stop) {
		struct timespec until;

		clock_gettime(CLOCK_MONOTONIC, &until);
		uint64_t ns = (uint64_t)until.tv_nsec + period * 1000;

		until.tv_sec += (time_t)(ns / 1000000000);
		until.tv_nsec = (long)(ns % 1000000000);
		pthread_cond_timedwait(&p->wake, &p->lock, &until);
		if (!p->stop)
			tick_locked(p);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

struct progress *progress_new(const struct progress_config *cfg)
{
	struct progress *p = xcalloc(1, sizeof(*p));
	pthread_condattr_t attr;

	p->sink.event = on_event;
	p->out = cfg->out;
	p->live = cfg->live;
	p->columns = cfg->columns;
	p->clock = cfg->clock ? cfg->clock : clock_us;
	p->cancel = cfg->cancel;
	p->summary_at = p->clock();
	p->uploads = (struct bucket){.left = 60, .max = 60, .per_second = 10};
	p->retries = (struct bucket){.left = 20, .max = 20, .per_second = 2};
	p->uploads.since = p->retries.since = p->summary_at;
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->wake, &attr);
	pthread_condattr_destroy(&attr);
	p->watch = (struct cancel_watch){.wake = on_cancel, .arg = p};
	cancel_watch(p->cancel, &p->watch);
	// Without the thread the display stands still: no reason to fail.
	p->ticking = cfg->ticker && pthread_create(&p->ticker, NULL, tick_forever, p) == 0;
	return p;
}

void progress_free(struct progress *p)
{
	if (!p)
		return;
	cancel_unwatch(p->cancel, &p->watch);
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	if (p->ticking)
		pthread_join(p->ticker, NULL);
	progress_settle(p);
	map_release(&p->errors);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
