// SPDX-License-Identifier: Apache-2.0
// Signing with librnp.
#include "openpgp/sign.h"

#include <rnp/rnp.h>
#include <rnp/rnp_err.h>

#include "openpgp/openpgp.h"
#include "openpgp/quiet.h"
#include "util/mem.h"

struct signing_key {
	rnp_ffi_t ffi;
	rnp_key_handle_t key;
	const char *passphrase; // while the key is chosen
	int64_t now;
};

static int fail(struct err *e, const char *what, rnp_result_t r)
{
	return err_set(e, ERR_INPUT, "%s: %s", what, rnp_result_to_string(r));
}

static rnp_result_t load(struct signing_key *k, struct str keys)
{
	rnp_input_t input = NULL;
	rnp_result_t r = rnp_input_from_memory(&input, (const uint8_t *)keys.p, keys.n, false);

	if (r == RNP_SUCCESS)
		r = rnp_import_keys(k->ffi, input,
				    RNP_LOAD_SAVE_PUBLIC_KEYS | RNP_LOAD_SAVE_SECRET_KEYS, NULL);
	rnp_input_destroy(input);
	return r;
}

// Can KEY sign by itself, now?
static bool is_usable(const struct signing_key *k, rnp_key_handle_t key, bool *ret_locked)
{
	bool secret = false, signs = false, revoked = true, locked = true;
	uint32_t created = 0, seconds = 0;

	if (rnp_key_have_secret(key, &secret) || rnp_key_allows_usage(key, "sign", &signs) ||
	    rnp_key_is_revoked(key, &revoked) || rnp_key_get_creation(key, &created) ||
	    rnp_key_get_expiration(key, &seconds) || !secret || !signs || revoked ||
	    (seconds && (int64_t)created + seconds <= k->now))
		return false;
	if (rnp_key_is_protected(key, &locked) == RNP_SUCCESS && !locked)
		return true;
	if (k->passphrase && rnp_key_unlock(key, k->passphrase) == RNP_SUCCESS)
		return true;
	*ret_locked = true;
	return false;
}

// Goes through all keys, subkeys among them.
static rnp_result_t choose(struct signing_key *k, bool *ret_locked)
{
	rnp_identifier_iterator_t it = NULL;
	const char *grip = NULL;
	rnp_result_t r = rnp_identifier_iterator_create(k->ffi, &it, "grip");

	while (r == RNP_SUCCESS && !k->key) {
		rnp_key_handle_t key = NULL;

		r = rnp_identifier_iterator_next(it, &grip);
		if (r != RNP_SUCCESS || !grip)
			break;
		r = rnp_locate_key(k->ffi, "grip", grip, &key);
		if (r == RNP_SUCCESS && key && is_usable(k, key, ret_locked))
			k->key = key;
		else
			rnp_key_handle_destroy(key);
	}
	rnp_identifier_iterator_destroy(it);
	return r;
}

static int open_key(struct signing_key *k, struct str keys, struct err *e)
{
	bool locked = false;
	rnp_result_t r = rnp_ffi_create(&k->ffi, RNP_KEYSTORE_GPG, RNP_KEYSTORE_GPG);

	if (r == RNP_SUCCESS && k->now > 0)
		r = rnp_set_timestamp(k->ffi, (uint64_t)k->now);
	if (r != RNP_SUCCESS)
		return fail(e, "the OpenPGP library cannot start", r);
	r = load(k, keys);
	if (r == RNP_SUCCESS)
		r = choose(k, &locked);
	if (!k->key && locked)
		return err_set(e, ERR_DENIED, "%s",
			       k->passphrase ? "the passphrase does not open the secret key"
					     : "the secret key is protected by a passphrase");
	if (!k->key && r != RNP_SUCCESS)
		return fail(e, "the keys cannot be read", r);
	return k->key ? 0
		      : err_set(e, ERR_INPUT,
				"there is no secret key in it that may sign, and is not expired");
}

int signing_key_read(struct signing_key **ret, struct str keys, const char *passphrase, int64_t now,
		     struct err *e)
{
	auto_of(signing_key_free) struct signing_key *k = xcalloc(1, sizeof(*k));

	if (keys.n > OPENPGP_KEYS_MAX)
		return err_set(e, ERR_INPUT, "the keys have more than %zu bytes", OPENPGP_KEYS_MAX);
	k->now = now;
	k->passphrase = passphrase;
	quiet_begin();
	int failed = open_key(k, keys, e);

	quiet_end();
	k->passphrase = NULL;
	if (failed)
		return -1;
	*ret = steal(&k);
	return 0;
}

void signing_key_free(struct signing_key *k)
{
	if (!k)
		return;
	quiet_begin();
	rnp_key_handle_destroy(k->key);
	rnp_ffi_destroy(k->ffi);
	quiet_end();
	free(k);
}

static rnp_result_t prepare(rnp_op_sign_t op, const struct signing_key *k)
{
	rnp_result_t r = rnp_op_sign_set_armor(op, true);

	if (r == RNP_SUCCESS)
		r = rnp_op_sign_set_hash(op, "SHA256");
	if (r == RNP_SUCCESS)
		r = rnp_op_sign_set_creation_time(op, (uint32_t)k->now);
	if (r == RNP_SUCCESS)
		r = rnp_op_sign_add_signature(op, k->key, NULL);
	return r == RNP_SUCCESS ? rnp_op_sign_execute(op) : r;
}

static rnp_result_t sign(const struct signing_key *k, struct str text, struct buf *ret)
{
	rnp_input_t input = NULL;
	rnp_output_t output = NULL;
	rnp_op_sign_t op = NULL;
	uint8_t *bytes = NULL;
	size_t n = 0;
	rnp_result_t r = rnp_input_from_memory(&input, (const uint8_t *)text.p, text.n, false);

	if (r == RNP_SUCCESS)
		r = rnp_output_to_memory(&output, 0);
	if (r == RNP_SUCCESS)
		r = rnp_op_sign_detached_create(&op, k->ffi, input, output);
	if (r == RNP_SUCCESS)
		r = prepare(op, k);
	if (r == RNP_SUCCESS)
		r = rnp_output_memory_get_buf(output, &bytes, &n, false);
	// The library ends lines as mail does.
	for (size_t i = 0; r == RNP_SUCCESS && i < n; i++)
		if (bytes[i] != '\r')
			buf_putc(ret, (char)bytes[i]);
	rnp_op_sign_destroy(op);
	rnp_output_destroy(output);
	rnp_input_destroy(input);
	return r;
}

int signing_key_sign(struct signing_key *k, struct str text, struct buf *ret, struct err *e)
{
	quiet_begin();
	rnp_result_t r = sign(k, text, ret);

	quiet_end();
	return r == RNP_SUCCESS ? 0 : fail(e, "cannot sign", r);
}
