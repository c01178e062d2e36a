// SPDX-License-Identifier: Apache-2.0
// adm release extract, but for the flags.
#include "release/extract.h"

#include <string.h>

#include "data/gofmt.h"
#include "data/json.h"
#include "release/info.h"
#include "release/manifests.h"
#include "util/fs.h"
#include "util/map.h"

struct job {
	struct places *places;
	const struct release_extract_request *req;
	struct buf *out;
	struct release_sources sources;
	struct reference image;
	struct repo *repo; // that it is in
	struct platform_filter *filter;
	struct payload payload;
	struct map files; // of release-manifests/ (struct buf), as far as they are wanted
};

static void release_job(struct job *j)
{
	for (size_t i = 0; i < j->files.n; i++) {
		buf_free(j->files.entries[i].ptr);
		free(j->files.entries[i].ptr);
	}
	map_release(&j->files);
	reference_release(&j->image);
	platform_filter_free(j->filter);
	payload_release(&j->payload);
}

// ---- reading the payload

static int keep_file(void *arg, const char *name, struct str bytes, struct err *e)
{
	struct job *j = arg;
	bool is_new;

	if (given(j->req->file) ? strcmp(name, j->req->file) != 0 : !manifest_is_file(name))
		return 0;
	struct map_entry *entry = map_put(&j->files, str_of(name), &is_new);

	if (is_new) {
		entry->ptr = xmalloc(sizeof(struct buf));
		*(struct buf *)entry->ptr = (struct buf)BUF_INIT(PAYLOAD_FILE_MAX);
	}
	buf_clear(entry->ptr);
	return buf_add(entry->ptr, bytes.p, bytes.n, e);
}

static int parse_image(struct job *j, struct err *e)
{
	const char *image = j->req->image, *filter = j->req->filter_by_os;

	if (reference_parse(&j->image, image, 0, e) < 0)
		return -1;
	if (j->image.tag[0] == '\0' && !j->image.has_digest)
		return err_set(e, ERR_USAGE,
			       "the release image must be named by tag or digest: '%s'", image);
	if (filter && *filter == '\0')
		return 0;
	return platform_filter_new(&j->filter, filter ? filter : platform_local(), e);
}

static int read_payload(struct job *j, bool files, struct err *e)
{
	struct payload_options opt = {
		.filter = j->filter, .file = files ? keep_file : NULL, .arg = j};

	j->repo = places_repo(j->places, &j->image, false, e);
	if (!j->repo)
		return -1;
	j->sources = (struct release_sources){.places = j->places,
					      .media = j->image.type == REF_FILE ? j->repo : NULL};
	return payload_read(&j->payload, j->repo, &j->image, &opt, e);
}

static int need_release(const struct job *j, struct err *e)
{
	if (j->payload.references.n > 0)
		return 0;
	return err_set(e, ERR_NOT_FOUND,
		       "'%s' is not a release image: it did not contain an image-references file",
		       j->req->image);
}

// ---- one file

static int put_file(struct job *j, struct err *e)
{
	const struct buf *bytes = map_get(&j->files, j->req->file);

	if (!bytes)
		return err_set(e, ERR_NOT_FOUND, "image did not contain %s", j->req->file);
	return buf_add(j->out, bytes->p, bytes->n, e);
}

// ---- manifests

static int write_one(const struct job *j, const char *name, struct str bytes, struct err *e)
{
	auto_free char *path = path_join(j->req->to, name);

	return fs_write_file(path, bytes, 0644, e);
}

// Every manifest as it will be written; nothing is written before all of them are known to be good.
static int convert(const struct job *j, const struct manifest_choice *c, struct err *e)
{
	for (size_t i = 0; i < j->files.n; i++) {
		struct map_entry *entry = &j->files.entries[i];
		struct buf *bytes = entry->ptr;
		struct buf text = BUF_INIT(BUF_TEXT_MAX);

		if (manifest_write(&text, buf_str(bytes), c, e) < 0) {
			buf_free(&text);
			return err_wrap(e, "error parsing %s", entry->key);
		}
		buf_free(bytes);
		*bytes = text;
	}
	return 0;
}

static int write_all(const struct job *j, struct err *e)
{
	if (!given(j->req->to))
		return 0;
	if (fs_mkdirs(j->req->to, 0777, e) < 0)
		return -1;
	if (!j->req->credentials_requests &&
	    (write_one(j, "image-references", buf_str(&j->payload.references), e) < 0 ||
	     (j->payload.metadata.n > 0 &&
	      write_one(j, "release-metadata", buf_str(&j->payload.metadata), e) < 0)))
		return -1;
	for (size_t i = 0; i < j->files.n; i++) {
		const struct buf *bytes = j->files.entries[i].ptr;

		if (bytes->n > 0 && write_one(j, j->files.entries[i].key, buf_str(bytes), e) < 0)
			return -1;
	}
	return 0;
}

// When the image was made, as far as it says so.
static int created(const struct job *j, struct gofmt *ret, struct err *e)
{
	auto_json struct json_doc doc = {0};
	struct str config = buf_str(&j->payload.config);
	const char *text;
	int64_t seconds;

	if (json_parse(&doc, config, JSON_LIMITS(config.n), 0, e) < 0)
		return err_wrap(e, "configuration of %s", j->req->image);
	struct json root = json_root(&doc), at = json_member(&root, "created");

	if (json_text_or(&at, "", &text, e) < 0)
		return err_wrap(e, "configuration of %s", j->req->image);
	*ret = gofmt_parse_time(str_of(text), &seconds) ? gofmt_time(seconds)
							: (struct gofmt){"0001-01-01T00:00:00Z"};
	return 0;
}

static void warn_of_requests(const struct job *j)
{
	if (j->req->credentials_requests && !j->req->included)
		say(&j->req->say,
		    "warning: if you intend to pass CredentialsRequests to ccoctl, you should use "
		    "--included to filter out requests that your cluster is not expected to need.");
}

static int put_manifests(struct job *j, struct err *e)
{
	auto_manifest_inclusion struct manifest_inclusion inclusion = {0};
	struct manifest_choice choice = {
		.credentials_requests = j->req->credentials_requests,
		.cloud = j->req->cloud,
		.inclusion = j->req->included ? &inclusion : NULL,
	};
	struct gofmt time;

	warn_of_requests(j);
	if (j->req->included && manifest_inclusion_read(&inclusion, j->req->install_config, e) < 0)
		return err_wrap(e, "--install-config");
	if (need_release(j, e) < 0 || created(j, &time, e) < 0 || convert(j, &choice, e) < 0 ||
	    write_all(j, e) < 0)
		return -1;
	if (j->image.has_digest)
		buf_printf(j->out, "Extracted release payload created at %s\n", time.s);
	else
		buf_printf(j->out, "Extracted release payload from digest %s created at %s\n",
			   j->payload.digest.text, time.s);
	return 0;
}

// ---- tools

// What a binary says it is: version of release-metadata, else of image-references. Caller frees.
static int find_version(const struct job *j, char **ret, struct err *e)
{
	auto_json struct json_doc doc = {0};
	struct str bytes = buf_str(&j->payload.metadata);
	const char *version = NULL;

	if (bytes.n > 0) {
		if (json_parse(&doc, bytes, JSON_LIMITS(PAYLOAD_FILE_MAX), 0, e) < 0)
			return err_wrap(e, "release-metadata");
		struct json root = json_root(&doc), at = json_member(&root, "version");

		if (json_text_or(&at, "", &version, e) < 0)
			return err_wrap(e, "release-metadata");
	}
	if (!given(version))
		version = j->payload.version;
	// It becomes part of file names.
	if (!payload_is_version(version) && !tag_valid(version))
		return err_set(e, ERR_INPUT, "the release has an unusable version");
	*ret = xstrdup(version);
	return 0;
}

static int bind_to(const struct job *j, const struct reference *ref, char **ret, struct err *e)
{
	auto_free char *repository = reference_print_repository(ref);

	if (ref->type != REF_REGISTRY)
		return err_set(e, ERR_USAGE, "--release-image must name a registry: '%s'",
			       j->req->release_image);
	if (ref->has_digest && !digest_equal(&ref->digest, &j->payload.root))
		return err_set(e, ERR_DIGEST, "--release-image names %s, but the release is %s",
			       ref->digest.text, j->payload.root.text);
	*ret = xasprintf("%s@%s", repository, j->payload.root.text);
	return 0;
}

// Media know where their images came from.
static int bind_to_origin(const struct job *j, char **ret, struct err *e)
{
	struct store *store = place_store(j->repo->place);
	auto_free char *origin = NULL;

	if (store && store_origin_get(store, j->repo->name, &j->payload.root, &origin, e) < 0)
		return -1;
	if (!origin) {
		err_set(e, ERR_NOT_FOUND,
			"the media do not record which registry '%s' came from, and an installer "
			"must be bound to one",
			j->req->image);
		return err_hint(e, "hint: name it with --release-image REGISTRY/REPOSITORY");
	}
	*ret = xasprintf("%s@%s", origin, j->payload.root.text);
	return 0;
}

// The reference that installers are bound to. Caller frees.
static int find_binding(const struct job *j, char **ret, struct err *e)
{
	auto_reference struct reference ref = {0};

	if (given(j->req->release_image)) {
		if (reference_parse(&ref, j->req->release_image, 0, e) < 0)
			return -1;
		return bind_to(j, &ref, ret, e);
	}
	if (j->image.type == REF_FILE)
		return bind_to_origin(j, ret, e);
	return bind_to(j, &j->image, ret, e);
}

// What release.txt says of the release.
static int read_facts(const struct job *j, struct buf *ret, struct err *e)
{
	auto_free char *repository = reference_print_repository(&j->image);
	auto_free char *image = xasprintf("%s@%s", repository, j->payload.root.text);
	auto_release_info struct release_info info = {0};
	struct release_info_request req = {.image = image, .filter = j->filter};

	if (release_info_read(&info, j->places, &req, e) < 0)
		return -1;
	release_info_print(ret, &info, RELEASE_PULL_SPECS, j->req->now);
	return 0;
}

static int put_tools(struct job *j, struct err *e)
{
	auto_buf struct buf facts = BUF_INIT(BUF_TEXT_MAX);
	const struct release_extract_request *req = j->req;
	const struct payload *p = &j->payload;
	struct tool_list tools = {0};
	auto_free char *image = NULL, *version = NULL;
	auto_free char *platform =
		xasprintf(p->is_list ? "multi (%s/%s)" : "%s/%s", p->os, p->architecture);
	const char *os = req->command_os ? req->command_os : "";

	if (need_release(j, e) < 0 || payload_parse(&j->payload, e) < 0 ||
	    find_version(j, &version, e) < 0 ||
	    tool_list_select(&tools, req->command, os, p->architecture, req->image, e) < 0)
		return -1;
	bool archives = req->tools || strcmp(os, "*") == 0;

	if ((tool_list_markers(&tools) & MARKER_IMAGE && find_binding(j, &image, e) < 0) ||
	    (archives && read_facts(j, &facts, e) < 0))
		return -1;
	struct tools_request request = {
		.sources = &j->sources,
		.payload = p,
		.filter = j->filter,
		.values = {image, version, platform},
		.to = given(req->to) ? req->to : ".",
		.archives = archives,
		.facts = buf_str(&facts),
		.allow_unpatched = req->allow_unpatched,
		.limits = req->limits,
		.say = req->say,
		.sign = req->sign,
		.sign_arg = req->sign_arg,
	};

	return tools_extract(&request, &tools, e);
}

// ---- all together

static int check(const struct release_extract_request *req, struct err *e)
{
	if (payload_is_version(req->image))
		return err_set(
			e, ERR_USAGE,
			"'%s' is a version, not an image: name the pull spec of the release, "
			"for example quay.io/openshift-release-dev/ocp-release:%s-x86_64",
			req->image, req->image);
	return given(req->cloud) ? manifest_check_cloud(req->cloud, e) : 0;
}

static int extract(struct job *j, struct err *e)
{
	const struct release_extract_request *req = j->req;
	bool tools = req->tools || given(req->command);

	if (check(req, e) < 0 || parse_image(j, e) < 0 || read_payload(j, !tools, e) < 0)
		return -1;
	if (given(req->file))
		return put_file(j, e);
	return tools ? put_tools(j, e) : put_manifests(j, e);
}

int release_extract(struct places *places, const struct release_extract_request *req,
		    struct buf *ret, struct err *e)
{
	struct buf out = BUF_INIT(BUF_TEXT_MAX);
	struct job j = {.places = places, .req = req, .out = &out};
	int failed = extract(&j, e);

	release_job(&j);
	if (failed)
		buf_free(&out);
	else
		*ret = out;
	return failed;
}
