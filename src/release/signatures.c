// SPDX-License-Identifier: Apache-2.0
// The search for good signatures, and the config map they are kept in.
#include "release/signatures.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "data/base64.h"
#include "data/json_out.h"
#include "release/claim.h"
#include "release/signature_store.h"
#include "util/fs.h"
#include "util/mem.h"

enum { FILES_MAX = 10000 }; // config maps of one folder of media

static void release_signature(struct signature *s)
{
	buf_free(&s->bytes);
	free(s->location);
	free(s->reference);
}

void signatures_release(struct signatures *s)
{
	for (size_t i = 0; i < s->n; i++)
		release_signature(&s->v[i]);
	free(s->v);
	s->v = NULL;
	s->n = 0;
}

struct search {
	const struct verifier *verifier;
	const struct digest *digest;
	struct signature *found; // one a keyring; location NULL: none yet
	size_t missing;          // keyrings without one
	bool any;                // something was found, good or not
	struct err why;          // it is not good
};

static int check(const struct search *s, struct keyring *keys, struct str bytes,
		 struct signature *ret, struct err *e)
{
	auto_openpgp_signature struct openpgp_signature message = {.content = BUF_INIT(1)};
	struct claim claim;

	if (openpgp_verify(&message, keys, bytes, e) < 0 ||
	    claim_check(&claim, buf_str(&message.content), s->digest, e) < 0)
		return -1;
	ret->reference = steal(&claim.reference);
	ret->created = message.created;
	memcpy(ret->key, message.key, sizeof(ret->key));
	return 0;
}

// A candidate from a store: does some keyring wait for it?
static int try_signature(void *arg, const char *location, struct str bytes, bool *ret_enough)
{
	struct search *s = arg;

	s->any = true;
	for (size_t i = 0; i < s->verifier->n; i++) {
		struct signature *to = &s->found[i];

		if (to->location)
			continue;
		if (check(s, s->verifier->keyrings[i].keys, bytes, to, &s->why) < 0) {
			err_wrap(&s->why, "%s", location);
			continue;
		}
		to->location = xstrdup(location);
		to->bytes = (struct buf)BUF_INIT(OPENPGP_MESSAGE_MAX);
		buf_put(&to->bytes, bytes.p, bytes.n);
		s->missing--;
	}
	*ret_enough = s->missing == 0;
	return 0;
}

static void print_names(const struct verifier *v, struct buf *out)
{
	for (size_t i = 0; i < v->n; i++)
		buf_printf(out, "%s%s", i ? ", " : "", v->keyrings[i].name);
}

// UNREACHED: what kept a store from answering, kind ERR_NONE if all did.
static int refuse(const struct search *s, const struct err *unreached, struct err *e)
{
	auto_buf struct buf names = BUF_INIT(BUF_TEXT_MAX);

	print_names(s->verifier, &names);
	if (s->any)
		*e = s->why;
	else if (unreached->kind != ERR_NONE)
		*e = *unreached;
	else
		err_set(e, ERR_NOT_FOUND,
			s->verifier->stores.n > 0 ? "no signature found"
						  : "there is no store to look for signatures in");
	e->kind = s->any ? ERR_INPUT : ERR_NOT_FOUND;
	return err_wrap(e, "unable to verify %s against keyrings: %s", s->digest->text, names.p);
}

static int search_stores(struct search *s, struct http *net, struct err *e)
{
	const struct strlist *stores = &s->verifier->stores;
	struct err unreached = {0}, why;

	for (size_t i = 0; i < stores->n && s->missing > 0; i++) {
		if (signature_store_each(stores->v[i], net, s->digest, try_signature, s, &why) == 0)
			continue;
		if (why.kind == ERR_CANCELLED) {
			*e = why;
			return -1;
		}
		unreached = why;
	}
	return s->missing == 0 ? 0 : refuse(s, &unreached, e);
}

int signatures_find(struct signatures *ret, const struct verifier *v, struct http *net,
		    const struct digest *digest, struct err *e)
{
	struct signatures found = {
		.digest = *digest, .v = xcalloc(v->n ? v->n : 1, sizeof(*found.v)), .n = v->n};
	struct search s = {.verifier = v, .digest = digest, .found = found.v, .missing = v->n};

	for (size_t i = 0; i < found.n; i++)
		found.v[i].bytes = (struct buf)BUF_INIT(0);
	int r = v->n == 0
			? err_set(e, ERR_INPUT, "there are no keys to verify %s with", digest->text)
			: search_stores(&s, net, e);

	if (r < 0) {
		signatures_release(&found);
		return -1;
	}
	*ret = found;
	return 0;
}

char *signatures_file_name(const struct digest *digest)
{
	return xasprintf("signature-%s-%.16s.json", digest_algo_name(digest->algo),
			 digest_hex(digest));
}

// "sha256-HEX": config maps and their keys have no colons.
static char *map_name(const struct digest *digest)
{
	return xasprintf("%s-%s", digest_algo_name(digest->algo), digest_hex(digest));
}

static void print_metadata(struct json_out *j, const char *name)
{
	json_out_key(j, "metadata");
	json_out_begin(j, '{');
	json_out_key(j, "name");
	json_out_text(j, name);
	json_out_key(j, "namespace");
	json_out_text(j, "openshift-config-managed");
	json_out_key(j, "creationTimestamp");
	json_out_raw(j, "null");
	json_out_key(j, "labels");
	json_out_begin(j, '{');
	json_out_key(j, "release.openshift.io/verification-signatures");
	json_out_text(j, "");
	json_out_end(j, '}');
	json_out_end(j, '}');
}

// Keyrings that share a key were satisfied by one signature: it is kept once.
static bool is_repeated(const struct signatures *s, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (str_eq(buf_str(&s->v[k].bytes), buf_str(&s->v[i].bytes)))
			return true;
	return false;
}

static void print_data(struct json_out *j, const struct signatures *s, const char *name)
{
	size_t number = 0;

	json_out_key(j, "binaryData");
	json_out_begin(j, '{');
	for (size_t i = 0; i < s->n; i++) {
		if (is_repeated(s, i))
			continue;
		auto_free char *key = xasprintf("%s-%zu", name, ++number);
		auto_free char *text = base64_encode(buf_str(&s->v[i].bytes));

		json_out_key(j, key);
		json_out_text(j, text);
	}
	json_out_end(j, '}');
}

void signatures_print(struct buf *out, const struct signatures *s)
{
	auto_free char *name = map_name(&s->digest);
	struct json_out j = {.out = out};

	json_out_begin(&j, '{');
	json_out_key(&j, "kind");
	json_out_text(&j, "ConfigMap");
	json_out_key(&j, "apiVersion");
	json_out_text(&j, "v1");
	print_metadata(&j, name);
	print_data(&j, s, name);
	json_out_end(&j, '}');
	buf_putc(out, '\n');
}

int signatures_write(const struct signatures *s, const char *dir, struct err *e)
{
	auto_free char *name = signatures_file_name(&s->digest);
	auto_free char *path = path_join(dir, name);
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	signatures_print(&text, s);
	if (fs_mkdirs(dir, 0750, e) < 0)
		return -1;
	return fs_write_file(path, buf_str(&text), 0640, e);
}

static bool is_file_name(const char *name)
{
	return starts_with(name, "signature-") && ends_with(name, ".json");
}

static int list_files(struct strlist *ret, const char *dir, struct err *e)
{
	DIR *d = opendir(dir);

	if (!d)
		return errno == ENOENT || errno == ENOTDIR ? 0 : err_os(e, ERR_IO, "open %s", dir);
	for (struct dirent *entry; (entry = readdir(d)) && ret->n <= FILES_MAX;)
		if (is_file_name(entry->d_name))
			strlist_add(ret, entry->d_name);
	closedir(d);
	if (ret->n > FILES_MAX)
		return err_set(e, ERR_INPUT, "more than %d config maps in %s", FILES_MAX, dir);
	strlist_sort(ret);
	return 0;
}

static int copy_file(const char *from, const char *to, const char *name, struct err *e)
{
	auto_free char *source = path_join(from, name), *target = path_join(to, name);
	auto_buf struct buf text = BUF_INIT(SIGNATURES_FILE_MAX);

	if (signature_file_read(&text, source, e) < 0)
		return -1;
	return fs_write_file(target, buf_str(&text), 0640, e);
}

int signatures_copy(const char *from_media, const char *to_media, size_t *ret_n, struct err *e)
{
	auto_free char *from = path_join(from_media, SIGNATURES_MEDIA);
	auto_free char *to = path_join(to_media, SIGNATURES_MEDIA);
	auto_strlist struct strlist names = {0};

	if (list_files(&names, from, e) < 0 || (names.n > 0 && fs_mkdirs(to, 0750, e) < 0))
		return -1;
	for (size_t i = 0; i < names.n; i++)
		if (copy_file(from, to, names.v[i], e) < 0)
			return -1;
	*ret_n = names.n;
	return 0;
}
