// SPDX-License-Identifier: Apache-2.0
// Who signed what: every published signature at hand against every keyring at hand, and what
// becomes of damaged ones.
#include "openpgp/openpgp.h"

#include <pthread.h>
#include <string.h>

#include "data/base64.h"
#include "openpgp/armor.h"
#include "tap.h"
#include "tsv.h"
#include "util/mem.h"

#ifndef SIGNATURE_DATA
#define SIGNATURE_DATA "tests/data/signatures"
#endif

#define NOW 1795000000 // 2026-11-18

static struct err e;

static const char *const KEYRINGS[] = {
	"redhat-release",
	"redhat-release-graph-data",
	"redhat-beta-2",
	"redhat-auxiliary",
	"openshift-ci",
	"openshift-ci-2",
	"openshift-ci-3",
	"openshift-ci-4",
	"library-go-redhat",
	"library-go-simple",
	"library-go-combined",
	"oc-mirror-custom",
	"oc-mirror-release-pk",
	"hongkliu",
	"image",
	"image-subkey",
	"image-revoked-subkey",
};
enum { N_KEYRINGS = ARRAY_SIZE(KEYRINGS) };

static struct keyring *load_at(const char *name, int64_t now)
{
	auto_free char *path = xasprintf(SIGNATURE_DATA "/keys/%s", name);
	auto_buf struct buf text = BUF_INIT(OPENPGP_KEYS_MAX);
	auto_of(keyring_free) struct keyring *k = NULL;

	if (fs_read_file(&text, path, &e) < 0 || keyring_new(&k, now, &e) < 0 ||
	    keyring_add(k, buf_str(&text), &e) < 0)
		return NULL;
	return steal(&k);
}

static struct keyring *load(const char *name)
{
	return load_at(name, NOW);
}

// Row of vectors.tsv.
struct vector {
	const char *name, *digest, *reference, *created, *good, *bad;
	char *message;
	size_t n;
};

static struct vector wanted;
static const char *wanted_name;

static void take_wanted(const char *const *column)
{
	if (strcmp(column[0], wanted_name) != 0)
		return;
	if (!base64_decode(str_of(column[6]), &wanted.message, &wanted.n))
		wanted.message = NULL;
}

// The message of one row; caller frees.
static struct str message_of(const char *name)
{
	wanted = (struct vector){0};
	wanted_name = name;
	tsv_each(SIGNATURE_DATA "/vectors.tsv", take_wanted);
	return (struct str){wanted.message, wanted.n};
}

static bool listed(const char *list, const char *name)
{
	struct str rest = str_of(list);

	while (rest.p)
		if (str_eqz(str_cut(&rest, ','), name))
			return true;
	return false;
}

// What the other implementation said about a signature that is not good, as words of ours.
static const char *reason_of(const char *list, const char *keyring)
{
	static const struct {
		const char *status, *words;
	} rows[] = {
		{"EXPKEYSIG", "expired on"},
		{"REVKEYSIG", "was revoked"},
		{"EXPSIG", "expired on"},
		{"BADSIG", "is wrong"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *entry = xasprintf("%s=%s", keyring, rows[i].status);

		if (listed(list, entry))
			return rows[i].words;
	}
	return NULL;
}

// Messages that no key can make good.
static const struct {
	const char *name, *words;
} FORMS[] = {
	{"containers-image/fixtures/invalid-cleartext.signature", "cleartext"},
	{"containers-image/fixtures/unsigned-literal.signature", "not signed"},
	{"containers-image/fixtures/unsigned-encrypted.signature", "encrypted"},
};

static const char *form_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(FORMS); i++)
		if (strcmp(name, FORMS[i].name) == 0)
			return FORMS[i].words;
	return NULL;
}

static struct keyring *rings[N_KEYRINGS];
static size_t good, refused;

static void check_good(const struct vector *v, const char *keyring,
		       const struct openpgp_signature *s)
{
	auto_free char *created = xasprintf("%lld", (long long)s->created);

	good++;
	if (strcmp(v->created, "0") != 0)
		tap_report(strcmp(created, v->created) == 0, "%s with %s was made at %s", v->name,
			   keyring, created);
	tap_report(strlen(s->key) == 16, "%s names key '%s'", v->name, s->key);
	if (strcmp(v->digest, "-") != 0)
		tap_report(strstr(s->content.p, v->digest) != NULL, "%s has not its digest",
			   v->name);
}

static void check_vector(const struct vector *v, size_t ring)
{
	auto_openpgp_signature struct openpgp_signature s = {.content = BUF_INIT(1)};
	const char *keyring = KEYRINGS[ring];
	const char *words = form_of(v->name);
	bool want = listed(v->good, keyring) && !words;
	int r = openpgp_verify(&s, rings[ring], (struct str){v->message, v->n}, &e);

	tap_report((r == 0) == want, "%s with %s: %s", v->name, keyring, r == 0 ? "good" : e.text);
	if (r == 0) {
		check_good(v, keyring, &s);
		return;
	}
	refused++;
	if (!words)
		words = reason_of(v->bad, keyring);
	tap_report(strstr(e.text, words ? words : "unknown key") != NULL, "%s with %s: %s", v->name,
		   keyring, e.text);
}

static void check_row(const char *const *column)
{
	struct vector v = {column[0], column[1], column[2], column[3],
			   column[4], column[5], NULL,      0};

	if (!base64_decode(str_of(column[6]), &v.message, &v.n)) {
		tap_report(false, "%s is not base64", v.name);
		return;
	}
	for (size_t i = 0; i < N_KEYRINGS; i++)
		check_vector(&v, i);
	free(v.message);
}

TEST(every_published_signature_is_good_with_its_keys_and_refused_for_the_right_reason_with_others)
{
	for (size_t i = 0; i < N_KEYRINGS; i++) {
		rings[i] = load(KEYRINGS[i]);
		tap_report(rings[i] != NULL, "%s: %s", KEYRINGS[i], e.text);
		if (!rings[i])
			return;
	}
	good = refused = 0;
	CHECK_INT(tsv_each(SIGNATURE_DATA "/vectors.tsv", check_row), 95);
	CHECK(good > 65 * 5);
	CHECK(refused > 95 * 5);
	for (size_t i = 0; i < N_KEYRINGS; i++)
		keyring_free(rings[i]);
}

TEST(a_key_counts_while_it_is_valid)
{
	static const struct {
		int64_t now;
		const char *words; // NULL: good
	} rows[] = {
		{1556000000, NULL},
		{1795000000, "key 28B76E05B923888E expired on 2021-04-21T"},
		{1555940000, "is in the future"}, // made on 2019-04-22T14:35:51Z
	};
	auto_free char *message =
		(char *)message_of("library-go/signatures/edd9824f0404f1a1/signature-1").p;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_openpgp_signature struct openpgp_signature s = {.content = BUF_INIT(1)};
		auto_of(keyring_free) struct keyring *k = load_at("openshift-ci", rows[i].now);

		CHECK(k != NULL);
		if (!k || !message)
			return;
		int r = openpgp_verify(&s, k, (struct str){message, wanted.n}, &e);

		tap_report((r == 0) == !rows[i].words, "row %zu: %s", i, r ? e.text : "good");
		if (rows[i].words && r < 0)
			tap_report(strstr(e.text, rows[i].words) != NULL, "row %zu: %s", i, e.text);
	}
}

#define BYTES(lit) (lit), sizeof(lit) - 1

TEST(what_is_no_signed_message_is_refused_by_its_form)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *words;
	} rows[] = {
		{BYTES(""), "empty"},
		{BYTES("garbage\n"), "not an OpenPGP message"},
		{BYTES("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nx\n"), "cleartext"},
		{BYTES("-----BEGIN PGP MESSAGE-----\n\nkA0D\n"), "armored"},
		{BYTES("-----BEGIN PGP SIGNATURE-----\n\nkA0D\n"), "armored"},
		{BYTES("\x99\x01\x0d\x04"), "not an OpenPGP message"}, // a public key
		{BYTES("\x85\x01\x0c\x03"), "encrypted"},
		{BYTES("\xd2\x10"), "encrypted"},
		{BYTES("\xcb\x07"
		       "b\0\0\0\0\0x"),
		 "not signed"},
		{BYTES("\x90"), "truncated or damaged"},
		{BYTES("\xff\xff\xff\xff"), "not an OpenPGP message"},
	};
	auto_of(keyring_free) struct keyring *k = load("redhat-release");

	CHECK(k != NULL);
	for (size_t i = 0; k && i < ARRAY_SIZE(rows); i++) {
		struct openpgp_signature s;
		int r = openpgp_verify(&s, k, (struct str){rows[i].bytes, rows[i].n}, &e);

		tap_report(r < 0 && strstr(e.text, rows[i].words), "row %zu: %s", i, e.text);
	}
}

TEST(a_message_that_ends_early_is_refused_wherever_it_ends)
{
	auto_of(keyring_free) struct keyring *k = load("redhat-release");
	struct str m = message_of("oc-mirror/internal-e2e/signature-1");
	auto_free char *hold = (char *)m.p;

	(void)hold;
	CHECK(k != NULL && m.n > 0);
	for (size_t n = 0; k && n < m.n; n += 7) {
		struct openpgp_signature s;

		tap_report(openpgp_verify(&s, k, (struct str){m.p, n}, &e) < 0, "good at %zu", n);
	}
}

TEST(a_flipped_bit_makes_no_other_content_good)
{
	static const char *const names[] = {
		"oc-mirror/internal-e2e/signature-1",                 // version 4, compressed
		"library-go/signatures/e3f12513a4b22a2d/signature-1", // version 3
	};
	auto_of(keyring_free) struct keyring *k = load("redhat-release");

	CHECK(k != NULL);
	for (size_t i = 0; k && i < ARRAY_SIZE(names); i++) {
		auto_openpgp_signature struct openpgp_signature whole = {.content = BUF_INIT(1)};
		struct str m = message_of(names[i]);
		auto_free char *bytes = (char *)m.p;
		size_t survived = 0;

		REQUIRE_OK(openpgp_verify(&whole, k, m, &e));
		for (size_t bit = 0; bit < m.n * 8; bit += 3) {
			auto_openpgp_signature struct openpgp_signature s = {.content =
										     BUF_INIT(1)};

			bytes[bit / 8] ^= (char)(1 << bit % 8);
			if (openpgp_verify(&s, k, m, &e) == 0) {
				survived++;
				tap_report(str_eq(buf_str(&s.content), buf_str(&whole.content)),
					   "%s: bit %zu", names[i], bit);
			}
			bytes[bit / 8] ^= (char)(1 << bit % 8);
		}
		// What OpenPGP does not sign: the file name of the literal packet, hints.
		CHECK(survived < m.n * 8 / 3 / 4);
	}
}

// Many bytes out of few.
TEST(content_has_a_ceiling)
{
	auto_of(keyring_free) struct keyring *k = load("image");
	auto_free char *big = xcalloc(1, OPENPGP_MESSAGE_MAX + 1);
	struct openpgp_signature s;

	big[0] = (char)0xa3;
	CHECK_FAILS(openpgp_verify(&s, k, (struct str){big, OPENPGP_MESSAGE_MAX + 1}, &e));
	CHECK(strstr(e.text, "more than 1048576 bytes") != NULL);
	CHECK_FAILS(keyring_add(k, (struct str){big, OPENPGP_KEYS_MAX + 1}, &e));
}

TEST(a_damaged_key_is_refused)
{
	CHECK(load("damaged") == NULL);
	CHECK_STR(e.text, "the checksum of the armor is wrong");
}

#define BLOCK(body) \
	"-----BEGIN PGP PUBLIC KEY BLOCK-----\n" body "-----END PGP PUBLIC KEY BLOCK-----\n"

TEST(armor_is_read_as_it_is_found)
{
	static const struct {
		const char *text, *bytes; // NULL: refused
	} rows[] = {
		{BLOCK("\naGVsbG8=\n"), "hello"},
		{BLOCK("aGVsbG8=\n"), "hello"},
		{BLOCK("Version: x\nComment: y\n\naGVs\nbG8=\n"), "hello"},
		{"words\r\n" BLOCK("\r\naGVsbG8=\r\n=9+ei\r\n") "more\n", NULL},
		{BLOCK("\naGVsbG8=\n") "between\n" BLOCK("\naGVsbG8=\n"), "hellohello"},
		{BLOCK("\naGVsbG8=\n=AAAA\n"), NULL},
		{BLOCK("\naGVsbG8\n"), NULL},
		{"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\naGVsbG8=\n", NULL},
		{"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\naGVsbG8=\n", NULL},
		{"", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buf struct buf out = BUF_INIT(100);
		int r = armor_decode_keys(&out, str_of(rows[i].text), &e);

		tap_report((r == 0) == (rows[i].bytes != NULL), "row %zu: %s", i,
			   r ? e.text : out.p);
		if (r == 0 && rows[i].bytes)
			CHECK_STR(out.p, rows[i].bytes);
	}
}

static void *verify_often(void *arg)
{
	struct str m = *(struct str *)arg;
	static _Thread_local struct err mine;

	for (int i = 0; i < 20; i++) {
		auto_openpgp_signature struct openpgp_signature s = {.content = BUF_INIT(1)};

		tap_report(openpgp_verify(&s, rings[0], m, &mine) == 0, "%s", mine.text);
	}
	return NULL;
}

TEST(threads_share_a_keyring)
{
	struct str m = message_of("oc-mirror/internal-e2e/signature-1");
	auto_free char *hold = (char *)m.p;

	(void)hold;
	pthread_t threads[4];

	rings[0] = load("redhat-release");
	CHECK(rings[0] && hold);
	if (!rings[0] || !hold)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_create(&threads[i], NULL, verify_often, &m);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	keyring_free(rings[0]);
}

int main(void)
{
	return tap_main();
}
