// SPDX-License-Identifier: Apache-2.0
// OCI image layout folders: which repositories and tags their names become, and what of them is
// never believed.
#include "fixture.h"
#include "store/file.h"

static const char image[] = "{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_MANIFEST "\"}";

struct folder {
	char *top, *dir;
};

static void folder_release(struct folder *f)
{
	free(f->dir);
	temp_dir_removep(&f->top);
}
#define auto_folder __attribute__((cleanup(folder_release)))

// A layout in a folder called NAME.
static struct folder folder_new(const char *name)
{
	struct folder f = {.top = temp_dir()};

	f.dir = path_join(f.top, name);
	run("mkdir -p '%s/blobs/sha256' '%s/blobs/sha512'", f.dir, f.dir);
	write_text(f.dir, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
	return f;
}

static struct digest add_blob(const struct folder *f, enum digest_algo algo, const char *text)
{
	struct digest d;

	digest_of(&d, algo, text, strlen(text));
	auto_free char *name = xasprintf("blobs/%s/%s", digest_algo_name(algo), digest_hex(&d));

	write_text(f->dir, name, text);
	return d;
}

static char *entry(const struct digest *d, const char *media_type, const char *annotations)
{
	return xasprintf("{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":1,\"annotations\":{%s}}",
			 media_type, d->text, annotations);
}

static void write_index(const struct folder *f, const char *entries)
{
	auto_free char *text = xasprintf("{\"schemaVersion\":2,\"manifests\":[%s]}", entries);

	write_text(f->dir, "index.json", text);
}

static char *join(struct strlist *l)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	for (size_t i = 0; i < l->n; i++)
		buf_printf(&text, "%s%s", i ? " " : "", l->v[i]);
	return buf_take(&text);
}

TEST(names_in_annotations_become_repositories_and_tags)
{
	static const struct {
		const char *folder, *annotations, *repos, *repo, *tags;
	} rows[] = {
		{"img", "", "img", "img", ""},
		{"img", "\"org.opencontainers.image.ref.name\":\"v1\"", "img", "img", "v1"},
		{"My Images_.d", "\"org.opencontainers.image.ref.name\":\"v1\"", "my-images_d",
		 "my-images_d", "v1"},
		{"___", "", "image", "image", ""},
		{"blobs", "", "image", "image", ""},
		{"img", "\"org.opencontainers.image.ref.name\":\"quay.io/a/b:v1\"", "a/b img",
		 "a/b", "v1"},
		{"img", "\"org.opencontainers.image.ref.name\":\"quay.io/a/b\"", "a/b img", "a/b",
		 "latest"},
		{"img", "\"org.opencontainers.image.ref.name\":\"alpine:3.18\"", "alpine img",
		 "alpine", "3.18"},
		{"img",
		 "\"io.containerd.image.name\":\"docker.io/library/alpine:3\","
		 "\"org.opencontainers.image.ref.name\":\"3\"",
		 "img library/alpine", "library/alpine", "3"},
		{"img", "\"org.opencontainers.image.ref.name\":\"../../etc\"", "img", "img", ""},
		{"img", "\"org.opencontainers.image.ref.name\":\"a/blobs/c:v1\"", "img", "img", ""},
		{"img", "\"org.opencontainers.image.ref.name\":\"no tag\"", "img", "img", ""},
		{"img", "\"org.opencontainers.image.ref.name\":\"\"", "img", "img", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_folder struct folder f = folder_new(rows[i].folder);
		struct digest d = add_blob(&f, DIGEST_SHA256, image);
		auto_free char *at = entry(&d, MT_OCI_MANIFEST, rows[i].annotations);
		auto_strlist struct strlist repos = {0}, tags = {0};
		struct err e;

		write_index(&f, at);
		auto_of(store_close) struct store *s =
			must_open(f.dir, STORE_READ, STORE_LAYOUT_AUTO);

		CHECK_INT(store_layout(s), STORE_LAYOUT_OCI);
		CHECK_OK(store_repositories(s, &repos, &e));
		CHECK_OK(store_tags(s, rows[i].repo, &tags, &e));
		auto_free char *all_repos = join(&repos), *all_tags = join(&tags);

		CHECK_STR(all_repos, rows[i].repos);
		CHECK_STR(all_tags, rows[i].tags);
		// Whatever it is called: each repository has it by digest.
		for (size_t r = 0; r < repos.n; r++) {
			auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
			struct digest got;

			CHECK_OK(store_manifest_fetch(s, repos.v[r], d.text, STORE_MAY_WAIT, &bytes,
						      &got, &e));
			CHECK_STR(bytes.p, image);
		}
	}
}

TEST(the_last_of_two_images_of_one_name_has_it)
{
	auto_folder struct folder f = folder_new("img");
	struct digest a = add_blob(&f, DIGEST_SHA256, image), b, got;
	struct err e;

	b = add_blob(&f, DIGEST_SHA512, image);
	static const char name[] = "\"org.opencontainers.image.ref.name\":\"v1\"";
	auto_free char *first = entry(&a, MT_OCI_MANIFEST, name);
	auto_free char *second = entry(&b, MT_OCI_MANIFEST, name);
	auto_free char *both = xasprintf("%s,%s", first, second);

	write_index(&f, both);
	auto_of(store_close) struct store *s = must_open(f.dir, STORE_READ, STORE_LAYOUT_AUTO);

	CHECK_OK(store_tag_get(s, "img", "v1", &got, &e));
	CHECK_STR(got.text, b.text);
}

// Indexes in indexes, DEPTH of them around the image.
static struct digest nest(const struct folder *f, const struct digest *inner, int depth)
{
	struct digest d = *inner;

	for (int i = 0; i < depth; i++) {
		auto_free char *at = entry(&d, i ? MT_OCI_INDEX : MT_OCI_MANIFEST, "");
		auto_free char *text =
			xasprintf("{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_INDEX
				  "\",\"manifests\":[%s]}",
				  at);

		d = add_blob(f, DIGEST_SHA256, text);
	}
	return d;
}

TEST(indexes_are_followed_to_a_depth_of_eight)
{
	for (int depth = 6; depth < 10; depth++) {
		auto_folder struct folder f = folder_new("img");
		struct digest m = add_blob(&f, DIGEST_SHA256, image);
		struct digest layer = add_blob(&f, DIGEST_SHA256, "layer");
		struct digest top = nest(&f, &m, depth);
		auto_free char *at = entry(&top, MT_OCI_INDEX, "");
		auto_strlist struct strlist manifests = {0}, blobs = {0};
		struct err e;

		write_index(&f, at);
		auto_of(store_close) struct store *s =
			must_open(f.dir, STORE_READ, STORE_LAYOUT_AUTO);
		auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
		struct digest got;

		CHECK_OK(s->layout->contents(s, "img", &manifests, &blobs, &e));
		CHECK_INT(manifests.n, depth < 8 ? depth + 1 : 8);
		CHECK(strlist_has(&blobs, layer.text));
		CHECK_INT(strlist_has(&manifests, m.text), depth < 8);
		// By digest it is there however deep it is.
		CHECK_OK(store_manifest_fetch(s, "img", m.text, STORE_MAY_WAIT, &bytes, &got, &e));
		CHECK_FAILS(store_manifest_fetch(s, "img", layer.text, STORE_MAY_WAIT, &bytes, &got,
						 &e));
	}
}

TEST(an_index_may_name_what_is_not_there)
{
	auto_folder struct folder f = folder_new("img");
	struct digest missing;
	auto_strlist struct strlist manifests = {0}, blobs = {0};
	struct err e;

	digest_of(&missing, DIGEST_SHA256, "x", 1);
	auto_free char *at = entry(&missing, MT_OCI_INDEX, "");

	write_index(&f, at);
	auto_of(store_close) struct store *s = must_open(f.dir, STORE_READ, STORE_LAYOUT_AUTO);

	CHECK_OK(s->layout->contents(s, "img", &manifests, &blobs, &e));
	CHECK_INT(manifests.n + blobs.n, 0);
}

TEST(blobs_of_both_algorithms_are_copied_into_other_layouts)
{
	auto_folder struct folder f = folder_new("img");
	auto_dir char *to = temp_dir();
	struct digest m = add_blob(&f, DIGEST_SHA256, image);
	struct digest layer = add_blob(&f, DIGEST_SHA512, "layer"), got;
	auto_free char *at =
		entry(&m, MT_OCI_MANIFEST, "\"org.opencontainers.image.ref.name\":\"v1\"");
	struct err e;

	write_index(&f, at);
	auto_of(store_close) struct store *src = must_open(f.dir, STORE_READ, STORE_LAYOUT_AUTO);
	auto_of(store_close) struct store *dst = must_open(to, STORE_WRITE, STORE_LAYOUT_OC);
	auto_store_file struct store_file file = {0};

	REQUIRE_OK(store_copy(src, dst, NULL, NULL, &e));
	CHECK_OK(store_tag_get(dst, "img", "v1", &got, &e));
	CHECK_STR(got.text, m.text);
	CHECK_OK(store_blob_file(dst, "img", &layer, STORE_MAY_WAIT, &file, &e));
}

TEST(folders_that_are_no_such_layout_are_refused_by_name)
{
	static const struct {
		const char *file, *text, *part;
	} rows[] = {
		{"oci-layout", "{}", "imageLayoutVersion"},
		{"oci-layout", "{\"imageLayoutVersion\":\"2.0.0\"}", "'2.0.0'"},
		{"oci-layout", "no", "oci-layout"},
		{"index.json", "no", "index.json"},
		{"index.json", "{\"manifests\":{}}", "manifests"},
		{"index.json", "{\"manifests\":[{}]}", "manifests[0].digest"},
		{"index.json", "{\"manifests\":[{\"digest\":\"sha256:../../x\"}]}",
		 "manifests[0].digest"},
		{"index.json",
		 "{\"manifests\":[{\"digest\":\"sha256:"
		 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\","
		 "\"annotations\":{\"org.opencontainers.image.ref.name\":7}}]}",
		 "manifests[0].annotations"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_folder struct folder f = folder_new("img");
		auto_free char *notice = NULL;
		struct store *s = NULL;
		struct err e;

		write_index(&f, "");
		write_text(f.dir, rows[i].file, rows[i].text);
		CHECK_FAILS(open_as(&s, f.dir, STORE_READ, STORE_LAYOUT_AUTO, &notice, &e));
		if (!strstr(e.text, rows[i].part))
			tap_report(false, "'%s' does not name '%s'", e.text, rows[i].part);
		CHECK(strstr(e.text, f.dir));
	}
}

TEST(links_never_lead_out_of_the_folder)
{
	auto_folder struct folder f = folder_new("img");
	auto_blob struct blob evil = blob_new(1, 5);
	auto_store_file struct store_file file = {0};
	struct err e;

	write_index(&f, "");
	run("ln -s /etc/passwd '%s/blobs/sha256/%s'", f.dir, digest_hex(&evil.d.digest));
	auto_of(store_close) struct store *s = must_open(f.dir, STORE_READ, STORE_LAYOUT_AUTO);

	CHECK_FAILS(store_blob_file(s, "img", &evil.d.digest, STORE_MAY_WAIT, &file, &e));
	CHECK_INT(e.kind, ERR_IO);
}

int main(void)
{
	return tap_main();
}
