// SPDX-License-Identifier: Apache-2.0
// A signature file and a keyring from anywhere. An input that begins with 'K' is a keyring, others
// are messages for a known keyring.
#include "fuzz.h"
#include "openpgp/openpgp.h"
#include "util/fs.h"

#include <assert.h>

#ifndef TEST_DATA
#define TEST_DATA "tests/data"
#endif
#define NOW 1795000000

static struct keyring *known(void)
{
	static struct keyring *k;
	auto_buf struct buf text = BUF_INIT(OPENPGP_KEYS_MAX);
	struct err e;

	if (!k && (fs_read_file(&text, TEST_DATA "/signatures/keys/library-go-combined", &e) < 0 ||
		   keyring_new(&k, NOW, &e) < 0 || keyring_add(k, buf_str(&text), &e) < 0))
		abort();
	return k;
}

static void read_keys(struct str keys)
{
	auto_of(keyring_free) struct keyring *k = NULL;
	struct err e;

	if (keyring_new(&k, NOW, &e) == 0 && keyring_add(k, keys, &e) < 0)
		assert(e.text[0]);
}

static void verify(struct str message)
{
	struct openpgp_signature s;
	struct err e;

	if (openpgp_verify(&s, known(), message, &e) < 0) {
		assert(e.text[0]);
		return;
	}
	assert(s.key[0] && s.content.n <= OPENPGP_MESSAGE_MAX);
	openpgp_signature_release(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = {(const char *)data, size};

	if (size > 0 && data[0] == 'K')
		read_keys((struct str){input.p + 1, input.n - 1});
	else
		verify(input);
	return 0;
}
