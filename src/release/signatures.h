// SPDX-License-Identifier: Apache-2.0
// Signatures of releases: found in stores, verified, and kept as config maps.
//
// A store is what verifier.h lists:
//   http(s)://…   STORE/sha256=HEX/signature-N, N from 1 until there is none; asked without
//                 credentials
//   a folder      the same below it, and the config map sha256-HEX is kept in
//   (signatures_file_name) a file        a config map, or several documents with some
// At most SIGNATURES_MAX of one digest are looked at in a store. A store that does not answer is
// left alone.
#ifndef RELEASE_SIGNATURES_H
#define RELEASE_SIGNATURES_H

#include "image/digest.h"
#include "release/verifier.h"

struct http;

enum { SIGNATURES_MAX = 20 };
#define SIGNATURES_FILE_MAX ((size_t)8 << 20) // of a config map

// The folder below media in which the config maps are: MEDIA/config.
#define SIGNATURES_MEDIA "config"

struct signature {
	struct buf bytes; // the file, verbatim
	char *location;   // where it was found
	char *reference;  // what the signer called the image
	char key[17];     // id of the key that signed
	int64_t created;  // unix time
};

// Good signatures of one digest: one for each keyring, in their order.
struct signatures {
	struct digest digest;
	struct signature *v;
	size_t n;
};
#define auto_signatures __attribute__((cleanup(signatures_release)))
void signatures_release(struct signatures *s);

// Searches the stores of V until every keyring of V has signed DIGEST. NET may be NULL when there
// are no http stores. "unable to verify DIGEST against keyrings: NAMES: …": ERR_INPUT with the
// reason why the last one that was found is not good, ERR_NOT_FOUND where none was; ERR_CANCELLED.
int signatures_find(struct signatures *ret, const struct verifier *v, struct http *net,
		    const struct digest *digest, struct err *e) must_check;

// "signature-sha256-<16 hex digits>.json". Caller frees.
char *signatures_file_name(const struct digest *digest);
// The config map of S as one line of JSON, byte for byte as the reference writes it.
void signatures_print(struct buf *out, const struct signatures *s);
// Writes it to DIR, which is made when it is missing.
int signatures_write(const struct signatures *s, const char *dir, struct err *e) must_check;
// The config maps of one folder of media into those of another, as they are. *ret_n: how many.
int signatures_copy(const char *from_media, const char *to_media, size_t *ret_n, struct err *e)
	must_check;

#endif
