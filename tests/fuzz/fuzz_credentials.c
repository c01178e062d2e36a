// SPDX-License-Identifier: Apache-2.0
// Credential files: any bytes are read or refused, and lookups never start a helper (PATH is
// empty).
#include "fuzz.h"
#include "net/credentials.h"
#include "util/fs.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static const char *env(const char *name)
{
	(void)name;
	return NULL;
}

static void look_up(struct credentials *c)
{
	static const char *const registries[] = {"", "docker.io", "quay.io", "127.0.0.1:5000", "a"};
	struct err e;

	for (size_t i = 0; i < sizeof(registries) / sizeof(*registries); i++) {
		auto_credential struct credential found = {0};

		if (credentials_find(c, registries[i], "org/img", &found, &e) < 0)
			assert(e.kind == ERR_DENIED);
		else
			assert(!found.user == !found.password);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_fd int fd = memfd_create("auth.json", MFD_CLOEXEC);
	auto_of(credentials_free) struct credentials *c = NULL;
	auto_strlist struct strlist warnings = {0};
	char path[40];
	struct err e;

	if (fd < 0 || fs_write_all(fd, data, size, "auth.json", &e) < 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (credentials_load(&c, path, env, &warnings, &e) < 0)
		assert(e.kind == ERR_INPUT);
	else
		look_up(c);
	return 0;
}
