// SPDX-License-Identifier: Apache-2.0
// The parallel reader, fed with files that no image would hold.
#include "catalog/fbc_reader.h"

#include <stdio.h>

#include "catalog/read.h"
#include "tap.h"
#include "util/mem.h"

static struct err e;

// A file that is made while it is read: HEAD, then BODY so many times, then TAIL.
struct made {
	const char *head, *body, *tail;
	size_t times;
	size_t at, step;       // where reading is; bytes at a time, 0: as many as fit
	struct cancel *cancel; // fired by the first read
	bool fails;            // at the end
};

// HEAD, BODY, TAIL, TIMES, then others by name.
#define MADE(h, b, t, ...) \
	((struct made){.head = (h), .body = (b), .tail = (t), .times = __VA_ARGS__})

static char made_byte(const struct made *m, size_t at)
{
	size_t head = strlen(m->head), body = strlen(m->body) * m->times;

	if (at < head)
		return m->head[at];
	at -= head;
	return at < body ? m->body[at % strlen(m->body)] : m->tail[at - body];
}

static ssize_t read_made(void *source, void *data, size_t n, struct err *why)
{
	struct made *m = source;
	size_t size = strlen(m->head) + strlen(m->body) * m->times + strlen(m->tail), i = 0;

	if (m->cancel)
		cancel_fire(m->cancel);
	if (m->at == size && m->fails)
		return err_set(why, ERR_NET, "connection lost");
	if (m->step && n > m->step)
		n = m->step;
	for (; i < n && m->at < size; i++)
		((char *)data)[i] = made_byte(m, m->at++);
	return (ssize_t)i;
}

static int add(struct fbc_reader *r, const char *path, struct made m)
{
	return fbc_reader_file(r, path, read_made, &m, &e);
}

static int add_text(struct fbc_reader *r, const char *path, const char *text)
{
	return add(r, path, MADE(text, "", "", 0, .step = 3));
}

static struct fbc_reader *reader(unsigned threads, struct cancel *cancel)
{
	const struct fbc_reader_config cfg = {
		.threads = threads, .tree_path = "/configs/", .cancel = cancel};

	return fbc_reader_new(&cfg, &e);
}

// Image texts in one line, or the error. Caller frees.
static char *finish(struct fbc_reader *r)
{
	auto_of(collect_free) struct collect *c = collect_new();
	auto_buf struct buf b = BUF_INIT(BUF_TEXT_MAX);
	auto_catalog struct catalog got = {0};

	if (fbc_reader_finish(r, c, &e) < 0)
		return xasprintf("error: %s", e.text);
	collect_finish(c, &got);
	for (size_t i = 0; i < got.nimages; i++)
		buf_printf(&b, "%s%s", i ? " " : "", got.images[i].text);
	return buf_take(&b);
}

#define IMAGE(name) "{\"image\":\"" name "\"}"

TEST(files_may_come_again_and_go)
{
	auto_of(fbc_reader_free) struct fbc_reader *r = reader(2, NULL);

	REQUIRE_OK(add_text(r, "a", IMAGE("q/old")));
	REQUIRE_OK(add_text(r, "a", IMAGE("q/a")));
	REQUIRE_OK(add_text(r, "b/c", IMAGE("q/bc")));
	REQUIRE_OK(add_text(r, "b/d", "{"));
	REQUIRE_OK(add_text(r, "bb", IMAGE("q/bb")));
	fbc_reader_gone(r, "b");
	REQUIRE_OK(add_text(r, "b/e", IMAGE("q/be")));
	fbc_reader_broken(r, "c", &(struct err){.kind = ERR_INPUT, .text = "no such thing"});
	REQUIRE_OK(add_text(r, "c", IMAGE("q/c")));
	auto_free char *got = finish(r);

	CHECK_STR(got, "q/a q/bb q/be q/c");
}

TEST(everything_can_go)
{
	auto_of(fbc_reader_free) struct fbc_reader *r = reader(2, NULL);

	REQUIRE_OK(add_text(r, ".indexignore", "*"));
	REQUIRE_OK(add_text(r, "a", IMAGE("q/a")));
	fbc_reader_gone(r, "");
	REQUIRE_OK(add_text(r, "b", IMAGE("q/b")));
	auto_free char *got = finish(r);

	CHECK_STR(got, "q/b");
}

TEST(many_documents_are_parsed_by_many_threads)
{
	for (unsigned threads = 0; threads <= 4; threads += 2) {
		auto_of(fbc_reader_free) struct fbc_reader *r = reader(threads, NULL);
		const struct made json = MADE("", IMAGE("q/a") "\n" IMAGE("q/b"), "", 20000);
		const struct made yaml = MADE("", "image: q/c\n---\n", "", 3000, .step = 1000);

		REQUIRE_OK(add(r, "a.json", json));
		REQUIRE_OK(add(r, "a.yaml", yaml));
		auto_free char *got = finish(r);

		CHECK_STR(got, "q/a q/b q/c");
	}
}

TEST(a_document_larger_than_the_queue_is_read)
{
	auto_of(fbc_reader_free) struct fbc_reader *r = reader(2, NULL);
	const struct made m =
		MADE("{\"a\":\"", "0123456789abcdef", "\",\"image\":\"q/a\"}" IMAGE("q/b"),
		     (CATALOG_DOCUMENT_MAX >> 4) - 2);

	REQUIRE_OK(add(r, "a.json", m));
	auto_free char *got = finish(r);

	CHECK_STR(got, "q/a q/b");
}

TEST(a_document_without_end_is_an_error_of_its_file)
{
	auto_of(fbc_reader_free) struct fbc_reader *r = reader(2, NULL);
	const struct made m = MADE("\n" IMAGE("q/a") "\n{\"a\":\"", "0123456789abcdef", "\"}",
				   CATALOG_DOCUMENT_MAX >> 4);

	REQUIRE_OK(add(r, "a.json", m));
	REQUIRE_OK(add_text(r, "b.json", IMAGE("q/b")));
	auto_free char *got = finish(r);

	CHECK_STR(got, "error: configs/a.json: document 2 (line 3): larger than 16777216 bytes");
}

TEST(it_costs_nothing_when_that_file_is_ignored)
{
	auto_of(fbc_reader_free) struct fbc_reader *r = reader(2, NULL);
	const struct made m = MADE("{", " ", "", CATALOG_DOCUMENT_MAX);

	REQUIRE_OK(add(r, "a.json", m));
	REQUIRE_OK(add_text(r, "b.json", IMAGE("q/b")));
	REQUIRE_OK(add_text(r, ".indexignore", "a.*"));
	auto_free char *got = finish(r);

	CHECK_STR(got, "q/b");
}

TEST(the_first_document_that_is_wrong_is_told)
{
	for (int run = 0; run < 20; run++) {
		auto_of(fbc_reader_free) struct fbc_reader *r = reader(4, NULL);
		const struct made m = MADE(IMAGE("q/a"), "\n{\"image\":5}", "\nnonsense", 300);

		REQUIRE_OK(add(r, "b", MADE("{", "", "", 0)));
		REQUIRE_OK(add(r, "a.json", m));
		auto_free char *got = finish(r);

		CHECK_STR(got, "error: configs/a.json: document 2 (line 2): image: not a string");
	}
}

TEST(a_slow_document_is_told_before_quick_ones_behind_it)
{
	for (int run = 0; run < 5; run++) {
		auto_of(fbc_reader_free) struct fbc_reader *r = reader(4, NULL);
		const struct made m = MADE("{\"a\":\"", "0123456789abcdef",
					   "\",\"image\":5}{\"image\":[]}{\"relatedImages\":5}",
					   (FBC_WAITING_MAX - 100) / 16);

		REQUIRE_OK(add(r, "a.json", m));
		auto_free char *got = finish(r);

		CHECK_STR(got, "error: configs/a.json: document 1 (line 1): image: not a string");
	}
}

TEST(patterns_have_a_ceiling_together)
{
	auto_of(fbc_reader_free) struct fbc_reader *r = reader(2, NULL);
	const struct made half = MADE("", "# nothing\n", "", FBC_IGNORE_MAX / 20);
	const struct made more = MADE("", "# nothing\n", "", FBC_IGNORE_MAX / 20 + 1);

	REQUIRE_OK(add(r, "a/.indexignore", half));
	REQUIRE_OK(add(r, "b/.indexignore", more));
	auto_free char *got = finish(r);

	CHECK_STR(got,
		  "error: configs/b/.indexignore: more than 4194304 bytes of .indexignore in all");
}

TEST(patterns_that_do_not_count_leave_room)
{
	auto_of(fbc_reader_free) struct fbc_reader *r = reader(2, NULL);
	const struct made half = MADE("", "# nothing\n", "", FBC_IGNORE_MAX / 20);

	for (int i = 0; i < 3; i++)
		REQUIRE_OK(add(r, ".indexignore", half));
	REQUIRE_OK(add(r, "a/.indexignore", half));
	fbc_reader_gone(r, "a");
	REQUIRE_OK(add(r, "b/.indexignore", half));
	auto_free char *got = finish(r);

	CHECK_STR(got, "");
}

TEST(patterns_that_are_wrong_name_their_file)
{
	auto_of(fbc_reader_free) struct fbc_reader *r = reader(2, NULL);

	REQUIRE_OK(add(r, "a/.indexignore", MADE("x\n", "y", "", 4097)));
	auto_free char *got = finish(r);

	CHECK_STR(got, "error: configs/a/.indexignore: line 2: longer than 4096 bytes");
}

TEST(a_source_that_fails_ends_everything)
{
	auto_of(fbc_reader_free) struct fbc_reader *r = reader(2, NULL);

	CHECK_FAILS(add(r, "a", MADE("", IMAGE("q/a"), "", 1000, .fails = true)));
	CHECK_INT(e.kind, ERR_NET);
	CHECK_FAILS(add(r, ".indexignore", MADE("a\n", "", "", 0, .fails = true)));
	CHECK_INT(e.kind, ERR_NET);
}

TEST(interrupting_ends_everything)
{
	struct cancel cancel = CANCEL_INIT;
	auto_of(fbc_reader_free) struct fbc_reader *r = reader(2, &cancel);
	auto_of(collect_free) struct collect *c = collect_new();

	CHECK_FAILS(add(r, "a", MADE("", IMAGE("q/a"), "", 1000, .cancel = &cancel)));
	CHECK_INT(e.kind, ERR_CANCELLED);
	CHECK_FAILS(fbc_reader_finish(r, c, &e));
	CHECK_INT(e.kind, ERR_CANCELLED);
}

TEST(a_reader_can_be_given_up_with_documents_waiting)
{
	for (int run = 0; run < 20; run++) {
		auto_of(fbc_reader_free) struct fbc_reader *r = reader(1, NULL);
		const struct made m = MADE("", IMAGE("q/a"), "", 200);

		CHECK_OK(add(r, "a", m));
		CHECK_OK(add(r, "b", m));
		fbc_reader_gone(r, "b");
	}
}

int main(void)
{
	return tap_main();
}
