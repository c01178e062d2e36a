// SPDX-License-Identifier: Apache-2.0
// Digests: parsing, printing, and hashing with OpenSSL.
#include "image/digest.h"

#include "util/mem.h"

#include <assert.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <string.h>

static const struct {
	const char *name;
	size_t raw; // bytes of the hash
	const char *openssl;
} algos[] = {
	[DIGEST_SHA256] = {"sha256", 32, "SHA256"},
	[DIGEST_SHA512] = {"sha512", 64, "SHA512"},
};

const char *digest_algo_name(enum digest_algo algo)
{
	return algos[algo].name;
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool is_alnum_lower(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
}

static bool is_encoded(char c)
{
	return is_alnum_lower(c) || (c >= 'A' && c <= 'Z') || c == '=' || c == '_' || c == '-';
}

// Runs of [a-z0-9] joined by single characters of ".+_-", a colon, [A-Za-z0-9=_-]+.
static bool generic_digest(struct str algo, struct str encoded)
{
	bool run = false;

	for (size_t i = 0; i < algo.n; i++) {
		bool alnum = is_alnum_lower(algo.p[i]);

		if (!alnum && (!run || !strchr(".+_-", algo.p[i])))
			return false;
		run = alnum;
	}
	for (size_t i = 0; i < encoded.n; i++)
		if (!is_encoded(encoded.p[i]))
			return false;
	return run;
}

static int unknown_algorithm(struct str algo, struct str encoded, struct err *e)
{
	if (!generic_digest(algo, encoded))
		return err_set(e, ERR_INPUT, "invalid checksum digest format");
	if (str_eqz(algo, "sha384"))
		return err_set(e, ERR_INPUT, "unsupported digest algorithm sha384");
	return err_set(e, ERR_INPUT, "unsupported digest algorithm");
}

int digest_parse(struct digest *ret, const char *text, struct err *e)
{
	struct str encoded = str_of(text), algo = str_cut(&encoded, ':');
	enum digest_algo a;

	if (algo.n == 0 || encoded.n == 0)
		return err_set(e, ERR_INPUT, "invalid checksum digest format");
	for (a = 0; a < ARRAY_SIZE(algos); a++)
		if (str_eqz(algo, algos[a].name))
			break;
	if (a == ARRAY_SIZE(algos))
		return unknown_algorithm(algo, encoded, e);
	if (encoded.n != 2 * algos[a].raw)
		return err_set(e, ERR_INPUT, "invalid checksum digest length");
	for (size_t i = 0; i < encoded.n; i++)
		if (!is_hex(encoded.p[i]))
			return err_set(e, ERR_INPUT, "invalid checksum digest format");
	ret->algo = a;
	memcpy(ret->text, text, algo.n + 1 + encoded.n + 1);
	return 0;
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
	return strcmp(a->text, b->text) == 0;
}

int digest_compare(const struct digest *a, const struct digest *b)
{
	return strcmp(a->text, b->text);
}

const char *digest_hex(const struct digest *d)
{
	return d->text + strlen(algos[d->algo].name) + 1;
}

static unsigned nibble(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

size_t digest_raw(const struct digest *d, unsigned char ret[DIGEST_RAW_MAX])
{
	const char *hex = digest_hex(d);
	size_t n = algos[d->algo].raw;

	for (size_t i = 0; i < n; i++)
		ret[i] = (unsigned char)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
	return n;
}

void digest_from_raw(struct digest *ret, enum digest_algo algo, const unsigned char *raw)
{
	static const char hex[] = "0123456789abcdef";
	size_t head = strlen(algos[algo].name);
	char *at = ret->text;

	memcpy(at, algos[algo].name, head);
	at += head;
	*at++ = ':';
	for (size_t i = 0; i < algos[algo].raw; i++) {
		*at++ = hex[raw[i] >> 4];
		*at++ = hex[raw[i] & 15];
	}
	*at = '\0';
	ret->algo = algo;
}

// Fetching an algorithm takes a lock and a search in OpenSSL 3: once a process is enough.
static EVP_MD *fetched[ARRAY_SIZE(algos)];

static void fetch(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(algos); i++) {
		fetched[i] = EVP_MD_fetch(NULL, algos[i].openssl, NULL);
		assert(fetched[i]);
	}
}

struct hasher {
	EVP_MD_CTX *ctx;
	enum digest_algo algo;
};

static struct hasher *hasher_empty(enum digest_algo algo)
{
	struct hasher *h = xcalloc(1, sizeof(*h));

	h->algo = algo;
	h->ctx = EVP_MD_CTX_new();
	assert(h->ctx);
	return h;
}

// OpenSSL's digest calls fail for want of memory only, which aborts here as it does elsewhere.
static void ok(int result)
{
	if (result != 1)
		abort();
}

struct hasher *hasher_new(enum digest_algo algo)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct hasher *h = hasher_empty(algo);

	pthread_once(&once, fetch);
	ok(EVP_DigestInit_ex2(h->ctx, fetched[algo], NULL));
	return h;
}

struct hasher *hasher_copy(const struct hasher *h)
{
	struct hasher *copy = hasher_empty(h->algo);

	ok(EVP_MD_CTX_copy_ex(copy->ctx, h->ctx));
	return copy;
}

void hasher_add(struct hasher *h, const void *data, size_t n)
{
	if (n > 0)
		ok(EVP_DigestUpdate(h->ctx, data, n));
}

void hasher_finish(struct hasher *h, struct digest *ret)
{
	unsigned char raw[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	ok(EVP_DigestFinal_ex(h->ctx, raw, &n));
	assert(n == algos[h->algo].raw);
	digest_from_raw(ret, h->algo, raw);
}

void hasher_free(struct hasher *h)
{
	if (!h)
		return;
	EVP_MD_CTX_free(h->ctx);
	free(h);
}

void digest_of(struct digest *ret, enum digest_algo algo, const void *data, size_t n)
{
	auto_of(hasher_free) struct hasher *h = hasher_new(algo);

	hasher_add(h, data, n);
	hasher_finish(h, ret);
}

void hmac_sha256(unsigned char ret[HMAC_SHA256_SIZE], const void *key, size_t key_n,
		 const void *data, size_t n)
{
	assert(key_n <= INT_MAX);
	ok(HMAC(EVP_sha256(), key, (int)key_n, data, n, ret, NULL) != NULL);
}

bool hmac_equal(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}

int digest_check(const struct digest *want, const struct digest *got, const char *what,
		 struct err *e)
{
	if (digest_equal(want, got))
		return 0;
	return err_set(e, ERR_DIGEST,
		       "content integrity error: the %s streamed from digest %s does not match the "
		       "digest calculated from the content %s",
		       what, want->text, got->text);
}
