// SPDX-License-Identifier: Apache-2.0
// Opening: whose folder it is, which layout it has or gets, and what is said when it cannot be.
#include "fixture.h"
#include "interpose.h"

static int try_open(const char *dir, enum store_mode mode, enum store_layout layout, struct err *e)
{
	auto_of(store_close) struct store *s = NULL;
	auto_free char *notice = NULL;

	return open_as(&s, dir, mode, layout, &notice, e);
}

// Makes a store that holds something.
static int begin(const char *dir, enum store_layout layout, struct err *e)
{
	auto_of(store_close) struct store *s = NULL;
	auto_free char *notice = NULL;

	if (open_as(&s, dir, STORE_WRITE, layout, &notice, e) < 0 ||
	    put_manifest(s, "a/b", "{}", "v1", NULL, e) < 0)
		return -1;
	return store_sync(s, e);
}

// Runs TRY as another user. 0, or -1 with *e.
static int open_as_user(uid_t uid, const char *dir, struct err *e)
{
	int fds[2];

	if (pipe(fds) < 0)
		abort();
	pid_t pid = fork();

	if (pid == 0) {
		struct err why = {0};

		if (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
			abort();
		try_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO, &why);
		_exit(write(fds[1], &why, sizeof(why)) < 0);
	}
	if (read(fds[0], e, sizeof(*e)) < 0)
		abort();
	waitpid(pid, NULL, 0);
	close(fds[0]);
	close(fds[1]);
	return e->kind == ERR_NONE ? 0 : -1;
}

TEST(the_folder_is_made_for_writing_and_not_for_reading)
{
	auto_dir char *dir = temp_dir();
	auto_free char *deep = path_join(dir, "a/b/c");
	struct err e;

	CHECK_FAILS(try_open(deep, STORE_READ, STORE_LAYOUT_AUTO, &e));
	CHECK_INT(e.kind, ERR_NOT_FOUND);
	CHECK(strstr(e.text, deep));
	CHECK_OK(begin(deep, STORE_LAYOUT_AUTO, &e));
	CHECK(in_dir(deep, ".store/format") && in_dir(deep, "v2"));
	CHECK_OK(try_open(deep, STORE_READ, STORE_LAYOUT_AUTO, &e));
}

TEST(what_stayed_empty_is_taken_away_again)
{
	auto_dir char *dir = temp_dir();
	auto_free char *deep = path_join(dir, "a/b/c");
	struct err e;

	CHECK_OK(try_open(deep, STORE_WRITE, STORE_LAYOUT_OC, &e));
	CHECK(!in_dir(dir, "a"));
	run("mkdir -p '%s'", deep);
	CHECK_OK(try_open(deep, STORE_WRITE, STORE_LAYOUT_OC, &e));
	CHECK(in_dir(dir, "a/b/c") && !in_dir(deep, ".store") && !in_dir(deep, "v2"));
}

TEST(an_empty_store_stays_while_another_has_it_open)
{
	auto_dir char *dir = temp_dir();
	struct err e;
	struct store *first = must_open(dir, STORE_WRITE, STORE_LAYOUT_OC);
	auto_of(store_close) struct store *second = must_open(dir, STORE_WRITE, STORE_LAYOUT_OC);

	store_close(first);
	CHECK_OK(put_manifest(second, "a/b", "{}", "v1", NULL, &e));
	CHECK_OK(store_sync(second, &e));
	CHECK(in_dir(dir, "v2/a/b/manifests/v1") && in_dir(dir, ".store/format"));
}

TEST(a_file_is_not_a_folder)
{
	auto_dir char *dir = temp_dir();
	auto_free char *path = path_join(dir, "file");
	struct err e;

	write_text(dir, "file", "x");
	for (int mode = STORE_READ; mode <= STORE_WRITE; mode++) {
		CHECK_FAILS(try_open(path, (enum store_mode)mode, STORE_LAYOUT_AUTO, &e));
		CHECK(strstr(e.text, "not a directory") && strstr(e.text, path));
	}
}

TEST(reading_leaves_no_trace)
{
	auto_dir char *dir = temp_dir();
	struct err e;

	CHECK_OK(try_open(dir, STORE_READ, STORE_LAYOUT_AUTO, &e));
	auto_free char *tree = tree_of(dir);

	CHECK_STR(tree, "");
}

TEST(an_unwritable_folder_is_named)
{
	auto_dir char *dir = temp_dir();
	struct err e;

	if (geteuid() != 0) {
		printf("# skipped: needs root to become another user\n");
		CHECK(true);
		return;
	}
	run("chmod 0755 '%s'", dir);
	CHECK_FAILS(open_as_user(65534, dir, &e));
	CHECK_INT(e.kind, ERR_DENIED);
	auto_free char *command = xasprintf("'chown -R 65534 %s'", dir);

	CHECK(strstr(e.text, command) && strstr(e.text, "belongs to user 0"));
	run("chown 65534 '%s' && chmod 0555 '%s'", dir, dir);
	CHECK_FAILS(open_as_user(65534, dir, &e));
	CHECK(strstr(e.text, dir) && strstr(e.text, "permission denied"));
	CHECK(!strchr(e.text, '\n'));
}

TEST(a_read_only_filesystem_is_named)
{
	auto_dir char *dir = temp_dir();
	struct err e;

	interpose.fail = "mkdirat";
	interpose.fail_errno = EROFS;
	CHECK_FAILS(try_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO, &e));
	interpose.fail = NULL;
	CHECK(strstr(e.text, dir) && strstr(e.text, "read-only file system"));
}

TEST(a_store_of_another_user_is_refused_with_the_remedy)
{
	auto_dir char *dir = temp_dir();
	struct err e;

	if (geteuid() != 0) {
		printf("# skipped: needs root to give files away\n");
		CHECK(true);
		return;
	}
	CHECK_OK(begin(dir, STORE_LAYOUT_AUTO, &e));
	run("chown -R 1234 '%s'", dir);
	CHECK_FAILS(try_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO, &e));
	CHECK_INT(e.kind, ERR_DENIED);
	auto_free char *command = xasprintf("'chown -R 0 %s'", dir);

	CHECK(strstr(e.text, command) && strstr(e.text, "belongs to user 1234"));
	CHECK_OK(try_open(dir, STORE_READ, STORE_LAYOUT_AUTO, &e));
	// A tree of the reference as well.
	run("rm -rf '%s/.store'", dir);
	CHECK_FAILS(try_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO, &e));
	CHECK_INT(e.kind, ERR_DENIED);
	CHECK(!in_dir(dir, ".store"));
}

TEST(formats_of_the_future_are_refused_by_name)
{
	static const struct {
		const char *file, *text, *name;
	} rows[] = {
		{".store", "media 2\n", "'media 2'"},
		{".store", "media 10\n", "'media 10'"},
		{".store", "linked 2\n", "'linked 2'"},
		{".store", "", "''"},
		{"store", "portable 2 x\n", "'portable 2 x'"},
	};
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (int mode = STORE_READ; mode <= STORE_WRITE; mode++) {
			auto_dir char *dir = temp_dir();
			auto_free char *name = path_join(rows[i].file, "format");

			run("mkdir '%s/%s'", dir, rows[i].file);
			write_text(dir, name, rows[i].text);
			CHECK_FAILS(try_open(dir, (enum store_mode)mode, STORE_LAYOUT_AUTO, &e));
			CHECK_INT(e.kind, ERR_UNSUPPORTED);
			CHECK(strstr(e.text, rows[i].name));
		}
}

TEST(somebody_elses_folder_named_store_is_left_alone)
{
	auto_dir char *dir = temp_dir();
	struct err e;

	run("mkdir '%s/store'", dir);
	write_text(dir, "store/format", "something else\n");
	CHECK_OK(begin(dir, STORE_LAYOUT_AUTO, &e));
	CHECK(in_dir(dir, ".store/format"));
}

TEST(an_existing_store_keeps_its_layout)
{
	static const enum store_layout layouts[] = {STORE_LAYOUT_OC, STORE_LAYOUT_PORTABLE};
	static const char *const names[] = {"oc", "portable"};
	struct err e;

	for (size_t i = 0; i < 2; i++)
		for (int mode = STORE_READ; mode <= STORE_WRITE; mode++) {
			auto_dir char *dir = temp_dir();
			auto_free char *remedy =
				xasprintf("ferry store copy --layout=%s %s", names[1 - i], dir);

			CHECK_OK(begin(dir, layouts[i], &e));
			CHECK_FAILS(try_open(dir, (enum store_mode)mode, layouts[1 - i], &e));
			CHECK_INT(e.kind, ERR_USAGE);
			CHECK(strstr(e.text, remedy));
			auto_of(store_close) struct store *s =
				must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

			CHECK_INT(store_layout(s), layouts[i]);
		}
}

TEST(a_tree_of_the_reference_has_the_oc_layout)
{
	auto_dir char *dir = temp_dir();
	struct err e;

	run("mkdir -p '%s/v2'", dir);
	CHECK_FAILS(try_open(dir, STORE_WRITE, STORE_LAYOUT_PORTABLE, &e));
	CHECK_INT(e.kind, ERR_USAGE);
	CHECK(strstr(e.text, "ferry store copy"));
	CHECK_OK(try_open(dir, STORE_WRITE, STORE_LAYOUT_OC, &e));
}

TEST(the_portable_layout_is_chosen_where_the_other_is_impossible)
{
	static const struct {
		bool no_colon, no_symlinks, no_links;
		const char *why; // NULL: the oc layout
	} rows[] = {
		{true, true, true, "refuses links and ':' in names"},
		{true, false, false, "refuses ':' in names"},
		{false, true, true, "refuses links"},
		{false, false, true, NULL},
	};
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_dir char *dir = temp_dir();
		auto_free char *notice = NULL;
		auto_of(store_close) struct store *s = NULL;

		interpose.no_colon = rows[i].no_colon;
		interpose.no_symlinks = rows[i].no_symlinks;
		interpose.no_links = rows[i].no_links;
		CHECK_OK(open_as(&s, dir, STORE_WRITE, STORE_LAYOUT_AUTO, &notice, &e));
		CHECK_INT(store_layout(s), rows[i].why ? STORE_LAYOUT_PORTABLE : STORE_LAYOUT_OC);
		CHECK(rows[i].why ? notice && strstr(notice, rows[i].why) && strstr(notice, dir)
				  : !notice);
		auto_dir char *other = temp_dir();

		if (rows[i].why) {
			CHECK_FAILS(try_open(other, STORE_WRITE, STORE_LAYOUT_OC, &e));
			CHECK_INT(e.kind, ERR_UNSUPPORTED);
			CHECK(strstr(e.text, rows[i].why) && strstr(e.text, "--layout=portable"));
		}
		interpose.no_colon = interpose.no_symlinks = interpose.no_links = false;
	}
}

TEST(manifests_get_a_symbolic_link_where_hard_ones_are_refused)
{
	auto_dir char *dir = temp_dir();
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	struct digest d, got;
	struct stat st;
	struct err e;

	interpose.no_links = true;
	{
		auto_of(store_close) struct store *s =
			must_open(dir, STORE_WRITE, STORE_LAYOUT_AUTO);

		REQUIRE_OK(put_manifest(s, "img", "{}", "v1", &d, &e));
		REQUIRE_OK(store_sync(s, &e));
		interpose.no_links = false;
		REQUIRE_OK(put_manifest(s, "img", "{}", "v1", &d, &e));
		CHECK_INT(s->batch->files, 0); // complete as it is
	}
	auto_free char *path = xasprintf("%s/v2/img/blobs/%s", dir, d.text);

	CHECK(lstat(path, &st) == 0 && S_ISLNK(st.st_mode));
	auto_of(store_close) struct store *s = must_open(dir, STORE_READ, STORE_LAYOUT_AUTO);

	CHECK_OK(store_manifest_get(s, "img", "v1", &bytes, &got, &e));
	CHECK_STR(bytes.p, "{}");
}

int main(void)
{
	return tap_main();
}
