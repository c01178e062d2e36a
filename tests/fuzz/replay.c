// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target over all files of the folders given as arguments, and prints TAP.
#include "fuzz.h"

#include "util/cleanup.h"
#include "util/fs.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

enum { INPUT_MAX = 16 << 20 };

static int replay(const char *path)
{
	auto_buf struct buf bytes = BUF_INIT(INPUT_MAX);
	struct err e;

	if (fs_read_file(&bytes, path, &e) < 0) {
		printf("# %s\n", e.text);
		return -1;
	}
	// A copy of exactly this size, so that a sanitizer sees the first byte behind it.
	auto_free uint8_t *copy = malloc(bytes.n ? bytes.n : 1);

	if (!copy)
		return -1;
	if (bytes.n > 0)
		memcpy(copy, bytes.p, bytes.n);
	return LLVMFuzzerTestOneInput(copy, bytes.n);
}

static int replay_folder(const char *dir, int *n)
{
	DIR *d = opendir(dir);
	int bad = 0;

	if (!d) {
		printf("# cannot open %s\n", dir);
		return 1;
	}
	for (struct dirent *at = readdir(d); at; at = readdir(d)) {
		auto_free char *path = NULL;

		if (at->d_name[0] == '.')
			continue;
		path = path_join(dir, at->d_name);
		bool failed = replay(path) != 0;

		bad += failed;
		printf("%sok %d - %s\n", failed ? "not " : "", ++*n, at->d_name);
		fflush(stdout);
	}
	closedir(d);
	return bad;
}

int main(int argc, char **argv)
{
	int n = 0, bad = 0;

	for (int i = 1; i < argc; i++)
		bad += replay_folder(argv[i], &n);
	printf("1..%d\n", n);
	return bad != 0 || n == 0;
}
