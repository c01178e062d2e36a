// SPDX-License-Identifier: Apache-2.0
// Each limit of the server, set to fractions of a second.
#include "tap.h"

#include "http_fake.h"

#include <poll.h>
#include <sys/resource.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"
#define MS        UINT64_C(1000)

static uint64_t since_ms(uint64_t start)
{
	return (clock_us() - start) / 1000;
}

TEST(seconds_become_limits_and_zero_the_defaults)
{
	struct server_limits l = {.head_seconds = 1, .connections = 7, .body_bytes = 5};
	struct server_tuning t;

	server_tuning_from(&t, &l);
	CHECK_INT(t.head_us, 1000000);
	CHECK_INT(t.connections, 7);
	CHECK_INT(t.body_bytes, 5);
	CHECK_INT(t.idle_us, 75000000);
	CHECK_INT(t.per_address, 256);
	CHECK_INT(t.send_stall_us, 60000000);
	CHECK_INT(t.stop_us, 30000000);
	CHECK_INT(t.cold_files, 4);
}

// The whole head has a time, however lively its bytes come.
TEST(a_slow_head_is_ended_although_bytes_keep_coming)
{
	struct server_tuning t = fake_tuning();

	t.head_us = 200 * MS;
	auto_of(server_stop) struct server *s = fake_server(&t, NULL);
	auto_fd int fd = client(s);
	struct timeval often = {.tv_usec = 10 * 1000};
	uint64_t start = clock_us();
	char c;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &often, sizeof(often));
	say(fd, "GET /text HTTP/1.1\r\nA: ");
	while (recv(fd, &c, 1, MSG_PEEK) < 0 && errno == EAGAIN && since_ms(start) < 10000)
		say(fd, "a");
	auto_answer struct answer a = hear(fd);

	CHECK_INT(a.status, 408);
	CHECK(since_ms(start) >= 200);
	CHECK(since_ms(start) < 5000);
}

TEST(a_silent_connection_is_closed)
{
	struct server_tuning t = fake_tuning();

	t.head_us = 100 * MS;
	auto_of(server_stop) struct server *s = fake_server(&t, NULL);
	auto_fd int fd = client(s);

	CHECK(at_end(fd));
}

TEST(an_idle_connection_is_closed)
{
	struct server_tuning t = fake_tuning();

	t.idle_us = 100 * MS;
	auto_of(server_stop) struct server *s = fake_server(&t, NULL);
	auto_fd int fd = client(s);
	auto_answer struct answer a = ask(fd, GET("/text"));
	uint64_t start = clock_us();

	CHECK_INT(a.status, 200);
	CHECK(at_end(fd));
	CHECK(since_ms(start) >= 95);
}

TEST(idle_connections_go_sooner_when_most_are_in_use)
{
	struct server_tuning t = fake_tuning();

	t.connections = 10;
	t.busy_idle_us = 100 * MS;
	auto_of(server_stop) struct server *s = fake_server(&t, NULL);
	struct pollfd fds[9];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = (struct pollfd){.fd = client(s), .events = POLLIN};
		auto_answer struct answer a = ask(fds[i].fd, GET("/text"));

		CHECK_INT(a.status, 200);
	}
	// One is enough to be below the mark again.
	CHECK(poll(fds, ARRAY_SIZE(fds), 20000) > 0);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i].fd);
}

TEST(a_body_that_trickles_is_ended)
{
	struct server_tuning t = fake_tuning();

	t.body_us = 200 * MS;
	t.body_bytes = 5000;
	auto_of(server_stop) struct server *s = fake_server(&t, NULL);
	auto_fd int fd = client(s);
	struct timeval often = {.tv_usec = 10 * 1000};
	uint64_t offset = 0;
	char c;

	say(fd, "PUT /body HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &often, sizeof(often));
	while (recv(fd, &c, 1, MSG_PEEK) < 0 && errno == EAGAIN && offset < 5000)
		say_pattern(fd, offset++, 1);
	auto_answer struct answer a = hear(fd);

	CHECK_INT(a.status, 408);
	CHECK(at_end(fd));
	CHECK(fake_wait(&fake.broken, 1));
}

TEST(a_body_that_waits_for_the_service_is_not_called_slow)
{
	struct server_tuning t = fake_tuning();

	t.body_us = 50 * MS;
	auto_of(server_stop) struct server *s = fake_server(&t, NULL);
	auto_fd int fd = client(s);

	say(fd, "PUT /stuck HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n");
	say_pattern(fd, 0, 300000);
	CHECK(fake_wait(&fake.waiting, 1));
	// Several times the limit passes: another connection's body runs into it.
	for (int i = 0; i < 3; i++) {
		auto_fd int other = client(s);

		say(other, "PUT /body HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n");
		auto_answer struct answer slow = hear(other);
		CHECK_INT(slow.status, 408);
	}
	fake_gate(true);
	auto_answer struct answer a = hear(fd);
	CHECK_INT(a.status, 201);
}

TEST(a_client_that_takes_nothing_is_cut_off)
{
	struct server_tuning t = fake_tuning();

	t.send_stall_us = 150 * MS;
	auto_of(server_stop) struct server *s = fake_server(&t, NULL);
	auto_fd int fd = client_from(s, "127.0.0.1", 4096);

	// More than the socket's buffers hold.
	for (int i = 0; i < 8; i++)
		say(fd, GET("/file"));
	CHECK(fake_wait(&fake.done, fake.quick ? fake.quick : 1));
	CHECK(fake.complete < 8);
}

TEST(more_connections_than_an_address_may_have_are_closed)
{
	struct server_tuning t = fake_tuning();

	t.per_address = 3;
	auto_of(server_stop) struct server *s = fake_server(&t, NULL);
	int fds[3];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = client(s);
		auto_answer struct answer a = ask(fds[i], GET("/text"));

		CHECK_INT(a.status, 200);
	}
	auto_fd int fourth = client(s), elsewhere = client_from(s, "127.0.0.2", 0);

	CHECK(at_end(fourth));
	auto_answer struct answer a = ask(elsewhere, GET("/peer"));
	CHECK_STR(a.body ? a.body : "", "127.0.0.2");
	close(fds[0]);
	// The place is free again as soon as the server has seen the end.
	for (int i = 0; i < 1000; i++) {
		auto_fd int again = client(s);
		auto_answer struct answer b = ask(again, GET("/text"));

		if (b.status == 200)
			break;
		CHECK(i < 999);
	}
	close(fds[1]);
	close(fds[2]);
}

TEST(more_connections_than_there_are_places_wait)
{
	struct server_tuning t = fake_tuning();

	t.connections = 2;
	auto_of(server_stop) struct server *s = fake_server(&t, NULL);
	int one = client(s), two = client(s);
	auto_answer struct answer a = ask(one, GET("/text")), b = ask(two, GET("/text"));
	auto_fd int three = client(s);
	struct timeval soon = {.tv_usec = 50 * 1000}, later = {.tv_sec = 20};
	char c;

	CHECK_INT(a.status + b.status, 400);
	say(three, GET("/text"));
	setsockopt(three, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
	CHECK(recv(three, &c, 1, MSG_PEEK) < 0 && errno == EAGAIN);
	close(one);
	setsockopt(three, SOL_SOCKET, SO_RCVTIMEO, &later, sizeof(later));
	auto_answer struct answer d = hear(three);
	CHECK_STR(d.body ? d.body : "", "hello");
	close(two);
}

static atomic_int notices;

static void notice(void *arg, const char *text)
{
	(void)arg;
	notices += strstr(text, "out of file descriptors") != NULL;
}

TEST(without_descriptors_clients_are_turned_away_and_later_served)
{
	struct server_config cfg = {.threads = 1, .notice = notice};
	auto_of(server_stop) struct server *s = fake_server(NULL, &cfg);
	struct rlimit old, none;
	auto_fd int before = client(s), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	auto_answer struct answer a = ask(before, GET("/text"));
	struct sockaddr_in to;
	socklen_t n = sizeof(to);

	CHECK_INT(a.status, 200);
	getpeername(before, (struct sockaddr *)&to, &n);
	getrlimit(RLIMIT_NOFILE, &old);
	none = old;
	none.rlim_cur = (rlim_t)fd + 1;
	setrlimit(RLIMIT_NOFILE, &none);
	CHECK_INT(connect(fd, (struct sockaddr *)&to, n), 0);
	CHECK(at_end(fd));
	setrlimit(RLIMIT_NOFILE, &old);
	CHECK_INT(notices, 1);
	auto_answer struct answer b = ask(before, GET("/text"));
	CHECK_INT(b.status, 200);
	auto_fd int after = client(s);
	auto_answer struct answer c = ask(after, GET("/text"));
	CHECK_INT(c.status, 200);
}

TEST(a_peer_that_never_closes_is_left_after_a_moment)
{
	struct server_tuning t = fake_tuning();

	t.linger_us = 50 * MS;
	t.connections = 1;
	auto_of(server_stop) struct server *s = fake_server(&t, NULL);
	auto_fd int fd = client(s);
	auto_answer struct answer a =
		ask(fd, "GET /text HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	// Its place is the only one.
	auto_fd int next = client(s);
	auto_answer struct answer b = ask(next, GET("/text"));

	CHECK_INT(a.status, 200);
	CHECK_INT(b.status, 200);
}

int main(void)
{
	return tap_main();
}
