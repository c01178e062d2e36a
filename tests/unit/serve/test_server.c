// SPDX-License-Identifier: Apache-2.0
#include "tap.h"

#include "http_fake.h"

#define GET(path)  "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"
#define HEAD(path) "HEAD " path " HTTP/1.1\r\nHost: x\r\n\r\n"

TEST(an_answer_has_the_headers_that_all_have)
{
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);
	auto_fd int fd = client(s);
	auto_answer struct answer a = ask(fd, GET("/text"));

	CHECK_INT(a.status, 200);
	CHECK_STR(a.body, "hello");
	CHECK_STR(a.head, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
			  "Docker-Distribution-API-Version: registry/2.0\r\n"
			  "X-Content-Type-Options: nosniff\r\n\r\n");
}

TEST(a_connection_is_kept)
{
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);
	auto_fd int fd = client(s);

	for (int i = 0; i < 50; i++) {
		auto_answer struct answer a = ask(fd, i % 2 ? GET("/text") : GET("/work"));

		CHECK_STR(a.body ? a.body : "", i % 2 ? "hello" : "worked");
	}
	CHECK_INT(fake.begun, 25);
}

TEST(pipelined_requests_are_answered_in_order)
{
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);
	auto_fd int fd = client(s);
	auto_buf struct buf all = BUF_INIT(BUF_TEXT_MAX);

	for (int i = 0; i < 40; i++)
		buf_puts(&all,
			 i % 3 ? GET("/text")
			       : "PUT /body HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
	CHECK(say(fd, all.p));
	for (int i = 0; i < 40; i++) {
		auto_answer struct answer a = hear(fd);

		CHECK_STR(a.body ? a.body : "", i % 3 ? "hello" : "0");
	}
}

TEST(a_head_may_come_byte_by_byte)
{
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);
	auto_fd int fd = client(s);
	const char *text = GET("/text");

	for (const char *p = text; *p; p++)
		say_bytes(fd, p, 1);
	auto_answer struct answer a = hear(fd);

	CHECK_STR(a.body ? a.body : "", "hello");
}

TEST(http_1_0_closes_unless_asked_not_to)
{
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);
	auto_fd int one = client(s), two = client(s);
	auto_answer struct answer a = ask(one, "GET /text HTTP/1.0\r\n\r\n");
	auto_answer struct answer b =
		ask(two, "GET /text HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");

	CHECK(strstr(a.head, "Connection: close\r\n"));
	CHECK(at_end(one));
	CHECK(strstr(b.head, "Connection: keep-alive\r\n"));
	auto_answer struct answer c = ask(two, GET("/text"));
	CHECK_INT(c.status, 200);
}

TEST(connection_close_is_honoured)
{
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);
	auto_fd int fd = client(s);
	auto_answer struct answer a =
		ask(fd, "GET /text HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

	CHECK(strstr(a.head, "Connection: close\r\n"));
	CHECK_STR(a.body, "hello");
	CHECK(at_end(fd));
}

TEST(head_has_the_length_and_no_body)
{
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);
	auto_fd int fd = client(s);

	say(fd, HEAD("/file") HEAD("/imagined") HEAD("/text") GET("/nothing") GET("/text"));
	CHECK_INT(hear_to(fd, false).length, FAKE_FILE_SIZE);
	CHECK_INT(hear_to(fd, false).length, 12345);
	CHECK_INT(hear_to(fd, false).length, 5);
	CHECK_INT(hear_to(fd, false).length, -1); // 204 has none
	auto_answer struct answer a = hear(fd);
	CHECK_STR(a.body ? a.body : "", "hello");
}

TEST(a_file_arrives_as_it_is)
{
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);
	auto_fd int fd = client(s);

	for (int i = 0; i < 3; i++) {
		auto_answer struct answer a = ask(fd, GET("/file"));

		CHECK_INT(a.n, FAKE_FILE_SIZE);
		CHECK(is_pattern(a.body, 0, a.n));
	}
	CHECK(fake_wait(&fake.complete, 3));
}

TEST(a_file_of_a_filesystem_that_cannot_be_read_without_waiting_arrives)
{
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);
	auto_fd int fd = client(s);
	auto_answer struct answer a = ask(fd, GET("/memory"));

	CHECK_INT(a.n, FAKE_FILE_SIZE);
	CHECK(is_pattern(a.body, 0, a.n));
}

// As the kernel sees it; the tests' file is dropped from its memory by that.
static bool in_memory(int fd)
{
	struct store_file file = {
		.size = FAKE_FILE_SIZE, .n = 1, .fds = &fd, .sizes = &(uint64_t){FAKE_FILE_SIZE}};

	return cold_probe(&file, 0) > 0;
}

static void drop_from_memory(int fd)
{
	fdatasync(fd);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

TEST(files_that_are_not_in_memory_are_read_in_one_after_the_other)
{
	struct server_tuning t = fake_tuning();

	t.cold_files = 1;
	auto_of(server_stop) struct server *s = fake_server(&t, NULL);
	int fds[12];

	drop_from_memory(fake.file);
	CHECK(!in_memory(fake.file));
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = client(s);
		say(fds[i], GET("/file"));
	}
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		auto_answer struct answer a = hear(fds[i]);

		CHECK(a.n == FAKE_FILE_SIZE && is_pattern(a.body, 0, a.n));
		close(fds[i]);
	}
	CHECK(in_memory(fake.file));
}

TEST(pieces_come_in_order)
{
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);
	auto_fd int fd = client(s);
	auto_answer struct answer a = ask(fd, GET("/pieces"));

	CHECK_INT(a.status, 206);
	CHECK_INT(a.length, 4 + 5 + 5 + 100000 + 4);
	CHECK(memcmp(a.body, "one:", 4) == 0);
	CHECK(is_pattern(a.body + 4, 100, 5));
	CHECK(memcmp(a.body + 9, ":two:", 5) == 0);
	CHECK(is_pattern(a.body + 14, FAKE_FILE_SIZE - 100000, 100000));
	CHECK_STR(a.body + 100014, ":end");
}

TEST(an_unreadable_file_cuts_the_answer)
{
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);
	auto_fd int fd = client(s);
	auto_answer struct answer a = ask(fd, GET("/truncated"));

	CHECK_INT(a.length, FAKE_FILE_SIZE);
	CHECK(a.n <= FAKE_FILE_SIZE / 2);
	CHECK(is_pattern(a.body, 0, a.n));
	CHECK(at_end(fd));
	CHECK_INT(fake.unreadable, 1);
	CHECK(fake_wait(&fake.done, 1));
	CHECK_INT(fake.complete, 0);
}

TEST(an_unreadable_file_is_replaced_in_its_middle)
{
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);
	auto_fd int fd = client(s);

	fake.replace = true;
	auto_answer struct answer a = ask(fd, GET("/truncated"));

	CHECK_INT(a.n, FAKE_FILE_SIZE);
	CHECK(is_pattern(a.body, 0, a.n));
	CHECK_INT(fake.unreadable, 1);
}

// ---- Bodies.

static struct answer put_body(int fd, const char *path, size_t n)
{
	auto_free char *head =
		xasprintf("PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", path, n);

	say(fd, head);
	say_pattern(fd, 0, n);
	return hear(fd);
}

TEST(a_body_with_a_length_reaches_the_service)
{
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);
	auto_fd int fd = client(s);
	static const size_t sizes[] = {0, 1, 1000, 64 * 1024, 64 * 1024 + 1, 5000000};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		auto_answer struct answer a = put_body(fd, "/body", sizes[i]);

		CHECK_INT(a.status, 201);
		CHECK_INT(strtoll(a.body ? a.body : "-1", NULL, 10), sizes[i]);
	}
}

static void say_chunk(int fd, uint64_t offset, size_t n)
{
	auto_free char *size = xasprintf("%zx;x=y\r\n", n);

	say(fd, size);
	say_pattern(fd, offset, n);
	say(fd, "\r\n");
}

TEST(a_chunked_body_reaches_the_service_and_what_follows_is_a_request)
{
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);
	auto_fd int fd = client(s);
	uint64_t sent = 0;

	say(fd, "PATCH /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (size_t n = 1; n < 600000; n = n * 3 + 1) {
		say_chunk(fd, sent, n);
		sent += n;
	}
	say(fd, "0\r\nTrailer: y\r\n\r\n" GET("/text"));
	auto_answer struct answer a = hear(fd), b = hear(fd);

	CHECK_INT(a.status, 201);
	CHECK_INT(strtoll(a.body ? a.body : "-1", NULL, 10), sent);
	CHECK_STR(b.body ? b.body : "", "hello");
}

TEST(a_malformed_chunk_ends_the_connection)
{
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);
	auto_fd int fd = client(s);

	say(fd, "PUT /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n");
	auto_answer struct answer a = hear(fd);

	CHECK_INT(a.status, 400);
	CHECK(at_end(fd));
	CHECK_INT(fake.broken, 1);
	CHECK_INT(fake.ended, 0);
}

TEST(the_service_hears_of_a_client_that_left)
{
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);
	int fd = client(s);

	say(fd, "PUT /body HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
	say_pattern(fd, 0, 70000);
	close(fd);
	CHECK(fake_wait(&fake.done, 1));
	CHECK_INT(fake.broken, 1);
	CHECK_INT(fake.received, 70000); // what came is not lost
	CHECK_INT(fake.complete, 0);
}

TEST(continue_is_said_when_the_body_is_wanted)
{
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);
	auto_fd int fd = client(s);

	say(fd, "PUT /body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: "
		"100-continue\r\n\r\n");
	CHECK_INT(hear_to(fd, false).status, 100);
	say_pattern(fd, 0, 5);
	auto_answer struct answer a = hear(fd);
	CHECK_INT(a.status, 201);
}

TEST(who_waits_for_continue_is_refused_without_it)
{
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);
	auto_fd int fd = client(s);
	auto_answer struct answer a =
		ask(fd, "PUT /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: "
			"100-continue\r\n\r\n");

	CHECK_INT(a.status, 403);
	CHECK(strstr(a.head, "Connection: close\r\n")); // the body may come or not
	CHECK(at_end(fd));
}

TEST(a_small_body_that_nobody_wants_is_read_past)
{
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);
	auto_fd int fd = client(s);
	auto_answer struct answer a = put_body(fd, "/refused", 60000);

	CHECK_INT(a.status, 403);
	auto_answer struct answer b = ask(fd, GET("/text"));
	CHECK_STR(b.body ? b.body : "", "hello");
}

TEST(the_refusal_of_a_large_body_is_seen_by_a_client_that_goes_on_sending)
{
	static const char *const paths[] = {"/refused", "/enough"};
	static const int status[] = {403, 413};
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		auto_fd int fd = client(s);
		auto_answer struct answer a = put_body(fd, paths[i], 400000);

		CHECK_INT(a.status, status[i]);
		CHECK(strstr(a.head, "Connection: close\r\n"));
		shutdown(fd, SHUT_WR);
		CHECK(at_end(fd));
	}
	CHECK_INT(fake.broken, 0);
}

TEST(a_service_that_waits_stops_the_sender)
{
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);
	auto_fd int fd = client(s);
	struct timeval soon = {.tv_usec = 300 * 1000};
	static const size_t size = 64u << 20;
	size_t sent = 0;

	say(fd, "PUT /stuck HTTP/1.1\r\nHost: x\r\nContent-Length: 67108864\r\n\r\n");
	CHECK(fake_wait(&fake.begun, 1));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon));
	while (sent < size && say_pattern(fd, sent, 16384))
		sent += 16384;
	CHECK(sent < size);
	CHECK(fake.received <= 65536);
	fake_gate(true);
	close(fd);
	fd = -1;
	CHECK(fake_wait(&fake.done, 1));
	CHECK_INT(fake.broken, 1);
}

TEST(many_bodies_share_the_slabs)
{
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);
	int fds[150];

	// Together they want more slabs than there are.
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		struct timeval now = {.tv_usec = 1000};

		fds[i] = client(s);
		say(fds[i], "PUT /gate-body HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\n\r\n");
		setsockopt(fds[i], SOL_SOCKET, SO_SNDTIMEO, &now, sizeof(now));
	}
	fake_gate(true);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		struct timeval patience = {.tv_sec = 20};

		setsockopt(fds[i], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
		CHECK(say_pattern(fds[i], 0, 400000));
	}
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		auto_answer struct answer a = hear(fds[i]);

		CHECK_INT(a.status, 201);
		close(fds[i]);
	}
}

// ---- Others.

TEST(a_client_that_does_not_read_holds_up_nobody)
{
	struct server_config cfg = {.threads = 1};
	auto_of(server_stop) struct server *s = fake_server(NULL, &cfg);
	int slow[32];

	for (size_t i = 0; i < ARRAY_SIZE(slow); i++) {
		slow[i] = client_from(s, "127.0.0.1", 4096);
		say(slow[i], GET("/file"));
	}
	auto_fd int fd = client(s);

	for (int i = 0; i < 20; i++) {
		auto_answer struct answer a = ask(fd, i % 2 ? GET("/file") : GET("/work"));

		CHECK_INT(a.status, 200);
		CHECK_INT(a.n, a.length);
	}
	for (size_t i = 0; i < ARRAY_SIZE(slow); i++) {
		auto_answer struct answer a = hear(slow[i]);

		CHECK(a.n == FAKE_FILE_SIZE && is_pattern(a.body, 0, a.n));
		close(slow[i]);
	}
}

TEST(a_thousand_connections_come_and_go)
{
	struct server_tuning t = fake_tuning();

	t.per_address = 2000;
	auto_of(server_stop) struct server *s = fake_server(&t, NULL);
	static int fds[1000];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = client(s);
		if (i % 3 == 0)
			say(fds[i], "GET /te");
		if (i % 3 == 1)
			say(fds[i], GET("/file"));
	}
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	auto_fd int fd = client(s);
	auto_answer struct answer a = ask(fd, GET("/text"));

	CHECK_STR(a.body ? a.body : "", "hello");
	CHECK(fake_wait(&fake.done, (int)ARRAY_SIZE(fds) / 3 + 1));
}

TEST(a_hello_of_tls_on_a_plain_port_is_told_so)
{
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);
	auto_fd int fd = client(s);

	say_bytes(fd, "\x16\x03\x01\x00\x05hello", 10);
	auto_answer struct answer a = hear(fd);

	CHECK_INT(a.status, 400);
	CHECK(at_end(fd));
}

TEST(what_is_no_request_is_refused_and_the_connection_closed)
{
	static const struct {
		const char *text;
		int status;
	} rows[] = {
		{"GET /text HTTP/1.1\nHost: x\n\n", 400},
		{"GET nonsense\r\n\r\n", 400},
		{"GET /text HTTP/3.0\r\nHost: x\r\n\r\n", 505},
		{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: "
		 "chunked\r\n\r\n",
		 400},
	};
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_fd int fd = client(s);
		auto_answer struct answer a = ask(fd, rows[i].text);

		CHECK_INT(a.status, rows[i].status);
		CHECK(a.body && starts_with(a.body, "{\"errors\":[{\"code\":\""));
		CHECK(at_end(fd));
	}
	CHECK_INT(fake.quick, 0);
}

TEST(a_head_that_never_ends_is_refused)
{
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);
	auto_fd int fd = client(s);
	auto_buf struct buf head = BUF_INIT(BUF_TEXT_MAX);

	buf_puts(&head, "GET /text HTTP/1.1\r\n");
	while (head.n < 20000)
		buf_puts(&head, "Some-Header: some value of it\r\n");
	say(fd, head.p);
	auto_answer struct answer a = hear(fd);

	CHECK_INT(a.status, 431);
}

TEST(slow_passwords_have_a_queue_that_ends)
{
	struct server_tuning t = fake_tuning();

	auto_of(server_stop) struct server *s = fake_server(&t, NULL);
	int fds[2 + 64 + 1], refused = 0;

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = client(s);
		say(fds[i], GET("/password"));
		if (i == 1) // both workers are busy before the queue fills
			CHECK(fake_wait(&fake.waiting, 2));
	}
	// Who is refused does not wait for the gate.
	CHECK(fake_wait(&fake.done, 1));
	// Other work has its own threads.
	auto_fd int other = client(s);
	auto_answer struct answer worked = ask(other, GET("/work"));

	CHECK_INT(worked.status, 200);
	fake_gate(true);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		auto_answer struct answer a = hear(fds[i]);

		if (a.status == 429)
			refused += strstr(a.head, "Retry-After: ") &&
				   strstr(a.body, "TOOMANYREQUESTS");
		else
			CHECK_INT(a.status, 200);
		close(fds[i]);
	}
	CHECK_INT(refused, 1);
}

TEST(a_port_that_is_taken_is_an_error)
{
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);
	auto_of(server_stop) struct server *other = NULL;
	struct server_config cfg = {.service = &fake_service, .listen = server_address(s)};
	struct err e;
	auto_free char *want = xasprintf("cannot listen on %s: address already in use", cfg.listen);

	CHECK_FAILS(server_start(&other, &cfg, &e));
	CHECK_STR(e.text, want);
	CHECK_INT(e.kind, ERR_IO);
}

TEST(addresses_that_make_no_sense_are_errors)
{
	static const char *const rows[] = {
		"",           "localhost", "5000",    ":70000",
		"::1:5000",   ":x",        "host:-1", "no.such.name.invalid:0",
		"192.0.2.1:0"};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_of(server_stop) struct server *s = NULL;
		struct server_config cfg = {.service = &fake_service, .listen = rows[i]};
		struct err e;

		CHECK_FAILS(server_start(&s, &cfg, &e));
	}
}

TEST(ipv6_and_all_addresses_can_be_listened_on)
{
	static const char *const rows[][2] = {{"[::1]:0", "[::1]:"}, {":0", "[::]:"}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_of(server_stop) struct server *s = NULL;
		struct server_config cfg = {.service = &fake_service, .listen = rows[i][0]};
		struct err e;

		REQUIRE_OK(server_start(&s, &cfg, &e));
		CHECK(starts_with(server_address(s), rows[i][1]));
		if (i == 0)
			continue;
		auto_fd int fd = client(s); // by IPv4
		auto_answer struct answer a = ask(fd, GET("/peer"));
		CHECK_STR(a.body ? a.body : "", "127.0.0.1");
	}
}

// ---- Stopping.

static void *stop_server(void *s)
{
	server_stop(s);
	return NULL;
}

TEST(stopping_finishes_what_is_in_flight_and_closes_idle_connections)
{
	struct server *s = fake_server(NULL, NULL);
	auto_fd int idle = client(s), busy = client(s), body = client(s);
	auto_answer struct answer first = ask(idle, GET("/text"));
	pthread_t stopper;

	CHECK_INT(first.status, 200);
	say(body, "PUT /body HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
	say(busy, GET("/gate"));
	CHECK(fake_wait(&fake.begun, 2));
	pthread_create(&stopper, NULL, stop_server, s);
	CHECK(at_end(idle));
	fake_gate(true);
	auto_answer struct answer a = hear(busy);
	CHECK_STR(a.body ? a.body : "", "worked");
	CHECK(strstr(a.head, "Connection: close\r\n"));
	say_pattern(body, 0, 100000);
	auto_answer struct answer b = hear(body);
	CHECK_INT(b.status, 201);
	close(busy);
	close(body);
	busy = body = -1;
	pthread_join(stopper, NULL);
	CHECK_INT(fake.complete, 3);
}

TEST(stopping_does_not_wait_for_clients_that_hang)
{
	struct server_tuning t = fake_tuning();

	t.stop_us = 100 * 1000;
	struct server *s = fake_server(&t, NULL);
	auto_fd int sender = client(s), reader = client_from(s, "127.0.0.1", 4096),
		    half = client(s);

	say(half, "GET /te");
	say(sender, "PUT /body HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
	say(reader, GET("/file"));
	CHECK(fake_wait(&fake.begun, 1));
	server_stop(s);
	CHECK_INT(fake.done, fake.quick);
	CHECK_INT(fake.broken, 1);
	CHECK(at_end(sender));
}

int main(void)
{
	return tap_main();
}
