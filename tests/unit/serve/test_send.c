// SPDX-License-Identifier: Apache-2.0
// Which calls a large answer takes.
#include "tap.h"

#include "http_fake.h"

#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>

// ---- Between the server and the system.

static struct {
	atomic_ullong bytes;
	atomic_int sendfiles, corked, uncorked;
} calls;

ssize_t sendfile(int out, int in, off_t *at, size_t n)
{
	ssize_t r = syscall(SYS_sendfile, out, in, at, n);

	calls.sendfiles++;
	if (r > 0)
		calls.bytes += (unsigned long long)r;
	return r;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t n)
{
	if (level == IPPROTO_TCP && name == TCP_CORK)
		(*(const int *)value ? &calls.corked : &calls.uncorked)[0]++;
	return (int)syscall(SYS_setsockopt, fd, level, name, value, n);
}

// ---- Tests.

TEST(a_file_goes_by_sendfile_in_whole_segments)
{
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);
	auto_fd int fd = client(s);

	for (int i = 1; i <= 3; i++) {
		auto_answer struct answer a = ask(fd, "GET /file HTTP/1.1\r\nHost: x\r\n\r\n");

		CHECK(a.n == FAKE_FILE_SIZE && is_pattern(a.body, 0, a.n));
		CHECK(fake_wait(&fake.complete, i));
		// The end of it may go together with others.
		CHECK(calls.bytes >= (unsigned long long)i * (FAKE_FILE_SIZE - 32 * 1024));
		CHECK_INT(calls.corked, i);
		CHECK_INT(calls.uncorked, i);
	}
}

TEST(a_text_is_not_held_back)
{
	auto_of(server_stop) struct server *s = fake_server(NULL, NULL);
	auto_fd int fd = client(s);
	int before = calls.sendfiles + calls.corked;
	auto_answer struct answer a = ask(fd, "GET /text HTTP/1.1\r\nHost: x\r\n\r\n");

	CHECK_STR(a.body, "hello");
	CHECK_INT(calls.sendfiles + calls.corked, before);
}

int main(void)
{
	return tap_main();
}
