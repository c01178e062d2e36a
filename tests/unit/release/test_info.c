// SPDX-License-Identifier: Apache-2.0
// Facts of releases and images: versions, hostile annotations, images that cannot be read, what an
// upgrade of a mirror takes.
#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <string.h>

#include "fake.h"
#include "release/info.h"
#include "release/tasks.h"
#include "tap.h"
#include "util/fs.h"
#include "util/mem.h"

#ifndef RELEASE_DATA
#define RELEASE_DATA "tests/unit/release/data"
#endif

static struct err e;

TEST(versions_have_the_order_of_semver)
{
	static const char *const rising[] = {
		"4.9.0",       "4.10.0-0",     "4.10.0-0.1",     "4.10.0-0.nightly",
		"4.10.0-ec.2", "4.10.0-ec.10", "4.10.0-ec.10.1", "4.10.0-rc",
		"4.10.0",      "4.10.1",       "5.0.0"};

	for (size_t i = 0; i < ARRAY_SIZE(rising); i++)
		for (size_t k = 0; k < ARRAY_SIZE(rising); k++) {
			int r = version_compare(rising[i], rising[k]);

			if ((r > 0) - (r < 0) != (i > k) - (i < k))
				tap_report(false, "%s against %s: %d", rising[i], rising[k], r);
		}
	CHECK_INT(version_compare("1.0.0+a", "1.0.0+b"), 0);
}

// "name=version(display)@tag …" of the components, then the warnings and notes, a line each.
static char *gather(const struct versions_of *v, size_t n)
{
	auto_strlist struct strlist warnings = {0}, notes = {0};
	auto_buf struct buf out = BUF_INIT(10000);
	struct component_versions l;

	component_versions_read(&l, v, n, &warnings, &notes);
	for (size_t i = 0; i < l.n; i++)
		buf_printf(&out, "%s%s=%s(%s)@%s", i ? " " : "", l.v[i].name, l.v[i].version,
			   l.v[i].display_name, l.v[i].tag);
	for (size_t i = 0; i < warnings.n; i++)
		buf_printf(&out, "\n%s", warnings.v[i]);
	for (size_t i = 0; i < notes.n; i++)
		buf_printf(&out, "\n%s", notes.v[i]);
	component_versions_release(&l);
	return buf_take(&out);
}

TEST(versions_of_components_come_together)
{
	static const struct versions_of v[] = {
		{"cli", "kubectl=1.31.1", ""},
		{"cli-artifacts", " kubectl=1.31.1 , a-b=1.0.0+build", "a-b=A (b): c-d"},
		{"node", "kubernetes=1.31.6,kubectl=9.9.9", "kubernetes=Kubernetes"},
		{"none", "", ""},
	};
	auto_free char *got = gather(v, ARRAY_SIZE(v));

	CHECK_STR(got, "a-b=1.0.0(A (b): c-d)@cli-artifacts kubectl=1.31.1()@cli-artifacts "
		       "kubernetes=1.31.6(Kubernetes)@node");
}

TEST(the_least_of_several_versions_counts_and_is_told)
{
	static const struct versions_of v[] = {
		{"a", "os=2.0.0,xx=1.0.0", "os=OS"}, {"b", "os=1.0.0,xx=1.0.0", "xx=X"},
		{"c", "kubectl=1.0.0", ""},          {"d", "kubectl=1.0.1", ""},
		{"e", "kubectl=1.0.2", ""},          {"f", "kubectl=1.0.2", ""},
	};
	auto_free char *got = gather(v, ARRAY_SIZE(v));

	CHECK_STR(got,
		  "os=1.0.0()@b xx=1.0.0()@b\n"
		  "multiple versions or display names reported for the following "
		  "component(s): os,  xx\n"
		  "multiple versions reported for the kubectl: 1.0.0 (c), 1.0.1 (d), 1.0.2 (e, "
		  "f)");
}

TEST(annotations_that_make_no_sense_are_warnings)
{
	static const struct {
		const char *versions, *display_names, *why;
	} rows[] = {
		{"kubernetes", "", "the version pair \"kubernetes\" must be NAME=VERSION"},
		{"a=1.0.0", "", "the version name \"a\" must be at least 2 characters"},
		{"A-b=1.0.0", "",
		 "the version name \"A-b\" must only be ASCII alphanumerics and internal hyphens"},
		{"ab-=1.0.0", "",
		 "the version name \"ab-\" must only be ASCII alphanumerics and internal hyphens"},
		{"ab=1.0", "", "the version pair \"ab=1.0\" must have a valid semantic version"},
		{"ab=1.0.0,", "", "the version pair \"\" must be NAME=VERSION"},
		{"ab=1.0.0", "ab", "the display name pair \"ab\" must be NAME=DISPLAYNAME"},
		{"ab=1.0.0", "ab=a\033[1m",
		 "the display name \"a\\x1b[1m\" must only be alphanumerics, spaces, and symbols in "
		 "[():-]"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct versions_of v = {"x", rows[i].versions, rows[i].display_names};
		auto_free char *got = gather(&v, 1);
		auto_free char *want =
			xasprintf("\nthe referenced image x had an invalid version annotation: %s",
				  rows[i].why);

		CHECK_STR(got, want);
	}
}

static void count(void *arg, size_t i)
{
	((unsigned char *)arg)[i]++;
}

TEST(every_task_is_done_once)
{
	unsigned char done[1000] = {0};
	bool each = true;

	tasks_run(ARRAY_SIZE(done), 0, count, done);
	tasks_run(ARRAY_SIZE(done), 1, count, done);
	tasks_run(ARRAY_SIZE(done), 1000, count, done);
	tasks_run(0, 3, count, done);
	for (size_t i = 0; i < ARRAY_SIZE(done); i++)
		each = each && done[i] == 3;
	CHECK(each);
}

// An image whose layers are the N blobs TEXTS.
static struct digest add_image(struct repo *r, const char *config, const char *const *texts,
			       size_t n, const char *tag)
{
	auto_buf struct buf json = BUF_INIT(BUF_TEXT_MAX);
	struct descriptor d;
	struct digest ret;

	memory_add_blob(r, config, strlen(config), &d);
	buf_printf(&json,
		   "{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_MANIFEST "\",\"config\":{"
		   "\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"size\":%zu,"
		   "\"digest\":\"%s\"},\"layers\":[",
		   strlen(config), d.digest.text);
	for (size_t i = 0; i < n; i++) {
		memory_add_blob(r, texts[i], strlen(texts[i]), &d);
		buf_printf(&json,
			   "%s{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\","
			   "\"size\":%zu,\"digest\":\"%s\"}",
			   i ? "," : "", strlen(texts[i]), d.digest.text);
	}
	buf_puts(&json, "]}");
	memory_add_manifest(r, json.p, MT_OCI_MANIFEST, tag, &ret);
	return ret;
}

#define CONFIG "{\"os\":\"linux\",\"architecture\":\"amd64\",\"created\":\"2025-03-03T11:06:40Z\"}"

static int read_images(struct image_infos *ret, struct fake *f, const char *spec,
		       const char *pattern, bool several, bool any_of_one)
{
	auto_of(platform_filter_free) struct platform_filter *filter = NULL;
	auto_reference struct reference ref = {0};

	if (reference_parse(&ref, spec, 0, &e) < 0 || platform_filter_new(&filter, pattern, &e) < 0)
		return -1;
	const struct image_info_options opt = {
		.filter = filter, .several = several, .any_of_one = any_of_one};

	return image_infos_read(ret, fake_repo(f, "src.io/a"), &ref, &opt, &e);
}

TEST(of_a_list_exactly_one_entry_is_shown_unless_several_are_wanted)
{
	static const char *const layer[] = {"layer"};
	auto_fake struct fake f;
	struct digest d[12];

	fake_init(&f);
	for (size_t i = 0; i < 3; i++)
		d[i] = add_image(fake_repo(&f, "src.io/a"), CONFIG, layer, 1, NULL);
	struct digest list = fake_list(fake_repo(&f, "src.io/a"), d, 3, "list");

	fake_list(fake_repo(&f, "src.io/a"), d, 1, "one");
	static const struct {
		const char *spec, *filter;
		bool several, any_of_one;
		int n;
	} rows[] = {
		{"src.io/a:list", "", false, false, -1},
		{"src.io/a:list", "", true, false, 3},
		{"src.io/a:list", "arm64", false, false, 1},
		{"src.io/a:list", "windows", false, false, -1},
		{"src.io/a:list", "windows", true, false, -1},
		{"src.io/a:list", "linux", false, true, -1},
		{"src.io/a:one", "windows", false, false, -1},
		{"src.io/a:one", "windows", false, true, 1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_image_infos struct image_infos l = {0};
		int r = read_images(&l, &f, rows[i].spec, rows[i].filter, rows[i].several,
				    rows[i].any_of_one);

		CHECK_INT(r < 0 ? -1 : (int)l.n, rows[i].n);
		if (r == 0) {
			CHECK(l.v[0].in_list);
			CHECK(i > 4 || digest_equal(&l.v[0].list, &list));
		}
	}
	auto_image_infos struct image_infos l = {0};

	CHECK_FAILS(read_images(&l, &f, "src.io/a:list", "", false, false));
	CHECK(strstr(e.text, "use --filter-by-os to select from:\n\n  OS          DIGEST\n"
			     "  linux/amd64 sha256:"));
}

TEST(configurations_that_are_no_configuration_are_refused)
{
	static const char *const rows[][2] = {
		{"[]", "unable to read image src.io/a:v: image configuration: not an object"},
		{"", "unable to read image src.io/a:v: image configuration: unexpected end of JSON "
		     "input"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_fake struct fake f;
		auto_image_infos struct image_infos l = {0};

		fake_init(&f);
		add_image(fake_repo(&f, "src.io/a"), rows[i][0], NULL, 0, "v");
		CHECK_FAILS(read_images(&l, &f, "src.io/a:v", "", false, false));
		CHECK_STR(e.text, rows[i][1]);
	}
}

TEST(configurations_of_many_images_share_a_budget)
{
	auto_fake struct fake f;
	auto_reference struct reference ref = {0};
	atomic_size_t budget = 2 * strlen(CONFIG);
	const struct image_info_options opt = {.budget = &budget};

	fake_init(&f);
	add_image(fake_repo(&f, "src.io/a"), CONFIG, NULL, 0, "v");
	REQUIRE_OK(reference_parse(&ref, "src.io/a:v", 0, &e));
	for (int i = 0; i < 3; i++) {
		auto_image_infos struct image_infos l = {0};
		int r = image_infos_read(&l, fake_repo(&f, "src.io/a"), &ref, &opt, &e);

		CHECK_INT(r, i < 2 ? 0 : -1);
	}
	CHECK_STR(e.text, "unable to read image src.io/a:v: the configurations of all images "
			  "together are too large");
}

TEST(what_an_image_does_not_say_is_left_out)
{
	auto_fake struct fake f;
	auto_image_infos struct image_infos l = {0};
	auto_buf struct buf text = BUF_INIT(10000), json = BUF_INIT(10000);
	struct json_out j = {.out = &json};

	fake_init(&f);
	add_image(
		fake_repo(&f, "src.io/a"),
		"{\"config\":{\"Cmd\":[\"a\",\"b\"],\"Labels\":{\"k\":\"one\\ntwo\"},\"Volumes\":{"
		"\"/b\":{},\"/a\":{}},\"ExposedPorts\":{\"80/tcp\":{},\"443/tcp\":{}},\"User\":"
		"\"1001\",\"WorkingDir\":\"/w\"}}",
		NULL, 0, "v");
	REQUIRE_OK(read_images(&l, &f, "src.io/a:v", "", false, false));
	image_info_print(&text, &l.v[0], 0);
	char *digest = strstr(text.p, "Digest:");
	char *behind = digest ? strstr(digest, "\nMedia Type:") : NULL;

	CHECK(behind != NULL);
	CHECK_STR(behind ? behind : "",
		  "\nMedia Type:    application/vnd.oci.image.manifest.v1+json\n"
		  "Created:       <unknown>\n"
		  "Layer Size:    0B\n"
		  "OS:            \n"
		  "Arch:          \n"
		  "Command:       a b\n"
		  "Working Dir:   /w\n"
		  "User:          1001\n"
		  "Exposes Ports: 443/tcp, 80/tcp\n"
		  "Labels:        k=one\n"
		  "two\n"
		  "Volumes: /a\n"
		  "         /b\n\n");
	CHECK_OK(image_info_json(&j, &l.v[0], &e));
	CHECK(strstr(json.p,
		     "\"layers\":[],\"config\":{\"id\":\"\",\"created\":\"0001-01-01T00:00:"
		     "00Z\",\"container_config\":{},\"config\":{\"User\":\"1001\",") != NULL);
}

struct file {
	const char *path, *content;
};

static struct digest add_release(struct repo *r, const struct file *files, const char *tag)
{
	static char tar[1 << 20];
	struct archive *a = archive_write_new();
	size_t used = 0;

	archive_write_set_format_ustar(a);
	archive_write_open_memory(a, tar, sizeof(tar) - 1, &used);
	for (const struct file *f = files; f->path; f++) {
		struct archive_entry *entry = archive_entry_new();
		bool dir = !f->content;

		archive_entry_set_pathname(entry, f->path);
		archive_entry_set_filetype(entry, dir ? AE_IFDIR : AE_IFREG);
		archive_entry_set_perm(entry, 0755);
		archive_entry_set_size(entry, dir ? 0 : (int64_t)strlen(f->content));
		archive_write_header(a, entry);
		if (!dir)
			archive_write_data(a, f->content, strlen(f->content));
		archive_entry_free(entry);
	}
	archive_write_close(a);
	archive_write_free(a);
	auto_buf struct buf json = BUF_INIT(BUF_TEXT_MAX);
	struct descriptor config, layer;
	struct digest ret;

	memory_add_blob(r, CONFIG, strlen(CONFIG), &config);
	memory_add_blob(r, tar, used, &layer);
	buf_printf(&json,
		   "{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_MANIFEST "\",\"config\":{"
		   "\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"size\":%zu,"
		   "\"digest\":\"%s\"},\"layers\":[{\"mediaType\":"
		   "\"application/vnd.oci.image.layer.v1.tar\",\"size\":%zu,\"digest\":\"%s\"}]}",
		   strlen(CONFIG), config.digest.text, used, layer.digest.text);
	memory_add_manifest(r, json.p, MT_OCI_MANIFEST, tag, &ret);
	return ret;
}

// A release VERSION of which each component's image has the layers of one of LAYERS, NULL for an
// image that is not there. Named c0, c1, …
static void add_version(struct fake *f, const char *version, const char *const layers[][2],
			size_t n)
{
	auto_buf struct buf refs = BUF_INIT(BUF_TEXT_MAX);
	auto_free char *metadata =
		xasprintf("{\"version\":\"%s\",\"previous\":[\"1.0.0\"]}", version);

	buf_printf(
		&refs,
		"{\"kind\":\"ImageStream\",\"apiVersion\":\"image.openshift.io/v1\",\"metadata\":"
		"{\"name\":\"%s\"},\"spec\":{\"tags\":[",
		version);
	for (size_t i = 0; i < n; i++) {
		struct digest d;

		if (layers[i][0])
			d = add_image(fake_repo(f, "src.io/art"), CONFIG, layers[i], 2, NULL);
		else
			digest_of(&d, DIGEST_SHA256, version, i + 1);
		buf_printf(
			&refs,
			"%s{\"name\":\"c%zu\",\"annotations\":{\"io.openshift.build.commit.id\":"
			"\"%s\",\"io.openshift.build.source-location\":\"https://github.com/o/c%zu\"}"
			",\"from\":{\"kind\":\"DockerImage\",\"name\":\"src.io/art@%s\"}}",
			i ? "," : "", i, version, i, d.text);
	}
	buf_puts(&refs, "]}}");
	const struct file files[] = {{"release-manifests", NULL},
				     {"release-manifests/image-references", refs.p},
				     {"release-manifests/release-metadata", metadata},
				     {"release-manifests/notes.txt", "x"},
				     {"release-manifests/b.yaml", "kind: B"},
				     {"release-manifests/a.json", "{}\n"},
				     {NULL, NULL}};

	add_release(fake_repo(f, "src.io/rel"), files, version);
}

TEST(the_references_of_a_real_release_are_understood)
{
	auto_release_info struct release_info r = {
		.payload = {.config = BUF_INIT(100), .references = BUF_INIT(PAYLOAD_FILE_MAX)}};
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX), json = BUF_INIT(BUF_TEXT_MAX);
	struct json_out j = {.out = &json, .indent = 2};
	const char *spec;

	r.image = xstrdup("quay.io/openshift-release-dev/ocp-release:4.12.0-x86_64");
	r.payload.os = xstrdup("linux");
	r.payload.architecture = xstrdup("amd64");
	REQUIRE_OK(reference_parse(&r.ref, r.image, 0, &e));
	buf_puts(&r.payload.config, "{}");
	REQUIRE_OK(fs_read_file(&r.payload.references, RELEASE_DATA "/ocp-4.12.0-x86_64.json", &e));
	REQUIRE_OK(release_info_parse(&r, &e));
	CHECK_INT((long long)r.ntags, 183);
	CHECK_INT((long long)r.warnings.n, 0);
	REQUIRE_OK(release_info_image_for(&r, "cluster-version-operator", &spec, &e));
	CHECK(starts_with(spec, "quay.io/openshift-release-dev/ocp-v4.0-art-dev@sha256:"));
	release_info_print(&text, &r, RELEASE_COMMIT_URLS, 0);
	CHECK(strstr(text.p, "\nComponent Versions:\n  kubernetes 1.25.4                \n"
			     "  machine-os 412.86.202301061548-0 Red Hat Enterprise Linux "
			     "CoreOS\n") != NULL);
	CHECK_OK(release_info_json(&j, &r, &e));
}

static int read_version(struct release_info *ret, struct fake *f, const char *image, bool images)
{
	const struct release_info_request req = {
		.image = image, .default_filter = true, .images = images, .parallel = 1};

	return release_info_read(ret, f->places, &req, &e);
}

TEST(a_release_is_counted_and_its_files_are_sorted)
{
	static const char *const layers[][2] = {{"base", "one"}};
	auto_fake struct fake f;
	auto_release_info struct release_info r = {0};
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	fake_init(&f);
	add_version(&f, "1.0.0", layers, 1);
	REQUIRE_OK(read_version(&r, &f, "src.io/rel:1.0.0", false));
	CHECK_STR(release_info_name(&r), "1.0.0");
	CHECK_INT((long long)r.nmanifests, 2);
	CHECK_INT((long long)r.nothers, 2);
	release_info_print_contents(&text, &r);
	char *manifests = strstr(text.p, "# a.json");

	CHECK_STR(manifests ? manifests : text.p, "# a.json\n{}\n# b.yaml\nkind: B\n");
}

TEST(images_that_cannot_be_read_are_warnings_and_counted)
{
	static const char *const layers[][2] = {{"base", "one"}, {NULL, NULL}};
	auto_fake struct fake f;
	auto_release_info struct release_info r = {0};

	fake_init(&f);
	add_version(&f, "1.0.0", layers, 2);
	REQUIRE_OK(read_version(&r, &f, "src.io/rel:1.0.0", true));
	CHECK_INT((long long)r.nunread, 1);
	CHECK_INT((long long)r.warnings.n, 1);
	CHECK(r.warnings.n == 1 && starts_with(r.warnings.v[0], "tag \"c1\": image \"src.io/art@"));
	CHECK_INT((long long)r.images[0].n, 1);
	CHECK_INT((long long)r.images[1].n, 0);
}

TEST(an_upgrade_moves_what_the_old_release_has_not)
{
	static const char *const old_layers[][2] = {{"base", "one"}, {"base", "two"}, {"b2", "x"}};
	static const char *const new_layers[][2] = {
		{"base", "one"}, {"base", "TWO!"}, {"b2", "two"}};
	auto_fake struct fake f;
	auto_release_info struct release_info from = {0}, to = {0};
	struct release_upgrade u;

	fake_init(&f);
	add_version(&f, "1.0.0", old_layers, 3);
	add_version(&f, "1.0.1", new_layers, 3);
	REQUIRE_OK(read_version(&from, &f, "src.io/rel:1.0.0", false));
	REQUIRE_OK(read_version(&to, &f, "src.io/rel:1.0.1", false));
	REQUIRE_OK(release_upgrade_read(&u, f.places, &from, &to, 1, &e));
	CHECK_INT((long long)u.images, 4);
	CHECK_INT((long long)u.changed, 3);
	// Two manifests, the layer "TWO!", and of the release image its manifest and its layer: all
	// images have one configuration.
	CHECK_INT((long long)u.blobs, 5);
	REQUIRE_OK(release_upgrade_read(&u, f.places, &to, &to, 1, &e));
	CHECK_INT((long long)u.changed, 0);
	CHECK_INT((long long)u.bytes, 0);
}

TEST(an_upgrade_that_cannot_be_known_is_an_error)
{
	static const char *const layers[][2] = {{"base", "one"}}, *const lost[][2] = {{NULL, NULL}};
	auto_fake struct fake f;
	auto_release_info struct release_info from = {0}, to = {0};
	struct release_upgrade u;

	fake_init(&f);
	add_version(&f, "1.0.0", layers, 1);
	add_version(&f, "1.0.1", lost, 1);
	REQUIRE_OK(read_version(&from, &f, "src.io/rel:1.0.0", false));
	REQUIRE_OK(read_version(&to, &f, "src.io/rel:1.0.1", false));
	CHECK_FAILS(release_upgrade_read(&u, f.places, &from, &to, 1, &e));
	CHECK_STR(e.text, "component c0 of src.io/rel:1.0.1: manifest unknown: manifest unknown");
}

TEST(what_differs_is_sorted_into_sections)
{
	static const char *const old_layers[][2] = {{"base", "one"}, {"base", "two"}};
	static const char *const new_layers[][2] = {{"base", "one"}, {"base", "2"}, {"base", "3"}};
	auto_fake struct fake f;
	auto_release_info struct release_info from = {0}, to = {0};
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX), back = BUF_INIT(BUF_TEXT_MAX);

	fake_init(&f);
	add_version(&f, "1.0.0", old_layers, 2);
	add_version(&f, "1.0.1", new_layers, 3);
	REQUIRE_OK(read_version(&from, &f, "src.io/rel:1.0.0", false));
	REQUIRE_OK(read_version(&to, &f, "src.io/rel:1.0.1", false));
	release_diff_print(&text, &from, &to, true, NULL, 1741000000 + 86400);
	CHECK_STR(text.p, "          FROM   TO\nName:     1.0.0  1.0.1\nCreated:  1d     1d\n\n"
			  "Version:       1.0.0  1.0.1\nUpgrade From:         Yes\n\n"
			  "Images Changed:\n"
			  "  c1 https://github.com/o/c1/compare/1.0.0...1.0.1\n\n"
			  "Images Added:\n  c2 https://github.com/o/c2/commit/1.0.1\n\n");
	release_diff_print(&back, &to, &from, false, NULL, 0);
	CHECK(strstr(back.p, "\nImages Removed:\n  c2\n\n"));
}

int main(void)
{
	return tap_main();
}
