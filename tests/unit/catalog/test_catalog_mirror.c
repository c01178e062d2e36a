// SPDX-License-Identifier: Apache-2.0
// The steps of mirroring a catalog: in which order, what is told, and how it ends.
#include <sys/stat.h>

#include "mirrored.h"

static struct err e;

static const struct err denied = {.kind = ERR_DENIED, .http = 403, .text = "denied: no"};

static bool has(struct mirrored *f, const char *repository, const char *tag)
{
	return memory_has_manifest(place_repo(f->w.dst, repository), tag);
}

static size_t puts_of(struct mirrored *f)
{
	return memory_calls(f->w.dst, MEMORY_MANIFEST_PUT) +
	       memory_calls(f->w.dst, MEMORY_BLOB_PUT);
}

TEST(all_images_arrive_and_the_index_comes_last)
{
	auto_mirrored struct mirrored f;
	auto_strlist struct strlist log = {0};
	const char *last = "";

	mirrored_init(&f, "");
	REQUIRE_OK(mirrored_run(&f, &e));
	CHECK_OK(catalog_mirror_verdict(&f.m, &e));
	CHECK(has(&f, "olm/ops-alpha-bundle", "v1"));
	CHECK(has(&f, "olm/ops-beta-bundle", "v1"));
	CHECK(has(&f, "olm/ops-gamma", "v1"));
	CHECK(has(&f, "olm/cat-index", "v1"));
	memory_log(f.w.dst, &log);
	for (size_t i = 0; i < log.n; i++)
		if (starts_with(log.v[i], "manifest_put"))
			last = log.v[i];
	CHECK(starts_with(last, "manifest_put olm/cat-index v1"));
	CHECK_INT((long long)f.m.result.lines.n, 6);
}

TEST(a_second_run_puts_nothing)
{
	auto_mirrored struct mirrored f;

	mirrored_init(&f, "");
	REQUIRE_OK(mirrored_run(&f, &e));
	size_t first = puts_of(&f);

	REQUIRE_OK(mirrored_run(&f, &e));
	CHECK_OK(catalog_mirror_verdict(&f.m, &e));
	CHECK(first > 0);
	CHECK_INT((long long)puts_of(&f), (long long)first);
	CHECK_INT((long long)f.m.result.lines.n, 6);
}

TEST(what_is_missing_keeps_nothing_else_and_is_told)
{
	auto_mirrored struct mirrored f;

	mirrored_init(&f, FURTHER("src.io/ops/gone:v9"));
	REQUIRE_OK(mirrored_run(&f, &e));
	CHECK(has(&f, "olm/cat-index", "v1"));
	CHECK_FAILS(catalog_mirror_verdict(&f.m, &e));
	CHECK_INT(e.kind, ERR_INCOMPLETE);
	CHECK(strstr(e.text, ": 1 of 7 images are missing, named in "));
	CHECK(strstr(e.text, "/m/missing.txt"));
	struct catalog_count n = catalog_mirror_count(&f.m);

	CHECK_INT((long long)n.wanted, 7);
	CHECK_INT((long long)n.done, 6);
	CHECK_INT((long long)n.missing, 1);
	CHECK_INT((long long)n.failed, 0);
}

TEST(skip_missing_makes_it_no_failure)
{
	auto_mirrored struct mirrored f;

	mirrored_init(&f, FURTHER("src.io/ops/gone:v9"));
	f.req.skip_missing = true;
	REQUIRE_OK(mirrored_run(&f, &e));
	CHECK_OK(catalog_mirror_verdict(&f.m, &e));
	CHECK_INT((long long)catalog_mirror_count(&f.m).missing, 1);
}

TEST(a_list_without_one_of_its_images_is_there_and_incomplete)
{
	auto_mirrored struct mirrored f;
	struct digest gone;

	mirrored_init(&f, FURTHER("src.io/ops/list:v1"));
	struct digest one = mirrored_image(&f, "ops/list", 'l', 40, NULL);

	digest_of(&gone, DIGEST_SHA256, "gone", 4);
	mirrored_list(&f, "ops/list", &one, &gone, "v1");
	REQUIRE_OK(mirrored_run(&f, &e));
	CHECK(has(&f, "olm/ops-list", "v1"));
	CHECK_FAILS(catalog_mirror_verdict(&f.m, &e));
	CHECK_INT(e.kind, ERR_INCOMPLETE);
	CHECK_INT((long long)catalog_mirror_count(&f.m).done, 7);
	CHECK_INT((long long)catalog_mirror_count(&f.m).missing, 1);
}

TEST(lists_are_carried_whole)
{
	auto_mirrored struct mirrored f;

	mirrored_init(&f, FURTHER("src.io/ops/list:v1"));
	struct digest one = mirrored_image(&f, "ops/list", 'l', 40, NULL);
	struct digest two = mirrored_image(&f, "ops/list", 'm', 50, NULL);

	mirrored_list(&f, "ops/list", &one, &two, "v1");
	REQUIRE_OK(mirrored_run(&f, &e));
	CHECK_OK(catalog_mirror_verdict(&f.m, &e));
	CHECK(has(&f, "olm/ops-list", one.text));
	CHECK(has(&f, "olm/ops-list", two.text));
}

TEST(a_catalog_whose_images_all_failed_is_not_put)
{
	auto_mirrored struct mirrored f;

	mirrored_init(&f, "");
	memory_fail(f.w.dst, MEMORY_PROBE, 0, &denied);
	REQUIRE_OK(mirrored_run(&f, &e)); // the verdict tells
	CHECK_INT((long long)puts_of(&f), 0);
	CHECK_FAILS(catalog_mirror_verdict(&f.m, &e));
	CHECK_INT(e.kind, ERR_DENIED);
	CHECK_STR(e.text, "nothing was mirrored: unable to push to dst.io: denied: no");
}

TEST(one_image_that_failed_leaves_the_rest_and_the_index)
{
	auto_mirrored struct mirrored f;

	mirrored_init(&f, "");
	memory_fail_repository(f.w.dst, "olm/ops-gamma", MEMORY_BLOB_PUT, &denied);
	REQUIRE_OK(mirrored_run(&f, &e));
	CHECK(has(&f, "olm/cat-index", "v1"));
	CHECK_FAILS(catalog_mirror_verdict(&f.m, &e));
	CHECK_INT(e.kind, ERR_INCOMPLETE);
	CHECK_INT((long long)catalog_mirror_count(&f.m).failed, 1);
}

TEST(a_nested_path_that_is_refused_names_the_flag_to_use)
{
	static const struct {
		int max_components, http;
		enum err_kind kind;
		bool hint;
	} rows[] = {
		{0, 401, ERR_DENIED, true},    {0, 403, ERR_DENIED, true},
		{3, 404, ERR_NOT_FOUND, true}, {2, 401, ERR_DENIED, false},
		{0, 500, ERR_NET, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_mirrored struct mirrored f;
		const struct err refused = {
			.kind = rows[i].kind, .http = rows[i].http, .text = "no"};

		mirrored_init(&f, "");
		f.req.max_components = rows[i].max_components;
		memory_fail(f.w.dst, MEMORY_BLOB_PUT, 0, &refused);
		REQUIRE_OK(mirrored_run(&f, &e));
		CHECK_FAILS(catalog_mirror_verdict(&f.m, &e));
		tap_report((strstr(e.text, "--max-components=2") != NULL) == rows[i].hint,
			   "row %zu: %s", i, e.text);
	}
}

TEST(without_continue_on_error_the_first_failure_ends_it)
{
	auto_mirrored struct mirrored f;

	mirrored_init(&f, FURTHER("src.io/ops/gone:v9"));
	f.req.mirror.transfer.continue_on_error = false;
	CHECK_FAILS(mirrored_run(&f, &e));
	CHECK(starts_with(e.text, "errors during mirroring. the full contents of the catalog may "
				  "not have been mirrored: mirroring failed: error mirroring "
				  "image: an error occurred during planning"));
	CHECK(e.kind != ERR_INCOMPLETE);
	CHECK(!has(&f, "olm/cat-index", "v1"));
}

TEST(a_text_that_is_no_image_is_left_out_or_ends_it)
{
	auto_mirrored struct mirrored f;

	mirrored_init(&f, FURTHER("src.io/Ops/Upper:1"));
	REQUIRE_OK(mirrored_run(&f, &e));
	CHECK_FAILS(catalog_mirror_verdict(&f.m, &e));
	CHECK_INT(e.kind, ERR_INCOMPLETE);
	f.req.mirror.transfer.continue_on_error = false;
	CHECK_FAILS(mirrored_list_images(&f, &e));
	CHECK(strstr(e.text, "couldn't parse image for mirroring (src.io/Ops/Upper:1)"));
}

TEST(a_file_that_cannot_be_read_ends_it_or_is_named_among_what_is_missing)
{
	static const struct world_layers layers = {
		{{"configs/", "configs/alpha.json=%0", "configs/beta.json={\"schema\":"}}};
	auto_mirrored struct mirrored f;
	auto_buf struct buf missing = BUF_INIT(BUF_TEXT_MAX);

	mirrored_init(&f, "");
	world_image(&f.w, &layers, FBC_CONFIG, CONFIG_TYPE, "v1");
	CHECK_FAILS(mirrored_list_images(&f, &e));
	CHECK(strstr(e.text, "configs/beta.json"));
	CHECK(strstr(e.text, "\nhint: nothing was mirrored; with --continue-on-error "));
	f.req.skip_broken = true;
	REQUIRE_OK(mirrored_run(&f, &e));
	CHECK_INT((long long)f.m.broken.n, 1);
	CHECK_FAILS(catalog_mirror_verdict(&f.m, &e));
	CHECK_INT(e.kind, ERR_INCOMPLETE);
	catalog_missing_print(&missing, &f.m);
	CHECK(strstr(missing.p, "a file of the catalog cannot be read: configs/beta.json"));
}

static int mode_of(const struct mirrored *f, const char *file)
{
	auto_free char *path = path_join(f->manifests, file);
	struct stat st;

	return stat(path, &st) == 0 ? (int)(st.st_mode & 07777) : -1;
}

TEST(a_catalog_without_files_is_refused_and_nothing_would_help)
{
	static const struct world_layers layers = {{{"etc/", "etc/os-release=x"}}};
	auto_mirrored struct mirrored f;

	mirrored_init(&f, "");
	world_image(&f.w, &layers, FBC_CONFIG, CONFIG_TYPE, "v1");
	CHECK_FAILS(mirrored_list_images(&f, &e));
	CHECK(starts_with(e.text, "the catalog cannot be read: "));
	CHECK(!strstr(e.text, "--continue-on-error"));
}

TEST(files_are_written_as_the_reference_does_and_only_when_there_are_any)
{
	auto_mirrored struct mirrored f;

	mirrored_init(&f, "");
	f.req.manifests_only = true;
	REQUIRE_OK(mirrored_list_images(&f, &e));
	CHECK(!fs_exists(f.manifests));
	REQUIRE_OK(catalog_mirror_write(&f.m, STR("gone\n"), &e));
	CHECK_INT(mode_of(&f, "mapping.txt"), 0644);
	CHECK_INT(mode_of(&f, "missing.txt"), 0644);
	CHECK_INT(mode_of(&f, "imageDigestMirrorSet.yaml"), 0755);
	CHECK_INT(mode_of(&f, "imageContentSourcePolicy.yaml"), 0755);
	CHECK_INT(mode_of(&f, "imageTagMirrorSet.yaml"), 0755);
	CHECK_INT(mode_of(&f, "catalogSource.yaml"), 0755);
	REQUIRE_OK(catalog_mirror_write(&f.m, STR(""), &e));
	CHECK_INT(mode_of(&f, "missing.txt"), -1); // it is no longer true
	CHECK_OK(catalog_mirror_verdict(&f.m, &e));
	CHECK_INT((long long)memory_calls(f.w.dst, MEMORY_PROBE), 0);
}

TEST(a_folder_that_cannot_be_made_is_found_before_anything_is_asked_for)
{
	auto_mirrored struct mirrored f;

	mirrored_init(&f, "");
	REQUIRE_OK(fs_write_file(f.manifests, STR("x"), 0644, &e));
	CHECK_FAILS(mirrored_list_images(&f, &e));
	CHECK(ends_with(e.text, "/m: not a directory"));
	CHECK_INT((long long)memory_calls(f.w.place, MEMORY_MANIFEST_GET), 0);
}

TEST(the_label_and_the_closing_lines_are_those_of_the_reference)
{
	auto_mirrored struct mirrored f;
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	mirrored_init(&f, "");
	f.req.dst = "file://local/index";
	f.req.to_manifests = NULL;
	f.req.manifests_only = true;
	REQUIRE_OK(mirrored_list_images(&f, &e));
	auto_free char *label = catalog_mirror_label(&f.m);

	CHECK_STR(label, "src image has index label for declarative configs path: /configs/");
	catalog_mirror_print_end(&text, &f.m, "oc", NULL);
	CHECK_STR(text.p, "wrote mirroring manifests to manifests-index-1700000000\n"
			  "\nTo upload local images to a registry, run:\n\n"
			  "\toc adm catalog mirror file://local/index/cat/index:v1 "
			  "REGISTRY/REPOSITORY\n");
	buf_clear(&text);
	catalog_mirror_print_end(&text, &f.m, "ferry", "media");
	CHECK(strstr(text.p, "\tferry adm catalog mirror --from-dir=media file://local/index/"));
}

TEST(a_dry_run_asks_the_destination_nothing)
{
	auto_mirrored struct mirrored f;
	auto_strlist struct strlist log = {0};

	mirrored_init(&f, FURTHER("src.io/ops/gone:v9"));
	f.req.mirror.transfer.dry_run = true;
	REQUIRE_OK(mirrored_run(&f, &e));
	memory_log(f.w.dst, &log);
	CHECK_INT((long long)log.n, 0);
	CHECK_INT((long long)catalog_mirror_count(&f.m).done, 6);
	CHECK_FAILS(catalog_mirror_verdict(&f.m, &e));
	CHECK_INT(e.kind, ERR_INCOMPLETE);
}

TEST(arguments_that_are_wrong_are_refused_before_the_index_is_asked_for)
{
	static const struct {
		const char *src, *dst, *index_dst;
		int max_components;
		const char *want;
	} rows[] = {
		{"src.io/Cat/Index:v1", "dst.io", NULL, 2, "repository name must be lowercase"},
		{"src.io/cat/index:v1", "olm", NULL, 2, "names no registry"},
		{"src.io/cat/index:v1", "dst.io", NULL, 1, "maxPathComponents must be 0"},
		{"src.io/cat/index:v1", "docker://dst.io/olm", NULL, 2, "leave out docker://"},
		{"src.io/cat/index:v1", "dst.io", "dst.io", 2, "no repository of a registry"},
		{"src.io/cat/index:v1", "dst.io", "dst.io/A", 2, "--index-dest: "},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_mirrored struct mirrored f;

		mirrored_init(&f, "");
		f.req.src = rows[i].src;
		f.req.dst = rows[i].dst;
		f.req.index_dst = rows[i].index_dst;
		f.req.max_components = rows[i].max_components;
		CHECK_FAILS(mirrored_list_images(&f, &e));
		tap_report(strstr(e.text, rows[i].want) != NULL, "row %zu: %s", i, e.text);
		CHECK_INT((long long)memory_calls(f.w.place, MEMORY_MANIFEST_GET), 0);
	}
}

TEST(what_the_lists_need_is_refused_before_the_catalog_is_read)
{
	static const struct {
		const char *icsp_scope, *path;
		int max_idms_size;
		const char *want;
	} rows[] = {
		{"cluster", NULL, CATALOG_SET_MAX, "invalid icsp-scope cluster"},
		{"repository", "/configs", CATALOG_SET_MAX, "invalid path"},
		{"repository", NULL, 0, "provided max-idms-size of 0 must be greater than 0"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_mirrored struct mirrored f;

		mirrored_init(&f, "");
		f.req.icsp_scope = rows[i].icsp_scope;
		f.req.path = rows[i].path;
		f.req.max_idms_size = rows[i].max_idms_size;
		CHECK_FAILS(mirrored_list_images(&f, &e));
		tap_report(starts_with(e.text, rows[i].want), "row %zu: %s", i, e.text);
		CHECK_INT((long long)f.m.catalog.nimages, 0);
	}
}

int main(void)
{
	return tap_main();
}
