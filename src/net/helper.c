// SPDX-License-Identifier: Apache-2.0
// Credential helpers: start one, feed it, read its answer, and never wait for it longer than asked.
#include "net/helper.h"

#include "data/json.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/mem.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define REPLY_MAX  ((size_t)64 << 10)
#define SERVER_MAX ((size_t)2048) // fits any pipe, so that writing it never waits

// How often a helper that has closed its output but not ended is looked at.
enum { EXIT_POLL_MS = 10 };

static void wipe(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

static void wipe_buf(struct buf *b)
{
	if (b->p && b->cap > 0)
		explicit_bzero(b->p, b->n);
}

void helper_reply_release(struct helper_reply *r)
{
	wipe(r->user);
	wipe(r->secret);
	*r = (struct helper_reply){0};
}

static bool name_valid(const char *name)
{
	for (const char *c = name; *c; c++)
		if (*c == '/' || *c <= ' ' || *c == 0x7f)
			return false;
	return *name != '\0' && strlen(name) < 100;
}

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

// Caller frees; NULL when it is nowhere.
static char *find_program(const char *name, const char *path)
{
	struct str rest = str_of(path);

	while (rest.p) {
		struct str dir = str_cut(&rest, ':');
		auto_free char *program = NULL;

		if (dir.n == 0 || dir.p[0] != '/')
			continue;
		program = xasprintf("%.*s/docker-credential-%s", STR_FMT(dir), name);
		if (is_program(program))
			return steal(&program);
	}
	return NULL;
}

struct child {
	pid_t pid;
	int out;  // its standard output, non-blocking
	int wake; // eventfd that a cancellation writes to
	uint64_t deadline_us;
};

// The signals that this program handles or blocks must not be so in the helper.
static void plain_signals(posix_spawnattr_t *attr)
{
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(attr, &none);
	posix_spawnattr_setsigdefault(attr, &all);
	posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

static int spawn(pid_t *ret, const char *program, int in, int out)
{
	char *const argv[] = {(char *)program, (char *)"get", NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int rc;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_adddup2(&actions, in, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	plain_signals(&attr);
	rc = posix_spawn(ret, program, &actions, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

// Leaves the three standard numbers alone, so that dup2 in the child never meets its own target.
static int pipe_above_std(int fd[2])
{
	int raw[2];

	if (pipe2(raw, O_CLOEXEC) < 0)
		return -1;
	for (int i = 0; i < 2; i++) {
		fd[i] = fcntl(raw[i], F_DUPFD_CLOEXEC, 3);
		close(raw[i]);
	}
	return fd[0] < 0 || fd[1] < 0 ? -1 : 0;
}

static int start(struct child *child, const char *program, const char *server, struct err *e)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1}, rc = -1;
	size_t n = strlen(server);

	if (pipe_above_std(in) < 0 || pipe_above_std(out) < 0 ||
	    fcntl(out[0], F_SETFL, O_NONBLOCK) < 0 || write(in[1], server, n) != (ssize_t)n) {
		err_os(e, ERR_DENIED, "cannot start '%s'", program);
	} else {
		close_fdp(&in[1]);
		in[1] = -1;
		errno = spawn(&child->pid, program, in[0], out[1]);
		rc = errno ? err_os(e, ERR_DENIED, "cannot start '%s'", program) : 0;
	}
	close_fdp(&in[0]);
	close_fdp(&in[1]);
	close_fdp(&out[1]);
	child->out = out[0];
	return rc;
}

static int remaining_ms(const struct child *child)
{
	uint64_t now = clock_us();

	return now >= child->deadline_us ? 0 : (int)((child->deadline_us - now) / 1000 + 1);
}

// Waits until there is output. Failure is a cancellation or the end of the time.
static int wait_output(const struct child *child, const struct cancel *stop, struct err *e)
{
	struct pollfd fds[] = {{.fd = child->out, .events = POLLIN},
			       {.fd = child->wake, .events = POLLIN}};

	while (!cancelled(stop)) {
		int n = poll(fds, ARRAY_SIZE(fds), remaining_ms(child));

		if (n > 0 && fds[0].revents)
			return 0;
		if (n == 0)
			return err_set(e, ERR_DENIED, "no answer in time");
	}
	return err_cancelled(e);
}

static int read_reply(const struct child *child, const struct cancel *stop, struct buf *ret,
		      struct err *e)
{
	char chunk[4096];

	for (;;) {
		if (wait_output(child, stop, e) < 0)
			return -1;
		ssize_t n = read(child->out, chunk, sizeof(chunk));

		if (n == 0)
			return 0;
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return err_os(e, ERR_DENIED, "cannot read the answer");
		int rc = buf_add(ret, chunk, (size_t)n, e);

		explicit_bzero(chunk, (size_t)n);
		if (rc < 0)
			return err_set(e, ERR_DENIED, "the answer is too long");
	}
}

// Reaps the child; one that has not ended at the deadline is killed. False unless it exited with 0.
static bool reap(const struct child *child, bool kill_now)
{
	int status = 0;

	for (;;) {
		if (kill_now || remaining_ms(child) == 0)
			kill(child->pid, SIGKILL);
		pid_t pid = waitpid(child->pid, &status, kill_now ? 0 : WNOHANG);

		if (pid == child->pid)
			return WIFEXITED(status) && WEXITSTATUS(status) == 0;
		if (pid < 0 && errno != EINTR)
			return true; // someone reaps for us: the answer must speak for itself
		if (pid == 0)
			poll(NULL, 0, EXIT_POLL_MS);
	}
}

static void wake(void *arg)
{
	eventfd_write(*(int *)arg, 1);
}

static int converse(const char *program, const char *server, unsigned timeout_ms,
		    struct cancel *stop, struct buf *ret, bool *ret_ok, struct err *e)
{
	auto_fd int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct child child = {.wake = wake_fd,
			      .deadline_us = clock_us() + (uint64_t)timeout_ms * 1000};
	struct cancel_watch watch = {.wake = wake, .arg = &wake_fd};

	if (wake_fd < 0)
		return err_os(e, ERR_DENIED, "cannot start '%s'", program);
	if (start(&child, program, server, e) < 0) {
		close_fdp(&child.out);
		return -1;
	}
	if (stop)
		cancel_watch(stop, &watch);
	int rc = read_reply(&child, stop, ret, e);

	if (stop)
		cancel_unwatch(stop, &watch);
	*ret_ok = reap(&child, rc < 0);
	close_fdp(&child.out);
	return rc;
}

// What helpers print, instead of an answer, when they have nothing. The text is the protocol.
static bool says_not_found(struct str out)
{
	out = str_trim(out);
	return str_eqz(out, "credentials not found in native keychain") ||
	       str_eqz(out, "credentials not found");
}

static int read_answer(struct helper_reply *ret, struct str out, struct err *e)
{
	auto_json struct json_doc doc = {NULL};
	const char *user, *secret;

	if (json_parse(&doc, out, JSON_LIMITS(REPLY_MAX), 0, e) < 0)
		return -1;
	struct json root = json_root(&doc);
	struct json user_at = json_member(&root, "Username");
	struct json secret_at = json_member(&root, "Secret");

	if (json_need_object(&root, e) < 0 || json_text_or(&user_at, "", &user, e) < 0 ||
	    json_text_or(&secret_at, "", &secret, e) < 0)
		return -1;
	if (!*user && !*secret)
		return 0;
	ret->is_token = strcmp(user, "<token>") == 0;
	ret->user = xstrdup(user);
	ret->secret = xstrdup(secret);
	return 0;
}

int helper_get(struct helper_reply *ret, const char *name, const char *server, const char *path,
	       unsigned timeout_ms, struct cancel *stop, struct err *e)
{
	auto_buf struct buf out = BUF_INIT(REPLY_MAX);
	bool ok = false;
	int rc;

	if (cancelled(stop))
		return err_cancelled(e);
	if (!name_valid(name))
		return err_set(e, ERR_DENIED, "not the name of a credential helper");
	if (strlen(server) > SERVER_MAX)
		return err_set(e, ERR_DENIED, "name of the server is too long");
	auto_free char *program = find_program(name, path);

	if (!program)
		return err_set(e, ERR_DENIED, "docker-credential-%s is not in PATH", name);
	*ret = (struct helper_reply){0};
	rc = converse(program, server, timeout_ms, stop, &out, &ok, e);
	if (rc == 0 && !says_not_found(buf_str(&out)))
		rc = ok ? read_answer(ret, buf_str(&out), e) : err_set(e, ERR_DENIED, "it failed");
	wipe_buf(&out);
	return rc < 0 ? err_wrap(e, "credential helper '%s'", program) : 0;
}
