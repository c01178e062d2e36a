// SPDX-License-Identifier: Apache-2.0
// Releases: payloads good and hostile, destination names, and the text at the end.
#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <string.h>

#include "fake.h"
#include "release/mirror.h"
#include "release/naming.h"
#include "release/payload.h"
#include "tap.h"
#include "util/fs.h"
#include "util/mem.h"

#ifndef RELEASE_DATA
#define RELEASE_DATA "tests/unit/release/data"
#endif

static struct err e;

struct file {
	const char *path, *content;
};

// A gzip tar of the files up to the one without a path.
static struct buf make_layer(const struct file *files)
{
	static char out[1 << 20];
	struct buf ret = BUF_INIT(sizeof(out));
	struct archive *a = archive_write_new();
	size_t used = 0;

	archive_write_set_format_ustar(a);
	archive_write_add_filter_gzip(a);
	archive_write_open_memory(a, out, sizeof(out), &used);
	for (const struct file *f = files; f->path; f++) {
		struct archive_entry *entry = archive_entry_new();

		archive_entry_set_pathname(entry, f->path);
		archive_entry_set_filetype(entry, AE_IFREG);
		archive_entry_set_perm(entry, 0644);
		archive_entry_set_size(entry, (int64_t)strlen(f->content));
		archive_write_header(a, entry);
		archive_write_data(a, f->content, strlen(f->content));
		archive_entry_free(entry);
	}
	archive_write_close(a);
	archive_write_free(a);
	buf_put(&ret, out, used);
	return ret;
}

enum { LAYERS_MAX = 4 };

// An image of ARCH with the given layers, first to last.
static struct digest make_image(struct repo *r, const char *arch, const struct file *const *layers,
				size_t n, const char *tag, struct digest *ret_last)
{
	auto_free char *config = xasprintf("{\"architecture\":\"%s\",\"os\":\"linux\"}", arch);
	auto_buf struct buf json = BUF_INIT(BUF_TEXT_MAX);
	struct descriptor d;
	struct digest ret;

	memory_add_blob(r, config, strlen(config), &d);
	buf_printf(&json,
		   "{\"schemaVersion\":2,\"mediaType\":\"" MT_DOCKER_MANIFEST "\",\"config\":{"
		   "\"mediaType\":\"application/vnd.docker.container.image.v1+json\",\"size\":%zu,"
		   "\"digest\":\"%s\"},\"layers\":[",
		   strlen(config), d.digest.text);
	for (size_t i = 0; i < n; i++) {
		auto_buf struct buf tar = make_layer(layers[i]);

		memory_add_blob(r, tar.p, tar.n, &d);
		buf_printf(&json,
			   "%s{\"mediaType\":\"application/vnd.docker.image.rootfs.diff.tar.gzip\","
			   "\"size\":%zu,\"digest\":\"%s\"}",
			   i ? "," : "", tar.n, d.digest.text);
	}
	buf_puts(&json, "]}");
	memory_add_manifest(r, json.p, MT_DOCKER_MANIFEST, tag, &ret);
	if (ret_last)
		*ret_last = d.digest;
	return ret;
}

#define REFERENCES(version, tags)                                             \
	"{\"kind\":\"ImageStream\",\"apiVersion\":\"image.openshift.io/v1\"," \
	"\"metadata\":{\"name\":\"" version "\"},\"spec\":{\"tags\":[" tags "]}}"
#define TAG(name, from) \
	"{\"name\":\"" name "\",\"from\":{\"kind\":\"DockerImage\",\"name\":\"" from "\"}}"
#define DIG "sha256:f747fe65ca71944afad0a6f32054bbd2f6163f75e95eec00eb9392442a2a11a5"

#define IR "release-manifests/image-references"
static const struct file NOTHING[] = {{"etc/motd", "hello"}, {NULL, NULL}};
static const struct file GOOD[] = {
	{IR, REFERENCES("4.18.7", TAG("cli", "quay.io/r/art@" DIG))},
	{"release-manifests/release-metadata", "{\"version\":\"4.18.7\"}"},
	{"release-manifests/0000_50.yaml", "kind: x"},
	{NULL, NULL}};
static const struct file OLD[] = {{IR, REFERENCES("4.17.0", "")}, {NULL, NULL}};
static const struct file REMOVED[] = {{"release-manifests/.wh.image-references", ""}, {NULL, NULL}};
static const struct file EMPTIED[] = {{".wh.release-manifests", ""}, {NULL, NULL}};
static const struct file OPAQUE[] = {{"release-manifests/.wh..wh..opq", ""}, {NULL, NULL}};

static int read_and_parse(struct payload *ret, struct fake *f, const char *spec,
			  const struct payload_options *opt)
{
	auto_reference struct reference ref = {0};

	if (reference_parse(&ref, spec, 0, &e) < 0 ||
	    payload_read(ret, fake_repo(f, "src.io/rel"), &ref, opt, &e) < 0)
		return -1;
	return payload_parse(ret, &e);
}

static const struct payload_options PLAIN;

TEST(the_layer_that_has_image_references_is_the_last_one_read)
{
	static const struct file *const layers[] = {OLD, GOOD, NOTHING};
	auto_fake struct fake f;
	auto_payload struct payload p = {0};

	fake_init(&f);
	struct digest d = make_image(fake_repo(&f, "src.io/rel"), "arm64", layers, 3, "v", NULL);

	REQUIRE_OK(read_and_parse(&p, &f, "src.io/rel:v", &PLAIN));
	CHECK_STR(p.version, "4.18.7");
	CHECK_STR(p.architecture, "arm64");
	CHECK_STR(p.root.text, d.text);
	CHECK_STR(p.metadata.p, "{\"version\":\"4.18.7\"}");
	CHECK_INT((long long)p.ncomponents, 1);
	CHECK_STR(p.components[0].name, "cli");
	CHECK_INT((long long)memory_calls(f.src, MEMORY_BLOB_OPEN), 3);
}

TEST(white_outs_hide_lower_layers)
{
	static const struct file *const rows[][2] = {
		{GOOD, REMOVED}, {GOOD, EMPTIED}, {GOOD, OPAQUE}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_fake struct fake f;
		auto_payload struct payload p = {0};

		fake_init(&f);
		make_image(fake_repo(&f, "src.io/rel"), "amd64", rows[i], 2, "v", NULL);
		CHECK_FAILS(read_and_parse(&p, &f, "src.io/rel:v", &PLAIN));
		CHECK_STR(e.text, "unable to load image-references from release payload");
	}
}

TEST(a_damaged_layer_is_not_believed)
{
	static const struct file *const layers[] = {GOOD};
	auto_fake struct fake f;
	auto_payload struct payload p = {0};
	struct digest last;

	fake_init(&f);
	struct repo *r = fake_repo(&f, "src.io/rel");

	make_image(r, "amd64", layers, 1, "v", &last);
	memory_damage(r, &last);
	CHECK_FAILS(read_and_parse(&p, &f, "src.io/rel:v", &PLAIN));
	CHECK_INT(e.kind, ERR_DIGEST);
	CHECK(strstr(e.text, "src.io/rel:v") && strstr(e.text, last.text));
}

struct handed {
	struct strlist names;
};

static int hand_out(void *arg, const char *name, struct str bytes, struct err *why)
{
	(void)why;
	strlist_addf(&((struct handed *)arg)->names, "%s %zu", name, bytes.n);
	return 0;
}

TEST(every_file_is_handed_out_to_those_who_want_it)
{
	static const struct file *const layers[] = {GOOD};
	auto_fake struct fake f;
	auto_payload struct payload p = {0};
	struct handed h = {0};
	struct payload_options opt = {.file = hand_out, .arg = &h};

	fake_init(&f);
	make_image(fake_repo(&f, "src.io/rel"), "amd64", layers, 1, "v", NULL);
	CHECK_OK(read_and_parse(&p, &f, "src.io/rel:v", &opt));
	CHECK_INT((long long)h.names.n, 3);
	CHECK(strlist_has(&h.names, "0000_50.yaml 7"));
	strlist_release(&h.names);
}

TEST(of_a_list_the_wanted_platform_is_read)
{
	static const struct {
		bool keep;
		const char *arch;
	} rows[] = {{false, "arm64"}, {true, "amd64"}};
	static const struct file *const layers[] = {GOOD};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_fake struct fake f;
		auto_payload struct payload p = {0};
		struct payload_options opt = {.keep_manifest_list = rows[i].keep};
		auto_buf struct buf json = BUF_INIT(BUF_TEXT_MAX);
		struct digest list;

		fake_init(&f);
		struct repo *r = fake_repo(&f, "src.io/rel");
		struct digest arm = make_image(r, "arm64", layers, 1, NULL, NULL);
		struct digest amd = make_image(r, "amd64", layers, 1, NULL, NULL);

		buf_printf(&json,
			   "{\"schemaVersion\":2,\"mediaType\":\"" MT_DOCKER_LIST
			   "\",\"manifests\":[{\"mediaType\":\"" MT_DOCKER_MANIFEST
			   "\",\"digest\":\"%s\",\"size\":1,\"platform\":{\"os\":\"linux\","
			   "\"architecture\":\"arm64\"}},{\"mediaType\":\"" MT_DOCKER_MANIFEST
			   "\",\"digest\":\"%s\",\"size\":1,\"platform\":{\"os\":\"linux\","
			   "\"architecture\":\"amd64\"}}]}",
			   arm.text, amd.text);
		memory_add_manifest(r, json.p, MT_DOCKER_LIST, "v", &list);
		REQUIRE_OK(read_and_parse(&p, &f, "src.io/rel:v", &opt));
		CHECK_STR(p.architecture, rows[i].arch);
		CHECK_STR(p.root.text, list.text);
		CHECK(p.is_list);
	}
}

static int parse_text(struct payload *ret, const char *text)
{
	*ret = (struct payload){.references = BUF_INIT(PAYLOAD_FILE_MAX)};
	buf_puts(&ret->references, text);
	return payload_parse(ret, &e);
}

TEST(image_references_of_another_kind_are_refused)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{"", "unable to load image-references from release payload"},
		{"{", "unable to load image-references from release payload: "},
		{"[]", "unrecognized image-references in release payload: "},
		{"{\"kind\":\"List\",\"apiVersion\":\"image.openshift.io/v1\"}",
		 "unrecognized image-references in release payload: kind 'List'"},
		{"{\"kind\":\"ImageStream\",\"apiVersion\":\"v1\"}",
		 "unrecognized image-references in release payload: kind 'ImageStream', "
		 "apiVersion 'v1'"},
		{REFERENCES("", ""), "unable to load image-references from release payload: "},
		{REFERENCES("1", TAG("a", "x/UPPER")),
		 "release image component 'a': \"x/UPPER\" is not a valid image reference"},
		{REFERENCES("1", "{\"from\":{\"kind\":\"DockerImage\",\"name\":\"a/b\"}}"),
		 "unable to load image-references from release payload: spec.tags[0].name"},
		{"{\"kind\":\"ImageStream\",\"apiVersion\":\"image.openshift.io/v1\","
		 "\"metadata\":{\"name\":\"1\"},\"spec\":{\"tags\":{}}}",
		 "unable to load image-references from release payload: spec.tags"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_payload struct payload p = {0};

		CHECK_FAILS(parse_text(&p, rows[i].text));
		tap_report(starts_with(e.text, rows[i].want), "'%s', want '%s'", e.text,
			   rows[i].want);
	}
}

TEST(tags_that_are_no_images_are_left_out)
{
	auto_payload struct payload p = {0};

	REQUIRE_OK(parse_text(
		&p,
		REFERENCES("1", TAG("a", "x.io/a@" DIG) ",{\"name\":\"b\"},"
							"{\"name\":\"c\",\"from\":{\"kind\":"
							"\"ImageStreamTag\",\"name\":\"c:1\"}}")));
	CHECK_INT((long long)p.ncomponents, 1);
}

TEST(a_real_release_is_read)
{
	auto_payload struct payload p = {.references = BUF_INIT(PAYLOAD_FILE_MAX)};

	REQUIRE_OK(fs_read_file(&p.references, RELEASE_DATA "/ocp-4.12.0-x86_64.json", &e));
	REQUIRE_OK(payload_parse(&p, &e));
	CHECK_STR(p.version, "4.12.0");
	CHECK(p.ncomponents > 150);
	for (size_t i = 0; i < p.ncomponents; i++)
		CHECK(p.components[i].ref.has_digest && p.components[i].ref.tag[0] == '\0');
}

TEST(versions_are_told_from_images)
{
	static const struct {
		const char *text;
		bool is;
	} rows[] = {
		{"4.18.1", true},
		{"4.18.0-rc.1", true},
		{"4.18.1+build", true},
		{"4.18", false},
		{"4.18.1-", false},
		{"04.18.1", false},
		{"4.18.1.2", false},
		{"quay.io/a/b:4.18.1", false},
		{"", false},
		{"4.18.1/x", false},
		{"4..1", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		tap_report(payload_is_version(rows[i].text) == rows[i].is, "'%s'", rows[i].text);
}

TEST(names_follow_the_rules_of_the_reference)
{
	static const struct {
		const char *to;
		bool to_dir;
		const char *component, *want;
	} rows[] = {
		{"r.io/a/b", false, NULL, "r.io/a/b:4.18.7-x86_64"},
		{"r.io/a/b", false, "cli", "r.io/a/b:4.18.7-x86_64-cli"},
		{NULL, true, "cli", "file://openshift/release:4.18.7-x86_64-cli"},
		{NULL, false, NULL, "openshift/release:4.18.7-x86_64"},
		{"file://my/rel", true, NULL, "file://my/rel:4.18.7-x86_64"},
		{"r.io/rel:${version}-${component}", false, NULL, "r.io/rel:4.18.7-release-x86_64"},
		{"r.io/rel:${version}-${component}", false, "cli", "r.io/rel:4.18.7-cli-x86_64"},
		{"r.io/rel:${component}", false, "cli", "r.io/rel:cli-x86_64"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_naming struct naming n = {0};
		auto_reference struct reference ref = {0};

		REQUIRE_OK(naming_init(&n, rows[i].to, rows[i].to_dir, NULL, &e));
		REQUIRE_OK(naming_reference(&n, rows[i].component, "4.18.7", "-x86_64", &ref, &e));
		auto_free char *text = reference_print(&ref);

		CHECK_STR(text, rows[i].want);
	}
}

TEST(bases_that_are_no_repository_are_refused)
{
	static const struct {
		const char *to, *want;
	} rows[] = {
		{"r.io/a/b:tag",
		 "--to must be to an image repository and may not contain a tag or digest"},
		{"r.io/a/b@" DIG,
		 "--to must be to an image repository and may not contain a tag or digest"},
		{"r.io/ocp4/${component}:${version}",
		 "--to must be a valid image reference: \"r.io/ocp4/X-X-X-X-X-X-X:V-V-V-V-V-V-V\" "
		 "is not a valid image reference: repository name must be lowercase"},
		{"r.io/UPPER",
		 "--to must be a valid image reference: \"r.io/UPPER\" is not a valid image "
		 "reference: repository name must be lowercase"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_naming struct naming n = {0};

		CHECK_FAILS(naming_init(&n, rows[i].to, false, NULL, &e));
		CHECK_STR(e.text, rows[i].want);
	}
}

TEST(hostile_components_stay_in_their_tag)
{
	static const char *const names[] = {"a/b", "a:b", "../x", "a b", ("x@" DIG), ""};
	auto_naming struct naming plain = {0}, tagged = {0};

	REQUIRE_OK(naming_init(&plain, "r.io/a", false, NULL, &e));
	REQUIRE_OK(naming_init(&tagged, "r.io/a:${component}", false, NULL, &e));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct reference ref = {0};

		if (names[i][0] != '\0')
			CHECK_FAILS(naming_reference(&plain, names[i], "1", "-x86_64", &ref, &e));
		CHECK_FAILS(naming_reference(&tagged, names[i], "1", "-x86_64", &ref, &e));
		reference_release(&ref);
	}
}

// --- the whole ---

static int run(struct fake *f, struct release_mirror_request req, struct release_mirror_result *ret)
{
	req.from = req.from ? req.from : "src.io/rel:v";
	req.self = "oc";
	return release_mirror(f->places, &req, ret, &e);
}

// A release of two components on src.io, in the repositories rel and art.
static void make_release(struct fake *f, struct digest *ret_cli)
{
	struct digest cli = fake_image(fake_repo(f, "src.io/art"), "cli", NULL);
	struct digest pod = fake_image(fake_repo(f, "src.io/art"), "pod", NULL);
	auto_free char *text =
		xasprintf("{\"kind\":\"ImageStream\",\"apiVersion\":\"image.openshift.io/v1\","
			  "\"metadata\":{\"name\":\"4.18.7\"},\"spec\":{\"tags\":["
			  "{\"name\":\"cli\",\"from\":{\"kind\":\"DockerImage\",\"name\":"
			  "\"src.io/art@%s\"}},{\"name\":\"pod\",\"from\":{\"kind\":"
			  "\"DockerImage\",\"name\":\"src.io/art@%s\"}}]}}",
			  cli.text, pod.text);
	const struct file files[] = {{IR, text}, {NULL, NULL}};
	const struct file *layers[] = {files};

	make_image(fake_repo(f, "src.io/rel"), "amd64", layers, 1, "v", NULL);
	if (ret_cli)
		*ret_cli = cli;
}

#define SECTIONS                                                                                   \
	"\nTo use the new mirrored repository to install, add the following section to the "       \
	"install-config.yaml:\n\nimageDigestSources:\n- mirrors:\n  - dst.io/m\n  source: "        \
	"src.io/art\n- mirrors:\n  - dst.io/m\n  source: src.io/rel\n\n\nTo use the new mirrored " \
	"repository for upgrades, use the following to create an ImageDigestMirrorSet:\n\n"        \
	"apiVersion: config.openshift.io/v1\nkind: ImageDigestMirrorSet\nmetadata:\n  name: "      \
	"example\nspec:\n  imageDigestMirrors:\n  - mirrors:\n    - dst.io/m\n    source: "        \
	"src.io/art\n  - mirrors:\n    - dst.io/m\n    source: src.io/rel\n"

TEST(the_closing_text_is_that_of_the_reference)
{
	static const struct {
		struct release_mirror_request req;
		const char *want;
	} rows[] = {
		{{.to = "dst.io/m", .instructions = INSTRUCTIONS_NONE},
		 "\nSuccess\nUpdate image:  dst.io/m:4.18.7-x86_64\nMirror prefix: dst.io/m\n"},
		{{.to = "dst.io/m", .instructions = INSTRUCTIONS_IDMS},
		 "\nSuccess\nUpdate image:  dst.io/m:4.18.7-x86_64\nMirror prefix: "
		 "dst.io/m\n" SECTIONS},
		{{.to = "dst.io/m", .to_dir = "mirror", .instructions = INSTRUCTIONS_IDMS},
		 "\nSuccess\nUpdate image:  dst.io/m:4.18.7-x86_64\nMirror prefix: "
		 "dst.io/m\n" SECTIONS},
		{{.to = "dst.io/m",
		  .to_release_image = "dst.io/m:custom",
		  .instructions = INSTRUCTIONS_IDMS},
		 "\nSuccess\nUpdate image:  dst.io/m:custom\nMirror prefix: dst.io/m\n"
		 "Mirrored to: dst.io/m:custom\n" SECTIONS},
		{{.to = "dst.io/m:${version}-${component}", .instructions = INSTRUCTIONS_IDMS},
		 "\nSuccess\nUpdate image:  dst.io/m:4.18.7-release-x86_64\nMirrored to: "
		 "dst.io/m:${version}-${component}\n" SECTIONS},
		{{.to_dir = "mirror"},
		 "\nSuccess\nUpdate image:  openshift/release:4.18.7-x86_64\n\nTo upload local "
		 "images to a registry, run:\n\n    oc image mirror --from-dir=mirror "
		 "'file://openshift/release:4.18.7-x86_64*' REGISTRY/REPOSITORY\n\n"},
		{{.to = "file://my/rel", .to_dir = "mirror"},
		 "\nSuccess\nUpdate image:  my/rel:4.18.7-x86_64\nMirror prefix: file://my/rel\n\n"
		 "To upload local images to a registry, run:\n\n    oc image mirror "
		 "--from-dir=mirror 'file://my/rel:4.18.7-x86_64*' REGISTRY/REPOSITORY\n\n"},
		{{.to = "file://my/rel"},
		 "\nSuccess\nUpdate image:  my/rel:4.18.7-x86_64\nMirror prefix: file://my/rel\n\n"
		 "To upload local images to a registry, run:\n\n    oc image mirror "
		 "'file://my/rel:4.18.7-x86_64*' REGISTRY/REPOSITORY\n\n"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_fake struct fake f;
		auto_release_mirror_result struct release_mirror_result r = {0};

		fake_init(&f);
		make_release(&f, NULL);
		REQUIRE_OK(run(&f, rows[i].req, &r));
		CHECK_STR(r.text.p, rows[i].want);
		CHECK_INT((long long)r.mirror.lines.n, 3);
	}
}

TEST(to_mirror_prints_the_mappings_and_copies_nothing)
{
	auto_fake struct fake f;
	auto_release_mirror_result struct release_mirror_result r = {0};
	struct digest cli;

	fake_init(&f);
	make_release(&f, &cli);
	REQUIRE_OK(
		run(&f, (struct release_mirror_request){.to = "dst.io/m", .to_mirror = true}, &r));
	auto_free char *want = xasprintf("src.io/rel:v dst.io/m:4.18.7-x86_64\n"
					 "src.io/art@%s dst.io/m:4.18.7-x86_64-cli\n",
					 cli.text);

	CHECK(starts_with(r.text.p, want));
	CHECK_INT((long long)f.log.n, 0);
}

TEST(the_tag_of_the_release_is_resolved_once)
{
	auto_fake struct fake f;
	auto_release_mirror_result struct release_mirror_result r = {0};
	auto_strlist struct strlist log = {0};

	fake_init(&f);
	make_release(&f, NULL);
	REQUIRE_OK(run(&f, (struct release_mirror_request){.to = "dst.io/m"}, &r));
	size_t by_tag = 0;

	memory_log(f.src, &log);
	for (size_t i = 0; i < log.n; i++)
		by_tag += ends_with(log.v[i], " v");
	CHECK_INT((long long)by_tag, 1);
}

TEST(the_release_image_can_be_left_out)
{
	auto_fake struct fake f;
	auto_release_mirror_result struct release_mirror_result r = {0};

	fake_init(&f);
	make_release(&f, NULL);
	REQUIRE_OK(run(
		&f, (struct release_mirror_request){.to = "dst.io/m", .skip_release_image = true},
		&r));
	CHECK_INT((long long)r.mirror.lines.n, 2);
	CHECK(strstr(r.text.p, "Update image:  dst.io/m:4.18.7-x86_64\n") != NULL);
}

TEST(requests_are_refused_before_the_network)
{
	static const struct {
		struct release_mirror_request req;
		const char *want;
	} rows[] = {
		{{.to = "dst.io/m"}, "must specify a release image with --from"},
		{{.from = "a/b:v"},
		 "must specify an image repository or image stream to mirror the release to"},
		{{.from = "a/b:v",
		  .to = "dst.io/m",
		  .skip_release_image = true,
		  .to_release_image = "x/y:z"},
		 "--skip-release-image and --to-release-image may not both be specified"},
		{{.from = "a/b", .to = "dst.io/m"},
		 "the release image must be named by tag or digest: 'a/b'"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CHECK_FAILS(release_mirror_check(&rows[i].req, &e));
		CHECK_STR(e.text, rows[i].want);
	}
	struct release_mirror_request version = {.from = "4.18.1", .to = "dst.io/m"};

	CHECK_FAILS(release_mirror_check(&version, &e));
	CHECK(strstr(e.text, "quay.io/openshift-release-dev/ocp-release:4.18.1-") != NULL);
}

TEST(a_release_that_is_not_there_is_named)
{
	auto_fake struct fake f;
	auto_release_mirror_result struct release_mirror_result r = {0};

	fake_init(&f);
	CHECK_FAILS(run(&f, (struct release_mirror_request){.to = "dst.io/m"}, &r));
	CHECK_STR(e.text,
		  "unable to retrieve release image info: image \"src.io/rel:v\" not found: "
		  "manifest unknown: manifest unknown");
}

TEST(components_must_be_named_by_digest)
{
	static const struct file files[] = {{IR, REFERENCES("1", TAG("cli", "quay.io/a/b:tag"))},
					    {NULL, NULL}};
	static const struct file *const layers[] = {files};
	auto_fake struct fake f;
	auto_release_mirror_result struct release_mirror_result r = {0};

	fake_init(&f);
	make_image(fake_repo(&f, "src.io/rel"), "amd64", layers, 1, "v", NULL);
	CHECK_FAILS(run(&f, (struct release_mirror_request){.to = "dst.io/m"}, &r));
	CHECK_STR(e.text, "image-references should only contain pointers to images by digest: "
			  "quay.io/a/b:tag");
}

int main(void)
{
	return tap_main();
}
