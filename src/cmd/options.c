// SPDX-License-Identifier: Apache-2.0
// Groups of flags that several commands share.
#include "cmd/options.h"

#include <string.h>

#define AT(member) offsetof(struct security_options, member)
const struct flag security_flags[] = {
	{FLAG_STRING, 'a', "registry-config", AT(registry_config), "FILE",
	 "credentials file, the only one that is read (default: $REGISTRY_AUTH_FILE, else podman's and docker's files)",
	 0, 0},
	{FLAG_STRING, 0, "certificate-authority", AT(certificate_authority), "FILE",
	 "PEM bundle that is trusted beside the system's roots", 0, 0},
	{FLAG_BOOL, 0, "insecure", AT(insecure), NULL,
	 "do not verify TLS, and fall back to http where https fails", 0, 0},
	{FLAG_BOOL, 0, "skip-verification", AT(skip_verification), NULL,
	 "do not compare what registries send with its digest", 0, 0},
	{0},
};
#undef AT

const struct flag filter_flags[] = {
	{FLAG_STRING, 0, "filter-by-os", offsetof(struct filter_options, filter_by_os), "REGEX",
	 "platforms of a manifest list that are wanted, matched against os/arch or os/arch/variant; empty for all",
	 0, 0},
	{0},
};

const struct flag lookup_flags[] = {
	{FLAG_STRING, 0, "icsp-file", offsetof(struct lookup_options, icsp_file), "FILE",
	 "the same as --idms-file", FLAG_HIDDEN, 0},
	{FLAG_STRING, 0, "idms-file", offsetof(struct lookup_options, idms_file), "FILE",
	 "read images through the mirrors of these policies: ImageDigestMirrorSet, ImageTagMirrorSet, ImageContentSourcePolicy or the section of install-config.yaml",
	 0, 0},
	{0},
};

int lookup_file(const struct lookup_options *o, const char **ret, struct err *e)
{
	if (given(o->icsp_file) && given(o->idms_file))
		return err_set(e, ERR_USAGE, "icsp-file and idms-file are mutually exclusive");
	*ret = given(o->icsp_file) ? o->icsp_file : given(o->idms_file) ? o->idms_file : NULL;
	return 0;
}

int lookup_check(const struct lookup_options *o, const struct cmd_io *io, struct err *e)
{
	const char *file;

	if (given(o->icsp_file))
		fputs("Flag --icsp-file has been deprecated, support for it will be removed in a "
		      "future release. Use --idms-file instead.\n",
		      io->err);
	return lookup_file(o, &file, e);
}

const struct flag folder_flags[] = {
	{FLAG_STRING, 0, "dir", offsetof(struct folder_options, dir), "DIR",
	 "folder of file:// destinations, and of sources without --from-dir (default: the current one)",
	 0, 0},
	{FLAG_STRING, 0, "from-dir", offsetof(struct folder_options, from_dir), "DIR",
	 "folder of file:// sources", 0, 0},
	{0},
};

const struct flag parallel_flags[] = {
	{FLAG_INT, 0, "max-per-registry", offsetof(struct parallel_options, max_per_registry), "N",
	 "requests at a time for each registry (default: adaptive, 6 to 32)", 0,
	 offsetof(struct parallel_options, given)},
	{0},
};

int parallel_limit(const struct parallel_options *p)
{
	if (!p->given)
		return 0;
	return p->max_per_registry > 0 ? p->max_per_registry : 1;
}

const struct flag layout_flags[] = {
	{FLAG_STRING, 0, "layout", offsetof(struct layout_options, layout), "auto|oc|portable",
	 "how a new folder is laid out: as oc does it, or for filesystems without links (default: auto)",
	 0, 0},
	{0},
};

int layout_parse(const struct layout_options *o, enum store_layout *ret, struct err *e)
{
	static const char *const names[] = {
		[STORE_LAYOUT_AUTO] = "auto",
		[STORE_LAYOUT_OC] = "oc",
		[STORE_LAYOUT_PORTABLE] = "portable",
	};

	*ret = STORE_LAYOUT_AUTO;
	if (!o->layout)
		return 0;
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(o->layout, names[i]) == 0) {
			*ret = (enum store_layout)i;
			return 0;
		}
	}
	return err_set(e, ERR_USAGE, "--layout must be one of auto, oc, portable");
}

#define AT(member) offsetof(struct attached_options, member)
const struct flag attached_flags[] = {
	{FLAG_BOOL, 0, "include-signatures", AT(include_signatures), NULL,
	 "mirror the signatures, attestations and SBOMs of every image, too", 0, 0},
	{FLAG_BOOL, 0, "no-signatures", AT(no_signatures), NULL,
	 "mirror no sigstore signatures; by default those of a release image, and from media all that they have",
	 0, 0},
	{0},
};
#undef AT

int attached_choice(const struct attached_options *o, enum mirror_attached *ret, struct err *e)
{
	if (o->include_signatures && o->no_signatures)
		return err_set(
			e, ERR_USAGE,
			"--include-signatures and --no-signatures may not both be specified");
	*ret = o->include_signatures ? MIRROR_ATTACHED_ALL
	       : o->no_signatures    ? MIRROR_ATTACHED_NONE
				     : MIRROR_ATTACHED_RELEASE;
	return 0;
}

// Accepted because scripts pass them: ferry talks to no cluster.
#define IGNORED(type, letter, name)                                            \
	{                                                                      \
		type, letter, name, 0, NULL, "", FLAG_IGNORED | FLAG_HIDDEN, 0 \
	}
const struct flag global_flags[] = {
	{FLAG_INT, 'v', "v", offsetof(struct global_options, v), "N",
	 "how much to tell on stderr; from 6 on requests, at 8 everything", 0, 0},
	{FLAG_INT, 0, "loglevel", offsetof(struct global_options, loglevel), "N", "the same as -v",
	 FLAG_HIDDEN, 0},
	IGNORED(FLAG_STRING, 0, "as"),
	IGNORED(FLAG_LIST, 0, "as-group"),
	IGNORED(FLAG_STRING, 0, "as-uid"),
	IGNORED(FLAG_LIST, 0, "as-user-extra"),
	IGNORED(FLAG_STRING, 0, "cache-dir"),
	IGNORED(FLAG_STRING, 0, "certificate-authority"),
	IGNORED(FLAG_STRING, 0, "client-certificate"),
	IGNORED(FLAG_STRING, 0, "client-key"),
	IGNORED(FLAG_STRING, 0, "cluster"),
	IGNORED(FLAG_STRING, 0, "context"),
	IGNORED(FLAG_BOOL, 0, "disable-compression"),
	IGNORED(FLAG_BOOL, 0, "insecure-skip-tls-verify"),
	IGNORED(FLAG_STRING, 0, "kubeconfig"),
	IGNORED(FLAG_STRING, 0, "log-flush-frequency"),
	IGNORED(FLAG_BOOL, 0, "match-server-version"),
	IGNORED(FLAG_STRING, 'n', "namespace"),
	IGNORED(FLAG_STRING, 0, "profile"),
	IGNORED(FLAG_STRING, 0, "profile-output"),
	IGNORED(FLAG_STRING, 0, "request-timeout"),
	IGNORED(FLAG_STRING, 's', "server"),
	IGNORED(FLAG_STRING, 0, "tls-server-name"),
	IGNORED(FLAG_STRING, 0, "token"),
	IGNORED(FLAG_STRING, 0, "user"),
	IGNORED(FLAG_STRING, 0, "vmodule"),
	IGNORED(FLAG_BOOL, 0, "warnings-as-errors"),
	{0},
};
