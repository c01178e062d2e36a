// SPDX-License-Identifier: Apache-2.0
// argv in, exit status out.
#include "cmd/cmd.h"
#include "cmd/signals.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ARENAS = 2, TRIM_THRESHOLD = 64 << 20 };

static const char *env(const char *name)
{
	return getenv(name);
}

// The name people typed, for hints that they can type back.
static const char *self_of(int argc, char **argv)
{
	const char *name = argc > 0 ? argv[0] : "", *slash = strrchr(name, '/');

	name = slash ? slash + 1 : name;
	return *name ? name : "ferry";
}

static bool can_redraw(int fd)
{
	const char *term = getenv("TERM");

	return isatty(fd) && term && strcmp(term, "dumb") != 0;
}

int main(int argc, char **argv)
{
	static struct cancel cancel = CANCEL_INIT;
	struct err e;

	// Few threads allocate much: without this each keeps an arena of its own.
	mallopt(M_ARENA_MAX, ARENAS);
	mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD);
	if (signals_start(&cancel, &e) < 0) {
		fprintf(stderr, "error: %s\n", e.text);
		exit(1);
	}
	const struct cmd_io io = {
		.out = stdout,
		.err = stderr,
		.in = STDIN_FILENO,
		.env = env,
		.self = self_of(argc, argv),
		.now = time(NULL),
		.cancel = &cancel,
		.terminal = can_redraw(STDERR_FILENO),
	};

	int status = cmd_main(&io, argc, argv);

	signals_stop();
	exit(status);
}
