// SPDX-License-Identifier: Apache-2.0
// Signatures of releases: claims, verifier maps, stores on disk, and the config map they are kept
// in.
#include "release/signatures.h"

#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "data/base64.h"
#include "release/claim.h"
#include "tap.h"
#include "tsv.h"
#include "util/mem.h"

#ifndef TEST_DATA
#define TEST_DATA "tests/data"
#endif
#define SIGNATURES TEST_DATA "/signatures/"
#define SIGNED     TEST_DATA "/../e2e/golden/signatures/" // of the recorded cases
#define NOW        1795000000                             // 2026-11-18
#define A          "sha256:6553a631ff5a19ef17927c86a8c8518c367e0fe90a55bf0200e2ac3b9d09936a"
#define A_HEX      "6553a631ff5a19ef17927c86a8c8518c367e0fe90a55bf0200e2ac3b9d09936a"

static struct err e;

static struct digest digest(const char *text)
{
	struct digest d = {0};

	CHECK_OK(digest_parse(&d, text, &e));
	return d;
}

static struct buf file(const char *path)
{
	struct buf b = BUF_INIT(1 << 20);

	CHECK_OK(fs_read_file(&b, path, &e));
	return b;
}

static struct strlist folders; // to be removed at the end

static char *folder(void)
{
	char *dir = xstrdup("/tmp/ferry-signatures-XXXXXX");

	CHECK(mkdtemp(dir) != NULL);
	strlist_add(&folders, dir);
	return dir;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static void remove_folders(void)
{
	for (size_t i = 0; i < folders.n; i++)
		nftw(folders.v[i], remove_one, 16, FTW_DEPTH | FTW_PHYS);
	strlist_release(&folders);
}

static void put(const char *dir, const char *name, struct str bytes)
{
	auto_free char *path = path_join(dir, name);
	char *slash = strrchr(path, '/');

	*slash = '\0';
	CHECK_OK(fs_mkdirs(path, 0755, &e));
	*slash = '/';
	CHECK_OK(fs_write_file(path, bytes, 0644, &e));
}

static void trust_golden(struct verifier *v)
{
	auto_strlist struct strlist files = {0};

	strlist_add(&files, TEST_DATA "/../e2e/golden/keys/release.asc");
	CHECK_OK(verifier_read_keys(v, &files, NOW, &e));
}

// --- claims ---

#define CLAIM(type, image, identity, rest) \
	"{\"critical\":{\"type\":" type ",\"image\":" image ",\"identity\":" identity "}" rest "}"
#define TYPE     "\"atomic container signature\""
#define IMAGE    "{\"docker-manifest-digest\":\"" A "\"}"
#define IDENTITY "{\"docker-reference\":\"quay.io/a/b:1\"}"

TEST(a_claim_says_all_of_it_and_nothing_else)
{
	static const struct {
		const char *text, *want; // NULL: good
	} rows[] = {
		{CLAIM(TYPE, IMAGE, IDENTITY, ""), NULL},
		{CLAIM(TYPE, IMAGE, IDENTITY, ",\"optional\":null"), NULL},
		{CLAIM(TYPE, IMAGE, IDENTITY, ",\"optional\":{\"creator\":1,\"x\":[]}"), NULL},
		{CLAIM(TYPE, IMAGE, IDENTITY, ",\"optional\":\"x\""), "optional: "},
		{CLAIM(TYPE, IMAGE, IDENTITY, ",\"other\":{}"), "has an unknown member"},
		{CLAIM(TYPE, IMAGE, IDENTITY ",\"x\":1", ""), "critical: has an unknown member"},
		{CLAIM("\"atomic signature\"", IMAGE, IDENTITY, ""), "critical.type: "},
		{CLAIM("1", IMAGE, IDENTITY, ""), "critical.type: "},
		{CLAIM(TYPE, "{}", IDENTITY, ""), "critical.image.docker-manifest-digest: "},
		{CLAIM(TYPE, "\"" A "\"", IDENTITY, ""), "critical.image: "},
		{CLAIM(TYPE, "{\"docker-manifest-digest\":\"sha256:abc\"}", IDENTITY, ""),
		 "critical.image.docker-manifest-digest: is not a digest"},
		{CLAIM(TYPE, "{\"docker-manifest-digest\":\"" A "\",\"x\":1}", IDENTITY, ""),
		 "critical.image: has an unknown member"},
		{CLAIM(TYPE, IMAGE, "{}", ""), "critical.identity.docker-reference: "},
		{CLAIM(TYPE, IMAGE, "{\"docker-reference\":\"\"}", ""),
		 "critical.identity.docker-reference: is not an image reference"},
		{CLAIM(TYPE, IMAGE, "{\"docker-reference\":\"UPPER\"}", ""),
		 "critical.identity.docker-reference: is not an image reference"},
		{"{\"critical\":{},\"critical\":{}}", "duplicate key"},
		{"{\"optional\":{}}", "critical: "},
		{"{}", "critical: "},
		{"[]", "not an object"},
		{"This is not JSON", "what is signed is not a claim: "},
		{CLAIM(TYPE, IMAGE, IDENTITY, "") " x", "what is signed is not a claim: "},
		{"", "what is signed is not a claim: "},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_claim struct claim c = {0};
		int r = claim_parse(&c, str_of(rows[i].text), &e);

		tap_report((r == 0) == !rows[i].want, "row %zu: %s", i, r ? e.text : "good");
		if (r < 0 && rows[i].want)
			tap_report(strstr(e.text, rows[i].want) != NULL, "row %zu: %s", i, e.text);
		if (r == 0)
			CHECK_STR(c.reference, "quay.io/a/b:1");
	}
}

TEST(a_claim_about_another_image_is_refused)
{
	struct digest other = digest("sha256:37433b71c073c6cbfc8173ec7ab2d99032c8e6d6fe29de06e062"
				     "d85e33e34531");
	struct claim c;

	CHECK_FAILS(claim_check(&c, str_of(CLAIM(TYPE, IMAGE, IDENTITY, "")), &other, &e));
	CHECK_STR(e.text, "it is about " A);
}

// --- published signatures, as they stand in a store ---

struct published {
	struct verifier verifier;
	char *dir;
	size_t good, bad;
};
static struct published published;

// What no claim can be read in, though the message is signed by the key.
static bool is_claim(const char *name)
{
	return !strstr(name, "invalid-") && strcmp(name, "containers-image/fixtures/dir-img-mixed/"
							 "signature-1") != 0;
}

static void check_published(const char *const *column)
{
	auto_signatures struct signatures s = {0};
	auto_free char *bytes = NULL;
	size_t n;

	if (strcmp(column[1], "-") == 0 || !base64_decode(str_of(column[6]), &bytes, &n))
		return;
	struct digest d = digest(column[1]);
	auto_free char *name = xasprintf("sha256=%s/signature-1", digest_hex(&d));
	bool want = is_claim(column[0]) && strstr(column[4], "redhat-release") != NULL;

	put(published.dir, name, (struct str){bytes, n});
	int r = signatures_find(&s, &published.verifier, NULL, &d, &e);

	tap_report((r == 0) == want, "%s: %s", column[0], r ? e.text : "good");
	published.good += r == 0;
	published.bad += r < 0;
	if (r < 0)
		return;
	CHECK_STR(s.v[0].reference, column[2]);
	CHECK_STR(s.v[0].key, "199E2F91FD431D51");
}

TEST(published_signatures_verify_with_the_keys_that_a_real_release_carries)
{
	auto_verifier_manifests struct verifier_manifests m = {0};
	auto_buf struct buf map = file(SIGNATURES "verifier-rhel.yaml");
	bool found;

	published = (struct published){.dir = folder()};
	REQUIRE_OK(verifier_manifests_take(&m, "0000_90.yaml", buf_str(&map), &e));
	REQUIRE_OK(verifier_load(&published.verifier, &m, VERIFIER_KEYRINGS, NOW, &found, &e));
	CHECK(found);
	CHECK_INT((long long)published.verifier.n, 1);
	REQUIRE_OK(verifier_add_store(&published.verifier, published.dir, &e));
	CHECK(tsv_each(SIGNATURES "vectors.tsv", check_published) > 90);
	CHECK(published.good >= 65);
	CHECK(published.bad >= 15);
	verifier_release(&published.verifier);
	free(published.dir);
}

// --- verifier maps ---

TEST(the_keys_and_stores_of_a_release_are_read)
{
	static const struct {
		const char *file;
		size_t keyrings, stores;
		const char *first;
	} rows[] = {
		{SIGNATURES "verifier-rhel.yaml", 1, 2, "verifier-public-key-redhat"},
		{SIGNATURES "verifier-ci.yaml", 1, 1, "verifier-public-key-ci"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_verifier_manifests struct verifier_manifests m = {0};
		auto_verifier struct verifier v = {0};
		auto_buf struct buf map = file(rows[i].file);
		bool found;

		REQUIRE_OK(verifier_manifests_take(&m, "a.yaml", STR("kind: Other"), &e));
		REQUIRE_OK(verifier_manifests_take(&m, "b.yaml", buf_str(&map), &e));
		REQUIRE_OK(verifier_load(&v, &m, VERIFIER_KEYRINGS | VERIFIER_STORES, NOW, &found,
					 &e));
		CHECK(found);
		CHECK_INT((long long)v.n, (long long)rows[i].keyrings);
		CHECK_INT((long long)v.stores.n, (long long)rows[i].stores);
		if (v.n > 0)
			CHECK_STR(v.keyrings[0].name, rows[i].first);
		CHECK(v.stores.n > 0 && starts_with(v.stores.v[0], "https://"));
	}
}

#define MAP(data)                                                                  \
	"kind: ConfigMap\nmetadata:\n  annotations:\n"                             \
	"    release.openshift.io/verification-config-map: \"\"\n  namespace: a\n" \
	"  namespace: b\ndata:\n" data

TEST(a_verifier_map_that_is_broken_is_named)
{
	static const struct {
		const char *name, *text, *want; // NULL: there is none
	} rows[] = {
		{"a.txt", MAP("  x: y\n"), NULL},
		{"a.yaml",
		 "kind: Secret\nmetadata:\n  annotations:\n"
		 "    release.openshift.io/verification-config-map: x\n",
		 NULL},
		{"a.yaml", "# release.openshift.io/verification-config-map\n- x\n", NULL},
		{"a.yaml", MAP("  x: y\n"), "a.yaml: no public key in it"},
		{"a.yaml", MAP("  verifier-public-key-x: none\n  store-x: https://x\n"),
		 "a.yaml: verifier-public-key-x: no OpenPGP public key block found"},
		{"a.yaml", MAP("  store-x: ftp://x\n"), "is neither http, https nor file"},
		{"a.yaml", MAP("  store-x: /etc\n"), "store-x: not a URL"},
		{"a.yaml", MAP("  store-x: [1]\n"), "a.yaml: data.store-x: "},
		{"a.yaml", MAP("  - x\n"), "a.yaml: data: "},
		{"a.yaml", "release.openshift.io/verification-config-map: [", "a.yaml: line "},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_verifier_manifests struct verifier_manifests m = {0};
		auto_verifier struct verifier v = {0};
		bool found = true;

		REQUIRE_OK(verifier_manifests_take(&m, rows[i].name, str_of(rows[i].text), &e));
		int r = verifier_load(&v, &m, VERIFIER_KEYRINGS | VERIFIER_STORES, NOW, &found, &e);

		tap_report((r < 0) == (rows[i].want != NULL), "row %zu: %s", i,
			   r ? e.text : "read");
		if (r == 0)
			tap_report(!found, "row %zu: found", i);
		else if (rows[i].want)
			tap_report(starts_with(e.text, "unable to load configmap verifier: ") &&
					   strstr(e.text, rows[i].want),
				   "row %zu: %s", i, e.text);
	}
}

TEST(what_the_user_says_instead_need_not_be_in_the_map)
{
	static const struct {
		const char *data;
		unsigned take;
	} rows[] = {
		{"  store-x: https://x\n", VERIFIER_STORES},
		{"  store-x: https://x\n  verifier-public-key-x: damaged\n", VERIFIER_STORES},
		{"  x: y\n", 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_verifier_manifests struct verifier_manifests m = {0};
		auto_verifier struct verifier v = {0};
		auto_free char *text = xasprintf(MAP("%s"), rows[i].data);
		bool found = false;

		REQUIRE_OK(verifier_manifests_take(&m, "a.yaml", str_of(text), &e));
		CHECK_OK(verifier_load(&v, &m, rows[i].take, NOW, &found, &e));
		CHECK(found);
		CHECK_INT((long long)v.stores.n, rows[i].take == VERIFIER_STORES);
	}
}

TEST(without_a_store_that_is_the_reason)
{
	auto_verifier struct verifier v = {0};
	auto_signatures struct signatures s = {0};
	struct digest d = digest(A);

	trust_golden(&v);
	CHECK_FAILS(signatures_find(&s, &v, NULL, &d, &e));
	CHECK(ends_with(e.text, ": there is no store to look for signatures in"));
}

TEST(a_manifest_that_comes_again_replaces_the_first)
{
	auto_verifier_manifests struct verifier_manifests m = {0};
	auto_verifier struct verifier v = {0};
	bool found = true;

	REQUIRE_OK(verifier_manifests_take(&m, "a.yaml", str_of(MAP("  x: y\n")), &e));
	REQUIRE_OK(verifier_manifests_take(&m, "a.yaml", STR("kind: Other\n"), &e));
	REQUIRE_OK(verifier_load(&v, &m, VERIFIER_KEYRINGS, NOW, &found, &e));
	CHECK(!found);
}

// --- stores ---

TEST(the_search_goes_on_behind_what_is_not_good_and_ends_at_a_gap)
{
	static const struct {
		const char *numbers; // of the good one after garbage and a foreign one
		bool good;
		const char *want;
	} rows[] = {
		{"1", true, NULL},
		{"13", false, "/signature-1: not an OpenPGP message"},
		{"123", true, NULL},
		{"2", false, "no signature found"},
		{"", false, "no signature found"},
	};
	auto_buf struct buf good = file(SIGNED "A-1"), foreign = file(SIGNED "G-3");
	struct digest d = digest(A);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_verifier struct verifier v = {0};
		auto_signatures struct signatures s = {0};
		auto_free char *dir = folder();
		size_t n = strlen(rows[i].numbers);

		trust_golden(&v);
		REQUIRE_OK(verifier_add_store(&v, dir, &e));
		for (size_t k = 0; k < n; k++) {
			auto_free char *name =
				xasprintf("sha256=" A_HEX "/signature-%c", rows[i].numbers[k]);

			put(dir, name,
			    k + 1 == n ? buf_str(&good)
			    : k == 0   ? STR("garbage\n")
				       : buf_str(&foreign));
		}
		int r = signatures_find(&s, &v, NULL, &d, &e);

		tap_report((r == 0) == rows[i].good, "row %zu: %s", i, r ? e.text : "good");
		if (r < 0 && rows[i].want)
			tap_report(ends_with(e.text, rows[i].want), "row %zu: %s", i, e.text);
	}
}

TEST(the_first_store_that_has_it_is_enough)
{
	auto_buf struct buf good = file(SIGNED "A-1");
	auto_verifier struct verifier v = {0};
	auto_signatures struct signatures s = {0};
	auto_free char *dir = folder(), *url = xasprintf("file://%s", dir);
	struct digest d = digest(A);

	trust_golden(&v);
	REQUIRE_OK(verifier_add_store(&v, "/nonexistent", &e));
	REQUIRE_OK(verifier_add_store(&v, url, &e));
	REQUIRE_OK(verifier_add_store(&v, "https://not.asked/", &e));
	put(dir, "sha256=" A_HEX "/signature-1", buf_str(&good));
	REQUIRE_OK(signatures_find(&s, &v, NULL, &d, &e));
	CHECK(starts_with(s.v[0].location, dir));
}

TEST(every_keyring_needs_a_signature)
{
	auto_buf struct buf good = file(SIGNED "A-1");
	auto_strlist struct strlist files = {0};
	auto_verifier struct verifier v = {0};
	auto_signatures struct signatures s = {0};
	auto_free char *dir = folder();
	struct digest d = digest(A);

	trust_golden(&v);
	strlist_add(&files, SIGNATURES "keys/redhat-release");
	REQUIRE_OK(verifier_read_keys(&v, &files, NOW, &e));
	REQUIRE_OK(verifier_add_store(&v, dir, &e));
	put(dir, "sha256=" A_HEX "/signature-1", buf_str(&good));
	CHECK_FAILS(signatures_find(&s, &v, NULL, &d, &e));
	CHECK(starts_with(e.text, "unable to verify " A " against keyrings: "));
	CHECK(strstr(e.text, "signed by unknown key C997B6A588A067A4") != NULL);
}

TEST(config_maps_of_others_are_read)
{
	auto_strlist struct strlist files = {0};
	auto_verifier struct verifier v = {0};
	auto_signatures struct signatures s = {0};
	struct digest d = digest("sha256:420ee7160d4970304ae97a1b0a77d9bd52af1fd97c597d7cb5d5a2c0d0"
				 "b72dda");

	strlist_add(&files, SIGNATURES "keys/redhat-release-graph-data");
	REQUIRE_OK(verifier_read_keys(&v, &files, NOW, &e));
	REQUIRE_OK(verifier_add_store(&v, SIGNATURES "config-map-4.10.21.yaml", &e));
	REQUIRE_OK(signatures_find(&s, &v, NULL, &d, &e));
	CHECK_STR(s.v[0].reference, "quay.io/openshift-release-dev/ocp-release:4.10.21-x86_64");
}

TEST(a_config_map_that_is_broken_is_told_and_the_next_store_asked)
{
	auto_buf struct buf good = file(SIGNED "A-1");
	auto_verifier struct verifier v = {0};
	auto_signatures struct signatures s = {0};
	auto_free char *bad = folder(), *dir = folder();
	struct digest d = digest(A);

	trust_golden(&v);
	put(bad, "signature-sha256-6553a631ff5a19ef.json",
	    STR("{\"binaryData\":{\"sha256-" A_HEX "-1\":\"?\"}}"));
	REQUIRE_OK(verifier_add_store(&v, bad, &e));
	CHECK_FAILS(signatures_find(&s, &v, NULL, &d, &e));
	CHECK(strstr(e.text, "is not base64") != NULL);
	REQUIRE_OK(verifier_add_store(&v, dir, &e));
	put(dir, "sha256=" A_HEX "/signature-1", buf_str(&good));
	CHECK_OK(signatures_find(&s, &v, NULL, &d, &e));
}

TEST(what_is_no_file_is_not_waited_for)
{
	auto_verifier struct verifier v = {0};
	auto_signatures struct signatures s = {0};
	auto_free char *dir = folder();
	auto_free char *pipe = path_join(dir, "signature-sha256-6553a631ff5a19ef.json");
	struct digest d = digest(A);

	trust_golden(&v);
	CHECK(mkfifo(pipe, 0600) == 0);
	REQUIRE_OK(verifier_add_store(&v, dir, &e));
	CHECK_FAILS(signatures_find(&s, &v, NULL, &d, &e));
	CHECK(ends_with(e.text, ".json is not a file"));
}

// --- the config map ---

TEST(the_config_map_is_that_of_the_reference_and_is_found_again)
{
	auto_buf struct buf good = file(SIGNED "A-1"), written = BUF_INIT(1 << 20);
	auto_buf struct buf want =
		file(TEST_DATA "/golden/a02-seed-release-mirror-to-dir/post.out");
	auto_verifier struct verifier v = {0}, again = {0};
	auto_signatures struct signatures s = {0}, found = {0};
	auto_free char *dir = folder(), *out = folder();
	struct digest d = digest(A);
	struct stat st;

	trust_golden(&v);
	REQUIRE_OK(verifier_add_store(&v, dir, &e));
	put(dir, "sha256=" A_HEX "/signature-1", buf_str(&good));
	REQUIRE_OK(signatures_find(&s, &v, NULL, &d, &e));
	auto_free char *config = path_join(out, "mirror/config");
	auto_free char *path = path_join(config, "signature-sha256-6553a631ff5a19ef.json");

	REQUIRE_OK(signatures_write(&s, config, &e));
	REQUIRE_OK(signatures_write(&s, config, &e)); // replaced without question
	REQUIRE_OK(fs_read_file(&written, path, &e));
	CHECK_STR(written.p, want.p);
	CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0640);
	CHECK(stat(config, &st) == 0 && (st.st_mode & 0777) == 0750);

	trust_golden(&again);
	REQUIRE_OK(verifier_add_store(&again, config, &e));
	REQUIRE_OK(signatures_find(&found, &again, NULL, &d, &e));
	CHECK(str_eq(buf_str(&found.v[0].bytes), buf_str(&good)));
}

int main(void)
{
	int r = tap_main();

	remove_folders();
	return r;
}
