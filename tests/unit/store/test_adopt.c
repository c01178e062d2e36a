// SPDX-License-Identifier: Apache-2.0
// A tree without a pool becomes a server's store: in place, without a copy, whatever wrote it, and
// however often it is interrupted.
#include "fixture.h"
#include "interpose.h"
#include "store/file.h"

static const char image[] = "{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_MANIFEST "\"}";

static char *named(const char *dir, const char *fmt, ...) printf_like(2, 3);
static char *named(const char *dir, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	auto_free char *name = xvasprintf(fmt, ap);
	va_end(ap);
	return path_join(dir, name);
}

static char *pool_name(const char *dir, const struct digest *d)
{
	return named(dir, ".store/pool/sha256/%.2s/%s", digest_hex(d), digest_hex(d));
}

static struct stat stat_of(const char *path)
{
	struct stat st = {0};

	if (lstat(path, &st) < 0)
		tap_report(false, "'%s' is not there", path);
	return st;
}

// An image in three repositories: a regular file, a link to it, a second copy; and an index that
// only tags lead to.
struct oc {
	char *dir;
	struct blob blob, other;
	struct digest image, index, referrer;
};

static void oc_release(struct oc *o)
{
	blob_freep(&o->blob);
	blob_freep(&o->other);
	temp_dir_removep(&o->dir);
}
#define auto_oc __attribute__((cleanup(oc_release)))

static struct oc oc_new(void)
{
	struct oc o = {temp_dir(), blob_new(1, 200000), blob_new(2, 300), {0}, {0}, {0}};
	struct err e;

	digest_of(&o.image, DIGEST_SHA256, image, strlen(image));
	auto_free char *index =
		xasprintf("{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_INDEX "\",\"manifests\":[{"
			  "\"mediaType\":\"" MT_OCI_MANIFEST "\",\"digest\":\"%s\",\"size\":%zu}]}",
			  o.image.text, strlen(image));
	auto_free char *referrer = xasprintf("{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_INDEX
					     "\",\"manifests\":[],"
					     "\"subject\":{\"mediaType\":\"" MT_OCI_MANIFEST
					     "\",\"digest\":\"%s\",\"size\":%zu}}",
					     o.image.text, strlen(image));

	{
		auto_of(store_close) struct store *s =
			must_open(o.dir, STORE_WRITE, STORE_LAYOUT_OC);
		static const char *const repos[] = {"a", "org/b"};

		for (size_t i = 0; i < 2; i++) {
			CHECK_OK(put(s, repos[i], &o.blob, &e));
			CHECK_OK(put(s, repos[i], &o.other, &e));
			CHECK_OK(put_manifest(s, repos[i], image, NULL, NULL, &e));
			CHECK_OK(put_manifest(s, repos[i], index, "v1", &o.index, &e));
			CHECK_OK(put_manifest(s, repos[i], referrer, NULL, &o.referrer, &e));
		}
		CHECK_OK(store_origin_put(s, "a", &o.image, "quay.io/org/img", &e));
		CHECK_OK(store_sync(s, &e));
	}
	run("mkdir '%s/v2/c' && cp -r '%s/v2/a/'* '%s/v2/c/'", o.dir, o.dir, o.dir);
	return o;
}

static char *adopt(const char *dir)
{
	struct store *s = NULL;
	char *notice = NULL;
	struct err e = {0};

	CHECK_OK(open_as(&s, dir, STORE_WRITE, STORE_LAYOUT_LINKED, &notice, &e));
	if (s)
		CHECK_INT(store_layout(s), STORE_LAYOUT_LINKED);
	store_close(s);
	return notice;
}

// One inode a digest, wherever it has a name; nothing else is left.
static void check_linked(struct oc *o)
{
	static const char *const repos[] = {"a", "org/b", "c"};
	const struct {
		const struct digest *d;
		bool manifest;
		const char *referrers; // of what
		unsigned links;
	} rows[] = {
		{&o->blob.d.digest, false, NULL, 4},
		{&o->other.d.digest, false, NULL, 4},
		{&o->image, true, NULL, 7},
		{&o->index, true, NULL, 7},
		{&o->referrer, true, o->image.text, 10},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *pool = pool_name(o->dir, rows[i].d);
		struct stat st = stat_of(pool);

		CHECK_INT(st.st_nlink, rows[i].links);
		CHECK_INT(st.st_mode & 0777, 0444);
		for (size_t r = 0; r < ARRAY_SIZE(repos); r++) {
			auto_free char *blob =
				named(o->dir, "v2/%s/blobs/%s", repos[r], rows[i].d->text);
			auto_free char *manifest =
				named(o->dir, "v2/%s/manifests/%s", repos[r], rows[i].d->text);

			CHECK_INT(stat_of(blob).st_ino, st.st_ino);
			if (rows[i].manifest)
				CHECK_INT(stat_of(manifest).st_ino, st.st_ino);
		}
	}
	auto_free char *rest = xasprintf(
		"grep -qx 'linked 1' '%s/.store/format' && ! test -e '%s/.store/trash' && test "
		"\"$(find '%s/v2' -type l | wc -l)\" = 3 && test -z \"$(ls -A '%s/.store/tmp')\"",
		o->dir, o->dir, o->dir, o->dir);

	CHECK_INT(system(rest), 0);
}

static void check_served(struct oc *o)
{
	static const char *const repos[] = {"a", "org/b", "c"};
	auto_of(store_close) struct store *s = must_open(o->dir, STORE_READ, STORE_LAYOUT_AUTO);
	auto_free char *origin = NULL;
	struct err e;

	for (size_t r = 0; r < ARRAY_SIZE(repos); r++) {
		auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
		auto_strlist struct strlist referrers = {0};
		struct digest d;

		CHECK(holds(s, repos[r], &o->blob) && holds(s, repos[r], &o->other));
		CHECK_OK(store_manifest_fetch(s, repos[r], "v1", STORE_MAY_WAIT, &bytes, &d, &e));
		CHECK_STR(d.text, o->index.text);
		CHECK_OK(store_manifest_fetch(s, repos[r], o->image.text, STORE_MAY_WAIT, &bytes,
					      &d, &e));
		CHECK_OK(store_referrers(s, repos[r], &o->image, &referrers, &e));
		CHECK(referrers.n == 1 && strcmp(referrers.v[0], o->referrer.text) == 0);
	}
	CHECK_OK(store_origin_get(s, "a", &o->image, &origin, &e));
	CHECK(origin && strcmp(origin, "quay.io/org/img") == 0);
}

TEST(a_mirrored_folder_becomes_a_store_without_a_copy)
{
	auto_oc struct oc o = oc_new();
	auto_free char *first = named(o.dir, "v2/a/blobs/%s", o.blob.d.digest.text);
	ino_t before = stat_of(first).st_ino;
	auto_free char *notice = adopt(o.dir);

	CHECK_INT(stat_of(first).st_ino, before);
	check_linked(&o);
	check_served(&o);
	CHECK(notice && strstr(notice, "5 files are in its pool"));
	CHECK(notice && !strstr(notice, "damaged"));
	// The second time there is nothing to do, and nothing to say.
	auto_free char *again = adopt(o.dir);

	CHECK(!again);
	check_linked(&o);
}

TEST(the_linked_layout_stays_when_nobody_asks_for_it)
{
	auto_oc struct oc o = oc_new();
	auto_free char *notice = adopt(o.dir);
	auto_blob struct blob b = blob_new(3, 1000);
	struct err e;

	{
		auto_of(store_close) struct store *s =
			must_open(o.dir, STORE_WRITE, STORE_LAYOUT_AUTO);

		CHECK_INT(store_layout(s), STORE_LAYOUT_LINKED);
		REQUIRE_OK(put(s, "new", &b, &e));
		REQUIRE_OK(put(s, "new", &o.blob, &e));
		CHECK_INT(o.blob.opened, 1); // for its first repository
		REQUIRE_OK(store_sync(s, &e));
	}
	auto_free char *pool = pool_name(o.dir, &b.d.digest);
	auto_free char *shared = pool_name(o.dir, &o.blob.d.digest);

	CHECK_INT(stat_of(pool).st_nlink, 2);
	CHECK_INT(stat_of(shared).st_nlink, 5);
	struct store *s = NULL;

	CHECK_FAILS(open_as(&s, o.dir, STORE_WRITE, STORE_LAYOUT_OC, &notice, &e));
	CHECK(strstr(e.text, "has the linked layout"));
}

TEST(trees_of_other_tools_are_adopted_too)
{
	static const struct {
		const char *what, *command;
	} rows[] = {
		{"the reference", "rm -rf .store"},
		{"copied, links became files",
		 "rm -rf .store && cp -rL v2 new && rm -rf v2 && mv new v2"},
		{"written on Windows",
		 "rm -rf .store && cp -rL v2 new && rm -rf v2 && mv new v2 && find v2 -name "
		 "'sha256:*' | while read f; do mv \"$f\" \"$(echo \"$f\" | tr : -)\"; done"},
		{"manifests only among the blobs",
		 "rm -rf .store v2/*/manifests/sha256:* v2/org/b/manifests/sha256:*"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_oc struct oc o = oc_new();
		int before = tap_failures;

		run("cd '%s' && %s", o.dir, rows[i].command);
		// Nothing leads to a referrer but its own name.
		if (i == 3)
			run("cd '%s/v2' && for r in a c org/b; do cp -d $r/blobs/%s $r/manifests/; "
			    "done",
			    o.dir, o.referrer.text);
		auto_free char *notice = adopt(o.dir);

		check_linked(&o);
		run("echo '%s quay.io/org/img' | sed 's/^/a /' > '%s/.store/origins'", o.image.text,
		    o.dir);
		check_served(&o);
		CHECK(notice && !strstr(notice, "damaged"));
		if (tap_failures != before)
			printf("# in: %s\n", rows[i].what);
	}
}

TEST(damaged_files_are_set_aside_and_named)
{
	auto_oc struct oc o = oc_new();
	auto_blob struct blob again = blob_new(1, 200000);
	auto_store_file struct store_file f = {0};
	struct err e;

	// One of the two copies is damaged: the one that the link of org/b leads to.
	run("printf X | dd of='%s/v2/a/blobs/%s' bs=1 seek=7 conv=notrunc status=none", o.dir,
	    o.blob.d.digest.text);
	run("printf X >> '%s/v2/c/manifests/%s'", o.dir, o.index.text);
	auto_free char *notice = adopt(o.dir);

	CHECK(notice && strstr(notice, "3 were damaged, and moved to .store/trash"));
	CHECK(notice && strstr(notice, o.blob.d.digest.text) && strstr(notice, "of 'a'"));
	auto_of(store_close) struct store *s = must_open(o.dir, STORE_WRITE, STORE_LAYOUT_LINKED);

	CHECK_FAILS(store_blob_file(s, "a", &o.blob.d.digest, STORE_MAY_WAIT, &f, &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
	CHECK(holds(s, "c", &o.blob));
	// The good copy is in the pool: nothing has to be fetched.
	CHECK_OK(put(s, "a", &again, &e));
	CHECK_INT(again.opened, 0);
	// The index was good under its other name.
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	struct digest d;

	CHECK_OK(store_manifest_fetch(s, "c", "v1", STORE_MAY_WAIT, &bytes, &d, &e));
}

TEST(files_of_other_users_are_copied)
{
	if (geteuid() != 0) {
		printf("# skipped: needs root\n");
		CHECK(true);
		return;
	}
	auto_oc struct oc o = oc_new();
	auto_free char *first = named(o.dir, "v2/a/blobs/%s", o.blob.d.digest.text);
	auto_free char *pool = pool_name(o.dir, &o.blob.d.digest);
	ino_t before = stat_of(first).st_ino;

	run("chown 1234 '%s' '%s/v2/c/blobs/%s'", first, o.dir, o.blob.d.digest.text);
	free(adopt(o.dir));
	CHECK(stat_of(first).st_ino != before);
	CHECK_INT(stat_of(pool).st_uid, 0);
	check_linked(&o);
}

TEST(trees_of_other_users_are_refused)
{
	if (geteuid() != 0) {
		printf("# skipped: needs root\n");
		CHECK(true);
		return;
	}
	static const char *const owned[] = {"v2", "v2 .store"};

	for (size_t i = 0; i < 2; i++) {
		auto_oc struct oc o = oc_new();
		struct store *s = NULL;
		auto_free char *notice = NULL;
		struct err e;

		run("cd '%s' && %s chown -R 1234 %s", o.dir, i ? "" : "rm -rf .store;", owned[i]);
		CHECK_FAILS(open_as(&s, o.dir, STORE_WRITE, STORE_LAYOUT_LINKED, &notice, &e));
		CHECK_INT(e.kind, ERR_DENIED);
		CHECK(strstr(e.text, "chown -R"));
	}
}

TEST(a_filesystem_without_links_is_no_place_for_a_server)
{
	for (int i = 0; i < 2; i++) {
		auto_oc struct oc o = oc_new();
		struct store *s = NULL;
		auto_free char *notice = NULL;
		struct err e;

		interpose.no_links = i == 0;
		interpose.no_symlinks = i == 1;
		CHECK_FAILS(open_as(&s, o.dir, STORE_WRITE, STORE_LAYOUT_LINKED, &notice, &e));
		interpose.no_links = interpose.no_symlinks = false;
		CHECK_INT(e.kind, ERR_UNSUPPORTED);
		CHECK(strstr(e.text, "refuses") && strstr(e.text, "read-only ROOT"));
		CHECK_OK(open_as(&s, o.dir, STORE_READ, STORE_LAYOUT_OC, &notice, &e));
		store_close(s);
	}
}

TEST(a_portable_medium_is_served_as_it_is_or_copied)
{
	auto_dir char *dir = temp_dir();
	auto_free char *notice = NULL;
	struct store *s = NULL;
	struct err e;

	store_close(must_open(dir, STORE_WRITE, STORE_LAYOUT_PORTABLE));
	CHECK_FAILS(open_as(&s, dir, STORE_WRITE, STORE_LAYOUT_LINKED, &notice, &e));
	CHECK_INT(e.kind, ERR_USAGE);
	CHECK(strstr(e.text, "read-only ROOT") && strstr(e.text, "ferry store copy"));
}

TEST(a_store_in_use_is_not_converted)
{
	auto_oc struct oc o = oc_new();
	auto_of(store_close) struct store *user = must_open(o.dir, STORE_WRITE, STORE_LAYOUT_AUTO);
	struct cancel stop = CANCEL_INIT;
	struct store_config cfg = {.dir = o.dir,
				   .mode = STORE_WRITE,
				   .layout = STORE_LAYOUT_LINKED,
				   .pool = fixture_pool,
				   .cancel = &stop};
	struct store *s = NULL;
	auto_free char *notice = NULL;
	struct err e;

	// It waits for the other one: until it is stopped.
	cancel_fire(&stop);
	CHECK_FAILS(store_open(&s, &cfg, &notice, &e));
	CHECK_INT(e.kind, ERR_CANCELLED);
	CHECK_INT(store_layout(user), STORE_LAYOUT_OC);
}

// Converts in a process of its own, which dies in front of call KILL_AT. True when it did not.
static bool adopt_until(const char *dir, int kill_at)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		interpose.kill_at = kill_at;
		free(adopt(dir));
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status);
}

TEST(an_interrupted_conversion_is_gone_on_with)
{
	int killed = 0;
	bool whole = false;

	// fsync is not what this is about.
	if (!getenv("STORE_TEST_DIR") && access("/dev/shm", W_OK) == 0)
		setenv("STORE_TEST_DIR", "/dev/shm", 1);

	for (int at = 1; !whole; at += 3) {
		auto_oc struct oc o = oc_new();

		interpose.calls = 0;
		whole = adopt_until(o.dir, at);
		killed += !whole;
		// Whoever reads it finds all of it at any time.
		check_served(&o);
		// So does a mirror command that writes to it.
		if (at % 2)
			store_close(must_open(o.dir, STORE_WRITE, STORE_LAYOUT_AUTO));
		free(adopt(o.dir));
		check_linked(&o);
		check_served(&o);
	}
	CHECK(killed > 20);
}

int main(void)
{
	return tap_main();
}
