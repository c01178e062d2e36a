// SPDX-License-Identifier: Apache-2.0
// Destination names of a release.
#include "release/naming.h"

#include <string.h>

#include "util/mem.h"

#define COMPONENT             "${component}"
#define VERSION               "${version}"
// Upper case, so that a component in the repository part is refused: names may hold what
// repositories may not (the reference's rule).
#define COMPONENT_PLACEHOLDER "X-X-X-X-X-X-X"
#define VERSION_PLACEHOLDER   "V-V-V-V-V-V-V"
// A tag has 128 characters at most; longer names fail in the parser, not here.
#define NAME_MAX_BYTES        ((size_t)64 << 10)

void naming_release(struct naming *n)
{
	free(n->base);
	reference_release(&n->repository);
	reference_release(&n->release_image);
	*n = (struct naming){0};
}

static void substitute(struct buf *ret, const char *text, const char *component,
		       const char *version)
{
	while (*text) {
		if (starts_with(text, COMPONENT)) {
			buf_puts(ret, component);
			text += strlen(COMPONENT);
		} else if (starts_with(text, VERSION)) {
			buf_puts(ret, version);
			text += strlen(VERSION);
		} else {
			buf_putc(ret, *text++);
		}
	}
}

static int parse_base(struct naming *n, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);

	n->substitutes = strstr(n->base, COMPONENT) != NULL;
	if (n->substitutes)
		substitute(&text, n->base, COMPONENT_PLACEHOLDER, VERSION_PLACEHOLDER);
	else
		buf_puts(&text, n->base);
	if (reference_parse(&n->repository, text.p, 0, e) < 0)
		return err_wrap(e, "--to must be a valid image reference");
	if (!n->substitutes && (n->repository.tag[0] != '\0' || n->repository.has_digest))
		return err_set(e, ERR_USAGE,
			       "--to must be to an image repository and may not contain a tag or "
			       "digest");
	if (n->repository.has_digest)
		return err_set(e, ERR_USAGE, "--to may not contain a digest");
	n->repository.tag[0] = '\0';
	return 0;
}

static int parse_release_image(struct naming *n, const char *text, struct err *e)
{
	n->to_release_image = true;
	if (reference_parse(&n->release_image, text, 0, e) < 0)
		return err_wrap(e, "--to-release-image must be a valid image reference");
	if (n->release_image.has_digest)
		return err_set(e, ERR_USAGE, "--to-release-image may not contain a digest");
	return 0;
}

int naming_init(struct naming *ret, const char *to, bool to_dir, const char *to_release_image,
		struct err *e)
{
	struct naming n = {0};

	if (!to || !*to)
		to = to_dir ? "file://openshift/release" : "openshift/release";
	n.base = xstrdup(to);
	if (parse_base(&n, e) < 0 || (to_release_image && *to_release_image &&
				      parse_release_image(&n, to_release_image, e) < 0)) {
		naming_release(&n);
		return -1;
	}
	*ret = n;
	return 0;
}

int naming_reference(const struct naming *n, const char *component, const char *version,
		     const char *arch, struct reference *ret, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(BUF_TEXT_MAX);
	const char *what = component ? component : "release";

	if (!component && n->to_release_image) {
		reference_copy(ret, &n->release_image);
		return 0;
	}
	if (strlen(what) > NAME_MAX_BYTES || strlen(version) > NAME_MAX_BYTES ||
	    strlen(arch) > NAME_MAX_BYTES)
		return err_set(e, ERR_INPUT, "the release has an image with too long a name");
	if (n->substitutes)
		substitute(&text, n->base, what, version);
	else
		buf_printf(&text, "%s:%s", n->base, version);
	buf_puts(&text, arch);
	if (!n->substitutes && component)
		buf_printf(&text, "-%s", component);
	if (reference_parse(ret, text.p, 0, e) < 0)
		return err_wrap(e, "component '%.100s' has no place at the destination", what);
	// A name from outside must not lead elsewhere than to where the user said.
	if (strcmp(ret->repository, n->repository.repository) != 0 ||
	    strcmp(ret->registry, n->repository.registry) != 0 || ret->has_digest) {
		reference_release(ret);
		return err_set(e, ERR_INPUT, "component '%.100s' does not fit into a tag", what);
	}
	return 0;
}
