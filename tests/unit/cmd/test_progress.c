// SPDX-License-Identifier: Apache-2.0
#include "cmd/progress.h"

#include "tap.h"
#include "util/mem.h"

#include <pthread.h>
#include <stdlib.h>

static uint64_t now_us;

static uint64_t fake_clock(void)
{
	return now_us;
}

// A display that writes into memory, at a time that tests move.
struct screen {
	FILE *file;
	char *text;
	size_t size;
	struct progress *p;
};

static void screen_open(struct screen *s, bool live, unsigned columns, struct cancel *cancel)
{
	*s = (struct screen){0};
	now_us = 1000000;
	s->file = open_memstream(&s->text, &s->size);
	fflush(s->file);
	s->p = progress_new(&(struct progress_config){.out = s->file,
						      .live = live,
						      .columns = columns,
						      .clock = fake_clock,
						      .cancel = cancel});
}

static void screen_free(struct screen *s)
{
	progress_free(s->p);
	fclose(s->file);
	free(s->text);
}

static struct place place = {.kind = PLACE_REGISTRY, .name = "reg:5000"};
static struct repo repo = {.place = &place, .name = "org/img"};

static void event(struct screen *s, enum transfer_event_type type, uint64_t size)
{
	static struct digest d;

	digest_of(&d, DIGEST_SHA256, "x", 1);
	struct transfer_event ev = {
		.type = type, .src = &repo, .dst = &repo, .digest = &d, .size = size};

	progress_sink(s->p)->event(progress_sink(s->p), &ev);
}

static void plan_images(struct screen *s, int n)
{
	struct transfer_event ev = {.type = TRANSFER_PLANNED, .dst = &repo, .is_manifest = true};

	while (n-- > 0)
		progress_sink(s->p)->event(progress_sink(s->p), &ev);
}

static void tell(struct screen *s, enum transfer_event_type type, const char *text)
{
	struct err e;

	err_set(&e, ERR_NET, "%s", text);
	struct transfer_event ev = {
		.type = type, .text = text, .error = type == TRANSFER_FAILED ? &e : NULL};

	progress_sink(s->p)->event(progress_sink(s->p), &ev);
}

TEST(in_a_pipe_big_uploads_have_the_line_of_the_reference_and_small_ones_none)
{
	struct screen s;

	screen_open(&s, false, 0, NULL);

	event(&s, TRANSFER_BLOB_START, 504);
	event(&s, TRANSFER_BLOB_START, 41336);
	event(&s, TRANSFER_BLOB_MOUNTED, 41336);
	CHECK_STR(
		s.text,
		"uploading: reg:5000/org/img sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 40.37KiB\n"
		"mounted: reg:5000/org/img sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 40.37KiB\n");
	screen_free(&s);
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	for (; (text = strchr(text, '\n')); text++)
		n++;
	return n;
}

TEST(thousands_of_uploads_at_once_are_thinned_out_and_counted)
{
	struct screen s;

	screen_open(&s, false, 0, NULL);

	for (int i = 0; i < 1000; i++)
		event(&s, TRANSFER_BLOB_START, 1 << 20);
	CHECK(count_lines(s.text) >= 10);
	CHECK(count_lines(s.text) <= 100);
	size_t before = s.size;

	now_us += 1000000;
	event(&s, TRANSFER_BLOB_START, 1 << 20);
	CHECK(strstr(s.text + before, "info: and 940 more blobs\n") != NULL);
	screen_free(&s);
}

TEST(a_long_run_in_a_pipe_says_every_ten_seconds_where_it_is)
{
	struct screen s;

	screen_open(&s, false, 0, NULL);

	plan_images(&s, 3);
	event(&s, TRANSFER_PLANNED, 4000000);
	event(&s, TRANSFER_BLOB_BYTES, 1000000);
	event(&s, TRANSFER_IMAGE_DONE, 0);
	progress_tick(s.p);
	CHECK_STR(s.text, "");
	now_us += 10000000;
	progress_tick(s.p);
	CHECK_STR(s.text, "info: 1MB of 4MB, 1 of 3 images\n");
	screen_free(&s);
}

TEST(the_live_line_tells_bytes_rate_time_left_and_images_within_the_width)
{
	struct screen s;

	screen_open(&s, true, 100, NULL);

	plan_images(&s, 190);
	event(&s, TRANSFER_PLANNED, 100000000);
	progress_tick(s.p);
	size_t before = s.size;

	for (int i = 0; i < 5; i++) {
		now_us += 1000000;
		event(&s, TRANSFER_BLOB_BYTES, 10000000);
	}
	event(&s, TRANSFER_IMAGE_DONE, 0);
	progress_tick(s.p);
	CHECK_STR(s.text + before, "\r\033[K 50% [==========>         ]  50MB of 100MB, 10MB/s, 5s "
				   "left, 1 of 190 images");
	screen_free(&s);
	screen_open(&s, true, 20, NULL);
	event(&s, TRANSFER_PLANNED, 100000000);
	progress_tick(s.p);
	CHECK_STR(s.text, "  0%  0B of 100MB");
	screen_free(&s);
	screen_open(&s, true, 10, NULL);
	event(&s, TRANSFER_PLANNED, 100000000);
	progress_tick(s.p);
	CHECK_INT(strlen(s.text), 9);
	screen_free(&s);
}

TEST(the_live_line_is_redrawn_ten_times_a_second_at_most)
{
	struct screen s;

	screen_open(&s, true, 80, NULL);

	event(&s, TRANSFER_PLANNED, 1000);
	progress_tick(s.p);
	size_t before = s.size;

	now_us += 50000;
	progress_tick(s.p);
	CHECK_INT(s.size, before);
	now_us += 50000;
	progress_tick(s.p);
	CHECK(s.size > before);
	screen_free(&s);
}

TEST(lines_go_above_the_live_line_which_is_gone_at_the_end)
{
	struct screen s;

	screen_open(&s, true, 80, NULL);

	event(&s, TRANSFER_PLANNED, 1000);
	progress_tick(s.p);
	size_t before = s.size;

	progress_line(s.p, "info: %s", "hello");
	CHECK_STR(s.text + before, "\r\033[Kinfo: hello\n  0%  0B of 1kB");
	before = s.size;
	progress_free(s.p);
	fflush(s.file);
	CHECK_STR(s.text + before, "\r\033[K");
	fclose(s.file);
	free(s.text);
}

TEST(a_failure_is_told_once_however_many_blobs_meet_it)
{
	struct screen s;

	screen_open(&s, false, 0, NULL);

	tell(&s, TRANSFER_FAILED, "no such host");
	tell(&s, TRANSFER_FAILED, "no such host");
	tell(&s, TRANSFER_FAILED, "error: another");
	CHECK_STR(s.text, "error: no such host\nerror: another\n");
	screen_free(&s);
}

TEST(people_read_what_is_missing_noticed_and_repeated)
{
	struct screen s;

	screen_open(&s, false, 0, NULL);
	struct err why;

	tell(&s, TRANSFER_MISSING, "quay.io/a/b:c");
	err_set(&why, ERR_INPUT, "refused");
	struct transfer_event sparse = {
		.type = TRANSFER_MISSING, .text = "quay.io/a/b:d", .error = &why};

	progress_sink(s.p)->event(progress_sink(s.p), &sparse);
	tell(&s, TRANSFER_NOTICE, "plain");
	tell(&s, TRANSFER_NOTICE, "warning: beware");
	err_set(&why, ERR_NET, "connection reset by peer");
	progress_retry(s.p, "GET https://h/v2/", &why, 2049);
	err_set(&why, ERR_NET, "Get \"https://h/v2/\": EOF");
	progress_retry(s.p, "GET https://h/v2/", &why, 500);
	CHECK_STR(s.text, "warning: Image quay.io/a/b:c does not exist and will not be mirrored\n"
			  "warning: Image quay.io/a/b:d will not be mirrored: refused\n"
			  "info: plain\n"
			  "warning: beware\n"
			  "warning: GET https://h/v2/: connection reset by peer, retrying in 2s\n"
			  "warning: Get \"https://h/v2/\": EOF, retrying in 500ms\n");
	screen_free(&s);
}

TEST(text_from_outside_cannot_steer_the_terminal)
{
	struct screen s;

	screen_open(&s, false, 0, NULL);

	progress_line(s.p, "a\033[2Jb\rc\xc2\x9b"
			   "1md\te\x7f\xc3\xa4");
	CHECK_STR(s.text, "a?[2Jb?c?1md\te?\xc3\xa4\n");
	screen_free(&s);
}

TEST(images_are_counted_also_where_nobody_knows_how_many_there_will_be)
{
	struct screen s;

	screen_open(&s, true, 80, NULL);
	event(&s, TRANSFER_IMAGE_DONE, 0);
	event(&s, TRANSFER_IMAGE_DONE, 0);
	progress_tick(s.p);
	CHECK_STR(s.text, "0B, 2 images");
	screen_free(&s);
	screen_open(&s, true, 80, NULL);
	event(&s, TRANSFER_IMAGE_PRESENT, 0);
	progress_tick(s.p);
	CHECK_STR(s.text, "0B, 1 of 1 images");
	screen_free(&s);
}

TEST(once_settled_nothing_is_drawn_and_what_was_left_out_is_counted)
{
	struct screen s;

	screen_open(&s, false, 0, NULL);
	for (int i = 0; i < 100; i++)
		event(&s, TRANSFER_BLOB_START, 1 << 20);
	size_t before = s.size;

	progress_settle(s.p);
	CHECK_STR(s.text + before, "info: and 40 more blobs\n");
	screen_free(&s);
	screen_open(&s, true, 80, NULL);
	progress_add(s.p, 1000);
	progress_tick(s.p);
	progress_settle(s.p);
	now_us += 1000000;
	progress_tick(s.p);
	fflush(s.file);
	CHECK_STR(s.text, "1kB\r\033[K");
	screen_free(&s);
}

enum { WRITERS = 4, LINES_EACH = 500 };

static void *write_lines(void *arg)
{
	for (int i = 0; i < LINES_EACH; i++)
		progress_line(arg, "%s", "one whole line");
	return NULL;
}

TEST(lines_of_many_threads_never_tear)
{
	struct screen s = {0};
	pthread_t threads[WRITERS];
	size_t whole = 0;

	s.file = open_memstream(&s.text, &s.size);
	s.p = progress_new(&(struct progress_config){.out = s.file, .live = true, .ticker = true});
	event(&s, TRANSFER_PLANNED, 1000);
	for (size_t i = 0; i < WRITERS; i++)
		pthread_create(&threads[i], NULL, write_lines, s.p);
	for (size_t i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	progress_free(s.p);
	fflush(s.file);
	for (const char *at = s.text; (at = strstr(at, "one whole line\n")); at++)
		whole++;
	CHECK_INT(whole, WRITERS * LINES_EACH);
	fclose(s.file);
	free(s.text);
}

TEST(an_interruption_is_acknowledged)
{
	struct screen s;
	struct cancel cancel = CANCEL_INIT;

	screen_open(&s, false, 0, &cancel);
	cancel_fire(&cancel);
	CHECK(strncmp(s.text, "info: interrupted, stopping", 27) == 0);
	screen_free(&s);
}

TEST(text_from_outside_neither_steers_a_terminal_nor_turns_text_around)
{
	static const struct {
		const char *text, *clean;
	} rows[] = {
		{"plain\ttext\n", "plain\ttext\n"},
		{"caf\xc3\xa9 \xe2\x80\x9cx\xe2\x80\x9d", "caf\xc3\xa9 \xe2\x80\x9cx\xe2\x80\x9d"},
		{"\x1b[31mred\a\r\b\x7f", "?[31mred????"},
		{"C1: \xc2\x9b[31m \xc2\xa0", "C1: ?[31m \xc2\xa0"},
		{"no UTF-8: \x9b \xff\xc3", "no UTF-8: ? ??"},
		{"\xe2\x80\xaegnp.exe \xe2\x81\xa6", "?gnp.exe ?"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buf clean = BUF_INIT(100);

		text_clean(&clean, str_of(rows[i].text));
		buf_putc(&clean, '\0');
		CHECK_STR(clean.p, rows[i].clean);
		buf_free(&clean);
	}
}

int main(void)
{
	return tap_main();
}
