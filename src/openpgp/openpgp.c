// SPDX-License-Identifier: Apache-2.0
// Verifying signed messages with librnp, and saying why one is refused.
#include "openpgp/openpgp.h"

#include <inttypes.h>
#include <rnp/rnp.h>
#include <rnp/rnp_err.h>
#include <string.h>

#include "data/gofmt.h"
#include "openpgp/armor.h"
#include "openpgp/quiet.h"
#include "util/mem.h"

enum { SIGNATURES_MAX = 64 };

// Packet tags, RFC 4880 section 4.3.
enum {
	TAG_SIGNATURE = 2,
	TAG_ONE_PASS = 4,
	TAG_COMPRESSED = 8,
	TAG_MARKER = 10,
	TAG_LITERAL = 11,
};

struct keyring {
	rnp_ffi_t ffi; // used between quiet_begin and quiet_end only, which is its lock
	int64_t now;
};

int keyring_new(struct keyring **ret, int64_t now, struct err *e)
{
	auto_of(keyring_free) struct keyring *k = xcalloc(1, sizeof(*k));

	k->now = now;
	quiet_begin();
	rnp_result_t r = rnp_ffi_create(&k->ffi, RNP_KEYSTORE_GPG, RNP_KEYSTORE_GPG);

	if (r == RNP_SUCCESS && now > 0)
		r = rnp_set_timestamp(k->ffi, (uint64_t)now);
	quiet_end();
	if (r != RNP_SUCCESS)
		return err_set(e, ERR_IO, "the OpenPGP library cannot start: %s",
			       rnp_result_to_string(r));
	*ret = steal(&k);
	return 0;
}

void keyring_free(struct keyring *k)
{
	if (!k)
		return;
	quiet_begin();
	if (k->ffi)
		rnp_ffi_destroy(k->ffi);
	quiet_end();
	free(k);
}

static bool is_packet(struct str bytes)
{
	return bytes.n > 0 && (bytes.p[0] & 0x80);
}

// Reads PACKETS into the keyring: how many keys there were.
static rnp_result_t import(struct keyring *k, struct str packets, size_t *ret_keys)
{
	rnp_input_t input = NULL;
	size_t before = 0;

	rnp_get_public_key_count(k->ffi, &before);
	rnp_result_t r =
		rnp_input_from_memory(&input, (const uint8_t *)packets.p, packets.n, false);

	if (r == RNP_SUCCESS)
		r = rnp_import_keys(k->ffi, input,
				    RNP_LOAD_SAVE_PUBLIC_KEYS | RNP_LOAD_SAVE_PERMISSIVE, NULL);
	rnp_input_destroy(input);
	rnp_get_public_key_count(k->ffi, ret_keys);
	*ret_keys -= before;
	return r;
}

int keyring_add(struct keyring *k, struct str keys, struct err *e)
{
	auto_buf struct buf packets = BUF_INIT(OPENPGP_KEYS_MAX);
	size_t n = 0;

	if (keys.n > OPENPGP_KEYS_MAX)
		return err_set(e, ERR_INPUT, "the keys have more than %zu bytes", OPENPGP_KEYS_MAX);
	if (!is_packet(keys)) {
		if (armor_decode_keys(&packets, keys, e) < 0)
			return -1;
		keys = buf_str(&packets);
	}
	quiet_begin();
	rnp_result_t r = import(k, keys, &n);

	quiet_end();
	if (r != RNP_SUCCESS)
		return err_set(e, ERR_INPUT, "the keys cannot be read: %s",
			       rnp_result_to_string(r));
	if (n == 0)
		return err_set(e, ERR_INPUT, "there is no new public key in it");
	return 0;
}

void openpgp_signature_release(struct openpgp_signature *s)
{
	buf_free(&s->content);
}

// What can be told from the first bytes.
static int check_form(struct str message, struct err *e)
{
	if (message.n == 0)
		return err_set(e, ERR_INPUT, "the message is empty");
	if (message.n > OPENPGP_MESSAGE_MAX)
		return err_set(e, ERR_INPUT, "the message has more than %zu bytes",
			       OPENPGP_MESSAGE_MAX);
	if (str_starts(message, STR("-----BEGIN PGP SIGNED MESSAGE")))
		return err_set(e, ERR_INPUT, "a cleartext message is no container signature");
	if (str_starts(message, STR("-----BEGIN PGP")))
		return err_set(e, ERR_INPUT, "an armored message is no container signature");
	if (!is_packet(message))
		return err_set(e, ERR_INPUT, "not an OpenPGP message");

	unsigned first = (unsigned char)message.p[0];

	switch (first & 0x40 ? first & 0x3f : first >> 2 & 0xf) {
	case TAG_SIGNATURE:
	case TAG_ONE_PASS:
	case TAG_COMPRESSED:
	case TAG_MARKER:
		return 0;
	case TAG_LITERAL:
		return err_set(e, ERR_INPUT, "the message is not signed");
	case 1: // public-key encrypted session key
	case 3: // symmetric-key encrypted session key
	case 9: // encrypted data, and its kinds with integrity protection
	case 18:
	case 20:
		return err_set(e, ERR_INPUT, "the message is encrypted");
	default:
		return err_set(e, ERR_INPUT, "not an OpenPGP message");
	}
}

// A message that is being verified.
struct job {
	struct keyring *keyring;
	rnp_input_t input;
	rnp_output_t output;
	rnp_op_verify_t op;
};

static void release_job(struct job *j)
{
	if (j->op)
		rnp_op_verify_destroy(j->op);
	if (j->output)
		rnp_output_destroy(j->output);
	if (j->input)
		rnp_input_destroy(j->input);
}

static void note_signer(rnp_op_verify_signature_t signature, struct openpgp_signature *ret)
{
	rnp_signature_handle_t handle = NULL;
	uint32_t created = 0;
	char *id = NULL;

	rnp_op_verify_signature_get_times(signature, &created, NULL);
	ret->created = created;
	// Where this fails, HANDLE points at freed memory.
	if (rnp_op_verify_signature_get_handle(signature, &handle) != RNP_SUCCESS)
		return;
	if (rnp_signature_get_keyid(handle, &id) == RNP_SUCCESS && id)
		snprintf(ret->key, sizeof(ret->key), "%s", id);
	rnp_buffer_destroy(id);
	rnp_signature_handle_destroy(handle);
}

static int refuse_expired_signature(const struct job *j, rnp_op_verify_signature_t signature,
				    const struct openpgp_signature *s, struct err *e)
{
	uint32_t lasts = 0;

	if (s->created > j->keyring->now)
		return err_set(e, ERR_INPUT,
			       "the signature of key %s is of %s, which is in the future", s->key,
			       gofmt_time(s->created).s);
	rnp_op_verify_signature_get_times(signature, NULL, &lasts);
	return err_set(e, ERR_INPUT, "the signature of key %s expired on %s", s->key,
		       gofmt_time(s->created + lasts).s);
}

static int refuse_expired_key(rnp_key_handle_t key, const char *id, struct err *e)
{
	uint64_t until = 0;

	rnp_key_valid_till64(key, &until);
	return err_set(e, ERR_INPUT, "key %s expired on %s", id, gofmt_time((int64_t)until).s);
}

// Good enough to be believed today?
static int check_key_itself(rnp_key_handle_t key, const char *id, struct err *e)
{
	bool revoked = true, expired = true, valid = false;

	if (rnp_key_is_revoked(key, &revoked) != RNP_SUCCESS || revoked)
		return err_set(e, ERR_INPUT, "key %s was revoked", id);
	if (rnp_key_is_expired(key, &expired) != RNP_SUCCESS || expired)
		return refuse_expired_key(key, id, e);
	if (rnp_key_is_valid(key, &valid) != RNP_SUCCESS || !valid)
		return err_set(e, ERR_INPUT, "key %s has no valid signature of its owner", id);
	return 0;
}

static int check_primary(const struct job *j, rnp_key_handle_t key, const char *id, struct err *e)
{
	rnp_key_handle_t primary = NULL;
	char *fingerprint = NULL;
	bool is_sub = false;
	int r = -1;

	if (rnp_key_is_sub(key, &is_sub) == RNP_SUCCESS && !is_sub)
		return 0;
	if (rnp_key_get_primary_fprint(key, &fingerprint) == RNP_SUCCESS && fingerprint)
		rnp_locate_key(j->keyring->ffi, "fingerprint", fingerprint, &primary);
	if (primary)
		r = check_key_itself(primary, fingerprint, e);
	else
		err_set(e, ERR_INPUT, "the primary key of %s is missing", id);
	rnp_buffer_destroy(fingerprint);
	rnp_key_handle_destroy(primary);
	return r;
}

static int check_key(const struct job *j, rnp_key_handle_t key, const char *id, struct err *e)
{
	bool signs = false;

	// In this order: a subkey is not valid when its primary key is not, and that is the reason.
	if (check_primary(j, key, id, e) < 0 || check_key_itself(key, id, e) < 0)
		return -1;
	if (rnp_key_allows_usage(key, "sign", &signs) != RNP_SUCCESS || !signs)
		return err_set(e, ERR_INPUT, "key %s may not sign", id);
	return 0;
}

static int check_signature(const struct job *j, rnp_op_verify_signature_t signature,
			   struct openpgp_signature *s, struct err *e)
{
	rnp_result_t status = rnp_op_verify_signature_get_status(signature);
	rnp_key_handle_t key = NULL;

	if (status == RNP_ERROR_SIGNATURE_UNKNOWN)
		return err_set(e, ERR_INPUT, "the signature is of an unknown kind");
	note_signer(signature, s);
	if (status == RNP_ERROR_KEY_NOT_FOUND ||
	    rnp_op_verify_signature_get_key(signature, &key) != RNP_SUCCESS || !key)
		return err_set(e, ERR_INPUT, "signed by unknown key %s", s->key);
	// The library calls a good signature of a revoked key bad: the key is the better reason.
	int r = check_key(j, key, s->key, e);

	rnp_key_handle_destroy(key);
	if (r < 0)
		return -1;
	if (status == RNP_ERROR_SIGNATURE_EXPIRED)
		return refuse_expired_signature(j, signature, s, e);
	if (status != RNP_SUCCESS)
		return err_set(e, ERR_INPUT, "the signature of key %s is wrong", s->key);
	return 0;
}

static int refuse_unsigned(rnp_result_t executed, struct err *e)
{
	if (executed == RNP_SUCCESS || executed == RNP_ERROR_NO_SIGNATURES_FOUND)
		return err_set(e, ERR_INPUT, "the message is not signed");
	if (executed == RNP_ERROR_NO_SUITABLE_KEY)
		return err_set(e, ERR_INPUT, "the message is encrypted");
	return err_set(e, ERR_INPUT, "the message is truncated or damaged");
}

// The first good signature, or the reason why the first one is not.
static int find_signature(const struct job *j, rnp_result_t executed, struct openpgp_signature *s,
			  struct err *e)
{
	rnp_op_verify_signature_t signature;
	struct err why;
	size_t n = 0;

	rnp_op_verify_get_signature_count(j->op, &n);
	if (n == 0)
		return refuse_unsigned(executed, e);
	if (n > SIGNATURES_MAX)
		return err_set(e, ERR_INPUT, "the message has %zu signatures", n);
	for (size_t i = 0; i < n; i++) {
		if (rnp_op_verify_get_signature_at(j->op, i, &signature) != RNP_SUCCESS)
			return err_set(e, ERR_INPUT, "signature %zu cannot be read", i + 1);
		if (check_signature(j, signature, s, i == 0 ? e : &why) == 0)
			return executed == RNP_SUCCESS ? 0 : refuse_unsigned(executed, e);
	}
	return -1;
}

static int take_content(const struct job *j, struct buf *ret, struct err *e)
{
	uint8_t *bytes = NULL;
	size_t n = 0;

	if (rnp_output_memory_get_buf(j->output, &bytes, &n, false) != RNP_SUCCESS)
		return err_set(e, ERR_INPUT, "the message has no content");
	return buf_add(ret, bytes, n, e);
}

static int verify(struct job *j, struct str message, struct openpgp_signature *s, struct err *e)
{
	rnp_ffi_t ffi = j->keyring->ffi;

	if (rnp_input_from_memory(&j->input, (const uint8_t *)message.p, message.n, false) !=
		    RNP_SUCCESS ||
	    rnp_output_to_memory(&j->output, OPENPGP_MESSAGE_MAX) != RNP_SUCCESS ||
	    rnp_op_verify_create(&j->op, ffi, j->input, j->output) != RNP_SUCCESS)
		return err_set(e, ERR_INPUT, "not an OpenPGP message");
	if (find_signature(j, rnp_op_verify_execute(j->op), s, e) < 0)
		return -1;
	return take_content(j, &s->content, e);
}

int openpgp_verify(struct openpgp_signature *ret, struct keyring *k, struct str message,
		   struct err *e)
{
	struct openpgp_signature s = {.content = BUF_INIT(OPENPGP_MESSAGE_MAX)};
	struct job j = {.keyring = k};

	if (check_form(message, e) < 0)
		return -1;
	quiet_begin();
	int r = verify(&j, message, &s, e);

	release_job(&j);
	quiet_end();
	if (r < 0) {
		openpgp_signature_release(&s);
		return -1;
	}
	*ret = s;
	return 0;
}
