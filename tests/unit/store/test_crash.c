// SPDX-License-Identifier: Apache-2.0
// Killed at any moment: no name holds wrong bytes, and the next run makes what an undisturbed one
// makes.
#include "fixture.h"
#include "interpose.h"

#include <sys/mman.h>

enum { ROUNDS = 20, BLOBS = 10 };

static size_t blob_size(int i)
{
	return i % 3 == 0 ? 150000 : i % 3 == 1 ? 900 : 70000;
}

// Blobs shared by three repositories, an image and an index in each, several barriers.
static int workload(const char *dir, enum store_layout layout, struct err *e)
{
	auto_free char *notice = NULL;
	auto_of(store_close) struct store *s = NULL;

	if (open_as(&s, dir, STORE_WRITE, layout, &notice, e) < 0)
		return -1;
	s->barrier_bytes = 200000;
	if (layout == STORE_LAYOUT_PORTABLE)
		s->piece_bytes = 60000;
	for (int i = 0; i < 3 * BLOBS; i++) {
		auto_blob struct blob b = blob_new((uint64_t)(i % BLOBS), blob_size(i % BLOBS));
		auto_free char *repo = xasprintf("org/img%d", i / BLOBS);
		auto_free char *text = xasprintf("{\"n\":%d}", i % BLOBS);
		auto_free char *tag = xasprintf("v%d", i % 4);
		struct digest d;

		if (put(s, repo, &b, e) < 0 || put_manifest(s, repo, text, tag, &d, e) < 0 ||
		    store_origin_put(s, repo, &d, "quay.io/org/img", e) < 0)
			return -1;
	}
	return store_sync(s, e);
}

// Runs the workload in a process of its own, which dies in front of call KILL_AT. Returns its
// status; *ret_calls: how many there were.
static int run_child(const char *dir, enum store_layout layout, int kill_at, int *ret_calls)
{
	int *calls = mmap(NULL, sizeof(*calls), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			  -1, 0);
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct err e;

		interpose.kill_at = kill_at;
		int r = workload(dir, layout, &e);

		if (r < 0)
			fprintf(stderr, "# %s\n", e.text);
		*calls = interpose.calls;
		_exit(r < 0);
	}
	waitpid(pid, &status, 0);
	*ret_calls = *calls;
	munmap(calls, sizeof(*calls));
	return status;
}

// Every file whose name is a digest, or a hex name of the pool, has these bytes.
static void check_names(const char *dir)
{
	auto_free char *command = xasprintf(
		"cd '%s' && find . -type f \\( -name 'sha256:*' -o -path './store/pool/*' ! -name "
		"'*.*' \\) | while read f; do hex=${f##*[/:]}; [ \"$(sha256sum < \"$f\" | cut -c "
		"1-64)\" = \"$hex\" ] || { echo \"# $f is damaged\"; exit 1; }; done",
		dir);

	CHECK_INT(system(command), 0);
}

// No link leads nowhere.
static void check_links(const char *dir)
{
	auto_free char *command =
		xasprintf("test ! -e '%s/v2' || test -z \"$(find '%s/v2' -xtype l)\"", dir, dir);

	CHECK_INT(system(command), 0);
}

// Files that nobody will need any more.
static int litter(const char *dir)
{
	auto_free char *command = xasprintf("cd '%s' && exit $(ls -A . .store/tmp .store/part "
					    "store/tmp store/part 2>/dev/null | grep -c -e ferry- "
					    "-e '[0-9a-f]\\{16\\}$')",
					    dir);

	return WEXITSTATUS(system(command));
}

// Everything that can be asked of a store, as text. Caller frees.
static char *contents_of(const char *dir)
{
	auto_of(store_close) struct store *s = must_open(dir, STORE_READ, STORE_LAYOUT_AUTO);
	auto_buf struct buf out = BUF_INIT(BUF_TEXT_MAX);
	auto_strlist struct strlist repos = {0};
	struct err e;

	CHECK_OK(store_repositories(s, &repos, &e));
	for (size_t r = 0; r < repos.n; r++) {
		auto_strlist struct strlist tags = {0}, manifests = {0}, blobs = {0};

		CHECK_OK(store_tags(s, repos.v[r], &tags, &e));
		CHECK_OK(s->layout->contents(s, repos.v[r], &manifests, &blobs, &e));
		for (size_t i = 0; i < tags.n; i++) {
			struct digest d;

			CHECK_OK(store_tag_get(s, repos.v[r], tags.v[i], &d, &e));
			buf_printf(&out, "%s:%s %s\n", repos.v[r], tags.v[i], d.text);
		}
		for (size_t i = 0; i < manifests.n; i++) {
			auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
			struct digest d;

			CHECK_OK(store_manifest_get(s, repos.v[r], manifests.v[i], &bytes, &d, &e));
			buf_printf(&out, "%s@%s %s\n", repos.v[r], d.text, bytes.p);
		}
		for (size_t i = 0; i < blobs.n; i++)
			buf_printf(&out, "%s@%s\n", repos.v[r], blobs.v[i]);
		for (int i = 0; i < BLOBS; i++) {
			auto_blob struct blob b = blob_new((uint64_t)i, blob_size(i));

			CHECK_OK(store_blob_check(s, repos.v[r], &b.d, &e));
		}
	}
	return buf_take(&out);
}

static void crash_rounds(enum store_layout layout)
{
	// fsync is not what this is about.
	if (!getenv("STORE_TEST_DIR") && access("/dev/shm", W_OK) == 0)
		setenv("STORE_TEST_DIR", "/dev/shm", 1);
	auto_dir char *calm = temp_dir();
	int calls = 0, ignored;

	CHECK_INT(run_child(calm, layout, 0, &calls), 0);
	auto_free char *want = contents_of(calm), *want_tree = tree_of(calm);
	const char *all = getenv("STORE_TEST_FULL");
	int rounds = all ? calls : ROUNDS;
	uint64_t seed = 12345;

	printf("# %d calls, %d rounds\n", calls, rounds);
	for (int i = 0; i < rounds; i++) {
		auto_dir char *dir = temp_dir();

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		int at = all ? i + 1 : 1 + (int)((seed >> 33) % (uint64_t)calls);

		CHECK_INT(run_child(dir, layout, at, &ignored), SIGKILL);
		check_names(dir);
		check_links(dir);
		// And once more in the second run.
		run_child(dir, layout, at / 2 + 1, &ignored);
		check_names(dir);
		check_links(dir);
		CHECK_INT(run_child(dir, layout, 0, &ignored), 0);
		CHECK_INT(litter(dir), 0);
		auto_free char *got = contents_of(dir);

		CHECK(strcmp(got, want) == 0);
		if (layout != STORE_LAYOUT_PORTABLE) {
			auto_free char *got_tree = tree_of(dir);

			CHECK(strcmp(got_tree, want_tree) == 0);
		}
	}
}

TEST(a_killed_run_is_completed_by_the_next)
{
	crash_rounds(STORE_LAYOUT_OC);
}

TEST(a_killed_run_into_a_servers_store_is_completed_by_the_next)
{
	crash_rounds(STORE_LAYOUT_LINKED);
}

TEST(a_killed_run_onto_portable_media_is_completed_by_the_next)
{
	crash_rounds(STORE_LAYOUT_PORTABLE);
}

int main(void)
{
	return tap_main();
}
