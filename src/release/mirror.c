// SPDX-License-Identifier: Apache-2.0
// adm release mirror, but for the flags.
#include "release/mirror.h"

#include <stdarg.h>
#include <string.h>

#include "data/gofmt.h"
#include "release/naming.h"
#include "release/payload.h"
#include "release/signatures.h"
#include "util/fs.h"

struct job {
	struct places *places;
	const struct release_mirror_request *req;
	struct release_mirror_result *to;
	struct reference from;
	struct repo *from_repo;
	struct naming naming;
	struct payload payload;
	char *arch;               // "-x86_64"
	struct reference release; // where the release image goes
	struct mappings mappings;
	struct verifier verifier;
	bool verified;
	struct signatures signatures; // when verified
};

static void release_job(struct job *j)
{
	reference_release(&j->from);
	reference_release(&j->release);
	naming_release(&j->naming);
	payload_release(&j->payload);
	mappings_release(&j->mappings);
	verifier_release(&j->verifier);
	signatures_release(&j->signatures);
	free(j->arch);
}

void release_mirror_result_release(struct release_mirror_result *r)
{
	mirror_result_release(&r->mirror);
	buf_free(&r->text);
}

static int refuse_version(const char *version, struct err *e)
{
	const char *slash = strrchr(platform_local(), '/');

	return err_set(e, ERR_USAGE,
		       "'%s' is a version, not an image: name the pull spec of the release, for "
		       "example quay.io/openshift-release-dev/ocp-release:%s-%s",
		       version, version, platform_release_arch(slash ? slash + 1 : "amd64"));
}

static int check(const struct release_mirror_request *req, struct reference *ret_from,
		 struct naming *ret_naming, struct err *e)
{
	if (!given(req->from))
		return err_set(e, ERR_USAGE, "must specify a release image with --from");
	if (payload_is_version(req->from))
		return refuse_version(req->from, e);
	if (!given(req->to) && !given(req->to_dir) && !req->to_mirror)
		return err_set(e, ERR_USAGE,
			       "must specify an image repository or image stream to mirror the "
			       "release to");
	if (req->skip_release_image && given(req->to_release_image))
		return err_set(e, ERR_USAGE,
			       "--skip-release-image and --to-release-image may not both be "
			       "specified");
	if (reference_parse(ret_from, req->from, 0, e) < 0)
		return -1;
	if (ret_from->tag[0] == '\0' && !ret_from->has_digest)
		return err_set(e, ERR_USAGE,
			       "the release image must be named by tag or digest: '%s'", req->from);
	return naming_init(ret_naming, req->to, given(req->to_dir), req->to_release_image, e);
}

int release_mirror_check(const struct release_mirror_request *req, struct err *e)
{
	auto_reference struct reference from = {0};
	auto_naming struct naming naming = {0};

	return check(req, &from, &naming, e);
}

static bool any(const struct strlist *l)
{
	return l && l->n > 0;
}

static bool is_from_media(const struct job *j)
{
	return j->from.type == REF_FILE;
}

// What is known before the payload is: keys and stores that the user gave, media.
static int start_verifier(struct job *j, struct err *e)
{
	const struct release_mirror_request *req = j->req;

	if (any(req->keyrings) && verifier_read_keys(&j->verifier, req->keyrings, req->now, e) < 0)
		return -1;
	if (is_from_media(j)) {
		const char *dir = given(req->from_dir) ? req->from_dir
				  : given(req->to_dir) ? req->to_dir
						       : ".";
		auto_free char *media = path_join(dir, SIGNATURES_MEDIA);

		if (verifier_add_store(&j->verifier, media, e) < 0)
			return -1;
	}
	for (size_t i = 0; any(req->signature_stores) && i < req->signature_stores->n; i++)
		if (verifier_add_store(&j->verifier, req->signature_stores->v[i], e) < 0)
			return -1;
	return 0;
}

// What the release has to say about its own verification.
static unsigned wanted_of_release(const struct job *j)
{
	unsigned ret = 0;

	if (!any(j->req->keyrings))
		ret |= VERIFIER_KEYRINGS;
	if (!any(j->req->signature_stores))
		ret |= VERIFIER_STORES;
	return ret;
}

// Whoever carries media has no network where they are read.
static void drop_servers(struct strlist *stores, size_t from)
{
	size_t n = from;

	for (size_t i = from; i < stores->n; i++)
		if (starts_with(stores->v[i], "http"))
			free(stores->v[i]);
		else
			stores->v[n++] = stores->v[i];
	stores->n = n;
}

static int finish_verifier(struct job *j, const struct verifier_manifests *manifests, struct err *e)
{
	size_t stores = j->verifier.stores.n;
	bool found;

	if (verifier_load(&j->verifier, manifests, wanted_of_release(j), j->req->now, &found, e) <
	    0)
		return -1;
	if (is_from_media(j))
		drop_servers(&j->verifier.stores, stores);
	return 0;
}

// Reads the image, and in passing the config map of its verifier where that is wanted.
static int read_image(struct job *j, struct err *e)
{
	auto_verifier_manifests struct verifier_manifests manifests = {0};
	struct payload_options opt = {
		.keep_manifest_list = j->req->keep_manifest_list,
		.file = wanted_of_release(j) ? verifier_manifests_take : NULL,
		.arg = &manifests,
	};

	if (payload_read(&j->payload, j->from_repo, &j->from, &opt, e) < 0)
		return -1;
	return finish_verifier(j, &manifests, e);
}

static int read_payload(struct job *j, struct err *e)
{
	j->from_repo = places_repo(j->places, &j->from, false, e);
	if (!j->from_repo || read_image(j, e) < 0)
		return e->kind == ERR_CANCELLED
			       ? -1
			       : err_wrap(e, "unable to retrieve release image info");
	if (payload_parse(&j->payload, e) < 0)
		return -1;
	if (j->payload.is_list && j->req->keep_manifest_list)
		j->arch = xstrdup("-multi");
	else
		j->arch = xasprintf("-%s", platform_release_arch(j->payload.architecture));
	return naming_reference(&j->naming, NULL, j->payload.version, j->arch, &j->release, e);
}

// Of a list its own digest counts: that is what clusters ask for. Signers that knew only its
// children signed the one that was read.
static int find_signatures(struct job *j, struct err *e)
{
	const struct payload *p = &j->payload;
	struct err ignored;

	if (j->verifier.n == 0)
		return err_set(e, ERR_INPUT,
			       "%s names no keys to verify it with; --keyring and "
			       "--signature-store do",
			       p->root.text);
	if (signatures_find(&j->signatures, &j->verifier, j->req->net, &p->root, e) == 0)
		return 0;
	if (!p->is_list || e->kind == ERR_CANCELLED ||
	    signatures_find(&j->signatures, &j->verifier, j->req->net, &p->digest, &ignored) < 0)
		return -1;
	say(&j->req->say, "info: The list %s is not signed, its %s/%s image is", p->root.text,
	    p->os, p->architecture);
	return 0;
}

static void tell_signatures(const struct job *j)
{
	for (size_t i = 0; i < j->signatures.n; i++) {
		const struct signature *s = &j->signatures.v[i];

		say(&j->req->say, "info: Verified %s: signed as %s by key %s at %s",
		    j->signatures.digest.text, s->reference, s->key, gofmt_time(s->created).s);
	}
}

static int verify(struct job *j, struct err *e)
{
	struct err why;

	if (find_signatures(j, &why) == 0) {
		j->verified = true;
		tell_signatures(j);
		return 0;
	}
	if (why.kind == ERR_CANCELLED || j->req->require_signature) {
		*e = why;
		return why.kind == ERR_CANCELLED ? -1 : err_wrap(e, "the release is not verified");
	}
	say(&j->req->say, "warning: the release is not verified: %s", why.text);
	return 0;
}

// By digest from here on, whatever the tag says by then.
static void add_release_image(struct job *j)
{
	auto_reference struct reference src = {0};

	if (j->req->skip_release_image)
		return;
	reference_copy(&src, &j->from);
	if (!j->req->to_mirror) {
		src.has_digest = true;
		src.digest = j->payload.root;
	}
	mappings_add(&j->mappings, &src, &j->release, "release");
}

// The folder that the release image comes from may hold its components, too.
static int component_source(struct job *j, const struct payload_component *c, struct reference *ret,
			    struct err *e)
{
	struct manifest_stat st;
	struct err why;

	reference_copy(ret, &c->ref);
	if (!is_from_media(j))
		return 0;
	if (j->from_repo->ops->manifest_stat(j->from_repo, c->ref.digest.text, &st, &why) < 0) {
		if (why.kind == ERR_NOT_FOUND || why.kind == ERR_DIGEST)
			return 0;
		*e = why;
		return -1;
	}
	reference_release(ret);
	reference_copy(ret, &j->from);
	ret->tag[0] = '\0';
	ret->has_digest = true;
	ret->digest = c->ref.digest;
	return 0;
}

static int add_component(struct job *j, const struct payload_component *c, struct err *e)
{
	auto_reference struct reference src = {0}, dst = {0};

	if (c->ref.tag[0] != '\0' || !c->ref.has_digest) {
		auto_free char *text = reference_print(&c->ref);

		return err_set(e, ERR_INPUT,
			       "image-references should only contain pointers to images by "
			       "digest: %s",
			       text);
	}
	if (component_source(j, c, &src, e) < 0 ||
	    naming_reference(&j->naming, c->name, j->payload.version, j->arch, &dst, e) < 0)
		return -1;
	mappings_add(&j->mappings, &src, &dst, c->name);
	return 0;
}

static int add_mappings(struct job *j, struct err *e)
{
	add_release_image(j);
	for (size_t i = 0; i < j->payload.ncomponents; i++)
		if (add_component(j, &j->payload.components[i], e) < 0)
			return -1;
	if (j->payload.ncomponents == 0)
		say(&j->req->say,
		    "warning: Release image contains no image references - is this a valid "
		    "release?");
	return 0;
}

static void print_mappings(const struct job *j, struct buf *out)
{
	for (size_t i = 0; i < j->mappings.n; i++) {
		auto_free char *src = reference_print(&j->mappings.v[i].src);
		auto_free char *dst = reference_print(&j->mappings.v[i].dst);

		buf_printf(out, "%s %s\n", src, dst);
	}
}

// Names are printed without "file://": the option that gives the folder says it.
static const char *without_prefix(const char *text)
{
	return starts_with(text, "file://") ? text + strlen("file://") : text;
}

static void print_destinations(const struct job *j, struct buf *out)
{
	const struct release_mirror_request *req = j->req;
	auto_free char *release = reference_print(&j->release);

	buf_printf(out, "\nSuccess\nUpdate image:  %s\n",
		   given(req->to_release_image) ? req->to_release_image : without_prefix(release));
	if (given(req->to))
		buf_printf(out, "%s %s\n",
			   j->naming.substitutes ? "Mirrored to:" : "Mirror prefix:", req->to);
	if (given(req->to_release_image))
		buf_printf(out, "Mirrored to: %s\n", req->to_release_image);
}

static void print_upload_hint(const struct job *j, struct buf *out)
{
	auto_free char *release = reference_print(&j->release);
	bool dir = given(j->req->to_dir);

	buf_printf(out,
		   "\nTo upload local images to a registry, run:\n\n"
		   "    %s image mirror %s%s%s'file://%s*' REGISTRY/REPOSITORY\n\n",
		   j->req->self, dir ? "--from-dir=" : "", dir ? j->req->to_dir : "",
		   dir ? " " : "", without_prefix(release));
}

static void add_mirror(struct strlist *mirrors, const struct reference *ref)
{
	if (ref->type == REF_REGISTRY)
		strlist_take(mirrors, reference_print_repository(ref));
}

// Where the config map goes; NULL: nowhere. Caller frees.
static char *signature_dir(const struct job *j)
{
	if (given(j->req->signature_dir))
		return xstrdup(j->req->signature_dir);
	return given(j->req->to_dir) ? path_join(j->req->to_dir, SIGNATURES_MEDIA) : NULL;
}

static void print_instructions(const struct job *j, struct buf *out)
{
	auto_strlist struct strlist sources = {0}, mirrors = {0};

	if (given(j->req->to))
		add_mirror(&mirrors, &j->naming.repository);
	if (j->naming.to_release_image)
		add_mirror(&mirrors, &j->naming.release_image);
	if (mirrors.n == 0 || is_from_media(j))
		return;
	strlist_take(&sources, reference_print_repository(&j->from));
	for (size_t i = 0; i < j->payload.ncomponents; i++)
		strlist_take(&sources, reference_print_repository(&j->payload.components[i].ref));
	strlist_sort(&sources);
	strlist_unique(&sources);
	instructions_print(out, j->req->instructions, &sources, &mirrors);
	auto_free char *dir = signature_dir(j);

	if (dir && (j->verified || given(j->req->signature_dir)))
		buf_printf(out,
			   "\n\nTo apply signature configmaps use 'oc apply' on files found in "
			   "%s\n\n",
			   dir);
}

static void print_success(const struct job *j, struct buf *out)
{
	print_destinations(j, out);
	if (j->naming.repository.type == REF_FILE)
		print_upload_hint(j, out);
	else if (j->req->instructions != INSTRUCTIONS_NONE)
		print_instructions(j, out);
}

static int run(struct job *j, struct err *e)
{
	struct mirror_options opt = j->req->mirror;

	opt.filter_by_os = NULL;
	opt.all_platforms = true;
	opt.release = &j->payload.root;
	opt.keep_manifest_list = j->req->keep_manifest_list;
	say(&j->req->say, "info: Mirroring %zu images to %s ...", j->mappings.n, j->naming.base);
	return mirror_run(j->places, &j->mappings, &opt, j->req->visit, &j->to->mirror, e);
}

// Media carry the config map with them wherever else it goes: the far side looks for it there.
static int write_to_media(const struct job *j, const char *dir, struct err *e)
{
	if (j->naming.repository.type != REF_FILE || !given(j->req->to_dir))
		return 0;
	auto_free char *media = path_join(j->req->to_dir, SIGNATURES_MEDIA);

	return strcmp(media, dir) == 0 ? 0 : signatures_write(&j->signatures, media, e);
}

static int save_signatures(struct job *j, struct err *e)
{
	auto_free char *dir = signature_dir(j);
	struct buf *out = &j->to->text;

	if (!dir)
		return 0;
	if (!j->verified) // only who asked for them misses them
		return given(j->req->signature_dir)
			       ? err_set(e, ERR_INPUT, "failed to retrieve cached signatures")
			       : 0;
	auto_free char *name = signatures_file_name(&j->signatures.digest);
	auto_free char *path = path_join(dir, name);

	if (j->req->mirror.transfer.dry_run) {
		buf_printf(out, "info: Write configmap signature file %s\n", path);
		return 0;
	}
	if (signatures_write(&j->signatures, dir, e) < 0 || write_to_media(j, dir, e) < 0)
		return -1;
	buf_printf(out, "Configmap signature file %s created\n", path);
	return 0;
}

static int mirror(struct job *j, struct err *e)
{
	if (check(j->req, &j->from, &j->naming, e) < 0 || start_verifier(j, e) < 0 ||
	    read_payload(j, e) < 0 || verify(j, e) < 0 || add_mappings(j, e) < 0)
		return -1;
	if (j->req->to_mirror) {
		print_mappings(j, &j->to->text);
		return 0;
	}
	if (run(j, e) < 0)
		return -1;
	print_success(j, &j->to->text);
	return save_signatures(j, e);
}

int release_mirror(struct places *places, const struct release_mirror_request *req,
		   struct release_mirror_result *ret, struct err *e)
{
	struct job j = {.places = places, .req = req, .to = ret};

	*ret = (struct release_mirror_result){.text = BUF_INIT(BUF_TEXT_MAX)};
	int r = mirror(&j, e);

	release_job(&j);
	return r;
}
