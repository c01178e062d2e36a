// SPDX-License-Identifier: Apache-2.0
// The files of a catalog: which count, what they are called, and where links lead.
#include "catalog/tree.h"

#include <stdio.h>

#include "world.h"

static struct err e;

// What is known of each path at the end: its content, or why it has none.
struct seen {
	struct strlist paths, values;
	size_t calls;
	struct cancel *cancel; // fired by the first file
};

static void forget(struct seen *s, const char *path)
{
	size_t n = strlen(path), kept = 0;

	for (size_t i = 0; i < s->paths.n; i++) {
		const char *p = s->paths.v[i];

		if (n == 0 || (strncmp(p, path, n) == 0 && (p[n] == '\0' || p[n] == '/'))) {
			free(s->paths.v[i]);
			free(s->values.v[i]);
			continue;
		}
		s->paths.v[kept] = s->paths.v[i];
		s->values.v[kept++] = s->values.v[i];
	}
	s->paths.n = s->values.n = kept;
}

static void remember(struct seen *s, const char *path, const char *value)
{
	for (size_t i = 0; i < s->paths.n; i++)
		if (strcmp(s->paths.v[i], path) == 0) {
			free(s->values.v[i]);
			s->values.v[i] = xstrdup(value);
			return;
		}
	strlist_add(&s->paths, path);
	strlist_add(&s->values, value);
}

static int on_file(void *arg, const char *path, struct layer *l, const struct layer_entry *entry,
		   struct err *why)
{
	auto_buf struct buf text = BUF_INIT(1 << 20);
	struct seen *s = arg;

	(void)entry;
	s->calls++;
	if (s->cancel)
		cancel_fire(s->cancel);
	if (layer_read_all(l, &text, why) < 0)
		return -1;
	remember(s, path, text.p);
	return 0;
}

static void on_gone(void *arg, const char *path)
{
	forget(arg, path);
}

static int on_broken(void *arg, const char *path, const struct err *why, struct err *ignored)
{
	auto_free char *value = xasprintf("(%s)", why->text);

	(void)ignored;
	remember(arg, path, value);
	return 0;
}

static void seen_release(struct seen *s)
{
	strlist_release(&s->paths);
	strlist_release(&s->values);
}

// "a=1 b=2", sorted.
static char *print(const struct seen *s)
{
	auto_strlist struct strlist rows = {0};
	auto_buf struct buf out = BUF_INIT(BUF_TEXT_MAX);

	for (size_t i = 0; i < s->paths.n; i++)
		strlist_addf(&rows, "%s=%s", s->paths.v[i], s->values.v[i]);
	strlist_sort(&rows);
	for (size_t i = 0; i < rows.n; i++)
		buf_printf(&out, "%s%s", i ? " " : "", rows.v[i]);
	return buf_take(&out);
}

enum { NO_BROKEN = 1, NO_LINKS = 2 };

static int walk(const struct world_layers *layers, const char *path, unsigned flags, char **ret)
{
	auto_world struct world w;
	auto_catalog_index struct catalog_index ix = {0};
	struct seen s = {0};
	const struct tree_visitor visitor = {
		.file = on_file,
		.gone = on_gone,
		.broken = flags & NO_BROKEN ? NULL : on_broken,
		.arg = &s,
		.skip_links = flags & NO_LINKS,
	};

	world_init(&w);
	if (world_index(&w, layers, FBC_CONFIG, &ix, &e) < 0)
		return -1;
	int failed = catalog_tree_walk(&ix, path, NULL, &visitor, NULL, &e);

	*ret = print(&s);
	seen_release(&s);
	return failed;
}

struct row {
	struct world_layers layers;
	const char *path, *want;
};

static void check_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		auto_free char *got = NULL;

		CHECK_OK(walk(&rows[i].layers, rows[i].path, 0, &got));
		CHECK_STR(got ? got : "", rows[i].want);
	}
}

struct wrong {
	struct world_layers layers;
	const char *path, *why;
};

static void check_wrong(const struct wrong *rows, size_t n, unsigned flags)
{
	for (size_t i = 0; i < n; i++) {
		auto_free char *got = NULL;

		e.text[0] = '\0';
		CHECK_FAILS(walk(&rows[i].layers, rows[i].path, flags, &got));
		CHECK_STR(e.text, rows[i].why);
		CHECK_INT(e.kind, ERR_INPUT);
	}
}

TEST(a_path_says_which_files_are_meant)
{
	static const struct row rows[] = {
		{{{{"configs/a/b=1", "configs/c=2", "other/d=3"}}}, "/configs/", "a/b=1 c=2"},
		{{{{"configs/a/b=1", "configs/c=2", "other/d=3"}}}, "configs/", "a/b=1 c=2"},
		{{{{"./configs/a=1", "/configs/b=2", "configs2/c=3"}}}, "/configs/", "a=1 b=2"},
		{{{{"a=1", "b/c=2"}}}, "/", "a=1 b/c=2"},
		{{{{"a=1", "b/c=2"}}}, ".", "a=1 b/c=2"},
		{{{{"x/y/a=1", "x/z=2"}}}, "/x//./y/", "a=1"},
		{{{{"x/y/a=1", "x/z=2"}}}, "/x/q/../y/", "a=1"},
		{{{{"database/index.db=1", "database/b.db=2", "index.db=3"}}},
		 "/database/index.db",
		 "index.db=1"},
		{{{{"d/a1.db=1", "d/a2.db/x=2", "d/b.db=3"}}}, "/d/a*.db", "a1.db=1 a2.db/x=2"},
		{{{{"d/a1=1", "d/a2=2", "d/b/c=3"}}}, "d/[^b]?", "a1=1 a2=2"},
		{{{{"bundles.db=1", "d/bundles.db=2"}}}, "bundles.db", "bundles.db=1"},
		{{{{"b*=1", "bb=2"}}}, "b*", "b*=1"},
		{{{{"d/index.db/x=1"}}}, "/d/index.db", "index.db/x=1"},
	};

	check_rows(rows, ARRAY_SIZE(rows));
}

TEST(upper_layers_replace_and_remove_also_above_the_folder)
{
	static const struct row rows[] = {
		{{{{"configs/a=1", "configs/b=1"}, {"configs/a=2"}}}, "/configs/", "a=2 b=1"},
		{{{{"configs/a=1", "configs/b=1"}, {"configs/.wh.a="}}}, "/configs/", "b=1"},
		{{{{"configs/a=1"}, {".wh.configs="}, {"configs/c=3"}}}, "/configs/", "c=3"},
		{{{{"configs/a=1"}, {".wh.configs=", "configs/c=3"}}}, "/configs/", "c=3"},
		{{{{"x/configs/a=1"}, {".wh.x=", "x/configs/c=3"}}}, "/x/configs/", "c=3"},
		{{{{"configs/a=1"}, {".wh..wh..opq=", "configs/c=3"}}}, "/configs/", "c=3"},
		{{{{"configs/a=1"}, {"configs/.wh..wh..opq=", "configs/c=3"}}}, "/configs/", "c=3"},
		{{{{"configs/d/a=1", "configs/b=1"}, {"configs/d=2"}}}, "/configs/", "b=1 d=2"},
		{{{{"configs/d=1"}, {"configs/d/a=2"}}}, "/configs/", "d/a=2"},
	};

	check_rows(rows, ARRAY_SIZE(rows));
}

TEST(of_what_a_layer_has_twice_the_last_counts)
{
	static const struct row rows[] = {
		{{{{"configs/a=1", "configs/a=2"}}}, "/configs/", "a=2"},
		{{{{"configs/d/a=1", "configs/d=2", "configs/b=3"}}}, "/configs/", "b=3 d=2"},
		{{{{"configs/d=1", "configs/d/a=2"}}}, "/configs/", "d/a=2"},
		{{{{"configs/a=1", "configs/a/", "configs/b=2"}}}, "/configs/", "b=2"},
		{{{{"x=0", "configs/a>../x", "configs/a=2"}}}, "/configs/", "a=2"},
		{{{{"x=0", "configs/a=2", "configs/a>../x"}}}, "/configs/", "a=0"},
		{{{{"x=0", "configs/d>../x", "configs/d/a=2"}}}, "/configs/", "d/a=2"},
		{{{{"new/n=1", "configs/a=1", "configs>new"}}}, "/configs/", "n=1"},
		{{{{"new/n=1", "configs>new", "configs/a=2"}}}, "/configs/", "a=2"},
	};

	check_rows(rows, ARRAY_SIZE(rows));
}

TEST(links_lead_where_the_image_says_inside_of_its_root)
{
	static const struct row rows[] = {
		{{{{"real/a=1", "configs>real"}}}, "/configs/", "a=1"},
		{{{{"real/a=1", "configs>/real/"}}}, "/configs/", "a=1"},
		{{{{"opt/real/a=1", "srv>opt", "configs>srv/real"}}}, "/configs/", "a=1"},
		{{{{"r/x/configs/a=1", "l>r"}}}, "/l/x/configs/", "a=1"},
		{{{{"real/a=1"}, {"configs>real"}, {"real/b=2"}}}, "/configs/", "a=1 b=2"},
		{{{{"configs/a=1"}, {"configs>real", "real/b=2"}}}, "/configs/", "b=2"},
		{{{{"d/db=1", "database/index.db>../d/db"}}}, "/database/index.db", "index.db=1"},
		{{{{"d/index.db=1", "database>d"}}}, "/database/index.db", "index.db=1"},
		{{{{"x/y=1", "configs/a>../x/y", "configs/b>/x/y"}}}, "/configs/", "a=1 b=1"},
		{{{{"x/y=1", "configs/a>/l/y", "l>x"}}}, "/configs/", "a=1"},
		{{{{"configs/b=1", "configs/a>b"}}}, "/configs/", "a=1 b=1"},
		{{{{"configs/b=1", "configs/a~configs/b"}}}, "/configs/", "a=1 b=1"},
		// A hard link is to what was there then.
		{{{{"x=1"}, {"configs/a~x"}, {".wh.x="}}}, "/configs/", "a=1"},
		{{{{"x=1"}, {"configs/a~x"}, {"x=2"}}}, "/configs/", "a=1"},
		{{{{"x=1"}, {"configs/a>../x"}, {"x=2"}}}, "/configs/", "a=2"},
		{{{{"x/y=1", "l>/", "configs/a>../l/x/y"}}}, "/configs/", "a=1"},
		{{{{"x=1", "y>x", "configs/a~y"}}}, "/configs/", "a=1"},
		{{{{"x=1", "b>x", "c>b", "configs/a>../c"}}}, "/configs/", "a=1"},
	};

	check_rows(rows, ARRAY_SIZE(rows));
}

TEST(a_link_without_content_is_told_by_the_name_of_the_file)
{
	static const struct row rows[] = {
		{{{{"configs/a>nope", "configs/b=1"}}},
		 "/configs/",
		 "a=(configs/a is a link to 'configs/nope', which is not in the image) b=1"},
		{{{{"configs/d/x=1", "configs/a>d"}}},
		 "/configs/",
		 "a=(configs/a is a directory) d/x=1"},
		{{{{"configs/d/", "configs/a>d", "configs/b=1"}}},
		 "/configs/",
		 "a=(configs/a is a directory) b=1"},
		{{{{"configs/a>/", "configs/b=1"}}},
		 "/configs/",
		 "a=(configs/a is a directory) b=1"},
		{{{{"configs/a>a", "configs/b=1"}}},
		 "/configs/",
		 "a=(configs/a is behind too many links) b=1"},
		{{{{"configs/a>c", "configs/c>a"}}},
		 "/configs/",
		 "a=(configs/a is behind too many links) c=(configs/c is behind too many links)"},
		{{{{"configs/p!", "configs/b=1"}}},
		 "/configs/",
		 "b=1 p=(configs/p is no regular file)"},
		{{{{"p!", "configs/a>../p", "configs/b=1"}}},
		 "/configs/",
		 "a=(configs/a is a link to what is no regular file) b=1"},
		{{{{"f=1", "configs/a>../f/x", "configs/b=1"}}},
		 "/configs/",
		 "a=(configs/a is a link to 'f/x', which is not in the image) b=1"},
	};

	check_rows(rows, ARRAY_SIZE(rows));
}

TEST(a_link_without_content_ends_the_walk_of_who_does_not_ask)
{
	static const struct wrong rows[] = {
		{{{{"configs/a>nope", "configs/b=1"}}},
		 "/configs/",
		 "configs/a is a link to 'configs/nope', which is not in the image"},
	};

	check_wrong(rows, ARRAY_SIZE(rows), NO_BROKEN);
}

TEST(links_are_no_files_where_they_are_not_wanted)
{
	static const struct world_layers layers = {{{"a=1", "b>a", "c~a", "d>nope", "e>../x"}}};
	auto_free char *got = NULL;

	CHECK_OK(walk(&layers, "/", NO_LINKS, &got));
	CHECK_STR(got, "a=1");
}

TEST(what_cannot_be_a_catalog_is_one_clear_error)
{
	static const struct wrong rows[] = {
		{{{{"other/a=1"}}}, "/configs/", "no file of the image is below '/configs/'"},
		{{{{"configs/"}}}, "/configs/", "no file of the image is below '/configs/'"},
		{{{{"configs=1"}}}, "/configs/", "no file of the image is below '/configs/'"},
		{{{{"configs>nope"}}}, "/configs/", "no file of the image is below '/configs/'"},
		{{{{"configs/a=1"}}},
		 "/configs",
		 "no file of the image is called '/configs' (a folder is named with '/' at its "
		 "end)"},
		{{{{"d/x=1"}}},
		 "/d/y",
		 "no file of the image is called '/d/y' (a folder is named with '/' at its end)"},
		{{{{"configs/a=1"}}}, "../configs/", "path '../configs/' leads out of the image"},
		{{{{"configs/l>../../etc/passwd"}}},
		 "/configs/",
		 "invalid symlink \"configs/l\" -> \"../../etc/passwd\": it leads out of the image"},
		{{{{"configs>../x", "x/a=1"}}},
		 "/configs/",
		 "invalid symlink \"configs\" -> \"../x\": it leads out of the image"},
		{{{{"configs/l>../x", "x>../y"}}},
		 "/configs/",
		 "invalid symlink \"x\" -> \"../y\": it leads out of the image"},
		{{{{"configs>b", "b>configs"}}},
		 "/configs/",
		 "'/configs/' is behind too many links"},
	};

	check_wrong(rows, ARRAY_SIZE(rows), 0);
}

TEST(links_that_need_too_many_walks_are_refused)
{
	static struct world_layers layers;
	static char names[40][32];
	auto_free char *got = NULL;

	layers.v[0][0] = "x=1";
	for (size_t i = 0; i < 40; i++) {
		snprintf(names[i], sizeof(names[i]), "configs/l%zu>../x", i);
		layers.v[0][i + 1] = names[i];
	}
	CHECK_FAILS(walk(&layers, "/configs/", 0, &got));
	CHECK_STR(e.text, "the links among the files need more than 32 readings of the layers");
}

TEST(deep_paths_are_refused)
{
	static struct world_layers layers;
	char deep[2 * (TREE_DEPTH_MAX + 2) + 16] = "configs";
	auto_free char *got = NULL;

	for (size_t i = 0; i < TREE_DEPTH_MAX; i++)
		memcpy(deep + 7 + 2 * i, "/a", 3);
	memcpy(deep + 7 + 2 * TREE_DEPTH_MAX, "=1", 3);
	layers.v[0][0] = deep;
	CHECK_FAILS(walk(&layers, "/configs/", 0, &got));
	CHECK_INT(e.kind, ERR_INPUT);
	CHECK(strstr(e.text, "is more than 128 folders deep") != NULL);
}

TEST(a_file_that_is_named_needs_no_layer_below_it)
{
	static const struct world_layers layers = {{{"database/index.db=1"}, {"x=1"}, {"y=2"}}};
	auto_world struct world w;
	auto_catalog_index struct catalog_index ix = {0};
	struct seen s = {0};
	const struct tree_visitor visitor = {.file = on_file, .gone = on_gone, .arg = &s};
	static const struct world_layers top = {{{"x=1"}, {"database/index.db=1"}}};

	world_init(&w);
	REQUIRE_OK(world_index(&w, &layers, DATABASE_CONFIG, &ix, &e));
	size_t before = memory_calls(w.place, MEMORY_BLOB_OPEN);

	CHECK_OK(catalog_tree_walk(&ix, ix.path, NULL, &visitor, NULL, &e));
	CHECK_INT(memory_calls(w.place, MEMORY_BLOB_OPEN) - before, 3);
	catalog_index_release(&ix);
	REQUIRE_OK(world_index(&w, &top, DATABASE_CONFIG, &ix, &e));
	before = memory_calls(w.place, MEMORY_BLOB_OPEN);
	CHECK_OK(catalog_tree_walk(&ix, ix.path, NULL, &visitor, NULL, &e));
	CHECK_INT(memory_calls(w.place, MEMORY_BLOB_OPEN) - before, 1);
	seen_release(&s);
}

TEST(a_damaged_layer_is_told)
{
	static const struct world_layers layers = {{{"configs/a=1"}}};
	auto_world struct world w;
	auto_catalog_index struct catalog_index ix = {0};
	struct seen s = {0};
	const struct tree_visitor visitor = {.file = on_file, .gone = on_gone, .arg = &s};

	world_init(&w);
	REQUIRE_OK(world_index(&w, &layers, FBC_CONFIG, &ix, &e));
	memory_damage(w.repo, &ix.manifest.layers[0].digest);
	CHECK_FAILS(catalog_tree_walk(&ix, ix.path, NULL, &visitor, NULL, &e));
	CHECK_INT(e.kind, ERR_DIGEST);
	seen_release(&s);
}

TEST(a_walk_can_be_cancelled)
{
	static const struct world_layers layers = {{{"configs/a=1", "configs/b=1", "configs/c=1"}}};
	auto_world struct world w;
	auto_catalog_index struct catalog_index ix = {0};
	struct cancel cancel = CANCEL_INIT;
	struct seen s = {.cancel = &cancel};
	const struct tree_visitor visitor = {.file = on_file, .gone = on_gone, .arg = &s};

	world_init(&w);
	REQUIRE_OK(world_index(&w, &layers, FBC_CONFIG, &ix, &e));
	CHECK_FAILS(catalog_tree_walk(&ix, ix.path, NULL, &visitor, &cancel, &e));
	CHECK_INT(e.kind, ERR_CANCELLED);
	CHECK_INT(s.calls, 1);
	seen_release(&s);
}

static void fire_at_read(void *arg, struct repo *r, enum memory_call call, const char *ref)
{
	(void)r, (void)ref;
	if (call == MEMORY_BLOB_READ)
		cancel_fire(arg);
}

TEST(a_walk_over_what_nobody_wants_can_be_cancelled_too)
{
	auto_free char *much = xcalloc(1, 1 << 20);
	const struct str blobs[] = {{much, 1 << 20}};
	static const struct world_layers layers = {{{"other=%0", "configs/a=1"}}};
	auto_world struct world w;
	auto_catalog_index struct catalog_index ix = {0};
	struct cancel cancel = CANCEL_INIT;
	struct seen s = {0};
	const struct tree_visitor visitor = {.file = on_file, .gone = on_gone, .arg = &s};

	world_init(&w);
	w.blobs = blobs;
	REQUIRE_OK(world_index(&w, &layers, FBC_CONFIG, &ix, &e));
	size_t before = memory_calls(w.place, MEMORY_BLOB_READ);

	memory_on_call(w.place, fire_at_read, &cancel);
	CHECK_FAILS(catalog_tree_walk(&ix, ix.path, NULL, &visitor, &cancel, &e));
	CHECK_INT(e.kind, ERR_CANCELLED);
	CHECK_INT(memory_calls(w.place, MEMORY_BLOB_READ) - before, 1);
	seen_release(&s);
}

TEST(files_have_their_whole_name_in_messages)
{
	static const struct {
		const char *tree, *path, *want;
	} rows[] = {
		{"/configs/", "a/b.yaml", "configs/a/b.yaml"},
		{"configs/", "a", "configs/a"},
		{"/", "a/b", "a/b"},
		{"/database/index.db", "index.db", "database/index.db"},
		{"bundles.db", "bundles.db", "bundles.db"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *got = catalog_tree_name(rows[i].tree, rows[i].path);

		CHECK_STR(got, rows[i].want);
	}
}

int main(void)
{
	return tap_main();
}
