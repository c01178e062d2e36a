// SPDX-License-Identifier: Apache-2.0
// Content as open files, of every layout, with and without patience; what is only read stays as it
// was.
#include "fixture.h"
#include "store/file.h"

static const char image[] = "{\"schemaVersion\":2,\"mediaType\":\"" MT_OCI_MANIFEST "\"}";

enum shape { OC, OC_COPIED, WINDOWS, LINKED, PORTABLE, PIECES, OCI, SHAPES };
static const char *const shape_names[] = {"oc",       "oc copied", "windows", "linked",
					  "portable", "pieces",    "oci"};

struct medium {
	char *dir;
	const char *repo;
	struct blob blob;
	struct digest manifest;
};

static void medium_release(struct medium *m)
{
	blob_freep(&m->blob);
	temp_dir_removep(&m->dir);
}
#define auto_medium __attribute__((cleanup(medium_release)))

static void fill_store(struct medium *m, enum store_layout layout, uint64_t piece_bytes)
{
	auto_of(store_close) struct store *s = must_open(m->dir, STORE_WRITE, layout);
	struct err e;

	if (piece_bytes)
		s->piece_bytes = piece_bytes;
	CHECK_OK(put(s, m->repo, &m->blob, &e));
	CHECK_OK(put_manifest(s, m->repo, image, "v1", NULL, &e));
	CHECK_OK(store_sync(s, &e));
}

static void fill_oci(struct medium *m)
{
	FILE *f;

	run("mkdir -p '%s/blobs/sha256'", m->dir);
	auto_free char *blob =
		xasprintf("%s/blobs/sha256/%s", m->dir, digest_hex(&m->blob.d.digest));
	auto_free char *manifest = xasprintf("blobs/sha256/%s", digest_hex(&m->manifest));
	auto_free char *index =
		xasprintf("{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"" MT_OCI_MANIFEST
			  "\",\"digest\":\"%s\",\"size\":%zu,\"annotations\":{"
			  "\"org.opencontainers.image.ref.name\":\"quay.io/org/img:v1\"}}]}",
			  m->manifest.text, strlen(image));

	f = fopen(blob, "w");
	fwrite(m->blob.data, 1, m->blob.n, f);
	fclose(f);
	write_text(m->dir, manifest, image);
	write_text(m->dir, "index.json", index);
	write_text(m->dir, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
}

static struct medium medium_new(enum shape shape)
{
	struct medium m = {temp_dir(), "org/img", blob_new(1, 30000), {0}};

	digest_of(&m.manifest, DIGEST_SHA256, image, strlen(image));
	if (shape == OCI)
		fill_oci(&m);
	else
		fill_store(&m,
			   shape == LINKED     ? STORE_LAYOUT_LINKED
			   : shape >= PORTABLE ? STORE_LAYOUT_PORTABLE
					       : STORE_LAYOUT_OC,
			   shape == PIECES ? 7000 : 0);
	if (shape == OC_COPIED) {
		run("cp -rL '%s/v2' '%s/new' && rm -rf '%s/v2' '%s/.store' && mv '%s/new' '%s/v2'",
		    m.dir, m.dir, m.dir, m.dir, m.dir, m.dir);
	} else if (shape == WINDOWS) {
		run("cd '%s/v2/org/img' && rm -rf '%s/.store' && for f in */sha256:*; do mv $f "
		    "$(echo $f | tr : -); done && ln -sf sha256-%s manifests/v1",
		    m.dir, m.dir, digest_hex(&m.manifest));
	}
	return m;
}

static void check_blob(const struct store_file *f, const struct blob *b)
{
	auto_free unsigned char *got = xcalloc(1, b->n + 1);
	size_t at = 0;

	while (at < b->n) {
		ssize_t n = store_file_pread(f, got + at, b->n - at, at);

		if (n <= 0)
			break;
		at += (size_t)n;
	}
	CHECK_INT(at, b->n);
	CHECK_INT(f->size, b->n);
	CHECK(memcmp(got, b->data, b->n) == 0);
	CHECK_INT(store_file_pread(f, got, 1, f->size), 0);
}

// The kernel may say of what it has in memory that it would wait: while files are renamed anywhere
// on the machine, and of a link whose time of access is no later than that of its making, until
// someone has followed it a tick later. So the patient way is gone in between, as the server does
// it.
enum { ASK_AGAIN = 1000 };

static int fetch_manifest(struct store *s, const struct medium *m, const char *ref,
			  enum store_patience p, struct buf *bytes, struct digest *d, struct err *e)
{
	int r = store_manifest_fetch(s, m->repo, ref, p, bytes, d, e);

	for (int i = 0; i < ASK_AGAIN && r == 1; i++) {
		auto_buf struct buf patient = BUF_INIT(MANIFEST_MAX);
		struct digest got;

		if (store_manifest_fetch(s, m->repo, ref, STORE_MAY_WAIT, &patient, &got, e) != 0)
			return -1;
		r = store_manifest_fetch(s, m->repo, ref, p, bytes, d, e);
	}
	return r;
}

static int open_blob(struct store *s, const struct medium *m, const struct digest *d,
		     enum store_patience p, struct store_file *ret, struct err *e)
{
	int r = store_blob_file(s, m->repo, d, p, ret, e);

	for (int i = 0; i < ASK_AGAIN && r == 1; i++) {
		auto_store_file struct store_file patient = {0};

		if (store_blob_file(s, m->repo, d, STORE_MAY_WAIT, &patient, e) != 0)
			return -1;
		r = store_blob_file(s, m->repo, d, p, ret, e);
	}
	return r;
}

static void check_manifest(struct store *s, struct medium *m, const char *ref,
			   enum store_patience p)
{
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	struct digest d;
	struct err e;

	REQUIRE_OK(fetch_manifest(s, m, ref, p, &bytes, &d, &e));
	CHECK_STR(bytes.p, image);
	CHECK_STR(d.text, m->manifest.text);
}

TEST(every_layout_hands_out_blobs_and_manifests)
{
	for (enum shape shape = 0; shape < SHAPES; shape++) {
		auto_medium struct medium m = medium_new(shape);
		auto_of(store_close) struct store *s =
			must_open(m.dir, STORE_READ, STORE_LAYOUT_AUTO);
		int before = tap_failures;

		// The second time the kernel has all of it in memory.
		for (enum store_patience p = STORE_MAY_WAIT; p <= STORE_NO_WAIT; p++) {
			auto_store_file struct store_file f = {0}, as_blob = {0};
			struct err e;

			CHECK_OK(open_blob(s, &m, &m.blob.d.digest, p, &f, &e));
			check_blob(&f, &m.blob);
			CHECK_INT(f.n, shape == PIECES ? 5 : 1);
			CHECK_OK(open_blob(s, &m, &m.manifest, p, &as_blob, &e));
			CHECK_INT(as_blob.size, strlen(image));
			check_manifest(s, &m, m.manifest.text, p);
			check_manifest(s, &m, "v1", p);
		}
		CHECK(store_repository_exists(s, m.repo));
		CHECK(!store_repository_exists(s, "org"));
		CHECK(!store_repository_exists(s, "org/other"));
		CHECK(!store_repository_exists(s, "../org"));
		if (tap_failures != before)
			printf("# in layout %s\n", shape_names[shape]);
	}
}

TEST(what_is_not_there_is_not_found)
{
	for (enum shape shape = 0; shape < SHAPES; shape++) {
		auto_medium struct medium m = medium_new(shape);
		auto_of(store_close) struct store *s =
			must_open(m.dir, STORE_READ, STORE_LAYOUT_AUTO);
		auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
		auto_store_file struct store_file f = {0};
		auto_blob struct blob other = blob_new(9, 10);
		auto_strlist struct strlist none = {0};
		struct digest d;
		struct err e;
		static const char *const refs[] = {"v2", "../v1", NULL};

		CHECK_FAILS(store_blob_file(s, m.repo, &other.d.digest, STORE_MAY_WAIT, &f, &e));
		CHECK_INT(e.kind, ERR_NOT_FOUND);
		// Membership is per repository.
		CHECK_FAILS(
			store_blob_file(s, "org/other", &m.blob.d.digest, STORE_MAY_WAIT, &f, &e));
		CHECK_INT(e.kind, ERR_NOT_FOUND);
		CHECK_FAILS(store_blob_file(s, "..", &m.blob.d.digest, STORE_MAY_WAIT, &f, &e));
		for (size_t i = 0; i < 3; i++)
			CHECK_FAILS(store_manifest_fetch(s, m.repo,
							 refs[i] ? refs[i] : other.d.digest.text,
							 STORE_MAY_WAIT, &bytes, &d, &e));
		CHECK_INT(e.kind, ERR_NOT_FOUND);
		// A layer is no manifest.
		CHECK_FAILS(store_manifest_fetch(s, m.repo, m.blob.d.digest.text, STORE_MAY_WAIT,
						 &bytes, &d, &e));
		CHECK_INT(e.kind, ERR_NOT_FOUND);
		CHECK_INT(bytes.n, 0);
		CHECK_OK(store_referrers(s, "org/other", &m.manifest, &none, &e));
		CHECK_INT(none.n, 0);
	}
}

TEST(a_store_that_is_read_stays_as_it_was)
{
	for (enum shape shape = 0; shape < SHAPES; shape++) {
		auto_medium struct medium m = medium_new(shape);

		// Access times older than the rest are those that the kernel would refresh.
		run("find '%s' ! -type l -exec touch -a -d 2001-01-01 {} +", m.dir);
		// find itself read the folders.
		run("find '%s' -type d -exec touch -a -d 2001-01-01 {} +", m.dir);
		auto_free char *tree = tree_of(m.dir);

		run("find '%s' -type d -exec touch -a -d 2001-01-01 {} +", m.dir);
		{
			auto_of(store_close) struct store *s =
				must_open(m.dir, STORE_READ, STORE_LAYOUT_AUTO);
			auto_strlist struct strlist tags = {0}, repos = {0}, refs = {0};
			auto_store_file struct store_file f = {0};
			struct err e;

			CHECK_OK(store_blob_file(s, m.repo, &m.blob.d.digest, STORE_MAY_WAIT, &f,
						 &e));
			check_blob(&f, &m.blob);
			check_manifest(s, &m, "v1", STORE_MAY_WAIT);
			check_manifest(s, &m, "v1", STORE_NO_WAIT);
			check_manifest(s, &m, m.manifest.text, STORE_NO_WAIT);
			CHECK(holds(s, m.repo, &m.blob));
			CHECK_OK(store_tags(s, m.repo, &tags, &e));
			CHECK_OK(store_repositories(s, &repos, &e));
			CHECK_OK(store_referrers(s, m.repo, &m.manifest, &refs, &e));
			CHECK(tags.n == 1 && repos.n >= 1);
		}
		auto_free char *command = xasprintf(
			"test -z \"$(find '%s' ! -type l -newerat 2002-01-01 -print -quit)\"",
			m.dir);

		if (system(command) != 0)
			tap_report(false, "something was read with a trace in layout %s",
				   shape_names[shape]);
		auto_free char *after = tree_of(m.dir);

		CHECK_STR(after, tree);
	}
}

TEST(an_impatient_reader_is_told_what_would_wait)
{
	auto_medium struct medium m = medium_new(OC);
	auto_of(store_close) struct store *s = must_open(m.dir, STORE_READ, STORE_LAYOUT_AUTO);
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	auto_store_file struct store_file f = {0};
	auto_blob struct blob other = blob_new(9, 10);
	struct digest d;
	struct err e;

	// A name that nobody has looked up yet is not in the kernel's memory, as if on a cold disk.
	CHECK_INT(store_blob_file(s, m.repo, &other.d.digest, STORE_NO_WAIT, &f, &e), 1);
	CHECK_INT(store_manifest_fetch(s, m.repo, "v9", STORE_NO_WAIT, &bytes, &d, &e), 1);
	CHECK_INT(
		store_manifest_fetch(s, m.repo, other.d.digest.text, STORE_NO_WAIT, &bytes, &d, &e),
		1);
	CHECK_INT(bytes.n, 0);
	CHECK_INT(f.n, 0);
}

TEST(bytes_that_are_not_cached_would_wait)
{
	auto_medium struct medium m = medium_new(OC);
	auto_of(store_close) struct store *s = must_open(m.dir, STORE_READ, STORE_LAYOUT_AUTO);
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	auto_free char *path = xasprintf("%s/v2/org/img/manifests/%s", m.dir, m.manifest.text);
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct digest d;
	struct err e;

	check_manifest(s, &m, "v1", STORE_MAY_WAIT);
	fsync(fd);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	int r = store_manifest_fetch(s, m.repo, "v1", STORE_NO_WAIT, &bytes, &d, &e);

	// Memory filesystems have nowhere to read it from.
	CHECK(r == 1 || (r == 0 && bytes.n == strlen(image)));
	bytes.n = 0;
	check_manifest(s, &m, "v1", STORE_MAY_WAIT);
	check_manifest(s, &m, "v1", STORE_NO_WAIT);
}

TEST(damaged_manifests_are_never_handed_out)
{
	for (enum shape shape = 0; shape < SHAPES; shape++) {
		auto_medium struct medium m = medium_new(shape);
		auto_of(store_close) struct store *s =
			must_open(m.dir, STORE_READ, STORE_LAYOUT_AUTO);
		auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
		struct digest d;
		struct err e;

		if (shape == OC_COPIED)
			continue; // its tags are files, which nothing checks
		run("cd '%s' && for f in $(find . -type f -name '*%s'); do chmod u+w $f; printf X | "
		    "dd of=$f bs=1 seek=3 conv=notrunc status=none; done",
		    m.dir, digest_hex(&m.manifest));
		CHECK_FAILS(store_manifest_fetch(s, m.repo, "v1", STORE_MAY_WAIT, &bytes, &d, &e));
		CHECK_INT(e.kind, ERR_IO);
		CHECK_INT(store_manifest_fetch(s, m.repo, "v1", STORE_NO_WAIT, &bytes, &d, &e), 1);
		int r = store_manifest_fetch(s, m.repo, m.manifest.text, STORE_MAY_WAIT, &bytes, &d,
					     &e);

		// A name of the older spelling may be a tag.
		CHECK(r < 0 && (e.kind == ERR_IO || shape == WINDOWS));
		CHECK_INT(bytes.n, 0);
	}
}

TEST(a_file_of_another_size_than_recorded_is_not_handed_out)
{
	for (enum shape shape = PORTABLE; shape <= PIECES; shape++) {
		auto_medium struct medium m = medium_new(shape);
		auto_of(store_close) struct store *s =
			must_open(m.dir, STORE_READ, STORE_LAYOUT_AUTO);
		auto_store_file struct store_file f = {0};
		struct err e;

		run("truncate -s 5 '%s'/store/pool/sha256/*/%s*", m.dir,
		    digest_hex(&m.blob.d.digest));
		CHECK_FAILS(store_blob_file(s, m.repo, &m.blob.d.digest, STORE_MAY_WAIT, &f, &e));
		CHECK_INT(e.kind, ERR_IO);
	}
}

TEST(nothing_but_regular_files_of_the_store_is_opened)
{
	static const char *const commands[] = {
		"ln -s /etc/passwd",
		"ln -s ../../../../../../../../../etc/passwd",
		"mkfifo",
		"mkdir",
		"ln -s /dev/zero",
	};

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		auto_medium struct medium m = medium_new(OC);
		auto_of(store_close) struct store *s =
			must_open(m.dir, STORE_READ, STORE_LAYOUT_AUTO);
		auto_blob struct blob evil = blob_new(5, 5);
		auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
		auto_store_file struct store_file f = {0};
		struct digest d;
		struct err e;
		const char *text = evil.d.digest.text;

		run("cd '%s/v2/org/img' && %s blobs/%s && %s manifests/%s && %s manifests/evil",
		    m.dir, commands[i], text, commands[i], text, commands[i]);
		CHECK_FAILS(store_blob_file(s, m.repo, &evil.d.digest, STORE_MAY_WAIT, &f, &e));
		CHECK_FAILS(store_manifest_fetch(s, m.repo, text, STORE_MAY_WAIT, &bytes, &d, &e));
		CHECK_FAILS(
			store_manifest_fetch(s, m.repo, "evil", STORE_MAY_WAIT, &bytes, &d, &e));
		CHECK(store_blob_file(s, m.repo, &evil.d.digest, STORE_NO_WAIT, &f, &e) != 0);
		CHECK(store_manifest_fetch(s, m.repo, "evil", STORE_NO_WAIT, &bytes, &d, &e) != 0);
		CHECK_INT(bytes.n, 0);
	}
}

TEST(what_was_put_is_handed_out_at_once)
{
	auto_dir char *dir = temp_dir();
	auto_of(store_close) struct store *s = must_open(dir, STORE_WRITE, STORE_LAYOUT_LINKED);
	auto_blob struct blob b = blob_new(1, 1000);
	auto_store_file struct store_file f = {0};
	auto_buf struct buf bytes = BUF_INIT(MANIFEST_MAX);
	struct digest m, d;
	struct err e;

	REQUIRE_OK(put(s, "a", &b, &e));
	REQUIRE_OK(put_manifest(s, "a", image, "v1", &m, &e));
	CHECK_INT(store_blob_file(s, "a", &b.d.digest, STORE_NO_WAIT, &f, &e), 1);
	REQUIRE_OK(store_blob_file(s, "a", &b.d.digest, STORE_MAY_WAIT, &f, &e));
	check_blob(&f, &b);
	REQUIRE_OK(store_manifest_fetch(s, "a", "v1", STORE_MAY_WAIT, &bytes, &d, &e));
	CHECK_STR(d.text, m.text);
	CHECK(store_repository_exists(s, "a"));
}

TEST(a_medium_without_a_seal_is_unfinished)
{
	auto_medium struct medium m = medium_new(PORTABLE);

	{
		auto_of(store_close) struct store *s =
			must_open(m.dir, STORE_READ, STORE_LAYOUT_AUTO);

		CHECK(!store_unfinished(s));
	}
	run("rm '%s/store/seal'", m.dir);
	auto_of(store_close) struct store *s = must_open(m.dir, STORE_READ, STORE_LAYOUT_AUTO);

	CHECK(store_unfinished(s));
}

int main(void)
{
	return tap_main();
}
