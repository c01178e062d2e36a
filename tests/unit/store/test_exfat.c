// SPDX-License-Identifier: Apache-2.0
// Writing to, and reading from, media that refuse links and ':' in names: a shim by LD_PRELOAD, and
// a real exFAT filesystem on a loop device where there is one.
//
// The program runs itself: with "write DIR" or "read DIR" it is the child.
#include "fixture.h"

static const char *self;

static int act(const char *what, const char *dir)
{
	bool writing = strcmp(what, "write") == 0;
	auto_of(store_close) struct store *s = NULL;
	auto_free char *notice = NULL;
	struct err e;

	if (open_as(&s, dir, writing ? STORE_WRITE : STORE_READ, STORE_LAYOUT_AUTO, &notice, &e) <
	    0) {
		printf("# %s\n", e.text);
		return 1;
	}
	if (notice)
		printf("# %s\n", notice);
	if (store_layout(s) != STORE_LAYOUT_PORTABLE)
		return 2;
	for (int i = 0; i < 40; i++) {
		auto_blob struct blob b = blob_new((uint64_t)i, i % 4 ? 1000 : 300000);
		auto_free char *tag = xasprintf("%s%d", i % 2 ? "Tag" : "tag", i / 2);
		auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
		struct digest d;

		if (writing ? put(s, "127.0.0.1:5000/org/img", &b, &e) < 0 ||
				      put_manifest(s, "org/img", tag, tag, NULL, &e) < 0
			    : store_blob_check(s, "127.0.0.1:5000/org/img", &b.d, &e) < 0 ||
				      !holds(s, "127.0.0.1:5000/org/img", &b) ||
				      store_manifest_get(s, "org/img", tag, &bytes, &d, &e) < 0 ||
				      strcmp(bytes.p, tag) != 0) {
			printf("# %s\n", e.text);
			return 3;
		}
	}
	if (writing && store_sync(s, &e) < 0) {
		printf("# %s\n", e.text);
		return 4;
	}
	return 0;
}

static int run_self(const char *preload, const char *what, const char *dir)
{
	// The sanitizers want to be loaded first, and need not be.
	auto_free char *command =
		xasprintf("%s%s %s '%s' %s '%s'",
			  preload ? "ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD=" : "",
			  preload ? preload : "", "env", self, what, dir);

	return WEXITSTATUS(system(command));
}

TEST(the_shim_gets_the_portable_layout)
{
	auto_dir char *dir = temp_dir();
	const char *shim = getenv("NOLINKS_SHIM");

	if (!shim) {
		printf("# skipped: NOLINKS_SHIM is not set\n");
		CHECK(true);
		return;
	}
	CHECK_INT(run_self(shim, "write", dir), 0);
	CHECK_INT(run_self(shim, "read", dir), 0);
	// And where links exist.
	CHECK_INT(run_self(NULL, "read", dir), 0);
	CHECK(in_dir(dir, "MIRROR.txt") && !in_dir(dir, "v2"));
}

static bool skip(const char *why)
{
	printf("# skipped: %s\n", why);
	CHECK(true);
	return true;
}

// Whether a fresh exFAT is mounted at DIR/mnt.
static bool mount_exfat(const char *dir)
{
	auto_free char *make = xasprintf(
		"cd '%s' && mkdir mnt && truncate -s 64M image && /sbin/mkfs.exfat image >/dev/null 2>&1",
		dir);
	auto_free char *mount =
		xasprintf("cd '%s' && loop=$(/sbin/losetup -f --show image "
			  "2>/dev/null) && echo $loop > loop && { mount -t exfat "
			  "$loop mnt 2>/dev/null || /sbin/mount.exfat-fuse $loop mnt "
			  ">/dev/null 2>&1; }",
			  dir);

	if (geteuid() != 0)
		return !skip("exFAT: needs root for a loop device");
	if (system(make) != 0)
		return !skip("exFAT: no mkfs.exfat");
	if (system(mount) == 0)
		return true;
	run("cd '%s' && test -s loop && /sbin/losetup -d $(cat loop) || true", dir);
	return !skip("exFAT: no loop device, or neither a kernel driver nor exfat-fuse");
}

TEST(real_exfat_gets_the_portable_layout)
{
	auto_dir char *dir = temp_dir();
	auto_free char *mnt = path_join(dir, "mnt");

	if (!mount_exfat(dir))
		return;
	CHECK_INT(run_self(NULL, "write", mnt), 0);
	// Once more, from the medium and not from memory.
	run("cd '%s' && umount mnt && { mount -t exfat $(cat loop) mnt 2>/dev/null || "
	    "/sbin/mount.exfat-fuse $(cat loop) mnt >/dev/null 2>&1; }",
	    dir);
	CHECK_INT(run_self(NULL, "read", mnt), 0);
	CHECK_INT(run_self(NULL, "write", mnt), 0);
	CHECK(in_dir(mnt, "store/seal"));
	run("cd '%s' && umount mnt && /sbin/losetup -d $(cat loop)", dir);
}

int main(int argc, char **argv)
{
	if (argc == 3)
		return act(argv[1], argv[2]);
	self = argv[0];
	return tap_main();
}
