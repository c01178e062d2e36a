// SPDX-License-Identifier: Apache-2.0
#include "cmd/access_log.h"

#include "tap.h"
#include "util/fs.h"
#include "util/mem.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOON = 1795348800 }; // 2026-11-22T12:00:00Z

static int64_t noon(void)
{
	return NOON;
}

static const struct api_access pull = {
	.peer = "192.0.2.7",
	.user = "",
	.method = {"GET", 3},
	.path = {"/v2/a/manifests/v1", 18},
	.status = 200,
	.sent = 1234,
	.microseconds = 12567,
	.complete = true,
	.agent = {"skopeo/1.9.3", 12},
};

static char *format(const struct api_access *line)
{
	struct buf text = BUF_INIT(BUF_TEXT_MAX);

	access_log_format(&text, line, NOON);
	return buf_take(&text);
}

TEST(a_line_has_time_client_user_request_status_bytes_duration_and_agent)
{
	struct api_access push = pull;
	auto_free char *a = format(&pull);

	CHECK_STR(
		a,
		"2026-11-22T12:00:00Z 192.0.2.7 - GET /v2/a/manifests/v1 200 0 1234 12.5ms \"skopeo/1.9.3\"\n");
	push.user = "alice";
	push.method = STR("PUT");
	push.received = 99;
	push.sent = 0;
	push.status = 201;
	auto_free char *b = format(&push);

	CHECK_STR(
		b,
		"2026-11-22T12:00:00Z 192.0.2.7 alice PUT /v2/a/manifests/v1 201 99 0 12.5ms \"skopeo/1.9.3\"\n");
}

TEST(an_answer_that_did_not_arrive_is_marked)
{
	struct api_access line = pull;

	line.complete = false;
	auto_free char *text = format(&line);

	CHECK(ends_with(text, "\"skopeo/1.9.3\" broken\n"));
}

// What a client sends must not make a second line, move the cursor, or shift the words.
static const struct {
	const char *path, *agent, *wanted;
} hostile[] = {
	{"/v2/a b", "x", " GET /v2/a\\x20b 200 0 1234 12.5ms \"x\"\n"},
	{"/v2/\x1b[2J", "x", " GET /v2/\\x1b[2J 200 0 1234 12.5ms \"x\"\n"},
	{"/v2/\\\xff", "x", " GET /v2/\\x5c\\xff 200 0 1234 12.5ms \"x\"\n"},
	{"/\"", "x", " GET /\\x22 200 0 1234 12.5ms \"x\"\n"},
	{"", "x", " GET - 200 0 1234 12.5ms \"x\"\n"},
	{"/a", "\" 200\n2026", " GET /a 200 0 1234 12.5ms \"\\\" 200\\n2026\"\n"},
	{"/a", "\x1b]0;t\a", " GET /a 200 0 1234 12.5ms \"\\x1b]0;t\\a\"\n"},
	{"/a", "", " GET /a 200 0 1234 12.5ms \"\"\n"},
	{"/v2/a/blobs/uploads/?digest=sha256:0&token=secret", "x",
	 " GET /v2/a/blobs/uploads/ 200 0 1234 12.5ms \"x\"\n"},
};

TEST(what_clients_chose_is_escaped_and_query_strings_are_left_out)
{
	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
		struct api_access line = pull;

		line.path = str_of(hostile[i].path);
		line.agent = str_of(hostile[i].agent);
		auto_free char *text = format(&line);

		tap_report(ends_with(text, hostile[i].wanted), "%s, want %s", text,
			   hostile[i].wanted);
	}
}

TEST(long_text_is_cut)
{
	char long_text[8192];
	struct api_access line = pull;

	memset(long_text, 0x7f, sizeof(long_text));
	line.path = line.agent = line.method = (struct str){long_text, sizeof(long_text)};
	auto_free char *text = format(&line);

	CHECK(strlen(text) < 8192);
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

TEST(every_line_is_written_by_the_time_the_log_has_stopped)
{
	char *text = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&text, &n);
	struct access_log_config cfg = {.to = to, .now = noon};
	struct access_log *log;
	struct err e;

	REQUIRE_OK(access_log_start(&log, &cfg, &e));
	for (int i = 0; i < 1000; i++)
		access_log_add(log, &pull);
	access_log_stop(log);
	fclose(to);
	CHECK_INT(count_lines(text), 1000);
	CHECK(starts_with(text, "2026-11-22T12:00:00Z 192.0.2.7 - GET "));
	free(text);
}

static void *drain(void *arg)
{
	char piece[4096];
	const int *fd = arg;
	struct buf *all = xcalloc(1, sizeof(*all));
	ssize_t n;

	*all = (struct buf)BUF_INIT(BUF_TEXT_MAX);
	while ((n = read(*fd, piece, sizeof(piece))) > 0)
		buf_put(all, piece, (size_t)n);
	return all;
}

TEST(a_log_that_nobody_reads_stops_no_request_and_counts_what_it_lost)
{
	struct access_log *log;
	pthread_t reader;
	int fds[2];
	struct err e;

	CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
	FILE *to = fdopen(fds[1], "w");
	struct access_log_config cfg = {.to = to, .now = noon};

	REQUIRE_OK(access_log_start(&log, &cfg, &e));
	// A pipe holds 64 KiB, the log 1 MiB: these are more.
	for (int i = 0; i < 40000; i++)
		access_log_add(log, &pull);
	CHECK_INT(pthread_create(&reader, NULL, drain, &fds[0]), 0);
	access_log_stop(log);
	fclose(to);
	void *result = NULL;

	pthread_join(reader, &result);
	struct buf *all = result;

	CHECK(strstr(all->p, " lines were lost: this log is read too slowly\n") != NULL);
	CHECK(count_lines(all->p) < 40000);
	buf_free(all);
	free(all);
	close(fds[0]);
}

static size_t size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (size_t)st.st_size : 0;
}

TEST(after_a_rename_lines_go_to_a_new_file_of_the_old_name)
{
	char dir[] = "/tmp/test-access-log-XXXXXX";

	CHECK(mkdtemp(dir) != NULL);
	auto_free char *path = path_join(dir, "access.log"), *old = path_join(dir, "access.log.1");
	struct access_log_config cfg = {.file = path, .now = noon};
	struct access_log *log;
	struct err e;

	REQUIRE_OK(access_log_start(&log, &cfg, &e));
	CHECK_INT(rename(path, old), 0);
	CHECK_OK(access_log_reopen(log, &e));
	access_log_add(log, &pull);
	access_log_stop(log);
	CHECK_INT(size_of(old), 0);
	CHECK(size_of(path) > 0);
	// Appended to, not begun anew.
	size_t before = size_of(path);

	REQUIRE_OK(access_log_start(&log, &cfg, &e));
	access_log_add(log, &pull);
	access_log_stop(log);
	CHECK_INT(size_of(path), 2 * before);
	unlink(old);
	unlink(path);
	rmdir(dir);
}

TEST(a_log_that_cannot_be_opened_is_an_error_with_its_name)
{
	struct access_log_config cfg = {.file = "/nonexistent/access.log", .now = noon};
	struct access_log *log;
	struct err e;

	CHECK_FAILS(access_log_start(&log, &cfg, &e));
	CHECK_STR(e.text,
		  "cannot open access log '/nonexistent/access.log': no such file or directory");
}

int main(void)
{
	return tap_main();
}
