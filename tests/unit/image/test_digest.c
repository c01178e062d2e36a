// SPDX-License-Identifier: Apache-2.0
#include "image/digest.h"

#include "tap.h"
#include "tsv.h"

#define EMPTY "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC   "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define ABC512                                                                                    \
	"sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a8" \
	"36ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"

static const char *expected(const char *name)
{
	static const char *const words[][2] = {
		{"digest.ErrDigestInvalidFormat", "invalid checksum digest format"},
		{"digest.ErrDigestInvalidLength", "invalid checksum digest length"},
		{"digest.ErrDigestUnsupported", "unsupported digest algorithm"},
	};

	for (size_t i = 0; i < 3; i++)
		if (strcmp(name, words[i][0]) == 0)
			return words[i][1];
	return "";
}

static void vector(const char *const *column)
{
	bool sha384 = starts_with(column[0], "sha384:");
	struct digest d;
	struct err e = {0};
	int rc = digest_parse(&d, column[0], &e);

	if (!*column[1] && !sha384) {
		CHECK_OK(rc);
		CHECK_STR(d.text, column[0]);
		CHECK_STR(digest_algo_name(d.algo), column[2]);
		CHECK_STR(digest_hex(&d), column[3]);
		return;
	}
	CHECK_FAILS(rc);
	CHECK_INT(e.kind, ERR_INPUT);
	CHECK_STR(e.text, sha384 ? "unsupported digest algorithm sha384" : expected(column[1]));
}

TEST(every_vector_of_go_digest_is_read_as_it_says)
{
	CHECK_INT(tsv_each(TEST_DATA "/vectors/flat/digest-parse.tsv", vector), 17);
}

TEST(the_hashes_of_the_standard_come_out)
{
	struct digest d;

	digest_of(&d, DIGEST_SHA256, "", 0);
	CHECK_STR(d.text, EMPTY);
	digest_of(&d, DIGEST_SHA256, "abc", 3);
	CHECK_STR(d.text, ABC);
	digest_of(&d, DIGEST_SHA512, "abc", 3);
	CHECK_STR(d.text, ABC512);
}

TEST(a_copied_hasher_goes_on_by_itself)
{
	auto_of(hasher_free) struct hasher *a = hasher_new(DIGEST_SHA256);
	struct digest d;

	hasher_add(a, "ab", 2);
	auto_of(hasher_free) struct hasher *b = hasher_copy(a);

	hasher_add(a, "something else", 14);
	hasher_add(b, "c", 1);
	hasher_finish(b, &d);
	CHECK_STR(d.text, ABC);
	hasher_finish(a, &d);
	CHECK(strcmp(d.text, ABC) != 0);
}

TEST(raw_bytes_and_back_are_the_same_digest)
{
	static const char *const texts[] = {ABC, ABC512};

	for (size_t i = 0; i < 2; i++) {
		unsigned char raw[DIGEST_RAW_MAX];
		struct digest d, back;
		struct err e;

		REQUIRE_OK(digest_parse(&d, texts[i], &e));
		CHECK_INT(digest_raw(&d, raw), i ? 64 : 32);
		digest_from_raw(&back, d.algo, raw);
		CHECK(digest_equal(&d, &back));
		CHECK_INT(digest_compare(&d, &back), 0);
	}
}

TEST(a_wrong_digest_names_both)
{
	struct digest want, got;
	struct err e;

	digest_of(&want, DIGEST_SHA256, "", 0);
	digest_of(&got, DIGEST_SHA256, "abc", 3);
	CHECK_OK(digest_check(&want, &want, "blob", &e));
	CHECK_FAILS(digest_check(&want, &got, "blob", &e));
	CHECK_INT(e.kind, ERR_DIGEST);
	CHECK_STR(e.text, "content integrity error: the blob streamed from digest " EMPTY
			  " does not match the digest calculated from the content " ABC);
}

// RFC 4231, test case 2.
TEST(a_message_is_authenticated_with_a_key)
{
	unsigned char mac[HMAC_SHA256_SIZE], other[HMAC_SHA256_SIZE];
	struct digest d;

	hmac_sha256(mac, "Jefe", 4, "what do ya want for nothing?", 28);
	digest_from_raw(&d, DIGEST_SHA256, mac);
	CHECK_STR(digest_hex(&d),
		  "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	hmac_sha256(other, "Jeff", 4, "what do ya want for nothing?", 28);
	CHECK(hmac_equal(mac, mac, sizeof(mac)));
	CHECK(!hmac_equal(mac, other, sizeof(mac)));
}

int main(void)
{
	return tap_main();
}
