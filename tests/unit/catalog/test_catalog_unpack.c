// SPDX-License-Identifier: Apache-2.0
// Catalogs written to a folder.
#include "catalog/unpack.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/fs.h"
#include "world.h"

static struct err e;

static int remove_entry(const char *path, const char *name)
{
	auto_free char *full = path_join(path, name);
	struct stat st;

	if (lstat(full, &st) == 0 && S_ISDIR(st.st_mode)) {
		DIR *d = opendir(full);

		for (struct dirent *en; d && (en = readdir(d));)
			if (strcmp(en->d_name, ".") != 0 && strcmp(en->d_name, "..") != 0)
				remove_entry(full, en->d_name);
		if (d)
			closedir(d);
		return rmdir(full);
	}
	return unlink(full);
}

struct folder {
	char path[64];
};

static void folder_init(struct folder *f)
{
	memcpy(f->path, "/tmp/ferry-unpack-XXXXXX", 25);
	if (!mkdtemp(f->path))
		f->path[0] = '\0';
}

static void folder_release(struct folder *f)
{
	if (f->path[0])
		remove_entry("/", f->path + 1);
}
#define auto_folder __attribute__((cleanup(folder_release)))

static int unpack(const struct world_layers *layers, const char *path, const char *dir)
{
	auto_world struct world w;
	auto_catalog_index struct catalog_index ix = {0};

	world_init(&w);
	if (world_index(&w, layers, FBC_CONFIG, &ix, &e) < 0)
		return -1;
	return catalog_unpack(&ix, path, dir, NULL, NULL, &e);
}

static char *content(const char *dir, const char *name)
{
	auto_free char *path = path_join(dir, name);
	auto_buf struct buf text = BUF_INIT(1000);

	if (fs_read_file(&text, path, &e) < 0)
		return xstrdup("(none)");
	return buf_take(&text);
}

static int mode_of(const char *dir, const char *name)
{
	auto_free char *path = path_join(dir, name);
	struct stat st;

	return lstat(path, &st) == 0 ? (int)(st.st_mode & 07777) : -1;
}

static const struct world_layers layers = {
	{{"configs/a/b=old", "x=outside"}, {"configs/a/b=new", "configs/c=3", "configs/l>/x"}}};

TEST(the_files_of_the_catalog_are_written_and_links_are_files)
{
	auto_folder struct folder f;

	folder_init(&f);
	auto_free char *dir = path_join(f.path, "out/deep");

	REQUIRE_OK(unpack(&layers, "/configs/", dir));
	auto_free char *b = content(dir, "a/b"), *c = content(dir, "c"), *l = content(dir, "l");

	CHECK_STR(b, "new");
	CHECK_STR(c, "3");
	CHECK_STR(l, "outside");
	CHECK_INT(mode_of(dir, "a/b"), 0640);
	CHECK_INT(mode_of(dir, "a"), 0755);
	CHECK_INT(mode_of(dir, ""), 0755);
}

TEST(an_empty_folder_is_used_and_a_full_one_refused)
{
	auto_folder struct folder f;

	folder_init(&f);
	CHECK_OK(unpack(&layers, "/configs/", f.path));
	CHECK_FAILS(unpack(&layers, "/configs/", f.path));
	auto_free char *want =
		xasprintf("'%s' is not empty: what is in it would be taken for files "
			  "of the catalog",
			  f.path);

	CHECK_STR(e.text, want);
	CHECK_INT(e.kind, ERR_INPUT);
}

TEST(a_failure_leaves_nothing_behind)
{
	static const struct world_layers bad[] = {
		{{{"configs/a=1", "configs/l>../../x"}}},
		{{{"configs/a=1", "configs/a/", "configs/b=1"}}},
		{{{"other=1"}}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		auto_folder struct folder f;

		folder_init(&f);
		auto_free char *dir = path_join(f.path, "out");

		CHECK_FAILS(unpack(&bad[i], "/configs/", dir));
		CHECK_INT(e.kind, ERR_INPUT);
		CHECK(!fs_exists(dir));
		CHECK_FAILS(unpack(&bad[i], "/configs/", f.path));
		CHECK_OK(rmdir(f.path));
	}
}

TEST(a_file_in_the_way_is_told)
{
	auto_folder struct folder f;

	folder_init(&f);
	auto_free char *dir = path_join(f.path, "out");

	REQUIRE_OK(fs_write_file(dir, STR("x"), 0644, &e));
	CHECK_FAILS(unpack(&layers, "/configs/", dir));
	CHECK(strstr(e.text, dir) != NULL);
}

int main(void)
{
	return tap_main();
}
